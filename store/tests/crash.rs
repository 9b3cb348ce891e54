// SPDX-License-Identifier: Apache-2.0
//! A process is killed at random points while it takes files in and while it collects; another one opens the store.
//!
//! `every_point_of_forty_is_survived` runs with all tests; `every_point_of_five_hundred_is_survived` is run by
//! `scripts/crash`. Both print the seed, and take another one from `REPROVE_TEST_SEED`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test's way to fail, and to say how")]
#![expect(clippy::disallowed_methods, reason = "a test's parts talk by variables")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use reprove_model::{Digest, Node, Tree, TreePath};
use reprove_store::{Collection, Root, Store, StoreOptions};

/// Where the child finds its store, and with what it begins.
const STORE: &str = "REPROVE_TEST_STORE";
const SEED: &str = "REPROVE_TEST_SEED";

const ROOTS: u64 = 4;
const FILES: u64 = 40;

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

fn open(path: &Path) -> Store {
    // A process that is killed loses nothing that it has written: that takes a loss of power, which can't be tried here.
    Store::open_with(path, StoreOptions { sync: false, ..StoreOptions::default() }).unwrap()
}

/// Not a test of its own: what is killed. Writes trees, names them as roots in place of older ones, and collects, over and
/// over; says on its error stream, line by line, what it does.
#[test]
#[ignore = "started by the others"]
fn the_one_that_is_killed() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let mut random = Random(std::env::var(SEED).unwrap().parse().unwrap());
    let say = |text: String| std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
    loop {
        // Opened each time, so that what the last round used is not in use any more.
        let store = open(Path::new(&path));
        say("ingest".into());
        for _ in 0..6 {
            let mut entries = BTreeMap::new();
            for number in 0..FILES {
                // Some files are in many trees; one in a while is large enough to go another way.
                let bytes = match random.below(16) {
                    0 => vec![random.below(256).to_le_bytes()[0]; (1 << 20) + 7],
                    1..6 => vec![b'x'; usize::try_from(random.below(50)).unwrap()],
                    _ => random.below(u64::MAX).to_le_bytes().to_vec(),
                };
                let (digest, size) = store.add_bytes(&bytes).unwrap();
                entries.insert(TreePath::new(format!("f{number}")).unwrap(), Node::File { mode: 0o644, size, digest });
            }
            let tree = store.save_tree(&Tree::new(entries).unwrap()).unwrap().blake3;
            let name = format!("root-{}", random.below(ROOTS));
            say(format!("setting {name} {tree}"));
            let root = Root { trees: [tree].into(), ..Root::default() };
            store.set_roots(&BTreeMap::from([(name.clone(), root)])).unwrap();
            say(format!("set {name} {tree}"));
        }
        drop(store);
        let store = open(Path::new(&path));
        say("collect".into());
        store.collect(&Collection::default()).unwrap();
    }
}

/// What the child had said when it was killed.
#[derive(Default)]
struct Said {
    phase: String,
    /// Each root's tree, and one that it may have been given since.
    roots: BTreeMap<String, (Option<Digest>, Option<Digest>)>,
}

impl Said {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["setting", name, tree] => {
                self.roots.entry((*name).into()).or_default().1 = Some(tree.parse().unwrap());
            }
            ["set", name, tree] => {
                self.roots.insert((*name).into(), (Some(tree.parse().unwrap()), None));
            }
            [phase @ ("ingest" | "collect")] => self.phase = (*phase).into(),
            _ => panic!("the child said: {line}"),
        }
    }
}

/// Starts a child, kills it some time after it has said `wanted` for the `rounds`th time, and hears all it said.
fn kill_one(store: &Path, random: &mut Random, said: &mut Said, wanted: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_one_that_is_killed", "--ignored", "--nocapture", "--quiet"]);
    command.env(STORE, store).env(SEED, (random.below(u64::MAX - 1) + 1).to_string());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut rounds = 1 + random.below(2);
    let mut line = String::new();
    while rounds > 0 {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child ended by itself: {:?}", child.wait());
        said.line(line.trim_end());
        rounds -= u64::from(line.trim_end() == wanted);
    }
    // An ingest takes some thirty milliseconds here, a collection ten.
    let longest = if wanted == "collect" { 12_000 } else { 40_000 };
    std::thread::sleep(Duration::from_micros(random.below(longest)));
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.lines() {
        // The last one may be cut, and then says nothing that was done.
        let line = line.unwrap();
        let is_whole = line.rsplit(' ').next().is_some_and(|end| end.len() == 64) || !line.contains(' ');
        if is_whole {
            said.line(&line);
        }
    }
}

fn survive(points: u64) {
    let seed = std::env::var(SEED).map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let mut random = Random(seed | 1);
    let dir = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    let mut killed: BTreeMap<String, u64> = BTreeMap::new();
    for point in 0..points {
        let wanted = if point % 2 == 0 { "ingest" } else { "collect" };
        kill_one(dir.path(), &mut random, &mut said, wanted);
        *killed.entry(said.phase.clone()).or_default() += 1;
        let store = open(dir.path());
        let left: Vec<_> = std::fs::read_dir(dir.path().join("tmp")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left.len(), 3, "point {point}: this process's folder, its lock, and the sweep's: {left:?}");
        let examined = store.examine(false).unwrap();
        assert_eq!(examined.wrong, [], "point {point}, in {}", said.phase);
        let there = store.roots().unwrap();
        for (name, (set, setting)) in &mut said.roots {
            let found = there.get(name).map(|root| *root.trees.first().unwrap());
            assert!(found == *set || found.is_some() && found == *setting, "point {point}: {name} has {found:?}");
            if let Some(found) = found {
                let tree = store.load_tree(&found).unwrap();
                assert_eq!(tree.entries().len() as u64, FILES);
                tree.files().for_each(|(_, digests, _)| store.verify_blob(&digests.blake3).unwrap());
            }
            (*set, *setting) = (found, None);
        }
    }
    println!("killed: {killed:?}");
    for phase in ["ingest", "collect"] {
        assert!(killed.get(phase).is_some_and(|n| n * 5 > points), "too few were killed in {phase}: {killed:?}");
    }
    // What is there is not all that ever was: collections went through in between.
    let store = open(dir.path());
    store.collect(&Collection::default()).unwrap();
    assert!(store.examine(false).unwrap().trees <= ROOTS);
}

#[test]
fn every_point_of_forty_is_survived() {
    survive(40);
}

#[test]
#[ignore = "takes a minute; `scripts/crash` runs it"]
fn every_point_of_five_hundred_is_survived() {
    survive(500);
}
