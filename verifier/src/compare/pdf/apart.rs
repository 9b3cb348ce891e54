// SPDX-License-Identifier: Apache-2.0
//! Entries that are told apart from all others, where they are written as such and have nothing else in them.

use super::super::field::Group;
use super::super::number;

/// One of them.
pub(super) struct Apart {
    /// Its name, with the slash.
    pub(super) name: &'static [u8],
    pub(super) group: Group,
    /// Whether a value is nothing else.
    pub(super) is: fn(&[u8]) -> bool,
}

/// In what is said of the document.
pub(super) const OF_DOCUMENTS: [Apart; 2] = [
    Apart { name: b"/CreationDate", group: Group::Times, is: is_date },
    Apart { name: b"/ModDate", group: Group::Times, is: is_date },
];

/// In a trailer.
pub(super) const OF_TRAILERS: [Apart; 1] = [Apart { name: b"/ID", group: Group::Identity, is: is_identity }];

/// Whether this is a date (7.9.4) and nothing else: `(D:20231114221320+01'00')`.
fn is_date(value: &[u8]) -> bool {
    let Some(inside) = value.strip_prefix(b"(D:").and_then(|rest| rest.strip_suffix(b")")) else { return false };
    let Some((digits, zone)) = inside.split_at_checked(14) else { return false };
    let number = |digits: &[u8], at: usize| {
        let two = digits.get(at..at + 2).filter(|two| two.iter().all(u8::is_ascii_digit));
        two.and_then(number::decimal)
    };
    let is_within =
        |digits: &[u8], at: usize, from: u64, to: u64| number(digits, at).is_some_and(|n| (from..=to).contains(&n));
    let is_time = is_within(digits, 0, 0, 99)
        && is_within(digits, 2, 0, 99)
        && is_within(digits, 4, 1, 12)
        && is_within(digits, 6, 1, 31)
        && is_within(digits, 8, 0, 23)
        && is_within(digits, 10, 0, 59)
        && is_within(digits, 12, 0, 59);
    let is_zone = match zone {
        [] | [b'Z'] => true,
        [b'+' | b'-' | b'Z', rest @ ..] => {
            is_within(rest, 0, 0, 23)
                && match rest.get(2..) {
                    Some([] | [b'\'']) => true,
                    Some([b'\'', minutes @ ..]) => {
                        is_within(minutes, 0, 0, 59) && matches!(minutes.get(2..), Some([] | [b'\'']))
                    }
                    _ => false,
                }
        }
        _ => false,
    };
    is_time && is_zone
}

/// Whether these are two names of 16 bytes, in hexadecimal.
fn is_identity(value: &[u8]) -> bool {
    let Some(inside) = value.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) else { return false };
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r');
    let one = |text: &'_ [u8]| -> Option<usize> {
        let spaces = text.iter().take_while(|byte| is_space(byte)).count();
        let name = text.get(spaces..spaces + 34)?.strip_prefix(b"<")?.strip_suffix(b">")?;
        name.iter().all(u8::is_ascii_hexdigit).then_some(spaces + 34)
    };
    let Some(rest) = one(inside).and_then(|len| inside.get(len..)) else { return false };
    one(rest).and_then(|len| rest.get(len..)).is_some_and(|rest| rest.iter().all(is_space))
}
