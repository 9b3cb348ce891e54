// SPDX-License-Identifier: Apache-2.0
//! A log's word on everything that it has for a subject, up to a checkpoint.
//!
//! ```text
//! reprove.dev/recorded/v1    the note that the log signs; never a checkpoint, whose first line is the log's name
//! ORIGIN
//! SIZE                       of the checkpoint
//! ROOT
//! SUBJECT                    SHA-256, in hexadecimal
//! TIME                       the log's clock, in seconds since 1970
//! COUNT                      how many entries there are for it
//! LIST                       the root of RFC 6962's tree over their leaf hashes, in the log's order
//! ```

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_model::Sha256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::checkpoint::{decimal, hash};
use super::merkle::{Hash, Subtrees, node_hash, root};
use super::{Checkpoint, Note, NoteError, NoteKey};
use crate::{Signer, SignerError};

/// The most entries that one word is on.
pub const MAX_RECORDED: usize = 100_000;

/// The first line of the note.
const HEADER: &str = "reprove.dev/recorded/v1";

/// What a log says that it has for a subject. Unverified: see [`RecordedSubject::verify`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedSubject {
    /// The signed note.
    pub note: String,
    /// The leaf hash of each entry (RFC 6962, section 2.1), in the log's order, in base64.
    pub entries: Vec<String>,
}

/// What a log that is believed says that it has for a subject. Only [`RecordedSubject::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    subject: Sha256,
    origin: String,
    size: u64,
    root: Hash,
    time: u64,
    entries: Vec<Hash>,
}

impl Recorded {
    /// Of what: SHA-256.
    #[must_use]
    pub fn subject(&self) -> Sha256 {
        self.subject
    }

    /// Which log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Among how many entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Their root: with the size, the checkpoint that it is of.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// When, by the log's clock, in seconds since 1970.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The leaf hash of each entry, in the log's order.
    #[must_use]
    pub fn entries(&self) -> &[Hash] {
        &self.entries
    }
}

impl RecordedSubject {
    /// Says, with the log's `key`, that `entries` are all that it has for `subject` at `checkpoint`.
    ///
    /// # Errors
    /// [`RecordedError::Count`] past [`MAX_RECORDED`], and what signing says.
    pub fn sign(
        checkpoint: &Checkpoint,
        subject: Sha256,
        entries: &[Hash],
        time: u64,
        key: &dyn Signer,
    ) -> Result<Self, RecordedError> {
        if entries.len() > MAX_RECORDED {
            return Err(RecordedError::Count(entries.len()));
        }
        let (count, list) = (entries.len() as u64, list_root(entries));
        let said = Said { checkpoint: checkpoint.clone(), subject, time, count, list };
        let mut note = Note::new(&said.to_string())?;
        note.sign(&checkpoint.origin, key)?;
        let entries = entries.iter().map(|entry| STANDARD.encode(entry)).collect();
        Ok(Self { note: note.to_string(), entries })
    }

    /// What it says, whoever has signed it, and whatever the entries beside it are.
    ///
    /// # Errors
    /// See [`RecordedError`].
    pub fn said(&self) -> Result<Said, RecordedError> {
        self.note.parse::<Note>()?.text().parse()
    }

    /// What the one of `logs` says that signed this.
    ///
    /// # Errors
    /// See [`RecordedError`].
    pub fn verify(&self, logs: &[NoteKey]) -> Result<Recorded, RecordedError> {
        if self.entries.len() > MAX_RECORDED {
            return Err(RecordedError::Count(self.entries.len()));
        }
        let note: Note = self.note.parse()?;
        let Said { checkpoint: Checkpoint { origin, size, root }, subject, time, count, list } = note.text().parse()?;
        // A log may have changed its key: any of those that are believed will do.
        let tried = logs.iter().filter(|log| log.name() == origin).map(|log| log.verify(&note).map(drop));
        let unknown = || Err(RecordedError::UnknownLog(origin.chars().take(200).collect()));
        tried.reduce(Result::or).map_or_else(unknown, |signed| Ok(signed?))?;
        let entries = self.entries.iter().map(|text| hash(text)).collect::<Option<Vec<_>>>();
        let entries = entries.ok_or(RecordedError::Shape)?;
        if entries.len() as u64 != count || list_root(&entries) != list {
            return Err(RecordedError::OtherEntries);
        }
        Ok(Recorded { subject, origin, size, root, time, entries })
    }
}

/// The lines of the note. Unverified: see [`RecordedSubject::said`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Up to where.
    pub checkpoint: Checkpoint,
    /// Of what: SHA-256.
    pub subject: Sha256,
    /// When, by the log's clock, in seconds since 1970.
    pub time: u64,
    /// How many entries there are for it.
    pub count: u64,
    list: Hash,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checkpoint, subject, time, count, list } = self;
        writeln!(f, "{HEADER}\n{checkpoint}{subject}\n{time}\n{count}\n{}", STANDARD.encode(list))
    }
}

impl FromStr for Said {
    type Err = RecordedError;

    fn from_str(text: &str) -> Result<Self, RecordedError> {
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(RecordedError::Shape)?.split('\n').collect();
        let [HEADER, origin, size, root, subject, time, count, list] = lines.as_slice() else {
            return Err(RecordedError::Shape);
        };
        let number = |text: &str| decimal(text).ok_or(RecordedError::Shape);
        let read = |text: &str| hash(text).ok_or(RecordedError::Shape);
        Ok(Self {
            checkpoint: Checkpoint { origin: (*origin).to_owned(), size: number(size)?, root: read(root)? },
            subject: subject.parse().map_err(|_| RecordedError::Shape)?,
            time: number(time)?,
            count: number(count)?,
            list: read(list)?,
        })
    }
}

/// The root over a list that is all there.
fn list_root(hashes: &[Hash]) -> Hash {
    struct List<'a>(&'a [Hash]);
    impl Subtrees for List<'_> {
        type Error = Infallible;

        fn subtree(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
            if level == 0 {
                let leaf = usize::try_from(index).ok().and_then(|index| self.0.get(index));
                // What is asked for is below the number of hashes.
                return Ok(leaf.copied().unwrap_or_default());
            }
            Ok(node_hash(&self.subtree(level - 1, 2 * index)?, &self.subtree(level - 1, 2 * index + 1)?))
        }
    }
    let Ok(root) = root(&List(hashes), hashes.len() as u64);
    root
}

/// Why something is no log's word on a subject.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordedError {
    /// Not the lines of one.
    #[error("this is no log's word on a subject: it starts with {HEADER}, and has seven lines after that")]
    Shape,
    /// More than [`MAX_RECORDED`].
    #[error("it is on {0} entries; the most is {MAX_RECORDED}")]
    Count(usize),
    /// A log that is not believed.
    #[error("it is the word of the log {0:?}, which is not one that is believed")]
    UnknownLog(String),
    /// Other entries than the log has signed.
    #[error("the entries beside it are not those that the log speaks of")]
    OtherEntries,
    /// Not signed as it has to be.
    #[error("the log's word: {0}")]
    Note(#[from] NoteError),
    /// The key did not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

#[cfg(test)]
mod tests {
    use super::super::NoteKind;
    use super::super::merkle::leaf_hash;
    use super::*;
    use crate::SigningKey;

    fn key(seed: u8) -> SigningKey {
        SigningKey::ed25519([seed; 32])
    }

    fn log(name: &str, seed: u8) -> NoteKey {
        NoteKey::new(name, NoteKind::Own, key(seed).public_key()).unwrap()
    }

    fn word(entries: &[&[u8]]) -> RecordedSubject {
        let checkpoint = Checkpoint { origin: "log.example".into(), size: 9, root: leaf_hash(b"root") };
        let entries: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        RecordedSubject::sign(&checkpoint, Sha256::of(b"subject"), &entries, 1_700_000_000, &key(1)).unwrap()
    }

    #[test]
    fn a_logs_word_is_that_of_the_log_on_those_entries() {
        let read = word(&[b"a", b"b", b"c"]);
        let recorded = read.verify(&[log("other.example", 2), log("log.example", 1)]).unwrap();
        assert_eq!((recorded.subject(), recorded.size(), recorded.time()), (Sha256::of(b"subject"), 9, 1_700_000_000));
        assert_eq!((recorded.origin(), recorded.entries().len()), ("log.example", 3));
        assert!(matches!(read.verify(&[log("other.example", 1)]), Err(RecordedError::UnknownLog(_))));
        assert!(matches!(read.verify(&[log("log.example", 2)]), Err(RecordedError::Note(_))));
        assert!(read.verify(&[log("log.example", 2), log("log.example", 1)]).is_ok(), "the log has changed its key");
        assert!(word(&[]).verify(&[log("log.example", 1)]).unwrap().entries().is_empty());
        // One is left out, one is added, two change places.
        let tampered = |change: &dyn Fn(&mut Vec<String>)| {
            let mut other = read.clone();
            change(&mut other.entries);
            other.verify(&[log("log.example", 1)])
        };
        for change in [
            &(|entries: &mut Vec<String>| drop(entries.pop())) as &dyn Fn(&mut Vec<String>),
            &|entries| entries.push(entries[0].clone()),
            &|entries| entries.swap(0, 1),
            &|entries| entries.clear(),
        ] {
            assert_eq!(tampered(change), Err(RecordedError::OtherEntries));
        }
        assert_eq!(tampered(&|entries| entries[0].push('x')), Err(RecordedError::Shape));
    }

    #[test]
    fn no_changed_bit_of_it_is_believed_and_it_is_no_checkpoint() {
        let good = word(&[b"a"]);
        for at in 0..good.note.len() {
            for bit in 0..8 {
                let mut changed = good.note.clone().into_bytes();
                changed[at] ^= 1 << bit;
                let Ok(note) = String::from_utf8(changed) else { continue };
                let read = RecordedSubject { note, ..good.clone() }.verify(&[log("log.example", 1)]);
                assert!(read.is_err(), "byte {at}");
            }
        }
        let note: Note = good.note.parse().unwrap();
        assert!(log("log.example", 1).verify(&note).is_ok());
        assert!(note.text().parse::<Checkpoint>().is_err());
        // Nor is a checkpoint a word on a subject.
        let checkpoint = Checkpoint { origin: "log.example".into(), size: 9, root: leaf_hash(b"root") };
        let mut note = Note::new(&checkpoint.to_string()).unwrap();
        note.sign("log.example", &key(1)).unwrap();
        let other = RecordedSubject { note: note.to_string(), entries: vec![] };
        assert_eq!(other.verify(&[log("log.example", 1)]), Err(RecordedError::Shape));
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let checkpoint = Checkpoint { origin: "log.example".into(), size: 9, root: leaf_hash(b"root") };
        let of = |count| RecordedSubject::sign(&checkpoint, Sha256::of(b""), &vec![[0; 32]; count], 0, &key(1));
        let mut most = of(MAX_RECORDED).unwrap();
        assert_eq!(most.verify(&[log("log.example", 1)]).unwrap().entries().len(), MAX_RECORDED);
        assert_eq!(of(MAX_RECORDED + 1), Err(RecordedError::Count(MAX_RECORDED + 1)));
        most.entries.push(most.entries[0].clone());
        assert_eq!(most.verify(&[log("log.example", 1)]), Err(RecordedError::Count(MAX_RECORDED + 1)));
    }
}
