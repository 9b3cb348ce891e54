// SPDX-License-Identifier: Apache-2.0
//! The root that evidence is verified under: Intel's, or one that nobody may take for Intel's.

use std::fmt;

use reprove_model::Sha256;

use crate::evidence::emulation::{EmulatedRootError, fingerprint_of};

/// Intel's root for SGX and TDX ("Intel SGX Root CA"), DER.
const INTEL: &[u8] = include_bytes!("intel_sgx_root_ca.der");

/// The root certificate of evidence. What it is worth comes from its fingerprint alone: one is Intel's, and any other is
/// an emulation's.
#[derive(Clone, PartialEq, Eq)]
pub struct TdxRoot {
    der: Vec<u8>,
    fingerprint: Sha256,
}

impl TdxRoot {
    /// Intel's root certificate for SGX and TDX, valid until the end of 2049.
    #[must_use]
    pub fn intel() -> Self {
        Self { der: INTEL.to_vec(), fingerprint: Sha256::of(INTEL) }
    }

    /// The root of an emulation, which the auditor has named: a certificate in DER whose subject says so ([`EMULATED`]).
    ///
    /// [`EMULATED`]: crate::evidence::EMULATED
    ///
    /// # Errors
    /// [`EmulatedRootError`].
    pub fn emulated(der: &[u8]) -> Result<Self, EmulatedRootError> {
        Ok(Self { fingerprint: fingerprint_of(der, INTEL)?, der: der.to_vec() })
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

    /// The certificate, in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for TdxRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TdxRoot").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::MAX_ROOT;

    #[test]
    fn intels_root_is_the_one_that_intel_publishes() {
        let root = TdxRoot::intel();
        let fingerprint = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";
        assert_eq!(root.fingerprint().to_string(), fingerprint);
        assert!(!root.is_emulated());
    }

    #[test]
    fn intels_root_is_no_emulation() {
        assert_eq!(TdxRoot::emulated(INTEL), Err(EmulatedRootError::Maker));
        let nitro = include_bytes!("../nitro/aws_nitro_enclaves_root_g1.der");
        assert_eq!(TdxRoot::emulated(nitro), Err(EmulatedRootError::Unmarked));
        assert!(matches!(TdxRoot::emulated(&INTEL[1..]), Err(EmulatedRootError::Form(_))));
        assert!(matches!(TdxRoot::emulated(&[0; MAX_ROOT]), Err(EmulatedRootError::Form(_))));
        let long = [0; MAX_ROOT + 1];
        assert_eq!(TdxRoot::emulated(&long), Err(EmulatedRootError::TooLong(MAX_ROOT + 1)));
    }
}
