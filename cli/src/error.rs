// SPDX-License-Identifier: Apache-2.0
//! Errors for people, and exit codes for scripts: what happened, why, and what to do next. The only place that maps the
//! libraries' errors to either.

use std::error::Error;
use std::io::{self, Write as _};

use reprove_inputs::{InputsError, Kind};
use reprove_job::{BuildFailure, JobError};
use reprove_runner::{RunError, SandboxError, SourceError};
use reprove_store::{IngestError, StoreError};
use serde_json::json;

/// Yes.
pub(crate) const YES: u8 = 0;
/// No: different, or does not verify.
pub(crate) const NO: u8 = 1;
/// Bad usage or bad input.
pub(crate) const BAD_USAGE: u8 = 2;
/// The build failed.
pub(crate) const BUILD_FAILED: u8 = 3;
/// This machine can't do what was asked.
pub(crate) const CANNOT: u8 = 4;

/// Why a command ended without an answer.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) code: u8,
    /// What happened and why, one line.
    message: String,
    /// More, line by line.
    details: Vec<String>,
    /// What to do next.
    next: Vec<String>,
}

impl CommandError {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), next: Vec::new() }
    }

    pub(crate) fn bad_usage(message: impl Into<String>) -> Self {
        Self::new(BAD_USAGE, message)
    }

    pub(crate) fn cannot(message: impl Into<String>) -> Self {
        Self::new(CANNOT, message)
    }

    /// Ended by a signal; shells know such an end by 128 and its number.
    pub(crate) fn interrupted(signal: u8) -> Self {
        Self::new(128 + signal, "interrupted; nothing was kept of what was not finished")
    }

    #[must_use]
    pub(crate) fn next(mut self, line: impl Into<String>) -> Self {
        self.next.push(line.into());
        self
    }

    /// The message, and what to do next.
    pub(crate) fn into_parts(self) -> (String, Vec<String>) {
        (self.message, self.next)
    }

    /// Prints the error on standard error, and with `--json` as an object on standard output.
    pub(crate) fn print(&self, json: bool) {
        let mut text = format!("error: {}\n", self.message);
        self.details.iter().for_each(|line| text.push_str(&format!("  | {line}\n")));
        self.next.iter().for_each(|line| text.push_str(&format!("  next: {line}\n")));
        // Where standard error is closed, the exit code still says it.
        let _ = io::stderr().write_all(text.as_bytes());
        if json {
            let object =
                json!({ "error": self.message, "details": self.details, "next": self.next, "code": self.code });
            let _ = writeln!(io::stdout(), "{object}");
        }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        from_error(CANNOT, &error)
    }
}

impl From<JobError> for CommandError {
    fn from(error: JobError) -> Self {
        match &error {
            JobError::Inputs(inputs) => from_inputs(inputs),
            JobError::Build(failure) => from_failure(failure),
            JobError::Run(RunError::Sandbox(sandbox)) => from_sandbox(sandbox),
            JobError::Run(RunError::Output { error: IngestError::Store(_), .. }) => from_error(CANNOT, &error),
            JobError::Run(RunError::Output { .. }) => from_error(BUILD_FAILED, &error)
                .next("check `outputs` in the recipe: every path there must exist after the last step"),
            JobError::Run(RunError::NoClockLibrary) => from_error(CANNOT, &error),
            JobError::Judge(reprove_verifier::JudgeError::Empty) => from_error(BUILD_FAILED, &error),
            JobError::Source(SourceError::Store(_))
            | JobError::Store(_)
            | JobError::Environment(_)
            | JobError::Run(_)
            | JobError::Internal(_) => from_error(CANNOT, &error),
            JobError::Source(_) | JobError::Published(_) | JobError::NothingToSearch => from_error(BAD_USAGE, &error),
            JobError::Judge(_) | JobError::Attest(_) | JobError::Proof(_) | JobError::Canonical(_) => {
                from_error(CANNOT, &error)
            }
        }
    }
}

/// The error and its causes; a full disk is told apart wherever it happened.
pub(crate) fn from_error(code: u8, error: &(dyn Error + 'static)) -> CommandError {
    let mut message = error.to_string();
    let mut full = is_full_disk(error);
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        full |= is_full_disk(inner);
        cause = inner.source();
    }
    if full {
        return CommandError::cannot(message).next("free some space, or put the store elsewhere with --store DIR");
    }
    CommandError::new(code, message)
}

fn is_full_disk(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

fn from_inputs(error: &InputsError) -> CommandError {
    let code = match error.kind() {
        Kind::BadInput => BAD_USAGE,
        Kind::CannotHere => CANNOT,
    };
    from_error(code, error)
}

fn from_failure(failure: &BuildFailure) -> CommandError {
    let mut error = CommandError::new(BUILD_FAILED, failure.to_string());
    error.details.clone_from(&failure.last_lines);
    error.next(format!("the whole log is {}", failure.log.display()))
}

/// Where namespaces are refused, says which settings do that.
pub(crate) fn from_sandbox(error: &SandboxError) -> CommandError {
    let message = from_error(CANNOT, error);
    match error {
        SandboxError::Setup { doing, errno: 1 | 13 | 22 | 28, .. }
            if doing.contains("namespace") || doing.contains("map") =>
        {
            message
                .next("run it as root, or allow user namespaces: sysctl -w user.max_user_namespaces=15000")
                .next("on Ubuntu 23.10 and newer also: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
        }
        SandboxError::Setup { doing, errno: 1, .. } if doing == "mounting proc" => message
            .next("a container that masks /proc can't hold a sandbox; run outside of it, or with an unmasked /proc"),
        SandboxError::Setup { .. } => message.next("`reprove doctor` says what this machine lacks"),
        SandboxError::Io { .. } | SandboxError::Lost => message,
    }
}
