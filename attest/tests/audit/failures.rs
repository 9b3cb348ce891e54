// SPDX-License-Identifier: Apache-2.0
//! That rebuilding failed is signed like any other result, and audited as strictly.

use std::sync::Arc;

use reprove_attest::{
    Appraisal, AuditError, Audited, Envelope, Inconsistency, MAX_ATTEMPTS, Policy, Predicate, Proof, RebuildVerdict,
    Rebuilder, Statement, TrustRoots, Unbuildable, UnbuildableFault as Fault, appraise, audit, rego_input, unbuildable,
};
use reprove_model::{BuildRecord, DigestSet, Exit, Lock, canonical};

use crate::support::*;

const FAILED: Exit = Exit::Status { step: 0, status: 2, out_of_memory: false };

/// Records of builds of `lock` that ended so.
fn records(lock: &Lock, exits: &[Exit]) -> Vec<BuildRecord> {
    let of = |(number, exit): (u32, &Exit)| {
        let outputs = if *exit == Exit::Success { tree(&[(WHEEL_NAME, WHEEL)]) } else { tree(&[]) };
        BuildRecord { exit: *exit, ..record(lock, number, outputs) }
    };
    (0..).zip(exits).map(of).collect()
}

fn stated(published: bool, exits: &[Exit]) -> Statement {
    let lock = lock(published);
    let records = records(&lock, exits);
    unbuildable(&lock, &records.iter().collect::<Vec<_>>(), &rebuilder(), "2026-11-01T13:00:00Z".parse().unwrap())
        .unwrap()
}

fn signed(statement: &Statement) -> Vec<u8> {
    proof(vec![Envelope::sign(&key(), statement.to_payload().unwrap()).unwrap()])
}

fn judged(statement: &Statement) -> Result<Audited, AuditError> {
    audit(&signed(statement), &[], &[key().public_key()])
}

fn predicate(statement: &mut Statement) -> &mut Unbuildable {
    match &mut statement.predicate {
        Predicate::Unbuildable(failure) => Arc::make_mut(failure),
        _ => unreachable!(),
    }
}

#[test]
fn a_failure_is_a_valid_proof_of_what_was_published_or_else_of_the_lock() {
    let audited = audit(&signed(&stated(true, &[FAILED])), &[artifact("mine", WHEEL)], &[key().public_key()]).unwrap();
    let Audited::Unbuildable(failure) = &audited else { panic!("{audited:?}") };
    assert_eq!((audited.word(), failure.signer()), (RebuildVerdict::Unbuildable, key().public_key().id()));
    assert_eq!((failure.subject().name.as_str(), failure.failure().failure()), (WHEEL_NAME, Some(FAILED)));
    assert_eq!(failure.artifacts().len(), 1);
    let other = audit(&signed(&stated(true, &[FAILED])), &[artifact("mine", b"other")], &[key().public_key()]);
    assert!(matches!(other, Err(AuditError::OtherArtifact { .. })));
    // The second build alone may have failed.
    let Ok(Audited::Unbuildable(failure)) = judged(&stated(false, &[Exit::Success, Exit::TimeOut])) else { panic!() };
    assert_eq!(failure.failure().failure(), Some(Exit::TimeOut));
    let lock = DigestSet::of(&canonical::to_vec(&lock(false)).unwrap());
    assert_eq!((failure.subject().name.as_str(), failure.subject().digest), ("reprove.lock", lock));
}

#[test]
fn a_failure_does_not_contradict_itself() {
    let refused = |tamper: &dyn Fn(&mut Statement)| {
        let mut statement = stated(true, &[FAILED, Exit::Success]);
        judged(&statement).unwrap();
        tamper(&mut statement);
        match judged(&statement) {
            Err(AuditError::Inconsistent(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let fault = |tamper: &dyn Fn(&mut Unbuildable)| match refused(&|statement| tamper(predicate(statement))) {
        Inconsistency::Unbuildable(fault) => fault,
        other => panic!("{other}"),
    };
    assert_eq!(fault(&|f| f.attempts.clear()), Fault::Attempts(0));
    assert_eq!(fault(&|f| f.attempts[0].exit = Exit::Success), Fault::NoneFailed);
    assert_eq!(fault(&|f| f.attempts[1].record = f.attempts[0].record), Fault::SameBuild(2));
    assert_eq!(fault(&|f| f.attempted_on = "2026-11-01T11:59:59Z".parse().unwrap()), Fault::Time(1));
    let why = refused(&|statement| statement.subject[0].digest = DigestSet::of(b"other"));
    assert!(matches!(why, Inconsistency::Unbuildable(Fault::Subject)), "{why}");
    let why = refused(&|statement| statement.subject.push(statement.subject[0].clone()));
    assert!(matches!(why, Inconsistency::Unbuildable(Fault::Subject)), "{why}");
    let why = refused(&|statement| predicate(statement).published = None);
    assert!(matches!(why, Inconsistency::LockContent { .. }), "{why}");
    let why = refused(&|statement| drop(predicate(statement).resolved_dependencies.remove(0)));
    assert!(matches!(why, Inconsistency::LockContent { .. }), "{why}");
    let why = refused(&|statement| predicate(statement).resolved_dependencies.clear());
    assert!(matches!(why, Inconsistency::NoLock(_)), "{why}");
    let why = refused(&|statement| predicate(statement).tool.name = "other".into());
    assert!(matches!(why, Inconsistency::Tool(_)), "{why}");
    let why =
        refused(&|statement| predicate(statement).rebuilder = Rebuilder { operator: Some("".into()), platform: None });
    assert!(matches!(why, Inconsistency::Rebuilder(_)), "{why}");
}

#[test]
fn a_failure_is_all_that_a_proof_says() {
    let failure = Envelope::sign(&key(), stated(true, &[FAILED]).to_payload().unwrap()).unwrap();
    let mut envelopes = Proof::from_bytes(&Case::published().sign()).unwrap().envelopes;
    envelopes.push(failure);
    let both = audit(&proof(envelopes), &[], &[key().public_key()]);
    assert!(matches!(both, Err(AuditError::FailureNotAlone(4))), "{both:?}");
}

#[test]
fn the_attempts_bound_holds_on_both_sides() {
    let lock = lock(true);
    for (count, is_stated) in [(0, false), (1, true), (MAX_ATTEMPTS, true), (MAX_ATTEMPTS + 1, false)] {
        let records = records(&lock, &vec![FAILED; count]);
        let records: Vec<_> = records.iter().collect();
        let proof = Proof::sign_failure(&key(), &lock, &records, &rebuilder(), "2026-11-01T13:00:00Z".parse().unwrap());
        assert_eq!(proof.is_ok(), is_stated, "{count}");
    }
    let other = records(&lock_of(recipe("\"unset\""), true), &[FAILED]);
    let time = "2026-11-01T13:00:00Z".parse().unwrap();
    assert!(Proof::sign_failure(&key(), &lock, &[&other[0]], &rebuilder(), time).is_err());
}

#[test]
fn a_failure_counts_for_nothing_and_is_no_veto() {
    let pem = key().public_key().to_spki_pem().unwrap();
    let trust = format!("[[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'farm'\n");
    let trust = TrustRoots::from_toml(&trust).unwrap();
    let judge = |envelopes: Vec<Envelope>, file| {
        let now = "2026-11-02T00:00:00Z".parse().unwrap();
        appraise(&proof(envelopes), &[file], &trust, &Policy::default(), now).unwrap()
    };
    let failure = Envelope::sign(&key(), stated(true, &[FAILED]).to_payload().unwrap()).unwrap();
    let alone = judge(vec![failure.clone()], artifact("mine", WHEEL));
    assert!(!alone.is_enough() && alone.claims().is_empty());
    assert_eq!(alone.uncounted()[0].reason().code(), "unbuildable");
    let now = "2026-11-02T00:00:00Z".parse().unwrap();
    let input = |appraisal: &Appraisal| -> serde_json::Value {
        serde_json::from_str(&rego_input(appraisal, &[], now).unwrap()).unwrap()
    };
    let seen = &input(&alone)["failures"];
    let signed: serde_json::Value = serde_json::from_slice(failure.payload()).unwrap();
    assert_eq!(seen.as_array().unwrap().len(), 1);
    assert_eq!((&seen[0]["statement"], &seen[0]["operator"]), (&signed, &"one".into()));
    assert_eq!(seen[0]["attemptedOn"], "2026-11-01T13:00:00Z");
    let other = judge(vec![failure.clone()], artifact("mine", b"other"));
    assert_eq!(input(&other)["failures"], serde_json::json!([]));
    assert_eq!(other.uncounted()[0].reason().code(), "other-subject");
    let mut envelopes = Proof::from_bytes(&Case::published().sign()).unwrap().envelopes;
    envelopes.push(failure);
    assert!(judge(envelopes, artifact("mine", WHEEL)).is_enough());
    let mut untrue = stated(true, &[FAILED]);
    predicate(&mut untrue).attempts.clear();
    let untrue = Envelope::sign(&key(), untrue.to_payload().unwrap()).unwrap();
    let refused = judge(vec![untrue], artifact("mine", WHEEL));
    assert_eq!(refused.uncounted()[0].reason().code(), "inconsistent");
}
