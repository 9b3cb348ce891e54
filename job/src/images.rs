// SPDX-License-Identifier: Apache-2.0
//! The root filesystem that a job's builds see, where it is an image.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use reprove_attest::Signer;
use reprove_images::{RootFilesystem, oci};
use reprove_inputs::{InputsError, oci as images, read_lock};
use reprove_model::{
    DigestSet, Environment, EnvironmentLock, Image, ImageLock, ImageReference, Input, PackageUrl, Published,
    PublishedPart, Recipe,
};
use reprove_store::Store;
use reprove_verifier::Wanted;

use crate::prove::prove;
use crate::{Context, Finished, JobError, PackagesError, blocking, note_event};

/// Puts an image into the store, and the environment that it is. Paths are relative to `directory`.
///
/// # Errors
/// See [`JobError`].
pub async fn import(context: &Context<'_>, image: &ImageReference, directory: &Path) -> Result<ImageLock, JobError> {
    Ok(context.found(&Image { image: image.clone() }, directory).await?.1)
}

/// What the manifest of an image is called among the outputs of a recipe that builds one.
pub const MANIFEST_NAME: &str = "manifest.json";

/// Rebuilds an image that somebody published from a project's directory: one output has to be its manifest, `manifest.json`,
/// which names all else of it by digest. Paths of the image are relative to `here`. `key` signs the proof, also of a failure.
///
/// # Errors
/// See [`JobError`].
pub async fn rebuild_image(
    context: &Context<'_>,
    recipe: Recipe,
    directory: &Path,
    (image, here): (&ImageReference, &Path),
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    crate::has_output(&recipe, MANIFEST_NAME)?;
    let notes = |note| (context.events)(note_event(note));
    let found = images::find(image, here, &context.skopeo, &context.store, &notes).await?;
    let (mut lock, root) = context.lock_directory(recipe, directory).await?;
    let manifest = found.manifest;
    let purl = PackageUrl::oci(&image.name(), &manifest.sha256, None).map_err(InputsError::from)?;
    let name = MANIFEST_NAME.parse().map_err(InputsError::from)?;
    let (digest, size) = (manifest.digest(), manifest.size);
    let layers: BTreeSet<PublishedPart> =
        found.layers.iter().map(|layer| PublishedPart { digest: layer.digest(), size: layer.size }).collect();
    let (store, inputs, own) = (context.store.clone(), lock.inputs.clone(), layers.clone());
    blocking(move || {
        crate::is_not_in_source(&store, &inputs, &digest)?;
        are_not_in_source(&store, &inputs, &own)
    })
    .await??;
    let config = PublishedPart { digest: found.config.digest(), size: found.config.size };
    let parts = layers.into_iter().chain([config]).collect();
    lock.published = Some(Published { purl: Some(purl), name, digest, size, derived: BTreeSet::new(), parts });
    let wanted = context.wanted(&lock, &root, Wanted::of_published());
    prove(context, key, lock, root, wanted).await
}

/// Fails where every layer that was published is in the source: what is below an image may be, and what it adds may not.
fn are_not_in_source(store: &Store, inputs: &[Input], layers: &BTreeSet<PublishedPart>) -> Result<(), JobError> {
    let mut last = None;
    for layer in layers {
        match crate::is_not_in_source(store, inputs, &layer.digest) {
            Ok(()) => return Ok(()),
            Err(JobError::ArtifactInSource(path)) => last = Some(path),
            Err(error) => return Err(error),
        }
    }
    last.map_or(Ok(()), |path| Err(JobError::ArtifactInSource(path)))
}

/// The environment of a project directory's recipe, where it is one that can be packed: its lock is written where there is none.
///
/// # Errors
/// See [`JobError`]; [`PackagesError::HostUsr`].
pub async fn packed_environment(
    context: &Context<'_>,
    recipe: &Recipe,
    directory: &Path,
) -> Result<RootFilesystem, JobError> {
    recipe.check().map_err(InputsError::from)?;
    if recipe.environment == Environment::HostUsr {
        return Err(PackagesError::HostUsr.into());
    }
    Ok(context.environment(&recipe.environment, directory).await?.0)
}

impl Context<'_> {
    /// With the image that `reprove.lock` has, where it is the one that is asked for; else with the one that there is now,
    /// which is written there.
    pub(crate) async fn of_image(
        &self,
        asked: &Image,
        directory: &Path,
    ) -> Result<(RootFilesystem, Vec<Input>), JobError> {
        let read = read_lock(directory)?;
        let lock = match &read {
            Some(EnvironmentLock::Image(lock)) if lock.environment == *asked => lock,
            _ => {
                let (root, lock) = self.found(asked, directory).await?;
                let (inputs, what) = (lock.inputs(), format!("an image of {} layers", lock.layers.len()));
                self.write(directory, &EnvironmentLock::Image(Box::new(lock)), read.is_some(), &what);
                return Ok((root, inputs));
            }
        };
        let notes = |note| (self.events)(note_event(note));
        images::ensure(lock, directory, &self.skopeo, &self.store, &notes).await?;
        let root = self.unpacked(lock).await?;
        let (locked, here) = (lock.tree.blake3, root.locked.digest.blake3);
        if lock.tree != root.locked.digest {
            return Err(PackagesError::Other { what: "image makes", locked, here }.into());
        }
        Ok((root, lock.inputs()))
    }

    /// With the image that there is now, and what there is to lock of it.
    pub(crate) async fn found(&self, asked: &Image, directory: &Path) -> Result<(RootFilesystem, ImageLock), JobError> {
        let notes = |note| (self.events)(note_event(note));
        let found = images::find(&asked.image, directory, &self.skopeo, &self.store, &notes).await?;
        // What its files are comes out where it is unpacked.
        let mut lock = found.lock(asked.clone(), DigestSet::of(b""));
        let root = self.unpacked(&lock).await?;
        lock.tree = root.locked.digest;
        Ok((root, lock))
    }

    /// The image, unpacked; from the store where it was before.
    async fn unpacked(&self, lock: &ImageLock) -> Result<RootFilesystem, JobError> {
        let (store, of) = (self.store.clone(), lock.clone());
        if let Some(root) = blocking(move || oci::kept(&store, &of)).await?.map_err(PackagesError::from)? {
            return Ok(root);
        }
        self.doing(&format!("unpacking the {} layers of an image; done once for each image", lock.layers.len()));
        let (store, lock) = (self.store.clone(), lock.clone());
        let made = blocking(move || {
            let tree = oci::tree(&store, &lock.layers).map_err(PackagesError::from)?;
            oci::keep(&store, &lock, &tree).map_err(PackagesError::from)
        });
        Ok(made.await??)
    }
}
