// SPDX-License-Identifier: Apache-2.0
//! The disk that tells a guest what to build: 16 bytes that say what it is, the length of its head (8 bytes, the lowest
//! first), the head in canonical JSON, the blobs that it lists, one after the other, and zeros to a whole block.
//!
//! The guest is told the BLAKE3 digest of the whole disk on the kernel's command line, and refuses another one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};

use jiff::Timestamp;
use reprove_images::guest::BLOCK;
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{
    Conditions, Content, Digest, DigestSet, Engine, InputName, Isolation, IsolationLevel, Lock, RecordMode, Role,
    Sha256, Tree,
};
use reprove_store::{IngestError, Store, StoreError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::root::JobRoot;

/// The largest job's disk, in bytes. A guest holds it in memory.
pub const MAX_JOB: u64 = 1 << 30;

const MAGIC: &[u8; 16] = b"reprove job 1\n\0\0";

/// What a guest is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// What the machine's clock is set to before anything else, in seconds since 1970.
    pub clock: u64,
    /// What to build; none where it only has to say that it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<JobBuild>,
    /// What stands behind the head, in this order; each once.
    pub blobs: Vec<Blob>,
}

/// One build; the fields are those of [`crate::BuildRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobBuild {
    /// What to build, and from what.
    pub lock: Lock,
    /// What must not matter.
    pub conditions: Conditions,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970; none: not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The time now, for the record.
    pub started: Timestamp,
    /// How closely it is watched.
    pub watched: RecordMode,
    /// The weakest walls inside that it is run behind.
    pub demanded: IsolationLevel,
    /// What is asked of a machine that has to have evidence; none of any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidential: Option<JobEvidence>,
    /// The root filesystem beside a machine's `/usr`; none where all of it is a kept environment, which is on the disk that is
    /// `/usr`'s else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<JobRoot>,
    /// The source's files, where the source is a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Tree>,
}

/// What a guest that has to have evidence is told of its machine. The processor's measurement shows whether the SHA-256 digests
/// of kernel and initrd are true; the engine and the other digests are the host's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobEvidence {
    /// In what the build is to be said to have run.
    pub isolation: Isolation,
    /// What the verifier asked to have in the reports.
    pub nonce: Sha256,
    /// What runs the machine.
    pub engine: Engine,
    /// Of its kernel's file.
    pub kernel: DigestSet,
    /// Of its first file system.
    pub initrd: DigestSet,
}

/// A blob behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// Of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// Why there is no job's disk, or none that can be read.
#[derive(Debug, Error)]
pub enum JobError {
    /// Past [`MAX_JOB`].
    #[error("the source and the tools have more than {} MiB together, which is the most that a virtual machine is given", MAX_JOB >> 20)]
    TooLarge,
    /// A tool is not one file.
    #[error("the lock's tool {0} is an archive or a tree; a tool is one file")]
    Tool(InputName),
    /// It is not such a disk.
    #[error("the job's disk is none, or of another version: {0}")]
    Malformed(&'static str),
    /// The head can't be.
    #[error("the head of the job's disk: {0}")]
    Head(#[from] CanonicalError),
    /// A blob is not the one that its digest says.
    #[error("a blob of the job's disk is another one than its head says")]
    OtherBlob,
    /// A part of the root filesystem can't be taken in.
    #[error("{part}: {error}")]
    Part {
        /// Where it appears.
        part: String,
        /// Why.
        error: IngestError,
    },
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk could not be written or read.
    #[error("the job's disk: {0}")]
    Io(#[from] io::Error),
}

impl Job {
    /// A job that is to build nothing: the guest says that it is there, and ends.
    #[must_use]
    pub fn hello(clock: u64) -> Self {
        Self { clock, build: None, blobs: Vec::new() }
    }

    /// The job of one build, whose inputs are in `store`.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn build(clock: u64, build: JobBuild, store: &Store) -> Result<Self, JobError> {
        let mut sizes = BTreeMap::new();
        // What the environment is made of is in the environment.
        for input in build.lock.inputs.iter().filter(|input| input.role != Role::Environment) {
            match &input.content {
                Content::File { digest, size } | Content::Archive { digest, size }
                    if input.role == Role::Source || matches!(input.content, Content::File { .. }) =>
                {
                    sizes.insert(digest.blake3, *size);
                }
                Content::Tree { .. } if input.role == Role::Source => {}
                _ => return Err(JobError::Tool(input.name.clone())),
            }
        }
        for tree in build.source.iter().chain(build.root.iter().flat_map(|root| root.parts.values())) {
            sizes.extend(tree.files().map(|(_, digest, size)| (digest.blake3, size)));
        }
        let blobs = sizes.into_iter().map(|(digest, size)| Blob { digest, size }).collect();
        let job = Self { clock, build: Some(build), blobs };
        for blob in &job.blobs {
            store.verify_blob(&blob.digest)?;
        }
        Ok(job)
    }

    /// Writes the disk, and gives the BLAKE3 digest of all of it, and its size in bytes.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn write(&self, store: &Store, to: &mut File) -> Result<(Digest, u64), JobError> {
        let head = canonical::to_vec(self)?;
        let blobs = self.blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
        let bytes = (MAGIC.len() as u64 + 8 + head.len() as u64).saturating_add(blobs);
        let size =
            bytes.checked_next_multiple_of(BLOCK as u64).filter(|&size| size <= MAX_JOB).ok_or(JobError::TooLarge)?;
        let mut to = Hashing { hasher: blake3::Hasher::new(), to: io::BufWriter::with_capacity(1 << 20, to) };
        to.write_all(MAGIC)?;
        to.write_all(&(head.len() as u64).to_le_bytes())?;
        to.write_all(&head)?;
        for blob in &self.blobs {
            let mut file = store.open_blob(&blob.digest)?.take(blob.size);
            if io::copy(&mut file, &mut to)? != blob.size {
                return Err(JobError::OtherBlob);
            }
        }
        io::copy(&mut io::repeat(0).take(size - bytes), &mut to)?;
        to.flush()?;
        Ok((Digest::from(to.hasher.finalize()), size))
    }

    /// Reads a disk: the job, and the blobs in its order, each of which has its digest.
    ///
    /// # Errors
    /// [`JobError::Malformed`], [`JobError::Head`], [`JobError::OtherBlob`].
    pub fn read(disk: &[u8]) -> Result<(Self, Vec<&[u8]>), JobError> {
        let rest = disk.strip_prefix(MAGIC).ok_or(JobError::Malformed("it does not begin as one"))?;
        let (length, rest) = rest.split_first_chunk().ok_or(JobError::Malformed("it ends too early"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (head, mut rest) = rest.split_at_checked(length).ok_or(JobError::Malformed("its head ends too early"))?;
        let job: Self = canonical::from_slice(head)?;
        let mut blobs = Vec::new();
        for blob in &job.blobs {
            let size = usize::try_from(blob.size).unwrap_or(usize::MAX);
            let (bytes, behind) = rest.split_at_checked(size).ok_or(JobError::Malformed("a blob ends too early"))?;
            if Digest::of(bytes) != blob.digest {
                return Err(JobError::OtherBlob);
            }
            blobs.push(bytes);
            rest = behind;
        }
        if rest.len() >= BLOCK || rest.iter().any(|&byte| byte != 0) {
            return Err(JobError::Malformed("there is something behind its last blob"));
        }
        Ok((job, blobs))
    }
}

/// Hashes what is written.
struct Hashing<W> {
    hasher: blake3::Hasher,
    to: W,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(job: &Job, store: &Store) -> Result<(Vec<u8>, Digest), JobError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let (digest, size) = job.write(store, file.as_file_mut())?;
        let bytes = std::fs::read(file.path()).unwrap();
        assert_eq!(bytes.len() as u64, size);
        Ok((bytes, digest))
    }

    #[test]
    fn a_disk_is_read_as_it_was_written_and_no_byte_of_it_may_be_another() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let blobs: Vec<Blob> = [&b"first"[..], b"", b"third"]
            .map(|bytes| Blob { digest: store.add_bytes(bytes).unwrap().0.blake3, size: bytes.len() as u64 })
            .into();
        let job = Job { blobs, ..Job::hello(1) };
        let (disk, digest) = written(&job, &store).unwrap();
        assert_eq!((disk.len() % BLOCK, digest), (0, Digest::of(&disk)));
        let (read, blobs) = Job::read(&disk).unwrap();
        assert_eq!((&read, blobs), (&job, vec![&b"first"[..], b"", b"third"]));
        for at in 0..disk.len() {
            let mut other = disk.clone();
            other[at] ^= 0x10;
            assert!(Job::read(&other).map_or(true, |(read, _)| read != job), "{at}");
            assert_ne!(Digest::of(&other), digest);
        }
        for length in 0..BLOCK / 2 {
            assert!(Job::read(&disk[..length]).map_or(true, |(read, _)| length > 64 && read == job), "{length}");
        }
    }

    #[test]
    fn a_disk_has_nothing_behind_its_last_block() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (mut disk, _) = written(&Job::hello(1), &store).unwrap();
        disk.extend([0; BLOCK]);
        assert!(matches!(Job::read(&disk), Err(JobError::Malformed(_))));
    }

    #[test]
    fn a_disk_is_bounded_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let of = |size| Job { blobs: vec![Blob { digest: Digest::of(b""), size }], ..Job::hello(1) };
        let head = |job: &Job| canonical::to_vec(job).unwrap().len() as u64 + 24;
        let most = MAX_JOB - head(&of(MAX_JOB - 1));
        // Its blob is not in the store, which is only seen where there is room for it.
        assert!(matches!(written(&of(most), &store), Err(JobError::Store(_))));
        assert!(matches!(written(&of(most + 1), &store), Err(JobError::TooLarge)));
        assert!(matches!(written(&of(u64::MAX >> 11), &store), Err(JobError::TooLarge)));
    }
}
