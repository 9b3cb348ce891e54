// SPDX-License-Identifier: Apache-2.0
//! Asking somebody over HTTP, with the machine's curl as it is set up: a timestamp authority (RFC 3161, section 3.4), a
//! witness (C2SP tlog-witness).

use std::io::{self, Write as _};
use std::time::Duration;

use thiserror::Error;
use tokio::process::Command;

use crate::process::{self, ProcessError};

/// How long one answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status (RFC 9110, section 15).
    pub status: u16,
    /// What came with it.
    pub body: Vec<u8>,
}

/// Sends `body`, which is of the type `content_type`, to `url`, and gives back the answer of at most `most` bytes.
///
/// # Errors
/// See [`AskError`].
pub async fn post(url: &str, content_type: &str, body: &[u8], most: u64) -> Result<Answer, AskError> {
    if !(url.starts_with("http://") || url.starts_with("https://")) || !url.chars().all(|c| c.is_ascii_graphic()) {
        return Err(AskError::Url(url.chars().take(200).collect()));
    }
    let failed = |why: String| AskError::Failed { url: url.to_owned(), why };
    let mut question = tempfile::NamedTempFile::new()?;
    question.write_all(body)?;
    let mut data = std::ffi::OsString::from("@");
    data.push(question.path());
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--proto",
        "=http,https",
        "--max-redirs",
        "0",
        "--write-out",
        "%{http_code}",
    ]);
    command.arg("--header").arg(format!("Content-Type: {content_type}")).arg("--data-binary").arg(data);
    command.args(["--url", url]);
    let most = most.saturating_add(STATUS as u64);
    let finished = process::run(command, TIME_LIMIT, most).await.map_err(|error| match error {
        ProcessError::Start(e) if e.kind() == io::ErrorKind::NotFound => AskError::NoCurl,
        error => failed(error.to_string()),
    })?;
    if !finished.status.success() {
        return Err(failed(finished.said));
    }
    let mut body = finished.stdout;
    let status = body.split_off(body.len().saturating_sub(STATUS));
    let status = str::from_utf8(&status).ok().and_then(|status| status.parse().ok());
    Ok(Answer { status: status.ok_or_else(|| failed("curl says no status".into()))?, body })
}

/// How many digits a status has, which curl writes after all else.
const STATUS: usize = 3;

/// Why there was no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Not an address.
    #[error("{0:?} is no address that can be asked; one starts with http:// or https://")]
    Url(String),
    /// There is no curl.
    #[error("there is no curl, which asks (Debian: install `curl`)")]
    NoCurl,
    /// It was not reached.
    #[error("{url} gave no answer: {why}")]
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
