// SPDX-License-Identifier: Apache-2.0
//! The build itself: the runner's own, in namespaces of this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use reprove_model::BuildRecord;
use reprove_runner::vm::{Blob, JobBuild, JobRoot, ReportedEnd};
use reprove_runner::{BuildRequest, RunError, Runner, Sandbox, SandboxError, SourceFiles};
use reprove_store::{SetId, Store, Use};

use crate::mounts::{PARTS, USR, set_clock};
use crate::{Done, Failure};

/// Builds what is wanted from what is in the store. The clock is set once more when everything is ready.
pub(crate) fn build(wanted: &JobBuild, clock: u64, store: &Store) -> Result<Done, Failure> {
    let JobBuild { lock, conditions, epoch, started, watched, demanded, root, source } = wanted;
    if let Some(tree) = source {
        store.save_tree(tree).map_err(Failure::at("keeping the source"))?;
    }
    lay_out(root, store)?;
    let root = root.filesystem(lock, USR.into(), Path::new(PARTS));
    let source = SourceFiles::of(lock, store).map_err(Failure::of_project("reading the source"))?;
    let runner = Runner { store: store.clone(), sandbox: Sandbox::default().demanding(*demanded), machine: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::at("starting the runtime"))?;
    let request = BuildRequest {
        lock,
        root: &root,
        source: &source,
        conditions,
        epoch: *epoch,
        started: *started,
        watched: *watched,
        label: "build",
        followed: false,
    };
    set_clock(clock)?;
    let built = runtime.block_on(runner.build(request)).map_err(failure)?;
    store.add_file(&built.log).map_err(Failure::at("keeping the log"))?;
    let blobs = blobs(&built.record, store)?;
    Ok((ReportedEnd::Built(Box::new(built.record)), blobs))
}

/// Puts the parts of the root filesystem beside `/usr` where they are mounted from.
fn lay_out(root: &JobRoot, store: &Store) -> Result<(), Failure> {
    let doing = "putting the root filesystem together";
    for (number, tree) in (0..).zip(root.parts.values()) {
        let place = JobRoot::place(Path::new(PARTS), number);
        std::fs::create_dir(&place).map_err(Failure::at(doing))?;
        let folder = std::fs::File::open(&place).map_err(Failure::at(doing))?;
        store
            .check_out(tree, folder.into(), Use::ReadOnly, SetId::Refuse, &AtomicBool::new(false))
            .map_err(Failure::at(doing))?;
    }
    Ok(())
}

/// Whose fault it is that there is no record.
fn failure(error: RunError) -> Failure {
    let is_of_project = match &error {
        RunError::OutputLink(_)
        | RunError::OutputFile(_)
        | RunError::Output { .. }
        | RunError::TooManyOutputs { .. }
        | RunError::Tree(_)
        | RunError::Tool(_)
        | RunError::Sandbox(SandboxError::SourceTooLarge { .. } | SandboxError::SourcePastMemory { .. }) => true,
        RunError::Sandbox(_)
        | RunError::Store(_)
        | RunError::Canonical(_)
        | RunError::Environment { .. }
        | RunError::NoClockLibrary
        | RunError::Listing(_)
        | RunError::Source
        | RunError::Machine(_) => false,
    };
    let doing = "building";
    if is_of_project { Failure::of_project(doing)(error) } else { Failure::at(doing)(error) }
}

/// Everything that the record names, each once.
fn blobs(record: &BuildRecord, store: &Store) -> Result<Vec<Blob>, Failure> {
    let mut sizes: BTreeMap<_, _> = record.outputs.files().map(|(_, digest, size)| (digest.blake3, size)).collect();
    sizes.insert(record.log.digest.blake3, record.log.size);
    if let Some(listing) = record.observed.listing {
        let file = store.open_blob(&listing.blake3).map_err(Failure::at("keeping the listing"))?;
        let size = file.metadata().map_err(Failure::at("keeping the listing"))?.len();
        sizes.insert(listing.blake3, size);
    }
    Ok(sizes.into_iter().map(|(digest, size)| Blob { digest, size }).collect())
}
