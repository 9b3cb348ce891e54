// SPDX-License-Identifier: Apache-2.0
//! Bytes that can be read at any offset: a file's, or an archive's entry held in memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use super::kept::Base;

/// The largest file that is read once, in bytes. A larger one is read where and when it is looked at.
const MAX_READ: u64 = 16 << 20;

/// A file to compare, whose bytes may want to be known again.
pub(super) struct Opened<'a> {
    file: &'a File,
    len: u64,
    base: Base,
    bytes: Option<Vec<u8>>,
}

impl<'a> Opened<'a> {
    /// # Errors
    /// See [`Source::file`].
    pub(super) fn new(file: &'a File, base: Base) -> io::Result<Self> {
        let source = Source::file(file)?;
        let len = source.len();
        let bytes = if len <= MAX_READ { Some(source.read(source.whole())?) } else { None };
        Ok(Self { file, len, base, bytes })
    }

    pub(super) fn source(&self) -> Source<'_> {
        match &self.bytes {
            Some(bytes) => Source::Known { bytes, base: self.base },
            None => Source::File { file: self.file, len: self.len, base: Some(self.base) },
        }
    }
}

/// A file, or bytes in memory. A file is read by offset, so its cursor never matters.
pub(super) enum Source<'a> {
    File {
        file: &'a File,
        len: u64,
        base: Option<Base>,
    },
    /// Bytes that somebody may want to know again.
    Known {
        bytes: &'a [u8],
        base: Base,
    },
    /// Others.
    #[cfg_attr(not(test), expect(dead_code, reason = "what is compared is known"))]
    Memory(&'a [u8]),
    /// A part of another source.
    Part {
        whole: &'a Source<'a>,
        span: Span,
    },
}

/// Where a part of a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) len: u64,
}

/// Reads one span of a source, from its start on.
pub(super) struct SpanReader<'a> {
    source: &'a Source<'a>,
    span: Span,
}

impl<'a> Source<'a> {
    /// The whole of `file`.
    ///
    /// # Errors
    /// Also where there are bytes past the end that the file system says it has, as in the files of `/proc`, which are 0 bytes
    /// long: what is not read must not count as equal.
    pub(super) fn file(file: &'a File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        if file.read_at(&mut [0], len)? > 0 {
            return Err(io::Error::other("it has more bytes than its size says"));
        }
        Ok(Self::File { file, len, base: None })
    }

    /// Bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Memory(bytes) | Self::Known { bytes, .. } => bytes.len() as u64,
            Self::Part { span, .. } => span.len,
        }
    }

    /// The bytes of `span` as a source.
    pub(super) fn part(&'a self, span: Span) -> Self {
        Self::Part { whole: self, span }
    }

    pub(super) fn whole(&self) -> Span {
        Span { start: 0, len: self.len() }
    }

    /// Of what these bytes are a part, where that is known again, and where in it they are.
    pub(super) fn place(&self, span: Span) -> Option<(Base, Span)> {
        match self {
            Self::Memory(_) => None,
            Self::File { base, .. } => base.map(|base| (base, span)),
            Self::Known { base, .. } => Some((*base, span)),
            Self::Part { whole, span: part } => {
                whole.place(Span { start: part.start.saturating_add(span.start), len: span.len })
            }
        }
    }

    /// The bytes of `span` where they are in memory, as far as they go.
    pub(super) fn slice(&self, span: Span) -> Option<&'a [u8]> {
        match self {
            Self::File { .. } => None,
            Self::Memory(bytes) | Self::Known { bytes, .. } => {
                let start = usize::try_from(span.start).unwrap_or(usize::MAX).min(bytes.len());
                let len = usize::try_from(span.len).unwrap_or(usize::MAX).min(bytes.len() - start);
                bytes.get(start..start + len)
            }
            Self::Part { whole, span: part } => {
                let len = span.len.min(part.len.saturating_sub(span.start));
                whole.slice(Span { start: part.start.saturating_add(span.start), len })
            }
        }
    }

    pub(super) fn reader(&'a self, span: Span) -> SpanReader<'a> {
        SpanReader { source: self, span }
    }

    /// All bytes of `span`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the source ends before it. The caller bounds the span's length.
    pub(super) fn read(&self, span: Span) -> io::Result<Vec<u8>> {
        if span.start.checked_add(span.len).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(bytes) = self.slice(span).filter(|bytes| bytes.len() as u64 == span.len) {
            return Ok(bytes.to_vec());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(span.len).unwrap_or(0));
        self.reader(span).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == span.len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.read_at(buffer, offset),
            Self::Memory(bytes) | Self::Known { bytes, .. } => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                rest.unwrap_or_default().read(buffer)
            }
            Self::Part { whole, span } => {
                let left = usize::try_from(span.len.saturating_sub(offset)).unwrap_or(usize::MAX);
                let end = buffer.len().min(left);
                whole.read_at(buffer.get_mut(..end).unwrap_or_default(), span.start.saturating_add(offset))
            }
        }
    }
}

impl Read for SpanReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.span.len).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.source.read_at(buffer.get_mut(..want).unwrap_or_default(), self.span.start)?;
        self.span.start += read as u64;
        self.span.len -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    #[test]
    fn a_file_reads_like_memory_and_keeps_its_cursor() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let whole = Source::Memory(b"xx0123456789yy");
        let part = whole.part(Span { start: 2, len: 10 });
        for source in [&Source::file(&file).unwrap(), &Source::Memory(b"0123456789"), &part] {
            assert_eq!(source.len(), 10);
            assert_eq!(source.read(Span { start: 2, len: 3 }).unwrap(), b"234");
            assert_eq!(source.read(Span { start: 7, len: 3 }).unwrap(), b"789");
            assert!(source.read(Span { start: 8, len: 3 }).is_err());
            assert!(source.read(Span { start: u64::MAX, len: 3 }).is_err());
        }
        assert_eq!((&file).stream_position().unwrap(), 10);
    }

    #[test]
    fn a_file_that_has_more_than_it_says_is_refused() {
        let file = File::open("/proc/version").unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        assert!(Source::file(&file).is_err());
        assert_eq!(Source::file(&tempfile::tempfile().unwrap()).unwrap().len(), 0);
    }
}
