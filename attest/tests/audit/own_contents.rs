// SPDX-License-Identifier: Apache-2.0
//! What was published, packed again from its own contents: which tools were tried, and that it is no yes unless somebody
//! takes it for one.

use reprove_attest::{AuditError, Inconsistency, Policy, UntrueVerdict, VerifiedProof};
use reprove_model::{
    Between, Content, Derived, DigestSet, EpochOrigin, EpochUsed, Lock, Outcome, ToolsAttempt, Verdict, canonical,
};

use super::appraisal::{THREE, appraised, bytes, key, of, reasons, shortfalls, signed, trust, wheel};
use super::support::*;

/// A lock whose source is what was published.
fn own() -> Lock {
    let mut lock = lock(true);
    let published = lock.published.as_mut().unwrap();
    published.derived = [Derived::Contents, Derived::Tools].into();
    lock.inputs[0].content = Content::Archive { digest: published.digest, size: published.size };
    lock
}

fn attempt(name: &str, lock: &Lock, matched: bool) -> ToolsAttempt {
    ToolsAttempt { name: name.into(), lock: DigestSet::of(&canonical::to_vec(lock).unwrap()), matched }
}

/// Two rebuilds that gave `artifact`, after these tools were tried.
fn packed(lock: &Lock, artifact: &[u8], tools_tried: Vec<ToolsAttempt>) -> Case {
    let records = [0, 1].map(|number| record(lock, number, tree(&[(WHEEL_NAME, artifact)])));
    let source_date_epoch = EpochUsed { seconds: Some(315_532_800), origin: EpochOrigin::Recipe, tried: vec![] };
    let mut verdict = Verdict { tools_tried, source_date_epoch, ..reproducible(true) };
    if artifact != WHEEL {
        verdict.outcome = Outcome::Different;
        verdict.matches_published = Some(false);
        verdict.findings = vec![finding(Between::PublishedAndRebuilt)];
    }
    Case::of(lock, &records, &verdict)
}

/// The tools that were tried before, and those of the lock.
fn tried(lock: &Lock, matched: bool) -> Vec<ToolsAttempt> {
    vec![attempt("npm 11 on node 22", &lock_of(recipe("\"unset\""), true), false), attempt("npm 11", lock, matched)]
}

fn audited(case: &Case) -> VerifiedProof {
    let proof = bytes(signed(1, case));
    reprove_attest::audit(&proof, &[wheel()], &[key(1).public_key()]).unwrap().compared().unwrap()
}

#[test]
fn its_own_contents_are_no_yes_unless_they_are_accepted() {
    let lock = own();
    let case = packed(&lock, WHEEL, tried(&lock, true));
    let verified = audited(&case);
    assert!(verified.is_of_own_contents());
    let refused = verified.clone().of_another_source().unwrap_err();
    assert!(matches!(refused, AuditError::OwnContentsOnly), "{refused}");
    assert_eq!((refused.code(), refused.cause()), ("own-contents-only", None));
    let appraise = |own_contents| appraised(signed(1, &case), &trust(&THREE, ""), &Policy { own_contents, ..of(1) });
    let refused = appraise(false);
    assert_eq!(reasons(&refused), [["own-contents-only"]]);
    assert!(shortfalls(&refused).contains(&"too-few-rebuilders") && !refused.is_enough());
    assert!(appraise(true).is_enough());
    // What has another source needs nobody's word for it.
    let other = audited(&Case::published());
    assert_eq!(other.clone().of_another_source().unwrap(), other);
}

#[test]
fn a_difference_of_its_own_contents_is_shown_and_stays_a_veto() {
    let lock = own();
    let case = packed(&lock, b"another wheel", tried(&lock, false));
    assert!(audited(&case).of_another_source().is_ok());
    let appraisal = appraised(signed(1, &case), &trust(&THREE, ""), &of(1));
    assert!(shortfalls(&appraisal).contains(&"veto"));
}

#[test]
fn the_tools_that_were_tried_are_listed_with_what_came_of_them() {
    let lock = own();
    let untrue = |artifact: &[u8], tamper: fn(&mut Vec<ToolsAttempt>)| {
        let case = packed(&lock, artifact, tried(&lock, artifact == WHEEL));
        match refused(case, |case| tamper(&mut case.comparison().details.tools_tried)) {
            Inconsistency::Verdict(UntrueVerdict::ToolsTried) => {}
            why => panic!("{why}"),
        }
    };
    untrue(WHEEL, |tried| tried.truncate(1));
    untrue(WHEEL, |tried| tried[1].matched = false);
    untrue(WHEEL, |tried| tried[0].matched = true);
    untrue(WHEEL, |tried| tried.swap(0, 1));
    untrue(WHEEL, |tried| tried[1].lock = DigestSet::of(b"another"));
    untrue(WHEEL, |tried| tried[0].name = tried[1].name.clone());
    untrue(WHEEL, |tried| tried[0].name = "two\nlines".into());
    untrue(b"another wheel", |tried| tried[1].matched = true);
    untrue(b"another wheel", |tried| tried[1].lock = DigestSet::of(b"another"));
    // The last that could be built need not be the last that was tried.
    let last_failed = vec![tried(&lock, false)[1].clone(), tried(&lock, false)[0].clone()];
    assert_eq!(audited(&packed(&lock, b"another wheel", last_failed)).verdict().tools_tried.len(), 2);
}

#[test]
fn the_bounds_of_the_tools_hold_on_both_sides() {
    let lock = own();
    let judged = |count: usize, length: usize| {
        let named = |number: usize| format!("{number:0length$}");
        let mut all: Vec<_> = (1..count).map(|number| attempt(&named(number), &self::lock(false), false)).collect();
        all.push(attempt(&named(count), &lock, true));
        let mut case = packed(&lock, WHEEL, vec![]);
        case.comparison().details.tools_tried = all;
        judge(&case.sign())
    };
    for (count, length, is_there) in [(1, 200, true), (32, 200, true), (33, 200, false), (2, 201, false)] {
        assert_eq!(judged(count, length).is_ok(), is_there, "{count} {length}");
    }
}

#[test]
fn tools_are_only_tried_where_they_were_taken_from_what_was_published() {
    let mut lock = own();
    lock.published.as_mut().unwrap().derived = [Derived::Contents].into();
    let case = packed(&lock, WHEEL, vec![]);
    let all = tried(&lock, true);
    let why = refused(case, |case| case.comparison().details.tools_tried = all);
    assert!(matches!(why, Inconsistency::Verdict(UntrueVerdict::ToolsTried)), "{why}");
}
