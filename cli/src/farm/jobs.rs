// SPDX-License-Identifier: Apache-2.0
//! A farm's job is the job of `reprove rebuild`: there is no second way.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use reprove_attest::{RebuildVerdict, Rebuilder, Signer};
use reprove_farm::worker::{Run, Verdicted};
use reprove_farm::{Failure, FailureClass, Request, Work};
use reprove_job::{Event, JobError};
use reprove_store::Store;

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
    async fn run(&self, request: &Request, say: &(dyn Fn(String) + Sync)) -> Result<Verdicted, Failure> {
        let Work::Package { purl } = &request.work;
        let events = |event| {
            say(match event {
                Event::Doing(text) => text,
                Event::Noticed(text) => format!("note: {text}"),
            });
        };
        let (rebuilder, store) = (self.rebuilder.clone(), self.store.clone());
        let context = verdicted::context(self.app, store, rebuilder, (self.options, self.search), &events).await;
        let context = context.map_err(|error| Failure::new(FailureClass::Unable, &error.into_parts().0))?;
        match reprove_job::rebuild(&context, purl, &self.key).await {
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
