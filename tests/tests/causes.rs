// SPDX-License-Identifier: Apache-2.0
//! Causes as people and programs are told them: of projects whose causes are known, with conditions pinned, with mends tried.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::process::Command;

use reprove_tests::{Bench, workspace};
use serde_json::{Value, json};

/// Some of each kind; `scripts/causes` has all.
const SOME: [&str; 18] = [
    "clock-seconds",
    "clock-nanoseconds",
    "clock-tar",
    "path-assertion",
    "hostname-digest",
    "domain-uname",
    "user-name",
    "time-zone-offset",
    "locale-sort",
    "order-list",
    "hash-python-set",
    "addresses-pointer",
    "process-id-file",
    "entropy-device",
    "two-causes",
    "only-together",
    "cpu-time",
    "nothing",
];

#[test]
fn projects_of_known_causes_have_those_named() {
    let bench = Bench::new();
    let command = bench.command(["check"]);
    let mut script = Command::new(workspace().join("scripts/causes"));
    script.arg(command.get_program()).args(SOME);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let ran = script.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains(" 0 wrong, 0 unknown"), "{said}");
    assert!(said.contains(&format!("{} cases", SOME.len())) || said.contains("left out"), "{said}");
}

#[test]
fn what_is_pinned_is_not_varied_and_the_proof_says_why() {
    let bench = Bench::new();
    let project = bench.project("project", &["uname -n > out"], "[pinned]\nhostname = 'the licence is of one host'\n");
    let path = project.to_str().unwrap();
    let ran = bench.run(["check", path]).with_code(0);
    assert!(ran.stdout.contains("pinned             the host name: the licence is of one host"), "{}", ran.stdout);
    let key = bench.public_key();
    let audited = bench.run(["audit", "project.proof.json", "--key", key.to_str().unwrap()]).with_code(0).stdout;
    assert!(audited.contains("pinned             the host name: the licence is of one host"), "{audited}");
    let alone = bench.run(["check", path, "--vary", "locale", "-o", "alone.json"]).with_code(0).stdout;
    assert!(alone.contains("others (--vary names them)"), "{alone}");
    let audited = bench.run(["audit", "alone.json", "--key", key.to_str().unwrap()]).with_code(0).stdout;
    assert!(
        audited.contains("time zone, umask and user") && !audited.contains("others"),
        "an audit names all: {audited}"
    );
    let ran = bench.run(["check", path, "--json", "--pin", "user=one account builds"]).with_code(0).json();
    let varied: Vec<&str> = ran["verdict"]["varied"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    assert!(!varied.contains(&"hostname") && !varied.contains(&"user") && varied.contains(&"home"), "{varied:?}");
    let shown = bench.run(["proof", "show", "project.proof.json", "--json"]).with_code(0).stdout;
    let proof = std::fs::read_to_string(bench.path("work/project.proof.json")).unwrap();
    let proof: Value = serde_json::from_str(&proof).unwrap();
    assert!(shown.contains("\"envelopes\"") && proof["envelopes"].as_array().unwrap().len() == 3);
    let wrong = bench.run(["check", path, "--pin", "klock=x"]).with_code(2);
    assert!(wrong.stderr.contains("`klock` is no variation; there are addresses, "), "{}", wrong.stderr);
    let varied = bench.run(["check", path, "--json", "--vary", "domain,locale"]).with_code(0).json();
    assert_eq!(varied["verdict"]["varied"], json!(["domain", "locale"]));
}

#[test]
fn a_mend_that_is_tried_is_shown_to_work() {
    let bench = Bench::new();
    let steps = ["date -d @0 +%H > out; python3 -c 'print(set(\"several words of one set\".split()))' >> out"];
    let project = bench.project("project", &steps, "");
    let path = project.to_str().unwrap();
    let ran = bench.run(["check", path, "--try-mends", "--json"]).with_code(1).json();
    let tried = ran["tried"].as_array().unwrap();
    let of = |tried: &Value| (tried["set"].as_array().unwrap().len(), tried["left"].as_u64().unwrap());
    // Either mends one of two causes of one file, and so not the file; both together do.
    assert_eq!(tried.iter().map(of).collect::<Vec<_>>(), [(1, 1), (1, 1), (2, 0)], "{tried:#?}");
    assert_eq!(tried[2]["gone"], json!(["out"]));
    let steps = ["date -d @0 +%H > out"];
    let project = bench.project("project2", &steps, "");
    let text = bench.run(["check", project.to_str().unwrap(), "--try-mends"]).with_code(1).stdout;
    assert!(text.contains("proved: of what was varied, it differs exactly when the time zone differs"), "{text}");
    assert!(text.contains("tried build.env.TZ = \"UTC\": the rebuilds are the same with it"), "{text}");
    let fast = bench.run(["check", project.to_str().unwrap(), "--explain", "fast"]).with_code(1).stdout;
    assert!(fast.contains("cause: not looked for"), "{fast}");
    let _ = bench.run(["check", project.to_str().unwrap(), "--explain", "fast", "--try-mends"]).with_code(2);
}

#[test]
fn who_asked_for_what_a_cause_decides_is_named_where_it_was_seen() {
    let bench = Bench::new();
    let project = bench.project("project", &["uname -n > out"], "");
    let ran = bench.run(["check", project.to_str().unwrap(), "--record", "full"]).with_code(1).stdout;
    assert!(ran.contains("seen: /usr/bin/uname asks for uname"), "{ran}");
}

#[test]
fn a_home_directory_of_its_own_can_be_used_and_watched() {
    let bench = Bench::new();
    let steps = ["test -d $HOME && echo x > $HOME/made && cat $HOME/made > out && ls -a $HOME >> out"];
    let project = bench.project("project", &steps, "");
    for how in ["files", "full"] {
        let ran = bench.run(["check", project.to_str().unwrap(), "--record", how, "--json"]).with_code(0).json();
        assert!(ran["verdict"]["varied"].as_array().unwrap().contains(&json!("home")), "{ran}");
    }
}

#[test]
fn what_would_vary_nothing_is_refused() {
    let bench = Bench::new();
    let project = bench.project("project", &["touch out"], "");
    let ran = bench.run(["check", project.to_str().unwrap(), "--vary", "entropy"]).with_code(2);
    assert!(ran.stderr.contains("nothing would be another in the second build"), "{}", ran.stderr);
}
