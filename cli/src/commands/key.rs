// SPDX-License-Identifier: Apache-2.0
//! `reprove key`: the key that signs.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reprove_attest::PublicKey;
use serde_json::json;

use crate::app::App;
use crate::error::{CommandError, YES};
use crate::{keys, output};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a private key, not encrypted, that only this user can read
    New {
        /// Where [default: ~/.config/reprove/key.pem; or REPROVE_KEY]
        file: Option<PathBuf>,
    },
    /// Print the public half of a private key, as `reprove audit --key` takes it
    Show {
        /// The private key [default: ~/.config/reprove/key.pem; or REPROVE_KEY]
        file: Option<PathBuf>,
    },
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<u8, CommandError> {
    match &arguments.command {
        Command::New { file } => {
            let path = keys::path(file.as_deref())?;
            let key = keys::make(&path)?.public_key();
            app.progress
                .note(&format!("the private key is {}; it is not encrypted: keep it to yourself", path.display()));
            print(app, &path, &key)
        }
        Command::Show { file } => {
            let path = keys::path(file.as_deref())?;
            print(app, &path, &keys::load(&path)?.public_key())
        }
    }
}

fn print(app: &App, path: &Path, key: &PublicKey) -> Result<u8, CommandError> {
    let pem = key.to_spki_pem().map_err(|e| CommandError::cannot(e.to_string()))?;
    if app.global.json {
        output::json(&json!({ "file": path, "keyid": key.id().to_string(), "public": pem }))?;
    } else {
        output::text(&pem)?;
    }
    Ok(YES)
}
