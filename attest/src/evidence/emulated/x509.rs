// SPDX-License-Identifier: Apache-2.0
//! Certificates and lists of revoked ones, as an emulation signs them: in AMD's way, with RSASSA-PSS and SHA-384.

use std::str::FromStr as _;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _, RSA_PSS_SHA384, RsaKeyPair};
use der::asn1::{BitString, ObjectIdentifier, OctetString};
use der::{Any, Decode as _, Encode as _};
use jiff::Timestamp;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, TbsCertificate, Version};

use super::EmulationError;
use crate::evidence::certificate::PSS;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// `RSASSA-PSS-params` (RFC 4055, 3.1) of SHA-384, MGF1 with SHA-384, and a salt of 48 bytes.
const PSS_PARAMETERS: &[u8] = &[
    0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00,
    0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30,
];

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Template {
    /// Whose it is (RFC 4514).
    pub subject: String,
    /// Who signs it (RFC 4514).
    pub issuer: String,
    /// Its number.
    pub serial: u8,
    /// From when on it is valid.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// What else it has: object identifier, and what is in it. None is critical.
    pub extensions: Vec<(ObjectIdentifier, Vec<u8>)>,
}

/// A public key, in the shape that a certificate has it.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    Rsa(&'a RsaKeyPair),
    P384(&'a EcdsaKeyPair),
}

impl Template {
    /// The certificate in DER, of `subject`'s key, signed by `issuer`.
    pub(crate) fn sign(&self, subject: Subject<'_>, issuer: &RsaKeyPair) -> Result<Vec<u8>, EmulationError> {
        let mut extensions = Vec::new();
        if self.is_authority {
            let basic = BasicConstraints { ca: true, path_len_constraint: None };
            let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
            for (extn_id, value) in [("2.5.29.19", basic.to_der()?), ("2.5.29.15", usage.to_der()?)] {
                let extn_id = ObjectIdentifier::new_unwrap(extn_id);
                extensions.push(Extension { extn_id, critical: true, extn_value: OctetString::new(value)? });
            }
        }
        for (extn_id, value) in &self.extensions {
            let extn_value = OctetString::new(value.as_slice())?;
            extensions.push(Extension { extn_id: *extn_id, critical: false, extn_value });
        }
        let tbs_certificate = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&[self.serial])?,
            signature: pss()?,
            issuer: Name::from_str(&self.issuer)?,
            validity: Validity { not_before: time(self.from)?, not_after: time(self.until)? },
            subject: Name::from_str(&self.subject)?,
            subject_public_key_info: subject.info()?,
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(extensions),
        };
        let signature = BitString::from_bytes(&signed(issuer, &tbs_certificate.to_der()?)?)?;
        Ok(Certificate { tbs_certificate, signature_algorithm: pss()?, signature }.to_der()?)
    }
}

/// A list in DER of those numbers that `issuer`, with this key, took back at `from`.
pub(crate) fn revocations(
    issuer: &str,
    key: &RsaKeyPair,
    revoked: &[u8],
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<u8>, EmulationError> {
    let entry = |number: &u8| -> Result<_, EmulationError> {
        let serial_number = SerialNumber::new(&[*number])?;
        Ok(RevokedCert { serial_number, revocation_date: time(from)?, crl_entry_extensions: None })
    };
    let entries = revoked.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let tbs_cert_list = TbsCertList {
        version: Version::V2,
        signature: pss()?,
        issuer: Name::from_str(issuer)?,
        this_update: time(from)?,
        next_update: Some(time(until)?),
        revoked_certificates: (!entries.is_empty()).then_some(entries),
        crl_extensions: None,
    };
    let signature = BitString::from_bytes(&signed(key, &tbs_cert_list.to_der()?)?)?;
    Ok(CertificateList { tbs_cert_list, signature_algorithm: pss()?, signature }.to_der()?)
}

impl Subject<'_> {
    fn info(self) -> Result<SubjectPublicKeyInfoOwned, EmulationError> {
        let (oid, parameters, key) = match self {
            Self::Rsa(key) => (RSA, Any::null(), key.public_key().as_ref()),
            Self::P384(key) => (EC, Any::from_der(&P384.to_der()?)?, key.public_key().as_ref()),
        };
        let algorithm = AlgorithmIdentifierOwned { oid, parameters: Some(parameters) };
        Ok(SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(key)? })
    }
}

fn pss() -> Result<AlgorithmIdentifierOwned, EmulationError> {
    Ok(AlgorithmIdentifierOwned { oid: PSS, parameters: Some(Any::from_der(PSS_PARAMETERS)?) })
}

fn signed(key: &RsaKeyPair, bytes: &[u8]) -> Result<Vec<u8>, EmulationError> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PSS_SHA384, &SystemRandom::new(), bytes, &mut signature).map_err(|_| EmulationError::Signing)?;
    Ok(signature)
}

/// In whole seconds, from 1970 on; from 2050 on in the other of the two ways of writing it (RFC 5280, 4.1.2.5).
fn time(at: Timestamp) -> Result<Time, EmulationError> {
    let since = Duration::from_secs(u64::try_from(at.as_second()).map_err(|_| EmulationError::Time(at))?);
    let general = der::asn1::GeneralizedTime::from_unix_duration(since)?;
    Ok(der::asn1::UtcTime::from_unix_duration(since).map_or(Time::GeneralTime(general), Time::UtcTime))
}
