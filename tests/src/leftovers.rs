// SPDX-License-Identifier: Apache-2.0
//! What a run has left behind: processes, mounts, control groups, temporary files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::sorted_names;
use crate::running::wait_until;

/// What was there before a run.
#[derive(Debug)]
pub struct Leftovers {
    mounts: BTreeSet<String>,
}

impl Leftovers {
    /// Looks at this machine.
    #[must_use]
    pub fn before() -> Self {
        Self { mounts: mounts() }
    }

    /// All that is there now, and was not before, of a run in `place` with the process id `id`. What ends by itself is
    /// given two seconds.
    pub(crate) fn since(&self, place: &Path, store: &Path, id: u32) -> Vec<String> {
        let marker = place.to_str().unwrap();
        let mut left = Vec::new();
        wait_until(Duration::from_secs(2), || {
            left = processes(marker);
            left.extend(mounts().difference(&self.mounts).map(|mount| format!("mount {mount}")));
            left.extend(control_groups(id).iter().map(|path| format!("control group {}", path.display())));
            left.is_empty()
        });
        let temporary = if store.join("tmp").exists() { sorted_names(&store.join("tmp")) } else { Vec::new() };
        left.extend(temporary.iter().filter(|name| *name != ".sweep").map(|name| format!("temporary file {name}")));
        let work = sorted_names(&place.join("work"));
        left.extend(work.iter().filter(|name| name.contains(".proof")).map(|name| format!("proof {name}")));
        left.extend(work.iter().filter(|name| name.starts_with(".tmp")).map(|name| format!("part of a proof {name}")));
        left
    }
}

/// The processes of this machine whose program, arguments or environment have `marker` in them.
#[must_use]
pub fn processes(marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for id in sorted_names(Path::new("/proc")).iter().filter(|name| name.parse::<u32>().is_ok()) {
        let path = Path::new("/proc").join(id);
        let read = |name: &str| fs::read(path.join(name)).map(|b| String::from_utf8_lossy(&b).into_owned());
        let exe = fs::read_link(path.join("exe")).map(|exe| exe.display().to_string());
        let texts = [exe, read("cmdline"), read("environ")].map(Result::unwrap_or_default);
        if texts.iter().any(|text| text.contains(marker)) && !is_dead(&path) {
            found.push(format!("process {id}: {} {}", texts[0], texts[1].replace('\0', " ")));
        }
    }
    found
}

/// Whether a process has ended and only waits for its parent to see it.
fn is_dead(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z') || rest.starts_with('X') || rest.is_empty())
}

fn mounts() -> BTreeSet<String> {
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().map(str::to_owned).collect()
}

/// The control groups that a runner with the process id `id` makes, wherever they are.
#[must_use]
pub fn control_groups(id: u32) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    let is_group = |kind: &str| kind == "cgroup" || kind == "cgroup2";
    let roots = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        is_group(kind).then(|| PathBuf::from(path))
    });
    let mut found = Vec::new();
    roots.for_each(|root| find_groups(&root, &format!("reprove-{id}-"), &mut found));
    found
}

#[expect(clippy::disallowed_methods, reason = "a group may go while it is looked for, and the order shows nowhere")]
fn find_groups(folder: &Path, prefix: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
        find_groups(&entry.path(), prefix, found);
    }
}

/// Whether this process is root's.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
