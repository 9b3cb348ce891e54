// SPDX-License-Identifier: Apache-2.0
//! From evidence to what it proves of one build.

mod attested;
mod error;
mod foreign;
mod snp;
mod tdx;

use jiff::Timestamp;
use reprove_model::{Digest, DigestSet, Isolation, Sha256};

pub use attested::{Attested, Measured, Voucher};
pub use error::{EvidenceError, UnknownDomain, UnknownEnclave};
pub use foreign::{ReferenceEnclave, ReferenceService, ReferenceVerifier, judge_foreign};

use super::document::{Evidence, Given, GivenTables, Reports, decoded, report_data};
use super::snp::SnpRules;
use super::tdx::{Edk2, HostTables, TdxPolicy};
use super::{Sha384, TeeRoot};

/// Whom and what an auditor believes of confidential machines. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeeTrust {
    /// The roots that evidence may end at.
    pub roots: Vec<TeeRoot>,
    /// The guests that do what their source says: the reference values.
    pub guests: Vec<ReferenceGuest>,
    /// The enclaves of AWS Nitro that do.
    pub enclaves: Vec<ReferenceEnclave>,
    /// The verifiers of Confidential Containers whose word is taken.
    pub verifiers: Vec<ReferenceVerifier>,
    /// The services of the Confidential Consortium Framework whose word is taken.
    pub services: Vec<ReferenceService>,
    /// What every report of SEV-SNP has to have.
    pub snp: SnpRules,
    /// What every platform of TDX has to be.
    pub tdx: TdxPolicy,
}

/// A guest that an auditor knows: what it is started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceGuest {
    /// What the auditor calls it.
    pub name: String,
    /// Of its kernel's file.
    pub kernel: Sha256,
    /// Of its initrd's file.
    pub initrd: Sha256,
    /// Of what its firmware puts into memory under SEV-SNP, where it may run there: see [`super::snp::Firmware::digest`].
    pub firmware: Option<Sha256>,
    /// What it measures under TDX, where it may run there.
    pub domain: Option<ReferenceDomain>,
}

/// What a guest measures under TDX, but for the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceDomain {
    /// As what its firmware measures.
    pub edk2: Edk2,
    /// What the domain begins with: its firmware.
    pub mrtd: Sha384,
    /// Of the firmware's variables, which are measured together with what the host gives.
    pub configuration: Sha384,
    /// The kernel, as the firmware measures it.
    pub rtmr1: Sha384,
    /// Of the initrd's file, which is measured together with the command line.
    pub initrd: Sha384,
}

impl ReferenceDomain {
    /// RTMR0 where the host gave this.
    #[must_use]
    pub fn rtmr0(&self, given: &Given) -> Sha384 {
        let tables = given.tables.map(|GivenTables { loader, rsdp, tables, smbios }| {
            let [loader, rsdp, tables, smbios] = [loader, rsdp, tables, smbios].map(|digest| *digest.as_bytes());
            HostTables { loader, rsdp, tables, smbios }
        });
        let (configuration, memory) = (self.configuration.as_bytes(), given.memory.as_bytes());
        Sha384::from_bytes(self.edk2.rtmr0(configuration, memory, tables.as_ref()))
    }

    /// RTMR2 of a kernel that is told this.
    #[must_use]
    pub fn rtmr2(&self, command_line: &str) -> Sha384 {
        Sha384::from_bytes(self.edk2.rtmr2(command_line, self.initrd.as_bytes()))
    }
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

/// What one kind of processor says, verified, of a guest that is known.
struct Said {
    root: TeeRoot,
    guest: String,
    measured: Measured,
    firmware: String,
}

/// What the reports have to have in them, at the start and at the end.
type Bound = [(&'static str, [u8; 64]); 2];

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
    if !is_of(&evidence.report, built.isolation) {
        return Err(EvidenceError::Kind { stated: built.isolation.name(), kind: evidence.kind() });
    }
    let dispatch = evidence.dispatch.as_ref().ok_or(EvidenceError::Dispatch("does not say"))?;
    for (same, what) in [
        (dispatch.build == built.build, "job"),
        (dispatch.lock == built.lock, "lock"),
        (dispatch.recipe == built.recipe, "recipe"),
    ] {
        if !same {
            return Err(EvidenceError::OtherJob(what));
        }
    }
    let start = dispatch.report_data(&evidence.nonce).map_err(|_| EvidenceError::OtherJob("digest"))?;
    let bound = [("the start", start), ("the end", report_data(built.provenance, &evidence.nonce))];
    let said = match &evidence.report {
        Reports::SevSnp { started, .. } => snp::judge(&evidence.report, started, &bound, built, trust, at)?,
        Reports::Tdx { .. } => tdx::judge(&evidence.report, &bound, built, trust, at)?,
        Reports::Nitro { .. } | Reports::Ear { .. } | Reports::Ccf { .. } => {
            return Err(EvidenceError::Kind { stated: built.isolation.name(), kind: evidence.kind() });
        }
    };
    let Said { root, guest, measured, firmware } = said;
    if root.is_emulated() != built.isolation.is_emulated() {
        return Err(EvidenceError::Class { stated: built.isolation.name(), root });
    }
    let voucher = Voucher::Processor(root);
    Ok(Attested { voucher, guest: Some(guest), measured, firmware, nonce: evidence.nonce })
}

/// Whether such reports are of this isolation.
fn is_of(reports: &Reports, isolation: Isolation) -> bool {
    match reports {
        Reports::SevSnp { .. } => matches!(isolation, Isolation::SevSnp | Isolation::EmulatedSnp),
        Reports::Tdx { .. } => matches!(isolation, Isolation::Tdx | Isolation::EmulatedTdx),
        Reports::Nitro { .. } | Reports::Ear { .. } | Reports::Ccf { .. } => !isolation.has_evidence(),
    }
}

/// The bytes of a part of evidence.
fn read(text: &str, what: &'static str) -> Result<Vec<u8>, EvidenceError> {
    decoded(text).ok_or(EvidenceError::Base64(what))
}
