// SPDX-License-Identifier: Apache-2.0
//! What the kernel itself opens to run a file: the interpreter that a script or an ELF program names. No system call names
//! it, so that it has to be read from the file (`execve(2)`; System V ABI, "Program Header").

/// How much of a file's beginning is read: all program headers are in there in any file that a linker has written.
pub const MAX_HEAD: usize = 64 << 10;

/// How much of a script's first line the kernel reads, `BINPRM_BUF_SIZE`.
const SCRIPT_HEAD: usize = 256;
/// The longest path, with its NUL.
const MAX_PATH: usize = 4096;
/// Program headers are looked through up to this many; the kernel takes no more than fit 64 KiB.
const MAX_HEADERS: usize = 1170;

/// The interpreter that the file which begins with `head` asks for, as it is written there. `None` where it asks for none,
/// where the kernel would not run it, or where what it says is not in `head`.
#[must_use]
pub fn interpreter(head: &[u8]) -> Option<&[u8]> {
    if head.starts_with(b"#!") { of_script(head.get(..SCRIPT_HEAD.min(head.len()))?) } else { of_elf(head) }
}

fn of_script(head: &[u8]) -> Option<&[u8]> {
    let is_space = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let line = head.get(2..)?;
    let whole = line.split(|&byte| byte == b'\n').next()?;
    let start = whole.iter().position(|byte| !is_space(byte))?;
    let rest = whole.get(start..)?;
    let end = rest.iter().position(|byte| is_space(byte) || *byte == 0);
    // A name that goes to the end of what the kernel reads is cut; it runs no such script.
    if end.is_none() && whole.len() == line.len() && head.len() == SCRIPT_HEAD {
        return None;
    }
    rest.get(..end.unwrap_or(rest.len())).filter(|name| !name.is_empty())
}

/// Where the two classes of ELF files have what: number of bits, table of program headers, their size and number; and in a
/// program header: offset, size in the file.
struct Layout {
    wide: bool,
    table: usize,
    entry_size: usize,
    count: usize,
    header: usize,
    offset: usize,
    size: usize,
}

const NARROW: Layout = Layout { wide: false, table: 28, entry_size: 42, count: 44, header: 32, offset: 4, size: 16 };
const WIDE: Layout = Layout { wide: true, table: 32, entry_size: 54, count: 56, header: 56, offset: 8, size: 32 };

/// `PT_INTERP`.
const INTERPRETER: u32 = 3;

fn of_elf(head: &[u8]) -> Option<&[u8]> {
    let layout = match head.get(..6)? {
        [0x7f, b'E', b'L', b'F', 1, 1] => NARROW,
        [0x7f, b'E', b'L', b'F', 2, 1] => WIDE,
        _ => return None,
    };
    let (table, count) = (layout.word(head, layout.table)?, usize::from(half(head, layout.count)?));
    if usize::from(half(head, layout.entry_size)?) != layout.header || count > MAX_HEADERS {
        return None;
    }
    for number in 0..count {
        let start = table.checked_add(number.checked_mul(layout.header)?)?;
        let header = head.get(start..start.checked_add(layout.header)?)?;
        if u32::from_le_bytes(*header.first_chunk()?) == INTERPRETER {
            let (from, size) = (layout.word(header, layout.offset)?, layout.word(header, layout.size)?);
            let name = head.get(from..from.checked_add(size).filter(|_| (2..=MAX_PATH).contains(&size))?)?;
            let name = name.strip_suffix(&[0])?;
            // It is read as far as its first NUL.
            return name.split(|&byte| byte == 0).next().filter(|name| !name.is_empty());
        }
    }
    None
}

impl Layout {
    fn word(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let bytes = bytes.get(at..)?;
        if self.wide {
            usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()
        } else {
            usize::try_from(u32::from_le_bytes(*bytes.first_chunk()?)).ok()
        }
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripts_interpreter_is_what_its_first_line_names() {
        for (line, name) in [
            ("#!/bin/sh\n", Some("/bin/sh")),
            ("#! \t/usr/bin/env python3\n", Some("/usr/bin/env")),
            ("#!/bin/sh", Some("/bin/sh")),
            ("#!/bin/sh\0x\n", Some("/bin/sh")),
            ("#!sh -e\nmore", Some("sh")),
            ("#!\n/bin/sh\n", None),
            ("#!   \n", None),
            ("#!", None),
            ("# !/bin/sh\n", None),
            ("", None),
        ] {
            assert_eq!(interpreter(line.as_bytes()), name.map(str::as_bytes), "{line:?}");
        }
    }

    #[test]
    fn a_line_longer_than_the_kernel_reads_is_no_script() {
        let line = |n: usize| ["#!/".to_owned(), "n".repeat(n - 3)].concat().into_bytes();
        assert_eq!(interpreter(&line(255)).map(<[u8]>::len), Some(253));
        assert_eq!(interpreter(&line(256)), None);
        let argument = [line(254), b" x".to_vec(), vec![b'y'; 100]].concat();
        assert_eq!(interpreter(&argument).map(<[u8]>::len), Some(252), "what is cut is its argument");
    }

    fn elf(name: &[u8], size: u64, count: u16) -> Vec<u8> {
        let mut file = vec![0; 64 + 56 * 2];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[54..56].copy_from_slice(&56_u16.to_le_bytes());
        file[56..58].copy_from_slice(&count.to_le_bytes());
        file[64] = 6;
        let second = 64 + 56;
        file[second] = 3;
        let end = file.len() as u64;
        file[second + 8..second + 16].copy_from_slice(&end.to_le_bytes());
        file[second + 32..second + 40].copy_from_slice(&size.to_le_bytes());
        file.extend(name);
        file
    }

    #[test]
    fn a_programs_interpreter_is_in_its_headers() {
        let loader = b"/lib64/ld-linux-x86-64.so.2\0";
        let size = loader.len() as u64;
        assert_eq!(interpreter(&elf(loader, size, 2)), Some(&loader[..loader.len() - 1]));
        assert_eq!(interpreter(&elf(loader, size, 1)), None, "it has no such header");
        assert_eq!(interpreter(&elf(loader, size - 1, 2)), None, "its name has no end");
        assert_eq!(interpreter(&elf(loader, size + 1, 2)), None, "it is cut");
        assert_eq!(interpreter(&elf(loader, u64::MAX, 2)), None);
        assert_eq!(interpreter(&elf(loader, size, u16::MAX)), None);
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(interpreter(&own[..MAX_HEAD]).is_none_or(|name| name.starts_with(b"/lib")));
    }
}
