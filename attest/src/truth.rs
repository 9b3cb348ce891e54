// SPDX-License-Identifier: Apache-2.0
//! Whether a verdict's words are true of the digests that stand beside it.

use std::collections::BTreeSet;

use reprove_model::{Between, Derived, EpochOrigin, EpochRule, EpochUsed, Finding, Outcome, ToolsAttempt, Variation};
use thiserror::Error;

use crate::blame::{experiments_fit, wrong_blame};
use crate::comparison::digest_of_findings;
use crate::consistency::Part;
use crate::error::epoch;
use crate::{Comparison, RebuildVerdict};

/// Which word of a verdict is not true of the digests beside it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UntrueVerdict {
    /// `rebuildsAgree`.
    #[error("it says that the rebuilds {}, and their output trees' digests are {}", agree(*.0), if *.0 { "not equal" } else { "equal" })]
    RebuildsAgree(bool),
    /// `matchesPublished`.
    #[error("it says that the published artifact {}, and by the digests it {}", matches(*.claimed), matches(*.found))]
    MatchesPublished {
        /// What it says.
        claimed: Option<bool>,
        /// What the digests say.
        found: Option<bool>,
    },
    /// `outcome`.
    #[error("its outcome is {0:?}, and what it says of the digests makes it the other")]
    Outcome(Outcome),
    /// `findings`, all of them.
    #[error("its outcome is {outcome:?} with {findings} findings; there are none if and only if it is reproducible")]
    Findings {
        /// What it says.
        outcome: Outcome,
        /// How many there are.
        findings: usize,
    },
    /// One of `findings`.
    #[error("its finding at {place:?} {why}")]
    Finding {
        /// Where the difference is said to be.
        place: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `varied`.
    #[error("it says that {claimed:?} was varied, and the rebuilds' conditions differ in {found:?}")]
    Varied {
        /// What it says.
        claimed: Vec<Variation>,
        /// What the conditions say.
        found: Vec<Variation>,
    },
    /// `experiments` or `changedAlone`.
    #[error(
        "what it says was built to look for causes does not fit: not of what was varied, not sorted, not needed, or \
         `changedAlone` is not what follows from it"
    )]
    Experiments,
    /// `verdict`.
    #[error("its word is {}, and what stands beside it makes it {}", claimed.name(), found.name())]
    Word {
        /// What it says.
        claimed: RebuildVerdict,
        /// What the details say.
        found: RebuildVerdict,
    },
    /// `findings`, their digest.
    #[error("the digest that it has of its findings is not that of the findings beside it")]
    FindingsDigest,
    /// `normalizations`.
    #[error(
        "it names normalizations, which mean something only where the rebuilds agree and what was published differs; and \
         each has a name of its own"
    )]
    Normalizations,
    /// `sourceDateEpoch`, against a provenance.
    #[error("it says that the rebuilds saw {}, and rebuild {rebuild} saw {}", epoch(claimed), epoch(found))]
    Epoch {
        /// Which, counted from 1.
        rebuild: usize,
        /// What it says, in seconds.
        claimed: Option<u64>,
        /// What the provenance says, in seconds.
        found: Option<u64>,
    },
    /// `sourceDateEpoch`, against the recipe.
    #[error("where it says that SOURCE_DATE_EPOCH came from is not what the recipe asks for, or not with this value")]
    EpochOrigin,
    /// `sourceDateEpoch`, against what a search tried.
    #[error(
        "its search does not list the SOURCE_DATE_EPOCH that was used, or with another result than the digests say"
    )]
    EpochTried,
    /// `toolsTried`.
    #[error(
        "the tools that it says were tried do not fit: not those of this lock among them, not with the result that the \
         digests say, or not each once"
    )]
    ToolsTried,
}

fn matches(matches: Option<bool>) -> &'static str {
    match matches {
        None => "was not compared",
        Some(true) => "matches",
        Some(false) => "does not match",
    }
}

fn agree(agree: bool) -> &'static str {
    if agree { "agree" } else { "do not agree" }
}

/// Checks each word of the comparison's verdict. The comparison's claims of each rebuild are already known to be those of
/// `parts`.
pub(crate) fn check_verdict(parts: &[Part<'_>], comparison: &Comparison) -> Result<(), UntrueVerdict> {
    let verdict = &comparison.details;
    let rebuilds = &comparison.rebuilds;
    let agree = rebuilds.iter().all(|r| rebuilds.first().is_some_and(|first| first.outputs == r.outputs));
    if verdict.rebuilds_agree != agree {
        return Err(UntrueVerdict::RebuildsAgree(verdict.rebuilds_agree));
    }
    let found = comparison
        .published
        .as_ref()
        .map(|published| agree && rebuilds.iter().all(|r| r.artifact == Some(published.digest)));
    if verdict.matches_published != found {
        return Err(UntrueVerdict::MatchesPublished { claimed: verdict.matches_published, found });
    }
    let reproducible = agree && found != Some(false);
    let outcome = if reproducible { Outcome::Reproducible } else { Outcome::Different };
    if verdict.outcome != outcome {
        return Err(UntrueVerdict::Outcome(verdict.outcome));
    }
    if verdict.findings.is_empty() != reproducible {
        return Err(UntrueVerdict::Findings { outcome, findings: verdict.findings.len() });
    }
    verdict.findings.iter().try_for_each(|finding| check_finding(finding, agree, found))?;
    check_varied(comparison)?;
    check_epoch(parts, comparison)?;
    check_tools(comparison)?;
    check_words(comparison)
}

/// The most sets of tools that one search tries, and the longest name of one, in characters.
const MAX_TOOLS: usize = 32;
const MAX_TOOLS_NAME: usize = 200;

/// What was tried ends with what came out as published; without that, the lock is one of those that were tried.
fn check_tools(comparison: &Comparison) -> Result<(), UntrueVerdict> {
    let tried = &comparison.details.tools_tried;
    let Some(last) = tried.last() else { return Ok(()) };
    let artifact = comparison.rebuilds.first().and_then(|rebuild| rebuild.artifact);
    let derived = comparison.published.as_ref().filter(|published| published.derived.contains(&Derived::Tools));
    let matched = derived.is_some_and(|published| artifact == Some(published.digest));
    let is_last = |attempt: &ToolsAttempt| attempt == last;
    let are_true = tried.iter().all(|attempt| !attempt.matched || is_last(attempt)) && last.matched == matched;
    let is_there = if matched {
        last.lock == comparison.lock
    } else {
        tried.iter().any(|attempt| attempt.lock == comparison.lock)
    };
    let is_name = |name: &str| (1..=MAX_TOOLS_NAME).contains(&name.chars().count()) && !name.contains(char::is_control);
    let names: BTreeSet<&str> =
        tried.iter().map(|attempt| attempt.name.as_str()).filter(|name| is_name(name)).collect();
    let is_list = names.len() == tried.len() && tried.len() <= MAX_TOOLS;
    if derived.is_some() && are_true && is_there && is_list { Ok(()) } else { Err(UntrueVerdict::ToolsTried) }
}

/// The word and the digest beside the details, and what was normalized.
fn check_words(comparison: &Comparison) -> Result<(), UntrueVerdict> {
    let verdict = &comparison.details;
    let names: BTreeSet<&str> = verdict.normalizations.iter().map(|each| each.name.as_str()).collect();
    let mean_something = verdict.rebuilds_agree && verdict.matches_published == Some(false);
    let is_list = names.len() == verdict.normalizations.len() && !names.contains("");
    if !names.is_empty() && !mean_something || !is_list {
        return Err(UntrueVerdict::Normalizations);
    }
    let found = RebuildVerdict::from(verdict);
    if comparison.verdict != found {
        return Err(UntrueVerdict::Word { claimed: comparison.verdict, found });
    }
    match digest_of_findings(verdict) {
        Ok(found) if found == comparison.findings => Ok(()),
        _ => Err(UntrueVerdict::FindingsDigest),
    }
}

fn check_finding(finding: &Finding, agree: bool, matches_published: Option<bool>) -> Result<(), UntrueVerdict> {
    let details = u64::try_from(finding.details.len()).unwrap_or(u64::MAX);
    let why = match finding.between {
        Between::Rebuilds if agree => "is between rebuilds, and they agree",
        Between::PublishedAndRebuilt if matches_published != Some(false) => {
            "is against the published artifact, and nothing published differs"
        }
        Between::Given => "is between things given by hand, and this is about rebuilds",
        _ if finding.details.len() > Finding::MAX_DETAILS => "has more details than one finding keeps",
        _ if details > finding.count => "has more details than it counts",
        _ => return Ok(()),
    };
    Err(UntrueVerdict::Finding { place: finding.place.chars().take(200).collect(), why })
}

/// What was varied is what differs between the first rebuild and any other.
fn check_varied(comparison: &Comparison) -> Result<(), UntrueVerdict> {
    let conditions = |index: usize| comparison.rebuilds.get(index).map(|r| &r.conditions);
    let differs = |v: &Variation| {
        comparison.rebuilds.iter().any(|r| conditions(0).is_some_and(|c| c.differing(&r.conditions).contains(v)))
    };
    let found: Vec<_> = Variation::ALL.into_iter().filter(differs).collect();
    let verdict = &comparison.details;
    if verdict.varied != found {
        return Err(UntrueVerdict::Varied { claimed: verdict.varied.clone(), found });
    }
    let records: Vec<_> = comparison.rebuilds.iter().map(|rebuild| rebuild.record).collect();
    if !experiments_fit(verdict, &records) {
        return Err(UntrueVerdict::Experiments);
    }
    let second = comparison.rebuilds.get(1).map(|rebuild| rebuild.record);
    let wrong = |finding: &Finding| {
        let why = wrong_blame(finding, verdict, second)?;
        Some(UntrueVerdict::Finding { place: finding.place.chars().take(200).collect(), why })
    };
    verdict.findings.iter().find_map(wrong).map_or(Ok(()), Err)
}

fn check_epoch(parts: &[Part<'_>], comparison: &Comparison) -> Result<(), UntrueVerdict> {
    let EpochUsed { seconds, origin, tried } = &comparison.details.source_date_epoch;
    for (rebuild, part) in (1..).zip(parts) {
        let found = part.provenance.epoch().map_err(|_| UntrueVerdict::EpochOrigin)?;
        if found != *seconds {
            return Err(UntrueVerdict::Epoch { rebuild, claimed: *seconds, found });
        }
    }
    let rule = parts
        .first()
        .map(|p| p.provenance.build_definition.external_parameters.recipe.build.source_date_epoch)
        .unwrap_or_default();
    let fits = match rule {
        EpochRule::Unset => *origin == EpochOrigin::Recipe && seconds.is_none(),
        EpochRule::At(at) => *origin == EpochOrigin::Recipe && *seconds == Some(at),
        EpochRule::Search => match origin {
            EpochOrigin::Recipe => false,
            EpochOrigin::SearchUnset => seconds.is_none(),
            EpochOrigin::PublishedArtifact => seconds.is_some() && comparison.published.is_some(),
        },
    };
    if !fits {
        return Err(UntrueVerdict::EpochOrigin);
    }
    let artifact = comparison.rebuilds.first().and_then(|r| r.artifact);
    let matched = comparison.published.as_ref().is_some_and(|p| artifact == Some(p.digest));
    let listed = match (rule, tried.iter().find(|attempt| attempt.seconds == *seconds)) {
        (EpochRule::Search, Some(attempt)) => {
            let only = tried.iter().all(|other| !other.matched || other.seconds == *seconds);
            attempt.matched == matched && only
        }
        (EpochRule::Search, None) => tried.is_empty() && comparison.published.is_none(),
        _ => tried.is_empty(),
    };
    if listed { Ok(()) } else { Err(UntrueVerdict::EpochTried) }
}
