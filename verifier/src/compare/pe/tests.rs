// SPDX-License-Identifier: Apache-2.0
//! Programs and objects as the format has them, with one thing changed.

use proptest::prelude::*;
use reprove_model::{Finding, FindingKind};

use super::super::Bounds;
use super::super::archive::tests::find_within;
use super::*;

mod mapped;

/// What a test changes.
#[derive(Clone, Copy)]
struct Image<'a> {
    is_64: bool,
    time: u32,
    debug_time: u32,
    exports_time: u32,
    guid: &'a [u8; 16],
    path: &'a str,
    code: &'a [u8; 4],
    /// Of the section with the directories.
    flags: u32,
    debug_kind: u32,
    /// Of the directory of debugging information.
    entries: u32,
    has_checksum: bool,
}

const IMAGE: Image<'_> = Image {
    is_64: true,
    time: 1_700_000_000,
    debug_time: 7,
    exports_time: 8,
    guid: b"0123456789abcdef",
    path: "a.pdb",
    code: b"\x90\x90\x90\xc3",
    flags: 0x4000_0040,
    debug_kind: 2,
    entries: 1,
    has_checksum: true,
};

/// Where the name of the file is that the exports have.
const EXPORTS_NAME: u32 = 0x2df0;
/// Headers, a section of code, one with both directories, and where the optional header is.
fn image(of: Image<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 0x80];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    let before = fields::before_directories(of.is_64);
    let numbers = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    bytes.extend(b"PE\0\0\x64\x86\x02\0");
    bytes.extend(numbers(&[of.time]));
    bytes.extend([0; 8]);
    bytes.extend(u16::try_from(before + 16 * 8).unwrap().to_le_bytes());
    bytes.extend(b"\x22\0");
    let mut optional = vec![0; before];
    optional[..2].copy_from_slice(if of.is_64 { b"\x0b\x02" } else { b"\x0b\x01" });
    optional[before - 4] = 16;
    for (at, value) in [(16, 0x1000_u32), (32, 0x1000), (60, 0x400)] {
        optional[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes.extend(optional);
    let directories = bytes.len();
    bytes.resize(directories + 16 * 8, 0);
    bytes[directories..directories + 8].copy_from_slice(&[0x2000_u32, 40].map(u32::to_le_bytes).concat());
    bytes[directories + 48..directories + 56]
        .copy_from_slice(&[0x2028_u32, of.entries * 28].map(u32::to_le_bytes).concat());
    for (name, address, len, offset, flags) in
        [(b".text\0\0\0", 0x1000, 0x200, 0x400, 0x6000_0020), (b".rdata\0\0", 0x2000, 0x2800, 0x600, of.flags)]
    {
        bytes.extend(name);
        bytes.extend(numbers(&[len, address, len, offset, 0, 0, 0, flags]));
    }
    bytes.resize(0x400, 0);
    bytes.extend(of.code);
    bytes.resize(0x600, 0);
    bytes.extend(numbers(&[0, of.exports_time, 0, EXPORTS_NAME - 0x600 + 0x2000]));
    bytes.resize(0x628, 0);
    let record = [b"RSDS", &of.guid[..], &[1, 0, 0, 0], of.path.as_bytes(), b"\0"].concat();
    let len = u32::try_from(record.len()).unwrap();
    bytes.extend(numbers(&[0, of.debug_time, 0, of.debug_kind, len, 0x2050, 0x650]));
    bytes.resize(0x650, 0);
    bytes.extend(record);
    bytes.resize(EXPORTS_NAME as usize, 0);
    bytes.extend(b"a.dll");
    bytes.resize(0x2e00, 0);
    if of.has_checksum {
        let at = 0x80 + 24 + 64;
        let sum = checksum(&Source::Memory(&bytes), at as u64).unwrap();
        bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// An object with a function in its one section, a relocation, and a long name.
fn object(time: u32, code: u8) -> Vec<u8> {
    let mut bytes = b"\x64\x86\x01\0".to_vec();
    bytes.extend([time, 76, 1, 0].map(u32::to_le_bytes).concat());
    bytes.extend(b"/4\0\0\0\0\0\0");
    bytes.extend([0, 0, 6, 60, 66, 0, 1, 0x6000_0020].map(u32::to_le_bytes).concat());
    bytes.extend([0x90, code, 0x90, 0x90, 0x90, 0xc3]);
    bytes.extend(*b"relocation");
    bytes.extend(b"main\0\0\0\0\0\0\0\0\x01\0\x20\0\x02\0");
    bytes.extend(*b"\x12\0\0\0.text.unlikely\0");
    let len = u32::try_from(bytes.len() - 94).unwrap();
    bytes[94..98].copy_from_slice(&len.to_le_bytes());
    bytes
}

fn find(left: &[u8], right: &[u8]) -> (Vec<Finding>, Option<Vec<String>>) {
    find_within(left, right, &Bounds::default())
}

fn of(left: Image<'_>, right: Image<'_>) -> (Vec<(String, FindingKind)>, Option<Vec<String>>) {
    let (findings, needs) = find(&image(left), &image(right));
    (findings.into_iter().map(|finding| (finding.place, finding.kind)).collect(), needs)
}

fn named(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn times_of_the_linker_are_told_from_the_rest() {
    for is_64 in [false, true] {
        let left = Image { is_64, ..IMAGE };
        for right in [
            Image { time: 9, ..left },
            Image { debug_time: 9, ..left },
            Image { exports_time: 9, ..left },
            Image { time: 9, debug_time: 9, exports_time: 9, ..left },
        ] {
            assert_eq!(of(left, right), (vec![("a".to_owned(), FindingKind::ArchiveTimes)], named(&["pe-times"])));
        }
        let (findings, _) = find(&image(left), &image(Image { time: 0, ..left }));
        let detail = &findings[0].details[0];
        let shown = [&*detail.at, &*detail.left, &*detail.right];
        assert_eq!(shown, ["time in the COFF header", "2023-11-14T22:13:20Z", "1970-01-01T00:00:00Z"]);
        assert_eq!(of(left, Image { time: 9, code: b"\x90\x90\xcc\xc3", ..left }).1, None);
    }
}

#[test]
fn a_guid_alone_leaves_the_code_equal() {
    let (found, needs) = of(IMAGE, Image { guid: b"fedcba9876543210", ..IMAGE });
    assert_eq!((found, needs), (vec![("a".to_owned(), FindingKind::BuildIdentity)], named(&["pe-identity"])));
    let (found, needs) = of(IMAGE, Image { path: "b.pdb", ..IMAGE });
    assert_eq!((found[0].0.as_str(), needs), ("a!CodeView record#2", None));
}

#[test]
fn only_what_is_for_reading_alone_is_told_as_a_time_or_a_name() {
    for flag in [0x2000_0000, 0x8000_0000, 0x20] {
        let left = Image { flags: IMAGE.flags | flag, ..IMAGE };
        for right in
            [Image { debug_time: 9, ..left }, Image { exports_time: 9, ..left }, Image { guid: &[7; 16], ..left }]
        {
            let (found, needs) = of(left, right);
            assert_eq!((found[0].0.as_str(), needs), ("a!.rdata", None));
        }
        // Where hashes stand is read there too.
        let hashed = Image { debug_kind: 16, ..left };
        assert_eq!(of(left, Image { time: 9, ..left }).1, named(&["pe-times"]));
        assert_eq!(of(hashed, Image { time: 9, ..hashed }).1, None);
    }
    // No CodeView record: another kind, no end of its path, or more than that.
    let other = |guid| Image { debug_kind: 3, guid, ..IMAGE };
    assert_eq!(of(other(&[1; 16]), other(&[2; 16])).1, None);
    for path in ["a\0b", "a\0"] {
        assert_eq!(of(Image { path, ..IMAGE }, Image { path, guid: &[7; 16], ..IMAGE }).1, None, "{path:?}");
    }
}

#[test]
fn an_object_has_times_where_it_is_one_for_sure() {
    let times = |change: &dyn Fn(&mut Vec<u8>)| {
        let [left, right] = [1, 2].map(|time| {
            let mut bytes = object(time, 0x90);
            change(&mut bytes);
            bytes
        });
        find(&left, &right).1
    };
    assert_eq!(times(&|_| {}), named(&["coff-times"]));
    // Its length alone is a whole table of names.
    let short = |bytes: &mut Vec<u8>| {
        bytes[20..28].copy_from_slice(b".text\0\0\0");
        bytes.truncate(94);
        bytes.extend([4, 0, 0, 0]);
    };
    assert_eq!(times(&short), named(&["coff-times"]));
    // No symbols; no names, or such as don't end; a section without a name, or with one that is no text.
    assert_eq!(times(&|bytes| bytes[8..16].fill(0)), None);
    assert_eq!(times(&|bytes| bytes[12..16].fill(0)), None);
    assert_eq!(times(&|bytes| bytes.truncate(94)), None);
    assert_eq!(times(&|bytes| bytes[94] = 3), None);
    assert_eq!(times(&|bytes| *bytes.last_mut().unwrap() = b'x'), None);
    assert_eq!(times(&|bytes| bytes[20..28].fill(0)), None);
    assert_eq!(times(&|bytes| bytes[20..22].copy_from_slice(b"a\x7f")), None);
}

#[test]
fn long_names_are_looked_at_to_their_bound() {
    // Each of many symbols has all the names for its own, which would take hours.
    let of = |code| {
        let mut bytes = object(1, code);
        let count = 100_000_u32;
        bytes[12..16].copy_from_slice(&count.to_le_bytes());
        let symbol = b"\0\0\0\0\x04\0\0\0\x01\0\0\0\x01\0\x20\0\x02\0";
        let names = vec![b'n'; 8 << 20];
        let len = u32::try_from(names.len() + 4).unwrap().to_le_bytes();
        bytes.truncate(76);
        [bytes, symbol.repeat(count as usize), len.to_vec(), names].concat()
    };
    let (findings, _) = find(&of(1), &of(2));
    assert!(findings[0].details[0].at.contains("in nnnn"), "{}", findings[0].details[0].at);
}

#[test]
fn names_of_symbols_and_sections_have_room_to_a_bound() {
    // Names of 256 bytes, of which there is room for 65,536; the last is the one of what differs.
    let of = |count: u32, code| {
        let mut bytes = object(1, code);
        bytes[12..16].copy_from_slice(&count.to_le_bytes());
        let symbol = |start: u8| [b"\0\0\0\0\x04\0\0\0", &[start, 0, 0, 0][..], b"\x01\0\x20\0\x02\0"].concat();
        let names = [&260_u32.to_le_bytes()[..], &[b'n'; 256]].concat();
        bytes.truncate(76);
        [bytes, symbol(0).repeat(count as usize - 1), symbol(1), names].concat()
    };
    let at = |count| find(&of(count, 1), &of(count, 2)).0[0].details[0].at.clone();
    assert!(at(65_536).ends_with("n+0x0") && at(65_537).ends_with("n+0x1"), "{}", at(65_537));
    // Sections whose labels are too long together.
    let of = |count: u16, last: u8| {
        let mut bytes = b"\x64\x86".to_vec();
        bytes.extend(count.to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend([&[last; 8][..], &[0; 32]].concat().repeat(usize::from(count)));
        bytes
    };
    let summary = |count| find(&of(count, 1), &of(count, 2)).0[0].summary.clone();
    assert!(!summary(20_000).contains("names have more than"), "{}", summary(20_000));
    assert!(summary(60_000).contains("names have more than 16777216 bytes"), "{}", summary(60_000));
}

#[test]
fn hashes_in_the_place_of_times_are_never_left_out() {
    let left = Image { debug_kind: 16, ..IMAGE };
    for right in [Image { time: 9, ..left }, Image { debug_time: 9, ..left }, Image { exports_time: 9, ..left }] {
        assert_eq!(of(left, right), (vec![("a".to_owned(), FindingKind::ArchiveStructure)], None));
    }
}

#[test]
fn directories_are_read_to_a_bound() {
    let left = |entries| Image { debug_kind: 3, entries, ..IMAGE };
    assert_eq!(of(left(64), Image { debug_time: 9, ..left(64) }).1, named(&["pe-times"]));
    assert_eq!(of(left(65), Image { debug_time: 9, ..left(65) }).1, None);
    // Where it is not read, times may be hashes.
    assert_eq!(of(left(64), Image { time: 9, ..left(64) }).1, named(&["pe-times"]));
    assert_eq!(of(left(65), Image { time: 9, ..left(65) }).1, None);
}

#[test]
fn code_view_records_are_read_to_a_bound() {
    let of = |len: usize| {
        let path = "p".repeat(len - 25);
        of(Image { path: &path, ..IMAGE }, Image { path: &path, guid: &[7; 16], ..IMAGE }).1
    };
    assert_eq!((of(8192), of(8193)), (named(&["pe-identity"]), None));
}

#[test]
fn symbols_are_read_to_a_bound() {
    let of = |count: u32, code| {
        let mut bytes = object(1, code);
        bytes[12..16].copy_from_slice(&count.to_le_bytes());
        let more = vec![0; 18 * (count as usize - 1)];
        bytes.splice(94..94, more);
        bytes
    };
    let at = |count| find(&of(count, 1), &of(count, 2)).0[0].details[0].at.clone();
    let most = (32 << 20) / 18;
    assert_eq!((at(most).as_str(), at(most + 1).as_str()), ("0x1, 1 byte, in main+0x1", "0x1, 1 byte"));
}

#[test]
fn only_the_right_checksum_follows_from_the_rest() {
    let left = image(IMAGE);
    let mut right = image(Image { time: 9, ..IMAGE });
    right[0x80 + 24 + 64] ^= 1;
    let (findings, needs) = find(&left, &right);
    assert_eq!((findings.len(), needs), (2, None));
    assert_eq!((findings[1].details[0].at.as_str(), &*findings[1].details[0].left), ("checksum", "the right one"));
    let none = |time| image(Image { has_checksum: false, time, ..IMAGE });
    assert_eq!(find(&none(1), &none(2)).1, named(&["pe-times"]));
    let of_odd_length = |time| [none(time), vec![1]].concat();
    assert_eq!(find(&of_odd_length(1), &of_odd_length(2)).1, named(&["pe-times"]));
}

#[test]
fn zeros_at_the_end_are_never_left_out() {
    for left in [image(IMAGE), object(1, 0x90)] {
        assert_eq!(find(&left, &[&left[..], b"\0"].concat()).1, None);
    }
}

#[test]
fn sections_and_headers_are_told_apart() {
    let images = [image(IMAGE), image(Image { code: b"\x90\x90\xcc\xc3", ..IMAGE })];
    let (findings, needs) = find(&images[0], &images[1]);
    let places: Vec<_> = findings.iter().map(|finding| finding.place.as_str()).collect();
    // The bytes, and the instructions.
    assert_eq!((places, needs), (vec!["a!.text"; 2], None));
    assert_eq!(findings[1].details[0].at, ".text+0x2 (0x1002)");
    // Mapped to be run from another address on; the checksum is wrong then.
    let [left, right] = images.map(|image| [&image[..0x80 + 24 + 28], b"\x40", &image[0x80 + 24 + 29..]].concat());
    assert_eq!(find(&left, &right).0[2].details[0].at, ".text+0x2 (0x4000001002)");
    let (left, mut right) = (image(IMAGE), image(IMAGE));
    right[0x80 + 24 + 68] = 3;
    let (findings, _) = find(&left, &right);
    let at: Vec<_> = findings[0].details.iter().map(|detail| detail.at.as_str()).collect();
    assert_eq!((findings[0].kind, at), (FindingKind::ArchiveStructure, vec!["optional header#2: subsystem"]));
}

#[test]
fn objects_have_their_functions_and_times() {
    let left = object(1, 0x90);
    assert!(is_object(&left));
    let (findings, needs) = find(&left, &object(2, 0x90));
    assert_eq!((findings[0].kind, needs), (FindingKind::ArchiveTimes, named(&["coff-times"])));
    let (findings, needs) = find(&left, &object(1, 0xcc));
    let (place, at) = (findings[0].place.as_str(), findings[0].details[0].at.as_str());
    assert_eq!((place, at, needs), ("a!.text.unlikely", "0x1, 1 byte, in main+0x1", None));
    let mut right = left.clone();
    right[66] ^= 1;
    assert_eq!(find(&left, &right).0[0].place, "a!relocations of .text.unlikely");
    for (at, byte) in [(0, 0x65), (2, 0), (16, 1), (18, 2)] {
        let mut other = left.clone();
        other[at] = byte;
        assert!(!is_object(&other), "{at}");
    }
    assert!(!is_object(&left[..19]));
}

#[test]
fn what_overlaps_or_is_cut_is_bytes() {
    let left = image(IMAGE);
    let mut right = left.clone();
    // The second section where the first one is.
    let at = 0x80 + 24 + 112 + 128 + 40 + 20;
    right[at..at + 2].copy_from_slice(&0x500_u16.to_le_bytes());
    for (right, why) in [
        (right, "in another part"),
        (left[..0x2dff].to_vec(), "its .rdata is past the end"),
        (left[..0x1b0].to_vec(), "its headers are cut"),
    ] {
        let (findings, needs) = find(&left, &right);
        assert!(findings[0].summary.contains("compared as bytes: the right one is not a PE file: "));
        assert!(findings[0].summary.contains(why), "{}", findings[0].summary);
        assert_eq!(needs, None);
    }
    // What is no more than a program for DOS is none.
    let (findings, _) = find(&left[..0x82], &left[..0x81]);
    assert!(!findings[0].summary.contains("PE file"), "{}", findings[0].summary);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// [`find_within`] asserts it: whatever the bytes are, no finding if and only if they are equal.
    #[test]
    fn hostile_bytes(
        is_object: bool,
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::weighted(0.1, any::<proptest::sample::Index>()),
    ) {
        let left = if is_object { object(1, 0x90) } else { image(IMAGE) };
        let mut right = left.clone();
        for (index, byte) in flips {
            // The headers, and the directories in the second section.
            let at = index.index(0x240 + 0x80);
            let at = if at < 0x240 { at } else { at + 0x3e0 };
            if let Some(place) = right.get_mut(at) {
                *place = byte;
            }
        }
        right.truncate(cut.map_or(right.len(), |cut| cut.index(right.len())));
        let _ = find(&left, &right);
        let mut other = right.clone();
        if let Some(byte) = other.last_mut() {
            *byte ^= 1;
        }
        let _ = find(&right, &other);
    }
}
