// SPDX-License-Identifier: Apache-2.0
//! The chain of certificates, from the root to the enclave's (RFC 5280, section 6; `attestation_process.md`, section 3.2.3).

use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};
use der::asn1::ObjectIdentifier;
use der::oid::AssociatedOid as _;
use der::{Decode as _, Encode as _};
use jiff::Timestamp;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use x509_cert::time::Time;

use super::document::Document;
use super::{NitroError, NitroRoot};

const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Whether the document's certificates are a chain below `root` that holds at the time `at`, and held when the document was
/// made. Gives the key of the enclave's certificate, an uncompressed point, and the last moment at which all still hold.
///
/// # Errors
/// See [`NitroError`].
pub(super) fn verify(document: &Document, root: &NitroRoot, at: Timestamp) -> Result<(Vec<u8>, Timestamp), NitroError> {
    if document.timestamp > at {
        return Err(NitroError::FromTheFuture(document.timestamp));
    }
    if document.bundle.first().map(Vec::as_slice) != Some(root.der()) {
        return Err(NitroError::OtherRoot { expected: root.fingerprint().to_string() });
    }
    let chain: Vec<&Vec<u8>> = document.bundle.iter().chain([&document.certificate]).collect();
    let last = chain.len() - 1;
    let mut issuer: Option<Link> = None;
    let mut holds_until = Timestamp::MAX;
    for (number, der) in chain.into_iter().enumerate() {
        let link = Link::read(number, der)?;
        let until = link.holds(&[document.timestamp, at])?;
        // What is below the issuer, without the enclave's own certificate.
        let between = last.saturating_sub(number);
        link.may(if number < last { Some(between.saturating_sub(1)) } else { None })?;
        match &issuer {
            Some(issuer) => link.is_issued_by(issuer)?,
            None => link.is_issued_by(&link)?,
        }
        holds_until = holds_until.min(until);
        issuer = Some(link);
    }
    let key = issuer.ok_or(NitroError::Bundle(0))?.key()?.to_vec();
    Ok((key, holds_until))
}

/// One certificate of the chain.
struct Link {
    number: usize,
    certificate: Certificate,
}

impl Link {
    /// A certificate of version 3 in DER, in the one encoding that it has, without extensions that have to be understood
    /// and are not, or that are there twice.
    fn read(number: usize, der: &[u8]) -> Result<Self, NitroError> {
        let certificate =
            Certificate::from_der(der).map_err(|_| NitroError::Certificate(number, "it is not X.509 in DER"))?;
        let link = Self { number, certificate };
        if link.certificate.to_der().ok().as_deref() != Some(der) {
            return Err(link.refused("it is not in the one encoding of DER"));
        }
        if link.tbs().version != Version::V3 {
            return Err(link.refused("it is not of version 3"));
        }
        let extensions = link.tbs().extensions.as_deref().unwrap_or_default();
        let known = [BasicConstraints::OID, KeyUsage::OID];
        if extensions.iter().any(|extension| extension.critical && !known.contains(&extension.extn_id)) {
            return Err(link.refused("it has a critical extension that is not known"));
        }
        let is_twice = |id| extensions.iter().filter(|extension| extension.extn_id == id).count() > 1;
        if extensions.iter().any(|extension| is_twice(extension.extn_id)) {
            return Err(link.refused("it has an extension twice"));
        }
        Ok(link)
    }

    /// Whether it holds at all of `times`. Gives until when it does.
    fn holds(&self, times: &[Timestamp]) -> Result<Timestamp, NitroError> {
        let validity = &self.tbs().validity;
        let no_dates = || self.refused("its dates are none");
        let from = moment(&validity.not_before).ok_or_else(no_dates)?;
        let until = moment(&validity.not_after).ok_or_else(no_dates)?;
        for at in times.iter().copied() {
            if at < from {
                return Err(NitroError::NotYet { certificate: self.number, from, at });
            }
            if at > until {
                return Err(NitroError::Expired { certificate: self.number, until, at });
            }
        }
        Ok(until)
    }

    /// Whether it may do what it does: be an authority with so many others between it and the enclave's certificate, or
    /// (`None`) sign the document.
    fn may(&self, between: Option<usize>) -> Result<(), NitroError> {
        let unreadable = |_| self.refused("its constraints or usages can't be read");
        let constraints = self.tbs().get::<BasicConstraints>().map_err(unreadable)?;
        let usage = self.tbs().get::<KeyUsage>().map_err(unreadable)?;
        let (Some((is_critical, constraints)), Some((_, usage))) = (constraints, usage) else {
            return Err(self.refused("it has no basic constraints, or no key usage"));
        };
        let Some(between) = between else {
            let may_sign = !constraints.ca && constraints.path_len_constraint.is_none() && usage.digital_signature();
            return if may_sign { Ok(()) } else { Err(self.refused("it is not one that signs documents")) };
        };
        if !(constraints.ca && is_critical && usage.key_cert_sign()) {
            return Err(self.refused("it is not that of an authority"));
        }
        if constraints.path_len_constraint.is_some_and(|most| usize::from(most) < between) {
            return Err(self.refused("more authorities are below it than it allows"));
        }
        Ok(())
    }

    /// Whether `issuer` has signed it, by its name and its key.
    fn is_issued_by(&self, issuer: &Self) -> Result<(), NitroError> {
        let Certificate { tbs_certificate: tbs, signature_algorithm, signature } = &self.certificate;
        if tbs.issuer != issuer.tbs().subject {
            return Err(self.refused("its issuer is not the one above it"));
        }
        let unreadable = |_| self.refused("its key identifiers can't be read");
        let authority = tbs.get::<AuthorityKeyIdentifier>().map_err(unreadable)?.and_then(|(_, id)| id.key_identifier);
        let subject = issuer.tbs().get::<SubjectKeyIdentifier>().map_err(unreadable)?.map(|(_, id)| id.0);
        if let (Some(authority), Some(subject)) = (authority, subject)
            && authority != subject
        {
            return Err(self.refused("its issuer's key is not the one above it"));
        }
        let algorithm = signature_algorithm;
        if algorithm.oid != ECDSA_SHA384 || algorithm.parameters.is_some() || tbs.signature != *algorithm {
            return Err(self.refused("it is not signed by ECDSA with SHA-384"));
        }
        let message = tbs.to_der().map_err(|_| self.refused("it is not X.509 in DER"))?;
        let signature = signature.as_bytes().ok_or_else(|| self.refused("its signature is not whole bytes"))?;
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, issuer.key()?);
        key.verify(&message, signature).map_err(|_| self.refused("its signature is not of the one above it"))
    }

    /// Its key: an uncompressed point of P-384 (RFC 5480).
    fn key(&self) -> Result<&[u8], NitroError> {
        let spki = &self.tbs().subject_public_key_info;
        let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        let point =
            spki.subject_public_key.as_bytes().filter(|point| matches!(point, [4, rest @ ..] if rest.len() == 96));
        match point {
            Some(point) if spki.algorithm.oid == EC_PUBLIC_KEY && curve == Some(P384) => Ok(point),
            _ => Err(self.refused("its key is none of P-384")),
        }
    }

    fn tbs(&self) -> &TbsCertificate {
        &self.certificate.tbs_certificate
    }

    fn refused(&self, why: &'static str) -> NitroError {
        NitroError::Certificate(self.number, why)
    }
}

/// A certificate's time, which has no fractions.
fn moment(time: &Time) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok()
}
