// SPDX-License-Identifier: Apache-2.0
//! The helper: a process with one thread that forks into the namespaces and waits.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, sendmsg};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, geteuid, setgroups, setsid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use super::init;
use super::protocol::{MAX_PACKET, Place, Report};
use crate::sys::{Fork, fork_into, leave_session_keyring};
use crate::trace::{Channel, Plan};

/// The helper's whole life. Call it, and exit with what it gives, before anything else where the program's first argument
/// is [`crate::HELPER_ARGUMENT`].
///
/// Standard input is the file that the specification is written to, standard output the control socket, standard error the
/// build's log.
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

/// Takes the runner's first packet.
fn packet() -> Result<Place, Failure> {
    let doing = "waiting for the runner";
    let mut bytes = vec![0; MAX_PACKET];
    let length = recv(io::stdout().as_fd().as_raw_fd(), &mut bytes, MsgFlags::empty()).map_err(Failure::at(doing))?;
    serde_json::from_slice(bytes.get(..length).unwrap_or_default()).map_err(Failure::at(doing))
}

/// Sends a report, with a descriptor where there is one.
pub(super) fn send(report: &Report, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let bytes = serde_json::to_vec(report)?;
    if bytes.len() > MAX_PACKET {
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
    let place = dying_with_runner()?;
    setsid().map_err(Failure::at("starting a session"))?;
    // What loses its parent, while the first process is not there yet, is this one's to wait for and no one else's.
    prctl::set_child_subreaper(true).map_err(Failure::at("keeping orphans"))?;
    leave_session_keyring().map_err(Failure::at("leaving the caller's keyring"))?;
    leave_groups()?;
    let (wait, mut go) = io::pipe().map_err(Failure::at("making a pipe"))?;
    let flags = NAMESPACES.into_iter().collect();
    let (watcher, watched) = Channel::pair().map_err(Failure::at("making a socket"))?;
    let mut group = None;
    for each in &place.groups {
        group = each.join().map_err(Failure::at("joining the control group"))?.or(group);
    }
    match fork_into(flags, group.as_ref().map(|group| group.as_fd())).map_err(Failure::at("making the namespaces"))? {
        Fork::Child => {
            drop((go, watcher));
            if let Err(failure) = init::main(wait, watched, place.inside) {
                failure.report();
                std::process::exit(1);
            }
            std::process::exit(0)
        }
        Fork::Parent(pid) => {
            drop((wait, watched));
            let going = map_ids(pid, &place)
                .and_then(|lent| lent.then(|| users_of(pid)).transpose())
                .and_then(|users| announce(pid, users.is_some(), &mut go).map(|()| users));
            // Closed without a word, the pipe ends the first process; else it stays open as long as this one lives.
            let go = going.is_ok().then_some(go);
            let seen = going.and_then(|users| watch_calls(watcher, pid, users, &place));
            let ended = waitpid(pid, None).map_err(Failure::at("waiting for the first process"));
            drop(go);
            let seen = seen?;
            ended?;
            match seen {
                Some(seen) => send(&Report::Seen, Some(seen.as_fd())).map_err(Failure::at("reporting")),
                None => Ok(()),
            }
        }
    }
}

/// Tells the runner that the first process is there, and has it go on.
fn announce(pid: Pid, lent: bool, go: &mut PipeWriter) -> Result<(), Failure> {
    let first = watch(pid).map_err(Failure::at("watching the first process"))?;
    send(&Report::Started { lent }, Some(first.as_fd())).map_err(Failure::at("reporting"))?;
    init::release(go).map_err(Failure::at("releasing the first process"))
}

/// Watches and answers the build's calls, where that is wanted, until the first process has ended; where it fails, ends it.
fn watch_calls(watcher: Channel, pid: Pid, users: Option<File>, place: &Place) -> Result<Option<OwnedFd>, Failure> {
    let first = watch(pid).map_err(Failure::at(WATCHING))?;
    let watched = watch_if_wanted(watcher, pid, first.as_fd(), users, place);
    if watched.is_err() {
        let _ = pidfd_send_signal(&first, rustix::process::Signal::KILL);
    }
    watched
}

const WATCHING: &str = "watching the build";

fn watch_if_wanted(
    mut watcher: Channel,
    pid: Pid,
    ended: BorrowedFd<'_>,
    users: Option<File>,
    place: &Place,
) -> Result<Option<OwnedFd>, Failure> {
    let Some(wanted) = watcher.wanted().map_err(Failure::at(WATCHING))? else { return Ok(None) };
    let outside = match users {
        Some(namespace) => {
            setns(namespace, CloneFlags::CLONE_NEWUSER).map_err(Failure::at(ENTERING))?;
            (place.inside, place.inside)
        }
        None => (place.outside.user, place.outside.group),
    };
    watcher.watch(Plan::new(wanted, pid, outside), ended).map_err(Failure::at(WATCHING))
}

/// The user namespace of `pid`. Where the build's user is one that was lent, this process can look at that user's files from
/// there alone. It can't be had any more when the first process has closed itself to others.
fn users_of(pid: Pid) -> Result<File, Failure> {
    File::open(format!("/proc/{pid}/ns/user")).map_err(Failure::at(ENTERING))
}

const ENTERING: &str = "entering the build's user namespace";

/// A descriptor of a child that nobody has waited for yet.
fn watch(pid: Pid) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Has the kernel kill this process when the runner is gone, whose first word this gives.
fn dying_with_runner() -> Result<Place, Failure> {
    let doing = "tying the helper to the runner";
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Failure::at(doing))?;
    let place = packet()?;
    // It may have ended before this process asked to end with it, with all that this one waits for in the socket. Whose child
    // this is does not say so: there may be a tracer in between.
    if is_closed(io::stdout().as_fd()).map_err(Failure::at(doing))? {
        return Err(Failure { doing: doing.into(), source: io::Error::other("the runner is gone") });
    }
    Ok(place)
}

/// Whether the other end of a socket is closed, whatever there is still to read.
fn is_closed(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut ready = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    poll(&mut ready, Some(&Timespec::default()))?;
    Ok(ready.iter().any(|socket| socket.revents().contains(PollFlags::HUP)))
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
fn map_ids(pid: Pid, place: &Place) -> Result<bool, Failure> {
    let Place { outside, inside, .. } = place;
    let lent = |program: &str, id: u32| {
        let arguments = [pid.to_string(), inside.to_string(), id.to_string(), "1".to_owned()];
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
        write("gid_map", &format!("{inside} {} 1", outside.group))?;
    }
    write("uid_map", &format!("{inside} {} 1", outside.user))?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, send, socketpair};

    use super::*;

    #[test]
    fn a_runner_that_is_gone_is_seen_though_all_that_it_said_is_there_to_be_read() {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        send(ours.as_raw_fd(), b"a place", MsgFlags::empty()).unwrap();
        assert!(!is_closed(theirs.as_fd()).unwrap());
        drop(ours);
        assert!(is_closed(theirs.as_fd()).unwrap());
        let mut word = [0; 16];
        assert_eq!(recv(theirs.as_raw_fd(), &mut word, MsgFlags::empty()), Ok(7));
    }
}
