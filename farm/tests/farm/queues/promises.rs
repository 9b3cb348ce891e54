// SPDX-License-Identifier: Apache-2.0
//! The promises, each shown by one example.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reprove_farm::{
    BuildId, Entry, Epoch, JobId, Lane, Lease, Millis, Offer, Priority, Queue, QueueError, Requires, Settled, Waiting,
};
use reprove_model::Digest;

/// A queue that can be killed.
#[async_trait]
pub(crate) trait Place: Send + Sync {
    /// The queue, by a process that has just begun.
    async fn queue(&mut self) -> Arc<dyn Queue>;
}

pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// When the tests begin. They go on as they say.
pub(crate) const START: Millis = Millis(1_800_000_000_000);

pub(crate) fn after(seconds: u64) -> Millis {
    START + Duration::from_secs(seconds)
}

pub(crate) fn job(n: u64) -> JobId {
    BuildId::new(&Digest::of(&n.to_be_bytes()), 0).job(1)
}

pub(crate) fn lane(domain: &str) -> Lane {
    Requires { domain: domain.parse().unwrap(), ..Requires::default() }.lane()
}

pub(crate) fn entry(n: u64) -> Entry {
    Entry {
        job: job(n),
        lane: lane("a"),
        priority: Priority::Normal,
        place: n,
        epoch: Epoch(0),
        not_before: Millis::default(),
    }
}

pub(crate) fn offer(holder: &str) -> Offer {
    let may_have = Arc::new(|_| true);
    Offer { holder: holder.parse().unwrap(), lanes: vec![lane("a")], lease: LEASE, may_have }
}

async fn taken(queue: &dyn Queue, holder: &str, now: Millis) -> Option<Lease> {
    queue.take(offer(holder), now).await.unwrap()
}

fn is_lost<T: std::fmt::Debug>(result: Result<T, QueueError>) -> bool {
    matches!(result, Err(QueueError::Lost { .. }))
}

fn result(n: u8) -> Digest {
    Digest::of(&[n])
}

pub(crate) async fn what_was_put_in_first_goes_first(place: &mut dyn Place) {
    let queue = place.queue().await;
    let [low, late, early, high] = [1, 2, 3, 4].map(entry);
    let low = Entry { priority: Priority::Low, ..low };
    let (late, early) = (Entry { place: 30, ..late }, Entry { place: 20, ..early });
    let high = Entry { priority: Priority::High, place: 40, ..high };
    queue.put(vec![low.clone(), late.clone(), early.clone(), high.clone()]).await.unwrap();
    for expected in [high, early, late, low] {
        assert_eq!(taken(&*queue, "w", START).await.map(|lease| lease.job), Some(expected.job));
    }
    assert_eq!(taken(&*queue, "w", START).await, None);
}

pub(crate) async fn what_is_there_already_is_not_there_twice(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put(vec![entry(1), entry(1)]).await.unwrap();
    let lease = taken(&*queue, "w", START).await.unwrap();
    // Neither while it is leased, nor once it is settled.
    queue.put(vec![entry(1)]).await.unwrap();
    assert_eq!(taken(&*queue, "v", START).await, None);
    assert_eq!(queue.settle(&lease, &result(1)).await.unwrap(), Settled::Now);
    queue.put(vec![entry(1)]).await.unwrap();
    assert_eq!(taken(&*queue, "v", START).await, None);
    assert_eq!(queue.waiting().await.unwrap(), Waiting::default());
}

pub(crate) async fn lanes_are_taken_from_by_those_who_name_them(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put(vec![Entry { lane: lane("b"), ..entry(1) }, Entry { lane: lane("c"), ..entry(2) }]).await.unwrap();
    assert_eq!(taken(&*queue, "w", START).await, None);
    let both = Offer { lanes: vec![lane("c"), lane("b")], ..offer("w") };
    assert_eq!(queue.take(both.clone(), START).await.unwrap().unwrap().job, job(2));
    assert_eq!(queue.take(both, START).await.unwrap().unwrap().job, job(1));
}

pub(crate) async fn who_may_not_have_a_job_gets_the_next_and_others_get_it(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put((1..=5).map(entry).collect()).await.unwrap();
    let picky = Offer { may_have: Arc::new(|asked| asked == job(3) || asked == job(4)), ..offer("w") };
    assert_eq!(queue.take(picky.clone(), START).await.unwrap().unwrap().job, job(3));
    let fourth = queue.take(picky.clone(), START).await.unwrap().unwrap();
    assert_eq!(fourth.job, job(4));
    assert_eq!(queue.take(picky.clone(), START).await.unwrap(), None);
    assert_eq!(taken(&*queue, "v", START).await.unwrap().job, job(1));
    assert_eq!(taken(&*queue, "v", START).await.unwrap().job, job(2));
    // What it was refused once, and what comes back, it is asked about again.
    queue.give_back(&fourth, Duration::ZERO, START).await.unwrap();
    queue.sweep(START).await.unwrap();
    assert_eq!(queue.take(picky, START).await.unwrap().unwrap().job, job(4));
    assert_eq!(taken(&*queue, "v", START).await.unwrap().job, job(5));
}

pub(crate) async fn a_lease_that_ends_is_told_and_another_gets_the_job_under_a_higher_epoch(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put(vec![entry(1)]).await.unwrap();
    let first = taken(&*queue, "w", START).await.unwrap();
    assert_eq!((first.epoch, first.until), (Epoch(1), START + LEASE));
    assert_eq!(queue.sweep(Millis(first.until.0 - 1)).await.unwrap(), []);
    assert_eq!(taken(&*queue, "v", first.until).await, None);
    assert_eq!(queue.sweep(first.until).await.unwrap(), std::slice::from_ref(&first));
    // Whoever was told has time until the next.
    assert_eq!(taken(&*queue, "v", first.until).await, None);
    queue.sweep(first.until).await.unwrap();
    let second = taken(&*queue, "v", first.until).await.unwrap();
    assert_eq!((second.job, second.epoch), (first.job, Epoch(2)));
    // Whoever was thought dead changes nothing any more.
    assert!(is_lost(queue.extend(&first, LEASE, first.until).await));
    assert!(is_lost(queue.give_back(&first, LEASE, first.until).await));
    assert!(is_lost(queue.settle(&first, &result(1)).await));
    // Nor who says that it is somebody else.
    let forged = Lease { epoch: second.epoch, ..first };
    assert!(is_lost(queue.settle(&forged, &result(1)).await));
    assert_eq!(queue.settle(&second, &result(2)).await.unwrap(), Settled::Now);
}

pub(crate) async fn a_lease_that_is_extended_goes_on(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put(vec![entry(1)]).await.unwrap();
    let mut lease = taken(&*queue, "w", START).await.unwrap();
    for n in 1..=5 {
        lease = queue.extend(&lease, LEASE, after(20 * n)).await.unwrap();
        assert_eq!(lease.until, after(20 * n) + LEASE);
        assert_eq!(queue.sweep(after(20 * n + 10)).await.unwrap(), []);
    }
    assert_eq!(queue.leases(10).await.unwrap(), std::slice::from_ref(&lease));
    assert_eq!(queue.sweep(lease.until).await.unwrap(), [lease]);
    assert_eq!(queue.leases(10).await.unwrap(), []);
}

pub(crate) async fn what_is_given_back_waits_as_long_as_was_said_and_at_its_old_place(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put(vec![entry(1), entry(2)]).await.unwrap();
    let lease = taken(&*queue, "w", START).await.unwrap();
    queue.give_back(&lease, Duration::from_secs(60), START).await.unwrap();
    assert!(is_lost(queue.extend(&lease, LEASE, START).await));
    assert_eq!(queue.waiting().await.unwrap(), Waiting { ready: 1, later: 1, leased: 0 });
    queue.sweep(after(59)).await.unwrap();
    assert_eq!(queue.waiting().await.unwrap(), Waiting { ready: 1, later: 1, leased: 0 });
    queue.sweep(after(60)).await.unwrap();
    let again = taken(&*queue, "w", after(60)).await.unwrap();
    assert_eq!((again.job, again.epoch), (job(1), Epoch(2)));
}

pub(crate) async fn a_job_is_settled_once(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put(vec![entry(1)]).await.unwrap();
    let lease = taken(&*queue, "w", START).await.unwrap();
    assert_eq!(queue.settle(&lease, &result(1)).await.unwrap(), Settled::Now);
    assert_eq!(queue.settle(&lease, &result(1)).await.unwrap(), Settled::Already);
    assert!(is_lost(queue.settle(&lease, &result(2)).await));
    assert!(is_lost(queue.extend(&lease, LEASE, START).await));
    assert!(is_lost(queue.give_back(&lease, LEASE, START).await));
    // However late it is, it is handed out no more.
    assert_eq!(queue.sweep(after(1000)).await.unwrap(), []);
    assert_eq!(taken(&*queue, "v", after(1000)).await, None);
    queue.forget(&[lease.job]).await.unwrap();
    assert!(is_lost(queue.settle(&lease, &result(1)).await));
}

pub(crate) async fn what_is_forgotten_is_gone_from_whoever_has_it(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put(vec![entry(1), entry(2)]).await.unwrap();
    let lease = taken(&*queue, "w", START).await.unwrap();
    queue.forget(&[job(1), job(2), job(3)]).await.unwrap();
    assert!(is_lost(queue.extend(&lease, LEASE, START).await));
    assert!(is_lost(queue.settle(&lease, &result(1)).await));
    assert_eq!(taken(&*queue, "w", START).await, None);
    // Where it is put in again, what was handed out before stays the older one.
    queue.put(vec![Entry { epoch: lease.epoch, ..entry(1) }]).await.unwrap();
    assert_eq!(taken(&*queue, "w", START).await.unwrap().epoch, Epoch(2));
    assert!(is_lost(queue.settle(&lease, &result(1)).await));
}

pub(crate) async fn after_a_kill_all_is_as_it_was(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put((1..=4).map(entry).collect()).await.unwrap();
    let leased = taken(&*queue, "w", START).await.unwrap();
    let settled = taken(&*queue, "w", START).await.unwrap();
    queue.settle(&settled, &result(1)).await.unwrap();
    let given_back = taken(&*queue, "w", START).await.unwrap();
    queue.give_back(&given_back, Duration::from_secs(60), START).await.unwrap();
    drop(queue);

    let queue = place.queue().await;
    assert_eq!(queue.begin(after(1), LEASE * 4).await.unwrap(), [settled.job]);
    assert_eq!(queue.waiting().await.unwrap(), Waiting { ready: 1, later: 1, leased: 1 });
    // The holder goes on as if nothing had been.
    let leased = queue.extend(&leased, LEASE, after(1)).await.unwrap();
    assert_eq!(queue.settle(&leased, &result(2)).await.unwrap(), Settled::Now);
    assert_eq!(queue.settle(&settled, &result(1)).await.unwrap(), Settled::Already);
    assert_eq!(taken(&*queue, "v", after(1)).await.unwrap().job, job(4));
    queue.sweep(after(60)).await.unwrap();
    assert_eq!(taken(&*queue, "v", after(60)).await.unwrap().epoch, Epoch(2));
}

pub(crate) async fn what_was_settled_for_nothing_is_handed_out_again(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put(vec![entry(1), entry(2)]).await.unwrap();
    let lease = taken(&*queue, "w", START).await.unwrap();
    queue.settle(&lease, &result(1)).await.unwrap();
    // One that is not settled stays as it is.
    queue.reopen(&[job(1), job(2), job(3)], START).await.unwrap();
    assert!(is_lost(queue.settle(&lease, &result(1)).await));
    assert_eq!(queue.begin(START, LEASE).await.unwrap(), []);
    queue.sweep(START).await.unwrap();
    let again = taken(&*queue, "v", START).await.unwrap();
    assert_eq!((again.job, again.epoch), (job(1), Epoch(2)));
    assert_eq!(taken(&*queue, "v", START).await.unwrap().job, job(2));
}

pub(crate) async fn a_clock_that_was_set_back_holds_nobody_up(place: &mut dyn Place) {
    let queue = place.queue().await;
    queue.put(vec![entry(1), entry(2)]).await.unwrap();
    let held = taken(&*queue, "w", START).await.unwrap();
    let given_back = taken(&*queue, "w", START).await.unwrap();
    queue.give_back(&given_back, Duration::from_secs(60), START).await.unwrap();
    drop(queue);

    // A day before.
    let now = Millis(START.0 - 86_400_000);
    let queue = place.queue().await;
    queue.begin(now, LEASE).await.unwrap();
    assert_eq!(queue.sweep(now).await.unwrap(), []);
    let ended = queue.sweep(now + LEASE).await.unwrap();
    assert_eq!(ended.iter().map(|lease| lease.job).collect::<Vec<_>>(), [held.job]);
    queue.sweep(now + LEASE).await.unwrap();
    assert_eq!(queue.waiting().await.unwrap(), Waiting { ready: 2, later: 0, leased: 0 });
}

/// A test of each promise, of a queue in `$place`, an expression that gives a [`Place`].
macro_rules! promises {
    ($place:expr; $($name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::queues::promises::$name(&mut $place).await;
        }
    )*};
    ($place:expr) => {
        $crate::queues::promises::promises! { $place;
            what_was_put_in_first_goes_first,
            what_is_there_already_is_not_there_twice,
            lanes_are_taken_from_by_those_who_name_them,
            who_may_not_have_a_job_gets_the_next_and_others_get_it,
            a_lease_that_ends_is_told_and_another_gets_the_job_under_a_higher_epoch,
            a_lease_that_is_extended_goes_on,
            what_is_given_back_waits_as_long_as_was_said_and_at_its_old_place,
            a_job_is_settled_once,
            what_is_forgotten_is_gone_from_whoever_has_it,
            after_a_kill_all_is_as_it_was,
            what_was_settled_for_nothing_is_handed_out_again,
            a_clock_that_was_set_back_holds_nobody_up,
        }
    };
}
pub(crate) use promises;
