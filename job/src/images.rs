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

use crate::environment::is_locked;
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
    crate::has_output(&recipe, MANIFEST_NAME).map_err(|_| JobError::NoManifest(recipe.outputs.paths.join(", ")))?;
    let notes = |note| (context.events)(note_event(note));
    let found = images::find(image, here, &context.skopeo, &context.store, &notes).await?;
    let (mut lock, root) = context.lock_directory(recipe, directory).await?;
    let manifest = found.manifest;
    let purl = PackageUrl::oci(&image.name(), &manifest.sha256, None).map_err(InputsError::from)?;
    let name = MANIFEST_NAME.parse().map_err(InputsError::from)?;
    let (digest, size) = (manifest.digest(), manifest.size);
    let config = (found.config.digest(), found.config.size);
    let layers: Vec<(DigestSet, u64)> = found.layers.iter().map(|layer| (layer.digest(), layer.size)).collect();
    let (store, inputs) = (context.store.clone(), lock.inputs.clone());
    let parts = blocking(move || {
        crate::is_not_in_source(&store, &inputs, &digest)?;
        parts(&store, &inputs, config, &layers)
    });
    let parts = parts.await??;
    lock.published = Some(Published { purl: Some(purl), name, digest, size, derived: BTreeSet::new(), parts });
    let wanted = context.wanted(&lock, &root, Wanted::of_published());
    prove(context, key, lock, root, wanted).await
}

/// The configuration and the layers, the lowest first, as parts. What is below an image, and its configuration, may lie in the
/// source, which is said of it; fails where the top layer does, which is what the image adds.
fn parts(
    store: &Store,
    inputs: &[Input],
    config: (DigestSet, u64),
    layers: &[(DigestSet, u64)],
) -> Result<BTreeSet<PublishedPart>, JobError> {
    if let Some((top, _)) = layers.last() {
        crate::is_not_in_source(store, inputs, top)?;
    }
    let part = |&(digest, size): &(DigestSet, u64)| {
        let in_source = match crate::is_not_in_source(store, inputs, &digest) {
            Ok(()) => false,
            Err(JobError::ArtifactInSource(_)) => true,
            Err(error) => return Err(error),
        };
        Ok(PublishedPart { digest, size, in_source })
    };
    layers.iter().chain([&config]).map(part).collect()
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
        is_locked("image makes", &lock.tree, &root.locked.digest)?;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use reprove_model::{Content, Role};
    use reprove_store::IngestLimits;

    use super::*;

    #[test]
    fn a_layer_in_the_source_is_said_to_be_there_and_the_top_one_may_not_be() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("base.tar"), "base").unwrap();
        let tree = store.add_tree(&source, IngestLimits::default(), &|_| false).unwrap();
        let content = Content::Tree { digest: tree.digest() };
        let inputs = [Input { name: "source".parse().unwrap(), role: Role::Source, purl: None, content }];
        let layer = |text: &str| (DigestSet::of(text.as_bytes()), text.len() as u64);
        let with = |config: &str, layers: &[&str]| {
            parts(&store, &inputs, layer(config), &layers.iter().map(|text| layer(text)).collect::<Vec<_>>())
        };
        let of = |layers: &[&str]| with("config", layers);
        let in_source = |layers: &[&str]| -> Vec<DigestSet> {
            of(layers).unwrap().into_iter().filter(|part| part.in_source).map(|part| part.digest).collect()
        };
        assert_eq!(in_source(&["one", "two"]), []);
        assert_eq!(in_source(&["base", "two"]), [layer("base").0]);
        let copied: Vec<PublishedPart> =
            with("base", &["one"]).unwrap().into_iter().filter(|part| part.in_source).collect();
        assert_eq!(copied, [PublishedPart { digest: layer("base").0, size: 4, in_source: true }]);
        // What is there as a file of its own.
        let content = Content::File { digest: layer("one").0, size: 3 };
        let tool = Input { name: "one".parse().unwrap(), role: Role::Tool, purl: None, content };
        assert!(parts(&store, &[tool], layer("config"), &[layer("one")]).is_err());
        for copied in [&["one", "base"][..], &["base"]] {
            assert!(matches!(of(copied), Err(JobError::ArtifactInSource(path)) if path == "base.tar"), "{copied:?}");
        }
    }
}
