// SPDX-License-Identifier: Apache-2.0
//! What is known of the bucket, in the order in which jobs are handed out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::record::{Key, State};
use crate::{Entry, Epoch, JobId, Lane, Lease, Millis, Name, Offer, Priority, Waiting};

/// Only who has a job's turn changes it.
pub(super) type Turn = OwnedMutexGuard<()>;

/// So many are looked at for one that the asker may have; the next time, it goes on there.
const MOST_LOOKED_AT: usize = 10_000;

/// A job that is in the queue.
pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) place: u64,
    /// Under which it was handed out last.
    pub(super) epoch: Epoch,
    /// Under which it was ever handed out, as whoever put it in says.
    pub(super) floor: Epoch,
    /// Of the record that is known; 0 where there is none yet.
    pub(super) revision: u64,
    /// What is so; nothing while it is being put in.
    state: Option<State>,
    turn: Arc<Mutex<()>>,
}

/// A job that is not in the queue, and of which there may be a record.
struct Gone {
    key: Key,
    revision: u64,
    turn: Arc<Mutex<()>>,
}

/// What is known.
#[derive(Default)]
pub(super) struct Index {
    slots: BTreeMap<JobId, Slot>,
    gone: BTreeMap<JobId, Gone>,
    ready: BTreeMap<(Priority, Lane), BTreeSet<(u64, JobId)>>,
    later: BTreeSet<(Millis, JobId)>,
    leased: BTreeSet<(Millis, JobId)>,
    refused: BTreeMap<(Name, Lane, Priority), (u64, JobId)>,
}

/// What comes of putting a job in.
pub(super) enum Entered {
    /// It is there.
    There,
    /// Somebody puts it in or removes it, as long as this is locked.
    Busy(Arc<Mutex<()>>),
    /// It has to be written. There may be a record of it from before it was forgotten.
    New(Turn, bool),
}

/// How a lease stands.
pub(super) enum Standing {
    Held,
    Settled(reprove_model::Digest),
    Lost,
}

impl Index {
    /// Adds a job as it was found.
    pub(super) fn add(&mut self, key: Key, place: u64, epoch: Epoch, revision: u64, state: State) {
        let (job, turn) = (key.job, Arc::default());
        self.slots.insert(job, Slot { key, place, epoch, floor: epoch, revision, state: None, turn });
        self.set(job, revision, epoch, state);
    }

    pub(super) fn slot(&self, job: JobId) -> Option<&Slot> {
        self.slots.get(&job)
    }

    /// Makes a place for a job that is not there.
    pub(super) fn enter(&mut self, entry: &Entry) -> Entered {
        let Entry { job, place, epoch, .. } = *entry;
        if let Some(slot) = self.slots.get_mut(&job) {
            slot.floor = slot.floor.max(epoch);
            return if slot.state.is_some() { Entered::There } else { Entered::Busy(Arc::clone(&slot.turn)) };
        }
        let turn = self.gone.get(&job).map(|gone| Arc::clone(&gone.turn)).unwrap_or_default();
        let Ok(guard) = Arc::clone(&turn).try_lock_owned() else { return Entered::Busy(turn) };
        let was_there = self.gone.contains_key(&job);
        let key = Key { lane: entry.lane.clone(), priority: entry.priority, job };
        self.slots.insert(job, Slot { key, place, epoch, floor: epoch, revision: 0, state: None, turn });
        Entered::New(guard, was_there)
    }

    /// Takes a job out. There may be a record of it until [`Index::is_removed`].
    pub(super) fn remove(&mut self, job: JobId) -> Option<(Key, u64)> {
        self.unlist(job);
        let Slot { key, revision, turn, .. } = self.slots.remove(&job)?;
        self.gone.insert(job, Gone { key: key.clone(), revision, turn });
        Some((key, revision))
    }

    /// There is no record of it.
    pub(super) fn is_removed(&mut self, job: JobId) {
        self.gone.remove(&job);
    }

    /// It is not there, nor any record of it.
    pub(super) fn is_gone(&mut self, job: JobId) {
        self.remove(job);
        self.is_removed(job);
    }

    /// All that are there.
    pub(super) fn jobs(&self) -> Vec<JobId> {
        self.slots.keys().copied().collect()
    }

    /// How many are there.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// What is so of a job, and since which revision.
    pub(super) fn known(&self, job: JobId) -> Option<(u64, Epoch, State)> {
        let slot = self.slots.get(&job)?;
        Some((slot.revision, slot.epoch, slot.state.clone()?))
    }

    /// A job that is not there and of which there may be a record.
    pub(super) fn gone(&self, job: JobId) -> Option<(Key, u64)> {
        self.gone.get(&job).map(|gone| (gone.key.clone(), gone.revision))
    }

    /// Whose turn it is to change a job.
    pub(super) fn turn(&self, job: JobId) -> Option<Arc<Mutex<()>>> {
        let in_queue = self.slots.get(&job).map(|slot| &slot.turn);
        in_queue.or_else(|| self.gone.get(&job).map(|gone| &gone.turn)).cloned()
    }

    /// Notes what was written.
    pub(super) fn set(&mut self, job: JobId, revision: u64, epoch: Epoch, state: State) {
        self.unlist(job);
        let Some(slot) = self.slots.get_mut(&job) else { return };
        (slot.revision, slot.epoch) = (revision, epoch);
        slot.floor = slot.floor.max(epoch);
        match &state {
            State::Ready => {
                let (place, lane, priority) = (slot.place, slot.key.lane.clone(), slot.key.priority);
                // Who was refused what is after it has not been asked about it.
                self.refused.retain(|(_, of, at), last| *of != lane || *at != priority || *last < (place, job));
                self.ready.entry((priority, lane)).or_default().insert((place, job));
            }
            State::Later { at } => drop(self.later.insert((*at, job))),
            State::Leased { until, .. } => drop(self.leased.insert((*until, job))),
            State::Settled { .. } => {}
        }
        slot.state = Some(state);
    }

    /// Notes that there is a newer record, which nobody was told of.
    pub(super) fn rebase(&mut self, job: JobId, revision: u64, epoch: Epoch) {
        if let Some(slot) = self.slots.get_mut(&job) {
            slot.revision = revision;
            slot.floor = slot.floor.max(epoch);
        }
    }

    /// A job that was to be handed out and was not can be handed out again.
    pub(super) fn put_back(&mut self, job: JobId) {
        let Some(slot) = self.slots.get(&job) else { return };
        if let (Some(State::Ready), revision, epoch) = (&slot.state, slot.revision, slot.epoch) {
            self.set(job, revision, epoch, State::Ready);
        }
    }

    fn unlist(&mut self, job: JobId) {
        let Some(slot) = self.slots.get(&job) else { return };
        match &slot.state {
            Some(State::Ready) => {
                let lane = (slot.key.priority, slot.key.lane.clone());
                if let Some(jobs) = self.ready.get_mut(&lane) {
                    jobs.remove(&(slot.place, job));
                    if jobs.is_empty() {
                        self.ready.remove(&lane);
                    }
                }
            }
            Some(State::Later { at }) => drop(self.later.remove(&(*at, job))),
            Some(State::Leased { until, .. }) => drop(self.leased.remove(&(*until, job))),
            Some(State::Settled { .. }) | None => {}
        }
    }

    /// The first job that is ready and that the asker may have, by priority, then by lane, then by place. It is offered to
    /// nobody else until it is [`Index::set`] or [`Index::put_back`].
    pub(super) fn reserve(&mut self, offer: &Offer) -> Option<(JobId, Turn)> {
        let (job, turn) = self.first(offer)?;
        self.unlist(job);
        Some((job, turn))
    }

    fn first(&mut self, offer: &Offer) -> Option<(JobId, Turn)> {
        let mut looked_at = 0;
        for priority in Priority::ALL {
            for lane in &offer.lanes {
                let Some(jobs) = self.ready.get(&(priority, lane.clone())) else { continue };
                let key = (offer.holder.clone(), lane.clone(), priority);
                let after = self.refused.get(&key).map_or(Bound::Unbounded, |last| Bound::Excluded(*last));
                let (mut last, mut skipped) = (None, false);
                for (place, job) in jobs.range((after, Bound::Unbounded)) {
                    match self.slots.get(job).and_then(|slot| Arc::clone(&slot.turn).try_lock_owned().ok()) {
                        Some(turn) if (offer.may_have)(*job) => {
                            last.map(|last| self.refused.insert(key, last));
                            return Some((*job, turn));
                        }
                        Some(_) => {}
                        // It is being changed: nobody was asked about it.
                        None => skipped = true,
                    }
                    if !skipped {
                        last = Some((*place, *job));
                    }
                    looked_at += 1;
                    if looked_at >= MOST_LOOKED_AT {
                        break;
                    }
                }
                last.map(|last| self.refused.insert(key, last));
                if looked_at >= MOST_LOOKED_AT {
                    return None;
                }
            }
        }
        None
    }

    /// How a lease stands.
    pub(super) fn standing(&self, lease: &Lease) -> Standing {
        let Some(slot) = self.slots.get(&lease.job).filter(|slot| slot.epoch == lease.epoch) else {
            return Standing::Lost;
        };
        match &slot.state {
            Some(State::Leased { holder, .. }) if *holder == lease.holder => Standing::Held,
            Some(State::Settled { holder, result }) if *holder == lease.holder => Standing::Settled(*result),
            _ => Standing::Lost,
        }
    }

    pub(super) fn is_settled(&self, job: JobId) -> bool {
        matches!(self.slots.get(&job), Some(Slot { state: Some(State::Settled { .. }), .. }))
    }

    /// Those who have a job, those first whose leases end first.
    pub(super) fn leases(&self) -> impl Iterator<Item = Lease> {
        self.leased.iter().filter_map(|(_, job)| self.lease(*job))
    }

    /// Who has this job.
    pub(super) fn lease(&self, job: JobId) -> Option<Lease> {
        let slot = self.slots.get(&job)?;
        let Some(State::Leased { holder, until }) = &slot.state else { return None };
        Some(Lease { job, epoch: slot.epoch, holder: holder.clone(), until: *until })
    }

    /// What waited until now can be handed out.
    pub(super) fn advance(&mut self, now: Millis) {
        let mut any = false;
        while let Some((at, job)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, job));
            if let Some((revision, epoch)) = self.slots.get(&job).map(|slot| (slot.revision, slot.epoch)) {
                self.set(job, revision, epoch, State::Ready);
                any = true;
            }
        }
        if any {
            // It may have been refused for what is not so any more.
            self.refused.clear();
        }
    }

    pub(super) fn waiting(&self) -> Waiting {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Waiting {
            ready: count(self.ready.values().map(BTreeSet::len).sum()),
            later: count(self.later.len()),
            leased: count(self.leased.len()),
        }
    }
}
