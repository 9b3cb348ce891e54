// SPDX-License-Identifier: Apache-2.0
//! Builds whose isolation asks for no evidence, with the word of a verifier that has seen a processor's.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey as Key};
use reprove_attest::evidence::ear::{MAX_TOKEN, PROFILE};
use reprove_attest::evidence::{Evidence, Reports, report_data};
use reprove_attest::{Algorithm, Appraisal, Policy, Proof, SigningKey, TrustRoots, appraise, provenance, rego_input};
use reprove_model::{BuildRecord, Lock, Sha256};
use serde_json::json;

use super::appraisal::{key, now, of, reasons, shortfalls, wheel};
use super::support::{WHEEL, WHEEL_NAME, judge, lock, rebuilder, record, reproducible, tree};

fn nonce() -> Sha256 {
    Sha256::of(b"nonce")
}

fn records(lock: &Lock) -> [BuildRecord; 2] {
    [0, 1].map(|number| record(lock, number, tree(&[(WHEEL_NAME, WHEEL)])))
}

/// What the verifier says of such a build, on a processor of this kind.
fn evidence(lock: &Lock, record: &BuildRecord, tee: &str) -> Evidence {
    let payload = provenance(lock, record, Some(315_532_800)).unwrap().to_payload().unwrap();
    let issued = now().as_second();
    let claims = json!({
        "eat_profile": PROFILE,
        "iat": issued - 10,
        "exp": issued + 290,
        "ear.verifier-id": { "developer": "https://confidentialcontainers.org", "build": "0.1.0" },
        "submods": { "cpu0": {
            "ear.status": "affirming",
            "ear.trustworthiness-vector": { "hardware": 2 },
            "ear.appraisal-policy-id": "default",
            "ear.veraison.annotated-evidence": {
                "report_data": STANDARD.encode(report_data(&payload, &nonce())),
                tee: {},
            },
        } },
    });
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", encode(json!({ "alg": "ES256" }).to_string()), encode(claims.to_string()));
    let signature: Signature = Key::from_slice(&[1; 32]).unwrap().sign(message.as_bytes());
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()));
    Evidence { payload: Sha256::of(&payload), nonce: nonce(), dispatch: None, report: Reports::Ear { token } }
}

/// A proof of two rebuilds, and the word for the first so many of them.
fn proof(tee: &str, with: usize) -> Proof {
    let lock = lock(true);
    let records = records(&lock);
    let evidence = records.iter().take(with).map(|record| self::evidence(&lock, record, tee)).collect();
    let compared_on = "2026-11-01T13:00:00Z".parse().unwrap();
    let records = records.each_ref();
    Proof::sign(&key(1), &lock, &records, &reproducible(true), &rebuilder(), compared_on, evidence).unwrap()
}

fn trust(tees: &[&str]) -> TrustRoots {
    let pem = key(1).public_key().to_spki_pem().unwrap();
    let keys = format!("[[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'x'\n");
    if tees.is_empty() {
        return TrustRoots::from_toml(&keys).unwrap();
    }
    let pem = SigningKey::new(Algorithm::EcdsaP256, [1; 32]).unwrap().public_key().to_spki_pem().unwrap();
    TrustRoots::from_toml(&format!(
        "{keys}[[verifier]]\nname = 'ours'\nkey = '''\n{pem}'''\ntees = {tees:?}\npolicies = ['default']\n\
         submodule = 'cpu0'\n"
    ))
    .unwrap()
}

fn judged(proof: &Proof, trust: &TrustRoots, policy: &Policy) -> Appraisal {
    appraise(&proof.to_bytes().unwrap(), &[wheel()], trust, policy, now()).unwrap()
}

fn asked() -> Policy {
    Policy { evidence: true, nonce: Some(nonce()), ..of(1) }
}

#[test]
fn a_build_counts_by_a_verifier_s_word_where_the_verifier_is_named() {
    let proof = proof("tdx", 2);
    let appraisal = judged(&proof, &trust(&["tdx"]), &asked());
    assert!(appraisal.is_enough(), "{:?}", reasons(&appraisal));
    // It has seen a processor's word, and nobody has here.
    let vendors = judged(&proof, &trust(&["tdx"]), &Policy { vendors: 1, ..asked() });
    assert_eq!(shortfalls(&vendors), ["too-few-vendors"]);
    let attested = appraisal.claims()[0].attested();
    assert_eq!(attested.iter().map(|each| each.voucher().name()).collect::<Vec<_>>(), [Some("ours"); 2]);
    let seen = rego_input(&appraisal, &[wheel()], now()).unwrap();
    assert!(seen.contains("\"voucher\":\"verifier\",\"by\":\"ours\",\"vendor\":\"intel\",\"emulated\":false"));
    let other = Policy { nonce: Some(Sha256::of(b"another")), ..asked() };
    assert_eq!(reasons(&judged(&proof, &trust(&["tdx"]), &other)), [["other-nonce"]]);
    // What is EMULATED there is of no maker of hardware here.
    let sample = self::proof("sample", 2);
    assert!(judged(&sample, &trust(&["sample"]), &asked()).is_enough());
    let vendors = judged(&sample, &trust(&["sample"]), &Policy { vendors: 1, ..asked() });
    assert_eq!(shortfalls(&vendors), ["too-few-vendors"]);
}

/// Where nobody asks for it, or nobody knows who says it, a build is what it was without it; and no more than that.
#[test]
fn evidence_that_nothing_asks_for_takes_nothing_away() {
    let mut left_out = proof("tdx", 2);
    left_out.evidence.clear();
    let half = proof("tdx", 1);
    for (proof, trust) in [
        (proof("tdx", 2), trust(&[])),
        (proof("tdx", 2), trust(&["snp"])),
        (half, trust(&["tdx"])),
        (left_out, trust(&["tdx"])),
        (proof("tdx", 0), trust(&["tdx"])),
    ] {
        assert!(judge(&proof.to_bytes().unwrap()).is_ok());
        assert!(judged(&proof, &trust, &of(1)).is_enough());
        let appraisal = judged(&proof, &trust, &asked());
        assert_eq!(reasons(&appraisal), [["not-confidential"]]);
        assert!(appraisal.claims()[0].attested().is_empty());
    }
}

#[test]
fn only_the_word_that_the_comparison_names_counts() {
    let lock = lock(true);
    let [first, second] = records(&lock).map(|record| evidence(&lock, &record, "tdx"));
    // It was made behind the comparison, or for the other build.
    let mut later = proof("tdx", 0);
    later.evidence = vec![first.clone(), second.clone()];
    let mut swapped = proof("tdx", 2);
    swapped.evidence =
        vec![Evidence { payload: second.payload, ..first.clone() }, Evidence { payload: first.payload, ..second }];
    for proof in [later, swapped] {
        assert_eq!(reasons(&judged(&proof, &trust(&["tdx"]), &asked())), [["not-confidential"]]);
    }
    let mut long = proof("tdx", 2);
    let as_long = |bytes| Reports::Ear { token: "x".repeat(bytes) };
    long.evidence[0] = Evidence { report: as_long(MAX_TOKEN), ..first.clone() };
    assert!(appraise(&long.to_bytes().unwrap(), &[], &trust(&["tdx"]), &of(1), now()).is_ok());
    long.evidence[0] = Evidence { report: as_long(MAX_TOKEN + 1), ..first };
    let error = appraise(&long.to_bytes().unwrap(), &[], &trust(&["tdx"]), &of(1), now()).unwrap_err();
    assert_eq!(error.code(), "evidence-too-long");
}
