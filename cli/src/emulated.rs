// SPDX-License-Identifier: Apache-2.0
//! The EMULATED secure processors of this user: made at first use, kept in files that nobody else can read.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use jiff::{SignedDuration, Timestamp};
use reprove_attest::evidence::TeeRoot;
use reprove_attest::evidence::emulated::{EmulatedKeys, KeptAmd, KeptTdx};
use reprove_job::EmulatedProcessor;
use reprove_model::{Isolation, Sha256};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::app::{App, absolute, blocking};
use crate::env_vars;
use crate::error::{CANNOT, CommandError, from_error};
use crate::output::without_name;
use crate::{keys, open};

/// The processor that machines of this isolation have, which is made where there is none yet.
pub(crate) async fn processor(app: &App, isolation: Isolation) -> Result<EmulatedProcessor, CommandError> {
    if isolation == Isolation::EmulatedTdx {
        let path = place(env_vars::EMULATED_TDX, "emulated-tdx.json")?;
        let kept: KeptTdx = kept(app, &path, make_tdx).await?;
        let processor = kept.restore().map_err(|e| bad(&path, &e.to_string()))?;
        return Ok(EmulatedProcessor::Intel(Arc::new(processor)));
    }
    let path = place(env_vars::EMULATED, "emulated-snp.json")?;
    let kept: KeptAmd = kept(app, &path, make_amd).await?;
    let processor = kept.restore().map_err(|e| bad(&path, &e.to_string()))?;
    Ok(EmulatedProcessor::Amd(Arc::new(processor)))
}

/// What an auditor has to name before anything of this processor is believed.
pub(crate) fn root_of(processor: &EmulatedProcessor) -> Result<Sha256, CommandError> {
    let root = match processor {
        EmulatedProcessor::Amd(processor) => processor.fingerprint(),
        EmulatedProcessor::Intel(processor) => Sha256::of(&processor.root().map_err(|e| from_error(CANNOT, &e))?),
    };
    TeeRoot::emulated(root).map(|root| root.fingerprint()).map_err(|e| from_error(CANNOT, &e))
}

/// What stands in the file, which is made where there is none yet.
async fn kept<T: DeserializeOwned + Serialize + 'static>(
    app: &App,
    path: &Path,
    make: fn(Timestamp) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    if !path.exists() {
        app.progress.doing("making the keys of an EMULATED secure processor");
        // A clock that is set back a little does not end it.
        let now = Timestamp::now();
        let made = now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(now);
        let place = path.to_owned();
        blocking(move || write(&place, &make(made)?)).await??;
        let shown = path.display();
        app.progress
            .note(&format!("made an EMULATED secure processor, {shown}; it is no hardware, and proves nothing"));
    }
    let text = open::secret("emulated secure processor", path, KeptAmd::MAX_BYTES, "make a new one")?;
    serde_json::from_str(&text).map_err(|e| bad(path, &e.to_string()))
}

fn bad(path: &Path, why: &str) -> CommandError {
    CommandError::bad_usage(format!("{}: {why}", path.display()))
        .next("move it away; the next use makes a new one, with another root")
}

/// Where it is kept.
fn place(variable: &'static str, name: &str) -> Result<PathBuf, CommandError> {
    let path = env_vars::path(variable);
    let path = path.or_else(|| Some(env_vars::config_home()?.join("reprove").join(name)));
    let path = path.ok_or_else(|| {
        CommandError::bad_usage("there is no place for the emulated secure processor: HOME is not set")
            .next(format!("set {variable}"))
    })?;
    absolute(&path)
}

fn make_tdx(made: Timestamp) -> Result<KeptTdx, CommandError> {
    Ok(KeptTdx::make(&*keys::random()?, made))
}

fn make_amd(made: Timestamp) -> Result<KeptAmd, CommandError> {
    let unspecified = |_| CommandError::cannot("the keys of an emulated secure processor could not be made");
    let rsa = || {
        let der = KeyPair::generate(KeySize::Rsa4096)?.as_der()?.as_ref().to_vec();
        Ok::<_, aws_lc_rs::error::Unspecified>(Zeroizing::new(der))
    };
    let (root, signer) = (rsa().map_err(unspecified)?, rsa().map_err(unspecified)?);
    let chip = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(unspecified)?;
    let chip = chip.to_pkcs8v1().map_err(unspecified)?;
    let keys = EmulatedKeys { root: &root, signer: &signer, chip: chip.as_ref() };
    KeptAmd::make(&keys, made).map_err(|e| from_error(CANNOT, &e))
}

/// Writes it at `path`; where somebody else was first, that one stays.
fn write(path: &Path, kept: &impl Serialize) -> Result<(), CommandError> {
    let fail = |e: io::Error| CommandError::cannot(format!("can't write {}: {e}", path.display()));
    let json = Zeroizing::new(serde_json::to_vec(kept).map_err(|e| fail(e.into()))?);
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(fail)?;
    let private = Permissions::from_mode(0o600);
    let made = tempfile::Builder::new().permissions(private).tempfile_in(folder);
    let mut temporary = made.map_err(|e| fail(without_name(e)))?;
    temporary.write_all(&json).and_then(|()| temporary.as_file().sync_all()).map_err(fail)?;
    match temporary.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(fail(e.error)),
    }
}
