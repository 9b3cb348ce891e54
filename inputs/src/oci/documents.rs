// SPDX-License-Identifier: Apache-2.0
//! The documents of an image: index, manifest and configuration (image-spec 1.1), and Docker's of the same shape.

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, DigestAlgorithm, ImageConfiguration, ImageIndex, ImageManifest};
use reprove_model::{ImageLock, Platform, Sha256};

use super::ImageError;

/// The most bytes of a document: what the distribution-spec has registries take at least.
pub(super) const MAX_BYTES: u64 = 4 << 20;
/// The most images that an index may have.
pub(super) const MAX_IMAGES: usize = 1000;

const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
const LAYERS: [&str; 5] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What one document says of another blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) media_type: String,
    pub(super) digest: Sha256,
    pub(super) size: u64,
    pub(super) platform: Option<Platform>,
    pub(super) tag: Option<String>,
    pub(super) artifact_type: Option<String>,
}

/// An index of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) media_type: String,
    pub(super) images: Vec<Described>,
}

/// An image's manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) media_type: String,
    pub(super) config: Described,
    pub(super) layers: Vec<Described>,
}

/// What counts of an image's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) platform: Platform,
    pub(super) diff_ids: Vec<Sha256>,
}

/// A document that an image is named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Index(Index),
    Manifest(Manifest),
}

impl Reader {
    /// Reads one that is either. It is what it has: an index has `manifests`, and a manifest `layers`; one with both is
    /// refused, since others would take it for the other (CVE-2021-41190).
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let fail = |why: String| ImageError::Document { what: "manifest", why: plain(&why) };
        let keys: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(bounded("manifest", bytes)?).map_err(|e| fail(e.to_string()))?;
        match (keys.contains_key("manifests"), keys.contains_key("layers") || keys.contains_key("config")) {
            (true, false) => Index::read(bytes).map(Self::Index),
            (false, true) => Manifest::read(bytes).map(Self::Manifest),
            (true, true) => Err(fail("it is an index and a manifest at the same time".into())),
            (false, false) => Err(fail("it is neither an index nor a manifest".into())),
        }
    }
}

impl Reader {
    pub(super) fn media_type(&self) -> &str {
        match self {
            Self::Index(index) => &index.media_type,
            Self::Manifest(manifest) => &manifest.media_type,
        }
    }
}

impl Index {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let fail = |why: String| ImageError::Document { what: "index", why: plain(&why) };
        let index = ImageIndex::from_reader(bounded("index", bytes)?).map_err(|e| fail(e.to_string()))?;
        if index.schema_version() != 2 {
            return Err(fail(format!("its schemaVersion is {}, and 2 is read", index.schema_version())));
        }
        if index.manifests().len() > MAX_IMAGES {
            return Err(fail(format!("it has more than {MAX_IMAGES} images")));
        }
        let media_type = index.media_type().as_ref().map_or_else(|| INDEX.to_owned(), |it| plain(it.as_ref()));
        let images = index.manifests().iter().map(described).collect::<Result<_, _>>()?;
        Ok(Self { media_type, images })
    }

    /// The one that is for machines as this one is.
    pub(super) fn for_this_machine(&self) -> Result<&Described, ImageError> {
        let is_for = |one: &&Described| one.platform.as_ref().is_some_and(is_this_machine);
        let mut fits = self.images.iter().filter(is_for);
        if let Some(first) = fits.next() {
            return Ok(first);
        }
        match self.images.as_slice() {
            // Its configuration will say.
            [one] if one.platform.is_none() => Ok(one),
            images => {
                let platforms = images.iter().filter_map(|one| one.platform.as_ref().map(shown));
                let there: BTreeSet<String> = platforms.take(20).collect();
                let there = if there.is_empty() {
                    vec!["no machine that it names".into()]
                } else {
                    there.into_iter().collect()
                };
                Err(ImageError::Platform { there, here: shown(&this_machine()) })
            }
        }
    }
}

impl Manifest {
    fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let fail = |why: String| ImageError::Document { what: "manifest", why: plain(&why) };
        let manifest = ImageManifest::from_reader(bytes).map_err(|e| fail(e.to_string()))?;
        if manifest.schema_version() != 2 {
            return Err(fail(format!("its schemaVersion is {}, and 2 is read", manifest.schema_version())));
        }
        let media_type = manifest.media_type().as_ref().map_or_else(|| MANIFEST.to_owned(), |it| plain(it.as_ref()));
        let config = described(manifest.config())?;
        let no_such = |what, one: &Described| ImageError::NoSuchType { what, media_type: one.media_type.clone() };
        if !CONFIGS.contains(&config.media_type.as_str()) {
            return Err(no_such("its configuration", &config));
        }
        let layers: Vec<Described> = manifest.layers().iter().map(described).collect::<Result<_, _>>()?;
        if layers.is_empty() || layers.len() > ImageLock::MAX_LAYERS {
            return Err(fail(format!("it has {} layers; 1 to {} are read", layers.len(), ImageLock::MAX_LAYERS)));
        }
        match layers.iter().find(|layer| !LAYERS.contains(&layer.media_type.as_str())) {
            Some(layer) => Err(no_such("a layer", layer)),
            None => Ok(Self { media_type, config, layers }),
        }
    }
}

impl Config {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let fail = |why: String| ImageError::Document { what: "configuration", why: plain(&why) };
        let config =
            ImageConfiguration::from_reader(bounded("configuration", bytes)?).map_err(|e| fail(e.to_string()))?;
        let platform = Platform {
            os: plain(&config.os().to_string()),
            architecture: plain(&config.architecture().to_string()),
            variant: config.variant().as_ref().map(|variant| plain(variant)),
        };
        let diff_id = |text: &String| {
            text.strip_prefix("sha256:")
                .and_then(|hex| hex.parse().ok())
                .ok_or_else(|| ImageError::Algorithm(plain(text)))
        };
        Ok(Self { platform, diff_ids: config.rootfs().diff_ids().iter().map(diff_id).collect::<Result<_, _>>()? })
    }
}

/// Fails where an image is for other machines than this one.
pub(super) fn is_for_this_machine(platform: &Platform) -> Result<(), ImageError> {
    if is_this_machine(platform) {
        return Ok(());
    }
    Err(ImageError::Platform { there: vec![shown(platform)], here: shown(&this_machine()) })
}

/// What the image-spec calls this machine ("Platform Variants").
fn this_machine() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Platform { os: "linux".into(), architecture: architecture.into(), variant: None }
}

/// Whether it is one that every such machine can run: the variants that need a newer processor are not.
fn is_this_machine(platform: &Platform) -> bool {
    let here = this_machine();
    let is_usual = match platform.variant.as_deref() {
        None | Some("") => true,
        Some(variant) => matches!((here.architecture.as_str(), variant), ("amd64", "v1") | ("arm64", "v8")),
    };
    is_usual && (&platform.os, &platform.architecture) == (&here.os, &here.architecture)
}

fn shown(platform: &Platform) -> String {
    let variant = platform.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os, platform.architecture)
}

pub(super) fn described(one: &Descriptor) -> Result<Described, ImageError> {
    let digest = match one.digest().algorithm() {
        DigestAlgorithm::Sha256 => one.digest().digest().parse().ok(),
        _ => None,
    };
    let tag = one.annotations().as_ref().and_then(|all| all.get("org.opencontainers.image.ref.name"));
    let platform = one.platform().as_ref().map(|platform| Platform {
        os: plain(&platform.os().to_string()),
        architecture: plain(&platform.architecture().to_string()),
        variant: platform.variant().as_ref().map(|variant| plain(variant)),
    });
    Ok(Described {
        media_type: plain(one.media_type().as_ref()),
        digest: digest.ok_or_else(|| ImageError::Algorithm(plain(one.digest().as_ref())))?,
        size: one.size(),
        platform,
        tag: tag.map(|tag| plain(tag)),
        artifact_type: one.artifact_type().as_ref().map(|kind| plain(kind.as_ref())),
    })
}

/// Text from elsewhere, made harmless for a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

pub(super) fn bounded<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a [u8], ImageError> {
    let size = bytes.len() as u64;
    let too_large = || ImageError::TooLarge { what: format!("the {what}"), size, most: MAX_BYTES };
    if size > MAX_BYTES { Err(too_large()) } else { Ok(bytes) }
}
