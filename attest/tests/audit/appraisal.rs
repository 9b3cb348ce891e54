// SPDX-License-Identifier: Apache-2.0
//! What several rebuilders say together, and when that is enough.

use jiff::Timestamp;
use reprove_attest::log::{self, Checkpoint, LogProof, Note, NoteKey, NoteKind};
use reprove_attest::{
    Appraisal, Artifact, Distinct, Envelope, LoggedEnvelope, Policy, Proof, REPRODUCED, Rebuilder, SigningKey,
    SummaryOf, TrustRoots, appraise, rego_input, summary,
};
use reprove_model::{Between, DigestSet, Enforced, IsolationLevel, Outcome, Sha256, Verdict};

use super::support::{Case, WHEEL, WHEEL_NAME, finding, lock, record, reproducible, tree};

/// What a rebuilder found.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Found {
    Same,
    Other,
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::ed25519([seed; 32])
}

/// The statements of the rebuilder whose builds took so long, which makes them its own.
pub(crate) fn case(duration: u64, found: Found, weak: bool) -> Case {
    let lock = lock(true);
    let wheel = if found == Found::Same { WHEEL } else { b"another wheel" };
    let records = [0, 1].map(|number| {
        let mut record = record(&lock, number, tree(&[(WHEEL_NAME, wheel)]));
        record.duration_ms = duration;
        if weak {
            record.enforced = Enforced { separate_user: false, ..Enforced::full() };
        }
        record
    });
    let verdict = match found {
        Found::Same => reproducible(true),
        Found::Other => Verdict {
            outcome: Outcome::Different,
            matches_published: Some(false),
            findings: vec![finding(Between::PublishedAndRebuilt)],
            ..reproducible(true)
        },
    };
    Case::of(&lock, &records, &verdict)
}

pub(crate) fn signed(seed: u8, case: &Case) -> Vec<Envelope> {
    let statements = case.provenances.iter().chain([&case.comparison]);
    statements.map(|statement| Envelope::sign(&key(seed), statement.to_payload().unwrap()).unwrap()).collect()
}

/// What the key of `seed` says, whose builds took as many seconds.
pub(crate) fn says(seed: u8, found: Found) -> Vec<Envelope> {
    signed(seed, &case(u64::from(seed) * 1000, found, false))
}

/// Trusts the keys of these seeds, which these operators hold on these platforms.
pub(crate) fn trust(keys: &[(u8, &str, &str)], more: &str) -> TrustRoots {
    let entry = |(seed, operator, platform): &(u8, &str, &str)| {
        let pem = key(*seed).public_key().to_spki_pem().unwrap();
        format!("[[key]]\npublic = '''\n{pem}'''\noperator = '{operator}'\nplatform = '{platform}'\n{more}\n")
    };
    TrustRoots::from_toml(&keys.iter().map(entry).collect::<String>()).unwrap()
}

pub(crate) const THREE: [(u8, &str, &str); 3] = [(1, "one", "x"), (2, "two", "y"), (3, "three", "z")];

pub(crate) fn now() -> Timestamp {
    "2026-11-02T00:00:00Z".parse().unwrap()
}

pub(crate) fn wheel() -> Artifact {
    Artifact { name: "the wheel".into(), digest: DigestSet::of(WHEEL) }
}

pub(crate) fn bytes(envelopes: Vec<Envelope>) -> Vec<u8> {
    Proof::of(envelopes).to_bytes().unwrap()
}

pub(crate) fn appraised(envelopes: Vec<Envelope>, trust: &TrustRoots, policy: &Policy) -> Appraisal {
    appraise(&bytes(envelopes), &[wheel()], trust, policy, now()).unwrap()
}

pub(crate) fn of(rebuilders: u32) -> Policy {
    Policy { rebuilders, ..Policy::default() }
}

pub(crate) fn shortfalls(appraisal: &Appraisal) -> Vec<&'static str> {
    appraisal.shortfalls().iter().map(|shortfall| shortfall.code()).collect()
}

fn uncounted(appraisal: &Appraisal) -> Vec<(usize, &'static str)> {
    appraisal.uncounted().iter().map(|each| (each.envelope(), each.reason().code())).collect()
}

/// Why each claim does not count.
pub(crate) fn reasons(appraisal: &Appraisal) -> Vec<Vec<&'static str>> {
    appraisal.claims().iter().map(|claim| claim.reasons().iter().map(|reason| reason.code()).collect()).collect()
}

#[test]
fn as_many_as_are_asked_for_are_enough() {
    let envelopes = [says(1, Found::Same), says(2, Found::Same)].concat();
    for rebuilders in 1..=3 {
        let appraisal = appraised(envelopes.clone(), &trust(&THREE, ""), &of(rebuilders));
        assert_eq!((appraisal.independent(), appraisal.claims().len()), (2, 2));
        let missing: &[&str] = if rebuilders > 2 { &["too-few-rebuilders"] } else { &[] };
        assert_eq!(shortfalls(&appraisal), missing, "{rebuilders}");
        assert_eq!(appraisal.is_enough(), rebuilders <= 2);
        assert_eq!(uncounted(&appraisal), []);
    }
    let nothing = appraised(vec![], &trust(&THREE, ""), &of(1));
    assert_eq!(shortfalls(&nothing), ["too-few-rebuilders", "too-few-isolations"]);
}

#[test]
fn who_a_rebuilder_says_it_is_must_be_who_the_trust_file_says() {
    let stated = |operator: &str, platform: &str, found: Found| {
        let mut case = case(1000, found, false);
        case.comparison().rebuilder = Rebuilder::new(Some(operator.into()), Some(platform.into())).unwrap();
        appraised(signed(1, &case), &trust(&THREE, ""), &of(1))
    };
    assert!(stated("one", "x", Found::Same).is_enough());
    for (operator, platform, codes) in [
        ("other", "x", &["other-operator"][..]),
        ("one", "y", &["other-platform"]),
        ("two", "y", &["other-operator", "other-platform"]),
    ] {
        let appraisal = stated(operator, platform, Found::Same);
        assert_eq!((reasons(&appraisal), shortfalls(&appraisal)[0]), (vec![codes.to_vec()], "too-few-rebuilders"));
        // What it has against an artifact counts nevertheless.
        assert!(shortfalls(&stated(operator, platform, Found::Other)).contains(&"veto"));
    }
}

#[test]
fn neither_order_nor_duplicates_change_the_decision() {
    let all = [says(1, Found::Same), says(2, Found::Other), says(3, Found::Same)].concat();
    for policy in [of(2), Policy { veto: false, ..of(2) }, Policy { veto: false, ..of(3) }] {
        let expected = appraised(all.clone(), &trust(&THREE, ""), &policy);
        for rotation in 0..all.len() {
            let mut other = all.clone();
            other.rotate_left(rotation);
            other.extend(all[rotation..].to_vec());
            other.reverse();
            let found = appraised(other, &trust(&THREE, ""), &policy);
            assert_eq!(found.shortfalls(), expected.shortfalls());
            assert_eq!((found.independent(), reasons(&found)), (expected.independent(), reasons(&expected)));
            assert_eq!(uncounted(&found), []);
        }
    }
}

#[test]
fn who_shares_an_operator_or_a_platform_counts_once() {
    let envelopes = [says(1, Found::Same), says(2, Found::Same)].concat();
    let count = |keys: &[(u8, &str, &str)], distinct: &[Distinct]| {
        let policy = Policy { distinct: distinct.iter().copied().collect(), ..of(2) };
        appraised(envelopes.clone(), &trust(keys, ""), &policy).independent()
    };
    let (one_operator, one_platform) = ([(1, "one", "x"), (2, "one", "y")], [(1, "one", "x"), (2, "two", "x")]);
    assert_eq!(count(&one_operator, &[Distinct::Operator]), 1);
    assert_eq!(count(&one_operator, &[Distinct::Platform]), 2);
    assert_eq!(count(&one_platform, &[Distinct::Operator]), 2);
    assert_eq!(count(&one_platform, &[Distinct::Platform]), 1);
    for keys in [one_operator, one_platform] {
        assert_eq!(count(&keys, &[Distinct::Operator, Distinct::Platform]), 1);
    }
    assert_eq!(count(&THREE, &[Distinct::Operator, Distinct::Platform]), 2);
}

#[test]
fn a_trusted_rebuilder_that_got_other_bits_has_a_veto() {
    let envelopes = [says(1, Found::Same), says(2, Found::Same), says(3, Found::Other)].concat();
    let vetoed = appraised(envelopes.clone(), &trust(&THREE, ""), &of(2));
    assert_eq!(shortfalls(&vetoed), ["veto"]);
    assert_eq!(reasons(&vetoed).concat(), ["different"]);
    assert!(appraised(envelopes.clone(), &trust(&THREE, ""), &Policy { veto: false, ..of(2) }).is_enough());
    // Of nobody whom the auditor trusts, it is none.
    let appraisal = appraised(envelopes.clone(), &trust(&THREE[..2], ""), &of(2));
    assert!(appraisal.is_enough());
    assert_eq!(uncounted(&appraisal), [(7, "unknown-key"), (8, "unknown-key"), (9, "unknown-key")]);
    // Too old or too weak to count for it, it counts against it.
    let weak = [says(1, Found::Same), signed(2, &case(2000, Found::Other, true))].concat();
    let policy = Policy { minimum_isolation: Some(IsolationLevel::Full), ..of(1) };
    let appraisal = appraised(weak, &trust(&THREE, ""), &policy);
    assert_eq!(shortfalls(&appraisal), ["veto"]);
}

#[test]
fn a_build_that_two_have_signed_counts_once() {
    let copied = case(1000, Found::Same, false);
    let appraisal = appraised([signed(1, &copied), signed(2, &copied)].concat(), &trust(&THREE, ""), &of(2));
    assert_eq!(appraisal.independent(), 1);
    assert_eq!(reasons(&appraisal).concat(), ["same-build"]);
    // Copied or not, what says that the bits were others stays a veto.
    let copied = case(1000, Found::Other, false);
    let all = [says(3, Found::Same), signed(1, &copied), signed(2, &copied)].concat();
    assert_eq!(shortfalls(&appraised(all, &trust(&THREE, ""), &of(1))), ["veto", "veto"]);
}

/// A comparison that is not counted, third, and with it the two provenances that it names.
fn not_counted(code: &str) -> [(usize, &str); 3] {
    [(1, "uncounted-comparison"), (2, "uncounted-comparison"), (3, code)]
}

#[test]
fn what_is_left_out_makes_nothing_count() {
    let all = says(1, Found::Same);
    for dropped in 0..all.len() {
        let mut some = all.clone();
        some.remove(dropped);
        let appraisal = appraised(some, &trust(&THREE, ""), &of(1));
        assert!(!appraisal.is_enough() && appraisal.claims().is_empty());
        let expected: &[(usize, &str)] = if dropped < 2 {
            &[(1, "uncounted-comparison"), (2, "incomplete")]
        } else {
            &[(1, "no-comparison"), (2, "no-comparison")]
        };
        assert_eq!(uncounted(&appraisal), expected);
    }
    // Another's provenance does not stand in for one's own.
    let case = case(1000, Found::Same, false);
    let (own, other) = (signed(1, &case), signed(2, &case));
    let mixed = vec![other[0].clone(), own[1].clone(), own[2].clone()];
    let appraisal = appraised(mixed, &trust(&THREE, ""), &of(1));
    assert_eq!(uncounted(&appraisal), [(1, "no-comparison"), (2, "uncounted-comparison"), (3, "incomplete")]);
}

#[test]
fn statements_that_contradict_each_other_do_not_count() {
    let mut case = case(1000, Found::Same, false);
    case.comparison().details.rebuilds_agree = false;
    let appraisal = appraised(signed(1, &case), &trust(&THREE, ""), &of(1));
    assert_eq!(uncounted(&appraisal), not_counted("inconsistent"));
    let unknown = Envelope::sign(&key(1), *b"{}").unwrap();
    let appraisal = appraised([says(1, Found::Same), vec![unknown]].concat(), &trust(&THREE, ""), &of(1));
    assert!(appraisal.is_enough());
    assert_eq!(uncounted(&appraisal), [(4, "unknown-statement")]);
}

#[test]
fn a_claim_is_about_the_artifacts_or_does_not_count() {
    let proof = bytes(says(1, Found::Same));
    let about = |artifacts: &[Artifact]| appraise(&proof, artifacts, &trust(&THREE, ""), &of(1), now()).unwrap();
    assert!(about(&[]).is_enough());
    assert!(about(&[wheel()]).is_enough());
    let other = Artifact { name: "other".into(), digest: DigestSet::of(b"other") };
    for artifacts in [vec![other.clone()], vec![wheel(), other.clone()]] {
        assert_eq!(uncounted(&about(&artifacts)), [(3, "other-subject")]);
    }
    let half = DigestSet { sha256: DigestSet::of(WHEEL).sha256, ..other.digest };
    assert_eq!(uncounted(&about(&[Artifact { name: "half".into(), digest: half }])), [(3, "half-subject")]);

    // Without an artifact, there must be one thing that all is about.
    let several = bytes([says(1, Found::Same), signed(2, &Case::unpublished())].concat());
    let appraisal = appraise(&several, &[], &trust(&THREE, ""), &of(1), now()).unwrap();
    assert_eq!(shortfalls(&appraisal), ["several-subjects"]);
    assert!(appraise(&several, &[wheel()], &trust(&THREE, ""), &of(1), now()).unwrap().is_enough());
}

#[test]
fn keys_count_while_they_are_trusted() {
    for (more, code) in [
        ("valid-until = '2026-11-02T00:00:00Z'", "key-expired"),
        ("valid-from = '2026-11-01T13:00:01Z'", "key-not-yet-valid"),
        ("revoked = '2026-11-02T00:00:00Z'", "key-revoked"),
    ] {
        let appraisal = appraised(says(1, Found::Same), &trust(&THREE[..1], more), &of(1));
        assert_eq!(uncounted(&appraisal), not_counted(code), "{more}");
        assert!(!appraisal.is_enough());
    }
    for more in [
        "valid-until = '2026-11-02T00:00:01Z'",
        "valid-from = '2026-11-01T13:00:00Z'",
        "revoked = '2026-11-02T00:00:01Z'",
    ] {
        assert!(appraised(says(1, Found::Same), &trust(&THREE[..1], more), &of(1)).is_enough(), "{more}");
    }
    let before = "2026-11-01T12:00:00Z".parse().unwrap();
    let early = appraise(&bytes(says(1, Found::Same)), &[], &trust(&THREE, ""), &of(1), before).unwrap();
    assert_eq!(uncounted(&early), not_counted("from-the-future"));
}

#[test]
fn a_policy_bounds_age_walls_and_what_was_published() {
    let at = |policy: &Policy, now: &str| {
        let proof = bytes(says(1, Found::Same));
        let appraisal = appraise(&proof, &[wheel()], &trust(&THREE, ""), policy, now.parse().unwrap()).unwrap();
        reasons(&appraisal).concat()
    };
    let month = Policy { max_age_days: Some(30), ..of(1) };
    assert_eq!(at(&month, "2026-12-01T13:00:00Z"), [""; 0]);
    assert_eq!(at(&month, "2026-12-01T13:00:01Z"), ["too-old"]);

    let walls = |minimum_isolation, weak| {
        let policy = Policy { minimum_isolation, ..of(1) };
        let appraisal = appraised(signed(1, &case(1000, Found::Same, weak)), &trust(&THREE, ""), &policy);
        reasons(&appraisal).concat()
    };
    assert_eq!(walls(Some(IsolationLevel::Basic), true), [""; 0]);
    assert_eq!(walls(Some(IsolationLevel::Strong), true), ["weak-isolation"]);
    assert_eq!(walls(Some(IsolationLevel::Full), false), [""; 0]);

    let policy = Policy { published: true, ..of(1) };
    let appraisal = appraised(signed(1, &Case::unpublished()), &trust(&THREE, ""), &policy);
    assert_eq!(reasons(&appraisal).concat(), ["not-published"]);
    assert!(appraised(says(1, Found::Same), &trust(&THREE, ""), &policy).is_enough());
    let kinds = appraised(says(1, Found::Same), &trust(&THREE, ""), &Policy { isolations: 2, ..of(1) });
    assert_eq!(shortfalls(&kinds), ["too-few-isolations"]);
}

#[test]
fn no_changed_bit_is_enough() {
    let (trust, policy) = (trust(&THREE, ""), of(1));
    let proof = bytes(signed(1, &Case::unpublished()));
    assert!(appraise(&proof, &[wheel()], &trust, &policy, now()).unwrap().is_enough());
    for at in 0..proof.len() {
        let mut changed = proof.clone();
        changed[at] ^= 1 << (at % 8);
        let appraisal = appraise(&changed, &[wheel()], &trust, &policy, now());
        assert!(!appraisal.is_ok_and(|appraisal| appraisal.is_enough()), "byte {at}");
    }
}

#[test]
fn a_summary_says_reproduced_only_where_two_platforms_of_two_operators_got_it() {
    let levels = |envelopes: Vec<Envelope>, keys: &[(u8, &str, &str)], policy: &Policy, compatible| {
        let appraisal = appraised(envelopes, &trust(keys, ""), policy);
        let of = SummaryOf {
            verifier: "https://auditor.example/",
            resource: "pkg:pypi/idna@3.20",
            policy: b"",
            artifacts: &[wheel()],
            at: now(),
            compatible,
        };
        let bytes = summary(&appraisal, &of).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let predicate = &value["predicate"];
        assert_eq!(value["subject"][0]["digest"]["sha256"], DigestSet::of(WHEEL).sha256.to_string());
        assert_eq!(predicate["policy"]["digest"]["sha256"], DigestSet::of(b"").sha256.to_string());
        assert_eq!(predicate["inputAttestations"].as_array().unwrap().len(), appraisal.used().unwrap().len());
        assert_eq!(predicate["verificationResult"] == "PASSED", appraisal.is_enough());
        predicate["verifiedLevels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    const UNEVALUATED: &str = "SLSA_BUILD_LEVEL_UNEVALUATED";
    let two = || [says(1, Found::Same), says(2, Found::Same)].concat();
    assert_eq!(levels(two(), &THREE, &of(1), false), [UNEVALUATED, REPRODUCED]);
    assert_eq!(levels(two(), &THREE, &of(1), true), [UNEVALUATED]);
    assert_eq!(levels(two(), &[(1, "one", "x"), (2, "one", "y")], &of(1), false), [UNEVALUATED]);
    assert_eq!(levels(two(), &[(1, "one", "x"), (2, "two", "x")], &of(1), false), [UNEVALUATED]);
    assert_eq!(levels(says(1, Found::Same), &THREE, &of(1), false), [UNEVALUATED]);
    assert_eq!(levels(two(), &THREE, &of(3), false), ["FAILED"]);
    let vetoed = [two(), says(3, Found::Other)].concat();
    assert_eq!(levels(vetoed, &THREE, &of(2), false), ["FAILED"]);
}

/// A proof of one rebuilder, whose comparison is in a log of one entry that one witness saw.
fn logged() -> (Proof, String, String) {
    let envelopes = signed(1, &Case::unpublished());
    let comparison = envelopes.last().unwrap().clone();
    logged_as(envelopes, &comparison)
}

/// The same, where `comparison` is what the log has.
fn logged_as(envelopes: Vec<Envelope>, comparison: &Envelope) -> (Proof, String, String) {
    let entry = log::entry(comparison, &key(1).public_key()).unwrap();
    let checkpoint = Checkpoint { origin: "log.example".into(), size: 1, root: log::merkle::leaf_hash(&entry) };
    let mut note = Note::new(&checkpoint.to_string()).unwrap();
    note.sign("log.example", &key(8)).unwrap();
    note.cosign("witness.example", &key(9), 1_700_000_000).unwrap();
    let mut proof = Proof::of(envelopes);
    proof.logged.push(LoggedEnvelope {
        keyid: comparison.keyid(),
        payload: Sha256::of(comparison.payload()),
        entry: String::from_utf8(entry).unwrap(),
        proof: LogProof { index: 0, hashes: vec![], checkpoint: note }.to_string(),
    });
    let note_key = |name: &str, kind, seed| NoteKey::new(name, kind, key(seed).public_key()).unwrap().to_string();
    (proof, note_key("log.example", NoteKind::Own, 8), note_key("witness.example", NoteKind::Cosigned, 9))
}

#[test]
fn a_policy_asks_for_a_log_and_its_witnesses() {
    let (proof, log, witness) = logged();
    let appraised = |proof: &Proof, logs: &str, witnesses: &str, wanted| {
        let pem = key(1).public_key().to_spki_pem().unwrap();
        let trust = format!(
            "logs = [{logs}]\nwitnesses = [{witnesses}]\n[[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'x'\n"
        );
        let policy = Policy { logged: true, witnesses: wanted, ..of(1) };
        let (trust, bytes) = (TrustRoots::from_toml(&trust).unwrap(), proof.to_bytes().unwrap());
        let appraisal = appraise(&bytes, &[wheel()], &trust, &policy, now()).unwrap();
        let seen = rego_input(&appraisal, &[wheel()], now()).unwrap();
        let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
        (reasons(&appraisal).concat(), seen["claims"][0]["logged"].clone())
    };
    let shown = |witnesses: &[&str]| serde_json::json!({ "log": "log.example", "index": 0, "witnesses": witnesses });
    let (log, witness) = (format!("'{log}'"), format!("'{witness}'"));
    assert_eq!(appraised(&proof, &log, &witness, 1), (vec![], shown(&["witness.example"])));
    assert_eq!(appraised(&proof, &log, "", 0), (vec![], shown(&[])));
    for (logs, witnesses, wanted) in [("", "", 0), (log.as_str(), "", 1), (log.as_str(), witness.as_str(), 2)] {
        assert_eq!(appraised(&proof, logs, witnesses, wanted).0, ["not-logged"]);
    }
    let mut without = proof.clone();
    without.logged.clear();
    assert_eq!(appraised(&without, &log, &witness, 0), (vec!["not-logged"], serde_json::Value::Null));
    // The log's word for the same payload with a signature that is not the signer's, beside the one that is.
    let envelopes = signed(1, &Case::unpublished());
    let sig = |envelope: &Envelope| serde_json::to_value(envelope).unwrap()["signatures"][0]["sig"].clone();
    let mut forged = serde_json::to_value(&envelopes[2]).unwrap();
    forged["signatures"][0]["sig"] = sig(&envelopes[0]);
    let forged: Envelope = serde_json::from_value(forged).unwrap();
    let (forgery, ..) = logged_as([envelopes, vec![forged.clone()]].concat(), &forged);
    assert_eq!(appraised(&forgery, &log, &witness, 0).0, ["not-logged"]);
    // The log's word for another envelope of the same proof.
    let mut other = proof.clone();
    let first = &other.envelopes[0];
    (other.logged[0].keyid, other.logged[0].payload) = (first.keyid(), Sha256::of(first.payload()));
    assert_eq!(appraised(&other, &log, &witness, 0).0, ["not-logged"]);
}

/// Which word is shown does not hang on the order in which they are there.
#[test]
fn of_several_words_of_logs_the_same_one_is_shown() {
    let envelopes = signed(1, &Case::unpublished());
    let entry = log::entry(&envelopes[2], &key(1).public_key()).unwrap();
    let (mut proof, first, witness) = logged();
    for (name, seed, is_witnessed) in [("a.example", 6, false), ("b.example", 7, true)] {
        let checkpoint = Checkpoint { origin: name.into(), size: 1, root: log::merkle::leaf_hash(&entry) };
        let mut note = Note::new(&checkpoint.to_string()).unwrap();
        note.sign(name, &key(seed)).unwrap();
        if is_witnessed {
            note.cosign("witness.example", &key(9), 1_700_000_000).unwrap();
        }
        let word = LogProof { index: 0, hashes: vec![], checkpoint: note }.to_string();
        proof.logged.push(LoggedEnvelope { proof: word, ..proof.logged[0].clone() });
    }
    let of = |name, seed| NoteKey::new(name, NoteKind::Own, key(seed).public_key()).unwrap();
    let pem = key(1).public_key().to_spki_pem().unwrap();
    let trust = format!(
        "logs = ['{first}', '{}', '{}']\nwitnesses = ['{witness}']\n[[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'x'\n",
        of("a.example", 6),
        of("b.example", 7)
    );
    let trust = TrustRoots::from_toml(&trust).unwrap();
    for rotation in 0..3 {
        proof.logged.rotate_left(rotation);
        let appraisal = appraise(&proof.to_bytes().unwrap(), &[wheel()], &trust, &Policy::default(), now()).unwrap();
        assert_eq!(appraisal.claims()[0].logged().unwrap().checkpoint.origin, "b.example", "{rotation}");
    }
}

#[test]
fn no_changed_bit_of_a_logs_word_is_enough() {
    let (proof, log, witness) = logged();
    let pem = key(1).public_key().to_spki_pem().unwrap();
    let trust = format!(
        "logs = ['{log}']\nwitnesses = ['{witness}']\n[[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'x'\n"
    );
    let (trust, policy) = (TrustRoots::from_toml(&trust).unwrap(), Policy { logged: true, witnesses: 1, ..of(1) });
    let bytes = proof.to_bytes().unwrap();
    let is_enough = |bytes: &[u8]| appraise(bytes, &[wheel()], &trust, &policy, now()).is_ok_and(|a| a.is_enough());
    assert!(is_enough(&bytes));
    let start = bytes.windows(9).position(|part| part == b"\"logged\":").unwrap();
    for at in start..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(!is_enough(&changed), "bit {bit} of byte {at}");
        }
    }
}
