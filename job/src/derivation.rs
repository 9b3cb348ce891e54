// SPDX-License-Identifier: Apache-2.0
//! Derivations of Nix: built again in the runner's sandbox, which has the paths of the store that they were built of and nothing
//! else, and compared with what Nix has registered.

use std::path::Path;
use std::sync::Arc;

use reprove_attest::Signer;
use reprove_images::closure;
use reprove_inputs::nix::{self, Nix, Rebuildable};
use reprove_model::Lock;
use reprove_verifier::Wanted;

use crate::prove::prove;
use crate::{Context, Finished, JobError, PackagesError, blocking, note_event};

/// Rebuilds the derivation at `path`, or the one that a path of a store there was built by, and compares its outputs with those
/// that the store has; `key` signs the proof, also of a failure.
///
/// # Errors
/// See [`JobError`].
pub async fn rebuild_derivation(
    context: &Context<'_>,
    path: &Path,
    nix: &Nix,
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    if context.guest.is_some() {
        return Err(PackagesError::InMachine.into());
    }
    let notes = |note| (context.events)(note_event(note));
    let fetched = nix::fetch(path, nix, &context.store, &notes).await?;
    let Rebuildable { recipe, inputs, published, closure, derivation, paths } = fetched;
    context.doing(&format!("putting its {} together", closure.store));
    let store = context.store.clone();
    let root = blocking(move || closure::keep(&store, &closure, derivation, &paths)).await??;
    let lock = Lock { recipe, inputs, environment: root.locked.clone(), published: Some(published) };
    let lock = context.as_asked(lock);
    let wanted = context.wanted(&lock, &root, Wanted::of_derivation());
    prove(context, key, lock, root, wanted).await
}
