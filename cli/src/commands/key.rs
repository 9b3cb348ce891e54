// SPDX-License-Identifier: Apache-2.0
//! `reprove key`: the key that signs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reprove_attest::{Algorithm, PublicKey};
use serde_json::json;

use crate::app::{App, blocking};
use crate::error::{CommandError, YES};
use crate::{keys, output, passphrase};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a private key that only this user can read, encrypted with a passphrase
    New {
        /// Where [default: ~/.config/reprove/key.pem; or REPROVE_KEY]
        file: Option<PathBuf>,
        /// How it signs: ecdsa-p256, which most others verify, or ed25519
        #[arg(long, default_value_t = Algorithm::EcdsaP256)]
        algorithm: Algorithm,
        /// Don't encrypt it. Else the passphrase is asked for, or is REPROVE_KEY_PASSPHRASE
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Print the public half of a private key, as `reprove audit --key` takes it
    Show {
        /// The private key, a file or a PKCS#11 URI [default: ~/.config/reprove/key.pem; or REPROVE_KEY]
        key: Option<PathBuf>,
    },
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    match arguments.command {
        Command::New { file, algorithm, no_passphrase } => {
            let path = keys::file(file.as_deref())?;
            keys::is_free(&path)?;
            let passphrase = if no_passphrase { None } else { Some(passphrase::new(&path).await?) };
            let (encrypted, place) = (passphrase.is_some(), path.clone());
            // Encrypting takes long on purpose.
            let key = blocking(move || keys::make(&place, algorithm, passphrase.as_ref())).await??.public_key();
            let shown = path.display();
            app.progress.note(&if encrypted {
                format!("the private key is {shown}; without its passphrase, it is lost")
            } else {
                format!("the private key is {shown}; it is not encrypted: keep it to yourself")
            });
            print(app, &shown.to_string(), &key)
        }
        Command::Show { key } => {
            let place = keys::place(key.as_deref())?;
            print(app, &place.to_string(), &keys::load(&place).await?.public_key())
        }
    }
}

fn print(app: &App, place: &str, key: &PublicKey) -> Result<u8, CommandError> {
    let pem = key.to_spki_pem().map_err(|e| CommandError::cannot(e.to_string()))?;
    if app.global.json {
        output::json(
            &json!({ "file": place, "algorithm": key.algorithm().name(), "keyid": key.id().to_string(), "public": pem }),
        )?;
    } else {
        output::text(&pem)?;
    }
    Ok(YES)
}
