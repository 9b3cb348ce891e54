// SPDX-License-Identifier: Apache-2.0
//! A process is killed at random points while it adds to a log; another one opens what is left.
//!
//! `every_point_of_forty_is_survived` runs with all tests; `every_point_of_five_hundred_is_survived` is run by
//! `scripts/crash`. Both print the seed, and take another one from `REPROVE_TEST_SEED`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test's way to fail, and to say how")]
#![expect(clippy::disallowed_methods, reason = "a test's parts talk by variables")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use reprove_attest::log::{Checkpoint, entry};
use reprove_attest::{Envelope, SigningKey};
use reprove_log::{Log, Record, key_of};
use reprove_model::Sha256;

const LOG: &str = "REPROVE_TEST_LOG";
const SEED: &str = "REPROVE_TEST_SEED";
const ORIGIN: &str = "log.example/crash";

fn key() -> SigningKey {
    SigningKey::ed25519([1; 32])
}

fn open(path: &Path) -> Log {
    Log::open(path, Some(&key_of(ORIGIN, &key()).unwrap())).unwrap()
}

/// One of a few subjects.
fn subject(number: u64) -> Sha256 {
    Sha256::of(&(number % 64).to_le_bytes())
}

/// A statement with this number, and its entry.
fn statement(number: u64) -> (Envelope, Record) {
    let payload = format!(r#"{{"number":{number},"subject":[{{"digest":{{"sha256":"{}"}}}}]}}"#, subject(number));
    let envelope = Envelope::sign(&key(), payload).unwrap();
    let record = Record::of(entry(&envelope, &key().public_key()).unwrap(), envelope.clone());
    (envelope, record)
}

/// A pseudo-random sequence (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % n
    }
}

/// Not a test of its own: what is killed. Adds some entries at a time, over and over, each with a number of its own, and
/// says the size and the last number once they are in.
#[test]
#[ignore = "started by the others"]
fn the_one_that_is_killed() {
    let Some(path) = std::env::var_os(LOG) else { return };
    let mut random = Random(std::env::var(SEED).unwrap().parse().unwrap());
    let mut log = open(Path::new(&path));
    loop {
        let numbers: Vec<u64> = (0..1 + random.below(90)).map(|_| random.below(u64::MAX)).collect();
        let records: Vec<Record> = numbers.iter().map(|number| statement(*number).1).collect();
        let added = log.append(&records, &key()).unwrap();
        let text = format!("{} {}\n", added.end, numbers.last().unwrap());
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
}

/// Kills one child; gives the size that it said last, and that entry.
fn kill_one(path: &Path, random: &mut Random) -> Option<(u64, u64)> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_one_that_is_killed", "--ignored", "--nocapture", "--quiet"]);
    command.env(LOG, path).env(SEED, (random.below(u64::MAX - 1) + 1).to_string());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut said = None;
    let mut line = String::new();
    for _ in 0..=random.below(3) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child ended by itself: {:?}", child.wait());
        said = Some(line.clone());
    }
    std::thread::sleep(Duration::from_micros(random.below(20_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.lines() {
        said = Some(line.unwrap());
    }
    let said = said?;
    let (size, last) = said.trim_end().split_once(' ').unwrap();
    Some((size.parse().unwrap(), last.parse().unwrap()))
}

fn survived(points: u64) {
    let seed =
        std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()));
    println!("{SEED}={seed}");
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut seen: Checkpoint = Log::new(&path, ORIGIN, &key()).unwrap().checkpoint().clone();
    for point in 0..points {
        let said = kill_one(&path, &mut random);
        let log = open(&path);
        log.extends(&seen).unwrap_or_else(|e| panic!("point {point}: {e}"));
        if let Some((size, last)) = said {
            assert!(log.checkpoint().size >= size, "point {point}: an entry that was in the log is not");
            let envelope = statement(last).0;
            assert_eq!(log.entry(size - 1).unwrap(), entry(&envelope, &key().public_key()).unwrap(), "point {point}");
            let found = log.recorded(&subject(last)).unwrap();
            assert!(found.iter().any(|(number, _, found)| (*number, found) == (size - 1, &envelope)), "point {point}");
        }
        if point % 8 == 0 || point + 1 == points {
            log.verify().unwrap_or_else(|e| panic!("point {point}: {e}"));
        }
        seen = log.checkpoint().clone();
    }
    println!("{points} points, {} entries", seen.size);
}

#[test]
fn every_point_of_forty_is_survived() {
    survived(40);
}

#[test]
#[ignore = "takes minutes; scripts/crash runs it"]
fn every_point_of_five_hundred_is_survived() {
    survived(500);
}
