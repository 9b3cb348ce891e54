// SPDX-License-Identifier: Apache-2.0
//! What each path that was seen was, and its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use reprove_images::RootFilesystem;
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{
    Closure, Content, Digest, Environment, InputName, InsidePath, ListingFormat, Lock, Loss, Node, Observed,
    ObservedListing, ObservedPath, Origin, RecordMode, Role, Use,
};
use reprove_store::{Store, StoreError};
use thiserror::Error;

use super::digests::Digests;
use super::paths::{Kind, is_made_up};
use super::seen::{Seen, SeenPath};
use crate::source::SourceFiles;

/// Why there is no list.
#[derive(Debug, Error)]
pub enum ListingError {
    /// The build read what nothing locks.
    #[error("the build reached {0}, which is no part of the lock: it is neither in the root filesystem nor an input")]
    Unlocked(InsidePath),
    /// The build read what only its own user, or a group, may: the digest of the root filesystem leaves that out.
    #[error(
        "the build read {0}, which is not open to every user and so is no part of the locked root filesystem; open it to \
         all, or build as root"
    )]
    Closed(InsidePath),
    /// The list is not in the store, or not whole.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is no list.
    #[error("the list of what the build asked for can't be read: {0}")]
    Canonical(#[from] CanonicalError),
    /// The record says something else of it.
    #[error("the list of what the build asked for is not as the build record says")]
    OtherThanRecord,
}

/// The list that a record names, out of the store; none where nothing was watched.
///
/// # Errors
/// [`ListingError::Store`], [`ListingError::Canonical`], and [`ListingError::OtherThanRecord`].
pub fn read(store: &Store, observed: &Observed) -> Result<Option<ObservedListing>, ListingError> {
    let Some(digest) = observed.listing else { return Ok(None) };
    let bytes = store.read_blob(&digest.blake3, canonical::MAX_DOCUMENT as u64)?;
    let listing: ObservedListing = canonical::from_slice(&bytes)?;
    if listing.summary(digest) == *observed { Ok(Some(listing)) } else { Err(ListingError::OtherThanRecord) }
}

/// What a build could read, by where it is inside.
pub(crate) struct Sources<'a> {
    pub(crate) lock: &'a Lock,
    pub(crate) root: &'a RootFilesystem,
    pub(crate) source: &'a SourceFiles,
    pub(crate) build_path: &'a str,
    /// The home directory, where it is a place of its own.
    pub(crate) home: Option<&'a str>,
    /// Whether the build's user is one that can open no more than everybody can.
    pub(crate) separate_user: bool,
}

/// The list of what was seen in `mode`, with the digests of the locked files that were read.
///
/// # Errors
/// [`ListingError`].
pub(crate) fn listing(mode: RecordMode, seen: Seen, sources: &Sources<'_>) -> Result<ObservedListing, ListingError> {
    let Seen { programs, paths, calls, network, mut lost, .. } = seen;
    let program = |place: Option<usize>| place.and_then(|place| programs.get(place)).cloned();
    let made: BTreeSet<&InsidePath> =
        paths.iter().filter(|(_, seen)| seen.made).map(|(path, seen)| seen.leads_to.as_ref().unwrap_or(path)).collect();
    let source = format!("{}/source", sources.build_path).into_bytes();
    let files: BTreeMap<&[u8], &Node> =
        sources.source.entries().iter().map(|file| (file.path.as_bytes(), &file.node)).collect();
    let place = Locator { sources, source: &source, files: &files, made: &made };
    let mut listed = BTreeMap::new();
    let mut digests = Digests::default();
    for (path, seen) in &paths {
        let target = seen.leads_to.as_ref().unwrap_or(path);
        let (origin, known) = place.origin(target, seen)?;
        let is_read = seen.uses.contains(&Use::Open) || seen.uses.contains(&Use::Execute);
        let digest = match known {
            _ if !is_read || seen.kind != Kind::File => None,
            Known::Digest(digest) => Some(digest),
            Known::OnDisk(bind, rest) if !sources.separate_user && digests.is_closed(bind, rest).unwrap_or(true) => {
                return Err(ListingError::Closed(target.clone()));
            }
            Known::OnDisk(bind, rest) => digests.of(bind, rest).unwrap_or_else(|_| {
                lost.insert(Loss::Undigested);
                None
            }),
            Known::Nothing => None,
        };
        let uses = seen.uses.clone();
        let (leads_to, by) = (seen.leads_to.clone(), program(seen.by));
        listed.insert(path.clone(), ObservedPath { origin, uses, leads_to, digest, by });
    }
    let askers =
        |asked: BTreeMap<String, Option<usize>>| asked.into_iter().map(|(what, by)| (what, program(by))).collect();
    Ok(ObservedListing {
        format: ListingFormat::V0_1,
        mode,
        lost,
        paths: listed,
        calls: askers(calls),
        network: askers(network),
    })
}

/// The inputs of `lock` that none of the paths in `listing` lead to: those that a build does not need, as far as it was
/// watched. The source is one input, whichever of its files was asked for.
#[must_use]
pub fn unused<'a>(lock: &'a Lock, listing: &ObservedListing) -> Vec<&'a InputName> {
    let touched = |name: &InputName| {
        let inside = format!("/inputs/{name}");
        listing.paths.iter().any(|(path, observed)| {
            let target = observed.leads_to.as_ref().unwrap_or(path);
            observed.origin == Origin::Input && target.as_bytes().strip_prefix(inside.as_bytes()).is_some_and(is_end)
        })
    };
    let source = listing.paths.values().any(|observed| observed.origin == Origin::Source);
    let is_unused = |input: &&reprove_model::Input| match input.role {
        Role::Source => !source,
        Role::Tool => !touched(&input.name),
        // What lays them out reads all of them.
        Role::Dependency => false,
        // Which files of the environment are whose is not known here.
        Role::Environment => false,
    };
    lock.inputs.iter().filter(is_unused).map(|input| &input.name).collect()
}

fn is_end(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(b"/")
}

/// `path` below `folder`, without the slash between; empty where it is the folder itself.
fn below<'p>(path: &'p [u8], folder: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(folder).filter(|rest| is_end(rest))?;
    Some(rest.strip_prefix(b"/").unwrap_or(rest))
}

/// What is known of the bytes of a file.
enum Known<'a> {
    Digest(Digest),
    /// It is this file below this directory of the machine.
    OnDisk(&'a Path, &'a [u8]),
    Nothing,
}

struct Locator<'a> {
    sources: &'a Sources<'a>,
    /// The folder with the source.
    source: &'a [u8],
    /// What the lock has in it.
    files: &'a BTreeMap<&'a [u8], &'a Node>,
    /// What the build made.
    made: &'a BTreeSet<&'a InsidePath>,
}

impl<'a> Locator<'a> {
    fn origin<'p: 'a>(&'a self, target: &'p InsidePath, seen: &SeenPath) -> Result<(Origin, Known<'a>), ListingError> {
        let path = target.as_bytes();
        if is_made_up(path) {
            let device = below(path, b"/dev").is_some();
            return Ok((if device { Origin::Device } else { Origin::Proc }, Known::Nothing));
        }
        if self.is_writable(path) {
            return Ok(self.in_writable(target, seen));
        }
        if seen.kind == Kind::Absent {
            return Ok((Origin::Absent, Known::Nothing));
        }
        if let Some(name) = below(path, b"/inputs").filter(|name| !name.is_empty()) {
            let input = self.sources.lock.inputs.iter().find(|input| input.name.as_str().as_bytes() == name);
            return match input.map(|input| &input.content) {
                Some(Content::File { digest, .. }) => Ok((Origin::Input, Known::Digest(digest.blake3))),
                _ => Err(ListingError::Unlocked(target.clone())),
            };
        }
        let root = self.sources.root;
        if root.hidden.iter().any(|hidden| below(path, hidden.as_bytes()) == Some(b"")) {
            return Ok((Origin::Environment, Known::Nothing));
        }
        if let Some((_, text)) = root.files.iter().find(|(inside, _)| inside.as_bytes() == path) {
            return Ok((Origin::Environment, Known::Digest(Digest::of(text.as_bytes()))));
        }
        let binds = root.binds.iter().filter_map(|(on_disk, inside)| Some((on_disk, below(path, inside.as_bytes())?)));
        if let Some((on_disk, rest)) = binds.min_by_key(|(_, rest)| rest.len()) {
            return Ok((Origin::Environment, Known::OnDisk(on_disk, rest)));
        }
        // The directories that lead to the parts, and the links beside them.
        let leads = |inside: &str| below(inside.as_bytes(), if path == b"/" { b"" } else { path }).is_some();
        let parts = root.binds.iter().map(|(_, inside)| inside.as_str());
        let parts = parts.chain(root.files.iter().chain(&root.links).map(|(inside, _)| inside.as_str()));
        let parts = parts.chain(["/inputs", "/dev/shm", "/proc", "/tmp", self.sources.build_path]);
        if parts.chain(self.sources.home).any(leads) {
            return Ok((Origin::Environment, Known::Nothing));
        }
        Err(ListingError::Unlocked(target.clone()))
    }

    /// Of a path in a derivation's folder or its store: whether the build can have made it, which is so of all but the paths
    /// that are there anyway. None of any other path.
    fn is_made_by_derivation(&self, path: &[u8]) -> Option<bool> {
        let Environment::Closure(closure) = &self.sources.lock.recipe.environment else { return None };
        if below(path, Closure::BUILD.as_bytes()).is_some() {
            return Some(true);
        }
        let name = below(path, closure.store.as_bytes())?.split(|byte| *byte == b'/').next().unwrap_or_default();
        let paths = self.sources.root.binds.iter().find(|(_, inside)| *inside == closure.store);
        let is_there = |(folder, _): &(std::path::PathBuf, String)| {
            folder.join(OsStr::from_bytes(name)).symlink_metadata().is_ok()
        };
        Some(name.is_empty() || !paths.is_some_and(is_there))
    }

    fn is_writable(&self, path: &[u8]) -> bool {
        if let Some(is_made) = self.is_made_by_derivation(path) {
            return is_made;
        }
        let places = [self.sources.build_path, "/tmp", "/dev/shm"].into_iter().chain(self.sources.home);
        places.into_iter().any(|folder| below(path, folder.as_bytes()).is_some())
    }

    /// Of a path where a build can write: the source's where the lock has it, else the build's own. Whether a call that would
    /// have made it anew succeeded is not seen, so that it may be the source's still.
    fn in_writable(&self, target: &InsidePath, seen: &SeenPath) -> (Origin, Known<'a>) {
        let own = self.is_made_by_derivation(target.as_bytes());
        let own = own.and_then(|_| below(target.as_bytes(), Closure::BUILD.as_bytes()));
        let own = own.map(|path| [Closure::FOLDERS[0].as_bytes(), b"/", path].concat());
        let locked = own.as_deref().or(below(target.as_bytes(), self.source));
        let node = locked.and_then(|path| self.files.get(path));
        match (locked, node) {
            (Some(b""), _) => (Origin::Source, Known::Nothing),
            (_, Some(Node::File { digest, .. })) => (Origin::Source, Known::Digest(digest.blake3)),
            (_, Some(_)) => (Origin::Source, Known::Nothing),
            _ if seen.kind == Kind::Absent && !seen.made && !self.made.contains(target) => {
                (Origin::Absent, Known::Nothing)
            }
            _ => (Origin::Written, Known::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use reprove_model::{DigestSet, Environment, Input, LockedEnvironment, Recipe};
    use reprove_store::IngestLimits;
    use tempfile::TempDir;

    use super::*;

    struct Bench {
        dir: TempDir,
        lock: Lock,
        root: RootFilesystem,
        source: SourceFiles,
    }

    impl Bench {
        /// A source with one file, one tool, and a root filesystem whose `/usr` has the file `x`.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("store")).unwrap();
            for folder in ["source", "usr"] {
                fs::create_dir(dir.path().join(folder)).unwrap();
                fs::write(dir.path().join(folder).join("x"), folder).unwrap();
            }
            let tree = store.add_tree(&dir.path().join("source"), IngestLimits::default(), &|_| false).unwrap();
            let recipe = "package.name='p'\nsource.directory='.'\nbuild.steps=['true']\noutputs.directory='out'\n";
            let locked = LockedEnvironment {
                kind: Environment::HostUsr,
                description: "this".into(),
                digest: DigestSet::of(b"usr"),
            };
            let input = |name: &str, role, content| Input { name: name.parse().unwrap(), role, purl: None, content };
            let tool = Content::File { digest: DigestSet::of(b"tool"), size: 4 };
            let inputs = vec![
                input("p", Role::Source, Content::Tree { digest: tree.digest() }),
                input("tool", Role::Tool, tool),
            ];
            let lock = Lock {
                recipe: Recipe::from_toml(recipe).unwrap(),
                inputs,
                environment: locked.clone(),
                published: None,
            };
            let source = SourceFiles::of(&lock, &store).unwrap();
            let root = RootFilesystem {
                locked,
                fingerprint: reprove_store::Fingerprint::none(),
                binds: vec![(dir.path().join("usr"), "/usr".into())],
                hidden: vec!["/usr/local".into()],
                links: vec![("/bin".into(), "usr/bin".into())],
                files: vec![("/etc/passwd".into(), "root\n".into())],
            };
            Self { dir, lock, root, source }
        }

        /// What one path, at which there is `kind`, is listed as after it was opened.
        fn list(&self, path: &str, kind: Kind, separate_user: bool) -> Result<ObservedPath, ListingError> {
            let path = InsidePath::new(path).unwrap();
            let mut one = SeenPath::new(None, kind, true, None);
            one.add(&[Use::Open]);
            let mut seen = Seen::default();
            seen.paths.insert(path.clone(), one);
            let Self { lock, root, source, .. } = self;
            let sources = Sources { lock, root, source, build_path: "/build", home: None, separate_user };
            Ok(listing(RecordMode::Files, seen, &sources)?.paths[&path].clone())
        }
    }

    #[test]
    fn each_place_has_its_origin() {
        let bench = Bench::new();
        for (path, kind, origin, digest) in [
            ("/build/source/x", Kind::File, Origin::Source, Some("source")),
            ("/build/source/y", Kind::File, Origin::Written, None),
            ("/build/source/y", Kind::Absent, Origin::Absent, None),
            ("/tmp/y", Kind::File, Origin::Written, None),
            ("/inputs/tool", Kind::File, Origin::Input, Some("tool")),
            ("/inputs/none", Kind::Absent, Origin::Absent, None),
            ("/usr/x", Kind::File, Origin::Environment, Some("usr")),
            ("/usr/local", Kind::Directory, Origin::Environment, None),
            ("/etc/passwd", Kind::File, Origin::Environment, Some("root\n")),
            ("/etc", Kind::Directory, Origin::Environment, None),
            ("/", Kind::Directory, Origin::Environment, None),
            ("/bin", Kind::Link, Origin::Environment, None),
            ("/dev/null", Kind::Other, Origin::Device, None),
            ("/proc/self/maps", Kind::Other, Origin::Proc, None),
        ] {
            let listed = bench.list(path, kind, true).unwrap();
            let digest = digest.map(|text| Digest::of(text.as_bytes()));
            assert_eq!((listed.origin, listed.digest), (origin, digest), "{path}");
        }
    }

    #[test]
    fn what_is_not_locked_is_an_error() {
        let bench = Bench::new();
        for path in ["/srv/x", "/inputs/other", "/inputs/tool/x", "/etc/shadow", "/usrx", "/builds"] {
            let found = bench.list(path, Kind::File, true);
            assert!(matches!(found, Err(ListingError::Unlocked(_))), "{path}: {found:?}");
            assert!(bench.list(path, Kind::Absent, true).is_ok(), "{path}");
        }
        fs::set_permissions(bench.dir.path().join("usr/x"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(bench.list("/usr/x", Kind::File, false), Err(ListingError::Closed(_))));
        assert_eq!(bench.list("/usr/x", Kind::File, true).unwrap().digest, None);
    }

    #[test]
    fn a_list_is_read_as_its_record_says_or_not_at_all() {
        let bench = Bench::new();
        let store = Store::open(&bench.dir.path().join("store")).unwrap();
        let Bench { lock, root, source, .. } = &bench;
        let sources = Sources { lock, root, source, build_path: "/build", home: None, separate_user: true };
        let list = listing(RecordMode::Files, Seen::interrupted(), &sources).unwrap();
        let (digest, _) = store.add_bytes(&canonical::to_vec(&list).unwrap()).unwrap();
        let observed = list.summary(digest);
        assert_eq!(read(&store, &observed).unwrap(), Some(list.clone()));
        assert_eq!(read(&store, &Observed::declared()).unwrap(), None);
        let other = Observed { lost: BTreeSet::new(), ..observed.clone() };
        assert!(matches!(read(&store, &other), Err(ListingError::OtherThanRecord)));
        let gone = list.summary(DigestSet::of(b"gone"));
        assert!(matches!(read(&store, &gone), Err(ListingError::Store(_))));
        assert_eq!(unused(lock, &list).len(), 2);
    }
}
