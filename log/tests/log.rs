// SPDX-License-Identifier: Apache-2.0
//! A log as those who write it, those who read it and those who watch it see it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::path::{Path, PathBuf};

use reprove_attest::log::merkle::{Hash, leaf_hash, node_hash};
use reprove_attest::log::{Checkpoint, LogPolicy, Note, NoteError, NoteKey, NoteKind, entry};
use reprove_attest::{Envelope, SigningKey};
use reprove_log::{Log, LogError, MAX_ENTRY, Record, key_of};
use reprove_model::Sha256;
use tempfile::TempDir;

const ORIGIN: &str = "log.example/one";

fn key(seed: u8) -> SigningKey {
    SigningKey::ed25519([seed; 32])
}

fn policy() -> LogPolicy {
    LogPolicy { log: key_of(ORIGIN, &key(1)).unwrap(), witnesses: vec![], quorum: 0 }
}

fn bodies(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(|number| format!("entry {number}").into_bytes()).collect()
}

fn entries(range: std::ops::Range<u64>) -> Vec<Record> {
    bodies(range).into_iter().map(Record::opaque).collect()
}

fn log() -> (TempDir, PathBuf, Log) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("log");
    let log = Log::new(&folder, ORIGIN, &key(1)).unwrap();
    (dir, folder, log)
}

fn open(folder: &Path) -> Log {
    Log::open(folder, Some(&key_of(ORIGIN, &key(1)).unwrap())).unwrap()
}

/// The root of hashes, straight from RFC 6962's definition.
fn naive(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => reprove_attest::log::merkle::empty_root(),
        [one] => *one,
        many => {
            let half = (many.len() - 1).ilog2();
            let (left, right) = many.split_at(1 << half);
            node_hash(&naive(left), &naive(right))
        }
    }
}

#[test]
fn what_is_added_in_any_parts_is_in_the_log() {
    let (_dir, folder, mut log) = log();
    let mut seen: Vec<Checkpoint> = vec![log.checkpoint().clone()];
    let mut size = 0;
    for part in [1, 1, 2, 3, 249, 1, 255, 256, 257, 513, 1] {
        let added = log.append(&entries(size..size + part), &key(1)).unwrap();
        assert_eq!(added, size..size + part);
        size += part;
        let hashes: Vec<Hash> = bodies(0..size).iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!((log.checkpoint().size, log.checkpoint().root), (size, naive(&hashes)), "{size}");
        let again = open(&folder);
        again.verify().unwrap();
        for index in [0, 1, size / 2, size - 1] {
            let proof = again.prove(index.min(size - 1)).unwrap();
            let entry = again.entry(proof.index).unwrap();
            assert_eq!(entry, bodies(proof.index..proof.index + 1)[0]);
            assert_eq!(proof.verify(&entry, &policy()).unwrap().checkpoint, *log.checkpoint());
        }
        for old in &seen {
            again.extends(old).unwrap();
        }
        seen.push(log.checkpoint().clone());
    }
    assert!(matches!(log.prove(size), Err(LogError::NoEntry { .. })));
    assert!(matches!(log.entry(size), Err(LogError::NoEntry { .. })));
    assert!(matches!(log.consistency(size + 1), Err(LogError::NoEntry { .. })));
    assert_eq!(log.append(&[], &key(1)).unwrap(), size..size);
}

#[test]
fn a_third_level_of_tiles_is_the_same_tree() {
    let (_dir, folder, mut log) = log();
    let size = 256 * 256 + 300;
    let _ = log.append(&entries(0..256 * 256 - 1), &key(1)).unwrap();
    let before = log.checkpoint().clone();
    let _ = log.append(&entries(256 * 256 - 1..size), &key(1)).unwrap();
    let hashes: Vec<Hash> = bodies(0..size).iter().map(|entry| leaf_hash(entry)).collect();
    assert_eq!(log.checkpoint().root, naive(&hashes));
    assert!(folder.join("tile/2/000.p/1").is_file() && folder.join("tile/1/000").is_file());
    log.verify().unwrap();
    log.extends(&before).unwrap();
    for index in [0, 65_535, 65_536, size - 1] {
        let proof = log.prove(index).unwrap();
        assert!(proof.hashes.len() <= 17);
        assert!(proof.verify(&bodies(index..index + 1)[0], &policy()).is_ok());
    }
}

/// An envelope about these subjects, and its entry.
fn statement(number: u64, subjects: &[&[u8]]) -> (Envelope, Record) {
    let subject = subjects.iter().map(|subject| format!(r#"{{"digest":{{"sha256":"{}"}}}}"#, Sha256::of(subject)));
    let payload = format!(r#"{{"number":{number},"subject":[{}]}}"#, subject.collect::<Vec<_>>().join(","));
    let envelope = Envelope::sign(&key(9), payload).unwrap();
    let record = Record::of(entry(&envelope, &key(9).public_key()).unwrap(), envelope.clone());
    (envelope, record)
}

#[test]
fn all_that_a_log_has_for_a_subject_is_found() {
    let (_dir, folder, mut log) = log();
    let (one, two, none) = (Sha256::of(b"one"), Sha256::of(b"two"), Sha256::of(b"none"));
    let subjects: [&[&[u8]]; 4] = [&[b"one"], &[b"two", b"one"], &[], &[b"two", b"two"]];
    let all: Vec<_> = (0..).zip(subjects).map(|(number, subjects)| statement(number, subjects)).collect();
    for (_, record) in &all {
        let _ = log.append(std::slice::from_ref(record), &key(1)).unwrap();
    }
    let again = open(&folder);
    again.verify().unwrap();
    let found = |subject: &Sha256| {
        let found = again.recorded(subject).unwrap();
        assert!(found.iter().all(|(number, leaf, _)| leaf_hash(&again.entry(*number).unwrap()) == *leaf));
        found.into_iter().map(|(number, _, envelope)| (number, envelope)).collect::<Vec<_>>()
    };
    let of = |numbers: &[usize]| numbers.iter().map(|n| (*n as u64, all[*n].0.clone())).collect::<Vec<_>>();
    assert_eq!(found(&one), of(&[0, 1]));
    assert_eq!(found(&two), of(&[1, 3]));
    assert_eq!(found(&none), []);
    assert_eq!(again.with_payload(&Sha256::of(all[2].0.payload())).unwrap().len(), 1);

    // Whatever is taken out of the lists is found by whoever reads all of it.
    let list = folder.join("subject").join(&one.to_string()[..2]).join(one.to_string());
    let text = fs::read_to_string(&list).unwrap();
    for changed in [text.lines().next().unwrap(), "", &text.replacen("0 ", "5 ", 1)] {
        fs::write(&list, format!("{}\n", changed.trim_end()).trim_start()).unwrap();
        assert!(matches!(again.verify(), Err(LogError::Damaged(_))), "{changed}");
    }
    fs::write(&list, &text).unwrap();
    again.verify().unwrap();
    // What a killed process has left behind is no entry.
    fs::write(&list, format!("{text}9 {}\n", text.split(' ').nth(1).unwrap().lines().next().unwrap())).unwrap();
    assert_eq!(found(&one), of(&[0, 1]));
    let _ = log.append(&[statement(9, &[b"one"]).1], &key(1)).unwrap();
    assert_eq!(open(&folder).recorded(&one).unwrap().len(), 3);
    let leaf: String = leaf_hash(&log.entry(0).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(folder.join("envelope").join(&leaf[..2]).join(&leaf), "{}").unwrap();
    assert!(matches!(log.verify(), Err(LogError::Damaged(_))));

    // A log that does not know what it has says nothing of it.
    let _ = log.append(&entries(0..1), &key(1)).unwrap();
    assert!(matches!(log.recorded(&two), Err(LogError::NotListed(_))));
}

#[test]
fn nothing_is_added_to_what_was_changed() {
    for file in ["tile/0/000.p/3", "tile/entries/000.p/3"] {
        let (_dir, folder, mut log) = log();
        let _ = log.append(&entries(0..3), &key(1)).unwrap();
        let mut bytes = fs::read(folder.join(file)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(folder.join(file), bytes).unwrap();
        assert!(matches!(log.append(&entries(3..4), &key(1)), Err(LogError::Damaged(_))), "{file}");
        assert_eq!(open(&folder).checkpoint().size, 3);
    }
}

#[test]
fn what_is_no_file_or_too_long_is_not_read() {
    let (_dir, folder, mut log) = log();
    let _ = log.append(&entries(0..3), &key(1)).unwrap();
    let tile = folder.join("tile/entries/000.p/3");
    let good = fs::read(&tile).unwrap();
    fs::remove_file(&tile).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &tile).unwrap();
    assert!(log.verify().is_err());
    fs::remove_file(&tile).unwrap();
    nix::unistd::mkfifo(&tile, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(log.verify().is_err());
    fs::remove_file(&tile).unwrap();
    let room = 256 * (MAX_ENTRY + 2) - good.len();
    fs::write(&tile, [good.as_slice(), &vec![0; room]].concat()).unwrap();
    assert!(log.entry(0).is_ok());
    fs::write(&tile, [good.as_slice(), &vec![0; room + 1]].concat()).unwrap();
    assert!(matches!(log.entry(0), Err(LogError::Damaged(_))));
}

#[test]
fn a_cosignature_is_one_line_by_the_witness_beside_the_logs_own() {
    let (_dir, folder, mut log) = log();
    let _ = log.append(&entries(0..3), &key(1)).unwrap();
    let witness = NoteKey::new("witness.example", NoteKind::Cosigned, key(2).public_key()).unwrap();
    let line = |name: &str, text: &str, seed: u8| {
        let mut note = Note::new(text).unwrap();
        note.cosign(name, &key(seed), 1_700_000_000).unwrap();
        note.to_string().split_once("\n\n").unwrap().1.to_owned()
    };
    let text = log.checkpoint().to_string();
    let good = line("witness.example", &text, 2);
    let before = fs::read(folder.join("checkpoint")).unwrap();
    let own = NoteKey::new(ORIGIN, NoteKind::Cosigned, key(2).public_key()).unwrap();
    assert!(log.add_cosignature(&line(ORIGIN, &text, 2), &own).is_err(), "under the log's own name");
    for bad in [
        line("witness.example", &text, 3),
        line("witness.example", "another\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 2),
        format!("{good}\u{2014} {ORIGIN} AAAAAAA=\n"),
        format!("x\n\n{good}"),
        String::new(),
    ] {
        assert!(log.add_cosignature(&bad, &witness).is_err(), "{bad}");
    }
    assert_eq!(fs::read(folder.join("checkpoint")).unwrap(), before);
    for _ in 0..2 {
        log.add_cosignature(&good, &witness).unwrap();
        let again = open(&folder);
        assert!(witness.verify(again.note()).is_ok());
        assert_eq!(again.note().to_string().matches("witness.example").count(), 1);
    }
    assert_eq!(log.append(&entries(3..4), &key(1)).unwrap(), 3..4);
}

#[test]
fn partial_tiles_go_when_there_are_whole_ones() {
    let (_dir, folder, mut log) = log();
    let partial = |name: &str| folder.join("tile").join(name).exists();
    let _ = log.append(&entries(0..255), &key(1)).unwrap();
    assert!(partial("0/000.p") && partial("entries/000.p"));
    let old = open(&folder);
    let _ = log.append(&entries(255..257), &key(1)).unwrap();
    assert!(!partial("0/000.p") && !partial("entries/000.p"));
    assert!(partial("0/001.p/1") && partial("entries/001.p/1") && partial("1/000.p/1"));
    // Whoever has an older checkpoint finds the whole ones.
    old.verify().unwrap();
    assert!(old.prove(254).unwrap().verify(&bodies(254..255)[0], &policy()).is_ok());
    let size = 256 * 256 + 1;
    let _ = log.append(&entries(257..size), &key(1)).unwrap();
    assert!(!partial("1/000.p") && partial("2/000.p/1") && partial("1/000"));
    log.verify().unwrap();
}

#[test]
fn only_the_logs_key_adds_and_only_one_at_a_time() {
    let (_dir, folder, mut log) = log();
    assert!(matches!(log.append(&entries(0..1), &key(2)), Err(LogError::Note(NoteError::NotSigned(_)))));
    assert_eq!(open(&folder).checkpoint().size, 0);
    // Two that were opened before either added.
    let mut other = open(&folder);
    assert_eq!(log.append(&entries(0..2), &key(1)).unwrap(), 0..2);
    assert_eq!(other.append(&entries(2..3), &key(1)).unwrap(), 2..3);
    open(&folder).verify().unwrap();
    let lock = fs::File::open(folder.join(".lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(log.append(&entries(0..1), &key(1)), Err(LogError::Busy(_))));
    assert!(matches!(Log::new(&folder, ORIGIN, &key(1)), Err(LogError::NotEmpty(_))));
    assert!(matches!(Log::open(&folder.join("tile"), None), Err(LogError::NoLog(_))));
    assert!(matches!(Log::open(&folder, Some(&key_of("log.example/two", &key(1)).unwrap())), Err(LogError::Note(_))));
}

#[test]
fn an_entrys_bound_holds_on_both_sides() {
    let (_dir, folder, mut log) = log();
    let entry = |length: usize| vec![Record::opaque(vec![7; length])];
    assert_eq!(log.append(&entry(MAX_ENTRY), &key(1)).unwrap(), 0..1);
    assert!(matches!(log.append(&entry(MAX_ENTRY + 1), &key(1)), Err(LogError::TooLong(65_536))));
    assert_eq!(log.append(&entry(0), &key(1)).unwrap(), 1..2);
    assert_eq!(open(&folder).entry(0).unwrap().len(), MAX_ENTRY);
    assert_eq!(open(&folder).entry(1).unwrap(), b"");
}

#[test]
fn whatever_is_changed_is_found() {
    let (_dir, folder, mut log) = log();
    let _ = log.append(&entries(0..300), &key(1)).unwrap();
    let seen = log.checkpoint().clone();
    for file in ["tile/entries/000", "tile/entries/001.p/44", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"] {
        let (path, good) = (folder.join(file), fs::read(folder.join(file)).unwrap());
        for at in [0, 2, good.len() / 2, good.len() - 1] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(matches!(open(&folder).verify(), Err(LogError::Damaged(_))), "{file} {at}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(matches!(open(&folder).verify(), Err(LogError::Damaged(_))), "{file} is cut");
        fs::write(&path, good).unwrap();
    }
    open(&folder).verify().unwrap();

    // Another history, by the same key: whoever kept a checkpoint sees that.
    fs::remove_dir_all(&folder).unwrap();
    let mut other = Log::new(&folder, ORIGIN, &key(1)).unwrap();
    let _ = other.append(&entries(1..400), &key(1)).unwrap();
    assert!(matches!(other.extends(&seen), Err(LogError::Forked { old: 300, size: 399 })));
    let mut shorter = seen.clone();
    shorter.size = 500;
    assert!(matches!(other.extends(&shorter), Err(LogError::Forked { .. })));
}
