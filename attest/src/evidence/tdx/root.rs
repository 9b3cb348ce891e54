// SPDX-License-Identifier: Apache-2.0
//! The root that evidence is verified under: Intel's, or one that nobody may take for Intel's.

use std::fmt;

use der::Decode as _;
use reprove_model::Sha256;
use thiserror::Error;
use x509_cert::Certificate;

use super::dates::span_of;

/// Intel's root for SGX and TDX ("Intel SGX Root CA"), DER.
const INTEL: &[u8] = include_bytes!("intel_sgx_root_ca.der");

/// What the name of every certificate has that no hardware's maker has signed.
pub const EMULATED: &str = "EMULATED - NOT HARDWARE";

/// The root certificate of evidence. What it is worth comes from its fingerprint alone: one is Intel's, and any other is
/// an emulation's.
#[derive(Clone, PartialEq, Eq)]
pub struct TdxRoot {
    der: Vec<u8>,
    fingerprint: Sha256,
}

impl TdxRoot {
    /// The longest certificate, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// Intel's root certificate for SGX and TDX, valid until the end of 2049.
    #[must_use]
    pub fn intel() -> Self {
        Self { der: INTEL.to_vec(), fingerprint: Sha256::of(INTEL) }
    }

    /// The root of an emulation, which the auditor has named: a certificate in DER whose subject says so
    /// ([`EMULATED`]).
    ///
    /// # Errors
    /// [`TdxRootError`].
    pub fn emulated(der: &[u8]) -> Result<Self, TdxRootError> {
        if der.len() > Self::MAX_BYTES {
            return Err(TdxRootError::TooLong(der.len()));
        }
        let certificate = Certificate::from_der(der).map_err(|e| TdxRootError::Form(e.to_string()))?;
        span_of(&certificate).ok_or_else(|| TdxRootError::Form("its dates are none".into()))?;
        let tbs = &certificate.tbs_certificate;
        let intel = Certificate::from_der(INTEL).map_err(|e| TdxRootError::Form(e.to_string()))?;
        let is_intels_key = tbs.subject_public_key_info == intel.tbs_certificate.subject_public_key_info;
        if der == INTEL || is_intels_key {
            return Err(TdxRootError::Intel);
        }
        if !tbs.subject.to_string().contains(EMULATED) {
            return Err(TdxRootError::Unmarked);
        }
        Ok(Self { der: der.to_vec(), fingerprint: Sha256::of(der) })
    }

    /// The SHA-256 digest of the certificate's DER.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        self.fingerprint
    }

    /// Whether evidence under this root proves nothing of any hardware.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.fingerprint != Sha256::of(INTEL)
    }

    /// The certificate.
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for TdxRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TdxRoot").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// Why a certificate is not the root of an emulation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TdxRootError {
    /// Longer than [`TdxRoot::MAX_BYTES`].
    #[error("the root certificate has {0} bytes; the most is {max}", max = TdxRoot::MAX_BYTES)]
    TooLong(usize),
    /// No certificate.
    #[error("this is not a certificate in DER: {0}")]
    Form(String),
    /// Intel's own certificate or key.
    #[error(
        "this is Intel's root, which is never an emulation's: leave it out, it is what is taken where none is named"
    )]
    Intel,
    /// Not marked as an emulation's.
    #[error("the root certificate's subject does not say {EMULATED:?}: only a root that says so can be named")]
    Unmarked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intels_root_is_the_one_that_intel_publishes() {
        let root = TdxRoot::intel();
        let fingerprint = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";
        assert_eq!(root.fingerprint().to_string(), fingerprint);
        assert!(!root.is_emulated());
    }

    #[test]
    fn intels_root_is_no_emulation() {
        assert_eq!(TdxRoot::emulated(INTEL), Err(TdxRootError::Intel));
        let nitro = include_bytes!("../nitro/aws_nitro_enclaves_root_g1.der");
        assert_eq!(TdxRoot::emulated(nitro), Err(TdxRootError::Unmarked));
        assert!(matches!(TdxRoot::emulated(&INTEL[1..]), Err(TdxRootError::Form(_))));
        assert!(matches!(TdxRoot::emulated(&[0; TdxRoot::MAX_BYTES]), Err(TdxRootError::Form(_))));
        let long = [0; TdxRoot::MAX_BYTES + 1];
        assert_eq!(TdxRoot::emulated(&long), Err(TdxRootError::TooLong(TdxRoot::MAX_BYTES + 1)));
    }
}
