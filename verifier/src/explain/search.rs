// SPDX-License-Identifier: Apache-2.0
//! Causes by experiment: the smallest sets of conditions that bring a difference about.
//!
//! All experiments are builds under the first rebuild's conditions, but for a set of them that are the second's. The set of
//! none is the control, the set of all is the second rebuild itself. What the form of a difference suggests is tried first;
//! where that shows nothing, the set of all is made smaller by halves (delta debugging, Zeller and Hildebrandt 2002) until
//! no condition can be left out. Each set is built once, and once more before it is called a cause: what is there now and
//! then is not blamed on what it came together with.

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::canonical;
use reprove_model::{
    Between, BuildRecord, Cause, Clock, Conditions, DigestSet, Exit, Experiment, Finding, Surroundings, Variation,
    Verdict,
};

use super::found::{Changed, Found, together};
use super::{Depth, ExplainError, Plan, propose};
use crate::Differing;
use crate::compare::MAX_FINDINGS;

/// Into how many parts a set is cut at most where each part seems to be needed: that is what chance looks like.
const MOST_PARTS: usize = 8;

/// How far apart the clocks of deterministic builds are, in seconds: every part of a date and time changes with it.
const APART: u64 = 400 * 86_400 + 6 * 3_600 + 7 * 60 + 8;

/// How far ahead a clock is that shows whether a few seconds matter, in seconds: zip counts in twos.
const A_LITTLE: u64 = 3;

/// Looks for what caused the differences between two rebuilds, and adds it to the verdict's findings.
///
/// What differs with nothing changed is unstable, and no condition that was varied is blamed for it; it is looked
/// into between deterministic builds. A set of conditions causes a finding
/// where changing it alone makes the same place differ in the same way, and changing less does not. Then everything is
/// changed but what was found: where the place is the same after that, nothing else makes it differ; where it is not, more is
/// looked for among the rest. Where it has the time in it, and so differs with how long a build takes, the rest is looked for
/// between deterministic builds. `build` runs one build; one that fails, or of which there is no record, shows nothing, and nothing is blamed for it; where even
/// the unchanged one fails, nothing is blamed at all. [`Verdict::experiments`] says what was tried.
///
/// # Errors
/// See [`ExplainError`].
pub async fn explain<E>(
    verdict: &mut Verdict,
    (first, second): (&BuildRecord, &BuildRecord),
    plan: Plan,
    compare: impl AsyncFnMut(&BuildRecord, &BuildRecord) -> Result<Differing, E>,
    build: impl AsyncFnMut(&Conditions, &[Variation]) -> Result<Option<BuildRecord>, E>,
) -> Result<(), ExplainError<E>> {
    for finding in &mut verdict.findings {
        finding.proposed = propose(finding, &first.conditions, &second.conditions);
    }
    let mut differing: Vec<usize> =
        (0..).zip(&verdict.findings).filter(|(_, f)| is_between_rebuilds(f)).map(|(n, _)| n).collect();
    // The last of so many may stand for differences at other places, which may have other causes.
    if differing.len() >= MAX_FINDINGS {
        differing.pop();
    }
    if plan.depth == Depth::Full && !differing.is_empty() {
        let mut tools = Tools { compare, build, left: plan.most_builds, experiments: Vec::new() };
        let mut search = Search::of(first, second, false, &mut tools);
        let mut causes = search.causes(&verdict.findings, &differing).await?;
        let timed = search.timed;
        let is_moving = |number: &usize, causes: &[Cause]| match causes {
            [Cause::Unstable { .. }] => true,
            _ => timed.contains(number),
        };
        let moving: Vec<usize> =
            causes.iter().filter(|(number, causes)| is_moving(number, causes)).map(|(number, _)| *number).collect();
        if !moving.is_empty() && plan.deterministic && !first.conditions.is_deterministic() {
            let clock = first.conditions.clock != second.conditions.clock || plan.any_clock;
            let pair = (first, second, clock);
            for (number, still) in where_nothing_moves(pair, &verdict.findings, &moving, &mut tools).await? {
                causes.entry(number).and_modify(|causes| together(causes, still));
            }
        }
        for (number, causes) in causes {
            if let Some(finding) = verdict.findings.get_mut(number) {
                finding.causes = causes;
            }
        }
        let alone = |experiment: &Experiment| match experiment.changed.as_slice() {
            [one] if experiment.ended_well && !experiment.deterministic => Some(*one),
            _ => None,
        };
        let alone: BTreeSet<Variation> = tools.experiments.iter().filter_map(alone).collect();
        verdict.changed_alone = alone.into_iter().collect();
        verdict.experiments = tools.experiments;
    }
    for finding in verdict.findings.iter_mut().filter(|finding| !finding.causes.is_empty()) {
        finding.proposed.clear();
    }
    Ok(())
}

fn is_between_rebuilds(finding: &Finding) -> bool {
    finding.between == Between::Rebuilds
}

/// What one set of conditions led to; none where the build did not end well, or there was none any more.
type Outcome = Option<(Differing, DigestSet)>;

/// What builds and compares, and what that came to.
struct Tools<C, B> {
    compare: C,
    build: B,
    left: usize,
    experiments: Vec<Experiment>,
}

/// A search between two builds.
struct Search<'a, C, B> {
    first: &'a BuildRecord,
    second: &'a BuildRecord,
    varied: Vec<Variation>,
    built: BTreeMap<Changed, Outcome>,
    /// What a clock that is a little ahead leads to.
    ahead: Option<Outcome>,
    /// The findings that differ with how long a build takes, beside what was found.
    timed: BTreeSet<usize>,
    deterministic: bool,
    tools: &'a mut Tools<C, B>,
}

/// Looks for the causes of what is otherwise each time between two builds where nothing moves: deterministic ones, of one
/// processor, with the first rebuild's conditions and with the second's, another clock and other entropy. What differs there
/// has causes there, which are not shown to be all: not everything that was varied reaches such builds. What does not stays
/// as it is.
async fn where_nothing_moves<E, C, B>(
    (first, second, other_clock): (&BuildRecord, &BuildRecord, bool),
    findings: &[Finding],
    numbers: &[usize],
    tools: &mut Tools<C, B>,
) -> Result<Vec<(usize, Vec<Cause>)>, ExplainError<E>>
where
    C: AsyncFnMut(&BuildRecord, &BuildRecord) -> Result<Differing, E>,
    B: AsyncFnMut(&Conditions, &[Variation]) -> Result<Option<BuildRecord>, E>,
{
    let still =
        |conditions: &Conditions, clock| Conditions { clock: Clock::Fixed(clock), processors: 1, ..conditions.clone() };
    let one = still(&first.conditions, Clock::DETERMINISTIC);
    let mut other = still(&second.conditions, Clock::DETERMINISTIC + if other_clock { APART } else { 0 });
    // What a deterministic build is told the same of whatever the conditions are, or what its entropy depends on.
    other.surroundings = Surroundings {
        entropy: Some(2),
        processes_after: one.surroundings.processes_after,
        neighbours: one.surroundings.neighbours,
        clock_speed: one.surroundings.clock_speed,
        fixed_addresses: one.surroundings.fixed_addresses,
        old_release: one.surroundings.old_release,
        domain: one.surroundings.domain.clone(),
        ..other.surroundings
    };
    let Some((one, _)) = tools.run(&one, Vec::new(), true).await? else { return Ok(Vec::new()) };
    let changed = one.conditions.differing(&other);
    let Some((other, _)) = tools.run(&other, changed, true).await? else { return Ok(Vec::new()) };
    let differing = (tools.compare)(&one, &other).await.map_err(ExplainError::Job)?;
    let is_there = |number: &usize| findings.get(*number).is_some_and(|finding| differing.has(finding));
    let numbers: Vec<usize> = numbers.iter().copied().filter(is_there).collect();
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let causes = Search::of(&one, &other, true, tools).causes(findings, &numbers).await?;
    let was_shown = |(_, causes): &(usize, Vec<Cause>)| {
        !causes.is_empty() && causes.iter().all(|cause| !matches!(cause, Cause::Unstable { .. }))
    };
    let shown = causes.into_iter().filter(was_shown);
    Ok(shown.map(|(number, causes)| (number, causes.into_iter().map(Cause::not_all).collect())).collect())
}

impl<E, C, B> Tools<C, B>
where
    C: AsyncFnMut(&BuildRecord, &BuildRecord) -> Result<Differing, E>,
    B: AsyncFnMut(&Conditions, &[Variation]) -> Result<Option<BuildRecord>, E>,
{
    /// One build, where there may be one more; none where it does not end well.
    async fn run(
        &mut self,
        conditions: &Conditions,
        changed: Vec<Variation>,
        deterministic: bool,
    ) -> Result<Option<(BuildRecord, DigestSet)>, ExplainError<E>> {
        let Some((built, record)) = self.built(conditions, &changed).await? else { return Ok(None) };
        let ended_well = built.exit == Exit::Success;
        self.experiments.push(Experiment { changed, deterministic, record, ended_well });
        Ok(ended_well.then_some((built, record)))
    }

    /// The same, and not among the verdict's experiments; however it ends.
    async fn built(
        &mut self,
        conditions: &Conditions,
        changed: &[Variation],
    ) -> Result<Option<(BuildRecord, DigestSet)>, ExplainError<E>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let Some(built) = (self.build)(conditions, changed).await.map_err(ExplainError::Job)? else { return Ok(None) };
        let record = DigestSet::of(&canonical::to_vec(&built)?);
        Ok(Some((built, record)))
    }
}

impl<'a, E, C, B> Search<'a, C, B>
where
    C: AsyncFnMut(&BuildRecord, &BuildRecord) -> Result<Differing, E>,
    B: AsyncFnMut(&Conditions, &[Variation]) -> Result<Option<BuildRecord>, E>,
{
    fn of(first: &'a BuildRecord, second: &'a BuildRecord, deterministic: bool, tools: &'a mut Tools<C, B>) -> Self {
        let varied = first.conditions.differing(&second.conditions);
        let (built, ahead, timed) = (BTreeMap::new(), None, BTreeSet::new());
        Self { first, second, varied, built, ahead, timed, deterministic, tools }
    }

    async fn causes(
        &mut self,
        findings: &[Finding],
        numbers: &[usize],
    ) -> Result<BTreeMap<usize, Vec<Cause>>, ExplainError<E>> {
        let of = |number: &usize| findings.get(*number).map(|finding| (*number, finding));
        let findings: Vec<(usize, &Finding)> = numbers.iter().filter_map(of).collect();
        let mut found: BTreeMap<usize, Found> = numbers.iter().map(|number| (*number, Found::default())).collect();
        if self.control(&findings, &mut found).await?.is_none() {
            return Ok(BTreeMap::new());
        }
        self.try_proposals(&findings, &mut found).await?;
        if found.values().any(Found::is_open) {
            self.second_again(&findings, &mut found).await?;
        }
        self.narrow(&findings, &mut found).await?;
        if found.values().any(Found::is_open) {
            self.second_again(&findings, &mut found).await?;
        }
        self.confirm(&findings, &mut found).await?;
        if found.values().any(|found| found.unstable.is_none()) {
            // What is there by chance may not have been there when nothing was changed.
            self.control(&findings, &mut found).await?;
        }
        Ok(found.into_iter().map(|(number, found)| (number, found.causes())).collect())
    }

    /// Builds with nothing changed: what differs then is unstable. None where that build did not end well.
    async fn control(
        &mut self,
        findings: &[(usize, &Finding)],
        found: &mut BTreeMap<usize, Found>,
    ) -> Result<Option<()>, ExplainError<E>> {
        let Some((differing, record)) = self.run(&Changed::new()).await? else { return Ok(None) };
        for (number, finding) in findings {
            if differing.has(finding)
                && let Some(found) = found.get_mut(number)
            {
                found.unstable.get_or_insert(record);
            }
        }
        Ok(Some(()))
    }

    /// Builds as the second rebuild was, before the set of everything is made smaller, and where that led to nothing: what
    /// does not come again is unstable.
    async fn second_again(
        &mut self,
        findings: &[(usize, &Finding)],
        found: &mut BTreeMap<usize, Found>,
    ) -> Result<(), ExplainError<E>> {
        let all: Changed = self.varied.iter().copied().collect();
        let Some((differing, record)) = self.run(&all).await? else { return Ok(()) };
        for (number, finding) in findings {
            if let Some(found) = found.get_mut(number)
                && found.is_open()
                && !differing.has(finding)
            {
                found.unstable = Some(record);
            }
        }
        Ok(())
    }

    /// Builds each set once more that was found: what does not come again is unstable.
    async fn confirm(
        &mut self,
        findings: &[(usize, &Finding)],
        found: &mut BTreeMap<usize, Found>,
    ) -> Result<(), ExplainError<E>> {
        let stable = found.values().filter(|found| found.unstable.is_none());
        let sets: BTreeSet<Changed> = stable.flat_map(|found| found.sets.keys().cloned()).collect();
        for set in sets {
            let built = self.run(&set).await?;
            for (number, finding) in findings {
                let Some(found) = found.get_mut(number).filter(|found| found.sets.contains_key(&set)) else { continue };
                match &built {
                    Some((differing, _)) if differing.has(finding) => {}
                    Some((_, record)) => found.unstable = found.unstable.or(Some(*record)),
                    // It could not be built once more.
                    None => {
                        found.sets.remove(&set);
                        found.kept = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// Changes alone what the form of each finding suggests that has no cause yet.
    async fn try_proposals(
        &mut self,
        findings: &[(usize, &Finding)],
        found: &mut BTreeMap<usize, Found>,
    ) -> Result<(), ExplainError<E>> {
        for (number, finding) in findings {
            for proposal in &finding.proposed {
                let is_open = found.get(number).is_some_and(Found::is_open);
                if !is_open || !self.varied.contains(&proposal.variation) {
                    continue;
                }
                let alone = Changed::from([proposal.variation]);
                self.outcome(&alone).await?;
                self.settle(&alone, findings, found).await?;
            }
        }
        Ok(())
    }

    /// Finds the smallest sets for what has no cause, or not all of its causes.
    async fn narrow(
        &mut self,
        findings: &[(usize, &Finding)],
        found: &mut BTreeMap<usize, Found>,
    ) -> Result<(), ExplainError<E>> {
        for (number, finding) in findings {
            let mut within: Changed = self.varied.iter().copied().collect();
            while found.get(number).is_some_and(|found| found.unstable.is_none()) {
                let known: Changed =
                    found.get(number).into_iter().flat_map(|found| found.sets.keys().flatten().copied()).collect();
                within.retain(|variation| !known.contains(variation));
                if !known.is_empty() {
                    let outcome = self.outcome(&within).await?.as_ref();
                    match outcome.map(|(differing, record)| (differing.has(finding), *record)) {
                        Some((false, record)) => {
                            // Of several that only do it together, each may do it together with others as well.
                            if let Some(found) = found.get_mut(number).filter(|found| found.are_single()) {
                                found.kept = Some(record);
                            }
                            break;
                        }
                        Some(_) if known.contains(&Variation::Clock) && self.is_timed(finding).await? => {
                            self.timed.insert(*number);
                            break;
                        }
                        Some(_) => {}
                        None => break,
                    }
                }
                let Some(smallest) = self.smallest(finding, within.clone()).await? else { break };
                self.settle(&smallest, findings, found).await?;
                if found.get(number).is_some_and(|found| !found.sets.contains_key(&smallest)) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether the finding is there with a clock that is but a little ahead: then any condition that makes a build slower does
    /// it as well.
    async fn is_timed(&mut self, finding: &Finding) -> Result<bool, ExplainError<E>> {
        if self.ahead.is_none() {
            let clock = match self.first.conditions.clock {
                Clock::MovedTo(time) => Clock::MovedTo(time + A_LITTLE),
                Clock::SetTo(time) => Clock::SetTo(time + A_LITTLE),
                Clock::Host | Clock::Fixed(_) => return Ok(false),
            };
            let conditions = Conditions { clock, ..self.first.conditions.clone() };
            // No experiment of the verdict: its clock is not the second's, and no cause stands on it.
            let built = self.tools.built(&conditions, &[Variation::Clock]).await?;
            self.ahead = Some(self.outcome_of(built.filter(|(built, _)| built.exit == Exit::Success)).await?);
        }
        Ok(self.ahead.iter().flatten().any(|(differing, _)| differing.has(finding)))
    }

    /// Gives each finding the set as a cause that differs with it, and with nothing less.
    async fn settle(
        &mut self,
        set: &Changed,
        findings: &[(usize, &Finding)],
        found: &mut BTreeMap<usize, Found>,
    ) -> Result<(), ExplainError<E>> {
        for (number, finding) in findings {
            let Some((differing, record)) = self.built.get(set).and_then(Option::as_ref) else { return Ok(()) };
            let (has, record) = (differing.has(finding), *record);
            let is_smallest = set.len() == 1 || self.is_smallest(finding, set);
            let Some(found) = found.get_mut(number).filter(|found| has && is_smallest && found.unstable.is_none())
            else {
                continue;
            };
            if found.sets.insert(set.clone(), record).is_none() {
                // What was kept before was not all.
                found.kept = None;
            }
        }
        Ok(())
    }

    /// Whether the finding was not there with any one condition of the set left out, as far as builds have shown: all have.
    fn is_smallest(&self, finding: &Finding, set: &Changed) -> bool {
        set.iter().all(|left_out| {
            let mut less = set.clone();
            less.remove(left_out);
            matches!(self.built.get(&less), Some(Some((differing, _))) if !differing.has(finding))
        })
    }

    /// A set within `set`, with which the finding is there, from which nothing can be left out. None where it is not there
    /// with any part that could be built.
    async fn smallest(&mut self, finding: &Finding, mut set: Changed) -> Result<Option<Changed>, ExplainError<E>> {
        if set.is_empty() || !self.shows(finding, &set).await? {
            return Ok(None);
        }
        let mut parts = 2;
        while set.len() > 1 {
            let list: Vec<Variation> = set.iter().copied().collect();
            let pieces: Vec<Changed> =
                list.chunks(list.len().div_ceil(parts)).map(|piece| piece.iter().copied().collect()).collect();
            let rest = |piece: &Changed| set.difference(piece).copied().collect::<Changed>();
            let rests: Vec<Changed> = if pieces.len() > 2 { pieces.iter().map(rest).collect() } else { Vec::new() };
            let mut smaller = None;
            for candidate in pieces.iter().chain(&rests) {
                if self.shows(finding, candidate).await? {
                    smaller = Some(candidate.clone());
                    break;
                }
            }
            match smaller {
                Some(smaller) if pieces.contains(&smaller) => (set, parts) = (smaller, 2),
                Some(smaller) => (set, parts) = (smaller, (parts - 1).max(2)),
                None if parts >= set.len() => break,
                // Something of each of so many parts would be needed.
                None if parts >= MOST_PARTS => return Ok(None),
                None => parts = (2 * parts).min(set.len()),
            }
        }
        Ok(Some(set))
    }

    /// Whether the finding is there when this set is changed.
    async fn shows(&mut self, finding: &Finding, set: &Changed) -> Result<bool, ExplainError<E>> {
        Ok(self.outcome(set).await?.as_ref().is_some_and(|(differing, _)| differing.has(finding)))
    }

    /// What this set leads to: built at most once.
    async fn outcome(&mut self, set: &Changed) -> Result<&Outcome, ExplainError<E>> {
        if !self.built.contains_key(set) {
            let outcome = if set.len() == self.varied.len() {
                let differing = (self.tools.compare)(self.first, self.second).await.map_err(ExplainError::Job)?;
                Some((differing, DigestSet::of(&canonical::to_vec(self.second)?)))
            } else {
                self.run(set).await?
            };
            self.built.insert(set.clone(), outcome);
        }
        Ok(self.built.get(set).unwrap_or(&None))
    }

    /// One build with this set changed, where there may be one more.
    async fn run(&mut self, set: &Changed) -> Result<Outcome, ExplainError<E>> {
        let changed: Vec<Variation> = set.iter().copied().collect();
        let conditions = (changed.iter())
            .fold(self.first.conditions.clone(), |taken, variation| taken.with(*variation, &self.second.conditions));
        let built = self.tools.run(&conditions, changed, self.deterministic).await?;
        self.outcome_of(built).await
    }

    async fn outcome_of(&mut self, built: Option<(BuildRecord, DigestSet)>) -> Result<Outcome, ExplainError<E>> {
        let Some((built, record)) = built else { return Ok(None) };
        let differing = (self.tools.compare)(self.first, &built).await.map_err(ExplainError::Job)?;
        Ok(Some((differing, record)))
    }
}
