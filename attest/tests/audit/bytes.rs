// SPDX-License-Identifier: Apache-2.0
//! A proof's bytes: none of them can be changed, and none can be left out.

use reprove_attest::{AuditError, ProofError};

use crate::support::*;

/// Every position, with the lowest bit flipped.
#[test]
fn no_byte_can_be_changed() {
    changed_everywhere(0x01);
}

/// Every position, with the bit flipped that tells upper case from lower.
#[test]
fn no_letters_case_can_be_changed() {
    changed_everywhere(0x20);
}

fn changed_everywhere(flip: u8) {
    let mut bytes = Case::unpublished().sign();
    judge(&bytes).unwrap();
    for at in 0..bytes.len() {
        bytes[at] ^= flip;
        assert!(judge(&bytes).is_err(), "byte {at}");
        bytes[at] ^= flip;
    }
    judge(&bytes).unwrap();
}

#[test]
fn a_proof_that_was_cut_is_refused_at_every_length() {
    let bytes = Case::unpublished().sign();
    for length in 0..bytes.len() {
        assert!(matches!(judge(&bytes[..length]), Err(AuditError::Proof(_))), "{length}");
    }
}

#[test]
fn nothing_can_be_added() {
    let bytes = Case::unpublished().sign();
    for (before, after) in [("", "\n"), ("", " "), ("", "x"), (" ", ""), ("\n", ""), ("\u{feff}", "")] {
        let longer = [before.as_bytes(), &bytes, after.as_bytes()].concat();
        assert!(matches!(judge(&longer), Err(AuditError::Proof(_))), "{before:?} {after:?}");
    }
}

#[test]
fn the_size_is_bounded_before_anything_is_read() {
    let bytes = vec![b'\n'; reprove_attest::Proof::MAX_BYTES + 1];
    assert!(matches!(judge(&bytes), Err(AuditError::Proof(ProofError::TooLarge(_)))));
}
