// SPDX-License-Identifier: Apache-2.0
//! Merkle trees of entries (RFC 6962, section 2.1; RFC 9162, section 2.1): what a log's checkpoint is the root of.

use reprove_model::Sha256;

/// The root of a tree, or of a part of one.
pub type Hash = [u8; 32];

/// The longest inclusion or consistency proof: a tree has less than 2^64 entries.
pub const MAX_PROOF: usize = 64;

/// The hash of one entry's bytes.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    hash(0, entry, &[])
}

/// The hash of two parts.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(1, left, right)
}

fn hash(kind: u8, left: &[u8], right: &[u8]) -> Hash {
    *Sha256::of(&[&[kind], left, right].concat()).as_bytes()
}

/// The root of a tree without entries.
#[must_use]
pub fn empty_root() -> Hash {
    *Sha256::of(b"").as_bytes()
}

/// Where the whole subtrees' hashes of a tree are looked up: that of the 2^`level` entries from `index` · 2^`level` on.
pub trait Subtrees {
    /// Why there is none.
    type Error;

    /// The hash; all of these entries are in the tree.
    ///
    /// # Errors
    /// Where it can't be looked up.
    fn subtree(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The root of the first `size` entries.
///
/// # Errors
/// What looking up says.
pub fn root<S: Subtrees>(tree: &S, size: u64) -> Result<Hash, S::Error> {
    range(tree, 0, size)
}

/// The root of the entries from `start` to `end`, where `start` is one at which a subtree of that size begins.
fn range<S: Subtrees>(tree: &S, start: u64, end: u64) -> Result<Hash, S::Error> {
    match end.saturating_sub(start) {
        0 => Ok(empty_root()),
        size if size.is_power_of_two() => tree.subtree(size.trailing_zeros(), start / size),
        size => {
            let middle = start + split(size);
            Ok(node_hash(&range(tree, start, middle)?, &range(tree, middle, end)?))
        }
    }
}

/// The largest power of two that is less than `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// What shows that entry `index` is in the tree of the first `size` entries (RFC 9162, section 2.1.3.1). Empty where it is
/// not.
///
/// # Errors
/// What looking up says.
pub fn inclusion_proof<S: Subtrees>(tree: &S, index: u64, size: u64) -> Result<Vec<Hash>, S::Error> {
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while index < size && end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range(tree, middle, end)?);
            end = middle;
        } else {
            proof.push(range(tree, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// What shows that the tree of the first `size` entries begins with that of the first `old` (RFC 9162, section 2.1.4.1).
/// Empty where both are the same, or `old` is 0 or more than `size`.
///
/// # Errors
/// What looking up says.
pub fn consistency_proof<S: Subtrees>(tree: &S, old: u64, size: u64) -> Result<Vec<Hash>, S::Error> {
    let mut proof = Vec::new();
    if old == 0 || old >= size {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, size);
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(tree, middle, end)?);
            end = middle;
        } else {
            proof.push(range(tree, start, middle)?);
            start = middle;
        }
    }
    // The old tree itself is known, where it is one subtree that begins the new one.
    if start != 0 {
        proof.push(range(tree, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` shows that an entry with the hash `leaf` is entry `index` of the tree of `size` entries that has the
/// root `root` (RFC 9162, section 2.1.3.2).
#[must_use]
pub fn is_included(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size || proof.len() > MAX_PROOF {
        return false;
    }
    let (mut place, mut last, mut found) = (index, size - 1, *leaf);
    for part in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            found = node_hash(part, &found);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            found = node_hash(&found, part);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && found == *root
}

/// Whether `proof` shows that the tree of `size` entries with the root `root` begins with the one of `old` entries with the
/// root `old_root` (RFC 9162, section 2.1.4.2).
#[must_use]
pub fn is_consistent(old: u64, old_root: &Hash, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if old > size || proof.len() > MAX_PROOF {
        return false;
    }
    if old == size {
        return proof.is_empty() && old_root == root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    let mut parts = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { parts.next() };
    let Some(first) = first else { return false };
    let (mut place, mut last) = (old - 1, size - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut before, mut after) = (*first, *first);
    for part in parts {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            before = node_hash(part, &before);
            after = node_hash(part, &after);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            after = node_hash(&after, part);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && before == *old_root && after == *root
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// A tree of entries in memory, straight from the definition.
    struct Entries(Vec<Hash>);

    impl Entries {
        fn new(size: u64) -> Self {
            Self((0..size).map(|number| leaf_hash(&number.to_le_bytes())).collect())
        }

        fn root(&self, size: u64) -> Hash {
            root(self, size).unwrap()
        }
    }

    impl Subtrees for Entries {
        type Error = Infallible;

        fn subtree(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
            let (start, size) = (usize::try_from(index << level).unwrap(), 1_usize << level);
            let mut hashes = self.0[start..start + size].to_vec();
            while hashes.len() > 1 {
                hashes = hashes.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            }
            Ok(hashes[0])
        }
    }

    fn hex(text: &str) -> Hash {
        *text.parse::<Sha256>().unwrap().as_bytes()
    }

    /// The tree of the reference implementation of RFC 6962 (certificate-transparency, `merkletree/merkle_tree_test.cc`).
    #[test]
    fn known_roots() {
        let entries =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let bytes = |text: &str| {
            (0..text.len() / 2)
                .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
                .collect::<Vec<u8>>()
        };
        let tree = Entries(entries.iter().map(|entry| leaf_hash(&bytes(entry))).collect());
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (size, expected) in (0..).zip(roots) {
            assert_eq!(tree.root(size), hex(expected), "{size}");
        }
    }

    #[test]
    fn every_entry_of_every_tree_is_shown_to_be_in_it_and_nowhere_else() {
        let tree = Entries::new(70);
        for size in 1..=70 {
            let root = tree.root(size);
            for index in 0..size {
                let proof = inclusion_proof(&tree, index, size).unwrap();
                let leaf = tree.0[usize::try_from(index).unwrap()];
                assert!(is_included(&leaf, index, size, &proof, &root), "{index} of {size}");
                for (other_index, other_size) in
                    [(index + 1, size), (index.wrapping_sub(1), size), (index, size + 1), (index, size - 1)]
                {
                    // A tree of another size has another root; the same proof may lead to this one for no other place.
                    let holds = is_included(&leaf, other_index, other_size, &proof, &root);
                    assert!(
                        !holds || proof.is_empty() || other_index == index,
                        "{index} of {size} as {other_index} of {other_size}"
                    );
                }
                let mut other = proof.clone();
                other.push([7; 32]);
                assert!(!is_included(&leaf, index, size, &other, &root));
                other.truncate(proof.len());
                for at in 0..proof.len() {
                    other[at][0] ^= 1;
                    assert!(!is_included(&leaf, index, size, &other, &root));
                    other[at][0] ^= 1;
                }
                assert!(proof.is_empty() || !is_included(&leaf, index, size, &proof[1..], &root));
            }
            assert!(inclusion_proof(&tree, size, size).unwrap().is_empty());
        }
    }

    #[test]
    fn every_tree_is_shown_to_begin_every_larger_one() {
        let tree = Entries::new(70);
        for size in 0..=70 {
            let root = tree.root(size);
            for old in 0..=size {
                let (proof, old_root) = (consistency_proof(&tree, old, size).unwrap(), tree.root(old));
                assert!(is_consistent(old, &old_root, size, &root, &proof), "{old} in {size}");
                let mut changed = old_root;
                changed[31] ^= 1;
                assert!(!is_consistent(old, &changed, size, &root, &proof), "{old} in {size}");
                for at in 0..proof.len() {
                    let mut other = proof.clone();
                    other[at][5] ^= 1;
                    assert!(!is_consistent(old, &old_root, size, &root, &other));
                }
                let longer = [proof.as_slice(), &[[7; 32]]].concat();
                assert!(!is_consistent(old, &old_root, size, &root, &longer));
            }
        }
        assert!(!is_consistent(3, &tree.root(3), 2, &tree.root(2), &[]));
    }

    #[test]
    fn the_largest_trees_do_not_overflow() {
        assert!(!is_included(&[0; 32], u64::MAX - 1, u64::MAX, &[[1; 32]; MAX_PROOF], &[0; 32]));
        assert!(!is_included(&[0; 32], u64::MAX, u64::MAX, &[], &[0; 32]));
        assert!(!is_included(&[0; 32], 0, 1, &[[1; 32]; MAX_PROOF + 1], &[0; 32]));
        assert!(!is_consistent(u64::MAX - 1, &[0; 32], u64::MAX, &[0; 32], &[[1; 32]; MAX_PROOF]));
        assert!(!is_consistent(1, &[0; 32], u64::MAX, &[0; 32], &[[1; 32]; MAX_PROOF + 1]));
    }
}
