// SPDX-License-Identifier: Apache-2.0
//! Layouts of container images as trees and as archives, and what their names say wrongly.

use proptest::prelude::*;
use reprove_model::{DigestSet, Finding, FindingKind};

use super::super::Bounds;
use super::super::archive::tests::{FILE, File, OTHER, find_within, gzip, tar_of};
use super::super::tests::{Entry, find};

/// The files of a layout, by their names.
type Files = Vec<(String, Vec<u8>)>;

fn digest(bytes: &[u8]) -> String {
    DigestSet::of(bytes).sha256.to_string()
}

fn blob(files: &mut Files, bytes: &[u8]) -> String {
    let name = format!("blobs/sha256/{}", digest(bytes));
    if !files.iter().any(|(other, _)| *other == name) {
        files.push((name, bytes.to_vec()));
    }
    format!(r#""digest":"sha256:{}","size":{}"#, digest(bytes), bytes.len())
}

/// One image: its configuration, its layers, and what its index says of it beside.
fn manifest(files: &mut Files, config: &str, layers: &[&[u8]]) -> String {
    let config = blob(files, config.as_bytes());
    let layers: Vec<_> = layers.iter().map(|layer| format!("{{{}}}", blob(files, layer))).collect();
    format!(r#"{{"config":{{{config}}},"layers":[{}]}}"#, layers.join(","))
}

fn index(files: &mut Files, images: &[(&str, String)]) -> String {
    let rows: Vec<_> = images.iter().map(|(more, it)| format!("{{{}{more}}}", blob(files, it.as_bytes()))).collect();
    format!(r#"{{"manifests":[{}]}}"#, rows.join(","))
}

fn layout(files: Files, index: String) -> Files {
    let start = [
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.into_bytes()),
    ];
    start.into_iter().chain(files).collect()
}

const LINUX: &str = r#","platform":{"architecture":"amd64","os":"linux"}"#;
const CONFIG: &str = r#"{"created":"2023-01-02T03:04:05Z"}"#;

fn layer(files: &[File<'_>]) -> Vec<u8> {
    gzip(&tar_of(files), 0, 6)
}

fn image(config: &str, layers: &[&[u8]]) -> Files {
    let mut files = Files::new();
    let manifest = manifest(&mut files, config, layers);
    let index = index(&mut files, &[(LINUX, manifest)]);
    layout(files, index)
}

fn in_trees(left: &Files, right: &Files) -> Vec<Finding> {
    fn entries(files: &Files) -> Vec<(&str, Entry)> {
        let mut all: Vec<_> =
            files.iter().map(|(name, bytes)| (name.as_str(), Entry::File(0o644, bytes.clone()))).collect();
        all.extend(["blobs", "blobs/sha256"].map(|name| (name, Entry::Directory(0o755))));
        all
    }
    find(&entries(left), &entries(right))
}

fn archive(files: &Files) -> Vec<u8> {
    let files: Vec<_> = files.iter().map(|(name, data)| File { name, data, ..FILE }).collect();
    tar_of(&files)
}

fn in_archives(left: &Files, right: &Files) -> Vec<Finding> {
    let (findings, needs) = find_within(&archive(left), &archive(right), &Bounds::default());
    assert_eq!(needs, None);
    findings
}

/// The kind and the place of each, with the digests in places cut out.
fn shown(findings: &[Finding]) -> Vec<(FindingKind, String)> {
    let place = |finding: &Finding| match finding.place.split_once(" (sha256:") {
        Some((before, after)) => format!("{before}{}", after.split_once(')').unwrap().1),
        None => finding.place.clone(),
    };
    findings.iter().map(|finding| (finding.kind, place(finding))).collect()
}

fn both(left: &Files, right: &Files) -> Vec<(FindingKind, String)> {
    let trees = shown(&in_trees(left, right));
    let archives = shown(&in_archives(left, right))
        .into_iter()
        .filter_map(|(kind, place)| Some((kind, place.strip_prefix("a!")?.to_owned())));
    assert_eq!(trees, archives.collect::<Vec<_>>());
    trees
}

const CHANGED: File<'_> = File { data: b"other\n", ..FILE };
const LATER: File<'_> = File { time: 1_732_000_000, ..FILE };

/// What follows from one layer or configuration that differs.
fn around(kind: FindingKind, place: &str) -> Vec<(FindingKind, String)> {
    let mut all = vec![
        (FindingKind::ArchiveStructure, "blobs".to_owned()),
        (kind, place.to_owned()),
        (FindingKind::Content, "blobs: manifest of linux/amd64".to_owned()),
        (FindingKind::Content, "blobs: manifest of linux/amd64".to_owned()),
        (FindingKind::Content, "index.json".to_owned()),
        (FindingKind::Content, "index.json".to_owned()),
    ];
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all
}

#[test]
fn what_differs_in_a_layer_is_found_there() {
    let first = layer(&[OTHER]);
    let of = |file| image(CONFIG, &[&first, &layer(&[file, OTHER])]);
    let in_layer = "blobs: layer 2 of linux/amd64!content";
    let times = both(&of(FILE), &of(LATER));
    assert_eq!(times, around(FindingKind::ArchiveTimes, in_layer));
    let content = both(&of(FILE), &of(CHANGED));
    assert_eq!(content, around(FindingKind::Content, &format!("{in_layer}!p/x")));
}

#[test]
fn layers_that_unpack_to_the_same_are_told() {
    let tar = tar_of(&[FILE]);
    let config = |tar: &[u8]| format!(r#"{{"rootfs":{{"diff_ids":["sha256:{}"]}}}}"#, digest(tar));
    let of = |tar: &[u8], level| image(&config(tar), &[&gzip(tar, 0, level)]);
    let said = |left: &Files, right: &Files| {
        let found = in_trees(left, right);
        found.into_iter().find(|finding| finding.place == "blobs").unwrap().summary
    };
    let packed = said(&of(&tar, 1), &of(&tar, 9));
    let same = "; layer 1 of linux/amd64 unpacks to the same archive on both sides, as the configurations have it";
    assert!(packed.ends_with(&format!("; no layer of linux/amd64 has the same digest{same}")), "{packed}");
    assert!(!said(&of(&tar, 1), &of(&tar_of(&[CHANGED]), 1)).contains("unpacks"));
}

/// What is said of what is the same has a bound.
#[test]
fn equal_layers_are_named_to_a_bound() {
    let all: Vec<Vec<u8>> = (0..=super::MAX_SAME).map(|n| n.to_string().into_bytes()).collect();
    let of = |equal: usize, last: &[u8]| {
        let layers: Vec<&[u8]> = all[..equal].iter().map(Vec::as_slice).chain([last]).collect();
        image(CONFIG, &layers)
    };
    for (equal, text) in [
        (1, "layer 1 of linux/amd64 has the same digest".to_owned()),
        (2, "layers 1, 2 of linux/amd64 have the same digests".to_owned()),
        (super::MAX_SAME, format!("19, {} of linux/amd64 have the same digests", super::MAX_SAME)),
        (super::MAX_SAME + 1, format!("{} of 22 layers of linux/amd64 have the same digests", super::MAX_SAME + 1)),
    ] {
        let found = in_trees(&of(equal, b"left"), &of(equal, b"right"));
        let names = found.iter().find(|finding| finding.place == "blobs").unwrap();
        assert!(names.summary.contains(&text), "{}", names.summary);
    }
}

/// How many images and layers there are that something is said of has the same bound.
#[test]
fn what_is_the_same_is_said_to_a_bound() {
    let said = |layers: usize| {
        let tars: Vec<Vec<u8>> = (0..layers).map(|n| tar_of(&[File { time: n as u64, ..FILE }])).collect();
        let ids: Vec<_> = tars.iter().map(|tar| format!("\"sha256:{}\"", digest(tar))).collect();
        let config = format!(r#"{{"rootfs":{{"diff_ids":[{}]}}}}"#, ids.join(","));
        let of = |level| {
            let packed: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar, 0, level)).collect();
            image(&config, &packed.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        let found = in_trees(&of(1), &of(9));
        found.into_iter().find(|finding| finding.place == "blobs").unwrap().summary.matches("; ").count()
    };
    assert_eq!((said(super::MAX_SAME - 1), said(super::MAX_SAME)), (super::MAX_SAME, super::MAX_SAME));
}

#[test]
fn configurations_are_matched_and_names_are_told() {
    let of = |config| image(config, &[&layer(&[FILE])]);
    let (left, right) = (of(CONFIG), of(r#"{"created":"2024-01-02T03:04:05Z"}"#));
    let mut expected = around(FindingKind::Content, "blobs: config of linux/amd64");
    expected.insert(2, expected[1].clone());
    assert_eq!(both(&left, &right), expected);
    let findings = in_archives(&left, &right);
    let names = &findings[0];
    assert_eq!((names.place.as_str(), names.count), ("a!blobs", 2));
    assert!(names.summary.starts_with("the names of 2 blobs differ: each is the digest"), "{}", names.summary);
    let of = |files: &Files, at: usize| files[at].0.clone();
    assert_eq!([&names.details[1].left, &names.details[1].right], [&of(&left, 2), &of(&right, 2)]);
    assert_eq!(names.details[1].at, "config of linux/amd64");
    assert!(findings[1].place.contains(&format!("(sha256:{}…)", &of(&left, 2)[13..25])), "{}", findings[1].place);
}

#[test]
fn images_are_matched_by_platform_then_tag_then_place() {
    let of = |images: &[(&str, &str)]| {
        let mut files = Files::new();
        let mut all = Vec::new();
        for (more, config) in images {
            all.push((*more, manifest(&mut files, config, &[])));
        }
        let index = index(&mut files, &all);
        layout(files, index)
    };
    let arm = r#","platform":{"architecture":"arm64","os":"linux","variant":"v8"}"#;
    let tagged = r#","annotations":{"org.opencontainers.image.ref.name":"latest"}"#;
    let places = |left: &Files, right: &Files| {
        let mut all: Vec<_> =
            both(left, right).into_iter().map(|(_, place)| place).filter(|p| p.contains("config")).collect();
        all.dedup();
        all
    };
    let found = places(&of(&[(LINUX, "a1"), (arm, "b1")]), &of(&[(arm, "b2"), (LINUX, "a2")]));
    assert_eq!(found, ["blobs: config of linux/amd64", "blobs: config of linux/arm64/v8"]);
    assert_eq!(
        places(&of(&[("", "a1"), (tagged, "b1")]), &of(&[(tagged, "b2"), ("", "a2")])),
        ["blobs: config of image 1", "blobs: config of latest"]
    );
    // What both have is not matched with anything else, and what is left over is on one side alone.
    let found = both(&of(&[("", "a1"), ("", "same")]), &of(&[("", "same"), ("", "x1"), ("", "y1")]));
    assert!(found.iter().any(|(_, place)| place == "blobs: config of image 1"), "{found:?}");
    assert_eq!(found.iter().filter(|(kind, _)| *kind == FindingKind::OnlyRight).count(), 2, "{found:?}");
    assert_eq!(found.iter().filter(|(kind, _)| *kind == FindingKind::OnlyLeft).count(), 0, "{found:?}");
}

#[test]
fn an_index_may_be_in_an_index() {
    let of = |config: &str| {
        let mut files = Files::new();
        let manifest = manifest(&mut files, config, &[]);
        let inner = index(&mut files, &[(LINUX, manifest)]);
        let outer = index(&mut files, &[("", inner)]);
        layout(files, outer)
    };
    let found: Vec<_> = both(&of("one"), &of("two")).into_iter().map(|(_, place)| place).collect();
    for place in ["blobs: index of image 1", "blobs: manifest of linux/amd64", "blobs: config of linux/amd64"] {
        assert!(found.contains(&place.to_owned()), "{found:?}");
    }
}

#[test]
fn a_name_that_is_not_the_digest_is_never_matched() {
    let left = image(CONFIG, &[&layer(&[FILE])]);
    let mut right = image(CONFIG, &[&layer(&[CHANGED])]);
    // The layer's bytes are others than its name says.
    assert_eq!(both(&left, &right).iter().filter(|(_, place)| place.contains("layer 1")).count(), 1);
    let at = right.len() - 2;
    right[at].1.push(0);
    let found = both(&left, &right);
    assert!(found.iter().all(|(_, place)| !place.contains("layer")), "{found:?}");
    for (kind, files) in [(FindingKind::OnlyLeft, &left), (FindingKind::OnlyRight, &right)] {
        assert!(found.contains(&(kind, files[at].0.clone())), "{found:?}");
    }
}

#[test]
fn what_is_no_layout_is_compared_by_its_names() {
    let broken = |bytes: &[u8]| {
        let mut files = image(CONFIG, &[&layer(&[FILE])]);
        files[1].1 = bytes.to_vec();
        files
    };
    let left = image(CONFIG, &[&layer(&[CHANGED])]);
    for bytes in [&b"{"[..], b"[]", br#"{"manifests":{}}"#, br#"{"manifests":[{"digest":"sha256:../../etc"}]}"#] {
        let found = both(&left, &broken(bytes));
        assert_eq!(found.iter().filter(|(kind, _)| *kind == FindingKind::OnlyLeft).count(), 2, "{found:?}");
        assert!(found.iter().all(|(_, place)| !place.contains(": ")), "{found:?}");
    }
}

#[test]
fn documents_are_read_to_a_bound() {
    let of = |file, most: usize| {
        let mut files = image(CONFIG, &[&layer(&[file])]);
        files[1].1.resize(most, b' ');
        files
    };
    let most = usize::try_from(super::MAX_DOCUMENT).unwrap();
    for (len, matches) in [(most, true), (most + 1, false)] {
        let found = shown(&in_archives(&of(FILE, len), &of(CHANGED, len)));
        assert_eq!(found.iter().any(|(_, place)| place.contains("layer 1 of linux/amd64")), matches, "{found:?}");
    }
}

#[test]
fn indexes_are_followed_to_a_bound() {
    let of = |config: &str, depth: usize| {
        let mut files = Files::new();
        let mut inner = manifest(&mut files, config, &[]);
        for _ in 0..=depth {
            inner = index(&mut files, &[("", inner)]);
        }
        layout(files, inner)
    };
    for (depth, matches) in [(super::MAX_DEPTH, true), (super::MAX_DEPTH + 1, false)] {
        let found = both(&of("one", depth), &of("two", depth));
        assert_eq!(found.iter().any(|(_, place)| place.contains("config of")), matches, "{depth}: {found:?}");
    }
}

#[test]
fn what_is_saved_without_a_layout_is_matched_by_its_list() {
    let of = |file, config: &str| {
        let layer = tar_of(&[file]);
        let (config_name, layer_name) =
            (format!("{}.json", digest(config.as_bytes())), format!("{}.tar", digest(&layer)));
        let list = format!(r#"[{{"Config":"{config_name}","RepoTags":["a:latest"],"Layers":["{layer_name}"]}}]"#);
        vec![("manifest.json".to_owned(), list.into_bytes()), (config_name, config.into()), (layer_name, layer)]
    };
    let found = shown(&in_archives(&of(FILE, "one"), &of(LATER, "two")));
    assert!(found.contains(&(FindingKind::ArchiveTimes, "a!blobs: layer 1 of a:latest".to_owned())), "{found:?}");
    assert!(found.contains(&(FindingKind::Content, "a!blobs: config of a:latest".to_owned())), "{found:?}");
    assert!(found.contains(&(FindingKind::ArchiveStructure, "a!blobs".to_owned())), "{found:?}");
    assert!(found.iter().all(|(kind, _)| !matches!(kind, FindingKind::OnlyLeft | FindingKind::OnlyRight)), "{found:?}");
}

proptest! {
    /// [`find_within`] asserts it: whatever the bytes are, no finding if and only if they are equal.
    #[test]
    fn hostile_bytes(flips in proptest::collection::vec((0..8192_usize, any::<u8>()), 0..4)) {
        let of = |file| archive(&image(CONFIG, &[&layer(&[OTHER]), &layer(&[file])]));
        let (left, mut right) = (of(FILE), of(CHANGED));
        for (at, byte) in flips {
            let at = at % right.len();
            right[at] = byte;
        }
        find_within(&left, &right, &Bounds::default());
        find_within(&right, &left, &Bounds::default());
    }
}
