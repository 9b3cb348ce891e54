// SPDX-License-Identifier: Apache-2.0
//! Webhooks: told once what happened, signed, again until it is taken, and in a form that others read.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use cdevents_sdk::CDEvent;
use reprove_attest::RebuildVerdict::Different;
use reprove_farm::hooks::{self, Kind, Secret, Sender, signature};
use reprove_farm::{Clock as _, FarmError, Request, tls};
use tokio::net::TcpListener;

use crate::support::{Farm, Hand, package};

/// What was received, and what is answered.
#[derive(Clone)]
struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Arc<Mutex<StatusCode>>,
}

impl Receiver {
    async fn new() -> (Self, String) {
        let receiver = Self { got: Arc::default(), answers: Arc::new(Mutex::new(StatusCode::NO_CONTENT)) };
        let router = axum::Router::new().fallback(receive).with_state(receiver.clone());
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (receiver, url)
    }

    fn got(&self) -> Vec<(HeaderMap, String)> {
        self.got.lock().unwrap().clone()
    }

    fn answers(&self, status: StatusCode) {
        *self.answers.lock().unwrap() = status;
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    receiver.got.lock().unwrap().push((headers, body));
    *receiver.answers.lock().unwrap()
}

const SOURCE: &str = "https://farm.example";

fn sender() -> Sender {
    Sender::new(tls::asking_nobody().unwrap())
}

async fn add(farm: &Farm, name: &str, url: &str) -> Result<(), FarmError> {
    let (secret, now) = (Secret::new([9; 32]), farm.clock.now());
    hooks::add(farm.coordinator().database(), name.parse().unwrap(), url.to_owned(), secret, now).await
}

async fn deliver(farm: &Farm) -> usize {
    let (database, now) = (farm.coordinator().database(), farm.clock.now());
    hooks::deliver(database, &sender(), SOURCE, now).await.unwrap()
}

#[tokio::test]
async fn what_happened_is_told_once_signed_and_as_others_read_it() {
    let (farm, hand) = (Farm::new().await, Hand::new(1));
    let (receiver, url) = Receiver::new().await;
    // What was before is not told.
    farm.submit(Request::of(package("before"))).await;
    add(&farm, "ci", &url).await.unwrap();
    hand.register(&farm).await;
    let build = farm.submit(Request::of(package("a"))).await;
    assert_eq!((deliver(&farm).await, deliver(&farm).await), (1, 0));
    let jobs = [hand.lease(&farm).await.unwrap(), hand.lease(&farm).await.unwrap()];
    for job in &jobs {
        hand.finish(&farm, job, Different).await;
    }
    assert_eq!(deliver(&farm).await, 2);
    let got = receiver.got();
    assert_eq!(got.len(), 3);
    for (headers, body) in &got {
        let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        let seconds = header("webhook-timestamp").parse().unwrap();
        assert_eq!(header("webhook-signature"), signature(&Secret::new([9; 32]), &header("webhook-id"), seconds, body));
        let event: CDEvent = serde_json::from_str(body).unwrap();
        assert_eq!(
            (event.ty(), event.version(), event.source().as_str()),
            (header("ce-type").as_str(), "0.4.1", SOURCE)
        );
        assert_eq!((header("ce-id"), header("ce-specversion")), (header("webhook-id"), "1.0".to_owned()));
    }
    let types: Vec<String> = got.iter().map(|(headers, _)| headers["ce-type"].to_str().unwrap().to_owned()).collect();
    assert_eq!(types, [Kind::Queued, Kind::Finished, Kind::Finished].map(|kind| kind.event_type().to_owned()));
    let last: serde_json::Value = serde_json::from_str(&got[2].1).unwrap();
    assert_eq!(
        (&last["subject"]["content"]["outcome"], &last["customData"]["word"]),
        (&"failure".into(), &"different".into())
    );
    assert_eq!(last["subject"]["content"]["url"], format!("{SOURCE}/builds/{build}"));
}

#[tokio::test]
async fn what_is_not_taken_is_told_again_later_and_a_kill_loses_none_of_it() {
    let mut farm = Farm::new().await;
    let (receiver, url) = Receiver::new().await;
    add(&farm, "ci", &url).await.unwrap();
    farm.submit(Request::of(package("a"))).await;
    receiver.answers(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(deliver(&farm).await, 0);
    let hook = hooks::all(farm.coordinator().database()).await.unwrap().remove(0);
    assert_eq!((hook.waiting, hook.given_up), (1, 0));
    assert_eq!(hook.trouble.as_deref(), Some("it answered 503 Service Unavailable"));
    farm.restart().await;
    receiver.answers(StatusCode::OK);
    farm.clock.pass(Duration::from_millis(4999));
    assert_eq!(deliver(&farm).await, 0);
    farm.clock.pass(Duration::from_millis(1));
    assert_eq!(deliver(&farm).await, 1);
    // By the same name, so that whoever was told knows.
    let ids: Vec<_> = receiver.got().iter().map(|(headers, _)| headers["webhook-id"].clone()).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    assert_eq!(hooks::all(farm.coordinator().database()).await.unwrap().remove(0).trouble, None);
}

#[tokio::test]
async fn nobody_is_told_for_ever_and_one_that_is_not_there_holds_up_no_other() {
    let farm = Farm::new().await;
    let (receiver, url) = Receiver::new().await;
    add(&farm, "gone", "http://127.0.0.1:9/hook").await.unwrap();
    add(&farm, "there", &url).await.unwrap();
    farm.submit(Request::of(package("a"))).await;
    assert_eq!((deliver(&farm).await, receiver.got().len()), (1, 1));
    for _ in 1..hooks::MOST_TRIES {
        farm.clock.pass(hooks::wait(u32::MAX));
        assert_eq!(deliver(&farm).await, 0);
    }
    let hook = hooks::all(farm.coordinator().database()).await.unwrap().remove(0);
    assert_eq!((hook.name.as_str(), hook.waiting, hook.given_up), ("gone", 0, 1));
    assert!(hooks::remove(farm.coordinator().database(), "gone".parse().unwrap()).await.unwrap());
    assert!(!hooks::remove(farm.coordinator().database(), "gone".parse().unwrap()).await.unwrap());
}

#[tokio::test]
async fn addresses_are_those_of_services() {
    let farm = Farm::new().await;
    let longest = |length: usize| format!("https://a/{}", "b".repeat(length - "https://a/".len()));
    for (n, url) in ["https://a", "http://a/b?c", &longest(hooks::MAX_URL)].iter().enumerate() {
        add(&farm, &format!("h{n}"), url).await.unwrap();
    }
    for wrong in ["", "a", "ftp://a", "https://", "file:///etc/passwd", &longest(hooks::MAX_URL + 1)] {
        assert!(matches!(add(&farm, "wrong", wrong).await, Err(FarmError::NotAdmitted(_))), "{wrong}");
    }
    assert!(matches!(add(&farm, "h0", "https://a").await, Err(FarmError::NotAdmitted(_))));
}
