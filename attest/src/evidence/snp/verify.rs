// SPDX-License-Identifier: Apache-2.0
//! From a report and its certificates to what the processor says.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use der::asn1::{Ia5StringRef, ObjectIdentifier};
use der::{AnyRef, Decode as _};
use jiff::Timestamp;
use spki::ObjectIdentifier as Oid;
use thiserror::Error;

use super::{Product, Report, ReportError, SigningKey, Tcb};
use crate::evidence::{Certificate, CertificateError, EMULATED, HardwareRoot, RevocationList, TeeRoot};

/// What comes with a report: all certificates in DER, and the list of those that AMD took back.
#[derive(Clone, Copy, Debug)]
pub struct Endorsements<'a> {
    /// Of the key that signed: VCEK or VLEK.
    pub key: &'a [u8],
    /// Of the one who signed that: ASK or ASVK.
    pub intermediate: &'a [u8],
    /// Of the root: ARK.
    pub root: &'a [u8],
    /// What the root took back.
    pub revoked: Option<&'a [u8]>,
}

/// What an auditor asks of every report, beside a root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnpRules {
    /// The oldest firmware of each line of processors that counts.
    pub minimum_tcb: BTreeMap<Product, Tcb>,
    /// Whether a report counts that comes without a list of what was revoked.
    pub without_revocations: bool,
    /// Whether one counts of a machine whose memory was not looked through for aliases (AMD-SB-3015).
    pub without_alias_check: bool,
}

/// What a processor says of a guest, for which a root that is trusted vouches. Only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReport {
    report: Report,
    root: TeeRoot,
    product: Product,
    tcb: Tcb,
}

impl VerifiedReport {
    /// What was signed.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Who vouches for it.
    #[must_use]
    pub fn root(&self) -> TeeRoot {
        self.root
    }

    /// Of which line the processor is, or is emulated to be.
    #[must_use]
    pub fn product(&self) -> Product {
        self.product
    }

    /// The firmware whose key signed.
    #[must_use]
    pub fn tcb(&self) -> Tcb {
        self.tcb
    }
}

/// Why a report proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnpError {
    /// Not a report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A certificate does not vouch for it.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Nobody who is trusted vouches for it.
    #[error("its root has the fingerprint {0}, which is not one of the trusted ones")]
    Root(reprove_model::Sha256),
    /// A certificate of an emulation that does not say so.
    #[error("the {0} is below the root of an emulation, and its name does not have the words {EMULATED:?}")]
    NotMarked(&'static str),
    /// The list of what was revoked is missing.
    #[error("it comes without the list of what its root has revoked, which is asked for")]
    NoRevocations,
    /// The certificate of the key is not one of AMD's kind.
    #[error("the certificate of the key that signed it has no {0} that can be read")]
    Extension(&'static str),
    /// A certificate of another line of processors.
    #[error("the certificate is of {certificate}, and {of} of {other}")]
    Product {
        /// By its extension.
        certificate: String,
        /// What is of another.
        of: &'static str,
        /// Which.
        other: String,
    },
    /// The report says that one kind of key signed it, and the certificate is of another.
    #[error("the report says that a {report} signed it, and the certificate is of a {certificate}")]
    Key {
        /// By the report.
        report: &'static str,
        /// By the certificate.
        certificate: &'static str,
    },
    /// The certificate is of another firmware.
    #[error("the certificate is of the firmware ({certificate}), and the report of ({report})")]
    Tcb {
        /// By the certificate.
        certificate: Tcb,
        /// By the report.
        report: Tcb,
    },
    /// The certificate is of another chip.
    #[error("the certificate is of another chip than the report")]
    Chip,
    /// Not signed by the key.
    #[error("the key of its certificate did not sign it: one of them was changed")]
    Signature,
    /// Asked for from a lower level of privilege.
    #[error("it was asked for at VMPL {0}, where not the whole of the guest can be vouched for; it has to be 0")]
    Vmpl(u32),
    /// The host may look in.
    #[error("the guest's policy lets the host debug it: its memory is not closed")]
    Debug,
    /// A migration agent may look in.
    #[error("the guest's policy lets a migration agent have its memory")]
    Migratable,
    /// The memory was not looked through.
    #[error("the machine has not checked its memory for aliases (ALIAS_CHECK_COMPLETE), as is asked for")]
    Aliases,
    /// The firmware has known faults.
    #[error("the {of} firmware is ({found}), and at least ({least}) is asked for")]
    OldFirmware {
        /// At which time.
        of: &'static str,
        /// What it is.
        found: Tcb,
        /// What it has to be.
        least: Tcb,
    },
}

/// Verifies a report, at the time `at`, under one of `roots`.
///
/// Every byte of the report counts: what is signed is verified as it was sent, and the rest must be zero. Each certificate is
/// valid at that time, signed by the next, and was not revoked.
///
/// # Errors
/// See [`SnpError`].
pub fn verify(
    report: &[u8],
    endorsements: &Endorsements<'_>,
    roots: &[TeeRoot],
    rules: &SnpRules,
    at: Timestamp,
) -> Result<VerifiedReport, SnpError> {
    let report = Report::from_bytes(report)?;
    let (root, key) = chain(endorsements, roots, rules, at)?;
    let product = product(&key, root)?;
    if let Some((family, model)) = report.cpu()
        && !product.has_cpu(family, model)
    {
        let other = format!("family {family:#x}, model {model:#x}");
        return Err(SnpError::Product { certificate: product.name().into(), of: "the report", other });
    }
    let tcb = report.reported_tcb(product);
    of_this_chip(&report, &key, product, tcb)?;
    let public = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key.public_key());
    public.verify(report.signed(), &report.signature()).map_err(|_| SnpError::Signature)?;
    closed(&report, rules)?;
    let least = rules.minimum_tcb.get(&product).copied().unwrap_or_default();
    for (of, found) in [("reported", tcb), ("launch's", report.launch_tcb(product))] {
        if !found.is_at_least(least) {
            return Err(SnpError::OldFirmware { of, found, least });
        }
    }
    Ok(VerifiedReport { report, root, product, tcb })
}

/// Whether the guest is closed to its host.
fn closed(report: &Report, rules: &SnpRules) -> Result<(), SnpError> {
    if report.vmpl() != 0 {
        return Err(SnpError::Vmpl(report.vmpl()));
    }
    if report.is_debug() {
        return Err(SnpError::Debug);
    }
    if report.is_migratable() {
        return Err(SnpError::Migratable);
    }
    if !report.is_alias_checked() && !rules.without_alias_check {
        return Err(SnpError::Aliases);
    }
    Ok(())
}

/// The certificate of the key that signed, and the trusted root above it.
fn chain(
    endorsements: &Endorsements<'_>,
    roots: &[TeeRoot],
    rules: &SnpRules,
    at: Timestamp,
) -> Result<(TeeRoot, Certificate), SnpError> {
    const NAMES: [&str; 3] =
        ["certificate of the root (ARK)", "certificate of the signer (ASK)", "certificate of the key"];
    let [root_is, intermediate_is, key_is] = NAMES;
    let ark = Certificate::from_der(endorsements.root, root_is)?;
    let root = *roots
        .iter()
        .find(|root| root.fingerprint() == ark.fingerprint() && may_be_amd_s(root))
        .ok_or(SnpError::Root(ark.fingerprint()))?;
    let ask = Certificate::from_der(endorsements.intermediate, intermediate_is)?;
    let key = Certificate::from_der(endorsements.key, key_is)?;
    for (certificate, of) in [(&ark, root_is), (&ask, intermediate_is), (&key, key_is)] {
        if root.is_emulated() && !certificate.subject().contains(EMULATED) {
            return Err(SnpError::NotMarked(of));
        }
        certificate.check(of, at)?;
    }
    for (signed, issuer, of, issuer_is) in
        [(&ark, &ark, root_is, root_is), (&ask, &ark, intermediate_is, root_is), (&key, &ask, key_is, intermediate_is)]
    {
        issuer.check_authority(issuer_is)?;
        signed.signed_by(issuer, of)?;
    }
    match endorsements.revoked {
        None if !rules.without_revocations => return Err(SnpError::NoRevocations),
        None => {}
        Some(revoked) => {
            let list = RevocationList::from_der(revoked, "list of what is revoked (CRL)")?;
            list.check(&ark, "list of what is revoked (CRL)", at)?;
            ask.not_revoked(&list, intermediate_is)?;
        }
    }
    Ok((root, key))
}

fn may_be_amd_s(root: &TeeRoot) -> bool {
    matches!(root.hardware(), None | Some(HardwareRoot::Amd(_)))
}

/// AMD's extensions (57230, table "VCEK Certificate Extensions").
const PRODUCT_NAME: Oid = Oid::new_unwrap("1.3.6.1.4.1.3704.1.2");
const BL: Oid = Oid::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const TEE: Oid = Oid::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SNP: Oid = Oid::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const UCODE: Oid = Oid::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const FMC: Oid = Oid::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const HARDWARE_ID: Oid = Oid::new_unwrap("1.3.6.1.4.1.3704.1.4");
const PROVIDER_ID: Oid = Oid::new_unwrap("1.3.6.1.4.1.3704.1.5");

/// Of which line the processor is: what its certificate says, which a root of hardware has to agree with.
fn product(key: &Certificate, root: TeeRoot) -> Result<Product, SnpError> {
    let text = key.extension(PRODUCT_NAME).and_then(|der| Ia5StringRef::from_der(der).ok());
    let text = text.ok_or(SnpError::Extension("product name"))?;
    // A stepping may follow: Milan-B0.
    let line = text.as_str().split('-').next().unwrap_or_default();
    let lines = [Product::Milan, Product::Genoa, Product::Turin];
    let other = |of, other: &str| SnpError::Product {
        certificate: text.as_str().chars().take(100).collect(),
        of,
        other: other.into(),
    };
    let product = lines.into_iter().find(|product| product.name() == line);
    let product = product.ok_or_else(|| other("the ones known are", "Milan, Genoa, Turin"))?;
    match root.hardware() {
        Some(HardwareRoot::Amd(line)) if line != product => Err(other("the root", line.name())),
        _ => Ok(product),
    }
}

/// Whether the certificate is of the firmware and the chip that the report names, and of the kind of key.
fn of_this_chip(report: &Report, key: &Certificate, product: Product, tcb: Tcb) -> Result<(), SnpError> {
    let part = |oid, what| part(key, oid).ok_or(SnpError::Extension(what));
    let certificate = Tcb {
        fmc: if product == Product::Turin { part(FMC, "version of fmc")? } else { 0 },
        bl: part(BL, "version of bl")?,
        tee: part(TEE, "version of tee")?,
        snp: part(SNP, "version of snp")?,
        ucode: part(UCODE, "version of ucode")?,
    };
    if certificate != tcb {
        return Err(SnpError::Tcb { certificate, report: tcb });
    }
    let (hardware, provider) = (key.extension(HARDWARE_ID), key.extension(PROVIDER_ID));
    let (chip, loaded) = ("VCEK", "VLEK");
    match (report.signing_key(), hardware, provider) {
        (SigningKey::Chip, Some(id), None) if is_chip(report, id, product) => Ok(()),
        (SigningKey::Chip, Some(_), None) => Err(SnpError::Chip),
        // It is loaded by whoever runs the machine, and is of no chip.
        (SigningKey::Loaded, None, Some(_)) => Ok(()),
        (SigningKey::Chip, None, Some(_)) => Err(SnpError::Key { report: chip, certificate: loaded }),
        (SigningKey::Loaded, Some(_), None) => Err(SnpError::Key { report: loaded, certificate: chip }),
        _ => Err(SnpError::Extension("one of a chip's number and a provider's")),
    }
}

fn is_chip(report: &Report, id: &[u8], product: Product) -> bool {
    let chip = report.chip_id();
    let Some((named, rest)) = chip.split_at_checked(product.chip_id_bytes()) else { return false };
    !report.is_chip_masked() && id == named && rest.iter().all(|byte| *byte == 0)
}

/// A version of a part: an INTEGER from 0 to 255.
fn part(key: &Certificate, oid: ObjectIdentifier) -> Option<u8> {
    AnyRef::from_der(key.extension(oid)?).ok()?.decode_as::<u8>().ok()
}
