// SPDX-License-Identifier: Apache-2.0
//! `/usr`, or all of a kept environment, as one read-only image: an erofs file system, and behind it a hash tree.
//!
//! It has what the environment's digest covers and nothing else: no times of its own, no owners, no extended attributes, and
//! nothing that the digest leaves out. It is made once for each digest and kept in the store's folder `guest`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::unistd::geteuid;
use reprove_model::Digest;
use reprove_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::verity::{Verity, append_tree};
use crate::host::is_left_out;
use crate::keep::{Shape, folder_of};
use crate::{EnvironmentError, RootFilesystem, unchanged};

/// Why there is no image.
#[derive(Debug, Error)]
pub enum UsrError {
    /// `/usr` changed while it was made.
    #[error("this machine's /usr changed since its digest was taken: something is being installed")]
    Changed,
    /// A kept environment changed while it was made.
    #[error("the environment in {} changed while an image of it was made; is something else writing there?", .0.display())]
    EnvironmentChanged(PathBuf),
    /// The root filesystem has no `/usr`.
    #[error("the root filesystem has no /usr to make an image of")]
    NoUsr,
    /// The parts of a kept environment are not where one is kept.
    #[error("the environment's folders are not in one place: {}", .0.display())]
    Apart(PathBuf),
    /// `mkfs.erofs` is not there.
    #[error("there is no mkfs.erofs to make images for virtual machines with (Debian: install `erofs-utils`)")]
    NoProgram,
    /// `mkfs.erofs` failed.
    #[error("mkfs.erofs could not make an image of the root filesystem: {0}")]
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

/// An image of `/usr` or of all of an environment, open for reading, so that it is there as long as the value.
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

/// What an image is made of.
struct Made {
    /// What it is called, but for the digest.
    kind: &'static str,
    folder: PathBuf,
    /// Folders in it that appear empty.
    hidden: Vec<PathBuf>,
    /// Of all files.
    time: u64,
}

impl Made {
    fn of(root: &RootFilesystem) -> Result<Self, UsrError> {
        let Some(shape) = Shape::of(&root.locked.kind) else {
            let (usr, _) = root.binds.iter().find(|(_, inside)| inside == "/usr").ok_or(UsrError::NoUsr)?;
            let hidden = root.hidden.iter().filter_map(|inside| inside.strip_prefix("/usr/"));
            let hidden = hidden.map(|name| usr.join(name)).collect();
            return Ok(Self { kind: USR, folder: usr.clone(), hidden, time: 0 });
        };
        let folder = folder_of(root).map_err(UsrError::Apart)?;
        Ok(Self { kind: ENVIRONMENT, folder, hidden: Vec::new(), time: shape.time })
    }

    /// That it is not any more what its digest was taken of.
    fn changed(&self) -> UsrError {
        if self.kind == USR { UsrError::Changed } else { UsrError::EnvironmentChanged(self.folder.clone()) }
    }
}

/// What images of a machine's `/usr` are called, and those of kept environments.
const USR: &str = "usr";
const ENVIRONMENT: &str = "environment";

/// The image of `root`'s `/usr`, or of all of it where it is a kept environment, made where it is not there yet. Of a `/usr`,
/// others of this store are then removed; of an environment, it goes with that ([`crate::collect`]).
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
    let made = Made::of(root)?;
    let name = format!("{}-{FORMAT}-{}", made.kind, root.locked.digest.blake3);
    let (path, kept) = (folder.join(format!("{name}.img")), folder.join(format!("{name}.json")));
    if let Some(image) = there(&path, &kept) {
        return Ok(image);
    }
    slow();
    let temporary = store.temp_file()?;
    make(&made, temporary.path())?;
    let mut file = File::options().read(true).write(true).open(temporary.path()).map_err(at(temporary.path()))?;
    let verity = append_tree(&mut file).map_err(at(temporary.path()))?;
    file.sync_all().map_err(at(temporary.path()))?;
    if !unchanged(root)? {
        return Err(made.changed());
    }
    if made.kind == USR {
        remove_others(&folder, &name)?;
    }
    let json = serde_json::to_vec(&Kept { verity }).map_err(|e| at(&kept)(e.into()))?;
    let beside = store.temp_file()?;
    fs::write(beside.path(), json).map_err(at(&kept))?;
    temporary.persist(&path).map_err(|e| at(&path)(e.error))?;
    // Last: it says that the image is whole.
    beside.persist(&kept).map_err(|e| at(&kept)(e.error))?;
    there(&path, &kept).ok_or_else(|| made.changed())
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

/// Removes the images of environments that are none of `there`, and gives how many bytes they have. With `dry_run` it only says
/// so.
#[expect(clippy::disallowed_methods, reason = "the order in which they are removed shows nowhere")]
pub(crate) fn collect_images(store: &Store, there: &BTreeSet<Digest>, dry_run: bool) -> io::Result<u64> {
    let folder = store.root().join(FOLDER);
    if !folder.is_dir() {
        return Ok(0);
    }
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let mut bytes = 0;
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(ENVIRONMENT)?.rsplit_once('-')?.1.split_once('.'));
        let Some(digest) = of.and_then(|(digest, _)| digest.parse::<Digest>().ok()) else { continue };
        if there.contains(&digest) {
            continue;
        }
        bytes += entry.metadata()?.len();
        if !dry_run {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(bytes)
}

/// Puts an empty directory over each hidden one, so that it has the same mode everywhere, and makes the image. Arguments: how
/// many are hidden, they, and the arguments of `mkfs.erofs`.
const SCRIPT: &str = "n=$1; shift; while [ \"$n\" -gt 0 ]; do mount -t tmpfs -o mode=0755,size=4k none \"$1\"; shift; \
                      n=$((n - 1)); done; exec mkfs.erofs \"$@\"";

/// Runs `mkfs.erofs` in a mount namespace of its own; it ends with this thread.
fn make(made: &Made, to: &Path) -> Result<(), UsrError> {
    let hidden: Vec<PathBuf> = made.hidden.iter().filter(|path| path.is_dir()).cloned().collect();
    let folder = made.folder.as_path();
    let mut closed = Vec::new();
    left_out(folder, folder, &hidden, &mut closed, 0)?;
    closed.sort();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount"]);
    if !geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-ec", SCRIPT, "sh"]).arg(hidden.len().to_string()).args(&hidden);
    command.args(["--quiet", "-x-1", "--all-root", "-U00000000-0000-0000-0000-000000000000"]);
    command.arg(format!("-T{}", made.time));
    command.args(closed.iter().map(|path| format!("--exclude-path={path}")));
    command.arg(to).arg(folder).stdin(Stdio::null()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
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

    use reprove_model::{Debian, DigestSet, Environment, LockedEnvironment, LockedPackage, Sha256};
    use reprove_store::{Fingerprint, IngestLimits, stat_fingerprint};

    use super::*;
    use crate::debian;

    /// The image of `usr` as the environment with this digest, in a store of its own.
    fn verity(usr: &Path, digest: &[u8]) -> Verity {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (fingerprint, _) = stat_fingerprint(&[("usr", usr)], &is_left_out).unwrap();
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
        root.fingerprint = Fingerprint { all: Digest::of(b"another"), ..root.fingerprint };
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

    /// A kept environment with one file in it, as if it were made of a package.
    fn environment(dir: &Path, store: &Store, text: &str) -> (RootFilesystem, PathBuf) {
        let files = dir.join(text);
        for folder in ["etc", "usr/bin"] {
            fs::create_dir_all(files.join(folder)).unwrap();
        }
        fs::write(files.join("usr/bin/tool"), text).unwrap();
        let tree = store.add_tree(&files, IngestLimits::default(), &|_| false).unwrap();
        let (digest, size) = store.add_bytes(text.as_bytes()).unwrap();
        let package = LockedPackage {
            name: "tool".into(),
            version: "1".into(),
            architecture: "all".into(),
            size,
            blake3: digest.blake3,
            sha256: Sha256::of(text.as_bytes()),
        };
        let asked = Debian { debian: "bookworm".into(), packages: Vec::new() };
        let locked = debian::locked(&asked, "amd64", 1, tree.digest());
        let root = debian::keep(store, &[package], &tree, locked).unwrap();
        (root, store.blob_root().join(Store::blob_name(&digest.blake3)))
    }

    #[test]
    fn the_image_of_an_environment_is_made_once_and_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let ((one, package), (two, _)) =
            (environment(dir.path(), &store, "one"), environment(dir.path(), &store, "two"));
        let made = std::cell::Cell::new(0);
        let take = |root: &RootFilesystem| usr_image(&store, root, &|| made.set(made.get() + 1)).unwrap().verity;
        let first = take(&one);
        assert_ne!(take(&two), first);
        assert_eq!((take(&one), made.get()), (first, 2), "neither takes the other's place");
        let other = Store::open(&dir.path().join("other")).unwrap();
        let (again, _) = environment(dir.path(), &other, "one");
        assert_eq!(usr_image(&other, &again, &|| {}).unwrap().verity, first);
        assert_eq!(crate::collect(&store, false, &BTreeSet::new()).unwrap(), (0, 0));
        fs::remove_file(package).unwrap();
        let (count, bytes) = crate::collect(&store, false, &BTreeSet::new()).unwrap();
        assert!(count == 1 && bytes > BLOCK_BYTES, "{bytes}");
        let images = sorted(&store.root().join(FOLDER));
        assert_eq!(images.len(), 3, "{images:?}");
        assert!(images.iter().all(|name| name == "lock" || name.contains(&two.locked.digest.blake3.to_string())));
    }

    const BLOCK_BYTES: u64 = 4096;

    #[expect(clippy::disallowed_methods, reason = "they are sorted")]
    fn sorted(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn an_environment_that_changes_while_its_image_is_made_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (root, _) = environment(dir.path(), &store, "one");
        fs::write(root.binds[1].0.join("bin/more"), "more").unwrap();
        assert!(matches!(usr_image(&store, &root, &|| {}), Err(UsrError::EnvironmentChanged(_))));
        let mut apart = root;
        apart.binds[0].0 = dir.path().join("one/etc");
        assert!(matches!(usr_image(&store, &apart, &|| {}), Err(UsrError::Apart(_))));
    }
}
