// SPDX-License-Identifier: Apache-2.0
//! What a file says that it is, by its first bytes; and the names of formats.

use std::io;

use super::source::{Source, Span};
use super::{png, pyc, tar, zip};

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
    Elf,
    Png,
    Pyc,
}

impl Format {
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
            Self::Elf => "elf",
            Self::Png => "png",
            Self::Pyc => "pyc",
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
            Self::Elf => "an ELF file",
            Self::Png => "a PNG image",
            Self::Pyc => "a compiled Python file",
        }
    }
}

/// What the file says that it is; `None`: nothing that is looked into. It need not be true.
pub(super) fn claimed(source: &Source<'_>) -> io::Result<Option<Format>> {
    let first = source.read(Span { start: 0, len: source.len().min(tar::BLOCK) })?;
    let by_magic: [(&[u8], Format); 10] = [
        (b"\x1f\x8b", Format::Gzip),
        (b"\xfd7zXZ\0", Format::Xz),
        (b"\x28\xb5\x2f\xfd", Format::Zstd),
        (b"BZh", Format::Bzip2),
        (b"!<arch>\n", Format::Ar),
        (b"\x7fELF", Format::Elf),
        (png::MAGIC, Format::Png),
        (b"070701", Format::Cpio),
        (b"070702", Format::Cpio),
        (b"070707", Format::Cpio),
    ];
    if let Some((_, format)) = by_magic.into_iter().find(|(magic, _)| first.starts_with(magic)) {
        return Ok(Some(format));
    }
    if tar::is_header(&first) {
        return Ok(Some(Format::Tar));
    }
    if pyc::is_header(&first) {
        return Ok(Some(Format::Pyc));
    }
    Ok(zip::claims_to_be(source)?.then_some(Format::Zip))
}
