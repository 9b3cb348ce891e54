// SPDX-License-Identifier: Apache-2.0
//! Builds in EMULATED confidential machines, from the guest to the audit.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use reprove_tests::{Bench, Running, kernel_package, shared_store};
use serde_json::{Value, json};

const NONCE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A proof of two builds in such machines, and what an auditor knows of them.
struct Proved {
    bench: Bench,
    proof: PathBuf,
    root: String,
    guest: Value,
}

impl Proved {
    fn new(isolation: &str) -> Self {
        let bench = Bench::with_machines();
        let (store, package) = (shared_store(), kernel_package());
        let (store, package) = (store.to_str().unwrap(), package.to_str().unwrap());
        let _ = bench.run(["image", "build", "guest", "--kernel", package, "--store", store]).with_code(0);
        let project = bench.project("project", &["echo hello > out"], "");
        let project = project.to_str().unwrap();
        let by = ["--isolation", isolation, "--engine", "qemu-tcg", "--nonce", NONCE, "--store", store];
        let by = by.into_iter().chain(["--output", "emulated.proof.json"]);
        let ran = Running::start(bench.command(["check", project].into_iter().chain(by)));
        let ran = ran.wait(Duration::from_secs(500)).with_code(0);
        assert!(ran.stdout.contains(&format!("{isolation} (EMULATED - NOT HARDWARE)")), "{}", ran.stdout);
        let tee = bench.run(["tee", "--json"]).with_code(0).json();
        let guest = bench.run(["image", "measure", "--json", "--store", store]).with_code(0).json();
        assert_eq!((&guest["emulated"], &guest["launches"]), (&json!(true), &json!([])));
        let proof = bench.path("work/emulated.proof.json");
        let mut kinds = tee["emulated"].as_array().unwrap().iter();
        let kind = kinds.find(|kind| kind["isolation"] == isolation).unwrap();
        let root = kind["root"].as_str().unwrap().to_owned();
        Self { bench, proof, root, guest }
    }

    /// What an audit says that believes these roots and this guest.
    fn audit(&self, tee: &str, guest: &Value, code: i32) -> Value {
        let public = fs::read_to_string(self.bench.public_key()).unwrap();
        let fields = |of: &Value, names: &[&str]| -> String {
            names.iter().map(|name| format!("{name} = {}\n", of[name])).collect()
        };
        let measured = fields(guest, &["firmware", "kernel", "initrd"]);
        let domain = fields(&guest["tdx"], &["edk2", "mrtd", "configuration", "rtmr1", "initrd"]);
        let trust = format!(
            "[[key]]\npublic = '''\n{public}'''\noperator = 'one'\nplatform = 'here'\n{tee}\n\
             [[guest]]\nname = 'ours'\n{measured}[guest.tdx]\n{domain}"
        );
        fs::write(self.bench.path("work/trust.toml"), trust).unwrap();
        fs::write(self.bench.path("work/policy.toml"), format!("evidence = true\nnonce = '{NONCE}'\n")).unwrap();
        let proof = self.proof.to_str().unwrap();
        let arguments = ["audit", proof, "--trust", "trust.toml", "--policy", "policy.toml", "--json"];
        self.bench.run(arguments).with_code(code).json()
    }

    /// That such an audit takes no evidence, and says why.
    fn refused(&self, tee: &str, guest: &Value, why: &str) {
        let said = self.audit(tee, guest, 1);
        let reasons = said["claims"][0]["reasons"].as_array().unwrap();
        assert_eq!(reasons[0]["code"], "evidence-refused", "{said}");
        assert!(reasons[0]["text"].as_str().unwrap().contains(why), "{said}");
        assert_eq!(said["claims"][0]["evidence"], json!([]));
    }
}

#[test]
fn a_build_in_an_emulated_machine_is_believed_where_its_root_and_its_guest_are_named() {
    let proved = Proved::new("emulated-snp");
    let named = format!("[tee]\nemulated-roots = ['{}']", proved.root);
    let said = proved.audit(&named, &proved.guest, 0);
    let evidence = said["claims"][0]["evidence"].as_array().unwrap();
    assert_eq!(evidence.len(), 2);
    for each in evidence {
        assert_eq!((&each["vendor"], &each["emulated"]), (&json!("emulated"), &json!(true)));
        assert_eq!((&each["root"], &each["nonce"]), (&json!(proved.root), &json!(NONCE)));
    }
    // Two builds are two jobs, which are on their command lines.
    assert_ne!(evidence[0]["measurements"]["launch"], evidence[1]["measurements"]["launch"]);
    proved.refused("", &proved.guest, "not one of the trusted ones");
    let least = "{ bl = 0, tee = 0, snp = 0, ucode = 0 }";
    let hardware = format!(
        "[tee]\nroots = ['amd-milan', 'amd-genoa', 'amd-turin', 'intel', 'aws']\n\
         minimum-tcb = {{ milan = {least}, genoa = {least}, turin = {least} }}"
    );
    proved.refused(&hardware, &proved.guest, &proved.root);
    for part in ["firmware", "kernel", "initrd"] {
        let mut other = proved.guest.clone();
        other[part] = json!("0".repeat(64));
        proved.refused(&named, &other, "the guest is none that the trust file names");
    }
    // What would take it away is refused, and what can't take it along says so.
    let proof = proved.proof.to_str().unwrap();
    let ran = proved.bench.run(["proof", "export", proof, "--to", "exported"]).with_code(0);
    assert!(ran.stderr.contains("no place for evidence of machines"), "{}", ran.stderr);
    let shown = proved.bench.run(["proof", "show", proved.proof.to_str().unwrap()]).with_code(0);
    assert_eq!(shown.stdout.matches("sev-snp, EMULATED, by its own certificates").count(), 2, "{}", shown.stdout);
}

#[test]
fn a_build_in_an_emulated_domain_is_believed_where_its_root_and_its_guest_are_named() {
    let proved = Proved::new("emulated-tdx");
    let named = format!("[tee]\nemulated-roots = ['{}']", proved.root);
    let said = proved.audit(&named, &proved.guest, 0);
    let evidence = said["claims"][0]["evidence"].as_array().unwrap();
    assert_eq!(evidence.len(), 2);
    for each in evidence {
        assert_eq!((&each["vendor"], &each["emulated"]), (&json!("emulated"), &json!(true)));
        assert_eq!(each["measurements"]["mrtd"], proved.guest["tdx"]["mrtd"]);
    }
    assert_ne!(evidence[0]["measurements"]["rtmr2"], evidence[1]["measurements"]["rtmr2"]);
    proved.refused("", &proved.guest, &proved.root);
    proved.refused("[tee]\nroots = ['intel', 'aws']", &proved.guest, &proved.root);
    for (part, why) in [
        ("mrtd", "none that the trust file names"),
        ("rtmr1", "none that"),
        ("configuration", "RTMR0"),
        ("initrd", "RTMR2"),
    ] {
        let mut other = proved.guest.clone();
        other["tdx"][part] = json!("0".repeat(96));
        proved.refused(&named, &other, why);
    }
    let shown = proved.bench.run(["proof", "show", proved.proof.to_str().unwrap()]).with_code(0);
    assert_eq!(shown.stdout.matches("tdx, EMULATED, by its own certificates").count(), 2, "{}", shown.stdout);
}

/// What can't be had here is said, with the reason, and nothing else is taken in its place.
#[test]
fn hardware_that_is_not_there_is_not_replaced() {
    let bench = Bench::new();
    let project = bench.project("project", &["touch out"], "");
    let project = project.to_str().unwrap();
    for isolation in ["sev-snp", "tdx"] {
        let ran = bench.run(["build", project, "--isolation", isolation]).with_code(4);
        assert!(ran.stderr.contains(isolation), "{}", ran.stderr);
    }
    let ran = bench.run(["build", project, "--nonce", NONCE]).with_code(2);
    assert!(ran.stderr.contains("next: add `--isolation emulated-snp`"), "{}", ran.stderr);
    let uml = ["--isolation", "emulated-snp", "--engine", "user-mode-linux"];
    let ran = bench.run(["build", project].into_iter().chain(uml)).with_code(2);
    assert!(ran.stderr.contains("--engine qemu-tcg"), "{}", ran.stderr);
}
