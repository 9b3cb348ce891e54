// SPDX-License-Identifier: Apache-2.0
//! PDF files (ISO 32000-2): objects by their numbers, dictionaries by their names, what streams expand to as files, tables of
//! where objects are; the times of the document and the names that it goes by, where they are written as such.

mod apart;
mod free;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use self::apart::Apart;
use self::scan::{Entry, Scan, decoded};
use super::Bounds;
use super::archive::{Archive, Data, Keys, Member};
use super::field::Group;
use super::format::Format;
use super::preview;
use super::room::Room;
use super::source::{Source, Span};

/// The largest file that is looked into, in bytes.
const MAX_LEN: u64 = 64 << 20;
/// The most entries of all dictionaries and tables together.
const MAX_ENTRIES: usize = 500_000;
/// How much of one name is kept, in bytes. The entry has it whole.
const MAX_NAME: usize = 256;
/// How many bytes an entry of a table of objects has.
const ROW: usize = 20;

pub(super) const MAGIC: &[u8] = b"%PDF-";

/// Finds the parts.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no such file, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Archive, String>> {
    if source.len() > MAX_LEN {
        return Ok(Err(format!("it has more than {MAX_LEN} bytes")));
    }
    let bytes = source.read(source.whole())?;
    Ok(pieces(&bytes, bounds.members)
        .and_then(|(pieces, end)| Maker::new(&bytes, &pieces, bounds).archive(&pieces, end)))
}

/// What stands one after the other in a file.
struct Piece {
    kind: Kind,
    start: usize,
    end: usize,
    /// Where what is in its dictionary stands.
    entries: Vec<Entry>,
    /// The bytes of its stream.
    stream: Option<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Header,
    Object(u64, u64),
    /// A table of where objects are.
    Table,
    Trailer,
    /// Where the table is.
    Start,
}

/// All pieces; and where they end. What is behind the last end of the file may be anything.
fn pieces(bytes: &[u8], most: usize) -> Result<(Vec<Piece>, usize), String> {
    let mut scan = Scan { bytes, at: 0 };
    scan.skip_space();
    let mut all = vec![Piece { kind: Kind::Header, start: 0, end: scan.at, entries: Vec::new(), stream: None }];
    let (mut left, mut has_end) = (MAX_ENTRIES, false);
    while scan.at < bytes.len() {
        let start = scan.at;
        let Some((kind, entries, stream)) = piece(&mut scan, left) else {
            return if has_end { Ok((all, start)) } else { Err(format!("there is no whole object at {start:#x}")) };
        };
        scan.skip_space();
        left = left.checked_sub(entries.len()).ok_or_else(|| format!("it has more than {MAX_ENTRIES} entries"))?;
        has_end |= kind == Kind::Start;
        if all.len() >= most {
            return Err(format!("it has more than {most} parts"));
        }
        all.push(Piece { kind, start, end: scan.at, entries, stream });
    }
    if has_end { Ok((all, bytes.len())) } else { Err("it has no end".to_owned()) }
}

type Found = (Kind, Vec<Entry>, Option<(usize, usize)>);

/// The piece that comes next.
fn piece(scan: &mut Scan<'_>, most: usize) -> Option<Found> {
    if let Some((number, generation)) = scan.named(b"obj") {
        scan.skip_space();
        let entries = if scan.rest().starts_with(b"<<") {
            scan.dictionary(most)?
        } else if scan.rest().starts_with(b"endobj") {
            Vec::new()
        } else {
            scan.value().map(|()| Vec::new())?
        };
        scan.skip_space();
        let mut stream = None;
        if !entries.is_empty() && scan.word(b"stream") {
            let len = entry(scan, &entries, b"/Length").and_then(|value| Scan { bytes: value, at: 0 }.whole_number());
            stream = Some(scan.stream(len)?);
            scan.skip_space();
        }
        scan.word(b"endobj").then_some(())?;
        return Some((Kind::Object(number, generation), entries, stream));
    }
    if scan.word(b"xref") {
        return table(scan, most).map(|rows| (Kind::Table, rows, None));
    }
    if scan.word(b"trailer") {
        scan.skip_space();
        return Some((Kind::Trailer, scan.dictionary(most)?, None));
    }
    scan.word(b"startxref").then_some(())?;
    scan.skip_space();
    let start = scan.at;
    scan.number()?;
    Some((Kind::Start, vec![Entry { name: (start, start), number: None, value: (start, scan.at) }], None))
}

/// The rows of a table.
fn table(scan: &mut Scan<'_>, most: usize) -> Option<Vec<Entry>> {
    let mut rows = Vec::new();
    loop {
        scan.skip_space();
        let mut ahead = Scan { bytes: scan.bytes, at: scan.at };
        let Some(first) = ahead.number() else { return Some(rows) };
        ahead.skip_space();
        let count = ahead.number()?;
        ahead.skip_space();
        scan.at = ahead.at;
        for number in 0..count {
            let (start, end) = (scan.at, scan.at.checked_add(ROW)?);
            (end <= scan.bytes.len() && rows.len() < most).then_some(())?;
            let number = Some(first.checked_add(number)?);
            rows.push(Entry { name: (start, start), number, value: (start, end) });
            scan.at = end;
        }
    }
}

/// The value of this name; `None` where it is not there, or twice.
fn entry<'a>(scan: &Scan<'a>, entries: &[Entry], name: &[u8]) -> Option<&'a [u8]> {
    let mut all = entries_of(scan, entries, name);
    let first = all.next().filter(|_| all.next().is_none())?;
    Some(scan.part(first.value))
}

/// All entries of this name, however that is written.
fn entries_of<'a>(scan: &Scan<'a>, entries: &'a [Entry], name: &'a [u8]) -> impl Iterator<Item = &'a Entry> {
    let scan = Scan { bytes: scan.bytes, at: 0 };
    entries.iter().filter(move |entry| *decoded(scan.part(entry.name)) == *name)
}

impl Scan<'_> {
    /// The number that the whole is.
    fn whole_number(mut self) -> Option<u64> {
        self.number().filter(|_| self.rest().is_empty())
    }
}

/// The parts so far.
struct Maker<'a> {
    scan: Scan<'a>,
    members: Vec<Member>,
    keys: Keys,
    room: Room,
    max: usize,
    /// What the file says is about the document, and nothing else.
    about: BTreeSet<(u64, u64)>,
    /// Whether times and names of the document say nothing about other bytes: nothing is encrypted with them, or signed.
    is_free: bool,
}

impl<'a> Maker<'a> {
    fn new(bytes: &'a [u8], pieces: &[Piece], bounds: &Bounds) -> Self {
        let scan = Scan { bytes, at: 0 };
        let leads = |piece: &Piece| is_trailer(&scan, piece);
        let about = pieces.iter().filter(|piece| leads(piece)).filter_map(|piece| {
            let value = entry(&scan, &piece.entries, b"/Info")?;
            Scan { bytes: value, at: 0 }.named(b"R")
        });
        let mut known = BTreeMap::new();
        about.for_each(|object| *known.entry(object).or_default() += 1);
        let inner = free::inner(&scan, pieces);
        let is_free = free::is_free(bytes, inner.as_deref());
        let about = free::alone(known, bytes, &inner.unwrap_or_default());
        let (members, keys, room) = Default::default();
        Self { scan, members, keys, room, max: bounds.members, about, is_free }
    }

    fn archive(mut self, pieces: &[Piece], end: usize) -> Result<Archive, String> {
        for piece in pieces {
            self.piece(piece)?;
        }
        let rest = Span { start: end as u64, len: self.scan.bytes.len().saturating_sub(end) as u64 };
        Ok(Archive { format: Format::Pdf, members: self.members, rest })
    }

    fn piece(&mut self, piece: &Piece) -> Result<(), String> {
        let name = match piece.kind {
            Kind::Header => "header".to_owned(),
            Kind::Object(number, generation) => format!("object {number} {generation}"),
            Kind::Table => "table of objects".to_owned(),
            Kind::Trailer => "trailer".to_owned(),
            Kind::Start => "place of the table".to_owned(),
        };
        let mut rows = Vec::new();
        let mut at = piece.start;
        let apart = self.apart(piece);
        for (number, each) in piece.entries.iter().enumerate() {
            let label = match (piece.kind, each.number) {
                (_, Some(object)) => format!("object {object}"),
                (Kind::Start, _) => "offset".to_owned(),
                _ => preview::name(self.scan.part((each.name.0, each.name.1.min(each.name.0 + MAX_NAME)))),
            };
            // What stands before a value belongs to it, but where that is a part of its own.
            match apart.iter().find(|(at, _)| *at == number) {
                Some((_, group)) => {
                    self.row(&mut rows, "what is before it", each.value.0 - at)?;
                    self.table(&name, each.value.0, &mut rows)?;
                    self.part(&format!("{name} {label}"), each.value, Data::Field(*group))?;
                }
                None => self.row(&mut rows, &label, each.value.1 - at)?,
            }
            at = each.value.1;
        }
        if let Some(stream) = piece.stream {
            self.row(&mut rows, "what is before the stream", stream.0 - at)?;
            self.table(&name, stream.0, &mut rows)?;
            let ending = if entry(&self.scan, &piece.entries, b"/Subtype") == Some(b"/XML") { ".xml" } else { "" };
            // What is signed is the compressed bytes.
            let data_is = match is_zlib(&self.scan, piece, stream) {
                true if self.is_free => Data::Zlib,
                true => Data::SignedZlib,
                false => Data::File,
            };
            self.part(&format!("{name} stream{ending}"), stream, data_is)?;
            at = stream.1;
        }
        self.row(&mut rows, if piece.entries.is_empty() { "what it is" } else { "end" }, piece.end - at)?;
        self.table(&name, piece.end, &mut rows)
    }

    /// The entries that are told apart from all others: which they are, and what.
    fn apart(&self, piece: &Piece) -> Vec<(usize, Group)> {
        let is_about =
            matches!(piece.kind, Kind::Object(number, generation) if self.about.contains(&(number, generation)));
        let names: &[Apart] = match piece.kind {
            _ if !self.is_free => &[],
            _ if is_trailer(&self.scan, piece) => &apart::OF_TRAILERS,
            _ if is_about => &apart::OF_DOCUMENTS,
            _ => &[],
        };
        let find = |known: &Apart| {
            let is_known = |(_, each): &(usize, &Entry)| *decoded(self.scan.part(each.name)) == *known.name;
            let mut all = piece.entries.iter().enumerate().filter(is_known);
            let (at, first) = all.next().filter(|_| all.next().is_none())?;
            (known.is)(self.scan.part(first.value)).then_some((at, known.group))
        };
        names.iter().filter_map(find).collect()
    }

    fn row(&mut self, rows: &mut Vec<(String, usize)>, label: &str, len: usize) -> Result<(), String> {
        self.room.take(label.len())?;
        rows.push((label.to_owned(), len));
        Ok(())
    }

    /// A part of these rows, which end at `end`.
    fn table(&mut self, name: &str, end: usize, rows: &mut Vec<(String, usize)>) -> Result<(), String> {
        let len: usize = rows.iter().map(|(_, len)| len).sum();
        self.part(name, (end - len, end), Data::Table(std::mem::take(rows).into()))
    }

    fn part(&mut self, name: &str, (start, end): (usize, usize), data_is: Data) -> Result<(), String> {
        if self.members.len() >= self.max {
            return Err(format!("it has more than {} parts", self.max));
        }
        self.room.take(name.len())?;
        let (start, end) = (start as u64, end as u64);
        let data = Span { start, len: end - start };
        let (head, tail) = (Span { len: 0, ..data }, Span { start: end, len: 0 });
        self.members.push(Member { key: self.keys.of(name.as_bytes()), head, data, tail, data_is });
        Ok(())
    }
}

/// Whether the bytes of a stream are compressed in the one way that is known here.
fn is_zlib(scan: &Scan<'_>, piece: &Piece, stream: (usize, usize)) -> bool {
    let filter: Vec<u8> = match entry(scan, &piece.entries, b"/Filter") {
        Some(filter) => {
            filter.iter().copied().filter(|byte| !matches!(byte, b'[' | b']' | b' ' | b'\n' | b'\r')).collect()
        }
        None => return false,
    };
    let is_header = |first: u8, second: u8| first & 0x0f == 8 && (u16::from(first) << 8 | u16::from(second)) % 31 == 0;
    filter == b"/FlateDecode" && matches!(scan.part(stream), [first, second, ..] if is_header(*first, *second))
}

/// Whether a piece says what the file is made of: a trailer, or the stream that stands for one and for the table.
fn is_trailer(scan: &Scan<'_>, piece: &Piece) -> bool {
    let has = |name: &[u8]| entry(scan, &piece.entries, name);
    piece.kind == Kind::Trailer
        || piece.stream.is_some()
            && has(b"/Type").is_some_and(|value| *decoded(value) == *b"/XRef")
            && has(b"/W").is_some()
            && has(b"/Size").is_some()
}

#[cfg(test)]
mod tests;
