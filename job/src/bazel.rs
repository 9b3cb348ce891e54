// SPDX-License-Identifier: Apache-2.0
//! Targets of Bazel: the action that makes one is run again in the runner's sandbox, and its file compared with the one that
//! Bazel has built.

use std::path::Path;
use std::sync::Arc;

use reprove_attest::Signer;
use reprove_inputs::bazel::{self, Bazel};
use reprove_verifier::Wanted;

use crate::prove::prove;
use crate::{Context, Finished, JobError, note_event};

/// Rebuilds the file that `target`, in the workspace whose folder is `workspace`, is; `key` signs the proof, also of a failure.
///
/// # Errors
/// See [`JobError`].
pub async fn rebuild_target(
    context: &Context<'_>,
    target: &str,
    workspace: &Path,
    bazel: &Bazel,
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    let root = context.root_filesystem().await?;
    let notes = |note| (context.events)(note_event(note));
    let lock = bazel::lock(target, workspace, bazel, &context.store, root.locked.clone(), &notes).await?;
    let lock = context.as_asked(lock);
    let wanted = context.wanted(&lock, &root, Wanted::of_published());
    prove(context, key, lock, root, wanted).await
}
