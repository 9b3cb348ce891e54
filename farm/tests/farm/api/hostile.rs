// SPDX-License-Identifier: Apache-2.0
//! Whoever means harm: what is too much is refused, and what came from elsewhere is text on the pages.

use reprove_attest::RebuildVerdict::{BitIdentical, Different, Unbuildable};
use reprove_farm::access::Role;
use reprove_farm::api::Options;
use reprove_farm::{Brought, ClientError, Failure, FailureClass, Outcome, Request};
use serde_json::{Value, json};

use super::served::{Served, get, raw};
use crate::support::{Hand, package};

fn open() -> Options {
    Options { read_by_anyone: true, ..Options::default() }
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_refused() {
    let served = Served::new().await;
    let client = served.client(Some(served.token(1, &[Role::Submit]).await));
    let ask = async |body: &Value| match client.post::<Value>("/api/v1/builds", body).await {
        Ok(_) => 200,
        Err(ClientError::Refused { status, .. }) => status,
        Err(error) => panic!("{error}"),
    };
    let many = |count: usize| {
        let requests: Vec<Request> = (0..count).map(|n| Request::of(package(&format!("p{n}")))).collect();
        json!({ "requests": requests })
    };
    assert_eq!((ask(&many(0)).await, ask(&many(1)).await), (422, 200));
    assert_eq!((ask(&many(1000)).await, ask(&many(1001)).await), (200, 422));
    let padded = |length: usize| {
        let mut body = json!({ "requests": [Request::of(package("x"))], "again": false }).to_string();
        body.push_str(&" ".repeat(length - body.len()));
        let head = format!(
            "POST /api/v1/builds HTTP/1.1\r\nHost: f\r\nAuthorization: Bearer reprove_farm_{}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n",
            "01".repeat(32)
        );
        format!("{head}{body}")
    };
    assert!(raw(&served.url, padded(1 << 20).as_bytes()).await.starts_with("HTTP/1.1 200"));
    assert!(raw(&served.url, padded((1 << 20) + 1).as_bytes()).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn who_may_not_is_told_so_before_anything_is_read() {
    let served = Served::with(open(), Default::default()).await;
    for path in ["/api/v1/reports", "/api/v1/builds", "/api/v1/workers", "/api/v1/leases", "/api/v1/workers/w/ban"] {
        // Of the body nothing ever comes.
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: f\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 90000000\r\n\r\n"
        );
        assert!(raw(&served.url, head.as_bytes()).await.starts_with("HTTP/1.1 401"), "{path}");
    }
}

#[tokio::test]
async fn who_asks_too_often_waits() {
    let served = Served::with(Options { requests_per_minute: 100, ..open() }, Default::default()).await;
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(get(&served.url, "/healthz").await.chars().skip(9).take(3).collect::<String>());
    }
    // A tenth of a minute's at once; the clock stands still.
    assert_eq!(answers.iter().filter(|status| *status == "200").count(), 10);
    assert_eq!(answers.iter().filter(|status| *status == "429").count(), 2);
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let served = Served::with(open(), Default::default()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: f\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    let answer = raw(&served.url, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(get(&served.url, "/healthz").await.ends_with("ok\n"));
}

#[tokio::test]
async fn what_came_from_elsewhere_is_text_on_the_pages() {
    const EVIL: &str = "<script>alert(1)</script>";
    const ATTRIBUTE: &str = "\"onmouseover=alert(1) x=\"";
    let served = Served::with(open(), Default::default()).await;
    let mut hand = Hand::new(1);
    hand.profile.platform = EVIL.to_owned();
    hand.admission.operator = ATTRIBUTE.to_owned();
    hand.register(&served.farm).await;
    let purl = "pkg:pypi/%3Cscript%3Ealert%281%29%3C%2Fscript%3E@1.0%22onmouseover=".parse().unwrap();
    let build = served.farm.coordinator().submit(vec![Request::of(purl)], EVIL, false).await.unwrap()[0].build;
    let job = hand.lease(&served.farm).await.unwrap();
    served.farm.coordinator().progress(&job.lease, vec![EVIL.to_owned(), ATTRIBUTE.to_owned()]).await.unwrap();
    let events = raw(&served.url, format!("GET /builds/{build}/events HTTP/1.1\r\nHost: f\r\n\r\n").as_bytes()).await;
    assert!(events.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !events.contains("<script"), "{events}");
    let failure = Failure::new(FailureClass::Network, EVIL);
    let report = hand.report(&job, Outcome::Failure(failure));
    hand.bring(&served.farm, &job, (report, Brought::default())).await.unwrap();
    for path in [
        "/",
        "/builds",
        "/operations",
        &format!("/builds/{build}"),
        "/builds?package=%3Cscript%3Ealert(1)%3C/script%3E",
    ] {
        let page = get(&served.url, path).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
        assert!(!page.contains("<script>") && !page.contains("\"onmouseover"), "{path}: {page}");
        let policy = "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'";
        assert!(page.contains(policy) && page.contains("x-content-type-options: nosniff"), "{path}: {page}");
        // Nothing but what is served here, and no style or script in the page itself.
        assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains("http://"), "{path}: {page}");
    }
}

#[tokio::test]
async fn no_more_watch_at_once_than_the_bound() {
    let served = Served::with(Options { requests_per_minute: 100_000, ..open() }, Default::default()).await;
    let build = served.farm.submit(Request::of(package("a"))).await;
    let request = format!("GET /builds/{build}/events HTTP/1.1\r\nHost: f\r\n\r\n");
    let mut watching = Vec::new();
    for n in 0..257 {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(served.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        let expected = if n < 256 { b"HTTP/1.1 200" } else { b"HTTP/1.1 503" };
        assert_eq!(&status, expected, "{n}");
        watching.push(stream);
    }
}

#[tokio::test]
async fn logs_are_plain_text_and_proofs_are_saved() {
    let served = Served::with(open(), Default::default()).await;
    let hand = Hand::new(1);
    hand.register(&served.farm).await;
    let build = served.farm.submit(Request::of(package("a"))).await;
    let job = hand.lease(&served.farm).await.unwrap();
    let (report, brought) = hand.verdict(&job, Different);
    let log = b"<html><script>alert(1)</script>".to_vec();
    let Outcome::Verdict { verdict, proof, .. } = report.outcome else { panic!() };
    let outcome = Outcome::Verdict { verdict, proof, log: Some(reprove_model::DigestSet::of(&log)) };
    hand.bring(&served.farm, &job, (hand.report(&job, outcome), Brought { log: Some(log), ..brought })).await.unwrap();
    let log = get(&served.url, &format!("/api/v1/jobs/{}/log", job.lease.job)).await;
    assert!(log.contains("content-type: text/plain; charset=utf-8") && log.contains("nosniff"), "{log}");
    let proof = get(&served.url, &format!("/api/v1/builds/{build}/proof")).await;
    assert!(proof.contains("content-disposition: attachment; filename=\"a-1.0.proof.json\""), "{proof}");
    let page = get(&served.url, &format!("/builds/{build}")).await;
    assert!(page.contains("What rebuilder 1 found") && page.contains("the bytes differ"), "{page}");
}

#[tokio::test]
async fn a_page_says_no_more_than_its_proof() {
    let served = Served::with(open(), Default::default()).await;
    let hand = Hand::new(1);
    hand.register(&served.farm).await;
    for (name, verdict, said) in [
        ("failed", Unbuildable, "It built it once in namespaces, which did not all end well, and stated what it saw."),
        ("differs", Different, "It built it twice in namespaces, and stated what it saw."),
    ] {
        let build = served.farm.submit(Request::of(package(name))).await;
        let job = hand.lease(&served.farm).await.unwrap();
        hand.finish(&served.farm, &job, verdict).await;
        let page = get(&served.url, &format!("/builds/{build}")).await;
        assert!(page.contains(said), "{page}");
        assert!(!page.contains("every rebuild gave exactly the published bytes."), "{page}");
        assert!(!page.contains("Packed again from its own contents"), "{page}");
    }
    let packed = served.farm.submit(Request::of("pkg:npm/packed@1.0".parse().unwrap())).await;
    let job = hand.lease(&served.farm).await.unwrap();
    hand.finish(&served.farm, &job, BitIdentical).await;
    let page = get(&served.url, &format!("/builds/{packed}")).await;
    assert!(page.contains("Packed again from its own contents"), "{page}");
    let verdict = page.split("class=\"verdict\"").nth(1).and_then(|rest| rest.split("</p>").next()).unwrap();
    assert!(verdict.contains("packing reproduced") && !verdict.contains("every rebuild gave"), "{verdict}");
    // Nor do lists count it as what was built from a source.
    let listed = |word: &'static str| get(&served.url, word);
    assert!(listed("/builds?word=repacked").await.contains("pkg:npm/packed@1.0"));
    assert!(!listed("/builds?word=bit-identical").await.contains("pkg:npm/packed@1.0"));
}
