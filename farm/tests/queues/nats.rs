// SPDX-License-Identifier: Apache-2.0
//! The queue on NATS JetStream.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use proptest::prelude::*;
use reprove_farm::queue::{NatsError, NatsOptions, NatsQueue};
use reprove_farm::{Epoch, Lease, Queue, QueueError, Settled};
use reprove_model::Digest;

use super::promises::{LEASE, Place, START, entry, job, offer, promises};
use super::random::{agrees_with_the_model, steps};
use super::servers::{Servers, program};

/// A farm of its own, on the server that all share.
struct Nats {
    servers: Arc<Servers>,
    farm: String,
}

impl Nats {
    fn new() -> Self {
        static FARMS: AtomicU64 = AtomicU64::new(0);
        let farm = format!("farm-{}", FARMS.fetch_add(1, Ordering::Relaxed));
        Self { servers: Servers::shared(), farm }
    }

    fn options(&self) -> NatsOptions {
        self.servers.options(&self.farm)
    }
}

#[async_trait]
impl Place for Nats {
    async fn queue(&mut self) -> Arc<dyn Queue> {
        Arc::new(NatsQueue::connect(&self.options()).await.unwrap())
    }
}

promises!(Nats::new());

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_agrees_with_the_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(agrees_with_the_model(&mut Nats::new(), &steps));
    }
}

async fn refused(servers: &Servers, change: impl FnOnce(&mut NatsOptions)) -> NatsError {
    let mut options = NatsOptions { patience: Duration::from_secs(2), ..servers.options("farm") };
    change(&mut options);
    NatsQueue::connect(&options).await.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn servers_that_can_not_carry_it_are_refused() {
    let without = Servers::of(program(), 1, "");
    let error = refused(&without, |_| ()).await;
    assert!(matches!(error, NatsError::NoJetStream { .. }), "{error}");
    without.kill(0);
    let error = refused(&without, |_| ()).await;
    assert!(matches!(error, NatsError::Unreachable { .. }), "{error}");

    let servers = Servers::shared();
    let error = refused(&servers, |options| options.replicas = 3).await;
    assert!(matches!(&error, NatsError::Bucket { why, .. } if why.contains("replicas")), "{error}");
    // One that somebody made who knew nothing of farms.
    let client = async_nats::connect(&servers.options("farm").servers).await.unwrap();
    let config = async_nats::jetstream::stream::Config {
        name: "KV_reprove_unfit".to_owned(),
        subjects: vec!["$KV.reprove_unfit.>".to_owned()],
        ..Default::default()
    };
    async_nats::jetstream::new(client).create_stream(config).await.unwrap();
    let error = refused(&servers, |options| options.farm = "unfit".parse().unwrap()).await;
    assert!(matches!(error, NatsError::Unfit { .. }), "{error}");
}

#[tokio::test]
async fn an_old_server_is_refused() {
    // Says what a server of that version says first, and nothing more.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("nats://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        let info = r#"{"server_id":"S","server_name":"old","version":"2.9.10","max_payload":1048576,"headers":true}"#;
        stream.write_all(format!("INFO {info}\r\n").as_bytes()).await.unwrap();
        let mut asked = [0; 4096];
        while stream.read(&mut asked).await.is_ok_and(|n| n > 0) {
            stream.write_all(b"PONG\r\n").await.unwrap();
        }
    });
    let options = NatsOptions::new(vec![address], "farm".parse().unwrap());
    let error = NatsQueue::connect(&options).await.map(|_| ()).unwrap_err();
    assert!(matches!(&error, NatsError::TooOld { found, .. } if found == "2.9.10"), "{error}");
    assert!(error.to_string().contains("2.10 or newer"));
    server.abort();
}

#[tokio::test]
async fn two_coordinators_never_give_a_job_to_two() {
    let nats = Nats::new();
    let one = NatsQueue::connect(&nats.options()).await.unwrap();
    one.put((0..4).map(entry).collect()).await.unwrap();
    let held = one.take(offer("w"), START).await.unwrap().unwrap();
    let other = NatsQueue::connect(&nats.options()).await.unwrap();
    assert_eq!(other.begin(START, LEASE).await.unwrap(), []);
    // Both think that it is the first; it is the one's that is asked first.
    let lease = other.take(offer("v"), START).await.unwrap().unwrap();
    assert_eq!(lease.job, job(1));
    assert!(matches!(one.take(offer("w"), START).await, Err(QueueError::Transport(_))));
    assert_eq!(one.take(offer("w"), START).await.unwrap().unwrap().job, job(2));
    // What the other has taken away is lost.
    assert_eq!(other.sweep(START + LEASE).await.unwrap().len(), 2);
    assert!(matches!(one.settle(&held, &Digest::of(b"r")).await, Err(QueueError::Lost { .. })));
    let again = other.take(offer("v"), START + LEASE).await.unwrap().unwrap();
    assert_eq!((again.job, again.epoch), (held.job, Epoch(2)));
    assert_eq!(other.settle(&again, &Digest::of(b"r")).await.unwrap(), Settled::Now);
    // What the other has forgotten is gone here as well.
    let third = one.leases(9).await.unwrap().into_iter().find(|lease| lease.job == job(2)).unwrap();
    other.forget(&[job(2)]).await.unwrap();
    assert!(matches!(one.extend(&third, LEASE, START).await, Err(QueueError::Lost { .. })));
}

#[tokio::test]
async fn a_queue_that_is_lost_whole_goes_on_under_higher_epochs() {
    let nats = Nats::new();
    let queue = NatsQueue::connect(&nats.options()).await.unwrap();
    queue.put(vec![entry(1)]).await.unwrap();
    let lease = queue.take(offer("w"), START).await.unwrap().unwrap();
    let client = async_nats::connect(&nats.options().servers).await.unwrap();
    async_nats::jetstream::new(client).delete_stream(format!("KV_reprove_{}", nats.farm)).await.unwrap();
    let queue = NatsQueue::connect(&nats.options()).await.unwrap();
    assert_eq!(queue.begin(START, LEASE).await.unwrap(), []);
    queue.put(vec![reprove_farm::Entry { epoch: lease.epoch, ..entry(1) }]).await.unwrap();
    assert!(matches!(queue.settle(&lease, &Digest::of(b"r")).await, Err(QueueError::Lost { .. })));
    assert_eq!(queue.take(offer("w"), START).await.unwrap().unwrap().epoch, Epoch(2));
}

#[tokio::test]
async fn many_at_once_are_each_handed_out_once_and_settled_once() {
    const MANY: u64 = 400;
    let nats = Nats::new();
    let queue = NatsQueue::connect(&nats.options()).await.unwrap();
    let timed = |what: &str, began: Instant| println!("{what}: {:.0}/s", MANY as f64 / began.elapsed().as_secs_f64());
    let began = Instant::now();
    queue.put((0..MANY).map(entry).collect()).await.unwrap();
    timed("put", began);

    let began = Instant::now();
    let takes = (0..MANY).map(|n| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.take(offer(&format!("w{n}")), START).await.unwrap().unwrap() })
    });
    let takes: Vec<_> = takes.collect();
    let mut leases = Vec::new();
    for take in takes {
        leases.push(take.await.unwrap());
    }
    timed("take", began);
    assert_eq!(queue.take(offer("w"), START).await.unwrap(), None);
    let jobs: BTreeSet<_> = leases.iter().map(|lease| lease.job).collect();
    assert_eq!(jobs, (0..MANY).map(job).collect());

    // Each twice at the same time, for another result: one of them is too late.
    let began = Instant::now();
    let settle = |lease: &Lease, result: u8| {
        let (queue, lease) = (queue.clone(), lease.clone());
        tokio::spawn(async move { queue.settle(&lease, &Digest::of(&[result])).await })
    };
    let settles: Vec<_> = leases.iter().map(|lease| (settle(lease, 1), settle(lease, 2))).collect();
    for (one, other) in settles {
        let both = (one.await.unwrap(), other.await.unwrap());
        assert!(
            matches!(both, (Ok(Settled::Now), Err(QueueError::Lost { .. })))
                || matches!(both, (Err(QueueError::Lost { .. }), Ok(Settled::Now))),
            "{both:?}"
        );
    }
    timed("settle", began);

    let began = Instant::now();
    let jobs: Vec<_> = jobs.into_iter().collect();
    queue.forget(&jobs).await.unwrap();
    timed("forget", began);
    assert_eq!(NatsQueue::connect(&nats.options()).await.unwrap().begin(START, LEASE).await.unwrap(), []);
}
