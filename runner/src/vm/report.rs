// SPDX-License-Identifier: Apache-2.0
//! The disk that a guest leaves: a block with 16 bytes that say what it is, the length of its head (8 bytes, the lowest
//! first) and the head's BLAKE3 digest; the head in canonical JSON; the blobs that it lists, one after the other.
//!
//! The first block is written last, so that what is not whole is no report. To the host all of it is from outside: a build
//! that has broken out of everything inside has written it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write as _};

use reprove_images::guest::BLOCK;
use reprove_model::canonical::{self, CanonicalError, MAX_DOCUMENT};
use reprove_model::{BuildRecord, Digest};
use reprove_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::job::Blob;

/// The most blobs of one report: the files of a build's outputs, and its log and its listing.
pub const MAX_BLOBS: usize = crate::MAX_OUTPUT_FILES + 2;

/// The longest text of a report, in characters.
pub const MAX_TEXT: usize = 4000;

/// The longest report of a processor's, in hexadecimal digits: twice the bytes of a quote.
pub const MAX_EVIDENCE: usize = 128 << 10;

const MAGIC: &[u8; 16] = b"reprove report1\n";

/// What a guest says at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// How it went.
    pub end: ReportedEnd,
    /// What the guest had its processor say, where it was asked for that and the build ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<GuestEvidence>,
    /// What stands behind the head, in this order; each once.
    pub blobs: Vec<Blob>,
}

/// What a guest had its processor say of itself: each in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestEvidence {
    /// Before anything of the build ran.
    pub start: String,
    /// When all that is stated was known.
    pub end: String,
    /// What it found beside the report at the end: of a processor of AMD's, the host's table of certificates; of one of Intel's,
    /// the log of what the firmware has measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
}

/// How it went in a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportedEnd {
    /// It was there, and there was nothing to build.
    Hello,
    /// There was a build, however it ended. What it says of the machine is the host's to say.
    Built(Box<BuildRecord>),
    /// There was none, or none whose outputs can be kept.
    Failed {
        /// Whose fault it is.
        fault: Fault,
        /// Why, in at most [`MAX_TEXT`] characters.
        text: String,
    },
}

/// Whose fault it is that there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The recipe's or the source's: they ask for what can't be.
    Project,
    /// The guest's or the machine's.
    Machine,
}

/// Why a disk is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// It was not written, or not to its end.
    #[error("the guest left no report")]
    None,
    /// It is not one.
    #[error("the guest's report can't be read: {0}")]
    Malformed(&'static str),
    /// The head can't be.
    #[error("the guest's report can't be read: {0}")]
    Head(#[from] CanonicalError),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk could not be written or read.
    #[error("the guest's disk: {0}")]
    Io(#[from] io::Error),
}

impl Report {
    /// Writes the report with the blobs out of `store`; the first block last, when all others are on the disk.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn write(&self, store: &Store, disk: &mut File) -> Result<(), ReportError> {
        let head = canonical::to_vec(self)?;
        disk.seek(SeekFrom::Start(BLOCK as u64))?;
        let mut to = io::BufWriter::with_capacity(1 << 20, &mut *disk);
        to.write_all(&head)?;
        for blob in &self.blobs {
            if io::copy(&mut store.open_blob(&blob.digest)?.take(blob.size), &mut to)? != blob.size {
                return Err(ReportError::Malformed("a blob is shorter than was said"));
            }
        }
        to.flush()?;
        drop(to);
        disk.sync_all()?;
        disk.rewind()?;
        disk.write_all(&Self::first_block(&head))?;
        disk.sync_all()?;
        Ok(())
    }

    /// The first block of a disk whose head has these bytes.
    #[must_use]
    pub fn first_block(head: &[u8]) -> Vec<u8> {
        let mut first = Vec::with_capacity(BLOCK);
        first.extend_from_slice(MAGIC);
        first.extend_from_slice(&(head.len() as u64).to_le_bytes());
        first.extend_from_slice(Digest::of(head).as_bytes());
        first.resize(BLOCK, 0);
        first
    }

    /// Reads the head; the blobs stand where `disk` is then.
    ///
    /// # Errors
    /// [`ReportError::None`], [`ReportError::Malformed`], [`ReportError::Head`], [`ReportError::Io`].
    pub fn read(disk: &mut (impl Read + Seek)) -> Result<Self, ReportError> {
        let mut first = Vec::with_capacity(BLOCK);
        disk.rewind()?;
        disk.by_ref().take(BLOCK as u64).read_to_end(&mut first)?;
        let rest = first.strip_prefix(MAGIC).filter(|_| first.len() == BLOCK).ok_or(ReportError::None)?;
        let (length, rest) = rest.split_first_chunk().ok_or(ReportError::None)?;
        let (digest, rest) = rest.split_first_chunk::<32>().ok_or(ReportError::None)?;
        let length = u64::from_le_bytes(*length);
        if rest.iter().any(|&byte| byte != 0) {
            return Err(ReportError::Malformed("there is something in its first block that is not known"));
        }
        if length > MAX_DOCUMENT as u64 {
            return Err(ReportError::Malformed("its head is too long"));
        }
        let mut head = Vec::new();
        disk.take(length).read_to_end(&mut head)?;
        if head.len() as u64 != length || Digest::of(&head) != Digest::from(*digest) {
            return Err(ReportError::Malformed("its head is not the one that its first block names"));
        }
        let report: Self = canonical::from_slice(&head)?;
        report.check()?;
        Ok(report)
    }

    /// Takes the blobs, which stand where `disk` is, into the store.
    ///
    /// # Errors
    /// [`ReportError::Malformed`] where one is not as the head says; what was taken in before one stays until it is
    /// collected.
    pub fn take_blobs(&self, disk: &mut impl Read, store: &Store) -> Result<(), ReportError> {
        for blob in &self.blobs {
            let (digest, size) = store.add_reader(&mut disk.by_ref().take(blob.size))?;
            if (digest.blake3, size) != (blob.digest, blob.size) {
                return Err(ReportError::Malformed("a blob is another one than its head says"));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ReportError> {
        if self.blobs.len() > MAX_BLOBS {
            return Err(ReportError::Malformed("it has too many blobs"));
        }
        let there: BTreeSet<Digest> = self.blobs.iter().map(|blob| blob.digest).collect();
        if there.len() != self.blobs.len() {
            return Err(ReportError::Malformed("it has a blob twice"));
        }
        if let ReportedEnd::Failed { text, .. } = &self.end
            && text.chars().count() > MAX_TEXT
        {
            return Err(ReportError::Malformed("its text is too long"));
        }
        let texts = self
            .evidence
            .iter()
            .flat_map(|evidence| [Some(&evidence.start), Some(&evidence.end), evidence.beside.as_ref()]);
        if texts.flatten().any(|text| text.len() > MAX_EVIDENCE) {
            return Err(ReportError::Malformed("its evidence is too long"));
        }
        let wanted = wanted_blobs(&self.end);
        let found: BTreeSet<(Digest, u64)> = self.blobs.iter().map(|blob| (blob.digest, blob.size)).collect();
        if !self.is_listing_wanted() && found != wanted {
            return Err(ReportError::Malformed("its blobs are not those of its record"));
        }
        if self.is_listing_wanted() && !(found.is_superset(&wanted) && found.len() <= wanted.len() + 1) {
            return Err(ReportError::Malformed("its blobs are not those of its record"));
        }
        Ok(())
    }

    /// Whether a listing of what was observed is among the blobs; its size is not in the record.
    fn is_listing_wanted(&self) -> bool {
        matches!(&self.end, ReportedEnd::Built(record) if record.observed.listing.is_some())
    }
}

/// What a record names by digest and size: its log and its outputs.
pub(super) fn wanted_blobs(end: &ReportedEnd) -> BTreeSet<(Digest, u64)> {
    let ReportedEnd::Built(record) = end else { return BTreeSet::new() };
    let log = (record.log.digest.blake3, record.log.size);
    record.outputs.files().map(|(_, digest, size)| (digest.blake3, size)).chain([log]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_of(report: &Report, store: &Store) -> Vec<u8> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        report.write(store, file.as_file_mut()).unwrap();
        std::fs::read(file.path()).unwrap()
    }

    fn failed(text: &str) -> Report {
        Report {
            end: ReportedEnd::Failed { fault: Fault::Machine, text: text.into() },
            evidence: None,
            blobs: Vec::new(),
        }
    }

    fn read(disk: &[u8]) -> Result<Report, ReportError> {
        Report::read(&mut io::Cursor::new(disk))
    }

    #[test]
    fn a_report_is_read_as_it_was_written_and_no_byte_of_it_may_be_another() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let report = failed("why");
        let disk = disk_of(&report, &store);
        assert_eq!(read(&disk).unwrap(), report);
        for at in 0..disk.len() {
            let mut other = disk.clone();
            other[at] ^= 0x10;
            assert!(read(&other).is_err(), "{at}");
            assert!(read(&disk[..at]).is_err(), "{at}");
        }
        assert!(matches!(read(&[0; 3 * BLOCK]), Err(ReportError::None)));
    }

    #[test]
    fn texts_are_bounded_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        for (length, fits) in [(MAX_TEXT, true), (MAX_TEXT + 1, false)] {
            assert_eq!(read(&disk_of(&failed(&"ä".repeat(length)), &store)).is_ok(), fits);
        }
    }

    #[test]
    fn evidence_is_bounded_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        for (length, fits) in [(MAX_EVIDENCE, true), (MAX_EVIDENCE + 1, false)] {
            let said = |end, beside| Some(GuestEvidence { start: String::new(), end, beside });
            let long = "0".repeat(length);
            for evidence in [said(long.clone(), None), said(String::new(), Some(long.clone()))] {
                let report = Report { evidence, ..failed("why") };
                assert_eq!(read(&disk_of(&report, &store)).is_ok(), fits);
            }
        }
    }

    #[test]
    fn a_head_is_bounded() {
        let mut first = MAGIC.to_vec();
        first.extend_from_slice(&(MAX_DOCUMENT as u64 + 1).to_le_bytes());
        first.resize(BLOCK, 0);
        assert!(matches!(read(&first), Err(ReportError::Malformed("its head is too long"))));
    }

    #[test]
    fn blobs_are_those_that_the_record_names() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (digest, size) = store.add_bytes(b"x").unwrap();
        let blob = Blob { digest: digest.blake3, size };
        for blobs in [vec![blob], vec![blob, blob]] {
            let disk = disk_of(&Report { end: ReportedEnd::Hello, evidence: None, blobs }, &store);
            assert!(matches!(read(&disk), Err(ReportError::Malformed(_))));
        }
    }
}
