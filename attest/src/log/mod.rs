// SPDX-License-Identifier: Apache-2.0
//! Transparency logs: what shows that a statement was public, in the formats of C2SP (tlog-checkpoint, tlog-cosignature,
//! tlog-proof, signed-note, each in its first version), on the Merkle trees of RFC 6962.

mod checkpoint;
mod entry;
pub mod merkle;
mod note;
mod proof;
mod recorded;
mod witness;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use entry::{ENTRY_KIND, ENTRY_VERSION, entry, entry_signer, is_entry_of};
pub use note::{MAX_NOTE, MAX_SIGNATURES, Note, NoteError, NoteKey, NoteKind};
pub use proof::{LogPolicy, LogProof, LogProofError, Logged};
pub use recorded::{MAX_RECORDED, Recorded, RecordedError, RecordedSubject, Said};
pub use witness::{AddCheckpoint, MAX_ADD_CHECKPOINT, MAX_WITNESS_PROOF, WitnessRefusal};
