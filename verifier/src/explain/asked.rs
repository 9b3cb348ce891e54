// SPDX-License-Identifier: Apache-2.0
//! Which program of a build asked for what a condition decides, as far as the build was watched.

use reprove_model::{Asker, Conditions, InsidePath, ObservedListing, ObservedPath, Use, Variation};

/// The most that is named.
const MOST: usize = 5;

/// What was seen of a build, under `conditions`, that takes in what `variation` is about: `PROGRAM asks for uname`,
/// `PROGRAM opens /etc/passwd`. Each is the first program that did; that it did is no proof that the difference comes from
/// there. Empty where nothing was seen, or can be.
#[must_use]
pub fn asked(variation: Variation, listing: &ObservedListing, conditions: &Conditions) -> Vec<String> {
    let (calls, paths) = sources(variation, conditions);
    let calls = calls.iter().filter_map(|call| {
        let by = listing.calls.get(*call)?;
        Some(format!("{} asks for {call}", program(by)))
    });
    let is_wanted = |(path, seen): &(&InsidePath, &ObservedPath)| match &paths {
        Paths::Below(places) => places.iter().any(|place| is_at_or_below(&path.to_string(), place)),
        Paths::Listed(place) => seen.uses.contains(&Use::List) && is_at_or_below(&path.to_string(), place),
    };
    let paths = listing.paths.iter().filter(is_wanted).map(|(path, seen)| {
        let does = if seen.uses.contains(&Use::List) { "lists" } else { "asks for" };
        let does = if seen.uses.contains(&Use::Open) { "opens" } else { does };
        format!("{} {does} {path}", program(&seen.by))
    });
    calls.chain(paths).take(MOST).collect()
}

fn program(by: &Asker) -> String {
    by.as_ref().map_or_else(|| "a program".to_owned(), InsidePath::to_string)
}

/// Where a path is that says something of a condition.
enum Paths {
    /// One of these, or below it.
    Below(Vec<String>),
    /// A directory at or below this one that is listed.
    Listed(String),
}

/// The calls and the files by which a build comes to know of a condition.
fn sources(variation: Variation, conditions: &Conditions) -> (&'static [&'static str], Paths) {
    let below = |places: &[&str]| Paths::Below(places.iter().map(|place| (*place).to_owned()).collect());
    let variable = |name: &str| Paths::Below(conditions.variables().get(name).cloned().into_iter().collect());
    match variation {
        Variation::Clock | Variation::ClockSpeed => (&["clock_gettime"], below(&[])),
        Variation::Hostname => (&["uname"], below(&["/proc/sys/kernel/hostname"])),
        Variation::Domain => (&["uname"], below(&["/etc/hosts", "/proc/sys/kernel/domainname"])),
        Variation::Kernel | Variation::KernelRelease => {
            (&["uname"], below(&["/proc/version", "/proc/sys/kernel/osrelease"]))
        }
        Variation::User => (&[], below(&["/etc/passwd", "/etc/group"])),
        Variation::TimeZone => (&[], below(&["/usr/share/zoneinfo", "/etc/localtime"])),
        Variation::Locale => (&[], below(&["/usr/lib/locale"])),
        Variation::Terminal => (&[], below(&["/dev/pts"])),
        Variation::Home => (&[], variable("HOME")),
        Variation::TemporaryDirectory => (&[], variable("TMPDIR")),
        Variation::Memory => (&["sysinfo"], below(&["/proc/meminfo"])),
        Variation::ProcessorModel => (&[], below(&["/proc/cpuinfo"])),
        Variation::Processors => {
            (&["sched_getaffinity"], below(&["/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/stat"]))
        }
        Variation::FileOrder => (&[], Paths::Listed(format!("{}/source", conditions.build_path))),
        Variation::Entropy => (&["getrandom"], below(&["/dev/random", "/dev/urandom"])),
        Variation::Addresses
        | Variation::BuildPath
        | Variation::ExtraVariable
        | Variation::FileSystem
        | Variation::HashSeed
        | Variation::InodeNumbers
        | Variation::Load
        | Variation::ProcessIds
        | Variation::SearchPath
        | Variation::StandardInput
        | Variation::Umask => (&[], below(&[])),
    }
}

fn is_at_or_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use reprove_model::{ListingFormat, Origin, RecordMode};

    use super::*;
    use crate::{Wanted, conditions};

    #[test]
    fn who_asked_is_named_where_it_was_seen() {
        let path = |text: &str| InsidePath::new(text).unwrap();
        let seen = |uses: &[Use], by: &str| ObservedPath {
            origin: Origin::Environment,
            uses: uses.iter().copied().collect(),
            leads_to: None,
            digest: None,
            by: Some(path(by)),
        };
        let listing = ObservedListing {
            format: ListingFormat::V0_1,
            mode: RecordMode::Full,
            lost: BTreeSet::new(),
            paths: BTreeMap::from([
                (path("/etc/passwd"), seen(&[Use::Open], "/usr/bin/id")),
                (path("/etc/passwd2"), seen(&[Use::Open], "/usr/bin/x")),
                (path("/build/first/source/a"), seen(&[Use::List], "/usr/bin/ls")),
                (path("/build/first/source/b"), seen(&[Use::Open], "/usr/bin/cat")),
            ]),
            calls: BTreeMap::from([("uname".to_owned(), Some(path("/usr/bin/hostname")))]),
            network: BTreeMap::new(),
        };
        let (first, _) = conditions(&Wanted::all(2));
        let asked = |variation| asked(variation, &listing, &first);
        assert_eq!(asked(Variation::User), ["/usr/bin/id opens /etc/passwd"]);
        assert_eq!(asked(Variation::Hostname), ["/usr/bin/hostname asks for uname"]);
        assert_eq!(asked(Variation::FileOrder), ["/usr/bin/ls lists /build/first/source/a"]);
        assert!(asked(Variation::Umask).is_empty());
    }
}
