// SPDX-License-Identifier: Apache-2.0
//! `reprove log`: a transparency log in a directory, which any static web server can serve.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reprove_attest::log::merkle::leaf_hash;
use reprove_attest::log::{Checkpoint, LogPolicy, Note, NoteError, NoteKey, entry};
use reprove_attest::{Envelope, LoggedEnvelope, Proof, PublicKey, Signer};
use reprove_log::{Log, LogError, Record};
use reprove_model::Sha256;
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::error::{CommandError, NO, YES};
use crate::open::{self, Links};
use crate::output::{self, Target};
use crate::witnessing::{self, Serving};
use crate::{gathering, keys, plain};

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
    /// Write all that a log has for some files into a proof, with the log's word that this is all
    Gather {
        /// The log
        directory: PathBuf,
        /// The files
        #[arg(required = true)]
        artifacts: Vec<PathBuf>,
        /// Where the proof is written
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// The private key that signs checkpoints, a file or a PKCS#11 URI [default: ~/.config/reprove/key.pem; or REPROVE_KEY]
        #[arg(long, value_name = "KEY")]
        key: Option<PathBuf>,
    },
    /// Be a witness: cosign the checkpoints of logs, over HTTP, as long as each begins with the one before. Ends by a signal
    Witness {
        /// Where the last checkpoint of each log is kept
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// The witness's name, which no other has, as in witness.example.org/one
        #[arg(long, value_name = "NAME")]
        name: String,
        /// The key of a log whose checkpoints are cosigned; may be given more than once
        #[arg(long = "log-key", value_name = "NAME+ID+KEY", required = true)]
        logs: Vec<String>,
        /// The private key that cosigns, of Ed25519; a file or a PKCS#11 URI [default: ~/.config/reprove/key.pem; or
        /// REPROVE_KEY]
        #[arg(long, value_name = "KEY")]
        key: Option<PathBuf>,
        /// Where to listen, as in 127.0.0.1:8080; port 0 is any that is free
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: SocketAddr,
    },
    /// Ask a witness to cosign a log's checkpoint. Needs a network
    Cosign {
        /// The log
        directory: PathBuf,
        /// Where the witness is asked
        #[arg(long, value_name = "URL")]
        witness: String,
        /// The witness's key, as it prints it
        #[arg(long, value_name = "NAME+ID+KEY")]
        witness_key: String,
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
        /// Where to keep the checkpoint that was verified, for the next time: looked at first, where it is there
        #[arg(long, value_name = "FILE", conflicts_with = "since")]
        state: Option<PathBuf>,
    },
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    match arguments.command {
        Command::New { directory, origin, key } => {
            let (key, directory) = (keys::load(&keys::place(key.as_deref())?).await?, absolute(&directory)?);
            let log_key = reprove_log::key_of(&origin, &*key).map_err(note_failed)?;
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
                let added = if entries == 1 { "1 entry".into() } else { format!("{entries} entries") };
                output::text(&format!("added {added}; the log has {size}\n"))?;
            }
            Ok(YES)
        }
        Command::Gather { directory, artifacts, output, key } => {
            gathering::run(app, directory, artifacts, &output, key.as_deref()).await
        }
        Command::Witness { state, name, logs, key, listen } => {
            let signer = keys::load(&keys::place(key.as_deref())?).await?;
            let logs = logs.iter().map(|text| note_key(text)).collect::<Result<_, _>>()?;
            let state = absolute(&state)?;
            witnessing::serve(app, Serving { state, name, listen, logs, signer }).await
        }
        Command::Cosign { directory, witness, witness_key } => {
            witnessing::cosign(app, directory, &witness, note_key(&witness_key)?).await
        }
        Command::Verify { directory, log_key, since, state } => {
            let since = since.or_else(|| state.clone().filter(|state| state.symlink_metadata().is_ok()));
            // One that is there was read as a checkpoint before it is replaced.
            let kept = |state: PathBuf| Target::replacing(&absolute(&state)?, "checkpoint", |_| Ok(true));
            let state = state.map(kept).transpose()?;
            let log_key = note_key(&log_key)?;
            let key = log_key.clone();
            app.progress.doing("reading the log");
            match blocking(move || verify(&directory, &key, since.as_deref())).await?? {
                Ok(log) => {
                    app.progress.clear();
                    if let Some(state) = state {
                        state.write(log.note().to_string().into_bytes()).await?;
                    }
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

/// Why something can't be signed as a note, or was not, and what helps.
pub(crate) fn note_failed(error: NoteError) -> CommandError {
    let text = error.to_string();
    match error {
        NoteError::Signer(error) => error.into(),
        NoteError::Key => CommandError::bad_usage(text).next("`reprove key new --algorithm ed25519` makes such a key"),
        NoteError::Name => CommandError::bad_usage(text).next("name it as in log.example/one"),
        _ => CommandError::bad_usage(text),
    }
}

fn note_key(text: &str) -> Result<NoteKey, CommandError> {
    text.parse().map_err(|e: NoteError| CommandError::bad_usage(format!("{text}: {e}")))
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
    let mut log = Log::open(directory, None).map_err(failed)?;
    let own = reprove_log::key_of(&log.checkpoint().origin, key).map_err(|e| failed(e.into()))?;
    let policy = LogPolicy { log: own, witnesses: Vec::new(), quorum: 0 };
    for (number, envelope) in (1..).zip(&proof.envelopes) {
        let verified = envelope.verify(&signers).map_err(|e| bad(format!("envelope {number}: {e}")))?;
        let signer = signers.iter().find(|signer| signer.id() == verified.keyid());
        let Some(signer) = signer else { continue };
        // What this log has said already; what is only said to be its word changes nothing.
        if proof.logged.iter().any(|logged| logged.verify(envelope, signer, &policy).is_ok()) {
            continue;
        }
        let bytes = entry(envelope, signer).map_err(|e| bad(e.to_string()))?;
        entries.push((envelope, bytes));
    }
    // Nor what the log has by way of another copy of the proof.
    let (mut there, mut new) = (Vec::new(), Vec::new());
    for (envelope, bytes) in entries {
        let same = log.with_payload(&Sha256::of(envelope.payload())).map_err(failed)?;
        let leaf = leaf_hash(&bytes);
        match same.iter().find(|(_, found, _)| *found == leaf) {
            Some((number, ..)) => there.push((*number, (envelope, bytes))),
            None => new.push((envelope, bytes)),
        }
    }
    let records: Vec<Record> =
        new.iter().map(|(envelope, bytes)| Record::of(bytes.clone(), (*envelope).clone())).collect();
    let added = log.append(&records, key).map_err(failed)?;
    let places = added.zip(new).chain(there);
    let mut logged = Vec::new();
    for (place, (envelope, _)) in places {
        logged.push(word(&log, place, envelope)?);
    }
    proof.logged.extend(logged);
    let bytes = proof.to_bytes().map_err(|e| bad(e.to_string()))?;
    Ok(Added { bytes, entries: records.len(), size: log.checkpoint().size })
}

/// A log's word that it has an envelope at a place.
pub(crate) fn word(log: &Log, place: u64, envelope: &Envelope) -> Result<LoggedEnvelope, CommandError> {
    Ok(LoggedEnvelope {
        keyid: envelope.keyid(),
        payload: Sha256::of(envelope.payload()),
        entry: String::from_utf8_lossy(&log.entry(place).map_err(failed)?).into_owned(),
        proof: log.prove(place).map_err(failed)?.to_string(),
    })
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
        log.is_listed()?;
        seen.as_ref().map_or(Ok(()), |seen| log.extends(seen))?;
        Ok(log)
    };
    match judge() {
        Err(error @ (LogError::Io { .. } | LogError::NoLog(_))) => Err(failed(error)),
        judged => Ok(judged),
    }
}

pub(crate) fn failed(error: LogError) -> CommandError {
    let text = error.to_string();
    match error {
        LogError::Note(error @ (NoteError::Signer(_) | NoteError::Key | NoteError::Name)) => note_failed(error),
        LogError::Io { .. }
        | LogError::Busy(_)
        | LogError::OtherWitness(_)
        | LogError::Damaged(_)
        | LogError::Grown { .. }
        | LogError::Forked { .. } => CommandError::cannot(text),
        _ => CommandError::bad_usage(text),
    }
}
