// SPDX-License-Identifier: Apache-2.0
//! `reprove audit`: what does this proof prove? Needs no network, no sandbox and no store.

use std::io;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use jiff::Timestamp;
use reprove_attest::{
    Artifact, AuditError, Audited, Policy, Proof, TrustRoots, VerifiedFailure, VerifiedProof, appraise, audit,
};
use reprove_model::{HashBoth, IsolationLevel, Outcome};
use serde_json::json;

use crate::app::{App, blocking};
use crate::commands::isolation_level;
use crate::error::{CommandError, NO, YES};
use crate::open::{self, Links};
use crate::vsa::{Summaries, SummaryArguments};
use crate::{appraised, keys, output, plain, render};

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("trusted").args(["keys", "trust"]).required(true))]
pub(crate) struct Arguments {
    /// The proof, as in idna-3.20.proof.json
    proof: PathBuf,
    /// The files that the proof should be about
    artifacts: Vec<PathBuf>,
    /// A public key whose owner you believe; may be given more than once. All of the proof must be signed by it
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// Whom you trust: keys with operator, platform and validity. What others have signed does not count
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// What is enough [default: one trusted rebuilder, and no trusted one that got other bits]
    #[arg(long, value_name = "FILE", requires = "trust")]
    policy: Option<PathBuf>,
    /// Audit as if it were this time, as in 2026-11-25T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", requires = "trust")]
    at: Option<Timestamp>,
    /// Refuse a proof with a rebuild in a weaker sandbox: basic, strong or full
    #[arg(long, value_name = "LEVEL", value_parser = isolation_level, conflicts_with_all = ["vsa", "vsa_compatible"])]
    require_isolation: Option<IsolationLevel>,
    #[command(flatten)]
    summary: SummaryArguments,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    if let Some(trust) = arguments.trust.clone() {
        return appraised(app, arguments, trust).await;
    }
    let proof_name = arguments.proof.display().to_string();
    match blocking(move || audited(&arguments)).await?? {
        Ok(Audited::Compared(verified)) => report(app, &proof_name, &verified),
        Ok(Audited::Unbuildable(failure)) => report_failure(app, &proof_name, &failure),
        Err(error) => refuse(app, &proof_name, &error.to_string()),
    }
}

fn refuse(app: &App, proof_name: &str, reason: &str) -> Result<u8, CommandError> {
    if app.global.json {
        output::json(&json!({ "verified": false, "proof": proof_name, "reason": reason }))?;
    } else {
        let (name, reason) = (plain::line(proof_name), plain::line(reason));
        output::text(&format!("does not verify  {name}\n\n  {reason}\n"))?;
    }
    Ok(NO)
}

/// What those say whom `trust` names, and whether it is enough.
async fn appraised(app: &App, arguments: Arguments, trust: PathBuf) -> Result<u8, CommandError> {
    let proof_name = arguments.proof.display().to_string();
    let at = arguments.at.unwrap_or_else(Timestamp::now);
    let summaries = Summaries::prepare(&arguments.summary).await?;
    let judged = blocking(move || {
        let bad = |path: &Path, e: String| CommandError::bad_usage(format!("{}: {e}", path.display()));
        let text = open::read_text("trust file", &trust, Links::Followed, TrustRoots::MAX_BYTES)?;
        let trusted = TrustRoots::from_toml(&text).map_err(|e| bad(&trust, e.to_string()))?;
        let policy_text = match &arguments.policy {
            Some(path) => open::read_text("policy", path, Links::Followed, Policy::MAX_BYTES)?,
            None => String::new(),
        };
        let policy_path = arguments.policy.clone().unwrap_or_default();
        let mut policy = Policy::from_toml(&policy_text).map_err(|e| bad(&policy_path, e.to_string()))?;
        policy.minimum_isolation = policy.minimum_isolation.max(arguments.require_isolation);
        let proof = open::read("proof", &arguments.proof, Links::Followed, Proof::MAX_BYTES)?;
        let artifacts = arguments.artifacts.iter().map(|path| digest(path)).collect::<Result<Vec<_>, _>>()?;
        let appraisal = appraise(&proof, &artifacts, &trusted, &policy, at);
        Ok::<_, CommandError>((artifacts, policy_text, appraisal))
    });
    let (artifacts, policy, appraisal) = match judged.await?? {
        (artifacts, policy, Ok(appraisal)) => (artifacts, policy, appraisal),
        (_, _, Err(error)) => return refuse(app, &proof_name, &error.to_string()),
    };
    if let Some(summaries) = summaries {
        summaries.write(&appraisal, &artifacts, policy.as_bytes(), at).await?;
    }
    if app.global.json {
        output::json(&appraised::as_json(&proof_name, &artifacts, &at.to_string(), &appraisal))?;
    } else {
        output::text(&appraised::as_text(&proof_name, &artifacts, &appraisal))?;
    }
    Ok(if appraisal.is_enough() { YES } else { NO })
}

/// What the audit says, once everything could be read.
fn audited(arguments: &Arguments) -> Result<Result<Audited, AuditError>, CommandError> {
    let trusted = arguments.keys.iter().map(|path| keys::load_public(path)).collect::<Result<Vec<_>, _>>()?;
    let proof = open::read("proof", &arguments.proof, Links::Followed, Proof::MAX_BYTES)?;
    let artifacts = arguments.artifacts.iter().map(|path| digest(path)).collect::<Result<Vec<_>, _>>()?;
    let audited = audit(&proof, &artifacts, &trusted);
    Ok(match (audited, arguments.require_isolation) {
        (Ok(Audited::Compared(verified)), Some(level)) => {
            verified.demanding(level).map(|verified| Audited::Compared(Box::new(verified)))
        }
        (audited, _) => audited,
    })
}

/// What a proof of failure proves: nothing of the artifact.
fn report_failure(app: &App, proof_name: &str, verified: &VerifiedFailure) -> Result<u8, CommandError> {
    if app.global.json {
        let failure = verified.failure();
        let checked: Vec<&str> = verified.artifacts().iter().map(|a| a.artifact().name.as_str()).collect();
        output::json(&json!({
            "verified": true,
            "proof": proof_name,
            "signers": [verified.signer().to_string()],
            "isolation": failure.isolation,
            "unbuildable": { "attempts": failure.attempts },
            "published": failure.published,
            "artifacts": checked,
            "lock": failure.lock,
            "attemptedOn": failure.attempted_on.to_string(),
        }))?;
    } else {
        output::text(&render::unbuildable(proof_name, verified))?;
    }
    Ok(NO)
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
