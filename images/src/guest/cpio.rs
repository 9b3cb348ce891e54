// SPDX-License-Identifier: Apache-2.0
//! Archives that a Linux kernel takes for its first file system: `newc` of cpio, by the kernel's own document
//! (`driver-api/early-userspace/buffer-format`). Whose files they are and of when is the same for all, and they are in the
//! order in which they are added, so that the same files make the same bytes.

use thiserror::Error;

/// The largest file that is put into an archive, in bytes.
pub const MAX_FILE: usize = 1 << 30;
/// The longest name, in bytes.
pub const MAX_NAME: usize = 4095;

/// Why a file can't be put into an archive.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CpioError {
    /// Past [`MAX_FILE`].
    #[error("{0} has more than {MAX_FILE} bytes, and so can't be in the guest's first file system")]
    TooLarge(String),
    /// Empty, past [`MAX_NAME`], absolute, or with a byte that ends names.
    #[error("{0:?} can't be a file's name in the guest's first file system")]
    Name(String),
}

/// An archive that is being written.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

/// The types of `stat(2)`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
/// What the kernel takes for the end.
const TRAILER: &str = "TRAILER!!!";

impl Archive {
    /// Adds a directory with these permission bits; those above it have to be there.
    ///
    /// # Errors
    /// [`CpioError::Name`].
    pub fn directory(&mut self, name: &str, mode: u32) -> Result<(), CpioError> {
        self.entry(name, DIRECTORY | (mode & 0o7777), &[])
    }

    /// Adds a file with these permission bits; the directories above it have to be there.
    ///
    /// # Errors
    /// See [`CpioError`].
    pub fn file(&mut self, name: &str, mode: u32, contents: &[u8]) -> Result<(), CpioError> {
        self.entry(name, REGULAR | (mode & 0o7777), contents)
    }

    /// The whole archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.header(TRAILER, 0, 0, 0);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) -> Result<(), CpioError> {
        let is_name = !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('/') && !name.contains('\0');
        if !is_name || name == TRAILER {
            return Err(CpioError::Name(name.chars().take(200).collect()));
        }
        let too_large = || CpioError::TooLarge(name.to_owned());
        let size = u32::try_from(contents.len()).map_err(|_| too_large())?;
        if contents.len() > MAX_FILE {
            return Err(too_large());
        }
        self.entries += 1;
        self.header(name, self.entries, mode, size);
        self.bytes.extend_from_slice(contents);
        self.pad();
        Ok(())
    }

    /// Thirteen numbers of eight hexadecimal digits, then the name with a zero.
    fn header(&mut self, name: &str, inode: u32, mode: u32, size: u32) {
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        self.bytes.extend_from_slice(b"070701");
        for number in [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0] {
            self.bytes.extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn archive() -> Vec<u8> {
        let mut archive = Archive::default();
        archive.directory("dev", 0o755).unwrap();
        archive.file("init", 0o755, b"#!/bin/sh\n").unwrap();
        archive.file("dev/x", 0o600, &[7; 4097]).unwrap();
        archive.finish()
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        assert_eq!(archive(), archive());
        assert_eq!(archive().len() % 4, 0);
    }

    /// An unpacker that others wrote reads it: Python's standard library has none, and GNU cpio may be missing, so that
    /// this is one of a few lines.
    #[test]
    fn an_independent_reader_reads_it() {
        let script = "import sys
data, at, found = sys.stdin.buffer.read(), 0, []
while True:
    assert data[at:at+6] == b'070701'
    n = [int(data[at+6+8*i:at+14+8*i], 16) for i in range(13)]
    name = data[at+110:at+110+n[11]-1].decode()
    start = (at + 110 + n[11] + 3) & ~3
    if name == 'TRAILER!!!': break
    found.append((name, oct(n[1]), n[6], n[5], sum(data[start:start+n[6]])))
    at = (start + n[6] + 3) & ~3
print(found)";
        let mut child = Command::new("/usr/bin/python3")
            .args(["-I", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&archive()).unwrap();
        let output = child.wait_with_output().unwrap();
        let sum: u32 = b"#!/bin/sh\n".iter().map(|b| u32::from(*b)).sum();
        let expected = format!(
            "[('dev', '0o40755', 0, 0, 0), ('init', '0o100755', 10, 0, {sum}), ('dev/x', '0o100600', 4097, 0, {})]\n",
            7 * 4097
        );
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }

    #[test]
    fn names_are_bounded_on_both_sides() {
        for (name, is_one) in [
            ("a", true),
            ("", false),
            ("/a", false),
            ("a\0", false),
            (TRAILER, false),
            (&"n".repeat(MAX_NAME), true),
            (&"n".repeat(MAX_NAME + 1), false),
        ] {
            assert_eq!(Archive::default().file(name, 0o644, b"").is_ok(), is_one, "{name:?}");
        }
    }

    #[test]
    fn a_file_is_bounded_on_both_sides() {
        // Zeros that are never touched take no memory.
        let zeros = vec![0; MAX_FILE + 1];
        assert_eq!(Archive::default().file("x", 0o644, &zeros), Err(CpioError::TooLarge("x".into())));
        let most = zeros.get(..MAX_FILE).unwrap();
        assert!(Archive::default().file("x", 0o644, most).is_ok());
    }
}
