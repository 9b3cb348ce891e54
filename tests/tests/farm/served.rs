// SPDX-License-Identifier: Apache-2.0
//! A farm of a test's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reprove_tests::{Bench, Ran, Running, wait_until};

/// A farm that serves, with a place of its own.
pub(crate) struct Farm {
    pub(crate) bench: Bench,
    pub(crate) url: String,
    pub(crate) process: Running,
}

impl Farm {
    /// One that is served with these arguments besides.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self::with_variables(arguments, &[])
    }

    /// One that is served with these environment variables besides.
    pub(crate) fn with_variables(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let bench = Bench::new();
        let (process, url) = serve(&bench, "127.0.0.1:0", arguments, variables);
        Self { bench, url, process }
    }

    /// Kills the one that serves, and starts it again at the same address.
    pub(crate) fn kill_and_start(&mut self, arguments: &[&str]) {
        let address = self.url.trim_start_matches("http://").to_owned();
        self.process.signal(nix::sys::signal::Signal::SIGKILL);
        assert!(self.process.ended(Duration::from_secs(30)).is_some());
        self.process = serve(&self.bench, &address, arguments, &[]).0;
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.bench.path("farm")
    }

    /// `reprove farm …` in this place, asking this farm with its first token.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.command(["farm"]);
        command.args(arguments);
        asking(&mut command, &self.url, &fs::read_to_string(self.data().join("token")).unwrap());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Running::start(self.command(arguments)).wait(Duration::from_secs(300))
    }

    /// A new token with these roles.
    pub(crate) fn token(&self, name: &str, roles: &str) -> String {
        let mut command = self.bench.command(["farm", "token", "new", name, "--roles", roles, "--operator", name]);
        command.env("REPROVE_FARM_DATA", self.data());
        Running::start(command).wait(Duration::from_secs(30)).with_code(0).stdout.trim().to_owned()
    }

    /// A worker in a place of its own.
    pub(crate) fn worker(&self, bench: &Bench, name: &str, token: &str, arguments: &[&str]) -> Running {
        let mut command = bench.command(["farm", "worker", "--name", name]);
        command.args(arguments);
        asking(&mut command, &self.url, token);
        Running::start(command)
    }
}

fn asking(command: &mut Command, url: &str, token: &str) {
    command.env("REPROVE_FARM", url).env("REPROVE_FARM_TOKEN", token.trim());
}

fn serve(bench: &Bench, listen: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (Running, String) {
    let mut command = bench.command(["farm", "serve", "--listen", listen, "--name", "inside"]);
    command.args(arguments).envs(variables.iter().copied()).env("REPROVE_FARM_DATA", bench.path("farm"));
    let process = Running::start(command);
    let url = || process.stdout().lines().find_map(|line| line.strip_prefix("a farm at ").map(str::to_owned));
    assert!(wait_until(Duration::from_secs(60), || url().is_some()), "{}", process.stderr());
    let url = url().unwrap();
    (process, url)
}

/// The id of the only build that a submission named.
pub(crate) fn build_of(ran: &Ran) -> String {
    ran.stdout.split(' ').next().unwrap().to_owned()
}
