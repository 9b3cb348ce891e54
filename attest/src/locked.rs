// SPDX-License-Identifier: Apache-2.0
//! A lock, as statements have it: what is in `resolvedDependencies`, and the way back.

use reprove_model::{Content, Environment, Input, Lock, LockedEnvironment, Published, Recipe, Role};

use crate::{Annotations, ProvenanceFault, ResourceDescriptor};

/// Every locked input in the lock's order, then the environment.
pub(crate) fn dependencies(lock: &Lock) -> Vec<ResourceDescriptor> {
    let input = |input: &Input| ResourceDescriptor {
        name: input.name.to_string(),
        uri: input.purl.clone(),
        digest: *input.content.digest(),
        annotations: Some(match input.content {
            Content::File { size, .. } => Annotations::File { role: input.role, size },
            Content::Archive { size, .. } => Annotations::Archive { role: input.role, size },
            Content::Tree { .. } => Annotations::Tree { role: input.role },
        }),
    };
    let LockedEnvironment { kind, description, digest } = &lock.environment;
    let environment = ResourceDescriptor {
        annotations: Some(Annotations::Environment { kind: kind.clone(), description: description.clone() }),
        ..ResourceDescriptor::named("environment", *digest)
    };
    lock.inputs.iter().map(input).chain([environment]).collect()
}

/// The lock that is made of what is stated.
pub(crate) fn lock(
    recipe: &Recipe,
    dependencies: &[ResourceDescriptor],
    published: Option<Published>,
) -> Result<Lock, ProvenanceFault> {
    let fault = |d: &ResourceDescriptor| ProvenanceFault::Dependency(d.name.chars().take(80).collect());
    let (environment, inputs) = dependencies.split_last().ok_or(ProvenanceFault::NoEnvironment)?;
    let Some(Annotations::Environment { kind, description }) = &environment.annotations else {
        return Err(ProvenanceFault::NoEnvironment);
    };
    if environment.name != "environment" || environment.uri.is_some() || *kind != recipe.environment {
        return Err(ProvenanceFault::NoEnvironment);
    }
    let input = |d: &ResourceDescriptor| {
        let digest = d.digest;
        let (role, content) = match d.annotations.as_ref().ok_or_else(|| fault(d))? {
            Annotations::File { role, size } => (*role, Content::File { digest, size: *size }),
            Annotations::Archive { role, size } => (*role, Content::Archive { digest, size: *size }),
            Annotations::Tree { role } => (*role, Content::Tree { digest }),
            Annotations::Environment { .. } => return Err(fault(d)),
        };
        // Nobody knows what a machine's own files are made of.
        if role == Role::Environment && *kind == Environment::HostUsr {
            return Err(fault(d));
        }
        Ok(Input { name: d.name.parse().map_err(|_| fault(d))?, role, purl: d.uri.clone(), content })
    };
    Ok(Lock {
        recipe: recipe.clone(),
        inputs: inputs.iter().map(input).collect::<Result<_, _>>()?,
        environment: LockedEnvironment {
            kind: kind.clone(),
            description: description.clone(),
            digest: environment.digest,
        },
        published,
    })
}
