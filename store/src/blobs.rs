// SPDX-License-Identifier: Apache-2.0
//! Files and trees by digest.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;
use reprove_model::{Digest, DigestSet, Tree, canonical};
use tempfile::{NamedTempFile, TempDir};
use thiserror::Error;

use crate::lock::{Held, Kind, TempRoot, open_lock};
use crate::options::{ByteSize, StoreOptions};
use crate::quota::Usage;

/// Why the store could not do something.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing with this digest is in the store.
    #[error("the store has nothing with the digest {0}")]
    Missing(Digest),
    /// What the store has under this digest is something else.
    #[error("{}: damaged: the digest of its bytes is not its name; delete it and fetch it again", .0.display())]
    Damaged(PathBuf),
    /// A stored file is larger than the reader allows.
    #[error("{0} has {1} bytes; at most {2} are read here")]
    TooLarge(Digest, u64, u64),
    /// Another process has it locked.
    #[error("{}: another process has it locked, and still had after {seconds} seconds", path.display())]
    Busy {
        /// What is locked.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It would hold more than its user allows, and what nothing needs is gone already.
    #[error("the store may hold {quota}, has {used} that is in use, and would need {needed} more")]
    Quota {
        /// The most.
        quota: ByteSize,
        /// What is there.
        used: ByteSize,
        /// What there is to be added.
        needed: ByteSize,
    },
    /// A root is not what this program writes, so that nobody knows what it keeps.
    #[error("{}: not a root that can be read ({why}), so that nobody knows what it keeps", path.display())]
    BadRoot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A folder of the store that others could put something else in place of.
    #[error("{} is no safe place for a store: {why}", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Why it is none.
        why: String,
    },
    /// A root can't have this name.
    #[error("{0:?} names no root: that takes 1 to 128 letters, digits, `.`, `_`, `+` or `-`, and no `.` before them")]
    RootName(String),
}

/// A content-addressed store in a directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    inner: Arc<Inner>,
}

/// What all clones of one store share.
#[derive(Debug)]
struct Inner {
    /// The store's directory, open: paths from it are short.
    folder: OwnedFd,
    temp: TempRoot,
    options: StoreOptions,
    usage: Usage,
}

impl Store {
    /// Opens the store at `root` as [`Store::open_with`] does, with the options that are the default.
    ///
    /// # Errors
    /// See [`Store::open_with`].
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, StoreOptions::default())
    }

    /// Opens the store at `root`, an absolute path, and makes it where there is none. Removes what processes that are gone
    /// left unfinished.
    ///
    /// Whatever the umask: what is made here is closed to other users of the machine; below it, the folders of blobs are
    /// open, since a build's user, which owns nothing, reaches them through a descriptor. A `root` that is there already
    /// keeps its mode, and is as open as that says.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the directory can't be made or written; [`StoreError::NotOurs`] where it, or a folder in it,
    /// is another user's, or one that others can write to, or a link; [`StoreError::Busy`] where another process is
    /// opening it for longer than `options` wait.
    pub fn open_with(root: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        if let Some(parent) = root.parent() {
            DirBuilder::new().recursive(true).mode(CLOSED).create(parent).map_err(|e| io_error(parent, e))?;
        }
        make_directory(root, CLOSED)?;
        is_ours(root)?;
        for (folder, mode) in [("blobs", OPEN), ("trees", CLOSED), ("roots", CLOSED), ("logs", CLOSED), ("tmp", CLOSED)]
        {
            make_directory(&root.join(folder), mode)?;
            is_ours(&root.join(folder))?;
        }
        let temp = TempRoot::new(&root.join("tmp"), &options)?;
        let folder = File::open(root).map_err(|e| io_error(root, e))?.into();
        let inner = Inner { folder, temp, options, usage: Usage::default() };
        Ok(Self { root: root.to_owned(), inner: Arc::new(inner) })
    }

    pub(crate) fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.inner.folder.as_fd()
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.inner.usage
    }

    pub(crate) fn temp(&self) -> &TempRoot {
        &self.inner.temp
    }

    /// Takes the store's lock: with others to give names, alone to take them away.
    pub(crate) fn hold(&self, kind: Kind) -> Result<Held, StoreError> {
        let path = self.root.join("lock");
        Held::take(open_lock(&path)?, &path, kind, self.options())
    }

    /// The store's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of all blobs; below it a blob has the path [`Store::blob_name`].
    #[must_use]
    pub fn blob_root(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// A blob's path below [`Store::blob_root`].
    #[must_use]
    pub fn blob_name(digest: &Digest) -> String {
        // Faster than byte by byte: it is called for every file.
        let mut name = blake3::Hash::from_bytes(*digest.as_bytes()).to_hex().to_string();
        name.insert(2, '/');
        name
    }

    /// Removes this process's temporary files now, whoever still holds the store: for a process that ends while a thread
    /// still works.
    pub fn remove_temporary(&self) {
        self.temp().remove();
    }

    /// A directory of the caller's own, on the store's file system, removed when the value goes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn temp_dir(&self) -> Result<TempDir, StoreError> {
        let root = self.temp().path();
        let closed = Permissions::from_mode(CLOSED);
        tempfile::Builder::new().permissions(closed).tempdir_in(root).map_err(|e| io_error(root, e))
    }

    /// A file of the caller's own, on the store's file system, removed when the value goes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn temp_file(&self) -> Result<NamedTempFile, StoreError> {
        let root = self.temp().path();
        NamedTempFile::new_in(root).map_err(|e| io_error(root, e))
    }

    /// The folder for temporary files of this process, which is removed with the store.
    #[must_use]
    pub fn temporary_folder(&self) -> &Path {
        self.temp().path()
    }

    /// Opens the blob of `digest`, after checking its bytes as often as [`StoreOptions::verify`] says.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let file = self.open_unchecked(digest)?;
        if self.is_to_be_checked(digest) {
            self.check(digest)?;
        }
        Ok(file)
    }

    /// Reads the blob of `digest`, at most `max` bytes, and checks them as often as [`StoreOptions::verify`] says.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::TooLarge`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn read_blob(&self, digest: &Digest, max: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let file = self.open_unchecked(digest)?;
        let size = file.metadata().map_err(|e| io_error(&path, e))?.len();
        if size > max {
            return Err(StoreError::TooLarge(*digest, size, max));
        }
        let mut bytes = Vec::new();
        file.take(max).read_to_end(&mut bytes).map_err(|e| io_error(&path, e))?;
        if self.is_to_be_checked(digest) && Digest::of(&bytes) != *digest {
            return Err(StoreError::Damaged(path));
        }
        Ok(bytes)
    }

    /// Reads the whole of the blob of `digest` and checks that its bytes have that digest, however often other reads are
    /// checked. A collection keeps it from here on, as long as this process lives.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Io`], [`StoreError::Busy`].
    pub fn verify_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        self.use_what_is_there(digest)?;
        self.check(digest)
    }

    /// Pins what `digest` names, so that no collection takes it while it is used.
    fn use_what_is_there(&self, digest: &Digest) -> Result<(), StoreError> {
        let held = self.hold(Kind::WithOthers)?;
        self.temp().pin(&[*digest], &held)
    }

    fn is_to_be_checked(&self, digest: &Digest) -> bool {
        let options = self.options();
        options.verify.checks(digest, options.seed)
    }

    fn check(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        match crate::digest_file(&path) {
            Ok(found) if found == *digest => Ok(()),
            Ok(_) => Err(StoreError::Damaged(path)),
            Err(e) => Err(missing_or(*digest, &path, e)),
        }
    }

    fn open_unchecked(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|e| missing_or(*digest, &path, e))
    }

    /// Stores the list of `tree` under its digest; its files are stored apart.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn save_tree(&self, tree: &Tree) -> Result<DigestSet, StoreError> {
        let digest = tree.digest();
        let path = self.tree_path(&digest.blake3);
        let bytes =
            canonical::to_vec_within(tree, Tree::MAX_BYTES).map_err(|e| io_error(&path, io::Error::other(e)))?;
        self.make_room(bytes.len() as u64)?;
        let draft = self.draft_of(&bytes)?;
        let held = self.hold(Kind::WithOthers)?;
        self.temp().pin(&[digest.blake3], &held)?;
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(digest);
        }
        draft.name(&format!("trees/{}.json", digest.blake3))?;
        Ok(digest)
    }

    /// Loads the tree of `digest`, and checks that it is the one. A collection keeps it from here on, with its files, as
    /// long as this process lives.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Io`], [`StoreError::Busy`].
    pub fn load_tree(&self, digest: &Digest) -> Result<Tree, StoreError> {
        self.use_what_is_there(digest)?;
        self.read_tree(digest)
    }

    pub(crate) fn read_tree(&self, digest: &Digest) -> Result<Tree, StoreError> {
        let path = self.tree_path(digest);
        let bytes = fs::read(&path).map_err(|e| missing_or(*digest, &path, e))?;
        let tree = canonical::from_slice_within::<Tree>(&bytes, Tree::MAX_BYTES);
        let tree = tree.map_err(|_| StoreError::Damaged(path.clone()))?;
        if tree.digest().blake3 == *digest { Ok(tree) } else { Err(StoreError::Damaged(path)) }
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blob_root().join(Self::blob_name(digest))
    }

    pub(crate) fn tree_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("trees").join(format!("{digest}.json"))
    }
}

/// A directory's mode: its owner's alone.
pub(crate) const CLOSED: u32 = 0o700;

/// A directory's mode: anyone may read it who can reach it.
pub(crate) const OPEN: u32 = 0o755;

/// Refuses a folder in which others could put links where this process writes.
fn is_ours(folder: &Path) -> Result<(), StoreError> {
    let metadata = folder.symlink_metadata().map_err(|e| io_error(folder, e))?;
    let (owner, own, mode) = (metadata.uid(), geteuid().as_raw(), metadata.mode() & 0o7777);
    let why = match () {
        () if !metadata.is_dir() => "it is a link, or no directory".to_owned(),
        () if owner != own => format!("it belongs to user {owner}, and this is user {own}"),
        () if mode & 0o022 != 0 => format!("others can write to it (mode {mode:o}); `chmod go-w` it"),
        () => return Ok(()),
    };
    Err(StoreError::NotOurs { path: folder.to_owned(), why })
}

/// Makes a directory that has the mode `mode` whatever the umask. One that is there keeps its own.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<(), StoreError> {
    let fail = |e| io_error(path, e);
    match DirBuilder::new().mode(mode).create(path) {
        // The umask may have taken some of it away.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fail),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(fail(e)),
    }
}

fn missing_or(digest: Digest, path: &Path, source: io::Error) -> StoreError {
    if source.kind() == io::ErrorKind::NotFound { StoreError::Missing(digest) } else { io_error(path, source) }
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        (dir, store)
    }

    #[test]
    fn what_is_added_is_found_under_its_digest() {
        let (_dir, store) = store();
        let (digests, size) = store.add_bytes(b"hello").unwrap();
        assert_eq!((digests, size), (DigestSet::of(b"hello"), 5));
        assert_eq!(store.read_blob(&digests.blake3, 5).unwrap(), b"hello");
        assert!(matches!(store.read_blob(&digests.blake3, 4), Err(StoreError::TooLarge(_, 5, 4))));
        assert!(matches!(store.open_blob(&Digest::of(b"other")), Err(StoreError::Missing(_))));
    }

    #[test]
    fn what_others_could_change_is_no_store() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        drop(Store::open(&root).unwrap());
        for folder in ["", "blobs", "trees", "roots", "logs", "tmp"] {
            let folder = root.join(folder);
            let mode = folder.metadata().unwrap().permissions();
            for (other, safe) in [(0o700, true), (0o755, true), (0o720, false), (0o702, false), (0o1777, false)] {
                fs::set_permissions(&folder, Permissions::from_mode(other)).unwrap();
                assert_eq!(Store::open(&root).is_ok(), safe, "{folder:?} {other:o}");
            }
            fs::set_permissions(&folder, mode).unwrap();
        }
        fs::rename(root.join("logs"), dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), root.join("logs")).unwrap();
        assert!(matches!(Store::open(&root), Err(StoreError::NotOurs { .. })));
    }

    #[test]
    fn damage_is_seen_and_a_torn_file_replaced() {
        let (_dir, store) = store();
        let (digests, _) = store.add_bytes(b"hello").unwrap();
        let path = store.blob_root().join(Store::blob_name(&digests.blake3));
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"jello").unwrap();
        assert!(matches!(store.read_blob(&digests.blake3, 99), Err(StoreError::Damaged(_))));
        assert!(matches!(store.verify_blob(&digests.blake3), Err(StoreError::Damaged(_))));
        for other in ["", "jello", "hello, and more"] {
            fs::write(&path, other).unwrap();
            store.add_bytes(b"hello").unwrap();
            store.verify_blob(&digests.blake3).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
    }

    #[test]
    fn a_damaged_list_is_replaced() {
        let (_dir, store) = store();
        let tree = Tree::default();
        let digest = store.save_tree(&tree).unwrap().blake3;
        fs::write(store.tree_path(&digest), "cut").unwrap();
        assert!(matches!(store.load_tree(&digest), Err(StoreError::Damaged(_))));
        store.save_tree(&tree).unwrap();
        assert_eq!(store.load_tree(&digest).unwrap(), tree);
    }

    #[test]
    fn a_tree_whose_list_is_longer_than_other_documents_is_kept() {
        let (_dir, store) = store();
        let target = reprove_model::LinkTarget::new("x".repeat(4095)).unwrap();
        let path = |number: usize| reprove_model::TreePath::new(number.to_string()).unwrap();
        let links = (0..17_000).map(|number| (path(number), reprove_model::Node::Symlink { target: target.clone() }));
        let tree = Tree::new(links.collect()).unwrap();
        let digest = store.save_tree(&tree).unwrap().blake3;
        assert!(fs::metadata(store.tree_path(&digest)).unwrap().len() > canonical::MAX_DOCUMENT as u64);
        assert!(store.load_tree(&digest).unwrap() == tree);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "counting needs no order")]
    fn nothing_temporary_stays() {
        let (dir, store) = store();
        let kept = store.temp_dir().unwrap();
        fs::write(kept.path().join("x"), "x").unwrap();
        drop((kept, store));
        let left: Vec<_> = fs::read_dir(dir.path().join("tmp")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, [".sweep"]);
    }
}
