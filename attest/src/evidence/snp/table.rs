// SPDX-License-Identifier: Apache-2.0
//! The table of certificates that a host hands to its guests beside their reports (GHCB specification, revision 2.03, section
//! 4.1.8.1, "SNP Extended Guest Request"): what a guest reads from its kernel's `auxblob`.
//!
//! ```text
//! each entry:  name (GUID, 16 bytes)  offset (4)  length (4)      the lowest byte first
//! at the end:  24 zeros
//! ```
//!
//! The host writes it, so that nothing in it is believed: it only says where to look for what is then verified.

use thiserror::Error;

/// What a table has. Nothing of it is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateTable<'a> {
    /// Of the key that is the chip's own (VCEK).
    pub chip: Option<&'a [u8]>,
    /// Of the key that was loaded into it (VLEK).
    pub loaded: Option<&'a [u8]>,
    /// Of the signer of the chip's key (ASK).
    pub intermediate: Option<&'a [u8]>,
    /// Of the root (ARK).
    pub root: Option<&'a [u8]>,
    /// What the root's owner has revoked (CRL).
    pub revoked: Option<&'a [u8]>,
}

/// Why bytes are no such table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// Far more than five certificates need.
    #[error("the host's table of certificates has {0} bytes; at most {max} are read", max = CertificateTable::MAX_BYTES)]
    TooLong(usize),
    /// Nothing says where it ends.
    #[error(
        "the host's table of certificates does not end: there is no entry of zeros among the first {max} of it",
        max = CertificateTable::MAX_ENTRIES
    )]
    NoEnd,
    /// An entry that leads elsewhere.
    #[error(
        "entry {0} of the host's table of certificates is of bytes that are not behind the table's end, or is empty"
    )]
    Outside(usize),
    /// Two certificates of one kind, of which anybody might take another one.
    #[error("the host's table of certificates has two for {0}")]
    Twice(&'static str),
}

/// Of an entry.
const ENTRY: usize = 24;

/// Each is a GUID, its digits in the order in which they are written.
const CHIP: u128 = 0x63da_758d_e664_4564_adc5_f4b9_3be8_accd;
const LOADED: u128 = 0xa807_4bc2_a25a_483e_aae6_39c0_45a0_b8a1;
const INTERMEDIATE: u128 = 0x4ab7_b379_bbac_4fe4_a02f_05ae_f327_c782;
const ROOT: u128 = 0xc0b4_06a4_a803_4952_9743_3fb6_014c_d0ae;
const REVOKED: u128 = 0x92f8_1bc3_5811_4d3d_97ff_d19f_88dc_67ea;

impl<'a> CertificateTable<'a> {
    /// The longest table with all certificates, in bytes: 64 KiB, four times what Linux gives a guest room for.
    pub const MAX_BYTES: usize = 64 << 10;
    /// The most entries, with the last one of zeros.
    pub const MAX_ENTRIES: usize = 32;

    /// Finds what is named in the table; what has another name is passed over. No bytes at all are a table of nothing: a host
    /// may have none.
    ///
    /// # Errors
    /// See [`TableError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, TableError> {
        let mut table = Self::default();
        if bytes.is_empty() {
            return Ok(table);
        }
        if bytes.len() > Self::MAX_BYTES {
            return Err(TableError::TooLong(bytes.len()));
        }
        let entries: Vec<&[u8; ENTRY]> = bytes.as_chunks().0.iter().take(Self::MAX_ENTRIES).collect();
        let count = entries.iter().position(|entry| **entry == [0; ENTRY]).ok_or(TableError::NoEnd)?;
        let end = (count + 1) * ENTRY;
        for (number, entry) in entries.into_iter().take(count).enumerate() {
            let (name, found) = of(entry, bytes, end).ok_or(TableError::Outside(number))?;
            let (place, what) = match name {
                CHIP => (&mut table.chip, "the chip's key (VCEK)"),
                LOADED => (&mut table.loaded, "a loaded key (VLEK)"),
                INTERMEDIATE => (&mut table.intermediate, "the intermediate (ASK)"),
                ROOT => (&mut table.root, "the root (ARK)"),
                REVOKED => (&mut table.revoked, "what is revoked (CRL)"),
                _ => continue,
            };
            if place.replace(found).is_some() {
                return Err(TableError::Twice(what));
            }
        }
        Ok(table)
    }
}

/// An entry's name, and what it leads to, where that is behind `end`.
fn of<'a>(entry: &[u8; ENTRY], bytes: &'a [u8], end: usize) -> Option<(u128, &'a [u8])> {
    let (name, rest) = entry.split_first_chunk()?;
    let (from, length) = rest.split_first_chunk()?;
    let number = |bytes: [u8; 4]| usize::try_from(u32::from_le_bytes(bytes)).ok();
    let (from, length) = (number(*from)?, number(*length.first_chunk()?)?);
    let found = bytes.get(from..from.checked_add(length)?)?;
    (from >= end && length > 0).then_some((u128::from_be_bytes(*name), found))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sev::firmware::host::{CertTableEntry, CertType};

    use super::*;

    /// As the `sev` crate writes it, which is what hosts are set up with.
    fn written(entries: &[(CertType, Vec<u8>)]) -> Vec<u8> {
        let entries: Vec<_> =
            entries.iter().map(|(kind, data)| CertTableEntry::new(kind.clone(), data.clone())).collect();
        CertTableEntry::cert_table_to_vec_bytes(&entries).unwrap()
    }

    fn entry(name: u128, from: u32, length: u32) -> Vec<u8> {
        [&name.to_be_bytes()[..], &from.to_le_bytes(), &length.to_le_bytes()].concat()
    }

    #[test]
    fn a_table_is_read_as_others_write_it() {
        let table = written(&[
            (CertType::ARK, b"root".to_vec()),
            (CertType::ASK, b"intermediate".to_vec()),
            (CertType::VCEK, b"chip".to_vec()),
            (CertType::CRL, b"revoked".to_vec()),
            (CertType::VLEK, b"loaded".to_vec()),
        ]);
        let expected = CertificateTable {
            chip: Some(b"chip"),
            loaded: Some(b"loaded"),
            intermediate: Some(b"intermediate"),
            root: Some(b"root"),
            revoked: Some(b"revoked"),
        };
        assert_eq!(CertificateTable::read(&table), Ok(expected));
        let one = written(&[(CertType::VCEK, b"chip".to_vec())]);
        let chip_alone = CertificateTable { chip: Some(b"chip"), ..CertificateTable::default() };
        assert_eq!(CertificateTable::read(&one), Ok(chip_alone));
    }

    #[test]
    fn a_host_may_have_nothing_or_something_else() {
        assert_eq!(CertificateTable::read(&[]), Ok(CertificateTable::default()));
        assert_eq!(CertificateTable::read(&[0; ENTRY]), Ok(CertificateTable::default()));
        let other = [entry(7, 48, 1), vec![0; ENTRY], vec![1]].concat();
        assert_eq!(CertificateTable::read(&other), Ok(CertificateTable::default()));
    }

    #[test]
    fn an_entry_leads_behind_the_table_and_into_the_bytes() {
        let read = |from, length| {
            let bytes = [entry(CHIP, from, length), vec![0; ENTRY], b"12".to_vec()].concat();
            CertificateTable::read(&bytes).map(|table| table.chip.map(<[u8]>::to_vec))
        };
        assert_eq!(read(48, 2), Ok(Some(b"12".to_vec())));
        assert_eq!(read(49, 1), Ok(Some(b"2".to_vec())));
        for (from, length) in [(47, 2), (48, 3), (48, 0), (50, 1), (0, 50), (u32::MAX, 1), (48, u32::MAX)] {
            assert_eq!(read(from, length), Err(TableError::Outside(0)), "{from} {length}");
        }
    }

    #[test]
    fn one_of_each_kind_is_all_there_may_be() {
        let twice = [entry(ROOT, 72, 1), entry(ROOT, 73, 1), vec![0; ENTRY], b"12".to_vec()].concat();
        assert_eq!(CertificateTable::read(&twice), Err(TableError::Twice("the root (ARK)")));
    }

    #[test]
    fn a_table_is_bounded_on_both_sides() {
        for (length, fits) in [(CertificateTable::MAX_BYTES, true), (CertificateTable::MAX_BYTES + 1, false)] {
            assert_eq!(CertificateTable::read(&vec![0; length]).is_ok(), fits, "{length}");
        }
        for (count, fits) in [(CertificateTable::MAX_ENTRIES - 1, true), (CertificateTable::MAX_ENTRIES, false)] {
            let end = u32::try_from((count + 1) * ENTRY).unwrap();
            let table = [entry(7, end, 1).repeat(count), vec![0; ENTRY], vec![1]].concat();
            assert_eq!(CertificateTable::read(&table).is_ok(), fits, "{count}");
        }
        for length in 1..ENTRY {
            assert_eq!(CertificateTable::read(&vec![0; length]), Err(TableError::NoEnd));
        }
    }

    proptest! {
        /// Whatever a host writes, what is found lies behind the table; cut anywhere, nothing else is found.
        #[test]
        fn whatever_the_bytes_are_they_are_read_or_refused(
            names in proptest::collection::vec((0_usize..6, 0_u32..200, 0_u32..40), 0..8),
            data in proptest::collection::vec(any::<u8>(), 0..120),
            cut in 0_usize..400,
        ) {
            let name = |at| [CHIP, LOADED, INTERMEDIATE, ROOT, REVOKED, 7][at];
            let entries: Vec<u8> = names.iter().flat_map(|&(at, from, length)| entry(name(at), from, length)).collect();
            let bytes = [entries.clone(), vec![0; ENTRY], data.clone()].concat();
            if let Ok(table) = CertificateTable::read(&bytes) {
                let all = [table.chip, table.loaded, table.intermediate, table.root, table.revoked];
                for found in all.into_iter().flatten() {
                    prop_assert!(data.windows(found.len()).any(|part| part == found));
                }
                let cut = bytes.get(..cut).unwrap_or(&bytes);
                if let Ok(of_cut) = CertificateTable::read(cut) && !cut.is_empty() {
                    prop_assert_eq!(of_cut, table);
                }
            }
        }
    }
}
