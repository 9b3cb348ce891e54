// SPDX-License-Identifier: Apache-2.0
//! A proof's bytes: none of them can be changed, and none can be left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_attest::{AuditError, Policy, ProofError, TrustRoots, appraise};
use reprove_model::{Sha256, canonical};
use serde_json::Value;

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

/// Every bit of every byte, by each kind of audit.
#[test]
#[ignore = "takes minutes; scripts/bits runs it"]
fn no_bit_at_all_can_be_changed() {
    let proof = Case::unpublished().sign();
    let trust = trust();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let (mut bytes, trust) = (proof.clone(), &trust);
            scope.spawn(move || {
                for at in (first..bytes.len()).step_by(threads) {
                    for bit in 0..8 {
                        bytes[at] ^= 1 << bit;
                        assert!(judge(&bytes).is_err() && !is_enough(&bytes, trust), "bit {bit} of byte {at}");
                        bytes[at] ^= 1 << bit;
                    }
                }
            });
        }
    });
}

/// In the proof, and in what its envelopes hold, which nobody signs again.
#[test]
fn no_field_can_be_dropped_or_change_places() {
    let proof = Case::unpublished().sign();
    let trust = trust();
    assert!(is_enough(&proof, &trust));
    let outer: Value = serde_json::from_slice(&proof).unwrap();
    let mut tried = 0;
    let mut refused = |changed: &Value, what: &str| {
        let mut bytes = canonical::to_vec(changed).unwrap();
        bytes.push(b'\n');
        assert!(judge(&bytes).is_err(), "{what}");
        assert!(!what.starts_with("dropped") || !is_enough(&bytes, &trust), "{what}");
        tried += 1;
    };
    for (what, changed) in changes(&outer) {
        refused(&changed, &what);
    }
    for envelope in 0..3 {
        let payload = STANDARD.decode(outer["envelopes"][envelope]["payload"].as_str().unwrap()).unwrap();
        let inner: Value = serde_json::from_slice(&payload).unwrap();
        for (what, changed) in changes(&inner) {
            let written = canonical::to_vec(&changed).unwrap();
            let mut outer = outer.clone();
            outer["envelopes"][envelope]["payload"] = STANDARD.encode(&written).into();
            outer["payloads"][envelope] = Sha256::of(&written).to_string().into();
            refused(&outer, &format!("{what} in envelope {envelope}"));
        }
    }
    assert!(tried > 300, "{tried}");
}

/// The value without each of its fields and elements, and with each two neighbours' values changed for each other.
fn changes(value: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for pointer in pointers(value, "") {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/").replace("~0", "~");
        let mut dropped = value.clone();
        let next = match dropped.pointer_mut(parent).unwrap() {
            Value::Object(fields) => {
                let next = fields.keys().skip_while(|key| **key != name).nth(1).cloned();
                drop(fields.remove(&name));
                next
            }
            Value::Array(elements) => {
                let at: usize = name.parse().unwrap();
                drop(elements.remove(at));
                (at < elements.len()).then(|| (at + 1).to_string())
            }
            _ => unreachable!(),
        };
        all.push((format!("dropped {pointer}"), dropped));
        if let Some(next) = next {
            let other = format!("{parent}/{}", next.replace('~', "~0").replace('/', "~1"));
            let mut changed = value.clone();
            let first = changed.pointer_mut(&pointer).unwrap().take();
            let second = std::mem::replace(changed.pointer_mut(&other).unwrap(), first);
            *changed.pointer_mut(&pointer).unwrap() = second;
            if changed != *value {
                all.push((format!("swapped {pointer} and {other}"), changed));
            }
        }
    }
    all
}

/// Where everything in a value is (RFC 6901).
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(elements) => elements.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = |(name, child): (String, &Value)| {
        let here = format!("{at}/{name}");
        [vec![here.clone()], pointers(child, &here)].concat()
    };
    children.into_iter().flat_map(below).collect()
}

/// Trusts the key of the samples.
fn trust() -> TrustRoots {
    let pem = key().public_key().to_spki_pem().unwrap();
    TrustRoots::from_toml(&format!("[[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'farm'\n")).unwrap()
}

fn is_enough(proof: &[u8], trust: &TrustRoots) -> bool {
    let wheel = artifact("the wheel", WHEEL);
    let now = "2026-11-02T00:00:00Z".parse().unwrap();
    appraise(proof, &[wheel], trust, &Policy::default(), now).is_ok_and(|appraisal| appraisal.is_enough())
}

/// At every length, with a trust file.
#[test]
fn no_proof_that_was_cut_is_enough() {
    let (proof, trust) = (Case::unpublished().sign(), trust());
    assert!((0..proof.len()).all(|length| !is_enough(&proof[..length], &trust)));
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
