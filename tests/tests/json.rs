// SPDX-License-Identifier: Apache-2.0
//! Whatever `--json` prints is one object, as its schema in `docs/schema` says. An independent implementation validates.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use reprove_model::{Closure, Node, TreePath};
use reprove_store::Store;
use reprove_tests::{Bench, Running, faults, valid};
use serde_json::{Value, json};

#[test]
fn a_verdict_and_its_audit() {
    let bench = Bench::new();
    let key = bench.public_key();
    for (project, code) in [("hello-c", 0), ("hello-c-dated", 1)] {
        let _ = bench.example(project);
        let verdict = valid(bench.run(["check", project, "--json"]), code, "verdict");
        let proof = verdict["proof"].as_str().unwrap();
        let audited = valid(bench.run(["audit", proof, "--json", "--key", key.to_str().unwrap()]), code, "audit");
        assert_eq!(audited["verdict"], verdict["verdict"], "a proof says what was printed");
        assert_eq!(audited["signers"], json!([verdict["keyid"]]));
        assert_eq!(audited["evidenceJudged"], json!(false), "keys alone say nothing of machines");
    }
    let ran = bench.run(["audit", "hello-c/Makefile", "--json", "--key", key.to_str().unwrap()]);
    let refused = valid(ran, 1, "audit");
    assert_eq!((&refused["verified"], &refused["code"]), (&json!(false), &json!("not-canonical")));
    let entry = fs::read_to_string(&key).unwrap();
    bench.write("trust.toml", format!("[[key]]\npublic = '''\n{entry}'''\noperator = 'me'\nplatform = 'here'\n"));
    let ran = bench.run(["audit", "hello-c/Makefile", "--json", "--trust", "trust.toml"]);
    assert_eq!(valid(ran, 1, "audit")["code"], "not-canonical", "one reason, one code");
}

#[test]
fn what_is_signed_is_as_its_schema_says() {
    let bench = Bench::new();
    let key = bench.public_key();
    let _ = bench.example("hello-c-dated");
    let named = ["--operator", "me", "--platform", "here"];
    let _ = bench.run([&["check", "hello-c-dated", "-o", "dated.json"], &named[..]].concat()).with_code(1);
    let _ = bench.example("hello-c");
    bench.write("hello-c/Makefile", "all:\n\tfalse\n");
    let _ = bench.run(["check", "hello-c", "-o", "failed.json"]).with_code(3);
    for (proof, word) in [("dated.json", "different"), ("failed.json", "unbuildable")] {
        let shown = valid(bench.run(["proof", "show", proof, "--json"]), 0, "proof");
        let envelope = shown["envelopes"].as_array().unwrap().last().unwrap();
        let predicate = &envelope["statement"]["predicate"];
        let named = predicate["resolvedDependencies"].as_array().map_or(0, Vec::len);
        assert_eq!((envelope["inputs"].as_array().unwrap().len(), named > 0), (named, word == "unbuildable"));
        let found = predicate["details"]["findings"].as_array().map_or(0, Vec::len);
        assert_eq!((envelope["findings"].as_array().unwrap().len(), found > 0), (found, word == "different"));
        assert_eq!(predicate["verdict"], word);
        assert_eq!(faults(predicate, "rebuild-comparison"), "", "{predicate:#}");
        let mut more = predicate.clone();
        more["more"] = json!(1);
        assert_ne!(faults(&more, "rebuild-comparison"), "");
    }
    let shown = bench.run(["proof", "show", "dated.json", "--json"]).with_code(0).json();
    let [built, _, compared] = &shown["envelopes"].as_array().unwrap()[..] else { panic!("{shown:#}") };
    let source = &built["statement"]["predicate"]["buildDefinition"]["resolvedDependencies"][0];
    let input = json!({ "name": source["name"], "purl": null, "sha256": source["digest"]["sha256"] });
    assert_eq!((&built["inputs"][0], &built["findings"]), (&input, &json!([])));
    let (finding, shown) = (&compared["statement"]["predicate"]["details"]["findings"][0], &compared["findings"][0]);
    for member in ["between", "place", "kind", "summary", "causes"] {
        assert_eq!((&shown[member], shown[member].is_null()), (&finding[member], false), "{member}");
    }
    let audit = ["audit", "failed.json", "--key", key.to_str().unwrap(), "--json"];
    assert_eq!(valid(bench.run(audit), 1, "audit")["unbuildable"]["attempts"][0]["exit"]["how"], "status");
}

#[test]
fn a_rebuilds_verdict_and_its_audit() {
    let bench = Bench::new();
    let key = bench.public_key();
    let ran = bench.run(["rebuild", "pkg:pypi/six@1.17.0", "--json", "--artifacts", "made"]);
    let verdict = valid(ran, 0, "verdict");
    let wheel = format!("made/published/{}", verdict["published"]["name"].as_str().unwrap());
    let arguments = ["audit", "six-1.17.0.proof.json", &wheel, "--json", "--key", key.to_str().unwrap()];
    let audited = valid(bench.run(arguments), 0, "audit");
    assert_eq!((&audited["verified"], &audited["artifacts"]), (&json!(true), &json!([wheel])));
    assert_eq!(audited["published"], verdict["published"]);
    assert_eq!(audited["published"]["derived"], json!(["times", "tools"]));
}

#[test]
fn what_several_rebuilders_say() {
    let bench = Bench::new();
    let key = bench.public_key();
    let _ = bench.example("hello-c");
    let checked = bench.run(["check", "hello-c", "--json"]).with_code(0).json();
    let proof = checked["proof"].as_str().unwrap();
    let public = fs::read_to_string(key).unwrap();
    let entry = format!("[[key]]\npublic = '''\n{public}'''\noperator = 'me'\nplatform = 'here'\n");
    bench.write("trust.toml", entry);
    bench.write("policy.toml", "rebuilders = 2\n");
    let shown = valid(bench.run(["proof", "show", proof, "--json"]), 0, "proof");
    assert_eq!(shown["envelopes"].as_array().unwrap().len(), 3);
    let exported = valid(bench.run(["proof", "export", proof, "--to", "exported", "--json"]), 0, "proof");
    assert_eq!(exported["files"].as_array().unwrap().len(), 4);
    let merge = ["proof", "merge", proof, proof, "-o", "m.proof.json", "--json"];
    assert_eq!(valid(bench.run(merge), 0, "proof")["envelopes"], 3);
    let audit = ["audit", "m.proof.json", "--json", "--trust", "trust.toml", "--policy", "policy.toml"];
    let enough = valid(bench.run(&audit[..5]), 0, "audit");
    assert_eq!(
        (&enough["verified"], &enough["independent"], &enough["claims"][0]["operator"]),
        (&json!(true), &json!(1), &json!("me"))
    );
    let seen = [&audit[..], &["--rego-input", "seen.json"]].concat();
    let short = valid(bench.run(seen), 1, "audit");
    let mut seen: Value = serde_json::from_slice(&fs::read(bench.path("work/seen.json")).unwrap()).unwrap();
    assert_eq!(faults(&seen, "rego-input"), "", "{seen:#}");
    assert_eq!((&seen["shortfalls"], &seen["time"]), (&json!(["too-few-rebuilders"]), &short["at"]));
    seen["claims"][0]["statements"]["more"] = json!(1);
    assert!(faults(&seen, "rego-input").contains("'more' was unexpected"));
    assert_eq!((&short["verified"], &short["shortfalls"][0]["code"]), (&json!(false), &json!("too-few-rebuilders")));
}

#[test]
fn a_log() {
    let bench = Bench::new();
    let _ = bench.run(["key", "new", "--no-passphrase", "--algorithm", "ed25519"]).with_code(0);
    let key = bench.public_key();
    let _ = bench.example("hello-c");
    let checked = bench.run(["check", "hello-c", "--json"]).with_code(0).json();
    let proof = checked["proof"].as_str().unwrap();
    let made = valid(bench.run(["log", "new", "log", "--origin", "log.example/one", "--json"]), 0, "log");
    assert_eq!(made["size"], 0);
    let added = valid(bench.run(["log", "add", "log", proof, "--signer", key.to_str().unwrap(), "--json"]), 0, "log");
    assert_eq!((&added["added"], &added["size"]), (&json!(3), &json!(3)));
    let _ = bench.run(["check", "hello-c", "--artifacts", "made", "--output", "again.json"]).with_code(0);
    let gather = ["log", "gather", "log", "made/first/hello", "hello-c/Makefile", "-o", "all.json", "--json"];
    assert_eq!(valid(bench.run(gather), 0, "log")["envelopes"], 3);
    let shown = valid(bench.run(["proof", "show", "all.json", "--json"]), 0, "proof");
    let recorded = &shown["recorded"][0];
    assert_eq!((&recorded["entries"], &recorded["listed"], &recorded["size"]), (&json!(3), &json!(3), &json!(3)));
    assert_eq!((&recorded["origin"], &shown["recorded"][1]["entries"]), (&json!("log.example/one"), &json!(0)));
    let verify = ["log", "verify", "log", "--log-key", made["key"].as_str().unwrap(), "--json"];
    assert_eq!(valid(bench.run(verify), 0, "log")["size"], 3);
    bench.write("log/tile/0/000.p/3", [0; 96]);
    assert_eq!(valid(bench.run(verify), 1, "log")["verified"], false);
}

#[test]
fn a_build() {
    let bench = Bench::new();
    let project = bench.example("hello-c");
    let all = ["build", project.to_str().unwrap(), "--json", "--inputs", "--unused", "--out", "seen"];
    let value = valid(bench.run(all), 0, "build");
    assert!(value["inputs"]["paths"].as_array().is_some_and(|paths| paths.len() > 10), "{value}");
    let value = valid(bench.run(["build", project.to_str().unwrap(), "--json"]), 0, "build");
    assert_eq!((&value["name"], &value["out"]), (&json!("hello-c"), &json!("reprove-out")));
}

#[test]
fn a_first_recipe() {
    let bench = Bench::new();
    bench.write("p/Makefile", "all: hello\n");
    let printed = valid(bench.run(["init", "p", "--print", "--json"]), 0, "init");
    assert_eq!((&printed["kind"], &printed["file"]), (&json!("Make"), &Value::Null));
    let written = valid(bench.run(["init", "p", "--json"]), 0, "init");
    assert_eq!(fs::read_to_string(bench.path("work/p/reprove.toml")).unwrap(), written["recipe"].as_str().unwrap());
    let again = valid(bench.run(["init", "p", "--json"]), 2, "error");
    assert!(again["error"].as_str().unwrap().contains("is there already"), "{again}");
}

#[test]
fn a_lock() {
    let bench = Bench::new();
    let recipe = "[package]\nname = \"p\"\n[source]\ndirectory = \".\"\n[environment]\ndebian = \"bookworm\"\n\
                  [build]\nsteps = [\"true\"]\n[outputs]\npaths = [\"out\"]\n";
    bench.write("p/reprove.toml", recipe);
    reprove_tests::layouts::write(&bench.path("work/base"), "1", &[reprove_tests::layouts::shell()]);
    bench.project("of-image", &["true"], "[environment]\nimage = \"oci:../base\"\n");
    let value = valid(bench.run(["lock", "of-image", "--json"]), 0, "lock");
    assert_eq!((value["layers"].as_array().map(Vec::len), &value["changed"]), (Some(1), &json!(true)));
    let value = valid(bench.run(["lock", "p", "--json"]), 0, "lock");
    assert_eq!(value["changes"]["gone"], json!([]));
    assert_eq!(value["changes"]["new"].as_array().unwrap().len(), value["packages"].as_array().unwrap().len());
    let text = bench.run(["lock", "p"]).with_code(0).stdout;
    assert!(text.contains("changed            nothing"), "{text}");
    let recipe = "package.name = 'p'\nsource.directory = '.'\nbuild.steps = ['true']\noutputs.paths = ['out']\n\
                  dependencies.cargo = 'Cargo.lock'\n";
    bench.write("q/reprove.toml", recipe);
    bench.write("q/Cargo.lock", "version = 4\n");
    let value = valid(bench.run(["lock", "q", "--json"]), 0, "lock");
    assert_eq!(value, json!({ "name": "p", "dependencies": [] }));
}

#[test]
fn images_and_what_is_attached_to_them() {
    let bench = Bench::new();
    reprove_tests::layouts::write(&bench.path("work/base"), "1", &[reprove_tests::layouts::shell()]);
    bench.project("p", &["echo x > out"], "[environment]\nimage = \"oci:../base\"\n");
    let imported = valid(bench.run(["image", "import", "oci:base", "--json"]), 0, "image");
    let exported = valid(bench.run(["image", "export", "p", "-o", "oci:out", "--json"]), 0, "image");
    assert_eq!(imported["tree"], exported["tree"]);
    let _ = bench.run(["check", "p", "-o", "p.proof.json"]).with_code(0);
    let pushed = valid(bench.run(["proof", "push", "p.proof.json", "oci:out", "--json"]), 0, "proof");
    assert_eq!(pushed["subject"], exported["manifest"]);
    let _ = valid(bench.run(["proof", "pull", "oci:out", "-o", "q.proof.json", "--json"]), 0, "proof");
}

#[test]
fn a_comparison() {
    let bench = Bench::new();
    for (name, text) in [("a", "one\n"), ("b", "one\n"), ("c", "two\n"), ("d/a", "one\n"), ("e/b", "one\n")] {
        bench.write(name, text);
    }
    for (left, right, code) in [("a", "b", 0), ("a", "c", 1), ("d", "d", 0), ("d", "e", 1)] {
        let value = valid(bench.run(["compare", left, right, "--json"]), code, "compare");
        assert_eq!(value["identical"], code == 0);
        assert_eq!(value["level"], if code == 0 { "bit-identical" } else { "different" });
    }
}

#[test]
fn a_key() {
    let bench = Bench::new();
    let made = valid(bench.run(["key", "new", "--no-passphrase", "--json"]), 0, "key");
    assert_eq!(valid(bench.run(["key", "show", "--json"]), 0, "key"), made);
}

/// Makes an environment of a store's paths in the bench's store; gives a file of it.
fn environment(bench: &Bench) -> PathBuf {
    let store = Store::open(&bench.path("store")).unwrap();
    let (digest, size) = store.add_bytes(b"tool").unwrap();
    let path = TreePath::new("tool").unwrap();
    let entries = BTreeMap::from([(path, Node::File { mode: 0o755, size, digest })]);
    let closure = Closure { store: "/nix/store".into() };
    let made = reprove_images::closure::keep(&store, &closure, digest.blake3, &entries).unwrap();
    made.binds[0].0.join("tool")
}

#[test]
fn what_the_store_keeps_and_removes() {
    let bench = Bench::new();
    let _ = bench.example("hello-c");
    let _ = bench.run(["check", "hello-c", "--quiet"]).with_code(0);
    let whole = valid(bench.run(["store", "verify", "--json"]), 0, "store-verify");
    assert_eq!((&whole["whole"], &whole["roots"]), (&json!(true), &json!(2)), "{whole:#}");
    let kept = valid(bench.run(["store", "gc", "--json"]), 0, "store-gc");
    assert_eq!((&kept["roots"], &kept["rootsLeft"]), (&json!([]), &json!(2)), "{kept:#}");
    let whole = valid(bench.run(["store", "verify", "--json"]), 0, "store-verify");
    assert_eq!(whole["roots"], 2, "a job's records, and all that they name, outlast a collection");
    let would = valid(bench.run(["store", "gc", "--max-size", "1B", "--dry-run", "--json"]), 0, "store-gc");
    assert_eq!((&would["dryRun"], &would["left"]), (&json!(true), &json!(0)), "{would:#}");
    let blob = bench.path("store/blobs/ab").join("c".repeat(62));
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&blob, "damaged").unwrap();
    let damaged = valid(bench.run(["store", "verify", "--repair", "--json"]), 1, "store-verify");
    assert_eq!(damaged["wrong"], json!([{ "type": "damaged", "path": blob }]));
    assert!(!blob.exists() && fs::read_to_string(damaged["moved"][0].as_str().unwrap()).unwrap() == "damaged");
    let whole = valid(bench.run(["store", "verify", "--json"]), 0, "store-verify");
    assert_eq!((&whole["roots"], &whole["environments"]), (&json!(2), &json!(0)));
    let file = environment(&bench);
    let whole = valid(bench.run(["store", "verify", "--json"]), 0, "store-verify");
    assert_eq!(whole["environments"], 1);
    fs::write(&file, "other").unwrap();
    let verify = ["store", "verify", "--repair"];
    let damaged = valid(bench.run([&verify[..], &["--json"]].concat()), 1, "store-verify");
    let environments: Vec<&Value> =
        damaged["wrong"].as_array().unwrap().iter().filter(|wrong| wrong["type"] == "environment").collect();
    assert_eq!(environments.len(), 1, "{damaged:#}");
    assert!(file.starts_with(environments[0]["path"].as_str().unwrap()) && !file.exists());
    fs::write(environment(&bench), "other").unwrap();
    let said = bench.run(verify).with_code(1).stdout;
    assert!(said.contains("an environment that is not what its list says\n") && said.contains("next: run "), "{said}");
    assert_eq!(valid(bench.run(["store", "verify", "--json"]), 0, "store-verify")["environments"], 0);
    environment(&bench);
    let would = valid(bench.run(["store", "gc", "--dry-run", "--json"]), 0, "store-gc");
    assert_eq!(would["environments"], 1, "{would:#}");
    let gone = valid(bench.run(["store", "gc", "--max-size", "1B", "--json"]), 0, "store-gc");
    assert_eq!((gone["roots"].as_array().unwrap().len(), &gone["left"]), (2, &json!(0)));
}

#[test]
fn what_the_doctor_finds() {
    assert_eq!(valid(Bench::new().run(["doctor", "--json"]), 0, "doctor")["able"], true);
}

#[test]
fn every_error() {
    let bench = Bench::new();
    bench.project("fails", &["echo why; false"], "");
    for (arguments, code) in [
        (&["check", "nowhere", "--json"][..], 2),
        (&["compare", "nowhere", "nowhere", "--json"], 2),
        (&["audit", "nowhere", "--key", "nowhere", "--json"], 2),
        (&["key", "show", "nowhere", "--json"], 2),
        (&["check", "fails", "--json"], 3),
        (&["build", "fails", "--json"], 3),
        (&["check", "fails", "--json", "--store", "/proc/nowhere"], 4),
    ] {
        let value = valid(bench.run(arguments), code, "error");
        assert_eq!(value["code"], code, "the object has the exit status");
        let log = value["log"].as_str().map(|log| fs::read_to_string(log).unwrap());
        let failed = (code == 3).then(|| "why\n".to_owned());
        assert_eq!((log, &value["status"]), (failed.clone(), &failed.map_or(Value::Null, |_| json!(1))), "{value}");
    }
    bench.project("ended", &["true", "kill -9 $$"], "");
    let value = valid(bench.run(["check", "ended", "--json"]), 3, "error");
    assert_eq!((&value["step"], &value["signal"], value.get("status")), (&json!(2), &json!(9), None), "{value}");
    bench.project("hangs", &["sleep 86399"], "");
    let mut running = Running::start(bench.command(["check", "hangs", "--json"]));
    running.wait_for("building");
    running.signal(nix::sys::signal::Signal::SIGINT);
    let value = valid(running.wait(Duration::from_secs(5)), 130, "error");
    assert_eq!(value["code"], 130);
}

#[test]
fn what_a_build_asked_for() {
    let bench = Bench::new();
    let _ = bench.example("hello-c");
    let _ = bench.run(["check", "hello-c", "--artifacts", "made"]).with_code(0);
    let record = fs::read(bench.path("work/made/first.record.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let digest = record["observed"]["listing"]["blake3"].as_str().unwrap();
    let blob = fs::read(bench.path("store/blobs").join(&digest[..2]).join(&digest[2..])).unwrap();
    let listing: Value = serde_json::from_slice(&blob).unwrap();
    assert_eq!(faults(&listing, "inputs-listing"), "");
    assert!(listing["paths"].as_object().unwrap().len() > 10);
    let mut other = listing.clone();
    other["paths"]["relative"] = json!({ "origin": "source", "uses": ["open"] });
    assert_ne!(faults(&other, "inputs-listing"), "");
    other = listing;
    other["mode"] = json!("declared");
    assert_ne!(faults(&other, "inputs-listing"), "");
}

#[test]
fn what_is_said_of_virtual_machines() {
    let bench = Bench::with_machines();
    let images = valid(bench.run(["image", "build", "guest", "--json"]), 0, "image");
    let tee = valid(bench.run(["tee", "--json"]), 0, "tee");
    assert_eq!(tee["emulated"][0]["isolation"], "emulated-snp");
    assert_eq!(tee["emulated"][1]["isolation"], "emulated-tdx");
    assert!(images["guests"].as_array().unwrap().iter().all(|guest| !guest["modules"].as_array().unwrap().is_empty()));
    let project = bench.project("project", &["touch out"], "");
    let project = project.to_str().unwrap();
    let by = ["--isolation", "vm", "--engine", reprove_tests::engine(), "--json"];
    let built = valid(bench.run(["build", project].into_iter().chain(by)), 0, "build");
    assert_eq!(built["isolation"], "vm");
    let verdict = valid(bench.run(["check", project].into_iter().chain(by)), 0, "verdict");
    assert_ne!(verdict["rebuilds"][0]["machine"]["job"], verdict["rebuilds"][1]["machine"]["job"]);
    let key = bench.public_key();
    let proof = verdict["proof"].as_str().unwrap();
    let _ = valid(bench.run(["audit", proof, "--json", "--key", key.to_str().unwrap()]), 0, "audit");
    let _ = valid(bench.run(["proof", "show", proof, "--json"]), 0, "proof");
}

/// A schema that takes anything would pass all of the above.
#[test]
fn what_is_not_so_is_refused() {
    let digests = json!({ "blake3": "0".repeat(64), "sha256": "0".repeat(64) });
    let good = json!({ "verified": false, "proof": "p", "code": "no-newline", "cause": null, "reason": "r" });
    assert_eq!(faults(&good, "audit"), "");
    for (value, schema) in [
        (json!({}), "audit"),
        (json!({ "verified": false, "proof": "p", "reason": "r" }), "audit"),
        (json!({ "verified": false, "proof": "p", "code": "No code", "cause": null, "reason": "r" }), "audit"),
        (json!({ "verified": false, "proof": "p", "code": "c", "cause": null, "reason": "r", "more": 1 }), "audit"),
        (json!({ "verified": true, "proof": "p", "reason": "r" }), "audit"),
        (
            json!({ "identical": true, "level": "bit-identical", "normalizations": [], "findings": [digests] }),
            "compare",
        ),
        (json!({ "identical": false, "level": "different", "normalizations": [], "findings": [] }), "compare"),
        (json!({ "identical": true, "level": "different", "normalizations": [], "findings": [] }), "compare"),
        (json!({ "error": "e", "details": [], "next": [], "code": 0 }), "error"),
        (json!({ "error": "e", "details": [], "next": [], "code": 3, "step": 1 }), "error"),
        (json!({ "file": "f", "keyid": "k", "public": "p" }), "key"),
        (json!({ "able": true, "findings": [{}] }), "doctor"),
        (json!({ "verdict": {} }), "verdict"),
        (json!({ "dryRun": false }), "store-gc"),
        (
            json!({ "whole": true, "blobs": 0, "bytes": 0, "trees": 0, "roots": 0, "moved": [],
                "wrong": [{ "type": "damaged", "path": "p" }] }),
            "store-verify",
        ),
        (json!({ "name": "n", "record": digests, "outputs": digests, "out": "o", "log": "l" }), "build"),
    ] {
        assert_ne!(faults(&value, schema), "", "{schema} takes {value}");
    }
}
