// SPDX-License-Identifier: Apache-2.0
//! Keys, statements and proofs.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use reprove_attest::log::{AddCheckpoint, Checkpoint, LogPolicy, LogProof, NoteKey, NoteKind, RecordedSubject};
use reprove_attest::{
    Audited, BuildInputs, DocumentError, Envelope, Policy, Predicate, Proof, PublicKey, RebuildVerdict, RegoPolicy,
    SigningKey, Statement, TimestampAuthority, TimestampRequest, TimestampedEnvelope, TrustRoots, VerifiedProof,
    appraise, audit as audit_proof, cyclonedx, spdx,
};
use reprove_model::{DigestSet, Outcome, canonical};

use super::{assert_plain, nearly};

/// The key of the corpora's proofs.
fn key() -> SigningKey {
    SigningKey::ed25519([1; 32])
}

/// A public key is the same when it is written and read again, and has no other 32 bytes and no other keyid.
pub(super) fn public_key(bytes: &[u8]) {
    let Ok(pem) = str::from_utf8(bytes) else { return };
    if let Ok(key) = PublicKey::from_spki_pem(pem) {
        assert_eq!(PublicKey::from_spki_pem(&key.to_spki_pem().unwrap()), Ok(key));
        assert_eq!(PublicKey::from_spki_der(&key.to_spki_der().unwrap()), Ok(key));
        assert_eq!(key.id().to_string().parse(), Ok(key.id()));
        assert!(key.verify(b"", &[0; 64]).is_err());
    }
}

/// A private key is the same when it is written and read again, and signs what its public half verifies.
pub(super) fn private_key(bytes: &[u8]) {
    let Ok(pem) = str::from_utf8(bytes) else { return };
    if let Ok(key) = SigningKey::from_pkcs8_pem(pem) {
        let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem().unwrap()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(key.public_key().verify(bytes, &again.sign(bytes)), Ok(()));
    }
}

/// What is a trust file names each of its keys once, and finds it.
pub(super) fn trust(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match TrustRoots::from_toml(text) {
        Ok(roots) => {
            assert!(!roots.keys().is_empty());
            assert!(roots.keys().iter().all(|key| roots.find(key.key.id()) == Some(key)));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What is a policy asks for something that can be had.
pub(super) fn policy(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Policy::from_toml(text) {
        Ok(policy) => {
            let within = 1..=Policy::MAX_REBUILDERS;
            assert!(within.contains(&policy.rebuilders) && within.contains(&policy.isolations));
            assert!(!policy.distinct.is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The longest policy that is looked at here: the deepest brackets in a longer one can take the parser minutes.
const REGO: usize = 2048;

/// What is no policy in Rego is refused in one line that does nothing to a terminal. None is evaluated: only a process of its
/// own bounds that, and reading what is longer.
pub(super) fn rego(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes.get(..REGO).unwrap_or(bytes)) else { return };
    if let Err(error) = RegoPolicy::parse(text) {
        assert_plain(&error.to_string());
    }
}

/// A log's proof is the same when it is written and read again, and so are the note and the checkpoint in it. Nobody who has
/// signed nothing of it is found to have.
pub(super) fn log_proof(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let log = NoteKey::new("log.example", NoteKind::Own, SigningKey::ed25519([9; 32]).public_key()).unwrap();
    let policy = LogPolicy { log, witnesses: Vec::new(), quorum: 0 };
    match text.parse::<LogProof>() {
        Ok(proof) => {
            assert_eq!(proof.to_string().parse(), Ok(proof.clone()));
            let note = &proof.checkpoint;
            assert_eq!(note.to_string().parse(), Ok(note.clone()));
            if let Ok(checkpoint) = note.text().parse::<Checkpoint>() {
                assert!(note.text().starts_with(checkpoint.to_string().trim_end()));
            }
            assert!(proof.verify(b"", &policy).is_err());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A bundle makes a proof of its one envelope, which writes a bundle that makes the same; why it makes none does nothing to a
/// terminal. So the proof can be written and read.
pub(super) fn bundle(bytes: &[u8]) {
    match Proof::from_sigstore_bundle(bytes) {
        Ok(proof) => {
            let [envelope] = proof.envelopes.as_slice() else { panic!("{} envelopes", proof.envelopes.len()) };
            let again = proof.to_sigstore_bundle(envelope).unwrap();
            assert_eq!(Proof::from_sigstore_bundle(&again).unwrap(), proof);
            assert_eq!(Proof::from_bytes(&proof.to_bytes().unwrap()).unwrap(), proof);
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// What no authority has signed says nothing: whatever is read, the time is that of the one answer of the one that is known.
pub(super) fn timestamp(bytes: &[u8]) {
    let authority = TimestampAuthority::new("openssl", include_str!("authority.pem"), None, None).unwrap();
    let envelope = Envelope::sign(&key(), *b"{}").unwrap();
    let seen = TimestampedEnvelope::new(&envelope, bytes);
    match seen.verify(&envelope, &authority) {
        Ok(time) => assert_eq!(seen.time(), Ok(time)),
        Err(error) => assert_plain(&error.to_string()),
    }
    let other = Envelope::sign(&key(), *b"[]").unwrap();
    assert!(TimestampedEnvelope::new(&other, bytes).verify(&other, &authority).is_err());
    let request = TimestampRequest::new(other.signature(), [7; 16]).unwrap();
    assert!(request.answered_by(bytes).is_err());
}

/// What is a list of certificates makes an authority, or says why not.
pub(super) fn authority(bytes: &[u8]) {
    let Ok(pem) = str::from_utf8(bytes) else { return };
    match TimestampAuthority::new("x", pem, None, None) {
        Ok(authority) => assert_eq!(TimestampAuthority::new("x", pem, None, None), Ok(authority)),
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// What is asked of a witness is the same when it is written and read again, and nobody's checkpoint is cosigned.
pub(super) fn add_checkpoint(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let log = NoteKey::new("log.example", NoteKind::Own, SigningKey::ed25519([9; 32]).public_key()).unwrap();
    match text.parse::<AddCheckpoint>() {
        Ok(request) => {
            assert_eq!(request.to_string().parse(), Ok(request.clone()));
            assert!(request.check(&[log], None).is_err());
        }
        Err(error) => assert_eq!(error.status(), 400),
    }
}

/// A log's word on a subject, its note first and then a leaf hash a line: what is believed is what the log has signed.
pub(super) fn recorded(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (note, entries) = text.split_once("\n--\n").unwrap_or((text, ""));
    let word = RecordedSubject { note: format!("{note}\n"), entries: entries.lines().map(str::to_owned).collect() };
    let log = |seed| NoteKey::new("log.example", NoteKind::Own, SigningKey::ed25519([seed; 32]).public_key()).unwrap();
    assert!(word.verify(&[log(9)]).is_err());
    match word.verify(&[log(1)]) {
        Ok(recorded) => {
            assert_eq!((recorded.origin(), recorded.entries().len()), ("log.example", word.entries.len()));
            let mut more = word.clone();
            more.entries.push("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into());
            assert!(more.verify(&[log(1)]).is_err());
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// A statement has one form: what is read is written as the same bytes.
pub(super) fn statement(bytes: &[u8]) {
    match Statement::from_payload(bytes) {
        Ok(statement) => {
            assert_eq!(statement.to_payload().unwrap(), bytes);
            for other in [[b" ", bytes].concat(), [bytes, b"\n"].concat()] {
                assert!(Statement::from_payload(&other).is_err());
            }
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// A proof has one form; why it fails does nothing to a terminal; and one that passes the audit with the key that signed it fails with any other, and with any
/// byte changed.
pub(super) fn proof(bytes: &[u8]) {
    match Proof::from_bytes(bytes) {
        Ok(proof) => assert_eq!(proof.to_bytes().unwrap(), bytes),
        Err(_) => assert!(audit_proof(bytes, &[], &[key().public_key()]).is_err()),
    }
    audited(bytes);
}

/// One statement a line, signed as one proof: as they are, and with the comparison's links set right, so that what is
/// behind the signatures and the links is reached. What passes is consistent: the verdict says what the digests say.
pub(super) fn audit(bytes: &[u8]) {
    let mut payloads: Vec<Vec<u8>> = bytes.split(|&b| b == b'\n').take(8).map(<[u8]>::to_vec).collect();
    audited(&signed(&payloads));
    let Some((last, provenances)) = payloads.split_last_mut() else { return };
    let Ok(mut statement) = Statement::from_payload(last) else { return };
    if let Predicate::Comparison(comparison) = &mut statement.predicate {
        let comparison = Arc::make_mut(comparison);
        for (rebuild, payload) in comparison.rebuilds.iter_mut().zip(provenances) {
            rebuild.provenance = DigestSet::of(payload);
        }
        comparison.findings = DigestSet::of(&canonical::to_vec(&comparison.details.findings).unwrap());
    }
    *last = statement.to_payload().unwrap();
    audited(&signed(&payloads));
}

fn signed(payloads: &[Vec<u8>]) -> Vec<u8> {
    let envelopes = payloads.iter().map(|payload| Envelope::sign(&key(), payload.clone()).unwrap()).collect();
    Proof::of(envelopes).to_bytes().unwrap()
}

/// What passes a strict audit is appraised to the same, and neither order nor how often each is there changes that.
fn appraised(proof: &[u8], strictly: Option<RebuildVerdict>) {
    let pem = key().public_key().to_spki_pem().unwrap();
    let trust = format!("[[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'farm'\n");
    let trust = TrustRoots::from_toml(&trust).unwrap();
    let appraise = |proof: &[u8]| appraise(proof, &[], &trust, &Policy::default(), Timestamp::MAX);
    let Ok(appraisal) = appraise(proof) else {
        return assert!(Proof::from_bytes(proof).is_err() && strictly.is_none());
    };
    // A strict audit refuses more: another order, what does not count beside what does.
    if let Some(word) = strictly {
        assert_eq!(appraisal.is_enough(), word == RebuildVerdict::BitIdentical);
    }
    let mut other = Proof::from_bytes(proof).unwrap();
    other.envelopes.extend(other.envelopes.clone());
    other.envelopes.reverse();
    let again = appraise(&other.to_bytes().unwrap()).unwrap();
    assert_eq!((again.shortfalls(), again.independent()), (appraisal.shortfalls(), appraisal.independent()));
}

fn audited(proof: &[u8]) {
    match audit_proof(proof, &[], &[key().public_key()]) {
        Ok(audited) => {
            appraised(proof, Some(audited.word()));
            match audited {
                Audited::Compared(verified) => consistent(&verified),
                Audited::Unbuildable(verified) => assert_ne!(verified.failure().failure(), None),
            }
        }
        Err(error) => {
            appraised(proof, None);
            return assert_plain(&error.to_string());
        }
    }
    assert!(audit_proof(proof, &[], &[SigningKey::ed25519([2; 32]).public_key()]).is_err());
    // What others say of it is looked at by an appraisal alone.
    let read = Proof::from_bytes(proof).unwrap();
    if !(read.logged.is_empty() && read.recorded.is_empty() && read.timestamped.is_empty()) {
        return;
    }
    let changed = nearly(proof).unwrap();
    assert!(audit_proof(&changed, &[], &[key().public_key()]).is_err());
    assert!(audit_proof(&[proof, b"\n"].concat(), &[], &[key().public_key()]).is_err());
}

fn consistent(verified: &VerifiedProof) {
    let verdict = verified.verdict();
    let rebuilds = verified.rebuilds();
    let first = rebuilds.first().unwrap();
    let agree = rebuilds.iter().all(|rebuild| rebuild.outputs == first.outputs);
    assert!(rebuilds.len() >= 2 && rebuilds.len() == verified.provenances().len());
    assert_eq!(verdict.rebuilds_agree, agree);
    assert_eq!(verified.word() == RebuildVerdict::BitIdentical, verdict.outcome == Outcome::Reproducible);
    assert_eq!(verified.published().is_some(), verdict.matches_published.is_some());
    billed(verified);
    if verdict.outcome == Outcome::Reproducible {
        assert!(agree && verdict.findings.is_empty());
        if let Some(published) = verified.published() {
            assert!(rebuilds.iter().all(|rebuild| rebuild.artifact == Some(published.digest)));
        }
    } else {
        assert!(!verdict.findings.is_empty());
    }
}

/// What was reproduced has bills of what went in, the same each time, in which each thing has an id of its own; nothing else
/// has any.
fn billed(verified: &VerifiedProof) {
    let inputs = match BuildInputs::of(verified) {
        Ok(inputs) => inputs,
        Err(error) => {
            assert_ne!(verified.word(), RebuildVerdict::BitIdentical);
            return assert_plain(&error.to_string());
        }
    };
    assert_eq!(verified.word(), RebuildVerdict::BitIdentical);
    for (write, list, id) in [(cyclonedx as Bill, "components", "bom-ref"), (spdx, "packages", "SPDXID")] {
        let bill = write(&inputs).unwrap();
        assert_eq!(write(&inputs).unwrap(), bill);
        let value: serde_json::Value = canonical::from_slice(&bill).unwrap();
        let items = value.get(list).and_then(|list| list.as_array()).unwrap();
        let ids: BTreeSet<_> = items.iter().map(|item| item.get(id).and_then(|id| id.as_str()).unwrap()).collect();
        assert_eq!(ids.len(), items.len());
        let dependencies = &verified.provenances().next().unwrap().build_definition.resolved_dependencies;
        assert!(ids.len() >= dependencies.len());
    }
}

type Bill = fn(&BuildInputs<'_>) -> Result<Vec<u8>, DocumentError>;
