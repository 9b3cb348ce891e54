// SPDX-License-Identifier: Apache-2.0
//! How events are sent, and signed.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::Secret;
use crate::Millis;

/// What sends events.
#[derive(Clone)]
pub struct Sender {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// The longest that somebody may take to take an event.
const PATIENCE: Duration = Duration::from_secs(15);

impl Sender {
    /// Verifies whoever is told by `tls`. Nothing that is answered is followed anywhere.
    #[must_use]
    pub fn new(tls: Arc<rustls::ClientConfig>) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(Arc::unwrap_or_clone(tls));
        let connector = connector.https_or_http().enable_http1().build();
        Self { http: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Sends one event: its id, its type and its source stand in the head.
    pub(super) async fn send(
        &self,
        url: &str,
        secret: &Secret,
        (id, kind, source): (&str, &str, &str),
        event: &Value,
        now: Millis,
    ) -> Result<(), String> {
        let body = event.to_string();
        let seconds = now.0.div_euclid(1000);
        let request = Request::post(url)
            .header("content-type", "application/json; charset=utf-8")
            .header("user-agent", concat!("reprove/", env!("CARGO_PKG_VERSION")))
            .header("ce-specversion", "1.0")
            .header("ce-id", id)
            .header("ce-type", kind)
            .header("ce-source", source)
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature(secret, id, seconds, &body))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(PATIENCE, self.http.request(request)).await;
        let answer = answer.map_err(|_| "it did not answer within 15 s".to_owned())?;
        let status = answer.map_err(|error| error.to_string())?.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }
}

/// The signature of a message (Standard Webhooks 1.0.0, "Signature scheme"): `v1,` and the HMAC with SHA-256 over id, time in
/// seconds and body, with dots between, in base64.
#[must_use]
pub fn signature(secret: &Secret, id: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Held against what openssl says: `printf 'msg.1.body' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707… -binary | base64`.
    #[test]
    fn what_is_signed_is_id_time_and_body() {
        let secret = Secret::new([7; 32]);
        let one = signature(&secret, "msg", 1, "body");
        assert_eq!(one, "v1,spfWPs77kwhUVh9PxGYo1LkxZriKMcnIrKHlxNtOwjE=");
        for other in [
            signature(&secret, "msg", 2, "body"),
            signature(&secret, "msh", 1, "body"),
            signature(&secret, "msg", 1, "bodz"),
        ] {
            assert_ne!(one, other);
        }
    }
}
