// SPDX-License-Identifier: Apache-2.0
//! Directories that are listed backwards.
//!
//! The helper lists a directory by the program's own open file, so that it goes on where the program is, and turns round what
//! it got before the program sees it. A directory that is listed in several parts has each of them turned round.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use libc::c_long;
use nix::errno::Errno;
use nix::unistd::Pid;
use rustix::process::{Pid as ProcessId, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::{Asker, Refusal};
use crate::sys;
use crate::sys::seccomp::Notification;
use crate::trace::arguments::low;

/// The calls that list.
pub(super) const ANSWERED: &[c_long] = &[
    libc::SYS_getdents64,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getdents,
];

/// The most bytes that one call gives; the kernel, too, may give fewer than are asked for.
const MAX_AT_ONCE: usize = 1 << 20;

/// Gives the next entries of a directory, the last of them first.
pub(super) fn list_backwards(asked: &Notification, asker: &Asker<'_>) -> Result<i64, Refusal> {
    let [descriptor, to, length, ..] = asked.arguments;
    let directory = taken(asker, low(descriptor).cast_signed())?;
    let length = usize::try_from(low(length)).unwrap_or(usize::MAX).min(MAX_AT_ONCE);
    let mut entries = vec![0; length];
    let listed = sys::list(directory.as_fd(), c_long::from(asked.number), &mut entries).map_err(Refusal::Error)?;
    entries.truncate(listed);
    let turned = backwards(&entries).ok_or(Refusal::Unresolved)?;
    asker.write_all(&[(to, &turned)])?;
    i64::try_from(turned.len()).map_err(|_| Refusal::Unresolved)
}

/// The same open file as a process has.
fn taken(asker: &Asker<'_>, descriptor: i32) -> Result<OwnedFd, Refusal> {
    let pid = asker.pid;
    let is_gone = || if Path::new(&format!("/proc/{pid}")).exists() { Refusal::Unreached } else { Refusal::GoOn };
    let thread = ProcessId::from_raw(pid.as_raw()).ok_or(Refusal::GoOn)?;
    // Linux before 6.9 knows processes alone by such descriptors: their leader, which may have ended before.
    let opened = match pidfd_open(thread, PidfdFlags::from_bits_retain(PIDFD_THREAD)) {
        Err(rustix::io::Errno::INVAL) => pidfd_open(leader(pid)?, PidfdFlags::empty()),
        opened => opened,
    };
    let opened = opened.map_err(|_| is_gone())?;
    // What is open now is who has asked, and nobody who has that number since.
    if !asker.waits() {
        return Err(Refusal::GoOn);
    }
    pidfd_getfd(&opened, descriptor, PidfdGetfdFlags::empty()).map_err(|error| match error {
        rustix::io::Errno::BADF => Refusal::Error(Errno::EBADF),
        rustix::io::Errno::SRCH => is_gone(),
        _ => Refusal::Unreached,
    })
}

/// `PIDFD_THREAD`.
const PIDFD_THREAD: u32 = libc::O_EXCL.cast_unsigned();

/// The leader of a thread's process, where both have the same files open.
fn leader(thread: Pid) -> Result<ProcessId, Refusal> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).map_err(|_| Refusal::GoOn)?;
    let group = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok()).ok_or(Refusal::GoOn)?;
    let have_the_same = thread.as_raw() == group || sys::have_one_table(thread, Pid::from_raw(group));
    ProcessId::from_raw(group).filter(|_| have_the_same).ok_or(Refusal::Unreached)
}

/// Where an entry says how long it is: after its number and where the next one is, in `linux_dirent` and `linux_dirent64`.
const LENGTH: usize = 16;
/// Where it says where the next one is.
const NEXT: std::ops::Range<usize> = 8..16;

/// The entries in the other order. Each says of where the next one is what was said in its place, so that the last of them says
/// where what follows is; a program that comes back to another (`seekdir`) gets some twice and some never. None where these
/// are no entries.
fn backwards(entries: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let length = usize::from(u16::from_ne_bytes(*rest.get(LENGTH..)?.first_chunk()?));
        let (entry, after) = rest.split_at_checked(length).filter(|(entry, _)| entry.len() > LENGTH)?;
        all.push(entry);
        rest = after;
    }
    let mut turned = Vec::with_capacity(entries.len());
    for (entry, place) in all.iter().rev().zip(&all) {
        let start = turned.len();
        turned.extend_from_slice(entry);
        turned.get_mut(start..)?.get_mut(NEXT)?.copy_from_slice(place.get(NEXT)?);
    }
    Some(turned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::File;

    use super::*;

    fn entry(number: u64, next: u64, name: &str) -> Vec<u8> {
        let length = (19 + name.len() + 1).next_multiple_of(8);
        let mut bytes = [number.to_ne_bytes(), next.to_ne_bytes()].concat();
        bytes.extend(u16::try_from(length).unwrap().to_ne_bytes());
        bytes.push(8);
        bytes.extend(name.as_bytes());
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn entries_change_places_and_what_comes_next_stays_in_its_place() {
        let there = [entry(1, 10, "a"), entry(2, 20, "a-longer-name"), entry(3, 30, "c")].concat();
        let turned = [entry(3, 10, "c"), entry(2, 20, "a-longer-name"), entry(1, 30, "a")].concat();
        assert_eq!(backwards(&there), Some(turned));
        assert_eq!(backwards(&[]), Some(Vec::new()));
    }

    #[test]
    fn what_are_no_entries_is_given_to_nobody() {
        let one = entry(1, 10, "a");
        for bad in [&one[..17], &one[..one.len() - 1], &[0; 24]] {
            assert_eq!(backwards(bad), None);
        }
    }

    #[test]
    fn a_directory_is_listed_by_the_programs_own_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            File::create(folder.path().join(name)).unwrap();
        }
        let open = File::open(folder.path()).unwrap();
        let descriptor = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&open)).unwrap();
        let mut buffer = vec![0_u8; 4096];
        let to = buffer.as_mut_ptr().expose_provenance() as u64;
        let number = i32::try_from(libc::SYS_getdents64).unwrap();
        let asked = Notification { number, arguments: [descriptor, to, 4096, 0, 0, 0], ..Notification::default() };
        let listed = list_backwards(&asked, &Asker::this()).unwrap();
        let buffer = std::hint::black_box(buffer);
        let turned = backwards(&buffer[..usize::try_from(listed).unwrap()]).unwrap();
        let names: BTreeSet<char> =
            turned.iter().map(|byte| char::from(*byte)).filter(|c| "abc".contains(*c)).collect();
        assert_eq!(names.len(), 3);
        assert_eq!(list_backwards(&asked, &Asker::this()), Ok(0), "it is at its end");
        let none = Notification { arguments: [1 << 20, to, 4096, 0, 0, 0], ..asked };
        assert_eq!(list_backwards(&none, &Asker::this()), Err(Refusal::Error(Errno::EBADF)));
    }
}
