// SPDX-License-Identifier: Apache-2.0
//! What two tar archives must not be called equal in spite of.

use super::super::Bounds;
use super::super::archive::tests::find_within;

/// A header with these fields, and the right checksum.
fn header(name: &str, kind: u8, size: usize, time: u64, link: &str) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, value: &[u8]| block[at..at + value.len()].copy_from_slice(value);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{time:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn member(name: &str, kind: u8, time: u64, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, data.len(), time, "");
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

/// What would make the two equal.
fn needs(left: &[u8], right: &[u8]) -> Option<Vec<String>> {
    find_within(left, right, &Bounds::default()).1
}

fn named(name: &str) -> Option<Vec<String>> {
    Some(vec![name.to_owned()])
}

#[test]
fn a_size_that_an_extended_header_replaces_is_not_lost() {
    let of = |size, time| {
        let data = vec![b'x'; 512];
        archive(&[member("pax", b'x', 0, b"12 size=512\n"), [header("a", b'0', size, time, ""), data].concat()])
    };
    assert_eq!(needs(&of(512, 1), &of(512, 2)), named("tar-times"));
    assert_eq!(needs(&of(512, 1), &of(0, 2)), None);
    assert_eq!(needs(&of(0, 1), &of(0, 2)), named("tar-times"));
}

#[test]
fn keys_are_not_compared_by_what_is_shown_of_them() {
    let of = |end: &str, time| {
        let record = format!("1110 {}{end}=v\n", "k".repeat(1101));
        assert_eq!(record.len(), 1110);
        archive(&[member("pax", b'x', 0, record.as_bytes()), member("a", b'0', time, b"data")])
    };
    assert_eq!(needs(&of("a", 1), &of("a", 2)), named("tar-times"));
    assert_eq!(needs(&of("a", 1), &of("b", 2)), None);
}

#[test]
fn what_extends_a_header_may_say_any_length() {
    let mut cut = header("pax", b'x', 0, 0, "");
    cut[124..136].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    cut[148..156].fill(b' ');
    let sum: u32 = cut.iter().map(|byte| u32::from(*byte)).sum();
    cut[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let (findings, _) = find_within(&archive(&[cut]), &archive(&[member("a", b'0', 1, b"")]), &Bounds::default());
    assert!(findings[0].summary.contains("the left one is not a tar archive"), "{}", findings[0].summary);
}

#[test]
fn order_that_decides_is_never_left_out() {
    let reordered = |a: Vec<u8>, b: Vec<u8>| needs(&archive(&[a.clone(), b.clone()]), &archive(&[b, a]));
    let file = |name, data| member(name, b'0', 1, data);
    assert_eq!(reordered(file("a", b"1"), file("b", b"2")), named("tar-order"));
    assert_eq!(reordered(file("a", b"1"), header("b", b'2', 0, 1, "a")), named("tar-order"));
    assert_eq!(reordered(member("a/", b'5', 1, b""), file("a/b", b"2")), named("tar-order"));
    assert_eq!(reordered(file("a", b"1"), file("./a", b"2")), None);
    assert_eq!(reordered(header("a", b'2', 0, 1, "/etc"), file("a/b", b"2")), None);
    assert_eq!(reordered(file("a", b"1"), header("b", b'1', 0, 1, "a")), None);
    assert_eq!(reordered(file("a", b"1"), member("pax", b'g', 1, b"15 path=global\n")), None);
}
