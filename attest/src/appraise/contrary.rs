// SPDX-License-Identifier: Apache-2.0
//! Whether a contrary result can have been left out: what trusted logs say that they have for an artifact, against what is
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use reprove_model::DigestSet;

use super::evidence::Evidence;
use crate::log::merkle::{Hash, leaf_hash};
use crate::log::{self, Checkpoint, LogProof, Note, Recorded};
use crate::roots::CLOCKS_DIFFER;
use crate::{Artifact, Envelope, KeyId, Policy, Predicate, ResourceDescriptor, Statement};

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
    NoWord {
        /// The artifact.
        artifact: String,
        /// Why a word that is there is not believed.
        refused: Option<String>,
    },
    /// Too few witnesses are shown to have cosigned the checkpoint that a log's word is of.
    NotWitnessed {
        /// The artifact.
        artifact: String,
        /// The log.
        log: String,
    },
    /// A key that does not count for it has signed that it got other bits: one that was revoked, for instance, where nothing shows
    /// that this was before.
    Doubtful {
        /// The artifact.
        artifact: String,
        /// Who held the key.
        operator: String,
    },
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
            Self::NoWord { artifact, refused } => {
                let text = "a statement can be left out of a proof, and this one has no trusted log's word on all that it has for";
                write!(f, "{text} {artifact}")?;
                refused.as_ref().map_or(Ok(()), |why| write!(f, "; one that is there is not believed: {why}"))
            }
            Self::NotWitnessed { artifact, log } => {
                write!(
                    f,
                    "the log {log} has spoken on {artifact}, of a checkpoint that too few trusted witnesses are shown to have cosigned"
                )
            }
            Self::Doubtful { artifact, operator } => {
                write!(
                    f,
                    "{operator} has signed that it got other bits than {artifact}, with a key that does not vouch for it as far as is shown here; a timestamp may show that it does"
                )
            }
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
///
/// `doubtful` is what rebuilders whose keys do not count any more have said against something, and when, nobody shows.
pub(super) fn contrary(
    evidence: Evidence<'_>,
    doubtful: &[Doubtful],
    artifacts: &[Artifact],
    policy: &Policy,
    now: Timestamp,
) -> Contrary {
    let logs = evidence.trust.logs();
    if logs.is_empty() {
        return Contrary::Possible(WhyPossible::NoLog);
    }
    if artifacts.is_empty() {
        return Contrary::Possible(WhyPossible::NoArtifact);
    }
    let (mut words, mut refused) = (Vec::new(), None);
    for word in &evidence.proof.recorded {
        match word.verify(logs) {
            Ok(word) => words.push(word),
            Err(why) => refused = Some(why.to_string()),
        }
    }
    let said = Said { words, refused, here: here(evidence) };
    let mut excluded: Option<(Timestamp, String)> = None;
    for artifact in artifacts {
        if let Some((_, operator)) = doubtful.iter().find(|(of, _)| is_about(of, artifact)) {
            let (artifact, operator) = (artifact.name.clone(), operator.clone());
            return Contrary::Possible(WhyPossible::Doubtful { artifact, operator });
        }
        match said.on(artifact, evidence, policy, now) {
            Ok(word) => excluded = Some(excluded.map_or(word.clone(), |other| other.min(word))),
            Err(why) => return Contrary::Possible(why),
        }
    }
    match excluded {
        Some((at, log)) => Contrary::Excluded { log, at },
        None => Contrary::Possible(WhyPossible::NoArtifact),
    }
}

/// What somebody has said that it got other bits, and who.
pub(super) type Doubtful = (Vec<ResourceDescriptor>, String);

/// Whether something is about an artifact, also where that is by one of its digests alone.
pub(super) fn is_about(of: &[ResourceDescriptor], artifact: &Artifact) -> bool {
    of.iter().any(|subject| {
        subject.digest.sha256 == artifact.digest.sha256 || subject.digest.blake3 == artifact.digest.blake3
    })
}

/// What trusted logs say, and what is here of it.
struct Said {
    words: Vec<Recorded>,
    /// Why a word is not believed.
    refused: Option<String>,
    here: BTreeSet<Hash>,
}

impl Said {
    /// The latest word on one artifact, where all that any log has is here.
    fn on(
        &self,
        artifact: &Artifact,
        evidence: Evidence<'_>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(Timestamp, String), WhyPossible> {
        let name = || artifact.name.clone();
        let mut found: Option<(Timestamp, &Recorded)> = None;
        for word in self.words.iter().filter(|word| word.subject() == artifact.digest.sha256) {
            let count = word.entries().iter().filter(|entry| !self.here.contains(*entry)).count();
            if count > 0 {
                return Err(WhyPossible::LeftOut { artifact: name(), log: word.origin().to_owned(), count });
            }
            let seconds = i64::try_from(word.time()).ok();
            let Some(at) = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) else { continue };
            if found.is_none_or(|(latest, _)| at > latest) {
                found = Some((at, word));
            }
        }
        let no_word = || WhyPossible::NoWord { artifact: name(), refused: self.refused.clone() };
        let (at, word) = found.ok_or_else(no_word)?;
        if !is_witnessed(word, evidence, policy.witnesses) {
            return Err(WhyPossible::NotWitnessed { artifact: name(), log: word.origin().to_owned() });
        }
        let oldest = policy.recorded_within_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
        let oldest = oldest.and_then(|age| now.checked_sub(age).ok());
        let is_now = at.duration_since(now) <= CLOCKS_DIFFER && oldest.is_none_or(|oldest| at >= oldest);
        if is_now { Ok((at, word.origin().to_owned())) } else { Err(WhyPossible::NotNow { artifact: name(), at }) }
    }
}

/// Whether so many of the trusted witnesses have cosigned the checkpoint that a word is of, as far as the proof shows.
fn is_witnessed(word: &Recorded, evidence: Evidence<'_>, witnesses: u32) -> bool {
    let witnessed = |note: &Note| {
        let is_same = note.text().parse::<Checkpoint>().is_ok_and(|checkpoint| {
            (checkpoint.origin.as_str(), checkpoint.size, checkpoint.root) == (word.origin(), word.size(), word.root())
        });
        let good = evidence.trust.witnesses().iter().filter(|witness| witness.verify(note).is_ok());
        let keys: BTreeSet<_> = good.map(|witness| witness.public_key().id()).collect();
        is_same && keys.len() >= usize::try_from(witnesses).unwrap_or(usize::MAX)
    };
    let mut proofs = evidence.proof.logged.iter().filter_map(|logged| logged.proof.parse::<LogProof>().ok());
    witnesses == 0 || proofs.any(|proof| witnessed(&proof.checkpoint))
}

/// The entries, by their leaf hashes, of what is here: of envelopes that trusted keys have signed, and of those whose entry
/// names a key that is not trusted, so that they would say nothing. A comparison is here with all of its provenances, since
/// without one of them it says nothing.
fn here(evidence: Evidence<'_>) -> BTreeSet<Hash> {
    let mut signed = BTreeMap::new();
    for envelope in &evidence.proof.envelopes {
        if let Some(trusted) = evidence.trust.find(envelope.keyid())
            && envelope.verify(&[trusted.key]).is_ok()
            && let Ok(entry) = log::entry(envelope, &trusted.key)
        {
            let payload = DigestSet::of(envelope.payload());
            signed.insert(leaf_hash(&entry), (envelope.keyid(), payload, envelope));
        }
    }
    let there: BTreeSet<_> = signed.values().map(|(keyid, payload, _)| (*keyid, *payload)).collect();
    let is_whole = |keyid: KeyId, envelope: &Envelope| match Statement::from_payload(envelope.payload()) {
        Ok(Statement { predicate: Predicate::Comparison(comparison), .. }) => {
            comparison.rebuilds.iter().all(|rebuild| there.contains(&(keyid, rebuild.provenance)))
        }
        _ => true,
    };
    let whole = signed.iter().filter(|(_, (keyid, _, envelope))| is_whole(*keyid, envelope));
    let mut here: BTreeSet<Hash> = whole.map(|(leaf, _)| *leaf).collect();
    for logged in &evidence.proof.logged {
        let signer = log::entry_signer(logged.entry.as_bytes());
        if signer.is_some_and(|signer| evidence.trust.find(signer).is_none()) {
            here.insert(leaf_hash(logged.entry.as_bytes()));
        }
    }
    here
}
