// SPDX-License-Identifier: Apache-2.0
//! Compiled Python files since Python 3.7 (PEP 552): 16 bytes, then the code.

use std::io;

use super::archive::{Archive, Data, Keys, Member};
use super::field::Group;
use super::format::Format;
use super::source::{Source, Span};

/// The magic numbers of Python 3.7 to 3.20, which are followed by a carriage return and a line feed.
const MAGIC: std::ops::RangeInclusive<u16> = 3390..=3999;

/// Whether a file that begins so says that it is one.
pub(super) fn is_header(first: &[u8]) -> bool {
    let Some([m0, m1, b'\r', b'\n', flags, 0, 0, 0, ..]) = first.first_chunk::<16>() else { return false };
    MAGIC.contains(&u16::from_le_bytes([*m0, *m1])) && *flags <= 3
}

/// The header's fields and the code. The inner error: there is no code.
pub(super) fn read(source: &Source<'_>) -> io::Result<Result<Archive, String>> {
    let mut flags = source.read(Span { start: 4, len: 1 })?;
    let is_hashed = flags.pop().is_some_and(|flags| flags & 1 == 1);
    let mut keys = Keys::default();
    let mut part = |name: &str, start, len, data_is| {
        let (head, tail) = (Span { start, len: 0 }, Span { start: start + len, len: 0 });
        Member { key: keys.of(name.as_bytes()), head, data: Span { start, len }, tail, data_is }
    };
    let mut members = vec![
        part("magic number", 0, 4, Data::Field(Group::Structure)),
        part("flags", 4, 4, Data::Field(Group::Structure)),
    ];
    if is_hashed {
        members.push(part("hash of the source", 8, 8, Data::Field(Group::Structure)));
    } else {
        members.push(part("time of the source", 8, 4, Data::Field(Group::Times)));
        members.push(part("size of the source", 12, 4, Data::Field(Group::Structure)));
    }
    members.push(part("code", 16, source.len() - 16, Data::File));
    let rest = Span { start: source.len(), len: 0 };
    Ok(Ok(Archive { format: Format::Pyc, members, rest }))
}

#[cfg(test)]
mod tests {
    use reprove_model::FindingKind;

    use super::super::Bounds;
    use super::super::archive::tests::find_within;
    use super::is_header;

    fn pyc(time: u32, code: &[u8]) -> Vec<u8> {
        [&3531_u16.to_le_bytes(), &b"\r\n\0\0\0\0"[..], &time.to_le_bytes(), &[9, 0, 0, 0], code].concat()
    }

    #[test]
    fn the_time_of_the_source_is_told_from_the_code() {
        let (findings, needs) = find_within(&pyc(1, b"code"), &pyc(2, b"code"), &Bounds::default());
        assert_eq!((findings[0].place.as_str(), findings[0].kind), ("a", FindingKind::ArchiveTimes));
        assert_eq!(needs, Some(vec!["pyc-times".to_owned()]));
        let (findings, needs) = find_within(&pyc(1, b"code"), &pyc(1, b"cede"), &Bounds::default());
        assert_eq!((findings[0].place.as_str(), needs), ("a!code", None));
    }

    #[test]
    fn headers_of_other_files_are_none() {
        assert!(is_header(&pyc(0, b"")));
        assert!(!is_header(&pyc(0, b"")[..15]));
        assert!(!is_header(b"\xcb\r\r\n\0\0\0\x01\0\0\0\0\0\0\0\0"));
        assert!(!is_header(b"\0\0\r\n\0\0\0\0\0\0\0\0\0\0\0\0"));
    }
}
