// SPDX-License-Identifier: Apache-2.0
//! What was brought: proofs, logs and reports, as they came.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use reprove_attest::Proof;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::builds::id;
use super::{Api, Caller, Problem};
use crate::access::Role;
use crate::views::{self, BuildView};
use crate::{FarmError, JobId};

/// The largest file that is given out, in bytes.
const MOST: u64 = Proof::MAX_BYTES as u64;

/// The proof of a build: those of all its rebuilders, put together. Nothing of it has to be believed: audit it
#[utoipa::path(get, path = "/api/v1/builds/{build}/proof", tag = "builds", security((), ("token" = [])), params(("build" = String, Path)), responses(
    (status = 200, body = String, content_type = "application/json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn proof_of_build(
    State(api): State<Api>,
    caller: Caller,
    Path(build): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Read)?;
    let view = views::build(api.coordinator.database(), id(&build)?).await?;
    let mut proofs = Vec::new();
    for job in &view.jobs {
        if let Some(digest) = &job.proof {
            proofs.push(blob(&api, digest).await?);
        }
    }
    let bytes = match proofs.len() {
        0 => return Err(Problem::new(404, "no rebuilder has brought a proof of this build yet")),
        1 => proofs.pop().unwrap_or_default(),
        _ => merged(&proofs)?,
    };
    Ok(file(bytes, "application/json", &proof_name(&view)))
}

/// The proof that one rebuilder brought
#[utoipa::path(get, path = "/api/v1/jobs/{job}/proof", tag = "builds", security((), ("token" = [])), params(("job" = String, Path)), responses(
    (status = 200, body = String, content_type = "application/json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn proof_of_job(
    State(api): State<Api>,
    caller: Caller,
    Path(job): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Read)?;
    let (build, job) = views::build_of_job(api.coordinator.database(), id(&job)?).await?;
    let digest = job.proof.ok_or_else(|| Problem::new(404, "no proof of this job was brought yet"))?;
    Ok(file(blob(&api, &digest).await?, "application/json", &proof_name(&build)))
}

/// What the builds of a job printed. It came from whoever built, and from what was built: as plain text
#[utoipa::path(get, path = "/api/v1/jobs/{job}/log", tag = "builds", security((), ("token" = [])), params(("job" = String, Path)), responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn log(State(api): State<Api>, caller: Caller, Path(job): Path<String>) -> Result<Response, Problem> {
    caller.may(Role::Read)?;
    let (_, job) = views::build_of_job(api.coordinator.database(), id(&job)?).await?;
    let digest = job.log.ok_or_else(|| Problem::new(404, "no log of this job was brought"))?;
    let bytes = blob(&api, &digest).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], bytes).into_response())
}

/// What its worker said of a job, as it signed it (DSSE)
#[utoipa::path(get, path = "/api/v1/jobs/{job}/report", tag = "builds", security((), ("token" = [])), params(("job" = String, Path)), responses(
    (status = 200, body = Object, content_type = "application/json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn report(
    State(api): State<Api>,
    caller: Caller,
    Path(job): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Read)?;
    let report = views::report(api.coordinator.database(), id(&job)?).await?;
    Ok(Json(report.ok_or_else(|| Problem::new(404, "nothing has decided this job"))?).into_response())
}

/// From where lines are asked for.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// The number of the first line that is wanted, counted from 0
    #[serde(default)]
    from: u64,
}

/// What a worker says while it works.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Lines {
    /// The lines.
    lines: Vec<String>,
    /// The number of the next.
    next: u64,
}

/// What the worker of a job says that it does: the last 500 lines, until it is done
#[utoipa::path(get, path = "/api/v1/jobs/{job}/live", tag = "builds", security((), ("token" = [])), params(("job" = String, Path), From), responses(
    (status = 200, body = Lines),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn live(
    State(api): State<Api>,
    caller: Caller,
    Path(job): Path<String>,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Json<Lines>, Problem> {
    caller.may(Role::Read)?;
    let job: JobId = id(&job)?;
    let Query(From { from }) = from?;
    views::build_of_job(api.coordinator.database(), job).await?;
    let (lines, next) = api.coordinator.live().since(job, from);
    Ok(Json(Lines { lines, next }))
}

/// A file out of the store.
async fn blob(api: &Api, digest: &str) -> Result<Vec<u8>, Problem> {
    let digest = digest.parse().map_err(|_| FarmError::Damaged(format!("{digest:?} is no digest")))?;
    let store = api.coordinator.store().clone();
    let read = tokio::task::spawn_blocking(move || store.read_blob(&digest, MOST));
    let read = read.await.map_err(|e| FarmError::Internal(e.to_string()))?;
    Ok(read.map_err(FarmError::from)?)
}

fn merged(proofs: &[Vec<u8>]) -> Result<Vec<u8>, FarmError> {
    let proofs = proofs.iter().map(|bytes| Proof::from_bytes(bytes)).collect::<Result<Vec<_>, _>>()?;
    Ok(Proof::merge(proofs).to_bytes()?)
}

/// What a proof is called where it is saved: letters, digits, dots, dashes and underscores alone.
pub(crate) fn proof_name(view: &BuildView) -> String {
    let version = view.row.version.as_deref().unwrap_or("0");
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '-' };
    let name: String = format!("{}-{version}", view.row.package).chars().map(plain).collect();
    format!("{}.proof.json", name.trim_start_matches(['.', '-']))
}

/// A file to be saved.
fn file(bytes: Vec<u8>, kind: &'static str, name: &str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    (headers, bytes).into_response()
}
