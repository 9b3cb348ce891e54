// SPDX-License-Identifier: Apache-2.0
//! The system calls that are watched, and where in their arguments the paths are.

use libc::c_long;
use reprove_model::RecordMode;

use crate::filter::SYS_FCHMODAT2;

/// A system call that is watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Its number, by this architecture's table.
    pub(super) number: c_long,
    /// Its name.
    pub(super) name: &'static str,
    /// From which mode on it is watched.
    pub(super) from: RecordMode,
    /// What it tells.
    pub(super) tells: Tells,
}

/// What a call tells of what comes in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tells {
    /// Paths.
    Paths(&'static [Named]),
    /// That it was made.
    Made,
    /// That a socket of the family and type in its first two arguments was asked for.
    Socket,
    /// The address that the arguments of these numbers point at and say the length of.
    Address(usize, usize),
    /// The addresses in the `struct msghdr` that the argument of this number points at; or, where the second says how many,
    /// in that many `struct mmsghdr`.
    Messages(usize, Option<usize>),
    /// That paths may mean something else from now on, where the process has the power to do that.
    OtherRoot,
    /// That files may be opened unseen.
    IoUring,
}

/// A path among a call's arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    /// The number of the argument that has the directory's descriptor, where there is one.
    pub(super) directory: Option<usize>,
    /// The number of the argument that points at the path.
    pub(super) path: usize,
    /// What is done with it.
    pub(super) doing: Doing,
}

/// What is done with a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doing {
    /// Opened, with the flags in this argument.
    Open(usize),
    /// Opened, with the flags that are the first number of what this argument points at.
    OpenHow(usize),
    /// Executed, with the flags in this argument.
    Execute(Option<usize>),
    /// Looked at.
    Look(Links),
    /// Made, where there is nothing.
    Make,
    /// Made, or put in the place of what there is.
    Replace,
    /// Given another name, by which it may be read.
    Move,
    /// Given one name more, by which it may be read.
    Alias,
    /// Changed, or taken away.
    Change,
}

/// Whether a link at the end of a path is followed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Links {
    /// It is.
    Follow,
    /// It is not.
    Keep,
    /// It is not where the flags in this argument have `AT_SYMLINK_NOFOLLOW`.
    Flags(usize),
}

/// All calls that are watched in `mode`.
pub(super) fn watched(mode: RecordMode) -> impl Iterator<Item = &'static Call> {
    let some = if mode == RecordMode::Declared { &[][..] } else { CALLS };
    some.iter().filter(move |call| call.from <= mode)
}

const fn at(directory: usize, path: usize, doing: Doing) -> Named {
    Named { directory: Some(directory), path, doing }
}

const fn files(number: c_long, name: &'static str, tells: Tells) -> Call {
    Call { number, name, from: RecordMode::Files, tells }
}

const fn full(number: c_long, name: &'static str, tells: Tells) -> Call {
    Call { number, name, from: RecordMode::Full, tells }
}

const fn made(number: c_long, name: &'static str) -> Call {
    full(number, name, Tells::Made)
}

#[cfg(target_arch = "x86_64")]
const fn plain(path: usize, doing: Doing) -> Named {
    Named { directory: None, path, doing }
}

const CALLS: &[Call] = &[
    files(libc::SYS_openat, "openat", Tells::Paths(&[at(0, 1, Doing::Open(2))])),
    files(libc::SYS_openat2, "openat2", Tells::Paths(&[at(0, 1, Doing::OpenHow(2))])),
    files(libc::SYS_execve, "execve", Tells::Paths(&[Named { directory: None, path: 0, doing: Doing::Execute(None) }])),
    files(libc::SYS_execveat, "execveat", Tells::Paths(&[at(0, 1, Doing::Execute(Some(4)))])),
    files(libc::SYS_mkdirat, "mkdirat", Tells::Paths(&[at(0, 1, Doing::Make)])),
    files(libc::SYS_mknodat, "mknodat", Tells::Paths(&[at(0, 1, Doing::Make)])),
    files(libc::SYS_symlinkat, "symlinkat", Tells::Paths(&[at(1, 2, Doing::Make)])),
    files(libc::SYS_linkat, "linkat", Tells::Paths(&[at(0, 1, Doing::Alias), at(2, 3, Doing::Make)])),
    files(libc::SYS_renameat, "renameat", Tells::Paths(&[at(0, 1, Doing::Move), at(2, 3, Doing::Replace)])),
    files(libc::SYS_renameat2, "renameat2", Tells::Paths(&[at(0, 1, Doing::Move), at(2, 3, Doing::Replace)])),
    files(libc::SYS_unlinkat, "unlinkat", Tells::Paths(&[at(0, 1, Doing::Change)])),
    files(libc::SYS_truncate, "truncate", Tells::Paths(&[Named { directory: None, path: 0, doing: Doing::Change }])),
    files(libc::SYS_socket, "socket", Tells::Socket),
    files(libc::SYS_connect, "connect", Tells::Address(1, 2)),
    files(libc::SYS_chroot, "chroot", Tells::OtherRoot),
    files(libc::SYS_pivot_root, "pivot_root", Tells::OtherRoot),
    files(libc::SYS_mount, "mount", Tells::OtherRoot),
    files(libc::SYS_move_mount, "move_mount", Tells::OtherRoot),
    files(libc::SYS_io_uring_setup, "io_uring_setup", Tells::IoUring),
    full(libc::SYS_newfstatat, "newfstatat", Tells::Paths(&[at(0, 1, Doing::Look(Links::Flags(3)))])),
    full(libc::SYS_statx, "statx", Tells::Paths(&[at(0, 1, Doing::Look(Links::Flags(2)))])),
    full(libc::SYS_faccessat, "faccessat", Tells::Paths(&[at(0, 1, Doing::Look(Links::Follow))])),
    full(libc::SYS_faccessat2, "faccessat2", Tells::Paths(&[at(0, 1, Doing::Look(Links::Flags(3)))])),
    full(libc::SYS_readlinkat, "readlinkat", Tells::Paths(&[at(0, 1, Doing::Look(Links::Keep))])),
    full(libc::SYS_statfs, "statfs", Tells::Paths(&[LOOK])),
    full(libc::SYS_chdir, "chdir", Tells::Paths(&[LOOK])),
    full(libc::SYS_getxattr, "getxattr", Tells::Paths(&[LOOK])),
    full(libc::SYS_lgetxattr, "lgetxattr", Tells::Paths(&[LOOK_AT_LINK])),
    full(libc::SYS_listxattr, "listxattr", Tells::Paths(&[LOOK])),
    full(libc::SYS_llistxattr, "llistxattr", Tells::Paths(&[LOOK_AT_LINK])),
    full(libc::SYS_inotify_add_watch, "inotify_add_watch", Tells::Paths(&[WATCHED])),
    full(libc::SYS_name_to_handle_at, "name_to_handle_at", Tells::Paths(&[at(0, 1, Doing::Look(Links::Keep))])),
    full(libc::SYS_fchmodat, "fchmodat", Tells::Paths(&[at(0, 1, Doing::Change)])),
    full(SYS_FCHMODAT2, "fchmodat2", Tells::Paths(&[at(0, 1, Doing::Change)])),
    full(libc::SYS_fchownat, "fchownat", Tells::Paths(&[at(0, 1, Doing::Change)])),
    full(libc::SYS_utimensat, "utimensat", Tells::Paths(&[at(0, 1, Doing::Change)])),
    full(libc::SYS_setxattr, "setxattr", Tells::Paths(&[CHANGE])),
    full(libc::SYS_lsetxattr, "lsetxattr", Tells::Paths(&[CHANGE])),
    full(libc::SYS_removexattr, "removexattr", Tells::Paths(&[CHANGE])),
    full(libc::SYS_lremovexattr, "lremovexattr", Tells::Paths(&[CHANGE])),
    full(libc::SYS_sendto, "sendto", Tells::Address(4, 5)),
    full(libc::SYS_sendmsg, "sendmsg", Tells::Messages(1, None)),
    full(libc::SYS_sendmmsg, "sendmmsg", Tells::Messages(1, Some(2))),
    full(libc::SYS_bind, "bind", Tells::Address(1, 2)),
    made(libc::SYS_uname, "uname"),
    made(libc::SYS_sysinfo, "sysinfo"),
    made(libc::SYS_getrandom, "getrandom"),
    made(libc::SYS_sched_getaffinity, "sched_getaffinity"),
    made(libc::SYS_getcpu, "getcpu"),
    made(libc::SYS_clock_gettime, "clock_gettime"),
    made(libc::SYS_clock_getres, "clock_getres"),
    made(libc::SYS_gettimeofday, "gettimeofday"),
    made(libc::SYS_times, "times"),
    #[cfg(target_arch = "x86_64")]
    files(libc::SYS_open, "open", Tells::Paths(&[plain(0, Doing::Open(1))])),
    #[cfg(target_arch = "x86_64")]
    files(libc::SYS_creat, "creat", Tells::Paths(&[plain(0, Doing::Replace)])),
    #[cfg(target_arch = "x86_64")]
    files(libc::SYS_mkdir, "mkdir", Tells::Paths(&[plain(0, Doing::Make)])),
    #[cfg(target_arch = "x86_64")]
    files(libc::SYS_mknod, "mknod", Tells::Paths(&[plain(0, Doing::Make)])),
    #[cfg(target_arch = "x86_64")]
    files(libc::SYS_symlink, "symlink", Tells::Paths(&[plain(1, Doing::Make)])),
    #[cfg(target_arch = "x86_64")]
    files(libc::SYS_link, "link", Tells::Paths(&[plain(0, Doing::Alias), plain(1, Doing::Make)])),
    #[cfg(target_arch = "x86_64")]
    files(libc::SYS_rename, "rename", Tells::Paths(&[plain(0, Doing::Move), plain(1, Doing::Replace)])),
    #[cfg(target_arch = "x86_64")]
    files(libc::SYS_unlink, "unlink", Tells::Paths(&[plain(0, Doing::Change)])),
    #[cfg(target_arch = "x86_64")]
    files(libc::SYS_rmdir, "rmdir", Tells::Paths(&[plain(0, Doing::Change)])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_stat, "stat", Tells::Paths(&[LOOK])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_lstat, "lstat", Tells::Paths(&[LOOK_AT_LINK])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_access, "access", Tells::Paths(&[LOOK])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_readlink, "readlink", Tells::Paths(&[LOOK_AT_LINK])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_chmod, "chmod", Tells::Paths(&[CHANGE])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_chown, "chown", Tells::Paths(&[CHANGE])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_lchown, "lchown", Tells::Paths(&[CHANGE])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_utime, "utime", Tells::Paths(&[CHANGE])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_utimes, "utimes", Tells::Paths(&[CHANGE])),
    #[cfg(target_arch = "x86_64")]
    full(libc::SYS_futimesat, "futimesat", Tells::Paths(&[at(0, 1, Doing::Change)])),
    #[cfg(target_arch = "x86_64")]
    made(libc::SYS_time, "time"),
];

const LOOK: Named = Named { directory: None, path: 0, doing: Doing::Look(Links::Follow) };
const LOOK_AT_LINK: Named = Named { directory: None, path: 0, doing: Doing::Look(Links::Keep) };
const CHANGE: Named = Named { directory: None, path: 0, doing: Doing::Change };
const WATCHED: Named = Named { directory: None, path: 1, doing: Doing::Look(Links::Follow) };

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_call_is_there_twice() {
        let numbers: BTreeSet<c_long> = CALLS.iter().map(|call| call.number).collect();
        assert_eq!(numbers.len(), CALLS.len());
        let names: BTreeSet<&str> = CALLS.iter().map(|call| call.name).collect();
        assert_eq!(names.len(), CALLS.len());
    }

    #[test]
    fn each_mode_watches_more() {
        let count = |mode| watched(mode).count();
        assert_eq!(count(RecordMode::Declared), 0);
        assert!(count(RecordMode::Files) > 10 && count(RecordMode::Full) > 2 * count(RecordMode::Files));
    }
}
