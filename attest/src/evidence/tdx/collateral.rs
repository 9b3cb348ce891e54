// SPDX-License-Identifier: Apache-2.0
//! What a quote is verified with: what Intel says of the platform, kept beside the quote so that nobody has to be asked.

use dcap_qvl::QuoteCollateralV3;
use serde::{Deserialize, Serialize};

use super::chain;
use super::error::plain;
use super::{TdxError, TdxRoot};

/// The longest collateral, in bytes.
pub const MAX_COLLATERAL: usize = 1 << 18;

/// The JSON form: the fields of Intel's `sgx_ql_qve_collateral_t`, as `dcap-qvl` and others write it. Bytes are lower-case
/// hexadecimal digits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Json {
    pub(super) pck_crl_issuer_chain: String,
    pub(super) root_ca_crl: String,
    pub(super) pck_crl: String,
    pub(super) tcb_info_issuer_chain: String,
    pub(super) tcb_info: String,
    pub(super) tcb_info_signature: String,
    pub(super) qe_identity_issuer_chain: String,
    pub(super) qe_identity: String,
    pub(super) qe_identity_signature: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pck_certificate_chain: Option<String>,
}

/// Collateral in its form. Nothing is verified.
pub(super) struct Collateral {
    /// The certificate of the authority that certifies processors, DER.
    pub(super) pck_ca: Vec<u8>,
    /// The certificate of the TCB info's signer, DER.
    pub(super) tcb_signer: Vec<u8>,
    /// The certificate of the QE identity's signer, DER.
    pub(super) qe_signer: Vec<u8>,
    /// DER.
    pub(super) root_crl: Vec<u8>,
    /// DER.
    pub(super) pck_crl: Vec<u8>,
    /// What is signed, JSON.
    pub(super) tcb_info: String,
    /// What is signed, JSON.
    pub(super) qe_identity: String,
    /// As `dcap-qvl` wants it. The chain of the PCK certificate is left out: the quote's own is taken.
    pub(super) qvl: QuoteCollateralV3,
}

impl Collateral {
    /// Reads the form of [`Json`]. Each chain has to end in `root`, and where there is one of the PCK certificate, it has to
    /// be the quote's, `pck_chain`.
    pub(super) fn read(bytes: &[u8], pck_chain: &[u8], root: &TdxRoot) -> Result<Self, TdxError> {
        if bytes.len() > MAX_COLLATERAL {
            return Err(TdxError::CollateralTooLong(bytes.len()));
        }
        let json: Json = serde_json::from_slice(bytes).map_err(|e| TdxError::Collateral(plain(&e.to_string())))?;
        if json.pck_certificate_chain.as_ref().is_some_and(|chain| chain.as_bytes() != pck_chain) {
            return Err(TdxError::Collateral("its chain of the PCK certificate is not the quote's".into()));
        }
        let issuer = |pem: &str, what| {
            let [certificate, last] = chain::read(pem.as_bytes(), what)?;
            if last == root.der() { Ok(certificate) } else { Err(other_root(what, root)) }
        };
        let (root_crl, pck_crl) = (bytes_of(&json.root_ca_crl, None)?, bytes_of(&json.pck_crl, None)?);
        let qvl = QuoteCollateralV3 {
            pck_crl_issuer_chain: json.pck_crl_issuer_chain.clone(),
            root_ca_crl: root_crl.clone(),
            pck_crl: pck_crl.clone(),
            tcb_info_issuer_chain: json.tcb_info_issuer_chain.clone(),
            tcb_info: json.tcb_info.clone(),
            tcb_info_signature: bytes_of(&json.tcb_info_signature, Some(64))?,
            qe_identity_issuer_chain: json.qe_identity_issuer_chain.clone(),
            qe_identity: json.qe_identity.clone(),
            qe_identity_signature: bytes_of(&json.qe_identity_signature, Some(64))?,
            pck_certificate_chain: None,
        };
        Ok(Self {
            pck_ca: issuer(&json.pck_crl_issuer_chain, "PCK authority's revocation list")?,
            tcb_signer: issuer(&json.tcb_info_issuer_chain, "TCB info")?,
            qe_signer: issuer(&json.qe_identity_issuer_chain, "QE identity")?,
            root_crl,
            pck_crl,
            tcb_info: json.tcb_info,
            qe_identity: json.qe_identity,
            qvl,
        })
    }
}

/// That a chain ends in another root.
pub(super) fn other_root(chain: &'static str, root: &TdxRoot) -> TdxError {
    TdxError::OtherRoot { chain, expected: root.fingerprint().to_string() }
}

/// Lower-case hexadecimal digits, of `length` bytes where that is known.
fn bytes_of(text: &str, length: Option<usize>) -> Result<Vec<u8>, TdxError> {
    let wrong = || TdxError::Collateral("bytes in it are not lower-case hexadecimal digits of the right number".into());
    let digit = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(wrong()),
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || length.is_some_and(|length| length != pairs.len()) {
        return Err(wrong());
    }
    pairs.iter().map(|&[high, low]| Ok(digit(high)? << 4 | digit(low)?)).collect()
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(nibble + if nibble < 10 { b'0' } else { b'a' - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_lower_case_digits_of_a_length() {
        assert_eq!(bytes_of(&hex(&[0, 255, 26]), Some(3)), Ok(vec![0, 255, 26]));
        for wrong in ["0", "0G", "0A", "0a0b", ""] {
            assert!(bytes_of(wrong, Some(1)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn collateral_has_a_bound() {
        let read = |length: usize| Collateral::read(&vec![b' '; length], b"", &TdxRoot::intel());
        assert!(matches!(read(MAX_COLLATERAL), Err(TdxError::Collateral(_))));
        assert!(matches!(read(MAX_COLLATERAL + 1), Err(TdxError::CollateralTooLong(_))));
    }
}
