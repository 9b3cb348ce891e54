// SPDX-License-Identifier: Apache-2.0
//! What a project depends on, by its own lock files: fetched, checked, laid out in the build, and in the proof.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reprove_model::Sha256;
use reprove_tests::{Bench, Ran, Running, workspace};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(300);

/// A project whose dependencies are those of its lock file.
fn project(bench: &Bench, table: &str, lock_file: (&str, &str), steps: &[&str]) {
    let recipe = format!(
        "[package]\nname = \"p\"\n[source]\ndirectory = \".\"\n[dependencies]\n{table}\n[build]\nsteps = {steps:?}\n\
         [outputs]\npaths = [\"out\"]\n"
    );
    bench.write("p/reprove.toml", recipe);
    bench.write(&format!("p/{}", lock_file.0), lock_file.1);
}

/// Runs `reprove` with a soft limit on open files, and with cargo's home where crates were made up.
fn run(bench: &Bench, arguments: &[&str], cargo: &str) -> Ran {
    let program = bench.command(arguments);
    let mut command = bench.program_in_this_place("/bin/sh");
    command.args(["-c", "ulimit -S -n 256; exec \"$@\"", "sh"]).arg(program.get_program()).args(arguments);
    command.env("CARGO_HOME", bench.path("cargo")).env("REPROVE_CARGO", cargo);
    Running::start(command).wait(LONG)
}

/// Crates of this registry's, in cargo's home, and a lock file that names them.
fn crates(bench: &Bench, count: usize) -> String {
    let cache = bench.path("cargo/registry/cache/made-up");
    fs::create_dir_all(&cache).unwrap();
    let mut lock = "version = 4\n".to_owned();
    for number in 0..count {
        let name = format!("c{number}-1.0.0");
        let folder = bench.path(&format!("made/{name}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Cargo.toml"), format!("[package]\nname = \"c{number}\"\nversion = \"1.0.0\"\n"))
            .unwrap();
        let file = cache.join(format!("{name}.crate"));
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(bench.path("made")).arg("-czf").arg(&file).arg(&name);
        assert!(tar.status().unwrap().success());
        let sum = Sha256::of(&fs::read(&file).unwrap());
        lock += &format!(
            "[[package]]\nname = \"c{number}\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\nchecksum = \"{sum}\"\n"
        );
    }
    lock
}

fn json(bench: &Bench, name: &str) -> Value {
    serde_json::from_slice(&fs::read(bench.path("work").join(name)).unwrap()).unwrap()
}

/// More than a process may hold open by this soft limit; and no client is asked for what it has, or what the store has.
#[test]
fn crates_are_there_for_a_build_and_are_fetched_once() {
    let bench = Bench::new();
    let lock = crates(&bench, 300);
    let steps = [
        "cd $CARGO_HOME; ls vendor | wc -l > $OLDPWD/out; cat vendor/c7-1.0.0/Cargo.toml config.toml >> $OLDPWD/out",
        "test $CARGO_NET_OFFLINE = true; test ! -w /inputs/c7-1.0.0.crate -o ! -w /inputs",
    ];
    project(&bench, "cargo = \"Cargo.lock\"", ("Cargo.lock", &lock), &steps);
    let _ = run(&bench, &["build", "p", "--out", "first"], "/bin/false").with_code(0);
    let out = fs::read_to_string(bench.path("work/first/outputs/out")).unwrap();
    assert!(out.starts_with("300\n[package]\nname = \"c7\"\n"), "{out}");
    assert!(out.contains("[source.crates-io]\nreplace-with"), "{out}");
    let inputs = json(&bench, "first/lock.json")["inputs"].as_array().unwrap().clone();
    let crates: Vec<&Value> = inputs.iter().filter(|input| input["role"] == "dependency").collect();
    assert_eq!((crates.len(), inputs.len()), (300, 302));
    assert_eq!((&crates[0]["name"], &crates[0]["purl"]), (&"c0-1.0.0.crate".into(), &"pkg:cargo/c0@1.0.0".into()));
    fs::remove_dir_all(bench.path("cargo")).unwrap();
    let _ = run(&bench, &["build", "p", "--out", "second"], "/bin/false").with_code(0);
    assert_eq!(json(&bench, "second/lock.json"), json(&bench, "first/lock.json"));
}

/// Provenance, and both bills, of a build that was reproduced.
#[test]
fn dependencies_are_in_the_proof_and_in_the_bills() {
    let bench = Bench::new();
    let lock = crates(&bench, 1);
    project(&bench, "cargo = \"Cargo.lock\"", ("Cargo.lock", &lock), &["cp $CARGO_HOME/vendor/*/Cargo.toml out"]);
    let key = bench.public_key();
    let check = ["check", "p", "-o", "p.proof.json", "--artifacts", "made"];
    let _ = run(&bench, &check, "/bin/false").with_code(0);
    let bills = ["--cyclonedx", "bom.json", "--spdx", "spdx.json"];
    let audit = ["audit", "p.proof.json", "made/first/out", "--key", key.to_str().unwrap()];
    let _ = bench.run([&audit[..], &bills].concat()).with_code(0);
    let bom = json(&bench, "bom.json");
    let component = |component: &&Value| component["purl"] == "pkg:cargo/c0@1.0.0";
    let found = bom["components"].as_array().unwrap().iter().find(component).unwrap();
    assert!(found["properties"].to_string().contains("\"dependency\""), "{found}");
    let spdx = json(&bench, "spdx.json");
    let relationships = spdx["relationships"].as_array().unwrap();
    let is_dependency = |relationship: &Value| relationship["relationshipType"] == "DEPENDENCY_OF";
    assert_eq!(relationships.iter().filter(|relationship| is_dependency(relationship)).count(), 1);
}

#[test]
fn what_a_lock_file_does_not_settle_is_refused_with_what_to_do() {
    let bench = Bench::new();
    let package = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n";
    let git = format!("{package}source = \"git+https://a.invalid/a#1\"\n");
    let none = format!("{package}source = \"registry+x\"\n");
    for (table, file, text, said) in [
        ("cargo = \"Cargo.lock\"", "Cargo.lock", git.as_str(), "Cargo.lock: a 1.0.0 comes from a Git repository"),
        ("cargo = \"Cargo.lock\"", "Cargo.lock", &none, "it has no checksum of a 1.0.0"),
        ("cargo = \"other.lock\"", "Cargo.lock", &none, "other.lock: it is not in the source"),
        ("npm = \"package-lock.json\"", "package-lock.json", "{\"lockfileVersion\":1}", "--lockfile-version=3"),
    ] {
        project(&bench, table, (file, text), &["true > out"]);
        let ran = run(&bench, &["build", "p", "--out", "x"], "/bin/false").with_code(2);
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    // What has other bytes is none of what is there, and the client has to do what it can.
    let lock = crates(&bench, 1);
    project(&bench, "cargo = \"Cargo.lock\"", ("Cargo.lock", &lock), &["true > out"]);
    fs::write(bench.path("cargo/registry/cache/made-up/c0-1.0.0.crate"), "other").unwrap();
    let ran = run(&bench, &["build", "p", "--out", "x"], "/bin/false").with_code(4);
    assert!(ran.stderr.contains("fetching dependencies with cargo failed"), "{}", ran.stderr);
}

/// From a real registry, by the machine's own client.
#[test]
fn a_crate_is_fetched_from_a_registry() {
    let bench = Bench::new();
    let sum = "92ecc6618181def0457392ccd0ee51198e065e016d1d527a7ac1b6dc7c1f09d2";
    // What cargo calls its registry, as it wrote it into this workspace's own.
    let own = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let source = own.lines().find(|line| line.starts_with("source = ")).unwrap();
    let lock =
        format!("version = 4\n[[package]]\nname = \"itoa\"\nversion = \"1.0.17\"\n{source}\nchecksum = \"{sum}\"\n");
    project(
        &bench,
        "cargo = \"Cargo.lock\"",
        ("Cargo.lock", &lock),
        &["cp $CARGO_HOME/vendor/itoa-1.0.17/Cargo.toml.orig out"],
    );
    let home = |variable: &str, folder: &str| {
        let own = std::env::var_os(variable).map(PathBuf::from);
        own.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(folder))
    };
    let mut command = bench.command(["lock", "p", "--json"]);
    command.env("CARGO_HOME", bench.path("cargo")).env("RUSTUP_HOME", home("RUSTUP_HOME", ".rustup"));
    let said = Running::start(command).wait(LONG).with_code(0).json();
    assert_eq!(
        (&said["dependencies"][0]["purl"], &said["dependencies"][0]["digest"]["sha256"]),
        (&"pkg:cargo/itoa@1.0.17".into(), &sum.into())
    );
    let _ = bench.run(["build", "p", "--out", "made"]).with_code(0);
    assert!(fs::read_to_string(bench.path("work/made/outputs/out")).unwrap().contains("name = \"itoa\""));
}

/// From a real registry, and installed without a network by the npm that this machine's `/usr` has.
#[test]
fn npm_installs_from_what_was_fetched_whether_or_not_the_lock_file_has_addresses() {
    for resolved in ["", "\"resolved\": \"https://registry.invalid/ms/-/ms-2.1.3.tgz\","] {
        let bench = Bench::new();
        let integrity =
            "sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA==";
        let dependencies = "\"dependencies\": { \"ms\": \"2.1.3\" }";
        let lock = |integrity: &str| {
            format!(
                "{{ \"name\": \"p\", \"lockfileVersion\": 3, \"requires\": true, \"packages\": {{ \"\": {{ \"name\": \"p\", \
                 {dependencies} }}, \"node_modules/ms\": {{ \"version\": \"2.1.3\", {resolved} \"integrity\": \"{integrity}\" }} }} }}"
            )
        };
        bench.write("p/package.json", format!("{{ \"name\": \"p\", {dependencies} }}"));
        let steps = ["npm ci", "cp node_modules/ms/index.js out"];
        let of = |integrity: &str| {
            project(&bench, "npm = \"package-lock.json\"", ("package-lock.json", &lock(integrity)), &steps)
        };
        of(integrity);
        let _ = bench.run(["build", "p", "--out", "made"]).with_code(0);
        assert!(fs::read_to_string(bench.path("work/made/outputs/out")).unwrap().contains("function parse(str)"));
        of(&integrity.replace("6Flz", "7Flz"));
        let ran = bench.run(["build", "p", "--out", "other"]).with_code(2);
        assert!(ran.stderr.contains("ms-2.1.3.tgz is not what the registry promised"), "{}", ran.stderr);
    }
}
