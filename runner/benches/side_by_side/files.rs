// SPDX-License-Identifier: Apache-2.0
//! What is hashed: the same bytes on every machine.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// A pseudo-random sequence (xorshift64*): the files have no patterns, and no two of them the same bytes.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn fill(&mut self, bytes: &mut Vec<u8>, length: usize) {
        bytes.clear();
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
    }
}

/// Makes one file of so many MiB, and has it on disk, so that nothing is written while it is read.
pub(crate) async fn large(path: &Path, mib: u32) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let (mut random, mut bytes) = (Bytes(1), Vec::new());
    for _ in 0..mib {
        random.fill(&mut bytes, 1 << 20);
        file.write_all(&bytes)?;
        tokio::task::yield_now().await;
    }
    file.sync_all()
}

/// Makes `count` files of 1 to 8 KiB, a hundred to a directory, ten directories to a directory.
pub(crate) async fn tree(path: &Path, count: u32) -> io::Result<()> {
    let (mut random, mut bytes) = (Bytes(2), Vec::new());
    for number in 0..count {
        let directory = path.join(format!("part-{:03}/dir-{}", number / 1000, number / 100 % 10));
        if number % 100 == 0 {
            fs::create_dir_all(&directory)?;
            tokio::task::yield_now().await;
        }
        let length = 1024 + usize::try_from(random.next() % (7 << 10)).unwrap_or(0);
        random.fill(&mut bytes, length);
        fs::write(directory.join(format!("file-{number:05}")), &bytes)?;
    }
    rustix::fs::syncfs(File::open(path)?)?;
    Ok(())
}
