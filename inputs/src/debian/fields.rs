// SPDX-License-Identifier: Apache-2.0
//! Fields as Debian's control files have them.

use std::collections::BTreeMap;

/// The fields of the first paragraph of a control file (Debian Policy 5.1). Those of several lines keep how far each line is
/// indented after its first space, which tells the parts of an entry of a changelog apart.
pub(super) fn fields(text: &str) -> BTreeMap<&str, String> {
    let mut fields = BTreeMap::<&str, String>::new();
    let mut last = None;
    for line in text.lines().skip_while(|line| line.trim().is_empty()).take_while(|line| !line.trim().is_empty()) {
        match (line.strip_prefix([' ', '\t']), last.and_then(|name| fields.get_mut(name))) {
            (Some(more), Some(value)) => {
                value.push('\n');
                // A line of nothing but a full stop stands for an empty one (5.6.13).
                value.push_str(if more == "." { "" } else { more });
            }
            (Some(_), None) => {}
            (None, _) => {
                let Some((name, value)) = line.split_once(':') else { continue };
                fields.insert(name, value.trim().to_owned());
                last = Some(name);
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_how_far_they_are_indented() {
        let read = fields("\nA: 1\nMany: \n one\n .\n   three\n  -- four\nB:2\n\nC: of another paragraph\n");
        assert_eq!(read.keys().copied().collect::<Vec<_>>(), ["A", "B", "Many"]);
        assert_eq!((read["A"].as_str(), read["B"].as_str()), ("1", "2"));
        assert_eq!(read["Many"], "\none\n\n  three\n -- four");
        assert!(fields(" no field\nnone either\n").is_empty());
    }
}
