// SPDX-License-Identifier: Apache-2.0
//! What evidence that was judged proves, and by whose word.

use std::collections::BTreeMap;
use std::fmt;

use reprove_model::Sha256;

use super::foreign::REGISTERS;
use crate::evidence::document::Nonce;
use crate::evidence::{Sha384, TeeRoot, Vendor};

/// That a build ran where an auditor takes it to be closed to its operator, by the word of somebody whom that auditor
/// trusts. Only [`super::judge`] and [`super::judge_foreign`] make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    pub(super) voucher: Voucher,
    pub(super) guest: Option<String>,
    pub(super) measured: Measured,
    pub(super) firmware: String,
    pub(super) nonce: Nonce,
}

impl Attested {
    /// By whose word it is so.
    #[must_use]
    pub fn voucher(&self) -> &Voucher {
        &self.voucher
    }

    /// Who makes the processor; `None` where nobody says of which kind it is.
    #[must_use]
    pub fn vendor(&self) -> Option<Vendor> {
        self.voucher.vendor()
    }

    /// Whether it is known to be a program's word, and no hardware's.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.voucher.is_emulated()
    }

    /// Whether it is a program's word, and no hardware's; `None` where nobody says either.
    #[must_use]
    pub fn emulated(&self) -> Option<bool> {
        self.voucher.emulated()
    }

    /// Whether a processor has said it, or the security module of a cloud, and it was judged here.
    #[must_use]
    pub fn is_of_processor(&self) -> bool {
        matches!(self.voucher, Voucher::Processor(_))
    }

    /// Whether it says in what the build ran. That something is in a ledger does not.
    #[must_use]
    pub fn is_of_machine(&self) -> bool {
        match self.voucher {
            Voucher::Processor(_) | Voucher::Verifier { .. } => true,
            Voucher::Service { .. } => false,
        }
    }

    /// What the auditor calls the guest; `None` where only the one who vouches knows which it was.
    #[must_use]
    pub fn guest(&self) -> Option<&str> {
        self.guest.as_deref()
    }

    /// What the processor has measured.
    #[must_use]
    pub fn measured(&self) -> &Measured {
        &self.measured
    }

    /// The processor and its firmware, or what else is known of what ran, as a person reads it.
    #[must_use]
    pub fn firmware(&self) -> &str {
        &self.firmware
    }

    /// What was asked to be in it.
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }
}

/// By whose word something is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// A processor's, or the security module's of a cloud, below this root: what was measured was compared here.
    Processor(TeeRoot),
    /// A verifier's, who has seen a processor's word: what was measured was compared there, and not here.
    Verifier {
        /// What the auditor calls it.
        name: String,
        /// SHA-256 of its key (DER SubjectPublicKeyInfo).
        key: Sha256,
        /// Who makes the processor, by its word.
        vendor: Vendor,
    },
    /// A service's, that has taken what was built into its ledger: by which rules, whoever names it knows.
    Service {
        /// What the auditor calls it.
        name: String,
        /// SHA-256 of its certificate.
        certificate: Sha256,
        /// Whether that, or the auditor, says that it is an emulation's.
        is_emulated: bool,
    },
}

impl Voucher {
    /// A word for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Processor(_) => "processor",
            Self::Verifier { .. } => "verifier",
            Self::Service { .. } => "service",
        }
    }

    /// What the auditor calls who vouches, where that is no processor.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Processor(_) => None,
            Self::Verifier { name, .. } | Self::Service { name, .. } => Some(name),
        }
    }

    /// SHA-256 of what the auditor trusts: the root's or the service's certificate, or the verifier's key.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        match self {
            Self::Processor(root) => root.fingerprint(),
            Self::Verifier { key, .. } => *key,
            Self::Service { certificate, .. } => *certificate,
        }
    }

    /// See [`Attested::vendor`].
    #[must_use]
    pub fn vendor(&self) -> Option<Vendor> {
        match self {
            Self::Processor(root) => Some(root.vendor()),
            Self::Verifier { vendor, .. } => Some(*vendor),
            Self::Service { is_emulated, .. } => is_emulated.then_some(Vendor::Emulated),
        }
    }

    /// See [`Attested::is_emulated`].
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.emulated() == Some(true)
    }

    /// See [`Attested::emulated`].
    #[must_use]
    pub fn emulated(&self) -> Option<bool> {
        self.vendor().map(|vendor| vendor == Vendor::Emulated)
    }
}

/// What a processor has measured of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measured {
    /// AMD SEV-SNP: the launch digest.
    Launch(Sha384),
    /// Intel TDX: MRTD, and RTMR0 to RTMR2.
    Domain([Sha384; 4]),
    /// AWS Nitro: those registers that the auditor names, by their numbers.
    Enclave(BTreeMap<u8, Sha384>),
    /// Nothing that is known here: somebody else has compared it.
    Elsewhere,
}

impl Measured {
    /// The names of what was measured, and the digests.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, Sha384)> {
        match self {
            Self::Launch(digest) => vec![("launch", *digest)],
            Self::Domain(registers) => ["mrtd", "rtmr0", "rtmr1", "rtmr2"].into_iter().zip(*registers).collect(),
            Self::Enclave(registers) => {
                let named = (0..).zip(REGISTERS).filter_map(|(number, name)| Some((name, *registers.get(&number)?)));
                named.collect()
            }
            Self::Elsewhere => Vec::new(),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, digest)) in self.named().into_iter().enumerate() {
            let between = if number == 0 { "" } else { ", " };
            write!(f, "{between}{name} {digest}")?;
        }
        Ok(())
    }
}
