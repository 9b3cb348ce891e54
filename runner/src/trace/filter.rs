// SPDX-License-Identifier: Apache-2.0
//! The filter that has the kernel ask.

use libc::sock_filter;
use reprove_model::RecordMode;

use super::calls::watched;
use crate::filter::program::{self, Action, Rule};

/// A program that asks for every call that is watched in `mode`, and for every call by the table of another architecture;
/// all others go on. Empty where nothing is watched.
pub(super) fn program(mode: RecordMode) -> Vec<sock_filter> {
    let number = |number| u32::try_from(number).ok();
    let asked = watched(mode).filter_map(|call| Some((number(call.number)?, Rule::Always(Action::Ask))));
    let mut rules: Vec<(u32, Rule)> = asked.collect();
    if rules.is_empty() {
        return Vec::new();
    }
    rules.sort_unstable_by_key(|(number, _)| *number);
    program::program(&rules, Action::Allow, Action::Ask)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::filter::program::tests::run;
    use crate::filter::program::{AUDIT_ARCH, X32};

    const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;

    #[test]
    fn exactly_the_watched_calls_are_asked_for() {
        assert!(program(RecordMode::Declared).is_empty());
        for mode in [RecordMode::Files, RecordMode::Full] {
            let program = program(mode);
            let wanted: BTreeSet<u32> = watched(mode).map(|call| call.number.try_into().unwrap()).collect();
            let mut most = 0;
            for number in (0..4096).chain(X32 - 2..X32).chain([u32::MAX >> 2]) {
                let (answer, steps) = run(&program, AUDIT_ARCH, number, [0; 6]);
                assert_eq!(answer == ASK, wanted.contains(&number), "{number}");
                assert!(answer == ASK || answer == libc::SECCOMP_RET_ALLOW);
                most = most.max(steps);
            }
            assert!(most <= 16 && program.len() < 300, "{most} of {}", program.len());
        }
    }

    #[test]
    fn every_call_of_another_architecture_is_asked_for() {
        let program = program(RecordMode::Files);
        for number in (0..1024).chain([X32, X32 + 1, u32::MAX]) {
            for other in [0x4000_0003, 0, u32::MAX, AUDIT_ARCH ^ 1] {
                assert_eq!(run(&program, other, number, [0; 6]).0, ASK, "{other:#x} {number}");
            }
        }
        for number in [X32, X32 + 2, X32 + 512, u32::MAX] {
            assert_eq!(run(&program, AUDIT_ARCH, number, [0; 6]).0, ASK, "{number:#x}");
        }
    }
}
