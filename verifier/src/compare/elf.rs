// SPDX-License-Identifier: Apache-2.0
//! ELF files, section by section; `object` reads the headers.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader as _, SectionTable, Sym as _};
use object::{Endianness, FileKind, ReadCache, ReadRef};

use super::archive::{Archive, Data, Symbol};
use super::code::{Code, Machine};
use super::field::Group;
use super::format::Format;
use super::identity;
use super::source::{Source, Span};
use super::tiled::{Part, tiled};

/// The most sections of a file that is looked into.
const MAX_SECTIONS: usize = 200_000;
/// The largest table of symbols, in bytes, from which the names of functions are taken.
const MAX_SYMBOLS: u64 = 32 << 20;
/// How many bytes all names of sections have together, and all names of functions.
const MAX_NAMES: usize = 16 << 20;
/// How much of one name is kept, in bytes. The table that has it whole is a section like any other.
const MAX_NAME: usize = 256;

/// Finds the parts: headers, sections, and what is between them.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no ELF file, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>) -> io::Result<Result<Archive, String>> {
    let cache = ReadCache::new(Cursor { source, at: 0 });
    let parts = match FileKind::parse(&cache) {
        Ok(FileKind::Elf32) => parts::<FileHeader32<Endianness>, _>(&cache),
        Ok(FileKind::Elf64) => parts::<FileHeader64<Endianness>, _>(&cache),
        Ok(_) => return Ok(Err("it is of another kind".to_owned())),
        Err(error) => Err(error.to_string()),
    };
    Ok(parts.and_then(|parts| tiled(Format::Elf, source.len(), parts, Vec::new())))
}

fn parts<'a, Elf, R>(data: R) -> Result<Vec<Part>, String>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let said = |error: object::Error| error.to_string();
    let header = Elf::parse(data).map_err(said)?;
    let endian = header.endian().map_err(said)?;
    let is_64 = header.is_type_64();
    let machine = match header.e_machine(endian) {
        elf::EM_386 => Some(Machine::X86),
        elf::EM_X86_64 => Some(Machine::X86_64),
        elf::EM_AARCH64 => Some(Machine::Arm64),
        _ => None,
    };
    let programs = header.phnum(endian, data).map_err(said)? as usize;
    let count = header.shnum(endian, data).map_err(said)? as usize;
    // Before the tables are read.
    if count > MAX_SECTIONS || programs > MAX_SECTIONS {
        return Err(format!("it has more than {MAX_SECTIONS} sections or segments"));
    }
    let sections = header.sections(endian, data).map_err(said)?;
    let mut symbols = symbols::<Elf, R>(&sections, data, endian, header);
    let mut names = Vec::new();
    let mut parts = Vec::new();
    let mut room = MAX_NAMES;
    for (index, section) in sections.enumerate() {
        let whole = sections.section_name(endian, section).map_err(said)?;
        room = room.checked_sub(whole.len()).ok_or_else(|| format!("names have more than {MAX_NAMES} bytes"))?;
        let name = cut(whole);
        names.push(format!("section {index} {}", super::preview::name(name)));
        if let Some((start, len)) = section.file_range(endian).filter(|(_, len)| *len > 0) {
            let said = (section.sh_type(endian), section.sh_flags(endian));
            let is_small = len <= identity::MAX;
            let is_identity = is_small
                && section.data(endian, data).is_ok_and(|bytes| identity::is_identity(whole, said, bytes, endian));
            let data_is = if is_identity {
                Data::Field(Group::Identity)
            } else if section.sh_type(endian) == elf::SHT_PROGBITS {
                let symbols = symbols.remove(&index.0).unwrap_or_default().into();
                match machine.filter(|_| said.1.0 & elf::SHF_EXECINSTR.0 != 0) {
                    Some(machine) => {
                        Data::Instructions(Code { machine, address: section.sh_addr(endian).into(), symbols })
                    }
                    None => Data::Code(symbols),
                }
            } else {
                Data::File
            };
            parts.push(Part { span: Span { start, len }, name: name.to_vec(), data_is });
        }
    }
    let table = |fields: &[(&str, usize)], of: &[String]| {
        let rows = of.iter().flat_map(|row| fields.iter().map(move |(field, len)| (format!("{row}: {field}"), *len)));
        Data::Table(rows.collect::<Vec<_>>().into())
    };
    let mut headers = |start: u64, row: u16, of: &[String], fields: &[(&str, usize)], name: &str| {
        let len = u64::from(row) * of.len() as u64;
        if len > 0 {
            parts.push(Part { span: Span { start, len }, name: name.into(), data_is: table(fields, of) });
        }
    };
    let segments: Vec<String> = (0..programs).map(|index| format!("segment {index}")).collect();
    let forms = if is_64 { &FORMS_64 } else { &FORMS_32 };
    headers(0, header.e_ehsize(endian), &["file".to_owned()], forms.file, "ELF header");
    headers(header.e_phoff(endian).into(), header.e_phentsize(endian), &segments, forms.segment, "program headers");
    headers(header.e_shoff(endian).into(), header.e_shentsize(endian), &names, forms.section, "section headers");
    Ok(parts)
}

/// The fields of each kind of header, in their order, and how many bytes each has (System V ABI, chapter 4).
struct Forms {
    file: &'static [(&'static str, usize)],
    segment: &'static [(&'static str, usize)],
    section: &'static [(&'static str, usize)],
}

const FORMS_64: Forms = Forms {
    file: &file_header(8),
    segment: &[
        ("type", 4),
        ("flags", 4),
        ("offset", 8),
        ("address", 8),
        ("physical address", 8),
        ("size in the file", 8),
        ("size in memory", 8),
        ("alignment", 8),
    ],
    section: &section_header(8),
};

const FORMS_32: Forms = Forms {
    file: &file_header(4),
    segment: &[
        ("type", 4),
        ("offset", 4),
        ("address", 4),
        ("physical address", 4),
        ("size in the file", 4),
        ("size in memory", 4),
        ("flags", 4),
        ("alignment", 4),
    ],
    section: &section_header(4),
};

const fn file_header(word: usize) -> [(&'static str, usize); 14] {
    [
        ("identification", 16),
        ("type", 2),
        ("machine", 2),
        ("version", 4),
        ("entry point", word),
        ("offset of the program headers", word),
        ("offset of the section headers", word),
        ("flags", 4),
        ("size", 2),
        ("size of a program header", 2),
        ("number of program headers", 2),
        ("size of a section header", 2),
        ("number of section headers", 2),
        ("section of the names", 2),
    ]
}

const fn section_header(word: usize) -> [(&'static str, usize); 10] {
    [
        ("name", 4),
        ("type", 4),
        ("flags", word),
        ("address", word),
        ("offset", word),
        ("size", word),
        ("link", 4),
        ("info", 4),
        ("alignment", word),
        ("entry size", word),
    ]
}

/// The names of what stands where in each section, sorted.
fn symbols<'a, Elf, R>(
    sections: &SectionTable<'a, Elf, R>,
    data: R,
    endian: Endianness,
    header: &Elf,
) -> BTreeMap<usize, Vec<Symbol>>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let mut all: BTreeMap<usize, Vec<Symbol>> = BTreeMap::new();
    let mut room = MAX_NAMES;
    for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        let tables = || sections.iter().filter(|section| section.sh_type(endian) == kind);
        let is_small = tables().all(|table| table.file_range(endian).is_none_or(|(_, len)| len <= MAX_SYMBOLS));
        if !is_small {
            continue;
        }
        let Ok(table) = sections.symbols(endian, data, kind) else { continue };
        for (number, symbol) in table.enumerate() {
            let is_named = matches!(symbol.st_type(), elf::STT_FUNC | elf::STT_OBJECT);
            let Ok(Some(index)) = table.symbol_section(endian, symbol, number) else { continue };
            let Ok(section) = sections.section(index) else { continue };
            // In object files symbols have offsets, elsewhere addresses.
            let base = if header.e_type(endian) == elf::ET_REL { 0 } else { section.sh_addr(endian).into() };
            if is_named
                && let Some(start) = symbol.st_value(endian).into().checked_sub(base)
                && let Ok(name) = table.symbol_name(endian, symbol)
            {
                // What is past the bound has no name.
                let Some(left) = room.checked_sub(name.len()) else { break };
                room = left;
                let len = Some(symbol.st_size(endian).into()).filter(|len| *len > 0);
                all.entry(index.0).or_default().push(Symbol { start, len, name: cut(name).to_vec() });
            }
        }
        if !all.is_empty() {
            break;
        }
    }
    all.values_mut().for_each(|list| list.sort_by(|a, b| (a.start, &a.name).cmp(&(b.start, &b.name))));
    all
}

/// The start of a name.
fn cut(name: &[u8]) -> &[u8] {
    name.get(..MAX_NAME).unwrap_or(name)
}

/// What `object` reads through.
struct Cursor<'a> {
    source: &'a Source<'a>,
    at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.source.len().saturating_sub(self.at);
        let read = self.source.reader(Span { start: self.at, len }).read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use reprove_model::FindingKind;

    use super::super::Bounds;
    use super::super::archive::tests::find_within;
    use super::super::identity::tests::note;

    /// A section: its name, type, and bytes.
    type Section<'a> = (&'a str, u32, &'a [u8]);

    /// A little-endian object file of these sections, as the System V ABI has it, with the table of names at the end.
    fn elf_of(sections: &[Section<'_>]) -> Vec<u8> {
        let mut names = b"\0.shstrtab\0".to_vec();
        let mut bytes = vec![0; 64];
        let mut headers = vec![[0; 64]];
        let number = u16::try_from(sections.len() + 2).unwrap();
        let mut add = |bytes: &mut Vec<u8>, name: usize, kind: u32, data: &[u8]| {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&u32::try_from(name).unwrap().to_le_bytes());
            header[4..8].copy_from_slice(&kind.to_le_bytes());
            header[24..32].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(data.len() as u64).to_le_bytes());
            // The table of symbols has its names in the section after it.
            let link = if kind == 2 { u32::try_from(headers.len() + 1).unwrap() } else { 0 };
            header[40..44].copy_from_slice(&link.to_le_bytes());
            header[56..64].copy_from_slice(&(if kind == 2 { 24_u64 } else { 0 }).to_le_bytes());
            headers.push(header);
            bytes.extend_from_slice(data);
        };
        for (name, kind, data) in sections {
            add(&mut bytes, names.len(), *kind, data);
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        add(&mut bytes, 1, 3, &names);
        let table = bytes.len() as u64;
        bytes[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        bytes[16..24].copy_from_slice(b"\x01\0\x3e\0\x01\0\0\0");
        bytes[40..48].copy_from_slice(&table.to_le_bytes());
        let sizes = [64, 0, 0, 64, number, number - 1];
        bytes[52..64].copy_from_slice(&sizes.map(u16::to_le_bytes).concat());
        bytes.extend(headers.concat());
        bytes
    }

    /// A function `name` at the start of the first section.
    fn symbol(name: u32) -> Vec<u8> {
        [&name.to_le_bytes()[..], b"\x12\0\x01\0", &0_u64.to_le_bytes(), &8_u64.to_le_bytes()].concat()
    }

    fn program(code: &[u8], id: &[u8]) -> Vec<u8> {
        let symbols = [vec![0; 24], symbol(1)].concat();
        elf_of(&[
            (".text", 1, code),
            (".note.gnu.build-id", 7, &note(id)),
            (".symtab", 2, &symbols),
            (".strtab", 3, b"\0main\0"),
            (".comment", 1, b"GCC\0"),
        ])
    }

    fn find(left: &[u8], right: &[u8]) -> (Vec<(String, FindingKind)>, Option<Vec<String>>) {
        let (findings, needs) = find_within(left, right, &Bounds::default());
        (findings.into_iter().map(|finding| (finding.place, finding.kind)).collect(), needs)
    }

    #[test]
    fn code_is_found_by_its_function() {
        let (left, right) =
            (program(b"\x90\xba\xe6\x07\0\0\xc3\0", b"id"), program(b"\x90\xba\xea\x07\0\0\xc3\0", b"id"));
        let (findings, needs) = find_within(&left, &right, &Bounds::default());
        assert_eq!((findings.len(), findings[0].place.as_str(), needs), (1, "a!.text", None));
        let detail = &findings[0].details[0];
        let shown = [detail.at.as_str(), &detail.left, &detail.right];
        assert_eq!(shown, ["0x2, 1 byte, in main+0x2", "e6", "ea"]);
    }

    #[test]
    fn what_is_run_is_told_by_its_flags() {
        let found = |code: &[u8], flags: u8, machine: u8| {
            let mut bytes = program(code, b"id");
            let at = bytes.len() - 6 * 64 + 8;
            (bytes[at], bytes[18]) = (flags, machine);
            bytes
        };
        let of = |flags, machine| {
            let [left, right] = [0xe6, 0xea].map(|year| found(&[0xbe, year, 7, 0, 0, 0xc3, 0, 0], flags, machine));
            let (findings, _) = find_within(&left, &right, &Bounds::default());
            findings.into_iter().map(|finding| (finding.place, finding.summary)).collect::<Vec<_>>()
        };
        for (machine, said) in [(62, "x86-64"), (3, "x86"), (183, "AArch64")] {
            let found = of(4, machine);
            assert_eq!(found[1], ("a!.text".to_owned(), format!("as {said} instructions, 1 differs")));
            // It has the name of code, and is not run.
            assert_eq!(of(2, machine).len(), 1);
        }
        assert_eq!(of(4, 8).len(), 1);
    }

    #[test]
    fn names_reach_as_far_as_they_say() {
        let of = |last: u8| program(&[0, 0, 0, 0, 0, 0, 0, 0, 0, last], b"id");
        let (findings, _) = find_within(&of(1), &of(2), &Bounds::default());
        // The function has 8 bytes.
        assert_eq!(findings[0].details[0].at, "0x9, 1 byte");
    }

    #[test]
    fn a_build_id_alone_leaves_the_code_equal() {
        let (found, needs) = find(&program(b"code", b"one"), &program(b"code", b"two"));
        assert_eq!(found, [("a".to_owned(), FindingKind::BuildIdentity)]);
        assert_eq!(needs, Some(vec!["elf-identity".to_owned()]));
        let (found, needs) = find(&program(b"code", b"one"), &program(b"cede", b"two"));
        assert_eq!((found.len(), needs), (2, None));
    }

    #[test]
    fn a_section_is_no_build_id_by_its_name_alone() {
        let id = |data: &[u8]| elf_of(&[(".note.gnu.build-id", 7, data)]);
        assert_eq!(find(&id(&note(b"one")), &id(&note(b"two"))).1, Some(vec!["elf-identity".to_owned()]));
        assert_eq!(find(&id(b"code"), &id(b"cede")).1, None);
        assert_eq!(find(&id(&note(b"one")), &id(b"this is no note at al")).1, None);
        for flag in [1, 4] {
            let [left, right] = [b"one", b"two"].map(|id| {
                let mut bytes = program(b"code", id);
                let at = bytes.len() - 5 * 64 + 8;
                bytes[at] = flag;
                bytes
            });
            assert_eq!(find(&left, &right).1, None);
        }
        let link = |data: &[u8]| elf_of(&[(".gnu_debuglink", 1, data)]);
        assert_eq!(find(&link(b"a\0\0\0CRC1"), &link(b"a\0\0\0CRC2")).1, Some(vec!["elf-identity".to_owned()]));
        assert_eq!(find(&link(b"code one"), &link(b"code two")).1, None);
    }

    #[test]
    fn what_the_headers_say_is_bounded_before_it_is_read() {
        let left = elf_of(&[(".text", 1, b"code")]);
        let mut right = left.clone();
        // The number of sections is in the first one's header.
        right[60..62].fill(0);
        let at = right.len() - 3 * 64 + 32;
        right[at..at + 4].copy_from_slice(&200_001_u32.to_le_bytes());
        let (findings, _) = find_within(&left, &right, &Bounds::default());
        assert!(findings[0].summary.contains("it has more than 200000 sections"), "{}", findings[0].summary);
        right[at..at + 4].copy_from_slice(&200_000_u32.to_le_bytes());
        let (findings, _) = find_within(&left, &right, &Bounds::default());
        assert!(!findings[0].summary.contains("it has more than 200000 sections"), "{}", findings[0].summary);
    }

    #[test]
    fn headers_are_told_by_their_fields() {
        let left = program(b"code", b"one");
        let mut right = left.clone();
        let at = right.len() - 6 * 64 + 8;
        right[at] ^= 4;
        let (findings, needs) = find_within(&left, &right, &Bounds::default());
        assert_eq!((findings.len(), findings[0].kind, needs), (1, FindingKind::ArchiveStructure, None));
        assert_eq!(findings[0].details[0].at, "section headers: section 1 .text: flags");
    }

    #[test]
    fn what_overlaps_or_is_cut_is_bytes() {
        let left = program(b"code", b"one");
        let mut right = left.clone();
        let at = right.len() - 6 * 64 + 24;
        right[at] ^= 1;
        for (right, why) in
            [(right, "or in another part"), (left[..left.len() - 1].to_vec(), "the right one is not an ELF")]
        {
            let (findings, _) = find_within(&left, &right, &Bounds::default());
            assert!(findings[0].summary.contains(why), "{}", findings[0].summary);
        }
    }
}
