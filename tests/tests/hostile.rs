// SPDX-License-Identifier: Apache-2.0
//! Files and texts that somebody else made: none hangs a command, reaches the terminal raw, or is shown by mistake.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use reprove_attest::log::{Checkpoint, RecordedSubject};
use reprove_attest::{Envelope, Proof, SigningKey};
use reprove_model::{Sha256, canonical};
use reprove_tests::{Bench, Ran, Running};
use serde_json::Value;

/// A command that is not to wait for anybody has ended after this time.
const SOON: Duration = Duration::from_secs(5);

#[track_caller]
fn assert_harmless(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        let bad = |c: char| {
            c.is_control() && c != '\n'
                || "\u{ad}\u{200b}\u{2028}\u{202e}\u{2060}\u{2066}\u{fe0f}\u{feff}\u{e0041}".contains(c)
        };
        assert!(!text.contains(bad), "{text:?}");
    }
}

#[test]
fn nothing_that_a_build_prints_acts_on_the_terminal() {
    let bench = Bench::new();
    let step = "printf '\\033]0;title\\007\\033[2J\\r\\342\\200\\256evil\\342\\200\\213 caf\\303\\251\\n'; false";
    bench.project("project", &[step], "");
    let ran = bench.run(["check", "project"]).with_code(3);
    assert_harmless(&ran);
    assert!(ran.stderr.contains("evil") && ran.stderr.contains(" café\n"), "{}", ran.stderr);
}

#[test]
fn no_name_and_no_reason_acts_on_the_terminal() {
    let bench = Bench::new();
    let key = bench.public_key();
    let name = "a\u{1b}[2J\u{202e}\u{9b}\u{2060}\u{e0041}b";
    bench.write(name, "\u{1b}[2J");
    bench.write("other", "other");
    for arguments in [&["audit", name, "--key", key.to_str().unwrap()][..], &["compare", name, "other"]] {
        let ran = bench.run(arguments).with_code(1);
        assert_harmless(&ran);
        assert!(ran.stdout.contains("a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}b"), "{}", ran.stdout);
    }
    for arguments in [&["compare", "missing\u{1b}[2J", "other"][..], &["check", name], &["rebuild", name], &[name]] {
        assert_harmless(&bench.run(arguments).with_code(2));
    }
    for (arguments, code, member) in [
        (&["audit", name, "--key", key.to_str().unwrap(), "--json"][..], 1, "proof"),
        (&["compare", "missing\u{9b}2J\u{7f}", "other", "--json"], 2, "error"),
    ] {
        let ran = bench.run(arguments).with_code(code);
        assert_harmless(&ran);
        assert!(ran.json()[member].as_str().unwrap().contains('\u{9b}'), "{}", ran.stdout);
    }
}

/// What a proof has of inputs, findings and words of logs: so many of each, in texts that would act on a terminal.
fn evil(proof: &Proof, count: usize) -> Proof {
    const EVIL: &str = "\u{1b}[2J\u{9b}2J\u{202e}\u{2060}evil\n";
    let key = SigningKey::ed25519([7; 32]);
    let mut envelopes = Vec::new();
    for envelope in &proof.envelopes {
        let mut statement: Value = serde_json::from_slice(envelope.payload()).unwrap();
        statement["subject"][0]["name"] = EVIL.into();
        for place in ["/predicate/buildDefinition/resolvedDependencies", "/predicate/details/findings"] {
            let Some(Value::Array(all)) = statement.pointer_mut(place) else { continue };
            *all = vec![all[0].clone(); count];
            for each in all {
                for member in ["name", "place", "summary"] {
                    each.get_mut(member).into_iter().for_each(|text| *text = EVIL.into());
                }
            }
        }
        envelopes.push(Envelope::sign(&key, canonical::to_vec(&statement).unwrap()).unwrap());
    }
    let checkpoint = Checkpoint { origin: "log.example".into(), size: 9, root: [1; 32] };
    let mut word = RecordedSubject::sign(&checkpoint, Sha256::of(b"x"), &[[2; 32]], 1_700_000_000, &key).unwrap();
    word.note = word.note.replace("log.example", "log\u{202e}\u{ad}evil");
    Proof { recorded: vec![word; count], ..Proof::of(envelopes) }
}

#[test]
fn all_that_a_proof_says_is_shown_and_acts_on_nothing() {
    let bench = Bench::new();
    let _ = bench.project("project", &["pwd > out"], "");
    let _ = bench.run(["check", "project", "-o", "proof.json"]).with_code(1);
    let shown = bench.run(["proof", "show", "proof.json"]).with_code(0).stdout;
    for part in [
        "\n  input              source, sha256 ",
        "\n  inputs             those of envelope 1\n",
        "\n  findings           1\n    out\n      content: ",
        "\n      cause: proved: of what was varied, it differs exactly when the build path differs (",
    ] {
        assert!(shown.contains(part), "{part:?}: {shown}");
    }
    let proof = Proof::from_bytes(&fs::read(bench.path("work/proof.json")).unwrap()).unwrap();
    for (count, more) in [(20, 0), (21, 2)] {
        bench.write("evil.json", evil(&proof, count).to_bytes().unwrap());
        let ran = bench.run(["proof", "show", "evil.json"]).with_code(0);
        assert_harmless(&ran);
        let text = &ran.stdout;
        assert_eq!(text.matches("and 1 more; --json has them").count(), more, "{text}");
        assert_eq!(
            text.matches("\n  input              \u{fffd}[2J\u{fffd}2J\u{fffd}\u{fffd}evil\u{fffd}, ").count(),
            20
        );
        assert_eq!(
            text.matches("\n    \u{fffd}[2J\u{fffd}2J\u{fffd}\u{fffd}evil\u{fffd}\n      content: ").count(),
            count
        );
        let word = "\n  recorded           1 entries on sha256 ";
        assert_eq!(text.matches(word).count(), 20);
        let place =
            "\n                     by log\u{fffd}\u{fffd}evil, up to its checkpoint of 9 entries with the root AQEB";
        assert_eq!(text.matches(place).count(), 20, "{text}");
        let ran = bench.run(["proof", "show", "evil.json", "--json"]).with_code(0);
        assert_harmless(&ran);
        let shown = ran.json();
        let lists = [&shown["envelopes"][0]["inputs"], &shown["envelopes"][2]["findings"], &shown["recorded"]];
        assert_eq!(lists.map(|list| list.as_array().unwrap().len()), [count; 3]);
        assert_eq!(shown["recorded"][0]["origin"], "log\u{202e}\u{ad}evil");
    }
}

#[test]
fn a_pipe_or_a_device_hangs_nothing() {
    let bench = Bench::new();
    let key = bench.public_key();
    let key = key.to_str().unwrap();
    let pipe = bench.path("work/pipe");
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    bench.write("file", "text");
    fs::create_dir(bench.path("work/project")).unwrap();
    mkfifo(&bench.path("work/project/reprove.toml"), Mode::S_IRWXU).unwrap();
    for arguments in [
        &["compare", "pipe", "file"][..],
        &["compare", "file", "/dev/zero"],
        &["audit", "pipe", "--key", key],
        &["audit", "file", "pipe", "--key", key],
        &["audit", "file", "/dev/zero", "--key", key],
        &["audit", "file", "--key", "pipe"],
        &["key", "show", "pipe"],
        &["check", "project"],
    ] {
        let ran = Running::start(bench.command(arguments)).wait(SOON).with_code(2);
        assert!(ran.stderr.contains("is not a regular file"), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_recipe_that_is_a_link_is_not_read() {
    let bench = Bench::new();
    bench.write("secret", "root:$6$secret:\n");
    fs::create_dir(bench.path("work/project")).unwrap();
    symlink(bench.path("work/secret"), bench.path("work/project/reprove.toml")).unwrap();
    let ran = bench.run(["check", "project"]).with_code(2);
    assert!(!ran.stderr.contains("$6$") && ran.stderr.contains("is a symbolic link"), "{}", ran.stderr);
}

/// Ends with 130 soon after an interrupt.
#[track_caller]
fn interrupted(command: Command, line: Option<&str>) {
    let mut running = Running::start(command);
    if let Some(line) = line {
        running.wait_for(line);
    }
    std::thread::sleep(Duration::from_secs(1));
    running.signal(Signal::SIGINT);
    let _ = running.wait(SOON).with_code(130);
}

#[test]
fn what_reads_for_long_is_interrupted_at_once() {
    let bench = Bench::new();
    let key = bench.public_key();
    for name in ["left", "right"] {
        // Takes no room, and minutes to read.
        File::create(bench.path("work").join(name)).unwrap().set_len(256 << 30).unwrap();
    }
    interrupted(bench.command(["compare", "left", "right"]), Some("comparing"));
    bench.write("proof", "no proof");
    interrupted(
        bench.command([Path::new("audit"), Path::new("proof"), Path::new("left"), Path::new("--key"), &key]),
        None,
    );
}

#[test]
fn directories_are_compared_without_a_home_and_leave_nothing() {
    let bench = Bench::new();
    bench.write("left/a", "one");
    bench.write("right/a", "two");
    let temporary = bench.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let command = |left: &str, right: &str| {
        let mut command = bench.command(["compare", left, right]);
        command.env_remove("HOME").env_remove("REPROVE_STORE").env("TMPDIR", &temporary);
        command
    };
    let ran = Running::start(command("left", "right")).wait(SOON).with_code(1);
    assert!(ran.stdout.starts_with("different\n"), "{}", ran.stdout);
    // Only an empty directory can be removed so.
    fs::remove_dir(&temporary).unwrap();
    fs::create_dir(&temporary).unwrap();
    assert_eq!(fs::metadata(bench.path("store/blobs")).map_err(|e| e.kind()).err(), Some(std::io::ErrorKind::NotFound));
    File::create(bench.path("work/left/large")).unwrap().set_len(16 << 30).unwrap();
    interrupted(command("left", "right"), Some("comparing"));
    // Only an empty directory can be removed so.
    fs::remove_dir(&temporary).unwrap();
    fs::create_dir(&temporary).unwrap();
}

#[test]
fn files_that_do_not_say_how_large_they_are_are_read() {
    let bench = Bench::new();
    for name in ["a", "b"] {
        bench.write(name, "");
    }
    bench.write("version", fs::read("/proc/version").unwrap());
    for (left, right, code) in [
        ("/proc/version", "/proc/uptime", 1),
        ("/proc/version", "a", 1),
        ("/proc/version", "/proc/version", 0),
        ("/proc/version", "version", 0),
        ("a", "b", 0),
    ] {
        let ran = bench.run(["compare", left, right]).with_code(code);
        assert_eq!(ran.stdout == "identical\n", code == 0);
    }
}

#[test]
fn of_all_who_make_one_key_one_does() {
    let bench = Bench::new();
    let running: Vec<Running> =
        (0..8).map(|_| Running::start(bench.command(["key", "new", "--no-passphrase", "one.pem"]))).collect();
    let mut codes: Vec<Option<i32>> = running.into_iter().map(|running| running.wait(SOON).code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [vec![Some(0)], vec![Some(2); 7]].concat());
    let _ = bench.run(["key", "show", "one.pem"]).with_code(0);
}
