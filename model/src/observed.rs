// SPDX-License-Identifier: Apache-2.0
//! What a build was seen to ask for. What is mounted is the sound record of what it could read; this refines it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, DigestSet, InsidePath};

/// How closely a build is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordMode {
    /// Not at all: the lock says what it could read.
    Declared,
    /// What it opens, executes, lists, writes, or does not find when it opens or executes it; its sockets.
    #[default]
    Files,
    /// Also what it looks at without opening it, and its calls for the clock, entropy and the machine.
    Full,
}

impl RecordMode {
    /// The word for it in options, records and statements.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Files => "files",
            Self::Full => "full",
        }
    }
}

impl FromStr for RecordMode {
    type Err = UnknownRecordMode;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Declared, Self::Files, Self::Full];
        all.into_iter().find(|mode| mode.name() == text).ok_or(UnknownRecordMode)
    }
}

/// A text that is no [`RecordMode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("how a build is recorded is one of `declared`, `files` and `full`")]
pub struct UnknownRecordMode;

/// What a build record says of what was observed. Small: the list itself is in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Observed {
    /// How closely the build was watched.
    pub mode: RecordMode,
    /// Why the list does not have all that the mode looks for; empty where it does. Sorted.
    pub lost: BTreeSet<Loss>,
    /// Of the canonical JSON of the [`ObservedListing`]; none where nothing was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<DigestSet>,
    /// How many paths of each kind the list has.
    pub paths: BTreeMap<Origin, u32>,
}

impl Observed {
    /// Where nothing was watched.
    #[must_use]
    pub fn declared() -> Self {
        Self { mode: RecordMode::Declared, lost: BTreeSet::new(), listing: None, paths: BTreeMap::new() }
    }

    /// Whether this can be so: there is a list exactly where there was a watch, and nothing is lost of what nobody looked for.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        match self.mode {
            RecordMode::Declared => self.listing.is_none() && self.lost.is_empty() && self.paths.is_empty(),
            RecordMode::Files | RecordMode::Full => self.listing.is_some(),
        }
    }

    /// Whether all that the build asked for of what the mode looks for is in the list.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.listing.is_some() && self.lost.is_empty()
    }
}

/// Why a list is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// There were more than [`ObservedListing::MAX_PATHS`] paths, or more bytes in them than
    /// [`ObservedListing::MAX_PATH_BYTES`], or more programs, addresses or calls than are kept.
    TooMany,
    /// A path was too long with the directory that it was relative to: more than 4,095 bytes.
    TooLong,
    /// A process could not be looked into: it ran a program that can be executed and not read.
    Closed,
    /// A program made calls by the table of another architecture.
    OtherArchitecture,
    /// A process could make `io_uring` open files, which no filter sees.
    IoUring,
    /// A process with powers of its own could change what its paths mean.
    OtherRoot,
    /// A file could not be read afterwards, so that it has no digest.
    Undigested,
    /// A path led where it can't be followed from outside, as through the account of another process; a program names its
    /// interpreter further from its beginning than is read; or a folder of the source was given another name, so that its
    /// files can't be told from what the build made.
    Unresolved,
    /// The watch was cut short.
    Interrupted,
}

/// What a path that a build asked for leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Nothing, when it was first asked for, and the build did not make anything of it either.
    Absent,
    /// A device.
    Device,
    /// The locked root filesystem.
    Environment,
    /// A locked input below `/inputs`.
    Input,
    /// The account of processes and of the machine, below `/proc` and `/sys`.
    Proc,
    /// The locked source.
    Source,
    /// What the build itself made; no input.
    Written,
}

/// What a build did with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Ran it, or ran what needs it: an interpreter, a dynamic loader.
    Execute,
    /// Opened the directory, and could list it.
    List,
    /// Asked for what the file system knows of it, or whether it is there.
    Look,
    /// Opened it to read it.
    Open,
    /// Opened it to write it, made it, or changed it.
    Write,
}

/// Everything that one build was seen to ask for, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObservedListing {
    /// Always [`ObservedListing::FORMAT`].
    pub format: ListingFormat,
    /// How closely the build was watched.
    pub mode: RecordMode,
    /// Why it is not complete; empty where it is.
    pub lost: BTreeSet<Loss>,
    /// By the path that was asked for, absolute, with the directory that it was relative to before it.
    pub paths: BTreeMap<InsidePath, ObservedPath>,
    /// By the call: which program was the first to make it.
    pub calls: BTreeMap<String, Asker>,
    /// What was asked of the network, which there is none of; by what was asked: which program was the first.
    pub network: BTreeMap<String, Asker>,
}

impl ObservedListing {
    /// The format's name.
    pub const FORMAT: &str = "https://reprove.dev/inputs/v0.1";
    /// The most paths.
    pub const MAX_PATHS: usize = 100_000;
    /// The most bytes in paths, together: those asked for and those that they lead to.
    pub const MAX_PATH_BYTES: usize = 16 << 20;

    /// What a record says of this list, whose canonical JSON has this digest.
    #[must_use]
    pub fn summary(&self, digest: DigestSet) -> Observed {
        Observed { mode: self.mode, lost: self.lost.clone(), listing: Some(digest), paths: self.count() }
    }

    /// How many paths of each kind there are.
    #[must_use]
    pub fn count(&self) -> BTreeMap<Origin, u32> {
        let mut count = BTreeMap::new();
        for path in self.paths.values() {
            let number: &mut u32 = count.entry(path.origin).or_default();
            *number = number.saturating_add(1);
        }
        count
    }

    /// The paths that are inputs: everything but what the build made.
    pub fn inputs(&self) -> impl Iterator<Item = (&InsidePath, &ObservedPath)> {
        self.paths.iter().filter(|(_, path)| path.origin != Origin::Written)
    }
}

/// The one format that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListingFormat {
    /// [`ObservedListing::FORMAT`].
    #[serde(rename = "https://reprove.dev/inputs/v0.1")]
    V0_1,
}

/// The program that was the first to ask; none where it was the sandbox itself, to start a step, or could not be told.
pub type Asker = Option<InsidePath>;

/// One path that a build asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObservedPath {
    /// What it leads to.
    pub origin: Origin,
    /// What was done with it, sorted.
    pub uses: BTreeSet<Use>,
    /// Where it leads, where that is elsewhere: through links, or by `..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads_to: Option<InsidePath>,
    /// Of the file's bytes, where it is a locked file that was opened or executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The program that was the first to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Asker,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical;

    fn listing() -> ObservedListing {
        let path = |text: &str| InsidePath::new(text).unwrap();
        let opened = ObservedPath {
            origin: Origin::Environment,
            uses: [Use::Open, Use::Look].into(),
            leads_to: Some(path("/usr/lib/x")),
            digest: Some(Digest::of(b"x")),
            by: Some(path("/usr/bin/cc")),
        };
        let written = ObservedPath { origin: Origin::Written, leads_to: None, digest: None, ..opened.clone() };
        ObservedListing {
            format: ListingFormat::V0_1,
            mode: RecordMode::Full,
            lost: [Loss::TooMany].into(),
            paths: [(path("/lib/x"), opened), (InsidePath::new(*b"/build/\xff\n").unwrap(), written)].into(),
            calls: [("uname".to_owned(), None)].into(),
            network: [("connect inet 192.0.2.1:80".to_owned(), Some(path("/usr/bin/cc")))].into(),
        }
    }

    #[test]
    fn a_listing_has_one_form_and_is_read_back() {
        let bytes = canonical::to_vec(&listing()).unwrap();
        assert_eq!(canonical::from_slice::<ObservedListing>(&bytes).unwrap(), listing());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(ObservedListing::FORMAT) && text.contains(r"/build/\\xff\\x0a"), "{text}");
        let refused = [("/lib/x\"", "lib/x\""), ("v0.1", "v0.2"), ("\"look\",\"open\"", "\"open\",\"look\"")];
        for (from, to) in refused {
            let other = text.replace(from, to);
            assert!(other != text && canonical::from_slice::<ObservedListing>(other.as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn what_was_made_is_no_input() {
        let listing = listing();
        assert_eq!(listing.count(), [(Origin::Environment, 1), (Origin::Written, 1)].into());
        assert_eq!(listing.inputs().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["/lib/x"]);
    }

    #[test]
    fn what_is_observed_fits_the_mode() {
        let none = Observed::declared();
        assert!(none.is_possible() && !none.is_complete());
        let some = Observed { listing: Some(DigestSet::of(b"l")), ..none.clone() };
        assert!(!some.is_possible());
        let some = Observed { mode: RecordMode::Files, ..some };
        assert!(some.is_possible() && some.is_complete());
        let lost = Observed { lost: [Loss::Closed].into(), ..some };
        assert!(lost.is_possible() && !lost.is_complete());
        assert!(!Observed { mode: RecordMode::Full, ..none.clone() }.is_possible());
        assert!(!Observed { lost: [Loss::Closed].into(), ..none }.is_possible());
    }

    #[test]
    fn a_mode_is_read_by_its_name() {
        for mode in [RecordMode::Declared, RecordMode::Files, RecordMode::Full] {
            assert_eq!(mode.name().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
        assert!("all".parse::<RecordMode>().is_err());
    }
}
