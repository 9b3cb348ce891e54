// SPDX-License-Identifier: Apache-2.0
//! Statements, signatures, proofs and their audit.
//!
//! ```text
//! Lock, BuildRecord ──provenance──▶ Statement ─┐
//! Verdict ───────────comparison──▶ Statement ──┴─sign──▶ Envelope ──▶ Proof ──audit──▶ VerifiedProof
//! ```
//!
//! This crate does no I/O, knows no clock and makes no random numbers: bytes, times and keys come in as arguments, so
//! that an audit needs nothing but the proof, the artifacts' digests and the keys that the auditor trusts. The format is
//! written down in `docs/proof-format.md`.

mod audit;
mod comparison;
mod consistency;
mod envelope;
mod error;
mod key;
mod proof;
mod provenance;
mod statement;
mod trust;
mod truth;

pub use audit::{Artifact, AuditError, VerifiedArtifact, VerifiedProof, audit};
pub use comparison::{Comparison, Rebuild, Rebuilt, Tool, comparison};
pub use consistency::{Claim, Inconsistency, MAX_REBUILDS, MIN_REBUILDS, Shared};
pub use envelope::{Envelope, EnvelopeError, PAYLOAD_TYPE, SignatureError, VerifiedPayload, pae};
pub use error::AttestError;
pub use key::{
    Algorithm, EncryptionSeed, InvalidSignature, KeyError, KeyId, MAX_PEM, MAX_SIGNATURE, PublicKey, SigningKey,
    is_encrypted,
};
pub use proof::{Proof, ProofError};
pub use provenance::{
    BuildDefinition, Builder, ExternalParameters, InternalParameters, Metadata, Network, Provenance, ProvenanceFault,
    RunDetails, provenance,
};
pub use statement::{
    Annotations, MAX_SUBJECTS, Predicate, ResourceDescriptor, STATEMENT_TYPE, Statement, StatementError,
};
pub use trust::Trust;
pub use truth::UntrueVerdict;
