// SPDX-License-Identifier: Apache-2.0
//! Tiles (C2SP tlog-tiles, "Merkle Tree" and "Log Entries"): 256 hashes of one level, or 256 entries, in a file.

use std::io;
use std::path::{Path, PathBuf};

use reprove_attest::log::merkle::{Hash, Subtrees, leaf_hash, node_hash, root};

use crate::{LogError, MAX_ENTRY, read};

/// Hashes in a tile: a tile of one level is one hash of the next.
pub(crate) const WIDTH: u64 = 256;
/// How many levels of the tree a tile stands for.
const LEVELS: u32 = 8;

/// Which tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of hashes: of entries at level 0, of tiles of the level below at all others.
    Hashes(u32),
    /// Of entries.
    Entries,
}

/// The path of a tile below the log's folder, with `width` in it; 256 is a whole one.
pub(crate) fn path(kind: Kind, number: u64, width: u64) -> PathBuf {
    let level = match kind {
        Kind::Hashes(level) => level.to_string(),
        Kind::Entries => "entries".into(),
    };
    let mut groups = vec![format!("{:03}", number % 1000)];
    let mut rest = number / 1000;
    while rest > 0 {
        groups.insert(0, format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    let mut path = PathBuf::from("tile").join(level);
    path.extend(&groups);
    if width < WIDTH {
        path.as_mut_os_string().push(".p");
        path.push(width.to_string());
    }
    path
}

/// The tiles of a log's first `size` entries.
pub(crate) struct Tiles<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) size: u64,
}

impl Tiles<'_> {
    /// How much is in a tile.
    fn width(&self, kind: Kind, number: u64) -> u64 {
        let all = match kind {
            Kind::Hashes(level) => self.size.checked_shr(level * LEVELS).unwrap_or(0),
            Kind::Entries => self.size,
        };
        all.saturating_sub(number.saturating_mul(WIDTH)).min(WIDTH)
    }

    /// Reads a tile. One that has grown since is whole by now, and begins with what was asked for.
    fn read(&self, kind: Kind, number: u64) -> Result<(PathBuf, Vec<u8>, u64), LogError> {
        let width = self.width(kind, number);
        let mut at = self.folder.join(path(kind, number, width));
        let most = match kind {
            Kind::Hashes(_) => WIDTH * 32,
            Kind::Entries => WIDTH * (MAX_ENTRY as u64 + 2),
        };
        let bytes = match read(&at, most) {
            Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && width < WIDTH => {
                at = self.folder.join(path(kind, number, WIDTH));
                read(&at, most)?
            }
            read => read?,
        };
        Ok((at, bytes, width))
    }

    /// The hashes of a tile.
    pub(crate) fn hashes(&self, level: u32, number: u64) -> Result<Vec<Hash>, LogError> {
        let (path, bytes, width) = self.read(Kind::Hashes(level), number)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        let width = usize::try_from(width).unwrap_or(usize::MAX);
        match hashes.get(..width) {
            Some(hashes) if rest.is_empty() => Ok(hashes.to_vec()),
            _ => Err(LogError::Damaged(path)),
        }
    }

    /// The entries of a tile.
    pub(crate) fn entries(&self, number: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let (path, bytes, width) = self.read(Kind::Entries, number)?;
        let mut rest = bytes.as_slice();
        let mut entries = Vec::new();
        while (entries.len() as u64) < width {
            let taken = rest
                .split_first_chunk::<2>()
                .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*length))));
            let Some((entry, after)) = taken else { return Err(LogError::Damaged(path)) };
            entries.push(entry.to_vec());
            rest = after;
        }
        Ok(entries)
    }

    pub(crate) fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let place = usize::try_from(index % WIDTH).unwrap_or(0);
        let number = index / WIDTH;
        let missing =
            || LogError::Damaged(self.folder.join(path(Kind::Entries, number, self.width(Kind::Entries, number))));
        self.entries(number)?.into_iter().nth(place).ok_or_else(missing)
    }

    /// Whether every entry hashes to what level 0 has, every tile to what the level above it has, and all to `expected`.
    pub(crate) fn verify(&self, expected: &Hash) -> Result<(), LogError> {
        let damaged = |kind, number| LogError::Damaged(self.folder.join(path(kind, number, self.width(kind, number))));
        for number in 0..self.size.div_ceil(WIDTH) {
            let found: Vec<Hash> = self.entries(number)?.iter().map(|entry| leaf_hash(entry)).collect();
            if found != self.hashes(0, number)? {
                return Err(damaged(Kind::Entries, number));
            }
        }
        let mut level = 0;
        while let whole @ 1.. = self.size.checked_shr((level + 1) * LEVELS).unwrap_or(0) {
            for number in 0..whole {
                let above = self.hashes(level + 1, number / WIDTH)?;
                let found = tile_root(&self.hashes(level, number)?);
                if above.get(usize::try_from(number % WIDTH).unwrap_or(0)) != found.as_ref() {
                    return Err(damaged(Kind::Hashes(level), number));
                }
            }
            level += 1;
        }
        if root(self, self.size)? == *expected {
            Ok(())
        } else {
            Err(LogError::Damaged(self.folder.join("checkpoint")))
        }
    }
}

impl Subtrees for Tiles<'_> {
    type Error = LogError;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, LogError> {
        let (tile_level, within) = (level / LEVELS, level % LEVELS);
        let first = index << within;
        let number = first / WIDTH;
        let hashes = self.hashes(tile_level, number)?;
        let place = usize::try_from(first % WIDTH).unwrap_or(0);
        let part = hashes.get(place..place + (1 << within));
        let damaged = || {
            let kind = Kind::Hashes(tile_level);
            LogError::Damaged(self.folder.join(path(kind, number, self.width(kind, number))))
        };
        part.and_then(tile_root).ok_or_else(damaged)
    }
}

/// The root of so many hashes of one level, a power of two; none of none.
pub(crate) fn tile_root(hashes: &[Hash]) -> Option<Hash> {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    level.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_have_the_paths_of_the_specification() {
        for (kind, number, width, expected) in [
            (Kind::Hashes(0), 0, 256, "tile/0/000"),
            (Kind::Hashes(1), 5, 17, "tile/1/005.p/17"),
            (Kind::Hashes(0), 1_234_067, 256, "tile/0/x001/x234/067"),
            (Kind::Entries, 1_000, 1, "tile/entries/x001/000.p/1"),
        ] {
            assert_eq!(path(kind, number, width).to_str(), Some(expected));
        }
    }

    /// The examples of C2SP tlog-tiles, "Partial Tiles".
    #[test]
    fn tiles_are_as_wide_as_in_the_specification() {
        let widths = |size, level, numbers: [u64; 3]| {
            let tiles = Tiles { folder: Path::new(""), size };
            numbers.map(|number| tiles.width(Kind::Hashes(level), number))
        };
        assert_eq!(widths(70_000, 0, [272, 273, 274]), [256, 112, 0]);
        assert_eq!(widths(70_000, 1, [0, 1, 2]), [256, 17, 0]);
        assert_eq!(widths(70_000, 2, [0, 1, 2]), [1, 0, 0]);
        assert_eq!(widths(70_000, 3, [0, 1, 2]), [0, 0, 0]);
        assert_eq!((widths(256, 0, [0, 1, 2]), widths(256, 1, [0, 1, 2])), ([256, 0, 0], [1, 0, 0]));
    }
}
