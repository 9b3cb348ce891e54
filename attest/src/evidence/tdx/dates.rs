// SPDX-License-Identifier: Apache-2.0
//! From when until when everything holds that a quote is verified with.

use std::fmt;

use der::Decode as _;
use jiff::Timestamp;
use serde::Deserialize;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::time::Time;

use super::TdxError;
use super::collateral::Collateral;

/// What a quote is verified with, and holds for a time alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TdxItem {
    /// The root certificate.
    Root,
    /// The certificate of the authority that certifies processors.
    PckCa,
    /// The certificate of the one processor.
    Pck,
    /// The certificate of who signs the security versions.
    TcbSigner,
    /// The certificate of who signs the identity of the quoting enclave.
    QeSigner,
    /// The root's revocation list.
    RootCrl,
    /// The revocation list of the authority that certifies processors.
    PckCrl,
    /// The security versions (TCB info).
    TcbInfo,
    /// The identity of the quoting enclave.
    QeIdentity,
}

impl TdxItem {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Root,
        Self::PckCa,
        Self::Pck,
        Self::TcbSigner,
        Self::QeSigner,
        Self::RootCrl,
        Self::PckCrl,
        Self::TcbInfo,
        Self::QeIdentity,
    ];
}

impl fmt::Display for TdxItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root certificate",
            Self::PckCa => "certificate of the PCK authority",
            Self::Pck => "PCK certificate",
            Self::TcbSigner => "certificate of the TCB info's signer",
            Self::QeSigner => "certificate of the QE identity's signer",
            Self::RootCrl => "root's revocation list",
            Self::PckCrl => "PCK authority's revocation list",
            Self::TcbInfo => "TCB info",
            Self::QeIdentity => "QE identity",
        })
    }
}

/// From when until when something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// From this moment on.
    pub(super) from: Timestamp,
    /// Up to this moment, and at it.
    pub(super) until: Timestamp,
}

/// Whether everything holds at the time `at`. Gives the last moment at which it still does.
///
/// # Errors
/// The first thing that does not, or has no dates.
pub(super) fn all_hold(pck: &[Vec<u8>; 3], collateral: &Collateral, at: Timestamp) -> Result<Timestamp, TdxError> {
    let [leaf, ca, root] = pck;
    let certificates = [
        (TdxItem::Root, root.as_slice()),
        (TdxItem::PckCa, ca),
        (TdxItem::Pck, leaf),
        (TdxItem::TcbSigner, &collateral.tcb_signer),
        (TdxItem::QeSigner, &collateral.qe_signer),
    ];
    let mut spans = Vec::with_capacity(TdxItem::ALL.len());
    for (item, der) in certificates {
        let certificate = Certificate::from_der(der).map_err(|e| TdxError::Item(item, e.to_string()))?;
        spans.push((item, span_of(&certificate)));
    }
    for (item, der) in [(TdxItem::RootCrl, &collateral.root_crl), (TdxItem::PckCrl, &collateral.pck_crl)] {
        let list = CertificateList::from_der(der).map_err(|e| TdxError::Item(item, e.to_string()))?;
        spans.push((item, span_of_list(&list)));
    }
    for (item, json) in [(TdxItem::TcbInfo, &collateral.tcb_info), (TdxItem::QeIdentity, &collateral.qe_identity)] {
        let dated: Dated = serde_json::from_str(json).map_err(|e| TdxError::Item(item, e.to_string()))?;
        spans.push((item, Some(Span { from: dated.issue_date, until: dated.next_update })));
    }
    let mut last = Timestamp::MAX;
    for (item, span) in spans {
        let Span { from, until } = span.ok_or_else(|| TdxError::Item(item, "it has no dates".into()))?;
        if at < from {
            return Err(TdxError::NotYet { item, from });
        }
        if at > until {
            return Err(TdxError::Expired { item, until });
        }
        last = last.min(until);
    }
    Ok(last)
}

/// The dates of what Intel signs as JSON (Intel SGX and TDX PCS API, "Get TDX TCB Info", "Get TDX QE Identity").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dated {
    issue_date: Timestamp,
    next_update: Timestamp,
}

/// RFC 5280, section 4.1.2.5: both ends are in it.
pub(super) fn span_of(certificate: &Certificate) -> Option<Span> {
    let validity = &certificate.tbs_certificate.validity;
    Some(Span { from: moment(&validity.not_before)?, until: moment(&validity.not_after)? })
}

/// RFC 5280, sections 5.1.2.4 and 5.1.2.5. A list without the time of the next one is none. At that time, the next one is
/// there, so the last moment is the second before.
fn span_of_list(list: &CertificateList) -> Option<Span> {
    let tbs = &list.tbs_cert_list;
    let next = moment(tbs.next_update.as_ref()?)?;
    Some(Span { from: moment(&tbs.this_update)?, until: next.checked_sub(jiff::SignedDuration::from_secs(1)).ok()? })
}

/// A certificate's time, which has no fractions.
fn moment(time: &Time) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok()
}
