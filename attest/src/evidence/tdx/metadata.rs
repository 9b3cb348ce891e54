// SPDX-License-Identifier: Apache-2.0
//! What a firmware says of the memory that a domain begins with (Intel, "TDX Virtual Firmware Design Guide", section 11; edk2,
//! `OvmfPkg/ResetVector/X64/IntelTdxMetadata`), as strictly as QEMU reads it (`hw/i386/tdvf.c`), and more.

use super::firmware::{PAGE, Pages, TdxFirmware, TdxFirmwareError};

/// Some pages that a domain begins with.
pub(super) struct Section<'a> {
    pub(super) kind: Kind,
    pub(super) pages: Pages,
    /// What is in them, as long as they are. Nothing, where the host fills them.
    pub(super) data: &'a [u8],
    /// Whether MRTD has what is in them, and not only that they are there.
    pub(super) is_measured: bool,
}

/// What pages are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The firmware itself (BFV).
    Code,
    /// Its variables (CFV).
    Configuration,
    /// What the host says of the memory (TD HOB).
    Hob,
    /// Memory that the firmware uses before it knows of any other.
    Scratch,
}

/// Each is a GUID as it lies in memory.
const TABLE: [u8; 16] = 0xde82_b596_b21f_f745_baea_a366_c55a_082d_u128.to_be_bytes();
const METADATA: [u8; 16] = 0x3565_7ae4_4a98_9847_865e_4685_a7bf_8ec2_u128.to_be_bytes();

/// How much follows the table.
const AFTER_TABLE: usize = 32;
/// Of an entry: its length and its name.
const ENTRY: usize = 18;
const DESCRIPTOR: usize = 16;
const EACH: usize = 32;
const MAX_SECTIONS: usize = 64;
/// The most bytes that all sections have together.
const MAX_MEMORY: u64 = 64 << 20;
const END_OF_FIRMWARE: u64 = 1 << 32;

/// The sections of a firmware, in the order in which they are added.
pub(super) fn sections(file: &[u8]) -> Result<Vec<Section<'_>>, TdxFirmwareError> {
    if file.is_empty() || !file.len().is_multiple_of(PAGE) || file.len() > TdxFirmware::MAX_BYTES {
        return Err(TdxFirmwareError::Size(file.len()));
    }
    let metadata = descriptor(file)?;
    let (head, rest) = metadata.split_first_chunk::<DESCRIPTOR>().ok_or(CUT)?;
    let [signature, length, version, count] = words(head);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if signature != u32::from_le_bytes(*b"TDVF") || version != 1 {
        return Err(TdxFirmwareError::Malformed("is not of version 1"));
    }
    if !(2..=MAX_SECTIONS).contains(&count) {
        return Err(TdxFirmwareError::Malformed("has not from 2 to 64 sections"));
    }
    if usize::try_from(length) != Ok(DESCRIPTOR + count * EACH) {
        return Err(TdxFirmwareError::Malformed("is not as long as it says"));
    }
    let (all, _) = rest.get(..count * EACH).ok_or(CUT)?.as_chunks::<EACH>();
    let sections = all.iter().map(|section| Section::read(section, file)).collect::<Result<Vec<_>, _>>()?;
    fit(&sections)?;
    Ok(sections)
}

const CUT: TdxFirmwareError = TdxFirmwareError::Malformed("is cut");

impl<'a> Section<'a> {
    fn read(section: &[u8; EACH], file: &'a [u8]) -> Result<Self, TdxFirmwareError> {
        let malformed = |why| Err(TdxFirmwareError::Malformed(why));
        let [from, raw, start, start_high, size, size_high, kind, attributes] = words(section);
        if (start_high, size_high) != (0, 0) {
            return malformed("has a section beyond 4 GiB");
        }
        let pages = Pages { start: start.into(), bytes: size.into() };
        let is_whole = [start, size].into_iter().all(|number| number.is_multiple_of(4096));
        if size == 0 || !is_whole || pages.end() > END_OF_FIRMWARE {
            return malformed("has a section that is not of whole pages below 4 GiB");
        }
        let kind = match kind {
            0 => Kind::Code,
            1 => Kind::Configuration,
            2 => Kind::Hob,
            3 => Kind::Scratch,
            _ => return malformed("has a section of another kind than QEMU adds"),
        };
        let is_measured = match (kind, attributes) {
            (Kind::Code | Kind::Configuration, 1) => true,
            (Kind::Configuration | Kind::Hob | Kind::Scratch, 0) => false,
            (Kind::Code, 0) => return Err(TdxFirmwareError::NotMeasured),
            _ => return malformed("has a section with other attributes than its kind can have"),
        };
        if matches!(kind, Kind::Hob | Kind::Scratch) {
            let empty = Self { kind, pages, data: &[], is_measured };
            return if raw == 0 { Ok(empty) } else { malformed("has data for pages that the host fills") };
        }
        let number = |word| usize::try_from(word).unwrap_or(usize::MAX);
        let data = number(from).checked_add(number(raw)).and_then(|end| file.get(number(from)..end));
        let data = data.ok_or(TdxFirmwareError::Malformed("has a section that is not in the file"))?;
        let mapped = u64::try_from(file.len()).ok().and_then(|length| END_OF_FIRMWARE.checked_sub(length));
        if raw != size || mapped.map(|mapped| mapped + u64::from(from)) != Some(pages.start) {
            return malformed("has a section that is not where the file is in memory");
        }
        Ok(Self { kind, pages, data, is_measured })
    }
}

/// Whether they can all be added, and are all that a domain needs.
fn fit(sections: &[Section<'_>]) -> Result<(), TdxFirmwareError> {
    let malformed = |why| Err(TdxFirmwareError::Malformed(why));
    let count = |kind| sections.iter().filter(|section| section.kind == kind).count();
    if count(Kind::Hob) != 1 || count(Kind::Configuration) != 1 {
        return malformed("has not one section for the TD HOB and one for the configuration volume");
    }
    let mut pages: Vec<Pages> = sections.iter().map(|section| section.pages).collect();
    pages.sort_unstable();
    if pages.iter().zip(pages.iter().skip(1)).any(|(one, next)| one.end() > next.start) {
        return malformed("adds pages twice");
    }
    if pages.iter().map(|pages| pages.bytes).sum::<u64>() > MAX_MEMORY {
        return malformed("adds more than 64 MiB");
    }
    let has_start = |section: &Section<'_>| section.kind == Kind::Code && section.pages.end() == END_OF_FIRMWARE;
    if sections.iter().any(has_start) { Ok(()) } else { Err(TdxFirmwareError::NotMeasured) }
}

/// From the metadata on, to the end of the file.
fn descriptor(file: &[u8]) -> Result<&[u8], TdxFirmwareError> {
    let end = file.len().checked_sub(AFTER_TABLE).and_then(|end| file.get(..end)).unwrap_or_default();
    let (mut entries, name) = last_entry(end).ok_or(TdxFirmwareError::NoTable)?;
    if name != TABLE {
        return Err(TdxFirmwareError::NoTable);
    }
    while entries.len() >= ENTRY {
        let (data, name) = last_entry(entries).ok_or(TdxFirmwareError::NoTable)?;
        if name == METADATA {
            let from_end = data.try_into().map(u32::from_le_bytes).map_err(|_| CUT)?;
            let at = usize::try_from(from_end).ok().and_then(|from_end| file.len().checked_sub(from_end));
            return at.and_then(|at| file.get(at..)).ok_or(CUT);
        }
        entries = entries.get(..entries.len() - ENTRY - data.len()).unwrap_or_default();
    }
    Err(TdxFirmwareError::NoMetadata)
}

/// What the entry that ends here has, and its name. Entries are read from the last to the first.
fn last_entry(table: &[u8]) -> Option<(&[u8], [u8; 16])> {
    let (rest, name) = table.split_last_chunk::<16>()?;
    let (_, length) = rest.split_last_chunk::<2>()?;
    let from = table.len().checked_sub(usize::from(u16::from_le_bytes(*length)))?;
    Some((table.get(from..table.len().checked_sub(ENTRY)?)?, *name))
}

/// The little-endian numbers that these bytes are.
fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    let (all, _) = bytes.as_chunks::<4>();
    let mut all = all.iter().copied().map(u32::from_le_bytes);
    std::array::from_fn(|_| all.next().unwrap_or_default())
}
