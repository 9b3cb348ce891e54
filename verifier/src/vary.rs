// SPDX-License-Identifier: Apache-2.0
//! Conditions made different on purpose, and where builds differ.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use reprove_model::{
    Between, BuildRecord, Clock, Closure, Conditions, Digest, Environment, FileOrder, FileSystem, Finding, FindingKind,
    Recipe, Surroundings, User, Variation,
};

use crate::compare::{Blobs, CompareError, Options, Side, compare};

/// How far apart the clocks are: 400 days, 6 hours, 7 minutes and 8 seconds. Every part of a date and time changes with it.
const CLOCK_SECONDS: u64 = 400 * 86_400 + 6 * 3_600 + 7 * 60 + 8;
/// How far the first clock is ahead of the machine's: 33 days, 5 hours and 17 minutes, more than a build may take. What one of
/// the two clocks says while a build runs, the other never does, so that it is known whose a time is; and no program counts
/// back by just that.
const AHEAD_SECONDS: u64 = 33 * 86_400 + 5 * 3_600 + 17 * 60;

/// The time now, in seconds since 1970, and how a clock is moved to another.
pub type MovedClock = (u64, fn(u64) -> Clock);

/// What is to be varied, and what there is to vary it with.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which conditions.
    pub variations: BTreeSet<Variation>,
    /// How many processors there are; with one, their number can't be varied.
    pub processors: u32,
    /// How clocks are moved; without that, the clock can't be varied.
    pub clock: Option<MovedClock>,
    /// A locale of the root filesystem that sorts and speaks otherwise than `C.UTF-8`; without one, `C` is taken, which has
    /// another set of characters and nothing else.
    pub locale: Option<String>,
    /// The build's limit of memory, in MiB.
    pub memory_mib: u32,
    /// Whether there are machines whose processor can be another.
    pub processor_models: bool,
    /// What else a build can write to; without that, the file system can't be varied.
    pub file_system: Option<FileSystem>,
    /// Another kernel that machines can have; without that, it can't be varied.
    pub kernel: Option<Digest>,
    /// Whether it is a derivation, which Nix builds in one folder, on a machine called `localhost`, and without a random layout
    /// of addresses.
    pub is_derivation: bool,
}

impl Wanted {
    /// What is varied where nobody says otherwise: all but [`Variation::Entropy`], of which each build has its own anyway,
    /// [`Variation::ClockSpeed`], which makes what has a limit of time miss it, [`Variation::Load`], which takes as much time as
    /// the build itself, [`Variation::Terminal`], on which some programs wait for somebody to type, and [`Variation::Umask`], since
    /// an output's permission bits are compared, and every linker takes them from there.
    #[must_use]
    pub fn usually() -> BTreeSet<Variation> {
        use Variation::{ClockSpeed, Entropy, Load, Terminal, Umask};
        let is_usual = |variation: &Variation| !matches!(variation, ClockSpeed | Entropy | Load | Terminal | Umask);
        Variation::ALL.into_iter().filter(is_usual).collect()
    }

    /// What is varied where the question is whether something published comes out again: what every rebuilder has its own
    /// of. More would find more that the publisher's build depends on, and less that is as published.
    #[must_use]
    pub fn of_published() -> BTreeSet<Variation> {
        use Variation::{BuildPath, Clock, FileOrder, Hostname, Processors};
        [BuildPath, Clock, FileOrder, Hostname, Processors].into()
    }

    /// The same of a derivation: what Nix's sandbox leaves to the machine. It has one host name and one folder for all.
    #[must_use]
    pub fn of_derivation() -> BTreeSet<Variation> {
        use Variation::{Clock, FileOrder, Processors};
        [Clock, FileOrder, Processors].into()
    }

    /// Without what `recipe` has settled: what it pins, and what it sets a variable of.
    #[must_use]
    pub fn but_for(mut self, recipe: &Recipe) -> Self {
        let is_set =
            |variation: &Variation| variation.variables().iter().any(|name| recipe.own_variables().contains_key(*name));
        self.variations.retain(|variation| !is_set(variation) && !recipe.pinned.contains_key(variation));
        if matches!(recipe.environment, Environment::Closure(_)) {
            // It has variables of its own alone.
            let is_there =
                |variation: &Variation| *variation != Variation::BuildPath && variation.variables().is_empty();
            self.variations.retain(is_there);
            self.is_derivation = true;
        }
        self
    }

    /// Everything, with so many processors, and no clock.
    #[cfg(test)]
    pub(crate) fn all(processors: u32) -> Self {
        Self {
            variations: Variation::ALL.into(),
            processors,
            clock: None,
            locale: None,
            memory_mib: 2048,
            processor_models: true,
            file_system: Some(FileSystem::Overlay),
            kernel: Some(Digest::of(b"another")),
            is_derivation: false,
        }
    }
}

/// The conditions of a first build, and of a second where everything is different that is wanted and can be. Both clocks
/// begin at a fixed time, and what is random by itself is fixed in the first, so that builds under the same conditions see
/// the same.
#[must_use]
pub fn conditions(wanted: &Wanted) -> (Conditions, Conditions) {
    let clock = |ahead: u64| wanted.clock.map_or(Clock::Host, |(now, moved)| moved(now.saturating_add(ahead)));
    let is_wanted = |variation| wanted.variations.contains(&variation);
    let processors = wanted.processors.max(1);
    let first = Conditions {
        build_path: if wanted.is_derivation { Closure::BUILD_PATH } else { "/build/first" }.into(),
        hostname: if wanted.is_derivation { "localhost" } else { "reprove-first" }.into(),
        processors,
        file_order: FileOrder::Sorted,
        clock: clock(AHEAD_SECONDS),
        surroundings: Surroundings {
            // Below the build directory it would change with that.
            home: is_wanted(Variation::Home).then(|| "/homes/first".into()),
            fixed_addresses: wanted.is_derivation || is_wanted(Variation::Addresses),
            hash_seed: is_wanted(Variation::HashSeed).then_some(1),
            ..Surroundings::default()
        },
    };
    let other = Conditions {
        build_path: "/build/another/second".into(),
        hostname: "reprove-other-second".into(),
        processors: if processors > 1 { processors - 1 } else { 1 },
        file_order: FileOrder::Reversed,
        clock: clock(AHEAD_SECONDS + CLOCK_SECONDS),
        surroundings: Surroundings {
            clock_speed: matches!(first.clock, Clock::MovedTo(_)).then_some(3),
            ..another(wanted)
        },
    };
    let second = wanted.variations.iter().fold(first.clone(), |second, variation| second.with(*variation, &other));
    (first, second)
}

/// The second build's user, session and machine.
fn another(wanted: &Wanted) -> Surroundings {
    Surroundings {
        home: Some("/homes/of/another".into()),
        user: Some(User { name: "other-user".into(), id: 2345 }),
        domain: Some("second.example".into()),
        umask: Some(0o002),
        time_zone: Some("GMT-14".into()),
        locale: Some(wanted.locale.clone().unwrap_or_else(|| "C".into())),
        search_path: Some("/usr/bin:/bin:/another/place/of/programs".into()),
        temporary_directory: Some("/tmp/of-second".into()),
        extra_variable: Some("of-the-second-build".into()),
        hash_seed: Some(2),
        fixed_addresses: false,
        old_release: true,
        processes_after: Some(300),
        piped_input: true,
        memory_mib: Some(wanted.memory_mib / 4 * 3).filter(|less| *less >= 16),
        entropy: None,
        neighbours: Some(wanted.processors.clamp(1, 64)),
        clock_speed: None,
        old_processor: wanted.processor_models,
        inodes_after: Some(1000),
        file_system: wanted.file_system,
        kernel: wanted.kernel,
        terminal: true,
    }
}

/// The places in which a build's outputs differ from the first one's, and how.
#[derive(Clone, Debug)]
pub struct Differing(BTreeSet<(String, FindingKind)>);

impl Differing {
    /// Compares the outputs of `other` with those of `first`; takes as long as comparing takes.
    ///
    /// # Errors
    /// [`CompareError`].
    pub fn between(first: &BuildRecord, other: &BuildRecord, blobs: &dyn Blobs) -> Result<Self, CompareError> {
        let left = Side { tree: &first.outputs, blobs };
        let right = Side { tree: &other.outputs, blobs };
        let findings = compare(left, right, Options::beside(Between::Rebuilds, blobs))?.findings;
        Ok(Self(findings.into_iter().map(|finding| (finding.place, finding.kind)).collect()))
    }

    /// Whether there is a difference at this place.
    #[must_use]
    pub fn is_at(&self, place: &str) -> bool {
        self.0.iter().any(|(at, _)| at == place)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether one of them is this finding's.
    #[must_use]
    pub fn has(&self, finding: &Finding) -> bool {
        self.0.contains(&(finding.place.clone(), finding.kind))
    }
}

/// Blobs of a store.
impl Blobs for reprove_store::Store {
    fn open(&self, digest: &reprove_model::Digest) -> io::Result<std::fs::File> {
        self.open_blob(digest).map_err(io::Error::other)
    }

    fn scratch(&self) -> Option<&Path> {
        Some(self.temporary_folder())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_of_a_store_have_room_for_what_is_large() {
        let folder = tempfile::tempdir().unwrap();
        let store = reprove_store::Store::open(&folder.path().join("store")).unwrap();
        let scratch = Options::beside(Between::Rebuilds, &store).scratch.unwrap();
        assert!(scratch.starts_with(folder.path()) && tempfile::tempfile_in(scratch).is_ok());
    }

    #[test]
    fn everything_that_can_be_is_different() {
        let (first, second) = conditions(&Wanted { clock: Some((0, Clock::MovedTo)), ..Wanted::all(4) });
        let kept = |first: &Conditions, second: &Conditions| {
            let is_kept = |variation: &Variation| !first.differing(second).contains(variation);
            Variation::ALL.into_iter().filter(is_kept).collect::<Vec<_>>()
        };
        // Every build has entropy of its own.
        assert_eq!(kept(&first, &second), [Variation::Entropy]);
        let (first, second) = conditions(&Wanted::all(1));
        assert_eq!(
            kept(&first, &second),
            [Variation::Clock, Variation::ClockSpeed, Variation::Entropy, Variation::Processors]
        );
        assert!(first.surroundings.are_possible() && second.surroundings.are_possible());
    }

    /// Which derivations are not to be under is not wanted of them, whoever asks for it.
    #[test]
    fn a_derivation_is_varied_where_it_can_be() {
        let text = "[package]\nname = 'a'\n[source]\ndirectory = '.'\n[environment]\nstore = '/nix/store'\n[build]\n\
                    program = ['/nix/store/x/sh']\n[outputs]\npaths = ['store/y']\nnar = 'a.nar'\n";
        let recipe = Recipe::from_toml(text).unwrap();
        let wanted = Wanted { clock: Some((0, Clock::MovedTo)), ..Wanted::all(4) }.but_for(&recipe);
        let (first, second) = conditions(&wanted);
        assert!(recipe.allows(&first) && recipe.allows(&second));
        let differing = first.differing(&second);
        for variation in Wanted::of_derivation().into_iter().chain([Variation::Addresses, Variation::Hostname]) {
            assert!(differing.contains(&variation), "{variation}");
        }
        assert!(first.surroundings.fixed_addresses && first.hostname == "localhost");
        let usual = Wanted { variations: Wanted::of_derivation(), ..wanted };
        let (first, second) = conditions(&usual);
        assert_eq!((first.hostname, first.build_path), (second.hostname, second.build_path));
    }

    #[test]
    fn what_is_not_wanted_is_as_it_always_is() {
        let (first, second) = conditions(&Wanted { variations: Wanted::of_published(), ..Wanted::all(2) });
        assert!(first.surroundings.are_usual() && second.surroundings.are_usual());
        let (first, second) = conditions(&Wanted { variations: BTreeSet::new(), ..Wanted::all(2) });
        assert_eq!(first, second);
        for variation in Variation::ALL.into_iter().filter(|variation| *variation != Variation::Entropy) {
            let wanted = Wanted { variations: [variation].into(), clock: Some((0, Clock::MovedTo)), ..Wanted::all(2) };
            let (first, second) = conditions(&wanted);
            assert_eq!(first.differing(&second), [variation]);
        }
    }

    #[test]
    fn what_a_recipe_has_settled_is_not_varied() {
        let text = "package.name = 'p'\nsource.directory = '.'\noutputs.paths = ['out']\n[build]\nsteps = ['make']\n\
                    env = { TZ = 'UTC' }\n[pinned]\nclock = 'the licence ends'\n";
        let recipe = Recipe::from_toml(text).unwrap();
        let left = Wanted::all(2).but_for(&recipe).variations;
        let settled: Vec<Variation> =
            Variation::ALL.into_iter().filter(|variation| !left.contains(variation)).collect();
        assert_eq!(settled, [Variation::Clock, Variation::TimeZone]);
    }
}
