// SPDX-License-Identifier: Apache-2.0
//! The tools that may have packed a tarball: tried one after the other.

use std::sync::{Arc, PoisonError};

use reprove_attest::Signer;
use reprove_images::RootFilesystem;
use reprove_inputs::npm::Tarball;
use reprove_inputs::{Npm, npm};
use reprove_model::{DigestSet, Lock, ToolsAttempt, canonical};
use reprove_runner::Built;
use reprove_verifier::{Wanted, artifact, conditions};

use crate::builds::{Builds, Label};
use crate::prove::{Begun, failed, prove_begun};
use crate::{BuildFailure, Context, Event, Finished, JobError, note_event};

/// What came of packing with some tools.
struct Attempt {
    lock: Lock,
    wanted: Wanted,
    /// Every build of it.
    built: Vec<Built>,
    /// The build that ended well, or why none did.
    result: Result<Built, Box<BuildFailure>>,
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
    prove_any(context, key, root, next).await
}

/// Packs again in one way after the other, until the result is as published. Where none is, the last that could pack counts.
/// Those are judged, and what came of all is signed. `next` gives what a way is called, and its lock; the source is that of all.
pub(crate) async fn prove_any(
    context: &Context<'_>,
    key: &Arc<dyn Signer>,
    root: RootFilesystem,
    mut next: impl AsyncFnMut() -> Result<Option<(String, Lock)>, JobError>,
) -> Result<Finished, JobError> {
    let nothing = || JobError::Internal("there was nothing to build".into());
    let (mut tried, mut last, mut shared) = (Vec::new(), None::<Attempt>, None);
    while let Some((tools, lock)) = next().await? {
        let lock = context.as_asked(lock);
        let (machine, source) = match shared.take() {
            Some(shared) => shared,
            None => (context.machine(&root).await?, context.source_files(&lock).await?),
        };
        context.doing(&format!("packing with {tools}"));
        let attempt = attempt(Builds::new(context, &lock, &root, &source, machine.clone())).await?;
        shared = Some((machine, source));
        let matched = attempt.is_as_published();
        let digest = DigestSet::of(&canonical::to_vec(&lock)?);
        if let Err(failure) = &attempt.result {
            let text = format!("with {tools}, {failure}; its log is {}", failure.log.display());
            (context.events)(Event::Noticed(text));
        }
        tried.push(ToolsAttempt { name: tools, lock: digest, matched });
        if attempt.result.is_ok() || last.as_ref().is_none_or(|last| last.result.is_err()) {
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
        Ok(first) => prove_begun(&builds, key, &wanted, Some(Begun { first, tried })).await,
        Err(failure) => Err(failed(&builds, key, failure).await?),
    }
}

impl Attempt {
    fn is_as_published(&self) -> bool {
        let published = self.lock.published.as_ref();
        let artifact = |built: &Built| published.is_some_and(|p| artifact(&built.record, p) == Some(p.digest));
        self.result.as_ref().is_ok_and(artifact)
    }
}

/// The first build with some tools.
async fn attempt(builds: Builds<'_>) -> Result<Attempt, JobError> {
    let Builds { context, lock, root, .. } = builds;
    let wanted = context.wanted(lock, root, Wanted::of_published());
    let result = match builds.run(&conditions(&wanted).0, None, Label::First).await {
        Err(JobError::Build(failure)) => Err(failure),
        built => Ok(built?),
    };
    let built = builds.attempts.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Attempt { lock: lock.clone(), wanted, built, result })
}
