// SPDX-License-Identifier: Apache-2.0
//! Hash trees of dm-verity (the kernel's `admin-guide/device-mapper/verity`): version 1, SHA-256, blocks of 4 KiB, no salt,
//! no superblock. The tree stands after the data it is of. A kernel that was told the root checks every block it reads.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::str::FromStr;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Bytes of a block, of data as of hashes.
pub const BLOCK: usize = 4096;
/// Bytes of a hash.
const HASH: usize = 32;
/// Data is read and hashed in pieces of so many bytes.
const PIECE: usize = 4 << 20;

/// What a kernel has to be told of data with a tree: how many blocks it has, and the root. Written `BLOCKS:ROOT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Verity {
    /// Blocks of data, of [`BLOCK`] bytes; the tree begins after them.
    pub blocks: u64,
    /// Of the tree's topmost block.
    pub root: [u8; HASH],
}

/// A text that is no [`Verity`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("it is not BLOCKS:ROOT, a number that is not 0 and 64 hexadecimal digits in lower case")]
pub struct InvalidVerity;

impl Verity {
    /// The root in hexadecimal.
    #[must_use]
    pub fn root_hex(&self) -> String {
        self.root.iter().fold(String::new(), |mut text, byte| {
            // A string takes everything.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// Writes the tree of everything in `file` at its end, which is filled with zeros to whole blocks before.
///
/// # Errors
/// What the system says; `InvalidInput` where the file is empty.
pub fn append_tree(file: &mut File) -> io::Result<Verity> {
    let bytes = file.seek(SeekFrom::End(0))?;
    let blocks = bytes.div_ceil(BLOCK as u64);
    if blocks == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is nothing to take a hash tree of"));
    }
    file.set_len(blocks * BLOCK as u64)?;
    file.rewind()?;
    let mut lowest = Vec::new();
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        if io::Read::by_ref(file).take(PIECE as u64).read_to_end(&mut piece)? == 0 {
            break;
        }
        lowest.extend(hashes(&piece));
    }
    let mut levels = vec![lowest];
    // One block of hashes is the last level; of one block of data there is none.
    while let Some(below) = levels.last().filter(|level| level.len() > HASH) {
        let next = hashes(below);
        levels.push(next);
    }
    let root = levels.pop().and_then(|top| top.try_into().ok()).ok_or(io::ErrorKind::InvalidData)?;
    file.seek(SeekFrom::End(0))?;
    for level in levels.iter_mut().rev() {
        level.resize(level.len().next_multiple_of(BLOCK), 0);
        file.write_all(level)?;
    }
    Ok(Verity { blocks, root })
}

/// The hash of each block, one after the other; the last block is filled with zeros.
fn hashes(bytes: &[u8]) -> Vec<u8> {
    let hash = |block: &[u8]| {
        let mut hasher = Sha256::new();
        hasher.update(block);
        hasher.update([0; BLOCK].get(block.len()..).unwrap_or_default());
        <[u8; HASH]>::from(hasher.finalize())
    };
    bytes.par_chunks(BLOCK).map(hash).flatten_iter().collect()
}

impl fmt::Display for Verity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.blocks, self.root_hex())
    }
}

impl FromStr for Verity {
    type Err = InvalidVerity;
    fn from_str(text: &str) -> Result<Self, InvalidVerity> {
        let (blocks, root) = text.split_once(':').ok_or(InvalidVerity)?;
        let is_number = blocks.bytes().all(|b| b.is_ascii_digit()) && !blocks.starts_with('0');
        let blocks = blocks.parse().ok().filter(|_| is_number).ok_or(InvalidVerity)?;
        let is_lower = root.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let bytes: Option<Vec<u8>> = (0..HASH)
            .map(|at| root.get(2 * at..2 * at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()))
            .collect();
        let root = bytes.filter(|_| is_lower && root.len() == 2 * HASH).and_then(|bytes| bytes.try_into().ok());
        Ok(Self { blocks, root: root.ok_or(InvalidVerity)? })
    }
}

impl TryFrom<String> for Verity {
    type Error = InvalidVerity;
    fn try_from(text: String) -> Result<Self, InvalidVerity> {
        text.parse()
    }
}

impl From<Verity> for String {
    fn from(verity: Verity) -> Self {
        verity.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// Debian's `veritysetup` (cryptsetup-bin), with the same parameters.
    fn verified(path: &Path, verity: &Verity) -> bool {
        let offset = verity.blocks * BLOCK as u64;
        let output = Command::new("veritysetup")
            .args(["verify", "--no-superblock", "--format=1", "--hash=sha256", "--salt=-"])
            .args(["--data-block-size=4096", "--hash-block-size=4096"])
            .arg(format!("--data-blocks={}", verity.blocks))
            .arg(format!("--hash-offset={offset}"))
            .args([path, path])
            .arg(verity.root_hex())
            .output()
            .unwrap();
        output.status.success()
    }

    #[test]
    fn veritysetup_takes_every_tree_and_no_changed_byte() {
        let dir = tempfile::tempdir().unwrap();
        // On both sides of one, two and three levels: a block of hashes has 128.
        for blocks in [1_u64, 2, 128, 129, 128 * 128, 128 * 128 + 1] {
            let path = dir.path().join("image");
            let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            file.set_len(blocks * BLOCK as u64 - 7).unwrap();
            file.write_at(&blocks.to_le_bytes(), (blocks - 1) * BLOCK as u64).unwrap();
            let verity = append_tree(&mut file).unwrap();
            assert_eq!(verity.blocks, blocks);
            // It takes no tree without a level.
            if blocks > 1 {
                assert!(verified(&path, &verity), "{blocks}");
            }
            file.write_at(b"!", (blocks - 1) * BLOCK as u64 + 100).unwrap();
            assert!(!verified(&path, &verity), "{blocks}");
        }
    }

    #[test]
    fn nothing_has_no_tree() {
        assert!(append_tree(&mut tempfile::tempfile().unwrap()).is_err());
    }

    #[test]
    fn it_is_read_as_it_is_written_and_in_no_other_way() {
        let verity = Verity { blocks: 129, root: [0xab; HASH] };
        let text = verity.to_string();
        assert_eq!(text, format!("129:{}", "ab".repeat(32)));
        assert_eq!(text.parse(), Ok(verity));
        for bad in [
            "",
            "129",
            ":",
            &text[1..].replace("29:", "0:"),
            &text.replace("129", "0129"),
            &text.replace("129", "+129"),
            &text.replace("ab", "AB"),
            &text[..text.len() - 1],
            &format!("{text}0"),
            &format!("1:{}", "ä".repeat(32)),
        ] {
            assert_eq!(bad.parse::<Verity>(), Err(InvalidVerity), "{bad:?}");
        }
    }
}
