// SPDX-License-Identifier: Apache-2.0
//! Signals in every phase: `reprove` ends at once, and nothing of it stays.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use reprove_tests::{Bench, Leftovers, Ran, Running, processes, wait_until};

/// A program that is told to end has ended after this time.
const SOON: Duration = Duration::from_secs(5);

/// When a signal is sent: as soon as a line of progress begins with the first, and, where there is one, the build runs this
/// command.
type Moment = (&'static str, Option<&'static str>);

/// Sends `signal` to `reprove` alone, at `moment`.
fn ended_at(bench: &Bench, command: Command, (line, step): Moment, signal: Signal) -> (Ran, u32, Leftovers) {
    let before = Leftovers::before();
    let mut running = Running::start(command);
    running.wait_for(line);
    if let Some(step) = step {
        let marker = bench.path("").to_str().unwrap().trim_end_matches('/').to_owned();
        let runs = |process: &String| process.contains(step) && !process.contains("sh -ec");
        let seen = wait_until(Duration::from_secs(30), || processes(&marker).iter().any(runs));
        assert!(seen, "never ran {step}:\n{}", running.stderr());
    }
    let id = running.id();
    running.signal(signal);
    (running.wait(SOON), id, before)
}

/// A `check` whose build hangs under some condition is interrupted there.
fn interrupted_check(steps: &[&str], moment: Moment, signal: Signal) {
    let bench = Bench::with_own_program();
    let project = bench.project("project", steps, "");
    let command = bench.command([Path::new("check"), &project]);
    let (ran, id, before) = ended_at(&bench, command, moment, signal);
    let ran = ran.with_code(128 + signal as i32);
    assert!(ran.stderr.contains("error: interrupted; nothing was kept"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    assert_eq!(bench.leftovers(id, &before), Vec::<String>::new(), "after {}", ran.stderr);
}

const HANG: &str = "sleep 86399";
/// Hangs in the second build alone.
const HANG_AGAIN: &str = "uname -n > out; case $(uname -n) in *second) sleep 86399;; esac";
/// Differs by the host name; hangs where that alone was changed.
const HANG_FOR_CAUSE: &str = "uname -n > out; case $(pwd)-$(uname -n) in */first/*-*second) sleep 86399;; esac";
/// Differs, and takes long to compare.
const LARGE: &str = "head -c 96M /dev/urandom > out";

macro_rules! interrupts {
    ($($test:ident: $steps:expr, $moment:expr;)*) => {
        $(
            #[test]
            fn $test() {
                interrupted_check(&$steps, $moment, Signal::SIGINT);
            }
        )*
    };
}

interrupts! {
    while_looking_at_usr: [HANG], ("looking at this machine's /usr", None);
    while_reading_the_source: [HANG], ("reading the source", None);
    as_a_build_starts: [HANG], ("building", None);
    while_building: [HANG], ("building", Some("sleep"));
    while_building_in_the_background: ["(trap '' INT TERM HUP; setsid sleep 86399) & sleep 86398"], ("building", Some("sleep"));
    while_building_again: [HANG_AGAIN], ("building again", Some("sleep"));
    while_comparing: [LARGE], ("comparing", None);
    while_looking_for_causes: [HANG_FOR_CAUSE], ("looking for causes: building with another host name", Some("sleep"));
    as_it_looks_for_causes: ["uname -n > out"], ("looking for causes: building again with nothing changed", None);
}

#[test]
fn a_request_to_terminate_is_heard_too() {
    interrupted_check(&[HANG], ("building", Some("sleep")), Signal::SIGTERM);
}

#[test]
fn a_terminal_that_goes_away_is_heard_too() {
    interrupted_check(&[HANG], ("building", Some("sleep")), Signal::SIGHUP);
}

fn interrupted_rebuild(line: &'static str) {
    let bench = Bench::with_own_program();
    let command = bench.command(["rebuild", "pkg:pypi/idna@3.20"]);
    let (ran, id, before) = ended_at(&bench, command, (line, None), Signal::SIGINT);
    let ran = ran.with_code(130);
    assert_eq!(bench.leftovers(id, &before), Vec::<String>::new(), "after {}", ran.stderr);
}

#[test]
fn while_fetching_a_release() {
    interrupted_rebuild("fetching idna");
}

#[test]
fn while_resolving_what_it_needs() {
    interrupted_rebuild("resolving");
}

#[test]
fn while_fetching_what_it_needs() {
    interrupted_rebuild("fetching flit_core");
}

#[test]
fn while_rebuilding() {
    interrupted_rebuild("building, with");
}

#[test]
fn while_rebuilding_again() {
    interrupted_rebuild("building again");
}

/// What is large is read or kept on a thread of its own, and nobody waits for it.
#[test]
fn while_reading_a_large_source() {
    let bench = Bench::with_own_program();
    let project = bench.project("project", &["touch out"], "");
    // Takes no room, and seconds to read.
    std::fs::File::create(project.join("large")).unwrap().set_len(8 << 30).unwrap();
    let command = bench.command([Path::new("check"), &project]);
    let (ran, id, before) = ended_at(&bench, command, ("reading the source", None), Signal::SIGINT);
    let ran = ran.with_code(130);
    assert_eq!(bench.leftovers(id, &before), Vec::<String>::new(), "after {}", ran.stderr);
}

#[test]
fn while_keeping_a_large_output() {
    let bench = Bench::with_own_program();
    let project = bench.project("project", &["truncate -s 3G out", "echo done >&2"], "");
    let command = bench.command([Path::new("check"), &project]);
    let before = Leftovers::before();
    let mut running = Running::start(command);
    running.wait_for("building");
    let is_kept = || {
        let temporary = std::process::Command::new("find").arg(bench.path("store/tmp")).args(["-size", "+8M"]).output();
        !temporary.unwrap().stdout.is_empty()
    };
    assert!(wait_until(Duration::from_secs(60), is_kept), "{}", running.stderr());
    let id = running.id();
    running.signal(Signal::SIGINT);
    let ran = running.wait(SOON).with_code(130);
    assert_eq!(bench.leftovers(id, &before), Vec::<String>::new(), "after {}", ran.stderr);
}

/// After the last step begins, either all is kept or nothing.
#[test]
fn while_signing_the_proof_is_whole_or_not_there() {
    let bench = Bench::with_own_program();
    let project = bench.project("project", &["uname -s > out"], "");
    let command = bench.command([Path::new("check"), &project]);
    let (ran, id, before) = ended_at(&bench, command, ("signing", None), Signal::SIGINT);
    let proof = bench.path("work/project.proof.json");
    if ran.code == Some(0) {
        let key = bench.public_key();
        let _ = bench.run([Path::new("audit"), &proof, Path::new("--key"), &key]).with_code(0);
        std::fs::remove_file(proof).unwrap();
    } else {
        let _ = ran.with_code(130);
    }
    assert_eq!(bench.leftovers(id, &before), Vec::<String>::new());
}

/// As with `nohup`, and as with `reprove … &` in a script.
#[test]
fn a_signal_that_is_ignored_from_the_start_stays_so() {
    let bench = Bench::new();
    let project = bench.project("project", &["sleep 2; touch out"], "");
    let mut shell = bench.program_in_this_place("/bin/sh");
    shell.args(["-c", "trap '' HUP INT; exec \"$@\"", "sh"]).arg(reprove_tests::program()).arg("build").arg(&project);
    let mut running = Running::start(shell);
    running.wait_for("building");
    running.signal(Signal::SIGHUP);
    running.signal(Signal::SIGINT);
    let _ = running.wait(Duration::from_secs(60)).with_code(0);

    let mut shell = bench.program_in_this_place("/bin/sh");
    let build = ["-c", "trap '' HUP INT; exec \"$@\"", "sh"];
    shell.args(build).arg(reprove_tests::program()).args(["build", "--out", "other"]).arg(&project);
    let (ran, ..) = ended_at(&bench, shell, ("building", None), Signal::SIGTERM);
    let _ = ran.with_code(143);
}

/// Nothing can clean up after itself then: the kernel ends the build, and the next run removes the files.
#[test]
fn a_kill_leaves_no_process_and_the_next_run_cleans_up() {
    let bench = Bench::with_own_program();
    let project = bench.project("project", &[HANG], "");
    let command = bench.command([Path::new("check"), &project]);
    let (ran, id, before) = ended_at(&bench, command, ("building", Some("sleep")), Signal::SIGKILL);
    assert_eq!(ran.code, None);
    let marker = bench.path("reprove");
    let gone = wait_until(SOON, || processes(marker.parent().unwrap().to_str().unwrap()).is_empty());
    assert!(gone, "{:?}", processes(marker.to_str().unwrap()));
    bench.write(
        "project/reprove.toml",
        std::fs::read_to_string(project.join("reprove.toml")).unwrap().replace(HANG, "touch out"),
    );
    let _ = bench.run([Path::new("check"), &project]).with_code(0);
    std::fs::remove_file(bench.path("work/project.proof.json")).unwrap();
    assert_eq!(bench.leftovers(id, &before), Vec::<String>::new());
}
