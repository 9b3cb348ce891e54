// SPDX-License-Identifier: Apache-2.0
//! What caused the differences between two rebuilds, by building again.

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::{BuildRecord, Cause, Conditions, Variation, Verdict};
use reprove_verifier::Differing;
use reprove_verifier::explain::{MOST_BUILDS, asked, explain};

use crate::builds::{Builds, Label};
use crate::keep::keep;
use crate::{Context, JobError, blocking};

/// Adds to each difference between the rebuilds what was shown to cause it.
pub(crate) async fn with_causes(
    builds: &Builds<'_>,
    mut verdict: Verdict,
    first: &BuildRecord,
    second: &BuildRecord,
) -> Result<Verdict, JobError> {
    let epoch = verdict.source_date_epoch.seconds;
    let context = builds.context;
    let build = async |conditions: &Conditions, changed: &[Variation]| {
        let is_still = conditions.is_deterministic() && !first.conditions.is_deterministic();
        context.doing(&match changed {
            [] if is_still => "looking for causes: building where nothing moves".to_owned(),
            [one] if is_still => {
                format!("looking for causes: building where nothing moves, with another {}", one.name())
            }
            [] => "looking for causes: building again with nothing changed".to_owned(),
            [one] => format!("looking for causes: building with another {}", one.name()),
            several => format!("looking for causes: building with {} conditions changed", several.len()),
        });
        let built = builds.run_any(conditions, epoch, Label::Cause(changed)).await?;
        keep(context, builds.lock, &[(&built.record, &built.log)]).await?;
        Ok(built.record)
    };
    let differs = async |one: &BuildRecord, other: &BuildRecord| {
        let (one, other, store) = (one.clone(), other.clone(), context.store.clone());
        Ok(blocking(move || Differing::between(&one, &other, &store)).await??)
    };
    explain(&mut verdict, (first, second), (context.search.depth, MOST_BUILDS), differs, build).await?;
    Ok(verdict)
}

/// Which programs of the first rebuild were seen to ask for what the conditions decide that are named as causes, or
/// proposed.
pub(crate) async fn asked_for(
    context: &Context<'_>,
    verdict: &Verdict,
    first: &BuildRecord,
) -> Result<BTreeMap<Variation, Vec<String>>, JobError> {
    let caused = verdict.findings.iter().flat_map(|finding| &finding.causes).flat_map(Cause::variations).copied();
    let proposed = verdict.findings.iter().flat_map(|finding| &finding.proposed).map(|proposal| proposal.variation);
    let named: BTreeSet<Variation> = caused.chain(proposed).collect();
    if named.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (store, first) = (context.store.clone(), first.clone());
    blocking(move || {
        // What can't be read any more is only not named.
        let Ok(Some(listing)) = reprove_runner::trace::read(&store, &first.observed) else { return BTreeMap::new() };
        let asked = |variation: Variation| (variation, asked(variation, &listing, &first.conditions));
        named.into_iter().map(asked).filter(|(_, asked)| !asked.is_empty()).collect()
    })
    .await
}
