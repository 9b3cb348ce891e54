// SPDX-License-Identifier: Apache-2.0
//! The words by which programs tell why a proof does not pass.

use reprove_attest::{Artifact, AuditError, Envelope, Policy, appraise, audit};
use reprove_model::{DigestSet, IsolationLevel};

use super::appraisal::{Found, THREE, bytes, case, key, now, of, says, signed, trust, wheel};
use super::support::{WHEEL, proof};

/// Audits what the key of seed 1 should have signed.
fn strictly(proof: &[u8], artifact: Artifact) -> AuditError {
    let strong = |audited: reprove_attest::Audited| audited.compared().unwrap().demanding(IsolationLevel::Full);
    audit(proof, &[artifact], &[key(1).public_key()]).and_then(strong).unwrap_err()
}

#[test]
fn one_reason_has_one_code() {
    let good = says(1, Found::Same);
    // The two provenances' signatures change places.
    let changed = {
        let text = String::from_utf8(bytes(good.clone())).unwrap();
        let signature = |n| text.split("\"sig\":\"").nth(n).and_then(|rest| rest.split('"').next()).unwrap();
        let swapped = text.replace(signature(1), "first").replace(signature(2), signature(1));
        swapped.replace("first", signature(2))
    };
    let untrue = {
        let mut case = case(1000, Found::Same, false);
        case.comparison().details.rebuilds_agree = false;
        bytes(signed(1, &case))
    };
    let other = Artifact { name: "other".into(), digest: DigestSet::of(b"other") };
    let half = Artifact { digest: DigestSet { sha256: DigestSet::of(WHEEL).sha256, ..other.digest }, ..other.clone() };
    let unknown = bytes([good.clone(), vec![Envelope::sign(&key(1), *b"{}").unwrap()]].concat());
    for (code, proof, artifact) in [
        ("unknown-key", bytes(says(4, Found::Same)), wheel()),
        ("bad-signature", changed.into_bytes(), wheel()),
        ("unknown-statement", unknown, wheel()),
        ("no-comparison", bytes(good[..2].to_vec()), wheel()),
        ("inconsistent", untrue, wheel()),
        ("weak-isolation", bytes(signed(1, &case(1000, Found::Same, true))), wheel()),
        ("other-subject", bytes(good.clone()), other),
        ("half-subject", bytes(good.clone()), half),
    ] {
        assert_eq!(strictly(&proof, artifact.clone()).code(), code);
        let policy = Policy { minimum_isolation: Some(IsolationLevel::Full), ..of(1) };
        let appraisal = appraise(&proof, &[artifact], &trust(&THREE, ""), &policy, now()).unwrap();
        let counted = appraisal.claims().iter().flat_map(|claim| claim.reasons().iter().map(|reason| reason.code()));
        let uncounted = appraisal.uncounted().iter().map(|each| each.reason().code());
        let codes: Vec<&str> = counted.chain(uncounted).collect();
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
}

#[test]
fn what_is_behind_a_code_has_a_word_too() {
    let all = says(1, Found::Same);
    let cause = |envelopes: &[&Envelope]| {
        let error = strictly(&bytes(envelopes.iter().map(|envelope| (*envelope).clone()).collect()), wheel());
        (error.code(), error.cause())
    };
    let unlike = |text: &str| Envelope::sign(&key(1), text.as_bytes().to_vec()).unwrap();
    let of_type =
        |kind: &str| unlike(&format!(r#"{{"_type":"{kind}","predicate":{{}},"predicateType":"x","subject":[]}}"#));
    assert_eq!(cause(&[&unlike("{}")]), ("unknown-statement", Some("not-canonical")));
    assert_eq!(cause(&[&of_type("x")]), ("unknown-statement", Some("unknown-statement-type")));
    let known = of_type("https://in-toto.io/Statement/v1");
    assert_eq!(cause(&[&known]), ("unknown-statement", Some("unknown-predicate-type")));
    assert_eq!(cause(&[&all[0], &all[2]]), ("inconsistent", Some("rebuild-count")));
    assert_eq!(cause(&[&all[0], &all[0], &all[2]]), ("inconsistent", Some("other-provenance")));
    assert_eq!(cause(&[&all[0], &all[1], &all[1], &all[2]]), ("inconsistent", Some("provenance-count")));
    assert_eq!(cause(&[&all[2], &all[2]]), ("many-comparisons", None));
    assert_eq!(cause(&[]), ("no-envelope", None));
    let whole = proof(all);
    assert_eq!(strictly(&whole[..whole.len() - 1], wheel()).code(), "no-newline");
    assert_eq!(strictly(&[b"x", &whole[..]].concat(), wheel()).code(), "not-canonical");
}
