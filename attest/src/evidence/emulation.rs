// SPDX-License-Identifier: Apache-2.0
//! Roots of emulations, which nobody may take for a maker's.

use der::Decode as _;
use reprove_model::Sha256;
use thiserror::Error;
use x509_cert::Certificate;

/// What the name of every certificate has that no hardware's maker has signed.
pub const EMULATED: &str = "EMULATED - NOT HARDWARE";

/// The longest root certificate, in bytes.
pub const MAX_ROOT: usize = 4096;

/// Why a certificate is not the root of an emulation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EmulatedRootError {
    /// Longer than [`MAX_ROOT`].
    #[error("the root certificate has {0} bytes; the most is {MAX_ROOT}")]
    TooLong(usize),
    /// No certificate.
    #[error("this is not a certificate in DER: {0}")]
    Form(String),
    /// The maker's own certificate or key.
    #[error("this is the maker's own root, which is never an emulation's: it is what is taken where none is named")]
    Maker,
    /// Not marked as an emulation's.
    #[error("the root certificate's subject does not say {EMULATED:?}: only a root that says so can be named")]
    Unmarked,
}

/// The fingerprint of `der`, the certificate of an emulation's root, which is not `maker`'s nor of its key.
pub(super) fn fingerprint_of(der: &[u8], maker: &[u8]) -> Result<Sha256, EmulatedRootError> {
    if der.len() > MAX_ROOT {
        return Err(EmulatedRootError::TooLong(der.len()));
    }
    let read = |der| Certificate::from_der(der).map_err(|e| EmulatedRootError::Form(e.to_string()));
    let (certificate, makers) = (read(der)?.tbs_certificate, read(maker)?.tbs_certificate);
    if der == maker || certificate.subject_public_key_info == makers.subject_public_key_info {
        return Err(EmulatedRootError::Maker);
    }
    if certificate.subject.to_string().contains(EMULATED) {
        Ok(Sha256::of(der))
    } else {
        Err(EmulatedRootError::Unmarked)
    }
}
