// SPDX-License-Identifier: Apache-2.0
//! Which part of a section of code is compared with which: functions by their names, what is between two of them by the name
//! of the one before.

use std::collections::BTreeMap;

use super::super::archive::{Key, Keys};
use super::Code;

/// A part of a section, from the section's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    /// The function that it is; `None`: it is in none.
    pub(super) name: Option<Vec<u8>>,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The parts that are compared with each other, in the order of the first side; and how many functions one side has alone.
/// Where no function is on both sides, the sections are compared as they are.
pub(super) fn pairs(one: (&Code, u64), other: (&Code, u64)) -> (Vec<(Region, Region)>, u64) {
    let (lefts, mut rights): (_, BTreeMap<_, _>) = (regions(one), regions(other).into_iter().collect());
    let (mut pairs, mut alone, mut named) = (Vec::new(), 0, 0_u64);
    for (key, left) in lefts {
        let is_named = u64::from(left.name.is_some());
        match rights.remove(&key) {
            Some(right) => {
                named += is_named;
                pairs.push((left, right));
            }
            None => alone += is_named,
        }
    }
    alone += rights.values().filter(|region| region.name.is_some()).count() as u64;
    if named == 0 {
        let whole = |len| Region { name: None, start: 0, end: len };
        return (vec![(whole(one.1), whole(other.1))], alone);
    }
    (pairs, alone)
}

/// Which of the functions of one name each is, by where it begins; but for the first of each.
pub(super) fn occurrences(code: &Code, len: u64) -> BTreeMap<u64, u32> {
    let all = regions((code, len)).into_iter().filter(|((key, _), region)| region.name.is_some() && key.1 > 0);
    all.map(|((key, _), region)| (region.start, key.1)).collect()
}

/// All parts; each by the name of the function that it is, or that it comes after.
fn regions((code, len): (&Code, u64)) -> Vec<((Key, bool), Region)> {
    let (mut all, mut keys) = (Vec::new(), Keys::default());
    let (mut at, mut last) = (0, keys.of(b""));
    let mut symbols = code.symbols.iter().filter(|symbol| symbol.start < len).peekable();
    while let Some(symbol) = symbols.next() {
        let next = symbols.peek().map_or(len, |next| next.start);
        // Of several names of one place the last is told.
        if next == symbol.start {
            continue;
        }
        if at < symbol.start {
            all.push(((last, false), Region { name: None, start: at, end: symbol.start }));
        }
        let end = symbol.len.and_then(|len| symbol.start.checked_add(len)).map_or(next, |end| end.min(next));
        last = keys.of(&symbol.name);
        let region = Region { name: Some(symbol.name.clone()), start: symbol.start, end };
        all.push(((last.clone(), true), region));
        at = end;
    }
    if at < len {
        all.push(((last, false), Region { name: None, start: at, end: len }));
    }
    all
}
