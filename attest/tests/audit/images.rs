// SPDX-License-Identifier: Apache-2.0
//! Published images: what a proof of one is about, and that it has come out whole.

use reprove_attest::{Inconsistency, UntrueVerdict, audit};
use reprove_model::{Between, Content, DigestSet, Lock, Outcome, PublishedPart, Role, Verdict};

use super::support::*;

const LAYER: &[u8] = b"layer";
const BASE: &[u8] = b"base";

/// A lock of what has two parts.
fn image() -> Lock {
    let mut lock = lock(true);
    let part =
        |bytes: &[u8]| PublishedPart { digest: DigestSet::of(bytes), size: bytes.len() as u64, in_source: false };
    lock.published.as_mut().unwrap().parts = [part(LAYER), part(BASE)].into();
    lock
}

fn rebuilt(lock: &Lock, files: &[(&str, &[u8])], matches: bool) -> Case {
    let records = [0, 1].map(|number| record(lock, number, tree(files)));
    let mut verdict = reproducible(true);
    if !matches {
        let findings = vec![finding(Between::PublishedAndRebuilt)];
        verdict = Verdict { outcome: Outcome::Different, matches_published: Some(false), findings, ..verdict };
    }
    Case::of(lock, &records, &verdict)
}

const WHOLE: [(&str, &[u8]); 3] = [(WHEEL_NAME, WHEEL), ("blob-1", LAYER), ("blob-2", BASE)];

#[test]
fn the_parts_of_what_matches_are_subjects_unless_they_were_inputs() {
    let digests = |case: &Case| {
        let proof = judge(&case.sign()).unwrap();
        proof.subject().iter().map(|one| one.digest).collect::<Vec<_>>()
    };
    let mut lock = image();
    let all = digests(&rebuilt(&lock, &WHOLE, true));
    let mut expected = vec![DigestSet::of(LAYER), DigestSet::of(BASE)];
    expected.sort();
    assert_eq!(all, [vec![DigestSet::of(WHEEL)], expected].concat());
    let is_about = |case: &Case| audit(&case.sign(), &[artifact("layer", LAYER)], &[key().public_key()]).is_ok();
    assert!(is_about(&rebuilt(&lock, &WHOLE, true)));
    // Where it is another one, some layers may be the same: that is no word against them.
    let other = rebuilt(&lock, &[(WHEEL_NAME, b"other"), WHOLE[1]], false);
    assert_eq!(digests(&other), [DigestSet::of(WHEEL)]);
    assert!(!is_about(&other));
    // What lies in the source, and what is an input itself, was given.
    let mut copied = image();
    let parts = &mut copied.published.as_mut().unwrap().parts;
    *parts =
        parts.iter().map(|part| PublishedPart { in_source: part.digest == DigestSet::of(BASE), ..*part }).collect();
    assert_eq!(digests(&rebuilt(&copied, &WHOLE, true)), [DigestSet::of(WHEEL), DigestSet::of(LAYER)]);
    let (digest, size) = (DigestSet::of(BASE), BASE.len() as u64);
    lock.inputs[1].role = Role::Tool;
    lock.inputs[1].content = Content::File { digest, size };
    assert_eq!(digests(&rebuilt(&lock, &WHOLE, true)), [DigestSet::of(WHEEL), DigestSet::of(LAYER)]);
}

#[test]
fn what_lacks_a_part_does_not_match() {
    let lock = image();
    for lacking in 1..WHOLE.len() {
        let mut files = WHOLE.to_vec();
        files.remove(lacking);
        let case = rebuilt(&lock, &files, false);
        let why = refused(case, |case| {
            case.comparison.subject = rebuilt(&lock, &WHOLE, true).comparison.subject;
            let details = &mut case.comparison().details;
            (details.outcome, details.matches_published) = (Outcome::Reproducible, Some(true));
            details.findings.clear();
        });
        let found_false = UntrueVerdict::MatchesPublished { claimed: Some(true), found: Some(false) };
        assert!(matches!(&why, Inconsistency::Verdict(untrue) if *untrue == found_false), "{why}");
    }
}

/// The subject follows from the parts that are stated, and they from the lock.
#[test]
fn a_subject_that_is_left_out_or_added_is_refused() {
    let of = || rebuilt(&image(), &WHOLE, true);
    let why = refused(of(), |case| _ = case.comparison.subject.pop());
    assert!(matches!(why, Inconsistency::Subject), "{why}");
    let why = refused(of(), |case| case.comparison().published.as_mut().unwrap().parts.clear());
    assert!(matches!(why, Inconsistency::LockContent { .. }), "{why}");
}
