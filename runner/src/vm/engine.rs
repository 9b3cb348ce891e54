// SPDX-License-Identifier: Apache-2.0
//! The engines: what each is started with.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reprove_images::guest::Verity;
use reprove_model::{Digest, DigestSet, Engine, FileSystem, HashBoth, Machine};
use rustix::fs::{MemfdFlags, memfd_create};

use super::MachineError;
use super::hardware::{Closed, ClosedMachine};
use super::holder::{Launch, Opened, SCRATCH, file};
use super::processor::Port;

/// A kernel, its first file system, and what runs them.
#[derive(Clone, Debug)]
pub struct Guest {
    /// What runs them.
    pub engine: Engine,
    /// The engine's program; of User-mode Linux, the kernel itself.
    pub program: PathBuf,
    /// The kernel's file.
    pub kernel: PathBuf,
    /// Of the kernel's bytes.
    pub kernel_digest: DigestSet,
    /// The first file system, in memory.
    pub initrd: Arc<File>,
    /// Of its bytes.
    pub initrd_digest: DigestSet,
    /// Which file systems the kernel can have on a disk.
    pub for_disks: Vec<FileSystem>,
}

impl Guest {
    /// A guest of this kernel and first file system, without file systems for disks; the kernel is read once.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(engine: Engine, program: PathBuf, kernel: PathBuf, initrd: &[u8]) -> io::Result<Self> {
        let mut both = HashBoth::default();
        io::copy(&mut File::open(&kernel)?, &mut both)?;
        let (kernel_digest, _) = both.finish();
        let mut file = File::from(memfd_create("reprove-initrd", MemfdFlags::CLOEXEC)?);
        file.write_all(initrd)?;
        let initrd_digest = DigestSet::of(initrd);
        let (initrd, for_disks) = (Arc::new(file), Vec::new());
        Ok(Self { engine, program, kernel, kernel_digest, initrd, initrd_digest, for_disks })
    }

    /// Whether its processor can be one of another model.
    #[must_use]
    pub fn has_models(&self) -> bool {
        self.engine != Engine::UserModeLinux
    }

    /// The most processors that a guest can have.
    #[must_use]
    pub fn most_processors(&self) -> u32 {
        match self.engine {
            Engine::UserModeLinux => 1,
            Engine::QemuKvm | Engine::QemuTcg => 64,
        }
    }

    /// How long it may take until the guest's program runs. Where a processor closes the machine, it takes in all of its
    /// memory first.
    pub(super) fn start_within(&self, is_closed: bool) -> Duration {
        Duration::from_secs(match self.engine {
            Engine::QemuKvm if is_closed => 180,
            Engine::UserModeLinux => 60,
            Engine::QemuKvm => 20,
            Engine::QemuTcg => 240,
        })
    }
}

/// The disks and the size of one machine.
pub(super) struct Parts<'a> {
    pub(super) job: (&'a File, Digest),
    pub(super) usr: Option<(&'a File, Verity)>,
    pub(super) report: &'a File,
    /// What the build writes to, where that is a disk.
    pub(super) scratch: Option<&'a File>,
    pub(super) size: Size,
    /// What speaks for it, where something does.
    pub(super) voice: Option<Voice<'a>>,
}

/// What one machine has.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) memory_mib: u64,
    pub(super) processors: u32,
    /// Whether these can do no more than x86-64-v2.
    pub(super) is_old: bool,
}

/// What processors can do that are x86-64-v2, and no more; and random numbers, without which a guest waits for them for ever.
const OLD: &str = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+rdrand";

/// What speaks for a machine.
pub(super) enum Voice<'a> {
    /// The line of its EMULATED processor, and the firmware that is measured.
    Line(&'a Port, PathBuf),
    /// The processor that closes it.
    Closed(&'a Closed),
}

/// What QEMU calls the line of a secure processor.
const PROCESSOR: &str = "processor";

/// What is started for a machine of these parts.
pub(super) fn launch(guest: &Guest, parts: &Parts<'_>) -> Result<Launch, MachineError> {
    // Without a `/usr` there is the job's disk once more, so that each disk keeps its place.
    let usr = parts.usr.map_or(parts.job.0, |(file, _)| file);
    let path = |file: &File| PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    let opened = |file: &File, writable| Opened { path: path(file), writable };
    let mut files =
        vec![opened(&guest.initrd, false), opened(parts.job.0, false), opened(usr, false), opened(parts.report, true)];
    if guest.engine != Engine::UserModeLinux {
        files.push(Opened { path: guest.kernel.clone(), writable: false });
    }
    let scratch = parts.scratch.map(|file| (files.len(), files.push(opened(file, true))).0);
    match &parts.voice {
        _ if scratch.is_some() && parts.voice.is_some() => return Err(MachineError::WithEvidence("disk to build on")),
        Some(Voice::Line(port, firmware)) => {
            files.extend(port.opened());
            files.push(Opened { path: firmware.clone(), writable: false });
        }
        Some(Voice::Closed(closed)) => files.push(Opened { path: closed.firmware.clone(), writable: false }),
        None => {}
    }
    let arguments = match (guest.engine, &parts.voice) {
        (Engine::UserModeLinux, Some(Voice::Line(..))) => return Err(MachineError::NoProcessor(guest.engine.name())),
        (Engine::QemuKvm, Some(Voice::Closed(closed))) => closed_machine(closed, parts).arguments(),
        (engine, Some(Voice::Closed(_))) => return Err(MachineError::NotClosed(engine.name())),
        (Engine::UserModeLinux, None) => user_mode(parts, scratch),
        (engine @ (Engine::QemuKvm | Engine::QemuTcg), _) => qemu(engine, parts, scratch),
    };
    // What the guest asks comes out of the engine, and what it is answered goes in.
    let names = [(format!("{PROCESSOR}.out"), 5), (format!("{PROCESSOR}.in"), 6)];
    let names = if matches!(parts.voice, Some(Voice::Line(..))) { names.into() } else { Vec::new() };
    Ok(Launch { program: guest.program.clone(), arguments, files, names })
}

/// A machine of the same files, which a processor closes.
fn closed_machine(closed: &Closed, parts: &Parts<'_>) -> ClosedMachine {
    ClosedMachine {
        protection: closed.protection,
        firmware: file(5),
        kernel: file(4),
        initrd: file(0),
        command_line: parts.command_line(),
        disks: [1, 2, 3].map(file),
        job: parts.job.1,
        memory_mib: parts.size.memory_mib,
        processors: parts.size.processors.max(1),
    }
}

impl Parts<'_> {
    /// What the kernel is told in a machine of QEMU's: see [`Machine::command_line`].
    pub(super) fn command_line(&self) -> String {
        let usr = self.usr.map(|(_, verity)| format!(" reprove.usr={verity}")).unwrap_or_default();
        format!("{} reprove.job={}{usr}", Machine::TOLD, self.job.1)
    }
}

fn user_mode(parts: &Parts<'_>, scratch: Option<usize>) -> Vec<String> {
    let mut arguments = vec![
        format!("mem={}M", parts.size.memory_mib),
        format!("uml_dir={SCRATCH}/"),
        "con=null".into(),
        "con0=null,fd:1".into(),
        "ssl=null".into(),
        format!("initrd={}", file(0)),
        format!("ubd0r={}", file(1)),
        format!("ubd1r={}", file(2)),
        format!("ubd2={}", file(3)),
    ];
    arguments.extend(scratch.map(|number| format!("ubd3={}", file(number))));
    // It has a console of its own.
    let told = parts.command_line();
    arguments.extend(told.split(' ').filter(|word| !word.starts_with("console=")).map(str::to_owned));
    arguments
}

/// No device but what is named; a console that can only be written to.
fn qemu(engine: Engine, parts: &Parts<'_>, scratch: Option<usize>) -> Vec<String> {
    let accelerator = if engine == Engine::QemuKvm { ("kvm", "host,arch-capabilities=off") } else { ("tcg", "max") };
    let mut arguments: Vec<String> = [
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-chardev",
        "stdio,id=console,signal=off",
        "-serial",
        "chardev:console",
        "-monitor",
        "none",
        "-nic",
        "none",
    ]
    .map(str::to_owned)
    .into();
    let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    add("-machine", "q35".into());
    add("-accel", accelerator.0.into());
    add("-cpu", if parts.size.is_old { OLD } else { accelerator.1 }.into());
    add("-smp", parts.size.processors.max(1).to_string());
    add("-m", format!("{}M", parts.size.memory_mib));
    add("-kernel", file(4));
    add("-initrd", file(0));
    // Nothing that is on the disk to build on has to last.
    let kept = "read-only=off,file.locking=off";
    let disks = [(1, "read-only=on,file.locking=off"), (2, "read-only=on,file.locking=off"), (3, kept)];
    let scratch = scratch.map(|number| (number, "read-only=off,file.locking=off,cache.no-flush=on"));
    for (number, how) in disks.into_iter().chain(scratch) {
        add("-drive", format!("file={},format=raw,if=none,id=d{number},{how}", file(number)));
        add("-device", format!("virtio-blk-pci,drive=d{number}"));
    }
    if parts.voice.is_some() {
        add("-chardev", format!("pipe,id=processor,path={SCRATCH}/{PROCESSOR}"));
        add("-serial", "chardev:processor".into());
        add("-bios", file(7));
    }
    add("-append", parts.command_line());
    arguments
}

#[cfg(test)]
mod tests {
    use super::super::hardware::Protection;
    use super::*;

    /// What is started for a machine that is closed like this, and the digest of its job.
    fn launched(engine: Engine, protection: Protection) -> (Result<Launch, MachineError>, Digest) {
        let disk = || tempfile::tempfile().unwrap();
        let (job, usr, report, initrd) = (disk(), disk(), disk(), disk());
        let (kernel_digest, initrd_digest) = (DigestSet::of(b"kernel"), DigestSet::of(b"initrd"));
        let (program, kernel) = ("/qemu".into(), "/a,kernel".into());
        let (initrd, for_disks) = (Arc::new(initrd), Vec::new());
        let guest = Guest { engine, program, kernel, kernel_digest, initrd, initrd_digest, for_disks };
        let verity = format!("7:{}", "0a".repeat(32)).parse().unwrap();
        let closed = Closed { protection, firmware: "/a,firmware".into() };
        let digest = Digest::of(b"job");
        let parts = Parts {
            job: (&job, digest),
            usr: Some((&usr, verity)),
            report: &report,
            scratch: None,
            size: Size { memory_mib: 2048, processors: 2, is_old: false },
            voice: Some(Voice::Closed(&closed)),
        };
        (launch(&guest, &parts), digest)
    }

    /// The engine has each file as a descriptor: its path, whatever is in that, is in no argument.
    #[test]
    fn a_closed_machine_is_started_from_the_same_files_as_any_other() {
        let genoa = Protection::SevSnp { c_bit: 51, reduced_bits: 1, processor: "EPYC-Genoa" };
        for protection in [genoa, Protection::Tdx] {
            let (launch, job) = launched(Engine::QemuKvm, protection);
            let launch = launch.unwrap();
            let usr = format!("7:{}", "0a".repeat(32));
            let expected = ClosedMachine {
                protection,
                firmware: "/proc/self/fd/25".into(),
                kernel: "/proc/self/fd/24".into(),
                initrd: "/proc/self/fd/20".into(),
                command_line: format!("{} reprove.job={job} reprove.usr={usr}", Machine::TOLD),
                disks: ["/proc/self/fd/21", "/proc/self/fd/22", "/proc/self/fd/23"].map(str::to_owned),
                job,
                memory_mib: 2048,
                processors: 2,
            };
            assert_eq!((&launch.arguments, launch.names.len()), (&expected.arguments(), 0));
            assert!(launch.arguments.iter().all(|argument| !argument.contains("/a,")));
            assert_eq!(launch.program, PathBuf::from("/qemu"));
            let writable: Vec<bool> = launch.files.iter().map(|file| file.writable).collect();
            assert_eq!(writable, [false, false, false, true, false, false]);
            let last: Vec<PathBuf> = launch.files.iter().skip(4).map(|file| file.path.clone()).collect();
            assert_eq!(last, [PathBuf::from("/a,kernel"), "/a,firmware".into()]);
        }
    }

    #[test]
    fn only_kvm_runs_a_closed_machine() {
        for engine in [Engine::UserModeLinux, Engine::QemuTcg] {
            let (launch, _) = launched(engine, Protection::Tdx);
            assert!(matches!(launch, Err(MachineError::NotClosed(name)) if name == engine.name()));
        }
    }
}
