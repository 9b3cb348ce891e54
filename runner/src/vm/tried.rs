// SPDX-License-Identifier: Apache-2.0
//! Whether an engine works here: found by starting it, and remembered for this engine, kernel and machine.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reprove_model::{Digest, Engine};
use reprove_store::{Store, digest_file};
use serde::{Deserialize, Serialize};

use super::build::hello;
use super::{Guest, MachineError, io_error};

/// What came of starting an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// Which.
    pub engine: Engine,
    /// Whether the guest said that it is there.
    pub works: bool,
    /// Where it did not: why, in at most some thousand characters.
    pub said: String,
}

/// The most that is remembered; the rest is forgotten, and tried again when it is wanted.
const MOST: usize = 32;
/// The most bytes of what is remembered.
const MOST_BYTES: u64 = 1 << 20;
/// The most of an error's text, in characters.
const MOST_TEXT: usize = 2000;

/// Whether `guest` works here, by what is remembered of it; none where it was never tried.
///
/// # Errors
/// [`MachineError::Io`] where the engine's program can't be read.
pub fn remembered(guest: &Guest, store: &Store) -> Result<Option<Tried>, MachineError> {
    let key = fingerprint(guest).map_err(io_error("reading the engine's program"))?;
    Ok(read(&path(store)).remove(&key))
}

/// Starts `guest` and waits until it says that it is there, within the engine's bound; remembers what came of it.
///
/// # Errors
/// [`MachineError::Io`], [`MachineError::Job`]: where this side fails, nothing is known of the engine.
pub async fn try_out(program: &Path, guest: &Guest, clock: u64, store: &Store) -> Result<Tried, MachineError> {
    let key = fingerprint(guest).map_err(io_error("reading the engine's program"))?;
    let said = match hello(program, guest, clock, store).await {
        Ok(()) => None,
        Err(error @ (MachineError::Io { .. } | MachineError::Job(_))) => return Err(error),
        Err(error) => Some(error.to_string()),
    };
    let works = said.is_none();
    let said = said.unwrap_or_default().chars().take(MOST_TEXT).collect();
    let tried = Tried { engine: guest.engine, works, said };
    let mut all = read(&path(store));
    while all.len() >= MOST {
        all.pop_first();
    }
    all.insert(key, tried.clone());
    write(&all, store).map_err(io_error("remembering what came of it"))?;
    Ok(tried)
}

/// Of all that decides whether it works: the engine, its program, the kernel, the first file system, and the machine's own
/// kernel.
fn fingerprint(guest: &Guest) -> io::Result<Digest> {
    let program = digest_file(&guest.program)?;
    let host = nix::sys::utsname::uname()?;
    let parts = (
        guest.engine,
        program,
        guest.kernel_digest.blake3,
        guest.initrd_digest.blake3,
        host.release().to_string_lossy().into_owned(),
        host.version().to_string_lossy().into_owned(),
        nix::unistd::geteuid().as_raw(),
    );
    Ok(Digest::of(&serde_json::to_vec(&parts)?))
}

fn path(store: &Store) -> PathBuf {
    store.root().join("guest").join("engines.json")
}

/// What is no memory of ours is forgotten.
fn read(path: &Path) -> BTreeMap<Digest, Tried> {
    let is_short = fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MOST_BYTES);
    let bytes = if is_short { fs::read(path).unwrap_or_default() } else { Vec::new() };
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn write(all: &BTreeMap<Digest, Tried>, store: &Store) -> io::Result<()> {
    let path = path(store);
    fs::create_dir_all(path.parent().unwrap_or(store.root()))?;
    let temporary = store.temp_file().map_err(io::Error::other)?;
    fs::write(temporary.path(), serde_json::to_vec(all)?)?;
    temporary.persist(&path).map(drop).map_err(|e| e.error)
}
