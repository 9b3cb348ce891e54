// SPDX-License-Identifier: Apache-2.0
//! What workers say of jobs, and what comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use reprove_attest::Envelope;
use reprove_model::Isolation;
use reprove_model::canonical;
use reprove_store::{Root, Store};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::finish::{self, Decision};
use super::judge::{self, Brought, Refusal};
use super::{Coordinator, FarmError, FarmEvent, Worker};
use crate::{Epoch, Failure, JobId, Lease, Millis, Name, Outcome, QueueError, Request, VerifiedReport};

/// What came of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accepted {
    /// It is the job's verdict.
    Decided,
    /// It was already.
    Already,
    /// It is no verdict: the job is tried again, at another time.
    Later,
    /// It is no verdict, and the job is not tried any more.
    GivenUp,
}

/// A job as the database has it.
struct Known {
    number: i64,
    state: String,
    epoch: u32,
    failures: u32,
    holder: Option<String>,
    /// What the holder built in when it got the job.
    isolation: Option<Isolation>,
    request: Request,
    /// Of the report that decided it.
    decided_by: Option<String>,
}

impl Coordinator {
    /// Takes what a worker says of a job. When this returns, nothing of it can be lost; where the answer is lost, the worker
    /// brings the same again, and gets the same answer.
    ///
    /// # Errors
    /// [`FarmError::Refused`] where it does not count: then the worker has the job no more. See [`FarmError`].
    pub async fn report(&self, by: &Name, envelope: Envelope, brought: Brought) -> Result<Accepted, FarmError> {
        let worker = self.worker(by)?;
        self.is_not_banned(&worker)?;
        let report = match VerifiedReport::verify(&envelope, &worker.key) {
            Ok(report) => report,
            Err(error) => return Err(self.refused(&worker, None, error.into()).await?),
        };
        let job = report.report().job;
        let known = self.parts.database.read(move |connection| known(connection, job)).await?;
        match self.judged(&worker, &report, &known, envelope, brought).await {
            Err(FarmError::Refused(refusal)) => Err(self.refused(&worker, Some((&report, &known)), refusal).await?),
            result => result,
        }
    }

    async fn judged(
        &self,
        worker: &Arc<Worker>,
        report: &VerifiedReport,
        known: &Known,
        envelope: Envelope,
        brought: Brought,
    ) -> Result<Accepted, FarmError> {
        judge::is_by(report, worker)?;
        if let Some(by) = &known.decided_by {
            let same = *by == report.digest().blake3.to_string();
            return if same { Ok(Accepted::Already) } else { Err(Refusal::Decided.into()) };
        }
        if known.state != "waiting" {
            return Err(Refusal::Finished.into());
        }
        let said = report.report();
        if said.epoch.0 != known.epoch || known.holder.as_deref() != Some(worker.profile.name.as_str()) {
            return Err(Refusal::Stale { said: said.epoch.0, newest: known.epoch }.into());
        }
        judge::is_about(report, known.request.digest()?, &brought)?;
        match &said.outcome {
            Outcome::Verdict { .. } => self.decide(worker, report, known, envelope, brought).await,
            Outcome::Failure(failure) => self.failed(report, known, failure.clone()).await,
        }
    }

    /// A verdict, which is judged, settled, and written down, in this order.
    async fn decide(
        &self,
        worker: &Arc<Worker>,
        report: &VerifiedReport,
        known: &Known,
        envelope: Envelope,
        brought: Brought,
    ) -> Result<Accepted, FarmError> {
        let said = report.report();
        let Outcome::Verdict { verdict, .. } = &said.outcome else { return Ok(Accepted::Later) };
        let proof = brought.proof.unwrap_or_default();
        let (request, by, trust) = (known.request.clone(), Arc::clone(worker), Arc::clone(&self.parts.trust));
        let (now, word, job) = (self.parts.clock.now(), *verdict, said.job);
        // Signatures, and what the store writes, would hold everybody up.
        let store = self.parts.store.clone();
        let (isolation, epoch) = (known.isolation.unwrap_or(worker.profile.isolation), said.epoch);
        let judged = blocking(move || {
            let judged = judge::judge(word, &proof, &request, (&by, isolation), &trust, now.timestamp())?;
            keep(&store, (job, epoch), now, &proof, brought.log.as_deref())?;
            Ok::<_, FarmError>(judged)
        });
        let judged = judged.await??;
        let lease = lease(report);
        self.settling(job, epoch, now);
        match self.settled(&lease, report, known).await {
            // The same was brought twice at once, and the other was first.
            Err(FarmError::Refused(_)) if self.is_decided_by(known.number, report).await? => {
                return Ok(Accepted::Already);
            }
            // Who of those that brought the same wrote it down first decided it, whoever's was the first in the queue.
            settled => settled?,
        };
        let decision = Decision {
            job: known.number,
            epoch: said.epoch.0,
            envelope: canonical::to_vec(&envelope)?,
            report: report.clone(),
            judged,
            now,
        };
        let finished = self.parts.database.write(move |connection| finish::decide(connection, &decision)).await?;
        self.written(job);
        self.forget(vec![job]).await;
        if finished.already {
            return Ok(Accepted::Already);
        }
        self.tell_finished(job, finished);
        Ok(Accepted::Decided)
    }

    /// No verdict: the job waits, or is given up.
    async fn failed(&self, report: &VerifiedReport, known: &Known, failure: Failure) -> Result<Accepted, FarmError> {
        let settings = self.parts.settings;
        let (now, lease, job) = (self.parts.clock.now(), lease(report), report.report().job);
        let failures = known.failures + u32::from(failure.class.counts());
        if failure.class.may_pass() && failures < settings.tries {
            let after = if failure.class.counts() { settings.back_off(failures) } else { std::time::Duration::ZERO };
            self.parts.queue.give_back(&lease, after, now).await.map_err(|e| stale(e, known))?;
            self.placement.release(job, lease.epoch);
            let number = known.number;
            let write = move |connection: &Connection| {
                finish::failed(connection, (number, lease.epoch.0, &lease.holder), &failure, now)
            };
            self.parts.database.write(write).await?;
            return Ok(Accepted::Later);
        }
        self.settling(job, lease.epoch, now);
        self.settled(&lease, report, known).await?;
        let number = known.number;
        let write = move |connection: &Connection| {
            finish::failed(connection, (number, lease.epoch.0, &lease.holder), &failure, now)?;
            finish::give_up(connection, number, now)
        };
        let finished = self.parts.database.write(write).await?;
        self.written(job);
        self.forget(vec![job]).await;
        self.tell_finished(job, finished);
        Ok(Accepted::GivenUp)
    }

    /// What does not count is written down; where the worker had the job, it has it no more.
    async fn refused(
        &self,
        worker: &Arc<Worker>,
        of: Option<(&VerifiedReport, &Known)>,
        refusal: Refusal,
    ) -> Result<FarmError, FarmError> {
        // These may be of a worker that is only late.
        let is_late = matches!(refusal, Refusal::Decided | Refusal::Finished | Refusal::Stale { .. });
        if is_late {
            return Ok(refusal.into());
        }
        tracing::warn!(event = "refused", worker = %worker.profile.name, why = %refusal);
        let now = self.parts.clock.now();
        if let Some((report, known)) = of.filter(|(report, _)| report.report().worker == worker.profile.name) {
            let lease = lease(report);
            let after = self.parts.settings.back_off(known.failures + 1);
            match self.parts.queue.give_back(&lease, after, now).await {
                Ok(()) => self.placement.release(lease.job, lease.epoch),
                Err(QueueError::Lost { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let attempt = of.map(|(report, known)| (known.number, report.report().epoch.0));
        let (name, text) = (worker.profile.name.clone(), refusal.to_string());
        let write = move |connection: &Connection| finish::refused(connection, attempt, &name, &text, now);
        let count = self.parts.database.write(write).await?;
        if count >= self.parts.settings.most_refused {
            self.ban(&worker.profile.name, &format!("{count} of its reports were refused, the last since {refusal}"))
                .await?;
        }
        Ok(refusal.into())
    }

    /// Whether a job was decided by this very report.
    async fn is_decided_by(&self, job: i64, report: &VerifiedReport) -> Result<bool, FarmError> {
        let digest = report.digest().blake3.to_string();
        let read = move |connection: &Connection| finish::is_decided_by(connection, job, &digest);
        self.parts.database.read(read).await
    }

    /// Settles a job for a report. Where it is refused, nothing of it is under way.
    async fn settled(&self, lease: &Lease, report: &VerifiedReport, known: &Known) -> Result<(), FarmError> {
        let settled = self.parts.queue.settle(lease, &report.digest().blake3).await;
        if matches!(settled, Err(QueueError::Lost { .. })) {
            self.written(lease.job);
        }
        settled.map(drop).map_err(|error| stale(error, known))
    }

    pub(super) fn tell_finished(&self, job: JobId, finished: finish::Finished) {
        self.live.forget(job);
        self.tell(FarmEvent::Finished(job));
        if finished.whole_build {
            self.placement.close(job.build);
            self.tell(FarmEvent::Decided(job.build));
        }
    }
}

fn lease(report: &VerifiedReport) -> Lease {
    let said = report.report();
    // Until when it is does not matter any more.
    Lease { job: said.job, epoch: said.epoch, holder: said.worker.clone(), until: Millis::default() }
}

/// Somebody else has got the job since it was looked at.
fn stale(error: QueueError, known: &Known) -> FarmError {
    match error {
        QueueError::Lost { epoch, .. } => Refusal::Stale { said: epoch.0, newest: known.epoch }.into(),
        error => error.into(),
    }
}

fn known(connection: &Connection, job: JobId) -> Result<Known, FarmError> {
    const SQL: &str =
        "SELECT job.number, job.state, job.epoch, job.failures, job.worker, build.request, report.digest, job.isolation
        FROM job JOIN build ON build.number = job.build LEFT JOIN report ON report.job = job.number WHERE job.id = ?1";
    let found = connection.prepare_cached(SQL)?.query_row([job.to_string()], |row| {
        let request: Vec<u8> = row.get(5)?;
        let known = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(6)?);
        Ok((known, request, row.get::<_, Option<String>>(7)?))
    });
    let ((number, state, epoch, failures, holder, decided_by), request, isolation) =
        found.optional()?.ok_or(FarmError::NoJob(job))?;
    let request = canonical::from_slice(&request)?;
    let isolation = isolation.map(|name| serde_json::from_value(serde_json::Value::String(name))).transpose()?;
    Ok(Known { number, state, epoch, failures, holder, isolation, request, decided_by })
}

/// Has a proof and a log in the store, under the job's name, for as long as nobody removes that.
fn keep(
    store: &Store,
    (job, epoch): (JobId, Epoch),
    now: Millis,
    proof: &[u8],
    log: Option<&[u8]>,
) -> Result<(), FarmError> {
    let mut blobs = std::collections::BTreeSet::new();
    for bytes in [Some(proof), log].into_iter().flatten() {
        blobs.insert(store.add_bytes(bytes)?.0.blake3);
    }
    let root = Root { since: now.timestamp().as_second(), about: format!("job {job}"), blobs, ..Root::default() };
    Ok(store.set_roots(&BTreeMap::from([(format!("farm-{job}-{}", epoch.0), root)]))?)
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FarmError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| FarmError::Internal(e.to_string()))
}
