// SPDX-License-Identifier: Apache-2.0
//! What a guest and its host write for each other: jobs' disks, and the heads of reports.

use reprove_model::{
    Clock, Content, DigestSet, Engine, Input, Isolation, IsolationLevel, RecordMode, Role, Sha256, Tree,
};
use reprove_runner::vm::{Blob, Fault, Job, JobBuild, JobEvidence, JobRoot, Report, ReportedEnd};
use reprove_store::Store;

use super::documents::{WHEEL, json, lock, other_forms, record};
use super::{Corpus, File};

pub(crate) fn all() -> Vec<Corpus> {
    vec![("guest_job", jobs()), ("guest_report", reports())]
}

fn jobs() -> Vec<File> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let (digest, size) = store.add_bytes(b"a tool").unwrap();
    let mut lock = lock(false);
    lock.inputs = vec![
        Input {
            name: "source".parse().unwrap(),
            role: Role::Source,
            purl: None,
            content: Content::Tree { digest: DigestSet::of(b"tree") },
        },
        Input { name: "tool".parse().unwrap(), role: Role::Tool, purl: None, content: Content::File { digest, size } },
    ];
    let mut conditions = record(&lock, 0, WHEEL).conditions;
    conditions.clock = Clock::SetTo(1_000_000_000);
    let build = JobBuild {
        conditions,
        lock,
        epoch: Some(315_532_800),
        started: "2026-11-01T12:00:00Z".parse().unwrap(),
        watched: RecordMode::Files,
        demanded: IsolationLevel::Basic,
        confidential: Some(JobEvidence {
            isolation: Isolation::EmulatedSnp,
            nonce: Sha256::of(b"nonce"),
            engine: Engine::QemuTcg,
            kernel: DigestSet::of(b"kernel"),
            initrd: DigestSet::of(b"initrd"),
        }),
        root: Some(JobRoot {
            parts: [("/etc/alternatives".to_owned(), Tree::default())].into(),
            hidden: vec!["/usr/local".into()],
            links: vec![("/bin".into(), "usr/bin".into())],
            files: vec![("/etc/hosts".into(), "127.0.0.1 localhost\n".into())],
        }),
        source: Some(Tree::default()),
    };
    let disk = |job: &Job| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        job.write(&store, file.as_file_mut()).unwrap();
        std::fs::read(file.path()).unwrap()
    };
    let build = disk(&Job::build(1_000_000_000, build, &store).unwrap());
    let (mut other_blob, mut behind) = (build.clone(), build.clone());
    let at = build.windows(6).position(|part| part == b"a tool").unwrap();
    other_blob[at] = b'A';
    behind[at + 6] = b'!';
    vec![
        ("hello", disk(&Job::hello(1))),
        ("build", build.clone()),
        ("refused-cut", build[..at + 3].to_vec()),
        ("refused-other-blob", other_blob),
        ("refused-behind", behind),
    ]
}

fn reports() -> Vec<File> {
    let record = record(&lock(false), 0, WHEEL);
    let blobs = |record: &reprove_model::BuildRecord| {
        let listing = Blob { digest: DigestSet::of(b"listing").blake3, size: 7 };
        let files = record.outputs.files().map(|(_, digest, size)| Blob { digest: digest.blake3, size });
        files.chain([Blob { digest: record.log.digest.blake3, size: record.log.size }, listing]).collect::<Vec<_>>()
    };
    let built = Report { blobs: blobs(&record), evidence: None, end: ReportedEnd::Built(Box::new(record)) };
    let failed = ReportedEnd::Failed { fault: Fault::Project, text: "why".into() };
    let fewer = Report { blobs: built.blobs[..1].to_vec(), ..built.clone() };
    let twice = Report { blobs: [&built.blobs[..], &built.blobs[..1]].concat(), ..built.clone() };
    let mut files = vec![
        json("built", &built),
        json("hello", &Report { end: ReportedEnd::Hello, evidence: None, blobs: vec![] }),
        json("failed", &Report { end: failed.clone(), evidence: None, blobs: vec![] }),
        json("refused-blobs-of-a-failure", &Report { end: failed, evidence: None, blobs: built.blobs.clone() }),
        json("refused-fewer-blobs", &fewer),
        json("refused-blob-twice", &twice),
    ];
    let disk = [&Report::first_block(&files[0].1), &files[0].1[..]].concat();
    files.extend(other_forms(&files[0].clone()));
    files.push(("disk", disk));
    files
}
