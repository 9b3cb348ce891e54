// SPDX-License-Identifier: Apache-2.0
//! The helper: a process with one thread that forks into the namespaces and waits.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, PipeWriter, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, sendmsg};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, geteuid, getppid, setgroups, setsid};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use super::ids::OutsideIds;
use super::init;
use super::protocol::{INSIDE_ID, MAX_REPORT, Report, Spec};
use crate::determine::{Fixed, Settings};
use crate::sys::{Fork, fork_into, leave_session_keyring};
use crate::trace::{Channel, Plan};

/// The helper's whole life. Call it, and exit with what it gives, before anything else where the program's first argument
/// is [`crate::HELPER_ARGUMENT`].
///
/// Standard input is the specification, standard output the control socket, standard error the build's log.
#[must_use]
pub fn helper_main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::FAILURE
        }
    }
}

/// What could not be done, and why.
pub(super) struct Failure {
    doing: String,
    source: io::Error,
}

impl Failure {
    /// For `map_err`: what was being done.
    pub(super) fn at<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self { doing, source: source.into() }
    }

    /// Whether something was not there.
    pub(super) fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Tells the runner. Where even that fails, the runner sees the socket closed.
    pub(super) fn report(self) {
        let errno = self.source.raw_os_error().unwrap_or(0);
        let why: String = self.source.to_string().chars().take(2000).collect();
        let doing = self.doing.chars().take(2000).collect();
        let _ = send(&Report::Failed { doing, errno, why }, None);
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.source)
    }
}

/// Sends a report, with a descriptor where there is one.
pub(super) fn send(report: &Report, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let bytes = serde_json::to_vec(report)?;
    if bytes.len() > MAX_REPORT {
        return Err(io::Error::other("the report is too long"));
    }
    let descriptors: Vec<_> = descriptor.iter().map(|fd| fd.as_raw_fd()).collect();
    let messages = [ControlMessage::ScmRights(&descriptors)];
    let messages = if descriptors.is_empty() { &messages[..0] } else { &messages[..] };
    let socket = io::stdout();
    sendmsg::<()>(socket.as_fd().as_raw_fd(), &[io::IoSlice::new(&bytes)], messages, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// The namespaces that the first process is forked into, by their places in [`Enforced::NAMESPACES`]. It enters the time
/// namespace by itself, since its clocks have to be set before.
///
/// [`Enforced::NAMESPACES`]: reprove_model::Enforced::NAMESPACES
const NAMESPACES: [CloneFlags; 7] = [
    CloneFlags::CLONE_NEWCGROUP,
    CloneFlags::CLONE_NEWIPC,
    CloneFlags::CLONE_NEWNS,
    CloneFlags::CLONE_NEWNET,
    CloneFlags::CLONE_NEWPID,
    CloneFlags::CLONE_NEWUSER,
    CloneFlags::CLONE_NEWUTS,
];

fn run() -> Result<(), Failure> {
    let runner = getppid();
    die_with(runner)?;
    // Not before the runner has written the specification.
    recv(io::stdout().as_fd().as_raw_fd(), &mut [0], MsgFlags::empty())
        .map_err(Failure::at("waiting for the runner"))?;
    let mut json = Vec::new();
    io::stdin().read_to_end(&mut json).map_err(Failure::at("reading the specification"))?;
    let spec: Spec = serde_json::from_slice(&json).map_err(Failure::at("reading the specification"))?;
    setsid().map_err(Failure::at("starting a session"))?;
    // What loses its parent, while the first process is not there yet, is this one's to wait for and no one else's.
    prctl::set_child_subreaper(true).map_err(Failure::at("keeping orphans"))?;
    leave_session_keyring().map_err(Failure::at("leaving the caller's keyring"))?;
    leave_groups()?;
    let (wait, mut go) = io::pipe().map_err(Failure::at("making a pipe"))?;
    let flags = NAMESPACES.into_iter().collect();
    let (watcher, watched) =
        Channel::pair(spec.record, spec.fixed.is_some()).map_err(Failure::at("making a socket"))?;
    let mut group = None;
    for each in &spec.groups {
        group = each.join().map_err(Failure::at("joining the control group"))?.or(group);
    }
    match fork_into(flags, group.as_ref().map(|group| group.as_fd())).map_err(Failure::at("making the namespaces"))? {
        Fork::Child => {
            drop((go, watcher));
            if let Err(failure) = init::main(&spec, wait, watched) {
                failure.report();
                std::process::exit(1);
            }
            std::process::exit(0)
        }
        Fork::Parent(pid) => {
            drop((wait, watched));
            let mapped = map_ids(pid, spec.outside);
            let lent = matches!(mapped, Ok(true));
            let going = mapped.and_then(|lent| announce(pid, lent, &mut go));
            // Closed without a word, the pipe ends the first process; else it stays open as long as this one lives.
            let go = going.is_ok().then_some(go);
            let seen = watcher.filter(|_| go.is_some()).map(|watcher| watch_calls(watcher, &spec, pid, lent));
            let ended = waitpid(pid, None).map_err(Failure::at("waiting for the first process"));
            drop(go);
            going.and(ended.map(drop))?;
            seen.map_or(Ok(()), |seen| send(&Report::Seen, Some(seen?.as_fd())).map_err(Failure::at("reporting")))
        }
    }
}

/// Tells the runner that the first process is there, and has it go on.
fn announce(pid: Pid, lent: bool, go: &mut PipeWriter) -> Result<(), Failure> {
    let first = watch(pid).map_err(Failure::at("watching the first process"))?;
    send(&Report::Started { lent }, Some(first.as_fd())).map_err(Failure::at("reporting"))?;
    init::release(go).map_err(Failure::at("releasing the first process"))
}

/// Watches the build's calls until the first process has ended; where that fails, ends it.
fn watch_calls(watcher: Channel, spec: &Spec, pid: Pid, lent: bool) -> Result<OwnedFd, Failure> {
    let doing = "watching the build";
    let first = watch(pid).map_err(Failure::at(doing))?;
    let programs = spec.commands.iter().filter_map(|command| command.first()).map(String::as_str);
    let path = spec.env.get("PATH").map_or("", String::as_str);
    if lent {
        enter_users(pid)?;
    }
    let deterministic = spec.fixed.map(|fixed| settings(fixed, spec, lent));
    let plan = Plan::new(spec.record, pid, &spec.build_path, path, programs).deterministic(deterministic);
    watcher.watch(plan, first.as_fd()).map_err(|error| {
        let _ = pidfd_send_signal(&first, rustix::process::Signal::KILL);
        Failure::at(doing)(error)
    })
}

/// Enters the user namespace of `pid`. Where the build's user is one that was lent, this process can look at that user's
/// files from there alone.
fn enter_users(pid: Pid) -> Result<(), Failure> {
    let doing = "entering the build's user namespace";
    let namespace = File::open(format!("/proc/{pid}/ns/user")).map_err(Failure::at(doing))?;
    setns(namespace, CloneFlags::CLONE_NEWUSER).map_err(Failure::at(doing))
}

/// How a deterministic build is answered.
fn settings(fixed: Fixed, spec: &Spec, lent: bool) -> Settings {
    let outside = if lent { (INSIDE_ID, INSIDE_ID) } else { (spec.outside.user, spec.outside.group) };
    let (hostname, memory_bytes) = (spec.hostname.clone(), spec.memory_bytes);
    Settings { fixed, memory_bytes, hostname, limit_seconds: spec.seconds, outside }
}

/// A descriptor of a child that nobody has waited for yet.
fn watch(pid: Pid) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Has the kernel kill this process when its parent is gone.
fn die_with(parent: Pid) -> Result<(), Failure> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Failure::at("tying the helper to the runner"))?;
    if getppid() == parent {
        return Ok(());
    }
    Err(Failure { doing: "tying the helper to the runner".into(), source: io::Error::other("the runner is gone") })
}

/// Leaves root's supplementary groups, which would open root's files to the build. An ordinary user can't leave its own.
fn leave_groups() -> Result<(), Failure> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let left = setgroups(&[]);
    // So it is in a user namespace that an ordinary user has made.
    let denied = || fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny");
    if left == Err(Errno::EPERM) && denied() {
        return Ok(());
    }
    left.map_err(Failure::at("leaving root's groups"))
}

/// Makes one user and one group outside the one of each inside. No other id of the machine means anything inside. Gives
/// whether they are the ones that were lent.
fn map_ids(pid: Pid, outside: OutsideIds) -> Result<bool, Failure> {
    let lent = |program: &str, id: u32| {
        let arguments = [pid.to_string(), INSIDE_ID.to_string(), id.to_string(), "1".to_owned()];
        let mut command = Command::new(program);
        // What it complains of is no output of the build.
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let write = |file: &str, text: &str| {
        let path = format!("/proc/{pid}/{file}");
        fs::write(&path, text).map_err(Failure::at(format!("writing {text:?} to /proc/PID/{file}")))
    };
    // Each map is written once, by whoever comes first; with a group of its own alone, a build's user is not yet another.
    let lent_group = outside.lent.is_some_and(|(_, group)| lent("/usr/bin/newgidmap", group));
    if lent_group && outside.lent.is_some_and(|(user, _)| lent("/usr/bin/newuidmap", user)) {
        return Ok(true);
    }
    if !lent_group {
        write("setgroups", "deny")?;
        write("gid_map", &format!("{INSIDE_ID} {} 1", outside.group))?;
    }
    write("uid_map", &format!("{INSIDE_ID} {} 1", outside.user))?;
    Ok(false)
}
