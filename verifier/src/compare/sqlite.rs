// SPDX-License-Identifier: Apache-2.0
//! SQLite databases ("Database File Format", sqlite.org): the fields of the header, and pages by their numbers. What is in a
//! page is compared as bytes; no engine is asked.

use std::io;

use super::Bounds;
use super::archive::{Archive, Data, Keys, Member};
use super::format::Format;
use super::number::fixed;
use super::source::{Source, Span};

pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

const HEADER_LEN: u64 = 100;

/// The header's fields, in their order, and how many bytes each has.
const HEADER: [(&str, usize); 23] = [
    ("magic number", 16),
    ("page size", 2),
    ("version for writing", 1),
    ("version for reading", 1),
    ("bytes left free in each page", 1),
    ("largest fraction of a payload", 1),
    ("smallest fraction of a payload", 1),
    ("fraction of a leaf's payload", 1),
    ("change counter", 4),
    ("number of pages", 4),
    ("first page of the list of free ones", 4),
    ("number of free pages", 4),
    ("schema cookie", 4),
    ("schema format", 4),
    ("default size of the cache", 4),
    ("largest root page", 4),
    ("text encoding", 4),
    ("user version", 4),
    ("incremental vacuum", 4),
    ("application ID", 4),
    ("reserved", 20),
    ("change counter that the version is valid for", 4),
    ("version of SQLite", 4),
];

/// Finds the header and the pages.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no database, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Archive, String>> {
    if source.len() < HEADER_LEN {
        return Ok(Err("its header is cut".to_owned()));
    }
    let size = match fixed(&source.read(Span { start: 16, len: 2 })?, 0, 2, true) {
        Some(1) => 65_536,
        Some(size) if size.is_power_of_two() && size >= 512 => size,
        _ => return Ok(Err("it has no page size".to_owned())),
    };
    let pages = source.len() / size;
    if pages == 0 {
        return Ok(Err("its first page is cut".to_owned()));
    }
    if pages > bounds.members as u64 {
        return Ok(Err(format!("it has more than {} pages", bounds.members)));
    }
    let mut keys = Keys::default();
    let mut part = |name: &str, start, len, data_is| {
        let (head, tail) = (Span { start, len: 0 }, Span { start: start + len, len: 0 });
        Member { key: keys.of(name.as_bytes()), head, data: Span { start, len }, tail, data_is }
    };
    let rows: Vec<_> = HEADER.iter().map(|(name, len)| ((*name).to_owned(), *len)).collect();
    let mut members = vec![part("header", 0, HEADER_LEN, Data::Table(rows.into()))];
    for page in 0..pages {
        let before = if page == 0 { HEADER_LEN } else { 0 };
        let name = format!("page {}", page + 1);
        members.push(part(&name, page * size + before, size - before, Data::Code([].into())));
    }
    let end = pages * size;
    let rest = Span { start: end, len: source.len() - end };
    Ok(Ok(Archive { format: Format::Sqlite, members, rest }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reprove_model::FindingKind;

    use super::super::archive::tests::find_within;
    use super::*;

    fn database(size: u16, pages: usize) -> Vec<u8> {
        let len = if size == 1 { 65_536 } else { usize::from(size) };
        let mut bytes = [MAGIC, &size.to_be_bytes(), b"\x01\x01"].concat();
        bytes.resize(len * pages, 0);
        bytes
    }

    #[test]
    fn the_header_is_told_by_its_fields_and_pages_by_their_numbers() {
        let mut at = 0;
        for (name, len) in HEADER.iter().skip(1) {
            at += if at == 0 { 16 } else { 0 };
            let left = database(512, 2);
            let mut right = left.clone();
            // The size of pages stays one.
            right[at + len - 1] ^= if *name == "page size" { 0 } else { 1 };
            right[at] ^= if *name == "page size" { 6 } else { 0 };
            let (findings, needs) = find_within(&left, &right, &Bounds::default());
            if *name == "page size" {
                assert!(findings.iter().any(|finding| finding.kind == FindingKind::OnlyLeft));
            } else {
                assert_eq!((findings.len(), findings[0].kind), (1, FindingKind::ArchiveStructure), "{name}");
                assert_eq!(findings[0].details[0].at, format!("header: {name}"));
            }
            assert_eq!(needs, None);
            at += len;
        }
        assert_eq!(at as u64, HEADER_LEN);
        for (at, place) in [(100, "a!page 1"), (511, "a!page 1"), (512, "a!page 2"), (1023, "a!page 2")] {
            let left = database(512, 2);
            let mut right = left.clone();
            right[at] = 7;
            let (findings, needs) = find_within(&left, &right, &Bounds::default());
            assert_eq!((findings.len(), findings[0].place.as_str(), needs), (1, place, None));
        }
    }

    #[test]
    fn what_is_cut_or_has_no_pages_is_bytes() {
        let left = database(512, 1);
        for (right, why) in [
            (left[..99].to_vec(), "its header is cut"),
            (left[..511].to_vec(), "its first page is cut"),
            (database(511, 2), "it has no page size"),
            (database(256, 2), "it has no page size"),
        ] {
            let (findings, needs) = find_within(&left, &right, &Bounds::default());
            assert!(
                findings[0].summary.ends_with(&format!("not an SQLite database: {why}")),
                "{}",
                findings[0].summary
            );
            assert_eq!(needs, None);
        }
        // What comes after the last whole page is told as that.
        for end in [b"x", b"\0"] {
            let (findings, needs) = find_within(&left, &[&left[..], end].concat(), &Bounds::default());
            assert!(findings[0].details[0].at.contains("after the last member"), "{:?}", findings[0].details);
            assert_eq!(needs, None);
        }
        let (findings, _) = find_within(&database(1, 1), &database(1, 2), &Bounds::default());
        assert_eq!(findings[0].place, "a!page 2");
    }

    #[test]
    fn pages_are_read_to_a_bound() {
        let (left, mut right) = (database(512, 3), database(512, 3));
        right[1030] = 1;
        let of = |members| find_within(&left, &right, &Bounds { members, ..Bounds::default() }).0[0].clone();
        assert_eq!(of(3).place, "a!page 3");
        assert!(of(2).summary.contains("it has more than 2 pages"), "{}", of(2).summary);
    }

    proptest! {
        /// [`find_within`] asserts it: whatever the bytes are, no finding if and only if they are equal.
        #[test]
        fn hostile_bytes(flips in proptest::collection::vec((0..1100_usize, any::<u8>()), 0..6), cut in 0..1100_usize) {
            let left = database(512, 2);
            let mut right = left.clone();
            for (at, byte) in flips {
                if let Some(place) = right.get_mut(at) {
                    *place = byte;
                }
            }
            find_within(&left, &right, &Bounds::default());
            let cut = &right[..cut.min(right.len())];
            find_within(&right, cut, &Bounds::default());
            find_within(cut, &[cut, &[0; 9]].concat(), &Bounds::default());
        }
    }
}
