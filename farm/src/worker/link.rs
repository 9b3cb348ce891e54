// SPDX-License-Identifier: Apache-2.0
//! What a worker has to do with its farm: over HTTP, or in the same process.

use std::time::Duration;

use async_trait::async_trait;
use reprove_attest::Envelope;
use reprove_model::Digest;
use tokio::time::Instant;

use crate::access::Access;
use crate::{
    Accepted, Assignment, Brought, Client, ClientError, Coordinator, FarmError, FarmEvent, Lease, Name, QueueError,
};

/// A farm, as a worker sees it.
#[async_trait]
pub trait Link: Send + Sync {
    /// Says who the worker is.
    async fn register(&self, profile: Envelope) -> Result<(), LinkError>;
    /// Asks for a job, and waits `wait` seconds for one.
    async fn lease(&self, worker: &Name, wait: u64) -> Result<Option<Assignment>, LinkError>;
    /// Says that a job is still worked on.
    async fn progress(&self, lease: &Lease, lines: Vec<String>) -> Result<Lease, LinkError>;
    /// The source of a project, as it was sent.
    async fn source(&self, tree: &Digest) -> Result<Vec<u8>, LinkError>;
    /// Brings what came of a job.
    async fn report(&self, worker: &Name, report: Envelope, brought: &Brought) -> Result<Accepted, LinkError>;
}

/// Why the farm did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkError {
    /// Whether asking again brings nothing.
    pub is_final: bool,
    /// Why, in words.
    pub text: String,
}

impl From<ClientError> for LinkError {
    fn from(error: ClientError) -> Self {
        Self { is_final: error.is_final(), text: error.to_string() }
    }
}

impl From<FarmError> for LinkError {
    fn from(error: FarmError) -> Self {
        let passes = matches!(
            error,
            FarmError::Queue(QueueError::Transport(_) | QueueError::Database(_))
                | FarmError::Database(_)
                | FarmError::Store(_)
                | FarmError::Internal(_)
        );
        Self { is_final: !passes, text: error.to_string() }
    }
}

#[async_trait]
impl Link for Client {
    async fn register(&self, profile: Envelope) -> Result<(), LinkError> {
        Ok(Self::register(self, profile).await?)
    }

    async fn lease(&self, worker: &Name, wait: u64) -> Result<Option<Assignment>, LinkError> {
        Ok(Self::lease(self, worker, wait).await?)
    }

    async fn progress(&self, lease: &Lease, lines: Vec<String>) -> Result<Lease, LinkError> {
        Ok(Self::progress(self, lease, lines).await?)
    }

    async fn source(&self, tree: &Digest) -> Result<Vec<u8>, LinkError> {
        Ok(Self::source(self, tree).await?.into())
    }

    async fn report(&self, worker: &Name, report: Envelope, brought: &Brought) -> Result<Accepted, LinkError> {
        Ok(Self::report(self, worker, report, brought).await?)
    }
}

/// A farm in this process.
pub struct Local {
    /// Which.
    pub coordinator: Coordinator,
    /// Whose the worker is.
    pub access: Access,
}

#[async_trait]
impl Link for Local {
    async fn register(&self, profile: Envelope) -> Result<(), LinkError> {
        self.coordinator.register(&profile, self.access.admission()).await?;
        Ok(())
    }

    async fn lease(&self, worker: &Name, wait: u64) -> Result<Option<Assignment>, LinkError> {
        Ok(self.coordinator.lease_within(worker, Duration::from_secs(wait)).await?)
    }

    async fn progress(&self, lease: &Lease, lines: Vec<String>) -> Result<Lease, LinkError> {
        Ok(self.coordinator.progress(lease, lines).await?)
    }

    async fn source(&self, tree: &Digest) -> Result<Vec<u8>, LinkError> {
        Ok(self.coordinator.source(*tree).await?)
    }

    async fn report(&self, worker: &Name, report: Envelope, brought: &Brought) -> Result<Accepted, LinkError> {
        Ok(self.coordinator.report(worker, report, brought.clone()).await?)
    }
}

impl Coordinator {
    /// As [`Coordinator::lease`]; where there is no job, one is waited for.
    ///
    /// # Errors
    /// As there.
    pub async fn lease_within(&self, worker: &Name, wait: Duration) -> Result<Option<Assignment>, FarmError> {
        let deadline = Instant::now() + wait;
        let mut events = self.events();
        loop {
            // A job that was taken is written down, also where nobody waits for it any more.
            let (coordinator, name) = (self.clone(), worker.clone());
            let leased = tokio::spawn(async move { coordinator.lease(&name).await }).await;
            let leased = leased.map_err(|error| FarmError::Internal(error.to_string()))??;
            if leased.is_some() || Instant::now() >= deadline {
                return Ok(leased);
            }
            // What was given back says nothing when its time has come, so that it is looked for every now and then.
            let until = deadline.min(Instant::now() + Duration::from_secs(2));
            let something_new = async { while !matches!(events.recv().await, Ok(FarmEvent::Submitted(_)) | Err(_)) {} };
            let _ = tokio::time::timeout_at(until, something_new).await;
        }
    }
}
