// SPDX-License-Identifier: Apache-2.0
//! What a firmware measures of a kernel that it starts as an EFI application (Microsoft, "PE Format", appendix "Calculating the
//! PE image hash"; edk2, `OvmfPkg/Tcg/TdTcg2Dxe/MeasureBootPeCoff.c`).

use super::firmware::TdxFirmwareError;

/// The longest kernel, in bytes.
pub(super) const MAX_KERNEL: usize = 256 << 20;
/// The most sections.
const MAX_SECTIONS: usize = 64;
/// Of an image for processors of x86 with 64 bits, and of an EFI application.
const MACHINE: u16 = 0x8664;
const PE32_PLUS: u16 = 0x20b;
const EFI_APPLICATION: u16 = 10;
/// The directory of signatures is the fifth.
const DIRECTORIES: usize = 112;
const SIGNATURES: usize = DIRECTORIES + 4 * 8;
const EACH_SECTION: usize = 40;

/// The parts of a kernel's file that are measured, in order: all but its checksum and its signatures, and where these are. A file
/// with anything else that edk2 would pass over is refused.
pub(super) fn measured(file: &[u8]) -> Result<[&[u8]; 4], TdxFirmwareError> {
    if file.len() > MAX_KERNEL {
        return Err(TdxFirmwareError::Kernel("has more than 256 MiB"));
    }
    if number16(file, 0) != Some(u16::from_le_bytes(*b"MZ")) {
        return Err(TdxFirmwareError::Kernel("is no EFI application"));
    }
    let at = number32(file, 0x3c).ok_or(CUT)?;
    let header = file.get(at..).ok_or(CUT)?;
    let (Some(magic), Some(machine), Some(sections)) = (number32(header, 0), number16(header, 4), number16(header, 6))
    else {
        return Err(CUT);
    };
    if u32::try_from(magic) != Ok(u32::from_le_bytes(*b"PE\0\0")) || machine != MACHINE {
        return Err(TdxFirmwareError::Kernel("is no EFI application for x86-64"));
    }
    let optional_size = usize::from(number16(header, 20).ok_or(CUT)?);
    let optional = header.get(24..24 + optional_size).ok_or(CUT)?;
    if (number16(optional, 0), number16(optional, 68)) != (Some(PE32_PLUS), Some(EFI_APPLICATION)) {
        return Err(TdxFirmwareError::Kernel("is no EFI application for x86-64"));
    }
    let headers = number32(optional, 60).ok_or(CUT)?;
    let directories = number32(optional, 108).ok_or(CUT)?;
    let table = header.get(24 + optional_size..).ok_or(CUT)?;
    let end = sections_end(table, usize::from(sections), headers)?;
    if directories <= 4 || optional_size < SIGNATURES + 8 {
        return Err(TdxFirmwareError::Kernel("has no place for a signature"));
    }
    let signatures = [number32(optional, SIGNATURES).ok_or(CUT)?, number32(optional, SIGNATURES + 4).ok_or(CUT)?];
    let signed = signed_end(file.len(), end, signatures)?;
    let (checksum, directory) = (at + 24 + 64, at + 24 + SIGNATURES);
    let table_end = at + 24 + optional_size + usize::from(sections) * EACH_SECTION;
    if table_end > headers {
        return Err(TdxFirmwareError::Kernel("has headers that are longer than they say"));
    }
    let part = |from: usize, to: usize| file.get(from..to).ok_or(CUT);
    Ok([part(0, checksum)?, part(checksum + 4, directory)?, part(directory + 8, end)?, part(end, signed)?])
}

const CUT: TdxFirmwareError = TdxFirmwareError::Kernel("is cut");

/// Where the last section ends. Each has to begin where the one before it ends, or the bytes between them would not be measured.
fn sections_end(table: &[u8], count: usize, headers: usize) -> Result<usize, TdxFirmwareError> {
    if !(1..=MAX_SECTIONS).contains(&count) {
        return Err(TdxFirmwareError::Kernel("has not from 1 to 64 sections"));
    }
    let table = table.get(..count * EACH_SECTION).ok_or(CUT)?;
    let section = |section: &[u8]| Some((number32(section, 20)?, number32(section, 16)?));
    let sections: Option<Vec<_>> = table.chunks_exact(EACH_SECTION).map(section).collect();
    let mut sections = sections.ok_or(CUT)?;
    sections.retain(|(_, size)| *size > 0);
    sections.sort_unstable();
    let mut end = headers;
    for (from, size) in sections {
        if from != end {
            return Err(TdxFirmwareError::Kernel("has sections that do not follow each other"));
        }
        end = from.checked_add(size).ok_or(CUT)?;
    }
    Ok(end)
}

/// Where what is measured ends: where the signatures begin, which are the last of the file, or at its end.
fn signed_end(length: usize, sections: usize, [at, size]: [usize; 2]) -> Result<usize, TdxFirmwareError> {
    let end = length.checked_sub(size).ok_or(CUT)?;
    if end < sections {
        return Err(CUT);
    }
    if (size == 0) != (at == 0) || (size > 0 && at != end) {
        return Err(TdxFirmwareError::Kernel("has signatures that are not at its end"));
    }
    Ok(end)
}

fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn number32(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use aws_lc_rs::digest::{SHA256, digest};

    use super::*;

    /// Debian's kernel, in the package that `scripts/setup` downloads.
    #[expect(clippy::disallowed_methods, reason = "a test reads a kernel where it lies")]
    fn debian_s() -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/kernel");
        let is_package = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "deb");
        let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let package = files.find(is_package).unwrap();
        let script = r#"dpkg-deb --fsys-tarfile "$0" | tar -xO --wildcards './boot/vmlinuz-*'"#;
        let output = Command::new("/bin/sh").args(["-c", script]).arg(package).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A kernel with two sections of 512 bytes, in another order than they are listed, and one without bytes.
    fn made() -> Vec<u8> {
        let mut file = vec![0; 0x600];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3c, &[0x40]);
        put(0x40, b"PE\0\0\x64\x86\x03\0");
        put(0x54, &160_u16.to_le_bytes());
        put(0x58, &PE32_PLUS.to_le_bytes());
        put(0x58 + 60, &0x200_u32.to_le_bytes());
        put(0x58 + 68, &EFI_APPLICATION.to_le_bytes());
        put(0x58 + 108, &[6]);
        for (number, [size, at]) in [[0x200_u32, 0x400], [0, 0x900], [0x200, 0x200]].into_iter().enumerate() {
            let header = 0x58 + 160 + 40 * number;
            put(header + 16, &size.to_le_bytes());
            put(header + 20, &at.to_le_bytes());
        }
        for (at, byte) in file.iter_mut().enumerate().skip(0x200) {
            *byte = u8::try_from(at % 251).unwrap();
        }
        file
    }

    /// The digest that Debian has signed is in the signature at the kernel's end (`SpcIndirectDataContent`).
    #[test]
    fn what_is_measured_of_a_kernel_is_what_its_maker_has_signed() {
        const SHA_256_DIGEST: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
        let kernel = debian_s();
        let parts = measured(&kernel).unwrap();
        let measured: usize = parts.iter().map(|part| part.len()).sum();
        let signatures = &kernel[measured + 12..];
        let at = signatures.windows(SHA_256_DIGEST.len()).position(|bytes| bytes == SHA_256_DIGEST).unwrap();
        let signed = &signatures[at + SHA_256_DIGEST.len()..][..32];
        assert_eq!(digest(&SHA256, &parts.concat()).as_ref(), signed);
    }

    #[test]
    fn every_byte_of_a_kernel_is_measured_but_its_checksum_and_its_signatures() {
        let good = made();
        let is = measured(&good).unwrap().concat();
        assert_eq!(is.len() + 12, good.len());
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 0xff;
            let same = measured(&changed).is_ok_and(|parts| parts.concat() == is);
            assert_eq!(same, (0x58 + 64..0x58 + 68).contains(&at), "byte {at:#x}");
        }
        // Signatures at its end, what is before them, and what is behind.
        let sign = |file: &mut Vec<u8>, at: u32, size: u32| {
            file[0x58 + SIGNATURES..][..4].copy_from_slice(&at.to_le_bytes());
            file[0x58 + SIGNATURES + 4..][..4].copy_from_slice(&size.to_le_bytes());
        };
        let mut signed = [good.clone(), vec![7; 16]].concat();
        assert_eq!(measured(&signed).unwrap().concat().len(), is.len() + 16);
        sign(&mut signed, 0x600, 16);
        assert_eq!(measured(&signed).unwrap().concat(), is);
        sign(&mut signed, 0x608, 8);
        assert_eq!(measured(&signed).unwrap().concat().len(), is.len() + 8);
        for (at, size) in [(0x600, 8), (0x5f8, 24), (0, 16), (0x610, 0), (0x600, u32::MAX)] {
            sign(&mut signed, at, size);
            assert!(measured(&signed).is_err(), "{at:#x} {size}");
        }
    }

    #[test]
    fn a_kernel_that_would_not_be_measured_whole_is_refused() {
        let good = made();
        let refused = |at: usize, bytes: &[u8], why: &str| {
            let mut changed = good.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            let error = measured(&changed).unwrap_err().to_string();
            assert!(error.contains(why), "{at:#x}: {error}");
        };
        refused(0, b"\x7fE", "no EFI application");
        refused(0x40, b"NE", "no EFI application");
        refused(0x44, b"\x4c\x01", "no EFI application");
        refused(0x58, b"\x0b\x01", "no EFI application");
        refused(0x58 + 68, &[11], "no EFI application");
        refused(0x46, &[0], "sections");
        refused(0x46, &[65], "sections");
        refused(0x58 + 60, &[0, 1], "do not follow");
        refused(0x58 + 108, &[4], "no place");
        refused(0x54, &[151], "no place");
        refused(0x58 + 160 + 20, &[1], "do not follow");
        refused(0x58 + 160 + 17, &[4], "cut");
        refused(0x3c, &[0xff, 0xff, 0xff, 0xff], "cut");
        for length in 0..good.len() {
            assert!(measured(&good[..length]).is_err(), "{length}");
        }
        assert!(measured(&vec![0; MAX_KERNEL]).unwrap_err().to_string().contains("no EFI application"));
        assert!(measured(&vec![0; MAX_KERNEL + 1]).unwrap_err().to_string().contains("256 MiB"));
    }
}
