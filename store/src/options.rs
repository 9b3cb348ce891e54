// SPDX-License-Identifier: Apache-2.0
//! What the user of a store sets: how often reads are checked, how much may be kept, how long to wait for others.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reprove_model::Digest;
use thiserror::Error;

/// How a store is used.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// How often what is read is checked.
    pub verify: VerifyRate,
    /// Decides, with each digest, which reads [`VerifyRate::OneIn`] checks. Another one each time checks other files.
    pub seed: u64,
    /// The most bytes that blobs and lists of trees may have together; `None`: whatever the disk holds.
    pub quota: Option<ByteSize>,
    /// How long to wait for another process that has the store locked.
    pub wait: Duration,
    /// Whether a root is only named after what it reaches is on the disk, so that it outlasts a loss of power.
    pub sync: bool,
    /// Told what would otherwise go on unseen.
    pub tell: Tell,
}

impl Default for StoreOptions {
    /// Checks all, without a quota, waits for two minutes, outlasts a loss of power, and tells nobody.
    fn default() -> Self {
        Self {
            verify: VerifyRate::Always,
            seed: 0,
            quota: None,
            wait: Duration::from_secs(120),
            sync: true,
            tell: Tell::default(),
        }
    }
}

/// Takes one line, without a final stop, for people.
#[derive(Clone, Default)]
pub struct Tell(Option<Arc<Told>>);

type Told = dyn Fn(&str) + Send + Sync;

impl Tell {
    /// Tells `whom`.
    pub fn new(whom: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(whom)))
    }

    pub(crate) fn say(&self, text: &str) {
        if let Some(whom) = &self.0 {
            whom(text);
        }
    }
}

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Tell" } else { "Tell(nobody)" })
    }
}

/// How often the bytes of what is read are held against its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyRate {
    /// Each time.
    #[default]
    Always,
    /// About once in so many files; which ones, the digest and [`StoreOptions::seed`] decide.
    OneIn(NonZeroU32),
    /// Only where a check is asked for by itself, as it is for what a build reads.
    Never,
}

impl VerifyRate {
    /// Whether a read of `digest` is to be checked. The same for the same digest and seed.
    #[must_use]
    pub fn checks(self, digest: &Digest, seed: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::OneIn(n) => {
                let first = digest.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
                (u64::from_le_bytes(first) ^ seed).is_multiple_of(u64::from(n.get()))
            }
        }
    }
}

/// A text that is no [`VerifyRate`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("how often reads are checked is `always`, `never`, or as in `1/20`, and not {0:?}")]
pub struct ParseVerifyRateError(String);

impl FromStr for VerifyRate {
    type Err = ParseVerifyRateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseVerifyRateError(text.chars().take(40).collect());
        match text {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => {
                let digits = text.strip_prefix("1/").filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
                digits.and_then(|n| n.parse().ok()).map(Self::OneIn).ok_or_else(error)
            }
        }
    }
}

/// A number of bytes, as people write it: `500MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl fmt::Display for ByteSize {
    /// Whole units, the next smaller one where that would say less than ten.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, shift)| self.0 >> shift >= 10 || (self.0 >> shift) << shift == self.0);
        let (name, shift) = unit.copied().filter(|_| self.0 > 0).unwrap_or(("B", 0));
        write!(f, "{} {name}", self.0 >> shift)
    }
}

/// A text that is no [`ByteSize`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a size is a number with B, KiB, MiB, GiB or TiB, as in `20GiB`, and not {0:?}")]
pub struct ParseByteSizeError(String);

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseByteSizeError(text.chars().take(40).collect());
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(digits).ok_or_else(error)?;
        let (_, shift) = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(error)?;
        let number: u64 = number.parse().map_err(|_| error())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        assert_eq!("always".parse(), Ok(VerifyRate::Always));
        assert_eq!("never".parse(), Ok(VerifyRate::Never));
        assert_eq!("1/20".parse(), Ok(VerifyRate::OneIn(NonZeroU32::new(20).unwrap())));
        for text in ["", "1/0", "1/+2", "2/3", "1/", "1/99999999999", "Always"] {
            assert!(text.parse::<VerifyRate>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_in_so_many_is_about_that_and_the_seed_chooses_others() {
        let digests: Vec<Digest> = (0..4000_u32).map(|n| Digest::of(&n.to_le_bytes())).collect();
        let rate = VerifyRate::OneIn(NonZeroU32::new(20).unwrap());
        let chosen = |seed: u64| -> Vec<&Digest> { digests.iter().filter(|d| rate.checks(d, seed)).collect() };
        assert!((120..300).contains(&chosen(0).len()), "{}", chosen(0).len());
        assert_eq!(chosen(7), chosen(7));
        assert_ne!(chosen(7), chosen(8));
        let every = VerifyRate::OneIn(NonZeroU32::MIN);
        assert!(digests.iter().all(|d| every.checks(d, 3) && VerifyRate::Always.checks(d, 3)));
        assert!(!digests.iter().any(|d| VerifyRate::Never.checks(d, 3)));
    }

    #[test]
    fn a_size_is_read_as_it_is_written() {
        for (text, bytes) in [("0B", 0), ("17B", 17), ("1KiB", 1024), ("20GiB", 20 << 30), ("20 GiB", 20 << 30)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
        assert_eq!("16777215TiB".parse(), Ok(ByteSize(16_777_215 << 40)));
        for text in ["", "GiB", "1", "1GB", "-1B", "1.5GiB", "16777216TiB", "99999999999999999999B", "1 B B"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        let shown = [0, 17, 9 << 10, 1 << 20, (20 << 30) + 1, 3 << 30, (3 << 30) + 1].map(|n| ByteSize(n).to_string());
        assert_eq!(shown, ["0 B", "17 B", "9 KiB", "1 MiB", "20 GiB", "3 GiB", "3072 MiB"]);
    }
}
