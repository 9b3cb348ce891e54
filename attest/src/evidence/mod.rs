// SPDX-License-Identifier: Apache-2.0
//! Evidence of confidential machines (RFC 9334): what a processor says of a guest, who vouches for it, and whether that is
//! believed. Bytes, time and roots come as arguments; what is not shown is refused.

pub mod ccf;
mod certificate;
mod document;
pub mod ear;
pub mod emulated;
mod emulation;
mod judge;
pub mod nitro;
mod root;
mod sha384;
pub mod snp;
pub mod tdx;
mod trust;

pub use certificate::{Certificate, CertificateError, RevocationList};
pub use document::{
    Dispatch, Evidence, Given, GivenTables, Nonce, Reports, Started, bound_digest, encoded, report_data,
};
pub use emulation::{EMULATED, EmulatedRootError, MAX_ROOT};
pub use judge::{
    Attested, BuiltIn, EvidenceError, Measured, ReferenceDomain, ReferenceEnclave, ReferenceGuest, ReferenceService,
    ReferenceVerifier, TeeTrust, UnknownDomain, UnknownEnclave, Voucher, judge, judge_foreign,
};
pub use root::{HardwareRoot, NoEmulation, TeeRoot, Vendor};
pub use sha384::{ParseSha384Error, Sha384};
pub use trust::TeeTrustError;
pub(crate) use trust::{GuestLayout, ServiceLayout, TeeLayout, VerifierLayout};
