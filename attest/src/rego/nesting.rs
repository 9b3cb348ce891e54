// SPDX-License-Identifier: Apache-2.0
//! How deep the brackets of a policy are in each other. To the engine's parser, a list or a set in another takes twice as
//! long as it does alone.

/// The most `[` and `{` that are open at one place, outside of texts and comments.
pub(super) fn deepest(policy: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = policy.chars();
    while let Some(c) = rest.next() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            '"' => {
                while let Some(c) = rest.next()
                    && c != '"'
                {
                    if c == '\\' {
                        rest.next();
                    }
                }
            }
            '`' => drop(rest.by_ref().find(|&c| c == '`')),
            '#' => drop(rest.by_ref().find(|&c| c == '\n')),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_outside_of_texts_and_comments() {
        for (text, depth) in [
            ("", 0),
            ("allow if { x }", 1),
            ("[{[]}, {}]", 3),
            ("]]][", 1),
            ("[\"[[\\\"[\\\\\", [`[\"[`], # [[[[\n[{}]]", 3),
            ("\"[[", 0),
            ("\"\\", 0),
            ("`[[", 0),
            ("# [[", 0),
        ] {
            assert_eq!(deepest(text), depth, "{text}");
        }
    }
}
