// SPDX-License-Identifier: Apache-2.0
//! tar, ar and cpio archives, and what compresses them, as tools write them and as nobody should.

use std::collections::BTreeSet;
use std::io::Write as _;

use flate2::GzBuilder;
use proptest::prelude::*;
use reprove_model::{Between, Finding, FindingKind};

use super::super::files::{self, State};
use super::super::source::Source;
use super::super::{Bounds, Options, tar as format};

/// The findings between two files called `a`, and the names of what would take all of them out; what holds for any two is
/// asserted on the way.
pub(in crate::compare) fn find_within(
    left: &[u8],
    right: &[u8],
    bounds: &Bounds,
) -> (Vec<Finding>, Option<Vec<String>>) {
    let mut state = State::new(&Options::of(Between::Given), bounds);
    files::compare(&Source::Memory(left), &Source::Memory(right), "a", &mut state).unwrap();
    assert_eq!((state.depth, state.held), (0, 0));
    let normalizers = state.normalizers.map(|all| all.into_iter().map(|each| each.name()).collect());
    let findings = state.findings.finish();
    assert_eq!(left == right, findings.is_empty());
    assert!(findings.is_sorted_by_key(|finding| (finding.place.clone(), finding.kind)));
    assert!(findings.iter().all(|finding| finding.count >= finding.details.len() as u64 && finding.count > 0));
    (findings, normalizers)
}

fn find(left: &[u8], right: &[u8]) -> Vec<Finding> {
    find_within(left, right, &Bounds::default()).0
}

fn needs(left: &[u8], right: &[u8]) -> Option<Vec<String>> {
    find_within(left, right, &Bounds::default()).1
}

fn kinds(findings: &[Finding]) -> Vec<(&str, FindingKind)> {
    findings.iter().map(|finding| (finding.place.as_str(), finding.kind)).collect()
}

fn details(finding: &Finding) -> Vec<[&str; 3]> {
    finding.details.iter().map(|detail| [&*detail.at, &*detail.left, &*detail.right]).collect()
}

/// A member, as tests write it down.
#[derive(Clone)]
pub(in crate::compare) struct File<'a> {
    pub(in crate::compare) name: &'a str,
    pub(in crate::compare) data: &'a [u8],
    pub(in crate::compare) mode: u32,
    pub(in crate::compare) time: u64,
    pub(in crate::compare) user: u64,
}

pub(in crate::compare) const FILE: File<'_> =
    File { name: "p/x", data: b"hello\n", mode: 0o644, time: 1_700_000_000, user: 0 };
pub(in crate::compare) const OTHER: File<'_> = File { name: "p/y", data: b"there\n", ..FILE };

pub(in crate::compare) fn tar_of(files: &[File<'_>]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for file in files {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(::tar::EntryType::Regular);
        header.set_mode(file.mode);
        header.set_mtime(file.time);
        header.set_uid(file.user);
        header.set_gid(0);
        header.set_size(file.data.len() as u64);
        builder.append_data(&mut header, file.name, file.data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip_of(files: &[File<'_>]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for File { name, data, .. } in files {
        writer.start_file(*name, ::zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn ar_of(files: &[File<'_>]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for file in files {
        let File { name, data, mode, time, user } = file;
        let size = data.len();
        writeln!(bytes, "{:<16}{time:<12}{user:<6}{:<6}{mode:<8o}{size:<10}`", format!("{name}/"), 0).unwrap();
        bytes.extend_from_slice(data);
        bytes.extend(std::iter::repeat_n(b'\n', size % 2));
    }
    bytes
}

pub(in crate::compare) fn cpio_of(files: &[File<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let trailer = File { name: "TRAILER!!!", data: b"", mode: 0, time: 0, user: 0 };
    for (number, File { name, data, mode, time, user }) in (700_u64..).zip(files.iter().chain([&trailer])) {
        let inode = if *name == trailer.name { 0 } else { number };
        let name_size = name.len() + 1;
        bytes.extend_from_slice(b"070701");
        for value in [inode, u64::from(*mode), *user, 0, 1, *time, data.len() as u64, 0, 9, 0, 0, name_size as u64, 0] {
            write!(bytes, "{value:08x}").unwrap();
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A cpio archive of the portable kind.
fn portable_of(files: &[File<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let trailer = File { name: "TRAILER!!!", data: b"", mode: 0, time: 0, user: 0 };
    for File { name, data, mode, time, user } in files.iter().chain([&trailer]) {
        let (name_size, size) = (name.len() + 1, data.len());
        write!(bytes, "070707{0:06o}{0:06o}{mode:06o}{user:06o}{0:06o}{1:06o}{0:06o}{time:011o}", 0, 1).unwrap();
        write!(bytes, "{name_size:06o}{size:011o}{name}\0").unwrap();
        bytes.extend_from_slice(data);
    }
    bytes
}

pub(in crate::compare) fn gzip(bytes: &[u8], time: u32, level: u32) -> Vec<u8> {
    let mut encoder = GzBuilder::new().mtime(time).write(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(level)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn bzip2_of(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Writer = fn(&[File<'_>]) -> Vec<u8>;
const WRITERS: [(&str, Writer); 3] = [("tar", tar_of), ("ar", ar_of), ("cpio", cpio_of)];

#[test]
fn each_cause_alone_is_one_finding_and_one_normalization() {
    for (name, archive) in WRITERS {
        let before = archive(&[FILE, OTHER]);
        let changed = |file: File<'_>| archive(&[file, OTHER]);
        for (after, kind, normalization) in [
            (changed(File { time: 1_800_000_000, ..FILE }), FindingKind::ArchiveTimes, Some("times")),
            (changed(File { user: 1000, ..FILE }), FindingKind::ArchiveOwners, Some("owners")),
            (changed(File { mode: 0o664, ..FILE }), FindingKind::ArchiveModes, Some("umask")),
            (changed(File { mode: 0o755, ..FILE }), FindingKind::ArchiveModes, None),
            (changed(File { mode: 0o600, ..FILE }), FindingKind::ArchiveModes, None),
        ] {
            let findings = find(&before, &after);
            assert_eq!(kinds(&findings), [("a", kind)], "{name}");
            assert!(findings[0].details[0].at.starts_with("p/x: "), "{name}: {:?}", findings[0].details);
            assert_eq!(needs(&before, &after), normalization.map(|n| vec![format!("{name}-{n}")]), "{name}");
        }
    }
}

#[test]
fn order_is_told_from_everything_else() {
    for (name, archive) in [("tar", tar_of as Writer), ("ar", ar_of)] {
        let (before, after) = (archive(&[FILE, OTHER]), archive(&[OTHER, FILE]));
        let findings = find(&before, &after);
        assert_eq!(kinds(&findings), [("a", FindingKind::ArchiveOrder)]);
        assert_eq!(details(&findings[0]), [["member 1", "p/x", "p/y"], ["member 2", "p/y", "p/x"]]);
        assert_eq!(needs(&before, &after), Some(vec![format!("{name}-order")]));
    }
    // Inode numbers follow the order here.
    let findings = find(&cpio_of(&[FILE, OTHER]), &cpio_of(&[OTHER, FILE]));
    assert_eq!(kinds(&findings), [("a", FindingKind::ArchiveOrder), ("a", FindingKind::ArchiveStructure)]);
}

#[test]
fn members_are_compared_as_files_and_found_where_there_is_no_other() {
    for (_, archive) in WRITERS {
        let changed = File { data: b"hallo\n", ..FILE };
        let findings = find(&archive(&[FILE, OTHER]), &archive(&[changed, OTHER]));
        assert_eq!(kinds(&findings), [("a!p/x", FindingKind::Content)]);
        assert_eq!(details(&findings[0]), [["line 1", "hello", "hallo"]]);
        let findings = find(&archive(&[FILE, OTHER]), &archive(&[FILE]));
        assert!(kinds(&findings).contains(&("a!p/y", FindingKind::OnlyLeft)));
        let findings = find(&archive(&[FILE]), &archive(&[FILE, FILE]));
        assert!(kinds(&findings).contains(&("a!p/x#2", FindingKind::OnlyRight)));
    }
}

#[test]
fn compressed_files_are_expanded() {
    let (left, right) = (tar_of(&[FILE]), tar_of(&[File { time: 1_600_000_000, ..FILE }]));
    let zstd = |bytes: &[u8], level| zstd::encode_all(bytes, level).unwrap();
    let pairs = [
        ("gzip", gzip(&left, 0, 6), gzip(&right, 0, 6)),
        ("xz", xz(&left, 6), xz(&right, 6)),
        ("zstd", zstd(&left, 3), zstd(&right, 3)),
        ("bzip2", bzip2_of(&left, 9), bzip2_of(&right, 9)),
    ];
    for (name, left, right) in pairs {
        let findings = find(&left, &right);
        assert_eq!(kinds(&findings), [("a!content", FindingKind::ArchiveTimes)], "{name}");
        let needed = needs(&left, &right).unwrap();
        assert_eq!(needed, [format!("{name}-compression"), "tar-times".to_owned()]);
    }
}

#[test]
fn how_it_is_compressed_is_a_finding_of_its_own() {
    let bytes: Vec<u8> = (0..60_000_u32).flat_map(|n| (n % 251 * n).to_le_bytes()).collect();
    for (left, right) in [
        (gzip(&bytes, 0, 1), gzip(&bytes, 0, 6)),
        (xz(&bytes, 0), xz(&bytes, 6)),
        (zstd::encode_all(&bytes[..], 1).unwrap(), zstd::encode_all(&bytes[..], 19).unwrap()),
        (bzip2_of(&bytes, 1), bzip2_of(&bytes, 9)),
    ] {
        assert_eq!(kinds(&find(&left, &right)), [("a", FindingKind::Compression)]);
        assert_eq!(needs(&left, &right).unwrap().len(), 1);
    }
}

#[test]
fn bytes_that_are_no_compressed_contents_are_never_left_out() {
    let contents = b"the same\n".repeat(9);
    let skippable = |text: &str| [b"\x50\x2a\x4d\x18\x04\0\0\0", text.as_bytes()].concat();
    let zstd = |level| zstd::encode_all(&contents[..], level).unwrap();
    for (left, right) in [
        ([gzip(&contents, 0, 1), gzip(b"", 1, 1)].concat(), [gzip(&contents, 0, 6), gzip(b"", 2, 6)].concat()),
        ([gzip(&contents, 0, 1), b"one".to_vec()].concat(), [gzip(&contents, 0, 6), b"two".to_vec()].concat()),
        ([zstd(1), skippable("yes!")].concat(), [zstd(3), skippable("no!!")].concat()),
        ([zstd(1), b"x".to_vec()].concat(), zstd(3)),
        ([xz(&contents, 1), b"x".to_vec()].concat(), xz(&contents, 6)),
        ([bzip2_of(&contents, 1), b"x".to_vec()].concat(), bzip2_of(&contents, 9)),
        ([bzip2_of(&contents, 1), b"something".to_vec()].concat(), bzip2_of(&contents, 9)),
    ] {
        let (findings, needs) = find_within(&left, &right, &Bounds::default());
        assert_eq!((kinds(&findings), needs), (vec![("a", FindingKind::Content)], None));
        assert!(findings[0].summary.contains("compared as bytes: the left one: "), "{}", findings[0].summary);
    }
}

#[test]
fn what_a_gzip_header_says_is_told_without_expanding() {
    let bounds = Bounds { entry: 0, ..Bounds::default() };
    let (left, right) = (gzip(b"same", 1, 6), gzip(b"same", 1_700_000_000, 6));
    let (findings, needs) = find_within(&left, &right, &bounds);
    assert_eq!(kinds(&findings), [("a", FindingKind::ArchiveTimes)]);
    assert_eq!(details(&findings[0]), [["modified", "1970-01-01T00:00:01Z", "2023-11-14T22:13:20Z"]]);
    assert_eq!(needs, Some(vec!["gzip-times".to_owned()]));
    let named = GzBuilder::new().filename("b").write(Vec::new(), flate2::Compression::new(6));
    let mut named = named;
    named.write_all(b"same").unwrap();
    let findings = find(&gzip(b"same", 0, 6), &named.finish().unwrap());
    assert_eq!(details(&findings[0]), [["file name", "(none)", "\"b\""]]);
}

#[test]
fn what_is_too_large_is_compared_as_bytes_with_the_reason() {
    let (left, right) = (gzip(&[0; 1000], 0, 6), gzip(&[1; 1000], 0, 6));
    let at_bound = Bounds { entry: 1000, ..Bounds::default() };
    assert_eq!(kinds(&find_within(&left, &right, &at_bound).0), [("a!content", FindingKind::Content)]);
    for past in [
        Bounds { entry: 999, ..Bounds::default() },
        Bounds { expansion: 1999, ..Bounds::default() },
        Bounds { memory: 1999, ..Bounds::default() },
    ] {
        let findings = find_within(&left, &right, &past).0;
        assert_eq!(kinds(&findings), [("a", FindingKind::Content)]);
        assert!(findings[0].summary.contains("one: it expands to more than"), "{}", findings[0].summary);
    }
}

#[test]
fn what_is_too_large_for_memory_goes_to_a_file_where_there_is_room() {
    let of = |files: &[File<'_>]| (gzip(&tar_of(files), 0, 6), zip_of(&[File { data: &tar_of(files), ..FILE }]));
    let (left, right) = (of(&[FILE]), of(&[OTHER, FILE]));
    let bounds = Bounds { memory: 10, ..Bounds::default() };
    let folder = tempfile::tempdir().unwrap();
    for (left, right, place) in [(&left.0, &right.0, "a.tgz!a.tar"), (&left.1, &right.1, "a.tgz!p/x")] {
        let mut state = State::new(&Options::of(Between::Given), &bounds);
        state.scratch = Some(folder.path());
        files::compare(&Source::Memory(left), &Source::Memory(right), "a.tgz", &mut state).unwrap();
        assert_eq!((state.depth, state.held, state.expanded), (0, 0, 2048 + 3072));
        assert_eq!(state.findings.finish()[0].place, format!("{place}!p/y"));
        // Without a place for it, it is compared as it is.
        assert_eq!(find_within(left, right, &bounds).0[0].kind, FindingKind::Content);
    }
    std::fs::remove_dir(folder.path()).unwrap(); // They have no name: the folder is empty.
}

/// The places that are looked at, the findings, and what would take all of them out.
fn looked_at(left: &[u8], right: &[u8], max: usize) -> (Vec<String>, Vec<Finding>, Option<usize>) {
    let bounds = Bounds { findings: max, ..Bounds::default() };
    let places = std::cell::RefCell::new(Vec::new());
    let tell = |place: &str| places.borrow_mut().push(place.to_owned());
    let mut state = State::new(&Options { tell: Some(&tell), ..Options::of(Between::Given) }, &bounds);
    files::compare(&Source::Memory(left), &Source::Memory(right), "a", &mut state).unwrap();
    let needs = state.normalizers.as_ref().map(std::collections::BTreeSet::len);
    (places.take(), state.finish(), needs)
}

#[test]
fn what_would_only_be_counted_is_not_looked_at_where_the_level_is_settled() {
    let names: Vec<String> = (0..9).map(|n| format!("f{n}")).collect();
    let of = |archive: fn(&[File<'_>]) -> Vec<u8>, data: &[u8]| {
        archive(&names.iter().map(|name| File { name, data, ..FILE }).collect::<Vec<_>>())
    };
    for archive in [tar_of as fn(&[File<'_>]) -> Vec<u8>, zip_of] {
        let (places, findings, needs) = looked_at(&of(archive, b"1"), &of(archive, b"2"), 3);
        assert_eq!((places.len(), findings.len(), findings[2].count, needs), (4, 3, 7, None));
        let (places, findings, _) = looked_at(&of(archive, b"1"), &of(archive, b"2"), 9);
        assert_eq!((places.len(), findings.len(), findings[8].count), (10, 9, 1));
        // Past the bound one could still differ in what can't be left out.
        let inner = |time| tar_of(&[File { time, ..FILE }]);
        let (places, findings, needs) = looked_at(&of(archive, &inner(1)), &of(archive, &inner(2)), 3);
        assert_eq!((places.len(), findings.len(), findings[2].count), (10, 3, 7));
        assert!(needs.is_some());
    }
}

#[test]
fn what_is_expanded_in_vain_is_counted() {
    let mut broken = gzip(&[0; 10_000], 0, 6);
    let end = broken.len() - 8;
    broken[end] ^= 1;
    let bounds = Bounds::default();
    let mut state = State::new(&Options::of(Between::Given), &bounds);
    files::compare(&Source::Memory(&broken), &Source::Memory(&gzip(b"", 0, 6)), "a", &mut state).unwrap();
    assert_eq!((state.expanded, state.held), (10_000, 0));
}

#[test]
fn archives_are_opened_to_a_bound() {
    let bounds = |depth| Bounds { depth, ..Bounds::default() };
    let (left, right) = (gzip(&tar_of(&[FILE]), 0, 6), gzip(&tar_of(&[File { user: 7, ..FILE }]), 0, 6));
    assert_eq!(kinds(&find_within(&left, &right, &bounds(2)).0), [("a!content", FindingKind::ArchiveOwners)]);
    let findings = find_within(&left, &right, &bounds(1)).0;
    assert_eq!(kinds(&findings), [("a!content", FindingKind::Content)]);
    assert!(findings[0].summary.ends_with("archives are opened 1 deep at most"), "{}", findings[0].summary);
}

#[test]
fn members_are_read_to_a_bound() {
    for (name, archive) in WRITERS {
        let pair = (archive(&[FILE, OTHER]), archive(&[OTHER, FILE]));
        let members = 2 + usize::from(name == "cpio");
        let bounds = |members| Bounds { members, ..Bounds::default() };
        assert_eq!(find_within(&pair.0, &pair.1, &bounds(members)).0[0].kind, FindingKind::ArchiveOrder);
        let findings = find_within(&pair.0, &pair.1, &bounds(members - 1)).0;
        assert!(findings[0].summary.contains("it has more than"), "{name}: {}", findings[0].summary);
    }
}

#[test]
fn what_is_cut_or_damaged_is_compared_as_bytes_with_the_reason() {
    for (_, archive) in WRITERS {
        let whole = archive(&[FILE, OTHER]);
        let cut = &whole[..whole.windows(3).position(|bytes| bytes == b"p/y").unwrap() + 2];
        let findings = find(&whole, cut);
        assert!(findings[0].summary.contains("the right one is not a"), "{findings:?}");
    }
    let whole = gzip(&tar_of(&[FILE]), 0, 6);
    let findings = find(&whole, &whole[..whole.len() - 9]);
    assert!(findings[0].summary.contains("; compared as bytes: the right one: "), "{}", findings[0].summary);
    let mut damaged = whole.clone();
    let at = damaged.len() - 7;
    damaged[at] ^= 1;
    assert!(find(&whole, &damaged)[0].summary.contains("; compared as bytes: the right one: "));
}

#[test]
fn long_names_and_extended_headers_are_the_members_own() {
    let long = "d/".repeat(80) + "file";
    let (left, right) = (tar_of(&[File { name: &long, ..FILE }]), tar_of(&[File { name: &long, mode: 0o755, ..FILE }]));
    let findings = find(&left, &right);
    assert_eq!(findings[0].details[0].at, format!("{long}: mode but for that"));

    let pax = |time: &str| {
        let mut builder = ::tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("mtime", time.as_bytes()), ("path", b"p/long")]).unwrap();
        let mut bytes = builder.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        bytes.extend(tar_of(&[FILE]));
        bytes
    };
    let findings = find(&pax("1600000000.25"), &pax("1600000000.75"));
    assert_eq!(kinds(&findings), [("a", FindingKind::ArchiveTimes)]);
    let expected = [["p/long: extended header, mtime", "\"1600000000.25\"", "\"1600000000.75\""]];
    assert_eq!(details(&findings[0]), expected);
    assert_eq!(needs(&pax("1.25"), &pax("1.75")), Some(vec!["tar-times".to_owned()]));
}

#[test]
fn one_bit_of_a_header_is_never_lost() {
    for (name, archive) in WRITERS {
        let whole = archive(&[FILE]);
        for at in 0..whole.len().min(560) {
            let mut other = whole.clone();
            other[at] ^= 1;
            if name == "tar" {
                let sum: u32 = other[..512].iter().map(|byte| u32::from(*byte)).sum();
                let own: u32 = other[148..156].iter().map(|byte| u32::from(*byte)).sum();
                let sum = format!("{:06o}\0 ", sum - own + 8 * 32);
                if !(148..156).contains(&at) {
                    other[148..156].copy_from_slice(sum.as_bytes());
                }
            }
            // With a time beside it, which must not be said to be all.
            let mut timed = whole.clone();
            let field = match name {
                "tar" => 136 + 9,
                "ar" => 8 + 16 + 8,
                _ => 6 + 5 * 8 + 5,
            };
            let (findings, _) = find_within(&whole, &other, &Bounds::default());
            assert!(!findings.is_empty());
            if at != field {
                timed[field] ^= 1;
                let (both, _) = find_within(&timed, &other, &Bounds::default());
                assert!(!both.is_empty());
            }
        }
    }
}

#[test]
fn only_a_right_checksum_makes_a_header() {
    let mut bytes = tar_of(&[FILE]);
    assert!(format::is_header(&bytes[..512]));
    assert!(!format::is_header(&bytes[..511]));
    assert!(!format::is_header(&[0; 512]));
    bytes[0] ^= 1;
    assert!(!format::is_header(&bytes[..512]));
}

#[test]
fn padding_that_follows_from_a_length_is_no_difference_of_its_own() {
    let of = |archive: fn(&[File<'_>]) -> Vec<u8>, data: &[u8], level| {
        archive(&[File { data: &gzip(data, 0, level), ..FILE }, OTHER])
    };
    for (archive, more) in [(tar_of as fn(&[File<'_>]) -> Vec<u8>, None), (ar_of, None), (cpio_of, Some("cpio-form"))] {
        let names = || ["gzip-compression"].into_iter().chain(more).map(str::to_owned).collect();
        for len in 26..30 {
            let data = vec![b'a'; len];
            assert_eq!(needs(&of(archive, &data, 0), &of(archive, &data, 9)), Some(names()));
        }
    }
    // The portable kind has none.
    let lens: BTreeSet<_> = (0..10).map(|level| gzip(&[b'a'; 29], 0, level).len() % 4).collect();
    assert!(lens.len() > 1, "{lens:?}");
    for level in 0..9 {
        let found = needs(&of(portable_of, &[b'a'; 29], level), &of(portable_of, &[b'a'; 29], 9));
        assert!(found.is_some_and(|names| names.iter().all(|name| name == "gzip-compression")), "{level}");
    }
    let tar = tar_of(&[FILE]);
    let mut padded = tar.clone();
    padded[1023] = 1;
    assert_eq!(kinds(&find(&tar, &padded)), [("a", FindingKind::ArchiveStructure)]);
    // Cut before the padding, which a reader may miss.
    let [cut, whole] = [&tar[..518], &tar[..1024]];
    assert_eq!(needs(cut, whole), None);
}

proptest! {
    /// [`find_within`] asserts it: no finding if and only if the bytes are equal.
    #[test]
    fn empty_if_and_only_if_equal(writer in 0..3_usize, at in 0..700_usize, byte: u8, squeeze: bool) {
        let left = (WRITERS[writer].1)(&[FILE, OTHER]);
        let mut right = left.clone();
        let len = right.len();
        right[at % len] = byte;
        let pack = |bytes: &[u8]| if squeeze { gzip(bytes, 0, 6) } else { bytes.to_vec() };
        find(&pack(&left), &pack(&right));
    }
}
