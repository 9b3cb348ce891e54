// SPDX-License-Identifier: Apache-2.0
//! The attestation document of a real enclave, from the package `nitro_attest`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use reprove_attest::evidence::nitro::{
    Expected, ExpectedEnclave, MAX_DOCUMENT, NitroError, NitroRoot, Registers, VerifiedDocument, verify,
};

use crate::{bits, packages};

fn signed() -> Vec<u8> {
    packages::file("nitro_attest", "0.2.0", "tests/fixtures/attestation.cose")
}

/// When the document was made, which is the first moment at which it is taken.
fn made() -> Timestamp {
    "2025-01-06T16:07:05.472Z".parse().unwrap()
}

/// The last moment at which the enclave's certificate holds.
fn until() -> Timestamp {
    "2025-01-06T19:07:05Z".parse().unwrap()
}

fn anything() -> Expected {
    Expected { nonce: None, user_data: None, enclave: ExpectedEnclave::ComparedLater }
}

fn at(at: Timestamp) -> Result<VerifiedDocument, NitroError> {
    verify(&signed(), &NitroRoot::aws(), &anything(), at)
}

#[test]
fn a_real_document_is_verified_while_its_certificates_hold() {
    let verified = at(made()).unwrap();
    assert_eq!(at(until()), Ok(verified.clone()));
    let early = made() - SignedDuration::from_millis(1);
    assert_eq!(at(early), Err(NitroError::FromTheFuture(made())));
    let late = until() + SignedDuration::from_nanos(1);
    assert_eq!(at(late), Err(NitroError::Expired { certificate: 4, until: until(), at: late }));
    let later: Timestamp = "2025-02-01T00:00:00Z".parse().unwrap();
    assert!(matches!(at(later), Err(NitroError::Expired { certificate: 1, .. })), "the first from the root is named");
    assert_eq!((verified.holds_until(), verified.timestamp()), (until(), made()));
    assert_eq!((verified.root(), verified.is_emulated()), (NitroRoot::aws().fingerprint(), false));
}

#[test]
fn a_real_document_says_what_is_in_it() {
    let verified = at(made()).unwrap();
    assert_eq!(verified.module_id(), "i-0bee92034f3d60691-enc01943c5eaab3ad6a");
    assert_eq!(verified.pcrs().len(), 16);
    assert_eq!(verified.pcrs()[&0][..4], [0x8b, 0xb1, 0x59, 0xf2]);
    assert!(verified.public_key().is_some() && verified.user_data().is_none() && verified.nonce().is_none());
}

#[test]
fn a_real_document_that_says_something_else_is_refused() {
    let pcrs = at(made()).unwrap().pcrs().clone();
    let registers = Registers { pcr0: pcrs[&0], others: (1..=8).map(|number| (number, pcrs[&number])).collect() };
    let against = |expected: &Expected| verify(&signed(), &NitroRoot::aws(), expected, made()).map(|_| ());
    let of = |enclaves| Expected { enclave: ExpectedEnclave::OneOf(enclaves), ..anything() };
    assert_eq!(against(&of(vec![registers.clone()])), Ok(()));
    assert_eq!(against(&of(vec![])), Err(NitroError::NothingExpected));
    for number in 0..=8 {
        let mut other = registers.clone();
        let pcr = if number == 0 { &mut other.pcr0 } else { other.others.get_mut(&number).unwrap() };
        pcr[47] ^= 1;
        assert_eq!(against(&of(vec![other.clone()])), Err(NitroError::Register(number)));
        assert_eq!(against(&of(vec![other, registers.clone()])), Ok(()));
    }
    let missing = Registers { pcr0: pcrs[&0], others: BTreeMap::from([(16, [0; 48])]) };
    assert_eq!(against(&of(vec![missing])), Err(NitroError::Register(16)));
    let nonce = Expected { nonce: Some(vec![1]), ..anything() };
    assert_eq!(against(&nonce), Err(NitroError::Nonce));
    let empty = Expected { user_data: Some(vec![]), ..anything() };
    assert_eq!(against(&empty), Err(NitroError::UserData));
}

#[test]
fn a_change_of_any_byte_of_a_real_document_is_refused() {
    bits::one_of_each(&signed(), 1, |signed| verify(signed, &NitroRoot::aws(), &anything(), made()).is_ok());
}

#[test]
#[ignore = "takes long: `scripts/bits` runs it"]
fn no_bit_of_a_real_document_can_be_changed() {
    bits::all(&signed(), |signed| verify(signed, &NitroRoot::aws(), &anything(), made()).is_ok());
}

#[test]
fn a_real_document_that_is_cut_or_longer_is_refused() {
    let signed = signed();
    let read = |bytes: &[u8]| verify(bytes, &NitroRoot::aws(), &anything(), made());
    for length in 0..signed.len() {
        assert!(read(&signed[..length]).is_err(), "{length} bytes");
    }
    let mut longer = signed.clone();
    longer.push(0);
    assert!(matches!(read(&longer), Err(NitroError::Form(_))));
    // The tag of COSE_Sign1 is another encoding of the same.
    assert!(matches!(read(&[&[0xd2], signed.as_slice()].concat()), Err(NitroError::Form(_))));
}

#[test]
fn a_document_has_a_bound() {
    let read = |length: usize| verify(&vec![0x84; length], &NitroRoot::aws(), &anything(), made());
    assert!(matches!(read(MAX_DOCUMENT), Err(NitroError::Form(_))));
    assert_eq!(read(MAX_DOCUMENT + 1), Err(NitroError::TooLong(MAX_DOCUMENT + 1)));
}

#[test]
#[ignore = "measures"]
fn how_long_a_document_takes() {
    let signed = signed();
    bits::time("Nitro document", || assert!(verify(&signed, &NitroRoot::aws(), &anything(), made()).is_ok()));
}
