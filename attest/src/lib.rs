// SPDX-License-Identifier: Apache-2.0
//! Statements, signatures, proofs and their audit.
//!
//! ```text
//! Lock, BuildRecord ──provenance──▶ Statement ─┐
//! Verdict ───────────comparison──▶ Statement ──┴─sign──▶ Envelope ──▶ Proof ──audit──▶ VerifiedProof
//! ```
//!
//! This crate does no I/O, knows no clock and makes no random numbers, but for what an EMULATED processor's signatures need
//! ([`evidence::emulated`]): bytes, times and keys come in as arguments, so
//! that an audit needs nothing but the proof, the artifacts' digests and the keys that the auditor trusts. The format is
//! written down in `docs/proof-format.md`.

mod appraise;
mod audit;
mod blame;
mod bundle;
mod code;
mod comparison;
mod consistency;
mod documents;
mod envelope;
mod error;
pub mod evidence;
mod key;
mod locked;
pub mod log;
mod policy;
mod proof;
mod provenance;
mod rebuilder;
mod rego;
mod roots;
mod statement;
mod summary;
mod timestamp;
mod trust;
mod truth;
mod unbuildable;

pub use appraise::{
    Appraisal, Contrary, OtherStatement, Reason, RebuilderClaim, Seen, Shortfall, Uncounted, WhyPossible, appraise,
};
pub use audit::{Artifact, AuditError, Audited, VerifiedArtifact, VerifiedFailure, VerifiedProof, audit};
pub use bundle::{BUNDLE_TYPE, BundleError, MAX_BUNDLE};
pub use comparison::{Comparison, Rebuild, RebuildVerdict, Rebuilt, Tool, comparison};
pub use consistency::{Claim, Inconsistency, MAX_REBUILDS, MIN_REBUILDS, Shared};
pub use documents::{BuildInputs, DocumentError, NotShown, SCAI_TYPE, ScaiOf, cyclonedx, scai, spdx};
pub use envelope::{Envelope, EnvelopeError, PAYLOAD_TYPE, SignatureError, VerifiedPayload, pae};
pub use error::AttestError;
pub use key::{
    Algorithm, EncryptionSeed, InvalidSignature, KeyError, KeyId, MAX_PEM, MAX_SIGNATURE, PublicKey, Signer,
    SignerError, SigningKey, ecdsa_p256_signature, is_encrypted,
};
pub use policy::{Distinct, Policy, PolicyError};
pub use proof::{LoggedEnvelope, Proof, ProofError};
pub use provenance::{
    BuildDefinition, Builder, ExternalParameters, InternalParameters, Metadata, Network, Provenance, ProvenanceFault,
    RunDetails, provenance,
};
pub use rebuilder::{InvalidName, Rebuilder};
pub use rego::{MAX_REGO_INPUT, RegoError, RegoInputError, RegoPolicy, RegoRefusal, rego_input};
pub use roots::{KeyFault, Revocation, TrustError, TrustRoots, TrustedKey};
pub use statement::{
    Annotations, MAX_SUBJECTS, Predicate, ResourceDescriptor, STATEMENT_TYPE, Statement, StatementError, subjects_of,
};
pub use summary::{POLICY_URI, REPRODUCED, SUMMARY_TYPE, SummaryError, SummaryOf, summary};
pub use timestamp::{
    AuthorityError, MAX_TIMESTAMP, TimestampAuthority, TimestampError, TimestampRequest, TimestampedEnvelope,
};
pub use trust::Trust;
pub use truth::UntrueVerdict;
pub use unbuildable::{Attempt, MAX_ATTEMPTS, Unbuildable, UnbuildableFault, unbuildable};
