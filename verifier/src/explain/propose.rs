// SPDX-License-Identifier: Apache-2.0
//! What the form of a difference suggests: the conditions that have left something of theirs on both sides.
//!
//! Nothing here shows anything. It orders what is tried first, and says so where nothing is tried.

use jiff::Timestamp;
use reprove_model::{Between, Clock, Conditions, Detail, Finding, FindingKind, Proposal, Surroundings, Variation};

/// The conditions that a finding looks as if they caused it, each once, the likeliest first. Of a finding between rebuilds,
/// those alone that the two had different.
#[must_use]
pub fn propose(finding: &Finding, first: &Conditions, second: &Conditions) -> Vec<Proposal> {
    let is_between_rebuilds = finding.between == Between::Rebuilds;
    let differing = first.differing(second);
    let by_form = (finding.details.iter()).flat_map(|detail| {
        let texts = by_value(detail, first, second).into_iter();
        texts.chain(by_time(detail, first.clock, second.clock)).chain(by_number(detail, first, second))
    });
    // Under which conditions somebody else has built is not known.
    let by_form = by_form.filter(|_| is_between_rebuilds);
    let by_kind = by_kind(finding.kind).iter().map(|variation| (*variation, finding.kind.name().to_owned()));
    let order = is_reordered(&finding.details).then_some(ORDERS).into_iter().flatten();
    let order = order.map(|variation| (variation, "the same parts are there in another order".to_owned()));
    let mut proposals: Vec<Proposal> = Vec::new();
    for (variation, why) in by_form.chain(by_kind).chain(order) {
        if (differing.contains(&variation) || !is_between_rebuilds)
            && proposals.iter().all(|proposal| proposal.variation != variation)
        {
            proposals.push(Proposal { variation, why });
        }
    }
    proposals
}

/// What makes an order another, the likeliest first.
const ORDERS: [Variation; 4] = [Variation::FileOrder, Variation::HashSeed, Variation::Locale, Variation::Processors];

fn by_kind(kind: FindingKind) -> &'static [Variation] {
    match kind {
        FindingKind::Mode | FindingKind::ZipEntryAttributes | FindingKind::ArchiveModes => &[Variation::Umask],
        FindingKind::ArchiveOwners => &[Variation::User],
        FindingKind::ArchiveTimes | FindingKind::ZipEntryTimes => &[Variation::Clock, Variation::TimeZone],
        FindingKind::ArchiveOrder | FindingKind::ZipEntryOrder => &ORDERS,
        _ => &[],
    }
}

/// What each condition is called by the build itself, on both sides; where one side has nothing, it is not there.
fn values(first: &Conditions, second: &Conditions) -> Vec<(Variation, String, String)> {
    let (a, b) = (&first.surroundings, &second.surroundings);
    let text = |variation, of: &dyn Fn(&Conditions) -> String| (variation, of(first), of(second));
    let octal = |surroundings: &Surroundings| format!("{:03o}", surroundings.umask.unwrap_or(0o022));
    let variable = |variation, name: &str| {
        let of = |conditions: &Conditions| conditions.variables().get(name).cloned().unwrap_or_default();
        (variation, of(first), of(second))
    };
    vec![
        text(Variation::BuildPath, &|conditions| conditions.build_path.clone()),
        text(Variation::Hostname, &|conditions| conditions.hostname.clone()),
        variable(Variation::Home, "HOME"),
        variable(Variation::SearchPath, "PATH"),
        variable(Variation::TemporaryDirectory, "TMPDIR"),
        variable(Variation::TimeZone, "TZ"),
        variable(Variation::Locale, "LC_ALL"),
        variable(Variation::ExtraVariable, Surroundings::EXTRA),
        (Variation::User, a.user_name().into(), b.user_name().into()),
        (Variation::User, a.user_id().to_string(), b.user_id().to_string()),
        (Variation::Domain, a.domain.clone().unwrap_or_default(), b.domain.clone().unwrap_or_default()),
        (Variation::Umask, octal(a), octal(b)),
        (Variation::KernelRelease, String::new(), if b.old_release { "2.6.".into() } else { String::new() }),
    ]
}

fn by_value(detail: &Detail, first: &Conditions, second: &Conditions) -> Vec<(Variation, String)> {
    let says = |(variation, left, right): (Variation, String, String)| {
        let is_there = left != right
            && (left.is_empty() || has_word(&detail.left, &left))
            && (right.is_empty() || has_word(&detail.right, &right))
            // What one side alone has to show must not be on the other.
            && (right.is_empty() || !has_word(&detail.left, &right));
        let why = match (left.is_empty(), right.is_empty()) {
            (false, false) => format!("`{left}` on the left, `{right}` on the right"),
            (false, true) => format!("`{left}` on the left alone"),
            _ => format!("`{right}` on the right alone"),
        };
        is_there.then_some((variation, why))
    };
    values(first, second).into_iter().filter_map(says).collect()
}

/// Whether `word` is in the text, and not as a part of a longer name or number.
fn has_word(text: &str, word: &str) -> bool {
    let is_apart = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        let after = text.get(at + word.len()..).and_then(|rest| rest.chars().next());
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        // `2.6.` goes on.
        (word.ends_with('.') || is_apart(after)) && is_apart(before)
    })
}

/// The seconds that a build may have taken until it wrote a time down.
const WHILE_BUILDING: u64 = 7 * 86_400;

fn by_time(detail: &Detail, first: Clock, second: Clock) -> Option<(Variation, String)> {
    let (left, right) = (begins(first)?, begins(second)?);
    let years = (year(left)?, year(right)?);
    let near = |text: &str, begins: u64| {
        numbers(text).any(|number| {
            number.abs_diff(begins) < WHILE_BUILDING || number.abs_diff(1000 * begins) < 1000 * WHILE_BUILDING
        })
    };
    let why = if near(&detail.left, left) && near(&detail.right, right) {
        "a number on each side is the time of that build, in seconds or milliseconds since 1970"
    } else if years.0 != years.1 && numbers_have(&detail.left, years.0) && numbers_have(&detail.right, years.1) {
        "the year of each build is on its side"
    } else {
        return None;
    };
    Some((Variation::Clock, why.to_owned()))
}

fn by_number(detail: &Detail, first: &Conditions, second: &Conditions) -> Vec<(Variation, String)> {
    let mut found = Vec::new();
    let address = |text: &str| {
        text.split(|c: char| !c.is_ascii_alphanumeric())
            .filter_map(|word| word.strip_prefix("0x").or(word.strip_prefix("0X")))
            .any(|hex| (9..=16).contains(&hex.len()) && u64::from_str_radix(hex, 16).is_ok())
    };
    if address(&detail.left) && address(&detail.right) {
        found.push((Variation::Addresses, "what looks like an address in memory is on both sides".to_owned()));
    }
    if let Some(after) = second.surroundings.processes_after {
        let id = |number: u64| (u64::from(after)..u64::from(after) + 500).contains(&number);
        if numbers(&detail.right).any(id) && !numbers(&detail.left).any(id) {
            found.push((Variation::ProcessIds, "a number on the right is as the process ids of that build".to_owned()));
        }
    }
    let counts = (u64::from(first.processors), u64::from(second.processors));
    if numbers_have(&detail.left, counts.0) && numbers_have(&detail.right, counts.1) {
        found.push((Variation::Processors, "the number of processors of each build is on its side".to_owned()));
    }
    if let Some(less) = second.surroundings.memory_mib {
        let kib = u64::from(less) << 10;
        if [kib, kib << 10, u64::from(less)].iter().any(|size| numbers_have(&detail.right, *size)) {
            found.push((Variation::Memory, "the memory of the second build is on its side".to_owned()));
        }
    }
    found
}

/// The numbers in a text, as they are written in decimal.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok())
}

fn numbers_have(text: &str, number: u64) -> bool {
    numbers(text).any(|found| found == number)
}

fn year(seconds: u64) -> Option<u64> {
    let time = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    u64::try_from(time.to_zoned(jiff::tz::TimeZone::UTC).year()).ok()
}

fn begins(clock: Clock) -> Option<u64> {
    match clock {
        Clock::MovedTo(seconds) | Clock::SetTo(seconds) | Clock::Fixed(seconds) => Some(seconds),
        Clock::Host => None,
    }
}

/// Whether the right sides are the left ones in another order. Of one single difference: whether the words are.
fn is_reordered(details: &[Detail]) -> bool {
    let mut left: Vec<&str> =
        details.iter().map(|detail| detail.left.as_str()).filter(|text| !text.is_empty()).collect();
    let mut right: Vec<&str> =
        details.iter().map(|detail| detail.right.as_str()).filter(|text| !text.is_empty()).collect();
    if let ([one], [other]) = (left.as_slice(), right.as_slice()) {
        let words = |text: &'_ str| -> Vec<String> {
            let parts = text.split(|c: char| !c.is_alphanumeric());
            parts.filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let (mut one, mut other) = (words(one), words(other));
        let is_other = one != other;
        one.sort_unstable();
        other.sort_unstable();
        return is_other && one == other && one.len() > 1;
    }
    left.sort_unstable();
    right.sort_unstable();
    !left.is_empty() && left == right
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Wanted, conditions};

    fn proposed(kind: FindingKind, details: &[(&str, &str)]) -> Vec<Variation> {
        let (clock, locale) = (Some((1_800_000_000, Clock::MovedTo as fn(u64) -> Clock)), Some("fr_CH.UTF-8".into()));
        let (first, second) = conditions(&Wanted { clock, locale, ..Wanted::all(4) });
        let detail =
            |(left, right): &(&str, &str)| Detail { at: String::new(), left: (*left).into(), right: (*right).into() };
        let finding = Finding {
            between: Between::Rebuilds,
            place: "out".into(),
            kind,
            summary: String::new(),
            details: details.iter().map(detail).collect(),
            count: 1,
            causes: vec![],
            proposed: vec![],
        };
        propose(&finding, &first, &second).into_iter().map(|proposal| proposal.variation).collect()
    }

    #[test]
    fn what_a_condition_leaves_behind_is_proposed_first() {
        let content = |left: &str, right: &str| proposed(FindingKind::Content, &[(left, right)]).first().copied();
        let (first, second) = conditions(&Wanted { locale: Some("fr_CH.UTF-8".into()), ..Wanted::all(4) });
        for (variation, left, right) in values(&first, &second) {
            let (left, right) = (format!("in {left}/x"), format!("in {right}/x"));
            assert_eq!(content(&left, &right), Some(variation), "{left} {right}");
        }
        assert_eq!(content("built 1802870225", "built 1837452253"), Some(Variation::Clock));
        assert_eq!(content("built 2027-02-17", "built 2028-03-23"), Some(Variation::Clock));
        assert_eq!(content("at 0x7f2212345678", "at 0x7ffd00001111"), Some(Variation::Addresses));
        assert_eq!(content("pid 12", "pid 312"), Some(Variation::ProcessIds));
        assert_eq!(content("-j4", "-j3"), Some(Variation::Processors));
        assert_eq!(content("a b c", "c a b"), Some(Variation::FileOrder));
        assert_eq!(content("x", "y"), None);
        assert_eq!(content("1800003605", "1800003606"), None, "a clock that goes on is no other clock");
    }

    #[test]
    fn kinds_suggest_what_makes_them() {
        assert_eq!(proposed(FindingKind::ArchiveOwners, &[]), [Variation::User]);
        assert_eq!(proposed(FindingKind::ZipEntryTimes, &[]), [Variation::Clock, Variation::TimeZone]);
        assert_eq!(proposed(FindingKind::Mode, &[]), [Variation::Umask]);
        assert_eq!(proposed(FindingKind::Content, &[("a", "b"), ("b", "a")]), ORDERS);
    }

    #[test]
    fn what_was_not_varied_is_not_proposed() {
        let (first, _) = conditions(&Wanted::all(4));
        let finding = Finding {
            between: Between::Rebuilds,
            place: "out".into(),
            kind: FindingKind::Mode,
            summary: String::new(),
            details: vec![],
            count: 1,
            causes: vec![],
            proposed: vec![],
        };
        assert_eq!(propose(&finding, &first, &first), []);
    }

    #[test]
    fn a_part_of_a_word_is_not_the_word() {
        assert!(has_word("a reprove-first b", "reprove-first") && !has_word("xreprove-first", "reprove-first"));
        assert!(!has_word("10000", "1000") && has_word("uid=1000,", "1000") && has_word("Linux 2.6.72", "2.6."));
    }
}
