// SPDX-License-Identifier: Apache-2.0
//! The limit of memory where no control group holds it: every now and then somebody looks.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::statvfs::fstatvfs;

/// How long it is between two looks: what a build can take in this time, it can take beyond its limit.
pub(super) const PERIOD: Duration = Duration::from_millis(50);

/// How many processes are looked at; past it a build has long met the limit of processes.
const MOST: usize = 100_000;

/// Whether a build holds more than `limit` bytes: its processes' own memory and page tables, and what its files take or what
/// its processes share.
///
/// `init` is the first process, and `source` a directory on the file system that all of its files are on. What is shared
/// may be a mapped part of these files or not, so that only the larger of both is sure to be held: a build can take up to its
/// limit of shared memory beside its files. What is in a file without a name (`memfd_create(2)`) that no process has mapped
/// is not seen.
///
/// What several processes have in common is first added for each, which is quick, and counted once only where that is past
/// the limit: the kernel then walks through all that they have mapped. Not for the thread that answers others.
pub(super) fn is_past(init: &OwnedFd, source: Option<&OwnedFd>, limit: u64) -> bool {
    held(init, source, Count::ForEach) > limit && held(init, source, Count::Once) > limit
}

/// How what several processes have in common is counted.
#[derive(Clone, Copy, PartialEq)]
enum Count {
    /// For each of them.
    ForEach,
    /// Once, among all of them.
    Once,
}

fn held(init: &OwnedFd, source: Option<&OwnedFd>, count: Count) -> u64 {
    let files = source.and_then(|source| fstatvfs(source.as_fd()).ok());
    let files = files.map_or(0, |files| (files.blocks().saturating_sub(files.blocks_free())) * files.fragment_size());
    let mut all = Memory::default();
    let mut waiting: Vec<u32> = process_id(init).into_iter().collect();
    let mut seen = 0;
    while let Some(process) = waiting.pop().filter(|_| seen < MOST) {
        seen += 1;
        let threads = threads(process);
        // A thread whose leader has ended still has the memory, which the leader's entry shows no more.
        if let Some(memory) = threads.iter().find_map(|thread| Memory::of(&thread.to_string_lossy(), count)) {
            all.own = all.own.saturating_add(memory.own);
            all.shared = all.shared.saturating_add(memory.shared);
        }
        waiting.extend(children(&threads));
    }
    all.own.saturating_add(match count {
        Count::ForEach => files.saturating_add(all.shared),
        Count::Once => files.max(all.shared),
    })
}

/// What a process holds, in bytes.
#[derive(Default)]
struct Memory {
    /// Of no file, and its page tables.
    own: u64,
    /// What it shares with others, where that is in memory alone.
    shared: u64,
}

impl Memory {
    /// Of the thread at `path` in `/proc`; none where it has none any more.
    fn of(path: &str, count: Count) -> Option<Self> {
        let status = fs::read_to_string(format!("{path}/status")).ok()?;
        let (own, shared) = (kib(&status, "RssAnon:")?, kib(&status, "RssShmem:").unwrap_or(0));
        let parts = match count {
            Count::Once => fs::read_to_string(format!("{path}/smaps_rollup")).ok(),
            Count::ForEach => None,
        };
        // Its part of each page, where others have that page too: also one that a child has not written to yet.
        let part = |field| parts.as_ref().and_then(|parts| kib(parts, field));
        let (own, shared) = (part("Pss_Anon:").unwrap_or(own), part("Pss_Shmem:").unwrap_or(shared));
        let tables = kib(&status, "VmPTE:").unwrap_or(0);
        Some(Self { own: (own + tables) << 10, shared: shared << 10 })
    }
}

fn kib(text: &str, field: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

fn process_id(descriptor: &OwnedFd) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|pid| pid.trim().parse().ok())
}

/// The threads of a process, its leader first.
#[expect(clippy::disallowed_methods, reason = "a sum has no order")]
fn threads(process: u32) -> Vec<PathBuf> {
    let leader = PathBuf::from(format!("/proc/{process}"));
    let others = fs::read_dir(leader.join("task")).into_iter().flatten().flatten().map(|thread| thread.path());
    [leader].into_iter().chain(others).collect()
}

/// Whatever has lost its parent is a child of the first process, so that none is missed for longer than one look.
fn children(threads: &[PathBuf]) -> Vec<u32> {
    let lists = threads.iter().filter_map(|thread| fs::read_to_string(thread.join("children")).ok());
    lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// What a script of Python's holds once it has printed something, whose parent is a shell.
    fn held_by(script: &str) -> u64 {
        let script = format!("python3 -I -c '{script}' 2>/dev/null; true");
        let mut child =
            Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        let init = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let held = held(&init, None, Count::Once);
        assert_eq!((is_past(&init, None, held / 2), is_past(&init, None, held * 4)), (true, false));
        drop(child.stdin.take());
        child.wait().unwrap();
        held
    }

    #[test]
    fn children_of_children_are_counted() {
        let held = held_by("x = bytearray(64 << 20); print(1, flush=True); input()");
        assert!((64 << 20..120 << 20).contains(&held), "{held}");
    }

    #[test]
    fn what_is_shared_is_counted_once() {
        let script = "import mmap, os
x = mmap.mmap(-1, 64 << 20)
x[:] = bytes([1]) * (64 << 20)
there, here = os.pipe()
if os.fork() == 0:
    all(x[at] for at in range(0, 64 << 20, 4096)); os.write(here, b\"1\"); input()
else:
    os.read(there, 1); print(1, flush=True); os.wait()";
        let held = held_by(script);
        assert!((64 << 20..120 << 20).contains(&held), "{held}");
    }

    #[test]
    fn what_a_child_has_not_written_to_is_counted_once() {
        let script = "import os
x = bytearray([1]) * (64 << 20)
there, here = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.write(here, b\"1\"); input(); os._exit(0)
[os.read(there, 1) for _ in range(3)]; print(1, flush=True); input()";
        let held = held_by(script);
        assert!((64 << 20..120 << 20).contains(&held), "{held}");
    }

    #[test]
    fn page_tables_are_counted() {
        // One page is read of each 2 MiB: the page that is all zeros, and a table of its own for each.
        let script = "import mmap
NORESERVE, NOHUGEPAGE = 0x4000, 15
x = mmap.mmap(-1, 32 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE, prot=mmap.PROT_READ)
x.madvise(NOHUGEPAGE)
[x[at] for at in range(0, 32 << 30, 2 << 20)]; print(1, flush=True); input()";
        let held = held_by(script);
        assert!((60 << 20..120 << 20).contains(&held), "{held}");
    }

    #[test]
    fn threads_without_a_leader_are_counted() {
        let script = format!(
            "import ctypes, threading, time
def wait():
    time.sleep(0.5); print(1, flush=True); input()
x = bytearray(64 << 20)
threading.Thread(target=wait).start()
ctypes.CDLL(None).syscall({}, 0)",
            libc::SYS_exit
        );
        let held = held_by(&script);
        assert!((64 << 20..120 << 20).contains(&held), "{held}");
    }
}
