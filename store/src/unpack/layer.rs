// SPDX-License-Identifier: Apache-2.0
//! Layers of OCI images (image-spec, "Image Layer Filesystem Changeset").

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use reprove_model::{Digest, Node, Sha256, TreePath};
use sha2::Digest as _;

use super::stream::{decompress, read_error};
use super::{Layout, UnpackError, UnpackLimits};
use crate::Store;

/// One layer, unpacked: what it changes, as its archive has it. What marks a path as removed is a file here, as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// By path. The directories that a path only implies are not in it.
    pub entries: BTreeMap<TreePath, Node>,
    /// Devices, pipes and the like, which no tree holds.
    pub special: BTreeSet<TreePath>,
    /// Of the tar archive, unpacked.
    pub diff_id: Sha256,
}

impl Store {
    /// Unpacks the layer that is the blob of `digest`: tar, alone or in gzip or zstd. Its files become blobs.
    ///
    /// # Errors
    /// See [`UnpackError`].
    pub fn unpack_layer(&self, digest: &Digest, limits: UnpackLimits) -> Result<Layer, UnpackError> {
        let stream = decompress(self.open_blob(digest)?).map_err(UnpackError::Archive)?;
        let mut hashed = Hashed { inner: stream, hash: sha2::Sha256::default() };
        let (entries, special) = self.read_tar(&mut hashed, Layout::AtTop, Some(BTreeSet::new()), limits)?;
        let entries = entries.into_iter().map(|(path, entry)| (path, entry.node)).collect();
        // What follows is hashed too: the archive's end has been read, and the reader may have more.
        io::copy(&mut hashed, &mut io::sink()).map_err(read_error)?;
        Ok(Layer { entries, special, diff_id: Sha256::from_bytes(hashed.hash.finalize().into()) })
    }
}

struct Hashed<R> {
    inner: R,
    hash: sha2::Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tar::{EntryType, Header};

    use super::*;

    fn header(name: &str, kind: EntryType, size: u64, mode: u32) -> Header {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(mode);
        header.set_cksum();
        header
    }

    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for &(name, kind, text) in entries {
            let mut one = header(name, kind, 0, 0o4775);
            if kind.is_file() {
                one.set_size(text.len() as u64);
            } else if !text.is_empty() {
                one.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            one.set_cksum();
            archive.append(&one, if kind.is_file() { text.as_bytes() } else { b"" }).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn unpack(bytes: &[u8], limits: UnpackLimits) -> Result<Layer, UnpackError> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (digest, _) = store.add_bytes(bytes).unwrap();
        store.unpack_layer(&digest.blake3, limits)
    }

    #[test]
    fn a_layer_is_the_same_however_it_is_compressed() {
        let kinds = [("./", EntryType::Directory, ""), ("a/b", EntryType::Regular, "text"), ("c", EntryType::Fifo, "")];
        let tar = archive(&[&kinds[..], &[("d", EntryType::Char, ""), ("e", EntryType::Link, "a/b")]].concat());
        let plain = unpack(&tar, UnpackLimits::default()).unwrap();
        assert_eq!(plain.diff_id, Sha256::of(&tar));
        let paths = |paths: Vec<&TreePath>| paths.into_iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(paths(plain.entries.keys().collect()), ["a/b", "e"], "no directory is added");
        assert_eq!(paths(plain.special.iter().collect()), ["c", "d"]);
        let Some(Node::File { mode: 0o755, .. }) = plain.entries.values().next() else { panic!("{plain:?}") };
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&tar).unwrap();
        let zstd = zstd::encode_all(tar.as_slice(), 3).unwrap();
        for packed in [gzip.finish().unwrap(), zstd] {
            assert_eq!(unpack(&packed, UnpackLimits::default()).unwrap(), plain);
        }
        // What follows the end of the archive belongs to what its digest is of.
        let longer = [&tar[..], &[0; 512]].concat();
        assert_eq!(unpack(&longer, UnpackLimits::default()).unwrap().diff_id, Sha256::of(&longer));
    }

    #[test]
    fn of_a_path_that_is_there_twice_the_last_counts() {
        let of = |entries: &[(&str, EntryType, &str)]| unpack(&archive(entries), UnpackLimits::default()).unwrap();
        let layer = of(&[("a", EntryType::Regular, "x"), ("a", EntryType::Char, "")]);
        assert!(layer.entries.is_empty() && layer.special.len() == 1);
        let layer = of(&[("a", EntryType::Char, ""), ("a", EntryType::Regular, "x")]);
        assert!(layer.entries.len() == 1 && layer.special.is_empty());
    }

    #[test]
    fn hostile_layers_are_refused() {
        let of = |entries: &[(&str, EntryType, &str)]| unpack(&archive(entries), UnpackLimits::default());
        for name in ["../a", "a/../../b", "/etc/passwd", "a//b", "a/./b"] {
            assert!(matches!(of(&[(name, EntryType::Regular, "x")]), Err(UnpackError::Path(_))), "{name}");
        }
        for target in ["a", "../a", "/etc/passwd", "b", ""] {
            let link = of(&[("b", EntryType::Link, target)]);
            assert!(matches!(link, Err(UnpackError::HardLink(..) | UnpackError::Path(_))), "{target} {link:?}");
        }
        // A hard link to a link would be one to whatever that points at.
        let link = [("a", EntryType::Symlink, "/etc/passwd"), ("b", EntryType::Link, "a")];
        assert!(matches!(of(&link), Err(UnpackError::HardLink(..))));
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let tar = archive(&[("a", EntryType::Regular, "x"), ("b", EntryType::Char, "")]);
        let of = |entries, bytes| unpack(&tar, UnpackLimits { entries, bytes });
        let size = tar.len() as u64;
        assert!(of(2, size).is_ok());
        assert!(matches!(of(1, size), Err(UnpackError::Limit { what: "entries", .. })));
        assert!(matches!(of(2, size - 1), Err(UnpackError::Limit { .. })));
        // Much of nothing in a few bytes.
        let mut bomb = zstd::Encoder::new(Vec::new(), 3).unwrap();
        let file = header("a", EntryType::Regular, 64 << 20, 0o644);
        bomb.write_all(file.as_bytes()).unwrap();
        io::copy(&mut io::repeat(0).take(64 << 20), &mut bomb).unwrap();
        let limits = UnpackLimits { entries: 10, bytes: 1 << 20 };
        assert!(matches!(unpack(&bomb.finish().unwrap(), limits), Err(UnpackError::Limit { .. })));
    }
}
