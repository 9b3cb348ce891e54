// SPDX-License-Identifier: Apache-2.0
//! Two texts, line by line.

use similar::{Algorithm, DiffOp};

use super::findings::Details;
use super::preview;

/// The most lines, of both sides together, that are aligned; where more differ, equal line numbers are compared. Aligning
/// takes time with the square of their number at worst.
const MAX_ALIGNED: usize = 10_000;

/// The most that all texts of one comparison may take to be aligned: of each, its lines from the first to the last that
/// differs, times those that do.
pub(super) const MAX_ALIGNING: u64 = 2_000_000_000;

/// The text that `bytes` are: valid UTF-8 without a NUL.
pub(super) fn as_text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// Every line that differs, none if and only if the texts are equal; and whether lines were aligned. `aligning`: what is left
/// of [`MAX_ALIGNING`].
pub(super) fn diff(left: &str, right: &str, aligning: &mut u64) -> (Details, bool) {
    let left: Vec<&str> = left.split_inclusive('\n').collect();
    let right: Vec<&str> = right.split_inclusive('\n').collect();
    let before = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let (left, right) = (left.get(before..).unwrap_or_default(), right.get(before..).unwrap_or_default());
    let after = left.iter().rev().zip(right.iter().rev()).take_while(|(a, b)| a == b).count();
    let left = left.get(..left.len() - after).unwrap_or_default();
    let right = right.get(..right.len() - after).unwrap_or_default();

    let mut details = Details::default();
    let len = left.len() + right.len();
    // What one text takes is known once it is aligned.
    let is_aligned = len <= MAX_ALIGNED && *aligning > 0;
    if is_aligned {
        let mut differing = 1;
        for op in similar::capture_diff_slices(Algorithm::Myers, left, right) {
            if !matches!(op, DiffOp::Equal { .. }) {
                let (old, new) = (op.old_range(), op.new_range());
                differing += old.len() + new.len();
                let lines = (left.get(old.clone()), right.get(new.clone()));
                replaced(
                    (lines.0.unwrap_or_default(), before + old.start),
                    (lines.1.unwrap_or_default(), before + new.start),
                    &mut details,
                );
            }
        }
        *aligning = aligning.saturating_sub((len * differing) as u64);
    } else {
        replaced((left, before), (right, before), &mut details);
    }
    (details, is_aligned)
}

/// Whether the two have the same lines, each as often, in another order.
pub(super) fn is_reordered(left: &str, right: &str) -> bool {
    // With what stands before LF, be it CR: `str::lines` would drop that.
    let lines = |text| str::split_terminator(text, '\n');
    let sorted = |text| {
        let mut lines: Vec<&str> = lines(text).collect();
        lines.sort_unstable();
        lines
    };
    left.len().abs_diff(right.len()) <= 1 && sorted(left) == sorted(right) && !lines(left).eq(lines(right))
}

/// Lines, from the numbers given on (counted from 0), that stand in each other's place.
fn replaced((left, left_at): (&[&str], usize), (right, right_at): (&[&str], usize), details: &mut Details) {
    for offset in 0..left.len().max(right.len()) {
        let (l, r) = (left_at + offset + 1, right_at + offset + 1);
        match (left.get(offset), right.get(offset)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                let at = if l == r { format!("line {l}") } else { format!("line {l}, {r} on the right") };
                let (a, b) = preview::lines(a, b);
                details.push(at, a, b);
            }
            (Some(a), None) => details.push(format!("line {l}, on the left alone"), preview::lines(a, "").0, ""),
            (None, Some(b)) => details.push(format!("line {r}, on the right alone"), "", preview::lines("", b).1),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(left: &str, right: &str) -> Vec<[String; 3]> {
        diff(left, right, &mut MAX_ALIGNING.clone())
            .0
            .kept
            .into_iter()
            .map(|detail| [detail.at, detail.left, detail.right])
            .collect()
    }

    #[test]
    fn lines_are_aligned() {
        assert_eq!(shown("a\nb\nc\n", "a\nB\nc\n"), [["line 2", "b", "B"]]);
        assert_eq!(
            shown("a\nc\nd\n", "a\nb\nc\nD\n"),
            [["line 2, on the right alone", "", "b"], ["line 3, 4 on the right", "d", "D"]]
        );
        assert_eq!(shown("a\nb\n", "b\n"), [["line 1, on the left alone", "a", ""]]);
    }

    #[test]
    fn line_ends_are_differences() {
        assert_eq!(shown("a\n", "a"), [["line 1", "a", "a (no newline at the end)"]]);
        assert_eq!(shown("a\r\n", "a\n"), [["line 1", "a\\x0d", "a"]]);
        assert_eq!(shown("", "\n").len(), 1);
    }

    #[test]
    fn too_many_lines_are_not_aligned() {
        let lines = |from: usize, to| (from..to).map(|n| format!("{n}\n")).collect::<String>();
        let of = |to: usize, left: &mut u64| {
            let (details, is_aligned) = diff(&lines(0, to), &lines(1, to + 1), left);
            (details.count, is_aligned)
        };
        assert_eq!(of(5000, &mut MAX_ALIGNING.clone()), (2, true));
        assert_eq!(of(5001, &mut MAX_ALIGNING.clone()), (5001, false));
    }

    #[test]
    fn all_texts_share_what_aligning_may_take() {
        let mut left = 61;
        let mut of = || {
            let (details, is_aligned) = diff("a\nb\nc\nd\ne\n", "b\nc\nd\ne\nf\n", &mut left);
            (details.count, is_aligned)
        };
        // Ten lines, of which two differ: 30 each time.
        assert_eq!([of(), of(), of(), of()], [(2, true), (2, true), (2, true), (5, false)]);
    }

    #[test]
    fn the_same_lines_in_another_order_are_told() {
        assert!(is_reordered("a\nB\nc\n", "B\na\nc"));
        assert!(!is_reordered("a\nB\n", "a\nB"));
        assert!(!is_reordered("a\na\nb\n", "b\nb\na\n"));
        assert!(is_reordered("a\r\nb\n", "b\na\r\n") && !is_reordered("a\r\nb\n", "b\r\na\n"));
        assert!(!is_reordered("a\r\nb\n", "b\na\n"));
    }

    #[test]
    fn what_is_text() {
        assert!(as_text("é\n".as_bytes()).is_some());
        assert!(as_text(b"").is_some());
        assert!(as_text(b"a\0").is_none());
        assert!(as_text(b"\xff").is_none());
    }

    proptest! {
        #[test]
        fn equal_if_and_only_if_nothing_is_found(left in "[ab\\n]{0,12}", right in "[ab\\n]{0,12}") {
            prop_assert_eq!(left == right, diff(&left, &right, &mut MAX_ALIGNING.clone()).0.count == 0);
        }
    }
}
