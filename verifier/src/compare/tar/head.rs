// SPDX-License-Identifier: Apache-2.0
//! What stands before a member's data.

use super::super::archive::{Member, Special};
use super::super::field::{Field, Group};
use super::super::{number, preview};
use super::{BLOCK, pax};

/// One header: 512 bytes with the right checksum.
pub(super) struct Header<'a>(&'a [u8]);

/// What the headers before a member's own say of it.
#[derive(Default)]
pub(super) struct Records {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Records {
    pub(super) fn add(&mut self, header: &Header<'_>, data: Vec<u8>) {
        match header.kind() {
            b'L' => self.name = Some(before_nul(&data).to_vec()),
            b'x' => {
                let records = pax::records(&data).unwrap_or_default();
                // GNU tar's sparse files have their names in a record of its own.
                let name = [&b"GNU.sparse.name"[..], b"path"].into_iter().find_map(|key| pax::value(&records, key));
                self.name = name.map(<[u8]>::to_vec).or(self.name.take());
                self.size = pax::value(&records, b"size").and_then(number::decimal).or(self.size);
            }
            _ => {}
        }
    }

    pub(super) fn name(&self) -> Option<Vec<u8>> {
        self.name.clone()
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }
}

impl<'a> Header<'a> {
    pub(super) fn of(block: &'a [u8]) -> Option<Self> {
        let header = Self(block);
        let is_whole = block.len() as u64 == BLOCK && !block.iter().all(|byte| *byte == 0);
        (is_whole && number::tar(header.part(148, 8))?.0 == header.sum()).then_some(header)
    }

    fn part(&self, at: usize, len: usize) -> &'a [u8] {
        self.0.get(at..at + len).unwrap_or_default()
    }

    /// Of all bytes, with spaces in the checksum's place.
    fn sum(&self) -> u64 {
        let all: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = self.part(148, 8).iter().map(|byte| u64::from(*byte)).sum();
        all - own + 8 * u64::from(b' ')
    }

    pub(super) fn kind(&self) -> u8 {
        self.part(156, 1).first().copied().unwrap_or_default()
    }

    /// Whether what follows says more of the header after it.
    pub(super) fn is_extension(&self) -> bool {
        matches!(self.kind(), b'x' | b'X' | b'L' | b'K')
    }

    /// Whether data follows; with links, the size is that of what they lead to.
    pub(super) fn has_data(&self) -> bool {
        !matches!(self.kind(), b'1'..=b'6')
    }

    /// What the member is beside a file.
    pub(super) fn special(&self) -> Option<Special> {
        match self.kind() {
            0 | b'0' | b'3'..=b'7' | b'S' => None,
            b'2' => Some(Special::Symbolic),
            _ => Some(Special::Ordered),
        }
    }

    pub(super) fn size(&self) -> Option<u64> {
        number::tar(self.part(124, 12)).map(|(size, _)| size)
    }

    fn is_gnu(&self) -> bool {
        self.part(257, 8) == b"ustar  \0"
    }

    fn is_posix(&self) -> bool {
        self.part(257, 6) == b"ustar\0"
    }

    /// Whether it says which kind of header it is, or is of the kind before there were others, with no more in it than that
    /// has.
    pub(super) fn is_likely(&self) -> bool {
        let is_old = self.part(0, 100).contains(&0) && self.part(257, 255).iter().all(|byte| *byte == 0);
        self.part(257, 5) == b"ustar" || is_old
    }

    /// Whether the map of a sparse file goes on in the next block.
    pub(super) fn has_more_map(&self) -> bool {
        self.kind() == b'S' && self.is_gnu() && self.part(482, 1) != [0]
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = before_nul(self.part(0, 100));
        match before_nul(self.part(345, 155)) {
            prefix if self.is_posix() && !prefix.is_empty() => [prefix, b"/", name].concat(),
            _ => name.to_vec(),
        }
    }

    /// All that this header says; together, its bytes. `label` comes before each. `len`: how much data follows it.
    fn fields(&self, fields: &mut Vec<Field>, label: &str, key: &[u8], len: u64) {
        let named = |what: &str| format!("{label}{what}");
        fields.push(self.name_field(&named("name field"), key));
        number::octal(fields, &named("mode"), self.part(100, 8), number::permissions);
        for (what, at) in [("user", 108), ("group", 116)] {
            self.number(fields, Group::Owners, &named(what), (at, 8), |value| value.to_string());
        }
        self.number(fields, Group::Times, &named("modified"), (136, 12), number::time);
        // The checksum is right; the size need not be that of the data: an extended header may have another, which not
        // everybody reads, and with links it is that of what they lead to.
        if let Some((size, form)) = number::tar(self.part(124, 12)) {
            fields.push(Field::text(Group::Form, named("size, how it is written"), form));
            if size != len {
                fields.push(Field::text(Group::Structure, named("size"), size.to_string()));
            }
        }
        if let Some((_, form)) = number::tar(self.part(148, 8)) {
            fields.push(Field::text(Group::Form, named("checksum, how it is written"), form));
        }
        fields.push(Field::text(Group::Structure, named("type"), preview::name(&[self.kind()])));
        for (group, what, at, len) in [
            (Group::Links, "link target", 157, 100),
            (Group::Structure, "format", 257, 8),
            (Group::Owners, "user's name", 265, 32),
            (Group::Owners, "group's name", 297, 32),
            (Group::Structure, "special file, major", 329, 8),
            (Group::Structure, "special file, minor", 337, 8),
        ] {
            fields.push(Field::bytes(group, named(what), without_zeros(self.part(at, len))));
        }
        let rest = if self.is_gnu() {
            self.number(fields, Group::Times, &named("accessed"), (345, 12), number::time);
            self.number(fields, Group::Times, &named("changed"), (357, 12), number::time);
            self.part(369, 143)
        } else if self.is_posix() {
            self.part(500, 12)
        } else {
            self.part(345, 167)
        };
        fields.push(Field::bytes(Group::Structure, named("last bytes of the header"), without_zeros(rest)));
    }

    fn number(
        &self,
        fields: &mut Vec<Field>,
        group: Group,
        label: &str,
        (at, len): (usize, usize),
        show: impl Fn(u64) -> String,
    ) {
        number::octal(fields, label, self.part(at, len), |fields, value| {
            fields.push(Field::text(group, label, show(value)));
        });
    }

    /// The name, where it is the member's, is said to be so; and with it what POSIX splits off it.
    fn name_field(&self, label: &str, key: &[u8]) -> Field {
        // What an extended header calls itself has a process's number in it with some packers, and nobody reads it.
        let group = if self.is_extension() { Group::Origin } else { Group::Structure };
        let name = self.part(0, 100);
        let prefix = if self.is_posix() { self.part(345, 155) } else { &[] };
        let (short, before) = (without_zeros(name), without_zeros(prefix));
        if self.name() == key && !short.contains(&0) && !before.contains(&0) {
            let split = before.len();
            return Field::text(group, label, format!("the member's, {split} bytes of it in the prefix"));
        }
        Field::bytes(group, label, [short, &[0], before].concat())
    }
}

/// All that stands before a member's data, as fields; together, those bytes.
pub(in crate::compare) fn fields(head: &[u8], member: &Member) -> Vec<Field> {
    let (key, mut fields) = (member.key.0.as_slice(), Vec::new());
    let mut rest = head;
    while let Some((block, after)) = rest.split_at_checked(512) {
        let Some(header) = Header::of(block) else { break };
        rest = after;
        if !header.is_extension() {
            header.fields(&mut fields, "", key, member.data.len);
            break;
        }
        let kind = preview::name(&[header.kind()]);
        let size = header.size().and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX).min(rest.len());
        header.fields(&mut fields, &format!("extension {kind}: "), key, size as u64);
        let (data, after) = rest.split_at(size);
        let padding = size.next_multiple_of(512).min(rest.len()) - size;
        let (padding, after) = after.split_at(padding);
        match header.kind() {
            b'x' => pax::fields(&mut fields, data),
            _ => fields.push(Field::bytes(Group::Structure, format!("extension {kind}"), data)),
        }
        fields.push(Field::bytes(Group::Structure, format!("extension {kind}: padding"), without_zeros(padding)));
        rest = after;
    }
    fields.push(Field::bytes(Group::Structure, "map of holes", rest));
    fields
}

/// Without the zeros at the end. As many as the field has room for, so that nothing is lost.
fn without_zeros(field: &[u8]) -> &[u8] {
    let end = field.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    field.get(..end).unwrap_or_default()
}

fn before_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}
