// SPDX-License-Identifier: Apache-2.0
//! What the clocks say.
//!
//! Where the clock is moved, the time of day is that of [`MovedClock`], and all others go on. In a deterministic build the time
//! of day stands still: how often a program asks depends on its threads, its locale and much else, and what it writes down must
//! not. Only to a process that asks very often, which may be waiting for another time, it is a microsecond later each time.
//! Clocks that count from a start have to go on, since programs wait by them, and the kernel does the waiting. But
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
/// How often a process may ask for the time of day before that goes on.
const STILL: u64 = 1 << 16;
/// How much later the time is each time that a process asks, in nanoseconds.
const STEP: u64 = 1000;
const SECOND: u64 = 1_000_000_000;

pub(super) struct Clocks {
    day: Day,
    /// How often the time of day was asked for.
    asked_day: Counts,
    /// The same of the others.
    counts: Counts,
    /// What the build's time namespace adds to this process's clocks, in seconds.
    ahead: Option<(i64, i64)>,
}

/// What the time of day is.
#[derive(Clone, Copy)]
enum Day {
    Fixed(u64),
    Moved(MovedClock),
}

impl Clocks {
    /// Of a deterministic build.
    pub(super) fn fixed(second: u64) -> Self {
        Self::of(Day::Fixed(second))
    }

    /// Of a build whose clock is moved.
    pub(super) fn moved(clock: MovedClock) -> Self {
        Self::of(Day::Moved(clock))
    }

    fn of(day: Day) -> Self {
        Self { day, asked_day: Counts::of_processes(), counts: Counts::of_processes(), ahead: None }
    }

    /// The moved clock, where it is one.
    pub(super) fn is_moved(&self) -> Option<MovedClock> {
        if let Day::Moved(clock) = self.day { Some(clock) } else { None }
    }

    /// What `clock` says to `pid`, in nanoseconds.
    pub(super) fn say(&mut self, pid: Pid, clock: u32) -> Result<u64, Refusal> {
        let second = match self.day {
            Day::Moved(moved) if OF_DAY.contains(&clock) => {
                return now().map(|now| moved.told(now)).map_err(|_| Refusal::GoOn);
            }
            Day::Moved(_) => return Err(Refusal::GoOn),
            Day::Fixed(second) => second,
        };
        if OF_DAY.contains(&clock) {
            // Later than any file.
            let before = self.asked_day.turn(pid)?.before;
            return Ok(second.saturating_mul(SECOND).saturating_add(LATEST_FILE + 1).saturating_add(later(before)));
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

/// How much later the time of day is to a process that has asked `before` times before, in nanoseconds.
fn later(before: u64) -> u64 {
    before.saturating_sub(STILL) * STEP
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
    fn the_time_of_day_stands_still_for_all_but_those_that_wait_for_another() {
        assert_eq!((later(0), later(1), later(STILL)), (0, 0, 0));
        assert_eq!((later(STILL + 1), later(STILL + 2)), (STEP, 2 * STEP));
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
