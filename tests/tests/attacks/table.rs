// SPDX-License-Identifier: Apache-2.0
//! Who stops what: the table in `docs/sandbox.md`, of the headers.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use reprove_tests::{is_root, workspace};

use crate::bait;
use crate::header::{self, Attack, Outcome, Way};

const BEGIN: &str =
    "<!-- attacks: begin; written by `cargo test -p reprove-tests --test attacks -- --ignored write_the_table` -->\n";
const END: &str = "<!-- attacks: end -->";

/// The fewest attacks that there are.
const FEWEST: usize = 80;
/// What there have to be attacks about.
const TOPICS: [&str; 22] = [
    "archives",
    "channels",
    "clocks",
    "daemons",
    "descriptors",
    "devices",
    "exhaustion",
    "file handles",
    "foreign calls",
    "ipc",
    "kernel",
    "keyrings",
    "log",
    "mounts",
    "namespaces",
    "network",
    "outputs",
    "proc",
    "processes",
    "set-id",
    "signals",
    "terminal",
];

pub(crate) fn every_topic_has_its_attacks() -> Result<(), String> {
    let attacks = header::all();
    if attacks.len() < FEWEST {
        return Err(format!("there are {} attacks; the fewest is {FEWEST}", attacks.len()));
    }
    let unknown = attacks.iter().find(|attack| !TOPICS.contains(&attack.topic.as_str()));
    if let Some(attack) = unknown {
        return Err(format!("{} is about {:?}, which is no topic", attack.name, attack.topic));
    }
    match TOPICS.iter().find(|topic| !attacks.iter().any(|attack| attack.topic == **topic)) {
        Some(topic) => Err(format!("no attack is about {topic:?}")),
        None => Ok(()),
    }
}

pub(crate) fn is_that_of_the_attacks() -> Result<(), String> {
    let text = fs::read_to_string(document()).unwrap();
    let (_, table, _) = parts(&text)?;
    if table == made(&header::all()) {
        Ok(())
    } else {
        Err("the table in docs/sandbox.md is not that of the headers; run the ignored test `write_the_table`".into())
    }
}

/// Measures bubblewrap's columns, and writes them and the table.
pub(crate) fn write() -> Result<(), String> {
    if !is_root() {
        return Err("what holds root can be measured by root alone".into());
    }
    for attack in header::all() {
        if attack.expected(Way::Bubblewrap) == Outcome::NotApplicable {
            continue;
        }
        let measure = |way: Way| {
            let (name, way_name) = (&attack.name, way.name());
            let measured = bait::run(&attack, way).map_err(|error| format!("{name}::{way_name}: {error}"))?;
            println!("{name}::{way_name}: {}: {}", measured.outcome, measured.why);
            Ok::<_, String>(measured.outcome)
        };
        attack.set_bubblewrap(measure(Way::Bubblewrap)?, measure(Way::OrdinaryBubblewrap)?);
    }
    let text = fs::read_to_string(document()).unwrap();
    let (before, _, after) = parts(&text)?;
    fs::write(document(), format!("{before}{}{after}", made(&header::all()))).unwrap();
    Ok(())
}

fn document() -> PathBuf {
    workspace().join("docs/sandbox.md")
}

/// What is before the table, it, and what is after it; the marks are not its.
fn parts(text: &str) -> Result<(&str, &str, &str), String> {
    let missing = "docs/sandbox.md has no marks around the table of attacks";
    let at = text.find(BEGIN).ok_or(missing)? + BEGIN.len();
    let length = text[at..].find(END).ok_or(missing)?;
    Ok((&text[..at], &text[at..at + length], &text[at + length..]))
}

fn made(attacks: &[Attack]) -> String {
    let mut table = String::from(
        "| Attack | What it tries | What should stop it | reprove as root | reprove as ordinary user | bubblewrap as root \
         | bubblewrap as ordinary user |\n|---|---|---|---|---|---|---|\n",
    );
    for attack in attacks {
        let file = attack.path.file_name().unwrap().to_str().unwrap();
        let outcomes = Way::ALL.map(|way| attack.expected(way).to_string()).join(" | ");
        let note = attack.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        let (topic, tries, stops) = (&attack.topic, &attack.tries, attack.stops());
        writeln!(table, "| `{file}` | {topic}: {tries} | {stops}{note} | {outcomes} |").unwrap();
    }
    let count = |way, outcome| attacks.iter().filter(|attack| attack.expected(way) == outcome).count();
    let [root, ordinary, bubblewrap, ordinary_bubblewrap] = Way::ALL.map(|way| count(way, Outcome::Held));
    writeln!(
        table,
        "\nOf {} attacks, reprove holds {root} as root and {ordinary} as an ordinary user; of the {} that it can be held \
         against, bubblewrap holds {bubblewrap} as root and {ordinary_bubblewrap} as an ordinary user.",
        attacks.len(),
        attacks.len() - count(Way::Bubblewrap, Outcome::NotApplicable)
    )
    .unwrap();
    table
}
