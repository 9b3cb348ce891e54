// SPDX-License-Identifier: Apache-2.0
//! Load commands: what they are called, their fields, and what each leads to.

use super::super::code::Machine;

/// How many bytes a field has.
#[derive(Clone, Copy)]
pub(super) enum Len {
    Bytes(usize),
    /// 4 or 8, as addresses have.
    Word,
    /// So many where addresses have 64 bits; else the field is not there.
    In64(usize),
}

pub(super) type Field = (&'static str, Len);

use Len::{Bytes, In64, Word};

impl Len {
    /// `None`: the field is not there.
    pub(super) fn bytes(self, is_64: bool) -> Option<usize> {
        match self {
            Bytes(len) => Some(len),
            Word => Some(if is_64 { 8 } else { 4 }),
            In64(len) => is_64.then_some(len),
        }
    }
}

pub(super) const HEADER: &[Field] = &[
    ("kind", Bytes(4)),
    ("processor", Bytes(4)),
    ("model of the processor", Bytes(4)),
    ("type", Bytes(4)),
    ("number of load commands", Bytes(4)),
    ("size of the load commands", Bytes(4)),
    ("flags", Bytes(4)),
    ("reserved", In64(4)),
];

pub(super) const SEGMENT: &[Field] = &[
    ("command", Bytes(4)),
    ("size of the command", Bytes(4)),
    ("name", Bytes(16)),
    ("address", Word),
    ("size in memory", Word),
    ("offset", Word),
    ("size in the file", Word),
    ("largest protection", Bytes(4)),
    ("protection", Bytes(4)),
    ("number of sections", Bytes(4)),
    ("flags", Bytes(4)),
];

pub(super) const SECTION: &[Field] = &[
    ("name", Bytes(16)),
    ("segment", Bytes(16)),
    ("address", Word),
    ("size", Word),
    ("offset", Bytes(4)),
    ("alignment", Bytes(4)),
    ("offset of the relocations", Bytes(4)),
    ("number of relocations", Bytes(4)),
    ("flags", Bytes(4)),
    ("reserved 1", Bytes(4)),
    ("reserved 2", Bytes(4)),
    ("reserved 3", In64(4)),
];

pub(super) const ARCHITECTURE: &[Field] = &[
    ("processor", Bytes(4)),
    ("model of the processor", Bytes(4)),
    ("offset", Word),
    ("size", Word),
    ("alignment", Bytes(4)),
    ("reserved", In64(4)),
];

/// What a command is.
pub(super) enum Kind {
    Segment,
    Uuid,
    Symbols,
    /// It leads to tables: what each is called, where in the command its offset is, which the number of its rows follows, and
    /// how many bytes a row has.
    Leads(&'static [(&'static str, usize, u64)]),
    Other,
}

/// The number of the command with the UUID.
pub(super) const UUID: u64 = 0x1b;

/// What a command is called, and what it is.
pub(super) fn named(command: u64) -> (String, Kind) {
    // What a loader must understand has this bit.
    let (name, kind) = match command & !0x8000_0000 {
        0x01 => ("LC_SEGMENT", Kind::Segment),
        0x02 => ("LC_SYMTAB", Kind::Symbols),
        0x05 => ("LC_UNIXTHREAD", Kind::Other),
        0x0b => ("LC_DYSYMTAB", Kind::Leads(DYNAMIC)),
        0x0c => ("LC_LOAD_DYLIB", Kind::Other),
        0x0d => ("LC_ID_DYLIB", Kind::Other),
        0x0e => ("LC_LOAD_DYLINKER", Kind::Other),
        0x18 => ("LC_LOAD_WEAK_DYLIB", Kind::Other),
        0x19 => ("LC_SEGMENT_64", Kind::Segment),
        UUID => ("LC_UUID", Kind::Uuid),
        0x1c => ("LC_RPATH", Kind::Other),
        0x1d => ("LC_CODE_SIGNATURE", Kind::Leads(&[("code signature", 8, 1)])),
        0x1e => ("LC_SEGMENT_SPLIT_INFO", Kind::Leads(&[("split of segments", 8, 1)])),
        0x22 => ("LC_DYLD_INFO", Kind::Leads(LINKING)),
        0x24 => ("LC_VERSION_MIN_MACOSX", Kind::Other),
        0x26 => ("LC_FUNCTION_STARTS", Kind::Leads(&[("starts of functions", 8, 1)])),
        0x28 => ("LC_MAIN", Kind::Other),
        0x29 => ("LC_DATA_IN_CODE", Kind::Leads(&[("data in code", 8, 1)])),
        0x2a => ("LC_SOURCE_VERSION", Kind::Other),
        0x2b => ("LC_DYLIB_CODE_SIGN_DRS", Kind::Leads(&[("requirements on libraries", 8, 1)])),
        0x2e => ("LC_LINKER_OPTIMIZATION_HINT", Kind::Leads(&[("optimization hints", 8, 1)])),
        0x32 => ("LC_BUILD_VERSION", Kind::Other),
        0x33 => ("LC_DYLD_EXPORTS_TRIE", Kind::Leads(&[("exports", 8, 1)])),
        0x34 => ("LC_DYLD_CHAINED_FIXUPS", Kind::Leads(&[("fixups", 8, 1)])),
        _ => return (format!("load command {command:#x}"), Kind::Other),
    };
    (name.to_owned(), kind)
}

const DYNAMIC: &[(&str, usize, u64)] = &[
    ("references to symbols", 8 + 40, 4),
    ("indirect symbols", 8 + 48, 4),
    ("external relocations", 8 + 56, 8),
    ("local relocations", 8 + 64, 8),
];

const LINKING: &[(&str, usize, u64)] =
    &[("rebasing", 8, 1), ("binding", 16, 1), ("weak binding", 24, 1), ("lazy binding", 32, 1), ("exports", 40, 1)];

/// The flags of sections that have code, in the whole or in part.
pub(super) const IS_CODE: u64 = 0x8000_0000 | 0x400;

/// What the instructions of this processor are told as.
pub(super) fn instructions(processor: u64) -> Option<Machine> {
    match processor {
        7 => Some(Machine::X86),
        0x0100_0007 => Some(Machine::X86_64),
        0x0100_000c | 0x0200_000c => Some(Machine::Arm64),
        _ => None,
    }
}

/// What an architecture is called.
pub(super) fn architecture(processor: u64, model: u64) -> String {
    let name = match (processor, model & 0x00ff_ffff) {
        (7, _) => "i386",
        (0x0100_0007, 8) => "x86_64h",
        (0x0100_0007, _) => "x86_64",
        (0x0100_000c, 2) => "arm64e",
        (0x0100_000c, _) => "arm64",
        (0x0200_000c, _) => "arm64_32",
        (12, 9) => "armv7",
        (18, _) => "ppc",
        (0x0100_0012, _) => "ppc64",
        _ => return format!("processor {processor:#x}, {model:#x}"),
    };
    name.to_owned()
}
