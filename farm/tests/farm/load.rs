// SPDX-License-Identifier: Apache-2.0
//! How the farm bears a load: measurements, which `scripts/farm-load` runs with a program that is optimised. `LOAD_JOBS` says
//! how many jobs; the cost of each has to stay the same however many there are.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use crate::api::served::Served;
use crate::support::{self, Farm, Hand, package};
use reprove_attest::RebuildVerdict::{BitIdentical, Different};
use reprove_farm::access::Role;
use reprove_farm::api::{Api, Options, Security, Submission, Submissions, serve};
use reprove_farm::{Brought, Client, Failure, FailureClass, Outcome, Request, tls};
use tokio::net::TcpListener;

#[expect(clippy::disallowed_methods, reason = "set by scripts/farm-load")]
fn jobs() -> usize {
    std::env::var("LOAD_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(2000)
}

/// Resident memory, in MiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn rate(what: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what}: {count} in {seconds:.2} s, {:.0}/s, {:.3} ms each; {} MiB",
        count as f64 / seconds,
        seconds * 1000.0 / count as f64,
        resident()
    );
}

/// So many workers ask at once.
const WORKERS: u8 = 64;

/// Has workers do jobs that are nothing, until so many are done.
async fn work(farm: &Farm, hands: &[Hand], count: usize) {
    let share = count / hands.len();
    let each = hands.iter().map(|hand| async move {
        for _ in 0..share {
            let job = hand.lease(farm).await.unwrap();
            let outcome = Outcome::Failure(Failure::new(FailureClass::BadRequest, "nothing to do"));
            hand.bring(farm, &job, (hand.report(&job, outcome), Brought::default())).await.unwrap();
        }
    });
    join_all(each.collect()).await;
}

async fn join_all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
#[ignore = "a measurement: scripts/farm-load"]
async fn jobs_that_are_nothing() {
    let (mut farm, jobs) = (Farm::new().await, jobs());
    let hands: Vec<Hand> = (0..WORKERS).map(Hand::new).collect();
    for hand in &hands {
        hand.register(&farm).await;
    }
    let start = Instant::now();
    for part in 0..jobs.div_ceil(1000) {
        let requests = (0..1000.min(jobs - part * 1000)).map(|n| Request::of(package(&format!("p{part}-{n}"))));
        farm.coordinator().submit(requests.collect(), "load", false).await.unwrap();
    }
    rate("submitted", jobs, start);
    let tenth = jobs / 10;
    let start = Instant::now();
    work(&farm, &hands, tenth).await;
    rate("leased and finished, the first tenth", tenth, start);
    let start = Instant::now();
    work(&farm, &hands, tenth * 8).await;
    rate("leased and finished, eight tenths", tenth * 8, start);
    let start = Instant::now();
    work(&farm, &hands, tenth).await;
    rate("leased and finished, the last tenth", tenth, start);
    let start = Instant::now();
    farm.restart().await;
    println!(
        "started again in {:.0} ms with a history of {jobs} jobs; {} MiB",
        start.elapsed().as_secs_f64() * 1000.0,
        resident()
    );
}

/// A worker that asks over connections.
struct Asking {
    client: Client,
    hand: Hand,
}

/// Submits jobs that are nothing, and does them: a tenth with one worker, a tenth with eight, and the others with all.
async fn ask(submitter: &Client, workers: &[Asking], jobs: usize) {
    for worker in workers {
        worker.client.register(worker.hand.registration()).await.unwrap();
    }
    let start = Instant::now();
    for part in 0..jobs.div_ceil(1000) {
        let requests = (0..1000.min(jobs - part * 1000)).map(|n| Request::of(package(&format!("p{part}-{n}"))));
        let submission = Submission { requests: requests.collect(), again: false };
        submitter.post::<Submissions>("/api/v1/builds", &submission).await.unwrap();
    }
    rate("submitted", jobs, start);
    for (tenths, at_once) in [(1, 1), (1, 8), (1, 64), (6, 64), (1, 64)] {
        let (count, start) = (jobs / 10 * tenths, Instant::now());
        let left = Cell::new(count);
        let each = workers.iter().take(at_once).map(|worker| do_some(worker, &left));
        join_all(each.collect()).await;
        rate(&format!("leased and finished, {tenths} in ten, {at_once} at once"), count, start);
    }
}

/// Has a worker do jobs that are nothing, until none is left.
async fn do_some(Asking { client, hand }: &Asking, left: &Cell<usize>) {
    while let Some(fewer) = left.get().checked_sub(1) {
        left.set(fewer);
        let job = client.lease(hand.name(), 0).await.unwrap().unwrap();
        let outcome = Outcome::Failure(Failure::new(FailureClass::BadRequest, "nothing to do"));
        let report = hand.sign(hand.report(&job, outcome), &job.request);
        client.report(hand.name(), report, &Brought::default()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "a measurement: scripts/farm-load"]
async fn jobs_that_are_nothing_over_connections() {
    let jobs = jobs();
    // All come from one address, and the clock stands still.
    let options = Options { requests_per_minute: u32::MAX, ..Options::default() };
    let mut served = Served::with(options, Security::default()).await;
    let submitter = served.client(Some(served.token(WORKERS, &[Role::Submit]).await));
    let mut workers = Vec::new();
    for n in 0..WORKERS {
        let client = served.client(Some(served.token(n, &[Role::Work]).await));
        workers.push(Asking { client, hand: Hand::new(n) });
    }
    // The farm has one thread for connections, as in the program, and whoever asks is on another.
    let asking = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ask(&submitter, &workers, jobs));
    });
    asking.await.unwrap();
    // Until it is seen that nobody is connected any more.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    served.restart().await;
    served.client(None).get("/healthz").await.unwrap();
    println!("answers again after {:.0} ms with a history of {jobs} jobs", start.elapsed().as_secs_f64() * 1000.0);
}

#[tokio::test]
#[ignore = "a measurement: scripts/farm-load"]
async fn pages_with_a_history() {
    let (farm, jobs) = (Farm::new().await, jobs());
    history(&farm, jobs).await;
    let hand = Hand::new(1);
    hand.register(&farm).await;
    let build = farm.submit(Request::of(package("shown"))).await;
    let job = loop {
        let job = hand.lease(&farm).await.unwrap();
        if job.lease.job.build == build {
            break job;
        }
    };
    hand.finish(&farm, &job, Different).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let options = Options { read_by_anyone: true, requests_per_minute: 1_000_000, ..Options::default() };
    let router = Api::new(farm.coordinator().clone(), options).router();
    let task = tokio::spawn(serve(listener, Security::default(), router, std::future::pending()));
    let client = Client::new(&url, None, tls::asking_nobody().unwrap()).unwrap();
    for path in [
        "/".to_owned(),
        "/builds".to_owned(),
        "/builds?word=different".to_owned(),
        "/builds?ecosystem=npm&word=unbuildable".to_owned(),
        "/builds?cause=content".to_owned(),
        "/builds?package=p17".to_owned(),
        "/packages/pypi/p16".to_owned(),
        format!("/builds/{build}"),
        "/operations".to_owned(),
    ] {
        let mut times = Vec::new();
        for _ in 0..21 {
            let start = Instant::now();
            client.get(&path).await.unwrap();
            times.push(start.elapsed());
        }
        times.sort();
        println!("{path}: median {:.1} ms, worst {:.1} ms", milliseconds(times[10]), milliseconds(times[20]));
    }
    task.abort();
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Writes builds that are finished straight into the database: what pages read, and nothing more.
async fn history(farm: &Farm, builds: usize) {
    let write = move |connection: &rusqlite::Connection| {
        let mut build = connection.prepare(
            "INSERT INTO build (id, key, generation, request, subject, ecosystem, package, version, priority, submitted, submitter)
             VALUES (printf('%032x', ?1), ?1, 0, x'7b7d', 'pkg:' || ?2 || '/p' || (?1 % 5000) || '@' || ?1, ?2, 'p' || (?1 % 5000), ?1, 1, ?3, 'load')",
        )?;
        let mut end =
            connection.prepare("UPDATE build SET state = 'decided', verdict = ?2, finished = ?3 WHERE number = ?1")?;
        let mut cause = connection.prepare("INSERT INTO cause VALUES (?1, 'content')")?;
        let words = ["bit-identical", "bit-identical", "bit-identical", "normalized-equal", "different", "unbuildable"];
        let ecosystems = ["pypi", "npm", "cargo", "deb"];
        for n in 1..=builds {
            let at = support::START.0 - i64::try_from(builds - n).unwrap() * 20_000;
            build.execute(rusqlite::params![i64::try_from(n).unwrap(), ecosystems[n % 4], at])?;
            let number = connection.last_insert_rowid();
            end.execute(rusqlite::params![number, words[n % 6], at])?;
            if words[n % 6] == "different" {
                cause.execute([number])?;
            }
        }
        Ok::<_, reprove_farm::FarmError>(())
    };
    farm.coordinator().database().write(write).await.unwrap();
}

#[tokio::test]
#[ignore = "a measurement: scripts/farm-load"]
async fn jobs_with_proofs() {
    let (farm, jobs) = (Farm::new().await, jobs().min(2000));
    let hand = Hand::new(1);
    hand.register(&farm).await;
    let requests = (0..jobs).map(|n| Request::of(package(&format!("p{n}"))));
    for part in requests.collect::<Vec<_>>().chunks(1000) {
        farm.coordinator().submit(part.to_vec(), "load", false).await.unwrap();
    }
    let start = Instant::now();
    for _ in 0..jobs {
        let job = hand.lease(&farm).await.unwrap();
        hand.finish(&farm, &job, BitIdentical).await;
    }
    rate("leased and decided with a proof, one after the other", jobs, start);
}
