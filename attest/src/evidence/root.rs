// SPDX-License-Identifier: Apache-2.0
//! Roots: who vouches for a processor, known by the fingerprint of one certificate.

use std::fmt;

use reprove_model::Sha256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::snp::Product;

/// Who makes the processor, or runs the security processor, that evidence is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vendor {
    /// AMD: SEV-SNP.
    Amd,
    /// Intel: TDX.
    Intel,
    /// Amazon: Nitro enclaves.
    Aws,
    /// Nobody: a program.
    Emulated,
}

impl Vendor {
    /// A word for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd => "amd",
            Self::Intel => "intel",
            Self::Aws => "aws",
            Self::Emulated => "emulated",
        }
    }
}

/// A root that evidence may end at. Whether it stands for hardware comes of its fingerprint alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TeeRoot {
    fingerprint: Sha256,
    hardware: Option<HardwareRoot>,
}

/// A root of a maker of hardware, as the maker has published it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HardwareRoot {
    /// AMD's for a line of processors: its ARK.
    Amd(Product),
    /// Intel's, for SGX and TDX.
    Intel,
    /// Amazon's, for Nitro enclaves.
    Aws,
}

/// Each root of hardware, its name in a trust file, and SHA-256 of its certificate in DER.
const HARDWARE: [(HardwareRoot, &str, [u8; 32]); 5] = [
    (
        HardwareRoot::Amd(Product::Milan),
        "amd-milan",
        fingerprint(0x69d063b45344d26a2e94e1f4210de49e, 0xf555308287d4c174445c95639a540bcd),
    ),
    (
        HardwareRoot::Amd(Product::Genoa),
        "amd-genoa",
        fingerprint(0x4c6598d19c18719c5dfd4a7d335f674e, 0x5bfe1d8f800cea2cf270c10d103db2f1),
    ),
    (
        HardwareRoot::Amd(Product::Turin),
        "amd-turin",
        fingerprint(0x1f084161a44bb6d93778a904877d4819, 0xcafa5d05ef4193b2ded9dd9c73dd3f6a),
    ),
    (HardwareRoot::Intel, "intel", fingerprint(0x44a0196b2b99f889b8e149e95b807a35, 0x0e7424964399e885a7cbb8ccfab674d3)),
    (HardwareRoot::Aws, "aws", fingerprint(0x641a0321a3e244efe456463195d60631, 0x7ed7cdcc3c1756e09893f3c68f79bb5b)),
];

const fn fingerprint(high: u128, low: u128) -> [u8; 32] {
    let (high, low) = (high.to_be_bytes(), low.to_be_bytes());
    let mut bytes = [0; 32];
    let (first, second) = bytes.split_at_mut(16);
    first.copy_from_slice(&high);
    second.copy_from_slice(&low);
    bytes
}

impl TeeRoot {
    /// The root of hardware that a trust file names: `amd-genoa`, `amd-turin`, `amd-milan`, `intel`, `aws`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (root, _, bytes) = HARDWARE.iter().find(|(_, known, _)| *known == name)?;
        Some(Self { fingerprint: Sha256::from_bytes(*bytes), hardware: Some(*root) })
    }

    /// The root of an emulation, by SHA-256 of its certificate in DER.
    ///
    /// # Errors
    /// [`NoEmulation`] where that is a root of hardware.
    pub fn emulated(fingerprint: Sha256) -> Result<Self, NoEmulation> {
        match Self::hardware_name(fingerprint) {
            Some(name) => Err(NoEmulation(name)),
            None => Ok(Self { fingerprint, hardware: None }),
        }
    }

    /// The name of the root of hardware that has this fingerprint.
    #[must_use]
    pub fn hardware_name(fingerprint: Sha256) -> Option<&'static str> {
        let found = HARDWARE.iter().find(|(.., bytes)| fingerprint == Sha256::from_bytes(*bytes));
        found.map(|(_, name, _)| *name)
    }

    /// SHA-256 of its certificate in DER.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        self.fingerprint
    }

    /// Whose it is, where it stands for hardware.
    #[must_use]
    pub fn hardware(&self) -> Option<HardwareRoot> {
        self.hardware
    }

    /// Whether it stands for a program, and not for hardware.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.hardware.is_none()
    }

    /// Who makes what is below it.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        match self.hardware {
            Some(HardwareRoot::Amd(_)) => Vendor::Amd,
            Some(HardwareRoot::Intel) => Vendor::Intel,
            Some(HardwareRoot::Aws) => Vendor::Aws,
            None => Vendor::Emulated,
        }
    }

    /// The names of all roots of hardware that are known, in a fixed order.
    pub fn known() -> impl Iterator<Item = &'static str> {
        HARDWARE.iter().map(|(_, name, _)| *name)
    }
}

impl fmt::Display for TeeRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = HARDWARE.iter().find(|(root, ..)| Some(*root) == self.hardware);
        match known {
            Some((_, name, _)) => f.write_str(name),
            None => write!(f, "EMULATED root {}", self.fingerprint),
        }
    }
}

/// What is a root of hardware can't be one of an emulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("that is the fingerprint of {0}, a root of hardware, and not of an emulation")]
pub struct NoEmulation(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fingerprint_that_is_pinned_stands_for_hardware() {
        for name in TeeRoot::known() {
            let root = TeeRoot::named(name).unwrap();
            assert!(!root.is_emulated() && root.vendor() != Vendor::Emulated);
            assert_eq!(root.to_string(), name);
            assert!(TeeRoot::emulated(root.fingerprint()).unwrap_err().to_string().contains(name));
        }
        let other = TeeRoot::emulated(Sha256::of(b"x")).unwrap();
        assert!(other.is_emulated() && other.vendor() == Vendor::Emulated);
        assert!(other.to_string().starts_with("EMULATED"));
        assert_eq!(TeeRoot::named("amd"), None);
        assert_eq!(TeeRoot::named("emulated"), None);
    }
}
