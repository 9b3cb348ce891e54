// SPDX-License-Identifier: Apache-2.0
//! The header of a gzip file (RFC 1952, section 2.3.1).

use super::field::{Field, Group};
use super::number;

/// The longest header that is read, in bytes.
pub(super) const MAX_HEADER: u64 = 128 << 10;

/// All that a header says, which together is its bytes, and how many it has; `None` where it makes no sense.
pub(super) fn header(first: &[u8]) -> Option<(Vec<Field>, u64)> {
    const TEXT_AND_CHECKSUM: u8 = 0b11;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    let (fixed, mut rest) = first.split_first_chunk::<10>()?;
    let [_, _, method, flags, t0, t1, t2, t3, extra_flags, system] = *fixed;
    if method != 8 || flags >= 1 << 5 {
        return None;
    }
    let time = u32::from_le_bytes([t0, t1, t2, t3]);
    let shown = if time == 0 { "not set".to_owned() } else { number::time(time.into()) };
    let mut fields = vec![
        Field::text(Group::Times, "modified", shown),
        Field::text(Group::Compression, "extra flags", extra_flags_name(extra_flags)),
        Field::text(Group::Origin, "operating system", system_name(system)),
        Field::text(Group::Structure, "flags", format!("{:#04x}", flags & TEXT_AND_CHECKSUM)),
    ];
    if flags & EXTRA != 0 {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let (extra, after) = after.split_at_checked(u16::from_le_bytes(*len).into())?;
        fields.push(Field::bytes(Group::Structure, "extra field", extra));
        rest = after;
    }
    for (flag, group, label) in [(NAME, Group::Origin, "file name"), (COMMENT, Group::Structure, "comment")] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let (text, after) = rest.split_at(end);
            fields.push(Field::bytes(group, label, text));
            rest = after.get(1..)?;
        }
    }
    if flags & 0b10 != 0 {
        // It follows from the rest of the header, where it is right; who wrote a wrong one wrote another header.
        let (checksum, after) = rest.split_first_chunk::<2>()?;
        let header = first.get(..first.len() - rest.len())?;
        let mut crc = flate2::Crc::new();
        crc.update(header);
        let [c0, c1, _, _] = crc.sum().to_le_bytes();
        let is_right = *checksum == [c0, c1];
        let shown = if is_right { "right".to_owned() } else { format!("{checksum:02x?}") };
        fields.push(Field::text(Group::Structure, "header checksum", shown));
        rest = after;
    }
    Some((fields, (first.len() - rest.len()) as u64))
}

fn extra_flags_name(flags: u8) -> String {
    match flags {
        0 => "none".to_owned(),
        2 => "slowest algorithm".to_owned(),
        4 => "fastest algorithm".to_owned(),
        other => other.to_string(),
    }
}

fn system_name(system: u8) -> String {
    match system {
        0 => "FAT".to_owned(),
        3 => "Unix".to_owned(),
        11 => "NTFS".to_owned(),
        255 => "unknown".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_told() {
        let bytes = b"\x1f\x8b\x08\x1c\x01\0\0\0\x02\x03\x03\0abcname\0why\0rest";
        let (fields, len) = header(bytes).unwrap();
        assert_eq!(len, bytes.len() as u64 - 4);
        let labels: Vec<_> = fields.iter().map(|field| field.label.as_str()).collect();
        let expected = ["modified", "extra flags", "operating system", "flags", "extra field", "file name", "comment"];
        assert_eq!(labels, expected);
        assert_eq!(fields[0], Field::text(Group::Times, "modified", "1970-01-01T00:00:01Z"));
    }

    #[test]
    fn what_makes_no_sense_is_no_header() {
        for no in [
            &b"\x1f\x8b\x08"[..],
            b"\x1f\x8b\x07\0\0\0\0\0\0\0",
            b"\x1f\x8b\x08\x20\0\0\0\0\0\0",
            b"\x1f\x8b\x08\x08\0\0\0\0\0\0no end",
            b"\x1f\x8b\x08\x04\0\0\0\0\0\0\xff\xff",
        ] {
            assert!(header(no).is_none(), "{no:?}");
        }
    }
}
