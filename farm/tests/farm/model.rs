// SPDX-License-Identifier: Apache-2.0
//! A farm that works on a queue of NATS while something is done to its servers, and a model of what was acknowledged to it: all
//! of that is so afterwards, and nothing else.
//!
//! `REPROVE_FAULT_ROUNDS` says how often each is done, and `REPROVE_FAULT_SEED` with which numbers it begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reprove_farm::queue::{NatsOptions, NatsQueue};
use reprove_farm::{
    BuildId, Entry, Epoch, JobId, Lease, Millis, Offer, Priority, Queue, QueueError, Requires, Settled, Waiting,
};
use reprove_model::Digest;

const LEASE: Duration = Duration::from_secs(60);
/// The time, which stands still while servers are killed: no lease ends by itself.
const NOW: Millis = Millis(1_800_000_000_000);
/// How long it may take until there is an answer again.
pub(crate) const RECOVERS_WITHIN: Duration = Duration::from_secs(60);

/// Numbers from a seed (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What was acknowledged, and nothing else.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) put: BTreeSet<JobId>,
    epochs: BTreeMap<JobId, Epoch>,
    live: BTreeMap<JobId, Lease>,
    pub(crate) settled: BTreeMap<JobId, (Lease, Digest)>,
    forgotten: BTreeSet<JobId>,
    /// Whose settling or forgetting was not acknowledged: it may be so or not.
    unsure: BTreeSet<JobId>,
    failures: u64,
}

impl Model {
    fn taken(&mut self, lease: &Lease) {
        let job = lease.job;
        assert!(!self.settled.contains_key(&job), "{job} was settled, and is handed out");
        assert!(!self.forgotten.contains(&job), "{job} was forgotten, and is handed out");
        let live = self.live.insert(job, lease.clone());
        assert_eq!(live, None, "{job} has two leases; the newer is {lease:?}");
        let before = self.epochs.insert(job, lease.epoch).unwrap_or_default();
        assert!(lease.epoch > before, "{job} was handed out under {before:?} before, and now under {:?}", lease.epoch);
    }
}

fn job(n: u64) -> JobId {
    BuildId::new(&Digest::of(&n.to_be_bytes()), 0).job(1)
}

fn entry(n: u64) -> Entry {
    let (lane, not_before) = (Requires::default().lane(), Millis::default());
    Entry { job: job(n), lane, priority: Priority::Normal, place: n, epoch: Epoch(0), not_before }
}

fn offer(n: u64) -> Offer {
    let holder = format!("w{n}").parse().unwrap();
    Offer { holder, lanes: vec![Requires::default().lane()], lease: LEASE, may_have: Arc::new(|_| true) }
}

/// A farm that works until it is told to stop.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) queue: Arc<NatsQueue>,
    pub(crate) model: Arc<Mutex<Model>>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Work {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Whether it was done; not, where the queue could not be reached. Nothing else may be said of a lease that is live.
    fn is_done<T>(&self, done: Result<T, QueueError>) -> bool {
        match done {
            Ok(_) => true,
            Err(QueueError::Transport(_)) => {
                self.model.lock().unwrap().failures += 1;
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Tries again until it is done, or not even once more where `is_steady` is not.
    async fn until_done<T, F: Future<Output = Result<T, QueueError>>>(
        &self,
        steady: bool,
        work: impl Fn() -> F,
    ) -> bool {
        loop {
            if self.is_done(work().await) {
                return true;
            }
            if !steady || !self.goes_on() {
                return false;
            }
        }
    }

    pub(crate) async fn puts(self, mut n: u64) {
        while self.goes_on() {
            let entries: Vec<Entry> = (n..n + 8).map(entry).collect();
            if self.until_done(true, || self.queue.put(entries.clone())).await {
                self.model.lock().unwrap().put.extend(entries.iter().map(|entry| entry.job));
            }
            n += 8;
            self.queue.sweep(NOW).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn takes(self, number: u64, mut random: Random) {
        while self.goes_on() {
            let lease = match self.queue.take(offer(number), NOW).await {
                Ok(Some(lease)) => lease,
                taken => {
                    self.is_done(taken);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            self.model.lock().unwrap().taken(&lease);
            let steady = random.below(5) > 0;
            if !self.until_done(steady, || self.queue.extend(&lease, LEASE, NOW)).await {
                continue;
            }
            // What is put in once more after it was forgotten is there again.
            let is_put = self.model.lock().unwrap().put.contains(&lease.job);
            match random.below(8) {
                0..4 => self.settles(&lease, steady).await,
                4..6 => self.gives_back(&lease).await,
                6 if is_put => self.forgets(&lease, steady).await,
                // It is lost with its job.
                _ => {}
            }
        }
    }

    async fn settles(&self, lease: &Lease, steady: bool) {
        let result = Digest::of(lease.holder.as_str().as_bytes());
        self.model.lock().unwrap().unsure.insert(lease.job);
        if self.until_done(steady, || self.queue.settle(lease, &result)).await {
            let mut model = self.model.lock().unwrap();
            model.unsure.remove(&lease.job);
            model.live.remove(&lease.job);
            model.settled.insert(lease.job, (lease.clone(), result));
        }
    }

    async fn gives_back(&self, lease: &Lease) {
        // As soon as it is done, somebody else may have it.
        self.model.lock().unwrap().live.remove(&lease.job);
        if !self.until_done(true, || self.queue.give_back(lease, Duration::ZERO, NOW)).await {
            self.model.lock().unwrap().unsure.insert(lease.job);
        }
    }

    async fn forgets(&self, lease: &Lease, steady: bool) {
        self.model.lock().unwrap().unsure.insert(lease.job);
        let jobs = [lease.job];
        if self.until_done(steady, || self.queue.forget(&jobs)).await {
            let mut model = self.model.lock().unwrap();
            model.unsure.remove(&lease.job);
            model.live.remove(&lease.job);
            model.forgotten.insert(lease.job);
        }
    }
}

/// What a process does that has just begun. What is settled and was not acknowledged is done again.
pub(crate) async fn begin(queue: &NatsQueue, model: &mut Model) {
    let settled: BTreeSet<JobId> = queue.begin(NOW, LEASE * 2).await.unwrap().into_iter().collect();
    for job in model.settled.keys() {
        assert!(settled.contains(job), "{job} was settled, and is not");
    }
    let undone: Vec<JobId> = settled.into_iter().filter(|job| !model.settled.contains_key(job)).collect();
    for job in &undone {
        assert!(model.unsure.contains(job), "{job} was not settled, and is");
        model.live.remove(job);
    }
    queue.reopen(&undone, NOW).await.unwrap();
}

/// Holds what is in the queue against what was acknowledged.
pub(crate) async fn check(queue: &NatsQueue, model: &mut Model) {
    for (lease, result) in model.settled.values() {
        assert_eq!(queue.settle(lease, result).await.unwrap(), Settled::Already);
        let other = queue.settle(lease, &Digest::of(b"another")).await;
        assert!(matches!(other, Err(QueueError::Lost { .. })), "{other:?}");
    }
    let later = NOW + LEASE * 10;
    let ended = queue.sweep(later).await.unwrap();
    for lease in model.live.values().filter(|lease| !model.unsure.contains(&lease.job)) {
        let told = ended.iter().any(|of| of.job == lease.job && of.epoch == lease.epoch && of.holder == lease.holder);
        assert!(told, "{lease:?} was live, and nobody was told that it ended: {ended:?}");
    }
    queue.sweep(later).await.unwrap();
    let live = std::mem::take(&mut model.live);
    let mut handed_out = BTreeSet::new();
    while let Some(lease) = queue.take(offer(0), later).await.unwrap() {
        model.taken(&lease);
        handed_out.insert(lease.job);
    }
    for old in live.values() {
        let settled = queue.settle(old, &Digest::of(b"late")).await;
        assert!(matches!(settled, Err(QueueError::Lost { .. })), "{old:?} ended, and it settles: {settled:?}");
    }
    for job in &model.put {
        let is_done = model.settled.contains_key(job) || model.forgotten.contains(job);
        // Of what was to be forgotten, nothing has to be left.
        assert!(is_done || handed_out.contains(job) || model.unsure.contains(job), "{job} was put in, and is lost");
    }
    let waiting = queue.waiting().await.unwrap();
    let leased = u64::try_from(handed_out.len()).unwrap();
    assert_eq!(waiting, Waiting { ready: 0, later: 0, leased });
}

#[allow(clippy::disallowed_methods, reason = "a test is told how much it does")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// How often each is done.
pub(crate) fn rounds() -> u64 {
    number("REPROVE_FAULT_ROUNDS").unwrap_or(1)
}

/// With which numbers it begins: others each time.
#[allow(clippy::disallowed_methods, reason = "the clock's")]
pub(crate) fn seed() -> u64 {
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    number("REPROVE_FAULT_SEED").unwrap_or_else(clock)
}

/// What is done to the servers.
pub(crate) struct Fault<'a> {
    pub(crate) name: &'a str,
    /// Whether there is an answer while it lasts.
    pub(crate) leaves_quorum: bool,
    /// Undoes it.
    pub(crate) mend: &'a (dyn Fn() + Sync),
}

/// Works, has the fault happen, which `strike` does by a number, mends it, works on, and checks.
pub(crate) async fn round(
    fault: &Fault<'_>,
    options: &NatsOptions,
    strike: &impl AsyncFn(&NatsQueue, &NatsOptions, u64),
    seed: u64,
) {
    let (name, mut random) = (fault.name, Random(seed));
    let patient = NatsOptions { patience: RECOVERS_WITHIN, ..options.clone() };
    // Made with patience, since a cluster that has just been started has no leader; then there is little of it.
    drop(NatsQueue::connect(&patient).await.unwrap());
    is_whole(options).await;
    let brief = NatsOptions { patience: Duration::from_secs(6), most_removed: 8, ..options.clone() };
    let queue = Arc::new(NatsQueue::connect(&brief).await.unwrap());
    queue.begin(NOW, LEASE).await.unwrap();
    let (model, stop) = <(Arc<Mutex<Model>>, Arc<AtomicBool>)>::default();
    let work = Work { queue: Arc::clone(&queue), model: Arc::clone(&model), stop: Arc::clone(&stop) };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(work.clone().puts(0));
    for number in 1..=6 {
        tasks.spawn(work.clone().takes(number, Random(random.below(u64::MAX))));
    }
    tokio::time::sleep(Duration::from_millis(500 + random.below(500))).await;

    strike(&queue, options, random.below(u64::MAX)).await;
    let at = Instant::now();
    if !fault.leaves_quorum {
        let put = queue.put(vec![entry(1_000_000)]).await;
        assert!(matches!(put, Err(QueueError::Transport(_))), "nobody was there to say so: {put:?}");
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
        (fault.mend)();
    }
    let started = Instant::now();
    while let Err(error) = queue.put(vec![entry(2_000_000)]).await {
        let server = queue.server();
        assert!(started.elapsed() < RECOVERS_WITHIN, "there is no answer any more, of {server}: {error}");
        println!("{name}: {:?}: of {server}: {error}", started.elapsed());
    }
    println!("{name}: {:?} without an answer, {:?} since there could be one", at.elapsed(), started.elapsed());
    if fault.leaves_quorum {
        (fault.mend)();
    }
    tokio::time::sleep(Duration::from_millis(500 + random.below(500))).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }

    let mut model = std::mem::take(&mut *model.lock().unwrap());
    model.put.extend([job(2_000_000)]);
    let (put, settled) = (model.put.len(), model.settled.len());
    println!("{name}: {put} put, {settled} settled, {} times no answer", model.failures);
    let is_new = random.below(2) == 0;
    println!("{name}: checked by {}", if is_new { "a new process" } else { "the same process" });
    if !is_new {
        return check(&queue, &mut model).await;
    }
    drop(queue);
    let queue = NatsQueue::connect(&patient).await.unwrap();
    begin(&queue, &mut model).await;
    check(&queue, &mut model).await;
}

/// Waits until each server has all of the farm's stream, after whatever was done to them before.
async fn is_whole(options: &NatsOptions) {
    let began = Instant::now();
    let context = async_nats::jetstream::new(async_nats::connect(&options.servers).await.unwrap());
    loop {
        assert!(began.elapsed() < RECOVERS_WITHIN, "the servers do not come together again");
        if let Ok(stream) = context.get_stream(format!("KV_reprove_{}", options.farm)).await {
            let replicas = stream.cached_info().cluster.as_ref().map(|cluster| cluster.replicas.as_slice());
            let has_all =
                |of: &[async_nats::jetstream::stream::PeerInfo]| of.iter().all(|of| of.current && !of.offline);
            if options.replicas == 1 || replicas.is_some_and(|of| of.len() + 1 == options.replicas && has_all(of)) {
                return println!("the servers are whole after {:?}", began.elapsed());
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The number of a server that is called so.
pub(crate) fn index(server: &str) -> usize {
    server.trim_start_matches('n').parse().unwrap()
}

/// Which server leads the farm's stream.
pub(crate) async fn leader(options: &NatsOptions) -> usize {
    let client = async_nats::connect(&options.servers).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream(format!("KV_reprove_{}", options.farm)).await.unwrap();
    index(&stream.cached_info().cluster.as_ref().unwrap().leader.clone().unwrap())
}
