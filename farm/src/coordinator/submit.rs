// SPDX-License-Identifier: Apache-2.0
//! What is asked for, and what is not wanted any more.

use reprove_model::canonical;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Coordinator, FarmError, FarmEvent, sources};
use crate::{BuildId, Entry, Epoch, JobId, Millis, Request};

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// What it is called here.
    #[schema(value_type = String)]
    pub build: BuildId,
    /// Whether it is new: the same may have been asked for before.
    pub new: bool,
}

impl Coordinator {
    /// The most requests at once.
    pub const MAX_REQUESTS: usize = 1000;

    /// Takes requests of somebody, all or none. What was asked for before, and was not cancelled, is not done a second time,
    /// unless that is finished and `again` is asked for. When this returns, nothing of it can be lost.
    ///
    /// # Errors
    /// See [`FarmError`].
    pub async fn submit(
        &self,
        requests: Vec<Request>,
        submitter: &str,
        again: bool,
    ) -> Result<Vec<Submitted>, FarmError> {
        for request in &requests {
            request.check()?;
        }
        let (now, submitter) = (self.parts.clock.now(), submitter.to_owned());
        let added = self.parts.database.write(move |connection| {
            let add = |request: &Request| add(connection, request, &submitter, again, now);
            requests.iter().map(|request| Ok((add(request)?, request.clone()))).collect::<Result<Vec<_>, FarmError>>()
        });
        let added = added.await?;
        let mut entries = Vec::new();
        for ((submitted, first), request) in &added {
            if let Some(first) = first {
                self.placement.open(submitted.build, request.rebuilders, &request.distinct);
                entries.extend(entries_of(submitted.build, *first, request));
                self.tell(FarmEvent::Submitted(submitted.build));
            }
        }
        self.enqueue(entries).await;
        Ok(added.into_iter().map(|((submitted, _), _)| submitted).collect())
    }

    /// Takes back a build: its jobs are handed out no more, and what their workers bring is refused. One that is finished
    /// stays as it is, and so do the decisions of others of its rebuilders. Says whether anything was taken back.
    ///
    /// # Errors
    /// [`FarmError::NoBuild`]; see [`FarmError`].
    pub async fn cancel(&self, build: BuildId) -> Result<bool, FarmError> {
        let now = self.parts.clock.now();
        let cancelled = self.parts.database.write(move |connection| cancel(connection, build, now)).await?;
        if let Some(rebuilders) = cancelled {
            self.placement.close(build);
            (1..=rebuilders).for_each(|slot| self.live.forget(build.job(slot)));
            let jobs: Vec<JobId> = (1..=rebuilders).map(|slot| build.job(slot)).collect();
            self.forget(jobs).await;
            self.tell(FarmEvent::Decided(build));
        }
        Ok(cancelled.is_some())
    }
}

/// The jobs of a request as the queue takes them; `first` is the number of the first.
pub(super) fn entries_of(build: BuildId, first: u64, request: &Request) -> impl Iterator<Item = Entry> {
    let (lane, priority) = (request.requires.lane(), request.priority);
    (1..=request.rebuilders).map(move |slot| Entry {
        job: build.job(slot),
        lane: lane.clone(),
        priority,
        place: first + u64::from(slot) - 1,
        epoch: Epoch(0),
        not_before: Millis::default(),
    })
}

/// Adds a request; gives also the number of its first job, where it is new.
fn add(
    connection: &Connection,
    request: &Request,
    submitter: &str,
    again: bool,
    now: Millis,
) -> Result<(Submitted, Option<u64>), FarmError> {
    const LAST: &str = "SELECT id, generation, state FROM build WHERE key = ?1 ORDER BY generation DESC LIMIT 1";
    const BUILD: &str = "INSERT INTO build
        (id, key, generation, request, subject, ecosystem, package, version, priority, submitted, submitter)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) RETURNING number";
    const JOB: &str = "INSERT INTO job (id, build, slot, lane) VALUES (?1, ?2, ?3, ?4)";
    if let Some(source) = request.work.source()
        && sources::archive(connection, source)?.is_none()
    {
        return Err(FarmError::NoSource(*source));
    }
    let key = request.key()?;
    let last = connection.prepare_cached(LAST)?.query_row([key.to_string()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, String>(2)?))
    });
    let generation = match last.optional()? {
        None => 0,
        Some((_, generation, state)) if state == "cancelled" || again && state != "waiting" => generation + 1,
        Some((id, ..)) => return Ok((Submitted { build: id.parse()?, new: false }, None)),
    };
    let build = BuildId::new(&key, generation);
    let number: i64 = connection.prepare_cached(BUILD)?.query_row(
        params![
            build.to_string(),
            key.to_string(),
            generation,
            canonical::to_vec(request)?,
            request.subject(),
            request.work.ecosystem(),
            request.work.package(),
            request.work.version(),
            request.priority.rank(),
            now.0,
            submitter,
        ],
        |row| row.get(0),
    )?;
    let lane = request.requires.lane();
    let mut first = None;
    for slot in 1..=request.rebuilders {
        connection.prepare_cached(JOB)?.execute(params![build.job(slot).to_string(), number, slot, lane.as_str()])?;
        first = first.or(u64::try_from(connection.last_insert_rowid()).ok());
    }
    Ok((Submitted { build, new: true }, first))
}

/// Cancels a build; gives how many jobs it has, where it was not finished.
fn cancel(connection: &Connection, build: BuildId, now: Millis) -> Result<Option<u8>, FarmError> {
    let row = connection.prepare_cached("SELECT number, state FROM build WHERE id = ?1")?;
    let mut row = row;
    let found = row.query_row([build.to_string()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
    let (number, state) = found.optional()?.ok_or(FarmError::NoBuild(build))?;
    if state != "waiting" {
        return Ok(None);
    }
    let run = |sql: &str| connection.prepare_cached(sql)?.execute(params![number, now.0]);
    run("UPDATE build SET state = 'cancelled', finished = ?2 WHERE number = ?1")?;
    run("UPDATE job SET state = 'cancelled', finished = ?2 WHERE build = ?1 AND state = 'waiting'")?;
    let count = "SELECT count(*) FROM job WHERE build = ?1";
    Ok(Some(connection.prepare_cached(count)?.query_row([number], |row| row.get(0))?))
}
