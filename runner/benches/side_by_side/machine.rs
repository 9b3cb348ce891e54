// SPDX-License-Identifier: Apache-2.0
//! What the numbers were taken on.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

/// This machine, and the programs on it.
pub(crate) struct Machine {
    /// What is said, and of what.
    pub(crate) facts: Vec<(&'static str, String)>,
}

/// The other programs, and what they are called here.
const PROGRAMS: [(&str, &str); 8] = [
    ("bubblewrap", "bwrap"),
    ("crun", "crun"),
    ("unshare", "unshare"),
    ("strace", "strace"),
    ("cc", "cc"),
    ("make", "make"),
    ("b3sum", "b3sum"),
    ("sha256sum", "sha256sum"),
];

impl Machine {
    /// The one that this runs on; the files lie in `directory`.
    pub(crate) fn of(directory: &Path) -> io::Result<Self> {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let cores = std::thread::available_parallelism()?;
        let mut facts = vec![
            ("kernel", format!("{} {}", kernel.trim(), std::env::consts::ARCH)),
            ("processor", format!("{cores} x {}", field("/proc/cpuinfo", "model name"))),
            ("memory", field("/proc/meminfo", "MemTotal")),
            ("file system", file_system(directory)?),
            ("reprove", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        facts.extend(PROGRAMS.map(|(name, program)| (name, version(program))));
        Ok(Self { facts })
    }
}

/// The first value of `name` in a file of lines `name : value`.
fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

/// The type of the file system that `path` lies on.
fn file_system(path: &Path) -> io::Result<String> {
    let device = fs::metadata(path)?.dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let kind = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        (place.split(' ').nth(2)? == device).then(|| kind.split(' ').next()).flatten()
    });
    Ok(kind.unwrap_or("unknown").to_owned())
}

fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("not installed").to_owned()
}
