// SPDX-License-Identifier: Apache-2.0
//! A witness's memory: of each log, the last checkpoint that it has cosigned. A checkpoint is on the disk before its
//! cosignature is given to anyone, so that no witness that was killed cosigns two histories.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use reprove_attest::Signer;
use reprove_attest::log::{AddCheckpoint, Checkpoint, MAX_NOTE, Note, NoteKey, NoteKind, WitnessRefusal};
use reprove_model::Sha256;
use thiserror::Error;

use crate::{LogError, io_error, read_text, write_whole};

/// A witness.
pub struct Witness {
    folder: PathBuf,
    key: NoteKey,
    signer: Arc<dyn Signer>,
    logs: Vec<NoteKey>,
    turn: Mutex<()>,
    _lock: File,
}

impl Witness {
    /// The witness `name` with this key, which knows `logs` and remembers in `folder` what it has cosigned. There is one
    /// process for a folder.
    ///
    /// # Errors
    /// [`LogError::OtherWitness`] where there is another, [`LogError::Note`] where the key or the name can't be a witness's.
    pub fn open(folder: &Path, name: &str, signer: Arc<dyn Signer>, logs: Vec<NoteKey>) -> Result<Self, LogError> {
        let key = NoteKey::new(name, NoteKind::Cosigned, signer.public_key())?;
        DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(|e| io_error(folder, e))?;
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(|e| io_error(parent, e))?;
        let path = folder.join(".lock");
        let mut options = File::options();
        let lock = options.create(true).truncate(false).write(true).open(&path).map_err(|e| io_error(&path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::OtherWitness(folder.to_owned())),
            Err(TryLockError::Error(e)) => return Err(io_error(&path, e)),
        }
        Ok(Self { folder: folder.to_owned(), key, signer, logs, turn: Mutex::default(), _lock: lock })
    }

    /// The key that others verify its cosignatures with.
    #[must_use]
    pub fn key(&self) -> &NoteKey {
        &self.key
    }

    /// Answers one request at the time `now`, in seconds since 1970: the cosignature's line.
    ///
    /// # Errors
    /// [`WitnessError`].
    pub fn add_checkpoint(&self, request: &[u8], now: u64) -> Result<String, WitnessError> {
        let request: AddCheckpoint = str::from_utf8(request).map_err(|_| WitnessRefusal::Shape)?.parse()?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(&request.checkpoint()?.origin);
        let latest = read(&path)?;
        let checkpoint = request.check(&self.logs, latest.as_ref())?;
        let mut note = Note::new(&checkpoint.to_string()).map_err(LogError::from)?;
        note.cosign(self.key.name(), &*self.signer, now).map_err(LogError::from)?;
        let text = note.to_string();
        write_whole(&path, text.as_bytes())?;
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|e| io_error(&self.folder, e))?;
        Ok(text.split_once("\n\n").map(|(_, line)| line.to_owned()).unwrap_or_default())
    }

    /// The last checkpoint of a log that was cosigned.
    ///
    /// # Errors
    /// [`LogError::Damaged`], [`LogError::Io`].
    pub fn latest(&self, origin: &str) -> Result<Option<Checkpoint>, LogError> {
        read(&self.path(origin))
    }

    fn path(&self, origin: &str) -> PathBuf {
        self.folder.join(Sha256::of(origin.as_bytes()).to_string())
    }
}

fn read(path: &Path) -> Result<Option<Checkpoint>, LogError> {
    let text = match read_text(path, MAX_NOTE as u64) {
        Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let damaged = |_| LogError::Damaged(path.to_owned());
    let note: Note = text.parse().map_err(damaged)?;
    note.text().parse().map(Some).map_err(|_| LogError::Damaged(path.to_owned()))
}

/// Why a witness gives no cosignature.
#[derive(Debug, Error)]
pub enum WitnessError {
    /// It does not cosign that.
    #[error(transparent)]
    Refused(#[from] WitnessRefusal),
    /// It can't.
    #[error(transparent)]
    Log(#[from] LogError),
}
