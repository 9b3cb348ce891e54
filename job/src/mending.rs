// SPDX-License-Identifier: Apache-2.0
//! Trying what mends a difference: two more builds for each, under the conditions that made it.

use std::collections::BTreeSet;

use reprove_model::{Between, BuildRecord, Cause, EpochRule, Finding, Lock, Outcome, Recipe, Verdict};
use reprove_verifier::Differing;
use reprove_verifier::explain::{Setting, advice};

use crate::builds::{Builds, Label};
use crate::prove::apart;
use crate::{JobError, blocking};

/// The most mends that are tried.
pub const MOST_MENDS: usize = 8;

/// `SOURCE_DATE_EPOCH` of a mend: the time that the files of a source have in the sandbox, 1980-01-01.
pub const EPOCH: u64 = 315_532_800;

/// What came of changing the recipe in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The changes, together.
    pub settings: Vec<Setting>,
    /// What came of it.
    pub result: TriedResult,
}

/// What came of a changed recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriedResult {
    /// A build did not end well, for this reason.
    Failed(String),
    /// Both builds ended well.
    Built {
        /// Where nothing differs any more between the rebuilds: the places, each once.
        gone: Vec<String>,
        /// How many differences are left, others among them.
        left: usize,
    },
}

impl Tried {
    fn is_enough(&self) -> bool {
        matches!(self.result, TriedResult::Built { left: 0, .. })
    }
}

/// Tries each setting that the causes of the verdict suggest, alone, and then all that could be built with together, where
/// none alone was enough: what one place owes to two causes is only gone when both are mended. Nothing of it is part of the
/// proof.
pub(crate) async fn try_mends(
    builds: &Builds<'_>,
    verdict: &Verdict,
    records: [&BuildRecord; 2],
) -> Result<Vec<Tried>, JobError> {
    if !builds.context.search.try_mends || verdict.outcome != Outcome::Different {
        return Ok(Vec::new());
    }
    // Of what is there by chance, two builds that are the same show nothing.
    let is_stable = |cause: &&Cause| !cause.variations().is_empty();
    let of = |finding: &Finding| {
        finding.causes.iter().filter(is_stable).flat_map(|cause| advice(finding, cause, EPOCH)).collect::<Vec<_>>()
    };
    let mut settings: Vec<Setting> = Vec::new();
    for setting in verdict.findings.iter().flat_map(of).filter_map(|advice| advice.setting) {
        if settings.len() < MOST_MENDS && !settings.contains(&setting) {
            settings.push(setting);
        }
    }
    let before: BTreeSet<String> = (verdict.findings.iter())
        .filter(|finding| finding.between == Between::Rebuilds)
        .map(|finding| finding.place.clone())
        .collect();
    let mut all = Vec::new();
    for setting in settings {
        all.extend(one(builds, vec![setting], &before, records).await?);
    }
    let built = all.iter().filter(|tried| !matches!(tried.result, TriedResult::Failed(_)));
    let together: Vec<Setting> = built.flat_map(|tried| tried.settings.clone()).collect();
    if together.len() > 1 && !all.iter().any(Tried::is_enough) {
        all.extend(one(builds, together, &before, records).await?);
    }
    Ok(all)
}

/// Builds twice with these settings; none where the recipe has something else in their place.
async fn one(
    builds: &Builds<'_>,
    settings: Vec<Setting>,
    before: &BTreeSet<String>,
    records: [&BuildRecord; 2],
) -> Result<Option<Tried>, JobError> {
    let applied = |recipe: Option<Recipe>, setting: &Setting| setting.apply(&recipe?);
    let Some(recipe) = settings.iter().fold(Some(builds.lock.recipe.clone()), applied) else { return Ok(None) };
    let names: Vec<String> = settings.iter().map(Setting::said).collect();
    builds.context.doing(&format!("trying a mend: {}", names.join("; ")));
    let epoch = match recipe.build.source_date_epoch {
        EpochRule::At(seconds) => Some(seconds),
        EpochRule::Unset | EpochRule::Search => records[0].env.get("SOURCE_DATE_EPOCH").and_then(|e| e.parse().ok()),
    };
    let lock = Lock { recipe, ..builds.lock.clone() };
    let changed = builds.of(&lock);
    let mut built = Vec::new();
    for record in records {
        match changed.well_ended(&record.conditions, epoch, Label::Mended).await? {
            Ok(ended) => built.push(ended),
            Err(why) => return Ok(Some(Tried { settings, result: TriedResult::Failed(why) })),
        }
        if let [first] = built.as_slice() {
            apart(first).await;
        }
    }
    let Ok([first, second]) = <[BuildRecord; 2]>::try_from(built) else { return Ok(None) };
    let store = builds.context.store.clone();
    let differing = blocking(move || Differing::between(&first, &second, &store)).await??;
    let gone = before.iter().filter(|place| !differing.is_at(place)).cloned().collect();
    let result = TriedResult::Built { gone, left: differing.count() };
    Ok(Some(Tried { settings, result }))
}
