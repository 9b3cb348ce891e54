// SPDX-License-Identifier: Apache-2.0
//! `compare` as others see it: what it answers on pairs with one known cause each, and what it writes for other programs and
//! for people.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test's way to fail"
)]

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use reprove_tests::{Bench, workspace};
use serde_json::Value;

/// The pairs are made here, out of what is installed, so the packages differ from machine to machine, and the answers don't.
#[test]
fn pairs_with_one_known_cause_are_answered_as_expected() {
    answered_as_expected(&[]);
}

/// The pairs are made out of what others have published, which is downloaded for it.
#[test]
fn pairs_of_published_packages_are_answered_as_expected() {
    answered_as_expected(&["--packages".as_ref()]);
}

fn answered_as_expected(options: &[&OsStr]) {
    let bench = Bench::new();
    let pairs = bench.path("pairs");
    let python = |script: &str, arguments: &[&OsStr]| {
        let ran = Command::new("python3").arg(workspace().join(script)).args(arguments).output().unwrap();
        let (said, beside) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{script}: {said}{beside}");
        // What could not be downloaded is left out, and never silently.
        print!("{beside}");
        said.into_owned()
    };
    let made = python("tests/corpus/make.py", &[&[pairs.as_os_str()], options].concat());
    let count: u32 = made.trim_end_matches(" pairs\n").parse().unwrap();
    assert!(count >= 60, "{made}");
    let command = bench.command(["compare"]);
    let said = python("scripts/compare-corpus", &[command.get_program(), pairs.as_os_str()]);
    assert!(said.contains(&format!("{count} pairs, 0 not as expected")), "{said}");
}

#[test]
fn reports_for_other_programs_and_for_people_say_what_differs() {
    let bench = Bench::new();
    bench.write("a b/one.txt", "one\n<two>\n");
    bench.write("two.txt", "one\n<TWO>\n");
    let arguments = ["compare", "a b/one.txt", "two.txt", "--sarif", "out.sarif", "--html", "out.html"];
    // They are replaced when they are written again.
    for _ in 0..2 {
        let _ = bench.run(arguments).with_code(1);
    }
    let sarif: Value = serde_json::from_slice(&fs::read(bench.path("work/out.sarif")).unwrap()).unwrap();
    assert_eq!((&sarif["version"], sarif["runs"].as_array().unwrap().len()), (&"2.1.0".into(), 1));
    let (run, result) = (&sarif["runs"][0], &sarif["runs"][0]["results"][0]);
    assert_eq!((&run["tool"]["driver"]["name"], &run["properties"]["level"]), (&"reprove".into(), &"different".into()));
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], result["ruleId"]);
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "a%20b/one.txt");
    assert_eq!(location["region"]["startLine"], 2);
    assert!(result["message"]["text"].as_str().unwrap().contains("left: <two>\n  right: <TWO>"), "{result}");

    let page = fs::read_to_string(bench.path("work/out.html")).unwrap();
    assert!(page.contains("<td>&lt;<mark>two</mark>&gt;</td><td>&lt;<mark>TWO</mark>&gt;</td>"), "{page}");
    assert!(page.contains("<a href=\"#f1\">one.txt</a>") && page.contains("<section id=\"f1\">"), "{page}");
    for absent in ["<script", "<two>", "http:", "https:", "url(", "@import"] {
        assert!(!page.contains(absent), "{absent} is in the page");
    }
}

#[test]
fn reports_of_what_is_the_same_say_so_and_take_no_other_files_place() {
    let bench = Bench::new();
    bench.write("a", "same");
    let _ = bench.run(["compare", "a", "a", "--sarif", "out.sarif", "--html", "out.html"]).with_code(0);
    let sarif: Value = serde_json::from_slice(&fs::read(bench.path("work/out.sarif")).unwrap()).unwrap();
    assert_eq!(sarif["runs"][0]["results"], Value::Array(Vec::new()));
    assert!(fs::read_to_string(bench.path("work/out.html")).unwrap().contains("<h1>bit-identical</h1>"));
    for option in ["--sarif", "--html"] {
        let ran = bench.run(["compare", "a", "a", option, "a"]).with_code(2);
        assert!(ran.stderr.contains("it is not overwritten"), "{}", ran.stderr);
    }
}
