// SPDX-License-Identifier: Apache-2.0
//! What stands where something may be run, and what only looks like what a linker writes.

use super::*;

/// Where the optional header is, and the header of the section with the directories.
const OPTIONAL: usize = 0x80 + 24;
const SECOND: usize = OPTIONAL + 112 + 128 + 40;

/// What makes two images equal, each with these numbers of 4 bytes put in place of others.
fn with(puts: &[(usize, u32)], left: Image<'_>, right: Image<'_>) -> Option<Vec<String>> {
    let [left, right] = [left, right].map(|of| {
        let mut bytes = image(Image { has_checksum: false, ..of });
        for (at, value) in puts {
            bytes[*at..*at + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    });
    find(&left, &right).1
}

#[test]
fn what_is_mapped_to_be_run_is_no_time_and_no_name() {
    let times = [Image { time: 9, ..IMAGE }, Image { debug_time: 9, ..IMAGE }, Image { exports_time: 9, ..IMAGE }];
    let others = [times[0], times[1], times[2], Image { guid: &[7; 16], ..IMAGE }];
    let are_told = |puts: &[(usize, u32)]| others.map(|other| with(puts, IMAGE, other).is_some());
    let (entry, alignment, headers) = (OPTIONAL + 16, OPTIONAL + 32, OPTIONAL + 60);
    for (puts, told) in [
        (&[][..], [true; 4]),
        // All is mapped as one; the headers are run.
        (&[(alignment, 0x1000)], [true; 4]),
        (&[(alignment, 0xfff)], [false; 4]),
        (&[(entry, 0)], [true; 4]),
        (&[(entry, 1)], [false; 4]),
        (&[(entry, 0xfff)], [false; 4]),
        (&[(entry, 0x1fff), (headers, 0x2000)], [false; 4]),
        (&[(entry, 0x2000), (headers, 0x2000)], [true; 4]),
    ] {
        assert_eq!(are_told(puts), told, "{puts:?}");
    }
}

#[test]
fn sections_reach_as_far_as_sectors_do() {
    // The first section, which is run, is mapped from the start of a sector on, and to the end of one.
    let first = SECOND - 40;
    let told = |start: u32, len: u32| {
        let puts = [(first + 16, len), (first + 20, start)];
        [Image { time: 9, ..IMAGE }, Image { exports_time: 9, ..IMAGE }]
            .map(|other| with(&puts, IMAGE, other).is_some())
    };
    assert_eq!(told(0x400, 0x200), [true, true]);
    assert_eq!(told(0x401, 0x1ff), [true, true]);
    // The header of the file is at 0x84, and the headers end before 0x200.
    assert_eq!(told(0x200, 8), [true, true]);
    assert_eq!(told(0x1ff, 0x201), [false, false]);
    // One that ends in the sector before the directories, and in theirs.
    let before = |len: u32| {
        let puts = [(first + 16, len), (SECOND + 20, 0x610), (SECOND + 12, 0x2010), (SECOND + 16, 0x27f0)];
        with(&puts, IMAGE, Image { guid: &[7; 16], ..IMAGE }).is_some()
    };
    assert!(before(0x200) && !before(0x201));
}

#[test]
fn a_guid_is_where_the_directory_says_and_the_only_one() {
    let told = |puts: &[(usize, u32)]| with(puts, IMAGE, Image { guid: &[7; 16], ..IMAGE }) == named(&["pe-identity"]);
    let (address, offset, directory) = (0x628 + 20, 0x628 + 24, OPTIONAL + 112 + 6 * 8 + 4);
    assert!(told(&[]));
    assert!(!told(&[(address, 0x2051)]) && !told(&[(address, 0x1050)]) && !told(&[(offset, 0x651)]));
    // The section ends before the record does, which has 30 bytes.
    assert!(told(&[(SECOND + 16, 0x28 + 0x28 + 30)]) && !told(&[(SECOND + 16, 0x28 + 0x28 + 29)]));
    // Another entry, of the kind of a record, or of none.
    let second = |kind| {
        let puts = [(directory, 56), (address, 0x2090), (offset, 0x690), (0x644 + 12, kind)];
        let [left, right] = [[1; 16], [2; 16]].map(|guid| {
            let mut bytes = image(Image { has_checksum: false, guid: &guid, path: "a", ..IMAGE });
            let record = bytes[0x650..0x650 + 26].to_vec();
            bytes[0x644..0x690].fill(0);
            bytes[0x690..0x690 + 26].copy_from_slice(&record);
            for (at, value) in puts {
                bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
            }
            bytes
        });
        find(&left, &right).1
    };
    assert_eq!((second(3), second(2)), (named(&["pe-identity"]), None));
}

#[test]
fn a_record_ends_with_its_path() {
    // Of GNU's linker, the path is empty; the zero behind it is part of the record.
    let needs =
        |len| with(&[(0x628 + 16, len)], Image { path: "", ..IMAGE }, Image { path: "", guid: &[7; 16], ..IMAGE });
    assert_eq!((needs(25), needs(24), needs(26)), (named(&["pe-identity"]), None, None));
}

#[test]
fn exports_are_what_they_say() {
    let told = |puts: &[(usize, u32)]| with(puts, IMAGE, Image { exports_time: 9, ..IMAGE }).is_some();
    assert!(told(&[]));
    // Characteristics; the name, which is nowhere, is empty, or has more than text in it.
    assert!(!told(&[(0x600, 1)]));
    assert!(!told(&[(0x60c, 0)]) && !told(&[(0x60c, 0x47ef)]) && !told(&[(EXPORTS_NAME as usize, 0x0161_6161)]));
    // Tables of functions, of names and of their numbers are there, for reading.
    for (at, width, counted) in [(28, 4, 20), (32, 4, 24), (36, 2, 24)] {
        let all = |count: u32, at: usize, address| {
            let mut puts = vec![(0x600 + counted, count), (0x61c, 0x3000), (0x620, 0x3000), (0x624, 0x3000)];
            puts.push((0x600 + at, address));
            told(&puts)
        };
        let last = 0x2000 + 0x2800 - width;
        assert!(all(1, at, last) && !all(2, at, last) && !all(1, at, 0x1000) && !all(1, at, 0), "{at}");
    }
}
