// SPDX-License-Identifier: Apache-2.0
//! A worker: asks for a job, does it, says that it still works, and brings what came of it.
//!
//! It never works on what it has no lease of: where the farm says that the lease is lost, the work is dropped, which ends its
//! processes. What came of a job is signed here, and brought until the farm has taken or refused it.

mod link;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reprove_attest::{Envelope, RebuildVerdict, Signer, SignerError};
use reprove_model::DigestSet;
use reprove_model::canonical::{self, CanonicalError};
use thiserror::Error;
use tokio::sync::mpsc;

pub use link::{Link, LinkError, Local};

use crate::{
    Accepted, Assignment, Brought, Failure, FailureClass, Lease, Name, Outcome, Profile, Report, ReportError, Request,
};

/// What does a job.
#[async_trait(?Send)]
pub trait Run {
    /// Does what is asked for; `source` is that of a project, as it was sent. `say` is told what it does, a line each time.
    /// Dropping the future ends it.
    async fn run(
        &self,
        request: &Request,
        source: Option<Vec<u8>>,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<Verdicted, Failure>;
}

/// A job that came to a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicted {
    /// The word.
    pub verdict: RebuildVerdict,
    /// The proof's bytes, signed with the worker's key.
    pub proof: Vec<u8>,
    /// What the builds printed.
    pub log: Option<Vec<u8>>,
}

/// What happens to a worker, for whoever watches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// The farm knows it.
    Registered,
    /// It begins with a job.
    Began(Lease, Request),
    /// It does this.
    Doing(String),
    /// The job is not its any more.
    Lost(Lease),
    /// It brought what came of it, and the farm took it.
    Brought(Lease, Accepted),
    /// It brought what came of it, and the farm did not take it.
    NotTaken(Lease, String),
    /// The farm was not reached; it is tried again.
    Waiting(String),
}

/// A worker.
pub struct WorkerLoop<'a> {
    /// The farm.
    pub link: &'a dyn Link,
    /// What does jobs.
    pub run: &'a dyn Run,
    /// What it says of itself.
    pub profile: Profile,
    /// Its key, which signs proofs as well.
    pub key: Arc<dyn Signer>,
    /// The time.
    pub now: &'a (dyn Fn() -> Timestamp + Sync),
    /// Told what happens.
    pub tell: &'a (dyn Fn(WorkerEvent) + Sync),
    /// After so many jobs it ends; none: never.
    pub most_jobs: Option<u64>,
    /// Whether it ends when there is nothing to do.
    pub until_idle: bool,
}

/// How long a job is waited for, in seconds.
const WAIT: u64 = 30;
/// The longest that is waited before the farm is tried again.
const MOST_WAIT: Duration = Duration::from_secs(30);

/// What became of a job's work.
enum Work {
    Ended(Result<Verdicted, Failure>),
    Lost,
}

impl WorkerLoop<'_> {
    /// Works until `stop`, or until it has done as many jobs as were said. Then what it was at is given back.
    ///
    /// # Errors
    /// [`WorkerError`] where the farm does not want it, or its key does not sign.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<u64, WorkerError> {
        let mut stop = pin!(stop);
        let mut done = 0;
        tokio::select! {
            biased;
            () = &mut stop => return Ok(done),
            registered = self.register() => registered?,
        }
        loop {
            let wait = if self.until_idle { 0 } else { WAIT };
            let next = tokio::select! {
                biased;
                () = &mut stop => return Ok(done),
                next = self.until_reached(|| self.link.lease(&self.profile.name, wait)) => next?,
            };
            let Some(assignment) = next else {
                if self.until_idle {
                    return Ok(done);
                }
                continue;
            };
            (self.tell)(WorkerEvent::Began(assignment.lease.clone(), assignment.request.clone()));
            let work = tokio::select! {
                biased;
                () = &mut stop => None,
                work = self.work(&assignment) => Some(work),
            };
            let Some(work) = work else {
                let stopped = Failure::new(FailureClass::Stopped, "the worker was told to stop");
                // Where the farm can't be told, it finds out itself.
                let _ = tokio::time::timeout(Duration::from_secs(5), self.bring(&assignment, Err(stopped))).await;
                return Ok(done);
            };
            match work {
                Work::Lost => (self.tell)(WorkerEvent::Lost(assignment.lease)),
                Work::Ended(result) => self.bring(&assignment, result).await?,
            }
            done += 1;
            if self.most_jobs.is_some_and(|most| done >= most) {
                return Ok(done);
            }
        }
    }

    async fn register(&self) -> Result<(), WorkerError> {
        let (key, payload) = (Arc::clone(&self.key), canonical::to_vec(&self.profile)?);
        let profile = blocking(move || Envelope::sign(&*key, payload)).await??;
        self.until_reached(|| self.link.register(profile.clone())).await?;
        (self.tell)(WorkerEvent::Registered);
        Ok(())
    }

    /// Does the work of a job, and says each third of a lease that it still does.
    async fn work(&self, assignment: &Assignment) -> Work {
        let (say, mut said) = mpsc::unbounded_channel();
        let tell = |line: String| {
            let line: String = line.chars().take(crate::Live::MAX_LINE).collect();
            (self.tell)(WorkerEvent::Doing(line.clone()));
            // Nobody hears it once the work has ended.
            let _ = say.send(line);
        };
        let mut lost = pin!(self.kept_alive(assignment, &mut said));
        let mut work = pin!(async {
            let source = self.source(&assignment.request).await?;
            self.run.run(&assignment.request, source, &tell).await
        });
        tokio::select! {
            biased;
            result = &mut work => Work::Ended(result),
            () = &mut lost => Work::Lost,
        }
    }

    /// The source of a project. It was there when the job was asked for.
    async fn source(&self, request: &Request) -> Result<Option<Vec<u8>>, Failure> {
        let Some(tree) = request.work.source() else { return Ok(None) };
        let source = self.link.source(tree).await;
        source.map(Some).map_err(|error| Failure::new(FailureClass::Network, &format!("the source: {}", error.text)))
    }

    /// Ends when the lease is lost.
    async fn kept_alive(&self, assignment: &Assignment, said: &mut mpsc::UnboundedReceiver<String>) {
        let lease = Duration::from_millis(assignment.lease_ms.max(300));
        let (beat, soon) = (lease / 3, Duration::from_millis(500).min(lease / 10));
        loop {
            // What it says is told soon, and that it lives each third of a lease.
            let mut lines = Vec::new();
            if let Ok(Some(first)) = tokio::time::timeout(beat, said.recv()).await {
                tokio::time::sleep(soon).await;
                lines.push(first);
            }
            while let (Ok(line), true) = (said.try_recv(), lines.len() < crate::Live::MOST_LINES) {
                lines.push(line);
            }
            match self.link.progress(&assignment.lease, lines).await {
                Ok(_) => {}
                Err(error) if error.is_final => return,
                Err(error) => (self.tell)(WorkerEvent::Waiting(error.text)),
            }
        }
    }

    /// Signs what came of a job, and brings it until the farm has answered. Meanwhile the lease is kept.
    async fn bring(&self, assignment: &Assignment, result: Result<Verdicted, Failure>) -> Result<(), WorkerError> {
        let (outcome, brought) = match result {
            Ok(Verdicted { verdict, proof, log }) => {
                let named = log.as_deref().map(DigestSet::of);
                let outcome = Outcome::Verdict { verdict, proof: DigestSet::of(&proof), log: named };
                (outcome, Brought { proof: Some(proof), log })
            }
            Err(failure) => (Outcome::Failure(failure), Brought::default()),
        };
        let lease = &assignment.lease;
        let worker = self.profile.name.clone();
        let report = Report { job: lease.job, epoch: lease.epoch, worker, outcome, finished_on: (self.now)() };
        let (key, subject, request) =
            (Arc::clone(&self.key), assignment.request.subject(), assignment.request.digest()?);
        let envelope = blocking(move || report.sign(&subject, request, &*key)).await??;
        let beat = Duration::from_millis(assignment.lease_ms.max(300)) / 3;
        let kept_alive = async {
            loop {
                tokio::time::sleep(beat).await;
                // Where it is lost, the report is refused, which says so.
                let _ = self.link.progress(lease, Vec::new()).await;
            }
        };
        let answered = tokio::select! {
            biased;
            event = self.answered(lease, &envelope, &brought) => event,
            event = kept_alive => event,
        };
        (self.tell)(answered);
        Ok(())
    }

    /// Sends a report until the farm has taken or refused it.
    async fn answered(&self, lease: &Lease, envelope: &Envelope, brought: &Brought) -> WorkerEvent {
        let mut wait = Duration::from_millis(500);
        loop {
            match self.link.report(&self.profile.name, envelope.clone(), brought).await {
                Ok(accepted) => return WorkerEvent::Brought(lease.clone(), accepted),
                Err(error) if error.is_final => return WorkerEvent::NotTaken(lease.clone(), error.text),
                Err(error) => (self.tell)(WorkerEvent::Waiting(error.text)),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MOST_WAIT);
        }
    }

    /// Asks again until the farm has answered.
    async fn until_reached<T, F: Future<Output = Result<T, LinkError>>>(
        &self,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, WorkerError> {
        let mut wait = Duration::from_millis(500);
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_final => return Err(WorkerError::Refused(error.text)),
                Err(error) => (self.tell)(WorkerEvent::Waiting(error.text)),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MOST_WAIT);
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WorkerError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| WorkerError::Internal(e.to_string()))
}

/// Why a worker ended.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The farm does not want it.
    #[error("{0}")]
    Refused(String),
    /// Its key does not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// What it has to say can't be said.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A value has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A part of the program itself failed.
    #[error("a part of the program failed: {0}")]
    Internal(String),
}

/// What a worker is called where nothing is said: the host's name, as far as it is one that can be used.
#[must_use]
pub fn usual_name(host: &str) -> Option<Name> {
    let fits = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let name: String = host.to_ascii_lowercase().chars().map(fits).take(Name::MAX).collect();
    name.trim_matches('-').parse().ok()
}
