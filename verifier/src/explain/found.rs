// SPDX-License-Identifier: Apache-2.0
//! What a search has found so far for one finding, and the causes that come of it.

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::{Cause, DigestSet, Variation};

pub(super) type Changed = BTreeSet<Variation>;

/// What was found for one finding.
#[derive(Default)]
pub(super) struct Found {
    pub(super) unstable: Option<DigestSet>,
    pub(super) sets: BTreeMap<Changed, DigestSet>,
    pub(super) kept: Option<DigestSet>,
}

impl Found {
    pub(super) fn are_single(&self) -> bool {
        self.sets.keys().all(|set| set.len() == 1)
    }

    pub(super) fn is_open(&self) -> bool {
        self.unstable.is_none() && self.sets.is_empty()
    }

    pub(super) fn causes(self) -> Vec<Cause> {
        if let Some(record) = self.unstable {
            return vec![Cause::Unstable { record }];
        }
        let kept = self.kept;
        let cause = |(set, record): (Changed, DigestSet)| {
            let variations: Vec<Variation> = set.into_iter().collect();
            match variations.as_slice() {
                [variation] => Cause::Varied { variation: *variation, record, kept },
                _ => Cause::Together { variations, record },
            }
        };
        self.sets.into_iter().map(cause).collect()
    }
}

/// Adds what was found where nothing moves to what was found before, of which nothing stays that is unstable.
pub(super) fn together(causes: &mut Vec<Cause>, still: Vec<Cause>) {
    causes.retain(|cause| !matches!(cause, Cause::Unstable { .. }));
    for cause in still {
        if causes.iter().all(|known| known.variations() != cause.variations()) {
            causes.push(cause);
        }
    }
    causes.sort_by(|a, b| a.variations().cmp(b.variations()));
}
