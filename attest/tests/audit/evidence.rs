// SPDX-License-Identifier: Apache-2.0
//! No bit can be changed of a proof with all that others say of it: a log's word, a log's list, an authority's timestamp.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reprove_attest::log::{self, Checkpoint, LogProof, Note, NoteKey, NoteKind, RecordedSubject, merkle};
use reprove_attest::{
    Artifact, LoggedEnvelope, Policy, Proof, TimestampRequest, TimestampedEnvelope, TrustRoots, appraise,
};
use reprove_model::Sha256;

use super::appraisal::{key, signed, wheel};
use super::authority::Authority;
use super::support::{Case, judge};

/// A proof, and what it is appraised with.
struct Evidence {
    bytes: Vec<u8>,
    artifact: Artifact,
    trust: TrustRoots,
    now: Timestamp,
    /// Where others speak in it: the log, its list, the authority.
    others: [Range<usize>; 3],
    /// The authority's answer, in base64.
    answer: Range<usize>,
}

impl Evidence {
    /// A log has the comparison, and nothing else of the wheel; a witness saw the log, and `authority` the comparison's
    /// signature.
    fn new(authority: &Authority) -> Self {
        let mut proof = Proof::of(signed(1, &Case::unpublished()));
        let (comparison, artifact) = (proof.envelopes.last().unwrap().clone(), wheel());

        let request = TimestampRequest::new(comparison.signature(), [7; 16]).unwrap();
        let seen = TimestampedEnvelope::new(&comparison, &authority.reply(&request.to_der().unwrap()));
        let (now, response) = (seen.time().unwrap(), seen.response.clone());
        proof.timestamped = vec![seen];

        let entry = log::entry(&comparison, &key(1).public_key()).unwrap();
        let leaf = merkle::leaf_hash(&entry);
        let checkpoint = Checkpoint { origin: "log.example".into(), size: 2, root: merkle::node_hash(&leaf, &[5; 32]) };
        let mut note = Note::new(&checkpoint.to_string()).unwrap();
        note.sign("log.example", &key(8)).unwrap();
        note.cosign("witness.example", &key(9), 1_700_000_000).unwrap();
        proof.logged = vec![LoggedEnvelope {
            keyid: comparison.keyid(),
            payload: Sha256::of(comparison.payload()),
            entry: String::from_utf8(entry).unwrap(),
            proof: LogProof { index: 0, hashes: vec![[5; 32]], checkpoint: note }.to_string(),
        }];
        let time = u64::try_from(now.as_second()).unwrap();
        let word = RecordedSubject::sign(&checkpoint, artifact.digest.sha256, &[leaf], time, &key(8));
        proof.recorded = vec![word.unwrap()];

        let note_key = |name, kind, seed| NoteKey::new(name, kind, key(seed).public_key()).unwrap();
        let log = note_key("log.example", NoteKind::Own, 8);
        let witness = note_key("witness.example", NoteKind::Cosigned, 9);
        let (pem, certificates) = (key(1).public_key().to_spki_pem().unwrap(), authority.certificates());
        let trust = TrustRoots::from_toml(&format!(
            "logs = ['{log}']\nwitnesses = ['{witness}']\n\
             [[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'x'\n\
             [[timestamp-authority]]\nname = 'openssl'\ncertificates = '''\n{certificates}'''\n"
        ));
        let bytes = proof.to_bytes().unwrap();
        let text = str::from_utf8(&bytes).unwrap();
        let at = |part: &str| text.find(part).unwrap();
        let others = [("logged", "payloads"), ("recorded", "timestamped")]
            .map(|(field, next)| at(&format!("\"{field}\":["))..at(&format!(",\"{next}\":[")));
        let [logged, recorded] = others;
        let others = [logged, recorded, at("\"timestamped\":[")..bytes.len() - 2];
        let answer = at(&response)..at(&response) + response.len();
        Self { artifact, trust: trust.unwrap(), now, others, answer, bytes }
    }

    /// Whether it is enough where all of it is asked for.
    fn is_enough(&self, proof: &[u8]) -> bool {
        let policy = Policy {
            logged: true,
            witnesses: 1,
            recorded: true,
            recorded_within_days: Some(1),
            timestamped: true,
            ..Policy::default()
        };
        let artifact = std::slice::from_ref(&self.artifact);
        appraise(proof, artifact, &self.trust, &policy, self.now).is_ok_and(|appraisal| appraisal.is_enough())
    }

    /// Flips one bit, and looks at what each kind of audit says of that. What is accepted has to be something that nobody
    /// has signed and nothing is taken from.
    fn flip(&self, at: usize, bit: usize) {
        let mut changed = self.bytes.clone();
        changed[at] ^= 1 << bit;
        // An audit by keys alone does not look at what others say, but for its form.
        let may_pass = self.others.iter().any(|range| range.contains(&at));
        assert!(may_pass || judge(&changed).is_err(), "by key: bit {bit} of byte {at}");
        if self.is_enough(&changed) {
            assert!(self.answer.contains(&at), "bit {bit} of byte {at}");
            let read = |bytes: &[u8]| STANDARD.decode(&bytes[self.answer.clone()]).unwrap();
            let (good, other) = (read(&self.bytes), read(&changed));
            let unsigned = unsigned(&good);
            let differ = good.iter().zip(&other).enumerate().filter(|(_, (a, b))| a != b);
            for (place, _) in differ {
                let is_unsigned = unsigned.iter().any(|range| range.contains(&place));
                assert!(is_unsigned, "bit {bit} of byte {at}: byte {place} of the authority's answer");
            }
            let proof = Proof::from_bytes(&changed).unwrap();
            assert_eq!(proof.timestamped[0].time(), Ok(self.now), "bit {bit} of byte {at}");
        }
    }
}

/// What is in an authority's answer (RFC 3161, section 2.4.2; RFC 5652, section 5) beside what it has signed: the status,
/// where granted may become granted with modifications; versions; the names of algorithms, since the key says which; the
/// tag around the signed content; and copies of certificates, since the auditor has the authority's own.
fn unsigned(answer: &[u8]) -> Vec<Range<usize>> {
    let inside = |part: &Range<usize>| parts(answer, content(answer, part));
    let [status, token] = inside(&(0..answer.len())).try_into().unwrap();
    let [_, explicit] = inside(&token).try_into().unwrap();
    let [signed_data] = inside(&explicit).try_into().unwrap();
    let [version, algorithms, encapsulated, certificates, signers] = inside(&signed_data).try_into().unwrap();
    let [_, explicit] = inside(&encapsulated).try_into().unwrap();
    let [octets] = inside(&explicit).try_into().unwrap();
    let [signer] = inside(&signers).try_into().unwrap();
    let [signers_version, _, digest, _, signature_algorithm, _] = inside(&signer).try_into().unwrap();
    let tag = octets.start..octets.start + 1;
    vec![status, version, algorithms, tag, certificates, signers_version, digest, signature_algorithm]
}

/// What a DER value holds, without its tag and its length.
fn content(der: &[u8], value: &Range<usize>) -> Range<usize> {
    let length = der[value.start + 1];
    let more = if length < 0x80 { 0 } else { usize::from(length & 0x7f) };
    value.start + 2 + more..value.end
}

/// The DER values in a row.
fn parts(der: &[u8], all: Range<usize>) -> Vec<Range<usize>> {
    let (mut parts, mut at) = (Vec::new(), all.start);
    while at < all.end {
        let inside = content(der, &(at..all.end)).start;
        let length = match der[at + 1] {
            short @ ..0x80 => usize::from(short),
            _ => der[at + 2..inside].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        };
        parts.push(at..inside + length);
        at = inside + length;
    }
    parts
}

/// Flips these bits, counted from the first of the first byte, on all processors.
fn flip_all(evidence: &Evidence, bits: impl Iterator<Item = usize> + Clone + Send) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let bits = bits.clone();
            scope.spawn(move || bits.skip(first).step_by(threads).for_each(|bit| evidence.flip(bit / 8, bit % 8)));
        }
    });
}

fn evidence() -> Evidence {
    let evidence = Evidence::new(&Authority::start(10));
    assert!(evidence.is_enough(&evidence.bytes) && judge(&evidence.bytes).is_ok());
    evidence
}

/// Some bits of all of it, the same each time.
#[test]
fn some_bits_of_all_that_others_say_cannot_be_changed() {
    let evidence = evidence();
    flip_all(&evidence, (0..evidence.bytes.len() * 8).step_by(211));
}

/// Every bit of every byte, by each kind of audit.
#[test]
#[ignore = "takes minutes; scripts/bits runs it"]
fn no_bit_of_all_that_others_say_can_be_changed() {
    let evidence = evidence();
    flip_all(&evidence, 0..evidence.bytes.len() * 8);
}

/// What each of them says is asked for, so that none can be left out.
#[test]
fn nothing_that_others_say_can_be_left_out() {
    let evidence = evidence();
    let proof = Proof::from_bytes(&evidence.bytes).unwrap();
    for without in [
        Proof { logged: vec![], ..proof.clone() },
        Proof { recorded: vec![], ..proof.clone() },
        Proof { timestamped: vec![], ..proof },
    ] {
        assert!(!evidence.is_enough(&without.to_bytes().unwrap()));
    }
}
