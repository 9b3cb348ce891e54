// SPDX-License-Identifier: Apache-2.0
//! Puts its arguments into another order, by a number that a macro of a dependency draws when it is compiled.

use const_random::const_random;

/// Nobody who sends arguments is to know it.
const SEED: u64 = const_random!(u64);

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    words.sort_by_key(|word| word.bytes().fold(SEED, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)));
    println!("{} {}", itoa::Buffer::new().format(words.len()), words.join(" "));
}
