// SPDX-License-Identifier: Apache-2.0
//! The conditions of one build that must not matter, and the ways in which a rebuild makes them different on purpose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Surroundings, Variation};

/// Under which conditions a build ran; a reproducible build's outputs don't depend on any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conditions {
    /// The absolute path of the one writable build directory, inside.
    pub build_path: String,
    /// The host name, inside.
    pub hostname: String,
    /// How many processors the build may use.
    pub processors: u32,
    /// In which order the source's files were written, and so are listed.
    pub file_order: FileOrder,
    /// What the build sees as the time of day.
    pub clock: Clock,
    /// What it sees of its user, its session and its machine.
    #[serde(default, skip_serializing_if = "Surroundings::are_usual")]
    pub surroundings: Surroundings,
}

/// In which order the source's files are created in the build directory. tmpfs lists a directory by creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileOrder {
    /// Sorted by path bytes.
    Sorted,
    /// The same, backwards.
    Reversed,
}

/// What a build sees as the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Clock {
    /// The machine's clock.
    Host,
    /// By a preloaded library, each program sees its own clock begin at this time when it starts, in seconds since 1970.
    /// Programs that are linked statically, or that a build starts without the library, see the machine's clock; and files
    /// have the times that the machine gives them.
    StartsAt(u64),
    /// The runner answers in place of the kernel: every program sees this second, since 1970, and what the build writes is
    /// of this second too. Of a deterministic build; `docs/determinism.md` says what it reaches.
    Fixed(u64),
    /// The build's machine is its own, and its clock was set to this time when it began, in seconds since 1970: every program
    /// sees it, and files have its times.
    SetTo(u64),
}

impl Clock {
    /// What the clock of a deterministic build says where there is no `SOURCE_DATE_EPOCH`: 2001-09-09T01:46:40Z.
    pub const DETERMINISTIC: u64 = 1_000_000_000;

    /// The name of the variable that holds the preloaded library's path.
    pub const PRELOAD: &str = "LD_PRELOAD";

    /// The environment variables that make it so, beside [`Clock::PRELOAD`]: those of `libfaketime`.
    #[must_use]
    pub fn variables(self) -> BTreeMap<String, String> {
        let Self::StartsAt(seconds) = self else { return BTreeMap::new() };
        [
            ("FAKETIME", format!("@{seconds}").as_str()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_FMT", "%s"),
            ("NO_FAKE_STAT", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Whether a recipe must not set the variable `name`, since it moves the clock or keeps it from being moved.
    #[must_use]
    pub fn owns(name: &str) -> bool {
        name == Self::PRELOAD
            || name.starts_with("FAKETIME")
            || name.contains("FAKE_STAT")
            || name.contains("FAKE_UTIME")
    }

    /// Whether `env` is that of a build under this clock, and of no other.
    #[must_use]
    pub fn is_in(self, env: &BTreeMap<String, String>) -> bool {
        let owned = |(name, _): &(&String, &String)| Self::owns(name) && *name != Self::PRELOAD;
        let set: BTreeMap<_, _> = env.iter().filter(owned).map(|(name, value)| (name.clone(), value.clone())).collect();
        let preloaded = env.get(Self::PRELOAD).is_some_and(|library| !library.is_empty());
        set == self.variables()
            && preloaded == matches!(self, Self::StartsAt(_))
            && env.contains_key(Self::PRELOAD) == preloaded
    }
}

impl Conditions {
    /// These conditions as they are for a deterministic build: all the same for every build but the build's directory.
    /// `epoch` is `SOURCE_DATE_EPOCH`, which its clock says where it is set.
    #[must_use]
    pub fn deterministic(&self, epoch: Option<u64>) -> Self {
        Self {
            build_path: self.build_path.clone(),
            hostname: "reprove".into(),
            processors: 1,
            file_order: FileOrder::Sorted,
            clock: Clock::Fixed(epoch.unwrap_or(Clock::DETERMINISTIC)),
            surroundings: Surroundings::default(),
        }
    }

    /// Whether they are those of a deterministic build.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        matches!(self.clock, Clock::Fixed(_))
    }

    /// What is not the same in `other`, sorted.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<Variation> {
        Variation::ALL.into_iter().filter(|&v| self.with(v, other) != *self).collect()
    }

    /// The environment variables that a build has under them, before those that its recipe sets and those of its clock.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        self.surroundings.variables(&self.build_path)
    }

    /// These conditions with one of them taken from `other`.
    #[must_use]
    pub fn with(&self, variation: Variation, other: &Self) -> Self {
        let mut conditions = self.clone();
        match variation {
            Variation::BuildPath => conditions.build_path.clone_from(&other.build_path),
            Variation::Clock => conditions.clock = other.clock,
            Variation::FileOrder => conditions.file_order = other.file_order,
            Variation::Hostname => conditions.hostname.clone_from(&other.hostname),
            Variation::Processors => conditions.processors = other.processors,
            _ => conditions.surroundings = self.surroundings.with(variation, &other.surroundings),
        }
        conditions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::User;

    #[test]
    fn each_variation_changes_its_condition_alone() {
        let a = Conditions {
            build_path: "/a".into(),
            hostname: "a".into(),
            processors: 1,
            file_order: FileOrder::Sorted,
            clock: Clock::Host,
            surroundings: Surroundings::default(),
        };
        let b = Conditions {
            build_path: "/b".into(),
            hostname: "b".into(),
            processors: 2,
            file_order: FileOrder::Reversed,
            clock: Clock::StartsAt(1),
            surroundings: Surroundings {
                home: Some("/homes/b".into()),
                user: Some(User { name: "b".into(), id: 2 }),
                domain: Some("b".into()),
                umask: Some(2),
                time_zone: Some("b".into()),
                locale: Some("b".into()),
                search_path: Some("/b".into()),
                temporary_directory: Some("/b".into()),
                extra_variable: Some("b".into()),
                hash_seed: Some(2),
                fixed_addresses: true,
                old_release: true,
                processes_after: Some(2),
                piped_input: true,
                memory_mib: Some(20),
                entropy: Some(2),
                neighbours: Some(2),
            },
        };
        assert_eq!(a.differing(&b), Variation::ALL);
        assert_eq!(a.differing(&a), []);
        for variation in Variation::ALL {
            assert_eq!(a.differing(&a.with(variation, &b)), [variation]);
        }
    }

    #[test]
    fn all_deterministic_builds_differ_in_their_directory_alone() {
        let conditions = |build_path: &str, processors, clock| Conditions {
            build_path: build_path.into(),
            hostname: build_path.into(),
            processors,
            file_order: FileOrder::Reversed,
            clock,
            surroundings: Surroundings { umask: Some(processors), ..Surroundings::default() },
        };
        let a = conditions("/a", 2, Clock::Host).deterministic(None);
        let b = conditions("/b", 3, Clock::StartsAt(9)).deterministic(None);
        assert_eq!(a.differing(&b), [Variation::BuildPath]);
        assert_eq!(a.deterministic(None), a);
        assert_eq!(a.deterministic(Some(7)).clock, Clock::Fixed(7));
    }

    #[test]
    fn a_clock_is_told_by_its_variables() {
        let with = |clock: Clock| {
            let mut env = clock.variables();
            env.insert("PATH".into(), "/usr/bin".into());
            if matches!(clock, Clock::StartsAt(_)) {
                env.insert(Clock::PRELOAD.into(), "/usr/lib/faketime.so".into());
            }
            env
        };
        let clocks = [Clock::Host, Clock::StartsAt(1), Clock::StartsAt(2)];
        for clock in clocks {
            for other in clocks {
                assert_eq!(clock.is_in(&with(other)), clock == other, "{clock:?} {other:?}");
            }
        }
        for other in clocks {
            assert_eq!(Clock::SetTo(1).is_in(&with(other)), other == Clock::Host, "{other:?}");
        }
        assert!(Clock::Fixed(1).is_in(&with(Clock::Host)) && !Clock::Fixed(1).is_in(&with(Clock::StartsAt(1))));
        let mut env = with(Clock::StartsAt(1));
        env.insert(Clock::PRELOAD.into(), String::new());
        assert!(!Clock::StartsAt(1).is_in(&env) && !Clock::Host.is_in(&env));
        assert!(["LD_PRELOAD", "FAKETIME", "FAKETIME_SHARED", "NO_FAKE_STAT"].into_iter().all(Clock::owns));
        assert!(!Clock::owns("LD_LIBRARY_PATH"));
    }
}
