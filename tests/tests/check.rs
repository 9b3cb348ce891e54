// SPDX-License-Identifier: Apache-2.0
//! Projects that build to the same bytes, and projects that don't: what is different is named, and so is its cause.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::path::Path;

use reprove_tests::Bench;
use serde_json::{Value, json};

/// The verdict on a project, with the exit status that goes with it.
fn verdict(bench: &Bench, project: &Path) -> Value {
    let ran = bench.run(["check", project.to_str().unwrap(), "--json"]);
    let verdict = ran.json()["verdict"].clone();
    let _ = ran.with_code(if verdict["outcome"] == "reproducible" { 0 } else { 1 });
    verdict
}

/// The names of all causes of the findings of a verdict, in the order of [`ALL`]; `unstable` where nothing that was varied is one.
fn causes(verdict: &Value) -> Vec<&str> {
    assert_eq!((&verdict["outcome"], &verdict["rebuildsAgree"]), (&json!("different"), &json!(false)));
    let findings = verdict["findings"].as_array().unwrap();
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding["between"] == "rebuilds"), "{verdict}");
    let causes = findings.iter().filter_map(|finding| finding["causes"].as_array()).flatten();
    let name = |cause: &Value| match cause["type"].as_str().unwrap() {
        "varied" => cause["variation"].as_str().map(str::to_owned).unwrap(),
        other => other.to_owned(),
    };
    let found: Vec<String> = causes.map(name).collect();
    // Names are static in the tests that compare them.
    assert!(found.iter().all(|name| ALL.contains(&name.as_str())), "{found:?}");
    ALL.into_iter().filter(|known| found.iter().any(|name| name == known)).collect()
}

const ALL: [&str; 7] = ["build-path", "clock", "entropy", "file-order", "hostname", "processors", "unstable"];

/// The causes that are found for a project with these steps.
fn causes_of(steps: &[&str]) -> Vec<&'static str> {
    let bench = Bench::new();
    let project = bench.project("project", steps, "");
    for name in ["a", "b", "c"] {
        bench.write(&format!("project/files/{name}"), name);
    }
    let verdict = verdict(&bench, &project);
    let found = causes(&verdict);
    ALL.into_iter().filter(|known| found.contains(known)).collect()
}

#[test]
fn a_clock_that_is_fixed_makes_no_difference() {
    let bench = Bench::new();
    let steps =
        ["date +%s%N > out", "stat -c %Y source.txt out >> out; head -c 8 /dev/urandom >> out; uname -a >> out"];
    let project = bench.project("project", &steps, "");
    bench.write("project/source.txt", "x");
    let path = project.to_str().unwrap();
    assert_eq!(verdict(&bench, &project)["outcome"], "different");
    let verdict = bench.run(["check", path, "--json", "--deterministic"]).with_code(0).json()["verdict"].clone();
    assert_eq!((&verdict["outcome"], &verdict["varied"]), (&json!("reproducible"), &json!(["build-path"])));
    let text = bench.run(["check", path, "--deterministic"]).with_code(0).stdout;
    assert!(
        text.contains("with another build path; not varied: layout of addresses, clock, ")
            && text.contains("deterministic      clock, entropy and machine"),
        "{text}"
    );
    let key = bench.run(["key", "show"]).with_code(0).stdout;
    let key = bench.write("key.pub", key);
    let text = bench.run(["audit", "project.proof.json", "--key", key.to_str().unwrap()]).with_code(0).stdout;
    assert!(text.contains("deterministic      clock, entropy and machine"), "{text}");
}

#[test]
fn a_reproducible_project_is_called_so() {
    let bench = Bench::new();
    let project = bench.example("hello-c");
    let verdict = verdict(&bench, &project);
    assert_eq!((&verdict["outcome"], &verdict["findings"]), (&json!("reproducible"), &json!([])));
    assert_eq!((&verdict["matchesPublished"], &verdict["rebuildsAgree"]), (&Value::Null, &json!(true)));
    let varied = verdict["varied"].as_array().unwrap();
    for name in ["build-path", "clock", "file-order", "hostname"] {
        assert!(varied.contains(&json!(name)), "{varied:?}");
    }
    assert!(bench.path("work/hello-c-1.0.proof.json").is_file());
}

#[test]
fn a_build_that_embeds_its_path_and_the_date_has_both_causes_named() {
    let bench = Bench::new();
    let project = bench.example("hello-c-dated");
    assert_eq!(causes(&verdict(&bench, &project)), ["build-path", "clock"]);
    let ran = bench.run(["check", project.to_str().unwrap()]).with_code(1);
    for words in [
        "different  hello-c-dated\n",
        "exactly when the build path differs",
        "exactly when the build path, or the clock differs",
        "/build/another/second",
    ] {
        assert!(ran.stdout.contains(words), "{words:?} is not in:\n{}", ran.stdout);
    }
}

#[test]
fn what_is_otherwise_each_time_is_looked_into() {
    assert_eq!(causes_of(&["head -c 16 /dev/urandom > out"]), ["entropy"]);
}

#[test]
fn what_no_condition_explains_is_called_unstable() {
    let step = "python3 -c 'import time; sum(range(300000)); print(time.process_time_ns())' > out";
    assert_eq!(causes_of(&[step]), ["unstable"]);
}

#[test]
fn a_build_that_fails_is_signed() {
    let bench = Bench::new();
    // The first build fails, or the second alone.
    for (step, builds) in [("exit 7", 1), ("touch out; test $(uname -n) = reprove-first || exit 7", 2)] {
        let project = bench.project("project", &[step], "");
        let ran = bench.run(["check", project.to_str().unwrap(), "--json"]).with_code(3);
        let error = ran.json();
        let proof = error["proof"].as_str().unwrap_or_else(|| panic!("{error:#}")).to_owned();
        let key = bench.public_key();
        let text = bench.run(["audit", &proof, "--key", key.to_str().unwrap()]).with_code(1).stdout;
        assert!(text.starts_with(&format!("verified  {proof}: unbuildable\n")), "{text}");
        assert!(text.contains("step 1 ended with status 7"), "{text}");
        assert_eq!(text.matches("\n  build  ").count(), builds, "{text}");
    }
}

#[test]
fn an_order_of_files_is_a_cause() {
    assert_eq!(causes_of(&["ls -U files > out"]), ["file-order"]);
}

#[test]
fn a_host_name_is_a_cause() {
    assert_eq!(causes_of(&["uname -n > out"]), ["hostname"]);
}

#[test]
fn a_build_path_is_a_cause() {
    assert_eq!(causes_of(&["pwd > out"]), ["build-path"]);
}

#[test]
fn a_clock_is_a_cause() {
    assert_eq!(causes_of(&["date -u +%Y-%m > out"]), ["clock"]);
}

#[test]
fn a_number_of_processors_is_a_cause() {
    if std::thread::available_parallelism().unwrap().get() == 1 {
        println!("skipped: this machine has one processor");
        return;
    }
    assert_eq!(causes_of(&["nproc > out"]), ["processors"]);
}

#[test]
fn each_of_two_causes_is_found() {
    assert_eq!(causes_of(&["uname -n > out", "pwd >> out"]), ["build-path", "hostname"]);
}

/// A clock that begins at the same time in the first build and in the one with nothing changed is no race.
#[test]
fn a_time_of_day_beside_a_path_is_the_clocks() {
    assert_eq!(causes_of(&["date +%s > out", "pwd >> out"]), ["build-path", "clock"]);
}

#[test]
fn source_date_epoch_is_what_the_recipe_says() {
    let bench = Bench::new();
    let project = bench.project("project", &["printf %s \"$SOURCE_DATE_EPOCH\" > out"], "");
    let recipe = std::fs::read_to_string(project.join("reprove.toml")).unwrap();
    let recipe = recipe.replace("[build]\n", "[build]\nsource-date-epoch = { at = 1000000000 }\n");
    bench.write("project/reprove.toml", recipe);
    let ran = bench.run(["check", "project", "--artifacts", "made", "--json"]).with_code(0);
    let used = json!({ "seconds": 1_000_000_000, "origin": "recipe" });
    assert_eq!(ran.json()["verdict"]["sourceDateEpoch"], used);
    assert_eq!(std::fs::read_to_string(bench.path("work/made/first/out")).unwrap(), "1000000000");
}

#[test]
fn an_archive_that_differs_in_its_times_alone_is_told_what_sets_them() {
    let bench = Bench::new();
    let archive = "exec /usr/bin/python3 -Ic 'import zipfile; zipfile.ZipFile(\"out\", \"w\").writestr(\"a\", \"\")'";
    bench.project("project", &[archive], "");
    let next = "  next: set `build.source-date-epoch = { at = SECONDS }` in the recipe\n";
    let ran = bench.run(["check", "project"]).with_code(1);
    assert!(ran.stdout.contains("zip entry times") && ran.stdout.contains(next), "{}", ran.stdout);
    bench.project("other", &["uname -n > out"], "");
    let ran = bench.run(["check", "other"]).with_code(1);
    assert!(!ran.stdout.contains(next), "{}", ran.stdout);
}

#[test]
fn two_at_a_time_share_a_store() {
    let bench = Bench::new();
    let projects = ["one", "two"].map(|name| bench.project(name, &["cat files > out"], ""));
    for name in ["one/files", "two/files"] {
        bench.write(name, vec![b'x'; 1 << 20]);
    }
    let command = |project: &Path| bench.command(["check", project.to_str().unwrap()]);
    let running = projects.map(|project| reprove_tests::Running::start(command(&project)));
    for run in running {
        let ran = run.wait(std::time::Duration::from_secs(120)).with_code(0);
        assert!(ran.stdout.starts_with("reproducible  "), "{}", ran.stdout);
    }
    let left: Vec<_> =
        ["one", "two"].into_iter().filter(|name| !bench.path(&format!("work/{name}.proof.json")).is_file()).collect();
    assert_eq!(left, Vec::<&str>::new());
}
