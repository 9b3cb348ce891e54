// SPDX-License-Identifier: Apache-2.0
//! What a compressed file or an entry of an archive expands to: in memory, or in a file without a name where it is too large for that.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::rc::Rc;
use std::thread;

use super::files::State;
use super::kept::{Expanded, Key};
use super::source::Source;

/// The most bytes that each of two files is expanded to where that is done at one time.
const MAX_AT_ONCE: u64 = 32 << 20;

/// Expanded bytes. [`Held::give_back`] has to be called in the end.
pub(super) enum Held {
    Memory(Rc<Expanded>),
    /// Whether it has the checksum that stands beside it, as [`Expanded::verified`].
    File(File, bool),
}

impl Held {
    /// What `expand` gives, where it has not been kept; it is kept from then on, where it is in memory and `key` says what it
    /// is.
    pub(super) fn once(
        key: Option<Key>,
        state: &mut State<'_>,
        expand: impl FnOnce(&mut State<'_>) -> io::Result<Result<Self, String>>,
    ) -> io::Result<Result<Self, String>> {
        if let Some(expanded) = key.and_then(|key| state.kept.get(&key)) {
            let (len, (_, in_memory)) = (expanded.bytes.len() as u64, room(state));
            if len <= in_memory {
                state.expanded += len;
                state.held += len;
                return Ok(Ok(Self::Memory(expanded)));
            }
        }
        let held = expand(state)?;
        if let (Some(key), Ok(Self::Memory(expanded))) = (key, &held) {
            state.kept.keep(key, expanded);
        }
        Ok(held)
    }

    /// Bytes for which there is room in memory.
    fn memory(bytes: Vec<u8>, state: &mut State<'_>) -> Self {
        state.held += bytes.len() as u64;
        Self::Memory(Rc::new(Expanded { bytes, number: state.kept.number(), verified: true }))
    }

    /// What both give, at one time; `None`: one of them has to be expanded after the other, for it is more than a few bytes,
    /// or kept already, or can't be expanded at all. Nothing but time is saved by it.
    pub(super) fn both<R: Read>(
        keys: [Option<Key>; 2],
        state: &mut State<'_>,
        expand: [impl FnOnce() -> io::Result<R> + Send; 2],
    ) -> Option<(Self, Self)> {
        let is_kept = |key: &Option<Key>| key.is_some_and(|key| state.kept.get(&key).is_some());
        if keys.iter().any(is_kept) || room(state).1 < 2 * MAX_AT_ONCE {
            return None;
        }
        let [left, right] = expand.map(|expand| {
            || {
                let mut bytes = Vec::new();
                let read = expand().and_then(|reader| reader.take(MAX_AT_ONCE + 1).read_to_end(&mut bytes));
                read.is_ok_and(|read| read as u64 <= MAX_AT_ONCE).then_some(bytes)
            }
        });
        let (left, right) = thread::scope(|scope| {
            let right = thread::Builder::new().spawn_scoped(scope, right).ok()?;
            let left = left();
            Some((left?, right.join().ok()??))
        })?;
        state.expanded += left.len() as u64 + right.len() as u64;
        let both = (Self::memory(left, state), Self::memory(right, state));
        for (key, held) in keys.into_iter().zip([&both.0, &both.1]) {
            if let (Some(key), Self::Memory(expanded)) = (key, held) {
                state.kept.keep(key, expanded);
            }
        }
        Some(both)
    }

    /// Reads `reader` to its end.
    ///
    /// # Errors
    /// The outer one where a temporary file can't be written; the inner one, for a person, where the bytes are not what
    /// they say, or more than the bounds allow.
    pub(super) fn read(mut reader: impl Read, state: &mut State<'_>) -> io::Result<Result<Self, String>> {
        let (most, in_memory) = room(state);
        let left = state.bounds.expansion.saturating_sub(state.expanded);
        let mut bytes = Vec::new();
        let read = reader.by_ref().take(in_memory.saturating_add(1)).read_to_end(&mut bytes);
        let len = bytes.len() as u64;
        // What comes to nothing takes as long.
        state.expanded = state.expanded.saturating_add(len);
        if let Err(error) = read {
            return Ok(Err(said(&error)));
        }
        if len <= in_memory {
            return Ok(Ok(Self::memory(bytes, state)));
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
        Ok(Ok(Self::File(file, true)))
    }

    pub(super) fn is_verified(&self) -> bool {
        match self {
            Self::Memory(expanded) => expanded.verified,
            Self::File(_, verified) => *verified,
        }
    }

    /// The same bytes, which have or have not the checksum that stands beside them.
    pub(super) fn with_verified(self, verified: bool) -> Self {
        match self {
            Self::Memory(mut expanded) => {
                if let Some(expanded) = Rc::get_mut(&mut expanded) {
                    expanded.verified = verified;
                }
                Self::Memory(expanded)
            }
            Self::File(file, _) => Self::File(file, verified),
        }
    }

    /// Them as a source.
    pub(super) fn source(&self) -> io::Result<Source<'_>> {
        match self {
            Self::Memory(expanded) => Ok(expanded.source()),
            Self::File(file, _) => Source::file(file),
        }
    }

    /// Frees what they took of the bound on memory.
    pub(super) fn give_back(self, state: &mut State<'_>) {
        if let Self::Memory(expanded) = self {
            state.held = state.held.saturating_sub(expanded.bytes.len() as u64);
        }
    }
}

/// How many bytes one more may expand to, and how many of these in memory.
fn room(state: &State<'_>) -> (u64, u64) {
    let most = state.bounds.entry.min(state.bounds.expansion.saturating_sub(state.expanded));
    (most, state.bounds.memory.saturating_sub(state.held).min(most))
}

/// Why it can't be expanded. A file that can't be read says so too, and is compared as bytes then, which fails loudly.
fn said(error: &io::Error) -> String {
    super::preview::name(error.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use reprove_model::Between;

    use super::super::archive::tests::{FILE, File, find_within, gzip, tar_of};
    use super::super::kept::{Base, How};
    use super::super::source::Span;
    use super::super::{Bounds, Options};
    use super::*;

    /// Bytes that are no fewer once they are compressed.
    fn noise(mut seed: u32) -> Vec<u8> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        };
        (0..40_000).map(|_| next()).collect()
    }

    #[test]
    fn files_that_are_expanded_at_one_time_are_answered_for_as_others() {
        let packed = |seed, level| gzip(&tar_of(&[File { data: &noise(seed), ..FILE }]), 0, level);
        let one_by_one = Bounds { memory: 2 * MAX_AT_ONCE - 1, ..Bounds::default() };
        let (left, right) = (packed(1, 6), packed(2, 6));
        let cut = &right[..right.len() - 5];
        for (left, right) in [(&*left, &*right), (&left, cut), (cut, &left), (&left, &packed(1, 1)), (cut, &cut[1..])] {
            let found = find_within(left, right, &Bounds::default());
            assert!(!found.0.is_empty());
            assert_eq!(found, find_within(left, right, &one_by_one));
        }
    }

    #[test]
    fn what_is_kept_counts_as_if_it_were_expanded_again() {
        let options = Options::of(Between::Given);
        let bounds = Bounds { expansion: 25, ..Bounds::default() };
        let mut state = State::new(&options, &bounds);
        let place = (Base::Number(state.kept.number()), Span { start: 0, len: 1 });
        let key = Key::of(place, How::Entry { method: 8, size: 10, crc: 0 });
        let mut once = |times: &mut u32| {
            let held = Held::once(Some(key), &mut state, |state| {
                *times += 1;
                Held::read(&[7; 10][..], state)
            });
            let held = held.unwrap().map(|held| held.give_back(&mut state));
            (held, state.expanded, state.held)
        };
        let mut times = 0;
        assert_eq!(once(&mut times), (Ok(()), 10, 0));
        assert_eq!(once(&mut times), (Ok(()), 20, 0));
        assert_eq!(times, 1);
        // One byte more than there was room for is counted too.
        assert_eq!(once(&mut times), (Err("it expands to more than 5 bytes".to_owned()), 26, 0));
    }
}
