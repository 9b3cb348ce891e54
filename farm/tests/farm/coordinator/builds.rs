// SPDX-License-Identifier: Apache-2.0
//! From a request to a verdict.

use std::time::Duration;

use reprove_attest::RebuildVerdict::{BitIdentical, Different, Unbuildable};
use reprove_farm::{
    Accepted, Brought, Distinct, Failure, FailureClass, FarmError, Outcome, Priority, Request, Submitted,
};

use crate::support::{Farm, Hand, package};

const VERDICT: &str = "SELECT coalesce(verdict, state) FROM build";

#[tokio::test]
async fn a_request_comes_to_a_verdict() {
    for verdict in [BitIdentical, Different, Unbuildable] {
        let (farm, hand) = (Farm::new().await, Hand::new(1));
        hand.register(&farm).await;
        assert_eq!(hand.lease(&farm).await, None);
        farm.submit(Request::of(package("a"))).await;
        let job = hand.lease(&farm).await.unwrap();
        assert_eq!(job.request, Request::of(package("a")));
        assert_eq!(hand.finish(&farm, &job, verdict).await, Accepted::Decided);
        assert_eq!(farm.text(VERDICT).await, verdict.name());
        assert_eq!(hand.lease(&farm).await, None);
        // What was brought is kept.
        let roots = farm.coordinator().store().roots().unwrap();
        assert_eq!(roots.keys().cloned().collect::<Vec<_>>(), [format!("farm-{}-1", job.lease.job)]);
    }
}

#[tokio::test]
async fn what_is_asked_for_twice_is_done_once() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    let submit = async |request: Request, again| {
        let Submitted { build, new } = farm.coordinator().submit(vec![request], "x", again).await.unwrap()[0];
        (build, new)
    };
    let request = Request::of(package("a"));
    let (first, new) = submit(request.clone(), false).await;
    assert!(new);
    // Nor with another priority, nor again while it is not finished.
    let urgent = Request { priority: Priority::High, ..request.clone() };
    for (request, again) in [(request.clone(), false), (urgent, false), (request.clone(), true)] {
        assert_eq!(submit(request, again).await, (first, false));
    }
    let job = hand.lease(&farm).await.unwrap();
    assert_eq!(hand.lease(&farm).await, None);
    hand.finish(&farm, &job, BitIdentical).await;
    assert_eq!(submit(request.clone(), false).await, (first, false));
    let (second, new) = submit(request, true).await;
    assert!(new && second != first);
    assert_eq!(hand.lease(&farm).await.unwrap().lease.job.build, second);
}

#[tokio::test]
async fn a_bad_request_takes_all_that_came_with_it_along() {
    let farm = Farm::new().await;
    let [good, bad] = [1, 17].map(|rebuilders| Request { rebuilders, ..Request::of(package("a")) });
    let refused = farm.coordinator().submit(vec![good, bad], "x", false).await;
    assert!(matches!(refused, Err(FarmError::Request(_))));
    assert_eq!(farm.count("SELECT count(*) FROM build").await, 0);
}

#[tokio::test]
async fn rebuilders_that_are_not_independent_do_not_get_the_same_build() {
    let farm = Farm::new().await;
    let [first, same_key, second] = [Hand::new(1), Hand::named("twin", 1), Hand::new(2)];
    for hand in [&first, &same_key, &second] {
        hand.register(&farm).await;
    }
    farm.submit(Request { rebuilders: 2, ..Request::of(package("a")) }).await;
    let one = first.lease(&farm).await.unwrap();
    assert_eq!((first.lease(&farm).await, same_key.lease(&farm).await), (None, None));
    first.finish(&farm, &one, BitIdentical).await;
    // Neither now that it is done.
    assert_eq!((first.lease(&farm).await, same_key.lease(&farm).await), (None, None));
    assert_eq!(farm.text(VERDICT).await, "waiting");
    let other = second.lease(&farm).await.unwrap();
    second.finish(&farm, &other, BitIdentical).await;
    assert_eq!(farm.text(VERDICT).await, "bit-identical");
}

#[tokio::test]
async fn who_is_independent_is_remembered_over_a_restart() {
    let mut farm = Farm::new().await;
    let [a, b, c] = [1, 2, 3].map(Hand::new);
    for hand in [&a, &b, &c] {
        hand.register(&farm).await;
    }
    farm.submit(Request { rebuilders: 3, ..Request::of(package("a")) }).await;
    let done = a.lease(&farm).await.unwrap();
    a.finish(&farm, &done, BitIdentical).await;
    let held = b.lease(&farm).await.unwrap();
    farm.restart().await;
    assert_eq!((a.lease(&farm).await, b.lease(&farm).await), (None, None));
    let last = c.lease(&farm).await.unwrap();
    for (hand, job) in [(&b, held), (&c, last)] {
        assert_eq!(hand.finish(&farm, &job, BitIdentical).await, Accepted::Decided);
    }
    assert_eq!(farm.text(VERDICT).await, "bit-identical");
}

#[tokio::test]
async fn rebuilders_that_disagree_are_said_to() {
    let farm = Farm::new().await;
    let hands = [1, 2].map(Hand::new);
    farm.submit(Request { rebuilders: 2, distinct: [Distinct::Worker].into(), ..Request::of(package("a")) }).await;
    for (hand, verdict) in hands.iter().zip([BitIdentical, Different]) {
        hand.register(&farm).await;
        let job = hand.lease(&farm).await.unwrap();
        hand.finish(&farm, &job, verdict).await;
    }
    assert_eq!(farm.text(VERDICT).await, "disputed");
}

#[tokio::test]
async fn what_may_pass_next_time_is_tried_again_later_and_not_for_ever() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    farm.submit(Request::of(package("a"))).await;
    for failures in 1..=farm.settings.tries {
        let job = hand.lease(&farm).await.unwrap();
        assert_eq!(job.lease.epoch.0, failures);
        let outcome = Outcome::Failure(Failure::new(FailureClass::Network, "no answer"));
        let accepted = hand.bring(&farm, &job, (hand.report(&job, outcome), Brought::default())).await.unwrap();
        let last = failures == farm.settings.tries;
        assert_eq!(accepted, if last { Accepted::GivenUp } else { Accepted::Later });
        let wait = farm.settings.back_off(failures);
        farm.pass(wait - Duration::from_millis(1)).await;
        assert_eq!(hand.lease(&farm).await, None);
        farm.pass(Duration::from_millis(1)).await;
    }
    assert_eq!(hand.lease(&farm).await, None);
    assert_eq!(farm.text("SELECT state FROM build").await, "failed");
    assert_eq!(farm.text("SELECT verdict FROM build").await, "-");
}

#[tokio::test]
async fn what_can_never_pass_is_not_tried_again_and_who_is_told_to_stop_has_not_tried() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    farm.submit(Request::of(package("a"))).await;
    let bring = async |class| {
        let job = hand.lease(&farm).await.unwrap();
        let outcome = Outcome::Failure(Failure::new(class, "why"));
        hand.bring(&farm, &job, (hand.report(&job, outcome), Brought::default())).await.unwrap()
    };
    for _ in 0..=farm.settings.tries {
        assert_eq!(bring(FailureClass::Stopped).await, Accepted::Later);
        farm.pass(Duration::ZERO).await;
    }
    assert_eq!(bring(FailureClass::BadRequest).await, Accepted::GivenUp);
}

#[tokio::test]
async fn what_is_cancelled_is_handed_out_no_more_and_what_comes_of_it_does_not_count() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    let [first, second] = [farm.submit(Request::of(package("a"))).await, farm.submit(Request::of(package("b"))).await];
    let job = hand.lease(&farm).await.unwrap();
    for build in [first, second] {
        assert!(farm.coordinator().cancel(build).await.unwrap());
        assert!(!farm.coordinator().cancel(build).await.unwrap());
    }
    assert_eq!(hand.lease(&farm).await, None);
    assert!(farm.coordinator().progress(&job.lease, vec![]).await.is_err());
    let brought = hand.bring(&farm, &job, hand.verdict(&job, BitIdentical)).await;
    assert!(matches!(brought, Err(FarmError::Refused(_))), "{brought:?}");
    assert_eq!(farm.count("SELECT count(*) FROM report").await, 0);
    // It can be asked for again.
    let again = farm.submit(Request::of(package("a"))).await;
    assert!(again != first && hand.lease(&farm).await.is_some());
}

#[tokio::test]
async fn urgent_work_goes_first_and_lanes_are_kept() {
    let farm = Farm::new().await;
    let [here, there] = [Hand::new(1), Hand::new(2)];
    let there = Hand {
        admission: reprove_farm::Admission { domain: "there".parse().unwrap(), ..there.admission.clone() },
        ..there
    };
    here.register(&farm).await;
    there.register(&farm).await;
    let elsewhere = reprove_farm::Requires { domain: "there".parse().unwrap(), ..Default::default() };
    farm.submit(Request::of(package("usual"))).await;
    farm.submit(Request { priority: Priority::High, ..Request::of(package("urgent")) }).await;
    farm.submit(Request { requires: elsewhere, ..Request::of(package("elsewhere")) }).await;
    let subjects = async |hand: &Hand| {
        let mut all = Vec::new();
        while let Some(job) = hand.lease(&farm).await {
            all.push(job.request.subject());
        }
        all
    };
    assert_eq!(subjects(&here).await, ["pkg:pypi/urgent@1.0", "pkg:pypi/usual@1.0"]);
    assert_eq!(subjects(&there).await, ["pkg:pypi/elsewhere@1.0"]);
}
