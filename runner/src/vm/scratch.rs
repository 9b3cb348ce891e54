// SPDX-License-Identifier: Apache-2.0
//! The disk that a build in a machine writes to, where that is to be one: a file of the host's with an empty file system on
//! it. The guest takes away what is more of it than the build may use.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reprove_model::{FileSystem, Surroundings};

use super::{MachineError, io_error};

/// What makes a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formatter {
    /// Which.
    pub kind: FileSystem,
    /// The program that makes it (`mkfs.ext4`, `mkfs.xfs`).
    pub program: PathBuf,
}

/// What names each such file system, and what its order of hashed names comes from.
const ID: &str = "7265707f-6f76-4e00-8000-6469736b0000";
/// When each is made, in seconds since 1970, where its program can be told.
const MADE: &str = "1000000000";
/// What ext4 has: all that Linux 6.1 knows, but for a journal, which nobody would read.
const FEATURES: &str = "none,64bit,dir_index,dir_nlink,ext_attr,extent,extra_isize,filetype,flex_bg,huge_file,\
                        large_file,metadata_csum,sparse_super";

impl Formatter {
    /// A file in `folder`, which has no name, with the file system on it: a build can have `disk_mib` MiB of that.
    pub(super) fn disk(&self, folder: &Path, disk_mib: u32) -> Result<File, MachineError> {
        let file = tempfile::tempfile_in(folder).map_err(io_error("making the disk to build on"))?;
        let bytes = u64::from(disk_mib) << 20;
        let inodes = inodes(bytes);
        let size = bytes + beside(self.kind, bytes, inodes);
        file.set_len(size).map_err(io_error("making the disk to build on"))?;
        let mut command = Command::new(&self.program);
        match self.kind {
            FileSystem::Xfs => command.args(["-q", "-f", "-K", "-m", &format!("uuid={ID}")]),
            FileSystem::Overlay | FileSystem::Ext4 => command
                .args(["-q", "-F", "-b", "4096", "-I", "256", "-m", "0", "-O", FEATURES, "-U", ID, "-N"])
                .arg(inodes.to_string())
                .args(["-E", &format!("hash_seed={ID},lazy_itable_init=1,nodiscard,root_owner=0:0")]),
        };
        command
            .arg(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()))
            .env_clear()
            .envs([("LC_ALL", "C"), ("SOURCE_DATE_EPOCH", MADE), ("E2FSPROGS_FAKE_TIME", MADE)])
            .stdin(Stdio::null());
        let output = command.output().map_err(io_error("making the file system of the disk to build on"))?;
        if output.status.success() {
            return Ok(file);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
        Err(MachineError::Format { program: self.program.clone(), said })
    }
}

/// How many files there can be: as many as in memory, and those whose numbers are passed over.
fn inodes(bytes: u64) -> u64 {
    (bytes / 4096).clamp(1024, 1 << 20) + u64::from(Surroundings::MOST_INODES) + 1024
}

/// The bytes that the file system itself takes, and may take, beside what the build has of it.
fn beside(kind: FileSystem, bytes: u64, inodes: u64) -> u64 {
    match kind {
        // Its programs make none of less than 300 MB.
        FileSystem::Xfs => (384 << 20) + bytes / 16,
        FileSystem::Overlay | FileSystem::Ext4 => inodes * 256 + (64 << 20) + bytes / 64,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn of(kind: FileSystem) -> Formatter {
        Formatter { kind, program: PathBuf::from(format!("/usr/sbin/mkfs.{}", kind.name())) }
    }

    /// The bytes of the superblock, and of what lies around it.
    fn head(mut file: &File) -> Vec<u8> {
        let mut bytes = vec![0; 64 << 10];
        file.rewind().unwrap();
        file.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_disk_is_sparse_and_has_the_file_system_that_it_is_to_have() {
        let dir = tempfile::tempdir().unwrap();
        for (kind, at, magic) in [(FileSystem::Ext4, 1024 + 56, &b"\x53\xef"[..]), (FileSystem::Xfs, 0, b"XFSB")] {
            for disk_mib in [1, 4096] {
                let disk = of(kind).disk(dir.path(), disk_mib).unwrap();
                assert_eq!(&head(&disk)[at..at + magic.len()], magic);
                let metadata = disk.metadata().unwrap();
                assert!(metadata.len() > u64::from(disk_mib) << 20 && metadata.blocks() * 512 < 80 << 20);
            }
        }
        // An empty folder alone goes.
        std::fs::remove_dir(dir.path()).unwrap();
    }

    #[test]
    fn ext4_comes_out_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let whole = || {
            let mut disk = of(FileSystem::Ext4).disk(dir.path(), 16).unwrap();
            let mut hasher = blake3::Hasher::new();
            disk.rewind().unwrap();
            hasher.update_reader(&mut disk).unwrap();
            hasher.finalize()
        };
        let first = whole();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert_eq!(first, whole());
    }

    #[test]
    fn a_program_that_fails_is_named_with_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let formatter = Formatter { program: "/usr/bin/false".into(), ..of(FileSystem::Xfs) };
        let error = formatter.disk(dir.path(), 1).unwrap_err();
        assert!(matches!(error, MachineError::Format { program, .. } if program.ends_with("false")));
        let formatter = Formatter { program: dir.path().join("none"), ..formatter };
        assert!(matches!(formatter.disk(dir.path(), 1), Err(MachineError::Io { .. })));
    }
}
