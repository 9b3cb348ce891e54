// SPDX-License-Identifier: Apache-2.0
//! An environment in a file system that somebody else has made, and that nobody can change: an image with a hash tree, in a
//! virtual machine. Nothing is believed of it but the lock's digest, which has to come of all that is read here.
//!
//! What the digest does not cover is the same in every kept environment, and has to be so in this one: owner, times, no
//! extended attributes, no devices. What a digest of this machine's files leaves out, since no build can read it, is not left
//! out here: there is no such thing in a kept environment.

use std::fs::{self, File, Metadata};
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use reprove_model::{Digest, DigestSet, Environment, LockedEnvironment};
use reprove_store::{Fingerprint, MAPPED};
use rustix::fs::llistxattr;
use rustix::io::Errno;
use thiserror::Error;

use crate::keep::{KeepError, Parts, Shape};
use crate::{RootFilesystem, debian};

/// Why what is mounted is not the environment that is locked.
#[derive(Debug, Error)]
pub enum MountedError {
    /// A machine's `/usr` is no kept environment.
    #[error("a machine's /usr is no environment that all files of are in one image")]
    HostUsr,
    /// The files are others.
    #[error(
        "the image of the environment has other files than the lock says: their digest is {here}, and should be {locked}; remove it from the store's folder `guest`, to have it made again"
    )]
    Other {
        /// In the lock.
        locked: Digest,
        /// Here.
        here: Digest,
    },
    /// Something has what no file of a kept environment has.
    #[error("in the image of the environment {} {what}, as nothing in an environment does", path.display())]
    Unlike {
        /// Which file.
        path: PathBuf,
        /// What it has.
        what: &'static str,
    },
    /// It can't be read.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// A file can't be looked at.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The environment `locked`, whose files are in `files`, which nothing can change any more. Every file is read.
///
/// # Errors
/// See [`MountedError`].
pub fn mounted(files: &Path, locked: &LockedEnvironment) -> Result<RootFilesystem, MountedError> {
    owned_by(files, locked, (0, 0))
}

fn owned_by(files: &Path, locked: &LockedEnvironment, owner: (u32, u32)) -> Result<RootFilesystem, MountedError> {
    let shape = Shape::of(&locked.kind).ok_or(MountedError::HostUsr)?;
    let links = match &locked.kind {
        Environment::Debian(_) => {
            let is_folder = |name: &str| fs::symlink_metadata(files.join(name)).is_ok_and(|found| found.is_dir());
            debian::base::links(is_folder)
        }
        Environment::Image(_) => links(&Parts::within(files, &shape))?,
        Environment::HostUsr | Environment::Closure(_) => Vec::new(),
    };
    let parts = Parts::within(files, &shape);
    let here = digest(&parts, shape.time, owner)?;
    if here != locked.digest {
        return Err(MountedError::Other { locked: locked.digest.blake3, here: here.blake3 });
    }
    let binds = parts.folders()?.into_iter().map(|(name, path)| (path, format!("/{name}"))).collect();
    // Nothing is looked at again: nothing can change it.
    let (locked, fingerprint) = (locked.clone(), Fingerprint::none());
    Ok(RootFilesystem { locked, fingerprint, binds, hidden: Vec::new(), links, files: shape.files })
}

/// Of all that is part of it, each of which is as in every kept environment.
fn digest(parts: &Parts, time: u64, owner: (u32, u32)) -> Result<DigestSet, MountedError> {
    let unlike = OnceLock::new();
    let look = |path: &Path, metadata: &Metadata| {
        if let Err(error) = looks_alike(path, metadata, time, owner) {
            // One is enough.
            let _ = unlike.set(error);
        }
        false
    };
    for (name, part) in parts.folders()? {
        // A link above it would have what is mounted come from elsewhere.
        for above in part.ancestors().take(name.split('/').count()) {
            let metadata = fs::symlink_metadata(above).map_err(at(above))?;
            if !metadata.is_dir() {
                return Err(MountedError::Unlike { path: above.to_owned(), what: "is a link" });
            }
            look(above, &metadata);
        }
    }
    let digest = parts.digest_but_for(&look)?;
    unlike.into_inner().map_or(Ok(digest), Err)
}

/// Whether a file has nothing that the digest does not cover and a build could see.
fn looks_alike(path: &Path, metadata: &Metadata, time: u64, owner: (u32, u32)) -> Result<(), MountedError> {
    let unlike = |what| Err(MountedError::Unlike { path: path.to_owned(), what });
    let kind = metadata.file_type();
    if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
        return unlike("is no file, folder or link");
    }
    if (metadata.uid(), metadata.gid()) != owner {
        return unlike("has another owner");
    }
    // `tar` and `cp` would write one of two names as a link.
    if kind.is_file() && metadata.nlink() > 1 {
        return unlike("has another name");
    }
    if (u64::try_from(metadata.mtime()), metadata.mtime_nsec()) != (Ok(time), 0) {
        return unlike("has another time");
    }
    match llistxattr(path, &mut [0_u8; 256]) {
        Ok(0) | Err(Errno::OPNOTSUPP) => {}
        // More than there is room for is more than none.
        Ok(_) | Err(Errno::RANGE) => return unlike("has extended attributes"),
        Err(error) => return Err(at(path)(error.into())),
    }
    // To hash it, it may be mapped: a block that is not the tree's would then end the process, and nobody could say why.
    if kind.is_file() && metadata.len() >= MAPPED {
        let file = File::open(path).map_err(at(path))?;
        io::copy(&mut BufReader::with_capacity(1 << 16, file), &mut io::sink()).map_err(at(path))?;
    }
    Ok(())
}

/// The links at the top, and what each points at.
fn links(parts: &Parts) -> Result<Vec<(String, String)>, MountedError> {
    let mut links = Vec::new();
    for (name, path, _) in parts.top()? {
        if fs::symlink_metadata(&path).map_err(at(&path))?.is_symlink() {
            let target = fs::read_link(&path).map_err(at(&path))?;
            // As where it was kept: see `oci::system`.
            links.extend(target.to_str().map(|target| (format!("/{name}"), target.to_owned())));
        }
    }
    Ok(links)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> MountedError {
    let path = path.to_owned();
    move |source| MountedError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use nix::fcntl::AT_FDCWD;
    use nix::sys::stat::{Mode, UtimensatFlags, utimensat};
    use nix::sys::time::TimeSpec;
    use nix::unistd::{getegid, geteuid, mkfifo};
    use reprove_model::{Closure, Debian, DigestSet};
    use reprove_store::hash_tree;
    use rustix::fs::{XattrFlags, lsetxattr};
    use tempfile::TempDir;

    use super::*;

    const TIME: i64 = 1_577_836_800;

    fn set_time(path: &Path, seconds: i64) {
        let time = TimeSpec::new(seconds, 0);
        utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
    }

    /// A small system, and what locks call it.
    fn system() -> (TempDir, LockedEnvironment) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["etc", "usr/bin"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("usr/bin/tool"), "a tool").unwrap();
        symlink("tool", at("usr/bin/link")).unwrap();
        for path in ["usr/bin/link", "usr/bin/tool", "usr/bin", "usr", "etc"] {
            set_time(&at(path), TIME);
        }
        let digest = hash_tree(&[("etc", &at("etc")), ("usr", &at("usr"))], &|_, _| false).unwrap();
        let kind = Environment::Debian(Debian { debian: "bookworm".into(), packages: Vec::new() });
        let locked = LockedEnvironment { kind, description: "a system".into(), digest };
        (dir, locked)
    }

    fn take(files: &Path, locked: &LockedEnvironment) -> Result<RootFilesystem, MountedError> {
        owned_by(files, locked, (geteuid().as_raw(), getegid().as_raw()))
    }

    #[test]
    fn an_environment_that_is_mounted_has_the_digest_of_its_lock_and_nothing_beside() {
        let (dir, locked) = system();
        let root = take(dir.path(), &locked).unwrap();
        assert_eq!(root.locked, locked);
        assert_eq!(root.links, [("/bin".to_owned(), "usr/bin".to_owned())]);
        let inside: Vec<&str> = root.binds.iter().map(|(_, inside)| inside.as_str()).collect();
        assert_eq!((inside, root.hidden.len()), (vec!["/etc", "/usr"], 0));
        // As somebody else's file.
        let error = owned_by(dir.path(), &locked, (1, 2)).unwrap_err();
        assert!(error.to_string().contains("has another owner"), "{error}");
        let other = LockedEnvironment { digest: DigestSet::of(b"other"), ..locked.clone() };
        let error = take(dir.path(), &other).unwrap_err();
        assert!(matches!(error, MountedError::Other { here, .. } if here == locked.digest.blake3), "{error}");
        let usr = LockedEnvironment { kind: Environment::HostUsr, ..locked };
        assert!(matches!(take(dir.path(), &usr), Err(MountedError::HostUsr)));
    }

    /// Each of these is a change that a build could see.
    #[test]
    fn what_a_kept_environment_does_not_have_is_refused() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 10] = [
            ("other files", |files| fs::write(files.join("usr/bin/tool"), "b tool").unwrap()),
            ("other files", |files| {
                fs::set_permissions(files.join("usr/bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
            }),
            // Which a digest of this machine's files would leave out.
            ("other files", |files| {
                fs::write(files.join("usr/bin/closed"), "").unwrap();
                fs::set_permissions(files.join("usr/bin/closed"), fs::Permissions::from_mode(0o700)).unwrap();
            }),
            ("other files", |files| fs::create_dir(files.join("var")).unwrap()),
            ("no file, folder or link", |files| mkfifo(&files.join("usr/bin/pipe"), Mode::S_IRWXU).unwrap()),
            ("has another time", |files| set_time(&files.join("usr/bin"), TIME + 1)),
            ("extended attributes", |files| {
                lsetxattr(files.join("usr"), "user.x", b"1", XattrFlags::empty()).unwrap();
            }),
            // More of them than are asked for at once.
            ("extended attributes", |files| {
                for name in ["x", "y"].map(|letter| format!("user.{}", letter.repeat(200))) {
                    lsetxattr(files.join("usr"), &*name, b"1", XattrFlags::empty()).unwrap();
                }
            }),
            ("has another name", |files| fs::hard_link(files.join("usr/bin/tool"), files.join("apart")).unwrap()),
            ("is a link", |files| {
                fs::rename(files.join("usr"), files.join("other")).unwrap();
                symlink("other", files.join("usr")).unwrap();
            }),
        ];
        for (number, (said, change)) in changes.into_iter().enumerate() {
            let (dir, locked) = system();
            change(dir.path());
            for path in ["usr/bin/tool", "usr/bin/closed", "usr/bin/pipe", "usr", "var"] {
                if fs::symlink_metadata(dir.path().join(path)).is_ok() {
                    set_time(&dir.path().join(path), TIME);
                }
            }
            if said != "has another time" && dir.path().join("usr/bin").is_dir() {
                set_time(&dir.path().join("usr/bin"), TIME);
            }
            let found = take(dir.path(), &locked).map(|root| root.binds).map_err(|error| error.to_string());
            assert!(found.as_ref().is_err_and(|error| error.contains(said)), "{number}: {found:?}");
        }
    }

    /// What leads to a store is a folder as well.
    #[test]
    fn nothing_that_leads_to_an_environment_is_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("nix/store/one")).unwrap();
        for path in ["nix/store/one", "nix/store", "nix"] {
            set_time(&at(path), 1);
        }
        let digest = hash_tree(&[("nix/store", &at("nix/store"))], &|_, _| false).unwrap();
        let kind = Environment::Closure(Closure { store: "/nix/store".into() });
        let locked = LockedEnvironment { kind, description: "paths".into(), digest };
        let root = take(dir.path(), &locked).unwrap();
        assert_eq!(root.binds, [(at("nix/store"), "/nix/store".to_owned())]);
        fs::rename(at("nix"), at("other")).unwrap();
        symlink("other", at("nix")).unwrap();
        let error = take(dir.path(), &locked).unwrap_err();
        assert!(matches!(&error, MountedError::Unlike { what: "is a link", .. }), "{error}");
    }
}
