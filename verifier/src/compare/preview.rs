// SPDX-License-Identifier: Apache-2.0
//! Bytes as bounded text for a person: nothing in it moves a terminal's cursor.

use std::fmt::Write as _;

/// How many characters of one line are shown.
const MAX_LINE: usize = 160;
/// How many of them come before the first difference, where the line is longer.
const LINE_BEFORE: usize = 40;
/// How many bytes of a printable string are shown.
const MAX_STRING: usize = 120;
/// How many of them come before the first difference.
const STRING_BEFORE: usize = 60;
/// The shortest run of printable bytes that is called a string.
const MIN_STRING: usize = 4;
/// How many bytes are shown in hexadecimal.
const MAX_HEX: usize = 32;
/// How many bytes of an entry's name are shown.
const MAX_NAME: usize = 1024;

/// What stands for bytes past the end.
const END: &str = "(end)";

/// How many bytes before and from a difference on [`pair`] looks at.
pub(super) const CONTEXT_BEFORE: usize = STRING_BEFORE + 1;
/// See [`CONTEXT_BEFORE`].
pub(super) const CONTEXT_FROM: usize = MAX_STRING + 1;

/// The bytes around the start of a difference, on one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Around {
    /// Up to [`CONTEXT_BEFORE`] bytes before it.
    pub(super) before: Vec<u8>,
    /// Up to [`CONTEXT_FROM`] bytes from it on; fewer only at the end.
    pub(super) from: Vec<u8>,
}

/// `1 byte`, `2 bytes`; `2 names of the build`.
pub(super) fn count(n: u64, noun: &str) -> String {
    if n == 1 {
        return format!("{n} {noun}");
    }
    let end = [" of ", " about "].into_iter().filter_map(|word| noun.find(word)).min().unwrap_or(noun.len());
    let (first, rest) = noun.split_at_checked(end).unwrap_or((noun, ""));
    format!("{n} {first}s{rest}")
}

/// An entry's name: `\` as `\\`, control bytes and what is not UTF-8 as `\xNN`, and cut after 1024 bytes.
pub(super) fn name(bytes: &[u8]) -> String {
    let cut = bytes.get(..MAX_NAME);
    let mut text = String::new();
    for chunk in cut.unwrap_or(bytes).utf8_chunks() {
        escape(chunk.valid(), &mut text);
        hex(chunk.invalid(), "\\x", &mut text);
    }
    if cut.is_some() && bytes.len() > MAX_NAME {
        text.push('…');
    }
    text
}

/// Bytes in hexadecimal, cut after 32.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    hex(bytes.get(..MAX_HEX).unwrap_or(bytes), " ", &mut text);
    if bytes.len() > MAX_HEX {
        text.push_str(" …");
    }
    text.trim_start().to_owned()
}

/// Two lines, each with its end, that differ: bounded, and both from the same column on.
pub(super) fn lines(left: &str, right: &str) -> (String, String) {
    let same = left.chars().zip(right.chars()).take_while(|(a, b)| a == b).count();
    let longest = left.chars().count().max(right.chars().count());
    let skip = if longest > MAX_LINE { same.saturating_sub(LINE_BEFORE) } else { 0 };
    (line(left, skip), line(right, skip))
}

/// One difference of `len` bytes: as quoted strings where printable bytes stand there on both sides, else in hexadecimal.
pub(super) fn pair(left: &Around, right: &Around, len: u64) -> (String, String) {
    let strings = (printable(left, len), printable(right, len));
    if let (Some(l), Some(r)) = strings
        && (l.long_enough || r.long_enough)
    {
        (l.text, r.text)
    } else {
        (plain(left, len), plain(right, len))
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c.is_ascii_control() => _ = write!(out, "\\x{:02x}", u32::from(c)),
            // Controls beyond ASCII, and the marks that reorder or hide what is printed.
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}') =>
            {
                _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

fn hex(bytes: &[u8], before_each: &str, out: &mut String) {
    for byte in bytes {
        _ = write!(out, "{before_each}{byte:02x}");
    }
}

fn line(line: &str, skip: usize) -> String {
    let (text, end) = match line.strip_suffix('\n') {
        Some(text) => (text, ""),
        None => (line, " (no newline at the end)"),
    };
    let mut shown = text.chars().skip(skip);
    let part: String = shown.by_ref().take(MAX_LINE).collect();
    let mut out = if skip > 0 { "…".to_owned() } else { String::new() };
    escape(&part, &mut out);
    out.push_str(if shown.next().is_some() { "…" } else { end });
    out
}

/// The printable string around the start of a difference.
struct Printable {
    text: String,
    long_enough: bool,
}

/// `None` where something else than a string, or its end, stands in the difference.
fn printable(around: &Around, len: u64) -> Option<Printable> {
    if around.from.is_empty() {
        return Some(Printable { text: END.to_owned(), long_enough: false });
    }
    let is_printable = |byte: &&u8| matches!(byte, b' '..=b'~');
    let before: Vec<u8> = around.before.iter().rev().take_while(is_printable).copied().collect();
    let from: Vec<u8> = around.from.iter().take_while(is_printable).copied().collect();
    let ends_well = match around.from.get(from.len()) {
        Some(0 | b'\t' | b'\n' | b'\r') => true,
        Some(_) => from.len() as u64 >= len,
        None => true,
    };
    if !ends_well {
        return None;
    }
    let long_enough = before.len() + from.len() >= MIN_STRING;
    let cut_before = before.len() > STRING_BEFORE;
    let shown_before = before.into_iter().take(STRING_BEFORE).rev();
    let mut shown: Vec<u8> = shown_before.collect();
    let room = MAX_STRING - shown.len();
    let cut_from = from.len() > room;
    shown.extend(from.into_iter().take(room));
    let mut text = if cut_before { "…\"" } else { "\"" }.to_owned();
    for byte in shown {
        text.push_str(match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            _ => "",
        });
        if !matches!(byte, b'"' | b'\\') {
            text.push(char::from(byte));
        }
    }
    text.push_str(if cut_from { "\"…" } else { "\"" });
    Some(Printable { text, long_enough })
}

fn plain(around: &Around, len: u64) -> String {
    if around.from.is_empty() {
        return END.to_owned();
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    hexadecimal(around.from.get(..len).unwrap_or(&around.from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(before: &[u8], from: &[u8]) -> Around {
        Around { before: before.to_vec(), from: from.to_vec() }
    }

    #[test]
    fn a_string_is_shown_whole() {
        let left = around(b"\0\x01Nov ", b"22 2026\0\xff\xff");
        let right = around(b"\0\x01Nov ", b"23 2026\0\xff\xff");
        assert_eq!(pair(&left, &right, 2), ("\"Nov 22 2026\"".to_owned(), "\"Nov 23 2026\"".to_owned()));
        // One string ends where the other goes on.
        let shorter = around(b"\0\x01Nov ", b"\0\0\0\0\0\0\0\0\xff\xff");
        assert_eq!(pair(&left, &shorter, 7).1, "\"Nov \"");
    }

    #[test]
    fn what_is_no_string_is_hexadecimal() {
        let (left, right) = pair(&around(b"", b"ab\x80cd"), &around(b"", b"xy\x80cd"), 5);
        assert_eq!((left.as_str(), right.as_str()), ("61 62 80 63 64", "78 79 80 63 64"));
        assert_eq!(pair(&around(b"", &[7; 99]), &around(b"", b""), 99).1, "(end)");
        assert_eq!(hexadecimal(&[1; 32]).len(), 32 * 3 - 1);
        assert!(hexadecimal(&[1; 33]).ends_with("01 …"));
    }

    #[test]
    fn strings_and_lines_are_bounded() {
        let long = around(&[b'a'; CONTEXT_BEFORE], &[b'b'; CONTEXT_FROM]);
        let (text, _) = pair(&long, &long, 1);
        assert_eq!(text, format!("…\"{}{}\"…", "a".repeat(60), "b".repeat(60)));
        let whole = "x".repeat(MAX_LINE - 1);
        assert_eq!(lines(&format!("{whole}\n"), "y\n").0, whole);
        let far = "é".repeat(1000);
        let (left, right) = lines(&format!("{far}1{far}\n"), &format!("{far}2{far}\n"));
        assert_eq!(left.chars().count(), MAX_LINE + 2);
        assert!(left.contains("é1é") && right.contains("é2é"));
    }

    #[test]
    fn many_of_one_kind_are_counted() {
        assert_eq!((count(1, "name of the build"), count(2, "byte")), ("1 name of the build".into(), "2 bytes".into()));
        let many =
            ["name of the build", "line about an entry", "detail of where it comes from"].map(|noun| count(2, noun));
        assert_eq!(many, ["2 names of the build", "2 lines about an entry", "2 details of where it comes from"]);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(name(b"a\\\x1b[2J\xff"), "a\\\\\\x1b[2J\\xff");
        assert_eq!(lines("a\r\n", "\u{202e}a"), ("a\\x0d".to_owned(), "\\u{202e}a (no newline at the end)".to_owned()));
        assert_eq!(name(&[b'n'; MAX_NAME]).len(), MAX_NAME);
        assert!(name(&[b'n'; MAX_NAME + 1]).ends_with('…'));
    }
}
