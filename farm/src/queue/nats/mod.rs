// SPDX-License-Identifier: Apache-2.0
//! A queue in a key-value bucket of NATS JetStream.
//!
//! The bucket `reprove_<farm>` has one record of each job, under the key `job.<lane>.<priority>.<job>`, where the lane is
//! `<domain>.<architecture>.<isolation>`. What it says is so: each change is a write that names the revision which it
//! replaces, so of two that would change the same, one does. The process that decides knows what is in it, in the order in
//! which jobs are handed out: each change is one question to the servers, none needs a scan, and changes of different jobs
//! don't wait for each other.
//!
//! There is no stream that workers take from, on purpose. A consumer hands out what comes next, whoever asks. Here, who may
//! have a job is asked of one job at a time, what is refused is passed over, what is given back waits at its old place, and
//! epochs outlive the message. All that would have to be kept beside the stream, which could then only disagree with it.
//! What a stream would show is shown anyway: each change is published under `reprove.<farm>.job.<lane>.<priority>.<job>`
//! too, where whoever may subscribe sees it, by trust domain, architecture, isolation and priority.
//!
//! What is acknowledged is on the disks of most replicas where the servers run with JetStream's `sync_interval: always`, and
//! then survives that all of them are killed at once. Where everything is lost all the same, nothing comes of it but work:
//! the coordinator is started again, and puts in what has no decision, with the highest epoch that it was handed out under.
//!
//! Whoever uses it may publish to `$KV.reprove_<farm>.>` and `$JS.API.>`, and subscribe to `_INBOX.>`.

mod bucket;
mod change;
mod connect;
mod index;
mod record;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};
use reprove_model::Digest;

pub use connect::{NatsCredentials, NatsError, NatsOptions, OLDEST_NATS};

use self::bucket::{All, Bucket};
use self::index::Index;
use self::record::{Key, Record, State};
use crate::queue::{Entry, Lease, Offer, Queue, QueueError, Settled, Waiting};
use crate::{JobId, Millis};

/// So many jobs of one call are changed at a time.
const AT_A_TIME: usize = 256;

/// A queue on NATS. Clones are of the same one.
#[derive(Clone)]
pub struct NatsQueue(Arc<Inner>);

struct Inner {
    bucket: Bucket,
    /// This process, as records name it.
    by: String,
    writes: AtomicU64,
    index: Mutex<Index>,
    /// Of how many jobs the bucket says that they were removed.
    removed: AtomicUsize,
    most_removed: usize,
    is_tidying: AtomicBool,
    /// Whether the servers have less than they had said.
    is_behind: AtomicBool,
}

impl NatsQueue {
    /// Connects to the servers, and makes the bucket where there is none.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub async fn connect(options: &NatsOptions) -> Result<Self, NatsError> {
        let bucket = Bucket::open(options).await?;
        let by = bucket.unique_name();
        Ok(Self(Arc::new(Inner {
            bucket,
            by,
            writes: AtomicU64::default(),
            index: Mutex::default(),
            removed: AtomicUsize::default(),
            most_removed: options.most_removed,
            is_tidying: AtomicBool::default(),
            is_behind: AtomicBool::default(),
        })))
    }

    /// The name of the server that this is connected to.
    #[must_use]
    pub fn server(&self) -> String {
        self.0.bucket.server()
    }

    /// Does something to the end, even where whoever asked for it does not wait for it.
    async fn run<T: Send + 'static, F: Future<Output = Result<T, QueueError>> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Inner>) -> F,
    ) -> Result<T, QueueError> {
        let done = tokio::spawn(work(Arc::clone(&self.0))).await;
        done.unwrap_or_else(|error| Err(QueueError::Transport(format!("a part of the program failed: {error}"))))
    }
}

impl Inner {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self, now: Millis, longest: Duration) -> Result<Vec<JobId>, QueueError> {
        let latest = now + longest;
        let All { records, removed } = self.bucket.all(&self.by).await?;
        let mut jobs = BTreeMap::<JobId, (Key, u64, Record)>::new();
        for (key, (revision, record)) in records {
            // One job has one key. If it had two, the one under which it was handed out last would be right.
            let is_older = |(_, at, is): &(Key, u64, Record)| (is.epoch, *at) < (record.epoch, revision);
            if jobs.get(&key.job).is_none_or(is_older) {
                jobs.insert(key.job, (key, revision, record));
            }
        }
        let (mut index, mut settled) = (Index::default(), Vec::new());
        for (job, (key, revision, record)) in jobs {
            // Bounded here and not in the bucket: it is bounded again whenever it is read.
            let state = match record.state {
                State::Leased { holder, until } => State::Leased { holder, until: until.min(latest) },
                State::Later { at } => State::Later { at: at.min(latest) },
                state => state,
            };
            if matches!(state, State::Settled { .. }) {
                settled.push(job);
            }
            index.add(key, record.place, record.epoch, revision, state);
        }
        *self.index() = index;
        self.is_behind.store(false, Ordering::Relaxed);
        self.removed.store(removed, Ordering::Relaxed);
        Ok(settled)
    }

    async fn sweep(self: &Arc<Self>, now: Millis) -> Result<Vec<Lease>, QueueError> {
        // First: those that end now are handed out after the next.
        self.index().advance(now);
        let ended: Vec<JobId> =
            self.index().leases().take_while(|lease| lease.until <= now).map(|lease| lease.job).collect();
        let mut told = Vec::new();
        let mut failed = None;
        let ends = ended.into_iter().map(|job| (Arc::clone(self), job));
        let mut ends =
            stream::iter(ends).map(|(inner, job)| async move { inner.end(job, now).await }).buffer_unordered(AT_A_TIME);
        while let Some(end) = ends.next().await {
            match end {
                Ok(lease) => told.extend(lease),
                Err(error) => failed = Some(error),
            }
        }
        let jobs = self.index().len();
        let removed = self.removed.load(Ordering::Relaxed);
        if removed > self.most_removed && removed > jobs && !self.is_tidying.swap(true, Ordering::Relaxed) {
            let inner = Arc::clone(self);
            tokio::spawn(async move {
                // Where nothing comes of it, it is tried again at the next sweep.
                let _ = inner.tidy().await;
                inner.is_tidying.store(false, Ordering::Relaxed);
            });
        }
        told.sort_by_key(|lease| (lease.until, lease.job));
        // Those that were taken have to be told; the others are taken at the next.
        match failed {
            Some(error) if told.is_empty() => Err(error),
            _ => Ok(told),
        }
    }
}

/// Does something with each, many at a time, and all of it whatever comes of one.
async fn each<T: Send, F: Future<Output = Result<(), QueueError>> + Send>(
    items: Vec<T>,
    work: impl Fn(T) -> F + Send,
) -> Result<(), QueueError> {
    let mut all = stream::iter(items).map(work).buffer_unordered(AT_A_TIME);
    let mut result = Ok(());
    while let Some(done) = all.next().await {
        result = result.and(done);
    }
    result
}

#[async_trait]
impl Queue for NatsQueue {
    async fn begin(&self, now: Millis, longest: Duration) -> Result<Vec<JobId>, QueueError> {
        self.run(|inner| async move { inner.begin(now, longest).await }).await
    }

    async fn put(&self, entries: Vec<Entry>) -> Result<(), QueueError> {
        let put = |inner: Arc<Inner>, entry| async move { inner.put(entry).await };
        self.run(move |inner| each(entries, move |entry| put(Arc::clone(&inner), entry))).await
    }

    async fn take(&self, offer: Offer, now: Millis) -> Result<Option<Lease>, QueueError> {
        self.run(move |inner| async move { inner.take(&offer, now).await }).await
    }

    async fn extend(&self, lease: &Lease, longer: Duration, now: Millis) -> Result<Lease, QueueError> {
        let lease = lease.clone();
        self.run(move |inner| async move { inner.extend(&lease, longer, now).await }).await
    }

    async fn give_back(&self, lease: &Lease, after: Duration, now: Millis) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.run(move |inner| async move { inner.give_back(&lease, after, now).await }).await
    }

    async fn settle(&self, lease: &Lease, result: &Digest) -> Result<Settled, QueueError> {
        let (lease, result) = (lease.clone(), *result);
        self.run(move |inner| async move { inner.settle(&lease, &result).await }).await
    }

    async fn reopen(&self, jobs: &[JobId], now: Millis) -> Result<(), QueueError> {
        let jobs = jobs.to_vec();
        let reopen = move |inner: Arc<Inner>, job| async move { inner.reopen(job, now).await };
        self.run(move |inner| each(jobs, move |job| reopen(Arc::clone(&inner), job))).await
    }

    async fn forget(&self, jobs: &[JobId]) -> Result<(), QueueError> {
        let jobs = jobs.to_vec();
        let forget = |inner: Arc<Inner>, job| async move { inner.forget(job).await };
        self.run(move |inner| each(jobs, move |job| forget(Arc::clone(&inner), job))).await
    }

    async fn sweep(&self, now: Millis) -> Result<Vec<Lease>, QueueError> {
        self.run(move |inner| async move { inner.sweep(now).await }).await
    }

    async fn leases(&self, most: usize) -> Result<Vec<Lease>, QueueError> {
        Ok(self.0.index().leases().take(most).collect())
    }

    async fn waiting(&self) -> Result<Waiting, QueueError> {
        Ok(self.0.index().waiting())
    }
}
