// SPDX-License-Identifier: Apache-2.0
//! Who works here.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Database, FarmError, JobId, Millis};

/// A worker, and what it does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerView {
    /// What it is called.
    pub name: String,
    /// Its key.
    pub keyid: String,
    /// Who answers for it.
    pub operator: String,
    /// On what it is used.
    pub platform: String,
    /// What it builds in.
    pub isolation: String,
    /// Its processors.
    pub architecture: String,
    /// Which jobs it gets.
    pub domain: String,
    /// When it last asked for a job and got one, or registered, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub seen: Millis,
    /// Why it gets no jobs any more, where that is so.
    pub banned: Option<String>,
    /// The jobs that it has.
    #[schema(value_type = Vec<String>)]
    pub jobs: Vec<JobId>,
}

/// All workers, by name, at most a thousand.
///
/// # Errors
/// See [`FarmError`].
pub async fn workers(database: &Database) -> Result<Vec<WorkerView>, FarmError> {
    database.read(all).await
}

fn all(connection: &Connection) -> Result<Vec<WorkerView>, FarmError> {
    const SQL: &str = "SELECT name, key, operator, platform, isolation, architecture, domain, seen, banned FROM worker
        ORDER BY name LIMIT 1000";
    const JOBS: &str = "SELECT job.id FROM attempt JOIN job ON job.number = attempt.job
        WHERE attempt.worker = ?1 AND attempt.ended IS NULL AND attempt.epoch = job.epoch AND job.state = 'waiting'
        ORDER BY attempt.leased LIMIT 100";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let mut statement = connection.prepare_cached(JOBS)?;
        let mut jobs = Vec::new();
        let mut rows = statement.query([&name])?;
        while let Some(row) = rows.next()? {
            jobs.push(row.get::<_, String>(0)?.parse()?);
        }
        all.push(WorkerView {
            name,
            keyid: row.get(1)?,
            operator: row.get(2)?,
            platform: row.get(3)?,
            isolation: row.get(4)?,
            architecture: row.get(5)?,
            domain: row.get(6)?,
            seen: Millis(row.get(7)?),
            banned: row.get(8)?,
            jobs,
        });
    }
    Ok(all)
}
