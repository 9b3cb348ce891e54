// SPDX-License-Identifier: Apache-2.0
//! Certificates and revocation lists of an emulation, written byte by byte (ITU-T X.690, RFC 5280).

use std::ops::RangeInclusive;

use der::asn1::ObjectIdentifier;
use jiff::Timestamp;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");

/// What a certificate is of.
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) key: &'a SigningKey,
    pub(super) serial: u8,
    /// How many authorities may be below it; `None` where it is no authority.
    pub(super) authorities_below: Option<u8>,
    /// Further extensions, each with its identifier and the DER of its value.
    pub(super) extension: Option<(ObjectIdentifier, Vec<u8>)>,
}

/// Who signs.
pub(super) struct Issuer<'a> {
    pub(super) name: &'a str,
    pub(super) key: &'a SigningKey,
}

/// A certificate (RFC 5280, section 4.1), DER.
pub(super) fn certificate(subject: &Subject<'_>, issuer: &Issuer<'_>, span: &RangeInclusive<Timestamp>) -> Vec<u8> {
    let constraints = match subject.authorities_below {
        Some(below) => sequence(&[boolean(true), integer(&[below])]),
        None => sequence(&[]),
    };
    // keyCertSign and cRLSign, or digitalSignature and nonRepudiation.
    let usage = if subject.authorities_below.is_some() { [1, 0x06] } else { [6, 0xc0] };
    let mut extensions =
        vec![extension(BASIC_CONSTRAINTS, true, &constraints), extension(KEY_USAGE, true, &tlv(0x03, &usage))];
    extensions.extend(subject.extension.as_ref().map(|(id, value)| extension(*id, false, value)));
    let point = subject.key.verifying_key().to_sec1_point(false);
    let tbs = sequence(&[
        tlv(0xa0, &integer(&[2])),
        integer(&[subject.serial]),
        sequence(&[oid(ECDSA_SHA256)]),
        name(issuer.name),
        sequence(&[time(*span.start()), time(*span.end())]),
        name(subject.name),
        sequence(&[sequence(&[oid(EC_PUBLIC_KEY), oid(P256)]), bits(point.as_bytes())]),
        tlv(0xa3, &sequence(&extensions)),
    ]);
    signed(&tbs, issuer.key)
}

/// A list of revoked certificates by their serial numbers (RFC 5280, section 5.1), DER.
pub(super) fn revocation_list(revoked: &[u8], issuer: &Issuer<'_>, span: &RangeInclusive<Timestamp>) -> Vec<u8> {
    let since = time(*span.start());
    let entries: Vec<Vec<u8>> = revoked.iter().map(|serial| sequence(&[integer(&[*serial]), since.clone()])).collect();
    let mut tbs =
        vec![integer(&[1]), sequence(&[oid(ECDSA_SHA256)]), name(issuer.name), since.clone(), time(*span.end())];
    if !entries.is_empty() {
        tbs.push(sequence(&entries));
    }
    tbs.push(tlv(0xa0, &sequence(&[extension(CRL_NUMBER, false, &integer(&[1]))])));
    signed(&sequence(&tbs), issuer.key)
}

fn signed(tbs: &[u8], key: &SigningKey) -> Vec<u8> {
    let signature: Signature = key.sign(tbs);
    sequence(&[tbs.to_vec(), sequence(&[oid(ECDSA_SHA256)]), bits(signature.to_der().as_bytes())])
}

fn extension(id: ObjectIdentifier, is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if is_critical { boolean(true) } else { Vec::new() };
    sequence(&[oid(id), critical, octets(value)])
}

fn name(common_name: &str) -> Vec<u8> {
    sequence(&[tlv(SET, &sequence(&[oid(COMMON_NAME), tlv(0x0c, common_name.as_bytes())]))])
}

/// `UTCTime` before 2050, `GeneralizedTime` from then on (RFC 5280, section 4.1.2.5).
fn time(at: Timestamp) -> Vec<u8> {
    let full = at.strftime("%Y%m%d%H%M%SZ").to_string();
    match full.strip_prefix("20").filter(|rest| *rest < "50") {
        Some(short) => tlv(0x17, short.as_bytes()),
        None => tlv(0x18, full.as_bytes()),
    }
}

pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

pub(super) fn oid(id: ObjectIdentifier) -> Vec<u8> {
    tlv(0x06, id.as_bytes())
}

pub(super) fn boolean(value: bool) -> Vec<u8> {
    tlv(0x01, &[if value { 0xff } else { 0 }])
}

pub(super) fn enumerated(value: u8) -> Vec<u8> {
    tlv(0x0a, &[value])
}

pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(0x04, bytes)
}

/// A number that is not negative, from its big-endian bytes.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let leading = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len().saturating_sub(1));
    let short = bytes.get(leading..).unwrap_or_default();
    let sign: &[u8] = if short.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    tlv(0x02, &[sign, short].concat())
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], bytes].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let leading = length.iter().take_while(|byte| **byte == 0).count();
    let short = length.get(leading..).unwrap_or_default();
    let mut bytes = vec![tag];
    match short {
        [] => bytes.push(0),
        [one] if *one < 0x80 => bytes.push(*one),
        more => {
            bytes.push(0x80 | more.len().to_be_bytes().last().copied().unwrap_or_default());
            bytes.extend(more);
        }
    }
    bytes.extend(content);
    bytes
}
