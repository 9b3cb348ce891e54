// SPDX-License-Identifier: Apache-2.0
//! The device mapper's calls (`include/uapi/linux/dm-ioctl.h`), for which there is no safe wrapper.
#![allow(unsafe_code, reason = "one block, with its reason")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc;
use reprove_runner::vm::Verity;

/// Bytes of a block, of data as of hashes, and of a sector.
const BLOCK: u64 = 4096;
const SECTOR: u64 = 512;

/// `struct dm_ioctl`: where its fields are.
const SIZE: usize = 312;
const DATA_SIZE: usize = 12;
const DATA_START: usize = 16;
const TARGETS: usize = 20;
const FLAGS: usize = 28;
const DEVICE: usize = 40;
const NAME: usize = 48;
const NAME_SIZE: usize = 128;

/// `struct dm_target_spec`, behind it.
const TARGET_SIZE: usize = 40;

/// Of the call: with room for one target and what it is told.
const BUFFER: usize = 4096;

const CREATE: u8 = 3;
const SUSPEND: u8 = 6;
const LOAD: u8 = 9;

const READ_ONLY: u32 = 1;

/// Makes the device `name`, which reads `disk` and gives no block of it that is not below the root of `verity`.
pub(crate) fn verity(name: &str, disk: &Path, verity: Verity) -> io::Result<PathBuf> {
    let control = File::options().read(true).write(true).open("/dev/mapper/control")?;
    let there = call(&control, CREATE, &Call::new(name)?)?;
    let minor = there.device() & 0xff | (there.device() >> 12) & 0xfff00;
    let table = format!(
        "1 {disk} {disk} {BLOCK} {BLOCK} {blocks} {blocks} sha256 {root} -",
        disk = disk.display(),
        blocks = verity.blocks,
        root = verity.root_hex()
    );
    let sectors = verity.blocks.checked_mul(BLOCK / SECTOR).ok_or(io::ErrorKind::InvalidInput)?;
    call(&control, LOAD, &Call::new(name)?.flags(READ_ONLY).target("verity", sectors, &table)?)?;
    // Not to suspend it is to have it go on.
    call(&control, SUSPEND, &Call::new(name)?)?;
    let path = PathBuf::from(format!("/dev/dm-{minor}"));
    let until = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        if Instant::now() > until {
            return Err(io::Error::other("the device mapper's device is not there"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(path)
}

/// What a call is given, and gives back.
struct Call(Vec<u8>);

impl Call {
    fn new(name: &str) -> io::Result<Self> {
        if name.is_empty() || name.len() >= NAME_SIZE {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut call = Self(vec![0; BUFFER]);
        call.put(0, &4_u32.to_ne_bytes())?;
        call.put(DATA_SIZE, &u32::try_from(BUFFER).map_err(io::Error::other)?.to_ne_bytes())?;
        call.put(DATA_START, &u32::try_from(SIZE).map_err(io::Error::other)?.to_ne_bytes())?;
        call.put(NAME, name.as_bytes())?;
        Ok(call)
    }

    fn flags(mut self, flags: u32) -> Self {
        // There is room for the fields in every buffer.
        let _ = self.put(FLAGS, &flags.to_ne_bytes());
        self
    }

    /// One target over `sectors` from the first on; what it is told ends with a zero.
    fn target(mut self, kind: &str, sectors: u64, told: &str) -> io::Result<Self> {
        if kind.len() >= 16 || told.contains('\0') || SIZE + TARGET_SIZE + told.len() >= BUFFER {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.put(TARGETS, &1_u32.to_ne_bytes())?;
        self.put(SIZE + 8, &sectors.to_ne_bytes())?;
        self.put(SIZE + 24, kind.as_bytes())?;
        self.put(SIZE + TARGET_SIZE, told.as_bytes())?;
        Ok(self)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let room = self.0.get_mut(at..at + bytes.len()).ok_or(io::ErrorKind::InvalidInput)?;
        room.copy_from_slice(bytes);
        Ok(())
    }

    fn device(&self) -> u64 {
        let bytes = self.0.get(DEVICE..DEVICE + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_ne_bytes(bytes.unwrap_or_default())
    }
}

fn call(control: &File, number: u8, call: &Call) -> io::Result<Call> {
    let mut buffer = call.0.clone();
    let request = libc::_IOWR::<[u8; SIZE]>(0xfd, u32::from(number));
    // SAFETY: the buffer has the size that it says it has, which is all that the kernel reads and writes, and it lives and
    // is nobody else's until the call has ended.
    let result = unsafe { libc::ioctl(control.as_raw_fd(), request, buffer.as_mut_ptr()) };
    if result == 0 { Ok(Call(buffer)) } else { Err(io::Error::last_os_error()) }
}
