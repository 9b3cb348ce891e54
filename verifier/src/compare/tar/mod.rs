// SPDX-License-Identifier: Apache-2.0
//! tar archives: POSIX.1-2017 (ustar and pax), GNU tar's own kind, and what was there before.
//!
//! A member's head is all that stands before its data: extended headers, long names, maps of holes, then its own header.

mod head;
mod pax;

use std::io;

pub(super) use self::head::fields;
use self::head::{Header, Records};
use super::Bounds;
use super::archive::{Archive, Data, Keys, Member};
use super::format::Format;
use super::source::{Source, Span};

/// What everything in a tar archive is padded to.
pub(super) const BLOCK: u64 = 512;

/// The most bytes that stand before one member's data.
const MAX_HEAD: u64 = 1 << 20;

/// Whether a file that begins so begins with a header: its checksum is right, and the rest of it is not against that.
pub(super) fn is_header(first: &[u8]) -> bool {
    Header::of(first).is_some_and(|header| header.is_likely())
}

/// Finds the members.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no archive, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Archive, String>> {
    let (mut members, mut keys) = (Vec::new(), Keys::default());
    let mut at = 0;
    // Two blocks of zeros end an archive, and so does the end of the file.
    while at < source.len() {
        let first = source.read(Span { start: at, len: BLOCK.min(source.len() - at) })?;
        if first.iter().all(|byte| *byte == 0) {
            break;
        }
        if members.len() >= bounds.members {
            return Ok(Err(format!("it has more than {} members", bounds.members)));
        }
        let (member, name) = match member(source, at, first)? {
            Ok(member) => member,
            Err(why) => return Ok(Err(why)),
        };
        at = member.tail.start + member.tail.len;
        members.push(Member { key: keys.of(&name), ..member });
    }
    let at = at.min(source.len());
    let rest = Span { start: at, len: source.len() - at };
    Ok(Ok(Archive { format: Format::Tar, members, rest }))
}

/// The member from `start` on, and its name.
fn member(source: &Source<'_>, start: u64, first: Vec<u8>) -> io::Result<Result<(Member, Vec<u8>), String>> {
    let mut records = Records::default();
    let mut block = first;
    let mut at = start;
    loop {
        let Some(header) = Header::of(&block) else {
            return Ok(Err(format!("there is no member's header at {at:#x}")));
        };
        at += BLOCK;
        let Some(size) = header.size() else {
            return Ok(Err(format!("the header at {:#x} has no size", at - BLOCK)));
        };
        if header.is_extension() {
            let end = at.checked_add(size).filter(|end| *end <= source.len());
            let (Some(end), true) = (end, (at - start).saturating_add(size) <= MAX_HEAD) else {
                return Ok(Err(format!("what extends the header at {:#x} is too long", at - BLOCK)));
            };
            records.add(&header, source.read(Span { start: at, len: size })?);
            at = end.next_multiple_of(BLOCK);
            if at > source.len() {
                return Ok(Err("it ends within a member's header".to_owned()));
            }
            block = source.read(Span { start: at, len: BLOCK.min(source.len() - at) })?;
            continue;
        }
        at = match past_map(source, at, &header, start)? {
            Ok(at) => at,
            Err(why) => return Ok(Err(why)),
        };
        let head = Span { start, len: at - start };
        let len = if header.has_data() { records.size().unwrap_or(size) } else { 0 };
        let data = Span { start: at, len };
        let Some(end) = at.checked_add(len).filter(|end| *end <= source.len()) else {
            return Ok(Err(format!("the member at {start:#x} is longer than the file")));
        };
        let tail = Span { start: end, len: (end.next_multiple_of(BLOCK) - end).min(source.len() - end) };
        let name = records.name().unwrap_or_else(|| header.name());
        let data_is = header.special().map_or(Data::File, Data::Special);
        return Ok(Ok((Member { key: Default::default(), head, data, tail, data_is }, name)));
    }
}

/// Where the data begins: behind the blocks that go on with a GNU sparse file's map.
fn past_map(source: &Source<'_>, mut at: u64, header: &Header<'_>, start: u64) -> io::Result<Result<u64, String>> {
    let mut goes_on = header.has_more_map();
    while goes_on {
        if at - start > MAX_HEAD || at + BLOCK > source.len() {
            return Ok(Err(format!("the map of holes of the member at {start:#x} is too long")));
        }
        goes_on = source.read(Span { start: at + 504, len: 1 })? != [0];
        at += BLOCK;
    }
    Ok(Ok(at))
}

#[cfg(test)]
mod tests;
