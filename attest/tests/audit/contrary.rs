// SPDX-License-Identifier: Apache-2.0
//! What was left out of a proof is missed where a trusted log says what it has.

use jiff::{SignedDuration, Timestamp};
use reprove_attest::log::{self, Checkpoint, LogProof, Note, NoteKey, NoteKind, RecordedSubject, merkle};
use reprove_attest::{
    Appraisal, Artifact, Contrary, Envelope, LoggedEnvelope, Policy, Proof, PublicKey, SigningKey, TrustRoots,
    WhyPossible, appraise, rego_input,
};
use reprove_model::Sha256;

use super::appraisal::{Found, THREE, appraised, says, signed, trust as trust_in, wheel};
use super::support::{Case, WHEEL, WHEEL_NAME, artifact, lock, record, reproducible, tree};

const RECORDED: i64 = 1_793_620_800;

fn key(seed: u8) -> SigningKey {
    SigningKey::ed25519([seed; 32])
}

fn public(seed: u8) -> PublicKey {
    key(seed).public_key()
}

/// Trusts the keys 1 and 2, and the log of the key 8 or another.
fn trust(log: &str, log_key: u8) -> TrustRoots {
    let entry = |seed: u8| {
        let pem = public(seed).to_spki_pem().unwrap();
        format!("[[key]]\npublic = '''\n{pem}'''\noperator = '{seed}'\nplatform = '{seed}'\n")
    };
    let log = NoteKey::new(log, NoteKind::Own, public(log_key)).unwrap();
    TrustRoots::from_toml(&format!("logs = ['{log}']\n{}{}", entry(1), entry(2))).unwrap()
}

/// The word of the log of the key 8 on what it has for the wheel: these envelopes, by these keys.
fn word(all: &[(&Envelope, u8)]) -> RecordedSubject {
    let leaves: Vec<_> =
        all.iter().map(|(envelope, seed)| merkle::leaf_hash(&log::entry(envelope, &public(*seed)).unwrap())).collect();
    let checkpoint = Checkpoint { origin: "log.example".into(), size: 7, root: [3; 32] };
    let time = u64::try_from(RECORDED).unwrap();
    RecordedSubject::sign(&checkpoint, Sha256::of(WHEEL), &leaves, time, &key(8)).unwrap()
}

fn judged(proof: &Proof, trust: &TrustRoots, policy: &Policy, now: Timestamp) -> Appraisal {
    appraise(&proof.to_bytes().unwrap(), &[artifact("the wheel", WHEEL)], trust, policy, now).unwrap()
}

fn shortfalls(appraisal: &Appraisal) -> Vec<&'static str> {
    appraisal.shortfalls().iter().map(|shortfall| shortfall.code()).collect()
}

fn now() -> Timestamp {
    Timestamp::from_second(RECORDED).unwrap()
}

/// One rebuilder that got the same bits and one that did not, and the log's word on both comparisons.
fn both() -> (Proof, RecordedSubject) {
    let (one, two) = (says(1, Found::Same), says(2, Found::Other));
    let recorded = word(&[(one.last().unwrap(), 1), (two.last().unwrap(), 2)]);
    (Proof { recorded: vec![recorded.clone()], ..Proof::of([one, two].concat()) }, recorded)
}

#[test]
fn what_a_log_has_and_the_proof_has_not_is_missed() {
    let policy = Policy { recorded: true, ..Policy::default() };
    let trusted = trust("log.example", 8);
    let (all, recorded) = both();
    let found = judged(&all, &trusted, &policy, now());
    assert_eq!(shortfalls(&found), ["veto"]);
    assert_eq!(*found.contrary(), Contrary::Excluded { log: "log.example".into(), at: now() });
    let seen: serde_json::Value = serde_json::from_str(&rego_input(&found, &[wheel()], now()).unwrap()).unwrap();
    let expected = serde_json::json!({ "log": "log.example", "at": now().to_string() });
    assert_eq!(seen["contraryExcluded"], expected);

    // Without the contrary one, whoever only counts is content; whoever asks the log is not.
    let mut cut = all.clone();
    cut.envelopes.truncate(3);
    let lax = judged(&cut, &trusted, &Policy::default(), now());
    assert!(lax.is_enough() && matches!(lax.contrary(), Contrary::Possible(WhyPossible::LeftOut { count: 1, .. })));
    assert_eq!(shortfalls(&judged(&cut, &trusted, &policy, now())), ["contrary-possible"]);
    // Nor is a word that leaves it out believed, nor one of another log, nor one about something else.
    let mut entries = recorded.entries.clone();
    entries.truncate(1);
    cut.recorded = vec![RecordedSubject { entries, ..recorded }];
    let why = |proof: &Proof, trust: &TrustRoots| match judged(proof, trust, &policy, now()).contrary() {
        Contrary::Possible(why) => why.clone(),
        excluded => panic!("{excluded:?}"),
    };
    let is_no_word = |why| matches!(why, WhyPossible::NoWord { artifact, .. } if artifact == "the wheel");
    assert!(is_no_word(why(&cut, &trusted)));
    cut.recorded.clear();
    assert!(is_no_word(why(&cut, &trusted)));
    assert!(is_no_word(why(&all, &trust("log.example", 9))));
    assert!(is_no_word(why(&all, &trust("other.example", 8))));
    // With nothing recorded, all of it is here.
    let nothing = Proof { recorded: vec![word(&[])], ..Proof::of(says(1, Found::Same)) };
    assert!(judged(&nothing, &trusted, &policy, now()).is_enough());
    let bytes = all.to_bytes().unwrap();
    let no_file = appraise(&bytes, &[], &trusted, &policy, now()).unwrap();
    assert_eq!(*no_file.contrary(), Contrary::Possible(WhyPossible::NoArtifact));
}

#[test]
fn a_logs_word_counts_within_the_time_that_the_policy_gives() {
    let (all, _) = both();
    let policy = Policy { recorded: true, recorded_within_days: Some(2), veto: false, ..Policy::default() };
    let at = |seconds| {
        let now = now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
        judged(&all, &trust("log.example", 8), &policy, now).is_enough()
    };
    assert!(at(0) && at(2 * 86_400) && !at(2 * 86_400 + 1));
    assert!(at(-600) && !at(-601));
}

#[test]
fn what_keys_that_are_not_trusted_have_signed_need_only_be_known_as_such() {
    let (ours, theirs) = (says(1, Found::Same), says(3, Found::Other));
    let contrary = theirs.last().unwrap().clone();
    let recorded = word(&[(ours.last().unwrap(), 1), (&contrary, 3)]);
    let mut proof = Proof { recorded: vec![recorded], ..Proof::of([ours, vec![contrary.clone()]].concat()) };
    let policy = Policy { recorded: true, ..Policy::default() };
    let judge = |proof: &Proof| shortfalls(&judged(proof, &trust("log.example", 8), &policy, now()));
    assert_eq!(judge(&proof), ["contrary-possible"], "nothing shows whose it is");
    let mut note = Note::new("log.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    note.sign("log.example", &key(8)).unwrap();
    let logged = |entry: Vec<u8>| LoggedEnvelope {
        keyid: contrary.keyid(),
        payload: Sha256::of(contrary.payload()),
        entry: String::from_utf8(entry).unwrap(),
        proof: LogProof { index: 0, hashes: vec![], checkpoint: note.clone() }.to_string(),
    };
    proof.logged = vec![logged(log::entry(&contrary, &public(3)).unwrap())];
    assert_eq!(judge(&proof), [""; 0]);
    // Who says so of a statement by a trusted key has not shown the statement.
    let (all, recorded) = both();
    let mut hidden = Proof { recorded: vec![recorded], ..Proof::of(all.envelopes[..3].to_vec()) };
    let entry = log::entry(&all.envelopes[5], &public(2)).unwrap();
    let first = &hidden.envelopes[0];
    let (keyid, payload) = (first.keyid(), Sha256::of(first.payload()));
    hidden.logged = vec![LoggedEnvelope { keyid, payload, ..logged(entry) }];
    assert_eq!(judge(&hidden), ["contrary-possible"]);
}

#[test]
fn a_statement_counts_as_here_only_as_it_was_signed() {
    let (all, _) = both();
    let policy = Policy { recorded: true, veto: false, ..Policy::default() };
    let enough = |proof: &Proof| judged(proof, &trust("log.example", 8), &policy, now()).is_enough();
    assert!(enough(&all));
    let mut forged = serde_json::to_value(&all.envelopes[5]).unwrap();
    forged["signatures"][0]["sig"] = serde_json::to_value(&all.envelopes[4]).unwrap()["signatures"][0]["sig"].clone();
    let mut changed = all.clone();
    changed.envelopes[5] = serde_json::from_value(forged).unwrap();
    assert!(!enough(&changed));
}

#[test]
fn a_contrary_statement_is_here_with_all_that_it_names() {
    let (all, _) = both();
    let policy = Policy { recorded: true, ..Policy::default() };
    let judge = |proof: &Proof| shortfalls(&judged(proof, &trust("log.example", 8), &policy, now()));
    assert_eq!(judge(&all), ["veto"]);
    // Without one of its provenances it says nothing, so that its veto would be gone.
    for provenance in [3, 4] {
        let mut cut = all.clone();
        cut.envelopes.remove(provenance);
        assert_eq!(judge(&cut), ["contrary-possible"], "{provenance}");
    }
}

#[test]
fn what_a_lost_key_had_against_a_file_is_not_forgotten() {
    let (all, _) = both();
    let policy = Policy { recorded: true, ..Policy::default() };
    let pem = |seed| public(seed).to_spki_pem().unwrap();
    let entry = |seed: u8, more: &str| {
        format!("[[key]]\npublic = '''\n{}'''\noperator = '{seed}'\nplatform = '{seed}'\n{more}\n", pem(seed))
    };
    let log = NoteKey::new("log.example", NoteKind::Own, public(8)).unwrap();
    for fault in ["revoked = '2026-11-01T14:00:00Z'", "valid-until = '2026-11-01T14:00:00Z'"] {
        let trust = format!("logs = ['{log}']\n{}{}", entry(1, ""), entry(2, fault));
        let found = judged(&all, &TrustRoots::from_toml(&trust).unwrap(), &policy, now());
        assert_eq!(shortfalls(&found), ["contrary-possible"]);
        let Contrary::Possible(WhyPossible::Doubtful { operator, .. }) = found.contrary() else { panic!() };
        assert_eq!(operator, "2");
    }
}

#[test]
fn what_is_against_one_of_several_files_is_against_all() {
    let ours = Proof::from_bytes(&Case::unpublished().sign()).unwrap().envelopes;
    let proof = Proof::of([ours, says(2, Found::Other)].concat()).to_bytes().unwrap();
    let files = [artifact("the wheel", WHEEL), artifact("README", b"read me")];
    let judge = |files: &[Artifact]| {
        let appraisal = appraise(&proof, files, &trust("log.example", 8), &Policy::default(), now()).unwrap();
        shortfalls(&appraisal)
    };
    assert_eq!(judge(&files), ["veto"]);
    // Where the policy has no veto, it is enough, and whose word is against it is known nevertheless.
    let lax = Policy { veto: false, ..Policy::default() };
    let appraisal = appraise(&proof, &files, &trust("log.example", 8), &lax, now()).unwrap();
    assert!(appraisal.is_enough());
    assert_eq!(appraisal.against(), [("2".to_owned(), public(2).id())]);
    assert_eq!(judge(&files[1..]), [""; 0], "the other said nothing of this one");
}

#[test]
fn a_logs_word_is_of_a_checkpoint_that_witnesses_saw_where_they_are_asked_for() {
    let ours = says(1, Found::Same);
    let comparison = ours.last().unwrap().clone();
    let entry = log::entry(&comparison, &public(1)).unwrap();
    let proof = |size: u64, cosigned: bool| {
        let checkpoint = Checkpoint { origin: "log.example".into(), size: 1, root: merkle::leaf_hash(&entry) };
        let mut note = Note::new(&checkpoint.to_string()).unwrap();
        note.sign("log.example", &key(8)).unwrap();
        if cosigned {
            note.cosign("witness.example", &key(9), 1_700_000_000).unwrap();
        }
        let of = Checkpoint { size, ..checkpoint };
        let time = u64::try_from(RECORDED).unwrap();
        let leaves = [merkle::leaf_hash(&entry)];
        let word = RecordedSubject::sign(&of, Sha256::of(WHEEL), &leaves, time, &key(8)).unwrap();
        let logged = LoggedEnvelope {
            keyid: comparison.keyid(),
            payload: Sha256::of(comparison.payload()),
            entry: String::from_utf8(entry.clone()).unwrap(),
            proof: LogProof { index: 0, hashes: vec![], checkpoint: note }.to_string(),
        };
        Proof { logged: vec![logged], recorded: vec![word], ..Proof::of(ours.clone()) }
    };
    let pem = public(1).to_spki_pem().unwrap();
    let note_key = |name: &str, kind, seed| NoteKey::new(name, kind, public(seed)).unwrap();
    let (log, witness) =
        (note_key("log.example", NoteKind::Own, 8), note_key("witness.example", NoteKind::Cosigned, 9));
    let entry = format!("[[key]]\npublic = '''\n{pem}'''\noperator = '1'\nplatform = '1'\n");
    let trust = TrustRoots::from_toml(&format!("logs = ['{log}']\nwitnesses = ['{witness}']\n{entry}")).unwrap();
    let judge = |proof: &Proof, witnesses| {
        let policy = Policy { logged: true, recorded: true, witnesses, ..Policy::default() };
        shortfalls(&judged(proof, &trust, &policy, now()))
    };
    assert_eq!(judge(&proof(1, true), 1), [""; 0]);
    assert_eq!(judge(&proof(1, false), 0), [""; 0]);
    assert!(judge(&proof(1, false), 1).contains(&"contrary-possible"));
    // Of a tree that nobody saw.
    assert_eq!(judge(&proof(2, true), 1), ["contrary-possible"]);
}

#[test]
fn merging_keeps_the_good_signature_beside_a_bad_one() {
    let good = says(1, Found::Same);
    let mut forged = serde_json::to_value(good.last().unwrap()).unwrap();
    forged["signatures"][0]["sig"] = serde_json::to_value(&good[0]).unwrap()["signatures"][0]["sig"].clone();
    let bad = Proof::of(vec![serde_json::from_value(forged).unwrap()]);
    let good = Proof::of(good);
    for both in [[bad.clone(), good.clone()], [good, bad]] {
        let merged = Proof::merge(both);
        assert_eq!(merged.envelopes.len(), 4);
        assert!(judged(&merged, &trust("log.example", 8), &Policy::default(), now()).is_enough());
    }
}

/// Where nothing was published, each rebuilder's statement is about its own outputs.
#[test]
fn other_bits_of_the_same_lock_are_a_veto() {
    let built = |published: bool, seed: u64, wheel: &[u8]| {
        let lock = lock(published);
        let records = [0, 1].map(|number| {
            let mut record = record(&lock, number, tree(&[(WHEEL_NAME, wheel)]));
            record.duration_ms = seed;
            record
        });
        Case::of(&lock, &records, &reproducible(published))
    };
    let ours = signed(1, &built(false, 1, WHEEL));
    let judge = |others: Vec<Envelope>, policy: &Policy| {
        appraised([ours.clone(), others].concat(), &trust_in(&THREE, ""), policy)
    };
    let codes = |appraisal: &Appraisal| -> Vec<_> {
        appraisal.uncounted().iter().map(|each| (each.envelope(), each.reason().code())).collect()
    };
    let other = signed(2, &built(false, 2, b"other"));
    let vetoed = judge(other.clone(), &Policy::default());
    assert_eq!((shortfalls(&vetoed), codes(&vetoed)), (vec!["veto"], vec![(6, "other-bits")]));
    assert_eq!(vetoed.against(), [("two".to_owned(), other[2].keyid())]);
    // Whatever the policy makes of it, it stands against the artifact.
    let lax = judge(other, &Policy { veto: false, ..Policy::default() });
    assert!(lax.is_enough() && lax.against().len() == 1);
    // The same bits of the same lock, and other bits of another lock, are none.
    assert!(judge(signed(2, &built(false, 2, WHEEL)), &Policy::default()).is_enough());
    let mut otherwise = lock(false);
    otherwise.environment.description.push('x');
    let records = [0, 1].map(|number| record(&otherwise, number, tree(&[(WHEEL_NAME, b"other")])));
    let otherwise = signed(2, &Case::of(&otherwise, &records, &reproducible(false)));
    let elsewhere = judge(otherwise, &Policy::default());
    assert!(elsewhere.is_enough());
    assert_eq!(codes(&elsewhere), [(6, "other-subject")]);
    // Nobody whom the auditor trusts.
    assert!(judge(signed(9, &built(false, 2, b"other")), &Policy::default()).is_enough());
}
