// SPDX-License-Identifier: Apache-2.0
//! What is no data of files: blocks of 8 KiB, each compressed for itself and read at most once.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::super::Bounds;
use super::super::super::source::Source;
use super::super::volume::{Fault, number, offset, read, wrong};
use super::Squashfs;
use super::blocks::Compression;

/// How many bytes a block has once it is expanded.
pub(super) const LEN: u64 = 8192;

/// All blocks that were read so far, by where they are; each with where the next one is.
pub(super) struct Metadata {
    blocks: BTreeMap<u64, (Rc<[u8]>, u64)>,
    /// How many bytes they may still take.
    room: u64,
    most: u64,
}

impl Metadata {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self { blocks: BTreeMap::new(), room: bounds.directory, most: bounds.directory }
    }

    /// The block at `start`, and where the next one is.
    pub(super) fn at(
        &mut self,
        source: &Source<'_>,
        compression: Compression,
        start: u64,
    ) -> Result<(Rc<[u8]>, u64), Fault> {
        if let Some((block, next)) = self.blocks.get(&start) {
            return Ok((block.clone(), *next));
        }
        // Each counts as a whole one, so that many small ones are bounded as well.
        let Some(room) = self.room.checked_sub(LEN) else {
            return wrong(format!("its tables expand to more than {} bytes", self.most));
        };
        self.room = room;
        let head = number(&read(source, start, 2)?, 0, 2)?;
        let (len, is_plain) = (head & 0x7fff, head & 0x8000 != 0);
        if len == 0 || len > LEN {
            return wrong(format!("there is no table at {start:#x}"));
        }
        let stored = read(source, start + 2, len)?;
        let block: Rc<[u8]> = if is_plain { stored } else { compression.expand(&stored, offset(LEN))? }.into();
        let next = start + 2 + len;
        self.blocks.insert(start, (block.clone(), next));
        Ok((block, next))
    }
}

/// Reads what is in blocks that follow each other.
pub(super) struct Cursor<'a> {
    volume: &'a Squashfs<'a>,
    /// The block to read, and where in it.
    block: u64,
    at: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(volume: &'a Squashfs<'a>, block: u64, at: u64) -> Self {
        Self { volume, block, at }
    }

    /// The next number of `len` bytes.
    pub(super) fn number(&mut self, len: usize) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        let part = bytes.get_mut(..len).unwrap_or_default();
        self.fill(part)?;
        number(part, 0, part.len())
    }

    /// The next bytes. The caller bounds their number.
    pub(super) fn bytes(&mut self, len: u64) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; offset(len)];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), Fault> {
        while !buffer.is_empty() {
            let volume = self.volume;
            let (block, next) = volume.metadata.borrow_mut().at(volume.source, volume.compression, self.block)?;
            let rest = block.get(offset(self.at)..).unwrap_or_default();
            if rest.is_empty() {
                // Only behind a whole one there is another.
                if self.at != LEN || block.len() as u64 != LEN {
                    return wrong("a table ends within a record");
                }
                (self.block, self.at) = (next, 0);
                continue;
            }
            let len = rest.len().min(buffer.len());
            let (now, later) = buffer.split_at_mut(len);
            now.copy_from_slice(rest.get(..len).unwrap_or_default());
            buffer = later;
            self.at += len as u64;
        }
        Ok(())
    }
}
