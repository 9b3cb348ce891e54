// SPDX-License-Identifier: Apache-2.0
//! What workers do.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_attest::Envelope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::builds::id;
use super::caller::{Administrator, AtWork};
use super::{Api, Caller, Problem};
use crate::access::{self, Role};
use crate::views::{self, WorkerView};
use crate::{Accepted, Assignment, Brought, Lease, Live, Name};

/// A signed payload (DSSE v1, `envelope.md`).
#[derive(ToSchema)]
#[schema(as = Envelope)]
#[expect(dead_code, reason = "only described")]
struct EnvelopeShape {
    /// What is signed, in base64.
    payload: String,
    /// What that is.
    #[schema(rename = "payloadType", pattern = "^application/vnd\\.in-toto\\+json$")]
    payload_type: String,
    /// The signature.
    #[schema(min_items = 1, max_items = 1)]
    signatures: Vec<SignatureShape>,
}

#[derive(ToSchema)]
#[schema(as = Signature)]
#[expect(dead_code, reason = "only described")]
struct SignatureShape {
    /// Of the key.
    keyid: String,
    /// In base64.
    sig: String,
}

/// A worker that registers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// What it says of itself, signed with its key (DSSE).
    #[schema(value_type = EnvelopeShape)]
    pub profile: Envelope,
}

/// A worker that asks for a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaseRequest {
    /// What it is called.
    #[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    pub worker: Name,
    /// How long it waits for one, in seconds.
    #[serde(default)]
    #[schema(maximum = 60)]
    pub wait: u64,
}

/// A worker that still works.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// On what.
    pub lease: Lease,
    /// What it says that it does.
    #[serde(default)]
    #[schema(max_items = 500)]
    pub lines: Vec<String>,
}

/// What came of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BroughtReport {
    /// Who brings it.
    #[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    pub worker: Name,
    /// What it says of the job, signed with its key (DSSE).
    #[schema(value_type = EnvelopeShape)]
    pub report: Envelope,
    /// The proof's bytes, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// What the builds printed, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// What came of a report.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// decided, already, later or given-up.
    #[schema(value_type = String)]
    pub accepted: Accepted,
}

/// The longest that is waited for a job, in seconds.
const MOST_WAIT: u64 = 60;
/// So often it is looked whether whoever waits for a job may still have one.
const LOOKED_AT: Duration = Duration::from_secs(2);

/// Whoever may speak for a worker: who has the token that it registered with.
fn speaks_for(api: &Api, AtWork(access): &AtWork, worker: &Name) -> Result<(), Problem> {
    let worker = api.coordinator.worker(worker)?;
    if worker.admission.token != access.name.as_str() {
        return Err(Problem::new(403, format!("{} registered with another token", worker.profile.name)));
    }
    Ok(())
}

/// Lists the workers
#[utoipa::path(get, path = "/api/v1/workers", tag = "work", security((), ("token" = [])), responses(
    (status = 200, body = Vec<WorkerView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn workers(State(api): State<Api>, caller: Caller) -> Result<Json<Vec<WorkerView>>, Problem> {
    caller.may(Role::Read)?;
    Ok(Json(views::workers(api.coordinator.database()).await?))
}

/// Registers a worker, or says that it is here again
#[utoipa::path(post, path = "/api/v1/workers", tag = "work", request_body = Registration, responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn register(
    State(api): State<Api>,
    caller: AtWork,
    body: Result<Json<Registration>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let admission = caller.0.admission();
    let Json(Registration { profile }) = body?;
    let coordinator = api.coordinator.clone();
    api.to_its_end(async move { coordinator.register(&profile, admission).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why a worker gets no jobs any more.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// In words.
    #[schema(max_length = 500)]
    why: String,
}

/// Gives a worker no jobs any more
#[utoipa::path(post, path = "/api/v1/workers/{worker}/ban", tag = "work", params(("worker" = String, Path)),
    request_body = Why, responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn ban(
    State(api): State<Api>,
    _: Administrator,
    Path(worker): Path<String>,
    body: Result<Json<Why>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let (Json(Why { why }), name) = (body?, id::<Name>(&worker)?);
    if why.chars().count() > 500 {
        return Err(Problem::new(422, "the reason has more than 500 characters"));
    }
    let coordinator = api.coordinator.clone();
    api.to_its_end(async move { coordinator.ban(&name, &why).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a worker have jobs again
#[utoipa::path(post, path = "/api/v1/workers/{worker}/admit", tag = "work", params(("worker" = String, Path)), responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn admit(
    State(api): State<Api>,
    _: Administrator,
    Path(worker): Path<String>,
) -> Result<StatusCode, Problem> {
    let (coordinator, name) = (api.coordinator.clone(), id::<Name>(&worker)?);
    api.to_its_end(async move { coordinator.admit_again(&name).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a worker a job, or nothing where there is none
#[utoipa::path(post, path = "/api/v1/leases", tag = "work", request_body = LeaseRequest, responses(
    (status = 200, body = Assignment),
    (status = 204, description = "There is none now"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn lease(
    State(api): State<Api>,
    caller: AtWork,
    body: Result<Json<LeaseRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(LeaseRequest { worker, wait }) = body?;
    speaks_for(&api, &caller, &worker)?;
    let until = Instant::now() + Duration::from_secs(wait.min(MOST_WAIT));
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if let Some(assignment) = api.coordinator.lease_within(&worker, left.min(LOOKED_AT)).await? {
            return Ok(Json(assignment).into_response());
        }
        if left <= LOOKED_AT {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        // Whoever waits may be revoked meanwhile.
        let now = api.coordinator.clock().now();
        if !access::is_still(api.coordinator.database(), caller.0.name.clone(), now).await? {
            return Err(Problem::new(401, "what was shown is not known any more"));
        }
    }
}

/// Notes that a worker still works, and what it says that it does
#[utoipa::path(post, path = "/api/v1/leases/progress", tag = "work", request_body = Progress, responses(
    (status = 200, body = Lease),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn progress(
    State(api): State<Api>,
    caller: AtWork,
    body: Result<Json<Progress>, JsonRejection>,
) -> Result<Json<Lease>, Problem> {
    let Json(Progress { lease, lines }) = body?;
    speaks_for(&api, &caller, &lease.holder)?;
    if lines.len() > Live::MOST_LINES {
        return Err(Problem::new(422, format!("more than {} lines", Live::MOST_LINES)));
    }
    let coordinator = api.coordinator.clone();
    Ok(Json(api.to_its_end(async move { coordinator.progress(&lease, lines).await }).await?))
}

/// Takes what came of a job. Where the answer is lost, the same is brought again, and has the same answer
#[utoipa::path(post, path = "/api/v1/reports", tag = "work", request_body = BroughtReport, responses(
    (status = 200, body = Answer),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn report(
    State(api): State<Api>,
    caller: AtWork,
    body: Result<Json<BroughtReport>, JsonRejection>,
) -> Result<Json<Answer>, Problem> {
    let Json(BroughtReport { worker, report, proof, log }) = body?;
    speaks_for(&api, &caller, &worker)?;
    let bytes = |text: Option<String>, what: &str| {
        let decoded = text.map(|text| STANDARD.decode(text)).transpose();
        decoded.map_err(|_| Problem::new(422, format!("the {what} is not in base64")))
    };
    let brought = Brought { proof: bytes(proof, "proof")?, log: bytes(log, "log")? };
    let coordinator = api.coordinator.clone();
    let accepted = api.to_its_end(async move { coordinator.report(&worker, report, brought).await }).await?;
    Ok(Json(Answer { accepted }))
}
