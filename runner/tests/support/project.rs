// SPDX-License-Identifier: Apache-2.0
//! A source to build, and what was seen of its build.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use reprove_model::{
    Clock, Conditions, Content, Exit, FileOrder, Input, InsidePath, Lock, ObservedListing, ObservedPath, Recipe,
    RecordMode, Role, Surroundings,
};
use reprove_runner::trace::read;
use reprove_runner::{BuildRequest, Built, RunError, Runner, Sandbox, SourceFiles};
use reprove_store::{IngestLimits, Store};
use tempfile::TempDir;

use super::{root, sandbox};

/// A build that is watched.
pub(crate) struct Watched {
    _dir: TempDir,
    pub(crate) store: Store,
    pub(crate) lock: Lock,
    pub(crate) mode: RecordMode,
    pub(crate) seconds: u32,
    /// What the time of day is moved to, and how many times as fast it goes.
    moved: Option<(u64, Option<u32>)>,
    order: FileOrder,
    pub(crate) sandbox: Sandbox,
}

impl Watched {
    /// Of these files, by `script`.
    pub(crate) fn new(mode: RecordMode, files: &[(&str, &str)], script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        for (path, text) in files {
            let path = source.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let tree = store.add_tree(&source, IngestLimits::default(), &|_| false).unwrap();
        let recipe = "package.name = 'p'\nsource.directory = '.'\nbuild.steps = ['true']\noutputs.directory = 'out'\n";
        let mut recipe = Recipe::from_toml(recipe).unwrap();
        recipe.build.steps = vec![script.to_owned()];
        let content = Content::Tree { digest: tree.digest() };
        let source = Input { name: "p".parse().unwrap(), role: Role::Source, purl: None, content };
        let lock = Lock { recipe, inputs: vec![source], environment: root().locked, published: None };
        Self { _dir: dir, store, lock, mode, seconds: 60, moved: None, order: FileOrder::Sorted, sandbox: sandbox() }
    }

    /// With the time of day moved there, and going that many times as fast.
    pub(crate) fn moved(self, second: u64, speed: Option<u32>) -> Self {
        Self { moved: Some((second, speed)), ..self }
    }

    /// With directories listed in this order.
    pub(crate) fn in_order(self, order: FileOrder) -> Self {
        Self { order, ..self }
    }

    /// As a deterministic build.
    pub(crate) fn deterministic(mut self) -> Self {
        self.lock.recipe.build.deterministic = true;
        self
    }

    /// With a tool at `/inputs/NAME`.
    pub(crate) fn with_tool(mut self, name: &str, bytes: &[u8]) -> Self {
        let (digest, size) = self.store.add_bytes(bytes).unwrap();
        let content = Content::File { digest, size };
        self.lock.inputs.push(Input { name: name.parse().unwrap(), role: Role::Tool, purl: None, content });
        self
    }

    pub(crate) async fn build(&self) -> Result<Built, RunError> {
        let conditions = Conditions {
            build_path: "/build".into(),
            hostname: "reprove".into(),
            processors: 2,
            file_order: self.order,
            clock: self.moved.map_or(Clock::Host, |(second, _)| Clock::MovedTo(second)),
            surroundings: Surroundings {
                clock_speed: self.moved.and_then(|(_, speed)| speed),
                ..Surroundings::default()
            },
        };
        let deterministic = self.lock.recipe.build.deterministic;
        let conditions = if deterministic { conditions.deterministic(None) } else { conditions };
        let mut lock = self.lock.clone();
        lock.recipe.limits.seconds = self.seconds;
        let runner = Runner { store: self.store.clone(), sandbox: self.sandbox.clone(), machine: None };
        let request = BuildRequest {
            lock: &lock,
            root: &root(),
            source: &SourceFiles::of(&lock, &self.store).unwrap(),
            conditions: &conditions,
            epoch: None,
            started: jiff::Timestamp::UNIX_EPOCH,
            watched: self.mode,
            label: "label",
            followed: false,
        };
        runner.build(request).await
    }

    /// A build that ends well, what was seen of it, and what it printed.
    pub(crate) async fn seen(&self) -> (ObservedListing, String) {
        let built = self.build().await.unwrap();
        let log = fs::read_to_string(&built.log).unwrap();
        assert_eq!(built.record.exit, Exit::Success, "{log}");
        (self.listing(&built), log)
    }

    /// What was seen of a build.
    pub(crate) fn listing(&self, built: &Built) -> ObservedListing {
        read(&self.store, &built.record.observed).unwrap().unwrap()
    }
}

/// What the listing says of a path.
pub(crate) fn entry<'l>(listing: &'l ObservedListing, path: &str) -> &'l ObservedPath {
    listing.paths.get(&InsidePath::new(path).unwrap()).unwrap_or_else(|| panic!("{path} is not listed: {listing:#?}"))
}
