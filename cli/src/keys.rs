// SPDX-License-Identifier: Apache-2.0
//! The key that signs what this machine saw: a file of this user's.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use reprove_attest::{MAX_PEM, PublicKey, SigningKey};

use crate::app::absolute;
use crate::env_vars;
use crate::error::CommandError;

/// Where the key is: `given`, or `REPROVE_KEY`, or the default place.
pub(crate) fn path(given: Option<&Path>) -> Result<PathBuf, CommandError> {
    let path = given.map(Path::to_owned).or_else(|| env_vars::path(env_vars::KEY));
    let path = path.or_else(|| Some(env_vars::config_home()?.join("reprove/key.pem")));
    let path = path.ok_or_else(|| {
        CommandError::bad_usage("there is no place for the key: HOME is not set")
            .next(format!("give --key FILE, or set {}", env_vars::KEY))
    })?;
    absolute(&path)
}

/// The key of the file at `path`, and whether it was made now.
pub(crate) fn load_or_make(path: &Path) -> Result<(SigningKey, bool), CommandError> {
    if path.exists() { Ok((load(path)?, false)) } else { Ok((make(path)?, true)) }
}

/// The key of the file at `path`.
pub(crate) fn load(path: &Path) -> Result<SigningKey, CommandError> {
    let mode = fs::metadata(path).map(|m| m.permissions().mode()).map_err(|e| unreadable(path, &e))?;
    if mode & 0o077 != 0 {
        let shown = path.display();
        return Err(CommandError::bad_usage(format!(
            "others can read the private key {shown} (mode {:o})",
            mode & 0o777
        ))
        .next(format!("chmod 600 {shown}, and make a new key if somebody may have read it")));
    }
    SigningKey::from_pkcs8_pem(&read_pem(path)?)
        .map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))
}

/// Makes a key at `path`, which must not exist. Only this user can read it; it is not encrypted.
pub(crate) fn make(path: &Path) -> Result<SigningKey, CommandError> {
    let fail = |e: io::Error| CommandError::cannot(format!("can't write the key {}: {e}", path.display()));
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| CommandError::cannot(format!("the system gives no random bytes: {e}")))?;
    let key = SigningKey::from_seed(seed);
    seed.fill(0);
    let pem = key.to_pkcs8_pem().map_err(|e| CommandError::cannot(e.to_string()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|e| {
        if e.kind() == io::ErrorKind::AlreadyExists {
            return CommandError::bad_usage(format!(
                "{} is there already, and a key is never overwritten",
                path.display()
            ))
            .next("name another file, or move that one away");
        }
        fail(e)
    })?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
    Ok(key)
}

/// The public key of the file at `path`.
pub(crate) fn load_public(path: &Path) -> Result<PublicKey, CommandError> {
    PublicKey::from_spki_pem(&read_pem(path)?).map_err(|e| {
        CommandError::bad_usage(format!("{}: {e}", path.display()))
            .next("`reprove key show` prints a public key as this takes it")
    })
}

fn read_pem(path: &Path) -> Result<String, CommandError> {
    let mut text = String::new();
    let most = MAX_PEM as u64 + 1;
    File::open(path).and_then(|file| file.take(most).read_to_string(&mut text)).map_err(|e| unreadable(path, &e))?;
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> CommandError {
    CommandError::bad_usage(format!("can't read the key {}: {error}", path.display()))
        .next("`reprove key new` makes a key; `reprove key show` prints its public half")
}
