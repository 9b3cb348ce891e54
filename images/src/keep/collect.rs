// SPDX-License-Identifier: Apache-2.0
//! Which environments go, and what room that makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use reprove_model::Digest;
use reprove_store::Store;

use super::{KeepError, Place, at, read, remove};
use crate::guest::collect_images;

/// Removes the environments that are made of a blob that the store does not have any more, what was not finished, and files
/// that only these had, and the images of these for virtual machines. Gives how many, and how many bytes that frees. With
/// `dry_run` it only says so; then a blob that is `gone` is none that the store has. What is shared with environments that
/// stay, stays.
///
/// # Errors
/// See [`KeepError`].
pub fn collect(store: &Store, dry_run: bool, gone: &BTreeSet<Digest>) -> Result<(u64, u64), KeepError> {
    let (mut count, mut files, mut there) = (0, Links::default(), BTreeSet::new());
    let any = Place::of(store, &Digest::of(b""));
    if !any.folder.is_dir() {
        return Ok((0, 0));
    }
    let _lock = any.lock()?;
    files.add(&store.shared_root())?;
    for place in Place::all(store)? {
        let has = |blob: &Digest| !gone.contains(blob) && store.blob_root().join(Store::blob_name(blob)).is_file();
        if let Some(kept) = read(&place.list)?.filter(|kept| kept.members.iter().all(has)) {
            there.insert(kept.tree.blake3);
            continue;
        }
        count += 1;
        files.add(&place.files)?;
        if !dry_run {
            remove(&place)?;
        }
    }
    if !dry_run {
        store.collect_shared()?;
    }
    // What virtual machines have of those that are there stays.
    let images = collect_images(store, &there, dry_run).map_err(at(store.root()))?;
    Ok((count, files.freed() + images))
}

/// Files, each with how many of its names were seen.
#[derive(Default)]
struct Links(BTreeMap<(u64, u64), Names>);

struct Names {
    seen: u64,
    all: u64,
    bytes: u64,
}

impl Links {
    /// All below a folder.
    #[expect(clippy::disallowed_methods, reason = "a sum needs no order")]
    fn add(&mut self, folder: &Path) -> Result<(), KeepError> {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            // The list may be there, and the files be gone.
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&folder).map_err(at(&folder))? {
                let entry = entry.map_err(at(&folder))?;
                let found = entry.metadata().map_err(at(&entry.path()))?;
                if found.is_dir() {
                    folders.push(entry.path());
                } else if found.is_file() {
                    let names = Names { seen: 0, all: found.nlink(), bytes: found.len() };
                    self.0.entry((found.dev(), found.ino())).or_insert(names).seen += 1;
                }
            }
        }
        Ok(())
    }

    /// The bytes of those that have no other names.
    fn freed(&self) -> u64 {
        self.0.values().filter(|names| names.all <= names.seen).map(|names| names.bytes).sum()
    }
}
