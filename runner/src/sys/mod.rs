// SPDX-License-Identifier: Apache-2.0
//! The system calls that have no safe wrapper in `nix` or `rustix`. All of this crate's unsafe code is here.
#![allow(unsafe_code, reason = "each block is one system call, with its reason")]

pub(crate) mod seccomp;
pub(crate) mod stat;

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::Pid;

/// Which side of a fork this is.
pub(crate) enum Fork {
    /// The process that forked, with the new one's id.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Forks into new namespaces and, where one is given, into the control group (of version 2) that `group` is the directory
/// of: `clone3(2)` with `flags`, copying the address space as `fork(2)` does.
///
/// # Errors
/// Where the process has more than one thread, or what `clone3(2)` says.
pub(crate) fn fork_into(flags: CloneFlags, group: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    // A task's directory has two links of its own and one for each thread.
    if nix::sys::stat::stat("/proc/self/task")?.st_nlink != 3 {
        return Err(io::Error::other("the process has more than one thread and can't be forked safely"));
    }
    let bits = |number: libc::c_int| u64::from(number.cast_unsigned());
    let mut arguments =
        CloneArguments { flags: bits(flags.bits()), exit_signal: bits(libc::SIGCHLD), ..Default::default() };
    if let Some(group) = group {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = bits(group.as_raw_fd());
    }
    let size = size_of::<CloneArguments>();
    // SAFETY: without CLONE_VM and with no stack this is a fork; there is one thread, so that no lock is held by another
    // and the child may go on with everything that it has. The structure lives across the call and its size is given.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => i32::try_from(pid).map(|pid| Fork::Parent(Pid::from_raw(pid))).map_err(io::Error::other),
    }
}

/// `struct clone_args` of `clone3(2)`, as far as [`fork_into`] needs it and the kernel, since 5.7, knows it.
#[derive(Default)]
#[repr(C, align(8))]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Fills `entries` with the next ones of an open directory, by `getdents64(2)` or `getdents(2)`, which `number` says; gives how
/// many bytes they have.
///
/// # Errors
/// What that call says.
pub(crate) fn list(directory: BorrowedFd<'_>, number: libc::c_long, entries: &mut [u8]) -> Result<usize, Errno> {
    let length = libc::c_uint::try_from(entries.len()).unwrap_or(libc::c_uint::MAX);
    // SAFETY: both calls write at most `length` bytes into the buffer, which is that long and borrowed for as long; any bytes
    // are valid in it.
    let listed = unsafe { libc::syscall(number, directory.as_raw_fd(), entries.as_mut_ptr(), length) };
    Errno::result(listed).map(|listed| usize::try_from(listed).unwrap_or(0))
}

/// Whether two threads have one table of open files; `false` also where that can't be told.
pub(crate) fn have_one_table(one: Pid, other: Pid) -> bool {
    // `KCMP_FILES`.
    const FILES: libc::c_int = 2;
    // SAFETY: the call takes numbers alone, and changes nothing.
    let compared = unsafe { libc::syscall(libc::SYS_kcmp, one.as_raw(), other.as_raw(), FILES, 0, 0) };
    compared == 0
}

/// `CLONE_INTO_CGROUP`, which does not fit the type that `libc` gives it.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// EAX and EBX of a function of CPUID with the index 0; zeros on processors that have none.
#[must_use]
pub(crate) fn cpuid(function: u32) -> (u32, u32) {
    #[cfg(target_arch = "x86_64")]
    {
        #[allow(unused_unsafe, reason = "newer compilers know that it is safe")]
        // SAFETY: every processor of this architecture has the instruction, and it changes nothing but its own registers.
        let said = unsafe { std::arch::x86_64::__cpuid(function) };
        (said.eax, said.ebx)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = function;
        (0, 0)
    }
}

/// Attributes that [`mount_setattr`] sets.
#[derive(Clone, Copy)]
pub(crate) struct MountAttributes(u64);

impl MountAttributes {
    /// No writing.
    pub(crate) const READ_ONLY: Self = Self(libc::MOUNT_ATTR_RDONLY);
    /// No set-id bits, no device nodes.
    pub(crate) const NO_SUID_NO_DEV: Self = Self(libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV);
    /// Both.
    pub(crate) const READ_ONLY_NO_SUID_NO_DEV: Self = Self(Self::READ_ONLY.0 | Self::NO_SUID_NO_DEV.0);
}

/// Sets attributes of the mount `fd`, and of all below it; takes none away.
///
/// # Errors
/// What `mount_setattr(2)` says.
pub(crate) fn mount_setattr(fd: BorrowedFd<'_>, attributes: MountAttributes) -> io::Result<()> {
    let attr = libc::mount_attr { attr_set: attributes.0, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    let size = size_of::<libc::mount_attr>();
    // SAFETY: the path is a C string, the structure lives across the call and its size is given.
    let result =
        unsafe { libc::syscall(libc::SYS_mount_setattr, fd.as_raw_fd(), c"".as_ptr(), flags, &raw const attr, size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Marks every descriptor from `first` on as to be closed when a program is executed.
///
/// # Errors
/// What `close_range(2)` says.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: nothing is closed now; the call takes integers alone.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has `signal` do to this process what it does by default.
///
/// # Errors
/// What `sigaction(2)` says.
pub(crate) fn handle_by_default(signal: nix::sys::signal::Signal) -> io::Result<()> {
    // SAFETY: no handler is put that could run; the one that there was is not run any more.
    let before = unsafe { libc::signal(signal as libc::c_int, libc::SIG_DFL) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives this process, and all that it starts, an empty session keyring of its own in place of its caller's.
///
/// Nothing is to be done where there are no keyrings: where the kernel has none, or where a filter refuses every use of
/// them, also to what this process starts.
///
/// # Errors
/// What `keyctl(2)` says.
pub(crate) fn leave_session_keyring() -> io::Result<()> {
    // SAFETY: no name is given, so that no memory is read.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, 0) };
    if result != -1 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS) => Ok(()),
        Some(libc::EPERM) if keyrings_are_refused() => Ok(()),
        _ => Err(error),
    }
}

/// Whether not even the number of the session keyring may be asked for; the kernel itself never refuses that so.
fn keyrings_are_refused() -> bool {
    let keyring = libc::c_long::from(libc::KEY_SPEC_SESSION_KEYRING);
    // SAFETY: the call takes integers alone.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_GET_KEYRING_ID, keyring, 0) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}
