// SPDX-License-Identifier: Apache-2.0
//! Comparisons: no finding if and only if there is no difference, whatever the bytes; and what is said is bounded and does
//! nothing to a terminal.

use std::fs::File;
use std::io::{self, Write as _};

use nix::sys::memfd::{MFdFlags, memfd_create};
use reprove_model::{Between, Digest, DigestSet, Finding, Node, Tree, TreePath};
use reprove_verifier::compare::{Blobs, Comparison, Level, MAX_FINDINGS, Options, Side, compare, compare_files};

use super::{assert_plain, nearly, split};

/// Two zip archives, in pairs as they come, and each with itself but for one byte.
pub(super) fn zip(bytes: &[u8]) {
    let (left, right) = split(bytes);
    pair(left, right);
    for one in [left, right] {
        if let Some(other) = nearly(one) {
            pair(one, &other);
        }
    }
}

/// Two archives or compressed files of any kind, in pairs as they come; each with itself but for one byte; and the same below
/// gzip.
pub(super) fn containers(bytes: &[u8]) {
    let (left, right) = split(bytes);
    pair(left, right);
    pair(&gzip(left), &gzip(right));
    for one in [left, right] {
        if let Some(other) = nearly(one) {
            pair(one, &other);
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two texts: each half of the bytes as one, whatever it is, and whatever its name says that it is.
pub(super) fn text(bytes: &[u8]) {
    let (left, right) = split(bytes);
    let text = |bytes| String::from_utf8_lossy(bytes).replace('\0', "\n").into_bytes();
    for name in ["a.whl", "a.toml", "a.xml", "a.yaml"] {
        named(&text(left), &text(right), name);
    }
}

/// Two streams of bytes, longer than what is held of them at one time: the left half, up to 255 KiB of zeros, then either
/// half.
pub(super) fn bytes(bytes: &[u8]) {
    let Some((&blocks, rest)) = bytes.split_first() else { return };
    let (left, right) = split(rest);
    let zeros = vec![0; usize::from(blocks) << 10];
    pair(&[left, &zeros, left].concat(), &[left, &zeros, right].concat());
}

/// Both halves as lists of a tree's files, one a line: a path's text, a space, the content.
pub(super) fn trees(bytes: &[u8]) {
    let (left, right) = split(bytes);
    let (Some(left), Some(right)) = (Files::of(left), Files::of(right)) else { return };
    let find = |a: &Files, b: &Files| {
        let (a, b) = (Side { tree: &a.tree, blobs: a }, Side { tree: &b.tree, blobs: b });
        compare(a, b, Options::of(Between::Rebuilds)).unwrap().findings
    };
    let findings = find(&left, &right);
    assert_eq!(findings.is_empty(), left.tree.digest() == right.tree.digest());
    check(&findings);
    assert_eq!(find(&right, &left).len(), findings.len());
    assert!(find(&left, &left).is_empty());
}

fn pair(left: &[u8], right: &[u8]) {
    named(left, right, "a.whl");
}

fn named(left: &[u8], right: &[u8], name: &str) {
    let [a, b] = &[left, right].map(|bytes| in_memory(bytes).unwrap());
    let find = |a, b| compare_files(a, b, name, Options::of(Between::Given)).unwrap();
    let Comparison { level, normalizations, findings } = find(a, b);
    assert_eq!(findings.is_empty(), left == right);
    assert_eq!(level == Level::BitIdentical, left == right);
    assert_eq!(matches!(level, Level::NormalizedEqual | Level::CodeEqual), !normalizations.is_empty());
    check(&findings);
    let back = find(b, a);
    assert_eq!((back.findings.len(), back.level), (findings.len(), level));
    // What makes them equal gives both the same digest.
    assert_eq!(back.normalizations.last(), normalizations.last());
    assert!(find(a, a).findings.is_empty());
}

fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"compared", MFdFlags::empty())?);
    file.write_all(bytes)?;
    Ok(file)
}

fn check(findings: &[Finding]) {
    assert!(findings.len() <= MAX_FINDINGS);
    assert!(findings.is_sorted_by_key(|finding| (finding.place.clone(), finding.kind)));
    for finding in findings {
        assert!(finding.count > 0 && finding.count >= finding.details.len() as u64);
        assert!(finding.details.len() <= Finding::MAX_DETAILS);
        assert_plain(&finding.summary);
        assert!(!finding.place.chars().any(|c| c.is_control()), "{:?}", finding.place);
        for detail in finding.details.iter().filter(|detail| detail.at != finding.place) {
            [&detail.at, &detail.left, &detail.right].into_iter().for_each(|text| assert_plain(text));
        }
    }
}

/// A tree of files in memory.
struct Files {
    tree: Tree,
    contents: Vec<(Digest, Vec<u8>)>,
}

impl Files {
    fn of(list: &[u8]) -> Option<Self> {
        let mut contents = Vec::new();
        let mut entries = std::collections::BTreeMap::new();
        for line in list.split(|&b| b == b'\n').take(16) {
            let (path, content) = line.split_at(line.iter().position(|&b| b == b' ').unwrap_or(line.len()));
            let Ok(path) = TreePath::new(path) else { continue };
            let digest = DigestSet::of(content);
            contents.push((digest.blake3, content.to_vec()));
            let parents = std::iter::successors(path.parent(), TreePath::parent).take(8);
            entries.extend(parents.map(|parent| (parent, Node::Directory { mode: 0o755 })));
            let size = content.len() as u64;
            let mode = 0o644 | u16::from(size % 3 == 1);
            entries.insert(path, Node::File { mode, size, digest });
        }
        Some(Self { tree: Tree::new(entries).ok()?, contents })
    }
}

impl Blobs for Files {
    fn open(&self, digest: &Digest) -> io::Result<File> {
        let found = self.contents.iter().find(|(name, _)| name == digest).ok_or(io::ErrorKind::NotFound)?;
        in_memory(&found.1)
    }
}
