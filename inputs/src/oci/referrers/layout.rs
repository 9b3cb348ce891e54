// SPDX-License-Identifier: Apache-2.0
//! Artifacts in a layout: they stand in its index beside the images.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use reprove_model::{ImageReference, Sha256};
use tempfile::NamedTempFile;

use super::super::documents::{Index, MAX_BYTES, Reader};
use super::super::source::{blob_path, named, read_file};
use super::{EMPTY, ImageError, Subject, blob_of, may_be_proof, with};
use crate::InputsError;

/// A layout that is held for as long as the value is there, so that two writers wait for each other.
pub(super) struct LayoutStore {
    root: PathBuf,
    _held: File,
}

impl LayoutStore {
    pub(super) fn open(root: &Path) -> Result<Self, InputsError> {
        let path = root.join("oci-layout");
        let held = File::open(&path).map_err(|_| ImageError::NoLayout(root.display().to_string(), "oci-layout"))?;
        held.lock().map_err(at(&path))?;
        Ok(Self { root: root.to_owned(), _held: held })
    }

    fn index(&self) -> Result<Vec<u8>, InputsError> {
        let none = || ImageError::NoLayout(self.root.display().to_string(), "index.json");
        Ok(read_file(&self.root.join("index.json"), MAX_BYTES)?.ok_or_else(none)?)
    }

    fn document(&self, digest: &Sha256, most: u64) -> Result<Vec<u8>, InputsError> {
        let bytes = read_file(&blob_path(&self.root, digest), most)?.ok_or(ImageError::NoBlob(*digest))?;
        let here = Sha256::of(&bytes);
        if here == *digest { Ok(bytes) } else { Err(ImageError::Digest { said: *digest, here }.into()) }
    }

    /// What a reference names.
    pub(super) fn subject(&self, asked: &ImageReference) -> Result<Subject, InputsError> {
        let digest = match asked.digest {
            Some(digest) => digest,
            None => {
                let mut index = Index::read(&self.index()?)?;
                // What is attached is none of the images.
                index.images.retain(|one| one.artifact_type.is_none());
                named(&index, asked)?.digest
            }
        };
        let bytes = self.document(&digest, MAX_BYTES)?;
        let media_type = Reader::read(&bytes)?.media_type().to_owned();
        Ok(Subject { media_type, digest, size: bytes.len() as u64 })
    }

    pub(super) fn attach(&self, manifest: &[u8], proof: &[u8]) -> Result<Sha256, InputsError> {
        for bytes in [EMPTY.1, proof, manifest] {
            self.write(&blob_path(&self.root, &Sha256::of(bytes)), bytes)?;
        }
        if let Some(index) = with(Some(&self.index()?), manifest)? {
            self.write(&self.root.join("index.json"), &index)?;
        }
        Ok(Sha256::of(manifest))
    }

    pub(super) fn proofs(&self, subject: &Sha256, most: u64) -> Result<Vec<(Sha256, Vec<u8>)>, InputsError> {
        let mut proofs = Vec::new();
        let index = Index::read(&self.index()?)?;
        for one in index.images.iter().filter(|one| one.artifact_type.is_some() && may_be_proof(one)) {
            let Some(blob) = blob_of(&self.document(&one.digest, MAX_BYTES)?, subject)? else { continue };
            proofs.push((one.digest, self.document(&blob.digest, most)?));
        }
        Ok(proofs)
    }

    /// Writes a file, whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), InputsError> {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder).map_err(at(folder))?;
        let mut file = NamedTempFile::new_in(folder).map_err(at(folder))?;
        file.write_all(bytes).map_err(at(path))?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(at(path))?;
        file.as_file().sync_all().map_err(at(path))?;
        file.persist(path).map(drop).map_err(|e| at(path)(e.error))
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> InputsError {
    let path = path.to_owned();
    move |source| InputsError::Io { path, source }
}
