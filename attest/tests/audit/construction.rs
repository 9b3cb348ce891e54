// SPDX-License-Identifier: Apache-2.0
//! What is never stated: the constructors refuse what the audit would refuse, and what only they can see.

use reprove_attest::{
    AttestError, Inconsistency, MAX_REBUILDS, MAX_SUBJECTS, Proof, ProvenanceFault, Rebuilt, UntrueVerdict, comparison,
    provenance,
};
use reprove_model::{BuildRecord, DigestSet, Exit, Lock, Outcome, Verdict, canonical};

use crate::support::*;

const EPOCH: Option<u64> = Some(315_532_800);

fn sample() -> (Lock, [BuildRecord; 2]) {
    let lock = lock(true);
    let records = [0, 1].map(|n| record(&lock, n, tree(&[("README", b"read me"), (WHEEL_NAME, WHEEL)])));
    (lock, records)
}

fn compare(lock: &Lock, records: &[BuildRecord], verdict: &Verdict) -> Result<Proof, AttestError> {
    let records: Vec<_> = records.iter().collect();
    Proof::sign(&key(), lock, &records, verdict, &rebuilder(), "2026-11-01T13:00:00Z".parse().unwrap(), Vec::new())
}

#[test]
fn a_provenance_is_of_a_successful_build_of_this_lock() {
    let (lock, [good, _]) = sample();
    provenance(&lock, &good, EPOCH).unwrap();
    let refused = |tamper: fn(&mut BuildRecord)| {
        let mut record = good.clone();
        tamper(&mut record);
        provenance(&lock, &record, EPOCH).unwrap_err()
    };
    assert!(matches!(refused(|r| r.lock = DigestSet::of(b"other")), AttestError::OtherLock { .. }));
    assert!(matches!(refused(|r| drop(r.inputs.pop())), AttestError::OtherInputs));
    assert!(matches!(refused(|r| r.environment.description.clear()), AttestError::OtherEnvironment));
    const LONGEST: u64 = (1 << 53) - 1;
    assert!(matches!(refused(|r| r.duration_ms = LONGEST), AttestError::Duration(LONGEST)));
    assert!(matches!(refused(|r| r.duration_ms = LONGEST + 1), AttestError::Canonical(_)));
    let fault = |tamper| match refused(tamper) {
        AttestError::Provenance(fault) => fault,
        other => panic!("{other}"),
    };
    assert!(matches!(
        fault(|r| r.exit = Exit::Status { step: 0, status: 1, out_of_memory: false }),
        ProvenanceFault::NotSuccess(_)
    ));
    assert!(matches!(fault(|r| r.outputs = tree(&[])), ProvenanceFault::NoSubjects));
    for (given, built_with) in [(None, EPOCH), (Some(1), EPOCH)] {
        let error = provenance(&lock, &good, given).unwrap_err();
        assert!(matches!(error, AttestError::Epoch { given: g, built_with: b } if (g, b) == (given, built_with)));
    }
}

#[test]
fn the_subjects_bound_holds_on_both_sides() {
    let lock = lock(false);
    let names: Vec<_> = (0..=MAX_SUBJECTS).map(|n| format!("{n:06}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    let most = provenance(&lock, &record(&lock, 0, tree(&files[..MAX_SUBJECTS])), EPOCH).unwrap();
    assert_eq!(most.subject.len(), MAX_SUBJECTS);
    let error = provenance(&lock, &record(&lock, 0, tree(&files)), EPOCH).unwrap_err();
    assert!(matches!(error, AttestError::Provenance(ProvenanceFault::TooManySubjects)), "{error}");
}

#[test]
fn the_rebuilds_bound_holds_on_both_sides() {
    let lock = lock(true);
    let records: Vec<_> =
        (0..=MAX_REBUILDS).map(|n| record(&lock, u32::try_from(n).unwrap(), tree(&[(WHEEL_NAME, WHEEL)]))).collect();
    for good in [2, MAX_REBUILDS] {
        let proof = compare(&lock, &records[..good], &reproducible(true)).unwrap();
        judge(&proof.to_bytes().unwrap()).unwrap();
    }
    for bad in [0, 1, MAX_REBUILDS + 1] {
        let error = compare(&lock, &records[..bad], &reproducible(true)).unwrap_err();
        assert!(matches!(error, AttestError::Inconsistent(Inconsistency::Rebuilds(n)) if n == bad), "{error}");
    }
}

#[test]
fn an_untrue_verdict_is_not_stated() {
    let (lock, records) = sample();
    compare(&lock, &records, &reproducible(true)).unwrap();
    let verdict = Verdict { outcome: Outcome::Different, ..reproducible(true) };
    let error = compare(&lock, &records, &verdict).unwrap_err();
    let untrue = Inconsistency::Verdict(UntrueVerdict::Outcome(Outcome::Different));
    assert_eq!(error.to_string(), AttestError::Inconsistent(untrue).to_string());
    let error = compare(&lock, &[records[0].clone(), records[0].clone()], &reproducible(true)).unwrap_err();
    assert!(matches!(error, AttestError::Inconsistent(Inconsistency::SameBuild { rebuild: 2 })), "{error}");
}

#[test]
fn each_provenance_is_that_of_its_record() {
    let (lock, records) = sample();
    let payloads = records.each_ref().map(|r| provenance(&lock, r, EPOCH).unwrap().to_payload().unwrap());
    let swapped = [(&records[0], &payloads[1]), (&records[1], &payloads[0])].map(|(record, provenance)| Rebuilt {
        record,
        provenance,
        evidence: None,
    });
    let time = "2026-11-01T13:00:00Z".parse().unwrap();
    let error = comparison(&lock, &swapped, &reproducible(true), &rebuilder(), time).unwrap_err();
    assert!(matches!(error, AttestError::NotItsProvenance { rebuild: 1 }), "{error}");
}

#[test]
fn one_output_has_the_published_name_or_none() {
    let (mut lock, _) = sample();
    let dir = |mode| reprove_model::Node::Directory { mode };
    let mut entries = tree(&[(WHEEL_NAME, WHEEL)]).entries().clone();
    let file = entries.values().next().unwrap().clone();
    entries.insert("d".parse().unwrap(), dir(0o755));
    entries.insert(format!("d/{WHEEL_NAME}").parse().unwrap(), file);
    let outputs = reprove_model::Tree::new(entries).unwrap();
    let records = [0, 1].map(|n| record(&lock, n, outputs.clone()));
    assert!(compare(&lock, &records, &reproducible(true)).is_ok(), "the one at the top is the one");
    let mut deeper = outputs.entries().clone();
    deeper.remove(&WHEEL_NAME.parse().unwrap());
    let deeper = reprove_model::Tree::new(deeper).unwrap();
    let records = [0, 1].map(|n| record(&lock, n, deeper.clone()));
    assert!(compare(&lock, &records, &reproducible(true)).is_err(), "one below a directory is none");

    lock.published.as_mut().unwrap().name = "elsewhere.whl".parse().unwrap();
    let records = [0, 1].map(|n| record(&lock, n, tree(&[(WHEEL_NAME, WHEEL)])));
    assert_eq!(records[0].lock, DigestSet::of(&canonical::to_vec(&lock).unwrap()));
    let verdict = Verdict {
        outcome: Outcome::Different,
        matches_published: Some(false),
        findings: vec![finding(reprove_model::Between::PublishedAndRebuilt)],
        ..reproducible(true)
    };
    let proof = compare(&lock, &records, &verdict).unwrap();
    assert_eq!(judge(&proof.to_bytes().unwrap()).unwrap().rebuilds()[0].artifact, None);
}
