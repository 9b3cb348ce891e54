// SPDX-License-Identifier: Apache-2.0
//! What signs, wherever its key is.

use thiserror::Error;

use super::{KeyId, PublicKey, SigningKey};

/// A private key that signs: one in memory, as [`SigningKey`], or one that never leaves the device that holds it.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public_key(&self) -> PublicKey;

    /// Signs `message`; the signature is in the form that [`PublicKey::verify`] reads. What is signed in this crate is
    /// verified with [`Signer::public_key`] before anyone gets it.
    ///
    /// # Errors
    /// [`SignerError::Failed`] where what holds the key makes no signature.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError>;
}

impl Signer for SigningKey {
    fn public_key(&self) -> PublicKey {
        self.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.sign(message))
    }
}

/// Why a key made no signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignerError {
    /// What holds the key made none.
    #[error("the key {keyid} did not sign: {why}")]
    Failed {
        /// Of its public half.
        keyid: KeyId,
        /// What it said.
        why: String,
    },
    /// What came is no signature by the key of what was to be signed.
    #[error("the key {0} signed wrongly: what it gave does not verify with its public half")]
    Wrong(KeyId),
}

/// A signature that was verified.
pub(crate) fn signature(signer: &dyn Signer, message: &[u8]) -> Result<Vec<u8>, SignerError> {
    let (signature, public) = (signer.sign(message)?, signer.public_key());
    public.verify(message, &signature).map_err(|_| SignerError::Wrong(public.id()))?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Note, NoteError};
    use crate::{Algorithm, Envelope};

    /// Signs with another key than it says, or not at all.
    struct Broken(SigningKey, Option<SigningKey>);

    impl Signer for Broken {
        fn public_key(&self) -> PublicKey {
            self.0.public_key()
        }

        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
            let failed = || SignerError::Failed { keyid: self.0.public_key().id(), why: "it was pulled".into() };
            self.1.as_ref().map(|key| key.sign(message)).ok_or_else(failed)
        }
    }

    #[test]
    fn nothing_is_signed_with_a_signature_that_does_not_verify() {
        for algorithm in Algorithm::ALL {
            let key = |seed| SigningKey::new(algorithm, [seed; 32]).unwrap();
            let id = key(1).public_key().id();
            let good = Broken(key(1), Some(key(1)));
            assert!(Envelope::sign(&good, *b"{}").unwrap().verify(&[good.public_key()]).is_ok());
            let (wrong, none) = (Broken(key(1), Some(key(2))), Broken(key(1), None));
            assert_eq!(Envelope::sign(&wrong, *b"{}"), Err(SignerError::Wrong(id)));
            assert!(matches!(Envelope::sign(&none, *b"{}"), Err(SignerError::Failed { keyid, .. }) if keyid == id));
        }
        let mut note = Note::new("x\n").unwrap();
        let wrong = Broken(SigningKey::ed25519([1; 32]), Some(SigningKey::ed25519([2; 32])));
        let error = SignerError::Wrong(wrong.public_key().id());
        assert_eq!(note.sign("log", &wrong), Err(NoteError::Signer(error.clone())));
        assert_eq!(note.cosign("log", &wrong, 1), Err(NoteError::Signer(error)));
        assert_eq!(note, Note::new("x\n").unwrap());
    }
}
