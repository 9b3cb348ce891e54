// SPDX-License-Identifier: Apache-2.0
//! Whether a contrary result can have been left out: what trusted logs say that they have for an artifact, against what is
//! here.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::evidence::Evidence;
use crate::log::merkle::{Hash, leaf_hash};
use crate::log::{self, Recorded};
use crate::roots::CLOCKS_DIFFER;
use crate::{Artifact, Policy};

/// Whether a contrary result can have been left out of a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contrary {
    /// Not one that a trusted log had at some time: all that it had for each artifact is here.
    Excluded {
        /// The log, by its name.
        log: String,
        /// When, by its clock: the oldest of its words, where there are several artifacts.
        at: Timestamp,
    },
    /// It can.
    Possible(WhyPossible),
}

/// Why a contrary result can have been left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyPossible {
    /// The trust file names no log.
    NoLog,
    /// No file was given.
    NoArtifact,
    /// No trusted log's word on an artifact is in the proof.
    NoWord(String),
    /// A trusted log's word is older than the policy allows, or from the future.
    NotNow {
        /// The artifact.
        artifact: String,
        /// Of when it is.
        at: Timestamp,
    },
    /// A trusted log has statements that are not here.
    LeftOut {
        /// The artifact.
        artifact: String,
        /// The log.
        log: String,
        /// How many.
        count: usize,
    },
}

impl fmt::Display for WhyPossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLog => f.write_str("a statement can be left out of a proof, and the trust file names no log"),
            Self::NoArtifact => {
                f.write_str("a statement can be left out of a proof, and no file was given to look for")
            }
            Self::NoWord(artifact) => write!(
                f,
                "a statement can be left out of a proof, and this one has no trusted log's word on all that it has for {artifact}"
            ),
            Self::NotNow { artifact, at } => {
                write!(
                    f,
                    "the log's word on all that it has for {artifact} is of {at}, and not of the time that counts"
                )
            }
            Self::LeftOut { artifact, log, count } => {
                write!(
                    f,
                    "the log {log} has {count} statements on {artifact} that are not in the proof, or not as they were signed"
                )
            }
        }
    }
}

/// Whether a contrary result on one of `artifacts` can have been left out, at the time `now`.
pub(super) fn contrary(evidence: Evidence<'_>, artifacts: &[Artifact], policy: &Policy, now: Timestamp) -> Contrary {
    let logs = evidence.trust.logs();
    if logs.is_empty() {
        return Contrary::Possible(WhyPossible::NoLog);
    }
    if artifacts.is_empty() {
        return Contrary::Possible(WhyPossible::NoArtifact);
    }
    let words: Vec<Recorded> = evidence.proof.recorded.iter().filter_map(|word| word.verify(logs).ok()).collect();
    let here = here(evidence);
    let mut excluded: Option<(Timestamp, String)> = None;
    for artifact in artifacts {
        match on(artifact, &words, &here, policy, now) {
            Ok(word) => excluded = Some(excluded.map_or(word.clone(), |other| other.min(word))),
            Err(why) => return Contrary::Possible(why),
        }
    }
    match excluded {
        Some((at, log)) => Contrary::Excluded { log, at },
        None => Contrary::Possible(WhyPossible::NoArtifact),
    }
}

/// The latest word of each log on one artifact: all that any of them has is here, and the latest of them counts.
fn on(
    artifact: &Artifact,
    words: &[Recorded],
    here: &BTreeSet<Hash>,
    policy: &Policy,
    now: Timestamp,
) -> Result<(Timestamp, String), WhyPossible> {
    let name = || artifact.name.clone();
    let mut found: Option<(Timestamp, String)> = None;
    for word in words.iter().filter(|word| word.subject() == artifact.digest.sha256) {
        let count = word.entries().iter().filter(|entry| !here.contains(*entry)).count();
        if count > 0 {
            return Err(WhyPossible::LeftOut { artifact: name(), log: word.origin().to_owned(), count });
        }
        let seconds = i64::try_from(word.time()).ok();
        let Some(at) = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) else { continue };
        let this = (at, word.origin().to_owned());
        found = Some(found.map_or(this.clone(), |other| other.max(this)));
    }
    let (at, log) = found.ok_or_else(|| WhyPossible::NoWord(name()))?;
    let oldest = policy.recorded_within_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    let oldest = oldest.and_then(|age| now.checked_sub(age).ok());
    let is_now = at.duration_since(now) <= CLOCKS_DIFFER && oldest.is_none_or(|oldest| at >= oldest);
    if is_now { Ok((at, log)) } else { Err(WhyPossible::NotNow { artifact: name(), at }) }
}

/// The entries, by their leaf hashes, of what is here: of envelopes that trusted keys have signed, and of those whose entry
/// names a key that is not trusted, so that they would say nothing.
fn here(evidence: Evidence<'_>) -> BTreeSet<Hash> {
    let mut here = BTreeSet::new();
    for envelope in &evidence.proof.envelopes {
        if let Some(trusted) = evidence.trust.find(envelope.keyid())
            && envelope.verify(&[trusted.key]).is_ok()
            && let Ok(entry) = log::entry(envelope, &trusted.key)
        {
            here.insert(leaf_hash(&entry));
        }
    }
    for logged in &evidence.proof.logged {
        let signer = log::entry_signer(logged.entry.as_bytes());
        if signer.is_some_and(|signer| evidence.trust.find(signer).is_none()) {
            here.insert(leaf_hash(logged.entry.as_bytes()));
        }
    }
    here
}
