// SPDX-License-Identifier: Apache-2.0
//! One layer over those below it.

use std::collections::BTreeMap;
use std::ops::Bound;

use reprove_model::{Node, Sha256, TreePath};
use reprove_store::{Layer, UnpackError};
use thiserror::Error;

/// Why a layer can't be put over those below it.
#[derive(Debug, Error)]
pub enum LayerError {
    /// It can't be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// It is not what the configuration says.
    #[error("unpacked, its SHA-256 is {here}, and the image's configuration says {said}")]
    DiffId {
        /// In the configuration.
        said: Sha256,
        /// Of the tar archive.
        here: Sha256,
    },
    /// It has a path that leads through something that is no directory.
    #[error("it has {path}, and {through} is no directory; a layer has to name each file by where it really is")]
    Through {
        /// What it has.
        path: TreePath,
        /// What that leads through.
        through: TreePath,
    },
    /// It marks something as removed that nothing can be.
    #[error("it has {0}, which marks nothing as removed that a file could be")]
    Whiteout(TreePath),
    /// More than a system may have.
    #[error("with it there are more than {0} files, directories and links")]
    TooMany(usize),
}

/// What marks a path as removed begins so, and what follows is the name.
const WHITEOUT: &[u8] = b".wh.";
/// What marks all as removed that lower layers have in the directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What else begins so is of the file system that first had these, and means nothing here.
const OF_AUFS: &[u8] = b".wh..wh.";

/// How much the layer has for the bound on all of them together, in bytes: an entry has a header in the archive.
pub(super) fn size(layer: &Layer) -> u64 {
    let one = |node: &Node| if let Node::File { size, .. } = node { 512 + size } else { 512 };
    layer.entries.values().map(one).fold(0, u64::saturating_add)
}

/// Puts a layer over `entries`; there may be so `many` then.
pub(super) fn apply(entries: &mut BTreeMap<TreePath, Node>, layer: Layer, many: usize) -> Result<(), LayerError> {
    // What is marked as removed is so in the layers below, wherever in the archive the mark is.
    let mut added = BTreeMap::new();
    for (path, node) in layer.entries {
        match mark(&path)? {
            None => {
                added.insert(path, node);
            }
            Some(Mark::Nothing) => {}
            Some(Mark::Removed(gone)) => remove(entries, &gone),
            Some(Mark::Opaque(Some(directory))) => remove_below(entries, &directory),
            Some(Mark::Opaque(None)) => entries.clear(),
        }
    }
    for path in &layer.special {
        remove(entries, path);
    }
    for (path, node) in added {
        lead_to(entries, &path)?;
        let is_directory = |node: &Node| matches!(node, Node::Directory { .. });
        if !is_directory(&node) && entries.get(&path).is_some_and(is_directory) {
            remove_below(entries, &path);
        }
        entries.insert(path, node);
        if entries.len() > many {
            return Err(LayerError::TooMany(many));
        }
    }
    Ok(())
}

enum Mark {
    Removed(TreePath),
    Opaque(Option<TreePath>),
    Nothing,
}

/// What a path marks, where it marks something.
fn mark(path: &TreePath) -> Result<Option<Mark>, LayerError> {
    let parts: Vec<&[u8]> = path.as_bytes().split(|&b| b == b'/').collect();
    let Some((last, above)) = parts.split_last() else { return Ok(None) };
    let wrong = || LayerError::Whiteout(path.clone());
    if above.iter().any(|part| part.starts_with(WHITEOUT)) {
        return Err(wrong());
    }
    let Some(name) = last.strip_prefix(WHITEOUT) else { return Ok(None) };
    if *last == OPAQUE {
        return Ok(Some(Mark::Opaque(path.parent())));
    }
    if last.starts_with(OF_AUFS) {
        return Ok(Some(Mark::Nothing));
    }
    let mut gone = above.to_vec();
    gone.push(name);
    TreePath::new(gone.join(&b'/')).map(|gone| Some(Mark::Removed(gone))).map_err(|_| wrong())
}

/// Makes sure that a path is in a directory: those that the layer only implies are made.
fn lead_to(entries: &mut BTreeMap<TreePath, Node>, path: &TreePath) -> Result<(), LayerError> {
    let mut above = path.parent();
    while let Some(directory) = above {
        match entries.get(&directory) {
            // What leads to it is there as well.
            Some(Node::Directory { .. }) => return Ok(()),
            Some(_) => return Err(LayerError::Through { path: path.clone(), through: directory }),
            None => above = directory.parent(),
        }
        entries.insert(directory, Node::Directory { mode: 0o755 });
    }
    Ok(())
}

/// Removes a path and all below it.
pub(super) fn remove(entries: &mut BTreeMap<TreePath, Node>, path: &TreePath) {
    if matches!(entries.remove(path), Some(Node::Directory { .. })) {
        remove_below(entries, path);
    }
}

/// Removes all below a path.
fn remove_below(entries: &mut BTreeMap<TreePath, Node>, path: &TreePath) {
    let prefix = [path.as_bytes(), b"/"].concat();
    let after = entries.range((Bound::Excluded(path), Bound::Unbounded)).map(|(other, _)| other);
    let after = after.take_while(|other| other.as_bytes().starts_with(path.as_bytes()));
    let below: Vec<TreePath> = after.filter(|other| other.as_bytes().starts_with(&prefix)).cloned().collect();
    for path in below {
        entries.remove(&path);
    }
}
