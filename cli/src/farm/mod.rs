// SPDX-License-Identifier: Apache-2.0
//! `reprove farm`: what its subcommands share.

pub(crate) mod asking;
mod failures;
pub(crate) mod hooks;
mod jobs;
pub(crate) mod logs;
mod requests;
pub(crate) mod serving;
pub(crate) mod tokens;
mod traces;
pub(crate) mod watching;
pub(crate) mod working;

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use reprove_farm::access::Token;
use reprove_farm::tls::{self, Identity, TlsError};
use reprove_farm::{Client, ClientError, DatabaseError, FarmError, Millis};

use crate::app::absolute;
use crate::commands::{DataOptions, FarmOptions};
use crate::env_vars;
use crate::error::CommandError;
use crate::open::{self, Links};

/// Where a farm is where nobody says so: what `serve` listens at.
pub(crate) const USUAL: &str = "http://127.0.0.1:7077";
/// The largest file of certificates that is read, in bytes.
const MAX_PEM: usize = 1 << 20;

/// The directory of this machine's farm.
pub(crate) fn data(options: &DataOptions) -> Result<PathBuf, CommandError> {
    let path = options.data.clone().or_else(|| env_vars::path(env_vars::FARM_DATA));
    let path = path.or_else(|| Some(env_vars::data_home()?.join("reprove-farm")));
    let path = path.ok_or_else(|| {
        CommandError::bad_usage("there is no place for the farm: HOME is not set")
            .next(format!("give --data DIR, or set {}", env_vars::FARM_DATA))
    })?;
    absolute(&path)
}

/// The file with the token that a farm made for whoever has started it.
pub(crate) fn own_token(data: &Path) -> PathBuf {
    data.join("token")
}

/// A farm, as whoever runs this sees it.
pub(crate) fn client(options: &FarmOptions) -> Result<Client, CommandError> {
    let farm = options.farm.clone().or_else(|| env_vars::text(env_vars::FARM));
    let is_own = farm.is_none();
    let farm = farm.unwrap_or_else(|| USUAL.to_owned());
    let ca = options.ca.as_deref().map(|path| certificates("certificates", path)).transpose()?;
    let own = options.client_certificate.as_deref().zip(options.client_key.as_deref());
    let own = own
        .map(|(certificates_path, key)| {
            let key = open::secret("private key", &absolute(key)?, MAX_PEM, "make a new one")?;
            Ok::<_, CommandError>((certificates("certificate", certificates_path)?, key))
        })
        .transpose()?;
    let identity = own.as_ref().map(|(certificates, key)| Identity { certificates, key: key.as_bytes() });
    let token = match identity {
        Some(_) if options.token_file.is_none() => None,
        _ => token(options, is_own)?,
    };
    // Plain HTTP needs no certificates, which a small machine may have none of.
    let tls = match (tls::asking(ca.as_deref(), identity), farm.starts_with("http://")) {
        (Err(TlsError::NoRoots(_)), true) => tls::asking_nobody().map_err(from_tls)?,
        (tls, _) => tls.map_err(from_tls)?,
    };
    Client::new(&farm, token, tls).map_err(from_client)
}

fn token(options: &FarmOptions, is_own: bool) -> Result<Option<Token>, CommandError> {
    let wrong = |error: reprove_farm::access::NoToken| CommandError::bad_usage(error.to_string());
    if let Some(path) = &options.token_file {
        let secret = open::secret("token", &absolute(path)?, MAX_PEM, "revoke it")?;
        return Token::read(&secret).map(Some).map_err(wrong);
    }
    if let Some(secret) = env_vars::text(env_vars::FARM_TOKEN) {
        return Token::read(&secret).map(Some).map_err(wrong);
    }
    let own = own_token(&data(&DataOptions { data: None })?);
    if is_own && own.is_file() {
        return Token::read(&open::secret("token", &own, MAX_PEM, "revoke it")?).map(Some).map_err(wrong);
    }
    Ok(None)
}

/// A file of certificates.
pub(crate) fn certificates(what: &str, path: &Path) -> Result<Vec<u8>, CommandError> {
    open::read(what, &absolute(path)?, Links::Followed, MAX_PEM)
}

/// A clock that goes on evenly, whatever is done to the machine's: it counts from when it was made.
pub(crate) fn clock() -> impl Fn() -> Millis + Send + Sync + Clone + 'static {
    let (base, start) = (Millis::from(Timestamp::now()), Instant::now());
    move || base + start.elapsed()
}

pub(crate) fn from_tls(error: TlsError) -> CommandError {
    CommandError::bad_usage(error.to_string())
}

pub(crate) fn from_client(error: ClientError) -> CommandError {
    let text = error.to_string();
    match error {
        ClientError::Address(_) | ClientError::Plain(_) => CommandError::bad_usage(text),
        ClientError::Transport { .. } => CommandError::cannot(text)
            .next("is it the right address (--farm URL), and does `reprove farm serve` run there?"),
        ClientError::Answer { .. } => CommandError::cannot(text).next("is this the address of a farm?"),
        ClientError::Refused { status: 401 | 403, .. } => CommandError::bad_usage(text)
            .next("name a file with a token that may do this: --token-file FILE")
            .next("`reprove farm token new NAME --roles …` makes one, where the farm serves"),
        ClientError::Refused { status: 500.., .. } => CommandError::cannot(text),
        ClientError::Refused { .. } => CommandError::bad_usage(text),
    }
}

pub(crate) fn from_farm(error: FarmError) -> CommandError {
    let text = error.to_string();
    match error {
        FarmError::Database(error) => from_database(error),
        FarmError::Store(error) => error.into(),
        FarmError::Request(_) | FarmError::NoBuild(_) | FarmError::NotAdmitted(_) => CommandError::bad_usage(text),
        _ => CommandError::cannot(text),
    }
}

pub(crate) fn from_database(error: DatabaseError) -> CommandError {
    let text = error.to_string();
    match error {
        DatabaseError::InUse(_) => {
            CommandError::cannot(text).next("another `reprove farm serve` runs with this --data")
        }
        DatabaseError::Full | DatabaseError::Undone => CommandError::cannot(text).next("make room, and start it again"),
        DatabaseError::Damaged(_) => CommandError::cannot(text).next("put a backup in its place: docs/operate.md"),
        _ => CommandError::cannot(text),
    }
}
