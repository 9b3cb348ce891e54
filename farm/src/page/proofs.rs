// SPDX-License-Identifier: Apache-2.0
//! What the proofs of a build say, verified again with the keys that their workers are registered with.

use reprove_attest::{Audited, PublicKey, ResourceDescriptor, audit};
use reprove_model::{Exit, Finding, Published};

use crate::source;
use crate::views::{BuildView, JobView};
use crate::{Coordinator, FarmError};

/// What one rebuilder's proof says.
pub(super) struct Shown {
    /// What was published.
    pub(super) published: Option<Published>,
    /// The digest of a project's source.
    pub(super) project: Option<String>,
    /// How often it was built for that; of failures, also how often one failed.
    pub(super) builds: usize,
    /// Whether what was published came out of nothing but itself.
    pub(super) is_of_own_contents: bool,
    /// What differs.
    pub(super) findings: Vec<Finding>,
    /// What was made equal before it was compared.
    pub(super) normalizations: Vec<String>,
    /// Who has to be trusted for it, and who has not; none, of a failure.
    pub(super) trust: Option<(String, String)>,
    /// How a build ended, where one failed.
    pub(super) failures: Vec<String>,
}

/// The proof of each job, in the order of the jobs; none where there is none, and why not where it does not pass.
pub(super) async fn of(coordinator: &Coordinator, view: &BuildView) -> Vec<Option<Result<Shown, String>>> {
    let mut all = Vec::new();
    for job in &view.jobs {
        all.push(match &job.proof {
            Some(digest) => Some(one(coordinator, job, digest).await.map_err(|error| error.to_string())),
            None => None,
        });
    }
    all
}

async fn one(coordinator: &Coordinator, job: &JobView, digest: &str) -> Result<Shown, FarmError> {
    let damaged = |what: &str| FarmError::Damaged(what.to_owned());
    let digest = digest.parse().map_err(|_| damaged("a proof's digest"))?;
    let name = job.worker.as_deref().and_then(|name| name.parse().ok()).ok_or_else(|| damaged("a worker's name"))?;
    let key: PublicKey = coordinator.worker(&name)?.key;
    let store = coordinator.store().clone();
    let read = tokio::task::spawn_blocking(move || {
        let bytes = store.read_blob(&digest, reprove_attest::Proof::MAX_BYTES as u64)?;
        audit(&bytes, &[], &[key]).map(shown).map_err(|error| FarmError::Refused(error.into()))
    });
    read.await.map_err(|error| FarmError::Internal(error.to_string()))?
}

fn shown(audited: Audited) -> Shown {
    match audited {
        Audited::Compared(proof) => {
            let trust = proof.trust();
            let verdict = proof.verdict();
            Shown {
                published: proof.published().cloned(),
                project: project(proof.published(), proof.dependencies()),
                builds: proof.rebuilds().len(),
                is_of_own_contents: proof.is_of_own_contents(),
                findings: verdict.findings.clone(),
                normalizations: verdict.normalizations.iter().map(|of| of.name.clone()).collect(),
                trust: Some((trust.holds_as_long_as.to_owned(), trust.does_not_need.to_owned())),
                failures: Vec::new(),
            }
        }
        Audited::Unbuildable(failed) => {
            let failure = failed.failure();
            Shown {
                published: failure.published.clone(),
                project: project(failure.published.as_ref(), &failure.resolved_dependencies),
                builds: failure.attempts.len(),
                is_of_own_contents: false,
                findings: Vec::new(),
                normalizations: Vec::new(),
                trust: None,
                failures: failure.attempts.iter().map(|attempt| how(&attempt.exit)).collect(),
            }
        }
    }
}

/// The digest of the source that was built, where nothing was published.
fn project(published: Option<&Published>, dependencies: &[ResourceDescriptor]) -> Option<String> {
    published.is_none().then(|| source::among(dependencies)).flatten().map(|tree| tree.to_string())
}

/// How a build ended, in words.
fn how(exit: &Exit) -> String {
    match exit {
        Exit::Success => "ended well".to_owned(),
        Exit::Status { step, status, out_of_memory } => {
            let why = if *out_of_memory { ", after it went over its limit of memory" } else { "" };
            format!("step {} ended with status {status}{why}", step + 1)
        }
        Exit::Signal { step, signal, out_of_memory } => {
            let why = if *out_of_memory { ", after it went over its limit of memory" } else { "" };
            format!("step {} was ended by signal {signal}{why}", step + 1)
        }
        Exit::TimeOut => "went over its limit of time".to_owned(),
    }
}
