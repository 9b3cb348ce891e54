// SPDX-License-Identifier: Apache-2.0
//! What a build sees of the machine: what it is given, and nothing that changes by itself.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use reprove_model::{Exit, Limits};
use support::{AS_ORDINARY_USER, Bench, all_again, all_again_watched};

#[tokio::test]
async fn every_way_to_count_processors_gives_those_that_are_given() {
    let bench = Bench::new();
    let count = "nproc; getconf _NPROCESSORS_ONLN; getconf _NPROCESSORS_CONF; grep -c ^processor /proc/cpuinfo; \
                 grep -c '^cpu[0-9]' /proc/stat; ls -d /sys/devices/system/cpu/cpu[0-9]* | wc -l; \
                 python3 -I -c 'import os; print(len(os.sched_getaffinity(0)), os.cpu_count())'";
    let here = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    for processors in [1, here] {
        let mut request = bench.request(count);
        request.processors = processors;
        let (outcome, log) = bench.run_request(request).await;
        assert_eq!(outcome.exit, Exit::Success, "{log}");
        let counts: Vec<&str> = log.split_whitespace().collect();
        assert_eq!(counts, vec![processors.to_string(); 8]);
    }
}

#[tokio::test]
async fn no_build_takes_more_processors_than_it_is_given() {
    let bench = Bench::new();
    let script = "python3 -I -c 'import os\ntry: os.sched_setaffinity(0, range(8))\nexcept PermissionError as e: \
                  print(e.errno)'; nproc";
    let mut request = bench.request(script);
    request.processors = 1;
    let (_, log) = bench.run_request(request).await;
    assert_eq!(log, "1\n1\n", "EPERM, and still one processor");
}

#[tokio::test]
async fn memory_is_shown_as_it_is_limited() {
    let bench = Bench::new();
    let mut request = bench.request("grep -E '^Mem(Total|Available)' /proc/meminfo | tr -s ' '");
    request.limits = Limits { memory_mib: 300, seconds: 30, ..Limits::default() };
    let (_, log) = bench.run_request(request).await;
    assert_eq!(log, "MemTotal: 307200 kB\nMemAvailable: 307200 kB\n");
}

#[tokio::test]
async fn proc_is_read_only_and_says_nothing_of_the_machine() {
    let bench = Bench::new();
    let script = "cat /proc/cmdline /proc/loadavg /proc/sys/kernel/random/boot_id; cat /proc/keys /proc/interrupts \
                  /proc/timer_list 2>&1; ls /proc/bus /proc/fs /proc/irq 2>&1; \
                  for f in /proc/self/oom_score_adj /proc/self/comm /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do \
                  (echo 1 > $f) 2>/dev/null && echo wrote $f; done; grep -c ' / /proc .*ro,' /proc/self/mountinfo";
    let (outcome, log) = bench.run(script).await;
    let expected =
        "\n0.00 0.00 0.00 1/1 1\n00000000-0000-4000-8000-000000000000\n/proc/bus:\n\n/proc/fs:\n\n/proc/irq:\n1\n";
    assert_eq!((outcome.exit, log.as_str()), (Exit::Success, expected));
    let files = bench.log("find /sys -type f | sort; cat /sys/devices/system/cpu/online | wc -l").await;
    let folder = "/sys/devices/system/cpu";
    assert_eq!(files, format!("{folder}/online\n{folder}/possible\n{folder}/present\n1\n"));
}

#[tokio::test]
async fn the_machines_clocks_begin_anew_with_each_build() {
    let bench = Bench::new();
    let script = "python3 -I -c 'import time; print(int(time.clock_gettime(time.CLOCK_MONOTONIC)), \
                  int(time.clock_gettime(time.CLOCK_BOOTTIME)))'; cut -d. -f1 /proc/uptime";
    for _ in 0..2 {
        let log = bench.log(script).await;
        let seconds: Vec<u64> = log.split_whitespace().map(|text| text.parse().unwrap()).collect();
        assert!(seconds.len() == 3 && seconds.iter().all(|s| (100_000..100_030).contains(s)), "{log}");
    }
}

#[tokio::test]
async fn all_that_a_build_writes_counts_against_one_limit_of_disk() {
    let bench = Bench::new();
    let with = |kib: u32| {
        let each = kib / 3;
        let mut request =
            bench.request(&format!("for d in . /tmp /dev/shm; do head -c {each}K /dev/zero > $d/x; done"));
        request.limits.disk_mib = 9;
        request
    };
    assert_eq!(bench.run_request(with(8 << 10)).await.0.exit, Exit::Success);
    let (outcome, log) = bench.run_request(with(10 << 10)).await;
    assert!(matches!(outcome.exit, Exit::Status { .. }) && log.contains("No space left"), "{log}");
}

#[tokio::test]
async fn no_user_namespace_can_be_made_by_either_wall() {
    let bench = Bench::new();
    assert_eq!(bench.log("cat /proc/sys/user/max_user_namespaces").await, "0\n");
    assert!(bench.log("unshare -U true 2>&1 || true").await.contains("Operation not permitted"));
    assert!(fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap().trim() != "0");
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
