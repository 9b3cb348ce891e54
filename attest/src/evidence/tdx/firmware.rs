// SPDX-License-Identifier: Apache-2.0
//! What a firmware for trust domains is measured as before it runs: MRTD, as QEMU 10.1 and Linux 6.16 and later build it.

use aws_lc_rs::digest::{Context, SHA384, digest};
use thiserror::Error;

use super::Measurement;
use super::metadata::{Kind, Section, sections};

/// As much of a firmware as a domain's measurements need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxFirmware {
    mrtd: Measurement,
    /// The digest of its variables.
    configuration: Measurement,
    /// Where the host says what memory there is.
    pub(super) hob: Pages,
    /// The memory that there is from the beginning, that of the TD HOB too, in order.
    pub(super) added: Vec<Pages>,
}

/// Pages beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pages {
    /// The domain's physical address of the first.
    pub(super) start: u64,
    pub(super) bytes: u64,
}

/// Why a domain's measurements do not follow from these files.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TdxFirmwareError {
    /// A firmware that is too long, or not of whole pages.
    #[error(
        "the firmware has {0} bytes; one for trust domains has whole pages of 4,096, and at most {max}",
        max = TdxFirmware::MAX_BYTES
    )]
    Size(usize),
    /// No table at the firmware's end.
    #[error("the firmware does not have the table of OVMF at its end: it is another one, or only its variables")]
    NoTable,
    /// No metadata.
    #[error(
        "the firmware has no TDX metadata, so no trust domain can begin with it: \
         an OVMF of edk2's OvmfPkgX64 has it, in the file that has code and variables (OVMF.fd)"
    )]
    NoMetadata,
    /// Metadata of which no domain could be made.
    #[error(
        "the firmware's TDX metadata {0}: no trust domain can begin with it; where code and variables are two files, \
         it takes the one that has both (OVMF.fd)"
    )]
    Malformed(&'static str),
    /// Code that MRTD would not have.
    #[error("the code that the firmware begins with would not be measured, so that MRTD would say nothing of it")]
    NotMeasured,
    /// Memory that the firmware can't be in, or more than there can be.
    #[error(
        "a machine with {0} MiB of memory can't be measured with this firmware: it takes what the firmware uses, and at most \
         {max} MiB",
        max = TdxFirmware::MAX_MEMORY_MIB
    )]
    Memory(u64),
    /// A kernel that the firmware would not start, or that it would not measure all of.
    #[error("the kernel {0}, so that what the firmware measures of it is not known: a bzImage with an EFI stub serves")]
    Kernel(&'static str),
}

pub(super) const PAGE: usize = 4096;
/// How much of a page is measured at once.
const CHUNK: usize = 256;

impl TdxFirmware {
    /// The longest, in bytes: 16 MiB, all that there is room for below the end of the first 4 GiB.
    pub const MAX_BYTES: usize = 16 << 20;

    /// Reads an OVMF with TDX metadata: the file that has code and variables.
    ///
    /// # Errors
    /// See [`TdxFirmwareError`]; also where the code that the domain begins with would not be measured.
    pub fn read(bytes: &[u8]) -> Result<Self, TdxFirmwareError> {
        let sections = sections(bytes)?;
        let only = |kind| {
            let mut all = sections.iter().filter(move |section| section.kind == kind);
            all.next().ok_or(TdxFirmwareError::Malformed("lacks a section"))
        };
        let in_memory = sections.iter().filter(|section| matches!(section.kind, Kind::Hob | Kind::Scratch));
        let mut added: Vec<Pages> = in_memory.map(|section| section.pages).collect();
        added.sort_unstable();
        Ok(Self {
            mrtd: mrtd(&sections),
            configuration: sha384(only(Kind::Configuration)?.data),
            hob: only(Kind::Hob)?.pages,
            added,
        })
    }

    /// MRTD: what the domain begins with. It has the firmware's code, and not its variables, which RTMR0 has.
    #[must_use]
    pub fn mrtd(&self) -> Measurement {
        self.mrtd
    }

    /// The digest of its variables, which RTMR0 has.
    #[must_use]
    pub fn configuration(&self) -> Measurement {
        self.configuration
    }

    /// The digest of what QEMU tells it of so much memory (the TD HOB without its end), which RTMR0 has.
    ///
    /// # Errors
    /// [`TdxFirmwareError::Memory`], where that is less than the firmware uses, or more than [`TdxFirmware::MAX_MEMORY_MIB`].
    pub fn memory(&self, memory_mib: u64) -> Result<Measurement, TdxFirmwareError> {
        Ok(sha384(&self.td_hob(memory_mib)?))
    }
}

impl Pages {
    /// The address behind the last.
    pub(super) fn end(self) -> u64 {
        self.start.saturating_add(self.bytes)
    }
}

/// Intel TDX Module ABI Specification, TDH.MEM.PAGE.ADD and TDH.MR.EXTEND. Linux adds a page, extends MRTD by what is in it where
/// QEMU asks for that, and goes on to the next one; QEMU goes through the sections as they are listed.
fn mrtd(sections: &[Section<'_>]) -> Measurement {
    let mut mrtd = Context::new(&SHA384);
    for Section { pages, data, is_measured, .. } in sections {
        let mut contents = data.chunks(PAGE);
        for page in (pages.start..pages.end()).step_by(PAGE) {
            mrtd.update(&record(b"MEM.PAGE.ADD", page));
            let content = contents.next().filter(|_| *is_measured).unwrap_or_default();
            for (at, chunk) in (page..).step_by(CHUNK).zip(content.chunks(CHUNK)) {
                mrtd.update(&record(b"MR.EXTEND", at));
                mrtd.update(chunk);
            }
        }
    }
    measurement(mrtd.finish().as_ref())
}

/// What MRTD is extended by for an operation at an address.
fn record(operation: &[u8], address: u64) -> [u8; 128] {
    let mut record = [0; 128];
    let address = address.to_le_bytes();
    let filled = operation.iter().copied().chain(std::iter::repeat(0)).take(16).chain(address);
    for (byte, is) in record.iter_mut().zip(filled) {
        *byte = is;
    }
    record
}

pub(super) fn sha384(bytes: &[u8]) -> Measurement {
    measurement(digest(&SHA384, bytes).as_ref())
}

/// The 48 bytes of a digest by SHA-384.
pub(super) fn measurement(digest: &[u8]) -> Measurement {
    digest.first_chunk().copied().unwrap_or([0; 48])
}
