// SPDX-License-Identifier: Apache-2.0
//! The EMULATED secure processor of this user: made at first use, kept in a file that nobody else can read.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use jiff::{SignedDuration, Timestamp};
use reprove_attest::evidence::emulated::{EmulatedAmd, EmulatedKeys, KeptAmd};
use zeroize::Zeroizing;

use crate::app::{App, absolute, blocking};
use crate::env_vars;
use crate::error::{CANNOT, CommandError, from_error};
use crate::open;
use crate::output::without_name;

/// The processor, which is made where there is none yet.
pub(crate) async fn processor(app: &App) -> Result<EmulatedAmd, CommandError> {
    let path = place()?;
    if !path.exists() {
        app.progress.doing("making the keys of an EMULATED secure processor");
        let (place, now) = (path.clone(), Timestamp::now());
        blocking(move || make(&place, now)).await??;
        let shown = path.display();
        app.progress
            .note(&format!("made an EMULATED secure processor, {shown}; it is no hardware, and proves nothing"));
    }
    let text = open::secret("emulated secure processor", &path, KeptAmd::MAX_BYTES, "make a new one")?;
    let bad = |why: String| {
        CommandError::bad_usage(format!("{}: {why}", path.display()))
            .next("move it away; the next use makes a new one, with another root")
    };
    let kept: KeptAmd = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    kept.restore().map_err(|e| bad(e.to_string()))
}

/// Where it is kept.
fn place() -> Result<PathBuf, CommandError> {
    let path = env_vars::path(env_vars::EMULATED);
    let path = path.or_else(|| Some(env_vars::config_home()?.join("reprove/emulated-snp.json")));
    let path = path.ok_or_else(|| {
        CommandError::bad_usage("there is no place for the emulated secure processor: HOME is not set")
            .next(format!("set {}", env_vars::EMULATED))
    })?;
    absolute(&path)
}

/// Makes one at `path`; where somebody else was first, that one stays.
fn make(path: &Path, now: Timestamp) -> Result<(), CommandError> {
    let unspecified = |_| CommandError::cannot("the keys of an emulated secure processor could not be made");
    let rsa = || {
        let der = KeyPair::generate(KeySize::Rsa4096)?.as_der()?.as_ref().to_vec();
        Ok::<_, aws_lc_rs::error::Unspecified>(Zeroizing::new(der))
    };
    let (root, signer) = (rsa().map_err(unspecified)?, rsa().map_err(unspecified)?);
    let chip = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(unspecified)?;
    let chip = chip.to_pkcs8v1().map_err(unspecified)?;
    let keys = EmulatedKeys { root: &root, signer: &signer, chip: chip.as_ref() };
    // A clock that is set back a little does not end it.
    let made = now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(now);
    let kept = KeptAmd::make(&keys, made).map_err(|e| from_error(CANNOT, &e))?;
    let fail = |e: io::Error| CommandError::cannot(format!("can't write {}: {e}", path.display()));
    let json = Zeroizing::new(serde_json::to_vec(&kept).map_err(|e| fail(e.into()))?);
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
