// SPDX-License-Identifier: Apache-2.0
//! All of it at one glance.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Database, FarmError, Millis};

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// How many builds are not finished.
    pub waiting: u64,
    /// How many came to what, of which ecosystem.
    pub tallies: Vec<Tally>,
    /// How many came to what on which day, for the last 30.
    pub days: Vec<Day>,
    /// What causes that packages are different: the most frequent first, at most 50.
    pub causes: Vec<(String, u64)>,
    /// Why jobs came to no verdict in the last seven days, by kind.
    pub failures: Vec<FailureGroup>,
}

/// How many builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    /// Of which ecosystem.
    pub ecosystem: String,
    /// Came to what.
    pub word: String,
    /// How many.
    pub builds: u64,
}

/// How many builds, on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Day {
    /// Since 1970, UTC.
    pub day: i64,
    /// Came to what.
    pub word: String,
    /// How many.
    pub builds: u64,
}

/// Attempts that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureGroup {
    /// In which way.
    pub class: String,
    /// How often.
    pub attempts: u64,
    /// The newest of them, in words.
    pub detail: String,
}

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

/// All of it, as it is now.
///
/// # Errors
/// See [`FarmError`].
pub async fn overview(database: &Database, now: Millis) -> Result<Overview, FarmError> {
    database.read(move |connection| seen(connection, now)).await
}

/// How many builds are not finished.
///
/// # Errors
/// See [`FarmError`].
pub async fn waiting(database: &Database) -> Result<u64, FarmError> {
    database.read(count_waiting).await
}

fn count_waiting(connection: &Connection) -> Result<u64, FarmError> {
    let sql = "SELECT count(*) FROM build WHERE state = 'waiting'";
    let count: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn seen(connection: &Connection, now: Millis) -> Result<Overview, FarmError> {
    const FAILURES: &str = "SELECT class, count(*), max(ended), detail FROM attempt INDEXED BY attempt_by_class
        WHERE class IS NOT NULL AND ended >= ?1 GROUP BY class ORDER BY count(*) DESC, class";
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    let waiting = count_waiting(connection)?;
    let sql = "SELECT ecosystem, word, sum(builds) FROM tally GROUP BY ecosystem, word ORDER BY ecosystem, word";
    let mut statement = connection.prepare_cached(sql)?;
    let tally = |row: &rusqlite::Row<'_>| {
        Ok(Tally { ecosystem: row.get(0)?, word: row.get(1)?, builds: row.get(2).map(number)? })
    };
    let tallies = statement.query_map([], tally)?.collect::<Result<_, _>>()?;
    let sql = "SELECT day, word, sum(builds) FROM tally WHERE day > ?1 GROUP BY day, word ORDER BY day, word";
    let mut statement = connection.prepare_cached(sql)?;
    let day =
        |row: &rusqlite::Row<'_>| Ok(Day { day: row.get(0)?, word: row.get(1)?, builds: row.get(2).map(number)? });
    let days = statement.query_map(params![now.0 / DAY - 30], day)?.collect::<Result<_, _>>()?;
    let sql = "SELECT cause, builds FROM cause_tally ORDER BY builds DESC, cause LIMIT 50";
    let mut statement = connection.prepare_cached(sql)?;
    let cause = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1).map(number)?));
    let causes = statement.query_map([], cause)?.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached(FAILURES)?;
    let failure = |row: &rusqlite::Row<'_>| {
        let detail: Option<String> = row.get(3)?;
        Ok(FailureGroup { class: row.get(0)?, attempts: row.get(1).map(number)?, detail: detail.unwrap_or_default() })
    };
    let failures = statement.query_map(params![now.0 - 7 * DAY], failure)?.collect::<Result<_, _>>()?;
    Ok(Overview { waiting, tallies, days, causes, failures })
}
