// SPDX-License-Identifier: Apache-2.0
//! Lists of builds.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{BuildId, Database, FarmError, Millis};

/// The longest list.
pub const MAX_LISTED: u32 = 200;

/// Which builds are listed. All that is named has to be so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// What they came to, or in which state they are: bit-identical, repacked, normalized-equal, different, unbuildable, disputed,
    /// failed, cancelled or waiting
    #[param(example = "different")]
    pub word: Option<String>,
    /// Of which ecosystem: the type of their package URLs
    #[param(example = "pypi")]
    pub ecosystem: Option<String>,
    /// Of which package: its namespace, where it has one, a slash, and its name
    #[param(example = "idna")]
    pub package: Option<String>,
    /// What caused that they are different, or else what it is
    pub cause: Option<String>,
    /// Only those that came before the build with this number
    #[param(minimum = 1)]
    pub before: Option<i64>,
    /// How many at most
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

/// A build, in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildRow {
    /// In the order in which they were asked for.
    pub number: i64,
    /// What it is called here.
    #[schema(value_type = String)]
    pub id: BuildId,
    /// What it is about: a package URL.
    pub subject: String,
    /// The type of that.
    pub ecosystem: String,
    /// The package.
    pub package: String,
    /// Its version.
    pub version: Option<String>,
    /// What it came to, or in which state it is.
    pub word: String,
    /// When it was asked for, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub submitted: Millis,
    /// When it was finished, in the same.
    #[schema(value_type = Option<i64>)]
    pub finished: Option<Millis>,
}

pub(super) const COLUMNS: &str = "build.number, build.id, build.subject, build.ecosystem, build.package, build.version,
    coalesce(build.verdict, build.state), build.submitted, build.finished";

pub(super) fn row(row: &Row<'_>) -> Result<BuildRow, FarmError> {
    Ok(BuildRow {
        number: row.get(0)?,
        id: row.get::<_, String>(1)?.parse()?,
        subject: row.get(2)?,
        ecosystem: row.get(3)?,
        package: row.get(4)?,
        version: row.get(5)?,
        word: row.get(6)?,
        submitted: Millis(row.get(7)?),
        finished: row.get::<_, Option<i64>>(8)?.map(Millis),
    })
}

/// One build, as in lists.
pub(crate) fn row_of(connection: &Connection, id: BuildId) -> Result<BuildRow, FarmError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM build WHERE id = ?1"))?;
    let mut rows = statement.query([id.to_string()])?;
    row(rows.next()?.ok_or(FarmError::NoBuild(id))?)
}

/// Builds, the newest first.
///
/// # Errors
/// See [`FarmError`].
pub async fn builds(database: &Database, filter: Filter) -> Result<Vec<BuildRow>, FarmError> {
    database.read(move |connection| listed(connection, &filter)).await
}

fn listed(connection: &Connection, filter: &Filter) -> Result<Vec<BuildRow>, FarmError> {
    let mut conditions = vec!["1"];
    let mut values: Vec<Value> = Vec::new();
    let mut from = "build";
    if let Some(cause) = &filter.cause {
        from = "cause CROSS JOIN build ON build.number = cause.build";
        conditions.push("cause.cause = ?");
        values.push(cause.clone().into());
    }
    if let Some(word) = &filter.word {
        conditions.push("coalesce(build.verdict, build.state) = ?");
        values.push(word.clone().into());
    }
    if let Some(ecosystem) = &filter.ecosystem {
        conditions.push("build.ecosystem = ?");
        values.push(ecosystem.clone().into());
    }
    if let Some(package) = &filter.package {
        conditions.push("build.package = ?");
        values.push(package.clone().into());
    }
    if let Some(before) = filter.before {
        let of = if filter.cause.is_some() { "cause.build < ?" } else { "build.number < ?" };
        conditions.push(of);
        values.push(before.into());
    }
    let order = if filter.cause.is_some() { "cause.build" } else { "build.number" };
    let limit = filter.limit.unwrap_or(50).clamp(1, MAX_LISTED);
    values.push(i64::from(limit).into());
    let sql = format!("SELECT {COLUMNS} FROM {from} WHERE {} ORDER BY {order} DESC LIMIT ?", conditions.join(" AND "));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut all = Vec::new();
    while let Some(found) = rows.next()? {
        all.push(row(found)?);
    }
    Ok(all)
}
