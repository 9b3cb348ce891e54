// SPDX-License-Identifier: Apache-2.0
//! Sources of projects, as they are sent and fetched.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use reprove_model::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::builds::id;
use super::caller::Submitter;
use super::{Api, Caller, Problem};
use crate::FarmError;
use crate::access::Role;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Kept {
    /// Whether it was not here before.
    pub new: bool,
}

/// Sends the source of a project: a tar archive in zstd, with one directory at its top. It is kept where the tree in it has
/// this BLAKE3 digest, and refused where it has another
#[utoipa::path(put, path = "/api/v1/sources/{tree}", tag = "builds", params(("tree" = String, Path)),
    request_body(content = String, content_type = "application/octet-stream"), responses(
    (status = 200, body = Kept),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn add(
    State(api): State<Api>,
    Path(tree): Path<String>,
    Submitter(access): Submitter,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Kept>, Problem> {
    let tree: Digest = id(&tree)?;
    let name = access.name.to_string();
    let body = body.map_err(|rejection| Problem::new(rejection.status().as_u16(), rejection.body_text()))?;
    let coordinator = api.coordinator.clone();
    let new = api.to_its_end(async move { coordinator.add_source(tree, body.into(), &name).await }).await?;
    Ok(Json(Kept { new }))
}

/// The source of a project, as it was sent. For workers, and for whoever submits
#[utoipa::path(get, path = "/api/v1/sources/{tree}", tag = "builds", params(("tree" = String, Path)), responses(
    (status = 200, body = String, content_type = "application/octet-stream"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(State(api): State<Api>, caller: Caller, Path(tree): Path<String>) -> Result<Response, Problem> {
    if caller.known(Role::Work).is_err() {
        caller.known(Role::Submit)?;
    }
    let bytes = api.coordinator.source(id(&tree)?).await.map_err(|error| match error {
        FarmError::NoSource(_) => Problem::new(404, error.to_string()),
        error => error.into(),
    })?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}
