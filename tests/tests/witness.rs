// SPDX-License-Identifier: Apache-2.0
//! A witness cosigns a log's checkpoints over HTTP.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpStream;
    use std::process::{Child, Stdio};
    use std::time::Duration;

    use reprove_attest::SigningKey;
    use reprove_attest::log::{Checkpoint, Note, NoteKey, NoteKind};
    use reprove_tests::Bench;
    use serde_json::Value;

    /// A witness that answers until the value goes.
    struct Witness {
        child: Child,
        url: String,
        key: String,
    }

    impl Witness {
        fn start(bench: &Bench, log_key: &str) -> Self {
            let mut command = bench.command([
                "log",
                "witness",
                "--state",
                "state",
                "--name",
                "witness.example/one",
                "--log-key",
                log_key,
                "--key",
                "witness.pem",
                "--listen",
                "127.0.0.1:0",
                "--json",
            ]);
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let said: Value = serde_json::from_str(&line).unwrap();
            let text = |name: &str| said[name].as_str().unwrap().to_owned();
            Self { child, url: text("listening"), key: text("key") }
        }

        /// The answer to what is sent as it is.
        fn raw(&self, request: &[u8]) -> String {
            let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.write_all(request).unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        }

        fn post(&self, path: &str, body: &str) -> String {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            self.raw((head + body).as_bytes())
        }
    }

    impl Drop for Witness {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// The key of a witness that has the name of the one here.
    fn other_witness() -> String {
        let key = SigningKey::ed25519([7; 32]).public_key();
        NoteKey::new("witness.example/one", NoteKind::Cosigned, key).unwrap().to_string()
    }

    /// A log with nothing in it, and its key.
    fn new_log(bench: &Bench, name: &str) -> String {
        let new = ["log", "new", name, "--origin", "log.example/one", "--key", "log.pem", "--json"];
        bench.run(new).with_code(0).json()["key"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_witness_cosigns_one_history_alone() {
        let bench = Bench::new();
        for name in ["log.pem", "witness.pem"] {
            let _ = bench.run(["key", "new", "--no-passphrase", "--algorithm", "ed25519", name]).with_code(0);
        }
        let log_key = new_log(&bench, "log");
        let witness = Witness::start(&bench, &log_key);
        let cosign = |witness: &Witness, log: &str| {
            bench.run(["log", "cosign", log, "--witness", &witness.url, "--witness-key", &witness.key])
        };
        let _ = cosign(&witness, "log").with_code(0);
        bench.project("project", &["echo same > out"], "");
        let _ = bench.run(["check", "project", "--artifacts", "made"]).with_code(0);
        let public = bench.public_key();
        let add = |log: &str| {
            let signer = public.to_str().unwrap();
            let _ = bench
                .run(["log", "add", log, "project.proof.json", "--signer", signer, "--key", "log.pem"])
                .with_code(0);
        };
        add("log");
        let _ = cosign(&witness, "log").with_code(0);
        let _ = cosign(&witness, "log").with_code(0);
        let note: Note = fs::read_to_string(bench.path("work/log/checkpoint")).unwrap().parse().unwrap();
        assert_eq!(note.text().parse::<Checkpoint>().unwrap().size, 3);
        assert!(witness.key.parse::<NoteKey>().unwrap().verify(&note).unwrap().is_some());
        assert!(log_key.parse::<NoteKey>().unwrap().verify(&note).is_ok());
        assert_eq!(note.to_string().matches("witness.example/one").count(), 1, "one cosignature of each");

        // A key that is not this witness's is told, and nothing is added.
        for (key, why) in
            [(log_key.clone(), "is a log's key, and no witness's"), (other_witness(), "has not cosigned by the key of")]
        {
            let wrong = bench.run(["log", "cosign", "log", "--witness", &witness.url, "--witness-key", &key]);
            assert!(wrong.with_code(2).stderr.contains(why));
        }

        // What is gathered from then on has the witness's word, which a policy can ask for.
        let _ =
            bench.run(["log", "gather", "log", "made/first/out", "-o", "all.json", "--key", "log.pem"]).with_code(0);
        let key = fs::read_to_string(&public).unwrap();
        let trust = |witnesses: &str| {
            let entry = format!("[[key]]\npublic = '''\n{key}'''\noperator = 'me'\nplatform = 'here'\n");
            bench.write("trust.toml", format!("logs = ['{log_key}']\nwitnesses = [{witnesses}]\n{entry}"));
        };
        bench.write("policy.toml", "logged = true\nwitnesses = 1\nrecorded = true\n");
        let audit = ["audit", "all.json", "made/first/out", "--trust", "trust.toml", "--policy", "policy.toml"];
        trust(&format!("'{}'", witness.key));
        let shown = bench.run(audit).with_code(0).stdout;
        assert!(shown.contains("the log log.example/one has it as entry 2, seen by witness.example/one"), "{shown}");
        let json = bench.run(audit.into_iter().chain(["--json"])).with_code(0).json();
        let logged = serde_json::json!({ "log": "log.example/one", "index": 2, "witnesses": ["witness.example/one"] });
        assert_eq!(json["claims"][0]["logged"], logged);
        trust("");
        let refused = bench.run(audit).with_code(1).stdout;
        assert!(refused.contains("not-logged") && refused.contains("has it as entry 2, seen by no trusted witness"));

        // Another history by the same key, also for a witness that was started anew.
        let _ = new_log(&bench, "other");
        assert!(
            cosign(&witness, "other")
                .with_code(2)
                .stderr
                .contains("has cosigned 3 entries of this log, and here are 0")
        );
        let key = witness.key.clone();
        drop(witness);
        let witness = Witness::start(&bench, &log_key);
        assert_eq!(witness.key, key);
        let again = witness.post("/add-checkpoint", &format!("old 0\n\n{note}"));
        assert!(again.starts_with("HTTP/1.1 409 ") && again.ends_with("\r\n\r\n3\n"), "{again}");
        for name in ["one", "two"] {
            bench.project(name, &[&format!("echo {name} > out")], "");
            let _ = bench.run(["check", name]).with_code(0);
            let (proof, signer) = (format!("{name}.proof.json"), public.to_str().unwrap());
            let _ = bench.run(["log", "add", "other", &proof, "--signer", signer, "--key", "log.pem"]).with_code(0);
        }
        assert!(cosign(&witness, "other").with_code(4).stderr.contains("the status 422"));
        let _ = cosign(&witness, "log").with_code(0);

        // What it does not understand, it says so of.
        for (path, body, status) in [
            ("/add-checkpoint", "old 0\n\nx\n", "400"),
            ("/add-checkpoint", "", "400"),
            ("/elsewhere", "", "404"),
            ("/add-checkpoint", &"x".repeat(20_000), "400"),
        ] {
            let answer = witness.post(path, body);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {}: {answer}", body.len());
        }
        assert!(
            witness
                .raw(b"GET /add-checkpoint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .starts_with("HTTP/1.1 405 ")
        );
        let note = note.to_string();
        let stale = witness.post("/add-checkpoint", &format!("old 1\n\n{note}"));
        assert!(
            stale.starts_with("HTTP/1.1 409 ") && stale.to_lowercase().contains("content-type: text/x.tlog.size"),
            "{stale}"
        );
        assert!(stale.ends_with("\r\n\r\n3\n"), "{stale}");
        let unknown = note.replacen("log.example/one", "log.example/two", 1);
        assert!(witness.post("/add-checkpoint", &format!("old 0\n\n{unknown}")).starts_with("HTTP/1.1 404 "));
        let unsigned = note.replacen("log.example/one\n3", "log.example/one\n4", 1);
        assert!(witness.post("/add-checkpoint", &format!("old 3\n\n{unsigned}")).starts_with("HTTP/1.1 403 "));
        // There is one process for a state.
        let second = ["log", "witness", "--state", "state", "--name", "witness.example/one", "--log-key", &log_key];
        let second = bench.run([&second[..], &["--key", "witness.pem", "--listen", "127.0.0.1:0"]].concat());
        assert_eq!(second.code, Some(4), "{}", second.stderr);
    }
}
