// SPDX-License-Identifier: Apache-2.0
//! `proof timestamp`: an authority's word for when a proof's signatures were there.

use std::path::Path;

use reprove_attest::{MAX_TIMESTAMP, Proof, TimestampError, TimestampRequest, TimestampedEnvelope};
use reprove_inputs::{Answer, AskError, post};
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::commands::read_proof;
use crate::error::{CommandError, YES};
use crate::keys::random;
use crate::output::{self, Target};
use crate::plain;

const AGAIN: &str = "ask again later, or another authority; the proof is as it was";

/// Asks the authority at `url` about every signature of the proof that none has seen, or about all of them `again`, and
/// puts its answers into the proof.
pub(crate) async fn run(app: &App, path: &Path, url: &str, again: bool) -> Result<u8, CommandError> {
    let target = Target::new(&absolute(path)?)?;
    let owned = path.to_owned();
    let mut proof = blocking(move || read_proof(&owned)).await??;
    let is_wanted = |envelope: &&_| again || !proof.timestamped.iter().any(|seen| seen.is_of(envelope));
    let wanted: Vec<_> = proof.envelopes.iter().filter(is_wanted).cloned().collect();
    let mut times = Vec::new();
    for (number, envelope) in (1..).zip(&wanted) {
        app.progress.doing(&format!("asking for timestamp {number} of {}", wanted.len()));
        let refused = |e: TimestampError| CommandError::cannot(format!("{url}: {e}")).next(AGAIN);
        let request = TimestampRequest::new(envelope.signature(), *random()?).map_err(refused)?;
        let question = request.to_der().map_err(refused)?;
        let asked = post(url, "application/timestamp-query", &question, MAX_TIMESTAMP as u64).await;
        let answer = match asked.map_err(from_asking)? {
            Answer { status: 200, body } => body,
            Answer { status, .. } => {
                return Err(CommandError::cannot(format!("{url} answered with the status {status}")).next(AGAIN));
            }
        };
        times.push(request.answered_by(&answer).map_err(refused)?);
        proof.timestamped.push(TimestampedEnvelope::new(envelope, &answer));
    }
    app.progress.clear();
    let Proof { envelopes, .. } = &proof;
    let of = envelopes.len();
    let bytes = proof.to_bytes().map_err(|e| CommandError::bad_usage(e.to_string()))?;
    target.write(bytes).await?;
    let name = path.display().to_string();
    let latest = times.iter().max().map(ToString::to_string);
    if app.global.json {
        output::json(&json!({ "proof": name, "added": times.len(), "latest": latest }))?;
    } else {
        let latest = latest.map(|time| format!(", the latest of {time}")).unwrap_or_default();
        let (name, added) = (plain::line(&name), times.len());
        output::text(&format!("{name}: {added} timestamps added for {of} envelopes{latest}; none verified here\n"))?;
    }
    Ok(YES)
}

/// Why nobody answered.
pub(crate) fn from_asking(error: AskError) -> CommandError {
    match error {
        AskError::Url(_) => CommandError::bad_usage(error.to_string()),
        error => CommandError::cannot(error.to_string()),
    }
}
