// SPDX-License-Identifier: Apache-2.0
//! One file with one file: as archives, as text, or as bytes, whichever both sides are.

use reprove_model::{Between, FindingKind};

use super::bytes::{self, ByteDiff};
use super::findings::Findings;
use super::preview::count;
use super::source::Source;
use super::zip::{self, Layout};
use super::{Bounds, CompareError, text};

/// What one comparison has used up so far, and found.
pub(super) struct State<'a> {
    pub(super) findings: Findings,
    pub(super) bounds: &'a Bounds,
    /// How many archives are open around what is being compared.
    pub(super) depth: usize,
    /// Bytes that entries expanded to.
    pub(super) expanded: u64,
    /// Bytes of expanded entries that are held now.
    pub(super) held: u64,
}

impl<'a> State<'a> {
    pub(super) fn new(between: Between, bounds: &'a Bounds) -> Self {
        Self { findings: Findings::new(between, bounds), bounds, depth: 0, expanded: 0, held: 0 }
    }
}

/// Adds every difference between two files' bytes. Adds none if and only if they are equal.
pub(super) fn compare(
    left: &Source<'_>,
    right: &Source<'_>,
    place: &str,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let note = match archives(left, right, state).map_err(read)? {
        Archives::Both(layouts) => {
            let before = state.findings.made();
            zip::compare((left, &layouts.0), (right, &layouts.1), place, state)?;
            if state.findings.made() == before {
                leftover(left, right, place, state)?;
            }
            return Ok(());
        }
        Archives::No(note) => note,
    };
    if note.is_none() && left.len().max(right.len()) <= state.bounds.text {
        let (left, right) = (left.read(left.whole()).map_err(read)?, right.read(right.whole()).map_err(read)?);
        if let (Some(left), Some(right)) = (text::as_text(&left), text::as_text(&right)) {
            texts(left, right, place, state);
            return Ok(());
        }
    }
    let diff = bytes::diff(left.reader(left.whole()), right.reader(right.whole())).map_err(read)?;
    differing_bytes(diff, place, note.as_deref(), state);
    Ok(())
}

/// Adds a finding for `diff`, if it is one. `note`: why the bytes were not looked at in another way.
pub(super) fn differing_bytes(diff: ByteDiff, place: &str, note: Option<&str>, state: &mut State<'_>) {
    let Some(first) = diff.first else { return };
    let runs = count(diff.runs.count, "run");
    let verb = if diff.runs.count == 1 { "differs" } else { "differ" };
    let mut summary = format!("{runs} of bytes {verb}, the first at {first:#x}; {}", sizes(diff.len));
    if let Some(note) = note {
        summary.push_str("; compared as bytes: ");
        summary.push_str(note);
    }
    state.findings.add(place.to_owned(), FindingKind::Content, summary, diff.runs.kept, diff.runs.count);
}

enum Archives {
    Both(Box<(Layout, Layout)>),
    /// And why not, where one says that it is an archive.
    No(Option<String>),
}

fn archives(left: &Source<'_>, right: &Source<'_>, state: &State<'_>) -> std::io::Result<Archives> {
    let claims = (zip::claims_to_be(left)?, zip::claims_to_be(right)?);
    let note = match claims {
        (false, false) => None,
        (true, false) => Some("the left one alone is a zip archive".to_owned()),
        (false, true) => Some("the right one alone is a zip archive".to_owned()),
        (true, true) if state.depth >= state.bounds.depth => {
            Some(format!("archives are opened {} deep at most", state.bounds.depth))
        }
        (true, true) => match (zip::layout(left, state.bounds)?, zip::layout(right, state.bounds)?) {
            (Ok(left), Ok(right)) => return Ok(Archives::Both(Box::new((left, right)))),
            (Err(why), Ok(_)) => Some(format!("the left one is not a whole zip archive: {why}")),
            (Ok(_), Err(why)) => Some(format!("the right one is not a whole zip archive: {why}")),
            (Err(left), Err(right)) => Some(format!("neither is a whole zip archive: left, {left}; right, {right}")),
        },
    };
    Ok(Archives::No(note))
}

/// What the comparison of two archives did not find, if there is any: by its design nothing, and never silent.
fn leftover(left: &Source<'_>, right: &Source<'_>, place: &str, state: &mut State<'_>) -> Result<(), CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let diff = bytes::diff(left.reader(left.whole()), right.reader(right.whole())).map_err(read)?;
    if let Some(first) = diff.first {
        let summary = format!("the archives differ, first at {first:#x}; {}", sizes(diff.len));
        let (kept, count) = (diff.runs.kept, diff.runs.count);
        state.findings.add(place.to_owned(), FindingKind::ZipStructure, summary, kept, count);
    }
    Ok(())
}

fn texts(left: &str, right: &str, place: &str, state: &mut State<'_>) {
    let details = text::diff(left, right);
    if details.count > 0 {
        let lines = count(details.count, "line");
        let verb = if details.count == 1 { "differs" } else { "differ" };
        let summary = format!("{lines} {verb}; {}", sizes((left.len() as u64, right.len() as u64)));
        state.findings.add(place.to_owned(), FindingKind::Content, summary, details.kept, details.count);
    }
}

fn sizes((left, right): (u64, u64)) -> String {
    if left == right {
        format!("both have {}", count(left, "byte"))
    } else {
        format!("{} on the left, {right} on the right", count(left, "byte"))
    }
}
