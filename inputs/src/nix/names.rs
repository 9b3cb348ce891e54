// SPDX-License-Identifier: Apache-2.0
//! Names of paths in a store, and how Nix writes hashes in them.

use std::path::Path;

use reprove_model::{InputName, Sha256};

/// The digits of Nix's base 32: without `e`, `o`, `t` and `u`, so that few words come out.
const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// How many of them a path begins with.
const HASH: usize = 32;

/// The longest name after that and `-`.
const MAX_NAME: usize = 211;

/// A path directly in a store: the store's folder, and its name there.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let (store, base) = path.rsplit_once('/')?;
    let (hash, name) = base.split_at_checked(HASH)?;
    let name = name.strip_prefix('-')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "+-._?=".contains(c);
    let is_good = store.starts_with('/')
        && hash.bytes().all(|byte| DIGITS.contains(&byte))
        && (1..=MAX_NAME).contains(&name.len())
        && name.chars().all(is_name);
    is_good.then_some((store, base))
}

/// The same, of a path as the system has it.
pub(super) fn split_path(path: &Path) -> Option<(&str, &str)> {
    split(path.to_str()?)
}

/// What comes after the hash.
pub(super) fn name_of(base: &str) -> &str {
    base.get(HASH + 1..).unwrap_or_default()
}

/// A name as inputs and outputs can have it: they have neither `?` nor `=`.
pub(super) fn input_name(name: &str) -> Option<InputName> {
    let plain = name.replace(['?', '='], "_");
    let plain = plain.trim_start_matches(['.', '-']);
    plain.parse().ok()
}

/// The same as a recipe's package can be called.
pub(super) fn package_name(name: &str) -> String {
    let plain: String = name.replace(['?', '='], "_").chars().take(128).collect();
    let plain = plain.trim_start_matches('.');
    if plain.is_empty() { "derivation".into() } else { plain.to_owned() }
}

/// SHA-256 as Nix writes it: all 256 bits from the last on, five at a time.
pub(super) fn base32(digest: &Sha256) -> String {
    let bytes = digest.as_bytes();
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
    let digit = |place: usize| {
        let value = (0..5).fold(0, |value, n| value | usize::from(bit(place * 5 + n)) << n);
        char::from(DIGITS.get(value).copied().unwrap_or(b'0'))
    };
    (0..52).rev().map(digit).collect()
}

/// What stands for an output's path where that is not known yet.
pub(super) fn placeholder(output: &str) -> String {
    format!("/{}", base32(&Sha256::of(format!("nix-output:{output}").as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Nix 2.8 says: `nix-hash --to-base32`, `builtins.placeholder "out"`, and the file of the variable `text`.
    #[test]
    fn hashes_are_written_as_nix_writes_them() {
        assert_eq!(base32(&Sha256::of(b"")), "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
        assert_eq!(placeholder("out"), "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9");
        assert_eq!(base32(&Sha256::of(b"text")), "1lf969yddshzhld7sr1vbagr07bnygg99lgl6gk5kxcnp4z9wbcq");
    }

    #[test]
    fn a_path_of_a_store_is_told_from_others() {
        let hash = "z89jfc7wwhc01h52jmk8iglac9ixjpsk";
        let base = format!("{hash}-a?b=c");
        assert_eq!(split(&format!("/nix/store/{base}")), Some(("/nix/store", base.as_str())));
        assert_eq!((name_of(&base), input_name(&base).unwrap().as_str()), ("a?b=c", format!("{hash}-a_b_c").as_str()));
        for bad in [
            format!("/nix/store/{hash}"),
            format!("/nix/store/{hash}-"),
            format!("/nix/store/{hash}-a/b"),
            format!("/nix/store/{hash}-a b"),
            format!("nix/store/{hash}-a"),
            format!("/nix/store/{}-a", hash.replace('z', "e")),
            format!("/nix/store/{}-a", hash.to_uppercase()),
            format!("/nix/store/{hash}-{}", "n".repeat(MAX_NAME + 1)),
        ] {
            assert_eq!(split(&bad), None, "{bad}");
        }
        assert!(split(&format!("/nix/store/{hash}-{}", "n".repeat(MAX_NAME))).is_some());
        assert_eq!(package_name(".a=b"), "a_b");
        assert_eq!(package_name("..."), "derivation");
    }
}
