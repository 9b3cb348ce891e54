// SPDX-License-Identifier: Apache-2.0
//! OCI images as a build's root filesystem: their layers, one over the other, as the image-spec has it ("Image Layer Filesystem
//! Changeset"), and made the same for everybody.
//!
//! Nothing is unpacked to a disk on the way: a layer is a list of paths, and what a path leads through are entries of that list.

mod export;
mod layers;
mod system;

pub use export::{ExportError, Exported, Packing, archive, export};
pub use layers::LayerError;
pub use system::SystemError;

use std::collections::BTreeMap;

use reprove_model::{Digest, DigestSet, Environment, ImageLock, LockedEnvironment, LockedLayer, Tree};
use reprove_store::{Store, UnpackLimits};

use crate::debian::TIME;
use crate::host::fixed_files;
use crate::keep::{Making, Shape};
use crate::{KeepError, RootFilesystem};

/// The files of an image with these layers, which are blobs of `store`, as a build sees them.
///
/// # Errors
/// See [`SystemError`].
pub fn tree(store: &Store, layers: &[LockedLayer]) -> Result<Tree, SystemError> {
    tree_within(store, layers, UnpackLimits::default())
}

fn tree_within(store: &Store, layers: &[LockedLayer], limits: UnpackLimits) -> Result<Tree, SystemError> {
    let mut entries = BTreeMap::new();
    let mut left = limits.bytes;
    for (number, layer) in (1..).zip(layers) {
        let fail = |error| SystemError::Layer { number, error };
        store.verify_blob(&layer.blake3)?;
        let limits = UnpackLimits { bytes: left, ..limits };
        let unpacked = store.unpack_layer(&layer.blake3, limits).map_err(|error| fail(error.into()))?;
        if unpacked.diff_id != layer.diff_id {
            return Err(fail(LayerError::DiffId { said: layer.diff_id, here: unpacked.diff_id }));
        }
        left = left.saturating_sub(layers::size(&unpacked));
        layers::apply(&mut entries, unpacked, limits.entries).map_err(fail)?;
    }
    system::seen(store, entries)
}

/// For the corpora and the fuzz targets alone: the files of an image with these layers, whatever their unpacked digests are.
///
/// # Errors
/// See [`SystemError`].
#[doc(hidden)]
pub fn unchecked(store: &Store, layers: &[Digest], limits: UnpackLimits) -> Result<Tree, SystemError> {
    let mut entries = BTreeMap::new();
    for (number, layer) in (1..).zip(layers) {
        let fail = |error| SystemError::Layer { number, error };
        let unpacked = store.unpack_layer(layer, limits).map_err(|error| fail(error.into()))?;
        layers::apply(&mut entries, unpacked, limits.entries).map_err(fail)?;
    }
    system::seen(store, entries)
}

/// How locks call an environment that is this image, with this tree.
#[must_use]
pub fn locked(lock: &ImageLock, tree: DigestSet) -> LockedEnvironment {
    let (of, image) = (&lock.platform, &lock.environment.image);
    let description = format!("image {} ({}/{}), {} layers", image.name(), of.os, of.architecture, lock.layers.len());
    LockedEnvironment { kind: Environment::Image(lock.environment.clone()), description, digest: tree }
}

fn making(lock: &ImageLock) -> Making {
    Making {
        key: lock.key(),
        members: lock.blobs().into_iter().map(|(_, digest, _)| digest.blake3).collect(),
        shape: shape(),
    }
}

/// What all of them look like.
pub(crate) fn shape() -> Shape {
    Shape { parts: None, time: TIME, files: fixed_files() }
}

/// Keeps the files of an environment that is this image, in place of what was there.
///
/// # Errors
/// See [`KeepError`].
pub fn keep(store: &Store, lock: &ImageLock, tree: &Tree) -> Result<RootFilesystem, KeepError> {
    crate::keep::keep(store, &making(lock), system::links(tree), tree, locked(lock, tree.digest()))
}

/// The environment that is this image, where it was kept and is still what it was.
///
/// # Errors
/// See [`KeepError`].
pub fn kept(store: &Store, lock: &ImageLock) -> Result<Option<RootFilesystem>, KeepError> {
    crate::keep::kept(store, &making(lock), |tree| locked(lock, tree))
}

#[cfg(test)]
mod tests;
