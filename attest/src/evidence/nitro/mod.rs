// SPDX-License-Identifier: Apache-2.0
//! Attestation documents of AWS Nitro Enclaves: that an enclave with these measurements ran on a Nitro system of AWS, and
//! said this.
//!
//! ```text
//! root ─▶ region ─▶ zone ─▶ instance ─▶ enclave's certificate ─▶ document
//! ```
//!
//! AWS, "Verifying the root of trust", and `attestation_process.md` of its NSM library, whose sections are named where they
//! are followed. `docs/evidence.md` says what is asked beyond them.

mod certificates;
mod document;
mod error;
mod root;

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use jiff::Timestamp;
use reprove_model::Sha256;

pub use error::NitroError;
pub use root::NitroRoot;

use document::Document;

/// The longest signed document, in bytes. A Nitro Security Module's answers have at most 12 KiB.
pub const MAX_DOCUMENT: usize = 16 << 10;
/// The most certificates above an enclave's.
pub const MAX_BUNDLE: usize = 8;

/// The content of a platform configuration register: SHA-384.
pub type Pcr = [u8; 48];

/// What a document is expected to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What the enclave was given to answer with; `None` where it was given nothing.
    pub nonce: Option<Vec<u8>>,
    /// What the enclave is expected to say; `None` for nothing.
    pub user_data: Option<Vec<u8>>,
    /// Which enclave it is.
    pub enclave: ExpectedEnclave,
}

/// Which enclave is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedEnclave {
    /// One that has the registers of any of these. None, where there are none.
    OneOf(Vec<Registers>),
    /// Whichever it is: who calls [`verify`] compares the registers of the [`VerifiedDocument`] with what is expected.
    ComparedLater,
}

/// The reference values of an enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Of its image.
    pub pcr0: Pcr,
    /// Others, by their number: 1 of its kernel and boot, 2 of its application, 3 of the instance's role, 4 of the instance,
    /// 8 of who signed the image. What is not named, may be anything.
    pub others: BTreeMap<u8, Pcr>,
}

impl Registers {
    /// The first register of `pcrs` that is another one, or is not there.
    fn differs(&self, pcrs: &BTreeMap<u8, Pcr>) -> Option<u8> {
        let named = [(0, &self.pcr0)].into_iter().chain(self.others.iter().map(|(number, pcr)| (*number, pcr)));
        named.into_iter().find(|(number, pcr)| pcrs.get(number) != Some(pcr)).map(|(number, _)| number)
    }
}

/// A document that was verified: nothing but [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDocument {
    document: Document,
    root: NitroRoot,
    holds_until: Timestamp,
}

impl VerifiedDocument {
    /// The Nitro hypervisor's module: the instance and the enclave.
    #[must_use]
    pub fn module_id(&self) -> &str {
        &self.document.module_id
    }

    /// When it was made, by the Nitro system's clock.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.document.timestamp
    }

    /// The registers that were locked, by their number from 0 to 31.
    #[must_use]
    pub fn pcrs(&self) -> &BTreeMap<u8, Pcr> {
        &self.document.pcrs
    }

    /// A key that the enclave gave: 1 to 1,024 bytes.
    #[must_use]
    pub fn public_key(&self) -> Option<&[u8]> {
        self.document.public_key.as_deref()
    }

    /// What the enclave said: at most 512 bytes.
    #[must_use]
    pub fn user_data(&self) -> Option<&[u8]> {
        self.document.user_data.as_deref()
    }

    /// What it was given to answer with: at most 512 bytes.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.document.nonce.as_deref()
    }

    /// The fingerprint of the root that it was verified under: the SHA-256 digest of its certificate.
    #[must_use]
    pub fn root(&self) -> Sha256 {
        self.root.fingerprint()
    }

    /// Whether the root is not that of AWS, so that nothing is proved of any hardware.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.root.is_emulated()
    }

    /// The last moment at which every certificate still holds.
    #[must_use]
    pub fn holds_until(&self) -> Timestamp {
        self.holds_until
    }
}

/// Verifies `signed`, a document as a Nitro Security Module gives it, under `root`, as of the time `at`: that every
/// certificate holds then and held when the document was made, that the enclave is not in debug mode, and that it says what
/// is `expected`.
///
/// # Errors
/// See [`NitroError`].
pub fn verify(
    signed: &[u8],
    root: &NitroRoot,
    expected: &Expected,
    at: Timestamp,
) -> Result<VerifiedDocument, NitroError> {
    let (cose, document) = document::read(signed)?;
    let (key, holds_until) = certificates::verify(&document, root, at)?;
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key);
    cose.verify_signature(&[], |signature, data| key.verify(data, signature)).map_err(|_| NitroError::Signature)?;
    is_no_debug(&document.pcrs)?;
    is_expected(&document, expected)?;
    Ok(VerifiedDocument { document, root: root.clone(), holds_until })
}

/// In debug mode, the registers are zero, and the console shows what the enclave does (AWS, "Verifying the root of trust").
fn is_no_debug(pcrs: &BTreeMap<u8, Pcr>) -> Result<(), NitroError> {
    for number in 0..=2 {
        match pcrs.get(&number) {
            Some(pcr) if *pcr == [0; 48] => return Err(NitroError::Debug(number)),
            Some(_) => {}
            None => return Err(NitroError::NoRegister(number)),
        }
    }
    Ok(())
}

fn is_expected(document: &Document, expected: &Expected) -> Result<(), NitroError> {
    if document.nonce != expected.nonce {
        return Err(NitroError::Nonce);
    }
    if document.user_data != expected.user_data {
        return Err(NitroError::UserData);
    }
    let ExpectedEnclave::OneOf(enclaves) = &expected.enclave else { return Ok(()) };
    let mut differs = enclaves.iter().map(|enclave| enclave.differs(&document.pcrs));
    match differs.next() {
        None => Err(NitroError::NothingExpected),
        Some(Some(first)) if differs.all(|other| other.is_some()) => Err(NitroError::Register(first)),
        Some(_) => Ok(()),
    }
}
