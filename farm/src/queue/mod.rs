// SPDX-License-Identifier: Apache-2.0
//! The queue: what carries jobs to workers. It knows no results, and nothing is lost with it: the coordinator puts in again
//! whatever it has no decision on.
//!
//! What every implementation promises, and `farm/tests/queues.rs` holds each to:
//!
//! - A job that was put in is handed out at least once, unless it is forgotten before.
//! - At one time, a job has at most one lease. Each lease of a job has a higher *epoch* than the one before.
//! - Whoever holds an older lease than the newest can neither extend, give back nor settle: that is [`QueueError::Lost`].
//! - A job is settled once, for one result: the same result again is no error, another one is.
//! - What goes first is what was put in first, within a lane and a priority; a job that is given back waits at its old place.
//! - Each of these is so also after the process was killed at any moment.

mod nats;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reprove_model::Digest;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

pub use nats::{NatsCredentials, NatsError, NatsOptions, NatsQueue, OLDEST_NATS};
pub use sqlite::SqliteQueue;

use crate::{DatabaseError, JobId, Lane, Millis, Name, Priority};

/// How often a job was handed out: of two leases of one job, the newer has the higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Epoch(pub u32);

/// A job that is put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub job: JobId,
    /// Where it waits.
    pub lane: Lane,
    /// What it goes before.
    pub priority: Priority,
    /// In which order it goes, within a lane and a priority: the lowest first.
    pub place: u64,
    /// The highest epoch that it was ever handed out under. The next one is higher.
    pub epoch: Epoch,
    /// It is not handed out before.
    pub not_before: Millis,
}

/// Who asks for a job.
#[derive(Clone)]
pub struct Offer {
    /// Who.
    pub holder: Name,
    /// The lanes that it takes from. Of several that have a job of one priority, the first.
    pub lanes: Vec<Lane>,
    /// How long the lease is, where it is not extended.
    pub lease: Duration,
    /// Whether it may have this job. Asked of each in its turn; the first that it may have is leased to it. It is asked of one
    /// job at a time, whoever asks for one.
    pub may_have: Arc<dyn Fn(JobId) -> bool + Send + Sync>,
}

/// The right to work on a job, until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lease {
    /// On which.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}-(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9][0-9]?)$")]
    pub job: JobId,
    /// Which lease of it.
    pub epoch: Epoch,
    /// Whose it is.
    #[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    pub holder: Name,
    /// Until when, where it is not extended, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub until: Millis,
}

/// What came of settling a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was not, and is now.
    Now,
    /// It was already, with this very result.
    Already,
}

/// How many jobs there are in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// That could be handed out now.
    pub ready: u64,
    /// That wait for their time.
    pub later: u64,
    /// That somebody has.
    pub leased: u64,
}

/// What carries jobs to workers.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Called once, before anything else, by the one process that decides. No lease that there is from before ends later than
    /// `longest` after `now`, and nothing that was given back waits for longer, whatever was done to the machine's clock. Gives
    /// the jobs that were settled and not forgotten.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn begin(&self, now: Millis, longest: Duration) -> Result<Vec<JobId>, QueueError>;

    /// Puts jobs in. Of one that is there already, nothing changes.
    ///
    /// # Errors
    /// See [`QueueError`]; some may be in then, and can be put in again.
    async fn put(&self, entries: Vec<Entry>) -> Result<(), QueueError>;

    /// Hands out a job; none, where there is none that the asker may have.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn take(&self, offer: Offer, now: Millis) -> Result<Option<Lease>, QueueError>;

    /// Makes a lease end `lease` after `now`.
    ///
    /// # Errors
    /// [`QueueError::Lost`] where it is not the newest, or has ended and somebody was told so.
    async fn extend(&self, lease: &Lease, longer: Duration, now: Millis) -> Result<Lease, QueueError>;

    /// Gives a job back, to be handed out again `after` so long.
    ///
    /// # Errors
    /// As [`Queue::extend`].
    async fn give_back(&self, lease: &Lease, after: Duration, now: Millis) -> Result<(), QueueError>;

    /// Settles a job: from then on it is not handed out any more, and nobody but who brings the same result can settle it.
    ///
    /// # Errors
    /// As [`Queue::extend`]; [`QueueError::Lost`] also where it was settled with another result.
    async fn settle(&self, lease: &Lease, result: &Digest) -> Result<Settled, QueueError>;

    /// Makes jobs that are settled wait again, since nothing came of their results.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn reopen(&self, jobs: &[JobId], now: Millis) -> Result<(), QueueError>;

    /// Removes jobs, whatever their state is; those that are not there as well.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn forget(&self, jobs: &[JobId]) -> Result<(), QueueError>;

    /// Takes from their holders the jobs whose leases have ended, and gives these leases. None of these jobs is handed out before
    /// the next sweep, so that whoever calls this can do what is to be done first.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn sweep(&self, now: Millis) -> Result<Vec<Lease>, QueueError>;

    /// All leases that there are, at most `most`, those that end first first.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn leases(&self, most: usize) -> Result<Vec<Lease>, QueueError>;

    /// How many jobs there are.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn waiting(&self) -> Result<Waiting, QueueError>;
}

/// Why a queue did not do what it was asked to.
#[derive(Clone, Debug, Error)]
pub enum QueueError {
    /// The lease is not the newest of its job, or the job is decided or cancelled.
    #[error("the lease of {job} under epoch {} is lost: the job was handed out again, decided or cancelled", .epoch.0)]
    Lost {
        /// Of which job.
        job: JobId,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// The database did not.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What the queue is in can't be reached, or did not do what it was asked to.
    #[error("the queue: {0}")]
    Transport(String),
}

impl QueueError {
    pub(crate) fn lost(lease: &Lease) -> Self {
        Self::Lost { job: lease.job, epoch: lease.epoch }
    }
}
