// SPDX-License-Identifier: Apache-2.0
//! Numbers as archives write them. A field is told as its value and as the way it is written, which together are its bytes.

use super::field::{Field, Group};
use super::preview;

/// The number in `len` bytes from `at` on, up to 8 of them; the most significant first where it `is_big`.
pub(super) fn fixed(bytes: &[u8], at: usize, len: usize, is_big: bool) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(len)?).filter(|_| len <= 8)?;
    let add = |value, byte: &u8| value << 8 | u64::from(*byte);
    Some(if is_big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
}

/// What is from `at` on up to the next zero, but no more than the first `most` bytes: no more is looked at.
pub(super) fn text(bytes: &[u8], at: u64, most: usize) -> Option<&[u8]> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    rest.get(..most).unwrap_or(rest).split(|byte| *byte == 0).next()
}

/// The number that these decimal digits are, with spaces after them.
pub(super) fn decimal(field: &[u8]) -> Option<u64> {
    let digits = field.trim_ascii_end();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

/// The number that these digits of base 8 or 16 are.
pub(super) fn digits(field: &[u8], radix: u32) -> Option<u64> {
    let is_number = !field.is_empty() && field.iter().all(u8::is_ascii_hexdigit);
    u64::from_str_radix(str::from_utf8(field).ok().filter(|_| is_number)?, radix).ok()
}

/// Seconds since 1970, as people read them.
pub(super) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{seconds} s"), |time| time.to_string())
}

/// A decimal field with spaces up to its end.
pub(super) fn padded(fields: &mut Vec<Field>, group: Group, label: &str, field: &[u8], show: impl Fn(u64) -> String) {
    match decimal(field) {
        Some(value) if format!("{value:<width$}", width = field.len()).as_bytes() == field => {
            fields.push(Field::text(group, label, show(value)));
        }
        _ => unread(fields, group, label, field),
    }
}

/// A field that is not written as numbers are. Where one side's is, the label tells them apart.
pub(super) fn unread(fields: &mut Vec<Field>, group: Group, label: &str, field: &[u8]) {
    let group = if group == Group::Modes { group } else { Group::Structure };
    fields.push(Field::bytes(group, format!("{label}, as written"), field));
}

/// The mode of an ar header: octal digits with spaces up to its end.
pub(super) fn mode(fields: &mut Vec<Field>, field: &[u8]) {
    let text = field.trim_ascii_end();
    match digits(text, 8) {
        Some(mode) if format!("{mode:<width$o}", width = field.len()).as_bytes() == field => {
            permissions(fields, mode);
        }
        _ => unread(fields, Group::Modes, "mode", field),
    }
}

/// What a umask decides, and the other bits.
pub(super) fn permissions(fields: &mut Vec<Field>, mode: u64) {
    const WRITE: u64 = 0o022;
    fields.push(Field::text(Group::Umask, "may be written by", writers(mode & WRITE)));
    fields.push(Field::text(Group::Modes, "mode but for that", format!("{:04o}", mode & !WRITE)));
}

pub(super) fn writers(bits: u64) -> &'static str {
    match bits {
        0 => "neither group nor others",
        0o020 => "the group",
        0o002 => "others",
        _ => "group and others",
    }
}

/// A tar header's number: the value under `label`, and how it is written.
pub(super) fn octal(fields: &mut Vec<Field>, label: &str, field: &[u8], add: impl Fn(&mut Vec<Field>, u64)) {
    match tar(field) {
        Some((value, form)) => {
            add(fields, value);
            fields.push(Field::text(Group::Form, format!("{label}, how it is written"), form));
        }
        None => fields.push(Field::bytes(Group::Structure, format!("{label}, as written"), field)),
    }
}

/// The number in a field of a tar header, and what besides it makes up the field's bytes; `None` where that is no number.
pub(super) fn tar(field: &[u8]) -> Option<(u64, String)> {
    if let Some((0x80, rest)) = field.split_first() {
        let (high, low) = rest.split_at(rest.len().checked_sub(8)?);
        let value = u64::from_be_bytes(low.try_into().ok()?);
        return high.iter().all(|byte| *byte == 0).then(|| (value, "in binary".to_owned()));
    }
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'7');
    let spaces = field.iter().take_while(|byte| **byte == b' ').count();
    let rest = field.get(spaces..)?;
    let len = rest.iter().take_while(|byte| is_digit(byte)).count();
    let (digits_of, end) = rest.split_at(len);
    if !end.iter().all(|byte| matches!(byte, 0 | b' ')) || (len == 0 && spaces > 0) {
        return None;
    }
    let value = if len == 0 { 0 } else { digits(digits_of, 8)? };
    Some((value, format!("{spaces} spaces, {len} digits, then \"{}\"", preview::name(end))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_how_they_are_written() {
        let form = tar;
        assert_eq!(form(b"0000644\0").unwrap(), (0o644, "0 spaces, 7 digits, then \"\\x00\"".to_owned()));
        assert_eq!(form(b"   644 \0").unwrap().0, 0o644);
        assert_ne!(form(b"000644 \0").unwrap().1, form(b"0000644\0").unwrap().1);
        assert_eq!(form(b"\x80\0\0\0\0\0\0\0\0\0\x01\0").unwrap(), (256, "in binary".to_owned()));
        assert_eq!(form(b"\0\0\0\0\0\0\0\0").unwrap().0, 0);
        for no in [&b"12x"[..], b"8", b"1 2", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"   ", b"\x80"] {
            assert_eq!(form(no), None, "{no:?}");
        }
        assert_eq!((decimal(b"123   "), decimal(b""), decimal(b"1 2"), decimal(b"+1")), (Some(123), None, None, None));
        assert_eq!((digits(b"1f", 16), digits(b"+1", 16), digits(b"9", 8)), (Some(31), None, None));
    }

    #[test]
    fn numbers_of_fixed_length_are_read_in_either_order() {
        assert_eq!((fixed(b"\0\x01\x02", 1, 2, true), fixed(b"\0\x01\x02", 1, 2, false)), (Some(0x102), Some(0x201)));
        assert_eq!((fixed(&[0xff; 9], 1, 8, false), fixed(&[0xff; 9], 0, 9, false)), (Some(u64::MAX), None));
        assert_eq!((fixed(b"abc", 2, 2, true), fixed(b"abc", usize::MAX, 2, true)), (None, None));
    }

    #[test]
    fn texts_end_at_a_zero_or_at_the_bound() {
        let of = |at, most| text(b"ab\0cde", at, most);
        assert_eq!((of(0, 3), of(0, 2), of(0, 1)), (Some(&b"ab"[..]), Some(&b"ab"[..]), Some(&b"a"[..])));
        assert_eq!((of(3, 9), of(2, 9), of(6, 9)), (Some(&b"cde"[..]), Some(&b""[..]), Some(&b""[..])));
        assert_eq!((of(7, 9), of(u64::MAX, 9)), (None, None));
    }

    #[test]
    fn only_what_a_umask_decides_is_apart_from_the_mode() {
        let of = |mode| {
            let mut fields = Vec::new();
            permissions(&mut fields, mode);
            fields
        };
        let differing = |a, b| {
            let differ = of(a).into_iter().zip(of(b)).filter(|(a, b)| a != b);
            differ.map(|(field, _)| field.group).collect::<Vec<_>>()
        };
        assert_eq!(differing(0o644, 0o664), [Group::Umask]);
        assert_eq!(differing(0o755, 0o644), [Group::Modes]);
        assert_eq!(differing(0o644, 0o600), [Group::Modes]);
        assert_eq!(differing(0o4755, 0o775), [Group::Umask, Group::Modes]);
    }
}
