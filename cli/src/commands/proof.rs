// SPDX-License-Identifier: Apache-2.0
//! `reprove proof`: look into proofs, and put several together.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reprove_attest::{MAX_BUNDLE, Predicate, Proof, Statement};
use reprove_model::ImageReference;
use reprove_model::canonical::{self, CanonicalError};
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::artifacts::Artifacts;
use crate::error::{CommandError, YES};
use crate::open::{self, Links};
use crate::output::{self, Target, count};
use crate::{attached, plain, shown, timestamping};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what a proof says, decoded. Verifies nothing: `reprove audit` does
    Show {
        /// The proof
        proof: PathBuf,
    },
    /// Write a proof's envelopes as other clients read them: `proof.intoto.jsonl`, and a `*.sigstore.json` for each
    Export {
        /// The proof
        proof: PathBuf,
        /// A directory that is not there yet, or an empty one
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Make a proof of such `*.sigstore.json` bundles: its envelopes are in their order. Verifies nothing: `reprove audit` does
    Import {
        /// The bundles
        #[arg(required = true, value_name = "BUNDLE")]
        bundles: Vec<PathBuf>,
        /// Where the proof is written
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Ask a timestamp authority (RFC 3161) about a proof's signatures, and put its answers into the proof. Needs a network
    Timestamp {
        /// The proof, which is replaced by one with the answers in it
        proof: PathBuf,
        /// Where the authority is asked, by HTTP
        #[arg(long, value_name = "URL")]
        authority: String,
        /// Ask also about signatures of which the proof has a timestamp already
        #[arg(long)]
        again: bool,
    },
    /// Attach a proof to an OCI image, in a layout or a registry
    Push {
        /// The proof
        proof: PathBuf,
        /// The image: oci:DIR or docker://HOST/NAME, with :TAG, and @sha256:… for that one alone
        image: ImageReference,
    },
    /// Fetch the proofs that are attached to an OCI image. Verifies nothing: `reprove audit` does
    Pull {
        /// The image, as with `push`
        image: ImageReference,
        /// Where one proof with all of them is written
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Put the proofs of several rebuilders together
    Merge {
        /// The proofs
        #[arg(required = true, num_args = 2..)]
        proofs: Vec<PathBuf>,
        /// Where the one with all of them is written
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    match arguments.command {
        Command::Show { proof } => {
            let name = proof.display().to_string();
            let proof = blocking(move || read(&proof)).await??;
            if app.global.json {
                output::json(&shown::as_json(&name, &proof))?;
            } else {
                output::text(&shown::as_text(&name, &proof))?;
            }
        }
        Command::Export { proof, to } => {
            let (files, recorded, evidence) = blocking(move || {
                let proof = read(&proof)?;
                Ok::<_, CommandError>((exported(&proof)?, proof.recorded.len(), proof.evidence.len()))
            })
            .await??;
            if recorded > 0 {
                app.progress.note(&format!(
                    "bundles have no place for what logs say that they have for a subject: {} of the proof stayed behind; \
                     `reprove log gather` asks the log again",
                    count(recorded, "such word")
                ));
            }
            if evidence > 0 {
                app.progress.note(
                    "bundles have no place for evidence of machines, which stayed behind; without it, what they say does not count",
                );
            }
            Artifacts::prepare(&absolute(&to)?, "envelopes")?.fill_with(&files).await?;
            let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
            if app.global.json {
                output::json(&json!({ "directory": to, "files": names }))?;
            } else {
                let place = plain::line(&to.display().to_string());
                output::text(&format!("wrote to {place}, none of it verified:\n  {}\n", names.join("\n  ")))?;
            }
        }
        Command::Timestamp { proof, authority, again } => {
            return timestamping::run(app, &proof, &authority, again).await;
        }
        Command::Push { proof, image } => return attached::push(app, &proof, &image).await,
        Command::Pull { image, output } => return attached::pull(app, &image, &output).await,
        Command::Merge { proofs, output } => put_together(app, &proofs, &output, read).await?,
        Command::Import { bundles, output } => put_together(app, &bundles, &output, read_bundle).await?,
    }
    Ok(YES)
}

/// One proof of all that `read` gets from `files`, written to `output`.
async fn put_together(
    app: &App,
    files: &[PathBuf],
    output: &Path,
    read: fn(&Path) -> Result<Proof, CommandError>,
) -> Result<(), CommandError> {
    let target = Target::new(&absolute(output)?)?;
    let files = files.to_vec();
    let all = blocking(move || {
        let proofs = files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, CommandError>(Proof::merge(proofs))
    })
    .await??;
    target.keeps(&all)?;
    let envelopes = all.envelopes.len();
    target.write(all.to_bytes().map_err(|e| CommandError::bad_usage(e.to_string()))?).await?;
    if app.global.json {
        output::json(&json!({ "proof": output, "envelopes": envelopes }))
    } else {
        let name = plain::line(&output.display().to_string());
        output::text(&format!("wrote {name}: {}, unverified\n", count(envelopes, "envelope")))
    }
}

fn read_bundle(path: &Path) -> Result<Proof, CommandError> {
    let bytes = open::read("bundle", path, Links::Followed, MAX_BUNDLE)?;
    Proof::from_sigstore_bundle(&bytes).map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))
}

/// A proof's file, read and not verified.
pub(crate) fn read(path: &Path) -> Result<Proof, CommandError> {
    let bytes = open::read("proof", path, Links::Followed, Proof::MAX_BYTES)?;
    Proof::from_bytes(&bytes).map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))
}

/// The files that a proof is exported as: all envelopes, one a line, and a bundle of each.
fn exported(proof: &Proof) -> Result<Vec<(String, Vec<u8>)>, CommandError> {
    let fail = |e: CanonicalError| CommandError::cannot(e.to_string());
    // So that the names sort as the envelopes do.
    let digits = proof.envelopes.len().to_string().len();
    let mut lines = Vec::new();
    let mut files = Vec::new();
    for (number, envelope) in (1..).zip(&proof.envelopes) {
        lines.extend(canonical::to_vec(envelope).map_err(fail)?);
        lines.push(b'\n');
        let what = match Statement::from_payload(envelope.payload()).map(|statement| statement.predicate) {
            Ok(Predicate::Provenance(_)) => "provenance",
            Ok(Predicate::Comparison(_) | Predicate::Unbuildable(_)) => "comparison",
            Err(_) => "unknown",
        };
        let bundle = proof.to_sigstore_bundle(envelope).map_err(|e| CommandError::bad_usage(e.to_string()))?;
        files.push((format!("{number:0digits$}-{what}.sigstore.json"), bundle));
    }
    files.insert(0, ("proof.intoto.jsonl".into(), lines));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use reprove_attest::{Envelope, SigningKey};

    use super::*;

    #[test]
    fn the_names_of_bundles_sort_as_the_envelopes_do() {
        let key = SigningKey::ed25519([1; 32]);
        let of = |count: u8| Proof::of((0..count).map(|n| Envelope::sign(&key, [n]).unwrap()).collect());
        for (count, first, last) in [(9, "1", "9"), (10, "01", "10")] {
            let names: Vec<String> = exported(&of(count)).unwrap().into_iter().skip(1).map(|(name, _)| name).collect();
            assert!(names.is_sorted() && names.len() == usize::from(count), "{names:?}");
            let expected = [first, last].map(|number| format!("{number}-unknown.sigstore.json"));
            assert_eq!([names.first().cloned(), names.last().cloned()], expected.map(Some));
        }
    }
}
