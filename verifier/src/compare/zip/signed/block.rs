// SPDX-License-Identifier: Apache-2.0
//! The block of a signature: "signed data" (RFC 5652, section 5) as DER has it (X.690, section 10), without what is signed.

/// The longest block that is read, in bytes.
const MAX_LEN: usize = 1 << 20;
/// How many values are in each other at most. A time stamp's certificate has half as many.
const MAX_DEPTH: usize = 64;

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const NAME: u8 = 0x06;
const LIST: u8 = 0x30;
const SET: u8 = 0x31;
/// What says what it is by its number.
const ZERO: u8 = 0xa0;
const ONE: u8 = 0xa1;

/// What is of values that have others in them.
const HAS_VALUES: u8 = 0x20;
/// The number of a tag that goes on in the next byte.
const GOES_ON: u8 = 0x1f;

/// `signedData`, and `data`, which is what is signed.
const SIGNED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";

/// A value: its tag, and what is in it.
type Item<'a> = (u8, &'a [u8]);

/// Whether all of these bytes are that. What the certificates and the signers say in their own fields may be anything.
pub(super) fn is_signed_data(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_LEN && is_der(bytes, MAX_DEPTH) && is_signed(bytes) == Some(true)
}

fn is_signed(bytes: &[u8]) -> Option<bool> {
    let [(LIST, whole)] = *items(bytes)? else { return None };
    let [(NAME, SIGNED), (ZERO, content)] = *items(whole)? else { return None };
    let [(LIST, data)] = *items(content)? else { return None };
    let data = items(data)?;
    let [(INTEGER, [1..=5]), (SET, functions), (LIST, kind), rest @ ..] = data.as_slice() else { return None };
    let [(NAME, DATA)] = *items(kind)? else { return None };
    let none: &[u8] = &[];
    let (certificates, revoked, signers) = match *rest {
        [(SET, signers)] => (none, none, signers),
        [(ZERO, certificates), (SET, signers)] => (certificates, none, signers),
        [(ONE, revoked), (SET, signers)] => (none, revoked, signers),
        [(ZERO, certificates), (ONE, revoked), (SET, signers)] => (certificates, revoked, signers),
        _ => return None,
    };
    let are_lists = |bytes, is: fn(&[Item<'_>]) -> bool| {
        items(bytes)?.iter().map(|(tag, inside)| Some(*tag == LIST && is(&items(inside)?))).try_fold(true, all)
    };
    Some(
        !functions.is_empty()
            && !signers.is_empty()
            && are_lists(functions, |function| matches!(function, [(NAME, _)] | [(NAME, _), _]))?
            && are_lists(certificates, is_certificate)?
            && are_lists(revoked, is_certificate)?
            && are_lists(signers, is_signer)?,
    )
}

fn all(all: bool, this: Option<bool>) -> Option<bool> {
    Some(all && this?)
}

/// A certificate, or a list of those that were revoked: what it says, how it is signed, and the signature.
fn is_certificate(items: &[Item<'_>]) -> bool {
    matches!(items, [(LIST, _), (LIST, _), (BITS, _)])
}

/// The signer, by the certificate's issuer and number; functions; the signature; and more of both where it is.
fn is_signer(items: &[Item<'_>]) -> bool {
    let [(INTEGER, [1]), (LIST, _), (LIST, _), rest @ ..] = items else { return false };
    let rest = if let [(ZERO, _), rest @ ..] = rest { rest } else { rest };
    matches!(rest, [(LIST, _), (OCTETS, _)] | [(LIST, _), (OCTETS, _), (ONE, _)])
}

/// The values that these bytes are, one behind the other.
fn items(mut bytes: &[u8]) -> Option<Vec<Item<'_>>> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let (item, rest) = item(bytes)?;
        items.push(item);
        bytes = rest;
    }
    Some(items)
}

/// The first value, whose length is written in the one way that DER has, and what is behind it.
fn item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (tag, first, rest) = match bytes {
        [tag, first, rest @ ..] if tag & GOES_ON != GOES_ON => (*tag, *first, rest),
        _ => return None,
    };
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0xf))?;
            let len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
            (len > 0x7f && digits.first() != Some(&0)).then_some((len, rest))?
        }
        _ => return None,
    };
    let (inside, rest) = rest.split_at_checked(len)?;
    Some(((tag, inside), rest))
}

/// Whether these are values to the last byte, and what is in them too.
fn is_der(mut bytes: &[u8], depth: usize) -> bool {
    while !bytes.is_empty() {
        let Some(((tag, inside), rest)) = item(bytes) else { return false };
        if tag & HAS_VALUES != 0 && !depth.checked_sub(1).is_some_and(|depth| is_der(inside, depth)) {
            return false;
        }
        bytes = rest;
    }
    true
}

#[cfg(test)]
pub(super) mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    /// As jarsigner 17 writes it, with a key of the curve P-256 and its certificate.
    const WRITTEN: &str = "MIICjQYJKoZIhvcNAQcCoIICfjCCAnoCAQExDzANBglghkgBZQMEAgEFADALBgkqhkiG9w0BBwGgggE0MIIBMDCB16ADAgECAggoATrvBJQW\
        UzAKBggqhkjOPQQDAjAMMQowCAYDVQQDEwFrMCAXDTI2MTEyNzA5MTkxOFoYDzIwNTQwNDE0MDkxOTE4WjAMMQowCAYDVQQDEwFrMFkwEwYH\
        KoZIzj0CAQYIKoZIzj0DAQcDQgAEJE1T+cAuOnmvZQKhkMyOmSKTIWD1eqvUGB0PPiXsM8LFrKw/aY4/TTBHScsf0ZyJCo+QYtXQtCNbWMWN\
        1G7im6MhMB8wHQYDVR0OBBYEFK16BWJ8ZoJTclf0AVu/7JuyItCvMAoGCCqGSM49BAMCA0gAMEUCIQD+vk6DSQwTxTR6sgYZypjnGfWllanK\
        ngE7JR+QIWibZAIgJexJkQIBpsGpmTi9p8eOp8l4t7ERprGoAaM+20zGM58xggEdMIIBGQIBATAYMAwxCjAIBgNVBAMTAWsCCCgBOu8ElBZT\
        MA0GCWCGSAFlAwQCAQUAoIGVMBgGCSqGSIb3DQEJAzELBgkqhkiG9w0BBwEwHAYJKoZIhvcNAQkFMQ8XDTI2MTEyNzA5MTkyMFowKgYJKoZI\
        hvcNAQk0MR0wGzANBglghkgBZQMEAgEFAKEKBggqhkjOPQQDAjAvBgkqhkiG9w0BCQQxIgQgjlbjhhiCBqpVaCKS3Han0VoNrI9fRANpjNmi\
        9MEGbTswCgYIKoZIzj0EAwIERzBFAiBPsMcRGVYvWGXxbGVGA6EvIuTDY3JTxjHOgf88Nhb/agIhALc+QZVlmqw9DxSo75gIX6jUBtn/00Iq\
        0VknUdiil95d";

    /// A value of this tag that has these in it.
    pub(in super::super) fn of(tag: u8, inside: &[&[u8]]) -> Vec<u8> {
        let inside = inside.concat();
        let len = inside.len().to_be_bytes();
        let digits = &len[len.iter().position(|digit| *digit != 0).unwrap_or(7)..];
        let first = [0x80 | u8::try_from(digits.len()).unwrap()];
        let first: &[u8] = if inside.len() < 0x80 { &[] } else { &first };
        [&[tag], first, digits, &inside].concat()
    }

    /// The parts of a block that is one: the version, functions, what is signed, signers.
    fn parts(signature: &[u8]) -> [Vec<u8>; 4] {
        let function = of(LIST, &[&of(NAME, &[b"\x60"])]);
        let version = of(INTEGER, &[b"\x01"]);
        let signer = of(LIST, &[&version, &of(LIST, &[]), &function, &function, &of(OCTETS, &[signature])]);
        let signers = of(SET, &[&signer]);
        [version, of(SET, &[&function]), of(LIST, &[&of(NAME, &[DATA])]), signers]
    }

    fn with(parts: &[&[u8]]) -> Vec<u8> {
        of(LIST, &[&of(NAME, &[SIGNED]), &of(ZERO, &[&of(LIST, parts)])])
    }

    /// A block with one signer, whose signature is this.
    pub(in super::super) fn block(signature: &[u8]) -> Vec<u8> {
        with(&parts(signature).each_ref().map(Vec::as_slice))
    }

    #[test]
    fn signed_data_is_all_of_a_block() {
        let [version, functions, kind, signers] = &parts(b"s");
        let certificate = of(LIST, &[&of(LIST, &[]), &of(LIST, &[]), &of(BITS, &[b"\0"])]);
        let (certificates, revoked) = (of(ZERO, &[&certificate, &certificate]), of(ONE, &[&certificate]));
        let more = |more: &[&[u8]]| with(&[&[&version[..], functions, kind], more, &[signers]].concat());
        for yes in [block(b"s"), more(&[&certificates]), more(&[&revoked]), more(&[&certificates, &revoked])] {
            assert!(is_signed_data(&yes), "{yes:?}");
        }
        let text = of(OCTETS, &[b"#!/bin/sh"]);
        for no in [
            of(LIST, &[&of(NAME, &[SIGNED]), &text]),
            of(LIST, &[&of(NAME, &[SIGNED]), &of(ZERO, &[])]),
            of(LIST, &[&of(NAME, &[DATA]), &of(ZERO, &[&of(LIST, &[version, functions, kind, signers])])]),
            of(SET, &[&block(b"s")[2..]]),
            more(&[&text]),
            more(&[&of(ZERO, &[&text])]),
            more(&[&of(ZERO, &[b"any"])]),
            more(&[&of(ONE, &[&of(LIST, &[&text])])]),
            more(&[&revoked, &certificates]),
            more(&[&certificates, &certificates]),
            with(&[version, functions, kind, signers, &text]),
            with(&[version, functions, &of(LIST, &[&of(NAME, &[DATA]), &of(ZERO, &[&text])]), signers]),
            with(&[version, functions, &of(LIST, &[&of(NAME, &[SIGNED])]), signers]),
            with(&[version, functions, kind, &of(SET, &[])]),
            with(&[version, functions, kind, &of(SET, &[&text])]),
            with(&[version, functions, kind, &of(SET, &[&of(LIST, &[version, &text])])]),
            with(&[version, &of(SET, &[]), kind, signers]),
            with(&[version, &of(SET, &[&text]), kind, signers]),
            with(&[&of(INTEGER, &[b"\x06"]), functions, kind, signers]),
            with(&[&of(INTEGER, &[b"\0\x01"]), functions, kind, signers]),
            Vec::new(),
            b"\x30".to_vec(),
            b"\x30\x84\0".to_vec(),
            [&block(b"s"), &b"x"[..]].concat(),
            [&block(b"s"), &block(b"s")[..]].concat(),
            block(b"s")[..block(b"s").len() - 1].to_vec(),
        ] {
            assert!(!is_signed_data(&no), "{no:?}");
        }
    }

    #[test]
    fn a_block_of_jarsigner_is_one_to_its_last_byte() {
        let bytes = BASE64_STANDARD.decode(WRITTEN).unwrap();
        assert!(is_signed_data(&bytes));
        assert!((0..bytes.len()).all(|len| !is_signed_data(&bytes[..len])));
        assert!(!is_signed_data(&[&bytes[..], b"\0"].concat()));
    }

    #[test]
    fn lengths_are_written_in_one_way() {
        for (bytes, is_one) in [
            (&b"\x04\x01x"[..], true),
            (b"\x04\x81\x01x", false),
            (b"\x04\x80x\0\0", false),
            (b"\x04\x85\0\0\0\0\x01x", false),
            (b"\x1f\x01\x01x", false),
            (b"\x30\x03\x04\x01x", true),
            (b"\x30\x03\x04\x02x", false),
        ] {
            assert_eq!(is_der(bytes, MAX_DEPTH), is_one, "{bytes:?}");
        }
        for (head, len, is_one) in [
            (&b"\x04\x7f"[..], 0x7f, true),
            (b"\x04\x81\x7f", 0x7f, false),
            (b"\x04\x81\x80", 0x80, true),
            (b"\x04\x82\0\xff", 0xff, false),
            (b"\x04\x82\x01\0", 0x100, true),
            (b"\x04\x83\0\x01\0", 0x100, false),
        ] {
            assert_eq!(is_der(&[head, &vec![0; len]].concat(), MAX_DEPTH), is_one, "{head:?}");
        }
    }

    #[test]
    fn blocks_are_read_to_a_bound() {
        let long = |len: usize| block(&vec![0; len - (block(&vec![0; 1 << 17]).len() - (1 << 17))]);
        assert_eq!((long(MAX_LEN).len(), long(MAX_LEN + 1).len()), (MAX_LEN, MAX_LEN + 1));
        assert!(is_signed_data(&long(MAX_LEN)) && !is_signed_data(&long(MAX_LEN + 1)));
        let deep = |depth| (0..depth).fold(Vec::new(), |inside: Vec<u8>, _| of(LIST, &[&inside]));
        assert!(is_der(&deep(MAX_DEPTH), MAX_DEPTH) && !is_der(&deep(MAX_DEPTH + 1), MAX_DEPTH));
    }
}
