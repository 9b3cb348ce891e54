// SPDX-License-Identifier: Apache-2.0
//! Bad input, builds that fail, and a machine that can't: a clear message, the right exit status, and nothing left.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reprove_tests::{Bench, Leftovers, Ran, Running, is_root};

/// Runs `reprove`, which must end with `code` and leave nothing but what the store keeps.
#[track_caller]
fn fails(bench: &Bench, code: i32, arguments: &[&str]) -> Ran {
    fails_as(bench, code, bench.command(arguments))
}

#[track_caller]
fn fails_as(bench: &Bench, code: i32, command: Command) -> Ran {
    let before = Leftovers::before();
    let running = Running::start(command);
    let id = running.id();
    let ran = running.wait(Duration::from_secs(300)).with_code(code);
    assert!(ran.stderr.lines().any(|line| line.starts_with("error: ")), "{}", ran.stderr);
    assert_eq!(ran.stdout, "", "nothing but results on standard output");
    // A build that failed is signed; nothing else leaves a proof.
    if let Some((_, proof)) = ran.stderr.lines().find_map(|line| line.split_once("that it failed is signed in ")) {
        assert_eq!(code, 3);
        fs::remove_file(bench.path("work").join(proof)).unwrap();
    }
    assert_eq!(bench.leftovers(id, &before), Vec::<String>::new());
    ran
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for words in words {
        assert!(ran.stderr.contains(words), "{words:?} is not in:\n{}", ran.stderr);
    }
}

#[test]
fn a_recipe_that_does_not_parse_says_file_line_and_what_was_expected() {
    let bench = Bench::new();
    let project = bench.project("project", &["true"], "");
    let path = project.join("reprove.toml");
    let recipe = fs::read_to_string(&path).unwrap();
    let shown = path.to_str().unwrap();
    for (from, to, expected) in [
        ("[build]", "[build", "line 5"),
        ("steps", "stepz", "expected one of `steps`"),
        ("paths = [\"out\"]", "paths = \"out\"", "expected a sequence"),
    ] {
        assert!(recipe.contains(from));
        bench.write("project/reprove.toml", recipe.replacen(from, to, 1));
        let ran = fails(&bench, 2, &["check", "project"]);
        says(&ran, &[shown, "line ", expected]);
    }
    assert!(!bench.path("store/blobs").exists(), "nothing is done with a recipe that can't be");
}

#[test]
fn a_recipe_that_cannot_be_says_which_field() {
    let bench = Bench::new();
    bench.project("project", &["true"], "[limits]\nseconds = 0\n");
    says(&fails(&bench, 2, &["check", "project"]), &["reprove.toml: ", "`limits.seconds` must be from 1 to"]);
    let recipe = fs::read_to_string(bench.path("work/project/reprove.toml")).unwrap();
    let search = recipe.replace("[build]", "[build]\nsource-date-epoch = \"search\"").replace("seconds = 0", "");
    bench.write("project/reprove.toml", search);
    says(&fails(&bench, 2, &["check", "project"]), &["needs something published to search in"]);
}

#[test]
fn a_project_without_a_recipe_says_so() {
    let bench = Bench::new();
    let ran = fails(&bench, 2, &["check", "."]);
    says(&ran, &["can't read the recipe", "work/reprove.toml", "next: "]);
}

#[test]
fn what_is_no_package_is_refused() {
    let bench = Bench::new();
    for (purl, words) in [
        ("idna", "is not a package URL"),
        ("pkg:pypi", "is not a package URL"),
        ("pkg:gem/rake@13.0.0", "and pkg:deb/debian/NAME@VERSION can"),
        ("pkg:npm/left-pad@latest", "is not a name and a whole version"),
        ("pkg:pypi/idna", "has no version; give one"),
        ("pkg:pypi/--upgrade@1", "not a package name or version"),
    ] {
        says(&fails(&bench, 2, &["rebuild", purl]), &[words]);
    }
}

#[test]
fn a_package_that_does_not_exist_is_told_from_a_version_that_does_not() {
    let bench = Bench::new();
    let ran = fails(&bench, 2, &["rebuild", "pkg:pypi/reprove-no-such-package@1.0"]);
    says(&ran, &["the package index has no package \"reprove-no-such-package\""]);
    let ran = fails(&bench, 2, &["rebuild", "pkg:pypi/idna@0.0.9999"]);
    says(&ran, &["idna has no version 0.0.9999; the newest are 3."]);
}

#[test]
fn an_index_that_cannot_be_reached_is_this_machines_fault() {
    let bench = Bench::new();
    let mut command = bench.command(["rebuild", "pkg:pypi/idna@3.20"]);
    // Nothing listens there, and one try is enough to see it.
    let index = "http://127.0.0.1:9/simple";
    command
        .env("PIP_INDEX_URL", index)
        .env("PIP_RETRIES", "0")
        .env_remove("PIP_FIND_LINKS")
        .env("PIP_EXTRA_INDEX_URL", "");
    says(&fails_as(&bench, 4, command), &["the package index can't be read"]);
}

/// The log that a message names.
fn named_log(ran: &Ran) -> PathBuf {
    let line = ran.stderr.lines().find_map(|line| line.split_once("whole log is ")).map(|(_, path)| path);
    line.unwrap_or_else(|| panic!("no log is named:\n{}", ran.stderr)).into()
}

#[test]
fn a_build_that_fails_shows_the_end_of_its_log_and_where_all_of_it_is() {
    let bench = Bench::new();
    bench.project("project", &["seq 1 500", "echo this is why >&2; exit 7"], "");
    let ran = fails(&bench, 3, &["check", "project"]);
    says(&ran, &["that it failed is signed in project.proof.json\n"]);
    says(&ran, &["the build failed: step 2 ended with status 7", "  | 500\n", "  | this is why\n"]);
    assert!(!ran.stderr.contains("  | 1\n"), "only the end is shown");
    let expected: String = (1..=500).map(|n| format!("{n}\n")).collect();
    assert_eq!(fs::read_to_string(named_log(&ran)).unwrap(), expected + "this is why\n");
}

#[test]
fn a_build_that_fails_only_the_second_time_is_no_difference() {
    let bench = Bench::new();
    bench.project("project", &["touch out; test $(uname -n) = reprove-first"], "");
    let ran = fails(&bench, 3, &["check", "project"]);
    says(&ran, &["the build failed when it was done again under other conditions: step 1 ended with status 1"]);
}

#[test]
fn a_build_past_its_time_is_ended() {
    let bench = Bench::with_own_program();
    bench.project("project", &["echo begun", "sleep 86399"], "[limits]\nseconds = 1\n");
    let ran = fails(&bench, 3, &["check", "project"]);
    says(&ran, &["it was ended after its limit of 1 seconds", "  | begun\n"]);
    assert_eq!(fs::read_to_string(named_log(&ran)).unwrap(), "begun\n");
}

#[test]
fn an_output_that_is_missing_is_a_failure() {
    let bench = Bench::new();
    bench.project("project", &["true"], "");
    let ran = fails(&bench, 3, &["check", "project"]);
    says(&ran, &["the build ended well, but its output can't be kept", "out", "next: check `outputs`"]);
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let bench = Bench::new();
    bench.project("project", &["touch out"], "");
    let _ = bench.run(["key", "new", "--no-passphrase"]).with_code(0);
    fs::set_permissions(bench.path("key.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    let ran = fails(&bench, 2, &["check", "project"]);
    says(&ran, &["others can read the private key", "(mode 640)", "next: chmod 600 "]);
    assert!(!ran.stderr.contains("building"), "{}", ran.stderr);
}

/// Runs `reprove` where `place` is a file system of its own, of `size`.
fn on_a_small_disk(bench: &Bench, place: &str, size: &str, arguments: &[&str]) -> Command {
    let place = bench.path(place);
    let mut command = bench.program_in_this_place("unshare");
    // The mount ends with its namespace, and that with the last process in it.
    let script = "cp \"$1/host-usr.json\" /dev/shm/$$; mount -t tmpfs -o mode=700,size=$2 tmpfs \"$1\"; \
                  mv /dev/shm/$$ \"$1/host-usr.json\"; shift 2; exec \"$@\"";
    let script =
        if place.ends_with("store") { script } else { "mount -t tmpfs -o size=$2 tmpfs \"$1\"; shift 2; exec \"$@\"" };
    command.args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"]).arg(&place).arg(size);
    command.arg(reprove_tests::program()).args(arguments);
    command
}

#[test]
fn a_full_disk_is_named_wherever_it_fills() {
    if !is_root() {
        println!("skipped: a small disk takes root to mount");
        return;
    }
    let bench = Bench::new();
    bench.project("output", &["head -c 8M /dev/urandom > out"], "");
    bench.project("log", &["touch out; seq 1 2000000"], "");
    bench.project("source", &["touch out"], "");
    bench.write("source/large", vec![b'x'; 8 << 20]);
    fs::create_dir(bench.path("work/full")).unwrap();
    for (what, place, size, arguments) in [
        ("an output", "store", "4m", &["check", "output"][..]),
        ("a log", "store", "4m", &["check", "log"]),
        ("a source", "store", "4m", &["check", "source"]),
        ("a package", "store", "100k", &["rebuild", "pkg:pypi/idna@3.20"]),
        ("a proof", "work/full", "8k", &["check", "source", "-o", "full/source.proof.json"]),
        ("artifacts", "work/full", "1m", &["check", "output", "--artifacts", "full"]),
        ("the outputs of one build", "work/full", "1m", &["build", "output", "--out", "full"]),
    ] {
        println!("{what} on a full disk");
        let ran = fails_as(&bench, 4, on_a_small_disk(&bench, place, size, arguments));
        says(&ran, &["No space left on device", "next: free some space"]);
    }
}
