// SPDX-License-Identifier: Apache-2.0
//! `farm hook`: who is told what happens in the farm of this machine.

use reprove_farm::hooks::{self, Hook, Secret};
use serde_json::json;

use super::from_farm;
use super::tokens::open;
use crate::app::App;
use crate::commands::Hook as Command;
use crate::error::{CommandError, YES};
use crate::{keys, output, plain};

/// Makes, lists or removes hooks.
pub(crate) async fn run(app: &App, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::New { name, url, data } => {
            let secret = Secret::new(*keys::random()?);
            let now = (super::clock())();
            hooks::add(&open(&data).await?, name.clone(), url, secret.clone(), now).await.map_err(from_farm)?;
            match app.global.json {
                true => output::json(&json!({ "name": name, "secret": secret.shown() }))?,
                false => output::text(&format!("{}\n", secret.shown()))?,
            }
        }
        Command::List { data } => {
            let all = hooks::all(&open(&data).await?).await.map_err(from_farm)?;
            match app.global.json {
                true => output::json(&json!({ "hooks": all }))?,
                false => output::text(&all.iter().map(line).collect::<String>())?,
            }
        }
        Command::Remove { name, data } => {
            if !hooks::remove(&open(&data).await?, name.clone()).await.map_err(from_farm)? {
                return Err(CommandError::bad_usage(format!("there is no hook {name}"))
                    .next("`reprove farm hook list` lists them"));
            }
            match app.global.json {
                true => output::json(&json!({ "removed": name }))?,
                false => output::text(&format!("removed {name}\n"))?,
            }
        }
    }
    Ok(YES)
}

fn line(hook: &Hook) -> String {
    let trouble = hook.trouble.as_deref().map(|trouble| format!("; the last was not taken: {trouble}"));
    let text = format!(
        "{}: {} ({} to be told, {} given up{})",
        hook.name,
        hook.url,
        hook.waiting,
        hook.given_up,
        trouble.unwrap_or_default()
    );
    format!("{}\n", plain::line(&text))
}
