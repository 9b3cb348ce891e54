// SPDX-License-Identifier: Apache-2.0
//! The values of `SOURCE_DATE_EPOCH` that a job tries.

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt as _;

use reprove_inputs::most_common_timestamp;
use reprove_model::{Between, EpochOrigin, EpochRule, Lock};
use reprove_store::Store;
use reprove_verifier::compare::{Options, newest_time};

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
            let timestamp = blocking(move || timestamp(file)).await??;
            let derived = timestamp.map(|seconds| (Some(seconds), EpochOrigin::PublishedArtifact));
            Ok(std::iter::once((None, EpochOrigin::SearchUnset)).chain(derived).collect())
        }
    }
}

/// When a published artifact was made, by what it says itself: of a zip archive, the time that most entries have; of others,
/// the newest.
fn timestamp(file: File) -> Result<Option<u64>, JobError> {
    let mut magic = [0; 4];
    let is_zip = file.read_exact_at(&mut magic, 0).is_ok() && magic == *b"PK\x03\x04";
    if is_zip {
        return Ok(most_common_timestamp(&mut BufReader::new(file))?);
    }
    newest_time(&file, Options::of(Between::PublishedAndRebuilt)).map_err(JobError::Unread)
}
