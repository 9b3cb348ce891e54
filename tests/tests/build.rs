// SPDX-License-Identifier: Apache-2.0
//! One build: its record and its outputs are written, all of them or nothing, and nothing that the next build would read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use reprove_model::{BuildRecord, Digest, Exit, Lock, Node, TreePath, canonical};
use reprove_tests::{Bench, Leftovers, Ran, Running, processes, sorted_names, wait_until};

fn record(folder: &Path) -> BuildRecord {
    canonical::from_slice(&fs::read(folder.join("record.json")).unwrap()).unwrap()
}

/// Builds what is in `work/project`, with `more` arguments; it must end with `code`.
#[track_caller]
fn build(bench: &Bench, code: i32, more: &[&str]) -> Ran {
    bench.run([&["build", "project"], more].concat()).with_code(code)
}

/// Nothing but the project is in the working directory.
#[track_caller]
fn nothing_was_written(bench: &Bench) {
    assert_eq!(sorted_names(&bench.path("work")), ["project"]);
    assert!(!bench.path("work/project/reprove-out").exists());
}

/// The log that a message names.
fn named_log(ran: &Ran) -> PathBuf {
    let line = ran.stderr.lines().find_map(|line| line.split_once("the whole log is ")).map(|(_, path)| path);
    line.unwrap_or_else(|| panic!("no log is named:\n{}", ran.stderr)).into()
}

#[test]
fn a_build_gives_its_outputs_and_their_record() {
    let bench = Bench::new();
    let _ = bench.example("hello-c");
    let ran = bench.run(["build", "hello-c"]).with_code(0);
    assert!(ran.stdout.starts_with("built  hello-c\n") && ran.stderr.contains("building …\n"), "{ran:?}");
    assert!(!ran.stdout.contains("reproducible"), "one build says nothing of that");
    let out = bench.path("work/reprove-out");
    assert_eq!(sorted_names(&out), ["lock.json", "outputs", "record.json"]);
    assert_eq!(sorted_names(&out.join("outputs")), ["hello"]);
    let (hello, record) = (out.join("outputs/hello"), record(&out));
    assert_eq!((record.exit, record.outputs.entries().len()), (Exit::Success, 1));
    let Some(Node::File { mode, digest, .. }) = record.outputs.entries().get(&TreePath::new("hello").unwrap()) else {
        panic!("{:?}", record.outputs)
    };
    assert_eq!(digest.blake3, Digest::of(&fs::read(&hello).unwrap()));
    assert_eq!(u32::from(*mode), hello.metadata().unwrap().permissions().mode() & 0o7777);
    assert!(ran.stdout.contains(&format!("sha256 {}\n", digest.sha256)), "{}", ran.stdout);
    let said = std::process::Command::new(&hello).output().unwrap();
    assert_eq!(said.stdout, b"Hello, world\n");
    let lock = fs::read(out.join("lock.json")).unwrap();
    assert_eq!(record.lock.blake3, Digest::of(&lock));
    assert_eq!(canonical::from_slice::<Lock>(&lock).unwrap().recipe.package.name, "hello-c");
    let log = ran.stdout.lines().find_map(|line| line.trim().strip_prefix("log ")).unwrap().trim();
    assert_eq!(record.log.digest.blake3, Digest::of(&fs::read(log).unwrap()));
    assert!(!bench.path("key.pem").exists(), "what signs nothing needs no key");
}

#[test]
fn a_build_sees_what_the_first_of_a_check_sees() {
    let bench = Bench::new();
    bench.project("project", &["pwd > out; uname -n >> out; printf %s \"$SOURCE_DATE_EPOCH\" >> out"], "");
    let path = bench.path("work/project/reprove.toml");
    let recipe = fs::read_to_string(&path).unwrap();
    fs::write(&path, recipe.replace("[build]\n", "[build]\nsource-date-epoch = { at = 1000000000 }\n")).unwrap();
    let _ = build(&bench, 0, &[]);
    let _ = bench.run(["check", "project", "--artifacts", "made"]).with_code(1);
    let read = |path: &str| fs::read(bench.path(path)).unwrap();
    assert_eq!(read("work/reprove-out/outputs/out"), read("work/made/first/out"));
    assert_eq!(read("work/reprove-out/outputs/out"), b"/build/first/source\nreprove-first\n1000000000");
    assert_eq!(read("work/reprove-out/lock.json"), read("work/made/lock.json"));
}

#[test]
fn a_build_that_fails_says_why_and_writes_nothing() {
    let bench = Bench::new();
    bench.project("project", &["touch out; echo begun", "no-such-program --version", "true"], "");
    let ran = build(&bench, 3, &[]);
    for words in [
        "error: the build failed: step 2 ended with status 127\n",
        "  | begun\n",
        "no-such-program: not found\n",
        "  next: where something was not found: a build sees its own source and its environment alone",
    ] {
        assert!(ran.stderr.contains(words), "{words:?} is not in:\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("no network") && ran.stdout.is_empty(), "{ran:?}");
    assert!(fs::read_to_string(named_log(&ran)).unwrap().starts_with("begun\n"));
    nothing_was_written(&bench);
}

#[test]
fn a_build_that_runs_out_of_memory_is_told_so() {
    let bench = Bench::new();
    bench.project("project", &["cat /dev/zero > /dev/shm/file; exit $?"], "[limits]\nmemory-mib = 32\n");
    let ran = build(&bench, 3, &[]);
    for words in ["went over its limit of 32 MiB of memory\n", "  next: raise `limits.memory-mib` in the recipe"] {
        assert!(ran.stderr.contains(words), "{words:?} is not in:\n{}", ran.stderr);
    }
    nothing_was_written(&bench);
}

#[test]
fn a_build_that_has_no_room_or_says_too_much_is_told_the_limit() {
    let bench = Bench::new();
    bench.project("project", &["cat /dev/zero > file"], "[limits]\ndisk-mib = 1\n");
    let ran = build(&bench, 3, &[]);
    assert!(ran.stderr.contains("  next: raise `limits.disk-mib` in the recipe"), "{}", ran.stderr);
    bench.project("project", &["head -c 2M /dev/zero | tr '\\0' '\\n'; false"], "[limits]\nlog-mib = 1\n");
    let ran = build(&bench, 3, &[]);
    assert!(ran.stderr.contains("; it was cut after 1 MiB: raise `limits.log-mib`"), "{}", ran.stderr);
    nothing_was_written(&bench);
}

/// As with `check`: nothing to compare is nothing to keep.
#[test]
fn a_build_without_an_output_file_fails() {
    let bench = Bench::new();
    for (step, words) in [
        ("mkdir out", "error: a build left no file as output, so there is nothing to compare; check `outputs`"),
        (
            "touch out",
            "error: `out` is a file; `outputs.directory` names a directory\n  next: write `paths = [\"out\"]`",
        ),
    ] {
        let project = bench.project("project", &[step], "");
        let path = project.join("reprove.toml");
        let recipe = fs::read_to_string(&path).unwrap();
        fs::write(&path, recipe.replace("paths = [\"out\"]", "directory = \"out\"")).unwrap();
        for command in ["build", "check"] {
            let ran = bench.run([command, "project"]).with_code(3);
            assert!(ran.stderr.contains(words), "{words:?} is not in:\n{}", ran.stderr);
        }
    }
    nothing_was_written(&bench);
}

#[test]
fn a_build_that_wants_a_network_is_told_that_there_is_none() {
    let bench = Bench::new();
    let step = "exec /usr/bin/python3 -Ic 'import socket; socket.getaddrinfo(\"reprove.invalid\", 80)'";
    bench.project("project", &[step], "");
    let ran = build(&bench, 3, &[]);
    assert!(ran.stderr.contains("  next: a build has no network: fetch what it needs before"), "{}", ran.stderr);
    nothing_was_written(&bench);
}

#[test]
fn a_build_past_its_time_is_ended_and_writes_nothing() {
    let bench = Bench::with_own_program();
    bench.project("project", &["touch out; echo begun; sleep 86399"], "[limits]\nseconds = 1\n");
    let before = Leftovers::before();
    let running = Running::start(bench.command(["build", "project"]));
    let id = running.id();
    let ran = running.wait(Duration::from_secs(60)).with_code(3);
    assert!(ran.stderr.contains("it was ended after its limit of 1 seconds\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("  next: raise `limits.seconds` in the recipe\n"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(named_log(&ran)).unwrap(), "begun\n");
    assert_eq!(bench.leftovers(id, &before), Vec::<String>::new());
    nothing_was_written(&bench);
}

#[test]
fn an_interrupt_leaves_nothing() {
    let bench = Bench::with_own_program();
    bench.project("project", &["touch out; sleep 86399"], "");
    let before = Leftovers::before();
    let mut running = Running::start(bench.command(["build", "project"]));
    running.wait_for("building");
    let marker = bench.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    let sleeps = |process: &String| process.contains("sleep") && !process.contains("sh -ec");
    assert!(wait_until(Duration::from_secs(30), || processes(&marker).iter().any(sleeps)), "{}", running.stderr());
    let id = running.id();
    running.signal(Signal::SIGINT);
    let ran = running.wait(Duration::from_secs(5)).with_code(130);
    assert!(ran.stderr.contains("error: interrupted; nothing was kept"), "{}", ran.stderr);
    assert_eq!(bench.leftovers(id, &before), Vec::<String>::new());
    nothing_was_written(&bench);
}

#[test]
fn what_is_there_is_not_overwritten() {
    let bench = Bench::new();
    bench.project("project", &["touch out"], "");
    let _ = build(&bench, 0, &[]);
    let before = fs::read(bench.path("work/reprove-out/record.json")).unwrap();
    let ran = build(&bench, 2, &[]);
    assert!(ran.stderr.contains("reprove-out, is not empty\n  next: "), "{}", ran.stderr);
    assert!(!ran.stderr.contains("building"), "it is found before anything is built");
    assert_eq!(fs::read(bench.path("work/reprove-out/record.json")).unwrap(), before);
    fs::create_dir(bench.path("work/empty")).unwrap();
    let _ = build(&bench, 0, &["--out", "empty"]);
    assert_eq!(sorted_names(&bench.path("work/empty")), ["lock.json", "outputs", "record.json"]);
}

/// By default the outputs lie in the project, and the next source is still the same.
#[test]
fn what_a_build_writes_is_no_part_of_the_next_source() {
    let bench = Bench::new();
    let project = bench.project("project", &["cp -r . ../all; mv ../all out; rm -f out/reprove.toml"], "");
    bench.write("project/a.c", "");
    let in_project = |arguments: &[&str]| {
        let mut command = bench.command([&["build"], arguments].concat());
        command.current_dir(&project);
        Running::start(command).wait(Duration::from_secs(120))
    };
    let _ = in_project(&[]).with_code(0);
    let _ = in_project(&["--out", "../second"]).with_code(0);
    let (first, second) = (record(&project.join("reprove-out")), record(&bench.path("work/second")));
    assert_eq!((&first.lock, first.outputs.digest()), (&second.lock, second.outputs.digest()));
    assert_eq!(sorted_names(&bench.path("work/second/outputs/out")), ["a.c"]);
    for inside in ["other", "deep/reprove-out"] {
        let ran = in_project(&["--out", inside]).with_code(2);
        assert!(ran.stderr.contains(&format!("error: {inside} is in the source, and would be")), "{}", ran.stderr);
        assert!(ran.stderr.contains("  next: name a directory outside of the source with --out"), "{}", ran.stderr);
        assert!(!project.join(inside).exists() && !ran.stderr.contains("building"), "{}", ran.stderr);
    }
}

#[test]
fn what_git_ignores_may_be_written() {
    let bench = Bench::new();
    let project = bench.project("project", &["touch out"], "");
    let mut git = bench.program_in_this_place("git");
    git.args(["init", "--quiet"]).current_dir(&project);
    let _ = Running::start(git).wait(Duration::from_secs(60)).with_code(0);
    let _ = build(&bench, 2, &["--out", "project/made"]);
    bench.write("project/.gitignore", "/made/\n");
    let _ = build(&bench, 0, &["--out", "project/made"]);
    let _ = build(&bench, 0, &["--out", "again"]);
    assert_eq!(record(&project.join("made")).lock, record(&bench.path("work/again")).lock);
}

#[test]
fn a_link_in_the_place_of_the_outputs_is_not_followed() {
    let bench = Bench::new();
    bench.project("project", &["touch out"], "");
    fs::create_dir(bench.path("outside")).unwrap();
    std::os::unix::fs::symlink(bench.path("outside"), bench.path("work/reprove-out")).unwrap();
    let _ = build(&bench, 2, &[]);
    assert_eq!(sorted_names(&bench.path("outside")), Vec::<String>::new());
}

#[test]
fn what_a_build_reads_and_leaves_is_listed() {
    let bench = Bench::new();
    let _ = bench.example("hello-c");
    fs::write(bench.path("work/hello-c/left-alone.txt"), "nobody reads this").unwrap();
    let ran = bench.run(["build", "hello-c", "--inputs", "--unused"]).with_code(0);
    let (read, unused) = ran.stdout.split_once("locked, and not touched:").unwrap();
    let line = |text: &str, end: &str| text.lines().any(|line| line.ends_with(end));
    for path in ["/source/hello.c", "/source/Makefile", "/usr/bin/make"] {
        assert!(line(read, path), "{path}: {read}");
    }
    assert!(read.lines().any(|line| line.trim_start().starts_with("absent")), "{read}");
    assert!(unused.contains("  source      left-alone.txt\n") && !line(unused, "hello.c"), "{unused}");
    let refused = bench.run(["build", "hello-c", "--unused", "--record", "declared", "--out", "other"]).with_code(2);
    assert!(refused.stderr.contains("nobody sees what the build reads"), "{refused:?}");
}
