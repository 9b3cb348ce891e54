// SPDX-License-Identifier: Apache-2.0
//! A binary package that Debian published, the source that it was built from, and what builds that.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use reprove_model::{
    Build, Content, Debian, Dependencies, Environment, EpochRule, Input, InputName, Limits, LockedPackage, Outputs,
    Package, PackageUrl, Published, Recipe, Role, Source,
};
use reprove_store::{IngestLimits, Store};

use super::apt::{Apt, Knows, Session};
use super::lines::Offered;
use crate::workplace::{Fetched, Workplace};
use crate::{InputsError, Note, blocking};

/// A published package, and all that rebuilds it but for the installed environment.
#[derive(Clone, Debug)]
pub struct Rebuildable {
    /// How it is built.
    pub recipe: Recipe,
    /// What it is built from and with, but for the environment's packages.
    pub inputs: Vec<Input>,
    /// The exact packages of the environment.
    pub packages: Vec<LockedPackage>,
    /// What is to come out.
    pub published: Published,
}

/// Looks whether [`fetch_published`] could be asked for `purl` at all; nothing is fetched.
///
/// # Errors
/// [`InputsError::DebianPurl`], [`InputsError::NoVersion`].
pub fn check(purl: &PackageUrl) -> Result<(), InputsError> {
    Asked::of(purl).map(drop)
}

/// What a package URL asks for.
struct Asked {
    name: String,
    version: String,
    architecture: Option<String>,
    release: Option<String>,
}

impl Asked {
    fn of(purl: &PackageUrl) -> Result<Self, InputsError> {
        let wrong = || InputsError::DebianPurl(purl.to_string());
        if purl.kind() != "deb" || purl.namespace() != Some("debian") || purl.to_string().contains('#') {
            return Err(wrong());
        }
        let version = purl.version().ok_or_else(|| InputsError::NoVersion(purl.to_string()))?.to_owned();
        let (architecture, release) = (purl.qualifier("arch"), purl.qualifier("distro"));
        let count = usize::from(architecture.is_some()) + usize::from(release.is_some());
        let all = purl.to_string().split_once('?').map_or(0, |(_, rest)| rest.split('&').count());
        let name = purl.name().to_owned();
        let one = LockedPackage {
            architecture: architecture.clone().unwrap_or_else(|| "all".into()),
            size: 0,
            blake3: reprove_model::Digest::of(b""),
            sha256: reprove_model::Sha256::of(b""),
            name: name.clone(),
            version: version.clone(),
        };
        let asked = Debian { debian: release.clone().unwrap_or_else(|| "any".into()), packages: Vec::new() };
        if all != count || !one.is_possible() || !asked.is_possible() {
            return Err(wrong());
        }
        Ok(Self { name, version, architecture, release })
    }
}

/// Fetches a binary package, `pkg:deb/debian/NAME@VERSION?arch=ARCH&distro=RELEASE`, its source, and what builds that: the
/// packages that it says it is built with, by the archive's index of now. All is in `store` afterwards. Without `distro` it is
/// the first release that apt is set up for.
///
/// # Errors
/// See [`InputsError`].
pub async fn fetch_published(
    purl: &PackageUrl,
    apt: &Apt,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Rebuildable, InputsError> {
    let asked = Asked::of(purl)?;
    notes(Note::Doing("asking apt for packages and sources".into()));
    let session = Session::begin(apt, asked.release.as_deref(), Knows::Sources, Workplace::new(store)?).await?;
    let (offered, file) = published(&session, &asked).await?;
    let of = control(&file.path)?;
    if of.source_version != asked.version {
        let (binary, source_version) = (format!("{} {}", asked.name, asked.version), of.source_version);
        return Err(InputsError::BinNmu { binary, source_version });
    }
    let spec = format!("{}={}", of.source, of.source_version);
    notes(Note::Doing(format!("fetching the source package {spec}")));
    let folder = session.source(&spec).await?;
    let is_for_all = offered.architecture == "all";
    let needed = needed(&session, &spec, is_for_all).await?;
    let names: Vec<String> = needed.iter().map(|offered| offered.name.clone()).collect();
    let mut wanted = session.resolve(&[]).await?;
    wanted.extend(needed);
    wanted.extend(session.resolve(&TOOLS.map(str::to_owned)).await?);
    wanted.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    wanted.dedup();
    let packages = super::fetch(&session, &wanted, store, notes).await?;

    let (to, place, kept) = (store.clone(), session.workplace().clone(), file.clone());
    let tree = blocking::run(&file.path, move || {
        let _place = place;
        kept.keep(&to)?;
        Ok::<_, InputsError>(to.add_tree(&folder, IngestLimits::of_own_files(), &|_| false)?)
    })
    .await?;
    let is_dsc = |name: &&[u8]| name.ends_with(b".dsc");
    let dsc =
        tree.entries().keys().map(|path| path.file_name()).find(is_dsc).and_then(|name| str::from_utf8(name).ok());
    let dsc = dsc.ok_or_else(|| InputsError::NoDebianSource(spec.clone()))?.parse::<InputName>()?;
    let source = Input {
        name: "source".parse()?,
        role: Role::Source,
        purl: Some(PackageUrl::debian(&of.source, &of.source_version, "source")?),
        content: Content::Tree { digest: tree.digest() },
    };
    let published = Published {
        purl: Some(purl.clone()),
        name: file.name.clone(),
        digest: file.digest,
        size: file.size,
        derived: Default::default(),
    };
    let environment = Debian { debian: session.release().to_owned(), packages: names };
    let recipe = recipe(&asked, environment, &dsc, is_for_all, &file.name);
    recipe.check()?;
    Ok(Rebuildable { recipe, inputs: vec![source], packages, published })
}

/// What is installed beside what a source asks for: sources may ask for root, which this is for.
const TOOLS: [&str; 2] = ["build-essential", "fakeroot"];

/// The package itself.
async fn published(session: &Session<'_>, asked: &Asked) -> Result<(Offered, Fetched), InputsError> {
    let Asked { name, version, architecture, .. } = asked;
    let spec = match architecture.as_deref() {
        None | Some("all") => format!("{name}={version}"),
        Some(architecture) => format!("{name}:{architecture}={version}"),
    };
    let there = session.offers(&["download", name]).await?;
    let versions: Vec<String> = there.iter().map(|offered| offered.version.clone()).collect();
    let no_version = || InputsError::NoDebianVersion {
        spec: spec.clone(),
        release: session.release().to_owned(),
        versions: versions.clone(),
    };
    let offers = match session.offers(&["download", &spec]).await {
        Err(InputsError::Failed { said, .. }) if said.contains("was not found") => return Err(no_version()),
        offers => offers?,
    };
    let is_it = |offered: &&Offered| architecture.as_ref().is_none_or(|wanted| offered.architecture == *wanted);
    let offered = offers.iter().find(is_it).cloned().ok_or_else(no_version)?;
    session.download(std::slice::from_ref(&offered)).await?;
    let name = offered.file_name().ok_or_else(|| InputsError::DebianName(offered.name.clone()))?;
    let (path, sha256) = (session.file(&offered), offered.sha256);
    let place = session.workplace().clone();
    let file = blocking::run(&path.clone(), move || {
        let _place = place;
        Fetched::check(name, &path, Some(sha256))
    })
    .await?;
    Ok((offered, file))
}

/// What a source package says that it is built with, and what that depends on.
async fn needed(session: &Session<'_>, spec: &str, is_for_all: bool) -> Result<Vec<Offered>, InputsError> {
    let which = if is_for_all { "--indep-only" } else { "--arch-only" };
    session.offers(&[which, "build-dep", spec]).await
}

/// Which source a package is of.
#[derive(Debug, PartialEq, Eq)]
struct OfSource {
    source: String,
    source_version: String,
}

fn control(path: &Path) -> Result<OfSource, InputsError> {
    let doing = "reading a package with dpkg-deb";
    let output = Command::new("dpkg-deb")
        .arg("--field")
        .arg(path)
        .args(["Package", "Version", "Source"])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| InputsError::NoProgram {
            program: "dpkg-deb".into(),
            source,
            install: "install dpkg (a Debian machine has it)",
        })?;
    of_source(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| InputsError::Answer { doing, why: "it names no source".into() })
}

/// Reads the fields of a binary package: `Source` is there where the source has another name or version than it (Debian Policy
/// 5.6.1).
fn of_source(text: &str) -> Option<OfSource> {
    let fields: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect();
    let (name, version) = (*fields.get("Package")?, *fields.get("Version")?);
    let (source, source_version) = match fields.get("Source") {
        None => (name, version),
        Some(source) => match source.split_once('(') {
            Some((source, version)) => (source.trim(), version.trim_end_matches(')').trim()),
            None => (*source, version),
        },
    };
    let one = |name: &str, version: &str| LockedPackage {
        name: name.into(),
        version: version.into(),
        architecture: "all".into(),
        size: 0,
        blake3: reprove_model::Digest::of(b""),
        sha256: reprove_model::Sha256::of(b""),
    };
    one(source, source_version)
        .is_possible()
        .then(|| OfSource { source: source.into(), source_version: source_version.into() })
}

/// How it is built: as Debian's builders do, without the tests.
fn recipe(asked: &Asked, environment: Debian, dsc: &InputName, is_for_all: bool, file: &InputName) -> Recipe {
    let version = asked.version.split_once(':').map_or(asked.version.as_str(), |(_, rest)| rest);
    let which = if is_for_all { "all" } else { "any" };
    Recipe {
        package: Package { name: asked.name.clone(), version: Some(version.to_owned()) },
        source: Source::Directory(".".into()),
        environment: Environment::Debian(environment),
        build: Build {
            steps: vec![
                format!("dpkg-source --no-check --extract {dsc} unpacked"),
                format!("cd unpacked && dpkg-buildpackage --unsigned-source --unsigned-changes --build={which}"),
            ],
            env: [
                ("DEB_BUILD_OPTIONS", "nocheck"),
                // There is one user, and so nobody to give a file to; what fakeroot says of it is what counts.
                ("FAKEROOTDONTTRYCHOWN", "1"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            program: Vec::new(),
            source_date_epoch: EpochRule::Unset,
            deterministic: false,
            loopback: false,
        },
        outputs: Outputs { directory: None, paths: vec![file.to_string()], set_id: false, nar: None },
        limits: Limits { seconds: 7200, memory_mib: 16 << 10, disk_mib: 12 << 10, ..Limits::default() },
        pinned: BTreeMap::new(),
        dependencies: Dependencies::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_url_says_which_package() {
        let of = |text: &str| Asked::of(&text.parse().unwrap());
        let asked = of("pkg:deb/debian/hello@2.10-3?arch=amd64&distro=bookworm").unwrap();
        assert_eq!((asked.name.as_str(), asked.version.as_str()), ("hello", "2.10-3"));
        assert_eq!((asked.architecture.as_deref(), asked.release.as_deref()), (Some("amd64"), Some("bookworm")));
        assert!(of("pkg:deb/debian/ucf@3.0043%2Bnmu1").is_ok());
        assert!(matches!(of("pkg:deb/debian/hello"), Err(InputsError::NoVersion(_))));
        for wrong in [
            "pkg:deb/ubuntu/hello@2.10-3",
            "pkg:deb/hello@2.10-3",
            "pkg:deb/debian/hello@2.10-3?arch=AMD",
            "pkg:deb/debian/hello@2.10-3?distro=Bookworm",
            "pkg:deb/debian/hello@2.10-3?arch=amd64&vcs_url=x",
            "pkg:deb/debian/hello@v2",
            "pkg:rpm/debian/hello@2.10-3",
        ] {
            assert!(matches!(of(wrong), Err(InputsError::DebianPurl(_))), "{wrong}");
        }
    }

    #[test]
    fn the_source_is_what_the_package_says() {
        let of = |text: &str| of_source(text).map(|of| (of.source, of.source_version));
        let pair = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(of("Package: hello\nVersion: 2.10-3\n"), pair("hello", "2.10-3"));
        assert_eq!(of("Package: liblzma5\nVersion: 5.4\nSource: xz-utils\n"), pair("xz-utils", "5.4"));
        assert_eq!(of("Package: a1\nVersion: 5.4+b1\nSource: a2 (5.4)\n"), pair("a2", "5.4"));
        assert_eq!(of("Package: hello\n"), None);
        assert_eq!(of("Package: a1\nVersion: 1\nSource: ../x\n"), None);
    }

    #[test]
    fn the_recipe_can_be() {
        let asked = Asked::of(&"pkg:deb/debian/a1@1:2.0~rc1-1".parse().unwrap()).unwrap();
        let environment = Debian { debian: "bookworm".into(), packages: vec!["debhelper".into()] };
        let file: InputName = "a1_2.0~rc1-1_all.deb".parse().unwrap();
        let recipe = recipe(&asked, environment, &"a1_2.0~rc1-1.dsc".parse().unwrap(), true, &file);
        recipe.check().unwrap();
        assert!(recipe.build.steps[1].ends_with("--build=all"));
    }
}
