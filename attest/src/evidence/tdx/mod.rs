// SPDX-License-Identifier: Apache-2.0
//! Quotes of Intel TDX: that a trust domain with these measurements ran on a processor of Intel's, and said this.
//!
//! ```text
//! root ─▶ PCK authority ─▶ PCK certificate ─▶ quoting enclave ─▶ key ─▶ quote
//!   ├──▶ revocation lists
//!   └──▶ signers ─▶ TCB info, QE identity
//! ```
//!
//! The signatures, the revocation lists, the identities of the enclaves and the security versions are verified by
//! `dcap-qvl`. What it passes over is refused here: a byte that nothing signs, a certificate that nothing needs, a list that
//! holds at another time, and a domain that its host can look into. `docs/evidence.md` says all of it.

pub(super) mod chain;
mod collateral;
mod crypto;
mod dates;
mod emulated;
mod error;
mod firmware;
mod hob;
mod kernel;
mod log;
mod measure;
mod metadata;
mod policy;
mod quote;
mod report;
mod root;

use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{QuoteClaims, QuotePolicy, TcbInfo};
use jiff::Timestamp;
use reprove_model::Sha256;

pub use collateral::MAX_COLLATERAL;
pub use dates::TdxItem;
pub use emulated::{EmulatedError, EmulatedLevel, EmulatedPlatform, EmulatedTdx, emulated_report};
pub use error::TdxError;
pub use firmware::{TdxFirmware, TdxFirmwareError};
pub use log::{EventLog, EventLogError, MAX_LOG};
pub use measure::{Edk2, HostTables, rtmr1};
pub use policy::{ParseTcbStatusError, TcbStatus, TdxPolicy};
pub use report::{Measurement, Since, TdReport};
pub use root::TdxRoot;

use collateral::{Collateral, hex, other_root};
use crypto::AwsLc;
use error::plain;
use quote::Quote;

/// The longest quote, in bytes. Those of today have about 5,000.
pub const MAX_QUOTE: usize = 32 << 10;

/// What a quote is expected to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What the domain was asked to put into its report.
    pub report_data: [u8; 64],
    /// Which domain it is.
    pub domain: ExpectedDomain,
}

/// Which trust domain is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedDomain {
    /// One that has the measurements of any of these. None, where there are none.
    OneOf(Vec<Measurements>),
    /// Whichever it is: who calls [`verify`] compares the measurements of the [`VerifiedQuote`] with what is expected.
    ComparedLater,
}

/// The reference values of a trust domain. What is `None`, may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurements {
    /// What the domain began with.
    pub mrtd: Measurement,
    /// What it has measured since: firmware and its configuration, kernel, and so on.
    pub rtmr: [Option<Measurement>; 4],
    /// The TDX module.
    pub mrseam: Option<Measurement>,
    /// What the host has configured.
    pub mrconfigid: Option<Measurement>,
    /// The owner.
    pub mrowner: Option<Measurement>,
    /// What the owner has configured.
    pub mrownerconfig: Option<Measurement>,
}

impl Measurements {
    /// A domain that began with `mrtd`, whatever it has measured since.
    #[must_use]
    pub fn of_mrtd(mrtd: Measurement) -> Self {
        Self { mrtd, rtmr: [None; 4], mrseam: None, mrconfigid: None, mrowner: None, mrownerconfig: None }
    }

    /// The first measurement of `report` that is another one.
    fn differs(&self, report: &TdReport) -> Option<&'static str> {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = report.rtmr;
        let [expected0, expected1, expected2, expected3] = self.rtmr;
        let pairs = [
            ("MRTD", Some(self.mrtd), report.mrtd),
            ("RTMR0", expected0, rtmr0),
            ("RTMR1", expected1, rtmr1),
            ("RTMR2", expected2, rtmr2),
            ("RTMR3", expected3, rtmr3),
            ("MRSEAM", self.mrseam, report.mrseam),
            ("MRCONFIGID", self.mrconfigid, report.mrconfigid),
            ("MROWNER", self.mrowner, report.mrowner),
            ("MROWNERCONFIG", self.mrownerconfig, report.mrownerconfig),
        ];
        pairs.into_iter().find(|(_, expected, is)| expected.is_some_and(|e| e != *is)).map(|(name, ..)| name)
    }
}

/// A quote that was verified: nothing but [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedQuote {
    version: u16,
    report: TdReport,
    root: TdxRoot,
    tcb_status: TcbStatus,
    tcb_date: Timestamp,
    advisories: Vec<String>,
    evaluation: u32,
    fmspc: [u8; 6],
    holds_until: Timestamp,
}

impl VerifiedQuote {
    /// The version of the quote's form: 4 or 5.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// What the trust domain's processor says of it: its measurements, its attributes, and what it put in itself.
    #[must_use]
    pub fn report(&self) -> &TdReport {
        &self.report
    }

    /// The fingerprint of the root that it was verified under: the SHA-256 digest of its certificate.
    #[must_use]
    pub fn root(&self) -> Sha256 {
        self.root.fingerprint()
    }

    /// Whether the root is not Intel's, so that nothing is proved of any hardware.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.root.is_emulated()
    }

    /// What Intel says of the platform's security versions.
    #[must_use]
    pub fn tcb_status(&self) -> TcbStatus {
        self.tcb_status
    }

    /// Of when the platform's security versions are, by Intel's word.
    #[must_use]
    pub fn tcb_date(&self) -> Timestamp {
        self.tcb_date
    }

    /// Intel's advisories that concern the platform.
    #[must_use]
    pub fn advisories(&self) -> &[String] {
        &self.advisories
    }

    /// The number of the evaluation that the collateral is of.
    #[must_use]
    pub fn evaluation(&self) -> u32 {
        self.evaluation
    }

    /// The kind of processor: family, model, stepping, platform type, custom SKU.
    #[must_use]
    pub fn fmspc(&self) -> [u8; 6] {
        self.fmspc
    }

    /// The last moment at which everything that it was verified with still holds.
    #[must_use]
    pub fn holds_until(&self) -> Timestamp {
        self.holds_until
    }
}

/// Verifies `quote` with `collateral`, both as they were kept, under `root`, as of the time `at`: that everything it is
/// verified with holds then, that it says what is `expected`, and that its platform is what `policy` asks for.
///
/// # Errors
/// See [`TdxError`].
pub fn verify(
    quote: &[u8],
    collateral: &[u8],
    root: &TdxRoot,
    expected: &Expected,
    policy: &TdxPolicy,
    at: Timestamp,
) -> Result<VerifiedQuote, TdxError> {
    let quote = Quote::read(quote)?;
    let pck_pem = quote.pck_chain.strip_suffix(&[0]).unwrap_or(quote.pck_chain);
    let pck: [Vec<u8>; 3] = chain::read(pck_pem, PCK)?;
    let [_, pck_ca, last] = &pck;
    if last != root.der() {
        return Err(other_root(PCK, root));
    }
    let collateral = Collateral::read(collateral, quote.pck_chain, root)?;
    if collateral.pck_ca != *pck_ca {
        return Err(TdxError::Collateral("its revocation list is not of the authority that certified the PCK".into()));
    }
    let holds_until = dates::all_hold(&pck, &collateral, at)?;
    is_closed(&quote.report)?;
    if policy.intels_module_only && quote.report.mrsignerseam != [0; 48] {
        return Err(TdxError::OtherModule);
    }

    let now = u64::try_from(at.as_second()).map_err(|_| TdxError::Refused("it is asked about before 1970".into()))?;
    let verifier = QuoteVerifier::<AwsLc>::new_with_config(root.der().to_vec());
    // The policy is asked below, level by level, and in the end that of `dcap-qvl` with the same content.
    let verified = verifier.verify_with_policy(quote.bytes, collateral.qvl, now, &QuotePolicy::claims_only(now));
    let claims = verified.map_err(|e| TdxError::Refused(plain(&format!("{e:#}"))))?;
    fits(&claims, &quote, &collateral.tcb_info)?;
    policy.judge(&claims, now)?;
    is_expected(&quote.report, expected)?;

    Ok(VerifiedQuote {
        version: quote.version,
        report: quote.report,
        root: root.clone(),
        tcb_status: TcbStatus::of(claims.tcb.status)?,
        tcb_date: policy::date(&claims.platform.tcb_level.tcb_date)?,
        advisories: claims.tcb.advisory_ids.iter().map(|id| plain(id)).collect(),
        evaluation: claims.tcb.eval_data_number,
        fmspc: claims.platform.pck.fmspc,
        holds_until,
    })
}

const PCK: &str = "PCK certificate";

/// Whether the domain is closed to its host (Intel TDX Module ABI Specification, "ATTRIBUTES").
fn is_closed(report: &TdReport) -> Result<(), TdxError> {
    let attributes = report.attributes();
    let is_set = |bits: std::ops::RangeInclusive<u32>| bits.into_iter().any(|bit| attributes >> bit & 1 == 1);
    let has_services = report.since.as_ref().is_some_and(|since| since.mrservicetd != [0; 48]);
    let why = if is_set(0..=0) {
        "its debug attribute is set, so the host can read and change it"
    } else if is_set(4..=6) {
        "its profiling attributes are set"
    } else if is_set(29..=29) {
        "its migratable attribute is set, so it may have been moved from elsewhere"
    } else if is_set(17..=17) || has_services {
        "it is bound to service domains, which can change it"
    } else if !is_set(28..=28) {
        "its attribute SEPT_VE_DISABLE is not set, so the host can take pages from it unseen"
    } else if is_set(1..=3) || is_set(7..=15) || is_set(23..=26) || is_set(32..=61) {
        "an attribute is set that nobody has defined"
    } else {
        return Ok(());
    };
    Err(TdxError::Open(why))
}

/// What `dcap-qvl` does not look at: that it has read the same report, that the security versions are of the same
/// provisioning enclave, and that nothing is hidden in the quoting enclave's report.
fn fits(claims: &QuoteClaims, quote: &Quote<'_>, tcb_info: &str) -> Result<(), TdxError> {
    let refused = |why: &str| Err(TdxError::Refused(why.into()));
    let Some(td) = claims.report.as_td10() else { return refused("its report is of another kind") };
    let report = &quote.report;
    let is_same_base = (td.tee_tcb_svn, td.mr_seam, td.mr_signer_seam, td.seam_attributes, td.td_attributes)
        == (report.tee_tcb_svn, report.mrseam, report.mrsignerseam, report.seam_attributes, report.td_attributes)
        && (td.xfam, td.mr_td, td.mr_config_id, td.mr_owner, td.mr_owner_config)
            == (report.xfam, report.mrtd, report.mrconfigid, report.mrowner, report.mrownerconfig)
        && ([td.rt_mr0, td.rt_mr1, td.rt_mr2, td.rt_mr3], td.report_data) == (report.rtmr, report.report_data);
    let since = claims.report.as_td15().map(|td| (td.tee_tcb_svn2, td.mr_service_td));
    let is_same_since = since == report.since.as_ref().map(|since| (since.tee_tcb_svn_2, since.mrservicetd));
    if !(is_same_base && is_same_since) || claims.header.version != quote.version {
        return refused("its report was read in two ways");
    }
    let info: TcbInfo = serde_json::from_str(tcb_info).map_err(|e| TdxError::Item(TdxItem::TcbInfo, e.to_string()))?;
    if info.tcb_type != 0 || !info.pce_id.eq_ignore_ascii_case(&hex(&claims.platform.pck.pce_id)) {
        return refused("the security versions are of another provisioning enclave (pceId)");
    }
    // The hash of the key and of the authentication data takes the first half.
    if quote.qe_report.last_chunk::<32>() != Some(&[0; 32]) {
        return refused("the quoting enclave's report has more in it than the hash of its key");
    }
    Ok(())
}

fn is_expected(report: &TdReport, expected: &Expected) -> Result<(), TdxError> {
    if report.report_data != expected.report_data {
        return Err(TdxError::ReportData);
    }
    let ExpectedDomain::OneOf(domains) = &expected.domain else { return Ok(()) };
    let mut differs = domains.iter().map(|domain| domain.differs(report));
    match differs.next() {
        None => Err(TdxError::NothingExpected),
        Some(None) => Ok(()),
        Some(Some(first)) if differs.all(|other| other.is_some()) => Err(TdxError::Measurement(first)),
        Some(Some(_)) => Ok(()),
    }
}
