// SPDX-License-Identifier: Apache-2.0
//! Reading what a system call's arguments point at, from the memory of whoever makes it, and writing there.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt as _;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// There is nothing at the address, or no end of a path within its longest: the call will fail.
    NotThere,
    /// The process may not be looked into.
    Closed,
    /// The process is gone.
    Gone,
}

/// The longest path, with its NUL.
pub(super) const MAX_PATH: usize = 4096;
/// No page is smaller, so that what does not go over a border of these is there whole or not at all.
const PAGE: u64 = 4096;
/// Nearly all paths are shorter.
const SHORT: usize = 256;

/// The path at `address`, without its NUL.
pub(crate) fn path(pid: Pid, address: u64) -> Result<Vec<u8>, Unread> {
    let mut path = Vec::new();
    while path.len() < MAX_PATH {
        let from = address.checked_add(path.len() as u64).ok_or(Unread::NotThere)?;
        let to_border = usize::try_from(PAGE - from % PAGE).map_err(|_| Unread::NotThere)?;
        let most = if path.is_empty() { SHORT } else { MAX_PATH - path.len() };
        let mut part = [0; MAX_PATH];
        let part = part.get_mut(..to_border.min(most)).unwrap_or_default();
        read(pid, from, part)?;
        if let Some(end) = part.iter().position(|&byte| byte == 0) {
            path.extend(part.get(..end).unwrap_or_default());
            return Ok(path);
        }
        path.extend_from_slice(part);
    }
    Err(Unread::NotThere)
}

/// The `N` bytes at `address`.
pub(crate) fn bytes<const N: usize>(pid: Pid, address: u64) -> Result<[u8; N], Unread> {
    let mut bytes = [0; N];
    read(pid, address, &mut bytes)?;
    Ok(bytes)
}

/// Fills `buffer` from `address`, or fails.
pub(super) fn read(pid: Pid, address: u64, buffer: &mut [u8]) -> Result<(), Unread> {
    let base = usize::try_from(address).map_err(|_| Unread::NotThere)?;
    let len = buffer.len();
    match process_vm_readv(pid, &mut [IoSliceMut::new(buffer)], &[RemoteIoVec { base, len }]) {
        Ok(read) if read == len => Ok(()),
        Ok(_) | Err(Errno::EFAULT) => forced(pid, address, buffer),
        Err(Errno::ESRCH) => Err(Unread::Gone),
        Err(_) => Err(Unread::Closed),
    }
}

/// The same of memory that the process may not read itself, and the kernel may: what may be written to alone.
fn forced(pid: Pid, address: u64, buffer: &mut [u8]) -> Result<(), Unread> {
    if address == 0 {
        return Err(Unread::NotThere);
    }
    let memory = File::open(format!("/proc/{pid}/mem")).map_err(|_| Unread::NotThere)?;
    memory.read_exact_at(buffer, address).map_err(|_| Unread::NotThere)
}

/// Writes `bytes` to `address`, or fails, perhaps after a part of them.
pub(crate) fn write(pid: Pid, address: u64, bytes: &[u8]) -> Result<(), Unread> {
    let base = usize::try_from(address).map_err(|_| Unread::NotThere)?;
    let len = bytes.len();
    match process_vm_writev(pid, &[IoSlice::new(bytes)], &[RemoteIoVec { base, len }]) {
        Ok(written) if written == len => Ok(()),
        Ok(_) | Err(Errno::EFAULT) => Err(Unread::NotThere),
        Err(Errno::ESRCH) => Err(Unread::Gone),
        Err(_) => Err(Unread::Closed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bytes: &[u8]) -> Result<Vec<u8>, Unread> {
        path(Pid::this(), bytes.as_ptr() as u64)
    }

    #[test]
    fn a_path_ends_at_its_nul_wherever_it_lies() {
        for len in [0, 1, SHORT - 1, SHORT, SHORT + 1, MAX_PATH - 1] {
            let bytes = [vec![b'p'; len], vec![0, 1]].concat();
            assert_eq!(at(&bytes).map(|path| path.len()), Ok(len));
        }
        // Over a page's border, at each place near it.
        let mut pages = vec![b'p'; 3 * 4096];
        for place in 4090..4100 {
            pages[place] = 0;
            let found = at(&pages[4000..]).unwrap();
            let base = 4000;
            assert_eq!(found.len(), place - base);
            pages[place] = b'p';
        }
    }

    #[test]
    fn what_has_no_end_or_is_not_there_is_no_path() {
        assert_eq!(at(&vec![b'p'; 2 * MAX_PATH]), Err(Unread::NotThere));
        for address in [0, 1, u64::MAX, u64::MAX - 4095, 1 << 63] {
            assert_eq!(path(Pid::this(), address), Err(Unread::NotThere), "{address:#x}");
        }
        assert_eq!(path(Pid::from_raw(i32::MAX), 4096), Err(Unread::Gone));
    }
}
