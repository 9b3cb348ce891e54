// SPDX-License-Identifier: Apache-2.0
//! Text that came from elsewhere, without what a terminal would act on and what would make it read as something else.

/// `text` for a terminal. Line ends stay; everything in it that is no letter to be seen is replaced.
pub(crate) fn text(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { seen(c) }).collect()
}

/// `text` as a part of one line: as [`text`], and line ends are replaced as well.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(seen).collect()
}

fn seen(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        // Zero-width characters and directional marks, line and paragraph separators, embeddings and overrides, isolates, the
        // Arabic letter mark, the byte order mark.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}' | '\u{feff}' => {
            char::REPLACEMENT_CHARACTER
        }
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_replaced() {
        for c in
            "\u{0}\u{7}\u{8}\r\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200b}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}"
                .chars()
        {
            assert_eq!(text(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        assert_eq!((text("a\tb\nc"), line("a\tb\nc")), ("a b\nc".into(), "a b\u{fffd}c".into()));
    }

    #[test]
    fn every_script_stays() {
        let texts = "Ελληνικά, עברית, العربية, हिन्दी, 日本語, é e\u{301}, 🦀, \u{a0}–…";
        assert_eq!(text(texts), texts);
    }
}
