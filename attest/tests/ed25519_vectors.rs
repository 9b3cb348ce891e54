// SPDX-License-Identifier: Apache-2.0
//! Strict verification, over the edge cases of C2SP's CCTV Ed25519 vectors (`ed25519/README.md` there says what the flags
//! mean): signatures that some verifiers accept and others refuse.
//!
//! Which flags a strict verifier refuses, and why:
//!
//! - `low_order_A`, `low_order_R`: the key, or the signature's `R`, is one of the eight points of small order. One such
//!   signature is valid for many messages.
//! - `non_canonical_A`, `non_canonical_R`: a second encoding of the same point, so one signature could be written twice.
//!   RFC 8032, section 5.1.3, refuses them.
//! - `low_order_residue`: the small-order parts of `R` and `[k]A` don't cancel, so only a verifier that multiplies by the
//!   cofactor accepts it. Ours computes `R` again and compares its encoding.
//! - `low_order_component_A`: the key has a small-order part besides its large one. No honest key does; such a key is
//!   refused when it is read, before any signature.
//! - `low_order_component_R`: `R` has such a part. With a key of prime order nothing cancels it, so it leaves a residue.
//! - `reencoded_k`: made for a verifier that hashes another encoding than the one it was given. It goes with
//!   `non_canonical_A` or `non_canonical_R`.
//!
//! So every flag is a reason to refuse, and what has none is an ordinary signature.

#[cfg(test)]
mod tests {
    use reprove_attest::PublicKey;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Vector {
        number: u32,
        key: String,
        sig: String,
        msg: String,
        flags: Option<Vec<String>>,
    }

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/ed25519/ed25519vectors.json");

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        assert_eq!(text.len(), 2 * N);
        std::array::from_fn(|n| byte(2 * n))
    }

    #[test]
    fn strict_verification_refuses_every_edge_case() {
        let Ok(text) = std::fs::read_to_string(FILE) else {
            println!("skipped: no vectors");
            return;
        };
        let vectors: Vec<Vector> = serde_json::from_str(&text).unwrap();
        let (mut ordinary, mut refused) = (0, 0);
        for Vector { number, key, sig, msg, flags } in vectors {
            let flags = flags.unwrap_or_default();
            let verified =
                PublicKey::ed25519(&hex(&key)).is_ok_and(|key| key.verify(msg.as_bytes(), &hex::<64>(&sig)).is_ok());
            assert_eq!(verified, flags.is_empty(), "vector {number}: {flags:?}");
            *(if verified { &mut ordinary } else { &mut refused }) += 1;
        }
        assert!(ordinary >= 1 && refused >= 900, "{ordinary} accepted, {refused} refused");
    }
}
