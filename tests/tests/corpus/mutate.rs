// SPDX-License-Identifier: Apache-2.0
//! Mutations that are the same on every machine.

/// The longest mutation, in bytes.
const MAX_LENGTH: usize = 64 << 10;
/// Values at the edges of what fields can hold, and what texts turn on.
const PIECES: [&[u8]; 16] = [
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\0\x80",
    b"\n",
    b"/",
    b"..",
    b"\\",
    b"\"",
    b"\\u0000",
    b"{}",
    b"%",
    b"9007199254740993",
    b"-1",
    b"PK\x05\x06",
    b"\xc3\xa9",
];

/// Mutations of files, from a seed.
pub(crate) struct Mutations(u64);

impl Mutations {
    /// A seed other than 0 is spread first, or the first mutations of neighbours would be alike.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from((self.next() >> 11) % most.max(1) as u64).unwrap()
    }

    /// One of `files` with one to eight changes.
    pub(crate) fn of(&mut self, files: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = files[self.below(files.len())].clone();
        for _ in 0..=self.below(8) {
            self.change(&mut bytes, files);
        }
        bytes.truncate(MAX_LENGTH);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, files: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(16)).min(bytes.len());
        match self.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            4 => drop(bytes.splice(at..end, PIECES[self.below(PIECES.len())].to_vec())),
            5 => bytes.truncate(at),
            _ => {
                let other = &files[self.below(files.len())];
                let from = self.below(other.len() + 1);
                let to = (from + self.below(256)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].to_vec()));
            }
        }
    }
}
