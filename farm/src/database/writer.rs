// SPDX-License-Identifier: Apache-2.0
//! The thread that writes.

use std::fs::File;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::DatabaseError;

/// What is done in a transaction with others. It says what it came to only when it is told what became of the transaction.
type Work = Box<dyn FnOnce(&Connection) -> Done + Send>;
/// Told that all is on the disk, or why it is not.
type Done = Box<dyn FnOnce(Result<(), DatabaseError>)>;

/// So much is written at once, at most: what comes later does not have to wait for more.
const MOST_AT_ONCE: usize = 256;

pub(super) struct Writer {
    /// None once it is to end.
    queue: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which holds `lock`, where there is one, as long as it writes.
    pub(super) fn start(connection: Connection, lock: Option<File>) -> Result<Self, DatabaseError> {
        let (queue, work) = mpsc::channel::<Work>();
        let run = move || {
            write_all(&connection, &work);
            drop(connection);
            drop(lock);
        };
        let thread = thread::Builder::new().name("database".into()).spawn(run);
        let thread = thread.map_err(|e| DatabaseError::Internal(e.to_string()))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        let gone = || E::from(DatabaseError::Internal("the database's thread has ended".into()));
        let (answer, answered) = oneshot::channel::<Result<T, E>>();
        let work: Work = Box::new(move |connection| {
            let result = match connection.is_autocommit() {
                false => in_savepoint(connection, work),
                true => Err(E::from(DatabaseError::Undone)),
            };
            Box::new(move |written| {
                // Nobody waits any more where the request was given up.
                let _ = answer.send(result.and_then(|value| written.map(|()| value).map_err(E::from)));
            })
        });
        self.queue.as_ref().ok_or_else(gone)?.send(work).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Does `work`, and undoes it where it fails.
fn in_savepoint<T, E: From<DatabaseError>>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let run = |sql| connection.execute_batch(sql).map_err(DatabaseError::from);
    run("SAVEPOINT one")?;
    let result = work(connection);
    match &result {
        Ok(_) => run("RELEASE one")?,
        // A disk that is full has ended the whole transaction already.
        Err(_) if connection.is_autocommit() => {}
        Err(_) => run("ROLLBACK TO one; RELEASE one")?,
    }
    result
}

fn write_all(connection: &Connection, queue: &mpsc::Receiver<Work>) {
    while let Ok(first) = queue.recv() {
        let mut done = Vec::new();
        let written = write_together(connection, first, queue, &mut done);
        if written.is_err() && !connection.is_autocommit() {
            // Where that fails as well, the next BEGIN does, and says so.
            let _ = connection.execute_batch("ROLLBACK");
        }
        for done in done {
            done(written.clone());
        }
    }
}

/// Does what waits in one transaction, and says whether that is on the disk.
fn write_together(
    connection: &Connection,
    first: Work,
    queue: &mpsc::Receiver<Work>,
    done: &mut Vec<Done>,
) -> Result<(), DatabaseError> {
    let mut next = Some(first);
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    while let Some(work) = next.take() {
        // Where nothing could be begun, this fails as well, and says why.
        done.push(work(connection));
        if connection.is_autocommit() {
            break;
        }
        if done.len() < MOST_AT_ONCE {
            next = queue.try_recv().ok();
        }
    }
    begun?;
    if connection.is_autocommit() {
        return Err(DatabaseError::Undone);
    }
    Ok(connection.execute_batch("COMMIT")?)
}
