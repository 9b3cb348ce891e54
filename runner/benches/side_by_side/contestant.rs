// SPDX-License-Identifier: Apache-2.0
//! What is measured: programs from their start to their end, runs of the sandbox from request to outcome, and builds.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reprove_model::Exit;

use crate::building::RecordedBuild;
use crate::startup::SandboxRun;

/// One way to do the work that others do as well.
pub(crate) struct Contestant {
    /// What the table calls it.
    pub(crate) name: String,
    pub(crate) work: Work,
    /// How many at once.
    count: usize,
}

pub(crate) enum Work {
    /// An argument vector.
    Program(Vec<OsString>),
    Sandbox(SandboxRun),
    Build(Box<RecordedBuild>),
}

impl Contestant {
    fn new(name: &str, work: Work) -> Self {
        Self { name: name.to_owned(), work, count: 1 }
    }

    /// A program with its arguments.
    pub(crate) fn program<A: AsRef<OsStr>>(name: &str, command: impl IntoIterator<Item = A>) -> Self {
        Self::new(name, Work::Program(command.into_iter().map(|argument| argument.as_ref().to_owned()).collect()))
    }

    /// A run in reprove's sandbox.
    pub(crate) fn sandbox(name: &str, run: SandboxRun) -> Self {
        Self::new(name, Work::Sandbox(run))
    }

    /// A build by reprove's runner, from the source in the store to the record.
    pub(crate) fn build(name: &str, build: RecordedBuild) -> Self {
        Self::new(name, Work::Build(Box::new(build)))
    }

    /// The same, `count` times at once.
    pub(crate) fn at_once(self, count: usize) -> Self {
        Self { count, ..self }
    }

    /// Why it can't take part on this machine: its program is missing, or does not do the work once. `None` where it can.
    pub(crate) fn why_not(&self) -> Option<String> {
        let Work::Program(command) = &self.work else { return None };
        let (program, arguments) = command.split_first()?;
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        match output {
            Ok(output) if output.status.success() => None,
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.lines().next().unwrap_or_default();
                Some(format!("it does not run here ({}): {said}", output.status))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some("not installed".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Does the work once, and gives how long it took. What does not end well is an error, never a measurement.
    pub(crate) async fn once(&self) -> io::Result<Duration> {
        let start = Instant::now();
        match &self.work {
            Work::Program(command) => {
                let mut children = Vec::new();
                for _ in 0..self.count {
                    children.push(Ended(start_program(command)?));
                }
                for Ended(child) in &mut children {
                    let status = child.wait()?;
                    if !status.success() {
                        return Err(self.fail(&status.to_string()));
                    }
                }
            }
            Work::Sandbox(run) => {
                let mut running = tokio::task::JoinSet::new();
                for number in 0..self.count {
                    let run = run.clone();
                    running.spawn(async move { run.once(number).await });
                }
                while let Some(ended) = running.join_next().await {
                    let outcome = ended.map_err(io::Error::other)?.map_err(io::Error::other)?;
                    if outcome.exit != Exit::Success {
                        return Err(self.fail(&format!("{:?}", outcome.exit)));
                    }
                }
            }
            Work::Build(build) => {
                let exit = build.once().await.map_err(io::Error::other)?;
                if exit != Exit::Success {
                    return Err(self.fail(&format!("{exit:?}")));
                }
            }
        }
        Ok(start.elapsed())
    }

    fn fail(&self, how: &str) -> io::Error {
        io::Error::other(format!("{}: {how}", self.name))
    }
}

/// Starts a program that reads and says nothing.
pub(crate) fn start_program(command: &[OsString]) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn()
}

/// A program that is ended when the value goes.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
