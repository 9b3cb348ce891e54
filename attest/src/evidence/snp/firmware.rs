// SPDX-License-Identifier: Apache-2.0
//! What a firmware puts into a guest's memory before the guest begins (edk2, `OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm` and
//! `X64/OvmfSevMetadata.asm`).

use reprove_model::{Sha256, canonical};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::launch::{Page, add};
use crate::evidence::Sha384;

/// As much of a firmware as launch digests need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Firmware {
    /// The launch digest when the firmware's own bytes are in memory, and nothing else.
    pub(super) launch: Sha384,
    /// Whether it is one that knows nothing of SEV-SNP, as the EMULATED processor measures it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) emulated: bool,
    /// Where an application processor begins.
    pub(super) reset: u32,
    /// What comes after its bytes, in order.
    pub(super) sections: Vec<Section>,
    /// Where the table of the kernel's hashes is to be, in the page that the section for it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hashes: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Some pages of memory, and what is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// The guest's physical address of the first.
    pub(super) gpa: u32,
    pub(super) kind: SectionKind,
    /// Bytes.
    pub(super) size: u32,
}

/// What is in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum SectionKind {
    /// Zeros.
    Memory,
    /// What the firmware of the processor puts there.
    Secrets,
    /// What the processor can do.
    Cpuid,
    /// Zeros, for a service module.
    Service,
    /// The hashes of kernel, initrd and command line.
    KernelHashes,
}

/// Why bytes are no firmware that can be measured.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FirmwareError {
    /// Too short, too long, or not of whole pages.
    #[error("it has {0} bytes; a firmware has whole pages of 4,096, and at most {max}", max = Firmware::MAX_BYTES)]
    Size(usize),
    /// No table at its end.
    #[error("it does not have the table of OVMF at its end: it is another firmware, or only its variables")]
    NoTable,
    /// Something that SEV-SNP needs is not there.
    #[error("it has no {0}: it was not built for SEV-SNP")]
    Missing(&'static str),
    /// The table is cut, or says what can't be.
    #[error("its {0} can't be read")]
    Malformed(&'static str),
}

/// Each is a GUID as it lies in memory.
const TABLE: [u8; 16] = 0xde82_b596_b21f_f745_baea_a366_c55a_082d_u128.to_be_bytes();
const HASHES: [u8; 16] = 0x1f37_5572_3b3a_044b_927b_1da6_efa8_d454_u128.to_be_bytes();
const RESET: [u8; 16] = 0xde71_f700_7e1a_cb4f_890e_68c7_7e2f_b44e_u128.to_be_bytes();
const METADATA: [u8; 16] = 0x6665_88dc_4a98_9847_a75e_5585_a7bf_67cc_u128.to_be_bytes();

/// Of the table of the kernel's hashes.
const TABLE_BYTES: u32 = 168;
/// The most bytes that all sections have together.
const MAX_MEMORY: u64 = 64 << 20;

/// How much follows the table.
const AFTER_TABLE: usize = 32;
/// Of an entry: its length and its name.
const ENTRY: usize = 18;
const PAGE: usize = 4096;
const END_OF_MEMORY: u64 = 1 << 32;
/// The most sections that are read.
const MAX_SECTIONS: usize = 64;

impl Firmware {
    /// The longest, in bytes: 16 MiB, all that there is room for below the end of the first 4 GiB.
    pub const MAX_BYTES: usize = 16 << 20;

    /// Reads an OVMF that was built with SEV-SNP.
    ///
    /// # Errors
    /// See [`FirmwareError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FirmwareError> {
        let launch = own_pages(bytes)?;
        let end = bytes.len() - AFTER_TABLE;
        let table = bytes.get(..end).unwrap_or_default();
        let (whole, name) = last_entry(table).ok_or(FirmwareError::NoTable)?;
        if name != TABLE {
            return Err(FirmwareError::NoTable);
        }
        let entry = |wanted| entry(whole, wanted);
        let reset = entry(RESET)?.and_then(u32_of).ok_or(FirmwareError::Missing("SEV-ES reset block"))?;
        let from_end = entry(METADATA)?.and_then(u32_of).ok_or(FirmwareError::Missing("SEV metadata"))?;
        let hashes = entry(HASHES)?.and_then(u32_of).filter(|gpa| *gpa != 0);
        let at = usize::try_from(from_end).ok().and_then(|from_end| bytes.len().checked_sub(from_end));
        let metadata = at.and_then(|at| bytes.get(at..)).ok_or(FirmwareError::Malformed("SEV metadata"))?;
        Ok(Self { launch, emulated: false, reset, sections: sections(metadata)?, hashes })
    }

    /// A firmware that knows nothing of SEV-SNP, as the EMULATED processor measures it: its own bytes, then one page of hashes at
    /// 8 MiB.
    ///
    /// # Errors
    /// [`FirmwareError::Size`].
    pub fn emulated(bytes: &[u8]) -> Result<Self, FirmwareError> {
        const HASHES_AT: u32 = 8 << 20;
        let section = Section { gpa: HASHES_AT, kind: SectionKind::KernelHashes, size: 4096 };
        Ok(Self {
            launch: own_pages(bytes)?,
            emulated: true,
            reset: 0xffff_fff0,
            sections: vec![section],
            hashes: Some(HASHES_AT),
        })
    }

    /// What names it: SHA-256 of its canonical JSON. Two firmwares with one digest have the same launch digests.
    #[must_use]
    pub fn digest(&self) -> Option<Sha256> {
        canonical::to_vec(self).ok().map(|json| Sha256::of(&json))
    }

    /// Whether only emulated machines start with it.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.emulated
    }

    /// Whether a kernel can be measured with it: there is one page for the hashes, and all of their table is in it.
    #[must_use]
    pub fn has_kernel_hashes(&self) -> bool {
        let mut pages = self.sections.iter().filter(|section| section.kind == SectionKind::KernelHashes);
        let (Some(page), None, Some(table)) = (pages.next(), pages.next(), self.hashes) else { return false };
        page.size == 4096 && page.gpa == table & !0xfff && (table & 0xfff) + TABLE_BYTES <= 4096
    }
}

/// The launch digest of a firmware's own bytes, which end where the first 4 GiB do.
fn own_pages(bytes: &[u8]) -> Result<Sha384, FirmwareError> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if bytes.is_empty() || !bytes.len().is_multiple_of(PAGE) || bytes.len() > Firmware::MAX_BYTES {
        return Err(FirmwareError::Size(bytes.len()));
    }
    let mut launch = Sha384::ZERO;
    let addresses = (END_OF_MEMORY - size..).step_by(PAGE);
    for (gpa, page) in addresses.zip(bytes.chunks_exact(PAGE)) {
        add(&mut launch, gpa, Page::Normal(page));
    }
    Ok(launch)
}

/// What the entry that ends here has, and its name. Entries are read from the last to the first.
fn last_entry(table: &[u8]) -> Option<(&[u8], [u8; 16])> {
    let (rest, name) = table.split_last_chunk::<16>()?;
    let (_, length) = rest.split_last_chunk::<2>()?;
    let from = table.len().checked_sub(usize::from(u16::from_le_bytes(*length)))?;
    Some((table.get(from..table.len().checked_sub(ENTRY)?)?, *name))
}

/// What the entry with this name has.
fn entry(mut table: &[u8], wanted: [u8; 16]) -> Result<Option<&[u8]>, FirmwareError> {
    while table.len() >= ENTRY {
        let (data, name) = last_entry(table).ok_or(FirmwareError::Malformed("table"))?;
        if name == wanted {
            return Ok(Some(data));
        }
        table = table.get(..table.len() - ENTRY - data.len()).unwrap_or_default();
    }
    Ok(None)
}

fn u32_of(data: &[u8]) -> Option<u32> {
    data.first_chunk().copied().map(u32::from_le_bytes)
}

fn sections(metadata: &[u8]) -> Result<Vec<Section>, FirmwareError> {
    const HEADER: usize = 16;
    const EACH: usize = 12;
    let malformed = || FirmwareError::Malformed("SEV metadata");
    let (header, rest) = metadata.split_at_checked(HEADER).ok_or_else(malformed)?;
    let word = |from: &[u8], at: usize| from.get(at..).and_then(u32_of).ok_or_else(malformed);
    let (version, count) = (word(header, 8)?, word(header, 12)?);
    let count = usize::try_from(count).ok().filter(|count| *count <= MAX_SECTIONS).ok_or_else(malformed)?;
    if !header.starts_with(b"ASEV") || version != 1 {
        return Err(malformed());
    }
    let of = |section: &[u8]| {
        let kind = match word(section, 8)? {
            1 => SectionKind::Memory,
            2 => SectionKind::Secrets,
            3 => SectionKind::Cpuid,
            4 => SectionKind::Service,
            0x10 => SectionKind::KernelHashes,
            _ => return Err(malformed()),
        };
        let (gpa, size) = (word(section, 0)?, word(section, 4)?);
        let is_whole = gpa.is_multiple_of(4096) && size.is_multiple_of(4096) && gpa.checked_add(size).is_some();
        if is_whole { Ok(Section { gpa, kind, size }) } else { Err(malformed()) }
    };
    let all = rest.get(..count * EACH).ok_or_else(malformed)?;
    let sections = all.chunks_exact(EACH).map(of).collect::<Result<Vec<_>, _>>()?;
    let memory: u64 = sections.iter().map(|section| u64::from(section.size)).sum();
    if memory > MAX_MEMORY { Err(malformed()) } else { Ok(sections) }
}
