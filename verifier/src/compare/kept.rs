// SPDX-License-Identifier: Apache-2.0
//! What was expanded once, which is kept for whoever expands it again: a comparison does, and then each normal form.
//!
//! Only time is saved by it: every bound counts what is found here as if it had been expanded once more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use reprove_model::Digest;

use super::format::Format;
use super::source::{Source, Span};

/// The most bytes that are kept, beside those that are held.
const MAX_KEPT: u64 = 64 << 20;

/// Bytes that stay what they are as long as anything is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Base {
    /// The file with this digest.
    File(Digest),
    /// The only one with this number.
    Number(u64),
}

/// What was expanded, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    base: Base,
    start: u64,
    len: u64,
    how: How,
}

/// How bytes are expanded. The same ones in another way are others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// As a compressed file.
    File(Format),
    /// As an entry of a zip archive, as its header says.
    Entry { method: u16, size: u64, crc: u32 },
}

impl Key {
    pub(super) fn of((base, span): (Base, Span), how: How) -> Self {
        Self { base, start: span.start, len: span.len, how }
    }
}

/// Expanded bytes.
#[derive(Debug)]
pub(super) struct Expanded {
    pub(super) bytes: Vec<u8>,
    /// No others have this number.
    pub(super) number: u64,
    /// Whether they have the checksum that stands beside them, where the format leaves that to others.
    pub(super) verified: bool,
}

impl Expanded {
    pub(super) fn source(&self) -> Source<'_> {
        Source::Known { bytes: &self.bytes, base: Base::Number(self.number) }
    }
}

/// What is kept in one comparison, with its normal forms.
#[derive(Debug, Default)]
pub(super) struct Kept {
    all: RefCell<BTreeMap<Key, Rc<Expanded>>>,
    bytes: Cell<u64>,
    numbers: Cell<u64>,
}

impl Kept {
    /// A number that was not given before.
    pub(super) fn number(&self) -> u64 {
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        number
    }

    pub(super) fn get(&self, key: &Key) -> Option<Rc<Expanded>> {
        self.all.borrow().get(key).cloned()
    }

    /// Keeps these bytes, where there is room.
    pub(super) fn keep(&self, key: Key, expanded: &Rc<Expanded>) {
        let bytes = self.bytes.get().saturating_add(expanded.bytes.capacity() as u64);
        if bytes <= MAX_KEPT {
            self.bytes.set(bytes);
            self.all.borrow_mut().insert(key, Rc::clone(expanded));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_kept_as_there_is_room_for() {
        let kept = Kept::default();
        let key = |start| Key::of((Base::Number(0), Span { start, len: 1 }), How::File(Format::Gzip));
        let of = |len: u64| {
            let bytes = vec![0; usize::try_from(len).unwrap()];
            Rc::new(Expanded { bytes, number: kept.number(), verified: true })
        };
        kept.keep(key(0), &of(MAX_KEPT - 1));
        kept.keep(key(1), &of(2));
        kept.keep(key(2), &of(1));
        let has = |start| kept.get(&key(start)).is_some();
        assert_eq!([0, 1, 2].map(has), [true, false, true]);
        assert_ne!(kept.number(), kept.number());
    }

    #[test]
    fn the_same_bytes_in_another_way_are_others() {
        let place = (Base::Number(0), Span { start: 0, len: 1 });
        let entry = |method, size, crc| Key::of(place, How::Entry { method, size, crc });
        let all =
            [entry(8, 1, 1), entry(0, 1, 1), entry(8, 2, 1), entry(8, 1, 2), Key::of(place, How::File(Format::Xz))];
        for (at, key) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == key), Some(at));
        }
    }
}
