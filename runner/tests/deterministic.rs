// SPDX-License-Identifier: Apache-2.0
//! What a deterministic build is told is the same each time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use reprove_model::{Clock, Exit, Loss, RecordMode};
use reprove_runner::Built;
use support::project::Watched;
use support::{AS_ORDINARY_USER, AS_USER_WITH_LENT_IDS, again};

/// Prints all that a program may take in of the moment and the machine, from a dynamic and from a static program.
const ASKS: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static int global;

static void *asks(void *unused) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    printf("thread %ld.%09ld\n", t.tv_sec, t.tv_nsec);
    return unused;
}

int main(void) {
    struct timespec t;
    struct timeval v;
    struct utsname u;
    struct sysinfo s;
    struct stat st;
    struct statx sx;
    unsigned char r[16], *a = (unsigned char *)getauxval(AT_RANDOM);
    unsigned cpu, node;
    clock_gettime(CLOCK_REALTIME, &t);
    printf("clock %ld.%09ld\n", t.tv_sec, t.tv_nsec);
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    printf("coarse %ld.%09ld\n", t.tv_sec, t.tv_nsec);
    gettimeofday(&v, 0);
    printf("day %ld.%06ld\n", v.tv_sec, v.tv_usec);
    printf("time %ld %ld\n", time(0), syscall(SYS_time, 0));
    printf("random %zd", getrandom(r, sizeof r, 0));
    for (int i = 0; i < 16; i++) printf(" %02x %02x", r[i], a[i]);
    uname(&u);
    printf("\nuname %s %s %s %s %s\n", u.sysname, u.nodename, u.release, u.version, u.machine);
    sysinfo(&s);
    printf("info %ld %lu %lu %u %d\n", s.uptime, s.totalram, s.freeram, s.mem_unit, s.procs);
    getcpu(&cpu, &node);
    printf("cpu %u %u of %ld, %d\n", cpu, node, sysconf(_SC_NPROCESSORS_ONLN), sched_getcpu() >= 0);
    printf("at %p %p %p %d\n", (void *)&global, (void *)&t, malloc(10), (int)getpid());
    mkdir("made", 0700);
    FILE *file = fopen("made/now", "w");
    fputs("x", file);
    fclose(file);
    stat("made/now", &st);
    printf("stat %ld %ld %ld\n", st.st_atime, st.st_mtime, st.st_ctime);
    statx(AT_FDCWD, "made/now", 0, STATX_ALL, &sx);
    printf("statx %lld %lld\n", (long long)sx.stx_mtime.tv_sec, (long long)sx.stx_btime.tv_sec);
    fstat(fileno(stdout), &st);
    lstat("made", &st);
    printf("lstat %ld %lu\n", st.st_mtime, st.st_ino);
    fflush(stdout);
    pthread_t thread;
    pthread_create(&thread, 0, asks, 0);
    pthread_join(thread, 0);
}
"#;

const SCRIPT: &str = "mkdir out; date +%s; date +%s.%N; gcc -pthread -o asks asks.c; ./asks; rm -r made; \
     gcc -static -pthread -o asks asks.c; ./asks; mktemp; uname -a; head -c 16 /dev/urandom | od -tx1; \
     cat /proc/cpuinfo /proc/uptime /proc/version /proc/sys/kernel/osrelease /proc/sys/kernel/random/uuid; \
     /usr/bin/python3 -c 'import os, random, time, uuid; print(hash(\"x\"), random.random(), uuid.uuid4(), time.time_ns(), \
     int(os.stat(\".\").st_mtime), os.getpid(), id(os))'; echo $$ $PPID; touch one; ls -l --time-style=+%s one; \
     tar -cf out/one.tar one; sha256sum out/one.tar";

/// What a build came to, and what it printed.
async fn run(project: Watched) -> (Built, String) {
    let project = project.deterministic();
    let built = project.build().await.unwrap();
    let log = fs::read_to_string(&built.log).unwrap();
    assert_eq!(built.record.exit, Exit::Success, "{log}");
    (built, log)
}

/// The same project; its build begins in namespaces that have waited for it.
fn waited_for(project: Watched) -> Watched {
    project.sandbox.prepare();
    std::thread::sleep(Duration::from_millis(50));
    project
}

fn script(mode: RecordMode, script: &str) -> Watched {
    Watched::new(mode, &[("x", "")], script)
}

fn asking(mode: RecordMode) -> Watched {
    Watched::new(mode, &[("asks.c", ASKS)], SCRIPT)
}

#[tokio::test]
async fn two_builds_are_told_the_same() {
    let (first, log) = run(asking(RecordMode::Files)).await;
    let (again, its_log) = run(waited_for(asking(RecordMode::Full))).await;
    assert_eq!(log, its_log);
    assert_eq!(first.record.outputs, again.record.outputs);
    assert_eq!(first.record.conditions.clock, Clock::Fixed(Clock::DETERMINISTIC));
    assert_eq!(first.record.undetermined, Some(BTreeSet::new()));
    assert_eq!((&first.record.observed.lost, &again.record.observed.lost), (&BTreeSet::new(), &BTreeSet::new()));
    assert!(log.starts_with("1000000000\n1000000000."), "{log}");
    for line in
        ["stat 1000000000 1000000000 1000000000\n", "statx 1000000000 1000000000\n", "time 1000000000 1000000000\n"]
    {
        assert_eq!(log.matches(line).count(), 2, "{line} {log}");
    }
    assert!(log.contains("-rw-r--r-- 1 build "), "{log}");
    assert!(log.contains("uname Linux reprove 6.1.0-reprove #1 SMP"), "{log}");
}

#[tokio::test]
async fn another_recipe_is_told_something_else() {
    let log = async |n: u32| {
        let asks = format!("mkdir out; head -c 16 /dev/urandom | od -tx1; mktemp; : {n}");
        let (built, log) = run(script(RecordMode::Declared, &asks)).await;
        assert_eq!(built.record.undetermined, Some(BTreeSet::new()));
        log
    };
    assert_eq!(log(1).await, log(1).await);
    assert_ne!(log(1).await, log(2).await);
}

#[tokio::test]
async fn a_build_that_is_no_deterministic_one_is_told_the_truth() {
    let project = script(RecordMode::Files, "mkdir out; date +%s; touch y; stat -c %Y y");
    let built = project.build().await.unwrap();
    assert_eq!(built.record.undetermined, None);
    let log = fs::read_to_string(&built.log).unwrap();
    assert!(log.lines().all(|line| line.parse::<u64>().unwrap() > 1_700_000_000), "{log}");
}

/// What is older is made again, and nothing else; and nothing seems to come from the future.
const MAKE: &str = "mkdir out; printf 'b: a\\n\\tcp a b\\n\\techo made >> log\\n' > Makefile; echo 1 > a; make b; make b; \
     sleep 0.02; echo 2 > a; make b; make b; cat b log; test b -nt a; test ! a -nt b; find . -newer a";

#[tokio::test]
async fn make_knows_what_is_older() {
    let (_, log) = run(script(RecordMode::Files, MAKE)).await;
    assert!(log.contains("2\nmade\nmade\n") && log.matches("cp a b").count() == 2, "{log}");
    assert!(!log.contains("skew") && !log.contains("future"), "{log}");
}

/// Calls whose arguments mean nothing, or that the kernel refuses.
const HOSTILE: &str = r#"
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    result = libc.syscall(*[ctypes.c_ulong(a) for a in arguments])
    return (result, ctypes.get_errno() if result < 0 else 0)
bad = [0, 1, 8, 2**63, 2**64 - 1]
for number in [4, 5, 6, 96, 98, 99, 63, 201, 228, 262, 309, 318, 332]:
    for pointer in bad:
        for other in bad:
            call(number, pointer, other, other, pointer, pointer)
print(call(318, 8, 2**62, 0), call(318, 8, 16, 64), call(228, 0, 8), call(228, 77, 8), call(63, 8), call(99, 1))
buffer = ctypes.create_string_buffer(1 << 22)
print(call(318, ctypes.addressof(buffer), 1 << 22, 0), call(4, 8, ctypes.addressof(buffer)))
os.mkdir("shut"); open("shut/in", "w").close(); os.chmod("shut", 0)
try: os.stat("shut/in"); print("seen")
except PermissionError: print("denied")
os.chmod("shut", 0o700)
pipe = os.pipe(); print(os.fstat(pipe[0]).st_mode >> 12, int(os.stat("/proc/self/exe").st_mtime) > 0)
"#;

#[tokio::test]
async fn arguments_that_mean_nothing_are_refused_as_the_kernel_does() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let project = Watched::new(RecordMode::Declared, &[("h.py", HOSTILE)], "mkdir out; /usr/bin/python3 h.py");
    let (_, log) = run(project).await;
    let expected = "(-1, 14) (-1, 22) (-1, 14) (-1, 22) (-1, 14) (-1, 14)\n(1048576, 0) (-1, 14)\ndenied\n1 True\n";
    assert_eq!(log, expected);
}

/// Times by paths that lead through the account of a process.
#[tokio::test]
async fn times_are_the_same_by_whatever_path_or_are_said_not_to_be() {
    for (path, told) in [
        ("/proc/self/fd/3", true),
        ("/dev/fd/3", true),
        ("/dev/stdin", true),
        ("/proc/self/cwd/made", true),
        ("/proc/self/root/build/source/made", true),
        ("link", true),
        ("$PWD/../source/made", true),
        ("gate/build/source/made", false),
        ("/proc/$$/cwd/made", false),
    ] {
        let asks = format!(
            "mkdir out; echo > made; ln -s made link; ln -s /proc/self/root gate; \
             stat -L -c %Y {path} 3< made < made; stat -c %Y nothing || true"
        );
        let (built, log) = run(script(RecordMode::Declared, &asks)).await;
        let second = log.lines().find_map(|line| line.parse::<u64>().ok()).unwrap_or_else(|| panic!("{path}: {log}"));
        assert_eq!(second == Clock::DETERMINISTIC, told, "{path} {second}");
        let undetermined = built.record.undetermined.unwrap();
        assert_eq!(undetermined, if told { BTreeSet::new() } else { [Loss::Unresolved].into() }, "{path}");
    }
}

const NOT_READABLE: &str = "mkdir out; cp /usr/bin/date date; chmod 111 date; ./date +%s; test ! -r date";

#[tokio::test]
async fn root_reaches_a_program_that_may_not_be_read() {
    let (built, log) = run(script(RecordMode::Declared, NOT_READABLE)).await;
    assert_eq!((log.as_str(), built.record.undetermined), ("1000000000\n", Some(BTreeSet::new())));
}

#[test]
fn an_ordinary_user_s_build_is_told_the_same() {
    again(AS_ORDINARY_USER, "started_as_another_user");
}

#[test]
fn a_build_with_lent_ids_is_told_the_same() {
    again(AS_USER_WITH_LENT_IDS, "started_as_another_user");
}

#[tokio::test]
#[ignore = "started by the tests above"]
async fn started_as_another_user() {
    let (first, log) = run(asking(RecordMode::Files)).await;
    let (_, its_log) = run(waited_for(asking(RecordMode::Files))).await;
    assert_eq!(log, its_log);
    assert_eq!(first.record.undetermined, Some(BTreeSet::new()));
    assert_eq!(log.matches("stat 1000000000 1000000000 1000000000\n").count(), 2);
    let (built, log) = run(script(RecordMode::Declared, NOT_READABLE)).await;
    assert_ne!(log, "1000000000\n");
    assert_eq!(built.record.undetermined, Some([Loss::Closed].into()));
}
