// SPDX-License-Identifier: Apache-2.0
//! Collection: what no root reaches and no living process uses goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rayon::prelude::*;
use reprove_model::Digest;

use crate::blobs::io_error;
use crate::lock::{Held, Kind, pinned};
use crate::options::ByteSize;
use crate::roots::{self, Root};
use crate::{Store, StoreError};

/// What a collection takes, beside what no root reaches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Collection {
    /// Roots and logs from before this time, in seconds since 1970. Without it no root is too old, and all logs stay.
    pub before: Option<i64>,
    /// As many of the oldest roots as it takes for all that is left to have at most so many bytes.
    pub at_most: Option<ByteSize>,
    /// Takes nothing, and says what it would take.
    pub dry_run: bool,
}

/// What a collection took, or would take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Names of roots, sorted.
    pub roots: Vec<String>,
    /// Lists of trees.
    pub trees: u64,
    /// Files.
    pub blobs: BTreeSet<Digest>,
    /// Logs that no root names.
    pub logs: u64,
    /// Bytes of all these together.
    pub freed: u64,
    /// How many roots are left.
    pub roots_left: u64,
    /// The bytes of blobs and lists of trees that are left.
    pub left: u64,
}

/// A log that no root names is a failed build's, or that of one that still runs, which takes seven days at most.
const LOG_STAYS: Duration = Duration::from_secs(8 * 24 * 60 * 60);

impl Store {
    /// Removes what no root reaches and no living process has named or used, after the roots that `what` says.
    ///
    /// Holds the store's lock alone: nobody names or unnames anything meanwhile. Killed at any point, it leaves a store in
    /// which everything that a root reaches is there, and no tree lacks a file: roots go first, then lists, then files.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Io`]; [`StoreError::BadRoot`], [`StoreError::Missing`] and
    /// [`StoreError::Damaged`] where it can't be known what a root keeps. Then nothing was removed.
    pub fn collect(&self, what: &Collection) -> Result<Collected, StoreError> {
        let held = self.hold(Kind::Alone)?;
        let there = Inventory::of(self)?;
        let plan = self.plan(what, &there, &held)?;
        let mut collected = Collected {
            roots: plan.roots.iter().map(|(name, _)| name.clone()).collect(),
            roots_left: plan.roots_left,
            ..Collected::default()
        };
        collected.roots.sort_unstable();
        for (_, path) in &plan.roots {
            collected.freed += size_of(path)?;
        }
        let logs = self.old_logs(what, &plan.logs)?;
        let (trees, trees_left) = there.trees.iter().partition::<Vec<_>, _>(|(digest, _)| !plan.kept.contains(digest));
        let (blobs, blobs_left) = there.blobs.iter().partition::<Vec<_>, _>(|(digest, _)| !plan.kept.contains(digest));
        let sum = |found: &[(&Digest, &u64)]| found.iter().map(|(_, size)| **size).sum::<u64>();
        collected.trees = trees.len() as u64;
        collected.blobs = blobs.iter().map(|(digest, _)| **digest).collect();
        collected.logs = logs.len() as u64;
        collected.freed += sum(&trees) + sum(&blobs) + logs.iter().map(|(_, size)| size).sum::<u64>();
        collected.left = sum(&trees_left) + sum(&blobs_left);
        if what.dry_run {
            return Ok(collected);
        }
        // Each kind is gone from the disk before what it kept.
        remove("roots", plan.roots.iter().map(|(_, path)| path.clone()), self)?;
        remove("logs", logs.into_iter().map(|(path, _)| path), self)?;
        remove("trees", trees.iter().map(|(digest, _)| self.tree_path(digest)), self)?;
        blobs.par_iter().try_for_each(|(digest, _)| remove_file(&self.blob_path(digest)))?;
        Ok(collected)
    }

    /// The bytes of all blobs and lists of trees together.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn size(&self) -> Result<u64, StoreError> {
        Ok(Inventory::of(self)?.size())
    }

    fn plan(&self, what: &Collection, there: &Inventory, held: &Held) -> Result<Plan, StoreError> {
        let mut plan = Plan::default();
        let mut left = Vec::new();
        for (name, path) in self.root_files()? {
            let root = roots::read(&path)?;
            if what.before.is_some_and(|before| root.since < before) {
                plan.roots.push((name, path));
            } else {
                left.push((root, name, path));
            }
        }
        // The newest first.
        left.sort_by(|(a, a_name, _), (b, b_name, _)| (b.since, b_name).cmp(&(a.since, a_name)));
        let pins = pinned(&self.root().join("tmp"), held)?;
        let used = Root {
            trees: pins.iter().copied().filter(|digest| there.trees.contains_key(digest)).collect(),
            blobs: pins,
            ..Root::default()
        };
        let mut bytes = plan.keep(self.reach(&used, there, Lists::MayBeDamaged)?, there);
        let mut is_full = false;
        for (root, name, path) in left {
            if !is_full {
                let reached = self.reach(&root, there, Lists::MustBeWhole)?;
                let more = plan.more(&reached, there);
                is_full = what.at_most.is_some_and(|most| bytes + more > most.0);
                if !is_full {
                    bytes += plan.keep(reached, there);
                    plan.logs.extend(root.logs);
                    plan.roots_left += 1;
                    continue;
                }
            }
            plan.roots.push((name, path));
        }
        Ok(plan)
    }

    /// All that `root` keeps.
    fn reach(&self, root: &Root, there: &Inventory, lists: Lists) -> Result<BTreeSet<Digest>, StoreError> {
        let mut reached = root.blobs.clone();
        for digest in &root.trees {
            reached.insert(*digest);
            match self.read_tree(digest) {
                Ok(tree) => reached.extend(tree.files().map(|(_, digests, _)| digests.blake3)),
                // A process that uses such a list has been told, or will be.
                Err(StoreError::Damaged(_) | StoreError::Missing(_)) if lists == Lists::MayBeDamaged => {}
                Err(error) => return Err(error),
            }
        }
        reached.retain(|digest| there.size_of(digest).is_some());
        Ok(reached)
    }

    #[expect(clippy::disallowed_methods, reason = "the order in which they are removed shows nowhere")]
    fn old_logs(&self, what: &Collection, named: &BTreeSet<String>) -> Result<Vec<(PathBuf, u64)>, StoreError> {
        let Some(before) = what.before else { return Ok(Vec::new()) };
        let folder = self.root().join("logs");
        let mut old = Vec::new();
        let newest = fs::metadata(&folder).and_then(|found| found.modified()).map_err(|e| io_error(&folder, e))?;
        let before = Duration::from_secs(u64::try_from(before).unwrap_or(0));
        let before = UNIX_EPOCH.checked_add(before).unwrap_or(newest);
        // By the file system's clock: where the caller's is wrong, no log of a build that still runs goes.
        let before = before.min(newest.checked_sub(LOG_STAYS).unwrap_or(UNIX_EPOCH));
        for entry in fs::read_dir(&folder).map_err(|e| io_error(&folder, e))? {
            let entry = entry.map_err(|e| io_error(&folder, e))?;
            let is_named = entry.file_name().to_str().is_some_and(|name| named.contains(name));
            let found = entry.metadata().map_err(|e| io_error(&entry.path(), e))?;
            if found.is_file() && !is_named && found.modified().is_ok_and(|modified| modified < before) {
                old.push((entry.path(), found.len()));
            }
        }
        Ok(old)
    }
}

/// Whether a list that can't be read ends the collection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    MayBeDamaged,
    MustBeWhole,
}

/// What is to go, and what is to stay.
#[derive(Default)]
struct Plan {
    roots: Vec<(String, PathBuf)>,
    roots_left: u64,
    kept: BTreeSet<Digest>,
    logs: BTreeSet<String>,
}

impl Plan {
    /// How many bytes of what is reached are not kept yet.
    fn more(&self, reached: &BTreeSet<Digest>, there: &Inventory) -> u64 {
        reached.difference(&self.kept).filter_map(|digest| there.size_of(digest)).sum()
    }

    /// Keeps it; gives how many bytes that adds.
    fn keep(&mut self, reached: BTreeSet<Digest>, there: &Inventory) -> u64 {
        let more = self.more(&reached, there);
        self.kept.extend(reached);
        more
    }
}

/// What is in a store, with its size in bytes. What has no digest for a name is no part of it.
pub(crate) struct Inventory {
    pub(crate) blobs: BTreeMap<Digest, u64>,
    pub(crate) trees: BTreeMap<Digest, u64>,
}

impl Inventory {
    pub(crate) fn of(store: &Store) -> Result<Self, StoreError> {
        // What needs something before that which it needs: what is added meanwhile then lacks nothing that is listed.
        let lists = listed(&store.root().join("trees"))?.into_iter();
        let known = lists.filter_map(|(name, path)| Some((name.strip_suffix(".json")?.parse().ok()?, path)));
        let trees = known.map(|(digest, path)| Ok((digest, size_of(&path)?))).collect::<Result<_, StoreError>>()?;
        let blobs = store.blob_root();
        let folders: Vec<(String, PathBuf)> = listed(&blobs)?.into_iter().filter(|(name, _)| name.len() == 2).collect();
        let inside: Vec<Vec<(Digest, u64)>> = folders
            .par_iter()
            .map(|(start, folder)| {
                let files = listed(folder)?.into_iter();
                let known = files.filter_map(|(end, path)| Some((format!("{start}{end}").parse().ok()?, path)));
                known.map(|(digest, path)| Ok((digest, size_of(&path)?))).collect()
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Self { blobs: inside.into_iter().flatten().collect(), trees })
    }

    fn size_of(&self, digest: &Digest) -> Option<u64> {
        self.blobs.get(digest).or_else(|| self.trees.get(digest)).copied()
    }

    fn size(&self) -> u64 {
        self.blobs.values().chain(self.trees.values()).sum()
    }
}

#[expect(clippy::disallowed_methods, reason = "the caller sorts them")]
pub(crate) fn listed(folder: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound) => return Ok(Vec::new()),
        Err(e) => return Err(io_error(folder, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| io_error(folder, e))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, entry.path()));
        }
    }
    Ok(names)
}

/// A file's size; 0 where it went since it was listed.
fn size_of(path: &Path) -> Result<u64, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(io_error(path, e)),
    }
}

fn remove(folder: &str, paths: impl Iterator<Item = PathBuf>, store: &Store) -> Result<(), StoreError> {
    let mut any = false;
    for path in paths {
        remove_file(&path)?;
        any = true;
    }
    if any { store.sync_folder(folder) } else { Ok(()) }
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error(path, e)),
        Ok(()) | Err(_) => Ok(()),
    }
}
