// SPDX-License-Identifier: Apache-2.0
//! Why a job came to no verdict, as a farm groups it.

use std::error::Error;
use std::io;

use reprove_farm::{Failure, FailureClass};
use reprove_inputs::{InputsError, Kind};
use reprove_job::JobError;

/// The failure of a job.
pub(super) fn failure(error: &JobError) -> Failure {
    Failure::new(class(error), &error.to_string())
}

fn class(error: &JobError) -> FailureClass {
    if is_full(error) {
        return FailureClass::DiskFull;
    }
    match error {
        JobError::Inputs(inputs) => of_inputs(inputs),
        JobError::Packages(_) => FailureClass::MissingDependency,
        JobError::NothingVaried
        | JobError::NothingToSearch
        | JobError::NoManifest(_)
        | JobError::NoSuchOutput { .. }
        | JobError::ArtifactInSource(_)
        | JobError::Published(_)
        | JobError::Source(_) => FailureClass::BadRequest,
        JobError::Environment(_)
        | JobError::Image(_)
        | JobError::Run(_)
        | JobError::Build(_)
        | JobError::Confidential(_)
        | JobError::Store(_)
        | JobError::Unread(_)
        | JobError::EnvironmentChanged => FailureClass::Unable,
        JobError::Judge(_)
        | JobError::Attest(_)
        | JobError::Proof(_)
        | JobError::Canonical(_)
        | JobError::Internal(_) => FailureClass::Internal,
    }
}

fn of_inputs(error: &InputsError) -> FailureClass {
    match error {
        InputsError::FullDisk(_) => FailureClass::DiskFull,
        InputsError::Mismatch { .. }
        | InputsError::Integrity(_)
        | InputsError::PipMismatch(_)
        | InputsError::Conflict(_) => FailureClass::HashMismatch,
        InputsError::TimeOut { .. } => FailureClass::Timeout,
        InputsError::NoProgram { .. }
        | InputsError::NoPip(_)
        | InputsError::OldPip { .. }
        | InputsError::NoNode(_)
        | InputsError::NoArchitecture(_)
        | InputsError::NotHere(_)
        | InputsError::Store(_)
        | InputsError::Io { .. } => FailureClass::Unable,
        InputsError::NoDistribution(_) | InputsError::GoneDebian(_) | InputsError::NoDebianSource(_) => {
            FailureClass::MissingDependency
        }
        error => match error.kind() {
            Kind::CannotHere => FailureClass::Network,
            Kind::BadInput => FailureClass::BadRequest,
        },
    }
}

/// Whether anything that it came of is a disk that is full.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_can_not() {
        let classes = [
            (JobError::Inputs(InputsError::UnknownPackage("x".into())), FailureClass::BadRequest),
            (JobError::Inputs(InputsError::FullDisk(io::ErrorKind::StorageFull.into())), FailureClass::DiskFull),
            (JobError::Inputs(InputsError::Integrity("x".into())), FailureClass::HashMismatch),
            (JobError::Inputs(InputsError::Unreachable("x".into())), FailureClass::Network),
            (JobError::Unread(io::ErrorKind::StorageFull.into()), FailureClass::DiskFull),
            (JobError::Unread(io::ErrorKind::NotFound.into()), FailureClass::Unable),
            (JobError::Internal("x".into()), FailureClass::Internal),
        ];
        for (error, expected) in classes {
            assert_eq!(failure(&error).class, expected, "{error}");
        }
    }
}
