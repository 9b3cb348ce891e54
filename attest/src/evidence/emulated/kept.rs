// SPDX-License-Identifier: Apache-2.0
//! EMULATED processors as they are kept in files, so that they are the same ones the next time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::{EmulatedAmd, EmulatedKeys, EmulationError, MadeEndorsements, SigningCertificate};
use crate::evidence::document::{decoded, encoded};
use crate::evidence::snp::{Product, SigningKey, Tcb};
use crate::evidence::tdx::{EmulatedPlatform, EmulatedTdx};

/// What stands in the file, in JSON: keys in PKCS#8 and certificates in DER, each in base64. The keys are secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptAmd {
    /// What it is, for whoever opens the file.
    what: String,
    keys: [String; 3],
    certificates: [String; 4],
}

const WHAT: &str = "EMULATED - NOT HARDWARE: the keys of an emulated secure processor; keep them to yourself";

/// Which processor every deployment emulates.
const IS: SigningCertificate = SigningCertificate {
    product: Product::Genoa,
    tcb: Tcb { fmc: 0, bl: 10, tee: 0, snp: 25, ucode: 84 },
    kind: SigningKey::Chip,
};

impl KeptAmd {
    /// The longest file, in bytes.
    pub const MAX_BYTES: usize = 1 << 16;

    /// A new one, with keys that were made for it, whose certificates are valid from `made` on.
    ///
    /// # Errors
    /// See [`EmulationError`].
    pub fn make(keys: &EmulatedKeys<'_>, made: Timestamp) -> Result<Self, EmulationError> {
        let amd = EmulatedAmd::new(keys, IS, made)?;
        let MadeEndorsements { key, intermediate, root, revoked } = amd.endorsements();
        Ok(Self {
            what: WHAT.into(),
            keys: [keys.root, keys.signer, keys.chip].map(encoded),
            certificates: [key, intermediate, root, revoked].map(|der| encoded(der)),
        })
    }

    /// The processor.
    ///
    /// # Errors
    /// [`EmulationError::Key`].
    pub fn restore(&self) -> Result<EmulatedAmd, EmulationError> {
        let read = |text: &str| decoded(text).ok_or(EmulationError::Key("kept"));
        let [root, signer, chip] = self.keys.each_ref().map(|key| read(key).map(Zeroizing::new));
        let [key, intermediate, of_root, revoked] = self.certificates.each_ref().map(|der| read(der));
        let (root, signer, chip) = (root?, signer?, chip?);
        let keys = EmulatedKeys { root: &root, signer: &signer, chip: &chip };
        let made = MadeEndorsements { key: key?, intermediate: intermediate?, root: of_root?, revoked: revoked? };
        EmulatedAmd::restore(&keys, IS, made)
    }
}

impl Drop for KeptAmd {
    fn drop(&mut self) {
        self.keys.iter_mut().for_each(|key| key.zeroize());
    }
}

/// An EMULATED processor of Intel's kind, as it stands in a file, in JSON. The seed is secret: all keys are made from it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptTdx {
    /// What it is, for whoever opens the file.
    what: String,
    /// 32 bytes, in base64.
    seed: String,
    /// From when on its certificates and its collateral hold, for ten years.
    made: Timestamp,
}

impl KeptTdx {
    /// A new one, from a seed that was drawn for it, which holds from `made` on.
    #[must_use]
    pub fn make(seed: &[u8; 32], made: Timestamp) -> Self {
        Self { what: WHAT.into(), seed: encoded(seed), made }
    }

    /// The processor.
    ///
    /// # Errors
    /// See [`EmulationError`].
    pub fn restore(&self) -> Result<EmulatedTdx, EmulationError> {
        let seed = decoded(&self.seed).map(Zeroizing::new);
        let seed = seed.as_ref().and_then(|seed| <&[u8; 32]>::try_from(seed.as_slice()).ok());
        let seed = seed.ok_or(EmulationError::Key("kept"))?;
        let until = self.made.checked_add(SignedDuration::from_hours(24 * 3652));
        let until = until.map_err(|_| EmulationError::Time(self.made))?;
        Ok(EmulatedTdx::new(seed, EmulatedPlatform::new(self.made..=until))?)
    }
}

impl Drop for KeptTdx {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}
