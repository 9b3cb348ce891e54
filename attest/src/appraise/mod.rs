// SPDX-License-Identifier: Apache-2.0
//! The appraisal: what the rebuilders whom an auditor trusts say of an artifact, and whether that is enough.
//!
//! ```text
//! Proof ──gather──▶ claims of each rebuilder ──decide──▶ Appraisal
//!        TrustRoots                           Policy
//! ```
//!
//! Neither the order of the envelopes nor how often each is there changes the decision.

mod contrary;
mod decide;
mod evidence;
mod gather;
mod others;
mod reason;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{DigestSet, Isolation, IsolationLevel};

pub use contrary::{Contrary, WhyPossible};
pub use others::OtherStatement;
pub use reason::{Reason, Shortfall};

use crate::evidence::Attested;
use crate::log::Logged;
use crate::{
    Artifact, Distinct, Envelope, KeyFault, KeyId, Policy, Proof, ProofError, RebuildVerdict, RegoRefusal, Statement,
    TrustRoots, VerifiedProof,
};

/// Appraises a proof at the time `now`: what those whom `trust` names say of `artifacts`, and whether that is enough for
/// `policy`. Without artifacts, it has to be about one thing.
///
/// # Errors
/// [`ProofError`] where the bytes are no proof. A statement that does not count is no error: see
/// [`Appraisal::uncounted`].
pub fn appraise(
    proof: &[u8],
    artifacts: &[Artifact],
    trust: &TrustRoots,
    policy: &Policy,
    now: Timestamp,
) -> Result<Appraisal, ProofError> {
    let proof = Proof::from_bytes(proof)?;
    let evidence = evidence::Evidence { proof: &proof, trust };
    let gathered = gather::gather(evidence, now);
    let decided = decide::decide(gathered, artifacts, policy, evidence, now);
    Ok(Appraisal { envelopes: proof.envelopes, ..decided })
}

/// What one rebuilder says, by statements that it has signed and that nothing in them contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuilderClaim {
    pub(crate) envelope: usize,
    pub(crate) keyid: KeyId,
    pub(crate) operator: String,
    pub(crate) platform: String,
    pub(crate) payload: DigestSet,
    pub(crate) proof: VerifiedProof,
    pub(crate) logged: Result<Logged, String>,
    pub(crate) seen: Result<Seen, String>,
    pub(crate) since: Option<KeyFault>,
    pub(crate) attested: Vec<Attested>,
    pub(crate) unattested: Option<String>,
    pub(crate) comparison: Arc<Statement>,
    pub(crate) provenances: Vec<Arc<Statement>>,
    pub(crate) reasons: Vec<Reason>,
}

/// That an authority whom the auditor trusts has seen a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub(crate) at: Timestamp,
    pub(crate) by: String,
}

impl Seen {
    /// When.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// What the auditor calls the authority.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }
}

impl RebuilderClaim {
    /// The place of its comparison in the proof, counted from 1.
    #[must_use]
    pub fn envelope(&self) -> usize {
        self.envelope
    }

    /// The key that signed all of it.
    #[must_use]
    pub fn keyid(&self) -> KeyId {
        self.keyid
    }

    /// Who holds the key, by the auditor's trust file.
    #[must_use]
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// On what it is used, by the same.
    #[must_use]
    pub fn platform(&self) -> &str {
        &self.platform
    }

    /// What is claimed, with the evidence for it.
    #[must_use]
    pub fn proof(&self) -> &VerifiedProof {
        &self.proof
    }

    /// The word of a trusted log that it has its comparison, where one is shown to have: of several, one that the most
    /// trusted witnesses saw.
    #[must_use]
    pub fn logged(&self) -> Option<&Logged> {
        self.logged.as_ref().ok()
    }

    /// When a trusted authority first saw the signature of its comparison, where one is shown to have.
    #[must_use]
    pub fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref().ok()
    }

    /// What has become of the key since it was seen, so that it would not vouch for anything that is signed now.
    #[must_use]
    pub fn since(&self) -> Option<&KeyFault> {
        self.since.as_ref()
    }

    /// That each of its rebuilds ran in a confidential machine, in their order; none where one of them is not shown to have,
    /// by a processor's word or by that of somebody who is trusted for it.
    #[must_use]
    pub fn attested(&self) -> &[Attested] {
        &self.attested
    }

    /// The statement of the comparison, as it was signed.
    #[must_use]
    pub fn comparison(&self) -> &Statement {
        &self.comparison
    }

    /// The statements of the builds that it compares, as they were signed, in the comparison's order.
    pub fn provenances(&self) -> impl Iterator<Item = &Statement> {
        self.provenances.iter().map(Arc::as_ref)
    }

    /// Whether it says that the artifact was reproduced, bit by bit.
    #[must_use]
    pub fn is_reproduced(&self) -> bool {
        self.proof.word() == RebuildVerdict::BitIdentical
    }

    /// In what it was rebuilt.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.proof.isolation()
    }

    /// How strong the weakest walls were.
    #[must_use]
    pub fn isolation_level(&self) -> Option<IsolationLevel> {
        self.proof.isolation_level()
    }

    /// Why it does not count towards what the policy asks for; empty where it does.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

/// That a rebuild failed, by a statement that a trusted key has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailureClaim {
    pub(crate) envelope: usize,
    pub(crate) keyid: KeyId,
    pub(crate) operator: String,
    pub(crate) platform: String,
    pub(crate) statement: Arc<Statement>,
    pub(crate) attempted_on: Timestamp,
}

/// An envelope that says nothing that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncounted {
    pub(crate) envelope: usize,
    pub(crate) keyid: KeyId,
    pub(crate) reason: Reason,
}

impl Uncounted {
    /// Its place in the proof, counted from 1.
    #[must_use]
    pub fn envelope(&self) -> usize {
        self.envelope
    }

    /// The key that it names; nothing shows that this key signed it.
    #[must_use]
    pub fn keyid(&self) -> KeyId {
        self.keyid
    }

    /// Why it does not count.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// What an appraisal came to. Only [`appraise`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appraisal {
    pub(crate) claims: Vec<RebuilderClaim>,
    pub(crate) failures: Vec<FailureClaim>,
    pub(crate) others: Vec<OtherStatement>,
    pub(crate) uncounted: Vec<Uncounted>,
    pub(crate) shortfalls: Vec<Shortfall>,
    pub(crate) independent: usize,
    pub(crate) against: Vec<(String, KeyId)>,
    pub(crate) contrary: Contrary,
    pub(crate) envelopes: Vec<Envelope>,
}

impl Appraisal {
    /// The same, where a Rego policy is to be content as well. That can take away, and never make enough what is not.
    #[must_use]
    pub fn refused_by(mut self, refusals: impl IntoIterator<Item = RegoRefusal>) -> Self {
        self.shortfalls.extend(refusals.into_iter().map(Shortfall::Rego));
        self
    }

    /// Whether it is enough.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.shortfalls.is_empty()
    }

    /// What is missing, or stands against it; empty where it is enough.
    #[must_use]
    pub fn shortfalls(&self) -> &[Shortfall] {
        &self.shortfalls
    }

    /// What each trusted rebuilder says of the artifacts, sorted by operator, platform and key.
    #[must_use]
    pub fn claims(&self) -> &[RebuilderClaim] {
        &self.claims
    }

    /// The statements of other types that the policy asks for, in the order of their envelopes.
    #[must_use]
    pub fn others(&self) -> &[OtherStatement] {
        &self.others
    }

    /// The envelopes that say nothing that counts, in their order.
    #[must_use]
    pub fn uncounted(&self) -> &[Uncounted] {
        &self.uncounted
    }

    /// How many rebuilders that are independent of each other, in the sense of the policy, got the same bits.
    #[must_use]
    pub fn independent(&self) -> usize {
        self.independent
    }

    /// The same, where two must differ in each of `distinct`.
    #[must_use]
    pub fn independent_in(&self, distinct: &BTreeSet<Distinct>) -> usize {
        decide::independent(&decide::counted(&self.claims), distinct)
    }

    /// The operators and keys of those trusted rebuilders that got other bits of one of the artifacts, whatever the policy
    /// makes of that.
    #[must_use]
    pub fn against(&self) -> &[(String, KeyId)] {
        &self.against
    }

    /// Whether a contrary result can have been left out.
    #[must_use]
    pub fn contrary(&self) -> &Contrary {
        &self.contrary
    }

    /// Of the canonical JSON of each envelope that was appraised, sorted, each once: all that are in the proof.
    ///
    /// # Errors
    /// None, of envelopes that were read from a proof.
    pub fn used(&self) -> Result<BTreeSet<DigestSet>, CanonicalError> {
        self.envelopes.iter().map(digest).collect()
    }

    /// Of the canonical JSON of the envelope that holds the comparison of `claim`, which is one of this appraisal's.
    ///
    /// # Errors
    /// As [`Appraisal::used`].
    pub fn evidence(&self, claim: &RebuilderClaim) -> Result<Option<DigestSet>, CanonicalError> {
        let envelope = claim.envelope.checked_sub(1).and_then(|index| self.envelopes.get(index));
        envelope.map(digest).transpose()
    }
}

fn digest(envelope: &Envelope) -> Result<DigestSet, CanonicalError> {
    Ok(DigestSet::of(&canonical::to_vec(envelope)?))
}
