// SPDX-License-Identifier: Apache-2.0
//! A control group for one build: limits of memory and processes, the peak of memory, and an end for all in it.
//!
//! Version 1 and version 2 hierarchies are used as they are found, also both at once, each for what it has.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reprove_model::Limits;
use serde::{Deserialize, Serialize};

/// The groups of one build, one in each hierarchy that is of use. Ended and removed with the value.
#[derive(Debug)]
pub(super) struct Cgroup {
    memory: Option<Group>,
    processes: Option<Group>,
    /// Whether the limit is set, of memory and of processes.
    holds: (bool, bool),
    /// Of version 2, where the others are of version 1: ends all in it at one stroke.
    end: Option<Group>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    path: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Version {
    One,
    Two,
}

impl Cgroup {
    /// Makes the groups that this machine lets this user make and set limits of, without a limit yet.
    pub(super) fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::in_hierarchies(&mounts, &own)
    }

    /// The same, where the hierarchies are those of `mounts` and this process's groups those of `own`.
    fn in_hierarchies(mounts: &str, own: &str) -> Self {
        let memory = parent("memory", mounts, own).and_then(|group| {
            let group = group.child()?;
            let set = match group.version {
                Version::One => group.write("memory.limit_in_bytes", -1),
                Version::Two => group.write("memory.max", "max"),
            };
            group.if_ok(set)
        });
        let processes = parent("pids", mounts, own).and_then(|group| {
            // Where both controllers share a hierarchy, they share the group.
            let shared = memory.clone().filter(|memory| memory.path.parent() == Some(&group.path));
            let is_shared = shared.is_some();
            let group = shared.or_else(|| group.child())?;
            let set = group.write("pids.max", "max");
            if is_shared { set.is_ok().then_some(group) } else { group.if_ok(set) }
        });
        let is_two = |group: &Option<Group>| group.as_ref().is_some_and(|group| group.version == Version::Two);
        let end = if is_two(&memory) || is_two(&processes) { None } else { version_2(mounts).and_then(|g| g.child()) };
        Self { memory, processes, holds: (false, false), end }
    }

    /// Sets the limits. What can't be limited is left unlimited, and [`Cgroup::limits_memory`] and
    /// [`Cgroup::limits_processes`] say so.
    pub(super) fn limit(&mut self, limits: &Limits) {
        let bytes = u64::from(limits.memory_mib) << 20;
        let memory = self.memory.as_ref().map(|group| match group.version {
            Version::One => {
                let set = group.write("memory.limit_in_bytes", bytes);
                // Swap is not counted on every kernel; where it is, it is part of the limit.
                let _ = group.write("memory.memsw.limit_in_bytes", bytes);
                set
            }
            Version::Two => {
                let set = group.write("memory.max", bytes);
                let _ = group.write("memory.swap.max", 0);
                set
            }
        });
        let processes = self.processes.as_ref().map(|group| {
            let own = match group.version {
                // The helper and the first process.
                Version::One => 2,
                // The first process.
                Version::Two => 1,
            };
            group.write("pids.max", u64::from(limits.processes) + own)
        });
        self.holds = (matches!(memory, Some(Ok(()))), matches!(processes, Some(Ok(()))));
    }

    pub(super) fn limits_memory(&self) -> bool {
        self.holds.0
    }

    pub(super) fn limits_processes(&self) -> bool {
        self.holds.1
    }

    /// The most memory that the group held at one time, in bytes.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        let group = self.memory.as_ref().filter(|_| self.limits_memory())?;
        let file = match group.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        };
        group.read(file)?.trim().parse().ok()
    }

    /// Whether the kernel ended something in the group for want of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let Some(group) = self.memory.as_ref().filter(|_| self.limits_memory()) else { return false };
        let file = match group.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = group.read(file).unwrap_or_default();
        text.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }

    /// Ends all that is in the groups, at one stroke where there is a group of version 2 whose kernel can do that (5.14).
    pub(super) fn kill(&self) {
        for group in self.groups().filter(|group| group.version == Version::Two) {
            let _ = group.write("cgroup.kill", 1);
        }
    }

    /// The groups that the build has to be in, each once.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        let processes = self.processes.as_ref().filter(|group| self.memory.as_ref() != Some(group));
        self.memory.iter().chain(processes).chain(&self.end)
    }
}

impl Drop for Cgroup {
    /// Ends whatever is in the groups, and removes them.
    fn drop(&mut self) {
        self.kill();
        let until = Instant::now() + Duration::from_secs(5);
        for group in self.groups() {
            while fs::remove_dir(&group.path).is_err_and(|e| e.kind() != io::ErrorKind::NotFound) {
                for pid in processes(&group.read("cgroup.procs").unwrap_or_default()) {
                    let _ = kill(pid, Signal::SIGKILL);
                }
                if Instant::now() > until {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Group {
    /// Puts this process, which has one thread, into the group; or, in version 2, gives what its next child has to be
    /// forked into.
    ///
    /// These two ways are the quick ones: for any other, the kernel first waits until no process of the machine is in the
    /// middle of something, for several milliseconds.
    pub(super) fn join(&self) -> io::Result<Option<OwnedFd>> {
        match self.version {
            Version::One => self.write("tasks", 0).map(|()| None),
            Version::Two => File::open(&self.path).map(|directory| Some(directory.into())),
        }
    }

    /// A new group in this one: never one that is there already, which would be somebody else's.
    fn child(&self) -> Option<Self> {
        let own = Owner::this()?;
        remove_abandoned(&self.path, &own);
        for _ in 0..8 {
            let path = self.path.join(own.name()?);
            match fs::create_dir(&path) {
                Ok(()) => return Some(Self { path, version: self.version }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// The group, which nothing else uses yet, where `set` went well; else it is removed again.
    fn if_ok(self, set: io::Result<()>) -> Option<Self> {
        if set.is_err() {
            let _ = fs::remove_dir(&self.path);
        }
        set.is_ok().then_some(self)
    }

    fn write(&self, file: &str, value: impl ToString) -> io::Result<()> {
        fs::write(self.path.join(file), value.to_string())
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.path.join(file)).ok()
    }
}

/// The ids of a `cgroup.procs` file that name a process; one in another process namespace has the id 0, which to `kill(2)`
/// is the caller's own process group.
fn processes(text: &str) -> impl Iterator<Item = Pid> {
    text.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 0).map(Pid::from_raw)
}

/// Who has made a group: a process, by its id and by the process namespace in which it has that id. Containers share the
/// hierarchies of their machine, but not the ids.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    namespace: u64,
    pid: i32,
}

const PREFIX: &str = "reprove-";

impl Owner {
    fn this() -> Option<Self> {
        let namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
        Some(Self { namespace, pid: nix::unistd::getpid().as_raw() })
    }

    /// A name for a group of its own.
    fn name(&self) -> Option<String> {
        let random = getrandom::u64().ok()?;
        Some(format!("{PREFIX}{}-{}-{random:016x}", self.namespace, self.pid))
    }

    /// Of a group with this name.
    fn of(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.split('-');
        let (namespace, pid) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (pid > 0 && parts.next()?.len() == 16 && parts.next().is_none()).then_some(Self { namespace, pid })
    }

    /// Whether it is certain that this process is no more. Of one in another process namespace that can't be known.
    fn is_gone(&self, own: &Self) -> bool {
        self.namespace == own.namespace && kill(Pid::from_raw(self.pid), None) == Err(Errno::ESRCH)
    }
}

/// Removes the groups of runners that are gone. Only empty ones can be removed.
#[expect(clippy::disallowed_methods, reason = "the order in which leftovers are removed shows nowhere")]
fn remove_abandoned(parent: &Path, own: &Owner) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(Owner::of).is_some_and(|owner| owner.is_gone(own)) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The group to make groups in, for `controller`: this process's own in version 1, the root of version 2 (whose inner
/// groups may hold no process beside groups).
fn parent(controller: &str, mounts: &str, own: &str) -> Option<Group> {
    let is_wanted =
        |kind: &str, options: &str| kind == "cgroup" && options.split(',').any(|option| option == controller);
    let version_1 = mount_of(mounts, &is_wanted);
    if let Some(mount) = version_1 {
        let path = own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            controllers.split(',').any(|name| name == controller).then(|| path.trim_start_matches('/').to_owned())
        })?;
        return Some(Group { path: mount.join(path), version: Version::One });
    }
    let group = version_2(mounts)?;
    let has = |group: &Group| {
        let list = group.read("cgroup.subtree_control").unwrap_or_default();
        list.split_whitespace().any(|name| name == controller)
    };
    if !has(&group) {
        let _ = fs::write(group.path.join("cgroup.subtree_control"), format!("+{controller}"));
    }
    has(&group).then_some(group)
}

/// The root of version 2.
fn version_2(mounts: &str) -> Option<Group> {
    let path = mount_of(mounts, &|kind, _| kind == "cgroup2")?;
    Some(Group { path, version: Version::Two })
}

/// Where a file system is mounted whose type and options are the ones wanted.
fn mount_of(mounts: &str, wanted: &dyn Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        wanted(kind, options).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
                          cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
                          cgroup2 /nowhere/unified cgroup2 rw 0 0\n";

    #[test]
    fn version_1_groups_are_made_in_the_process_s_own() {
        let own = "4:memory:/some/group\n2:cpu,cpuacct:/\n0::/\n";
        let group = parent("memory", HYBRID, own).unwrap();
        assert_eq!(group, Group { path: "/sys/fs/cgroup/memory/some/group".into(), version: Version::One });
        assert_eq!(parent("cpu", HYBRID, own).unwrap().path, Path::new("/sys/fs/cgroup/cpu,cpuacct/"));
    }

    #[test]
    fn a_controller_that_nobody_has_is_not_used() {
        assert_eq!(parent("pids", HYBRID, "0::/\n"), None);
        assert_eq!(parent("pids", "", ""), None);
    }
    #[test]
    fn two_controllers_in_one_hierarchy_share_a_group_and_builds_share_none() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = format!("cgroup {} cgroup rw,memory,pids 0 0\n", dir.path().display());
        let groups = |own| Cgroup::in_hierarchies(&mounts, own);
        let (mut one, two) = (groups("1:memory,pids:/\n"), groups("1:memory,pids:/\n"));
        assert_eq!((one.groups().count(), two.groups().count()), (1, 1));
        assert!(!one.limits_memory() && !one.limits_processes());
        one.limit(&Limits::default());
        assert!(one.limits_memory() && one.limits_processes());
        assert_ne!(one.memory, two.memory);
        for path in [one, two].iter().filter_map(|made| Some(&made.memory.as_ref()?.path)) {
            // In a real hierarchy these are no files, and are gone with the folder.
            fs::remove_dir_all(path).unwrap();
        }
    }

    #[test]
    fn only_what_is_certainly_abandoned_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let own = Owner::this().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let dead = Owner { pid: child.id().cast_signed(), ..own };
        let elsewhere = Owner { namespace: own.namespace + 1, ..dead };
        let living = Owner { pid: 1, ..own };
        let [dead, elsewhere, living, mine] = [dead, elsewhere, living, Owner { ..own }].map(|o| o.name().unwrap());
        let older = format!("{PREFIX}4194000-0");
        for name in [&dead, &elsewhere, &living, &mine, &older] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        remove_abandoned(dir.path(), &own);
        let there = [&dead, &elsewhere, &living, &mine, &older].map(|name| dir.path().join(name).exists());
        assert_eq!(there, [false, true, true, true, true]);
    }

    #[test]
    fn no_process_group_is_taken_for_a_process() {
        let pids: Vec<i32> = processes("0\n17\n-1\nx\n").map(Pid::as_raw).collect();
        assert_eq!(pids, [17]);
        assert_eq!(Owner::of("reprove-1-0-0123456789abcdef"), None);
        assert_eq!(Owner::of("reprove-1--1-0123456789abcdef"), None);
        assert_eq!(Owner::of("reprove-1-2-0123456789abcdef"), Some(Owner { namespace: 1, pid: 2 }));
    }
}
