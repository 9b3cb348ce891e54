// SPDX-License-Identifier: Apache-2.0
//! Indexes and manifests, as far as they say what leads to what ("OCI Image Format Specification").

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::preview;

/// The most characters of a media type, and of what a configuration says that a layer was made by.
const MAX_TYPE: usize = 100;
const MAX_MADE_BY: usize = 200;

const TAG: &str = "org.opencontainers.image.ref.name";

/// An index or a manifest, or what is neither and has none of this.
#[derive(Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
}

/// What leads to a blob.
#[derive(Deserialize)]
pub(super) struct Descriptor {
    pub(super) digest: String,
    #[serde(default, rename = "mediaType")]
    media_type: String,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: String,
}

/// What a configuration says of the layers.
#[derive(Default, Deserialize)]
pub(super) struct Config {
    /// Of those steps that made one.
    #[serde(default)]
    history: Vec<Step>,
    #[serde(default)]
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    empty_layer: bool,
}

#[derive(Default, Deserialize)]
struct Rootfs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

impl Config {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut config: Self = serde_json::from_slice(bytes).ok()?;
        config.history.retain(|step| !step.empty_layer);
        Some(config)
    }

    /// What made the layer that stands there.
    pub(super) fn made_by(&self, at: usize) -> Option<&str> {
        let step = self.history.get(at)?;
        Some(step.created_by.as_str()).filter(|text| !text.is_empty())
    }

    /// The digest of the archive that this layer unpacks to, by its word.
    pub(super) fn diff_id(&self, at: usize) -> Option<&str> {
        self.rootfs.diff_ids.get(at).map(String::as_str)
    }
}

/// One image in `manifest.json` of `docker save`.
#[derive(Deserialize)]
pub(super) struct Saved {
    #[serde(rename = "Config")]
    pub(super) config: String,
    #[serde(rename = "RepoTags")]
    pub(super) tags: Option<Vec<String>>,
    #[serde(rename = "Layers", default)]
    pub(super) layers: Vec<String>,
}

/// What both sides have one of, where they have one by this name.
pub(super) trait Blob {
    fn blob(&self) -> &str;

    /// What it says that it is.
    fn media_type(&self) -> &str {
        ""
    }
}

impl Blob for Descriptor {
    fn blob(&self) -> &str {
        &self.digest
    }

    fn media_type(&self) -> &str {
        &self.media_type
    }
}

impl Blob for Saved {
    fn blob(&self) -> &str {
        &self.config
    }
}

impl Blob for String {
    fn blob(&self) -> &str {
        self
    }
}

/// What is said of a blob beside its name: its type, and what made it.
pub(super) fn about(media_type: &str, made_by: Option<&str>) -> String {
    let short = |text: &str, most| preview::name(text.chars().take(most).collect::<String>().as_bytes());
    let media_type = Some(short(media_type, MAX_TYPE)).filter(|text| !text.is_empty());
    let made_by = made_by.map(|text| format!("made by {:?}", short(text, MAX_MADE_BY)));
    media_type.into_iter().chain(made_by).collect::<Vec<_>>().join(", ")
}

/// A document; `None`: it is none.
pub(super) fn read(bytes: &[u8]) -> Option<Document> {
    serde_json::from_slice(bytes).ok()
}

pub(super) fn saved(bytes: &[u8]) -> Option<Vec<Saved>> {
    serde_json::from_slice(bytes).ok()
}

impl Descriptor {
    pub(super) fn platform(&self) -> String {
        let Some(Platform { architecture, os, variant }) = &self.platform else { return String::new() };
        let parts = [os, architecture, variant].map(String::as_str);
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }

    pub(super) fn tag(&self) -> &str {
        self.annotations.get(TAG).map_or("", String::as_str)
    }

    /// What people call it: by its platform, by its tag, or by where it stands.
    pub(super) fn image(&self, at: usize) -> String {
        let platform = self.platform();
        let names = [platform.as_str(), self.tag()];
        let name = names.into_iter().find(|name| !name.is_empty());
        name.map_or_else(|| format!("image {}", at + 1), |name| preview::name(name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_blob_has_bounds() {
        let of = |kind: usize, made_by: usize| about(&"k".repeat(kind), Some(&"m".repeat(made_by)));
        let whole = |kind: usize, made_by: usize| format!("{}, made by {:?}", "k".repeat(kind), "m".repeat(made_by));
        assert_eq!(of(MAX_TYPE, MAX_MADE_BY), whole(MAX_TYPE, MAX_MADE_BY));
        assert_eq!(of(MAX_TYPE + 1, MAX_MADE_BY + 1), whole(MAX_TYPE, MAX_MADE_BY));
        assert_eq!(about("", None), "");
    }
}
