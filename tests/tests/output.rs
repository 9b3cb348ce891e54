// SPDX-License-Identifier: Apache-2.0
//! Where `rebuild` and `check` write: only where they were told to, and all of it or nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use reprove_model::Digest;
use reprove_tests::{Bench, Running, sorted_names};
use serde_json::Value;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_link_in_the_artifacts_directory_leads_nowhere() {
    let bench = Bench::new();
    bench.project("project", &["touch out"], "");
    for folder in ["outside", "work/made"] {
        fs::create_dir(bench.path(folder)).unwrap();
    }
    for link in ["work/made/first", "work/link"] {
        symlink(bench.path("outside"), bench.path(link)).unwrap();
    }
    for folder in ["made", "link", "link/"] {
        let ran = bench.run(["check", "project", "--artifacts", folder]).with_code(2);
        assert!(ran.stderr.contains("  next: name ") && !ran.stderr.contains("building"), "{}", ran.stderr);
    }
    assert_eq!(sorted_names(&bench.path("outside")), Vec::<String>::new());
    assert_eq!(sorted_names(&bench.path("work/made")), ["first"]);
}

#[test]
fn artifacts_are_all_that_the_proof_names() {
    let bench = Bench::new();
    let steps =
        ["mkdir -p out/empty; chmod 555 out/empty; ln -s /etc/shadow out/link", "uname -n > out/name; echo said"];
    bench.project("project", &steps, "");
    fs::create_dir(bench.path("work/made")).unwrap();
    let ran = bench.run(["check", "project", "--artifacts", "made", "--json"]).with_code(1);
    let made = bench.path("work/made");
    let of = |name: &str| Digest::of(&fs::read(made.join(name)).unwrap()).to_string();
    for name in ["first", "second"] {
        let record = json(&made.join(format!("{name}.record.json")));
        assert_eq!(record["log"]["digest"]["blake3"], of(&format!("{name}.log")));
        assert!(fs::read_to_string(made.join(format!("{name}.log"))).unwrap().ends_with("said\n"));
        assert_eq!(fs::read_link(made.join(name).join("out/link")).unwrap(), Path::new("/etc/shadow"));
        let mode = fs::metadata(made.join(name).join("out/empty")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o555);
    }
    let verdict = ran.json();
    let causes = verdict["verdict"]["findings"][0]["causes"].as_array().unwrap();
    assert_eq!(causes.len(), 1, "{verdict}");
    let digest = causes[0]["record"]["blake3"].as_str().unwrap();
    let name = format!("cause-{}.record.json", &digest[..16]);
    assert_eq!(of(&name), digest);
    let rest = ["first", "first.log", "first.record.json", "lock.json", "second", "second.log", "second.record.json"];
    let mut all: Vec<&str> = [name.as_str()].into_iter().chain(rest).collect();
    all.sort_unstable();
    assert_eq!(sorted_names(&made), all);
}

/// As `reprove build` does with its outputs.
#[test]
fn artifacts_are_no_part_of_the_next_source() {
    let bench = Bench::new();
    let project = bench.project("project", &["touch out"], "");
    let in_project = |artifacts: &str| {
        let mut command = bench.command(["check", "--artifacts", artifacts]);
        command.current_dir(&project);
        Running::start(command).wait(Duration::from_secs(120))
    };
    for inside in ["made", "deep/reprove-out"] {
        let ran = in_project(inside).with_code(2);
        assert!(ran.stderr.contains(&format!("error: {inside} is in the source, and would be")), "{}", ran.stderr);
        let next = "  next: name a directory outside of the source with --artifacts;";
        assert!(ran.stderr.contains(next) && !ran.stderr.contains("building"), "{}", ran.stderr);
        assert!(!project.join(inside).exists() && !bench.path("key.pem").exists());
    }
    for outside in ["../made", "reprove-out"] {
        let _ = in_project(outside).with_code(0);
        assert!(project.join(outside).join("lock.json").is_file());
    }
    let lock = |folder: &str| fs::read(project.join(folder).join("lock.json")).unwrap();
    assert_eq!(lock("../made"), lock("reprove-out"));
}

#[test]
fn an_interrupt_leaves_no_artifacts_directory() {
    let bench = Bench::new();
    bench.project("project", &["sleep 86399"], "");
    let mut running = Running::start(bench.command(["check", "project", "--artifacts", "made"]));
    running.wait_for("building");
    assert!(bench.path("work/made").is_dir(), "what can't be made is found before anything is built");
    running.signal(Signal::SIGINT);
    let _ = running.wait(Duration::from_secs(5)).with_code(130);
    assert_eq!(sorted_names(&bench.path("work")), ["project"]);
}

#[test]
fn a_proof_that_is_replaced_is_said() {
    let bench = Bench::new();
    bench.project("project", &["uname -n > out"], "");
    let ran = bench.run(["check", "project"]).with_code(1);
    assert!(!ran.stderr.contains("replaced"), "{}", ran.stderr);
    bench.project("project", &["touch out"], "");
    let ran = bench.run(["check", "project"]).with_code(0);
    assert!(ran.stderr.contains("note: replaced project.proof.json, which said `different` on 2"), "{}", ran.stderr);
    let _ = bench.run(["key", "new", "--no-passphrase", "other.pem"]).with_code(0);
    let ran = bench.run(["check", "project", "--key", "other.pem"]).with_code(0);
    assert!(
        ran.stderr.contains("note: replaced project.proof.json\n"),
        "what another key signed is not believed: {ran:?}"
    );
}

#[test]
fn what_a_replaced_proof_says_beyond_the_new_one_is_kept_beside_it() {
    let bench = Bench::new();
    let key = bench.public_key();
    let beside = bench.path("work/project.proof.json~");
    let check = |steps: &[&str], code| {
        bench.project("project", steps, "");
        bench.run(["check", "project"]).with_code(code).stderr
    };
    let _ = check(&["uname -n > out"], 1);
    let _ = check(&["echo 1 > out"], 0);
    let _ = check(&["echo 2 > out"], 0);
    assert!(!beside.exists(), "a yes takes the place of a no, and of a yes");
    let yes = fs::read(bench.path("work/project.proof.json")).unwrap();
    let said = check(&["uname -n > out"], 1);
    assert!(
        said.contains("which said `reproducible` on 2") && said.contains("; that one is project.proof.json~ now"),
        "{said}"
    );
    assert_eq!(fs::read(&beside).unwrap(), yes);
    let _ = bench.run(["audit", "project.proof.json~", "--key", key.to_str().unwrap()]).with_code(0);
    // A failure is less than a yes too.
    let _ = check(&["echo 3 > out"], 0);
    fs::remove_file(&beside).unwrap();
    let said = check(&["false"], 3);
    assert!(said.contains("; that one is project.proof.json~ now") && beside.exists(), "{said}");
}

#[test]
fn a_proof_that_can_t_be_written_is_said_before_anything_is_built() {
    let bench = Bench::new();
    bench.project("project", &["touch out"], "");
    for place in ["missing/proof.json", ".", "project/reprove.toml/proof.json", "/proc/proof.json"] {
        let ran = bench.run(["check", "project", "-o", place]).with_code(2);
        assert!(ran.stderr.contains("error: can't write ") && ran.stderr.contains("  next: name a file"), "{ran:?}");
        assert!(ran.stderr.contains(place.trim_matches('.')) && !ran.stderr.contains(".tmp"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("reading the source"), "{}", ran.stderr);
    }
    assert!(!bench.path("key.pem").exists(), "no key was made for nothing");
}

/// As root, a rename would put a file in the device's place, for everybody.
#[test]
fn a_device_or_a_pipe_stays_what_it_is() {
    let bench = Bench::new();
    bench.project("project", &["touch out"], "");
    let pipe = bench.path("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let _ = bench.run([Path::new("check"), Path::new("project"), Path::new("-o"), &pipe]).with_code(2);
    let mut reader = bench.program_in_this_place("cat");
    reader.arg(&pipe);
    let reader = Running::start(reader);
    let running = Running::start(bench.command([Path::new("check"), Path::new("project"), Path::new("-o"), &pipe]));
    let _ = running.wait(Duration::from_secs(120)).with_code(0);
    let read = reader.wait(Duration::from_secs(5)).with_code(0).stdout;
    let key = bench.public_key();
    let proof = bench.write("proof.json", read);
    let _ = bench.run([Path::new("audit"), &proof, Path::new("--key"), &key]).with_code(0);
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    let null = bench.path("null");
    let device = nix::sys::stat::makedev(1, 3);
    if nix::sys::stat::mknod(&null, nix::sys::stat::SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, device).is_err() {
        println!("skipped in part: only root makes devices");
        return;
    }
    let _ = bench.run([Path::new("check"), Path::new("project"), Path::new("-o"), &null]).with_code(0);
    assert!(fs::symlink_metadata(&null).unwrap().file_type().is_char_device());
}

#[test]
fn a_proof_goes_to_standard_output_by_its_name() {
    let bench = Bench::new();
    bench.project("project", &["touch out"], "");
    let ran = bench.run(["check", "project", "-o", "/dev/stdout"]).with_code(0);
    let (proof, text) = ran.stdout.split_once('\n').unwrap();
    assert!(serde_json::from_str::<Value>(proof).unwrap().is_object());
    assert!(text.starts_with("reproducible  project\n"), "{text}");
    assert!(fs::symlink_metadata("/dev/stdout").unwrap().is_symlink());
}
