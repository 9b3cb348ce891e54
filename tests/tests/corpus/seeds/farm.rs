// SPDX-License-Identifier: Apache-2.0
//! What workers and callers send to a farm.

use jiff::Timestamp;
use reprove_attest::{RebuildVerdict, SigningKey};
use reprove_farm::{Architecture, Epoch, Failure, FailureClass, Outcome, Profile, Report, Request};
use reprove_model::{DigestSet, Isolation, canonical};

use super::{Corpus, File};

pub(super) fn all() -> Vec<Corpus> {
    vec![profiles(), reports(), requests(), svids()]
}

fn profiles() -> Corpus {
    let profile = |seed: u8, platform: &str| Profile {
        name: "w".parse().unwrap(),
        public_key: SigningKey::ed25519([seed; 32]).public_key().to_spki_pem().unwrap(),
        platform: platform.to_owned(),
        isolation: Isolation::Vm,
        architecture: Architecture::X86_64,
    };
    let file = |name: &'static str, profile: &Profile| -> File { (name, canonical::to_vec(profile).unwrap()) };
    let files = vec![
        file("plain", &profile(1, "a farm")),
        file("refused-other-key", &profile(2, "a farm")),
        file("refused-control", &profile(1, "a\nfarm")),
    ];
    ("farm_profile", files)
}

fn reports() -> Corpus {
    let of = |outcome: Outcome| {
        let report = Report {
            job: "0123456789abcdef0123456789abcdef-1".parse().unwrap(),
            epoch: Epoch(3),
            worker: "w".parse().unwrap(),
            outcome,
            finished_on: Timestamp::UNIX_EPOCH,
        };
        let signed = report.sign("pkg:pypi/idna@3.20", DigestSet::of(b"request"), &SigningKey::ed25519([1; 32]));
        signed.unwrap().payload().to_vec()
    };
    let (verdict, proof) = (RebuildVerdict::BitIdentical, DigestSet::of(b"proof"));
    let decided = of(Outcome::Verdict { verdict, proof, log: Some(DigestSet::of(b"log")) });
    let failed = of(Outcome::Failure(Failure::new(FailureClass::Network, "no answer")));
    let changed = |from: &str, to: &str| String::from_utf8(failed.clone()).unwrap().replace(from, to).into_bytes();
    let files = vec![
        ("verdict", decided),
        ("failure", failed.clone()),
        ("refused-type", changed("farm-report/v0.1", "farm-report/v9")),
        ("refused-slot", changed("-1\"", "-0\"")),
        ("refused-class", changed("\"network\"", "\"bored\"")),
    ];
    ("farm_report", files)
}

fn requests() -> Corpus {
    let plain = Request::of("pkg:pypi/idna@3.20".parse().unwrap());
    let file = |name: &'static str, request: &Request| -> File { (name, canonical::to_vec(request).unwrap()) };
    let files = vec![
        file("plain", &plain),
        file("several", &Request { rebuilders: 16, ..plain.clone() }),
        file("refused-many", &Request { rebuilders: 17, ..plain.clone() }),
        ("short", br#"{"work":{"kind":"package","purl":"pkg:npm/%40a/b@1"}}"#.to_vec()),
        ("refused-unknown", br#"{"work":{"kind":"package","purl":"pkg:npm/b@1"},"force":true}"#.to_vec()),
    ];
    ("farm_request", files)
}

/// Made by openssl, as the tests of the farm do: for an id, for two, and for an authority.
fn svids() -> Corpus {
    let files = vec![
        ("worker", include_bytes!("svid/worker.der").to_vec()),
        ("refused-two", include_bytes!("svid/two.der").to_vec()),
        ("refused-authority", include_bytes!("svid/authority.der").to_vec()),
    ];
    ("svid", files)
}
