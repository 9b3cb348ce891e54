// SPDX-License-Identifier: Apache-2.0
//! A queue in the farm's own database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reprove_model::Digest;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use crate::queue::{Entry, Epoch, Lease, Offer, Queue, QueueError, Settled, Waiting};
use crate::{Database, DatabaseError, JobId, Lane, Millis, Name, Priority};

/// A queue in a table.
#[derive(Clone)]
pub struct SqliteQueue {
    database: Database,
    refused: Arc<Mutex<Refused>>,
}

/// Up to which place all that was ready had been refused to a holder, by lane and priority: it is not asked again. Forgotten
/// where anything becomes ready that was not, which may be before that place, and may have been refused for what is not so any
/// more.
type Refused = BTreeMap<(Name, Lane, Priority), i64>;

impl SqliteQueue {
    /// The queue in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, refused: Arc::default() }
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn begin(&self, now: Millis, longest: Duration) -> Result<Vec<JobId>, QueueError> {
        let latest = now + longest;
        self.database
            .write(move |connection| {
                connection.execute("UPDATE queue SET at = ?1 WHERE state = 'leased' AND at > ?1", [latest.0])?;
                connection.execute("UPDATE queue SET at = ?1 WHERE state = 'later' AND at > ?1", [latest.0])?;
                let mut statement = connection.prepare_cached("SELECT job FROM queue WHERE state = 'settled'")?;
                let jobs = statement.query_map([], |row| text(row, 0))?.collect::<Result<_, _>>()?;
                Ok::<_, DatabaseError>(jobs)
            })
            .await
            .map_err(QueueError::from)
    }

    async fn put(&self, entries: Vec<Entry>) -> Result<(), QueueError> {
        const SQL: &str = "INSERT INTO queue (job, lane, priority, place, state, at, epoch)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (job) DO NOTHING";
        let refused = Arc::clone(&self.refused);
        self.database
            .write(move |connection| {
                // Places may be before those that were looked at.
                refused.lock().unwrap_or_else(PoisonError::into_inner).clear();
                let mut statement = connection.prepare_cached(SQL)?;
                for Entry { job, lane, priority, place, epoch, not_before } in entries {
                    let place = i64::try_from(place).unwrap_or(i64::MAX);
                    // It is ready when the next sweep finds that its time has come.
                    let state = if not_before == Millis::default() { "ready" } else { "later" };
                    let row =
                        params![job.to_string(), lane.as_str(), priority.rank(), place, state, not_before.0, epoch.0];
                    statement.execute(row)?;
                }
                Ok::<_, DatabaseError>(())
            })
            .await
            .map_err(QueueError::from)
    }

    async fn take(&self, offer: Offer, now: Millis) -> Result<Option<Lease>, QueueError> {
        let refused = Arc::clone(&self.refused);
        self.database
            .write(move |connection| {
                take(connection, &offer, now, &mut refused.lock().unwrap_or_else(PoisonError::into_inner))
            })
            .await
    }

    async fn extend(&self, lease: &Lease, longer: Duration, now: Millis) -> Result<Lease, QueueError> {
        let extended = Lease { until: now + longer, ..lease.clone() };
        let until = extended.until.0;
        self.change(
            lease,
            "UPDATE queue SET at = ?4 WHERE job = ?1 AND epoch = ?2 AND holder = ?3 AND state = 'leased'",
            until,
        )
        .await?;
        Ok(extended)
    }

    async fn give_back(&self, lease: &Lease, after: Duration, now: Millis) -> Result<(), QueueError> {
        const SQL: &str = "UPDATE queue SET state = 'later', at = ?4, holder = NULL
            WHERE job = ?1 AND epoch = ?2 AND holder = ?3 AND state = 'leased'";
        self.change(lease, SQL, (now + after).0).await
    }

    async fn settle(&self, lease: &Lease, result: &Digest) -> Result<Settled, QueueError> {
        const SQL: &str = "UPDATE queue SET state = 'settled', result = ?4
            WHERE job = ?1 AND epoch = ?2 AND holder = ?3 AND state = 'leased'";
        const IS_SO: &str = "SELECT 1 FROM queue
            WHERE job = ?1 AND epoch = ?2 AND holder = ?3 AND state = 'settled' AND result = ?4";
        let (lease, result) = (lease.clone(), result.to_string());
        self.database
            .write(move |connection| {
                let row = params![lease.job.to_string(), lease.epoch.0, lease.holder.as_str(), result];
                if connection.prepare_cached(SQL).and_then(|mut sql| sql.execute(row)).map_err(DatabaseError::from)?
                    == 1
                {
                    return Ok(Settled::Now);
                }
                let is_so = connection.prepare_cached(IS_SO).and_then(|mut sql| sql.exists(row));
                if is_so.map_err(DatabaseError::from)? { Ok(Settled::Already) } else { Err(QueueError::lost(&lease)) }
            })
            .await
    }

    async fn reopen(&self, jobs: &[JobId], now: Millis) -> Result<(), QueueError> {
        const SQL: &str = "UPDATE queue SET state = 'later', at = ?2, holder = NULL, result = NULL
            WHERE job = ?1 AND state = 'settled'";
        let jobs = jobs.to_vec();
        self.database
            .write(move |connection| {
                let mut statement = connection.prepare_cached(SQL)?;
                for job in jobs {
                    statement.execute(params![job.to_string(), now.0])?;
                }
                Ok::<_, DatabaseError>(())
            })
            .await
            .map_err(QueueError::from)
    }

    async fn forget(&self, jobs: &[JobId]) -> Result<(), QueueError> {
        let jobs = jobs.to_vec();
        self.database
            .write(move |connection| {
                let mut statement = connection.prepare_cached("DELETE FROM queue WHERE job = ?1")?;
                for job in jobs {
                    statement.execute([job.to_string()])?;
                }
                Ok::<_, DatabaseError>(())
            })
            .await
            .map_err(QueueError::from)
    }

    async fn sweep(&self, now: Millis) -> Result<Vec<Lease>, QueueError> {
        const ENDED: &str = "UPDATE queue SET state = 'later', holder = NULL WHERE job = ?1";
        const READY: &str = "UPDATE queue SET state = 'ready' WHERE state = 'later' AND at <= ?1";
        let refused = Arc::clone(&self.refused);
        self.database
            .write(move |connection| {
                if connection.prepare_cached(READY)?.execute([now.0])? > 0 {
                    refused.lock().unwrap_or_else(PoisonError::into_inner).clear();
                }
                let mut statement = connection.prepare_cached(
                    "SELECT job, epoch, holder, at FROM queue WHERE state = 'leased' AND at <= ?1 ORDER BY at, job",
                )?;
                let ended: Vec<Lease> = statement.query_map([now.0], lease)?.collect::<Result<_, _>>()?;
                let mut statement = connection.prepare_cached(ENDED)?;
                for lease in &ended {
                    statement.execute([lease.job.to_string()])?;
                }
                Ok::<_, DatabaseError>(ended)
            })
            .await
            .map_err(QueueError::from)
    }

    async fn leases(&self, most: usize) -> Result<Vec<Lease>, QueueError> {
        const SQL: &str = "SELECT job, epoch, holder, at FROM queue WHERE state = 'leased' ORDER BY at, job LIMIT ?1";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let read = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(SQL)?;
            let leases = statement.query_map([most], lease)?.collect::<Result<_, _>>()?;
            Ok::<_, DatabaseError>(leases)
        };
        self.database.read(read).await.map_err(QueueError::from)
    }

    async fn waiting(&self) -> Result<Waiting, QueueError> {
        let read = |connection: &Connection| {
            let count = |sql| {
                let count: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
                Ok::<_, DatabaseError>(u64::try_from(count).unwrap_or(0))
            };
            Ok::<_, DatabaseError>(Waiting {
                ready: count("SELECT count(*) FROM queue WHERE state = 'ready'")?,
                later: count("SELECT count(*) FROM queue WHERE state = 'later'")?,
                leased: count("SELECT count(*) FROM queue WHERE state = 'leased'")?,
            })
        };
        self.database.read(read).await.map_err(QueueError::from)
    }
}

impl SqliteQueue {
    /// Changes the one row that a lease is of: job, epoch and holder are the first three parameters, `value` is the fourth.
    async fn change(&self, lease: &Lease, sql: &'static str, value: i64) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.database
            .write(move |connection| {
                let row = params![lease.job.to_string(), lease.epoch.0, lease.holder.as_str(), value];
                match connection
                    .prepare_cached(sql)
                    .and_then(|mut sql| sql.execute(row))
                    .map_err(DatabaseError::from)?
                {
                    1 => Ok(()),
                    _ => Err(QueueError::lost(&lease)),
                }
            })
            .await
    }
}

/// So many are looked at for one that the asker may have; the next time, it goes on there.
const MOST_LOOKED_AT: usize = 10_000;

fn take(
    connection: &Connection,
    offer: &Offer,
    now: Millis,
    refused: &mut Refused,
) -> Result<Option<Lease>, QueueError> {
    const LEASE: &str = "UPDATE queue SET state = 'leased', holder = ?2, at = ?3, epoch = epoch + 1 WHERE job = ?1
        RETURNING epoch";
    let Some(job) = first(connection, offer, refused).map_err(DatabaseError::from)? else { return Ok(None) };
    let until = now + offer.lease;
    let row = params![job.to_string(), offer.holder.as_str(), until.0];
    let epoch = connection.prepare_cached(LEASE).and_then(|mut sql| sql.query_row(row, |row| row.get(0)));
    let epoch = Epoch(epoch.map_err(DatabaseError::from)?);
    Ok(Some(Lease { job, epoch, holder: offer.holder.clone(), until }))
}

/// The first job that is ready and that the asker may have: by priority, then by lane, then by place.
fn first(connection: &Connection, offer: &Offer, refused: &mut Refused) -> rusqlite::Result<Option<JobId>> {
    let mut looked_at = 0;
    for priority in Priority::ALL {
        for lane in &offer.lanes {
            let key = (offer.holder.clone(), lane.clone(), priority);
            let mut after = refused.get(&key).copied().unwrap_or(-1);
            let mut statement = connection.prepare_cached(READY)?;
            let mut rows = statement.query(params![lane.as_str(), priority.rank(), after])?;
            while let Some(row) = rows.next()? {
                let (job, place): (JobId, i64) = (text(row, 0)?, row.get(1)?);
                if (offer.may_have)(job) {
                    return Ok(Some(job));
                }
                // Those of one place can't be told apart: it is looked at again.
                if place > after.saturating_add(1) {
                    after = place - 1;
                    refused.insert(key.clone(), after);
                }
                looked_at += 1;
                if looked_at >= MOST_LOOKED_AT {
                    return Ok(None);
                }
            }
        }
    }
    Ok(None)
}

const READY: &str = "SELECT job, place FROM queue WHERE state = 'ready' AND lane = ?1 AND priority = ?2 AND place > ?3
    ORDER BY place";

fn lease(row: &Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease {
        job: text(row, 0)?,
        epoch: Epoch(row.get(1)?),
        holder: text::<Name>(row, 2)?,
        until: Millis(row.get(3)?),
    })
}

/// A column that has a value's text.
fn text<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn handing_out_looks_at_no_more_the_more_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("farm.db")).unwrap();
        let plan = |connection: &Connection| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {READY}"))?;
            let lines: Vec<String> =
                statement.query_map(["a", "1", "1"], |row| row.get(3))?.collect::<Result<_, _>>()?;
            Ok::<_, DatabaseError>(lines.join("\n"))
        };
        let plan = database.read(plan).await.unwrap();
        assert!(plan.contains("queue_ready (lane=? AND priority=? AND place>?)") && !plan.contains("TEMP"), "{plan}");
    }
}
