// SPDX-License-Identifier: Apache-2.0
//! erofs ("EROFS - Enhanced Read-Only File System", docs.kernel.org). Files that are compressed in it are not expanded.

use std::io::{self, Read};

use super::super::Bounds;
use super::super::field::{Field, Group};
use super::super::source::{Source, Span};
use super::volume::{
    Attribute, Budget, Each, Fault, Kind, List, Node, Volume, number, offset, part, read, spend, time, wrong,
};

const MAGIC: u64 = 0xe0f5_e1e2;
const SUPERBLOCK: u64 = 1024;
/// Nodes are counted in these.
const SLOT: u64 = 32;
/// The longest target of a symbolic link.
const MAX_TARGET: u64 = 4096;
/// Features that are read, or that change nothing that is looked at; past these, numbers are found elsewhere.
const KNOWN: u64 = 0x7f;

/// What an attribute's name begins with, by its number.
const PREFIXES: [&str; 7] =
    ["", "user.", "system.posix_acl_access", "system.posix_acl_default", "trusted.", "lustre.", "security."];

pub(super) fn is_header(header: &[u8]) -> bool {
    number(header, 0, 4).is_ok_and(|magic| magic == MAGIC)
}

struct Erofs<'a> {
    source: &'a Source<'a>,
    fields: Vec<Field>,
    block: u64,
    root: u64,
    /// Where nodes are counted from, and attributes that several of them have.
    nodes: u64,
    shared: u64,
    /// When the file system was made: of each node that has no time.
    made: (i64, u32),
    /// How many bytes of directories and attributes may still be read.
    budget: Budget,
}

/// How the bytes of a node are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// In blocks that follow each other; and the rest of them behind the node.
    Plain,
    Inline,
    Compressed,
    Chunks,
}

/// A node, as it is written.
struct Record {
    bytes: Vec<u8>,
    /// Where it is, and where its attributes end.
    start: u64,
    end: u64,
    is_long: bool,
    layout: Layout,
    size: u64,
    /// The first block, the numbers of a device, or how chunks are kept.
    about: u64,
}

pub(super) fn open<'a>(source: &'a Source<'a>, bounds: &Bounds) -> Result<Box<dyn Volume + 'a>, Fault> {
    let header = read(source, SUPERBLOCK, 128)?;
    let of = |at, len| number(&header, at, len);
    let unknown = of(80, 4)? & !KNOWN;
    if unknown != 0 {
        return wrong(format!("it needs features that are not known here: {unknown:#x}"));
    }
    let exponent = of(12, 1)?;
    if !(9..=16).contains(&exponent) || of(90, 1)? != 0 {
        return wrong("its superblock makes no sense");
    }
    let block = 1 << exponent;
    let made = (of(24, 8)?.cast_signed(), u32::try_from(of(32, 4)?).unwrap_or(u32::MAX));
    let mut fields = vec![Field::text(Group::Times, "made", time(made))];
    for (label, at, len) in [("UUID", 48, 16), ("name", 64, 16)] {
        fields.push(Field::bytes(Group::Structure, label, part(&header, at, len)?));
    }
    for (label, at, len) in [
        ("size of blocks, as an exponent", 12, 1),
        ("blocks", 36, 4),
        ("features, of which none is needed", 8, 4),
        ("features that are needed", 80, 4),
        ("ways to compress", 84, 2),
        ("devices beside it", 86, 2),
    ] {
        fields.push(Field::text(Group::Structure, label, of(at, len)?.to_string()));
    }
    let (root, nodes, shared) = (of(14, 2)?, of(40, 4)? * block, of(44, 4)? * block);
    Ok(Box::new(Erofs { source, fields, block, root, nodes, shared, made, budget: Budget::of(bounds) }))
}

impl Erofs<'_> {
    fn record(&self, id: u64) -> Result<Record, Fault> {
        let start = id.checked_mul(SLOT).and_then(|at| at.checked_add(self.nodes));
        let Some(start) = start else { return wrong("a node is past every end") };
        let format = number(&read(self.source, start, 2)?, 0, 2)?;
        let is_long = format & 1 != 0;
        let bytes = read(self.source, start, if is_long { 64 } else { 32 })?;
        let layout = match format >> 1 & 7 {
            0 => Layout::Plain,
            2 => Layout::Inline,
            1 | 3 => Layout::Compressed,
            4 => Layout::Chunks,
            other => return wrong(format!("the data of a node is kept in a way that is not known: {other}")),
        };
        let attributes = match number(&bytes, 2, 2)? {
            0 => 0,
            count => 12 + (count - 1) * 4,
        };
        let size = if is_long { number(&bytes, 8, 8)? } else { number(&bytes, 8, 4)? };
        let end = start + bytes.len() as u64 + attributes;
        let about = number(&bytes, 16, 4)?;
        Ok(Record { bytes, start, end, is_long, layout, size, about })
    }

    fn attributes(&self, record: &Record) -> Result<Vec<Attribute>, Fault> {
        let start = record.start + record.bytes.len() as u64;
        if start == record.end {
            return Ok(Vec::new());
        }
        // At most 65,535 times 4 bytes, and 8; in another node's place as well, so that they are counted.
        spend(&self.budget, record.end - start)?;
        let area = read(self.source, start, record.end - start)?;
        let count = offset(number(&area, 4, 1)?);
        let mut all = List::new(&self.budget);
        for index in 0..count {
            let at = self.shared.saturating_add(number(&area, 12 + index * 4, 4)? * 4);
            let head = read(self.source, at, 4)?;
            let len = 4 + number(&head, 0, 1)? + number(&head, 2, 2)?;
            all.push(attribute(&read(self.source, at, len)?)?.0)?;
        }
        let mut rest = area.get(12 + count * 4..).unwrap_or_default();
        while number(rest, 0, 4).is_ok_and(|first| first != 0) {
            let (found, len) = attribute(rest)?;
            all.push(found)?;
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(all.into_all())
    }

    fn bytes_of(&self, record: Record) -> Result<Content<'_>, Fault> {
        match record.layout {
            Layout::Compressed => wrong("it is compressed, and that is not expanded"),
            Layout::Chunks if record.about & !0x3f != 0 => wrong("its chunks are kept in a way that is not known"),
            _ => Ok(Content { volume: self, record, at: 0 }),
        }
    }
}

/// One attribute, and how many bytes it takes.
fn attribute(bytes: &[u8]) -> Result<(Attribute, usize), Fault> {
    let (name_len, value_len) = (offset(number(bytes, 0, 1)?), offset(number(bytes, 2, 2)?));
    let index = number(bytes, 1, 1)?;
    // Some begin with what is kept elsewhere: they are told by its number.
    let prefix = PREFIXES.get(offset(index)).map_or_else(|| format!("#{index}."), |prefix| (*prefix).to_owned());
    let name = [prefix.as_bytes(), part(bytes, 4, name_len)?].concat();
    Ok(((name, part(bytes, 4 + name_len, value_len)?.to_vec()), 4 + name_len + value_len))
}

/// The bytes of a node, from its start on.
struct Content<'b> {
    volume: &'b Erofs<'b>,
    record: Record,
    at: u64,
}

impl Content<'_> {
    /// Where the bytes from here on are, or none where there are zeros; and how many follow each other there.
    fn run(&self) -> Result<(Option<u64>, u64), Fault> {
        let (record, block) = (&self.record, self.volume.block);
        let whole = if record.layout == Layout::Inline { record.size / block * block } else { record.size };
        if record.layout == Layout::Chunks {
            return self.chunk();
        }
        Ok(match self.at < whole {
            true => (Some(record.about.saturating_mul(block).saturating_add(self.at)), whole - self.at),
            false => (Some(record.end.saturating_add(self.at - whole)), record.size - self.at),
        })
    }

    fn chunk(&self) -> Result<(Option<u64>, u64), Fault> {
        let block = self.volume.block;
        let len = block.saturating_mul(1 << (self.record.about & 0x1f));
        let (index, inside) = (self.at / len, self.at % len);
        let has_devices = self.record.about & 0x20 != 0;
        let width = if has_devices { 8 } else { 4 };
        let at = self.record.end.next_multiple_of(width).saturating_add(index.saturating_mul(width));
        let row = read(self.volume.source, at, width)?;
        let first = number(&row, offset(width) - 4, 4)?;
        if first == u64::from(u32::MAX) {
            return Ok((None, len - inside));
        }
        if has_devices && number(&row, 0, 4)? != 0 {
            return wrong("a part of a file is on another device");
        }
        Ok((Some(first * block + inside), len - inside))
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(offset(self.record.size - self.at));
        if want == 0 {
            return Ok(0);
        }
        let (start, len) = self.run()?;
        let part = buffer.get_mut(..want.min(offset(len))).unwrap_or_default();
        let read = match start {
            None => {
                part.fill(0);
                part.len()
            }
            Some(start) => self.volume.source.reader(Span { start, len }).read(part)?,
        };
        if read == 0 {
            return Err(Fault::Wrong("a block is past its end".to_owned()).into());
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Volume for Erofs<'_> {
    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn root(&self) -> u64 {
        self.root
    }

    fn node(&self, id: u64) -> Result<Node, Fault> {
        let record = self.record(id)?;
        let of = |at, len| number(&record.bytes, at, len);
        let mut node = Node::new(id, of(4, 2)?)?;
        if record.is_long {
            (node.user, node.group) = (of(24, 4)?, of(28, 4)?);
            node.modified = (of(32, 8)?.cast_signed(), u32::try_from(of(40, 4)?).unwrap_or(u32::MAX));
        } else {
            (node.user, node.group) = (of(24, 2)?, of(26, 2)?);
            node.modified = self.made;
        }
        node.attributes = self.attributes(&record)?;
        match node.kind {
            Kind::File => node.size = record.size,
            Kind::Block | Kind::Character => {
                let device = record.about;
                node.device = Some((device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00));
            }
            Kind::Symbolic if record.size > MAX_TARGET => {
                return wrong(format!("a symbolic link has more than {MAX_TARGET} bytes"));
            }
            Kind::Symbolic => _ = self.bytes_of(record)?.read_to_end(&mut node.target)?,
            _ => {}
        }
        Ok(node)
    }

    fn list(&self, id: u64, each: &mut Each<'_>) -> Result<(), Fault> {
        let record = self.record(id)?;
        let mut left = record.size;
        spend(&self.budget, left)?;
        let mut content = self.bytes_of(record)?;
        while left > 0 {
            let mut block = vec![0; offset(left.min(self.block))];
            content.read_exact(&mut block)?;
            entries(&block, each)?;
            left -= block.len() as u64;
        }
        Ok(())
    }

    fn content(&self, id: u64) -> Result<Box<dyn Read + '_>, Fault> {
        Ok(Box::new(self.bytes_of(self.record(id)?)?))
    }
}

/// The entries of one block of a directory: rows, then names. The first name begins where the rows end.
fn entries(block: &[u8], each: &mut Each<'_>) -> Result<(), Fault> {
    let first = offset(number(block, 8, 2)?);
    if first < 12 || !first.is_multiple_of(12) {
        return wrong("a directory makes no sense");
    }
    let rows = part(block, 0, first)?;
    let mut rows = rows.chunks_exact(12).peekable();
    while let Some(row) = rows.next() {
        let start = offset(number(row, 8, 2)?);
        let end = rows.peek().map_or(Ok(block.len()), |next| number(next, 8, 2).map(offset))?;
        let Some(name) = block.get(start..end) else { return wrong("a name in a directory is past its end") };
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if name != b"." && name != b".." {
            each(name, number(row, 0, 8)?)?;
        }
    }
    Ok(())
}
