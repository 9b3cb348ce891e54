// SPDX-License-Identifier: Apache-2.0
//! Two windows of instructions, aligned.

use std::ops::Range;

use similar::{Algorithm, DiffOp};

use super::decode::Instruction;

/// How many instructions in a row have to be alike for the two sides to be in step again.
const IN_STEP: usize = 8;

/// Two instructions that stand in each other's place, or one that the other side has not.
pub(super) type Pair<'a> = (Option<&'a Instruction>, Option<&'a Instruction>);

/// What two windows came to.
pub(super) struct Aligned<'a> {
    pub(super) differing: Vec<Pair<'a>>,
    /// How many differ in where they stand alone.
    pub(super) moved: u64,
    /// Where both sides are in step again, from the start of each section; `None`: nowhere, or there is nothing more.
    pub(super) resume: Option<[u64; 2]>,
}

/// What two instructions have in common where they do the same.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Sense<'a> {
    Bytes(&'a [u8]),
    Leads(&'a str),
}

fn sense(instruction: &Instruction) -> Sense<'_> {
    instruction.leads.as_deref().map_or(Sense::Bytes(&instruction.bytes), Sense::Leads)
}

/// Aligns them. `is_last`: nothing comes after them, on either side.
pub(super) fn align<'a>(left: &'a [Instruction], right: &'a [Instruction], is_last: bool) -> Aligned<'a> {
    let (lefts, rights): (Vec<_>, Vec<_>) = (left.iter().map(sense).collect(), right.iter().map(sense).collect());
    let before = lefts.iter().zip(&rights).take_while(|(a, b)| a == b).count();
    let (a, b) = (lefts.get(before..).unwrap_or_default(), rights.get(before..).unwrap_or_default());
    // What is cut has no end.
    let after = if is_last { a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count() } else { 0 };
    let a = a.get(..a.len() - after).unwrap_or_default();
    let b = b.get(..b.len() - after).unwrap_or_default();
    let mut blocks = vec![(0..before, 0..before, true)];
    let moved = |range: Range<usize>| range.start + before..range.end + before;
    let of = |op: DiffOp| (moved(op.old_range()), moved(op.new_range()), matches!(op, DiffOp::Equal { .. }));
    blocks.extend(similar::capture_diff_slices(Algorithm::Myers, a, b).into_iter().map(of));
    blocks.push((left.len() - after..left.len(), right.len() - after..right.len(), true));
    let mut resume = None;
    if !is_last {
        // What comes after is looked at in the next window.
        let is_in_step = |(x, y, is_equal): &(Range<usize>, Range<usize>, bool)| {
            *is_equal && (x.len() >= IN_STEP || (x.end == left.len() || y.end == right.len()) && !x.is_empty())
        };
        if let Some(last) = blocks.iter().rposition(is_in_step) {
            blocks.truncate(last + 1);
            let end = |list: &[Instruction], range: Option<&Range<usize>>| {
                range.and_then(|range| list.get(range.end.checked_sub(1)?)).map(Instruction::end)
            };
            let ends = blocks.last().map(|(x, y, _)| (end(left, Some(x)), end(right, Some(y))));
            if let Some((Some(x), Some(y))) = ends {
                resume = Some([x, y]);
            }
        }
    }
    let mut aligned = Aligned { differing: Vec::new(), moved: 0, resume };
    for (x, y, _) in blocks {
        aligned.block(left.get(x).unwrap_or_default(), right.get(y).unwrap_or_default());
    }
    aligned
}

impl<'a> Aligned<'a> {
    fn block(&mut self, left: &'a [Instruction], right: &'a [Instruction]) {
        for number in 0..left.len().max(right.len()) {
            match (left.get(number), right.get(number)) {
                (Some(a), Some(b)) if a.bytes == b.bytes => {}
                (Some(a), Some(b)) if sense(a) == sense(b) => self.moved += 1,
                pair => self.differing.push(pair),
            }
        }
    }
}
