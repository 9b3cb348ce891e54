// SPDX-License-Identifier: Apache-2.0
//! Many files at once: one thread finds them, the others hash and write them.

use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use reprove_model::DigestSet;

use crate::blobs::io_error;
use crate::lock::lock;
use crate::write::Taken;
use crate::{Store, StoreError};

/// What is to be stored.
pub(crate) enum Content {
    /// All of it, no larger than what is held in memory.
    Bytes(Vec<u8>),
    /// An open file, of which so many bytes are read.
    File(File, u64),
}

/// Which of the results is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

/// Digests and size, by [`Ticket`].
pub(crate) struct Stored(Vec<Option<(DigestSet, u64)>>);

impl Stored {
    /// What became of one content.
    pub(crate) fn of(&self, ticket: Ticket, store: &Store) -> Result<(DigestSet, u64), StoreError> {
        let lost = || io_error(store.root(), std::io::Error::other("a thread that stores files has failed"));
        self.0.get(ticket.0).copied().flatten().ok_or_else(lost)
    }
}

/// Where contents are handed in.
pub(crate) struct Feed {
    to: SyncSender<Vec<(usize, Content)>>,
    next: usize,
    waiting: Vec<(usize, Content)>,
    waiting_bytes: usize,
    known: Numbered,
}

/// Digests and sizes by the number of their ticket.
type Numbered = Vec<(usize, (DigestSet, u64))>;

/// How many contents, or bytes of them, are handed over at a time. Open files are among them, of which a process may have
/// some hundreds.
const BATCH: usize = 16;
const BATCH_BYTES: usize = 1 << 20;

/// How many batches may wait.
const BATCHES: usize = 4;

impl Feed {
    /// Hands in one content. The thread that takes it may fail; then what follows is not stored, and that failure is what
    /// [`take_in`] gives.
    pub(crate) fn add(&mut self, content: Content) -> Ticket {
        let number = self.next;
        self.next += 1;
        if let Content::Bytes(bytes) = &content {
            self.waiting_bytes += bytes.len();
        }
        self.waiting.push((number, content));
        if self.waiting.len() >= BATCH || self.waiting_bytes >= BATCH_BYTES {
            self.flush();
        }
        Ticket(number)
    }

    /// What is stored already.
    pub(crate) fn known(&mut self, digests: DigestSet, size: u64) -> Ticket {
        let number = self.next;
        self.next += 1;
        self.known.push((number, (digests, size)));
        Ticket(number)
    }

    fn flush(&mut self) {
        self.waiting_bytes = 0;
        // Nobody takes it where all threads have failed, which is noticed when they are waited for.
        let _ = self.to.send(std::mem::take(&mut self.waiting));
    }
}

/// Stores what `find` hands in, on as many threads as there are processors.
pub(crate) fn take_in<T, E: From<StoreError>>(
    store: &Store,
    find: impl FnOnce(&mut Feed) -> Result<T, E>,
) -> Result<(T, Stored), E> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(16);
    thread::scope(|scope| {
        let (to, batches) = sync_channel(BATCHES);
        let batches = Arc::new(Mutex::new(batches));
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let batches = batches.clone();
                scope.spawn(move || work(store, &batches))
            })
            .collect();
        // Now it ends when the last worker does, and whoever feeds it is not left waiting.
        drop(batches);
        let mut feed = Feed { to, next: 0, waiting: Vec::new(), waiting_bytes: 0, known: Vec::new() };
        let found = find(&mut feed);
        feed.flush();
        let mut all = vec![None; feed.next];
        let Feed { to, known, .. } = feed;
        drop(to);
        let mut put = |numbered: Numbered| {
            for (number, one) in numbered {
                if let Some(place) = all.get_mut(number) {
                    *place = Some(one);
                }
            }
        };
        put(known);
        let mut failed = None;
        for worker in workers {
            match worker.join() {
                Ok(Ok(stored)) => put(stored),
                Ok(Err(error)) => failed = Some(error),
                Err(_) => failed = Some(io_error(store.root(), std::io::Error::other("a thread has failed"))),
            }
        }
        let found = found?;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok((found, Stored(all))),
        }
    })
}

type Batches = Mutex<Receiver<Vec<(usize, Content)>>>;

fn work(store: &Store, batches: &Batches) -> Result<Numbered, StoreError> {
    let mut stored = Vec::new();
    loop {
        let next = lock(batches).recv();
        let Ok(batch) = next else { return Ok(stored) };
        // All get their names under one lock.
        let mut prepared = Vec::with_capacity(batch.len());
        for (number, content) in batch {
            let taken = match content {
                Content::Bytes(bytes) => Taken::Prepared(store.prepare(&bytes)?, bytes.len() as u64),
                Content::File(file, most) => store.prepare_reader(&mut file.take(most))?,
            };
            let one = match taken {
                Taken::Named(digests, size) => (digests, size),
                Taken::Prepared(one, size) => {
                    let digests = one.digests;
                    prepared.push(one);
                    (digests, size)
                }
            };
            stored.push((number, one));
        }
        store.name_all(prepared)?;
    }
}
