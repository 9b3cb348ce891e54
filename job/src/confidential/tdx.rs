// SPDX-License-Identifier: Apache-2.0
//! Quotes of an EMULATED processor of Intel's kind.

use reprove_attest::evidence::tdx::{Edk2, EmulatedTdx, TdxFirmware, emulated_report, rtmr1};
use reprove_attest::evidence::{Given, ReferenceDomain, ReferenceGuest, Reports, Sha384, encoded};
use reprove_model::Sha256;
use reprove_runner::vm::Started;

use super::{ConfidentialError, Made, this_one};

/// As what the firmware measures: the newest.
const EDK2: Edk2 = Edk2::Stable202508;

/// What the processor says of a machine that was started like this: a quote of version 4.
pub(super) fn report(
    processor: &EmulatedTdx,
    started: &Started,
    data: &[u8; 64],
) -> Result<Vec<u8>, ConfidentialError> {
    let (domain, given) = measured(started)?;
    let mut report = emulated_report(
        *domain.mrtd.as_bytes(),
        [
            *domain.rtmr0(&given).as_bytes(),
            *domain.rtmr1.as_bytes(),
            *domain.rtmr2(&started.command_line).as_bytes(),
            *Sha384::ZERO.as_bytes(),
        ],
        *data,
    );
    for (byte, of_job) in report.mrconfigid.iter_mut().zip(started.job.as_bytes()) {
        *byte = *of_job;
    }
    Ok(processor.quote(&report, 4)?)
}

/// What goes into a proof.
pub(super) fn made(
    processor: &EmulatedTdx,
    started: &Started,
    [start, end]: &[Vec<u8>; 2],
) -> Result<Made, ConfidentialError> {
    let (domain, given) = measured(started)?;
    let root = processor.root()?;
    let report = Reports::Tdx {
        given,
        start: encoded(start),
        end: encoded(end),
        collateral: encoded(&processor.collateral()?),
        root: encoded(&root),
    };
    let guest = ReferenceGuest { domain: Some(domain), ..this_one(started) };
    Ok(Made { report, root: Sha256::of(&root), guest })
}

/// What the guest measures, and what its host gave it: its memory, and no tables, of which an emulation sees nothing.
fn measured(started: &Started) -> Result<(ReferenceDomain, Given), ConfidentialError> {
    let firmware = TdxFirmware::read(&started.firmware)?;
    let domain = ReferenceDomain {
        edk2: EDK2,
        mrtd: Sha384::from_bytes(firmware.mrtd()),
        configuration: Sha384::from_bytes(firmware.configuration()),
        rtmr1: Sha384::from_bytes(rtmr1(&started.kernel)?),
        initrd: Sha384::of(&started.initrd),
    };
    Ok((domain, Given { memory: Sha384::from_bytes(firmware.memory(started.memory_mib)?), tables: None }))
}
