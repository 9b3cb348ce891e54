// SPDX-License-Identifier: Apache-2.0
//! That rebuilding failed: a comparison that had nothing to compare. It is signed like any other result, so that what could
//! not be shown is not the same as what nobody tried.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use reprove_model::{
    BuildRecord, Conditions, DigestSet, Enforced, Exit, Isolation, Lock, Published, Recipe, canonical,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::consistency::{Inconsistency, check_tool};
use crate::provenance::epoch_in;
use crate::{AttestError, Predicate, RebuildVerdict, Rebuilder, ResourceDescriptor, Statement, Tool, locked};

/// The most builds that one statement of failure is about.
pub const MAX_ATTEMPTS: usize = 64;

/// What a failure is about where nothing was published: the lock that could not be built.
const LOCK_NAME: &str = "reprove.lock";

/// States that rebuilding `lock` by `rebuilder` failed, as these records of all of its builds show, at the time
/// `attempted_on`.
///
/// # Errors
/// [`AttestError`] where a record is of another lock, and where the statement would be refused by an audit.
pub fn unbuildable(
    lock: &Lock,
    records: &[&BuildRecord],
    rebuilder: &Rebuilder,
    attempted_on: Timestamp,
) -> Result<Statement, AttestError> {
    let lock_digest = DigestSet::of(&canonical::to_vec(lock)?);
    let mut attempts = Vec::new();
    for record in records {
        if record.lock != lock_digest {
            return Err(AttestError::OtherLock { record: record.lock.sha256, lock: lock_digest.sha256 });
        }
        attempts.push(Attempt {
            record: DigestSet::of(&canonical::to_vec(record)?),
            log: record.log.digest,
            exit: record.exit,
            conditions: record.conditions.clone(),
            enforced: record.enforced.clone(),
            source_date_epoch: epoch_in(&record.env)?,
            started_on: record.started,
        });
    }
    let first = records.first().ok_or(Inconsistency::Unbuildable(UnbuildableFault::Attempts(0)))?;
    let predicate = Unbuildable {
        verdict: RebuildVerdict::Unbuildable,
        attempts,
        recipe: lock.recipe.clone(),
        resolved_dependencies: locked::dependencies(lock),
        published: lock.published.clone(),
        lock: lock_digest,
        isolation: first.isolation,
        rebuilder: rebuilder.clone(),
        tool: Tool::this(),
        attempted_on,
    };
    let subject = vec![predicate.subject()];
    predicate.check(&subject)?;
    Ok(Statement { subject, predicate: Predicate::Unbuildable(Arc::new(predicate)) })
}

/// That rebuilding failed. Its `predicateType` is [`crate::Comparison::TYPE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unbuildable {
    /// Always [`RebuildVerdict::Unbuildable`].
    pub verdict: RebuildVerdict,
    /// Every build, in order: at least one did not end well.
    pub attempts: Vec<Attempt>,
    /// The lock's.
    pub recipe: Recipe,
    /// Every locked input in the lock's order, then the environment.
    pub resolved_dependencies: Vec<ResourceDescriptor>,
    /// What was published, where the rebuilds were to be compared with it: the lock's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// Of the canonical JSON of the lock that was built each time.
    pub lock: DigestSet,
    /// In what every build ran.
    pub isolation: Isolation,
    /// Who rebuilt, by their own word.
    pub rebuilder: Rebuilder,
    /// What says so.
    pub tool: Tool,
    /// When, by the rebuilder's clock (RFC 3339, UTC).
    pub attempted_on: Timestamp,
}

/// One build of several of which not all ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempt {
    /// Of the canonical JSON of its build record.
    pub record: DigestSet,
    /// Of what it printed.
    pub log: DigestSet,
    /// How it ended.
    pub exit: Exit,
    /// Under which conditions.
    pub conditions: Conditions,
    /// Which limits and walls held.
    pub enforced: Enforced,
    /// `SOURCE_DATE_EPOCH` as it saw it, in seconds; absent: not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_date_epoch: Option<u64>,
    /// When it started, by the builder's clock (RFC 3339, UTC).
    pub started_on: Timestamp,
}

impl Unbuildable {
    /// What it has to be about: what was published, or else the lock.
    pub(crate) fn subject(&self) -> ResourceDescriptor {
        match &self.published {
            Some(published) => ResourceDescriptor::published(published),
            None => ResourceDescriptor::named(LOCK_NAME, self.lock),
        }
    }

    /// Checks what it says against itself, and that it is about what it has to be.
    pub(crate) fn check(&self, subject: &[ResourceDescriptor]) -> Result<(), Inconsistency> {
        let fault = |fault| Err(Inconsistency::Unbuildable(fault));
        if self.verdict != RebuildVerdict::Unbuildable {
            return fault(UnbuildableFault::Word(self.verdict));
        }
        if !(1..=MAX_ATTEMPTS).contains(&self.attempts.len()) {
            return fault(UnbuildableFault::Attempts(self.attempts.len()));
        }
        if self.attempts.iter().all(|attempt| attempt.exit == Exit::Success) {
            return fault(UnbuildableFault::NoneFailed);
        }
        let mut records = BTreeSet::new();
        for (number, attempt) in (1..).zip(&self.attempts) {
            if !records.insert(attempt.record) {
                return fault(UnbuildableFault::SameBuild(number));
            }
            if !attempt.conditions.surroundings.are_possible() {
                return fault(UnbuildableFault::Conditions(number));
            }
            if self.attempted_on < attempt.started_on {
                return fault(UnbuildableFault::Time(number));
            }
        }
        check_tool(&self.tool)?;
        self.rebuilder.check()?;
        self.recipe.check().map_err(|error| Inconsistency::NoLock(error.into()))?;
        let lock = locked::lock(&self.recipe, &self.resolved_dependencies, self.published.clone());
        let made = DigestSet::of(&canonical::to_vec(&lock.map_err(Inconsistency::NoLock)?)?);
        if made != self.lock {
            return Err(Inconsistency::LockContent { stated: self.lock.sha256, made: made.sha256 });
        }
        if subject == [self.subject()] { Ok(()) } else { fault(UnbuildableFault::Subject) }
    }

    /// How the first build ended that did not end well.
    #[must_use]
    pub fn failure(&self) -> Option<Exit> {
        self.attempts.iter().map(|attempt| attempt.exit).find(|exit| *exit != Exit::Success)
    }
}

/// What a statement of failure can't say. Builds are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnbuildableFault {
    /// Another word.
    #[error("its verdict is {}, with what goes with unbuildable", .0.name())]
    Word(RebuildVerdict),
    /// Too few builds, or too many.
    #[error("it is about {0} builds; a failure is of 1 to {MAX_ATTEMPTS}")]
    Attempts(usize),
    /// Builds that all ended well.
    #[error("it says that the builds failed, and all of them ended well")]
    NoneFailed,
    /// One build twice.
    #[error("build {0} is one that was already named: the same build record")]
    SameBuild(usize),
    /// An attempt's conditions, counted from 1, that no build can be under.
    #[error("build {0} is said to have been under conditions that no build can be under")]
    Conditions(usize),
    /// Said before it was tried.
    #[error("it was said before build {0} started")]
    Time(usize),
    /// About something else.
    #[error("its subject is neither what was published nor, without that, the lock")]
    Subject,
}
