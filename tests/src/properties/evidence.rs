// SPDX-License-Identifier: Apache-2.0
//! Evidence of processors.

use std::sync::OnceLock;

use jiff::Timestamp;
use reprove_attest::evidence::nitro::{self, NitroRoot};
use reprove_attest::evidence::tdx::{
    Edk2, EmulatedPlatform, EmulatedTdx, Expected, ExpectedDomain, TcbStatus, TdReport, TdxFirmware, TdxPolicy,
    TdxRoot, emulated_report, rtmr1, verify,
};
use reprove_attest::evidence::{Certificate, RevocationList, ccf, ear, snp};

use reprove_attest::{Algorithm, SigningKey};

use super::{assert_plain, split};

/// Evidence of an emulated processor, and when it is verified.
pub struct Emulated {
    /// What the quote says.
    pub report: TdReport,
    /// The quote.
    pub quote: Vec<u8>,
    /// What it is verified with.
    pub collateral: Vec<u8>,
    root: TdxRoot,
    at: Timestamp,
}

impl Emulated {
    /// The one that the corpora are of.
    ///
    /// # Panics
    /// Never, as far as is known.
    #[must_use]
    pub fn new() -> Self {
        let second = |second| Timestamp::from_second(second).unwrap();
        let span = second(1 << 29)..=second(1 << 31);
        let emulated = EmulatedTdx::new(&[7; 32], EmulatedPlatform::new(span)).unwrap();
        let report = emulated_report([1; 48], [[2; 48], [3; 48], [4; 48], [5; 48]], [6; 64]);
        Self {
            quote: emulated.quote(&report, 4).unwrap(),
            collateral: emulated.collateral().unwrap(),
            root: TdxRoot::emulated(&emulated.root().unwrap()).unwrap(),
            at: second(1 << 30),
            report,
        }
    }

    /// What verifies says what was made; why something does not, does nothing to a terminal. Gives whether it did.
    fn holds(&self, quote: &[u8], collateral: &[u8]) -> bool {
        let expected = Expected { report_data: [6; 64], domain: ExpectedDomain::ComparedLater };
        let under = |root: &TdxRoot| verify(quote, collateral, root, &expected, &TdxPolicy::default(), self.at);
        assert!(under(&TdxRoot::intel()).is_err());
        match under(&self.root) {
            Ok(verified) => {
                assert_eq!((verified.report(), verified.tcb_status()), (&self.report, TcbStatus::UpToDate));
                assert!(verified.is_emulated());
                true
            }
            Err(error) => {
                assert_plain(&error.to_string());
                false
            }
        }
    }
}

impl Default for Emulated {
    fn default() -> Self {
        Self::new()
    }
}

fn emulated() -> &'static Emulated {
    static EMULATED: OnceLock<Emulated> = OnceLock::new();
    EMULATED.get_or_init(Emulated::new)
}

/// Whatever the bytes: a quote that verifies says what the emulated processor has said.
pub(super) fn tdx_quote(bytes: &[u8]) {
    emulated().holds(bytes, &emulated().collateral);
}

/// Whatever the bytes: with collateral that is taken, the quote says the same.
pub(super) fn tdx_collateral(bytes: &[u8]) {
    emulated().holds(&emulated().quote, bytes);
}

/// The root of an emulation, and a document under it: what verifies has registers and is an emulation's; the same is never
/// taken under the root of AWS.
pub(super) fn nitro_document(bytes: &[u8]) {
    is_nitro_document(bytes);
}

/// Checks the property, and gives whether it is one that verifies.
fn is_nitro_document(bytes: &[u8]) -> bool {
    let (root, signed) = split(bytes);
    let enclave = nitro::ExpectedEnclave::ComparedLater;
    let expected = nitro::Expected { nonce: None, user_data: None, enclave };
    // Within what the certificates of the corpus are for.
    let at = Timestamp::from_second(1_768_435_200).unwrap();
    assert!(nitro::verify(signed, &NitroRoot::aws(), &expected, at).is_err());
    let root = match NitroRoot::emulated(root) {
        Ok(root) => root,
        Err(error) => {
            assert_plain(&error.to_string());
            return false;
        }
    };
    match nitro::verify(signed, &root, &expected, at) {
        Ok(verified) => {
            assert!(verified.is_emulated() && verified.pcrs().contains_key(&0));
            assert!(verified.timestamp() <= at && at <= verified.holds_until());
            let another = nitro::Expected { nonce: Some(vec![1]), ..expected };
            assert!(nitro::verify(signed, &root, &another, at).is_err());
            true
        }
        Err(error) => {
            assert_plain(&error.to_string());
            false
        }
    }
}

/// Of what the corpus's receipts are.
const CCF_CLAIMS: [u8; 32] = [
    0xc0, 0xc7, 0x46, 0x4c, 0xe5, 0xff, 0x39, 0xae, 0x62, 0xa2, 0xe4, 0xf5, 0x85, 0x9d, 0xc1, 0xaa, 0xec, 0xfd, 0xe5,
    0x5b, 0x10, 0xc9, 0x24, 0x0f, 0x86, 0xce, 0x84, 0x38, 0x55, 0x92, 0x3b, 0xa7,
];

/// The key of the corpus's tokens.
///
/// # Panics
/// Never: the number is one of P-256.
#[must_use]
pub fn ear_key() -> SigningKey {
    SigningKey::new(Algorithm::EcdsaP256, [1; 32]).unwrap()
}

/// What verifies is by the key that is named, of a kind of processor that is expected, and holds by no other key.
pub(super) fn ear_token(bytes: &[u8]) {
    is_ear_token(bytes);
}

/// Checks the property, and gives whether it is one that verifies.
fn is_ear_token(bytes: &[u8]) -> bool {
    let expected = ear::Expected {
        report_data: [7; 64],
        submodule: "cpu0".into(),
        tees: ["tdx".to_owned()].into(),
        policies: ["default".to_owned()].into(),
    };
    let at = Timestamp::from_second(1_768_435_200).unwrap();
    let with = |key: SigningKey| ear::verify(bytes, &[key.public_key()], &expected, at);
    assert!(with(SigningKey::new(Algorithm::EcdsaP256, [2; 32]).unwrap()).is_err());
    match with(ear_key()) {
        Ok(verified) => {
            assert_eq!((verified.tee(), verified.key()), ("tdx", ear_key().public_key().id()));
            assert!(verified.issued() <= at && at < verified.expires());
            assert_plain(verified.developer());
            true
        }
        Err(error) => {
            assert_plain(&error.to_string());
            false
        }
    }
}

/// What verifies is of what was asked, by a service that is the corpus's, whatever of the receipt is changed; and what is read
/// as a service's certificate never makes it one of another.
pub(super) fn ccf_receipt(bytes: &[u8]) {
    is_ccf_receipt(bytes);
}

/// Checks the property, and gives whether it is one that verifies.
fn is_ccf_receipt(bytes: &[u8]) -> bool {
    let service = ccf::CcfService::from_pem(include_str!("../../corpora/ccf_receipt/service")).unwrap();
    let at = Timestamp::from_second(1_780_000_000).unwrap();
    if let Err(error) = str::from_utf8(bytes).map(ccf::CcfService::from_pem).unwrap_or(Ok(service.clone())) {
        assert_plain(&error.to_string());
    }
    match ccf::verify(bytes, &service, &CCF_CLAIMS, at) {
        Ok(verified) => {
            assert_eq!((verified.transaction(), at <= verified.holds_until()), ("2.15", true));
            assert!(ccf::verify(bytes, &service, &[0; 32], at).is_err());
            true
        }
        Err(error) => {
            assert_plain(&error.to_string());
            false
        }
    }
}

/// What is read as a report is what was there, and every byte of it has a meaning or is zero.
pub(super) fn snp_report(bytes: &[u8]) {
    match snp::Report::from_bytes(bytes) {
        Ok(report) => {
            assert_eq!(report.as_bytes().as_slice(), bytes);
            assert!(matches!(report.version(), 2 | 3 | 5));
            assert_eq!(report.signed().len() + 512, snp::Report::BYTES);
            for product in [snp::Product::Milan, snp::Product::Genoa, snp::Product::Turin] {
                assert!(report.reported_tcb(product).is_at_least(snp::Tcb::default()));
            }
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// What is found in a host's table of certificates is in its bytes, and not empty.
pub(super) fn snp_certificates(bytes: &[u8]) {
    match snp::CertificateTable::read(bytes) {
        Ok(table) => {
            let all = [table.chip, table.loaded, table.intermediate, table.root, table.revoked];
            for found in all.into_iter().flatten() {
                assert!(!found.is_empty() && bytes.as_ptr_range().contains(&found.as_ptr()));
                assert!(found.as_ptr_range().end <= bytes.as_ptr_range().end);
            }
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// What is read as a firmware has launch digests, and others with another number of processors.
pub(super) fn snp_firmware(bytes: &[u8]) {
    match snp::Firmware::from_bytes(bytes) {
        Ok(firmware) => {
            let launch = |processors| {
                snp::Launch { firmware: &firmware, kernel: None, processors, signature: 1, features: 1 }
                    .digest()
                    .unwrap()
            };
            assert_ne!(launch(1), launch(2));
            assert!(firmware.digest().is_some());
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// What is read as a firmware for trust domains has one RTMR0 for each size of memory that it can be in. The same bytes as a
/// kernel: what is taken has a measurement, and another one where its last byte is one of no signature.
pub(super) fn tdx_firmware(bytes: &[u8]) {
    match TdxFirmware::read(bytes) {
        Ok(firmware) => {
            assert_ne!(firmware.mrtd(), [0; 48]);
            if let (Ok(less), Ok(more)) = (firmware.memory(2048), firmware.memory(8192)) {
                for edk2 in Edk2::ALL {
                    let of = |memory| edk2.rtmr0(&firmware.configuration(), memory, None);
                    assert_ne!(of(&less), of(&more));
                }
            }
            assert!(firmware.memory(0).is_err() && firmware.memory(TdxFirmware::MAX_MEMORY_MIB + 1).is_err());
        }
        Err(error) => assert_plain(&error.to_string()),
    }
    match rtmr1(bytes) {
        Ok(register) => assert_ne!(rtmr1(&[bytes, &[1]].concat()), Ok(register)),
        Err(error) => assert_plain(&error.to_string()),
    }
}

/// What is read as a certificate is what was there; a list of revoked ones is no certificate.
pub(super) fn certificate(bytes: &[u8]) {
    let list = RevocationList::from_der(bytes, "list");
    match Certificate::from_der(bytes, "certificate") {
        Ok(certificate) => {
            assert_eq!(certificate.as_der(), bytes);
            assert!(list.is_err());
        }
        Err(error) => assert_plain(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the corpora begin with has to be taken, or they would be of nothing but refusals.
    #[test]
    fn the_corpora_have_evidence_that_is_taken() {
        let made = Emulated::new();
        assert!(made.holds(&made.quote, &made.collateral));
        assert!(made.holds(include_bytes!("../../corpora/tdx_quote/good"), &made.collateral));
        assert!(made.holds(&made.quote, include_bytes!("../../corpora/tdx_collateral/good")));
        assert!(is_nitro_document(include_bytes!("../../corpora/nitro_document/good")));
        assert!(is_ear_token(include_bytes!("../../corpora/ear_token/good")));
        assert!(is_ccf_receipt(include_bytes!("../../corpora/ccf_receipt/good")));
        assert!(!is_ccf_receipt(include_bytes!("../../corpora/ccf_receipt/service")));
        assert!(!is_nitro_document(include_bytes!("../../corpora/nitro_document/refused-signature")));
        assert!(TdxFirmware::read(include_bytes!("../../corpora/tdx_firmware/good")).is_ok());
        assert!(rtmr1(include_bytes!("../../corpora/tdx_firmware/kernel")).is_ok());
    }
}
