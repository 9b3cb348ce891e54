// SPDX-License-Identifier: Apache-2.0
//! Bytes into blobs: written without their name, hashed on the way, named when they are whole.

use std::collections::VecDeque;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use reprove_model::{Digest, DigestSet, Sha256};
use sha2::Digest as _;

use crate::blobs::{CLOSED, OPEN, io_error, make_directory};
use crate::buffer::{Buffer, Spare};
use crate::lock::Kind;
use crate::{Store, StoreError};

/// Up to this many bytes a file is held in memory and written at once; a larger one goes through in parts of this size,
/// with each digest on a thread of its own.
pub(crate) const PART: usize = 1 << 20;

/// How many parts may wait for a digest.
const WAITING: usize = 4;

/// A file's mode in the store: nobody writes to it.
const READ_ONLY: u32 = 0o444;

/// How many folders drafts are made in.
const FOLDERS: u64 = 16;

thread_local! {
    /// Where each thread makes its drafts: threads that share a folder wait for each other at every file.
    static FOLDER: u64 = {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % FOLDERS
    };
    static SPARE: Spare = const { Spare::new() };
}

impl Store {
    /// Stores the bytes of `reader`; gives their digests and how many there were.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Quota`], [`StoreError::Busy`].
    pub fn add_reader(&self, reader: &mut dyn Read) -> Result<(DigestSet, u64), StoreError> {
        match self.prepare_reader(reader)? {
            Taken::Prepared(prepared, size) => {
                let digests = prepared.digests;
                self.name_all(vec![prepared])?;
                Ok((digests, size))
            }
            Taken::Named(digests, size) => Ok((digests, size)),
        }
    }

    /// The same, but for giving a small file its name.
    pub(crate) fn prepare_reader(&self, reader: &mut dyn Read) -> Result<Taken<'_>, StoreError> {
        let mut first = SPARE.with(|spare| spare.take(PART));
        let fail = |e| io_error(self.temp().path(), e);
        first.fill(reader).map_err(fail)?;
        if first.is_full() {
            let mut second = Buffer::new(PART);
            second.fill(reader).map_err(fail)?;
            if !second.bytes().is_empty() {
                let (digests, size) = self.add_large([first, second], reader)?;
                return Ok(Taken::Named(digests, size));
            }
        }
        let size = first.bytes().len() as u64;
        let prepared = self.prepare(first.bytes());
        SPARE.with(|spare| spare.put(first));
        Ok(Taken::Prepared(prepared?, size))
    }

    /// Stores `bytes`.
    ///
    /// # Errors
    /// See [`Store::add_reader`].
    pub fn add_bytes(&self, mut bytes: &[u8]) -> Result<(DigestSet, u64), StoreError> {
        if bytes.len() > PART {
            return self.add_reader(&mut bytes);
        }
        Ok((self.add_small(bytes)?, bytes.len() as u64))
    }

    /// Stores the bytes of the file at `path`.
    ///
    /// # Errors
    /// See [`Store::add_reader`].
    pub fn add_file(&self, path: &Path) -> Result<(DigestSet, u64), StoreError> {
        let mut file = File::open(path).map_err(|e| io_error(path, e))?;
        self.add_reader(&mut file)
    }

    fn add_small(&self, bytes: &[u8]) -> Result<DigestSet, StoreError> {
        let prepared = self.prepare(bytes)?;
        let digests = prepared.digests;
        self.name_all(vec![prepared])?;
        Ok(digests)
    }

    /// Hashes `bytes`, and writes them where they may not be there yet.
    pub(crate) fn prepare(&self, bytes: &[u8]) -> Result<Prepared<'_>, StoreError> {
        let digests = DigestSet::of(bytes);
        let blob = blob_in_root(&digests.blake3);
        // Looked for here, as it need not be written then; looked into when nobody takes it away.
        let way = if self.has_size(&blob, bytes.len() as u64) {
            Way::There(bytes.to_vec())
        } else {
            self.make_room(bytes.len() as u64)?;
            Way::Draft(self.draft_of(bytes)?)
        };
        Ok(Prepared { digests, blob, way })
    }

    /// Gives what was prepared its names.
    pub(crate) fn name_all(&self, all: Vec<Prepared<'_>>) -> Result<(), StoreError> {
        let digests: Vec<Digest> = all.iter().map(|prepared| prepared.digests.blake3).collect();
        let held = self.hold(Kind::WithOthers)?;
        self.temp().pin(&digests, &held)?;
        for Prepared { blob, way, .. } in all {
            match way {
                Way::Draft(draft) => draft.name(&blob)?,
                Way::There(bytes) if fs::read(self.root().join(&blob)).is_ok_and(|found| found == bytes) => {}
                Way::There(bytes) => self.draft_of(&bytes)?.name(&blob)?,
            }
        }
        Ok(())
    }

    fn has_size(&self, blob: &str, size: u64) -> bool {
        let found = fstatat(self.folder(), blob, AtFlags::AT_SYMLINK_NOFOLLOW);
        let is_file = |mode| SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG;
        found.is_ok_and(|found| is_file(found.st_mode) && u64::try_from(found.st_size) == Ok(size))
    }

    fn add_large(&self, first: [Buffer; 2], reader: &mut dyn Read) -> Result<(DigestSet, u64), StoreError> {
        let mut draft = self.draft()?;
        let (digests, size) = thread::scope(|scope| {
            let (to_blake3, parts) = sync_channel(WAITING);
            let blake3 = scope.spawn(move || blake3_of(&parts));
            let (to_sha256, parts) = sync_channel(WAITING);
            let sha256 = scope.spawn(move || sha256_of(&parts));
            let size = self.write_parts(&mut draft, first, reader, &[to_blake3, to_sha256]);
            let ended = |_| io_error(self.temp().path(), io::Error::other("a thread that hashes has failed"));
            let (blake3, sha256) = (blake3.join().map_err(ended)?, sha256.join().map_err(ended)?);
            Ok::<_, StoreError>((DigestSet { blake3, sha256 }, size?))
        })?;
        self.make_room(size)?;
        let (blob, path) = (blob_in_root(&digests.blake3), self.blob_path(&digests.blake3));
        let held = self.hold(Kind::WithOthers)?;
        self.temp().pin(&[digests.blake3], &held)?;
        // What is there under that name is only trusted once its bytes have that digest; what a crash of the machine or
        // anything else has made of it is replaced.
        if !(self.has_size(&blob, size) && crate::digest_file(&path).is_ok_and(|found| found == digests.blake3)) {
            draft.name(&blob)?;
        }
        Ok((digests, size))
    }

    /// Writes `first` and all of `reader` to `draft`, and sends it part by part to those who hash. Gives its size.
    fn write_parts(
        &self,
        draft: &mut Draft<'_>,
        first: [Buffer; 2],
        reader: &mut dyn Read,
        to: &[SyncSender<Arc<Buffer>>],
    ) -> Result<u64, StoreError> {
        let at = self.root().join(&draft.path);
        let fail = |e| io_error(&at, e);
        let mut size = 0;
        let mut sent: VecDeque<Arc<Buffer>> = VecDeque::new();
        let mut first = first.into_iter();
        loop {
            let part = match first.next() {
                Some(part) => part,
                None => {
                    // Memory that nobody reads any more is used again.
                    let spare = (sent.len() > WAITING + 2).then(|| sent.pop_front().and_then(Arc::into_inner));
                    let mut part = spare.flatten().unwrap_or_else(|| Buffer::new(PART));
                    part.fill(reader).map_err(fail)?;
                    part
                }
            };
            if part.bytes().is_empty() {
                return Ok(size);
            }
            size += part.bytes().len() as u64;
            self.must_fit(size)?;
            let part = Arc::new(part);
            for hash in to {
                // One that has ended is noticed when it is waited for.
                let _ = hash.send(part.clone());
            }
            (&draft.file).write_all(part.bytes()).map_err(fail)?;
            sent.push_back(part);
        }
    }

    /// A file of this process that has no name in the store yet.
    pub(crate) fn draft(&self) -> Result<Draft<'_>, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let run = self.temp().name();
        let folder = format!("tmp/{run}/drafts-{}", FOLDER.with(|folder| *folder));
        let path = format!("{folder}/{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let open = || openat(self.folder(), path.as_str(), flags, Mode::from_bits_truncate(READ_ONLY));
        let mut file = open();
        if matches!(file, Err(Errno::ENOENT)) {
            make_directory(&self.root().join(folder), CLOSED)?;
            file = open();
        }
        let file = File::from(file.map_err(|e| io_error(&self.root().join(&path), e.into()))?);
        Ok(Draft { store: self, file, path, named: false })
    }

    /// The same, with all of its bytes.
    pub(crate) fn draft_of(&self, bytes: &[u8]) -> Result<Draft<'_>, StoreError> {
        let draft = self.draft()?;
        (&draft.file).write_all(bytes).map_err(|e| io_error(&self.root().join(&draft.path), e))?;
        Ok(draft)
    }
}

/// What became of a reader's bytes.
pub(crate) enum Taken<'a> {
    /// They only need a name. With their number.
    Prepared(Prepared<'a>, u64),
    /// They have one.
    Named(DigestSet, u64),
}

/// A file that is about to be in the store.
pub(crate) struct Prepared<'a> {
    pub(crate) digests: DigestSet,
    /// Its path in the store.
    blob: String,
    way: Way<'a>,
}

enum Way<'a> {
    /// Written, and to be named.
    Draft(Draft<'a>),
    /// Something of that name and size is there; these are the bytes that it should have.
    There(Vec<u8>),
}

/// A file without a name in the store. Removed with the value unless it got one.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    store: &'a Store,
    file: File,
    /// In the store, as all paths here are.
    path: String,
    named: bool,
}

impl Draft<'_> {
    /// Gives the file its name, also where there is another one of that name, and makes the folder where there is none.
    pub(crate) fn name(mut self, path: &str) -> Result<(), StoreError> {
        let fail = |path: &str, e: io::Error| io_error(&self.store.root().join(path), e);
        let mode = self.file.metadata().map_err(|e| fail(&self.path, e))?.permissions().mode();
        if mode & 0o7777 != READ_ONLY {
            // The umask has taken some of it away.
            let readable = Permissions::from_mode(READ_ONLY);
            self.file.set_permissions(readable).map_err(|e| fail(&self.path, e))?;
        }
        let folder = self.store.folder();
        let rename = || renameat(folder, self.path.as_str(), folder, path);
        let mut named = rename();
        if let (Err(Errno::ENOENT), Some(parent)) = (named, Path::new(path).parent()) {
            make_directory(&self.store.root().join(parent), OPEN)?;
            named = rename();
        }
        named.map_err(|e| fail(path, e.into()))?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.named {
            let _ = fs::remove_file(self.store.root().join(&self.path));
        }
    }
}

fn blob_in_root(digest: &Digest) -> String {
    format!("blobs/{}", Store::blob_name(digest))
}

fn blake3_of(parts: &Receiver<Arc<Buffer>>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.bytes());
    }
    hasher.finalize().into()
}

fn sha256_of(parts: &Receiver<Arc<Buffer>>) -> Sha256 {
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update(part.bytes());
    }
    Sha256::from(<[u8; 32]>::from(hasher.finalize()))
}
