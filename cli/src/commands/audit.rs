// SPDX-License-Identifier: Apache-2.0
//! `reprove audit`: what does this proof prove? Needs no network, no sandbox and no store.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use reprove_attest::{Artifact, AuditError, Proof, VerifiedProof, audit};
use reprove_model::{HashBoth, IsolationLevel, Outcome};
use serde_json::json;

use crate::app::{App, blocking};
use crate::commands::isolation_level;
use crate::error::{CommandError, NO, YES};
use crate::open::{self, Links};
use crate::{keys, output, plain, render};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The proof, as in idna-3.20.proof.json
    proof: PathBuf,
    /// The files that the proof should be about
    artifacts: Vec<PathBuf>,
    /// A public key whose owner you believe; may be given more than once
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// Refuse a proof with a rebuild in a weaker sandbox: basic, strong or full
    #[arg(long, value_name = "LEVEL", value_parser = isolation_level)]
    require_isolation: Option<IsolationLevel>,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let proof_name = arguments.proof.display().to_string();
    match blocking(move || audited(&arguments)).await?? {
        Ok(verified) => report(app, &proof_name, &verified),
        Err(error) => {
            let reason = error.to_string();
            if app.global.json {
                output::json(&json!({ "verified": false, "proof": proof_name, "reason": reason }))?;
            } else {
                let (name, reason) = (plain::line(&proof_name), plain::line(&reason));
                output::text(&format!("does not verify  {name}\n\n  {reason}\n"))?;
            }
            Ok(NO)
        }
    }
}

/// What the audit says, once everything could be read.
fn audited(arguments: &Arguments) -> Result<Result<VerifiedProof, AuditError>, CommandError> {
    let trusted = arguments.keys.iter().map(|path| keys::load_public(path)).collect::<Result<Vec<_>, _>>()?;
    let proof = open::read("proof", &arguments.proof, Links::Followed, Proof::MAX_BYTES)?;
    let artifacts = arguments.artifacts.iter().map(|path| digest(path)).collect::<Result<Vec<_>, _>>()?;
    let audited = audit(&proof, &artifacts, &trusted);
    Ok(match arguments.require_isolation {
        Some(level) => audited.and_then(|verified| verified.demanding(level)),
        None => audited,
    })
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
            "isolationLevel": verified.isolation_level(),
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

fn digest(path: &Path) -> Result<Artifact, CommandError> {
    let mut both = HashBoth::default();
    let mut file = open::regular("artifact", path, Links::Followed)?;
    io::copy(&mut file, &mut both).map_err(|e| open::unreadable("artifact", path, &e))?;
    Ok(Artifact { name: path.display().to_string(), digest: both.finish().0 })
}
