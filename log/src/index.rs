// SPDX-License-Identifier: Apache-2.0
//! What a log has for a subject: beside the tiles, the envelopes themselves, and lists of entries by subject and by payload.
//!
//! | Path | What it is |
//! |---|---|
//! | `envelope/AB/LEAF` | the envelope of the entry with this leaf hash, in canonical JSON |
//! | `subject/AB/SHA256`, `payload/AB/SHA256` | the entries on this subject, or with this payload: a number and a leaf hash a line |
//! | `opaque` | there where an entry was added without its envelope, so that the lists are not all |
//!
//! They are written before the checkpoint is named. What a killed process has left in them names entries that are not in
//! the log, or are others by now; their leaf hashes tell.

use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_attest::log::merkle::{Hash, leaf_hash};
use reprove_attest::{Envelope, log, subjects_of};
use reprove_model::{Sha256, canonical};

use crate::tiles::WIDTH;
use crate::{Log, LogError, io_error, read, read_text, write_listed, write_whole};

/// One entry, and the envelope that it is of.
#[derive(Clone, Debug)]
pub struct Record {
    pub(crate) entry: Vec<u8>,
    pub(crate) envelope: Option<Envelope>,
}

impl Record {
    /// The entry of an envelope; see [`reprove_attest::log::entry`].
    #[must_use]
    pub fn of(entry: Vec<u8>, envelope: Envelope) -> Self {
        Self { entry, envelope: Some(envelope) }
    }

    /// An entry of which nothing else is known. A log that has one has no word on what it has for a subject.
    #[must_use]
    pub fn opaque(entry: Vec<u8>) -> Self {
        Self { entry, envelope: None }
    }
}

/// By what entries are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Subject,
    Payload,
}

impl By {
    fn folder(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Payload => "payload",
        }
    }
}

/// The marker of a log whose lists are not all.
const OPAQUE: &str = "opaque";

impl Log {
    /// Everything that the log has for a subject, in its order: each entry's number, and its envelope.
    ///
    /// # Errors
    /// [`LogError::NotListed`] where the log has entries whose envelopes it does not know; [`LogError::Damaged`],
    /// [`LogError::Io`].
    pub fn recorded(&self, subject: &Sha256) -> Result<Vec<(u64, Hash, Envelope)>, LogError> {
        self.is_listed()?;
        self.listed(By::Subject, subject)
    }

    /// The envelopes with a payload, whoever has signed them.
    ///
    /// # Errors
    /// [`LogError::Damaged`], [`LogError::Io`].
    pub fn with_payload(&self, payload: &Sha256) -> Result<Vec<(u64, Hash, Envelope)>, LogError> {
        self.listed(By::Payload, payload)
    }

    fn listed(&self, by: By, key: &Sha256) -> Result<Vec<(u64, Hash, Envelope)>, LogError> {
        let mut found = Vec::new();
        for (number, leaf) in read_list(&self.list_path(by, key))? {
            // What a killed process has left behind.
            if number >= self.checkpoint.size || self.leaf(number)? != Some(leaf) {
                continue;
            }
            found.push((number, leaf, self.envelope(&leaf)?));
        }
        Ok(found)
    }

    fn leaf(&self, number: u64) -> Result<Option<Hash>, LogError> {
        let place = usize::try_from(number % WIDTH).unwrap_or(usize::MAX);
        Ok(self.tiles().hashes(0, number / WIDTH)?.get(place).copied())
    }

    fn envelope(&self, leaf: &Hash) -> Result<Envelope, LogError> {
        let path = self.envelope_path(leaf);
        let bytes = read(&path, MAX_FILE)?;
        canonical::from_slice(&bytes).map_err(|_| LogError::Damaged(path))
    }

    /// Writes the envelopes of entries from number `start` on, and lists them.
    pub(crate) fn list(&self, start: u64, records: &[Record]) -> Result<(), LogError> {
        let marker = self.folder.join(OPAQUE);
        if records.iter().any(|record| record.envelope.is_none()) && marker.symlink_metadata().is_err() {
            write_whole(&marker, b"")?;
        }
        let mut lists: BTreeMap<(By, Sha256), Vec<(u64, Hash)>> = BTreeMap::new();
        for (number, record) in (start..).zip(records) {
            let leaf = leaf_hash(&record.entry);
            let Some(envelope) = &record.envelope else { continue };
            let path = self.envelope_path(&leaf);
            make_folder(&path)?;
            let bytes = canonical::to_vec(envelope).map_err(|_| LogError::TooLong(envelope.payload().len()))?;
            write_listed(&path, &bytes)?;
            for key in keys(envelope) {
                lists.entry(key).or_default().push((number, leaf));
            }
        }
        for ((by, key), added) in lists {
            let path = self.list_path(by, &key);
            make_folder(&path)?;
            let before = read_list(&path)?.into_iter().filter(|(number, _)| *number < start);
            let line = |(number, leaf): (u64, Hash)| format!("{number} {}\n", STANDARD.encode(leaf));
            write_listed(&path, before.chain(added).map(line).collect::<String>().as_bytes())?;
        }
        Ok(())
    }

    /// Whether every entry's envelope is there, is the one that the entry is of, and is listed. Of a log that has entries
    /// without envelopes, nothing is looked at.
    pub(crate) fn verify_lists(&self) -> Result<(), LogError> {
        if self.is_listed().is_err() {
            return Ok(());
        }
        let mut listed: BTreeMap<(By, Sha256), BTreeSet<(u64, Hash)>> = BTreeMap::new();
        for tile in 0..self.checkpoint.size.div_ceil(WIDTH) {
            for (number, entry) in (tile * WIDTH..).zip(self.tiles().entries(tile)?) {
                let leaf = leaf_hash(&entry);
                let path = self.envelope_path(&leaf);
                let envelope = self.envelope(&leaf).map_err(|_| LogError::Damaged(path.clone()))?;
                if !log::is_entry_of(&entry, &envelope) {
                    return Err(LogError::Damaged(path));
                }
                for key in keys(&envelope) {
                    let list = match listed.entry(key) {
                        Occupied(list) => list.into_mut(),
                        Vacant(place) => place.insert(read_list(&self.list_path(key.0, &key.1))?.into_iter().collect()),
                    };
                    if !list.remove(&(number, leaf)) {
                        return Err(LogError::Damaged(self.list_path(key.0, &key.1)));
                    }
                    // What was found whole is forgotten, so that not all lists are held at once.
                    if list.is_empty() {
                        let _ = listed.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }

    fn list_path(&self, by: By, key: &Sha256) -> PathBuf {
        below(&self.folder.join(by.folder()), &key.to_string())
    }

    fn envelope_path(&self, leaf: &Hash) -> PathBuf {
        below(&self.folder.join("envelope"), &leaf.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}

pub(crate) fn is_listed(folder: &Path) -> Result<(), LogError> {
    match folder.join(OPAQUE).symlink_metadata() {
        Ok(_) => Err(LogError::NotListed(folder.to_owned())),
        Err(_) => Ok(()),
    }
}

/// The longest envelope, and the longest list, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// By what an envelope is listed.
fn keys(envelope: &Envelope) -> BTreeSet<(By, Sha256)> {
    let subjects = subjects_of(envelope.payload()).into_iter().map(|subject| (By::Subject, subject));
    subjects.chain([(By::Payload, Sha256::of(envelope.payload()))]).collect()
}

fn below(folder: &Path, name: &str) -> PathBuf {
    folder.join(name.get(..2).unwrap_or_default()).join(name)
}

fn make_folder(path: &Path) -> Result<(), LogError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(|e| io_error(folder, e))
}

fn read_list(path: &Path) -> Result<Vec<(u64, Hash)>, LogError> {
    let text = match read_text(path, MAX_FILE) {
        Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let line = |line: &str| {
        let (number, leaf) = line.split_once(' ')?;
        Some((number.parse().ok()?, STANDARD.decode(leaf).ok()?.try_into().ok()?))
    };
    text.lines().map(line).collect::<Option<Vec<_>>>().ok_or_else(|| LogError::Damaged(path.to_owned()))
}
