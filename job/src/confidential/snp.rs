// SPDX-License-Identifier: Apache-2.0
//! Reports of an EMULATED processor of AMD's kind.

use reprove_attest::evidence::emulated::{Contents, EmulatedAmd};
use reprove_attest::evidence::snp::{DirectBoot, Firmware, FirmwareError, Launch, SigningKey};
use reprove_attest::evidence::{EvidenceError, ReferenceGuest, Reports, Started as Measured, encoded};
use reprove_model::Sha256;
use reprove_runner::vm::Started;

use super::{ConfidentialError, Made, this_one};

/// The processors of these machines: those that QEMU calls EPYC-Genoa.
const SIGNATURE: &str = "EPYC-Genoa";
/// `SEV_FEATURES`: SEV-SNP alone.
const FEATURES: u64 = 1;

/// What the processor says of a machine that was started like this.
pub(super) fn report(
    processor: &EmulatedAmd,
    started: &Started,
    data: &[u8; 64],
) -> Result<Vec<u8>, ConfidentialError> {
    let measured = measured(started)?;
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
    let started_as = measured(started)?;
    let firmware = Some(started_as.firmware.digest().ok_or(EvidenceError::Firmware)?);
    let made = processor.endorsements();
    let report = Reports::SevSnp {
        started: started_as,
        start: encoded(start),
        end: encoded(end),
        key: encoded(&made.key),
        intermediate: encoded(&made.intermediate),
        root: encoded(&made.root),
        revoked: Some(encoded(&made.revoked)),
    };
    let guest = ReferenceGuest { firmware, ..this_one(started) };
    Ok(Made { report, root: processor.fingerprint(), guest })
}

/// How a machine was started, as evidence has it.
fn measured(started: &Started) -> Result<Measured, FirmwareError> {
    Ok(Measured {
        firmware: Firmware::emulated(&started.firmware)?,
        processors: started.processors,
        signature: Launch::signature_of(SIGNATURE).unwrap_or_default(),
        features: FEATURES,
    })
}
