// SPDX-License-Identifier: Apache-2.0
//! Policies in Rego: asked by the command, bounded by a process, and decided as Open Policy Agent decides.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

    use reprove_attest::{RegoPolicy, RegoRefusal};
    use reprove_tests::{Bench, Ran, sorted_names, workspace};
    use serde_json::{Value, json};

    /// A proof by one rebuilder, whom `trust.toml` names.
    fn bench() -> Bench {
        let bench = Bench::new();
        bench.project("project", &["echo same > out"], "");
        let public = bench.run(["key", "new", "--quiet", "--no-passphrase", "key.pem"]).with_code(0).stdout;
        let check = ["check", "project", "--quiet", "--key", "key.pem", "-o", "p.proof.json", "--artifacts", "made"];
        let _ = bench.run(check).with_code(0);
        let entry = format!("[[key]]\npublic = '''\n{public}'''\noperator = 'first'\nplatform = 'this machine'\n");
        bench.write("trust.toml", entry);
        bench
    }

    fn audit(bench: &Bench, more: &[&str]) -> Ran {
        bench.run([&["audit", "p.proof.json", "made/first/out", "--trust", "trust.toml"], more].concat())
    }

    fn with_policy(bench: &Bench, rules: &str) -> Ran {
        bench.write("p.rego", format!("package reprove\n{rules}\n"));
        audit(bench, &["--rego", "p.rego"])
    }

    #[test]
    fn a_policy_in_rego_is_asked_as_well() {
        let bench = bench();
        let _ = with_policy(&bench, "allow if input.claims[0].operator == \"first\"").with_code(0);
        let refused =
            with_policy(&bench, "allow := true\ndeny contains \"no\\u001b[31mway\" if true").with_code(1).stdout;
        assert!(refused.contains("  rego: no\u{fffd}[31mway\n"), "{refused}");
        let silent = with_policy(&bench, "default allow := false").with_code(1).stdout;
        assert!(silent.contains("rego: its rule `allow` is false"), "{silent}");
        // What is not enough stays so.
        bench.write("two.toml", "rebuilders = 2\n");
        bench.write("all.rego", "package reprove\nallow := true\n");
        let both = ["--rego", "all.rego", "--policy", "two.toml", "--json"];
        let value = audit(&bench, &both).with_code(1).json();
        assert_eq!(value["shortfalls"].as_array().unwrap().len(), 1);
        assert_eq!(value["shortfalls"][0]["code"], "too-few-rebuilders");
        for (rules, why) in [
            ("default allow := true\ndeny contains", "p.rego: at 4:1: "),
            ("deny contains \"x\" if true", "p.rego: it has no rule `allow`"),
        ] {
            let error = with_policy(&bench, rules).with_code(2).stderr;
            assert!(error.contains(why), "{error}");
        }
        let padded = |bytes: usize| {
            let text = format!("package reprove\nallow := true\n{}", format!("#{}\n", "x".repeat(998)).repeat(1100));
            bench.write("p.rego", &text[..bytes]);
            audit(&bench, &["--rego", "p.rego"])
        };
        let _ = padded(RegoPolicy::MAX_BYTES).with_code(0);
        assert!(padded(RegoPolicy::MAX_BYTES + 1).with_code(2).stderr.contains("it has 1048577 bytes"));
        // A summary is of both.
        let summary = ["--vsa", "vsa", "--verifier", "https://a.example/", "--resource", "pkg:generic/project@1"];
        let _ = audit(&bench, &[&both[..4], &summary, &["--sign-with", "key.pem"]].concat()).with_code(1);
        let shown: Value = serde_json::from_slice(&fs::read(bench.path("work/vsa")).unwrap()).unwrap();
        let payload = base64_of(shown["payload"].as_str().unwrap());
        let expected = reprove_model::Sha256::of(b"rebuilders = 2\n\0package reprove\nallow := true\n").to_string();
        assert_eq!(payload["predicate"]["policy"]["digest"]["sha256"], expected);
    }

    fn base64_of(payload: &str) -> Value {
        use base64::Engine as _;
        serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(payload).unwrap()).unwrap()
    }

    /// Rules that each take a rule before it: `lines` of them, the first of which is `first`.
    fn chain(first: &str, next: fn(usize) -> String, lines: usize) -> String {
        (1..=lines).fold(format!("r0 := {first}\nallow if r{lines} != null\n"), |text, n| text + &next(n) + "\n")
    }

    #[test]
    fn a_policy_that_would_not_end_is_a_refusal() {
        let bench = bench();
        let doubled = |n: usize| format!("r{n} := concat(\"\", [r{0}, r{0}])", n - 1);
        let deeper = |n: usize| format!("r{n} := r{} + 1", n - 1);
        // Each of them takes the parser thousands of attempts.
        let deep = |many: usize| {
            let lines = (0..many).map(|n| format!("d{n} := {}1{}\n", "[".repeat(12), "]".repeat(12)));
            format!("allow := true\n{}", lines.collect::<String>())
        };
        let endless = "it had not come to an end after 10 s of processor time";
        let most = "more than 2048 MiB of memory, or a deeper stack than 64 MiB";
        for (rules, why) in [
            (deep(10), None),
            (deep(10_000), Some(endless)),
            (chain("\"x\"", doubled, 16), None),
            (chain("\"x\"", doubled, 40), Some(most)),
            (chain("1", deeper, 100), None),
            (chain("1", deeper, 15_000), Some(most)),
            (
                "allow if {\n  some a in numbers.range(1, 100000)\n  some b in numbers.range(1, 100000)\n  a + b < 0\n}".into(),
                Some(endless),
            ),
        ] {
            let ran = with_policy(&bench, &rules);
            match why {
                None => drop(ran.with_code(0)),
                Some(why) => {
                    let said = ran.with_code(1).stdout;
                    assert!(said.contains("rego: it was not evaluated to its end: ") && said.contains(why), "{said}");
                }
            }
        }
    }

    /// What a policy sees of one proof, and what it would see of others.
    fn inputs(bench: &Bench) -> Vec<Value> {
        let _ = audit(bench, &["--rego-input", "input.json"]).with_code(0);
        let one: Value = serde_json::from_slice(&fs::read(bench.path("work/input.json")).unwrap()).unwrap();
        let mut inputs = vec![one.clone()];
        let mut changed = |change: &dyn Fn(&mut Value)| {
            let mut other = one.clone();
            change(&mut other);
            inputs.push(other);
        };
        let second = |input: &mut Value| {
            let mut claim = input["claims"][0].clone();
            (claim["operator"], claim["keyid"]) = (json!("Second"), json!("another key"));
            input["claims"].as_array_mut().unwrap().push(claim);
        };
        changed(&second);
        changed(&|input| input["claims"] = json!([]));
        changed(&|input| (input["artifacts"], input["shortfalls"]) = (json!([]), json!(["several-subjects"])));
        changed(&|input| input["claims"][0]["operator"] = json!("the publisher"));
        changed(&|input| {
            second(input);
            let claim = &mut input["claims"][1];
            (claim["counted"], claim["reproduced"]) = (json!(false), json!(false));
            (claim["reasons"], claim["isolationLevel"]) = (json!(["different", "too-old"]), json!(null));
        });
        changed(&|input| {
            second(input);
            let claim = &mut input["claims"][1];
            (claim["counted"], claim["reasons"]) = (json!(false), json!(["too-old"]));
            (claim["comparedOn"], claim["ageSeconds"]) = (json!("2025-12-31T23:59:59.5Z"), json!(28_000_000));
        });
        changed(&|input| {
            let build = &mut input["claims"][0]["statements"]["provenances"][0]["predicate"]["buildDefinition"];
            build["internalParameters"]["env"]["API_TOKEN"] = json!("s\u{e9}cret");
            build["internalParameters"]["commands"][0][0] = json!("/opt/evil \"quoted\"");
            build["resolvedDependencies"] = json!([]);
        });
        changed(&|input| {
            let statements = &mut input["claims"][0]["statements"];
            statements["comparison"]["subject"][0]["name"] = json!("a b");
            statements["comparison"]["predicate"]["tool"]["version"] = json!("0.1.0-rc.1");
            statements["provenances"][0]["predicate"]["runDetails"]["builder"]["id"] = json!("https://x/y");
        });
        inputs
    }

    /// The examples, the one in the docs among them, and what the tests have besides.
    fn policies(bench: &Bench) -> Vec<PathBuf> {
        let docs = fs::read_to_string(workspace().join("docs/rego.md")).unwrap();
        let (_, rest) = docs.split_once("```rego\n").unwrap();
        let example = bench.write("docs.rego", rest.split_once("```").unwrap().0);
        let below = |folder: &str| {
            let folder = workspace().join(folder);
            sorted_names(&folder).into_iter().map(move |name| folder.join(name))
        };
        below("examples/policies").chain(below("tests/clients/rego")).chain([example]).collect()
    }

    /// The same decision in the words of `opa.py`, which knows no more than what OPA's documents say.
    fn ours(policy: &RegoPolicy, input: &Value) -> Vec<String> {
        let word = |refusal: &RegoRefusal| match refusal {
            RegoRefusal::Denied(message) => message.clone(),
            RegoRefusal::NotAllowed => "allow is false".into(),
            RegoRefusal::Undefined => "allow is undefined".into(),
            RegoRefusal::AllowIsNoBoolean => "allow is no boolean".into(),
            RegoRefusal::DenyIsNoSet => "deny is no set".into(),
            other => format!("{other:?}"),
        };
        policy.evaluate(&input.to_string()).iter().map(word).collect()
    }

    #[test]
    fn open_policy_agent_decides_the_same() {
        let bench = bench();
        let (inputs, policies) = (inputs(&bench), policies(&bench));
        let mut command = Command::new(workspace().join(".venv/bin/python"));
        command.arg("-I").arg(workspace().join("tests/clients/opa.py"));
        let files = inputs.iter().enumerate().map(|(n, input)| bench.write(&format!("input-{n}"), input.to_string()));
        let output = command.args(files).arg("--").args(&policies).output().unwrap();
        assert!(output.status.success(), "scripts/setup first: {}", String::from_utf8_lossy(&output.stderr));
        let theirs = String::from_utf8(output.stdout).unwrap();
        assert_eq!(theirs.lines().count(), policies.len());
        let mut seen = (0, 0);
        for (path, line) in policies.iter().zip(theirs.lines()) {
            let policy = RegoPolicy::parse(&fs::read_to_string(path).unwrap()).unwrap();
            let theirs: Vec<Vec<String>> = serde_json::from_str(line).unwrap();
            let ours: Vec<Vec<String>> = inputs.iter().map(|input| ours(&policy, input)).collect();
            assert_eq!(ours, theirs, "{}", path.display());
            let allowed = theirs.iter().filter(|refusals| refusals.is_empty()).count();
            seen = (seen.0 + allowed, seen.1 + theirs.len() - allowed);
        }
        assert!(seen.0 >= 20 && seen.1 >= 20, "{seen:?} were allowed and refused");
    }
}
