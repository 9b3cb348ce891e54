// SPDX-License-Identifier: Apache-2.0
//! From records to verdicts, and from differences to causes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::collections::BTreeMap;
use std::convert::Infallible;

use reprove_model::{
    Between, BuildRecord, Cause, Clock, Conditions, DigestSet, Enforced, Environment, EpochOrigin, EpochUsed, Exit,
    FindingKind, Isolation, Limits, LockedEnvironment, LogRecord, Node, Observed, Outcome, PeakMemory, Published, Tree,
    TreePath, Variation, Verdict,
};
use reprove_store::Store;
use reprove_verifier::{Differing, JudgeError, attribute, conditions, judge};

struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { _dir: dir, store }
    }

    /// The record of a build under `conditions` that wrote these files.
    fn record(&self, conditions: &Conditions, files: &[(&str, &str)]) -> BuildRecord {
        let node = |text: &str| {
            let (digest, size) = self.store.add_bytes(text.as_bytes()).unwrap();
            Node::File { mode: 0o644, size, digest }
        };
        let entries: BTreeMap<_, _> =
            files.iter().map(|(path, text)| (TreePath::new(*path).unwrap(), node(text))).collect();
        let digest = DigestSet::of(b"");
        BuildRecord {
            lock: digest,
            inputs: vec![],
            environment: LockedEnvironment { kind: Environment::HostUsr, description: "test".into(), digest },
            commands: vec![],
            env: BTreeMap::new(),
            limits: Limits::default(),
            isolation: Isolation::Namespaces,
            machine: None,
            enforced: Enforced::full(),
            conditions: conditions.clone(),
            started: "2026-11-01T12:00:00Z".parse().unwrap(),
            duration_ms: 1,
            peak_memory: PeakMemory::ControlGroup { bytes: 1 },
            exit: Exit::Success,
            outputs: Tree::new(entries).unwrap(),
            log: LogRecord { digest, size: 0, truncated: false },
            observed: Observed::declared(),
            undetermined: None,
        }
    }

    fn pair(&self, first: &[(&str, &str)], second: &[(&str, &str)]) -> (BuildRecord, BuildRecord) {
        let (a, b) = conditions(2, Some((0, Clock::StartsAt)));
        (self.record(&a, first), self.record(&b, second))
    }

    fn judge(&self, pair: &(BuildRecord, BuildRecord), published: Option<&str>) -> Result<Verdict, JudgeError> {
        let published = published.map(|text| {
            let (digest, size) = self.store.add_bytes(text.as_bytes()).unwrap();
            Published { purl: None, name: "a.whl".parse().unwrap(), digest, size }
        });
        let epoch = EpochUsed { seconds: None, origin: EpochOrigin::Recipe, tried: vec![] };
        judge(&pair.0, &pair.1, published.as_ref(), epoch, &self.store)
    }
}

#[test]
fn equal_bytes_alone_are_reproducible() {
    let bench = Bench::new();
    let same = bench.pair(&[("a.whl", "x")], &[("a.whl", "x")]);
    for (published, matches) in [(None, None), (Some("x"), Some(true))] {
        let verdict = bench.judge(&same, published).unwrap();
        assert_eq!((verdict.outcome, verdict.rebuilds_agree), (Outcome::Reproducible, true));
        assert_eq!((verdict.matches_published, verdict.findings.len()), (matches, 0));
        assert_eq!(verdict.varied, Variation::ALL);
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

/// Looks for causes with builds that write what `output` says, or fail.
async fn causes(output: impl Fn(&Conditions, Option<Variation>) -> Option<String>) -> Verdict {
    let bench = Bench::new();
    let (a, b) = conditions(2, Some((0, Clock::StartsAt)));
    let build = |conditions: &Conditions, variation| {
        let text = output(conditions, variation);
        let mut record = bench.record(conditions, &[("out", text.as_deref().unwrap_or_default())]);
        if text.is_none() {
            record.exit = Exit::TimeOut;
        }
        record
    };
    let pair = (build(&a, None), build(&b, None));
    let mut verdict = bench.judge(&pair, None).unwrap();
    let differs =
        async |other: &BuildRecord| Ok::<_, Infallible>(Differing::between(&pair.0, other, &bench.store).unwrap());
    let again = async |conditions: &Conditions, variation: Option<Variation>| Ok(build(conditions, variation));
    attribute(&mut verdict, &pair.0, &pair.1, differs, again).await.unwrap();
    verdict
}

/// The causes of the one finding; `None` for "unstable".
fn named(verdict: &Verdict) -> Vec<Option<Variation>> {
    let name = |cause: &Cause| match cause {
        Cause::Varied { variation, .. } => Some(*variation),
        Cause::Unstable { .. } => None,
    };
    verdict.findings[0].causes.iter().map(name).collect()
}

#[tokio::test]
async fn each_condition_that_changes_the_output_by_itself_is_a_cause() {
    let verdict = causes(|c, _| Some(format!("{} {}", c.build_path, c.hostname))).await;
    assert_eq!(named(&verdict), [Some(Variation::BuildPath), Some(Variation::Hostname)]);
    assert_eq!(verdict.changed_alone, Variation::ALL);
}

#[tokio::test]
async fn what_changes_by_itself_is_blamed_on_no_condition() {
    let counter = std::cell::Cell::new(0);
    let verdict = causes(|c, _| {
        counter.set(counter.get() + 1);
        Some(format!("{} {}", c.build_path, counter.get()))
    })
    .await;
    assert_eq!(named(&verdict), [None]);
}

#[tokio::test]
async fn two_conditions_that_only_change_it_together_are_no_cause() {
    let (first, _) = conditions(2, Some((0, Clock::StartsAt)));
    let verdict =
        causes(|c, _| Some((c.build_path != first.build_path && c.hostname != first.hostname).to_string())).await;
    assert_eq!((named(&verdict), verdict.changed_alone.as_slice()), (vec![], Variation::ALL.as_slice()));
}

#[tokio::test]
async fn a_build_that_fails_shows_nothing() {
    let verdict = causes(|c, v| (v != Some(Variation::BuildPath)).then(|| c.build_path.clone())).await;
    assert_eq!(named(&verdict), []);
    assert!(!verdict.changed_alone.contains(&Variation::BuildPath));
    let builds = std::cell::Cell::new(0);
    let verdict = causes(|c, _| {
        builds.set(builds.get() + 1);
        (builds.get() != 3).then(|| c.build_path.clone())
    })
    .await;
    assert_eq!((named(&verdict), verdict.changed_alone.len()), (vec![], 0), "the unchanged build failed");
}
