// SPDX-License-Identifier: Apache-2.0
//! What the helper knows of a build before it starts.

use nix::unistd::Pid;
use reprove_model::{InsidePath, RecordMode};
use serde::{Deserialize, Serialize};

use crate::determine::Settings;

/// What is to be watched and answered, as the first process tells the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) mode: RecordMode,
    pub(crate) build_path: String,
    /// The home directory, where it is a place of its own.
    pub(crate) home: Option<String>,
    /// The directories in which `programs` are looked for.
    pub(crate) path: String,
    /// What the steps begin with.
    pub(crate) programs: Vec<String>,
    /// What the build is told in place of what the kernel says.
    pub(crate) answers: Option<Settings>,
}

/// The same, as the helper makes use of it.
pub(crate) struct Plan {
    pub(super) mode: RecordMode,
    pub(super) first: Pid,
    /// The user and the group of the build, as the helper sees them.
    pub(super) outside: (u32, u32),
    /// Where a build can write.
    pub(super) writable: Vec<Vec<u8>>,
    /// For each step, the paths that its program is looked for at, in order.
    pub(super) programs: Vec<Vec<InsidePath>>,
    pub(super) answers: Option<Settings>,
}

impl Plan {
    /// Of a build whose first process is `first`, and whose user and group the helper sees as `outside`.
    pub(crate) fn new(wanted: Wanted, first: Pid, outside: (u32, u32)) -> Self {
        let Wanted { mode, build_path, home, path, programs, answers } = wanted;
        let places = |program: &String| {
            let folders: Vec<String> = match program {
                _ if program.starts_with('/') => vec![String::new()],
                _ if program.contains('/') => vec![format!("{build_path}/source/")],
                _ => path.split(':').map(|folder| format!("{folder}/")).collect(),
            };
            folders.iter().filter_map(|folder| InsidePath::new(format!("{folder}{program}")).ok()).collect()
        };
        let programs = programs.iter().map(places).collect();
        let writable = [build_path.as_str(), "/tmp", "/dev/shm"].into_iter().chain(home.as_deref());
        let writable = writable.map(|folder| folder.as_bytes().to_vec()).collect();
        Self { mode, first, outside, writable, programs, answers }
    }
}
