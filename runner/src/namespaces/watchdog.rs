// SPDX-License-Identifier: Apache-2.0
//! The limit of memory where no control group holds it: every now and then somebody looks.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::sys::statvfs::fstatvfs;
use nix::unistd::{SysconfVar, sysconf};

/// How long it is between two looks: what a build can take in this time, it can take beyond its limit.
pub(super) const PERIOD: Duration = Duration::from_millis(50);

/// How many processes are looked at; past it a build has long met the limit of processes.
const MOST: usize = 100_000;

/// The memory that a build holds, in bytes: its processes' own, and what its files take.
///
/// `init` is the first process, and `source` a directory on the file system that all of its files are on.
pub(super) fn held(init: &OwnedFd, source: Option<&OwnedFd>) -> u64 {
    let files = source.and_then(|source| fstatvfs(source.as_fd()).ok());
    let files = files.map_or(0, |files| (files.blocks().saturating_sub(files.blocks_free())) * files.fragment_size());
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok()).unwrap_or(4096);
    let mut pages = 0_u64;
    let mut waiting: Vec<u32> = process_id(init).into_iter().collect();
    let mut seen = 0;
    while let Some(process) = waiting.pop().filter(|_| seen < MOST) {
        seen += 1;
        pages += own_pages(process);
        waiting.extend(children(process));
    }
    files.saturating_add(pages.saturating_mul(page))
}

fn process_id(descriptor: &OwnedFd) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|pid| pid.trim().parse().ok())
}

/// The pages that a process has in memory and shares with no file.
fn own_pages(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let mut numbers = text.split(' ').skip(1).map(|number| number.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    resident.saturating_sub(shared)
}

/// Whatever has lost its parent is a child of the first process, so that none is missed for longer than one look.
#[expect(clippy::disallowed_methods, reason = "a sum has no order")]
fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn children_of_children_are_counted() {
        let pidfd = |pid: u32| {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap()
        };
        let script = "python3 -I -c 'x = bytearray(64 << 20); print(1, flush=True); input()' 2>/dev/null; true";
        let mut child =
            Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let held = held(&pidfd(child.id()), None);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!((64 << 20..200 << 20).contains(&held), "{held}");
    }
}
