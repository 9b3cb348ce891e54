// SPDX-License-Identifier: Apache-2.0
//! What is rebuilt in a system of packages of Debian's that nobody named in a recipe: Debian's own packages, and crates.

use std::sync::Arc;

use reprove_attest::Signer;
use reprove_images::RootFilesystem;
use reprove_inputs::cargo;
use reprove_inputs::debian::{self, BuildInfo, Rebuildable};
use reprove_model::{Derived, Environment, Lock, LockedPackage, PackageUrl, Recipe};
use reprove_verifier::Wanted;

use crate::packed::{Otherwise, prove_any};
use crate::prove::prove;
use crate::{Clients, Context, Finished, JobError, note_event};

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
    if purl.kind() == "cargo" {
        return rebuild_crate(context, purl, clients, key).await;
    }
    rebuild_debian(context, purl, None, key).await
}

/// Rebuilds a binary package of Debian's with the packages that its builder had, where `info` says which these were; else with
/// those that there are now. `key` signs the proof, also of a failure.
///
/// # Errors
/// See [`JobError`]; [`debian::BuildInfoError`] where `info` is of something else, or what it names is there no longer.
pub async fn rebuild_debian(
    context: &Context<'_>,
    purl: &PackageUrl,
    info: Option<&BuildInfo>,
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    let notes = |note| (context.events)(note_event(note));
    let fetched = debian::fetch_published(purl, info, &context.apt, &context.store, &notes).await?;
    let root = root(context, &fetched.recipe, &fetched.packages).await?;
    let lock = context.as_asked(lock(fetched, &root)?);
    let wanted = context.wanted(&lock, &root, Wanted::of_published());
    prove(context, key, lock, root, wanted).await
}

async fn rebuild_crate(
    context: &Context<'_>,
    purl: &PackageUrl,
    clients: &Clients,
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    let notes = |note| (context.events)(note_event(note));
    let fetched = cargo::fetch_published(purl, &clients.cargo, &context.apt, &context.store, &notes).await?;
    let ways = fetched.ways();
    let nothing = || JobError::Internal("nothing packs a crate".into());
    let (_, first) = ways.first().ok_or_else(nothing)?;
    let root = root(context, &first.recipe, &fetched.packages).await?;
    let locked = ways.into_iter().map(|(name, way)| Ok((name, lock(way, &root)?)));
    let mut locked = locked.collect::<Result<Vec<_>, JobError>>()?.into_iter();
    prove_any(context, key, root, Otherwise::Last, async || Ok(locked.next())).await
}

/// The system that it is built in.
async fn root(context: &Context<'_>, recipe: &Recipe, packages: &[LockedPackage]) -> Result<RootFilesystem, JobError> {
    let Environment::Debian(asked) = &recipe.environment else {
        return Err(JobError::Internal("what is built in an environment of packages has none".into()));
    };
    context.installed(asked, debian::architecture()?, packages, false).await
}

fn lock(fetched: Rebuildable, root: &RootFilesystem) -> Result<Lock, JobError> {
    let Rebuildable { recipe, mut inputs, packages, mut published } = fetched;
    if packages.iter().any(|package| package.digest() == published.digest) {
        published.derived.insert(Derived::Environment);
    }
    inputs.extend(debian::inputs(&packages)?);
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Lock { recipe, inputs, environment: root.locked.clone(), published: Some(published) })
}
