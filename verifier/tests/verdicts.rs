// SPDX-License-Identifier: Apache-2.0
//! From records to verdicts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use reprove_model::{Between, Exit, FindingKind, Outcome};
use reprove_verifier::{JudgeError, Wanted};
use support::Bench;

#[test]
fn equal_bytes_alone_are_reproducible() {
    let bench = Bench::new();
    let same = bench.pair(&[("a.whl", "x")], &[("a.whl", "x")]);
    for (published, matches) in [(None, None), (Some("x"), Some(true))] {
        let verdict = bench.judge(&same, published).unwrap();
        assert_eq!((verdict.outcome, verdict.rebuilds_agree), (Outcome::Reproducible, true));
        assert_eq!((verdict.matches_published, verdict.findings.len()), (matches, 0));
        assert_eq!(verdict.varied, Wanted::usually().into_iter().collect::<Vec<_>>());
    }
    let verdict = bench.judge(&same, Some("y")).unwrap();
    assert_eq!((verdict.outcome, verdict.rebuilds_agree), (Outcome::Different, true));
    assert_eq!(verdict.matches_published, Some(false));
    assert!(verdict.findings.iter().all(|finding| finding.between == Between::PublishedAndRebuilt));
    assert_eq!(verdict.findings.len(), 1);
}

#[test]
fn what_makes_the_published_artifact_equal_is_named() {
    let bench = Bench::new();
    // The time and a mode of an ar archive's one member.
    let ar = |time: &str, mode: &str| format!("!<arch>\n{:<16}{time:<12}{:<6}{:<6}{mode:<8}{:<10}`\nab", "x/", 0, 0, 2);
    let (old, new, executable) = (ar("1", "100644"), ar("2", "100644"), ar("2", "100755"));
    let same = bench.pair(&[("a.whl", &new)], &[("a.whl", &new)]);
    let verdict = bench.judge(&same, Some(&old)).unwrap();
    assert_eq!((verdict.outcome, verdict.matches_published), (Outcome::Different, Some(false)));
    let names: Vec<_> = verdict.normalizations.iter().map(|each| each.name.as_str()).collect();
    assert_eq!(names, ["ar-times"]);
    assert_eq!(bench.judge(&same, Some(&new)).unwrap().normalizations, []);
    let other = bench.pair(&[("a.whl", &executable)], &[("a.whl", &executable)]);
    assert_eq!(bench.judge(&other, Some(&old)).unwrap().normalizations, []);
    let disagree = bench.pair(&[("a.whl", &new)], &[("a.whl", &executable)]);
    assert_eq!(bench.judge(&disagree, Some(&old)).unwrap().normalizations, []);
}

#[test]
fn rebuilds_that_disagree_are_different_whatever_was_published() {
    let bench = Bench::new();
    let pair = bench.pair(&[("a.whl", "x")], &[("a.whl", "y")]);
    for published in [None, Some("x"), Some("y")] {
        let verdict = bench.judge(&pair, published).unwrap();
        assert_eq!((verdict.outcome, verdict.rebuilds_agree), (Outcome::Different, false));
        assert_eq!(verdict.matches_published, published.map(|_| false));
        assert!(verdict.findings.iter().any(|finding| finding.between == Between::Rebuilds));
    }
    let elsewhere = bench.pair(&[("a.whl", "x"), ("b", "1")], &[("a.whl", "x"), ("b", "2")]);
    assert_eq!(bench.judge(&elsewhere, Some("x")).unwrap().matches_published, Some(false));
}

#[test]
fn an_artifact_of_another_name_is_no_match() {
    let bench = Bench::new();
    for other in ["b.whl", "A.whl"] {
        let verdict = bench.judge(&bench.pair(&[(other, "x")], &[(other, "x")]), Some("x")).unwrap();
        assert_eq!(verdict.outcome, Outcome::Different);
        let kinds: Vec<_> = verdict.findings.iter().map(|finding| finding.kind).collect();
        assert!(kinds.contains(&FindingKind::OnlyLeft) && kinds.contains(&FindingKind::OnlyRight), "{kinds:?}");
    }
}

#[test]
fn what_did_not_finish_or_wrote_nothing_has_no_verdict() {
    let bench = Bench::new();
    for index in 0..2 {
        let (mut first, mut second) = bench.pair(&[("a.whl", "x")], &[("a.whl", "x")]);
        [&mut first, &mut second][index].exit = Exit::TimeOut;
        assert!(matches!(bench.judge(&(first, second), Some("x")), Err(JudgeError::Unfinished)));
        let files: [&[(&str, &str)]; 2] = [&[("a.whl", "x")], &[]];
        let pair = bench.pair(files[index], files[1 - index]);
        assert!(matches!(bench.judge(&pair, Some("x")), Err(JudgeError::Empty)));
    }
}
