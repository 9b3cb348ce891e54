// SPDX-License-Identifier: Apache-2.0
//! Whoever makes a call that is answered.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt as _;

use nix::unistd::Pid;

use super::Refusal;
use crate::sys::seccomp::is_waiting;
use crate::trace::memory::{self, Unread};

/// A thread that waits for an answer. Its number may be another's as soon as it is killed: what is written goes through what
/// was opened while it was still waiting, which is its own then, whatever becomes of it.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// Its number, as the helper sees it.
    pub(super) pid: Pid,
    /// Where the call waits, and which it is. None in tests, where nothing waits.
    call: Option<(BorrowedFd<'a>, u64)>,
}

impl<'a> Asker<'a> {
    /// Who makes the call of this number, which `listener` has told of.
    pub(crate) fn new(pid: Pid, listener: BorrowedFd<'a>, call: u64) -> Self {
        Self { pid, call: Some((listener, call)) }
    }

    /// This thread itself, which waits for nothing.
    #[cfg(test)]
    pub(super) fn this() -> Self {
        Self { pid: nix::unistd::gettid(), call: None }
    }

    /// Whether it still waits.
    pub(super) fn waits(&self) -> bool {
        self.call.is_none_or(|(listener, call)| is_waiting(listener, call).unwrap_or(false))
    }

    /// Its memory, open for reading and writing.
    pub(super) fn memory(&self) -> Result<File, Unread> {
        let opened = OpenOptions::new().read(true).write(true).open(format!("/proc/{}/mem", self.pid)).map_err(why)?;
        if self.waits() { Ok(opened) } else { Err(Unread::Gone) }
    }

    /// Writes into its memory, also where it can't itself: it gets a copy of its own of what is there.
    pub(super) fn write_all(&self, places: &[(u64, &[u8])]) -> Result<(), Refusal> {
        let memory = match self.memory() {
            Ok(memory) => Some(memory),
            // What may not be opened may still be written to, where this process has power over that user's.
            Err(Unread::Closed) if self.waits() => None,
            Err(unread) => return Err(unread.into()),
        };
        for (to, bytes) in places.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            match &memory {
                Some(memory) => memory.write_all_at(bytes, *to).map_err(|_| Unread::NotThere)?,
                None => memory::write(self.pid, *to, bytes)?,
            }
        }
        Ok(())
    }
}

pub(super) fn why(error: io::Error) -> Unread {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => Unread::Gone,
        _ => Unread::Closed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn nothing_is_written_for_a_call_that_waits_no_more() {
        let mut there = vec![1_u8; 4];
        let at = there.as_mut_ptr().expose_provenance() as u64;
        Asker::this().write_all(&[(at, &[2, 3]), (at + 2, &[])]).unwrap();
        // No listener at all, and so no call of it.
        let nothing = tempfile::tempfile().unwrap();
        let gone = Asker::new(nix::unistd::gettid(), nothing.as_fd(), 7);
        assert_eq!(gone.write_all(&[(at, &[9; 4])]), Err(Refusal::GoOn));
        assert_eq!(std::hint::black_box(there), [2, 3, 1, 1]);
        assert_eq!(Asker::this().write_all(&[(8, &[1])]), Err(Refusal::Error(nix::errno::Errno::EFAULT)));
    }
}
