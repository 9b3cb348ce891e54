// SPDX-License-Identifier: Apache-2.0
//! The log of what was decided.

use std::sync::Arc;

use reprove_attest::RebuildVerdict::BitIdentical;
use reprove_attest::SigningKey;
use reprove_farm::{Ledger, Request};
use reprove_log::Log;

use crate::support::{Farm, Hand, package};

fn ledger(farm: &Farm) -> Ledger {
    let key = Arc::new(SigningKey::ed25519([42; 32]));
    Ledger::open(&farm.path("log"), "farm.example/log", key, farm.coordinator().database().clone()).unwrap()
}

async fn decide(farm: &Farm, hand: &Hand, name: &str) {
    farm.submit(Request::of(package(name))).await;
    let job = hand.lease(farm).await.unwrap();
    hand.finish(farm, &job, BitIdentical).await;
}

#[tokio::test]
async fn what_is_decided_is_logged_once_and_in_order() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    let ledger = ledger(&farm);
    assert_eq!((ledger.reconcile().await.unwrap(), ledger.follow().await.unwrap()), (0, 0));
    for name in ["a", "b", "c"] {
        decide(&farm, &hand, name).await;
    }
    assert_eq!((ledger.follow().await.unwrap(), ledger.follow().await.unwrap()), (3, 0));
    decide(&farm, &hand, "d").await;
    assert_eq!((ledger.follow().await.unwrap(), ledger.size().await.unwrap()), (1, 4));
    let places =
        "SELECT group_concat(subject, ' ') FROM (SELECT build.subject FROM logged JOIN job ON job.number = logged.job
        JOIN build ON build.number = job.build ORDER BY logged.place)";
    assert_eq!(farm.text(places).await, "pkg:pypi/a@1.0 pkg:pypi/b@1.0 pkg:pypi/c@1.0 pkg:pypi/d@1.0");
    // What stands there is what the tools for such logs read.
    let log = Log::open(&farm.path("log"), None).unwrap();
    log.verify().unwrap();
    let request = Request::of(package("a")).digest().unwrap();
    let recorded = log.recorded(&request.sha256).unwrap();
    assert!(recorded.len() == 1 && recorded[0].0 == 0, "{recorded:?}");
}

#[tokio::test]
async fn a_kill_between_the_log_and_the_database_leaves_no_second_entry() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    for name in ["a", "b"] {
        decide(&farm, &hand, name).await;
    }
    ledger(&farm).follow().await.unwrap();
    // As if it had been killed before it was written down.
    let forget = |connection: &rusqlite::Connection| {
        connection.execute_batch(
            "INSERT INTO unlogged (job) SELECT job FROM logged ORDER BY place; DELETE FROM logged WHERE place >= 0;",
        )?;
        Ok::<_, reprove_farm::FarmError>(())
    };
    farm.coordinator().database().write(forget).await.unwrap();
    let ledger = ledger(&farm);
    assert_eq!(ledger.reconcile().await.unwrap(), 0);
    assert_eq!((ledger.follow().await.unwrap(), ledger.size().await.unwrap()), (0, 2));
    assert_eq!(farm.count("SELECT count(*) FROM logged").await, 2);
}

#[tokio::test]
async fn what_an_older_copy_of_the_database_lacks_is_said() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    hand.register(&farm).await;
    decide(&farm, &hand, "a").await;
    ledger(&farm).follow().await.unwrap();
    let copy = farm.path("copy.db");
    farm.coordinator().database().back_up(copy.clone()).await.unwrap();
    decide(&farm, &hand, "b").await;
    ledger(&farm).follow().await.unwrap();
    let key = Arc::new(SigningKey::ed25519([42; 32]));
    let older = reprove_farm::Database::open(&copy).unwrap();
    let ledger = Ledger::open(&farm.path("log"), "farm.example/log", key, older).unwrap();
    assert_eq!(ledger.reconcile().await.unwrap(), 1);
}

#[tokio::test]
async fn another_key_and_another_name_are_not_this_log_s() {
    let farm = Farm::new().await;
    drop(ledger(&farm));
    let open = |seed: u8, name: &str| {
        let key = Arc::new(SigningKey::ed25519([seed; 32]));
        Ledger::open(&farm.path("log"), name, key, farm.coordinator().database().clone()).is_ok()
    };
    assert_eq!([open(42, "farm.example/log"), open(43, "farm.example/log"), open(42, "other")], [true, false, false]);
}
