// SPDX-License-Identifier: Apache-2.0
//! `proof push` and `proof pull`: proofs at OCI images.

use std::path::{Path, PathBuf};

use reprove_attest::Proof;
use reprove_inputs::InputsError;
use reprove_inputs::oci::{Attached, Proofs, attach, attached};
use reprove_job::JobError;
use reprove_model::ImageReference;
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::commands::proof::read;
use crate::error::{CommandError, YES};
use crate::output::{self, Target, count};
use crate::plain;

pub(crate) async fn push(app: &App, proof: &Path, image: &ImageReference) -> Result<u8, CommandError> {
    let from = proof.to_owned();
    let bytes = blocking(move || {
        let proof = read(&from)?;
        proof.to_bytes().map_err(|e| CommandError::bad_usage(e.to_string()))
    })
    .await??;
    app.progress.doing("attaching the proof");
    let Attached { subject, manifest, way } = attach(image, &here()?, &bytes).await.map_err(failed)?;
    app.progress.clear();
    if app.global.json {
        output::json(&json!({
            "image": image,
            "subject": format!("sha256:{subject}"),
            "artifact": format!("sha256:{manifest}"),
            "way": way.name(),
        }))?;
    } else {
        let name = plain::line(&proof.display().to_string());
        output::text(&format!(
            "attached {name} to {image}\n  image      sha256:{subject}\n  artifact   sha256:{manifest}\n  found by   {}\n",
            way.name()
        ))?;
    }
    Ok(YES)
}

pub(crate) async fn pull(app: &App, image: &ImageReference, output: &Path) -> Result<u8, CommandError> {
    let target = Target::new(&absolute(output)?)?;
    app.progress.doing("looking for proofs at the image");
    let most = u64::try_from(Proof::MAX_BYTES).unwrap_or(u64::MAX);
    let Proofs { subject, way, proofs } = attached(image, &here()?, most).await.map_err(failed)?;
    app.progress.clear();
    if proofs.is_empty() {
        let text = format!("no proof is attached to {image} (sha256:{subject})");
        return Err(CommandError::bad_usage(text).next("attach one: reprove proof push PROOF IMAGE"));
    }
    let mut all = Vec::new();
    for (artifact, bytes) in &proofs {
        let proof = Proof::from_bytes(bytes);
        all.push(proof.map_err(|e| CommandError::bad_usage(format!("the proof at sha256:{artifact}: {e}")))?);
    }
    let all = Proof::merge(all);
    target.keeps(&all)?;
    let envelopes = all.envelopes.len();
    target.write(all.to_bytes().map_err(|e| CommandError::bad_usage(e.to_string()))?).await?;
    if app.global.json {
        let artifacts: Vec<String> = proofs.iter().map(|(artifact, _)| format!("sha256:{artifact}")).collect();
        output::json(&json!({
            "proof": output,
            "image": image,
            "subject": format!("sha256:{subject}"),
            "artifacts": artifacts,
            "way": way.name(),
            "envelopes": envelopes,
        }))?;
    } else {
        let name = plain::line(&output.display().to_string());
        let (proofs, envelopes) = (count(proofs.len(), "proof"), count(envelopes, "envelope"));
        output::text(&format!("wrote {name}: {envelopes} of {proofs} at sha256:{subject}, unverified\n"))?;
    }
    Ok(YES)
}

/// What paths of images are relative to.
fn here() -> Result<PathBuf, CommandError> {
    absolute(Path::new("."))
}

fn failed(error: InputsError) -> CommandError {
    JobError::from(error).into()
}
