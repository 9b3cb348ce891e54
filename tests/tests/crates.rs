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

/// One that cargo 1.93 or newer has packed, and one that an older one has: bit for bit, and an audit takes that for no more than it is.
#[test]
fn a_crate_comes_out_of_its_own_contents() {
    let bench = Bench::new();
    let key = bench.public_key();
    for (name, tools) in [("itoa", 1), ("semver", 2)] {
        let version = if name == "itoa" { "1.0.17" } else { "1.0.27" };
        let (purl, proof) = (format!("pkg:cargo/{name}@{version}"), format!("{name}.proof.json"));
        let more = ["--json", "-o", &proof, "--artifacts", name];
        let said = rebuild(&bench, &purl, &more).with_code(0).json();
        assert_eq!(said["verdict"]["outcome"], json!("reproducible"));
        assert_eq!(said["published"]["derived"], json!(["bytes", "contents", "tools"]));
        let tried = said["verdict"]["toolsTried"].as_array().unwrap();
        assert_eq!((tried.len(), &tried.last().unwrap()["matched"]), (tools, &json!(true)), "{tried:?}");
        let lock: Value =
            serde_json::from_slice(&fs::read(bench.path("work").join(name).join("lock.json")).unwrap()).unwrap();
        let inputs = lock["inputs"].as_array().unwrap();
        let has = |start: &str| inputs.iter().any(|input| input["name"].as_str().unwrap().starts_with(start));
        assert!(has("cargo-web_") && has("git_") && has("pack.py") && has("zlib-rs+"));
        let artifact = format!("{name}/published/{name}-{version}.crate");
        let audit = ["audit", &proof, &artifact, "--key", key.to_str().unwrap(), "--json"];
        assert_eq!(bench.run(audit).with_code(1).json()["code"], json!("own-contents-only"));
        let accepted = [&audit[..], &["--accept", "own-contents"]].concat();
        assert_eq!(bench.run(accepted).with_code(0).json()["verified"], json!(true));
    }
}

#[test]
fn what_is_no_crate_is_said() {
    let bench = Bench::new();
    let ran = rebuild(&bench, "pkg:cargo/itoa@99.0.0", &[]).with_code(2);
    assert!(ran.stderr.contains("the registry has no itoa 99.0.0, or it was taken back"), "{}", ran.stderr);
    let ran = rebuild(&bench, "pkg:cargo/itoa@1", &[]).with_code(2);
    assert!(ran.stderr.contains("names no version of a crate"), "{}", ran.stderr);
}
