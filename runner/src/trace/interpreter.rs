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

/// What a file says of its interpreter is not in the part of it that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beyond;

/// The interpreter that the file which begins with `head` asks for, as it is written there. `None` where it asks for none, or
/// where the kernel would not run it. A `head` of less than [`MAX_HEAD`] bytes is the whole file.
///
/// # Errors
/// [`Beyond`].
pub fn interpreter(head: &[u8]) -> Result<Option<&[u8]>, Beyond> {
    if head.starts_with(b"#!") {
        return Ok(head.get(..SCRIPT_HEAD.min(head.len())).and_then(of_script));
    }
    match of_elf(head) {
        Some(found) => Ok(found),
        // What is behind a file's end the kernel can't read either.
        None if head.len() < MAX_HEAD => Ok(None),
        None => Err(Beyond),
    }
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

/// Where `e_machine` is.
const MACHINE: usize = 18;
/// `EM_386`, `EM_ARM`: machines of 32 bits whose programs those of 64 bits may run.
const NARROW_MACHINES: [u16; 2] = [3, 40];

/// `PT_INTERP`.
const INTERPRETER: u32 = 3;

/// As [`interpreter`], of an ELF file; `None` where what it says is not in `head`.
///
/// Like the kernel, it goes by the machine that the file is for, and not by the class and the order of bytes that it states.
fn of_elf(head: &[u8]) -> Option<Option<&[u8]>> {
    if !head.starts_with(b"\x7fELF") {
        return Some(None);
    }
    let layout = if NARROW_MACHINES.contains(&half(head, MACHINE)?) { NARROW } else { WIDE };
    let (table, count) = (layout.word(head, layout.table)?, usize::from(half(head, layout.count)?));
    if usize::from(half(head, layout.entry_size)?) != layout.header || count > MAX_HEADERS {
        return Some(None);
    }
    for number in 0..count {
        let start = table.checked_add(number.checked_mul(layout.header)?)?;
        let header = head.get(start..start.checked_add(layout.header)?)?;
        if u32::from_le_bytes(*header.first_chunk()?) == INTERPRETER {
            let (from, size) = (layout.word(header, layout.offset)?, layout.word(header, layout.size)?);
            if !(2..=MAX_PATH).contains(&size) {
                return Some(None);
            }
            let name = head.get(from..from.checked_add(size)?)?.strip_suffix(&[0]);
            // It is read as far as its first NUL.
            let name = name.and_then(|name| name.split(|&byte| byte == 0).next());
            return Some(name.filter(|name| !name.is_empty()));
        }
    }
    Some(None)
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
            assert_eq!(interpreter(line.as_bytes()), Ok(name.map(str::as_bytes)), "{line:?}");
        }
    }

    #[test]
    fn a_line_longer_than_the_kernel_reads_is_no_script() {
        let length = |head: &[u8]| interpreter(head).unwrap().map(<[u8]>::len);
        let line = |n: usize| ["#!/".to_owned(), "n".repeat(n - 3)].concat().into_bytes();
        assert_eq!(length(&line(255)), Some(253));
        assert_eq!(length(&line(256)), None);
        let argument = [line(254), b" x".to_vec(), vec![b'y'; 100]].concat();
        assert_eq!(length(&argument), Some(252), "what is cut is its argument");
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
        assert_eq!(interpreter(&elf(loader, size, 2)), Ok(Some(&loader[..loader.len() - 1])));
        assert_eq!(interpreter(&elf(loader, size, 1)), Ok(None), "it has no such header");
        assert_eq!(interpreter(&elf(loader, size - 1, 2)), Ok(None), "its name has no end");
        assert_eq!(interpreter(&elf(loader, size + 1, 2)), Ok(None), "it is cut");
        assert_eq!(interpreter(&elf(loader, u64::MAX, 2)), Ok(None));
        assert_eq!(interpreter(&elf(loader, size, u16::MAX)), Ok(None));
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(interpreter(&own[..MAX_HEAD]).unwrap().is_none_or(|name| name.starts_with(b"/lib")));
    }

    #[test]
    fn what_is_beyond_the_part_that_is_read_is_said() {
        let loader = b"/lib64/ld-linux-x86-64.so.2\0";
        let size = loader.len() as u64;
        let mut file = elf(loader, size, 2);
        file.resize(MAX_HEAD, 0);
        assert_eq!(interpreter(&file), Ok(Some(&loader[..loader.len() - 1])));
        let second = 64 + 56;
        file[second + 8..second + 16].copy_from_slice(&(MAX_HEAD as u64 - size).to_le_bytes());
        assert_eq!(interpreter(&file), Ok(None), "there, and no name");
        file[second + 8..second + 16].copy_from_slice(&(MAX_HEAD as u64 - size + 1).to_le_bytes());
        assert_eq!(interpreter(&file), Err(Beyond));
        assert_eq!(interpreter(&file[..MAX_HEAD - 1]), Ok(None), "the file has no more");
        file[32..40].copy_from_slice(&(MAX_HEAD as u64).to_le_bytes());
        assert_eq!(interpreter(&file), Err(Beyond), "the headers");
    }

    #[test]
    fn the_class_that_a_file_states_changes_nothing() {
        let loader = b"/loader\0";
        for class in 0..4 {
            let mut file = elf(loader, 8, 2);
            file[4] = class;
            file[5] = class;
            assert_eq!(interpreter(&file), Ok(Some(&loader[..7])), "{class}");
        }
    }
}
