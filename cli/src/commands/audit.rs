// SPDX-License-Identifier: Apache-2.0
//! `reprove audit`: what does this proof prove? Needs no network, no sandbox and no store.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use reprove_attest::{Artifact, Proof, VerifiedProof, audit};
use reprove_model::{HashBoth, Outcome};
use serde_json::json;

use crate::app::App;
use crate::error::{CommandError, NO, YES};
use crate::{keys, output, render};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The proof, as in idna-3.20.proof.json
    proof: PathBuf,
    /// The files that the proof should be about
    artifacts: Vec<PathBuf>,
    /// A public key whose owner you believe; may be given more than once
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<u8, CommandError> {
    let trusted = arguments.keys.iter().map(|path| keys::load_public(path)).collect::<Result<Vec<_>, _>>()?;
    let proof = read_proof(&arguments.proof)?;
    let artifacts = arguments.artifacts.iter().map(|path| digest(path)).collect::<Result<Vec<_>, _>>()?;
    let proof_name = arguments.proof.display().to_string();
    match audit(&proof, &artifacts, &trusted) {
        Ok(verified) => report(app, &proof_name, &verified),
        Err(error) => {
            let reason = error.to_string();
            if app.global.json {
                output::json(&json!({ "verified": false, "proof": proof_name, "reason": reason }))?;
            } else {
                output::text(&format!("does not verify  {proof_name}\n\n  {reason}\n"))?;
            }
            Ok(NO)
        }
    }
}

fn report(app: &App, proof_name: &str, verified: &VerifiedProof) -> Result<u8, CommandError> {
    let outcome = verified.verdict().outcome;
    if app.global.json {
        let signers: Vec<String> = verified.signers().iter().map(ToString::to_string).collect();
        let checked: Vec<&str> = verified.artifacts().iter().map(|a| a.artifact().name.as_str()).collect();
        let trust = verified.trust();
        output::json(&json!({
            "verified": true,
            "proof": proof_name,
            "signers": signers,
            "isolation": verified.isolation(),
            "verdict": verified.verdict(),
            "published": verified.published(),
            "artifacts": checked,
            "lock": verified.lock(),
            "comparedOn": verified.compared_on().to_string(),
            "trust": {
                "claim": trust.claim,
                "holdsAsLongAs": trust.holds_as_long_as,
                "doesNotNeed": trust.does_not_need,
            },
        }))?;
    } else {
        output::text(&render::audited(proof_name, verified))?;
    }
    Ok(if outcome == Outcome::Reproducible { YES } else { NO })
}

fn read_proof(path: &Path) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let most = Proof::MAX_BYTES as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|e| CommandError::bad_usage(format!("can't read the proof {}: {e}", path.display())))?;
    Ok(bytes)
}

fn digest(path: &Path) -> Result<Artifact, CommandError> {
    let mut both = HashBoth::default();
    File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut both))
        .map_err(|e| CommandError::bad_usage(format!("can't read the artifact {}: {e}", path.display())))?;
    Ok(Artifact { name: path.display().to_string(), digest: both.finish().0 })
}
