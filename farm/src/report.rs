// SPDX-License-Identifier: Apache-2.0
//! What a worker says of a job, signed before it leaves the worker: an in-toto statement (in-toto attestation framework v1,
//! `spec/v1/statement.md`) in a DSSE envelope. Its subject is the request, and its predicate says which job under which epoch.

use jiff::Timestamp;
use reprove_attest::{Envelope, PublicKey, RebuildVerdict, STATEMENT_TYPE, SignatureError, Signer, SignerError};
use reprove_model::DigestSet;
use reprove_model::canonical::{self, CanonicalError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Epoch, JobId, Name};

/// What a worker says of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// Which.
    pub job: JobId,
    /// Under which lease.
    pub epoch: Epoch,
    /// Who says so.
    pub worker: Name,
    /// What it came to.
    pub outcome: Outcome,
    /// When, by the worker's clock.
    pub finished_on: Timestamp,
}

/// What a job came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Outcome {
    /// A verdict, which is never tried again.
    Verdict {
        /// Its word.
        verdict: RebuildVerdict,
        /// Of the proof's bytes.
        proof: DigestSet,
        /// Of what the builds printed, where that was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<DigestSet>,
    },
    /// No verdict.
    Failure(Failure),
}

/// Why there is no verdict. What is read is one line within the bound, or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Layout")]
pub struct Failure {
    /// Of which kind it is.
    pub class: FailureClass,
    /// In words, in one line.
    pub detail: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Layout {
    class: FailureClass,
    detail: String,
}

impl TryFrom<Layout> for Failure {
    type Error = String;

    fn try_from(Layout { class, detail }: Layout) -> Result<Self, String> {
        let failure = Self::new(class, &detail);
        if failure.detail == detail { Ok(failure) } else { Err("the detail is too long, or no single line".to_owned()) }
    }
}

impl Failure {
    /// The longest detail, in characters.
    pub const MAX_DETAIL: usize = 2000;

    /// One of a class. What is longer than [`Failure::MAX_DETAIL`] is cut, and control characters are replaced.
    #[must_use]
    pub fn new(class: FailureClass, detail: &str) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Self { class, detail: detail.chars().map(plain).take(Self::MAX_DETAIL).collect() }
    }
}

/// Kinds of failures: what they are grouped by, and whether trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// There was no more room on the worker's disk.
    DiskFull,
    /// The worker had not enough memory.
    OutOfMemory,
    /// A registry or a mirror did not answer, or not with what was asked for.
    Network,
    /// Something that the build needs is not to be had.
    MissingDependency,
    /// What was fetched has another digest than it should.
    HashMismatch,
    /// It took longer than a job may.
    Timeout,
    /// The worker's machine can't do what was asked.
    Unable,
    /// What was asked for is not what can be rebuilt: there is no such package, or none of its kind can be.
    BadRequest,
    /// The worker was told to stop.
    Stopped,
    /// The worker said nothing any more.
    Lost,
    /// A part of the program itself failed.
    Internal,
}

impl FailureClass {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::DiskFull,
        Self::OutOfMemory,
        Self::Network,
        Self::MissingDependency,
        Self::HashMismatch,
        Self::Timeout,
        Self::Unable,
        Self::BadRequest,
        Self::Stopped,
        Self::Lost,
        Self::Internal,
    ];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DiskFull => "disk-full",
            Self::OutOfMemory => "out-of-memory",
            Self::Network => "network",
            Self::MissingDependency => "missing-dependency",
            Self::HashMismatch => "hash-mismatch",
            Self::Timeout => "timeout",
            Self::Unable => "unable",
            Self::BadRequest => "bad-request",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
            Self::Internal => "internal",
        }
    }

    /// Whether it may pass the next time, here or elsewhere.
    #[must_use]
    pub fn may_pass(self) -> bool {
        !matches!(self, Self::BadRequest)
    }

    /// Whether it counts as one of the tries that a job has: a worker that was told to stop says nothing of the job.
    #[must_use]
    pub fn counts(self) -> bool {
        !matches!(self, Self::Stopped)
    }
}

/// The statement around a report.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Report,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: DigestSet,
}

/// A report whose signature was verified. Only [`VerifiedReport::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReport {
    report: Report,
    request: DigestSet,
    digest: DigestSet,
}

impl Report {
    /// The `predicateType`.
    pub const TYPE: &str = "https://reprove.dev/farm-report/v0.1";
    /// The longest that is read, in bytes.
    pub const MAX_BYTES: usize = 32_768;

    /// Signs the report; `request` is the digest of what the job was of, named `subject`.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn sign(self, subject: &str, request: DigestSet, key: &dyn Signer) -> Result<Envelope, ReportError> {
        let statement = Statement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![Subject { name: subject.to_owned(), digest: request }],
            predicate_type: Self::TYPE.to_owned(),
            predicate: self,
        };
        Ok(Envelope::sign(key, canonical::to_vec(&statement)?)?)
    }
}

impl VerifiedReport {
    /// Verifies that `key` signed it, and reads it.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn verify(envelope: &Envelope, key: &PublicKey) -> Result<Self, ReportError> {
        let length = envelope.payload().len();
        if length > Report::MAX_BYTES {
            return Err(ReportError::TooLong(length));
        }
        let payload = envelope.verify(std::slice::from_ref(key))?;
        let statement: Statement = canonical::from_slice(payload.payload())?;
        if statement.kind != STATEMENT_TYPE || statement.predicate_type != Report::TYPE {
            return Err(ReportError::Type(statement.predicate_type));
        }
        let [subject] = statement.subject.as_slice() else {
            return Err(ReportError::Subjects(statement.subject.len()));
        };
        Ok(Self { request: subject.digest, report: statement.predicate, digest: payload.digest() })
    }

    /// What it says.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The digest of the request that it is about.
    #[must_use]
    pub fn request(&self) -> DigestSet {
        self.request
    }

    /// Of the bytes that were signed: the same report again has the same, whatever its signature is.
    #[must_use]
    pub fn digest(&self) -> DigestSet {
        self.digest
    }
}

/// Why bytes are no report by a worker.
#[derive(Debug, Error)]
pub enum ReportError {
    /// It was not signed by the worker's key.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Longer than [`Report::MAX_BYTES`].
    #[error("it has {0} bytes; the most is {max}", max = Report::MAX_BYTES)]
    TooLong(usize),
    /// It can't be signed.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Not of its shape, or not in canonical form.
    #[error("it is no report: {0}")]
    Shape(#[from] CanonicalError),
    /// A statement of another kind.
    #[error("it is a statement of the type {0:?}, and no report")]
    Type(String),
    /// About none, or many.
    #[error("it has {0} subjects, and must have one")]
    Subjects(usize),
}

#[cfg(test)]
mod tests {
    use reprove_attest::SigningKey;

    use super::*;

    fn key(n: u8) -> SigningKey {
        SigningKey::ed25519([n; 32])
    }

    fn report() -> Report {
        Report {
            job: "0123456789abcdef0123456789abcdef-1".parse().unwrap(),
            epoch: Epoch(3),
            worker: "w".parse().unwrap(),
            outcome: Outcome::Failure(Failure::new(FailureClass::Network, "no\nanswer")),
            finished_on: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_is_signed_is_what_is_read() {
        let request = DigestSet::of(b"request");
        let envelope = report().sign("pkg:pypi/idna@3.20", request, &key(1)).unwrap();
        let verified = VerifiedReport::verify(&envelope, &key(1).public_key()).unwrap();
        assert_eq!((verified.report(), verified.request()), (&report(), request));
        let wrong = VerifiedReport::verify(&envelope, &key(2).public_key());
        assert!(matches!(wrong, Err(ReportError::Signature(_))), "{wrong:?}");
        // The same again is the same.
        let again = report().sign("pkg:pypi/idna@3.20", request, &key(1)).unwrap();
        assert_eq!(VerifiedReport::verify(&again, &key(1).public_key()).unwrap().digest(), verified.digest());
    }

    #[test]
    fn another_statement_is_no_report() {
        let sign = |payload: &str| Envelope::sign(&key(1), payload.as_bytes()).unwrap();
        let text =
            String::from_utf8(report().sign("s", DigestSet::of(b""), &key(1)).unwrap().payload().to_vec()).unwrap();
        let read = |text: &str| VerifiedReport::verify(&sign(text), &key(1).public_key());
        assert!(read(&text).is_ok());
        let other = text.replace("farm-report/v0.1", "farm-report/v9");
        assert!(matches!(read(&other), Err(ReportError::Type(_))));
        assert!(matches!(read(&text.replace("\"epoch\"", "\"epoche\"")), Err(ReportError::Shape(_))));
        assert!(matches!(read(&format!(" {text}")), Err(ReportError::Shape(_))));
    }

    #[test]
    fn no_more_is_read_than_the_bound() {
        let of = |length: usize| {
            let envelope = report().sign(&"s".repeat(length), DigestSet::of(b""), &key(1)).unwrap();
            (envelope.payload().len(), VerifiedReport::verify(&envelope, &key(1).public_key()))
        };
        let around = of(0).0;
        assert!(of(Report::MAX_BYTES - around).1.is_ok());
        let wrong = of(Report::MAX_BYTES - around + 1).1;
        assert!(matches!(wrong, Err(ReportError::TooLong(32_769))), "{wrong:?}");
    }

    #[test]
    fn a_detail_is_one_line_within_the_bound() {
        let of = |length: usize| Failure::new(FailureClass::Network, &"ä".repeat(length)).detail.chars().count();
        assert_eq!((of(Failure::MAX_DETAIL), of(Failure::MAX_DETAIL + 1)), (Failure::MAX_DETAIL, Failure::MAX_DETAIL));
        assert_eq!(Failure::new(FailureClass::Network, "a\nb\u{1b}c").detail, "a b c");
        let read = |detail: &str| {
            serde_json::from_value::<Failure>(serde_json::json!({ "class": "network", "detail": detail }))
        };
        assert!(read(&"ä".repeat(Failure::MAX_DETAIL)).is_ok());
        assert!(read(&"ä".repeat(Failure::MAX_DETAIL + 1)).is_err() && read("a\nb").is_err());
    }

    #[test]
    fn each_class_is_written_as_it_is_called() {
        for class in FailureClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
