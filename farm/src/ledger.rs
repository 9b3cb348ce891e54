// SPDX-License-Identifier: Apache-2.0
//! The farm's log: every report that decided something, in a transparency log (C2SP tlog-tiles) that the farm signs, so that
//! what was decided can't be taken back, or changed, without anybody seeing it.
//!
//! The database decides, and the log follows: a report is in it a moment later, in the order in which they came. A process that is
//! killed between the two leaves no gap and no second entry, since the log itself says what it has. Where the database was put
//! back from an older copy, the log knows more: what it has and the database lacks is found at the start, and said.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reprove_attest::{Envelope, PublicKey, Signer, log};
use reprove_log::{Log, LogError, Record};
use reprove_model::canonical::{self, CanonicalError};
use rusqlite::{Connection, params};
use thiserror::Error;

use crate::{Database, FarmError};

/// So many reports are added at once.
const AT_ONCE: i64 = 256;

/// The log of a farm.
pub struct Ledger {
    folder: PathBuf,
    key: Arc<dyn Signer>,
    database: Database,
}

/// A report that is decided and not in the log.
struct Unlogged {
    job: i64,
    envelope: Envelope,
    key: PublicKey,
}

impl Ledger {
    /// Opens the log in a folder, which is made where there is none; `origin` is its name, and `key` signs its checkpoints.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub fn open(folder: &Path, origin: &str, key: Arc<dyn Signer>, database: Database) -> Result<Self, LedgerError> {
        if !folder.join("checkpoint").exists() {
            Log::new(folder, origin, &*key)?;
        }
        let own = reprove_log::key_of(origin, &*key).map_err(LogError::from)?;
        Log::open(folder, Some(&own))?;
        Ok(Self { folder: folder.to_owned(), key, database })
    }

    /// Finds what the log has and the database does not say that it has, and writes it down; gives how many entries are of
    /// reports that the database lacks altogether: it is older than the log.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub async fn reconcile(&self) -> Result<u64, LedgerError> {
        let known = self.database.read(|connection| {
            let sql = "SELECT coalesce(max(place) + 1, 0) FROM logged";
            Ok::<_, FarmError>(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
        });
        let known = u64::try_from(known.await?).unwrap_or(0);
        let folder = self.folder.clone();
        let beyond = blocking(move || {
            let log = Log::open(&folder, None)?;
            (known..log.checkpoint().size)
                .map(|place| Ok((place, log.entry(place)?)))
                .collect::<Result<Vec<_>, LogError>>()
        });
        let beyond = beyond.await??;
        if beyond.is_empty() {
            return Ok(0);
        }
        let waiting = self.unlogged(i64::MAX).await?;
        let mut lacking = 0;
        let mut found = Vec::new();
        for (place, entry) in beyond {
            let is_it = |of: &&Unlogged| log::entry(&of.envelope, &of.key).is_ok_and(|own| own == entry);
            match waiting.iter().find(is_it) {
                Some(report) => found.push((report.job, place)),
                None => lacking += 1,
            }
        }
        self.write(found).await?;
        Ok(lacking)
    }

    /// Adds what was decided since the last time; gives how much that was.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub async fn follow(&self) -> Result<usize, LedgerError> {
        let new = self.unlogged(AT_ONCE).await?;
        if new.is_empty() {
            return Ok(0);
        }
        let record = |of: &Unlogged| Ok(Record::of(log::entry(&of.envelope, &of.key)?, of.envelope.clone()));
        let records = new.iter().map(record).collect::<Result<Vec<_>, CanonicalError>>()?;
        let (folder, key) = (self.folder.clone(), Arc::clone(&self.key));
        let added = blocking(move || Log::open(&folder, None)?.append(&records, &*key)).await??;
        let count = new.len();
        self.write(new.iter().map(|report| report.job).zip(added).collect()).await?;
        Ok(count)
    }

    /// How many entries the log has.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub async fn size(&self) -> Result<u64, LedgerError> {
        let folder = self.folder.clone();
        Ok(blocking(move || Log::open(&folder, None).map(|log| log.checkpoint().size)).await??)
    }

    async fn unlogged(&self, most: i64) -> Result<Vec<Unlogged>, LedgerError> {
        const SQL: &str = "SELECT report.job, report.envelope, worker.public_key FROM unlogged
            JOIN report ON report.job = unlogged.job JOIN job ON job.number = report.job
            JOIN worker ON worker.name = job.worker ORDER BY unlogged.number LIMIT ?1";
        let read = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(SQL)?;
            let mut rows = statement.query([most])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let envelope = canonical::from_slice(&row.get::<_, Vec<u8>>(1)?)?;
                let key = PublicKey::from_spki_pem(&row.get::<_, String>(2)?);
                let key = key.map_err(|error| FarmError::Damaged(error.to_string()))?;
                all.push(Unlogged { job: row.get(0)?, envelope, key });
            }
            Ok::<_, FarmError>(all)
        };
        Ok(self.database.read(read).await?)
    }

    async fn write(&self, places: Vec<(i64, u64)>) -> Result<(), LedgerError> {
        let write = move |connection: &Connection| {
            let mut sql = connection.prepare_cached("INSERT INTO logged (job, place) VALUES (?1, ?2)")?;
            for (job, place) in places {
                sql.execute(params![job, i64::try_from(place).unwrap_or(i64::MAX)])?;
            }
            Ok::<_, FarmError>(())
        };
        Ok(self.database.write(write).await?)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LedgerError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| LedgerError::Farm(FarmError::Internal(error.to_string())))
}

/// Why the log did not do what it was asked to.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The log said no.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What is to be added can't be.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The database said no.
    #[error(transparent)]
    Farm(#[from] FarmError),
}
