// SPDX-License-Identifier: Apache-2.0
//! OCI images for an environment: which one it is, exactly, and its blobs.
//!
//! Layouts and archives are read here; from registries the machine's skopeo fetches, with the credentials, mirrors and
//! policies that it is set up with. Nothing is believed of either: each blob has the digest that the one above it says.

mod documents;
mod error;
mod referrers;
mod skopeo;
mod source;

pub use error::ImageError;
pub use referrers::{Attached, PROOF_TYPE, Proofs, Way, attach, attached};
pub use skopeo::Skopeo;

use std::path::Path;

use reprove_model::{DigestSet, Image, ImageLock, ImageReference, LockedBlob, LockedLayer, Platform, Sha256};
use reprove_store::Store;

use self::documents::{Config, Manifest, Reader};
use self::source::Source;
use crate::{InputsError, Note, blocking};

/// An image whose blobs are in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// For which machines it is.
    pub platform: Platform,
    /// Of the index that it was found in, where there is one.
    pub index: Option<LockedBlob>,
    /// Of its manifest.
    pub manifest: LockedBlob,
    /// Of its configuration.
    pub config: LockedBlob,
    /// Its layers, the lowest first.
    pub layers: Vec<LockedLayer>,
}

impl Found {
    /// It as what `reprove.lock` has, once its files are known.
    #[must_use]
    pub fn lock(self, asked: Image, tree: DigestSet) -> ImageLock {
        let Self { platform, index, manifest, config, layers } = self;
        let version = ImageLock::VERSION;
        ImageLock { version, tree, environment: asked, platform, index, manifest, config, layers }
    }
}

/// Finds an image for this machine, and puts its blobs into `store`. Paths are relative to `directory`.
///
/// # Errors
/// See [`ImageError`].
pub async fn find(
    asked: &ImageReference,
    directory: &Path,
    skopeo: &Skopeo,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Found, InputsError> {
    notes(Note::Doing(format!("looking for the image {asked}")));
    let mut source = Source::open(asked, directory, skopeo, store).await?;
    let (digest, bytes) = source.start(asked).await?;
    chosen(&mut source, digest, bytes, store).await
}

/// Makes sure that the blobs of an image that is locked are in `store`: it is asked for where they are not.
///
/// # Errors
/// See [`ImageError`]; [`ImageError::Gone`] where it is not there any more.
pub async fn ensure(
    lock: &ImageLock,
    directory: &Path,
    skopeo: &Skopeo,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<(), InputsError> {
    let (blobs, from) = (lock.blobs(), store.clone());
    let are_there = blocking::run(store.root(), move || {
        Ok::<_, InputsError>(blobs.iter().all(|(_, digest, _)| from.verify_blob(&digest.blake3).is_ok()))
    });
    if are_there.await? {
        return Ok(());
    }
    let asked = &lock.environment.image;
    notes(Note::Doing(format!("fetching the image {asked}, as it is locked")));
    let mut source = Source::open(asked, directory, skopeo, store).await?;
    let digest = lock.index.as_ref().map_or(lock.manifest.sha256, |index| index.sha256);
    let bytes = source.document(&digest).await?;
    let found = chosen(&mut source, digest, bytes, store).await?;
    let same = (&found.manifest, &found.config, &found.layers) == (&lock.manifest, &lock.config, &lock.layers);
    if same { Ok(()) } else { Err(ImageError::Gone(lock.manifest.sha256).into()) }
}

/// The image that a manifest is of, or that an index has for this machine.
async fn chosen(source: &mut Source, digest: Sha256, bytes: Vec<u8>, store: &Store) -> Result<Found, InputsError> {
    let (index, manifest, bytes) = match Reader::read(&bytes)? {
        Reader::Manifest(manifest) => (None, manifest, (digest, bytes)),
        Reader::Index(index) => {
            let one = index.for_this_machine()?.clone();
            let inner = source.document(&one.digest).await?;
            if inner.len() as u64 != one.size {
                return Err(ImageError::Size { digest: one.digest, said: one.size, here: inner.len() as u64 }.into());
            }
            match Reader::read(&inner)? {
                Reader::Manifest(manifest) => {
                    (Some(kept(store, &bytes, index.media_type)?), manifest, (one.digest, inner))
                }
                Reader::Index(_) => return Err(ImageError::Nested(one.digest).into()),
            }
        }
    };
    let (digest, text) = bytes;
    let Manifest { media_type, config, layers } = manifest;
    source.bring(&digest).await?;
    let blob = |one: &documents::Described, digest: DigestSet| LockedBlob {
        media_type: one.media_type.clone(),
        size: one.size,
        blake3: digest.blake3,
        sha256: digest.sha256,
    };
    let of_config = source.blob(&config, documents::MAX_BYTES).await?;
    let Config { platform, diff_ids } = Config::read(&store.read_blob(&of_config.blake3, documents::MAX_BYTES)?)?;
    documents::is_for_this_machine(&platform)?;
    if diff_ids.len() != layers.len() {
        return Err(ImageError::Layers { manifest: layers.len(), config: diff_ids.len() }.into());
    }
    let mut locked = Vec::new();
    for (layer, diff_id) in layers.iter().zip(diff_ids) {
        let LockedBlob { media_type, size, blake3, sha256 } = blob(layer, source.blob(layer, MAX_LAYER).await?);
        locked.push(LockedLayer { media_type, size, blake3, sha256, diff_id });
    }
    let manifest = kept(store, &text, media_type)?;
    Ok(Found { platform, index, manifest, config: blob(&config, of_config), layers: locked })
}

/// For fuzzing: a document as each kind of them.
pub(crate) fn artifact(bytes: &[u8]) -> Result<Option<String>, ImageError> {
    referrers::artifact_blob(bytes)
}

/// The same, of an image.
pub(crate) fn documents(bytes: &[u8]) -> [Result<String, ImageError>; 3] {
    let index = documents::Index::read(bytes).and_then(|index| Ok(format!("{:?}", index.for_this_machine()?)));
    let config = Config::read(bytes).map(|config| format!("{:?}", config.platform));
    [Reader::read(bytes).map(|read| format!("{read:?}")), index, config]
}

/// The largest layer that is fetched, in bytes.
const MAX_LAYER: u64 = 4 << 30;

fn kept(store: &Store, bytes: &[u8], media_type: String) -> Result<LockedBlob, InputsError> {
    let (digest, size) = store.add_bytes(bytes)?;
    Ok(LockedBlob { media_type, size, blake3: digest.blake3, sha256: digest.sha256 })
}

#[cfg(test)]
mod tests;
