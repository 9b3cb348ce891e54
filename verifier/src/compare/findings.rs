// SPDX-License-Identifier: Apache-2.0
//! The findings of one comparison, as they come together: sorted, and bounded without losing that there were more.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use reprove_model::{Between, Detail, Finding, FindingKind};

use super::{Bounds, preview};

/// Keeps the findings that sort first, and counts the rest.
pub(super) struct Findings {
    between: Between,
    max: usize,
    details_left: usize,
    /// The number tells findings of one place and kind apart, in the order that they were made.
    kept: BTreeMap<(String, FindingKind, u64), Finding>,
    made: u64,
    omitted: u64,
    first_omitted: Option<(String, FindingKind)>,
}

/// The single differences of one finding: all are counted, the first ones kept.
#[derive(Default)]
pub(super) struct Details {
    pub(super) kept: Vec<Detail>,
    pub(super) count: u64,
}

impl Details {
    pub(super) fn push(&mut self, at: impl Into<String>, left: impl Into<String>, right: impl Into<String>) {
        self.count += 1;
        if self.kept.len() < Finding::MAX_DETAILS {
            let [at, left, right] = [at.into(), left.into(), right.into()].map(short);
            self.kept.push(Detail { at, left, right });
        }
    }

    /// Adds those of another finding.
    pub(super) fn append(&mut self, mut more: Self) {
        self.count += more.count;
        more.kept.truncate(Finding::MAX_DETAILS.saturating_sub(self.kept.len()));
        self.kept.append(&mut more.kept);
    }
}

/// The most characters of one text of a detail.
const MAX_TEXT: usize = 300;

/// A text within the bound; where it is cut, it says so.
fn short(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

impl Findings {
    pub(super) fn new(between: Between, bounds: &Bounds) -> Self {
        Self {
            between,
            max: bounds.findings.max(1),
            details_left: bounds.details,
            kept: BTreeMap::new(),
            made: 0,
            omitted: 0,
            first_omitted: None,
        }
    }

    /// How many differences were found so far, the omitted ones among them.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    pub(super) fn add(
        &mut self,
        place: String,
        kind: FindingKind,
        summary: String,
        mut details: Vec<Detail>,
        count: u64,
    ) {
        self.made += 1;
        details.truncate(self.details_left.min(Finding::MAX_DETAILS));
        self.details_left -= details.len();
        let key = (place.clone(), kind, self.made);
        let finding = Finding {
            between: self.between,
            place,
            kind,
            summary,
            details,
            count,
            causes: Vec::new(),
            proposed: Vec::new(),
        };
        self.kept.insert(key, finding);
        if self.kept.len() > self.max {
            self.omit_last();
        }
    }

    /// Whether one of this place and kind is kept.
    pub(super) fn has(&self, place: &str, kind: FindingKind) -> bool {
        self.kept.range(Self::of(place, kind)).next().is_some()
    }

    /// Adds to the summaries of those of this place and kind that are kept.
    pub(super) fn append(&mut self, place: &str, kind: FindingKind, more: &str) {
        self.kept.range_mut(Self::of(place, kind)).for_each(|(_, finding)| finding.summary.push_str(more));
    }

    /// Adds to the summary of the first one.
    pub(super) fn note(&mut self, more: &str) {
        if let Some(mut first) = self.kept.first_entry() {
            first.get_mut().summary.push_str(more);
        }
    }

    fn of(place: &str, kind: FindingKind) -> RangeInclusive<(String, FindingKind, u64)> {
        (place.to_owned(), kind, 0)..=(place.to_owned(), kind, u64::MAX)
    }

    /// Adds what is on one side alone.
    pub(super) fn only(&mut self, place: String, kind: FindingKind, what: &str) {
        let side = if kind == FindingKind::OnlyLeft { "left" } else { "right" };
        self.add(place, kind, format!("{what}, on the {side} alone"), Vec::new(), 1);
    }

    /// Whether a finding at `place` would only be counted, so that there is no need to look closer.
    pub(super) fn would_omit(&self, place: &str) -> bool {
        let last = self.kept.last_key_value();
        self.kept.len() >= self.max && last.is_some_and(|((last, _, _), _)| last.as_str() < place)
    }

    /// Counts a difference that nobody looked closer at.
    pub(super) fn omit(&mut self, place: String, kind: FindingKind) {
        self.made += 1;
        self.omitted += 1;
        let omitted = (place, kind);
        if self.first_omitted.as_ref().is_none_or(|first| omitted < *first) {
            self.first_omitted = Some(omitted);
        }
    }

    /// The findings, sorted by place, then kind. Where some were omitted, the last one counts them.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        if self.omitted > 0 {
            // Its place is taken by the finding that counts the rest.
            self.omit_last();
        }
        let mut findings: Vec<_> = self.kept.into_values().collect();
        if let Some((place, kind)) = self.first_omitted {
            let more = preview::count(self.omitted, "more difference");
            let summary = format!("at least {more}, here and at places after this one, not listed one by one");
            let between = self.between;
            let count = self.omitted;
            let (details, causes) = (Vec::new(), Vec::new());
            findings.push(Finding { between, place, kind, summary, details, count, causes, proposed: Vec::new() });
        }
        findings
    }

    fn omit_last(&mut self) {
        if let Some(((place, kind, _), finding)) = self.kept.pop_last() {
            self.details_left += finding.details.len();
            self.made -= 1;
            self.omit(place, kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(max: usize, made: usize) -> Vec<Finding> {
        let bounds = Bounds { findings: max, ..Bounds::default() };
        let mut findings = Findings::new(Between::Given, &bounds);
        for n in (0..made).rev() {
            findings.only(format!("file-{n:03}"), FindingKind::OnlyLeft, "a file");
        }
        assert_eq!(findings.made(), made as u64);
        findings.finish()
    }

    #[test]
    fn a_text_is_cut_past_its_bound() {
        assert_eq!(short("ä".repeat(MAX_TEXT)), "ä".repeat(MAX_TEXT));
        assert_eq!(short("ä".repeat(MAX_TEXT + 1)), format!("{}…", "ä".repeat(MAX_TEXT)));
    }

    #[test]
    fn all_are_listed_up_to_the_bound() {
        let all = findings(10, 10);
        assert_eq!(all.len(), 10);
        assert!(all.iter().all(|finding| finding.count == 1 && finding.summary.contains("alone")));
    }

    #[test]
    fn past_the_bound_the_last_one_counts_the_rest() {
        let all = findings(10, 25);
        assert_eq!(all.len(), 10);
        assert!(all.is_sorted_by_key(|finding| (finding.place.clone(), finding.kind)));
        let last = all.last().unwrap();
        assert_eq!((last.place.as_str(), last.count), ("file-009", 16));
        assert!(last.summary.contains("16 more differences"), "{}", last.summary);
        assert_eq!(findings(1, 3).first().unwrap().count, 3);
    }

    #[test]
    fn details_are_bounded_and_counted() {
        let mut details = Details::default();
        for n in 0..=Finding::MAX_DETAILS {
            details.push(n.to_string(), "", "");
        }
        assert_eq!((details.kept.len(), details.count), (Finding::MAX_DETAILS, 1001));

        let bounds = Bounds { details: 1500, ..Bounds::default() };
        let mut findings = Findings::new(Between::Given, &bounds);
        for place in ["a", "b", "c"] {
            let kept = details.kept.clone();
            findings.add(place.to_owned(), FindingKind::Content, String::new(), kept, details.count);
        }
        let kept: Vec<_> = findings.finish().iter().map(|finding| (finding.details.len(), finding.count)).collect();
        assert_eq!(kept, [(1000, 1001), (500, 1001), (0, 1001)]);
    }
}
