// SPDX-License-Identifier: Apache-2.0
//! Package URLs and recipes to locked inputs: the only code of reprove that touches a network.
//!
//! There is one module for each kind of source. Each takes what a person typed, finds every input that the build needs,
//! checks its digests, puts it into the store, and returns a [`Lock`](reprove_model::Lock). No code of what is to be built
//! runs here. The ecosystem's own client does the fetching, as the machine has it set up; where something came from is not
//! kept, so that any mirror serves.

pub mod bazel;
mod blocking;
pub mod cargo;
pub mod debian;
pub mod dependencies;
pub mod directory;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod http;
pub mod init;
mod lock_file;
mod newest;
pub mod nix;
mod notes;
pub mod npm;
pub mod oci;
mod process;
pub mod pypi;
mod wheel;
mod workplace;

pub use self::nix::{DerivationError, Nix, NixError};
pub use bazel::{ActionError, Bazel};
pub use cargo::Cargo;
pub use debian::Apt;
pub use dependencies::DependencyError;
pub use error::{InputsError, Kind};
pub use lock_file::{LOCK_FILE, read_lock, write_lock};
pub use newest::{Askers, newest};
pub use notes::Note;
pub use npm::{FormError, Npm};
pub use oci::{ImageError, Skopeo};

pub use http::{Answer, AskError, post};
pub use pypi::{BackendError, PackingError, Pip};
pub use wheel::{WheelError, most_common_timestamp};

/// Looks whether the package that `purl` names could be locked at all; nothing is fetched.
///
/// # Errors
/// As those of its type's module.
pub fn check(purl: &reprove_model::PackageUrl) -> Result<(), InputsError> {
    match purl.kind() {
        "cargo" => cargo::check(purl),
        "deb" => debian::check(purl),
        "npm" => npm::check(purl),
        _ => pypi::check(purl),
    }
}
