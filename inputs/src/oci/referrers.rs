// SPDX-License-Identifier: Apache-2.0
//! Proofs at images: artifacts whose `subject` is the image (image-spec 1.1, "Guidelines for Artifact Usage";
//! distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema").
//!
//! Nothing is verified here but digests: that an artifact says to be of an image is its own word.

mod layout;
mod registry;

use std::path::Path;

use oci_spec::image::ImageManifest;
use reprove_model::canonical;
use reprove_model::{ImagePlace, ImageReference, Sha256};
use serde_json::{Value, json};

use self::layout::LayoutStore;
use self::registry::Registry;
use super::ImageError;
use super::documents::{Described, Index, bounded, described, plain};
use crate::{InputsError, blocking};

/// What a proof is called among artifacts, and what its one blob is.
pub const PROOF_TYPE: &str = "application/vnd.reprove.proof.v1+json";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration of what has none (image-spec, "Guidance for an Empty Descriptor").
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");
/// The most artifacts that are looked at.
const MAX_REFERRERS: usize = 1000;

/// How artifacts of an image are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In a layout's index.
    Layout,
    /// By the registry's own list of them.
    Api,
    /// By an index under the tag `sha256-…`, since the registry has no such list.
    Tag,
}

impl Way {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Layout => "layout",
            Self::Api => "referrers-api",
            Self::Tag => "referrers-tag",
        }
    }
}

/// A proof at an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The image's manifest or index.
    pub subject: Sha256,
    /// The artifact's manifest.
    pub manifest: Sha256,
    /// How it is found.
    pub way: Way,
}

/// The proofs at an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// The image's manifest or index.
    pub subject: Sha256,
    /// How they were found.
    pub way: Way,
    /// Each artifact's manifest, and the proof's bytes.
    pub proofs: Vec<(Sha256, Vec<u8>)>,
}

/// What of an image something is attached to.
struct Subject {
    media_type: String,
    digest: Sha256,
    size: u64,
}

/// Attaches a proof to an image that is in a layout or a registry. Paths are relative to `directory`. The same proof gives the
/// same artifact, which is there once.
///
/// # Errors
/// See [`ImageError`]; [`ImageError::ReadOnly`] for an archive.
pub async fn attach(asked: &ImageReference, directory: &Path, proof: &[u8]) -> Result<Attached, InputsError> {
    match &asked.place {
        ImagePlace::Archive(_) => Err(ImageError::ReadOnly(asked.to_string()).into()),
        ImagePlace::Layout(path) => {
            let (root, asked, proof) = (directory.join(path), asked.clone(), proof.to_vec());
            blocking::run(directory, move || {
                let layout = LayoutStore::open(&root)?;
                let subject = layout.subject(&asked)?;
                let manifest = layout.attach(&artifact(&subject, &proof)?, &proof)?;
                Ok::<_, InputsError>(Attached { subject: subject.digest, manifest, way: Way::Layout })
            })
            .await
        }
        ImagePlace::Registry { host, name } => {
            let mut registry = Registry::new(host, name);
            let subject = registry.subject(asked).await?;
            let (manifest, way) = registry.attach(&subject, &artifact(&subject, proof)?, proof).await?;
            Ok(Attached { subject: subject.digest, manifest, way })
        }
    }
}

/// The proofs that are attached to an image, each of at most so many bytes.
///
/// # Errors
/// See [`ImageError`].
pub async fn attached(asked: &ImageReference, directory: &Path, most: u64) -> Result<Proofs, InputsError> {
    match &asked.place {
        ImagePlace::Archive(_) => Err(ImageError::ReadOnly(asked.to_string()).into()),
        ImagePlace::Layout(path) => {
            let (root, asked) = (directory.join(path), asked.clone());
            blocking::run(directory, move || {
                let layout = LayoutStore::open(&root)?;
                let subject = layout.subject(&asked)?.digest;
                Ok::<_, InputsError>(Proofs { subject, way: Way::Layout, proofs: layout.proofs(&subject, most)? })
            })
            .await
        }
        ImagePlace::Registry { host, name } => {
            let mut registry = Registry::new(host, name);
            let subject = registry.subject(asked).await?.digest;
            let (way, proofs) = registry.proofs(&subject, most).await?;
            Ok(Proofs { subject, way, proofs })
        }
    }
}

/// The manifest of the artifact that a proof is; the same each time.
fn artifact(subject: &Subject, proof: &[u8]) -> Result<Vec<u8>, InputsError> {
    let blob = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": format!("sha256:{}", Sha256::of(bytes)), "size": bytes.len() });
    let of = json!({
        "mediaType": subject.media_type,
        "digest": format!("sha256:{}", subject.digest),
        "size": subject.size,
    });
    canonical::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": PROOF_TYPE,
        "config": blob(EMPTY.0, EMPTY.1),
        "layers": [blob(PROOF_TYPE, proof)],
        "subject": of,
    }))
    .map_err(|e| document(e.to_string()).into())
}

/// What an index says of such a manifest.
fn listed(manifest: &[u8]) -> Value {
    json!({
        "mediaType": MANIFEST,
        "artifactType": PROOF_TYPE,
        "digest": format!("sha256:{}", Sha256::of(manifest)),
        "size": manifest.len(),
    })
}

/// An index with one more artifact in it; none where it has that one.
fn with(index: Option<&[u8]>, manifest: &[u8]) -> Result<Option<Vec<u8>>, ImageError> {
    let empty = || json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    let mut index: Value = match index {
        Some(bytes) => {
            Index::read(bytes)?;
            serde_json::from_slice(bytes).map_err(|e| document(e.to_string()))?
        }
        None => empty(),
    };
    let new = listed(manifest);
    let all = index.get_mut("manifests").and_then(Value::as_array_mut);
    let all = all.ok_or_else(|| document("it has no manifests".into()))?;
    if all.iter().any(|one| one.get("digest") == new.get("digest")) {
        return Ok(None);
    }
    if all.len() >= MAX_REFERRERS {
        return Err(document(format!("it has {MAX_REFERRERS} artifacts already")));
    }
    all.push(new);
    serde_json::to_vec(&index).map(Some).map_err(|e| document(e.to_string()))
}

/// The blob that a proof's artifact has, where the manifest is of one for this subject.
fn blob_of(manifest: &[u8], subject: &Sha256) -> Result<Option<Described>, ImageError> {
    let read =
        ImageManifest::from_reader(bounded("artifact", manifest)?).map_err(|e| document(plain(&e.to_string())))?;
    let kind = read.artifact_type().as_ref().map(ToString::to_string);
    let of = read.subject().as_ref().map(described).transpose()?;
    if kind.as_deref() != Some(PROOF_TYPE) || of.is_none_or(|of| of.digest != *subject) {
        return Ok(None);
    }
    match read.layers().as_slice() {
        [one] if one.media_type().to_string() == PROOF_TYPE => described(one).map(Some),
        _ => Err(document("a proof's artifact has one blob, which is the proof".into())),
    }
}

/// Whether something that is listed may be a proof.
fn may_be_proof(one: &Described) -> bool {
    one.artifact_type.as_deref().is_none_or(|kind| kind == PROOF_TYPE)
}

fn document(why: String) -> ImageError {
    ImageError::Document { what: "artifact", why }
}

/// For fuzzing: what is read of an artifact's manifest.
pub(crate) fn artifact_blob(bytes: &[u8]) -> Result<Option<String>, ImageError> {
    let subject = Sha256::of(b"subject");
    Ok(blob_of(bytes, &subject)?.map(|blob| format!("{blob:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject { media_type: MANIFEST.into(), digest: Sha256::of(b"subject"), size: 7 }
    }

    #[test]
    fn a_proof_s_artifact_names_its_image_and_is_the_same_each_time() {
        let one = artifact(&subject(), b"proof").unwrap();
        assert_eq!(one, artifact(&subject(), b"proof").unwrap());
        let blob = blob_of(&one, &Sha256::of(b"subject")).unwrap().unwrap();
        assert_eq!((blob.digest, blob.size), (Sha256::of(b"proof"), 5));
        assert_eq!(blob_of(&one, &Sha256::of(b"another")).unwrap(), None, "it is of another image");
        let text = String::from_utf8(one).unwrap();
        let other = text.replacen(PROOF_TYPE, "application/vnd.example.sbom.v1+json", 1);
        assert_eq!(blob_of(other.as_bytes(), &Sha256::of(b"subject")).unwrap(), None, "it is something else");
        let none =
            text.replace("\"layers\":[{", "\"layers\":[{\"mediaType\":\"x/y\",\"digest\":\"sha256:00\",\"size\":1},{");
        assert!(blob_of(none.as_bytes(), &Sha256::of(b"subject")).is_err());
    }

    #[test]
    fn an_artifact_is_listed_once_and_the_bound_holds_on_both_sides() {
        let manifest = artifact(&subject(), b"proof").unwrap();
        let index = with(None, &manifest).unwrap().unwrap();
        assert_eq!(with(Some(&index), &manifest).unwrap(), None);
        let more = with(Some(&index), &artifact(&subject(), b"another").unwrap()).unwrap().unwrap();
        assert_eq!(Index::read(&more).unwrap().images.len(), 2);
        let full = |n: usize| {
            let one = |n: usize| listed(n.to_string().as_bytes());
            let all: Vec<Value> = (0..n).map(one).collect();
            serde_json::to_vec(&json!({ "schemaVersion": 2, "manifests": all })).unwrap()
        };
        assert!(with(Some(&full(MAX_REFERRERS - 1)), &manifest).is_ok());
        assert!(with(Some(&full(MAX_REFERRERS)), &manifest).is_err());
        assert!(with(Some(b"{}"), &manifest).is_err());
    }
}
