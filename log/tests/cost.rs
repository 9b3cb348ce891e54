// SPDX-License-Identifier: Apache-2.0
//! What a log costs as it grows: printed, not judged. `docs/log.md` has the numbers, and how this is started.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test's way to fail, and to say what it saw")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reprove_attest::log::merkle::Hash;
use reprove_attest::log::{LogPolicy, LogProof, RecordedSubject, entry};
use reprove_attest::{Envelope, SigningKey};
use reprove_log::{Log, Record, key_of};
use reprove_model::Sha256;
use tempfile::TempDir;

const ORIGIN: &str = "log.example/cost";
/// How many statements a proof of one rebuilder has: two provenances and a comparison.
const EACH: u64 = 3;
/// How long a statement is, in bytes.
const PAYLOAD: usize = 3_000;
/// How many are added at once while a log is filled.
const BATCH: u64 = 1_000;
/// Of how many each number is the mean.
const TIMES: u32 = 20;

fn key() -> SigningKey {
    SigningKey::ed25519([1; 32])
}

fn new() -> (TempDir, PathBuf, Log) {
    let dir = tempfile::Builder::new().prefix("reprove-cost-").tempdir().unwrap();
    let folder = dir.path().join("log");
    let log = Log::new(&folder, ORIGIN, &key()).unwrap();
    (dir, folder, log)
}

fn subject(number: u64) -> Sha256 {
    Sha256::of(format!("artifact {number}").as_bytes())
}

/// A statement about one subject, signed, with its entry.
fn statement(number: u64, subject: &Sha256) -> Record {
    let signer = SigningKey::ed25519([2; 32]);
    let head = format!(r#"{{"number":{number},"subject":[{{"digest":{{"sha256":"{subject}"}}}}],"more":""#);
    let payload = format!("{head}{}\"}}", "x".repeat(PAYLOAD - head.len() - 2));
    let envelope = Envelope::sign(&signer, payload).unwrap();
    Record::of(entry(&envelope, &signer.public_key()).unwrap(), envelope)
}

/// Adds statements until there are `size`, each about what `subject` says of its number.
fn fill(log: &mut Log, size: u64, subject: impl Fn(u64) -> Sha256) {
    while log.checkpoint().size < size {
        let first = log.checkpoint().size;
        let records: Vec<_> = (first..(first + BATCH).min(size)).map(|n| statement(n, &subject(n))).collect();
        let _ = log.append(&records, &key()).unwrap();
    }
}

/// What `log gather` does for a file: every statement on it, the log's word for each, and that this is all. How many.
fn gather(folder: &Path, subject: &Sha256) -> usize {
    let log = Log::open(folder, None).unwrap();
    let all = log.recorded(subject).unwrap();
    let words = all.iter().map(|(number, ..)| (log.entry(*number).unwrap(), log.prove(*number).unwrap().to_string()));
    let count = words.count();
    let leaves: Vec<Hash> = all.iter().map(|(_, leaf, _)| *leaf).collect();
    let word = RecordedSubject::sign(log.checkpoint(), *subject, &leaves, 0, &key()).unwrap();
    assert_eq!(word.entries.len(), count);
    count
}

/// The mean of some times, each for another number.
fn mean(mut what: impl FnMut(u64)) -> Duration {
    let start = Instant::now();
    (0..u64::from(TIMES)).for_each(&mut what);
    start.elapsed() / TIMES
}

/// The most memory that this process has had.
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map(|line| line.trim().to_owned()).unwrap_or_default()
}

/// A row of the table.
fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

fn shown(time: Duration) -> String {
    format!("{time:.2?}")
}

/// Entries with their envelopes and their lists, three to a subject.
#[test]
#[ignore = "takes long and 15 GB, and prints what it costs"]
fn what_a_million_entries_cost() {
    let (_dir, folder, mut log) = new();
    row(&[
        "Entries",
        "filled",
        "one more",
        "a proof",
        "its bytes",
        "its audit",
        "against the one before",
        "gather",
        "verify",
        "memory",
    ]
    .map(str::to_owned));
    for size in [1_000, 10_000, 100_000, 1_000_000] {
        let before = log.checkpoint().clone();
        let start = Instant::now();
        fill(&mut log, size, |number| subject(number / EACH));
        let filled = start.elapsed();
        let next = log.checkpoint().size;
        let more: Vec<_> = (next..).take(TIMES as usize).map(|n| [statement(n, &subject(n / EACH))]).collect();
        let mut more = more.iter();
        let one = mean(|_| assert_eq!(log.append(more.next().unwrap(), &key()).unwrap().count(), 1));
        // Each time at another place.
        let place = |n: u64| (n * 7_919 + size / 3) % size;
        let mut proof = String::new();
        let proving = mean(|n| proof = log.prove(place(n)).unwrap().to_string());
        let proved: LogProof = proof.parse().unwrap();
        let policy = LogPolicy { log: key_of(ORIGIN, &key()).unwrap(), witnesses: vec![], quorum: 0 };
        let body = log.entry(proved.index).unwrap();
        let auditing = mean(|_| drop(proof.parse::<LogProof>().unwrap().verify(&body, &policy).unwrap()));
        let extending = mean(|_| log.extends(&before).unwrap());
        let gathering = mean(|n| assert_eq!(gather(&folder, &subject(place(n) / EACH)), 3));
        let start = Instant::now();
        log.verify().unwrap();
        let verifying = start.elapsed();
        let times = [filled, one, proving, auditing, extending, gathering, verifying].map(shown);
        let [filled, one, proving, auditing, extending, gathering, verifying] = times;
        let (size, bytes) = (size.to_string(), proof.len().to_string());
        row(&[size, filled, one, proving, bytes, auditing, extending, gathering, verifying, memory()]);
    }
}

/// All of them about one subject.
#[test]
#[ignore = "takes half a minute, and prints what it costs"]
fn what_many_statements_on_one_subject_cost() {
    let (_dir, folder, mut log) = new();
    row(&["Statements", "one more", "gather"].map(str::to_owned));
    for size in [10, 100, 1_000, 10_000] {
        fill(&mut log, size, |_| subject(0));
        let start = Instant::now();
        assert_eq!(gather(&folder, &subject(0)) as u64, size);
        let gathering = start.elapsed();
        let records: Vec<_> = (size..).take(TIMES as usize).map(|n| [statement(n, &subject(0))]).collect();
        let mut more = records.iter();
        let one = mean(|_| assert_eq!(log.append(more.next().unwrap(), &key()).unwrap().count(), 1));
        row(&[size.to_string(), shown(one), shown(gathering)]);
    }
}
