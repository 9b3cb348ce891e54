// SPDX-License-Identifier: Apache-2.0
//! Bits that are changed, one at a time, and how long it takes to verify what has none.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// One bit of every `step`th byte of `bytes` is changed; each time, it has to be refused.
pub(crate) fn one_of_each(bytes: &[u8], step: usize, is_taken: impl Fn(&[u8]) -> bool + Sync) {
    let bits = (0..bytes.len()).step_by(step).map(|byte| 8 * byte + byte % 8);
    refused(bytes, &bits.collect::<Vec<_>>(), is_taken);
}

/// Every bit of `bytes` is changed; each time, it has to be refused.
pub(crate) fn all(bytes: &[u8], is_taken: impl Fn(&[u8]) -> bool + Sync) {
    refused(bytes, &(0..8 * bytes.len()).collect::<Vec<_>>(), is_taken);
}

fn refused(bytes: &[u8], bits: &[usize], is_taken: impl Fn(&[u8]) -> bool + Sync) {
    assert!(is_taken(bytes) && !bits.is_empty(), "what is not changed is taken");
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&bit) = bits.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_taken(&changed), "taken with bit {} of byte {} changed", bit % 8, bit / 8);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
}

/// Says how long `verify` takes, as the median of a number of rounds.
pub(crate) fn time(what: &str, verify: impl Fn()) {
    let mut times: Vec<_> = (0..201)
        .map(|_| {
            let begin = Instant::now();
            verify();
            begin.elapsed()
        })
        .collect();
    times.sort();
    println!("{what}: {:?} (from {:?} to {:?})", times[100], times[20], times[180]);
}
