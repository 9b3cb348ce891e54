// SPDX-License-Identifier: Apache-2.0
//! The records of extended headers: `LENGTH KEY=VALUE\n` (POSIX.1-2017, pax, "pax Extended Header").

use super::super::field::{Field, Group};
use super::super::number;
use super::super::preview;

/// A key and its value.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// The records that these bytes are; `None` where they are none, or not written as they are by everybody.
pub(super) fn records(mut bytes: &[u8]) -> Option<Vec<Record<'_>>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let digits = bytes.iter().position(|byte| *byte == b' ')?;
        let (number, _) = bytes.split_at(digits);
        let len = number::decimal(number)?;
        // A number with zeros before it would be told as another.
        if len.to_string().as_bytes() != number {
            return None;
        }
        let (record, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
        let record = record.get(digits + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = record.split_at(equals);
        records.push((key, value.get(1..)?));
        bytes = rest;
    }
    Some(records)
}

/// The value of the last record with this key.
pub(super) fn value<'a>(records: &[Record<'a>], key: &[u8]) -> Option<&'a [u8]> {
    records.iter().rev().find(|(other, _)| *other == key).map(|(_, value)| *value)
}

/// The records of one extended header as fields; with the order of their keys, they are its bytes.
pub(super) fn fields(fields: &mut Vec<Field>, bytes: &[u8]) {
    let Some(records) = records(bytes) else {
        fields.push(Field::bytes(Group::Structure, "extended header", bytes));
        return;
    };
    let keys: Vec<String> = records.iter().map(|(key, _)| preview::name(key)).collect();
    fields.push(Field::text(Group::Structure, "extended header's keys", keys.join(", ")));
    for (key, value) in records {
        let group = match key {
            b"mtime" | b"atime" | b"ctime" | b"LIBARCHIVE.creationtime" => Group::Times,
            b"uid" | b"gid" | b"uname" | b"gname" => Group::Owners,
            b"SCHILY.dev" | b"SCHILY.ino" | b"SCHILY.nlink" => Group::Numbers,
            b"linkpath" => Group::Links,
            _ => Group::Structure,
        };
        fields.push(Field::bytes(group, format!("extended header, {}", preview::name(key)), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_whole_or_not_at_all() {
        assert_eq!(records(b"11 path=ab\n8 a=b=c\n"), Some(vec![(&b"path"[..], &b"ab"[..]), (b"a", b"b=c")]));
        assert_eq!(records(b""), Some(vec![]));
        for no in [&b"11 path=a\n"[..], b"011 path=ab\n", b"5 ab\n", b"99999999999999999999 a=b\n", b"6 a=b ", b"x"] {
            assert_eq!(records(no), None, "{no:?}");
        }
    }
}
