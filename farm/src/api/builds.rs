// SPDX-License-Identifier: Apache-2.0
//! What is asked for, and what came of it.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::Submitter;
use super::{Api, Caller, Problem};
use crate::access::Role;
use crate::views::{self, BuildRow, BuildView, Filter};
use crate::{BuildId, Coordinator, Request, Submitted};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Submission {
    /// All of it, or none of it.
    #[schema(min_items = 1, max_items = 1000)]
    pub requests: Vec<Request>,
    /// Whether what is finished is done again.
    #[serde(default)]
    pub again: bool,
}

/// What came of it, in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Submissions {
    /// The builds.
    pub builds: Vec<Submitted>,
}

/// Asks for builds. The same is not done twice: where it was asked for before, that build is named
#[utoipa::path(post, path = "/api/v1/builds", tag = "builds", request_body = Submission, responses(
    (status = 200, body = Submissions),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn submit(
    State(api): State<Api>,
    Submitter(access): Submitter,
    body: Result<Json<Submission>, JsonRejection>,
) -> Result<Json<Submissions>, Problem> {
    let name = access.name.to_string();
    let Json(Submission { requests, again }) = body?;
    let count = requests.len();
    if count == 0 || count > Coordinator::MAX_REQUESTS {
        let text = format!("{count} requests can't be made at once: from 1 to {}", Coordinator::MAX_REQUESTS);
        return Err(Problem::new(422, text));
    }
    let coordinator = api.coordinator.clone();
    let builds = api.to_its_end(async move { coordinator.submit(requests, &name, again).await }).await?;
    Ok(Json(Submissions { builds }))
}

/// Lists builds, the newest first
#[utoipa::path(get, path = "/api/v1/builds", tag = "builds", security((), ("token" = [])), params(Filter), responses(
    (status = 200, body = Vec<BuildRow>),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Vec<BuildRow>>, Problem> {
    caller.may(Role::Read)?;
    let Query(filter) = filter?;
    if filter.limit.is_some_and(|limit| !(1..=views::MAX_LISTED).contains(&limit)) {
        return Err(Problem::new(422, format!("a list has from 1 to {} builds", views::MAX_LISTED)));
    }
    if filter.before.is_some_and(|number| number < 1) {
        return Err(Problem::new(422, "builds are numbered from 1"));
    }
    Ok(Json(views::builds(api.coordinator.database(), filter).await?))
}

/// Reads an id out of a path.
pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::new(404, error.to_string()))
}

/// Shows a build, its jobs, and each time that one was handed out
#[utoipa::path(get, path = "/api/v1/builds/{build}", tag = "builds", security((), ("token" = [])), params(("build" = String, Path)), responses(
    (status = 200, body = BuildView),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path(build): Path<String>,
) -> Result<Json<BuildView>, Problem> {
    caller.may(Role::Read)?;
    Ok(Json(views::build(api.coordinator.database(), id(&build)?).await?))
}

/// Takes a build back: one's own, or, with the role to administer, anybody's
#[utoipa::path(post, path = "/api/v1/builds/{build}/cancel", tag = "builds", params(("build" = String, Path)), responses(
    (status = 200, body = Cancelled),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Path(build): Path<String>,
) -> Result<Json<Cancelled>, Problem> {
    let is_administrator = caller.may(Role::Administer).is_ok();
    if !is_administrator {
        caller.known(Role::Submit)?;
    }
    let build: BuildId = id(&build)?;
    let view = views::build(api.coordinator.database(), build).await?;
    if !is_administrator && view.submitter != caller.name() {
        return Err(Problem::new(
            403,
            format!("{} was asked for by another: that takes the role administer", view.row.id),
        ));
    }
    let coordinator = api.coordinator.clone();
    let cancelled = api.to_its_end(async move { coordinator.cancel(build).await }).await?;
    Ok(Json(Cancelled { cancelled }))
}

/// Whether anything was taken back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// It was; else it was finished.
    pub cancelled: bool,
}
