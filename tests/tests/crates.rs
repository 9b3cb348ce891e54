// SPDX-License-Identifier: Apache-2.0
//! Crates: packed again from their own contents by a cargo of Debian's, and compared with what was published.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use reprove_model::Sha256;
use reprove_tests::{Bench, Ran, Running};
use serde_json::{Value, json};

fn rebuild(bench: &Bench, purl: &str, more: &[&str]) -> Ran {
    // As the machine has it set up, whatever this place's home is.
    let own = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let home = own.unwrap_or_else(|| std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"));
    let mut command = bench.command([&["rebuild", purl], more].concat());
    command.env("CARGO_HOME", home).env("RUSTUP_HOME", rustup_home());
    Running::start(command).wait(Duration::from_secs(900))
}

fn rustup_home() -> std::path::PathBuf {
    let own = std::env::var_os("RUSTUP_HOME").map(std::path::PathBuf::from);
    own.unwrap_or_else(|| std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join(".rustup"))
}

/// One that cargo 1.93 or newer has packed, one that an older one has, and one of before 1.80: bit for bit, and an audit takes that
/// for no more than it is.
#[test]
fn a_crate_comes_out_of_its_own_contents() {
    let bench = Bench::sharing("crates");
    let key = bench.public_key();
    let itoa = ("itoa", "1.0.17", "zlib-rs 0.6.8", 1);
    let semver = ("semver", "1.0.27", "zlib-rs 0.5.2", 2);
    let memoffset = ("memoffset", "0.9.1", "zlib", 1);
    for (name, version, compressor, tools) in [itoa, semver, memoffset] {
        let (purl, proof) = (format!("pkg:cargo/{name}@{version}"), format!("{name}.proof.json"));
        let more = ["--json", "-o", &proof, "--artifacts", name];
        let said = rebuild(&bench, &purl, &more).with_code(0).json();
        assert_eq!(said["verdict"]["outcome"], json!("reproducible"));
        assert_eq!(said["published"]["derived"], json!(["bytes", "contents", "tools"]));
        let tried = said["verdict"]["toolsTried"].as_array().unwrap();
        let last = tried.last().unwrap();
        assert_eq!((tried.len(), &last["matched"]), (tools, &json!(true)), "{tried:?}");
        assert!(last["name"].as_str().unwrap().ends_with(&format!(", {compressor}")), "{last}");
        let lock: Value =
            serde_json::from_slice(&fs::read(bench.path("work").join(name).join("lock.json")).unwrap()).unwrap();
        let inputs = lock["inputs"].as_array().unwrap();
        let has = |start: &str| inputs.iter().any(|input| input["name"].as_str().unwrap().starts_with(start));
        assert!(has("git_") && has("pack.py") && (has("cargo-web_") || has("cargo_")));
        assert_eq!(has("zlib-rs+0.5.2") || has("zlib-rs+0.6.8"), name != "memoffset");
        let artifact = format!("{name}/published/{name}-{version}.crate");
        let audit = ["audit", &proof, &artifact, "--key", key.to_str().unwrap(), "--json"];
        assert_eq!(bench.run(audit).with_code(1).json()["code"], json!("own-contents-only"));
        let accepted = [&audit[..], &["--accept", "own-contents"]].concat();
        assert_eq!(bench.run(accepted).with_code(0).json()["verified"], json!(true));
    }
}

#[test]
fn what_is_no_crate_is_said() {
    let bench = Bench::sharing("crates");
    let ran = rebuild(&bench, "pkg:cargo/itoa@99.0.0", &[]).with_code(2);
    assert!(ran.stderr.contains("the registry has no itoa 99.0.0; cargo info itoa says"), "{}", ran.stderr);
    let ran = rebuild(&bench, "pkg:cargo/itoa@1", &[]).with_code(2);
    assert!(ran.stderr.contains("names no version of a crate"), "{}", ran.stderr);
}

/// The `.crate` of `demo` 1.0.0 with these files, as cargo 1.54 to 1.79 would have dated them.
fn packed(files: &[(&str, &str, u32)]) -> Vec<u8> {
    let gzip = GzBuilder::new().filename("demo-1.0.0.crate").write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for (name, text, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len().try_into().unwrap());
        header.set_mode(*mode);
        header.set_mtime(if *name == "Cargo.toml" { 1 } else { 1_153_704_088 });
        tar.append_data(&mut header, format!("demo-1.0.0/{name}"), text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// `reprove rebuild` with a cargo that has these bytes for `demo` 1.0.0, and else is the machine's.
fn serving(bench: &Bench, bytes: &[u8]) -> Ran {
    let served = bench.write("served.crate", bytes);
    let lock = format!("[[package]]\\nname = \"demo\"\\nversion = \"1.0.0\"\\nchecksum = \"{}\"\\n", Sha256::of(bytes));
    let script = format!(
        "#!/bin/sh\nset -e\ngrep -q 'package = \"demo\", version = \"=1.0.0\"' Cargo.toml || exec cargo \"$@\"\n\
         mkdir -p \"$CARGO_HOME/registry/cache/served\"\n\
         cp {} \"$CARGO_HOME/registry/cache/served/demo-1.0.0.crate\"\nprintf '{lock}' >Cargo.lock\n",
        served.display()
    );
    let cargo = bench.write("cargo", script);
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = bench.command(["rebuild", "pkg:cargo/demo@1.0.0", "--json", "--artifacts", "artifacts"]);
    command.env("REPROVE_CARGO", cargo).env("CARGO_HOME", bench.path("cargo-home")).env("RUSTUP_HOME", rustup_home());
    Running::start(command).wait(Duration::from_secs(900))
}

fn paths(bench: &Bench, kind: &str) -> Vec<String> {
    let file = fs::File::open(bench.path("work/artifacts").join(kind).join("demo-1.0.0.crate")).unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

/// Whatever of a crate would run writes a file that would be packed. The manifest is not the author's, which is found.
#[test]
fn no_code_of_a_crate_runs_and_another_manifest_is_found() {
    let manifest = "[package]\nname = \"demo\"\nversion = \"1.0.0\"\nedition = \"2021\"\nbuild = \"build.rs\"\n\
                    license = \"MIT\"\ndescription = \"A crate\"\n";
    let other = format!("{manifest}[dependencies]\nitoa = \"1\"\n");
    let ran = "#!/bin/sh\ntouch \"$(dirname \"$0\")/src/ran.rs\"\nexec \"$@\"\n";
    let config = "[alias]\npackage = \"run\"\n[build]\nrustc-wrapper = \"./ran.sh\"\nrustc = \"./ran.sh\"\n";
    let script = "fn main() { std::fs::write(\"src/ran.rs\", \"\").unwrap(); }\n";
    // Without a commit, cargo leaves out what begins with a dot.
    let note = format!("{{\"git\":{{\"sha1\":\"{}\"}},\"path_in_vcs\":\"\"}}", "ab".repeat(20));
    let files = [
        (".cargo_vcs_info.json", note.as_str(), 0o644),
        (".cargo/config.toml", config, 0o644),
        ("Cargo.toml", &other, 0o644),
        ("Cargo.toml.orig", manifest, 0o644),
        ("build.rs", script, 0o644),
        ("ran.sh", ran, 0o755),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"nightly\"\n", 0o644),
        ("src/lib.rs", "", 0o644),
    ];
    let bench = Bench::sharing("crates");
    let said = serving(&bench, &packed(&files)).with_code(1).json();
    let verdict = &said["verdict"];
    assert_eq!((&verdict["outcome"], &verdict["rebuildsAgree"]), (&json!("different"), &json!(true)), "{verdict:#}");
    let of = verdict["findings"].as_array().unwrap();
    assert!(of.iter().any(|finding| finding["place"].as_str().unwrap().contains("Cargo.toml")), "{of:#?}");
    for kind in ["first", "second"] {
        let paths = paths(&bench, kind);
        for there in [".cargo/config.toml", "build.rs", "ran.sh", "src/lib.rs"] {
            assert!(paths.contains(&format!("demo-1.0.0/{there}")), "{there} is not in {paths:?}");
        }
        assert!(!paths.iter().any(|path| path.ends_with("ran.rs")), "{paths:?}");
    }
}

/// What is no commit's id is not put in as one, and the log says so.
#[test]
fn only_a_commits_id_is_taken_over() {
    let manifest = "[package]\nname = \"demo\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    let note = format!("{{\"git\":{{\"sha1\":\"{}\"}},\"path_in_vcs\":\"\"}}", "ab".repeat(21));
    let files = [
        (".cargo_vcs_info.json", note.as_str(), 0o644),
        ("Cargo.toml", manifest, 0o644),
        ("Cargo.toml.orig", manifest, 0o644),
        ("src/lib.rs", "", 0o644),
    ];
    let bench = Bench::sharing("crates");
    let ran = serving(&bench, &packed(&files)).with_code(3);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(all.contains("is no commit's id"), "{all}");
}
