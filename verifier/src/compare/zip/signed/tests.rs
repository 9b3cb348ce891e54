// SPDX-License-Identifier: Apache-2.0
//! Signed JARs as `jarsigner` makes them: what is left out, and what only looks like a signature.

use std::io::{Cursor, Write as _};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reprove_model::FindingKind;
use sha2::{Digest as _, Sha256, Sha384};
use zip::write::SimpleFileOptions;

use super::super::super::archive::tests::{FILE, File, cpio_of, find_within};
use super::super::super::roles::tests::{compared, different, equal, zip_of};
use super::super::super::{Bounds, Level};
use super::block::tests::block;

/// The block of a signature, whose bytes nobody looks at.
static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| block(b"s"));
const MAIN: &str = "Manifest-Version: 1.0\r\n\r\n";
fn digest(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(bytes))
}

/// A manifest of these entries with their digests, and the file of a signature of it.
fn signature(entries: &[(&str, &[u8])]) -> (String, String) {
    let (mut manifest, mut sections) = (MAIN.to_owned(), String::new());
    for (name, data) in entries {
        let section = format!("Name: {name}\r\nSHA-256-Digest: {}\r\n\r\n", digest(data));
        sections += &format!("Name: {name}\r\nSHA-256-Digest: {}\r\n\r\n", digest(section.as_bytes()));
        manifest += &section;
    }
    let (whole, main) = (digest(manifest.as_bytes()), digest(MAIN.as_bytes()));
    // Lines of 72 bytes at most.
    let (main, rest) = main.split_at(31);
    let head = format!("Signature-Version: 1.0\r\nCreated-By: 17\r\nSHA-256-Digest-Manifest: {whole}\r\n");
    (manifest, format!("{head}SHA-256-Digest-Manifest-Main-Attributes: {main}\r\n {rest}\r\n\r\n{sections}"))
}

fn with(entries: &[(&str, &[u8])], manifest: &str, file: &str, block: (&str, &[u8])) -> Vec<u8> {
    let signed = [("META-INF/MANIFEST.MF", manifest.as_bytes()), ("META-INF/K.SF", file.as_bytes()), block];
    zip_of(&[&signed, entries].concat())
}

fn signed(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (manifest, file) = signature(entries);
    with(entries, &manifest, &file, ("META-INF/K.RSA", &BLOCK[..]))
}

fn plain(entries: &[(&str, &[u8])]) -> Vec<u8> {
    zip_of(&[&[("META-INF/MANIFEST.MF", MAIN.as_bytes())], entries].concat())
}

fn of(left: &[u8], right: &[u8]) -> (Level, Vec<String>) {
    compared(left, right, "a.jar")
}

const ENTRIES: [(&str, &[u8]); 2] = [("a.class", b"aaaa"), ("b.class", b"bbbb")];

#[test]
fn a_signature_on_one_side_alone_is_named_and_listed() {
    let (left, right) = (plain(&ENTRIES), signed(&ENTRIES));
    assert_eq!(of(&left, &right), equal(&["jar-signatures"]));
    let findings = find_within(&left, &right, &Bounds::default()).0;
    let listed: Vec<_> = findings.iter().map(|finding| (finding.place.as_str(), finding.kind)).collect();
    let files = ["a!META-INF/K.RSA", "a!META-INF/K.SF"].map(|place| (place, FindingKind::OnlyRight));
    assert_eq!(listed, [files[0], files[1], ("a!META-INF/MANIFEST.MF", FindingKind::Content)]);
    assert!(
        findings[0].summary.starts_with(&format!("a signature of {} bytes", BLOCK.len())),
        "{}",
        findings[0].summary
    );
    // What is not of the signature stays, and is needed besides.
    assert_eq!(of(&left, &signed(&[ENTRIES[0], ("b.class", b"cccc")])), different());
    assert_eq!(of(&left, &signed(&ENTRIES[..1])), different());
    let inner = |time| cpio_of(&[File { time, ..FILE }]);
    let (old, new) = (inner(1), inner(2));
    let (old, new) = ([ENTRIES[0], ("c", &*old)], [ENTRIES[0], ("c", &*new)]);
    assert_eq!(of(&signed(&old), &signed(&new)), equal(&["cpio-times", "jar-signatures"]));
    assert_eq!(of(&plain(&old), &signed(&new)), equal(&["cpio-times", "jar-signatures"]));
}

#[test]
fn another_signature_of_the_same_is_left_out() {
    let (manifest, file) = signature(&ENTRIES);
    let base = signed(&ENTRIES);
    let other_block = block(b"another");
    for (file, block) in [
        (file.clone(), ("META-INF/K.RSA", &*other_block)),
        (file.replace("17\r\n", "21\r\n"), ("META-INF/K.RSA", &BLOCK[..])),
        (file.clone(), ("META-INF/K.EC", &BLOCK[..])),
        (file.clone(), ("META-INF/K.DSA", &BLOCK[..])),
    ] {
        assert_eq!(of(&base, &with(&ENTRIES, &manifest, &file, block)), equal(&["jar-signatures"]));
    }
    // With another function, of fewer entries.
    let sum = BASE64_STANDARD.encode(Sha384::digest(ENTRIES[0].1));
    let long = format!("{MAIN}Name: a.class\r\nSHA-384-Digest: {sum}\r\n\r\n");
    let file = format!("Signature-Version: 1.0\r\nSHA-256-Digest-Manifest: {}\r\n\r\n", digest(long.as_bytes()));
    let other = with(&ENTRIES, &long, &file, ("META-INF/K.RSA", &BLOCK[..]));
    // Its line is longer than Java would write it.
    assert_eq!(of(&base, &other), equal(&["jar-form", "jar-signatures"]));
}

#[test]
fn what_is_wrong_in_a_signature_stays() {
    let (manifest, file) = signature(&ENTRIES);
    let left = plain(&ENTRIES);
    let block = ("META-INF/K.RSA", &BLOCK[..]);
    let made_by = |len| format!("Created-By: {}\r\n", "y".repeat(len));
    let wrong = |from: &str| from.replacen(&digest(b"aaaa"), &digest(b"other"), 1);
    let file_of = |manifest: &str| {
        format!("Signature-Version: 1.0\r\nSHA-256-Digest-Manifest: {}\r\n\r\n", digest(manifest.as_bytes()))
    };
    assert_eq!(of(&left, &with(&ENTRIES, &manifest, &file_of(&manifest), block)), equal(&["jar-signatures"]));
    let more = manifest.replacen("SHA-256", "Sealed: true\r\nSHA-256", 1);
    let unknown = manifest.replace("SHA-256", "SHA1");
    for manifest in [&wrong(&manifest), &more, &unknown, &manifest.replace("Name: a.class", "Name: c.class")] {
        assert_eq!(of(&left, &with(&ENTRIES, manifest, &file_of(manifest), block)), different(), "{manifest}");
    }
    for file in [
        file.replacen("Manifest: ", "Manifest: x", 1),
        file.replace("Attributes: ", "Attributes: x"),
        file.replacen("\r\n\r\nName: a", "\r\nX-More: 1\r\n\r\nName: a", 1),
        file.replacen("a.class", "c.class", 1),
        file.replacen("Created-By: 17\r\n", "Created-By: 17\r\nCreated-By: 17\r\n", 1),
        file.replacen("Created-By: 17\r\n", &made_by(1025), 1),
        file.replacen("Name: a.class\r\n", "Name: a.class\r\nMore: 1\r\n", 1),
        file.replace("Version: 1.0", "Version: 2.0"),
        file.replace("SHA-256-Digest-Manifest: ", "SHA1-Digest-Manifest: "),
        "Signature-Version: 1.0\r\n\r\n".to_owned(),
        String::new(),
    ] {
        assert_eq!(of(&left, &with(&ENTRIES, &manifest, &file, block)), different(), "{file}");
    }
    let whole = file.replacen("Created-By: 17\r\n", &made_by(1024), 1);
    assert_eq!(of(&left, &with(&ENTRIES, &manifest, &whole, block)), equal(&["jar-signatures"]));
    let longer = [&BLOCK[..], &b"x"[..]].concat();
    // What has the kind and the length, and anything in it.
    let empty = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x00";
    for block in [
        ("META-INF/K.RSA", &longer[..]),
        ("META-INF/K.RSA", empty),
        ("META-INF/K.RSA", b"x"),
        ("META-INF/L.RSA", &BLOCK[..]),
        ("META-INF/K.PGP", &BLOCK[..]),
        ("x/META-INF/K.RSA", &BLOCK[..]),
    ] {
        assert_eq!(of(&left, &with(&ENTRIES, &manifest, &file, block)), different(), "{block:?}");
    }
    // Without a file of a signature, digests are what someone wrote.
    let only = zip_of(&[&[("META-INF/MANIFEST.MF", manifest.as_bytes())], &ENTRIES[..]].concat());
    assert_eq!(of(&left, &only), different());
}

#[test]
fn what_stands_beside_a_signature_in_its_headers_stays() {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let (manifest, file) = signature(&ENTRIES);
    let entries = [("META-INF/MANIFEST.MF", manifest.as_bytes()), ("META-INF/K.SF", file.as_bytes())];
    for (name, data) in entries.into_iter().chain(ENTRIES) {
        writer.start_file(name, options).unwrap();
        writer.write_all(data).unwrap();
    }
    let commented: zip::write::FullFileOptions<'_, '_> = options.into_full_options().with_file_comment("more");
    writer.start_file("META-INF/K.RSA", commented).unwrap();
    writer.write_all(&BLOCK[..]).unwrap();
    assert_eq!(of(&plain(&ENTRIES), &writer.finish().unwrap().into_inner()), different());
}

#[test]
fn entries_are_held_against_digests_to_a_bound() {
    let data = vec![b'a'; 1000];
    let entries = [("a.class", &*data)];
    let (left, right) = (plain(&entries), signed(&entries));
    let needs = |memory| find_within(&left, &right, &Bounds { memory, ..Bounds::default() }).1;
    // Its header and its name beside it: what it takes in the archive.
    let all = 1000 + 30 + 7;
    assert_eq!((needs(all), needs(all - 1)), (Some(vec!["jar-signatures".to_owned()]), None));
}

#[test]
fn signatures_are_read_to_a_bound() {
    let many = |count: usize| {
        let (manifest, file) = signature(&ENTRIES);
        let names: Vec<_> = (0..count).flat_map(|n| ["SF", "RSA"].map(|end| format!("META-INF/K{n}.{end}"))).collect();
        let data = |name: &str| if name.ends_with("SF") { file.as_bytes() } else { &BLOCK[..] };
        let mut entries: Vec<_> = names.iter().map(|name| (name.as_str(), data(name))).collect();
        entries.push(("META-INF/MANIFEST.MF", manifest.as_bytes()));
        zip_of(&[&entries[..], &ENTRIES].concat())
    };
    assert_eq!(of(&plain(&ENTRIES), &many(16)), equal(&["jar-signatures"]));
    assert_eq!(of(&plain(&ENTRIES), &many(17)), different());
}
