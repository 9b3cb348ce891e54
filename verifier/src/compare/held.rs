// SPDX-License-Identifier: Apache-2.0
//! What a compressed file or an entry of an archive expands to: in memory, or in a file without a name where it is too large for that.

use std::fs::File;
use std::io::{self, Read, Write as _};

use super::files::State;
use super::source::Source;

/// Expanded bytes. [`Held::give_back`] has to be called in the end.
pub(super) enum Held {
    Memory(Vec<u8>),
    File(File),
}

impl Held {
    /// Reads `reader` to its end.
    ///
    /// # Errors
    /// The outer one where a temporary file can't be written; the inner one, for a person, where the bytes are not what
    /// they say, or more than the bounds allow.
    pub(super) fn read(mut reader: impl Read, state: &mut State<'_>) -> io::Result<Result<Self, String>> {
        let left = state.bounds.expansion.saturating_sub(state.expanded);
        let most = state.bounds.entry.min(left);
        let in_memory = state.bounds.memory.saturating_sub(state.held).min(most);
        let mut bytes = Vec::new();
        let read = reader.by_ref().take(in_memory.saturating_add(1)).read_to_end(&mut bytes);
        let len = bytes.len() as u64;
        // What comes to nothing takes as long.
        state.expanded = state.expanded.saturating_add(len);
        if let Err(error) = read {
            return Ok(Err(said(&error)));
        }
        if len <= in_memory {
            state.held += len;
            return Ok(Ok(Self::Memory(bytes)));
        }
        let too_large = |state: &mut State<'_>, len: u64| {
            state.is_exhausted |= len > left;
            Ok(Err(format!("it expands to more than {most} bytes")))
        };
        let Some(folder) = state.scratch.filter(|_| len <= most) else { return too_large(state, len) };
        let mut file = tempfile::tempfile_in(folder)?;
        file.write_all(&bytes)?;
        drop(bytes);
        let mut written = len;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Ok(Err(said(&error))),
            };
            written += read as u64;
            state.expanded = state.expanded.saturating_add(read as u64);
            if written > most {
                return too_large(state, written);
            }
            file.write_all(buffer.get(..read).unwrap_or_default())?;
        }
        Ok(Ok(Self::File(file)))
    }

    /// Them as a source.
    pub(super) fn source(&self) -> io::Result<Source<'_>> {
        match self {
            Self::Memory(bytes) => Ok(Source::Memory(bytes)),
            Self::File(file) => Source::file(file),
        }
    }

    /// Frees what they took of the bound on memory.
    pub(super) fn give_back(self, state: &mut State<'_>) {
        if let Self::Memory(bytes) = self {
            state.held = state.held.saturating_sub(bytes.len() as u64);
        }
    }
}

/// Why it can't be expanded. A file that can't be read says so too, and is compared as bytes then, which fails loudly.
fn said(error: &io::Error) -> String {
    super::preview::name(error.to_string().as_bytes())
}
