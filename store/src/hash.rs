// SPDX-License-Identifier: Apache-2.0
//! BLAKE3 of large files and of whole trees, on all processors.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use reprove_model::{Digest, DigestSet, InvalidTreePath, LinkTarget, Listing, Tree, TreePath};
use thiserror::Error;

use crate::buffer::{Buffer, Spare};

/// Below this many bytes a file is read; from it on it is mapped and hashed by several threads. Mapping a small file costs
/// more than it saves. A part of a mapped file that can't be read ends the process.
pub const MAPPED: u64 = 1 << 20;

/// How much is read at a time: nearly all files of a tree are smaller, and take one call to read and one to see the end.
const BUFFER: usize = 64 << 10;

thread_local! {
    static SPARE: Spare = const { Spare::new() };
}

/// The BLAKE3 digest of the file at `path`.
///
/// # Errors
/// What the file system says.
pub fn digest_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    // A thread that waits for others to hash parts of one file may meanwhile begin another.
    let mut buffer = SPARE.with(|spare| spare.take(BUFFER));
    let digest = digest_open(&mut file, path, &mut buffer);
    SPARE.with(|spare| spare.put(buffer));
    digest
}

fn digest_open(file: &mut File, path: &Path, buffer: &mut Buffer) -> io::Result<Digest> {
    buffer.fill(file)?;
    if !buffer.is_full() {
        return Ok(Digest::of(buffer.bytes()));
    }
    let mut hasher = blake3::Hasher::new();
    if file.metadata()?.len() >= MAPPED {
        hasher.update_mmap_rayon(path)?;
        return Ok(hasher.finalize().into());
    }
    while !buffer.bytes().is_empty() {
        hasher.update(buffer.bytes());
        buffer.fill(file)?;
    }
    Ok(hasher.finalize().into())
}

/// What to leave out: by its path on disk and what the file system says of it.
pub type Skip<'a> = &'a (dyn Fn(&Path, &Metadata) -> bool + Sync);

/// Why a tree on disk could not be digested.
#[derive(Debug, Error)]
pub enum HashTreeError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path that no tree can hold.
    #[error(transparent)]
    Path(#[from] InvalidTreePath),
    /// More entries than a tree may have.
    #[error("{} has more than {max} entries", .0.display(), max = Tree::MAX_ENTRIES)]
    TooMany(PathBuf),
}

/// The digest of the canonical list of everything below the `roots`: pairs of a name in the list and a directory on disk.
/// What `skip` says yes to is left out, a directory with all that it holds. Devices, sockets and pipes are left out too: a build can't read what
/// is behind them.
///
/// # Errors
/// See [`HashTreeError`].
pub fn hash_tree(roots: &[(&str, &Path)], skip: Skip<'_>) -> Result<DigestSet, HashTreeError> {
    enum Hashed {
        File(Digest),
        Directory,
        Link(LinkTarget),
        Other,
    }
    let entries = walk(roots, skip)?;
    let hashed: Vec<Hashed> = entries
        .par_iter()
        .with_min_len(16)
        .map(|entry| {
            let fail = |source| HashTreeError::Io { path: entry.on_disk.clone(), source };
            let kind = entry.metadata.file_type();
            Ok(if kind.is_file() {
                Hashed::File(digest_file(&entry.on_disk).map_err(fail)?)
            } else if kind.is_dir() {
                Hashed::Directory
            } else if kind.is_symlink() {
                let target = fs::read_link(&entry.on_disk).map_err(fail)?;
                Hashed::Link(LinkTarget::new(target.into_os_string().into_vec())?)
            } else {
                Hashed::Other
            })
        })
        .collect::<Result<_, HashTreeError>>()?;
    let mut listing = Listing::default();
    for (Entry { path, metadata, .. }, hashed) in entries.iter().zip(hashed) {
        match hashed {
            Hashed::File(digest) => listing.file(path, permission_bits(metadata), metadata.len(), &digest),
            Hashed::Directory => listing.directory(path, permission_bits(metadata)),
            Hashed::Link(target) => listing.symlink(path, &target),
            Hashed::Other => {}
        }
    }
    Ok(listing.digest())
}

/// What the inodes of a tree tell of it, without reading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// With the times of each inode's last change. While it stays the same, so does what it was taken of: the kernel sets that
    /// time at every write.
    pub all: Digest,
    /// Without those of files that have several names: such a file's time of change is another as soon as it gets a name or loses
    /// one, wherever that is. It stays the same where who writes to one puts the time of writing back.
    pub but_for_changes: Digest,
}

impl Fingerprint {
    /// Of what is never looked at again.
    #[must_use]
    pub fn none() -> Self {
        Self { all: Digest::of(b""), but_for_changes: Digest::of(b"") }
    }
}

/// The digests over the paths and the inode data (number, size, mode, times) of what [`hash_tree`] would read.
///
/// Also gives the newest change time, in seconds since 1970: what changed in the last two seconds may change again unseen.
///
/// # Errors
/// See [`HashTreeError`].
pub fn stat_fingerprint(roots: &[(&str, &Path)], skip: Skip<'_>) -> Result<(Fingerprint, i64), HashTreeError> {
    let (mut all, mut but_for_changes) = (blake3::Hasher::new(), blake3::Hasher::new());
    let mut newest = i64::MIN;
    for Entry { path, metadata: m, .. } in walk(roots, skip)? {
        for hasher in [&mut all, &mut but_for_changes] {
            hasher.update(&(path.as_bytes().len() as u64).to_le_bytes());
            hasher.update(path.as_bytes());
            for number in [m.dev(), m.ino(), m.size(), u64::from(m.mode())] {
                hasher.update(&number.to_le_bytes());
            }
            for number in [m.mtime(), m.mtime_nsec()] {
                hasher.update(&number.to_le_bytes());
            }
        }
        for number in [m.ctime(), m.ctime_nsec()] {
            all.update(&number.to_le_bytes());
            if !m.is_file() || m.nlink() < 2 {
                but_for_changes.update(&number.to_le_bytes());
            }
        }
        newest = newest.max(m.ctime());
    }
    let [all, but_for_changes] = [all, but_for_changes].map(|hasher| hasher.finalize().into());
    Ok((Fingerprint { all, but_for_changes }, newest))
}

struct Entry {
    path: TreePath,
    on_disk: PathBuf,
    metadata: Metadata,
}

/// Everything below the roots and the roots themselves, sorted by path bytes.
fn walk(roots: &[(&str, &Path)], skip: Skip<'_>) -> Result<Vec<Entry>, HashTreeError> {
    let mut all = Vec::new();
    for (name, root) in roots {
        let name = TreePath::new(*name)?;
        let metadata = fs::symlink_metadata(root).map_err(|source| io_error(root, source))?;
        let is_dir = metadata.is_dir();
        all.push(Entry { path: name.clone(), on_disk: root.to_path_buf(), metadata });
        if is_dir {
            all.append(&mut below(&name, root, skip)?);
        }
        if all.len() > Tree::MAX_ENTRIES {
            return Err(HashTreeError::TooMany(root.to_path_buf()));
        }
    }
    all.par_sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

/// What one directory holds, by one thread; then what its directories hold, each by any.
#[expect(clippy::disallowed_methods, reason = "the caller sorts what all directories hold together")]
fn below(path: &TreePath, directory: &Path, skip: Skip<'_>) -> Result<Vec<Entry>, HashTreeError> {
    let mut entries = Vec::new();
    let mut directories = Vec::new();
    for entry in fs::read_dir(directory).map_err(|source| io_error(directory, source))? {
        let entry = entry.map_err(|source| io_error(directory, source))?;
        let on_disk = entry.path();
        // Relative to the open directory, and of the link itself where it is one.
        let metadata = entry.metadata().map_err(|source| io_error(&on_disk, source))?;
        if skip(&on_disk, &metadata) {
            continue;
        }
        let entry = Entry { path: path.join(entry.file_name().as_bytes())?, on_disk, metadata };
        if entry.metadata.is_dir() {
            directories.push(entry);
        } else {
            entries.push(entry);
        }
    }
    let nested: Vec<Vec<Entry>> = directories
        .par_iter()
        .map(|directory| below(&directory.path, &directory.on_disk, skip))
        .collect::<Result<_, HashTreeError>>()?;
    entries.append(&mut directories);
    entries.extend(nested.into_iter().flatten());
    Ok(entries)
}

fn io_error(path: &Path, source: io::Error) -> HashTreeError {
    HashTreeError::Io { path: path.to_owned(), source }
}

fn permission_bits(metadata: &Metadata) -> u16 {
    u16::try_from(metadata.mode() & 0o7777).unwrap_or(0o7777)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{IngestLimits, Store};

    fn sample() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t/sub")).unwrap();
        fs::write(dir.path().join("t/sub/b"), vec![7; 3 << 20]).unwrap();
        fs::write(dir.path().join("t/a"), "a").unwrap();
        std::os::unix::fs::symlink("sub/b", dir.path().join("t/link")).unwrap();
        dir
    }

    /// Hashing a tree where it lies and taking it into a store are two ways to one digest.
    #[test]
    fn a_tree_on_disk_has_the_digest_of_the_tree_in_the_store() {
        let dir = sample();
        let here = hash_tree(&[("t", &dir.path().join("t"))], &|_, _| false).unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let whole = tempfile::tempdir().unwrap();
        fs::rename(dir.path().join("t"), whole.path().join("t")).unwrap();
        let tree = store.add_tree(whole.path(), IngestLimits::default(), &|_| false).unwrap();
        assert_eq!(tree.digest(), here);
    }

    #[test]
    fn a_fingerprint_changes_with_content_mode_and_name() {
        let dir = sample();
        let root = dir.path().join("t");
        let print = || stat_fingerprint(&[("t", &root)], &|_, _| false).unwrap().0.all;
        let mut seen = vec![print()];
        assert_eq!(print(), seen[0]);
        fs::write(root.join("a"), "bb").unwrap();
        seen.push(print());
        fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o600)).unwrap();
        seen.push(print());
        fs::rename(root.join("a"), root.join("c")).unwrap();
        seen.push(print());
        assert_eq!(seen.iter().collect::<std::collections::BTreeSet<_>>().len(), seen.len());
    }

    #[test]
    fn another_name_of_a_file_counts_or_not_and_a_write_always_does() {
        let dir = sample();
        let root = dir.path().join("t");
        let (here, apart) = (root.join("a"), dir.path().join("apart"));
        let print = || stat_fingerprint(&[("t", &root)], &|_, _| false).unwrap().0;
        let wait = || std::thread::sleep(std::time::Duration::from_millis(20));
        let write_unseen = |path: &Path, text: &str| {
            let time = fs::metadata(path).unwrap().modified().unwrap();
            wait();
            fs::write(path, text).unwrap();
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        };
        // With one name, a time that is put back hides nothing.
        let alone = print();
        write_unseen(&here, &fs::read_to_string(&here).unwrap());
        let seen = print();
        assert!(seen.all != alone.all && seen.but_for_changes != alone.but_for_changes);
        fs::hard_link(&here, dir.path().join("first")).unwrap();
        let before = print();
        wait();
        fs::hard_link(&here, &apart).unwrap();
        let linked = print();
        assert_ne!(linked.all, before.all);
        assert_eq!(linked.but_for_changes, before.but_for_changes);
        let time = fs::metadata(&here).unwrap().modified().unwrap();
        fs::write(&apart, "c").unwrap();
        let written = print();
        assert!(written.all != linked.all && written.but_for_changes != linked.but_for_changes);
        // A time that is put back hides it from the one, and not from the other.
        File::options().write(true).open(&apart).unwrap().set_modified(time).unwrap();
        let hidden = print();
        assert_eq!(hidden.but_for_changes, linked.but_for_changes);
        assert_ne!(hidden.all, linked.all);
    }

    #[test]
    fn what_is_skipped_is_not_in_the_digest() {
        let dir = sample();
        let root = dir.path().join("t");
        let without = hash_tree(&[("t", &root)], &|p, _| p.ends_with("sub")).unwrap();
        fs::remove_dir_all(root.join("sub")).unwrap();
        assert_eq!(hash_tree(&[("t", &root)], &|_, _| false).unwrap(), without);
    }

    #[test]
    fn a_file_has_the_digest_of_its_bytes_however_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let buffer = BUFFER as u64;
        for size in [0, 1, buffer - 1, buffer, buffer + 1, 2 * buffer, MAPPED - 1, MAPPED, MAPPED + 1] {
            let bytes = vec![3; usize::try_from(size).unwrap()];
            let path = dir.path().join("f");
            fs::write(&path, &bytes).unwrap();
            assert_eq!(digest_file(&path).unwrap(), Digest::of(&bytes));
        }
    }
}
