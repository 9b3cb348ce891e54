// SPDX-License-Identifier: Apache-2.0
//! What the kernel says of a file, as the bytes that it says it in: `newfstatat(2)`, `statx(2)`.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd as _};

/// Of what the kernel fills, how much, and where in it are the times (a 64-bit number of seconds, and after it nanoseconds)
/// and the owners.
#[derive(Debug)]
pub(crate) struct Shape {
    /// In bytes.
    pub(crate) size: usize,
    /// From the beginning, in bytes.
    pub(crate) times: &'static [usize],
    /// The same of the user and the group, 32-bit numbers.
    pub(crate) owners: [usize; 2],
}

/// `struct stat`.
pub(crate) const STAT: Shape = Shape {
    size: size_of::<libc::stat>(),
    times: &[offset_of!(libc::stat, st_atime), offset_of!(libc::stat, st_mtime), offset_of!(libc::stat, st_ctime)],
    owners: [offset_of!(libc::stat, st_uid), offset_of!(libc::stat, st_gid)],
};

/// `struct statx`.
pub(crate) const STATX: Shape = Shape {
    size: size_of::<libc::statx>(),
    times: &[
        offset_of!(libc::statx, stx_atime),
        offset_of!(libc::statx, stx_btime),
        offset_of!(libc::statx, stx_ctime),
        offset_of!(libc::statx, stx_mtime),
    ],
    owners: [offset_of!(libc::statx, stx_uid), offset_of!(libc::statx, stx_gid)],
};

/// More than either structure has.
const ROOM: usize = 256;
const _: () = assert!(STAT.size <= ROOM && STATX.size <= ROOM);

/// The `struct stat` of what `file` is a descriptor of.
///
/// # Errors
/// What `newfstatat(2)` says.
pub(crate) fn stat(file: impl AsFd) -> io::Result<[u8; ROOM]> {
    let mut bytes = [0; ROOM];
    let descriptor = file.as_fd().as_raw_fd();
    let flags = libc::AT_EMPTY_PATH;
    // SAFETY: the path is a C string; the kernel fills the structure, for which there is room, with integers.
    let result = unsafe { libc::syscall(libc::SYS_newfstatat, descriptor, c"".as_ptr(), bytes.as_mut_ptr(), flags) };
    if result == 0 { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}

/// The `struct statx` of what `file` is a descriptor of; `flags` beside that it is one, and `mask`.
///
/// # Errors
/// What `statx(2)` says.
pub(crate) fn statx(file: impl AsFd, flags: u32, mask: u32) -> io::Result<[u8; ROOM]> {
    let mut bytes = [0; ROOM];
    let descriptor = file.as_fd().as_raw_fd();
    let flags = flags | libc::AT_EMPTY_PATH.cast_unsigned();
    // SAFETY: the path is a C string; the kernel fills the structure, for which there is room, with integers.
    let result = unsafe { libc::syscall(libc::SYS_statx, descriptor, c"".as_ptr(), flags, mask, bytes.as_mut_ptr()) };
    if result == 0 { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}
