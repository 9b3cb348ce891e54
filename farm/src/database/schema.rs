// SPDX-License-Identifier: Apache-2.0
//! The tables, and how those of earlier versions become these. The version is SQLite's `user_version`.

use rusqlite::Connection;

use super::DatabaseError;

/// The steps, in order: the first makes the tables of version 1 of nothing. One that was released is never changed.
const STEPS: [&str; 1] = [include_str!("schema/1.sql")];

/// The schema that this program writes.
pub const SCHEMA_VERSION: i64 = STEPS.len() as i64;

/// Brings the tables up to [`SCHEMA_VERSION`], all at once or not at all.
pub(super) fn upgrade(connection: &Connection) -> Result<(), DatabaseError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let step = usize::try_from(found).ok().filter(|found| *found <= STEPS.len());
    let steps = step.and_then(|step| STEPS.get(step..)).ok_or(DatabaseError::Newer { found })?;
    if steps.is_empty() {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    for step in steps {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

/// Looks whether the tables are of [`SCHEMA_VERSION`].
pub(super) fn is_current(connection: &Connection) -> Result<(), DatabaseError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found.cmp(&SCHEMA_VERSION) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(DatabaseError::Older { found }),
        std::cmp::Ordering::Greater => Err(DatabaseError::Newer { found }),
    }
}
