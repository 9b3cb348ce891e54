// SPDX-License-Identifier: Apache-2.0
//! What is rebuilt in a system of packages of Debian's that nobody named in a recipe: Debian's own packages, and crates.

use std::sync::Arc;

use reprove_attest::Signer;
use reprove_inputs::cargo;
use reprove_inputs::debian::{self, Rebuildable};
use reprove_model::{Environment, Lock, PackageUrl};
use reprove_verifier::Wanted;

use crate::prove::prove;
use crate::{Clients, Context, Finished, JobError, PackagesError, note_event};

/// Whether packages of this type are.
pub(crate) fn is_for(kind: &str) -> bool {
    matches!(kind, "cargo" | "deb")
}

pub(crate) async fn rebuild(
    context: &Context<'_>,
    purl: &PackageUrl,
    clients: &Clients,
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    if context.guest.is_some() {
        return Err(PackagesError::InMachine.into());
    }
    let notes = |note| (context.events)(note_event(note));
    let fetched = match purl.kind() {
        "cargo" => cargo::fetch_published(purl, &clients.cargo, &context.apt, &context.store, &notes).await?,
        _ => debian::fetch_published(purl, &context.apt, &context.store, &notes).await?,
    };
    let Rebuildable { recipe, mut inputs, packages, published } = fetched;
    let Environment::Debian(asked) = &recipe.environment else {
        return Err(JobError::Internal("what is built in an environment of packages has none".into()));
    };
    let root = context.installed(asked, debian::architecture()?, &packages, false).await?;
    inputs.extend(debian::inputs(&packages)?);
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    let lock = context.as_asked(Lock { recipe, inputs, environment: root.locked.clone(), published: Some(published) });
    let wanted = context.wanted(&lock, &root, Wanted::of_published());
    prove(context, key, lock, root, wanted).await
}
