// SPDX-License-Identifier: Apache-2.0
//! Adding to a log.

use std::fs;
use std::io;
use std::ops::Range;

use reprove_attest::Signer;
use reprove_attest::log::Checkpoint;
use reprove_attest::log::merkle::{Hash, leaf_hash, root};

use crate::tiles::{Kind, Tiles, WIDTH, path, tile_root};
use crate::{Log, LogError, MAX_ENTRY, Record, io_error, key_of, signed, write_whole};

impl Log {
    /// Adds entries, signs what the log is then, and gives their places. They are in the log, and on the disk, when this
    /// returns; before, none of them is.
    ///
    /// # Errors
    /// [`LogError::Busy`] where another process adds; [`LogError::Note`] where `key` is not the log's, or does not sign; see [`LogError`].
    pub fn append(&mut self, records: &[Record], key: &dyn Signer) -> Result<Range<u64>, LogError> {
        let entries: Vec<&[u8]> = records.iter().map(|record| record.entry.as_slice()).collect();
        if let Some(entry) = entries.iter().find(|entry| entry.len() > MAX_ENTRY) {
            return Err(LogError::TooLong(entry.len()));
        }
        let _lock = self.lock()?;
        // As it is now: another process may have added to it since it was opened.
        let own = key_of(&self.checkpoint.origin, key)?;
        *self = Self::open(&self.folder, Some(&own))?;
        let (origin, start) = (self.checkpoint.origin.clone(), self.checkpoint.size);
        let added = start..start + entries.len() as u64;
        if entries.is_empty() {
            return Ok(added);
        }
        // Nothing is signed that does not begin with what was signed before, whatever somebody has done to the files.
        if root(&self.tiles(), start)? != self.checkpoint.root {
            return Err(LogError::Damaged(self.folder.clone()));
        }
        self.add_entries(start, &entries)?;
        self.add_hashes(start, entries.iter().map(|entry| leaf_hash(entry)).collect())?;
        self.list(start, records)?;
        let root = root(&Tiles { folder: &self.folder, size: added.end }, added.end)?;
        self.checkpoint = Checkpoint { origin, size: added.end, root };
        self.note = signed(&self.checkpoint, key)?;
        self.publish()?;
        self.remove_partial(start..added.end)?;
        Ok(added)
    }

    /// Removes the partial tiles of which there are whole ones by now, as tlog-tiles allows: whoever asks for one that is
    /// gone asks for the whole one.
    fn remove_partial(&self, added: Range<u64>) -> Result<(), LogError> {
        let (mut level, mut range) = (0, added.start / WIDTH..added.end / WIDTH);
        while !range.is_empty() {
            let kinds = [Some(Kind::Hashes(level)), (level == 0).then_some(Kind::Entries)];
            for kind in kinds.into_iter().flatten() {
                for number in range.clone() {
                    let partial = self.folder.join(path(kind, number, 1));
                    let folder = partial.parent().unwrap_or(&self.folder);
                    match fs::remove_dir_all(folder) {
                        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error(folder, e)),
                        _ => {}
                    }
                }
            }
            (level, range) = (level + 1, range.start / WIDTH..range.end / WIDTH);
        }
        Ok(())
    }

    fn add_entries(&self, start: u64, entries: &[&[u8]]) -> Result<(), LogError> {
        let bytes = |entry: &[u8]| {
            let length = u16::try_from(entry.len()).map_err(|_| LogError::TooLong(entry.len()))?;
            Ok::<_, LogError>([&length.to_be_bytes(), entry].concat())
        };
        for (number, part) in parts(start, entries) {
            let before = if start > number * WIDTH { self.tiles().entries(number)? } else { Vec::new() };
            let leaves: Vec<Hash> = before.iter().map(|entry| leaf_hash(entry)).collect();
            if !leaves.is_empty() && self.tiles().hashes(0, number)? != leaves {
                return Err(LogError::Damaged(self.folder.join(path(Kind::Entries, number, before.len() as u64))));
            }
            let all = before
                .iter()
                .map(Vec::as_slice)
                .chain(part.iter().copied())
                .map(bytes)
                .collect::<Result<Vec<_>, _>>()?;
            self.write(Kind::Entries, number, all.len() as u64, &all.concat())?;
        }
        Ok(())
    }

    /// Adds hashes to level 0, and those of the tiles that this makes whole to the levels above.
    fn add_hashes(&self, start: u64, hashes: Vec<Hash>) -> Result<(), LogError> {
        let (mut level, mut start, mut hashes) = (0, start, hashes);
        while !hashes.is_empty() {
            let mut whole = Vec::new();
            for (number, part) in parts(start, &hashes) {
                let mut all = if start > number * WIDTH { self.tiles().hashes(level, number)? } else { Vec::new() };
                all.extend(part);
                self.write(Kind::Hashes(level), number, all.len() as u64, all.as_flattened())?;
                if all.len() as u64 == WIDTH {
                    whole.extend(tile_root(&all));
                }
            }
            (level, start, hashes) = (level + 1, start / WIDTH, whole);
        }
        Ok(())
    }

    fn write(&self, kind: Kind, number: u64, width: u64, bytes: &[u8]) -> Result<(), LogError> {
        let path = self.folder.join(path(kind, number, width));
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(|e| io_error(folder, e))?;
        write_whole(&path, bytes)
    }
}

/// What goes into which tile, where the first comes at the place `start`.
fn parts<T>(start: u64, items: &[T]) -> Vec<(u64, &[T])> {
    let mut parts = Vec::new();
    let (mut place, mut rest) = (start, items);
    while !rest.is_empty() {
        let room = usize::try_from(WIDTH - place % WIDTH).unwrap_or(usize::MAX).min(rest.len());
        let (part, after) = rest.split_at(room);
        parts.push((place / WIDTH, part));
        place += room as u64;
        rest = after;
    }
    parts
}
