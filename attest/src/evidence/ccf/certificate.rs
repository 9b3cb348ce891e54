// SPDX-License-Identifier: Apache-2.0
//! Certificates of services and of their nodes (RFC 5280): ECDSA over P-256 or P-384, with SHA-256 or SHA-384.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    EcdsaVerificationAlgorithm, UnparsedPublicKey,
};
use der::asn1::ObjectIdentifier;
use der::oid::AssociatedOid as _;
use der::{Decode as _, Encode as _};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use x509_cert::time::Time;

use super::{CcfError, MAX_CERTIFICATE};
use crate::evidence::EMULATED;
use crate::evidence::tdx::chain::write;

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// One certificate, and what it is called where it is refused.
pub(super) struct Link {
    what: &'static str,
    der: Vec<u8>,
    certificate: Certificate,
}

/// The curve of a key.
#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
}

impl Link {
    /// The one certificate of `pem`.
    pub(super) fn from_pem(what: &'static str, pem: &str) -> Result<Self, CcfError> {
        if pem.len() > MAX_CERTIFICATE {
            return Err(CcfError::Certificate(what, "it is too long"));
        }
        let mut all = CertificateDer::pem_slice_iter(pem.as_bytes());
        let (Some(Ok(der)), None) = (all.next(), all.next()) else {
            return Err(CcfError::Certificate(what, "it is not one certificate in PEM"));
        };
        Self::from_der(what, &der)
    }

    /// The same, where it is written in the one way that it has in receipts: RFC 7468, section 3, in lines of 64 characters.
    pub(super) fn from_receipt(what: &'static str, pem: &str) -> Result<Self, CcfError> {
        let link = Self::from_pem(what, pem)?;
        if write(&link.der) == pem {
            Ok(link)
        } else {
            Err(link.refused("its PEM is written in another way than RFC 7468 says"))
        }
    }

    /// A certificate of version 3 in DER, in the one encoding that it has, without extensions that have to be understood
    /// and are not, or that are there twice.
    pub(super) fn from_der(what: &'static str, der: &[u8]) -> Result<Self, CcfError> {
        let refused = |why| CcfError::Certificate(what, why);
        let certificate = Certificate::from_der(der).map_err(|_| refused("it is not X.509 in DER"))?;
        if certificate.to_der().ok().as_deref() != Some(der) {
            return Err(refused("it is not in the one encoding of DER"));
        }
        let tbs = &certificate.tbs_certificate;
        if tbs.version != Version::V3 {
            return Err(refused("it is not of version 3"));
        }
        let extensions = tbs.extensions.as_deref().unwrap_or_default();
        let known = [BasicConstraints::OID, KeyUsage::OID];
        if extensions.iter().any(|extension| extension.critical && !known.contains(&extension.extn_id)) {
            return Err(refused("it has a critical extension that is not known"));
        }
        let is_twice = |id| extensions.iter().filter(|extension| extension.extn_id == id).count() > 1;
        if extensions.iter().any(|extension| is_twice(extension.extn_id)) {
            return Err(refused("it has an extension twice"));
        }
        Ok(Self { what, der: der.to_vec(), certificate })
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether its name says that it is an emulation's.
    pub(super) fn is_marked(&self) -> bool {
        self.tbs().subject.to_string().contains(EMULATED)
    }

    /// Whether it holds at this time. Gives until when it does.
    pub(super) fn holds(&self, at: Timestamp) -> Result<Timestamp, CcfError> {
        let validity = &self.tbs().validity;
        let (Some(from), Some(until)) = (moment(&validity.not_before), moment(&validity.not_after)) else {
            return Err(self.refused("its dates are none"));
        };
        if at < from || at > until {
            return Err(CcfError::Time { what: self.what, from, until });
        }
        Ok(until)
    }

    /// Whether it may sign others, where there are so many authorities `below` it that have not issued themselves. CCF gives a
    /// service's certificate no key usage; where there is one, it has to say so.
    pub(super) fn is_authority(&self, below: usize) -> Result<(), CcfError> {
        let (constraints, usage) = self.constraints()?;
        let constraints = constraints.filter(|constraints| constraints.ca);
        let (Some(constraints), true) = (constraints, usage.is_none_or(|usage| usage.key_cert_sign())) else {
            return Err(self.refused("it is not that of an authority"));
        };
        if constraints.path_len_constraint.is_some_and(|most| below > usize::from(most)) {
            return Err(self.refused("there are more authorities below it than it allows"));
        }
        Ok(())
    }

    /// Whether its name is its issuer's, as RFC 5280, section 6.1, has it: such authorities are not counted.
    pub(super) fn is_self_issued(&self) -> bool {
        self.tbs().subject == self.tbs().issuer
    }

    /// Whether it is a node's, which may sign receipts and no certificates.
    pub(super) fn is_no_authority(&self) -> Result<(), CcfError> {
        let (constraints, usage) = self.constraints()?;
        let is_authority = constraints.is_some_and(|constraints| constraints.ca);
        if !is_authority && usage.is_none_or(|usage| usage.digital_signature()) {
            Ok(())
        } else {
            Err(self.refused("it is not one that signs receipts"))
        }
    }

    fn constraints(&self) -> Result<(Option<BasicConstraints>, Option<KeyUsage>), CcfError> {
        let unreadable = |_| self.refused("its constraints or usages can't be read");
        let constraints = self.tbs().get::<BasicConstraints>().map_err(unreadable)?;
        let usage = self.tbs().get::<KeyUsage>().map_err(unreadable)?.map(|(_, usage)| usage);
        Ok((constraints.map(|(_, constraints)| constraints), usage))
    }

    /// Whether `issuer` has signed it, by its name and its key.
    pub(super) fn is_issued_by(&self, issuer: &Self) -> Result<(), CcfError> {
        let Certificate { tbs_certificate: tbs, signature_algorithm: algorithm, signature } = &self.certificate;
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
        if algorithm.parameters.is_some() || tbs.signature != *algorithm {
            return Err(self.refused("it is not signed by ECDSA with SHA-256 or SHA-384"));
        }
        let (curve, key) = issuer.key()?;
        let by: &EcdsaVerificationAlgorithm = match (curve, algorithm.oid) {
            (Curve::P256, ECDSA_SHA256) => &ECDSA_P256_SHA256_ASN1,
            (Curve::P256, ECDSA_SHA384) => &ECDSA_P256_SHA384_ASN1,
            (Curve::P384, ECDSA_SHA256) => &ECDSA_P384_SHA256_ASN1,
            (Curve::P384, ECDSA_SHA384) => &ECDSA_P384_SHA384_ASN1,
            _ => return Err(self.refused("it is not signed by ECDSA with SHA-256 or SHA-384")),
        };
        let message = tbs.to_der().map_err(|_| self.refused("it is not X.509 in DER"))?;
        let signature = signature.as_bytes().ok_or_else(|| self.refused("its signature is not whole bytes"))?;
        let is_good = UnparsedPublicKey::new(by, key).verify(&message, signature);
        is_good.map_err(|_| self.refused("its signature is not of the one above it"))
    }

    /// Whether its key has signed `message`, as nodes sign: ECDSA with SHA-256, whatever the curve.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> Result<(), CcfError> {
        let (curve, key) = self.key()?;
        let by: &EcdsaVerificationAlgorithm = match curve {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1,
            Curve::P384 => &ECDSA_P384_SHA256_ASN1,
        };
        UnparsedPublicKey::new(by, key).verify(message, signature).map_err(|_| CcfError::Signature)
    }

    /// Its key: DER SubjectPublicKeyInfo.
    pub(super) fn key_info(&self) -> Result<Vec<u8>, CcfError> {
        self.tbs().subject_public_key_info.to_der().map_err(|_| self.refused("its key is not in DER"))
    }

    /// Its key: an uncompressed point (RFC 5480).
    fn key(&self) -> Result<(Curve, &[u8]), CcfError> {
        let spki = &self.tbs().subject_public_key_info;
        let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        let point = spki.subject_public_key.as_bytes();
        match (curve, point) {
            (Some(P256), Some(point @ [4, rest @ ..])) if spki.algorithm.oid == EC_PUBLIC_KEY && rest.len() == 64 => {
                Ok((Curve::P256, point))
            }
            (Some(P384), Some(point @ [4, rest @ ..])) if spki.algorithm.oid == EC_PUBLIC_KEY && rest.len() == 96 => {
                Ok((Curve::P384, point))
            }
            _ => Err(self.refused("its key is none of P-256 or P-384")),
        }
    }

    fn tbs(&self) -> &TbsCertificate {
        &self.certificate.tbs_certificate
    }

    fn refused(&self, why: &'static str) -> CcfError {
        CcfError::Certificate(self.what, why)
    }
}

/// A certificate's time, which has no fractions.
fn moment(time: &Time) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok()
}
