// SPDX-License-Identifier: Apache-2.0
//! `audit --scai --cyclonedx --spdx`: documents that others ask for. Where one would claim more than was shown, it is not
//! written, and the command says so and ends with "no".

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use reprove_attest::{
    Appraisal, Artifact, Audited, BuildInputs, DocumentError, NotShown, ScaiOf, Signer, cyclonedx, scai, spdx,
};

use crate::app::{App, absolute};
use crate::error::CommandError;
use crate::output::{Document, Target};
use crate::vsa::{SummaryArguments, envelope};

#[derive(Args, Debug)]
pub(crate) struct DocumentArguments {
    /// Write that the artifacts are reproducible, with the evidence, as a signed attribute report (SCAI)
    #[arg(long, value_name = "FILE", requires_all = ["trust", "verifier"], conflicts_with = "keys")]
    scai: Option<PathBuf>,
    /// Write what went into the build as a bill of materials in CycloneDX 1.6
    #[arg(long, value_name = "FILE")]
    cyclonedx: Option<PathBuf>,
    /// Write what went into the build as a bill of materials in SPDX 2.3
    #[arg(long, value_name = "FILE")]
    spdx: Option<PathBuf>,
}

impl DocumentArguments {
    /// The files that are to be written.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.scai, &self.cyclonedx, &self.spdx].into_iter().flatten()
    }
}

/// Documents that are to be written: what would keep them from being written was found before.
pub(crate) struct Documents {
    scai: Option<Report>,
    bills: Vec<(Target, Format)>,
}

struct Report {
    target: Target,
    verifier: String,
    key: Arc<dyn Signer>,
}

/// A format of bills of materials.
type Format = fn(&BuildInputs<'_>) -> Result<Vec<u8>, DocumentError>;

impl Documents {
    /// `key` is the one that signs, where it was loaded before: nobody is asked for a passphrase twice.
    pub(crate) async fn prepare(
        arguments: &DocumentArguments,
        summary: &SummaryArguments,
        key: Option<Arc<dyn Signer>>,
    ) -> Result<Self, CommandError> {
        let DocumentArguments { scai, cyclonedx: cyclonedx_file, spdx: spdx_file } = arguments;
        let target = |path: &PathBuf, document| Target::document(&absolute(path)?, document);
        let mut bills = Vec::new();
        let formats = [(cyclonedx_file, cyclonedx as Format, Document::CYCLONEDX), (spdx_file, spdx, Document::SPDX)];
        for (path, format, document) in formats {
            if let Some(path) = path {
                bills.push((target(path, document)?, format));
            }
        }
        let scai = match (scai, &summary.verifier) {
            (Some(path), Some(verifier)) => {
                let target = target(path, Document::ENVELOPE)?;
                let key = match key {
                    Some(key) => key,
                    None => summary.key().await?,
                };
                Some(Report { target, verifier: verifier.clone(), key })
            }
            _ => None,
        };
        Ok(Self { scai, bills })
    }

    /// Writes what an audit by `--key` shows; `false` where it does not show what was asked for.
    pub(crate) async fn write_audited(self, app: &App, audited: &Audited) -> Result<bool, CommandError> {
        let inputs = match audited {
            Audited::Compared(proof) => BuildInputs::of(proof),
            Audited::Unbuildable(_) => Err(NotShown::Verdict(audited.word()).into()),
        };
        write_bills(app, self.bills, inputs).await
    }

    /// Writes what an appraisal shows; `false` where it does not show what was asked for.
    pub(crate) async fn write_appraised(
        self,
        app: &App,
        appraisal: &Appraisal,
        artifacts: &[Artifact],
        policy: &[u8],
        at: Timestamp,
    ) -> Result<bool, CommandError> {
        let mut is_shown = true;
        if let Some(Report { target, verifier, key }) = self.scai {
            let of = ScaiOf { verifier: &verifier, policy, artifacts, at };
            match or_note(app, "attribute report", scai(appraisal, &of))? {
                Some(payload) => target.write(envelope(key, payload).await?).await?,
                None => is_shown = false,
            }
        }
        Ok(write_bills(app, self.bills, BuildInputs::of_appraisal(appraisal)).await? && is_shown)
    }
}

async fn write_bills(
    app: &App,
    bills: Vec<(Target, Format)>,
    inputs: Result<BuildInputs<'_>, DocumentError>,
) -> Result<bool, CommandError> {
    if bills.is_empty() {
        return Ok(true);
    }
    let Some(inputs) = or_note(app, "bill of materials", inputs)? else { return Ok(false) };
    for (target, format) in bills {
        let mut bill = format(&inputs).map_err(|e| CommandError::cannot(e.to_string()))?;
        bill.push(b'\n');
        target.write(bill).await?;
    }
    Ok(true)
}

/// Notes what was not shown; what can't be asked for is an error.
fn or_note<T>(app: &App, what: &str, made: Result<T, DocumentError>) -> Result<Option<T>, CommandError> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(DocumentError::NotShown(why)) => {
            app.progress.note(&format!("no {what} was written: it would claim more than was shown, since {why}"));
            Ok(None)
        }
        Err(error) => Err(CommandError::bad_usage(error.to_string())),
    }
}
