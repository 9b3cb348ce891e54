// SPDX-License-Identifier: Apache-2.0
//! One build, from lock to record.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use jiff::Timestamp;
use reprove_images::RootFilesystem;
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{
    BuildRecord, Conditions, Content, Digest, DigestSet, Environment, Exit, InputName, Isolation, Lock, Node, Observed,
    Recipe, RecordMode, Role, Tree, TreeError, TreePath,
};
use reprove_store::{IngestError, IngestLimits, SetId, Store, StoreError};
use thiserror::Error;

use crate::determine::Told;
use crate::namespaces::{Sandbox, SandboxError, SandboxRequest, take_name};
use crate::source::SourceFiles;
use crate::surroundings::files;
use crate::trace::{ListingError, Seen, Sources, listing};
use crate::vm::{self, Machine, MachineError, MachineEvidence};

/// Runs builds.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Where inputs are, and outputs go.
    pub store: Store,
    /// In what they run.
    pub sandbox: Sandbox,
    /// The virtual machine around that, where there is to be one.
    pub machine: Option<Machine>,
}

/// One build.
#[derive(Clone, Copy, Debug)]
pub struct BuildRequest<'a> {
    /// What to build, and from what.
    pub lock: &'a Lock,
    /// The root filesystem; it must be the lock's.
    pub root: &'a RootFilesystem,
    /// The source's files; they must be the lock's.
    pub source: &'a SourceFiles,
    /// What must not matter.
    pub conditions: &'a Conditions,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970; `None`: not set.
    pub epoch: Option<u64>,
    /// The time now, for the record.
    pub started: Timestamp,
    /// How closely it is watched.
    pub watched: RecordMode,
    /// The name of the log's file, without its ending; where there is such a log, a number is added, see [`Built::log`].
    pub label: &'a str,
    /// Whether another build is sure to follow, which then begins sooner.
    pub followed: bool,
}

/// What a build came to.
#[derive(Clone, Debug)]
pub struct Built {
    /// What it read, ran and wrote.
    pub record: BuildRecord,
    /// Where its log is.
    pub log: PathBuf,
    /// What its machine's processor says of it, where that was asked for and it ended well.
    pub evidence: Option<MachineEvidence>,
}

/// Why there is no record.
#[derive(Debug, Error)]
pub enum RunError {
    /// An output that the recipe names is a symbolic link: two of them are equal whatever they lead to.
    #[error("the output `{0}` is a symbolic link, which says nothing of what it leads to; name that in `outputs`")]
    OutputLink(TreePath),
    /// What the recipe names as a directory is a file.
    #[error("`{0}` is a file; `outputs.directory` names a directory")]
    OutputFile(TreePath),
    /// There was no run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// An input is not in the store, or not whole.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An output could not be kept.
    #[error("the build ended well, but its output can't be kept: {error}; its whole log is {}", log.display())]
    Output {
        /// Why.
        #[source]
        error: IngestError,
        /// Where the log is.
        log: PathBuf,
    },
    /// There are more output files than can be stated.
    #[error("the build ended well, but it has more than {most} output files, which is the most that can be stated")]
    TooManyOutputs {
        /// The most.
        most: usize,
    },
    /// What was written makes no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The lock has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The root filesystem is not the one in the lock.
    #[error("the lock was made for another root filesystem ({locked}) than there is now ({here}); lock again")]
    Environment {
        /// Its digest in the lock.
        locked: String,
        /// The digest of the one at hand.
        here: String,
    },
    /// A build can't be under such conditions.
    #[error("the conditions are such that no build can be under")]
    Surroundings,
    /// A tool is not one file.
    #[error("the lock's tool {0} is an archive or a tree; a tool is one file")]
    Tool(InputName),
    /// Two inputs of a build would be at one place.
    #[error("two inputs are called {0}; a build sees one of that name")]
    SameName(InputName),
    /// What was seen of the build is more than it may have.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// The source is not the one in the lock.
    #[error("the source files were taken from another lock")]
    Source,
    /// The virtual machine did not build.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

impl RunError {
    /// Whether the project's own doing is why there is no record.
    #[must_use]
    pub fn is_of_project(&self) -> bool {
        match self {
            Self::OutputLink(_)
            | Self::OutputFile(_)
            | Self::Output { .. }
            | Self::TooManyOutputs { .. }
            | Self::Tree(_)
            | Self::Tool(_)
            | Self::SameName(_)
            | Self::Sandbox(SandboxError::SourceTooLarge { .. } | SandboxError::SourcePastMemory { .. }) => true,
            Self::Machine(MachineError::Inside { fault, .. }) => *fault == vm::Fault::Project,
            Self::Sandbox(_)
            | Self::Store(_)
            | Self::Canonical(_)
            | Self::Environment { .. }
            | Self::Surroundings
            | Self::Listing(_)
            | Self::Source
            | Self::Machine(_) => false,
        }
    }
}

impl Runner {
    /// Builds once.
    ///
    /// A build that fails has a record as well: [`BuildRecord::exit`] says how it failed. Dropping the future ends the
    /// build, and nothing of it stays but its log.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn build(&self, request: BuildRequest<'_>) -> Result<Built, RunError> {
        let BuildRequest { lock, root, source, conditions, epoch, started, watched, label, followed } = request;
        if root.locked != lock.environment {
            let text = |digest: &DigestSet| digest.blake3.to_string();
            let (locked, here) = (text(&lock.environment.digest), text(&root.locked.digest));
            return Err(RunError::Environment { locked, here });
        }
        if !lock.inputs.iter().any(|i| i.role == Role::Source && i.content.digest() == source.digest()) {
            return Err(RunError::Source);
        }
        if !conditions.are_possible() || !lock.recipe.allows(conditions) {
            return Err(RunError::Surroundings);
        }
        let commands = lock.recipe.commands();
        let env = environment_variables(lock, conditions, epoch);
        let inputs = self.inputs(lock)?;
        let log = take_name(&self.store.root().join("logs"), label)
            .map_err(|source| SandboxError::Io { doing: "making the build's log", source })?;
        if let Some(machine) = &self.machine {
            let (record, evidence) = vm::build(&self.sandbox, machine, &self.store, &request, &env).await?;
            vm::write_log(&record, &self.store, &log)
                .map_err(|source| SandboxError::Io { doing: "keeping the build's log", source })?;
            return Ok(Built { record, log, evidence });
        }
        let sandboxed = SandboxRequest {
            inputs,
            source: source.to_make(),
            build_path: conditions.build_path.clone(),
            hostname: conditions.hostname.clone(),
            processors: conditions.processors,
            limits: lock.recipe.limits,
            loopback: lock.recipe.build.loopback,
            env: env.clone(),
            surroundings: conditions.surroundings.clone(),
            disk: self.sandbox.disk(),
            record: watched,
            told: Told::of(conditions, Digest::of(&canonical::to_vec(&lock.recipe)?)),
            followed,
            store: store_of(&lock.recipe),
            ..SandboxRequest::new(root, self.store.blob_root(), commands.clone(), log.clone())
        };
        let outcome = self.sandbox.run(sandboxed).await?;
        let outputs = match (outcome.exit, outcome.source) {
            (Exit::Success, Some(folder)) => {
                let (runner, recipe, log) = (self.clone(), lock.recipe.clone(), log.clone());
                // On a thread of its own, so that this future can be dropped at any time.
                let taken = tokio::task::spawn_blocking(move || runner.outputs(&recipe, &folder, &log));
                taken.await.map_err(|e| SandboxError::Io { doing: "keeping the outputs", source: e.into() })??
            }
            _ => Tree::default(),
        };
        let undetermined = match &outcome.seen {
            Some(seen) if conditions.are_answered() => Some(seen.undetermined.clone()),
            _ => None,
        };
        let observed = self.observed(&request, outcome.seen, outcome.enforced.separate_user).await?;
        let record = BuildRecord {
            lock: DigestSet::of(&canonical::to_vec(lock)?),
            inputs: lock.inputs.clone(),
            environment: root.locked.clone(),
            commands,
            env,
            limits: lock.recipe.limits,
            isolation: Isolation::Namespaces,
            machine: None,
            enforced: outcome.enforced,
            conditions: conditions.clone(),
            started,
            duration_ms: outcome.duration_ms,
            peak_memory: outcome.peak_memory,
            exit: outcome.exit,
            outputs,
            log: outcome.log,
            observed,
            undetermined,
        };
        Ok(Built { record, log, evidence: None })
    }

    /// Makes the list of what was seen, and keeps it.
    async fn observed(
        &self,
        request: &BuildRequest<'_>,
        seen: Option<Seen>,
        separate_user: bool,
    ) -> Result<Observed, RunError> {
        let Some(seen) = seen.filter(|_| request.watched != RecordMode::Declared) else {
            return Ok(Observed::declared());
        };
        let (lock, mut root, source) = (request.lock.clone(), request.root.clone(), request.source.clone());
        let Conditions { hostname, surroundings, .. } = request.conditions;
        root.files = files(&root.files, hostname, surroundings);
        let home = surroundings.home.clone();
        let (mode, build_path, store) = (request.watched, request.conditions.build_path.clone(), self.store.clone());
        // It reads every file that the build has read.
        let kept = tokio::task::spawn_blocking(move || -> Result<Observed, RunError> {
            let (build_path, home) = (build_path.as_str(), home.as_deref());
            let sources = Sources { lock: &lock, root: &root, source: &source, build_path, home, separate_user };
            let listing = listing(mode, seen, &sources)?;
            let (digest, _) = store.add_bytes(&canonical::to_vec(&listing)?)?;
            Ok(listing.summary(digest))
        });
        kept.await.map_err(|e| SandboxError::Io { doing: "listing what was asked for", source: e.into() })?
    }

    fn inputs(&self, lock: &Lock) -> Result<Vec<(PathBuf, String)>, RunError> {
        let (mut inputs, mut names) = (Vec::new(), BTreeSet::new());
        for input in lock.inputs.iter().filter(|input| matches!(input.role, Role::Tool | Role::Dependency)) {
            if !names.insert(&input.name) {
                return Err(RunError::SameName(input.name.clone()));
            }
            let Content::File { digest, .. } = &input.content else {
                return Err(RunError::Tool(input.name.clone()));
            };
            self.store.verify_blob(&digest.blake3)?;
            let path = self.store.blob_root().join(Store::blob_name(&digest.blake3));
            inputs.push((path, format!("/inputs/{}", input.name)));
        }
        Ok(inputs)
    }

    /// Takes the outputs that the recipe names out of the `source` folder, by descriptor.
    fn outputs(&self, recipe: &Recipe, folder: &OwnedFd, log: &std::path::Path) -> Result<Tree, RunError> {
        let set_id = if recipe.outputs.set_id { SetId::Keep } else { SetId::Refuse };
        let bytes = u64::from(recipe.limits.disk_mib) << 20;
        let limits = IngestLimits { bytes, set_id, ..IngestLimits::default() };
        let fail = |error| RunError::Output { error, log: log.to_owned() };
        let mut entries = BTreeMap::new();
        let outputs = &recipe.outputs;
        for path in outputs.paths.iter().chain(&outputs.directory) {
            let path = TreePath::new(path.as_str()).map_err(|e| fail(e.into()))?;
            self.store.add_path_at(folder.as_fd(), &path, limits, &mut entries).map_err(fail)?;
            if outputs.nar.is_none() && matches!(entries.get(&path), Some(Node::Symlink { .. })) {
                return Err(RunError::OutputLink(path));
            }
            if outputs.directory.is_some() && matches!(entries.get(&path), Some(Node::File { .. })) {
                return Err(RunError::OutputFile(path));
            }
        }
        if let Some(directory) = &outputs.directory {
            entries = below(entries, directory.as_bytes());
        }
        if let Some(nar) = &outputs.nar {
            let (digest, size) = self.store.add_nar(&below(entries, b"store"))?;
            entries =
                [(TreePath::new(nar.as_str()).map_err(|e| fail(e.into()))?, Node::File { mode: 0o644, size, digest })]
                    .into();
        }
        count_files(entries.values())?;
        let tree = Tree::new(entries)?;
        self.store.save_tree(&tree)?;
        Ok(tree)
    }
}

/// The folder that the build makes paths of a store in, where it is a derivation.
fn store_of(recipe: &Recipe) -> Option<String> {
    match &recipe.environment {
        Environment::Closure(closure) => Some(closure.store.clone()),
        Environment::HostUsr | Environment::Debian(_) | Environment::Image(_) => None,
    }
}

/// The most files that the outputs of one build may have; folders and links are not counted.
pub const MAX_OUTPUT_FILES: usize = 10_000;

fn count_files<'a>(nodes: impl Iterator<Item = &'a Node>) -> Result<(), RunError> {
    let files = nodes.filter(|node| matches!(node, Node::File { .. })).count();
    if files > MAX_OUTPUT_FILES { Err(RunError::TooManyOutputs { most: MAX_OUTPUT_FILES }) } else { Ok(()) }
}

/// The entries below `directory`, by their path from there.
fn below(entries: BTreeMap<TreePath, Node>, directory: &[u8]) -> BTreeMap<TreePath, Node> {
    let inside = |path: &TreePath| path.as_bytes().strip_prefix(directory)?.strip_prefix(b"/").map(<[u8]>::to_vec);
    entries.into_iter().filter_map(|(path, node)| Some((TreePath::new(inside(&path)?).ok()?, node))).collect()
}

/// All variables that a build sees: what the conditions ask for, and what the recipe sets.
fn environment_variables(lock: &Lock, conditions: &Conditions, epoch: Option<u64>) -> BTreeMap<String, String> {
    let mut env = lock.recipe.variables(conditions);
    env.extend(epoch.map(|epoch| ("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string())));
    env
}
