// SPDX-License-Identifier: Apache-2.0
//! A time of day that is another than the machine's, and goes on from there.

use std::io;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::times::nanoseconds;

/// To which time the clock is moved when the build begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moved {
    /// The time of day, in seconds since 1970.
    pub(crate) second: u64,
    /// How many times as fast as the machine's it goes.
    pub(crate) speed: u32,
}

/// A moved clock that goes. Times are in nanoseconds since 1970; the machine's are those of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MovedClock {
    /// When the build began, by the machine's clock.
    began: u64,
    /// The same, by the moved one.
    moved: u64,
    speed: u32,
}

/// Ten years: no clock that counts from a start says as much.
const FROM_START: u64 = 315_360_000 * 1_000_000_000;

/// The machine's time of day.
pub(super) fn now() -> io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
    Ok(nanoseconds(now.tv_sec(), now.tv_nsec()))
}

impl Moved {
    /// With the build beginning now.
    pub(super) fn begins_now(self) -> io::Result<MovedClock> {
        let moved = self.second.saturating_mul(1_000_000_000);
        Ok(MovedClock { began: now()?, moved, speed: self.speed.max(1) })
    }
}

impl MovedClock {
    /// What the moved clock says when the machine's says `time`. Before the build, both went alike.
    pub(super) fn told(&self, time: u64) -> u64 {
        match time.checked_sub(self.began) {
            Some(since) => self.moved.saturating_add(since.saturating_mul(self.speed.into())),
            None => self.moved.saturating_sub(self.began - time),
        }
    }

    /// What the machine's clock says when the moved one says `time`; none where that is nearer to what the machine's says
    /// itself, so that it is none of the moved clock's; or what clocks say that count from a start.
    pub(super) fn machines(&self, time: u64) -> Option<u64> {
        if time < FROM_START || time.abs_diff(self.began) <= time.abs_diff(self.moved) {
            return None;
        }
        Some(match time.checked_sub(self.moved) {
            Some(since) => self.began.saturating_add(since / u64::from(self.speed)),
            None => self.began.saturating_sub(self.moved - time),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// One that began at 1,000,000,000 s, and says then that it is 1,040,000,000 s.
    pub(in super::super) fn clock(speed: u32) -> MovedClock {
        MovedClock { began: 1_000_000_000 * SECOND, moved: 1_040_000_000 * SECOND, speed }
    }

    #[test]
    fn what_a_moved_clock_says_leads_back_to_the_machines() {
        for speed in [1, 3] {
            let clock = clock(speed);
            for since in [0, 1, 7 * SECOND, 604_800 * SECOND] {
                let time = clock.began + since;
                assert_eq!(clock.told(time), clock.moved + since * u64::from(speed));
                assert_eq!(clock.machines(clock.told(time)), Some(time));
                assert_eq!(clock.machines(time), None);
            }
            assert_eq!(clock.told(clock.began - 5), clock.moved - 5);
            assert_eq!(clock.machines(clock.moved - 5), Some(clock.began - 5));
            assert_eq!((clock.machines(0), clock.machines(u64::MAX).is_some()), (None, true));
        }
    }

    #[test]
    fn a_clock_may_be_moved_back() {
        let clock = MovedClock { began: 1_040_000_000 * SECOND, moved: 1_000_000_000 * SECOND, speed: 1 };
        assert_eq!(clock.told(clock.began + 9), clock.moved + 9);
        // What counts from a start is never taken for it.
        assert_eq!([100_000 * SECOND, FROM_START - 1].map(|time| clock.machines(time)), [None; 2]);
        assert!(clock.machines(FROM_START).is_some());
        assert_eq!(clock.machines(clock.moved + 9), Some(clock.began + 9));
        assert_eq!(clock.machines(clock.began + 9), None);
    }

    #[test]
    fn a_clock_begins_now() {
        let clock = Moved { second: 7, speed: 0 }.begins_now().unwrap();
        assert_eq!((clock.moved, clock.speed), (7 * SECOND, 1));
        assert!(now().unwrap() >= clock.began);
    }
}
