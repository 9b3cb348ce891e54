// SPDX-License-Identifier: Apache-2.0
//! What was seen, within bounds.

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::{InsidePath, Loss, ObservedListing, Use};
use serde::{Deserialize, Serialize};

use super::paths::Kind;

/// What the helper saw of a build, for the runner to make a list of.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Programs that asked for something.
    pub(crate) programs: Vec<InsidePath>,
    /// By the path that was asked for.
    pub(crate) paths: BTreeMap<InsidePath, SeenPath>,
    /// Calls, and the program that was the first to make them, as a place in `programs`.
    pub(crate) calls: BTreeMap<String, Option<usize>>,
    /// The same for what was asked of the network.
    pub(crate) network: BTreeMap<String, Option<usize>>,
    /// Why this is not all.
    pub(crate) lost: BTreeSet<Loss>,
    /// Where a build that is told something else was told what the machine says.
    pub(crate) undetermined: BTreeSet<Loss>,
    /// Bytes in paths.
    bytes: usize,
    /// Where each program is in `programs`.
    #[serde(skip)]
    places: BTreeMap<InsidePath, usize>,
}

/// A path that was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SeenPath {
    /// Where it led when it was first asked for, where that is elsewhere.
    pub(crate) leads_to: Option<InsidePath>,
    /// What was there then.
    pub(crate) kind: Kind,
    /// What was done with it.
    pub(crate) uses: BTreeSet<Use>,
    /// Whether the first thing that was done with it was to write it anew, or it came into being later.
    pub(crate) made: bool,
    /// Whether a link at its end was followed to find where it leads.
    pub(crate) followed: bool,
    /// The program that asked first, as a place in `programs`.
    pub(crate) by: Option<usize>,
}

impl SeenPath {
    /// A path that nothing was done with yet.
    pub(super) fn new(leads_to: Option<InsidePath>, kind: Kind, followed: bool, by: Option<usize>) -> Self {
        Self { leads_to, kind, uses: BTreeSet::new(), made: false, followed, by }
    }

    /// Adds what was done with it. To open a directory is to list it.
    pub(super) fn add(&mut self, uses: &[Use]) {
        let list = |each: &Use| if self.kind == Kind::Directory && *each == Use::Open { Use::List } else { *each };
        self.uses.extend(uses.iter().map(list));
    }
}

/// The most different programs, calls and addresses that are kept.
const MAX_OTHERS: usize = 10_000;

impl Seen {
    /// What is left of a watch that was cut short.
    pub(crate) fn interrupted() -> Self {
        let lost = BTreeSet::from([Loss::Interrupted]);
        Self { undetermined: lost.clone(), lost, ..Self::default() }
    }

    /// Whether nothing more is kept.
    pub(super) fn is_full(&self) -> bool {
        self.lost.contains(&Loss::TooMany)
    }

    /// Keeps a path; without room for it, says that it was lost.
    pub(super) fn add(&mut self, path: InsidePath, seen: SeenPath) {
        let program = seen.by.and_then(|place| self.programs.get(place));
        let bytes = [Some(&path), seen.leads_to.as_ref(), program].into_iter().flatten().map(written).sum::<usize>();
        if self.paths.len() >= ObservedListing::MAX_PATHS || self.bytes + bytes > ObservedListing::MAX_PATH_BYTES {
            self.lost.insert(Loss::TooMany);
            return;
        }
        self.bytes += bytes;
        self.paths.insert(path, seen);
    }

    /// The place of a program.
    pub(super) fn program(&mut self, path: InsidePath) -> Option<usize> {
        if let Some(place) = self.places.get(&path) {
            return Some(*place);
        }
        let place = self.programs.len();
        if place >= MAX_OTHERS {
            self.lost.insert(Loss::TooMany);
            return None;
        }
        self.programs.push(path.clone());
        self.places.insert(path, place);
        Some(place)
    }

    /// Keeps a call, or what was asked of the network, where it was not known; `by` gives the program.
    pub(super) fn note(&mut self, network: bool, what: &str, by: impl FnOnce(&mut Self) -> Option<usize>) {
        let known = if network { &self.network } else { &self.calls };
        if known.contains_key(what) {
            return;
        }
        if known.len() >= MAX_OTHERS {
            self.lost.insert(Loss::TooMany);
            return;
        }
        let by = by(self);
        let known = if network { &mut self.network } else { &mut self.calls };
        known.insert(what.to_owned(), by);
    }
}

/// How many bytes a path has where it is written in the list: those that are no printable text have five.
fn written(path: &InsidePath) -> usize {
    path.as_bytes().iter().map(|byte| if byte.is_ascii_graphic() { 1 } else { 5 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> InsidePath {
        InsidePath::new(text).unwrap()
    }

    fn absent() -> SeenPath {
        SeenPath::new(None, Kind::Absent, true, None)
    }

    #[test]
    fn paths_are_bounded_on_both_sides() {
        let mut seen = Seen::default();
        for n in 0..ObservedListing::MAX_PATHS {
            seen.add(path(&format!("/{n}")), absent());
        }
        assert!(!seen.is_full());
        seen.add(path("/x"), absent());
        assert!(seen.is_full() && seen.paths.len() == ObservedListing::MAX_PATHS);
    }

    #[test]
    fn their_bytes_are_bounded_on_both_sides() {
        let mut seen = Seen::default();
        let long = |n: usize| path(&format!("/{n:04}{}", "x".repeat(4095 - 5)));
        let most = ObservedListing::MAX_PATH_BYTES / 4095;
        for n in 0..most {
            seen.add(long(n), absent());
        }
        assert!(!seen.is_full() && seen.paths.len() == most);
        seen.add(long(most), absent());
        assert!(seen.is_full() && seen.paths.len() == most);
    }

    #[test]
    fn what_else_came_in_is_bounded_on_both_sides() {
        let mut seen = Seen::default();
        for n in 0..MAX_OTHERS {
            seen.note(true, &n.to_string(), |_| None);
        }
        seen.note(true, "0", |_| None);
        seen.note(false, "0", |seen| seen.program(path("/p")));
        assert!(!seen.is_full());
        assert_eq!((seen.program(path("/p")), seen.calls["0"]), (Some(0), Some(0)));
        seen.note(true, "x", |_| None);
        assert!(seen.is_full() && seen.network.len() == MAX_OTHERS);
    }
}
