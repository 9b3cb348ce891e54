// SPDX-License-Identifier: Apache-2.0
//! The main way: what somebody published is rebuilt through the network, proven, and audited offline.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reprove_tests::{Bench, Ran, Running, is_root, once, python_client};
use serde_json::{Value, json};

const WHEEL: &str = "idna-3.20-py3-none-any.whl";

/// A rebuild of idna: `idna.proof.json`, its wheel in `artifacts/`, `key.pub`, and what was printed. Done once a run.
fn rebuilt() -> PathBuf {
    once("idna", |folder| {
        let bench = Bench::new();
        let mut command = bench.command(["rebuild", "pkg:pypi/idna@3.20", "--artifacts", "artifacts", "-o"]);
        command.arg(folder.join("idna.proof.json"));
        let ran = Running::start(command).wait(Duration::from_secs(300)).with_code(0);
        fs::write(folder.join("stdout"), ran.stdout).unwrap();
        fs::write(folder.join("stderr"), ran.stderr).unwrap();
        fs::copy(bench.public_key(), folder.join("key.pub")).unwrap();
        for kind in ["published", "first", "second"] {
            fs::create_dir_all(folder.join("artifacts").join(kind)).unwrap();
            let file = format!("artifacts/{kind}/{WHEEL}");
            fs::copy(bench.path("work").join(&file), folder.join(&file)).unwrap();
        }
    })
}

/// A place that has the rebuild's proof, wheel and key in its working directory.
fn auditor() -> Bench {
    let (bench, from) = (Bench::new(), rebuilt());
    bench.write("idna.proof.json", fs::read(from.join("idna.proof.json")).unwrap());
    bench.write(WHEEL, fs::read(from.join("artifacts/published").join(WHEEL)).unwrap());
    bench.write("key.pub", fs::read(from.join("key.pub")).unwrap());
    bench
}

const AUDIT: [&str; 5] = ["audit", "idna.proof.json", WHEEL, "--key", "key.pub"];

fn wait(command: Command) -> Ran {
    Running::start(command).wait(Duration::from_secs(60))
}

#[test]
fn the_verdict_is_said_in_words() {
    let folder = rebuilt();
    let text = fs::read_to_string(folder.join("stdout")).unwrap();
    assert!(text.starts_with("reproducible  pkg:pypi/idna@3.20\n"), "{text}");
    for line in [
        "idna-3.20-py3-none-any.whl comes out of its source bit for bit",
        "the same bytes, with another build path, clock, file order, host name",
        "not set; matched at the first try of a search",
        "namespaces; holds as long as the operator of that rebuilder is honest",
        "signed by ",
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
    let steps = fs::read_to_string(folder.join("stderr")).unwrap();
    assert!(steps.contains("note: made a key to sign with") && steps.contains("fetching idna 3.20 …\n"), "{steps}");
    assert!(!steps.contains('\x1b') && !text.contains('\x1b'), "nothing for terminals where there is none");
}

#[test]
fn what_was_rebuilt_is_what_was_published() {
    let folder = rebuilt().join("artifacts");
    let read = |kind: &str| fs::read(folder.join(kind).join(WHEEL)).unwrap();
    let published = read("published");
    assert!(published.starts_with(b"PK") && published == read("first") && published == read("second"));
}

#[test]
fn the_bills_of_a_package_have_what_it_was_locked_to() {
    let bench = auditor();
    let bills = ["--cyclonedx", "bom.json", "--spdx", "spdx.json"];
    let _ = bench.run([&AUDIT[..], &bills].concat()).with_code(0);
    let files = ["bom.json", "spdx.json"].map(|name| bench.path("work").join(name));
    let [bom, document] =
        files.each_ref().map(|file| serde_json::from_slice::<Value>(&fs::read(file).unwrap()).unwrap());
    let count = bom["components"].as_array().unwrap().len();
    assert_eq!(python_client("documents.py", &files), format!("CycloneDX 1.6 {count}\nSPDX-2.3 {}\n", count + 1));
    let artifact = &bom["metadata"]["component"];
    assert_eq!((&artifact["name"], &artifact["version"]), (&json!("idna"), &json!("3.20")));
    let proof: Value = serde_json::from_slice(&fs::read(bench.path("work/idna.proof.json")).unwrap()).unwrap();
    let provenance = statement(&proof["envelopes"][0]);
    let locked = provenance["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    assert_eq!(locked.len(), count);
    let components = bom["components"].as_array().unwrap().iter();
    let packages = document["packages"].as_array().unwrap()[1..].iter();
    for (locked, (component, package)) in locked.iter().zip(components.zip(packages)) {
        assert_eq!(component["purl"], locked["uri"]);
        assert_eq!(package["externalRefs"][0]["referenceLocator"], locked["uri"]);
        assert_eq!(component["hashes"][1]["content"], locked["digest"]["sha256"]);
        assert_eq!(package["checksums"][0]["checksumValue"], locked["digest"]["sha256"]);
    }
    let tools = locked.iter().filter(|locked| locked["annotations"]["role"] == "tool").count();
    let relationships = document["relationships"].as_array().unwrap();
    assert!(tools > 0, "a wheel has a back end");
    assert_eq!(relationships.iter().filter(|r| r["relationshipType"] == "BUILD_TOOL_OF").count(), tools);
}

#[test]
fn the_proof_says_what_was_used() {
    let proof: Value = serde_json::from_slice(&fs::read(rebuilt().join("idna.proof.json")).unwrap()).unwrap();
    let statements: Vec<Value> = proof["envelopes"].as_array().unwrap().iter().map(statement).collect();
    let [first, second, comparison] = statements.as_slice() else { panic!("{} statements", statements.len()) };
    let dependencies: Vec<&str> = first["predicate"]["buildDefinition"]["resolvedDependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dependency| {
            let digest = &dependency["digest"];
            assert!(digest["sha256"].is_string() && digest["blake3"].is_string(), "{dependency}");
            dependency["name"].as_str().unwrap()
        })
        .collect();
    assert!(dependencies.contains(&"idna-3.20.tar.gz"), "{dependencies:?}");
    assert!(dependencies.contains(&"flit_core-4.1.0-py3-none-any.whl"), "as its WHEEL file says: {dependencies:?}");
    let conditions = |s: &Value| s["predicate"]["buildDefinition"]["internalParameters"]["conditions"].clone();
    for condition in ["buildPath", "hostname", "fileOrder"] {
        assert_ne!(conditions(first)[condition], conditions(second)[condition]);
    }
    let environment = &first["predicate"]["buildDefinition"]["internalParameters"]["env"];
    assert!(environment.is_object() && environment.get("SOURCE_DATE_EPOCH").is_none(), "{environment}");
    assert_eq!(comparison["predicate"]["verdict"], "bit-identical");
    let epoch = &comparison["predicate"]["details"]["sourceDateEpoch"];
    assert_eq!((&epoch["seconds"], &epoch["origin"]), (&Value::Null, &json!("search-unset")));
}

fn statement(envelope: &Value) -> Value {
    serde_json::from_slice(&BASE64.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn it_is_audited_without_a_network_or_any_program() {
    let bench = auditor();
    let said = |ran: &Ran| {
        assert!(ran.stdout.starts_with("verified  idna.proof.json: reproducible\n"), "{}", ran.stdout);
        assert!(ran.stdout.contains(&format!("{WHEEL}: the file given is this one")), "{}", ran.stdout);
        for line in ["holds as long as", "does not need"] {
            assert!(ran.stdout.contains(line), "{}", ran.stdout);
        }
    };
    let mut alone = bench.command(AUDIT);
    alone.env_clear();
    said(&wait(alone).with_code(0));
    let program = reprove_tests::program();
    let mut offline = bench.program_in_this_place("unshare");
    // Without root, a network namespace takes a user namespace.
    offline.args(if is_root() { &["--net", "--"][..] } else { &["--user", "--net", "--"][..] });
    // There is nothing but a loopback device, which is down.
    let script = "test \"$(grep -c : /proc/net/dev)\" = 1 && exec env -i \"$@\"";
    offline.args(["sh", "-c", script, "sh"]).arg(program).args(AUDIT);
    said(&wait(offline).with_code(0));
}

#[test]
fn one_changed_byte_of_the_wheel_is_named() {
    let bench = auditor();
    let mut wheel = fs::read(bench.path("work").join(WHEEL)).unwrap();
    let middle = wheel.len() / 2;
    wheel[middle] ^= 1;
    bench.write(WHEEL, wheel);
    let ran = bench.run(AUDIT).with_code(1);
    let says = format!("\"{WHEEL}\" (SHA-256 ");
    assert!(ran.stdout.contains(&says) && ran.stdout.contains("is not what the proof is about"), "{}", ran.stdout);
}

/// Rewrites the base64 text of one field of one envelope.
fn tampered(bench: &Bench, envelope: usize, field: &str, change: impl Fn(&mut Vec<u8>)) {
    let text = fs::read_to_string(bench.path("work/idna.proof.json")).unwrap();
    let proof: Value = serde_json::from_str(&text).unwrap();
    let envelope = &proof["envelopes"][envelope];
    let old = if field == "payload" { &envelope["payload"] } else { &envelope["signatures"][0][field] };
    let old = old.as_str().unwrap();
    let mut bytes = BASE64.decode(old).unwrap();
    change(&mut bytes);
    let new = text.replacen(old, &BASE64.encode(bytes), 1);
    assert_ne!(new, text);
    bench.write("idna.proof.json", new);
}

#[test]
fn one_changed_byte_of_a_statement_or_a_signature_is_named() {
    for (envelope, field) in [(0, "payload"), (1, "payload"), (2, "payload"), (0, "sig"), (2, "sig")] {
        let bench = auditor();
        tampered(&bench, envelope, field, |bytes| {
            let at = bytes.len() / 2 - 1;
            bytes[at] ^= 1;
        });
        let ran = bench.run(AUDIT).with_code(1);
        assert!(ran.stdout.starts_with("does not verify  idna.proof.json\n"), "{}", ran.stdout);
        let where_it_is = format!("envelope {} of 3: ", envelope + 1);
        assert!(ran.stdout.contains(&where_it_is), "{field}: {}", ran.stdout);
        let what = if field == "payload" { "the statement was changed" } else { "the signature was changed" };
        assert!(ran.stdout.contains(what), "{field}: {}", ran.stdout);
    }
}

#[test]
fn another_key_is_named() {
    let (bench, other) = (auditor(), Bench::new());
    bench.write("other.pub", fs::read(other.public_key()).unwrap());
    let ran = bench.run(["audit", "idna.proof.json", WHEEL, "--key", "other.pub"]).with_code(1);
    let keyid = fs::read_to_string(rebuilt().join("stdout")).unwrap();
    let keyid = keyid.rsplit("signed by ").next().unwrap().trim();
    let says = format!("it is signed by another key than those given: keyid {keyid}");
    assert!(ran.stdout.contains(&says), "{}", ran.stdout);
    // Both together are enough: the signer is one of those that are believed.
    let _ = bench.run(["audit", "idna.proof.json", WHEEL, "--key", "other.pub", "--key", "key.pub"]).with_code(0);
}

#[test]
fn a_difference_is_explained_proven_and_audited() {
    let bench = Bench::new();
    // It was compressed by another zlib.
    let command = bench.command(["rebuild", "pkg:pypi/decorator@5.3.1"]);
    let ran = Running::start(command).wait(Duration::from_secs(300)).with_code(1);
    assert!(ran.stdout.starts_with("different  pkg:pypi/decorator@5.3.1\n"), "{}", ran.stdout);
    let tried =
        "none of setuptools 82.0.1 (before 2026-05-18), setuptools 82.0.1 (before 2026-05-18; times taken over)";
    for line in ["zip compression: 5 compression details differ; contents are equal", "published: 1526 bytes", tried] {
        assert!(ran.stdout.contains(line), "{line:?} is not in:\n{}", ran.stdout);
    }
    let key = bench.public_key();
    let ran = bench.run(["audit", "decorator-5.3.1.proof.json", "--key", key.to_str().unwrap()]).with_code(1);
    assert!(
        ran.stdout
            .starts_with("verified  decorator-5.3.1.proof.json: different (no file was given to compare with it)\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("The proof is genuine. What it proves is a difference"), "{}", ran.stdout);
}
