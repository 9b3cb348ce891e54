// SPDX-License-Identifier: Apache-2.0
//! One build in a machine, from the job's disk to the record.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reprove_images::guest::{BLOCK, UsrImage};
use reprove_model::{BuildRecord, Clock, Digest, Exit, Isolation, IsolationLevel, Limits, Lock, Role, Surroundings};
use reprove_store::Store;

use super::engine::{Guest, Parts, Size, Voice, launch};
use super::hardware::{Closed, shared_mib};
use super::job::{Job, JobBuild, JobEvidence};
use super::processor::{Confidential, Port, SecureProcessor, Speaker, Started, bytes_of_file, firmware};
use super::report::{GuestEvidence, Report, ReportedEnd};
use super::root::JobRoot;
use super::running::{Running, Times};
use super::scratch::Formatter;
use super::{MachineError, io_error};
use crate::source::SourceFiles;
use crate::{BuildRequest, Sandbox};

/// A machine to build in: started anew for each build.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What is started, and by what.
    pub guest: Guest,
    /// The same with another kernel, where there is one.
    pub other: Option<Guest>,
    /// What makes the file system of a disk to build on, where something does.
    pub formatter: Option<Formatter>,
    /// The lock's `/usr`, or all of its environment.
    pub usr: UsrImage,
    /// What its guest has to have evidence of itself from, where it has to.
    pub confidential: Option<Confidential>,
}

impl Machine {
    /// What is started for a build in these surroundings, and what makes the disk that it writes to, where that is one.
    fn chosen(&self, surroundings: &Surroundings) -> Result<(&Guest, Option<&Formatter>), MachineError> {
        let Self { guest, other, formatter, confidential, .. } = self;
        let guest = match surroundings.kernel {
            None => guest,
            Some(_) if confidential.is_some() => return Err(MachineError::WithEvidence("other kernel")),
            Some(kernel) => {
                let is_it = |guest: &&Guest| guest.kernel_digest.blake3 == kernel;
                other.as_ref().filter(is_it).ok_or(MachineError::NoKernel(kernel))?
            }
        };
        let formatter = match surroundings.file_system {
            None => None,
            Some(_) if confidential.is_some() => return Err(MachineError::WithEvidence("other file system")),
            Some(kind) => {
                let is_it = |formatter: &&Formatter| formatter.kind == kind && guest.for_disks.contains(&kind);
                let formatter = formatter.as_ref().filter(is_it);
                Some(formatter.ok_or(MachineError::NoFileSystem(kind.name()))?)
            }
        };
        if surroundings.old_processor && (!guest.has_models() || confidential.is_some()) {
            return Err(MachineError::Model);
        }
        Ok((guest, formatter))
    }
}

/// What the guest of one build had its processor say, and how it was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineEvidence {
    /// How the machine was started.
    pub started: Started,
    /// What the processor said.
    pub said: GuestEvidence,
}

/// The files of one machine, which have no names: whatever happens, nothing stays of them.
#[derive(Debug)]
struct JobFiles {
    job: File,
    digest: Digest,
    report: File,
    /// What the build writes to, where that is a disk.
    scratch: Option<File>,
}

/// How long a machine may take for everything but its start and the build's own time: to check its disks, to keep and
/// hash the outputs, and to write its report.
const BESIDE_THE_BUILD: Duration = Duration::from_secs(900);

/// The memory of a machine beside what its build may take, in MiB: the kernel's own, and the guest's program.
const BESIDE_MIB: u64 = 256;

impl JobFiles {
    /// Writes the job's disk, and makes one for a report of at most `report_bytes`, in the store's temporary folder; and one
    /// to build on, of so many MiB, where something makes its file system.
    ///
    /// # Errors
    /// See [`MachineError`].
    fn new(
        job: &Job,
        store: &Store,
        report_bytes: u64,
        scratch: Option<(Formatter, u32)>,
    ) -> Result<(Self, u64), MachineError> {
        let folder = store.root().join("tmp");
        let disk = || tempfile::tempfile_in(&folder).map_err(io_error("making the machine's disks"));
        let (mut file, report) = (disk()?, disk()?);
        let (digest, size) = job.write(store, &mut file)?;
        report.set_len(report_bytes.next_multiple_of(BLOCK as u64)).map_err(io_error("making the machine's disks"))?;
        let scratch = scratch.map(|(formatter, disk_mib)| formatter.disk(&folder, disk_mib)).transpose()?;
        Ok((Self { job: file, digest, report, scratch }, size))
    }
}

/// Has `guest` say that it is there, by starting it: the only way to know that an engine works.
///
/// # Errors
/// See [`MachineError`].
pub async fn hello(program: &Path, guest: &Guest, clock: u64, store: &Store) -> Result<(), MachineError> {
    let (mut files, _) = JobFiles::new(&Job::hello(clock), store, 1 << 20, None)?;
    let times = Times { start: guest.start_within(false), run: Duration::from_secs(60) };
    let size = Size { memory_mib: BESIDE_MIB, processors: 1, is_old: false };
    let report = run(program, guest, None, &mut files, size, times, None).await?.0;
    match report.end {
        ReportedEnd::Hello => Ok(()),
        ReportedEnd::Failed { fault, text } => Err(MachineError::Inside { fault, text }),
        ReportedEnd::Built(_) => Err(MachineError::OtherBuild("kind")),
    }
}

/// Builds, and gives the record, with what the host says of the machine; all that the record names is in the store afterwards,
/// also its log.
pub(crate) async fn build(
    sandbox: &Sandbox,
    machine: &Machine,
    store: &Store,
    request: &BuildRequest<'_>,
    env: &BTreeMap<String, String>,
) -> Result<(BuildRecord, Option<MachineEvidence>), MachineError> {
    let Machine { usr, confidential, .. } = machine;
    let demanded = sandbox.demanded();
    let BuildRequest { lock, conditions, .. } = *request;
    let clock = match conditions.clock {
        Clock::SetTo(seconds) => seconds,
        Clock::Host | Clock::Fixed(_) => u64::try_from(request.started.as_second()).unwrap_or(0),
        Clock::MovedTo(_) => return Err(MachineError::MovedClock),
    };
    let (guest, formatter) = machine.chosen(&conditions.surroundings)?;
    let most = guest.most_processors();
    if conditions.processors > most {
        return Err(MachineError::Processors { wanted: conditions.processors, most });
    }
    let job = wanted(request, demanded, (guest, confidential.as_ref()), store)?;
    let limits = lock.recipe.limits;
    let (on, report_bytes) = (store.clone(), report_bytes(&limits));
    // On threads of their own, so that this future can be dropped at any time.
    let scratch = formatter.cloned().map(|formatter| (formatter, limits.disk_mib));
    let prepare = move || JobFiles::new(&Job::build(clock, job, &on)?, &on, report_bytes, scratch);
    let prepared = tokio::task::spawn_blocking(prepare).await;
    let (mut files, job_bytes) = prepared.map_err(|e| io_error("writing the job's disk")(e.into()))??;
    let is_closed = confidential.as_ref().is_some_and(Confidential::is_closed);
    let (processors, is_old) = (conditions.processors, conditions.surroundings.old_processor);
    let size = Size { memory_mib: memory_mib(&limits, job_bytes, is_closed), processors, is_old };
    let run_time = Duration::from_secs(limits.seconds.into()) + BESIDE_THE_BUILD;
    let times = Times { start: guest.start_within(is_closed), run: run_time };
    let confidential = confidential.as_ref();
    let ran = run(sandbox.helper(), guest, Some(usr), &mut files, size, times, confidential);
    let (report, started) = ran.await?;
    let named = reprove_model::Machine {
        engine: guest.engine,
        kernel: guest.kernel_digest,
        initrd: guest.initrd_digest,
        usr: usr.verity.to_string(),
        job: files.digest,
    };
    let mut record = built(&report, &named, confidential)?;
    check(&record, request, env)?;
    if record.enforced.level() < Some(demanded) {
        return Err(MachineError::OtherBuild("strength of its walls"));
    }
    let (on, mut disk, evidence) = (store.clone(), files.report, report.evidence.clone());
    let taken = tokio::task::spawn_blocking(move || report.take_blobs(&mut disk, &on)).await;
    let taken = taken.map_err(|e| io_error("keeping the outputs")(e.into()))?;
    taken.map_err(|error| MachineError::Report { error, said: String::new() })?;
    store.save_tree(&record.outputs).map_err(super::JobError::Store)?;
    record.isolation = confidential.map_or(Isolation::Vm, |confidential| confidential.isolation);
    record.machine = Some(named);
    let evidence = match (started, evidence) {
        (Some(started), Some(said)) => Some(MachineEvidence { started, said }),
        (Some(_), None) if record.exit == Exit::Success => return Err(MachineError::NoEvidence),
        _ => None,
    };
    Ok((record, evidence))
}

/// What a guest is asked to build.
fn wanted(
    request: &BuildRequest<'_>,
    demanded: IsolationLevel,
    (guest, confidential): (&Guest, Option<&Confidential>),
    store: &Store,
) -> Result<JobBuild, MachineError> {
    let BuildRequest { lock, conditions, .. } = *request;
    Ok(JobBuild {
        lock: lock.clone(),
        conditions: conditions.clone(),
        epoch: request.epoch,
        started: request.started,
        watched: request.watched,
        demanded,
        confidential: confidential.map(|confidential| JobEvidence {
            isolation: confidential.isolation,
            nonce: confidential.nonce,
            engine: guest.engine,
            kernel: guest.kernel_digest,
            initrd: guest.initrd_digest,
        }),
        root: JobRoot::of(request.root, store)?,
        source: request.source.tree_of(lock, store).map_err(super::JobError::Store)?,
    })
}

/// The record that a guest gives, as the runner inside wrote it: what is said of the machine is told apart.
fn built(
    report: &Report,
    named: &reprove_model::Machine,
    confidential: Option<&Confidential>,
) -> Result<BuildRecord, MachineError> {
    let mut record = match &report.end {
        ReportedEnd::Built(record) => (**record).clone(),
        ReportedEnd::Failed { fault, text } => {
            return Err(MachineError::Inside { fault: *fault, text: text.clone() });
        }
        ReportedEnd::Hello => return Err(MachineError::OtherBuild("kind")),
    };
    if let Some(confidential) = confidential {
        // Its guest has said so itself, and had that bound by its processor.
        let is_so = record.isolation == confidential.isolation && record.machine.as_ref() == Some(named);
        if !is_so {
            return Err(MachineError::OtherBuild("machine"));
        }
        (record.isolation, record.machine) = (Isolation::Namespaces, None);
    }
    Ok(record)
}

/// The record is from outside: it has to be of what was asked for.
fn check(record: &BuildRecord, request: &BuildRequest<'_>, env: &BTreeMap<String, String>) -> Result<(), MachineError> {
    use reprove_model::{DigestSet, canonical};
    let BuildRequest { lock, root, conditions, started, .. } = *request;
    let lock_digest = canonical::to_vec(lock).map(|bytes| DigestSet::of(&bytes)).map_err(super::JobError::Head)?;
    let same = [
        ("lock", record.lock == lock_digest),
        ("list of inputs", record.inputs == lock.inputs),
        ("environment", record.environment == root.locked),
        ("list of commands", record.commands == lock.recipe.commands()),
        ("list of environment variables", record.env == *env),
        ("limits", record.limits == lock.recipe.limits),
        ("conditions", record.conditions == *conditions),
        ("time", record.started == started),
        ("isolation", record.isolation == Isolation::Namespaces && record.machine.is_none()),
        ("number of output files", record.outputs.files().count() <= crate::MAX_OUTPUT_FILES),
        ("log", record.log.size <= u64::from(lock.recipe.limits.log_mib) << 20),
        ("observation", record.observed.is_possible()),
    ];
    match same.into_iter().find(|(_, is_same)| !is_same) {
        Some((what, _)) => Err(MachineError::OtherBuild(what)),
        None => Ok(()),
    }
}

/// Runs a machine to its end, and reads its report.
async fn run(
    program: &Path,
    guest: &Guest,
    usr: Option<&UsrImage>,
    files: &mut JobFiles,
    size: Size,
    times: Times,
    confidential: Option<&Confidential>,
) -> Result<(Report, Option<Started>), MachineError> {
    let speaking = confidential.map(Speaking::of).transpose()?;
    let parts = Parts {
        job: (&files.job, files.digest),
        usr: usr.map(|usr| (&*usr.file, usr.verity)),
        report: &files.report,
        scratch: files.scratch.as_ref(),
        size,
        voice: speaking.as_ref().map(|(speaking, _)| speaking.voice()),
    };
    let started = speaking.as_ref().map(|(_, firmware)| started(guest, &parts, firmware)).transpose()?;
    let mut running = Running::start(program, &launch(guest, &parts)?)?;
    let waited = running.wait(times);
    let said = match (speaking, &started) {
        (Some((Speaking::Line(port, _, processor), _)), Some(started)) => {
            let mut waited = std::pin::pin!(waited);
            tokio::select! {
                said = &mut waited => said,
                () = port.serve(processor, started) => waited.await,
            }
        }
        _ => waited.await,
    }?;
    drop(running);
    files.report.rewind().map_err(io_error("reading the guest's disk"))?;
    let report = Report::read(&mut files.report).map_err(|error| MachineError::Report { error, said })?;
    Ok((report, started))
}

/// What speaks for one machine, from its start to its end.
enum Speaking<'a> {
    Line(Port, PathBuf, &'a dyn SecureProcessor),
    Closed(&'a Closed),
}

impl<'a> Speaking<'a> {
    /// It, and the bytes of the firmware that is measured.
    fn of(confidential: &'a Confidential) -> Result<(Self, Arc<[u8]>), MachineError> {
        match &confidential.speaker {
            Speaker::Emulated(processor) => {
                let (path, bytes) = firmware(confidential.isolation)?;
                Ok((Self::Line(Port::new()?, path, &**processor), bytes))
            }
            Speaker::Hardware(closed) => {
                let bytes = File::open(&closed.firmware).and_then(bytes_of_file);
                Ok((Self::Closed(closed), bytes.map_err(io_error("reading the machine's firmware"))?))
            }
        }
    }

    fn voice(&self) -> Voice<'_> {
        match self {
            Self::Line(port, firmware, _) => Voice::Line(port, firmware.clone()),
            Self::Closed(closed) => Voice::Closed(closed),
        }
    }
}

/// What a processor would measure of a machine that is about to be started from these files, which are read again.
fn started(guest: &Guest, parts: &Parts<'_>, firmware: &Arc<[u8]>) -> Result<Started, MachineError> {
    let fail = io_error("measuring what the machine is started from");
    let measure = || -> io::Result<_> {
        let initrd = File::open(format!("/proc/self/fd/{}", guest.initrd.as_raw_fd()))?;
        let mut run = [0; 32];
        getrandom::fill(&mut run).map_err(io::Error::other)?;
        Ok((bytes_of_file(File::open(&guest.kernel)?)?, bytes_of_file(initrd)?, run))
    };
    let (kernel, initrd, run) = measure().map_err(fail)?;
    let (command_line, processors) = (parts.command_line(), parts.size.processors.max(1));
    let (firmware, job, memory_mib) = (Arc::clone(firmware), parts.job.1, parts.size.memory_mib);
    Ok(Started { firmware, kernel, initrd, command_line, job, memory_mib, processors, run })
}

/// The largest report: the outputs, the log, a listing and the head.
fn report_bytes(limits: &Limits) -> u64 {
    let head_and_listing = 2 * reprove_model::canonical::MAX_DOCUMENT as u64 + BLOCK as u64;
    (u64::from(limits.disk_mib) + u64::from(limits.log_mib)).saturating_mul(1 << 20) + head_and_listing
}

/// The memory of a machine: what the build may take, what it leaves in the guest's store, the job twice (as it is read, and
/// in that store), and what the guest itself takes. An engine takes of the host what the machine touches of it.
fn memory_mib(limits: &Limits, job_bytes: u64, is_closed: bool) -> u64 {
    let kept = limits.disk_mib.min(limits.memory_mib) + limits.log_mib;
    let memory = u64::from(limits.memory_mib) + u64::from(kept) + 2 * job_bytes.div_ceil(1 << 20) + BESIDE_MIB;
    memory + if is_closed { shared_mib(memory) } else { 0 }
}

impl SourceFiles {
    /// The source's tree, where the lock has it as one.
    fn tree_of(&self, lock: &Lock, store: &Store) -> Result<Option<reprove_model::Tree>, reprove_store::StoreError> {
        let source = lock.inputs.iter().find(|input| input.role == Role::Source);
        match source.map(|source| &source.content) {
            Some(reprove_model::Content::Tree { digest }) => store.load_tree(&digest.blake3).map(Some),
            _ => Ok(None),
        }
    }
}

/// For a log's file: what the record names, out of the store.
pub(crate) fn write_log(record: &BuildRecord, store: &Store, to: &Path) -> io::Result<()> {
    let mut log = store.open_blob(&record.log.digest.blake3).map_err(io::Error::other)?;
    io::copy(&mut log, &mut File::create(to)?).map(drop)
}

#[cfg(test)]
mod tests {
    use reprove_model::{DigestSet, Engine, FileSystem, Sha256};

    use super::super::Protection;
    use super::*;

    fn guest(kernel: &[u8]) -> Guest {
        let (program, path, initrd) = ("/qemu".into(), "/kernel".into(), Arc::new(tempfile::tempfile().unwrap()));
        let (kernel_digest, initrd_digest) = (DigestSet::of(kernel), DigestSet::of(b"initrd"));
        let for_disks = vec![FileSystem::Ext4];
        Guest { engine: Engine::QemuTcg, program, kernel: path, kernel_digest, initrd, initrd_digest, for_disks }
    }

    #[test]
    fn a_kernel_or_a_file_system_that_no_machine_has_is_refused() {
        let usr = UsrImage {
            file: Arc::new(tempfile::tempfile().unwrap()),
            verity: format!("7:{}", "0a".repeat(32)).parse().unwrap(),
        };
        let formatter = Some(Formatter { kind: FileSystem::Ext4, program: "/mkfs".into() });
        let machine =
            Machine { guest: guest(b"usual"), other: Some(guest(b"other")), formatter, usr, confidential: None };
        let usual = Surroundings::default();
        let of = |kernel: &[u8]| Surroundings { kernel: Some(Digest::of(kernel)), ..Surroundings::default() };
        let on = |kind| Surroundings { file_system: Some(kind), ..Surroundings::default() };
        let kernel = |machine: &Machine, surroundings: &Surroundings| {
            machine.chosen(surroundings).map(|(guest, formatter)| (guest.kernel_digest.blake3, formatter.is_some()))
        };
        assert_eq!(kernel(&machine, &usual).unwrap(), (Digest::of(b"usual"), false));
        assert_eq!(kernel(&machine, &of(b"other")).unwrap(), (Digest::of(b"other"), false));
        assert_eq!(kernel(&machine, &on(FileSystem::Ext4)).unwrap(), (Digest::of(b"usual"), true));
        assert!(matches!(kernel(&machine, &of(b"third")), Err(MachineError::NoKernel(d)) if d == Digest::of(b"third")));
        for kind in [FileSystem::Xfs, FileSystem::Overlay] {
            let error = kernel(&machine, &on(kind));
            assert!(matches!(error, Err(MachineError::NoFileSystem(name)) if name == kind.name()));
        }
        let (without, mut no_kind) = (Machine { other: None, formatter: None, ..machine.clone() }, machine.clone());
        assert!(matches!(kernel(&without, &of(b"other")), Err(MachineError::NoKernel(_))));
        assert!(matches!(kernel(&without, &on(FileSystem::Ext4)), Err(MachineError::NoFileSystem(_))));
        no_kind.guest.for_disks.clear();
        assert!(matches!(kernel(&no_kind, &on(FileSystem::Ext4)), Err(MachineError::NoFileSystem(_))));
        let closed = Closed { protection: Protection::Tdx, firmware: "/firmware".into() };
        let speaker = Speaker::Hardware(closed);
        let confidential = Some(Confidential { isolation: Isolation::Tdx, nonce: Sha256::of(b""), speaker });
        let confidential = Machine { confidential, ..machine };
        assert!(kernel(&confidential, &usual).is_ok());
        for other in [of(b"other"), on(FileSystem::Ext4)] {
            assert!(matches!(kernel(&confidential, &other), Err(MachineError::WithEvidence(_))));
        }
    }
}
