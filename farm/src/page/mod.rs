// SPDX-License-Identifier: Apache-2.0
//! The pages, for auditors as much as for operators: made here, whole, and good without scripts.
//!
//! What came from elsewhere (names, logs, findings) is text in them and nothing else: `maud` escapes all that is put in, and the
//! policy that goes with each answer has browsers run and show nothing but what is served here.

mod build;
mod builds;
mod chart;
mod layout;
mod live;
mod operations;
mod overview;
mod proofs;
mod words;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::api::{Api, Problem};
use layout::NoPage;

/// What is served as it is: name, type, content. The names have the versions, so that browsers may keep them.
const ASSETS: [(&str, &str, &str); 4] = [
    ("icon-1.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ("style-1.css", "text/css; charset=utf-8", include_str!("assets/style.css")),
    ("htmx-2.0.11.js", "text/javascript; charset=utf-8", include_str!("assets/htmx.min.js")),
    ("sse-2.2.4.js", "text/javascript; charset=utf-8", include_str!("assets/sse.min.js")),
];

/// The pages.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(overview::show))
        .route("/builds", get(builds::show))
        .route("/builds/{build}", get(build::show))
        .route("/builds/{build}/events", get(live::events))
        .route("/packages/{ecosystem}/{*package}", get(builds::history))
        .route("/operations", get(operations::show))
        .route("/workers/{worker}/key.pem", get(operations::key))
        .route("/assets/{name}", get(asset))
}

/// Says that there is no such page.
pub(crate) fn no_page(problem: Problem) -> Response {
    NoPage::from(problem).into_response()
}

async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = ASSETS.into_iter().find(|(of, ..)| *of == name);
    let (_, kind, content) = found.ok_or_else(|| Problem::new(404, "there is nothing here"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, content).into_response())
}
