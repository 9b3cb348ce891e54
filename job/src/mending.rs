// SPDX-License-Identifier: Apache-2.0
//! Trying what mends a difference: two more builds for each, under the conditions that made it.

use std::collections::BTreeSet;

use reprove_model::{Between, BuildRecord, EpochRule, Exit, Finding, FindingKind, Lock, Outcome, Recipe, Verdict};
use reprove_verifier::Differing;
use reprove_verifier::explain::{Setting, advice};

use crate::builds::{Builds, Label};
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
    /// A build did not end well.
    Failed,
    /// Both builds ended well.
    Built {
        /// The differences between the rebuilds that are gone: their places, each once.
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
    let of = |finding: &Finding| finding.causes.iter().flat_map(|c| advice(finding, c, EPOCH)).collect::<Vec<_>>();
    let mut settings: Vec<Setting> = Vec::new();
    for setting in verdict.findings.iter().flat_map(of).filter_map(|advice| advice.setting) {
        if settings.len() < MOST_MENDS && !settings.contains(&setting) {
            settings.push(setting);
        }
    }
    let before: BTreeSet<(String, FindingKind)> = (verdict.findings.iter())
        .filter(|finding| finding.between == Between::Rebuilds)
        .map(|finding| (finding.place.clone(), finding.kind))
        .collect();
    let mut all = Vec::new();
    for setting in settings {
        all.extend(one(builds, vec![setting], &before, records).await?);
    }
    let built = all.iter().filter(|tried| tried.result != TriedResult::Failed);
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
    before: &BTreeSet<(String, FindingKind)>,
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
    let first = changed.run_any(&records[0].conditions, epoch, Label::Mended).await?.record;
    let second = changed.run_any(&records[1].conditions, epoch, Label::Mended).await?.record;
    if [&first, &second].iter().any(|record| record.exit != Exit::Success) {
        return Ok(Some(Tried { settings, result: TriedResult::Failed }));
    }
    let store = builds.context.store.clone();
    let differing = blocking(move || Differing::between(&first, &second, &store)).await??;
    let is_gone = |(place, kind): &&(String, FindingKind)| !differing.is_at(place, *kind);
    let gone: BTreeSet<String> = before.iter().filter(is_gone).map(|(place, _)| place.clone()).collect();
    let result = TriedResult::Built { gone: gone.into_iter().collect(), left: differing.count() };
    Ok(Some(Tried { settings, result }))
}
