// SPDX-License-Identifier: Apache-2.0
//! Whom a build runs as, outside.

use std::fs;
use std::ops::RangeInclusive;

use nix::unistd::{User, getegid, geteuid};
use serde::{Deserialize, Serialize};

/// The user and the group outside that are the build's inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutsideIds {
    pub(super) user: u32,
    pub(super) group: u32,
    /// Ids that were lent to this process's user for purposes like this one: better, where they can be used.
    pub(super) lent: Option<(u32, u32)>,
}

/// The user and group outside that own what a build run by root makes, where there are all ids: above all that systems
/// give out, so that they own nothing else.
const SEPARATE_ID: u32 = 2_000_100_000;

/// From this many ids on there is one to spare; a container that an ordinary user has made commonly has this many: its own
/// and 65,536 more.
const MANY: u64 = 65_537;

impl OutsideIds {
    /// Those to use, and whether they are other than this process's own.
    pub(super) fn choose() -> (Self, bool) {
        let own = Self { user: geteuid().as_raw(), group: getegid().as_raw(), lent: None };
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        if own.user != 0 {
            let name = User::from_uid(geteuid()).ok().flatten().map(|user| user.name).unwrap_or_default();
            let lent = |file| lent(&read(file), &name, own.user);
            return (Self { lent: lent("/etc/subuid").zip(lent("/etc/subgid")), ..own }, false);
        }
        let separate = separate(&read("/proc/self/uid_map"), &read("/proc/self/gid_map"));
        (separate.map_or(own, |id| Self { user: id, group: id, lent: None }), separate.is_some())
    }
}

/// The last id of the first range that is lent to a user, by `subuid(5)`. Containers commonly use the first ones.
fn lent(file: &str, name: &str, id: u32) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let whose = fields.next()?;
        let (first, count) = (fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?);
        let is_ours = !whose.is_empty() && (whose == name || whose.parse() == Ok(id));
        if is_ours { first.checked_add(count.checked_sub(1)?) } else { None }
    })
}

/// An id that is both a user's and a group's and, as far as one can tell, nobody's, by the maps of `user_namespaces(7)`.
/// `None` where too few are mapped to spare one.
fn separate(users: &str, groups: &str) -> Option<u32> {
    let (users, groups) = (ranges(users), ranges(groups));
    let both: Vec<RangeInclusive<u64>> = users
        .iter()
        .flat_map(|user| groups.iter().map(|group| *user.start().max(group.start())..=*user.end().min(group.end())))
        .filter(|range| !range.is_empty())
        .collect();
    if both.iter().any(|range| range.contains(&u64::from(SEPARATE_ID))) {
        return Some(SEPARATE_ID);
    }
    let count: u64 = both.iter().map(|range| range.end() - range.start() + 1).sum();
    let highest = both.iter().map(|range| *range.end()).max()?;
    if count < MANY { None } else { u32::try_from(highest).ok() }
}

/// The ids that are mapped, as this process sees them.
fn ranges(map: &str) -> Vec<RangeInclusive<u64>> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (first, _, count) = (numbers.next()?.ok()?, numbers.next()?, numbers.next()?.ok()?);
        // The last number is no id: it stands for none.
        let end = first.checked_add(count)?.min(u64::from(u32::MAX));
        Some(first..=end.checked_sub(1)?)
    };
    map.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_ids_are_those_of_the_user() {
        let file = "# a comment\nother:100000:65536\nsomebody:165536:65536\nsomebody:5:1\n1001:300:1\n:7:1\n";
        assert_eq!(lent(file, "somebody", 1000), Some(165_536 + 65_535));
        assert_eq!(lent(file, "", 1001), Some(300));
        assert_eq!(lent(file, "nobody", 1000), None);
        assert_eq!(lent("a:1:0\nb:4294967295:2\nc:x:1\nd:1\n", "a", 1), None);
        assert_eq!(lent("b:4294967295:2\n", "b", 1), None);
    }

    #[test]
    fn a_separate_user_is_one_that_is_mapped() {
        let all = "         0          0 4294967295\n";
        assert_eq!(separate(all, all), Some(SEPARATE_ID));
        // A container without root, as Podman makes it: the user's own id and those of /etc/subuid.
        let podman = "0 1000 1\n1 100000 65536\n";
        assert_eq!(separate(podman, podman), Some(65_536));
        assert_eq!(separate(all, podman), Some(65_536));
        // One id too few.
        let fewer = "0 1000 1\n1 100000 65535\n";
        assert_eq!(separate(fewer, fewer), None);
        assert_eq!(separate(podman, fewer), None);
        // `unshare -r`, and no map at all.
        assert_eq!(separate("0 1000 1\n", "0 1000 1\n"), None);
        assert_eq!(separate("", ""), None);
    }

    #[test]
    fn ids_that_are_mapped_on_one_side_alone_are_not_used() {
        assert_eq!(separate("0 0 100000\n", "50000 0 100000\n"), None);
        assert_eq!(separate("0 0 200000\n", "50000 0 100000\n"), Some(149_999));
        assert_eq!(separate("0 0 4294967295\n", "0 0 2000100000\n"), Some(2_000_099_999));
        assert_eq!(separate("0 0 4294967295\n", "0 0 2000100001\n"), Some(SEPARATE_ID));
    }

    #[test]
    fn lines_that_are_no_map_are_passed_over() {
        assert!(ranges("0 0\n\nx 0 1\n0 0 0\n18446744073709551615 0 2\n").is_empty());
    }
}
