// SPDX-License-Identifier: Apache-2.0
//! What is measured: a program from its start to its end, or a run of the sandbox from its request to its outcome.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reprove_model::Exit;

use crate::startup::SandboxRun;

/// One way to do the work that others do as well.
pub(crate) struct Contestant {
    /// What the table calls it.
    pub(crate) name: String,
    work: Work,
}

enum Work {
    /// An argument vector.
    Program(Vec<OsString>),
    Sandbox(Box<SandboxRun>),
}

impl Contestant {
    /// A program with its arguments.
    pub(crate) fn program<A: AsRef<OsStr>>(name: &str, command: impl IntoIterator<Item = A>) -> Self {
        let command = command.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        Self { name: name.to_owned(), work: Work::Program(command) }
    }

    /// A run in reprove's sandbox.
    pub(crate) fn sandbox(name: &str, run: SandboxRun) -> Self {
        Self { name: name.to_owned(), work: Work::Sandbox(Box::new(run)) }
    }

    /// Whether its program is on this machine.
    pub(crate) fn is_installed(&self) -> bool {
        match &self.work {
            Work::Program(command) => command.first().is_some_and(|program| {
                let started =
                    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
                !started.is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
            }),
            Work::Sandbox(_) => true,
        }
    }

    /// Does the work once, and gives how long it took. What does not end well is an error, never a measurement.
    pub(crate) async fn once(&self) -> io::Result<Duration> {
        let fail = |how: String| Err(io::Error::other(format!("{}: {how}", self.name)));
        match &self.work {
            Work::Program(command) => {
                let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
                let mut command = Command::new(program);
                command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
                let start = Instant::now();
                let status = command.status()?;
                let took = start.elapsed();
                if status.success() { Ok(took) } else { fail(status.to_string()) }
            }
            Work::Sandbox(run) => {
                let start = Instant::now();
                let outcome = run.once().await.map_err(io::Error::other)?;
                let took = start.elapsed();
                if outcome.exit == Exit::Success { Ok(took) } else { fail(format!("{:?}", outcome.exit)) }
            }
        }
    }
}
