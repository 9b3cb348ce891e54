// SPDX-License-Identifier: Apache-2.0
//! A transparency log in a directory, which any static web server can serve: C2SP tlog-tiles, version 1.
//!
//! ```text
//! entries ──append──▶ tile/entries/…, tile/0/…, tile/1/…  ──sign──▶ checkpoint
//!                     written and on the disk first                 named last, in one stroke
//! ```
//!
//! What no checkpoint is of is not in the log. So whatever an append was killed at, the log is as it was before, or as it
//! is after; and an entry whose place was given is in it.

mod append;
mod index;
mod tiles;
mod witness;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::fcntl::OFlag;
use reprove_attest::Signer;
use reprove_attest::log::merkle::{self, Hash};
use reprove_attest::log::{AddCheckpoint, Checkpoint, CheckpointError, LogProof, Note, NoteError, NoteKey, NoteKind};
use thiserror::Error;

pub use index::Record;
use tiles::Tiles;
pub use witness::{Witness, WitnessError};

/// The longest entry, in bytes (C2SP tlog-tiles, "Log Entries").
pub const MAX_ENTRY: usize = 65_535;

/// The longest checkpoint that is read, in bytes.
const MAX_CHECKPOINT: u64 = reprove_attest::log::MAX_NOTE as u64;

/// A log that is open, for one checkpoint's entries.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    note: Note,
    checkpoint: Checkpoint,
}

impl Log {
    /// Makes a log without entries in `folder`, which must not exist or be empty. Its checkpoints are signed by `key` under
    /// the name `origin`.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn new(folder: &Path, origin: &str, key: &dyn Signer) -> Result<Self, LogError> {
        let fail = |e| io_error(folder, e);
        match DirBuilder::new().mode(0o755).create(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(fail(e)),
            Ok(()) | Err(_) => {}
        }
        #[expect(clippy::disallowed_methods, reason = "whether there is any has no order")]
        if fs::read_dir(folder).map_err(fail)?.next().is_some() {
            return Err(LogError::NotEmpty(folder.to_owned()));
        }
        let checkpoint = Checkpoint { origin: origin.to_owned(), size: 0, root: merkle::empty_root() };
        let note = signed(&checkpoint, key)?;
        let log = Self { folder: folder.to_owned(), note, checkpoint };
        log.publish()?;
        Ok(log)
    }

    /// Opens the log in `folder`. Where `key` is given, its checkpoint must be signed by it.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn open(folder: &Path, key: Option<&NoteKey>) -> Result<Self, LogError> {
        let path = folder.join("checkpoint");
        let text = match read_text(&path, MAX_CHECKPOINT) {
            Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(LogError::NoLog(folder.to_owned()));
            }
            read => read?,
        };
        let note: Note = text.parse()?;
        let checkpoint: Checkpoint = note.text().parse()?;
        if let Some(key) = key {
            key.verify(&note)?;
            if key.name() != checkpoint.origin {
                return Err(LogError::OtherOrigin(checkpoint.origin));
            }
        }
        Ok(Self { folder: folder.to_owned(), note, checkpoint })
    }

    /// Whether it knows the envelope of each entry, and so what it has for a subject.
    ///
    /// # Errors
    /// [`LogError::NotListed`].
    pub fn is_listed(&self) -> Result<(), LogError> {
        index::is_listed(&self.folder)
    }

    /// What the log says of its tree.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The same, signed.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The entry at a place.
    ///
    /// # Errors
    /// [`LogError::NoEntry`], [`LogError::Damaged`], [`LogError::Io`].
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        if index >= self.checkpoint.size {
            return Err(LogError::NoEntry { index, size: self.checkpoint.size });
        }
        self.tiles().entry(index)
    }

    /// What shows that the entry at a place is in the log.
    ///
    /// # Errors
    /// [`LogError::NoEntry`], [`LogError::Damaged`], [`LogError::Io`].
    pub fn prove(&self, index: u64) -> Result<LogProof, LogError> {
        let size = self.checkpoint.size;
        if index >= size {
            return Err(LogError::NoEntry { index, size });
        }
        let hashes = merkle::inclusion_proof(&self.tiles(), index, size)?;
        let entry = self.entry(index)?;
        if !merkle::is_included(&merkle::leaf_hash(&entry), index, size, &hashes, &self.checkpoint.root) {
            return Err(LogError::Damaged(self.folder.clone()));
        }
        Ok(LogProof { index, hashes, checkpoint: self.note.clone() })
    }

    /// What shows that the log's tree begins with the one that it had at `old` entries.
    ///
    /// # Errors
    /// [`LogError::NoEntry`] where it never had as many, [`LogError::Damaged`], [`LogError::Io`].
    pub fn consistency(&self, old: u64) -> Result<Vec<Hash>, LogError> {
        let size = self.checkpoint.size;
        if old > size {
            return Err(LogError::NoEntry { index: old, size });
        }
        merkle::consistency_proof(&self.tiles(), old, size)
    }

    /// What is sent to a witness that has cosigned the log's first `old` entries.
    ///
    /// # Errors
    /// As [`Log::consistency`].
    pub fn for_witness(&self, old: u64) -> Result<AddCheckpoint, LogError> {
        let proof = if old == 0 { Vec::new() } else { self.consistency(old)? };
        Ok(AddCheckpoint { old, proof, note: self.note.clone() })
    }

    /// Adds a witness's cosignature, the line that it has answered, to the log's checkpoint.
    ///
    /// # Errors
    /// [`LogError::Busy`]; [`LogError::Grown`] where the log has grown since it was opened; [`LogError::Note`] where it is no
    /// cosignature of this checkpoint by `witness`.
    pub fn add_cosignature(&mut self, line: &str, witness: &NoteKey) -> Result<(), LogError> {
        let _lock = self.lock()?;
        let now = Self::open(&self.folder, None)?;
        if now.checkpoint != self.checkpoint {
            return Err(LogError::Grown { old: self.checkpoint.size, size: now.checkpoint.size });
        }
        // One line by the witness's own key, and the log's own signature beside it.
        let line = line.strip_suffix('\n').unwrap_or(line);
        let is_by_witness = |line: &str| {
            let signature = line.strip_prefix(&format!("\u{2014} {} ", witness.name()));
            signature
                .and_then(|base64| STANDARD.decode(base64).ok())
                .is_some_and(|bytes| bytes.starts_with(&witness.id()))
        };
        if witness.name() == self.checkpoint.origin || line.contains('\n') || !is_by_witness(line) {
            return Err(LogError::Note(NoteError::NotSigned(witness.name().to_owned())));
        }
        let text = now.note.to_string();
        let (head, lines) = text.split_once("\n\n").unwrap_or((&text, ""));
        // One that is there already by this key is replaced.
        let others: String =
            lines.lines().filter(|line| !is_by_witness(line)).map(|line| format!("{line}\n")).collect();
        let note: Note = format!("{head}\n\n{others}{line}\n").parse()?;
        witness.verify(&note)?;
        if note.text() != self.note.text() {
            return Err(LogError::Damaged(self.folder.clone()));
        }
        self.note = note;
        self.publish()
    }

    /// Looks whether the log still begins with what `seen` is of, which somebody has kept: whether nothing was changed or
    /// taken out since.
    ///
    /// # Errors
    /// [`LogError::Forked`] where it does not, [`LogError::Damaged`], [`LogError::Io`].
    pub fn extends(&self, seen: &Checkpoint) -> Result<(), LogError> {
        let Checkpoint { size, root, .. } = &self.checkpoint;
        let forked = || LogError::Forked { old: seen.size, size: *size };
        if seen.origin != self.checkpoint.origin || seen.size > *size {
            return Err(forked());
        }
        let proof = self.consistency(seen.size)?;
        if merkle::is_consistent(seen.size, &seen.root, *size, root, &proof) { Ok(()) } else { Err(forked()) }
    }

    /// Reads every entry and every tile, and computes the tree anew; looks whether all that it has is listed by its subjects.
    ///
    /// # Errors
    /// [`LogError::Damaged`], [`LogError::Io`].
    pub fn verify(&self) -> Result<(), LogError> {
        self.tiles().verify(&self.checkpoint.root)?;
        self.verify_lists()
    }

    fn tiles(&self) -> Tiles<'_> {
        Tiles { folder: &self.folder, size: self.checkpoint.size }
    }

    /// Only one at a time appends; who finds another at it is refused.
    fn lock(&self) -> Result<File, LogError> {
        let path = self.folder.join(".lock");
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(&path).map_err(|e| io_error(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(LogError::Busy(self.folder.clone())),
            Err(TryLockError::Error(e)) => Err(io_error(&path, e)),
        }
    }

    /// Has everything on the disk, then names the checkpoint.
    fn publish(&self) -> Result<(), LogError> {
        let fail = |e| io_error(&self.folder, e);
        let folder = File::open(&self.folder).map_err(fail)?;
        nix::unistd::syncfs(&folder).map_err(|e| fail(e.into()))?;
        write_whole(&self.folder.join("checkpoint"), self.note.to_string().as_bytes())?;
        folder.sync_all().map_err(fail)
    }
}

fn signed(checkpoint: &Checkpoint, key: &dyn Signer) -> Result<Note, LogError> {
    let mut note = Note::new(&checkpoint.to_string())?;
    note.sign(&checkpoint.origin, key)?;
    Ok(note)
}

/// Writes a file that is there whole or not at all, and that anyone may read.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    write(path, bytes, true)
}

/// The same; one that replaces nothing is on the disk only with the checkpoint that comes after it, which is soon enough.
fn write_listed(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    write(path, bytes, path.symlink_metadata().is_ok())
}

fn write(path: &Path, bytes: &[u8], sync: bool) -> Result<(), LogError> {
    use io::Write as _;
    let fail = |e: io::Error| io_error(path, e);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(fail)?;
    if sync {
        file.as_file().sync_all().map_err(fail)?;
    }
    file.persist(path).map(drop).map_err(|e| fail(e.error))
}

/// Reads a file of at most `most` bytes: no link, no pipe, no device.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, LogError> {
    use io::Read as _;
    let fail = |e| io_error(path, e);
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(LogError::Damaged(path.to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > most { Err(LogError::Damaged(path.to_owned())) } else { Ok(bytes) }
}

fn read_text(path: &Path, most: u64) -> Result<String, LogError> {
    String::from_utf8(read(path, most)?).map_err(|_| LogError::Damaged(path.to_owned()))
}

fn io_error(path: &Path, source: io::Error) -> LogError {
    LogError::Io { path: path.to_owned(), source }
}

/// The key that a log's checkpoints are verified by.
///
/// # Errors
/// [`NoteError`] where the origin is no name, or the key is not of Ed25519.
pub fn key_of(origin: &str, key: &dyn Signer) -> Result<NoteKey, NoteError> {
    NoteKey::new(origin, NoteKind::Own, key.public_key())
}

/// Why a log could not be read or written.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder with something in it.
    #[error("{}: a new log's directory must be empty", .0.display())]
    NotEmpty(PathBuf),
    /// A folder without a checkpoint.
    #[error("{}: there is no log here: it has no checkpoint", .0.display())]
    NoLog(PathBuf),
    /// Another process appends.
    #[error("{}: another process is adding to this log; try again when it is done", .0.display())]
    Busy(PathBuf),
    /// A tile that is not what the checkpoint says.
    #[error("{}: damaged: it is not what the checkpoint says", .0.display())]
    Damaged(PathBuf),
    /// Entries whose envelopes are not known.
    #[error("{}: this log has entries without their envelopes, and so no word on what it has for a subject", .0.display())]
    NotListed(PathBuf),
    /// No such place.
    #[error("the log has {size} entries, and none with the number {index}")]
    NoEntry {
        /// The place.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// Longer than [`MAX_ENTRY`].
    #[error("the entry has {0} bytes; the most is {MAX_ENTRY}")]
    TooLong(usize),
    /// Another log's checkpoint.
    #[error("the checkpoint is of the log {0:?}, and the key is another's")]
    OtherOrigin(String),
    /// A log that another process has added to.
    #[error("the log has grown from {old} entries to {size} meanwhile; ask the witness again")]
    Grown {
        /// How many it had.
        old: u64,
        /// How many it has.
        size: u64,
    },
    /// Another process is this witness.
    #[error("{}: another process is a witness with this memory; there is one at a time", .0.display())]
    OtherWitness(PathBuf),
    /// A tree that does not begin with an older one.
    #[error("the log was changed: its {size} entries do not begin with the {old} that it had")]
    Forked {
        /// How many it had.
        old: u64,
        /// How many it has.
        size: u64,
    },
    /// No signed note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// No checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
