// SPDX-License-Identifier: Apache-2.0
//! Asking a timestamp authority over HTTP (RFC 3161, section 3.4), with the machine's curl as it is set up.

use std::io::{self, Write as _};
use std::time::Duration;

use thiserror::Error;
use tokio::process::Command;

use crate::process::{self, ProcessError};

/// How long an authority may take for one answer.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Sends `request` to the authority at `url`, and gives back its answer of at most `most` bytes, as it came.
///
/// # Errors
/// See [`AskError`].
pub async fn ask_timestamp(url: &str, request: &[u8], most: u64) -> Result<Vec<u8>, AskError> {
    if !(url.starts_with("http://") || url.starts_with("https://")) || !url.chars().all(|c| c.is_ascii_graphic()) {
        return Err(AskError::Url(url.chars().take(200).collect()));
    }
    let mut question = tempfile::NamedTempFile::new()?;
    question.write_all(request)?;
    let mut body = std::ffi::OsString::from("@");
    body.push(question.path());
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--proto", "=http,https", "--max-redirs", "0"]);
    command.args(["--header", "Content-Type: application/timestamp-query", "--header"]);
    command.arg("Accept: application/timestamp-reply").arg("--data-binary").arg(body).args(["--url", url]);
    let finished = process::run(command, TIME_LIMIT, most).await.map_err(|error| match error {
        ProcessError::Start(e) if e.kind() == io::ErrorKind::NotFound => AskError::NoCurl,
        error => AskError::Failed { url: url.to_owned(), why: error.to_string() },
    })?;
    if !finished.status.success() {
        return Err(AskError::Failed { url: url.to_owned(), why: finished.said });
    }
    Ok(finished.stdout)
}

/// Why an authority gave no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Not an address.
    #[error("{0:?} is not the address of a timestamp authority; it starts with http:// or https://")]
    Url(String),
    /// There is no curl.
    #[error("there is no curl, which asks the authority (Debian: install `curl`)")]
    NoCurl,
    /// It was not reached, or said no.
    #[error("the authority at {url} gave no answer: {why}")]
    Failed {
        /// Where it was asked.
        url: String,
        /// What was said.
        why: String,
    },
    /// The question could not be kept for sending.
    #[error("the question can't be kept for sending: {0}")]
    Io(#[from] io::Error),
}
