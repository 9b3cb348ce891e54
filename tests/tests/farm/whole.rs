// SPDX-License-Identifier: Apache-2.0
//! From a submission to an audit.

use std::fs;
use std::time::Duration;

use reprove_tests::{Bench, Running};
use serde_json::Value;

use super::served::{Farm, build_of};

const PACKAGE: &str = "pkg:pypi/idna@3.20";

#[test]
fn what_one_machine_rebuilds_is_audited_offline() {
    let farm = Farm::new(&[]);
    let submitted = farm.run(&["submit", PACKAGE, "--wait"]).with_code(0);
    assert!(submitted.stdout.contains("pkg:pypi/idna@3.20: bit-identical"), "{}", submitted.stdout);
    let build = build_of(&submitted);
    // The same again is the same.
    let again = farm.run(&["submit", PACKAGE]).with_code(0);
    assert_eq!((build_of(&again), again.stdout.contains("(was asked for before)")), (build.clone(), true));
    let status = farm.run(&["status", &build, "-o", "idna.proof.json"]).with_code(0);
    assert!(status.stdout.contains("bit-identical by inside, in namespaces"), "{}", status.stdout);
    let key = farm.bench.public_key();
    let audited = farm.bench.run(["audit", "idna.proof.json", "--key", key.to_str().unwrap()]).with_code(0);
    assert!(audited.stdout.contains("idna-3.20-py3-none-any.whl"), "{}", audited.stdout);
    let all = farm.run(&["status", "--json"]).with_code(0).json();
    assert_eq!((&all["status"]["jobsReady"], &all["workers"][0]["name"]), (&Value::from(0), &Value::from("inside")));
    // What there is no such package for comes to no verdict, and is not tried again.
    let none = farm.run(&["submit", "pkg:pypi/idna@0.0.999", "--wait"]).with_code(1);
    assert!(none.stdout.contains("failed"), "{}", none.stdout);
    let cancelled = farm.run(&["cancel", &build]).with_code(1);
    assert!(cancelled.stdout.contains("was finished already"), "{}", cancelled.stdout);

    // A copy of the database holds all of it.
    let mut back_up = farm.bench.command(["farm", "backup", "copy.db"]);
    back_up.env("REPROVE_FARM_DATA", farm.data());
    let _ = Running::start(back_up).wait(Duration::from_secs(30)).with_code(0);
    let mut process = farm.process;
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(process.ended(Duration::from_secs(30)).unwrap().code, Some(0));
    fs::create_dir(farm.bench.path("other")).unwrap();
    fs::rename(farm.bench.path("work").join("copy.db"), farm.bench.path("other/farm.db")).unwrap();
    fs::copy(farm.bench.path("farm/token"), farm.bench.path("other/token")).unwrap();
    fs::rename(farm.bench.path("farm"), farm.bench.path("lost")).unwrap();
    fs::rename(farm.bench.path("other"), farm.bench.path("farm")).unwrap();
    let mut restored = Farm { process, ..farm };
    let address = restored.url.clone();
    let mut command = restored.bench.command(["farm", "serve", "--without-worker", "--listen"]);
    command.arg(address.trim_start_matches("http://")).env("REPROVE_FARM_DATA", restored.data());
    restored.process = Running::start(command);
    reprove_tests::wait_until(Duration::from_secs(30), || restored.process.stdout().contains("a farm at"));
    let status = restored.run(&["status", &build, "-o", "again.proof.json"]).with_code(0);
    assert!(status.stdout.contains("bit-identical"), "{}", status.stdout);
    let read = |name: &str| fs::read(restored.bench.path("work").join(name)).unwrap();
    assert_eq!(read("again.proof.json"), read("idna.proof.json"));
}

#[test]
fn two_rebuilders_with_keys_of_their_own_are_audited_together() {
    let farm = Farm::new(&["--without-worker"]);
    let submitted = farm.run(&["submit", PACKAGE, "--rebuilders", "2"]).with_code(0);
    let build = build_of(&submitted);
    let benches = [Bench::new(), Bench::new()];
    let mut trust = String::new();
    let mut workers = Vec::new();
    for (bench, name) in benches.iter().zip(["one", "other"]) {
        let token = farm.token(name, "work");
        let key = fs::read_to_string(bench.public_key()).unwrap();
        trust.push_str(&format!("[[key]]\npublic = '''\n{key}'''\noperator = \"{name}\"\nplatform = \"{name}\"\n"));
        let arguments = ["--jobs", "1", "--operator", name, "--platform", name];
        workers.push(farm.worker(bench, name, &token, &arguments));
    }
    for worker in workers {
        let ended = worker.wait(Duration::from_secs(300)).with_code(0);
        assert!(ended.stdout.ends_with(": 1 job\n"), "{}", ended.stdout);
    }
    let _ = farm.run(&["status", &build, "-o", "idna.proof.json"]).with_code(0);
    farm.bench.write("trust.toml", trust);
    farm.bench.write("policy.toml", "rebuilders = 2\ndistinct = [\"operator\", \"platform\"]\n");
    let audit = ["audit", "idna.proof.json", "--trust", "trust.toml", "--policy", "policy.toml"];
    let audited = farm.bench.run(audit).with_code(0);
    assert!(audited.stdout.contains("one") && audited.stdout.contains("other"), "{}", audited.stdout);
    farm.bench.write("policy.toml", "rebuilders = 3\n");
    let _ = farm.bench.run(audit).with_code(1);
}

#[test]
fn what_can_not_be_is_said_with_what_to_do_next() {
    let farm = Farm::new(&["--without-worker"]);
    let reader = farm.token("reader", "read");
    let asks = |token: &str, arguments: &[&str]| {
        let mut command = farm.command(arguments);
        command.env("REPROVE_FARM_TOKEN", token);
        Running::start(command).wait(Duration::from_secs(60))
    };
    let refused = asks(&reader, &["submit", PACKAGE]).with_code(2);
    assert!(
        refused.stderr.contains("reader may not submit") && refused.stderr.contains("next: "),
        "{}",
        refused.stderr
    );
    let unknown = asks(&format!("reprove_farm_{}", "00".repeat(32)), &["status"]).with_code(2);
    assert!(unknown.stderr.contains("is not known here"), "{}", unknown.stderr);
    let nonsense = asks("secret", &["status"]).with_code(2);
    assert!(nonsense.stderr.contains("it is no token of a farm"), "{}", nonsense.stderr);
    let nobody = farm.run(&["status", "--farm", "http://127.0.0.1:9"]).with_code(4);
    assert!(nobody.stderr.contains("next: is it the right address"), "{}", nobody.stderr);
    let worker = farm.worker(&farm.bench, "w", &reader, &["--until-idle"]).wait(Duration::from_secs(60)).with_code(2);
    assert!(worker.stderr.contains("reader may not work"), "{}", worker.stderr);
    // A second one with the same database.
    let mut second = farm.bench.command(["farm", "serve", "--listen", "127.0.0.1:0"]);
    second.env("REPROVE_FARM_DATA", farm.data());
    let second = Running::start(second).wait(Duration::from_secs(60)).with_code(4);
    assert!(second.stderr.contains("another process is using this database"), "{}", second.stderr);
    // A token that is revoked does nothing any more.
    let mut revoke = farm.bench.command(["farm", "token", "revoke", "reader"]);
    revoke.env("REPROVE_FARM_DATA", farm.data());
    let _ = Running::start(revoke).wait(Duration::from_secs(30)).with_code(0);
    let _ = asks(&reader, &["status"]).with_code(2);
}
