// SPDX-License-Identifier: Apache-2.0
//! Trees with trees, and files with files.

use std::collections::BTreeMap;
use std::io::Write as _;

use proptest::prelude::*;

use reprove_model::{DigestSet, FindingKind, Node, TreePath};

use super::*;

/// Bytes by digest, as files.
#[derive(Default)]
struct Memory(BTreeMap<Digest, Vec<u8>>);

impl Blobs for Memory {
    fn open(&self, digest: &Digest) -> io::Result<File> {
        file(self.0.get(digest).ok_or(io::ErrorKind::NotFound)?)
    }
}

fn file(bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    Ok(file)
}

/// A tree's node, as tests write it down.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    File(u16, Vec<u8>),
    Directory(u16),
    Link(&'static str),
}

use Entry::{Directory, File as Regular, Link};

fn tree(entries: &[(&str, Entry)], blobs: &mut Memory) -> Tree {
    let entries = entries.iter().map(|(path, entry)| {
        let node = match entry {
            Regular(mode, bytes) => {
                let digest = DigestSet::of(bytes);
                blobs.0.insert(digest.blake3, bytes.clone());
                Node::File { mode: *mode, size: bytes.len() as u64, digest }
            }
            Directory(mode) => Node::Directory { mode: *mode },
            Link(target) => Node::Symlink { target: target.parse().unwrap() },
        };
        (TreePath::new(*path).unwrap(), node)
    });
    Tree::new(entries.collect()).unwrap()
}

fn find_within(left: &[(&str, Entry)], right: &[(&str, Entry)], bounds: &Bounds) -> Vec<Finding> {
    let mut blobs = Memory::default();
    let (left, right) = (tree(left, &mut blobs), tree(right, &mut blobs));
    let sides = [&left, &right].map(|tree| Side { tree, blobs: &blobs });
    let [a, b] = sides;
    let comparison = trees::compare(a, b, &Options::of(Between::Rebuilds), bounds).unwrap();
    let findings = comparison.findings;
    assert_eq!(comparison.level == Level::BitIdentical, findings.is_empty());
    assert_eq!(findings.is_empty(), left.digest() == right.digest());
    assert!(findings.is_sorted_by_key(|finding| (finding.place.clone(), finding.kind)));
    assert!(findings.iter().all(|finding| finding.between == Between::Rebuilds && finding.causes.is_empty()));
    findings
}

pub(super) fn find(left: &[(&str, Entry)], right: &[(&str, Entry)]) -> Vec<Finding> {
    find_within(left, right, &Bounds::default())
}

fn text(text: &str) -> Entry {
    Regular(0o644, text.as_bytes().to_vec())
}

#[test]
fn every_kind_of_difference_between_trees() {
    let left = [
        ("both", text("same")),
        ("content", text("one\n")),
        ("dir", Directory(0o755)),
        ("dir/left", text("l")),
        ("link", Link("a")),
        ("mode", text("")),
        ("type", Directory(0o755)),
        ("type/below", text("")),
    ];
    let right = [
        ("both", text("same")),
        ("content", text("two\n")),
        ("dir", Directory(0o700)),
        ("dir/right", text("right")),
        ("link", Link("b")),
        ("mode", Regular(0o755, Vec::new())),
        ("type", Link("elsewhere")),
    ];
    let findings = find(&left, &right);
    let found: Vec<_> = findings.iter().map(|finding| (finding.place.as_str(), finding.kind)).collect();
    let expected = [
        ("content", FindingKind::Content),
        ("dir", FindingKind::Mode),
        ("dir/left", FindingKind::OnlyLeft),
        ("dir/right", FindingKind::OnlyRight),
        ("link", FindingKind::LinkTarget),
        ("mode", FindingKind::Mode),
        ("type", FindingKind::Type),
        ("type/below", FindingKind::OnlyLeft),
    ];
    assert_eq!(found, expected);
    let summaries: Vec<_> = findings.iter().map(|finding| finding.summary.as_str()).collect();
    assert_eq!(summaries[1], "the mode is 0755 on the left, 0700 on the right");
    assert_eq!(summaries[3], "a file of 5 bytes, on the right alone");
    assert_eq!(summaries[6], "a directory on the left, a link to elsewhere on the right");
    assert_eq!(summaries[0], "1 line differs; both have 4 bytes");
}

#[test]
fn mode_and_content_of_one_file_are_two_findings() {
    let findings = find(&[("f", text("a"))], &[("f", Regular(0o755, b"b".to_vec()))]);
    let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::Mode, FindingKind::Content]);
}

#[test]
fn text_is_lines_up_to_the_bound_and_bytes_past_it() {
    let bounds = Bounds { text: 4, ..Bounds::default() };
    let at = |left: &str, right: &str| {
        let findings = find_within(&[("f", text(left))], &[("f", text(right))], &bounds);
        findings[0].details[0].at.clone()
    };
    assert_eq!(at("a\nb\n", "a\nc\n"), "line 2");
    assert_eq!(at("a\nb\n\n", "a\nc\n\n"), "0x2, 1 byte");
    assert_eq!(at("a\nb\0", "a\nc\0"), "0x2, 1 byte");
}

#[test]
fn values_come_beside_the_lines() {
    let of = |left: &str, right: &str| {
        let findings = find(&[("a.json", text(left))], &[("a.json", text(right))]);
        findings.into_iter().map(|f| (f.summary, f.details[0].at.clone(), f.count)).collect::<Vec<_>>()
    };
    let lines = ("1 line differs; both have 16 bytes".to_owned(), "line 1".to_owned(), 1);
    let values = ("as JSON, 1 value differs".to_owned(), "/b".to_owned(), 1);
    assert_eq!(of(r#"{"a": 1, "b": 2}"#, r#"{"a": 1, "b": 3}"#), [lines.clone(), values]);
    let same = (lines.0 + "; as JSON, no value differs", lines.1, 1);
    assert_eq!(of(r#"{"a": 1, "b": 2}"#, r#"{"b": 2, "a": 1}"#), [same]);
}

#[test]
fn texts_past_what_all_share_say_so() {
    let of = |aligning, values| {
        let bounds = Bounds { aligning, values, ..Bounds::default() };
        let findings = find_within(&[("a.json", text("[1]"))], &[("a.json", text("[2]"))], &bounds);
        findings.into_iter().map(|finding| finding.summary).collect::<Vec<_>>()
    };
    let lines = "1 line differs; both have 3 bytes";
    let values = "as JSON, 1 value differs";
    assert_eq!(of(1, 8), [lines, values]);
    let by_number = format!("{lines}; those of one number are compared, since too many differ to be aligned");
    assert_eq!(of(0, 8), [&by_number, values]);
    let alone = "; values are not told apart as JSON: of all texts together, more than 7 bytes would be looked at";
    assert_eq!(of(1, 7), [[lines, alone].concat()]);
}

#[test]
fn findings_past_the_bound_are_counted() {
    let names: Vec<String> = (0..30).map(|n| format!("f{n:02}")).collect();
    let side = |content: &str| -> Vec<(&str, Entry)> { names.iter().map(|n| (n.as_str(), text(content))).collect() };
    let bounds = Bounds { findings: 30, ..Bounds::default() };
    assert_eq!(find_within(&side("a"), &side("b"), &bounds).last().unwrap().count, 1);
    let bounds = Bounds { findings: 29, ..Bounds::default() };
    let findings = find_within(&side("a"), &side("b"), &bounds);
    assert_eq!(findings.len(), 29);
    let last = findings.last().unwrap();
    assert_eq!((last.place.as_str(), last.count), ("f28", 2));
    assert!(last.summary.starts_with("at least 2 more differences"), "{}", last.summary);
}

#[test]
fn the_level_is_true_past_the_bound() {
    let names: Vec<String> = (0..9).map(|n| format!("f{n}.properties")).collect();
    let date = |day: &str| text(&format!("#{day} Nov 27 07:42:06 UTC 2026\n"));
    let side = |last: Entry, day: &str| -> Vec<(&str, Entry)> {
        let entries = names.iter().map(|name| (name.as_str(), date(day)));
        entries.take(8).chain([(names[8].as_str(), last)]).collect()
    };
    let level = |left: &[(&str, Entry)], right: &[(&str, Entry)], findings| {
        let mut blobs = Memory::default();
        let trees = [left, right].map(|entries| tree(entries, &mut blobs));
        let [left, right] = [&trees[0], &trees[1]].map(|tree| Side { tree, blobs: &blobs });
        let bounds = Bounds { findings, ..Bounds::default() };
        trees::compare(left, right, &Options::of(Between::Given), &bounds).unwrap().level
    };
    for findings in [3, 9] {
        let (left, right) = (side(date("Thu"), "Thu"), side(date("Fri"), "Fri"));
        assert_eq!(level(&left, &right, findings), Level::NormalizedEqual);
        assert_eq!(level(&left, &side(text("other"), "Fri"), findings), Level::Different);
    }
}

#[test]
fn a_store_that_gives_the_wrong_bytes_hides_nothing() {
    let mut blobs = Memory::default();
    let (left, right) = (tree(&[("f", text("a"))], &mut blobs), tree(&[("f", text("b"))], &mut blobs));
    blobs.0.values_mut().for_each(|bytes| *bytes = b"a".to_vec());
    let side = |tree| Side { tree, blobs: &blobs };
    let findings = compare(side(&left), side(&right), Options::of(Between::Given)).unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].summary.contains("not what the trees name"), "{}", findings[0].summary);
    let empty = Memory::default();
    let side = |tree| Side { tree, blobs: &empty };
    let error = compare(side(&left), side(&right), Options::of(Between::Given));
    assert!(matches!(error, Err(CompareError::Open { place, .. }) if place == "f"));
}

#[test]
fn equal_files_are_not_opened() {
    let mut blobs = Memory::default();
    let left = tree(&[("f", text("a"))], &mut blobs);
    blobs.0.clear();
    let side = Side { tree: &left, blobs: &blobs };
    assert_eq!(compare(side, side, Options::of(Between::Given)).unwrap().findings, []);
}

#[test]
fn files_are_compared_whatever_their_cursors() {
    let (left, right) = (file(b"a\nb\n").unwrap(), file(b"a\nc\n").unwrap());
    let findings = compare_files(&left, &right, "b.txt", Options::of(Between::Given)).unwrap().findings;
    assert_eq!((findings.len(), findings[0].place.as_str()), (1, "b.txt"));
    assert_eq!(compare_files(&left, &left, "b.txt", Options::of(Between::Given)).unwrap().findings, []);
}

fn entry() -> impl Strategy<Value = Entry> {
    let modes = prop_oneof![Just(0o644_u16), Just(0o755)];
    prop_oneof![
        (modes.clone(), proptest::collection::vec(any::<u8>(), 0..4)).prop_map(|(mode, bytes)| Regular(mode, bytes)),
        (modes.clone(), "[ab\\n]{0,3}").prop_map(|(mode, text)| Regular(mode, text.into_bytes())),
        modes.prop_map(Directory),
        prop_oneof![Just("a"), Just("b")].prop_map(Link),
    ]
}

fn entries() -> impl Strategy<Value = Vec<(String, Entry)>> {
    let top = proptest::collection::btree_map("[ab]", entry(), 0..3);
    let below = proptest::collection::btree_map("d/[ab!]", entry(), 0..3);
    (top, below).prop_map(|(top, below)| {
        let directory = (!below.is_empty()).then(|| ("d".to_owned(), Directory(0o755)));
        top.into_iter().chain(directory).chain(below).collect()
    })
}

proptest! {
    /// The promise: no finding if and only if the trees have one digest ([`find_within`] asserts it).
    #[test]
    fn empty_if_and_only_if_equal(left in entries(), right in entries(), findings in 1..5_usize) {
        fn borrow(entries: &[(String, Entry)]) -> Vec<(&str, Entry)> {
            entries.iter().map(|(path, entry)| (path.as_str(), entry.clone())).collect()
        }
        find(&borrow(&left), &borrow(&left));
        let all = find(&borrow(&left), &borrow(&right));
        let bounds = Bounds { findings, ..Bounds::default() };
        let some = find_within(&borrow(&left), &borrow(&right), &bounds);
        prop_assert_eq!(some.len(), all.len().min(findings));
    }
}
