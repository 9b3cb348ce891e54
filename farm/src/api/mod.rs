// SPDX-License-Identifier: Apache-2.0
//! The HTTP API, version 1, and its description as OpenAPI 3.1.
//!
//! Errors are problem details (RFC 9457). Whoever asks shows a token as `Authorization: Bearer …` (RFC 6750), or as the password
//! of `Basic` (RFC 7617), which browsers ask for; or a certificate with a SPIFFE id. What changes anything runs to its end even
//! where whoever asked has gone.

mod builds;
mod caller;
mod files;
mod limits;
mod metrics;
mod problem;
mod serve;
mod sources;
mod spiffe;
mod status;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::middleware;
use axum::response::IntoResponse as _;
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use builds::id;
pub use builds::{Cancelled, Submission, Submissions};
pub use caller::{Caller, Peer};
pub(crate) use files::proof_name;
pub use limits::Rates;
pub use problem::Problem;
pub(crate) use serve::SILENCE;
pub use serve::{Security, serve};
pub use sources::Kept;
pub use spiffe::{NoTrustDomain, TrustDomain};
pub use status::StatusView;
pub use work::{Answer, BroughtReport, LeaseRequest, Progress, Registration};

use crate::{Coordinator, FarmError};

/// What the API works with.
#[derive(Clone)]
pub struct Api {
    pub(crate) coordinator: Coordinator,
    pub(crate) options: Arc<Options>,
    pub(crate) rates: Arc<Rates>,
    /// Who watches a build.
    pub(crate) watching: Arc<Semaphore>,
}

/// So many may watch builds at once.
pub(crate) const MOST_WATCHING: usize = 256;

/// How the API is set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether everybody may look at everything, without a token.
    pub read_by_anyone: bool,
    /// How many requests one caller may make in a minute.
    pub requests_per_minute: u32,
    /// The largest body of a request that brings a proof and a log, in bytes.
    pub most_report: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { read_by_anyone: false, requests_per_minute: 6000, most_report: 96 << 20 }
    }
}

/// The largest body of any other request, in bytes.
const MOST_BODY: usize = 1 << 20;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "reprove farm",
        description = "Ask for rebuilds, work on them, and see what came of them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "builds", description = "What is asked for, and what came of it"),
        (name = "work", description = "What workers do"),
        (name = "farm", description = "How the farm is")
    ),
    modifiers(&Secured),
    security(("token" = []))
)]
struct Described;

struct Secured;

impl utoipa::Modify for Secured {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token of this farm")).build();
        openapi.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

impl Api {
    /// The API of a farm.
    #[must_use]
    pub fn new(coordinator: Coordinator, options: Options) -> Self {
        let rates = Arc::new(Rates::new(options.requests_per_minute));
        let watching = Arc::new(Semaphore::new(MOST_WATCHING));
        Self { coordinator, options: Arc::new(options), rates, watching }
    }

    fn routes(most_report: usize) -> OpenApiRouter<Self> {
        OpenApiRouter::with_openapi(Described::openapi())
            .routes(routes!(builds::submit, builds::list))
            .routes(routes!(builds::show))
            .routes(routes!(builds::cancel))
            .routes(routes!(files::proof_of_build))
            .routes(routes!(files::proof_of_job))
            .routes(routes!(files::log))
            .routes(routes!(files::report))
            .routes(routes!(files::live))
            .routes(routes!(status::status))
            .routes(routes!(status::overview))
            .routes(routes!(metrics::metrics))
            .routes(routes!(work::workers, work::register))
            .routes(routes!(work::ban))
            .routes(routes!(work::admit))
            .routes(routes!(work::lease))
            .routes(routes!(work::progress))
            .merge(OpenApiRouter::new().routes(routes!(work::report)).layer(DefaultBodyLimit::max(most_report)))
            .merge(
                OpenApiRouter::new()
                    .routes(routes!(sources::add, sources::get))
                    .layer(DefaultBodyLimit::max(crate::source::MAX_SOURCE)),
            )
    }

    /// The description of the API.
    #[must_use]
    pub fn described() -> utoipa::openapi::OpenApi {
        Self::routes(0).into_openapi()
    }

    /// What answers.
    pub fn router(self) -> Router {
        let (router, described) = Self::routes(self.options.most_report).split_for_parts();
        let described = Arc::new(described);
        router
            .route("/openapi.json", axum::routing::get(async move || axum::Json((*described).clone())))
            .route("/healthz", axum::routing::get(status::health))
            .merge(crate::page::routes())
            .fallback(async |uri: Uri| {
                let problem = Problem::new(404, "there is nothing here");
                if uri.path().starts_with("/api/") { problem.into_response() } else { crate::page::no_page(problem) }
            })
            .layer(DefaultBodyLimit::max(MOST_BODY))
            .layer(middleware::from_fn_with_state(self.clone(), limits::bounded))
            .with_state(self)
    }

    /// Does `work` to its end, also where whoever asked for it has gone.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, FarmError>> + Send + 'static,
    ) -> Result<T, Problem> {
        match tokio::spawn(work).await {
            Ok(result) => Ok(result?),
            Err(error) => Err(FarmError::Internal(error.to_string()).into()),
        }
    }
}
