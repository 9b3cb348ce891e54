// SPDX-License-Identifier: Apache-2.0
//! The form of a published tarball: what its gzip header (RFC 1952) and its tar headers (POSIX.1-2017, ustar) tell of the
//! tool that packed it. No file in it is looked into.

use std::collections::BTreeSet;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use thiserror::Error;

/// What of a tarball depends on what packed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// How hard it was compressed, as gzip's byte 8 says.
    pub(crate) effort: Effort,
    /// On which system, as gzip's byte 9 says.
    pub(crate) system: u8,
    /// What its files' times are.
    pub(crate) times: Times,
    /// Whose its files are.
    pub(crate) owner: Owner,
    /// Permission bits that files in it have.
    pub(crate) modes: BTreeSet<u16>,
}

/// Levels of compression that the header tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Any between the least and the most.
    Usual,
    /// The most.
    Most,
}

/// What the modification times of all files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// 1985-10-26T08:15:00Z, as node-tar writes it.
    Npm,
    /// The same, as tar-stream writes it.
    Pnpm,
    /// 1984-06-22T21:50:00Z, as tar-stream writes it.
    Yarn,
    /// Not all the same, or none of these.
    Own,
}

/// Which user and group the files have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The fields are empty.
    None,
    /// These numbers.
    Numbers(u32, u32),
    /// Not all the same.
    Several,
}

/// Why a tarball has a form that no known tool makes, or none.
#[derive(Debug, Error)]
pub enum FormError {
    /// Reading failed, or what is compressed is damaged.
    #[error("it can't be read as gzip: {0}")]
    Read(#[from] io::Error),
    /// Not gzip.
    #[error("it is not in gzip, as all packages of npm are")]
    NoGzip,
    /// A gzip header with a name, a time or the like.
    #[error("its gzip header has {0}; npm, pnpm and Yarn write none")]
    GzipHeader(&'static str),
    /// A header that is none.
    #[error("header {0} in it is not one of ustar")]
    NoHeader(usize),
    /// Another top directory.
    #[error("it has {0:?} at its top, where npm, pnpm and Yarn have package/; none of them packed it")]
    Top(String),
    /// Directories.
    #[error("it has the directory {0:?} as an entry of its own, which npm, pnpm and Yarn 2 and newer never write")]
    Directory(String),
    /// An entry that is no file.
    #[error("it has {0:?}, an entry of type {1:?}, where npm, pnpm and Yarn write files alone")]
    Kind(String, char),
    /// Names of users or groups.
    #[error("it names a user or a group, which npm, pnpm and Yarn never do")]
    Named,
    /// Settings of npm or pnpm.
    #[error("it has package/.npmrc, which npm and pnpm never pack; it would change how they do")]
    Settings,
    /// Numbers past what octal digits hold.
    #[error(
        "it has a user or a group whose number is in base 256, as npm before 3 wrote them; no such npm is known here"
    )]
    Base256,
    /// Other padding.
    #[error("it ends in other than 1024 NUL bytes, as npm, pnpm and Yarn do not")]
    End,
    /// Too many entries.
    #[error("it has more than {MAX_ENTRIES} entries")]
    TooMany,
    /// Too long.
    #[error("it has more than {MAX_BYTES} bytes once expanded")]
    TooLong,
    /// All of this can be, and not together.
    #[error("no known tool packs in its form: {0}")]
    Unknown(String),
}

/// The most entries that are read.
const MAX_ENTRIES: usize = 500_000;
/// The most bytes that are expanded.
const MAX_BYTES: u64 = 4 << 30;

impl Form {
    /// Reads the form of a tarball.
    ///
    /// # Errors
    /// See [`FormError`].
    pub(crate) fn read(mut tarball: impl Read) -> Result<Self, FormError> {
        let mut head = [0; 10];
        tarball.read_exact(&mut head).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FormError::NoGzip,
            _ => error.into(),
        })?;
        let [0x1f, 0x8b, 8, flags, t0, t1, t2, t3, effort, system] = head else { return Err(FormError::NoGzip) };
        if flags != 0 {
            return Err(FormError::GzipHeader("a name or other fields"));
        }
        if [t0, t1, t2, t3] != [0; 4] {
            return Err(FormError::GzipHeader("a time"));
        }
        let effort = match effort {
            0 => Effort::Usual,
            2 => Effort::Most,
            _ => return Err(FormError::Unknown("it was compressed as little as can be".into())),
        };
        let expanded = GzDecoder::new(io::Cursor::new(head).chain(tarball));
        let found = entries(Bounded { inner: expanded, left: MAX_BYTES })?;
        Ok(Self { effort, system, times: found.times(), owner: found.owner(), modes: found.modes })
    }
}

/// What the headers have.
#[derive(Default)]
struct Found {
    modes: BTreeSet<u16>,
    times: BTreeSet<[u8; 12]>,
    owners: BTreeSet<[u8; 16]>,
}

impl Found {
    fn times(&self) -> Times {
        match self.times.iter().next() {
            Some(b"3560116604 \0") if self.times.len() == 1 => Times::Npm,
            Some(b"03560116604 ") if self.times.len() == 1 => Times::Pnpm,
            Some(b"03316406010 ") if self.times.len() == 1 => Times::Yarn,
            _ => Times::Own,
        }
    }

    fn owner(&self) -> Owner {
        let mut owners = self.owners.iter();
        let (Some(owner), None) = (owners.next(), owners.next()) else { return Owner::Several };
        let (user, group) = owner.split_at(8);
        match (octal(user), octal(group)) {
            (None, None) => Owner::None,
            (Some(user), Some(group)) => Owner::Numbers(user, group),
            _ => Owner::Several,
        }
    }
}

/// Reads every header, and over what is between them.
fn entries(mut tar: impl Read) -> Result<Found, FormError> {
    let mut found = Found::default();
    let mut is_extended = false;
    for number in 1.. {
        if number > MAX_ENTRIES {
            return Err(FormError::TooMany);
        }
        let mut block = [0; 512];
        fill(&mut tar, &mut block)?;
        if block == [0; 512] {
            break;
        }
        let header = Header::of(&block).ok_or(FormError::NoHeader(number))?;
        match header.kind {
            b'x' => is_extended = true,
            b'0' | 0 => {
                // A long name is in the extended header before it, and only a part of it here.
                header.file(&mut found, is_extended)?;
                is_extended = false;
            }
            b'5' => return Err(FormError::Directory(header.path())),
            other => return Err(FormError::Kind(header.path(), char::from(other))),
        }
        let padded = header.size.div_ceil(512).saturating_mul(512);
        if io::copy(&mut tar.by_ref().take(padded), &mut io::sink()).map_err(too_long)? != padded {
            return Err(FormError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    let mut block = [0; 512];
    let mut rest = Vec::new();
    fill(&mut tar, &mut block)?;
    // It also reads gzip's own check sum.
    tar.take(1).read_to_end(&mut rest).map_err(too_long)?;
    if block != [0; 512] || !rest.is_empty() { Err(FormError::End) } else { Ok(found) }
}

/// What is read of a header.
struct Header<'a> {
    name: &'a [u8],
    prefix: &'a [u8],
    mode: u32,
    owner: [u8; 16],
    size: u64,
    time: [u8; 12],
    kind: u8,
    has_names: bool,
}

impl<'a> Header<'a> {
    fn of(block: &'a [u8; 512]) -> Option<Self> {
        let field = |from: usize, length: usize| block.get(from..from.checked_add(length)?);
        if field(257, 6)? != b"ustar\0" {
            return None;
        }
        Some(Self {
            name: text(field(0, 100)?),
            prefix: text(field(345, 155)?),
            mode: octal(field(100, 8)?)?,
            owner: field(108, 16)?.try_into().ok()?,
            size: u64::from_str_radix(digits(field(124, 12)?)?, 8).ok()?,
            time: field(136, 12)?.try_into().ok()?,
            kind: *block.get(156)?,
            has_names: field(265, 64)?.iter().any(|byte| *byte != 0),
        })
    }

    fn path(&self) -> String {
        let path = if self.prefix.is_empty() { self.name.to_vec() } else { [self.prefix, b"/", self.name].concat() };
        String::from_utf8_lossy(&path).chars().filter(|c| !c.is_control()).collect()
    }

    fn file(&self, found: &mut Found, is_extended: bool) -> Result<(), FormError> {
        let first = if self.prefix.is_empty() { self.name } else { self.prefix };
        if !is_extended && first != b"package" && !first.starts_with(b"package/") {
            return Err(FormError::Top(self.path().split('/').next().unwrap_or_default().to_owned()));
        }
        if !is_extended && self.path() == "package/.npmrc" {
            return Err(FormError::Settings);
        }
        if self.has_names {
            return Err(FormError::Named);
        }
        if self.owner.iter().any(|byte| *byte >= 0x80) {
            return Err(FormError::Base256);
        }
        found.modes.insert(u16::try_from(self.mode & 0o7777).unwrap_or_default());
        found.times.insert(self.time);
        found.owners.insert(self.owner);
        Ok(())
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The digits of a field that holds a number.
fn digits(field: &[u8]) -> Option<&str> {
    str::from_utf8(text(field)).ok().map(str::trim)
}

/// A number in octal; `None` for an empty field, and for what is none.
fn octal(field: &[u8]) -> Option<u32> {
    u32::from_str_radix(digits(field)?, 8).ok()
}

fn fill(tar: &mut impl Read, block: &mut [u8; 512]) -> Result<(), FormError> {
    tar.read_exact(block).map_err(too_long)
}

/// Reads at most so many bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

fn too_long(error: io::Error) -> FormError {
    if error.kind() == io::ErrorKind::FileTooLarge { FormError::TooLong } else { FormError::Read(error) }
}

#[cfg(test)]
#[path = "form/tests.rs"]
mod tests;
