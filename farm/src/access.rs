// SPDX-License-Identifier: Apache-2.0
//! Who may do what: tokens, and SPIFFE ids, each with its roles.

use std::collections::BTreeSet;
use std::fmt;

use reprove_attest::KeyId;
use reprove_model::Digest;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{Admission, Database, FarmError, Millis, Name};

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// To look at everything.
    Read,
    /// To ask for builds, and to take back what it asked for.
    Submit,
    /// To work: to get jobs, and to bring what came of them.
    Work,
    /// To take back anybody's builds, and to admit and ban workers.
    Administer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Submit, Self::Work, Self::Administer];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Work => "work",
            Self::Administer => "administer",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| "there are read, submit, work and administer".to_owned())
    }
}

/// Somebody who is known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// What it is called.
    pub name: Name,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// Which jobs its workers get.
    pub domain: Name,
    /// Who answers for its workers.
    pub operator: String,
    /// The only key that they may have, where there is one.
    #[serde(serialize_with = "as_text", skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// From when on it is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Millis>,
}

fn as_text<S: serde::Serializer>(key: &Option<KeyId>, serializer: S) -> Result<S::Ok, S::Error> {
    key.map(|key| key.to_string()).serialize(serializer)
}

impl Access {
    /// The longest name of an operator, in characters.
    pub const MAX_OPERATOR: usize = 200;

    /// Whether it may.
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whose its workers are.
    #[must_use]
    pub fn admission(&self) -> Admission {
        Admission {
            token: self.name.to_string(),
            operator: self.operator.clone(),
            domain: self.domain.clone(),
            key: self.key,
        }
    }
}

/// A secret that somebody shows. Its `Debug` form does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// What each begins with, so that it can be found where it should not be.
    pub const PREFIX: &str = "reprove_farm_";

    /// A token of 32 random bytes.
    #[must_use]
    pub fn new(random: &[u8; 32]) -> Self {
        Self(format!("{}{}", Self::PREFIX, random.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    /// Reads what somebody shows.
    ///
    /// # Errors
    /// [`NoToken`].
    pub fn read(text: &str) -> Result<Self, NoToken> {
        let digits = text.trim().strip_prefix(Self::PREFIX).ok_or(NoToken)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 64 || !digits.bytes().all(is_digit) {
            return Err(NoToken);
        }
        Ok(Self(text.trim().to_owned()))
    }

    /// The secret itself, to be shown.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// What is kept of it. It has 256 random bits, so that nobody finds it from that.
    fn digest(&self) -> String {
        Digest::of(self.0.as_bytes()).to_string()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is no token of a farm: these begin with reprove_farm_, and 64 hexadecimal digits follow")]
pub struct NoToken;

/// What shows who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A token.
    Token(Token),
    /// The SPIFFE id of a certificate that was verified, as in `spiffe://example.org/worker`.
    Spiffe(String),
}

/// Writes down somebody new.
///
/// # Errors
/// [`FarmError::NotAdmitted`] where the name is taken, or the operator's can't be; see [`FarmError`].
pub async fn add(database: &Database, access: Access, credential: Credential, now: Millis) -> Result<(), FarmError> {
    const SQL: &str = "INSERT INTO token (name, digest, spiffe, roles, domain, operator, key, made, expires)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
    let fits =
        access.operator.chars().count() <= Access::MAX_OPERATOR && !access.operator.chars().any(char::is_control);
    if !fits {
        return Err(FarmError::NotAdmitted("the operator's name is too long, or has control characters".to_owned()));
    }
    let write = move |connection: &Connection| {
        let (digest, spiffe) = match &credential {
            Credential::Token(token) => (Some(token.digest()), None),
            Credential::Spiffe(id) => (None, Some(id.clone())),
        };
        let roles: Vec<&str> = access.roles.iter().map(|role| role.name()).collect();
        let added = connection.prepare_cached(SQL)?.execute(params![
            access.name.as_str(),
            digest,
            spiffe,
            roles.join(","),
            access.domain.as_str(),
            access.operator,
            access.key.map(|key| key.to_string()),
            now.0,
            access.expires.map(|expires| expires.0),
        ])?;
        match added {
            0 => Err(FarmError::NotAdmitted(format!("{}, or what it shows, is there already", access.name))),
            _ => Ok(()),
        }
    };
    database.write(write).await
}

/// Who shows this; nobody, where it is not known, or not any more.
///
/// # Errors
/// See [`FarmError`].
pub async fn find(database: &Database, credential: Credential, now: Millis) -> Result<Option<Access>, FarmError> {
    const SQL: &str = "SELECT name, roles, domain, operator, key, expires FROM token
        WHERE (digest = ?1 OR spiffe = ?2) AND revoked IS NULL AND (expires IS NULL OR expires > ?3)";
    let read = move |connection: &Connection| {
        let (digest, spiffe) = match &credential {
            Credential::Token(token) => (Some(token.digest()), None),
            Credential::Spiffe(id) => (None, Some(id)),
        };
        let mut statement = connection.prepare_cached(SQL)?;
        let mut rows = statement.query(params![digest, spiffe, now.0])?;
        rows.next()?.map(access).transpose()
    };
    database.read(read).await
}

/// Whether somebody who was found is known still.
///
/// # Errors
/// See [`FarmError`].
pub async fn is_still(database: &Database, name: Name, now: Millis) -> Result<bool, FarmError> {
    const SQL: &str = "SELECT 1 FROM token WHERE name = ?1 AND revoked IS NULL AND (expires IS NULL OR expires > ?2)";
    let read = move |connection: &Connection| {
        Ok::<_, FarmError>(connection.prepare_cached(SQL)?.exists(params![name.as_str(), now.0])?)
    };
    database.read(read).await
}

/// Everybody who is known, by name.
///
/// # Errors
/// See [`FarmError`].
pub async fn all(database: &Database) -> Result<Vec<Access>, FarmError> {
    const SQL: &str =
        "SELECT name, roles, domain, operator, key, expires FROM token WHERE revoked IS NULL ORDER BY name";
    let read = |connection: &Connection| {
        let mut statement = connection.prepare_cached(SQL)?;
        let mut rows = statement.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(access(row)?);
        }
        Ok(all)
    };
    database.read(read).await
}

/// Forgets somebody, at once. Says whether there was such a one.
///
/// # Errors
/// See [`FarmError`].
pub async fn revoke(database: &Database, name: Name, now: Millis) -> Result<bool, FarmError> {
    const SQL: &str = "UPDATE token SET revoked = ?2 WHERE name = ?1 AND revoked IS NULL";
    let write = move |connection: &Connection| {
        let revoked = connection.prepare_cached(SQL)?.execute(params![name.as_str(), now.0])?;
        Ok(revoked > 0)
    };
    database.write(write).await
}

/// Whether anybody was ever written down.
///
/// # Errors
/// See [`FarmError`].
pub async fn is_any(database: &Database) -> Result<bool, FarmError> {
    let read = |connection: &Connection| {
        Ok(connection.query_row("SELECT 1 FROM token LIMIT 1", [], |_| Ok(())).optional()?.is_some())
    };
    database.read(read).await
}

fn access(row: &Row<'_>) -> Result<Access, FarmError> {
    let damaged = |what: &str| FarmError::Damaged(format!("a token's {what}"));
    let text = |column| row.get::<_, String>(column);
    let roles = text(1)?;
    let roles = roles.split(',').map(str::parse).collect::<Result<_, String>>().map_err(|_| damaged("roles"))?;
    let key = row.get::<_, Option<String>>(4)?.map(|key| key.parse()).transpose().map_err(|_| damaged("key"))?;
    Ok(Access {
        name: text(0)?.parse().map_err(|_| damaged("name"))?,
        roles,
        domain: text(2)?.parse().map_err(|_| damaged("domain"))?,
        operator: text(3)?,
        key,
        expires: row.get::<_, Option<i64>>(5)?.map(Millis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn someone(name: &str) -> Access {
        Access {
            name: name.parse().unwrap(),
            roles: [Role::Read, Role::Work].into(),
            domain: "default".parse().unwrap(),
            operator: "Somebody & Söhne".to_owned(),
            key: None,
            expires: None,
        }
    }

    #[test]
    fn a_token_is_read_as_it_is_written_and_not_shown() {
        let token = Token::new(&[7; 32]);
        assert_eq!(Token::read(&format!("{}\n", token.secret())), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "Token(…)");
        let secret = token.secret();
        for wrong in ["", "reprove_farm_", &secret[1..], &secret[..76], &format!("{secret}0"), &secret.to_uppercase()] {
            assert_eq!(Token::read(wrong), Err(NoToken), "{wrong}");
        }
    }

    #[tokio::test]
    async fn who_shows_what_is_known_is_found_until_it_is_revoked_or_expires() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("farm.db")).unwrap();
        assert!(!is_any(&database).await.unwrap());
        let [one, other] = [1, 2].map(|n| Credential::Token(Token::new(&[n; 32])));
        let id = Credential::Spiffe("spiffe://example.org/w".to_owned());
        let expires = Some(NOW + std::time::Duration::from_millis(1));
        let short = Access { expires, ..someone("short") };
        for (access, credential) in [(someone("long"), &one), (short.clone(), &other), (someone("spiffe"), &id)] {
            add(&database, access, credential.clone(), NOW).await.unwrap();
        }
        // A name, and what is shown, is one's own.
        assert!(add(&database, someone("long"), Credential::Token(Token::new(&[9; 32])), NOW).await.is_err());
        assert!(add(&database, someone("third"), one.clone(), NOW).await.is_err());
        let find = async |credential: &Credential, now| find(&database, credential.clone(), now).await.unwrap();
        assert_eq!(find(&one, NOW).await, Some(someone("long")));
        assert_eq!(find(&id, NOW).await, Some(someone("spiffe")));
        assert_eq!(find(&other, NOW).await, Some(short));
        assert_eq!(find(&other, NOW + std::time::Duration::from_millis(1)).await, None);
        assert_eq!(find(&Credential::Token(Token::new(&[3; 32])), NOW).await, None);
        assert_eq!(find(&Credential::Spiffe("spiffe://example.org/x".to_owned()), NOW).await, None);
        assert!(revoke(&database, "long".parse().unwrap(), NOW).await.unwrap());
        assert!(!revoke(&database, "long".parse().unwrap(), NOW).await.unwrap());
        assert_eq!(find(&one, NOW).await, None);
        let names: Vec<String> =
            all(&database).await.unwrap().into_iter().map(|access| access.name.to_string()).collect();
        assert_eq!(names, ["short", "spiffe"]);
        assert!(is_any(&database).await.unwrap());
    }

    #[tokio::test]
    async fn an_operator_s_name_is_one_line_within_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("farm.db")).unwrap();
        for (n, operator, fits) in
            [(1, "ä".repeat(200), true), (2, "ä".repeat(201), false), (3, "a\nb".to_owned(), false)]
        {
            let access = Access { operator, ..someone(&format!("n{n}")) };
            let added = add(&database, access, Credential::Token(Token::new(&[n; 32])), NOW).await;
            assert_eq!(added.is_ok(), fits);
        }
    }
}
