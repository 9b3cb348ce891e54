// SPDX-License-Identifier: Apache-2.0
//! Code as compilers write it, and as nobody does.

use proptest::prelude::*;
use reprove_model::{Between, FindingKind};

use super::super::{Bounds, Options};
use super::*;

fn code(machine: Machine, symbols: &[(u64, u64, &str)]) -> Code {
    let of = |(start, len, name): &(u64, u64, &str)| Symbol { start: *start, len: Some(*len), name: (*name).into() };
    Code { machine, address: 0x1000, symbols: symbols.iter().map(of).collect() }
}

type Part<'a> = (&'a [u8], &'a [(u64, u64, &'a str)]);

/// The summary and what is listed; whichever side is the left one, it is the same.
fn within(machine: Machine, left: Part<'_>, right: Part<'_>, bounds: &Bounds) -> (String, Vec<[String; 3]>, u64) {
    let find = |(left, a): Part<'_>, (right, b): Part<'_>| {
        let mut state = State::new(&Options::of(Between::Given), bounds);
        let (a, b) = (code(machine, a), code(machine, b));
        // The bytes that differ come first.
        state.findings.add("a".to_owned(), FindingKind::Content, "bytes".to_owned(), Vec::new(), 1);
        let sides = ((&Source::Memory(left), &a), (&Source::Memory(right), &b));
        compare(sides.0, sides.1, (".text", "a"), &mut state).unwrap();
        let last = state.findings.finish().pop().unwrap();
        let shown = last.details.into_iter().map(|detail| [detail.at, detail.left, detail.right]).collect();
        (last.summary, shown, last.count)
    };
    let (found, mut back): (_, (String, Vec<[String; 3]>, u64)) = (find(left, right), find(right, left));
    back.1.iter_mut().for_each(|[_, left, right]| std::mem::swap(left, right));
    assert_eq!((&found.0, found.2), (&back.0, back.2));
    let texts = |shown: &[[String; 3]]| shown.iter().map(|[_, a, b]| [a.clone(), b.clone()]).collect::<Vec<_>>();
    assert_eq!(texts(&found.1), texts(&back.1));
    found
}

fn found(machine: Machine, left: Part<'_>, right: Part<'_>) -> (String, Vec<[String; 3]>) {
    let (summary, shown, _) = within(machine, left, right, &Bounds::default());
    (summary, shown)
}

/// What Debian's `hello` of 2022 and of 2026 differ in.
const YEAR: [&[u8]; 2] = [b"\xbe\xe6\x07\0\0", b"\xbe\xea\x07\0\0"];

#[test]
fn an_instruction_is_told_in_its_function() {
    let of = |year: &[u8]| [b"\x90", year, b"\xc3"].concat();
    let symbols: &[_] = &[(0, 7, "main")];
    let [left, right] = YEAR.map(of);
    let (summary, shown) = found(Machine::X86_64, (&left, symbols), (&right, symbols));
    assert_eq!(summary, "as x86-64 instructions, 1 differs");
    assert_eq!(shown, [["main+0x1 (0x1001)", "mov $0x7e6,%esi", "mov $0x7ea,%esi"]]);
    // Without names, and in the place of none.
    let (_, shown) = found(Machine::X86, (&left, &[]), (&right, &[]));
    assert_eq!(shown, [[".text+0x1 (0x1001)", "mov $0x7e6,%esi", "mov $0x7ea,%esi"]]);
    let (_, shown) = found(Machine::X86_64, (&left, &[(0, 1, "start")]), (&right, &[(0, 1, "start")]));
    assert_eq!(shown[0][0], ".text+0x1 (0x1001)");
}

#[test]
fn what_moved_is_not_told_as_another_instruction() {
    // main calls add, which is behind it; on the right main has one instruction more.
    let main = |by: u8, more: &[u8]| [more, b"\xe8", &[by], b"\0\0\0\xc3"].concat();
    let add = b"\x8d\x04\x37\xc3";
    let left = [main(1, b""), add.to_vec()].concat();
    let right = [main(1, b"\x31\xc0"), add.to_vec()].concat();
    let symbols = |at: u64| [(0, at, "main"), (at, 4, "add")];
    let (summary, shown) = found(Machine::X86_64, (&left, &symbols(6)), (&right, &symbols(8)));
    assert_eq!(summary, "as x86-64 instructions, 1 differs");
    assert_eq!(shown, [["main+0x0 (0x1000), on the right alone", "", "xor %eax,%eax"]]);
    // A call from another place to the same one.
    let right = [main(3, b""), b"\x90\x90".to_vec(), add.to_vec()].concat();
    let (summary, shown) = found(Machine::X86_64, (&left, &symbols(6)), (&right, &[(0, 6, "main"), (8, 4, "add")]));
    let said =
        "; as x86-64 instructions, none that was looked at differs; 1 other leads to the same from another place";
    assert_eq!((summary, shown.len()), (format!("bytes{said}"), 0));
    // A call of another one.
    let names = [(0, 6, "main"), (6, 2, "one"), (8, 4, "two")];
    let left = [main(1, b""), b"\x90\xc3".to_vec(), add.to_vec()].concat();
    let right = [main(3, b""), b"\x90\xc3".to_vec(), add.to_vec()].concat();
    let (_, shown) = found(Machine::X86_64, (&left, &names), (&right, &names));
    assert_eq!(shown, [["main+0x0 (0x1000)", "call one", "call two"]]);
}

#[test]
fn data_is_told_by_its_address_and_two_ways_to_write_one_instruction_by_their_bytes() {
    let (left, right) = (b"\x48\x8d\x3d\xac\x0e\0\0\x89\xc3", b"\x48\x8d\x3d\xad\x0e\0\0\x8b\xd8");
    let (_, shown) = found(Machine::X86_64, (left, &[]), (right, &[]));
    let data = ["lea 0xeac(%rip),%rdi # 0x1eb3", "lea 0xead(%rip),%rdi # 0x1eb4"];
    assert_eq!(shown[0][1..], data);
    assert_eq!(shown[1], [".text+0x7 (0x1007)", "mov %eax,%ebx (89 c3)", "mov %eax,%ebx (8b d8)"]);
    let (_, shown) = found(Machine::X86_64, (b"\x06\xc3", &[]), (b"\x07\xc3", &[]));
    assert_eq!(shown, [[".text+0x0 (0x1000)", "(bad) (06)", "(bad) (07)"]]);
}

#[test]
fn arm_is_told_as_its_maker_writes_it() {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let names: &[_] = &[(0, 16, "main"), (16, 4, "add"), (20, 4, "sub")];
    let left = words(&[0x5280_fcc1, 0x9400_0003, 0xb000_0000, 0x5400_0041, 0xd65f_03c0, 0xd65f_03c0]);
    let right = words(&[0x5280_fd41, 0x9400_0004, 0xd000_0000, 0x5400_0021, 0xd65f_03c0, 0xd65f_03c0]);
    let (summary, shown) = found(Machine::Arm64, (&left, names), (&right, names));
    assert_eq!(summary, "as AArch64 instructions, 4 differ");
    let expected = [
        ["main+0x0 (0x1000)", "mov w1, #0x7e6", "mov w1, #0x7ea"],
        ["main+0x4 (0x1004)", "bl add", "bl sub"],
        ["main+0x8 (0x1008)", "adrp x0, 0x2000", "adrp x0, 0x3000"],
        ["main+0xc (0x100c)", "b.ne sub", "b.ne add"],
    ];
    assert_eq!(shown, expected);
    let (_, shown) = found(Machine::Arm64, (&left[..22], &[]), (&left, &[]));
    assert_eq!(shown, [[".text+0x14 (0x1014)", "(bad)", "ret"]]);
}

#[test]
fn functions_are_found_wherever_they_stand() {
    let (one, two) = (b"\x31\xc0\xc3".as_slice(), b"\x31\xdb\xc3".as_slice());
    let left = [one, two].concat();
    let right = [two, one].concat();
    let (summary, shown) =
        found(Machine::X86_64, (&left, &[(0, 3, "one"), (3, 3, "two")]), (&right, &[(0, 3, "two"), (3, 3, "one")]));
    assert_eq!((summary.as_str(), shown.len()), ("bytes; as x86-64 instructions, none that was looked at differs", 0));
    let (summary, shown) =
        found(Machine::X86_64, (&left, &[(0, 3, "one"), (3, 3, "two")]), (&right, &[(0, 3, "new"), (3, 3, "one")]));
    let alone = "bytes; as x86-64 instructions, none that was looked at differs; 2 functions are on one side alone";
    assert_eq!((summary.as_str(), shown.len()), (alone, 0));
    // No name is on both sides.
    let (summary, shown) = found(Machine::X86_64, (one, &[(0, 3, "one")]), (two, &[]));
    assert_eq!(summary, "as x86-64 instructions, 1 differs; 1 function is on one side alone");
    assert_eq!(shown, [[".text+0x0 (0x1000)", "xor %eax,%eax", "xor %ebx,%ebx"]]);
}

#[test]
fn functions_of_one_name_are_told_apart() {
    // `call` of the first or the second `helper`, which stand behind it.
    let of = |by: u8| [&[0xe8, by, 0, 0, 0, 0xc3][..], b"\x31\xc0\xc3\x31\xdb\xc3"].concat();
    let symbols = [(0, 6, "main"), (6, 3, "helper"), (9, 3, "helper")];
    let (summary, shown) = found(Machine::X86_64, (&of(1), &symbols), (&of(4), &symbols));
    assert_eq!(summary, "as x86-64 instructions, 1 differs");
    assert_eq!(shown, [["main+0x0 (0x1000)", "call helper", "call helper#2"]]);
    // The second from another place is the same, but not what has such a name of its own.
    let far = [b"\xe8\x05\0\0\0\xc3", &b"\x31\xc0\xc3\x90\x31\xdb\xc3"[..]].concat();
    let (second, own) = ((10, 3, "helper"), (10, 3, "helper#2"));
    let to = |symbol| found(Machine::X86_64, (&of(4), &symbols), (&far, &[symbols[0], symbols[1], symbol]));
    let (summary, _) = to(second);
    assert!(summary.ends_with("1 other leads to the same from another place"), "{summary}");
    let (summary, shown) = to(own);
    assert!(summary.starts_with("as x86-64 instructions, 1 differs"), "{summary}");
    assert_eq!(shown[0][1..].iter().map(|text| text.split(' ').nth(1)).collect::<Vec<_>>(), [Some("helper#2"); 2]);
}

/// Instructions of 5 bytes, each with its number.
fn numbered(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.flat_map(|number| [&[0xb8][..], &number.to_le_bytes()].concat()).collect()
}

#[test]
fn windows_follow_each_other_where_the_sides_meet_again() {
    // Far more than a window, with one more instruction at the start, one at the end, and one less between.
    let all = numbered(0..20_000);
    let other = [b"\x90", &all[..50_000], &all[50_005..], b"\xc3"].concat();
    let (summary, shown) = found(Machine::X86_64, (&all, &[]), (&other, &[]));
    assert_eq!(summary, "as x86-64 instructions, 3 differ");
    let expected = [
        [".text+0x0 (0x1000), on the right alone", "", "nop"],
        [".text+0xc350 (0xd350), on the left alone", "mov $0x2710,%eax", ""],
        [".text+0x1869c (0x1969c), on the right alone", "", "ret"],
    ];
    assert_eq!(shown, expected);
}

#[test]
fn windows_are_looked_at_to_a_bound() {
    // Differences with more than a window between them.
    let mut right = numbered(0..9_000);
    let left = right.clone();
    for at in [4, 20_004, 40_004] {
        right[at] ^= 1;
    }
    let of = |windows| within(Machine::X86_64, (&left, &[]), (&right, &[]), &Bounds { windows, ..Bounds::default() });
    assert_eq!((of(3).0.as_str(), of(3).2), ("as x86-64 instructions, 3 differ", 3));
    let cut = "as x86-64 instructions, 2 differ; 1 part was not looked at to its end";
    assert_eq!((of(2).0.as_str(), of(2).2), (cut, 2));
    assert!(of(0).0.starts_with("bytes; as x86-64 instructions, none that was looked at differs; 1 part"));
}

#[test]
fn instructions_are_listed_and_windows_are_long_to_a_bound() {
    for (number, listed) in [(100, 100), (101, 100)] {
        let (left, right) = (numbered(0..number), numbered(1_000..1_000 + number));
        let (_, shown, count) = within(Machine::X86_64, (&left, &[]), (&right, &[]), &Bounds::default());
        assert_eq!((shown.len(), count), (listed, u64::from(number)));
    }
    // What shares nothing is looked at for one window.
    for (number, summary) in [(1_000, "1000 differ"), (1_001, "1000 differ; 1 part was not looked at to its end")] {
        let (left, right) = (numbered(0..number), numbered(5_000..5_000 + number));
        let (said, _) = found(Machine::X86_64, (&left, &[]), (&right, &[]));
        assert_eq!(said, format!("as x86-64 instructions, {summary}"));
    }
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let names: &[_] = &[(0, 6, "\x1b[2J"), (6, 1, "\u{202e}x")];
    let (_, shown) = found(Machine::X86_64, (b"\xe8\x01\0\0\0\xc3\xc3", names), (b"\xe8\x02\0\0\0\xc3\xc3", names));
    assert_eq!(shown[0][..2], ["\\x1b[2J+0x0 (0x1000)", "call \\u{202e}x"]);
}

proptest! {
    /// Whatever the bytes and the names: what is said does not depend on which is the left one ([`within`] asserts it).
    #[test]
    fn bytes_of_any_kind(
        machine in prop_oneof![Just(Machine::X86), Just(Machine::X86_64), Just(Machine::Arm64)],
        left in proptest::collection::vec(any::<u8>(), 0..64),
        right in proptest::collection::vec(any::<u8>(), 0..64),
        starts in proptest::collection::btree_set(0..70_u64, 0..5),
        len in 0..80_u64,
    ) {
        let symbols: Vec<_> = starts.into_iter().map(|start| (start, len, if start % 2 == 0 { "a" } else { "b" })).collect();
        found(machine, (&left, &symbols), (&right, &symbols));
        found(machine, (&left, &symbols), (&right, &[]));
        let near = [&left[..left.len() / 2], &right, &left[left.len() / 2..]].concat();
        found(machine, (&left, &[]), (&near, &symbols));
    }
}
