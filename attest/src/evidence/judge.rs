// SPDX-License-Identifier: Apache-2.0
//! From evidence to what it proves of one build.

use jiff::Timestamp;
use reprove_model::{Digest, DigestSet, Isolation, Sha256};
use thiserror::Error;

use super::document::{Evidence, Nonce, Reports, Started, decoded, report_data};
use super::snp::{
    self, DirectBoot, Endorsements, Launch, LaunchDigest, LaunchError, SnpError, SnpRules, VerifiedReport,
};
use super::{TeeRoot, Vendor};

/// Whom and what an auditor believes of confidential machines. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeeTrust {
    /// The roots that evidence may end at.
    pub roots: Vec<TeeRoot>,
    /// The guests that do what their source says: the reference values.
    pub guests: Vec<ReferenceGuest>,
    /// What every report of SEV-SNP has to have.
    pub snp: SnpRules,
}

/// A guest that an auditor knows: what it is started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceGuest {
    /// What the auditor calls it.
    pub name: String,
    /// Of what its firmware puts into memory: see [`snp::Firmware::digest`].
    pub firmware: Sha256,
    /// Of its kernel's file.
    pub kernel: Sha256,
    /// Of its initrd's file.
    pub initrd: Sha256,
}

/// The build that evidence has to be of: what its provenance says.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn<'a> {
    /// The payload of the provenance.
    pub provenance: &'a [u8],
    /// Of the canonical JSON of its lock.
    pub lock: DigestSet,
    /// Of the canonical JSON of its recipe.
    pub recipe: DigestSet,
    /// BLAKE3 of the job's image.
    pub build: Digest,
    /// Of the guest's kernel's file.
    pub kernel: Sha256,
    /// Of its initrd's file.
    pub initrd: Sha256,
    /// What the kernel was told.
    pub command_line: &'a str,
    /// In what it ran, by its own word.
    pub isolation: Isolation,
    /// How many processors the machine had.
    pub processors: u32,
}

/// That a build ran in a guest that is known, by a processor's word for which a trusted root vouches. Only [`judge`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    root: TeeRoot,
    guest: String,
    measurement: LaunchDigest,
    firmware: String,
    nonce: Nonce,
}

impl Attested {
    /// Who vouches for the processor.
    #[must_use]
    pub fn root(&self) -> TeeRoot {
        self.root
    }

    /// Who makes it.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        self.root.vendor()
    }

    /// What the auditor calls the guest.
    #[must_use]
    pub fn guest(&self) -> &str {
        &self.guest
    }

    /// What the processor has measured.
    #[must_use]
    pub fn measurement(&self) -> LaunchDigest {
        self.measurement
    }

    /// The processor's firmware, as a person reads it.
    #[must_use]
    pub fn firmware(&self) -> &str {
        &self.firmware
    }

    /// What was asked to be in it.
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }
}

/// Why evidence proves nothing of a build.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvidenceError {
    /// It is for another provenance.
    #[error("it is for another provenance")]
    OtherProvenance,
    /// It says that something else was to be built.
    #[error("what the guest was given to do has another {0} than the provenance")]
    OtherJob(&'static str),
    /// Something in it is not base64.
    #[error("its {0} is not base64")]
    Base64(&'static str),
    /// A report that does not verify.
    #[error("the report at {at} does not hold: {why}")]
    Snp {
        /// Which.
        at: &'static str,
        /// Why.
        why: SnpError,
    },
    /// A report that binds something else.
    #[error("the report at {0} is for something else: it binds other data")]
    OtherData(&'static str),
    /// Two machines.
    #[error("the two reports are of two runs of a guest, or of two machines")]
    TwoMachines,
    /// The guest is one that the auditor does not know.
    #[error(
        "the guest is none that the trust file names: it has the firmware {firmware}, the kernel {kernel}, and the initrd {initrd}"
    )]
    UnknownGuest {
        /// See [`ReferenceGuest::firmware`].
        firmware: Sha256,
        /// Of its kernel's file.
        kernel: Sha256,
        /// Of its initrd's file.
        initrd: Sha256,
    },
    /// No measurement follows from what is stated.
    #[error("what the guest was started from can't be measured: {0}")]
    Launch(#[from] LaunchError),
    /// The measurement of the firmware can't be named.
    #[error("what the firmware puts into memory can't be written down")]
    Firmware,
    /// Something else was started.
    #[error(
        "the processor measured {found}, and firmware, kernel, initrd and command line as stated give {expected}: something \
         else ran"
    )]
    Measurement {
        /// By the report.
        found: LaunchDigest,
        /// By what is stated.
        expected: LaunchDigest,
    },
    /// Something of its start that no guest of ours has.
    #[error("the guest was started with {0}, as no guest that is known is")]
    Start(&'static str),
    /// The machine had another number of processors than is stated.
    #[error("the guest was measured with {measured} processors, and the provenance says {stated}")]
    Processors {
        /// By the evidence.
        measured: u32,
        /// By the provenance.
        stated: u32,
    },
    /// Evidence of another kind of machine.
    #[error("the provenance says that the isolation was {0}, and the evidence is of SEV-SNP")]
    Kind(&'static str),
    /// An emulation that says that it is hardware, or the other way round.
    #[error("the provenance says that the isolation was {stated}, and the evidence is below {root}")]
    Class {
        /// By the provenance.
        stated: &'static str,
        /// By the evidence.
        root: TeeRoot,
    },
}

/// Judges evidence at the time `at`: whether a processor for which a trusted root vouches says that the build ran in a guest
/// that is known, from what was dispatched to what came out.
///
/// # Errors
/// See [`EvidenceError`].
pub fn judge(
    evidence: &Evidence,
    built: &BuiltIn<'_>,
    trust: &TeeTrust,
    at: Timestamp,
) -> Result<Attested, EvidenceError> {
    if evidence.payload != Sha256::of(built.provenance) {
        return Err(EvidenceError::OtherProvenance);
    }
    if !matches!(built.isolation, Isolation::SevSnp | Isolation::EmulatedSnp) {
        return Err(EvidenceError::Kind(built.isolation.name()));
    }
    let dispatch = &evidence.dispatch;
    for (same, what) in [
        (dispatch.build == built.build, "job"),
        (dispatch.lock == built.lock, "lock"),
        (dispatch.recipe == built.recipe, "recipe"),
    ] {
        if !same {
            return Err(EvidenceError::OtherJob(what));
        }
    }
    let expected = [
        ("the start", dispatch.report_data(&evidence.nonce).map_err(|_| EvidenceError::OtherJob("digest"))?),
        ("the end", report_data(built.provenance, &evidence.nonce)),
    ];
    let Reports::SevSnp { started, .. } = &evidence.report;
    let reports = snp_reports(&evidence.report, trust, at)?;
    for (report, (of, data)) in reports.iter().zip(&expected) {
        if report.report().report_data() != *data {
            return Err(EvidenceError::OtherData(of));
        }
    }
    let [start, end] = &reports;
    let same_run = start.report().report_id() == end.report().report_id();
    if !same_run || start.report().chip_id() != end.report().chip_id() || start.root() != end.root() {
        return Err(EvidenceError::TwoMachines);
    }
    if end.root().is_emulated() != built.isolation.is_emulated() {
        return Err(EvidenceError::Class { stated: built.isolation.name(), root: end.root() });
    }
    if started.processors != built.processors {
        return Err(EvidenceError::Processors { measured: started.processors, stated: built.processors });
    }
    if started.features != SNP_ALONE {
        return Err(EvidenceError::Start("other features of SEV than SEV-SNP alone"));
    }
    if !Launch::is_signature(started.signature) {
        return Err(EvidenceError::Start("a type of processor that is not known"));
    }
    if started.firmware.is_emulated() && !end.root().is_emulated() {
        return Err(EvidenceError::Start("a firmware that only emulated machines start with"));
    }
    let guest = known(started, built, trust)?;
    let measurement = measured(started, built)?;
    for report in &reports {
        let found = LaunchDigest::from_bytes(report.report().measurement());
        if found != measurement {
            return Err(EvidenceError::Measurement { found, expected: measurement });
        }
    }
    let firmware = format!("{} ({})", end.product().name(), end.tcb());
    Ok(Attested { root: end.root(), guest, measurement, firmware, nonce: evidence.nonce })
}

/// `SEV_FEATURES`, where it has no other bit.
const SNP_ALONE: u64 = 1;

/// Both reports, each verified.
fn snp_reports(reports: &Reports, trust: &TeeTrust, at: Timestamp) -> Result<[VerifiedReport; 2], EvidenceError> {
    let Reports::SevSnp { start, end, key, intermediate, root, revoked, .. } = reports;
    let read = |text: &str, what| decoded(text).ok_or(EvidenceError::Base64(what));
    let (key, intermediate, root) =
        (read(key, "key")?, read(intermediate, "intermediate certificate")?, read(root, "root")?);
    let revoked = revoked.as_deref().map(|text| read(text, "list of what is revoked")).transpose()?;
    let endorsements =
        Endorsements { key: &key, intermediate: &intermediate, root: &root, revoked: revoked.as_deref() };
    let verify = |text: &str, of| {
        let report = read(text, "report")?;
        snp::verify(&report, &endorsements, &trust.roots, &trust.snp, at)
            .map_err(|why| EvidenceError::Snp { at: of, why })
    };
    Ok([verify(start, "the start")?, verify(end, "the end")?])
}

/// What the auditor calls the guest.
fn known(started: &Started, built: &BuiltIn<'_>, trust: &TeeTrust) -> Result<String, EvidenceError> {
    let firmware = started.firmware.digest().ok_or(EvidenceError::Firmware)?;
    let (kernel, initrd) = (built.kernel, built.initrd);
    let same = |guest: &&ReferenceGuest| (guest.firmware, guest.kernel, guest.initrd) == (firmware, kernel, initrd);
    let guest = trust.guests.iter().find(same);
    guest.map(|guest| guest.name.clone()).ok_or(EvidenceError::UnknownGuest { firmware, kernel, initrd })
}

/// What the processor has to have measured.
fn measured(started: &Started, built: &BuiltIn<'_>) -> Result<LaunchDigest, LaunchError> {
    let Started { firmware, processors, signature, features } = started;
    let BuiltIn { kernel, initrd, command_line, .. } = *built;
    let kernel = Some(DirectBoot { kernel, initrd, command_line });
    Launch { firmware, kernel, processors: *processors, signature: *signature, features: *features }.digest()
}
