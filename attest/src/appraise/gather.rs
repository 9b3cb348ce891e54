// SPDX-License-Identifier: Apache-2.0
//! From envelopes to what each trusted rebuilder claims.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use reprove_model::DigestSet;

use super::contrary::Doubtful;
use super::evidence::Evidence;
use super::{FailureClaim, OtherStatement, Reason, RebuilderClaim, Seen, Uncounted};
use crate::audit::verified;
use crate::consistency::Part;
use crate::evidence::Attested;
use crate::{
    Comparison, KeyId, Predicate, RebuildVerdict, Rebuilder, ResourceDescriptor, Statement, StatementError, TrustedKey,
    Unbuildable,
};

/// What the envelopes of a proof say, and which of them say nothing that counts.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) claims: Vec<RebuilderClaim>,
    pub(super) failures: Vec<FailureClaim>,
    pub(super) doubtful: Vec<Doubtful>,
    pub(super) others: Vec<OtherStatement>,
    pub(super) uncounted: Vec<Uncounted>,
}

/// A statement that a trusted key has signed.
struct Signed<'t> {
    envelope: usize,
    key: &'t TrustedKey,
    payload: DigestSet,
    statement: Arc<Statement>,
}

/// By which comparisons a provenance is named.
struct Naming {
    /// The first of them.
    by: usize,
    /// Whether one of them is a claim.
    is_claim: bool,
}

/// By who signed it and of what bytes: so is one that is there twice one.
type Named = (KeyId, DigestSet);

pub(super) fn gather(evidence: Evidence<'_>, now: Timestamp) -> Gathered {
    let mut gathered = Gathered::default();
    let signed = signed(evidence, now, &mut gathered);
    let mut named: BTreeMap<Named, Naming> = BTreeMap::new();
    for (id, each) in &signed {
        match &each.statement.predicate {
            Predicate::Provenance(_) => {}
            Predicate::Comparison(comparison) => {
                let found = claim(each, comparison, &signed, evidence, now);
                for rebuild in &comparison.rebuilds {
                    let naming = named
                        .entry((id.0, rebuild.provenance))
                        .or_insert(Naming { by: each.envelope, is_claim: false });
                    naming.by = naming.by.min(each.envelope);
                    naming.is_claim |= found.is_ok();
                }
                match found {
                    Ok(claim) => gathered.claims.push(claim),
                    Err(reason) => {
                        let is_doubtful = matches!(reason, Reason::Key(_));
                        if is_doubtful && comparison.verdict != RebuildVerdict::BitIdentical {
                            let subject = each.statement.subject.clone();
                            gathered.doubtful.push((subject, each.key.operator.clone()));
                        }
                        gathered.uncounted(each, reason);
                    }
                }
            }
            Predicate::Unbuildable(failed) => match failure(each, failed, evidence, now) {
                Ok(failure) => gathered.failures.push(failure),
                Err(reason) => gathered.uncounted(each, reason),
            },
        }
    }
    let is_provenance = |each: &Signed<'_>| matches!(each.statement.predicate, Predicate::Provenance(_));
    for (id, each) in &signed {
        match named.get(id) {
            _ if !is_provenance(each) => {}
            None => gathered.uncounted(each, Reason::NoComparison),
            Some(naming) if naming.is_claim => {}
            Some(naming) => gathered.uncounted(each, Reason::UncountedComparison(naming.by)),
        }
    }
    gathered.uncounted.sort_by_key(|uncounted| uncounted.envelope);
    mark_copies(&mut gathered.claims);
    gathered.claims.sort_by(|a, b| {
        let order =
            |claim: &RebuilderClaim| (claim.operator.clone(), claim.platform.clone(), claim.keyid, claim.envelope);
        order(a).cmp(&order(b))
    });
    gathered
}

impl Gathered {
    fn uncounted(&mut self, signed: &Signed<'_>, reason: Reason) {
        self.uncounted.push(Uncounted { envelope: signed.envelope, keyid: signed.key.key.id(), reason });
    }
}

/// The statements that trusted keys have signed, each once.
fn signed<'t>(evidence: Evidence<'t>, now: Timestamp, gathered: &mut Gathered) -> BTreeMap<Named, Signed<'t>> {
    let mut signed = BTreeMap::new();
    let mut others = BTreeSet::new();
    for (number, envelope) in (1..).zip(&evidence.proof.envelopes) {
        let keyid = envelope.keyid();
        let mut refuse = |reason| gathered.uncounted.push(Uncounted { envelope: number, keyid, reason });
        let Some(key) = evidence.trust.find(keyid) else {
            refuse(Reason::UnknownKey);
            continue;
        };
        let Ok(verified) = envelope.verify(&[key.key]) else {
            refuse(Reason::BadSignature);
            continue;
        };
        let payload = verified.digest();
        if signed.contains_key(&(keyid, payload)) {
            continue;
        }
        match Statement::from_payload(verified.payload()) {
            Ok(statement) if !key.may_state(statement.predicate.type_uri()) => {
                refuse(Reason::KeyNotForType(statement.predicate.type_uri().into()));
            }
            Ok(statement) => {
                signed.insert(
                    (keyid, payload),
                    Signed { envelope: number, key, payload, statement: Arc::new(statement) },
                );
            }
            Err(StatementError::PredicateType(kind)) if !others.contains(&(keyid, payload)) => {
                match OtherStatement::read(number, envelope, key, evidence, now) {
                    Ok(Some(other)) if key.may_state(other.predicate_type()) => {
                        others.insert((keyid, payload));
                        gathered.others.push(other);
                    }
                    Ok(Some(_)) => refuse(Reason::KeyNotForType(kind)),
                    Ok(None) => refuse(Reason::UnknownStatement(StatementError::PredicateType(kind).to_string())),
                    Err(reason) => refuse(reason),
                }
            }
            Err(StatementError::PredicateType(_)) => {}
            Err(why) => refuse(Reason::UnknownStatement(why.to_string())),
        }
    }
    signed
}

fn failure(
    signed: &Signed<'_>,
    failed: &Unbuildable,
    evidence: Evidence<'_>,
    now: Timestamp,
) -> Result<FailureClaim, Reason> {
    failed.check(&signed.statement.subject).map_err(|e| Reason::inconsistent(&e))?;
    let seen = evidence.seen(signed.key, signed.payload.sha256, now);
    signed.key.vouches(failed.attempted_on, Seen::time(seen.as_ref().ok()), now).map_err(Reason::Key)?;
    let TrustedKey { operator, platform, .. } = signed.key.clone();
    let (envelope, keyid, statement) = (signed.envelope, signed.key.key.id(), Arc::clone(&signed.statement));
    Ok(FailureClaim { envelope, keyid, operator, platform, statement, attempted_on: failed.attempted_on })
}

/// What a comparison and the provenances that it names come to.
fn claim(
    signed: &Signed<'_>,
    comparison: &Arc<Comparison>,
    all: &BTreeMap<Named, Signed<'_>>,
    evidence: Evidence<'_>,
    now: Timestamp,
) -> Result<RebuilderClaim, Reason> {
    let keyid = signed.key.key.id();
    let named: Option<Vec<_>> =
        comparison.rebuilds.iter().map(|rebuild| all.get(&(keyid, rebuild.provenance))).collect();
    let named = named.ok_or(Reason::Incomplete)?;
    let parts: Option<Vec<_>> = named.iter().map(|found| Part::of(&found.statement, found.payload)).collect();
    let parts = parts.ok_or(Reason::Incomplete)?;
    let subject: &[ResourceDescriptor] = &signed.statement.subject;
    let proof = verified(keyid, &parts, subject, comparison).map_err(|e| Reason::inconsistent(&e))?;
    // The comparison names its provenances by their digests: what is shown of it is shown of them.
    let seen = evidence.seen(signed.key, signed.payload.sha256, now);
    let logged = evidence.logged(signed.key, signed.payload.sha256);
    let compared_on = comparison.compared_on;
    let vouched = signed.key.vouches(compared_on, Seen::time(seen.as_ref().ok()), now);
    // Evidence that somebody adds does not take away what stands against an artifact without it.
    let is_contrary = comparison.verdict != RebuildVerdict::BitIdentical;
    let vouched = vouched.or_else(|fault| match signed.key.vouches(compared_on, None, now) {
        Ok(()) if is_contrary => Ok(()),
        _ => Err(fault),
    });
    vouched.map_err(Reason::Key)?;
    let since = signed.key.vouches(compared_on, None, now).err();
    let TrustedKey { operator, platform, .. } = signed.key.clone();
    let Rebuilder { operator: stated_operator, platform: stated_platform } = &comparison.rebuilder;
    let other = |stated: &Option<String>, known: &str| stated.clone().filter(|stated| stated != known);
    let reasons = [
        other(stated_operator, &operator).map(Reason::OtherOperator),
        other(stated_platform, &platform).map(Reason::OtherPlatform),
    ];
    let mut reasons: Vec<Reason> = reasons.into_iter().flatten().collect();
    // What is shown to have been there at some time is judged by that time: the comparison names it by its digest.
    let at = Seen::time(seen.as_ref().ok()).unwrap_or(now);
    let (attested, unattested) = match attested(comparison, &named, evidence, at) {
        Ok(attested) => (attested, None),
        // What nothing asks for takes nothing away: it is then as if there were none.
        Err(why) if !comparison.isolation.has_evidence() => (Vec::new(), Some(why)),
        Err(why) => {
            reasons.push(Reason::Evidence(why));
            (Vec::new(), None)
        }
    };
    let (envelope, payload) = (signed.envelope, signed.payload);
    let comparison = Arc::clone(&signed.statement);
    let provenances = named.iter().map(|found| Arc::clone(&found.statement)).collect();
    Ok(RebuilderClaim {
        envelope,
        payload,
        keyid,
        operator,
        platform,
        proof,
        logged,
        seen,
        since,
        attested,
        unattested,
        comparison,
        provenances,
        reasons,
    })
}

/// What processors, or who else is trusted for that, say of each rebuild, in order; nothing where nothing is said of any,
/// and its isolation asks for nothing.
fn attested(
    comparison: &Comparison,
    named: &[&Signed<'_>],
    evidence: Evidence<'_>,
    at: Timestamp,
) -> Result<Vec<Attested>, String> {
    let mut attested = Vec::new();
    for (rebuild, (claim, signed)) in (1..).zip(comparison.rebuilds.iter().zip(named)) {
        let Predicate::Provenance(provenance) = &signed.statement.predicate else { continue };
        let is_asked = provenance.build_definition.internal_parameters.isolation.has_evidence();
        if !is_asked && comparison.rebuilds.iter().all(|rebuild| rebuild.evidence.is_none()) {
            continue;
        }
        let found = evidence.attested(signed.payload, provenance, claim.evidence, at);
        attested.push(found.map_err(|why| format!("rebuild {rebuild}: {why}"))?);
    }
    Ok(attested)
}

/// Whoever signs another's build record again has built nothing. Which of two keys has copied from the other can't be told;
/// the build is counted for the one that says it was first.
fn mark_copies(claims: &mut [RebuilderClaim]) {
    claims.sort_by_key(|claim| (claim.proof.compared_on(), claim.keyid));
    let mut first: BTreeMap<DigestSet, KeyId> = BTreeMap::new();
    for claim in claims {
        let records: Vec<DigestSet> = claim.proof.rebuilds().iter().map(|rebuild| rebuild.record).collect();
        let other = records.iter().find_map(|record| first.get(record).filter(|keyid| **keyid != claim.keyid));
        if let Some(other) = other {
            claim.reasons.push(Reason::SameBuild(*other));
        }
        for record in records {
            first.entry(record).or_insert(claim.keyid);
        }
    }
}
