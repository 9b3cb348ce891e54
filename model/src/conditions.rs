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
    /// In which order directories are listed.
    pub file_order: FileOrder,
    /// What the build sees as the time of day.
    pub clock: Clock,
    /// What it sees of its user, its session and its machine.
    #[serde(default, skip_serializing_if = "Surroundings::are_usual")]
    pub surroundings: Surroundings,
}

/// In which order directories are listed. The source's files are made in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileOrder {
    /// As the kernel lists them.
    Sorted,
    /// The same, backwards: all that one call gives, by the runner, in place of the kernel.
    Reversed,
}

/// What a build sees as the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Clock {
    /// The machine's clock.
    Host,
    /// The runner answers in place of the kernel: the time of day was this when the build began, in seconds since 1970, and
    /// goes on from there; what the build writes has times of that clock. `docs/sandbox.md` says what it reaches.
    MovedTo(u64),
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

    /// Whether a build can be under them: its surroundings are possible, and its clock goes faster only where the runner moves
    /// it.
    #[must_use]
    pub fn are_possible(&self) -> bool {
        let can_be_faster = matches!(self.clock, Clock::MovedTo(_));
        self.surroundings.are_possible() && (can_be_faster || self.surroundings.clock_speed.is_none())
    }

    /// Whether the runner answers some calls in place of the kernel, and says where a program was not reached.
    #[must_use]
    pub fn are_answered(&self) -> bool {
        matches!(self.clock, Clock::MovedTo(_) | Clock::Fixed(_)) || self.file_order == FileOrder::Reversed
    }

    /// What is not the same in `other`, sorted.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<Variation> {
        Variation::ALL.into_iter().filter(|&v| self.with(v, other) != *self).collect()
    }

    /// The environment variables that a build has under them, before those that its recipe sets.
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
    use crate::{Digest, FileSystem, User};

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
            clock: Clock::MovedTo(1),
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
                clock_speed: Some(2),
                old_processor: true,
                inodes_after: Some(2),
                file_system: Some(FileSystem::Overlay),
                kernel: Some(Digest::of(b"kernel")),
                terminal: true,
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
        let b = conditions("/b", 3, Clock::MovedTo(9)).deterministic(None);
        assert_eq!(a.differing(&b), [Variation::BuildPath]);
        assert_eq!(a.deterministic(None), a);
        assert_eq!(a.deterministic(Some(7)).clock, Clock::Fixed(7));
    }

    #[test]
    fn a_clock_goes_faster_only_where_it_is_answered() {
        let conditions = |clock, speed| Conditions {
            build_path: "/a".into(),
            hostname: "a".into(),
            processors: 1,
            file_order: FileOrder::Sorted,
            clock,
            surroundings: Surroundings { clock_speed: speed, ..Surroundings::default() },
        };
        for clock in [Clock::Host, Clock::SetTo(1), Clock::Fixed(1), Clock::MovedTo(1)] {
            assert!(conditions(clock, None).are_possible());
            assert_eq!(conditions(clock, Some(2)).are_possible(), clock == Clock::MovedTo(1));
        }
        assert!(!conditions(Clock::MovedTo(1), Some(1)).are_possible());
    }
}
