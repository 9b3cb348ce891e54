// SPDX-License-Identifier: Apache-2.0
//! What the clocks say.
//!
//! Where the clock is moved, the time of day is that of [`MovedClock`], and all others go on. In a deterministic build the time
//! of day stands still, but for a microsecond each time that a process asks, so that it never asks for the same
//! twice; but where a system is installed it stands still: a program with several threads asks now more and now less often, and
//! writes down when it did what. Clocks that count from a start have to go on, since programs wait by them, and the kernel does the waiting. But
//! what a process asks first is often for something like a temporary file's name, which is made of the fraction of a
//! second; so the first answers have no fraction but the count of how often it asked. By less than a second they are early.

use std::fs;
use std::io;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::Refusal;
use super::counts::Counts;
use super::moved::{MovedClock, now};
use super::times::{LATEST_FILE, nanoseconds};

/// `CLOCK_REALTIME`, its coarse one, and `CLOCK_TAI`.
pub(super) const OF_DAY: [u32; 3] = [0, 5, 11];
/// `CLOCK_MONOTONIC`, its raw and its coarse one, and `CLOCK_BOOTTIME`.
const FROM_START: [u32; 4] = [1, 4, 6, 7];
/// All of them, for the filter of a deterministic build.
pub(super) const ANSWERED: &[u32] = &[0, 1, 4, 5, 6, 7, 11];

/// How many answers of a clock that counts from a start have no fraction of their own.
const WITHOUT_FRACTION: u64 = 64;
/// How much later the time is each time that a process asks, in nanoseconds.
const STEP: u64 = 1000;
const SECOND: u64 = 1_000_000_000;

pub(super) struct Clocks {
    day: Day,
    counts: Counts,
    /// What the build's time namespace adds to this process's clocks, in seconds.
    ahead: Option<(i64, i64)>,
}

/// What the time of day is.
#[derive(Clone, Copy)]
enum Day {
    /// This second, and how much later it is each time that a process asks, in nanoseconds.
    Fixed(u64, u64),
    Moved(MovedClock),
}

impl Clocks {
    /// Of a deterministic build; with `still`, the time of day does not go on at all.
    pub(super) fn fixed(second: u64, still: bool) -> Self {
        let step = if still { 0 } else { STEP };
        Self { day: Day::Fixed(second, step), counts: Counts::of_processes(), ahead: None }
    }

    /// Of a build whose clock is moved.
    pub(super) fn moved(clock: MovedClock) -> Self {
        Self { day: Day::Moved(clock), counts: Counts::of_processes(), ahead: None }
    }

    /// The moved clock, where it is one.
    pub(super) fn is_moved(&self) -> Option<MovedClock> {
        if let Day::Moved(clock) = self.day { Some(clock) } else { None }
    }

    /// What `clock` says to `pid`, in nanoseconds.
    pub(super) fn say(&mut self, pid: Pid, clock: u32) -> Result<u64, Refusal> {
        let (second, step) = match self.day {
            Day::Moved(moved) if OF_DAY.contains(&clock) => {
                return now().map(|now| moved.told(now)).map_err(|_| Refusal::GoOn);
            }
            Day::Moved(_) => return Err(Refusal::GoOn),
            Day::Fixed(second, step) => (second, step),
        };
        if OF_DAY.contains(&clock) {
            // Later than any file.
            let before = self.counts.turn(pid)?.before;
            return Ok(second.saturating_mul(SECOND).saturating_add(LATEST_FILE + 1).saturating_add(before * step));
        }
        if !FROM_START.contains(&clock) {
            return Err(Refusal::GoOn);
        }
        let now = self.since_start(pid, clock).map_err(|_| Refusal::GoOn)?;
        Ok(early(now, self.counts.turn(pid)?.before))
    }

    /// What a clock that counts from a start really says in the build.
    fn since_start(&mut self, pid: Pid, clock: u32) -> io::Result<u64> {
        let (monotonic, boottime) = match self.ahead {
            Some(ahead) => ahead,
            None => *self.ahead.insert(ahead(&fs::read_to_string(format!("/proc/{pid}/timens_offsets"))?)),
        };
        let ahead = if clock == 7 { boottime } else { monotonic };
        let now = clock_gettime(ClockId::from_raw(clock.cast_signed()))?;
        Ok(nanoseconds(now.tv_sec() + ahead, now.tv_nsec()))
    }
}

/// What is said where it is `now`, and the process has asked `before` times before.
fn early(now: u64, before: u64) -> u64 {
    if before >= WITHOUT_FRACTION { now } else { now - now % SECOND + (before * STEP).min(now % SECOND) }
}

/// The seconds that are added to the monotonic clock and to that of the machine's start, by `time_namespaces(7)`.
fn ahead(text: &str) -> (i64, i64) {
    let of = |name: &str| {
        let mut fields = text.lines().map(str::split_ascii_whitespace);
        fields.find_map(|mut line| line.next().filter(|n| *n == name).and_then(|_| line.next()?.parse().ok()))
    };
    (of("monotonic").unwrap_or(0), of("boottime").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_counts_is_early_by_less_than_a_second_at_first_and_never_goes_back() {
        for now in [7 * SECOND, 7 * SECOND + 50, 8 * SECOND - 1] {
            let said: Vec<u64> = (0..100).map(|before| early(now, before)).collect();
            assert!(said.is_sorted() && said.iter().all(|said| *said <= now && now - said < SECOND));
            assert_eq!((said[0], said[99]), (7 * SECOND, now));
        }
        assert_eq!(early(8 * SECOND - 1, WITHOUT_FRACTION - 1) % SECOND, 63_000);
        assert_eq!(early(8 * SECOND - 1, WITHOUT_FRACTION), 8 * SECOND - 1);
    }

    #[test]
    fn what_a_namespace_adds_is_read() {
        assert_eq!(ahead("monotonic        -25         0\nboottime    17 0\n"), (-25, 17));
        assert_eq!(ahead(""), (0, 0));
    }

    #[test]
    fn every_clock_that_is_answered_is_of_one_kind() {
        let mut both = [OF_DAY.as_slice(), &FROM_START].concat();
        both.sort_unstable();
        assert_eq!(both, ANSWERED);
    }
}
