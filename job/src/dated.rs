// SPDX-License-Identifier: Apache-2.0
//! Building at the time of day that a published artifact is of: what it has of its clock comes out as published then.

use std::collections::BTreeSet;

use reprove_model::{Between, BuildRecord, Clock, Conditions, FindingKind, Published, Variation, Verdict};
use reprove_verifier::compare::{Options, newest_time};
use reprove_verifier::explain::Depth;
use reprove_verifier::{against_published, artifact};

use crate::builds::{Builds, Label, in_seconds};
use crate::{JobError, blocking};

/// What came of one more build, under the first rebuild's conditions but for its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// What the clock said when it began, in seconds since 1970: the newest time that the artifact has.
    pub clock: u64,
    /// What came of it.
    pub result: DatedResult,
}

/// What came of a build at another time of day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatedResult {
    /// It did not end well, for this reason, or its outputs could not be taken.
    Failed(String),
    /// It came out as published, bit for bit.
    AsPublished,
    /// It did not.
    Different {
        /// Where nothing differs any more from what was published: the places, each once.
        gone: Vec<String>,
        /// How many differences are left, others among them.
        left: usize,
    },
}

/// Builds once more with the clock at the newest time of the published artifact, where that differs from what was built, says
/// a time that is not to come, and nobody keeps the clock from being another. Nothing of it is part of the proof.
pub(crate) async fn at_its_own_time(
    builds: &Builds<'_>,
    verdict: &Verdict,
    first: &BuildRecord,
) -> Result<Option<Dated>, JobError> {
    let Builds { context, lock, .. } = builds;
    let Some(published) = lock.published.clone().filter(|_| verdict.matches_published == Some(false)) else {
        return Ok(None);
    };
    let moved: fn(u64) -> Clock = match first.conditions.clock {
        Clock::MovedTo(_) => Clock::MovedTo,
        Clock::SetTo(_) => Clock::SetTo,
        Clock::Host | Clock::Fixed(_) => return Ok(None),
    };
    // Of machines that have evidence each build takes minutes.
    let is_wanted = context.search.depth == Depth::Full && context.confidential.is_none();
    if !is_wanted || lock.recipe.pinned.contains_key(&Variation::Clock) {
        return Ok(None);
    }
    let (store, digest) = (context.store.clone(), published.digest.blake3);
    let newest = blocking(move || {
        let file = store.open_blob(&digest)?;
        newest_time(&file, Options::of(Between::PublishedAndRebuilt)).map_err(JobError::Unread)
    });
    let now = u64::try_from(in_seconds((context.now)()).as_second()).unwrap_or(0);
    let Some(clock) = newest.await??.filter(|time| *time < now) else { return Ok(None) };
    context.doing("building at the time of day that the published artifact is of");
    let conditions = Conditions { clock: moved(clock), ..first.conditions.clone() };
    let epoch = verdict.source_date_epoch.seconds;
    let result = match builds.well_ended(&conditions, epoch, Label::Dated).await? {
        Ok(built) => compared(builds, verdict, built, published).await?,
        Err(why) => DatedResult::Failed(why),
    };
    Ok(Some(Dated { clock, result }))
}

async fn compared(
    builds: &Builds<'_>,
    verdict: &Verdict,
    built: BuildRecord,
    published: Published,
) -> Result<DatedResult, JobError> {
    if artifact(&built, &published) == Some(published.digest) {
        return Ok(DatedResult::AsPublished);
    }
    let store = builds.context.store.clone();
    let left = blocking(move || against_published(&built, &published, &store)).await??;
    let places: BTreeSet<(&str, FindingKind)> =
        left.iter().map(|finding| (finding.place.as_str(), finding.kind)).collect();
    let before = verdict.findings.iter().filter(|finding| finding.between == Between::PublishedAndRebuilt);
    let gone: BTreeSet<&str> = before
        .filter(|finding| !places.iter().any(|(place, _)| *place == finding.place))
        .map(|finding| finding.place.as_str())
        .collect();
    let gone = gone.into_iter().map(str::to_owned).collect();
    Ok(DatedResult::Different { gone, left: left.len() })
}
