// SPDX-License-Identifier: Apache-2.0
//! An authority's word for when a signature was there: OpenSSL gives it, and an old proof stands by it.

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use reprove_attest::{
        AuthorityError, Envelope, MAX_TIMESTAMP, Policy, Proof, ProofError, SigningKey, TimestampAuthority,
        TimestampError, TimestampRequest, TimestampedEnvelope, TrustRoots, appraise,
    };
    use reprove_tests::{Authority, Bench, workspace};

    fn envelope(payload: &[u8]) -> Envelope {
        Envelope::sign(&SigningKey::ed25519([1; 32]), payload).unwrap()
    }

    fn trusted(authority: &Authority) -> TimestampAuthority {
        TimestampAuthority::new("openssl", &authority.certificates(), None, None).unwrap()
    }

    fn asked(authority: &Authority, envelope: &Envelope) -> (TimestampRequest, Vec<u8>) {
        let request = TimestampRequest::new(envelope.signature(), [7; 16]).unwrap();
        let answer = authority.reply(&request.to_der().unwrap());
        (request, answer)
    }

    #[test]
    fn only_the_authority_that_is_trusted_says_when_that_signature_was_there() {
        let (authority, other) = (Authority::start(10), Authority::start(10));
        let ours = envelope(b"{}");
        let (request, answer) = asked(&authority, &ours);
        let time = request.answered_by(&answer).unwrap();
        let seen = TimestampedEnvelope::new(&ours, &answer);
        assert_eq!(seen.verify(&ours, &trusted(&authority)), Ok(time));
        assert_eq!(seen.time(), Ok(time));
        assert!(matches!(seen.verify(&ours, &trusted(&other)), Err(TimestampError::Refused(_))));
        assert_eq!(seen.verify(&envelope(b"[]"), &trusted(&authority)), Err(TimestampError::OtherEnvelope));
        // The same payload and key with another signature is not what it has seen.
        let p256 = |seed| SigningKey::new(reprove_attest::Algorithm::EcdsaP256, [seed; 32]).unwrap();
        let signed = Envelope::sign(&p256(1), *b"{}").unwrap();
        let (_, of_signed) = asked(&authority, &signed);
        let moved = TimestampedEnvelope { response: TimestampedEnvelope::new(&signed, &of_signed).response, ..seen };
        assert!(matches!(moved.verify(&ours, &trusted(&authority)), Err(TimestampError::Refused(_))));
        // Its word counts within the time for which it is believed, the bounds included.
        for (from, until, counts) in [(0, 0, true), (1, 1, false), (-1, -1, false), (0, 1, true), (-1, 0, true)] {
            let moment = |by: i64| Some(time.checked_add(jiff::SignedDuration::from_secs(by)).unwrap());
            let within = TimestampAuthority::new("x", &authority.certificates(), moment(from), moment(until)).unwrap();
            let seen = TimestampedEnvelope::new(&ours, &answer);
            assert_eq!(seen.verify(&ours, &within).is_ok(), counts, "{from} {until}");
        }
    }

    /// What is not signed may change, as the text of a status; the time may not.
    #[test]
    fn no_changed_bit_of_an_answer_says_another_time() {
        let authority = Authority::start(10);
        let ours = envelope(b"{}");
        let (request, answer) = asked(&authority, &ours);
        let time = request.answered_by(&answer).unwrap();
        let trusted = trusted(&authority);
        let mut refused = 0;
        for at in 0..answer.len() {
            for bit in 0..8 {
                let mut changed = answer.clone();
                changed[at] ^= 1 << bit;
                match TimestampedEnvelope::new(&ours, &changed).verify(&ours, &trusted) {
                    Ok(found) => assert_eq!(found, time, "byte {at}"),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > answer.len() * 4, "{refused} of {}", answer.len() * 8);
        for length in 0..answer.len() {
            let cut = TimestampedEnvelope::new(&ours, &answer[..length]);
            assert!(cut.verify(&ours, &trusted).is_err() && cut.time().is_err(), "{length}");
        }
    }

    #[test]
    fn an_answer_is_to_the_question_that_was_asked() {
        let authority = Authority::start(10);
        let (request, answer) = asked(&authority, &envelope(b"{}"));
        let other = |signature: &[u8], nonce| TimestampRequest::new(signature, nonce).unwrap().answered_by(&answer);
        let signature = envelope(b"{}").signature().to_vec();
        assert_eq!(other(&signature, [7; 16]), request.answered_by(&answer));
        assert_eq!(other(&signature, [8; 16]), Err(TimestampError::OtherQuestion("nonce")));
        assert_eq!(other(b"another", [7; 16]), Err(TimestampError::OtherQuestion("digest")));
        assert!(matches!(request.answered_by(b"<html>"), Err(TimestampError::Form(_))));
        let refusal = authority.reply(b"no question");
        assert!(matches!(request.answered_by(&refusal), Err(TimestampError::NotGranted(_))));
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let ours = envelope(b"{}");
        let long = |n: usize| TimestampedEnvelope::new(&ours, &vec![0; n]).time();
        assert!(matches!(long(MAX_TIMESTAMP), Err(TimestampError::Form(_))));
        assert_eq!(long(MAX_TIMESTAMP + 1), Err(TimestampError::TooLong(MAX_TIMESTAMP + 1)));
        let authority = Authority::start(10);
        let (pem, most) = (authority.certificates(), TimestampAuthority::MAX_CERTIFICATES);
        let (leaf, root) = pem.split_at(pem.find("-----END CERTIFICATE-----").unwrap() + 26);
        let chain =
            |between: usize| TimestampAuthority::new("x", &(leaf.to_owned() + &root.repeat(between)), None, None);
        assert_eq!(chain(0), Err(AuthorityError::Certificates(1)));
        assert!(chain(1).is_ok() && chain(most - 1).is_ok());
        assert_eq!(chain(most), Err(AuthorityError::Certificates(most + 1)));
        assert_eq!(TimestampAuthority::new("x", "", None, None), Err(AuthorityError::Certificates(0)));
        let broken = TimestampAuthority::new("x", &pem.replacen("MII", "M!I", 1), None, None);
        assert!(matches!(broken, Err(AuthorityError::Pem(_)) | Err(AuthorityError::Certificates(_))), "{broken:?}");
        // A timestamp is of an envelope that is there.
        let mut proof = Proof::of(vec![envelope(b"[]")]);
        proof.timestamped = vec![TimestampedEnvelope::new(&ours, b"x")];
        assert!(matches!(Proof::from_bytes(&proof.to_bytes().unwrap()), Err(ProofError::TimestampOfNothing(_))));
    }

    #[test]
    fn an_old_proof_stands_by_its_timestamp() {
        let authority = Authority::start(1);
        let bench = Bench::new();
        bench.project("project", &["echo same > out"], "");
        let _ = bench.run(["check", "project"]).with_code(0);
        let url = authority.url();
        let ask = ["proof", "timestamp", "project.proof.json", "--authority", &url, "--json"];
        let asked = bench.run(ask).with_code(0).json();
        assert_eq!(asked["added"], 3);
        let latest: Timestamp = asked["latest"].as_str().unwrap().parse().unwrap();
        assert_eq!(bench.run(ask).with_code(0).json()["added"], 0);
        assert_eq!(bench.run([&ask[..], &["--again"]].concat()).with_code(0).json()["added"], 3);
        assert!(bench.run(["proof", "show", "project.proof.json"]).with_code(0).stdout.contains("\n  timestamp  "));

        let key = std::fs::read_to_string(bench.public_key()).unwrap();
        let after = |seconds| latest.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap().to_string();
        let trust = |more: &str, certificates: &str| {
            let entry = format!("[[key]]\npublic = '''\n{key}'''\noperator = 'me'\nplatform = 'here'\n{more}\n");
            let named = format!("[[timestamp-authority]]\nname = 'openssl'\ncertificates = '''\n{certificates}'''\n");
            bench.write("trust.toml", entry + if certificates.is_empty() { "" } else { &named });
        };
        let audit = |at: &str, code: i32| {
            let audit = ["audit", "project.proof.json", "--trust", "trust.toml", "--policy", "policy.toml", "--at", at];
            bench.run(audit).with_code(code).stdout
        };
        bench.write("policy.toml", "timestamped = true\n");
        let (later, much_later) = (after(3600), after(20 * 365 * 86_400));
        trust("", &authority.certificates());
        assert!(audit(&later, 0).contains("its signature was there on "));
        trust("", "");
        assert!(audit(&later, 1).contains("not-timestamped: no trusted authority"));
        trust("", &Authority::start(1).certificates());
        assert!(audit(&later, 1).contains("not-timestamped"));

        // Twenty years later the key is revoked, and the authority's certificates have long expired.
        bench.write("policy.toml", "");
        for fault in
            [format!("revoked = '{}'\nrevoked-because = 'lost'", after(60)), format!("valid-until = '{}'", after(60))]
        {
            trust(&fault, "");
            let _ = audit(&much_later, 1);
            trust(&fault, &authority.certificates());
            let text = audit(&much_later, 0);
            assert!(text.contains("it stands as it was signed before"), "{text}");
        }
        trust(&format!("revoked = '{}'", after(-3600)), &authority.certificates());
        assert!(audit(&much_later, 1).contains("key-revoked"));
    }

    /// The corpora's proofs say that they are of the 1st of November, and an authority of today sees them later.
    #[test]
    fn a_timestamp_that_somebody_adds_takes_nothing_away() {
        let authority = Authority::start(10);
        let key = SigningKey::ed25519([1; 32]).public_key().to_spki_pem().unwrap();
        let certificates = authority.certificates();
        let trust = TrustRoots::from_toml(&format!(
            "[[key]]\npublic = '''\n{key}'''\noperator = 'one'\nplatform = 'farm'\n\
             [[timestamp-authority]]\nname = 'openssl'\ncertificates = '''\n{certificates}'''\n"
        ))
        .unwrap();
        let now = "2026-11-02T00:00:00Z".parse().unwrap();
        let judge = |proof: &Proof, policy: &Policy| {
            let appraisal = appraise(&proof.to_bytes().unwrap(), &[], &trust, policy, now).unwrap();
            appraisal.shortfalls().iter().map(|shortfall| shortfall.code()).collect::<Vec<_>>()
        };
        for (name, is_enough) in [("published", true), ("different", false)] {
            let path = workspace().join("tests/corpora/proof").join(name);
            let mut proof = Proof::from_bytes(&std::fs::read(path).unwrap()).unwrap();
            let before = judge(&proof, &Policy::default());
            assert_eq!((before.is_empty(), before.contains(&"veto")), (is_enough, !is_enough));
            let comparison = proof.envelopes.last().unwrap().clone();
            let (_, answer) = asked(&authority, &comparison);
            proof.timestamped.push(TimestampedEnvelope::new(&comparison, &answer));
            assert_eq!(judge(&proof, &Policy::default()), before);
            let asking = Policy { timestamped: true, ..Policy::default() };
            assert!(judge(&proof, &asking).contains(&"too-few-rebuilders"), "it has not come yet");
        }
    }

    #[test]
    fn an_authority_that_does_not_answer_leaves_the_proof_as_it_was() {
        let bench = Bench::new();
        bench.write("p.json", Proof::of(vec![envelope(b"{}")]).to_bytes().unwrap());
        let before = std::fs::read(bench.path("work/p.json")).unwrap();
        let ask = |url: &str, code: i32| {
            bench.run(["proof", "timestamp", "p.json", "--authority", url]).with_code(code).stderr
        };
        assert!(ask("http://127.0.0.1:9/", 4).contains("gave no answer"));
        assert!(ask("file:///etc/passwd", 2).contains("starts with http:// or https://"));
        assert!(ask("--help", 2).contains("error: "));
        assert_eq!(std::fs::read(bench.path("work/p.json")).unwrap(), before);
    }
}
