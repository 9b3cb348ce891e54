// SPDX-License-Identifier: Apache-2.0
//! Chains of certificates in PEM, in one form alone: what a decoder passes over, could be changed without a trace.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::TdxError;

/// The longest chain, in bytes.
pub(super) const MAX_CHAIN: usize = 16 << 10;

/// The `N` certificates of `pem`, DER, the first first. `what` is what the chain is of.
///
/// # Errors
/// Where it is no such chain, or is written in another way than RFC 7468, section 3, says with lines of 64 characters that
/// end in LF.
pub(super) fn read<const N: usize>(pem: &[u8], what: &'static str) -> Result<[Vec<u8>; N], TdxError> {
    if pem.len() > MAX_CHAIN {
        return Err(TdxError::Chain(what, "it is too long"));
    }
    let mut certificates = Vec::with_capacity(N);
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| TdxError::Chain(what, "it is not PEM"))?;
        certificates.push(certificate.to_vec());
    }
    if certificates.iter().map(|der| write(der)).collect::<String>().as_bytes() != pem {
        return Err(TdxError::Chain(what, "its PEM is written in another way than RFC 7468 says"));
    }
    certificates.try_into().map_err(|_| TdxError::Chain(what, "it is not of as many certificates as it should be"))
}

/// A certificate in PEM.
pub(in crate::evidence) fn write(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(str::from_utf8(line).unwrap_or_default());
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_of_pem_is_a_chain() {
        let pem = [write(&[1; 100]), write(&[2; 50])].concat();
        assert_eq!(read::<2>(pem.as_bytes(), "x").unwrap(), [vec![1; 100], vec![2; 50]]);
        let others = [
            pem.replace('\n', "\r\n"),
            format!("x{pem}"),
            format!("{pem}\n"),
            pem.trim_end().to_owned(),
            pem.replace("=\n", "\n"),
            pem.replacen('\n', "\n ", 1),
            [write(&[1; 100]), write(&[2; 50]).replace("I=", "J=")].concat(),
        ];
        for other in others {
            assert!(read::<2>(other.as_bytes(), "x").is_err(), "{other}");
        }
        assert!(read::<1>(pem.as_bytes(), "x").is_err() && read::<3>(pem.as_bytes(), "x").is_err());
        assert!(read::<0>(&[], "x").is_ok());
    }

    #[test]
    fn a_chain_has_a_bound() {
        let count = |n: usize| vec![b'\n'; n];
        let short = read::<0>(&count(MAX_CHAIN), "x");
        let form = "its PEM is written in another way than RFC 7468 says";
        assert!(matches!(short, Err(TdxError::Chain(_, why)) if why == form));
        assert!(matches!(read::<0>(&count(MAX_CHAIN + 1), "x"), Err(TdxError::Chain(_, "it is too long"))));
    }
}
