// SPDX-License-Identifier: Apache-2.0
//! The one function of Rego's `time` that needs no clock and no list of time zones. What else there is of it in `regorus`
//! brings the system's clock along.

use jiff::Timestamp;
use regorus::{Engine, Value};
use thiserror::Error;

use super::RegoError;

pub(super) fn add_to(engine: &mut Engine) -> Result<(), RegoError> {
    let parse = |arguments: Vec<Value>| {
        let time = arguments.first().and_then(|argument| argument.as_string().ok()).and_then(|text| nanoseconds(text));
        Ok(Value::from(time.ok_or(NoTime)?))
    };
    engine.add_extension("time.parse_rfc3339_ns".into(), 1, Box::new(parse)).map_err(|e| RegoError::Rego(e.to_string()))
}

#[derive(Debug, Error)]
#[error("time.parse_rfc3339_ns takes a time of RFC 3339 between 1678 and 2261, as in \"2026-11-25T12:00:00Z\"")]
struct NoTime;

/// Since the epoch; only what Go's `time.RFC3339` reads too.
fn nanoseconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(19)?;
    let shape = |(expected, found): (u8, u8)| if expected == b'0' { found.is_ascii_digit() } else { expected == found };
    let is = |pattern: &str, text: &str| pattern.len() == text.len() && pattern.bytes().zip(text.bytes()).all(shape);
    let offset = rest.strip_prefix('.').map_or(rest, |fraction| {
        let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if offset.len() == fraction.len() { "no digit" } else { offset }
    });
    let is_offset = offset == "Z" || is("+00:00", offset) || is("-00:00", offset);
    // A leap second, which Go does not know.
    if !is("0000-00-00T00:00:00", date) || date.ends_with(":60") || !is_offset {
        return None;
    }
    i64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_form() {
        assert_eq!(nanoseconds("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!(nanoseconds("1970-01-01T01:00:00.000000001+01:00"), Some(1));
        assert_eq!(nanoseconds("1677-09-21T00:12:44Z"), Some(-9_223_372_036_000_000_000));
        for text in [
            "",
            "1970-01-01",
            "1970-01-01 00:00:00Z",
            "1970-01-01t00:00:00z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:60Z",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00Z[UTC]",
            "1970-13-01T00:00:00Z",
            "1677-09-21T00:12:43Z",
            "2262-04-12T00:00:00Z",
            "1970-01-01T00:00:0\u{e9}Z",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
