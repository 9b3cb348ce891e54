// SPDX-License-Identifier: Apache-2.0
//! Where everything in a zip archive is, as PKWARE's APPNOTE 6.3.10 has it, so that each byte belongs to one named part.
//!
//! Stricter than most readers: an archive whose parts overlap, or leave bytes after its end, has no layout.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::super::source::{Source, Span};
use super::super::{Bounds, order};
use super::records::{Central, End, Local, Reader, Zip64End, Zip64Locator};
use super::{record, times};

/// An archive's parts, in the order of the file: what is before the first entry; each entry's local header, data and what
/// follows it up to the next; the central directory; the end records.
pub(in crate::compare) struct Layout {
    /// What offsets in the archive are relative to.
    pub(super) base: u64,
    /// What is before the first entry.
    pub(super) prefix: Span,
    /// In the order of the central directory.
    pub(super) entries: Vec<Entry>,
    /// Whether one entry alone is the list of a wheel's files.
    pub(super) has_one_list: bool,
    /// The central directory.
    pub(super) directory: Vec<u8>,
    /// The end records, with the sizes and offsets that they ought to have.
    pub(super) end: EndRecords,
}

/// One entry.
pub(super) struct Entry {
    /// Its name, and which of the entries of this name it is.
    pub(super) key: (Vec<u8>, u32),
    /// Its header in [`Layout::directory`].
    pub(super) central: Range<usize>,
    /// Its local header.
    pub(super) local: Span,
    /// Its data, as compressed.
    pub(super) data: Span,
    /// What follows, up to the next entry or the central directory: a data descriptor, padding.
    pub(super) gap: Span,
    /// Bytes, as the central directory has them.
    pub(super) size: u64,
}

/// The records at the end, as they are.
pub(super) struct EndRecords {
    pub(super) zip64: Option<(Zip64End, Zip64Locator)>,
    pub(super) end: End,
    /// Where the central directory is, from [`Layout::base`] on.
    pub(super) directory: Span,
    /// Where the zip64 end record is, from [`Layout::base`] on.
    pub(super) zip64_offset: u64,
}

/// Why there is no layout; one line for a person.
pub(in crate::compare) type NoLayout = String;

impl Layout {
    /// The central header of one of [`Layout::entries`].
    pub(super) fn central(&self, entry: &Entry) -> Option<Central<'_>> {
        Central::read(&mut Reader::new(self.directory.get(entry.central.clone())?))
    }

    /// Whether the order of the entries says something that nothing else does.
    pub(super) fn order_decides(&self) -> bool {
        let is_link = |entry: &Entry| self.central(entry).is_some_and(|central| central.is_link());
        order::decides(self.entries.iter().map(|entry| (&*entry.key.0, is_link(entry))))
    }

    /// The times that the central directory says, taken as UTC, in seconds since 1970.
    pub(in crate::compare) fn times(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().filter_map(|entry| times::utc(&self.central(entry)?.common))
    }

    /// The keys of the entries in the order of their local headers.
    pub(super) fn by_position(&self) -> Vec<&Entry> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|entry| entry.local.start);
        entries
    }
}

/// Whether a file says that it is a zip archive: it begins with a local header, or ends with an end record.
pub(in crate::compare) fn claims_to_be(source: &Source<'_>) -> io::Result<bool> {
    let len = source.len();
    if len < End::LEN {
        return Ok(false);
    }
    if source.read(Span { start: 0, len: 4 })? == Local::SIGNATURE {
        return Ok(true);
    }
    Ok(find_end(source)?.is_some())
}

/// Finds the parts of an archive.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no archive, or more than the bounds allow.
pub(in crate::compare) fn layout(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Layout, NoLayout>> {
    let Some((end_start, end)) = find_end(source)? else {
        return Ok(Err("no end record closes it".to_owned()));
    };
    let zip64 = find_zip64(source, end_start)?;
    let directory_end = zip64.as_ref().map_or(end_start, |(start, _, _)| *start);
    let size = match &zip64 {
        Some((_, zip64, _)) if end.size == u32::MAX => zip64.size,
        _ => u64::from(end.size),
    };
    let offset = match &zip64 {
        Some((_, zip64, _)) if end.offset == u32::MAX => zip64.offset,
        _ => u64::from(end.offset),
    };
    if size > bounds.directory {
        return Ok(Err(format!("its central directory has {size} bytes; at most {} are read", bounds.directory)));
    }
    let Some(start) = directory_end.checked_sub(size) else {
        return Ok(Err("its central directory is longer than the file".to_owned()));
    };
    let Some(base) = start.checked_sub(offset) else {
        return Ok(Err("its central directory is not where its end record says".to_owned()));
    };
    let directory = source.read(Span { start, len: size })?;
    let entries = match entries(source, &directory, base, start)? {
        Ok(entries) => entries,
        Err(why) => return Ok(Err(why)),
    };
    let first = entries.iter().map(|entry| entry.local.start).min().unwrap_or(start);
    let zip64_offset = directory_end - base;
    let zip64 = zip64.map(|(_, end, locator)| (end, locator));
    let end = EndRecords { zip64, end, directory: Span { start: start - base, len: size }, zip64_offset };
    let has_one_list = entries.iter().filter(|entry| record::is_record(&entry.key.0)).count() == 1;
    Ok(Ok(Layout { base, prefix: Span { start: 0, len: first }, entries, has_one_list, directory, end }))
}

/// The last end record whose comment goes right up to the end of the file.
fn find_end(source: &Source<'_>) -> io::Result<Option<(u64, End)>> {
    let len = source.len();
    let start = len.saturating_sub(End::LEN + u64::from(u16::MAX));
    let tail = source.read(Span { start, len: len - start })?;
    let candidates = tail.windows(4).enumerate().rev().filter(|(_, bytes)| **bytes == End::SIGNATURE);
    for (at, _) in candidates {
        let mut reader = Reader::new(tail.get(at..).unwrap_or_default());
        if let Some(end) = End::read(&mut reader)
            && reader.is_empty()
        {
            return Ok(Some((start + at as u64, end)));
        }
    }
    Ok(None)
}

/// The zip64 end record and its locator, where they stand right before the end record.
fn find_zip64(source: &Source<'_>, end_start: u64) -> io::Result<Option<(u64, Zip64End, Zip64Locator)>> {
    /// Longer ones are never written: what may follow the fixed part is reserved.
    const MAX_RECORD: u64 = 1 << 20;
    let Some(locator_start) = end_start.checked_sub(Zip64Locator::LEN) else { return Ok(None) };
    let bytes = source.read(Span { start: locator_start, len: Zip64Locator::LEN })?;
    let Some(locator) = Zip64Locator::read(&mut Reader::new(&bytes)) else { return Ok(None) };
    // Right before the locator where nothing extends the record, else where the locator says.
    for start in [locator_start.checked_sub(Zip64End::LEN), Some(locator.offset)].into_iter().flatten() {
        let Some(len) = locator_start.checked_sub(start).filter(|len| *len <= MAX_RECORD) else { continue };
        let bytes = source.read(Span { start, len })?;
        if let Some(end) = Zip64End::read(&mut Reader::new(&bytes)) {
            return Ok(Some((start, end, locator)));
        }
    }
    Ok(None)
}

fn entries(
    source: &Source<'_>,
    directory: &[u8],
    base: u64,
    directory_start: u64,
) -> io::Result<Result<Vec<Entry>, NoLayout>> {
    let mut entries = Vec::new();
    let mut occurrences: BTreeMap<&[u8], u32> = BTreeMap::new();
    let mut reader = Reader::new(directory);
    while !reader.is_empty() {
        let start = directory.len() - reader.len();
        let Some(central) = Central::read(&mut reader) else {
            return Ok(Err(format!("its central directory breaks off at {start:#x}")));
        };
        let occurrence = occurrences.entry(central.name).or_default();
        let key = (central.name.to_vec(), *occurrence);
        *occurrence += 1;
        let Some((local, data)) = parts(source, &central, base)? else {
            return Ok(Err(format!("its entry {:?} has no local header", super::name(&key))));
        };
        let gap = Span { start: data.start.saturating_add(data.len), len: 0 };
        let size = central.sizes().size;
        entries.push(Entry { key, central: start..directory.len() - reader.len(), local, data, gap, size });
    }
    Ok(measure_gaps(&mut entries, directory_start).map(|()| entries))
}

fn parts(source: &Source<'_>, central: &Central<'_>, base: u64) -> io::Result<Option<(Span, Span)>> {
    let Some(start) = base.checked_add(central.sizes().offset) else { return Ok(None) };
    if start.checked_add(Local::LEN).is_none_or(|end| end > source.len()) {
        return Ok(None);
    }
    let fixed = source.read(Span { start, len: Local::LEN })?;
    let Some(len) = Local::whole_len(&fixed) else { return Ok(None) };
    let local = Span { start, len };
    Ok(start.checked_add(len).map(|data| (local, Span { start: data, len: central.sizes().compressed })))
}

fn measure_gaps(entries: &mut [Entry], directory_start: u64) -> Result<(), NoLayout> {
    let mut by_position: Vec<&mut Entry> = entries.iter_mut().collect();
    by_position.sort_by_key(|entry| entry.local.start);
    let mut next = directory_start;
    for entry in by_position.into_iter().rev() {
        let Some(gap) = next.checked_sub(entry.gap.start) else {
            return Err(format!("its entry {:?} overlaps what follows it", super::name(&entry.key)));
        };
        entry.gap.len = gap;
        next = entry.local.start;
    }
    Ok(())
}
