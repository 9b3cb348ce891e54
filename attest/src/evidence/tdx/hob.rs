// SPDX-License-Identifier: Apache-2.0
//! What QEMU tells a domain's firmware of the memory that there is (UEFI Platform Initialization, volume 3, section 5: HOBs; QEMU,
//! `hw/i386/tdvf-hob.c`, `target/i386/kvm/tdx.c`, `hw/i386/pc_q35.c`).

use super::firmware::{Pages, TdxFirmware, TdxFirmwareError};

/// A machine of q35 has no more than this below 4 GiB, where it has so much, and else all.
const LOW: u64 = 0x8000_0000;
const LOW_IF_ALL: u64 = 0xb000_0000;
const HIGH_FROM: u64 = 1 << 32;

/// `EFI_RESOURCE_SYSTEM_MEMORY`: memory that the domain began with.
const ADDED: u32 = 0;
/// `EFI_RESOURCE_MEMORY_UNACCEPTED`: memory that it has to accept.
const UNACCEPTED: u32 = 7;

impl TdxFirmware {
    /// The most memory, in MiB: 16 TiB.
    pub const MAX_MEMORY_MIB: u64 = 16 << 20;

    /// The TD HOB without its end, as the firmware measures it.
    pub(super) fn td_hob(&self, memory_mib: u64) -> Result<Vec<u8>, TdxFirmwareError> {
        if memory_mib > Self::MAX_MEMORY_MIB {
            return Err(TdxFirmwareError::Memory(memory_mib));
        }
        let resources = resources(memory_mib << 20, &self.added).ok_or(TdxFirmwareError::Memory(memory_mib))?;
        let mut hob = Vec::new();
        for (kind, pages) in resources {
            header(&mut hob, 3, 48);
            hob.extend([0; 16]);
            // Present, initialized, tested.
            hob.extend([kind, 7].into_iter().flat_map(u32::to_le_bytes));
            hob.extend([pages.start, pages.bytes].into_iter().flat_map(u64::to_le_bytes));
        }
        let mut all = Vec::new();
        header(&mut all, 1, 56);
        // Version 9, and the boot mode.
        all.extend([9, 0].into_iter().flat_map(u32::to_le_bytes));
        all.extend([0; 32]);
        let length = all.len() + 8 + hob.len() + END;
        let length = u64::try_from(length).ok().filter(|length| *length <= self.hob.bytes);
        let length = length.ok_or(TdxFirmwareError::Malformed("has no room for a TD HOB"))?;
        all.extend((self.hob.start + length).to_le_bytes());
        all.extend(hob);
        Ok(all)
    }
}

/// Of the HOB that ends the list.
const END: usize = 8;

fn header(hob: &mut Vec<u8>, kind: u16, length: u16) {
    hob.extend([kind, length, 0, 0].into_iter().flat_map(u16::to_le_bytes));
}

/// All memory in order: what is there from the beginning, and what is between. Nothing, where the former is not in it.
fn resources(memory: u64, added: &[Pages]) -> Option<Vec<(u32, Pages)>> {
    let low = if memory < LOW_IF_ALL { memory } else { LOW };
    let mut resources = Vec::new();
    let mut add = |kind, start, end| {
        if start < end {
            resources.push((kind, Pages { start, bytes: end - start }));
        }
    };
    let mut at = 0;
    for pages in added {
        if pages.end() > low {
            return None;
        }
        add(UNACCEPTED, at, pages.start);
        add(ADDED, pages.start, pages.end());
        at = pages.end();
    }
    add(UNACCEPTED, at, low);
    add(UNACCEPTED, HIGH_FROM, HIGH_FROM + (memory - low));
    Some(resources)
}
