// SPDX-License-Identifier: Apache-2.0
//! The values of `SOURCE_DATE_EPOCH` that a job tries.

use std::fs::File;
use std::io::BufReader;

use reprove_inputs::most_common_timestamp;
use reprove_model::{EpochOrigin, EpochRule, Lock};
use reprove_store::Store;

use crate::{JobError, blocking};

/// A value, in seconds since 1970 (`None`: not set), and where it comes from.
pub(crate) type Candidate = (Option<u64>, EpochOrigin);

/// What to try, in order; at least one. A search tries "not set" first, since it takes nothing from the artifact.
pub(crate) async fn candidates(lock: &Lock, store: &Store) -> Result<Vec<Candidate>, JobError> {
    match (lock.recipe.build.source_date_epoch, &lock.published) {
        (EpochRule::Unset, _) => Ok(vec![(None, EpochOrigin::Recipe)]),
        (EpochRule::At(seconds), _) => Ok(vec![(Some(seconds), EpochOrigin::Recipe)]),
        (EpochRule::Search, None) => Err(JobError::NothingToSearch),
        (EpochRule::Search, Some(published)) => {
            let file: File = store.open_blob(&published.digest.blake3)?;
            let timestamp = blocking(move || most_common_timestamp(&mut BufReader::new(file))).await??;
            let derived = timestamp.map(|seconds| (Some(seconds), EpochOrigin::PublishedArtifact));
            Ok(std::iter::once((None, EpochOrigin::SearchUnset)).chain(derived).collect())
        }
    }
}
