// SPDX-License-Identifier: Apache-2.0
//! What the directories lead to that says when, or as which build, a file was linked: the time of the exports, times in the
//! directory of debugging information, and the GUID of its CodeView record.

use std::io;

use super::super::archive::Data;
use super::super::field::Group;
use super::super::number::fixed;
use super::super::source::{Source, Span};
use super::super::tiled::Part;
use super::{Headers, MAX_NAME, time};

const ENTRY_LEN: u64 = 28;
/// The most entries that are looked at.
const MAX_ENTRIES: u64 = 64;
/// The longest CodeView record, in bytes: longer than any path.
const MAX_CODE_VIEW: u64 = 8 << 10;
/// How long a directory of exports is.
const EXPORTS_LEN: u64 = 40;
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
    if let Some(exports) = directory(0).filter(|exports| exports.len >= EXPORTS_LEN)
        && is_exports(source, headers, exports)?
    {
        marks.push(Part::new("time of the exports", exports.start + 4, 4, time(!is_hash)));
    }
    let Some(table) = table.filter(|table| headers.is_for_reading(*table)) else { return Ok(is_hash) };
    // Of several records, who knows which is read.
    let has_one = entries.iter().filter(|entry| entry.kind == CODE_VIEW).count() == 1;
    for (at, entry) in (0..).map(|n| n * ENTRY_LEN).zip(&entries) {
        let start = table.start + at;
        marks.push(Part::table("directory of debugging information", start, &[("characteristics", 4)]));
        marks.push(Part::new("time of debugging information", start + 4, 4, time(!is_hash)));
        let rest = [("version", 4), ("kind", 4), ("size", 4), ("address", 4), ("offset", 4)];
        marks.push(Part::table("directory of debugging information", start + 8, &rest));
        if has_one
            && entry.kind == CODE_VIEW
            && whole(&entry.data)
            && headers.place((entry.address, entry.data.len)) == Some(entry.data)
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
    /// Where the data is in memory, and where in the file.
    address: u64,
    data: Span,
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let number = |at| fixed(bytes, at, 4, false);
        let data = Span { start: number(24)?, len: number(16)? };
        Some(Self { kind: number(12)?, address: number(20)?, data })
    }
}

/// `RSDS`, a GUID, how often the file it names was written, and that file's path, with a zero at the end of the record.
fn is_code_view(record: &[u8]) -> bool {
    let path = record.strip_prefix(b"RSDS").and_then(|rest| rest.get(20..));
    let end = path.and_then(|path| Some((path.iter().position(|byte| *byte == 0)?, path.len())));
    end.is_some_and(|(zero, len)| zero + 1 == len)
}

/// Whether there is a directory of exports: of a file with a name, with tables that are there, and all of it for reading.
fn is_exports(source: &Source<'_>, headers: &Headers, exports: Span) -> io::Result<bool> {
    let bytes = source.read(Span { len: EXPORTS_LEN, ..exports })?;
    let number = |at| fixed(&bytes, at, 4, false).unwrap_or_default();
    let place = |at: usize, len: u64| headers.place((number(at), len)).filter(|span| headers.is_for_reading(*span));
    let (functions, names) = (number(20), number(24));
    let tables = [(28, 4 * functions), (32, 4 * names), (36, 2 * names)];
    let has_tables = tables.into_iter().all(|(at, len)| len == 0 || place(at, len).is_some());
    let name = place(12, 1).filter(|name| number(0) == 0 && has_tables && name.start < source.len());
    let Some(name) = name else { return Ok(false) };
    let len = (source.len() - name.start).min(MAX_NAME as u64);
    let name = source.read(Span { len, ..name })?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or_default();
    let is_name = end > 0 && name.iter().take(end).all(|byte| matches!(byte, b' '..=b'~'));
    Ok(is_name && headers.is_for_reading(exports))
}
