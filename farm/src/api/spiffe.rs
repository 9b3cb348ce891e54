// SPDX-License-Identifier: Apache-2.0
//! SPIFFE ids out of certificates (SPIFFE, "X509-SVID", sections 2 and 5.2). Whether a certificate is signed by the domain's
//! bundle was verified by TLS.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};

/// A trust domain (SPIFFE-ID, section 2.1): the one whose bundle certificates are verified by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// The id that a certificate is for: it has one URI, and that is an id of this domain, with a path. None where it is no
    /// SVID, or another domain's.
    #[must_use]
    pub fn id_of(&self, certificate: &CertificateDer<'_>) -> Option<String> {
        let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
        // One that can sign others is nobody's own.
        let signs = certificate.get::<BasicConstraints>().ok()?.is_some_and(|(_, constraints)| constraints.ca);
        let (_, names) = certificate.get::<SubjectAltName>().ok()??;
        let mut uris = names.0.iter().filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        });
        let (Some(uri), None) = (uris.next(), uris.next()) else { return None };
        (!signs && self.has(uri)).then(|| uri.to_owned())
    }

    /// Whether a text is an id of this domain, in the one way to write it (SPIFFE-ID, section 2).
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        let Some(path) = id.strip_prefix("spiffe://").and_then(|rest| rest.strip_prefix(self.0.as_str())) else {
            return false;
        };
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        id.len() <= 2048 && path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment))
    }
}

impl FromStr for TrustDomain {
    type Err = NoTrustDomain;

    fn from_str(text: &str) -> Result<Self, NoTrustDomain> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let is_one = (1..=255).contains(&text.len()) && text.bytes().all(fits);
        if is_one { Ok(Self(text.to_owned())) } else { Err(NoTrustDomain) }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no trust domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a trust domain has 1 to 255 lower-case letters, digits, dots, dashes and underscores, as in example.org")]
pub struct NoTrustDomain;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_the_domain_and_written_in_one_way() {
        let domain: TrustDomain = "example.org".parse().unwrap();
        for id in ["spiffe://example.org/worker", "spiffe://example.org/a/B-c_d.e/1"] {
            assert!(domain.has(id), "{id}");
        }
        for id in [
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org//a",
            "spiffe://example.org/a/",
            "spiffe://example.org/../a",
            "spiffe://example.org/./a",
            "spiffe://example.org/a%2f",
            "spiffe://example.org/a?b",
            "spiffe://example.orga/b",
            "spiffe://other.org/a",
            "https://example.org/a",
            "SPIFFE://example.org/a",
        ] {
            assert!(!domain.has(id), "{id}");
        }
        let longest = format!("spiffe://example.org/{}", "a".repeat(2048 - 21));
        assert!(domain.has(&longest) && !domain.has(&format!("{longest}a")));
        for wrong in ["", "Example.org", "example.org/", "a b", &"a".repeat(256)] {
            assert!(wrong.parse::<TrustDomain>().is_err(), "{wrong}");
        }
    }
}
