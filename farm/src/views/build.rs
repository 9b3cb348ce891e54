// SPDX-License-Identifier: Apache-2.0
//! One build, with all that is known of it.

use reprove_attest::Envelope;
use reprove_model::canonical;
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::builds::{BuildRow, COLUMNS, row};
use crate::{BuildId, Database, FarmError, JobId, Millis, Request};

/// A build, its jobs, and each time that one was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildView {
    /// As in lists.
    #[serde(flatten)]
    pub row: BuildRow,
    /// What was asked for.
    pub request: Request,
    /// Who asked: the name of a token.
    pub submitter: String,
    /// Its jobs, by slot.
    pub jobs: Vec<JobView>,
    /// What caused that it is different, or else what it is.
    pub causes: Vec<String>,
}

/// One rebuilder's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// What it is called here.
    #[schema(value_type = String)]
    pub id: JobId,
    /// waiting, decided, failed or cancelled.
    pub state: String,
    /// What it came to.
    pub verdict: Option<String>,
    /// Who has it, or had it last.
    pub worker: Option<String>,
    /// Who answers for that worker.
    pub operator: Option<String>,
    /// What that builds in.
    pub isolation: Option<String>,
    /// Its key.
    pub keyid: Option<String>,
    /// On what it is used.
    pub platform: Option<String>,
    /// When it was finished, in milliseconds since 1970.
    #[schema(value_type = Option<i64>)]
    pub finished: Option<Millis>,
    /// BLAKE3 of the proof, where there is one.
    pub proof: Option<String>,
    /// BLAKE3 of what the builds printed, where that was kept.
    pub log: Option<String>,
    /// Where in the farm's log its report is.
    pub place: Option<i64>,
    /// Each time that it was handed out, in order.
    pub attempts: Vec<Attempted>,
}

/// One time that a job was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempted {
    /// Under which epoch.
    pub epoch: u32,
    /// To whom.
    pub worker: String,
    /// When, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub leased: Millis,
    /// When that ended, in the same; it goes on where there is none.
    #[schema(value_type = Option<i64>)]
    pub ended: Option<Millis>,
    /// decided, failed, given-back or refused.
    pub outcome: Option<String>,
    /// Of which kind, where it failed.
    pub class: Option<String>,
    /// Why, in words.
    pub detail: Option<String>,
}

/// A build.
///
/// # Errors
/// [`FarmError::NoBuild`]; see [`FarmError`].
pub async fn build(database: &Database, id: BuildId) -> Result<BuildView, FarmError> {
    database.read(move |connection| one(connection, id)).await
}

fn one(connection: &Connection, id: BuildId) -> Result<BuildView, FarmError> {
    let sql = format!("SELECT {COLUMNS}, request, submitter FROM build WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id.to_string()])?;
    let found = rows.next()?.ok_or(FarmError::NoBuild(id))?;
    let build = row(found)?;
    let request: Request = canonical::from_slice(&found.get::<_, Vec<u8>>(9)?)?;
    let submitter = found.get(10)?;
    let mut statement = connection.prepare_cached("SELECT cause FROM cause WHERE build = ?1 ORDER BY cause")?;
    let causes = statement.query_map([build.number], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(BuildView { jobs: jobs(connection, build.number)?, row: build, request, submitter, causes })
}

fn jobs(connection: &Connection, build: i64) -> Result<Vec<JobView>, FarmError> {
    const SQL: &str = "SELECT job.number, job.id, job.state, job.verdict, job.worker, job.operator, job.isolation,
            worker.key, job.platform, job.finished, report.proof, report.log, logged.place
        FROM job LEFT JOIN worker ON worker.name = job.worker LEFT JOIN report ON report.job = job.number
            LEFT JOIN logged ON logged.job = job.number
        WHERE job.build = ?1 ORDER BY job.slot";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([build])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(JobView {
            id: row.get::<_, String>(1)?.parse()?,
            state: row.get(2)?,
            verdict: row.get(3)?,
            worker: row.get(4)?,
            operator: row.get(5)?,
            isolation: row.get(6)?,
            keyid: row.get(7)?,
            platform: row.get(8)?,
            finished: row.get::<_, Option<i64>>(9)?.map(Millis),
            proof: row.get(10)?,
            log: row.get(11)?,
            place: row.get(12)?,
            attempts: attempts(connection, row.get(0)?)?,
        });
    }
    Ok(all)
}

fn attempts(connection: &Connection, job: i64) -> Result<Vec<Attempted>, FarmError> {
    const SQL: &str =
        "SELECT epoch, worker, leased, ended, outcome, class, detail FROM attempt WHERE job = ?1 ORDER BY epoch";
    let mut statement = connection.prepare_cached(SQL)?;
    let all = statement.query_map([job], |row| {
        Ok(Attempted {
            epoch: row.get(0)?,
            worker: row.get(1)?,
            leased: Millis(row.get(2)?),
            ended: row.get::<_, Option<i64>>(3)?.map(Millis),
            outcome: row.get(4)?,
            class: row.get(5)?,
            detail: row.get(6)?,
        })
    })?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// The build of a job, and the job in it.
///
/// # Errors
/// [`FarmError::NoJob`]; see [`FarmError`].
pub async fn build_of_job(database: &Database, id: JobId) -> Result<(BuildView, JobView), FarmError> {
    let build = build(database, id.build).await.map_err(|error| match error {
        FarmError::NoBuild(_) => FarmError::NoJob(id),
        error => error,
    })?;
    let job = build.jobs.iter().find(|job| job.id == id).cloned().ok_or(FarmError::NoJob(id))?;
    Ok((build, job))
}

/// What decided a job, as its worker signed it; none, where nothing has.
///
/// # Errors
/// See [`FarmError`].
pub async fn report(database: &Database, id: JobId) -> Result<Option<Envelope>, FarmError> {
    const SQL: &str = "SELECT report.envelope FROM job JOIN report ON report.job = job.number WHERE job.id = ?1";
    let read = move |connection: &Connection| {
        let mut sql = connection.prepare_cached(SQL)?;
        let bytes = sql.query_row([id.to_string()], |row| row.get::<_, Vec<u8>>(0)).optional()?;
        Ok::<_, FarmError>(bytes.map(|bytes| canonical::from_slice(&bytes)).transpose()?)
    };
    database.read(read).await
}
