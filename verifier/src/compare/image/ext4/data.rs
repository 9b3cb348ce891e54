// SPDX-License-Identifier: Apache-2.0
//! Where the bytes of a node are: extents, or pointers to blocks as before them, or in the node itself.

use std::io::{self, Read};

use super::super::super::source::Span;
use super::super::volume::{Fault, number, offset, part, wrong};
use super::Ext4;

/// How deep a tree of extents may be.
const MAX_DEPTH: usize = 5;
/// Extents longer than this are of blocks that nobody wrote yet.
const WRITTEN: u64 = 32_768;

/// Where a node's bytes are, by the 60 bytes in it that say so.
pub(super) enum Map {
    Extents(Vec<u8>),
    Pointers(Vec<u8>),
    /// The bytes themselves.
    Inline(Vec<u8>),
}

/// Blocks that follow each other: the first, or none where there are zeros; and how many.
type Run = (Option<u64>, u64);

/// The bytes of a node, from its start on.
pub(super) struct Content<'b> {
    volume: &'b Ext4<'b>,
    map: Map,
    size: u64,
    at: u64,
}

impl<'b> Content<'b> {
    pub(super) fn new(volume: &'b Ext4<'b>, map: Map, size: u64) -> Self {
        Self { volume, map, size, at: 0 }
    }

    fn run(&self, block: u64) -> Result<Run, Fault> {
        match &self.map {
            Map::Extents(root) => self.volume.extent(root, block),
            Map::Pointers(root) => self.volume.pointer(root, block),
            Map::Inline(_) => Ok((None, 1)),
        }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(offset(self.size - self.at));
        if want == 0 {
            return Ok(0);
        }
        let read = if let Map::Inline(bytes) = &self.map {
            // Bytes that nobody wrote are zeros.
            let rest = bytes.get(offset(self.at)..).unwrap_or_default();
            if rest.is_empty() { zeros(buffer, want) } else { rest.take(want as u64).read(buffer)? }
        } else {
            let (block, inside) = (self.at / self.volume.block, self.at % self.volume.block);
            let (first, blocks) = self.run(block)?;
            let want = want.min(offset(blocks.saturating_mul(self.volume.block) - inside));
            match first {
                None => zeros(buffer, want),
                Some(first) => {
                    let start = self.volume.at(first)?.saturating_add(inside);
                    let read = self.volume.source.reader(Span { start, len: want as u64 }).read(buffer)?;
                    if read == 0 {
                        return Err(Fault::Wrong("a block is past its end".to_owned()).into());
                    }
                    read
                }
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

fn zeros(buffer: &mut [u8], len: usize) -> usize {
    let part = buffer.get_mut(..len).unwrap_or_default();
    part.fill(0);
    part.len()
}

impl Ext4<'_> {
    /// Finds a block of a file in its tree of extents.
    fn extent(&self, root: &[u8], block: u64) -> Result<Run, Fault> {
        let mut tree = root.to_vec();
        // Where the next extent begins.
        let mut until = 1 << 32;
        for _ in 0..=MAX_DEPTH {
            if number(&tree, 0, 2)? != 0xf30a {
                return wrong("a tree of extents is none");
            }
            let (rows, depth) = (offset(number(&tree, 2, 2)?), number(&tree, 6, 2)?);
            let mut found = None;
            for row in part(&tree, 12, rows * 12)?.chunks_exact(12) {
                let first = number(row, 0, 4)?;
                if first > block {
                    until = first.min(until);
                    break;
                }
                found = Some(row);
            }
            let hole = Ok((None, until.saturating_sub(block).max(1)));
            let Some(row) = found else { return hole };
            if depth == 0 {
                let (len, is_written) = match number(row, 4, 2)? {
                    len if len > WRITTEN => (len - WRITTEN, false),
                    len => (len, true),
                };
                let (start, skip) = (number(row, 8, 4)? | number(row, 6, 2)? << 32, block - number(row, 0, 4)?);
                if skip >= len {
                    return hole;
                }
                return Ok((is_written.then_some(start + skip), (len - skip).min(until.saturating_sub(block)).max(1)));
            }
            tree = self.block(number(row, 4, 4)? | number(row, 8, 2)? << 32)?;
        }
        wrong(format!("a tree of extents is more than {MAX_DEPTH} deep"))
    }

    /// Finds a block of a file by its pointers: twelve to blocks, then one each to blocks of pointers, one, two and three deep.
    fn pointer(&self, root: &[u8], block: u64) -> Result<Run, Fault> {
        if block < 12 {
            let pointer = number(root, offset(block) * 4, 4)?;
            return Ok((Some(pointer).filter(|pointer| *pointer != 0), 1));
        }
        let each = self.block / 4;
        let (mut index, mut below) = (block - 12, each);
        for level in 0..3 {
            if index >= below {
                index -= below;
                below *= each;
                continue;
            }
            let mut pointer = number(root, (12 + level) * 4, 4)?;
            while pointer != 0 && below > 1 {
                below /= each;
                let start = self.at(pointer)?.saturating_add(index / below * 4);
                pointer = number(&super::read(self.source, start, 4)?, 0, 4)?;
                index %= below;
            }
            let run = if pointer == 0 { below - index } else { 1 };
            return Ok((Some(pointer).filter(|pointer| *pointer != 0), run));
        }
        wrong("a file is larger than its pointers reach")
    }
}
