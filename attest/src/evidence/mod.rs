// SPDX-License-Identifier: Apache-2.0
//! Evidence of confidential machines (RFC 9334): what a processor says of a guest, who vouches for it, and whether that is
//! believed. Bytes, time and roots come as arguments; what is not shown is refused.

mod certificate;
pub mod emulated;
mod root;
pub mod snp;

pub use certificate::{Certificate, CertificateError, RevocationList};
pub use root::{HardwareRoot, NoEmulation, TeeRoot, Vendor};
