// SPDX-License-Identifier: Apache-2.0
//! The filter that has the kernel ask.

use std::collections::BTreeMap;

use libc::sock_filter;
use reprove_model::RecordMode;

use super::calls::watched;
use crate::determine::{self, Told};
use crate::filter::program::{self, Action, Rule};

/// A program that asks for every call that is watched in `mode`, for those that are answered where a build is `told` something,
/// and for every call by the table of another architecture; all others go on. Empty where there are none.
pub(super) fn program(mode: RecordMode, told: Option<Told>) -> Vec<sock_filter> {
    let answered = told.map(determine::rules).unwrap_or_default();
    // What is watched is asked for whatever the arguments are.
    let all = answered.into_iter().chain(watched(mode).map(|call| (call.number, Rule::Always(Action::Ask))));
    let rules: BTreeMap<u32, Rule> = all.filter_map(|(number, rule)| Some((number.try_into().ok()?, rule))).collect();
    if rules.is_empty() {
        return Vec::new();
    }
    program::program(&rules.into_iter().collect::<Vec<_>>(), Action::Allow, Action::Ask)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::determine::{Fixed, Moved, ToldClock};
    use crate::filter::program::tests::run;
    use crate::filter::program::{AUDIT_ARCH, X32};

    const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;
    const FIXED: Option<Told> =
        Some(Told { clock: Some(ToldClock::Fixed(Fixed { seed: [0; 32], second: 0 })), backwards: false });
    const MOVED: Option<Told> =
        Some(Told { clock: Some(ToldClock::Moved(Moved { second: 0, speed: 1 })), backwards: false });
    const BACKWARDS: Option<Told> = Some(Told { clock: None, backwards: true });

    #[test]
    fn exactly_the_watched_calls_are_asked_for() {
        assert!(program(RecordMode::Declared, None).is_empty());
        for mode in [RecordMode::Files, RecordMode::Full] {
            let program = program(mode, None);
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
    fn what_is_answered_is_asked_for_in_every_mode() {
        let asked = |mode, call: libc::c_long, first| {
            run(&program(mode, FIXED), AUDIT_ARCH, call.try_into().unwrap(), [first, 0, 0, 0, 0, 0]).0 == ASK
        };
        for mode in [RecordMode::Declared, RecordMode::Files, RecordMode::Full] {
            for call in [libc::SYS_getrandom, libc::SYS_uname, libc::SYS_fstat, libc::SYS_statx] {
                assert!(asked(mode, call, 0), "{mode:?} {call}");
            }
            assert!(asked(mode, libc::SYS_clock_gettime, 0));
        }
        // A process's own clock is nobody's to answer, unless it is to be recorded that it was asked for.
        assert!(!asked(RecordMode::Files, libc::SYS_clock_gettime, 2));
        assert!(asked(RecordMode::Full, libc::SYS_clock_gettime, 2));
        assert!(!asked(RecordMode::Declared, libc::SYS_openat, 0));
    }

    #[test]
    fn a_moved_clock_asks_for_times_and_waits_and_for_nothing_of_the_machine() {
        let asked = |call: libc::c_long, first, second| {
            let program = program(RecordMode::Declared, MOVED);
            run(&program, AUDIT_ARCH, call.try_into().unwrap(), [first, second, 0, 0, 0, 0]).0 == ASK
        };
        assert!(asked(libc::SYS_clock_gettime, 0, 0) && asked(libc::SYS_fstat, 0, 0));
        assert!(asked(libc::SYS_futex, 0, 265) && asked(libc::SYS_clock_nanosleep, 0, 1));
        assert!(
            !asked(libc::SYS_futex, 0, 0) && !asked(libc::SYS_futex, 0, 9) && !asked(libc::SYS_clock_gettime, 1, 0)
        );
        assert!(!asked(libc::SYS_clock_nanosleep, 0, 0));
        for call in [libc::SYS_getrandom, libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getcpu, libc::SYS_openat] {
            assert!(!asked(call, 0, 0), "{call}");
        }
    }

    #[test]
    fn another_file_order_asks_for_listings_alone() {
        let program = program(RecordMode::Declared, BACKWARDS);
        for number in 0..1024 {
            let asked = run(&program, AUDIT_ARCH, number, [0; 6]).0 == ASK;
            let lists = [libc::SYS_getdents64, libc::SYS_getdents].contains(&number.into());
            assert_eq!(asked, lists, "{number}");
        }
    }

    #[test]
    fn every_call_of_another_architecture_is_asked_for() {
        let program = program(RecordMode::Files, None);
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
