// SPDX-License-Identifier: Apache-2.0
//! Errors, as whoever asked is told: problem details (RFC 9457).

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::source::SourceError;
use crate::{DatabaseError, FarmError, QueueError};

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The status, as in the answer's first line.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened, and why.
    pub detail: String,
}

impl Problem {
    /// A problem of this status.
    #[must_use]
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            let ask = HeaderValue::from_static("Basic realm=\"reprove farm: any name, and a token as password\"");
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"reprove farm\""));
            headers.append(header::WWW_AUTHENTICATE, ask);
        }
        response
    }
}

impl From<FarmError> for Problem {
    fn from(error: FarmError) -> Self {
        let status = match &error {
            FarmError::Request(_) => 422,
            FarmError::NoBuild(_) | FarmError::NoJob(_) | FarmError::NoWorker(_) => 404,
            FarmError::Source(SourceError::TooLarge) => 413,
            FarmError::Source(SourceError::Unpack(_) | SourceError::Tree(_) | SourceError::Other { .. }) => 422,
            FarmError::NameTaken(..) | FarmError::NoSource(_) | FarmError::Queue(QueueError::Lost { .. }) => 409,
            FarmError::NotAdmitted(_) | FarmError::Banned(..) => 403,
            FarmError::Refused(_) => 409,
            FarmError::TooManyJobs(..) => 429,
            FarmError::Database(DatabaseError::Full | DatabaseError::Undone)
            | FarmError::Queue(QueueError::Database(DatabaseError::Full | DatabaseError::Undone)) => 507,
            FarmError::Queue(QueueError::Transport(_)) => 503,
            _ => 500,
        };
        Self::new(status, error.to_string())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status().as_u16(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status().as_u16(), rejection.body_text())
    }
}
