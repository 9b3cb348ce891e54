// SPDX-License-Identifier: Apache-2.0
//! ext2, ext3 and ext4 ("ext4 Data Structures and Algorithms", docs.kernel.org): the superblock, nodes and directories.
//!
//! Checksums are not verified: nothing here rests on them, and what differs in them is told with the image's own bytes.

mod attributes;
mod data;

use std::io::Read;

use self::data::{Content, Map};
use super::super::Bounds;
use super::super::field::{Field, Group};
use super::super::source::Source;
use super::volume::{Budget, Each, Fault, Kind, Node, Time, Volume, number, offset, part, read, spend, wrong};

const SUPERBLOCK: u64 = 1024;
/// The root's node; those before it and some after it are in no directory.
const ROOT: u64 = 2;
/// The longest target of a symbolic link.
const MAX_TARGET: u64 = 4096;

/// Features without which an image can't be read, by their bits.
mod needs {
    pub(super) const TYPES: u64 = 0x2;
    pub(super) const RECOVERY: u64 = 0x4;
    pub(super) const BITS_64: u64 = 0x80;
    /// Those that are read, or that change nothing that is looked at: besides the two above extents, multi-mount
    /// protection, flexible groups, values of attributes in files, the seed of checksums, large directories, data in nodes
    /// and names without case.
    pub(super) const KNOWN: u64 = TYPES | 0x40 | BITS_64 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x20000;
}

/// What a node's flags say of where its data is.
const EXTENTS: u64 = 0x8_0000;
const INLINE: u64 = 0x1000_0000;

/// Whether this is a superblock: the number that says so has but two bytes, so all the rest of it has to make sense too.
pub(super) fn is_header(header: &[u8]) -> bool {
    let of = |at, len| number(header, at, len).unwrap_or(u64::MAX);
    of(56, 2) == 0xef53
        && of(24, 4) <= 6
        && of(76, 4) <= 1
        && of(20, 4) <= 1
        && (1..u64::from(u32::MAX)).contains(&of(0, 4))
        && of(4, 4) > 0
        && (1..=8 * 65_536).contains(&of(40, 4))
        && (1..=8 * 65_536 * 16).contains(&of(32, 4))
}

pub(super) struct Ext4<'a> {
    source: &'a Source<'a>,
    fields: Vec<Field>,
    /// How many bytes a block has.
    block: u64,
    /// How many bytes a node has, and a group's descriptor.
    node_len: u64,
    descriptor_len: u64,
    nodes: u64,
    nodes_per_group: u64,
    /// Where the descriptors of groups are.
    descriptors: u64,
    features: u64,
    /// How many bytes of directories, attributes and targets may still be read.
    budget: Budget,
}

/// Reads the superblock.
pub(super) fn open<'a>(source: &'a Source<'a>, bounds: &Bounds) -> Result<Box<dyn Volume + 'a>, Fault> {
    let header = read(source, SUPERBLOCK, 1024)?;
    let of = |at, len| number(&header, at, len);
    let features = if of(76, 4)? == 0 { 0 } else { of(96, 4)? };
    if features & needs::RECOVERY != 0 {
        return wrong("its journal has to be replayed first");
    }
    let unknown = features & !needs::KNOWN;
    if unknown != 0 {
        return wrong(format!("it needs features that are not known here: {unknown:#x}"));
    }
    let block = 1024_u64 << of(24, 4)?.min(6);
    let node_len = if of(76, 4)? == 0 { 128 } else { of(88, 2)? };
    let descriptor_len = if features & needs::BITS_64 == 0 { 32 } else { of(254, 2)? };
    if !(128..=block).contains(&node_len) || !node_len.is_power_of_two() || !(32..=block).contains(&descriptor_len) {
        return wrong("its superblock makes no sense");
    }
    Ok(Box::new(Ext4 {
        source,
        fields: fields(&header)?,
        block,
        node_len,
        descriptor_len,
        nodes: of(0, 4)?,
        nodes_per_group: of(40, 4)?.max(1),
        descriptors: (of(20, 4)? + 1) * block,
        features,
        budget: Budget::of(bounds),
    }))
}

/// What the superblock says that does not follow from what is in the file system.
fn fields(header: &[u8]) -> Result<Vec<Field>, Fault> {
    let mut fields = Vec::new();
    for (label, at, high) in
        [("made", 264, 0x276), ("last written", 48, 0x274), ("last mounted", 44, 0x275), ("last checked", 64, 0x277)]
    {
        let seconds = number(header, at, 4)? | number(header, high, 1)? << 32;
        fields.push(Field::text(Group::Times, label, super::super::number::time(seconds)));
    }
    for (label, at, len) in [
        ("UUID", 104, 16),
        ("name", 120, 16),
        ("last mounted at", 136, 64),
        ("seed of the hashes in directories", 236, 16),
        ("UUID of the journal", 208, 16),
    ] {
        fields.push(Field::bytes(Group::Structure, label, part(header, at, len)?));
    }
    for (label, at, len) in [
        ("blocks", 4, 4),
        ("size of blocks, as an exponent", 24, 4),
        ("blocks of a group", 32, 4),
        ("nodes", 0, 4),
        ("nodes of a group", 40, 4),
        ("size of nodes", 88, 2),
        ("revision", 76, 4),
        ("made by", 72, 4),
        ("features, of which none is needed", 92, 4),
        ("features that are needed", 96, 4),
        ("features that are needed to write", 100, 4),
        ("blocks reserved", 8, 4),
        ("user of the reserved blocks", 80, 2),
        ("group of the reserved blocks", 82, 2),
        ("state", 58, 2),
        ("mounts", 52, 2),
        ("options when mounted", 256, 4),
        ("flags", 352, 4),
    ] {
        fields.push(Field::text(Group::Structure, label, number(header, at, len)?.to_string()));
    }
    Ok(fields)
}

impl Ext4<'_> {
    /// The bytes of a node.
    fn record(&self, id: u64) -> Result<Vec<u8>, Fault> {
        if id == 0 || id > self.nodes {
            return wrong(format!("there is no node {id}"));
        }
        // Groups may share their nodes, and each may be as long as a block.
        spend(&self.budget, self.node_len)?;
        let (group, at) = ((id - 1) / self.nodes_per_group, (id - 1) % self.nodes_per_group);
        let descriptor = read(self.source, self.descriptors + group * self.descriptor_len, self.descriptor_len)?;
        let high = if self.descriptor_len >= 64 { number(&descriptor, 40, 4)? } else { 0 };
        let table = self.at(number(&descriptor, 8, 4)? | high << 32)?;
        read(self.source, table.saturating_add(at * self.node_len), self.node_len)
    }

    /// Where a block is.
    fn at(&self, block: u64) -> Result<u64, Fault> {
        block.checked_mul(self.block).map_or_else(|| wrong("a block is past every end"), Ok)
    }

    fn block(&self, block: u64) -> Result<Vec<u8>, Fault> {
        read(self.source, self.at(block)?, self.block)
    }

    /// Where the data of a node is.
    fn map(&self, record: &[u8]) -> Result<Map, Fault> {
        let inside = part(record, 40, 60)?.to_vec();
        let flags = number(record, 32, 4)?;
        if flags & INLINE != 0 {
            let more = self.attributes(record)?.into_iter().find(|(name, _)| name == attributes::DATA);
            return Ok(Map::Inline([inside, more.map(|(_, value)| value).unwrap_or_default()].concat()));
        }
        Ok(if flags & EXTENTS != 0 { Map::Extents(inside) } else { Map::Pointers(inside) })
    }

    fn target(&self, record: &[u8], size: u64) -> Result<Vec<u8>, Fault> {
        if size > MAX_TARGET {
            return wrong(format!("a symbolic link has more than {MAX_TARGET} bytes"));
        }
        if size < 60 && number(record, 32, 4)? & (EXTENTS | INLINE) == 0 {
            return Ok(part(record, 40, offset(size))?.to_vec());
        }
        let mut target = Vec::new();
        // What leads to it counts, since many nodes may share it.
        spend(&self.budget, 8 * self.block)?;
        Content::new(self, self.map(record)?, size).read_to_end(&mut target)?;
        Ok(target)
    }
}

/// The size of what a node has.
fn size(record: &[u8]) -> Result<u64, Fault> {
    Ok(number(record, 4, 4)? | number(record, 108, 4)? << 32)
}

/// A time; with what extends it, where there is that.
fn time(record: &[u8], at: usize, more: Option<usize>) -> Result<Time, Fault> {
    let low = u32::try_from(number(record, at, 4)?).unwrap_or(u32::MAX).cast_signed();
    let more = more.map_or(Ok(0), |more| number(record, more, 4))?;
    let seconds = i64::from(low) + (i64::try_from(more & 3).unwrap_or_default() << 32);
    Ok((seconds, u32::try_from(more >> 2).unwrap_or(u32::MAX)))
}

/// The numbers of a device, as they are written now and as they were.
fn device(record: &[u8]) -> Result<(u64, u64), Fault> {
    let (old, new) = (number(record, 40, 4)?, number(record, 44, 4)?);
    Ok(if old == 0 { (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00) } else { (old >> 8, old & 0xff) })
}

impl Volume for Ext4<'_> {
    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn root(&self) -> u64 {
        ROOT
    }

    fn node(&self, id: u64) -> Result<Node, Fault> {
        let record = self.record(id)?;
        let of = |at, len| number(&record, at, len);
        // How much of what is behind the old record is there.
        let extra = if self.node_len > 128 { 128 + of(128, 2)? } else { 0 };
        let has = |end: usize| end as u64 <= extra.min(self.node_len);
        let more = |at: usize| Some(at).filter(|at| has(at + 4));
        let mut node = Node::new(id, of(0, 2)?)?;
        node.user = of(2, 2)? | of(120, 2)? << 16;
        node.group = of(24, 2)? | of(122, 2)? << 16;
        node.project = if has(160) { of(156, 4)? } else { 0 };
        node.modified = time(&record, 16, more(136))?;
        node.times = [
            Some(("read", time(&record, 8, more(140))?)),
            Some(("changed", time(&record, 12, more(132))?)),
            if has(148) { Some(("made", time(&record, 144, more(148))?)) } else { None },
        ];
        node.flags = of(32, 4)?;
        node.generation = of(100, 4)?;
        node.attributes = self.attributes(&record)?;
        node.attributes.retain(|(name, _)| name != attributes::DATA);
        match node.kind {
            Kind::File => node.size = size(&record)?,
            Kind::Symbolic => node.target = self.target(&record, size(&record)?)?,
            Kind::Block | Kind::Character => node.device = Some(device(&record)?),
            _ => {}
        }
        Ok(node)
    }

    fn list(&self, id: u64, each: &mut Each<'_>) -> Result<(), Fault> {
        let record = self.record(id)?;
        let size = size(&record)?;
        spend(&self.budget, size)?;
        match self.map(&record)? {
            Map::Inline(data) => {
                // What it is in comes first, as a number; then there are two lists.
                self.entries(data.get(4..60).unwrap_or_default(), each)?;
                self.entries(data.get(60..offset(size)).unwrap_or_default(), each)
            }
            map => {
                let mut content = Content::new(self, map, size);
                let mut left = size;
                while left > 0 {
                    let mut block = vec![0; offset(left.min(self.block))];
                    content.read_exact(&mut block)?;
                    self.entries(&block, each)?;
                    left -= block.len() as u64;
                }
                Ok(())
            }
        }
    }

    fn content(&self, id: u64) -> Result<Box<dyn Read + '_>, Fault> {
        let record = self.record(id)?;
        Ok(Box::new(Content::new(self, self.map(&record)?, size(&record)?)))
    }
}

impl Ext4<'_> {
    /// The entries of one block of a directory. Those of its index look like ones that nobody uses.
    fn entries(&self, block: &[u8], each: &mut Each<'_>) -> Result<(), Fault> {
        let mut rest = block;
        while !rest.is_empty() {
            let len = match number(rest, 4, 2)? {
                // It does not fit into two bytes.
                0 | 0xffff => 65_536,
                len => offset(len),
            };
            let name_len = if self.features & needs::TYPES == 0 { number(rest, 6, 2)? } else { number(rest, 6, 1)? };
            if len < 8 || len > rest.len() || offset(name_len) > len - 8 {
                return wrong("an entry of a directory has no length that fits");
            }
            let (id, name) = (number(rest, 0, 4)?, part(rest, 8, offset(name_len))?);
            if id != 0 && name != b"." && name != b".." {
                each(name, id)?;
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(())
    }
}
