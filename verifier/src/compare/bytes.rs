// SPDX-License-Identifier: Apache-2.0
//! Any two streams of bytes, in bounded memory: every run of bytes that differs, with the string or bytes around it.

use std::io::{self, Read};

use super::findings::Details;
use super::preview::{self, Around};
use super::source::{Source, Span};

/// How much of each side is held at one time.
const WINDOW: usize = 128 << 10;
/// Two differences with fewer equal bytes between them are one run.
const GAP: u64 = 8;

/// How many bytes are compared at one time.
const STEP: usize = 4096;

/// What comparing two streams came to.
pub(super) struct ByteDiff {
    /// One for each run; its `at` is the offset and the length.
    pub(super) runs: Details,
    /// The first offset that differs; `None` if and only if the streams are equal.
    pub(super) first: Option<u64>,
    /// Bytes on the left and on the right.
    pub(super) len: (u64, u64),
}

/// Compares two streams to their ends, in memory that does not depend on their lengths.
pub(super) fn diff(left: impl Read, right: impl Read) -> io::Result<ByteDiff> {
    let (mut left, mut right) = (Window::new(left), Window::new(right));
    let mut runs = Runs { details: Details::default(), open: None, first: None };
    let mut position = 0;
    loop {
        left.fill()?;
        right.fill()?;
        let end = match (left.shown_to(), right.shown_to()) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) => a,
            (None, Some(b)) => b,
            (None, None) => left.end().max(right.end()),
        };
        scan(&left, &right, position, end, &mut runs);
        position = end;
        if left.done && right.done {
            break;
        }
        left.forget_before(position);
        right.forget_before(position);
    }
    runs.close();
    Ok(ByteDiff { runs: runs.details, first: runs.first, len: (left.end(), right.end()) })
}

/// The first offset where two streams differ; `None` where they are equal.
pub(super) fn first_difference(left: impl Read, right: impl Read) -> io::Result<Option<u64>> {
    let (mut left, mut right) = (Window::new(left), Window::new(right));
    loop {
        left.fill()?;
        right.fill()?;
        let start = left.start;
        let same = left.bytes.iter().zip(&right.bytes);
        if left.bytes != right.bytes {
            return Ok(Some(start + same.take_while(|(a, b)| a == b).count() as u64));
        }
        if left.done && right.done {
            return Ok(None);
        }
        left.clear();
        right.clear();
    }
}

/// The first offset where two parts differ, from their starts on; `None` where they are equal.
pub(super) fn first_between(
    (left, a): (&Source<'_>, Span),
    (right, b): (&Source<'_>, Span),
) -> io::Result<Option<u64>> {
    match (left.slice(a), right.slice(b)) {
        (Some(a), Some(b)) => Ok((a != b).then(|| same_start(a, b) as u64)),
        _ => first_difference(left.reader(a), right.reader(b)),
    }
}

/// How many bytes are the same before the first that is not.
fn same_start(a: &[u8], b: &[u8]) -> usize {
    let whole = a.chunks(STEP).zip(b.chunks(STEP)).take_while(|(a, b)| a == b).map(|(a, _)| a.len()).sum::<usize>();
    let rest = a.iter().zip(b).skip(whole).take_while(|(a, b)| a == b).count();
    whole + rest
}

fn scan<L: Read, R: Read>(left: &Window<L>, right: &Window<R>, start: u64, end: u64, runs: &mut Runs) {
    let (a, b) = (left.part(start, end), right.part(start, end));
    let mut position = start;
    for (a, b) in a.chunks(STEP).zip(b.chunks(STEP)) {
        if a != b {
            for (offset, _) in (position..).zip(a.iter().zip(b)).filter(|(_, (a, b))| a != b) {
                runs.differ(offset, offset + 1, left, right);
            }
        }
        position += a.len().min(b.len()) as u64;
    }
    // From here on there is one side alone.
    if position < end {
        runs.differ(position, end, left, right);
    }
}

/// The runs found so far, and the one that may still grow.
struct Runs {
    details: Details,
    open: Option<Run>,
    first: Option<u64>,
}

struct Run {
    start: u64,
    end: u64,
    around: Option<(Around, Around)>,
}

impl Runs {
    fn differ<L: Read, R: Read>(&mut self, start: u64, end: u64, left: &Window<L>, right: &Window<R>) {
        if let Some(run) = &mut self.open
            && start - run.end < GAP
        {
            run.end = end;
            return;
        }
        self.close();
        self.first.get_or_insert(start);
        let shown = self.details.kept.len() < reprove_model::Finding::MAX_DETAILS;
        let around = shown.then(|| (left.around(start), right.around(start)));
        self.open = Some(Run { start, end, around });
    }

    fn close(&mut self) {
        if let Some(Run { start, end, around }) = self.open.take() {
            match around {
                Some((left, right)) => {
                    let (left, right) = preview::pair(&left, &right, end - start);
                    let len = preview::count(end - start, "byte");
                    self.details.push(format!("{start:#x}, {len}"), left, right);
                }
                None => self.details.count += 1,
            }
        }
    }
}

/// A part of a stream: what is being compared, and enough around it for a preview.
struct Window<R> {
    reader: R,
    bytes: Vec<u8>,
    /// The offset of the first of `bytes`.
    start: u64,
    /// Whether the stream has ended.
    done: bool,
}

impl<R: Read> Window<R> {
    fn new(reader: R) -> Self {
        Self { reader, bytes: Vec::new(), start: 0, done: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        let want = WINDOW.saturating_sub(self.bytes.len()) as u64;
        let read = self.reader.by_ref().take(want).read_to_end(&mut self.bytes)?;
        self.done |= (read as u64) < want;
        Ok(())
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The offset up to which there is enough after each byte for a preview; `None` where that is the stream's end.
    fn shown_to(&self) -> Option<u64> {
        (!self.done).then(|| self.end() - preview::CONTEXT_FROM as u64)
    }

    fn forget_before(&mut self, position: u64) {
        let keep_from = position.saturating_sub(preview::CONTEXT_BEFORE as u64).max(self.start);
        let forget = usize::try_from(keep_from - self.start).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.drain(..forget);
        self.start += forget as u64;
    }

    fn clear(&mut self) {
        self.start = self.end();
        self.bytes.clear();
    }

    /// The bytes from `start` to `end`, as far as the stream goes.
    fn part(&self, start: u64, end: u64) -> &[u8] {
        let index = |offset: u64| {
            usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.bytes.len())
        };
        self.bytes.get(index(start)..index(end)).unwrap_or_default()
    }

    fn around(&self, position: u64) -> Around {
        Around {
            before: self.part(position.saturating_sub(preview::CONTEXT_BEFORE as u64), position).to_vec(),
            from: self.part(position, position.saturating_add(preview::CONTEXT_FROM as u64)).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(left: &[u8], right: &[u8]) -> Vec<String> {
        diff(left, right).unwrap().runs.kept.into_iter().map(|detail| detail.at).collect()
    }

    #[test]
    fn near_runs_are_one() {
        let mut bytes = [0; 64];
        let zeros = bytes;
        bytes[10] = 1;
        bytes[18] = 1;
        assert_eq!(at(&zeros, &bytes), ["0xa, 9 bytes"]);
        bytes[18] = 0;
        bytes[19] = 1;
        assert_eq!(at(&zeros, &bytes), ["0xa, 1 byte", "0x13, 1 byte"]);
    }

    #[test]
    fn a_longer_side_is_a_difference() {
        let diff = diff(&b"abc"[..], &b"abcdef"[..]).unwrap();
        assert_eq!((diff.first, diff.len, diff.runs.count), (Some(3), (3, 6), 1));
        assert_eq!(diff.runs.kept[0].at, "0x3, 3 bytes");
        assert_eq!(diff.runs.kept[0].left, "(end)");
    }

    #[test]
    fn a_date_and_a_path_in_a_binary_are_readable_wherever_they_stand() {
        // Also across the windows' edges.
        for offset in (WINDOW - 200..WINDOW + 20).step_by(7) {
            let mut left = vec![0x90; 2 * WINDOW];
            let mut right = left.clone();
            let dates = (b"\0Nov 22 2026\0/build/a1/x.c\0", b"\0Nov 23 2027\0/build/b1/x.c\0");
            left[offset..offset + dates.0.len()].copy_from_slice(dates.0);
            right[offset..offset + dates.1.len()].copy_from_slice(dates.1);
            let diff = diff(&left[..], &right[..]).unwrap();
            let shown: Vec<_> = diff.runs.kept.iter().map(|d| (d.left.as_str(), d.right.as_str())).collect();
            let expected = [("\"Nov 22 2026\"", "\"Nov 23 2027\""), ("\"/build/a1/x.c\"", "\"/build/b1/x.c\"")];
            assert_eq!(shown, expected, "{offset}");
        }
    }

    #[test]
    fn runs_are_counted_past_those_kept() {
        let left = vec![0; 16 * 1001];
        let mut right = left.clone();
        right.iter_mut().step_by(16).for_each(|byte| *byte = 1);
        let diff = diff(&left[..], &right[..]).unwrap();
        assert_eq!((diff.runs.kept.len(), diff.runs.count), (1000, 1001));
    }

    proptest! {
        #[test]
        fn equal_if_and_only_if_nothing_is_found(
            left in proptest::collection::vec(0..2u8, 0..40),
            right in proptest::collection::vec(0..2u8, 0..40),
            equal in 0..400_000usize,
        ) {
            let left = [vec![7; equal], left].concat();
            let right = [vec![7; equal], right].concat();
            let diff = diff(&left[..], &right[..]).unwrap();
            prop_assert_eq!(left == right, diff.first.is_none());
            prop_assert_eq!(left == right, diff.runs.count == 0);
            prop_assert_eq!(diff.first, first_difference(&left[..], &right[..]).unwrap());
            let (a, b) = (Source::Memory(&left), Source::Memory(&right));
            prop_assert_eq!(diff.first, first_between((&a, a.whole()), (&b, b.whole())).unwrap());
            prop_assert_eq!(diff.len, (left.len() as u64, right.len() as u64));
        }
    }
}
