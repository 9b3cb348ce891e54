// SPDX-License-Identifier: Apache-2.0
//! A helper that runs: its reports, and its end.

use std::future::pending;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use reprove_model::{Enforced, Exit, HeldBy, IsolationLevel};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::cgroup::Cgroup;
use super::protocol::{End, MAX_PACKET, Report, Walls};
use super::supervise::{SandboxError, io_error};
use super::watchdog;
use crate::trace::{Seen, read_seen};

/// How long it may take until the steps begin, where they may not take longer themselves. A source that is large is copied
/// meanwhile.
const SET_UP: Duration = Duration::from_secs(300);

/// How long the end of the first process, which is killed, is waited for where the helper does not.
const LONGEST_END: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// How long the helper may take to say what it saw, once the first process has ended.
const LONGEST_WORD: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A helper that runs. Ended, with everything that it started, when the value goes.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pub(super) control: std::os::unix::net::UnixStream,
    pub(super) init: Option<OwnedFd>,
    pub(super) source: Option<OwnedFd>,
    walls: Walls,
    separate_user: bool,
    /// When the steps began.
    pub(super) ready: Option<Instant>,
    /// The step that began last.
    pub(super) step: u32,
    /// What was seen of it, once that is reported.
    seen: Option<OwnedFd>,
    /// Whether it was ended for want of memory by the one who looks.
    pub(super) past_memory: bool,
    pub(super) cgroup: Cgroup,
}

/// How a run ended by itself.
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) duration_ms: u64,
    pub(super) largest_process_bytes: u64,
}

impl End {
    pub(super) fn exit(self, out_of_memory: bool) -> Exit {
        match self {
            Self::Success => Exit::Success,
            Self::Status { step, status } => Exit::Status { step, status, out_of_memory },
            Self::Signal { step, signal } => Exit::Signal { step, signal, out_of_memory },
        }
    }
}

impl Walls {
    /// Those that the first process is in, sorted. Without the others there would be none.
    fn namespaces(self) -> Vec<String> {
        Enforced::NAMESPACES
            .iter()
            .filter(|name| **name != "time" || self.time)
            .map(|name| (*name).to_owned())
            .collect()
    }
}

impl Running {
    /// Of a helper that `child` is and `control`, which doesn't block, is the runner's end of the control socket to.
    pub(super) fn new(
        child: Child,
        control: std::os::unix::net::UnixStream,
        separate_user: bool,
        cgroup: Cgroup,
    ) -> Self {
        Self {
            child,
            control,
            init: None,
            source: None,
            walls: Walls::default(),
            separate_user,
            ready: None,
            step: 0,
            seen: None,
            past_memory: false,
            cgroup,
        }
    }

    /// Sends the helper, or who waits behind it, something. Where it has ended, its last report says why.
    pub(super) fn tell(&self, what: &[u8]) -> io::Result<()> {
        match rustix::net::send(&self.control, what, SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Whether the helper has not ended.
    pub(super) fn is_there(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn enforced(&self) -> Enforced {
        let held = |by_group, else_by| if by_group { HeldBy::ControlGroup } else { else_by };
        Enforced {
            namespaces: self.walls.namespaces(),
            filter: self.walls.filter,
            landlock: self.walls.landlock,
            memory: held(self.cgroup.limits_memory(), HeldBy::Watchdog),
            processes: held(self.cgroup.limits_processes(), HeldBy::ResourceLimit),
            separate_user: self.separate_user,
            separate_groups: self.walls.no_groups,
        }
    }

    /// Takes the walls that stand, and refuses them where they are weaker than `demanded`.
    fn stand(&mut self, walls: Walls, demanded: IsolationLevel) -> Result<(), SandboxError> {
        self.walls = walls;
        let reached = self.enforced().level();
        if reached < Some(demanded) { Err(SandboxError::Weak { wanted: demanded, reached }) } else { Ok(()) }
    }

    /// Waits for the end; none where the steps have taken `limit` together. Where `memory` is given, in bytes, nobody else
    /// holds that limit.
    pub(super) async fn wait(
        &mut self,
        control: &UnixStream,
        limit: Duration,
        memory: Option<u64>,
        demanded: IsolationLevel,
    ) -> Result<Option<Ended>, SandboxError> {
        let mut over = pin!(tokio::time::sleep(limit.max(SET_UP)));
        let mut looks = tokio::time::interval(watchdog::PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut look, mut past): (Option<JoinHandle<bool>>, u32) = (None, 0);
        loop {
            let received = tokio::select! {
                biased;
                received = control.async_io(Interest::READABLE, || receive(control)) => received,
                () = &mut over => match self.source {
                    Some(_) => return Ok(None),
                    None => {
                        let why = format!("it took longer than {} s", limit.max(SET_UP).as_secs());
                        return Err(SandboxError::Setup { doing: "making its walls".into(), errno: libc::ETIMEDOUT, why });
                    }
                },
                _ = looks.tick(), if memory.is_some() && look.is_none() => {
                    look = self.look(memory);
                    continue;
                }
                is_past = outcome(&mut look) => {
                    look = None;
                    // A child that has not begun its program yet shows all that its parent has as its own.
                    past = if is_past { past + 1 } else { 0 };
                    if past > 1 {
                        self.past_memory = true;
                        return Err(SandboxError::Lost);
                    }
                    continue;
                }
            };
            let (report, descriptor) = match received.map_err(io_error("reading the sandbox's report"))? {
                Some(received) => received,
                None => return Err(SandboxError::Lost),
            };
            match (report, descriptor) {
                (Report::Started { lent }, Some(first)) => {
                    self.separate_user |= lent;
                    self.init = Some(first);
                }
                (Report::Failed { doing, errno, why }, _) => return Err(SandboxError::Setup { doing, errno, why }),
                (Report::Ready(walls), Some(source)) => {
                    self.stand(walls, demanded)?;
                    if demanded > IsolationLevel::Basic {
                        self.tell(b"!").map_err(io_error("beginning the run"))?;
                    }
                    self.source = Some(source);
                    self.ready = Some(Instant::now());
                    over.as_mut().reset(Instant::now() + limit);
                }
                (Report::Step(step), _) => self.step = step,
                (Report::Ended { end, duration_ms, largest_process_bytes }, _) => {
                    return Ok(Some(Ended { end, duration_ms, largest_process_bytes }));
                }
                // The first process ended without a word.
                (Report::Seen, file) => self.seen = file,
                (Report::Started { .. } | Report::Ready(_), None) => return Err(SandboxError::Lost),
            }
        }
    }

    /// Looks, on a thread of its own, whether more memory is held than there may be.
    fn look(&self, memory: Option<u64>) -> Option<JoinHandle<bool>> {
        let (limit, init) = (memory?, self.init.as_ref()?.try_clone().ok()?);
        let source = self.source.as_ref().and_then(|source| source.try_clone().ok());
        Some(tokio::task::spawn_blocking(move || watchdog::is_past(&init, source.as_ref(), limit)))
    }

    /// What the helper saw of a run that has ended, and has reported last.
    pub(super) fn seen(&mut self, control: &UnixStream) -> Seen {
        while self.seen.is_none()
            && let Ok(Some((report, descriptor))) = receive(control)
        {
            if let Report::Seen = report {
                self.seen = descriptor;
            }
        }
        self.seen.take().and_then(|file| read_seen(file).ok()).unwrap_or_else(Seen::interrupted)
    }

    /// Waits until the helper has said what it saw and ended. One that does not end is ended.
    fn wait_for_helper(&mut self) {
        let helper = pidfd_open(rustix::process::Pid::from_child(&self.child), PidfdFlags::empty());
        let is_over = |helper: &OwnedFd| loop {
            match poll(&mut [PollFd::new(helper, PollFlags::IN)], Some(&LONGEST_WORD)) {
                Err(Errno::INTR) => {}
                Ok(ended) => break ended > 0,
                Err(_) => break false,
            }
        };
        if !helper.is_ok_and(|helper| is_over(&helper)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }

    /// Ends everything inside, and returns when it has ended. The first process ends all others inside with it, and the
    /// helper after it.
    pub(super) fn end(&mut self) {
        let is_there = self.is_there();
        if is_there
            && self.init.is_none()
            && let Ok(Some((Report::Started { .. }, first))) = receive(&self.control)
        {
            self.init = first;
        }
        match &self.init {
            Some(init) => {
                let _ = pidfd_send_signal(init, Signal::KILL);
                // The helper may have been stopped by somebody, and has to say what it saw. Once it was waited for, its
                // number may be another's.
                if let (true, Ok(pid)) = (is_there, self.child.id().try_into()) {
                    let _ = kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGCONT);
                }
            }
            None => {
                let _ = self.child.kill();
            }
        }
        self.wait_for_helper();
        // Where the helper was ended first, nobody has waited for the first process.
        if let Some(init) = &self.init {
            let _ = poll(&mut [PollFd::new(init, PollFlags::IN)], Some(&LONGEST_END));
        }
    }
}

/// What a look came to; nothing for ever where there is none.
async fn outcome(look: &mut Option<JoinHandle<bool>>) -> bool {
    match look {
        Some(look) => look.await.unwrap_or(false),
        None => pending().await,
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The next report; none where there will be no more.
fn receive(socket: impl AsFd) -> io::Result<Option<(Report, Option<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        match rustix::net::recvmsg(&socket, &mut parts, &mut ancillary, flags) {
            // The other side has ended and has not read all; said once, before what it had sent.
            Err(Errno::CONNRESET) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::other("the report was cut"));
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let report = serde_json::from_slice(bytes.get(..received.bytes).unwrap_or_default())?;
    Ok(Some((report, descriptor)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::process::Command;

    use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};

    use super::*;

    /// A helper that does nothing, and this side of its control socket and the other.
    fn running() -> (Running, UnixStream, OwnedFd) {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let ours = std::os::unix::net::UnixStream::from(ours);
        ours.set_nonblocking(true).unwrap();
        let control = UnixStream::from_std(ours.try_clone().unwrap()).unwrap();
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        (Running::new(child, ours, false, Cgroup::new()), control, theirs)
    }

    fn report(socket: &OwnedFd, report: &Report) {
        send(socket, socket, report);
    }

    fn send(socket: &OwnedFd, descriptor: &OwnedFd, report: &Report) {
        let descriptor = [descriptor.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&descriptor)];
        let bytes = serde_json::to_vec(report).unwrap();
        sendmsg::<()>(socket.as_raw_fd(), &[io::IoSlice::new(&bytes)], &message, MsgFlags::empty(), None).unwrap();
    }

    #[tokio::test]
    async fn the_limit_of_time_is_that_of_the_steps() {
        let (mut running, control, theirs) = running();
        let (set_up, limit) = (Duration::from_millis(600), Duration::from_millis(300));
        let started = Instant::now();
        let helper = async {
            tokio::time::sleep(set_up).await;
            report(&theirs, &Report::Ready(Walls { filter: true, ..Walls::default() }));
            report(&theirs, &Report::Step(3));
        };
        let (ended, ()) = tokio::join!(running.wait(&control, limit, None, IsolationLevel::Basic), helper);
        assert!(matches!(ended, Ok(None)));
        assert!(started.elapsed() >= set_up + limit, "{:?}", started.elapsed());
        assert_eq!(running.step, 3);
    }

    #[tokio::test]
    async fn what_was_seen_of_a_run_without_an_end_is_not_lost() {
        let (mut running, control, theirs) = running();
        let file = rustix::fs::memfd_create("seen", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut seen = Seen::default();
        seen.lost.insert(reprove_model::Loss::Closed);
        serde_json::to_writer(&mut std::fs::File::from(file.try_clone().unwrap()), &seen).unwrap();
        send(&theirs, &file, &Report::Seen);
        drop(theirs);
        let ended = running.wait(&control, Duration::from_secs(60), None, IsolationLevel::Basic).await;
        assert!(matches!(ended, Err(SandboxError::Lost)));
        assert_eq!(running.seen(&control).lost, seen.lost);
    }
}
