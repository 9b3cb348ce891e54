// SPDX-License-Identifier: Apache-2.0
//! A verdict's words must be true of the digests beside it, whoever signs them.

use reprove_attest::{Comparison, Inconsistency, RebuildVerdict as W, UntrueVerdict as U};
use reprove_model::{
    Between, Cause, Detail, DigestSet, EpochAttempt, EpochOrigin, Experiment, Finding, Normalization, Outcome,
    Proposal, Variation, Verdict,
};

use crate::support::*;

fn untrue(case: Case, tamper: impl FnOnce(&mut Verdict)) -> U {
    untrue_comparison(case, |comparison| tamper(&mut comparison.details))
}

fn untrue_comparison(case: Case, tamper: impl FnOnce(&mut Comparison)) -> U {
    match refused(case, |case| tamper(case.comparison())) {
        Inconsistency::Verdict(why) => why,
        why => panic!("{why}"),
    }
}

#[test]
fn rebuilds_agree_if_and_only_if_their_trees_do() {
    assert_eq!(untrue(Case::unpublished(), |v| v.rebuilds_agree = false), U::RebuildsAgree(false));
    let all_good = |v: &mut Verdict| *v = reproducible(false);
    assert_eq!(untrue(Case::disagreeing(), all_good), U::RebuildsAgree(true));
}

#[test]
fn the_published_artifact_matches_if_and_only_if_every_rebuild_gave_it() {
    let claimed = |case, claimed| untrue(case, |v| v.matches_published = claimed);
    let wrong = |claimed, found| U::MatchesPublished { claimed, found };
    assert_eq!(claimed(Case::published(), Some(false)), wrong(Some(false), Some(true)));
    assert_eq!(claimed(Case::published(), None), wrong(None, Some(true)));
    assert_eq!(claimed(Case::different(), Some(true)), wrong(Some(true), Some(false)));
    assert_eq!(claimed(Case::unpublished(), Some(true)), wrong(Some(true), None));
}

/// One rebuild that comes out as published is not enough, and neither is a matching artifact in trees that differ.
#[test]
fn where_rebuilds_disagree_nothing_matches() {
    let lock = lock(true);
    for other in [("README", b"other".as_slice()), (WHEEL_NAME, b"other")] {
        let first = tree(&[("README", b"read me"), (WHEEL_NAME, WHEEL)]);
        let mut files = std::collections::BTreeMap::from([("README", b"read me".as_slice()), (WHEEL_NAME, WHEEL)]);
        files.insert(other.0, other.1);
        let second = tree(&files.into_iter().collect::<Vec<_>>());
        let records = [record(&lock, 0, first), record(&lock, 1, second)];
        let verdict = Verdict {
            outcome: Outcome::Different,
            rebuilds_agree: false,
            matches_published: Some(false),
            findings: vec![finding(Between::Rebuilds)],
            ..reproducible(true)
        };
        let case = Case::of(&lock, &records, &verdict);
        let why = untrue(case, |v| v.matches_published = Some(true));
        assert!(matches!(why, U::MatchesPublished { found: Some(false), .. }), "{why}");
    }
}

#[test]
fn the_outcome_and_the_findings_follow() {
    assert_eq!(untrue(Case::published(), |v| v.outcome = Outcome::Different), U::Outcome(Outcome::Different));
    assert_eq!(untrue(Case::different(), |v| v.outcome = Outcome::Reproducible), U::Outcome(Outcome::Reproducible));
    let why = untrue(Case::published(), |v| v.findings.push(finding(Between::PublishedAndRebuilt)));
    assert_eq!(why, U::Findings { outcome: Outcome::Reproducible, findings: 1 });
    let why = untrue(Case::different(), |v| v.findings.clear());
    assert_eq!(why, U::Findings { outcome: Outcome::Different, findings: 0 });
}

#[test]
fn the_word_follows_from_the_details() {
    let word = |case: Case, claimed| untrue_comparison(case, |comparison| comparison.verdict = claimed);
    let wrong = |claimed, found| U::Word { claimed, found };
    for claimed in [W::NormalizedEqual, W::Different] {
        assert_eq!(word(Case::published(), claimed), wrong(claimed, W::BitIdentical));
    }
    for claimed in [W::BitIdentical, W::NormalizedEqual] {
        assert_eq!(word(Case::different(), claimed), wrong(claimed, W::Different));
    }
    // Nor can a comparison pass for a failure, whose form is another.
    let mut case = Case::different();
    case.comparison().verdict = W::Unbuildable;
    assert!(judge(&case.sign()).is_err());
}

#[test]
fn what_was_normalized_is_named_where_only_that_made_it_equal() {
    let named = |name: &str| Normalization { name: name.into(), digest: DigestSet::of(b"normalized") };
    let normalized = |names: &[&str]| {
        let mut case = Case::different();
        let comparison = case.comparison();
        comparison.details.normalizations = names.iter().map(|name| named(name)).collect();
        comparison.verdict = W::NormalizedEqual;
        case
    };
    assert_eq!(judge(&normalized(&["zip-times", "zip-order"]).sign()).unwrap().word(), W::NormalizedEqual);
    let wrong = |claimed, found| U::Word { claimed, found };
    let plain = untrue_comparison(normalized(&["zip-times"]), |comparison| comparison.verdict = W::Different);
    assert_eq!(plain, wrong(W::Different, W::NormalizedEqual));
    for names in [&["zip-times", "zip-times"][..], &[""]] {
        let tamper = |verdict: &mut Verdict| verdict.normalizations = names.iter().map(|name| named(name)).collect();
        assert_eq!(untrue(Case::different(), tamper), U::Normalizations);
    }
    // Where nothing was published, or the rebuilds differ, or nothing does.
    for case in [Case::published(), Case::disagreeing(), Case::unpublished()] {
        assert_eq!(untrue(case, |verdict| verdict.normalizations = vec![named("zip-times")]), U::Normalizations);
    }
}

#[test]
fn findings_are_named_by_their_digest() {
    let mut case = Case::different();
    case.comparison().findings = DigestSet::of(b"[]");
    let error = judge(&case.sign()).unwrap_err();
    let why = Inconsistency::Verdict(U::FindingsDigest);
    assert_eq!(error.to_string(), reprove_attest::AuditError::Inconsistent(why).to_string());
}

#[test]
fn a_finding_is_between_things_that_differ() {
    for (case, between) in [
        (Case::different(), Between::Rebuilds),
        (Case::disagreeing(), Between::PublishedAndRebuilt),
        (Case::different(), Between::Given),
    ] {
        let why = untrue(case, |v| v.findings.push(finding(between)));
        assert!(matches!(why, U::Finding { .. }), "{why}");
    }
}

#[test]
fn a_finding_counts_its_details_within_the_bound() {
    let detail = || Detail { at: "0".into(), left: "a".into(), right: "b".into() };
    let with = |details: usize, count: u64| {
        move |v: &mut Verdict| {
            v.findings[0].details = (0..details).map(|_| detail()).collect();
            v.findings[0].count = count;
        }
    };
    let most = Finding::MAX_DETAILS;
    let mut good = Case::different();
    with(most, most as u64)(&mut good.comparison().details);
    good.relink();
    judge(&good.sign()).unwrap();
    for bad in [with(most + 1, 2000), with(2, 1)] {
        assert!(matches!(untrue(Case::different(), bad), U::Finding { .. }));
    }
}

#[test]
fn what_was_varied_is_what_differs() {
    let found = vec![Variation::BuildPath, Variation::Hostname];
    for claimed in [
        vec![],
        vec![Variation::BuildPath],
        vec![Variation::Hostname, Variation::BuildPath],
        vec![Variation::BuildPath, Variation::Clock, Variation::Hostname],
    ] {
        let why = untrue(Case::published(), |v| v.varied.clone_from(&claimed));
        assert_eq!(why, U::Varied { claimed, found: found.clone() });
    }
}

fn experiment(changed: &[Variation], record: &[u8]) -> Experiment {
    Experiment { changed: changed.to_vec(), deterministic: false, record: DigestSet::of(record), ended_well: true }
}

/// A verdict with these experiments, and what follows from them.
fn tried(v: &mut Verdict, experiments: &[Experiment]) {
    v.experiments = experiments.to_vec();
    let is_alone = |e: &&Experiment| e.changed.len() == 1 && e.ended_well && !e.deterministic;
    let alone = experiments.iter().filter(is_alone);
    v.changed_alone = alone.map(|experiment| experiment.changed[0]).collect();
    v.changed_alone.sort_unstable();
    v.changed_alone.dedup();
}

#[test]
fn experiments_are_of_what_was_varied() {
    use Variation::{BuildPath, Clock, Hostname};
    for changed in [vec![Clock], vec![Hostname, BuildPath], vec![Hostname, Hostname]] {
        let why = untrue(Case::disagreeing(), |v| tried(v, &[experiment(&changed, b"r")]));
        assert_eq!(why, U::Experiments, "{changed:?}");
    }
    let needless = untrue(Case::published(), |v| tried(v, &[experiment(&[BuildPath], b"r")]));
    assert_eq!(needless, U::Experiments);
    let alone = untrue(Case::disagreeing(), |v| v.changed_alone = vec![Hostname]);
    assert_eq!(alone, U::Experiments);
    let twice = untrue(Case::disagreeing(), |v| tried(v, &[experiment(&[BuildPath], b"r"), experiment(&[], b"r")]));
    assert_eq!(twice, U::Experiments, "a record is of one build");
    let failed = untrue(Case::disagreeing(), |v| {
        tried(v, &[experiment(&[BuildPath], b"r")]);
        v.experiments[0].ended_well = false;
    });
    assert_eq!(failed, U::Experiments);
    let mut good = Case::disagreeing();
    tried(&mut good.comparison().details, &[experiment(&[], b"c"), experiment(&[BuildPath], b"r")]);
    good.relink();
    judge(&good.sign()).unwrap();
}

#[test]
fn what_is_blamed_was_changed_in_the_build_that_is_named() {
    use Variation::{BuildPath, Clock, Hostname};
    let record = |name: &[u8]| DigestSet::of(name);
    let still =
        |changed: &[Variation], record: &[u8]| Experiment { deterministic: true, ..experiment(changed, record) };
    let experiments = [
        experiment(&[], b"control"),
        experiment(&[BuildPath], b"path"),
        experiment(&[Hostname], b"name"),
        still(&[], b"still"),
        still(&[Clock], b"still clock"),
        still(&[BuildPath, Clock, Variation::Entropy], b"still all"),
        still(&[BuildPath, Variation::Entropy], b"still kept"),
    ];
    let varied = |variation, by: &[u8], kept: Option<&[u8]>| Cause::Varied {
        variation,
        record: record(by),
        kept: kept.map(record),
    };
    let together =
        |variations: &[Variation], by: &[u8]| Cause::Together { variations: variations.to_vec(), record: record(by) };
    let unstable = |by: &[u8]| Cause::Unstable { record: record(by) };
    let good = [
        vec![varied(BuildPath, b"path", None)],
        vec![varied(BuildPath, b"path", Some(b"name"))],
        vec![varied(BuildPath, b"path", Some(b"control")), varied(Hostname, b"name", Some(b"control"))],
        vec![varied(BuildPath, b"path", None), varied(Hostname, b"name", None)],
        vec![unstable(b"control")],
        vec![varied(Clock, b"still clock", None)],
    ];
    for causes in good {
        let mut case = Case::disagreeing();
        let details = &mut case.comparison().details;
        tried(details, &experiments);
        details.findings[0].causes.clone_from(&causes);
        case.relink();
        judge(&case.sign()).unwrap_or_else(|error| panic!("{causes:?}: {error}"));
    }
    let bad = [
        vec![varied(BuildPath, b"name", None)],
        vec![varied(Clock, b"path", None)],
        vec![varied(BuildPath, b"path", Some(b"path"))],
        vec![varied(BuildPath, b"path", Some(b"control"))],
        vec![together(&[BuildPath], b"path")],
        vec![together(&[BuildPath, Hostname], b"path")],
        vec![varied(BuildPath, b"path", Some(b"control")), varied(Hostname, b"name", None)],
        vec![varied(BuildPath, b"path", None), varied(BuildPath, b"path", None)],
        vec![varied(Clock, b"still clock", Some(b"still kept"))],
        vec![unstable(b"other")],
        vec![unstable(b"still")],
        vec![varied(Clock, b"still clock", Some(b"still"))],
        vec![varied(Clock, b"still clock", Some(b"control"))],
        vec![varied(BuildPath, b"still", None)],
        vec![unstable(b"control"), varied(BuildPath, b"path", None)],
    ];
    for causes in bad {
        let why = untrue(Case::disagreeing(), |v| {
            tried(v, &experiments);
            v.findings[0].causes.clone_from(&causes);
        });
        assert!(matches!(why, U::Finding { .. }), "{causes:?}: {why}");
    }
}

#[test]
fn what_is_suggested_was_varied_and_stands_alone() {
    let proposal = |variation| Proposal { variation, why: "why".into() };
    let why = untrue(Case::disagreeing(), |v| v.findings[0].proposed = vec![proposal(Variation::Clock)]);
    assert!(matches!(why, U::Finding { .. }), "{why}");
    let why = untrue(Case::disagreeing(), |v| {
        tried(v, &[experiment(&[Variation::BuildPath], b"r")]);
        v.findings[0].proposed = vec![proposal(Variation::BuildPath)];
        v.findings[0].causes =
            vec![Cause::Varied { variation: Variation::BuildPath, record: DigestSet::of(b"r"), kept: None }];
    });
    assert!(matches!(why, U::Finding { .. }), "{why}");
    let mut good = Case::disagreeing();
    good.comparison().details.findings[0].proposed = vec![proposal(Variation::BuildPath)];
    good.relink();
    judge(&good.sign()).unwrap();
}

#[test]
fn the_epoch_is_the_one_that_the_builds_saw() {
    let why = untrue(Case::published(), |v| v.source_date_epoch.seconds = Some(1));
    assert!(matches!(why, U::Epoch { rebuild: 1, claimed: Some(1), found: Some(315_532_800) }), "{why}");
    let why = refused(Case::published(), |case| {
        case.provenance(1).build_definition.internal_parameters.env.remove("SOURCE_DATE_EPOCH");
    });
    assert!(matches!(why, Inconsistency::Verdict(U::Epoch { rebuild: 2, found: None, .. })), "{why}");
}

#[test]
fn the_epochs_origin_is_the_recipes() {
    for origin in [EpochOrigin::SearchUnset, EpochOrigin::PublishedArtifact] {
        assert_eq!(untrue(Case::published(), |v| v.source_date_epoch.origin = origin), U::EpochOrigin);
    }
    let tried = vec![EpochAttempt { seconds: Some(315_532_800), matched: true }];
    assert_eq!(untrue(Case::published(), |v| v.source_date_epoch.tried = tried), U::EpochTried);
    for (rule, seconds) in [("{ at = 1 }", None::<u64>), ("\"unset\"", None), ("\"search\"", None)] {
        let why = refused(Case::published(), |case| {
            let lock = lock_of(recipe(rule), true);
            for index in 0..2 {
                case.provenance(index).build_definition.external_parameters.recipe = lock.recipe.clone();
            }
            case.relock(&lock);
        });
        assert!(matches!(why, Inconsistency::Verdict(U::EpochOrigin)), "{rule} {seconds:?}: {why}");
    }
}

/// A proof after a search, whose second value came out as published.
fn searched() -> Case {
    let lock = lock_of(recipe("\"search\""), true);
    let records = [0, 1].map(|n| record(&lock, n, tree(&[(WHEEL_NAME, WHEEL)])));
    let mut verdict = reproducible(true);
    verdict.source_date_epoch.origin = EpochOrigin::PublishedArtifact;
    verdict.source_date_epoch.tried = vec![
        EpochAttempt { seconds: None, matched: false },
        EpochAttempt { seconds: Some(315_532_800), matched: true },
    ];
    Case::of(&lock, &records, &verdict)
}

#[test]
fn a_search_lists_what_it_used_and_how_that_came_out() {
    judge(&searched().sign()).unwrap();
    let epoch = |tamper: fn(&mut Vec<EpochAttempt>)| untrue(searched(), |v| tamper(&mut v.source_date_epoch.tried));
    assert_eq!(epoch(|tried| tried.clear()), U::EpochTried);
    assert_eq!(epoch(|tried| tried.truncate(1)), U::EpochTried);
    assert_eq!(epoch(|tried| tried[1].matched = false), U::EpochTried);
    assert_eq!(epoch(|tried| tried[0].matched = true), U::EpochTried);
    for origin in [EpochOrigin::Recipe, EpochOrigin::SearchUnset] {
        assert_eq!(untrue(searched(), |v| v.source_date_epoch.origin = origin), U::EpochOrigin);
    }
}
