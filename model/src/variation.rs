// SPDX-License-Identifier: Apache-2.0
//! Variations: which condition is made different on purpose in a rebuild.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One condition made different on purpose in a rebuild. In order of their names as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variation {
    /// Addresses that are chosen at random.
    Addresses,
    /// Another build directory.
    BuildPath,
    /// Another time of day.
    Clock,
    /// A time of day that goes faster.
    ClockSpeed,
    /// Another domain.
    Domain,
    /// Other entropy. Every build has its own, but for deterministic ones, of which it can be chosen.
    Entropy,
    /// An environment variable that the other build does not have.
    ExtraVariable,
    /// Another order in which directories are listed.
    FileOrder,
    /// Another file system to write to.
    FileSystem,
    /// Another order of hashed things.
    HashSeed,
    /// Another home directory.
    Home,
    /// Another host name.
    Hostname,
    /// Other inode numbers.
    InodeNumbers,
    /// Another kernel.
    Kernel,
    /// Another release of the kernel, as it says itself.
    KernelRelease,
    /// Busy processes beside the build.
    Load,
    /// Another locale.
    Locale,
    /// Less memory.
    Memory,
    /// Other process ids.
    ProcessIds,
    /// A processor that can do less.
    ProcessorModel,
    /// Another number of processors.
    Processors,
    /// Another search path.
    SearchPath,
    /// Another kind of standard input.
    StandardInput,
    /// Another directory for temporary files.
    TemporaryDirectory,
    /// A terminal for input and output.
    Terminal,
    /// Another time zone.
    TimeZone,
    /// Another umask.
    Umask,
    /// Another user.
    User,
}

impl Variation {
    /// All of them, sorted by name.
    pub const ALL: [Self; 28] = [
        Self::Addresses,
        Self::BuildPath,
        Self::Clock,
        Self::ClockSpeed,
        Self::Domain,
        Self::Entropy,
        Self::ExtraVariable,
        Self::FileOrder,
        Self::FileSystem,
        Self::HashSeed,
        Self::Home,
        Self::Hostname,
        Self::InodeNumbers,
        Self::Kernel,
        Self::KernelRelease,
        Self::Load,
        Self::Locale,
        Self::Memory,
        Self::ProcessIds,
        Self::ProcessorModel,
        Self::Processors,
        Self::SearchPath,
        Self::StandardInput,
        Self::TemporaryDirectory,
        Self::Terminal,
        Self::TimeZone,
        Self::Umask,
        Self::User,
    ];

    /// The condition, as people say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Addresses => "layout of addresses",
            Self::BuildPath => "build path",
            Self::Clock => "clock",
            Self::ClockSpeed => "speed of the clock",
            Self::Domain => "domain",
            Self::Entropy => "entropy",
            Self::ExtraVariable => "set of environment variables",
            Self::FileOrder => "file order",
            Self::FileSystem => "file system",
            Self::HashSeed => "hash seed",
            Self::Home => "home directory",
            Self::Hostname => "host name",
            Self::InodeNumbers => "range of inode numbers",
            Self::Kernel => "kernel",
            Self::KernelRelease => "kernel release",
            Self::Load => "load",
            Self::Locale => "locale",
            Self::Memory => "amount of memory",
            Self::ProcessIds => "range of process ids",
            Self::ProcessorModel => "model of the processor",
            Self::Processors => "number of processors",
            Self::SearchPath => "search path",
            Self::StandardInput => "standard input",
            Self::TemporaryDirectory => "directory for temporary files",
            Self::Terminal => "terminal",
            Self::TimeZone => "time zone",
            Self::Umask => "umask",
            Self::User => "user",
        }
    }

    /// The environment variables by which a build sees it. A recipe that sets one of them has settled the condition.
    #[must_use]
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::ExtraVariable => &[crate::Surroundings::EXTRA],
            Self::HashSeed => &["PERL_HASH_SEED", "PERL_PERTURB_KEYS", "PYTHONHASHSEED"],
            Self::Home => &["HOME"],
            Self::Locale => &["LANG", "LANGUAGE", "LC_ALL"],
            Self::SearchPath => &["PATH"],
            Self::TemporaryDirectory => &["TMPDIR"],
            Self::TimeZone => &["TZ"],
            Self::User => &["LOGNAME", "USER"],
            _ => &[],
        }
    }

    /// What it is called where it is written: `build-path`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::BuildPath => "build-path",
            Self::Clock => "clock",
            Self::ClockSpeed => "clock-speed",
            Self::Domain => "domain",
            Self::Entropy => "entropy",
            Self::ExtraVariable => "extra-variable",
            Self::FileOrder => "file-order",
            Self::FileSystem => "file-system",
            Self::HashSeed => "hash-seed",
            Self::Home => "home",
            Self::Hostname => "hostname",
            Self::InodeNumbers => "inode-numbers",
            Self::Kernel => "kernel",
            Self::KernelRelease => "kernel-release",
            Self::Load => "load",
            Self::Locale => "locale",
            Self::Memory => "memory",
            Self::ProcessIds => "process-ids",
            Self::ProcessorModel => "processor-model",
            Self::Processors => "processors",
            Self::SearchPath => "search-path",
            Self::StandardInput => "standard-input",
            Self::TemporaryDirectory => "temporary-directory",
            Self::Terminal => "terminal",
            Self::TimeZone => "time-zone",
            Self::Umask => "umask",
            Self::User => "user",
        }
    }
}

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A text that is the word of no variation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no variation; there are {all}", all = Variation::ALL.map(Variation::word).join(", "))]
pub struct NoVariation(String);

impl FromStr for Variation {
    type Err = NoVariation;

    fn from_str(text: &str) -> Result<Self, NoVariation> {
        let found = Self::ALL.into_iter().find(|variation| variation.word() == text);
        found.ok_or_else(|| NoVariation(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_word_and_they_are_sorted() {
        for variation in Variation::ALL {
            assert_eq!(serde_json::to_value(variation).unwrap(), variation.word());
            assert_eq!(variation.word().parse(), Ok(variation));
        }
        assert!(Variation::ALL.map(Variation::word).is_sorted() && Variation::ALL.is_sorted());
        let error = "klock".parse::<Variation>().unwrap_err().to_string();
        assert!(error.contains("`klock`") && error.contains("time-zone"), "{error}");
    }
}
