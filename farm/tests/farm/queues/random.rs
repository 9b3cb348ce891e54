// SPDX-License-Identifier: Apache-2.0
//! Any order of what can be done with a queue, beside a model of a few lines that says what has to come of it.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use reprove_farm::{Epoch, Lease, Millis, Queue, QueueError, Settled};
use reprove_model::Digest;

use super::promises::{LEASE, Place, START, entry, job, offer};

/// One thing that is done. Leases are named by the order in which they were had.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put(u64),
    Take,
    Extend(usize),
    GiveBack(usize, u64),
    Settle(usize, u8),
    Forget(u64),
    Pass(u64),
    Kill,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        3 => (0..6_u64).prop_map(Step::Put),
        4 => Just(Step::Take),
        2 => (0..12_usize).prop_map(Step::Extend),
        2 => (0..12_usize, 0..60_u64).prop_map(|(lease, after)| Step::GiveBack(lease, after)),
        3 => (0..12_usize, 0..2_u8).prop_map(|(lease, result)| Step::Settle(lease, result)),
        1 => (0..6_u64).prop_map(Step::Forget),
        3 => (1..40_u64).prop_map(Step::Pass),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(one, 1..60)
}

/// What a job is, as the promises say.
#[derive(Clone, Debug, PartialEq)]
enum State {
    Waits(Millis),
    Leased(Millis),
    Settled(Digest),
}

#[derive(Default)]
struct Model {
    jobs: BTreeMap<u64, (State, u32)>,
    /// The highest epoch of each, also of those that were forgotten, as the coordinator knows it.
    epochs: BTreeMap<u64, u32>,
}

impl Model {
    fn holds(&self, n: u64, lease: &Lease) -> bool {
        self.jobs
            .get(&n)
            .is_some_and(|(state, epoch)| matches!(state, State::Leased(_)) && Epoch(*epoch) == lease.epoch)
    }
}

/// Does all of it, and looks after each step whether the queue and the model agree.
pub(crate) async fn agrees_with_the_model(place: &mut dyn Place, steps: &[Step]) {
    let mut queue = place.queue().await;
    let (mut model, mut had, mut now) = (Model::default(), Vec::<(u64, Lease)>::new(), START);
    for step in steps {
        match step {
            Step::Put(n) => {
                let epoch = model.epochs.get(n).copied().unwrap_or(0);
                queue.put(vec![reprove_farm::Entry { epoch: Epoch(epoch), ..entry(*n) }]).await.unwrap();
                model.jobs.entry(*n).or_insert((State::Waits(Millis::default()), epoch));
            }
            Step::Take => had.extend(take(&*queue, &mut model, now).await),
            Step::Extend(index) => {
                let Some((n, lease)) = had.get(*index) else { continue };
                let extended = queue.extend(lease, LEASE, now).await;
                assert_eq!(extended.is_ok(), model.holds(*n, lease), "{step:?}: {extended:?}");
                if extended.is_ok() {
                    model.jobs.get_mut(n).unwrap().0 = State::Leased(now + LEASE);
                }
            }
            Step::GiveBack(index, seconds) => {
                let Some((n, lease)) = had.get(*index) else { continue };
                let back = queue.give_back(lease, Duration::from_secs(*seconds), now).await;
                assert_eq!(back.is_ok(), model.holds(*n, lease), "{step:?}: {back:?}");
                if back.is_ok() {
                    model.jobs.get_mut(n).unwrap().0 = State::Waits(now + Duration::from_secs(*seconds));
                }
            }
            Step::Settle(index, result) => {
                let Some((n, lease)) = had.get(*index) else { continue };
                settle(&*queue, &mut model, (*n, lease), Digest::of(&[*result])).await;
            }
            Step::Forget(n) => {
                queue.forget(&[job(*n)]).await.unwrap();
                model.jobs.remove(n);
            }
            Step::Pass(seconds) => {
                now = now + Duration::from_secs(*seconds);
                sweep(&*queue, &mut model, now).await;
            }
            Step::Kill => {
                drop(queue);
                queue = place.queue().await;
                let mut settled = queue.begin(now, LEASE * 2).await.unwrap();
                settled.sort();
                let is_settled =
                    |(n, (state, _)): (&u64, &(State, u32))| matches!(state, State::Settled(_)).then(|| job(*n));
                let mut expected: Vec<_> = model.jobs.iter().filter_map(is_settled).collect();
                expected.sort();
                assert_eq!(settled, expected);
            }
        }
    }
}

async fn take(queue: &dyn Queue, model: &mut Model, now: Millis) -> Option<(u64, Lease)> {
    // What is ready is so at a sweep.
    sweep(queue, model, now).await;
    let lease = queue.take(offer("w"), now).await.unwrap();
    let first = model.jobs.iter().find(|(_, (state, _))| matches!(state, State::Waits(at) if *at <= now));
    let Some(n) = first.map(|(n, _)| *n) else {
        assert_eq!(lease, None);
        return None;
    };
    let lease = lease.unwrap();
    let (state, epoch) = model.jobs.get_mut(&n).unwrap();
    (*state, *epoch) = (State::Leased(now + LEASE), *epoch + 1);
    assert_eq!((lease.job, lease.epoch, lease.until), (job(n), Epoch(*epoch), now + LEASE));
    model.epochs.insert(n, *epoch);
    Some((n, lease))
}

async fn settle(queue: &dyn Queue, model: &mut Model, (n, lease): (u64, &Lease), result: Digest) {
    let settled = queue.settle(lease, &result).await;
    let same = model
        .jobs
        .get(&n)
        .is_some_and(|(state, epoch)| *state == State::Settled(result) && Epoch(*epoch) == lease.epoch);
    match settled {
        Ok(Settled::Now) => {
            assert!(model.holds(n, lease));
            model.jobs.get_mut(&n).unwrap().0 = State::Settled(result);
        }
        Ok(Settled::Already) => assert!(same),
        Err(QueueError::Lost { .. }) => assert!(!same && !model.holds(n, lease)),
        Err(error) => panic!("{error}"),
    }
}

async fn sweep(queue: &dyn Queue, model: &mut Model, now: Millis) {
    let mut ended: Vec<_> = queue.sweep(now).await.unwrap().into_iter().map(|lease| lease.job).collect();
    // Those whose leases have ended are ready at the next.
    assert_eq!(queue.sweep(now).await.unwrap(), []);
    let mut expected = Vec::new();
    for (n, (state, _)) in &mut model.jobs {
        if matches!(state, State::Leased(until) if *until <= now) {
            expected.push(job(*n));
            *state = State::Waits(now);
        }
    }
    ended.sort();
    expected.sort();
    assert_eq!(ended, expected);
}
