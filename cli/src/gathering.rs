// SPDX-License-Identifier: Apache-2.0
//! `log gather`: all that a log has for some files, and its word that this is all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use reprove_attest::log::RecordedSubject;
use reprove_attest::{Envelope, LoggedEnvelope, Predicate, Proof, Signer, Statement};
use reprove_log::{Log, LogError};
use reprove_model::Sha256;
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::commands::{failed, word};
use crate::error::{CommandError, YES};
use crate::output::{self, Target, count};
use crate::{commands, keys, plain};

pub(crate) async fn run(
    app: &App,
    directory: PathBuf,
    artifacts: Vec<PathBuf>,
    target: &Path,
    key: Option<&Path>,
) -> Result<u8, CommandError> {
    let key = keys::load(&keys::place(key)?).await?;
    let written = Target::new(&absolute(target)?)?;
    app.progress.doing("looking for all that the log has");
    let proof = blocking(move || {
        let mut subjects = Vec::new();
        for artifact in &artifacts {
            subjects.push(commands::artifact_digest(artifact)?.digest.sha256);
        }
        gather(&directory, &subjects, &*key)
    });
    let proof = proof.await??;
    app.progress.clear();
    let (envelopes, size) = (proof.envelopes.len(), proof.recorded.len());
    written.keeps(&proof)?;
    for said in proof.recorded.iter().filter(|said| said.entries.is_empty()) {
        let subject = said.said().map(|said| said.subject.to_string()).unwrap_or_default();
        app.progress.note(&format!("the log has nothing on the file with the SHA-256 {subject}, and says so"));
    }
    let bytes = proof.to_bytes().map_err(|e| CommandError::bad_usage(e.to_string()))?;
    written.write(bytes).await?;
    if app.global.json {
        output::json(&json!({ "proof": target, "envelopes": envelopes }))?;
    } else {
        let name = plain::line(&target.display().to_string());
        let (envelopes, files) = (count(envelopes, "envelope"), count(size, "file"));
        output::text(&format!("wrote {name}: {envelopes}, all that the log has for {files}\n"))?;
    }
    Ok(YES)
}

fn gather(directory: &Path, subjects: &[Sha256], key: &dyn Signer) -> Result<Proof, CommandError> {
    let log = Log::open(directory, None).map_err(failed)?;
    let own = reprove_log::key_of(&log.checkpoint().origin, key).map_err(|e| failed(e.into()))?;
    own.verify(log.note()).map_err(|e| failed(LogError::from(e)))?;
    let time = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    let mut found = Found { log: &log, numbers: BTreeSet::new(), provenances: Vec::new(), others: Vec::new() };
    let mut recorded = Vec::new();
    for subject in subjects {
        let all = log.recorded(subject).map_err(failed)?;
        let leaves: Vec<_> = all.iter().map(|(_, leaf, _)| *leaf).collect();
        for (number, _, envelope) in all {
            for (number, _, provenance) in named_by(&log, &envelope)? {
                found.add(number, provenance)?;
            }
            found.add(number, envelope)?;
        }
        let said = RecordedSubject::sign(log.checkpoint(), *subject, &leaves, time, key);
        recorded.push(said.map_err(|e| CommandError::cannot(e.to_string()))?);
    }
    let (envelopes, logged) = found.provenances.into_iter().chain(found.others).unzip();
    Ok(Proof { logged, recorded, ..Proof::of(envelopes) })
}

/// The provenances that a comparison names, by the same key.
fn named_by(log: &Log, envelope: &Envelope) -> Result<Vec<(u64, [u8; 32], Envelope)>, CommandError> {
    let Ok(Statement { predicate: Predicate::Comparison(comparison), .. }) =
        Statement::from_payload(envelope.payload())
    else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for rebuild in &comparison.rebuilds {
        let same = log.with_payload(&rebuild.provenance.sha256).map_err(failed)?;
        all.extend(same.into_iter().filter(|(.., found)| found.keyid() == envelope.keyid()));
    }
    Ok(all)
}

/// What was found, each once: provenances first, as a proof has them.
struct Found<'a> {
    log: &'a Log,
    numbers: BTreeSet<u64>,
    provenances: Vec<(Envelope, LoggedEnvelope)>,
    others: Vec<(Envelope, LoggedEnvelope)>,
}

impl Found<'_> {
    fn add(&mut self, number: u64, envelope: Envelope) -> Result<(), CommandError> {
        if self.numbers.insert(number) {
            let said = word(self.log, number, &envelope)?;
            let statement = Statement::from_payload(envelope.payload());
            let is_provenance = statement.is_ok_and(|s| matches!(s.predicate, Predicate::Provenance(_)));
            if is_provenance { &mut self.provenances } else { &mut self.others }.push((envelope, said));
        }
        Ok(())
    }
}
