// SPDX-License-Identifier: Apache-2.0
//! Changes of one job: each by who has its turn, first in the bucket, then in what is known of it.
//!
//! A write that is not answered may still be done, at any later time. It changes nothing that anybody was told: what is known
//! stays as it was, and the next change finds another revision than it expects, reads what is there, sees that this process
//! wrote it, and puts itself in its place. What another process wrote is believed, and nothing is put in its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reprove_model::Digest;

use super::bucket::{Found, Written};
use super::index::{Entered, Slot, Standing, Turn};
use super::record::{Key, Record, State};
use super::{Inner, each};
use crate::{Entry, Epoch, JobId, Lease, Millis, Offer, QueueError, Settled};

/// Why a job was not changed.
pub(super) enum Undone {
    /// Somebody else changed it.
    Else,
    /// Somebody else removed it.
    Gone,
    /// See there.
    Queue(QueueError),
}

impl From<QueueError> for Undone {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl Inner {
    /// Waits for one's turn to change a job.
    async fn turn(&self, job: JobId) -> Option<Turn> {
        loop {
            let turn = self.index().turn(job)?;
            let guard = Arc::clone(&turn).lock_owned().await;
            // Removed and put in again meanwhile, it may be another one.
            if self.index().turn(job).is_some_and(|of| Arc::ptr_eq(&of, &turn)) {
                return Some(guard);
            }
        }
    }

    /// Has a job be what `next` makes of it.
    async fn change(
        &self,
        job: JobId,
        _turn: &Turn,
        next: impl Fn(&Slot) -> (Epoch, State) + Send,
    ) -> Result<Epoch, Undone> {
        if self.is_behind.load(Ordering::Relaxed) {
            return Err(behind().into());
        }
        let mut is_sure = false;
        loop {
            let (key, revision, record) = {
                let index = self.index();
                let slot = index.slot(job).ok_or(Undone::Gone)?;
                let (epoch, state) = next(slot);
                (slot.key.clone(), slot.revision, self.record(slot.place, epoch, state))
            };
            match self.bucket.write(&key, &record, revision).await? {
                Written::At(revision) => {
                    self.index().set(job, revision, record.epoch, record.state);
                    return Ok(record.epoch);
                }
                Written::Not(Some(Found { revision, record: Some(record) })) if record.by == self.by => {
                    self.index().rebase(job, revision, record.epoch);
                }
                Written::Not(Some(Found { revision, record: Some(record) })) => {
                    self.index().set(job, revision, record.epoch, record.state);
                    return Err(Undone::Else);
                }
                Written::Not(Some(Found { record: None, .. })) => {
                    self.index().is_gone(job);
                    return Err(Undone::Gone);
                }
                Written::Not(None) if is_sure => {
                    self.index().is_gone(job);
                    return Err(Undone::Gone);
                }
                // A server that is cut off from the others says so too of what it was not told.
                Written::Not(None) => {
                    if self.bucket.mark(&self.by).await? <= revision {
                        self.is_behind.store(true, Ordering::Relaxed);
                        return Err(behind().into());
                    }
                    is_sure = true;
                }
            }
        }
    }

    fn record(&self, place: u64, epoch: Epoch, state: State) -> Record {
        let write = self.writes.fetch_add(1, Ordering::Relaxed);
        Record { place, epoch, state, by: self.by.clone(), write }
    }

    pub(super) async fn put(&self, entry: Entry) -> Result<(), QueueError> {
        let (turn, was_there) = loop {
            let entered = self.index().enter(&entry);
            match entered {
                Entered::There => return Ok(()),
                Entered::Busy(turn) => drop(turn.lock().await),
                Entered::New(turn, was_there) => break (turn, was_there),
            }
        };
        let written = self.write_new(&entry, was_there).await;
        let mut index = self.index();
        match written {
            Ok((revision, record)) => {
                index.set(entry.job, revision, record.epoch, record.state);
                index.is_removed(entry.job);
                drop(turn);
                Ok(())
            }
            Err(error) => {
                index.remove(entry.job);
                Err(error)
            }
        }
    }

    /// Writes a job that is not there; gives what is there then. What `was_there` and was forgotten is written over.
    async fn write_new(&self, entry: &Entry, was_there: bool) -> Result<(u64, Record), QueueError> {
        let key = Key { lane: entry.lane.clone(), priority: entry.priority, job: entry.job };
        let at = entry.not_before;
        // It is ready when the next sweep finds that its time has come.
        let state = if at == Millis::default() { State::Ready } else { State::Later { at } };
        let (mut expected, mut epoch) = (0, entry.epoch);
        loop {
            let record = self.record(entry.place, epoch, state.clone());
            match self.bucket.write(&key, &record, expected).await? {
                Written::At(revision) => return Ok((revision, record)),
                Written::Not(Some(Found { revision, record: Some(record) })) if was_there => {
                    (expected, epoch) = (revision, epoch.max(record.epoch));
                }
                Written::Not(Some(Found { revision, record: Some(record) })) => return Ok((revision, record)),
                Written::Not(removed) => expected = removed.map_or(0, |removed| removed.revision),
            }
        }
    }

    pub(super) async fn take(&self, offer: &Offer, now: Millis) -> Result<Option<Lease>, QueueError> {
        let until = now + offer.lease;
        let state = State::Leased { holder: offer.holder.clone(), until };
        // No job is handed out four thousand million times.
        let next = |slot: &Slot| (Epoch(slot.floor.0.saturating_add(1)), state.clone());
        loop {
            let Some((job, turn)) = self.index().reserve(offer) else { return Ok(None) };
            match self.change(job, &turn, next).await {
                Ok(epoch) => return Ok(Some(Lease { job, epoch, holder: offer.holder.clone(), until })),
                Err(Undone::Gone) => {}
                Err(Undone::Else) => return Err(changed(job)),
                Err(Undone::Queue(error)) => {
                    self.index().put_back(job);
                    return Err(error);
                }
            }
        }
    }

    pub(super) async fn extend(&self, lease: &Lease, longer: Duration, now: Millis) -> Result<Lease, QueueError> {
        let extended = Lease { until: now + longer, ..lease.clone() };
        let state = State::Leased { holder: lease.holder.clone(), until: extended.until };
        self.go_on(lease, state).await?;
        Ok(extended)
    }

    pub(super) async fn give_back(&self, lease: &Lease, after: Duration, now: Millis) -> Result<(), QueueError> {
        self.go_on(lease, State::Later { at: now + after }).await
    }

    /// Changes what somebody has.
    async fn go_on(&self, lease: &Lease, state: State) -> Result<(), QueueError> {
        let turn = self.turn(lease.job).await.ok_or_else(|| QueueError::lost(lease))?;
        let Standing::Held = self.index().standing(lease) else { return Err(QueueError::lost(lease)) };
        match self.change(lease.job, &turn, |slot| (slot.epoch, state.clone())).await {
            Ok(_) => Ok(()),
            Err(Undone::Else | Undone::Gone) => Err(match self.index().standing(lease) {
                Standing::Held => changed(lease.job),
                _ => QueueError::lost(lease),
            }),
            Err(Undone::Queue(error)) => Err(error),
        }
    }

    pub(super) async fn settle(&self, lease: &Lease, result: &Digest) -> Result<Settled, QueueError> {
        let turn = self.turn(lease.job).await.ok_or_else(|| QueueError::lost(lease))?;
        let already = |standing| match standing {
            Standing::Settled(other) if other == *result => Ok(Settled::Already),
            Standing::Held => Err(changed(lease.job)),
            _ => Err(QueueError::lost(lease)),
        };
        let standing = self.index().standing(lease);
        let Standing::Held = standing else { return already(standing) };
        let state = State::Settled { holder: lease.holder.clone(), result: *result };
        match self.change(lease.job, &turn, |slot| (slot.epoch, state.clone())).await {
            Ok(_) => Ok(Settled::Now),
            Err(Undone::Else | Undone::Gone) => already(self.index().standing(lease)),
            Err(Undone::Queue(error)) => Err(error),
        }
    }

    pub(super) async fn reopen(&self, job: JobId, now: Millis) -> Result<(), QueueError> {
        let Some(turn) = self.turn(job).await else { return Ok(()) };
        if !self.index().is_settled(job) {
            return Ok(());
        }
        match self.change(job, &turn, |slot| (slot.epoch, State::Later { at: now })).await {
            Ok(_) | Err(Undone::Gone) => Ok(()),
            Err(Undone::Else) => Err(changed(job)),
            Err(Undone::Queue(error)) => Err(error),
        }
    }

    pub(super) async fn forget(&self, job: JobId) -> Result<(), QueueError> {
        let Some(turn) = self.turn(job).await else { return Ok(()) };
        // From here on nobody has it, whether or not the record can be removed at once.
        let removed = {
            let mut index = self.index();
            index.remove(job).or_else(|| index.gone(job))
        };
        if let Some((key, revision)) = removed {
            self.bucket.remove(&key, revision).await?;
            self.index().is_removed(job);
            self.removed.fetch_add(1, Ordering::Relaxed);
        }
        drop(turn);
        Ok(())
    }

    /// Takes out what is said of removed jobs: writes what there is once more, so that all that is older can be cut off.
    /// Whatever is killed meanwhile, the newest that there is of each job stays the newest.
    pub(super) async fn tidy(&self) -> Result<(), QueueError> {
        let removed = self.removed.load(Ordering::Relaxed);
        let before = self.bucket.last_sequence().await?;
        // What was written before that is in the index, or somebody has its turn.
        let jobs = self.index().jobs();
        let again = |job| async move {
            let Some(turn) = self.turn(job).await else { return Ok(()) };
            let known = self.index().known(job).filter(|(revision, ..)| *revision < before);
            let Some((_, epoch, state)) = known else { return Ok(()) };
            match self.change(job, &turn, |_| (epoch, state.clone())).await {
                Ok(_) | Err(Undone::Gone) => Ok(()),
                Err(Undone::Else) => Err(changed(job)),
                Err(Undone::Queue(error)) => Err(error),
            }
        };
        each(jobs, again).await?;
        self.bucket.cut_off(before).await?;
        self.removed.fetch_sub(removed, Ordering::Relaxed);
        Ok(())
    }

    /// Takes a job from its holder, where its lease has ended.
    pub(super) async fn end(&self, job: JobId, now: Millis) -> Result<Option<Lease>, QueueError> {
        let Some(turn) = self.turn(job).await else { return Ok(None) };
        let Some(lease) = self.index().lease(job).filter(|lease| lease.until <= now) else { return Ok(None) };
        match self.change(job, &turn, |slot| (slot.epoch, State::Later { at: lease.until })).await {
            Ok(_) => Ok(Some(lease)),
            // It is not this process that takes it from them.
            Err(Undone::Else | Undone::Gone) => Ok(None),
            Err(Undone::Queue(error)) => Err(error),
        }
    }
}

fn changed(job: JobId) -> QueueError {
    QueueError::Transport(format!(
        "{job} was changed by another process: one coordinator at a time has a farm's bucket"
    ))
}

fn behind() -> QueueError {
    let text = "the servers have lost what they said that they had; start the coordinator again, which puts everything \
        in that is not decided, and see that they run with JetStream's sync_interval: always";
    QueueError::Transport(text.to_owned())
}
