// SPDX-License-Identifier: Apache-2.0
//! Reports of AMD SEV-SNP: of which guest they are, and that nothing of it was started otherwise.

use jiff::Timestamp;

use super::{Bound, BuiltIn, EvidenceError, Measured, ReferenceGuest, Said, TeeTrust, read};
use crate::evidence::Sha384;
use crate::evidence::document::{Reports, Started};
use crate::evidence::snp::{self, DirectBoot, Endorsements, Launch, LaunchError, VerifiedReport};

/// `SEV_FEATURES`, where it has no other bit.
const SNP_ALONE: u64 = 1;

/// What both reports say.
pub(super) fn judge(
    reports: &Reports,
    started: &Started,
    bound: &Bound,
    built: &BuiltIn<'_>,
    trust: &TeeTrust,
    at: Timestamp,
) -> Result<Said, EvidenceError> {
    let reports = verified(reports, trust, at)?;
    for (report, (of, data)) in reports.iter().zip(bound) {
        if report.report().report_data() != *data {
            return Err(EvidenceError::OtherData(of));
        }
    }
    let [start, end] = &reports;
    let same_run = start.report().report_id() == end.report().report_id();
    if !same_run || start.report().chip_id() != end.report().chip_id() || start.root() != end.root() {
        return Err(EvidenceError::TwoMachines);
    }
    // Before anything is said of how it was started: a root of one class can't vouch for the other.
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
    let expected = measured(started, built)?;
    for report in &reports {
        let found = Sha384::from_bytes(report.report().measurement());
        if found != expected {
            return Err(EvidenceError::Measurement { what: "the launch digest", found, expected });
        }
    }
    let firmware = format!("{} ({})", end.product().name(), end.tcb());
    Ok(Said { root: end.root(), guest, measured: Measured::Launch(expected), firmware })
}

/// Both reports, each verified.
fn verified(reports: &Reports, trust: &TeeTrust, at: Timestamp) -> Result<[VerifiedReport; 2], EvidenceError> {
    let Reports::SevSnp { start, end, key, intermediate, root, revoked, .. } = reports else {
        return Err(EvidenceError::Start("reports of another kind"));
    };
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
    let is_it =
        |guest: &&ReferenceGuest| (guest.firmware, guest.kernel, guest.initrd) == (Some(firmware), kernel, initrd);
    let guest = trust.guests.iter().find(is_it);
    guest.map(|guest| guest.name.clone()).ok_or(EvidenceError::UnknownGuest { firmware, kernel, initrd })
}

/// What the processor has to have measured.
fn measured(started: &Started, built: &BuiltIn<'_>) -> Result<Sha384, LaunchError> {
    let Started { firmware, processors, signature, features } = started;
    let BuiltIn { kernel, initrd, command_line, .. } = *built;
    let kernel = Some(DirectBoot { kernel, initrd, command_line });
    Launch { firmware, kernel, processors: *processors, signature: *signature, features: *features }.digest()
}
