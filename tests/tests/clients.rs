// SPDX-License-Identifier: Apache-2.0
//! Clients that others wrote, in other languages, read and verify what reprove writes.

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use reprove_tests::{Authority, Bench, python_client, sorted_names, workspace};

    /// A project that was checked with a key of this algorithm, and its proof exported to `exported`.
    fn exported(algorithm: &str) -> (Bench, String) {
        let bench = Bench::new();
        let new = ["key", "new", "--no-passphrase", "--algorithm", algorithm, "key.pem", "--json"];
        let key = bench.run(new).with_code(0).json();
        bench.write("key.pub", key["public"].as_str().unwrap());
        bench.project("project", &["echo same > out"], "");
        let _ = bench.run(["check", "project", "--key", "key.pem", "--artifacts", "made"]).with_code(0);
        let _ = bench.run(["proof", "export", "project.proof.json", "--to", "exported"]).with_code(0);
        (bench, key["keyid"].as_str().unwrap().to_owned())
    }

    fn printed(command: &mut Command) -> String {
        let output = command.output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
        stdout.into_owned()
    }

    fn there(path: &str) -> std::path::PathBuf {
        let path = workspace().join(path);
        assert!(path.exists(), "there is no {}; scripts/setup makes it", path.display());
        path
    }

    fn bundles(folder: &Path) -> Vec<std::path::PathBuf> {
        let all = sorted_names(folder).into_iter();
        all.filter(|name| name.ends_with(".sigstore.json")).map(|name| folder.join(name)).collect()
    }

    /// Whether Sigstore's client verifies the three bundles in `exported`, by the words of `log` and `authority` as well where
    /// there is one.
    fn sigstore_verifies(bench: &Bench, keyid: &str, log: &str, authority: &str, exported: &str) {
        there("tests/clients/node_modules/@sigstore/verify");
        let mut command = Command::new("node");
        command.arg(workspace().join("tests/clients/verify_bundles.mjs"));
        command
            .arg(bench.path("work/key.pub"))
            .args([keyid, log, authority])
            .args(bundles(&bench.path("work").join(exported)));
        assert_eq!(printed(&mut command), "verified 3\n");
    }

    #[test]
    fn sigstores_client_verifies_the_bundles_of_both_kinds_of_key() {
        for algorithm in ["ecdsa-p256", "ed25519"] {
            let (bench, keyid) = exported(algorithm);
            sigstore_verifies(&bench, &keyid, "", "", "exported");
        }
    }

    #[test]
    fn sigstores_client_takes_our_logs_word_and_an_authoritys() {
        let (bench, keyid) = exported("ecdsa-p256");
        let new = ["key", "new", "--no-passphrase", "--algorithm", "ed25519", "log.pem"];
        let _ = bench.run(new).with_code(0);
        let log = bench.run(["log", "new", "log", "--origin", "log.example/one", "--key", "log.pem", "--json"]);
        let log_key = log.with_code(0).json()["key"].as_str().unwrap().to_owned();
        let add = ["log", "add", "log", "project.proof.json", "--signer", "key.pub", "--key", "log.pem", "--json"];
        assert_eq!(bench.run(add).with_code(0).json(), serde_json::json!({ "added": 3, "size": 3 }));
        // What is there already is not added again.
        assert_eq!(bench.run(add).with_code(0).json(), serde_json::json!({ "added": 0, "size": 3 }));
        let _ = bench.run(["proof", "export", "project.proof.json", "--to", "logged"]).with_code(0);
        sigstore_verifies(&bench, &keyid, &log_key, "", "logged");

        // By the client's own thresholds, which ask for a log and a timestamp.
        let authority = Authority::start(10);
        let timestamp = ["proof", "timestamp", "project.proof.json", "--authority", &authority.url()];
        let _ = bench.run(timestamp).with_code(0);
        let _ = bench.run(["proof", "export", "project.proof.json", "--to", "timestamped"]).with_code(0);
        let certificates = bench.write("authority.pem", authority.certificates());
        sigstore_verifies(&bench, &keyid, &log_key, certificates.to_str().unwrap(), "timestamped");

        // An auditor who asks for it believes this log, and no other.
        let public = std::fs::read_to_string(bench.path("work/key.pub")).unwrap();
        let trust = |logs: &str| {
            let entry = format!("[[key]]\npublic = '''\n{public}'''\noperator = 'me'\nplatform = 'here'\n");
            bench.write("trust.toml", format!("logs = [{logs}]\n{entry}"));
        };
        bench.write("policy.toml", "logged = true\n");
        let audit = ["audit", "project.proof.json", "--trust", "trust.toml", "--policy", "policy.toml"];
        trust(&format!("'{log_key}'"));
        let _ = bench.run(audit).with_code(0);
        trust("");
        assert!(bench.run(audit).with_code(1).stdout.contains("not-logged"));

        let verify = ["log", "verify", "log", "--log-key", &log_key];
        let kept = bench.run([&verify[..], &["--json"]].concat()).with_code(0).json();
        bench.write("kept", kept["checkpoint"].as_str().unwrap());
        let _ = bench.run([&verify[..], &["--since", "kept"]].concat()).with_code(0);
        // Another history by the same key.
        std::fs::remove_dir_all(bench.path("work/log")).unwrap();
        let _ = bench.run(["log", "new", "log", "--origin", "log.example/one", "--key", "log.pem"]).with_code(0);
        let forked = bench.run([&verify[..], &["--since", "kept"]].concat()).with_code(1).stdout;
        assert!(forked.contains("the log was changed"), "{forked}");
    }

    #[test]
    fn in_totos_own_definitions_read_the_statements() {
        let (bench, _) = exported("ecdsa-p256");
        let public = std::fs::read_to_string(bench.path("work/key.pub")).unwrap();
        let entry = format!("[[key]]\npublic = '''\n{public}'''\noperator = 'me'\nplatform = 'here'\n");
        bench.write("trust.toml", entry);
        let audit = ["audit", "project.proof.json", "made/first/out", "--trust", "trust.toml", "--vsa", "vsa.jsonl"];
        let report = ["--scai", "scai.jsonl"];
        let summary =
            ["--verifier", "https://me.example/", "--resource", "pkg:generic/project@1", "--sign-with", "key.pem"];
        let _ = bench.run([&audit[..], &summary, &report].concat()).with_code(0);
        let files = ["exported/proof.intoto.jsonl", "vsa.jsonl", "scai.jsonl"];
        let (provenance, ours) = ("https://slsa.dev/provenance/v1\n", "https://reprove.dev/rebuild-comparison/v0.1\n");
        let (summary, report) =
            ("https://slsa.dev/verification_summary/v1\n", "https://in-toto.io/attestation/scai/v0.3\n");
        let expected = format!("{provenance}{provenance}{ours}{summary}{report}");
        assert_eq!(python_client("statements.py", files.map(|file| bench.path("work").join(file))), expected);
    }
}
