// SPDX-License-Identifier: Apache-2.0
//! Proofs: one file with every statement and its signature, all that an audit needs without a network.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{BuildRecord, Lock, Sha256, Verdict};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::evidence::Evidence;
use crate::log::{self, LogPolicy, LogProof, LogProofError, Logged, RecordedSubject};
use crate::{
    AttestError, Envelope, KeyId, PublicKey, Rebuilder, Rebuilt, Signer, SignerError, TimestampedEnvelope, comparison,
    provenance, unbuildable,
};

/// One file: the provenances' envelopes in the order of the rebuilds, then the comparison's; or that of a failure alone.
/// Nothing in it is known to be true until [`crate::audit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The envelopes.
    pub envelopes: Vec<Envelope>,
    /// What shows that some of them are in a log.
    pub logged: Vec<LoggedEnvelope>,
    /// What shows when some of them were there.
    pub timestamped: Vec<TimestampedEnvelope>,
    /// What logs say that they have for some subjects.
    pub recorded: Vec<RecordedSubject>,
    /// What processors say of the machines that some builds ran in.
    pub evidence: Vec<Evidence>,
}

/// That an envelope is in a log, by the log's word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedEnvelope {
    /// The key that the envelope names.
    pub keyid: KeyId,
    /// Of its payload.
    pub payload: Sha256,
    /// The log's entry: see [`crate::log::entry`].
    pub entry: String,
    /// The log's proof: see [`crate::log::LogProof`].
    pub proof: String,
}

impl LoggedEnvelope {
    /// Whether it is about this envelope.
    #[must_use]
    pub fn is_of(&self, envelope: &Envelope) -> bool {
        self.keyid == envelope.keyid() && self.payload == envelope.payload_digest()
    }

    /// Whether the log that `policy` names has `envelope`, which `key` has signed.
    ///
    /// # Errors
    /// [`LogProofError`]; [`LogProofError::NotIncluded`] also where the entry is another envelope's.
    pub fn verify(&self, envelope: &Envelope, key: &PublicKey, policy: &LogPolicy) -> Result<Logged, LogProofError> {
        let expected = log::entry(envelope, key).map_err(|_| LogProofError::NotIncluded)?;
        if !self.is_of(envelope) || expected != self.entry.as_bytes() {
            return Err(LogProofError::NotIncluded);
        }
        self.proof.parse::<LogProof>()?.verify(self.entry.as_bytes(), policy)
    }
}

impl Proof {
    /// The `format` of every proof, below `reprove_model::NAMESPACE`.
    pub const FORMAT: &str = "https://reprove.dev/proof/v0.1";
    /// The longest proof, in bytes, with its final newline: 64 MiB.
    pub const MAX_BYTES: usize = canonical::MAX_DOCUMENT;

    /// States and signs how each of `records` was built from `lock` by `rebuilder`, and that comparing them came to
    /// `verdict` at the time `compared_on`. `evidence` has that of each build whose isolation asks for it.
    ///
    /// # Errors
    /// As [`provenance`] and [`comparison`], and [`AttestError::Signer`].
    pub fn sign(
        key: &dyn Signer,
        lock: &Lock,
        records: &[&BuildRecord],
        verdict: &Verdict,
        rebuilder: &Rebuilder,
        compared_on: Timestamp,
        evidence: Vec<Evidence>,
    ) -> Result<Self, AttestError> {
        let payload = |record: &&BuildRecord| -> Result<_, AttestError> {
            Ok(provenance(lock, record, verdict.source_date_epoch.seconds)?.to_payload()?)
        };
        let payloads = records.iter().map(payload).collect::<Result<Vec<_>, _>>()?;
        let of = |provenance: &[u8]| {
            let payload = Sha256::of(provenance);
            evidence.iter().find(|evidence| evidence.payload == payload)
        };
        let pairs = records.iter().zip(&payloads);
        let rebuilt = pairs.map(|(record, provenance)| Rebuilt { record, provenance, evidence: of(provenance) });
        let rebuilds: Vec<_> = rebuilt.collect();
        let compared = comparison(lock, &rebuilds, verdict, rebuilder, compared_on)?.to_payload()?;
        let envelopes = payloads.into_iter().chain([compared]).map(|payload| Envelope::sign(key, payload));
        Ok(Self { evidence, ..Self::of(envelopes.collect::<Result<_, SignerError>>()?) })
    }

    /// States and signs that rebuilding `lock` by `rebuilder` failed, at the time `attempted_on`: see [`unbuildable`].
    ///
    /// # Errors
    /// As [`unbuildable`], and [`AttestError::Signer`].
    pub fn sign_failure(
        key: &dyn Signer,
        lock: &Lock,
        records: &[&BuildRecord],
        rebuilder: &Rebuilder,
        attempted_on: Timestamp,
    ) -> Result<Self, AttestError> {
        let payload = unbuildable(lock, records, rebuilder, attempted_on)?.to_payload()?;
        Ok(Self::of(vec![Envelope::sign(key, payload)?]))
    }

    /// A proof of envelopes that no log has, and no authority has seen.
    #[must_use]
    pub fn of(envelopes: Vec<Envelope>) -> Self {
        Self { envelopes, logged: Vec::new(), timestamped: Vec::new(), recorded: Vec::new(), evidence: Vec::new() }
    }

    /// One proof with all that several have, each once, in their order. Nothing of it is verified.
    #[must_use]
    pub fn merge(proofs: impl IntoIterator<Item = Self>) -> Self {
        let (mut seen, mut logged, mut timestamped) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut recorded, mut evidence) = (BTreeSet::new(), BTreeSet::new());
        let mut envelopes = Vec::new();
        for proof in proofs {
            // Of two signatures of one payload, either may be the one that is good, or that others saw.
            let mut is_new = |envelope: &Envelope| {
                seen.insert((envelope.keyid(), envelope.payload_digest(), envelope.signature().to_vec()))
            };
            envelopes.extend(proof.envelopes.into_iter().filter(|envelope| is_new(envelope)));
            logged.extend(proof.logged);
            timestamped.extend(proof.timestamped);
            recorded.extend(proof.recorded);
            evidence.extend(proof.evidence);
        }
        Self {
            envelopes,
            logged: logged.into_iter().collect(),
            timestamped: timestamped.into_iter().collect(),
            recorded: recorded.into_iter().collect(),
            evidence: evidence.into_iter().collect(),
        }
    }

    /// Writes the file: canonical JSON and a final newline.
    ///
    /// # Errors
    /// [`ProofError::TooLarge`] past [`Proof::MAX_BYTES`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProofError> {
        let payloads = self.envelopes.iter().map(Envelope::payload_digest).collect();
        let mut bytes = canonical::to_vec(&Layout {
            format: Self::FORMAT,
            envelopes: &self.envelopes,
            evidence: self.evidence.clone(),
            logged: self.logged.clone(),
            payloads,
            recorded: self.recorded.clone(),
            timestamped: self.timestamped.clone(),
        })?;
        bytes.push(b'\n');
        within_bound(&bytes)?;
        Ok(bytes)
    }

    /// Reads what [`Proof::to_bytes`] writes, and nothing else.
    ///
    /// # Errors
    /// See [`ProofError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        within_bound(bytes)?;
        if bytes.last() != Some(&b'\n') {
            return Err(ProofError::NoNewline);
        }
        let layout: Layout<String, Vec<Envelope>> = canonical::from_slice(bytes)?;
        if layout.format != Self::FORMAT {
            return Err(ProofError::Format(layout.format.chars().take(200).collect()));
        }
        let found: Vec<Sha256> = layout.envelopes.iter().map(Envelope::payload_digest).collect();
        if found.len() != layout.payloads.len() {
            return Err(ProofError::Payloads { envelopes: found.len(), payloads: layout.payloads.len() });
        }
        let differs = (1..).zip(found.iter().zip(&layout.payloads)).find(|(_, (found, stated))| found != stated);
        if let Some((envelope, _)) = differs {
            return Err(ProofError::Changed { envelope, of: found.len() });
        }
        let there: BTreeSet<(KeyId, Sha256)> =
            layout.envelopes.iter().map(|envelope| (envelope.keyid(), envelope.payload_digest())).collect();
        if let Some(logged) = layout.logged.iter().find(|logged| !there.contains(&(logged.keyid, logged.payload))) {
            return Err(ProofError::LoggedNothing(logged.payload));
        }
        if let Some(seen) = layout.timestamped.iter().find(|seen| !there.contains(&(seen.keyid, seen.payload))) {
            return Err(ProofError::TimestampOfNothing(seen.payload));
        }
        let payloads: BTreeSet<Sha256> = found.into_iter().collect();
        if let Some(evidence) = layout.evidence.iter().find(|evidence| !payloads.contains(&evidence.payload)) {
            return Err(ProofError::EvidenceOfNothing(evidence.payload));
        }
        if let Some(evidence) = layout.evidence.iter().find(|evidence| !evidence.is_bounded()) {
            return Err(ProofError::EvidenceTooLong(evidence.payload));
        }
        let Layout { envelopes, logged, timestamped, recorded, evidence, .. } = layout;
        Ok(Self { envelopes, logged, timestamped, recorded, evidence })
    }
}

/// Why bytes are no proof.
#[derive(Debug, Error)]
pub enum ProofError {
    /// More than [`Proof::MAX_BYTES`].
    #[error("the proof has {0} bytes; the most is {max}", max = Proof::MAX_BYTES)]
    TooLarge(usize),
    /// No newline at the end: the file may have been cut.
    #[error("the proof does not end with a newline, as every proof does: it may have been cut short")]
    NoNewline,
    /// Not JSON, not of a proof's shape, or not canonical.
    #[error("this is not a proof in canonical JSON: {0}")]
    Canonical(CanonicalError),
    /// Another number of digests than of envelopes.
    #[error("the proof has {envelopes} envelopes and lists {payloads} payload digests")]
    Payloads {
        /// How many envelopes.
        envelopes: usize,
        /// How many digests.
        payloads: usize,
    },
    /// A payload that is not the one whose digest stands beside the envelopes.
    #[error(
        "envelope {envelope} of {of}: the statement was changed after it was signed, or the digest listed for it was"
    )]
    Changed {
        /// Which, counted from 1.
        envelope: usize,
        /// How many there are.
        of: usize,
    },
    /// A log's word for an envelope that is not there.
    #[error("the proof says that a log has an envelope whose payload has the SHA-256 {0}, and there is none")]
    LoggedNothing(Sha256),
    /// A timestamp of an envelope that is not there.
    #[error("the proof has a timestamp of an envelope whose payload has the SHA-256 {0}, and there is none")]
    TimestampOfNothing(Sha256),
    /// Evidence for a provenance that is not there.
    #[error("the proof has evidence for a provenance whose payload has the SHA-256 {0}, and there is none")]
    EvidenceOfNothing(Sha256),
    /// Evidence with a part that can't be what it stands for.
    #[error("the proof's evidence for the provenance whose payload has the SHA-256 {0} has a part that is too long")]
    EvidenceTooLong(Sha256),
    /// Another format.
    #[error("the proof's format is {0:?}, and the only one known is {known:?}", known = Proof::FORMAT)]
    Format(String),
}

impl From<CanonicalError> for ProofError {
    fn from(error: CanonicalError) -> Self {
        match error {
            CanonicalError::TooLarge(bytes, _) => Self::TooLarge(bytes),
            error => Self::Canonical(error),
        }
    }
}

fn within_bound(bytes: &[u8]) -> Result<(), ProofError> {
    if bytes.len() > Proof::MAX_BYTES { Err(ProofError::TooLarge(bytes.len())) } else { Ok(()) }
}

/// How a proof is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout<F, E> {
    format: F,
    envelopes: E,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<Evidence>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    logged: Vec<LoggedEnvelope>,
    /// SHA-256 of each envelope's payload. Nothing rests on them: they tell a changed statement from a changed signature.
    payloads: Vec<Sha256>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    recorded: Vec<RecordedSubject>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    timestamped: Vec<TimestampedEnvelope>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    #[test]
    fn the_bound_holds_on_both_sides() {
        let at = |n: usize| {
            let mut bytes = vec![b' '; n];
            bytes[n - 1] = b'\n';
            Proof::from_bytes(&bytes).unwrap_err()
        };
        assert!(matches!(at(Proof::MAX_BYTES), ProofError::Canonical(_)));
        assert!(matches!(at(Proof::MAX_BYTES + 1), ProofError::TooLarge(_)));
        let key = SigningKey::ed25519([1; 32]);
        let written = |payload: usize| Proof::of(vec![Envelope::sign(&key, vec![0; payload]).unwrap()]).to_bytes();
        let overhead = written(0).unwrap().len();
        let most = (Proof::MAX_BYTES - overhead) / 4 * 3;
        assert!(written(most).is_ok());
        assert!(matches!(written(most + 3), Err(ProofError::TooLarge(_))));
    }

    /// As many as fit, of one long payload: what stands beside envelopes names them by digests that were taken once.
    #[test]
    fn many_timestamps_of_a_long_payload_are_read_in_time() {
        let key = SigningKey::ed25519([1; 32]);
        let envelope = |length| Envelope::sign(&key, vec![b' '; length]).unwrap();
        let mut proof = Proof::of(vec![envelope(4 << 20), envelope(2)]);
        proof.timestamped = vec![TimestampedEnvelope::new(&proof.envelopes[1], b"x"); 50_000];
        let bytes = proof.to_bytes().unwrap();
        let start = std::time::Instant::now();
        assert_eq!(Proof::from_bytes(&bytes).unwrap(), proof);
        // It took hours where each looked at every payload.
        assert!(start.elapsed() < std::time::Duration::from_secs(120));
    }

    #[test]
    fn one_way_to_write_a_proof() {
        let key = SigningKey::ed25519([1; 32]);
        let good = Proof::of(vec![Envelope::sign(&key, *b"{}").unwrap()]);
        let bytes = good.to_bytes().unwrap();
        assert_eq!(Proof::from_bytes(&bytes).unwrap(), good);
        let text = String::from_utf8(bytes).unwrap();
        let read = |text: &str| Proof::from_bytes(text.as_bytes()).unwrap_err();
        assert!(matches!(read(text.trim_end()), ProofError::NoNewline));
        assert!(matches!(read(&format!("{text}\n")), ProofError::Canonical(_)));
        assert!(matches!(read(&format!(" {text}")), ProofError::Canonical(_)));
        assert!(matches!(read(&text.replace("proof/v0.1", "proof/v0.2")), ProofError::Format(_)));
        assert!(matches!(read(&text.replacen('{', "{\"more\":1,", 1)), ProofError::Canonical(_)));
    }
}
