// SPDX-License-Identifier: Apache-2.0
//! An archive's bytes, decompressed and counted.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};

use thiserror::Error;

use super::UnpackError;

/// The bytes of a tar archive, whatever it is compressed with.
pub(super) fn decompress(file: File) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::new(file);
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::with_buffer(file)?),
        _ => Box::new(file),
    })
}

/// Ends with an error, not with an end of file, once more than `left` bytes come.
pub(super) struct Bounded<R> {
    pub(super) inner: R,
    pub(super) left: u64,
    pub(super) most: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let past = PastBound { what: "bytes once expanded", most: self.most };
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| io::Error::other(past))?;
        Ok(n)
    }
}

/// The most bytes of one entry's headers: the one that every entry has, and those that a long name or other extensions
/// take. The `tar` crate holds them in memory.
pub(super) const MAX_HEADERS: u64 = 1 << 20;

/// Counts what is read while `left` says how much may be.
pub(super) struct Headers<'a, R> {
    pub(super) inner: R,
    pub(super) left: &'a Cell<Option<u64>>,
}

impl<R: Read> Read for Headers<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if let Some(left) = self.left.get() {
            let past = PastBound { what: "bytes of headers of one entry", most: MAX_HEADERS };
            self.left.set(Some(left.checked_sub(n as u64).ok_or_else(|| io::Error::other(past))?));
        }
        Ok(n)
    }
}

/// How the errors of [`Bounded`] and [`Headers`] are told from others on their way through the `tar` crate.
#[derive(Debug, Error)]
#[error("more than {most} {what}")]
struct PastBound {
    what: &'static str,
    most: u64,
}

/// The typed error that a reader of this module meant, or else that the archive can't be read.
pub(super) fn read_error(error: io::Error) -> UnpackError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|e| e as _);
    while let Some(e) = cause {
        if let Some(PastBound { what, most }) = e.downcast_ref::<PastBound>() {
            return UnpackError::Limit { what, most: *most };
        }
        let inner = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref).map(|e| e as _);
        cause = inner.or_else(|| e.source());
    }
    UnpackError::Archive(error)
}
