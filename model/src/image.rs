// SPDX-License-Identifier: Apache-2.0
//! OCI images: how one is named, and what `reprove.lock` has of one that a build sees.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::environment::LockFileError;
use crate::{Digest, DigestSet, Input, InputName, PackageUrl, Role, Sha256};

/// An environment that is an OCI image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Image {
    /// Which.
    pub image: ImageReference,
}

/// Where an image is, by the names of `containers-transports(5)`: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or
/// `docker://HOST[:PORT]/NAME[:TAG]`, each with `@sha256:…` behind it where it is to be that one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageReference {
    text: String,
    /// The place that it is in.
    pub place: ImagePlace,
    /// The tag, where one is named.
    pub tag: Option<String>,
    /// The digest of its manifest or index, where one is named.
    pub digest: Option<Sha256>,
}

/// What holds an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImagePlace {
    /// An OCI image layout: a directory (image-spec, "OCI Image Layout").
    Layout(String),
    /// The same in a tar archive.
    Archive(String),
    /// A repository of a registry.
    Registry {
        /// The registry: a host, with a port where one is named.
        host: String,
        /// The repository.
        name: String,
    },
}

/// Why a text names no image.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{text:?} names no image: {why}; one looks like oci:DIR, oci-archive:FILE.tar or docker://HOST/NAME@sha256:…")]
pub struct InvalidImageReference {
    text: String,
    why: &'static str,
}

/// The longest name of an image, in bytes.
const MAX_REFERENCE: usize = 1024;

impl FromStr for ImageReference {
    type Err = InvalidImageReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail =
            |why| InvalidImageReference { text: text.chars().filter(|c| !c.is_control()).take(200).collect(), why };
        if text.len() > MAX_REFERENCE || text.chars().any(char::is_control) {
            return Err(fail("it is longer than 1024 bytes, or has control characters in it"));
        }
        let (rest, digest) = match text.rsplit_once("@sha256:") {
            Some((rest, hex)) => {
                (rest, Some(hex.parse().map_err(|_| fail("a digest is `@sha256:` and 64 hexadecimal digits"))?))
            }
            None => (text, None),
        };
        let (transport, rest) = rest.split_once(':').ok_or_else(|| fail("it does not say what it is in"))?;
        let (place, tag) = match (transport, rest.strip_prefix("//")) {
            ("docker", Some(rest)) => registry(rest).map_err(fail)?,
            ("oci", _) => path(rest).map(|(path, tag)| (ImagePlace::Layout(path), tag)).map_err(fail)?,
            ("oci-archive", _) => path(rest).map(|(path, tag)| (ImagePlace::Archive(path), tag)).map_err(fail)?,
            _ => {
                return Err(fail(
                    "only `oci:`, `oci-archive:` and `docker://` are read (skopeo makes a layout of others: skopeo copy docker-archive:FILE oci:DIR)",
                ));
            }
        };
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(fail("a tag has up to 128 letters, digits, `_`, `.` and `-`"));
        }
        Ok(Self { text: text.to_owned(), place, tag, digest })
    }
}

/// `PATH[:TAG]`; as with skopeo, a path has no `:`.
fn path(text: &str) -> Result<(String, Option<String>), &'static str> {
    let (path, tag) = tagged(text);
    if path.is_empty() || tag.as_ref().is_some_and(|tag| tag.contains(':')) {
        return Err("a path comes first, which has no `:`");
    }
    Ok((path.to_owned(), tag))
}

fn tagged(text: &str) -> (&str, Option<String>) {
    text.split_once(':').map_or((text, None), |(before, tag)| (before, Some(tag.to_owned())))
}

/// `HOST[:PORT]/NAME[:TAG]`, with the names of the distribution-spec ("Pulling manifests").
fn registry(text: &str) -> Result<(ImagePlace, Option<String>), &'static str> {
    let (host, rest) = text.split_once('/').ok_or("a registry's host comes first, then `/` and a name")?;
    let (name, tag) = tagged(rest);
    let (domain, port) = host.split_once(':').map_or((host, None), |(domain, port)| (domain, Some(port)));
    let of_domain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let is_host = domain.starts_with(|c: char| c.is_ascii_alphanumeric()) && domain.chars().all(of_domain);
    if !is_host || !(host.contains(['.', ':']) || host == "localhost") {
        return Err("the registry has to be named: its host has a `.` or a `:` in it, or is `localhost`");
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err("a port is a number up to 65535");
    }
    let is_part = |part: &str| {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        end(part.chars().next()) && end(part.chars().last()) && part.chars().all(inside)
    };
    if name.len() > 255 || !name.split('/').all(is_part) {
        return Err("a repository has up to 255 small letters, digits, `.`, `_`, `-` and `/`");
    }
    Ok((ImagePlace::Registry { host: host.to_owned(), name: name.to_owned() }, tag))
}

fn is_tag(tag: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.chars().all(ok)
}

impl ImageReference {
    /// What it is called: the last part of the place, small letters, without what follows a `.` of a file.
    #[must_use]
    pub fn name(&self) -> String {
        let last = match &self.place {
            ImagePlace::Layout(path) | ImagePlace::Archive(path) => path.trim_end_matches('/').rsplit('/').next(),
            ImagePlace::Registry { name, .. } => name.rsplit('/').next(),
        };
        let last = last.unwrap_or_default();
        let last = last.strip_suffix(".tar").unwrap_or(last).to_ascii_lowercase();
        let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let name: String = last.chars().map(|c| if ok(c) { c } else { '-' }).take(100).collect();
        let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if name.is_empty() { "image".into() } else { name.to_owned() }
    }

    /// The text that it was read from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

written_as_text!(ImageReference);

/// For which machines an image is (image-spec, "Image Configuration").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Platform {
    /// The operating system: `linux`.
    pub os: String,
    /// What Go calls the architecture: `amd64`, `arm64`.
    pub architecture: String,
    /// Which of its kinds, where that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// One blob of an image, by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedBlob {
    /// What it is.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// Of its bytes.
    pub blake3: Digest,
    /// The same; it is what images call it by.
    pub sha256: Sha256,
}

impl LockedBlob {
    /// Of its bytes.
    #[must_use]
    pub fn digest(&self) -> DigestSet {
        DigestSet { blake3: self.blake3, sha256: self.sha256 }
    }
}

/// One layer of an image, by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedLayer {
    /// How it is packed.
    pub media_type: String,
    /// Bytes, as it is packed.
    pub size: u64,
    /// Of these.
    pub blake3: Digest,
    /// Of these; it is what the manifest has.
    pub sha256: Sha256,
    /// Of the tar archive that it unpacks to; it is what the image's configuration has.
    pub diff_id: Sha256,
}

impl LockedLayer {
    /// Of its bytes, as it is packed.
    #[must_use]
    pub fn digest(&self) -> DigestSet {
        DigestSet { blake3: self.blake3, sha256: self.sha256 }
    }
}

/// The exact image that an environment is: what `reprove.lock` has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ImageLock {
    /// The version of this format: [`ImageLock::VERSION`].
    pub version: u32,
    /// The BLAKE3 and SHA-256 digests of the canonical list of all its files, as whoever made it found them.
    pub tree: DigestSet,
    /// What was asked for.
    pub environment: Image,
    /// For which machines it is.
    pub platform: Platform,
    /// Of the index that the manifest was found in, where it is one that images are named by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<LockedBlob>,
    /// Of its manifest.
    pub manifest: LockedBlob,
    /// Of its configuration.
    pub config: LockedBlob,
    /// Its layers, the lowest first.
    #[serde(rename = "layer")]
    pub layers: Vec<LockedLayer>,
}

impl ImageLock {
    /// The version of the format; the same as of [`crate::PackageLock`], which has the file for other environments.
    pub const VERSION: u32 = 1;
    /// The most layers.
    pub const MAX_LAYERS: usize = 500;

    /// What names the environment before it is made: its manifest's digest, and the way in which layers become a tree.
    #[must_use]
    pub fn key(&self) -> Digest {
        Digest::of(format!("reprove image {} {}\n", Self::WAY, self.manifest.sha256).as_bytes())
    }

    /// Which way it is that layers become a tree: another number makes other trees.
    const WAY: u32 = 1;

    /// The blobs that it is made of, and what each is called.
    #[must_use]
    pub fn blobs(&self) -> Vec<(String, DigestSet, u64)> {
        let own = [("index.json", self.index.as_ref()), ("manifest.json", Some(&self.manifest))];
        let own = own.into_iter().chain([("config.json", Some(&self.config))]);
        let own = own.filter_map(|(name, blob)| Some((name.to_owned(), blob?.digest(), blob?.size)));
        let name = |number: usize| format!("layer-{number:03}");
        let layers = self.layers.iter().enumerate();
        own.chain(layers.map(|(number, layer)| (name(number), layer.digest(), layer.size))).collect()
    }

    /// Its blobs as inputs of a build. Each has the image's package URL, with its place in a layout as the subpath.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input> {
        let name = self.environment.image.name();
        let mut inputs = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (what, digest, size) in self.blobs() {
            let file: Result<InputName, _> = format!("{name}.{what}").parse();
            // A layer may be there twice.
            let Some(name) = file.ok().filter(|_| seen.insert(digest)) else { continue };
            let purl = PackageUrl::oci(&self.environment.image.name(), &self.manifest.sha256, Some(&digest.sha256));
            let content = crate::Content::File { digest, size };
            inputs.push(Input { name, role: Role::Environment, purl: purl.ok(), content });
        }
        inputs
    }

    pub(crate) fn check(&self) -> Result<(), LockFileError> {
        let fail = |field, why: &str| Err(LockFileError::Value(field, why.into()));
        if self.version != Self::VERSION {
            let why = format!("is {}; this reprove reads {}", self.version, Self::VERSION);
            return Err(LockFileError::Value("version", why));
        }
        if self.layers.is_empty() || self.layers.len() > Self::MAX_LAYERS {
            return fail("layer", "must be there from 1 to 500 times");
        }
        let types = [&self.manifest.media_type, &self.config.media_type];
        let layers = self.layers.iter().map(|layer| &layer.media_type);
        let ok = |c: char| c.is_ascii_alphanumeric() || "./+-_".contains(c);
        let is_type = |text: &String| (1..=128).contains(&text.len()) && text.chars().all(ok);
        if !types.into_iter().chain(layers).all(is_type) {
            return fail("media-type", "is none: letters, digits, `.`, `/`, `+`, `-` and `_`, at most 128");
        }
        let of = &self.platform;
        let parts = [Some(&of.os), Some(&of.architecture), of.variant.as_ref()];
        if !parts.into_iter().flatten().all(is_type) {
            return fail("platform", "is none");
        }
        let named = self.environment.image.digest;
        let index = self.index.as_ref().map(|index| index.sha256);
        if named.is_some_and(|named| named != self.manifest.sha256 && Some(named) != index) {
            return fail("environment.image", "has a digest that is neither the manifest's nor the index's");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EnvironmentLock;

    fn read(text: &str) -> Result<ImageReference, InvalidImageReference> {
        text.parse()
    }

    #[test]
    fn a_name_has_its_parts() {
        let hex = "0".repeat(64);
        let one = read(&format!("docker://127.0.0.1:5000/a/web_server:1.2@sha256:{hex}")).unwrap();
        let place = ImagePlace::Registry { host: "127.0.0.1:5000".into(), name: "a/web_server".into() };
        assert_eq!((&one.place, one.tag.as_deref(), one.digest), (&place, Some("1.2"), Some(hex.parse().unwrap())));
        assert_eq!((one.name().as_str(), one.to_string().parse()), ("web_server", Ok(one.clone())));
        let one = read("oci:../Some dir/x:latest").unwrap();
        assert_eq!((&one.place, one.tag.as_deref()), (&ImagePlace::Layout("../Some dir/x".into()), Some("latest")));
        let one = read("oci-archive:/a/Web Server.tar").unwrap();
        assert_eq!((&one.place, one.tag.as_deref()), (&ImagePlace::Archive("/a/Web Server.tar".into()), None));
        assert_eq!(one.name(), "web-server");
        assert_eq!(read("oci:..").unwrap().name(), "image");
    }

    #[test]
    fn what_names_no_image_is_refused() {
        let hex = "0".repeat(64);
        for wrong in [
            "",
            "x",
            "oci:",
            "oci::tag",
            "oci:a:b:c",
            "oci:a\nb",
            "docker:a",
            "docker://a",
            "docker://debian/x",
            "docker://h.x/",
            "docker://h.x/A",
            "docker://h.x/a//b",
            "docker://h.x/../b",
            "docker://h.x:99999/b",
            "docker://-h.x/b",
            "docker://u@h.x/b",
            "docker://h.x/b:",
            "docker://h.x/b:.a",
            "docker://h.x/b@sha256:0",
            "docker://h.x/b@sha512:00",
            "docker-archive:x",
            "dir:x",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read(&format!("oci:x@sha256:{}", hex.to_uppercase().replace('0', "A"))).is_err());
        let tag = |n: usize| read(&format!("docker://h.x/b:{}", "a".repeat(n)));
        assert!(tag(128).is_ok() && tag(129).is_err());
        let name = |n: usize| read(&format!("docker://h.x/{}", "a".repeat(n)));
        assert!(name(255).is_ok() && name(256).is_err());
        let path = |n: usize| read(&format!("oci:{}", "a".repeat(n - 4)));
        assert!(path(MAX_REFERENCE).is_ok() && path(MAX_REFERENCE + 1).is_err());
    }

    fn locked() -> ImageLock {
        let blob = |text: &str| LockedBlob {
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            size: 1,
            blake3: Digest::of(text.as_bytes()),
            sha256: Sha256::of(text.as_bytes()),
        };
        let layer = LockedLayer {
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
            size: 7,
            blake3: Digest::of(b"layer"),
            sha256: Sha256::of(b"layer"),
            diff_id: Sha256::of(b"tar"),
        };
        ImageLock {
            version: 1,
            tree: DigestSet::of(b"tree"),
            environment: Image { image: format!("oci:base@sha256:{}", Sha256::of(b"index")).parse().unwrap() },
            platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
            index: Some(blob("index")),
            manifest: blob("manifest"),
            config: blob("config"),
            layers: vec![layer],
        }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let lock = EnvironmentLock::Image(Box::new(locked()));
        let text = lock.to_toml().unwrap();
        assert_eq!(EnvironmentLock::from_toml(&text).unwrap(), lock);
        assert!(text.contains("[[layer]]\nmedia-type = "), "{text}");
    }

    #[test]
    fn each_blob_is_an_input_with_the_image_s_url() {
        let mut lock = locked();
        lock.layers.push(lock.layers[0].clone());
        let inputs = lock.inputs();
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, ["base.index.json", "base.manifest.json", "base.config.json", "base.layer-000"]);
        let (manifest, layer) = (Sha256::of(b"manifest"), Sha256::of(b"layer"));
        let purl = inputs[3].purl.as_ref().unwrap();
        assert_eq!(purl.to_string(), format!("pkg:oci/base@sha256:{manifest}#blobs/sha256/{layer}"));
        assert!(inputs.iter().all(|input| input.role == Role::Environment));
    }

    #[test]
    fn a_lock_that_cannot_be_is_refused() {
        let text = EnvironmentLock::Image(Box::new(locked())).to_toml().unwrap();
        let index = Sha256::of(b"index").to_string();
        for (from, to) in [
            ("version = 1\n", "version = 2\n"),
            ("\"amd64\"", "\"a b\""),
            ("layer.v1.tar+gzip", "layer v1"),
            ("size = 7", "size = -7"),
            (format!("oci:base@sha256:{index}").as_str(), format!("oci:base@sha256:{}", "0".repeat(64)).as_str()),
            ("[[layer]]", "[[package]]"),
        ] {
            let other = text.replace(from, to);
            assert_ne!(other, text, "{from}");
            assert!(EnvironmentLock::from_toml(&other).is_err(), "{to}");
        }
        let layer = locked().layers[0].clone();
        let many = |n: usize| ImageLock { layers: vec![layer.clone(); n], ..locked() };
        assert!(many(ImageLock::MAX_LAYERS).check().is_ok());
        assert!(many(ImageLock::MAX_LAYERS + 1).check().is_err() && many(0).check().is_err());
    }
}
