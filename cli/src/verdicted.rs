// SPDX-License-Identifier: Apache-2.0
//! What `rebuild` and `check` share: the store and the key before the job, the proof and the verdict after it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use reprove_attest::SigningKey;
use reprove_job::Finished;
use reprove_model::{Digest, Node, Outcome, Package, canonical};
use reprove_store::Store;
use serde_json::json;

use crate::app::{App, absolute};
use crate::commands::VerdictArguments;
use crate::error::{CommandError, NO, YES};
use crate::{keys, output, render};

/// A job that is ready to start.
pub(crate) struct Verdicted {
    pub(crate) store: Store,
    pub(crate) key: SigningKey,
    output: Option<PathBuf>,
    artifacts: Option<PathBuf>,
}

impl Verdicted {
    /// Opens the store, and loads the key or makes it.
    pub(crate) fn prepare(app: &App, arguments: VerdictArguments) -> Result<Self, CommandError> {
        let store = app.store()?;
        let path = keys::path(arguments.key.as_deref())?;
        let (key, made) = keys::load_or_make(&path)?;
        if made {
            let text = format!("made a key to sign with, {}; it is a plain local one: not encrypted", path.display());
            app.progress.note(&text);
        }
        Ok(Self { store, key, output: arguments.output, artifacts: arguments.artifacts })
    }

    /// Writes the proof, and prints the verdict.
    pub(crate) fn finish(self, app: &App, name: &str, finished: &Finished) -> Result<u8, CommandError> {
        let proof = self.output.clone().unwrap_or_else(|| proof_name(&finished.lock.recipe.package).into());
        if let Some(folder) = &self.artifacts {
            copy_artifacts(&self.store, finished, &absolute(folder)?)?;
        }
        output::file(&absolute(&proof)?, &finished.proof)?;
        app.progress.clear();
        let keyid = self.key.public_key().id().to_string();
        if app.global.json {
            output::json(&json!({
                "name": name,
                "verdict": finished.verdict,
                "published": finished.lock.published,
                "rebuilds": finished.records.iter().map(|record| json!({
                    "outputs": record.outputs.digest(),
                    "durationMs": record.duration_ms,
                    "peakMemory": record.peak_memory,
                    "conditions": record.conditions,
                })).collect::<Vec<_>>(),
                "isolation": finished.records[0].isolation,
                "proof": proof,
                "keyid": keyid,
            }))?;
        } else {
            let verdict = render::verdict(name, &finished.verdict);
            let facts = render::facts(finished);
            output::text(&format!("{verdict}{facts}  {:<18} {}, signed by {keyid}\n", "proof", proof.display()))?;
        }
        Ok(if finished.verdict.outcome == Outcome::Reproducible { YES } else { NO })
    }
}

fn proof_name(package: &Package) -> String {
    let version = package.version.iter().map(|version| format!("-{version}")).collect::<String>();
    format!("{}{version}.proof.json", package.name)
}

/// Writes what was published to `published/`, the rebuilds' outputs to `first/` and `second/`, and beside them the lock
/// and the build records that the proof names by digest.
fn copy_artifacts(store: &Store, finished: &Finished, folder: &Path) -> Result<(), CommandError> {
    if let Some(published) = &finished.lock.published {
        copy(store, &published.digest.blake3, 0o644, &folder.join("published").join(published.name.as_str()))?;
    }
    let document = |name: &str, bytes: Result<Vec<u8>, canonical::CanonicalError>| {
        let bytes = bytes.map_err(|e| CommandError::cannot(e.to_string()))?;
        output::file(&folder.join(name), &bytes)
    };
    fs::create_dir_all(folder).map_err(|e| output::cannot_write(folder, e))?;
    document("lock.json", canonical::to_vec(&finished.lock))?;
    for (name, record) in ["first", "second"].into_iter().zip(&finished.records) {
        document(&format!("{name}.record.json"), canonical::to_vec(record))?;
        for (path, node) in record.outputs.entries() {
            if let Node::File { mode, digest, .. } = node {
                copy(store, &digest.blake3, u32::from(mode & 0o777), &folder.join(name).join(path.as_path()))?;
            }
        }
    }
    Ok(())
}

fn copy(store: &Store, digest: &Digest, mode: u32, to: &Path) -> Result<(), CommandError> {
    let mut from = store.open_blob(digest)?;
    let mut write = || -> io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        // Not through a link that is there already.
        match fs::remove_file(to) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let mut file = File::create_new(to)?;
        io::copy(&mut from, &mut file)?;
        file.set_permissions(Permissions::from_mode(mode))
    };
    write().map_err(|e| output::cannot_write(to, e))
}
