// SPDX-License-Identifier: Apache-2.0
//! Files and trees by digest.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reprove_model::{Digest, DigestSet, HashBoth, Tree, canonical};
use tempfile::{NamedTempFile, TempDir};
use thiserror::Error;

use crate::lock::TempRoot;

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
}

/// A content-addressed store in a directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    temp: Arc<TempRoot>,
}

impl Store {
    /// Opens the store at `root`, an absolute path, and makes it where there is none. Removes what processes that are gone
    /// left unfinished.
    ///
    /// Whatever the umask: what is made here is closed to other users of the machine; below it, the folders of blobs are
    /// open, since a build's user, which owns nothing, reaches them through a descriptor. A `root` that is there already
    /// keeps its mode, and is as open as that says.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the directory can't be made or written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        if let Some(parent) = root.parent() {
            DirBuilder::new().recursive(true).mode(CLOSED).create(parent).map_err(|e| io_error(parent, e))?;
        }
        make_directory(root, CLOSED)?;
        for (folder, mode) in [("blobs", OPEN), ("trees", CLOSED), ("logs", CLOSED), ("tmp", CLOSED)] {
            make_directory(&root.join(folder), mode)?;
        }
        let temp = TempRoot::new(&root.join("tmp"))?;
        Ok(Self { root: root.to_owned(), temp: Arc::new(temp) })
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
        let mut name = digest.to_string();
        name.insert(2, '/');
        name
    }

    /// Removes this process's temporary files now, whoever still holds the store: for a process that ends while a thread
    /// still works.
    pub fn remove_temporary(&self) {
        self.temp.remove();
    }

    /// A directory of the caller's own, on the store's file system, removed when the value goes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn temp_dir(&self) -> Result<TempDir, StoreError> {
        let root = self.temp.path();
        let closed = Permissions::from_mode(CLOSED);
        tempfile::Builder::new().permissions(closed).tempdir_in(root).map_err(|e| io_error(root, e))
    }

    /// A file of the caller's own, on the store's file system, removed when the value goes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn temp_file(&self) -> Result<NamedTempFile, StoreError> {
        let root = self.temp.path();
        NamedTempFile::new_in(root).map_err(|e| io_error(root, e))
    }

    /// Stores the bytes of `reader`; gives their digests and how many there were.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn add_reader(&self, reader: &mut dyn Read) -> Result<(DigestSet, u64), StoreError> {
        let mut temp = self.temp_file()?;
        let mut both = HashBoth::default();
        let mut buffer = vec![0; 128 << 10];
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(io_error(temp.path(), e)),
            };
            let bytes = buffer.get(..n).unwrap_or_default();
            both.write_all(bytes).and_then(|()| temp.write_all(bytes)).map_err(|e| io_error(temp.path(), e))?;
        }
        let (digests, size) = both.finish();
        self.keep(temp, &digests.blake3, size)?;
        Ok((digests, size))
    }

    /// Stores `bytes`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn add_bytes(&self, mut bytes: &[u8]) -> Result<(DigestSet, u64), StoreError> {
        self.add_reader(&mut bytes)
    }

    /// Stores the bytes of the file at `path`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn add_file(&self, path: &Path) -> Result<(DigestSet, u64), StoreError> {
        let mut file = File::open(path).map_err(|e| io_error(path, e))?;
        self.add_reader(&mut file)
    }

    /// Opens the blob of `digest` without looking at its bytes; [`Store::verify_blob`] does that.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_root().join(Self::blob_name(digest));
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing(*digest)),
            Err(e) => Err(io_error(&path, e)),
        }
    }

    /// Reads the blob of `digest`, at most `max` bytes, and checks that they are the ones.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::TooLarge`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn read_blob(&self, digest: &Digest, max: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_root().join(Self::blob_name(digest));
        let file = self.open_blob(digest)?;
        let size = file.metadata().map_err(|e| io_error(&path, e))?.len();
        if size > max {
            return Err(StoreError::TooLarge(*digest, size, max));
        }
        let mut bytes = Vec::new();
        file.take(max).read_to_end(&mut bytes).map_err(|e| io_error(&path, e))?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(StoreError::Damaged(path)) }
    }

    /// Reads the whole of the blob of `digest` and checks that its bytes have that digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn verify_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.blob_root().join(Self::blob_name(digest));
        drop(self.open_blob(digest)?);
        let found = crate::digest_file(&path).map_err(|e| io_error(&path, e))?;
        if found == *digest { Ok(()) } else { Err(StoreError::Damaged(path)) }
    }

    /// Stores the list of `tree` under its digest; its files are stored apart.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn save_tree(&self, tree: &Tree) -> Result<DigestSet, StoreError> {
        let digest = tree.digest();
        let path = self.tree_path(&digest.blake3);
        let bytes = canonical::to_vec(tree).map_err(|e| io_error(&path, io::Error::other(e)))?;
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(digest);
        }
        let mut temp = self.temp_file()?;
        temp.write_all(&bytes).map_err(|e| io_error(temp.path(), e))?;
        temp.persist(&path).map_err(|e| io_error(&path, e.error))?;
        Ok(digest)
    }

    /// Loads the tree of `digest`, and checks that it is the one.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn load_tree(&self, digest: &Digest) -> Result<Tree, StoreError> {
        let path = self.tree_path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing(*digest)),
            Err(e) => return Err(io_error(&path, e)),
        };
        let tree: Tree = canonical::from_slice(&bytes).map_err(|_| StoreError::Damaged(path.clone()))?;
        if tree.digest().blake3 == *digest { Ok(tree) } else { Err(StoreError::Damaged(path)) }
    }

    fn tree_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("trees").join(format!("{digest}.json"))
    }

    /// Gives a finished temporary file its name. What is there under that name is only trusted once its bytes have that
    /// digest; what a crash of the machine or anything else has made of it is replaced.
    fn keep(&self, temp: NamedTempFile, digest: &Digest, size: u64) -> Result<(), StoreError> {
        let path = self.blob_root().join(Self::blob_name(digest));
        let may_be = fs::symlink_metadata(&path).is_ok_and(|m| m.is_file() && m.len() == size);
        if may_be && crate::digest_file(&path).is_ok_and(|found| found == *digest) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            make_directory(folder, OPEN)?;
        }
        let readable = Permissions::from_mode(0o444);
        temp.as_file().set_permissions(readable).map_err(|e| io_error(temp.path(), e))?;
        temp.persist(&path).map_err(|e| io_error(&path, e.error))?;
        Ok(())
    }
}

/// A directory's mode: its owner's alone.
pub(crate) const CLOSED: u32 = 0o700;

/// A directory's mode: anyone may read it who can reach it.
const OPEN: u32 = 0o755;

/// Makes a directory that has the mode `mode` whatever the umask. One that is there keeps its own.
fn make_directory(path: &Path, mode: u32) -> Result<(), StoreError> {
    let fail = |e| io_error(path, e);
    match DirBuilder::new().mode(mode).create(path) {
        // The umask may have taken some of it away.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fail),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(fail(e)),
    }
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
