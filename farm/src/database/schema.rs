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

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection, version: i64) {
        connection.pragma_update(None, "user_version", version).unwrap();
    }

    #[test]
    fn tables_are_made_once_and_those_of_later_versions_are_left_alone() {
        let connection = Connection::open_in_memory().unwrap();
        assert!(matches!(is_current(&connection), Err(DatabaseError::Older { found: 0 })));
        upgrade(&connection).unwrap();
        upgrade(&connection).unwrap();
        is_current(&connection).unwrap();
        let tables = "SELECT count(*) FROM sqlite_schema";
        let count: i64 = connection.query_row(tables, [], |row| row.get(0)).unwrap();
        for found in [SCHEMA_VERSION + 1, i64::from(i32::MAX), -1] {
            version(&connection, found);
            assert!(matches!(upgrade(&connection), Err(DatabaseError::Newer { .. })), "{found}");
        }
        assert_eq!(connection.query_row(tables, [], |row| row.get::<_, i64>(0)).unwrap(), count);
    }

    #[test]
    fn an_upgrade_that_fails_changes_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        // A table of the same name stands in the way.
        connection.execute_batch("CREATE TABLE queue (other)").unwrap();
        assert!(upgrade(&connection).is_err());
        assert_eq!(
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).unwrap(),
            1
        );
    }

    #[test]
    fn what_was_decided_is_not_changed_by_anybody() {
        let connection = Connection::open_in_memory().unwrap();
        upgrade(&connection).unwrap();
        connection
            .execute_batch(
                "INSERT INTO build (number, id, key, generation, request, subject, ecosystem, package, priority, submitted, submitter)
                    VALUES (1, 'b', 'k', 0, x'00', 's', 'e', 'p', 1, 0, 'x');
                 INSERT INTO job (number, id, build, slot, lane) VALUES (1, 'j', 1, 1, 'l');
                 INSERT INTO report (job, epoch, envelope, digest, published, proof, received) VALUES (1, 1, x'00', 'd', 'p', 'f', 0);
                 INSERT INTO logged VALUES (1, 0);",
            )
            .unwrap();
        for change in [
            "UPDATE report SET digest = 'other'",
            "DELETE FROM report",
            "INSERT INTO report (job, epoch, envelope, digest, published, proof, received) VALUES (1, 2, x'01', 'e', 'p', 'f', 0)",
            "UPDATE logged SET place = 7",
        ] {
            assert!(connection.execute_batch(change).is_err(), "{change}");
        }
    }
}
