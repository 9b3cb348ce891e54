// SPDX-License-Identifier: Apache-2.0
//! What of its caller, and of the first process, a build can't reach; and how a run ends that its surroundings end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use reprove_model::{Enforced, Exit, IsolationLevel};
use reprove_runner::SandboxError;
use support::{AS_ORDINARY_USER, AS_USER_WITH_LENT_IDS, Bench, again, sandbox};

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn no_group_of_its_caller_is_a_builds() {
    again("touch reached; exec setpriv --groups 0,4 \"$@\"", "as_root_in_groups");
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn as_root_in_groups() {
    assert!(is_root());
    let bench = Bench::new();
    assert_eq!(bench.log("grep ^Groups: /proc/self/status | tr -d ' \\t'").await, "Groups:\n");
}

/// Looks for a key by its name, in the keyrings that a process possesses; `add` adds it to the session's.
fn key_script(add: bool) -> String {
    let (add_key, request_key) = (libc::SYS_add_key, libc::SYS_request_key);
    let add =
        if add { format!("c.syscall({add_key}, b'user', b'reprove-test', b'secret', 6, -3)") } else { "0".into() };
    format!(
        "python3 -I -c \"import ctypes; c = ctypes.CDLL(None); c.syscall.restype = ctypes.c_long; a = {add}; \
         print('there' if c.syscall({request_key}, b'user', b'reprove-test', None, 0) > 0 else 'nothing')\""
    )
}

#[test]
fn no_key_of_its_caller_or_of_another_build_is_a_builds() {
    let (keyctl, join) = (libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING);
    let script = format!(
        "exec python3 -I -c \"import ctypes, os, sys; c = ctypes.CDLL(None); \
         s = c.syscall({keyctl}, {join}, None); s > 0 or sys.exit('no keyrings'); open('reached', 'w'); \
         os.execv(sys.argv[1], sys.argv[1:])\" \"$@\""
    );
    again(&script, "in_a_session_with_a_key");
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn in_a_session_with_a_key() {
    let here = |add| {
        let output = Command::new("/bin/sh").args(["-c", &key_script(add)]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!((here(true).as_str(), here(false).as_str()), ("there\n", "there\n"));
    let bench = Bench::new();
    assert_eq!(bench.log(&key_script(false)).await, "nothing\n");
    assert_eq!(bench.log(&key_script(true)).await, "nothing\n", "to a build there are no keyrings");
}

/// Takes every limit of the first process that is of use to it, and then from it.
const TAKE_LIMITS: &str = "python3 -I -c \"
import resource
for name in 'NOFILE', 'NPROC', 'FSIZE', 'MEMLOCK', 'AS', 'DATA':
    try:
        resource.prlimit(1, getattr(resource, 'RLIMIT_' + name), (0, 0))
        print(name)
    except PermissionError:
        pass
\"";

#[tokio::test]
async fn no_limit_of_the_first_process_keeps_the_outputs_from_being_taken() {
    let bench = Bench::new();
    let (outcome, log) = bench.run(&format!("echo made > output; {TAKE_LIMITS}")).await;
    assert_eq!(outcome.exit, Exit::Success, "{log}");
    let output = rustix::fs::openat(
        outcome.source.unwrap().as_fd(),
        "output",
        rustix::fs::OFlags::RDONLY,
        rustix::fs::Mode::empty(),
    );
    assert_eq!(std::io::read_to_string(fs::File::from(output.unwrap())).unwrap(), "made\n");
    if outcome.enforced.separate_user {
        assert_eq!(log, "", "the limits of the first process are not the build's to change");
    }

    let mut request = bench.request(&format!("{TAKE_LIMITS} > limits"));
    request.commands.push(vec!["/bin/cat".into(), "limits".into()]);
    request.commands.push(vec!["/no/such/program".into()]);
    let (outcome, log) = bench.run_request(request).await;
    // Where a build can have that its next step can't start, it is the build that has failed.
    let (step, status) = if log.contains("No such file") { (2, 127) } else { (1, 126) };
    assert_eq!(outcome.exit, Exit::Status { step, status, out_of_memory: false }, "{log}");
    assert!(step == 2 || !outcome.enforced.separate_user, "{log}");
}

#[test]
fn nor_does_one_of_an_ordinary_users() {
    if is_root() {
        again(AS_ORDINARY_USER, "as_an_ordinary_user");
    }
}

#[test]
#[ignore = "started by the test above"]
fn as_an_ordinary_user() {
    assert!(!is_root());
    no_limit_of_the_first_process_keeps_the_outputs_from_being_taken();
}

#[test]
fn ids_that_are_lent_to_a_user_are_its_builds() {
    if is_root() {
        again(AS_USER_WITH_LENT_IDS, "as_a_user_with_lent_ids");
    }
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn as_a_user_with_lent_ids() {
    let bench = Bench::new();
    let (outcome, log) = bench.run("id -u; id -G; cat /proc/self/uid_map | tr -s ' '").await;
    assert!(outcome.enforced.separate_user && outcome.enforced.separate_groups, "{outcome:?}");
    // An older kernel's Landlock keeps no signals and sockets inside.
    let has_scopes = outcome.enforced.landlock >= Enforced::LANDLOCK_SCOPES;
    let level = if has_scopes { IsolationLevel::Strong } else { IsolationLevel::Basic };
    assert_eq!(outcome.enforced.level(), Some(level), "{outcome:?}");
    assert_eq!(log, "1000\n1000\n 1000 365535 1\n");
    let output = outcome.source.unwrap();
    assert_eq!(rustix::fs::fstat(&output).unwrap().st_uid, 365_535);
}

#[tokio::test]
async fn weaker_walls_than_are_demanded_run_nothing() {
    let bench = Bench::new();
    // Also where the namespaces were made before anything was demanded.
    for (level, ahead) in IsolationLevel::ALL.into_iter().flat_map(|level| [(level, false), (level, true)]) {
        let sandbox = sandbox();
        if ahead {
            sandbox.prepare();
        }
        let ran = sandbox.demanding(level).run(bench.request("echo ran; sleep 1")).await;
        let log = fs::read_to_string(bench.log_path()).unwrap();
        match ran {
            Ok(outcome) => assert!(outcome.enforced.level() >= Some(level) && log == "ran\n", "{outcome:?} {log}"),
            Err(SandboxError::Weak { wanted, reached }) => {
                assert!(wanted == level && reached < Some(level) && reached >= Some(IsolationLevel::Basic));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_is_demanded_of_an_ordinary_users_is_refused_where_it_is_not_there() {
    if is_root() {
        again(AS_ORDINARY_USER, "as_an_ordinary_user_who_demands");
    }
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn as_an_ordinary_user_who_demands() {
    let bench = Bench::new();
    assert!(sandbox().run(bench.request("true")).await.is_ok());
    for ahead in [false, true] {
        let sandbox = sandbox();
        if ahead {
            sandbox.prepare();
        }
        let sandbox = sandbox.demanding(IsolationLevel::Full);
        // The runner does not look for so long that the step would have run.
        let busy = async { std::thread::sleep(Duration::from_millis(300)) };
        let (ran, ()) = tokio::join!(sandbox.run(bench.request("echo ran; sleep 1")), busy);
        let error = ran.unwrap_err();
        assert!(matches!(error, SandboxError::Weak { wanted: IsolationLevel::Full, .. }), "{error}");
        assert_eq!(fs::read_to_string(bench.log_path()).unwrap(), "");
    }
}

#[tokio::test]
async fn files_past_the_memory_limit_are_out_of_memory() {
    let bench = Bench::new();
    for script in ["while :; do head -c 64M /dev/zero >> file; done", "cat /dev/zero > /dev/shm/file"] {
        let mut request = bench.request("");
        let step = vec!["/bin/sh".into(), "-c".into(), format!("exec 2> /dev/null; {script}")];
        request.commands = vec![vec!["/bin/true".into()], step, vec!["/bin/true".into()]];
        (request.limits.memory_mib, request.limits.disk_mib) = (64, 4096);
        let outcome = sandbox().run(request).await.unwrap();
        let killed = Exit::Signal { step: 1, signal: 9, out_of_memory: true };
        let told = Exit::Status { step: 1, status: 137, out_of_memory: true };
        assert!(outcome.exit == killed || outcome.exit == told, "{outcome:?}");
    }
}

#[test]
fn what_is_mounted_below_a_part_comes_with_it() {
    let script = "exec unshare -m sh -ec 'mkdir -p part/below; mount -t tmpfs none part/below; echo it > part/below/file; \
                  mount -t tmpfs none /usr/local; touch /usr/local/x reached; exec \"$@\"' sh \"$@\"";
    again(script, "with_mounts_below");
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn with_mounts_below() {
    let mut bench = Bench::new();
    assert!(fs::exists("/usr/local/x").unwrap());
    bench.root.binds.push((fs::canonicalize("part").unwrap(), "/part".into()));
    let script = "ls /usr/local; cat /part/below/file; (: > /part/below/file) 2>/dev/null || echo read-only";
    assert_eq!(bench.log(script).await, "it\nread-only\n");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_the_run() {
    let bench = Bench::new();
    let mut request = bench.request("echo a line; sleep 25");
    request.log = "/dev/full".into();
    let started = Instant::now();
    let error = sandbox().run(request).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(matches!(&error, SandboxError::Io { source, .. } if source.kind() == ErrorKind::StorageFull), "{error:?}");
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(source.map(std::io::Error::kind), Some(ErrorKind::StorageFull));
}
