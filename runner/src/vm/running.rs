// SPDX-License-Identifier: Apache-2.0
//! A machine that runs: what its console says, and its end.

use std::collections::VecDeque;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout_at;

use super::MachineError;
use super::holder::Launch;
use crate::MACHINE_ARGUMENT;

/// What a guest's program says on the console when it runs, as a line of its own.
pub const HELLO: &str = "reprove-guest: hello";

/// How much of a console is kept, from its end, in bytes.
const KEPT: usize = 8 << 10;
/// How much a machine may say on its console, in bytes; a build has no way to it.
const MOST_SAID: u64 = 16 << 20;
/// How long the end of everything in the namespaces is waited for, once it is killed.
const LONGEST_END: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// How long a machine may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Until its program says [`HELLO`].
    pub(super) start: Duration,
    /// From then on.
    pub(super) run: Duration,
}

/// A machine that runs. Ended, with everything that it started, when the value goes.
#[derive(Debug)]
pub(super) struct Running {
    holder: Child,
    /// Whoever is in the namespaces has the other end.
    console: OwnedFd,
}

impl Running {
    pub(super) fn start(program: &Path, launch: &Launch) -> Result<Self, MachineError> {
        let fail = |source| MachineError::Io { doing: "starting the machine's holder", source };
        let (console, theirs) = io::pipe().map_err(fail)?;
        let json = serde_json::to_vec(&(std::process::id(), launch)).map_err(|e| fail(e.into()))?;
        let mut holder = Command::new(program)
            .arg(MACHINE_ARGUMENT)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(theirs)
            .stderr(Stdio::null())
            .spawn()
            .map_err(fail)?;
        let stdin = holder.stdin.take();
        let running = Self { holder, console: console.into() };
        // Less than a pipe holds, so that nobody waits for anybody.
        stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&json)).map_err(fail)?;
        Ok(running)
    }

    /// Waits until everything in it has ended; gives the end of what its console said.
    pub(super) async fn wait(&mut self, times: Times) -> Result<String, MachineError> {
        let fail = |source| MachineError::Io { doing: "reading the machine's console", source };
        let console = self.console.try_clone().map_err(fail)?;
        let mut console = Receiver::from_owned_fd(console).map_err(fail)?;
        let mut said = Said::default();
        let mut until = tokio::time::Instant::now() + times.start;
        let mut buffer = vec![0; 16 << 10];
        loop {
            let Ok(read) = timeout_at(until, console.read(&mut buffer)).await else {
                return Err(match said.hello {
                    false => MachineError::NoHello { seconds: times.start.as_secs(), said: said.text() },
                    true => MachineError::Late { seconds: times.run.as_secs(), said: said.text() },
                });
            };
            let bytes = buffer.get(..read.map_err(fail)?).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(said.text());
            }
            let had_hello = said.hello;
            said.add(bytes);
            if said.hello && !had_hello {
                until = tokio::time::Instant::now() + times.run;
            }
            if said.all > MOST_SAID {
                return Err(MachineError::Talkative);
            }
        }
    }

    fn end(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        // The first process in the namespaces is killed with its parent, and all others with it; the last of them closes the
        // console.
        let Ok(console) = self.console.try_clone() else { return };
        let mut console = PipeReader::from(console);
        let mut buffer = [0; 4096];
        loop {
            let mut ready = [PollFd::from_borrowed_fd(self.console.as_fd(), PollFlags::IN)];
            match poll(&mut ready, Some(&LONGEST_END)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(_) => return,
            }
            match console.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The end of what a console said.
#[derive(Default)]
struct Said {
    last: VecDeque<u8>,
    all: u64,
    hello: bool,
}

impl Said {
    fn add(&mut self, bytes: &[u8]) {
        self.all += bytes.len() as u64;
        self.last.extend(bytes);
        self.last.drain(..self.last.len().saturating_sub(KEPT));
        self.hello = self.hello || self.text().lines().any(|line| line.trim_end() == HELLO);
    }

    fn text(&self) -> String {
        let (one, other) = self.last.as_slices();
        String::from_utf8_lossy(&[one, other].concat()).into_owned()
    }
}
