// SPDX-License-Identifier: Apache-2.0
//! Portable executables and COFF objects ("PE Format", Microsoft), section by section, with the times that linkers write.

mod debug;
mod fields;

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use self::fields::{
    COFF_HEADER, DIRECTORIES, DIRECTORY, OPTIONAL_END_32, OPTIONAL_END_64, OPTIONAL_START_32, OPTIONAL_START_64,
    SECTION,
};
use super::archive::{Archive, Data, Symbol};
use super::code::{Code, Machine};
use super::field::Group;
use super::format::Format;
use super::number::{self, fixed};
use super::preview;
use super::room::Room;
use super::source::{Source, Span};
use super::tiled::{Part, tiled};

/// The largest table of symbols, and of their names, in bytes, that names are taken from.
const MAX_SYMBOLS: u64 = 32 << 20;
/// How much of one name is kept, in bytes.
const MAX_NAME: usize = 256;

const SIGNATURE: &[u8] = b"PE\0\0";
const HEADER_LEN: u64 = 20;
const SECTION_LEN: u64 = 40;
const SYMBOL_LEN: usize = 18;
/// Where in the optional header the checksum is, and where in the header of the file the time is.
const CHECKSUM_AT: u64 = 64;
const TIME_AT: u64 = 4;

/// What is mapped to different pages has different permissions; what is mapped begins where a sector does.
const PAGE: u64 = 0x1000;
const SECTOR: u64 = 512;

const EXECUTABLE_IMAGE: u64 = 2;
const SECTION_CODE: u64 = 0x20;
const SECTION_MANY_RELOCATIONS: u64 = 0x0100_0000;
const SECTION_EXECUTE: u64 = 0x2000_0000;
const SECTION_WRITE: u64 = 0x8000_0000;

/// Whether a file that begins so says that it is an object: for a machine that is known, with sections, and no program.
pub(super) fn is_object(first: &[u8]) -> bool {
    const MACHINES: [u64; 6] = [0x014c, 0x8664, 0xaa64, 0x01c0, 0x01c2, 0x01c4];
    let number = |at, len| fixed(first, at, len, false);
    let is_object = number(16, 2) == Some(0) && number(18, 2).is_some_and(|flags| flags & EXECUTABLE_IMAGE == 0);
    is_object && number(0, 2).is_some_and(|machine| MACHINES.contains(&machine)) && number(2, 2) > Some(0)
}

/// Whether a file that begins so says that it is a program or a library.
pub(super) fn is_image(first: &[u8], source: &Source<'_>) -> io::Result<bool> {
    if !first.starts_with(b"MZ") {
        return Ok(false);
    }
    let at = fixed(first, 0x3c, 4, false).filter(|at| at + 4 <= source.len());
    Ok(match at {
        Some(at) => source.read(Span { start: at, len: 4 })? == SIGNATURE,
        None => false,
    })
}

/// Finds the parts: headers, sections, relocations, symbols, signatures, and what is between them.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no such file.
pub(super) fn read(format: Format, source: &Source<'_>) -> io::Result<Result<Archive, String>> {
    Ok(match Headers::read(format, source)? {
        Ok(headers) => {
            let mut marks = Vec::new();
            let is_time = headers.have_times() && !debug::marks(source, &headers, &mut marks)?;
            match headers.parts(source, is_time)? {
                Ok(mut parts) => {
                    headers.add_sections(source, &mut parts)?;
                    tiled(format, source.len(), parts, marks)
                }
                Err(why) => Err(why),
            }
        }
        Err(why) => Err(why),
    })
}

/// A section, as its header has it.
struct Section {
    name: Vec<u8>,
    address: u64,
    data: Span,
    relocations: Span,
    lines: Span,
    flags: u64,
}

/// What the headers say.
struct Headers {
    /// Where the header of the file is, and the optional header.
    start: u64,
    optional: Span,
    /// Whether addresses have 64 bits; `None`: there is no optional header.
    is_64: Option<bool>,
    checksum: u64,
    /// What it runs on, where that is known, and from which address on it is mapped.
    machine: Option<Machine>,
    base: u64,
    /// Whether sections are mapped apart from the headers, of which nothing is run.
    is_apart: bool,
    /// Whether there is a whole table of names.
    has_names: bool,
    /// Where the table of sections is.
    table: Span,
    sections: Vec<Section>,
    symbols: Span,
    strings: Span,
    /// Addresses and sizes.
    directories: Vec<(u64, u64)>,
}

impl Headers {
    fn read(format: Format, source: &Source<'_>) -> io::Result<Result<Self, String>> {
        let cut = || Ok(Err("its headers are cut".to_owned()));
        let bytes =
            |start: u64, len: u64| source.read(Span { start, len: len.min(source.len().saturating_sub(start)) });
        let start = match format {
            Format::Pe => fixed(&bytes(0x3c, 4)?, 0, 4, false).map(|at| at + SIGNATURE.len() as u64),
            _ => Some(0),
        };
        let Some(start) = start.filter(|start| start + HEADER_LEN <= source.len()) else { return cut() };
        let header = bytes(start, HEADER_LEN)?;
        let number = |at, len| fixed(&header, at, len, false).unwrap_or_default();
        let optional = Span { start: start + HEADER_LEN, len: number(16, 2) };
        let table = Span { start: optional.start + optional.len, len: number(2, 2) * SECTION_LEN };
        if table.start + table.len > source.len() {
            return cut();
        }
        let first = bytes(optional.start, optional.len)?;
        let is_64 = match fixed(&first, 0, 2, false) {
            _ if format == Format::Coff => None,
            Some(0x10b) => Some(false),
            Some(0x20b) => Some(true),
            _ => return Ok(Err("it has no optional header of a known kind".to_owned())),
        };
        let before = is_64.map_or(0, fields::before_directories);
        if before > first.len() {
            return cut();
        }
        let count = fixed(&first, before.saturating_sub(4), 4, false).unwrap_or_default();
        let pair = |index: usize| {
            let at = before + 8 * index;
            fixed(&first, at, 4, false).zip(fixed(&first, at + 4, 4, false))
        };
        let is_counted = |index: &usize| is_64.is_some() && (*index as u64) < count;
        let directories = (0..DIRECTORIES.len()).take_while(is_counted).map_while(pair).collect();
        let symbols = Span { start: number(8, 4), len: number(12, 4) * SYMBOL_LEN as u64 };
        let strings = strings(source, symbols)?;
        let names = source.read(Span { len: strings.len.min(MAX_SYMBOLS), ..strings })?;
        let has_names =
            names.len() as u64 == strings.len && names.len() >= 4 && matches!(names.get(4..), Some([] | [.., 0]));
        let rows = bytes(table.start, table.len)?;
        let rows = rows.chunks_exact(40).map(|row| Section::read(row, &names, source)).collect::<io::Result<_>>()?;
        let checksum = fixed(&first, 64, 4, false).unwrap_or_default();
        let said = |at| fixed(&first, at, 4, false).unwrap_or_default();
        let (entry, alignment, headers) = (said(16), said(32), said(60));
        let base = match is_64 {
            None => 0,
            Some(false) => said(28),
            Some(true) => fixed(&first, 24, 8, false).unwrap_or_default(),
        };
        let is_apart = alignment >= PAGE && (entry == 0 || entry >= headers.max(PAGE));
        let all = Self {
            start,
            optional,
            is_64,
            checksum,
            machine: fields::machine(number(0, 2)),
            base,
            is_apart,
            has_names,
            table,
            sections: rows,
            symbols,
            strings,
            directories,
        };
        Ok(Ok(all))
    }

    /// Whether what stands in the place of times, and is not said to be a hash, is nothing but a time. Of an object, few bytes
    /// say that it is one.
    fn have_times(&self) -> bool {
        let is_printable = |byte: &u8| matches!(byte, b' '..=b'~');
        let is_name = |name: &[u8]| !name.is_empty() && name.iter().all(is_printable);
        let is_object =
            || self.symbols.len > 0 && self.has_names && self.sections.iter().all(|each| is_name(&each.name));
        match self.is_64 {
            None => is_object(),
            Some(_) => self.is_apart && self.is_for_reading(Span { start: self.start + TIME_AT, len: 4 }),
        }
    }

    /// The headers themselves, and what is found by them alone. `is_time`: what stands in the place of times are times. The
    /// inner error: names have no room.
    fn parts(&self, source: &Source<'_>, is_time: bool) -> io::Result<Result<Vec<Part>, String>> {
        let mut parts = Vec::new();
        let stub = self.start.saturating_sub(SIGNATURE.len() as u64);
        if self.is_64.is_some() {
            parts.push(Part::plain("DOS header", 0, 64.min(stub)));
            parts.push(Part::plain("DOS program", 64, stub.saturating_sub(64)));
            parts.push(Part::plain("PE signature", stub, SIGNATURE.len() as u64));
        }
        let time_at = self.start + TIME_AT;
        parts.push(Part::table("COFF header", self.start, COFF_HEADER.0));
        parts.push(Part::new("time in the COFF header", time_at, 4, time(is_time)));
        parts.push(Part::table("COFF header", time_at + 4, COFF_HEADER.1));
        if let Some(is_64) = self.is_64 {
            parts.extend(self.optional_header(source, is_64)?);
        }
        let (mut rows, mut room) = (Vec::new(), Room::default());
        for (number, section) in (1..).zip(&self.sections) {
            let of = format!("section {number} {}", preview::name(&section.name));
            for (field, len) in SECTION {
                let label = format!("{of}: {field}");
                if let Err(why) = room.take(label.len()) {
                    return Ok(Err(why));
                }
                rows.push((label, *len));
            }
        }
        parts.push(Part::new("section headers", self.table.start, self.table.len, Data::Table(rows.into())));
        parts.push(Part::plain("symbols", self.symbols.start, self.symbols.len));
        parts.push(Part::plain("strings", self.strings.start, self.strings.len));
        // This one alone has an offset for an address.
        if let Some((start, len)) = self.directories.get(4) {
            parts.push(Part::plain("signatures", *start, *len));
        }
        parts.retain(|part| part.span.len > 0);
        Ok(Ok(parts))
    }

    fn optional_header(&self, source: &Source<'_>, is_64: bool) -> io::Result<Vec<Part>> {
        const NAME: &str = "optional header";
        let (first, second) =
            if is_64 { (OPTIONAL_START_64, OPTIONAL_END_64) } else { (OPTIONAL_START_32, OPTIONAL_END_32) };
        let checksum_at = self.optional.start + CHECKSUM_AT;
        let is_right = self.checksum > 0 && u64::from(checksum(source, checksum_at)?) == self.checksum;
        let data_is = if is_right { Data::Right } else { Data::Field(Group::Structure) };
        let after = checksum_at + 4;
        let named = DIRECTORIES.iter().take(self.directories.len());
        let rows = named.flat_map(|name| DIRECTORY.iter().map(move |(field, len)| (format!("{name}: {field}"), *len)));
        let rows = second.iter().map(|(field, len)| ((*field).to_owned(), *len)).chain(rows).collect::<Vec<_>>();
        let len = (self.optional.start + self.optional.len).saturating_sub(after);
        Ok(vec![
            Part::table(NAME, self.optional.start, first),
            Part::new("checksum", checksum_at, 4, data_is),
            Part::new(NAME, after, len, Data::Table(rows.into())),
        ])
    }

    /// What is in the sections, with what belongs to it.
    fn add_sections(&self, source: &Source<'_>, parts: &mut Vec<Part>) -> io::Result<()> {
        let mut symbols = self.symbols(source)?;
        for (number, section) in (1_u64..).zip(&self.sections) {
            let is_code = section.flags & (SECTION_CODE | SECTION_EXECUTE) != 0;
            let symbols = symbols.remove(&number).filter(|_| is_code).unwrap_or_default();
            let mut add = |name: Vec<u8>, span: Span, data_is| {
                if span.start > 0 && span.len > 0 {
                    parts.push(Part { span, name, data_is });
                }
            };
            let data_is = match self.machine.filter(|_| is_code) {
                Some(machine) => {
                    let address = self.base.wrapping_add(section.address);
                    Data::Instructions(Code { machine, address, symbols: symbols.into() })
                }
                None => Data::Code(symbols.into()),
            };
            add(section.name.clone(), section.data, data_is);
            let of = |what: &str| [what.as_bytes(), &section.name].concat();
            add(of("relocations of "), section.relocations, Data::Code([].into()));
            add(of("lines of "), section.lines, Data::Code([].into()));
        }
        Ok(())
    }

    /// The names of what stands where in each section, sorted.
    fn symbols(&self, source: &Source<'_>) -> io::Result<BTreeMap<u64, Vec<Symbol>>> {
        let mut all: BTreeMap<u64, Vec<Symbol>> = BTreeMap::new();
        let is_within = |span: Span| span.len <= MAX_SYMBOLS && span.start + span.len <= source.len();
        if !is_within(self.symbols) || !is_within(self.strings) {
            return Ok(all);
        }
        let (table, names) = (source.read(self.symbols)?, source.read(self.strings)?);
        let (mut rows, mut room) = (table.chunks_exact(SYMBOL_LEN), Room::default());
        while let Some(row) = rows.next() {
            let number = |at, len| fixed(row, at, len, false).unwrap_or_default();
            // A function, or what has a name outside of this object.
            if number(14, 2) >> 4 == 2 || number(16, 1) == 2 {
                let name = name(row.get(..8).unwrap_or_default(), &names);
                // What is past the bound has no name.
                if room.take(name.len()).is_err() {
                    break;
                }
                all.entry(number(12, 2)).or_default().push(Symbol { start: number(8, 4), len: None, name });
            }
            for _ in 0..number(17, 1) {
                rows.next();
            }
        }
        all.values_mut().for_each(|list| list.sort_by(|a, b| (a.start, &a.name).cmp(&(b.start, &b.name))));
        Ok(all)
    }

    /// Where in the file an address is.
    fn place(&self, (address, len): (u64, u64)) -> Option<Span> {
        self.sections.iter().find_map(|section| {
            let offset = address.checked_sub(section.address)?;
            let is_within = offset.checked_add(len)? <= section.data.len;
            is_within.then_some(Span { start: section.data.start + offset, len })
        })
    }

    /// Whether a part of the file is in no section that is written or run. Sections are mapped from the start of a sector on.
    fn is_for_reading(&self, span: Span) -> bool {
        let first = |at: u64| at - at % SECTOR;
        let overlaps = |data: Span| {
            let end = (data.start + data.len).next_multiple_of(SECTOR);
            first(data.start) < span.start + span.len && span.start < end
        };
        let mut sections = self.sections.iter().filter(|section| overlaps(section.data));
        sections.all(|section| section.flags & (SECTION_EXECUTE | SECTION_WRITE | SECTION_CODE) == 0)
    }
}

impl Section {
    fn read(row: &[u8], names: &[u8], source: &Source<'_>) -> io::Result<Self> {
        let number = |at, len| fixed(row, at, len, false).unwrap_or_default();
        let start = row.get(..8).unwrap_or_default();
        let long = start.strip_prefix(b"/").map(|digits| digits.split(|byte| *byte == 0).next().unwrap_or_default());
        let long = long.and_then(number::decimal).and_then(|at| number::text(names, at, MAX_NAME));
        let name = long.map_or_else(|| name(start, &[]), <[u8]>::to_vec);
        let flags = number(36, 4);
        let at = number(24, 4);
        let mut count = number(32, 2);
        if flags & SECTION_MANY_RELOCATIONS != 0 && count == 0xffff && at + 4 <= source.len() {
            // The number is where the first one's address would be.
            count = fixed(&source.read(Span { start: at, len: 4 })?, 0, 4, false).unwrap_or_default();
        }
        Ok(Self {
            name,
            address: number(12, 4),
            data: Span { start: number(20, 4), len: number(16, 4) },
            relocations: Span { start: at, len: count * 10 },
            lines: Span { start: number(28, 4), len: number(34, 2) * 6 },
            flags,
        })
    }
}

/// What stands in the place of a time.
fn time(is_time: bool) -> Data {
    if is_time { Data::Seconds } else { Data::Field(Group::Structure) }
}

/// A name of 8 bytes; where the first 4 are zeros, the others say where in `names` it is.
fn name(field: &[u8], names: &[u8]) -> Vec<u8> {
    let long = field.strip_prefix(&[0; 4]).and_then(|at| number::text(names, fixed(at, 0, 4, false)?, MAX_NAME));
    long.or_else(|| number::text(field, 0, MAX_NAME)).unwrap_or_default().to_vec()
}

/// Where the names of symbols and sections are, which begin with their length: after the symbols.
fn strings(source: &Source<'_>, symbols: Span) -> io::Result<Span> {
    let start = symbols.start + symbols.len;
    let none = Span { start: 0, len: 0 };
    if symbols.start == 0 || start + 4 > source.len() {
        return Ok(none);
    }
    let len = fixed(&source.read(Span { start, len: 4 })?, 0, 4, false).unwrap_or_default();
    Ok(if len >= 4 && start + len <= source.len() { Span { start, len } } else { none })
}

/// The checksum of the whole file, but for the 4 bytes from `at` on, where it is.
fn checksum(source: &Source<'_>, at: u64) -> io::Result<u32> {
    let mut sum = 0_u64;
    for span in [Span { start: 0, len: at }, Span { start: at + 4, len: source.len().saturating_sub(at + 4) }] {
        let mut reader = source.reader(span);
        let mut buffer = Vec::with_capacity(64 << 10);
        // Words are counted from the start of the file on.
        let mut is_high = span.start % 2 == 1;
        loop {
            buffer.clear();
            if reader.by_ref().take(64 << 10).read_to_end(&mut buffer)? == 0 {
                break;
            }
            for byte in &buffer {
                sum += u64::from(*byte) << if is_high { 8 } else { 0 };
                is_high = !is_high;
            }
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    Ok(u32::try_from(sum + source.len()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
