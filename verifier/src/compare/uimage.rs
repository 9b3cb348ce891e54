// SPDX-License-Identifier: Apache-2.0
//! Images for U-Boot of the older kind (`include/image.h`, "legacy image"): a header with the time, and what is booted.

use std::io;

use super::archive::{Archive, Data, Keys, Member};
use super::field::Group;
use super::format::Format;
use super::number::fixed;
use super::source::{Source, Span};

pub(super) const MAGIC: &[u8] = b"\x27\x05\x19\x56";

const HEADER: u64 = 64;

/// The header's fields, and the image.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no image.
pub(super) fn read(source: &Source<'_>) -> io::Result<Result<Archive, String>> {
    if source.len() < HEADER {
        return Ok(Err("it is cut".to_owned()));
    }
    let header = source.read(Span { start: 0, len: HEADER })?;
    let number = |at| fixed(&header, at, 4, true).unwrap_or_default();
    let mut without = header.clone();
    without.iter_mut().skip(4).take(4).for_each(|byte| *byte = 0);
    if number(4) != crc(without.as_slice())? {
        return Ok(Err("its header has not the checksum that it says".to_owned()));
    }
    let len = number(12);
    if len > source.len() - HEADER {
        return Ok(Err("it is shorter than its header says".to_owned()));
    }
    let image = Span { start: HEADER, len };
    let checksum = if number(24) == crc(source.reader(image))? { Data::Right } else { Data::Field(Group::Structure) };
    let mut keys = Keys::default();
    let mut at = 0;
    let mut part = |name: &str, len, data_is| {
        let (data, end) = (Span { start: at, len }, at + len);
        at = end;
        let empty = |start| Span { start, len: 0 };
        Member { key: keys.of(name.as_bytes()), head: empty(data.start), data, tail: empty(end), data_is }
    };
    let structure = || Data::Field(Group::Structure);
    let members = vec![
        part("magic number", 4, structure()),
        part("checksum of the header", 4, Data::Right),
        part("time", 4, Data::Field(Group::Times)),
        // It is that of the image by how that is found.
        part("size", 4, Data::Right),
        part("load address", 4, structure()),
        part("entry point", 4, structure()),
        part("checksum of the image", 4, checksum),
        part("system, processor, type and compression", 4, structure()),
        part("name", 32, structure()),
        part("image", len, Data::File),
    ];
    let rest = Span { start: HEADER + len, len: source.len() - HEADER - len };
    Ok(Ok(Archive { format: Format::UImage, members, rest }))
}

fn crc(mut reader: impl io::Read) -> io::Result<u64> {
    let (mut crc, mut buffer) = (flate2::Crc::new(), vec![0; 64 << 10]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(crc.sum().into()),
            read => crc.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Bounds;
    use super::super::archive::tests::{FILE, File, find_within, gzip, tar_of};

    fn crc(bytes: &[u8]) -> [u8; 4] {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_be_bytes()
    }

    fn image(time: u32, name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let len = u32::try_from(data.len()).unwrap();
        let numbers = [0x2705_1956, 0, time, len, 0x8000, 0x8000].map(u32::to_be_bytes).concat();
        let mut header = [&numbers[..], &crc(data), &[5, 2, 2, 1], name, &[0; 28]].concat();
        let sum = crc(&header);
        header[4..8].copy_from_slice(&sum);
        [&header, data].concat()
    }

    fn needs(left: &[u8], right: &[u8]) -> Option<Vec<String>> {
        find_within(left, right, &Bounds::default()).1
    }

    #[test]
    fn the_time_is_told_from_what_is_booted() {
        let base = image(1, b"Boot", b"code");
        assert_eq!(needs(&base, &image(2, b"Boot", b"code")), Some(vec!["uimage-times".to_owned()]));
        for other in [image(1, b"Root", b"code"), image(1, b"Boot", b"cede"), image(2, b"Boot", b"cod")] {
            assert_eq!(needs(&base, &other), None);
        }
        // What is in it is looked into, and its size and checksum follow from it.
        let of = |time| image(1, b"Boot", &gzip(&tar_of(&[File { time, ..FILE }]), 0, 6));
        let names = ["gzip-compression", "tar-times"].map(str::to_owned).to_vec();
        assert_eq!(needs(&of(1), &of(77_777)), Some(names));
        assert_eq!(needs(&base, &[&base[..], &[0]].concat()), None);
    }

    #[test]
    fn what_has_another_checksum_or_is_cut_is_bytes() {
        let (base, later) = (image(1, b"Boot", b"code"), image(2, b"Boot", b"code"));
        let mut wrong = later.clone();
        wrong[4] ^= 1;
        let mut of_image = later.clone();
        of_image[24] ^= 1;
        for no in [&later[..67], &later[..20], &wrong, &of_image] {
            assert_eq!(needs(&base, no), None);
        }
        let summary = find_within(&base, &wrong, &Bounds::default()).0[0].summary.clone();
        assert!(summary.contains("the right one is not an image for U-Boot"), "{summary}");
    }

    proptest! {
        /// [`find_within`] asserts it: whatever the bytes are, no finding if and only if they are equal.
        #[test]
        fn hostile_bytes(index in any::<proptest::sample::Index>(), with in any::<u8>(), cut in any::<bool>()) {
            let left = image(1, b"Boot", b"code");
            let mut right = left.clone();
            let at = index.index(right.len());
            right[at] = with;
            right.truncate(if cut { at } else { right.len() });
            find_within(&left, &right, &Bounds::default());
        }
    }
}
