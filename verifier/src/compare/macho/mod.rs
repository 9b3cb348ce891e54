// SPDX-License-Identifier: Apache-2.0
//! Mach-O files ("Mach-O Programming Topics", Apple; `mach-o/loader.h`, `fat.h` and `nlist.h`), section by section: programs,
//! libraries and objects of one architecture, and files that hold one for each of several.

mod commands;

use std::collections::BTreeMap;
use std::io;

use self::commands::{Field, Kind};
use super::archive::{Archive, Data, Symbol};
use super::code::Code;
use super::field::Group;
use super::format::Format;
use super::number::{self, fixed};
use super::preview;
use super::room::Room;
use super::source::{Source, Span};
use super::tiled::{Part, tiled};

/// The largest table of symbols, and of their names, in bytes, that names are taken from.
const MAX_SYMBOLS: u64 = 32 << 20;
/// The most bytes that all load commands have.
const MAX_COMMANDS: u64 = 16 << 20;
/// The most load commands.
const MAX_COUNT: u64 = 10_000;
/// How much of one name is kept, in bytes.
const MAX_NAME: usize = 256;
const UUID: &[u8] = b"UUID";
/// The most architectures of one file: what says that it has more is compiled Java.
const MAX_ARCHITECTURES: u64 = 44;

/// Whether a file that begins so says that it is of one architecture.
pub(super) fn is_header(first: &[u8]) -> bool {
    Machine::of(first).is_some()
}

/// Whether a file that begins so says that it is of several architectures.
pub(super) fn is_fat(first: &[u8]) -> bool {
    let is_fat = first.starts_with(b"\xca\xfe\xba\xbe") || first.starts_with(b"\xca\xfe\xba\xbf");
    is_fat && fixed(first, 4, 4, true).is_some_and(|count| (1..=MAX_ARCHITECTURES).contains(&count))
}

/// How numbers are written.
#[derive(Clone, Copy)]
struct Machine {
    is_big: bool,
    is_64: bool,
}

impl Machine {
    fn of(first: &[u8]) -> Option<Self> {
        let (is_big, is_64) = match first.first_chunk::<4>()? {
            b"\xce\xfa\xed\xfe" => (false, false),
            b"\xcf\xfa\xed\xfe" => (false, true),
            b"\xfe\xed\xfa\xce" => (true, false),
            b"\xfe\xed\xfa\xcf" => (true, true),
            _ => return None,
        };
        Some(Self { is_big, is_64 })
    }

    /// What stands there; 0 where nothing does.
    fn number(self, bytes: &[u8], at: usize, len: usize) -> u64 {
        fixed(bytes, at, len, self.is_big).unwrap_or_default()
    }

    fn word(self) -> usize {
        if self.is_64 { 8 } else { 4 }
    }

    fn fields(self, fields: &[Field]) -> Vec<(&'static str, usize)> {
        fields.iter().filter_map(|(name, len)| Some((*name, len.bytes(self.is_64)?))).collect()
    }
}

/// Finds the parts: load commands, sections, and what commands lead to.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no such file, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>) -> io::Result<Result<Archive, String>> {
    let cut = || Ok(Err("its load commands are cut, or too many".to_owned()));
    let first = source.read(Span { start: 0, len: source.len().min(32) })?;
    let Some(machine) = Machine::of(&first) else { return cut() };
    let header = machine.fields(commands::HEADER);
    let start: usize = header.iter().map(|(_, len)| len).sum();
    let (count, len) = (machine.number(&first, 16, 4), machine.number(&first, 20, 4));
    if first.len() < start || len > MAX_COMMANDS || count > MAX_COUNT || start as u64 + len > source.len() {
        return cut();
    }
    let bytes = source.read(Span { start: start as u64, len })?;
    let mut parts = Parts::new(machine);
    parts.all.push(Part::table("Mach-O header", 0, &header));
    let mut rest = bytes.as_slice();
    for _ in 0..count {
        let at = (start + bytes.len() - rest.len()) as u64;
        let size = usize::try_from(machine.number(rest, 4, 4)).unwrap_or(usize::MAX);
        let Some((command, after)) = rest.split_at_checked(size).filter(|_| size >= 8) else { return cut() };
        if let Err(why) = parts.add(command, at) {
            return Ok(Err(why));
        }
        rest = after;
    }
    parts.identity();
    let mut symbols = parts.symbols(source)?;
    let processor = commands::instructions(machine.number(&first, 4, 4));
    for ((number, Section { name, span, flags }), address) in (1..).zip(parts.sections).zip(parts.addresses) {
        if span.start > 0 && span.len > 0 {
            let symbols = symbols.remove(&number).unwrap_or_default().into();
            let data_is = match processor.filter(|_| flags & commands::IS_CODE != 0) {
                Some(machine) => Data::Instructions(Code { machine, address, symbols }),
                None => Data::Code(symbols),
            };
            parts.all.push(Part { span, name, data_is });
        }
    }
    Ok(tiled(Format::MachO, source.len(), parts.all, Vec::new()))
}

/// The file of each architecture.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no such file.
pub(super) fn fat(source: &Source<'_>) -> io::Result<Result<Archive, String>> {
    let first = source.read(Span { start: 0, len: source.len().min(8) })?;
    let is_64 = first.get(3) == Some(&0xbf);
    let machine = Machine { is_big: true, is_64 };
    let fields = machine.fields(commands::ARCHITECTURE);
    let len: usize = fields.iter().map(|(_, len)| len).sum();
    let table = Span { start: 8, len: machine.number(&first, 4, 4) * len as u64 };
    if table.start + table.len > source.len() {
        return Ok(Err("its header is cut".to_owned()));
    }
    let rows = source.read(table)?;
    let mut parts = vec![Part::table("header", 0, &[("kind", 4), ("number of architectures", 4)])];
    for (row, at) in rows.chunks_exact(len).zip((8..).step_by(len)) {
        let name = commands::architecture(machine.number(row, 0, 4), machine.number(row, 4, 4));
        parts.push(Part::table(format!("header of {name}"), at, &fields));
        let word = machine.word();
        let (start, len) = (machine.number(row, 8, word), machine.number(row, 8 + word, word));
        if len > 0 {
            parts.push(Part::new(name, start, len, Data::File));
        }
    }
    Ok(tiled(Format::MachOFat, source.len(), parts, Vec::new()))
}

struct Section {
    name: Vec<u8>,
    span: Span,
    flags: u64,
}

/// The parts so far, and what is needed to find the others.
struct Parts {
    machine: Machine,
    all: Vec<Part>,
    sections: Vec<Section>,
    /// Addresses of the sections.
    addresses: Vec<u64>,
    symbols: Option<(Span, Span)>,
    /// Whether each command that has a UUID is what readers take for one.
    uuids: Vec<bool>,
    room: Room,
}

impl Parts {
    fn new(machine: Machine) -> Self {
        let (all, sections, addresses, uuids) = Default::default();
        Self { machine, all, sections, addresses, symbols: None, uuids, room: Room::default() }
    }

    /// A command, which begins at `at` in the file, and what it leads to.
    ///
    /// # Errors
    /// Where names have no room left.
    fn add(&mut self, command: &[u8], at: u64) -> Result<(), String> {
        let machine = self.machine;
        let said = machine.number(command, 0, 4);
        let (name, kind) = commands::named(said);
        let number = |at, len| machine.number(command, at, len);
        match kind {
            Kind::Segment => return self.segment(&name, command, at),
            Kind::Uuid if command.len() == 24 => {
                self.uuids.push(said == commands::UUID);
                self.all.push(Part::table(name.as_str(), at, &[("command", 4), ("size", 4)]));
                self.all.push(Part::new(UUID, at + 8, 16, Data::Field(Group::Structure)));
                return Ok(());
            }
            Kind::Symbols => {
                let len = number(12, 4) * if machine.is_64 { 16 } else { 12 };
                let symbols = Span { start: number(8, 4), len };
                let strings = Span { start: number(16, 4), len: number(20, 4) };
                self.lead("symbols", symbols);
                self.lead("strings", strings);
                self.symbols = Some((symbols, strings));
            }
            Kind::Leads(tables) => {
                for (what, at, size) in tables {
                    self.lead(what, Span { start: number(*at, 4), len: number(at + 4, 4) * size });
                }
            }
            Kind::Uuid => self.uuids.push(false),
            Kind::Other => {}
        }
        let fields = [("command", 4), ("size", 4), ("what it says", command.len() - 8)];
        self.all.push(Part::table(name, at, &fields));
        Ok(())
    }

    fn lead(&mut self, what: &str, span: Span) {
        if span.len > 0 {
            self.all.push(Part::plain(what, span.start, span.len));
        }
    }

    /// Tells the UUID as such, where there is one command alone that has one: of several, who knows which is read, or run.
    fn identity(&mut self) {
        let uuid = self.all.iter_mut().find(|part| part.name == UUID);
        if let (Some(uuid), [true]) = (uuid, &*self.uuids) {
            uuid.data_is = Data::Field(Group::Identity);
        }
    }

    /// A segment's command, with the headers of its sections.
    fn segment(&mut self, name: &str, command: &[u8], at: u64) -> Result<(), String> {
        let machine = self.machine;
        let (fields, each) = (machine.fields(commands::SEGMENT), machine.fields(commands::SECTION));
        let sum = |fields: &[(&str, usize)]| fields.iter().map(|(_, len)| len).sum::<usize>();
        let (head, row) = command.split_at(sum(&fields).min(command.len()));
        let label = |name: &[u8]| preview::name(name.split(|byte| *byte == 0).next().unwrap_or_default());
        let named = |bytes: &[u8], at: usize| label(bytes.get(at..at + 16).unwrap_or_default());
        let mut table: Vec<(String, usize)> = fields.iter().map(|(name, len)| ((*name).to_owned(), *len)).collect();
        let rows = row.chunks_exact(sum(&each)).take(usize::try_from(count(machine, head)).unwrap_or(usize::MAX));
        for row in rows {
            let section = format!("{},{}", named(row, 16), named(row, 0));
            let number = self.addresses.len() + 1;
            for (field, len) in &each {
                let label = format!("section {number} {section}: {field}");
                self.room.take(label.len())?;
                table.push((label, *len));
            }
            let word = machine.word();
            let number = |at: usize| machine.number(row, 32 + 2 * word + at, 4);
            let len = machine.number(row, 32 + word, word);
            // What has only zeros has no bytes in the file.
            let is_empty = matches!(number(16) & 0xff, 0x1 | 0xc | 0x12);
            self.lead(&format!("relocations of {section}"), Span { start: number(8), len: number(12) * 8 });
            let span = Span { start: number(0), len: if is_empty { 0 } else { len } };
            self.sections.push(Section { name: section.into_bytes(), span, flags: number(16) });
            self.addresses.push(machine.number(row, 32, word));
        }
        let label = format!("{name} {}", named(head, 8)).trim_end().to_owned();
        let part = Part::new(label, at, command.len() as u64, Data::Table(table.into()));
        self.all.push(part);
        Ok(())
    }

    /// The names of what stands where in each section, sorted.
    fn symbols(&self, source: &Source<'_>) -> io::Result<BTreeMap<u64, Vec<Symbol>>> {
        let mut all: BTreeMap<u64, Vec<Symbol>> = BTreeMap::new();
        let is_within = |span: Span| span.len <= MAX_SYMBOLS && span.start + span.len <= source.len();
        let Some((table, names)) = self.symbols.filter(|(a, b)| is_within(*a) && is_within(*b)) else { return Ok(all) };
        let (rows, names) = (source.read(table)?, source.read(names)?);
        let (machine, mut room) = (self.machine, Room::default());
        for row in rows.chunks_exact(if machine.is_64 { 16 } else { 12 }) {
            let (kind, section) = (machine.number(row, 4, 1), machine.number(row, 5, 1));
            // Defined in a section, and not there for debuggers.
            let is_defined = kind & 0xe0 == 0 && kind & 0x0e == 0x0e;
            let address = usize::try_from(section).ok().and_then(|number| self.addresses.get(number.checked_sub(1)?));
            let start = address.and_then(|address| machine.number(row, 8, machine.word()).checked_sub(*address));
            let name = number::text(&names, machine.number(row, 0, 4), MAX_NAME);
            if let (true, Some(start), Some(name)) = (is_defined, start, name) {
                // What is past the bound has no name.
                if room.take(name.len()).is_err() {
                    break;
                }
                all.entry(section).or_default().push(Symbol { start, len: None, name: name.to_vec() });
            }
        }
        all.values_mut().for_each(|list| list.sort_by(|a, b| (a.start, &a.name).cmp(&(b.start, &b.name))));
        Ok(all)
    }
}

/// How many sections a segment's command says that it has.
fn count(machine: Machine, head: &[u8]) -> u64 {
    machine.number(head, head.len().saturating_sub(8), 4)
}

#[cfg(test)]
mod tests;
