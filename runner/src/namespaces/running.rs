// SPDX-License-Identifier: Apache-2.0
//! A helper that runs: its reports, and its end.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use reprove_model::{Enforced, Exit, HeldBy, IsolationLevel};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::MissedTickBehavior;

use super::cgroup::Cgroup;
use super::protocol::{End, MAX_PACKET, Report, Walls};
use super::supervise::{SandboxError, io_error};
use super::watchdog;
use crate::trace::{Seen, read_seen};

/// A helper that runs. Ended, with everything that it started, when the value goes.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pub(super) control: std::os::unix::net::UnixStream,
    pub(super) init: Option<OwnedFd>,
    pub(super) source: Option<OwnedFd>,
    walls: Walls,
    separate_user: bool,
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
        let (walls, past_memory) = (Walls::default(), false);
        Self { child, control, init: None, source: None, walls, separate_user, past_memory, cgroup }
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

    /// Waits for the end. Where `memory` is given, in bytes, nobody else holds that limit.
    pub(super) async fn wait(
        &mut self,
        control: &UnixStream,
        memory: Option<u64>,
        demanded: IsolationLevel,
    ) -> Result<Ended, SandboxError> {
        let mut looks = tokio::time::interval(watchdog::PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                biased;
                received = control.async_io(Interest::READABLE, || receive(control)) => received,
                _ = looks.tick(), if memory.is_some() => {
                    if self.init.as_ref().is_some_and(|i| memory < Some(watchdog::held(i, self.source.as_ref()))) {
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
                }
                (Report::Ended { end, duration_ms, largest_process_bytes }, _) => {
                    return Ok(Ended { end, duration_ms, largest_process_bytes });
                }
                (Report::Seen, _) => {}
                (Report::Started { .. } | Report::Ready(_), None) => return Err(SandboxError::Lost),
            }
        }
    }

    /// What the helper saw of a run that has ended, and has reported last.
    pub(super) fn seen(&self, control: &UnixStream) -> Seen {
        while let Ok(Some((report, descriptor))) = receive(control) {
            if let (Report::Seen, Some(file)) = (report, descriptor) {
                return read_seen(file).unwrap_or_else(|_| Seen::interrupted());
            }
        }
        Seen::interrupted()
    }

    /// Ends everything inside, and returns when it has ended. The first process ends all others inside with it, and the
    /// helper after it.
    pub(super) fn end(&mut self) {
        if self.init.is_none()
            && let Ok(Some((Report::Started { .. }, first))) = receive(&self.control)
        {
            self.init = first;
        }
        match &self.init {
            Some(init) => {
                let _ = pidfd_send_signal(init, Signal::KILL);
                // It may have been stopped by somebody, and has to say what it saw.
                let _ =
                    self.child.id().try_into().map(|pid| kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGCONT));
            }
            None => {
                let _ = self.child.kill();
            }
        }
        let _ = self.child.wait();
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
