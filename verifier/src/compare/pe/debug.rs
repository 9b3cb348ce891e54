// SPDX-License-Identifier: Apache-2.0
//! What the directories lead to that says when, or as which build, a file was linked: the time of the exports, times in the
//! directory of debugging information, and the GUID of its CodeView record.

use std::io;

use super::super::archive::Data;
use super::super::field::Group;
use super::super::number::fixed;
use super::super::source::{Source, Span};
use super::super::tiled::Part;
use super::{Headers, time};

const ENTRY_LEN: u64 = 28;
/// The most entries that are looked at.
const MAX_ENTRIES: u64 = 64;
/// The longest CodeView record, in bytes: longer than any path.
const MAX_CODE_VIEW: u64 = 8 << 10;
const CODE_VIEW: u64 = 2;
/// Times are hashes.
const REPRODUCIBLE: u64 = 16;

/// Adds what may be told apart from the bytes of a section, in sections for reading alone. Gives whether what stands in the
/// place of times are hashes.
pub(super) fn marks(source: &Source<'_>, headers: &Headers, marks: &mut Vec<Part>) -> io::Result<bool> {
    let whole = |span: &Span| span.len > 0 && span.start.checked_add(span.len).is_some_and(|end| end <= source.len());
    let directory = |index: usize| headers.directories.get(index).and_then(|range| headers.place(*range)).filter(whole);
    let has_table = headers.directories.get(6).is_some_and(|(_, len)| *len > 0);
    let table = directory(6).filter(|table| table.len <= MAX_ENTRIES * ENTRY_LEN && table.len % ENTRY_LEN == 0);
    let bytes = table.map_or(Ok(Vec::new()), |table| source.read(table))?;
    let entries: Vec<Entry> = bytes.chunks_exact(28).filter_map(Entry::read).collect();
    let is_hash = (has_table && table.is_none()) || entries.iter().any(|entry| entry.kind == REPRODUCIBLE);
    let exports = directory(0).filter(|exports| exports.len >= 40 && headers.is_for_reading(*exports));
    if let Some(exports) = exports {
        marks.push(Part::new("time of the exports", exports.start + 4, 4, time(is_hash)));
    }
    let Some(table) = table.filter(|table| headers.is_for_reading(*table)) else { return Ok(is_hash) };
    for (at, entry) in (0..).map(|n| n * ENTRY_LEN).zip(&entries) {
        let start = table.start + at;
        marks.push(Part::table("directory of debugging information", start, &[("characteristics", 4)]));
        marks.push(Part::new("time of debugging information", start + 4, 4, time(is_hash)));
        let rest = [("version", 4), ("kind", 4), ("size", 4), ("address", 4), ("offset", 4)];
        marks.push(Part::table("directory of debugging information", start + 8, &rest));
        if entry.kind == CODE_VIEW
            && whole(&entry.data)
            && entry.data.len <= MAX_CODE_VIEW
            && headers.is_for_reading(entry.data)
            && is_code_view(&source.read(entry.data)?)
        {
            let at = entry.data.start;
            marks.push(Part::plain("CodeView record", at, 4));
            marks.push(Part::new("GUID of the CodeView record", at + 4, 16, Data::Field(Group::Identity)));
            marks.push(Part::plain("CodeView record", at + 20, entry.data.len - 20));
        }
    }
    Ok(is_hash)
}

/// An entry of the directory of debugging information.
struct Entry {
    kind: u64,
    data: Span,
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let number = |at| fixed(bytes, at, 4, false);
        Some(Self { kind: number(12)?, data: Span { start: number(24)?, len: number(16)? } })
    }
}

/// `RSDS`, a GUID, how often the file it names was written, and that file's path, with a zero at the end of the record.
fn is_code_view(record: &[u8]) -> bool {
    let path = record.strip_prefix(b"RSDS").and_then(|rest| rest.get(20..));
    path.is_some_and(|path| path.iter().position(|byte| *byte == 0) == path.len().checked_sub(1))
}
