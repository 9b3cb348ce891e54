// SPDX-License-Identifier: Apache-2.0
//! What is taken in: the same bytes on every machine.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

/// A pseudo-random sequence (xorshift64*): no two files have the same bytes.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Every other eight bytes are the same, so that there is something to compress.
    fn fill(&mut self, bytes: &mut Vec<u8>, length: usize) {
        bytes.clear();
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
            bytes.extend_from_slice(b"the same");
        }
        bytes.truncate(length);
    }
}

/// Makes one file of so many MiB.
pub(crate) fn large(path: &Path, mib: u32) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let (mut random, mut bytes) = (Bytes(1), Vec::new());
    for _ in 0..mib {
        random.fill(&mut bytes, 1 << 20);
        file.write_all(&bytes)?;
    }
    file.sync_all()
}

/// Makes `count` files of `least` and up to `more` bytes, a hundred to a directory, ten directories to a directory.
pub(crate) fn tree(path: &Path, count: u32, least: usize, more: u64) -> io::Result<()> {
    let (mut random, mut bytes) = (Bytes(2), Vec::new());
    for number in 0..count {
        let directory = path.join(format!("part-{:03}/dir-{}", number / 1000, number / 100 % 10));
        if number % 100 == 0 {
            fs::create_dir_all(&directory)?;
        }
        let length = least + usize::try_from(random.next() % more).unwrap_or(0);
        random.fill(&mut bytes, length);
        fs::write(directory.join(format!("file-{number:05}")), &bytes)?;
    }
    Ok(())
}

/// Runs a script, to which `path` is `$1`.
pub(crate) fn shell(script: &str, path: &Path) -> io::Result<()> {
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(path).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{script}: {status}"))) }
}
