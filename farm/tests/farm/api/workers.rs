// SPDX-License-Identifier: Apache-2.0
//! Workers over connections: the loop that real ones run, with what does jobs replaced by what says what came of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reprove_attest::RebuildVerdict::BitIdentical;
use reprove_attest::SigningKey;
use reprove_farm::access::Role;
use reprove_farm::worker::{Run, Verdicted, WorkerEvent, WorkerLoop};
use reprove_farm::{Accepted, ClientError, Failure, FailureClass, Request, Work};
use reprove_model::Isolation;
use serde_json::json;

use super::served::{Served, Shared};
use crate::support::{Hand, package, proof};

/// Gives a proof at once, or fails so often first, or never ends.
struct Says {
    key: u8,
    failures: AtomicU32,
    is_endless: bool,
}

impl Says {
    fn new(key: u8) -> Self {
        Self { key, failures: AtomicU32::new(0), is_endless: false }
    }
}

#[async_trait(?Send)]
impl Run for Says {
    async fn run(
        &self,
        request: &Request,
        _: Option<Vec<u8>>,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<Verdicted, Failure> {
        say(format!("doing {}", request.subject()));
        if self.is_endless {
            std::future::pending::<()>().await;
        }
        if self.failures.load(Ordering::SeqCst) > 0 {
            self.failures.fetch_sub(1, Ordering::SeqCst);
            return Err(Failure::new(FailureClass::Stopped, "not yet"));
        }
        let Work::Package { purl } = &request.work else { panic!("only packages are asked for") };
        let key = SigningKey::ed25519([self.key; 32]);
        let proof = proof(purl, &key, BitIdentical, Isolation::Namespaces);
        Ok(Verdicted { verdict: BitIdentical, proof, log: Some(b"log".to_vec()) })
    }
}

/// Runs a worker until it has nothing to do, or `stop`; gives what happened.
async fn work(served: &Served, n: u8, run: &Says, stop: impl Future<Output = ()>) -> Vec<WorkerEvent> {
    let token = served.token(n, &[Role::Work]).await;
    let (client, hand) = (served.client(Some(token)), Hand::new(n));
    let told = Mutex::new(Vec::new());
    let tell = |event| told.lock().unwrap().push(event);
    let worker = WorkerLoop {
        link: &client,
        run,
        profile: hand.profile.clone(),
        key: Shared::new(hand.key),
        now: &Timestamp::now,
        tell: &tell,
        most_jobs: None,
        until_idle: true,
    };
    tokio::time::timeout(Duration::from_secs(60), worker.run(stop)).await.unwrap().unwrap();
    told.into_inner().unwrap()
}

#[tokio::test]
async fn a_worker_does_all_that_there_is() {
    let served = Served::new().await;
    for name in ["a", "b", "c"] {
        served.farm.submit(Request::of(package(name))).await;
    }
    let told = work(&served, 1, &Says::new(1), std::future::pending()).await;
    let brought = told.iter().filter(|event| matches!(event, WorkerEvent::Brought(_, Accepted::Decided))).count();
    assert_eq!(brought, 3, "{told:?}");
    assert_eq!(served.farm.count("SELECT count(*) FROM build WHERE verdict = 'bit-identical'").await, 3);
}

#[tokio::test]
async fn what_is_at_work_when_a_worker_is_stopped_is_given_back() {
    let served = Served::new().await;
    served.farm.submit(Request::of(package("a"))).await;
    let endless = Says { is_endless: true, ..Says::new(1) };
    let told = work(&served, 1, &endless, tokio::time::sleep(Duration::from_millis(500))).await;
    assert!(told.contains(&WorkerEvent::Doing("doing pkg:pypi/a@1.0".to_owned())), "{told:?}");
    served.farm.pass(Duration::ZERO).await;
    assert_eq!(served.farm.count("SELECT count(*) FROM queue WHERE state = 'ready'").await, 1);
    assert_eq!(served.farm.text("SELECT outcome FROM attempt").await, "given-back");
    work(&served, 2, &Says::new(2), std::future::pending()).await;
    assert_eq!(served.farm.text("SELECT verdict FROM build").await, "bit-identical");
}

#[tokio::test]
async fn what_was_taken_back_is_not_worked_on_any_longer() {
    let mut served = Served::new().await;
    served.farm.settings.lease = Duration::from_secs(1);
    let build = served.farm.submit(Request::of(package("a"))).await;
    let coordinator = served.farm.coordinator().clone();
    let cancel = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        coordinator.cancel(build).await.unwrap();
    });
    // A line each now and then, so that it is told soon.
    struct Talks;
    #[async_trait(?Send)]
    impl Run for Talks {
        async fn run(
            &self,
            _: &Request,
            _: Option<Vec<u8>>,
            say: &(dyn Fn(String) + Sync),
        ) -> Result<Verdicted, Failure> {
            loop {
                say("still".to_owned());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let (client, hand) = (served.client(Some(served.token(1, &[Role::Work]).await)), Hand::new(1));
    let told = Mutex::new(Vec::new());
    let tell = |event| told.lock().unwrap().push(event);
    let worker = WorkerLoop {
        link: &client,
        run: &Talks,
        profile: hand.profile.clone(),
        key: Shared::new(hand.key),
        now: &Timestamp::now,
        tell: &tell,
        most_jobs: Some(1),
        until_idle: true,
    };
    tokio::time::timeout(Duration::from_secs(30), worker.run(std::future::pending())).await.unwrap().unwrap();
    cancel.await.unwrap();
    assert!(told.into_inner().unwrap().iter().any(|event| matches!(event, WorkerEvent::Lost(_))));
}

#[tokio::test]
async fn a_worker_speaks_for_itself_alone() {
    let served = Served::new().await;
    let hand = Hand::new(1);
    let [own, other] = [served.token(1, &[Role::Work]).await, served.token(2, &[Role::Work]).await];
    served.client(Some(own)).register(hand.registration()).await.unwrap();
    let client = served.client(Some(other));
    let asked = client.lease(hand.name(), 0).await;
    assert!(matches!(asked, Err(ClientError::Refused { status: 403, .. })), "{asked:?}");
    let registered = client.register(hand.registration()).await;
    assert!(matches!(registered, Err(ClientError::Refused { status: 409, .. })), "{registered:?}");
    let nonsense = client.post::<serde_json::Value>("/api/v1/workers", &json!({ "profile": {} })).await;
    assert!(matches!(nonsense, Err(ClientError::Refused { status: 422, .. })), "{nonsense:?}");
}

#[tokio::test]
async fn who_waits_for_a_job_gets_it_when_it_comes() {
    let served = Served::new().await;
    let hand = Hand::new(1);
    let client = served.client(Some(served.token(1, &[Role::Work]).await));
    client.register(hand.registration()).await.unwrap();
    let start = std::time::Instant::now();
    assert_eq!(client.lease(hand.name(), 0).await.unwrap(), None);
    let coordinator = served.farm.coordinator().clone();
    let submit = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        coordinator.submit(vec![Request::of(package("a"))], "x", false).await.unwrap();
    };
    let (leased, ()) = tokio::join!(client.lease(hand.name(), 30), submit);
    assert_eq!(leased.unwrap().unwrap().request, Request::of(package("a")));
    assert!(start.elapsed() < Duration::from_secs(20));
}
