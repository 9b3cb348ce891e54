// SPDX-License-Identifier: Apache-2.0
//! Whether what a verdict blames differences on follows from the builds that it says were made to find out.

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::{Between, Cause, DigestSet, Experiment, Finding, Variation, Verdict};

/// What deterministic builds are made with another of, whether it was varied or not.
const STILL: [Variation; 2] = [Variation::Clock, Variation::Entropy];

/// What is wrong with the experiments themselves; `None`: nothing.
///
/// There are some only where the rebuilds disagree; each changed a sorted part of what was varied, each once; no record is
/// of two kinds of builds, the `rebuilds`' own among them; and
/// [`Verdict::changed_alone`] is what follows from them.
pub(crate) fn experiments_fit(verdict: &Verdict, rebuilds: &[DigestSet]) -> bool {
    let mut of_record: BTreeMap<DigestSet, (&[Variation], bool)> = BTreeMap::new();
    let known =
        rebuilds.iter().zip([&[][..], verdict.varied.as_slice()]).map(|(record, changed)| (*record, changed, false));
    let built = verdict.experiments.iter().map(|e| (e.record, e.changed.as_slice(), e.deterministic));
    // A record has the conditions in it.
    let is_one = known.chain(built).all(|(record, changed, deterministic)| {
        *of_record.entry(record).or_insert((changed, deterministic)) == (changed, deterministic)
    });
    let is_sorted = |experiment: &Experiment| experiment.changed.is_sorted_by(|a, b| a < b);
    let is_varied = |experiment: &Experiment| {
        let known = |v: &Variation| verdict.varied.contains(v) || (experiment.deterministic && STILL.contains(v));
        experiment.changed.iter().all(known)
    };
    let alone: BTreeSet<Variation> = (verdict.experiments.iter())
        .filter_map(|experiment| match experiment.changed.as_slice() {
            [one] if experiment.ended_well && !experiment.deterministic => Some(*one),
            _ => None,
        })
        .collect();
    is_one
        && (verdict.experiments.is_empty() || !verdict.rebuilds_agree)
        && verdict.experiments.iter().all(|experiment| is_sorted(experiment) && is_varied(experiment))
        && verdict.changed_alone.iter().copied().eq(alone)
}

/// What is wrong with what this finding is blamed on, or suggested to come from; `second` is the second rebuild's record.
pub(crate) fn wrong_blame(finding: &Finding, verdict: &Verdict, second: Option<DigestSet>) -> Option<&'static str> {
    let has = |changed: &[Variation], record: DigestSet| {
        let ended = |experiment: &&Experiment| experiment.ended_well && experiment.record == record;
        verdict
            .experiments
            .iter()
            .filter(ended)
            .any(|experiment| experiment.changed == changed && !experiment.deterministic)
            || (changed == verdict.varied && second == Some(record))
    };
    let named: BTreeSet<Variation> = finding.causes.iter().flat_map(Cause::variations).copied().collect();
    let but_named = |all: &[Variation]| all.iter().filter(|v| !named.contains(v)).copied().collect::<Vec<_>>();
    let rest = but_named(&verdict.varied);
    let still = || verdict.experiments.iter().filter(|experiment| experiment.deterministic && experiment.ended_well);
    let was_still =
        |changed: &[Variation], record: DigestSet| still().any(|e| e.record == record && e.changed == changed);
    let wrong = |cause: &Cause| match cause {
        Cause::Unstable { record } => {
            let is_an_experiment =
                verdict.experiments.iter().any(|e| e.ended_well && !e.deterministic && e.record == *record);
            (!is_an_experiment).then_some("is called unstable by a build that was not made")
        }
        Cause::Together { variations, .. } if variations.len() < 2 => Some("blames less than two conditions together"),
        Cause::Varied { record, .. } | Cause::Together { record, .. } => {
            let kept = if let Cause::Varied { kept, .. } = cause { *kept } else { None };
            if kept.is_none() && was_still(cause.variations(), *record) {
                None
            } else if !has(cause.variations(), *record) {
                Some("blames conditions that were not changed in the build that it names")
            } else if kept.is_some_and(|kept| !has(&rest, kept)) {
                Some("names a build in which all else was changed, and there was no such build")
            } else {
                None
            }
        }
    };
    if finding.between != Between::Rebuilds && !finding.causes.is_empty() {
        return Some("has causes, and is not between rebuilds");
    }
    let kept = |cause: &Cause| if let Cause::Varied { kept, .. } = cause { *kept } else { None };
    let all_kept: BTreeSet<Option<DigestSet>> = finding.causes.iter().map(kept).collect();
    let sets: BTreeSet<&[Variation]> = finding.causes.iter().map(Cause::variations).collect();
    if all_kept.len() > 1 || sets.len() != finding.causes.len() {
        return Some("has causes that do not go together");
    }
    let unstable = finding.causes.iter().filter(|cause| cause.variations().is_empty()).count();
    if unstable > 0 && finding.causes.len() > 1 {
        return Some("is called unstable, and blamed on conditions as well");
    }
    if !finding.proposed.is_empty() && !finding.causes.is_empty() {
        return Some("has what its form suggests beside what was shown");
    }
    if finding.between == Between::Rebuilds
        && finding.proposed.iter().any(|proposal| !verdict.varied.contains(&proposal.variation))
    {
        return Some("suggests a condition that was not varied");
    }
    finding.causes.iter().find_map(wrong)
}
