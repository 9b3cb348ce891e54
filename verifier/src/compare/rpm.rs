// SPDX-License-Identifier: Apache-2.0
//! RPM packages, version 3 and 4 of the format: the lead, the signature's header, the header, and the payload, which is a
//! compressed cpio archive (Linux Standard Base, "Package File Format").

use std::io;

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
        let mut values: Vec<(u64, u32)> = index.chunks_exact(16).filter_map(|entry| value_at(entry, size)).collect();
        values.sort_unstable();
        values.dedup_by_key(|(offset, _)| *offset);
        let ends = values.iter().skip(1).map(|(offset, _)| *offset).chain([size]);
        if values.first().is_none_or(|(offset, _)| *offset > 0) {
            let first = values.first().map_or(size, |(offset, _)| *offset);
            self.add(&format!("{name}, unnamed"), first, Data::File);
        }
        for ((offset, tag), end) in values.iter().zip(ends) {
            // In a signature the numbers of tags are others.
            let data_is = match tag {
                1006 if name == "header" => Data::Field(Group::Times),
                1007 if name == "header" => Data::Field(Group::Origin),
                _ => Data::File,
            };
            self.add(&format!("{name}, {}", tag_name(*tag)), end - offset, data_is);
        }
        Ok(Ok(()))
    }
}

/// Where the value of an entry of the index begins, which is within `size`, and its tag.
fn value_at(entry: &[u8], size: u64) -> Option<(u64, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(entry.get(at..at + 4)?.try_into().ok()?));
    let offset = u64::from(number(8)?);
    (offset < size).then_some((offset, number(0)?))
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

    fn header(tags: &[(u32, &[u8])]) -> Vec<u8> {
        let (mut index, mut store) = (Vec::new(), Vec::new());
        for (tag, value) in tags {
            let entry = [*tag, 4, u32::try_from(store.len()).unwrap(), 1];
            index.extend(entry.map(u32::to_be_bytes).concat());
            store.extend_from_slice(value);
        }
        let sizes = [tags.len(), store.len()].map(|len| u32::try_from(len).unwrap().to_be_bytes()).concat();
        [b"\x8e\xad\xe8\x01\0\0\0\0".to_vec(), sizes, index, store].concat()
    }

    fn rpm(time: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut bytes = [super::MAGIC, &[3; 92]].concat();
        bytes.extend(header(&[(1000, b"sig")]));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(header(&[(1000, b"hello\0"), (1006, time), (1007, b"host\0")]));
        bytes.extend(gzip(payload, 0, 6));
        bytes
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
