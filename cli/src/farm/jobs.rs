// SPDX-License-Identifier: Apache-2.0
//! A farm's job is the job of `reprove rebuild`: there is no second way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use reprove_attest::{RebuildVerdict, Rebuilder, Signer};
use reprove_farm::source::{self, SourceError};
use reprove_farm::worker::{Run, Verdicted};
use reprove_farm::{Failure, FailureClass, Request, Work};
use reprove_job::{Event, JobError};
use reprove_model::{Digest, Tree};
use reprove_store::{SetId, Store, Use};
use tempfile::TempDir;

use super::failures::failure;
use crate::app::App;
use crate::commands::{BuildOptions, SearchOptions};
use crate::verdicted;

/// What does jobs on this machine.
pub(super) struct Jobs<'a> {
    pub(super) app: &'a App,
    pub(super) store: Store,
    pub(super) key: Arc<dyn Signer>,
    pub(super) rebuilder: Rebuilder,
    pub(super) options: &'a BuildOptions,
    pub(super) search: &'a SearchOptions,
}

/// So much of what each build printed is brought to the farm, in bytes.
const MOST_OF_LOG: u64 = 4 << 20;

#[async_trait(?Send)]
impl Run for Jobs<'_> {
    async fn run(
        &self,
        request: &Request,
        source: Option<Vec<u8>>,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<Verdicted, Failure> {
        let events = |event| {
            say(match event {
                Event::Doing(text) => text,
                Event::Noticed(text) => format!("note: {text}"),
            });
        };
        let (rebuilder, store) = (self.rebuilder.clone(), self.store.clone());
        let context = verdicted::context(self.app, store, rebuilder, (self.options, self.search), &events).await;
        let mut context = context.map_err(|error| Failure::new(FailureClass::Unable, &error.into_parts().0))?;
        let finished = match &request.work {
            Work::Package { purl } => reprove_job::rebuild(&context, purl, &self.key).await,
            Work::Project { recipe, source: tree } => {
                // It is built as its recipe says, whatever this worker builds packages with: another recipe is another project.
                (context.deterministic, context.search.pinned) = (false, BTreeMap::new());
                let (directory, tree) = self.laid_out(*tree, source.unwrap_or_default()).await?;
                let source = (directory.path(), &tree);
                reprove_job::check_tree(&context, (**recipe).clone(), source, &self.key).await
            }
        };
        match finished {
            Ok(finished) => {
                let [first, second] = &finished.logs;
                let log = log(&[first.clone(), second.clone()]);
                Ok(Verdicted { verdict: RebuildVerdict::from(&finished.verdict), proof: finished.proof, log })
            }
            Err(JobError::Build(mut failed)) => match failed.proof.take() {
                Some(proof) => {
                    let log = log(std::slice::from_ref(&failed.log));
                    Ok(Verdicted { verdict: RebuildVerdict::Unbuildable, proof, log })
                }
                None => Err(failure(&JobError::Build(failed))),
            },
            Err(error) => Err(failure(&error)),
        }
    }
}

impl Jobs<'_> {
    /// The source of a project, in the store and in a directory that is removed when the value goes.
    async fn laid_out(&self, tree: Digest, packed: Vec<u8>) -> Result<(TempDir, Tree), Failure> {
        let store = self.store.clone();
        let work = move || {
            let other = |error: SourceError| Failure::new(FailureClass::HashMismatch, &error.to_string());
            let unable = |error: &dyn std::fmt::Display| Failure::new(FailureClass::Unable, &error.to_string());
            let tree = source::unpack(&store, &packed, &tree).map_err(|error| match error {
                SourceError::Store(error) => unable(&error),
                error => other(error),
            })?;
            let directory = store.temp_dir().map_err(|error| unable(&error))?;
            let opened = File::open(directory.path()).map_err(|error| unable(&error))?;
            let never = AtomicBool::new(false);
            store
                .check_out(&tree, opened.into(), Use::Writable, SetId::Refuse, &never)
                .map_err(|error| unable(&error))?;
            store.save_tree(&tree).map_err(|error| unable(&error))?;
            Ok((directory, tree))
        };
        let laid_out = tokio::task::spawn_blocking(work).await;
        laid_out.unwrap_or_else(|error| Err(Failure::new(FailureClass::Internal, &error.to_string())))
    }
}

/// What the builds printed, one after the other; none, where that can't be read: nothing rests on it.
fn log(paths: &[PathBuf]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for (number, path) in (1..).zip(paths) {
        all.extend(format!("== build {number} ==\n").into_bytes());
        read(path, &mut all).ok()?;
        if !all.ends_with(b"\n") {
            all.push(b'\n');
        }
    }
    Some(all)
}

fn read(path: &Path, into: &mut Vec<u8>) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let read = file.by_ref().take(MOST_OF_LOG).read_to_end(into)?;
    if read as u64 == MOST_OF_LOG && file.read(&mut [0])? > 0 {
        into.extend(b"\n[the rest is left out]\n");
    }
    Ok(())
}
