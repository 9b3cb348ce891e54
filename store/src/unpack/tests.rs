// SPDX-License-Identifier: Apache-2.0
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::io::Write as _;

use super::*;

type Adder<'a> = &'a dyn Fn(&mut tar::Builder<Vec<u8>>);

fn tar_with(add: Adder<'_>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder);
    builder.into_inner().unwrap()
}

fn add(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, link: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o4777);
    header.set_mtime(1_600_000_000);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

fn unpack_with(bytes: &[u8], limits: UnpackLimits) -> Result<Unpacked, UnpackError> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (digest, _) = store.add_bytes(bytes).unwrap();
    store.unpack(&digest.blake3, limits)
}

fn unpack(bytes: &[u8]) -> Result<Unpacked, UnpackError> {
    unpack_with(bytes, UnpackLimits::default())
}

fn sample() -> Vec<u8> {
    tar_with(&|b| {
        add(b, "p-1/", tar::EntryType::Directory, "", b"");
        add(b, "p-1/sub/file", tar::EntryType::Regular, "", b"hello");
        add(b, "p-1/hard", tar::EntryType::Link, "p-1/sub/file", b"");
        add(b, "./p-1/soft", tar::EntryType::Symlink, "../../etc", b"");
    })
}

#[test]
fn every_compression_gives_the_same() {
    let plain = sample();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    let unpacked = unpack(&plain).unwrap();
    assert_eq!(unpack(&gzip).unwrap(), unpacked);
    assert_eq!(unpack(&zstd).unwrap(), unpacked);
    let names: Vec<_> = unpacked.entries.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["hard", "soft", "sub", "sub/file"]);
    let file = &unpacked.entries[&TreePath::new("sub/file").unwrap()];
    assert_eq!(file.modified, Duration::from_secs(1_600_000_000));
    assert!(matches!(file.node, Node::File { mode: 0o755, size: 5, .. }), "set-id and write bits must go: {file:?}");
}

#[test]
fn what_leads_out_is_refused() {
    for name in ["../x", "/etc/x", "p-1/../../x", "p-1//x", ""] {
        let bytes = tar_with(&|b| add(b, name, tar::EntryType::Regular, "", b"x"));
        assert!(matches!(unpack(&bytes), Err(UnpackError::Path(_))), "{name}");
    }
    for (name, other) in [("a/x", "b/x"), ("a/x", "y")] {
        let bytes = tar_with(&|b| {
            add(b, name, tar::EntryType::Regular, "", b"x");
            add(b, other, tar::EntryType::Regular, "", b"x");
        });
        assert!(matches!(unpack(&bytes), Err(UnpackError::Top(_))), "{other}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    for kind in [tar::EntryType::Char, tar::EntryType::Block, tar::EntryType::Fifo] {
        let bytes = tar_with(&|b| add(b, "p/x", kind, "", b""));
        assert!(matches!(unpack(&bytes), Err(UnpackError::Special(_))));
    }
    let dangling = tar_with(&|b| add(b, "p/x", tar::EntryType::Link, "p/none", b""));
    assert!(matches!(unpack(&dangling), Err(UnpackError::HardLink(..))));
    let both = tar_with(&|b| {
        add(b, "p/x", tar::EntryType::Symlink, "/etc", b"");
        add(b, "p/x/passwd", tar::EntryType::Regular, "", b"x");
    });
    assert!(matches!(unpack(&both), Err(UnpackError::Both(_))));
}

/// A sparse file that is a hole of `size` bytes.
fn sparse(size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..8].copy_from_slice(b"p-1/hole");
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(0);
    let gnu = header.as_gnu_mut().unwrap();
    for field in [&mut gnu.realsize, &mut gnu.sparse[0].offset] {
        field[4..].copy_from_slice(&size.to_be_bytes());
        field[0] = 0x80;
    }
    gnu.sparse[0].numbytes = *b"00000000000\0";
    header.set_cksum();
    tar_with(&|b| b.append(&header, io::empty()).unwrap())
}

#[test]
fn holes_count_as_bytes() {
    let limits = UnpackLimits { entries: 1, bytes: 1 << 20 };
    assert!(unpack_with(&sparse(1 << 20), limits).is_ok());
    for size in [(1 << 20) + 1, 1 << 60] {
        let error = unpack_with(&sparse(size), limits);
        assert!(matches!(error, Err(UnpackError::Limit { what: "bytes once expanded", .. })), "{error:?}");
    }
}

#[test]
fn headers_are_bounded_on_both_sides() {
    // The member's own header, and that of the entry that it is for.
    let fits = usize::try_from(MAX_HEADERS).unwrap() - 2 * 512;
    let pax = |bytes: usize| {
        let mut record = format!("{bytes} comment=").into_bytes();
        record.resize(bytes - 1, b'c');
        record.push(b'\n');
        record
    };
    let with = |kind, content: &[u8]| {
        let bytes = tar_with(&|b| {
            add(b, "extension", kind, "", content);
            add(b, "p-1/file", tar::EntryType::Regular, "", b"");
        });
        unpack(&bytes)
    };
    let is_limit = |error| matches!(error, Err(UnpackError::Limit { what: "bytes of headers of one entry", .. }));
    let name = vec![b'n'; fits + 1];
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink] {
        assert!(!is_limit(with(kind, &name[..fits])), "{kind:?}");
        assert!(is_limit(with(kind, &name)), "{kind:?}");
    }
    assert_eq!(with(tar::EntryType::XHeader, &pax(fits)).unwrap().entries.len(), 1);
    assert!(is_limit(with(tar::EntryType::XHeader, &pax(fits + 1))));
    // It describes all entries, says nothing that is of use here, and is not held.
    assert!(with(tar::EntryType::XGlobalHeader, &pax(2 << 20)).is_ok());
}

#[test]
fn extensions_that_only_look_so_are_not_held() {
    let mut header = tar::Header::new_old();
    header.as_old_mut().name[..3].copy_from_slice(b"p/x");
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(9);
    header.set_mtime(0);
    header.set_mode(0o644);
    header.set_cksum();
    let bytes = tar_with(&|b| b.append(&header, b"no record".as_slice()).unwrap());
    // Not that its content is no list of extensions: that is not looked at.
    assert!(matches!(unpack(&bytes), Err(UnpackError::Special(_))));
}

#[test]
fn content_is_no_header_even_where_it_is_not_used() {
    let large = vec![0; 2 << 20];
    let bytes = tar_with(&|b| {
        add(b, "p-1/", tar::EntryType::Directory, "", &large);
        add(b, "p-1/large", tar::EntryType::Regular, "", &large);
        add(b, "p-1/link", tar::EntryType::Link, "p-1/large", &large);
        add(b, "p-1/file", tar::EntryType::Regular, "", b"");
    });
    assert_eq!(unpack(&bytes).unwrap().entries.len(), 3);
}

#[test]
fn implied_directories_count_as_entries() {
    let bytes = tar_with(&|b| add(b, "p-1/a/b/c/file", tar::EntryType::Regular, "", b""));
    let with = |entries| unpack_with(&bytes, UnpackLimits { entries, bytes: 1 << 20 });
    assert_eq!(with(4).unwrap().entries.len(), 4);
    assert!(matches!(with(3), Err(UnpackError::Limit { what: "entries", .. })));
}

#[test]
fn the_bounds_hold_on_both_sides() {
    let bytes = sample();
    let exact = UnpackLimits { entries: 4, bytes: bytes.len() as u64 };
    assert!(unpack_with(&bytes, exact).is_ok());
    let few = unpack_with(&bytes, UnpackLimits { entries: 3, ..exact });
    assert!(matches!(few, Err(UnpackError::Limit { what: "entries", .. })));
    let short = unpack_with(&bytes, UnpackLimits { bytes: 2048, ..exact });
    assert!(matches!(short, Err(UnpackError::Limit { what: "bytes once expanded", .. })), "{short:?}");
}

#[test]
fn a_time_with_a_fraction_is_kept() {
    let bytes = tar_with(&|b| {
        b.append_pax_extensions([("mtime", b"1789654200.9561234569".as_slice())]).unwrap();
        add(b, "p/x", tar::EntryType::Regular, "", b"x");
    });
    let unpacked = unpack(&bytes).unwrap();
    let entry = &unpacked.entries[&TreePath::new("x").unwrap()];
    assert_eq!(entry.modified, Duration::new(1_789_654_200, 956_123_456));
    for bad in ["", "-1", "1e3", "1.2.3", "99999999999999999999"] {
        let bytes = tar_with(&|b| {
            b.append_pax_extensions([("mtime", bad.as_bytes())]).unwrap();
            add(b, "p/x", tar::EntryType::Regular, "", b"x");
        });
        assert!(unpack(&bytes).is_err(), "{bad}");
    }
}

#[test]
fn a_torn_archive_is_refused() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&sample()).unwrap();
    let gzip = gzip.finish().unwrap();
    for end in [1, gzip.len() / 2, gzip.len() - 1] {
        assert!(unpack(&gzip[..end]).is_err(), "{end}");
    }
    assert!(unpack(b"not a tar archive at all, but long enough to be looked at").is_err());
}
