// SPDX-License-Identifier: Apache-2.0
//! The network between a farm and its workers is cut while they work, for longer than a lease, and healed: what was asked for is
//! decided once all the same. Each is on a host of its own. Seeds are printed; `scripts/farm-faults` does many rounds.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reprove_farm::{Database, FarmError};
use reprove_log::Log;
use reprove_tests::{Bench, Cut, Doorway, Network, Ran, Running, wait_until};

use super::killed::{LEASE, PACKAGE, first_seed, moment, rounds};
use super::served::build_of;

/// The hosts.
const FARM: usize = 0;
const ONE: usize = 1;
const OTHER: usize = 2;
/// How long a job may take on a machine that does others.
const LONG: Duration = Duration::from_secs(180);

/// A farm on a host, and two workers' hosts, from which a package index is reached however the network is.
struct Hosts {
    network: Network,
    doorways: [Doorway; 2],
    bench: Bench,
    workers: [Bench; 2],
    tokens: [String; 2],
    url: String,
    process: Running,
}

impl Hosts {
    fn new() -> Self {
        let (network, bench) = (Network::new(3), Bench::new());
        let url = format!("{}:7077", network.address(FARM));
        certificates(&bench, &network.address(FARM).to_string());
        let certificate = ["--tls-certificate", "farm.pem", "--tls-key", "farm.key"];
        let mut serve = bench.command(["farm", "serve", "--listen", &url]);
        serve.args(certificate).args(LEASE).env("REPROVE_FARM_DATA", bench.path("farm"));
        let process = Running::start(network.on(FARM, &serve));
        assert!(wait_until(LONG, || process.stdout().contains("a farm at")), "{}", process.stderr());
        let doorways = [ONE, OTHER].map(|host| Doorway::new(network.listener(host)));
        let tokens = ["one", "other"].map(|name| {
            let mut token = bench.command(["farm", "token", "new", name, "--roles", "work", "--operator", name]);
            token.env("REPROVE_FARM_DATA", bench.path("farm"));
            Running::start(token).wait(LONG).with_code(0).stdout.trim().to_owned()
        });
        let workers = [Bench::new(), Bench::new()];
        Self { network, doorways, bench, workers, tokens, url: format!("https://{url}"), process }
    }

    /// `reprove farm …`, asked on the farm's own host.
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.bench.command(["farm"]);
        command.args(arguments).args(["--ca", "ca.pem"]);
        let token = fs::read_to_string(self.bench.path("farm/token")).unwrap();
        command.env("REPROVE_FARM", &self.url).env("REPROVE_FARM_TOKEN", token.trim());
        Running::start(self.network.on(FARM, &command)).wait(LONG)
    }

    /// A worker on a host, for one job.
    fn worker(&self, host: usize) -> Running {
        let number = host - ONE;
        let name = ["one", "other"][number];
        let mut command = self.workers[number].command(["farm", "worker", "--name", name, "--jobs", "1", "--ca"]);
        command.arg(self.bench.path("work/ca.pem"));
        command.env("REPROVE_FARM", &self.url).env("REPROVE_FARM_TOKEN", &self.tokens[number]);
        self.doorways[number].show(&mut command);
        Running::start(self.network.on(host, &command))
    }

    fn is_decided(&self, build: &str) -> bool {
        self.run(&["status", build]).code == Some(0)
    }

    /// Submits a build, has a worker begin with it, cuts it off at some moment, and has another one there; later heals it.
    fn round(&self, seed: u64, when: impl FnOnce(&mut Running), cut: impl FnOnce(&Network)) {
        println!("REPROVE_FAULT_SEED={seed}");
        let build = build_of(&self.run(&["submit", PACKAGE, "--again"]).with_code(0));
        let mut one = self.worker(ONE);
        one.wait_for(&build);
        when(&mut one);
        cut(&self.network);
        let (at, other) = (Instant::now(), self.worker(OTHER));
        // Longer than a lease, and at times so long that the other one is done.
        let time = Duration::from_millis(6000 + seed.wrapping_mul(1301) % 18_000);
        let (mut decided, mut ended, mut healed) = (None, None, None);
        while decided.is_none() || ended.is_none() || healed.is_none() {
            assert!(at.elapsed() < LONG, "seed {seed}: {}\n{}", one.stderr(), other.stderr());
            if healed.is_none() && at.elapsed() >= time {
                self.network.heal();
                healed = Some(Instant::now());
            }
            if decided.is_none() && self.is_decided(&build) {
                println!("decided {:?} after the cut, which lasts {time:?}", at.elapsed());
                decided = Some(());
            }
            if ended.is_none() {
                ended = one.ended(Duration::from_millis(200));
                let after = healed.map(|at| at.elapsed());
                ended.iter().for_each(|_| println!("who was cut off had its answer {after:?} after it was healed"));
            }
        }
        let ended = ended.unwrap();
        assert_eq!(ended.code, Some(0), "seed {seed}: {}", ended.stderr);
        let says = |text: &str| usize::from(text.contains(&format!("{build}-1: decided")));
        let say = || says(&ended.stderr) + says(&other.stderr());
        // It is in the database before anybody is told.
        assert!(wait_until(LONG, || say() > 0) && say() == 1, "seed {seed}: {}\n{}", ended.stderr, other.stderr());
        self.is_decided_once(&build, seed);
    }

    fn is_decided_once(&self, build: &str, seed: u64) {
        let view = self.run(&["status", build, "--json"]).with_code(0).json();
        let attempts = view["jobs"][0]["attempts"].as_array().unwrap();
        let outcomes: Vec<_> =
            attempts.iter().map(|attempt| (&attempt["worker"], &attempt["outcome"], &attempt["class"])).collect();
        println!("{outcomes:?}");
        let decided = attempts.iter().filter(|attempt| attempt["outcome"] == "decided").count();
        assert_eq!(decided, 1, "seed {seed}: {attempts:?}");
        let epochs: Vec<u64> = attempts.iter().map(|attempt| attempt["epoch"].as_u64().unwrap()).collect();
        assert!(epochs.is_sorted_by(|a, b| a < b), "seed {seed}: {epochs:?}");
    }

    /// That the log and the database have each build once, and nothing else.
    fn have_each_once(mut self, builds: u64) {
        let log = self.bench.path("farm/log");
        let size = || Log::open(&log, None).unwrap().checkpoint().size;
        assert!(wait_until(Duration::from_secs(30), || size() == builds), "the log has {} of {builds}", size());
        self.process.signal(Signal::SIGTERM);
        assert_eq!(self.process.ended(Duration::from_secs(30)).unwrap().code, Some(0));
        Log::open(&log, None).unwrap().verify().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let database = Database::open(&self.bench.path("farm/farm.db")).unwrap();
        for sql in ["SELECT count(*) FROM report", "SELECT count(*) FROM attempt WHERE outcome = 'decided'"] {
            let count = database
                .read(move |connection| Ok::<_, FarmError>(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?));
            assert_eq!(u64::try_from(runtime.block_on(count).unwrap()).unwrap(), builds, "{sql}");
        }
        assert_eq!(size(), builds);
    }
}

/// An authority, and a certificate of the farm's by it.
fn certificates(bench: &Bench, address: &str) {
    let folder: PathBuf = bench.path("work");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    for arguments in [
        format!("req -x509 {key} -subj /CN=authority -keyout ca.key -out ca.pem"),
        format!(
            "req -x509 -CA ca.pem -CAkey ca.key {key} -subj /CN=farm -addext subjectAltName=IP:{address} \
             -addext basicConstraints=critical,CA:FALSE -keyout farm.key -out farm.pem"
        ),
    ] {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn rounds_of(round: impl Fn(&Hosts, u64)) {
    if !Network::can_be() {
        return println!("skipped: it takes root to make a network");
    }
    let (hosts, first) = (Hosts::new(), first_seed());
    (first..first + rounds()).for_each(|seed| round(&hosts, seed));
    hosts.have_each_once(rounds());
}

#[test]
fn a_worker_is_cut_off_and_each_build_is_decided_once() {
    rounds_of(|hosts, seed| {
        let cut = if seed.is_multiple_of(2) { Cut::Down } else { Cut::Silent };
        println!("cut: {cut:?}");
        hosts.round(seed, |_| std::thread::sleep(moment(seed)), |network| network.cut(ONE, cut));
    });
}

/// What the worker sends comes, and nothing of what it is answered.
#[test]
fn a_worker_hears_no_answer_and_each_build_is_decided_once() {
    rounds_of(|hosts, seed| {
        let last = |one: &mut Running| {
            one.wait_for("signing");
            std::thread::sleep(Duration::from_millis(seed.wrapping_mul(37) % 150));
        };
        hosts.round(seed, last, |network| network.mute(FARM, ONE));
    });
}

/// One that was cut off while it waited for a job, of which the farm is told nothing.
#[test]
fn a_worker_that_is_gone_is_handed_no_job() {
    if !Network::can_be() {
        return println!("skipped: it takes root to make a network");
    }
    let hosts = Hosts::new();
    let gone = hosts.worker(ONE);
    let is_there = || hosts.run(&["status", "--json"]).json()["workers"][0]["name"] == "one";
    assert!(wait_until(LONG, is_there), "{}", gone.stderr());
    // By now it waits, for half a minute.
    std::thread::sleep(Duration::from_secs(1));
    hosts.network.cut(ONE, Cut::Silent);
    std::thread::sleep(Duration::from_secs(22));
    let build = build_of(&hosts.run(&["submit", PACKAGE]).with_code(0));
    let mut other = hosts.worker(OTHER);
    other.wait_for(&build);
    let view = hosts.run(&["status", &build, "--json"]).json();
    let attempts = view["jobs"][0]["attempts"].as_array().unwrap();
    assert!(attempts.len() == 1 && attempts[0]["worker"] == "other", "{attempts:?}");
}
