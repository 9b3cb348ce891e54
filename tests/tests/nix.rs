// SPDX-License-Identifier: Apache-2.0
//! Derivations of Nix: built by Nix, and built again here, with both verdicts side by side.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use reprove_tests::{Bench, NixStore};
use serde_json::{Value, json};

/// What `nix-store --realise --check` exits with where an output differs.
const DIFFERS: i32 = 104;

/// Of what another derivation gives, with a variable that comes as a file: bit for bit, with nothing but its closure; and an
/// auditor has the archive from Nix.
#[test]
fn a_derivation_comes_out_of_its_closure_and_the_audit_takes_what_nix_dumps() {
    let bench = Bench::new();
    let (nix, key) = (NixStore::new(&bench), bench.public_key());
    let (derivation, outputs) = nix.built("user");
    let said = nix.rebuild(&derivation, &["--json", "-o", "proof.json", "--artifacts", "made"]).with_code(0).json();
    assert_eq!(said["verdict"]["outcome"], json!("reproducible"));
    assert_eq!(said["verdict"]["varied"], json!(["clock", "file-order", "processors"]));
    let lock: Value = serde_json::from_slice(&fs::read(bench.path("work/made/lock.json")).unwrap()).unwrap();
    let inputs = lock["inputs"].as_array().unwrap();
    let named = |end: &str| inputs.iter().filter(|input| input["name"].as_str().unwrap().ends_with(end)).count();
    // The output `dev` refers to the other one.
    assert_eq!(["-tools", "-split-1.0", "-split-1.0-dev", "-user-1.0.drv", "source"].map(named), [1; 5]);
    assert_eq!(inputs.len(), 5);
    assert_eq!(lock["published"].get("derived"), None, "nothing was taken from what was published");
    let record = fs::read(bench.path("work/made/first.record.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let seen = &record["observed"]["paths"];
    // The tools and the header; the variable's file; what was made.
    assert_eq!(["environment", "source"].map(|origin| seen[origin].as_u64() >= Some(1)), [true; 2], "{seen}");
    let dump = fs::File::create(bench.path("work/user-1.0.nar")).unwrap();
    let mut command = nix.with(bench.program_in_this_place(NixStore::program("nix-store")));
    assert!(command.args(["--dump", &outputs[0]]).stdout(dump).status().unwrap().success());
    let audit = ["audit", "proof.json", "user-1.0.nar", "--key", key.to_str().unwrap(), "--json"];
    assert_eq!(bench.run(audit).with_code(0).json()["verified"], json!(true));
    // By what it gave.
    let ran = nix.rebuild(&outputs[0], &["-o", "again.json"]).with_code(0);
    assert!(ran.stdout.contains("user-1.0.nar comes out of its source bit for bit"), "{}", ran.stdout);
}

/// What has several outputs, what is settled by its hash, what is one file that is executed.
#[test]
fn what_nix_calls_the_same_is_the_same_here() {
    let bench = Bench::new();
    let nix = NixStore::new(&bench);
    for (attribute, outputs) in [("split", 2), ("fixed", 1), ("joined", 1), ("text", 1), ("sees", 1)] {
        let (derivation, there) = nix.built(attribute);
        assert_eq!(there.len(), outputs, "{attribute}");
        let _ = nix.run("nix-store", &["--realise", "--check", &derivation]).with_code(0);
        let said = nix.rebuild(&derivation, &["--json", "-o", &format!("{attribute}.json")]).with_code(0).json();
        assert_eq!(said["verdict"]["outcome"], json!("reproducible"), "{attribute}");
        let hash = nix.run("nix-hash", &["--type", "sha256", &there[0]]).with_code(0).stdout;
        let published = said["published"]["digest"]["sha256"].as_str().unwrap();
        assert_eq!(hash.trim() == published, outputs == 1, "{attribute}");
    }
}

/// What Nix finds to differ; and what it does not, since two builds of one day on one file system don't show it.
#[test]
fn what_differs_is_found_with_its_cause_also_where_two_builds_of_nix_are_equal() {
    let bench = Bench::new();
    let nix = NixStore::new(&bench);
    for (attribute, of_nix, place, cause) in [
        ("random", DIFFERS, "random-1.0.nar!id", None),
        ("day", 0, "day-1.0.txt.nar!.", Some("clock")),
        ("cores", 0, "cores-1.0.txt.nar!.", Some("processors")),
    ] {
        let (derivation, _) = nix.built(attribute);
        let _ = nix.run("nix-store", &["--realise", "--check", &derivation]).with_code(of_nix);
        let said = nix.rebuild(&derivation, &["--json", "-o", &format!("{attribute}.json")]).with_code(1).json();
        let findings = said["verdict"]["findings"].as_array().unwrap();
        assert!(findings.iter().any(|finding| finding["place"] == place), "{attribute}: {findings:?}");
        let text = serde_json::to_string(findings).unwrap();
        assert!(cause.is_none_or(|cause| text.contains(cause)), "{attribute}: {text}");
    }
}

#[test]
fn what_is_not_there_or_not_what_it_was_is_said() {
    let bench = Bench::new();
    let nix = NixStore::new(&bench);
    let derivation = nix.derivation("text");
    let ran = nix.rebuild(&derivation, &[]).with_code(4);
    assert!(ran.stderr.contains("build it first: nix-store --realise"), "{}", ran.stderr);
    let (_, outputs) = nix.built("text");
    let file = format!("{}/share/text", outputs[0]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "changed").unwrap();
    let ran = nix.rebuild(&derivation, &[]).with_code(2);
    assert!(ran.stderr.contains("is not what Nix has registered"), "{}", ran.stderr);
    let guix = format!("/gnu/store/{}-x.drv", "0".repeat(32));
    let ran = nix.rebuild(&guix, &[]).with_code(2);
    assert!(ran.stderr.contains(&format!("guix build --check {guix}")), "{}", ran.stderr);
    let ran = nix.rebuild("./nothing.drv", &[]).with_code(2);
    assert!(ran.stderr.contains("name a derivation as in /nix/store/HASH-NAME.drv"), "{}", ran.stderr);
    let other = bench.write("x.drv", "Derive()");
    let ran = nix.rebuild(other.to_str().unwrap(), &[]).with_code(2);
    assert!(ran.stderr.contains("is neither a derivation nor a path of a store"), "{}", ran.stderr);
    let mut command = nix.with(bench.command(["rebuild", &derivation]));
    command.env("REPROVE_NIX", "/nonexistent/nix-store");
    let ran = reprove_tests::Running::start(command).wait(std::time::Duration::from_secs(60)).with_code(4);
    assert!(ran.stderr.contains("apt install nix-bin"), "{}", ran.stderr);
}
