// SPDX-License-Identifier: Apache-2.0
//! The queue on NATS JetStream.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use proptest::prelude::*;
use reprove_farm::queue::{NatsCredentials, NatsError, NatsOptions, NatsQueue};
use reprove_farm::{Epoch, Lease, Queue, QueueError, Settled};
use reprove_model::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::promises::{LEASE, Place, START, entry, job, offer, promises};
use super::random::{agrees_with_the_model, steps};
use crate::servers::Servers;

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
    let without = Servers::with(1, "");
    let error = refused(&without, |_| ()).await;
    assert!(matches!(error, NatsError::NoJetStream { .. }), "{error}");
    without.kill(0);
    let error = refused(&without, |_| ()).await;
    assert!(matches!(error, NatsError::Unreachable { .. }), "{error}");

    let cluster = Servers::new(3);
    cluster.kill(1);
    cluster.kill(2);
    let error = refused(&cluster, |_| ()).await;
    assert!(matches!(error, NatsError::NoAnswer { .. }), "{error}");

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

/// Has OpenSSL make a certificate of 127.0.0.1, which vouches for itself; gives where it is, and where its key is.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=nats",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

#[tokio::test]
async fn servers_are_told_apart_by_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let (roots, key) = certificate(folder.path(), "right");
    let tls = format!("tls {{ cert_file: {roots:?}, key_file: {key:?} }}\n{}", Servers::JETSTREAM);
    let servers = Servers::with(1, &tls);
    let options = NatsOptions { roots: Some(roots), require_tls: true, ..servers.options("farm") };
    let queue = NatsQueue::connect(&options).await.unwrap();
    queue.put(vec![entry(1)]).await.unwrap();
    let (other, _) = certificate(folder.path(), "other");
    for wrong in [Some(other), None] {
        let error = refused(&servers, |of| *of = NatsOptions { roots: wrong, ..options.clone() }).await;
        assert!(matches!(error, NatsError::Unreachable { .. }), "{error}");
    }
    let none =
        refused(&servers, |of| *of = NatsOptions { roots: Some("/nowhere/pem".into()), ..options.clone() }).await;
    assert!(matches!(none, NatsError::File { .. }), "{none}");
    // One that has none is not spoken to, where one is asked for.
    let error = refused(&Servers::shared(), |of| of.require_tls = true).await;
    assert!(matches!(error, NatsError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn only_those_are_let_in_who_have_what_opens() {
    let folder = tempfile::tempdir().unwrap();
    let seed = folder.path().join("seed");
    // A pair from the documentation of NATS.
    std::fs::write(&seed, "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n").unwrap();
    let users = "authorization { users: [
        { user: farm, password: secret }
        { nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 }
    ] }\n";
    let servers = Servers::with(1, &format!("{users}{}", Servers::JETSTREAM));
    let user = |password: &str| NatsCredentials::User { name: "farm".to_owned(), password: password.to_owned() };
    for right in [user("secret"), NatsCredentials::KeyFile(seed)] {
        let options = NatsOptions { credentials: right, ..servers.options("farm") };
        NatsQueue::connect(&options).await.unwrap().put(vec![entry(1)]).await.unwrap();
    }
    for wrong in [user("guessed"), NatsCredentials::None, NatsCredentials::Token("secret".to_owned())] {
        let error = refused(&servers, |options| options.credentials = wrong).await;
        assert!(matches!(error, NatsError::Refused(_)), "{error}");
        assert!(!error.to_string().contains("guessed"), "{error}");
    }
    let no_file = NatsCredentials::CredentialsFile(folder.path().join("none"));
    let error = refused(&servers, |options| options.credentials = no_file).await;
    assert!(matches!(error, NatsError::File { .. }), "{error}");
}

#[tokio::test]
async fn an_old_server_is_refused() {
    // Says what a server of that version says first, and nothing more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("nats://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
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

/// Passes on what a server says, which says of itself that it is of another version where `version` has one.
async fn said_to_be(listener: TcpListener, server: String, version: Arc<Mutex<Option<&'static str>>>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(server.trim_start_matches("nats://")).await.unwrap();
        let (mut from, mut to) = server.into_split();
        let (mut asked, mut answers) = client.into_split();
        let mut info = Vec::new();
        while !info.ends_with(b"\r\n") {
            info.push(from.read_u8().await.unwrap());
        }
        let mut info = String::from_utf8(info).unwrap();
        if let Some(version) = *version.lock().unwrap() {
            let (before, rest) = info.split_once("\"version\":\"").unwrap();
            info = format!("{before}\"version\":\"{version}{}", &rest[rest.find('"').unwrap()..]);
        }
        answers.write_all(info.as_bytes()).await.unwrap();
        let there = async { tokio::io::copy(&mut asked, &mut to).await };
        let back = async { tokio::io::copy(&mut from, &mut answers).await };
        // Where either end goes, both do.
        tokio::select! { _ = there => {}, _ = back => {} }
    }
}

#[tokio::test]
async fn a_server_that_is_put_back_to_an_old_version_is_asked_for_nothing() {
    let servers = Servers::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("nats://{}", listener.local_addr().unwrap());
    let version = Arc::new(Mutex::new(None));
    let real = servers.options("farm").servers[0].clone();
    let between = tokio::spawn(said_to_be(listener, real, Arc::clone(&version)));
    let patience = Duration::from_secs(4);
    let options = NatsOptions { patience, ..NatsOptions::new(vec![address], "farm".parse().unwrap()) };
    let queue = NatsQueue::connect(&options).await.unwrap();
    queue.put(vec![entry(1)]).await.unwrap();
    *version.lock().unwrap() = Some("2.9.10");
    servers.kill(0);
    servers.start(0);
    // What was on its way when the connection broke may still be done; what is asked for later is not.
    let why = async |n| queue.put(vec![entry(n)]).await.unwrap_err().to_string();
    while !why(2).await.contains("is of version \"2.9.10\"; this needs 2.10 or newer") {}
    let error = why(3).await;
    assert!(error.contains("2.9.10"), "{error}");
    // Once it is upgraded again, that is found.
    *version.lock().unwrap() = None;
    while queue.put(vec![entry(4)]).await.is_err() {}
    let direct = NatsQueue::connect(&servers.options("farm")).await.unwrap();
    direct.begin(START, LEASE).await.unwrap();
    let mut there = BTreeSet::new();
    while let Some(lease) = direct.take(offer("w"), START).await.unwrap() {
        there.insert(lease.job);
    }
    assert!(there.contains(&job(1)) && there.contains(&job(4)) && !there.contains(&job(3)), "{there:?}");
    between.abort();
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
    assert_eq!(other.sweep(START + LEASE).await.unwrap(), []);
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
    queue.put(vec![entry(1), entry(2)]).await.unwrap();
    let lease = queue.take(offer("w"), START).await.unwrap().unwrap();
    let client = async_nats::connect(&nats.options().servers).await.unwrap();
    async_nats::jetstream::new(client).delete_stream(format!("KV_reprove_{}", nats.farm)).await.unwrap();
    let again = NatsQueue::connect(&nats.options()).await.unwrap();
    // Who knew what was there does nothing on its own: only the coordinator's database has what is to be there.
    for _ in 0..2 {
        let taken = queue.take(offer("v"), START).await;
        assert!(
            matches!(&taken, Err(QueueError::Transport(why)) if why.contains("start the coordinator again")),
            "{taken:?}"
        );
    }
    assert!(matches!(queue.settle(&lease, &Digest::of(b"r")).await, Err(QueueError::Transport(_))));

    assert_eq!(again.begin(START, LEASE).await.unwrap(), []);
    again.put(vec![reprove_farm::Entry { epoch: lease.epoch, ..entry(1) }]).await.unwrap();
    assert!(matches!(again.settle(&lease, &Digest::of(b"r")).await, Err(QueueError::Lost { .. })));
    assert_eq!(again.take(offer("w"), START).await.unwrap().unwrap().epoch, Epoch(2));
}

#[tokio::test]
async fn whoever_may_subscribe_sees_what_becomes_of_jobs() {
    let nats = Nats::new();
    let queue = NatsQueue::connect(&nats.options()).await.unwrap();
    let client = async_nats::connect(&nats.options().servers).await.unwrap();
    let mut seen = client.subscribe(format!("reprove.{}.job.*.*.*.normal.*", nats.farm)).await.unwrap();
    client.flush().await.unwrap();
    queue.put(vec![entry(1)]).await.unwrap();
    let lease = queue.take(offer("w"), START).await.unwrap().unwrap();
    queue.settle(&lease, &Digest::of(b"r")).await.unwrap();
    for state in ["ready", "leased", "settled"] {
        let message = tokio::time::timeout(Duration::from_secs(10), seen.next()).await.unwrap().unwrap();
        assert_eq!(message.subject.as_str(), format!("reprove.{}.job.a.any.any.normal.{}", nats.farm, job(1)));
        assert!(String::from_utf8_lossy(&message.payload).contains(state), "{message:?}");
    }
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

#[tokio::test]
async fn what_is_said_of_removed_jobs_is_taken_out_and_nothing_else() {
    let nats = Nats::new();
    let options = NatsOptions { most_removed: 50, ..nats.options() };
    let queue = NatsQueue::connect(&options).await.unwrap();
    queue.put((0..90).map(entry).collect()).await.unwrap();
    let leased = queue.take(offer("w"), START).await.unwrap().unwrap();
    let settled = queue.take(offer("w"), START).await.unwrap().unwrap();
    queue.settle(&settled, &Digest::of(b"r")).await.unwrap();
    let jobs: Vec<_> = (10..80).map(job).collect();
    queue.forget(&jobs).await.unwrap();

    let client = async_nats::connect(&options.servers).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream(format!("KV_reprove_{}", nats.farm)).await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 90);
    queue.sweep(START).await.unwrap();
    let began = Instant::now();
    while stream.get_info().await.unwrap().state.messages > 21 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Who had a job has it still, and so for a process that begins afterwards.
    let leased = queue.extend(&leased, LEASE, START).await.unwrap();
    let queue = NatsQueue::connect(&options).await.unwrap();
    assert_eq!(queue.begin(START, LEASE).await.unwrap(), [settled.job]);
    assert_eq!(queue.settle(&settled, &Digest::of(b"r")).await.unwrap(), Settled::Already);
    assert_eq!(queue.settle(&leased, &Digest::of(b"r")).await.unwrap(), Settled::Now);
    for n in (2..10).chain(80..90) {
        let lease = queue.take(offer("w"), START).await.unwrap().unwrap();
        assert_eq!((lease.job, lease.epoch), (job(n), Epoch(1)));
    }
    assert_eq!(queue.take(offer("w"), START).await.unwrap(), None);
    // What was removed can be put in again.
    queue.put(vec![entry(10)]).await.unwrap();
    assert_eq!(queue.take(offer("w"), START).await.unwrap().unwrap().job, job(10));
}
