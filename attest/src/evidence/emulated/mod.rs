// SPDX-License-Identifier: Apache-2.0
//! EMULATED security processors: programs that fill the same reports, below roots of their own, so that the very same
//! verifiers take them. Nothing that they say is hardware's word, and every certificate's name says so.
//!
//! Keys come in as arguments, and are never in this repository; only the salts and nonces of signatures are drawn here.

mod kept;
mod snp;
mod x509;

use jiff::Timestamp;
use thiserror::Error;

use super::tdx::EmulatedError;

pub use kept::{KeptAmd, KeptTdx};
pub use snp::{Contents, EmulatedAmd, EmulatedKeys, MadeEndorsements, SigningCertificate};
pub use x509::Template;

/// Why an emulation could not sign.
#[derive(Debug, Error)]
pub enum EmulationError {
    /// A key that can't be read.
    #[error("the emulation's {0} key is none that can be used")]
    Key(&'static str),
    /// What it signs can't be written.
    #[error("the emulation could not write what it signs: {0}")]
    Der(#[from] der::Error),
    /// The one of Intel's kind.
    #[error(transparent)]
    Tdx(#[from] EmulatedError),
    /// The library refused to sign.
    #[error("the emulation could not sign")]
    Signing,
    /// A certificate can't have this time.
    #[error("{0} is a time that no certificate can have")]
    Time(Timestamp),
}
