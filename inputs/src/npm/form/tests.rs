// SPDX-License-Identifier: Apache-2.0

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use super::*;
use crate::npm::packer::{candidates, lost_modes};

/// One header, with some of its fields: name, mode, user and group, time, type, size.
#[derive(Clone)]
struct Entry {
    name: &'static str,
    mode: &'static [u8],
    owner: [u8; 16],
    time: [u8; 12],
    kind: u8,
    size: usize,
}

const NPM: Entry = Entry {
    name: "package/package.json",
    mode: b"000644 \0",
    owner: [0; 16],
    time: *b"3560116604 \0",
    kind: b'0',
    size: 3,
};

const OWNER: [u8; 16] = *b"000765 \x00000024 \0";
const ROOT: [u8; 16] = *b"000000 \x00000000 \0";

fn block(entry: &Entry) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, entry.name.as_bytes());
    put(100, entry.mode);
    put(108, &entry.owner);
    put(124, format!("{:010o} ", entry.size).as_bytes());
    put(136, &entry.time);
    put(156, &[entry.kind]);
    put(257, b"ustar\x0000");
    block.extend(vec![b'x'; entry.size]);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = entries.iter().flat_map(block).collect::<Vec<u8>>();
    tar.extend([0; 1024]);
    tar
}

fn gzip(tar: &[u8], effort: u8, system: u8) -> Vec<u8> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
    gzip.write_all(tar).unwrap();
    let mut bytes = gzip.finish().unwrap();
    (bytes[8], bytes[9]) = (effort, system);
    bytes
}

fn read(entries: &[Entry]) -> Result<Form, FormError> {
    Form::read(gzip(&tar(entries), 2, 255).as_slice())
}

#[test]
fn each_form_has_its_tools() {
    let tools = |effort, system, entry: Entry| {
        let form = Form::read(gzip(&tar(&[entry]), effort, system).as_slice()).unwrap();
        candidates(&form).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    let own = Entry { time: *b"13262536525\0", ..NPM };
    for (effort, system, entry, first) in [
        (2, 255, NPM, "npm 11.6.2 on node 22.11.0, npm 11.6.2 on node 20.5.1, npm 11.6.2 on node 20.9.0"),
        (0, 19, NPM, "npm 6.14.18 on node 14.21.3, npm 6.14.18 on node 10.24.1"),
        (0, 19, own.clone(), "npm 5.6.0 on node 8.17.0"),
        (0, 3, Entry { owner: OWNER, ..own }, "npm 4.6.1 on node 6.17.1"),
        (0, 3, Entry { time: *b"03560116604 ", owner: ROOT, ..NPM }, "pnpm 9.15.9 on node 22.11.0"),
        (0, 3, Entry { time: *b"03316406010 ", ..NPM }, "yarn 4.9.4 on node 22.11.0"),
    ] {
        let tools = tools(effort, system, entry).unwrap();
        assert!(tools.starts_with(first), "{tools}");
    }
    for (effort, system, entry) in
        [(2, 3, NPM), (2, 255, Entry { time: *b"03560116604 ", ..NPM }), (0, 3, Entry { owner: OWNER, ..NPM })]
    {
        assert!(matches!(tools(effort, system, entry), Err(FormError::Unknown(_))), "{effort} {system}");
    }
}

#[test]
fn what_no_known_tool_makes_is_refused() {
    use FormError as E;
    let why = |entry: Entry| read(&[NPM, entry]).unwrap_err();
    let top = why(Entry { name: "node/index.d.ts", ..NPM });
    assert_eq!(
        top.to_string(),
        "it has \"node\" at its top, where npm, pnpm and Yarn have package/; none of them packed it"
    );
    assert!(matches!(why(Entry { name: "package/lib/", kind: b'5', ..NPM }), E::Directory(_)));
    assert!(matches!(why(Entry { kind: b'2', ..NPM }), E::Kind(_, '2')));
    assert!(matches!(why(Entry { name: "package/.npmrc", ..NPM }), E::Settings));
    assert!(read(&[NPM, Entry { name: "package/lib/.npmrc", ..NPM }]).is_ok());
    assert!(matches!(why(Entry { owner: [0x80; 16], ..NPM }), E::Base256));
    let mut named = tar(&[NPM]);
    named[265] = b'r';
    let form = |tar: &[u8]| Form::read(gzip(tar, 2, 255).as_slice());
    assert!(matches!(form(&named), Err(E::Named)));
    let mut other = tar(&[NPM]);
    other[257] = b'g';
    assert!(matches!(form(&other), Err(E::NoHeader(1))));
    assert!(form(&tar(&[NPM])).is_ok());
    for end in [&tar(&[NPM])[..1536], &[tar(&[NPM]), vec![0; 512]].concat(), &[tar(&[NPM]), vec![1]].concat()] {
        assert!(matches!(form(end), Err(E::End | E::Read(_))), "{}", end.len());
    }
}

#[test]
fn a_gzip_header_is_read_strictly() {
    use FormError as E;
    let good = gzip(&tar(&[NPM]), 2, 255);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Form::read(bytes.as_slice())
    };
    assert!(matches!(with(0, 0), Err(E::NoGzip)));
    assert!(matches!(with(3, 8), Err(E::GzipHeader(_))));
    assert!(matches!(with(4, 1), Err(E::GzipHeader(_))));
    assert!(matches!(with(8, 4), Err(E::Unknown(_))));
    // Its check sum, and what is cut off.
    assert!(matches!(with(good.len() - 8, good[good.len() - 8] ^ 1), Err(E::Read(_))));
    assert!(matches!(Form::read(&good[..good.len() - 9]), Err(E::Read(_))));
    assert!(matches!(Form::read(&good[..9]), Err(E::NoGzip)));
}

/// A name that is too long for a header is in an extended one, and the other has a part of it.
#[test]
fn a_long_name_is_not_taken_for_another_top() {
    let extended = Entry { name: "PaxHeader/x.js", kind: b'x', ..NPM };
    let cut = Entry { name: "long/name.js", ..NPM };
    assert!(read(&[extended.clone(), cut.clone()]).is_ok());
    assert!(matches!(read(&[extended, NPM, cut]), Err(FormError::Top(_))));
}

#[test]
fn permission_bits_are_given_back_where_they_can_be_told() {
    let lost = |modes: [&'static [u8]; 2]| {
        let form = read(&modes.map(|mode| Entry { mode, ..NPM })).unwrap();
        lost_modes(&form).map(|lost| lost.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(lost([b"000644 \0", b"000755 \0"]).unwrap(), []);
    assert_eq!(lost([b"000664 \0", b"000755 \0"]).unwrap(), [(0o644, 0o664)]);
    assert_eq!(lost([b"000666 \0", b"000777 \0"]).unwrap(), [(0o644, 0o666), (0o755, 0o777)]);
    assert!(matches!(lost([b"000644 \0", b"000664 \0"]), Err(FormError::Unknown(_))));
}

#[test]
fn the_bounds_hold_on_both_sides() {
    let many = |count: usize| {
        let entry = block(&Entry { size: 0, ..NPM });
        entries(io::repeat(0).take(0).chain(Many { entry, left: count }).chain([0; 1024].as_slice()))
    };
    assert!(many(MAX_ENTRIES - 1).is_ok());
    assert!(matches!(many(MAX_ENTRIES), Err(FormError::TooMany)));
    let read = |bytes: u64| {
        let mut bounded = Bounded { inner: io::repeat(0).take(bytes), left: 1 << 20 };
        io::copy(&mut bounded, &mut io::sink()).map_err(too_long)
    };
    assert_eq!(read(1 << 20).unwrap(), 1 << 20);
    assert!(matches!(read((1 << 20) + 1), Err(FormError::TooLong)));
}

/// The same header many times.
struct Many {
    entry: Vec<u8>,
    left: usize,
}

impl Read for Many {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        self.left -= 1;
        let (to, _) = buffer.split_at_mut(self.entry.len());
        to.copy_from_slice(&self.entry);
        Ok(to.len())
    }
}
