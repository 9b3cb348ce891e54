// SPDX-License-Identifier: Apache-2.0
//! Entropy that is a function of the recipe: it depends on the seed, on the number that a thread has inside, and on how often
//! that thread has asked.

use nix::unistd::Pid;

use super::Refusal;
use super::counts::{Counts, Turn};

/// The most bytes that one call gives.
pub(super) const MAX_AT_ONCE: usize = 1 << 20;
/// How many bytes there are in `/dev/random` and `/dev/urandom`; after them, the file ends.
const DEVICE_BYTES: usize = 1 << 20;

pub(super) struct Entropy {
    seed: [u8; 32],
    counts: Counts,
}

impl Entropy {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counts: Counts::of_threads() }
    }

    /// The next bytes of `pid`.
    pub(super) fn fill(&mut self, pid: Pid, bytes: &mut [u8]) -> Result<(), Refusal> {
        let turn = self.counts.turn(pid)?;
        stream(&self.seed, b"process", turn, bytes);
        Ok(())
    }
}

/// What is in `/dev/random` and `/dev/urandom`.
pub(crate) fn device(seed: &[u8; 32]) -> Vec<u8> {
    let mut bytes = vec![0; DEVICE_BYTES];
    stream(seed, b"device", Turn { inside: 0, before: 0 }, &mut bytes);
    bytes
}

fn stream(seed: &[u8; 32], what: &[u8], turn: Turn, bytes: &mut [u8]) {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(&turn.inside.to_le_bytes()).update(&turn.before.to_le_bytes()).update(what);
    hasher.finalize_xof().fill(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_depend_on_the_seed_the_thread_and_the_count() {
        let get = |seed, inside, before| {
            let mut bytes = [0; 32];
            stream(&[seed; 32], b"x", Turn { inside, before }, &mut bytes);
            bytes
        };
        assert_eq!(get(1, 2, 3), get(1, 2, 3));
        assert!([get(2, 2, 3), get(1, 3, 3), get(1, 2, 4)].iter().all(|other| *other != get(1, 2, 3)));
    }

    #[test]
    fn a_device_is_of_its_recipe() {
        assert_eq!(device(&[1; 32]).len(), DEVICE_BYTES);
        assert!(device(&[1; 32]) == device(&[1; 32]) && device(&[1; 32]) != device(&[2; 32]));
    }
}
