// SPDX-License-Identifier: Apache-2.0
//! The root filesystem that a job's builds see: this machine's `/usr`, packages that are installed into a new system, or an
//! image (`images.rs`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reprove_images::{KeepError, RootFilesystem, debian, oci};
use reprove_inputs::InputsError;
use reprove_inputs::debian as packages;
use reprove_inputs::dependencies::Pythons;
use reprove_inputs::{LOCK_FILE, read_lock, write_lock};
use reprove_model::{
    Debian, Digest, DigestSet, Environment, EnvironmentLock, Input, Limits, LockedPackage, PackageLock, Recipe, Role,
    Tree,
};
use reprove_runner::Installation;
use reprove_store::Store;
use thiserror::Error;

use crate::{Context, Event, JobError, blocking, note_event};

/// Why an environment that is made of packages, or is an image, is not there.
#[derive(Debug, Error)]
pub enum PackagesError {
    /// The essential packages can't be unpacked.
    #[error(transparent)]
    Base(#[from] debian::BaseError),
    /// They can't be installed.
    #[error(transparent)]
    Install(#[from] reprove_runner::InstallError),
    /// The image's files can't be used.
    #[error(transparent)]
    Image(#[from] oci::SystemError),
    /// What was installed or unpacked can't be kept or used.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// Installed twice, they make other files.
    #[error("the packages, installed a second time, make another system: {0} is not the same")]
    Unstable(String),
    /// Installed or unpacked here, it makes other files than are locked.
    #[error("the {what} another system here than `reprove.lock` has: its BLAKE3 is {here}, and should be {locked}")]
    Other {
        /// What does: packages, or an image.
        what: &'static str,
        /// In the lock.
        locked: Digest,
        /// Here.
        here: Digest,
    },
    /// Of the locked digests, one is what comes out here, and one is not.
    #[error("`reprove.lock` contradicts itself: of its two digests of the system, one is right and one is not")]
    Contradicted,
    /// An environment of a store's paths has nothing to do with a directory.
    #[error(
        "`environment.store` is of derivations, which `reprove rebuild` makes recipes of; name one: reprove rebuild HASH-NAME.drv"
    )]
    NoDirectory,
    /// This machine's `/usr` is no image.
    #[error(
        "the environment is this machine's /usr, which is not written as an image; say in reprove.toml: environment = {{ debian = \"bookworm\", packages = [\"gcc\"] }}"
    )]
    HostUsr,
    /// Derivations are not built in virtual machines, as of now.
    #[error("derivations are not built in virtual machines yet; leave out `--isolation`")]
    InMachine,
}

/// Fails where what was installed or unpacked here is not what is locked.
pub(crate) fn is_locked(what: &'static str, locked: &DigestSet, here: &DigestSet) -> Result<(), PackagesError> {
    match (locked.blake3 == here.blake3, locked.sha256 == here.sha256) {
        (true, true) => Ok(()),
        (false, false) => Err(PackagesError::Other { what, locked: locked.blake3, here: here.blake3 }),
        (true, false) | (false, true) => Err(PackagesError::Contradicted),
    }
}

/// What came of locking a project's environment anew, and of fetching what it depends on.
#[derive(Clone, Debug)]
pub struct Relocked {
    /// What was locked before, where that can be read.
    pub before: Option<EnvironmentLock>,
    /// What is locked now; none where the environment is this machine's `/usr`, which is digested each time.
    pub now: Option<EnvironmentLock>,
    /// What is there now of what the project's own lock files name, sorted by name.
    pub dependencies: Vec<Input>,
}

/// Looks which packages there are now for the environment of a project directory's recipe, installs them, and writes its
/// `reprove.lock`, in place of what is there. Fetches what the project's own lock files name, which settle that already.
///
/// # Errors
/// See [`JobError`].
pub async fn relock(context: &Context<'_>, recipe: &Recipe, directory: &Path) -> Result<Relocked, JobError> {
    recipe.check().map_err(InputsError::from)?;
    // One that can't be read is what somebody would lock anew for.
    let before = read_lock(directory).ok().flatten();
    let (root, lock) = match &recipe.environment {
        Environment::HostUsr => {
            let root = if recipe.dependencies.is_empty() { None } else { Some(context.root_filesystem().await?) };
            let dependencies = context.fetched(recipe, directory, root.as_ref()).await?;
            return Ok(Relocked { before: None, now: None, dependencies });
        }
        Environment::Closure(_) => return Ok(Relocked { before: None, now: None, dependencies: Vec::new() }),
        Environment::Debian(asked) => {
            let (root, lock) = context.resolved(asked, packages::architecture()?).await?;
            (root, EnvironmentLock::Packages(lock))
        }
        Environment::Image(asked) => {
            let (root, lock) = context.found(asked, directory).await?;
            (root, EnvironmentLock::Image(Box::new(lock)))
        }
    };
    let dependencies = context.fetched(recipe, directory, Some(&root)).await?;
    write_lock(directory, &lock)?;
    Ok(Relocked { before, now: Some(lock), dependencies })
}

impl Context<'_> {
    /// What the lock files of a project directory name.
    async fn fetched(
        &self,
        recipe: &Recipe,
        directory: &Path,
        root: Option<&RootFilesystem>,
    ) -> Result<Vec<Input>, JobError> {
        let Some(root) = root.filter(|_| !recipe.dependencies.is_empty()) else { return Ok(Vec::new()) };
        let source = reprove_inputs::directory::source(recipe, directory, &self.store).await?;
        let mut inputs = self.dependencies(recipe, &source, root).await?;
        inputs.retain(|input| input.role == Role::Dependency);
        Ok(inputs)
    }

    /// The root filesystem of a recipe in `directory`, and what it is made of.
    pub(crate) async fn environment(
        &self,
        asked: &Environment,
        directory: &Path,
    ) -> Result<(RootFilesystem, Vec<Input>), JobError> {
        match asked {
            Environment::HostUsr => Ok((self.root_filesystem().await?, Vec::new())),
            Environment::Debian(asked) => self.of_packages(asked, directory).await,
            Environment::Closure(_) => Err(PackagesError::NoDirectory.into()),
            Environment::Image(asked) => self.of_image(asked, directory).await,
        }
    }

    /// With the packages that `reprove.lock` has, where it is for these; else with those that there are now, which are written
    /// there.
    async fn of_packages(&self, asked: &Debian, directory: &Path) -> Result<(RootFilesystem, Vec<Input>), JobError> {
        let architecture = packages::architecture()?;
        let read = read_lock(directory)?;
        let settled = match &read {
            Some(EnvironmentLock::Packages(lock))
                if lock.environment == *asked && lock.architecture == architecture =>
            {
                lock
            }
            _ => {
                let (root, lock) = self.resolved(asked, architecture).await?;
                let inputs = packages::inputs(&lock.packages)?;
                let what = format!("{} packages", lock.packages.len());
                self.write(directory, &EnvironmentLock::Packages(lock), read.is_some(), &what);
                return Ok((root, inputs));
            }
        };
        let notes = |note| (self.events)(note_event(note));
        let listed = Some(settled.packages.clone());
        let listed = packages::packages(asked, listed, &self.apt, &self.store, &notes).await?;
        let root = self.installed(asked, architecture, &listed, false).await?;
        is_locked("packages make", &settled.tree, &root.locked.digest)?;
        Ok((root, packages::inputs(&listed)?))
    }

    /// Writes what an environment is from now on; where that can't be, it is told, and no more than that.
    pub(crate) fn write(&self, directory: &Path, lock: &EnvironmentLock, in_place: bool, what: &str) {
        let why = if in_place { ", in place of one for another environment" } else { "" };
        let text = match write_lock(directory, lock) {
            Ok(()) => format!("wrote {LOCK_FILE}{why}: {what}"),
            Err(error) => {
                format!("{LOCK_FILE} could not be written, so the next build may have another environment: {error}")
            }
        };
        (self.events)(Event::Noticed(text));
    }

    /// With the packages that there are now, and what there is to lock of them.
    async fn resolved(
        &self,
        asked: &Debian,
        architecture: &'static str,
    ) -> Result<(RootFilesystem, PackageLock), JobError> {
        let notes = |note| (self.events)(note_event(note));
        let listed = packages::packages(asked, None, &self.apt, &self.store, &notes).await?;
        let root = self.installed(asked, architecture, &listed, true).await?;
        let lock = PackageLock {
            version: PackageLock::VERSION,
            tree: root.locked.digest,
            architecture: architecture.into(),
            environment: asked.clone(),
            packages: listed,
        };
        Ok((root, lock))
    }

    /// The packages, installed; from the store where they were installed before. `twice`: made anew, they are installed a
    /// second time, and have to give the same.
    pub(crate) async fn installed(
        &self,
        asked: &Debian,
        architecture: &'static str,
        listed: &[LockedPackage],
        twice: bool,
    ) -> Result<RootFilesystem, JobError> {
        let key = debian::key(listed);
        let (asked, count) = (asked.clone(), listed.len());
        let locked = move |tree| debian::locked(&asked, architecture, count, tree);
        let (store, name, packages) = (self.store.clone(), locked.clone(), listed.to_vec());
        let kept = blocking(move || debian::kept(&store, &packages, name)).await?;
        if let Some(root) = kept.map_err(PackagesError::from)? {
            return Ok(root);
        }
        self.doing(&format!("installing {count} packages into a new system; done once for each list of packages"));
        let first = self.install(listed, key, locked.clone()).await?;
        if twice {
            self.doing("installing them a second time, to see that they make the same system");
            let second = self.install(listed, key, locked.clone()).await?;
            if let Some(path) = difference(&first, &second) {
                return Err(PackagesError::Unstable(path).into());
            }
        }
        let (store, packages) = (self.store.clone(), listed.to_vec());
        let kept = blocking(move || debian::keep(&store, &packages, &first, locked(first.digest()))).await?;
        Ok(kept.map_err(PackagesError::from)?)
    }

    async fn install(
        &self,
        listed: &[LockedPackage],
        key: Digest,
        locked: impl Fn(reprove_model::DigestSet) -> reprove_model::LockedEnvironment,
    ) -> Result<Tree, JobError> {
        let (store, list) = (self.store.clone(), listed.to_vec());
        let (files, base) = blocking(move || {
            let files = named(&store, &list)?;
            let paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
            let base = debian::base(&store, &paths).map_err(PackagesError::from)?;
            Ok::<_, JobError>((files, base.with_merged()))
        })
        .await??;
        let inputs = inside(files, &base.packages);
        let installation = Installation {
            root: debian::nothing(locked(reprove_model::DigestSet::of(b""))),
            directories: debian::DIRECTORIES.map(str::to_owned).into(),
            base: base.files,
            inputs,
            scripts: debian::SCRIPTS.map(str::to_owned).into(),
            env: debian::VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            limits: Limits { seconds: 3600, memory_mib: 16 << 10, disk_mib: 16 << 10, ..Limits::default() },
            time: debian::TIME,
            seed: key,
            label: "environment".into(),
        };
        Ok(installation.run(&self.sandbox, &self.store).await.map_err(PackagesError::from)?)
    }

    /// This machine's `/usr`.
    pub(crate) async fn root_filesystem(&self) -> Result<RootFilesystem, JobError> {
        self.doing("looking at this machine's /usr");
        let store = self.store.clone();
        let now = (self.now)().as_second();
        let (say, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let root = blocking(move || {
            reprove_images::host_usr(&store, now, &|| {
                // Nobody listens only where the job was given up.
                let _ = say.send(());
            })
        });
        let told = async {
            if heard.recv().await.is_some() {
                self.doing("taking the digest of this machine's /usr; done the first time, and after a change");
            }
        };
        let (root, ()) = tokio::join!(root, told);
        Ok(root??)
    }
}

/// What `root` has that pip's packages are for; nothing is looked at where `recipe` has none of these.
pub(crate) async fn pythons(recipe: &Recipe, root: &RootFilesystem) -> Result<Pythons, JobError> {
    if recipe.dependencies.pip.is_none() {
        return Ok(Pythons { minors: Vec::new(), glibc: None });
    }
    let root = root.clone();
    let found = blocking(move || reprove_images::pythons(&root)).await?;
    let (minors, glibc) = found.map_err(|source| InputsError::Io { path: "/usr".into(), source })?;
    Ok(Pythons { minors, glibc })
}

/// Where each package's file is, which was looked at, and what it is called.
fn named(store: &Store, listed: &[LockedPackage]) -> Result<Vec<(PathBuf, String)>, JobError> {
    let one = |package: &LockedPackage| {
        store.verify_blob(&package.blake3)?;
        let wrong = || JobError::Internal(format!("the package {} has no name for a file", package.name));
        let name = package.file_name().ok_or_else(wrong)?.to_string();
        Ok((store.blob_root().join(Store::blob_name(&package.blake3)), name))
    };
    listed.iter().map(one).collect()
}

/// Where each package is inside, by whether it is one of the base.
fn inside(files: Vec<(PathBuf, String)>, base: &BTreeSet<usize>) -> Vec<(PathBuf, String)> {
    let [of_base, more] = debian::PACKAGES;
    let place = |number: &usize| if base.contains(number) { of_base } else { more };
    (0..).zip(files).map(|(number, (path, name))| (path, format!("{}/{name}", place(&number)))).collect()
}

/// The first path that is not the same in both.
fn difference(first: &Tree, second: &Tree) -> Option<String> {
    let (a, b) = (first.entries(), second.entries());
    let paths: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    paths.into_iter().find(|path| a.get(*path) != b.get(*path)).map(|path| format!("/{path}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reprove_model::{Node, TreePath};

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let tree = |mode| {
            let node = |mode| Node::Directory { mode };
            let path = |text: &str| TreePath::new(text).unwrap();
            Tree::new(BTreeMap::from([(path("usr"), node(0o755)), (path("usr/a"), node(mode))])).unwrap()
        };
        assert_eq!(difference(&tree(0o755), &tree(0o755)), None);
        assert_eq!(difference(&tree(0o755), &tree(0o700)).as_deref(), Some("/usr/a"));
        assert_eq!(difference(&tree(0o755), &Tree::default()).as_deref(), Some("/usr"));
    }

    #[test]
    fn packages_of_the_base_have_a_place_of_their_own() {
        let files = ["a", "b"].map(|name| (PathBuf::from("/blob"), name.to_owned())).into();
        let places: Vec<String> = inside(files, &BTreeSet::from([1])).into_iter().map(|(_, inside)| inside).collect();
        assert_eq!(places, ["/inputs/more/a", "/inputs/base/b"]);
    }
}
