// SPDX-License-Identifier: Apache-2.0
//! Quotes of processors of Intel's kind: of an EMULATED one, and of hardware.

use reprove_attest::evidence::tdx::{
    Edk2, EmulatedTdx, EventLog, HostTables, TdxFirmware, TdxRoot, emulated_report, rtmr1,
};
use reprove_attest::evidence::{
    Given, GivenTables, ReferenceDomain, ReferenceGuest, Reports, Sha384, TeeRoot, Vendor, encoded,
};
use reprove_model::Sha256;
use reprove_runner::vm::Started;

use super::{ConfidentialError, Made, this_one};

/// As what the firmware of EMULATED machines measures: the newest.
const EDK2: Edk2 = Edk2::Stable202508;

/// What the processor says of a machine that was started like this: a quote of version 4.
pub(super) fn report(
    processor: &EmulatedTdx,
    started: &Started,
    data: &[u8; 64],
) -> Result<Vec<u8>, ConfidentialError> {
    let (domain, given) = measured(started, EDK2, None)?;
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
    let (domain, given) = measured(started, EDK2, None)?;
    let root = processor.root()?;
    let report = Reports::Tdx {
        given,
        start: encoded(start),
        end: encoded(end),
        collateral: encoded(&processor.collateral()?),
        root: encoded(&root),
    };
    let guests = vec![ReferenceGuest { domain: Some(domain), ..this_one(started) }];
    Ok(Made { report, roots: vec![TeeRoot::emulated(Sha256::of(&root))?], guests })
}

/// What goes into a proof of what a processor of Intel's has said, with what Intel says of the platform. Which edk2 the firmware was
/// built from, it does not say: it may be any.
pub(super) fn made_by_hardware(
    collateral: &[u8],
    log: Option<&[u8]>,
    started: &Started,
    [start, end]: &[Vec<u8>; 2],
) -> Result<Made, ConfidentialError> {
    let HostTables { loader, rsdp, tables, smbios } = EventLog::read(log.ok_or(ConfidentialError::NoLog)?)?.tables()?;
    let [loader, rsdp, tables, smbios] = [loader, rsdp, tables, smbios].map(Sha384::from_bytes);
    let tables = GivenTables { loader, rsdp, tables, smbios };
    let mut guests = Vec::new();
    let (mut domain, given) = measured(started, EDK2, Some(tables))?;
    for edk2 in Edk2::ALL.into_iter().rev() {
        domain.edk2 = edk2;
        guests.push(ReferenceGuest { domain: Some(domain), ..this_one(started) });
    }
    let report = Reports::Tdx {
        given,
        start: encoded(start),
        end: encoded(end),
        collateral: encoded(collateral),
        root: encoded(TdxRoot::intel().der()),
    };
    let roots = TeeRoot::known().filter_map(TeeRoot::named).filter(|root| root.vendor() == Vendor::Intel);
    Ok(Made { report, roots: roots.collect(), guests })
}

/// What the guest measures, and what its host gave it: its memory, and tables, of which an emulation sees none.
fn measured(
    started: &Started,
    edk2: Edk2,
    tables: Option<GivenTables>,
) -> Result<(ReferenceDomain, Given), ConfidentialError> {
    let firmware = TdxFirmware::read(&started.firmware)?;
    let domain = ReferenceDomain {
        edk2,
        mrtd: Sha384::from_bytes(firmware.mrtd()),
        configuration: Sha384::from_bytes(firmware.configuration()),
        rtmr1: Sha384::from_bytes(rtmr1(&started.kernel)?),
        initrd: Sha384::of(&started.initrd),
    };
    Ok((domain, Given { memory: Sha384::from_bytes(firmware.memory(started.memory_mib)?), tables }))
}
