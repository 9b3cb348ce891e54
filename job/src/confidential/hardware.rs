// SPDX-License-Identifier: Apache-2.0
//! Machines that this host's own processor closes: what its maker says of it, which the operator names, and what comes of a
//! guest's reports with that.
//!
//! Nobody here had such a processor. What is put together here was judged of reports and quotes that others have published.

use std::sync::Arc;

use reprove_model::Isolation;
use reprove_runner::vm::{Closed, Protection, Started};

use super::{ConfidentialError, Made, snp, tdx};

/// A processor that closes machines, and what its maker says of it: none of that is believed, it is verified with the reports.
#[derive(Clone, Debug)]
pub enum HardwareProcessor {
    /// Of AMD's.
    Amd(Closed, Arc<AmdCertificates>),
    /// Of Intel's, with collateral (`docs/evidence.md`).
    Intel(Closed, Arc<[u8]>),
}

/// Certificates of AMD's, each in DER. What is not there is taken from the table that the host gives its guests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AmdCertificates {
    /// Of the key that is the chip's own (VCEK).
    pub chip: Option<Vec<u8>>,
    /// Of that key's signer (ASK).
    pub intermediate: Option<Vec<u8>>,
    /// Of the key that was loaded into it (VLEK).
    pub loaded: Option<Vec<u8>>,
    /// Of that key's signer (ASVK).
    pub loaded_intermediate: Option<Vec<u8>>,
    /// Of the root (ARK).
    pub root: Option<Vec<u8>>,
    /// What the root has revoked (CRL).
    pub revoked: Option<Vec<u8>>,
}

impl HardwareProcessor {
    /// The kind of machines that it closes.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        match self {
            Self::Amd(..) => Isolation::SevSnp,
            Self::Intel(..) => Isolation::Tdx,
        }
    }

    /// How it closes them, and what they start with.
    pub(super) fn closed(&self) -> &Closed {
        match self {
            Self::Amd(closed, _) | Self::Intel(closed, _) => closed,
        }
    }

    /// What goes into a proof of a guest's reports, and of what it found `beside` the last.
    pub(super) fn made(
        &self,
        started: &Started,
        said: &[Vec<u8>; 2],
        beside: Option<&[u8]>,
    ) -> Result<Made, ConfidentialError> {
        match self {
            Self::Amd(closed, certificates) => {
                let kind = match closed.protection {
                    Protection::SevSnp { processor, .. } => processor,
                    Protection::Tdx => "of Intel's",
                };
                snp::made_by_hardware(certificates, beside.unwrap_or_default(), kind, started, said)
            }
            Self::Intel(_, collateral) => tdx::made_by_hardware(collateral, beside, started, said),
        }
    }
}

#[cfg(test)]
mod tests;
