// SPDX-License-Identifier: Apache-2.0
//! An EMULATED processor as it is kept in a file, so that it is the same one the next time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EmulatedAmd, EmulatedKeys, EmulationError, MadeEndorsements, SigningCertificate};
use crate::evidence::document::{decoded, encoded};
use crate::evidence::snp::{Product, SigningKey, Tcb};

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
        let read = |text: &String| decoded(text).ok_or(EmulationError::Key("kept"));
        let [root, signer, chip] = self.keys.each_ref().map(read);
        let [key, intermediate, of_root, revoked] = self.certificates.each_ref().map(read);
        let (root, signer, chip) = (root?, signer?, chip?);
        let keys = EmulatedKeys { root: &root, signer: &signer, chip: &chip };
        let made = MadeEndorsements { key: key?, intermediate: intermediate?, root: of_root?, revoked: revoked? };
        EmulatedAmd::restore(&keys, IS, made)
    }
}
