// SPDX-License-Identifier: Apache-2.0
//! RPM packages, version 3 and 4 of the format: the lead, the signature's header, the header, and the payload, which is a
//! compressed cpio archive (Linux Standard Base, "Package File Format").

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use super::archive::{Archive, Data, Keys, Member};
use super::field::Group;
use super::format::Format;
use super::source::{Source, Span};

pub(super) const MAGIC: &[u8] = b"\xed\xab\xee\xdb";

const LEAD: u64 = 96;
const HEADER_MAGIC: &[u8] = b"\x8e\xad\xe8\x01";
/// The most entries of one header, and the most bytes that it has; those of RPM itself.
const MAX_ENTRIES: u64 = 65_535;
const MAX_HEADER: u64 = 256 << 20;

/// Finds the parts.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no package, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>) -> io::Result<Result<Archive, String>> {
    let mut parts = Parts { members: Vec::new(), keys: Keys::default(), at: 0 };
    if source.len() < LEAD {
        return Ok(Err("it is cut".to_owned()));
    }
    parts.add("lead", LEAD, Data::File);
    for (name, alignment) in [("signature", 8), ("header", 1)] {
        if let Err(why) = parts.header(source, name)? {
            return Ok(Err(why));
        }
        let padding = (parts.at.next_multiple_of(alignment) - parts.at).min(source.len() - parts.at);
        if padding > 0 {
            parts.add("padding", padding, Data::Field(Group::Structure));
        }
    }
    parts.add("payload", source.len() - parts.at, Data::File);
    let rest = Span { start: source.len(), len: 0 };
    Ok(Ok(Archive { format: Format::Rpm, members: parts.members, rest }))
}

/// The parts so far, one after the other.
struct Parts {
    members: Vec<Member>,
    keys: Keys,
    at: u64,
}

impl Parts {
    fn add(&mut self, name: &str, len: u64, data_is: Data) {
        let data = Span { start: self.at, len };
        let (head, tail) = (Span { len: 0, ..data }, Span { start: self.at + len, len: 0 });
        self.members.push(Member { key: self.keys.of(name.as_bytes()), head, data, tail, data_is });
        self.at += len;
    }

    /// A header: its index, then the values, each up to where the next one begins.
    fn header(&mut self, source: &Source<'_>, name: &str) -> io::Result<Result<(), String>> {
        let cut = || Ok(Err(format!("its {name} is cut, or none")));
        let start = source.read(Span { start: self.at, len: 16.min(source.len() - self.at) })?;
        let number = |at: usize| Some(u64::from(u32::from_be_bytes(start.get(at..at + 4)?.try_into().ok()?)));
        let (Some(entries), Some(size), true) = (number(8), number(12), start.starts_with(HEADER_MAGIC)) else {
            return cut();
        };
        let whole = 16 + entries * 16 + size;
        if entries > MAX_ENTRIES || size > MAX_HEADER || whole > source.len() - self.at {
            return cut();
        }
        let index = source.read(Span { start: self.at + 16, len: entries * 16 })?;
        self.add(&format!("{name} index"), 16 + entries * 16, Data::File);
        let entries = index.chunks_exact(16).filter_map(|entry| Entry::read(entry, size));
        let mut values: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
        entries.for_each(|entry| values.entry(entry.offset).or_default().push(entry));
        let first = values.keys().next().copied().unwrap_or(size);
        if first > 0 || values.is_empty() {
            self.add(&format!("{name}, unnamed"), first, Data::File);
        }
        let store = self.at - first;
        let ends: Vec<u64> = values.keys().skip(1).copied().chain([size]).collect();
        let mut before = Before::default();
        for ((offset, entries), end) in values.into_iter().zip(ends) {
            let is_apart = entries.len() == 1 && !before.reaches(offset);
            entries.iter().for_each(|entry| before.add(entry));
            let span = Span { start: store + offset, len: end - offset };
            before.pass(source, span)?;
            let Some(entry) = entries.iter().min_by_key(|entry| entry.tag) else { continue };
            let label = format!("{name}, {}", tag_name(entry.tag));
            // In a signature the numbers of tags are others.
            match entry.left_out(source, span)?.filter(|_| is_apart && name == "header") {
                None => self.add(&label, span.len, Data::File),
                Some((group, len)) => {
                    self.add(&label, len, Data::Field(group));
                    if len < span.len {
                        self.add(&format!("{label}, what follows"), span.len - len, Data::Field(Group::Structure));
                    }
                }
            }
        }
        Ok(Ok(()))
    }
}

/// An entry of an index: where its value begins, which is within the header, and what it says of it.
struct Entry {
    offset: u64,
    tag: u32,
    kind: u32,
    count: u64,
}

impl Entry {
    const STRING: u32 = 6;
    const INT32: u32 = 4;
    /// The longest build host, in bytes.
    const MAX_STRING: u64 = 4096;

    /// `None` where its value is not within `size`.
    fn read(entry: &[u8], size: u64) -> Option<Self> {
        let number = |at: usize| Some(u32::from_be_bytes(entry.get(at..at + 4)?.try_into().ok()?));
        let offset = u64::from(number(8)?);
        let entry = Self { offset, tag: number(0)?, kind: number(4)?, count: number(12)?.into() };
        (offset < size).then_some(entry)
    }

    /// What of the bytes of `span`, in which the value begins, may be left out: as what, and how many.
    fn left_out(&self, source: &Source<'_>, span: Span) -> io::Result<Option<(Group, u64)>> {
        Ok(match (self.tag, self.kind, self.count) {
            (1006, Self::INT32, 1) if span.len >= 4 => Some((Group::Times, 4)),
            (1007, Self::STRING, 1) => {
                let start = source.read(Span { len: span.len.min(Self::MAX_STRING), ..span })?;
                let end = start.iter().position(|byte| *byte == 0);
                end.map(|end| (Group::Origin, end as u64 + 1))
            }
            _ => None,
        })
    }

    /// How many bytes the value has, where that follows from its type.
    fn len(&self) -> Option<u64> {
        let one = match self.kind {
            1 | 2 | 7 => 1,
            3 => 2,
            Self::INT32 => 4,
            5 => 8,
            Self::STRING | 8 | 9 => return None,
            _ => 0,
        };
        Some(self.count * one)
    }
}

/// How far values reach that begin before some place.
#[derive(Default)]
struct Before {
    end: u64,
    /// How many zeros are still to come that end strings.
    strings: u64,
}

impl Before {
    fn reaches(&self, offset: u64) -> bool {
        self.end > offset || self.strings > 0
    }

    fn add(&mut self, entry: &Entry) {
        match entry.len() {
            Some(len) => self.end = self.end.max(entry.offset.saturating_add(len)),
            None => self.strings = self.strings.max(if entry.kind == Entry::STRING { 1 } else { entry.count }),
        }
    }

    /// Passes over the bytes up to the next value.
    fn pass(&mut self, source: &Source<'_>, span: Span) -> io::Result<()> {
        let mut reader = source.reader(span);
        let mut buffer = vec![0; usize::try_from(span.len.min(64 << 10)).unwrap_or_default()];
        while self.strings > 0 {
            let read = reader.read(&mut buffer)?;
            let zeros = buffer.get(..read).unwrap_or_default().iter().filter(|byte| **byte == 0).count();
            self.strings = self.strings.saturating_sub(zeros as u64);
            if read == 0 {
                break;
            }
        }
        Ok(())
    }
}

fn tag_name(tag: u32) -> String {
    let name = match tag {
        1000 => "name",
        1001 => "version",
        1002 => "release",
        1006 => "build time",
        1007 => "build host",
        1009 => "size",
        1034 => "times of files",
        1035 => "digests of files",
        1039 => "owners of files",
        1096 => "inodes of files",
        _ => return format!("tag {tag}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use reprove_model::FindingKind;

    use super::super::Bounds;
    use super::super::archive::tests::{FILE, cpio_of, find_within, gzip};

    /// An entry: its tag, type, offset and count.
    type Entry = [u32; 4];

    fn header(entries: &[Entry], store: &[u8]) -> Vec<u8> {
        let index: Vec<u8> = entries.iter().flat_map(|entry| entry.map(u32::to_be_bytes).concat()).collect();
        let sizes = [entries.len(), store.len()].map(|len| u32::try_from(len).unwrap().to_be_bytes()).concat();
        [b"\x8e\xad\xe8\x01\0\0\0\0".to_vec(), sizes, index, store.to_vec()].concat()
    }

    fn package(entries: &[Entry], store: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut bytes = [super::MAGIC, &[3; 92]].concat();
        bytes.extend(header(&[[1000, 6, 0, 1]], b"sig\0"));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(header(entries, store));
        bytes.extend(gzip(payload, 0, 6));
        bytes
    }

    const ENTRIES: [Entry; 3] = [[1000, 6, 0, 1], [1006, 4, 8, 1], [1007, 6, 12, 1]];

    fn rpm(time: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        package(&ENTRIES, &[b"hello\0\0\0", &time[..], b"host\0"].concat(), payload)
    }

    #[test]
    fn only_a_time_and_a_host_are_left_out() {
        let needs = |entries: &[Entry], left: &[u8], right: &[u8]| {
            let of = |store| package(entries, store, b"");
            find_within(&of(left), &of(right), &Bounds::default()).1
        };
        let named = |name: &str| Some(vec![name.to_owned()]);
        let store = b"hello\0\0\0\0\0\0\x01host\0";
        let (later, elsewhere) = (b"hello\0\0\0\0\0\0\x02host\0", b"hello\0\0\0\0\0\0\x01away\0");
        assert_eq!(needs(&ENTRIES, store, later), named("rpm-times"));
        assert_eq!(needs(&ENTRIES, store, elsewhere), named("rpm-origin"));
        // What follows them.
        assert_eq!(needs(&ENTRIES, &[&store[..], b"1"].concat(), &[&store[..], b"2"].concat()), None);
        assert_eq!(needs(&ENTRIES[..2], store, elsewhere), None);
        // Of another type or count, without an end, shared with another, within another.
        for time in [[1006, 7, 8, 4], [1006, 4, 8, 2], [1006, 4, 8, 0]] {
            assert_eq!(needs(&[ENTRIES[0], time, ENTRIES[2]], store, later), None, "{time:?}");
        }
        assert_eq!(needs(&ENTRIES, &store[..16], &elsewhere[..16]), None);
        for other in [[1001, 4, 8, 1], [1001, 7, 0, 9], [1001, 8, 0, 4], [1001, 5, 1, 1], [1007, 4, 6, 1]] {
            assert_eq!(needs(&[&ENTRIES[..], &[other]].concat(), store, later), None, "{other:?}");
        }
        // One that ends where the time begins.
        for other in [[1001, 7, 0, 8], [1001, 8, 0, 3], [1001, 5, 0, 1], [1001, 6, 7, 1]] {
            let expected = named("rpm-times");
            assert_eq!(needs(&[&ENTRIES[..], &[other]].concat(), store, later), expected, "{other:?}");
        }
    }

    #[test]
    fn headers_are_told_by_their_tags_and_payloads_are_archives() {
        let payload = cpio_of(&[FILE]);
        let left = rpm(b"\0\0\0\x01", &payload);
        let (findings, needs) = find_within(&left, &rpm(b"\0\0\0\x02", &payload), &Bounds::default());
        assert_eq!((findings[0].place.as_str(), findings[0].kind), ("a", FindingKind::ArchiveTimes));
        assert_eq!(findings[0].details[0].at, "header, build time");
        assert_eq!(needs, Some(vec!["rpm-times".to_owned()]));
        let changed = super::super::archive::tests::File { data: b"hallo\n", ..FILE };
        let (findings, _) = find_within(&left, &rpm(b"\0\0\0\x01", &cpio_of(&[changed])), &Bounds::default());
        assert_eq!((findings.len(), findings[0].place.as_str()), (1, "a!payload!content!p/x"));
    }

    #[test]
    fn what_is_cut_is_bytes() {
        let left = rpm(b"\0\0\0\x01", b"");
        for len in [50, 100, 140, 190] {
            let (findings, _) = find_within(&left, &left[..len], &Bounds::default());
            assert!(findings[0].summary.contains("the right one is not an RPM package"), "{}", findings[0].summary);
        }
    }
}
