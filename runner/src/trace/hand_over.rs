// SPDX-License-Identifier: Apache-2.0
//! How the first process inside gets its filter, and the helper what it needs to watch.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;

use nix::sys::prctl;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, openat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use super::filter::program;
use super::plan::{Plan, Wanted};
use super::seen::Seen;
use super::watch::Watch;
use crate::sys::seccomp;

/// What the first process hands the helper its descriptors through. One end each.
pub(crate) struct Channel(UnixStream);

/// What the stack of a thread has that does next to nothing, in bytes: what it takes is the build's memory.
const STACK: usize = 64 << 10;

impl Channel {
    /// Both ends, the helper's first. Where nothing is to be watched or answered, the first process closes its own.
    ///
    /// # Errors
    /// What `socketpair(2)` says.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(ours), Self(theirs)))
    }

    /// Puts the filter before all system calls of this process, and of all that it starts, and hands the helper the
    /// descriptor that notifications come to, one of the root, and what is wanted of it. For the first process, in its new
    /// root.
    ///
    /// # Errors
    /// What `seccomp(2)` and the others say.
    pub(crate) fn hand_over(mut self, wanted: &Wanted) -> io::Result<()> {
        // Before the filter: from then on, what this process asks is not answered until the helper has all of it.
        let json = serde_json::to_vec(wanted)?;
        self.0.write_all(&u32::try_from(json.len()).map_err(io::Error::other)?.to_le_bytes())?;
        self.0.write_all(&json)?;
        let root = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        // Without this, or power, no filter can be put.
        prctl::set_no_new_privs()?;
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        let (socket, root) = (self.0.as_raw_fd(), root.as_raw_fd());
        // To hand a descriptor over is a call that may be watched, and nobody would answer yet. The filter is of the thread
        // that puts it, and of what that starts from then on: not of one that is there already.
        thread::scope(|scope| {
            let (tell, told) = mpsc::channel::<OwnedFd>();
            let hand = move || {
                let Ok(listener) = told.recv() else { return Ok(()) };
                let descriptors = [listener.as_raw_fd(), root];
                let message = [ControlMessage::ScmRights(&descriptors)];
                sendmsg::<()>(socket, &[io::IoSlice::new(b"!")], &message, MsgFlags::MSG_NOSIGNAL, None).map(drop)
            };
            let other = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, hand)?;
            let told = wanted.answers.as_ref().map(|settings| settings.told);
            let listener = seccomp::install(&program(wanted.mode, told), flags)?.ok_or(io::ErrorKind::NotFound)?;
            tell.send(listener).map_err(io::Error::other)?;
            Ok(other.join().map_err(|_| io::Error::other("the thread that hands descriptors over has failed"))??)
        })
    }

    /// What the first process wants watched and answered; none where it wants nothing, or has ended. For the helper.
    ///
    /// # Errors
    /// What the system says, or where the first process says something else.
    pub(crate) fn wanted(&mut self) -> io::Result<Option<Wanted>> {
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let mut json = Vec::new();
        (&self.0).take(u32::from_le_bytes(length).into()).read_to_end(&mut json)?;
        Ok(Some(serde_json::from_slice(&json)?))
    }

    /// The listener and the root; none where the first process ended before it handed them over.
    fn take(&self) -> io::Result<Option<(OwnedFd, OwnedFd)>> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [io::IoSliceMut::new(&mut byte)];
        let received = rustix::net::recvmsg(&self.0, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Ok(None);
        }
        let mut descriptors = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
            _ => Vec::new(),
        });
        match (descriptors.next(), descriptors.next()) {
            (Some(listener), Some(root)) => Ok(Some((listener, root))),
            _ => Err(io::Error::other("a descriptor is missing")),
        }
    }

    /// Watches until the first process has ended, which `ended` is a descriptor of. Gives a file in memory with [`Seen`] in
    /// it; none where the first process ended before it was watched. For the helper.
    ///
    /// # Errors
    /// What the system says. The calls of the build are not answered any more, and it has to be ended.
    pub(crate) fn watch(self, plan: Plan, ended: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        let Some((listener, root)) = self.take()? else { return Ok(None) };
        drop(self);
        let mut seen = Seen::default();
        Watch::new(listener, root, plan, &mut seen)?.run(ended)?;
        let file = memfd_create("reprove-seen", MemfdFlags::CLOEXEC)?;
        let mut writer = io::BufWriter::new(File::from(file.try_clone()?));
        serde_json::to_writer(&mut writer, &seen)?;
        writer.flush()?;
        Ok(Some(file))
    }
}

/// What [`Channel::watch`] has written.
///
/// # Errors
/// What the system says, or where it is something else.
pub(crate) fn read_seen(file: OwnedFd) -> io::Result<Seen> {
    let mut file = File::from(file);
    file.rewind()?;
    Ok(serde_json::from_reader(io::BufReader::new(file))?)
}
