// SPDX-License-Identifier: Apache-2.0
//! Whether what is claimed is enough for a policy.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use reprove_model::Isolation;

use super::contrary::{Contrary, contrary, is_about};
use super::evidence::Evidence;
use super::gather::Gathered;
use super::{Appraisal, Reason, RebuilderClaim, Shortfall, Uncounted, others};
use crate::audit::find;
use crate::evidence::Attested;
use crate::log::LogProofError;
use crate::{Artifact, AuditError, Distinct, Policy, ResourceDescriptor};

pub(super) fn decide(
    gathered: Gathered,
    artifacts: &[Artifact],
    policy: &Policy,
    evidence: Evidence<'_>,
    now: Timestamp,
) -> Appraisal {
    let Gathered { claims, failures, doubtful, others, mut uncounted } = gathered;
    let mut failed = Vec::new();
    for failure in failures {
        let (envelope, keyid) = (failure.envelope, failure.keyid);
        let reason = match subject(&failure.statement.subject, artifacts) {
            Ok(()) => {
                failed.push(failure);
                Reason::Unbuildable
            }
            Err(reason) => reason,
        };
        uncounted.push(Uncounted { envelope, keyid, reason });
    }
    let (mut about, mut elsewhere) = (Vec::new(), Vec::new());
    let mut against = Vec::new();
    for claim in claims {
        // What is against one of several files is against all of them together.
        let is_about_one = artifacts.is_empty() || artifacts.iter().any(|one| is_about(claim.proof.subject(), one));
        if is_about_one && !claim.is_reproduced() {
            against.push((claim.operator.clone(), claim.keyid));
        }
        match subject(claim.proof.subject(), artifacts) {
            Ok(()) => about.push(claim),
            Err(reason) => elsewhere.push((claim, reason)),
        }
    }
    for (claim, reason) in elsewhere {
        let is_of_same = |one: &RebuilderClaim| one.proof.lock() == claim.proof.lock();
        let is_other = about.iter().any(is_of_same);
        if is_other {
            against.push((claim.operator.clone(), claim.keyid));
        }
        let reason = if is_other { Reason::OtherBits } else { reason };
        uncounted.push(Uncounted { envelope: claim.envelope, keyid: claim.keyid, reason });
    }
    against.sort_unstable();
    against.dedup();
    let (others, unasked, missing) = others::others(others, &about, artifacts, policy);
    uncounted.extend(unasked);
    uncounted.sort_by_key(|each| each.envelope);
    for claim in &mut about {
        let mut more = reasons(claim, policy, now);
        if policy.logged
            && let Err(why) = is_logged(claim, policy.witnesses)
        {
            more.push(Reason::NotLogged(why));
        }
        if policy.timestamped
            && let Err(why) = &claim.seen
        {
            more.push(Reason::NotTimestamped(why.clone()));
        }
        claim.reasons.extend(more);
    }
    let counted = counted(&about);
    let independent = independent(&counted, &policy.distinct);
    let isolations = counted.iter().map(|claim| kind(claim.isolation())).collect::<BTreeSet<_>>().len();
    let mut shortfalls = Vec::new();
    if artifacts.is_empty()
        && about.windows(2).any(|two| matches!(two, [a, b] if a.proof.subject() != b.proof.subject()))
    {
        shortfalls.push(Shortfall::SeveralSubjects);
    }
    if independent < to_usize(policy.rebuilders) {
        shortfalls.push(Shortfall::Rebuilders { wanted: policy.rebuilders, found: independent });
    }
    if isolations < to_usize(policy.isolations) {
        shortfalls.push(Shortfall::Isolations { wanted: policy.isolations, found: isolations });
    }
    // A verifier's key can say two makers' names: only what a processor has said to us stands for its maker.
    let is_hardware = |attested: &&Attested| attested.is_of_processor() && !attested.is_emulated();
    let attested = counted.iter().flat_map(|claim| &claim.attested).filter(is_hardware);
    let vendors = attested.filter_map(Attested::vendor).collect::<BTreeSet<_>>().len();
    if vendors < to_usize(policy.vendors) {
        shortfalls.push(Shortfall::Vendors { wanted: policy.vendors, found: vendors });
    }
    shortfalls.extend(missing);
    if policy.veto {
        let veto = |(operator, keyid): &(String, _)| Shortfall::Veto { operator: operator.clone(), keyid: *keyid };
        shortfalls.extend(against.iter().map(veto));
    }
    let contrary = contrary(evidence, &doubtful, artifacts, policy, now);
    if let (true, Contrary::Possible(why)) = (policy.recorded, &contrary) {
        shortfalls.push(Shortfall::Contrary(why.clone()));
    }
    Appraisal {
        claims: about,
        failures: failed,
        others,
        uncounted,
        shortfalls,
        independent,
        against,
        contrary,
        envelopes: Vec::new(),
    }
}

/// The kind of walls: an emulation's are those of a virtual machine.
fn kind(isolation: Isolation) -> &'static str {
    if isolation.is_emulated() { Isolation::Vm.name() } else { isolation.name() }
}

/// Those that count towards what the policy asks for.
pub(super) fn counted(claims: &[RebuilderClaim]) -> Vec<&RebuilderClaim> {
    claims.iter().filter(|claim| claim.reasons.is_empty()).collect()
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Whether what is said of these subjects is about all of the artifacts.
fn subject(of: &[ResourceDescriptor], artifacts: &[Artifact]) -> Result<(), Reason> {
    for artifact in artifacts {
        match find(artifact, of) {
            Ok(_) => {}
            Err(AuditError::HalfArtifact { .. }) => return Err(Reason::HalfSubject),
            Err(_) => return Err(Reason::OtherSubject),
        }
    }
    Ok(())
}

/// Whether a trusted log has the comparison of a claim, and so many trusted witnesses saw that.
fn is_logged(claim: &RebuilderClaim, witnesses: u32) -> Result<(), String> {
    let found = claim.logged.as_ref().map_err(Clone::clone)?.witnessed.len();
    let wanted = to_usize(witnesses);
    if found < wanted { Err(LogProofError::Witnesses { wanted, found }.to_string()) } else { Ok(()) }
}

/// Why a claim does not count towards what the policy asks for.
fn reasons(claim: &RebuilderClaim, policy: &Policy, now: Timestamp) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !claim.is_reproduced() {
        reasons.push(Reason::Different);
    }
    if policy.published && claim.proof.published().is_none() {
        reasons.push(Reason::NotPublished);
    }
    if !policy.own_contents && claim.proof.is_of_own_contents() {
        reasons.push(Reason::OwnContentsOnly);
    }
    if policy.minimum_isolation.is_some() && claim.isolation_level() < policy.minimum_isolation {
        reasons.push(Reason::WeakIsolation(claim.isolation_level()));
    }
    if policy.evidence && claim.attested.is_empty() {
        reasons.push(Reason::NotConfidential(claim.unattested.clone()));
    } else if policy.evidence && !claim.attested.iter().all(Attested::is_of_machine) {
        let why = "a service has it in its ledger, which says nothing of where it was built";
        reasons.push(Reason::NotConfidential(Some(why.into())));
    }
    let is_other = |attested: &Attested| policy.nonce.is_some_and(|nonce| attested.nonce() != nonce);
    if claim.attested.iter().any(is_other) {
        reasons.push(Reason::OtherNonce);
    }
    let oldest = policy.max_age_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    // Where the calendar does not go back so far, nothing is too old.
    let oldest = oldest.and_then(|age| now.checked_sub(age).ok());
    if let Some(oldest) = oldest.filter(|oldest| claim.proof.compared_on() < *oldest) {
        reasons.push(Reason::TooOld(oldest));
    }
    reasons
}

/// The most claims of which no two share what `distinct` names.
pub(super) fn independent(claims: &[&RebuilderClaim], distinct: &BTreeSet<Distinct>) -> usize {
    let by_operator = distinct.contains(&Distinct::Operator);
    let by_platform = distinct.contains(&Distinct::Platform);
    let operators = || claims.iter().map(|claim| claim.operator.as_str());
    let platforms = || claims.iter().map(|claim| claim.platform.as_str());
    match (by_operator, by_platform) {
        (true, false) => operators().collect::<BTreeSet<_>>().len(),
        (false, true) => platforms().collect::<BTreeSet<_>>().len(),
        // Each claim is an edge between its operator and its platform: the most edges of which no two meet.
        _ => {
            let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for (operator, platform) in operators().zip(platforms()) {
                edges.entry(operator).or_default().insert(platform);
            }
            matched(&edges)
        }
    }
}

/// The size of a largest matching, by augmenting paths (Kuhn's algorithm).
fn matched(edges: &BTreeMap<&str, BTreeSet<&str>>) -> usize {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    edges.keys().filter(|operator| augment(operator, edges, &mut taken, &mut BTreeSet::new())).count()
}

fn augment<'a>(
    operator: &&'a str,
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    taken: &mut BTreeMap<&'a str, &'a str>,
    tried: &mut BTreeSet<&'a str>,
) -> bool {
    for platform in edges.get(operator).into_iter().flatten() {
        if !tried.insert(platform) {
            continue;
        }
        let is_free = match taken.get(platform).copied() {
            None => true,
            Some(other) => augment(&other, edges, taken, tried),
        };
        if is_free {
            taken.insert(platform, operator);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_do_not_meet_are_counted() {
        let edges = |pairs: &[(&'static str, &'static str)]| {
            let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for (a, b) in pairs {
                edges.entry(a).or_default().insert(b);
            }
            matched(&edges)
        };
        assert_eq!(edges(&[]), 0);
        assert_eq!(edges(&[("a", "1"), ("a", "2")]), 1);
        assert_eq!(edges(&[("a", "1"), ("b", "1")]), 1);
        assert_eq!(
            edges(&[("a", "1"), ("b", "1"), ("a", "2")]),
            2,
            "the first that comes would take the only one of b"
        );
        assert_eq!(edges(&[("a", "1"), ("a", "2"), ("b", "2"), ("b", "3"), ("c", "1")]), 3);
    }
}
