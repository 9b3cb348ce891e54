// SPDX-License-Identifier: Apache-2.0
//! Canonical JSON: the one way in which each value is written (RFC 8785, JSON Canonicalization Scheme).
//!
//! Values of this crate hold no floating-point numbers. An integer above 2^53 − 1, or below its negative, is refused: the
//! RFC would write another number in its place.

mod writer;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// What a canonical document may not exceed, in bytes, where nothing else is said.
pub const MAX_DOCUMENT: usize = 64 << 20;

/// Why bytes are not a canonical document.
#[derive(Debug, Error)]
pub enum CanonicalError {
    /// More bytes than the second number, which is [`MAX_DOCUMENT`] where nothing else is said.
    #[error("the document has {0} bytes; the most is {1}")]
    TooLarge(usize, usize),
    /// Not JSON, or not of the expected shape. The message may quote the document, and does nothing to a terminal.
    #[error("{}", plain(.0))]
    Json(#[from] serde_json::Error),
    /// The same value is written otherwise in canonical form (white space, order, escapes, an unknown default).
    #[error("the document is not in canonical form; it first departs from it at byte {0}")]
    NotCanonical(usize),
    /// A number that canonical JSON can't hold as it is.
    #[error(
        "it has a number that canonical JSON does not hold exactly; the largest is 9007199254740991, and it reads {0}"
    )]
    Number(String),
}

/// Encodes `value` canonically, without a final newline.
///
/// # Errors
/// [`CanonicalError::Json`] where the value holds something that JSON can't (a map key that is no string),
/// [`CanonicalError::Number`] where it holds a number that would not be read as itself, and [`CanonicalError::TooLarge`]
/// past [`MAX_DOCUMENT`].
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    to_vec_within(value, MAX_DOCUMENT)
}

/// The same, for a document of at most `max` bytes.
///
/// # Errors
/// See [`to_vec`].
pub fn to_vec_within<T: Serialize>(value: &T, max: usize) -> Result<Vec<u8>, CanonicalError> {
    let bytes = writer::write(value)?;
    if bytes.len() > max {
        return Err(CanonicalError::TooLarge(bytes.len(), max));
    }
    Ok(bytes)
}

fn plain(error: &serde_json::Error) -> String {
    error.to_string().chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The largest integer that RFC 8785 writes as itself: 2^53 − 1 (its section 3.2.2.3 and appendix D).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Decodes a canonical document; one final newline may follow it, as files have.
///
/// # Errors
/// See [`CanonicalError`]: any byte that [`to_vec`] would not have written is refused.
pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    from_slice_within(bytes, MAX_DOCUMENT)
}

/// The same, for a document of at most `max` bytes.
///
/// # Errors
/// See [`from_slice`].
pub fn from_slice_within<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, CanonicalError> {
    if bytes.len() > max {
        return Err(CanonicalError::TooLarge(bytes.len(), max));
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let value = serde_json::from_slice(bytes)?;
    let canonical = to_vec_within(&value, max)?;
    if canonical != bytes {
        let at = canonical.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        return Err(CanonicalError::NotCanonical(at));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::ser::{SerializeMap as _, Serializer};

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
    fn an_error_does_nothing_to_a_terminal() {
        let error = from_slice::<crate::Limits>(br#"{"\u001b[2J\u009bx":1}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `\u{fffd}[2J\u{fffd}x`"), "{error}");
    }

    #[test]
    fn a_number_that_would_become_another_is_refused() {
        let map = |number: i128| BTreeMap::from([("\"1e9\\".to_owned(), number)]);
        for number in [MAX_INTEGER.into(), -i128::from(MAX_INTEGER), 0] {
            let bytes = to_vec(&map(number)).unwrap();
            assert_eq!(from_slice::<BTreeMap<String, i128>>(&bytes).unwrap(), map(number));
        }
        for number in [i128::from(MAX_INTEGER) + 1, u64::MAX.into(), -i128::from(MAX_INTEGER) - 1] {
            assert!(matches!(to_vec(&map(number)), Err(CanonicalError::Number(_))), "{number}");
        }
        assert!(matches!(to_vec(&vec![0.5]), Err(CanonicalError::Number(_))));
        assert!(from_slice::<Map>(br#"{"a":9007199254740992}"#).is_err());
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let text = |n: usize| format!("\"{}\"", "x".repeat(n - 2)).into_bytes();
        assert!(from_slice::<String>(&text(MAX_DOCUMENT)).is_ok());
        assert!(matches!(from_slice::<String>(&text(MAX_DOCUMENT + 1)), Err(CanonicalError::TooLarge(_, _))));
        assert!(from_slice_within::<String>(&text(9), 9).is_ok());
        assert!(matches!(from_slice_within::<String>(&text(10), 9), Err(CanonicalError::TooLarge(10, 9))));
        assert!(to_vec_within(&"1234567", 9).is_ok());
        assert!(matches!(to_vec_within(&"12345678", 9), Err(CanonicalError::TooLarge(10, 9))));
    }

    /// Any value without fractions, with the members of an object in the order in which they are given.
    #[derive(Clone, Debug)]
    enum Any {
        Null,
        Bool(bool),
        Integer(i64),
        Text(String),
        List(Vec<Any>),
        Object(Vec<(String, Any)>),
    }

    impl Serialize for Any {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Self::Null => serializer.serialize_unit(),
                Self::Bool(value) => serializer.serialize_bool(*value),
                Self::Integer(value) => serializer.serialize_i64(*value),
                Self::Text(value) => serializer.serialize_str(value),
                Self::List(items) => serializer.collect_seq(items),
                Self::Object(members) => {
                    let mut map = serializer.serialize_map(None)?;
                    members.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                    map.end()
                }
            }
        }
    }

    /// Texts whose order by UTF-16 is not that by UTF-8, and whose order as they are escaped is neither, among them.
    fn text() -> impl Strategy<Value = String> {
        let letter = prop_oneof![
            3 => any::<char>(),
            5 => proptest::sample::select(vec!['a', 'b', '"', '\\', '\n', '\u{1f}', '!', '\u{7f}', '\u{e000}', '\u{1f600}', '\u{ffff}']),
        ];
        proptest::collection::vec(letter, 0..4).prop_map(String::from_iter)
    }

    fn value() -> impl Strategy<Value = Any> {
        let most = i64::try_from(MAX_INTEGER).unwrap();
        let leaf = prop_oneof![
            Just(Any::Null),
            any::<bool>().prop_map(Any::Bool),
            (-most..=most).prop_map(Any::Integer),
            text().prop_map(Any::Text)
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let members = proptest::collection::vec((text(), inner.clone()), 0..6);
            prop_oneof![
                proptest::collection::vec(inner, 0..6).prop_map(Any::List),
                members.prop_map(|mut members| {
                    let mut seen = std::collections::BTreeSet::new();
                    members.retain(|(key, _)| seen.insert(key.clone()));
                    Any::Object(members)
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn it_is_what_others_write(value in value()) {
            let bytes = to_vec(&value).unwrap();
            prop_assert_eq!(&bytes, &serde_json_canonicalizer::to_vec(&value).unwrap());
            prop_assert_eq!(to_vec(&from_slice::<serde_json::Value>(&bytes).unwrap()).unwrap(), bytes);
        }
    }

    #[test]
    fn one_key_is_there_once() {
        let twice = |keys: &[&str]| to_vec(&Any::Object(keys.iter().map(|key| ((*key).into(), Any::Null)).collect()));
        for keys in [["a", "a", "b"], ["b", "a", "b"], ["\n", "a", "\n"]] {
            assert!(twice(&keys).unwrap_err().to_string().contains("twice"), "{keys:?}");
        }
        assert!(twice(&["b", "a", "\n"]).is_ok());
    }
}
