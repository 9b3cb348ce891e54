// SPDX-License-Identifier: Apache-2.0
//! squashfs 4.0 ("Squashfs 4.0 Filesystem", docs.kernel.org): the superblock, nodes and directories.

mod blocks;
mod tables;

use std::cell::RefCell;
use std::io::Read;

use self::blocks::{Blocks, Compression, Content};
use self::tables::{Cursor, Metadata};
use super::super::Bounds;
use super::super::field::{Field, Group};
use super::super::source::Source;
use super::volume::{Attribute, Budget, Each, Fault, Kind, List, Node, Volume, number, read, spend, wrong};

pub(in crate::compare) const MAGIC: &[u8] = b"hsqs";

/// How long the superblock is.
const HEADER: u64 = 96;
/// The longest target of a symbolic link.
const MAX_TARGET: u64 = 65_536;
/// The longest value of an attribute.
const MAX_VALUE: u64 = 65_536;
/// What stands for no table, no fragment, no attributes.
const NONE_64: u64 = u64::MAX;
const NONE_32: u64 = 0xffff_ffff;
/// That options of the compressor follow the superblock.
const OPTIONS: u64 = 0x400;

struct Squashfs<'a> {
    source: &'a Source<'a>,
    fields: Vec<Field>,
    /// How many bytes a block of data has.
    block: u64,
    /// The number of the root's node.
    root: u64,
    /// Where each table is.
    nodes: u64,
    directories: u64,
    users: u64,
    fragments: u64,
    attributes: u64,
    compression: Compression,
    metadata: RefCell<Metadata>,
    blocks: RefCell<Blocks>,
    /// How many bytes of directories, attributes and targets may still be read.
    budget: Budget,
}

/// Reads the superblock.
pub(super) fn open<'a>(source: &'a Source<'a>, bounds: &Bounds) -> Result<Box<dyn Volume + 'a>, Fault> {
    let header = read(source, 0, HEADER)?;
    let of = |at, len| number(&header, at, len);
    if (of(28, 2)?, of(30, 2)?) != (4, 0) {
        return wrong("it is of another version than 4.0");
    }
    let compression = Compression::of(of(20, 2)?)?;
    let block = of(12, 4)?;
    if !(4096..=1 << 20).contains(&block) || !block.is_power_of_two() {
        return wrong("its superblock makes no sense");
    }
    let mut metadata = Metadata::new(bounds);
    let mut fields = vec![Field::text(Group::Times, "made", super::super::number::time(of(8, 4)?))];
    for (label, at, len) in [("size of blocks", 12, 4), ("compression", 20, 2), ("flags", 24, 2)] {
        fields.push(Field::text(Group::Structure, label, of(at, len)?.to_string()));
    }
    if of(24, 2)? & OPTIONS != 0 {
        let options = metadata.at(source, compression, HEADER)?.0.to_vec();
        fields.push(Field::bytes(Group::Structure, "options of the compressor", options));
    }
    Ok(Box::new(Squashfs {
        source,
        fields,
        block,
        root: of(32, 8)?,
        users: of(48, 8)?,
        attributes: of(56, 8)?,
        nodes: of(64, 8)?,
        directories: of(72, 8)?,
        fragments: of(80, 8)?,
        compression,
        metadata: RefCell::new(metadata),
        blocks: RefCell::new(Blocks::default()),
        budget: Budget::of(bounds),
    }))
}

/// A node, as far as all kinds of them are the same.
struct Head {
    kind: u64,
    mode: u64,
    user: u64,
    group: u64,
    modified: u64,
}

/// Where a file's bytes are.
struct File {
    /// The first of its own blocks.
    start: u64,
    size: u64,
    /// The block with its end and those of others, and where in it.
    fragment: Option<(u64, u64)>,
    attributes: u64,
}

impl Squashfs<'_> {
    /// The start of a node, and what follows it.
    fn head(&self, id: u64) -> Result<(Head, Cursor<'_>), Fault> {
        let start = self.nodes.checked_add(id >> 16);
        let Some(start) = start else { return wrong("a node is past every end") };
        let mut cursor = Cursor::new(self, start, id & 0xffff);
        let [kind, mode, user, group] = [cursor.number(2)?, cursor.number(2)?, cursor.number(2)?, cursor.number(2)?];
        let modified = cursor.number(4)?;
        cursor.number(4)?;
        Ok((Head { kind, mode, user, group, modified }, cursor))
    }

    /// The number of a user or group.
    fn owner(&self, index: u64) -> Result<u64, Fault> {
        let mut cursor = self.row(self.users, index, 4)?;
        cursor.number(4)
    }

    /// A row of a table, whose blocks are listed at `table`.
    fn row(&self, table: u64, index: u64, len: u64) -> Result<Cursor<'_>, Fault> {
        let each = tables::LEN / len;
        let at = table.checked_add(index / each * 8);
        let Some(at) = at else { return wrong("a table is past every end") };
        let block = number(&read(self.source, at, 8)?, 0, 8)?;
        Ok(Cursor::new(self, block, index % each * len))
    }

    /// A file's node, behind its start.
    fn file(&self, kind: u64, cursor: &mut Cursor<'_>) -> Result<File, Fault> {
        if kind == 2 {
            let [start, fragment, at, size] =
                [cursor.number(4)?, cursor.number(4)?, cursor.number(4)?, cursor.number(4)?];
            let fragment = Some((fragment, at)).filter(|_| fragment != NONE_32);
            return Ok(File { start, size, fragment, attributes: NONE_32 });
        }
        let (start, size) = (cursor.number(8)?, cursor.number(8)?);
        cursor.number(8)?;
        cursor.number(4)?;
        let (fragment, at, attributes) = (cursor.number(4)?, cursor.number(4)?, cursor.number(4)?);
        Ok(File { start, size, fragment: Some((fragment, at)).filter(|_| fragment != NONE_32), attributes })
    }

    fn attributes(&self, index: u64) -> Result<Vec<Attribute>, Fault> {
        if index == NONE_32 || self.attributes == NONE_64 {
            return Ok(Vec::new());
        }
        let lists = number(&read(self.source, self.attributes, 16)?, 0, 8)?;
        let Some(table) = self.attributes.checked_add(16) else { return wrong("a table is past every end") };
        let mut row = self.row(table, index, 16)?;
        let (list, count) = (row.number(8)?, row.number(4)?);
        let reference = |at: u64| Ok::<_, Fault>(Cursor::new(self, lists.saturating_add(at >> 16), at & 0xffff));
        let mut cursor = reference(list)?;
        let mut all = List::new(&self.budget);
        for _ in 0..count {
            let (kind, name_len) = (cursor.number(2)?, cursor.number(2)?);
            let prefix = match kind & 0xff {
                0 => "user.",
                1 => "trusted.",
                2 => "security.",
                _ => return wrong("the name of an attribute begins with nothing known"),
            };
            spend(&self.budget, 8 + name_len)?;
            let name = [prefix.as_bytes(), &cursor.bytes(name_len)?].concat();
            let mut len = cursor.number(4)?;
            // One that is kept elsewhere, since several nodes have it.
            let mut elsewhere = if kind & 0x100 == 0 { None } else { Some(reference(cursor.number(8)?)?) };
            let value = elsewhere.as_mut().unwrap_or(&mut cursor);
            if kind & 0x100 != 0 {
                len = value.number(4)?;
            }
            if len > MAX_VALUE {
                return wrong(format!("the value of an attribute has more than {MAX_VALUE} bytes"));
            }
            spend(&self.budget, len)?;
            all.push((name, value.bytes(len)?))?;
        }
        Ok(all.into_all())
    }
}

/// The bits of a mode that say what a node is, by its kind.
fn bits(kind: u64) -> Result<u64, Fault> {
    Ok(match kind {
        1 | 8 => 0o040_000,
        2 | 9 => 0o100_000,
        3 | 10 => 0o120_000,
        4 | 11 => 0o060_000,
        5 | 12 => 0o020_000,
        6 | 13 => 0o010_000,
        7 | 14 => 0o140_000,
        other => return wrong(format!("a node is of a kind that is not known: {other}")),
    })
}

impl Volume for Squashfs<'_> {
    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn root(&self) -> u64 {
        self.root
    }

    fn node(&self, id: u64) -> Result<Node, Fault> {
        let (head, mut cursor) = self.head(id)?;
        let mut node = Node::new(id, bits(head.kind)? | head.mode & 0o7777)?;
        (node.user, node.group) = (self.owner(head.user)?, self.owner(head.group)?);
        node.modified = (head.modified.cast_signed(), 0);
        // Those from 8 on have attributes.
        let has_attributes = head.kind >= 8;
        let attributes = match node.kind {
            Kind::File => {
                let file = self.file(head.kind, &mut cursor)?;
                node.size = file.size;
                file.attributes
            }
            Kind::Directory => {
                let directory = Directory::read(has_attributes, &mut cursor)?;
                directory.attributes
            }
            Kind::Symbolic => {
                cursor.number(4)?;
                let len = cursor.number(4)?;
                if len > MAX_TARGET {
                    return wrong(format!("a symbolic link has more than {MAX_TARGET} bytes"));
                }
                spend(&self.budget, len)?;
                node.target = cursor.bytes(len)?;
                if has_attributes { cursor.number(4)? } else { NONE_32 }
            }
            Kind::Block | Kind::Character => {
                cursor.number(4)?;
                let device = cursor.number(4)?;
                node.device = Some((device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00));
                if has_attributes { cursor.number(4)? } else { NONE_32 }
            }
            Kind::Pipe | Kind::Socket => {
                cursor.number(4)?;
                if has_attributes { cursor.number(4)? } else { NONE_32 }
            }
        };
        node.attributes = self.attributes(attributes)?;
        Ok(node)
    }

    fn list(&self, id: u64, each: &mut Each<'_>) -> Result<(), Fault> {
        let (head, mut cursor) = self.head(id)?;
        let directory = Directory::read(head.kind >= 8, &mut cursor)?;
        // An empty one has three bytes as well, for `.` and `..`.
        let mut left = directory.size.saturating_sub(3);
        spend(&self.budget, left)?;
        let mut cursor = Cursor::new(self, self.directories.saturating_add(directory.block), directory.at);
        while left > 0 {
            let (count, start) = (cursor.number(4)?, cursor.number(4)?);
            cursor.number(4)?;
            left = left.checked_sub(12).map_or_else(|| wrong("a directory makes no sense"), Ok)?;
            for _ in 0..=count.min(255) {
                let at = cursor.number(2)?;
                cursor.number(4)?;
                let len = cursor.number(2)? + 1;
                left = left.checked_sub(8 + len).map_or_else(|| wrong("a directory makes no sense"), Ok)?;
                each(&cursor.bytes(len)?, start << 16 | at)?;
            }
        }
        Ok(())
    }

    fn content(&self, id: u64) -> Result<Box<dyn Read + '_>, Fault> {
        let (head, mut cursor) = self.head(id)?;
        let file = self.file(head.kind, &mut cursor)?;
        Ok(Box::new(Content::new(self, file, cursor)))
    }

    fn expanded(&self) -> u64 {
        self.blocks.borrow().expanded
    }
}

/// Where the entries of a directory are.
struct Directory {
    block: u64,
    at: u64,
    size: u64,
    attributes: u64,
}

impl Directory {
    fn read(is_long: bool, cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        if !is_long {
            let block = cursor.number(4)?;
            cursor.number(4)?;
            let (size, at) = (cursor.number(2)?, cursor.number(2)?);
            return Ok(Self { block, at, size, attributes: NONE_32 });
        }
        cursor.number(4)?;
        let (size, block) = (cursor.number(4)?, cursor.number(4)?);
        cursor.number(4)?;
        cursor.number(2)?;
        let (at, attributes) = (cursor.number(2)?, cursor.number(4)?);
        Ok(Self { block, at, size, attributes })
    }
}
