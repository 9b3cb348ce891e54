// SPDX-License-Identifier: Apache-2.0
//! Proofs in code, a farm in a folder, and workers that do as they are told. Nothing is built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reprove_attest::{Envelope, Proof, RebuildVerdict, Rebuilder, SigningKey, TrustRoots};
use reprove_farm::queue::SqliteQueue;
use reprove_farm::{
    Accepted, Admission, Architecture, Assignment, Brought, Clock, Coordinator, Database, FarmError, Millis, Name,
    Outcome, Parts, Profile, Queue, Report, Request, Settings,
};
use reprove_model::{
    Between, BuildRecord, Clock as BuildClock, Conditions, Content, Derived, DigestSet, Enforced, Environment,
    EpochOrigin, EpochUsed, Exit, FileOrder, Finding, FindingKind, Input, Isolation, Limits, Lock, LockedEnvironment,
    LogRecord, Node, Observed, Outcome as BuildOutcome, PackageUrl, PeakMemory, Published, Recipe, RecordMode, Role,
    Surroundings, Tree, TreePath, Variation, Verdict, canonical,
};
use reprove_store::Store;

/// When the tests begin.
pub(crate) const START: Millis = Millis(1_800_000_000_000);

/// A clock that goes as it is told.
#[derive(Debug)]
pub(crate) struct Hands(AtomicI64);

impl Hands {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// A farm in a folder, which can be killed and started again.
pub(crate) struct Farm {
    folder: tempfile::TempDir,
    pub(crate) clock: Arc<Hands>,
    pub(crate) settings: Settings,
    coordinator: Option<Coordinator>,
}

impl Farm {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hands(AtomicI64::new(START.0)));
        let mut farm = Self { folder, clock, settings: Settings::default(), coordinator: None };
        farm.start().await;
        farm
    }

    pub(crate) async fn start(&mut self) {
        let database = self.database();
        self.start_with(database.clone(), Arc::new(SqliteQueue::new(database))).await;
    }

    fn database(&self) -> Database {
        Database::open(&self.folder.path().join("farm.db")).unwrap()
    }

    async fn start_with(&mut self, database: Database, queue: Arc<dyn Queue>) {
        let parts = Parts {
            database,
            queue,
            store: Store::open(&self.folder.path().join("store")).unwrap(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            trust: Arc::new(TrustRoots::default()),
            settings: self.settings,
        };
        self.coordinator = Some(Coordinator::start(parts).await.unwrap());
    }

    /// As after a kill: nothing that was in memory is left.
    pub(crate) async fn restart(&mut self) {
        self.coordinator = None;
        self.start().await;
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// As after a kill, with a queue that is elsewhere.
    pub(crate) async fn restart_with(&mut self, queue: Arc<dyn Queue>) {
        self.coordinator = None;
        self.start_with(self.database(), queue).await;
    }

    pub(crate) fn coordinator(&self) -> &Coordinator {
        self.coordinator.as_ref().unwrap()
    }

    /// Lets time pass, and sweeps each second of the first two.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.pass(time);
        self.coordinator().sweep().await.unwrap();
        // What lost its lease is ready at the next.
        self.coordinator().sweep().await.unwrap();
    }

    /// A number out of the database.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let read = move |connection: &rusqlite::Connection| {
            Ok::<_, FarmError>(connection.query_row(sql, [], |row| row.get(0))?)
        };
        self.coordinator().database().read(read).await.unwrap()
    }

    /// A text out of the database; `-` for none.
    pub(crate) async fn text(&self, sql: &'static str) -> String {
        let read = move |connection: &rusqlite::Connection| {
            Ok::<_, FarmError>(connection.query_row(sql, [], |row| row.get::<_, Option<String>>(0))?)
        };
        self.coordinator().database().read(read).await.unwrap().unwrap_or_else(|| "-".to_owned())
    }

    pub(crate) async fn submit(&self, request: Request) -> reprove_farm::BuildId {
        self.coordinator().submit(vec![request], "somebody", false).await.unwrap()[0].build
    }
}

pub(crate) fn package(name: &str) -> PackageUrl {
    format!("pkg:pypi/{name}@1.0").parse().unwrap()
}

/// A worker that says what it is told to say.
pub(crate) struct Hand {
    pub(crate) key: SigningKey,
    pub(crate) profile: Profile,
    pub(crate) admission: Admission,
}

impl Hand {
    /// The worker `w<n>`, with a key of its own, in namespaces.
    pub(crate) fn new(n: u8) -> Self {
        Self::named(&format!("w{n}"), n)
    }

    pub(crate) fn named(name: &str, key: u8) -> Self {
        let key = SigningKey::ed25519([key; 32]);
        let profile = Profile {
            name: name.parse().unwrap(),
            public_key: key.public_key().to_spki_pem().unwrap(),
            platform: "a test".to_owned(),
            isolation: Isolation::Namespaces,
            architecture: Architecture::X86_64,
        };
        let admission = Admission {
            token: format!("token-of-{name}"),
            operator: "somebody".to_owned(),
            domain: "default".parse().unwrap(),
            key: None,
        };
        Self { key, profile, admission }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.profile.name
    }

    /// What it sends to be registered.
    pub(crate) fn registration(&self) -> Envelope {
        Envelope::sign(&self.key, canonical::to_vec(&self.profile).unwrap()).unwrap()
    }

    pub(crate) async fn register(&self, farm: &Farm) {
        farm.coordinator().register(&self.registration(), self.admission.clone()).await.unwrap();
    }

    pub(crate) async fn lease(&self, farm: &Farm) -> Option<Assignment> {
        farm.coordinator().lease(self.name()).await.unwrap()
    }

    /// A report with a proof of this verdict.
    pub(crate) fn verdict(&self, of: &Assignment, verdict: RebuildVerdict) -> (Report, Brought) {
        let reprove_farm::Work::Package { purl } = &of.request.work else { panic!("only packages are asked for") };
        let proof = proof(purl, &self.key, verdict, self.profile.isolation);
        let log = b"what the builds printed".to_vec();
        let outcome = Outcome::Verdict { verdict, proof: DigestSet::of(&proof), log: Some(DigestSet::of(&log)) };
        (self.report(of, outcome), Brought { proof: Some(proof), log: Some(log) })
    }

    pub(crate) fn report(&self, of: &Assignment, outcome: Outcome) -> Report {
        Report {
            job: of.lease.job,
            epoch: of.lease.epoch,
            worker: self.name().clone(),
            outcome,
            finished_on: START.timestamp(),
        }
    }

    pub(crate) fn sign(&self, report: Report, of: &Request) -> Envelope {
        report.sign(&of.subject(), of.digest().unwrap(), &self.key).unwrap()
    }

    /// Sends a report.
    pub(crate) async fn bring(
        &self,
        farm: &Farm,
        of: &Assignment,
        (report, brought): (Report, Brought),
    ) -> Result<Accepted, FarmError> {
        let envelope = self.sign(report, &of.request);
        farm.coordinator().report(self.name(), envelope, brought).await
    }

    /// Does the job that it has as it should be done.
    pub(crate) async fn finish(&self, farm: &Farm, of: &Assignment, verdict: RebuildVerdict) -> Accepted {
        self.bring(farm, of, self.verdict(of, verdict)).await.unwrap()
    }
}

/// A proof that this key has signed: of two rebuilds of a package in this isolation, with this verdict.
pub(crate) fn proof(purl: &PackageUrl, key: &SigningKey, verdict: RebuildVerdict, isolation: Isolation) -> Vec<u8> {
    let name = format!("{}.whl", purl.name());
    let artifact = purl.to_string().into_bytes();
    let lock = lock(purl, &name, &artifact);
    let at = START.timestamp();
    let output: &[u8] = if verdict == RebuildVerdict::BitIdentical { &artifact } else { b"something else" };
    let records = [0, 1].map(|n| BuildRecord { isolation, ..record(&lock, n, tree(&name, output)) });
    let rebuilder = Rebuilder::default();
    let proof = match verdict {
        RebuildVerdict::Unbuildable => {
            let failed = BuildRecord {
                exit: Exit::Status { step: 0, status: 1, out_of_memory: false },
                outputs: Tree::default(),
                ..records[0].clone()
            };
            Proof::sign_failure(key, &lock, &[&failed], &rebuilder, at)
        }
        _ => {
            let details = details(&name, verdict == RebuildVerdict::BitIdentical);
            Proof::sign(key, &lock, &records.each_ref(), &details, &rebuilder, at, Vec::new())
        }
    };
    proof.unwrap().to_bytes().unwrap()
}

pub(crate) fn details(name: &str, same: bool) -> Verdict {
    let finding = Finding {
        between: Between::PublishedAndRebuilt,
        place: name.to_owned(),
        kind: FindingKind::Content,
        summary: "the bytes differ".to_owned(),
        details: vec![],
        count: 1,
        causes: vec![],
        proposed: vec![],
    };
    Verdict {
        outcome: if same { BuildOutcome::Reproducible } else { BuildOutcome::Different },
        rebuilds_agree: true,
        matches_published: Some(same),
        varied: vec![Variation::BuildPath, Variation::Hostname],
        changed_alone: vec![],
        experiments: vec![],
        tools_tried: Vec::new(),
        normalizations: vec![],
        source_date_epoch: EpochUsed { seconds: Some(315_532_800), origin: EpochOrigin::Recipe, tried: vec![] },
        findings: if same { vec![] } else { vec![finding] },
    }
}

pub(crate) fn tree(name: &str, bytes: &[u8]) -> Tree {
    let node = Node::File { mode: 0o644, size: bytes.len() as u64, digest: DigestSet::of(bytes) };
    Tree::new(BTreeMap::from([(TreePath::new(name).unwrap(), node)]).into_iter().collect()).unwrap()
}

fn lock(purl: &PackageUrl, name: &str, artifact: &[u8]) -> Lock {
    let recipe = format!(
        "package = {{ name = 'a', version = '1.0' }}\nsource = {{ package = '{purl}' }}\n\
         build = {{ steps = ['make'], source-date-epoch = {{ at = 315532800 }} }}\noutputs = {{ directory = 'dist' }}\n"
    );
    let source = Input {
        name: "source.tar.gz".parse().unwrap(),
        role: Role::Source,
        purl: Some(purl.clone()),
        content: Content::Archive { digest: DigestSet::of(b"source"), size: 6 },
    };
    Lock {
        recipe: Recipe::from_toml(&recipe).unwrap(),
        inputs: vec![source],
        environment: LockedEnvironment {
            kind: Environment::HostUsr,
            description: "a test".into(),
            digest: DigestSet::of(b"usr"),
        },
        published: Some(Published {
            purl: Some(purl.clone()),
            name: name.parse().unwrap(),
            digest: DigestSet::of(artifact),
            size: artifact.len() as u64,
            // As with tarballs of npm's, which are packed again.
            derived: (purl.kind() == "npm").then_some(Derived::Contents).into_iter().collect(),
            parts: BTreeSet::new(),
        }),
    }
}

pub(crate) fn record(lock: &Lock, number: u32, outputs: Tree) -> BuildRecord {
    let conditions = Conditions {
        build_path: format!("/build-{number}"),
        hostname: format!("host-{number}"),
        processors: 1,
        file_order: FileOrder::Sorted,
        clock: BuildClock::Host,
        surroundings: Surroundings::default(),
    };
    BuildRecord {
        lock: DigestSet::of(&canonical::to_vec(lock).unwrap()),
        inputs: lock.inputs.clone(),
        environment: lock.environment.clone(),
        commands: lock.recipe.commands(),
        env: conditions.variables().into_iter().chain([("SOURCE_DATE_EPOCH".into(), "315532800".into())]).collect(),
        limits: Limits::default(),
        isolation: Isolation::Namespaces,
        machine: None,
        enforced: Enforced::full(),
        conditions,
        started: (START.timestamp() - jiff::SignedDuration::from_secs(60)).round(jiff::Unit::Second).unwrap(),
        duration_ms: 1500,
        peak_memory: PeakMemory::ControlGroup { bytes: 4096 },
        exit: Exit::Success,
        outputs,
        log: LogRecord { digest: DigestSet::of(b"log"), size: 3, truncated: false },
        undetermined: None,
        observed: Observed { mode: RecordMode::Declared, lost: BTreeSet::new(), listing: None, paths: BTreeMap::new() },
    }
}
