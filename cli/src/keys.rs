// SPDX-License-Identifier: Apache-2.0
//! The key that signs what this machine saw: a file of this user's.

use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reprove_attest::{
    Algorithm, EncryptionSeed, KeyError, MAX_PEM, PublicKey, Signer, SignerError, SigningKey, is_encrypted,
};
use zeroize::Zeroizing;

use crate::app::{absolute, blocking};
use crate::env_vars;
use crate::error::CommandError;
use crate::open::{self, Links};
use crate::output::without_name;
use crate::passphrase::{self, Passphrase};

/// Where the key is: `given`, or `REPROVE_KEY`, or the default place.
pub(crate) fn path(given: Option<&Path>) -> Result<PathBuf, CommandError> {
    let path = given.map(Path::to_owned).or_else(|| env_vars::path(env_vars::KEY));
    let path = path.or_else(|| Some(env_vars::config_home()?.join("reprove/key.pem")));
    let path = path.ok_or_else(|| {
        CommandError::bad_usage("there is no place for the key: HOME is not set")
            .next(format!("name a file, or set {}", env_vars::KEY))
    })?;
    absolute(&path)
}

/// The key of the file at `path`, and whether it was made now.
pub(crate) async fn load_or_make(path: &Path) -> Result<(Arc<dyn Signer>, bool), CommandError> {
    if !path.exists()
        && let Some(key) = try_make(path, Algorithm::EcdsaP256, None)?
    {
        return Ok((Arc::new(key), true));
    }
    Ok((load(path).await?, false))
}

/// The key of the file at `path`; asks for its passphrase where it has one.
pub(crate) async fn load(path: &Path) -> Result<Arc<dyn Signer>, CommandError> {
    Ok(Arc::new(load_file(path).await?))
}

async fn load_file(path: &Path) -> Result<SigningKey, CommandError> {
    let text = read(path)?;
    let bad = |e: KeyError| CommandError::bad_usage(format!("{}: {e}", path.display()));
    if !is_encrypted(&text) {
        return SigningKey::from_pkcs8_pem(&text).map_err(bad);
    }
    let passphrase = passphrase::of(path).await?;
    // It takes long on purpose.
    blocking(move || SigningKey::from_encrypted_pem(&text, passphrase.as_bytes())).await?.map_err(bad)
}

/// Looks whether the file at `path` is a private key that this user alone can read, and whether it is encrypted.
pub(crate) fn look(path: &Path) -> Result<bool, CommandError> {
    let text = read(path)?;
    if is_encrypted(&text) {
        return Ok(true);
    }
    let key = SigningKey::from_pkcs8_pem(&text);
    key.map(|_| false).map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))
}

fn read(path: &Path) -> Result<Zeroizing<String>, CommandError> {
    let file = open::regular("key", path, Links::Followed).map_err(with_hint)?;
    let unreadable = |e: io::Error| with_hint(open::unreadable("key", path, &e));
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        let shown = path.display();
        return Err(CommandError::bad_usage(format!(
            "others can read the private key {shown} (mode {:o})",
            mode & 0o777
        ))
        .next(format!("chmod 600 {shown}, and make a new key if somebody may have read it")));
    }
    let mut text = Zeroizing::default();
    file.take(MAX_PEM as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Makes a key at `path`, which must not exist. Only this user can read it; without a passphrase it is not encrypted.
pub(crate) fn make(
    path: &Path,
    algorithm: Algorithm,
    passphrase: Option<&Passphrase>,
) -> Result<SigningKey, CommandError> {
    try_make(path, algorithm, passphrase)?.ok_or_else(|| is_there(path))
}

/// Refuses a place for a new key that is taken.
pub(crate) fn is_free(path: &Path) -> Result<(), CommandError> {
    if path.symlink_metadata().is_ok() { Err(is_there(path)) } else { Ok(()) }
}

fn is_there(path: &Path) -> CommandError {
    CommandError::bad_usage(format!("{} is there already, and a key is never overwritten", path.display()))
        .next("name another file, or move that one away")
}

/// Makes a key; `None` where something is at `path` already. The file is whole from the moment that it is there.
fn try_make(
    path: &Path,
    algorithm: Algorithm,
    passphrase: Option<&Passphrase>,
) -> Result<Option<SigningKey>, CommandError> {
    let fail = |e: io::Error| CommandError::cannot(format!("can't write the key {}: {e}", path.display()));
    let bad = |e: KeyError| CommandError::cannot(e.to_string());
    let key = loop {
        match SigningKey::new(algorithm, *random()?) {
            Err(KeyError::Seed) => {}
            made => break made.map_err(bad)?,
        }
    };
    let pem: Zeroizing<String> = match passphrase {
        None => key.to_pkcs8_pem().map_err(bad)?.to_string().into(),
        Some(passphrase) => {
            let seed = EncryptionSeed { salt: *random()?, iv: *random()? };
            key.to_encrypted_pem(passphrase.as_bytes(), &seed).map_err(bad)?.to_string().into()
        }
    };
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(fail)?;
    let private = Permissions::from_mode(0o600);
    let mut temp =
        tempfile::Builder::new().permissions(private).tempfile_in(folder).map_err(|e| fail(without_name(e)))?;
    temp.write_all(pem.as_bytes()).and_then(|()| temp.as_file().sync_all()).map_err(fail)?;
    match temp.persist_noclobber(path) {
        Ok(_) => Ok(Some(key)),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(e) => Err(fail(e.error)),
    }
}

/// Random bytes, of the system's.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, CommandError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut())
        .map_err(|e| CommandError::cannot(format!("the system gives no random bytes: {e}")))?;
    Ok(bytes)
}

/// The public key of the file at `path`.
pub(crate) fn load_public(path: &Path) -> Result<PublicKey, CommandError> {
    let text = open::read_text("key", path, Links::Followed, MAX_PEM)
        .map_err(|e| e.next("ask the rebuilder for its public key; `reprove key show` prints it there"))?;
    if text.contains("PRIVATE KEY-----") {
        let shown = path.display();
        return Err(CommandError::bad_usage(format!("{shown}: this is a private key"))
            .next(format!("give the output of `reprove key show {shown}`")));
    }
    PublicKey::from_spki_pem(&text).map_err(|e| {
        CommandError::bad_usage(format!("{}: {e}", path.display()))
            .next("`reprove key show` prints a public key as this takes it")
    })
}

impl From<SignerError> for CommandError {
    fn from(error: SignerError) -> Self {
        let this = Self::cannot(error.to_string());
        match error {
            SignerError::Failed { .. } => this.next("look whether what holds the key is there, and run it again"),
            SignerError::Wrong(_) => this.next("sign with another key: what holds this one is broken"),
        }
    }
}

fn with_hint(error: CommandError) -> CommandError {
    error.next("`reprove key new` makes a key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_make_a_key_at_once_get_the_same_one() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("config/key.pem");
            let keys: Vec<(String, bool)> = std::thread::scope(|scope| {
                let make = || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    let (key, made) = runtime.block_on(load_or_make(&path)).unwrap();
                    (key.public_key().id().to_string(), made)
                };
                let threads: Vec<_> = (0..16).map(|_| scope.spawn(make)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let (first, _) = &keys[0];
            assert!(keys.iter().all(|(id, _)| id == first), "{keys:?}");
            assert_eq!(keys.iter().filter(|(_, made)| *made).count(), 1);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
    }
}
