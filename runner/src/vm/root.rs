// SPDX-License-Identifier: Apache-2.0
//! The root filesystem of a build in a machine: what a host tells its guest of it, and what the guest makes of that.
//!
//! Of this machine's `/usr` the job has what is beside it, which has to be what it always is. A kept environment is on its disk
//! as a whole, and the job has nothing of it but the lock's digest: the guest reads all its files, and takes no other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reprove_images::{MountedError, RootFilesystem, is_host_root, mounted};
use reprove_model::{Environment, Lock, Role, Tree};
use reprove_store::{Fingerprint, IngestLimits, Store};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::job::{JobBuild, JobError};

/// A root filesystem beside `/usr`; the fields are those of [`RootFilesystem`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRoot {
    /// Directories beside `/usr`, by where they appear.
    pub parts: BTreeMap<String, Tree>,
    /// Directories that appear empty.
    pub hidden: Vec<String>,
    /// Symbolic links.
    pub links: Vec<(String, String)>,
    /// Small files.
    pub files: Vec<(String, String)>,
}

/// Why a guest does not build in what it was given as a root filesystem.
#[derive(Debug, Error)]
pub enum RootError {
    /// The recipe asks for another environment than is locked.
    #[error("the lock's environment is of another kind than its recipe asks for")]
    OtherKind,
    /// Something is stated to be what the environment is made of, and `/usr` is made of nothing.
    #[error("the lock names what a machine's /usr is made of, which nobody knows")]
    Made,
    /// There is more beside `/usr` than there may be, or nothing.
    #[error("it is not one of a machine's /usr")]
    NotAsEverywhere,
    /// There is something beside an environment.
    #[error("an environment has nothing beside it, and the job has")]
    Beside,
    /// The disk has no such environment.
    #[error(transparent)]
    Mounted(#[from] MountedError),
}

impl JobBuild {
    /// The root filesystem in a guest, where the disk is mounted at `disk` and parts beside `/usr` are below `parts`, as
    /// [`JobRoot::place`] says. Of a kept environment all files are read.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn root_filesystem(&self, disk: &Path, parts: &Path) -> Result<RootFilesystem, RootError> {
        let environment = &self.lock.environment;
        if environment.kind != self.lock.recipe.environment {
            return Err(RootError::OtherKind);
        }
        let names_members = self.lock.inputs.iter().any(|input| input.role == Role::Environment);
        match (&environment.kind, &self.root) {
            (Environment::HostUsr, _) if names_members => Err(RootError::Made),
            (Environment::HostUsr, Some(root)) if root.is_as_everywhere() => {
                Ok(root.filesystem(&self.lock, disk.into(), parts))
            }
            (Environment::HostUsr, _) => Err(RootError::NotAsEverywhere),
            (_, Some(_)) => Err(RootError::Beside),
            (_, None) => Ok(mounted(disk, environment)?),
        }
    }
}

impl JobRoot {
    /// `root` without its `/usr`; none where it is a kept environment. The directories beside it are taken into the store, and
    /// have to be small.
    ///
    /// # Errors
    /// [`JobError::Part`].
    pub fn of(root: &RootFilesystem, store: &Store) -> Result<Option<Self>, JobError> {
        if root.locked.kind != Environment::HostUsr {
            return Ok(None);
        }
        let mut parts = BTreeMap::new();
        for (outside, inside) in root.binds.iter().filter(|(_, inside)| inside != "/usr") {
            let limits = IngestLimits { bytes: MAX_PART, ..IngestLimits::default() };
            let fail = |error| JobError::Part { part: inside.clone(), error };
            parts.insert(inside.clone(), store.add_tree(outside, limits, &|_| false).map_err(fail)?);
        }
        Ok(Some(Self { parts, hidden: root.hidden.clone(), links: root.links.clone(), files: root.files.clone() }))
    }

    /// Whether it is what every root filesystem of a machine's `/usr` has beside that: see [`is_host_root`].
    fn is_as_everywhere(&self) -> bool {
        is_host_root(self.parts.keys().map(String::as_str), &self.hidden, &self.links, &self.files)
    }

    fn filesystem(&self, lock: &Lock, usr: PathBuf, parts: &Path) -> RootFilesystem {
        let mut binds = vec![(usr, "/usr".to_owned())];
        binds.extend((0..).zip(self.parts.keys()).map(|(n, inside)| (Self::place(parts, n), inside.clone())));
        RootFilesystem {
            locked: lock.environment.clone(),
            // Nothing is looked at again: nothing can change it.
            fingerprint: Fingerprint::none(),
            binds,
            hidden: self.hidden.clone(),
            links: self.links.clone(),
            files: self.files.clone(),
        }
    }

    /// Where the part with this number, in the order of [`JobRoot::parts`], is below `parts`.
    #[must_use]
    pub fn place(parts: &Path, number: u32) -> PathBuf {
        parts.join(number.to_string())
    }
}

/// The most that a directory beside `/usr` may hold, in bytes.
const MAX_PART: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use std::fs::File;

    use jiff::Timestamp;
    use reprove_images::host_parts;
    use reprove_model::{
        Clock, Conditions, Content, Debian, Digest, DigestSet, FileOrder, Input, IsolationLevel, Recipe, RecordMode,
        Surroundings,
    };

    use super::*;

    /// A job in this machine's `/usr`, where `root` is what is said to be beside that.
    fn job(root: Option<JobRoot>) -> JobBuild {
        let recipe = "package = { name = 'p' }\nsource = { directory = '.' }\nbuild = { steps = ['make'] }\noutputs = { paths = ['p'] }";
        let environment = host_parts().unwrap().digested(DigestSet::of(b""), Digest::of(b"")).locked;
        let lock =
            Lock { recipe: Recipe::from_toml(recipe).unwrap(), inputs: Vec::new(), environment, published: None };
        let conditions = Conditions {
            build_path: "/build".into(),
            hostname: "h".into(),
            processors: 1,
            file_order: FileOrder::Sorted,
            clock: Clock::Host,
            surroundings: Surroundings::default(),
        };
        JobBuild {
            lock,
            conditions,
            epoch: None,
            started: Timestamp::UNIX_EPOCH,
            watched: RecordMode::Files,
            demanded: IsolationLevel::Basic,
            confidential: None,
            root,
            source: None,
        }
    }

    fn beside() -> JobRoot {
        let parts = host_parts().unwrap();
        JobRoot { parts: BTreeMap::new(), hidden: parts.hidden, links: parts.links, files: parts.files }
    }

    #[test]
    fn a_machine_s_usr_has_beside_it_what_it_always_has_and_is_made_of_nothing() {
        let take = |job: &JobBuild| job.root_filesystem(Path::new("/usr"), Path::new("/parts"));
        let mut usual = job(Some(beside()));
        assert_eq!(take(&usual).unwrap().binds, [("/usr".into(), "/usr".to_owned())]);
        assert!(matches!(take(&job(None)), Err(RootError::NotAsEverywhere)));
        let more = JobRoot { hidden: vec!["/usr/lib".into()], ..beside() };
        assert!(matches!(take(&job(Some(more))), Err(RootError::NotAsEverywhere)));
        // A list that a guest would state, and that nothing shows.
        let content = Content::File { digest: DigestSet::of(b"a package"), size: 9 };
        let role = Role::Environment;
        usual.lock.inputs = vec![Input { name: "a.deb".parse().unwrap(), role, purl: None, content }];
        assert!(matches!(take(&usual), Err(RootError::Made)));
        let debian = Environment::Debian(Debian { debian: "bookworm".into(), packages: Vec::new() });
        usual.lock.environment.kind = debian.clone();
        assert!(matches!(take(&usual), Err(RootError::OtherKind)));
        usual.lock.recipe.environment = debian;
        assert!(matches!(take(&usual), Err(RootError::Beside)));
    }

    #[test]
    fn the_bound_on_what_is_beside_it_holds_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let part = dir.path().join("part");
        std::fs::create_dir(&part).unwrap();
        let mut root = host_parts().unwrap().digested(DigestSet::of(b""), Digest::of(b""));
        root.binds = vec![("/usr".into(), "/usr".into()), (part.clone(), "/etc/alternatives".into())];
        let of = |bytes: u64| {
            File::create(part.join("file")).unwrap().set_len(bytes).unwrap();
            JobRoot::of(&root, &store)
        };
        assert_eq!(of(MAX_PART).unwrap().unwrap().parts.len(), 1);
        assert!(matches!(of(MAX_PART + 1), Err(JobError::Part { part, .. }) if part == "/etc/alternatives"));
    }
}
