// SPDX-License-Identifier: Apache-2.0
//! Keys, statements and proofs.

use reprove_attest::log::{self, Checkpoint, LogProof, Note, RecordedSubject, merkle};
use reprove_attest::{
    Algorithm, EncryptionSeed, Envelope, LoggedEnvelope, Proof, Rebuilder, Rebuilt, SigningKey, TimestampedEnvelope,
    comparison, provenance, unbuildable,
};
use reprove_model::{Between, BuildRecord, Exit, FindingKind, Lock, Outcome, Sha256, Verdict};

use super::documents::{WHEEL, finding, lock, record, reproducible};
use super::{Corpus, text};

pub(crate) fn all() -> Vec<Corpus> {
    vec![public_keys(), private_keys(), statements(), proofs(), audits(), bundles()]
}

/// The key of the audit's property.
fn key() -> SigningKey {
    SigningKey::ed25519([1; 32])
}

/// RFC 8410's two documents around bytes that are no good key.
fn spki(point: [u8; 32]) -> String {
    let der = [[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00].as_slice(), &point].concat();
    pem("PUBLIC KEY", &der)
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn public_keys() -> Corpus {
    let good = key().public_key().to_spki_pem().unwrap();
    let p256 = SigningKey::new(Algorithm::EcdsaP256, [1; 32]).unwrap();
    let mut compressed = p256.public_key().to_spki_der().unwrap();
    compressed.truncate(26 + 33);
    for (at, byte) in [(1, 0x39), (24, 0x22), (26, 0x02)] {
        compressed[at] = byte;
    }
    let mut identity = [0; 32];
    identity[0] = 1;
    let files = vec![
        text("good", &*good),
        text("crlf", good.replace('\n', "\r\n")),
        text("p256", p256.public_key().to_spki_pem().unwrap()),
        text("refused-p256-compressed", pem("PUBLIC KEY", &compressed)),
        text("no-last-newline", good.trim_end()),
        text("refused-weak", spki(identity)),
        text("refused-no-point", spki([0xff; 32])),
        text("refused-even-more", spki([2; 32])),
        text("refused-label", good.replace("PUBLIC", "PRIVATE")),
        text("refused-before", format!("x\n{good}")),
        text("refused-two", format!("{good}{good}")),
        text("refused-algorithm", good.replace("K2Vw", "K2Vx")),
        text("refused-long", good + &"\n".repeat(4_096)),
        text("refused-empty", ""),
    ];
    ("public_key", files)
}

/// The 32 bytes of a public key of Ed25519.
fn raw(key: &SigningKey) -> Vec<u8> {
    key.public_key().to_spki_der().unwrap().split_off(12)
}

fn private_keys() -> Corpus {
    let good = key().to_pkcs8_pem().unwrap().to_string();
    let p256 = SigningKey::new(Algorithm::EcdsaP256, [1; 32]).unwrap();
    let seed = EncryptionSeed { salt: [1; 16], iv: [2; 16] };
    let encrypted = p256.to_encrypted_pem(b"passphrase", &seed).unwrap();
    let head = [0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let with_public =
        |public: &[u8]| pem("PRIVATE KEY", &[head.as_slice(), &[1; 32], &[0x81, 0x21, 0x00], public].concat());
    let files = vec![
        text("version-1", &*good),
        text("p256", &**p256.to_pkcs8_pem().unwrap()),
        text("refused-under-a-passphrase", &**encrypted),
        text("version-2", with_public(&raw(&key()))),
        text("refused-other-public", with_public(&raw(&SigningKey::ed25519([2; 32])))),
        text("refused-label", good.replace("PRIVATE", "PUBLIC")),
        text("refused-encrypted", good.replace("PRIVATE", "ENCRYPTED PRIVATE")),
        text("refused-cut", &good[..good.len() / 2]),
    ];
    ("private_key", files)
}

const COMPARED_ON: &str = "2026-11-01T13:00:00Z";

fn rebuilder() -> Rebuilder {
    Rebuilder::new(Some("one".into()), Some("farm".into())).unwrap()
}

/// A failure's one statement.
fn failure() -> Vec<u8> {
    let lock = lock(true);
    let failed = Exit::Status { step: 0, status: 2, out_of_memory: false };
    let records = [record(&lock, 0, WHEEL), BuildRecord { exit: failed, ..record(&lock, 1, WHEEL) }];
    let records: Vec<_> = records.iter().collect();
    unbuildable(&lock, &records, &rebuilder(), COMPARED_ON.parse().unwrap()).unwrap().to_payload().unwrap()
}

fn payloads(lock: &Lock, records: &[BuildRecord], verdict: &Verdict) -> Vec<Vec<u8>> {
    let epoch = verdict.source_date_epoch.seconds;
    let payloads: Vec<_> =
        records.iter().map(|record| provenance(lock, record, epoch).unwrap().to_payload().unwrap()).collect();
    let rebuilds: Vec<_> = records
        .iter()
        .zip(&payloads)
        .map(|(record, provenance)| Rebuilt { record, provenance, evidence: None })
        .collect();
    let compared = comparison(lock, &rebuilds, verdict, &rebuilder(), COMPARED_ON.parse().unwrap()).unwrap();
    payloads.iter().cloned().chain([compared.to_payload().unwrap()]).collect()
}

/// The statements of one proof of every kind.
fn cases() -> [(&'static str, Vec<Vec<u8>>); 5] {
    let (with, without) = (lock(true), lock(false));
    let of = |lock: &Lock, outputs: [&[u8]; 2]| [record(lock, 0, outputs[0]), record(lock, 1, outputs[1])];
    let different = |between, agree, published: Option<bool>| Verdict {
        outcome: Outcome::Different,
        rebuilds_agree: agree,
        matches_published: published,
        findings: vec![finding(between, FindingKind::Content, vec![])],
        ..reproducible(false)
    };
    let another = [b"another".as_slice(); 2];
    [
        ("published", payloads(&with, &of(&with, [WHEEL; 2]), &reproducible(true))),
        ("unpublished", payloads(&without, &of(&without, [WHEEL; 2]), &reproducible(false))),
        (
            "different",
            payloads(&with, &of(&with, another), &different(Between::PublishedAndRebuilt, true, Some(false))),
        ),
        ("disagreeing", payloads(&without, &of(&without, [b"a", b"b"]), &different(Between::Rebuilds, false, None))),
        ("unbuildable", vec![failure()]),
    ]
}

fn statements() -> Corpus {
    let [(_, published), _, (_, different), _, (_, unbuildable)] = cases();
    let provenance = String::from_utf8(published[0].clone()).unwrap();
    let files = vec![
        ("provenance", published[0].clone()),
        ("comparison", published[2].clone()),
        ("different", different[2].clone()),
        ("unbuildable", unbuildable[0].clone()),
        text("refused-version", provenance.replace("Statement/v1", "Statement/v2")),
        text("refused-predicate-type", provenance.replace("provenance/v1", "provenance/v9")),
        text("refused-predicate", provenance.replace("buildDefinition", "buildDefinitiom")),
        text("refused-newline", format!("{provenance}\n")),
        text("refused-space", format!(" {provenance}")),
        text("refused-digest", provenance.replace("\"sha256\":\"", "\"sha256\":\"0")),
        text(
            "refused-word",
            String::from_utf8(unbuildable[0].clone()).unwrap().replace("\"unbuildable\"", "\"failed\""),
        ),
        text("refused-null", provenance.replacen("\"annotations\":{", "\"annotations\":null,\"x\":{", 1)),
    ];
    ("statement", files)
}

fn signed(key: &SigningKey, payloads: &[Vec<u8>]) -> Vec<u8> {
    let envelopes = payloads.iter().map(|payload| Envelope::sign(key, payload.clone()).unwrap()).collect();
    Proof::of(envelopes).to_bytes().unwrap()
}

fn proofs() -> Corpus {
    let cases = cases();
    let published = &cases[0].1;
    let mut files: Vec<_> = cases.iter().map(|(name, payloads)| (*name, signed(&key(), payloads))).collect();
    let good = String::from_utf8(files[0].1.clone()).unwrap();
    let other = SigningKey::ed25519([2; 32]);
    let mut logged = Proof::from_bytes(&files[0].1).unwrap();
    let word =
        |payload| LoggedEnvelope { keyid: key().public_key().id(), payload, entry: "{}".into(), proof: "x".into() };
    logged.logged = vec![word(Sha256::of(logged.envelopes[0].payload()))];
    files.push(("logged", logged.to_bytes().unwrap()));
    let mut recorded = logged.clone();
    let checkpoint = Checkpoint { origin: "log.example".into(), size: 3, root: [0; 32] };
    recorded.recorded = vec![RecordedSubject::sign(&checkpoint, Sha256::of(WHEEL), &[[1; 32]], 1, &key()).unwrap()];
    files.push(("recorded", recorded.to_bytes().unwrap()));
    logged.logged = vec![word(Sha256::of(b"nothing"))];
    files.push(("refused-logged-nothing", logged.to_bytes().unwrap()));
    files.extend([
        ("refused-other-key", signed(&other, published)),
        ("refused-empty", signed(&key(), &[])),
        ("refused-no-comparison", signed(&key(), &published[..2])),
        ("refused-order", signed(&key(), &[published[2].clone(), published[0].clone(), published[1].clone()])),
        ("refused-one-rebuild", signed(&key(), &[published[0].clone(), published[2].clone()])),
        ("refused-no-statement", signed(&key(), &[b"hello".to_vec()])),
        text("refused-no-newline", good.trim_end()),
        text("refused-format", good.replace("proof/v0.1", "proof/v9")),
        text("refused-controls", "{\"\\u001b[1A\\u001b[2Kverified\":1}\n"),
        text("refused-payload-type", good.replace("in-toto+json", "json")),
        text("refused-base64", good.replacen("=\"", "\"", 1)),
        text("refused-no-signature", r#"{"envelopes":[{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}],"format":"https://reprove.dev/proof/v0.1"}"#.to_owned() + "\n"),
    ]);
    ("proof", files)
}

fn audits() -> Corpus {
    let cases = cases();
    let mut files: Vec<_> = cases.iter().map(|(name, payloads)| (*name, payloads.join(&b'\n'))).collect();
    let good = String::from_utf8(files[0].1.clone()).unwrap();
    let disagreeing = String::from_utf8(files[3].1.clone()).unwrap();
    files.extend([
        text("refused-outcome", disagreeing.replace("\"different\"", "\"reproducible\"")),
        text("refused-agree", disagreeing.replace("\"rebuilds-agree\":false", "\"rebuilds-agree\":true")),
        text("refused-epoch", good.replace("315532800", "315532801")),
        text("refused-word", good.replace("\"bit-identical\"", "\"different\"")),
        text(
            "refused-none-failed",
            String::from_utf8(failure())
                .unwrap()
                .replace("\"how\":\"status\",\"outOfMemory\":false,\"status\":2,\"step\":0", "\"how\":\"success\""),
        ),
        text("refused-time", good.replace("13:00:00Z", "11:00:00Z")),
        text("refused-same-host", good.replace("host-1", "host-0")),
        text("refused-file-name", good.replacen("py3", "py2", 1)),
        text("refused-empty", ""),
    ]);
    ("audit", files)
}

fn bundles() -> Corpus {
    let envelope = Envelope::sign(&key(), *b"{}").unwrap();
    let (keyid, payload) = (envelope.keyid(), Sha256::of(b"{}"));
    let entry = log::entry(&envelope, &key().public_key()).unwrap();
    let other = merkle::leaf_hash(b"other");
    let root = merkle::node_hash(&other, &merkle::leaf_hash(&entry));
    let mut checkpoint = Note::new(&Checkpoint { origin: "log.example".into(), size: 2, root }.to_string()).unwrap();
    checkpoint.sign("log.example", &SigningKey::ed25519([8; 32])).unwrap();
    let word = LogProof { index: 1, hashes: vec![other], checkpoint }.to_string();
    let mut proof = Proof::of(vec![envelope.clone()]);
    let bundle = |proof: &Proof| String::from_utf8(proof.to_sigstore_bundle(&envelope).unwrap()).unwrap();
    let signed = bundle(&proof);
    proof.logged = vec![LoggedEnvelope { keyid, payload, entry: String::from_utf8(entry).unwrap(), proof: word }];
    proof.timestamped = vec![TimestampedEnvelope::new(&envelope, b"answer")];
    let good = bundle(&proof);
    let named = |name: &str| signed.replacen("\"dsseEnvelope\"", &format!("\"{name}\""), 1);
    let files = vec![
        text("good", &*good),
        text("spaced", good.replace(',', ",\n ")),
        text("older-type", good.replacen(".v0.3+json", "+json;version=0.3", 1)),
        text("no-entries", signed.replacen(",\"tlogEntries\":[]", "", 1)),
        text("refused-version", good.replacen("v0.3", "v0.4", 1)),
        text("refused-message", named("messageSignature")),
        text("refused-certificate", signed.replacen("publicKey", "certificate", 1)),
        text("refused-hint", signed.replacen("\"hint\":\"", "\"hint\":\"A", 1)),
        text("refused-kind", good.replacen("\"kind\":\"dsse\"", "\"kind\":\"intoto\"", 1)),
        text("refused-size", good.replacen("\"treeSize\":\"2\"", "\"treeSize\":\"3\"", 1)),
        text("refused-index", good.replacen("\"logIndex\":\"1\"", "\"logIndex\":\"-1\"", 1)),
        text("refused-timestamp", good.replacen("\"signedTimestamp\":\"", "\"signedTimestamp\":\"=", 1)),
        text("refused-controls", named("\\u001b[1A")),
        text("refused-cut", &good[..good.len() - 1]),
        text("refused-twice", good.replacen('{', "{\"mediaType\":\"\",", 1)),
    ];
    ("bundle", files)
}
