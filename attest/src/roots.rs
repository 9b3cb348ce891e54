// SPDX-License-Identifier: Apache-2.0
//! Whom an auditor trusts: `trust.toml`. Nothing is trusted that is not named there.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use thiserror::Error;

use crate::log::{NoteError, NoteKey, NoteKind};
use crate::rebuilder::is_name;
use crate::{KeyError, KeyId, PublicKey};

/// The keys that an auditor trusts, each with who holds it and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustRoots {
    keys: Vec<TrustedKey>,
    logs: Vec<NoteKey>,
    witnesses: Vec<NoteKey>,
}

/// A key that is trusted to say what its holder saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// Who holds it. Two keys of one operator are not independent of each other.
    pub operator: String,
    /// On what it is used: a build farm, a laboratory, a machine.
    pub platform: String,
    /// Nothing that says that it was made before counts.
    pub valid_from: Option<Timestamp>,
    /// From then on it is not trusted.
    pub valid_until: Option<Timestamp>,
    /// Since when it is known not to be its holder's alone, and why.
    pub revoked: Option<Revocation>,
}

/// That a key is not to be trusted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Since when.
    pub at: Timestamp,
    /// Why, where that is said.
    pub because: Option<String>,
}

/// Why a trusted key does not vouch for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// It was revoked.
    Revoked(Revocation),
    /// It was trusted until this time.
    Expired(Timestamp),
    /// It is trusted from this time on, and what is signed says that it is older.
    NotYetValid(Timestamp),
    /// What is signed says that it was made at this time, which has not come yet.
    FromTheFuture(Timestamp),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked(Revocation { at, because }) => {
                write!(f, "the key was revoked on {at}")?;
                because.as_ref().map_or(Ok(()), |because| write!(f, " ({because})"))?;
                f.write_str(", and nothing but the signer says that this was signed before")
            }
            Self::Expired(at) => {
                write!(f, "the key was trusted until {at}, and nothing but the signer says that this was signed before")
            }
            Self::NotYetValid(at) => {
                write!(f, "the key is trusted from {at} on, and the statement says that it is older")
            }
            Self::FromTheFuture(at) => write!(f, "the statement says that it was made on {at}, which has not come yet"),
        }
    }
}

/// How far the clock of who signed may be before that of who audits.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);

impl TrustedKey {
    /// Whether the key vouches, at the time `now`, for what says of itself that it was made at the time `claimed`.
    ///
    /// # Errors
    /// See [`KeyFault`].
    pub fn vouches(&self, claimed: Timestamp, now: Timestamp) -> Result<(), KeyFault> {
        if let Some(revocation) = self.revoked.as_ref().filter(|revocation| revocation.at <= now) {
            return Err(KeyFault::Revoked(revocation.clone()));
        }
        if let Some(until) = self.valid_until.filter(|until| *until <= now) {
            return Err(KeyFault::Expired(until));
        }
        if let Some(from) = self.valid_from.filter(|from| claimed < *from) {
            return Err(KeyFault::NotYetValid(from));
        }
        if claimed.duration_since(now) > CLOCKS_DIFFER {
            return Err(KeyFault::FromTheFuture(claimed));
        }
        Ok(())
    }
}

impl TrustRoots {
    /// The longest `trust.toml`, in bytes.
    pub const MAX_BYTES: usize = 1 << 20;
    /// The longest name of an operator, a platform or a reason, in characters.
    pub const MAX_NAME: usize = 200;

    /// Reads `trust.toml`.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn from_toml(text: &str) -> Result<Self, TrustError> {
        if text.len() > Self::MAX_BYTES {
            return Err(TrustError::TooLong(text.len()));
        }
        let file: Layout = toml::from_str(text)?;
        let mut roots = Self::default();
        for (number, layout) in (1..).zip(file.key) {
            let key = layout.into_key(number)?;
            if let Some(first) = roots.find(key.key.id()) {
                return Err(TrustError::Twice { number, keyid: key.key.id(), operator: first.operator.clone() });
            }
            roots.keys.push(key);
        }
        let note_keys = |texts: Vec<String>, kind: NoteKind| {
            let read = |text: String| {
                let key: NoteKey = text.parse().map_err(|why| TrustError::Note { text: text.clone(), why })?;
                if key.kind() == kind { Ok(key) } else { Err(TrustError::NoteKind { text }) }
            };
            texts.into_iter().map(read).collect::<Result<Vec<_>, _>>()
        };
        roots.logs = note_keys(file.logs, NoteKind::Own)?;
        roots.witnesses = note_keys(file.witnesses, NoteKind::Cosigned)?;
        if roots.keys.is_empty() { Err(TrustError::Nobody) } else { Ok(roots) }
    }

    /// The keys, in the order of the file.
    #[must_use]
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// The keys of logs that are believed, in the order of the file.
    #[must_use]
    pub fn logs(&self) -> &[NoteKey] {
        &self.logs
    }

    /// The keys of witnesses that are believed, in the order of the file.
    #[must_use]
    pub fn witnesses(&self) -> &[NoteKey] {
        &self.witnesses
    }

    /// The key that has this id.
    #[must_use]
    pub fn find(&self, id: KeyId) -> Option<&TrustedKey> {
        self.keys.iter().find(|key| key.key.id() == id)
    }
}

/// Why a text is no `trust.toml`. Keys are counted from 1.
#[derive(Debug, Error)]
pub enum TrustError {
    /// Longer than [`TrustRoots::MAX_BYTES`].
    #[error("it has {0} bytes; a trust file has at most {max}", max = TrustRoots::MAX_BYTES)]
    TooLong(usize),
    /// Not TOML, or not of its shape.
    #[error("{0}")]
    Toml(Box<toml::de::Error>),
    /// No key.
    #[error("it names no key, so nobody is trusted; a key is a [[key]] with public, operator and platform")]
    Nobody,
    /// No public key.
    #[error("key {number}: {why}")]
    Key {
        /// Which.
        number: usize,
        /// Why.
        why: KeyError,
    },
    /// One key twice.
    #[error("key {number} is there twice: {keyid} is already that of {operator:?}")]
    Twice {
        /// Which.
        number: usize,
        /// Its id.
        keyid: KeyId,
        /// Of the first.
        operator: String,
    },
    /// A key of a log or a witness that is none.
    #[error("{text:?}: {why}")]
    Note {
        /// What is written.
        text: String,
        /// Why.
        why: NoteError,
    },
    /// A log's key among the witnesses', or the other way round.
    #[error("{text:?} is a key of another kind: a log's signs (algorithm 1), a witness's cosigns (algorithm 4)")]
    NoteKind {
        /// What is written.
        text: String,
    },
    /// A name that is none.
    #[error("key {number}: its {what} is empty, longer than {max} characters, or has control characters", max = TrustRoots::MAX_NAME)]
    Name {
        /// Which.
        number: usize,
        /// Of what.
        what: &'static str,
    },
    /// A key that is never valid.
    #[error("key {number} is valid until a time that is not after the one from which it is valid")]
    NeverValid {
        /// Which.
        number: usize,
    },
}

impl From<toml::de::Error> for TrustError {
    fn from(error: toml::de::Error) -> Self {
        Self::Toml(Box::new(error))
    }
}

/// How a trust file is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    #[serde(default)]
    key: Vec<KeyLayout>,
    #[serde(default)]
    logs: Vec<String>,
    #[serde(default)]
    witnesses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct KeyLayout {
    public: String,
    operator: String,
    platform: String,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    revoked: Option<Timestamp>,
    revoked_because: Option<String>,
}

impl KeyLayout {
    fn into_key(self, number: usize) -> Result<TrustedKey, TrustError> {
        let key = PublicKey::from_spki_pem(self.public.trim_start());
        let key = key.map_err(|why| TrustError::Key { number, why })?;
        let names = [
            ("operator", Some(&self.operator)),
            ("platform", Some(&self.platform)),
            ("reason", self.revoked_because.as_ref()),
        ];
        for (what, name) in names {
            if !name.is_none_or(|name| is_name(name)) {
                return Err(TrustError::Name { number, what });
            }
        }
        if self.valid_from.zip(self.valid_until).is_some_and(|(from, until)| until <= from) {
            return Err(TrustError::NeverValid { number });
        }
        let because = self.revoked_because;
        Ok(TrustedKey {
            key,
            operator: self.operator,
            platform: self.platform,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            revoked: self.revoked.map(|at| Revocation { at, because }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    fn entry(seed: u8, more: &str) -> String {
        let pem = SigningKey::ed25519([seed; 32]).public_key().to_spki_pem().unwrap();
        format!("[[key]]\npublic = \"\"\"\n{pem}\"\"\"\noperator = \"one\"\nplatform = \"farm\"\n{more}\n")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_trust_file_names_each_key_once() {
        let roots = TrustRoots::from_toml(&(entry(1, "") + &entry(2, ""))).unwrap();
        assert_eq!(roots.keys().len(), 2);
        let log = NoteKey::new("log", NoteKind::Own, SigningKey::ed25519([5; 32]).public_key()).unwrap();
        let with_log = TrustRoots::from_toml(&format!("logs = ['{log}']\n{}", entry(1, ""))).unwrap();
        assert_eq!((with_log.logs(), with_log.witnesses()), (&[log.clone()][..], &[][..]));
        let id = SigningKey::ed25519([2; 32]).public_key().id();
        assert_eq!(roots.find(id).unwrap().key.id(), id);
        assert!(roots.find(SigningKey::ed25519([3; 32]).public_key().id()).is_none());
        for (text, why) in [
            (String::new(), "nobody is trusted"),
            (entry(1, "") + &entry(1, ""), "there twice"),
            (entry(1, "color = 1"), "unknown field `color`"),
            (format!("logs = ['x']\n{}", entry(1, "")), "NAME+ID+KEY"),
            (format!("witnesses = ['{log}']\n{}", entry(1, "")), "a key of another kind"),
            (entry(1, "valid-from = \"2026-01-02T00:00:00Z\"\nvalid-until = \"2026-01-02T00:00:00Z\""), "is not after"),
            (entry(1, "").replace("\"one\"", "\" \""), "operator is empty"),
            (entry(1, "").replace("\"farm\"", "\"a\\u001b[2J\""), "control characters"),
            (entry(1, "").replace("MCow", "MCox"), "this is not a public key"),
            (entry(1, "").replace("operator = \"one\"\n", ""), "missing field `operator`"),
        ] {
            let error = TrustRoots::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let padded = |n: usize| format!("{}#{}", entry(1, ""), "x".repeat(n - entry(1, "").len() - 1));
        assert!(TrustRoots::from_toml(&padded(TrustRoots::MAX_BYTES)).is_ok());
        assert!(matches!(TrustRoots::from_toml(&padded(TrustRoots::MAX_BYTES + 1)), Err(TrustError::TooLong(_))));
        let named = |n: usize| entry(1, "").replace("\"one\"", &format!("\"{}\"", "ä".repeat(n)));
        assert!(TrustRoots::from_toml(&named(TrustRoots::MAX_NAME)).is_ok());
        assert!(matches!(TrustRoots::from_toml(&named(TrustRoots::MAX_NAME + 1)), Err(TrustError::Name { .. })));
    }

    #[test]
    fn a_key_vouches_for_what_was_signed_while_it_was_trusted() {
        let more = "valid-from = \"2026-01-01T00:00:00Z\"\nvalid-until = \"2026-03-01T00:00:00Z\"\n\
                    revoked = \"2026-02-01T00:00:00Z\"\nrevoked-because = \"stolen\"";
        let mut key = TrustRoots::from_toml(&entry(1, more)).unwrap().keys()[0].clone();
        let within = at("2026-01-15T00:00:00Z");
        assert_eq!(key.vouches(within, within), Ok(()));
        // Up to the moment before each bound, and not from it on.
        assert_eq!(key.vouches(at("2026-01-01T00:00:00Z"), within), Ok(()));
        let early = key.vouches(at("2025-12-31T23:59:59Z"), within);
        assert_eq!(early, Err(KeyFault::NotYetValid(at("2026-01-01T00:00:00Z"))));
        assert_eq!(key.vouches(within, at("2026-01-31T23:59:59Z")), Ok(()));
        let revoked = key.vouches(within, at("2026-02-01T00:00:00Z")).unwrap_err();
        assert!(matches!(&revoked, KeyFault::Revoked(_)) && revoked.to_string().contains("(stolen)"));
        key.revoked = None;
        assert_eq!(key.vouches(within, at("2026-02-28T23:59:59Z")), Ok(()));
        assert!(matches!(key.vouches(within, at("2026-03-01T00:00:00Z")), Err(KeyFault::Expired(_))));
        assert_eq!(key.vouches(at("2026-01-15T00:10:00Z"), within), Ok(()));
        assert!(matches!(key.vouches(at("2026-01-15T00:10:01Z"), within), Err(KeyFault::FromTheFuture(_))));
    }
}
