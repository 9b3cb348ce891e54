// SPDX-License-Identifier: Apache-2.0
//! What asks a farm: for whoever submits, and for workers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reprove_attest::Envelope;
use reprove_model::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::access::Token;
use crate::api::{BroughtReport, Kept, LeaseRequest, Problem, Progress, Registration, SILENCE};
use crate::{Accepted, Assignment, Brought, Lease, Name};

/// A farm, as somebody who has a token sees it. Clones share connections.
#[derive(Clone)]
pub struct Client {
    farm: String,
    token: Option<Token>,
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// The longest answer, in bytes.
const MOST_ANSWER: usize = 128 << 20;
/// The longest that an answer may take, beside what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much longer a source may take.
const SENDING: Duration = Duration::from_secs(240);
/// The longest that a connection may take to be there.
const CONNECTS_WITHIN: Duration = Duration::from_secs(10);

impl Client {
    /// The farm at an address as in `https://farm.example`, whose certificate is verified by `tls`. A token is sent over plain
    /// HTTP to this machine alone.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Plain`].
    pub fn new(farm: &str, token: Option<Token>, tls: Arc<rustls::ClientConfig>) -> Result<Self, ClientError> {
        let farm = farm.trim_end_matches('/').to_owned();
        let uri: Uri = farm.parse().map_err(|_| ClientError::Address(farm.clone()))?;
        let host = uri.host().ok_or_else(|| ClientError::Address(farm.clone()))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => {
                let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
                let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
                if token.is_some() && !is_here {
                    return Err(ClientError::Plain(host.to_owned()));
                }
            }
            _ => return Err(ClientError::Address(farm)),
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECTS_WITHIN));
        // A network that is cut tells nobody. Else a job that is waited for would be waited for to the end of the patience,
        // and what is sent be tried again ever more rarely, also once the network is whole.
        tcp.set_keepalive(Some(SILENCE / 3));
        tcp.set_keepalive_interval(Some(SILENCE / 3));
        tcp.set_tcp_user_timeout(Some(SILENCE));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(Arc::unwrap_or_clone(tls))
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = HyperClient::builder(TokioExecutor::new()).build(connector);
        Ok(Self { farm, token, http })
    }

    /// Where the farm is.
    #[must_use]
    pub fn farm(&self) -> &str {
        &self.farm
    }

    /// The bytes at a path.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Bytes, ClientError> {
        Ok(self.ask(Method::GET, path, Vec::new(), Duration::ZERO).await?.1)
    }

    /// What is at a path.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(&self.get(path).await?)
    }

    /// Sends something, and gives the answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let (_, answer) = self.ask(Method::POST, path, encoded(body)?, Duration::ZERO).await?;
        self.read(&answer)
    }

    /// Registers a worker.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn register(&self, profile: Envelope) -> Result<(), ClientError> {
        let body = encoded(&Registration { profile })?;
        self.ask(Method::POST, "/api/v1/workers", body, Duration::ZERO).await.map(drop)
    }

    /// Asks for a job, and waits `wait` seconds for one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn lease(&self, worker: &Name, wait: u64) -> Result<Option<Assignment>, ClientError> {
        let body = encoded(&LeaseRequest { worker: worker.clone(), wait })?;
        let (status, answer) = self.ask(Method::POST, "/api/v1/leases", body, Duration::from_secs(wait)).await?;
        if status == StatusCode::NO_CONTENT { Ok(None) } else { self.read(&answer).map(Some) }
    }

    /// Says that a job is still worked on.
    ///
    /// # Errors
    /// See [`ClientError`]; [`ClientError::is_final`] where the job is not the worker's any more.
    pub async fn progress(&self, lease: &Lease, lines: Vec<String>) -> Result<Lease, ClientError> {
        self.post("/api/v1/leases/progress", &Progress { lease: lease.clone(), lines }).await
    }

    /// Brings what came of a job.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn report(&self, worker: &Name, report: Envelope, brought: &Brought) -> Result<Accepted, ClientError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            accepted: Accepted,
        }
        let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
        let (proof, log) = (text(&brought.proof), text(&brought.log));
        let body = BroughtReport { worker: worker.clone(), report, proof, log };
        let answer: Answer = self.post("/api/v1/reports", &body).await?;
        Ok(answer.accepted)
    }

    /// Whether the source of a project is there.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn has_source(&self, tree: &Digest) -> Result<bool, ClientError> {
        match self.ask(Method::HEAD, &source_path(tree), Vec::new(), Duration::ZERO).await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends the source of a project; says whether it was not there yet. See [`crate::source::pack`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send_source(&self, tree: &Digest, packed: Vec<u8>) -> Result<bool, ClientError> {
        let (_, answer) = self.ask(Method::PUT, &source_path(tree), packed, SENDING).await?;
        self.read::<Kept>(&answer).map(|kept| kept.new)
    }

    /// The source of a project, as it was sent. See [`crate::source::unpack`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn source(&self, tree: &Digest) -> Result<Bytes, ClientError> {
        Ok(self.ask(Method::GET, &source_path(tree), Vec::new(), SENDING).await?.1)
    }

    fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(answer)
            .map_err(|error| ClientError::Answer { farm: self.farm.clone(), error: error.to_string() })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        wait: Duration,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let fail = |error: String| ClientError::Transport { farm: self.farm.clone(), error };
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.farm));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        }
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| fail(error.to_string()))?;
        let answer = async {
            let response = self.http.request(request).await.map_err(|error| fail(causes(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
            Ok((status, body.map_err(|error| fail(error.to_string()))?.to_bytes()))
        };
        let answer = tokio::time::timeout(PATIENCE + wait, answer).await;
        let (status, bytes) = answer.map_err(|_| fail("it does not answer".to_owned()))??;
        if status.is_success() {
            return Ok((status, bytes));
        }
        let detail =
            serde_json::from_slice::<Problem>(&bytes).map_or_else(|_| status.to_string(), |problem| problem.detail);
        Err(ClientError::Refused { status: status.as_u16(), detail })
    }
}

fn source_path(tree: &Digest) -> String {
    format!("/api/v1/sources/{tree}")
}

/// An error, and what it came of.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

fn encoded(body: &impl Serialize) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(body).map_err(|error| ClientError::Answer { farm: String::new(), error: error.to_string() })
}

/// Why a farm did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// No address of a farm.
    #[error("{0:?} is no address of a farm: as in https://farm.example or http://127.0.0.1:7077")]
    Address(String),
    /// A token would be sent for all to read.
    #[error("a token is sent over https alone, and to this machine: {0} is another")]
    Plain(String),
    /// It was not reached, or broke off.
    #[error("{farm}: {error}")]
    Transport {
        /// Where.
        farm: String,
        /// Why.
        error: String,
    },
    /// What it answered is not what it should be.
    #[error("{farm} answered with what it should not: {error}")]
    Answer {
        /// Where.
        farm: String,
        /// Why.
        error: String,
    },
    /// It said no.
    #[error("the farm says no ({status}): {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// Why.
        detail: String,
    },
}

impl ClientError {
    /// Whether asking again brings nothing: the farm has understood, and says no.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, .. } => !matches!(status, 408 | 429 | 500..),
            Self::Address(_) | Self::Plain(_) => true,
            Self::Transport { .. } | Self::Answer { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_understood_and_refused_is_not_asked_again() {
        let refused = |status| ClientError::Refused { status, detail: String::new() }.is_final();
        assert_eq!([400, 401, 403, 404, 409, 422].map(refused), [true; 6]);
        assert_eq!([408, 429, 500, 502, 503, 507].map(refused), [false; 6]);
    }
}
