// SPDX-License-Identifier: Apache-2.0
//! Proofs that pass, and what they then say.

use proptest::prelude::*;
use reprove_attest::{AuditError, Proof, Statement, audit};
use reprove_model::{Clock, DigestSet, Isolation, Outcome, Verdict};

use crate::support::*;

#[test]
fn a_good_proof_says_what_was_stated() {
    let mut case = Case::published();
    let proof = audit(&case.sign(), &[artifact("mine.whl", WHEEL)], &[key().public_key()]).unwrap().compared().unwrap();
    assert_eq!(proof.verdict(), &reproducible(true));
    assert_eq!(proof.published(), lock(true).published.as_ref());
    assert_eq!(proof.isolation(), Isolation::Namespaces);
    assert_eq!(proof.rebuilds(), case.comparison().rebuilds);
    assert!(proof.provenances().eq([0, 1].map(|n| case.provenance(n).clone()).iter()));
    assert_eq!(proof.recipe(), &lock(true).recipe);
    assert_eq!(proof.signers(), [key().public_key().id()]);
    assert_eq!(proof.subject()[0].uri, lock(true).published.unwrap().purl);
    let [found] = proof.artifacts() else { panic!() };
    assert_eq!((found.artifact().name.as_str(), found.subject()), ("mine.whl", WHEEL_NAME));
    assert!(proof.trust().holds_as_long_as.contains("operator"));
}

#[test]
fn rebuilds_in_virtual_machines_name_them() {
    let lock = lock(true);
    let mut records = [0, 1].map(|n| record(&lock, n, tree(&[(WHEEL_NAME, WHEEL)])));
    for (record, seconds) in records.iter_mut().zip([1_000_000_000, 2_000_000_000]) {
        record.isolation = Isolation::Vm;
        record.machine = Some(machine());
        record.conditions.clock = Clock::SetTo(seconds);
    }
    let varied = records[0].conditions.differing(&records[1].conditions);
    let verdict = Verdict { varied, ..reproducible(true) };
    let signed = Case::of(&lock, &records, &verdict).sign();
    let proof = audit(&signed, &[artifact("mine.whl", WHEEL)], &[key().public_key()]).unwrap().compared().unwrap();
    assert_eq!(proof.isolation(), Isolation::Vm);
    for provenance in proof.provenances() {
        assert_eq!(provenance.build_definition.internal_parameters.machine, Some(machine()));
    }
}

#[test]
fn without_anything_published_it_is_about_every_output_file() {
    let files = [artifact("a", b"read me"), artifact("b", WHEEL)];
    let proof = audit(&Case::unpublished().sign(), &files, &[key().public_key()]).unwrap().compared().unwrap();
    assert_eq!(proof.artifacts().iter().map(|a| a.subject()).collect::<Vec<_>>(), ["README", WHEEL_NAME]);
    assert_eq!(proof.published(), None);
}

#[test]
fn a_proof_of_difference_is_a_valid_proof() {
    for case in [Case::different(), Case::disagreeing()] {
        assert_eq!(judge(&case.sign()).unwrap().verdict().outcome, Outcome::Different);
    }
}

#[test]
fn a_file_that_the_proof_is_not_about_is_named() {
    let bytes = Case::published().sign();
    let judge = |file| audit(&bytes, &[artifact("good.whl", WHEEL), file], &[key().public_key()]).unwrap_err();
    let error = judge(artifact("wrong.whl", b"another"));
    assert!(matches!(&error, AuditError::OtherArtifact { name, .. } if name == "wrong.whl"));
    let text = error.to_string();
    assert!(text.contains("wrong.whl") && text.contains(&DigestSet::of(WHEEL).sha256.to_string()), "{text}");
    // Also the rebuilt README, of which the proof says how it was built: what was published is what the proof is about.
    assert!(matches!(judge(artifact("README", b"read me")), AuditError::OtherArtifact { .. }));
}

#[test]
fn a_file_must_be_equal_under_both_functions() {
    let (right, wrong) = (DigestSet::of(WHEEL), DigestSet::of(b"another"));
    for (digest, equal_by) in [
        (DigestSet { blake3: right.blake3, sha256: wrong.sha256 }, "BLAKE3"),
        (DigestSet { blake3: wrong.blake3, sha256: right.sha256 }, "SHA-256"),
    ] {
        let file = reprove_attest::Artifact { name: "half".into(), digest };
        let error = audit(&Case::published().sign(), &[file], &[key().public_key()]).unwrap_err();
        assert!(matches!(error, AuditError::HalfArtifact { equal, .. } if equal == equal_by), "{error}");
    }
}

#[test]
fn one_call_signs_a_whole_proof() {
    let lock = lock(true);
    let records = [0, 1].map(|n| record(&lock, n, tree(&[("README", b"read me"), (WHEEL_NAME, WHEEL)])));
    let compared_on = "2026-11-01T13:00:00Z".parse().unwrap();
    let proof =
        Proof::sign(&key(), &lock, &records.each_ref(), &reproducible(true), &rebuilder(), compared_on, Vec::new())
            .unwrap();
    assert_eq!(proof.to_bytes().unwrap(), Case::published().sign());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a record holds, its proof passes, says it again, and has one way to be written.
    #[test]
    fn any_rebuilds_come_back(
        files in proptest::collection::btree_map("[a-d\u{e9}\u{1}\\\\\" ]{1,4}", any::<[u8; 2]>(), 1..5),
        env in proptest::collection::btree_map("R_[A-Z]{1,6}", "\\PC{0,8}", 0..4),
        path in "/\\PC{1,10}",
        duration in 0u64..10_000_000,
        started in 0i64..4_000_000_000,
    ) {
        let mut lock = lock(false);
        lock.recipe.build.env.extend(env.clone());
        let files: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        let records = [0, 1].map(|n| {
            let mut record = record(&lock, n, tree(&files));
            record.env.extend(env.clone());
            record.conditions.build_path = format!("{path}{n}");
            record.env.insert("HOME".into(), format!("{path}{n}/home"));
            record.duration_ms = duration;
            record.started = jiff::Timestamp::from_second(started).unwrap();
            record
        });
        let compared_on = jiff::Timestamp::from_second(started).unwrap();
        let proof = Proof::sign(&key(), &lock, &records.each_ref(), &reproducible(false), &rebuilder(), compared_on, Vec::new()).unwrap();
        let bytes = proof.to_bytes().unwrap();
        prop_assert_eq!(&Proof::from_bytes(&bytes).unwrap(), &proof);
        let verified = judge(&bytes).unwrap();
        for (record, provenance) in records.iter().zip(verified.provenances()) {
            prop_assert_eq!(&record.env, &provenance.build_definition.internal_parameters.env);
            prop_assert_eq!(Some(record.outputs.digest()), provenance.outputs());
        }
        for envelope in &proof.envelopes {
            let payload = envelope.verify(&[key().public_key()]).unwrap().payload().to_vec();
            prop_assert_eq!(Statement::from_payload(&payload).unwrap().to_payload().unwrap(), payload);
        }
    }
}
