// SPDX-License-Identifier: Apache-2.0
//! Time, as the farm counts it.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// As a time that people read; the nearest that can be written, where it can't be.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }

    /// How long after `earlier` this is; nothing where it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<Timestamp> for Millis {
    fn from(time: Timestamp) -> Self {
        Self(time.as_millisecond())
    }
}

impl Add<Duration> for Millis {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

/// The time, from whoever runs the farm.
///
/// Leases are measured by [`Clock::now`], which has to go on evenly whatever is done to the machine's clock: the command line
/// counts from the time at which the program started.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> Millis;
}

impl<F: Fn() -> Millis + Send + Sync> Clock for F {
    fn now(&self) -> Millis {
        self()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_added_and_compared_without_going_over() {
        assert_eq!(Millis(1) + Duration::from_secs(1), Millis(1001));
        assert_eq!(Millis(i64::MAX) + Duration::from_secs(1), Millis(i64::MAX));
        assert_eq!(Millis(1500).since(Millis(500)), Duration::from_secs(1));
        assert_eq!(Millis(500).since(Millis(1500)), Duration::ZERO);
        assert_eq!(Millis(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Millis(i64::MAX).timestamp(), Timestamp::MAX);
        assert_eq!(Millis(i64::MIN).timestamp(), Timestamp::MIN);
    }
}
