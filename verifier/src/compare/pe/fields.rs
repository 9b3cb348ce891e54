// SPDX-License-Identifier: Apache-2.0
//! The fields of each header, in their order, and how many bytes each has.

use super::super::code::Machine;

/// The fields of one header.
pub(super) type Fields = &'static [(&'static str, usize)];

/// What is before the time, and after it.
pub(super) const COFF_HEADER: (Fields, Fields) = (
    &[("machine", 2), ("number of sections", 2)],
    &[
        ("offset of the symbols", 4),
        ("number of symbols", 4),
        ("size of the optional header", 2),
        ("characteristics", 2),
    ],
);

pub(super) const SECTION: Fields = &[
    ("name", 8),
    ("virtual size", 4),
    ("address", 4),
    ("size", 4),
    ("offset", 4),
    ("offset of the relocations", 4),
    ("offset of the line numbers", 4),
    ("number of relocations", 2),
    ("number of line numbers", 2),
    ("characteristics", 4),
];

/// The optional header up to the checksum.
pub(super) const OPTIONAL_START_32: Fields = &[
    ("kind", 2),
    ("version of the linker", 2),
    ("size of code", 4),
    ("size of initialized data", 4),
    ("size of uninitialized data", 4),
    ("entry point", 4),
    ("base of code", 4),
    ("base of data", 4),
    ("base of the image", 4),
    ("alignment of sections", 4),
    ("alignment in the file", 4),
    ("version of the operating system", 4),
    ("version of the image", 4),
    ("version of the subsystem", 4),
    ("version of Windows", 4),
    ("size of the image", 4),
    ("size of the headers", 4),
];

/// The same, with addresses of 64 bits.
pub(super) const OPTIONAL_START_64: Fields = &[
    ("kind", 2),
    ("version of the linker", 2),
    ("size of code", 4),
    ("size of initialized data", 4),
    ("size of uninitialized data", 4),
    ("entry point", 4),
    ("base of code", 4),
    ("base of the image", 8),
    ("alignment of sections", 4),
    ("alignment in the file", 4),
    ("version of the operating system", 4),
    ("version of the image", 4),
    ("version of the subsystem", 4),
    ("version of Windows", 4),
    ("size of the image", 4),
    ("size of the headers", 4),
];

/// What is between the checksum and the directories.
pub(super) const OPTIONAL_END_32: Fields = &[
    ("subsystem", 2),
    ("characteristics", 2),
    ("reserve of the stack", 4),
    ("commit of the stack", 4),
    ("reserve of the heap", 4),
    ("commit of the heap", 4),
    ("flags of the loader", 4),
    ("number of directories", 4),
];

/// The same, with sizes of 64 bits.
pub(super) const OPTIONAL_END_64: Fields = &[
    ("subsystem", 2),
    ("characteristics", 2),
    ("reserve of the stack", 8),
    ("commit of the stack", 8),
    ("reserve of the heap", 8),
    ("commit of the heap", 8),
    ("flags of the loader", 4),
    ("number of directories", 4),
];

pub(super) const DIRECTORY: Fields = &[("address", 4), ("size", 4)];

/// What each directory in the optional header leads to.
pub(super) const DIRECTORIES: [&str; 16] = [
    "exports",
    "imports",
    "resources",
    "exceptions",
    "signatures",
    "base relocations",
    "debugging information",
    "architecture",
    "global pointer",
    "thread-local storage",
    "load configuration",
    "bound imports",
    "import addresses",
    "delayed imports",
    "CLR header",
    "reserved",
];

/// What instructions of this machine are told as.
pub(super) fn machine(machine: u64) -> Option<Machine> {
    match machine {
        0x014c => Some(Machine::X86),
        0x8664 => Some(Machine::X86_64),
        0xaa64 => Some(Machine::Arm64),
        _ => None,
    }
}

/// Where in the optional header the directories begin.
pub(super) fn before_directories(is_64: bool) -> usize {
    let (first, second) =
        if is_64 { (OPTIONAL_START_64, OPTIONAL_END_64) } else { (OPTIONAL_START_32, OPTIONAL_END_32) };
    [first, &[("checksum", 4)], second].concat().iter().map(|(_, len)| len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_long_as_they_are() {
        let len = |fields: Fields| fields.iter().map(|(_, len)| len).sum::<usize>();
        assert_eq!((len(OPTIONAL_START_32), len(OPTIONAL_START_64), len(SECTION)), (64, 64, 40));
        assert_eq!((before_directories(false), before_directories(true)), (96, 112));
        assert_eq!(len(COFF_HEADER.0) + 4 + len(COFF_HEADER.1), 20);
    }
}
