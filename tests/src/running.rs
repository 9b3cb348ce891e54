// SPDX-License-Identifier: Apache-2.0
//! Programs that run, with every wait bounded; none outlives its value.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// How a program ended, and what it wrote.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status; `None` where a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Ran {
    /// The one JSON object that is the whole of its standard output.
    #[must_use]
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        assert!(value.is_object() && self.stdout.trim_end().lines().count() == 1, "{self:?}");
        value
    }

    /// Checks the exit status; what was written is shown where it is another.
    #[must_use]
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A program that runs. Killed when the value goes.
#[derive(Debug)]
pub struct Running {
    child: Child,
    written: TempDir,
}

impl Running {
    /// Starts `command`, without standard input.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let written = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(written.path().join(name)).unwrap();
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self { child, written }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error up to now.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// What it has written to standard output up to now.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// Waits until it has written `text` to standard error.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let seen = wait_until(LONG, || self.stderr().contains(text) || self.child.try_wait().unwrap().is_some());
        assert!(seen && self.stderr().contains(text), "never said {text:?}:\n{}", self.stderr());
    }

    /// Sends it, and nothing that it has started, a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end, which must come within `limit`.
    #[must_use]
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Ran {
        match self.ended(limit) {
            Some(ran) => ran,
            None => panic!("still running after {limit:?}:\n{}", self.stderr()),
        }
    }

    /// Waits for its end, at most for `limit`; nothing where it goes on.
    pub fn ended(&mut self, limit: Duration) -> Option<Ran> {
        let mut status = None;
        wait_until(limit, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.map(|status| Ran { code: status.code(), stdout: self.read("stdout"), stderr: self.read("stderr") })
    }

    fn read(&self, name: &str) -> String {
        let path: PathBuf = self.written.path().join(name);
        String::from_utf8(fs::read(path).unwrap()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The longest wait for anything that should come.
pub(crate) const LONG: Duration = Duration::from_secs(300);

/// Waits until `condition` holds, at most for `limit`; whether it did.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
