// SPDX-License-Identifier: Apache-2.0
//! The launch digest of SEV-SNP (AMD 56860, `SNP_LAUNCH_UPDATE`, structure `PAGE_INFO`): what a verifier expects of a guest that
//! was started from these files.

use reprove_model::Sha256;
use thiserror::Error;

use super::firmware::{Firmware, SectionKind};
use crate::evidence::Sha384;

/// What is measured of a kernel that the host starts directly (QEMU, `kernel-hashes=on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectBoot<'a> {
    /// Of the kernel's file.
    pub kernel: Sha256,
    /// Of the initrd's file; of nothing where there is none.
    pub initrd: Sha256,
    /// As it is given to the kernel, without the zero at its end.
    pub command_line: &'a str,
}

/// How a guest is started, as far as it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// What runs first.
    pub firmware: &'a Firmware,
    /// What it starts, where that is measured.
    pub kernel: Option<DirectBoot<'a>>,
    /// How many processors it has.
    pub processors: u32,
    /// Of which type they are: EAX of CPUID function 1.
    pub signature: u32,
    /// `SEV_FEATURES`: 1 for SEV-SNP alone.
    pub features: u64,
}

/// Why there is no launch digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LaunchError {
    /// A kernel, and no place for its hashes.
    #[error(
        "the firmware has no SNP_KERNEL_HASHES section, so that neither kernel, initrd nor command line would be measured; \
         an OVMF of edk2's AmdSev package has one, and an IGVM file needs none"
    )]
    NoKernelHashes,
    /// No processor, or too many.
    #[error("{0} processors: a guest that is measured has from 1 to {max}", max = Launch::MAX_PROCESSORS)]
    Processors(u32),
}

/// A page, and what it is measured as.
#[derive(Clone, Copy)]
pub(super) enum Page<'a> {
    Normal(&'a [u8]),
    Vmsa(&'a [u8]),
    Zero,
    Secrets,
    Cpuid,
}

/// The types of processors that QEMU emulates for SEV-SNP, and their signatures: family, model, stepping.
const TYPES: [(&str, u32); 5] = [
    ("EPYC", signature(23, 1, 2)),
    ("EPYC-Rome", signature(23, 49, 0)),
    ("EPYC-Milan", signature(25, 1, 1)),
    ("EPYC-Genoa", signature(25, 17, 0)),
    ("EPYC-Turin", signature(26, 0, 0)),
];

const fn signature(family: u32, model: u32, stepping: u32) -> u32 {
    // A family above 15 is 15, and the rest of it elsewhere (CPUID function 1).
    (family - 15) << 20 | (model >> 4) << 16 | 15 << 8 | (model & 15) << 4 | stepping
}

impl Launch<'_> {
    /// The most processors that are measured.
    pub const MAX_PROCESSORS: u32 = 512;

    /// The signature of a type of processor as QEMU calls it, with or without a version after it: `EPYC-Genoa-v1`.
    #[must_use]
    pub fn signature_of(processor: &str) -> Option<u32> {
        let is_version = |rest: &str| {
            let number = rest.strip_prefix("-v").unwrap_or("x");
            rest.is_empty() || (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let matches = |name: &str| processor.strip_prefix(name).is_some_and(is_version);
        TYPES.iter().find(|(name, _)| matches(name)).map(|(_, signature)| *signature)
    }

    /// Whether this is the signature of one of these types.
    #[must_use]
    pub fn is_signature(signature: u32) -> bool {
        TYPES.iter().any(|(_, known)| *known == signature)
    }

    /// The types of processors that [`Launch::signature_of`] knows.
    pub fn processor_types() -> impl Iterator<Item = &'static str> {
        TYPES.iter().map(|(name, _)| *name)
    }

    /// What the processor will report for a guest that is started like this.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn digest(&self) -> Result<Sha384, LaunchError> {
        if !(1..=Self::MAX_PROCESSORS).contains(&self.processors) {
            return Err(LaunchError::Processors(self.processors));
        }
        let hashes = match &self.kernel {
            Some(_) if !self.firmware.has_kernel_hashes() => return Err(LaunchError::NoKernelHashes),
            Some(kernel) => Some(hashes_page(kernel, self.firmware.hashes.unwrap_or_default())),
            None => None,
        };
        let mut launch = self.firmware.launch;
        for section in &self.firmware.sections {
            let page = match section.kind {
                SectionKind::Memory | SectionKind::Service => Page::Zero,
                SectionKind::Secrets => Page::Secrets,
                SectionKind::Cpuid => Page::Cpuid,
                SectionKind::KernelHashes => hashes.as_ref().map_or(Page::Zero, |page| Page::Normal(page)),
            };
            // Only zeros go on for more than a page.
            let pages = if matches!(page, Page::Zero) { section.size / 4096 } else { 1 };
            for number in 0..pages {
                add(&mut launch, u64::from(section.gpa) + u64::from(number) * 4096, page);
            }
        }
        for number in 0..self.processors {
            let reset = if number == 0 { 0xffff_fff0 } else { self.firmware.reset };
            add(&mut launch, VMSA_AT, Page::Vmsa(&saved_state(reset, self.signature, self.features)));
        }
        Ok(launch)
    }
}

/// Where all saved states are measured to be.
const VMSA_AT: u64 = 0xffff_ffff_f000;

/// Goes on with one page at a guest's physical address.
pub(super) fn add(launch: &mut Sha384, gpa: u64, page: Page<'_>) {
    let (kind, contents) = match page {
        Page::Normal(bytes) => (1, Sha384::of(bytes)),
        Page::Vmsa(bytes) => (2, Sha384::of(bytes)),
        Page::Zero => (3, Sha384::ZERO),
        Page::Secrets => (5, Sha384::ZERO),
        Page::Cpuid => (6, Sha384::ZERO),
    };
    let mut info = Vec::with_capacity(PAGE_INFO);
    info.extend_from_slice(launch.as_bytes());
    info.extend_from_slice(contents.as_bytes());
    info.extend_from_slice(&[PAGE_INFO.to_le_bytes()[0], 0, kind, 0, 0, 0, 0, 0]);
    info.extend_from_slice(&gpa.to_le_bytes());
    *launch = Sha384::of(&info);
}

/// The length of the structure that is hashed for a page.
const PAGE_INFO: usize = 0x70;

/// The page with the table of hashes at its place (QEMU, `target/i386/sev.c`, `struct PaddedSevHashTable`).
fn hashes_page(kernel: &DirectBoot<'_>, table_at: u32) -> Vec<u8> {
    const TABLE: u128 = 0x06d6_3894_224f_c94c_b479_a793_d411_fd21;
    const COMMAND_LINE: u128 = 0xd82d_d097_20bd_944c_aa78_e771_4d36_ab2a;
    const INITRD: u128 = 0x31f7_ba44_2f3a_d74b_9af1_41e2_9169_781d;
    const KERNEL: u128 = 0x3794_e74d_d2ab_7f42_b835_d5b1_72d2_045b;
    const ENTRY: u16 = 50;
    const WHOLE: u16 = 18 + 3 * ENTRY;
    let command_line: Vec<u8> = kernel.command_line.bytes().chain([0]).collect();
    let mut page = vec![0; usize::try_from(table_at & 0xfff).unwrap_or(0)];
    page.extend_from_slice(&TABLE.to_be_bytes());
    page.extend_from_slice(&WHOLE.to_le_bytes());
    for (name, hash) in [(COMMAND_LINE, Sha256::of(&command_line)), (INITRD, kernel.initrd), (KERNEL, kernel.kernel)] {
        page.extend_from_slice(&name.to_be_bytes());
        page.extend_from_slice(&ENTRY.to_le_bytes());
        page.extend_from_slice(hash.as_bytes());
    }
    page.resize(4096, 0);
    page
}

/// The state of a processor before its first instruction, as QEMU sets it (AMD 24593, table B-4).
fn saved_state(reset: u32, signature: u32, features: u64) -> Vec<u8> {
    let mut page = vec![0; 4096];
    let segment = |selector: u16, attributes: u16, base: u32| {
        let mut bytes = Vec::from(selector.to_le_bytes());
        bytes.extend_from_slice(&attributes.to_le_bytes());
        bytes.extend_from_slice(&0xffff_u32.to_le_bytes());
        bytes.extend_from_slice(&u64::from(base).to_le_bytes());
        bytes
    };
    for (at, field) in [
        (0x000, segment(0, 0x93, 0)),
        (0x010, segment(0xf000, 0x9b, reset & 0xffff_0000)),
        (0x020, segment(0, 0x93, 0)),
        (0x030, segment(0, 0x93, 0)),
        (0x040, segment(0, 0x93, 0)),
        (0x050, segment(0, 0x93, 0)),
        (0x060, segment(0, 0, 0)),
        (0x070, segment(0, 0x82, 0)),
        (0x080, segment(0, 0, 0)),
        (0x090, segment(0, 0x8b, 0)),
        // EFER, CR4, CR0, DR7, DR6, RFLAGS, RIP
        (0x0d0, 0x1000_u64.to_le_bytes().into()),
        (0x148, 0x40_u64.to_le_bytes().into()),
        (0x158, 0x10_u64.to_le_bytes().into()),
        (0x160, 0x400_u64.to_le_bytes().into()),
        (0x168, 0xffff_0ff0_u64.to_le_bytes().into()),
        (0x170, 0x2_u64.to_le_bytes().into()),
        (0x178, u64::from(reset & 0xffff).to_le_bytes().into()),
        // PAT, RDX, SEV_FEATURES, XCR0, MXCSR, the control word of the x87
        (0x268, 0x0007_0406_0007_0406_u64.to_le_bytes().into()),
        (0x310, u64::from(signature).to_le_bytes().into()),
        (0x3b0, features.to_le_bytes().into()),
        (0x3e8, 1_u64.to_le_bytes().into()),
        (0x408, 0x1f80_u32.to_le_bytes().into()),
        (0x410, 0x037f_u16.to_le_bytes().into()),
    ] {
        for (to, from) in page.iter_mut().skip(at).zip(field) {
            *to = from;
        }
    }
    page
}
