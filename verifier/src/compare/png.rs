// SPDX-License-Identifier: Apache-2.0
//! PNG images (ISO/IEC 15948), chunk by chunk.

use std::io::{self, Read as _};

use super::Bounds;
use super::archive::{Archive, Data, Keys, Member};
use super::field::{Field, Group};
use super::format::Format;
use super::roles::dates;
use super::source::{Source, Span};

/// The longest text that may be a time, in bytes.
const MAX_TEXT: u64 = 64;

pub(super) const MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Finds the chunks. A chunk's head is its length and type, its tail the checksum.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no image, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Archive, String>> {
    let (mut members, mut keys) = (Vec::new(), Keys::default());
    let mut at = MAGIC.len() as u64;
    let mut is_last = false;
    while !is_last {
        if members.len() >= bounds.members {
            return Ok(Err(format!("it has more than {} chunks", bounds.members)));
        }
        if at + 12 > source.len() {
            return Ok(Err(format!("there is no chunk at {at:#x}")));
        }
        let head = source.read(Span { start: at, len: 8 })?;
        let Some((len, kind)) = head.split_first_chunk::<4>() else { return Ok(Err("it is cut".to_owned())) };
        let len = u64::from(u32::from_be_bytes(*len));
        let data = Span { start: at + 8, len };
        let end = data.start + len;
        if end + 4 > source.len() {
            return Ok(Err(format!("the chunk at {at:#x} is longer than the file")));
        }
        let data_is = match kind {
            b"tIME" if len == 7 && is_time(&source.read(data)?) => Data::Field(Group::Times),
            b"tEXt" if len <= MAX_TEXT && is_dated(&source.read(data)?) => Data::Field(Group::Times),
            _ => Data::File,
        };
        is_last = kind == b"IEND";
        let (head, tail) = (Span { start: at, len: 8 }, Span { start: end, len: 4 });
        members.push(Member { key: keys.of(kind), head, data, tail, data_is });
        at = end + 4;
    }
    let rest = Span { start: at, len: source.len() - at };
    Ok(Ok(Archive { format: Format::Png, members, rest }))
}

/// Whether these bytes are a time: the year in two of them, month, day, hour, minute, second.
fn is_time(data: &[u8]) -> bool {
    let fields = data.get(2..).unwrap_or_default().iter().zip([1..=12, 1..=31, 0..=23, 0..=59, 0..=60_u8]);
    data.len() == 7 && fields.into_iter().all(|(value, valid)| valid.contains(value))
}

/// Whether a text of this keyword is a time, and written as one.
fn is_dated(data: &[u8]) -> bool {
    const KEYS: [&[u8]; 4] = [b"Creation Time", b"date:create", b"date:modify", b"date:timestamp"];
    const FORMS: [&[u8]; 4] =
        [b"0000-00-00T00:00:00Z", b"0000-00-00T00:00:00+00:00", b"0000-00-00T00:00:00-00:00", b"0000:00:00 00:00:00"];
    let Some(end) = data.iter().position(|byte| *byte == 0) else { return false };
    let (key, value) = (data.get(..end).unwrap_or_default(), data.get(end + 1..).unwrap_or_default());
    KEYS.contains(&key) && FORMS.iter().any(|form| dates::is_like(value, form))
}

/// What a chunk says beside its data: its type; the checksum, where it is not right. The length is that of the data.
pub(super) fn fields(source: &Source<'_>, member: &Member, head: &[u8], checksum: Vec<u8>) -> io::Result<Vec<Field>> {
    let kind = head.get(4..).unwrap_or_default();
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    let mut data = source.reader(member.data);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match data.read(&mut buffer)? {
            0 => break,
            read => crc.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    let is_right = checksum == crc.sum().to_be_bytes();
    Ok(vec![
        Field::bytes(Group::Structure, "type", kind),
        if is_right {
            Field::text(Group::Structure, "checksum", "right")
        } else {
            Field::bytes(Group::Structure, "checksum", checksum)
        },
    ])
}

#[cfg(test)]
mod tests {
    use reprove_model::FindingKind;

    use super::super::Bounds;
    use super::super::archive::tests::find_within;
    use super::MAGIC;

    const TIME: &[u8] = &[7, 231, 1, 2, 3, 4, 5];
    const LATER: &[u8] = &[7, 232, 12, 31, 23, 59, 60];

    fn png(time: &[u8], text: &[u8]) -> Vec<u8> {
        let chunk = |kind: &[u8], data: &[u8]| {
            let mut crc = flate2::Crc::new();
            crc.update(&[kind, data].concat());
            let len = u32::try_from(data.len()).unwrap();
            [&len.to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
        };
        [MAGIC.to_vec(), chunk(b"IHDR", &[0; 13]), chunk(b"tIME", time), chunk(b"tEXt", text), chunk(b"IEND", b"")]
            .concat()
    }

    #[test]
    fn texts_that_are_times_are_told_by_their_keywords() {
        let needs = |left: &str, right: &str| {
            let of = |text: &str| png(TIME, text.as_bytes());
            find_within(&of(left), &of(right), &Bounds::default()).1
        };
        let times = Some(vec!["png-times".to_owned()]);
        let iso = "2023-11-14T22:13:20+00:00";
        for key in ["date:create", "date:modify", "date:timestamp", "Creation Time"] {
            for other in ["2024-11-14T22:13:20+00:00", "2024-11-14T22:13:20-01:30", "2024-11-14T22:13:20Z"] {
                assert_eq!(needs(&format!("{key}\0{iso}"), &format!("{key}\0{other}")), times, "{key} {other}");
            }
            for no in ["2024-11-14T22:13:20+00:00 by me", "2024", ""] {
                assert_eq!(needs(&format!("{key}\0{iso}"), &format!("{key}\0{no}")), None, "{key} {no}");
            }
        }
        let other = "2024-11-14T22:13:20+00:00";
        for no in ["date:", "Date:create", "Software"] {
            assert_eq!(needs(&format!("{no}\0{iso}"), &format!("{no}\0{other}")), None, "{no}");
        }
        assert_eq!(needs(iso, other), None);
    }

    #[test]
    fn what_is_no_time_is_never_left_out() {
        for no in [&b"1234567"[..], &[7, 231, 0, 2, 3, 4, 5], &[7, 231, 1, 2, 3, 4], &[7, 231, 1, 2, 3, 4, 5, 6]] {
            let needs = |left, right| find_within(&png(left, b"a"), &png(right, b"a"), &Bounds::default()).1;
            assert_eq!(needs(TIME, no), None, "{no:?}");
            assert_eq!(needs(no, &[&[8], &no[1..]].concat()), None, "{no:?}");
        }
    }

    #[test]
    fn the_order_of_chunks_is_never_left_out() {
        let left = png(TIME, b"a");
        let time = [&left[8 + 25..8 + 25 + 19], &left[8 + 25 + 19..8 + 25 + 19 + 13]];
        let right = [&left[..8 + 25], time[1], time[0], &left[8 + 25 + 19 + 13..]].concat();
        let (findings, needs) = find_within(&left, &right, &Bounds::default());
        assert_eq!((findings[0].kind, needs), (FindingKind::ArchiveOrder, None));
    }

    #[test]
    fn chunks_are_told_apart() {
        let left = png(TIME, b"Software\0a");
        let (findings, needs) = find_within(&left, &png(LATER, b"Software\0a"), &Bounds::default());
        assert_eq!((findings[0].place.as_str(), findings[0].kind), ("a", FindingKind::ArchiveTimes));
        assert_eq!(needs, Some(vec!["png-times".to_owned()]));
        let (findings, needs) = find_within(&left, &png(TIME, b"Software\0b"), &Bounds::default());
        assert!(findings.iter().any(|finding| finding.place == "a!tEXt"));
        assert_eq!(needs, None);
        let (findings, _) = find_within(&left, &left[..left.len() - 1], &Bounds::default());
        assert!(findings[0].summary.contains("the right one is not a PNG image"), "{}", findings[0].summary);
    }
}
