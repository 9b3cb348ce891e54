// SPDX-License-Identifier: Apache-2.0
//! Archives as the `zip` crate writes them, and as nobody should.

use std::io::{Cursor, Write as _};

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};
use proptest::prelude::*;
use reprove_model::{Between, Finding, FindingKind};

use super::super::files::{self, State};
use super::super::source::Source;
use super::super::{Bounds, Options, bytes};

/// The findings between two files called `a.whl`; what holds for any two is asserted on the way.
fn find_within(left: &[u8], right: &[u8], bounds: &Bounds) -> Vec<Finding> {
    let mut state = State::new(&Options::of(Between::Given), bounds);
    files::compare(&Source::Memory(left), &Source::Memory(right), "a.whl", &mut state).unwrap();
    assert_eq!((state.depth, state.held), (0, 0));
    let findings = state.findings.finish();
    assert_eq!(left == right, findings.is_empty());
    assert!(findings.is_sorted_by_key(|finding| (finding.place.clone(), finding.kind)));
    for finding in &findings {
        assert!(finding.count >= finding.details.len() as u64 && finding.count > 0);
        assert!(finding.details.len() <= Finding::MAX_DETAILS);
    }
    findings
}

fn find(left: &[u8], right: &[u8]) -> Vec<Finding> {
    find_within(left, right, &Bounds::default())
}

fn kinds(findings: &[Finding]) -> Vec<(&str, FindingKind)> {
    findings.iter().map(|finding| (finding.place.as_str(), finding.kind)).collect()
}

fn details(finding: &Finding) -> Vec<[&str; 3]> {
    finding.details.iter().map(|detail| [&*detail.at, &*detail.left, &*detail.right]).collect()
}

fn options() -> SimpleFileOptions {
    let time = DateTime::from_date_and_time(2024, 12, 4, 17, 35, 36).unwrap();
    SimpleFileOptions::default().last_modified_time(time).unix_permissions(0o644)
}

fn later() -> SimpleFileOptions {
    options().last_modified_time(DateTime::from_date_and_time(2026, 11, 22, 9, 8, 6).unwrap())
}

fn archive(entries: &[(&str, &[u8], SimpleFileOptions)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data, options) in entries {
        writer.start_file(*name, *options).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const PYTHON: &[u8] = b"import sys\nimport sys\nimport sys\nprint(sys.version)\n";

fn wheel(options: SimpleFileOptions) -> Vec<u8> {
    archive(&[("idna/core.py", PYTHON, options), ("idna/RECORD", b"idna/core.py,sha256=x\n", options)])
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let found: Vec<_> = bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(at, _)| at).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
}

#[test]
fn times_alone_are_one_finding() {
    let findings = find(&wheel(options()), &wheel(later()));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryTimes)]);
    let times = ["2024-12-04 17:35:36", "2026-11-22 09:08:06"];
    let expected = ["idna/RECORD", "idna/core.py"].map(|name| [name, times[0], times[1]]);
    assert_eq!(details(&findings[0]), expected);
    assert_eq!(findings[0].summary, "2 times differ among the entries");
}

#[test]
fn a_time_in_one_header_alone_is_named_so() {
    let left = wheel(options());
    let mut right = left.clone();
    right[10] ^= 1;
    let findings = find(&left, &right);
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryTimes)]);
    assert_eq!(details(&findings[0]), [["idna/core.py: local header", "2024-12-04 17:35:36", "2024-12-04 17:35:38"]]);
}

#[test]
fn extended_timestamps_are_times() {
    let at = |seconds| {
        let full = options().with_extended_timestamp(Some(seconds), Some(seconds), None).unwrap();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("a", full).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let findings = find(&at(1), &at(86401));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryTimes)]);
    let first = ["a: extended timestamp, modified", "1970-01-01T00:00:01Z", "1970-01-02T00:00:01Z"];
    assert_eq!(details(&findings[0])[0], first);
}

#[test]
fn order_alone() {
    let (a, b) = (("a", PYTHON, options()), ("b", &b"bb"[..], options()));
    let findings = find(&archive(&[a, b]), &archive(&[b, a]));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryOrder)]);
    assert_eq!(details(&findings[0])[0], ["entry 1", "a", "b"]);
}

#[test]
fn mode_alone() {
    let findings = find(&wheel(options()), &wheel(options().unix_permissions(0o755)));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryAttributes)]);
    let detail = details(&findings[0])[0];
    assert_eq!(detail[0], "idna/RECORD: external attributes");
    assert!(detail[1].contains("100644") && detail[2].contains("100755"), "{detail:?}");
}

#[test]
fn compression_alone() {
    let stored = options().compression_method(CompressionMethod::Stored);
    let findings = find(&wheel(stored), &wheel(options()));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipCompression)]);
    assert!(details(&findings[0]).contains(&["idna/core.py: method", "stored", "deflated"]), "{findings:?}");

    let text: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * n / 7).to_string().into_bytes()).collect();
    let level = |level| archive(&[("a", &text, options().compression_level(Some(level)))]);
    let findings = find(&level(1), &level(9));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipCompression)]);
    assert!(findings[0].details.iter().any(|detail| detail.at.contains("compressed bytes")));
}

#[test]
fn content_is_found_at_the_entry_and_line() {
    let right = [PYTHON, b"more\n"].concat();
    let findings = find(&archive(&[("a.py", PYTHON, options())]), &archive(&[("a.py", &right, options())]));
    assert_eq!(kinds(&findings), [("a.whl!a.py", FindingKind::Content)]);
    assert_eq!(details(&findings[0]), [["line 5, on the right alone", "", "more"]]);
}

#[test]
fn entries_on_one_side_alone() {
    let both = ("both", PYTHON, options());
    let left = archive(&[("left", b"1", options()), both]);
    let right = archive(&[both, ("right", b"22", options())]);
    let findings = find(&left, &right);
    let expected = [("a.whl!left", FindingKind::OnlyLeft), ("a.whl!right", FindingKind::OnlyRight)];
    assert_eq!(kinds(&findings), expected);
    assert_eq!(findings[1].summary, "an entry of 2 bytes, on the right alone");
}

fn nested(depth: usize, innermost: &[u8]) -> Vec<u8> {
    (0..depth).fold(innermost.to_vec(), |data, _| archive(&[("in.zip", &data, options())]))
}

#[test]
fn archives_in_archives_are_opened_to_the_bound() {
    let bounds = Bounds { depth: 3, ..Bounds::default() };
    let findings = find_within(&nested(3, b"a\n"), &nested(3, b"b\n"), &bounds);
    assert_eq!(kinds(&findings), [("a.whl!in.zip!in.zip!in.zip", FindingKind::Content)]);
    assert_eq!(details(&findings[0]), [["line 1", "a", "b"]]);

    let findings = find_within(&nested(4, b"a\n"), &nested(4, b"b\n"), &bounds);
    assert_eq!(kinds(&findings), [("a.whl!in.zip!in.zip!in.zip", FindingKind::Content)]);
    assert!(findings[0].summary.contains("opened 3 deep at most"), "{}", findings[0].summary);
}

#[test]
fn expansion_is_bounded() {
    let (left, right) = (wheel(options()), {
        let other = [PYTHON, b"#"].concat();
        archive(&[("idna/core.py", &other, options()), ("idna/RECORD", b"idna/core.py,sha256=x\n", options())])
    });
    let size = PYTHON.len() as u64;
    let summary = |bounds: &Bounds| {
        let findings = find_within(&left, &right, bounds);
        let content = findings.iter().find(|finding| finding.kind == FindingKind::Content).unwrap();
        assert_eq!(content.place, "a.whl!idna/core.py");
        content.summary.clone()
    };
    let is_raw = |bounds: &Bounds| summary(bounds).contains("as the archive stores them");
    assert!(!is_raw(&Bounds { entry: size + 1, ..Bounds::default() }));
    assert!(is_raw(&Bounds { entry: size, ..Bounds::default() }));
    assert!(!is_raw(&Bounds { expansion: 2 * size + 1, ..Bounds::default() }));
    assert!(is_raw(&Bounds { expansion: 2 * size, ..Bounds::default() }));
    let streamed = |memory| summary(&Bounds { memory, ..Bounds::default() }).contains("as a stream");
    assert!(!streamed(2 * size + 1));
    assert!(streamed(2 * size));

    let directory = |bound| find_within(&left, &right, &Bounds { directory: bound, ..Bounds::default() });
    let len = ZipArchive::new(Cursor::new(&left)).unwrap().central_directory_start();
    let len = left.len() as u64 - 22 - len;
    assert_eq!(directory(len)[0].place, "a.whl!idna/core.py");
    assert!(directory(len - 1)[0].summary.contains("its central directory has"));
}

#[test]
fn two_entries_of_one_name_are_compared_in_their_order() {
    let twice = |first: &[u8], second: &[u8]| {
        let mut bytes = archive(&[("aaaa", first, options()), ("aaab", second, options())]);
        replace(&mut bytes, b"aaab", b"aaaa");
        bytes
    };
    let findings = find(&twice(b"1\n", b"2\n"), &twice(b"1\n", b"3\n"));
    assert_eq!(kinds(&findings), [("a.whl!aaaa#2", FindingKind::Content)]);
    let once = archive(&[("aaaa", b"1\n", options())]);
    assert_eq!(kinds(&find(&twice(b"1\n", b"2\n"), &once)), [("a.whl!aaaa#2", FindingKind::OnlyLeft)]);
}

#[test]
fn what_stands_before_an_archive_is_structure() {
    let prefixed = |prefix: &[u8], bytes: Vec<u8>| [prefix, &bytes].concat();
    let left = prefixed(b"#!/usr/bin/python3.11\n", wheel(options()));
    let right = prefixed(b"#!/usr/bin/python3.12\n", wheel(options()));
    let findings = find(&left, &right);
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipStructure)]);
    let shown = ["\"#!/usr/bin/python3.11\"", "\"#!/usr/bin/python3.12\""];
    assert_eq!(details(&findings[0]), [["before the first entry: 0x14, 1 byte", shown[0], shown[1]]]);
    assert!(findings[0].summary.contains("first differ at 0x14"), "{}", findings[0].summary);
    // Under equal prefixes, times alone are still times alone.
    let findings = find(&left, &prefixed(b"#!/usr/bin/python3.11\n", wheel(later())));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryTimes)]);
    assert_eq!(kinds(&find(&wheel(options()), &left)), [("a.whl", FindingKind::ZipStructure)]);
}

/// Modules of Java have four bytes before the archive, and offsets from behind them or from the start.
#[test]
fn what_is_behind_a_header_of_another_kind_is_an_archive() {
    const HEADER: &[u8] = b"JM\x01\0";
    let behind = |header: &[u8], options| [header, &wheel(options)].concat();
    let findings = find(&behind(HEADER, options()), &behind(HEADER, later()));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryTimes)]);
    let from_the_start = |options| {
        let mut cursor = Cursor::new(HEADER.to_vec());
        cursor.set_position(HEADER.len() as u64);
        let mut writer = ZipWriter::new(cursor);
        writer.start_file("a", options).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let findings = find(&from_the_start(options()), &from_the_start(later()));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryTimes)]);
    let findings = find(&behind(HEADER, options()), &behind(b"JM\x02\0", options()));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipStructure)]);
}

#[test]
fn comments_and_gaps_are_structure_beside_times() {
    let with_comment = |options, comment: &str| {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("a", options).unwrap();
        writer.set_comment(comment).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let findings = find(&with_comment(options(), "built on alpha"), &with_comment(later(), "built on beta"));
    let expected = [("a.whl", FindingKind::ZipEntryTimes), ("a.whl", FindingKind::ZipStructure)];
    assert_eq!(kinds(&findings), expected);
    assert_eq!(details(&findings[1]), [["comment", "\"built on alpha\"", "\"built on beta\""]]);
}

#[test]
fn a_wrong_checksum_is_structure() {
    let stored = options().compression_method(CompressionMethod::Stored);
    let left = archive(&[("a", PYTHON, stored)]);
    let mut right = left.clone();
    right[14] ^= 0xff;
    let findings = find(&left, &right);
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipStructure)]);
    assert_eq!(findings[0].details[0].at, "a: local header: checksum");
}

#[test]
fn what_claims_to_be_an_archive_and_is_none_is_bytes() {
    let left = wheel(options());
    let findings = find(&left, &left[..left.len() - 1]);
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::Content)]);
    assert!(findings[0].summary.contains("the right one is not a whole zip archive: no end record"));
    let findings = find(b"text\n", &left);
    assert!(findings[0].summary.contains("the right one alone is a zip archive"));
}

#[test]
fn the_largest_and_zip64_headers_are_read() {
    let large = options().large_file(true);
    let findings = find(&wheel(large), &wheel(large.last_modified_time(DateTime::default())));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryTimes)]);
    // Versions, which follow from the extra fields, and these.
    let findings = find(&wheel(large), &wheel(options()));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipStructure); 2]);
    assert_eq!(kinds(&find(&archive(&[]), &wheel(options()))).len(), 2);
}

#[test]
fn streamed_archives_have_their_descriptors_read() {
    let streamed = |data: &[u8], options: SimpleFileOptions| {
        let mut writer = ZipWriter::new_stream(Vec::new());
        writer.start_file("a", options).unwrap();
        writer.write_all(data).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let findings = find(&streamed(PYTHON, options()), &streamed(PYTHON, later()));
    assert_eq!(kinds(&findings), [("a.whl", FindingKind::ZipEntryTimes)]);
    let findings = find(&streamed(b"x\n", options()), &streamed(b"y\n", options()));
    assert_eq!(kinds(&findings), [("a.whl!a", FindingKind::Content)]);
    let findings = find(&streamed(PYTHON, options()), &archive(&[("a", PYTHON, options())]));
    assert!(kinds(&findings).contains(&("a.whl", FindingKind::ZipStructure)));
}

/// An entry, as nobody should write it.
#[derive(Clone)]
struct Raw<'a> {
    /// In the local header, and in the central directory.
    names: [&'a [u8]; 2],
    flags: [u16; 2],
    /// Whether the local header has zeros for checksum and sizes.
    zeros: bool,
    time: u16,
    method: u16,
    data: Vec<u8>,
    crc: u32,
    size: u32,
    external: u32,
}

fn deflated(data: &[u8], level: u32) -> Raw<'static> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(data).unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(data);
    let (data, size) = (encoder.finish().unwrap(), u32::try_from(data.len()).unwrap());
    let (names, flags, external) = ([&b"a"[..]; 2], [0; 2], 0o100_644 << 16);
    Raw { names, flags, zeros: false, time: 0, method: 8, data, crc: crc.sum(), size, external }
}

fn raw(entries: &[Raw<'_>]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for Raw { names, flags, zeros, time, method, data, crc, size, external } in entries {
        let offset = u32::try_from(bytes.len()).unwrap();
        let compressed = u32::try_from(data.len()).unwrap();
        let common = |flags: u16, zeros: bool| {
            let numbers = if zeros { [0; 3] } else { [*crc, compressed, *size] };
            let fixed = [20, flags, *method, *time, 33].map(u16::to_le_bytes).concat();
            [fixed, numbers.map(u32::to_le_bytes).concat()].concat()
        };
        let [name, central] = names.map(|name| u16::try_from(name.len()).unwrap());
        bytes.extend([&b"PK\x03\x04"[..], &common(flags[0], *zeros)].concat());
        bytes.extend([name, 0].map(u16::to_le_bytes).concat());
        bytes.extend([names[0], data].concat());
        directory.extend([&b"PK\x01\x02\x14\x03"[..], &common(flags[1], false)].concat());
        directory.extend([central, 0, 0, 0, 0].map(u16::to_le_bytes).concat());
        directory.extend([*external, offset].map(u32::to_le_bytes).concat());
        directory.extend_from_slice(names[1]);
    }
    let [start, len] = [bytes.len(), directory.len()].map(|len| u32::try_from(len).unwrap().to_le_bytes());
    let count = u16::try_from(entries.len()).unwrap();
    let counts = [0, 0, count, count].map(u16::to_le_bytes).concat();
    [&bytes[..], &directory, b"PK\x05\x06", &counts, &len, &start, b"\0\0"].concat()
}

/// What would make two archives equal.
fn needs(left: &[Raw<'_>], right: &[Raw<'_>]) -> Option<Vec<String>> {
    super::super::archive::tests::find_within(&raw(left), &raw(right), &Bounds::default()).1
}

#[test]
fn bytes_after_the_end_of_the_compressed_ones_are_never_left_out() {
    let longer = |level, more: &[u8]| {
        let whole = deflated(PYTHON, level);
        [Raw { data: [&whole.data[..], more].concat(), ..whole }]
    };
    assert_eq!(needs(&longer(0, b""), &longer(9, b"")), Some(vec!["zip-compression".to_owned()]));
    assert_eq!(needs(&longer(9, b""), &longer(9, b"x")), None);
    assert_eq!(needs(&longer(9, b"one"), &longer(9, b"two")), None);
    let findings = find(&raw(&longer(9, b"")), &raw(&longer(9, b"x")));
    assert!(
        findings.iter().any(|finding| finding.summary.contains("the right one has more bytes than")),
        "{findings:?}"
    );
}

#[test]
fn order_that_decides_is_never_left_out() {
    let named =
        |name: &'static str, data: &[u8], external| Raw { names: [name.as_bytes(); 2], external, ..deflated(data, 6) };
    let (file, link) = (0o100_644 << 16, 0o120_777 << 16);
    let reordered = |a: Raw<'_>, b: Raw<'_>| needs(&[a.clone(), b.clone()], &[b, a]);
    let order = Some(vec!["zip-order".to_owned()]);
    assert_eq!(reordered(named("a", b"1", file), named("b/a", b"2", file)), order);
    assert_eq!(reordered(named("a", b"1", link), named("b/a", b"2", file)), order);
    assert_eq!(reordered(named("a", b"1", link), named("a/b", b"2", file)), None);
    assert_eq!(reordered(named("a", b"1", file), named("./a", b"2", file)), None);
    let twice = [named("a", b"1", file), named("b", b"2", file), named("a", b"1", file)];
    let [a, b, c] = twice.clone();
    assert_eq!(needs(&twice, &[b, a, c]), None);
}

#[test]
fn the_flag_of_a_name_is_asked_of_that_name() {
    const UTF_8: u16 = 1 << 11;
    let of = |names, flags| [Raw { names, flags, ..deflated(PYTHON, 6) }];
    let (ascii, other) = (&b"a"[..], &b"\xc3\xa4"[..]);
    let form = Some(vec!["zip-form".to_owned()]);
    assert_eq!(needs(&of([ascii; 2], [0, 0]), &of([ascii; 2], [UTF_8, UTF_8])), form);
    assert_eq!(needs(&of([other, ascii], [0, 0]), &of([other, ascii], [UTF_8, 0])), None);
    assert_eq!(needs(&of([other, ascii], [0, 0]), &of([other, ascii], [0, UTF_8])), form);
    assert_eq!(needs(&of([ascii, other], [0, 0]), &of([ascii, other], [0, UTF_8])), None);
}

#[test]
fn a_descriptor_that_is_missing_is_no_way_to_write_the_same() {
    const DESCRIPTOR: u16 = 1 << 3;
    let plain = deflated(PYTHON, 6);
    let missing = Raw { flags: [DESCRIPTOR; 2], zeros: true, ..plain.clone() };
    let whole = [Raw { flags: [DESCRIPTOR; 2], ..plain.clone() }];
    let later = [Raw { time: 1, ..missing.clone() }];
    let (plain, missing) = ([plain], [missing]);
    assert_eq!(needs(&plain, &missing), None);
    assert_eq!(needs(&missing, &whole), None);
    assert_eq!(needs(&missing, &later), Some(vec!["zip-times".to_owned()]));
}

/// Where the times of [`wheel`]'s headers are, found without the code under test.
fn time_offsets(bytes: &[u8]) -> Vec<usize> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut offsets = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).unwrap();
        offsets.extend([entry.header_start() + 10, entry.central_header_start() + 12]);
    }
    offsets.into_iter().flat_map(|at| (0..4).map(move |n| usize::try_from(at).unwrap() + n)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is wrong with the bytes: no panic, a finding for any difference, and times only where times explain all.
    #[test]
    fn hostile_bytes(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::weighted(0.1, any::<proptest::sample::Index>()),
        deep in any::<bool>(),
        changed_content in any::<bool>(),
    ) {
        let left = if deep { nested(2, PYTHON) } else { wheel(options()) };
        let mut right = match (deep, changed_content) {
            (false, true) => archive(&[("idna/core.py", b"x", later())]),
            _ => left.clone(),
        };
        for (index, byte) in flips {
            let index = index.index(right.len());
            right[index] = byte;
        }
        if let Some(cut) = cut {
            right.truncate(cut.index(right.len()));
        }
        let findings = find(&left, &right);
        let other_way = find(&right, &left);
        prop_assert_eq!(findings.len(), other_way.len());
        if !deep && findings.iter().all(|finding| finding.kind == FindingKind::ZipEntryTimes) {
            let (mut a, mut b) = (left.clone(), right.clone());
            for offset in time_offsets(&left) {
                a[offset] = 0;
                b[offset] = 0;
            }
            prop_assert_eq!(a, b);
        }
        prop_assert_eq!(bytes::first_difference(&left[..], &right[..]).unwrap().is_none(), findings.is_empty());
    }

    /// A single byte of a header changed is never put down to compression or content.
    #[test]
    fn one_changed_byte(index in any::<proptest::sample::Index>(), with in 1..=255_u8) {
        let left = wheel(options());
        let mut right = left.clone();
        let index = index.index(right.len());
        right[index] ^= with;
        let findings = find(&left, &right);
        let times = time_offsets(&left).contains(&index);
        let only_times = kinds(&findings) == [("a.whl", FindingKind::ZipEntryTimes)];
        prop_assert_eq!(times, only_times, "{:?}", findings);
    }
}
