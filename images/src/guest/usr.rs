// SPDX-License-Identifier: Apache-2.0
//! `/usr` as one read-only image: an erofs file system, and behind it a hash tree.
//!
//! It has what the environment's digest covers and nothing else: no times, no owners, no extended attributes, and nothing
//! that the digest leaves out. It is made once for each digest and kept in the store's folder `guest`.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::unistd::geteuid;
use reprove_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::verity::{Verity, append_tree};
use crate::host::is_left_out;
use crate::{EnvironmentError, RootFilesystem, unchanged};

/// Why there is no image.
#[derive(Debug, Error)]
pub enum UsrError {
    /// `/usr` changed while it was made.
    #[error("this machine's /usr changed since its digest was taken: something is being installed")]
    Changed,
    /// The root filesystem has no `/usr`.
    #[error("the root filesystem has no /usr to make an image of")]
    NoUsr,
    /// `mkfs.erofs` is not there.
    #[error("there is no mkfs.erofs to make an image of /usr with (Debian: install `erofs-utils`)")]
    NoProgram,
    /// `mkfs.erofs` failed.
    #[error("mkfs.erofs could not make an image of /usr: {0}")]
    Failed(String),
    /// The files can't be looked at.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// An image of `/usr`, open for reading, so that it is there as long as the value.
#[derive(Clone, Debug)]
pub struct UsrImage {
    /// The image with its hash tree.
    pub file: Arc<File>,
    /// What a kernel has to be told of it.
    pub verity: Verity,
}

/// What is kept beside an image.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    verity: Verity,
}

/// The store's folder for images.
pub(super) const FOLDER: &str = "guest";
/// How it is written matters for the bytes of images: another number makes others.
const FORMAT: u32 = 1;

/// The image of `root`'s `/usr`, made where it is not there yet. Others of this store are then removed.
///
/// `slow` is called once before it is made, which takes a minute for some gigabytes.
///
/// # Errors
/// See [`UsrError`].
pub fn usr_image(store: &Store, root: &RootFilesystem, slow: &dyn Fn()) -> Result<UsrImage, UsrError> {
    let folder = store.root().join(FOLDER);
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let lock = File::create(folder.join("lock")).map_err(at(&folder))?;
    // Where two want the same image, one waits until the other has made it.
    lock.lock().map_err(at(&folder))?;
    let name = format!("usr-{FORMAT}-{}", root.locked.digest.blake3);
    let (path, kept) = (folder.join(format!("{name}.img")), folder.join(format!("{name}.json")));
    if let Some(image) = there(&path, &kept) {
        return Ok(image);
    }
    slow();
    let (usr, _) = root.binds.iter().find(|(_, inside)| inside == "/usr").ok_or(UsrError::NoUsr)?;
    let temporary = store.temp_file()?;
    let hidden: Vec<&str> = root.hidden.iter().filter_map(|inside| inside.strip_prefix("/usr/")).collect();
    make(usr, &hidden, temporary.path())?;
    let mut file = File::options().read(true).write(true).open(temporary.path()).map_err(at(temporary.path()))?;
    let verity = append_tree(&mut file).map_err(at(temporary.path()))?;
    file.sync_all().map_err(at(temporary.path()))?;
    if !unchanged(root)? {
        return Err(UsrError::Changed);
    }
    remove_others(&folder, &name)?;
    let json = serde_json::to_vec(&Kept { verity }).map_err(|e| at(&kept)(e.into()))?;
    let beside = store.temp_file()?;
    fs::write(beside.path(), json).map_err(at(&kept))?;
    temporary.persist(&path).map_err(|e| at(&path)(e.error))?;
    // Last: it says that the image is whole.
    beside.persist(&kept).map_err(|e| at(&kept)(e.error))?;
    there(&path, &kept).ok_or(UsrError::Changed)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> UsrError {
    let path = path.to_owned();
    move |source| UsrError::Io { path, source }
}

fn there(path: &Path, kept: &Path) -> Option<UsrImage> {
    let Kept { verity } = serde_json::from_slice(&fs::read(kept).ok()?).ok()?;
    let file = File::open(path).ok()?;
    Some(UsrImage { file: Arc::new(file), verity })
}

#[expect(clippy::disallowed_methods, reason = "the order in which they are removed shows nowhere")]
fn remove_others(folder: &Path, name: &str) -> Result<(), UsrError> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        if file.starts_with("usr-") && !file.starts_with(name) {
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}

/// Puts an empty directory over each hidden one, so that it has the same mode everywhere, and makes the image. Arguments: how
/// many are hidden, they, and the arguments of `mkfs.erofs`.
const SCRIPT: &str = "n=$1; shift; while [ \"$n\" -gt 0 ]; do mount -t tmpfs -o mode=0755,size=4k none \"$1\"; shift; \
                      n=$((n - 1)); done; exec mkfs.erofs \"$@\"";

/// Runs `mkfs.erofs` in a mount namespace of its own; it ends with this thread.
fn make(usr: &Path, hidden: &[&str], to: &Path) -> Result<(), UsrError> {
    let hidden: Vec<PathBuf> = hidden.iter().map(|name| usr.join(name)).filter(|path| path.is_dir()).collect();
    let mut closed = Vec::new();
    left_out(usr, usr, &hidden, &mut closed, 0)?;
    closed.sort();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount"]);
    if !geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-ec", SCRIPT, "sh"]).arg(hidden.len().to_string()).args(&hidden);
    command.args(["--quiet", "-x-1", "-T0", "--all-root", "-U00000000-0000-0000-0000-000000000000"]);
    command.args(closed.iter().map(|path| format!("--exclude-path={path}")));
    command.arg(to).arg(usr).stdin(Stdio::null()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = command.output().map_err(at(Path::new("setpriv")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(()),
        // What a shell ends with where it finds no such program.
        Some(127) => Err(UsrError::NoProgram),
        _ => Err(UsrError::Failed(said.chars().take(2000).collect())),
    }
}

/// How deep `/usr` is looked through; what is deeper has no path that a system call takes.
const DEEPEST: usize = 2048;

/// What is no part of the environment's digest and is not hidden either, by its path below `usr`.
#[expect(clippy::disallowed_methods, reason = "they are sorted afterwards")]
fn left_out(
    usr: &Path,
    folder: &Path,
    hidden: &[PathBuf],
    closed: &mut Vec<String>,
    depth: usize,
) -> Result<(), UsrError> {
    if depth > DEEPEST {
        return Err(UsrError::Failed(format!("{} is too deep", folder.display())));
    }
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let path = entry.path();
        let metadata = entry.metadata().map_err(at(&path))?;
        if hidden.contains(&path) {
            continue;
        }
        if is_left_out(&path, &metadata) {
            let below = path.strip_prefix(usr).ok().and_then(Path::to_str);
            let name = || UsrError::Failed(format!("{} has a name that is no text", path.display()));
            closed.push(below.ok_or_else(name)?.to_owned());
        } else if metadata.is_dir() {
            left_out(usr, &path, hidden, closed, depth + 1)?;
        }
    }
    Ok(())
}

/// For an engine: a descriptor of the image.
impl UsrImage {
    /// Another descriptor of the same file.
    ///
    /// # Errors
    /// What `dup(2)` says.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use reprove_model::{Digest, DigestSet, Environment, LockedEnvironment};
    use reprove_store::{ChangeTimes, stat_fingerprint};

    use super::*;

    /// The image of `usr` as the environment with this digest, in a store of its own.
    fn verity(usr: &Path, digest: &[u8]) -> Verity {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (fingerprint, _) = stat_fingerprint(&[("usr", usr)], &is_left_out, ChangeTimes::All).unwrap();
        let digest = DigestSet::of(digest);
        let locked = LockedEnvironment { kind: Environment::HostUsr, description: "this".into(), digest };
        let mut root = RootFilesystem {
            locked,
            fingerprint,
            binds: vec![(usr.to_owned(), "/usr".to_owned())],
            hidden: vec!["/usr/local".into()],
            links: Vec::new(),
            files: Vec::new(),
        };
        let made = std::cell::Cell::new(0);
        let take = |root: &RootFilesystem| usr_image(&store, root, &|| made.set(made.get() + 1));
        let verity = take(&root).unwrap().verity;
        assert_eq!((take(&root).unwrap().verity, made.get()), (verity, 1), "it is made once");
        root.locked.digest = DigestSet::of(b"another");
        root.fingerprint = Digest::of(b"another");
        assert!(matches!(take(&root), Err(UsrError::Changed)));
        verity
    }

    #[test]
    fn an_image_has_what_the_digest_covers_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let usr = dir.path().join("usr");
        let set = |name: &str, mode| fs::set_permissions(usr.join(name), fs::Permissions::from_mode(mode)).unwrap();
        for folder in ["bin", "closed", "local"] {
            fs::create_dir_all(usr.join(folder)).unwrap();
        }
        fs::write(usr.join("bin/tool"), "a tool").unwrap();
        set("closed", 0o700);
        let first = verity(&usr, b"1");
        assert_eq!(verity(&usr, b"1"), first);
        fs::write(usr.join("closed/secret"), "a secret").unwrap();
        fs::write(usr.join("local/tool"), "another tool").unwrap();
        set("local", 0o775);
        File::options().write(true).open(usr.join("bin/tool")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(verity(&usr, b"1"), first, "neither is part of it, nor are times");
        set("bin/tool", 0o755);
        let executable = verity(&usr, b"1");
        fs::write(usr.join("bin/tool"), "b tool").unwrap();
        assert!(executable != first && verity(&usr, b"1") != executable);
    }
}
