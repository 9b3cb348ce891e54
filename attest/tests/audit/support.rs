// SPDX-License-Identifier: Apache-2.0
//! Samples in code: a lock, its rebuilds' records, a verdict, and a proof that can be tampered with and signed again.

use std::collections::BTreeSet;
use std::sync::Arc;

use reprove_attest::{
    Artifact, AuditError, Comparison, Envelope, Inconsistency, Predicate, Proof, Provenance, Rebuilder, Rebuilt,
    SigningKey, Statement, VerifiedProof, audit, comparison, provenance,
};
use reprove_model::{
    Between, BuildRecord, Clock, Conditions, Content, Digest, DigestSet, Enforced, Engine, Environment, EpochOrigin,
    EpochUsed, Exit, FileOrder, Finding, FindingKind, Input, Isolation, Limits, Lock, LockedEnvironment, LogRecord,
    Loss, Machine, Node, Observed, Origin, Outcome, PeakMemory, Published, Recipe, RecordMode, Role, Tree, TreePath,
    Variation, Verdict, canonical,
};

/// Who rebuilt the samples, by their own word.
pub(crate) fn rebuilder() -> Rebuilder {
    Rebuilder::default()
}

/// What the sample's artifact holds.
pub(crate) const WHEEL: &[u8] = b"a wheel";
/// What the sample's artifact is called.
pub(crate) const WHEEL_NAME: &str = "idna-3.20-py3-none-any.whl";

pub(crate) fn key() -> SigningKey {
    SigningKey::ed25519([1; 32])
}

pub(crate) fn other_key() -> SigningKey {
    SigningKey::ed25519([2; 32])
}

pub(crate) fn recipe(epoch: &str) -> Recipe {
    let text = format!(
        "package = {{ name = 'idna', version = '3.20' }}\nsource = {{ package = 'pkg:pypi/idna@3.20' }}\n\
         build = {{ steps = ['make'], source-date-epoch = {epoch} }}\noutputs = {{ directory = 'dist' }}\n"
    );
    Recipe::from_toml(&text).unwrap()
}

/// A lock of `recipe`, with something published or not.
pub(crate) fn lock_of(recipe: Recipe, published: bool) -> Lock {
    let content = |bytes: &[u8]| Content::Archive { digest: DigestSet::of(bytes), size: bytes.len() as u64 };
    Lock {
        recipe,
        inputs: vec![
            Input {
                name: "idna-3.20.tar.gz".parse().unwrap(),
                role: Role::Source,
                purl: Some("pkg:pypi/idna@3.20".parse().unwrap()),
                content: content(b"source"),
            },
            Input {
                name: "tool".parse().unwrap(),
                role: Role::Tool,
                purl: None,
                content: Content::Tree { digest: DigestSet::of(b"tool") },
            },
        ],
        environment: LockedEnvironment {
            kind: Environment::HostUsr,
            description: "Debian 13".into(),
            digest: DigestSet::of(b"usr"),
        },
        published: published.then(|| Published {
            purl: Some("pkg:pypi/idna@3.20".parse().unwrap()),
            name: WHEEL_NAME.parse().unwrap(),
            digest: DigestSet::of(WHEEL),
            size: WHEEL.len() as u64,
            derived: BTreeSet::new(),
            parts: BTreeSet::new(),
        }),
    }
}

pub(crate) fn lock(published: bool) -> Lock {
    lock_of(recipe("{ at = 315532800 }"), published)
}

pub(crate) fn tree(files: &[(&str, &[u8])]) -> Tree {
    let node = |bytes: &[u8]| Node::File { mode: 0o644, size: bytes.len() as u64, digest: DigestSet::of(bytes) };
    Tree::new(files.iter().map(|(path, bytes)| (TreePath::new(*path).unwrap(), node(bytes))).collect()).unwrap()
}

/// A virtual machine.
pub(crate) fn machine() -> Machine {
    Machine {
        engine: Engine::UserModeLinux,
        kernel: DigestSet::of(b"kernel"),
        initrd: DigestSet::of(b"initrd"),
        usr: format!("7:{}", "ab".repeat(32)),
        job: Digest::of(b"job"),
    }
}

/// The record of the rebuild with this number, counted from 0, under its own build path and host name.
pub(crate) fn record(lock: &Lock, number: u32, outputs: Tree) -> BuildRecord {
    let conditions = Conditions {
        build_path: format!("/build-{number}"),
        hostname: format!("host-{number}"),
        processors: 1,
        file_order: FileOrder::Sorted,
        clock: Clock::Host,
        surroundings: reprove_model::Surroundings::default(),
    };
    BuildRecord {
        lock: DigestSet::of(&canonical::to_vec(lock).unwrap()),
        inputs: lock.inputs.clone(),
        environment: lock.environment.clone(),
        commands: vec![vec!["/bin/sh".into(), "-ec".into(), "make".into()]],
        env: conditions.variables().into_iter().chain([("SOURCE_DATE_EPOCH".into(), "315532800".into())]).collect(),
        limits: Limits::default(),
        isolation: Isolation::Namespaces,
        machine: None,
        enforced: Enforced::full(),
        conditions,
        started: "2026-11-01T12:00:00Z".parse().unwrap(),
        duration_ms: 1500,
        peak_memory: PeakMemory::ControlGroup { bytes: 4096 },
        exit: Exit::Success,
        outputs,
        log: LogRecord { digest: DigestSet::of(b"log"), size: 3, truncated: false },
        undetermined: None,
        observed: Observed {
            mode: RecordMode::Files,
            lost: [Loss::TooMany].into(),
            listing: Some(DigestSet::of(b"listing")),
            paths: [(Origin::Absent, 2), (Origin::Source, 1)].into(),
        },
    }
}

pub(crate) fn finding(between: Between) -> Finding {
    Finding {
        between,
        place: WHEEL_NAME.into(),
        kind: FindingKind::Content,
        summary: "the bytes differ".into(),
        details: vec![],
        count: 1,
        causes: vec![],
        proposed: vec![],
    }
}

pub(crate) fn reproducible(published: bool) -> Verdict {
    Verdict {
        outcome: Outcome::Reproducible,
        rebuilds_agree: true,
        matches_published: published.then_some(true),
        varied: vec![Variation::BuildPath, Variation::Hostname],
        changed_alone: vec![],
        experiments: vec![],
        tools_tried: Vec::new(),
        normalizations: vec![],
        source_date_epoch: EpochUsed { seconds: Some(315_532_800), origin: EpochOrigin::Recipe, tried: vec![] },
        findings: vec![],
    }
}

/// The statements of one proof, before they are signed.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) provenances: Vec<Statement>,
    pub(crate) comparison: Statement,
}

impl Case {
    /// What is stated of these records of `lock`.
    pub(crate) fn of(lock: &Lock, records: &[BuildRecord], verdict: &Verdict) -> Self {
        let epoch = verdict.source_date_epoch.seconds;
        let provenances: Vec<_> = records.iter().map(|r| provenance(lock, r, epoch).unwrap()).collect();
        let payloads: Vec<_> = provenances.iter().map(|p| p.to_payload().unwrap()).collect();
        let rebuilds: Vec<_> = records
            .iter()
            .zip(&payloads)
            .map(|(record, provenance)| Rebuilt { record, provenance, evidence: None })
            .collect();
        let comparison =
            comparison(lock, &rebuilds, verdict, &rebuilder(), "2026-11-01T13:00:00Z".parse().unwrap()).unwrap();
        Self { provenances, comparison }
    }

    /// Two rebuilds that agree with each other and with what was published.
    pub(crate) fn published() -> Self {
        let lock = lock(true);
        let records = [0, 1].map(|n| record(&lock, n, tree(&[("README", b"read me"), (WHEEL_NAME, WHEEL)])));
        Self::of(&lock, &records, &reproducible(true))
    }

    /// Two rebuilds that agree, of what was never published.
    pub(crate) fn unpublished() -> Self {
        let lock = lock(false);
        let records = [0, 1].map(|n| record(&lock, n, tree(&[("README", b"read me"), (WHEEL_NAME, WHEEL)])));
        Self::of(&lock, &records, &reproducible(false))
    }

    /// Two rebuilds of what was never published, which do not agree.
    pub(crate) fn disagreeing() -> Self {
        let lock = lock(false);
        let records = [(0, b"a"), (1, b"b")].map(|(n, bytes)| record(&lock, n, tree(&[(WHEEL_NAME, bytes)])));
        let findings = vec![finding(Between::Rebuilds)];
        let verdict = Verdict { outcome: Outcome::Different, rebuilds_agree: false, findings, ..reproducible(false) };
        Self::of(&lock, &records, &verdict)
    }

    /// Two rebuilds that agree with each other, and not with what was published.
    pub(crate) fn different() -> Self {
        let lock = lock(true);
        let records = [0, 1].map(|n| record(&lock, n, tree(&[(WHEEL_NAME, b"another wheel")])));
        let findings = vec![finding(Between::PublishedAndRebuilt)];
        let matches_published = Some(false);
        let verdict = Verdict { outcome: Outcome::Different, matches_published, findings, ..reproducible(true) };
        Self::of(&lock, &records, &verdict)
    }

    pub(crate) fn provenance(&mut self, index: usize) -> &mut Provenance {
        match &mut self.provenances[index].predicate {
            Predicate::Provenance(provenance) => Arc::make_mut(provenance),
            _ => unreachable!(),
        }
    }

    pub(crate) fn comparison(&mut self) -> &mut Comparison {
        match &mut self.comparison.predicate {
            Predicate::Comparison(comparison) => Arc::make_mut(comparison),
            _ => unreachable!(),
        }
    }

    /// Makes the comparison name the provenances, and its findings, as they are now.
    pub(crate) fn relink(&mut self) {
        let digests: Vec<_> = self.provenances.iter().map(|p| DigestSet::of(&p.to_payload().unwrap())).collect();
        for (rebuild, digest) in self.comparison().rebuilds.iter_mut().zip(digests) {
            rebuild.provenance = digest;
        }
        let comparison = self.comparison();
        comparison.findings = DigestSet::of(&canonical::to_vec(&comparison.details.findings).unwrap());
    }

    /// States the lock that is made of what is stated, as a signer who changes all of it at once would.
    pub(crate) fn relock(&mut self, lock: &Lock) {
        let digest = DigestSet::of(&canonical::to_vec(lock).unwrap());
        for index in 0..self.provenances.len() {
            self.provenance(index).build_definition.internal_parameters.lock = digest;
        }
        self.comparison().lock = digest;
    }

    pub(crate) fn payloads(&self) -> Vec<Vec<u8>> {
        self.provenances.iter().chain([&self.comparison]).map(|s| s.to_payload().unwrap()).collect()
    }

    pub(crate) fn sign(&self) -> Vec<u8> {
        proof(self.payloads().into_iter().map(|payload| Envelope::sign(&key(), payload).unwrap()).collect())
    }
}

pub(crate) fn proof(envelopes: Vec<Envelope>) -> Vec<u8> {
    Proof::of(envelopes).to_bytes().unwrap()
}

/// Audits with the right key, about no file.
pub(crate) fn judge(proof: &[u8]) -> Result<VerifiedProof, AuditError> {
    audit(proof, &[], &[key().public_key()]).map(|audited| audited.compared().unwrap())
}

pub(crate) fn artifact(name: &str, bytes: &[u8]) -> Artifact {
    Artifact { name: name.into(), digest: DigestSet::of(bytes) }
}

/// Tampers with a good case, links and signs it again with the right key, and gives back why the audit refuses it.
pub(crate) fn refused(mut case: Case, tamper: impl FnOnce(&mut Case)) -> Inconsistency {
    judge(&case.sign()).unwrap();
    tamper(&mut case);
    case.relink();
    match judge(&case.sign()) {
        Err(AuditError::Inconsistent(why)) => why,
        other => panic!("{other:?}"),
    }
}
