// SPDX-License-Identifier: Apache-2.0
//! Bundles: what Sigstore's client in Rust, the crate `sigstore-verify`, takes of ours, and the way back to a proof. The client
//! takes the key itself, and never looks at the hint.

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use reprove_attest::Proof;
    use reprove_attest::log::NoteKey;
    use reprove_model::Sha256;
    use reprove_tests::{Authority, Bench, sorted_names};
    use serde_json::{Value, json};
    use sigstore_verify::trust_root::TrustedRoot;
    use sigstore_verify::types::{Bundle, DerPublicKey, Sha256Hash};
    use sigstore_verify::{PublicKeyVerificationPolicy, verify};

    /// A project that was checked, logged, timestamped and exported.
    struct Published {
        bench: Bench,
        log_key: String,
        authority: Authority,
    }

    impl Published {
        fn new(algorithm: &str) -> Self {
            let bench = Bench::new();
            let key = |name: &str, algorithm: &str| {
                let new = ["key", "new", "--no-passphrase", "--algorithm", algorithm, name, "--json"];
                let public = bench.run(new).with_code(0).json()["public"].as_str().unwrap().to_owned();
                bench.write(&name.replace(".pem", ".pub"), public);
            };
            key("key.pem", algorithm);
            key("other.pem", algorithm);
            key("log.pem", "ed25519");
            bench.project("project", &["echo same > out"], "");
            let _ = bench.run(["check", "project", "--key", "key.pem"]).with_code(0);
            let export = |to: &str| {
                let _ = bench.run(["proof", "export", "project.proof.json", "--to", to]).with_code(0);
            };
            export("signed");
            let log = bench.run(["log", "new", "log", "--origin", "log.example/one", "--key", "log.pem", "--json"]);
            let log_key = log.with_code(0).json()["key"].as_str().unwrap().to_owned();
            fs::copy(bench.path("work/project.proof.json"), bench.path("work/only.proof.json")).unwrap();
            let add = ["log", "add", "log", "project.proof.json", "--signer", "key.pub", "--key", "log.pem"];
            let _ = bench.run(add).with_code(0);
            export("logged");
            let authority = Authority::start(10);
            let timestamp = |proof: &str| {
                let _ = bench.run(["proof", "timestamp", proof, "--authority", &authority.url()]).with_code(0);
            };
            timestamp("project.proof.json");
            export("timestamped");
            timestamp("only.proof.json");
            let _ = bench.run(["proof", "export", "only.proof.json", "--to", "timestamped-only"]).with_code(0);
            Self { bench, log_key, authority }
        }

        fn bundles(&self, folder: &str) -> Vec<Value> {
            let folder = self.bench.path("work").join(folder);
            let names = sorted_names(&folder).into_iter().filter(|name| name.ends_with(".sigstore.json"));
            names.map(|name| serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()).collect()
        }

        fn key(&self, name: &str) -> DerPublicKey {
            DerPublicKey::from_pem(&fs::read_to_string(self.bench.path("work").join(name)).unwrap()).unwrap()
        }
    }

    /// What Sigstore's clients are told of a log and an authority (sigstore/protobuf-specs, `sigstore_trustroot.proto`).
    fn trusted_root(log_key: &str, authority: &Authority) -> Value {
        let key: NoteKey = log_key.parse().unwrap();
        let bytes = STANDARD.decode(log_key.splitn(3, '+').last().unwrap()).unwrap();
        // The whole digest of which a note's key id is the first four bytes.
        let id = Sha256::of(&[key.name().as_bytes(), b"\n", &bytes].concat());
        // The DER of RFC 8410, section 4, up to the key.
        let spki = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", &bytes[1..]].concat();
        let pem = authority.certificates();
        let bodies = pem.split("-----").filter(|part| part.trim_start().starts_with("MI"));
        let certificates: Vec<Value> = bodies.map(|body| json!({ "rawBytes": body.replace('\n', "") })).collect();
        assert_eq!(certificates.len(), 2);
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [{
                "baseUrl": format!("https://{}", key.name()),
                "hashAlgorithm": "SHA2_256",
                "publicKey": { "rawBytes": STANDARD.encode(spki), "keyDetails": "PKIX_ED25519" },
                "logId": { "keyId": STANDARD.encode(id.as_bytes()) },
            }],
            "timestampAuthorities": [{ "certChain": { "certificates": certificates } }],
        })
    }

    /// How the client is asked.
    struct Asked {
        root: Value,
        key: DerPublicKey,
        needs_a_log: bool,
    }

    impl Asked {
        fn takes_for(&self, bundle: &Value, subject: &str) -> Result<(), String> {
            let bundle = Bundle::from_json(&bundle.to_string()).map_err(|e| e.to_string())?;
            let root = TrustedRoot::from_json(&self.root.to_string()).unwrap();
            let policy = PublicKeyVerificationPolicy::new(self.key.clone());
            let policy = if self.needs_a_log { policy } else { policy.skip_tlog_unsafe() };
            let digest = Sha256Hash::from_hex(subject).unwrap();
            let verified = verify(digest, &bundle, &policy, &root).map_err(|e| e.to_string())?;
            assert_eq!(verified.tlog_verified(), self.needs_a_log);
            Ok(())
        }

        /// Whether the client takes the bundle for the first thing that its statement is about.
        fn takes(&self, bundle: &Value) -> Result<(), String> {
            let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
            let statement: Result<Value, _> = serde_json::from_slice(&payload);
            let subject = statement.as_ref().ok().and_then(|all| all["subject"][0]["digest"]["sha256"].as_str());
            self.takes_for(bundle, subject.unwrap_or(&"0".repeat(64)))
        }
    }

    /// Base64 with one bit changed, `from_end` bytes before its end; in its middle where that is 0.
    fn flip(base64: &mut Value, from_end: usize) {
        let mut bytes = STANDARD.decode(base64.as_str().unwrap()).unwrap();
        let at = if from_end == 0 { bytes.len() / 2 } else { bytes.len() - from_end };
        bytes[at] ^= 1;
        *base64 = STANDARD.encode(bytes).into();
    }

    type Change = fn(&mut Value);

    const OF_THE_SIGNATURE: [Change; 4] = [
        |bundle| flip(&mut bundle["dsseEnvelope"]["payload"], 0),
        |bundle| flip(&mut bundle["dsseEnvelope"]["signatures"][0]["sig"], 0),
        |bundle| bundle["dsseEnvelope"]["payloadType"] = "application/json".into(),
        |bundle| bundle["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.4+json".into(),
    ];

    const OF_THE_LOG: [Change; 8] = [
        |bundle| bundle["verificationMaterial"]["tlogEntries"] = json!([]),
        |bundle| flip(&mut entry(bundle)["canonicalizedBody"], 0),
        |bundle| flip(&mut entry(bundle)["inclusionProof"]["hashes"][0], 0),
        |bundle| flip(&mut entry(bundle)["inclusionProof"]["rootHash"], 0),
        // The client takes the path for one of any tree in which it would be as long, and the root from the checkpoint.
        |bundle| entry(bundle)["inclusionProof"]["treeSize"] = "1".into(),
        |bundle| entry(bundle)["inclusionProof"]["logIndex"] = "7".into(),
        |bundle| entry(bundle)["kindVersion"]["kind"] = "intoto".into(),
        |bundle| {
            let text = &mut entry(bundle)["inclusionProof"]["checkpoint"]["envelope"];
            *text = text.as_str().unwrap().replacen("one\n", "two\n", 1).into();
        },
    ];

    /// The last bytes of a timestamp are the authority's signature.
    const OF_THE_TIMESTAMP: [Change; 1] = [|bundle| {
        let timestamps = &mut bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"];
        flip(&mut timestamps[0]["signedTimestamp"], 8);
    }];

    fn entry(bundle: &mut Value) -> &mut Value {
        &mut bundle["verificationMaterial"]["tlogEntries"][0]
    }

    fn refuses_each(asked: &Asked, bundle: &Value, changes: &[Change]) {
        for (number, change) in changes.iter().enumerate() {
            let mut changed = bundle.clone();
            change(&mut changed);
            assert_ne!(&changed, bundle, "change {number} changes nothing");
            assert!(asked.takes(&changed).is_err(), "change {number} of {changed}");
        }
    }

    #[test]
    fn sigstores_client_in_rust_takes_our_bundles_and_nothing_that_was_changed() {
        for algorithm in ["ecdsa-p256", "ed25519"] {
            let published = Published::new(algorithm);
            let root = trusted_root(&published.log_key, &published.authority);
            let asked = Asked { root: root.clone(), key: published.key("key.pub"), needs_a_log: true };
            let other = Asked { root: root.clone(), key: published.key("other.pub"), needs_a_log: true };
            let without = |what: &str| {
                let mut root = root.clone();
                root[what] = json!([]);
                Asked { root, key: published.key("key.pub"), needs_a_log: true }
            };
            let all: Vec<Change> = [&OF_THE_SIGNATURE[..], &OF_THE_LOG, &OF_THE_TIMESTAMP].concat();
            for (folder, changes) in [("logged", &all[..all.len() - 1]), ("timestamped", &all[..])] {
                let bundles = published.bundles(folder);
                assert_eq!(bundles.len(), 3);
                for bundle in &bundles {
                    assert_eq!(asked.takes(bundle), Ok(()), "{folder} {algorithm}");
                    refuses_each(&asked, bundle, changes);
                    assert!(asked.takes_for(bundle, &"0".repeat(64)).is_err(), "about nothing else");
                    assert!(other.takes(bundle).is_err(), "by no other key");
                    assert!(without("tlogs").takes(bundle).is_err(), "by no log that is not named");
                    let is_timestamped = folder == "timestamped";
                    assert_eq!(without("timestampAuthorities").takes(bundle).is_err(), is_timestamped);
                }
            }
        }
    }

    /// The client wants to know when a signature was there: by a log, or, where it is told to do without, by an authority.
    #[test]
    fn sigstores_client_in_rust_takes_no_bundle_without_a_log_or_an_authority() {
        let published = Published::new("ecdsa-p256");
        let asked = |needs_a_log| Asked {
            root: trusted_root(&published.log_key, &published.authority),
            key: published.key("key.pub"),
            needs_a_log,
        };
        for bundle in published.bundles("timestamped-only") {
            assert!(asked(true).takes(&bundle).is_err());
            assert_eq!(asked(false).takes(&bundle), Ok(()));
            refuses_each(&asked(false), &bundle, &OF_THE_SIGNATURE);
            refuses_each(&asked(false), &bundle, &OF_THE_TIMESTAMP);
        }
        for bundle in published.bundles("signed") {
            let why = asked(false).takes(&bundle).unwrap_err();
            assert!(why.contains("timestamp") || why.contains("time"), "{why}");
        }
    }

    #[test]
    fn bundles_make_the_proof_that_they_were_made_of() {
        let published = Published::new("ecdsa-p256");
        let bench = &published.bench;
        let import = |folder: &str| {
            let names = sorted_names(&bench.path("work").join(folder)).into_iter();
            let bundles = names.filter(|name| name.ends_with(".sigstore.json")).map(|name| format!("{folder}/{name}"));
            // What an earlier one has would not be lost for it.
            drop(fs::remove_file(bench.path("work/imported")));
            let all = [String::from("proof"), "import".into(), "-o".into(), "imported".into(), "--json".into()];
            bench.run(all.into_iter().chain(bundles)).with_code(0).json()
        };
        let read = |name: &str| fs::read(bench.path("work").join(name)).unwrap();
        assert_eq!(import("signed"), json!({ "proof": "imported", "envelopes": 3 }));
        let signed = Proof::from_bytes(&read("project.proof.json")).unwrap();
        assert_eq!(read("imported"), Proof::of(signed.envelopes).to_bytes().unwrap());
        let _ = bench.run(["audit", "imported", "--key", "key.pub"]).with_code(0);

        import("timestamped");
        let all = Proof::merge([Proof::from_bytes(&read("project.proof.json")).unwrap()]);
        assert_eq!((all.logged.len(), all.timestamped.len()), (3, 3));
        assert_eq!(Proof::from_bytes(&read("imported")).unwrap(), all);
        let public = fs::read_to_string(bench.path("work/key.pub")).unwrap();
        let key = format!("[[key]]\npublic = '''\n{public}'''\noperator = 'me'\nplatform = 'here'\n");
        bench.write("trust.toml", format!("logs = ['{}']\n{key}", published.log_key));
        bench.write("policy.toml", "logged = true\n");
        let audit = ["audit", "imported", "--trust", "trust.toml", "--policy", "policy.toml"];
        let _ = bench.run(audit).with_code(0);
        import("signed");
        assert!(bench.run(audit).with_code(1).stdout.contains("not-logged"));

        let mut changed = published.bundles("logged").remove(0);
        entry(&mut changed)["inclusionProof"]["treeSize"] = "4".into();
        bench.write("changed", changed.to_string());
        let refused = bench.run(["proof", "import", "changed", "-o", "other"]).with_code(2);
        assert!(refused.stderr.contains("log entry does not hang together"), "{}", refused.stderr);
        assert!(!bench.path("work/other").exists());
    }
}
