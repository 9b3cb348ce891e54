// SPDX-License-Identifier: Apache-2.0
//! The same farm, with jobs carried by a real NATS server.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use reprove_tests::{Running, wait_until, workspace};

use super::served::{Farm, build_of};

/// A server on loopback, with a folder that goes with it.
fn server() -> (Running, String, tempfile::TempDir) {
    server_with("")
}

/// One with this in its settings besides.
pub(crate) fn server_with(more: &str) -> (Running, String, tempfile::TempDir) {
    let program = workspace().join(".venv/bin/nats-server");
    assert!(program.exists(), "there is no {}; scripts/setup makes it", program.display());
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n{more}",
        folder.path().display()
    );
    std::fs::write(folder.path().join("nats.conf"), settings).unwrap();
    let mut command = Command::new(program);
    command.arg("--config").arg(folder.path().join("nats.conf"));
    let server = Running::start(command);
    assert!(wait_until(Duration::from_secs(30), || server.stderr().contains("Server is ready")), "{}", server.stderr());
    (server, format!("nats://127.0.0.1:{port}"), folder)
}

#[test]
fn a_farm_on_nats_loses_nothing_when_all_of_it_is_killed() {
    let (server, url, _folder) = server();
    let arguments = ["--queue", url.as_str()];
    let mut farm = Farm::new(&[&arguments[..], &["--without-worker"]].concat());
    let submitted = farm.run(&["submit", "pkg:pypi/idna@3.20"]).with_code(0);
    let build = build_of(&submitted);
    let status = farm.run(&["status", "--json"]).with_code(0).json();
    assert_eq!(status["status"]["jobsReady"], 1);
    farm.kill_and_start(&arguments);
    let done = || farm.run(&["status", &build]).code == Some(0);
    assert!(wait_until(Duration::from_secs(180), done), "{}", farm.process.stderr());
    drop(server);
}

#[test]
fn a_server_that_is_not_there_is_said_to_be() {
    let bench = reprove_tests::Bench::new();
    let mut command = bench.command(["farm", "serve", "--listen", "127.0.0.1:0", "--queue", "nats://127.0.0.1:9"]);
    command.env("REPROVE_FARM_DATA", bench.path("farm"));
    let ran = Running::start(command).wait(Duration::from_secs(90)).with_code(4);
    assert!(ran.stderr.contains("error: the queue: ") && ran.stderr.contains("next: "), "{}", ran.stderr);
}
