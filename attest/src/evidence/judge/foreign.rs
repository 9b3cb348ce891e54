// SPDX-License-Identifier: Apache-2.0
//! Evidence of builds that ran, whole, in something that reprove has not started: an enclave of AWS Nitro, a machine that a
//! verifier has looked at, or what a service takes into its ledger. There is no dispatch, and the isolation is what the build says of itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use reprove_model::{Isolation, Sha256};

use super::{Attested, EvidenceError, Measured, TeeTrust, UnknownEnclave, Voucher, is_of, read};
use crate::PublicKey;
use crate::evidence::ccf::{self, CcfService};
use crate::evidence::document::{Evidence, Reports, bound_digest, report_data};
use crate::evidence::nitro::{self, ExpectedEnclave, NitroRoot};
use crate::evidence::{HardwareRoot, Sha384, TeeRoot, Vendor, ear};

/// The names of the registers that an auditor can name, by their numbers.
pub(super) const REGISTERS: [&str; 9] = ["pcr0", "pcr1", "pcr2", "pcr3", "pcr4", "pcr5", "pcr6", "pcr7", "pcr8"];

/// An enclave of AWS Nitro that an auditor knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceEnclave {
    /// What the auditor calls it.
    pub name: String,
    /// Its registers, by their numbers from 0 to 8. 0, 1 and 2 are there. What is not named, may be anything.
    pub registers: BTreeMap<u8, Sha384>,
}

impl ReferenceEnclave {
    /// The highest number of a register that can be named.
    pub const MAX_REGISTER: u8 = 8;
    /// The registers that have to be named: the image, kernel and boot, and the application.
    pub const REQUIRED: [u8; 3] = [0, 1, 2];
}

/// A verifier of Confidential Containers whose word an auditor takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceVerifier {
    /// What the auditor calls it.
    pub name: String,
    /// Its key: ECDSA over P-256.
    pub key: PublicKey,
    /// The kinds of processors that are taken, as it calls them: `snp` is AMD's, `tdx` is Intel's, and whatever else is named
    /// is EMULATED.
    pub tees: BTreeSet<String>,
    /// Its policies that are taken.
    pub policies: BTreeSet<String>,
    /// The part of the machine that is the guest.
    pub submodule: String,
    /// Whether the auditor says that all it looks at is EMULATED.
    pub is_emulated: bool,
}

/// A service of the Confidential Consortium Framework whose word an auditor takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceService {
    /// What the auditor calls it.
    pub name: String,
    /// Its certificate.
    pub service: CcfService,
    /// Whether the auditor says that it is EMULATED: its certificate may say so as well.
    pub emulated: bool,
}

impl ReferenceService {
    /// Whether its certificate, or the auditor, says that it is an emulation's.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.emulated || self.service.is_emulated()
    }
}

/// Judges evidence at the time `at` of the build whose provenance has the payload `provenance`, and that says of itself that
/// it ran in `isolation`: whether somebody whom `trust` names says that it was in what `trust` names.
///
/// # Errors
/// See [`EvidenceError`]; [`EvidenceError::Kind`] where the isolation has evidence of its own, or the evidence is of such.
pub fn judge_foreign(
    evidence: &Evidence,
    provenance: &[u8],
    isolation: Isolation,
    trust: &TeeTrust,
    at: Timestamp,
) -> Result<Attested, EvidenceError> {
    if evidence.payload != Sha256::of(provenance) {
        return Err(EvidenceError::OtherProvenance);
    }
    if isolation.has_evidence() || !is_of(&evidence.report, isolation) {
        return Err(EvidenceError::Kind { stated: isolation.name(), kind: evidence.kind() });
    }
    if evidence.dispatch.is_some() {
        return Err(EvidenceError::Dispatch("says"));
    }
    match &evidence.report {
        Reports::Nitro { document, root } => {
            let (document, root) = (read(document, "document")?, read(root, "root")?);
            nitro(&document, &root, evidence, provenance, trust, at)
        }
        Reports::Ear { token } => ear(token, evidence, provenance, trust, at),
        Reports::Ccf { receipt } => ccf(receipt, evidence, provenance, trust, at),
        Reports::SevSnp { .. } | Reports::Tdx { .. } => {
            Err(EvidenceError::Kind { stated: isolation.name(), kind: evidence.kind() })
        }
    }
}

/// What a document of AWS Nitro says: an enclave that is known was given the nonce, and said the provenance's digest.
fn nitro(
    document: &[u8],
    root: &[u8],
    evidence: &Evidence,
    provenance: &[u8],
    trust: &TeeTrust,
    at: Timestamp,
) -> Result<Attested, EvidenceError> {
    let (root, trusted) = root_of(root, trust)?;
    let expected = nitro::Expected {
        nonce: Some(evidence.nonce.as_bytes().to_vec()),
        user_data: Some(bound_digest(provenance, &evidence.nonce).to_vec()),
        enclave: ExpectedEnclave::ComparedLater,
    };
    let verified = nitro::verify(document, &root, &expected, at)?;
    let pcrs: BTreeMap<u8, Sha384> =
        verified.pcrs().iter().map(|(number, pcr)| (*number, Sha384::from_bytes(*pcr))).collect();
    let has_all = |enclave: &&ReferenceEnclave| {
        let is_named = |number| enclave.registers.contains_key(number);
        let is_same = |(number, register): (&u8, &Sha384)| pcrs.get(number) == Some(register);
        ReferenceEnclave::REQUIRED.iter().all(is_named) && enclave.registers.iter().all(is_same)
    };
    let Some(enclave) = trust.enclaves.iter().find(has_all) else {
        let measured = pcrs.into_iter().filter(|(number, _)| *number <= ReferenceEnclave::MAX_REGISTER);
        return Err(EvidenceError::UnknownEnclave(Box::new(UnknownEnclave(measured.collect()))));
    };
    let module: String = verified.module_id().into();
    Ok(Attested {
        voucher: Voucher::Processor(trusted),
        guest: Some(enclave.name.clone()),
        measured: Measured::Enclave(enclave.registers.clone()),
        firmware: format!("Nitro ({module})"),
        nonce: evidence.nonce,
    })
}

/// The root that a document is given with, where it is one that is trusted.
fn root_of(der: &[u8], trust: &TeeTrust) -> Result<(NitroRoot, TeeRoot), EvidenceError> {
    let fingerprint = Sha256::of(der);
    let trusted = trust.roots.iter().find(|root| root.fingerprint() == fingerprint);
    let trusted = *trusted.ok_or(EvidenceError::Root(fingerprint))?;
    match trusted.hardware() {
        Some(HardwareRoot::Aws) => Ok((NitroRoot::aws(), trusted)),
        Some(HardwareRoot::Amd(_) | HardwareRoot::Intel) => Err(EvidenceError::Root(fingerprint)),
        None => Ok((NitroRoot::emulated(der)?, trusted)),
    }
}

/// What a token says: a verifier that is known affirms a guest whose processor has the provenance's digest in its report.
fn ear(
    token: &str,
    evidence: &Evidence,
    provenance: &[u8],
    trust: &TeeTrust,
    at: Timestamp,
) -> Result<Attested, EvidenceError> {
    let mut why = EvidenceError::NoVerifier;
    for verifier in &trust.verifiers {
        let ReferenceVerifier { name, key, tees, policies, submodule, is_emulated } = verifier.clone();
        let report_data = report_data(provenance, &evidence.nonce);
        let expected = ear::Expected { report_data, submodule, tees, policies };
        match ear::verify(token.as_bytes(), &[key], &expected, at) {
            Ok(result) => {
                let vendor = if is_emulated { Vendor::Emulated } else { vendor_of(result.tee()) };
                let voucher = Voucher::Verifier { name, key: key.id().fingerprint(), vendor };
                let firmware = format!(
                    "{} (policy {}, by {} {})",
                    result.tee(),
                    result.policy(),
                    result.developer(),
                    result.build()
                );
                let measured = Measured::Elsewhere;
                return Ok(Attested { voucher, guest: None, measured, firmware, nonce: evidence.nonce });
            }
            // Of several, the one whose key it is says more.
            Err(ear::EarError::Signature) if why != EvidenceError::NoVerifier => {}
            Err(error) => why = error.into(),
        }
    }
    Err(why)
}

/// What a receipt says: a service that is known has the provenance's digest in its ledger.
fn ccf(
    receipt: &str,
    evidence: &Evidence,
    provenance: &[u8],
    trust: &TeeTrust,
    at: Timestamp,
) -> Result<Attested, EvidenceError> {
    let claims = bound_digest(provenance, &evidence.nonce);
    let mut why = EvidenceError::NoService;
    for each @ ReferenceService { name, service, .. } in &trust.services {
        match ccf::verify(receipt.as_bytes(), service, &claims, at) {
            Ok(verified) => {
                let (name, certificate, is_emulated) = (name.clone(), service.fingerprint(), each.is_emulated());
                return Ok(Attested {
                    voucher: Voucher::Service { name, certificate, is_emulated },
                    guest: None,
                    measured: Measured::Elsewhere,
                    firmware: format!("CCF (transaction {}, node {})", verified.transaction(), verified.node()),
                    nonce: evidence.nonce,
                });
            }
            // Of several, the one that endorses the node says more.
            Err(ccf::CcfError::Certificate(..)) if why != EvidenceError::NoService => {}
            Err(error) => why = error.into(),
        }
    }
    Err(why)
}

/// Whose processor it is, by the name that a verifier gives to its kind.
fn vendor_of(tee: &str) -> Vendor {
    match tee {
        "snp" => Vendor::Amd,
        "tdx" => Vendor::Intel,
        _ => Vendor::Emulated,
    }
}
