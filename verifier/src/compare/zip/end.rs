// SPDX-License-Identifier: Apache-2.0
//! The end records of an archive as fields. What follows from the archive's other parts is set aside where it is right.

use super::entry::Item;
use super::layout::Layout;

/// The fields of the end records, and what offsets are relative to.
pub(super) fn items(layout: &Layout) -> Vec<Item> {
    let records = &layout.end;
    let entries = layout.entries.len() as u64;
    let end = &records.end;
    let text = |label: &str, value: String| Item::text(label, false, value);
    let numbers = [
        ("end record: entries on this disk", narrow(end.entries_here.into(), u16::MAX.into(), entries)),
        ("end record: entries", narrow(end.entries.into(), u16::MAX.into(), entries)),
        ("end record: directory size", narrow(end.size.into(), u32::MAX.into(), records.directory.len)),
        ("end record: directory offset", narrow(end.offset.into(), u32::MAX.into(), records.directory.start)),
        ("end record: disks", format!("{:?}", end.disks)),
        ("start of the offsets", format!("{:#x}", layout.base)),
    ];
    let mut items: Vec<_> = numbers.into_iter().map(|(label, value)| text(label, value)).collect();
    items.push(Item::bytes("comment", false, end.comment.clone()));
    let (zip64, extension) = match &records.zip64 {
        None => ("none".to_owned(), Vec::new()),
        Some((end, locator)) => {
            let fields = [
                ("versions", format!("{:?}", end.versions)),
                ("disks", format!("{:?}, {} of {}", end.disks, locator.disk, locator.disks)),
                ("entries on this disk", wide(end.entries_here, entries)),
                ("entries", wide(end.entries, entries)),
                ("directory size", wide(end.size, records.directory.len)),
                ("directory offset", wide(end.offset, records.directory.start)),
                ("offset", wide(locator.offset, records.zip64_offset)),
            ];
            let fields = fields.map(|(label, value)| format!("{label} {value}"));
            (fields.join("; "), end.extension.clone())
        }
    };
    items.push(text("zip64 end record", zip64));
    items.push(Item::bytes("zip64 end record: extension", false, extension));
    items
}

fn narrow(written: u64, all_ones: u64, found: u64) -> String {
    if written == all_ones { "zip64".to_owned() } else { wide(written, found) }
}

fn wide(written: u64, found: u64) -> String {
    if written == found { "as found".to_owned() } else { written.to_string() }
}
