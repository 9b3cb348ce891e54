// SPDX-License-Identifier: Apache-2.0
//! Which processor, and which firmware (AMD 57230, "Versioned Chip Endorsement Key Certificate and KDS Interface Specification").

use std::fmt;

use serde::{Deserialize, Serialize};

/// A line of processors that share a root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// The third generation of EPYC.
    Milan,
    /// The fourth, with Bergamo and Siena.
    Genoa,
    /// The fifth.
    Turin,
}

impl Product {
    /// As AMD's certificates have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// Whether a processor with this family and model is one of the line.
    #[must_use]
    pub fn has_cpu(self, family: u8, model: u8) -> bool {
        match self {
            Self::Milan => family == 0x19 && model <= 0x0f,
            Self::Genoa => family == 0x19 && matches!(model, 0x10..=0x1f | 0xa0..=0xaf),
            Self::Turin => family == 0x1a && model <= 0x1f,
        }
    }

    /// How many bytes of a report's chip number there are; the rest is zero.
    #[must_use]
    pub fn chip_id_bytes(self) -> usize {
        match self {
            Self::Milan | Self::Genoa => 64,
            Self::Turin => 8,
        }
    }
}

/// The security versions of the parts of a processor's firmware: `TCB_VERSION`. A higher one mends what a lower one has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcb {
    /// Of the processor's own controller; Turin has it, others have 0.
    #[serde(default)]
    pub fmc: u8,
    /// Of the boot loader.
    pub bl: u8,
    /// Of the secure processor's system.
    pub tee: u8,
    /// Of the SEV-SNP firmware.
    pub snp: u8,
    /// Of the microcode.
    pub ucode: u8,
}

impl Tcb {
    /// As a report of this product has it.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8], product: Product) -> Self {
        match (product, bytes) {
            (Product::Turin, [fmc, bl, tee, snp, _, _, _, ucode]) => Self { fmc, bl, tee, snp, ucode },
            (_, [bl, tee, _, _, _, _, snp, ucode]) => Self { fmc: 0, bl, tee, snp, ucode },
        }
    }

    /// As a report of this product has it.
    #[must_use]
    pub fn to_bytes(self, product: Product) -> [u8; 8] {
        let Self { fmc, bl, tee, snp, ucode } = self;
        match product {
            Product::Turin => [fmc, bl, tee, snp, 0, 0, 0, ucode],
            Product::Milan | Product::Genoa => [bl, tee, 0, 0, 0, 0, snp, ucode],
        }
    }

    /// Whether no part is older than in `minimum`.
    #[must_use]
    pub fn is_at_least(self, minimum: Self) -> bool {
        let parts = |tcb: Self| [tcb.fmc, tcb.bl, tcb.tee, tcb.snp, tcb.ucode];
        parts(self).iter().zip(parts(minimum)).all(|(part, least)| *part >= least)
    }
}

impl fmt::Display for Tcb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fmc, bl, tee, snp, ucode } = self;
        write!(f, "fmc {fmc}, bl {bl}, tee {tee}, snp {snp}, ucode {ucode}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: Tcb = Tcb { fmc: 1, bl: 2, tee: 3, snp: 4, ucode: 5 };

    #[test]
    fn each_product_has_its_own_order() {
        assert_eq!(PARTS.to_bytes(Product::Turin), [1, 2, 3, 4, 0, 0, 0, 5]);
        assert_eq!(PARTS.to_bytes(Product::Genoa), [2, 3, 0, 0, 0, 0, 4, 5]);
        for product in [Product::Milan, Product::Genoa, Product::Turin] {
            let without = if product == Product::Turin { PARTS } else { Tcb { fmc: 0, ..PARTS } };
            assert_eq!(Tcb::from_bytes(PARTS.to_bytes(product), product), without);
        }
    }

    #[test]
    fn one_older_part_is_too_old() {
        assert!(PARTS.is_at_least(PARTS));
        for older in [
            Tcb { fmc: 0, ..PARTS },
            Tcb { bl: 1, ucode: 255, ..PARTS },
            Tcb { tee: 2, ..PARTS },
            Tcb { snp: 3, ..PARTS },
            Tcb { ucode: 4, bl: 255, ..PARTS },
        ] {
            assert!(!older.is_at_least(PARTS), "{older}");
        }
    }

    #[test]
    fn a_processor_is_of_one_line() {
        for (family, model, product) in [
            (0x19, 0x00, Some(Product::Milan)),
            (0x19, 0x0f, Some(Product::Milan)),
            (0x19, 0x10, Some(Product::Genoa)),
            (0x19, 0x1f, Some(Product::Genoa)),
            (0x19, 0x20, None),
            (0x19, 0x9f, None),
            (0x19, 0xa0, Some(Product::Genoa)),
            (0x19, 0xaf, Some(Product::Genoa)),
            (0x19, 0xb0, None),
            (0x1a, 0x00, Some(Product::Turin)),
            (0x1a, 0x1f, Some(Product::Turin)),
            (0x1a, 0x20, None),
            (0x18, 0x00, None),
        ] {
            let lines = [Product::Milan, Product::Genoa, Product::Turin];
            let found: Vec<Product> = lines.into_iter().filter(|line| line.has_cpu(family, model)).collect();
            assert_eq!(found, Vec::from_iter(product), "{family:#x} {model:#x}");
        }
    }
}
