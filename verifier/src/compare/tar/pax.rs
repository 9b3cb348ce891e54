// SPDX-License-Identifier: Apache-2.0
//! The records of extended headers: `LENGTH KEY=VALUE\n` (POSIX.1-2017, pax, "pax Extended Header").

use super::super::field::{Field, Group};
use super::super::number;
use super::super::preview;

/// A key and its value.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// The longest key that is told by its name, in bytes: within what [`preview::name`] shows whole, so that no two are one.
const MAX_KEY: usize = 256;

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
    let records = records(bytes).filter(|all| all.iter().all(|(key, _)| key.len() <= MAX_KEY));
    let Some(records) = records else {
        fields.push(Field::bytes(Group::Structure, "extended header", bytes));
        return;
    };
    let keys: Vec<String> = records.iter().map(|(key, _)| preview::name(key)).collect();
    fields.push(Field::text(Group::Structure, "extended header's keys", keys.join(", ")));
    for (key, value) in records {
        let group = match key {
            b"mtime" | b"atime" | b"ctime" | b"LIBARCHIVE.creationtime" if is_time(value) => Group::Times,
            b"uid" | b"gid" if is_number(value) => Group::Owners,
            b"uname" | b"gname" => Group::Owners,
            b"SCHILY.dev" | b"SCHILY.ino" | b"SCHILY.nlink" if is_number(value) => Group::Numbers,
            b"linkpath" => Group::Links,
            _ => Group::Structure,
        };
        fields.push(Field::bytes(group, format!("extended header, {}", preview::name(key)), value));
    }
}

fn is_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

/// Seconds since 1970, with a fraction or without.
fn is_time(value: &[u8]) -> bool {
    let mut parts = value.strip_prefix(b"-").unwrap_or(value).splitn(2, |byte| *byte == b'.');
    parts.next().is_some_and(is_number) && parts.next().is_none_or(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_and_numbers_are_told_as_such() {
        let group = |record: &[u8]| {
            let mut all = Vec::new();
            fields(&mut all, record);
            all.last().map(|field| field.group)
        };
        let times = [&b"11 mtime=1\n"[..], b"15 atime=1.250\n", b"12 ctime=-5\n"];
        assert!(times.iter().all(|record| group(record) == Some(Group::Times)));
        assert_eq!(group(b"9 uid=10\n"), Some(Group::Owners));
        for no in [&b"10 mtime=\n"[..], b"12 mtime=1.\n", b"12 mtime=.5\n", b"12 mtime=--\n", b"15 mtime=1.2.3\n"] {
            assert_eq!(group(no), Some(Group::Structure), "{no:?}");
        }
        assert_eq!(group(b"9 uid=1x\n"), Some(Group::Structure));
    }

    #[test]
    fn keys_are_told_by_their_names_to_a_bound() {
        let groups = |len: usize| {
            let whole = len + 7;
            let record = [format!("{whole} ").into_bytes(), vec![b'k'; len], b"=v\n".to_vec()].concat();
            assert_eq!(record.len(), whole);
            let mut all = Vec::new();
            fields(&mut all, &record);
            (all.len(), all.last().map(|field| field.label.clone()))
        };
        assert_eq!(groups(256).0, 2);
        assert_eq!(groups(257), (1, Some("extended header".to_owned())));
    }

    #[test]
    fn records_are_read_whole_or_not_at_all() {
        assert_eq!(records(b"11 path=ab\n8 a=b=c\n"), Some(vec![(&b"path"[..], &b"ab"[..]), (b"a", b"b=c")]));
        assert_eq!(records(b""), Some(vec![]));
        for no in [&b"11 path=a\n"[..], b"011 path=ab\n", b"5 ab\n", b"99999999999999999999 a=b\n", b"6 a=b ", b"x"] {
            assert_eq!(records(no), None, "{no:?}");
        }
    }
}
