// SPDX-License-Identifier: Apache-2.0
//! Compiled Java ("The Java Virtual Machine Specification", chapter 4): constants by their numbers, fields, methods and what
//! is attached to each by their names.

use std::io;

use super::Bounds;
use super::archive::{Archive, Data, Keys, Member};
use super::format::Format;
use super::number::fixed;
use super::room::Room;
use super::source::{Source, Span};

/// The largest file that is looked into, in bytes.
const MAX_LEN: u64 = 16 << 20;
/// How much of one name is kept, in bytes. The constant has it whole.
const MAX_NAME: usize = 256;

const MAGIC: &[u8] = b"\xca\xfe\xba\xbe";
/// The version of Java 1.0.
const FIRST_VERSION: u64 = 45;

/// Whether a file that begins so says that it is one. A Mach-O file of several architectures begins in the same way.
pub(super) fn is_header(first: &[u8]) -> bool {
    first.starts_with(MAGIC) && fixed(first, 6, 2, true).is_some_and(|version| version >= FIRST_VERSION)
}

/// Finds the parts.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no class, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Archive, String>> {
    if source.len() > MAX_LEN {
        return Ok(Err(format!("it has more than {MAX_LEN} bytes")));
    }
    let bytes = source.read(source.whole())?;
    let mut class = Class {
        bytes: &bytes,
        at: 0,
        members: Vec::new(),
        keys: Keys::default(),
        names: Vec::new(),
        room: Room::default(),
        max: bounds.members,
    };
    Ok(class.read().map(|()| {
        let at = class.at as u64;
        let rest = Span { start: at, len: source.len() - at };
        Archive { format: Format::Class, members: class.members, rest }
    }))
}

/// What is read so far: all before `at` has its parts.
struct Class<'a> {
    bytes: &'a [u8],
    at: usize,
    members: Vec<Member>,
    keys: Keys,
    /// Of each constant, the text that it is.
    names: Vec<Option<&'a [u8]>>,
    room: Room,
    max: usize,
}

type Fields = &'static [(&'static str, usize)];

impl<'a> Class<'a> {
    fn read(&mut self) -> Result<(), String> {
        self.table(b"header", &[("magic number", 4), ("minor version", 2), ("major version", 2)])?;
        self.constants()?;
        self.table(b"class", &[("access", 2), ("name", 2), ("super class", 2)])?;
        let interfaces = self.count("class", "number of interfaces")?;
        for _ in 0..interfaces {
            self.table(b"interface", &[("name", 2)])?;
        }
        for kind in ["field", "method"] {
            let all = self.count("class", &format!("number of {kind}s"))?;
            for _ in 0..all {
                let between: &[u8] = if kind == "field" { b" " } else { b"" };
                let name = [kind.as_bytes(), b" ", self.name(2)?, between, self.name(4)?].concat();
                self.table(&name, &[("access", 2), ("name", 2), ("descriptor", 2)])?;
                self.attributes(&name)?;
            }
        }
        self.attributes(b"class")
    }

    /// A number of 2 bytes, `ahead` of where the next part begins.
    fn number(&self, ahead: usize) -> Result<u16, String> {
        let number = fixed(self.bytes, self.at.saturating_add(ahead), 2, true).and_then(|n| u16::try_from(n).ok());
        number.ok_or_else(|| "it is cut".to_owned())
    }

    /// The text of the constant whose number is there.
    fn name(&self, ahead: usize) -> Result<&'a [u8], String> {
        let number = self.number(ahead)?;
        let name = self.names.get(usize::from(number)).copied().flatten();
        let name = name.ok_or_else(|| format!("constant {number} is no name"))?;
        Ok(name.get(..MAX_NAME).unwrap_or(name))
    }

    /// The next part: `head` bytes, then `len` of data.
    fn part(&mut self, name: &[u8], head: usize, len: usize, data_is: Data) -> Result<(), String> {
        if self.members.len() >= self.max {
            return Err(format!("it has more than {} parts", self.max));
        }
        self.room.take(name.len())?;
        let start = self.at.saturating_add(head);
        let end = start.checked_add(len).filter(|end| *end <= self.bytes.len()).ok_or("it is cut")?;
        let span = |from: usize, to: usize| Span { start: from as u64, len: to.saturating_sub(from) as u64 };
        let (head, data, tail) = (span(self.at, start), span(start, end), span(end, end));
        self.members.push(Member { key: self.keys.of(name), head, data, tail, data_is });
        self.at = end;
        Ok(())
    }

    fn table(&mut self, name: &[u8], fields: &[(&str, usize)]) -> Result<(), String> {
        let len = fields.iter().map(|(_, len)| len).sum();
        let rows: Vec<_> = fields.iter().map(|(field, len)| ((*field).to_owned(), *len)).collect();
        self.part(name, 0, len, Data::Table(rows.into()))
    }

    fn count(&mut self, name: &str, what: &str) -> Result<u16, String> {
        let count = self.number(0)?;
        self.table(name.as_bytes(), &[(what, 2)])?;
        Ok(count)
    }

    fn constants(&mut self) -> Result<(), String> {
        let count = usize::from(self.count("constants", "number")?);
        self.names = vec![None; count];
        let mut number = 1;
        while number < count {
            let name = format!("constant {number}");
            let tag = self.bytes.get(self.at).copied().ok_or("it is cut")?;
            match fields(tag) {
                Some(fields) => self.table(name.as_bytes(), fields)?,
                None if tag == 1 => {
                    let (start, len) = (self.at.saturating_add(3), usize::from(self.number(1)?));
                    self.part(name.as_bytes(), 3, len, Data::Code([].into()))?;
                    if let Some(name) = self.names.get_mut(number) {
                        *name = self.bytes.get(start..self.at);
                    }
                }
                None => return Err(format!("{name} is of an unknown kind, {tag}")),
            }
            // These two have two numbers each.
            number += if matches!(tag, 5 | 6) { 2 } else { 1 };
        }
        Ok(())
    }

    /// What is attached to the class, a field or a method: a name and a length, then what it is.
    fn attributes(&mut self, of: &[u8]) -> Result<(), String> {
        let count = self.number(0)?;
        self.table(of, &[("number of attributes", 2)])?;
        for _ in 0..count {
            let name = [of, b": ", self.name(0)?].concat();
            let len = fixed(self.bytes, self.at.saturating_add(2), 4, true).and_then(|len| usize::try_from(len).ok());
            self.part(&name, 6, len.ok_or("it is cut")?, Data::Code([].into()))?;
        }
        Ok(())
    }
}

/// What a constant of this kind has; `None`: a text, or a kind that is not known.
fn fields(tag: u8) -> Option<Fields> {
    Some(match tag {
        3 => &[("an integer", 1), ("value", 4)],
        4 => &[("a float", 1), ("value", 4)],
        5 => &[("a long", 1), ("value", 8)],
        6 => &[("a double", 1), ("value", 8)],
        7 => &[("a class", 1), ("name", 2)],
        8 => &[("a string", 1), ("text", 2)],
        9 => &[("a field", 1), ("class", 2), ("name and type", 2)],
        10 => &[("a method", 1), ("class", 2), ("name and type", 2)],
        11 => &[("an interface's method", 1), ("class", 2), ("name and type", 2)],
        12 => &[("a name and type", 1), ("name", 2), ("type", 2)],
        15 => &[("a method's handle", 1), ("kind", 1), ("reference", 2)],
        16 => &[("a method's type", 1), ("descriptor", 2)],
        17 => &[("a computed constant", 1), ("bootstrap", 2), ("name and type", 2)],
        18 => &[("a computed call", 1), ("bootstrap", 2), ("name and type", 2)],
        19 => &[("a module", 1), ("name", 2)],
        20 => &[("a package", 1), ("name", 2)],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reprove_model::{Finding, FindingKind};

    use super::super::archive::tests::find_within;
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [b"\x01", &u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
    }

    /// A class with a long constant, a string, a field and a method, whose code is this.
    fn class(string: &str, code: &[u8]) -> Vec<u8> {
        let code_len = u32::try_from(code.len()).unwrap().to_be_bytes();
        [
            &b"\xca\xfe\xba\xbe\0\0\0\x41\0\x0a"[..],
            &text("A"),
            b"\x07\0\x01",
            &text("run"),
            &text("()V"),
            &text("Code"),
            b"\x05\0\0\0\0\0\0\0\x07",
            &text(string),
            b"\x08\0\x08",
            b"\0\x21\0\x02\0\x02\0\x01\0\x02",
            b"\0\x01\0\x02\0\x03\0\x04\0\0",
            b"\0\x01\0\x01\0\x03\0\x04\0\x01\0\x05",
            &code_len,
            code,
            b"\0\x01\0\x05\0\0\0\x01x",
        ]
        .concat()
    }

    fn find(left: &[u8], right: &[u8]) -> Finding {
        let (findings, needs) = find_within(left, right, &Bounds::default());
        assert_eq!(needs, None);
        findings[0].clone()
    }

    #[test]
    fn constants_methods_and_attributes_are_told_apart() {
        let left = class("built 2023", b"code");
        let finding = find(&left, &class("built 2024", b"code"));
        assert_eq!((finding.place.as_str(), finding.kind), ("a!constant 8", FindingKind::Content));
        assert_eq!(finding.details[0].left, "\"built 2023\"");
        assert_eq!(find(&left, &class("built 2023", b"cede")).place, "a!method run()V: Code");
        let end = left.len();
        let access = left.windows(4).position(|bytes| bytes == b"\0\x21\0\x02").unwrap();
        for (at, named) in [
            (7, "header: major version"),
            (15, "constant 2: name"),
            (40, "constant 6: value"),
            (access + 1, "class: access"),
        ] {
            let mut right = left.clone();
            right[at] ^= 2;
            let finding = find(&left, &right);
            assert_eq!((finding.kind, finding.details[0].at.as_str()), (FindingKind::ArchiveStructure, named), "{at}");
        }
        let mut right = left.clone();
        right[end - 1] = b'y';
        assert_eq!(find(&left, &right).place, "a!class: Code");
    }

    #[test]
    fn what_is_cut_or_not_known_is_bytes() {
        let left = class("s", b"code");
        for len in 10..left.len() {
            let finding = find(&left, &left[..len]);
            assert!(
                finding.summary.ends_with("the right one is not a Java class: it is cut"),
                "{len}: {}",
                finding.summary
            );
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = left.clone();
            bytes[at] = byte;
            find(&left, &bytes).summary
        };
        assert!(with(10, 2).ends_with("constant 1 is of an unknown kind, 2"), "{}", with(10, 2));
        assert!(with(left.len() - 6, 6).ends_with("constant 6 is no name"), "{}", with(left.len() - 6, 6));
        assert!(with(left.len() - 6, 99).ends_with("constant 99 is no name"));
        // A zero is as much as anything else: what has one is no class.
        for end in [b"x", b"\0"] {
            let finding = find(&left, &[&left[..], end].concat());
            assert!(finding.details[0].at.contains("after the last member"), "{:?}", finding.details);
        }
    }

    #[test]
    fn size_names_and_parts_are_bounded() {
        let (left, right) = (class("s", b"code"), class("s", b"cede"));
        let parts = 2 + 8 + 1 + 1 + 1 + 1 + 2 + 1 + 3 + 2;
        let of = |members| find_within(&left, &right, &Bounds { members, ..Bounds::default() }).0[0].clone();
        assert_eq!(of(parts).place, "a!method run()V: Code");
        assert!(
            of(parts - 1).summary.contains(&format!("it has more than {} parts", parts - 1)),
            "{}",
            of(parts - 1).summary
        );
        let small = class("s", b"").len();
        let large = |len: usize, byte: u8| class("s", &vec![byte; len - small]);
        let max = 16 << 20;
        assert_eq!(find(&large(max, 1), &large(max, 2)).place, "a!method run()V: Code");
        let past = find(&large(max + 1, 1), &large(max + 1, 2));
        assert!(past.summary.contains("it has more than 16777216 bytes"), "{}", past.summary);
    }

    #[test]
    fn names_are_kept_to_a_bound() {
        // A field's name and what is attached to it, over and over.
        let of = |count: u16, name: &str, last: u8| {
            let constants = [text(name), text("d"), text("a")].concat();
            let mut bytes = [&b"\xca\xfe\xba\xbe\0\0\0\x41\0\x04"[..], &constants, b"\0\0\0\0\0\0\0\0"].concat();
            bytes.extend(1_u16.to_be_bytes());
            bytes.extend([0, 0, 0, 1, 0, 2]);
            bytes.extend(count.to_be_bytes());
            bytes.extend(b"\0\x03\0\0\0\0".repeat(usize::from(count)));
            bytes.extend([0, 0, 0, last]);
            bytes
        };
        let summary = |count, name: &str| find(&of(count, name, 0), &of(count, name, 1)).summary;
        let long = "n".repeat(400);
        // Each name is cut at 256, with 11 bytes beside it.
        assert!(!summary(60_000, &long).contains("names have more than"));
        assert!(summary(64_000, &long).contains("names have more than 16777216 bytes"), "{}", summary(64_000, &long));
    }

    #[test]
    fn headers_of_other_files_are_none() {
        assert!(is_header(b"\xca\xfe\xba\xbe\0\0\0\x2d") && is_header(b"\xca\xfe\xba\xbe\xff\xff\0\x45"));
        for no in [&b"\xca\xfe\xba\xbe\0\0\0\x02"[..], b"\xca\xfe\xba\xbe\0\0\0", b"\xca\xfe\xba\xbf\0\0\0\x2d"] {
            assert!(!is_header(no), "{no:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// [`find_within`] asserts it: whatever the bytes are, no finding if and only if they are equal.
        #[test]
        fn hostile_bytes(
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
            cut in proptest::option::weighted(0.1, any::<proptest::sample::Index>()),
        ) {
            let left = class("string", b"code");
            let mut right = left.clone();
            for (index, byte) in flips {
                let at = index.index(right.len());
                right[at] = byte;
            }
            right.truncate(cut.map_or(right.len(), |cut| cut.index(right.len())));
            find_within(&left, &right, &Bounds::default());
            find_within(&right, &[&right[..], b"x"].concat(), &Bounds::default());
        }
    }
}
