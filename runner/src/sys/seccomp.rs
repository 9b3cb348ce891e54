// SPDX-License-Identifier: Apache-2.0
//! Filters of system calls, and the notifications that a filter asks for: `seccomp(2)`, `seccomp_unotify(2)`.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::ioctl::opcode;

/// Puts `program` before every system call of this process and of all that it starts, for good. With
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` among `flags`, gives the descriptor that notifications come to.
///
/// # Errors
/// What `seccomp(2)` says, or where the program is longer than it takes.
pub(crate) fn install(program: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<Option<OwnedFd>> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let whole = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let set = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the structure and the instructions that it points at, as many as it says, live across the call, which only
    // reads them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, set, flags, &raw const whole) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    let descriptor = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the call has just made this descriptor, and nothing else knows of it.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// A system call that waits until it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notification {
    /// What the answer names it by.
    pub(crate) id: u64,
    /// The thread that makes the call, as this process's process namespace numbers it; 0 where it has no number there.
    pub(crate) pid: u32,
    /// By which table the number is to be read: an `AUDIT_ARCH_…`.
    pub(crate) arch: u32,
    /// The call's number.
    pub(crate) number: i32,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

impl Notification {
    /// The argument of this number; there are six, from 0 on.
    pub(crate) fn argument(&self, place: usize) -> u64 {
        self.arguments.get(place).copied().unwrap_or(0)
    }
}

/// Waits for the next notification. `None` where the one that there was is gone: its thread was interrupted or killed.
///
/// # Errors
/// What `ioctl(2)` says.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<Notification>> {
    // Zero in every byte, as the kernel wants it.
    let mut notification = Wire::default();
    // SAFETY: the structure is as large as the request says, and lives across the call, which fills it with integers.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notification) };
    if result == 0 {
        let Wire { id, pid, number, arch, arguments, .. } = notification;
        return Ok(Some(Notification { id, pid, arch, number, arguments }));
    }
    gone(io::Error::last_os_error())
}

/// Lets the call go on as if there had been no notification. `None` where it is gone.
///
/// # Errors
/// What `ioctl(2)` says.
pub(crate) fn go_on(listener: BorrowedFd<'_>, id: u64) -> io::Result<Option<()>> {
    send(listener, Answer { id, value: 0, error: 0, flags: CONTINUE })
}

/// Gives the call a value, or an error's number, without its being run. `None` where it is gone.
///
/// # Errors
/// What `ioctl(2)` says.
pub(crate) fn answer(listener: BorrowedFd<'_>, id: u64, result: Result<i64, i32>) -> io::Result<Option<()>> {
    let (value, error) = (result.unwrap_or(0), result.err().unwrap_or(0));
    send(listener, Answer { id, value, error: -error, flags: 0 })
}

fn send(listener: BorrowedFd<'_>, mut answer: Answer) -> io::Result<Option<()>> {
    // SAFETY: the structure is as large as the request says, and lives across the call.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut answer) };
    if result == 0 { Ok(Some(())) } else { gone(io::Error::last_os_error()) }
}

/// Whether the call still waits, so that what was read of its thread was that thread's.
///
/// # Errors
/// What `ioctl(2)` says.
pub(crate) fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> io::Result<bool> {
    // SAFETY: the number is as large as the request says, and lives across the call, which only reads it.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), IS_VALID, &raw const id) };
    if result == 0 { Ok(true) } else { Ok(gone::<()>(io::Error::last_os_error())?.is_some()) }
}

/// Has whoever makes a call and whoever answers it run on one processor in turn, which wakes both sooner.
///
/// # Errors
/// What `ioctl(2)` says: `EINVAL` before Linux 6.6.
pub(crate) fn take_turns(listener: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request takes an integer.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn gone<T>(error: io::Error) -> io::Result<Option<T>> {
    if error.raw_os_error() == Some(libc::ENOENT) { Ok(None) } else { Err(error) }
}

/// `struct seccomp_notif`.
#[derive(Default)]
#[repr(C)]
struct Wire {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction_pointer: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, in the type of the field that it goes into.
const CONTINUE: u32 = 1;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, which `libc` lacks.
const SYNC_WAKE_UP: libc::c_ulong = 1;

/// The requests of `linux/seccomp.h`, which `libc` lacks.
const RECEIVE: libc::Ioctl = opcode::read_write::<Wire>(b'!', 0) as libc::Ioctl;
const SEND: libc::Ioctl = opcode::read_write::<Answer>(b'!', 1) as libc::Ioctl;
const IS_VALID: libc::Ioctl = opcode::write::<u64>(b'!', 2) as libc::Ioctl;
const SET_FLAGS: libc::Ioctl = opcode::write::<u64>(b'!', 4) as libc::Ioctl;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_as_large_as_the_kernels() {
        let mut sizes = [0_u16; 3];
        // SAFETY: the kernel fills three 16-bit numbers.
        let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, sizes.as_mut_ptr()) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        assert_eq!(usize::from(sizes[0]), size_of::<Wire>());
        assert_eq!(usize::from(sizes[1]), size_of::<Answer>());
    }
}
