// SPDX-License-Identifier: Apache-2.0
//! `reprove log`: a transparency log in a directory, which any static web server can serve.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reprove_attest::log::{Checkpoint, Note, NoteError, NoteKey, entry};
use reprove_attest::{LoggedEnvelope, Proof, PublicKey, Signer};
use reprove_log::{Log, LogError};
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::error::{CommandError, NO, YES};
use crate::open::{self, Links};
use crate::output::{self, Target};
use crate::{keys, plain};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a log without entries. Prints the key that others verify it with
    New {
        /// A directory that is not there yet, or an empty one
        directory: PathBuf,
        /// The log's name, which no other log has, as in log.example.org/builds
        #[arg(long, value_name = "NAME")]
        origin: String,
        /// The private key that signs checkpoints, of Ed25519; a file or a PKCS#11 URI [default: ~/.config/reprove/key.pem; or
        /// REPROVE_KEY]
        #[arg(long, value_name = "KEY")]
        key: Option<PathBuf>,
    },
    /// Add what a proof says to a log, and the log's word for it to the proof
    Add {
        /// The log
        directory: PathBuf,
        /// The proof, which is replaced by one with the log's word in it
        proof: PathBuf,
        /// The public keys that the proof is signed by
        #[arg(long = "signer", value_name = "FILE", required = true)]
        signers: Vec<PathBuf>,
        /// The private key that signs checkpoints, a file or a PKCS#11 URI [default: ~/.config/reprove/key.pem; or REPROVE_KEY]
        #[arg(long, value_name = "KEY")]
        key: Option<PathBuf>,
    },
    /// Read a log as its monitor does: is every entry under the checkpoint, and was nothing changed since?
    Verify {
        /// The log
        directory: PathBuf,
        /// The key of the log, as `log new` printed it
        #[arg(long, value_name = "NAME+ID+KEY")]
        log_key: String,
        /// A checkpoint of this log that was kept from before
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
    },
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    match arguments.command {
        Command::New { directory, origin, key } => {
            let (key, directory) = (keys::load(&keys::place(key.as_deref())?).await?, absolute(&directory)?);
            let log_key = reprove_log::key_of(&origin, &*key).map_err(|e| {
                CommandError::bad_usage(e.to_string()).next("`reprove key new --algorithm ed25519` makes such a key")
            })?;
            let log = blocking(move || Log::new(&directory, &origin, &*key)).await?.map_err(failed)?;
            print(app, &log, &log_key)
        }
        Command::Add { directory, proof, signers, key } => {
            let key = keys::load(&keys::place(key.as_deref())?).await?;
            let target = Target::new(&absolute(&proof)?)?;
            let added = blocking(move || add(&directory, &proof, &signers, &*key)).await??;
            target.write(added.bytes).await?;
            let Added { size, entries, .. } = added;
            if app.global.json {
                output::json(&json!({ "added": entries, "size": size }))?;
            } else {
                output::text(&format!("added {entries} entries; the log has {size}\n"))?;
            }
            Ok(YES)
        }
        Command::Verify { directory, log_key, since } => {
            let log_key: NoteKey = log_key.parse().map_err(|e: NoteError| CommandError::bad_usage(e.to_string()))?;
            let key = log_key.clone();
            app.progress.doing("reading the log");
            match blocking(move || verify(&directory, &key, since.as_deref())).await?? {
                Ok(log) => {
                    app.progress.clear();
                    print(app, &log, &log_key)
                }
                Err(error) => {
                    app.progress.clear();
                    let reason = error.to_string();
                    if app.global.json {
                        output::json(&json!({ "verified": false, "reason": reason }))?;
                    } else {
                        output::text(&format!("does not verify: {}\n", plain::line(&reason)))?;
                    }
                    Ok(NO)
                }
            }
        }
    }
}

fn print(app: &App, log: &Log, key: &NoteKey) -> Result<u8, CommandError> {
    let Checkpoint { origin, size, .. } = log.checkpoint();
    if app.global.json {
        let checkpoint = log.note().to_string();
        output::json(&json!({
            "verified": true, "origin": origin, "size": size, "key": key.to_string(), "checkpoint": checkpoint,
        }))?;
    } else {
        output::text(&format!("{key}\n  {} has {size} entries\n", plain::line(origin)))?;
    }
    Ok(YES)
}

/// What a log and a proof are after something was added.
struct Added {
    bytes: Vec<u8>,
    entries: usize,
    size: u64,
}

fn add(directory: &Path, proof: &Path, signers: &[PathBuf], key: &dyn Signer) -> Result<Added, CommandError> {
    let bad = |text: String| CommandError::bad_usage(text);
    let signers = signers.iter().map(|path| keys::load_public(path)).collect::<Result<Vec<PublicKey>, _>>()?;
    let bytes = open::read("proof", proof, Links::Followed, Proof::MAX_BYTES)?;
    let mut proof = Proof::from_bytes(&bytes).map_err(|e| bad(format!("{}: {e}", proof.display())))?;
    // Nothing is taken in that its signer did not sign, and nothing twice.
    let mut entries = Vec::new();
    for (number, envelope) in (1..).zip(&proof.envelopes) {
        let verified = envelope.verify(&signers).map_err(|e| bad(format!("envelope {number}: {e}")))?;
        let signer = signers.iter().find(|signer| signer.id() == verified.keyid());
        let Some(signer) = signer.filter(|_| !proof.logged.iter().any(|logged| logged.is_of(envelope))) else {
            continue;
        };
        let bytes = entry(envelope, signer).map_err(|e| bad(e.to_string()))?;
        entries.push((envelope, bytes));
    }
    let mut log = Log::open(directory, None).map_err(failed)?;
    let all: Vec<Vec<u8>> = entries.iter().map(|(_, bytes)| bytes.clone()).collect();
    let places = log.append(&all, key).map_err(failed)?;
    let mut logged = Vec::new();
    for (place, (envelope, bytes)) in places.zip(&entries) {
        logged.push(LoggedEnvelope {
            keyid: envelope.keyid(),
            payload: reprove_model::Sha256::of(envelope.payload()),
            entry: String::from_utf8_lossy(bytes).into_owned(),
            proof: log.prove(place).map_err(failed)?.to_string(),
        });
    }
    proof.logged.extend(logged);
    let bytes = proof.to_bytes().map_err(|e| bad(e.to_string()))?;
    Ok(Added { bytes, entries: all.len(), size: log.checkpoint().size })
}

fn verify(directory: &Path, key: &NoteKey, since: Option<&Path>) -> Result<Result<Log, LogError>, CommandError> {
    let seen = match since {
        None => None,
        Some(path) => {
            let bad = |e: String| CommandError::bad_usage(format!("{}: {e}", path.display()));
            let text = open::read_text("checkpoint", path, Links::Followed, reprove_attest::log::MAX_NOTE)?;
            let note: Note = text.parse().map_err(|e: NoteError| bad(e.to_string()))?;
            key.verify(&note).map_err(|e| bad(e.to_string()))?;
            let checkpoint = note.text().parse::<Checkpoint>();
            Some(checkpoint.map_err(|e| bad(e.to_string()))?)
        }
    };
    let judge = || {
        let log = Log::open(directory, Some(key))?;
        log.verify()?;
        seen.as_ref().map_or(Ok(()), |seen| log.extends(seen))?;
        Ok(log)
    };
    match judge() {
        Err(error @ (LogError::Io { .. } | LogError::NoLog(_))) => Err(failed(error)),
        judged => Ok(judged),
    }
}

fn failed(error: LogError) -> CommandError {
    let text = error.to_string();
    match error {
        LogError::Note(NoteError::Signer(error)) => error.into(),
        LogError::Io { .. } | LogError::Busy(_) | LogError::Damaged(_) | LogError::Forked { .. } => {
            CommandError::cannot(text)
        }
        _ => CommandError::bad_usage(text),
    }
}
