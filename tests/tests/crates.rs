// SPDX-License-Identifier: Apache-2.0
//! Crates: packed again from their own contents by a cargo of Debian's, and compared with what was published.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::time::Duration;

use reprove_tests::{Bench, Ran, Running};
use serde_json::{Value, json};

fn rebuild(bench: &Bench, purl: &str, more: &[&str]) -> Ran {
    // As the machine has it set up, whatever this place's home is.
    let own = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let home = own.unwrap_or_else(|| std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"));
    let mut command = bench.command([&["rebuild", purl], more].concat());
    command.env("CARGO_HOME", home).env("RUSTUP_HOME", rustup_home());
    Running::start(command).wait(Duration::from_secs(900))
}

fn rustup_home() -> std::path::PathBuf {
    let own = std::env::var_os("RUSTUP_HOME").map(std::path::PathBuf::from);
    own.unwrap_or_else(|| std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join(".rustup"))
}

/// A crate that cargo 1.93 or newer has packed: all that is another is the commit, which is in no crate, and so how the whole is
/// compressed.
#[test]
fn a_crate_comes_out_of_its_own_contents_but_for_its_commit() {
    let bench = Bench::new();
    let key = bench.public_key();
    let purl = "pkg:cargo/itoa@1.0.17";
    let said = rebuild(&bench, purl, &["--json", "-o", "itoa.proof.json", "--artifacts", "made"]).with_code(1).json();
    let verdict = &said["verdict"];
    assert_eq!((&verdict["outcome"], &verdict["rebuildsAgree"]), (&json!("different"), &json!(true)), "{verdict:#}");
    let names: Vec<&Value> = verdict["normalizations"].as_array().unwrap().iter().map(|each| &each["name"]).collect();
    assert_eq!(names, [&json!("gzip-compression"), &json!("cargo-vcs")]);
    assert_eq!(said["published"]["derived"], json!(["contents", "tools"]));
    let lock: Value = serde_json::from_slice(&fs::read(bench.path("work/made/lock.json")).unwrap()).unwrap();
    let tool = |name: &str| {
        lock["inputs"].as_array().unwrap().iter().any(|input| input["name"].as_str().unwrap().starts_with(name))
    };
    assert!(tool("cargo-web_") && tool("git_") && tool("pack.py"));
    let artifact = "made/published/itoa-1.0.17.crate";
    let audit = ["audit", "itoa.proof.json", artifact, "--key", key.to_str().unwrap(), "--json"];
    let audited = bench.run(audit).with_code(1).json();
    assert_eq!(audited["verdict"]["outcome"], json!("different"), "{audited:#}");
}

#[test]
fn what_is_no_crate_is_said() {
    let bench = Bench::new();
    let ran = rebuild(&bench, "pkg:cargo/itoa@99.0.0", &[]).with_code(2);
    assert!(ran.stderr.contains("the registry has no itoa 99.0.0, or it was taken back"), "{}", ran.stderr);
    let ran = rebuild(&bench, "pkg:cargo/itoa@1", &[]).with_code(2);
    assert!(ran.stderr.contains("names no version of a crate"), "{}", ran.stderr);
}
