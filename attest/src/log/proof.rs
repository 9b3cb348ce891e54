// SPDX-License-Identifier: Apache-2.0
//! Proofs that an entry is in a log (C2SP tlog-proof, version 1): its place, the hashes up to the root, and the checkpoint
//! that the log and its witnesses have signed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::checkpoint::{Checkpoint, CheckpointError, decimal, hash};
use super::merkle::{Hash, MAX_PROOF, is_included, leaf_hash};
use super::note::{MAX_NOTE, Note, NoteError, NoteKey};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// That an entry is in a log, by the log's and its witnesses' word. Nothing of it is known to be true until
/// [`LogProof::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// The entry's place.
    pub index: u64,
    /// The hashes from the entry up to the root.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Note,
}

/// Which logs and witnesses are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPolicy {
    /// The key of the log: its name is the origin of its checkpoints.
    pub log: NoteKey,
    /// The keys of witnesses.
    pub witnesses: Vec<NoteKey>,
    /// How many of them must have seen the checkpoint.
    pub quorum: usize,
}

/// What a proof shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The checkpoint that the entry is under.
    pub checkpoint: Checkpoint,
    /// The entry's place.
    pub index: u64,
    /// The witnesses that saw the checkpoint, and when, in seconds since 1970; sorted by name.
    pub witnessed: Vec<(String, u64)>,
}

impl LogProof {
    /// Whether `entry` is in the log, by the word of those whom `policy` names.
    ///
    /// # Errors
    /// See [`LogProofError`].
    pub fn verify(&self, entry: &[u8], policy: &LogPolicy) -> Result<Logged, LogProofError> {
        policy.log.verify(&self.checkpoint)?;
        let checkpoint: Checkpoint = self.checkpoint.text().parse()?;
        if checkpoint.origin != policy.log.name() {
            return Err(LogProofError::Origin(checkpoint.origin));
        }
        let mut witnessed = Vec::new();
        for witness in &policy.witnesses {
            match witness.verify(&self.checkpoint) {
                // One key under two names is one witness.
                Ok(Some(time)) if !witnessed.iter().any(|(_, key, _)| *key == witness.bytes()) => {
                    witnessed.push((witness.name().to_owned(), witness.bytes(), time));
                }
                Ok(_) | Err(NoteError::NotSigned(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if witnessed.len() < policy.quorum {
            return Err(LogProofError::Witnesses { wanted: policy.quorum, found: witnessed.len() });
        }
        if !is_included(&leaf_hash(entry), self.index, checkpoint.size, &self.hashes, &checkpoint.root) {
            return Err(LogProofError::NotIncluded);
        }
        let mut witnessed: Vec<(String, u64)> = witnessed.into_iter().map(|(name, _, time)| (name, time)).collect();
        witnessed.sort_unstable();
        Ok(Logged { checkpoint, index: self.index, witnessed })
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nindex {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for LogProof {
    type Err = LogProofError;

    /// Reads a proof; its `extra` line, which nothing vouches for, is passed over.
    fn from_str(text: &str) -> Result<Self, LogProofError> {
        if text.len() > MAX_NOTE * 2 {
            return Err(LogProofError::TooLong(text.len()));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(LogProofError::Shape)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(LogProofError::Shape);
        }
        if let Some(extra) = lines.next_if(|line| line.starts_with("extra ")) {
            let base64 = extra.strip_prefix("extra ").unwrap_or_default();
            STANDARD.decode(base64).map_err(|_| LogProofError::Shape)?;
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(LogProofError::Shape)?;
        let hashes = lines.map(hash).collect::<Option<Vec<_>>>().ok_or(LogProofError::Shape)?;
        if hashes.len() > MAX_PROOF {
            return Err(LogProofError::Hashes(hashes.len()));
        }
        Ok(Self { index, hashes, checkpoint: checkpoint.parse()? })
    }
}

/// Why something is no proof, or does not show that an entry is in a log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogProofError {
    /// More than twice [`MAX_NOTE`].
    #[error("the log's proof has {0} bytes; the most is {max}", max = MAX_NOTE * 2)]
    TooLong(usize),
    /// Not the lines of one.
    #[error(
        "this is no proof of a log: it starts with {HEADER}, and has an index, hashes, an empty line and a checkpoint"
    )]
    Shape,
    /// More than [`MAX_PROOF`].
    #[error("the log's proof has {0} hashes; the most is {MAX_PROOF}")]
    Hashes(usize),
    /// The checkpoint is not signed as it has to be.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// What is signed is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint of another log.
    #[error("the checkpoint is of the log {0:?}, by the key of another")]
    Origin(String),
    /// Too few witnesses.
    #[error("{found} of the witnesses that are believed saw the checkpoint, and {wanted} have to")]
    Witnesses {
        /// How many the policy asks for.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// The hashes lead elsewhere.
    #[error("the entry is not in the tree that the checkpoint is of")]
    NotIncluded,
}

#[cfg(test)]
mod tests {
    use super::super::merkle::{Subtrees, inclusion_proof, node_hash, root};
    use super::super::note::NoteKind;
    use super::*;
    use crate::SigningKey;

    /// Four entries: their number, in one byte.
    struct Four;

    impl Subtrees for Four {
        type Error = std::convert::Infallible;

        fn subtree(&self, level: u32, index: u64) -> Result<Hash, Self::Error> {
            if level == 0 {
                return Ok(leaf_hash(&[u8::try_from(index).unwrap()]));
            }
            Ok(node_hash(&self.subtree(level - 1, 2 * index)?, &self.subtree(level - 1, 2 * index + 1)?))
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::ed25519([seed; 32])
    }

    fn proof(origin: &str) -> LogProof {
        let checkpoint = Checkpoint { origin: origin.into(), size: 4, root: root(&Four, 4).unwrap() };
        let mut note = Note::new(&checkpoint.to_string()).unwrap();
        note.sign("log.example", &key(1)).unwrap();
        note.cosign("one.example", &key(2), 20).unwrap();
        note.cosign("two.example", &key(3), 10).unwrap();
        LogProof { index: 2, hashes: inclusion_proof(&Four, 2, 4).unwrap(), checkpoint: note }
    }

    fn policy(quorum: usize, witnesses: &[(&str, u8)]) -> LogPolicy {
        let note_key = |name: &str, kind, seed| NoteKey::new(name, kind, key(seed).public_key()).unwrap();
        let witnesses = witnesses.iter().map(|(name, seed)| note_key(name, NoteKind::Cosigned, *seed)).collect();
        LogPolicy { log: note_key("log.example", NoteKind::Own, 1), witnesses, quorum }
    }

    const BOTH: [(&str, u8); 2] = [("two.example", 3), ("one.example", 2)];

    #[test]
    fn an_entry_is_shown_to_be_in_the_log_by_those_who_are_believed() {
        let read: LogProof = proof("log.example").to_string().parse().unwrap();
        assert_eq!(read, proof("log.example"));
        let logged = read.verify(&[2], &policy(2, &BOTH)).unwrap();
        assert_eq!((logged.index, logged.checkpoint.size), (2, 4));
        assert_eq!(logged.witnessed, [("one.example".to_owned(), 20), ("two.example".to_owned(), 10)]);
        assert_eq!(read.verify(&[1], &policy(2, &BOTH)), Err(LogProofError::NotIncluded));
        assert_eq!(read.verify(&[2], &policy(3, &BOTH)), Err(LogProofError::Witnesses { wanted: 3, found: 2 }));
        assert!(read.verify(&[2], &policy(0, &[])).is_ok());
        // One key that is named twice is one witness; one that signed under another name is none.
        for witnesses in [[("one.example", 2), ("one.example", 2)], [("one.example", 2), ("else.example", 3)]] {
            let found = read.verify(&[2], &policy(2, &witnesses));
            assert_eq!(found, Err(LogProofError::Witnesses { wanted: 2, found: 1 }));
        }
        let elsewhere = proof("other.example").verify(&[2], &policy(0, &[]));
        assert_eq!(elsewhere, Err(LogProofError::Origin("other.example".into())));
    }

    #[test]
    fn no_changed_byte_is_believed() {
        let (text, policy) = (proof("log.example").to_string(), policy(2, &BOTH));
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                let read = changed.parse::<LogProof>();
                assert!(!read.is_ok_and(|read| read.verify(&[2], &policy).is_ok()), "byte {at}: {changed}");
            }
        }
        for length in 0..text.len() {
            let read = text.get(..length).unwrap_or_default().parse::<LogProof>();
            assert!(!read.is_ok_and(|read| read.verify(&[2], &policy).is_ok()), "{length}");
        }
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let good = proof("log.example").to_string();
        let with_extra = good.replacen("index", "extra AAAA\nindex", 1);
        assert_eq!(with_extra.parse(), Ok(proof("log.example")));
        for bad in [
            good.replace("@v1", "@v2"),
            good.replace("index 2", "index 02"),
            good.replace("index 2\n", ""),
            good.replacen("index", "extra -\nindex", 1),
            good.replacen("\n\n", "\nx\n\n", 1),
        ] {
            assert_eq!(bad.parse::<LogProof>(), Err(LogProofError::Shape), "{bad}");
        }
        let mut many = proof("log.example");
        many.hashes = vec![[0; 32]; MAX_PROOF];
        assert_eq!(many.to_string().parse(), Ok(many.clone()));
        many.hashes.push([0; 32]);
        assert_eq!(many.to_string().parse::<LogProof>(), Err(LogProofError::Hashes(MAX_PROOF + 1)));
        let long = |n: usize| format!("{HEADER}{}", "x".repeat(n - HEADER.len()));
        assert_eq!(long(MAX_NOTE * 2).parse::<LogProof>(), Err(LogProofError::Shape));
        assert_eq!(long(MAX_NOTE * 2 + 1).parse::<LogProof>(), Err(LogProofError::TooLong(MAX_NOTE * 2 + 1)));
    }
}
