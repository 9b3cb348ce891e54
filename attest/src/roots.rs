// SPDX-License-Identifier: Apache-2.0
//! Whom an auditor trusts: `trust.toml`. Nothing is trusted that is not named there.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use thiserror::Error;

use crate::evidence::{GuestLayout, ServiceLayout, TeeLayout, TeeTrust, TeeTrustError, VerifierLayout};
use crate::log::{NoteError, NoteKey, NoteKind};
use crate::rebuilder::is_name;
use crate::summary::is_uri;
use crate::{AuthorityError, KeyError, KeyId, PublicKey, TimestampAuthority};

/// The keys that an auditor trusts, each with who holds it and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustRoots {
    keys: Vec<TrustedKey>,
    logs: Vec<NoteKey>,
    witnesses: Vec<NoteKey>,
    timestamp_authorities: Vec<TimestampAuthority>,
    tee: TeeTrust,
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
    /// The only types of predicates that it is trusted to state; `None`: of any.
    pub predicates: Option<BTreeSet<String>>,
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
    /// What is signed, or an authority, says that it was there at this time, which has not come yet.
    FromTheFuture(Timestamp),
    /// What is signed says that it was made after it was seen.
    AfterItsTimestamp {
        /// What it says.
        claimed: Timestamp,
        /// When it was seen.
        shown: Timestamp,
    },
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked(Revocation { at, because }) => {
                write!(f, "the key was revoked on {at}")?;
                because.as_ref().map_or(Ok(()), |because| write!(f, " ({because})"))?;
                f.write_str(", and nobody who is believed says that this was signed before")
            }
            Self::Expired(at) => {
                write!(f, "the key was trusted until {at}, and nobody who is believed says that this was signed before")
            }
            Self::NotYetValid(at) => {
                write!(f, "the key is trusted from {at} on, and the statement says that it is older")
            }
            Self::FromTheFuture(at) => write!(f, "it is said to have been there on {at}, which has not come yet"),
            Self::AfterItsTimestamp { claimed, shown } => {
                write!(
                    f,
                    "the statement says that it was made on {claimed}, and its timestamp that it was there on {shown}"
                )
            }
        }
    }
}

/// How far the clock of who signed may be before that of who audits.
pub(crate) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);

impl TrustedKey {
    /// Whether it is trusted to state a predicate of this type.
    #[must_use]
    pub fn may_state(&self, predicate_type: &str) -> bool {
        self.predicates.as_ref().is_none_or(|types| types.contains(predicate_type))
    }

    /// Whether the key vouches, at the time `now`, for what says of itself that it was made at the time `claimed`, and of
    /// which somebody who is believed says that it was there at the time `shown`.
    ///
    /// # Errors
    /// See [`KeyFault`].
    pub fn vouches(&self, claimed: Timestamp, shown: Option<Timestamp>, now: Timestamp) -> Result<(), KeyFault> {
        for time in [Some(claimed), shown].into_iter().flatten() {
            if time.duration_since(now) > CLOCKS_DIFFER {
                return Err(KeyFault::FromTheFuture(time));
            }
        }
        if let Some(shown) = shown.filter(|shown| claimed.duration_since(*shown) > CLOCKS_DIFFER) {
            return Err(KeyFault::AfterItsTimestamp { claimed, shown });
        }
        // What was there before is not touched by what happened to the key afterwards.
        let at = shown.unwrap_or(now);
        if let Some(revocation) = self.revoked.as_ref().filter(|revocation| revocation.at <= at) {
            return Err(KeyFault::Revoked(revocation.clone()));
        }
        if let Some(until) = self.valid_until.filter(|until| *until <= at) {
            return Err(KeyFault::Expired(until));
        }
        match self.valid_from.filter(|from| claimed.min(at) < *from) {
            Some(from) => Err(KeyFault::NotYetValid(from)),
            None => Ok(()),
        }
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
        for (number, layout) in (1..).zip(file.timestamp_authority) {
            let AuthorityLayout { name, certificates, valid_from, valid_until } = layout;
            if !is_name(&name) {
                return Err(TrustError::AuthorityName { number });
            }
            let authority = TimestampAuthority::new(&name, &certificates, valid_from, valid_until);
            roots.timestamp_authorities.push(authority.map_err(|why| TrustError::Authority { name, why })?);
        }
        roots.tee = TeeTrust::from_layout(file.tee, file.guest, file.verifier, file.service)?;
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

    /// The authorities whose word on the time is believed, in the order of the file.
    #[must_use]
    pub fn timestamp_authorities(&self) -> &[TimestampAuthority] {
        &self.timestamp_authorities
    }

    /// Whom and what is believed of confidential machines.
    #[must_use]
    pub fn tee(&self) -> &TeeTrust {
        &self.tee
    }

    /// The same, with this key instead of all others.
    #[must_use]
    pub fn with_only(self, key: TrustedKey) -> Self {
        Self { keys: vec![key], ..self }
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
    /// An authority without a name that can be one.
    #[error("timestamp authority {number}: its name is empty, longer than {max} characters, or has control characters", max = TrustRoots::MAX_NAME)]
    AuthorityName {
        /// Which, counted from 1.
        number: usize,
    },
    /// An authority that can't be one.
    #[error("timestamp authority {name:?}: {why}")]
    Authority {
        /// Which.
        name: String,
        /// Why.
        why: AuthorityError,
    },
    /// What it says of confidential machines can't be.
    #[error(transparent)]
    Tee(#[from] TeeTrustError),
    /// A name that is none.
    #[error("key {number}: its {what} is empty, longer than {max} characters, or has control characters", max = TrustRoots::MAX_NAME)]
    Name {
        /// Which.
        number: usize,
        /// Of what.
        what: &'static str,
    },
    /// Types of predicates that are none.
    #[error(
        "key {number}: its predicates is empty, or has something that is no URI; it is the list of the only types that it may state"
    )]
    Predicates {
        /// Which.
        number: usize,
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
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Layout {
    #[serde(default)]
    key: Vec<KeyLayout>,
    #[serde(default)]
    logs: Vec<String>,
    #[serde(default)]
    witnesses: Vec<String>,
    #[serde(default)]
    timestamp_authority: Vec<AuthorityLayout>,
    #[serde(default)]
    tee: TeeLayout,
    #[serde(default)]
    guest: Vec<GuestLayout>,
    #[serde(default)]
    verifier: Vec<VerifierLayout>,
    #[serde(default)]
    service: Vec<ServiceLayout>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct AuthorityLayout {
    name: String,
    certificates: String,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
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
    predicates: Option<BTreeSet<String>>,
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
        if self.predicates.as_ref().is_some_and(|types| types.is_empty() || !types.iter().all(|kind| is_uri(kind))) {
            return Err(TrustError::Predicates { number });
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
            predicates: self.predicates,
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
            (entry(1, "predicates = []"), "predicates is empty"),
            (entry(1, "predicates = [\"https://example.com/x\", \"x\"]"), "that is no URI"),
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
        assert_eq!(key.vouches(within, None, within), Ok(()));
        // Up to the moment before each bound, and not from it on.
        assert_eq!(key.vouches(at("2026-01-01T00:00:00Z"), None, within), Ok(()));
        let early = key.vouches(at("2025-12-31T23:59:59Z"), None, within);
        assert_eq!(early, Err(KeyFault::NotYetValid(at("2026-01-01T00:00:00Z"))));
        assert_eq!(key.vouches(within, None, at("2026-01-31T23:59:59Z")), Ok(()));
        let revoked = key.vouches(within, None, at("2026-02-01T00:00:00Z")).unwrap_err();
        assert!(matches!(&revoked, KeyFault::Revoked(_)) && revoked.to_string().contains("(stolen)"));
        key.revoked = None;
        assert_eq!(key.vouches(within, None, at("2026-02-28T23:59:59Z")), Ok(()));
        assert!(matches!(key.vouches(within, None, at("2026-03-01T00:00:00Z")), Err(KeyFault::Expired(_))));
        assert_eq!(key.vouches(at("2026-01-15T00:10:00Z"), None, within), Ok(()));
        assert!(matches!(key.vouches(at("2026-01-15T00:10:01Z"), None, within), Err(KeyFault::FromTheFuture(_))));
    }

    #[test]
    fn what_was_seen_before_a_key_was_revoked_or_expired_counts() {
        let more = "valid-from = \"2026-01-01T00:00:00Z\"\nvalid-until = \"2026-03-01T00:00:00Z\"\n\
                    revoked = \"2026-02-01T00:00:00Z\"";
        let mut key = TrustRoots::from_toml(&entry(1, more)).unwrap().keys()[0].clone();
        let (claimed, late) = (at("2026-01-15T00:00:00Z"), at("2030-01-01T00:00:00Z"));
        let shown = |key: &TrustedKey, shown: &str| key.vouches(claimed, Some(at(shown)), late);
        assert!(matches!(key.vouches(claimed, None, late), Err(KeyFault::Revoked(_))));
        assert_eq!(shown(&key, "2026-01-31T23:59:59Z"), Ok(()));
        assert!(matches!(shown(&key, "2026-02-01T00:00:00Z"), Err(KeyFault::Revoked(_))));
        key.revoked = None;
        assert_eq!(shown(&key, "2026-02-28T23:59:59Z"), Ok(()));
        assert!(matches!(shown(&key, "2026-03-01T00:00:00Z"), Err(KeyFault::Expired(_))));
        // It says that it is older than the key, is said to be, or says that it is younger than it is.
        let early = key.vouches(at("2025-12-31T23:59:59Z"), Some(claimed), late);
        assert!(matches!(early, Err(KeyFault::NotYetValid(_))));
        assert_eq!(key.vouches(at("2026-01-01T00:00:00Z"), Some(at("2026-01-01T00:00:00Z")), late), Ok(()));
        let early = key.vouches(at("2026-01-01T00:00:00Z"), Some(at("2025-12-31T23:59:59Z")), late);
        assert!(matches!(early, Err(KeyFault::NotYetValid(_))));
        assert_eq!(shown(&key, "2026-01-14T23:50:00Z"), Ok(()));
        assert!(matches!(shown(&key, "2026-01-14T23:49:59Z"), Err(KeyFault::AfterItsTimestamp { .. })));
        // A timestamp from the future is none.
        let future = key.vouches(claimed, Some(at("2026-01-15T00:10:01Z")), claimed);
        assert!(matches!(future, Err(KeyFault::FromTheFuture(_))));
    }
}
