// SPDX-License-Identifier: Apache-2.0
//! Files that somebody published, rebuilt from a project's directory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::path::Path;

use reprove_tests::{Bench, Ran};
use serde_json::{Value, json};

/// 2022-12-26T15:30:00Z.
const THEN: u64 = 1_672_068_600;

/// Packs a file with the year in it, all else with times of [`THEN`].
const PACKS_THE_YEAR: &str = "mkdir d; date +%Y > d/year; echo same > d/other; touch -d @1672068600 d/* d; \
     tar --sort=name --owner=0 --group=0 --numeric-owner --format=gnu --mtime=@1672068600 -cf demo-1.tar d";

/// Such a package, as it was made in `year`.
fn published(bench: &Bench, year: &str) {
    let script = PACKS_THE_YEAR.replace("date +%Y", &format!("echo {year}"));
    let folder = bench.path("work/made");
    fs::create_dir_all(&folder).unwrap();
    let status =
        std::process::Command::new("sh").args(["-ec", &format!("umask 022; {script}")]).current_dir(&folder).status();
    assert!(status.unwrap().success());
    fs::rename(folder.join("demo-1.tar"), bench.path("work/demo-1.tar")).unwrap();
}

fn project(bench: &Bench, steps: &[&str]) -> std::path::PathBuf {
    let project = bench.project("project", steps, "");
    let recipe = fs::read_to_string(project.join("reprove.toml")).unwrap();
    let outputs = recipe.find("[outputs]").unwrap();
    fs::write(project.join("reprove.toml"), format!("{}[outputs]\npaths = [\"demo-1.tar\"]\n", &recipe[..outputs]))
        .unwrap();
    project
}

fn rebuild(bench: &Bench, project: &Path, more: &[&str]) -> Ran {
    let recipe = ["rebuild", "demo-1.tar", "--recipe", project.to_str().unwrap(), "-o", "demo.proof.json"];
    bench.run(recipe.iter().chain(more).copied())
}

fn outcome(ran: &Value) -> (&Value, &Value) {
    (&ran["verdict"]["outcome"], &ran["verdict"]["matchesPublished"])
}

#[test]
fn a_file_that_comes_out_of_its_project_is_reproducible() {
    let bench = Bench::new();
    published(&bench, "2022");
    let project = project(&bench, &[&PACKS_THE_YEAR.replace("date +%Y", "echo 2022")]);
    let said = rebuild(&bench, &project, &["--json"]).with_code(0).json();
    assert_eq!(outcome(&said), (&json!("reproducible"), &json!(true)));
    assert_eq!((&said["dated"], &said["published"]["name"]), (&Value::Null, &json!("demo-1.tar")));
    let key = bench.public_key();
    let audit = ["audit", "demo.proof.json", "demo-1.tar", "--key", key.to_str().unwrap()];
    let _ = bench.run(audit).with_code(0);
}

#[test]
fn what_has_the_year_in_it_comes_out_as_published_in_that_year() {
    let bench = Bench::new();
    published(&bench, "2022");
    let project = project(&bench, &[PACKS_THE_YEAR]);
    let said = rebuild(&bench, &project, &["--json"]).with_code(1).json();
    assert_eq!(outcome(&said), (&json!("different"), &json!(false)));
    assert_eq!(said["dated"], json!({ "clock": THEN, "asPublished": true }));
    let between_rebuilds =
        said["verdict"]["findings"].as_array().unwrap().iter().filter(|f| f["between"] == "rebuilds");
    let causes: Vec<&Value> = between_rebuilds.map(|finding| &finding["causes"][0]["variation"]).collect();
    assert_eq!(causes, [&json!("clock")]);
    let text = rebuild(&bench, &project, &[]).with_code(1).stdout;
    let line =
        "with the clock at 2022-12-26T15:30:00Z, the artifact's newest time: it comes out as published, bit for bit";
    assert!(text.contains(line), "{text}");
}

#[test]
fn what_another_time_does_not_mend_is_said_to_be_left() {
    let bench = Bench::new();
    published(&bench, "2022");
    let steps = PACKS_THE_YEAR.replace("echo same", "echo SAME");
    let project = project(&bench, &[&steps]);
    let said = rebuild(&bench, &project, &["--json"]).with_code(1).json();
    assert_eq!(said["dated"], json!({ "clock": THEN, "gone": ["demo-1.tar!d/year"], "left": 1 }));
    // A clock that is pinned is left alone, and so it is where nothing is to be built.
    for more in [["--json", "--pin", "clock=the licence ends"].as_slice(), &["--json", "--explain", "fast"]] {
        assert_eq!(rebuild(&bench, &project, more).with_code(1).json()["dated"], Value::Null);
    }
}

#[test]
fn a_build_that_fails_at_that_time_says_why_and_where_its_log_is() {
    let bench = Bench::new();
    published(&bench, "2022");
    let project = project(&bench, &["test $(date +%Y) -gt 2022 || exit 9", PACKS_THE_YEAR]);
    let said = rebuild(&bench, &project, &["--json"]).with_code(1).json();
    let why = said["dated"]["failed"].as_str().unwrap();
    let (how, log) = why.split_once("; its log is ").unwrap();
    assert_eq!(how, "step 1 ended with status 9");
    assert!(log.contains("-dated-") || log.ends_with("-dated.log"), "{log}");
    assert!(Path::new(log).is_file(), "{log}");
}

#[test]
fn what_a_build_would_only_copy_is_refused() {
    let bench = Bench::new();
    published(&bench, "2022");
    let project = project(&bench, &["cp kept demo-1.tar"]);
    fs::copy(bench.path("work/demo-1.tar"), project.join("kept")).unwrap();
    let ran = rebuild(&bench, &project, &[]).with_code(2);
    assert!(ran.stderr.contains("in the source itself, as kept"), "{}", ran.stderr);
    assert!(!bench.path("work/demo.proof.json").exists());
}

#[test]
fn what_can_be_no_output_is_refused_before_anything_is_built() {
    let bench = Bench::new();
    published(&bench, "2022");
    let project = project(&bench, &["touch demo-1.tar"]);
    let recipe = project.join("reprove.toml");
    fs::copy(bench.path("work/demo-1.tar"), bench.path("work/other.tar")).unwrap();
    let refused = |file: &str, recipe: &Path, text: &str| {
        let ran =
            bench.run(["rebuild", file, "--recipe", recipe.to_str().unwrap(), "-o", "other.proof.json"]).with_code(2);
        assert!(ran.stderr.contains(text) && ran.stderr.contains("next: "), "{}", ran.stderr);
    };
    refused("other.tar", &project, "none is called other.tar");
    // The recipe's own name does as well.
    refused("other.tar", &recipe, "none is called other.tar");
    refused("missing.tar", &project, "missing.tar");
    refused(".", &project, "not a regular file");
    assert!(!bench.path("work/other.proof.json").exists());
}
