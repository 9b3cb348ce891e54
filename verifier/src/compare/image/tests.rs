// SPDX-License-Identifier: Apache-2.0
//! Images as their tools make them (`samples/make.sh`), and with bytes of them changed.

use proptest::prelude::*;
use reprove_model::{Finding, FindingKind};

use super::super::archive::tests::find_within;
use super::*;

const SAMPLES: [(Format, &str, &[u8]); 8] = [
    (Format::Squashfs, "plain.squashfs", include_bytes!("samples/plain.squashfs.zst")),
    (Format::Squashfs, "gzip.squashfs", include_bytes!("samples/gzip.squashfs.zst")),
    (Format::Squashfs, "xz.squashfs", include_bytes!("samples/xz.squashfs.zst")),
    (Format::Squashfs, "zstd.squashfs", include_bytes!("samples/zstd.squashfs.zst")),
    (Format::Ext4, "image.ext2", include_bytes!("samples/image.ext2.zst")),
    (Format::Ext4, "image.ext4", include_bytes!("samples/image.ext4.zst")),
    (Format::Erofs, "plain.erofs", include_bytes!("samples/plain.erofs.zst")),
    (Format::Erofs, "lz4.erofs", include_bytes!("samples/lz4.erofs.zst")),
];

pub(super) fn sample(name: &str) -> Vec<u8> {
    let (_, _, packed) = SAMPLES.iter().find(|(_, other, _)| *other == name).unwrap();
    zstd::decode_all(*packed).unwrap()
}

/// The image with `bytes` from `at` on.
pub(super) fn with(name: &str, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = sample(name);
    image[at..at + bytes.len()].copy_from_slice(bytes);
    image
}

/// Where these bytes are; they have to be in one place.
pub(super) fn find(name: &str, bytes: &[u8]) -> usize {
    let image = sample(name);
    let mut found = (0..image.len() - bytes.len()).filter(|at| image[*at..].starts_with(bytes));
    let first = found.next().unwrap();
    assert_eq!(found.next(), None, "{name} has {bytes:?} twice");
    first
}

/// The kind, the place, and what comes first in the details of each finding; the last but for the image's own bytes.
fn found(left: &[u8], right: &[u8]) -> Vec<(FindingKind, String, String)> {
    let (mut findings, needs) = find_within(left, right, &Bounds::default());
    assert_eq!(needs, None);
    let own =
        findings.iter().position(|finding| finding.summary.starts_with("the image's own bytes differ in")).unwrap();
    let own = findings.remove(own);
    assert_eq!((own.kind, own.place.as_str()), (FindingKind::ArchiveStructure, "a"));
    assert_eq!(own.summary.contains("nothing else that is looked at differs"), findings.is_empty(), "{}", own.summary);
    let at = |finding: &Finding| finding.details.first().map(|detail| detail.at.clone()).unwrap_or_default();
    findings.iter().map(|finding| (finding.kind, finding.place.clone(), at(finding))).collect()
}

fn one(left: &[u8], right: &[u8]) -> (FindingKind, String, String) {
    let mut all = found(left, right);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn every_node_is_read_as_it_is() {
    let large: String = (1..=5000).map(|n| format!("{n}\n")).collect();
    let mut large = large.into_bytes()[..20_000].to_vec();
    large.resize(40_000, 0);
    large.extend(b"the end\n");
    for (format, name, _) in SAMPLES {
        let bytes = sample(name);
        let source = Source::Memory(&bytes);
        let image = read(format, &source, &Bounds::default()).unwrap().unwrap();
        let node = |path: &str| image.nodes.get(path.as_bytes()).unwrap_or_else(|| panic!("{name} has no {path}"));
        let shown = |path| described(node(path));
        let text = [("", "a directory"), ("etc", "a directory"), ("etc/deep/small", "a file of 6 bytes")];
        let more =
            [("etc/large", "a file of 40008 bytes"), ("etc/link", "a link to motd"), ("dev/pipe", "a named pipe")];
        for (path, expected) in text.into_iter().chain(more) {
            assert_eq!(shown(path), expected, "{name}");
        }
        assert_eq!(node("etc/long").target, ["far/".repeat(25).as_bytes(), b"away"].concat(), "{name}");
        assert_eq!((node("etc/large").mode, node("etc/motd").mode), (0o755, 0o644), "{name}");
        assert_eq!((node("etc/large").user, node("etc/large").group, node("etc").user), (1000, 1000, 0), "{name}");
        assert!(
            image
                .nodes
                .values()
                .filter(|node| node.kind != Kind::Directory)
                .all(|node| node.modified.0 == 1_700_000_000)
        );
        assert_eq!((node("dev/null").kind, node("dev/null").device), (Kind::Character, Some((1, 3))), "{name}");
        assert_eq!((node("dev/disk").kind, node("dev/disk").device), (Kind::Block, Some((8, 300))), "{name}");
        assert_eq!(node("etc/motd").attributes, [(b"user.note".to_vec(), b"an attribute".to_vec())], "{name}");
        let far = format!("{:0300}", 7).into_bytes();
        assert_eq!(node("etc/deep/small").attributes, [(b"user.far".to_vec(), far)], "{name}");
        let (motd, same) = (node("etc/motd"), node("etc/same"));
        assert_eq!(motd.first(), Some(b"etc/motd".as_slice()), "{name}");
        assert_eq!(same.first(), motd.first(), "{name}");
        assert!(node("etc/large").first().is_none() && motd.is_like(same), "{name}");
        for (path, expected) in [("etc/motd", &b"hello\n"[..]), ("etc/deep/small", b"small\n"), ("etc/large", &large)] {
            let mut read = Vec::new();
            match image.volume.content(node(path).id) {
                Ok(mut content) => _ = io::Read::read_to_end(&mut content, &mut read).unwrap(),
                Err(why) => {
                    assert!(name == "lz4.erofs" && path == "etc/large", "{name}: {path}: {why:?}");
                    continue;
                }
            }
            assert!(read == expected, "{name}: {path}");
        }
    }
}

/// Where the node of `etc/large` has its mode, which no other node has.
fn mode_of_large(name: &str) -> usize {
    if name.ends_with("squashfs") { find(name, b"\x09\0\xed\x01") + 2 } else { find(name, b"\xed\x81") }
}

#[test]
fn each_fact_of_a_node_is_told_alone() {
    // From the mode on: where the user's number is, and the time.
    for (name, user, time) in [
        ("plain.squashfs", 2, 6),
        ("image.ext2", 2, 16),
        ("image.ext4", 2, 16),
        ("lz4.erofs", 20, 28),
        ("plain.erofs", 20, 0),
    ] {
        let (base, mode) = (sample(name), mode_of_large(name));
        let changed = |at: usize, byte: u8| with(name, at, &[byte]);
        let first = base[mode];
        let at = |what: &str| format!("etc/large: {what}");
        let told = |kind, what: &str| (kind, "a".to_owned(), at(what));
        let executable = changed(mode, first & !0o111);
        assert_eq!(one(&base, &executable), told(FindingKind::ArchiveModes, "mode but for that"), "{name}");
        let writable = changed(mode, first | 0o022);
        assert_eq!(one(&base, &writable), told(FindingKind::ArchiveModes, "may be written by"), "{name}");
        let other = changed(mode + user, base[mode + user] ^ 1);
        assert_eq!(one(&base, &other), told(FindingKind::ArchiveOwners, "user"), "{name}");
        if time > 0 {
            let later = changed(mode + time, base[mode + time] ^ 1);
            assert_eq!(one(&base, &later), told(FindingKind::ArchiveTimes, "modified"), "{name}");
        }
    }
}

#[test]
fn contents_links_attributes_and_names_are_told() {
    for name in ["plain.squashfs", "image.ext2", "image.ext4", "plain.erofs"] {
        let base = sample(name);
        let changed = |from: &[u8], to: &[u8]| one(&base, &with(name, find(name, from), to));
        let content = |place: &str, at: &str| (FindingKind::Content, place.to_owned(), at.to_owned());
        // Under the first of its names alone.
        assert_eq!(changed(b"hello\n", b"Hello\n"), content("a!etc/motd", "line 1"), "{name}");
        assert_eq!(changed(b"the end\n", b"The end\n"), content("a!etc/large", "0x9c40, 1 byte"), "{name}");
        let target = (FindingKind::LinkTarget, "a".to_owned(), "etc/long: leads to".to_owned());
        assert_eq!(changed(b"/far/away", b"/far/abay"), target, "{name}");
        let note = (FindingKind::ArchiveStructure, "a".to_owned(), "etc/motd: attribute user.note".to_owned());
        assert_eq!(changed(b"an attribute", b"no attribute"), note, "{name}");
        let renamed = found(&base, &with(name, find(name, b"pipe"), b"pike"));
        let only = |kind, place: &str| (kind, place.to_owned(), String::new());
        let (left, right) = (FindingKind::OnlyLeft, FindingKind::OnlyRight);
        assert!(renamed.contains(&only(left, "a!dev/pipe")) && renamed.contains(&only(right, "a!dev/pike")), "{name}");
        assert_eq!(renamed.len(), 2, "{name}");
    }
}

#[test]
fn facts_of_the_superblock_are_told_alone() {
    use FindingKind::{ArchiveStructure, ArchiveTimes};
    for (name, at, what, kind) in [
        ("plain.squashfs", 8, "made", ArchiveTimes),
        ("xz.squashfs", 8, "made", ArchiveTimes),
        ("image.ext2", 1024 + 264, "made", ArchiveTimes),
        ("image.ext4", 1024 + 48, "last written", ArchiveTimes),
        ("image.ext4", 1024 + 104, "UUID", ArchiveStructure),
        ("image.ext4", 1024 + 120, "name", ArchiveStructure),
        ("lz4.erofs", 1024 + 24, "made", ArchiveTimes),
        ("plain.erofs", 1024 + 48, "UUID", ArchiveStructure),
    ] {
        let base = sample(name);
        let other = with(name, at, &[base[at] ^ 1]);
        assert_eq!(one(&base, &other), (kind, "a".to_owned(), what.to_owned()), "{name}");
    }
    // Another compressor changes no file.
    let kinds = found(&sample("gzip.squashfs"), &sample("xz.squashfs"));
    assert_eq!(kinds, [(ArchiveStructure, "a".to_owned(), "compression".to_owned())]);
}

#[test]
fn what_nobody_looks_at_differs_in_the_image_alone() {
    for (name, at) in [("image.ext4", 0), ("image.ext2", 1023), ("plain.erofs", 5), ("plain.erofs", 1028)] {
        let base = sample(name);
        assert_eq!(found(&base, &with(name, at, &[base[at] ^ 1])), [], "{name}");
    }
    assert_eq!(found(&sample("plain.squashfs"), &[&sample("plain.squashfs")[..], b"\0"].concat()), []);
}

#[test]
fn what_is_compressed_in_erofs_is_named_as_not_looked_at() {
    let name = "lz4.erofs";
    let base = sample(name);
    // The first byte of a compressed block.
    let summary = find_within(&base, &with(name, 0, b"x"), &Bounds::default()).0[0].summary.clone();
    let end =
        "; the contents of 1 file were not looked at, the first: etc/large: it is compressed, and that is not expanded";
    assert!(summary.ends_with(end), "{summary}");
}

#[test]
fn bounds_hold_on_both_sides() {
    for name in ["plain.squashfs", "image.ext2", "image.ext4", "plain.erofs"] {
        let (base, other) = (sample(name), with(name, find(name, b"hello\n"), b"Hello\n"));
        let reason = |bounds: &Bounds| find_within(&base, &other, bounds).0.pop().unwrap().summary;
        let nodes = if name.starts_with("image") { 14 } else { 13 };
        assert_eq!(
            reason(&Bounds { members: nodes, ..Bounds::default() }),
            "1 line differs; both have 6 bytes",
            "{name}"
        );
        let past = reason(&Bounds { members: nodes - 1, ..Bounds::default() });
        assert!(past.ends_with(&format!("it has more than {} nodes", nodes - 1)), "{past}");
        let past = reason(&Bounds { directory: 500, ..Bounds::default() });
        assert!(past.contains("more than 500 bytes"), "{past}");
        // No more is read of files than the image has and may be expanded; of directories and attributes, than one entry.
        let past = reason(&Bounds { entry: 100, ..Bounds::default() });
        assert!(past.ends_with("its directories and attributes are too large"), "{past}");
    }
}

#[test]
fn files_are_read_to_a_bound() {
    let name = "image.ext2";
    let at = mode_of_large(name);
    // A file of many times what the image has: all but the start is a hole.
    let of = |high: u8| with(name, at + 7, &[high]);
    let mut other = of(1);
    other[at + 6] = 1;
    let (findings, _) = find_within(&of(1), &other, &Bounds { expansion: 1 << 20, ..Bounds::default() });
    assert_eq!(findings.len(), 1, "{findings:?}");
    let why = "the first: etc/large: more than 1048576 bytes would have to be read";
    assert!(findings[0].summary.ends_with(why), "{}", findings[0].summary);
    let (findings, _) = find_within(&of(1), &other, &Bounds::default());
    assert_eq!(findings[1].place, "a!etc/large");
    assert!(findings[1].summary.starts_with("1 run of bytes differs"), "{}", findings[1].summary);
}

#[test]
fn blocks_that_files_share_count_each_time_they_are_expanded() {
    let name = "gzip.squashfs";
    let bytes = sample(name);
    let source = Source::Memory(&bytes);
    let image = read(Format::Squashfs, &source, &Bounds::default()).unwrap().unwrap();
    let motd = &image.nodes[b"etc/motd".as_slice()];
    for _ in 0..2 {
        io::copy(&mut image.volume.content(motd.id).unwrap(), &mut io::sink()).unwrap();
        // The second time it is kept still.
        assert_eq!(image.volume.expanded(), 8192);
    }
    // Without them, nothing more is read of files however small.
    let options = super::super::Options::of(reprove_model::Between::Given);
    let bounds = Bounds { expansion: 8192, ..Bounds::default() };
    let mut state = State::new(&options, &bounds);
    let mut looking = Looking { free: 100, unread: 0, first: None };
    state.expanded = 8191;
    assert!(looking.take(6, &mut state));
    state.expanded = 8192;
    assert!(!looking.take(6, &mut state));
}

#[test]
fn a_block_is_expanded_as_far_as_its_file_needs() {
    let name = "plain.squashfs";
    let at = mode_of_large(name) - 2;
    let packed = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        io::Write::write_all(&mut encoder, &[b'a'; 8192]).unwrap();
        encoder.finish().unwrap()
    };
    // The size of the file, whether its first block is compressed, what comes of it, and what was read in vain.
    let cases = [
        (8192_u32, true, Ok(8192), 0),
        (8191, true, Err("a block expands to more than it may"), 0),
        (8192, false, Ok(8192), 0),
        (8191, false, Err("a block of a file has another length"), 1),
    ];
    for (size, is_packed, expected, in_vain) in cases {
        let mut bytes = with(name, at + 24, &size.to_le_bytes());
        if is_packed {
            bytes[0x60..0x60 + packed.len()].copy_from_slice(&packed);
            bytes[at + 56..at + 60].copy_from_slice(&u32::try_from(packed.len()).unwrap().to_le_bytes());
        }
        let source = Source::Memory(&bytes);
        let image = read(Format::Squashfs, &source, &Bounds::default()).unwrap().unwrap();
        let mut content = image.volume.content(image.nodes[b"etc/large".as_slice()].id).unwrap();
        let copied = io::copy(&mut content, &mut io::sink()).map_err(|error| error.to_string());
        assert_eq!((copied.as_ref().map(|len| *len).map_err(String::as_str)), expected);
        assert_eq!(image.volume.expanded(), in_vain, "{size}");
    }
}

#[test]
fn what_makes_no_sense_is_compared_as_bytes_with_the_reason() {
    let deep = |name: &str| find(name, b"\x04\x02deep") - 6;
    for (name, at, bytes, why) in [
        ("plain.squashfs", 28, &b"\x05"[..], "it is of another version than 4.0"),
        ("plain.squashfs", 20, b"\x05", "it is compressed with lz4, which is not expanded here"),
        ("plain.squashfs", 20, b"\x07", "it is compressed with something unknown, which is not expanded here"),
        ("plain.squashfs", 12, b"\x01", "its superblock makes no sense"),
        ("image.ext4", 1024 + 96, b"\x06", "its journal has to be replayed first"),
        ("image.ext4", 1024 + 98, b"\x01", "it needs features that are not known here: 0x10000"),
        ("image.ext4", 1024 + 88, b"\x01", "its superblock makes no sense"),
        ("image.ext2", deep("image.ext2"), b"\x02", "one of its directories has two names"),
        ("image.ext2", deep("image.ext2") + 4, b"\x01", "an entry of a directory has no length that fits"),
        ("plain.erofs", 1024 + 80, b"\x80", "it needs features that are not known here: 0x80"),
        ("plain.erofs", 1024 + 12, b"\x40", "its superblock makes no sense"),
    ] {
        let (base, other) = (sample(name), with(name, at, bytes));
        let (findings, needs) = find_within(&base, &other, &Bounds::default());
        assert_eq!((findings.len(), findings[0].kind, needs), (1, FindingKind::Content, None), "{name}");
        assert!(findings[0].summary.ends_with(why), "{}", findings[0].summary);
    }
}

#[test]
fn two_bytes_alone_make_no_image() {
    let mut text = vec![b'a'; 4096];
    text[1024 + 56..1024 + 58].copy_from_slice(b"\x53\xef");
    assert_eq!(claimed(&Source::Memory(&text)).unwrap(), None);
    for (format, name, _) in &SAMPLES[4..] {
        let bytes = sample(name);
        assert_eq!(claimed(&Source::Memory(&bytes)).unwrap(), Some(*format), "{name}");
        assert_eq!(claimed(&Source::Memory(&bytes[..1030])).unwrap().is_some(), *format == Format::Erofs, "{name}");
    }
}

/// Bytes where the tables of a sample are, or anywhere.
fn flips() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let at = prop_oneof![0..100_usize, 1024..1300_usize, 0..70_000_usize];
    proptest::collection::vec((at, any::<u8>()), 1..6)
}

proptest! {
    /// [`find_within`] asserts it: whatever the bytes are, no finding if and only if they are equal.
    #[test]
    fn hostile_bytes(which in 0..SAMPLES.len(), flips in flips(), cut in 0..70_000_usize) {
        let left = sample(SAMPLES[which].1);
        let mut right = left.clone();
        for (at, byte) in flips {
            let at = at % right.len();
            right[at] = byte;
        }
        let bounds = Bounds { expansion: 1 << 20, entry: 1 << 20, ..Bounds::default() };
        find_within(&left, &right, &bounds);
        let cut = &right[..cut.min(right.len())];
        find_within(&right, cut, &bounds);
        find_within(&right, &[&right[..], b"\0"].concat(), &bounds);
    }
}
