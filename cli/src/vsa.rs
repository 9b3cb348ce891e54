// SPDX-License-Identifier: Apache-2.0
//! `audit --vsa`: what an audit came to, signed, for others to rely on.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use reprove_attest::{Appraisal, Artifact, Envelope, Signer, SummaryOf, summary};
use reprove_model::canonical;

use crate::app::{absolute, blocking};
use crate::error::CommandError;
use crate::keys;
use crate::output::{Document, Target};

#[derive(Args, Debug)]
pub(crate) struct SummaryArguments {
    /// Write what the audit came to as a signed verification summary of SLSA, also where it is not enough
    #[arg(long, value_name = "FILE", requires_all = ["trust", "verifier", "resource"], conflicts_with = "keys")]
    vsa: Option<PathBuf>,
    /// The same without SLSA_BUILD_REPRODUCED, which slsa-verifier 2.7.1 refuses to read
    #[arg(long, value_name = "FILE", requires_all = ["trust", "verifier", "resource"], conflicts_with = "keys")]
    vsa_compatible: Option<PathBuf>,
    /// Who audits, for the summary and for the attribute report
    #[arg(long, value_name = "URI")]
    pub(crate) verifier: Option<String>,
    /// What the artifact is, or where it is fetched from, for the summary
    #[arg(long, value_name = "URI")]
    resource: Option<String>,
    /// The private key that signs these two, a file or a PKCS#11 URI [default: ~/.config/reprove/key.pem; or REPROVE_KEY]
    #[arg(long, value_name = "KEY")]
    sign_with: Option<PathBuf>,
}

impl SummaryArguments {
    /// The files that are to be written.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.vsa, &self.vsa_compatible].into_iter().flatten()
    }

    /// The key that signs.
    pub(crate) async fn key(&self) -> Result<Arc<dyn Signer>, CommandError> {
        keys::load(&keys::place(self.sign_with.as_deref())?).await
    }
}

/// Signs a payload: one envelope a file, in JSON, as in in-toto's bundles (`*.intoto.jsonl`).
pub(crate) async fn envelope(key: Arc<dyn Signer>, payload: Vec<u8>) -> Result<Vec<u8>, CommandError> {
    let envelope = canonical::to_vec(&blocking(move || Envelope::sign(&*key, payload)).await??);
    let mut line = envelope.map_err(|e| CommandError::cannot(e.to_string()))?;
    line.push(b'\n');
    Ok(line)
}

/// Summaries that are to be written, and the key for them: what would keep them from being written was found before.
pub(crate) struct Summaries {
    targets: Vec<(Target, bool)>,
    verifier: String,
    resource: String,
    key: Arc<dyn Signer>,
}

impl Summaries {
    pub(crate) async fn prepare(arguments: &SummaryArguments) -> Result<Option<Self>, CommandError> {
        let SummaryArguments { vsa, vsa_compatible, verifier, resource, .. } = arguments;
        let mut targets = Vec::new();
        for (path, compatible) in [(vsa, false), (vsa_compatible, true)] {
            if let Some(path) = path {
                targets.push((Target::document(&absolute(path)?, Document::ENVELOPE)?, compatible));
            }
        }
        let (Some(verifier), Some(resource), false) = (verifier, resource, targets.is_empty()) else {
            return Ok(None);
        };
        let key = arguments.key().await?;
        Ok(Some(Self { targets, verifier: verifier.clone(), resource: resource.clone(), key }))
    }

    /// The key that signs.
    pub(crate) fn key(&self) -> Arc<dyn Signer> {
        Arc::clone(&self.key)
    }

    pub(crate) async fn write(
        self,
        appraisal: &Appraisal,
        artifacts: &[Artifact],
        policy: &[u8],
        at: Timestamp,
    ) -> Result<(), CommandError> {
        let Self { targets, verifier, resource, key } = self;
        for (target, compatible) in targets {
            let of = SummaryOf { verifier: &verifier, resource: &resource, policy, artifacts, at, compatible };
            let payload = summary(appraisal, &of).map_err(|e| CommandError::bad_usage(e.to_string()))?;
            target.write(envelope(Arc::clone(&key), payload).await?).await?;
        }
        Ok(())
    }
}
