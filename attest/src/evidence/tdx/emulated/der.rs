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

/// `UTCTime` from 1950 until 2049, else `GeneralizedTime` (RFC 5280, section 4.1.2.5).
fn time(at: Timestamp) -> Vec<u8> {
    let full = at.strftime("%Y%m%d%H%M%SZ").to_string();
    match full.split_at_checked(2) {
        Some((century, rest)) if (century == "19" && rest >= "50") || (century == "20" && rest < "50") => {
            tlv(0x17, rest.as_bytes())
        }
        _ => tlv(0x18, full.as_bytes()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_from_1950_until_2049() {
        let written = |at: &str| time(at.parse().unwrap());
        assert_eq!(written("1950-01-01T00:00:00Z"), [&[0x17, 13], b"500101000000Z".as_slice()].concat());
        assert_eq!(written("2049-12-31T23:59:59Z"), [&[0x17, 13], b"491231235959Z".as_slice()].concat());
        assert_eq!(written("2050-01-01T00:00:00Z"), [&[0x18, 15], b"20500101000000Z".as_slice()].concat());
        assert_eq!(written("1949-12-31T23:59:59Z"), [&[0x18, 15], b"19491231235959Z".as_slice()].concat());
    }

    #[test]
    fn numbers_and_lengths_are_as_short_as_they_can_be() {
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(octets(&[7; 127])[..2], [4, 127]);
        assert_eq!(octets(&[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(octets(&[7; 256])[..4], [4, 0x82, 1, 0]);
        assert_eq!(octets(&[]), [4, 0]);
    }
}
