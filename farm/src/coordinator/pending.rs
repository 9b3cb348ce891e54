// SPDX-License-Identifier: Apache-2.0
//! What the queue has not been told yet, since it could not be reached: the database has it, and a sweep tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::{Coordinator, FarmError};
use crate::{Entry, Epoch, JobId, Millis};

#[derive(Default)]
pub(super) struct Pending(Mutex<Untold>);

#[derive(Default)]
struct Untold {
    put: Vec<Entry>,
    forget: BTreeSet<JobId>,
    /// What was settled and could not be written down, and when.
    settled: BTreeMap<JobId, (Millis, Epoch)>,
}

impl Coordinator {
    /// Puts jobs in that the database has, now or as soon as the queue can be reached.
    pub(super) async fn enqueue(&self, entries: Vec<Entry>) {
        if !entries.is_empty() && self.parts.queue.put(entries.clone()).await.is_err() {
            self.untold(|untold| untold.put.extend(entries));
        }
    }

    /// Removes jobs that are finished, now or as soon as the queue can be reached.
    pub(super) async fn forget(&self, jobs: Vec<JobId>) {
        if !jobs.is_empty() && self.parts.queue.forget(&jobs).await.is_err() {
            self.untold(|untold| untold.forget.extend(jobs));
        }
    }

    /// A job was settled, and what settled it is being written down: the worker brings it again where that fails.
    pub(super) fn settling(&self, job: JobId, epoch: Epoch, now: Millis) {
        self.untold(|untold| untold.settled.insert(job, (now, epoch)));
    }

    /// It was written down.
    pub(super) fn written(&self, job: JobId) {
        self.untold(|untold| untold.settled.remove(&job));
    }

    /// Tells the queue what it has not been told.
    ///
    /// # Errors
    /// See [`FarmError`]; what was not told then is told the next time.
    pub(super) async fn tell_queue(&self, now: Millis) -> Result<(), FarmError> {
        let (put, forget) = self.untold(|untold| (std::mem::take(&mut untold.put), std::mem::take(&mut untold.forget)));
        self.enqueue(put).await;
        self.forget(forget.into_iter().collect()).await;
        let lease = self.parts.settings.lease;
        let late = self.untold(|untold| {
            let late = |at: &Millis| now.since(*at) >= lease;
            let (gone, kept) = std::mem::take(&mut untold.settled).into_iter().partition(|(_, (at, _))| late(at));
            untold.settled = kept;
            gone
        });
        let late: BTreeMap<JobId, (Millis, Epoch)> = late;
        let asked: Vec<JobId> = late.keys().copied().collect();
        let waiting = move |connection: &Connection| {
            let mut sql = connection.prepare_cached("SELECT 1 FROM job WHERE id = ?1 AND state = 'waiting'")?;
            let mut jobs = Vec::new();
            for job in asked {
                if sql.exists([job.to_string()])? {
                    jobs.push(job);
                }
            }
            Ok::<_, FarmError>(jobs)
        };
        let reopened = async {
            let jobs = if late.is_empty() { Vec::new() } else { self.parts.database.read(waiting).await? };
            self.parts.queue.reopen(&jobs, now).await?;
            Ok(jobs)
        };
        let jobs = match reopened.await {
            Ok(jobs) => jobs,
            Err(error) => {
                self.untold(|untold| untold.settled.extend(late));
                return Err(error);
            }
        };
        for job in jobs {
            if let Some((_, epoch)) = late.get(&job) {
                self.placement.release(job, *epoch);
            }
        }
        Ok(())
    }

    fn untold<T>(&self, change: impl FnOnce(&mut Untold) -> T) -> T {
        change(&mut self.pending.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
