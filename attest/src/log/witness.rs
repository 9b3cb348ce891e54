// SPDX-License-Identifier: Apache-2.0
//! A witness's part (C2SP tlog-witness, "add-checkpoint"): it cosigns what begins with all that it has cosigned before, and
//! nothing else.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::checkpoint::{decimal, hash};
use super::merkle::{Hash, empty_root, is_consistent};
use super::{Checkpoint, CheckpointError, Note, NoteError, NoteKey};

/// The longest request, in bytes.
pub const MAX_ADD_CHECKPOINT: usize = 16 << 10;
/// The most lines of a proof in a request.
pub const MAX_WITNESS_PROOF: usize = 63;

/// What a log asks a witness: to cosign a checkpoint that begins with an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the older one; 0: there was none.
    pub old: u64,
    /// What shows that (RFC 6962, section 2.1.2).
    pub proof: Vec<Hash>,
    /// The checkpoint, signed by its log.
    pub note: Note,
}

impl AddCheckpoint {
    /// The checkpoint in the note. Unverified.
    ///
    /// # Errors
    /// [`WitnessRefusal::Checkpoint`].
    pub fn checkpoint(&self) -> Result<Checkpoint, WitnessRefusal> {
        Ok(self.note.text().parse()?)
    }

    /// Whether a witness that trusts `logs` and has cosigned `latest` of this log may cosign it.
    ///
    /// # Errors
    /// See [`WitnessRefusal`].
    pub fn check(&self, logs: &[NoteKey], latest: Option<&Checkpoint>) -> Result<Checkpoint, WitnessRefusal> {
        let checkpoint = self.checkpoint()?;
        let Checkpoint { origin, size, root } = &checkpoint;
        let mut keys = logs.iter().filter(|log| log.name() == origin).peekable();
        if keys.peek().is_none() {
            return Err(WitnessRefusal::UnknownLog);
        }
        let signed = keys.any(|key| key.verify(&self.note).is_ok());
        if !signed {
            return Err(WitnessRefusal::NotSigned);
        }
        if self.old > *size {
            return Err(WitnessRefusal::OldBeyond);
        }
        let (known, known_root) = latest.map_or((0, empty_root()), |latest| (latest.size, latest.root));
        if self.old != known {
            return Err(WitnessRefusal::Stale(known));
        }
        if known == *size && known_root != *root {
            return Err(WitnessRefusal::OtherRoot);
        }
        // From nothing on, there is nothing to show.
        let begins = if known == 0 {
            self.proof.is_empty()
        } else {
            is_consistent(known, &known_root, *size, root, &self.proof)
        };
        if begins { Ok(checkpoint) } else { Err(WitnessRefusal::Proof) }
    }
}

impl fmt::Display for AddCheckpoint {
    /// The request's body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for AddCheckpoint {
    type Err = WitnessRefusal;

    fn from_str(text: &str) -> Result<Self, WitnessRefusal> {
        if text.len() > MAX_ADD_CHECKPOINT {
            return Err(WitnessRefusal::TooLong(text.len()));
        }
        let (head, note) = text.split_once("\n\n").ok_or(WitnessRefusal::Shape)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let proof = lines.map(hash).collect::<Option<Vec<_>>>().ok_or(WitnessRefusal::Shape)?;
        if proof.len() > MAX_WITNESS_PROOF {
            return Err(WitnessRefusal::Shape);
        }
        Ok(Self { old: old.ok_or(WitnessRefusal::Shape)?, proof, note: note.parse()? })
    }
}

/// Why a witness does not cosign.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WitnessRefusal {
    /// More than [`MAX_ADD_CHECKPOINT`].
    #[error("the request has {0} bytes; the most is {MAX_ADD_CHECKPOINT}")]
    TooLong(usize),
    /// Not the lines of a request.
    #[error("this is no request: `old SIZE`, at most {MAX_WITNESS_PROOF} hashes, an empty line, a signed checkpoint")]
    Shape,
    /// No signed note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// No checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is smaller than the older one.
    #[error("the older size is beyond the checkpoint's")]
    OldBeyond,
    /// A log that this witness does not know.
    #[error("this witness does not know the log")]
    UnknownLog,
    /// Not signed by the log's key.
    #[error("the checkpoint is not signed by the log's key")]
    NotSigned,
    /// The witness has cosigned another size last.
    #[error("{0}")]
    Stale(u64),
    /// Another root at the same size.
    #[error("this witness has cosigned another root at this size")]
    OtherRoot,
    /// The proof shows nothing of the kind.
    #[error("the checkpoint is not shown to begin with the older one")]
    Proof,
}

impl WitnessRefusal {
    /// The status of the answer (RFC 9110, section 15.5).
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLong(_) | Self::Shape | Self::Note(_) | Self::Checkpoint(_) | Self::OldBeyond => 400,
            Self::NotSigned => 403,
            Self::UnknownLog => 404,
            Self::Stale(_) | Self::OtherRoot => 409,
            Self::Proof => 422,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::NoteKind;
    use super::super::merkle::{Subtrees, consistency_proof, leaf_hash, node_hash, root};
    use super::*;
    use crate::SigningKey;

    /// Entries that are their number in one byte, from one history or another.
    struct Entries(u8);

    impl Subtrees for Entries {
        type Error = std::convert::Infallible;

        fn subtree(&self, level: u32, index: u64) -> Result<Hash, Self::Error> {
            if level == 0 {
                return Ok(leaf_hash(&[u8::try_from(index).unwrap(), self.0]));
            }
            Ok(node_hash(&self.subtree(level - 1, 2 * index)?, &self.subtree(level - 1, 2 * index + 1)?))
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::ed25519([seed; 32])
    }

    fn logs() -> [NoteKey; 1] {
        [NoteKey::new("log.example", NoteKind::Own, key(1).public_key()).unwrap()]
    }

    fn checkpoint(history: u8, size: u64) -> Checkpoint {
        Checkpoint { origin: "log.example".into(), size, root: root(&Entries(history), size).unwrap() }
    }

    fn request(old: u64, checkpoint: &Checkpoint, history: u8) -> AddCheckpoint {
        let mut note = Note::new(&checkpoint.to_string()).unwrap();
        note.sign("log.example", &key(1)).unwrap();
        let proof = match old {
            0 => vec![],
            old => consistency_proof(&Entries(history), old.min(checkpoint.size), checkpoint.size).unwrap(),
        };
        AddCheckpoint { old, proof, note }
    }

    #[test]
    fn a_witness_cosigns_what_begins_with_what_it_has_cosigned() {
        let check = |request: &AddCheckpoint, latest: Option<&Checkpoint>| {
            let again: AddCheckpoint = request.to_string().parse().unwrap();
            assert_eq!(again, *request);
            again.check(&logs(), latest)
        };
        let (five, nine) = (checkpoint(0, 5), checkpoint(0, 9));
        assert_eq!(check(&request(0, &five, 0), None), Ok(five.clone()));
        assert_eq!(check(&request(5, &nine, 0), Some(&five)), Ok(nine.clone()));
        assert_eq!(check(&request(5, &five, 0), Some(&five)), Ok(five.clone()));
        assert_eq!(check(&request(0, &checkpoint(0, 0), 0), None), Ok(checkpoint(0, 0)));
        // It has cosigned more, or less, than is said.
        assert_eq!(check(&request(0, &nine, 0), Some(&five)), Err(WitnessRefusal::Stale(5)));
        assert_eq!(check(&request(5, &nine, 0), None), Err(WitnessRefusal::Stale(0)));
        assert_eq!(check(&request(9, &five, 0), Some(&nine)), Err(WitnessRefusal::OldBeyond));
        // Another history.
        assert_eq!(check(&request(5, &checkpoint(1, 5), 1), Some(&five)), Err(WitnessRefusal::OtherRoot));
        assert_eq!(check(&request(5, &checkpoint(1, 9), 1), Some(&five)), Err(WitnessRefusal::Proof));
        let mut without = request(5, &nine, 0);
        without.proof.pop();
        assert_eq!(check(&without, Some(&five)), Err(WitnessRefusal::Proof));
        let mut needless = request(0, &five, 0);
        needless.proof.push([0; 32]);
        assert_eq!(check(&needless, None), Err(WitnessRefusal::Proof));
        // By somebody else, or of another log.
        let mut note = Note::new(&five.to_string()).unwrap();
        note.sign("log.example", &key(2)).unwrap();
        assert_eq!(check(&AddCheckpoint { note, ..request(0, &five, 0) }, None), Err(WitnessRefusal::NotSigned));
        assert_eq!(request(0, &five, 0).check(&[], None), Err(WitnessRefusal::UnknownLog));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let good = request(5, &checkpoint(0, 9), 0).to_string();
        assert!(good.parse::<AddCheckpoint>().is_ok());
        for bad in [
            good.replace("old 5", "old 05"),
            good.replace("old 5", "new 5"),
            good.replacen("\n\n", "\nx\n\n", 1),
            good.replacen("\n\n", "\n", 1),
            String::new(),
        ] {
            assert_eq!(bad.parse::<AddCheckpoint>().unwrap_err().status(), 400, "{bad}");
        }
        let mut long = request(5, &checkpoint(0, 9), 0);
        long.proof = vec![[0; 32]; MAX_WITNESS_PROOF];
        assert_eq!(long.to_string().parse(), Ok(long.clone()));
        long.proof.push([0; 32]);
        assert_eq!(long.to_string().parse::<AddCheckpoint>(), Err(WitnessRefusal::Shape));
        let padded = |n: usize| format!("old 5{}", "x".repeat(n - 5)).parse::<AddCheckpoint>();
        assert_eq!(padded(MAX_ADD_CHECKPOINT), Err(WitnessRefusal::Shape));
        assert_eq!(padded(MAX_ADD_CHECKPOINT + 1), Err(WitnessRefusal::TooLong(MAX_ADD_CHECKPOINT + 1)));
    }
}
