// SPDX-License-Identifier: Apache-2.0
//! What breaks: workers that die, a coordinator that is killed, answers that are lost.

use std::time::Duration;

use reprove_attest::RebuildVerdict::{BitIdentical, Different};
use reprove_farm::{Accepted, FarmError, Refusal, Request};

use crate::support::{Farm, Hand, package};

#[tokio::test]
async fn the_job_of_a_worker_that_died_goes_to_another_and_its_late_report_does_not_count() {
    let (farm, [dead, other]) = (Farm::new().await, [1, 2].map(Hand::new));
    for hand in [&dead, &other] {
        hand.register(&farm).await;
    }
    farm.submit(Request::of(package("a"))).await;
    let old = dead.lease(&farm).await.unwrap();
    farm.pass(farm.settings.lease - Duration::from_millis(1)).await;
    assert_eq!(other.lease(&farm).await, None);
    farm.pass(Duration::from_millis(1)).await;
    let new = other.lease(&farm).await.unwrap();
    assert_eq!(new.lease.job, old.lease.job);
    let late = dead.bring(&farm, &old, dead.verdict(&old, Different)).await;
    assert!(matches!(late, Err(FarmError::Refused(Refusal::Stale { said: 1, newest: 2 }))), "{late:?}");
    assert_eq!(other.finish(&farm, &new, BitIdentical).await, Accepted::Decided);
    let late = dead.bring(&farm, &old, dead.verdict(&old, Different)).await;
    assert!(matches!(late, Err(FarmError::Refused(Refusal::Decided))), "{late:?}");
    assert_eq!(farm.text("SELECT verdict FROM build").await, "bit-identical");
    // Being late is no lie.
    assert_eq!(farm.count("SELECT count(*) FROM attempt WHERE outcome = 'refused'").await, 0);
}

#[tokio::test]
async fn a_worker_that_says_what_it_does_keeps_its_job() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    farm.submit(Request::of(package("a"))).await;
    let job = hand.lease(&farm).await.unwrap();
    let mut lease = job.lease.clone();
    for n in 0..20 {
        farm.pass(farm.settings.lease / 2).await;
        lease = farm.coordinator().progress(&lease, vec![format!("line {n}")]).await.unwrap();
    }
    let (lines, next) = farm.coordinator().live().since(lease.job, 18);
    assert_eq!((lines, next), (vec!["line 18".to_owned(), "line 19".to_owned()], 20));
    assert_eq!(hand.finish(&farm, &job, BitIdentical).await, Accepted::Decided);
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_given_up() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    farm.submit(Request::of(package("a"))).await;
    for _ in 0..farm.settings.tries {
        hand.lease(&farm).await.unwrap();
        farm.pass(farm.settings.lease).await;
    }
    assert_eq!(hand.lease(&farm).await, None);
    assert_eq!(farm.text("SELECT state FROM build").await, "failed");
}

#[tokio::test]
async fn a_report_whose_answer_was_lost_is_brought_again() {
    let mut farm = Farm::new().await;
    let hand = Hand::new(1);
    hand.register(&farm).await;
    farm.submit(Request::of(package("a"))).await;
    let job = hand.lease(&farm).await.unwrap();
    let report = hand.verdict(&job, BitIdentical);
    assert_eq!(hand.bring(&farm, &job, report.clone()).await.unwrap(), Accepted::Decided);
    assert_eq!(hand.bring(&farm, &job, report.clone()).await.unwrap(), Accepted::Already);
    farm.restart().await;
    assert_eq!(hand.bring(&farm, &job, report).await.unwrap(), Accepted::Already);
    let other = hand.bring(&farm, &job, hand.verdict(&job, Different)).await;
    assert!(matches!(other, Err(FarmError::Refused(Refusal::Decided))), "{other:?}");
    assert_eq!(farm.count("SELECT count(*) FROM report").await, 1);
}

#[tokio::test]
async fn a_coordinator_that_was_killed_goes_on_where_it_was() {
    let mut farm = Farm::new().await;
    let hand = Hand::new(1);
    hand.register(&farm).await;
    for name in ["a", "b", "c"] {
        farm.submit(Request::of(package(name))).await;
    }
    let job = hand.lease(&farm).await.unwrap();
    // However long it was not there: nobody could say that it still works.
    farm.clock.pass(farm.settings.lease * 10);
    farm.restart().await;
    farm.pass(Duration::ZERO).await;
    assert_eq!(hand.finish(&farm, &job, BitIdentical).await, Accepted::Decided);
    for _ in 0..2 {
        let job = hand.lease(&farm).await.unwrap();
        hand.finish(&farm, &job, BitIdentical).await;
        farm.restart().await;
    }
    assert_eq!(hand.lease(&farm).await, None);
    assert_eq!(farm.count("SELECT count(*) FROM build WHERE verdict = 'bit-identical'").await, 3);
}

#[tokio::test]
async fn a_queue_that_was_lost_is_filled_again() {
    let mut farm = Farm::new().await;
    let hand = Hand::new(1);
    hand.register(&farm).await;
    for name in ["done", "held", "waiting"] {
        farm.submit(Request::of(package(name))).await;
    }
    let done = hand.lease(&farm).await.unwrap();
    hand.finish(&farm, &done, BitIdentical).await;
    let held = hand.lease(&farm).await.unwrap();
    let lose = |connection: &rusqlite::Connection| {
        connection.execute("DELETE FROM queue", [])?;
        Ok::<_, FarmError>(())
    };
    farm.coordinator().database().write(lose).await.unwrap();
    farm.restart().await;
    // Under a higher epoch than any before: whoever had it before has it no more.
    let again = hand.lease(&farm).await.unwrap();
    assert_eq!((again.lease.job, again.lease.epoch.0), (held.lease.job, 2));
    let stale = hand.bring(&farm, &held, hand.verdict(&held, BitIdentical)).await;
    assert!(matches!(stale, Err(FarmError::Refused(Refusal::Stale { said: 1, newest: 2 }))), "{stale:?}");
    assert_eq!(hand.lease(&farm).await.unwrap().request.subject(), "pkg:pypi/waiting@1.0");
    assert_eq!(hand.lease(&farm).await, None);
}

#[tokio::test]
async fn a_disk_that_is_full_loses_nothing() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    farm.submit(Request::of(package("a"))).await;
    let job = hand.lease(&farm).await.unwrap();
    let pages = farm.count("PRAGMA page_count").await;
    let bound = |pages: i64| {
        move |connection: &rusqlite::Connection| {
            Ok::<_, FarmError>(connection.pragma_update(None, "max_page_count", pages)?)
        }
    };
    farm.coordinator().database().write(bound(pages)).await.unwrap();
    let report = hand.verdict(&job, BitIdentical);
    let mut full = 0;
    // What is small may still find room in pages that are there.
    for name in 0..200 {
        let request = Request::of(package(&format!("p{name}")));
        match farm.coordinator().submit(vec![request], "x", false).await {
            Err(FarmError::Database(_)) => full += 1,
            other => assert!(other.is_ok(), "{other:?}"),
        }
    }
    assert!(full > 0);
    let _ = hand.bring(&farm, &job, report.clone()).await;
    farm.coordinator().database().write(bound(1_000_000)).await.unwrap();
    let accepted = hand.bring(&farm, &job, report).await.unwrap();
    assert!(matches!(accepted, Accepted::Decided | Accepted::Already));
    assert_eq!(farm.count("SELECT count(*) FROM build").await, 1 + 200 - full);
    assert_eq!(farm.count("SELECT count(*) FROM queue").await, 200 - full);
}

#[tokio::test]
async fn a_report_that_is_brought_twice_at_once_decides_once_and_gives_nobody_a_second_job() {
    let (farm, [hand, other]) = (Farm::new().await, [1, 2].map(Hand::new));
    for hand in [&hand, &other] {
        hand.register(&farm).await;
    }
    farm.submit(Request { rebuilders: 2, ..Request::of(package("a")) }).await;
    let job = hand.lease(&farm).await.unwrap();
    let report = hand.verdict(&job, BitIdentical);
    let bring = || hand.bring(&farm, &job, report.clone());
    let (a, b, c) = tokio::join!(bring(), bring(), bring());
    let mut accepted = [a.unwrap(), b.unwrap(), c.unwrap()].map(|accepted| accepted == Accepted::Decided);
    accepted.sort_unstable();
    assert_eq!(accepted, [false, false, true]);
    farm.pass(farm.settings.lease * 3).await;
    assert_eq!(hand.lease(&farm).await, None);
    assert!(other.lease(&farm).await.is_some());
}

#[tokio::test]
async fn whoever_gets_a_lost_job_has_no_other_of_its_build() {
    let (farm, [dead, other]) = (Farm::new().await, [1, 2].map(Hand::new));
    for hand in [&dead, &other] {
        hand.register(&farm).await;
    }
    farm.submit(Request { rebuilders: 2, ..Request::of(package("a")) }).await;
    dead.lease(&farm).await.unwrap();
    farm.clock.pass(farm.settings.lease);
    // It gets it with the sweep after the one that says that it was lost, however they fall.
    for _ in 0..3 {
        let (swept, leased) = tokio::join!(farm.coordinator().sweep(), other.lease(&farm));
        swept.unwrap();
        drop(leased);
    }
    assert_eq!(farm.count("SELECT count(*) FROM queue WHERE holder = 'w2'").await, 1);
    assert_eq!(other.lease(&farm).await, None);
}

#[tokio::test]
async fn a_lease_that_could_not_be_written_down_is_no_try() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    farm.submit(Request::of(package("a"))).await;
    let forbid = |connection: &rusqlite::Connection| {
        connection.execute_batch("CREATE TRIGGER no BEFORE INSERT ON attempt BEGIN SELECT RAISE(ABORT, 'no'); END")?;
        Ok::<_, FarmError>(())
    };
    farm.coordinator().database().write(forbid).await.unwrap();
    for _ in 0..=farm.settings.tries {
        assert!(matches!(farm.coordinator().lease(hand.name()).await, Err(FarmError::Database(_))));
        farm.pass(farm.settings.lease).await;
    }
    let allow = |connection: &rusqlite::Connection| Ok::<_, FarmError>(connection.execute_batch("DROP TRIGGER no")?);
    farm.coordinator().database().write(allow).await.unwrap();
    let job = hand.lease(&farm).await.unwrap();
    assert_eq!(farm.count("SELECT failures FROM job").await, 0);
    assert_eq!(hand.finish(&farm, &job, BitIdentical).await, Accepted::Decided);
}

#[tokio::test]
async fn a_worker_has_no_more_jobs_at_once_than_the_bound() {
    let (mut farm, [hand, other]) = (Farm::new().await, [1, 2].map(Hand::new));
    farm.settings.most_leases = 2;
    farm.restart().await;
    for hand in [&hand, &other] {
        hand.register(&farm).await;
    }
    let mut builds = Vec::new();
    for name in ["a", "b", "c", "d"] {
        builds.push(farm.submit(Request::of(package(name))).await);
    }
    let first = hand.lease(&farm).await.unwrap();
    assert!(hand.lease(&farm).await.is_some());
    let full = || farm.coordinator().lease(hand.name());
    assert!(matches!(full().await, Err(FarmError::TooManyJobs(_, 2))));
    assert!(other.lease(&farm).await.is_some());
    // What it has done, and what was taken back, takes up no room.
    hand.finish(&farm, &first, BitIdentical).await;
    assert!(hand.lease(&farm).await.is_some());
    assert!(full().await.is_err());
    assert!(farm.coordinator().cancel(builds[1]).await.unwrap());
    assert_eq!(hand.lease(&farm).await, None);
}
