// SPDX-License-Identifier: Apache-2.0
//! Timestamps (RFC 3161): that a signature was there at some time, by the word of an authority whom the auditor trusts.

mod request;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reprove_model::Sha256;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use sigstore_tsa::{TsaAuthority, verify_timestamp_for_authority};
use sigstore_types::{DerCertificate, SignatureBytes, TimeRange, TimestampToken};
use thiserror::Error;

pub use request::TimestampRequest;
use request::timestamp_of;

use crate::{Envelope, KeyId};

/// The longest answer of an authority, in bytes.
pub const MAX_TIMESTAMP: usize = 1 << 16;

/// That an envelope's signature was there at some time, by an authority's word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampedEnvelope {
    /// The key that the envelope names.
    pub keyid: KeyId,
    /// Of its payload.
    pub payload: Sha256,
    /// The authority's answer (RFC 3161, section 2.4.2), DER in base64. It is about the SHA-256 digest of the signature, or
    /// another that the authority was asked for.
    pub response: String,
}

impl TimestampedEnvelope {
    /// What `authority` has answered about `envelope`. Unverified.
    #[must_use]
    pub fn new(envelope: &Envelope, response: &[u8]) -> Self {
        let response = STANDARD.encode(response);
        Self { keyid: envelope.keyid(), payload: envelope.payload_digest(), response }
    }

    /// Whether it is about this envelope.
    #[must_use]
    pub fn is_of(&self, envelope: &Envelope) -> bool {
        self.keyid == envelope.keyid() && self.payload == envelope.payload_digest()
    }

    /// The time that the answer says. Unverified.
    ///
    /// # Errors
    /// See [`TimestampError`].
    pub fn time(&self) -> Result<Timestamp, TimestampError> {
        timestamp_of(&self.response()?)
    }

    /// The answer's DER.
    pub(crate) fn response(&self) -> Result<Vec<u8>, TimestampError> {
        let response = STANDARD.decode(&self.response).map_err(|_| TimestampError::Base64)?;
        if response.len() > MAX_TIMESTAMP { Err(TimestampError::TooLong(response.len())) } else { Ok(response) }
    }

    /// When `authority` has seen the signature of `envelope`.
    ///
    /// # Errors
    /// See [`TimestampError`].
    pub fn verify(&self, envelope: &Envelope, authority: &TimestampAuthority) -> Result<Timestamp, TimestampError> {
        if !self.is_of(envelope) {
            return Err(TimestampError::OtherEnvelope);
        }
        let (token, signature) =
            (TimestampToken::new(self.response()?), SignatureBytes::from_bytes(envelope.signature()));
        let verified = verify_timestamp_for_authority(&token, &signature, &authority.authority);
        verified.map_err(|e| TimestampError::Refused(e.to_string()))
    }
}

/// An authority whose word on the time is believed.
#[derive(Clone)]
pub struct TimestampAuthority {
    name: String,
    authority: TsaAuthority,
}

impl TimestampAuthority {
    /// The longest chain of certificates.
    pub const MAX_CERTIFICATES: usize = 8;

    /// The authority `name` with its certificates in PEM: its own first, the root last, at least those two. Only the very
    /// first certificate's key is believed, and only for times from `from` to `until`.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn new(
        name: &str,
        pem: &str,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Self, AuthorityError> {
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|e| AuthorityError::Pem(e.to_string()))?;
            if certificates.len() == Self::MAX_CERTIFICATES {
                return Err(AuthorityError::Certificates(Self::MAX_CERTIFICATES + 1));
            }
            certificates.push(DerCertificate::from_bytes(&certificate));
        }
        let count = certificates.len();
        let mut certificates = certificates.into_iter();
        let (Some(leaf), Some(root)) = (certificates.next(), certificates.next_back()) else {
            return Err(AuthorityError::Certificates(count));
        };
        let range =
            (from.is_some() || until.is_some()).then(|| TimeRange::new(from.unwrap_or(Timestamp::UNIX_EPOCH), until));
        let authority = TsaAuthority::new(leaf, certificates.collect(), root, range);
        Ok(Self { name: name.to_owned(), authority })
    }

    /// What the auditor calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for TimestampAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimestampAuthority").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for TimestampAuthority {
    fn eq(&self, other: &Self) -> bool {
        let parts = |a: &Self| {
            let TsaAuthority { leaf, intermediates, root, valid_for, .. } = &a.authority;
            let chain = [leaf].into_iter().chain(intermediates).chain([root]);
            let chain: Vec<Vec<u8>> = chain.map(|certificate| certificate.as_bytes().to_vec()).collect();
            (a.name.clone(), chain, valid_for.as_ref().map(|range| (range.start, range.end)))
        };
        parts(self) == parts(other)
    }
}

impl Eq for TimestampAuthority {}

/// Why there is no authority.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthorityError {
    /// Not PEM.
    #[error("its certificates are not PEM: {0}")]
    Pem(String),
    /// Too few, or too many.
    #[error(
        "it has {0} certificates; it has its own first and the root last, and at most {max}",
        max = TimestampAuthority::MAX_CERTIFICATES
    )]
    Certificates(usize),
}

/// Why an authority's word is not believed, or is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TimestampError {
    /// Of another envelope.
    #[error("it is about another envelope")]
    OtherEnvelope,
    /// Not base64.
    #[error("it is not standard base64")]
    Base64,
    /// Longer than [`MAX_TIMESTAMP`].
    #[error("it has {0} bytes; the most is {MAX_TIMESTAMP}")]
    TooLong(usize),
    /// Not by this authority, or not about this signature, or not within the time for which the authority is believed.
    #[error("the authority did not say so: {0}")]
    Refused(String),
    /// Not the form of an answer.
    #[error("this is no answer of a timestamp authority (RFC 3161): {0}")]
    Form(String),
    /// The authority said no.
    #[error("the authority gave no timestamp: {0}")]
    NotGranted(String),
    /// An answer to another question.
    #[error("the authority answered another question: its {0} is not that of the request")]
    OtherQuestion(&'static str),
}
