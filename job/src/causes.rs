// SPDX-License-Identifier: Apache-2.0
//! What caused the differences between two rebuilds, by building again.

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::{BuildRecord, Cause, Conditions, Variation, Verdict};
use reprove_verifier::Differing;
use reprove_verifier::explain::{MOST_BUILDS, Plan, asked, explain};

use crate::builds::{Builds, Label};
use crate::keep::keep;
use crate::{Context, Event, JobError, blocking};

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
        match builds.run_any(conditions, epoch, Label::Cause(changed)).await {
            Ok(built) => {
                keep(context, builds.lock, &[(&built.record, &built.log)]).await?;
                Ok(Some(built.record))
            }
            // What only an experiment does is no reason to lose what the two builds have shown.
            Err(JobError::Run(error)) if error.is_of_project() => {
                (context.events)(Event::Noticed(format!("that build shows nothing: {error}")));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    };
    let differs = async |one: &BuildRecord, other: &BuildRecord| {
        let (one, other, store) = (one.clone(), other.clone(), context.store.clone());
        Ok(blocking(move || Differing::between(&one, &other, &store)).await??)
    };
    let is_wanted = context.search.variations.as_ref().is_none_or(|wanted| wanted.contains(&Variation::Clock));
    let plan = Plan {
        depth: context.search.depth,
        most_builds: MOST_BUILDS,
        // A guest that has evidence has it of what its recipe asks for.
        deterministic: context.confidential.is_none(),
        any_clock: is_wanted && !builds.lock.recipe.pinned.contains_key(&Variation::Clock),
    };
    explain(&mut verdict, (first, second), plan, differs, build).await?;
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
