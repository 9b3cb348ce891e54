// SPDX-License-Identifier: Apache-2.0
//! Bytes into blobs: written without their name, hashed on the way, named when they are whole.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use reprove_model::{Digest, DigestSet, Sha256};
use sha2::Digest as _;

use crate::blobs::{OPEN, io_error, make_directory};
use crate::lock::Kind;
use crate::{Store, StoreError};

/// Up to this many bytes a file is held in memory and written at once; a larger one goes through in parts of this size,
/// with each digest on a thread of its own.
pub(crate) const PART: usize = 1 << 20;

/// How many parts may wait for a digest.
const WAITING: usize = 4;

/// A file's mode in the store: nobody writes to it.
const READ_ONLY: u32 = 0o444;

thread_local! {
    /// Each thread's own, for one file after the other.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Store {
    /// Stores the bytes of `reader`; gives their digests and how many there were.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Quota`], [`StoreError::Busy`].
    pub fn add_reader(&self, reader: &mut dyn Read) -> Result<(DigestSet, u64), StoreError> {
        // Taken, not borrowed: reading may itself add a file.
        let mut first = SPARE.take();
        first.clear();
        let fail = |e| io_error(self.temp().path(), e);
        // A little more, so that nearly all files end within.
        let read = reader.take(PART as u64 + 1).read_to_end(&mut first).map_err(fail)?;
        if read > PART {
            return self.add_large(first, reader);
        }
        let added = self.add_small(&first);
        SPARE.set(first);
        Ok((added?, read as u64))
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
        let digests = DigestSet::of(bytes);
        let path = self.blob_path(&digests.blake3);
        // Looked for before, as it need not be written then; looked into below, when nobody takes it away.
        let draft = if has_size(&path, bytes.len() as u64) {
            None
        } else {
            self.make_room(bytes.len() as u64)?;
            Some(self.draft_of(bytes)?)
        };
        let held = self.hold(Kind::WithOthers)?;
        self.temp().pin(&[digests.blake3], &held)?;
        match draft {
            Some(draft) => draft.name(&path)?,
            None if fs::read(&path).is_ok_and(|found| found == bytes) => {}
            None => self.draft_of(bytes)?.name(&path)?,
        }
        Ok(digests)
    }

    fn add_large(&self, first: Vec<u8>, reader: &mut dyn Read) -> Result<(DigestSet, u64), StoreError> {
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
        let path = self.blob_path(&digests.blake3);
        let held = self.hold(Kind::WithOthers)?;
        self.temp().pin(&[digests.blake3], &held)?;
        // What is there under that name is only trusted once its bytes have that digest; what a crash of the machine or
        // anything else has made of it is replaced.
        if !(has_size(&path, size) && crate::digest_file(&path).is_ok_and(|found| found == digests.blake3)) {
            draft.name(&path)?;
        }
        Ok((digests, size))
    }

    /// Writes `first` and all of `reader` to `draft`, and sends it part by part to those who hash. Gives its size.
    fn write_parts(
        &self,
        draft: &mut Draft,
        first: Vec<u8>,
        reader: &mut dyn Read,
        to: &[SyncSender<Arc<Vec<u8>>>],
    ) -> Result<u64, StoreError> {
        let fail = |e| io_error(&draft.path, e);
        let mut size = 0;
        let mut sent: VecDeque<Arc<Vec<u8>>> = VecDeque::new();
        let mut part = Arc::new(first);
        while !part.is_empty() {
            (&draft.file).write_all(&part).map_err(fail)?;
            size += part.len() as u64;
            self.must_fit(size)?;
            for hash in to {
                // One that has ended is noticed when it is waited for.
                let _ = hash.send(part.clone());
            }
            sent.push_back(part);
            // Memory that nobody reads any more is used again.
            let spare = (sent.len() > WAITING + 2).then(|| sent.pop_front().and_then(Arc::into_inner)).flatten();
            let mut next = spare.unwrap_or_else(|| Vec::with_capacity(PART));
            next.clear();
            reader.take(PART as u64).read_to_end(&mut next).map_err(fail)?;
            part = Arc::new(next);
        }
        Ok(size)
    }

    /// A file of this process that has no name in the store yet.
    pub(crate) fn draft(&self) -> Result<Draft, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("draft-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let path = self.temp().path().join(name);
        let file = File::options().write(true).create_new(true).mode(READ_ONLY).open(&path);
        let file = file.map_err(|e| io_error(&path, e))?;
        Ok(Draft { file, path, named: false })
    }

    /// The same, with all of its bytes.
    pub(crate) fn draft_of(&self, bytes: &[u8]) -> Result<Draft, StoreError> {
        let draft = self.draft()?;
        (&draft.file).write_all(bytes).map_err(|e| io_error(&draft.path, e))?;
        Ok(draft)
    }
}

/// A file without a name in the store. Removed with the value unless it got one.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) file: File,
    path: PathBuf,
    named: bool,
}

impl Draft {
    /// Gives the file its name, also where there is another one of that name, and makes the folder where there is none.
    pub(crate) fn name(mut self, path: &Path) -> Result<(), StoreError> {
        let mode = self.file.metadata().map_err(|e| io_error(&self.path, e))?.permissions().mode();
        if mode & 0o7777 != READ_ONLY {
            // The umask has taken some of it away.
            let readable = Permissions::from_mode(READ_ONLY);
            self.file.set_permissions(readable).map_err(|e| io_error(&self.path, e))?;
        }
        let mut named = fs::rename(&self.path, path);
        if let (Err(e), Some(folder)) = (&named, path.parent())
            && e.kind() == io::ErrorKind::NotFound
        {
            make_directory(folder, OPEN)?;
            named = fs::rename(&self.path, path);
        }
        named.map_err(|e| io_error(path, e))?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.named {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn has_size(path: &Path, size: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

fn blake3_of(parts: &Receiver<Arc<Vec<u8>>>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&part);
    }
    hasher.finalize().into()
}

fn sha256_of(parts: &Receiver<Arc<Vec<u8>>>) -> Sha256 {
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update(part.as_slice());
    }
    Sha256::from(<[u8; 32]>::from(hasher.finalize()))
}
