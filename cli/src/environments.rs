// SPDX-License-Identifier: Apache-2.0
//! Environments that are made of packages, where there is none: what to do next.

use reprove_job::PackagesError;
use reprove_runner::InstallError;

use crate::error::{BAD_USAGE, CANNOT, CommandError, from_error};

/// Why there is none.
pub(crate) fn from_packages(packages: &PackagesError) -> CommandError {
    match packages {
        PackagesError::Other { .. } => from_error(CANNOT, packages).next(
            "remove reprove.lock to have this machine's system locked, if you trust it more than who wrote the lock",
        ),
        PackagesError::Contradicted => from_error(BAD_USAGE, packages)
            .next("it was changed: take it as it was committed, or `reprove lock` locks the environment anew"),
        PackagesError::Install(InstallError::Sandbox(_)) => {
            from_error(CANNOT, packages).next("reprove doctor says what is missing here")
        }
        _ => from_error(CANNOT, packages),
    }
}
