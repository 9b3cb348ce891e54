// SPDX-License-Identifier: Apache-2.0
//! OCI layouts for tests, written byte by byte: the same files give the same layout.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use reprove_model::Sha256;
use serde_json::{Value, json};

/// What an entry of a layer is.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A file that anybody may execute, with this text.
    Text(String),
    /// The same, with the bytes of a file of this machine.
    Copy(PathBuf),
    /// A symbolic link.
    Link(String),
}

/// A layer: its entries, by path.
pub type Layer = Vec<(String, Entry)>;

/// What a shell needs to run, taken from this machine, in directories of `/` as before they were merged into `/usr`.
///
/// # Panics
/// Where this machine's shell is not linked as usual.
#[must_use]
pub fn shell() -> Layer {
    let output = std::process::Command::new("ldd").arg("/bin/sh").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let libraries = said.split_whitespace().filter(|word| word.starts_with('/'));
    let copy = |path: &str| (path.trim_start_matches('/').to_owned(), Entry::Copy(path.into()));
    libraries.map(copy).chain([copy("/bin/sh"), copy("/bin/cat")]).collect()
}

/// Writes a layout with one image of that tag; gives its manifest's digest.
///
/// # Panics
/// Where something can't be written.
pub fn write(to: &Path, tag: &str, layers: &[Layer]) -> Sha256 {
    fs::create_dir_all(to.join("blobs/sha256")).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = Sha256::of(bytes);
        fs::write(to.join("blobs/sha256").join(digest.to_string()), bytes).unwrap();
        json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let tars: Vec<Vec<u8>> = layers.iter().map(tar).collect();
    let diff_ids: Vec<String> = tars.iter().map(|tar| format!("sha256:{}", Sha256::of(tar))).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
    let config = json!({ "architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs });
    let config = blob("config.v1+json", config.to_string().as_bytes());
    let layers: Vec<Value> = tars.iter().map(|tar| blob("layer.v1.tar+gzip", &gzip(tar))).collect();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers });
    let text = manifest.to_string();
    let mut manifest = blob("manifest.v1+json", text.as_bytes());
    let annotations = json!({ "org.opencontainers.image.ref.name": tag });
    manifest.as_object_mut().unwrap().insert("annotations".into(), annotations);
    fs::write(to.join("index.json"), json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string()).unwrap();
    fs::write(to.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    Sha256::of(text.as_bytes())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn tar(layer: &Layer) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, entry) in layer {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        let bytes = match entry {
            Entry::Text(text) => text.clone().into_bytes(),
            Entry::Copy(path) => fs::read(path).unwrap(),
            Entry::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, path, target).unwrap();
                continue;
            }
        };
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, path, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}
