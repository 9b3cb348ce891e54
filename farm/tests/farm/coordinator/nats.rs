// SPDX-License-Identifier: Apache-2.0
//! A farm whose queue is on NATS.

use std::sync::Arc;
use std::time::Duration;

use reprove_attest::RebuildVerdict::BitIdentical;
use reprove_farm::queue::{NatsOptions, NatsQueue};
use reprove_farm::{Accepted, FarmError, Queue, QueueError, Request};

use crate::servers::Servers;
use crate::support::{Farm, Hand, package};

#[tokio::test]
async fn each_job_is_decided_once_though_the_coordinator_and_the_server_are_killed() {
    let servers = Servers::new(1);
    let options = NatsOptions { patience: Duration::from_secs(2), ..servers.options("farm") };
    let queue = async || Arc::new(NatsQueue::connect(&options).await.unwrap()) as Arc<dyn Queue>;
    let (mut farm, hand) = (Farm::new().await, Hand::new(1));
    farm.restart_with(queue().await).await;
    hand.register(&farm).await;
    for name in ["a", "b", "c"] {
        farm.submit(Request::of(package(name))).await;
    }
    let first = hand.lease(&farm).await.unwrap();
    assert_eq!(hand.finish(&farm, &first, BitIdentical).await, Accepted::Decided);

    // While the queue can't be reached, what is asked for is noted, and what is done is not lost.
    let held = hand.lease(&farm).await.unwrap();
    servers.kill(0);
    farm.submit(Request::of(package("d"))).await;
    let report = hand.verdict(&held, BitIdentical);
    let unreached = hand.bring(&farm, &held, report.clone()).await;
    assert!(matches!(unreached, Err(FarmError::Queue(QueueError::Transport(_)))), "{unreached:?}");
    servers.start(0);
    assert!(matches!(hand.bring(&farm, &held, report).await, Ok(Accepted::Decided | Accepted::Already)));
    farm.pass(Duration::from_secs(1)).await;

    let third = hand.lease(&farm).await.unwrap();
    servers.kill(0);
    servers.start(0);
    farm.restart_with(queue().await).await;
    assert_eq!(hand.finish(&farm, &third, BitIdentical).await, Accepted::Decided);
    let fourth = hand.lease(&farm).await.unwrap();
    assert_eq!(fourth.request.subject(), "pkg:pypi/d@1.0");
    assert_eq!(hand.finish(&farm, &fourth, BitIdentical).await, Accepted::Decided);
    assert_eq!(hand.lease(&farm).await, None);
    assert_eq!(farm.count("SELECT count(*) FROM build WHERE verdict = 'bit-identical'").await, 4);
    assert_eq!(farm.count("SELECT count(*) FROM attempt").await, 4);
}
