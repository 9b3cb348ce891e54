// SPDX-License-Identifier: Apache-2.0
//! Why a statement is not made.

use reprove_model::Sha256;
use reprove_model::canonical::CanonicalError;
use thiserror::Error;

use crate::{Inconsistency, ProofError, ProvenanceFault, SignerError, StatementError};

/// Why a statement or a proof is not made: what it would say is not what was seen.
#[derive(Debug, Error)]
pub enum AttestError {
    /// The record is of another lock's build.
    #[error(
        "the build record is of another lock: it names the lock with SHA-256 {record}, and the one given has {lock}"
    )]
    OtherLock {
        /// What the record names.
        record: Sha256,
        /// What was given.
        lock: Sha256,
    },
    /// The record's inputs aren't the lock's.
    #[error("the build record's inputs are not those of the lock")]
    OtherInputs,
    /// The record's environment isn't the lock's.
    #[error("the build record's environment is not that of the lock")]
    OtherEnvironment,
    /// The build saw another `SOURCE_DATE_EPOCH`.
    #[error("the build saw {}, and not {}", epoch(built_with), epoch(given))]
    Epoch {
        /// What was given, in seconds.
        given: Option<u64>,
        /// What the record's environment variables say, in seconds.
        built_with: Option<u64>,
    },
    /// The record's start and duration make no time.
    #[error("the build record's duration of {0} ms leads past the last time that can be written")]
    Duration(u64),
    /// What the provenance would say is contradictory.
    #[error("no provenance can be stated: {0}")]
    Provenance(#[from] ProvenanceFault),
    /// Bytes that are given as a provenance's, and are not that of the record beside them.
    #[error("the statement given for rebuild {rebuild} is not the provenance of the build record given for it")]
    NotItsProvenance {
        /// Which, counted from 1.
        rebuild: usize,
    },
    /// The comparison would say what its provenances don't.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistency),
    /// A statement can't be written or read.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A value can't be written.
    #[error("a value can't be written as canonical JSON: {0}")]
    Canonical(#[from] CanonicalError),
    /// The proof can't be written.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The key made no signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

/// `SOURCE_DATE_EPOCH` as people say it.
pub(crate) fn epoch(seconds: &Option<u64>) -> String {
    match seconds {
        Some(seconds) => format!("SOURCE_DATE_EPOCH={seconds}"),
        None => "no SOURCE_DATE_EPOCH".into(),
    }
}
