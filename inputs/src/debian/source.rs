// SPDX-License-Identifier: Apache-2.0
//! A binary package that Debian published, the source that it was built from, and what builds that.

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::{
    Build, Content, Debian, Dependencies, Derived, Environment, EpochRule, Input, InputName, Limits, LockedPackage,
    Outputs, Package, PackageUrl, Published, Recipe, Role, Source, Tree,
};
use reprove_store::{IngestLimits, Store};

use super::again::{self, Changes};
use super::apt::{Apt, Knows, Session};
use super::buildinfo::BuildInfo;
use super::lines::Offered;
use super::needed::{exactly, of_now};
use super::package::control;
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
        let is_possible = super::is_possible_for(&name, &version, architecture.as_deref().unwrap_or("all"));
        let asked = Debian { debian: release.clone().unwrap_or_else(|| "any".into()), packages: Vec::new() };
        if all != count || !is_possible || !asked.is_possible() {
            return Err(wrong());
        }
        Ok(Self { name, version, architecture, release })
    }
}

/// Fetches a binary package, `pkg:deb/debian/NAME@VERSION?arch=ARCH&distro=RELEASE`, its source, and what builds that: the
/// packages that its builder had, where `info` says which these were, and else those that it says it is built with, by the
/// archive's index of now. All is in `store` afterwards. Without `distro` it is the first release that apt is set up for.
///
/// # Errors
/// See [`InputsError`]; [`super::BuildInfoError`] where `info` is of something else, or what it names is there no longer.
pub async fn fetch_published(
    purl: &PackageUrl,
    info: Option<&BuildInfo>,
    apt: &Apt,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Rebuildable, InputsError> {
    let asked = Asked::of(purl)?;
    notes(Note::Doing("asking apt for packages and sources".into()));
    let session = Session::begin(apt, asked.release.as_deref(), Knows::Sources, Workplace::new(store)?).await?;
    let (offered, file) = published(&session, &asked).await?;
    if let Some(info) = info {
        info.is_of(file.name.as_str(), file.digest.sha256)?;
    }
    let of = control(&file.path)?;
    let changes = again::changes(&session, &file, (&of, &asked.version), info, store).await?;
    let spec = format!("{}={}", of.source, of.source_version);
    notes(Note::Doing(format!("fetching the source package {spec}")));
    let folder = session.source(&spec).await?;
    let is_for_all = offered.architecture == "all";
    let (names, wanted) = match info {
        Some(info) => exactly(&session, info).await?,
        None => of_now(&session, &spec, is_for_all).await?,
    };
    let packages = super::fetch(&session, &wanted, store, notes).await?;

    let (to, place, kept) = (store.clone(), session.workplace().clone(), file.clone());
    let tree = blocking::run(&file.path, move || {
        let _place = place;
        kept.keep(&to)?;
        Ok::<_, InputsError>(to.add_tree(&folder, IngestLimits::of_own_files(), &|_| false)?)
    })
    .await?;
    let purl_of_source = PackageUrl::debian(&of.source, &of.source_version, "source")?;
    let content = Content::Tree { digest: tree.digest() };
    let mut inputs = vec![Input { name: "source".parse()?, role: Role::Source, purl: Some(purl_of_source), content }];
    // What a builder wrote down is of what was published, and is as much its publisher's word.
    let mut derived: BTreeSet<Derived> = info.map(|_| Derived::Tools).into_iter().collect();
    if let Some(Changes { text, from }) = &changes {
        notes(Note::Noticed(format!(
            "it was built again without a change of its source: {from} has what its builder put on top of the changelog"
        )));
        let (digest, size) = store.add_bytes(text.as_bytes())?;
        let content = Content::File { digest, size };
        inputs.push(Input { name: CHANGES.parse()?, role: Role::Tool, purl: None, content });
        derived.insert(Derived::Bytes);
    }
    let environment = Debian { debian: session.release().to_owned(), packages: names };
    let options = info.map(|info| info.options().clone()).unwrap_or_default();
    let dsc = dsc(&tree).ok_or(InputsError::NoDebianSource(spec))?;
    let how = How { directory: of.directory(), dsc, is_for_all, has_changes: changes.is_some(), options };
    let recipe = recipe(&asked, environment, how, &file.name);
    recipe.check()?;
    Ok(Rebuildable { recipe, inputs, packages, published: file.published(purl, derived) })
}

/// What the file is called that says which files the source has.
fn dsc(source: &Tree) -> Option<InputName> {
    let mut names = source.entries().keys().map(|path| path.file_name());
    str::from_utf8(names.find(|name| name.ends_with(b".dsc"))?).ok()?.parse().ok()
}

/// What the file is called that has what is put on top of the changelog.
const CHANGES: &str = "binary-only-changes";

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

/// How a source is built.
struct How {
    /// Where it is unpacked to, as its builders do.
    directory: String,
    dsc: InputName,
    is_for_all: bool,
    has_changes: bool,
    /// Variables that its builder had.
    options: BTreeMap<String, String>,
}

/// How it is built: as Debian's builders do, without the tests.
fn recipe(asked: &Asked, environment: Debian, how: How, file: &InputName) -> Recipe {
    let version = asked.version.split_once(':').map_or(asked.version.as_str(), |(_, rest)| rest);
    let How { directory, dsc, is_for_all, has_changes, options } = how;
    let which = if is_for_all { "all" } else { "any" };
    let put_on_top = format!(
        "cat /inputs/{CHANGES} {directory}/debian/changelog >changelog && cp changelog {directory}/debian/changelog"
    );
    let steps = [
        Some(format!("dpkg-source --no-check --extract {dsc} {directory}")),
        has_changes.then_some(put_on_top),
        Some(format!("cd {directory} && dpkg-buildpackage --unsigned-source --unsigned-changes --build={which}")),
    ];
    let mut env = options;
    let words = env.entry("DEB_BUILD_OPTIONS".into()).or_default();
    if !words.split(' ').any(|word| word == "nocheck") {
        *words = format!("{words} nocheck").trim().to_owned();
    }
    // There is one user, and so nobody to give a file to; what fakeroot says of it is what counts.
    env.insert("FAKEROOTDONTTRYCHOWN".into(), "1".into());
    Recipe {
        package: Package { name: asked.name.clone(), version: Some(version.to_owned()) },
        source: Source::Directory(".".into()),
        environment: Environment::Debian(environment),
        build: Build {
            steps: steps.into_iter().flatten().collect(),
            env,
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
    fn the_recipe_can_be() {
        let asked = Asked::of(&"pkg:deb/debian/a1@1:2.0~rc1-1".parse().unwrap()).unwrap();
        let environment = Debian { debian: "bookworm".into(), packages: vec!["debhelper".into()] };
        let file: InputName = "a1_2.0~rc1-1_all.deb".parse().unwrap();
        let made = |has_changes: bool, options: &[(&str, &str)]| {
            let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let dsc = "a1_2.0~rc1-1.dsc".parse().unwrap();
            let how = How { directory: "a1-2.0~rc1".into(), dsc, is_for_all: true, has_changes, options };
            let made = recipe(&asked, environment.clone(), how, &file);
            made.check().unwrap();
            made.build
        };
        let usual = made(false, &[]);
        assert_eq!(usual.steps.len(), 2);
        assert!(usual.steps[1].starts_with("cd a1-2.0~rc1 && ") && usual.steps[1].ends_with("--build=all"));
        assert_eq!(usual.env["DEB_BUILD_OPTIONS"], "nocheck");
        let again = made(true, &[("DEB_BUILD_OPTIONS", "terse nocheck"), ("DEB_X", "y")]);
        assert!(again.steps[1].starts_with("cat /inputs/binary-only-changes a1-2.0~rc1/debian/changelog "));
        assert_eq!((again.env["DEB_BUILD_OPTIONS"].as_str(), again.env["DEB_X"].as_str()), ("terse nocheck", "y"));
    }
}
