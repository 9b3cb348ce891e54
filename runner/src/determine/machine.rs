// SPDX-License-Identifier: Apache-2.0
//! The machine that a deterministic build is told it runs on.

use std::fmt::Write as _;

/// The kernel's release, and `/proc/sys/kernel/osrelease`.
pub(crate) const RELEASE: &str = "6.1.0-reprove";
/// The kernel's version, and `/proc/sys/kernel/version`.
pub(crate) const VERSION: &str = "#1 SMP";

/// `struct new_utsname`: six texts of 65 bytes.
pub(super) fn uname(hostname: &str) -> [u8; 6 * FIELD] {
    let mut bytes = [0; 6 * FIELD];
    let texts = ["Linux", hostname, RELEASE, VERSION, std::env::consts::ARCH, "(none)"];
    for (field, text) in bytes.chunks_exact_mut(FIELD).zip(texts) {
        for (to, from) in field.iter_mut().zip(text.bytes().take(FIELD - 1)) {
            *to = from;
        }
    }
    bytes
}

const FIELD: usize = 65;

/// `struct sysinfo` of a machine with 64 bits: 100,000 seconds up, nothing to do, `memory` bytes, all of them free.
pub(super) fn sysinfo(memory: u64) -> [u8; 112] {
    let mut bytes = [0; 112];
    let numbers = [100_000, 0, 0, 0, memory, memory, 0, 0, 0, 0, 1];
    for (to, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        to.copy_from_slice(&u64::to_ne_bytes(number));
    }
    // The unit in which memory is counted, after what is 32-bit machines' alone.
    if let Some(unit) = bytes.get_mut(104..108) {
        unit.copy_from_slice(&1_u32.to_ne_bytes());
    }
    bytes
}

/// `/proc/cpuinfo` with one processor of the architecture's least.
pub(crate) fn cpuinfo() -> String {
    let lines: &[(&str, &str)] = if cfg!(target_arch = "x86_64") {
        &[
            ("processor", "0"),
            ("vendor_id", "reprove"),
            ("cpu family", "6"),
            ("model", "0"),
            ("model name", "reprove"),
            ("stepping", "0"),
            ("cache size", "1024 KB"),
            ("physical id", "0"),
            ("siblings", "1"),
            ("core id", "0"),
            ("cpu cores", "1"),
            ("fpu", "yes"),
            ("flags", "fpu tsc msr cx8 cmov mmx fxsr sse sse2 syscall nx lm"),
            ("clflush size", "64"),
            ("cache_alignment", "64"),
        ]
    } else {
        &[("processor", "0"), ("Features", "fp asimd"), ("CPU architecture", "8")]
    };
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{name}\t: {value}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_as_large_as_the_kernels() {
        assert_eq!(uname("x").len(), size_of::<libc::utsname>());
        assert_eq!(sysinfo(1).len(), size_of::<libc::sysinfo>());
        assert_eq!(std::mem::offset_of!(libc::sysinfo, mem_unit), 104);
        assert_eq!(std::mem::offset_of!(libc::sysinfo, procs), 80);
    }

    #[test]
    fn a_name_that_is_too_long_is_cut() {
        assert_eq!(&uname(&"h".repeat(100))[65..130], [vec![b'h'; 64], vec![0]].concat());
        assert!(uname("h").starts_with(b"Linux\0"));
    }
}
