// SPDX-License-Identifier: Apache-2.0
//! Statements of types that are not judged here, and which keys may state what.

use reprove_attest::{Appraisal, Comparison, Envelope, Policy, Provenance, appraise, rego_input};
use serde_json::{Value, json};

use super::appraisal::{Found, THREE, appraised, bytes, key, now, of, says, shortfalls, trust, wheel};

const DOCUMENT: &str = "https://spdx.dev/Document/v2.3";

fn statement(sha256: &str) -> Value {
    let subject = json!([{ "name": "other", "digest": { "sha256": "0".repeat(64) } },
        { "name": "a wheel", "digest": { "sha256": sha256 } }]);
    json!({ "_type": "https://in-toto.io/Statement/v1", "predicateType": DOCUMENT, "subject": subject,
        "predicate": { "spdxVersion": "SPDX-2.3", "packages": [1.5] } })
}

fn of_the_wheel() -> Value {
    statement(&wheel().digest.sha256.to_string())
}

fn stated(seed: u8, statement: &Value) -> Envelope {
    // As its maker wrote it, which need not be canonical.
    Envelope::sign(&key(seed), serde_json::to_vec_pretty(statement).unwrap()).unwrap()
}

fn asking() -> Policy {
    Policy { predicates: [DOCUMENT.to_owned()].into(), ..of(1) }
}

fn judged(others: Vec<Envelope>, policy: &Policy) -> Appraisal {
    appraised([says(1, Found::Same), others].concat(), &trust(&THREE, ""), policy)
}

fn uncounted(appraisal: &Appraisal) -> Vec<(usize, &'static str)> {
    appraisal.uncounted().iter().map(|each| (each.envelope(), each.reason().code())).collect()
}

#[test]
fn a_policy_asks_for_statements_of_other_types() {
    let there = judged(vec![stated(2, &of_the_wheel())], &asking());
    assert!(there.is_enough() && there.uncounted().is_empty());
    let [other] = there.others() else { panic!("{:?}", there.others()) };
    let said = (other.envelope(), other.keyid(), other.operator(), other.platform(), other.predicate_type());
    assert_eq!(said, (4, key(2).public_key().id(), "two", "y", DOCUMENT));
    assert_eq!((other.statement(), other.seen()), (&of_the_wheel(), None));
    // It is no rebuild.
    assert_eq!(there.independent(), 1);
    assert_eq!(shortfalls(&judged(vec![], &asking())), ["missing-predicate"]);
    // Once is as good as twice.
    let envelope = stated(2, &of_the_wheel());
    assert_eq!(judged(vec![envelope.clone(), envelope], &asking()).others().len(), 1);
    // Those of every claim are there with it, and not without.
    let known = Policy { predicates: [Provenance::TYPE.to_owned(), Comparison::TYPE.to_owned()].into(), ..of(1) };
    assert!(judged(vec![], &known).is_enough());
    let nothing = appraised(vec![], &trust(&THREE, ""), &known);
    assert_eq!(shortfalls(&nothing), ["too-few-rebuilders", "too-few-isolations"]);
}

#[test]
fn what_is_not_asked_for_or_about_something_else_does_not_count() {
    let unasked = judged(vec![stated(2, &of_the_wheel())], &of(1));
    assert!(unasked.is_enough() && unasked.others().is_empty());
    assert_eq!(uncounted(&unasked), [(4, "unasked-predicate")]);
    let mut half = of_the_wheel();
    half["subject"][1]["digest"]["blake3"] = "0".repeat(64).into();
    let mut upper = of_the_wheel();
    upper["subject"][1]["digest"]["sha256"] = wheel().digest.sha256.to_string().to_uppercase().into();
    let mut without = of_the_wheel();
    without["subject"] = json!([]);
    for (other, code) in [
        (statement(&"1".repeat(64)), "other-subject"),
        (half, "other-subject"),
        (without, "other-subject"),
        (upper, "unknown-statement"),
    ] {
        let judged = judged(vec![stated(2, &other)], &asking());
        assert_eq!(shortfalls(&judged), ["missing-predicate"], "{other}");
        assert_eq!(uncounted(&judged), [(4, code)], "{other}");
    }
    let text = serde_json::to_string(&of_the_wheel()).unwrap().replacen("\"subject\"", "\"subject\":[],\"subject\"", 1);
    let twice = Envelope::sign(&key(2), text).unwrap();
    assert_eq!(uncounted(&judged(vec![twice], &asking())), [(4, "unknown-statement")]);
    // Nobody whom the auditor trusts.
    assert_eq!(uncounted(&judged(vec![stated(9, &of_the_wheel())], &asking())), [(4, "unknown-key")]);
    // Where no file is given, it is about what the claims are about.
    for (other, missing) in [(of_the_wheel(), vec![]), (statement(&"1".repeat(64)), vec!["missing-predicate"])] {
        let proof = bytes([says(1, Found::Same), vec![stated(2, &other)]].concat());
        assert_eq!(shortfalls(&appraise(&proof, &[], &trust(&THREE, ""), &asking(), now()).unwrap()), missing);
    }
}

#[test]
fn a_key_vouches_for_other_statements_while_it_is_trusted() {
    for (more, code) in
        [("revoked = '2026-11-02T00:00:00Z'", "key-revoked"), ("valid-until = '2026-11-02T00:00:00Z'", "key-expired")]
    {
        let proof = vec![stated(1, &of_the_wheel())];
        assert_eq!(uncounted(&appraised(proof, &trust(&THREE[..1], more), &asking())), [(1, code)]);
    }
}

#[test]
fn a_key_states_only_what_it_is_trusted_to_state() {
    let all = [says(1, Found::Same), says(2, Found::Other), vec![stated(2, &of_the_wheel())]].concat();
    let only = |kind: &str| trust(&THREE, &format!("predicates = ['{kind}']"));
    let documents = appraised(all.clone(), &only(DOCUMENT), &asking());
    // Neither a claim nor a veto.
    assert_eq!(shortfalls(&documents), ["too-few-rebuilders", "too-few-isolations"]);
    assert_eq!(documents.uncounted().iter().filter(|each| each.reason().code() == "key-not-for-type").count(), 6);
    let about_the_wheel = |policy: &Policy| {
        appraise(&bytes(vec![stated(2, &of_the_wheel())]), &[wheel()], &only(DOCUMENT), policy, now()).unwrap()
    };
    assert_eq!((about_the_wheel(&asking()).others().len(), about_the_wheel(&of(1)).others().len()), (1, 0));
    let provenances = appraised(all, &only(Provenance::TYPE), &asking());
    assert_eq!(shortfalls(&provenances), ["too-few-rebuilders", "too-few-isolations", "missing-predicate"]);
    let not_for: Vec<_> = uncounted(&provenances).into_iter().filter(|(_, code)| *code == "key-not-for-type").collect();
    assert_eq!(not_for, [3, 6, 7].map(|envelope| (envelope, "key-not-for-type")));
}

#[test]
fn a_policy_in_rego_sees_the_statement_that_was_asked_for() {
    let there = judged(vec![stated(2, &of_the_wheel()), stated(3, &statement(&"1".repeat(64)))], &asking());
    let seen: Value = serde_json::from_str(&rego_input(&there, &[wheel()], now()).unwrap()).unwrap();
    let keyid = key(2).public_key().id().to_string();
    let expected = json!([{ "envelope": 4, "keyid": keyid, "operator": "two", "platform": "y",
        "predicateType": DOCUMENT, "seen": null, "statement": of_the_wheel() }]);
    assert_eq!(seen["others"], expected);
}
