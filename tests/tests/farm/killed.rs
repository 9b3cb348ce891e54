// SPDX-License-Identifier: Apache-2.0
//! Processes that are killed: what was asked for is decided once all the same. Seeds are printed; more rounds come with
//! `REPROVE_FAULT_ROUNDS`, which `scripts/farm-faults` sets.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reprove_tests::{Bench, wait_until};

use super::served::{Farm, build_of};

pub(crate) const PACKAGE: &str = "pkg:pypi/idna@3.20";
pub(crate) const LEASE: [&str; 3] = ["--without-worker", "--lease", "4"];

pub(crate) fn rounds() -> u64 {
    std::env::var("REPROVE_FAULT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Somewhere between the first and the last moment of a job, by the seed.
pub(crate) fn moment(seed: u64) -> Duration {
    // The numbers of Knuth's generator (MMIX), of which the upper bits are used.
    let mixed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33;
    Duration::from_millis(500 + mixed % 8000)
}

pub(crate) fn first_seed() -> u64 {
    std::env::var("REPROVE_FAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

#[test]
fn a_worker_and_the_coordinator_are_killed_and_each_build_is_decided_once() {
    let (benches, first) = ([Bench::new(), Bench::new()], first_seed());
    let mut farm = Farm::new(&LEASE);
    let tokens = ["one", "other"].map(|name| farm.token(name, "work"));
    for seed in first..first + rounds() {
        println!("seed {seed}");
        let submitted = farm.run(&["submit", PACKAGE, "--again"]).with_code(0);
        let build = build_of(&submitted);
        let mut killed = farm.worker(&benches[0], "one", &tokens[0], &["--jobs", "1"]);
        killed.wait_for(&build);
        std::thread::sleep(moment(seed));
        farm.kill_and_start(&LEASE);
        killed.signal(Signal::SIGKILL);
        let dead = Instant::now();
        assert!(killed.ended(Duration::from_secs(30)).is_some());
        let other = farm.worker(&benches[1], "other", &tokens[1], &["--jobs", "1"]);
        let done = || farm.run(&["status", &build]).code == Some(0);
        assert!(wait_until(Duration::from_secs(120), done), "seed {seed}: {}", other.stderr());
        println!("decided {:?} after the kill", dead.elapsed());
        let view = farm.run(&["status", &build, "--json"]).with_code(0).json();
        let attempts = view["jobs"][0]["attempts"].as_array().unwrap();
        let decided = attempts.iter().filter(|attempt| attempt["outcome"] == "decided").count();
        assert_eq!(decided, 1, "seed {seed}: {attempts:?}");
        let epochs: Vec<u64> = attempts.iter().map(|attempt| attempt["epoch"].as_u64().unwrap()).collect();
        assert!(epochs.is_sorted_by(|a, b| a < b), "seed {seed}: {epochs:?}");
        drop(other);
    }
}
