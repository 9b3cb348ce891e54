// SPDX-License-Identifier: Apache-2.0
//! Canonical JSON: the one way in which each value is written (RFC 8785, JSON Canonicalization Scheme).
//!
//! Values of this crate hold no floating-point numbers and no integers above 2^53 − 1, so nothing is lost on the way.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// What a canonical document may not exceed, in bytes.
pub const MAX_DOCUMENT: usize = 64 << 20;

/// Why bytes are not a canonical document.
#[derive(Debug, Error)]
pub enum CanonicalError {
    /// More than [`MAX_DOCUMENT`] bytes.
    #[error("the document has {0} bytes; the most is {MAX_DOCUMENT}")]
    TooLarge(usize),
    /// Not JSON, or not of the expected shape.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The same value is written otherwise in canonical form (white space, order, escapes, an unknown default).
    #[error("the document is not in canonical form; it first departs from it at byte {0}")]
    NotCanonical(usize),
}

/// Encodes `value` canonically, without a final newline.
///
/// # Errors
/// [`CanonicalError::Json`] where the value holds something that JSON can't (a map key that is no string), and
/// [`CanonicalError::TooLarge`] past [`MAX_DOCUMENT`].
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let bytes = serde_json_canonicalizer::to_vec(value)?;
    if bytes.len() > MAX_DOCUMENT {
        return Err(CanonicalError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes a canonical document; one final newline may follow it, as files have.
///
/// # Errors
/// See [`CanonicalError`]: any byte that [`to_vec`] would not have written is refused.
pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(CanonicalError::TooLarge(bytes.len()));
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let value = serde_json::from_slice(bytes)?;
    let canonical = to_vec(&value)?;
    if canonical != bytes {
        let at = canonical.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        return Err(CanonicalError::NotCanonical(at));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Map = BTreeMap<String, u64>;

    #[test]
    fn keys_are_sorted_and_nothing_is_padded() {
        let map: Map = [("b".into(), 1), ("a".into(), 9_007_199_254_740_991)].into();
        assert_eq!(to_vec(&map).unwrap(), br#"{"a":9007199254740991,"b":1}"#);
    }

    #[test]
    fn only_the_canonical_form_is_read() {
        assert!(from_slice::<Map>(br#"{"a":1,"b":2}"#).is_ok());
        assert!(from_slice::<Map>(b"{\"a\":1,\"b\":2}\n").is_ok());
        for other in
            [r#"{"b":2,"a":1}"#, r#"{"a": 1}"#, r#"{"\u0061":1}"#, "{\"a\":1}\n\n", r#"{"a":1,"a":1}"#, r#"{"a":1e0}"#]
        {
            assert!(from_slice::<Map>(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let text = |n: usize| format!("\"{}\"", "x".repeat(n - 2)).into_bytes();
        assert!(from_slice::<String>(&text(MAX_DOCUMENT)).is_ok());
        assert!(matches!(from_slice::<String>(&text(MAX_DOCUMENT + 1)), Err(CanonicalError::TooLarge(_))));
    }
}
