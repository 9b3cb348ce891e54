// SPDX-License-Identifier: Apache-2.0
//! Records of builds that were never run.
#![allow(dead_code, reason = "each file of tests uses a part")]

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::{
    BuildRecord, Clock, Conditions, Digest, DigestSet, Enforced, Environment, EpochOrigin, EpochUsed, Exit, FileSystem,
    Isolation, Limits, LockedEnvironment, LogRecord, Node, Observed, PeakMemory, Published, PublishedPart, Tree,
    TreePath, Verdict,
};
use reprove_store::Store;
use reprove_verifier::{JudgeError, Wanted, conditions, judge};

/// What is varied here: what usually is, with two processors and clocks that are moved.
pub(crate) fn wanted() -> Wanted {
    let clock = Some((0, Clock::MovedTo as fn(u64) -> Clock));
    Wanted {
        variations: Wanted::usually(),
        processors: 2,
        clock,
        locale: None,
        memory_mib: 2048,
        processor_models: true,
        file_system: Some(FileSystem::Overlay),
        kernel: Some(Digest::of(b"another")),
        is_derivation: false,
    }
}

/// Where outputs are.
pub(crate) struct Bench {
    _dir: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { _dir: dir, store }
    }

    /// The record of a build under `conditions` that wrote these files.
    pub(crate) fn record(&self, conditions: &Conditions, files: &[(&str, &str)]) -> BuildRecord {
        let node = |text: &str| {
            let (digest, size) = self.store.add_bytes(text.as_bytes()).unwrap();
            Node::File { mode: 0o644, size, digest }
        };
        let entries: BTreeMap<_, _> =
            files.iter().map(|(path, text)| (TreePath::new(*path).unwrap(), node(text))).collect();
        let digest = DigestSet::of(b"");
        BuildRecord {
            lock: digest,
            inputs: vec![],
            environment: LockedEnvironment { kind: Environment::HostUsr, description: "test".into(), digest },
            commands: vec![],
            env: BTreeMap::new(),
            limits: Limits::default(),
            isolation: Isolation::Namespaces,
            machine: None,
            enforced: Enforced::full(),
            conditions: conditions.clone(),
            started: "2026-11-01T12:00:00Z".parse().unwrap(),
            duration_ms: 1,
            peak_memory: PeakMemory::ControlGroup { bytes: 1 },
            exit: Exit::Success,
            outputs: Tree::new(entries).unwrap(),
            log: LogRecord { digest, size: 0, truncated: false },
            observed: Observed::declared(),
            undetermined: None,
        }
    }

    pub(crate) fn pair(&self, first: &[(&str, &str)], second: &[(&str, &str)]) -> (BuildRecord, BuildRecord) {
        let (a, b) = conditions(&wanted());
        (self.record(&a, first), self.record(&b, second))
    }

    pub(crate) fn judge(
        &self,
        pair: &(BuildRecord, BuildRecord),
        published: Option<&str>,
    ) -> Result<Verdict, JudgeError> {
        self.judge_whole(pair, published, "a.whl", &[])
    }

    /// The same, where what was published has another name, and these parts.
    pub(crate) fn judge_whole(
        &self,
        pair: &(BuildRecord, BuildRecord),
        published: Option<&str>,
        name: &str,
        parts: &[&str],
    ) -> Result<Verdict, JudgeError> {
        let parts = parts.iter().map(|text| {
            let (digest, size) = self.store.add_bytes(text.as_bytes()).unwrap();
            PublishedPart { digest, size, in_source: false }
        });
        let parts = parts.collect();
        let published = published.map(|text| {
            let (digest, size) = self.store.add_bytes(text.as_bytes()).unwrap();
            Published { purl: None, name: name.parse().unwrap(), digest, size, derived: BTreeSet::new(), parts }
        });
        let epoch = EpochUsed { seconds: None, origin: EpochOrigin::Recipe, tried: vec![] };
        judge(&pair.0, &pair.1, published.as_ref(), epoch, &self.store)
    }
}
