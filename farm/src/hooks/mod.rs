// SPDX-License-Identifier: Apache-2.0
//! Webhooks: somebody else's service is told when a build is asked for, and when it came to an end.
//!
//! What is to be told is written down with what happened, in one transaction, so that a kill loses none of it; it is sent until it is
//! taken (any 2xx), later each time, for about a day. Somebody may be told twice, and knows it by `webhook-id`. What is sent is
//! signed as Standard Webhooks say (specification 1.0.0, symmetric signatures), in the binary mode of CloudEvents 1.0's HTTP
//! binding.

mod event;
mod send;

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

pub use event::Kind;
pub use send::{Sender, signature};

use crate::views::{self, BuildRow};
use crate::{BuildId, Database, FarmError, Millis, Name};

/// With what is sent to somebody is signed. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A secret of 32 random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// As Standard Webhooks write it, to be given to whoever is told.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// What it is called.
    pub name: Name,
    /// Where it is told.
    pub url: String,
    /// How much it was not told, since it did not take it for about a day.
    pub given_up: u64,
    /// How much it has not been told yet.
    pub waiting: u64,
    /// Why it did not take the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// The longest address, in bytes.
pub const MAX_URL: usize = 2000;
/// So often is each event sent, at most.
pub const MOST_TRIES: u32 = 20;

/// How long is waited after so many tries: 5 s, and twice as long each time, up to two hours; about a day in all.
#[must_use]
pub fn wait(tries: u32) -> Duration {
    let doubled = 5_u64.saturating_mul(1_u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX));
    Duration::from_secs(doubled.min(7200))
}

/// Tells somebody from now on.
///
/// # Errors
/// [`FarmError::NotAdmitted`] where the name is taken, or the address is none of `http` or `https`; see [`FarmError`].
pub async fn add(database: &Database, name: Name, url: String, secret: Secret, now: Millis) -> Result<(), FarmError> {
    const SQL: &str = "INSERT INTO hook (name, url, secret, made) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let is_address = (url.starts_with("https://") || url.starts_with("http://"))
        && url.parse::<hyper::Uri>().is_ok_and(|uri| uri.host().is_some())
        && url.len() <= MAX_URL;
    if !is_address {
        return Err(FarmError::NotAdmitted(format!("{url:?} is no address, as in https://example.org/hook")));
    }
    let write = move |connection: &Connection| match connection.prepare_cached(SQL)?.execute(params![
        name.as_str(),
        url,
        secret.0.as_slice(),
        now.0
    ])? {
        0 => Err(FarmError::NotAdmitted(format!("a hook {name} is there already"))),
        _ => Ok(()),
    };
    database.write(write).await
}

/// Tells somebody nothing any more. Says whether there was such a one.
///
/// # Errors
/// See [`FarmError`].
pub async fn remove(database: &Database, name: Name) -> Result<bool, FarmError> {
    let write = move |connection: &Connection| {
        connection.prepare_cached("DELETE FROM delivery WHERE hook = ?1")?.execute([name.as_str()])?;
        Ok(connection.prepare_cached("DELETE FROM hook WHERE name = ?1")?.execute([name.as_str()])? > 0)
    };
    database.write(write).await
}

/// Everybody who is told, by name.
///
/// # Errors
/// See [`FarmError`].
pub async fn all(database: &Database) -> Result<Vec<Hook>, FarmError> {
    const SQL: &str =
        "SELECT name, url, given_up, (SELECT count(*) FROM delivery WHERE hook = hook.name), trouble FROM hook
        ORDER BY name";
    let read = |connection: &Connection| {
        let mut statement = connection.prepare_cached(SQL)?;
        let mut rows = statement.query([])?;
        let mut all = Vec::new();
        let number = |count: i64| u64::try_from(count).unwrap_or(0);
        while let Some(row) = rows.next()? {
            let name = row.get::<_, String>(0)?;
            all.push(Hook {
                name: name.parse().map_err(|_| FarmError::Damaged(format!("{name:?} is no hook's name")))?,
                url: row.get(1)?,
                given_up: number(row.get(2)?),
                waiting: number(row.get(3)?),
                trouble: row.get(4)?,
            });
        }
        Ok(all)
    };
    database.read(read).await
}

/// Something that somebody has not been told yet.
#[derive(Clone, Debug)]
struct Delivery {
    number: i64,
    url: String,
    secret: Secret,
    kind: Kind,
    happened: Millis,
    tries: u32,
    build: BuildRow,
}

/// So much is sent at once.
const AT_ONCE: u32 = 16;

/// Sends what is due; gives how much was taken. `source` is the farm's own address.
///
/// # Errors
/// See [`FarmError`].
pub async fn deliver(database: &Database, sender: &Sender, source: &str, now: Millis) -> Result<usize, FarmError> {
    let mut taken = 0;
    let due = database.read(move |connection| due(connection, now)).await?;
    let sent = due.into_iter().map(|delivery| async move {
        let id = format!("{}-{}", delivery.build.id, delivery.kind.name());
        let event = event::event(delivery.kind, &id, source, &delivery.build, delivery.happened);
        let result =
            sender.send(&delivery.url, &delivery.secret, (&id, delivery.kind.event_type(), source), &event, now).await;
        (delivery, result)
    });
    for (delivery, result) in futures_util::future::join_all(sent).await {
        taken += usize::from(result.is_ok());
        database.write(move |connection| settle(connection, &delivery, result, now)).await?;
    }
    Ok(taken)
}

fn due(connection: &Connection, now: Millis) -> Result<Vec<Delivery>, FarmError> {
    const SQL: &str =
        "SELECT delivery.number, hook.url, hook.secret, delivery.kind, delivery.happened, delivery.tries, build.id
        FROM delivery JOIN hook ON hook.name = delivery.hook JOIN build ON build.number = delivery.build
        WHERE delivery.next <= ?1 ORDER BY delivery.next, delivery.number LIMIT ?2";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query(params![now.0, AT_ONCE])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let word: String = row.get(3)?;
        let id: BuildId = row.get::<_, String>(6)?.parse()?;
        all.push(Delivery {
            number: row.get(0)?,
            url: row.get(1)?,
            secret: Secret(row.get(2)?),
            kind: Kind::of(&word).ok_or_else(|| FarmError::Damaged(format!("{word:?} is no event")))?,
            happened: Millis(row.get(4)?),
            tries: row.get(5)?,
            build: views::row_of(connection, id)?,
        });
    }
    Ok(all)
}

/// Writes down what came of sending something.
fn settle(
    connection: &Connection,
    delivery: &Delivery,
    result: Result<(), String>,
    now: Millis,
) -> Result<(), FarmError> {
    let sql = "SELECT hook FROM delivery WHERE number = ?1";
    let hook =
        connection.prepare_cached(sql)?.query_row([delivery.number], |row| row.get::<_, String>(0)).optional()?;
    // Removed meanwhile.
    let Some(hook) = hook else { return Ok(()) };
    let tries = delivery.tries + 1;
    let is_given_up = result.is_err() && tries >= MOST_TRIES;
    if result.is_ok() || is_given_up {
        connection.prepare_cached("DELETE FROM delivery WHERE number = ?1")?.execute([delivery.number])?;
    } else {
        let sql = "UPDATE delivery SET tries = ?2, next = ?3 WHERE number = ?1";
        connection.prepare_cached(sql)?.execute(params![delivery.number, tries, (now + wait(tries)).0])?;
    }
    let sql = "UPDATE hook SET trouble = ?2, given_up = given_up + ?3 WHERE name = ?1";
    connection.prepare_cached(sql)?.execute(params![hook, result.err(), u32::from(is_given_up)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_is_sent_for_about_a_day() {
        let all: u64 = (1..MOST_TRIES).map(|tries| wait(tries).as_secs()).sum();
        assert!((18 * 3600..30 * 3600).contains(&all), "{all}");
        assert_eq!(
            [1, 2, 3, 11, 12, 40, u32::MAX].map(|tries| wait(tries).as_secs()),
            [5, 10, 20, 5120, 7200, 7200, 7200]
        );
    }

    #[test]
    fn a_secret_is_not_shown_by_chance() {
        let secret = Secret::new([7; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.shown().starts_with("whsec_"));
    }
}
