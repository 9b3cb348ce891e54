// SPDX-License-Identifier: Apache-2.0
//! Releases of Python packages beside the pure wheel of a modern tool: old tools, times of files, source archives.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::time::Duration;

use reprove_tests::{Bench, Ran, Running};
use serde_json::{Value, json};

fn rebuilt(bench: &Bench, purl: &str) -> Ran {
    let command = bench.command(["rebuild", purl, "--output", "proof.json", "--artifacts", "artifacts", "--json"]);
    Running::start(command).wait(Duration::from_secs(600))
}

fn said(ran: Ran) -> Value {
    let ran = ran.with_code(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn audited(bench: &Bench, file: &str, more: &[&str]) -> Ran {
    let key = bench.public_key();
    let file = format!("artifacts/published/{file}");
    let command =
        bench.command([&["audit", "proof.json", file.as_str(), "--key", key.to_str().unwrap()][..], more].concat());
    Running::start(command).wait(Duration::from_secs(60))
}

#[test]
fn a_wheel_is_built_with_the_tools_of_its_day() {
    let bench = Bench::new();
    // A plug-in of its back end writes a file, and each version of it another one.
    let said = said(rebuilt(&bench, "pkg:pypi/execnet@2.1.2"));
    assert_eq!(said["verdict"]["outcome"], "reproducible");
    let tried = said["verdict"]["toolsTried"].as_array().unwrap();
    assert_eq!(tried.len(), 1, "{tried:?}");
    let name = tried[0]["name"].as_str().unwrap();
    for part in ["hatchling 1.27.0", "setuptools-scm 9.2.2", "(before 2025-11-12)"] {
        assert!(name.contains(part), "{name}");
    }
    assert_eq!(said["published"]["derived"], json!(["tools"]));
    let _ = audited(&bench, "execnet-2.1.2-py3-none-any.whl", &[]).with_code(0);
}

#[test]
fn times_that_a_wheel_has_from_files_are_taken_over_and_said() {
    let bench = Bench::new();
    let said = said(rebuilt(&bench, "pkg:pypi/six@1.17.0"));
    assert_eq!(said["verdict"]["outcome"], "reproducible");
    assert_eq!(said["published"]["derived"], json!(["times", "tools"]));
    let tried: Vec<_> = said["verdict"]["toolsTried"].as_array().unwrap().iter().map(|tried| &tried["name"]).collect();
    let tools = "setuptools 75.6.0 (before 2024-12-04";
    assert_eq!(tried, [&json!(format!("{tools})")), &json!(format!("{tools}; times taken over)"))]);
    let audited = audited(&bench, "six-1.17.0-py2.py3-none-any.whl", &[]).with_code(0);
    let text = "when its files were written";
    assert!(audited.stdout.contains(text), "{text:?} is not in:\n{}", audited.stdout);
}

#[test]
fn a_source_archive_comes_out_of_its_own_contents_and_no_more_is_said() {
    let bench = Bench::new();
    let file = "six-1.17.0.tar.gz";
    let said = said(rebuilt(&bench, &format!("pkg:pypi/six@1.17.0?file_name={file}")));
    assert_eq!(said["verdict"]["outcome"], "reproducible");
    assert_eq!(said["published"]["derived"], json!(["bytes", "contents", "times", "tools"]));
    let refused = audited(&bench, file, &[]).with_code(1);
    assert!(refused.stdout.contains("its own contents alone"), "{}", refused.stdout);
    let _ = audited(&bench, file, &["--accept", "own-contents"]).with_code(0);
}
