// SPDX-License-Identifier: Apache-2.0
//! What time brings: leases that end, jobs whose time has come, and what a process that ended has left.

use reprove_model::canonical;
use rusqlite::Connection;

use super::submit::entries_of;
use super::workers::number_of;
use super::{Coordinator, FarmError, finish};
use crate::{BuildId, Claim, Entry, Epoch, Failure, FailureClass, JobId, Lease, Millis, Request};

/// A job that has no decision, as the database has it.
struct Open {
    entry: Entry,
    request: Request,
}

/// A job of an unfinished build that somebody has finished.
struct Done {
    job: JobId,
    claim: Claim,
}

impl Coordinator {
    /// Takes jobs from workers that said nothing for as long as their lease was, and has them handed out again. Called every
    /// second or so; gives how many there were.
    ///
    /// # Errors
    /// See [`FarmError`].
    pub async fn sweep(&self) -> Result<usize, FarmError> {
        let now = self.parts.clock.now();
        self.tell_queue(now).await?;
        let ended = self.parts.queue.sweep(now).await?;
        let count = ended.len();
        // Before any of them is handed out again, which the next sweep allows.
        for lease in &ended {
            self.placement.release(lease.job, lease.epoch);
            self.live.forget(lease.job);
        }
        let mut result = Ok(count);
        for lease in ended {
            if let Err(error) = self.lost(lease, now).await {
                result = Err(error);
            }
        }
        result
    }

    /// A worker that is lost with a job may be lost because of it: such a job is not tried for ever.
    async fn lost(&self, lease: Lease, now: Millis) -> Result<(), FarmError> {
        let (tries, job) = (self.parts.settings.tries, lease.job);
        let finished = self.parts.database.write(move |connection| {
            let (number, _) = number_of(connection, job)?;
            let detail = format!("the worker {} said nothing for as long as its lease was", lease.holder);
            let failure = Failure::new(FailureClass::Lost, &detail);
            // A lease that was never written down was nobody's.
            if !finish::failed(connection, (number, lease.epoch.0, &lease.holder), &failure, now)? {
                return Ok(None);
            }
            let sql = "SELECT failures FROM job WHERE number = ?1";
            let failures: u32 = connection.prepare_cached(sql)?.query_row([number], |row| row.get(0))?;
            (failures >= tries).then(|| finish::give_up(connection, number, now)).transpose()
        });
        if let Some(finished) = finished.await? {
            self.forget(vec![job]).await;
            self.tell_finished(job, finished);
        }
        Ok(())
    }

    /// What is done once, at the start: what has no decision is in the queue afterwards, and what has one is not.
    pub(super) async fn take_up(&self) -> Result<(), FarmError> {
        let now = self.parts.clock.now();
        let longest = self.parts.settings.most_back_off.max(self.parts.settings.lease);
        let settled = self.parts.queue.begin(now, longest).await?;
        let (open, done, finished) = self
            .parts
            .database
            .read(move |connection| {
                let mut finished = Vec::new();
                for job in &settled {
                    if is_finished(connection, *job)? {
                        finished.push(*job);
                    }
                }
                Ok::<_, FarmError>((open(connection)?, done(connection)?, (settled, finished)))
            })
            .await?;
        let (settled, finished) = finished;
        self.parts.queue.forget(&finished).await?;
        // Settled, and killed before it was written down: the report may come again, and is too late then.
        let undone: Vec<JobId> = settled.into_iter().filter(|job| !finished.contains(job)).collect();
        self.parts.queue.reopen(&undone, now).await?;
        for Open { entry, request } in &open {
            if entry.job.slot == 1 || !self.placement.is_open(entry.job.build) {
                self.placement.open(entry.job.build, request.rebuilders, &request.distinct);
            }
        }
        for Done { job, claim } in done {
            self.placement.claim(job, &claim);
        }
        self.parts.queue.put(open.into_iter().map(|open| open.entry).collect()).await?;
        // Leases go on, and begin anew: their holders could not say anything to a process that was not there.
        for lease in self.parts.queue.leases(usize::MAX).await? {
            self.parts.queue.extend(&lease, self.parts.settings.lease, now).await?;
            if let Ok(worker) = self.worker(&lease.holder) {
                self.placement.claim(lease.job, &worker.claim());
                self.placement.confirm(lease.job, lease.epoch);
            }
        }
        Ok(())
    }
}

fn is_finished(connection: &Connection, job: JobId) -> Result<bool, FarmError> {
    let sql = "SELECT 1 FROM job WHERE id = ?1 AND state <> 'waiting'";
    Ok(connection.prepare_cached(sql)?.exists([job.to_string()])?)
}

fn open(connection: &Connection) -> Result<Vec<Open>, FarmError> {
    const SQL: &str = "SELECT job.id, job.number, job.epoch, build.id, build.request FROM job
        JOIN build ON build.number = job.build WHERE job.state = 'waiting' ORDER BY job.number";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let job: JobId = row.get::<_, String>(0)?.parse()?;
        let number = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        let build: BuildId = row.get::<_, String>(3)?.parse()?;
        let request: Request = canonical::from_slice(&row.get::<_, Vec<u8>>(4)?)?;
        let first = number.saturating_sub(u64::from(job.slot) - 1);
        let entry = entries_of(build, first, &request).nth(usize::from(job.slot) - 1);
        if let Some(entry) = entry {
            all.push(Open { entry: Entry { epoch: Epoch(row.get(2)?), ..entry }, request });
        }
    }
    Ok(all)
}

fn done(connection: &Connection) -> Result<Vec<Done>, FarmError> {
    const SQL: &str = "SELECT job.id, worker.name, worker.key, job.operator, job.isolation FROM build
        JOIN job ON job.build = build.number JOIN worker ON worker.name = job.worker
        WHERE build.state = 'waiting' AND job.state = 'decided'";
    let damaged = |what: &str| FarmError::Damaged(format!("a worker's {what}"));
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |column| row.get::<_, String>(column);
        let claim = Claim {
            worker: text(1)?.parse().map_err(|_| damaged("name"))?,
            key: text(2)?.parse().map_err(|_| damaged("key"))?,
            operator: text(3)?,
            isolation: serde_json::from_value(serde_json::Value::String(text(4)?))?,
        };
        all.push(Done { job: text(0)?.parse()?, claim });
    }
    Ok(all)
}
