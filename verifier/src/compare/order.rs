// SPDX-License-Identifier: Apache-2.0
//! Whether the order of an archive's members decides what they become once they are unpacked.

use std::collections::BTreeSet;

/// Whether it does, for members with these names, of which some are symbolic links. So it is where two have one name, where
/// one is unpacked through another, and where a name leads out of its folder.
pub(super) fn decides<'a>(members: impl Iterator<Item = (&'a [u8], bool)>) -> bool {
    let (mut names, mut links) = (BTreeSet::new(), Vec::new());
    for (name, is_link) in members {
        let Some(mut name) = cleaned(name) else { return true };
        if is_link {
            links.push([name.as_slice(), b"/"].concat());
        }
        // So that what is in a folder comes right behind it.
        name.push(b'/');
        if !names.insert(name) {
            return true;
        }
    }
    links.iter().any(|link| {
        let mut from = names.range(link.clone()..);
        // The first is the link itself.
        link == b"/" || from.nth(1).is_some_and(|name| name.starts_with(link))
    })
}

/// The name without what it means the same without: `.`, and `/` at its ends or twice; `None` where it has `..`.
fn cleaned(name: &[u8]) -> Option<Vec<u8>> {
    let parts = || name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    (!parts().any(|part| part == b"..")).then(|| parts().collect::<Vec<_>>().join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: &[(&str, bool)]) -> bool {
        decides(members.iter().map(|(name, is_link)| (name.as_bytes(), *is_link)))
    }

    #[test]
    fn order_decides_where_names_meet() {
        assert!(!of(&[]) && !of(&[("./", false), ("./a/", false), ("./a/b", false), ("a-b", true), ("ab", false)]));
        for twice in ["a", "./a", "a/", "/a", ".//a", "./././a/."] {
            assert!(of(&[("a", false), ("b", false), (twice, false)]), "{twice}");
        }
        assert!(of(&[("a", true), ("a/b", false)]) && of(&[("a/b/c", false), ("a-c", false), ("./a", true)]));
        assert!(!of(&[("a", false), ("a/b", true)]));
        assert!(of(&[("a/../b", false)]) && !of(&[("a..b", false)]) && of(&[("./", true)]));
    }
}
