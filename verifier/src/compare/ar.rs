// SPDX-License-Identifier: Apache-2.0
//! ar archives: Debian packages and static libraries, of the System V (GNU) and the BSD kind, as `ar(5)` has them.

use std::io;

use super::Bounds;
use super::archive::{Archive, Data, Keys, Member};
use super::field::{Field, Group};
use super::format::Format;
use super::number::{self, decimal};
use super::source::{Source, Span};

const MAGIC: u64 = 8;
const HEAD: u64 = 60;
/// The largest table of names, in bytes.
const MAX_NAMES: u64 = 16 << 20;
/// The longest name, in bytes.
const MAX_NAME: usize = 64 << 10;
/// How many bytes all names have together.
const MAX_ALL_NAMES: usize = 64 << 20;

/// Finds the members.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no archive, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Archive, String>> {
    let (mut members, mut keys) = (Vec::new(), Keys::default());
    let (mut names, mut room) = (Vec::new(), MAX_ALL_NAMES);
    let mut at = MAGIC;
    while at < source.len() {
        if members.len() >= bounds.members {
            return Ok(Err(format!("it has more than {} members", bounds.members)));
        }
        let head = source.read(Span { start: at, len: HEAD.min(source.len() - at) })?;
        let (true, Some(size)) = (head.get(58..) == Some(b"`\n"), head.get(48..58).and_then(decimal)) else {
            return Ok(Err(format!("there is no member's header at {at:#x}")));
        };
        let field = head.get(..16).unwrap_or_default();
        let bsd = field.strip_prefix(b"#1/").and_then(decimal).filter(|len| *len <= size);
        if bsd.is_some_and(|len| len > MAX_NAME as u64) {
            return Ok(Err(format!("the member at {at:#x} has a name of more than {MAX_NAME} bytes")));
        }
        let head = Span { start: at, len: HEAD + bsd.unwrap_or(0) };
        let data = Span { start: at + head.len, len: size - bsd.unwrap_or(0) };
        let Some(end) = data.start.checked_add(data.len).filter(|end| *end <= source.len()) else {
            return Ok(Err(format!("the member at {at:#x} is longer than the file")));
        };
        // A data of odd length is followed by one byte.
        let tail = Span { start: end, len: (end % 2).min(source.len() - end) };
        if field.starts_with(b"//") && data.len <= MAX_NAMES {
            names = source.read(data)?;
        }
        let name = match bsd {
            Some(len) => source.read(Span { start: at + HEAD, len })?,
            None => name_of(field, &names),
        };
        room = match room.checked_sub(name.len()) {
            Some(room) if name.len() <= MAX_NAME => room,
            _ => return Ok(Err(format!("the member at {at:#x} has a name that is too long, or all have"))),
        };
        members.push(Member { key: keys.of(&name), head, data, tail, data_is: Data::File });
        at = end + tail.len;
    }
    let rest = Span { start: at.min(source.len()), len: source.len().saturating_sub(at) };
    Ok(Ok(Archive { format: Format::Ar, members, rest }))
}

/// What a header's name field says: `name/`, `name   `, or `/123`, the offset in the table of long names.
fn name_of(field: &[u8], names: &[u8]) -> Vec<u8> {
    let offset = field.strip_prefix(b"/").and_then(decimal).and_then(|offset| usize::try_from(offset).ok());
    if let Some(long) = offset.and_then(|offset| names.get(offset..)) {
        // One byte past the bound tells that it is too long.
        let long = long.get(..=MAX_NAME).unwrap_or(long);
        let name = long.split(|byte| matches!(byte, b'\n' | 0)).next().unwrap_or_default();
        return name.strip_suffix(b"/").unwrap_or(name).to_vec();
    }
    let name = field.trim_ascii_end();
    match name.strip_suffix(b"/") {
        Some(short) if !short.is_empty() && short != b"/" => short.to_vec(),
        _ => name.to_vec(),
    }
}

/// All that a member's header says, but for its size, which is that of its data.
pub(super) fn fields(head: &[u8], member: &Member) -> Vec<Field> {
    let part = |from: usize, to| head.get(from..to).unwrap_or_default();
    let mut fields = Vec::new();
    fields.push(Field::bytes(Group::Structure, "name field", part(0, 16)));
    number::padded(&mut fields, Group::Times, "modified", part(16, 28), number::time);
    number::padded(&mut fields, Group::Owners, "user", part(28, 34), |value| value.to_string());
    number::padded(&mut fields, Group::Owners, "group", part(34, 40), |value| value.to_string());
    number::mode(&mut fields, part(40, 48));
    let written = member.data.len + (member.head.len - HEAD);
    let size = part(48, 58);
    let is_plain = size == format!("{written:<10}").as_bytes();
    fields.push(match is_plain {
        true => Field::text(Group::Structure, "size", "as found"),
        false => Field::bytes(Group::Structure, "size", size),
    });
    // The name itself, where it follows the header.
    fields.push(Field::bytes(Group::Structure, "long name", part(60, head.len())));
    fields
}

#[cfg(test)]
mod tests {
    use super::super::Bounds;
    use super::super::archive::tests::find_within;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, data) in members {
            let (mode, len) = ("100644", data.len());
            bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{mode:<8}{len:<10}`\n", 0, 0, 0).into_bytes());
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        bytes
    }

    #[test]
    fn names_are_read_to_a_bound() {
        let of = |len: usize, data: &[u8]| {
            let long = [vec![b'n'; len], b"/\n".to_vec()].concat();
            archive(&[("//", &long), ("/0", data)])
        };
        let follows = |len: usize, data: &[u8]| archive(&[(&format!("#1/{len}"), &[&vec![b'n'; len], data].concat())]);
        for archive in [&of as &dyn Fn(usize, &[u8]) -> Vec<u8>, &follows] {
            let is_opened = |len| {
                let (findings, _) = find_within(&archive(len, b"one\n"), &archive(len, b"two\n"), &Bounds::default());
                !findings[0].summary.contains("neither is a")
            };
            assert!(is_opened(100) && is_opened((64 << 10) - 1) && !is_opened((64 << 10) + 1));
        }
    }
}
