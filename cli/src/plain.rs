// SPDX-License-Identifier: Apache-2.0
//! Text that came from elsewhere, without what a terminal would act on and what would make it read as something else.

use std::ops::RangeInclusive;

use serde_json::Value;

/// `text` for a terminal. Line ends stay; everything in it that is not to be seen is replaced.
pub(crate) fn text(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { seen(c) }).collect()
}

/// `text` as a part of one line: as [`text`], and line ends are replaced as well.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(seen).collect()
}

/// `value` in one line of JSON, with all of it escaped that [`line()`] would replace: it is read back as the same value.
pub(crate) fn json(value: &Value) -> String {
    let mut text = String::new();
    // Only inside strings is there anything to be escaped.
    for c in value.to_string().chars() {
        if is_unseen(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text
}

fn seen(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_unseen(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

fn is_unseen(c: char) -> bool {
    let next = UNSEEN.partition_point(|range| *range.end() < c);
    UNSEEN.get(next).is_some_and(|range| range.contains(&c))
}

/// What acts on a terminal or on the text around it, or is not seen: in Unicode 16, the general categories Cc, Cf, Zl and Zp,
/// and all that is `Default_Ignorable_Code_Point`, with what is reserved for that. Sorted.
const UNSEEN: [RangeInclusive<char>; 27] = [
    '\0'..='\u{1f}',
    '\u{7f}'..='\u{9f}',
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

#[cfg(test)]
mod tests {
    use super::*;

    /// As Unicode 16's `DerivedGeneralCategory.txt` and `DerivedCoreProperties.txt` have them, property by property.
    const CC: &[RangeInclusive<u32>] = &[0x0..=0x1f, 0x7f..=0x9f];
    const CF: &[RangeInclusive<u32>] = &[
        0xad..=0xad,
        0x600..=0x605,
        0x61c..=0x61c,
        0x6dd..=0x6dd,
        0x70f..=0x70f,
        0x890..=0x891,
        0x8e2..=0x8e2,
        0x180e..=0x180e,
        0x200b..=0x200f,
        0x202a..=0x202e,
        0x2060..=0x2064,
        0x2066..=0x206f,
        0xfeff..=0xfeff,
        0xfff9..=0xfffb,
        0x110bd..=0x110bd,
        0x110cd..=0x110cd,
        0x13430..=0x1343f,
        0x1bca0..=0x1bca3,
        0x1d173..=0x1d17a,
        0xe0001..=0xe0001,
        0xe0020..=0xe007f,
    ];
    const ZL_ZP: &[RangeInclusive<u32>] = &[0x2028..=0x2028, 0x2029..=0x2029];
    const DEFAULT_IGNORABLE: &[RangeInclusive<u32>] = &[
        0xad..=0xad,
        0x34f..=0x34f,
        0x61c..=0x61c,
        0x115f..=0x1160,
        0x17b4..=0x17b5,
        0x180b..=0x180f,
        0x200b..=0x200f,
        0x202a..=0x202e,
        0x2060..=0x206f,
        0x3164..=0x3164,
        0xfe00..=0xfe0f,
        0xfeff..=0xfeff,
        0xffa0..=0xffa0,
        0xfff0..=0xfff8,
        0x1bca0..=0x1bca3,
        0x1d173..=0x1d17a,
        0xe0000..=0xe0fff,
    ];

    #[test]
    fn of_all_characters_those_with_these_properties_are_replaced_and_no_other() {
        // The fillers for Hangul are letters by their category, and are empty.
        let fillers = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];
        for c in '\0'..=char::MAX {
            let has = [CC, CF, ZL_ZP, DEFAULT_IGNORABLE].into_iter().flatten().any(|range| range.contains(&(c as u32)));
            let expected = match c {
                '\t' => ' ',
                _ if has => char::REPLACEMENT_CHARACTER,
                c => c,
            };
            assert_eq!(seen(c), expected, "U+{:04X}", c as u32);
            // What the standard library knows of Unicode.
            assert!(!c.is_control() || has, "U+{:04X}", c as u32);
            assert!(!c.is_alphanumeric() || !has || fillers.contains(&c), "U+{:04X}", c as u32);
        }
    }

    #[test]
    fn what_a_terminal_acts_on_is_replaced() {
        for c in "\u{0}\u{7}\u{8}\r\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{2028}\u{202e}\u{2060}\u{2069}\u{fe0f}\u{feff}\u{e0041}"
            .chars()
        {
            assert_eq!(text(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        assert_eq!((text("a\tb\nc"), line("a\tb\nc")), ("a b\nc".into(), "a b\u{fffd}c".into()));
    }

    #[test]
    fn json_is_the_same_value_without_what_a_terminal_acts_on() {
        let all: String = ('\0'..=char::MAX).collect();
        let value = serde_json::json!({ &all: [&all, 1.5, null, true] });
        let written = json(&value);
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        assert_eq!(written.chars().find(|c| is_unseen(*c)), None);
        let value = serde_json::json!("\u{7f}\u{80}\u{9b}2J\u{9f}\u{a0}\u{e0041}é\n");
        assert_eq!(json(&value), "\"\\u007f\\u0080\\u009b2J\\u009f\u{a0}\\udb40\\udc41é\\n\"");
    }

    #[test]
    fn every_script_stays() {
        let texts = "Ελληνικά, עברית, العربية, हिन्दी, 日本語, 한국어, é e\u{301}, 🦀, \u{a0}–…";
        assert_eq!(text(texts), texts);
    }
}
