// SPDX-License-Identifier: Apache-2.0
//! The root that documents are verified under: that of AWS, or one that nobody may take for it.

use std::fmt;

use reprove_model::Sha256;

use crate::evidence::emulation::{EmulatedRootError, fingerprint_of};

/// "AWS Nitro Enclaves Root-G1", DER.
const AWS: &[u8] = include_bytes!("aws_nitro_enclaves_root_g1.der");

/// The root certificate of documents. What it is worth comes from its fingerprint alone: one is that of AWS, and any other
/// is an emulation's.
#[derive(Clone, PartialEq, Eq)]
pub struct NitroRoot {
    der: Vec<u8>,
    fingerprint: Sha256,
}

impl NitroRoot {
    /// The root certificate of AWS for Nitro Enclaves, valid until October 2049.
    #[must_use]
    pub fn aws() -> Self {
        Self { der: AWS.to_vec(), fingerprint: Sha256::of(AWS) }
    }

    /// The root of an emulation, which the auditor has named: a certificate in DER whose subject says so ([`EMULATED`]).
    ///
    /// [`EMULATED`]: crate::evidence::EMULATED
    ///
    /// # Errors
    /// [`EmulatedRootError`].
    pub fn emulated(der: &[u8]) -> Result<Self, EmulatedRootError> {
        Ok(Self { fingerprint: fingerprint_of(der, AWS)?, der: der.to_vec() })
    }

    /// The SHA-256 digest of the certificate's DER.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        self.fingerprint
    }

    /// Whether documents under this root prove nothing of any hardware.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.fingerprint != Sha256::of(AWS)
    }

    /// The certificate.
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for NitroRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NitroRoot").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_aws_is_the_one_that_aws_publishes() {
        let root = NitroRoot::aws();
        let fingerprint = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";
        assert_eq!(root.fingerprint().to_string(), fingerprint);
        assert!(!root.is_emulated());
    }

    #[test]
    fn the_root_of_aws_is_no_emulation() {
        assert_eq!(NitroRoot::emulated(AWS), Err(EmulatedRootError::Maker));
        let intel = include_bytes!("../tdx/intel_sgx_root_ca.der");
        assert_eq!(NitroRoot::emulated(intel), Err(EmulatedRootError::Unmarked));
    }
}
