// SPDX-License-Identifier: Apache-2.0
//! Archives into the store: tar, alone or in gzip or zstd, with or without its one top directory.

mod layer;
mod stream;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::time::Duration;

use reprove_model::{Digest, DigestSet, InvalidTreePath, LinkTarget, Node, TreePath};
use thiserror::Error;

pub use self::layer::Layer;
use self::stream::{Bounded, Headers, MAX_HEADERS, decompress, read_error};
use crate::workers::{Content, Feed, Ticket, take_in};
use crate::write::PART;
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

/// Where the files of an archive are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In one directory at its top, which is left out.
    InOneDirectory,
    /// At its top, as those of a root filesystem.
    AtTop,
}

/// An unpacked archive: what is in it, with the modification times that it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// By path below the archive's top; every entry's directory is one too.
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
        self.unpack_tar(stream, Layout::InOneDirectory, limits)
    }

    /// Unpacks the tar archive that `stream` is the bytes of; its files become blobs.
    ///
    /// # Errors
    /// See [`UnpackError`].
    pub fn unpack_tar(&self, stream: impl Read, layout: Layout, limits: UnpackLimits) -> Result<Unpacked, UnpackError> {
        let (entries, _) = self.read_tar(stream, layout, None, limits)?;
        with_implied(entries, limits)
    }

    /// The entries of a tar archive alone, and those that no tree can hold where `special` has a place for them.
    fn read_tar(
        &self,
        stream: impl Read,
        layout: Layout,
        special: Option<BTreeSet<TreePath>>,
        limits: UnpackLimits,
    ) -> Result<(BTreeMap<TreePath, UnpackedEntry>, BTreeSet<TreePath>), UnpackError> {
        let headers = Cell::new(None);
        let stream = Bounded { inner: stream, left: limits.bytes, most: limits.bytes };
        let mut archive = tar::Archive::new(Headers { inner: stream, left: &headers });
        let (unpack, stored) = take_in(self, |feed| {
            let (entries, top, left) = (BTreeMap::new(), None, limits.bytes);
            let mut unpack = Unpack { store: self, feed, entries, special, layout, top, limits, left };
            unpack.all(&mut archive, &headers)?;
            Ok::<_, UnpackError>((unpack.entries, unpack.special))
        })?;
        // The rest holds the compression's own check sum.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(read_error)?;
        let entries = digested(unpack.0, |ticket| stored.of(ticket, self))?;
        Ok((entries, unpack.1.unwrap_or_default()))
    }
}

/// An entry; a file's digests are yet to come.
#[derive(Clone, Copy)]
struct Pending {
    mode: u16,
    ticket: Ticket,
}

/// What an entry is, and its modification time.
struct Found {
    what: What,
    modified: Duration,
}

enum What {
    File(Pending),
    Other(Node),
}

struct Unpack<'a> {
    store: &'a Store,
    feed: &'a mut Feed,
    entries: BTreeMap<TreePath, Found>,
    special: Option<BTreeSet<TreePath>>,
    layout: Layout,
    top: Option<Vec<u8>>,
    limits: UnpackLimits,
    /// How many bytes the files that are still to come may have.
    left: u64,
}

impl Unpack<'_> {
    fn all<R: Read>(
        &mut self,
        archive: &mut tar::Archive<Headers<'_, R>>,
        headers: &Cell<Option<u64>>,
    ) -> Result<(), UnpackError> {
        let mut entries = archive.entries().map_err(read_error)?;
        for count in 0.. {
            headers.set(Some(MAX_HEADERS));
            let Some(entry) = entries.next() else { break };
            headers.set(None);
            if count >= self.limits.entries {
                return Err(UnpackError::Limit { what: "entries", most: self.limits.entries as u64 });
            }
            let mut entry = entry.map_err(read_error)?;
            self.entry(&mut entry)?;
            // What is left, as the content of a hard link, is not to be taken for the next entry's headers.
            io::copy(&mut entry, &mut io::sink()).map_err(read_error)?;
        }
        headers.set(None);
        Ok(())
    }

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
        let what = match kind {
            Type::Directory => What::Other(Node::Directory { mode: mode | 0o700 }),
            Type::Regular | Type::Continuous | Type::GNUSparse => self.file(entry, mode | 0o400)?,
            Type::Symlink => What::Other(Node::Symlink { target: LinkTarget::new(link_name(entry)?)? }),
            Type::Link => What::File(self.hard_link(&path, &link_name(entry)?)?),
            _ => {
                let special = self.special.as_mut().ok_or(UnpackError::Special(shown))?;
                self.entries.remove(&path);
                special.insert(path);
                return Ok(());
            }
        };
        if let Some(special) = &mut self.special {
            special.remove(&path);
        }
        self.entries.insert(path, Found { what, modified });
        Ok(())
    }

    /// Hands in the content of a file; the parser goes on while another thread stores it.
    fn file<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, mode: u16) -> Result<What, UnpackError> {
        let mut content = Bounded { inner: entry, left: self.left, most: self.limits.bytes };
        let size = usize::try_from(content.inner.size()).unwrap_or(PART).min(PART);
        let mut start = Vec::with_capacity(size + 1);
        let read = content.by_ref().take(PART as u64 + 1).read_to_end(&mut start).map_err(read_error)?;
        if read <= PART {
            self.left -= read as u64;
            let ticket = self.feed.add(Content::Bytes(start));
            return Ok(What::File(Pending { mode, ticket }));
        }
        let mut failed = None;
        let rest = Remember { inner: content, failed: &mut failed };
        let added = self.store.add_reader(&mut start.as_slice().chain(rest));
        if let Some(error) = failed {
            return Err(read_error(error));
        }
        let (digest, size) = added?;
        self.left -= size;
        Ok(What::File(Pending { mode, ticket: self.feed.known(digest, size) }))
    }

    fn hard_link(&mut self, path: &TreePath, target: &[u8]) -> Result<Pending, UnpackError> {
        let shown = || UnpackError::HardLink(path.clone(), String::from_utf8_lossy(target).into_owned());
        let target = self.below_top(target, false)?.ok_or_else(shown)?;
        match self.entries.get(&target) {
            Some(Found { what: What::File(pending), .. }) => Ok(*pending),
            _ => Err(shown()),
        }
    }

    /// The path below the archive's top; `None` for the top itself.
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
        if self.layout == Layout::AtTop {
            return Ok(Some(path));
        }
        let bytes = path.as_bytes();
        let slash = bytes.iter().position(|&b| b == b'/');
        let top = slash.map_or(bytes, |at| bytes.get(..at).unwrap_or(bytes));
        if self.top.get_or_insert_with(|| top.to_vec()) != top || (slash.is_none() && !is_dir) {
            return Err(shown());
        }
        slash.and_then(|at| bytes.get(at + 1..)).map(TreePath::new).transpose().map_err(Into::into)
    }
}

/// The entries with the digests of their files.
fn digested(
    found: BTreeMap<TreePath, Found>,
    stored: impl Fn(Ticket) -> Result<(DigestSet, u64), StoreError>,
) -> Result<BTreeMap<TreePath, UnpackedEntry>, UnpackError> {
    let one = |(path, Found { what, modified })| {
        let node = match what {
            What::Other(node) => node,
            What::File(Pending { mode, ticket }) => {
                let (digest, size) = stored(ticket)?;
                Node::File { mode, size, digest }
            }
        };
        Ok((path, UnpackedEntry { node, modified }))
    };
    found.into_iter().map(one).collect()
}

/// Adds the directories that the archive only implies, as `tar` does.
fn with_implied(mut entries: BTreeMap<TreePath, UnpackedEntry>, limits: UnpackLimits) -> Result<Unpacked, UnpackError> {
    let paths: Vec<TreePath> = entries.keys().cloned().collect();
    for path in paths {
        let mut parent = path.parent();
        while let Some(directory) = parent {
            match entries.get(&directory).map(|entry| &entry.node) {
                // What is above it is added in its own turn, or was already.
                Some(Node::Directory { .. }) => break,
                Some(_) => return Err(UnpackError::Both(directory)),
                None if entries.len() >= limits.entries => {
                    return Err(UnpackError::Limit { what: "entries", most: limits.entries as u64 });
                }
                None => parent = directory.parent(),
            }
            let implied = UnpackedEntry { node: Node::Directory { mode: 0o755 }, modified: Duration::ZERO };
            entries.insert(directory, implied);
        }
    }
    Ok(Unpacked { entries })
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
mod tests;
