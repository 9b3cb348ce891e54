// SPDX-License-Identifier: Apache-2.0
//! What a build whose clock is moved sees of time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use reprove_model::{Exit, Loss, RecordMode};
use support::project::Watched;
use support::{AS_ORDINARY_USER, again};

/// 2033-05-18T03:33:20Z.
const MOVED: u64 = 2_000_000_000;
/// No build here takes longer.
const MOST_SECONDS: u64 = 100;

/// Prints what time it is in as many ways as there are, one number of seconds a line, and waits until times of that clock.
const ASKS: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void *asks(void *unused) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    printf("%ld\n", t.tv_sec);
    return unused;
}

static struct timespec soon(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 100000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

int main(void) {
    struct timespec t;
    struct timeval v;
    struct stat st;
    struct statx sx;
    asks(0);
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    gettimeofday(&v, 0);
    printf("%ld\n%ld\n%ld\n%ld\n", t.tv_sec, v.tv_sec, time(0), syscall(SYS_time, 0));
    FILE *file = fopen("made", "w");
    fputs("x", file);
    fclose(file);
    stat("made", &st);
    printf("%ld\n%ld\n%ld\n", st.st_atime, st.st_mtime, st.st_ctime);
    lstat(".", &st);
    statx(AT_FDCWD, "made", 0, STATX_ALL, &sx);
    printf("%ld\n%lld\n%lld\n", st.st_mtime, (long long)sx.stx_mtime.tv_sec, (long long)sx.stx_btime.tv_sec);
    fflush(stdout);
    pthread_t thread;
    pthread_create(&thread, 0, asks, 0);
    pthread_join(thread, 0);

    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    sem_t semaphore;
    pthread_mutex_lock(&mutex);
    t = soon();
    if (pthread_cond_timedwait(&condition, &mutex, &t) != ETIMEDOUT) return 1;
    t = soon();
    if (pthread_mutex_timedlock(&mutex, &t) != ETIMEDOUT) return 2;
    sem_init(&semaphore, 0, 0);
    t = soon();
    if (sem_timedwait(&semaphore, &t) != -1 || errno != ETIMEDOUT) return 3;
    t = soon();
    if (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, 0)) return 4;
    struct itimerspec timer = {.it_value = soon()};
    int descriptor = timerfd_create(CLOCK_REALTIME, 0);
    uint64_t ticks;
    if (timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &timer, 0) || read(descriptor, &ticks, 8) != 8) return 5;
    t.tv_sec = 0, t.tv_nsec = 1000;
    if (nanosleep(&t, 0) || clock_gettime(CLOCK_MONOTONIC, &t) || t.tv_sec < 100000 || t.tv_sec > 200000) return 6;
    return 0;
}
"#;

fn moved(mode: RecordMode, files: &[(&str, &str)], script: &str) -> Watched {
    Watched::new(mode, files, script).moved(MOVED, None)
}

/// What the build of this project printed; it ends well, and its clock was moved everywhere.
async fn printed(project: Watched) -> String {
    let built = project.build().await.unwrap();
    let log = fs::read_to_string(&built.log).unwrap();
    assert_eq!(built.record.exit, Exit::Success, "{log}");
    assert_eq!(built.record.undetermined, Some(BTreeSet::new()), "{log}");
    log
}

/// The seconds after the moved clock's beginning that each line says.
fn seconds(log: &str) -> Vec<u64> {
    let second = |line: &str| line.parse::<u64>().unwrap_or_else(|_| panic!("{log}")).checked_sub(MOVED);
    log.lines().map(|line| second(line).unwrap_or_else(|| panic!("{log}"))).collect()
}

const EVERYONE: &str = "gcc -pthread -o asks asks.c && ./asks && gcc -static -pthread -o asks asks.c && ./asks && \
     date +%s && /usr/bin/python3 -c 'import os, time; print(int(time.time()), int(os.stat(\".\").st_mtime), sep=\"\\n\")'; \
     mkdir out; stat -c %Y out; stat -c %Y made; touch -d @2000000003 made; stat -c %Y made; cp -p made again; stat -c %Y again";

#[tokio::test]
async fn every_program_sees_the_moved_clock_and_waits_by_it() {
    for mode in [RecordMode::Declared, RecordMode::Full] {
        let said = seconds(&printed(moved(mode, &[("asks.c", ASKS)], EVERYONE)).await);
        assert_eq!(said.len(), 12 + 12 + 3 + 4, "{said:?}");
        assert!(said.iter().all(|second| *second < MOST_SECONDS), "{said:?}");
        assert_eq!(said[said.len() - 2..], [3, 3]);
    }
}

#[tokio::test]
async fn a_clock_may_go_faster() {
    let script = "mkdir out; a=$(date +%s%N); sleep 1; b=$(date +%s%N); echo $(( (b - a) / 1000000 )); \
                  touch x; sleep 1; touch y; expr $(stat -c %Y y) - $(stat -c %Y x)";
    let project = Watched::new(RecordMode::Declared, &[], script).moved(MOVED, Some(5));
    let log = printed(project).await;
    let said: Vec<u64> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert!((5_000..50_000).contains(&said[0]) && (4..50).contains(&said[1]), "{log}");
}

/// What is older is made again, and nothing else; and nothing seems to come from the future.
const MAKE: &str = "mkdir out; printf 'b: a\n\tcp a b\n\techo made >> log\n' > Makefile; echo 1 > a; make b; make b; \
     sleep 0.02; echo 2 > a; make b; make b; cat b log; test b -nt a; test ! a -nt b; tar -cf a.tar a; tar -xf a.tar; make b";

#[tokio::test]
async fn make_knows_what_is_older() {
    let log = printed(moved(RecordMode::Files, &[], MAKE)).await;
    assert!(log.contains("2\nmade\nmade\n") && log.matches("cp a b").count() <= 3, "{log}");
    assert!(!log.contains("skew") && !log.contains("future"), "{log}");
}

/// A program whose memory nobody but root can look into.
const NOT_READABLE: &str = "mkdir out; cp /usr/bin/date date; chmod 111 date; ./date +%s; test ! -r date";

#[tokio::test]
async fn root_reaches_a_program_that_may_not_be_read() {
    assert!(seconds(&printed(moved(RecordMode::Declared, &[], NOT_READABLE)).await)[0] < MOST_SECONDS);
}

/// Waits by clocks that count from a start, and until times that stand where nobody can write.
const WAITS: &str = r#"
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const struct timespec over = {1500000000, 0};

int main(void) {
    struct timespec t;
    sem_t semaphore;
    char ticks[8];
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += 1;
    if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0)) return 1;
    struct itimerspec timer = {.it_value = t};
    int descriptor = timerfd_create(CLOCK_MONOTONIC, 0);
    if (timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &timer, 0) || read(descriptor, ticks, 8) != 8) return 2;
    sem_init(&semaphore, 0, 0);
    if (sem_timedwait(&semaphore, &over) != -1 || errno != ETIMEDOUT) return 3;
    puts("waited");
}
"#;

#[tokio::test]
async fn a_clock_that_is_moved_back_holds_nobody_up() {
    let script =
        "mkdir out; gcc -pthread -o waits waits.c; ./waits; /usr/bin/python3 -c 'import time; time.sleep(0.2)'";
    // Between the time that stands there and the machine's, and before it.
    for second in [1_000_000_000, 1_600_000_000] {
        let project = Watched::new(RecordMode::Files, &[("waits.c", WAITS)], script).moved(second, None);
        assert_eq!(printed(project).await, "waited\n");
    }
}

/// Signals whose handler does not restart calls.
const SIGNALS: &str = "import signal, time\nsignal.signal(signal.SIGALRM, lambda *_: None)\nsignal.siginterrupt(signal.SIGALRM, True)\n\
     signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\nend = time.monotonic() + 2\nwhile time.monotonic() < end: assert time.time() > 1\n\
     signal.setitimer(signal.ITIMER_REAL, 0)\n";

#[tokio::test]
async fn a_signal_ends_no_reading_of_the_clock() {
    let project = moved(RecordMode::Declared, &[("signals.py", SIGNALS)], "mkdir out; /usr/bin/python3 signals.py");
    assert_eq!(printed(project).await, "");
}

/// Calls that the kernel refuses end nothing but themselves.
const REFUSED: &str = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nroom = ctypes.create_string_buffer(256)\n\
     for flags, mask in [(0x6000, 0xfff), (0, 0x80000fff)]:\n\
    \x20   print(libc.syscall(332, -100, b'.', flags, ctypes.c_uint(mask), room), ctypes.get_errno())\n\
     print(libc.syscall(449, room, 1, 0, room, 0), ctypes.get_errno())\n";

#[tokio::test]
async fn what_the_kernel_refuses_is_refused() {
    if cfg!(target_arch = "x86_64") {
        let project = moved(RecordMode::Declared, &[("r.py", REFUSED)], "mkdir out; /usr/bin/python3 r.py");
        assert_eq!(printed(project).await, "-1 22\n-1 22\n-1 38\n");
    }
}

/// Times in a process's account are the machine's.
#[tokio::test]
async fn what_is_not_moved_is_said() {
    let project = moved(RecordMode::Declared, &[], "mkdir out; stat -L -c %Y /proc/self");
    let built = project.build().await.unwrap();
    assert_eq!(built.record.undetermined, Some([Loss::Unresolved].into()));
}

#[test]
fn an_ordinary_user_s_build_sees_it_too() {
    again(AS_ORDINARY_USER, "started_as_an_ordinary_user");
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn started_as_an_ordinary_user() {
    let said = seconds(&printed(moved(RecordMode::Files, &[("asks.c", ASKS)], EVERYONE)).await);
    assert!(said.iter().all(|second| *second < MOST_SECONDS), "{said:?}");
    let built = moved(RecordMode::Declared, &[], NOT_READABLE).build().await.unwrap();
    assert_eq!(built.record.undetermined, Some([Loss::Closed].into()));
}
