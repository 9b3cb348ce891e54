// SPDX-License-Identifier: Apache-2.0
//! How the farm is.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, Caller, Problem};
use crate::access::Role;
use crate::views::{self, Overview};

/// The queue, and who works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusView {
    /// The version of the program.
    pub version: String,
    /// How many builds are not finished.
    pub builds_waiting: u64,
    /// How many jobs can be handed out now.
    pub jobs_ready: u64,
    /// How many jobs wait for their time.
    pub jobs_later: u64,
    /// How many jobs somebody works on.
    pub jobs_leased: u64,
}

/// Says how many jobs there are
#[utoipa::path(get, path = "/api/v1/status", tag = "farm", security((), ("token" = [])), responses(
    (status = 200, body = StatusView),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn status(State(api): State<Api>, caller: Caller) -> Result<Json<StatusView>, Problem> {
    caller.may(Role::Read)?;
    let waiting = api.coordinator.queue().waiting().await.map_err(crate::FarmError::from)?;
    let builds = views::waiting(api.coordinator.database()).await?;
    Ok(Json(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        builds_waiting: builds,
        jobs_ready: waiting.ready,
        jobs_later: waiting.later,
        jobs_leased: waiting.leased,
    }))
}

/// Says how many builds came to what, and why jobs failed
#[utoipa::path(get, path = "/api/v1/overview", tag = "farm", security((), ("token" = [])), responses(
    (status = 200, body = Overview),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn overview(State(api): State<Api>, caller: Caller) -> Result<Json<Overview>, Problem> {
    caller.may(Role::Read)?;
    Ok(Json(views::overview(api.coordinator.database(), api.coordinator.clock().now()).await?))
}

/// Whether it answers: nothing more, and to anybody.
pub(super) async fn health() -> &'static str {
    "ok\n"
}
