// SPDX-License-Identifier: Apache-2.0
//! The one program of a guest: its first process. It mounts what it needs, checks the job and `/usr` against the digests on
//! the kernel's command line, builds with the runner that a host builds with, leaves a report on a disk, and ends the machine.
//!
//! Whoever runs the machine can keep the report back. It can't have something else built unseen: what is built is on the
//! command line, by digest, and the command line is part of what is measured where a machine is measured at all.

mod build;
mod command_line;
mod device;
mod disks;
mod hardware;
mod mounts;
mod processor;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use reprove_runner::vm::{Fault, GuestEvidence, HELLO, MAX_TEXT, Report, ReportedEnd};
use reprove_store::Store;
use rustix::system::{RebootCommand, reboot};
use thiserror::Error;

use crate::command_line::CommandLine;
use crate::disks::Disks;

fn main() -> ExitCode {
    // Of a build's own namespaces the first process is this program too.
    if std::env::args().nth(1).as_deref() == Some(reprove_runner::HELPER_ARGUMENT) {
        return reprove_runner::helper_main();
    }
    if !rustix::process::getpid().is_init() {
        say("this is the first process of a guest, and of nothing else");
        return ExitCode::from(2);
    }
    if let Err(error) = guest() {
        say(&format!("failed: {error}"));
    }
    let _ = reboot(RebootCommand::PowerOff);
    // There is no other way out: the kernel ends with its first process.
    ExitCode::FAILURE
}

/// What went wrong in a guest.
#[derive(Debug, Error)]
#[error("{doing}: {why}")]
struct Failure {
    doing: String,
    why: String,
    fault: Fault,
}

impl Failure {
    /// For `map_err`: what was being done.
    fn at<E: Display>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| Self { doing, why: error.to_string(), fault: Fault::Machine }
    }

    /// The same, where it is the project's fault.
    fn of_project<E: Display>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |error| Self { fault: Fault::Project, ..Self::at(doing)(error) }
    }
}

/// One line on the console.
fn say(text: &str) {
    let mut console = io::stdout();
    let _ = writeln!(console, "reprove-guest: {text}");
    let _ = console.flush();
}

fn guest() -> Result<(), Failure> {
    mounts::first()?;
    let told = CommandLine::read()?;
    mounts::load_modules()?;
    let hello = HELLO.rsplit(' ').next().unwrap_or_default();
    say(hello);
    let disks = Disks::find()?;
    // From here on there is a disk to say on what goes wrong.
    let mut store = None;
    let end = job(&told, &disks, &mut store);
    let (end, evidence, blobs) = match end {
        Ok(done) => done,
        Err(failure) => {
            say(&format!("refused: {failure}"));
            let text = failure.to_string().chars().take(MAX_TEXT).collect();
            (ReportedEnd::Failed { fault: failure.fault, text }, None, Vec::new())
        }
    };
    let store = match store {
        Some(store) => store,
        None => mounts::store()?,
    };
    let mut disk = disks.report()?;
    Report { end, evidence, blobs }.write(&store, &mut disk).map_err(Failure::at("writing the report"))?;
    say("done");
    Ok(())
}

type Done = (ReportedEnd, Option<GuestEvidence>, Vec<reprove_runner::vm::Blob>);

fn job(told: &CommandLine, disks: &Disks, store: &mut Option<Store>) -> Result<Done, Failure> {
    let bytes = disks.job(told)?;
    let (job, blobs) = reprove_runner::vm::Job::read(&bytes).map_err(Failure::at("reading the job"))?;
    mounts::set_clock(job.clock)?;
    let Some(wanted) = &job.build else { return Ok((ReportedEnd::Hello, None, Vec::new())) };
    let usr = disks.usr(told)?;
    let on_disk = wanted.conditions.surroundings.file_system.filter(|kind| kind.is_on_disk());
    // The root that they are in is left next.
    on_disk.map_or(Ok(()), mounts::load_modules_for)?;
    mounts::root(&usr)?;
    if let Some(kind) = on_disk {
        mounts::disk(disks.scratch()?, kind, u64::from(wanted.lock.recipe.limits.disk_mib) << 20)?;
    }
    let store = store.insert(mounts::store()?);
    for bytes in blobs {
        store.add_bytes(bytes).map_err(Failure::at("putting the job's files into the store"))?;
    }
    drop(bytes);
    build::build(wanted, job.clock, told, store)
}
