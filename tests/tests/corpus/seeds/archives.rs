// SPDX-License-Identifier: Apache-2.0
//! Source archives, wheels, and pairs of files to compare.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use reprove_tests::properties::join;
use tar::EntryType;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::{Corpus, File};

pub(crate) fn all() -> Vec<Corpus> {
    let sources = [source_archives(), sdist_packings(), tarballs()];
    sources.into_iter().chain([wheel_times(), wheel_pins(), zip_pairs(), text_pairs(), byte_pairs()]).collect()
}

pub(super) type Entry<'a> = (&'a str, EntryType, &'a str, &'a [u8]);

pub(super) fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, link, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4777);
        header.set_mtime(1_600_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn file<'a>(name: &'a str, content: &'a [u8]) -> Entry<'a> {
    (name, EntryType::Regular, "", content)
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn sample() -> Vec<u8> {
    tar_of(&[
        ("p-1/", EntryType::Directory, "", b""),
        file("p-1/sub/file", b"hello"),
        ("p-1/hard", EntryType::Link, "p-1/sub/file", b""),
        ("./p-1/soft", EntryType::Symlink, "../../etc", b""),
    ])
}

/// A file with an extended header (POSIX.1-2017, pax).
pub(super) fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions(records.iter().map(|(key, value)| (*key, value.as_bytes()))).unwrap();
    [builder_bytes(builder), tar_of(&[file("p-1/file", b"hello")])].concat()
}

/// What was written, without the end of the archive.
fn builder_bytes(builder: tar::Builder<Vec<u8>>) -> Vec<u8> {
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes
}

/// A name of the GNU kind, too long for a header.
pub(super) fn long_name(name: &str) -> Vec<u8> {
    let bytes = [name.as_bytes(), b"\0"].concat();
    tar_of(&[("././@LongLink", EntryType::GNULongName, "", &bytes), file("p-1/cut", b"x")])
}

/// A GNU sparse file that is all hole but for its last `data`.
pub(super) fn sparse(real_size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..10].copy_from_slice(b"p-1/sparse");
    header.set_entry_type(EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(data.len() as u64);
    let number = |field: &mut [u8; 12], value: u64| {
        field[4..].copy_from_slice(&value.to_be_bytes());
        field[0] = 0x80;
    };
    let gnu = header.as_gnu_mut().unwrap();
    number(&mut gnu.realsize, real_size);
    number(&mut gnu.sparse[0].offset, real_size - data.len() as u64);
    number(&mut gnu.sparse[0].numbytes, data.len() as u64);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, data).unwrap();
    builder.into_inner().unwrap()
}

fn source_archives() -> Corpus {
    let of = |name, content| tar_of(&[file(name, content)]);
    let small = of("p-1/file", b"hello");
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let mut damaged = gzip(&small);
    let length = damaged.len();
    damaged[length - 6] ^= 1;
    let files = vec![
        ("plain", sample()),
        ("gzip", gzip(&sample())),
        ("gzip-members", [gzip(&small[..512]), gzip(&small[512..])].concat()),
        ("zstd", zstd_of(&sample())),
        ("pax-time", gzip(&pax(&[("mtime", "1600000000.123456789")]))),
        ("pax-path", gzip(&pax(&[("path", "p-1/other/name"), ("size", "5")]))),
        (
            "pax-global",
            gzip(
                &[
                    tar_of(&[("g", EntryType::XGlobalHeader, "", b"19 comment=x1234567\n")])[..1024].to_vec(),
                    small.clone(),
                ]
                .concat(),
            ),
        ),
        ("long-name", gzip(&long_name(&format!("p-1/{}", "n".repeat(200))))),
        ("sparse", gzip(&sparse(8_192, b"x"))),
        ("empty", Vec::new()),
        ("implied-directories", gzip(&of("p-1/a/b/c/d/e", b"x"))),
        ("same-name-twice", gzip(&tar_of(&[file("p-1/a", b"1"), file("p-1/a", b"2")]))),
        ("refused-sparse", gzip(&sparse(1 << 62, b"x"))),
        ("refused-deep", gzip(&long_name("d/".repeat(1_000).replacen('d', "p", 1).trim_end_matches('/')))),
        ("refused-many", gzip(&tar_of(&vec![file("p-1/a", b""); 65]))),
        ("refused-large", gzip(&of("p-1/a", &vec![0; 256 << 10]))),
        ("refused-damaged", damaged),
        ("refused-cut", cut(&gzip(&sample()))),
        ("refused-cut-zstd", cut(&zstd_of(&sample()))),
        ("refused-parent", gzip(&of("p-1/../../x", b"x"))),
        ("refused-absolute", gzip(&of("/etc/x", b"x"))),
        ("refused-two-tops", gzip(&tar_of(&[file("a/x", b""), file("b/x", b"")]))),
        ("refused-no-top", gzip(&of("x", b""))),
        ("refused-device", gzip(&tar_of(&[("p-1/null", EntryType::Char, "", b"")]))),
        ("refused-hard-link", gzip(&tar_of(&[("p-1/h", EntryType::Link, "p-1/none", b"")]))),
        ("refused-empty-link", gzip(&tar_of(&[("p-1/l", EntryType::Symlink, "", b"")]))),
        ("refused-both", gzip(&tar_of(&[file("p-1/a", b""), file("p-1/a/b", b"")]))),
        ("refused-time", gzip(&pax(&[("mtime", "-1")]))),
        ("refused-text", b"this is no archive".to_vec()),
    ];
    ("unpack", files)
}

/// An entry's name, content, year and method.
type ZipEntry<'a> = (&'a str, &'a [u8], u16, CompressionMethod);

fn zip_of(entries: &[ZipEntry<'_>]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data, year, method) in entries {
        let time = DateTime::from_date_and_time(*year, 2, 29, 12, 30, 58).unwrap();
        let options = SimpleFileOptions::default().last_modified_time(time).compression_method(*method);
        writer.start_file(*name, options.unix_permissions(0o644)).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const DEFLATED: CompressionMethod = CompressionMethod::Deflated;
const STORED: CompressionMethod = CompressionMethod::Stored;
const PYTHON: &[u8] = b"import sys\nimport sys\nimport sys\nprint(sys.version)\n";

fn wheel(generator: &str) -> Vec<u8> {
    let text = format!("Wheel-Version: 1.0\nGenerator: {generator}\nRoot-Is-Purelib: true\nTag: py3-none-any\n");
    let entries = [("demo.py", PYTHON, 2024, DEFLATED), ("demo-1.dist-info/WHEEL", text.as_bytes(), 2024, DEFLATED)];
    zip_of(&entries)
}

/// `bytes` with every `from` replaced by `to`, of the same length.
pub(super) fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let found: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert!(!found.is_empty() && from.len() == to.len());
    found.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    bytes
}

/// An end record that says that there are 65535 entries.
fn many_entries(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let end = bytes.len() - 22;
    bytes[end + 8..end + 12].fill(0xff);
    bytes
}

fn damaged_wheels() -> Vec<File> {
    let good = wheel("flit 3.12.0");
    vec![
        ("refused-cut", good[..good.len() - 30].to_vec()),
        ("refused-count", many_entries(&good)),
        ("refused-no-zip", b"PK no zip".to_vec()),
        ("refused-empty", Vec::new()),
        ("with-prefix", [b"#!/usr/bin/env python3\n".as_slice(), &good].concat()),
    ]
}

/// A tarball as npm packs: a long name in an extended header, and these fields in each other header.
fn tarball(effort: u8, system: u8, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, kind) in [("package/a.js", b'0'), ("PaxHeader/long", b'x'), ("long/name.js", b'0')] {
        let mut header = [0; 512];
        let common: [(usize, &[u8]); 6] = [
            (0, name.as_bytes()),
            (100, b"000644 \0"),
            (124, b"0000000004 "),
            (136, b"3560116604 \0"),
            (156, &[kind]),
            (257, b"ustar\x0000"),
        ];
        for (at, bytes) in common.into_iter().chain(fields.iter().copied()) {
            header[at..at + bytes.len()].copy_from_slice(bytes);
        }
        tar.extend(header);
        tar.extend(b"text".iter().chain(&[0; 508]));
    }
    tar.extend([0; 1024]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar).unwrap();
    let mut bytes = gzip.finish().unwrap();
    (bytes[8], bytes[9]) = (effort, system);
    bytes
}

fn tarballs() -> Corpus {
    let owner = (108, b"000765 \x00000024 \0".as_slice());
    let files = vec![
        ("npm-11", tarball(2, 255, &[])),
        ("npm-6", tarball(0, 19, &[])),
        ("npm-5", tarball(0, 3, &[(136, b"13262536525\0")])),
        ("npm-4", tarball(0, 3, &[(136, b"13262536525\0"), owner])),
        ("windows", tarball(0, 10, &[(100, b"000666 \0")])),
        ("pnpm", tarball(0, 3, &[(136, b"03560116604 ")])),
        ("yarn", tarball(0, 3, &[(136, b"03316406010 ")])),
        ("refused-mixed", tarball(2, 255, &[owner])),
        ("refused-top", tarball(2, 255, &[(0, b"other\0")])),
        ("refused-directory", tarball(2, 255, &[(156, b"5")])),
        ("refused-link", tarball(2, 255, &[(156, b"2")])),
        ("refused-base-256", tarball(2, 255, &[(108, &[0x80, 0, 0, 0, 0, 0, 0, 1])])),
        ("refused-named", tarball(2, 255, &[(265, b"root")])),
        ("refused-terminal", tarball(2, 255, &[(0, b"\x1b[2J\x9b/\0")])),
        ("refused-cut", tarball(2, 255, &[]).into_iter().take(60).collect()),
        ("refused-no-gzip", b"PK no gzip".to_vec()),
    ];
    ("npm_form", files)
}

fn wheel_times() -> Corpus {
    let of = |years: &[u16]| zip_of(&years.iter().map(|&year| ("same", PYTHON, year, STORED)).collect::<Vec<_>>()[..1]);
    let no_time = replace(&zip_of(&[("a", b"", 2024, STORED)]), &0x585d_u16.to_le_bytes(), &[0, 0]);
    let mut files = vec![
        ("wheel", wheel("flit 3.12.0")),
        ("oldest", of(&[1980])),
        ("newest", of(&[2104])),
        ("two", zip_of(&[("a", b"", 2024, STORED), ("b", b"", 2020, STORED), ("c", b"", 2020, STORED)])),
        ("none", zip_of(&[])),
        ("no-time", no_time),
    ];
    files.extend(damaged_wheels());
    ("wheel_times", files)
}

fn sdist_packings() -> Corpus {
    let named = |flags: u8, name: &[u8]| {
        let mut bytes = gzip(&sample());
        bytes[3] = flags;
        bytes.splice(10..10, name.iter().copied().chain([0]));
        bytes
    };
    let files = vec![
        ("gzip", gzip(&sample())),
        ("gzip-name", named(8, b"p-1.tar")),
        ("pax-time", gzip(&pax(&[("mtime", "1600000000.123456789")]))),
        ("two-of-one-name", gzip(&[&sample()[..512], &sample()].concat())),
        ("refused-comment", named(16, b"by hand")),
        ("refused-long-name", named(8, &[b'n'; 1001])),
        ("refused-plain", sample()),
        ("refused-zstd", zstd_of(&sample())),
        ("refused-end", gzip(&sample())[..40].to_vec()),
    ];
    ("sdist_packing", files)
}

fn wheel_pins() -> Corpus {
    let two = [("a.dist-info/WHEEL", PYTHON, 2024, STORED), ("b.dist-info/WHEEL", PYTHON, 2024, STORED)];
    let long = [("a.dist-info/WHEEL", vec![b'a'; (64 << 10) + 1])];
    let long: Vec<ZipEntry<'_>> = long.iter().map(|(name, text)| (*name, text.as_slice(), 2024, DEFLATED)).collect();
    let mut files = vec![
        ("flit", wheel("flit 3.12.0")),
        ("setuptools", wheel("setuptools (80.9.0)")),
        ("bdist-wheel", wheel("bdist_wheel (0.38.4)")),
        ("no-version", wheel("meson")),
        ("odd-version", wheel("flit 1;import os")),
        ("unknown", wheel("mine\u{1b}[2J 1")),
        ("no-generator", zip_of(&[("a.dist-info/WHEEL", b"Wheel-Version: 1.0\n", 2024, STORED)])),
        ("deeper-inside", zip_of(&[("x/a.dist-info/WHEEL", PYTHON, 2024, STORED)])),
        ("refused-two", zip_of(&two)),
        ("refused-long", zip_of(&long)),
        ("refused-method", replace(&wheel("flit 1"), &[8, 0], &[9, 9])),
    ];
    files.extend(damaged_wheels());
    ("wheel_pins", files)
}

fn zip_pairs() -> Corpus {
    let base = zip_of(&[("demo.py", PYTHON, 2024, DEFLATED), ("b", b"1", 2024, STORED)]);
    let with = |entries: &[ZipEntry<'_>]| join(&base, &zip_of(entries));
    let nested = |year| zip_of(&[("inner.zip", &zip_of(&[("a", b"x", year, STORED)]), 2024, DEFLATED)]);
    let swapped = replace(&base, b"PK\x03\x04\x14", b"PK\x03\x04\x15");
    let mut files = vec![
        ("equal", join(&base, &base)),
        ("times", with(&[("demo.py", PYTHON, 2020, DEFLATED), ("b", b"1", 2020, STORED)])),
        ("order", with(&[("b", b"1", 2024, STORED), ("demo.py", PYTHON, 2024, DEFLATED)])),
        ("content", with(&[("demo.py", b"import os\n", 2024, DEFLATED), ("b", b"1", 2024, STORED)])),
        ("compression", with(&[("demo.py", PYTHON, 2024, STORED), ("b", b"1", 2024, STORED)])),
        ("only", with(&[("demo.py", PYTHON, 2024, DEFLATED), ("c", b"1", 2024, STORED)])),
        ("structure", join(&base, &swapped)),
        ("nested", join(&nested(2020), &nested(2024))),
        ("one-is-none", join(&base, PYTHON)),
        ("cut", join(&base, &base[..base.len() - 3])),
        ("count", join(&base, &many_entries(&base))),
        ("prefix", join(&base, &[b"#!x\n".as_slice(), &base].concat())),
        ("comment", join(&base, &[&base[..base.len() - 2], b"\x02\0hi".as_slice()].concat())),
        ("empty", join(&zip_of(&[]), &base)),
        ("odd-names", join(&zip_of(&[("\u{1b}[2J\u{85}", b"a", 2024, STORED)]), &base)),
        ("damaged", join(&base, &replace(&base, b"demo.py", b"demo.pz"))),
    ];
    files.extend(jar_pairs());
    ("zip_compare", files)
}

/// The manifest of an archive with the entry `a`, which is `x`; the file of a signature of it, and the block beside that.
const MANIFEST: &[u8] =
    b"Manifest-Version: 1.0\r\n\r\nName: a\r\nSHA-256-Digest: LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=\r\n\r\n";
const SIGNATURE: &[u8] =
    b"Signature-Version: 1.0\r\nSHA-256-Digest-Manifest: kvfHgIQr1H8nj63gy6f5HuWwwn5lILTwAIcVTUlOAbM=\r\n\r\nName: a\r\nSHA-256-Digest: qfrl16ntsCca85NjlItG7ou4ieV8z1pufzfiBHt3+P8=\r\n\r\n";
const BLOCK: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x00";

/// JARs with manifests, signatures and properties.
fn jar_pairs() -> Vec<File> {
    let jar = |manifest: &[u8], more: &[ZipEntry<'_>]| {
        let manifest = ("META-INF/MANIFEST.MF", manifest, 2024, STORED);
        zip_of(&[&[manifest, ("a", b"x", 2024, STORED)], more].concat())
    };
    let of = |lines: &str| jar(format!("Manifest-Version: 1.0\r\n{lines}\r\n").as_bytes(), &[]);
    let exports = |value: &str| of(&format!("Export-Package: {value}\r\nBuilt-By: me\r\n"));
    let properties = |day: &str| format!("#{day} Nov 27 07:42:06 UTC 2026\ngit.commit.id={day}\n").into_bytes();
    let git = |day: &str| jar(b"", &[("git.properties", &properties(day), 2024, STORED)]);
    let signed = |block: &[u8]| {
        jar(MANIFEST, &[("META-INF/K.SF", SIGNATURE, 2024, STORED), ("META-INF/K.RSA", block, 2024, STORED)])
    };
    vec![
        ("jar-clauses", join(&exports("a;b=1;c=\"x,y\",d"), &exports("d,a;c=\"x,y\";b=1"))),
        ("jar-folded", join(&of("Built-By: m\r\n e\r\nA: 1\r\n"), &of("A: 1\r\nBnd-LastModified: 1700000000\r\n"))),
        ("jar-properties", join(&git("Fri"), &git("Thu"))),
        ("jar-signed", join(&of(""), &signed(BLOCK))),
        (
            "jar-signed-otherwise",
            join(&signed(BLOCK), &signed(b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02")),
        ),
    ]
}

fn text_pairs() -> Corpus {
    let pair = |left: &str, right: &str| join(left.as_bytes(), right.as_bytes());
    let long = "x".repeat(400);
    let files = vec![
        ("equal", pair("a\nb\n", "a\nb\n")),
        ("changed", pair("a\nb\nc\n", "a\nB\nc\n")),
        ("inserted", pair("a\nc\n", "a\nb\nc\n")),
        (
            "xml-value",
            pair(
                "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY e 'x'>]><a b='1'>x<c/><!--y--><?p z?></a>",
                "<?xml version='1.0'?>\n<a b=\"2\" d=''><![CDATA[x]]>&e;<c></c></a>",
            ),
        ),
        (
            "yaml-value",
            pair(
                "%YAML 1.2\n---\n&a a: !t [1, {b: *a}]\n? [k]\n: |\n  text\n--- 'x'\n",
                "a:\n- 1\n- b: \"x\\u0041\"\nc: >-\n  text\n  more\n",
            ),
        ),
        ("moved", pair("a\nb\nc\nd\n", "c\nd\na\nb\n")),
        ("no-last-newline", pair("a\nb", "a\nb\n")),
        ("line-ends", pair("a\r\nb\r\n", "a\nb\n")),
        ("controls", pair("\u{1b}[2J\u{7}\u{85}\u{202e}", "\u{1b}[3J\u{200b}\u{feff}")),
        ("unicode", pair("caf\u{e9}", "cafe\u{301}")),
        ("long-lines", pair(&format!("{long}a{long}"), &format!("{long}b{long}"))),
        ("many-lines", pair(&"a\n".repeat(600), &"a\nb\n".repeat(300))),
        ("empty", pair("", "a")),
        ("both-empty", pair("", "")),
    ];
    ("text_compare", files)
}

fn byte_pairs() -> Corpus {
    let of = |blocks: u8, left: &[u8], right: &[u8]| [vec![blocks], join(left, right)].concat();
    let string = b"\0\0\0/build/first/main.c\0\0\0";
    let files = vec![
        ("equal", of(0, b"\0\x01\x02", b"\0\x01\x02")),
        ("strings", of(0, string, b"\0\0\0/build/other/main.c\0\0\0")),
        ("longer", of(0, b"\0\x01", b"\0\x01\x02\x03")),
        ("past-the-window", of(129, b"\0a", b"\0b")),
        ("at-the-window", of(128, b"\xff", b"\xfe")),
        ("near-the-window", of(127, &[1; 1024], &[2; 1025])),
        ("two-windows", of(255, string, b"\x01")),
        ("empty", of(0, b"", b"")),
        ("runs", of(1, b"\0a12345678b1234567c", b"\0x12345678y1234567z")),
    ];
    ("bytes_compare", files)
}
