// SPDX-License-Identifier: Apache-2.0
//! The tools that may have packed or built something: tried one after the other.

use std::sync::{Arc, PoisonError};

use reprove_attest::Signer;
use reprove_images::RootFilesystem;
use reprove_inputs::npm::Tarball;
use reprove_inputs::{Npm, Pip, npm, pypi};
use reprove_model::{Derived, DigestSet, EpochUsed, Lock, PackageUrl, ToolsAttempt, canonical};
use reprove_runner::Built;
use reprove_verifier::{Wanted, artifact, conditions};

use crate::builds::Builds;
use crate::epoch::candidates;
use crate::prove::{Begun, failed, prove_begun};
use crate::{BuildFailure, Context, Event, Finished, JobError, note_event};

/// What came of packing with some tools.
struct Attempt {
    lock: Lock,
    wanted: Wanted,
    /// Every build of it.
    built: Vec<Built>,
    /// The build that ended well, and the `SOURCE_DATE_EPOCH` that it was given, or why none did.
    result: Result<(Built, EpochUsed), Box<BuildFailure>>,
}

/// Which of those that could be done counts where nothing came out as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// The first; of these, the first that takes times over, where one does.
    First,
    /// The last.
    Last,
}

/// Packs a tarball again with each of the tools that may have packed it, until the result is as published.
pub(crate) async fn prove(
    context: &Context<'_>,
    key: &Arc<dyn Signer>,
    tarball: &Tarball,
    client: &Npm,
    root: RootFilesystem,
) -> Result<Finished, JobError> {
    let notes = |note| (context.events)(note_event(note));
    let mut tools = tarball.tools().iter();
    let (store, locked) = (&context.store, root.locked.clone());
    let next = async || {
        let Some(&tools) = tools.next() else { return Ok(None) };
        let lock = npm::lock(tarball, tools, client, store, locked.clone(), &notes).await?;
        Ok(Some((tools.to_string(), lock)))
    };
    prove_any(context, key, root, Otherwise::Last, next).await
}

/// Builds a file of a release of Python's with each set of tools that may have built it, until the result is as published.
pub(crate) async fn prove_release(
    context: &Context<'_>,
    key: &Arc<dyn Signer>,
    purl: &PackageUrl,
    pip: &Pip,
    root: RootFilesystem,
) -> Result<Finished, JobError> {
    let notes = |note| (context.events)(note_event(note));
    let (store, locked) = (&context.store, root.locked.clone());
    let mut published = pypi::fetch(purl, pip, store, &notes).await?;
    let next = async || Ok(published.next(pip, store, locked.clone(), &notes).await?);
    // The likeliest says most about what differs.
    prove_any(context, key, root, Otherwise::First, next).await
}

/// Packs again in one way after the other, until the result is as published. Where none is, the one counts, of those
/// that could be done, that `otherwise` says. It is judged, and what came of all is signed. `next` gives what a way is called,
/// and its lock; the source is that of all. A lock that was tried is not tried again.
pub(crate) async fn prove_any(
    context: &Context<'_>,
    key: &Arc<dyn Signer>,
    root: RootFilesystem,
    otherwise: Otherwise,
    mut next: impl AsyncFnMut() -> Result<Option<(String, Lock)>, JobError>,
) -> Result<Finished, JobError> {
    let nothing = || JobError::Internal("there was nothing to build".into());
    let (mut tried, mut last, mut shared) = (Vec::new(), None::<Attempt>, None);
    while let Some((tools, lock)) = next().await? {
        let lock = context.as_asked(lock);
        let digest = DigestSet::of(&canonical::to_vec(&lock)?);
        if tried.iter().any(|attempt: &ToolsAttempt| attempt.lock == digest) {
            continue;
        }
        let (machine, source) = match shared.take() {
            Some(shared) => shared,
            None => (context.machine(&root).await?, context.source_files(&lock).await?),
        };
        context.doing(&format!("building with {tools}"));
        let attempt = attempt(Builds::new(context, &lock, &root, &source, machine.clone())).await?;
        shared = Some((machine, source));
        let matched = attempt.is_as_published();
        if let Err(failure) = &attempt.result {
            let text = format!("with {tools}, {failure}; its log is {}", failure.log.display());
            (context.events)(Event::Noticed(text));
        }
        tried.push(ToolsAttempt { name: tools, lock: digest, matched });
        let takes_more = last.as_ref().is_some_and(|last| !takes_times(&last.lock) && takes_times(&attempt.lock));
        let is_better = attempt.result.is_ok() && (matched || takes_more || otherwise == Otherwise::Last);
        if is_better || last.as_ref().is_none_or(|last| last.result.is_err()) {
            last = Some(attempt);
        }
        if matched {
            break;
        }
    }
    let Attempt { lock, wanted, built, result } = last.ok_or_else(nothing)?;
    let (machine, source) = shared.ok_or_else(nothing)?;
    let builds = Builds::new(context, &lock, &root, &source, machine);
    *builds.attempts.lock().unwrap_or_else(PoisonError::into_inner) = built;
    match result {
        Ok((first, epoch)) => prove_begun(&builds, key, &wanted, Some(Begun { first, epoch, tried })).await,
        Err(failure) => Err(failed(&builds, key, failure).await?),
    }
}

/// Whether times are taken over, so that they are no difference.
fn takes_times(lock: &Lock) -> bool {
    lock.published.as_ref().is_some_and(|published| published.derived.contains(&Derived::Times))
}

impl Attempt {
    fn is_as_published(&self) -> bool {
        let published = self.lock.published.as_ref();
        let artifact = |built: &Built| published.is_some_and(|p| artifact(&built.record, p) == Some(p.digest));
        self.result.as_ref().is_ok_and(|(built, _)| artifact(built))
    }
}

/// The first build with some tools.
async fn attempt(builds: Builds<'_>) -> Result<Attempt, JobError> {
    let Builds { context, lock, root, .. } = builds;
    let wanted = context.wanted(lock, root, Wanted::of_published());
    let candidates = candidates(lock, &context.store).await?;
    let result = match builds.first(&conditions(&wanted).0, candidates).await {
        Err(JobError::Build(failure)) => Err(failure),
        built => Ok(built?),
    };
    let built = builds.attempts.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Attempt { lock: lock.clone(), wanted, built, result })
}
