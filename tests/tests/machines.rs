// SPDX-License-Identifier: Apache-2.0
//! Builds in virtual machines by the command line: what they come to, what is said of them, and that nothing stays.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use reprove_tests::{Bench, Descendants, Running, engine, kernel_package, shared_store, sorted_names, wait_until};
use serde_json::{Value, json};

/// A command with a machine around its builds.
fn command(bench: &Bench, arguments: &[&str]) -> std::process::Command {
    bench.command(arguments.iter().copied().chain(["--isolation", "vm", "--engine", engine()]))
}

#[test]
fn a_machine_s_clock_is_found_to_be_a_cause_and_the_proof_names_the_machine() {
    let bench = Bench::with_machines();
    let project = bench.example("hello-c-dated");
    let ran =
        Running::start(command(&bench, &["check", project.to_str().unwrap(), "--json", "--vary", "build-path,clock"]));
    let said = ran.wait(Duration::from_secs(600)).with_code(1).json();
    let findings = said["verdict"]["findings"].as_array().unwrap().iter();
    let causes = findings.flat_map(|finding| finding["causes"].as_array().unwrap());
    let causes: BTreeSet<&str> = causes.map(|cause| cause["variation"].as_str().unwrap()).collect();
    assert_eq!(causes, BTreeSet::from(["build-path", "clock"]));
    assert_eq!(said["isolation"], "vm");
    for rebuild in said["rebuilds"].as_array().unwrap() {
        assert_eq!(rebuild["machine"]["engine"], engine());
        assert!(rebuild["conditions"]["clock"]["setTo"].is_u64(), "{rebuild}");
    }
    let key = bench.public_key();
    let proof = bench.path("work/hello-c-dated-1.0.proof.json");
    let audited = bench.run([Path::new("audit"), &proof, Path::new("--key"), &key, Path::new("--json")]);
    assert_eq!(audited.with_code(1).json()["isolation"], "vm");
}

#[test]
fn a_reproducible_project_is_called_so_in_a_machine() {
    let bench = Bench::with_machines();
    let project = bench.example("hello-c");
    let ran = Running::start(command(&bench, &["check", project.to_str().unwrap(), "--json"]));
    let said = ran.wait(Duration::from_secs(300)).with_code(0).json();
    assert_eq!(said["verdict"]["outcome"], "reproducible");
    let varied = said["verdict"]["varied"].as_array().unwrap();
    for name in ["clock", "home", "kernel-release", "process-ids", "user"] {
        assert!(varied.contains(&json!(name)), "{name}: {varied:?}");
    }
    // User-mode Linux has one.
    assert!(!varied.contains(&json!("processors")) || engine() != "user-mode-linux");
}

/// What a processor can do is another in the second build.
#[test]
fn a_processor_s_model_is_varied_in_machines_of_qemu_s() {
    let bench = Bench::with_machines();
    let project = bench.project("project", &["grep -q -w avx2 /proc/cpuinfo && echo 1 > out || echo 0 > out"], "");
    let arguments = ["check", project.to_str().unwrap(), "--json", "--vary", "processor-model", "--explain", "fast"];
    let machine = ["--isolation", "vm", "--engine", "qemu-tcg"];
    let ran = Running::start(bench.command(arguments.into_iter().chain(machine)));
    let said = ran.wait(Duration::from_secs(600)).with_code(1).json();
    assert_eq!(said["verdict"]["varied"], json!(["processor-model"]));
    let details = &said["verdict"]["findings"][0]["details"][0];
    assert_eq!((&details["left"], &details["right"]), (&json!("1"), &json!("0")));
    // A processor of namespaces is the machine's.
    let refused = bench.run(["check", project.to_str().unwrap(), "--vary", "processor-model"]);
    assert!(refused.with_code(2).stderr.contains("nothing would be another"));
}

/// Ended at any time, the whole machine is gone.
#[test]
fn a_kill_at_any_moment_leaves_no_process_and_no_disk() {
    let bench = Bench::with_machines();
    let project = bench.project("project", &["sleep 86399"], "");
    // From the start; from when the engine runs (the holder, the first process in the namespaces, the engine); and from when
    // it has a process more, which is the guest's.
    let from_the_start = [0, 100, 300, 700, 1200].map(|ms| (0, ms)).into_iter();
    let moments = from_the_start.chain([0, 50, 200, 500].map(|ms| (3, ms))).chain([0, 500, 1000].map(|ms| (4, ms)));
    // QEMU's guest is no process of the host's.
    let has_processes = engine() == "user-mode-linux";
    let moments = moments.filter(|(processes, _)| has_processes || *processes < 4);
    let mut most = 0;
    for (processes, ms) in moments {
        let running = Running::start(command(&bench, &["build", project.to_str().unwrap(), "--out", "never"]));
        let is_up = || Descendants::of(running.id()).count() >= processes;
        assert!(wait_until(Duration::from_secs(60), is_up), "{}", running.stderr());
        std::thread::sleep(Duration::from_millis(ms));
        let started = Descendants::of(running.id());
        most = most.max(started.count());
        running.signal(Signal::SIGKILL);
        assert_eq!(running.wait(Duration::from_secs(5)).code, None);
        assert_eq!(started.left_after(Duration::from_secs(5)), Vec::<u32>::new(), "{processes}, after {ms} ms");
    }
    assert!(most > 3 || !has_processes, "no guest ran at any of the moments: {most}");
    let folder = bench.path("store/tmp");
    for name in sorted_names(&folder) {
        let path = folder.join(&name);
        let bytes = fs::metadata(&path).map_or(0, |metadata| if metadata.is_file() { metadata.len() } else { 0 });
        assert!(bytes < 1 << 20, "a disk stayed: {name}");
    }
}

#[test]
fn an_interrupt_ends_the_machine_and_leaves_nothing() {
    let bench = Bench::with_machines();
    let project = bench.project("project", &["sleep 86399"], "");
    let mut running = Running::start(command(&bench, &["build", project.to_str().unwrap(), "--out", "never"]));
    running.wait_for("building");
    let processes = if engine() == "user-mode-linux" { 4 } else { 3 };
    let is_up = || Descendants::of(running.id()).count() >= processes;
    assert!(wait_until(Duration::from_secs(30), is_up));
    let started = Descendants::of(running.id());
    running.signal(Signal::SIGINT);
    let ran = running.wait(Duration::from_secs(10)).with_code(130);
    assert!(ran.stderr.contains("nothing was kept"), "{}", ran.stderr);
    assert_eq!(started.left_after(Duration::ZERO), Vec::<u32>::new(), "they end before it does");
    let left: Vec<String> =
        sorted_names(&bench.path("store/tmp")).into_iter().filter(|name| name != ".sweep").collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(!bench.path("work/never").exists());
}

#[test]
fn limits_hold_in_a_machine() {
    let bench = Bench::with_machines();
    let slow = bench.project("slow", &["sleep 86399"], "[limits]\nseconds = 3\n");
    let large = "python3 -c 'x = bytearray(b\"1\") * (100 << 20)'";
    let large = bench.project("large", &[large], "[limits]\nmemory-mib = 64\n");
    for (project, said) in [(slow, "limit of 3 seconds"), (large, "limit of 64 MiB of memory")] {
        let ran = Running::start(command(&bench, &["build", project.to_str().unwrap(), "--out", "never"]));
        let ran = ran.wait(Duration::from_secs(120)).with_code(3);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn an_engine_that_is_not_there_is_said_with_what_mends_it() {
    let bench = Bench::with_machines();
    let project = bench.project("project", &["touch out"], "");
    let arguments = ["build", project.to_str().unwrap(), "--isolation", "vm", "--engine", "qemu-tcg"];
    let mut command = bench.command(arguments);
    command.env("PATH", bench.path("work"));
    let ran = Running::start(command).wait(Duration::from_secs(60)).with_code(4);
    assert!(ran.stderr.contains("error: no virtual machine can be had here"), "{}", ran.stderr);
    assert!(ran.stderr.contains("next: apt install qemu-system-x86"), "{}", ran.stderr);
    let ran = bench.run(["build", project.to_str().unwrap(), "--engine", "qemu-tcg"]).with_code(2);
    assert!(ran.stderr.contains("next: add `--isolation vm`"), "{}", ran.stderr);
}

/// The images are the same each time, and the records name them.
#[test]
fn the_guest_s_images_are_made_twice_and_are_those_of_the_records() {
    let bench = Bench::with_machines();
    let make =
        |out: &str| -> Value { bench.run(["image", "build", "guest", "--json", "--out", out]).with_code(0).json() };
    let (one, other) = (make("one"), make("other"));
    assert_eq!(one, other);
    let guests = one["guests"].as_array().unwrap();
    let name = if engine() == "user-mode-linux" { "user-mode-linux" } else { "qemu" };
    let guest = guests.iter().find(|guest| guest["name"] == name).unwrap();
    for name in [format!("{name}.kernel"), format!("{name}.initrd")] {
        let bytes = |out: &str| fs::read(bench.path("work").join(out).join(&name)).unwrap();
        assert!(bytes("one") == bytes("other"), "{name}");
    }
    let project = bench.project("project", &["touch out"], "");
    let ran = Running::start(command(&bench, &["build", project.to_str().unwrap(), "--json"]));
    let built = ran.wait(Duration::from_secs(120)).with_code(0).json();
    assert_eq!((&built["machine"]["kernel"], &built["machine"]["initrd"]), (&guest["kernel"], &guest["initrd"]));
}

/// The same guest, with Debian's own kernel, in a machine whose processor is emulated.
#[test]
fn qemu_runs_the_same_guest() {
    let bench = Bench::with_machines();
    let (store, package) = (shared_store(), kernel_package());
    let (store, package) = (store.to_str().unwrap(), package.to_str().unwrap());
    let made =
        bench.run(["image", "build", "guest", "--kernel", package, "--store", store, "--json"]).with_code(0).json();
    let guests = made["guests"].as_array().unwrap();
    let guest = guests.iter().find(|guest| guest["name"] == "qemu").unwrap();
    let project = bench.project("project", &["uname -n > out; nproc >> out; cat out"], "");
    let project = project.to_str().unwrap();
    let by = ["--isolation", "vm", "--engine", "qemu-tcg", "--store", store, "--json"];
    let ran = Running::start(bench.command(["build", project].into_iter().chain(by)));
    let built = ran.wait(Duration::from_secs(400)).with_code(0).json();
    assert_eq!((&built["machine"]["engine"], &built["machine"]["kernel"]), (&json!("qemu-tcg"), &guest["kernel"]));
    let processors = &built["conditions"]["processors"];
    let log = fs::read_to_string(built["log"].as_str().unwrap()).unwrap();
    assert_eq!(log, format!("reprove-first\n{processors}\n"));
}

#[test]
fn doctor_says_which_engines_work() {
    let bench = Bench::with_machines();
    let ran = bench.run(["doctor", "--json", "--store", shared_store().to_str().unwrap()]).with_code(0).json();
    let findings = ran["findings"].as_array().unwrap();
    let is = |finding: &&Value, what: &str| finding["what"].as_str().unwrap().starts_with(what);
    let works = |what: &str| findings.iter().find(|finding| is(finding, what)).unwrap()["works"].clone();
    assert_eq!(works(&format!("virtual machines by {}", engine())), true);
    assert!(works("virtual machines by qemu-kvm").is_boolean());
}
