// SPDX-License-Identifier: Apache-2.0
//! Lists of what builds asked for, and the beginnings of files that the kernel would execute.

use reprove_model::{Digest, InsidePath, ListingFormat, Loss, ObservedListing, ObservedPath, Origin, RecordMode, Use};

use super::documents::{json, other_forms};
use super::{Corpus, File, text};

pub(crate) fn all() -> Vec<Corpus> {
    vec![("inputs_listing", listings()), ("interpreter", interpreters())]
}

fn listings() -> Vec<File> {
    let path = |bytes: &[u8]| InsidePath::new(bytes).unwrap();
    let by = Some(path(b"/usr/bin/cc"));
    let of = |origin, uses: &[Use]| ObservedPath {
        origin,
        uses: uses.iter().copied().collect(),
        leads_to: None,
        digest: None,
        by: by.clone(),
    };
    let read = ObservedPath {
        leads_to: Some(path(b"/usr/lib/libc.so.6")),
        digest: Some(Digest::of(b"libc")),
        ..of(Origin::Environment, &[Use::Open, Use::Execute])
    };
    let paths = [
        (path(b"/lib/libc.so.6"), read),
        (path(b"/build/source"), of(Origin::Source, &[Use::List, Use::Look])),
        (path(b"/build/source/caf\xe9\n\"b"), of(Origin::Written, &[Use::Write])),
        (path(b"/usr/none.h"), of(Origin::Absent, &[Use::Open])),
        (path(b"/dev/null"), of(Origin::Device, &[Use::Open])),
        (path(b"/proc/PID/maps"), of(Origin::Proc, &[Use::Open])),
        (path(b"/inputs/tool"), of(Origin::Input, &[Use::Open])),
    ];
    let full = ObservedListing {
        format: ListingFormat::V0_1,
        mode: RecordMode::Full,
        lost: [Loss::TooMany, Loss::Closed, Loss::Unresolved].into(),
        paths: paths.into(),
        calls: [("uname".to_owned(), by.clone())].into(),
        network: [("connect inet 192.0.2.1:80".to_owned(), None)].into(),
    };
    let empty = ObservedListing {
        mode: RecordMode::Files,
        lost: [].into(),
        paths: [].into(),
        calls: [].into(),
        network: [].into(),
        ..full.clone()
    };
    let mut files = vec![json("full", &full), json("empty", &empty)];
    let as_text = String::from_utf8(files[0].1.clone()).unwrap();
    files.push(text("declared", as_text.replace("\"full\"", "\"declared\"")));
    files.push(text("refused-relative", as_text.replace("\"/dev/null\"", "\"dev/null\"")));
    files.push(text("refused-path-escape", as_text.replace("\\\\xe9", "\\\\xE9")));
    files.push(text("refused-origin", as_text.replace("\"proc\"", "\"other\"")));
    files.push(text("refused-format", as_text.replace("v0.1", "v0.2")));
    files.push(text("refused-order", as_text.replace("\"list\",\"look\"", "\"look\",\"list\"")));
    files.extend(other_forms(&files[0].clone()));
    files
}

fn interpreters() -> Vec<File> {
    let line = |n: usize| format!("#!/{}", "n".repeat(n - 3));
    let loader = b"/lib64/ld-linux-x86-64.so.2\0";
    let size = loader.len() as u64;
    vec![
        text("script", "#!/bin/sh -e\necho\n"),
        text("script-env", "#! \t/usr/bin/env python3\n"),
        text("script-relative", "#!sh\n"),
        text("script-nul", "#!/bin/sh\0x\n"),
        text("script-long", line(255)),
        text("script-too-long", line(256)),
        text("script-empty", "#! \n/bin/sh\n"),
        text("plain", "text"),
        ("elf", elf(size, 2, loader)),
        ("elf-cut", elf(size + 1, 2, loader)),
        ("elf-no-end", elf(size - 1, 2, loader)),
        ("elf-static", elf(size, 1, loader)),
        ("elf-many", elf(size, u16::MAX, loader)),
        ("elf-huge", elf(u64::MAX, 2, loader)),
        ("elf-narrow", narrow(loader)),
    ]
}

/// A file of the 64-bit class with two program headers, of which `count` are said to be there, and the second names the
/// loader.
fn elf(size: u64, count: u16, loader: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 64 + 2 * 56];
    put(&mut file, 0, &[0x7f, b'E', b'L', b'F', 2, 1]);
    put(&mut file, 32, &64_u64.to_le_bytes());
    put(&mut file, 54, &56_u16.to_le_bytes());
    put(&mut file, 56, &count.to_le_bytes());
    put(&mut file, 64, &6_u32.to_le_bytes());
    put(&mut file, 120, &3_u32.to_le_bytes());
    put(&mut file, 128, &176_u64.to_le_bytes());
    put(&mut file, 152, &size.to_le_bytes());
    [&file, loader].concat()
}

/// The same of the 32-bit class, with one header.
fn narrow(loader: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 52 + 32];
    put(&mut file, 0, &[0x7f, b'E', b'L', b'F', 1, 1]);
    put(&mut file, 28, &52_u32.to_le_bytes());
    put(&mut file, 42, &32_u16.to_le_bytes());
    put(&mut file, 44, &1_u16.to_le_bytes());
    put(&mut file, 52, &3_u32.to_le_bytes());
    put(&mut file, 56, &84_u32.to_le_bytes());
    put(&mut file, 68, &u32::try_from(loader.len()).unwrap().to_le_bytes());
    [&file, loader].concat()
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}
