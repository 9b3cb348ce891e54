// SPDX-License-Identifier: Apache-2.0
//! Quotes of Intel TDX: of which guest they are, and that nothing else was measured.

use jiff::Timestamp;
use reprove_model::Sha256;

use super::{
    Bound, BuiltIn, EvidenceError, Measured, ReferenceDomain, ReferenceGuest, Said, TeeTrust, UnknownDomain, read,
};
use crate::evidence::document::{Given, Reports};
use crate::evidence::tdx::{self, Expected, ExpectedDomain, TdReport, TdxRoot, VerifiedQuote};
use crate::evidence::{HardwareRoot, Sha384, TeeRoot};

/// What both quotes say.
pub(super) fn judge(
    reports: &Reports,
    bound: &Bound,
    built: &BuiltIn<'_>,
    trust: &TeeTrust,
    at: Timestamp,
) -> Result<Said, EvidenceError> {
    let Reports::Tdx { given, start, end, collateral, root } = reports else {
        return Err(EvidenceError::Start("quotes of another kind"));
    };
    let (collateral, der) = (read(collateral, "collateral")?, read(root, "root")?);
    let (root, trusted) = root_of(&der, trust)?;
    let verify = |text: &str, (of, data): &(&'static str, [u8; 64])| {
        let quote = read(text, "quote")?;
        let expected = Expected { report_data: *data, domain: ExpectedDomain::ComparedLater };
        tdx::verify(&quote, &collateral, &root, &expected, &trust.tdx, at).map_err(|why| match why {
            tdx::TdxError::ReportData => EvidenceError::OtherData(of),
            why => EvidenceError::Tdx { at: of, why: Box::new(why) },
        })
    };
    let [at_start, at_end] = bound;
    let quotes = [verify(start, at_start)?, verify(end, at_end)?];
    if trusted.is_emulated() != built.isolation.is_emulated() {
        return Err(EvidenceError::Class { stated: built.isolation.name(), root: trusted });
    }
    let [first, last] = &quotes;
    let (guest, domain) = known(last.report(), given, built, trust)?;
    let expected = [domain.mrtd, domain.rtmr0(given), domain.rtmr1, domain.rtmr2(built.command_line)];
    is_one_machine(first, last)?;
    for quote in &quotes {
        is_measured(quote.report(), &expected, built)?;
    }
    let (family, status) =
        (last.fmspc().iter().map(|byte| format!("{byte:02x}")).collect::<String>(), last.tcb_status());
    let firmware = format!("TDX (fmspc {family}, {status}, security versions of {})", last.tcb_date());
    Ok(Said { root: trusted, guest, measured: Measured::Domain(expected), firmware })
}

/// The root that evidence names, where it is one that is trusted.
fn root_of(der: &[u8], trust: &TeeTrust) -> Result<(TdxRoot, TeeRoot), EvidenceError> {
    let fingerprint = Sha256::of(der);
    let trusted = trust.roots.iter().find(|root| root.fingerprint() == fingerprint);
    let trusted = *trusted.ok_or(EvidenceError::Root(fingerprint))?;
    match trusted.hardware() {
        Some(HardwareRoot::Intel) => Ok((TdxRoot::intel(), trusted)),
        Some(HardwareRoot::Amd(_) | HardwareRoot::Aws) => Err(EvidenceError::Root(fingerprint)),
        None => Ok((TdxRoot::emulated(der)?, trusted)),
    }
}

/// What the auditor calls the guest, and what it measures.
/// Of several guests with this firmware and this kernel, the one whose variables, command line and initrd are measured too.
fn known<'t>(
    report: &TdReport,
    given: &Given,
    built: &BuiltIn<'_>,
    trust: &'t TeeTrust,
) -> Result<(String, &'t ReferenceDomain), EvidenceError> {
    let [rtmr0, rtmr1, rtmr2, _] = report.rtmr.map(Sha384::from_bytes);
    let mrtd = Sha384::from_bytes(report.mrtd);
    let (kernel, initrd) = (built.kernel, built.initrd);
    let is_it = |guest: &'t ReferenceGuest| {
        let domain = guest.domain.as_ref()?;
        let same = (guest.kernel, guest.initrd) == (kernel, initrd) && (domain.mrtd, domain.rtmr1) == (mrtd, rtmr1);
        same.then(|| (guest.name.clone(), domain))
    };
    let mut all = trust.guests.iter().filter_map(is_it);
    let first = all.next();
    let is_whole = |domain: &ReferenceDomain| (domain.rtmr0(given), domain.rtmr2(built.command_line)) == (rtmr0, rtmr2);
    let whole = first.iter().cloned().chain(all).find(|(_, domain)| is_whole(domain));
    whole.or(first).ok_or_else(|| EvidenceError::UnknownDomain(Box::new(UnknownDomain { kernel, initrd, mrtd, rtmr1 })))
}

/// A quote does not say in which run it was made. Two quotes of two runs are of the same guest, the same job and the same
/// question, each of which has done the whole of it; but they are of one platform.
fn is_one_machine(first: &VerifiedQuote, last: &VerifiedQuote) -> Result<(), EvidenceError> {
    let (start, end) = (first.report(), last.report());
    let same = first.fmspc() == last.fmspc() && (start.mrseam, start.tee_tcb_svn) == (end.mrseam, end.tee_tcb_svn);
    if same { Ok(()) } else { Err(EvidenceError::TwoMachines) }
}

/// Whether it was the guest, from its firmware to its command line, for this job, and nothing was measured behind them.
fn is_measured(report: &TdReport, expected: &[Sha384; 4], built: &BuiltIn<'_>) -> Result<(), EvidenceError> {
    let [rtmr0, rtmr1, rtmr2, rtmr3] = report.rtmr.map(Sha384::from_bytes);
    let found = [Sha384::from_bytes(report.mrtd), rtmr0, rtmr1, rtmr2, rtmr3];
    let names = ["MRTD", "RTMR0", "RTMR1", "RTMR2", "RTMR3"];
    for (what, (found, expected)) in
        names.into_iter().zip(found.into_iter().zip(expected.iter().copied().chain([Sha384::ZERO])))
    {
        if found != expected {
            return Err(EvidenceError::Measurement { what, found, expected });
        }
    }
    let (job, rest) = report.mrconfigid.split_at(32);
    if job != built.build.as_bytes() || rest.iter().any(|byte| *byte != 0) {
        return Err(EvidenceError::Start("another job as its host's configuration (MRCONFIGID)"));
    }
    Ok(())
}
