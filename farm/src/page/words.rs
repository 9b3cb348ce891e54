// SPDX-License-Identifier: Apache-2.0
//! What builds come to, as people see it: a word, and a mark whose shape says the same without colour.

use maud::{Markup, html};

/// What a build came to, or in which state it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// As the API has it.
    pub(super) word: &'static str,
    /// As it is said.
    pub(super) text: &'static str,
    /// What it means, in one sentence.
    pub(super) means: &'static str,
    /// The shape of its mark, in a box of 16 by 16.
    shape: &'static str,
}

/// All that there are, the best first; what has no verdict comes last.
pub(super) const ALL: [Said; 9] = [
    Said {
        word: "bit-identical",
        text: "reproduced",
        means: "every rebuild gave exactly the published bytes, or, of a project, the same bytes",
        shape: "M2 8 6 12 14 4",
    },
    Said {
        word: "repacked",
        text: "packing reproduced",
        means: "packing the published contents again gave exactly the published bytes; where the contents come from, nothing shows",
        shape: "M3 6H13V14H3ZM5 2H11V6",
    },
    Said {
        word: "normalized-equal",
        text: "normalized",
        means: "the bytes differ, and are equal after the normalizations that are named",
        shape: "M2 6H14M2 10H14",
    },
    Said {
        word: "different",
        text: "different",
        means: "the rebuilt bytes are others",
        shape: "M2 6H14M2 10H14M5 14 11 2",
    },
    Said { word: "disputed", text: "disputed", means: "the rebuilders do not agree", shape: "M8 2V9M8 12V14M2 15H14" },
    Said { word: "unbuildable", text: "unbuildable", means: "a rebuild failed", shape: "M3 3 13 13M13 3 3 13" },
    Said { word: "failed", text: "no verdict", means: "no rebuilder came to a verdict", shape: "M3 8H13" },
    Said {
        word: "cancelled",
        text: "cancelled",
        means: "it was taken back",
        shape: "M8 2A6 6 0 1 0 8 14A6 6 0 1 0 8 2M4 4 12 12",
    },
    Said {
        word: "waiting",
        text: "waiting",
        means: "it is not finished",
        shape: "M8 2A6 6 0 1 0 8 14A6 6 0 1 0 8 2M8 5V8H11",
    },
];

/// What the API's word says; a word of which nothing is known is said to be that.
pub(super) fn said(word: &str) -> Said {
    let unknown = Said {
        word: "unknown",
        text: "unknown",
        means: "a word that this program does not know",
        shape: "M6 6H10V10H6Z",
    };
    ALL.into_iter().find(|said| said.word == word).unwrap_or(unknown)
}

/// The mark and the word.
pub(super) fn badge(word: &str) -> Markup {
    let said = said(word);
    html! {
        span class={ "badge " (said.word) } title=(said.means) {
            svg class="mark" viewBox="0 0 16 16" aria-hidden="true" { path d=(said.shape) {} }
            (said.text)
        }
    }
}

/// An isolation; what is EMULATED is never shown without saying so.
pub(super) fn isolation(name: &str) -> Markup {
    html! {
        (name)
        @if name.starts_with("emulated") { " " strong class="emulated" { "EMULATED - NOT HARDWARE" } }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use reprove_model::Isolation;

    use super::*;

    #[test]
    fn each_word_has_a_text_and_a_shape_of_its_own() {
        for of in [|said: &Said| said.word, |said: &Said| said.text, |said: &Said| said.shape] {
            assert_eq!(ALL.iter().map(of).collect::<BTreeSet<_>>().len(), ALL.len());
        }
        assert_eq!(said("<b>").word, "unknown");
    }

    #[test]
    fn what_is_emulated_says_so() {
        for of in Isolation::ALL {
            let shown = isolation(of.name()).into_string();
            assert_eq!(shown.contains("EMULATED - NOT HARDWARE"), of.is_emulated(), "{shown}");
        }
    }
}
