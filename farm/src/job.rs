// SPDX-License-Identifier: Apache-2.0
//! What jobs are called, where they wait, and in which order.

use std::fmt;
use std::str::FromStr;

use reprove_model::{Digest, Isolation};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use utoipa::ToSchema;

/// A build: 32 lower-case hexadecimal digits, of a digest over what was asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildId(u128);

impl BuildId {
    /// Of a request: `key` is its digest, and `generation` how often the same had been asked for, and finished, before.
    #[must_use]
    pub fn new(key: &Digest, generation: u32) -> Self {
        let mut bytes = key.to_string().into_bytes();
        bytes.extend(generation.to_be_bytes());
        let digest = Digest::of(&bytes).to_string();
        Self(digest.get(..32).and_then(|digits| u128::from_str_radix(digits, 16).ok()).unwrap_or_default())
    }

    /// The same build's job of a slot, counted from 1.
    #[must_use]
    pub fn job(self, slot: u8) -> JobId {
        JobId { build: self, slot }
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BuildId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(InvalidId);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidId)
    }
}

/// One rebuilder's part of a build: the build's id, a dash, and the slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId {
    /// Of which build.
    pub build: BuildId,
    /// Which of its rebuilders, counted from 1.
    pub slot: u8,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.build, self.slot)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (build, slot) = text.split_once('-').ok_or(InvalidId)?;
        let number = slot.parse().map_err(|_| InvalidId)?;
        // One way to write it.
        if number == 0 || slot.starts_with(['0', '+']) {
            return Err(InvalidId);
        }
        Ok(Self { build: build.parse()?, slot: number })
    }
}

/// A text that names no build or job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is no id: a build has 32 hexadecimal digits, and a job these, a dash and a number from 1 to 255")]
pub struct InvalidId;

/// A name that stands in subjects, labels and addresses: one to 63 lower-case letters, digits and dashes, as of a host
/// (RFC 1123, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The most characters.
    pub const MAX: usize = 63;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(fits)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if is_name { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }
}

/// A text that is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a name has 1 to 63 lower-case letters, digits and dashes, and begins and ends with no dash")]
pub struct InvalidName;

/// Reads and writes a value as its text.
macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}
as_text!(BuildId, JobId, Name);

/// What goes first. Within one, what was asked for first does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Somebody waits for it.
    High,
    /// As usual.
    #[default]
    Normal,
    /// When there is nothing else to do.
    Low,
}

impl Priority {
    /// All of them, the first first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// As a number: what goes first has the lowest.
    pub(crate) fn rank(self) -> i64 {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|priority| priority.name() == text);
        found.ok_or_else(|| "there are high, normal and low".to_owned())
    }
}

/// What a worker has to be to take a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requires {
    /// In whose hands: only workers of this trust domain take it.
    #[serde(default = "Requires::usual_domain")]
    #[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    pub domain: Name,
    /// On which processors, as `uname -m` says; any, where that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// In which isolation; any, where that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<IsolationName>)]
    pub isolation: Option<Isolation>,
}

impl Requires {
    /// The trust domain of whoever names none.
    #[must_use]
    pub fn usual_domain() -> Name {
        Name("default".to_owned())
    }

    /// Where jobs of this kind wait.
    #[must_use]
    pub fn lane(&self) -> Lane {
        let architecture = self.architecture.map_or("any", Architecture::name);
        let isolation = self.isolation.map_or("any", Isolation::name);
        Lane(format!("{}.{architecture}.{isolation}", self.domain))
    }
}

impl Default for Requires {
    fn default() -> Self {
        Self { domain: Self::usual_domain(), architecture: None, isolation: None }
    }
}

/// The names of isolations, for the API's description.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only described")]
pub(crate) enum IsolationName {
    Namespaces,
    Vm,
    SevSnp,
    Tdx,
    EmulatedSnp,
    EmulatedTdx,
}

/// A kind of processor, as `uname -m` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// AMD's and Intel's, 64 bits.
    #[serde(rename = "x86_64")]
    X86_64,
    /// Arm's, 64 bits.
    Aarch64,
}

impl Architecture {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The one that this program was compiled for; none where it is neither.
    #[must_use]
    pub fn own() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }
}

/// Where jobs wait that the same workers may take: trust domain, architecture and isolation, with dots between, the last two
/// `any` where nothing is asked for. A part of a subject of NATS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane(String);

impl Lane {
    /// The lane.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A lane that was written down.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
        };
        let mut parts = text.split('.');
        let domain = parts.next()?.parse::<Name>().is_ok();
        let words: Vec<&str> = parts.collect();
        (domain && words.len() == 2 && words.into_iter().all(is_word)).then(|| Self(text.to_owned()))
    }

    /// The lanes that a worker takes from, the closest first.
    #[must_use]
    pub fn of_worker(domain: &Name, architecture: Architecture, isolation: Isolation) -> [Self; 4] {
        let lane = |architecture, isolation| Requires { domain: domain.clone(), architecture, isolation }.lane();
        [
            lane(Some(architecture), Some(isolation)),
            lane(None, Some(isolation)),
            lane(Some(architecture), None),
            lane(None, None),
        ]
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_the_one_way_in_which_they_are_written() {
        let build = BuildId::new(&Digest::of(b"request"), 0);
        assert_ne!(build, BuildId::new(&Digest::of(b"request"), 1));
        assert_ne!(build, BuildId::new(&Digest::of(b"another"), 0));
        for slot in [1, 9, 10, 255] {
            let job = build.job(slot);
            assert_eq!(job.to_string().parse(), Ok(job));
            assert_eq!(job.build.to_string().parse(), Ok(build));
        }
        let text = build.to_string();
        for wrong in ["", "-1", &text[1..], &text.to_uppercase().replace(char::is_numeric, "A"), &format!("{text}0")] {
            assert_eq!(wrong.parse::<BuildId>(), Err(InvalidId), "{wrong}");
        }
        for wrong in ["", "-", "-0", "-01", "-+1", "-256", "-1-1"] {
            assert_eq!(format!("{text}{wrong}").parse::<JobId>(), Err(InvalidId), "{wrong}");
        }
    }

    #[test]
    fn ranks_sort_as_priorities_do() {
        assert!(Priority::ALL.map(Priority::rank).is_sorted() && Priority::ALL.is_sorted());
    }

    #[test]
    fn names_are_those_of_hosts() {
        let longest = "a".repeat(Name::MAX);
        for name in ["a", "farm-1", "0", &longest] {
            assert_eq!(name.parse::<Name>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        for wrong in ["", "-a", "a-", "A", "a.b", "a*", "a>", "ä", &format!("{longest}a")] {
            assert_eq!(wrong.parse::<Name>(), Err(InvalidName), "{wrong}");
        }
    }

    #[test]
    fn a_worker_takes_what_asks_for_it_and_what_asks_for_nothing() {
        let domain: Name = "here".parse().unwrap();
        let lanes = Lane::of_worker(&domain, Architecture::X86_64, Isolation::Vm);
        let named = lanes.map(|lane| lane.to_string());
        assert_eq!(named, ["here.x86_64.vm", "here.any.vm", "here.x86_64.any", "here.any.any"]);
        assert_eq!(Requires::default().lane().as_str(), "default.any.any");
    }
}
