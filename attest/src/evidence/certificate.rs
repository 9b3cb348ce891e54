// SPDX-License-Identifier: Apache-2.0
//! Certificates of processors and of those who vouch for them (RFC 5280), as far as evidence needs them.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use jiff::Timestamp;
use reprove_model::Sha256;
use thiserror::Error;
use x509_cert::Certificate as X509;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

/// One certificate, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: X509,
    tbs: Vec<u8>,
}

/// A list of certificates that were taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    parsed: CertificateList,
    tbs: Vec<u8>,
}

/// Why a certificate, or a list of revoked ones, does not vouch for anything.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Not DER of a certificate, or with bytes that mean nothing.
    #[error("{0} can't be read as DER, or there is more in it than is read")]
    Malformed(&'static str),
    /// Signed in a way that is not taken here.
    #[error("{of} is signed with the algorithm {algorithm}, which is not taken here")]
    Algorithm {
        /// What.
        of: &'static str,
        /// The object identifier.
        algorithm: String,
    },
    /// The one who is named has not signed it.
    #[error("{0} is not signed by the one that it names as its issuer")]
    Signature(&'static str),
    /// It names another issuer.
    #[error("{of} names the issuer {named}, and not {expected}")]
    Issuer {
        /// What.
        of: &'static str,
        /// Whom it names.
        named: String,
        /// Whom it has to name.
        expected: String,
    },
    /// It may not sign others.
    #[error("{0} is not a certificate that may sign others")]
    NoAuthority(&'static str),
    /// Not valid yet.
    #[error("{of} is valid from {from} on, and the time to judge by is before that")]
    NotYetValid {
        /// What.
        of: &'static str,
        /// From when.
        from: Timestamp,
    },
    /// Not valid any more.
    #[error("{of} was valid until {until}, and the time to judge by is after that")]
    Expired {
        /// What.
        of: &'static str,
        /// Until when.
        until: Timestamp,
    },
    /// It was taken back.
    #[error("{of} was revoked at {at}")]
    Revoked {
        /// What.
        of: &'static str,
        /// When.
        at: Timestamp,
    },
    /// An extension that has to be understood, and is not.
    #[error("{of} has the critical extension {extension}, which is not known here")]
    Critical {
        /// What.
        of: &'static str,
        /// The object identifier.
        extension: String,
    },
}

/// RSASSA-PSS (RFC 8017, 8.1).
pub(crate) const PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// The extensions that are understood: the two above are judged; the keys' identifiers only help to find them.
const UNDERSTOOD: [ObjectIdentifier; 2] = [BASIC_CONSTRAINTS, KEY_USAGE];

impl Certificate {
    /// The longest, in bytes.
    pub const MAX_BYTES: usize = 16 << 10;

    /// Reads a certificate from DER. `of` says in errors what it is.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] also where it is not written in the one way that DER allows.
    pub fn from_der(der: &[u8], of: &'static str) -> Result<Self, CertificateError> {
        let malformed = |_| CertificateError::Malformed(of);
        if der.len() > Self::MAX_BYTES {
            return Err(CertificateError::Malformed(of));
        }
        let parsed = X509::from_der(der).map_err(malformed)?;
        let tbs = parsed.tbs_certificate.to_der().map_err(malformed)?;
        let same_algorithm = parsed.tbs_certificate.signature == parsed.signature_algorithm;
        if !same_algorithm || parsed.to_der().map_err(malformed)? != der {
            return Err(CertificateError::Malformed(of));
        }
        Ok(Self { der: der.to_vec(), parsed, tbs })
    }

    /// As it is written.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// What names it: SHA-256 of all its bytes.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        Sha256::of(&self.der)
    }

    /// Whose it is (RFC 4514).
    #[must_use]
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate.subject.to_string()
    }

    /// The key, as its `subjectPublicKey` has it.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.parsed.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes()
    }

    /// Of the key.
    #[must_use]
    pub fn key_algorithm(&self) -> &AlgorithmIdentifierOwned {
        &self.parsed.tbs_certificate.subject_public_key_info.algorithm
    }

    /// What is in the extension that has this name.
    #[must_use]
    pub fn extension(&self, name: ObjectIdentifier) -> Option<&[u8]> {
        let mut all = self.parsed.tbs_certificate.extensions.iter().flatten();
        all.find(|extension| extension.extn_id == name).map(|extension| extension.extn_value.as_bytes())
    }

    /// Whether it is valid at a time, and every critical extension is understood.
    ///
    /// # Errors
    /// [`CertificateError::NotYetValid`], [`CertificateError::Expired`], [`CertificateError::Critical`].
    pub fn check(&self, of: &'static str, at: Timestamp) -> Result<(), CertificateError> {
        let validity = self.parsed.tbs_certificate.validity;
        within(of, validity.not_before, Some(validity.not_after), at)?;
        let mut all = self.parsed.tbs_certificate.extensions.iter().flatten();
        match all.find(|extension| extension.critical && !UNDERSTOOD.contains(&extension.extn_id)) {
            Some(other) => Err(CertificateError::Critical { of, extension: other.extn_id.to_string() }),
            None => Ok(()),
        }
    }

    /// Whether it may sign other certificates.
    ///
    /// # Errors
    /// [`CertificateError::NoAuthority`].
    pub fn check_authority(&self, of: &'static str) -> Result<(), CertificateError> {
        let constraints = self.extension(BASIC_CONSTRAINTS).and_then(|der| BasicConstraints::from_der(der).ok());
        let usage = self.extension(KEY_USAGE).and_then(|der| KeyUsage::from_der(der).ok());
        let is_authority = constraints.is_some_and(|basic| basic.ca) && usage.is_none_or(|usage| usage.key_cert_sign());
        if is_authority { Ok(()) } else { Err(CertificateError::NoAuthority(of)) }
    }

    /// Whether `issuer` has signed it with RSASSA-PSS and SHA-384, as AMD's are.
    ///
    /// # Errors
    /// [`CertificateError::Issuer`], [`CertificateError::Algorithm`], [`CertificateError::Signature`].
    pub fn signed_by(&self, issuer: &Self, of: &'static str) -> Result<(), CertificateError> {
        let signed = Signed {
            of,
            tbs: &self.tbs,
            issuer: self.parsed.tbs_certificate.issuer.to_string(),
            algorithm: &self.parsed.signature_algorithm,
            signature: self.parsed.signature.raw_bytes(),
        };
        signed.by(issuer)
    }

    /// Whether a list has it, of those that its issuer took back.
    ///
    /// # Errors
    /// [`CertificateError::Revoked`].
    pub fn not_revoked(&self, list: &RevocationList, of: &'static str) -> Result<(), CertificateError> {
        let serial = &self.parsed.tbs_certificate.serial_number;
        let mut revoked = list.parsed.tbs_cert_list.revoked_certificates.iter().flatten();
        match revoked.find(|revoked| &revoked.serial_number == serial) {
            Some(revoked) => Err(CertificateError::Revoked { of, at: timestamp(revoked.revocation_date) }),
            None => Ok(()),
        }
    }
}

impl RevocationList {
    /// The longest, in bytes.
    pub const MAX_BYTES: usize = 1 << 20;

    /// Reads a list from DER (RFC 5280, 5). `of` says in errors what it is.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] also where it is not written in the one way that DER allows.
    pub fn from_der(der: &[u8], of: &'static str) -> Result<Self, CertificateError> {
        let malformed = |_| CertificateError::Malformed(of);
        if der.len() > Self::MAX_BYTES {
            return Err(CertificateError::Malformed(of));
        }
        let parsed = CertificateList::from_der(der).map_err(malformed)?;
        let tbs = parsed.tbs_cert_list.to_der().map_err(malformed)?;
        let same_algorithm = parsed.tbs_cert_list.signature == parsed.signature_algorithm;
        if !same_algorithm || parsed.to_der().map_err(malformed)? != der {
            return Err(CertificateError::Malformed(of));
        }
        Ok(Self { parsed, tbs })
    }

    /// Whether it is `issuer`'s, and is the one to go by at a time.
    ///
    /// # Errors
    /// As [`Certificate::signed_by`], [`Certificate::check`]; a list that does not say when the next one comes is none.
    pub fn check(&self, issuer: &Certificate, of: &'static str, at: Timestamp) -> Result<(), CertificateError> {
        let list = &self.parsed.tbs_cert_list;
        let signed = Signed {
            of,
            tbs: &self.tbs,
            issuer: list.issuer.to_string(),
            algorithm: &self.parsed.signature_algorithm,
            signature: self.parsed.signature.raw_bytes(),
        };
        signed.by(issuer)?;
        let entries = list.revoked_certificates.iter().flatten();
        let in_entries = entries.flat_map(|entry| entry.crl_entry_extensions.iter().flatten());
        // One that is critical may say that the list is not of all certificates, or only of changes.
        let mut all = list.crl_extensions.iter().flatten().chain(in_entries);
        if let Some(other) = all.find(|extension| extension.critical) {
            return Err(CertificateError::Critical { of, extension: other.extn_id.to_string() });
        }
        let next = list.next_update.ok_or(CertificateError::Malformed(of))?;
        within(of, list.this_update, Some(next), at)
    }
}

/// What somebody has signed.
struct Signed<'a> {
    of: &'static str,
    tbs: &'a [u8],
    issuer: String,
    algorithm: &'a AlgorithmIdentifierOwned,
    signature: &'a [u8],
}

impl Signed<'_> {
    fn by(&self, issuer: &Certificate) -> Result<(), CertificateError> {
        let of = self.of;
        if self.issuer != issuer.subject() {
            let named = self.issuer.chars().take(300).collect();
            return Err(CertificateError::Issuer { of, named, expected: issuer.subject() });
        }
        if self.algorithm.oid != PSS {
            return Err(CertificateError::Algorithm { of, algorithm: self.algorithm.oid.to_string() });
        }
        let algorithm: &'static dyn VerificationAlgorithm = &signature::RSA_PSS_2048_8192_SHA384;
        let key = UnparsedPublicKey::new(algorithm, issuer.public_key());
        key.verify(self.tbs, self.signature).map_err(|_| CertificateError::Signature(of))
    }
}

fn within(of: &'static str, from: Time, until: Option<Time>, at: Timestamp) -> Result<(), CertificateError> {
    let from = timestamp(from);
    if at < from {
        return Err(CertificateError::NotYetValid { of, from });
    }
    match until.map(timestamp).filter(|until| *until < at) {
        Some(until) => Err(CertificateError::Expired { of, until }),
        None => Ok(()),
    }
}

/// Certificates know no time before 1970.
fn timestamp(time: Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
