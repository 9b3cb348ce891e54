// SPDX-License-Identifier: Apache-2.0
//! A binary package of Debian's: rebuilt from its source, in an environment of the packages that this says it is built with.

use std::sync::Arc;

use reprove_attest::Signer;
use reprove_inputs::debian::{self, Rebuildable};
use reprove_model::{Environment, Lock, PackageUrl};
use reprove_verifier::Wanted;

use crate::prove::prove;
use crate::{Context, Finished, JobError, PackagesError, note_event};

pub(crate) async fn rebuild(
    context: &Context<'_>,
    purl: &PackageUrl,
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    if context.guest.is_some() {
        return Err(PackagesError::InMachine.into());
    }
    let notes = |note| (context.events)(note_event(note));
    let Rebuildable { recipe, source, packages, published } =
        debian::fetch_published(purl, &context.apt, &context.store, &notes).await?;
    let Environment::Debian(asked) = &recipe.environment else {
        return Err(JobError::Internal("a package of Debian's is built in no environment of Debian's".into()));
    };
    let root = context.installed(asked, debian::architecture()?, &packages, false).await?;
    let mut inputs = debian::inputs(&packages)?;
    inputs.push(source);
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    let lock = context.as_asked(Lock { recipe, inputs, environment: root.locked.clone(), published: Some(published) });
    let wanted = context.wanted(&lock, &root, Wanted::of_published());
    prove(context, key, lock, root, wanted).await
}
