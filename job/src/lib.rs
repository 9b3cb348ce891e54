// SPDX-License-Identifier: Apache-2.0
//! One job, the whole way in order: inputs → runner → verifier → attest. There is no second way.
//!
//! [`rebuild`] and [`rebuild_file`] take what somebody published; [`check`] takes a project directory. Both build under two sets of conditions,
//! judge, look for causes, and sign. [`build`] takes a project directory, builds it once, and says nothing of whether it
//! would be the same again. Dropping the future ends everything, and leaves nothing half-made.

mod bazel;
mod build;
mod builds;
mod causes;
mod confidential;
mod dated;
mod derivation;
mod environment;
mod epoch;
mod error;
mod images;
mod installed;
mod keep;
mod mending;
mod packed;
mod prove;

pub use bazel::rebuild_target;
pub use build::{BuiltOnce, build};
pub use confidential::{
    AmdCertificates, ConfidentialError, ConfidentialMachines, EmulatedProcessor, HardwareProcessor, Processor,
};
pub use dated::{Dated, DatedResult};
pub use derivation::rebuild_derivation;
pub use environment::{PackagesError, Relocked, relock};
pub use error::{BuildFailure, JobError};
pub use images::{MANIFEST_NAME, import, packed_environment, rebuild_image};
pub use installed::rebuild_debian;
pub use mending::{EPOCH, MOST_MENDS, Tried, TriedResult};

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use reprove_attest::{Rebuilder, Signer};
use reprove_images::guest::usr_image;
use reprove_images::{RootFilesystem, another_locale};
use reprove_inputs::{Apt, Cargo, InputsError, Note, Npm, Pip, Skopeo, dependencies};
use reprove_model::{
    BuildRecord, Clock, Content, DigestSet, Environment, EpochRule, FileSystem, Input, InputName, Lock, PackageUrl,
    Published, Recipe, RecordMode, Role, Tree, Variation, Verdict,
};
use reprove_runner::vm::{Formatter, Guest, Machine};
use reprove_runner::{Sandbox, SourceFiles, other_file_system};
use reprove_store::Store;
use reprove_verifier::Wanted;
use reprove_verifier::explain::Depth;

/// What every job needs, and takes from whoever starts it.
pub struct Context<'a> {
    /// Where everything is kept.
    pub store: Store,
    /// In what builds run.
    pub sandbox: Sandbox,
    /// What virtual machines around that are made of, where there are to be any. It gives no more than so many processors.
    pub guest: Option<Guest>,
    /// The same with another kernel, where there is one.
    pub other: Option<Guest>,
    /// What makes the file system of a disk of theirs to build on, where something does.
    pub formatter: Option<Formatter>,
    /// The secure processor that speaks for these machines, where one does.
    pub confidential: Option<ConfidentialMachines>,
    /// What fetches Debian's packages, for environments that are made of them.
    pub apt: Apt,
    /// What fetches published packages, and what a project depends on.
    pub clients: Clients,
    /// What fetches images from registries, for environments that are such.
    pub skopeo: Skopeo,
    /// The processors that a build may use.
    pub processors: u32,
    /// How closely builds are watched.
    pub record: RecordMode,
    /// Whether builds are deterministic ones, as if their recipes said so.
    pub deterministic: bool,
    /// What is varied, and what is done about differences.
    pub search: Search,
    /// Who rebuilds, by their own word.
    pub rebuilder: Rebuilder,
    /// The time.
    pub now: &'a (dyn Fn() -> Timestamp + Sync),
    /// Told what happens.
    pub events: &'a (dyn Fn(Event) + Sync),
}

/// What is varied between rebuilds, and what is done about differences.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// What is varied; none: what is usual.
    pub variations: Option<BTreeSet<Variation>>,
    /// What is varied beside that.
    pub also: BTreeSet<Variation>,
    /// What is not, and why, as if the recipe said so.
    pub pinned: BTreeMap<Variation, String>,
    /// How far causes are looked for.
    pub depth: Depth,
    /// Whether mends are tried.
    pub try_mends: bool,
}

/// What happens in a job. Each text is one line, without a final stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This is being done now.
    Doing(String),
    /// Something that is no error, and that may explain a result later.
    Noticed(String),
}

/// A job that came to a verdict.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What was built.
    pub lock: Lock,
    /// What it came to.
    pub verdict: Verdict,
    /// The two rebuilds.
    pub records: [BuildRecord; 2],
    /// Where what they printed is.
    pub logs: [PathBuf; 2],
    /// The proof's bytes.
    pub proof: Vec<u8>,
    /// Which programs were seen to ask for what a cause, or what may be one, decides; no part of the proof.
    pub asked: BTreeMap<Variation, Vec<String>>,
    /// What came of building at the time that the published artifact is of; no part of the proof.
    pub dated: Option<Dated>,
    /// What mends were tried, and what came of them; no part of the proof.
    pub mends: Vec<Tried>,
}

/// The ecosystems' clients that fetch.
pub struct Clients {
    /// For `pkg:pypi`.
    pub pip: Pip,
    /// For `pkg:npm`, and `package-lock.json`.
    pub npm: Npm,
    /// For `pkg:cargo`, and `Cargo.lock`.
    pub cargo: Cargo,
}

/// Rebuilds a published package from its source, and compares the two; `key` signs the proof, also of a failure.
///
/// # Errors
/// See [`JobError`].
pub async fn rebuild(context: &Context<'_>, purl: &PackageUrl, key: &Arc<dyn Signer>) -> Result<Finished, JobError> {
    reprove_inputs::check(purl)?;
    let clients = &context.clients;
    if installed::is_for(purl.kind()) {
        return installed::rebuild(context, purl, clients, key).await;
    }
    let root = context.root_filesystem().await?;
    let notes = |note| (context.events)(note_event(note));
    if purl.kind() == "npm" {
        let tarball = reprove_inputs::npm::fetch(purl, &clients.npm, &context.store, &notes).await?;
        return packed::prove(context, key, &tarball, &clients.npm, root).await;
    }
    packed::prove_release(context, key, purl, &clients.pip, root).await
}

/// Rebuilds a file that somebody published from a project's directory, and compares the two; `key` signs the proof, also of a
/// failure. `artifact` is the file, and what it is called: one output has to have that name.
///
/// # Errors
/// See [`JobError`]; [`JobError::ArtifactInSource`] where a build would only have to copy it.
pub async fn rebuild_file(
    context: &Context<'_>,
    recipe: Recipe,
    directory: &Path,
    artifact: (InputName, File),
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    has_output(&recipe, artifact.0.as_str())?;
    let (mut lock, root) = context.lock_directory(recipe, directory).await?;
    let (store, (name, mut file)) = (context.store.clone(), artifact);
    let inputs = lock.inputs.clone();
    lock.published = Some(
        blocking(move || {
            let (digest, size) = store.add_reader(&mut file)?;
            is_not_in_source(&store, &inputs, &digest)?;
            Ok::<_, JobError>(Published {
                purl: None,
                name,
                digest,
                size,
                derived: BTreeSet::new(),
                parts: BTreeSet::new(),
            })
        })
        .await??,
    );
    let wanted = context.wanted(&lock, &root, Wanted::of_published());
    prove::prove(context, key, lock, root, wanted).await
}

/// Fails where a recipe names its outputs, and none of them is called so.
fn has_output(recipe: &Recipe, name: &str) -> Result<(), JobError> {
    let paths = &recipe.outputs.paths;
    if !paths.is_empty() && recipe.outputs.directory.is_none() && !paths.iter().any(|path| path == name) {
        return Err(JobError::NoSuchOutput { name: name.to_owned(), outputs: paths.join(", ") });
    }
    Ok(())
}

/// Fails where what was published is in the source, so that a build would only have to copy it.
fn is_not_in_source(store: &Store, inputs: &[Input], digest: &DigestSet) -> Result<(), JobError> {
    for input in inputs {
        let tree = match &input.content {
            Content::Tree { digest: tree } => tree,
            Content::File { digest: file, .. } | Content::Archive { digest: file, .. } if file == digest => {
                return Err(JobError::ArtifactInSource(input.name.to_string()));
            }
            Content::File { .. } | Content::Archive { .. } => continue,
        };
        let tree = store.load_tree(&tree.blake3)?;
        if let Some((path, ..)) = tree.files().find(|(_, other, _)| *other == digest) {
            return Err(JobError::ArtifactInSource(path.to_string()));
        }
    }
    Ok(())
}

/// Builds a project directory twice, under other conditions each time, and compares the two; `key` signs the proof, also of
/// a failure.
///
/// # Errors
/// See [`JobError`].
pub async fn check(
    context: &Context<'_>,
    recipe: Recipe,
    directory: &Path,
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    check_either(context, recipe, (directory, None), key).await
}

/// The same for a project that was sent: its source is `tree`, which the store has, whatever Git would leave out of it. It is
/// laid out in `directory`, for what the environment needs of it.
///
/// # Errors
/// See [`JobError`].
pub async fn check_tree(
    context: &Context<'_>,
    recipe: Recipe,
    (directory, tree): (&Path, &Tree),
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    check_either(context, recipe, (directory, Some(tree)), key).await
}

async fn check_either(
    context: &Context<'_>,
    recipe: Recipe,
    source: (&Path, Option<&Tree>),
    key: &Arc<dyn Signer>,
) -> Result<Finished, JobError> {
    if recipe.build.source_date_epoch == EpochRule::Search {
        return Err(JobError::NothingToSearch);
    }
    let (lock, root) = context.lock_source(recipe, source).await?;
    let wanted = context.wanted(&lock, &root, Wanted::usually());
    prove::prove(context, key, lock, root, wanted).await
}

impl Context<'_> {
    fn doing(&self, what: &str) {
        (self.events)(Event::Doing(what.to_owned()));
    }

    /// A lock whose recipe says what was asked for besides.
    fn as_asked(&self, mut lock: Lock) -> Lock {
        lock.recipe.build.deterministic |= self.deterministic;
        lock.recipe.pinned.extend(self.search.pinned.clone());
        lock
    }

    /// What is varied: what is asked for, or else `usual`, but for what the recipe has settled.
    fn wanted(&self, lock: &Lock, root: &RootFilesystem, usual: BTreeSet<Variation>) -> Wanted {
        let now = u64::try_from((self.now)().as_second()).unwrap_or(0);
        let variations = self.search.variations.clone().unwrap_or(usual);
        let wanted = Wanted {
            variations: variations.union(&self.search.also).copied().collect(),
            processors: self.processors,
            clock: self.moved_clock(lock).map(|moved| (now, moved)),
            locale: another_locale(root),
            memory_mib: lock.recipe.limits.memory_mib,
            file_system: self.other_file_system(),
            kernel: self.other.as_ref().filter(|_| self.confidential.is_none()).map(|other| other.kernel_digest.blake3),
            is_derivation: false,
            processor_models: self.guest.as_ref().is_some_and(Guest::has_models) && self.confidential.is_none(),
        };
        wanted.but_for(&lock.recipe)
    }

    /// What else a build can write to.
    fn other_file_system(&self) -> Option<FileSystem> {
        match &self.guest {
            Some(_) => self.formatter.as_ref().filter(|_| self.confidential.is_none()).map(|formatter| formatter.kind),
            None => other_file_system(),
        }
    }

    /// How clocks are moved in a build where they can be: a machine has its own, and in namespaces the runner answers.
    fn moved_clock(&self, lock: &Lock) -> Option<fn(u64) -> Clock> {
        let moved: fn(u64) -> Clock = if self.guest.is_some() { Clock::SetTo } else { Clock::MovedTo };
        (!lock.recipe.build.deterministic).then_some(moved)
    }

    /// The machine for builds in `root`, with an image of its `/usr` or of all of it.
    async fn machine(&self, root: &RootFilesystem) -> Result<Option<Machine>, JobError> {
        let Some(guest) = self.guest.clone() else { return Ok(None) };
        let is_usr = root.locked.kind == Environment::HostUsr;
        let (store, root) = (self.store.clone(), root.clone());
        let (say, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let image = blocking(move || {
            usr_image(&store, &root, &|| {
                // Nobody listens only where the job was given up.
                let _ = say.send(());
            })
        });
        let told = async {
            if heard.recv().await.is_some() {
                let what = if is_usr {
                    "this machine's /usr; done the first time, and after a change"
                } else {
                    "the environment; done once"
                };
                self.doing(&format!("making an image of {what}"));
            }
        };
        let (image, ()) = tokio::join!(image, told);
        let confidential = self.confidential.as_ref().map(ConfidentialMachines::confidential);
        let (other, formatter) = (self.other.clone(), self.formatter.clone());
        Ok(Some(Machine { guest, other, formatter, usr: image??, confidential }))
    }

    /// The lock of a project directory, and the root filesystem that it is built in.
    /// The lock of a project in a directory.
    async fn lock_directory(&self, recipe: Recipe, directory: &Path) -> Result<(Lock, RootFilesystem), JobError> {
        self.lock_source(recipe, (directory, None)).await
    }

    /// The same; its source is read there unless it is known already.
    async fn lock_source(
        &self,
        mut recipe: Recipe,
        (directory, tree): (&Path, Option<&Tree>),
    ) -> Result<(Lock, RootFilesystem), JobError> {
        recipe.build.deterministic |= self.deterministic;
        recipe.pinned.extend(self.search.pinned.clone());
        recipe.check().map_err(InputsError::from)?;
        let (root, inputs) = self.environment(&recipe.environment, directory).await?;
        self.doing("reading the source");
        let environment = root.locked.clone();
        let mut lock = match tree {
            None => reprove_inputs::directory::lock(recipe, directory, &self.store, environment).await?,
            Some(tree) => {
                let inputs = vec![reprove_inputs::directory::of_tree(&recipe, tree)?];
                Lock { recipe, inputs, environment, published: None }
            }
        };
        lock.inputs.extend(inputs);
        let source = lock.inputs.iter().find(|input| input.role == Role::Source).cloned();
        if let Some(source) = source {
            lock.inputs.extend(self.dependencies(&lock.recipe, &source, &root).await?);
        }
        lock.inputs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((lock, root))
    }

    /// What `source` depends on, by the lock files that its recipe names, in a build that sees `root`.
    pub(crate) async fn dependencies(
        &self,
        recipe: &Recipe,
        source: &Input,
        root: &RootFilesystem,
    ) -> Result<Vec<Input>, JobError> {
        let Clients { npm, cargo, pip } = &self.clients;
        let notes = |note| (self.events)(note_event(note));
        let pythons = environment::pythons(recipe, root).await?;
        let clients = dependencies::Clients { cargo, npm, pip, pythons: &pythons };
        Ok(dependencies::inputs(recipe, source, clients, &self.store, &notes).await?)
    }

    /// The source's files. The first build's namespaces are made while they are read.
    async fn source_files(&self, lock: &Lock) -> Result<SourceFiles, JobError> {
        let (store, lock) = (self.store.clone(), lock.clone());
        let (files, ()) = tokio::join!(blocking(move || SourceFiles::of(&lock, &store)), async {
            if self.guest.is_none() {
                self.sandbox.prepare();
            }
        });
        Ok(files??)
    }
}

/// Makes sure, after the last build, that all builds saw the root filesystem that the lock has.
async fn still_the_same(root: &RootFilesystem) -> Result<(), JobError> {
    let root = root.clone();
    match blocking(move || reprove_images::unchanged(&root)).await?? {
        true => Ok(()),
        false => Err(JobError::EnvironmentChanged),
    }
}

fn note_event(note: Note) -> Event {
    match note {
        Note::Doing(text) => Event::Doing(text),
        Note::Noticed(text) => Event::Noticed(text),
    }
}

/// Runs what computes or reads for long on a thread of its own, so that the future can still be dropped.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JobError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| JobError::Internal(e.to_string()))
}
