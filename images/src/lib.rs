// SPDX-License-Identifier: Apache-2.0
//! Root filesystems for builds: what they are made of, and the digest that names them. [`debian`]: those made of Debian's
//! packages. [`oci`]: those that are images. [`guest`]: what virtual machines are started from.

pub mod closure;
pub mod debian;
pub mod guest;
mod host;
mod keep;
mod locale;
mod mounted;
pub mod oci;
mod pythons;

pub use host::{EnvironmentError, HostParts, host_parts, host_usr, is_host_root, unchanged};
pub use keep::{ExaminedEnvironments, KeepError, collect, examine};
pub use locale::another_locale;
pub use mounted::{MountedError, mounted};
pub use pythons::pythons;

use std::path::PathBuf;

use reprove_model::LockedEnvironment;
use reprove_store::Fingerprint;

/// A root filesystem, as parts that a runner puts together; every part is read-only to the build.
#[derive(Clone, Debug)]
pub struct RootFilesystem {
    /// Its name in locks and records.
    pub locked: LockedEnvironment,
    /// Of the inodes (see `reprove_store::stat_fingerprint`) while the digest in `locked` was taken; [`unchanged`] takes it
    /// again.
    pub fingerprint: Fingerprint,
    /// Directories of this machine and where they appear, absolute.
    pub binds: Vec<(PathBuf, String)>,
    /// Directories inside a bind that appear empty, absolute.
    pub hidden: Vec<String>,
    /// Symbolic links, absolute, and what they point at.
    pub links: Vec<(String, String)>,
    /// Small files, absolute, and what is in them.
    pub files: Vec<(String, String)>,
}
