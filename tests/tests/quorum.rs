// SPDX-License-Identifier: Apache-2.0
//! Several rebuilders, one artifact: their proofs are put together, and an auditor says whether that is enough.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use reprove_tests::{Bench, Ran, sorted_names};
    use serde_json::{Value, json};

    /// Checks the project with a key of this name; gives the proof's name, and the public key.
    fn rebuilt(bench: &Bench, name: &str, code: i32) -> (String, String) {
        let (key, proof) = (format!("{name}.pem"), format!("{name}.proof.json"));
        let public = bench.run(["key", "new", "--quiet", "--no-passphrase", &key]).with_code(0).stdout;
        let arguments = ["check", "project", "--quiet", "--key", &key, "--output", &proof, "--artifacts", name];
        let _ = bench.run(arguments).with_code(code);
        (proof, public)
    }

    fn trust(bench: &Bench, file: &str, keys: &[(&str, &str)]) -> PathBuf {
        let entry = |(operator, public): &(&str, &str)| {
            format!("[[key]]\npublic = '''\n{public}'''\noperator = '{operator}'\nplatform = 'this machine'\n")
        };
        bench.write(file, keys.iter().map(entry).collect::<String>())
    }

    fn audit(bench: &Bench, proof: &str, artifact: &str, more: &[&str]) -> Ran {
        bench.run([&["audit", proof, artifact], more].concat())
    }

    /// The statement in an envelope.
    fn statement(bench: &Bench, envelope: &str) -> Value {
        let envelope: Value =
            serde_json::from_str(&fs::read_to_string(bench.path("work").join(envelope)).unwrap()).unwrap();
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        serde_json::from_slice(&payload).unwrap()
    }

    #[test]
    fn a_quorum_is_reached_by_merging_proofs() {
        let bench = Bench::new();
        bench.project("project", &["echo same > out"], "");
        let (one, one_key) = rebuilt(&bench, "one", 0);
        let (two, two_key) = rebuilt(&bench, "two", 0);
        trust(&bench, "trust.toml", &[("first", &one_key), ("second", &two_key)]);
        trust(&bench, "same.toml", &[("first", &one_key), ("first", &two_key)]);
        bench.write("policy.toml", "rebuilders = 2\n");
        let merged = bench.run(["proof", "merge", &one, &two, &one, "-o", "both.proof.json", "--json"]).with_code(0);
        assert_eq!(merged.json(), json!({ "proof": "both.proof.json", "envelopes": 6 }));
        let artifact = "one/first/out";

        let two_of_two = &["--trust", "trust.toml", "--policy", "policy.toml"];
        let enough = audit(&bench, "both.proof.json", artifact, two_of_two).with_code(0).stdout;
        assert!(enough.contains("reproduced by 2 independent rebuilders"), "{enough}");
        assert!(enough.contains("first on this machine says that it is bit-identical"), "{enough}");
        assert!(enough.contains("a contrary result can't be excluded"), "{enough}");
        // Two claims in one kind of isolation, and so one row of who is trusted for what.
        assert_eq!(enough.matches("\n  holds as long as   the operator of that rebuilder").count(), 1, "{enough}");
        let alone = audit(&bench, &one, artifact, two_of_two).with_code(1).stdout;
        assert!(alone.contains("too-few-rebuilders: 1 independent"), "{alone}");
        let same = &["--trust", "same.toml", "--policy", "policy.toml"];
        let _ = audit(&bench, "both.proof.json", artifact, same).with_code(1);
        let summary = ["--verifier", "https://auditor.example/", "--resource", "pkg:generic/project@1"];
        let written = [&two_of_two[..], &["--vsa", "vsa.intoto.jsonl", "--sign-with", "one.pem"], &summary].concat();
        let _ = audit(&bench, "both.proof.json", artifact, &written).with_code(0);
        let predicate = &statement(&bench, "vsa.intoto.jsonl")["predicate"];
        assert_eq!(predicate["verificationResult"], "PASSED");
        // Two operators, and one platform.
        assert_eq!(predicate["verifiedLevels"], json!(["SLSA_BUILD_LEVEL_UNEVALUATED"]));
        assert_eq!(predicate["inputAttestations"].as_array().unwrap().len(), 6);
        // One is enough where nothing else is said; for another file, none is.
        let _ = audit(&bench, &one, artifact, &["--trust", "trust.toml"]).with_code(0);
        let other = audit(&bench, &one, "trust.toml", &["--trust", "trust.toml"]).with_code(1).stdout;
        assert!(other.contains("other-subject") && !other.contains("holds as long as"), "{other}");
        let early = &["--trust", "trust.toml", "--at", "2020-01-01T00:00:00Z"];
        assert!(audit(&bench, &one, artifact, early).with_code(1).stdout.contains("from-the-future"));
        // A strict audit is of one rebuilder.
        bench.write("one.pub", &one_key);
        let strict = audit(&bench, "both.proof.json", artifact, &["--key", "one.pub"]).with_code(1).stdout;
        assert!(strict.contains("does not verify"), "{strict}");
        let shown = bench.run(["proof", "show", "both.proof.json"]).with_code(0).stdout;
        assert_eq!(shown.matches("what comparing rebuilds came to").count(), 2, "{shown}");
        assert!(!fs::read_to_string(bench.path("work/both.proof.json")).unwrap().is_empty());
    }

    #[test]
    fn what_a_log_has_for_a_file_is_gathered_and_nothing_is_left_out() {
        let bench = Bench::new();
        bench.project("project", &["echo same > out"], "");
        let (one, one_key) = rebuilt(&bench, "one", 0);
        bench.project("project", &["case $PWD in */first*) echo same;; *) echo other;; esac > out"], "");
        let (two, two_key) = rebuilt(&bench, "two", 1);
        let new = ["key", "new", "--quiet", "--no-passphrase", "--algorithm", "ed25519", "log.pem"];
        let _ = bench.run(new).with_code(0);
        let made = ["log", "new", "log", "--origin", "log.example/one", "--key", "log.pem", "--json"];
        let log_key = bench.run(made).with_code(0).json()["key"].as_str().unwrap().to_owned();
        for (proof, public) in [(&one, &one_key), (&two, &two_key)] {
            bench.write("signer.pub", public);
            // A copy adds nothing.
            let _ = fs::copy(bench.path("work").join(proof), bench.path("work/copy.json")).unwrap();
            for (proof, added) in [(proof.as_str(), 3), ("copy.json", 0)] {
                let add = ["log", "add", "log", proof, "--signer", "signer.pub", "--key", "log.pem", "--json"];
                assert_eq!(bench.run(add).with_code(0).json()["added"], added);
            }
        }
        trust(&bench, "trust.toml", &[("first", &one_key), ("second", &two_key)]);
        let text = fs::read_to_string(bench.path("work/trust.toml")).unwrap();
        bench.write("trust.toml", format!("logs = ['{log_key}']\n{text}"));
        bench.write("policy.toml", "recorded = true\nrecorded-within-days = 1\n");
        let asked = &["--trust", "trust.toml", "--policy", "policy.toml"];
        // Both are about the same file: the first got it twice, the second once.
        let alone = audit(&bench, &one, "one/first/out", asked).with_code(1).stdout;
        assert!(alone.contains("contrary-possible") && !alone.contains("veto"), "{alone}");
        // What does not count is no claim that anybody has to be trusted for.
        let against = audit(&bench, &two, "one/first/out", asked).with_code(1).stdout;
        assert!(against.contains("not counted, different") && !against.contains("holds as long as"), "{against}");
        let gather = ["log", "gather", "log", "one/first/out", "-o", "all.json", "--key", "log.pem", "--json"];
        assert_eq!(bench.run(gather).with_code(0).json()["envelopes"], 6);
        let all = audit(&bench, "all.json", "one/first/out", asked).with_code(1).stdout;
        assert!(all.contains("veto: second") && !all.contains("contrary-possible"), "{all}");
        assert!(all.contains("all that the log log.example/one had on "), "{all}");
        // Nothing that is there is lost.
        for arguments in [
            vec!["log", "gather", "log", "log.pem", "-o", "all.json", "--key", "log.pem"],
            vec!["proof", "merge", &one, &one, "-o", "all.json"],
        ] {
            let lossy = bench.run(&arguments).with_code(2).stderr;
            assert!(lossy.contains("is there already, with ") && lossy.contains(" that would be lost"), "{lossy}");
        }
        let _ = bench.run(["proof", "merge", "all.json", &one, "-o", "all.json"]).with_code(0);
        let exported = bench.run(["proof", "export", "all.json", "--to", "bundles"]).with_code(0).stderr;
        assert!(exported.contains("1 such word of the proof stayed behind"), "{exported}");
        let bundles =
            sorted_names(&bench.path("work/bundles")).into_iter().filter(|name| name.ends_with(".sigstore.json"));
        let bundles: Vec<String> = bundles.map(|name| format!("bundles/{name}")).collect();
        let import = ["proof", "import", "-o", "all.json"].map(str::to_owned);
        let lossy = bench.run(import.into_iter().chain(bundles)).with_code(2).stderr;
        assert!(lossy.contains("with 1 log record that would be lost"), "{lossy}");
        // What nobody has recorded is all here too.
        let gather = ["log", "gather", "log", "log.pem", "-o", "none.json", "--key", "log.pem"];
        let gathered = bench.run(gather).with_code(0);
        assert!(gathered.stdout.contains("0 envelopes, all that the log has for 1 file\n"), "{}", gathered.stdout);
        assert!(gathered.stderr.contains("the log has nothing on the file"), "{}", gathered.stderr);
        let none = audit(&bench, "none.json", "log.pem", asked).with_code(1).stdout;
        assert!(none.contains("too-few-rebuilders") && !none.contains("contrary-possible"), "{none}");
        let other = ["log", "gather", "log", "log.pem", "-o", "x.json", "--key", "one.pem"];
        assert!(bench.run(other).code != Some(0));

        // A log that hides its lists does not verify.
        bench.write("log/opaque", "");
        let hidden = bench.run(["log", "verify", "log", "--log-key", &log_key]).with_code(1).stdout;
        assert!(hidden.contains("without their envelopes"), "{hidden}");
        fs::remove_file(bench.path("work/log/opaque")).unwrap();
        // What only says that it is the log's word keeps nothing out of it.
        let mut proof: Value = serde_json::from_slice(&fs::read(bench.path("work").join(&two)).unwrap()).unwrap();
        for logged in proof["logged"].as_array_mut().unwrap() {
            logged["entry"] = "x".into();
        }
        bench.write("forged.json", format!("{proof}\n"));
        let _ = bench.run(["log", "new", "second", "--origin", "log.example/two", "--key", "log.pem"]).with_code(0);
        let add = ["log", "add", "second", "forged.json", "--signer", "signer.pub", "--key", "log.pem", "--json"];
        assert_eq!(bench.run(add).with_code(0).json()["added"], 3);

        // A monitor keeps what it has seen.
        let watch = ["log", "verify", "log", "--log-key", &log_key, "--state", "seen"];
        let _ = bench.run(watch).with_code(0);
        let kept = fs::read_to_string(bench.path("work/seen")).unwrap();
        assert!(kept.starts_with("log.example/one\n6\n"), "{kept}");
        let _ = bench.run(watch).with_code(0);
        fs::remove_dir_all(bench.path("work/log")).unwrap();
        let _ = bench.run(made).with_code(0);
        let _ = bench.run(watch).with_code(1);
        assert_eq!(fs::read_to_string(bench.path("work/seen")).unwrap(), kept, "what was seen stays");
    }

    #[test]
    fn who_got_other_bits_has_a_veto() {
        let bench = Bench::new();
        bench.project("project", &["echo same > out"], "");
        let (one, one_key) = rebuilt(&bench, "one", 0);
        // The same artifact, which a rebuilder whose steps are others does not get.
        bench.project("project", &["pwd > out"], "");
        let (two, two_key) = rebuilt(&bench, "two", 1);
        trust(&bench, "trust.toml", &[("first", &one_key), ("second", &two_key)]);
        let _ = bench.run(["proof", "merge", &two, &one, "-o", "both.proof.json"]).with_code(0);
        // The second's proof is about its own first build.
        let vetoed = audit(&bench, "both.proof.json", "two/first/out", &["--trust", "trust.toml"]).with_code(1).stdout;
        assert!(vetoed.contains("veto: second") && vetoed.contains("too-few-rebuilders"), "{vetoed}");
        let _ = audit(&bench, "both.proof.json", "one/first/out", &["--trust", "trust.toml"]).with_code(0);
        let several = bench.run(["audit", "both.proof.json", "--trust", "trust.toml"]).with_code(1).stdout;
        assert!(several.contains("several-subjects"), "{several}");
    }

    #[test]
    fn what_is_of_a_trust_file_is_not_overlooked_beside_a_key() {
        let bench = Bench::new();
        let summary = ["--verifier", "https://auditor.example/", "--resource", "pkg:generic/project@1"];
        for option in ["--policy", "--rego", "--rego-input", "--at", "--vsa", "--vsa-compatible", "--scai"] {
            let value = if option == "--at" { "2026-11-25T12:00:00Z" } else { "file" };
            let arguments = [&["audit", "p.proof.json", "--key", "key.pub", option, value][..], &summary].concat();
            let refused = bench.run(arguments).with_code(2).stderr;
            assert!(refused.contains(option) && refused.contains("cannot be used with"), "{refused}");
        }
    }
}
