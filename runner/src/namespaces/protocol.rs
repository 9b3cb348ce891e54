// SPDX-License-Identifier: Apache-2.0
//! What the runner, its helper and the first process inside say to each other: a [`Place`], one byte, and [`Report`]s on the
//! control socket that is the helper's standard output, and a [`Spec`] on its standard input, which is there when the byte
//! is. All are programs of one version, so the format is no one else's business.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use reprove_model::{RecordMode, Surroundings};
use serde::{Deserialize, Serialize};

use super::cgroup::Group;
use super::ids::OutsideIds;
use crate::determine::Told;

/// What the helper needs to know to make the namespaces, whatever is to run in them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    /// The control groups of the build.
    pub groups: Vec<Group>,
    /// The user and the group outside that are `inside` inside.
    pub outside: OutsideIds,
    /// The user's and the group's id inside.
    pub inside: u32,
}

/// Everything that the first process needs to know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub hostname: String,
    /// Directories outside, and where they appear inside.
    pub binds: Vec<(PathBuf, String)>,
    /// Directories inside that appear empty.
    pub hidden: Vec<String>,
    pub links: Vec<(String, String)>,
    pub files: Vec<(String, String)>,
    /// Files outside, and where they appear inside.
    pub inputs: Vec<(PathBuf, String)>,
    pub build_path: String,
    /// What the build directory, `/tmp` and `/dev/shm` may hold together, in bytes.
    pub disk_bytes: u64,
    /// The directory outside that they are parts of, where what they are in is on a disk.
    pub disk: Option<PathBuf>,
    /// The directory that [`SourceKind::File`]'s names are below.
    pub blob_root: PathBuf,
    /// In the order in which they are made.
    pub source: Vec<SourceEntry>,
    /// Directories of the source that are directories of the root as well. Where there are any, a system is installed: what is
    /// run may write to all of the root, and is told that it has given files to whomever it wants.
    pub installed: Vec<String>,
    /// Where the bind of this path is a store's: its paths are mounted one by one into a folder that can be written to.
    pub store: Option<String>,
    pub processors: u32,
    /// How many processes there may be, beside the first.
    pub processes: u32,
    /// How much a process may hold, in bytes, where nobody holds a limit for all of them together.
    pub process_bytes: Option<u64>,
    /// Files below `/proc`, and what is in them in place of what the kernel says.
    pub proc_files: Vec<(String, String)>,
    /// The same below `/sys/devices/system/cpu`, where there is nothing else.
    pub processor_lists: Vec<(String, String)>,
    /// Whether the loopback device is up.
    pub loopback: bool,
    pub commands: Vec<Vec<String>>,
    pub env: BTreeMap<String, String>,
    /// Beside what is in `env`, `files` and `proc_files` of them.
    pub surroundings: Surroundings,
    pub record: RecordMode,
    /// What the build is told in place of what the kernel says.
    pub told: Option<Told>,
    /// Whether the first process waits, when the walls stand, for a word that they are those that are demanded.
    pub wait: bool,
    /// How long the steps may take together, in seconds.
    pub seconds: u32,
    /// What is called the machine's memory, in bytes.
    pub memory_bytes: u64,
}

/// One thing to make in the build directory's `source` folder.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SourceEntry {
    /// Below the `source` folder; the text form of a `TreePath`.
    pub path: reprove_model::TreePath,
    pub kind: SourceKind,
    /// Since 1970.
    pub modified: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SourceKind {
    Directory { mode: u32 },
    File { mode: u32, blob: String },
    Symlink { target: reprove_model::LinkTarget },
}

/// What the helper reports, one packet each.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The first process inside runs. Comes with a descriptor of it: by the time this is read, its id may be another's.
    Started {
        /// Whether its user and group are ids that were lent.
        lent: bool,
    },
    /// The sandbox could not be set up.
    Failed { doing: String, errno: i32, why: String },
    /// The steps begin. Comes with a descriptor of the `source` folder: what a build does to the first process, whose user
    /// it is, may keep that from opening anything later.
    Ready(Walls),
    /// A step begins that is not the first.
    Step(u32),
    /// All steps ended well, or one did not, and nothing runs any more.
    Ended { end: End, duration_ms: u64, largest_process_bytes: u64 },
    /// What was seen of the build, by the helper after the first process has ended. Comes with a file that has it.
    Seen,
}

/// Which walls stand that not every machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Walls {
    /// Whether every system call goes through the filter.
    pub filter: bool,
    /// The version of Landlock's interface, or 0.
    pub landlock: u32,
    /// Whether there is a time namespace.
    pub time: bool,
    /// Whether no supplementary group of the caller's is the build's.
    pub no_groups: bool,
}

/// How the steps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    Success,
    Status { step: u32, status: u8 },
    Signal { step: u32, signal: u8 },
}

/// What [`Report::Failed`] says was being done when the source was written.
pub(super) const WRITING_SOURCE: &str = "writing the source into the build directory";

/// The largest packet, in bytes.
pub(super) const MAX_PACKET: usize = 16 << 10;
