// SPDX-License-Identifier: Apache-2.0
//! Locks, build records, verdicts and trees in canonical JSON, and JSON that is nearly so.

use std::collections::BTreeSet;

use reprove_model::{
    Between, BuildRecord, Cause, Clock, Conditions, Content, Detail, DigestSet, Enforced, Environment, EpochAttempt,
    EpochOrigin, EpochUsed, Exit, FileOrder, Finding, FindingKind, Input, Isolation, Limits, LinkTarget, Lock,
    LockedEnvironment, LogRecord, Loss, Node, Observed, Origin, Outcome, PeakMemory, Published, Recipe, RecordMode,
    Role, Tree, TreePath, Variation, Verdict, canonical,
};
use serde::Serialize;

use super::{Corpus, File, text};

pub(crate) fn all() -> Vec<Corpus> {
    vec![locks(), records(), verdicts(), trees()]
}

/// What the samples publish.
pub(super) const WHEEL: &[u8] = b"a wheel";
/// What it is called.
pub(super) const WHEEL_NAME: &str = "demo-1.0-py3-none-any.whl";

pub(super) fn json(name: &'static str, value: &impl Serialize) -> File {
    (name, canonical::to_vec(value).unwrap())
}

pub(super) fn lock(published: bool) -> Lock {
    let recipe = "package = { name = 'demo', version = '1.0' }\nsource = { package = 'pkg:pypi/demo@1.0' }\n\
        build = { steps = ['make'], source-date-epoch = { at = 315532800 } }\noutputs = { directory = 'dist' }\n";
    let input = |name: &str, role, purl: Option<&str>, content| Input {
        name: name.parse().unwrap(),
        role,
        purl: purl.map(|purl| purl.parse().unwrap()),
        content,
    };
    let digest = DigestSet::of(b"source");
    Lock {
        recipe: Recipe::from_toml(recipe).unwrap(),
        inputs: vec![
            input("demo-1.0.tar.gz", Role::Source, Some("pkg:pypi/demo@1.0"), Content::Archive { digest, size: 6 }),
            input("tool.whl", Role::Tool, None, Content::File { digest, size: 6 }),
            input("tree", Role::Tool, None, Content::Tree { digest }),
        ],
        environment: LockedEnvironment {
            kind: Environment::HostUsr,
            description: "Debian GNU/Linux 13 (trixie)".into(),
            digest: DigestSet::of(b"usr"),
        },
        published: published.then(|| Published {
            purl: Some("pkg:pypi/demo@1.0".parse().unwrap()),
            name: WHEEL_NAME.parse().unwrap(),
            digest: DigestSet::of(WHEEL),
            size: WHEEL.len() as u64,
            derived: BTreeSet::new(),
            parts: BTreeSet::new(),
        }),
    }
}

/// The record of the rebuild with this number, whose one output has these bytes.
pub(super) fn record(lock: &Lock, number: u32, output: &[u8]) -> BuildRecord {
    let conditions = Conditions {
        build_path: format!("/build-{number}"),
        hostname: format!("host-{number}"),
        processors: 1,
        file_order: FileOrder::Sorted,
        clock: Clock::Host,
        surroundings: reprove_model::Surroundings::default(),
    };
    BuildRecord {
        lock: DigestSet::of(&canonical::to_vec(lock).unwrap()),
        inputs: lock.inputs.clone(),
        environment: lock.environment.clone(),
        commands: vec![vec!["/bin/sh".into(), "-ec".into(), "make".into()]],
        env: conditions.variables().into_iter().chain([("SOURCE_DATE_EPOCH".into(), "315532800".into())]).collect(),
        limits: Limits::default(),
        isolation: Isolation::Namespaces,
        machine: None,
        enforced: Enforced::full(),
        conditions,
        started: "2026-11-01T12:00:00Z".parse().unwrap(),
        duration_ms: 1500,
        peak_memory: PeakMemory::ControlGroup { bytes: 4096 },
        exit: Exit::Success,
        outputs: tree_of(&[(WHEEL_NAME, output)]),
        log: LogRecord { digest: DigestSet::of(b"log"), size: 3, truncated: false },
        undetermined: None,
        observed: Observed {
            mode: RecordMode::Files,
            lost: [Loss::TooMany].into(),
            listing: Some(DigestSet::of(b"listing")),
            paths: [(Origin::Absent, 2), (Origin::Source, 1)].into(),
        },
    }
}

pub(super) fn reproducible(published: bool) -> Verdict {
    Verdict {
        outcome: Outcome::Reproducible,
        rebuilds_agree: true,
        matches_published: published.then_some(true),
        varied: vec![Variation::BuildPath, Variation::Hostname],
        changed_alone: vec![],
        experiments: vec![],
        tools_tried: Vec::new(),
        normalizations: vec![],
        source_date_epoch: EpochUsed { seconds: Some(315_532_800), origin: EpochOrigin::Recipe, tried: vec![] },
        findings: vec![],
    }
}

pub(super) fn finding(between: Between, kind: FindingKind, causes: Vec<Cause>) -> Finding {
    let detail = Detail { at: "0x0, 1 byte".into(), left: "61".into(), right: "\"b\u{e9}\"".into() };
    let (place, summary) = (WHEEL_NAME.to_owned(), "1 run of bytes differs".to_owned());
    Finding { between, place, kind, summary, details: vec![detail], count: 1, causes, proposed: vec![] }
}

fn tree_of(files: &[(&str, &[u8])]) -> Tree {
    let node = |bytes: &[u8]| Node::File { mode: 0o644, size: bytes.len() as u64, digest: DigestSet::of(bytes) };
    Tree::new(files.iter().map(|(path, bytes)| (TreePath::new(*path).unwrap(), node(bytes))).collect()).unwrap()
}

/// Forms of a document that are not the canonical one.
pub(super) fn other_forms(canonical: &File) -> Vec<File> {
    let value: serde_json::Value = serde_json::from_slice(&canonical.1).unwrap();
    let text_of = String::from_utf8(canonical.1.clone()).unwrap();
    vec![
        ("with-newline", [canonical.1.as_slice(), b"\n"].concat()),
        ("refused-pretty", serde_json::to_vec_pretty(&value).unwrap()),
        text("refused-unknown", text_of.replacen('{', "{\"\\u001b\":1,", 1)),
        text("refused-escape", text_of.replacen("\"b", "\"\\u0062", 1)),
        text("refused-cut", &text_of[..text_of.len() / 2]),
        text("refused-twice", format!("{text_of}{text_of}")),
        text("refused-deep", "[".repeat(200)),
    ]
}

fn locks() -> Corpus {
    let mut files = vec![json("published", &lock(true)), json("unpublished", &lock(false))];
    let large = String::from_utf8(files[0].1.clone()).unwrap().replace("\"size\":6", "\"size\":18446744073709551615");
    files.push(text("large-number", &*large));
    files.push(text("refused-larger-number", large.replace("551615", "551616")));
    files.extend(other_forms(&files[0].clone()));
    ("lock", files)
}

fn records() -> Corpus {
    let sample = record(&lock(true), 0, WHEEL);
    let with = |exit, peak_memory| BuildRecord { exit, peak_memory, ..sample.clone() };
    let other = BuildRecord {
        conditions: Conditions {
            clock: Clock::MovedTo(5),
            surroundings: reprove_model::Surroundings::default(),
            file_order: FileOrder::Reversed,
            ..sample.conditions.clone()
        },
        undetermined: Some([Loss::Closed].into()),
        ..sample.clone()
    };
    let conditions = sample.conditions.deterministic(Some(7));
    let undetermined = Some([Loss::Closed].into());
    let deterministic = BuildRecord { conditions, undetermined, ..sample.clone() };
    let peak = PeakMemory::LargestProcess { bytes: 1 << 30 };
    let mut files = vec![
        json("success", &sample),
        json("status", &with(Exit::Status { step: 0, status: 2, out_of_memory: false }, peak)),
        json("status-out-of-memory", &with(Exit::Status { step: 1, status: 137, out_of_memory: true }, peak)),
        json("signal", &with(Exit::Signal { step: 1, signal: 9, out_of_memory: true }, peak)),
        json("time-out", &with(Exit::TimeOut, peak)),
        json("conditions", &other),
        json("deterministic", &deterministic),
    ];
    let as_text = String::from_utf8(files[0].1.clone()).unwrap();
    files.push(text("refused-offset", as_text.replace("12:00:00Z", "12:00:00+01:00")));
    files.push(text("refused-year", as_text.replace("2026-11", "12026-11")));
    files.push(text("refused-mode", as_text.replace("\"mode\":420", "\"mode\":4096")));
    files.extend(other_forms(&files[0].clone()));
    ("record", files)
}

fn verdicts() -> Corpus {
    let record = DigestSet::of(b"record");
    let causes = vec![Cause::Varied { variation: Variation::Clock, record, kept: None }, Cause::Unstable { record }];
    let attempt = |seconds, matched| EpochAttempt { seconds, matched };
    let epoch = EpochUsed {
        seconds: Some(1_700_000_000),
        origin: EpochOrigin::PublishedArtifact,
        tried: vec![attempt(None, false), attempt(Some(1_700_000_000), true)],
    };
    let findings = vec![
        finding(Between::PublishedAndRebuilt, FindingKind::ZipEntryTimes, vec![]),
        finding(Between::Rebuilds, FindingKind::Content, causes),
    ];
    let different = Verdict {
        outcome: Outcome::Different,
        rebuilds_agree: false,
        matches_published: Some(false),
        source_date_epoch: epoch,
        findings,
        ..reproducible(true)
    };
    let mut files = vec![
        json("different", &different),
        json("published", &reproducible(true)),
        json("alone", &reproducible(false)),
    ];
    files.extend(other_forms(&files[0].clone()));
    ("verdict", files)
}

fn trees() -> Corpus {
    let path = |bytes: &[u8]| TreePath::new(bytes).unwrap();
    let file = Node::File { mode: 0o755, size: 2, digest: DigestSet::of(b"hi") };
    let entries = [
        (path(b"b-dir"), Node::Directory { mode: 0o755 }),
        (path(b"b-dir/caf\xe9\n"), file.clone()),
        (path(b"b-dir/\\"), file),
        (path(b"b-link"), Node::Symlink { target: LinkTarget::new(*b"../\xff").unwrap() }),
    ];
    let mut files = vec![json("full", &Tree::new(entries.into()).unwrap()), json("empty", &Tree::default())];
    let as_text = String::from_utf8(files[0].1.clone()).unwrap();
    files.push(text("refused-no-parent", as_text.replace("\"b-dir\":", "\"c-dir\":")));
    files.push(text("refused-mode", as_text.replace("493", "4096")));
    files.push(text("refused-path", as_text.replace("\"b-link\"", "\"b-dir/../x\"")));
    files.push(text("refused-path-escape", as_text.replace("\\\\x0a", "\\\\x0A")));
    files.push(text("refused-empty-target", r#"{"a":{"target":"","type":"symlink"}}"#));
    files.push(text("refused-type", r#"{"a":{"type":"device"}}"#));
    files.push(text("refused-two", r#"{"a":{"mode":1,"type":"directory"},"a":{"mode":2,"type":"directory"}}"#));
    files.extend(other_forms(&files[0].clone()));
    ("tree", files)
}
