// SPDX-License-Identifier: Apache-2.0
//! The key that signs what this machine saw: a file of this user's, or on a token.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reprove_attest::{Algorithm, EncryptionSeed, KeyError, MAX_PEM, PublicKey, Signer, SigningKey, is_encrypted};
use reprove_token::{KeyUri, SCHEME};
use zeroize::Zeroizing;

use crate::app::{absolute, blocking};
use crate::error::CommandError;
use crate::open::{self, Links};
use crate::output::without_name;
use crate::passphrase::{self, Passphrase};
use crate::{env_vars, token};

/// Where a private key is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a file.
    File(PathBuf),
    /// On a token.
    Token(Box<KeyUri>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Token(uri) => uri.fmt(f),
        }
    }
}

/// Where the key is: `given`, or `REPROVE_KEY`, or the default place.
pub(crate) fn place(given: Option<&Path>) -> Result<Place, CommandError> {
    let path = given.map(Path::to_owned).or_else(|| env_vars::path(env_vars::KEY));
    let path = path.or_else(|| Some(env_vars::config_home()?.join("reprove/key.pem")));
    let path = path.ok_or_else(|| {
        CommandError::bad_usage("there is no place for the key: HOME is not set")
            .next(format!("name a file, or set {}", env_vars::KEY))
    })?;
    match path.to_str().filter(|text| text.starts_with(SCHEME)) {
        Some(text) => Ok(Place::Token(Box::new(text.parse().map_err(token::no_uri)?))),
        None => Ok(Place::File(absolute(&path)?)),
    }
}

/// As [`place`], where only a file will do.
pub(crate) fn file(given: Option<&Path>) -> Result<PathBuf, CommandError> {
    match place(given)? {
        Place::File(path) => Ok(path),
        Place::Token(_) => {
            Err(CommandError::bad_usage("keys are made in files; a token makes its own").next(token::MAKE))
        }
    }
}

/// The key at `place`, and whether it was made now.
pub(crate) async fn load_or_make(place: &Place) -> Result<(Arc<dyn Signer>, bool), CommandError> {
    if let Place::File(path) = place
        && !path.exists()
        && let Some(key) = try_make(path, Algorithm::EcdsaP256, None)?
    {
        return Ok((Arc::new(key), true));
    }
    Ok((load(place).await?, false))
}

/// The key of this algorithm in a file, which is made where it is not there.
pub(crate) async fn load_or_make_of(path: &Path, algorithm: Algorithm) -> Result<Arc<dyn Signer>, CommandError> {
    match try_make(path, algorithm, None) {
        Ok(Some(key)) => Ok(Arc::new(key)),
        Ok(None) => load(&Place::File(path.to_owned())).await,
        Err(error) => Err(error),
    }
}

/// The key at `place`; asks for the passphrase or the PIN where it has one.
pub(crate) async fn load(place: &Place) -> Result<Arc<dyn Signer>, CommandError> {
    Ok(match place {
        Place::File(path) => Arc::new(load_file(path).await?),
        Place::Token(uri) => Arc::new(token::load((**uri).clone()).await?),
    })
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
    open::secret("private key", path, MAX_PEM, "make a new key").map_err(with_hint)
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
            let place = Place::File(path.clone());
            let keys: Vec<(String, bool)> = std::thread::scope(|scope| {
                let make = || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    let (key, made) = runtime.block_on(load_or_make(&place)).unwrap();
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
