// SPDX-License-Identifier: Apache-2.0
//! The one that decides: takes requests, hands out jobs, and judges what workers say of them.
//!
//! What was decided is in the database before anybody is told, once for each job, and nothing changes it. The queue is asked
//! who may decide (the newest lease), and believed in nothing else: at every start, what has no decision is put into it again.

mod finish;
mod judge;
mod pending;
mod placement;
mod reports;
mod sources;
mod submit;
mod sweep;
mod workers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reprove_attest::{ProofError, TrustRoots};
use reprove_model::Digest;
use reprove_model::canonical::CanonicalError;
use reprove_store::{Store, StoreError};
use thiserror::Error;
use tokio::sync::{Semaphore, broadcast};

pub(crate) use judge::causes;
pub use judge::{Brought, Refusal};
pub use reports::Accepted;
pub use submit::Submitted;
pub use workers::{Admission, Assignment, Profile, Worker};

use crate::live::Live;
use crate::source::SourceError;
use crate::{BuildId, Clock, Database, DatabaseError, InvalidId, JobId, Name, Queue, QueueError, RequestError};
use pending::Pending;
use placement::Placement;

/// What the coordinator works with, and takes from whoever starts it.
pub struct Parts {
    /// Where everything is written down.
    pub database: Database,
    /// What carries jobs to workers.
    pub queue: Arc<dyn Queue>,
    /// Where proofs and logs are kept.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whose word counts for evidence of confidential machines. Without such roots, no worker says that it has any.
    pub trust: Arc<TrustRoots>,
    /// How long things take, and how often they are tried.
    pub settings: Settings,
}

/// How long things take, and how often they are tried.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a lease is. A worker asks for more each third of that.
    pub lease: Duration,
    /// How long a job waits after it failed for the first time; twice as long after each further time.
    pub back_off: Duration,
    /// The longest that it waits.
    pub most_back_off: Duration,
    /// How often a job is tried that comes to no verdict.
    pub tries: u32,
    /// How often a worker may bring what is refused before it gets no jobs any more.
    pub most_refused: u32,
    /// How many jobs a worker may have at once.
    pub most_leases: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            back_off: Duration::from_secs(30),
            most_back_off: Duration::from_secs(3600),
            tries: 5,
            most_refused: 3,
            most_leases: 64,
        }
    }
}

impl Settings {
    /// How long a job waits that has failed so often.
    #[must_use]
    pub fn back_off(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.back_off.saturating_mul(doubled).min(self.most_back_off)
    }
}

/// The one that decides. Clones are of the same one.
#[derive(Clone)]
pub struct Coordinator {
    parts: Arc<Parts>,
    placement: Arc<Placement>,
    pending: Arc<Pending>,
    workers: Arc<Mutex<BTreeMap<Name, Arc<Worker>>>>,
    live: Arc<Live>,
    /// Sources that are unpacked now.
    unpacking: Arc<Semaphore>,
    events: broadcast::Sender<FarmEvent>,
}

/// What happens in the farm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FarmEvent {
    /// Something was asked for.
    Submitted(BuildId),
    /// A worker began with a job.
    Leased(JobId, Name),
    /// A worker says what it does.
    Said(JobId),
    /// A job came to an end.
    Finished(JobId),
    /// A build came to an end.
    Decided(BuildId),
}

impl FarmEvent {
    /// For logs, which know it by its first field. What a worker says is not in them: there is much of it, of anybody's making.
    fn log(&self) {
        match self {
            Self::Submitted(build) => tracing::info!(event = "submitted", %build),
            Self::Leased(job, worker) => tracing::info!(event = "leased", %job, build = %job.build, %worker),
            Self::Said(_) => {}
            Self::Finished(job) => tracing::info!(event = "finished", %job, build = %job.build),
            Self::Decided(build) => tracing::info!(event = "decided", %build),
        }
    }
}

/// So many events are kept for whoever is slow; then it is told that it has missed some.
const EVENTS: usize = 4096;

impl Coordinator {
    /// Takes up the work: puts into the queue whatever has no decision.
    ///
    /// # Errors
    /// See [`FarmError`].
    pub async fn start(parts: Parts) -> Result<Self, FarmError> {
        let coordinator = Self {
            parts: Arc::new(parts),
            placement: Arc::default(),
            pending: Arc::default(),
            workers: Arc::default(),
            live: Arc::default(),
            unpacking: Arc::new(Semaphore::new(2)),
            events: broadcast::Sender::new(EVENTS),
        };
        coordinator.load_workers().await?;
        coordinator.take_up().await?;
        Ok(coordinator)
    }

    /// Where everything is written down.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.parts.database
    }

    /// Where proofs and logs are kept.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    /// How long things take.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.parts.settings
    }

    /// What carries jobs.
    #[must_use]
    pub fn queue(&self) -> &dyn Queue {
        &*self.parts.queue
    }

    /// What workers say while they work.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<FarmEvent> {
        self.events.subscribe()
    }

    fn tell(&self, event: FarmEvent) {
        event.log();
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    /// The worker of this name.
    ///
    /// # Errors
    /// [`FarmError::NoWorker`].
    pub fn worker(&self, name: &Name) -> Result<Arc<Worker>, FarmError> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.get(name).cloned().ok_or_else(|| FarmError::NoWorker(name.clone()))
    }
}

/// Why the coordinator did not do what it was asked to.
#[derive(Debug, Error)]
pub enum FarmError {
    /// It can't be asked for.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There is none of this id.
    #[error("there is no build {0} here")]
    NoBuild(BuildId),
    /// It was not sent.
    #[error("the source {0} is not here: send it before")]
    NoSource(Digest),
    /// It is not what it says.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is none of this id.
    #[error("there is no job {0} here")]
    NoJob(JobId),
    /// Nobody of this name has registered.
    #[error("no worker {0} is registered here")]
    NoWorker(Name),
    /// The name belongs to another key or another token.
    #[error("the name {0} belongs to another worker: its {1} is another")]
    NameTaken(Name, &'static str),
    /// It may not be what it says.
    #[error("the worker can't be registered: {0}")]
    NotAdmitted(String),
    /// It gets no jobs any more.
    #[error("the worker {0} gets no jobs any more: {1}")]
    Banned(Name, String),
    /// It has to do those first.
    #[error("the worker {0} has {1} jobs already, which is the most")]
    TooManyJobs(Name, u32),
    /// What a worker brought does not count.
    #[error("the report does not count: {0}")]
    Refused(#[from] Refusal),
    /// The queue said no.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The database said no.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A value has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// What is kept as a proof is none.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The database has something in it that this program did not write.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// A part of the program itself failed.
    #[error("a part of the program failed: {0}")]
    Internal(String),
}

impl From<rusqlite::Error> for FarmError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<InvalidId> for FarmError {
    fn from(error: InvalidId) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<serde_json::Error> for FarmError {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_waits_twice_as_long_up_to_a_bound() {
        let settings = Settings::default();
        let seconds = |failures| settings.back_off(failures).as_secs();
        assert_eq!([1, 2, 3, 7, 8, 9].map(seconds), [30, 60, 120, 1920, 3600, 3600]);
        assert_eq!([0, 32, 33, u32::MAX].map(seconds), [30, 3600, 3600, 3600]);
    }
}
