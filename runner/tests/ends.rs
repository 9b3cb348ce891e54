// SPDX-License-Identifier: Apache-2.0
//! Whatever a build does, it ends at its limit, and nothing of it stays.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]
#![allow(clippy::print_stdout, reason = "to say how long each took")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use reprove_model::Exit;
use support::{AS_ORDINARY_USER, Bench, all_again, all_again_watched};

/// How long it may take from the limit on. The promise is one second; a machine that is busy with other things gets three.
const AFTER: Duration = Duration::from_secs(3);

/// Runs a script that would go on for ever; it is ended, and with it all of its processes, which have `MARKER` in their
/// environment.
async fn ends(script: &str) {
    let bench = Bench::new();
    let marker = format!("reprove-ends-{}-{:p}", std::process::id(), &bench);
    let mut request = bench.request(script);
    request.env.insert("MARKER".into(), marker.clone());
    request.limits.seconds = 1;
    request.limits.processes = 64;
    request.limits.disk_mib = 16;
    request.limits.memory_mib = 256;
    request.limits.log_mib = 1;
    let started = Instant::now();
    let (outcome, log) = bench.run_request(request).await;
    let late = started.elapsed().saturating_sub(Duration::from_secs(1));
    println!("{script}: {late:?} after the limit");
    assert_eq!(outcome.exit, Exit::TimeOut, "{log}");
    assert!(late < AFTER, "{late:?}");
    assert_eq!(with_marker(&marker), Vec::<String>::new());
}

/// The command lines of all processes that have `marker` in their environment.
#[expect(clippy::disallowed_methods, reason = "all of them are wanted, in any order")]
fn with_marker(marker: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let environment = fs::read(path.join("environ")).ok()?;
        let has = String::from_utf8_lossy(&environment).contains(marker);
        has.then(|| fs::read_to_string(path.join("cmdline")).unwrap_or_default())
    });
    all.collect()
}

#[tokio::test]
async fn a_build_that_becomes_a_daemon() {
    ends("setsid sh -c 'trap \"\" HUP TERM INT; while :; do sleep 1; done' >/dev/null 2>&1 & sleep 100").await;
}

#[tokio::test]
async fn a_build_that_ignores_signals_and_stops_itself() {
    ends("trap '' HUP TERM INT QUIT TSTP USR1; kill -STOP $$; sleep 100").await;
}

#[tokio::test]
async fn a_build_that_forks_without_end() {
    ends("python3 -I -c 'import os\nwhile True:\n try: os.fork()\n except OSError: pass'").await;
}

#[tokio::test]
async fn a_build_that_fills_the_disk() {
    ends("python3 -I -c 'import os\nf = os.open(\"x\", os.O_CREAT | os.O_WRONLY)\nwhile True:\n try: os.write(f, bytes(1 << 20))\n except OSError: pass'").await;
}

#[tokio::test]
async fn a_build_that_makes_files_without_end() {
    ends("python3 -I -c 'import itertools\nfor i in itertools.count():\n try: open(f\"/tmp/{i}\", \"w\")\n except OSError: pass'").await;
}

#[tokio::test]
async fn a_build_that_opens_every_file() {
    let script = "python3 -I -c 'import os\nkept = []\nwhile True:\n for d, _, names in os.walk(\"/usr\"):\n  for n in names:\n   \
                  try: kept.append(open(d + \"/\" + n))\n   except OSError: pass'";
    ends(script).await;
}

#[tokio::test]
async fn a_build_that_writes_without_end() {
    ends("yes").await;
}

#[tokio::test]
async fn a_build_that_holds_its_output_open_is_not_waited_for() {
    let bench = Bench::new();
    let started = Instant::now();
    let (outcome, log) = bench.run("sleep 1000 & echo done").await;
    assert_eq!((outcome.exit, log.as_str()), (Exit::Success, "done\n"));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn all_of_them_for_an_ordinary_user() {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        all_again(AS_ORDINARY_USER, "all_of");
    }
}

#[test]
fn all_of_them_with_a_watch() {
    all_again_watched("all_of");
}
