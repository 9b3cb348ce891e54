// SPDX-License-Identifier: Apache-2.0
//! The farm's database: SQLite, with one connection that writes and a few that read.
//!
//! All that is written goes through one thread, which puts what waits together into one transaction: so the disk is waited for
//! once for many. What [`Database::write`] gives back is on the disk (`synchronous = FULL`), and so is all that was there
//! before it.

mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

pub use schema::SCHEMA_VERSION;
use writer::Writer;

/// An open database. Clones are of the same one; it is closed with the last.
#[derive(Clone)]
pub struct Database {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// As many connections are kept for reading when they are not used.
const IDLE_READERS: usize = 4;

impl Database {
    /// Opens the database in a file, which is made where there is none; one of an older schema is brought up to this one.
    ///
    /// # Errors
    /// [`DatabaseError::Newer`] where it is of a later schema, [`DatabaseError::InUse`] where another process has it;
    /// see [`DatabaseError`].
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        private(path)?;
        let connection = Connection::open(path)?;
        configure(&connection)?;
        // Only one process decides: the lock is the system's, and ends with the process.
        let lock = lock(path)?;
        schema::upgrade(&connection)?;
        Self::of(path, connection, Some(lock))
    }

    /// Opens a database that another process may have, to look at it, or to change what that process looks up each time.
    ///
    /// # Errors
    /// [`DatabaseError::Older`] where it is not of this schema; see [`DatabaseError`].
    pub fn open_beside(path: &Path) -> Result<Self, DatabaseError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        configure(&connection)?;
        schema::is_current(&connection)?;
        Self::of(path, connection, None)
    }

    fn of(path: &Path, connection: Connection, lock: Option<std::fs::File>) -> Result<Self, DatabaseError> {
        let writer = Arc::new(Writer::start(connection, lock)?);
        Ok(Self { writer, readers: Arc::new(Readers { path: path.to_owned(), idle: Mutex::new(Vec::new()) }) })
    }

    /// Does `work` in a transaction. When this returns, what it did is on the disk; where it returns an error, nothing is.
    ///
    /// # Errors
    /// That of `work`, or [`DatabaseError`] where it could not be written.
    pub async fn write<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// Reads. What is written meanwhile is not seen.
    ///
    /// # Errors
    /// That of `work`, or [`DatabaseError`].
    pub async fn read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let read = tokio::task::spawn_blocking(move || {
            let connection = readers.connection()?;
            let result = {
                // One state of the database, however many queries it takes.
                let transaction = connection.unchecked_transaction().map_err(DatabaseError::from)?;
                let result = work(&connection)?;
                transaction.finish().map_err(DatabaseError::from)?;
                result
            };
            readers.put_back(connection);
            Ok(result)
        });
        read.await.map_err(|e| E::from(DatabaseError::Internal(e.to_string())))?
    }

    /// Writes a copy of the database, as it is at one moment, to a file that is not there yet.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn back_up(&self, to: PathBuf) -> Result<(), DatabaseError> {
        if to.symlink_metadata().is_ok() {
            return Err(DatabaseError::Internal(format!("{} is there already", to.display())));
        }
        private(&to)?;
        self.read(move |connection| {
            let to = to.to_string_lossy().into_owned();
            // No transaction may be open.
            connection.execute_batch("COMMIT")?;
            connection.execute("VACUUM INTO ?1", [to])?;
            connection.execute_batch("BEGIN")?;
            Ok(())
        })
        .await
    }
}

impl Readers {
    fn connection(&self) -> Result<Connection, DatabaseError> {
        if let Some(idle) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(idle);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
    }
}

/// Makes a file that only its owner reads, where there is none: secrets are in it.
fn private(path: &Path) -> Result<(), DatabaseError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::File::options();
    let made = options.append(true).create(true).mode(0o600).open(path);
    made.map(drop).map_err(|error| DatabaseError::Internal(format!("{}: {error}", path.display())))
}

fn configure(connection: &Connection) -> Result<(), DatabaseError> {
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Held by the one process that writes, beside the database.
fn lock(path: &Path) -> Result<std::fs::File, DatabaseError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let fail = |e: std::io::Error| DatabaseError::Internal(format!("{}: {e}", beside.display()));
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(&beside).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(DatabaseError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(fail(error)),
    }
}

/// Why the database did not do what it was asked to.
#[derive(Clone, Debug, Error)]
pub enum DatabaseError {
    /// Nothing more can be written: the disk is full, or the quota.
    #[error("the disk is full: nothing was written, and what was there before is whole")]
    Full,
    /// It was undone with something else that could not be written.
    #[error("nothing was written, since something else at the same time could not be: the disk is full, or it fails")]
    Undone,
    /// Another process has it.
    #[error("{}: another process is using this database", .0.display())]
    InUse(PathBuf),
    /// It was written by a later version of the program.
    #[error("the database has schema {found}, and this program knows those up to {SCHEMA_VERSION}: use a newer one")]
    Newer {
        /// The schema that it has.
        found: i64,
    },
    /// It was written by an earlier version of the program.
    #[error(
        "the database has schema {found}, and this program's is {SCHEMA_VERSION}: `reprove farm serve` brings it up to that"
    )]
    Older {
        /// The schema that it has.
        found: i64,
    },
    /// It does not hold what was written to it.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// SQLite's word.
    #[error("the database: {0}")]
    Sqlite(String),
    /// A part of the program itself failed.
    #[error("a part of the program failed: {0}")]
    Internal(String),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => match error {
                rusqlite::Error::FromSqlConversionFailure(..) => Self::Damaged(error.to_string()),
                error => Self::Sqlite(error.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &tempfile::TempDir) -> Database {
        Database::open(&folder.path().join("farm.db")).unwrap()
    }

    async fn count(database: &Database) -> i64 {
        let count = |connection: &Connection| {
            Ok::<_, DatabaseError>(connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
        };
        database.read(count).await.unwrap()
    }

    async fn insert(database: &Database, n: i64, then: Result<(), DatabaseError>) -> Result<(), DatabaseError> {
        database
            .write(move |connection| {
                connection.execute("INSERT INTO t VALUES (?1)", [n])?;
                then
            })
            .await
    }

    #[tokio::test]
    async fn what_fails_leaves_nothing_and_does_no_harm_to_what_is_written_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder);
        database
            .write(|c| Ok::<_, DatabaseError>(c.execute_batch("CREATE TABLE t (n INTEGER UNIQUE)")?))
            .await
            .unwrap();
        let fails = || Err(DatabaseError::Internal("no".into()));
        // All in one transaction, as likely as not.
        let (a, b, c, d) = tokio::join!(
            insert(&database, 1, Ok(())),
            insert(&database, 2, fails()),
            insert(&database, 1, Ok(())),
            insert(&database, 3, Ok(())),
        );
        assert!(a.is_ok() && b.is_err() && c.is_err() && d.is_ok());
        assert_eq!(count(&database).await, 2);
        drop(database);
        assert_eq!(count(&open(&folder)).await, 2);
    }

    #[tokio::test]
    async fn one_process_has_it_and_what_was_given_up_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder);
        assert!(matches!(Database::open(&folder.path().join("farm.db")), Err(DatabaseError::InUse(_))));
        drop(database);
        open(&folder);
    }

    #[tokio::test]
    async fn a_copy_has_all_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder);
        database.write(|c| Ok::<_, DatabaseError>(c.execute_batch("CREATE TABLE t (n)")?)).await.unwrap();
        insert(&database, 7, Ok(())).await.unwrap();
        let copy = folder.path().join("copy.db");
        database.back_up(copy.clone()).await.unwrap();
        insert(&database, 8, Ok(())).await.unwrap();
        assert_eq!(count(&Database::open(&copy).unwrap()).await, 1);
        // What is there is not written over.
        assert!(database.back_up(copy).await.is_err());
        assert_eq!(count(&database).await, 2);
    }

    #[tokio::test]
    async fn secrets_are_its_owner_s() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder);
        database.write(|c| Ok::<_, DatabaseError>(c.execute_batch("CREATE TABLE t (n)")?)).await.unwrap();
        database.back_up(folder.path().join("copy.db")).await.unwrap();
        for name in ["farm.db", "farm.db-wal", "farm.db-shm", "copy.db"] {
            let mode = folder.path().join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn a_disk_that_is_full_is_said_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder);
        database.write(|c| Ok::<_, DatabaseError>(c.execute_batch("CREATE TABLE t (n)")?)).await.unwrap();
        insert(&database, 1, Ok(())).await.unwrap();
        let bounded = |c: &Connection| {
            let pages: i64 = c.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            Ok::<_, DatabaseError>(c.pragma_update(None, "max_page_count", pages + 2)?)
        };
        database.write(bounded).await.unwrap();
        let large = |c: &Connection| {
            c.execute("INSERT INTO t VALUES (randomblob(100000))", [])?;
            Ok::<_, DatabaseError>(())
        };
        assert!(matches!(database.write(large).await, Err(DatabaseError::Full)));
        insert(&database, 2, Ok(())).await.unwrap();
        assert_eq!(count(&database).await, 2);
    }
}
