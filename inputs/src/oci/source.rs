// SPDX-License-Identifier: Apache-2.0
//! Where the blobs of an image are: a layout, the same in an archive, or what skopeo has fetched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use reprove_model::{DigestSet, ImagePlace, ImageReference, Node, Sha256};
use reprove_store::{Layout, Store, UnpackLimits};

use super::ImageError;
use super::documents::{Described, Index, MAX_BYTES};
use super::skopeo::{Repository, Skopeo};
use crate::workplace::Workplace;
use crate::{InputsError, blocking};

/// Where an image's blobs come from.
pub(super) struct Source {
    store: Store,
    place: Place,
}

enum Place {
    /// A directory with `index.json` and `blobs/sha256`.
    Layout(PathBuf),
    /// What was in an archive, in the store: `index.json`, and the others by digest.
    Archive(DigestSet, BTreeMap<Sha256, DigestSet>),
    /// A repository, and the directory that its blobs are in once they are fetched.
    Registry(Repository, Option<PathBuf>),
}

/// What an archive of a layout may have in it, once unpacked.
pub(super) const ARCHIVE: UnpackLimits = UnpackLimits { entries: 20_000, bytes: 16 << 30 };

impl Source {
    pub(super) async fn open(
        asked: &ImageReference,
        directory: &Path,
        skopeo: &Skopeo,
        store: &Store,
    ) -> Result<Self, InputsError> {
        let place = match &asked.place {
            ImagePlace::Layout(path) => Place::Layout(directory.join(path)),
            ImagePlace::Archive(path) => unpacked(directory.join(path), store).await?,
            ImagePlace::Registry { host, name } => {
                let workplace = Workplace::new(store)?;
                let (host, name) = (host.clone(), name.clone());
                Place::Registry(Repository { skopeo: skopeo.clone(), host, name, workplace }, None)
            }
        };
        Ok(Self { store: store.clone(), place })
    }

    /// The document that a reference names, and its digest.
    pub(super) async fn start(&self, asked: &ImageReference) -> Result<(Sha256, Vec<u8>), InputsError> {
        if let Some(digest) = asked.digest {
            return Ok((digest, self.document(&digest).await?));
        }
        let index = match &self.place {
            Place::Registry(repository, _) => {
                let tag = asked.tag.as_deref().unwrap_or("latest");
                let bytes = repository.raw(&format!(":{tag}")).await?;
                return Ok((Sha256::of(&bytes), bytes));
            }
            Place::Layout(root) => self.read(root.join("index.json"), MAX_BYTES).await?,
            Place::Archive(index, _) => Some(self.store.read_blob(&index.blake3, MAX_BYTES)?),
        };
        let none = || match &self.place {
            Place::Layout(root) if !root.exists() => ImageError::NoPlace(root.display().to_string()),
            Place::Layout(root) => ImageError::NoLayout(root.display().to_string(), "index.json"),
            Place::Archive(..) | Place::Registry(..) => ImageError::NoLayout(asked.to_string(), "index.json"),
        };
        let mut index = Index::read(&index.ok_or_else(none)?)?;
        // What is attached to images is none of them.
        index.images.retain(|one| one.artifact_type.is_none());
        let digest = named(&index, asked)?.digest;
        Ok((digest, self.document(&digest).await?))
    }

    /// A document by its digest.
    pub(super) async fn document(&self, digest: &Sha256) -> Result<Vec<u8>, InputsError> {
        let bytes = match &self.place {
            Place::Layout(root) => self.read(blob_path(root, digest), MAX_BYTES).await?,
            Place::Archive(_, blobs) => match blobs.get(digest) {
                Some(blob) => Some(self.store.read_blob(&blob.blake3, MAX_BYTES)?),
                None => None,
            },
            Place::Registry(repository, _) => Some(repository.raw(&format!("@sha256:{digest}")).await?),
        };
        let bytes = bytes.ok_or(ImageError::NoBlob(*digest))?;
        let here = Sha256::of(&bytes);
        if here == *digest { Ok(bytes) } else { Err(ImageError::Digest { said: *digest, here }.into()) }
    }

    /// Brings the blobs of that manifest here, where they are not.
    pub(super) async fn bring(&mut self, manifest: &Sha256) -> Result<(), InputsError> {
        if let Place::Registry(repository, fetched) = &mut self.place {
            *fetched = Some(repository.fetch(manifest).await?);
        }
        Ok(())
    }

    /// Puts a blob into the store, of at most so many bytes.
    pub(super) async fn blob(&self, one: &Described, most: u64) -> Result<DigestSet, InputsError> {
        let (said, size) = (one.digest, one.size);
        if size > most {
            return Err(ImageError::TooLarge { what: format!("the blob {said}"), size, most }.into());
        }
        let path = match &self.place {
            Place::Archive(_, blobs) => {
                let blob = blobs.get(&said).ok_or(ImageError::NoBlob(said))?;
                self.store.blob_root().join(Store::blob_name(&blob.blake3))
            }
            Place::Layout(root) => blob_path(root, &said),
            Place::Registry(_, fetched) => fetched.as_ref().ok_or(ImageError::NoBlob(said))?.join(said.to_string()),
        };
        let store = self.store.clone();
        blocking::run(self.store.root(), move || {
            let file = opened(&path)?.ok_or(ImageError::NoBlob(said))?;
            let (digest, here) = store.add_reader(&mut file.take(size.saturating_add(1)))?;
            if here != size {
                return Err(InputsError::from(ImageError::Size { digest: said, said: size, here }));
            }
            if digest.sha256 != said {
                return Err(ImageError::Digest { said, here: digest.sha256 }.into());
            }
            Ok(digest)
        })
        .await
    }

    /// A file of at most so many bytes, where there is one.
    async fn read(&self, path: PathBuf, most: u64) -> Result<Option<Vec<u8>>, InputsError> {
        blocking::run(self.store.root(), move || read_file(&path, most)).await
    }
}

/// A file of at most so many bytes, where there is one.
pub(super) fn read_file(path: &Path, most: u64) -> Result<Option<Vec<u8>>, InputsError> {
    let Some(file) = opened(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let io_error = |source| InputsError::Io { path: path.to_owned(), source };
    file.take(most + 1).read_to_end(&mut bytes).map_err(io_error)?;
    let size = bytes.len() as u64;
    let too_large = || ImageError::TooLarge { what: "a blob".into(), size, most };
    if size > most { Err(too_large().into()) } else { Ok(Some(bytes)) }
}

/// The image that a reference without a digest names in a layout's index.
pub(super) fn named<'a>(index: &'a Index, asked: &ImageReference) -> Result<&'a Described, InputsError> {
    let tags = || index.images.iter().filter_map(|one| one.tag.clone()).take(20).collect::<Vec<_>>();
    let fits = |one: &&Described| asked.tag.is_none() || one.tag == asked.tag;
    let fit: Vec<&Described> = index.images.iter().filter(fits).collect();
    match fit.as_slice() {
        [] => Err(ImageError::NoImage { asked: asked.to_string(), there: tags() }.into()),
        [one] => Ok(one),
        _ => Err(ImageError::Several(tags()).into()),
    }
}

pub(super) fn blob_path(root: &Path, digest: &Sha256) -> PathBuf {
    root.join("blobs/sha256").join(digest.to_string())
}

/// A regular file, where there is one. Its own name is no link.
fn opened(path: &Path) -> Result<Option<File>, InputsError> {
    let io_error = |source| InputsError::Io { path: path.to_owned(), source };
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags.bits()).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io_error)?,
    };
    if !file.metadata().map_err(io_error)?.is_file() {
        return Err(io_error(io::Error::other("not a regular file")));
    }
    Ok(Some(file))
}

async fn unpacked(path: PathBuf, store: &Store) -> Result<Place, InputsError> {
    let from = store.clone();
    blocking::run(store.root(), move || {
        let none = |what| ImageError::NoLayout(path.display().to_string(), what);
        let file = opened(&path)?
            .ok_or_else(|| InputsError::Io { path: path.clone(), source: io::ErrorKind::NotFound.into() })?;
        let archive = from.unpack_tar(file, Layout::AtTop, ARCHIVE);
        let archive = archive.map_err(|source| InputsError::Archive { name: path.display().to_string(), source })?;
        let (mut index, mut blobs) = (None, BTreeMap::new());
        for (place, entry) in archive.entries {
            let Node::File { digest, .. } = entry.node else { continue };
            if place.as_bytes() == b"index.json" {
                index = Some(digest);
            } else {
                blobs.insert(digest.sha256, digest);
            }
        }
        let index = index.ok_or_else(|| InputsError::from(none("index.json")))?;
        Ok::<_, InputsError>(Place::Archive(index, blobs))
    })
    .await
}
