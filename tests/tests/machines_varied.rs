// SPDX-License-Identifier: Apache-2.0
//! What only a virtual machine can have otherwise: its kernel, and a disk to build on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::path::Path;
use std::time::Duration;

use reprove_tests::{Bench, Ran, Running, engine, other_kernel_package};
use serde_json::json;

/// `check` of a project of these steps, in machines.
fn check(bench: &Bench, steps: &[&str], engine: &str, arguments: &[&str]) -> Ran {
    let project = bench.project("project", steps, "[limits]\ndisk-mib = 64\nmemory-mib = 512\n");
    let machine = ["check", project.to_str().unwrap(), "--json", "--isolation", "vm", "--engine", engine];
    let command = bench.command(machine.iter().chain(arguments));
    Running::start(command).wait(Duration::from_secs(600))
}

#[test]
fn another_kernel_is_varied_in_machines_of_qemu_s() {
    if other_kernel_package().is_none() || engine() != "qemu-tcg" {
        println!("skipped: no second kernel is kept for QEMU's machines");
        return;
    }
    let bench = Bench::with_machines();
    let vary = ["--vary", "kernel", "--explain", "fast"];
    let said = check(&bench, &["uname -r > out"], engine(), &vary).with_code(1).json();
    assert_eq!((&said["verdict"]["outcome"], &said["verdict"]["varied"]), (&json!("different"), &json!(["kernel"])));
    let details = &said["verdict"]["findings"][0]["details"][0];
    let release = |side: &str| details[side].as_str().unwrap().to_owned();
    assert!(release("left").contains("-cloud-amd64") && release("right").contains("-cloud-amd64"), "{details}");
    assert_ne!(release("left"), release("right"));
    let [first, second] = [0, 1].map(|number| &said["rebuilds"][number]);
    for part in ["kernel", "initrd"] {
        assert_ne!(first["machine"][part], second["machine"][part]);
    }
    let kernel = |rebuild: &serde_json::Value| rebuild["conditions"]["surroundings"]["kernel"].clone();
    assert!(kernel(first).is_null() && kernel(second) == second["machine"]["kernel"]["blake3"]);
    let (key, proof) = (bench.public_key(), bench.path("work/project.proof.json"));
    let audited = bench.run([Path::new("audit"), &proof, Path::new("--key"), &key]);
    let _ = audited.with_code(1);
    let said = check(&bench, &["echo the same > out"], engine(), &vary).with_code(0).json();
    assert_eq!((&said["verdict"]["outcome"], &said["verdict"]["varied"]), (&json!("reproducible"), &json!(["kernel"])));
}

/// What holds in memory and on a disk: how much there is, whose it is, that nothing else is seen, and that no set-id bit and no
/// device of a disk counts.
const SAME: [&str; 4] = [
    "head -c 58M /dev/zero > big && rm big && ! head -c 70M /dev/zero > big; rm big",
    "test $(df --output=avail -B1 . | tail -n 1) -le $((64 << 20)) && test $(df --output=avail -B1M . | tail -n 1) -ge 58",
    "test -O . && touch /tmp/x /dev/shm/x && ! find /build /tmp /dev/shm | grep -E '/(lost.found|rest|passed|scratch)$'",
    "! grep -E ' (/build/[^ ]*|/tmp|/dev/shm) ' /proc/self/mounts | grep -v 'nosuid,nodev'",
];

#[test]
fn a_build_on_a_disk_has_its_file_system_and_its_limit() {
    let bench = Bench::with_machines();
    for (kind, called) in [("ext4", "ext2/ext3"), ("xfs", "xfs")] {
        let numbers = "touch new; n=$(($(stat -c %i new) - $(stat -c %i .)));";
        let told = format!("{numbers} [ $n -gt 1000 ] && echo far > out || echo near > out; stat -f -c %T . >> out");
        let steps: Vec<&str> = SAME.into_iter().chain([told.as_str()]).collect();
        let vary = ["--vary", "file-system,inode-numbers", "--file-system", kind, "--explain", "fast"];
        let said = check(&bench, &steps, engine(), &vary).with_code(1).json();
        assert_eq!(said["verdict"]["varied"], json!(["file-system", "inode-numbers"]));
        let text = said["verdict"]["findings"][0]["details"].to_string();
        assert!(text.contains("tmpfs") && text.contains(called), "{text}");
        // XFS gives numbers far from each other anyway.
        assert!(kind == "xfs" || (text.contains("near") && text.contains("far")), "{text}");
        assert_eq!(said["rebuilds"][1]["conditions"]["surroundings"]["fileSystem"], kind);
    }
}

#[test]
fn a_file_system_that_can_t_be_had_is_refused_with_the_next_step() {
    let bench = Bench::with_machines();
    let project = bench.project("project", &["touch out"], "");
    let run = |arguments: &[&str]| bench.run(["check", project.to_str().unwrap()].iter().chain(arguments));
    let said = run(&["--file-system", "xfs"]).with_code(2).stderr;
    assert!(said.contains("next: add `--isolation vm`"), "{said}");
    let machine = ["--isolation", "vm", "--engine", engine()];
    let said = run(&[&["--file-system", "overlay"], &machine[..]].concat()).with_code(2).stderr;
    assert!(said.contains("next: say `--file-system ext4`"), "{said}");
    if engine() == "qemu-tcg" {
        let evidence = ["--isolation", "emulated-snp", "--engine", "qemu-tcg"];
        let said = run(&[&["--file-system", "ext4"], &evidence[..]].concat()).with_code(2).stderr;
        assert!(said.contains("a machine with evidence has no other file system"), "{said}");
        let said = run(&[&["--vary", "kernel,file-system"], &evidence[..]].concat()).with_code(2).stderr;
        assert!(said.contains("nothing would be another"), "{said}");
    }
}
