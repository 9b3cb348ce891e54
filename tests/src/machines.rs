// SPDX-License-Identifier: Apache-2.0
//! What the tests of virtual machines share: the guest's program, the image of `/usr`, and what is known of the engines.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::{Bench, sorted_names};
use crate::program::{kept_folder, once, workspace};

/// The guest's program, compiled once a run.
#[must_use]
pub fn guest_program() -> PathBuf {
    let folder = once("guest", |folder| {
        let output = Command::new(workspace().join("scripts/guest")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::copy(String::from_utf8(output.stdout).unwrap().trim(), folder.join("reprove-guest")).unwrap();
    });
    folder.join("reprove-guest")
}

/// The store whose image of `/usr`, and whose memory of engines, all runs share: a minute's work, and gigabytes.
#[must_use]
pub fn shared_store() -> PathBuf {
    kept_folder().parent().unwrap().join("machines")
}

/// What virtual machines are started by in tests that ask for one. User-mode Linux 6.1 takes less room for the state of a
/// processor's floating-point unit than a processor with AMX has, and can't start a process there.
#[must_use]
pub fn engine() -> &'static str {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap();
    if processor.contains(" amx_tile") { "qemu-tcg" } else { "user-mode-linux" }
}

impl Bench {
    /// A new place with a program of its own, where virtual machines can be started; no image is there yet.
    #[must_use]
    pub fn with_guest() -> Self {
        let mut bench = Self::with_own_program();
        bench.guest = Some(guest_program());
        bench
    }

    /// A new place with a program of its own, where virtual machines can be started: [`engine`] is known to work.
    #[must_use]
    pub fn with_machines() -> Self {
        let bench = Self::with_guest();
        let shared = shared_store();
        once("machines", |_| {
            let project = bench.project("warm", &["touch out"], "");
            let store = shared.to_str().unwrap();
            let project = project.to_str().unwrap();
            if engine() == "qemu-tcg" {
                let package = kernel_package();
                let make = ["image", "build", "guest", "--kernel", package.to_str().unwrap(), "--store", store];
                let other = other_kernel_package();
                let other = other.iter().flat_map(|package| ["--other-kernel", package.to_str().unwrap()]);
                let _ = bench.run(make.into_iter().chain(other)).with_code(0);
            }
            let by = ["--isolation", "vm", "--engine", engine(), "--out", "warm-out"];
            let _ = bench.run(["build", project, "--store", store].into_iter().chain(by)).with_code(0);
        });
        symlink(shared.join("guest"), bench.path("store/guest")).unwrap();
        bench
    }
}

/// Debian's package of a kernel for QEMU's guests, which `scripts/setup` downloads.
#[must_use]
pub fn kernel_package() -> PathBuf {
    package_in("target/kernel").expect("scripts/setup has downloaded a package")
}

/// Debian's package of another kernel, where there was one to download.
#[must_use]
pub fn other_kernel_package() -> Option<PathBuf> {
    package_in("target/kernel-other")
}

fn package_in(folder: &str) -> Option<PathBuf> {
    let folder = workspace().join(folder);
    let names = if folder.is_dir() { sorted_names(&folder) } else { Vec::new() };
    names.iter().find(|name| name.ends_with(".deb")).map(|name| folder.join(name))
}

/// What has been started by a process, and by what that has started, and so on.
#[derive(Clone, Debug)]
pub struct Descendants(Vec<(u32, String)>);

impl Descendants {
    /// Those of `id` that there are now.
    #[must_use]
    pub fn of(id: u32) -> Self {
        let all = processes();
        let mut found = vec![id];
        let mut at = 0;
        while let Some(&parent) = found.get(at) {
            found.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.id));
            at += 1;
        }
        let is_found = |id: u32| found.iter().skip(1).any(|&other| other == id);
        Self(all.into_iter().filter(|process| is_found(process.id)).map(|p| (p.id, p.started)).collect())
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Those that are still there after `limit`.
    #[must_use]
    pub fn left_after(&self, limit: Duration) -> Vec<u32> {
        let until = Instant::now() + limit;
        loop {
            let now = processes();
            let is_there = |(id, started): &&(u32, String)| now.iter().any(|p| p.id == *id && p.started == *started);
            let left: Vec<u32> = self.0.iter().filter(is_there).map(|(id, _)| *id).collect();
            if left.is_empty() || Instant::now() > until {
                return left;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

struct Process {
    id: u32,
    parent: u32,
    started: String,
}

/// All that are not waited for.
#[expect(clippy::disallowed_methods, reason = "a set of ids has no order")]
fn processes() -> Vec<Process> {
    let process = |path: &Path| {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // The name may hold anything; what follows it does not.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let id = path.file_name()?.to_str()?.parse().ok()?;
        let parent = fields.get(1)?.parse().ok()?;
        let is_zombie = *fields.first()? == "Z";
        (!is_zombie).then(|| Process { id, parent, started: fields.get(19).copied().unwrap_or_default().to_owned() })
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| process(&entry.path())).collect()
}
