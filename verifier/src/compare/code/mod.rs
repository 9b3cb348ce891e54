// SPDX-License-Identifier: Apache-2.0
//! Code that differs, instruction by instruction: each function with the one of its name, and what has no name with what
//! stands in the same place. It comes beside the bytes that differ and never in their place.
//!
//! A function is read in windows, each from the instruction on that the next difference is in; where the instructions meet
//! again, the search for the next window begins, however far apart the two sides are by then. Every count has its bound here.

mod decode;
mod regions;
mod window;

use std::rc::Rc;

use reprove_model::FindingKind;

use self::decode::{Instruction, Place};
use self::regions::Region;
use super::archive::Symbol;
use super::files::State;
use super::findings::Details;
use super::preview::count;
use super::source::{Source, Span};
use super::{CompareError, bytes};

/// The most windows that are looked at in one comparison.
pub(super) const MAX_WINDOWS: usize = 500;
/// The most instructions of a window, on each side. Aligning them takes time with the square of their number at worst.
const MAX_INSTRUCTIONS: usize = 1_000;
/// The most bytes of a window: more than so many instructions have on any machine.
const MAX_BYTES: u64 = 32 << 10;
/// The most instructions that are listed; all are counted.
const MAX_LISTED: u64 = 100;

/// What is run: on what, from where on, and the names of what stands where.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) machine: Machine,
    /// The address of the first byte.
    pub(super) address: u64,
    pub(super) symbols: Rc<[Symbol]>,
}

/// Machines whose instructions are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86,
    X86_64,
    Arm64,
}

impl Machine {
    fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::X86_64 => "x86-64",
            Self::Arm64 => "AArch64",
        }
    }
}

/// The code of a section, and its bytes.
type Side<'a> = (&'a Source<'a>, &'a Code);

/// Adds the instructions that differ between two sections of code called `section`, whose bytes do.
pub(super) fn compare(
    left: Side<'_>,
    right: Side<'_>,
    (section, place): (&str, &str),
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    if left.1.machine != right.1.machine {
        return Ok(());
    }
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    // Always in one order, so that nothing depends on which is the left one.
    let is_swapped = is_after(left.0, right.0).map_err(read)?;
    let [one, other] = if is_swapped { [right, left] } else { [left, right] };
    let mut found =
        Found { is_swapped, windows: state.bounds.windows.saturating_sub(state.windows), ..Found::default() };
    let before = found.windows;
    found.sections(one, other, section).map_err(read)?;
    state.windows += before - found.windows;
    let (summary, details) = (found.summary(left.1.machine), found.details);
    if details.count == 0 {
        state.findings.append(place, FindingKind::Content, &format!("; {summary}"));
    } else {
        state.findings.add(place.to_owned(), FindingKind::Content, summary, details.kept, details.count);
    }
    Ok(())
}

/// Whether the first byte that differs is the larger one on the left, or is there alone.
fn is_after(left: &Source<'_>, right: &Source<'_>) -> std::io::Result<bool> {
    let first = bytes::first_difference(left.reader(left.whole()), right.reader(right.whole()))?;
    let Some(start) = first else { return Ok(false) };
    let byte = |source: &Source<'_>| source.read(Span { start, len: u64::from(start < source.len()) });
    Ok(byte(left)? > byte(right)?)
}

/// What is found so far.
#[derive(Default)]
struct Found {
    details: Details,
    is_swapped: bool,
    /// How many windows may still be looked at.
    windows: usize,
    /// Instructions that differ in nothing but where they stand: what they lead to is the same.
    moved: u64,
    /// Functions that one side has alone.
    alone: u64,
    /// Parts of which the end, or nothing, was looked at.
    unseen: u64,
}

impl Found {
    fn summary(&self, machine: Machine) -> String {
        let machine = machine.name();
        let mut summary = match self.details.count {
            0 => format!("as {machine} instructions, none that was looked at differs"),
            1 => format!("as {machine} instructions, 1 differs"),
            more => format!("as {machine} instructions, {more} differ"),
        };
        let mut add = |number: u64, noun: &str, one: &str, more: &str| {
            if number > 0 {
                let verb = if number == 1 { one } else { more };
                summary.push_str(&format!("; {} {verb}", count(number, noun)));
            }
        };
        add(self.moved, "other", "leads to the same from another place", "lead to the same from other places");
        add(self.alone, "function", "is on one side alone", "are on one side alone");
        add(self.unseen, "part", "was not looked at to its end", "were not looked at to their ends");
        summary
    }

    fn sections(&mut self, one: Side<'_>, other: Side<'_>, section: &str) -> std::io::Result<()> {
        let (pairs, alone) = regions::pairs((one.1, one.0.len()), (other.1, other.0.len()));
        self.alone = alone;
        let [firsts, others] = [one, other].map(|(source, code)| regions::occurrences(code, source.len()));
        for (a, b) in pairs {
            let place = |code, occurrences, region| Place { code, occurrences, region, section };
            self.walk((one.0, &place(one.1, &firsts, a)), (other.0, &place(other.1, &others, b)))?;
        }
        Ok(())
    }

    /// Looks at two functions, window by window.
    fn walk(&mut self, one: (&Source<'_>, &Place<'_>), other: (&Source<'_>, &Place<'_>)) -> std::io::Result<()> {
        let [x, y] = [one.1.region.end, other.1.region.end];
        let mut at = [one.1.region.start, other.1.region.start];
        loop {
            let a = Span { start: at[0], len: x.saturating_sub(at[0]) };
            let b = Span { start: at[1], len: y.saturating_sub(at[1]) };
            let Some(first) = bytes::first_difference(one.0.reader(a), other.0.reader(b))? else { return Ok(()) };
            if self.windows == 0 {
                self.unseen += 1;
                return Ok(());
            }
            self.windows -= 1;
            // All before is the same on both sides.
            let skip = decode::start_of(one, a, first)?;
            let window = |(source, place): (&Source<'_>, &Place<'_>), span: Span| {
                let start = span.start + skip;
                let bytes = source.read(Span { start, len: (span.len - skip).min(MAX_BYTES) })?;
                std::io::Result::Ok(decode::instructions(place, start, &bytes, MAX_INSTRUCTIONS))
            };
            let (lefts, rights) = (window(one, a)?, window(other, b)?);
            let is_end = |list: &[Instruction], end: u64, from: u64| list.last().map_or(from, Instruction::end) >= end;
            let is_last = is_end(&lefts, x, a.start + skip) && is_end(&rights, y, b.start + skip);
            let aligned = window::align(&lefts, &rights, is_last);
            self.moved += aligned.moved;
            for pair in aligned.differing {
                self.add(pair, (one.1, other.1));
            }
            match aligned.resume {
                Some(next) => at = next,
                None if is_last => return Ok(()),
                None => {
                    self.unseen += 1;
                    return Ok(());
                }
            }
        }
    }

    /// Lists two instructions that stand in each other's place.
    fn add(&mut self, pair: window::Pair<'_>, (one, other): (&Place<'_>, &Place<'_>)) {
        if self.details.count >= MAX_LISTED {
            self.details.count += 1;
            return;
        }
        let mut sides = [(pair.0, one), (pair.1, other)];
        if self.is_swapped {
            sides.reverse();
        }
        let [left, right] = sides.map(|(instruction, place)| Some((place.at(instruction?.start), instruction?)));
        let (at, left, right) = match (left, right) {
            (Some((at, a)), Some((other, b))) => {
                let at = if at == other { at } else { format!("{at}, {other} on the right") };
                // Two ways to write one instruction.
                let is_same = a.text == b.text;
                let text = |each: &Instruction| if is_same { each.with_bytes() } else { each.text.clone() };
                (at, text(a), text(b))
            }
            (Some((at, a)), None) => (format!("{at}, on the left alone"), a.text.clone(), String::new()),
            (None, Some((at, b))) => (format!("{at}, on the right alone"), String::new(), b.text.clone()),
            (None, None) => return,
        };
        self.details.push(at, left, right);
    }
}

#[cfg(test)]
mod tests;
