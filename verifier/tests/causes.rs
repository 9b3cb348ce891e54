// SPDX-License-Identifier: Apache-2.0
//! From differences to causes, with builds that write what their conditions say.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::cell::Cell;
use std::convert::Infallible;

use reprove_model::Variation::{BuildPath, Clock, Hostname, TimeZone, User};
use reprove_model::{BuildRecord, Cause, Conditions, Exit, Variation, Verdict};
use reprove_verifier::compare::MAX_FINDINGS;
use reprove_verifier::explain::{Depth, MOST_BUILDS, Plan, explain};
use reprove_verifier::{Differing, conditions};
use support::{Bench, wanted};

/// Looks for causes with builds that write what `output` says, one file of each name, or fail.
async fn with(
    (depth, most): (Depth, usize),
    output: impl Fn(&Conditions, &[Variation]) -> Option<Vec<(&'static str, String)>>,
) -> Verdict {
    let bench = Bench::new();
    let (a, b) = conditions(&wanted());
    let build = |conditions: &Conditions, changed: &[Variation]| {
        let files = output(conditions, changed);
        let list: Vec<(&str, &str)> = files.iter().flatten().map(|(name, text)| (*name, text.as_str())).collect();
        let mut record = bench.record(conditions, &list);
        if files.is_none() {
            record.exit = Exit::TimeOut;
        }
        record
    };
    let pair = (build(&a, &[]), build(&b, &a.differing(&b)));
    let mut verdict = bench.judge(&pair, None).unwrap();
    let compare = async |one: &BuildRecord, other: &BuildRecord| {
        Ok::<_, Infallible>(Differing::between(one, other, &bench.store).unwrap())
    };
    let again = async |conditions: &Conditions, changed: &[Variation]| Ok(Some(build(conditions, changed)));
    let plan = Plan { depth, most_builds: most, deterministic: true, any_clock: true };
    explain(&mut verdict, (&pair.0, &pair.1), plan, compare, again).await.unwrap();
    verdict
}

/// The same with one file.
async fn causes(output: impl Fn(&Conditions, &[Variation]) -> Option<String>) -> Verdict {
    with((Depth::Full, MOST_BUILDS), |conditions, changed| Some(vec![("out", output(conditions, changed)?)])).await
}

/// The sets that a finding is blamed on; an empty one for "unstable".
fn blamed(verdict: &Verdict, finding: usize) -> Vec<Vec<Variation>> {
    verdict.findings[finding].causes.iter().map(|cause| cause.variations().to_vec()).collect()
}

/// Whether it was shown that nothing else makes a difference.
fn is_exact(verdict: &Verdict, finding: usize) -> bool {
    let kept = |cause: &Cause| match cause {
        Cause::Varied { kept, .. } => kept.is_some(),
        Cause::Together { .. } | Cause::Unstable { .. } => false,
    };
    verdict.findings[finding].causes.iter().all(kept)
}

#[tokio::test]
async fn a_cause_that_shows_itself_takes_five_builds() {
    let verdict = causes(|c, _| Some(format!("on {}", c.hostname))).await;
    assert_eq!((blamed(&verdict, 0), is_exact(&verdict, 0)), (vec![vec![Hostname]], true));
    assert_eq!(
        verdict.experiments.len(),
        5,
        "nothing changed and it alone, twice, all but it: {:?}",
        verdict.experiments
    );
    assert_eq!(verdict.changed_alone, [Hostname]);
    assert_eq!(verdict.findings[0].proposed, []);
}

#[tokio::test]
async fn each_condition_is_found_where_its_form_says_nothing() {
    let (first, second) = conditions(&wanted());
    for variation in first.differing(&second) {
        let verdict = causes(|c, _| Some((c.with(variation, &first) == *c).to_string())).await;
        assert_eq!((blamed(&verdict, 0), is_exact(&verdict, 0)), (vec![vec![variation]], true));
        // Halving four and twenty takes a step more than halving two and twenty now and then.
        assert!(verdict.experiments.len() <= 14, "{variation}: {}", verdict.experiments.len());
    }
}

#[tokio::test]
async fn several_causes_of_one_difference_are_all_found() {
    let verdict = causes(|c, _| Some(format!("{} {} {:?}", c.build_path, c.hostname, c.surroundings.user))).await;
    assert_eq!((blamed(&verdict, 0), is_exact(&verdict, 0)), (vec![vec![BuildPath], vec![Hostname], vec![User]], true));
}

#[tokio::test]
async fn files_of_one_cause_share_its_builds() {
    let files = ["a", "b", "c", "d", "e", "f"];
    let verdict =
        with((Depth::Full, MOST_BUILDS), |c, _| Some(files.map(|name| (name, c.hostname.clone())).into())).await;
    assert_eq!(verdict.findings.len(), 6);
    assert!((0..6).all(|n| blamed(&verdict, n) == [[Hostname]] && is_exact(&verdict, n)));
    assert_eq!(verdict.experiments.len(), 5);
}

#[tokio::test]
async fn what_changes_by_itself_is_blamed_on_no_condition() {
    let counter = Cell::new(0);
    let verdict = causes(|c, _| {
        counter.set(counter.get() + 1);
        Some(format!("{} {}", c.build_path, counter.get()))
    })
    .await;
    assert_eq!(blamed(&verdict, 0), [[]]);
}

#[tokio::test]
async fn what_changes_by_itself_is_looked_into_where_nothing_moves() {
    let is_still = |c: &Conditions| matches!(c.clock, reprove_model::Clock::Fixed(_));
    for (cause, of) in [
        (vec![Clock], (|c: &Conditions| format!("{:?}", c.clock)) as fn(&Conditions) -> String),
        (vec![Variation::Entropy], |c| format!("{:?}", c.surroundings.entropy)),
        (vec![], |_| String::new()),
    ] {
        let counter = Cell::new(0);
        let verdict = causes(|c, _| {
            counter.set(counter.get() + 1);
            Some(if is_still(c) { of(c) } else { counter.get().to_string() })
        })
        .await;
        assert_eq!(blamed(&verdict, 0), std::slice::from_ref(&cause));
        assert!(!is_exact(&verdict, 0), "not everything that was varied reaches a deterministic build");
        assert!(verdict.experiments.iter().filter(|experiment| experiment.deterministic).count() >= 2);
        assert_eq!(verdict.changed_alone, []);
    }
}

#[tokio::test]
async fn a_build_that_is_slower_under_a_condition_is_not_blamed_on_that_where_it_writes_the_time() {
    // A second processor saves it five seconds.
    let time = |c: &Conditions, grain: u64| match c.clock {
        reprove_model::Clock::MovedTo(time) => (time + 5 * u64::from(c.processors)) / grain,
        reprove_model::Clock::Fixed(time) => time / grain,
        _ => 0,
    };
    let verdict = causes(|c, _| Some(time(c, 2).to_string())).await;
    assert_eq!((blamed(&verdict, 0), is_exact(&verdict, 0)), (vec![vec![Clock]], false));
    let clocks = verdict.experiments.iter().filter(|e| e.changed == [Clock] && !e.deterministic).count();
    assert_eq!(clocks, 2, "a clock that is a little ahead is not the second's");
    let verdict = causes(|c, _| Some(format!("{} in {}", time(c, 2), c.build_path))).await;
    assert_eq!((blamed(&verdict, 0), is_exact(&verdict, 0)), (vec![vec![BuildPath], vec![Clock]], false));
    // What has no more than the day in it is not looked into any further.
    let verdict = causes(|c, _| Some(format!("{} on {}", time(c, 1_000_000), c.hostname))).await;
    assert_eq!((blamed(&verdict, 0), is_exact(&verdict, 0)), (vec![vec![Clock], vec![Hostname]], true));
    assert!(verdict.experiments.iter().all(|experiment| !experiment.deterministic));
}

#[tokio::test]
async fn what_changes_now_and_then_is_not_blamed_on_what_it_came_together_with() {
    // Whichever build it is in which it shows itself, beside the second.
    for odd in 2..12 {
        let counter = Cell::new(0);
        let verdict = causes(|_, _| {
            counter.set(counter.get() + 1);
            Some((counter.get() == 2 || counter.get() == odd).to_string())
        })
        .await;
        assert_eq!(blamed(&verdict, 0), [[]], "{odd}");
    }
}

#[tokio::test]
async fn conditions_that_change_it_together_alone_are_named_together() {
    let (first, _) = conditions(&wanted());
    let verdict =
        causes(|c, _| Some((c.build_path != first.build_path && c.hostname != first.hostname).to_string())).await;
    assert_eq!((blamed(&verdict, 0), is_exact(&verdict, 0)), (vec![vec![BuildPath, Hostname]], false));
    let three = causes(|c, _| {
        let changed = [c.build_path != first.build_path, c.clock != first.clock, c.surroundings.user.is_some()];
        Some(changed.iter().all(|is| *is).to_string())
    });
    assert_eq!(blamed(&three.await, 0), [[BuildPath, Clock, User]]);
}

#[tokio::test]
async fn a_build_that_fails_shows_nothing() {
    let verdict = causes(|c, changed| (changed != [TimeZone]).then(|| format!("{:?}", c.surroundings.time_zone))).await;
    assert_eq!(blamed(&verdict, 0), Vec::<Vec<Variation>>::new());
    assert!(!verdict.changed_alone.contains(&TimeZone));
    assert!(verdict.experiments.iter().any(|experiment| !experiment.ended_well));
    let builds = Cell::new(0);
    let verdict = causes(|c, _| {
        builds.set(builds.get() + 1);
        (builds.get() != 3).then(|| c.build_path.clone())
    })
    .await;
    assert_eq!((blamed(&verdict, 0).len(), verdict.changed_alone.len()), (0, 0), "the unchanged build failed");
}

#[tokio::test]
async fn no_more_is_built_than_may_be() {
    let (first, _) = conditions(&wanted());
    for most in [0, 1, 5, 6] {
        let verdict = with((Depth::Full, most), |c, _| {
            let both = c.surroundings.user.is_some() && c.hostname != first.hostname;
            Some(vec![("out", both.to_string())])
        })
        .await;
        assert_eq!(verdict.experiments.len(), most);
        assert_eq!(blamed(&verdict, 0), Vec::<Vec<Variation>>::new());
    }
}

#[tokio::test]
async fn what_could_not_be_built_once_more_is_no_cause() {
    // Nothing changed, the host name alone, and all but that.
    let verdict = with((Depth::Full, 3), |c, _| Some(vec![("out", format!("on {}", c.hostname))])).await;
    assert_eq!((verdict.experiments.len(), blamed(&verdict, 0).len()), (3, 0));
    let verdict = with((Depth::Full, 4), |c, _| Some(vec![("out", format!("on {}", c.hostname))])).await;
    assert_eq!(blamed(&verdict, 0), [[Hostname]]);
}

#[tokio::test]
async fn what_only_several_together_do_is_never_said_to_be_all() {
    let (first, _) = conditions(&wanted());
    let verdict = causes(|c, _| {
        let other = c.surroundings.user.is_some() || c.surroundings.home != first.surroundings.home;
        Some((c.hostname != first.hostname && other).to_string())
    })
    .await;
    assert!(!is_exact(&verdict, 0), "{:?}", verdict.findings[0].causes);
}

#[tokio::test]
async fn no_deterministic_build_is_made_where_there_may_be_none() {
    let counter = Cell::new(0);
    let bench = Bench::new();
    let (a, b) = conditions(&wanted());
    let build = |conditions: &Conditions| {
        counter.set(counter.get() + 1);
        bench.record(conditions, &[("out", &counter.get().to_string())])
    };
    let pair = (build(&a), build(&b));
    let mut verdict = bench.judge(&pair, None).unwrap();
    let compare = async |one: &BuildRecord, other: &BuildRecord| {
        Ok::<_, Infallible>(Differing::between(one, other, &bench.store).unwrap())
    };
    let plan = Plan { depth: Depth::Full, most_builds: MOST_BUILDS, deterministic: false, any_clock: true };
    let again = async |conditions: &Conditions, _: &[Variation]| Ok(Some(build(conditions)));
    explain(&mut verdict, (&pair.0, &pair.1), plan, compare, again).await.unwrap();
    assert!(verdict.experiments.iter().all(|experiment| !experiment.deterministic));
    assert_eq!(blamed(&verdict, 0), [[]]);
}

#[tokio::test]
async fn fast_is_what_the_form_says_and_nothing_is_built() {
    let verdict = with((Depth::Fast, MOST_BUILDS), |c, _| Some(vec![("out", format!("on {}", c.hostname))])).await;
    let proposed: Vec<Variation> = verdict.findings[0].proposed.iter().map(|proposal| proposal.variation).collect();
    assert_eq!((proposed, verdict.findings[0].causes.len(), verdict.experiments.len()), (vec![Hostname], 0, 0));
}

#[tokio::test]
async fn what_stands_for_more_than_itself_is_blamed_on_nothing() {
    for more in [0, 1] {
        let names: Vec<&'static str> =
            (0..MAX_FINDINGS - 1 + more).map(|n| &*Box::leak(format!("out-{n:04}").into_boxed_str())).collect();
        let verdict = with((Depth::Full, 4), |conditions, _| {
            Some(names.iter().map(|name| (*name, conditions.hostname.clone())).collect())
        });
        let verdict = verdict.await;
        assert_eq!(verdict.findings.len(), names.len());
        assert_eq!(blamed(&verdict, 0), [[Hostname]]);
        let last: &[[Variation; 1]] = if more == 0 { &[[Hostname]] } else { &[] };
        assert_eq!(blamed(&verdict, names.len() - 1), last);
    }
}
