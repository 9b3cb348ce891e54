// SPDX-License-Identifier: Apache-2.0
//! This machine's `/usr` as a build's root filesystem.
//!
//! `/usr/local` appears empty: what was put there by hand is not the distribution's. Of `/etc` the build sees
//! `/etc/alternatives` (the links in `/usr/bin` go through it) and a few files that are the same everywhere. What others than
//! its owner and group can neither read nor execute is left out of the digest: no build can.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use reprove_model::{Digest, DigestSet, Environment, LockedEnvironment};
use reprove_store::{HashTreeError, Store, hash_tree, stat_fingerprint};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::RootFilesystem;

/// Why this machine's `/usr` can't be a root filesystem.
#[derive(Debug, Error)]
pub enum EnvironmentError {
    /// `/bin` or the like is a directory of its own.
    #[error(
        "/{0} is not a link to usr/{0}: this machine's /usr is not the whole of its system (Debian: install `usrmerge`)"
    )]
    NotMerged(&'static str),
    /// The files could not be read.
    #[error(transparent)]
    Hash(#[from] HashTreeError),
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

/// This machine's `/usr`, digested. The digest is remembered in the store, and taken again when any inode has changed.
///
/// `now` is in seconds since 1970. `slow` is called once before something that takes seconds.
///
/// # Errors
/// See [`EnvironmentError`].
pub fn host_usr(store: &Store, now: i64, slow: &dyn Fn()) -> Result<RootFilesystem, EnvironmentError> {
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
    if Path::new("/etc/alternatives").is_dir() {
        binds.push(("/etc/alternatives".into(), "/etc/alternatives".into()));
    }
    let digest = digest(store, &binds, now, slow)?;
    Ok(RootFilesystem {
        locked: LockedEnvironment { kind: Environment::HostUsr, description: description(), digest },
        binds,
        hidden: vec!["/usr/local".into()],
        links,
        files: fixed_files(),
        clock_library: clock_library(),
    })
}

/// What was digested when the files had this fingerprint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    fingerprint: Digest,
    digest: DigestSet,
}

fn digest(
    store: &Store,
    binds: &[(PathBuf, String)],
    now: i64,
    slow: &dyn Fn(),
) -> Result<DigestSet, EnvironmentError> {
    let roots: Vec<(&str, &Path)> =
        binds.iter().map(|(on_disk, inside)| (inside.trim_start_matches('/'), on_disk.as_path())).collect();
    let skip = |path: &Path, metadata: &Metadata| path == Path::new("/usr/local") || is_closed(metadata);
    let path = store.root().join("host-usr.json");
    let remembered: Option<Remembered> = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let (fingerprint, newest) = stat_fingerprint(&roots, &skip)?;
    if let Some(remembered) = remembered
        && remembered.fingerprint == fingerprint
    {
        return Ok(remembered.digest);
    }
    slow();
    let digest = hash_tree(&roots, &skip)?;
    let unchanged = stat_fingerprint(&roots, &skip)?.0 == fingerprint;
    if unchanged && newest < now - 2 {
        let io_error = |source| EnvironmentError::Io { path: path.clone(), source };
        let json = serde_json::to_vec(&Remembered { fingerprint, digest }).map_err(|e| io_error(e.into()))?;
        let temp = store.temp_file().map_err(|e| io_error(io::Error::other(e)))?;
        fs::write(temp.path(), json).map_err(io_error)?;
        temp.persist(&path).map_err(|e| io_error(e.error))?;
    }
    Ok(digest)
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

fn fixed_files() -> Vec<(String, String)> {
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

fn clock_library() -> Option<String> {
    let path = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
    Path::new(&path).is_file().then_some(path)
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
        let take = |now| digest(&store, &binds, now, &|| hashed.set(hashed.get() + 1)).unwrap();
        let first = take(0);
        assert_eq!((take(0), hashed.get()), (first, 2), "what has just changed is not remembered");
        assert_eq!((take(i64::MAX), take(0), hashed.get()), (first, first, 3));
        fs::write(files.join("a"), "b").unwrap();
        assert_ne!(take(0), first);
    }

    #[test]
    fn what_no_build_can_read_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let files = dir.path().join("files");
        fs::create_dir_all(files.join("open")).unwrap();
        let take = || digest(&store, &[(files.clone(), "/usr".to_owned())], 0, &|| {}).unwrap();
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
}
