// SPDX-License-Identifier: Apache-2.0
//! Pairs of archives and compressed files to compare.

use std::io::Write as _;

use reprove_model::DigestSet;
use reprove_tests::properties::join;

use super::archives::{file, gzip, long_name, pax, replace, sparse, tar_of, zstd_of};
use super::{Corpus, File, images};

/// As `xz` and `bzip2` write them: 40 lines, in the second otherwise and at the lowest level.
const XZ: [&[u8]; 2] = [
    b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x02\x00!\x01\x16\x00\x00\x00t/\xe5\xa3\xe0\x00\xef\x00\x0c]\x004\x19I\xee\x8d\xdd\x5c\x9dQ/\x00\x00\x00\x94\xf2\xe4\xd3\x8a\x981U\x00\x01(\xf0\x01\x00\x00\x00\xbed\x22\xd8\xb1\xc4g\xfb\x02\x00\x00\x00\x00\x04YZ",
    b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x02\x00!\x01\x0c\x00\x00\x00\x8f\x98A\x9c\xe0\x00\xef\x00\x0c]\x004\x18I\xdb\x85[\x9bx\x9b\x87\x08\x00\x00T\xc5\xe2\xc5\x82\x02n\xa2\x00\x01(\xf0\x01\x00\x00\x00\xbed\x22\xd8\xb1\xc4g\xfb\x02\x00\x00\x00\x00\x04YZ",
];
const BZIP2: [&[u8]; 2] = [
    b"BZh91AY&SY\x0a:\x01\x08\x00\x00;\xc1\x00\x00\x10\x02D\xa0\x000\xcd\x00R\xa3\x1a&\x09\xf10M\x09\xc2\xeeH\xa7\x0a\x12\x01G@!\x00",
    b"BZh11AY&SY-\x98\xfa\xef\x00\x00;\xc1\x00\x00\x10 D\xa0\x000\xcd\x00R\xa3\x1a&\x09\xf10M\x09\xc2\xeeH\xa7\x0a\x12\x05\xb3\x1f]\xe0",
];

pub(crate) fn all() -> Vec<Corpus> {
    let mut files = tar_pairs();
    files.extend(compressed_pairs());
    files.extend(ar_pairs());
    files.extend(cpio_pairs());
    files.extend(nar_pairs());
    files.extend(parted_pairs());
    files.extend(images::pairs());
    files.extend(named_pairs());
    files.extend(document_pairs());
    vec![("container_compare", files)]
}

/// With the bytes from `at` on in place of its own, and the checksum of the first header made right.
fn changed(tar: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    tar[at..at + bytes.len()].copy_from_slice(bytes);
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar
}

fn tar_pairs() -> Vec<File> {
    let base = tar_of(&[file("p/a", b"hello\n"), file("p/b", b"there\n")]);
    let with = |at, bytes: &[u8]| join(&base, &changed(&base, at, bytes));
    vec![
        ("tar-equal", join(&base, &base)),
        ("tar-times", with(136, b"00000000007")),
        ("tar-owners", with(108, b"0001750")),
        ("tar-modes", with(100, b"0000644")),
        ("tar-type", with(156, b"2")),
        ("tar-name", with(0, b"q/a")),
        ("tar-form", with(108, b"     0 ")),
        ("tar-binary", with(136, b"\x80\0\0\0\0\0\0\0\0\0\0\x07")),
        ("tar-size", with(124, b"77777777777")),
        ("tar-content", join(&base, &tar_of(&[file("p/a", b"hallo\n"), file("p/b", b"there\n")]))),
        ("tar-order", join(&base, &tar_of(&[file("p/b", b"there\n"), file("p/a", b"hello\n")]))),
        ("tar-twice", join(&base, &tar_of(&[file("p/a", b"hello\n"), file("p/a", b"there\n")]))),
        ("tar-cut", join(&base, &base[..700])),
        ("tar-padding", join(&base, &base[..base.len() - 512])),
        ("tar-pax", join(&pax(&[("mtime", "1.5")]), &pax(&[("mtime", "2.5")]))),
        ("tar-pax-size", join(&pax(&[("size", "5")]), &pax(&[("size", "99999999999999999999")]))),
        ("tar-long-name", join(&long_name(&"n/".repeat(90)), &long_name(&"m/".repeat(90)))),
        ("tar-sparse", join(&sparse(4096, b"data"), &sparse(8192, b"data"))),
    ]
}

fn compressed_pairs() -> Vec<File> {
    let tar = |content: &[u8]| tar_of(&[file("p/a", content)]);
    let (one, other) = (tar(b"hello\n"), tar(b"hallo\n"));
    let named = b"\x1f\x8b\x08\x08\x01\0\0\0\x02\x03name\0".as_slice();
    let gz = gzip(&one);
    vec![
        ("gzip-content", join(&gz, &gzip(&other))),
        ("gzip-time", join(&gz, &[&gz[..4], b"\x01", &gz[5..]].concat())),
        ("gzip-name", join(&gz, &[named, &gz[10..]].concat())),
        ("gzip-members", join(&gz, &[gzip(&one[..512]), gzip(&one[512..])].concat())),
        ("gzip-cut", join(&gz, &gz[..gz.len() - 8])),
        ("gzip-more", join(&gz, &[gz.as_slice(), b"more"].concat())),
        ("gzip-twice", join(&gzip(&gz), &gzip(&gzip(&other)))),
        ("zstd", join(&zstd_of(&one), &zstd_of(&other))),
        ("xz", join(XZ[0], XZ[1])),
        ("bzip2", join(BZIP2[0], BZIP2[1])),
        ("two-kinds", join(&gz, XZ[0])),
    ]
}

fn ar_of(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, time, data) in members {
        let size = data.len();
        writeln!(bytes, "{name:<16}{time:<12}{:<6}{:<6}{:<8o}{size:<10}`", 0, 0, 0o100_644).unwrap();
        bytes.extend_from_slice(data);
        bytes.extend(std::iter::repeat_n(b'\n', size % 2));
    }
    bytes
}

fn ar_pairs() -> Vec<File> {
    let long =
        |time, data| ar_of(&[("//", time, b"a_very_long_name.o/\nother.o/\n"), ("/0", 0, data), ("/20", 0, b"x")]);
    let control = |time: &[u8; 11]| gzip(&changed(&tar_of(&[file("control", b"Package: x\n")]), 136, time));
    let deb = |time: &[u8; 11]| ar_of(&[("debian-binary", 0, b"2.0\n"), ("control.tar.gz", 0, &control(time))]);
    vec![
        ("ar-long", join(&long(0, b"abc"), &long(1, b"abd"))),
        ("ar-bsd", join(&ar_of(&[("#1/4", 0, b"nameabc")]), &ar_of(&[("#1/4", 0, b"namfabc")]))),
        ("ar-bad-size", join(&long(0, b"abc"), &long(0, b"abc")[..90])),
        ("deb", join(&deb(b"00000000001"), &deb(b"00000000002"))),
    ]
}

fn cpio_of(magic: &str, members: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, time, data) in members.iter().chain([&("TRAILER!!!", 0, &b""[..])]) {
        let (name_len, size) = (name.len() + 1, data.len());
        bytes.extend_from_slice(magic.as_bytes());
        if magic == "070707" {
            write!(bytes, "{:06o}{:06o}{:06o}{:06o}{:06o}{:06o}{:06o}", 9, 7, 0o100_644, 0, 0, 1, 0).unwrap();
            write!(bytes, "{time:011o}{name_len:06o}{size:011o}{name}\0").unwrap();
        } else {
            for value in [7, 0o100_644, 0, 0, 1, *time, size as u64, 0, 9, 0, 0, name_len as u64, 0] {
                write!(bytes, "{value:08x}").unwrap();
            }
            write!(bytes, "{name}\0").unwrap();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes.extend_from_slice(data);
        if magic != "070707" {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
    }
    bytes
}

fn cpio_pairs() -> Vec<File> {
    let of = |magic, time| cpio_of(magic, &[("a", time, b"hello"), ("b", 0, b"")]);
    vec![
        ("cpio-new", join(&of("070701", 1), &of("070701", 2))),
        ("cpio-checked", join(&of("070702", 1), &of("070702", 2))),
        ("cpio-portable", join(&of("070707", 1), &of("070707", 2))),
        ("cpio-kinds", join(&of("070701", 1), &of("070707", 1))),
        ("cpio-cut", join(&of("070701", 1), &of("070701", 1)[..150])),
    ]
}

/// A Nix archive of a folder with these files, by their names; whether each is executed.
fn nar_of(files: &[(&str, bool, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut texts = |texts: &[&[u8]]| {
        for text in texts {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
    };
    texts(&[b"nix-archive-1", b"(", b"type", b"directory"]);
    for (name, is_executed, data) in files {
        texts(&[b"entry", b"(", b"name", name.as_bytes(), b"node", b"(", b"type", b"regular"]);
        if *is_executed {
            texts(&[b"executable", b""]);
        }
        texts(&[b"contents", data, b")", b")"]);
    }
    texts(&[b")"]);
    bytes
}

fn nar_pairs() -> Vec<File> {
    let base = nar_of(&[("a", false, b"hello\n"), ("b", true, b"x")]);
    let end = [&base[..], &[0; 8]].concat();
    vec![
        ("nar-equal", join(&base, &base)),
        ("nar-content", join(&base, &nar_of(&[("a", false, b"hallo\n"), ("b", true, b"x")]))),
        ("nar-executed", join(&base, &nar_of(&[("a", true, b"hello\n"), ("b", true, b"x")]))),
        ("nar-only", join(&base, &nar_of(&[("a", false, b"hello\n"), ("c", true, b"x")]))),
        ("nar-order", join(&base, &nar_of(&[("b", true, b"x"), ("a", false, b"hello\n")]))),
        ("nar-cut", join(&base, &base[..200])),
        ("nar-more", join(&base, &end)),
    ]
}

/// A little-endian object file with the sections `.text` and `.note.gnu.build-id`, and the table of their names.
fn elf_of(code: &[u8], id: &[u8]) -> Vec<u8> {
    let names = b"\0.text\0.note.gnu.build-id\0.shstrtab\0";
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0".to_vec();
    bytes.resize(64, 0);
    let mut headers = vec![0; 64];
    for (name, kind, data) in [(1_u32, 1_u32, code), (7, 7, id), (26, 3, names)] {
        // The first is run.
        let flags = if kind == 1 { 6 } else { 0 };
        let place = [flags, 0, bytes.len() as u64, data.len() as u64, 0, 0, 0];
        headers.extend([name.to_le_bytes(), kind.to_le_bytes()].concat());
        headers.extend(place.map(u64::to_le_bytes).concat());
        bytes.extend_from_slice(data);
    }
    bytes[40] = u8::try_from(bytes.len()).unwrap();
    bytes[52..64].copy_from_slice(&[64_u16, 0, 0, 64, 4, 3].map(u16::to_le_bytes).concat());
    [bytes, headers].concat()
}

fn png_of(time: &[u8]) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(&[kind, data].concat());
        let len = u32::try_from(data.len()).unwrap();
        [&len.to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
    };
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &[0; 13]), chunk(b"tIME", time), chunk(b"IEND", b"")].concat()
}

/// An RPM package without files.
fn rpm_of(time: &[u8; 4]) -> Vec<u8> {
    let header = |tags: &[(u32, &[u8])]| {
        let (mut index, mut store) = (Vec::new(), Vec::new());
        for (tag, value) in tags {
            index.extend([*tag, 4, u32::try_from(store.len()).unwrap(), 1].map(u32::to_be_bytes).concat());
            store.extend_from_slice(value);
        }
        let sizes = [tags.len(), store.len()].map(|len| u32::try_from(len).unwrap().to_be_bytes()).concat();
        [b"\x8e\xad\xe8\x01\0\0\0\0".to_vec(), sizes, index, store].concat()
    };
    let lead = [&b"\xed\xab\xee\xdb"[..], &[3; 92]].concat();
    let mut bytes = [lead, header(&[(1000, b"sig")])].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    [bytes, header(&[(1000, b"hello\0"), (1006, time)]), gzip(&cpio_of("070701", &[("a", 1, b"hello")]))].concat()
}

/// A gettext catalogue with its header alone.
fn catalogue(header: &str) -> Vec<u8> {
    let len = u32::try_from(header.len()).unwrap();
    let numbers = [0x9504_12de, 0, 1, 28, 36, 0, 44, 0, 44, len, 45];
    [&numbers.map(u32::to_le_bytes).concat(), &b"\0"[..], header.as_bytes(), b"\0"].concat()
}

/// A PDF file with a stream, what is said of it, and a table.
fn pdf_of(date: &str, id: u8, stream: &[u8], more: &str) -> Vec<u8> {
    let start = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Kids[2 0 R<</A(a\\)(b))/B<00>>>]>>endobj\n".to_vec();
    let head = format!("2 0 obj\n<</Filter/FlateDecode/Length {}>>\nstream\n", stream.len());
    let about = format!("\nendstream\nendobj\n3 0 obj<</CreationDate({date}){more}>>endobj\n");
    let id = format!("{id:032x}");
    let end = format!(
        "xref\n0 1\n0000000000 65535 f \ntrailer<</Info 3 0 R/ID[<{id}><{id}>]>>\nstartxref\n{}\n%%EOF\n",
        start.len() + head.len() + stream.len() + about.len()
    );
    [start, head.into_bytes(), stream.to_vec(), about.into_bytes(), end.into_bytes()].concat()
}

fn document_pairs() -> Vec<File> {
    let zlib = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let data = zlib(b"BT (hello) Tj ET\n");
    let (date, later) = ("D:20231114221320Z", "D:20241119070640Z");
    let base = pdf_of(date, 1, &data, "");
    vec![
        ("pdf-time", join(&base, &pdf_of(later, 1, &data, ""))),
        ("pdf-id", join(&base, &pdf_of(date, 2, &data, ""))),
        ("pdf-stream", join(&base, &pdf_of(date, 1, &zlib(b"BT (hallo) Tj ET\n"), ""))),
        ("pdf-entry", join(&base, &pdf_of(date, 1, &data, "/Producer(p)"))),
        ("pdf-signed", join(&pdf_of(date, 1, &data, "/ByteRange[0]"), &pdf_of(later, 1, &data, "/ByteRange[0]"))),
        ("pdf-cut", join(&base, &base[..200])),
        ("pdf-level", join(&base, &pdf_of(date, 1, &[b"\x78\xda", &data[2..]].concat(), ""))),
    ]
}

/// Files that are made of parts.
fn parted_pairs() -> Vec<File> {
    let elf = elf_of(b"\x90\xc3", b"one");
    let arm = |code: &[u8]| {
        let mut bytes = elf_of(code, b"one");
        bytes[18] = 183;
        bytes
    };
    let image = png_of(b"1234567");
    let compiled = |time: &[u8; 4], code: &[u8]| [&b"\xcb\x0d\r\n\0\0\0\0"[..], time, &[9, 0, 0, 0], code].concat();
    vec![
        ("elf-code", join(&elf, &elf_of(b"\x91\xc3", b"one"))),
        ("elf-arm", join(&arm(b"\xc1\xfc\x80\x52"), &arm(b"\x41\xfd\x80\x52"))),
        ("elf-build-id", join(&elf, &elf_of(b"\x90\xc3", b"two"))),
        ("elf-longer", join(&elf, &elf_of(b"\x90\x90\xc3", b"one"))),
        ("elf-cut", join(&elf, &elf[..elf.len() - 1])),
        ("rpm-time", join(&rpm_of(b"\0\0\0\x01"), &rpm_of(b"\0\0\0\x02"))),
        ("rpm-cut", join(&rpm_of(b"\0\0\0\x01"), &rpm_of(b"\0\0\0\x01")[..150])),
        ("mo-date", join(&catalogue("POT-Creation-Date: 1\n"), &catalogue("POT-Creation-Date: 2\n"))),
        ("mo-none", join(&catalogue("POT-Creation-Date: 1\n"), &catalogue("Language: de\n"))),
        ("wasm-code", join(b"\0asm\x01\0\0\0\x01\x01a\x0a\x01b", b"\0asm\x01\0\0\0\x01\x01a\x0a\x01c")),
        ("wasm-id", join(b"\0asm\x01\0\0\0\0\x0a\x08build_idx", b"\0asm\x01\0\0\0\0\x0a\x08build_idy")),
        ("wasm-length", join(b"\0asm\x01\0\0\0\x01\x01a", b"\0asm\x01\0\0\0\x01\x81\0a")),
        ("png-time", join(&image, &png_of(b"1234568"))),
        ("png-checksum", join(&image, &replace(&image, b"1234567", b"1234568"))),
        ("png-cut", join(&image, &image[..40])),
        ("pyc-time", join(&compiled(b"\0\0\0\0", b"code"), &compiled(b"\x01\0\0\0", b"code"))),
        ("pyc-code", join(&compiled(b"\0\0\0\0", b"code"), &compiled(b"\0\0\0\0", b"cede"))),
    ]
}

/// What is told by its name in an archive, and images for U-Boot.
fn named_pairs() -> Vec<File> {
    let note = |commit: &str| {
        let text = format!("{{\"git\": {{\"sha1\": \"{}\"}}, \"path_in_vcs\": \"\"}}", commit.repeat(40));
        tar_of(&[file("p-1/.cargo_vcs_info.json", text.as_bytes()), file("p-1/a.properties", DATED)])
    };
    let gem = |day: &str| {
        let text = format!("--- !ruby/object:Gem::Specification\ndate: {day}\nrubygems_version: 3.4.20\n");
        let (specification, files) = (gzip(text.as_bytes()), gzip(b"files"));
        let list = [("metadata.gz", &specification), ("data.tar.gz", &files)]
            .map(|(name, data)| format!("  {name}: {}\n", DigestSet::of(data).sha256));
        let list = gzip(format!("---\nSHA256:\n{}", list.concat()).as_bytes());
        let members = [("metadata.gz", &specification), ("data.tar.gz", &files), ("checksums.yaml.gz", &list)];
        tar_of(&members.map(|(name, data)| file(name, data)))
    };
    let page = |day: &str| {
        let comment = format!("<head>\n<!-- Generated by javadoc (17) on {day} Nov 27 07:42:06 UTC 2026 -->\n");
        format!("{comment}<meta name=\"dc.created\" content=\"2026-11-27\">\n</head>\n").into_bytes()
    };
    vec![
        ("crate-commit", join(&note("1"), &note("2"))),
        ("gem-date", join(&gem("2023-11-14"), &gem("2024-11-14 00:00:00.000000000 Z"))),
        ("javadoc-date", join(&page("Fri"), &page("Thu"))),
        ("uimage-time", join(&uimage_of(1), &uimage_of(2))),
    ]
}

const DATED: &[u8] = b"#Generated by Maven\n#Fri Nov 27 07:42:06 UTC 2026\nversion=1\n";

fn uimage_of(time: u32) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_be_bytes()
    };
    let numbers = [0x2705_1956, 0, time, 4, 0x8000, 0x8000].map(u32::to_be_bytes).concat();
    let mut header = [&numbers[..], &crc(b"code"), &[5, 2, 2, 1], &[0; 32]].concat();
    let sum = crc(&header);
    header[4..8].copy_from_slice(&sum);
    [&header[..], b"code"].concat()
}
