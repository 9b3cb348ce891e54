// SPDX-License-Identifier: Apache-2.0
//! What came to something else than the last time.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{BuildId, Database, FarmError, Millis};

/// A request that came to something else when it was made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The newer build.
    #[schema(value_type = String)]
    pub id: BuildId,
    /// What it is about.
    pub subject: String,
    /// What it came to before.
    pub before: String,
    /// What it comes to now.
    pub after: String,
    /// When that was finished, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub finished: Millis,
}

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

/// What changed within the last day, the newest first, at most a hundred of the last two thousand builds that were finished.
///
/// # Errors
/// See [`FarmError`].
pub async fn changes(database: &Database, now: Millis) -> Result<Vec<Change>, FarmError> {
    database.read(move |connection| changed(connection, now)).await
}

fn changed(connection: &Connection, now: Millis) -> Result<Vec<Change>, FarmError> {
    const SQL: &str = "SELECT new.id, new.subject, coalesce(old.verdict, old.state), coalesce(new.verdict, new.state),
            new.finished
        FROM (SELECT * FROM build WHERE finished > ?1 AND state <> 'cancelled' ORDER BY finished DESC LIMIT 2000) AS new
        JOIN build AS old ON old.key = new.key AND old.generation = new.generation - 1
        WHERE old.state <> 'cancelled' AND coalesce(old.verdict, old.state) <> coalesce(new.verdict, new.state)
        ORDER BY new.finished DESC LIMIT 100";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query(params![now.0 - DAY])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(Change {
            id: row.get::<_, String>(0)?.parse()?,
            subject: row.get(1)?,
            before: row.get(2)?,
            after: row.get(3)?,
            finished: Millis(row.get(4)?),
        });
    }
    Ok(all)
}
