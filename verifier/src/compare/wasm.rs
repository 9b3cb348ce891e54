// SPDX-License-Identifier: Apache-2.0
//! WebAssembly modules (W3C, "WebAssembly Core Specification", 5.5), section by section.

use std::io;

use super::Bounds;
use super::archive::{Archive, Data, Keys, Member};
use super::field::{Field, Group};
use super::format::Format;
use super::preview;
use super::source::{Source, Span};

pub(super) const MAGIC: &[u8] = b"\0asm\x01\0\0\0";

/// Finds the sections. A section's head is its number and its length.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no module, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Archive, String>> {
    let (mut members, mut keys) = (Vec::new(), Keys::default());
    let mut at = MAGIC.len() as u64;
    while at < source.len() {
        if members.len() >= bounds.members {
            return Ok(Err(format!("it has more than {} sections", bounds.members)));
        }
        let start = source.read(Span { start: at, len: 6.min(source.len() - at) })?;
        let Some((id, (len, digits))) = start.split_first().and_then(|(id, rest)| Some((*id, number(rest)?))) else {
            return Ok(Err(format!("there is no section at {at:#x}")));
        };
        let head = Span { start: at, len: 1 + digits };
        let data = Span { start: at + head.len, len };
        let end = data.start + len;
        if end > source.len() {
            return Ok(Err(format!("the section at {at:#x} is longer than the file")));
        }
        let (name, data_is) = named(id, &source.read(Span { len: len.min(256), ..data })?);
        members.push(Member { key: keys.of(&name), head, data, tail: Span { start: end, len: 0 }, data_is });
        at = end;
    }
    let rest = Span { start: at, len: source.len() - at };
    Ok(Ok(Archive { format: Format::Wasm, members, rest }))
}

/// What a section's head says: its number, and the length where it is not written in as few bytes as it takes.
pub(super) fn fields(head: &[u8], member: &Member) -> Vec<Field> {
    let (id, len) = head.split_at(1.min(head.len()));
    let shortest = (64 - (member.data.len | 1).leading_zeros()).div_ceil(7);
    let form =
        if len.len() as u64 == u64::from(shortest) { "shortest".to_owned() } else { format!("{} bytes", len.len()) };
    vec![Field::bytes(Group::Structure, "number", id), Field::text(Group::Form, "length, how it is written", form)]
}

/// An unsigned number of 32 bits in LEB128, and how many bytes it has.
fn number(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut value = 0;
    for (place, byte) in (0_u64..5).zip(bytes) {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return (value <= u64::from(u32::MAX)).then_some((value, place + 1));
        }
    }
    None
}

/// What a section is called, and what its data is.
fn named(id: u8, data: &[u8]) -> (Vec<u8>, Data) {
    let names = [
        "custom",
        "types",
        "imports",
        "functions",
        "tables",
        "memories",
        "globals",
        "exports",
        "start",
        "elements",
        "code",
        "data",
        "data count",
        "tags",
    ];
    if let (0, Some((len, digits))) = (id, number(data)) {
        let from = usize::try_from(digits).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
        if let Some(name) = data.get(from..to) {
            let data_is = if name == b"build_id" { Data::Field(Group::Identity) } else { Data::File };
            return (format!("custom {}", preview::name(name)).into_bytes(), data_is);
        }
    }
    let name = names.get(usize::from(id)).map_or_else(|| format!("section {id}"), |name| (*name).to_owned());
    (name.into_bytes(), Data::File)
}

#[cfg(test)]
mod tests {
    use reprove_model::FindingKind;

    use super::super::Bounds;
    use super::super::archive::tests::find_within;
    use super::{MAGIC, number};

    fn module(sections: &[(u8, &[u8])]) -> Vec<u8> {
        let section = |(id, data): &(u8, &[u8])| [&[*id, u8::try_from(data.len()).unwrap()], *data].concat();
        [MAGIC.to_vec(), sections.iter().flat_map(section).collect()].concat()
    }

    #[test]
    fn sections_are_told_apart() {
        let left = module(&[(1, b"types"), (0, b"\x08build_idone"), (10, b"code")]);
        let (findings, needs) =
            find_within(&left, &module(&[(1, b"types"), (0, b"\x08build_idtwo"), (10, b"code")]), &Bounds::default());
        assert_eq!((findings[0].kind, needs), (FindingKind::BuildIdentity, Some(vec!["wasm-identity".to_owned()])));
        let (findings, needs) =
            find_within(&left, &module(&[(1, b"types"), (0, b"\x08build_idone"), (10, b"cede")]), &Bounds::default());
        assert_eq!((findings[0].place.as_str(), needs), ("a!code", None));
        // The length of the first section in two bytes.
        let longer = [MAGIC, b"\x01\x85\0types", &left[MAGIC.len() + 7..]].concat();
        assert_eq!(find_within(&left, &longer, &Bounds::default()).1, Some(vec!["wasm-form".to_owned()]));
        let (findings, _) = find_within(&left, &left[..left.len() - 1], &Bounds::default());
        assert!(findings[0].summary.contains("the right one is not a WebAssembly module"), "{}", findings[0].summary);
    }

    #[test]
    fn lengths_have_32_bits() {
        assert_eq!(
            (number(b"\x05"), number(b"\x85\0"), number(b"\xff\xff\xff\xff\x0f")),
            (Some((5, 1)), Some((5, 2)), Some((u32::MAX.into(), 5)))
        );
        assert_eq!((number(b"\xff\xff\xff\xff\x1f"), number(b"\x80"), number(b"")), (None, None, None));
    }
}
