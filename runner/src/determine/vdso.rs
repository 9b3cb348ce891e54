// SPDX-License-Identifier: Apache-2.0
//! The code that the kernel maps into every program (vDSO), by which that asks for the time without a system call.
//!
//! In each program that begins, it is replaced by the system calls themselves. The mapping is the program's own copy of what
//! is the same in all processes of one architecture, this one among them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

use libc::c_long;
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSymbol as _};

use super::asker::{Asker, why};
use crate::trace::memory::Unread;

/// The replacements, by where they go, from the beginning of the vDSO.
pub(super) struct Vdso {
    code: BTreeMap<u64, Vec<u8>>,
}

/// No vDSO is larger.
const MAX_BYTES: usize = 1 << 20;
const PAGE: usize = 4096;

impl Vdso {
    /// Of the kernel that this process runs on; all of it, or what says the time alone.
    ///
    /// # Errors
    /// What the system says, or where what is mapped is no ELF file.
    pub(super) fn own(whole: bool) -> io::Result<Self> {
        let Some(base) = Start::of("/proc/self/auxv")?.vdso else { return Ok(Self { code: BTreeMap::new() }) };
        let memory = File::open("/proc/self/mem")?;
        let mut bytes = Vec::new();
        // To its end, behind which nothing is mapped, or something else that the file does not speak of.
        while bytes.len() < MAX_BYTES {
            let mut page = [0; PAGE];
            match memory.read_exact_at(&mut page, base + bytes.len() as u64) {
                Ok(()) => bytes.extend(page),
                Err(_) if !bytes.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).map_err(io::Error::other)?;
        let replacement = |symbol: object::read::elf::ElfSymbol64<'_, '_>| {
            let name = symbol.name().ok().filter(|name| whole || !is_of_machine(name))?;
            let code = replacement(name)?;
            (symbol.address() != 0 && symbol.size() >= code.len() as u64).then(|| (symbol.address(), code))
        };
        let code: BTreeMap<_, _> = file.dynamic_symbols().filter_map(replacement).collect();
        if !code.values().any(|code| *code == call(libc::SYS_clock_gettime)) {
            return Err(io::Error::other(
                "this kernel's vDSO has no clock that is known here; build without determinism",
            ));
        }
        Ok(Self { code })
    }

    /// Replaces the code in the program that `pid` has begun, and its first random bytes where `random` gives others, unless
    /// that was done before.
    pub(super) fn replace(&self, asker: &Asker<'_>, random: impl FnOnce() -> Option<[u8; 16]>) -> Result<(), Unread> {
        let start = Start::of(&format!("/proc/{}/auxv", asker.pid)).map_err(why)?;
        let memory = asker.memory()?;
        let Some(base) = start.vdso else { return Ok(()) };
        for (offset, code) in &self.code {
            let mut there = vec![0; code.len()];
            memory.read_exact_at(&mut there, base + offset).map_err(why)?;
            if there == *code {
                return Ok(());
            }
            memory.write_all_at(code, base + offset).map_err(why)?;
        }
        if let Some((at, random)) = start.random.zip(random()) {
            memory.write_all_at(&random, at).map_err(why)?;
        }
        Ok(())
    }
}

/// What the kernel tells a program at its beginning.
#[derive(Debug, Default, PartialEq, Eq)]
struct Start {
    /// Where the vDSO is.
    vdso: Option<u64>,
    /// Where its first random bytes are.
    random: Option<u64>,
}

impl Start {
    fn of(path: &str) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let mut start = Self::default();
        let (numbers, _) = bytes.as_chunks::<8>();
        let (pairs, _) = numbers.as_chunks::<2>();
        for [kind, value] in pairs {
            let value = Some(u64::from_ne_bytes(*value)).filter(|value| *value != 0);
            match u64::from_ne_bytes(*kind) {
                libc::AT_SYSINFO_EHDR => start.vdso = value,
                libc::AT_RANDOM => start.random = value,
                _ => {}
            }
        }
        Ok(start)
    }
}

/// Whether a function of the vDSO says something else than the time.
fn is_of_machine(name: &str) -> bool {
    name.ends_with("_getcpu") || name.ends_with("_getrandom")
}

/// What stands in place of one function of the vDSO.
fn replacement(name: &str) -> Option<Vec<u8>> {
    match name {
        "__vdso_clock_gettime" | "__kernel_clock_gettime" => Some(call(libc::SYS_clock_gettime)),
        "__vdso_gettimeofday" | "__kernel_gettimeofday" => Some(call(libc::SYS_gettimeofday)),
        "__vdso_getcpu" => Some(call(libc::SYS_getcpu)),
        #[cfg(target_arch = "x86_64")]
        "__vdso_time" => Some(call(libc::SYS_time)),
        // Programs take it for "there is none", and make the system call.
        "__vdso_getrandom" | "__kernel_getrandom" => Some(no_such_call()),
        _ => None,
    }
}

/// `again: mov eax, NUMBER; syscall; cmp eax, -EINTR; je again; ret`
///
/// A signal may come before the helper is asked; nobody expects these functions to fail by that.
#[cfg(target_arch = "x86_64")]
fn call(number: c_long) -> Vec<u8> {
    let number = u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    [&[0xb8][..], &number, &[0x0f, 0x05, 0x83, 0xf8, 0xfc, 0x74, 0xf4, 0xc3]].concat()
}

/// `mov rax, -38; ret`
#[cfg(target_arch = "x86_64")]
fn no_such_call() -> Vec<u8> {
    vec![0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff, 0xc3]
}

/// `mov x8, NUMBER; svc 0; ret`
#[cfg(target_arch = "aarch64")]
fn call(number: c_long) -> Vec<u8> {
    let number = u32::try_from(number).unwrap_or(u32::MAX) & 0xffff;
    [0xd280_0008 | number << 5, 0xd400_0001, 0xd65f_03c0].map(u32::to_le_bytes).concat()
}

/// `mov x0, -38; ret`
#[cfg(target_arch = "aarch64")]
fn no_such_call() -> Vec<u8> {
    [0x9280_04a0_u32, 0xd65f_03c0].map(u32::to_le_bytes).concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernels_own_has_the_functions_that_are_replaced() {
        let vdso = Vdso::own(true).unwrap();
        assert!(vdso.code.len() >= 3, "{:?}", vdso.code);
        let clocks = Vdso::own(false).unwrap();
        assert!(clocks.code.len() < vdso.code.len() && clocks.code.iter().all(|(at, code)| vdso.code[at] == *code));
        assert!(vdso.code.values().any(|code| *code == call(libc::SYS_clock_gettime)));
    }

    #[test]
    fn what_a_program_begins_with_is_found() {
        let start = Start::of("/proc/self/auxv").unwrap();
        assert!(start.vdso.is_some() && start.random.is_some());
        assert_eq!(Start::of("/dev/null").unwrap(), Start::default());
    }
}
