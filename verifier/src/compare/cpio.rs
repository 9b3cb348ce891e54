// SPDX-License-Identifier: Apache-2.0
//! cpio archives: the new kind (`newc`, with a checksum or without) and the portable one of POSIX (`odc`).

use std::collections::BTreeMap;
use std::io;

use super::Bounds;
use super::archive::{Archive, Data, Key, Keys, Member, Special};
use super::field::{Field, Group};
use super::format::Format;
use super::number::{self, digits};
use super::source::{Source, Span};

const TRAILER: &[u8] = b"TRAILER!!!";
/// The longest name, in bytes.
const MAX_NAME: u64 = 1 << 16;

/// The bits of a mode that say what a member is, and two of what they say.
const KIND: u64 = 0o170_000;
const FOLDER: u64 = 0o040_000;
const LINK: u64 = 0o120_000;

/// Where the fields of a header are.
struct Form {
    radix: u32,
    head: u64,
    /// What the data, and the name with the header, are padded to.
    align: u64,
    fields: &'static [(&'static str, usize)],
}

const NEW: Form = Form {
    radix: 16,
    head: 110,
    align: 4,
    fields: &[
        ("inode", 8),
        ("mode", 8),
        ("user", 8),
        ("group", 8),
        ("links", 8),
        ("modified", 8),
        ("size", 8),
        ("device, major", 8),
        ("device, minor", 8),
        ("special file, major", 8),
        ("special file, minor", 8),
        ("name's length", 8),
        ("checksum", 8),
    ],
};

const PORTABLE: Form = Form {
    radix: 8,
    head: 76,
    align: 1,
    fields: &[
        ("device", 6),
        ("inode", 6),
        ("mode", 6),
        ("user", 6),
        ("group", 6),
        ("links", 6),
        ("special file", 6),
        ("modified", 11),
        ("name's length", 6),
        ("size", 11),
    ],
};

impl Form {
    fn of(head: &[u8]) -> Option<&'static Self> {
        match head.get(..6)? {
            b"070701" | b"070702" => Some(&NEW),
            b"070707" => Some(&PORTABLE),
            _ => None,
        }
    }

    /// Each field's name and bytes.
    fn fields<'a>(&self, head: &'a [u8]) -> impl Iterator<Item = (&'static str, &'a [u8])> {
        let mut at = 6;
        self.fields.iter().map(move |(name, len)| {
            let field = head.get(at..at + len).unwrap_or_default();
            at += len;
            (*name, field)
        })
    }

    fn number(&self, head: &[u8], name: &str) -> Option<u64> {
        digits(self.fields(head).find(|(other, _)| *other == name)?.1, self.radix)
    }

    fn is_link(&self, head: &[u8]) -> bool {
        self.number(head, "mode").is_some_and(|mode| mode & KIND == LINK)
    }

    /// What names of one file have in common: the numbers of its device and its inode, where it has several names.
    fn file(&self, head: &[u8]) -> Option<Vec<u64>> {
        let is_linked = self.number(head, "links")? > 1 && self.number(head, "mode")? & KIND != FOLDER;
        let numbers = self.fields(head).filter(|(name, _)| is_origin(name)).map(|(_, field)| digits(field, self.radix));
        numbers.collect::<Option<Vec<_>>>().filter(|_| is_linked)
    }

    fn padded(&self, len: u64) -> u64 {
        len.next_multiple_of(self.align)
    }
}

/// Whether this field has a number of the machine that made the archive.
fn is_origin(name: &str) -> bool {
    matches!(name, "inode" | "device" | "device, major" | "device, minor")
}

/// Finds the members; the last one ends the archive.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no archive, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Archive, String>> {
    let (mut members, mut keys) = (Vec::new(), Keys::default());
    let mut files: BTreeMap<Vec<u64>, Key> = BTreeMap::new();
    let mut at = 0;
    loop {
        if members.len() >= bounds.members {
            return Ok(Err(format!("it has more than {} members", bounds.members)));
        }
        let no_header = || Ok(Err(format!("there is no member's header at {at:#x}")));
        let start = source.read(Span { start: at, len: NEW.head.min(source.len().saturating_sub(at)) })?;
        let Some(form) = Form::of(&start) else { return no_header() };
        let (Some(size), Some(name_len)) = (form.number(&start, "size"), form.number(&start, "name's length")) else {
            return no_header();
        };
        if name_len == 0 || name_len > MAX_NAME || at + form.head + name_len > source.len() {
            return Ok(Err(format!("the member at {at:#x} has no name within the file")));
        }
        let name = source.read(Span { start: at + form.head, len: name_len - 1 })?;
        let head = Span { start: at, len: form.padded(form.head + name_len) };
        let data = Span { start: at + head.len, len: size };
        let end = data.start.checked_add(size).filter(|end| *end <= source.len());
        // The padding after the very last member is often missing.
        let is_last = name == TRAILER && size == 0;
        let Some(end) = end.or(is_last.then_some(source.len())) else {
            return Ok(Err(format!("the member at {at:#x} is longer than the file")));
        };
        let head = Span { len: head.len.min(source.len() - at), ..head };
        let data = Span { start: data.start.min(source.len()), ..data };
        let tail = Span { start: end, len: (form.padded(size) - size).min(source.len() - end) };
        let key = keys.of(&name);
        let first = form.file(&start).map(|file| files.entry(file).or_insert_with(|| key.clone()).clone());
        let data_is = match first {
            Some(first) => Data::Special(Special::Hard(first)),
            None if form.is_link(&start) => Data::Special(Special::Symbolic),
            None => Data::File,
        };
        members.push(Member { key, head, data, tail, data_is });
        at = end + tail.len;
        if is_last {
            break;
        }
    }
    let rest = Span { start: at, len: source.len() - at };
    Ok(Ok(Archive { format: Format::Cpio, members, rest }))
}

/// Whether a member's header is of the portable kind, in which nothing is padded.
pub(super) fn is_portable(head: &[u8]) -> bool {
    Form::of(head).is_some_and(|form| form.align == PORTABLE.align)
}

/// All that a member's header says.
pub(super) fn fields(head: &[u8], member: &Member) -> Vec<Field> {
    let Some(form) = Form::of(head) else { return vec![Field::bytes(Group::Structure, "header", head)] };
    let mut fields = vec![Field::bytes(Group::Structure, "format", head.get(..6).unwrap_or_default())];
    for (label, field) in form.fields(head) {
        let group = match label {
            "modified" => Group::Times,
            "user" | "group" => Group::Owners,
            origin if is_origin(origin) => Group::Numbers,
            _ => Group::Structure,
        };
        let value = digits(field, form.radix).filter(|value| {
            let width = field.len();
            let forms = [format!("{value:0width$x}"), format!("{value:0width$X}"), format!("{value:0width$o}")];
            let is_lower = if form.radix == 16 { &forms[..2] } else { &forms[2..] };
            is_lower.iter().any(|form| form.as_bytes() == field)
        });
        let has_capitals = field.iter().any(u8::is_ascii_uppercase);
        match value {
            Some(value) if label == "size" && value == member.data.len => {}
            Some(value) if label == "mode" => number::permissions(&mut fields, value),
            Some(value) if label == "modified" => fields.push(Field::text(group, label, number::time(value))),
            Some(value) => fields.push(Field::text(group, label, value.to_string())),
            None => number::unread(&mut fields, group, label, field),
        }
        if has_capitals {
            fields.push(Field::text(Group::Form, format!("{label}, how it is written"), "capital letters"));
        }
    }
    // The numbers that say so are left out; which names are one file's is not.
    if let Data::Special(Special::Hard(first)) = &member.data_is {
        let (name, occurrence) = first;
        fields.push(match *first == member.key {
            true => Field::text(Group::Links, "same file as", "none before it"),
            false => Field::bytes(Group::Links, "same file as", [name, format!("#{occurrence}").as_bytes()].concat()),
        });
    }
    let after = usize::try_from(form.head).unwrap_or(usize::MAX).saturating_add(member.key.0.len());
    // The name's end and the padding.
    fields.push(Field::bytes(Group::Structure, "after the name", head.get(after..).unwrap_or_default()));
    fields
}

#[cfg(test)]
mod tests {
    use super::super::Bounds;
    use super::super::archive::tests::find_within;

    /// An archive of empty members: the name, mode, inode and number of links of each.
    fn archive(members: &[(&str, u32, u32, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, mode, inode, links) in members.iter().chain([&("TRAILER!!!", 0, 0, 1)]) {
            let len = u32::try_from(name.len() + 1).unwrap();
            let numbers = [*inode, *mode, 0, 0, *links, 0, 0, 0, 0, 0, 0, len, 0];
            let numbers: String = numbers.iter().map(|number| format!("{number:08x}")).collect();
            bytes.extend([b"070701", numbers.as_bytes(), name.as_bytes(), b"\0"].concat());
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn needs(left: &[u8], right: &[u8]) -> Option<Vec<String>> {
        find_within(left, right, &Bounds::default()).1
    }

    #[test]
    fn which_names_are_one_file_is_never_left_out() {
        let of = |mode, links, inodes: [u32; 4]| {
            let member = |(name, inode)| (name, mode, inode, links);
            let members: Vec<_> = ["a", "b", "c", "d"].into_iter().zip(inodes).map(member).collect();
            archive(&members)
        };
        let (file, folder) = (0o100_644, 0o040_755);
        let numbers = Some(vec!["cpio-numbers".to_owned()]);
        assert_eq!(needs(&of(file, 2, [1, 1, 2, 2]), &of(file, 2, [7, 7, 8, 8])), numbers);
        assert_eq!(needs(&of(file, 2, [1, 1, 2, 2]), &of(file, 2, [1, 2, 1, 2])), None);
        assert_eq!(needs(&of(file, 2, [1, 1, 2, 2]), &of(file, 2, [1, 1, 2, 3])), None);
        assert_eq!(needs(&of(file, 2, [1, 1, 1, 2]), &of(file, 2, [3, 1, 1, 2])), None);
        // Neither folders nor what has one name is linked.
        assert_eq!(needs(&of(folder, 2, [1, 2, 3, 4]), &of(folder, 2, [5, 5, 5, 5])), numbers);
        assert_eq!(needs(&of(file, 1, [1, 2, 3, 4]), &of(file, 1, [5, 5, 5, 5])), numbers);
    }

    #[test]
    fn order_that_decides_is_never_left_out() {
        let (file, link) = (0o100_644, 0o120_777);
        let reordered = |a, b| needs(&archive(&[a, b]), &archive(&[b, a]));
        assert_eq!(reordered(("a", file, 1, 1), ("b/a", link, 2, 1)), Some(vec!["cpio-order".to_owned()]));
        assert_eq!(reordered(("a", file, 1, 1), ("./a", file, 2, 1)), None);
        assert_eq!(reordered(("a", link, 1, 1), ("a/b", file, 2, 1)), None);
        assert_eq!(reordered(("a", file, 1, 2), ("b", file, 1, 2)), None);
    }

    #[test]
    fn what_is_no_number_is_not_left_out() {
        let left = archive(&[("a", 0o100_644, 1, 1)]);
        let mut right = left.clone();
        right[13] = b'z';
        assert_eq!(needs(&left, &right), None);
    }
}
