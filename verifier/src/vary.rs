// SPDX-License-Identifier: Apache-2.0
//! Conditions made different on purpose, and which of them caused a difference.

use std::collections::BTreeSet;
use std::io;

use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{
    Between, BuildRecord, Cause, Clock, Conditions, DigestSet, Exit, FileOrder, Finding, FindingKind, Variation,
};
use thiserror::Error;

use crate::compare::{Blobs, CompareError, Side, compare};

/// How far the clock is moved: 400 days, 6 hours, 7 minutes and 8 seconds. Every part of a date and time changes with it.
const CLOCK_SECONDS: i32 = 400 * 86_400 + 6 * 3_600 + 7 * 60 + 8;

/// The conditions of a first build, and of a second where everything is different that can be: not the number of
/// processors where there is only one, and the clock only where `move_clock` says so.
#[must_use]
pub fn conditions(processors: u32, move_clock: bool) -> (Conditions, Conditions) {
    let first = Conditions {
        build_path: "/build/first".into(),
        hostname: "reprove-first".into(),
        processors: processors.max(1),
        file_order: FileOrder::Sorted,
        clock: if move_clock { Clock::Preloaded(0) } else { Clock::Host },
    };
    let second = Conditions {
        build_path: "/build/another/second".into(),
        hostname: "reprove-other-second".into(),
        processors: if processors > 1 { processors - 1 } else { 1 },
        file_order: FileOrder::Reversed,
        clock: if move_clock { Clock::Preloaded(CLOCK_SECONDS) } else { Clock::Host },
    };
    (first, second)
}

/// Why causes could not be looked for.
#[derive(Debug, Error)]
pub enum AttributeError<E> {
    /// A build could not be run.
    #[error(transparent)]
    Build(E),
    /// Two outputs could not be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// A record has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// Looks for what caused the differences between two rebuilds, and adds it to the findings [`Between::Rebuilds`].
///
/// Builds once more with nothing changed: what differs then is unstable by itself, and no condition is blamed for it. Then
/// once for each condition that the two had different, changed alone; a condition causes a finding where it alone makes the
/// same place differ in the same way. `build` runs one build; one that fails shows nothing, and nothing is blamed for it;
/// where even the unchanged one fails, nothing is blamed at all.
///
/// # Errors
/// See [`AttributeError`].
pub async fn attribute<E>(
    findings: &mut [Finding],
    first: &BuildRecord,
    second: &BuildRecord,
    blobs: &dyn Blobs,
    mut build: impl AsyncFnMut(&Conditions, Option<Variation>) -> Result<BuildRecord, E>,
) -> Result<(), AttributeError<E>> {
    if !findings.iter().any(|finding| finding.between == Between::Rebuilds) {
        return Ok(());
    }
    let control = build(&first.conditions, None).await.map_err(AttributeError::Build)?;
    if control.exit != Exit::Success {
        return Ok(());
    }
    let unstable = differing(first, &control, blobs)?;
    let record = record_digest(&control)?;
    for finding in rebuild_findings(findings).filter(|finding| unstable.contains(&key(finding))) {
        finding.causes.push(Cause::Unstable { record });
    }
    for variation in first.conditions.differing(&second.conditions) {
        if rebuild_findings(findings).all(|finding| unstable.contains(&key(finding))) {
            break;
        }
        let conditions = first.conditions.with(variation, &second.conditions);
        let varied = build(&conditions, Some(variation)).await.map_err(AttributeError::Build)?;
        let changed = differing(first, &varied, blobs)?;
        let record = record_digest(&varied)?;
        for finding in rebuild_findings(findings) {
            if changed.contains(&key(finding)) && !unstable.contains(&key(finding)) {
                finding.causes.push(Cause::Varied { variation, record });
            }
        }
    }
    Ok(())
}

type Key = (String, FindingKind);

fn key(finding: &Finding) -> Key {
    (finding.place.clone(), finding.kind)
}

fn rebuild_findings(findings: &mut [Finding]) -> impl Iterator<Item = &mut Finding> {
    findings.iter_mut().filter(|finding| finding.between == Between::Rebuilds)
}

fn differing(first: &BuildRecord, other: &BuildRecord, blobs: &dyn Blobs) -> Result<BTreeSet<Key>, CompareError> {
    if other.exit != Exit::Success {
        return Ok(BTreeSet::new());
    }
    let left = Side { tree: &first.outputs, blobs };
    let right = Side { tree: &other.outputs, blobs };
    Ok(compare(left, right, Between::Rebuilds)?.iter().map(key).collect())
}

fn record_digest(record: &BuildRecord) -> Result<DigestSet, CanonicalError> {
    Ok(DigestSet::of(&canonical::to_vec(record)?))
}

/// Blobs of a store.
impl Blobs for reprove_store::Store {
    fn open(&self, digest: &reprove_model::Digest) -> io::Result<std::fs::File> {
        self.open_blob(digest).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_is_different() {
        let (first, second) = conditions(4, true);
        assert_eq!(first.differing(&second), Variation::ALL);
        let (first, second) = conditions(1, false);
        assert_eq!(first.differing(&second), [Variation::BuildPath, Variation::FileOrder, Variation::Hostname]);
    }
}
