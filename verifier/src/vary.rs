// SPDX-License-Identifier: Apache-2.0
//! Conditions made different on purpose, and which of them caused a difference.

use std::collections::BTreeSet;
use std::io;

use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{
    Between, BuildRecord, Cause, Clock, Conditions, DigestSet, Exit, FileOrder, Finding, FindingKind, Variation,
    Verdict,
};
use thiserror::Error;

use crate::compare::{Blobs, CompareError, Options, Side, compare};

/// How far apart the clocks are: 400 days, 6 hours, 7 minutes and 8 seconds. Every part of a date and time changes with it.
const CLOCK_SECONDS: u64 = 400 * 86_400 + 6 * 3_600 + 7 * 60 + 8;
/// How far the first clock is ahead of the machine's: files that a build writes have the machine's time, and none of them
/// may seem to come from the future.
const AHEAD_SECONDS: u64 = 3_600;

/// The time now, in seconds since 1970, and how a clock is moved to another.
pub type MovedClock = (u64, fn(u64) -> Clock);

/// The conditions of a first build, and of a second where everything is different that can be: not the number of
/// processors where there is only one, and the clock only where `clock` gives the time now, in seconds since 1970, and how
/// it is moved. Both clocks begin at a fixed time, so that builds under the same conditions see the same.
#[must_use]
pub fn conditions(processors: u32, clock: Option<MovedClock>) -> (Conditions, Conditions) {
    let clock = |ahead: u64| clock.map_or(Clock::Host, |(now, moved)| moved(now.saturating_add(ahead)));
    let first = Conditions {
        build_path: "/build/first".into(),
        hostname: "reprove-first".into(),
        processors: processors.max(1),
        file_order: FileOrder::Sorted,
        clock: clock(AHEAD_SECONDS),
    };
    let second = Conditions {
        build_path: "/build/another/second".into(),
        hostname: "reprove-other-second".into(),
        processors: if processors > 1 { processors - 1 } else { 1 },
        file_order: FileOrder::Reversed,
        clock: clock(AHEAD_SECONDS + CLOCK_SECONDS),
    };
    (first, second)
}

/// Why causes could not be looked for.
#[derive(Debug, Error)]
pub enum AttributeError<E> {
    /// A build could not be run, or its outputs not be compared.
    #[error(transparent)]
    Job(E),
    /// A record has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// Looks for what caused the differences between two rebuilds, and adds it to the verdict's findings [`Between::Rebuilds`].
///
/// Builds once more with nothing changed: what differs then is unstable by itself, and no condition is blamed for it. Then
/// once for each condition that the two had different, changed alone; a condition causes a finding where it alone makes the
/// same place differ in the same way. `build` runs one build; one that fails shows nothing, and nothing is blamed for it;
/// where even the unchanged one fails, nothing is blamed at all. [`Verdict::changed_alone`] says what was tried.
///
/// # Errors
/// See [`AttributeError`].
pub async fn attribute<E>(
    verdict: &mut Verdict,
    first: &BuildRecord,
    second: &BuildRecord,
    mut differs: impl AsyncFnMut(&BuildRecord) -> Result<Differing, E>,
    mut build: impl AsyncFnMut(&Conditions, Option<Variation>) -> Result<BuildRecord, E>,
) -> Result<(), AttributeError<E>> {
    let findings = &mut verdict.findings;
    if !findings.iter().any(|finding| finding.between == Between::Rebuilds) {
        return Ok(());
    }
    let control = build(&first.conditions, None).await.map_err(AttributeError::Job)?;
    if control.exit != Exit::Success {
        return Ok(());
    }
    let unstable = differs(&control).await.map_err(AttributeError::Job)?;
    let record = record_digest(&control)?;
    for finding in rebuild_findings(findings).filter(|finding| unstable.has(finding)) {
        finding.causes.push(Cause::Unstable { record });
    }
    for variation in first.conditions.differing(&second.conditions) {
        let conditions = first.conditions.with(variation, &second.conditions);
        let varied = build(&conditions, Some(variation)).await.map_err(AttributeError::Job)?;
        if varied.exit != Exit::Success {
            continue;
        }
        let changed = differs(&varied).await.map_err(AttributeError::Job)?;
        let record = record_digest(&varied)?;
        verdict.changed_alone.push(variation);
        for finding in rebuild_findings(findings) {
            if changed.has(finding) && !unstable.has(finding) {
                finding.causes.push(Cause::Varied { variation, record });
            }
        }
    }
    Ok(())
}

/// The places in which a build's outputs differ from the first one's, and how.
#[derive(Clone, Debug)]
pub struct Differing(BTreeSet<(String, FindingKind)>);

impl Differing {
    /// Compares the outputs of `other` with those of `first`; takes as long as comparing takes.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn between(first: &BuildRecord, other: &BuildRecord, blobs: &dyn Blobs) -> Result<Self, CompareError> {
        let left = Side { tree: &first.outputs, blobs };
        let right = Side { tree: &other.outputs, blobs };
        let findings = compare(left, right, Options::of(Between::Rebuilds))?.findings;
        Ok(Self(findings.into_iter().map(|finding| (finding.place, finding.kind)).collect()))
    }

    fn has(&self, finding: &Finding) -> bool {
        self.0.contains(&(finding.place.clone(), finding.kind))
    }
}

fn rebuild_findings(findings: &mut [Finding]) -> impl Iterator<Item = &mut Finding> {
    findings.iter_mut().filter(|finding| finding.between == Between::Rebuilds)
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
        let (first, second) = conditions(4, Some((0, Clock::StartsAt)));
        assert_eq!(first.differing(&second), Variation::ALL);
        let (first, second) = conditions(1, None);
        assert_eq!(first.differing(&second), [Variation::BuildPath, Variation::FileOrder, Variation::Hostname]);
    }
}
