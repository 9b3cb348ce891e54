// SPDX-License-Identifier: Apache-2.0
//! Documents under a root of our own: what no real one shows.

use std::ops::RangeInclusive;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
};
use coset::cbor::Value;
use coset::{CborSerializable as _, CoseSign1Builder, HeaderBuilder, iana};
use der::asn1::{BitString, GeneralizedTime, ObjectIdentifier, OctetString};
use der::{Any, Decode as _, Encode as _};
use jiff::{SignedDuration, Timestamp};
use reprove_attest::evidence::nitro::{
    Expected, ExpectedEnclave, MAX_BUNDLE, NitroError, NitroRoot, Registers, VerifiedDocument, verify,
};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// One certificate of the chain, and its key.
#[derive(Clone)]
struct Made {
    name: String,
    issuer: Option<String>,
    /// The DER of its basic constraints and key usage.
    constraints: Vec<u8>,
    usage: Vec<u8>,
    more: Vec<Extension>,
    span: RangeInclusive<Timestamp>,
}

/// A chain, a document, and when they are verified.
pub(crate) struct Case {
    chain: Vec<Made>,
    fields: Vec<(Value, Value)>,
    expected: Expected,
    at: Timestamp,
    /// Which key signs the document: that of the chain's certificate with this number.
    signer: usize,
}

const CA: [u8; 5] = [0x30, 0x03, 0x01, 0x01, 0xff];
const NO_CA: [u8; 2] = [0x30, 0];
const CERT_SIGN: [u8; 4] = [3, 2, 2, 4];
const DIGITAL_SIGNATURE: [u8; 4] = [3, 2, 7, 0x80];

/// Constraints of an authority with so many others below it.
fn ca_with(below: u8) -> Vec<u8> {
    vec![0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, below]
}

impl Case {
    pub(crate) fn new() -> Self {
        let span = at("2026-01-01T00:00:00Z")..=at("2026-02-01T00:00:00Z");
        let made = |name: &str, constraints: &[u8], usage: &[u8]| Made {
            name: format!("CN=EMULATED - NOT HARDWARE {name}"),
            issuer: None,
            constraints: constraints.to_vec(),
            usage: usage.to_vec(),
            more: vec![],
            span: span.clone(),
        };
        let chain = vec![
            made("root", &CA, &CERT_SIGN),
            made("region", &ca_with(1), &CERT_SIGN),
            made("instance", &ca_with(0), &CERT_SIGN),
            made("enclave", &NO_CA, &DIGITAL_SIGNATURE),
        ];
        let at = at("2026-01-15T00:00:00Z");
        let fields = vec![
            (text("module_id"), text("i-1-enc2")),
            (text("digest"), text("SHA384")),
            (text("timestamp"), Value::Integer(at.as_millisecond().into())),
            (text("pcrs"), pcrs([1, 2, 3].map(|n| Value::Bytes(vec![n; 48])).to_vec())),
            (text("nonce"), Value::Bytes(vec![4; 512])),
            (text("user_data"), Value::Bytes(vec![5; 512])),
            (text("public_key"), Value::Bytes(vec![6; 1024])),
        ];
        let registers = Registers { pcr0: [1; 48], others: [(2, [3; 48])].into() };
        let enclave = ExpectedEnclave::OneOf(vec![registers]);
        let expected = Expected { nonce: Some(vec![4; 512]), user_data: Some(vec![5; 512]), enclave };
        Self { chain, fields, expected, at, signer: 3 }
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.retain(|(field, _)| field != &text(name));
        self.fields.push((text(name), value));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != &text(name));
        self
    }

    /// The signed document, and the root's certificate.
    pub(crate) fn make(&self) -> (Vec<u8>, Vec<u8>) {
        let keys: Vec<EcdsaKeyPair> = self.chain.iter().map(|_| key(&ECDSA_P384_SHA384_ASN1_SIGNING)).collect();
        let signers: Vec<EcdsaKeyPair> = keys.iter().map(fixed).collect();
        let certificates: Vec<Vec<u8>> = (0..self.chain.len())
            .map(|n| {
                certificate(&self.chain[n], &keys[n], &self.chain[n.saturating_sub(1)], &keys[n.saturating_sub(1)])
            })
            .collect();
        let (enclave, bundle) = certificates.split_last().unwrap();
        let mut fields = self.fields.clone();
        let is_there = |name: &str| self.fields.iter().any(|(field, _)| field == &text(name));
        if !is_there("certificate") {
            fields.push((text("certificate"), Value::Bytes(enclave.clone())));
        }
        if !is_there("cabundle") {
            let bundle = bundle.iter().map(|der| Value::Bytes(der.clone())).collect();
            fields.push((text("cabundle"), Value::Array(bundle)));
        }
        (sign(&encoded(&Value::Map(fields)), &signers[self.signer]), certificates[0].clone())
    }

    fn verify(&self) -> Result<VerifiedDocument, NitroError> {
        let (signed, root) = self.make();
        verify(&signed, &NitroRoot::emulated(&root).unwrap(), &self.expected, self.at)
    }

    #[track_caller]
    fn refused(&self, why: &str) {
        let error = self.verify().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn pcrs(contents: Vec<Value>) -> Value {
    Value::Map((0..).zip(contents).map(|(number, content): (u8, _)| (Value::Integer(number.into()), content)).collect())
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    coset::cbor::ser::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn key(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::generate(algorithm).unwrap()
}

/// The same key, for signatures as COSE has them.
fn fixed(key: &EcdsaKeyPair) -> EcdsaKeyPair {
    let pkcs8 = key.to_pkcs8v1().unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8.as_ref()).unwrap()
}

fn sign(payload: &[u8], key: &EcdsaKeyPair) -> Vec<u8> {
    let protected = HeaderBuilder::new().algorithm(iana::Algorithm::ES384).build();
    let signed = |data: &[u8]| key.sign(&SystemRandom::new(), data).unwrap().as_ref().to_vec();
    let cose = CoseSign1Builder::new().protected(protected).payload(payload.to_vec());
    cose.create_signature(&[], signed).build().to_vec().unwrap()
}

fn certificate(subject: &Made, key: &EcdsaKeyPair, issuer: &Made, issuers_key: &EcdsaKeyPair) -> Vec<u8> {
    let oid = ObjectIdentifier::new_unwrap;
    let algorithm = AlgorithmIdentifier::<Any> { oid: oid("1.2.840.10045.4.3.3"), parameters: None };
    let spki = SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier {
            oid: oid("1.2.840.10045.2.1"),
            parameters: Some(Any::from_der(&oid("1.3.132.0.34").to_der().unwrap()).unwrap()),
        },
        subject_public_key: BitString::from_bytes(key.public_key().as_ref()).unwrap(),
    };
    let time = |at: &Timestamp| {
        let since = Duration::from_secs(at.as_second().try_into().unwrap());
        Time::GeneralTime(GeneralizedTime::from_unix_duration(since).unwrap())
    };
    let mut extensions =
        vec![extension("2.5.29.19", true, &subject.constraints), extension("2.5.29.15", true, &subject.usage)];
    extensions.extend(subject.more.clone());
    let tbs = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&[1]).unwrap(),
        signature: algorithm.clone(),
        issuer: subject.issuer.as_ref().unwrap_or(&issuer.name).parse().unwrap(),
        validity: Validity { not_before: time(subject.span.start()), not_after: time(subject.span.end()) },
        subject: subject.name.parse().unwrap(),
        subject_public_key_info: spki,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    };
    let signature = issuers_key.sign(&SystemRandom::new(), &tbs.to_der().unwrap()).unwrap();
    let signature = BitString::from_bytes(signature.as_ref()).unwrap();
    Certificate { tbs_certificate: tbs, signature_algorithm: algorithm, signature }.to_der().unwrap()
}

fn extension(id: &str, critical: bool, value: &[u8]) -> Extension {
    Extension { extn_id: ObjectIdentifier::new_unwrap(id), critical, extn_value: OctetString::new(value).unwrap() }
}

#[test]
fn a_document_is_verified_under_its_root_alone() {
    let case = Case::new();
    let verified = case.verify().unwrap();
    assert!(verified.is_emulated());
    assert_eq!((verified.module_id(), verified.timestamp()), ("i-1-enc2", case.at));
    assert_eq!((verified.nonce(), verified.user_data()), (Some([4; 512].as_slice()), Some([5; 512].as_slice())));
    assert_eq!(verified.public_key(), Some([6; 1024].as_slice()));
    let (signed, _) = case.make();
    assert!(matches!(verify(&signed, &NitroRoot::aws(), &case.expected, case.at), Err(NitroError::OtherRoot { .. })));
    let (_, another) = case.make();
    let another = NitroRoot::emulated(&another).unwrap();
    assert!(matches!(verify(&signed, &another, &case.expected, case.at), Err(NitroError::OtherRoot { .. })));
}

#[test]
fn an_enclave_in_debug_mode_is_refused() {
    for number in 0..3_u8 {
        let mut contents = [1, 2, 3].map(|n| Value::Bytes(vec![n; 48])).to_vec();
        contents[usize::from(number)] = Value::Bytes(vec![0; 48]);
        assert_eq!(Case::new().with("pcrs", pcrs(contents.clone())).verify(), Err(NitroError::Debug(number)));
        contents.truncate(number.into());
        let verified = Case::new().with("pcrs", pcrs(contents)).verify();
        assert_eq!(verified, Err(NitroError::NoRegister(number)));
    }
}

#[test]
fn each_certificate_has_to_hold_then_and_when_the_document_was_made() {
    for number in 0..4 {
        let mut case = Case::new();
        let made = case.at;
        case.at = at("2026-01-16T00:00:00Z");
        case.chain[number].span = made..=case.at;
        assert_eq!(case.verify().map(|verified| verified.holds_until()), Ok(case.at));
        case.chain[number].span = made + SECOND..=case.at;
        let from = made + SECOND;
        assert_eq!(case.verify(), Err(NitroError::NotYet { certificate: number, from, at: made }));
        let until = case.at - SECOND;
        case.chain[number].span = made..=until;
        assert_eq!(case.verify(), Err(NitroError::Expired { certificate: number, until, at: case.at }));
    }
}

#[test]
fn a_chain_is_one_of_authorities_and_a_signer() {
    let changed = |number: usize, change: &dyn Fn(&mut Made)| {
        let mut case = Case::new();
        change(&mut case.chain[number]);
        case
    };
    for number in 0..3 {
        changed(number, &|made| made.constraints = NO_CA.to_vec()).refused("not that of an authority");
        changed(number, &|made| made.usage = DIGITAL_SIGNATURE.to_vec()).refused("not that of an authority");
    }
    changed(0, &|made| made.constraints = ca_with(1)).refused("more authorities");
    changed(1, &|made| made.constraints = ca_with(0)).refused("more authorities");
    assert!(changed(0, &|made| made.constraints = ca_with(2)).verify().is_ok());
    changed(3, &|made| made.constraints = CA.to_vec()).refused("not one that signs documents");
    changed(3, &|made| made.usage = CERT_SIGN.to_vec()).refused("not one that signs documents");
    for number in 0..4 {
        changed(number, &|made| made.issuer = Some("CN=other".into())).refused("its issuer is not the one above it");
        let twice = extension("2.5.29.15", true, &CERT_SIGN);
        changed(number, &|made| made.more.push(twice.clone())).refused("an extension twice");
        let critical = extension("1.2.840.113741.1", true, &[5, 0]);
        changed(number, &|made| made.more.push(critical.clone())).refused("critical extension that is not known");
        let other = extension("1.2.840.113741.1", false, &[5, 0]);
        assert!(changed(number, &|made| made.more.push(other.clone())).verify().is_ok());
        changed(number, &|made| made.usage = vec![5, 0]).refused("can't be read");
    }
    // The key identifier of another key.
    let mut case = Case::new();
    case.chain[1].more.push(extension("2.5.29.14", false, &[4, 1, 7]));
    case.chain[2].more.push(extension("2.5.29.35", false, &[0x30, 3, 0x80, 1, 8]));
    case.refused("its issuer's key is not the one above it");
    case.chain[2].more[0] = extension("2.5.29.35", false, &[0x30, 3, 0x80, 1, 7]);
    assert!(case.verify().is_ok());
}

#[test]
fn only_the_enclaves_own_key_signs_its_document() {
    for signer in 0..3 {
        assert_eq!(Case { signer, ..Case::new() }.verify(), Err(NitroError::Signature));
    }
    let (_, foreign) = Case::new().make();
    Case::new().with("certificate", Value::Bytes(foreign)).refused("is not taken");
}

#[test]
fn a_chain_has_a_length() {
    let longer = |count: usize| {
        let mut case = Case::new();
        case.chain[1].constraints = CA.to_vec();
        let region = case.chain[1].clone();
        while case.chain.len() < count + 1 {
            case.chain.insert(1, region.clone());
        }
        case.signer = count;
        case.verify().map(|_| ())
    };
    assert_eq!(longer(MAX_BUNDLE), Ok(()));
    assert_eq!(longer(MAX_BUNDLE + 1), Err(NitroError::Bundle(MAX_BUNDLE + 1)));
    assert_eq!(Case::new().with("cabundle", Value::Array(vec![])).verify(), Err(NitroError::Bundle(0)));
    let mut alone = Case::new();
    alone.chain = vec![alone.chain[0].clone(), alone.chain[3].clone()];
    alone.signer = 1;
    assert!(alone.verify().is_ok());
}

#[test]
fn fields_are_those_that_aws_has_defined() {
    for name in ["module_id", "digest", "timestamp", "pcrs"] {
        Case::new().without(name).refused("is missing");
        Case::new().with(name, Value::Null).refused(name);
    }
    Case::new().with("certificate", Value::Null).refused("is missing");
    Case::new().with("cabundle", Value::Null).refused("is no array");
    Case::new().with("more", Value::Null).refused("nobody has defined");
    let mut twice = Case::new();
    twice.fields.push((text("nonce"), Value::Null));
    twice.refused("is there twice");
    let mut number = Case::new();
    number.fields.push((Value::Integer(1.into()), Value::Null));
    number.refused("a name that is no text");
    Case::new().with("digest", text("SHA256")).refused("is not SHA384");
    for timestamp in [Value::Integer(0.into()), Value::Integer((-1).into()), Value::Integer(u64::MAX.into()), text("1")]
    {
        Case::new().with("timestamp", timestamp).refused("timestamp");
    }
    let future = Case::new();
    let made = future.at + SECOND;
    let future = future.with("timestamp", Value::Integer(made.as_millisecond().into()));
    assert_eq!(future.verify(), Err(NitroError::FromTheFuture(made)));
    let absent = Case::new().without("public_key").verify().unwrap();
    assert_eq!(absent.public_key(), None);
}

#[test]
fn the_bounds_of_fields_hold_on_both_sides() {
    let bytes = |length: usize| Value::Bytes(vec![4; length]);
    for (name, least, most) in [("public_key", 1, 1024), ("user_data", 0, 512), ("nonce", 0, 512)] {
        for length in [least, most] {
            let mut case = Case::new().with(name, bytes(length));
            case.expected.nonce = if name == "nonce" { Some(vec![4; length]) } else { case.expected.nonce };
            case.expected.user_data = if name == "user_data" { Some(vec![4; length]) } else { case.expected.user_data };
            assert!(case.verify().is_ok(), "{name}: {length}");
        }
        Case::new().with(name, bytes(most + 1)).refused("length that is allowed");
    }
    Case::new().with("public_key", bytes(0)).refused("length that is allowed");
    Case::new().with("certificate", bytes(1025)).refused("length that is allowed");
    for length in [0, 1025] {
        Case::new().with("cabundle", Value::Array(vec![bytes(length)])).refused("1 to 1,024 bytes");
    }
    for length in [0, 257] {
        Case::new().with("module_id", text(&"i".repeat(length))).refused("1 to 256");
    }
    for length in [1, 256] {
        assert!(Case::new().with("module_id", text(&"i".repeat(length))).verify().is_ok());
    }
    Case::new().with("module_id", text("\u{1b}[2J")).refused("plain characters");
    let filled = |count: usize| pcrs((0..count).map(|_| Value::Bytes(vec![3; 48])).collect());
    let mut full = Case::new().with("pcrs", filled(32));
    full.expected.enclave = ExpectedEnclave::ComparedLater;
    assert_eq!(full.verify().unwrap().pcrs().len(), 32);
    Case::new().with("pcrs", filled(33)).refused("none of 0 to 31");
    for length in [32, 47, 49, 64] {
        Case::new().with("pcrs", pcrs(vec![bytes(length)])).refused("not of 48 bytes");
    }
    let twice = |number: u8| (Value::Integer(number.into()), Value::Bytes(vec![1; 48]));
    Case::new().with("pcrs", Value::Map(vec![twice(1), twice(1)])).refused("a register twice");
}

#[test]
fn what_nobody_has_signed_is_refused() {
    let case = Case::new();
    let (signed, root) = case.make();
    let root = NitroRoot::emulated(&root).unwrap();
    let cose = coset::CoseSign1::from_slice(&signed).unwrap();
    let read = |cose: coset::CoseSign1| verify(&cose.to_vec().unwrap(), &root, &case.expected, case.at);
    assert!(read(cose.clone()).is_ok());
    let mut unsigned = cose.clone();
    unsigned.unprotected.key_id = vec![1];
    assert!(matches!(read(unsigned), Err(NitroError::Form(_))));
    let mut other = cose.clone();
    other.protected = Default::default();
    assert!(matches!(read(other), Err(NitroError::Form(_))));
    let mut empty = cose;
    empty.payload = None;
    assert!(matches!(read(empty), Err(NitroError::Form("it has no content"))));
    // The same array, with a length that is written in more bytes than needed.
    let longer = [&[0x98, 4], &signed[1..]].concat();
    let why = NitroError::Form("its COSE_Sign1 is not in the shortest encoding");
    assert_eq!(verify(&longer, &root, &case.expected, case.at), Err(why));
}

/// What the corpora of the fuzz target begin with. Its keys are new each time.
#[test]
#[ignore = "writes into the source"]
#[expect(clippy::disallowed_methods, reason = "it writes what it is for")]
fn write_a_document_for_the_corpora() {
    let (signed, root) = Case::new().without("nonce").without("user_data").without("public_key").make();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tests/corpus/seeds/nitro");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(format!("{folder}/document.cose"), signed).unwrap();
    std::fs::write(format!("{folder}/root.der"), root).unwrap();
}
