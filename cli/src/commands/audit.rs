// SPDX-License-Identifier: Apache-2.0
//! `reprove audit`: what does this proof prove? Needs no network, no sandbox and no store.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use jiff::Timestamp;
use reprove_attest::{
    Appraisal, Artifact, AuditError, Audited, Policy, Proof, ProofError, RegoPolicy, TrustRoots, VerifiedFailure,
    VerifiedProof, appraise, audit, rego_input,
};
use reprove_model::{HashBoth, IsolationLevel, Outcome};
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::commands::isolation_level;
use crate::documents::{DocumentArguments, Documents};
use crate::error::{CommandError, NO, YES};
use crate::open::{self, Links};
use crate::output::{Document, Target};
use crate::vsa::{Summaries, SummaryArguments};
use crate::{appraised, keys, output, plain, rego, render};

// An argument that requires `trust` has to say that it conflicts with `keys`: beside what excludes it, clap does not ask for
// `trust`.
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
    #[arg(long, value_name = "FILE", requires = "trust", conflicts_with = "keys")]
    policy: Option<PathBuf>,
    /// What else must allow it, in Rego: `allow` in the package `reprove`, and nothing in `deny`
    #[arg(long, value_name = "FILE", requires = "trust", conflicts_with = "keys")]
    rego: Option<PathBuf>,
    /// Write what a policy in Rego sees, in JSON, for other engines
    #[arg(long, value_name = "FILE", requires = "trust", conflicts_with = "keys")]
    rego_input: Option<PathBuf>,
    /// Audit as if it were this time, as in 2026-11-25T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", requires = "trust", conflicts_with = "keys")]
    at: Option<Timestamp>,
    /// Refuse a proof with a rebuild in a weaker sandbox: basic, strong or full
    #[arg(long, value_name = "LEVEL", value_parser = isolation_level, conflicts_with_all = ["vsa", "vsa_compatible", "scai"])]
    require_isolation: Option<IsolationLevel>,
    /// Take a proof that shows less than others for a yes: own-contents, that what was published was packed again from its
    /// own contents, and nothing of where they come from
    #[arg(long, value_name = "WHAT", conflicts_with = "trust")]
    accept: Option<Accepted>,
    #[command(flatten)]
    documents: DocumentArguments,
    #[command(flatten)]
    summary: SummaryArguments,
}

/// What is no yes unless it is asked for.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    OwnContents,
}

impl Arguments {
    /// Finds two documents that would be one file, of which the first would be lost.
    fn check_outputs(&self) -> Result<(), CommandError> {
        let mut files = BTreeSet::new();
        for path in self.documents.outputs().chain(self.summary.outputs()).chain(&self.rego_input) {
            let is_stream = path.metadata().is_ok_and(|there| !there.is_file());
            if !files.insert(absolute(path)?) && !is_stream {
                let text = format!("{} is named for two documents, and would have the last alone", path.display());
                return Err(CommandError::bad_usage(text).next("name a file for each"));
            }
        }
        Ok(())
    }
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    arguments.check_outputs()?;
    if let Some(trust) = arguments.trust.clone() {
        return appraised(app, arguments, trust).await;
    }
    let proof_name = arguments.proof.display().to_string();
    let documents = Documents::prepare(&arguments.documents, &arguments.summary, None).await?;
    let audited = match blocking(move || audited(&arguments)).await?? {
        Ok(audited) => audited,
        Err(error) => return refuse(app, &proof_name, &error),
    };
    let is_shown = documents.write_audited(app, &audited).await?;
    let code = match audited {
        Audited::Compared(verified) => report(app, &proof_name, &verified)?,
        Audited::Unbuildable(failure) => report_failure(app, &proof_name, &failure)?,
    };
    Ok(if is_shown { code } else { NO })
}

fn refuse(app: &App, proof_name: &str, error: &AuditError) -> Result<u8, CommandError> {
    let reason = error.to_string();
    if app.global.json {
        let (code, cause) = (error.code(), error.cause());
        output::json(&json!({
            "verified": false, "proof": proof_name, "code": code, "cause": cause, "reason": reason,
        }))?;
    } else {
        let (name, reason) = (plain::line(proof_name), plain::line(&reason));
        let next = match error {
            AuditError::OwnContentsOnly => "  next: if that is enough for you, say --accept own-contents\n",
            _ => "",
        };
        output::text(&format!("does not verify  {name}\n\n  {reason}\n{next}"))?;
    }
    Ok(NO)
}

/// What those say whom `trust` names, and whether it is enough.
async fn appraised(app: &App, arguments: Arguments, trust: PathBuf) -> Result<u8, CommandError> {
    let proof_name = arguments.proof.display().to_string();
    let at = arguments.at.unwrap_or_else(Timestamp::now);
    let summaries = Summaries::prepare(&arguments.summary).await?;
    let key = summaries.as_ref().map(Summaries::key);
    let documents = Documents::prepare(&arguments.documents, &arguments.summary, key).await?;
    let input_target = arguments
        .rego_input
        .as_deref()
        .map(|path| Target::document(&absolute(path)?, Document::REGO_INPUT))
        .transpose()?;
    let rego_path = arguments.rego.clone();
    let Judged { artifacts, policy, rego, appraisal } = blocking(move || judged(&arguments, &trust, at)).await??;
    let mut appraisal = match appraisal {
        Ok(appraisal) => appraisal,
        Err(error) => return refuse(app, &proof_name, &error.into()),
    };
    if rego.is_some() || input_target.is_some() {
        let input = rego_input(&appraisal, &artifacts, at).map_err(|e| CommandError::cannot(e.to_string()))?;
        if let Some(text) = &rego {
            let refusals = rego::evaluate(text, &input).await?;
            let path = rego_path.unwrap_or_default();
            appraisal = appraisal.refused_by(refusals.map_err(|why| no_file(&path, why))?);
        }
        if let Some(target) = input_target {
            target.write(input.into_bytes()).await?;
        }
    }
    let policy = summarised(policy, rego);
    if let Some(summaries) = summaries {
        summaries.write(&appraisal, &artifacts, &policy, at).await?;
    }
    let is_shown = documents.write_appraised(app, &appraisal, &artifacts, &policy, at).await?;
    if app.global.json {
        output::json(&appraised::as_json(&proof_name, &artifacts, &at.to_string(), &appraisal))?;
    } else {
        output::text(&appraised::as_text(&proof_name, &artifacts, &appraisal))?;
    }
    Ok(if appraisal.is_enough() && is_shown { YES } else { NO })
}

/// What was read, and what it comes to without a policy in Rego.
struct Judged {
    artifacts: Vec<Artifact>,
    policy: String,
    rego: Option<String>,
    appraisal: Result<Appraisal, ProofError>,
}

fn judged(arguments: &Arguments, trust: &Path, at: Timestamp) -> Result<Judged, CommandError> {
    let text = open::read_text("trust file", trust, Links::Followed, TrustRoots::MAX_BYTES)?;
    let trusted = TrustRoots::from_toml(&text).map_err(|e| no_file(trust, e))?;
    let policy_text = match &arguments.policy {
        Some(path) => open::read_text("policy", path, Links::Followed, Policy::MAX_BYTES)?,
        None => String::new(),
    };
    let policy_path = arguments.policy.clone().unwrap_or_default();
    let mut policy = Policy::from_toml(&policy_text).map_err(|e| no_file(&policy_path, e))?;
    policy.minimum_isolation = policy.minimum_isolation.max(arguments.require_isolation);
    let read_rego = |path: &PathBuf| open::read_text("policy", path, Links::Followed, RegoPolicy::MAX_BYTES);
    let rego = arguments.rego.as_ref().map(read_rego).transpose()?;
    let proof = read_proof(arguments)?;
    let artifacts = arguments.artifacts.iter().map(|path| digest(path)).collect::<Result<Vec<_>, _>>()?;
    let appraisal = appraise(&proof, &artifacts, &trusted, &policy, at);
    Ok(Judged { artifacts, policy: policy_text, rego, appraisal })
}

/// The proof, unless the arguments are the wrong way round.
fn read_proof(arguments: &Arguments) -> Result<Vec<u8>, CommandError> {
    let read = open::read("proof", &arguments.proof, Links::Followed, Proof::MAX_BYTES);
    let is_named_so = |path: &Path| path.as_os_str().as_encoded_bytes().ends_with(b".proof.json");
    let other = arguments.artifacts.iter().find(|path| is_named_so(path));
    if let Some(other) = other.filter(|_| read.as_ref().is_ok_and(|bytes| !bytes.starts_with(b"{"))) {
        let text = format!("{} stands where the proof does", arguments.proof.display());
        let next = format!("reprove audit {} {}", other.display(), arguments.proof.display());
        return Err(CommandError::bad_usage(text).next(format!("the proof is first: {next}")));
    }
    read
}

/// A file that is not what it is given as.
fn no_file(path: &Path, why: impl Display) -> CommandError {
    CommandError::bad_usage(format!("{}: {why}", path.display()))
}

/// What a summary gives the digest of as the policy: `policy.toml`, and after a NUL byte, which no such file has, the one in
/// Rego.
fn summarised(policy: String, rego: Option<String>) -> Vec<u8> {
    let rego = rego.map(|text| format!("\0{text}")).unwrap_or_default();
    (policy + &rego).into_bytes()
}

/// What the audit says, once everything could be read.
fn audited(arguments: &Arguments) -> Result<Result<Audited, AuditError>, CommandError> {
    let trusted = arguments.keys.iter().map(|path| keys::load_public(path)).collect::<Result<Vec<_>, _>>()?;
    let proof = read_proof(arguments)?;
    let artifacts = arguments.artifacts.iter().map(|path| digest(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(match audit(&proof, &artifacts, &trusted) {
        Ok(Audited::Compared(verified)) => {
            demanding(*verified, arguments).map(|verified| Audited::Compared(Box::new(verified)))
        }
        audited => audited,
    })
}

/// The same proof, where it shows what the arguments ask for.
fn demanding(mut verified: VerifiedProof, arguments: &Arguments) -> Result<VerifiedProof, AuditError> {
    if let Some(level) = arguments.require_isolation {
        verified = verified.demanding(level)?;
    }
    if arguments.accept != Some(Accepted::OwnContents) {
        verified = verified.of_another_source()?;
    }
    Ok(verified)
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
            // With keys alone there is nobody who says what to believe of machines.
            "evidenceJudged": false,
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

/// A file that somebody asks about.
pub(crate) fn digest(path: &Path) -> Result<Artifact, CommandError> {
    let mut both = HashBoth::default();
    let mut file = open::regular("artifact", path, Links::Followed)?;
    io::copy(&mut file, &mut both).map_err(|e| open::unreadable("artifact", path, &e))?;
    Ok(Artifact { name: path.display().to_string(), digest: both.finish().0 })
}
