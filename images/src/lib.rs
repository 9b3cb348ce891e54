// SPDX-License-Identifier: Apache-2.0
//! Root filesystems for builds: what they are made of, and the digest that names them.

mod host;

pub use host::{EnvironmentError, host_usr};

use std::path::PathBuf;

use reprove_model::LockedEnvironment;

/// A root filesystem, as parts that a runner puts together; every part is read-only to the build.
#[derive(Clone, Debug)]
pub struct RootFilesystem {
    /// Its name in locks and records.
    pub locked: LockedEnvironment,
    /// Directories of this machine and where they appear, absolute.
    pub binds: Vec<(PathBuf, String)>,
    /// Directories inside a bind that appear empty, absolute.
    pub hidden: Vec<String>,
    /// Symbolic links, absolute, and what they point at.
    pub links: Vec<(String, String)>,
    /// Small files, absolute, and what is in them.
    pub files: Vec<(String, String)>,
    /// The library, inside, that moves the clock of dynamically linked programs when it is preloaded: `libfaketime`.
    pub clock_library: Option<String>,
}
