// SPDX-License-Identifier: Apache-2.0
//! Targets of Bazel: built by Bazel, and the action that makes one run again here.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::time::Duration;

use reprove_tests::{Bench, Ran, Running, workspace};
use serde_json::{Value, json};

const BUILD: &str = r#"
genrule(name = "sorted", srcs = ["in.txt"], outs = ["sorted.txt"], cmd = "sort $(SRCS) > $@")
genrule(name = "dated", srcs = [":sorted"], outs = ["dated.txt"], cmd = "(date; cat $(SRCS)) > $@")
genrule(name = "two", srcs = ["in.txt"], outs = ["a.txt", "b.txt"], cmd = "touch $(OUTS)")
"#;

fn bazel() -> std::path::PathBuf {
    let bazel = workspace().join("target/bazel/bazel");
    assert!(bazel.exists(), "there is no {}; scripts/setup makes it", bazel.display());
    bazel
}

fn rebuild(bench: &Bench, target: &str, more: &[&str]) -> Ran {
    let mut command = bench.command([&["rebuild", target], more].concat());
    command.env("REPROVE_BAZEL", bazel());
    Running::start(command).wait(Duration::from_secs(300))
}

/// One file that comes out as Bazel has it, with nothing but what its action reads; its twin with a date; and what one action
/// does not make.
#[test]
fn a_target_comes_out_of_what_its_action_reads() {
    let bench = Bench::new();
    let key = bench.public_key();
    // No server stays behind.
    bench.write(".bazelrc", "startup --batch\n");
    bench.write("WORKSPACE", "");
    bench.write("BUILD", BUILD);
    bench.write("in.txt", "b\na\n");
    bench.write("beside.txt", "no input");
    let ran = rebuild(&bench, "//:sorted", &[]).with_code(4);
    assert!(ran.stderr.contains("build the target first: bazel build"), "{}", ran.stderr);
    let mut build = bench.program_in_this_place(bazel());
    build.args(["build", "//:sorted", "//:dated", "//:two"]);
    let _ = Running::start(build).wait(Duration::from_secs(300)).with_code(0);
    let more = ["--json", "-o", "sorted.json", "--artifacts", "made"];
    let said = rebuild(&bench, "//:sorted", &more).with_code(0).json();
    assert_eq!(said["verdict"]["outcome"], json!("reproducible"));
    assert_eq!(fs::read_to_string(bench.path("work/made/published/sorted.txt")).unwrap(), "a\nb\n");
    let lock: Value = serde_json::from_slice(&fs::read(bench.path("work/made/lock.json")).unwrap()).unwrap();
    let tree = lock["inputs"][0]["content"]["digest"]["blake3"].as_str().unwrap();
    let tree = fs::read_to_string(bench.path("store/trees").join(format!("{tree}.json"))).unwrap();
    assert!(tree.contains("in.txt") && !tree.contains("beside.txt"), "{tree}");
    let audit = ["audit", "sorted.json", "made/published/sorted.txt", "--key", key.to_str().unwrap(), "--json"];
    assert_eq!(bench.run(audit).with_code(0).json()["verified"], json!(true));
    let said = rebuild(&bench, "//:dated", &["--json", "-o", "dated.json"]).with_code(1).json();
    assert!(serde_json::to_string(&said["verdict"]["findings"]).unwrap().contains("\"clock\""), "{said}");
    let ran = rebuild(&bench, "//:two", &[]).with_code(2);
    assert!(ran.stderr.contains("its action makes 2 files"), "{}", ran.stderr);
}
