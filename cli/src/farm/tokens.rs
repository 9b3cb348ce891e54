// SPDX-License-Identifier: Apache-2.0
//! `farm token` and `farm backup`: what is done with the database of this machine's farm, also while it serves.

use std::path::Path;
use std::time::Duration;

use reprove_attest::{MAX_PEM, PublicKey};
use reprove_farm::Database;
use reprove_farm::access::{self, Access, Credential, Token as Secret};
use serde_json::json;

use super::{from_database, from_farm};
use crate::app::{App, absolute, blocking};
use crate::commands::{DataOptions, FarmToken, NewToken};
use crate::error::{CommandError, YES};
use crate::open::{self, Links};
use crate::{keys, output};

/// Makes, lists or revokes tokens.
pub(crate) async fn run(app: &App, command: FarmToken) -> Result<u8, CommandError> {
    match command {
        FarmToken::New(new) => make(app, new).await,
        FarmToken::List { data } => {
            let all = access::all(&open(&data).await?).await.map_err(from_farm)?;
            if app.global.json {
                output::json(&json!({ "tokens": all }))?;
            } else {
                output::text(&all.iter().map(line).collect::<String>())?;
            }
            Ok(YES)
        }
        FarmToken::Revoke { name, data } => {
            let revoked =
                access::revoke(&open(&data).await?, name.clone(), (super::clock())()).await.map_err(from_farm)?;
            if !revoked {
                return Err(CommandError::bad_usage(format!("there is no token {name}"))
                    .next("`reprove farm token list` lists them"));
            }
            match app.global.json {
                true => output::json(&json!({ "revoked": name }))?,
                false => output::text(&format!("revoked {name}\n"))?,
            }
            Ok(YES)
        }
    }
}

async fn make(app: &App, new: NewToken) -> Result<u8, CommandError> {
    let database = open(&new.data).await?;
    let now = (super::clock())();
    let key = new.public_key.as_deref().map(public_key).transpose()?;
    let day = Duration::from_secs(86_400);
    let access = Access {
        name: new.name.clone(),
        roles: new.roles(),
        domain: new.domain.clone(),
        operator: new.operator.clone(),
        key: key.map(|key| key.id()),
        expires: new.days.map(|days| now + day * days),
    };
    let token = Secret::new(&*keys::random()?);
    let credential = match &new.spiffe {
        Some(id) if !id.starts_with("spiffe://") => {
            return Err(CommandError::bad_usage(format!("{id:?} is no SPIFFE id, as in spiffe://example.org/worker")));
        }
        Some(id) => Credential::Spiffe(id.clone()),
        None => Credential::Token(token.clone()),
    };
    access::add(&database, access, credential, now).await.map_err(from_farm)?;
    match (app.global.json, &new.spiffe) {
        (true, None) => output::json(&json!({ "name": new.name, "token": token.secret() }))?,
        (true, Some(id)) => output::json(&json!({ "name": new.name, "spiffe": id }))?,
        (false, None) => output::text(&format!("{}\n", token.secret()))?,
        (false, Some(id)) => output::text(&format!("{} is whoever has a certificate with {id}\n", new.name))?,
    }
    Ok(YES)
}

fn public_key(path: &Path) -> Result<PublicKey, CommandError> {
    let text = open::read_text("public key", &absolute(path)?, Links::Followed, MAX_PEM)?;
    PublicKey::from_spki_pem(&text).map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))
}

fn line(access: &Access) -> String {
    let roles: Vec<&str> = access.roles.iter().map(|role| role.name()).collect();
    let until = access.expires.map(|expires| format!(", until {expires}")).unwrap_or_default();
    let by = if access.operator.is_empty() { String::new() } else { format!(", by {}", access.operator) };
    format!("{}: {} ({}{by}{until})\n", access.name, roles.join(", "), access.domain)
}

/// The database of this machine's farm, which may be serving: then it is changed beside it.
pub(super) async fn open(data: &DataOptions) -> Result<Database, CommandError> {
    let path = super::data(data)?.join("farm.db");
    if !path.is_file() {
        return Err(CommandError::bad_usage(format!("there is no farm here: {} is not there", path.display()))
            .next("`reprove farm serve` makes one; --data DIR names another"));
    }
    blocking(move || Database::open_beside(&path)).await?.map_err(from_database)
}

/// Copies the database.
pub(crate) async fn back_up(app: &App, to: &Path, data: &DataOptions) -> Result<u8, CommandError> {
    let path = absolute(to)?;
    if path.symlink_metadata().is_ok() {
        return Err(
            CommandError::bad_usage(format!("{} is there already", to.display())).next("name a file that is not")
        );
    }
    open(data).await?.back_up(path).await.map_err(from_database)?;
    match app.global.json {
        true => output::json(&json!({ "backup": to }))?,
        false => output::text(&format!("wrote {}\n", to.display()))?,
    }
    Ok(YES)
}
