// SPDX-License-Identifier: Apache-2.0
//! Who signed, and whether it is what they signed.

use reprove_attest::{AuditError, Envelope, ProofError, SignatureError, audit};

use crate::support::*;

#[test]
fn another_key_is_told_from_a_changed_statement() {
    let bytes = Case::published().sign();
    let error = audit(&bytes, &[], &[other_key().public_key()]).unwrap_err();
    let keyid = key().public_key().id();
    assert!(matches!(error, AuditError::Signature { envelope: 1, why: SignatureError::OtherKey { .. }, .. }));
    let text = error.to_string();
    assert!(text.contains(&format!("signed by another key than those given: keyid {keyid}")), "{text}");

    let text = String::from_utf8(bytes).unwrap();
    let changed = text.replacen("\"payload\":\"eyJfd", "\"payload\":\"eyJfe", 1);
    assert_ne!(changed, text);
    let error = judge(changed.as_bytes()).unwrap_err();
    assert!(matches!(error, AuditError::Proof(ProofError::Changed { envelope: 1, of: 3 })), "{error:?}");
    assert!(error.to_string().contains("the statement was changed"), "{error}");
}

#[test]
fn a_changed_signature_is_told_from_a_changed_statement() {
    let text = String::from_utf8(Case::published().sign()).unwrap();
    let signature = text.split("\"sig\":\"").nth(2).unwrap().split('"').next().unwrap();
    let other = signature.replacen(&signature[..1], if signature.starts_with('A') { "B" } else { "A" }, 1);
    let error = judge(text.replacen(signature, &other, 1).as_bytes()).unwrap_err();
    assert!(matches!(error, AuditError::Signature { envelope: 2, why: SignatureError::Mismatch { .. }, .. }));
    assert!(error.to_string().contains("the signature was changed"), "{error}");
}

/// The list of digests only helps to tell what was changed: whoever changes it with the statement gains nothing.
#[test]
fn a_changed_statement_with_its_digest_is_refused() {
    let mut payloads = Case::published().payloads();
    let signed: Vec<_> = payloads.iter().map(|p| Envelope::sign(&key(), p.clone()).unwrap()).collect();
    payloads[1].push(b' ');
    let signature = |envelope: &Envelope| {
        let json = serde_json::to_value(envelope).unwrap();
        json["signatures"][0]["sig"].as_str().unwrap().to_owned()
    };
    let mut changed = signed.clone();
    changed[1] = Envelope::sign(&key(), payloads[1].clone()).unwrap();
    let text = String::from_utf8(proof(changed.clone())).unwrap();
    let text = text.replacen(&signature(&changed[1]), &signature(&signed[1]), 1);
    let error = judge(text.as_bytes()).unwrap_err();
    assert!(
        matches!(error, AuditError::Signature { envelope: 2, why: SignatureError::Mismatch { .. }, .. }),
        "{error}"
    );
}

#[test]
fn a_changed_keyid_is_told_from_both() {
    let (ours, other) = (key().public_key().id().to_string(), other_key().public_key().id().to_string());
    let text = String::from_utf8(Case::published().sign()).unwrap().replacen(&ours, &other, 1);
    let error = judge(text.as_bytes()).unwrap_err();
    assert!(matches!(error, AuditError::Signature { envelope: 1, why: SignatureError::WrongKeyId { .. }, .. }));
    // And where the other key is trusted too, its signature is simply not there.
    let error = audit(text.as_bytes(), &[], &[key().public_key(), other_key().public_key()]).unwrap_err();
    assert!(matches!(error, AuditError::Signature { envelope: 1, why: SignatureError::Mismatch { .. }, .. }));
}

#[test]
fn signatures_cannot_change_places() {
    let envelopes: Vec<_> =
        Case::published().payloads().into_iter().map(|p| Envelope::sign(&key(), p).unwrap()).collect();
    let text = String::from_utf8(proof(envelopes)).unwrap();
    let signature = |n: usize| text.split("\"sig\":\"").nth(n).unwrap().split('"').next().unwrap().to_owned();
    let swapped = text.replace(&signature(1), "first").replace(&signature(2), &signature(1));
    let swapped = swapped.replace("first", &signature(2));
    let error = judge(swapped.as_bytes()).unwrap_err();
    assert!(matches!(error, AuditError::Signature { envelope: 1, why: SignatureError::Mismatch { .. }, .. }));
}

#[test]
fn one_proof_has_one_signer() {
    let sign = |(index, payload)| Envelope::sign(&if index == 1 { other_key() } else { key() }, payload).unwrap();
    let bytes = proof(Case::published().payloads().into_iter().enumerate().map(sign).collect());
    let keys = [key().public_key(), other_key().public_key()];
    assert!(matches!(audit(&bytes, &[], &keys), Err(AuditError::ManySigners { envelope: 2, .. })));
    assert!(matches!(judge(&bytes), Err(AuditError::Signature { envelope: 2, of: 3, .. })));
}

#[test]
fn nothing_is_trusted_by_default() {
    assert!(matches!(audit(&Case::published().sign(), &[], &[]), Err(AuditError::NoKeys)));
    assert!(matches!(judge(&proof(vec![])), Err(AuditError::Empty)));
}
