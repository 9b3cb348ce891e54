// SPDX-License-Identifier: Apache-2.0
//! Provenances: SLSA Provenance v1 (slsa.dev, `spec/v1.1/provenance`) for one build. What the specification names is in
//! camelCase; the values inside the parameters are the model's own, as it writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reprove_model::{
    BuildRecord, Clock, Conditions, DigestSet, Enforced, Engine, Exit, FileSystem, Isolation, Limits, Lock, Loss,
    Machine, Observed, Published, Recipe, RecipeError, Surroundings, TreePath, Variation, canonical,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{AttestError, MAX_SUBJECTS, Predicate, ResourceDescriptor, Statement, locked};

/// The environment variable that `epoch` is about (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// States how `record`'s outputs were built from `lock`, with `SOURCE_DATE_EPOCH` at `epoch` seconds, or not set.
///
/// # Errors
/// [`AttestError`] where the record is not of a successful build of this lock, or has no output file, or more than
/// [`MAX_SUBJECTS`].
pub fn provenance(lock: &Lock, record: &BuildRecord, epoch: Option<u64>) -> Result<Statement, AttestError> {
    let lock_digest = DigestSet::of(&canonical::to_vec(lock)?);
    if record.lock != lock_digest {
        return Err(AttestError::OtherLock { record: record.lock.sha256, lock: lock_digest.sha256 });
    }
    if record.inputs != lock.inputs {
        return Err(AttestError::OtherInputs);
    }
    if record.environment != lock.environment {
        return Err(AttestError::OtherEnvironment);
    }
    let record_digest = DigestSet::of(&canonical::to_vec(record)?);
    let finished = i64::try_from(record.duration_ms)
        .ok()
        .and_then(|ms| record.started.checked_add(SignedDuration::from_millis(ms)).ok())
        .ok_or(AttestError::Duration(record.duration_ms))?;
    let provenance = Provenance {
        build_definition: BuildDefinition {
            build_type: Provenance::BUILD_TYPE.into(),
            external_parameters: ExternalParameters { recipe: lock.recipe.clone() },
            internal_parameters: InternalParameters {
                conditions: record.conditions.clone(),
                isolation: record.isolation,
                machine: record.machine.clone(),
                enforced: record.enforced.clone(),
                observed: record.observed.clone(),
                undetermined: record.undetermined.clone(),
                limits: record.limits,
                network: Network::None,
                env: record.env.clone(),
                commands: record.commands.clone(),
                lock: lock_digest,
                exit: record.exit,
            },
            resolved_dependencies: locked::dependencies(lock),
        },
        run_details: RunDetails {
            builder: Builder { id: builder_id(record.isolation) },
            metadata: Metadata {
                invocation_id: record_digest.blake3.to_string(),
                started_on: record.started,
                finished_on: finished,
            },
            byproducts: [
                record.observed.listing.map(|listing| byproduct("inputs-listing", listing)),
                Some(byproduct("log", record.log.digest)),
                Some(byproduct("outputs", record.outputs.digest())),
                Some(byproduct("record", record_digest)),
            ]
            .into_iter()
            .flatten()
            .collect(),
        },
    };
    if provenance.epoch()? != epoch {
        return Err(AttestError::Epoch { given: epoch, built_with: provenance.epoch()? });
    }
    let files = record.outputs.files().take(MAX_SUBJECTS + 1);
    let subject: Vec<_> = files.map(|(path, digest, _)| byproduct(&path.to_string(), *digest)).collect();
    provenance.check(&subject)?;
    Ok(Statement { subject, predicate: Predicate::Provenance(Arc::new(provenance)) })
}

/// How the subjects were built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provenance {
    /// What went into the build.
    pub build_definition: BuildDefinition,
    /// What this one run was.
    pub run_details: RunDetails,
}

/// What went into a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildDefinition {
    /// Always [`Provenance::BUILD_TYPE`].
    pub build_type: String,
    /// What whoever asked for the build decided.
    pub external_parameters: ExternalParameters,
    /// What the builder decided.
    pub internal_parameters: InternalParameters,
    /// Every locked input in the lock's order, then the environment.
    pub resolved_dependencies: Vec<ResourceDescriptor>,
}

/// What whoever asked for a build decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalParameters {
    /// The lock's.
    pub recipe: Recipe,
}

/// What the builder decided, and how it came out. The fields are the build record's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InternalParameters {
    /// What must not matter.
    pub conditions: Conditions,
    /// In what it ran.
    pub isolation: Isolation,
    /// The virtual machine that it ran in, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Which limits and walls held.
    pub enforced: Enforced,
    /// What it was seen to ask for.
    pub observed: Observed,
    /// Of a deterministic build: where it was told what the machine says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undetermined: Option<BTreeSet<Loss>>,
    /// What the build was allowed to use.
    pub limits: Limits,
    /// What the build could reach.
    pub network: Network,
    /// The whole of the environment variables.
    pub env: BTreeMap<String, String>,
    /// What was run, one argument vector a step.
    pub commands: Vec<Vec<String>>,
    /// Of the canonical JSON of the lock that was built.
    pub lock: DigestSet,
    /// How it ended: with success, or there would be no statement.
    pub exit: Exit,
}

/// Which network a build could reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// None: the only one there is.
    None,
}

/// What one run was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunDetails {
    /// Who built.
    pub builder: Builder,
    /// When.
    pub metadata: Metadata,
    /// What came out besides the subjects: `inputs-listing` (what the build was seen to ask for, where it was watched), `log`,
    /// `outputs` (the output tree's canonical list) and `record` (the canonical JSON of the build record), in this order.
    pub byproducts: Vec<ResourceDescriptor>,
}

/// Who built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Builder {
    /// Which kind of builder: a URI below `reprove_model::NAMESPACE` that names the isolation. Who operates it is told by
    /// the key.
    pub id: String,
}

/// When one run was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The BLAKE3 digest of the build record, in hexadecimal.
    pub invocation_id: String,
    /// By the builder's clock (RFC 3339, UTC).
    pub started_on: Timestamp,
    /// The same and the wall-clock time of all steps together, in milliseconds.
    pub finished_on: Timestamp,
}

impl Provenance {
    /// The `predicateType`.
    pub const TYPE: &str = "https://slsa.dev/provenance/v1";
    /// The `buildType`, below `reprove_model::NAMESPACE`.
    pub const BUILD_TYPE: &str = "https://reprove.dev/build/v0.1";

    /// Of the canonical JSON of the build record, as the byproducts have it.
    #[must_use]
    pub fn record(&self) -> Option<DigestSet> {
        self.byproduct("record")
    }

    /// Of the output tree, as the byproducts have it.
    #[must_use]
    pub fn outputs(&self) -> Option<DigestSet> {
        self.byproduct("outputs")
    }

    /// `SOURCE_DATE_EPOCH` as the build saw it, in seconds; `None`: not set.
    ///
    /// # Errors
    /// [`ProvenanceFault::Epoch`] where it was set to what isn't a number as the specification writes it.
    pub fn epoch(&self) -> Result<Option<u64>, ProvenanceFault> {
        epoch_in(&self.build_definition.internal_parameters.env)
    }

    /// The lock that was built, made again from what is stated; its digest must be the stated one.
    pub(crate) fn lock(&self, published: Option<Published>) -> Result<Lock, ProvenanceFault> {
        let definition = &self.build_definition;
        locked::lock(&definition.external_parameters.recipe, &definition.resolved_dependencies, published)
    }

    /// Checks what one provenance says against itself.
    pub(crate) fn check(&self, subject: &[ResourceDescriptor]) -> Result<(), ProvenanceFault> {
        let BuildDefinition { build_type, external_parameters, internal_parameters, .. } = &self.build_definition;
        let RunDetails { builder, metadata, byproducts } = &self.run_details;
        if build_type != Self::BUILD_TYPE {
            return Err(ProvenanceFault::BuildType(build_type.chars().take(200).collect()));
        }
        let id = builder_id(internal_parameters.isolation);
        if builder.id != id {
            return Err(ProvenanceFault::Builder { found: builder.id.chars().take(200).collect(), expected: id });
        }
        let has_machine = internal_parameters.machine.is_some();
        let conditions = &internal_parameters.conditions;
        let has_models = |machine: &Machine| machine.engine != Engine::UserModeLinux;
        let is_possible = match &internal_parameters.machine {
            Some(machine) => {
                let is_its_own = |kernel| machine.kernel.blake3 == kernel;
                machine.is_possible()
                    && (has_models(machine) || !conditions.surroundings.old_processor)
                    && conditions.surroundings.kernel.is_none_or(is_its_own)
            }
            None => true,
        };
        let Surroundings { old_processor, kernel, file_system, .. } = &conditions.surroundings;
        let on_disk = file_system.is_some_and(FileSystem::is_on_disk);
        let needs_machine =
            matches!(conditions.clock, Clock::SetTo(_)) || *old_processor || kernel.is_some() || on_disk;
        let fits = has_machine == internal_parameters.isolation.has_machine() && (has_machine || !needs_machine);
        if !fits || !is_possible {
            return Err(ProvenanceFault::Machine);
        }
        if internal_parameters.exit != Exit::Success {
            return Err(ProvenanceFault::NotSuccess(internal_parameters.exit));
        }
        external_parameters.recipe.check()?;
        let recipe = &external_parameters.recipe;
        if internal_parameters.commands != recipe.commands() {
            return Err(ProvenanceFault::Commands);
        }
        if internal_parameters.limits != recipe.limits {
            return Err(ProvenanceFault::Limits);
        }
        let unlike = |(name, value): &(&String, &String)| internal_parameters.env.get(*name) != Some(*value);
        let own = recipe.own_variables();
        if let Some((name, _)) = own.iter().find(unlike) {
            return Err(ProvenanceFault::Variable(name.clone()));
        }
        let conditions = &internal_parameters.conditions;
        if !conditions.are_possible() || !recipe.allows(conditions) {
            return Err(ProvenanceFault::Conditions);
        }
        let (env, set) = (&internal_parameters.env, recipe.variables(conditions));
        let said = |name: &str| set.get(name);
        let decided = set.keys().map(String::as_str).chain(Variation::ALL.iter().flat_map(|v| v.variables()).copied());
        let mut names = decided.chain(env.keys().map(String::as_str)).filter(|name| *name != "SOURCE_DATE_EPOCH");
        if let Some(name) = names.find(|name| env.get(*name) != said(name)) {
            return Err(ProvenanceFault::Surroundings(name.to_owned()));
        }
        let is_fixed = *conditions == conditions.deterministic(self.epoch()?);
        let is_deterministic = recipe.build.deterministic;
        if is_fixed != is_deterministic {
            return Err(ProvenanceFault::Deterministic);
        }
        if internal_parameters.undetermined.is_some() != conditions.are_answered() {
            return Err(ProvenanceFault::Undetermined);
        }
        let known: Vec<_> = byproducts.iter().map(|b| byproduct(&b.name, b.digest)).collect();
        let names: Vec<_> = byproducts.iter().map(|b| b.name.as_str()).collect();
        let names = names.strip_prefix(&["inputs-listing"]).unwrap_or(&names);
        if *names != ["log", "outputs", "record"] || known != *byproducts {
            return Err(ProvenanceFault::Byproducts);
        }
        let observed = &internal_parameters.observed;
        if self.byproduct("inputs-listing") != observed.listing || !observed.is_possible() {
            return Err(ProvenanceFault::Observed);
        }
        if self.record().is_none_or(|record| record.blake3.to_string() != metadata.invocation_id) {
            return Err(ProvenanceFault::InvocationId);
        }
        if metadata.started_on > metadata.finished_on {
            return Err(ProvenanceFault::Times);
        }
        self.epoch()?;
        check_files(subject)
    }

    fn byproduct(&self, name: &str) -> Option<DigestSet> {
        self.run_details.byproducts.iter().find(|b| b.name == name).map(|b| b.digest)
    }
}

/// What one provenance can't say of itself.
#[derive(Debug, Error)]
pub enum ProvenanceFault {
    /// Another `buildType`.
    #[error("its buildType is {0:?}, and the only one known is {known:?}", known = Provenance::BUILD_TYPE)]
    BuildType(String),
    /// A `builder.id` that isn't that of its isolation.
    #[error("its builder.id is {found:?}; with its isolation it must be {expected:?}")]
    Builder {
        /// What is there.
        found: String,
        /// What goes with the isolation.
        expected: String,
    },
    /// A machine without an isolation that has one, or the other way round; or a machine's clock without one.
    #[error("its isolation, its clock and the virtual machine that it names, or does not name, do not fit together")]
    Machine,
    /// A build that failed.
    #[error("its build did not end with success ({0:?}), so it attests nothing")]
    NotSuccess(Exit),
    /// A recipe that can't be.
    #[error("its recipe can't be: {0}")]
    Recipe(#[from] RecipeError),
    /// Other commands than the recipe's.
    #[error("its commands are not the steps of its recipe")]
    Commands,
    /// Other limits than the recipe's.
    #[error("its limits are not those of its recipe")]
    Limits,
    /// An environment variable of the recipe that the build did not have.
    #[error("its environment variable {0} is not as in its recipe")]
    Variable(String),
    /// An environment variable that follows from the conditions, and is another; or one of theirs that they don't set.
    #[error("its environment variable {0} is not as its conditions and its recipe say")]
    Surroundings(String),
    /// Conditions that no build can be under.
    #[error("its conditions are such that no build can be under them")]
    Conditions,
    /// A deterministic build's recipe without its conditions, or the other way round.
    #[error(
        "its recipe asks for a deterministic build and its conditions are not those of one, or the other way round"
    )]
    Deterministic,
    /// It says where the runner's answers did not reach and there are none, or the other way round.
    #[error(
        "its conditions are such that the runner answers and it does not say where that did not reach, or the other way round"
    )]
    Undetermined,
    /// Other byproducts than there are.
    #[error(
        "its byproducts are not exactly inputs-listing, where there is one, log, outputs and record, in this order"
    )]
    Byproducts,
    /// What was observed contradicts itself or the byproducts.
    #[error("what it says was observed of the build does not fit together, or its listing is not the byproduct")]
    Observed,
    /// An `invocationId` that is not the record's.
    #[error("its invocationId is not the BLAKE3 digest of its build record")]
    InvocationId,
    /// It ended before it started.
    #[error("its finishedOn is before its startedOn")]
    Times,
    /// No environment at the end of the dependencies.
    #[error("the last of its resolvedDependencies is not the environment")]
    NoEnvironment,
    /// A dependency that no lock has.
    #[error("its resolved dependency {0:?} is not written as a locked input is")]
    Dependency(String),
    /// A `SOURCE_DATE_EPOCH` that is no number.
    #[error("its SOURCE_DATE_EPOCH is {0:?}, which is not a number of seconds in decimal digits")]
    Epoch(String),
    /// No output file.
    #[error("it has no subject: the build wrote no output file")]
    NoSubjects,
    /// More than [`MAX_SUBJECTS`].
    #[error("it has more than {MAX_SUBJECTS} subjects")]
    TooManySubjects,
    /// A subject that is not written as an output file is.
    #[error("its subject {0:?} is not the path of an output file, or is there twice, or has more than name and digest")]
    Subject(String),
}

/// `SOURCE_DATE_EPOCH` among these environment variables, in seconds; `None`: not set.
pub(crate) fn epoch_in(env: &BTreeMap<String, String>) -> Result<Option<u64>, ProvenanceFault> {
    let Some(text) = env.get(EPOCH) else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(seconds) if seconds.to_string() == *text => Ok(Some(seconds)),
        _ => Err(ProvenanceFault::Epoch(text.chars().take(80).collect())),
    }
}

/// The `builder.id` for an isolation.
pub(crate) fn builder_id(isolation: Isolation) -> String {
    format!("{}/builder/{}/v0.1", reprove_model::NAMESPACE, isolation.name())
}

/// Checks that `subject` is a list of output files: 1 to [`MAX_SUBJECTS`], each by one path, with digests alone.
fn check_files(subject: &[ResourceDescriptor]) -> Result<(), ProvenanceFault> {
    if subject.is_empty() {
        return Err(ProvenanceFault::NoSubjects);
    }
    if subject.len() > MAX_SUBJECTS {
        return Err(ProvenanceFault::TooManySubjects);
    }
    let mut names = BTreeSet::new();
    for file in subject {
        let plain = file.uri.is_none() && file.annotations.is_none();
        if !plain || file.name.parse::<TreePath>().is_err() || !names.insert(&file.name) {
            return Err(ProvenanceFault::Subject(file.name.chars().take(200).collect()));
        }
    }
    Ok(())
}

fn byproduct(name: &str, digest: DigestSet) -> ResourceDescriptor {
    ResourceDescriptor::named(name, digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_are_below_the_namespace() {
        for uri in [Provenance::BUILD_TYPE, crate::Comparison::TYPE, crate::Proof::FORMAT] {
            assert!(uri.starts_with(&format!("{}/", reprove_model::NAMESPACE)), "{uri}");
        }
        assert_eq!(builder_id(Isolation::Namespaces), "https://reprove.dev/builder/namespaces/v0.1");
    }
}
