// SPDX-License-Identifier: Apache-2.0
//! Policies in Rego: what they see, and what they can't do.

use reprove_attest::{Appraisal, RegoError, RegoPolicy, RegoRefusal, appraise, rego_input};
use serde_json::{Value, json};

use super::appraisal::{Found, THREE, appraised, bytes, now, of, says, shortfalls, trust, wheel};

/// Two trusted rebuilders, one of whom got other bits, and one who is not trusted.
fn appraisal() -> Appraisal {
    let envelopes = [says(1, Found::Same), says(2, Found::Other), says(4, Found::Same)].concat();
    appraised(envelopes, &trust(&THREE, ""), &of(1))
}

fn evaluated(rules: &str, input: &str) -> Vec<RegoRefusal> {
    RegoPolicy::parse(&format!("package reprove\n{rules}")).unwrap().evaluate(input)
}

fn seen(appraisal: &Appraisal) -> Value {
    serde_json::from_str(&rego_input(appraisal, &[wheel()], now()).unwrap()).unwrap()
}

#[test]
fn a_policy_allows_or_says_why_not() {
    use RegoRefusal::{AllowIsNoBoolean, Denied, DenyIsNoSet, NotAllowed, Undefined};
    let denied = |message: &str| Denied(message.into());
    for (rules, refusals) in [
        ("allow := true", vec![]),
        ("allow := true\ndeny contains \"x\" if false", vec![]),
        ("allow := true\ndeny contains \"x\" if true", vec![denied("x")]),
        ("allow := true\ndeny contains msg if some msg in [\"b\", \"a\"]", vec![denied("a"), denied("b")]),
        ("allow if count(deny) == 0\ndeny contains \"x\" if true", vec![denied("x"), Undefined]),
        ("default allow := false\nallow if count(deny) == 0\ndeny contains \"x\" if true", vec![denied("x")]),
        ("default allow := false", vec![NotAllowed]),
        ("allow if input.nothing", vec![Undefined]),
        ("allow := 1", vec![AllowIsNoBoolean]),
        ("allow := \"true\"", vec![AllowIsNoBoolean]),
        ("allow contains \"x\" if true", vec![AllowIsNoBoolean]),
        ("allow := true\ndeny := true", vec![DenyIsNoSet]),
        ("allow := true\ndeny := \"x\"", vec![DenyIsNoSet]),
        ("allow := true\ndeny := {\"x\": 1}", vec![DenyIsNoSet]),
        ("allow := true\ndeny contains 1 if true", vec![DenyIsNoSet]),
        ("allow := true\ndeny contains \"x\" if true\ndeny contains 1 if true", vec![DenyIsNoSet]),
    ] {
        assert_eq!(evaluated(rules, "{}"), refusals, "{rules}");
    }
}

#[test]
fn what_can_not_be_evaluated_is_a_refusal() {
    for rules in [
        "allow if 1 / input.zero == 1",
        "allow if to_number(input.text) == 1",
        "allow := 1 if true\nallow := 2 if true",
        "allow := true\ndeny contains \"x\" if to_number(input.text) == 1",
        "allow if f(1)\nf(x) if g(x)\ng(x) if not input.zero\ng(x) if to_number(x) == \"1\"\nallow if to_number([]) == 1",
    ] {
        let refusals = evaluated(rules, "{\"zero\": 0, \"text\": \"x\\u001b\"}");
        let [RegoRefusal::Failed(why)] = &refusals[..] else { panic!("{rules}: {refusals:?}") };
        assert!(why.starts_with("at ") && !why.contains(char::is_control), "{why}");
    }
    assert!(matches!(&evaluated("allow := true", "{")[..], [RegoRefusal::Failed(_)]));
}

#[test]
fn what_is_no_policy_is_refused() {
    let parse = |text: &str| RegoPolicy::parse(text).unwrap_err();
    assert_eq!(parse("package reprove\ndeny contains \"x\" if true"), RegoError::NoAllow);
    assert_eq!(parse("package reprove.more\nallow := true"), RegoError::Package("reprove.more".into()));
    for text in [
        "",
        "allow := true",
        "package reprove\nallow {",
        "package reprove\nallow if x > 1",
        "package reprove\nallow { true }",
    ] {
        let error = parse(text);
        assert!(matches!(error, RegoError::Rego(_)), "{text}: {error:?}");
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
}

#[test]
fn the_bounds_hold_on_both_sides() {
    let lines = format!("#{}\n", "x".repeat(998)).repeat(1100);
    let padded = |bytes: usize| format!("package reprove\nallow := true\n{lines}")[..bytes].to_owned();
    assert!(RegoPolicy::parse(&padded(RegoPolicy::MAX_BYTES)).is_ok());
    let longer = RegoPolicy::parse(&padded(RegoPolicy::MAX_BYTES + 1));
    assert_eq!(longer, Err(RegoError::TooLong(RegoPolicy::MAX_BYTES + 1)));
    let deep = |n: usize| RegoPolicy::parse(&format!("package reprove\nallow if {}1{}", "[".repeat(n), "]".repeat(n)));
    assert!(deep(RegoPolicy::MAX_DEPTH).is_ok());
    assert_eq!(deep(RegoPolicy::MAX_DEPTH + 1), Err(RegoError::TooDeep(RegoPolicy::MAX_DEPTH + 1)));
    let rules = "allow := true\ndeny contains msg if {\n  some n in numbers.range(1, input.many)\n  msg := format_int(n, 10)\n}";
    let many = |many: usize| evaluated(rules, &json!({ "many": many }).to_string());
    assert_eq!(many(64).len(), 64);
    assert_eq!((many(65).len(), many(65).pop()), (65, Some(RegoRefusal::More(1))));
    for (length, told) in [(500, 500), (501, 500)] {
        let refusals = evaluated("allow := true\ndeny contains input", &json!("\u{e9}".repeat(length)).to_string());
        assert_eq!(refusals, [RegoRefusal::Denied("\u{e9}".repeat(told))]);
    }
}

/// Whatever would make the same bytes be judged in another way another day.
#[test]
fn nothing_but_the_input_is_asked() {
    for call in [
        "time.now_ns()",
        "rand.intn(\"x\", 10)",
        "uuid.rfc4122(\"x\")",
        "opa.runtime()",
        "http.send({\"method\": \"get\", \"url\": \"http://localhost\"})",
        "net.lookup_ip_addr(\"localhost\")",
        "rego.metadata.chain()",
        "io.jwt.decode(\"x\")",
    ] {
        let refusals = evaluated(&format!("allow if {call} != null"), "{}");
        assert!(
            matches!(&refusals[..], [RegoRefusal::Failed(why)] if why.contains("could not find function")),
            "{refusals:?}"
        );
    }
}

#[test]
fn only_what_trusted_keys_have_signed_is_seen() {
    let appraisal = appraisal();
    let seen = seen(&appraisal);
    assert_eq!(seen["time"], "2026-11-02T00:00:00Z");
    assert_eq!((&seen["independent"], &seen["shortfalls"]), (&json!(1), &json!(["veto"])));
    let claims = seen["claims"].as_array().unwrap();
    for (claim, expected) in claims.iter().zip(appraisal.claims()) {
        let statement = |statement: &reprove_attest::Statement| -> Value {
            serde_json::from_slice(&statement.to_payload().unwrap()).unwrap()
        };
        let statements = &claim["statements"];
        assert_eq!(statements["comparison"], statement(expected.comparison()));
        assert_eq!(statements["provenances"].as_array().unwrap().len(), 2);
        for (found, expected) in statements["provenances"].as_array().unwrap().iter().zip(expected.provenances()) {
            assert_eq!(*found, statement(expected));
        }
        assert_eq!(claim["ageSeconds"], 11 * 3600);
    }
    let short = |claim: &Value| (claim["operator"].clone(), claim["counted"].clone(), claim["reasons"].clone());
    let expected = [(json!("one"), json!(true), json!([])), (json!("two"), json!(false), json!(["different"]))];
    assert_eq!(claims.iter().map(short).collect::<Vec<_>>(), expected);
    let uncounted = seen["uncounted"].as_array().unwrap();
    assert_eq!(uncounted.len(), 3);
    assert!(uncounted.iter().all(|each| each["code"] == "unknown-key" && each.get("statements").is_none()));
    assert!(!seen.to_string().contains("\"duration\""));
}

#[test]
fn a_policy_in_rego_only_takes_away() {
    let allows = |appraisal: &Appraisal| evaluated("allow := true", &rego_input(appraisal, &[wheel()], now()).unwrap());
    let vetoed = appraisal();
    let refusals = allows(&vetoed);
    assert_eq!(refusals, []);
    assert_eq!(shortfalls(&vetoed.refused_by(refusals)), ["veto"]);
    let envelopes = [says(1, Found::Same), says(2, Found::Same)].concat();
    let enough = appraise(&bytes(envelopes), &[wheel()], &trust(&THREE, ""), &of(2), now()).unwrap();
    assert!(enough.is_enough() && enough.clone().refused_by(allows(&enough)).is_enough());
    let input = rego_input(&enough, &[wheel()], now()).unwrap();
    let refused = enough.refused_by(evaluated("allow if input.independent > 2", &input));
    assert_eq!((shortfalls(&refused), refused.is_enough()), (vec!["rego"], false));
    assert_eq!(refused.independent(), 2);
}
