// SPDX-License-Identifier: Apache-2.0
//! What `reprove doctor` finds missing, and how to mend it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reprove_tests::{Bench, Running};
use serde_json::{Value, json};

/// The finding on `what`.
#[track_caller]
fn finding(command: Command, code: i32, what: &str) -> Value {
    let ran = Running::start(command).wait(Duration::from_secs(30)).with_code(code).json();
    assert_eq!(ran["able"], code == 0);
    let findings = ran["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("{ran}")).clone()
}

#[test]
fn it_takes_no_digest_of_usr() {
    let bench = Bench::new();
    let _ = bench.run(["doctor", "--store", "fresh"]).with_code(0);
    assert!(!bench.path("work/fresh/host-usr.json").exists());
}

#[test]
fn an_old_pip_is_told() {
    let bench = Bench::new();
    let python = bench.write("python", "#!/bin/sh\necho pip 22.3.1 from /usr/lib\n");
    fs::set_permissions(&python, Permissions::from_mode(0o755)).unwrap();
    let mut command = bench.command(["doctor", "--json"]);
    command.env("REPROVE_PYTHON", &python);
    let finding = finding(command, 4, "fetching Python packages");
    assert_eq!(finding["found"], "pip 22.3.1; 23.0 or newer is needed");
    assert!(finding["mend"].as_str().unwrap().ends_with("/python -m pip install --upgrade pip"), "{finding}");
}

/// A client that is not there is no hindrance for those that need none.
#[test]
fn a_client_that_is_not_there_is_told() {
    let bench = Bench::new();
    for (what, name) in [
        ("fetching packages of npm", "REPROVE_NPM"),
        ("fetching crates", "REPROVE_CARGO"),
        ("environments and packages of Debian's", "REPROVE_APT"),
    ] {
        let there = finding(bench.command(["doctor", "--json"]), 0, what);
        assert_eq!((&there["works"], &there["needed"]), (&json!(true), &json!(false)), "{there}");
        let mut command = bench.command(["doctor", "--json"]);
        command.env(name, "/nonexistent/client");
        let finding = finding(command, 0, what);
        assert_eq!(finding["found"], format!("there is no /nonexistent/client, which {name} names"));
        assert!(finding["mend"].as_str().unwrap().contains(name), "{finding}");
    }
    // Without a variable, those on the search path.
    for (what, variable, name, package) in [
        ("images of registries", "REPROVE_SKOPEO", "skopeo", "skopeo"),
        ("rebuilding derivations of Nix's", "REPROVE_NIX", "nix-store", "nix-bin"),
        ("rebuilding targets of Bazel's", "REPROVE_BAZEL", "bazel", "bazel-bootstrap"),
    ] {
        let program = bench.write(&format!("clients/{name}"), "");
        let look = |path: &Path| {
            let mut command = bench.command(["doctor", "--json"]);
            command.env_remove(variable).env("PATH", path).env("REPROVE_PYTHON", "/usr/bin/python3");
            finding(command, 0, what)
        };
        let there = look(program.parent().unwrap());
        assert_eq!((&there["works"], &there["found"]), (&json!(true), &json!(program.display().to_string())));
        let missing = look(&bench.path("work/none"));
        assert_eq!((&missing["needed"], &missing["found"]), (&json!(false), &json!(format!("there is no {name}"))));
        assert_eq!(missing["mend"], format!("apt install {package}"));
    }
}

#[test]
fn no_place_for_the_store_and_the_key_is_told() {
    let bench = Bench::new();
    for (what, name) in [("a place for what is built", "REPROVE_STORE"), ("a key to sign with", "REPROVE_KEY")] {
        let mut command = bench.command(["doctor", "--json"]);
        command.env_remove("HOME").env_remove(name);
        let finding = finding(command, 4, what);
        assert!(finding["found"].as_str().unwrap().contains("HOME is not set"), "{finding}");
        assert!(finding["mend"].as_str().unwrap().contains(name), "{finding}");
    }
}

/// The rest is told all the same.
#[test]
fn a_store_that_can_t_be_written_is_told() {
    let bench = Bench::new();
    let file = bench.write("file", "");
    for store in ["/proc/nowhere", file.to_str().unwrap()] {
        let command = || bench.command(["doctor", "--json", "--store", store]);
        let place = finding(command(), 4, "a place for what is built");
        assert_eq!((&place["works"], &place["neededBy"]), (&Value::Bool(false), &json!(["build", "check", "rebuild"])));
        assert!(place["found"].as_str().unwrap().contains(store), "{place}");
        let mend = place["mend"].as_str().unwrap();
        assert!(mend.contains("--store DIR or REPROVE_STORE"), "{mend}");
        assert_eq!(finding(command(), 4, "builds in namespaces")["works"], true);
    }
    bench.project("project", &["touch out"], "");
    let ran = bench.run(["build", "project", "--store", "/proc/nowhere"]).with_code(4);
    assert!(ran.stderr.contains("error: the store can't be opened: /proc/nowhere: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("  next: name another with --store DIR or REPROVE_STORE\n"), "{}", ran.stderr);
}

#[test]
fn what_only_rebuild_needs_is_no_lack_of_the_others() {
    let bench = Bench::new();
    let mut command = bench.command(["doctor"]);
    command.env("REPROVE_PYTHON", "/bin/false");
    let ran = Running::start(command).wait(Duration::from_secs(30)).with_code(4);
    let last = "\n`build` and `check` work here; `rebuild` needs fetching Python packages.\n";
    assert!(ran.stdout.ends_with(last), "{}", ran.stdout);
}

#[test]
fn a_key_that_others_can_read_is_told() {
    let bench = Bench::new();
    let what = "a key to sign with";
    assert_eq!(finding(bench.command(["doctor", "--json"]), 0, what)["works"], true);
    let _ = bench.run(["key", "new", "--no-passphrase"]).with_code(0);
    assert_eq!(finding(bench.command(["doctor", "--json"]), 0, what)["works"], true);
    fs::set_permissions(bench.path("key.pem"), Permissions::from_mode(0o644)).unwrap();
    let finding = finding(bench.command(["doctor", "--json"]), 4, what);
    assert!(finding["mend"].as_str().unwrap().starts_with("chmod 600 "), "{finding}");
}

#[test]
fn programs_are_looked_for_in_the_path() {
    let bench = Bench::new();
    let mut command = bench.command(["doctor", "--json"]);
    // The sandbox and pip need none.
    command.env("PATH", bench.path("work")).env("REPROVE_PYTHON", "/usr/bin/python3");
    let ran = Running::start(command).wait(Duration::from_secs(30)).json();
    let findings = ran["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["found"] == "there is no git"), "{ran}");
}
