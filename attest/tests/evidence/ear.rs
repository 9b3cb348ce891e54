// SPDX-License-Identifier: Apache-2.0
//! Tokens as Trustee writes them, signed by a key of our own.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey as Key};
use reprove_attest::evidence::ear::{EarError, Expected, MAX_SUBMODULES, MAX_TOKEN, PROFILE, VerifiedResult, verify};
use reprove_attest::{Algorithm, PublicKey, SigningKey};
use serde_json::{Value, json};

use crate::bits;

const ISSUED: i64 = 1_768_435_200;
const EXPIRES: i64 = ISSUED + 300;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// When the tokens were issued.
pub(crate) fn issued() -> Timestamp {
    second(ISSUED)
}

pub(crate) fn public(number: u8) -> PublicKey {
    SigningKey::new(Algorithm::EcdsaP256, [number; 32]).unwrap().public_key()
}

fn expected() -> Expected {
    Expected {
        report_data: [7; 64],
        submodule: "cpu0".into(),
        tees: ["tdx".to_owned(), "snp".to_owned()].into(),
        policies: ["default".to_owned()].into(),
    }
}

fn claims() -> Value {
    json!({
        "eat_profile": PROFILE,
        "iat": ISSUED,
        "exp": EXPIRES,
        "iss": "CoCo-Attestation-Service",
        "ear.verifier-id": { "developer": "https://confidentialcontainers.org", "build": "attestation-service 0.1.0" },
        "submods": { "cpu0": {
            "ear.status": "affirming",
            "ear.trustworthiness-vector": { "configuration": 2, "executables": 3, "hardware": 2, "file-system": 0 },
            "ear.appraisal-policy-id": "default",
            "ear.veraison.annotated-evidence": {
                "report_data": STANDARD.encode([7; 64]),
                "tdx": { "quote": { "body": {} } },
            },
        } },
    })
}

fn header() -> Value {
    json!({ "typ": "JWT", "alg": "ES256", "jwk": { "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" } })
}

fn token_of(header: &Value, claims: &Value) -> Vec<u8> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature: Signature = Key::from_slice(&[1; 32]).unwrap().sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())).into_bytes()
}

/// What key 1 says of a processor of this kind with these report data.
pub(crate) fn token_about(tee: &str, report_data: &[u8; 64]) -> Vec<u8> {
    let said = json!({ "report_data": STANDARD.encode(report_data), tee: {} });
    token_of(&header(), &guest("ear.veraison.annotated-evidence", said))
}

fn of(claims: &Value) -> Result<VerifiedResult, EarError> {
    verify(&token_of(&header(), claims), &[public(2), public(1)], &expected(), second(ISSUED))
}

/// The claims with one part of the guest's changed.
fn guest(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims["submods"]["cpu0"][name] = value;
    claims
}

#[test]
fn a_token_is_verified_with_a_key_that_is_named() {
    let token = token_of(&header(), &claims());
    let with = |keys: &[PublicKey]| verify(&token, keys, &expected(), second(ISSUED));
    let verified = with(&[public(2), public(1)]).unwrap();
    assert_eq!(verified.key(), public(1).id());
    assert_eq!((verified.tee(), verified.policy()), ("tdx", "default"));
    assert_eq!((verified.issued(), verified.expires()), (second(ISSUED), second(EXPIRES)));
    assert_eq!(verified.developer(), "https://confidentialcontainers.org");
    assert_eq!(verified.build(), "attestation-service 0.1.0");
    assert_eq!(with(&[public(2)]), Err(EarError::Signature));
    assert_eq!(with(&[]), Err(EarError::Signature));
    assert_eq!(with(&[SigningKey::ed25519([1; 32]).public_key()]), Err(EarError::Signature));
}

#[test]
fn a_token_holds_from_its_issue_until_it_expires() {
    let token = token_of(&header(), &claims());
    let at = |at| verify(&token, &[public(1)], &expected(), second(at)).map(|_| ());
    assert_eq!((at(ISSUED), at(EXPIRES - 1)), (Ok(()), Ok(())));
    assert_eq!(at(ISSUED - 1), Err(EarError::NotYet(second(ISSUED))));
    assert_eq!(at(EXPIRES), Err(EarError::Expired(second(EXPIRES))));
    let mut later = claims();
    later["nbf"] = json!(ISSUED + 1);
    assert_eq!(of(&later), Err(EarError::NotYet(second(ISSUED))));
    for (name, value) in [("exp", json!(null)), ("iat", json!("1")), ("exp", json!(i64::MAX))] {
        let mut other = claims();
        other[name] = value;
        assert!(matches!(of(&other), Err(EarError::Form(_))));
    }
}

#[test]
fn no_byte_of_a_token_can_be_changed() {
    let token = token_of(&header(), &claims());
    bits::one_of_each(&token, 1, |token| verify(token, &[public(1)], &expected(), second(ISSUED)).is_ok());
    for length in 0..token.len() {
        assert!(verify(&token[..length], &[public(1)], &expected(), second(ISSUED)).is_err());
    }
    for more in [".", "A", "=", "\n", ".AA"] {
        let longer = [token.as_slice(), more.as_bytes()].concat();
        assert!(verify(&longer, &[public(1)], &expected(), second(ISSUED)).is_err(), "{more:?}");
    }
}

#[test]
fn only_what_the_verifier_affirms_is_taken() {
    for status in ["none", "warning", "contraindicated", "Affirming", ""] {
        assert!(matches!(of(&guest("ear.status", json!(status))), Err(EarError::NotAffirmed(..))), "{status}");
    }
    let vector = |claim: i64| of(&guest("ear.trustworthiness-vector", json!({ "hardware": 2, "executables": claim })));
    for claim in [-32, -2, 0, 2, 31] {
        assert!(vector(claim).is_ok(), "{claim}");
    }
    for claim in [-128, -33, -1, 1, 32, 96, 127] {
        assert!(matches!(vector(claim), Err(EarError::NotAffirmed(..))), "{claim}");
    }
    assert!(matches!(vector(128), Err(EarError::Form(_))));
    for nothing in [json!({}), json!({ "hardware": 0 })] {
        assert!(matches!(of(&guest("ear.trustworthiness-vector", nothing)), Err(EarError::NotAffirmed(..))));
    }
    // Every part counts, not the guest alone.
    let mut two = claims();
    two["submods"]["gpu0"] = two["submods"]["cpu0"].clone();
    assert!(of(&two).is_ok());
    two["submods"]["gpu0"]["ear.status"] = json!("warning");
    assert!(matches!(of(&two), Err(EarError::NotAffirmed(name, _)) if name == "gpu0"));
}

#[test]
fn a_token_is_about_the_guest_that_was_asked() {
    let evidence = |value| of(&guest("ear.veraison.annotated-evidence", value)).map(|_| ());
    let hex: String = "07".repeat(64);
    assert_eq!(evidence(json!({ "report_data": hex, "snp": {} })), Ok(()));
    for other in [json!("08".repeat(64)), json!("07".repeat(63)), json!(hex.clone() + "00"), json!(7), json!(null)] {
        assert_eq!(evidence(json!({ "report_data": other, "tdx": {} })), Err(EarError::ReportData));
    }
    assert_eq!(evidence(json!({ "tdx": {} })), Err(EarError::ReportData));
    for other in [json!({ "report_data": hex, "sample": {} }), json!({ "report_data": hex, "tdx": {}, "snp": {} })] {
        assert_eq!(evidence(other), Err(EarError::Tee));
    }
    for other in [json!("other"), json!(null)] {
        assert_eq!(of(&guest("ear.appraisal-policy-id", other)), Err(EarError::Policy));
    }
    let elsewhere = Expected { submodule: "cpu1".into(), ..expected() };
    let verified = verify(&token_of(&header(), &claims()), &[public(1)], &elsewhere, second(ISSUED));
    assert_eq!(verified, Err(EarError::NoSubmodule("cpu1".into())));
}

#[test]
fn another_form_of_token_is_refused() {
    for (name, value) in
        [("alg", json!("none")), ("alg", json!("ES384")), ("typ", json!("x")), ("crit", json!(["b64"]))]
    {
        let mut other = header();
        other[name] = value;
        let verified = verify(&token_of(&other, &claims()), &[public(1)], &expected(), second(ISSUED));
        assert!(matches!(verified, Err(EarError::Form(_))), "{other}");
    }
    let mut other = claims();
    other["eat_profile"] = json!("tag:ietf.org,2026:rats/ear#04");
    assert_eq!(of(&other), Err(EarError::Profile));
    assert!(matches!(of(&json!({})), Err(EarError::Form(_))));
}

#[test]
fn the_bounds_of_tokens_hold_on_both_sides() {
    let read = |length: usize| verify(&vec![b'A'; length], &[public(1)], &expected(), second(ISSUED));
    assert!(matches!(read(MAX_TOKEN), Err(EarError::Form(_))));
    assert_eq!(read(MAX_TOKEN + 1), Err(EarError::TooLong(MAX_TOKEN + 1)));
    let many = |count: usize| {
        let mut claims = claims();
        let guest = claims["submods"]["cpu0"].clone();
        claims["submods"] = (0..count).map(|n| (format!("cpu{n}"), guest.clone())).collect();
        of(&claims).map(|_| ())
    };
    assert_eq!(many(MAX_SUBMODULES), Ok(()));
    assert_eq!(many(MAX_SUBMODULES + 1), Err(EarError::Submodules(MAX_SUBMODULES + 1)));
    assert_eq!(many(0), Err(EarError::Submodules(0)));
}

#[test]
#[ignore = "measures"]
fn how_long_a_token_takes() {
    let token = token_of(&header(), &claims());
    bits::time("EAR token", || assert!(verify(&token, &[public(1)], &expected(), second(ISSUED)).is_ok()));
}
