// SPDX-License-Identifier: Apache-2.0
//! An environment as an OCI layout: one layer, and the same bytes each time.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{HashBoth, Sha256};
use serde_json::{Value, json};
use thiserror::Error;

use crate::RootFilesystem;
use crate::debian::TIME;

/// How the layer is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// tar in gzip, which every program reads.
    #[default]
    Gzip,
    /// tar in zstd.
    Zstd,
    /// tar alone: the same bytes also with another version of what compresses.
    Tar,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// SHA-256 of the manifest, which is the image's name.
    pub manifest: Sha256,
    /// Of the configuration.
    pub config: Sha256,
    /// Of the layer, as it is packed.
    pub layer: Sha256,
    /// Of the tar archive in it.
    pub diff_id: Sha256,
    /// Bytes of the layer, as it is packed.
    pub size: u64,
}

/// Why an environment can't be written as an image.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A document can't be written.
    #[error(transparent)]
    Document(#[from] CanonicalError),
}

/// The moment of all files, as documents write it.
const CREATED: &str = "2020-01-01T00:00:00Z";
/// Not the highest: it takes ten times as long for a hundredth of the bytes.
const ZSTD_LEVEL: i32 = 10;

/// Writes the files of `root` as a layout into `to`, an empty directory. `tag` is the image's name in it; `architecture` is Go's
/// name of what it is for.
///
/// # Errors
/// See [`ExportError`].
pub fn export(
    root: &RootFilesystem,
    (tag, architecture): (&str, &str),
    packing: Packing,
    to: &Path,
) -> Result<Exported, ExportError> {
    let blobs = to.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(at(&blobs))?;
    let being_written = to.join("layer");
    let (layer, size, diff_id) = layer(root, packing, &being_written)?;
    let named = blobs.join(layer.to_string());
    fs::rename(&being_written, &named).map_err(at(&named))?;
    let kind = match packing {
        Packing::Gzip => "tar+gzip",
        Packing::Zstd => "tar+zstd",
        Packing::Tar => "tar",
    };
    let document = |kind: &str, value: &Value| {
        let bytes = canonical::to_vec(value)?;
        let digest = Sha256::of(&bytes);
        let path = blobs.join(digest.to_string());
        fs::write(&path, &bytes).map_err(at(&path))?;
        Ok::<_, ExportError>((digest, described(kind, &digest, bytes.len() as u64)))
    };
    let (config, of_config) = document(
        "config.v1+json",
        &json!({
            "architecture": architecture,
            "config": { "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] },
            "created": CREATED,
            "history": [{ "created": CREATED, "created_by": "reprove image export" }],
            "os": "linux",
            "rootfs": { "diff_ids": [format!("sha256:{diff_id}")], "type": "layers" },
        }),
    )?;
    let (manifest, mut of_manifest) = document(
        "manifest.v1+json",
        &json!({
            "config": of_config,
            "layers": [described(&format!("layer.v1.{kind}"), &layer, size)],
            "mediaType": media_type("manifest.v1+json"),
            "schemaVersion": 2,
        }),
    )?;
    if let Some(object) = of_manifest.as_object_mut() {
        object.insert("annotations".into(), json!({ "org.opencontainers.image.ref.name": tag }));
        object.insert("platform".into(), json!({ "architecture": architecture, "os": "linux" }));
    }
    let index = json!({ "manifests": [of_manifest], "mediaType": media_type("index.v1+json"), "schemaVersion": 2 });
    for (name, value) in [("index.json", index), ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }))] {
        let path = to.join(name);
        fs::write(&path, canonical::to_vec(&value)?).map_err(at(&path))?;
    }
    Ok(Exported { manifest, config, layer, diff_id, size })
}

/// Writes a layout as one tar archive, the same bytes each time.
///
/// # Errors
/// See [`ExportError`].
pub fn archive(layout: &Path, exported: &Exported, to: &Path) -> Result<(), ExportError> {
    let file = File::create(to).map_err(at(to))?;
    let mut archive = tar::Builder::new(BufWriter::new(file));
    let blob = |digest: &Sha256| format!("blobs/sha256/{digest}");
    let Exported { manifest, config, layer, .. } = exported;
    let mut names = [manifest, config, layer].map(blob).to_vec();
    names.sort();
    for name in ["oci-layout".to_owned(), "index.json".into()].into_iter().chain(names) {
        let path = layout.join(&name);
        let mut file = File::open(&path).map_err(at(&path))?;
        let mut header = header(tar::EntryType::Regular, 0o644);
        header.set_size(file.metadata().map_err(at(&path))?.len());
        archive.append_data(&mut header, &name, &mut file).map_err(at(to))?;
    }
    let written = archive.into_inner().and_then(|buffer| buffer.into_inner().map_err(io::IntoInnerError::into_error));
    written.and_then(|file| file.sync_all()).map_err(at(to))
}

fn media_type(kind: &str) -> String {
    format!("application/vnd.oci.image.{kind}")
}

fn described(kind: &str, digest: &Sha256, size: u64) -> Value {
    json!({ "mediaType": media_type(kind), "digest": format!("sha256:{digest}"), "size": size })
}

/// Writes the layer; gives its digest and size, and the digest of the archive in it.
fn layer(root: &RootFilesystem, packing: Packing, to: &Path) -> Result<(Sha256, u64, Sha256), ExportError> {
    let file = Hashed { inner: BufWriter::new(File::create(to).map_err(at(to))?), hash: HashBoth::default() };
    let (packed, diff_id) = match packing {
        Packing::Tar => tar_of(root, file)?,
        Packing::Gzip => {
            let encoder = GzBuilder::new().mtime(0).operating_system(255).write(file, Compression::default());
            let (encoder, diff_id) = tar_of(root, encoder)?;
            (encoder.finish().map_err(at(to))?, diff_id)
        }
        Packing::Zstd => {
            let (encoder, diff_id) = tar_of(root, zstd::Encoder::new(file, ZSTD_LEVEL).map_err(at(to))?)?;
            (encoder.finish().map_err(at(to))?, diff_id)
        }
    };
    let file = packed.inner.into_inner().map_err(|error| at(to)(error.into_error()))?;
    file.sync_all().map_err(at(to))?;
    let (digest, size) = packed.hash.finish();
    Ok((digest.sha256, size, diff_id))
}

/// Writes the archive of all files to `to`; gives that back, and the archive's digest.
fn tar_of<W: Write>(root: &RootFilesystem, to: W) -> Result<(W, Sha256), ExportError> {
    let mut archive = tar::Builder::new(Hashed { inner: to, hash: HashBoth::default() });
    let mut top: Vec<(&str, Result<&Path, &str>)> = Vec::new();
    top.extend(root.binds.iter().map(|(path, inside)| (inside.trim_start_matches('/'), Ok(path.as_path()))));
    top.extend(root.links.iter().map(|(inside, to)| (inside.trim_start_matches('/'), Err(to.as_str()))));
    top.sort_by_key(|(name, _)| *name);
    for (name, what) in top {
        match what {
            Ok(path) => add(&mut archive, name, path)?,
            Err(target) => {
                let mut header = header(tar::EntryType::Symlink, 0o777);
                archive.append_link(&mut header, name, target).map_err(at(Path::new(name)))?;
            }
        }
    }
    let Hashed { inner, hash } = archive.into_inner().map_err(at(Path::new("the layer")))?;
    Ok((inner, hash.finish().0.sha256))
}

/// Adds a directory with all below it, each directory's names sorted.
#[expect(clippy::disallowed_methods, reason = "the names are sorted")]
fn add<W: Write>(archive: &mut tar::Builder<W>, name: &str, directory: &Path) -> Result<(), ExportError> {
    // Last in, first out, so that all below a directory comes before its neighbour.
    let mut todo = vec![(PathBuf::from(name), directory.to_owned())];
    while let Some((inside, path)) = todo.pop() {
        let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
        let mode = metadata.mode() & 0o777;
        if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(at(&path))?;
            let mut header = header(tar::EntryType::Symlink, 0o777);
            archive.append_link(&mut header, &inside, &target).map_err(at(&path))?;
        } else if metadata.is_dir() {
            archive
                .append_data(&mut header(tar::EntryType::Directory, mode), &inside, io::empty())
                .map_err(at(&path))?;
            let mut below = Vec::new();
            for entry in fs::read_dir(&path).map_err(at(&path))? {
                below.push(entry.map_err(at(&path))?.file_name());
            }
            below.sort_by(|a, b| b.cmp(a));
            todo.extend(below.into_iter().map(|name| (inside.join(&name), path.join(&name))));
        } else if metadata.is_file() {
            let mut file = File::open(&path).map_err(at(&path))?;
            let mut header = header(tar::EntryType::Regular, mode);
            header.set_size(metadata.len());
            archive.append_data(&mut header, &inside, &mut file).map_err(at(&path))?;
        }
    }
    Ok(())
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(TIME);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

struct Hashed<W> {
    inner: W,
    hash: HashBoth,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.write_all(bytes.get(..n).unwrap_or_default())?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let path = path.to_owned();
    move |source| ExportError::Io { path, source }
}
