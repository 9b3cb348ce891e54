// SPDX-License-Identifier: Apache-2.0
//! This machine's `/usr` as a build's root filesystem.
//!
//! `/usr/local` appears empty: what was put there by hand is not the distribution's. Of `/etc` the build sees
//! `/etc/alternatives` (the links in `/usr/bin` go through it) and a few files that are the same everywhere. What others than
//! its owner and group can neither read nor execute is left out of the digest: no build can.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use reprove_model::{Digest, DigestSet, Environment, LockedEnvironment};
use reprove_store::{Fingerprint, HashTreeError, Store, hash_tree, stat_fingerprint};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::RootFilesystem;
use crate::keep::{KeepError, Parts, Shape, folder_of};

/// Why this machine's `/usr` can't be a root filesystem.
#[derive(Debug, Error)]
pub enum EnvironmentError {
    /// `/bin` or the like is a directory of its own.
    #[error(
        "/{0} is not a link to usr/{0}: this machine's /usr is not the whole of its system (Debian: install `usrmerge`)"
    )]
    NotMerged(&'static str),
    /// It changed while its digest was taken, and changed again when it was taken anew.
    #[error("this machine's /usr changes while its digest is taken: something is being installed")]
    Changing,
    /// The files could not be read.
    #[error(transparent)]
    Hash(#[from] HashTreeError),
    /// Those of a kept environment could not be.
    #[error(transparent)]
    Kept(Box<KeepError>),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The merged directories: a link in `/` to the one in `/usr`. The last ones need not exist.
const MERGED: [&str; 6] = ["bin", "lib", "sbin", "lib64", "lib32", "libx32"];

/// What a root filesystem of this machine's `/usr` is made of, found without reading any of its files. The fields are those of
/// [`RootFilesystem`].
#[derive(Clone, Debug)]
pub struct HostParts {
    /// Directories of this machine and where they appear, absolute.
    pub binds: Vec<(PathBuf, String)>,
    /// Directories inside a bind that appear empty, absolute.
    pub hidden: Vec<String>,
    /// Symbolic links, absolute, and what they point at.
    pub links: Vec<(String, String)>,
    /// Small files, absolute, and what is in them.
    pub files: Vec<(String, String)>,
}

impl HostParts {
    /// The root filesystem with this digest, taken while the files had this fingerprint.
    #[must_use]
    pub fn digested(self, digest: DigestSet, fingerprint: Digest) -> RootFilesystem {
        let fingerprint = Fingerprint { all: fingerprint, ..Fingerprint::none() };
        let Self { binds, hidden, links, files } = self;
        let locked = LockedEnvironment { kind: Environment::HostUsr, description: description(), digest };
        RootFilesystem { locked, fingerprint, binds, hidden, links, files }
    }
}

/// Whether these are what every root filesystem of a machine's `/usr` has beside it: for somebody who is told of one by whom
/// nobody has to believe. `parts` are where directories appear, beside `/usr`.
#[must_use]
pub fn is_host_root<'a>(
    mut parts: impl Iterator<Item = &'a str>,
    hidden: &[String],
    links: &[(String, String)],
    files: &[(String, String)],
) -> bool {
    let is_merged = |(at, to): &(String, String)| {
        MERGED.iter().any(|name| *at == format!("/{name}") && *to == format!("usr/{name}"))
    };
    let is_once =
        |(number, link): (usize, &(String, String))| links.iter().skip(number + 1).all(|other| other.0 != link.0);
    parts.all(|part| part == ALTERNATIVES)
        && hidden == [HIDDEN]
        && links.iter().all(is_merged)
        && links.iter().enumerate().all(is_once)
        && files == fixed_files()
}

/// The links that the distribution's programs are chosen by.
const ALTERNATIVES: &str = "/etc/alternatives";
/// What appears empty.
const HIDDEN: &str = "/usr/local";

/// What a root filesystem of this machine's `/usr` is made of. Takes no time.
///
/// # Errors
/// [`EnvironmentError::NotMerged`].
pub fn host_parts() -> Result<HostParts, EnvironmentError> {
    let mut links = Vec::new();
    for name in MERGED {
        match fs::read_link(Path::new("/").join(name)) {
            Ok(target) if target == Path::new("usr").join(name) => {
                links.push((format!("/{name}"), format!("usr/{name}")))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Ok(_) | Err(_) => return Err(EnvironmentError::NotMerged(name)),
        }
    }
    let mut binds = vec![(PathBuf::from("/usr"), "/usr".to_owned())];
    if Path::new(ALTERNATIVES).is_dir() {
        binds.push((ALTERNATIVES.into(), ALTERNATIVES.into()));
    }
    let hidden = vec![HIDDEN.into()];
    Ok(HostParts { binds, hidden, links, files: fixed_files() })
}

/// This machine's `/usr`, digested. The digest is remembered in the store, and taken again when any inode has changed.
///
/// `now` is in seconds since 1970. `slow` is called once before something that takes seconds.
///
/// # Errors
/// See [`EnvironmentError`].
pub fn host_usr(store: &Store, now: i64, slow: &dyn Fn()) -> Result<RootFilesystem, EnvironmentError> {
    let parts = host_parts()?;
    let Remembered { fingerprint, digest } = digest(store, &parts.binds, now, slow)?;
    Ok(parts.digested(digest, fingerprint))
}

/// Whether the files of `root` are still those that its digest was taken of, as far as their inodes tell. Where those of a kept
/// environment tell that one has another name now, which is no change, or may have been written to, they are read again.
///
/// # Errors
/// [`EnvironmentError::Hash`] and [`EnvironmentError::Kept`], also where a file goes while they are looked at.
pub fn unchanged(root: &RootFilesystem) -> Result<bool, EnvironmentError> {
    let look = || Ok::<_, EnvironmentError>(stat_fingerprint(&roots(&root.binds), &is_left_out)?.0);
    let now = look()?;
    if now.all == root.fingerprint.all {
        return Ok(true);
    }
    let (Some(shape), Ok(folder)) = (Shape::of(&root.locked.kind), folder_of(root)) else { return Ok(false) };
    if now.but_for_changes != root.fingerprint.but_for_changes {
        return Ok(false);
    }
    // Names may come and go while they are read; a file that is written to behind its reader may look like that.
    let mut now = now;
    for _ in 0..MOST_READINGS {
        let digest =
            Parts::within(&folder, &shape).digest().map_err(|error| EnvironmentError::Kept(Box::new(error)))?;
        let then = look()?;
        if digest != root.locked.digest || then.but_for_changes != now.but_for_changes {
            return Ok(false);
        }
        if then.all == now.all {
            return Ok(true);
        }
        now = then;
    }
    Ok(false)
}

/// How often an environment is read whose files go on getting and losing names. What it is then is not known.
const MOST_READINGS: usize = 5;

/// What was digested when the files had this fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    fingerprint: Digest,
    digest: DigestSet,
}

/// The binds as [`hash_tree`] takes them.
fn roots(binds: &[(PathBuf, String)]) -> Vec<(&str, &Path)> {
    binds.iter().map(|(on_disk, inside)| (inside.trim_start_matches('/'), on_disk.as_path())).collect()
}

fn digest(
    store: &Store,
    binds: &[(PathBuf, String)],
    now: i64,
    slow: &dyn Fn(),
) -> Result<Remembered, EnvironmentError> {
    let roots = roots(binds);
    let path = store.root().join("host-usr.json");
    let look = || stat_fingerprint(&roots, &is_left_out).map(|(found, newest)| (found.all, newest));
    let (fingerprint, newest) = look()?;
    if let Some(remembered) = remembered(&path)
        && remembered.fingerprint == fingerprint
    {
        return Ok(remembered);
    }
    slow();
    let (taken, newest) = still((fingerprint, newest), || Ok(hash_tree(&roots, &is_left_out)?), || Ok(look()?))?;
    if newest < now - 2 {
        let io_error = |source| EnvironmentError::Io { path: path.clone(), source };
        let json = serde_json::to_vec(&taken).map_err(|e| io_error(e.into()))?;
        let temp = store.temp_file().map_err(|e| io_error(io::Error::other(e)))?;
        fs::write(temp.path(), json).map_err(io_error)?;
        temp.persist(&path).map_err(|e| io_error(e.error))?;
    }
    Ok(taken)
}

/// A digest that was taken while nothing changed, and the newest change before it; tried twice.
fn still(
    mut before: (Digest, i64),
    hash: impl Fn() -> Result<DigestSet, EnvironmentError>,
    look: impl Fn() -> Result<(Digest, i64), EnvironmentError>,
) -> Result<(Remembered, i64), EnvironmentError> {
    for _ in 0..2 {
        let digest = hash()?;
        let after = look()?;
        if after.0 == before.0 {
            return Ok((Remembered { fingerprint: after.0, digest }, after.1));
        }
        before = after;
    }
    Err(EnvironmentError::Changing)
}

/// The most bytes of the remembered digest; it has some 300.
const MAX_REMEMBERED: u64 = 4096;

/// What was remembered at `path`, where nobody but this user can have written it.
fn remembered(path: &Path) -> Option<Remembered> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_REMEMBERED).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// What is no part of the digest: it appears empty, or is closed.
pub(crate) fn is_left_out(path: &Path, metadata: &Metadata) -> bool {
    path == Path::new("/usr/local") || is_closed(metadata)
}

/// Whether a build can neither read nor execute it: a build's user owns nothing of it, and is in none of its groups. What
/// is closed is not part of what a build sees, so that everybody takes the same digest.
fn is_closed(metadata: &Metadata) -> bool {
    !metadata.is_symlink() && metadata.mode() & 0o005 == 0
}

fn description() -> String {
    let text = fs::read_to_string("/usr/lib/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "an unnamed system".into(), |name| name.trim_matches('"').to_owned())
}

/// Small files that are the same in every root filesystem.
pub(crate) fn fixed_files() -> Vec<(String, String)> {
    let passwd =
        "root:x:0:0:root:/:/bin/sh\nbuild:x:1000:1000:build:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n";
    let group = "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n";
    [
        ("/etc/passwd", passwd),
        ("/etc/group", group),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// The remembered digest is the one that hashing gives, and is forgotten when the fingerprint is another.
    #[test]
    fn the_digest_is_remembered_while_nothing_changes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let files = dir.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("a"), "a").unwrap();
        let binds = [(files.clone(), "/usr".to_owned())];
        let hashed = std::cell::Cell::new(0);
        let take = |now| digest(&store, &binds, now, &|| hashed.set(hashed.get() + 1)).unwrap().digest;
        let first = take(0);
        assert_eq!((take(0), hashed.get()), (first, 2), "what has just changed is not remembered");
        assert_eq!((take(i64::MAX), take(0), hashed.get()), (first, first, 3));
        fs::write(files.join("a"), "b").unwrap();
        assert_ne!(take(0), first);
    }

    #[test]
    fn a_root_that_has_more_than_it_may_is_told_from_one() {
        let HostParts { binds, hidden, links, files, .. } = host_parts().unwrap();
        let parts: Vec<String> = binds.into_iter().map(|(_, at)| at).filter(|at| at != "/usr").collect();
        let of = |parts: &[String], hidden: &[String], links: &[(String, String)], files: &[(String, String)]| {
            is_host_root(parts.iter().map(String::as_str), hidden, links, files)
        };
        assert!(of(&parts, &hidden, &links, &files));
        assert!(of(&[], &hidden, &links, &files), "there need be no alternatives");
        let more =
            |one: &[(String, String)], pair: (&str, &str)| [one, &[(pair.0.to_owned(), pair.1.to_owned())]].concat();
        assert!(!of(&["/usr/bin".into()], &hidden, &links, &files));
        assert!(!of(&parts, &[], &links, &files));
        assert!(!of(&parts, &["/usr/local".into(), "/usr/lib".into()], &links, &files));
        assert!(!of(&parts, &hidden, &more(&links, ("/bin", "usr/bin")), &files), "twice");
        assert!(!of(&parts, &hidden, &more(&links, ("/sbin", "usr/local/bin")), &files));
        assert!(!of(&parts, &hidden, &more(&links, ("/etc/passwd", "usr/x")), &files));
        assert!(!of(&parts, &hidden, &links, &more(&files, ("/etc/ld.so.preload", "/build/x.so"))));
        assert!(!of(&parts, &hidden, &links, &[]));
    }

    #[test]
    fn what_no_build_can_read_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let files = dir.path().join("files");
        fs::create_dir_all(files.join("open")).unwrap();
        let take = || digest(&store, &[(files.clone(), "/usr".to_owned())], 0, &|| {}).unwrap().digest;
        let before = take();
        for (name, mode, changes) in [("closed", 0o750, false), ("searchable", 0o751, true), ("readable", 0o754, true)]
        {
            let path = files.join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(take() != before, changes, "{name}");
            fs::remove_dir(&path).unwrap();
        }
    }
    /// A digest that somebody else could have put there is not believed.
    #[test]
    fn only_this_user_s_memory_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host-usr.json");
        let one = Remembered { fingerprint: Digest::of(b"f"), digest: DigestSet::of(b"d") };
        fs::write(&path, serde_json::to_vec(&one).unwrap()).unwrap();
        for (mode, believed) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(remembered(&path), believed.then_some(one), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(remembered(&link), None);
        assert_eq!(remembered(dir.path()), None);
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(remembered(&dir.path().join("pipe")), None);
        if geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
            assert_eq!(remembered(&path), None);
        }
    }

    #[test]
    fn what_changes_while_it_is_hashed_is_hashed_again_and_then_refused() {
        let at = |n: u8| (Digest::of(&[n]), i64::from(n));
        let take = |looks: [u8; 2]| {
            let hashed = std::cell::Cell::new(0);
            let hash = || {
                hashed.set(hashed.get() + 1);
                Ok(DigestSet::of(&[hashed.get()]))
            };
            still(at(0), hash, || Ok(at(looks[usize::from(hashed.get()) - 1])))
        };
        let (taken, newest) = take([0, 9]).unwrap();
        assert_eq!((taken.fingerprint, taken.digest, newest), (at(0).0, DigestSet::of(&[1]), 0));
        let (taken, newest) = take([1, 1]).unwrap();
        assert_eq!((taken.fingerprint, taken.digest, newest), (at(1).0, DigestSet::of(&[2]), 1));
        assert!(matches!(take([1, 2]), Err(EnvironmentError::Changing)));
    }

    #[test]
    fn a_change_after_the_digest_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let files = dir.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("a"), "a").unwrap();
        let parts = HostParts { binds: vec![(files.clone(), "/usr".to_owned())], ..host_parts().unwrap() };
        let taken = digest(&store, &parts.binds, 0, &|| {}).unwrap();
        let root = parts.digested(taken.digest, taken.fingerprint);
        assert!(unchanged(&root).unwrap());
        fs::write(files.join("a"), "b").unwrap();
        assert!(!unchanged(&root).unwrap());
    }
}
