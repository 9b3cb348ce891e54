// SPDX-License-Identifier: Apache-2.0
//! TLS, for both ends: 1.2 and 1.3, by rustls over AWS-LC.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// A certificate with what it is signed by, and its private key, both as PEM (RFC 7468).
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// The certificates, one's own first.
    pub certificates: &'a [u8],
    /// The key.
    pub key: &'a [u8],
}

/// What a farm listens with. Where there is a `bundle`, certificates that are signed by it are asked for, and taken.
///
/// # Errors
/// See [`TlsError`].
pub fn acceptor(identity: Identity<'_>, bundle: Option<&[u8]>) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match bundle {
        None => builder.with_no_client_auth(),
        Some(bundle) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(bundle)?), provider);
            let verifier = verifier.allow_unauthenticated().build().map_err(|e| TlsError::Bundle(e.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(certificates(identity.certificates)?, key(identity.key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// How a farm is asked: its certificate has to be signed by `authorities`, or, where there are none, by those that this machine
/// trusts.
///
/// # Errors
/// See [`TlsError`].
pub fn asking(authorities: Option<&[u8]>, identity: Option<Identity<'_>>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match authorities {
        Some(authorities) => builder.with_root_certificates(roots(authorities)?),
        None => builder.with_native_roots().map_err(|e| TlsError::NoRoots(e.to_string()))?,
    };
    let config = match identity {
        Some(identity) => builder.with_client_auth_cert(certificates(identity.certificates)?, key(identity.key)?)?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// How a farm is asked without TLS: no certificate is believed.
///
/// # Errors
/// See [`TlsError`].
pub fn asking_nobody() -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|e| TlsError::Certificates(e.to_string()))?;
    if all.is_empty() { Err(TlsError::Certificates("there is none in it".to_owned())) } else { Ok(all) }
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|e| TlsError::Key(e.to_string()))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|e| TlsError::Bundle(e.to_string()))?;
    }
    Ok(roots)
}

/// Why there is no TLS.
#[derive(Clone, Debug, Error)]
pub enum TlsError {
    /// No certificates.
    #[error("the certificates can't be read: {0}")]
    Certificates(String),
    /// No private key.
    #[error("the private key can't be read: {0}")]
    Key(String),
    /// Not certificates that others are signed by.
    #[error("the authorities' certificates can't be used: {0}")]
    Bundle(String),
    /// This machine trusts nobody.
    #[error("this machine's trusted certificates can't be read: {0}")]
    NoRoots(String),
    /// rustls' word.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
}
