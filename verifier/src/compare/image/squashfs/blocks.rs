// SPDX-License-Identifier: Apache-2.0
//! The data of files: blocks, each compressed for itself, and blocks that several small files share.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

use super::super::volume::{Fault, offset, part, read, wrong};
use super::tables::Cursor;
use super::{File, NONE_64, Squashfs};

/// How many shared blocks are kept, of 1 MiB at most.
const MAX_KEPT: usize = 8;
/// The most memory that decompressing one block may take beside what comes out, in KiB.
const MAX_DICTIONARY_KIB: u32 = 8 << 10;
/// The same for zstd, as the exponent of a window in bytes.
const MAX_WINDOW_LOG: u32 = 23;

/// What blocks are compressed with.
#[derive(Clone, Copy)]
pub(super) enum Compression {
    Zlib,
    Xz,
    Zstd,
}

impl Compression {
    pub(super) fn of(number: u64) -> Result<Self, Fault> {
        let other = match number {
            1 => return Ok(Self::Zlib),
            4 => return Ok(Self::Xz),
            6 => return Ok(Self::Zstd),
            2 => "lzma",
            3 => "lzo",
            5 => "lz4",
            _ => "something unknown",
        };
        wrong(format!("it is compressed with {other}, which is not expanded here"))
    }

    /// What a block expands to: no more than `most` bytes.
    pub(super) fn expand(self, block: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let limit = most as u64 + 1;
        let expanded = match self {
            Self::Zlib => flate2::read::ZlibDecoder::new(block).take(limit).read_to_end(&mut bytes),
            Self::Xz => lzma_rust2::XzReader::new_mem_limit(block, false, MAX_DICTIONARY_KIB)
                .take(limit)
                .read_to_end(&mut bytes),
            Self::Zstd => zstd::Decoder::with_buffer(block).and_then(|mut decoder| {
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                decoder.take(limit).read_to_end(&mut bytes)
            }),
        };
        match expanded {
            Ok(len) if len <= most => Ok(bytes),
            Ok(_) => wrong("a block expands to more than it may"),
            Err(error) => wrong(format!("a block can't be expanded: {error}")),
        }
    }
}

/// The blocks that small files share, the ones used last.
#[derive(Default)]
pub(super) struct Blocks {
    kept: VecDeque<(u64, Rc<[u8]>)>,
    /// How many bytes they expanded to, those that are not kept any more among them; and those of other blocks that were
    /// read in vain.
    pub(super) expanded: u64,
}

/// Whether a block is not compressed, and its length.
const PLAIN: u64 = 1 << 24;

impl Squashfs<'_> {
    /// A block of `most` bytes at most.
    fn expand(&self, start: u64, size: u64, most: u64) -> Result<Vec<u8>, Fault> {
        let len = size & (PLAIN - 1);
        if len > self.block {
            return wrong("a block is longer than blocks are");
        }
        let stored = read(self.source, start, len)?;
        if size & PLAIN != 0 { Ok(stored) } else { self.compression.expand(&stored, offset(most)) }
    }

    /// The block with the ends of several files.
    fn fragment(&self, index: u64) -> Result<Rc<[u8]>, Fault> {
        let mut blocks = self.blocks.borrow_mut();
        if let Some((_, block)) = blocks.kept.iter().find(|(kept, _)| *kept == index) {
            return Ok(block.clone());
        }
        if self.fragments == NONE_64 {
            return wrong("there are no blocks that files share");
        }
        let mut row = self.row(self.fragments, index, 16)?;
        let (start, size) = (row.number(8)?, row.number(4)?);
        blocks.expanded += self.block;
        let block: Rc<[u8]> = self.expand(start, size, self.block)?.into();
        blocks.kept.truncate(MAX_KEPT - 1);
        blocks.kept.push_front((index, block.clone()));
        Ok(block)
    }
}

/// The bytes of a file, from its start on.
pub(super) struct Content<'a> {
    volume: &'a Squashfs<'a>,
    file: File,
    /// Where the sizes of its blocks are.
    sizes: Cursor<'a>,
    /// The next of its blocks.
    next: u64,
    /// What it still has.
    left: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<'a> Content<'a> {
    pub(super) fn new(volume: &'a Squashfs<'a>, file: File, sizes: Cursor<'a>) -> Self {
        let (next, left) = (file.start, file.size);
        Self { volume, file, sizes, next, left, buffer: Vec::new(), at: 0 }
    }

    /// Expands the next block.
    fn fill(&mut self) -> Result<(), Fault> {
        self.at = 0;
        let block = self.volume.block;
        let len = offset(self.left.min(block));
        if let Some((index, at)) = self.file.fragment
            && self.left < block
        {
            self.buffer = part(&self.volume.fragment(index)?, offset(at), len)?.to_vec();
            return Ok(());
        }
        let size = self.sizes.number(4)?;
        if size == 0 {
            self.buffer.clear();
            self.buffer.resize(len, 0);
            return Ok(());
        }
        let stored = size & (PLAIN - 1);
        // It is no longer than what it expands to, which the file is charged for; where it is, that is read in vain.
        self.volume.blocks.borrow_mut().expanded += stored.min(block).saturating_sub(len as u64);
        self.buffer = self.volume.expand(self.next, size, len as u64)?;
        self.next = self.next.saturating_add(stored);
        if self.buffer.len() == len { Ok(()) } else { wrong("a block of a file has another length") }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.at >= self.buffer.len() {
            self.fill()?;
        }
        let mut rest = self.buffer.get(self.at..).unwrap_or_default();
        let read = rest.read(buffer)?;
        self.at += read;
        self.left -= read as u64;
        Ok(read)
    }
}
