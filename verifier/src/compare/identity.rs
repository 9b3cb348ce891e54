// SPDX-License-Identifier: Apache-2.0
//! What names a build inside an ELF file: a section's name says that it is one, its bytes whether they are nothing else.

use object::{Endian as _, Endianness, elf};

/// The longest section that is looked at, in bytes: longer than any path.
pub(super) const MAX: u64 = 8 << 10;
/// The longest build-id, in bytes.
const MAX_ID: usize = 64;

/// Whether a section of this name, type and flags has a name of the build and nothing else in it.
pub(super) fn is_identity(
    name: &[u8],
    (kind, flags): (elf::SectionType, elf::SectionFlags),
    data: &[u8],
    endian: Endianness,
) -> bool {
    let has = |flag: elf::SectionFlags| flags.0 & flag.0 != 0;
    if has(elf::SHF_EXECINSTR) || has(elf::SHF_WRITE) {
        return false;
    }
    match name {
        b".note.gnu.build-id" => kind == elf::SHT_NOTE && is_note(data, endian),
        b".gnu_debuglink" => !has(elf::SHF_ALLOC) && is_link(data),
        b".gnu_debugaltlink" => !has(elf::SHF_ALLOC) && is_alternative_link(data),
        _ => false,
    }
}

/// One note with a build-id, up to the end: the lengths of its name and of the build-id, its type, its name, the build-id,
/// zeros up to a multiple of 4.
fn is_note(data: &[u8], endian: Endianness) -> bool {
    let Some((head, rest)) = data.split_first_chunk::<16>() else { return false };
    let [l0, l1, l2, l3, i0, i1, i2, i3, t0, t1, t2, t3, name @ ..] = *head;
    let number = |bytes| usize::try_from(endian.read_u32(bytes)).unwrap_or(usize::MAX);
    let (id, kind) = (number([i0, i1, i2, i3]), endian.read_u32([t0, t1, t2, t3]));
    let is_named = number([l0, l1, l2, l3]) == 4 && kind == 3 && name == *b"GNU\0";
    is_named && id <= MAX_ID && is_padding(rest, id)
}

/// A file's name, zeros up to a multiple of 4, and the file's checksum.
fn is_link(data: &[u8]) -> bool {
    let Some((before, _)) = data.split_last_chunk::<4>() else { return false };
    let name = before.split(|byte| *byte == 0).next().unwrap_or_default();
    before.len() > name.len() && is_padding(before, name.len() + 1)
}

/// A file's name, a zero, and the file's build-id.
fn is_alternative_link(data: &[u8]) -> bool {
    let end = data.iter().position(|byte| *byte == 0);
    end.is_some_and(|end| (1..=MAX_ID).contains(&(data.len() - end - 1)))
}

/// Whether what comes after `len` bytes is the zeros that make them a multiple of 4.
fn is_padding(data: &[u8], len: usize) -> bool {
    let padding = data.get(len..).filter(|_| data.len() == len.next_multiple_of(4));
    padding.is_some_and(|padding| padding.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A note with this build-id, little-endian.
    pub(in crate::compare) fn note(id: &[u8]) -> Vec<u8> {
        let len = u32::try_from(id.len()).unwrap();
        let mut bytes = [&[4, len, 3].map(u32::to_le_bytes).concat()[..], b"GNU\0", id].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn names_of_a_build_are_nothing_else() {
        let is = |name: &str, kind, flags: elf::SectionFlags, data: &[u8]| {
            is_identity(name.as_bytes(), (kind, flags), data, Endianness::Little)
        };
        let (none, progbits) = (elf::SectionFlags(0), elf::SHT_PROGBITS);
        let id = |data: &[u8]| is(".note.gnu.build-id", elf::SHT_NOTE, elf::SHF_ALLOC, data);
        assert!(id(&note(b"one")) && id(&note(&[1; 20])) && id(&note(&[1; 64])));
        let mut other_type = note(b"one");
        other_type[8] = 1;
        let two = note(b"one").repeat(2);
        for no in [&note(&[1; 65])[..], &other_type, &two, b"", b"one", &[&note(b"id")[..15], b"x"].concat()] {
            assert!(!id(no), "{no:?}");
        }
        assert!(!is(".note.gnu.build-id", progbits, none, &note(b"one")));
        let link = |flags, data: &[u8]| is(".gnu_debuglink", progbits, flags, data);
        let alternative = |flags, data: &[u8]| is(".gnu_debugaltlink", progbits, flags, data);
        assert!(link(none, b"a.debug\0CRC!") && link(none, b"a\0\0\0CRC!"));
        for no in [&b"a\0xxCRC!"[..], b"a\0\0\0\0\0\0\0CRC!", b"abcdCRC!", b"a\0", b""] {
            assert!(!link(none, no), "{no:?}");
        }
        assert!(alternative(none, b"a\0id") && !alternative(none, b"a\0") && !alternative(none, b"no end"));
        let long = [b"a\0", &[1; 65][..]].concat();
        assert!(!alternative(none, &long));
        for flag in [elf::SHF_EXECINSTR, elf::SHF_WRITE, elf::SHF_ALLOC] {
            assert!(!link(flag, b"a.debug\0CRC!") && !alternative(flag, b"a\0id"));
            let stays = flag == elf::SHF_ALLOC;
            assert_eq!(is(".note.gnu.build-id", elf::SHT_NOTE, flag, &note(b"one")), stays);
        }
    }
}
