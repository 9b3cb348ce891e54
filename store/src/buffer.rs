// SPDX-License-Identifier: Apache-2.0
//! Memory that files are read into.

use std::cell::Cell;
use std::io::{self, Read};

/// A page, where the memory begins. Large allocations begin sixteen bytes behind one, and there the kernel's copies take
/// four times as long on processors of AMD that copy by `rep movsb`.
const PAGE: usize = 4096;

/// Up to so many bytes of a file, in memory.
#[derive(Debug)]
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    size: usize,
    filled: usize,
}

impl Buffer {
    /// An empty one for `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        // What is never filled is zeros that the system has not made yet.
        let memory = vec![0; size + PAGE];
        let start = memory.as_ptr().align_offset(PAGE).min(PAGE);
        Self { memory, start, size, filled: 0 }
    }

    /// Takes in the reader's next bytes in place of what was there: as many as fit, or all that there are.
    pub(crate) fn fill(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        self.filled = 0;
        let space = self.memory.get_mut(self.start..self.start + self.size).unwrap_or_default();
        while let Some(rest) = space.get_mut(self.filled..).filter(|rest| !rest.is_empty()) {
            match reader.read(rest) {
                Ok(0) => break,
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// What was taken in last.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.get(self.start..self.start + self.filled).unwrap_or_default()
    }

    /// Whether there may be more to read than was taken in.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.size
    }
}

/// A thread's own buffer, for one file after the other.
pub(crate) struct Spare(Cell<Option<Buffer>>);

impl Spare {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Taken, not borrowed: what fills it may itself need one. A new one has `size` bytes.
    pub(crate) fn take(&self, size: usize) -> Buffer {
        self.0.take().unwrap_or_else(|| Buffer::new(size))
    }

    /// Keeps one for the next file.
    pub(crate) fn put(&self, buffer: Buffer) {
        self.0.set(Some(buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, and is interrupted before each.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(&mut buffer[..1]) }
        }
    }

    #[test]
    fn it_takes_what_fits_and_says_whether_there_may_be_more() {
        for (length, parts) in [(0, [0, 0]), (9, [9, 0]), (10, [10, 0]), (11, [10, 1]), (25, [10, 10])] {
            let bytes: Vec<u8> = (0..length).collect();
            let (mut reader, mut buffer) = (Slow(&bytes, false), Buffer::new(10));
            let mut seen = Vec::new();
            for part in parts {
                buffer.fill(&mut reader).unwrap();
                assert_eq!((buffer.bytes().len(), buffer.is_full()), (part, part == 10));
                seen.extend_from_slice(buffer.bytes());
            }
            assert!(bytes.starts_with(&seen));
        }
    }

    #[test]
    fn it_begins_with_a_page() {
        for size in [1, 4096, 1 << 20] {
            let mut buffer = Buffer::new(size);
            buffer.fill(&mut io::repeat(1)).unwrap();
            assert_eq!((buffer.bytes().len(), buffer.bytes().as_ptr().align_offset(PAGE)), (size, 0));
        }
    }
}
