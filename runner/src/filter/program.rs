// SPDX-License-Identifier: Apache-2.0
//! Filters of system calls as programs for the kernel's `seccomp(2)`: a search by number, and at its end what is done.
//!
//! Where every call costs a comparison, four hundred of them would cost two hundred on the way to the middle one. The search
//! halves instead, and calls next to each other that are treated alike are one case, so that the way is nine steps at most.
//! What depends on nothing but the number, the kernel itself answers from a bitmap after that.

use libc::sock_filter;

/// What the kernel does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Runs it.
    Allow,
    /// Gives this error number, without running it.
    Errno(u16),
    /// Ends the process.
    Kill,
    /// Asks whoever holds the filter's listener.
    Ask,
}

/// What is done with one call, by one of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Whatever the arguments are.
    Always(Action),
    /// The first action where the low 32 bits of the argument have one of these bits, else the second.
    AnyBit(Argument, u32, Action, Action),
    /// The first action where the low 32 bits of the argument are one of these, else the second.
    OneOf(Argument, &'static [u32], Action, Action),
    /// The first action where the low 32 bits of the first argument are the first number and those of the third argument are
    /// not the second number; else as [`Rule::OneOf`] of the first argument.
    Socket {
        /// Families that are allowed.
        families: &'static [u32],
        /// Of this family, one protocol alone.
        only: (u32, u32),
        /// What is done with all others.
        otherwise: Action,
    },
}

/// Which argument, counted from 0.
pub(crate) type Argument = u8;

/// The program that does what `rules` say, sorted by number and each number once, and `otherwise` with every other call; and
/// `foreign` with every call of another table than this program's own.
pub(crate) fn program(rules: &[(u32, Rule)], otherwise: Action, foreign: Action) -> Vec<sock_filter> {
    let mut code = vec![load(ARCHITECTURE), jump(EQUAL, AUDIT_ARCH, 1, 0), ret(foreign), load(NUMBER)];
    // The numbers of the third table, x32, which has the architecture of the first.
    code.extend([jump(AT_LEAST, X32, 0, 1), ret(foreign)]);
    code.extend(search(&ranges(rules, otherwise)));
    code
}

/// From this number on, up to that of the next, calls are treated alike.
type Range = (u32, Rule);

fn ranges(rules: &[(u32, Rule)], otherwise: Action) -> Vec<Range> {
    let otherwise = Rule::Always(otherwise);
    let mut ranges: Vec<Range> = vec![(0, otherwise)];
    let mut add = |number, rule| match ranges.last_mut() {
        Some((_, last)) if *last == rule => {}
        Some((from, last)) if *from == number => *last = rule,
        _ => ranges.push((number, rule)),
    };
    for &(number, rule) in rules {
        add(number, rule);
        add(number + 1, otherwise);
    }
    // Replacing one may have made neighbours alike.
    ranges.dedup_by(|next, before| next.1 == before.1);
    ranges
}

fn search(ranges: &[Range]) -> Vec<sock_filter> {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let Some((middle, _)) = high.first().filter(|_| !low.is_empty()) else {
        return ranges.first().map_or_else(Vec::new, |(_, rule)| decide(*rule));
    };
    let (low, high) = (search(low), search(high));
    let mut code = Vec::with_capacity(low.len() + high.len() + 2);
    match u8::try_from(low.len()) {
        Ok(far) => code.push(jump(AT_LEAST, *middle, far, 0)),
        // A conditional jump goes 255 instructions far, an unconditional one any distance.
        Err(_) => code.extend([jump(AT_LEAST, *middle, 0, 1), always(low.len())]),
    }
    code.extend(low);
    code.extend(high);
    code
}

fn decide(rule: Rule) -> Vec<sock_filter> {
    match rule {
        Rule::Always(action) => vec![ret(action)],
        Rule::AnyBit(argument, bits, yes, no) => {
            vec![load(low_word(argument)), jump(ANY_BIT, bits, 0, 1), ret(yes), ret(no)]
        }
        Rule::OneOf(argument, values, yes, no) => one_of(argument, values, yes, no),
        Rule::Socket { families, only: (family, protocol), otherwise } => {
            let mut code = vec![load(low_word(0)), jump(EQUAL, family, 0, 3), load(low_word(2))];
            code.extend([jump(EQUAL, protocol, 1, 0), ret(otherwise)]);
            code.extend(one_of(0, families, Action::Allow, otherwise));
            code
        }
    }
}

fn one_of(argument: Argument, values: &[u32], yes: Action, no: Action) -> Vec<sock_filter> {
    let mut code = vec![load(low_word(argument))];
    for value in values {
        code.extend([jump(EQUAL, *value, 0, 1), ret(yes)]);
    }
    code.push(ret(no));
    code
}

/// Where the fields of `struct seccomp_data` are, in bytes.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// The low half of an argument; on the machines that this is for, it comes first.
fn low_word(argument: Argument) -> u32 {
    16 + 8 * u32::from(argument)
}

/// The architecture by whose table this program's own calls are read.
pub(crate) const AUDIT_ARCH: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

/// `__X32_SYSCALL_BIT`: from here on numbers are of another table; other architectures have none as large.
pub(crate) const X32: u32 = 0x4000_0000;

const EQUAL: u32 = libc::BPF_JEQ;
const AT_LEAST: u32 = libc::BPF_JGE;
const ANY_BIT: u32 = libc::BPF_JSET;

fn load(at: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at)
}

fn jump(test: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | test | libc::BPF_K, yes, no, k)
}

fn always(far: usize) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, u32::try_from(far).unwrap_or(u32::MAX))
}

fn ret(action: Action) -> sock_filter {
    let k = match action {
        Action::Allow => libc::SECCOMP_RET_ALLOW,
        Action::Errno(number) => libc::SECCOMP_RET_ERRNO | u32::from(number),
        Action::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        Action::Ask => libc::SECCOMP_RET_USER_NOTIF,
    };
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, k)
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a program makes of a call, and in how many steps: the part of classic BPF that programs here are made of.
    pub(crate) fn run(code: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> (u32, usize) {
        let (mut at, mut accumulator, mut steps) = (0, 0, 0);
        loop {
            steps += 1;
            let sock_filter { code: operation, jt, jf, k } = code[at];
            at += 1;
            let far = |yes: bool| usize::from(if yes { jt } else { jf });
            match u32::from(operation) {
                0x20 => {
                    accumulator = match k {
                        0 => number,
                        4 => architecture,
                        _ => {
                            let halves = arguments.map(|argument| [argument & 0xffff_ffff, argument >> 32]);
                            u32::try_from(halves.as_flattened()[(k as usize - 16) / 4]).unwrap()
                        }
                    }
                }
                0x05 => at += k as usize,
                0x15 => at += far(accumulator == k),
                0x35 => at += far(accumulator >= k),
                0x45 => at += far(accumulator & k != 0),
                0x06 => return (k, steps),
                other => panic!("{other:#x}"),
            }
        }
    }

    fn action(rules: &[(u32, Rule)], number: u32, arguments: [u64; 6]) -> u32 {
        run(&program(rules, Action::Errno(38), Action::Kill), AUDIT_ARCH, number, arguments).0
    }

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const NONE: u32 = libc::SECCOMP_RET_ERRNO | 38;
    const NO: u32 = libc::SECCOMP_RET_ERRNO | 1;

    #[test]
    fn every_number_finds_its_rule() {
        // Every third is allowed, so that nothing can be merged and the far jumps are needed.
        let rules: Vec<(u32, Rule)> = (0..600).step_by(3).map(|n| (n, Rule::Always(Action::Allow))).collect();
        for number in 0..700 {
            let expected = if number % 3 == 0 && number < 600 { ALLOW } else { NONE };
            assert_eq!(action(&rules, number, [0; 6]), expected, "{number}");
        }
        assert_eq!(action(&[], 7, [0; 6]), NONE);
    }

    #[test]
    fn neighbours_that_are_alike_are_one_case() {
        let rules: Vec<(u32, Rule)> = (0..400).map(|n| (n, Rule::Always(Action::Allow))).collect();
        let code = program(&rules, Action::Errno(38), Action::Kill);
        assert_eq!(code.len(), 6 + 3);
        assert_eq!(ranges(&[(0, Rule::Always(Action::Errno(38)))], Action::Errno(38)).len(), 1);
    }

    #[test]
    fn arguments_are_looked_at_by_their_low_half() {
        let high = 0xffff_ffff_0000_0000;
        let (yes, no) = (Action::Errno(1), Action::Allow);
        let any = [(9, Rule::AnyBit(1, 0b110, yes, no))];
        for (argument, expected) in [(0, ALLOW), (1, ALLOW), (2, NO), (7, NO), (high, ALLOW), (high | 4, NO)] {
            assert_eq!(action(&any, 9, [0, argument, 0, 0, 0, 0]), expected, "{argument:#x}");
        }
        let one = [(9, Rule::OneOf(2, &[3, 5], yes, no))];
        for (argument, expected) in [(0, ALLOW), (3, NO), (4, ALLOW), (5, NO), (high | 3, NO)] {
            assert_eq!(action(&one, 9, [3, 3, argument, 0, 0, 0]), expected, "{argument:#x}");
        }
    }

    #[test]
    fn a_family_can_be_held_to_one_protocol() {
        let rule = Rule::Socket { families: &[1, 16], only: (16, 0), otherwise: Action::Errno(1) };
        let socket = |family, protocol| action(&[(41, rule)], 41, [family, 1, protocol, 0, 0, 0]);
        assert_eq!([socket(1, 0), socket(1, 7), socket(16, 0)], [ALLOW; 3]);
        assert_eq!([socket(16, 1), socket(2, 0), socket(40, 0)], [NO; 3]);
        assert_eq!(socket(0xff_0000_0000 | 1, 0), ALLOW);
    }

    #[test]
    fn another_table_ends_the_process() {
        let rules = [(0, Rule::Always(Action::Allow))];
        let code = program(&rules, Action::Errno(38), Action::Kill);
        for (architecture, number) in [(0x4000_0003, 0), (AUDIT_ARCH, X32), (AUDIT_ARCH, u32::MAX)] {
            assert_eq!(run(&code, architecture, number, [0; 6]).0, libc::SECCOMP_RET_KILL_PROCESS);
        }
    }
}
