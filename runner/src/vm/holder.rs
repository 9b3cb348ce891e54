// SPDX-License-Identifier: Apache-2.0
//! The process that holds a machine: it starts the engine in process, mount, network and IPC namespaces of its own, and
//! everything in there ends with it, as it ends with the runner.
//!
//! An engine may leave processes and files behind when it is killed: User-mode Linux has a process for each address space of
//! the guest, and keeps the guest's memory in a file. Its process namespace ends the first; the second is in a file system
//! of the mount namespace, which nobody else sees.

use std::fs::{self, File};
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getegid, geteuid, getppid};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use serde::{Deserialize, Serialize};

use crate::sys::{Fork, fork_into};

/// What to start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// The engine has them as descriptors, from [`FIRST_FILE`] on, and finds them at [`file`].
    pub(super) files: Vec<Opened>,
    /// Names in [`SCRATCH`] for some of these files: for an engine that makes names of its own out of one.
    pub(super) names: Vec<(String, usize)>,
}

/// A file for the engine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) writable: bool,
}

/// The first descriptor of the engine's files.
const FIRST_FILE: usize = 20;

/// Where the engine finds the file with this number.
pub(super) fn file(number: usize) -> String {
    format!("/proc/self/fd/{}", FIRST_FILE + number)
}

/// The directory in memory that the engine has for itself.
pub(super) const SCRATCH: &str = "/dev/shm";

/// The holder's whole life. Call it, and exit with what it gives, before anything else where the program's first argument
/// is [`crate::MACHINE_ARGUMENT`].
///
/// Standard input is a pipe with the runner's process id and what to start; standard output is the machine's console.
#[must_use]
pub fn machine_main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stdout(), "reprove-machine: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// What the holder ends with where the engine was not started.
pub(super) const FAILED: u8 = 250;

fn run() -> io::Result<ExitCode> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let mut json = Vec::new();
    io::stdin().read_to_end(&mut json)?;
    let (runner, launch): (i32, Launch) = serde_json::from_slice(&json)?;
    // It may have ended before this process asked to end with it, with all of this in the pipe.
    if getppid() != Pid::from_raw(runner) {
        return Err(io::Error::other("the runner is gone"));
    }
    let files: Vec<OwnedFd> = launch.files.iter().enumerate().map(open).collect::<io::Result<_>>()?;
    let (mut wait, mut go) = io::pipe()?;
    let own = [CloneFlags::CLONE_NEWPID, CloneFlags::CLONE_NEWNS, CloneFlags::CLONE_NEWNET, CloneFlags::CLONE_NEWIPC];
    let mut flags: CloneFlags = own.into_iter().collect();
    if !geteuid().is_root() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    match fork_into(flags, None)? {
        Fork::Child => {
            drop(go);
            tie_to_holder(&mut wait)?;
            inside(&launch, &files)
        }
        Fork::Parent(first) => {
            drop(wait);
            if flags.contains(CloneFlags::CLONE_NEWUSER) {
                map_to_itself(first)?;
            }
            go.write_all(b"!")?;
            match waitpid(first, None)? {
                WaitStatus::Exited(_, code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(FAILED))),
                _ => Ok(ExitCode::from(FAILED)),
            }
        }
    }
}

/// Waits for the holder's word, and has the kernel kill this process when the holder, which keeps the other end of the pipe,
/// is gone. A parent in another process namespace has no id by which it could be known.
fn tie_to_holder(pipe: &mut PipeReader) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // Where the holder is gone already, there may be no word, or no more than that.
    pipe.read_exact(&mut [0])?;
    rustix::io::ioctl_fionbio(&*pipe, true)?;
    match pipe.read(&mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("the holder is gone")),
    }
}

/// Opens a file at its number. Nothing else of this process has one as high.
fn open((number, opened): (usize, &Opened)) -> io::Result<OwnedFd> {
    let told = |source| io::Error::other(format!("{}: {source}", opened.path.display()));
    let file = File::options().read(true).write(opened.writable).open(&opened.path).map_err(told)?;
    let wanted = i32::try_from(FIRST_FILE + number).map_err(io::Error::other)?;
    let file = fcntl_dupfd_cloexec(&file, wanted)?;
    if file.as_raw_fd() == wanted { Ok(file) } else { Err(io::Error::other("a descriptor is taken")) }
}

fn map_to_itself(first: Pid) -> io::Result<()> {
    let write = |file: &str, text: String| fs::write(format!("/proc/{first}/{file}"), text);
    write("setgroups", "deny".into())?;
    write("gid_map", format!("{0} {0} 1", getegid()))?;
    write("uid_map", format!("{0} {0} 1", geteuid()))
}

/// The first process of the namespaces: starts the engine, and ends with it.
fn inside(launch: &Launch, files: &[OwnedFd]) -> io::Result<ExitCode> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    // Without a limit of its own: the engine's is the memory that the machine is given.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), Path::new(SCRATCH), Some("tmpfs"), flags, Some("size=0,mode=0700"))?;
    prctl::set_no_new_privs()?;
    for (name, number) in &launch.names {
        std::os::unix::fs::symlink(file(*number), Path::new(SCRATCH).join(name))?;
    }
    for file in files {
        fcntl_setfd(file, FdFlags::empty())?;
    }
    let status = Command::new(&launch.program)
        .args(&launch.arguments)
        .env_clear()
        .envs([("HOME", SCRATCH), ("TMPDIR", SCRATCH), ("PATH", "/usr/bin:/bin")])
        .current_dir(SCRATCH)
        .stdin(Stdio::null())
        .stdout(io::stdout().as_fd().try_clone_to_owned()?)
        .stderr(io::stdout().as_fd().try_clone_to_owned()?)
        .status()
        .map_err(|e| io::Error::other(format!("{}: {e}", launch.program.display())))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED)))
}
