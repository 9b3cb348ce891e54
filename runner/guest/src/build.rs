// SPDX-License-Identifier: Apache-2.0
//! The build itself: the runner's own, in namespaces of this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;

use reprove_attest::evidence::{Dispatch, report_data};
use reprove_attest::provenance;
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{BuildRecord, DigestSet, Exit, FileSystem, Isolation, Machine};
use reprove_runner::vm::{Blob, GuestEvidence, JobBuild, JobEvidence, JobRoot, ReportedEnd};
use reprove_runner::{BuildRequest, RunError, Runner, Sandbox, SourceFiles};
use reprove_store::{SetId, Store, Use};

use crate::command_line::CommandLine;
use crate::mounts::{PARTS, SCRATCH, USR, set_clock};
use crate::processor::Evidence;
use crate::{Done, Failure};

/// Builds what is wanted from what is in the store. The clock is set once more when everything is ready.
pub(crate) fn build(wanted: &JobBuild, clock: u64, told: &CommandLine, store: &Store) -> Result<Done, Failure> {
    let JobBuild { lock, conditions, epoch, started, watched, demanded, root, source, .. } = wanted;
    if let Some(tree) = source {
        store.save_tree(tree).map_err(Failure::at("keeping the source"))?;
    }
    // Whoever starts the machine tells what is beside `/usr`: it may be what it always is, and nothing over that. A kept
    // environment has to be what the lock names, which nobody but this guest says here.
    let filesystem = wanted.root_filesystem(Path::new(USR), Path::new(PARTS));
    let filesystem = filesystem.map_err(Failure::at("putting the root filesystem together"))?;
    root.as_ref().map_or(Ok(()), |root| lay_out(root, store))?;
    let source = SourceFiles::of(lock, store).map_err(Failure::of_project("reading the source"))?;
    let sandbox = Sandbox::default().demanding(*demanded);
    let is_on_disk = conditions.surroundings.file_system.is_some_and(FileSystem::is_on_disk);
    let sandbox = if is_on_disk { sandbox.on_disk(SCRATCH.into()) } else { sandbox };
    let runner = Runner { store: store.clone(), sandbox, machine: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::at("starting the runtime"))?;
    let request = BuildRequest {
        lock,
        root: &filesystem,
        source: &source,
        conditions,
        epoch: *epoch,
        started: *started,
        watched: *watched,
        label: "build",
        followed: false,
    };
    let evidence = wanted.confidential.as_ref().map(|asked| start(wanted, asked, told)).transpose()?;
    set_clock(clock)?;
    let built = runtime.block_on(runner.build(request)).map_err(failure)?;
    store.add_file(&built.log).map_err(Failure::at("keeping the log"))?;
    let blobs = blobs(&built.record, store)?;
    let mut record = built.record;
    let evidence = match evidence {
        Some((evidence, machine)) => {
            (record.isolation, record.machine) = (machine.0, Some(machine.1));
            // Of a build that failed nothing is stated.
            if record.exit == Exit::Success { Some(end(wanted, &record, evidence)?) } else { None }
        }
        None => None,
    };
    Ok((ReportedEnd::Built(Box::new(record)), evidence, blobs))
}

/// Has the machine's processor bind what is to be built; and the machine, as its record is to name it.
fn start<'a>(
    wanted: &JobBuild,
    asked: &'a JobEvidence,
    told: &CommandLine,
) -> Result<(Evidence<'a>, (Isolation, Machine)), Failure> {
    let doing = "naming what is to be built";
    // The record will say so many, and not every processor measures how many it was started with.
    let here = available_parallelism().map_or(1, |number| u32::try_from(number.get()).unwrap_or(u32::MAX));
    enough(here, wanted.conditions.processors).map_err(Failure::at(doing))?;
    let digest =
        |json: Result<Vec<u8>, CanonicalError>| json.map(|json| DigestSet::of(&json)).map_err(Failure::at(doing));
    let dispatch = Dispatch {
        build: told.job,
        lock: digest(canonical::to_vec(&wanted.lock))?,
        recipe: digest(canonical::to_vec(&wanted.lock.recipe))?,
    };
    let usr = told.usr.ok_or_else(|| Failure::at(doing)("the command line does not name /usr"))?;
    let JobEvidence { isolation, engine, kernel, initrd, .. } = *asked;
    let machine = Machine { engine, kernel, initrd, usr: usr.to_string(), job: told.job };
    let evidence = Evidence::start(asked, |nonce| dispatch.report_data(nonce).map_err(Failure::at(doing)))?;
    Ok((evidence, (isolation, machine)))
}

/// Whether a machine with so many processors is one for a build that is stated to have had `stated`.
fn enough(here: u32, stated: u32) -> Result<(), String> {
    if here >= stated {
        return Ok(());
    }
    Err(format!("the build is to have {stated} processors, and this machine has {here}"))
}

/// Has it bind the statement that will be made of the record.
fn end(wanted: &JobBuild, record: &BuildRecord, evidence: Evidence<'_>) -> Result<GuestEvidence, Failure> {
    let doing = "stating what was built";
    let statement = provenance(&wanted.lock, record, wanted.epoch).map_err(Failure::of_project(doing))?;
    let payload = statement.to_payload().map_err(Failure::at(doing))?;
    evidence.end(|nonce| report_data(&payload, nonce))
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
    let doing = "building";
    if error.is_of_project() { Failure::of_project(doing)(error) } else { Failure::at(doing)(error) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_as_many_processors_as_will_be_stated() {
        assert!(enough(2, 2).is_ok() && enough(3, 2).is_ok());
        assert!(enough(1, 2).unwrap_err().contains("2 processors, and this machine has 1"));
    }
}
