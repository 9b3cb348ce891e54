// SPDX-License-Identifier: Apache-2.0
//! Receipts of CCF. The real one, of a confidential ledger of Azure's, is a test vector of `azure-sdk-for-python` (MIT). The
//! EMULATED ones are of keys that were thrown away; the package `ccf` takes them too.

use jiff::Timestamp;
use reprove_attest::evidence::ccf::{
    CcfError, CcfService, MAX_COMMIT_EVIDENCE, MAX_ENDORSEMENTS, MAX_PROOF, MAX_RECEIPT, VerifiedReceipt, verify,
};
use reprove_attest::evidence::{ReferenceService, TeeTrust, bound_digest, report_data};
use reprove_attest::{SigningKey, TrustRoots};
use reprove_model::Sha256;
use serde_json::{Value, json};

use crate::{at, bits};

const LEDGER: &str = include_str!("ccf/ledger.json");
pub(crate) const EMULATED: &str = include_str!("ccf/emulated.json");
const ENDORSEMENT: &str = include_str!("ccf/endorsement.pem");

fn service(pem: &str) -> CcfService {
    CcfService::from_pem(pem).unwrap()
}

pub(crate) const SERVICE: &str = include_str!("ccf/service.pem");
pub(crate) const LATER: &str = include_str!("ccf/later.pem");
pub(crate) const OTHER: &str = include_str!("ccf/other.pem");

/// What the EMULATED receipt is of.
fn claims() -> [u8; 32] {
    let claims = bound_digest(b"{\"a\":\"provenance\"}", &Sha256::of(b"nonce"));
    assert_eq!(report_data(b"{\"a\":\"provenance\"}", &Sha256::of(b"nonce"))[..32], claims);
    claims
}

pub(crate) fn now() -> Timestamp {
    at("2026-06-01T00:00:00Z")
}

fn of(receipt: &str, pem: &str) -> Result<VerifiedReceipt, CcfError> {
    verify(receipt.as_bytes(), &service(pem), &claims(), now())
}

/// The EMULATED receipt with something changed.
fn changed(change: impl Fn(&mut Value)) -> Result<VerifiedReceipt, CcfError> {
    let mut receipt: Value = serde_json::from_str(EMULATED).unwrap();
    change(&mut receipt);
    of(&receipt.to_string(), SERVICE)
}

#[test]
fn a_real_receipt_is_verified_while_its_certificates_hold() {
    let ledger = service(include_str!("ccf/ledger.pem"));
    assert!(!ledger.is_emulated());
    let verify = |claims, time| verify(LEDGER.as_bytes(), &ledger, &claims, at(time));
    let verified = verify([0; 32], "2022-12-01T00:00:00Z").unwrap();
    assert_eq!(verified.transaction(), "2.35");
    assert_eq!(verified.node().to_string(), "708c2e71b2533e5eb38e05cc344390d133c8fb336cb80481ab4e5e902e6131a5");
    assert_eq!(verified.holds_until(), at("2023-01-30T18:54:32Z"), "the service's ends before the node's");
    for holds in ["2022-11-01T18:54:36Z", "2023-01-30T18:54:32Z"] {
        assert_eq!(verify([0; 32], holds), Ok(verified.clone()));
    }
    for time in ["2022-11-01T18:54:35Z", "2023-01-30T18:54:33Z"] {
        assert!(matches!(verify([0; 32], time), Err(CcfError::Time { .. })));
    }
    assert_eq!(verify([1; 32], "2022-12-01T00:00:00Z"), Err(CcfError::Claims));
    bits::one_of_each(LEDGER.as_bytes(), 1, |receipt| {
        reprove_attest::evidence::ccf::verify(receipt, &ledger, &[0; 32], at("2022-12-01T00:00:00Z")).is_ok()
    });
}

#[test]
fn a_receipt_is_verified_under_its_service_alone() {
    let verified = of(EMULATED, SERVICE).unwrap();
    assert_eq!(verified.transaction(), "2.15");
    assert_eq!(verified.root().to_string(), "c5c38e01b4abc299d39abc0f7ec4b2fca04843d07eb13f8fd3ec8e355e58f175");
    assert!(service(SERVICE).is_emulated());
    for other in [OTHER, LATER] {
        assert!(matches!(of(EMULATED, other), Err(CcfError::Certificate("the node's certificate", _))));
    }
}

#[test]
fn no_byte_of_a_receipt_can_be_changed() {
    let trusted = service(SERVICE);
    let is_taken = |receipt: &[u8]| verify(receipt, &trusted, &claims(), now()).is_ok();
    bits::one_of_each(EMULATED.as_bytes(), 1, is_taken);
    for cut in 0..EMULATED.len() {
        assert!(!is_taken(&EMULATED.as_bytes()[..cut]), "cut at {cut}");
    }
}

/// A service that has been recovered has another key, which endorses the earlier one.
#[test]
fn an_earlier_identity_is_endorsed_by_the_later_one() {
    let mut receipt: Value = serde_json::from_str(EMULATED).unwrap();
    receipt["service_endorsements"] = json!([ENDORSEMENT]);
    let with = |pem, receipt: &Value| of(&receipt.to_string(), pem);
    assert_eq!(with(LATER, &receipt).unwrap().transaction(), "2.15");
    assert!(matches!(with(OTHER, &receipt), Err(CcfError::Certificate("an endorsement", _))));
    assert!(matches!(with(SERVICE, &receipt), Err(CcfError::Certificate("an endorsement", _))));
    let early = verify(receipt.to_string().as_bytes(), &service(LATER), &claims(), at("2026-02-15T00:00:00Z"));
    assert!(matches!(early, Err(CcfError::Time { what: "an endorsement", .. })));
    let most = |count| {
        let mut receipt = receipt.clone();
        receipt["service_endorsements"] = vec![ENDORSEMENT; count].into();
        with(LATER, &receipt).unwrap_err()
    };
    assert!(matches!(most(MAX_ENDORSEMENTS), CcfError::Certificate(..)));
    assert!(matches!(most(MAX_ENDORSEMENTS + 1), CcfError::Form(_)));
}

/// An authority says how many others may be below it that have not issued themselves (RFC 5280, section 6.1.4).
#[test]
fn no_more_authorities_are_below_one_than_it_allows() {
    let receipt = include_str!("ccf/before.json");
    let one = include_str!("ccf/path1.pem");
    assert_eq!(of(receipt, one).unwrap().transaction(), "2.15");
    let none = of(receipt, include_str!("ccf/path0.pem"));
    let why = "there are more authorities below it than it allows";
    assert_eq!(none, Err(CcfError::Certificate("the service's certificate", why)));
    // One of the same name is not counted: so CCF's services endorse what they were before.
    let mut recovered: Value = serde_json::from_str(EMULATED).unwrap();
    recovered["service_endorsements"] = json!([ENDORSEMENT]);
    assert!(of(&recovered.to_string(), LATER).is_ok());
}

#[test]
fn a_receipt_says_where_it_is_and_what_it_is_of() {
    let digest = "00".repeat(32);
    let refused: [(&str, Value); 5] = [
        ("claims_digest", json!(digest)),
        ("write_set_digest", json!(digest)),
        ("commit_evidence", json!(format!("ce:2.16:{}", "5a".repeat(32)))),
        ("commit_evidence", json!(format!("ce:2.15:{}", "5b".repeat(32)))),
        ("write_set_digest", json!("1b")),
    ];
    for (field, value) in refused {
        assert!(changed(|receipt| receipt["leaf_components"][field] = value.clone()).is_err(), "{field} {value}");
    }
    for evidence in ["2.15:00", "ce:2.15", "ce:2:5a", "ce:02.15:5a", "ce:2.15:5a", "ce:2.-1:5a", ""] {
        let evidence = evidence.replace("5a", &"5a".repeat(32)).replace("ce:2.15:5a5a", "ce:2.15:5a5A");
        let why = changed(|receipt| receipt["leaf_components"]["commit_evidence"] = json!(evidence)).unwrap_err();
        assert_eq!(why, CcfError::Form("its commit_evidence is not that of a transaction"), "{evidence}");
    }
    let swapped = changed(|receipt| receipt["proof"].as_array_mut().unwrap().swap(0, 2));
    assert_eq!(swapped, Err(CcfError::Signature));
    let other_side = changed(|receipt| receipt["proof"][0] = json!({ "right": "2c".repeat(32) }));
    assert_eq!(other_side, Err(CcfError::Signature));
}

#[test]
fn another_form_of_receipt_is_refused() {
    assert!(changed(|_| {}).is_ok());
    assert!(changed(|receipt| drop(receipt.as_object_mut().unwrap().remove("node_id"))).is_ok());
    assert!(changed(|receipt| receipt["is_signature_transaction"] = json!(false)).is_ok());
    let refused: [&dyn Fn(&mut Value); 8] = [
        &|receipt| receipt["is_signature_transaction"] = json!(true),
        &|receipt| receipt["node_id"] = json!("00".repeat(32)),
        &|receipt| receipt["more"] = json!(1),
        &|receipt| receipt["leaf_components"]["more"] = json!(1),
        &|receipt| receipt["proof"][0] = json!({ "left": "2c".repeat(32), "right": "2c".repeat(32) }),
        &|receipt| receipt["proof"][0] = json!({}),
        &|receipt| receipt["signature"] = json!("AA=="),
        // The service's own certificate signs no receipts.
        &|receipt| receipt["cert"] = json!(SERVICE),
    ];
    for (number, change) in refused.iter().enumerate() {
        assert!(changed(change).is_err(), "{number}");
    }
    for cert in [format!("x{SERVICE}"), SERVICE.replace('\n', "\r\n"), format!("{SERVICE}{SERVICE}")] {
        assert!(matches!(changed(|receipt| receipt["cert"] = json!(cert)), Err(CcfError::Certificate(..))));
    }
    let twice = EMULATED.replacen('{', "{\"node_id\":null,", 1);
    assert!(matches!(of(&twice, SERVICE), Err(CcfError::Form(_))));
}

#[test]
fn a_service_is_one_that_signs_itself() {
    let receipt: Value = serde_json::from_str(EMULATED).unwrap();
    for pem in [receipt["cert"].as_str().unwrap(), ENDORSEMENT, "", "x"] {
        assert!(CcfService::from_pem(pem).is_err(), "{pem}");
    }
    assert_eq!(service(SERVICE).fingerprint(), service(&format!("\n{SERVICE}\n")).fingerprint());
}

#[test]
fn a_trust_file_names_services() {
    let key = SigningKey::ed25519([1; 32]).public_key().to_spki_pem().unwrap();
    let key = format!("[[key]]\npublic = '''\n{key}'''\noperator = 'one'\nplatform = 'x'\n");
    let read = |text: &str| TrustRoots::from_toml(&format!("{key}{text}")).map_err(|error| error.to_string());
    let named = |name: &str, pem: &str| format!("[[service]]\nname = '{name}'\ncertificate = '''\n{pem}'''\n");
    let trust = read(&[named("ours", SERVICE), named("other", OTHER)].concat()).unwrap();
    let expected = [("ours", SERVICE), ("other", OTHER)];
    let expected =
        expected.map(|(name, pem)| ReferenceService { name: name.into(), service: service(pem), emulated: false });
    assert_eq!(trust.tee().services, expected);
    let emulated = read(&(named("ours", SERVICE) + "emulated = true\n")).unwrap();
    assert!(emulated.tee().services[0].emulated);
    for (text, why) in [
        (named("", SERVICE), "service 1: its name"),
        (named("a", ENDORSEMENT), "service 1: the service's certificate is not taken"),
        (named("a", "x"), "not one certificate in PEM"),
        (named("a", SERVICE) + "url = 1\n", "unknown field `url`"),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    let many = |count| read(&named("a", SERVICE).repeat(count));
    assert!(many(TeeTrust::MAX).is_ok() && many(TeeTrust::MAX + 1).is_err());
}

#[test]
fn the_bounds_of_receipts_hold_on_both_sides() {
    let long = |bytes: usize| of(&format!("{EMULATED}{}", " ".repeat(bytes - EMULATED.len())), SERVICE);
    assert!(long(MAX_RECEIPT).is_ok());
    assert_eq!(long(MAX_RECEIPT + 1), Err(CcfError::TooLong(MAX_RECEIPT + 1)));
    let steps = |count| changed(|receipt| receipt["proof"] = vec![json!({ "left": "2c".repeat(32) }); count].into());
    assert_eq!(steps(MAX_PROOF), Err(CcfError::Signature));
    assert!(matches!(steps(MAX_PROOF + 1), Err(CcfError::Form(_))));
    let evidence = |bytes| changed(|receipt| receipt["leaf_components"]["commit_evidence"] = json!("x".repeat(bytes)));
    for bytes in [MAX_COMMIT_EVIDENCE, MAX_COMMIT_EVIDENCE + 1] {
        assert!(matches!(evidence(bytes), Err(CcfError::Form(_))));
    }
}

#[test]
fn how_long_a_receipt_takes() {
    let trusted = service(SERVICE);
    bits::time("a receipt of CCF", || drop(verify(EMULATED.as_bytes(), &trusted, &claims(), now()).unwrap()));
}
