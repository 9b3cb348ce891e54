// SPDX-License-Identifier: Apache-2.0
//! What a build sees, what it can't do, and that nothing of it stays.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reprove_model::{Exit, HeldBy, PeakMemory};
use reprove_runner::Sandbox;
use support::{AS_ORDINARY_USER, Bench, again, all_again, all_again_watched, sandbox};

/// The processes on this machine that have `marker` in their command line.
#[expect(clippy::disallowed_methods, reason = "all of them are wanted, in any order")]
fn processes_with(marker: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let id = path.file_name()?.to_str()?.parse().ok()?;
        let command_line = fs::read(path.join("cmdline")).ok()?;
        String::from_utf8_lossy(&command_line).contains(marker).then_some(id)
    });
    processes.collect()
}

#[tokio::test]
async fn what_the_build_sees_is_fixed() {
    let bench = Bench::new();
    let log =
        bench.log("id -u; id -g; hostname; pwd; umask; ls / | tr '\\n' ' '; ls /usr/local | wc -l; env | sort").await;
    let expected = "1000\n1000\nreprove\n/build/source\n0022\nbin build dev etc lib lib64 proc sys tmp usr 0\n\
                    PATH=/usr/bin:/bin\nPWD=/build/source\n";
    assert_eq!(log, expected);
    assert_eq!(bench.log("ls /dev | tr '\\n' ' '").await, "fd full null random shm stderr stdin stdout urandom zero ");
    assert_eq!(bench.log("ls /proc/self/fd | tr '\\n' ' '").await, "0 1 2 3 ", "0 to 2, and what ls itself opened");
    assert_eq!(bench.log("echo x > /dev/null; head -c 3 /dev/zero | wc -c").await, "3\n");
}

#[tokio::test]
async fn every_namespace_is_the_builds_own() {
    let bench = Bench::new();
    let (outcome, log) =
        bench.run("for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done").await;
    let inside: Vec<&str> = log.lines().collect();
    assert_eq!((inside.len(), outcome.enforced.namespaces.len()), (8, 8));
    for (name, inside) in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"].iter().zip(inside) {
        let outside = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(outside.to_str().unwrap(), inside);
    }
}

#[tokio::test]
async fn there_is_no_network() {
    let log = Bench::new()
        .log("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '; tail -n +2 /proc/net/route | wc -l")
        .await;
    assert_eq!(log, "lo\n0\n");
    let script =
        "import socket\ntry:\n socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError as e: print(e.errno)";
    let log = Bench::new().log(&format!("python3 -I -c \"{script}\"")).await;
    assert_eq!(log, "101\n", "ENETUNREACH");
}

#[tokio::test]
async fn a_loopback_device_of_its_own_is_up_where_it_is_asked_for() {
    let machine = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = machine.local_addr().unwrap().port();
    let script = format!(
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n\
         client = socket.create_connection(server.getsockname())\nserver.accept()[0].send(b'itself')\n\
         print(client.recv(9).decode())\nsocket.create_server(('::1', 0), family=socket.AF_INET6)\n\
         for place in [('127.0.0.1', {port}), ('192.0.2.1', 9)]:\n try: socket.create_connection(place, 1)\n \
         except OSError as e: print(e.errno)"
    );
    let bench = Bench::new();
    let mut request = bench.request(&format!("python3 -I -c \"{script}\"; ip link set lo down 2>&1 | wc -l"));
    request.loopback = true;
    let (outcome, log) = bench.run_request(request).await;
    assert_eq!(outcome.exit, Exit::Success, "{log}");
    assert!(log.starts_with("itself\n111\n101\n"), "ECONNREFUSED, ENETUNREACH: {log}");
    machine.set_nonblocking(true).unwrap();
    assert!(machine.accept().is_err(), "the machine's own port was reached");
}

#[tokio::test]
async fn nothing_but_the_build_directory_and_tmp_can_be_written() {
    let script = "for p in / /usr /usr/local /etc /etc/passwd /dev /proc/sys/kernel/hostname /inputs/i; do \
                  if (: > $p/x) 2>/dev/null || (: > $p) 2>/dev/null; then echo $p; fi; done; \
                  touch /tmp/x /build/x /build/source/x /dev/shm/x";
    let bench = Bench::new();
    let input = bench.dir.path().join("input");
    fs::write(&input, "input").unwrap();
    let mut request = bench.request(script);
    request.inputs = vec![(input.clone(), "/inputs/i".into())];
    let (outcome, log) = bench.run_request(request).await;
    assert_eq!((outcome.exit, log.as_str()), (Exit::Success, ""));
    assert_eq!(fs::read_to_string(input).unwrap(), "input");
}

#[tokio::test]
async fn there_is_no_power_to_gain() {
    let log = Bench::new().log("grep -E '^(Cap|NoNewPrivs|Groups)' /proc/self/status | tr -d ' \\t'").await;
    for line in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(log.contains(&format!("{line}:0000000000000000")), "{log}");
    }
    assert!(log.contains("NoNewPrivs:1"), "{log}");
    let script = "mount -t tmpfs none /tmp 2>/dev/null && echo mounted; mount -o remount,rw /usr 2>/dev/null && echo rw; \
                  hostname other 2>/dev/null && echo named; ls /proc/1/fd 2>/dev/null && echo seen; kill -9 1; echo on";
    assert_eq!(Bench::new().log(script).await, "on\n");
}

#[tokio::test]
async fn a_failing_step_is_told_from_a_killed_one() {
    let bench = Bench::new();
    let failed = |step, status| Exit::Status { step, status, out_of_memory: false };
    assert_eq!(bench.run("exit 7").await.0.exit, failed(0, 7));
    assert_eq!(bench.run("sh -c 'kill -KILL $$'; exit $?").await.0.exit, failed(0, 137));
    let killed = Exit::Signal { step: 0, signal: 15, out_of_memory: false };
    assert_eq!(bench.run("kill -TERM $$").await.0.exit, killed);
    let mut request = bench.request("true");
    request.commands.push(vec!["/bin/false".into()]);
    assert_eq!(bench.run_request(request).await.0.exit, failed(1, 1));
}

#[tokio::test]
async fn what_a_build_leaves_running_is_ended() {
    let bench = Bench::new();
    let marker = &format!("86399.0625{}", std::process::id());
    let script = format!("setsid sleep {marker} >/dev/null 2>&1 & (trap '' TERM HUP; sleep {marker}) & exit 0");
    let started = Instant::now();
    assert_eq!(bench.run(&script).await.0.exit, Exit::Success);
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(processes_with(marker), Vec::<i32>::new());
}

#[tokio::test]
async fn past_its_time_a_build_is_ended() {
    let bench = Bench::new();
    let marker = &format!("86399.03125{}", std::process::id());
    let mut request = bench.request(&format!("trap '' TERM; setsid sleep {marker} & sleep {marker}"));
    request.limits.seconds = 1;
    let (outcome, _) = bench.run_request(request).await;
    assert_eq!(outcome.exit, Exit::TimeOut);
    assert!(outcome.source.is_none());
    assert_eq!(processes_with(marker), Vec::<i32>::new());
    let mut request = bench.request("true");
    request.limits.seconds = 20;
    assert_eq!(bench.run_request(request).await.0.exit, Exit::Success);
}

#[tokio::test]
async fn a_run_that_is_given_up_leaves_nothing() {
    let bench = Bench::new();
    let marker = &format!("86399.015625{}", std::process::id());
    let run = bench.run_request(bench.request(&format!("sleep {marker} & sleep {marker}")));
    assert!(tokio::time::timeout(Duration::from_millis(1500), run).await.is_err());
    assert_eq!(processes_with(marker), Vec::<i32>::new());
}

/// A sandbox whose processes can be told from all others by the path of their program, and that path.
fn named_sandbox(bench: &Bench) -> (Sandbox, String) {
    let program = bench.dir.path().join("helper");
    // Written by another process: a child that another test forks meanwhile would keep it open, and what is open for writing
    // can't be started.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_reprove-sandbox")).arg(&program).status().unwrap();
    assert!(copied.success());
    (Sandbox::with_helper(program.clone()), program.to_str().unwrap().to_owned())
}

/// Waits until the helper and the first process are there.
fn wait_for_both(program: &str) {
    let start = Instant::now();
    while processes_with(program).len() != 2 {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", processes_with(program));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn what_was_prepared_goes_with_the_sandbox() {
    let bench = Bench::new();
    let (sandbox, program) = named_sandbox(&bench);
    let clone = sandbox.clone();
    sandbox.prepare();
    clone.prepare();
    drop(sandbox);
    wait_for_both(&program);
    drop(clone);
    // The kernel ends the first process with the helper where the runner has not heard of it yet.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(processes_with(&program), Vec::<i32>::new());
}

#[tokio::test]
async fn what_waited_is_each_runs_own() {
    let bench = Bench::new();
    let (sandbox, program) = named_sandbox(&bench);
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let script = format!(
        "for n in {}; do readlink /proc/self/ns/$n; done; hostname; head -1 /proc/meminfo; ls /tmp; ipcs -m | grep -c build || :; touch /tmp/left; ipcmk -M 1 >/dev/null",
        kinds.join(" ")
    );
    for limit in [64, 128, 256] {
        let mut request = bench.request(&script);
        request.followed = true;
        request.limits.memory_mib = limit;
        request.hostname = format!("host-{limit}");
        let outcome = sandbox.run(request).await.unwrap();
        let log = fs::read_to_string(bench.log_path()).unwrap();
        assert_eq!(outcome.exit, Exit::Success, "{log}");
        let mut lines = log.lines();
        for kind in kinds {
            let outside = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            assert_ne!(outside.to_str(), lines.next(), "{kind}");
        }
        let rest: Vec<&str> = lines.collect();
        assert_eq!(rest, [&format!("host-{limit}"), &format!("MemTotal: {:>14} kB", limit << 10), "0"], "{log}");
        wait_for_both(&program);
    }
}

#[tokio::test]
async fn one_that_was_ended_while_it_waited_is_not_used() {
    let bench = Bench::new();
    let (sandbox, program) = named_sandbox(&bench);
    sandbox.prepare();
    wait_for_both(&program);
    for id in processes_with(&program) {
        // With the first one the other ends as well.
        let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
    }
    while !processes_with(&program).is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(sandbox.run(bench.request("true")).await.unwrap().exit, Exit::Success);
}

#[tokio::test]
async fn the_disk_limit_holds_on_both_sides() {
    let bench = Bench::new();
    let with = |kib: u32| {
        let mut request = bench.request(&format!("head -c {kib}K /dev/zero > x"));
        request.limits.disk_mib = 8;
        request
    };
    assert_eq!(bench.run_request(with(7 << 10)).await.0.exit, Exit::Success);
    let (outcome, log) = bench.run_request(with(9 << 10)).await;
    assert!(matches!(outcome.exit, Exit::Status { .. }) && log.contains("No space left"), "{log}");
}

#[tokio::test]
async fn the_memory_limit_holds_on_both_sides() {
    let bench = Bench::new();
    let with = |mib: u32| {
        let mut request = bench.request(&format!("python3 -I -c 'x = bytearray({mib} << 20)'"));
        request.limits.memory_mib = 256;
        request
    };
    let (outcome, log) = bench.run_request(with(64)).await;
    assert_eq!(outcome.exit, Exit::Success, "{log}");
    let (PeakMemory::ControlGroup { bytes } | PeakMemory::LargestProcess { bytes }) = outcome.peak_memory;
    assert!((64 << 20..256 << 20).contains(&bytes), "{bytes}");
    let (outcome, _) = bench.run_request(with(512)).await;
    let ended = matches!(outcome.exit, Exit::Status { .. } | Exit::Signal { signal: 9, .. });
    assert!(ended, "{outcome:?}");
}

#[tokio::test]
async fn a_step_that_ends_since_memory_ran_out_inside_it_is_told() {
    let bench = Bench::new();
    let with = |status: &str| {
        let mut request = bench.request(&format!("python3 -I -c 'x = bytearray(512 << 20)' || exit {status}"));
        request.limits.memory_mib = 256;
        request
    };
    for (given, status) in [("$?", 137), ("3", 3)] {
        let (outcome, log) = bench.run_request(with(given)).await;
        if outcome.enforced.memory == HeldBy::ControlGroup {
            assert_eq!(outcome.exit, Exit::Status { step: 0, status, out_of_memory: true }, "{log}");
        }
    }
    let (outcome, log) = bench.run_request(with("0")).await;
    assert!(outcome.exit == Exit::Success && !outcome.exit.is_out_of_memory(), "{log}");
}

#[tokio::test]
async fn the_limit_of_processes_holds() {
    let bench = Bench::new();
    let mut request = bench.request("for i in $(seq 60); do sleep 5 & done; wait");
    request.limits.processes = 20;
    request.limits.seconds = 20;
    let (outcome, log) = bench.run_request(request).await;
    assert!(log.contains("fork") && outcome.exit != Exit::Success, "{:?} {log}", outcome.exit);
}

#[tokio::test]
async fn the_log_is_cut_at_its_limit_and_the_build_goes_on() {
    let bench = Bench::new();
    let mut request = bench.request("head -c 3M /dev/zero; touch reached");
    request.limits.log_mib = 1;
    let (outcome, log) = bench.run_request(request).await;
    assert_eq!((outcome.exit, log.len(), outcome.log.truncated), (Exit::Success, 1 << 20, true));
}

#[tokio::test]
async fn the_log_is_written_by_its_name_and_never_read() {
    let bench = Bench::new();
    let (outcome, log) = bench.run("echo a > /dev/stdout; echo b > /dev/stderr; ! (exec 3< /dev/stdout)").await;
    assert_eq!(outcome.exit, Exit::Success, "{log}");
    assert!(log.starts_with("a\nb\n"), "{log}");
}

#[tokio::test]
async fn processors_are_as_many_as_given() {
    let bench = Bench::new();
    let mut request = bench.request("nproc");
    request.processors = 1;
    assert_eq!(bench.run_request(request).await.1, "1\n");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_setup_error() {
    let bench = Bench::new();
    let mut request = bench.request("true");
    request.commands = vec![vec!["/no/such/program".into()]];
    let error = sandbox().run(request).await.unwrap_err().to_string();
    assert!(error.contains("/no/such/program") && error.contains("No such file"), "{error}");
}

#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        all_again(AS_ORDINARY_USER, "all_of");
    }
}

#[test]
fn all_of_it_holds_with_a_watch() {
    all_again_watched("all_of");
}

#[tokio::test]
async fn a_step_or_an_orphan_that_dies_of_a_real_time_signal_is_no_fault_of_the_machine() {
    let bench = Bench::new();
    let (outcome, log) = bench.run("kill -40 $$").await;
    assert_eq!(outcome.exit, Exit::Signal { step: 0, signal: 40, out_of_memory: false }, "{log}");
    bench.log("sh -c 'sh -c \"sleep 0.05; kill -40 \\$\\$\" &'; sleep 0.2").await;
}

#[tokio::test]
async fn a_build_cannot_have_its_first_process_run_a_handler_of_faults() {
    let log = Bench::new().log("grep SigCgt /proc/1/status; kill -BUS 1; kill -SEGV 1; sleep 0.05").await;
    let caught = u64::from_str_radix(log.trim().rsplit('\t').next().unwrap(), 16).unwrap();
    assert_eq!(caught & (1 << 6 | 1 << 10), 0, "{log}");
}

#[tokio::test]
async fn a_crash_is_nothing_to_the_machine() {
    let log = Bench::new().log("ulimit -c; ulimit -Hc; sh -c 'kill -SEGV $$' || echo crashed").await;
    // In blocks of 512 bytes: one byte, below which the kernel writes nothing, and with which it starts nothing either.
    assert!(log.starts_with("0\n0\n"), "{log}");
    let limits = Bench::new().log("grep core /proc/self/limits").await;
    assert_eq!(limits.split_whitespace().collect::<Vec<_>>(), ["Max", "core", "file", "size", "1", "1", "bytes"]);
}

/// In a user namespace that has a format of its own, with a program that is open already.
const WITH_A_FORMAT: &str = "exec unshare -rm sh -ec 'mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; \
     echo :reprovetest:M::RPTEST01::/bin/echo:F > /proc/sys/fs/binfmt_misc/register; printf RPTEST01 > f; chmod 755 f; \
     test \"$(./f)\" = ./f; touch reached; exec \"$@\"' sh \"$@\"";

#[test]
fn the_machines_formats_of_programs_are_not_a_builds() {
    again(WITH_A_FORMAT, "started_with_a_format");
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn started_with_a_format() {
    let log = Bench::new().log("printf RPTEST01 > f; chmod 755 f; ./f || echo none").await;
    assert!(!log.contains("./f\n") && log.ends_with("none\n"), "{log}");
}
