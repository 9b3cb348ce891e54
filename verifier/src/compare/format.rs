// SPDX-License-Identifier: Apache-2.0
//! What a file says that it is, by its first bytes; and the names of formats.

use std::io;

use super::source::{Source, Span};
use super::{class, image, macho, mo, nar, pdf, pe, png, pyc, rpm, sqlite, tar, uimage, wasm, zip};

/// What is looked into. The order is the one in which normalizations are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    Gzip,
    Xz,
    Zstd,
    Bzip2,
    Zip,
    Tar,
    Ar,
    Cpio,
    Nar,
    Elf,
    Png,
    Pyc,
    Rpm,
    Mo,
    Wasm,
    Pe,
    Coff,
    MachO,
    MachOFat,
    Sqlite,
    Class,
    Squashfs,
    Ext4,
    Erofs,
    Jar,
    Properties,
    Javadoc,
    Cargo,
    Gem,
    UImage,
    Zlib,
    Pdf,
}

/// How the bytes of a file are arranged.
pub(super) enum Arrangement {
    /// A header, then what expands to one other file.
    Compressed,
    /// As zip archives are.
    Zip,
    /// Parts that stand one after the other.
    Parts,
    /// An image of a file system.
    Image,
    /// As a text, which is told by its name and not by how it begins: see [`super::roles`].
    Text,
}

impl Format {
    /// How its bytes are arranged.
    pub(super) fn arrangement(self) -> Arrangement {
        match self {
            Self::Gzip | Self::Xz | Self::Zstd | Self::Bzip2 | Self::Zlib => Arrangement::Compressed,
            Self::Zip => Arrangement::Zip,
            Self::Tar | Self::Ar | Self::Cpio | Self::Nar | Self::Elf | Self::Png | Self::Pyc => Arrangement::Parts,
            Self::Rpm | Self::Mo | Self::Wasm | Self::UImage | Self::Pdf => Arrangement::Parts,
            Self::Pe | Self::Coff | Self::MachO | Self::MachOFat | Self::Sqlite | Self::Class => Arrangement::Parts,
            Self::Squashfs | Self::Ext4 | Self::Erofs => Arrangement::Image,
            Self::Jar | Self::Properties | Self::Javadoc | Self::Cargo | Self::Gem => Arrangement::Text,
        }
    }

    /// As people say it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::Ar => "ar",
            Self::Cpio => "cpio",
            Self::Nar => "nar",
            Self::Elf => "elf",
            Self::Png => "png",
            Self::Pyc => "pyc",
            Self::Rpm => "rpm",
            Self::Mo => "mo",
            Self::Wasm => "wasm",
            Self::Pe => "pe",
            Self::Coff => "coff",
            Self::MachO => "mach-o",
            Self::MachOFat => "mach-o-fat",
            Self::Sqlite => "sqlite",
            Self::Class => "class",
            Self::Squashfs => "squashfs",
            Self::Ext4 => "ext4",
            Self::Erofs => "erofs",
            Self::Jar => "jar",
            Self::Properties => "properties",
            Self::Javadoc => "javadoc",
            Self::Cargo => "cargo",
            Self::Gem => "gem",
            Self::UImage => "uimage",
            Self::Zlib => "zlib",
            Self::Pdf => "pdf",
        }
    }

    /// With what comes before it in a sentence.
    pub(super) fn a_file(self) -> &'static str {
        match self {
            Self::Gzip => "a gzip file",
            Self::Xz => "an xz file",
            Self::Zstd => "a zstd file",
            Self::Bzip2 => "a bzip2 file",
            Self::Zip => "a zip archive",
            Self::Tar => "a tar archive",
            Self::Ar => "an ar archive",
            Self::Cpio => "a cpio archive",
            Self::Nar => "a Nix archive",
            Self::Elf => "an ELF file",
            Self::Png => "a PNG image",
            Self::Pyc => "a compiled Python file",
            Self::Rpm => "an RPM package",
            Self::Mo => "a gettext catalogue",
            Self::Wasm => "a WebAssembly module",
            Self::Pe => "a PE file",
            Self::Coff => "a COFF object",
            Self::MachO => "a Mach-O file",
            Self::MachOFat => "a Mach-O file of several architectures",
            Self::Sqlite => "an SQLite database",
            Self::Class => "a Java class",
            Self::Squashfs => "a squashfs image",
            Self::Ext4 => "an ext2, ext3 or ext4 image",
            Self::Erofs => "an erofs image",
            Self::Jar => "the manifest of a JAR",
            Self::Properties => "a file of properties",
            Self::Javadoc => "a page of javadoc",
            Self::Cargo => "a crate's note of its revision",
            Self::Gem => "what a gem says of itself",
            Self::UImage => "an image for U-Boot",
            Self::Zlib => "a stream of zlib",
            Self::Pdf => "a PDF file",
        }
    }
}

/// What the file says that it is; `None`: nothing that is looked into. It need not be true.
pub(super) fn claimed(source: &Source<'_>) -> io::Result<Option<Format>> {
    let first = source.read(Span { start: 0, len: source.len().min(tar::BLOCK) })?;
    let by_magic: [(&[u8], Format); 18] = [
        (b"\x1f\x8b", Format::Gzip),
        (b"\xfd7zXZ\0", Format::Xz),
        (b"\x28\xb5\x2f\xfd", Format::Zstd),
        (b"BZh", Format::Bzip2),
        (b"!<arch>\n", Format::Ar),
        (nar::MAGIC, Format::Nar),
        (b"\x7fELF", Format::Elf),
        (png::MAGIC, Format::Png),
        (rpm::MAGIC, Format::Rpm),
        (mo::MAGIC[0], Format::Mo),
        (mo::MAGIC[1], Format::Mo),
        (wasm::MAGIC, Format::Wasm),
        (sqlite::MAGIC, Format::Sqlite),
        (image::SQUASHFS, Format::Squashfs),
        (uimage::MAGIC, Format::UImage),
        (b"070701", Format::Cpio),
        (b"070702", Format::Cpio),
        (b"070707", Format::Cpio),
    ];
    if let Some((_, format)) = by_magic.into_iter().find(|(magic, _)| first.starts_with(magic)) {
        return Ok(Some(format));
    }
    // What is run comes before tar, which is told by a checksum alone.
    let by_header = [
        (macho::is_header(&first), Format::MachO),
        (macho::is_fat(&first), Format::MachOFat),
        (class::is_header(&first), Format::Class),
        (pyc::is_header(&first), Format::Pyc),
        (pe::is_object(&first), Format::Coff),
    ];
    if let Some((_, format)) = by_header.into_iter().find(|(is, _)| *is) {
        return Ok(Some(format));
    }
    if pe::is_image(&first, source)? {
        // A program may stand before an archive that it unpacks or runs.
        return Ok(Some(if zip::claims_to_be(source)? { Format::Zip } else { Format::Pe }));
    }
    if first.starts_with(pdf::MAGIC) {
        return Ok(Some(if zip::claims_to_be(source)? { Format::Zip } else { Format::Pdf }));
    }
    if tar::is_header(&first) {
        return Ok(Some(Format::Tar));
    }
    // What is in an image may be an archive, up to its end.
    if let Some(format) = image::claimed(source)? {
        return Ok(Some(format));
    }
    Ok(zip::claims_to_be(source)?.then_some(Format::Zip))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::archive::tests::{FILE, tar_of};
    use super::*;

    /// A header of tar as it was before there were others, with these bytes in it, and the right checksum.
    fn old_tar(puts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut block = vec![0; 512];
        let fields: [(usize, &[u8]); 4] =
            [(0, b"name"), (124, b"00000000000"), (136, b"00000000001"), (148, &[b' '; 8])];
        for (at, bytes) in fields.iter().chain(puts) {
            block[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    fn of(bytes: &[u8]) -> Option<Format> {
        claimed(&Source::Memory(bytes)).unwrap()
    }

    #[test]
    fn the_checksum_of_a_tar_header_alone_makes_no_archive_of_what_is_run() {
        assert_eq!(of(&old_tar(&[])), Some(Format::Tar));
        let none: &[u8] = &[];
        for (first, format) in [
            (b"\xcf\xfa\xed\xfe".as_slice(), Format::MachO),
            (b"\xca\xfe\xba\xbe\0\0\0\x02", Format::MachOFat),
            (b"\xca\xfe\xba\xbe\0\0\0\x41", Format::Class),
            (b"\xcb\x0d\r\n\0\0\0\0", Format::Pyc),
            (b"\x64\x86\x01\0", Format::Coff),
        ] {
            assert_eq!(of(&old_tar(&[(0, first), (257, none)])), Some(format));
            assert_eq!(of(&old_tar(&[(0, first), (257, b"ustar")])), Some(format));
        }
        let program: [(usize, &[u8]); 3] = [(0, b"MZ\0\0"), (0x3c, b"\x40\0\0\0"), (0x40, b"PE\0\0")];
        assert_eq!(of(&old_tar(&program)), Some(Format::Pe));
    }

    #[test]
    fn a_tar_header_without_its_kind_has_nothing_more_in_it() {
        for (at, bytes, format) in [
            (256, b"x".as_slice(), Some(Format::Tar)),
            (257, b"x", None),
            (511, b"x", None),
            (0, &[b'n'; 99], Some(Format::Tar)),
            (0, &[b'n'; 100], None),
        ] {
            assert_eq!(of(&old_tar(&[(at, bytes)])), format, "{at}");
            assert_eq!(of(&old_tar(&[(at, bytes), (257, b"ustar")])), Some(Format::Tar), "{at}");
        }
        assert_eq!(of(&tar_of(&[FILE])), Some(Format::Tar));
    }

    #[test]
    fn a_program_with_an_archive_behind_it_is_that_archive() {
        let mut program = b"MZ".to_vec();
        program.resize(0x3c, 0);
        program.extend(b"\x40\0\0\0PE\0\0");
        assert_eq!(of(&program), Some(Format::Pe));
        let mut writer = ::zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        writer.start_file("a", ::zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(b"a").unwrap();
        let archive = writer.finish().unwrap().into_inner();
        assert_eq!(of(&[&program[..], &archive].concat()), Some(Format::Zip));
        // So may a document.
        let document = b"%PDF-1.7\n";
        assert_eq!((of(document), of(&[document, &archive[..]].concat())), (Some(Format::Pdf), Some(Format::Zip)));
    }
}
