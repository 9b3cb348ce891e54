// SPDX-License-Identifier: Apache-2.0
//! Reports of processors of AMD's kind: of an EMULATED one, and of hardware.

use reprove_attest::evidence::emulated::{Contents, EmulatedAmd};
use reprove_attest::evidence::snp::{
    CertificateTable, DirectBoot, Firmware, FirmwareError, Launch, Report, SigningKey,
};
use reprove_attest::evidence::{EvidenceError, ReferenceGuest, Reports, Started as Measured, TeeRoot, Vendor, encoded};
use reprove_model::Sha256;
use reprove_runner::vm::Started;

use super::{AmdCertificates, ConfidentialError, Made, this_one};

/// The processors of EMULATED machines: those that QEMU calls EPYC-Genoa.
const SIGNATURE: &str = "EPYC-Genoa";
/// `SEV_FEATURES`: SEV-SNP alone.
const FEATURES: u64 = 1;

/// What the processor says of a machine that was started like this.
pub(super) fn report(
    processor: &EmulatedAmd,
    started: &Started,
    data: &[u8; 64],
) -> Result<Vec<u8>, ConfidentialError> {
    let measured = emulated(started)?;
    let (kernel, initrd) = (Sha256::of(&started.kernel), Sha256::of(&started.initrd));
    let kernel = DirectBoot { kernel, initrd, command_line: &started.command_line };
    let launch = Launch {
        firmware: &measured.firmware,
        kernel: Some(kernel),
        processors: measured.processors,
        signature: measured.signature,
        features: measured.features,
    };
    let measurement = *launch.digest()?.as_bytes();
    let contents = Contents { report_data: *data, measurement, report_id: started.run, ..Contents::default() };
    Ok(processor.report(&contents, SigningKey::Chip)?)
}

/// What goes into a proof.
pub(super) fn made(
    processor: &EmulatedAmd,
    started: &Started,
    [start, end]: &[Vec<u8>; 2],
) -> Result<Made, ConfidentialError> {
    let started_as = emulated(started)?;
    let made = processor.endorsements();
    let firmware = started_as.firmware.digest().ok_or(EvidenceError::Firmware)?;
    let report = Reports::SevSnp {
        started: started_as,
        start: encoded(start),
        end: encoded(end),
        key: encoded(&made.key),
        intermediate: encoded(&made.intermediate),
        root: encoded(&made.root),
        revoked: Some(encoded(&made.revoked)),
    };
    let guests = vec![ReferenceGuest { firmware: Some(firmware), ..this_one(started) }];
    Ok(Made { report, roots: vec![TeeRoot::emulated(processor.fingerprint())?], guests })
}

/// What goes into a proof of what a processor of AMD's has said of a machine with processors of this type. Its certificates are
/// those that the operator has `named`, and else those of the host's `table`.
pub(super) fn made_by_hardware(
    named: &AmdCertificates,
    table: &[u8],
    kind: &'static str,
    started: &Started,
    [start, end]: &[Vec<u8>; 2],
) -> Result<Made, ConfidentialError> {
    let table = CertificateTable::read(table)?;
    let is_loaded = Report::from_bytes(end)?.signing_key() == SigningKey::Loaded;
    let either = |named: &Option<Vec<u8>>, given: Option<&[u8]>, what, file| {
        let found = named.as_deref().or(given);
        found.map(encoded).ok_or(ConfidentialError::NoCertificate { what, file })
    };
    let (key, intermediate) = if is_loaded {
        let key = either(&named.loaded, table.loaded, "certificate of the key that signed (VLEK)", "vlek.der")?;
        let signer = &named.loaded_intermediate;
        (key, either(signer, table.intermediate, "certificate of that key's signer (ASVK)", "asvk.der")?)
    } else {
        let key = either(&named.chip, table.chip, "certificate of the key that signed (VCEK)", "vcek.der")?;
        let signer = &named.intermediate;
        (key, either(signer, table.intermediate, "certificate of that key's signer (ASK)", "ask.der")?)
    };
    let root = either(&named.root, table.root, "certificate of the root (ARK)", "ark.der")?;
    let revoked = either(&named.revoked, table.revoked, "list of what the root has revoked (CRL)", "crl.der")?;
    let started_as = Measured {
        firmware: Firmware::from_bytes(&started.firmware)?,
        processors: started.processors,
        signature: Launch::signature_of(kind).ok_or(ConfidentialError::UnknownType(kind))?,
        features: FEATURES,
    };
    let firmware = started_as.firmware.digest().ok_or(EvidenceError::Firmware)?;
    let (start, end) = (encoded(start), encoded(end));
    let report = Reports::SevSnp { started: started_as, start, end, key, intermediate, root, revoked: Some(revoked) };
    let guests = vec![ReferenceGuest { firmware: Some(firmware), ..this_one(started) }];
    let roots = TeeRoot::known().filter_map(TeeRoot::named).filter(|root| root.vendor() == Vendor::Amd);
    Ok(Made { report, roots: roots.collect(), guests })
}

/// How an EMULATED machine was started, as evidence has it.
fn emulated(started: &Started) -> Result<Measured, FirmwareError> {
    Ok(Measured {
        firmware: Firmware::emulated(&started.firmware)?,
        processors: started.processors,
        signature: Launch::signature_of(SIGNATURE).unwrap_or_default(),
        features: FEATURES,
    })
}
