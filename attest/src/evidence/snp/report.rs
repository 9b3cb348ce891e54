// SPDX-License-Identifier: Apache-2.0
//! The attestation report of SEV-SNP (AMD 56860, "SEV Secure Nested Paging Firmware ABI Specification", table "`ATTESTATION_REPORT`").

use thiserror::Error;

use super::{Product, Tcb};

/// The bytes of one report: all that its signature covers, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    bytes: [u8; Self::BYTES],
}

/// Which key of the processor signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SigningKey {
    /// The one of this chip and this firmware: VCEK.
    Chip,
    /// The one of whoever runs the machine: VLEK.
    Loaded,
}

/// Why bytes are no report that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReportError {
    /// Another length.
    #[error("an SEV-SNP report has {want} bytes, and this has {0}", want = Report::BYTES)]
    Length(usize),
    /// A version whose fields are not known.
    #[error("it is version {0} of the report, and the ones known are 2, 3 and 5")]
    Version(u32),
    /// Signed in another way than with ECDSA on P-384 and SHA-384.
    #[error("its signature is of the algorithm {0}, and the only one known is 1: ECDSA on P-384 with SHA-384")]
    Algorithm(u32),
    /// Not signed by a key that is known.
    #[error("it says that the key {0} signed it, and the only ones known are VCEK (0) and VLEK (1)")]
    SigningKey(u32),
    /// Bits that must be zero.
    #[error("bytes {0:#x} and after it are not zero, as they must be")]
    NotZero(usize),
}

/// A run of bytes that must be zero, in a range of versions.
const RESERVED: [(u32, u32, usize, usize); 6] = [
    (2, 5, 0x04c, 0x050),
    (2, 2, 0x188, 0x1a0),
    (3, 5, 0x18b, 0x1a0),
    (2, 5, 0x1eb, 0x1ec),
    (2, 5, 0x1ef, 0x1f0),
    (2, 3, 0x1f8, Report::SIGNED),
];
/// The same, of all that is not signed: what is left of the two numbers' places, and of the signature's.
const UNSIGNED: [(usize, usize); 3] = [(0x2d0, 0x2e8), (0x318, 0x330), (0x330, Report::BYTES)];

impl Report {
    /// How long each is, in bytes.
    pub const BYTES: usize = 1184;
    /// How many of them its signature covers, from the first on.
    pub const SIGNED: usize = 0x2a0;

    /// Reads a report. Nothing of it is known to be true until it is verified.
    ///
    /// # Errors
    /// See [`ReportError`]; every byte that no version gives a meaning must be zero.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReportError> {
        let report = Self { bytes: bytes.try_into().map_err(|_| ReportError::Length(bytes.len()))? };
        let version = report.version();
        if !matches!(version, 2 | 3 | 5) {
            return Err(ReportError::Version(version));
        }
        if report.u32(0x034) != 1 {
            return Err(ReportError::Algorithm(report.u32(0x034)));
        }
        let key = report.u32(0x048) >> 2 & 7;
        if key > 1 {
            return Err(ReportError::SigningKey(key));
        }
        if report.u32(0x048) >> 5 != 0 {
            return Err(ReportError::NotZero(0x048));
        }
        let later = RESERVED.iter().filter(|(from, to, ..)| (*from..=*to).contains(&version));
        let later = later.map(|(.., from, to)| (*from, *to));
        // Version 5 has the mitigation vectors there.
        let rest = (version == 5).then_some((0x208, Self::SIGNED));
        for (from, to) in later.chain(rest).chain(UNSIGNED) {
            if report.range(from, to).iter().any(|byte| *byte != 0) {
                return Err(ReportError::NotZero(from));
            }
        }
        Ok(report)
    }

    /// As it was made.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.bytes
    }

    /// What its signature covers.
    #[must_use]
    pub fn signed(&self) -> &[u8] {
        self.range(0, Self::SIGNED)
    }

    /// The two numbers of its signature, each of 48 bytes, the first one first (AMD has the last one first).
    #[must_use]
    pub fn signature(&self) -> [u8; 96] {
        let mut signature = [0; 96];
        let (r, s) = signature.split_at_mut(48);
        for (number, at) in [(r, 0x2a0), (s, 0x2e8)] {
            number.copy_from_slice(self.range(at, at + 48));
            number.reverse();
        }
        signature
    }

    /// Of the report: 2, 3 or 5.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.u32(0x000)
    }

    /// What whoever started the guest allowed: `GUEST_POLICY`.
    #[must_use]
    pub fn policy(&self) -> u64 {
        self.u64(0x008)
    }

    /// Whether the host may look into the guest.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.policy() >> 19 & 1 == 1
    }

    /// Whether a migration agent may be with the guest.
    #[must_use]
    pub fn is_migratable(&self) -> bool {
        self.policy() >> 18 & 1 == 1
    }

    /// At which of the guest's levels of privilege it was asked for: 0 is the highest.
    #[must_use]
    pub fn vmpl(&self) -> u32 {
        self.u32(0x030)
    }

    /// `PLATFORM_INFO`: how the machine is set up.
    #[must_use]
    pub fn platform_info(&self) -> u64 {
        self.u64(0x040)
    }

    /// Whether the memory was looked through for addresses that are one another's aliases (AMD-SB-3015).
    #[must_use]
    pub fn is_alias_checked(&self) -> bool {
        self.platform_info() >> 5 & 1 == 1
    }

    /// Which key signed it, by its own word.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        if self.u32(0x048) >> 2 & 7 == 0 { SigningKey::Chip } else { SigningKey::Loaded }
    }

    /// Whether the chip's number is left out.
    #[must_use]
    pub fn is_chip_masked(&self) -> bool {
        self.u32(0x048) >> 1 & 1 == 1
    }

    /// What the guest asked to have in it.
    #[must_use]
    pub fn report_data(&self) -> [u8; 64] {
        self.array(0x050)
    }

    /// The launch digest: of all that was in the guest's memory when it began.
    #[must_use]
    pub fn measurement(&self) -> [u8; 48] {
        self.array(0x090)
    }

    /// What whoever started the guest gave to it.
    #[must_use]
    pub fn host_data(&self) -> [u8; 32] {
        self.array(0x0c0)
    }

    /// The number of this run of this guest.
    #[must_use]
    pub fn report_id(&self) -> [u8; 32] {
        self.array(0x140)
    }

    /// The firmware that signs, as the host reports it: the certificate's has to be the same.
    #[must_use]
    pub fn reported_tcb(&self, product: Product) -> Tcb {
        Tcb::from_bytes(self.array(0x180), product)
    }

    /// The firmware under which the guest began.
    #[must_use]
    pub fn launch_tcb(&self, product: Product) -> Tcb {
        Tcb::from_bytes(self.array(0x1f0), product)
    }

    /// Family and model of the processor, from version 3 on.
    #[must_use]
    pub fn cpu(&self) -> Option<(u8, u8)> {
        let [family, model] = self.array(0x188);
        (self.version() >= 3).then_some((family, model))
    }

    /// The chip's number.
    #[must_use]
    pub fn chip_id(&self) -> [u8; 64] {
        self.array(0x1a0)
    }

    fn range(&self, from: usize, to: usize) -> &[u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: u8) -> Vec<u8> {
        let mut bytes = vec![0; Report::BYTES];
        (bytes[0], bytes[0x34]) = (version, 1);
        bytes
    }

    #[test]
    fn only_known_reports_are_read() {
        for (version, known) in [(0, false), (1, false), (2, true), (3, true), (4, false), (5, true), (6, false)] {
            assert_eq!(Report::from_bytes(&of(version)).is_ok(), known, "{version}");
        }
        for length in [0, 1, Report::BYTES - 1, Report::BYTES + 1] {
            let bytes: Vec<u8> = of(2).into_iter().chain([0]).take(length).collect();
            assert_eq!(Report::from_bytes(&bytes), Err(ReportError::Length(length)));
        }
        let with = |at: usize, value: u8| {
            let mut bytes = of(2);
            bytes[at] = value;
            Report::from_bytes(&bytes)
        };
        assert_eq!(with(0x34, 2), Err(ReportError::Algorithm(2)));
        assert_eq!(with(0x48, 1 << 2).unwrap().signing_key(), SigningKey::Loaded);
        assert_eq!(with(0x48, 2 << 2), Err(ReportError::SigningKey(2)));
        assert_eq!(with(0x48, 7 << 2), Err(ReportError::SigningKey(7)));
        assert_eq!(with(0x48, 1 << 5), Err(ReportError::NotZero(0x48)));
    }

    /// What has no meaning in a version must be zero, and what has one need not be.
    #[test]
    fn what_means_nothing_is_zero() {
        for (version, at, free) in [
            (2, 0x188, false),
            (3, 0x188, true),
            (3, 0x18b, false),
            (5, 0x19f, false),
            (3, 0x1f7, true),
            (3, 0x1f8, false),
            (5, 0x1f8, true),
            (5, 0x207, true),
            (5, 0x208, false),
            (5, 0x29f, false),
            (2, 0x4b, false),
            (2, 0x4f, false),
            (2, 0x1eb, false),
            (2, 0x1ef, false),
            (2, 0x2cf, true),
            (2, 0x2d0, false),
            (2, 0x2e7, false),
            (2, 0x317, true),
            (2, 0x318, false),
            (2, 0x330, false),
            (2, 0x49f, false),
        ] {
            let mut bytes = of(version);
            bytes[at] = 1;
            assert_eq!(Report::from_bytes(&bytes).is_ok(), free, "version {version}, byte {at:#x}");
        }
    }
}
