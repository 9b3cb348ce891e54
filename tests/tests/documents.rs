// SPDX-License-Identifier: Apache-2.0
//! Documents that others ask for: their own software takes them, and none is written of what was not shown.

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use reprove_attest::SigningKey;
    use reprove_tests::{Bench, python_client, workspace};
    use serde_json::{Value, json};

    const BOTH: [&str; 4] = ["--cyclonedx", "bom.json", "--spdx", "spdx.json"];

    /// A project that was checked, `p.proof.json`, and whom to trust for it.
    fn checked(steps: &[&str], code: i32) -> Bench {
        let bench = Bench::new();
        bench.project("project", steps, "");
        let public = bench.run(["key", "new", "--quiet", "--no-passphrase", "key.pem"]).with_code(0).stdout;
        let check = ["check", "project", "--quiet", "--key", "key.pem", "-o", "p.proof.json", "--artifacts", "made"];
        let _ = bench.run(check).with_code(code);
        bench.write("key.pub", &public);
        let entry = format!("[[key]]\npublic = '''\n{public}'''\noperator = 'first'\nplatform = 'this machine'\n");
        bench.write("trust.toml", entry);
        bench
    }

    fn read(bench: &Bench, name: &str) -> String {
        fs::read_to_string(bench.path("work").join(name)).unwrap()
    }

    fn is_there(bench: &Bench, name: &str) -> bool {
        bench.path("work").join(name).exists()
    }

    /// What both kinds of validator say of both bills.
    fn validated(bench: &Bench) -> String {
        python_client("documents.py", ["bom.json", "spdx.json"].map(|name| bench.path("work").join(name)))
    }

    #[test]
    fn others_software_takes_the_bills() {
        let bench = checked(&["mkdir out", "echo 1 > out/one", "echo 2 > out/two"], 0);
        let by_key = ["audit", "p.proof.json", "made/first/out/one", "--key", "key.pub"];
        let _ = bench.run([&by_key[..], &BOTH].concat()).with_code(0);
        assert_eq!(validated(&bench), "CycloneDX 1.6 2\nSPDX-2.3 5\n");
        let written = ["bom.json", "spdx.json"].map(|name| read(&bench, name));
        for name in ["bom.json", "spdx.json"] {
            fs::remove_file(bench.path("work").join(name)).unwrap();
        }
        // By whichever way it was verified, and whenever.
        let by_trust = ["audit", "p.proof.json", "--trust", "trust.toml", "--json"];
        let _ = bench.run([&by_trust[..], &BOTH].concat()).with_code(0).json();
        assert_eq!(["bom.json", "spdx.json"].map(|name| read(&bench, name)), written);
        // The next time they are replaced.
        let _ = bench.run([&by_trust[..], &BOTH].concat()).with_code(0).json();
        assert_eq!(["bom.json", "spdx.json"].map(|name| read(&bench, name)), written);
    }

    #[test]
    fn others_software_takes_bills_with_package_urls() {
        for (proof, packages) in [("published", 5), ("unpublished", 5)] {
            let bench = Bench::new();
            let key = SigningKey::ed25519([1; 32]).public_key();
            bench.write("key.pub", key.to_spki_pem().unwrap());
            let proof = workspace().join("tests/corpora/proof").join(proof);
            let audit = ["audit", proof.to_str().unwrap(), "--key", "key.pub"];
            let _ = bench.run([&audit[..], &BOTH].concat()).with_code(0);
            assert_eq!(validated(&bench), format!("CycloneDX 1.6 4\nSPDX-2.3 {packages}\n"));
            let bom: Value = serde_json::from_str(&read(&bench, "bom.json")).unwrap();
            assert_eq!(bom["components"][0]["purl"], "pkg:pypi/demo@1.0");
        }
    }

    #[test]
    fn a_document_takes_the_place_of_one_of_its_kind_alone() {
        let bench = checked(&["echo same > out"], 0);
        let by_trust = ["audit", "p.proof.json", "made/first/out", "--trust", "trust.toml", "--json"];
        let signed = ["--verifier", "https://auditor.example/", "--resource", "pkg:x/y", "--sign-with", "key.pem"];
        let all = ["--cyclonedx", "--spdx", "--rego-input", "--vsa", "--vsa-compatible", "--scai"];
        let names: Vec<String> = all.iter().map(|option| format!("{}.json", option.trim_start_matches('-'))).collect();
        let write = |option: &str, name: &str| {
            let signed: &[&str] = if option.contains('v') || option == "--scai" { &signed } else { &[] };
            bench.run([&by_trust[..], &[option, name], signed].concat())
        };
        let proof = read(&bench, "p.proof.json");
        for (option, name) in all.iter().zip(&names) {
            // Twice: what is there is one of the same kind.
            let _ = write(option, name).with_code(0);
            let _ = write(option, name).with_code(0);
            for other in ["p.proof.json", "trust.toml", "made/first/out"] {
                let before = read(&bench, other);
                let ran = write(option, other).with_code(2);
                assert!(ran.stdout.contains("is there already and is not a "), "{option} {other}: {}", ran.stdout);
                assert_eq!(read(&bench, other), before);
            }
        }
        assert_eq!(read(&bench, "p.proof.json"), proof);
        let _ = write("--spdx", "cyclonedx.json").with_code(2);
        // One file has no place for two.
        let both = [&by_trust[..], &["--cyclonedx", "one.json", "--spdx", "./one.json"]].concat();
        let ran = bench.run(both).with_code(2);
        assert!(ran.stdout.contains("named for two documents") && !is_there(&bench, "one.json"), "{}", ran.stdout);
        let both = [&by_trust[..by_trust.len() - 1], &["--cyclonedx", "/dev/null", "--spdx", "/dev/null"]].concat();
        let _ = bench.run(both).with_code(0);
    }

    #[test]
    fn no_document_is_written_of_what_was_not_shown() {
        let scai = ["--scai", "scai.jsonl", "--verifier", "https://auditor.example/", "--sign-with", "key.pem"];
        let none = |bench: &Bench, arguments: &[&str], why: &str| {
            let ran = bench.run(arguments).with_code(1);
            assert!(ran.stderr.contains(why), "{}", ran.stderr);
            assert!(["bom.json", "spdx.json", "scai.jsonl"].iter().all(|name| !is_there(bench, name)));
        };
        let bench = checked(&["pwd > out"], 1);
        let (by_key, by_trust) = (["--key", "key.pub"], ["--trust", "trust.toml"]);
        let audit = ["audit", "p.proof.json", "made/first/out"];
        let bills = "no bill of materials was written: it would claim more than was shown, since";
        none(&bench, &[&audit[..], &by_key, &BOTH].concat(), &format!("{bills} the proof says different"));
        let not_enough = "what the trusted rebuilders say is not enough";
        none(&bench, &[&audit[..], &by_trust, &BOTH].concat(), &format!("{bills} {not_enough}"));
        let report = format!("no attribute report was written: it would claim more than was shown, since {not_enough}");
        none(&bench, &[&audit[..], &by_trust, &scai].concat(), &report);

        let bench = checked(&["echo same > out"], 0);
        bench.write("two.toml", "rebuilders = 2\n");
        let two = ["--policy", "two.toml"];
        none(&bench, &[&audit[..], &by_trust, &two, &BOTH, &scai].concat(), &report);
        // Each of these is asked for in a way that makes no sense.
        for arguments in [
            [&audit[..2], &by_trust, &scai].concat(),
            [&audit[..], &by_key, &scai].concat(),
            [&audit[..], &by_trust, &scai[..2]].concat(),
            [&audit[..], &by_trust, &scai, &["--require-isolation", "basic"]].concat(),
        ] {
            let _ = bench.run(&arguments).with_code(2);
            assert!(!is_there(&bench, "scai.jsonl"));
        }
        let _ = bench.run([&audit[..], &by_trust, &scai, &BOTH].concat()).with_code(0);
        let envelope: Value = serde_json::from_str(&read(&bench, "scai.jsonl")).unwrap();
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        let attributes = statement["predicate"]["attributes"].as_array().unwrap();
        assert_eq!((attributes.len(), &attributes[0]["attribute"]), (1, &json!("REPRODUCIBLE")));
        // The evidence is a line of what `proof export` writes.
        let _ = bench.run(["proof", "export", "p.proof.json", "--to", "exported"]).with_code(0);
        let exported = read(&bench, "exported/proof.intoto.jsonl");
        let comparison = exported.lines().last().unwrap().as_bytes();
        let digest = serde_json::to_value(reprove_model::DigestSet::of(comparison)).unwrap();
        assert_eq!(attributes[0]["evidence"]["digest"], digest);
    }
}
