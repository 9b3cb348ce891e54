// SPDX-License-Identifier: Apache-2.0
//! What is enough for an auditor: `policy.toml`.

use std::collections::BTreeSet;

use reprove_model::IsolationLevel;
use serde::Deserialize;
use thiserror::Error;

use crate::evidence::Nonce;
use crate::summary::is_uri;

/// What has to be shown before an artifact is taken for reproduced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Policy {
    /// How many rebuilders that are independent of each other must have got the same bits.
    pub rebuilders: u32,
    /// In what two rebuilders must differ to be independent of each other.
    pub distinct: BTreeSet<Distinct>,
    /// In how many kinds of isolation they must have been, all together.
    pub isolations: u32,
    /// The weakest walls that count.
    pub minimum_isolation: Option<IsolationLevel>,
    /// The oldest comparison that counts, in days.
    pub max_age_days: Option<u32>,
    /// Whether it must have been compared with something that was published.
    pub published: bool,
    /// Whether what was published may have been packed again from its own contents, which shows how that was done and not
    /// where they come from.
    pub own_contents: bool,
    /// Whether a trusted log must have said what it has for each artifact, and all of that must be in the proof.
    pub recorded: bool,
    /// The oldest word of a log on what it has that counts, in days.
    pub recorded_within_days: Option<u32>,
    /// Whether one trusted rebuilder that got other bits is enough to refuse.
    pub veto: bool,
    /// Whether each comparison must be in a log that is trusted.
    pub logged: bool,
    /// Whether a trusted authority must have seen the signature of each comparison.
    pub timestamped: bool,
    /// How many trusted witnesses must have seen the checkpoint that it is under.
    pub witnesses: u32,
    /// Whether each rebuild must have been in a confidential machine, with evidence below a trusted root.
    pub evidence: bool,
    /// Of how many makers of confidential hardware that evidence must be, all together; an emulation is of none.
    pub vendors: u32,
    /// What must have been asked to be in that evidence: so it is no older than the question.
    pub nonce: Option<Nonce>,
    /// Of which types, beside those of every claim, trusted keys must have signed a statement on each artifact.
    pub predicates: BTreeSet<String>,
}

/// In what two rebuilders differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distinct {
    /// Who holds the key.
    Operator,
    /// On what it is used.
    Platform,
}

impl Default for Policy {
    /// One rebuilder, and no other that got other bits.
    fn default() -> Self {
        Self {
            rebuilders: 1,
            distinct: [Distinct::Operator].into(),
            isolations: 1,
            minimum_isolation: None,
            max_age_days: None,
            published: false,
            own_contents: false,
            recorded: false,
            recorded_within_days: None,
            veto: true,
            logged: false,
            timestamped: false,
            witnesses: 0,
            evidence: false,
            vendors: 0,
            nonce: None,
            predicates: BTreeSet::new(),
        }
    }
}

impl Policy {
    /// The most makers of confidential hardware that can be asked for: all that there are.
    pub const MAX_VENDORS: u32 = 3;
    /// The longest `policy.toml`, in bytes.
    pub const MAX_BYTES: usize = 1 << 16;
    /// The most rebuilders that can be asked for.
    pub const MAX_REBUILDERS: u32 = 64;
    /// The most types of predicates that can be asked for.
    pub const MAX_PREDICATES: usize = 16;
    /// The longest of them, in characters.
    pub const MAX_TYPE: usize = 200;

    /// Reads `policy.toml`.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        if text.len() > Self::MAX_BYTES {
            return Err(PolicyError::TooLong(text.len()));
        }
        let policy: Self = toml::from_str(text)?;
        for (what, number) in [("rebuilders", policy.rebuilders), ("isolations", policy.isolations)] {
            if !(1..=Self::MAX_REBUILDERS).contains(&number) {
                return Err(PolicyError::Number { what, number });
            }
        }
        if policy.witnesses > Self::MAX_REBUILDERS {
            return Err(PolicyError::Number { what: "witnesses", number: policy.witnesses });
        }
        if policy.witnesses > 0 && !policy.logged {
            return Err(PolicyError::NothingToWitness);
        }
        if policy.vendors > Self::MAX_VENDORS {
            return Err(PolicyError::Vendors(policy.vendors));
        }
        if !policy.evidence && (policy.vendors > 0 || policy.nonce.is_some()) {
            return Err(PolicyError::NoEvidence);
        }
        if policy.recorded_within_days.is_some() && !policy.recorded {
            return Err(PolicyError::NothingRecorded);
        }
        if policy.distinct.is_empty() {
            return Err(PolicyError::NotDistinct);
        }
        if policy.predicates.len() > Self::MAX_PREDICATES {
            return Err(PolicyError::Predicates(policy.predicates.len()));
        }
        let no_uri = |kind: &&String| !is_uri(kind) || kind.chars().count() > Self::MAX_TYPE;
        match policy.predicates.iter().find(no_uri) {
            Some(kind) => Err(PolicyError::Predicate(kind.chars().take(Self::MAX_TYPE).collect())),
            None => Ok(policy),
        }
    }
}

/// Why a text is no `policy.toml`.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// Longer than [`Policy::MAX_BYTES`].
    #[error("it has {0} bytes; a policy has at most {max}", max = Policy::MAX_BYTES)]
    TooLong(usize),
    /// Not TOML, or not of its shape.
    #[error("{0}")]
    Toml(Box<toml::de::Error>),
    /// A number out of bounds.
    #[error("{what} is {number}; it is at least 1, but for witnesses, and at most {max}", max = Policy::MAX_REBUILDERS)]
    Number {
        /// Of what.
        what: &'static str,
        /// What it is.
        number: u32,
    },
    /// Witnesses of no log.
    #[error("witnesses see checkpoints of a log: say logged = true as well")]
    NothingToWitness,
    /// More makers than there are.
    #[error("vendors is {0}; there are {max} whose evidence is known", max = Policy::MAX_VENDORS)]
    Vendors(u32),
    /// Makers of nothing.
    #[error("vendors and nonce are of evidence of confidential machines: say evidence = true as well")]
    NoEvidence,
    /// An age of nothing.
    #[error("recorded-within-days is of a log's word on what it has: say recorded = true as well")]
    NothingRecorded,
    /// Nothing to differ in.
    #[error("distinct is empty, so that one rebuilder could count for all; it names operator, platform, or both")]
    NotDistinct,
    /// Too many types.
    #[error("predicates has {0} types; at most {max} can be asked for", max = Policy::MAX_PREDICATES)]
    Predicates(usize),
    /// A type that is none.
    #[error("predicates has {0:?}, which is no predicate's type: that is a URI of at most {max} characters", max = Policy::MAX_TYPE)]
    Predicate(String),
}

impl From<toml::de::Error> for PolicyError {
    fn from(error: toml::de::Error) -> Self {
        Self::Toml(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(Policy::from_toml("").unwrap(), Policy::default());
        let text = "rebuilders = 2\ndistinct = [\"operator\", \"platform\"]\nisolations = 2\n\
                    minimum-isolation = \"strong\"\nmax-age-days = 30\npublished = true\nown-contents = true\nrecorded = true\nrecorded-within-days = 7\nveto = false\nlogged = true\ntimestamped = true\nwitnesses = 1\n\
                    evidence = true\nvendors = 2\n\
                    nonce = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\
                    predicates = [\"https://spdx.dev/Document\"]\n";
        let expected = Policy {
            rebuilders: 2,
            distinct: [Distinct::Operator, Distinct::Platform].into(),
            isolations: 2,
            minimum_isolation: Some(IsolationLevel::Strong),
            max_age_days: Some(30),
            published: true,
            own_contents: true,
            recorded: true,
            recorded_within_days: Some(7),
            veto: false,
            logged: true,
            timestamped: true,
            witnesses: 1,
            evidence: true,
            vendors: 2,
            nonce: Some(Nonce::of(b"")),
            predicates: ["https://spdx.dev/Document".to_owned()].into(),
        };
        assert_eq!(Policy::from_toml(text).unwrap(), expected);
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        for number in [0, 1, 64, 65] {
            for what in ["rebuilders", "isolations"] {
                let read = Policy::from_toml(&format!("{what} = {number}"));
                assert_eq!(read.is_ok(), (1..=64).contains(&number), "{what} {number}");
            }
        }
        for (number, within) in [(0, true), (64, true), (65, false)] {
            let read = Policy::from_toml(&format!("logged = true\nwitnesses = {number}"));
            assert_eq!(read.is_ok(), within, "{number}");
        }
        for number in [Policy::MAX_PREDICATES, Policy::MAX_PREDICATES + 1] {
            let types: Vec<String> = (0..number).map(|n| format!("https://example.com/{n}")).collect();
            let read = Policy::from_toml(&format!("predicates = {types:?}"));
            assert_eq!(read.is_ok(), number == Policy::MAX_PREDICATES, "{number}");
        }
        for length in [Policy::MAX_TYPE, Policy::MAX_TYPE + 1] {
            let read = Policy::from_toml(&format!("predicates = [{:?}]", format!("{:x<length$}", "https://")));
            assert_eq!(read.is_ok(), length == Policy::MAX_TYPE, "{length}");
        }
        let padded = |n: usize| format!("#{}", "x".repeat(n - 1));
        assert!(Policy::from_toml(&padded(Policy::MAX_BYTES)).is_ok());
        assert!(matches!(Policy::from_toml(&padded(Policy::MAX_BYTES + 1)), Err(PolicyError::TooLong(_))));
        for (text, why) in [
            ("witnesses = 1", "say logged = true"),
            ("recorded-within-days = 1", "say recorded = true"),
            ("vendors = 1", "say evidence = true"),
            ("evidence = true\nvendors = 4", "there are 3"),
            ("evidence = true\nnonce = \"00\"", "64 lower-case hexadecimal digits"),
            ("distinct = []", "one rebuilder could count for all"),
            ("rebuilder = 2", "unknown field `rebuilder`"),
            ("minimum-isolation = \"weak\"", "unknown variant `weak`"),
            ("rebuilders = -1", "rebuilders"),
            ("predicates = [\"document\"]", "no predicate's type"),
        ] {
            let error = Policy::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
