// SPDX-License-Identifier: Apache-2.0
//! The filter that has the kernel ask: a program for seccomp's machine (`seccomp(2)`, `linux/bpf_common.h`).

use libc::sock_filter;
use reprove_model::RecordMode;

use super::calls::watched;

/// A program that asks for every call that is watched in `mode`, and for every call by the table of another architecture;
/// all others go on. Empty where nothing is watched.
pub(super) fn program(mode: RecordMode) -> Vec<sock_filter> {
    let mut numbers: Vec<u32> = watched(mode).filter_map(|call| u32::try_from(call.number).ok()).collect();
    if numbers.is_empty() {
        return Vec::new();
    }
    numbers.sort_unstable();
    let (ask, go_on) = (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW);
    // From each of these numbers on, until the next, this is the answer.
    let mut answers = vec![(0, go_on)];
    for number in numbers {
        // Right after another one that is watched.
        if answers.last().is_some_and(|(from, _)| *from == number) {
            answers.pop();
        } else {
            answers.push((number, ask));
        }
        answers.push((number + 1, go_on));
    }
    answers.push((FOREIGN, ask));
    let mut program = vec![
        load(ARCHITECTURE_OFFSET),
        sock_filter { code: JUMP_EQUAL, jt: 1, jf: 0, k: ARCHITECTURE },
        answer(ask),
        load(NUMBER_OFFSET),
    ];
    search(&answers, &mut program);
    program
}

/// The architecture by whose table this program's own calls are read: `AUDIT_ARCH_…`.
pub(super) const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

/// From here on numbers are of x86-64's second table, `__X32_SYSCALL_BIT`; other architectures have none as large.
pub(super) const FOREIGN: u32 = 0x4000_0000;

/// A binary search for the answer to the number that is loaded.
fn search(answers: &[(u32, u32)], program: &mut Vec<sock_filter>) {
    let (lower, upper) = answers.split_at(answers.len() / 2);
    let Some((first, _)) = upper.first().filter(|_| !lower.is_empty()) else {
        program.extend(upper.first().map(|(_, action)| answer(*action)));
        return;
    };
    let mut below = Vec::new();
    search(lower, &mut below);
    match u8::try_from(below.len()) {
        Ok(over) => program.push(sock_filter { code: JUMP_AT_LEAST, jt: over, jf: 0, k: *first }),
        // A condition jumps at most 255 instructions; an unconditional one goes on from there.
        Err(_) => {
            let over = u32::try_from(below.len()).unwrap_or(u32::MAX);
            program.push(sock_filter { code: JUMP_AT_LEAST, jt: 0, jf: 1, k: *first });
            program.push(sock_filter { code: JUMP, jt: 0, jf: 0, k: over });
        }
    }
    program.append(&mut below);
    search(upper, program);
}

const fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD, jt: 0, jf: 0, k: offset }
}

const fn answer(action: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: action }
}

/// Where `struct seccomp_data` has the number and the architecture.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

/// `BPF_LD | BPF_W | BPF_ABS`.
const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const JUMP_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`.
const JUMP_AT_LEAST: u16 = 0x35;
/// `BPF_JMP | BPF_JA`.
const JUMP: u16 = 0x05;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the program answers, and in how many instructions.
    fn run(program: &[sock_filter], architecture: u32, number: u32) -> (u32, usize) {
        let (mut at, mut loaded, mut steps) = (0, 0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            (at, steps) = (at + 1, steps + 1);
            match code {
                LOAD if k == NUMBER_OFFSET => loaded = number,
                LOAD if k == ARCHITECTURE_OFFSET => loaded = architecture,
                JUMP_EQUAL => at += usize::from(if loaded == k { jt } else { jf }),
                JUMP_AT_LEAST => at += usize::from(if loaded >= k { jt } else { jf }),
                JUMP => at += k as usize,
                RETURN => return (k, steps),
                _ => panic!("an instruction that is none: {code:#x} {k:#x}"),
            }
        }
    }

    const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;

    #[test]
    fn exactly_the_watched_calls_are_asked_for() {
        assert!(program(RecordMode::Declared).is_empty());
        for mode in [RecordMode::Files, RecordMode::Full] {
            let program = program(mode);
            let wanted: BTreeSet<u32> = watched(mode).map(|call| call.number.try_into().unwrap()).collect();
            let mut most = 0;
            for number in (0..4096).chain(FOREIGN - 2..FOREIGN).chain([u32::MAX >> 2]) {
                let (answer, steps) = run(&program, ARCHITECTURE, number);
                assert_eq!(answer == ASK, wanted.contains(&number), "{number}");
                assert!(answer == ASK || answer == libc::SECCOMP_RET_ALLOW);
                most = most.max(steps);
            }
            assert!(most <= 14 && program.len() < 300, "{most} of {}", program.len());
        }
    }

    #[test]
    fn every_call_of_another_architecture_is_asked_for() {
        let program = program(RecordMode::Files);
        for number in (0..1024).chain([FOREIGN, FOREIGN + 1, u32::MAX]) {
            for other in [0x4000_0003, 0, u32::MAX, ARCHITECTURE ^ 1] {
                assert_eq!(run(&program, other, number).0, ASK, "{other:#x} {number}");
            }
        }
        for number in [FOREIGN, FOREIGN + 2, FOREIGN + 512, u32::MAX] {
            assert_eq!(run(&program, ARCHITECTURE, number).0, ASK, "{number:#x}");
        }
    }

    /// A tree too large for one jump has the same answers.
    #[test]
    fn a_jump_may_be_far() {
        let answers: Vec<(u32, u32)> = (0..600).map(|n| (n * 2, n)).collect();
        let mut program = vec![load(NUMBER_OFFSET)];
        search(&answers, &mut program);
        for number in 0..1200 {
            assert_eq!(run(&program, 0, number).0, number / 2);
        }
    }
}
