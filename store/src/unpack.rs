// SPDX-License-Identifier: Apache-2.0
//! Source archives: tar, alone or in gzip or zstd, into the store, without its one top directory.

mod stream;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

use reprove_model::{Digest, InvalidTreePath, LinkTarget, Node, TreePath};
use thiserror::Error;

use self::stream::{Bounded, Headers, MAX_HEADERS, decompress, read_error};
use crate::{Store, StoreError};

/// What an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct UnpackLimits {
    /// Entries of any kind, the directories that paths only imply among them.
    pub entries: usize,
    /// The whole archive once expanded, headers and padding included, in bytes; and the contents of its files together,
    /// which are more where a sparse file has holes.
    pub bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self { entries: 500_000, bytes: 16 << 30 }
    }
}

/// An unpacked archive: what is in it, with the modification times that it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// By path below the archive's top directory; every entry's directory is one too.
    pub entries: BTreeMap<TreePath, UnpackedEntry>,
}

/// One thing of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpackedEntry {
    /// What it is. Permission bits are those that `tar` gives an ordinary user with the umask 022.
    pub node: Node,
    /// Its modification time, since 1970-01-01T00:00:00Z.
    pub modified: Duration,
}

/// Why an archive could not be unpacked.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// It is damaged, or no tar archive.
    #[error("the archive can't be read as tar, gzip or zstd: {0}")]
    Archive(io::Error),
    /// It has an entry that leads out of it, or whose name no tree can hold.
    #[error("the archive has a bad name in it: {0}")]
    Path(#[from] InvalidTreePath),
    /// It does not have one top directory.
    #[error("the archive must have one directory at its top and everything in it; it also has {0:?}")]
    Top(String),
    /// It has an entry that is neither a file, a directory nor a link.
    #[error("the archive has {0:?}, which is neither a file, a directory nor a link")]
    Special(String),
    /// It has a hard link to something that is not before it in the archive.
    #[error("the archive has a hard link {0} to {1:?}, which is not a file before it")]
    HardLink(TreePath, String),
    /// It has a file where a directory has to be.
    #[error("the archive has {0} both as a file and as a directory")]
    Both(TreePath),
    /// One of [`UnpackLimits`].
    #[error("the archive has more than {most} {what}; it is not unpacked")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The most.
        most: u64,
    },
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Unpacks the archive that is the blob of `digest`; its files become blobs.
    ///
    /// # Errors
    /// See [`UnpackError`].
    pub fn unpack(&self, digest: &Digest, limits: UnpackLimits) -> Result<Unpacked, UnpackError> {
        let file = self.open_blob(digest)?;
        let stream = decompress(file).map_err(UnpackError::Archive)?;
        let headers = Cell::new(None);
        let stream = Bounded { inner: stream, left: limits.bytes, most: limits.bytes };
        let mut archive = tar::Archive::new(Headers { inner: stream, left: &headers });
        let mut unpack = Unpack { store: self, entries: BTreeMap::new(), top: None, limits, left: limits.bytes };
        let mut entries = archive.entries().map_err(read_error)?;
        for count in 0.. {
            headers.set(Some(MAX_HEADERS));
            let Some(entry) = entries.next() else { break };
            headers.set(None);
            if count >= limits.entries {
                return Err(UnpackError::Limit { what: "entries", most: limits.entries as u64 });
            }
            let mut entry = entry.map_err(read_error)?;
            unpack.entry(&mut entry)?;
            // What is left, as the content of a hard link, is not to be taken for the next entry's headers.
            io::copy(&mut entry, &mut io::sink()).map_err(read_error)?;
        }
        headers.set(None);
        // The rest holds the compression's own check sum.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(read_error)?;
        unpack.finish()
    }
}

struct Unpack<'a> {
    store: &'a Store,
    entries: BTreeMap<TreePath, UnpackedEntry>,
    top: Option<Vec<u8>>,
    limits: UnpackLimits,
    /// How many bytes the files that are still to come may have.
    left: u64,
}

impl Unpack<'_> {
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), UnpackError> {
        use tar::EntryType as Type;
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        if matches!(kind, Type::XGlobalHeader) {
            return Ok(());
        }
        if matches!(kind, Type::XHeader) {
            // In a header that is neither of POSIX nor of GNU it is none, but is read as one when it is asked for its time.
            return Err(UnpackError::Special(shown));
        }
        let modified = modified(entry)?;
        let mode = u16::try_from(entry.header().mode().map_err(UnpackError::Archive)? & 0o755).unwrap_or(0o755);
        let Some(path) = self.below_top(&entry.path_bytes(), kind.is_dir())? else {
            return Ok(());
        };
        let node = match kind {
            Type::Directory => Node::Directory { mode: mode | 0o700 },
            Type::Regular | Type::Continuous | Type::GNUSparse => {
                let mut failed = None;
                let content = Bounded { inner: entry, left: self.left, most: self.limits.bytes };
                let added = self.store.add_reader(&mut Remember { inner: content, failed: &mut failed });
                if let Some(error) = failed {
                    return Err(read_error(error));
                }
                let (digest, size) = added?;
                self.left -= size;
                Node::File { mode: mode | 0o400, size, digest }
            }
            Type::Symlink => Node::Symlink { target: LinkTarget::new(link_name(entry)?)? },
            Type::Link => self.hard_link(&path, &link_name(entry)?)?,
            _ => return Err(UnpackError::Special(shown)),
        };
        self.entries.insert(path, UnpackedEntry { node, modified });
        Ok(())
    }

    fn hard_link(&mut self, path: &TreePath, target: &[u8]) -> Result<Node, UnpackError> {
        let shown = || UnpackError::HardLink(path.clone(), String::from_utf8_lossy(target).into_owned());
        let target = self.below_top(target, false)?.ok_or_else(shown)?;
        match self.entries.get(&target) {
            Some(UnpackedEntry { node: node @ Node::File { .. }, .. }) => Ok(node.clone()),
            _ => Err(shown()),
        }
    }

    /// The path without the archive's one top directory; `None` for that directory itself.
    fn below_top(&mut self, path: &[u8], is_dir: bool) -> Result<Option<TreePath>, UnpackError> {
        let shown = || UnpackError::Top(String::from_utf8_lossy(path).into_owned());
        let mut trimmed = path;
        while let Some(rest) = trimmed.strip_prefix(b"./") {
            trimmed = rest;
        }
        if is_dir {
            trimmed = trimmed.strip_suffix(b"/").unwrap_or(trimmed);
            if trimmed.is_empty() || trimmed == b"." {
                return Ok(None);
            }
        }
        let path = TreePath::new(trimmed)?;
        let bytes = path.as_bytes();
        let slash = bytes.iter().position(|&b| b == b'/');
        let top = slash.map_or(bytes, |at| bytes.get(..at).unwrap_or(bytes));
        if self.top.get_or_insert_with(|| top.to_vec()) != top || (slash.is_none() && !is_dir) {
            return Err(shown());
        }
        slash.and_then(|at| bytes.get(at + 1..)).map(TreePath::new).transpose().map_err(Into::into)
    }

    /// Adds the directories that the archive only implies, as `tar` does.
    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        let paths: Vec<TreePath> = self.entries.keys().cloned().collect();
        for path in paths {
            let mut parent = path.parent();
            while let Some(directory) = parent {
                match self.entries.get(&directory).map(|entry| &entry.node) {
                    // What is above it is added in its own turn, or was already.
                    Some(Node::Directory { .. }) => break,
                    Some(_) => return Err(UnpackError::Both(directory)),
                    None if self.entries.len() >= self.limits.entries => {
                        return Err(UnpackError::Limit { what: "entries", most: self.limits.entries as u64 });
                    }
                    None => parent = directory.parent(),
                }
                let implied = UnpackedEntry { node: Node::Directory { mode: 0o755 }, modified: Duration::ZERO };
                self.entries.insert(directory, implied);
            }
        }
        Ok(Unpacked { entries: self.entries })
    }
}

/// Keeps a read error, which the store can't tell from a write error.
struct Remember<'a, R> {
    inner: R,
    failed: &'a mut Option<io::Error>,
}

impl<R: Read> Read for Remember<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let again = io::Error::new(error.kind(), error.to_string());
            *self.failed = Some(error);
            again
        })
    }
}

/// The modification time: that of the extended header (POSIX.1-2017, pax, "pax Extended Header"), which has fractions, or
/// else the header's own, which Python and others round.
fn modified<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Duration, UnpackError> {
    let whole = entry.header().mtime().map_err(UnpackError::Archive)?;
    for extension in entry.pax_extensions().map_err(UnpackError::Archive)?.into_iter().flatten() {
        let extension = extension.map_err(UnpackError::Archive)?;
        if extension.key_bytes() == b"mtime" {
            let text = extension.value().unwrap_or_default();
            return decimal(text).ok_or_else(|| {
                UnpackError::Archive(io::Error::other(format!(
                    "an entry has the time {text:?}, which is no time since 1970"
                )))
            });
        }
    }
    Ok(Duration::from_secs(whole))
}

/// Seconds with a fraction, cut to nanoseconds.
fn decimal(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some(Duration::new(whole.parse().ok()?, nanoseconds.parse().ok()?))
}

fn link_name<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    let name = entry.link_name_bytes();
    Ok(name.map(|name| name.into_owned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    type Adder<'a> = &'a dyn Fn(&mut tar::Builder<Vec<u8>>);

    fn tar_with(add: Adder<'_>) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        add(&mut builder);
        builder.into_inner().unwrap()
    }

    fn add(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, link: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o4777);
        header.set_mtime(1_600_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }

    fn unpack_with(bytes: &[u8], limits: UnpackLimits) -> Result<Unpacked, UnpackError> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (digest, _) = store.add_bytes(bytes).unwrap();
        store.unpack(&digest.blake3, limits)
    }

    fn unpack(bytes: &[u8]) -> Result<Unpacked, UnpackError> {
        unpack_with(bytes, UnpackLimits::default())
    }

    fn sample() -> Vec<u8> {
        tar_with(&|b| {
            add(b, "p-1/", tar::EntryType::Directory, "", b"");
            add(b, "p-1/sub/file", tar::EntryType::Regular, "", b"hello");
            add(b, "p-1/hard", tar::EntryType::Link, "p-1/sub/file", b"");
            add(b, "./p-1/soft", tar::EntryType::Symlink, "../../etc", b"");
        })
    }

    #[test]
    fn every_compression_gives_the_same() {
        let plain = sample();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&plain).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
        let unpacked = unpack(&plain).unwrap();
        assert_eq!(unpack(&gzip).unwrap(), unpacked);
        assert_eq!(unpack(&zstd).unwrap(), unpacked);
        let names: Vec<_> = unpacked.entries.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["hard", "soft", "sub", "sub/file"]);
        let file = &unpacked.entries[&TreePath::new("sub/file").unwrap()];
        assert_eq!(file.modified, Duration::from_secs(1_600_000_000));
        assert!(
            matches!(file.node, Node::File { mode: 0o755, size: 5, .. }),
            "set-id and write bits must go: {file:?}"
        );
    }

    #[test]
    fn what_leads_out_is_refused() {
        for name in ["../x", "/etc/x", "p-1/../../x", "p-1//x", ""] {
            let bytes = tar_with(&|b| add(b, name, tar::EntryType::Regular, "", b"x"));
            assert!(matches!(unpack(&bytes), Err(UnpackError::Path(_))), "{name}");
        }
        for (name, other) in [("a/x", "b/x"), ("a/x", "y")] {
            let bytes = tar_with(&|b| {
                add(b, name, tar::EntryType::Regular, "", b"x");
                add(b, other, tar::EntryType::Regular, "", b"x");
            });
            assert!(matches!(unpack(&bytes), Err(UnpackError::Top(_))), "{other}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        for kind in [tar::EntryType::Char, tar::EntryType::Block, tar::EntryType::Fifo] {
            let bytes = tar_with(&|b| add(b, "p/x", kind, "", b""));
            assert!(matches!(unpack(&bytes), Err(UnpackError::Special(_))));
        }
        let dangling = tar_with(&|b| add(b, "p/x", tar::EntryType::Link, "p/none", b""));
        assert!(matches!(unpack(&dangling), Err(UnpackError::HardLink(..))));
        let both = tar_with(&|b| {
            add(b, "p/x", tar::EntryType::Symlink, "/etc", b"");
            add(b, "p/x/passwd", tar::EntryType::Regular, "", b"x");
        });
        assert!(matches!(unpack(&both), Err(UnpackError::Both(_))));
    }

    /// A sparse file that is a hole of `size` bytes.
    fn sparse(size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..8].copy_from_slice(b"p-1/hole");
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(0);
        let gnu = header.as_gnu_mut().unwrap();
        for field in [&mut gnu.realsize, &mut gnu.sparse[0].offset] {
            field[4..].copy_from_slice(&size.to_be_bytes());
            field[0] = 0x80;
        }
        gnu.sparse[0].numbytes = *b"00000000000\0";
        header.set_cksum();
        tar_with(&|b| b.append(&header, io::empty()).unwrap())
    }

    #[test]
    fn holes_count_as_bytes() {
        let limits = UnpackLimits { entries: 1, bytes: 1 << 20 };
        assert!(unpack_with(&sparse(1 << 20), limits).is_ok());
        for size in [(1 << 20) + 1, 1 << 60] {
            let error = unpack_with(&sparse(size), limits);
            assert!(matches!(error, Err(UnpackError::Limit { what: "bytes once expanded", .. })), "{error:?}");
        }
    }

    #[test]
    fn headers_are_bounded_on_both_sides() {
        // The member's own header, and that of the entry that it is for.
        let fits = usize::try_from(MAX_HEADERS).unwrap() - 2 * 512;
        let pax = |bytes: usize| {
            let mut record = format!("{bytes} comment=").into_bytes();
            record.resize(bytes - 1, b'c');
            record.push(b'\n');
            record
        };
        let with = |kind, content: &[u8]| {
            let bytes = tar_with(&|b| {
                add(b, "extension", kind, "", content);
                add(b, "p-1/file", tar::EntryType::Regular, "", b"");
            });
            unpack(&bytes)
        };
        let is_limit = |error| matches!(error, Err(UnpackError::Limit { what: "bytes of headers of one entry", .. }));
        let name = vec![b'n'; fits + 1];
        for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink] {
            assert!(!is_limit(with(kind, &name[..fits])), "{kind:?}");
            assert!(is_limit(with(kind, &name)), "{kind:?}");
        }
        assert_eq!(with(tar::EntryType::XHeader, &pax(fits)).unwrap().entries.len(), 1);
        assert!(is_limit(with(tar::EntryType::XHeader, &pax(fits + 1))));
        // It describes all entries, says nothing that is of use here, and is not held.
        assert!(with(tar::EntryType::XGlobalHeader, &pax(2 << 20)).is_ok());
    }

    #[test]
    fn extensions_that_only_look_so_are_not_held() {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..3].copy_from_slice(b"p/x");
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(9);
        header.set_mtime(0);
        header.set_mode(0o644);
        header.set_cksum();
        let bytes = tar_with(&|b| b.append(&header, b"no record".as_slice()).unwrap());
        // Not that its content is no list of extensions: that is not looked at.
        assert!(matches!(unpack(&bytes), Err(UnpackError::Special(_))));
    }

    #[test]
    fn content_is_no_header_even_where_it_is_not_used() {
        let large = vec![0; 2 << 20];
        let bytes = tar_with(&|b| {
            add(b, "p-1/", tar::EntryType::Directory, "", &large);
            add(b, "p-1/large", tar::EntryType::Regular, "", &large);
            add(b, "p-1/link", tar::EntryType::Link, "p-1/large", &large);
            add(b, "p-1/file", tar::EntryType::Regular, "", b"");
        });
        assert_eq!(unpack(&bytes).unwrap().entries.len(), 3);
    }

    #[test]
    fn implied_directories_count_as_entries() {
        let bytes = tar_with(&|b| add(b, "p-1/a/b/c/file", tar::EntryType::Regular, "", b""));
        let with = |entries| unpack_with(&bytes, UnpackLimits { entries, bytes: 1 << 20 });
        assert_eq!(with(4).unwrap().entries.len(), 4);
        assert!(matches!(with(3), Err(UnpackError::Limit { what: "entries", .. })));
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let bytes = sample();
        let exact = UnpackLimits { entries: 4, bytes: bytes.len() as u64 };
        assert!(unpack_with(&bytes, exact).is_ok());
        let few = unpack_with(&bytes, UnpackLimits { entries: 3, ..exact });
        assert!(matches!(few, Err(UnpackError::Limit { what: "entries", .. })));
        let short = unpack_with(&bytes, UnpackLimits { bytes: 2048, ..exact });
        assert!(matches!(short, Err(UnpackError::Limit { what: "bytes once expanded", .. })), "{short:?}");
    }

    #[test]
    fn a_time_with_a_fraction_is_kept() {
        let bytes = tar_with(&|b| {
            b.append_pax_extensions([("mtime", b"1789654200.9561234569".as_slice())]).unwrap();
            add(b, "p/x", tar::EntryType::Regular, "", b"x");
        });
        let unpacked = unpack(&bytes).unwrap();
        let entry = &unpacked.entries[&TreePath::new("x").unwrap()];
        assert_eq!(entry.modified, Duration::new(1_789_654_200, 956_123_456));
        for bad in ["", "-1", "1e3", "1.2.3", "99999999999999999999"] {
            let bytes = tar_with(&|b| {
                b.append_pax_extensions([("mtime", bad.as_bytes())]).unwrap();
                add(b, "p/x", tar::EntryType::Regular, "", b"x");
            });
            assert!(unpack(&bytes).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_torn_archive_is_refused() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&sample()).unwrap();
        let gzip = gzip.finish().unwrap();
        for end in [1, gzip.len() / 2, gzip.len() - 1] {
            assert!(unpack(&gzip[..end]).is_err(), "{end}");
        }
        assert!(unpack(b"not a tar archive at all, but long enough to be looked at").is_err());
    }
}
