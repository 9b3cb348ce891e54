// SPDX-License-Identifier: Apache-2.0
//! Why an attestation document proves nothing.

use jiff::Timestamp;
use thiserror::Error;

use super::{MAX_BUNDLE, MAX_DOCUMENT};

/// Why an attestation document proves nothing. Certificates are counted from the root, which is 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NitroError {
    /// More than [`MAX_DOCUMENT`] bytes.
    #[error("the attestation document has {0} bytes; the most is {MAX_DOCUMENT}")]
    TooLong(usize),
    /// Not the form of a signed document.
    #[error("this is not an attestation document of a Nitro enclave: {0}")]
    Form(&'static str),
    /// A field that is missing, unknown, there twice, or not what it should be.
    #[error("the attestation document's {0:?} {1}")]
    Field(String, &'static str),
    /// None, or more than [`MAX_BUNDLE`].
    #[error(
        "{0} certificates are above that of the enclave; there is at least the root, and {MAX_BUNDLE} are the most"
    )]
    Bundle(usize),
    /// Another root.
    #[error("the chain of certificates does not begin with the root that is trusted ({expected})")]
    OtherRoot {
        /// The fingerprint of the root that is trusted, in hexadecimal digits.
        expected: String,
    },
    /// A certificate that is not one of such a chain.
    #[error("certificate {0} of the chain is not taken: {1}")]
    Certificate(usize, &'static str),
    /// A certificate that does not hold yet.
    #[error("certificate {certificate} of the chain holds from {from} on, and not yet at {at}")]
    NotYet {
        /// Which.
        certificate: usize,
        /// From when on it does.
        from: Timestamp,
        /// When it should: the time that is asked about, or that of the document.
        at: Timestamp,
    },
    /// A certificate that holds no more.
    #[error("certificate {certificate} of the chain held until {until}, and no more at {at}")]
    Expired {
        /// Which.
        certificate: usize,
        /// Until when it did.
        until: Timestamp,
        /// When it should: the time that is asked about, or that of the document.
        at: Timestamp,
    },
    /// Made after the time that is asked about.
    #[error("the attestation document was made on {0}, which is after the time that is asked about")]
    FromTheFuture(Timestamp),
    /// Not signed by the enclave's certificate.
    #[error("the attestation document's signature is not that of its certificate")]
    Signature,
    /// Of an enclave that can be looked into.
    #[error("the enclave runs in debug mode: its register PCR{0} is zero")]
    Debug(u8),
    /// A register that every document has.
    #[error("the attestation document has no register PCR{0}")]
    NoRegister(u8),
    /// Another nonce.
    #[error("the attestation document's nonce is not what was expected: it answers another question")]
    Nonce,
    /// Other user data.
    #[error("the attestation document's user data are not what was expected")]
    UserData,
    /// A register that is not the one that is expected.
    #[error("the enclave's register PCR{0} is not the one that is expected")]
    Register(u8),
    /// No register is expected at all.
    #[error("no enclave is expected, so none fits: name one by its registers")]
    NothingExpected,
}
