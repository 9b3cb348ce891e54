// SPDX-License-Identifier: Apache-2.0
//! Who may do what: every way in, with each role, with none, and with what is not known.

use reprove_farm::access::{Role, Token, revoke};
use reprove_farm::api::Options;
use reprove_farm::{ClientError, Request};
use reprove_model::Digest;
use serde_json::{Value, json};

use super::served::{Served, get, raw};
use crate::support::{Hand, package};

fn status<T: std::fmt::Debug>(result: &Result<T, ClientError>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(ClientError::Refused { status, .. }) => *status,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn each_way_in_takes_its_role_and_no_other() {
    let served = Served::new().await;
    let build = served.farm.submit(Request::of(package("a"))).await;
    let submission = json!({ "requests": [Request::of(package("b"))] });
    let of_build = format!("/api/v1/builds/{build}");
    let gets = [
        "/api/v1/builds",
        &of_build,
        "/api/v1/status",
        "/api/v1/overview",
        "/api/v1/workers",
        "/",
        "/builds",
        "/operations",
    ];
    for (n, role) in (1..).zip(Role::ALL) {
        let client = served.client(Some(served.token(n, &[role]).await));
        for path in gets {
            let expected = if role == Role::Read { 200 } else { 403 };
            assert_eq!(status(&client.get(path).await), expected, "{path} {role:?}");
        }
        let expected = if role == Role::Submit { 200 } else { 403 };
        assert_eq!(status(&client.post::<Value>("/api/v1/builds", &submission).await), expected, "{role:?}");
        // A worker that is not registered is not found by whoever may ask.
        let expected = if role == Role::Work { 404 } else { 403 };
        let lease = json!({ "worker": "nobody" });
        assert_eq!(status(&client.post::<Value>("/api/v1/leases", &lease).await), expected, "{role:?}");
        // A source is for whoever builds it and whoever sends it; sending one that is none is refused after the role.
        let tree = Digest::of(b"tree");
        let expected = if matches!(role, Role::Work | Role::Submit) { 404 } else { 403 };
        assert_eq!(status(&client.source(&tree).await), expected, "{role:?}");
        let expected = if role == Role::Submit { 422 } else { 403 };
        assert_eq!(status(&client.send_source(&tree, b"no archive".to_vec()).await), expected, "{role:?}");
        let expected = if role == Role::Administer { 404 } else { 403 };
        assert_eq!(
            status(&client.post::<Value>("/api/v1/workers/nobody/admit", &json!({})).await),
            expected,
            "{role:?}"
        );
    }
    let nobody = served.client(None);
    for path in gets {
        assert_eq!(status(&nobody.get(path).await), 401, "{path}");
    }
    assert_eq!(status(&nobody.post::<Value>("/api/v1/builds", &submission).await), 401);
    assert_eq!(status(&nobody.source(&Digest::of(b"tree")).await), 401);
    // What is not known is not taken for nothing.
    let unknown = served.client(Some(Token::new(&[99; 32])));
    assert_eq!(status(&unknown.get("/api/v1/status").await), 401);
    assert_eq!(status(&unknown.get("/openapi.json").await), 200);
}

#[tokio::test]
async fn anybody_may_read_where_that_is_said_and_nothing_else() {
    let served = Served::with(Options { read_by_anyone: true, ..Options::default() }, Default::default()).await;
    let nobody = served.client(None);
    assert_eq!(status(&nobody.get("/api/v1/status").await), 200);
    let submission = json!({ "requests": [Request::of(package("b"))] });
    assert_eq!(status(&nobody.post::<Value>("/api/v1/builds", &submission).await), 401);
    assert_eq!(status(&served.client(Some(Token::new(&[99; 32]))).get("/api/v1/status").await), 401);
}

#[tokio::test]
async fn what_is_revoked_does_nothing_at_once_and_others_builds_are_others() {
    let served = Served::new().await;
    let [one, other] = [served.token(1, &[Role::Submit]).await, served.token(2, &[Role::Submit]).await];
    let submission = json!({ "requests": [Request::of(package("b"))] });
    let answer: Value = served.client(Some(one.clone())).post("/api/v1/builds", &submission).await.unwrap();
    let cancel = format!("/api/v1/builds/{}/cancel", answer["builds"][0]["build"].as_str().unwrap());
    assert_eq!(status(&served.client(Some(other)).post::<Value>(&cancel, &json!({})).await), 403);
    revoke(served.farm.coordinator().database(), "t1".parse().unwrap(), crate::support::START).await.unwrap();
    assert_eq!(status(&served.client(Some(one)).post::<Value>(&cancel, &json!({})).await), 401);
    let owner = served.token(3, &[Role::Administer]).await;
    let cancelled: Value = served.client(Some(owner)).post(&cancel, &json!({})).await.unwrap();
    assert_eq!(cancelled, json!({ "cancelled": true }));
}

#[tokio::test]
async fn browsers_are_asked_for_a_token_and_can_give_it_as_a_password() {
    use base64::Engine as _;
    let served = Served::new().await;
    let answer = get(&served.url, "/").await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("www-authenticate: Basic"), "{answer}");
    let token = served.token(1, &[Role::Read]).await;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("me:{}", token.secret()));
    let request = format!("GET / HTTP/1.1\r\nHost: f\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n\r\n");
    assert!(raw(&served.url, request.as_bytes()).await.starts_with("HTTP/1.1 200"));
    // To look, and for nothing else: a browser shows it to whatever page asks.
    let owner = served.token(2, &[Role::Administer]).await;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("me:{}", owner.secret()));
    let request = format!(
        "POST /api/v1/workers/w/admit HTTP/1.1\r\nHost: f\r\nAuthorization: Basic {basic}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert!(raw(&served.url, request.as_bytes()).await.starts_with("HTTP/1.1 401"));
    for wrong in ["Basic !", "Basic bWU=", "Bearer", "Bearer x", "Digest x", ""] {
        let request = format!("GET / HTTP/1.1\r\nHost: f\r\nAuthorization: {wrong}\r\nConnection: close\r\n\r\n");
        assert!(raw(&served.url, request.as_bytes()).await.starts_with("HTTP/1.1 401"), "{wrong}");
    }
}

#[tokio::test]
async fn a_token_is_not_sent_for_all_to_read() {
    let tls = || reprove_farm::tls::asking_nobody().unwrap();
    let token = || Some(Token::new(&[1; 32]));
    for here in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://farm.example"] {
        assert!(reprove_farm::Client::new(here, token(), tls()).is_ok(), "{here}");
    }
    let elsewhere = "http://farm.example";
    assert!(matches!(reprove_farm::Client::new(elsewhere, token(), tls()), Err(ClientError::Plain(_))));
    assert!(reprove_farm::Client::new(elsewhere, None, tls()).is_ok());
    for wrong in ["", "farm.example", "ftp://farm.example", "http://"] {
        assert!(matches!(reprove_farm::Client::new(wrong, None, tls()), Err(ClientError::Address(_))), "{wrong}");
    }
}

#[tokio::test]
async fn who_waits_for_a_job_and_is_revoked_meanwhile_gets_none() {
    let served = Served::new().await;
    let token = served.token(1, &[Role::Work]).await;
    let hand = Hand::new(1);
    let client = served.client(Some(token));
    client.register(hand.registration()).await.unwrap();
    let waits = async {
        let began = std::time::Instant::now();
        (client.lease(hand.name(), 30).await, began.elapsed())
    };
    let revokes = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        revoke(served.farm.coordinator().database(), "t1".parse().unwrap(), crate::support::START).await.unwrap();
    };
    let ((leased, took), ()) = tokio::join!(waits, revokes);
    assert_eq!(status(&leased), 401);
    assert!(took < std::time::Duration::from_secs(15), "{took:?}");
}
