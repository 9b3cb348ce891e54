// SPDX-License-Identifier: Apache-2.0
//! The corpora: every file in `tests/corpora`, and a fixed number of mutations of them, through the property of its parser.
//! The small part of the fuzzing that CI repeats; `scripts/fuzz` does the rest.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test file: its helpers fail tests")]

mod mutate;
mod seeds;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reprove_tests::properties::{ALL, Property};

use crate::mutate::Mutations;

/// Mutations of each corpus.
const MUTATIONS: u64 = 2_000;
/// All corpora together, on a slow machine too, in bytes.
const MAX_CORPORA: usize = 6 << 18;
/// How much of what does not keep its property is shown, in bytes.
const MAX_SHOWN: usize = 2_000;
/// How long one run of one property may take; one takes a few milliseconds.
const TIME_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn every_file_of_the_corpora_keeps_its_property() {
    for property in ALL {
        for (name, bytes) in corpus(property.name) {
            run(&property, &bytes, &name);
        }
    }
}

#[test]
fn mutations_of_the_corpora_keep_their_property() {
    let left = Mutex::new(ALL.to_vec());
    let work = || {
        while let Some(property) = { left.lock().unwrap().pop() } {
            let files: Vec<Vec<u8>> = corpus(property.name).into_iter().map(|(_, bytes)| bytes).collect();
            for seed in 1..=MUTATIONS {
                let bytes = Mutations::new(seed).of(&files);
                run(&property, &bytes, &format!("the mutation with the seed {seed}"));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
}

#[test]
fn every_parser_has_a_target_and_a_corpus() {
    let names: BTreeSet<String> = ALL.iter().map(|property| property.name.to_owned()).collect();
    assert_eq!(names.len(), ALL.len());
    assert!(ALL.is_sorted_by_key(|property| property.name));
    let fuzz = here().join("fuzz");
    let manifest: toml::Table = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap().parse().unwrap();
    let targets = manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap().to_owned());
    assert_eq!(targets.collect::<BTreeSet<_>>(), names, "the targets in tests/fuzz/Cargo.toml");
    let sources: BTreeSet<String> = listed(&fuzz.join("targets"));
    assert_eq!(sources, names.iter().map(|name| format!("{name}.rs")).collect(), "the files in tests/fuzz/targets");
    for name in &names {
        let source = fs::read_to_string(fuzz.join("targets").join(format!("{name}.rs"))).unwrap();
        assert!(source.contains(&format!("check({name:?}, bytes)")), "{name}.rs is about another property");
    }
    assert_eq!(listed(&here().join("corpora")), names, "the directories in tests/corpora");
    let total: usize = names.iter().flat_map(|name| corpus(name)).map(|(_, bytes)| bytes.len()).sum();
    assert!(total <= MAX_CORPORA, "the corpora have {total} bytes; the most is {MAX_CORPORA}");
}

/// Writes what the code in `seeds` makes. To be run by hand after changing it; compressors may write otherwise at each
/// version, so the files that are there are not compared with it.
#[test]
#[ignore = "writes into the source"]
fn write_the_corpora() {
    for (target, files) in seeds::all() {
        let folder = here().join("corpora").join(target);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

fn run(property: &Property, bytes: &[u8], what: &str) {
    let started = Instant::now();
    let held = std::panic::catch_unwind(|| (property.check)(bytes));
    let shown = bytes.get(..MAX_SHOWN).unwrap_or(bytes).escape_ascii();
    assert!(held.is_ok(), "{}: {what} does not keep its property: {shown}", property.name);
    let took = started.elapsed();
    assert!(took < TIME_LIMIT, "{}: {what} took {took:?}", property.name);
}

/// The files of one corpus, sorted by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = here().join("corpora").join(target);
    let files: Vec<_> = listed(&folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)))).collect();
    assert!(!files.is_empty(), "tests/corpora/{target} is empty");
    files.into_iter().map(|(name, bytes)| (name, bytes.unwrap())).collect()
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "the names are sorted by the set that they are put in")]
fn listed(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
