// SPDX-License-Identifier: Apache-2.0
//! Files as the headers of the format have them, with one thing changed.

use proptest::prelude::*;
use reprove_model::{Between, FindingKind};

use super::super::Bounds;
use super::super::archive::tests::{FILE, File, find_within, tar_of};
use super::super::field::Normalizer;
use super::super::files::State;
use super::super::{Options, normal};
use super::*;

fn number(is_big: bool, value: u64, len: usize) -> Vec<u8> {
    if is_big { value.to_be_bytes()[8 - len..].to_vec() } else { value.to_le_bytes()[..len].to_vec() }
}

/// An object with one function, in either order of bytes and either size of addresses.
fn object(machine: Machine, uuid: u8, code: u8) -> Vec<u8> {
    let n = |value, len| number(machine.is_big, value, len);
    let (small, word) = (|value| n(value, 4), |value| n(value, machine.word()));
    let name = |name: &[u8]| [name, &vec![0; 16 - name.len()][..]].concat();
    let last = |part: Vec<u8>| if machine.is_64 { part } else { Vec::new() };
    let row = if machine.is_64 { 16 } else { 12 };
    let (segment, section) = if machine.is_64 { (72, 80) } else { (56, 68) };
    let commands = segment + section + 24 + 24 + 16;
    let data = commands + if machine.is_64 { 32 } else { 28 };
    let bytes = [
        small(if machine.is_64 { 0xfeed_facf } else { 0xfeed_face }),
        [0x0100_0007, 3, 1, 4, commands, 0].map(small).concat(),
        last(small(0)),
        // The segment and its section.
        [if machine.is_64 { 0x19 } else { 1 }, segment + section].map(small).concat(),
        name(b""),
        [0x1000, 8, data, 8].map(word).concat(),
        [7, 7, 1, 0].map(small).concat(),
        name(b"__text"),
        name(b"__TEXT"),
        [0x1000, 8].map(word).concat(),
        [data, 0, data + 8, 1, 0, 0, 0].map(small).concat(),
        last(small(0)),
        [0x1b, 24].map(small).concat(),
        vec![uuid; 16],
        [2, 24, data + 16, 1, data + 16 + row, 7].map(small).concat(),
        [0x8000_0034, 16, data + 16 + row + 7, 2].map(small).concat(),
        vec![0x90, 0x90, code, 0x90, 0x90, 0x90, 0x90, 0xc3],
        b"relocati".to_vec(),
        [small(1), vec![0x0f, 1], n(0, 2), word(0x1000)].concat(),
        b"\0_main\0".to_vec(),
        b"fx".to_vec(),
    ];
    bytes.concat()
}

const MACHINES: [Machine; 4] = [
    Machine { is_big: false, is_64: true },
    Machine { is_big: false, is_64: false },
    Machine { is_big: true, is_64: true },
    Machine { is_big: true, is_64: false },
];

fn fat_of(is_64: bool, files: &[(u64, &[u8])]) -> Vec<u8> {
    let n = |value, len| number(true, value, len);
    let word = if is_64 { 8 } else { 4 };
    let mut header = [n(if is_64 { 0xcafe_babf } else { 0xcafe_babe }, 4), n(files.len() as u64, 4)].concat();
    let mut data = Vec::new();
    for (processor, file) in files {
        let at = 512 + data.len() as u64;
        header.extend([n(*processor, 4), n(3, 4), n(at, word), n(file.len() as u64, word), n(4, 4)].concat());
        header.extend(vec![0; if is_64 { 4 } else { 0 }]);
        data.extend_from_slice(file);
    }
    header.resize(512, 0);
    [header, data].concat()
}

fn find(left: &[u8], right: &[u8]) -> (Vec<(String, FindingKind)>, Option<Vec<String>>) {
    let (findings, needs) = find_within(left, right, &Bounds::default());
    (findings.into_iter().map(|finding| (finding.place, finding.kind)).collect(), needs)
}

#[test]
fn a_uuid_alone_leaves_the_code_equal() {
    for machine in MACHINES {
        let (found, needs) = find(&object(machine, 1, 0x90), &object(machine, 2, 0x90));
        assert_eq!(found, [("a".to_owned(), FindingKind::BuildIdentity)]);
        assert_eq!(needs, Some(vec!["mach-o-identity".to_owned()]));
        let (found, needs) = find(&object(machine, 1, 0x90), &object(machine, 2, 0xcc));
        assert_eq!((found.len(), needs), (2, None));
    }
    // A command of this number with more in it is something else.
    let [left, right] = [1, 2].map(|uuid| {
        let mut bytes = object(MACHINES[0], uuid, 0x90);
        bytes[32 + 152 + 4] = 48;
        bytes[16] = 3;
        bytes
    });
    assert_eq!(find(&left, &right).1, None);
}

#[test]
fn one_uuid_alone_names_a_build() {
    // As many commands, each of this number, with a UUID; the first differs.
    let of = |numbers: &[u32], len: u32, uuid: u8| {
        let commands = u32::try_from(numbers.len()).unwrap();
        let mut bytes = [0xfeed_facf, 7, 3, 1, commands, commands * len, 0, 0].map(u32::to_le_bytes).concat();
        for (at, number) in numbers.iter().enumerate() {
            bytes.extend([*number, len].map(u32::to_le_bytes).concat());
            bytes.extend(vec![if at == 0 { uuid } else { 0 }; len as usize - 8]);
        }
        bytes
    };
    let needs = |numbers: &[u32], len| find(&of(numbers, len, 1), &of(numbers, len, 2)).1;
    assert_eq!(needs(&[0x1b], 24), Some(vec!["mach-o-identity".to_owned()]));
    assert_eq!(needs(&[0x1b, 0x2a], 24), Some(vec!["mach-o-identity".to_owned()]));
    for numbers in [&[0x1b, 0x1b][..], &[0x8000_001b], &[0x1b, 0x8000_001b]] {
        assert_eq!(needs(numbers, 24), None);
    }
    assert_eq!(needs(&[0x1b], 32), None);
}

#[test]
fn code_is_found_by_its_function() {
    for machine in MACHINES {
        let (left, right) = (object(machine, 1, 0x90), object(machine, 1, 0xcc));
        let (findings, needs) = find_within(&left, &right, &Bounds::default());
        let (place, at) = (findings[0].place.as_str(), findings[0].details[0].at.as_str());
        assert_eq!((place, at, needs), ("a!__TEXT,__text", "0x2, 1 byte, in _main+0x2", None));
    }
}

#[test]
fn what_is_run_is_told_by_its_flags() {
    let of = |code, flags: [u8; 4]| {
        let mut bytes = object(MACHINES[0], 1, code);
        bytes[32 + 72 + 64..32 + 72 + 68].copy_from_slice(&flags);
        bytes
    };
    for flags in [[0, 4, 0, 0], [0, 0, 0, 0x80]] {
        let (findings, _) = find_within(&of(0x90, flags), &of(0xcc, flags), &Bounds::default());
        assert_eq!(findings[1].summary, "as x86-64 instructions, 1 differs");
        let detail = &findings[1].details[0];
        assert_eq!([&*detail.at, &detail.left, &detail.right], ["_main+0x2 (0x1002)", "nop", "int3"]);
    }
    assert_eq!(find(&of(0x90, [0; 4]), &of(0xcc, [0; 4])).0.len(), 1);
}

#[test]
fn zeros_at_the_end_are_never_left_out() {
    let left = object(MACHINES[0], 1, 0x90);
    for left in [fat_of(false, &[(7, &left)]), left] {
        assert_eq!(find(&left, &[&left[..], b"\0"].concat()).1, None);
    }
}

#[test]
fn section_headers_that_change_places_are_not_lost() {
    // The command alone, with two sections.
    let of = |names: [u8; 2], flags: u32| {
        let mut bytes = [0xfeed_facf, 7, 3, 1, 1, 232, flags, 0, 0x19, 232].map(u32::to_le_bytes).concat();
        bytes.extend([0; 56]);
        bytes.extend([2_u32, 0].map(u32::to_le_bytes).concat());
        for name in names {
            bytes.extend([name; 15]);
            bytes.extend(b"\0__TEXT\0\0\0\0\0\0\0\0\0\0");
            bytes.extend([0; 48]);
        }
        bytes
    };
    let (findings, needs) = find_within(&of(*b"ab", 0), &of(*b"ba", 1), &Bounds::default());
    let at: Vec<_> = findings[0].details.iter().map(|detail| detail.at.as_str()).collect();
    assert!(at.contains(&"Mach-O header: flags"), "{at:?}");
    assert_eq!((findings.len(), needs), (1, None));
    let field = |number, name: &str| format!("LC_SEGMENT_64: section {number} __TEXT,{}: name", name.repeat(15));
    for moved in [field(1, "a"), field(1, "b"), field(2, "a"), field(2, "b")] {
        assert!(at.contains(&moved.as_str()), "{moved}: {at:?}");
    }
}

#[test]
fn headers_are_told_by_their_fields() {
    let left = object(MACHINES[0], 1, 0x90);
    let data = left.len() - 8 - 8 - 16 - 7 - 2;
    for (at, place, field) in [
        (24, "a", "Mach-O header: flags"),
        (32 + 60, "a", "LC_SEGMENT_64: protection"),
        (32 + 72 + 64, "a", "LC_SEGMENT_64: section 1 __TEXT,__text: flags"),
        (data + 8, "a!relocations of __TEXT,__text", "0x0, 1 byte"),
        (data + 16 + 6, "a!symbols", "0x6, 1 byte"),
        (data + 32 + 2, "a!strings", "0x2, 1 byte"),
        (left.len() - 1, "a!fixups", "0x1, 1 byte"),
    ] {
        let mut right = left.clone();
        right[at] ^= 4;
        let (findings, needs) = find_within(&left, &right, &Bounds::default());
        assert_eq!((findings[0].place.as_str(), needs), (place, None), "{field}");
        assert_eq!(findings[0].details[0].at, field);
    }
}

#[test]
fn each_architecture_is_a_file() {
    let of = |uuid, code| object(MACHINES[0], uuid, code);
    for is_64 in [false, true] {
        let fat = |uuid, code| fat_of(is_64, &[(0x0100_0007, &of(1, 0x90)), (0x0100_000c, &of(uuid, code))]);
        let left = fat(1, 0x90);
        assert!(is_fat(&left));
        let (found, needs) = find(&left, &fat(2, 0x90));
        assert_eq!(found, [("a!arm64".to_owned(), FindingKind::BuildIdentity)]);
        assert_eq!(needs, Some(vec!["mach-o-identity".to_owned()]));
        assert_eq!(find(&left, &fat(1, 0xcc)).0[0].0, "a!arm64!__TEXT,__text");
        let (findings, needs) = find_within(&left, &left[..20], &Bounds::default());
        assert!(findings[0].summary.contains("architectures: its header is cut"), "{}", findings[0].summary);
        assert_eq!(needs, None);
    }
    let counted = |count: u8| is_fat(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, count]);
    assert!(!counted(0) && counted(1) && counted(44) && !counted(45));
}

#[test]
fn what_overlaps_or_is_cut_is_bytes() {
    let left = object(MACHINES[0], 1, 0x90);
    let with = |at: usize, value: u32| {
        let mut bytes = left.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    for (right, why) in [
        // Where the section is; sizes of all commands and of one; how many there are.
        (with(32 + 72 + 48, 40), "in another part"),
        (left[..left.len() - 1].to_vec(), "its fixups is past the end"),
        (with(20, 16 << 20), "its load commands are cut, or too many"),
        (with(20, u32::MAX), "its load commands are cut, or too many"),
        (with(36, 7), "its load commands are cut, or too many"),
        (with(16, 5), "its load commands are cut, or too many"),
        (left[..31].to_vec(), "its load commands are cut, or too many"),
    ] {
        let (findings, needs) = find_within(&left, &right, &Bounds::default());
        assert!(findings[0].summary.contains("the right one is not a Mach-O file: "), "{}", findings[0].summary);
        assert!(findings[0].summary.contains(why), "{}", findings[0].summary);
        assert_eq!(needs, None);
    }
}

#[test]
fn load_commands_are_read_to_a_bound() {
    let of = |len: u32, last: u8| {
        let mut bytes = object(MACHINES[0], 1, 0x90);
        bytes[16..24].copy_from_slice(&[0, len].map(u32::to_le_bytes).concat());
        bytes.resize(64 + (16 << 20), 0);
        *bytes.last_mut().unwrap() = last;
        find_within(&bytes, &[&bytes[..], b"x"].concat(), &Bounds::default()).0[0].summary.clone()
    };
    assert!(!of(16 << 20, 1).contains("compared as bytes"));
    assert!(of((16 << 20) + 1, 1).contains("its load commands are cut, or too many"));
}

#[test]
fn commands_and_names_are_read_to_a_bound() {
    // Commands of 8 bytes.
    let of = |count: u32, number: u32| {
        let header = [0xfeed_facf, 7, 3, 1, count, count * 8, 0, 0].map(u32::to_le_bytes).concat();
        [header, [number, 8].map(u32::to_le_bytes).concat().repeat(count as usize)].concat()
    };
    let summary = |left: &[u8], right: &[u8]| find_within(left, right, &Bounds::default()).0[0].summary.clone();
    assert!(!summary(&of(10_000, 0x2a), &of(10_000, 0x30)).contains("compared as bytes"));
    assert!(summary(&of(10_001, 0x2a), &of(10_001, 0x30)).contains("its load commands are cut, or too many"));
    // Sections whose labels are too long together.
    let of = |count: u32, flags: u32| {
        let len = 72 + 80 * count;
        let mut bytes = [0xfeed_facf, 7, 3, 1, 1, len, flags, 0, 0x19, len].map(u32::to_le_bytes).concat();
        bytes.extend([0; 56]);
        bytes.extend([count, 0].map(u32::to_le_bytes).concat());
        bytes.extend([0; 80].repeat(count as usize));
        bytes
    };
    assert!(!summary(&of(20_000, 0), &of(20_000, 1)).contains("compared as bytes"));
    assert!(summary(&of(60_000, 0), &of(60_000, 1)).contains("names have more than 16777216 bytes"));
}

#[test]
fn long_names_are_looked_at_to_their_bound() {
    // Symbols that have all of these names for their own, one after the other; the last is of what differs.
    let of = |count: u32, names: &[u8], code: u8| {
        let mut bytes = object(MACHINES[0], 1, code);
        let end = u32::try_from(bytes.len()).unwrap();
        let command = 32 + 152 + 24;
        let len = u32::try_from(names.len()).unwrap();
        let tables = [end, count, end + 16 * count, len].map(u32::to_le_bytes).concat();
        bytes[command + 8..command + 24].copy_from_slice(&tables);
        let symbol = |at: u64| [&[0, 0, 0, 0, 0x0f, 1, 0, 0][..], &(0x1000 + at).to_le_bytes()].concat();
        [bytes, symbol(0).repeat(count as usize - 1), symbol(2), names.to_vec()].concat()
    };
    let at = |count, names: &[u8]| {
        let (findings, _) = find_within(&of(count, names, 1), &of(count, names, 2), &Bounds::default());
        findings[0].details[0].at.clone()
    };
    // For each to its end, it would take hours.
    assert!(at(100_000, &vec![b'n'; 8 << 20]).contains("in nnnn"));
    // Names of 256 bytes, of which there is room for 65,536.
    assert!(at(65_536, &[b'n'; 256]).ends_with("n+0x0") && at(65_537, &[b'n'; 256]).ends_with("n+0x2"));
}

#[test]
fn what_is_no_file_is_never_opened() {
    // An archive of this many bytes where nothing leads, or in the place of the names of symbols.
    let of = |is_gap: bool, len: usize, time| {
        let archive = tar_of(&[File { time, data: &vec![0; len], ..FILE }]);
        let size = u32::try_from(archive.len()).unwrap();
        let mut bytes = [0xfeed_facf, 7, 3, 1, 1, 24, 0, 0, 2, 24].map(u32::to_le_bytes).concat();
        let tables = if is_gap { [56 + size, 1, 0, 0] } else { [0, 0, 56, size] };
        bytes.extend(tables.map(u32::to_le_bytes).concat());
        bytes.extend(archive);
        bytes.extend([0; 16]);
        bytes
    };
    let bounds = Bounds::default();
    let state = State::new(&Options::of(Between::Given), &bounds);
    let times = [Normalizer { format: Format::Tar, group: Group::Times }].into();
    for (is_gap, len) in [(true, 1 << 19), (true, 1 << 20), (false, 1 << 10)] {
        let (left, right) = (of(is_gap, len, 1), of(is_gap, len, 2));
        let (found, needs) = find(&left, &right);
        assert!(found.iter().all(|(_, kind)| *kind != FindingKind::ArchiveTimes), "{found:?}");
        assert_eq!(needs, None);
        let [left, right] =
            [left, right].map(|file| normal::digest(&Source::Memory(&file), None, &times, &state).unwrap().unwrap());
        assert_ne!(left, right, "{is_gap} {len}");
    }
}

#[test]
fn symbols_are_read_to_a_bound() {
    let of = |count: u32, code: u8| {
        let mut bytes = object(MACHINES[0], 1, code);
        let end = u32::try_from(bytes.len()).unwrap();
        let command = 32 + 152 + 24;
        let at = usize::try_from(fixed(&bytes, command + 8, 4, false).unwrap()).unwrap();
        let symbol = bytes[at..at + 16].to_vec();
        bytes[command + 8..command + 16].copy_from_slice(&[end, count].map(u32::to_le_bytes).concat());
        bytes.extend(symbol);
        bytes.resize(end as usize + 16 * count as usize, 0);
        bytes
    };
    let at = |count| find_within(&of(count, 1), &of(count, 2), &Bounds::default()).0[0].details[0].at.clone();
    assert_eq!(at(2 << 20), "0x2, 1 byte, in _main+0x2");
    assert_eq!(at((2 << 20) + 1), "0x2, 1 byte");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// [`find_within`] asserts it: whatever the bytes are, no finding if and only if they are equal.
    #[test]
    fn hostile_bytes(
        which in 0..5_usize,
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::weighted(0.1, any::<proptest::sample::Index>()),
    ) {
        let one = object(MACHINES[which % 4], 1, 0x90);
        let left = if which == 4 { fat_of(false, &[(7, &one)]) } else { one };
        let mut right = left.clone();
        for (index, byte) in flips {
            let at = index.index(right.len());
            right[at] = byte;
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
