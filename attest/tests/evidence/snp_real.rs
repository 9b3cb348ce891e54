// SPDX-License-Identifier: Apache-2.0
//! A report of a real processor, and the real certificates above it, of the package `sev`.

use std::sync::LazyLock;

use reprove_attest::evidence::snp::{Endorsements, Product, SnpError, SnpRules, Tcb, VerifiedReport, verify};
use reprove_attest::evidence::{Certificate, CertificateError, TeeRoot, Vendor};

use crate::at;
use crate::packages::file;

struct Real {
    report: Vec<u8>,
    key: Vec<u8>,
    intermediate: Vec<u8>,
    root: Vec<u8>,
}

static MILAN: LazyLock<Real> = LazyLock::new(|| {
    let text = String::from_utf8(file("sev", "8.", "tests/certs_data/report_milan.hex")).unwrap();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let report = digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    let (intermediate, root) = built_in("milan");
    Real { report, key: file("sev", "8.", "tests/certs_data/vcek_milan.der"), intermediate, root }
});

/// The certificates of a line: the signer's and the root's.
fn built_in(line: &str) -> (Vec<u8>, Vec<u8>) {
    let read = |name: &str| {
        let pem = file("sev", "8.", &format!("src/certs/snp/builtin/{line}/{name}"));
        der::Document::from_pem(str::from_utf8(&pem).unwrap()).unwrap().1.as_bytes().to_vec()
    };
    (read("ask.pem"), read("ark.pem"))
}

impl Real {
    fn endorsements(&self) -> Endorsements<'_> {
        Endorsements { key: &self.key, intermediate: &self.intermediate, root: &self.root, revoked: None }
    }
}

/// What that report lacks: it comes without a list of revocations, and its firmware is older than the check for aliases.
fn lenient() -> SnpRules {
    SnpRules { without_revocations: true, without_alias_check: true, ..SnpRules::default() }
}

const VALID: &str = "2024-01-01T00:00:00Z";

fn judge(report: &[u8], roots: &[&str], rules: &SnpRules, time: &str) -> Result<VerifiedReport, SnpError> {
    let roots: Vec<TeeRoot> = roots.iter().map(|name| TeeRoot::named(name).unwrap()).collect();
    verify(report, &MILAN.endorsements(), &roots, rules, at(time))
}

#[test]
fn a_real_report_verifies_under_its_root_at_its_time() {
    let verified = judge(&MILAN.report, &["amd-milan"], &lenient(), VALID).unwrap();
    assert_eq!(verified.product(), Product::Milan);
    assert_eq!(verified.root().vendor(), Vendor::Amd);
    assert!(!verified.root().is_emulated());
    assert_eq!(verified.tcb(), Tcb { fmc: 0, bl: 3, tee: 0, snp: 8, ucode: 0x73 });
    // Of several roots, it is below one.
    assert!(judge(&MILAN.report, &["amd-genoa", "amd-milan"], &lenient(), VALID).is_ok());
    for time in ["2023-04-03T19:23:43Z", "2030-04-03T19:23:43Z"] {
        assert!(judge(&MILAN.report, &["amd-milan"], &lenient(), time).is_ok(), "{time}");
    }
}

#[test]
fn a_real_report_is_refused_under_other_roots_rules_and_times() {
    let refused = |roots: &[&str], rules: &SnpRules, time: &str| judge(&MILAN.report, roots, rules, time).unwrap_err();
    assert!(matches!(refused(&[], &lenient(), VALID), SnpError::Root(_)));
    assert!(matches!(refused(&["amd-genoa", "amd-turin", "intel", "aws"], &lenient(), VALID), SnpError::Root(_)));
    let early = refused(&["amd-milan"], &lenient(), "2023-04-03T19:23:42Z");
    assert!(matches!(early, SnpError::Certificate(CertificateError::NotYetValid { .. })), "{early}");
    let late = refused(&["amd-milan"], &lenient(), "2030-04-03T19:23:44Z");
    assert!(matches!(late, SnpError::Certificate(CertificateError::Expired { .. })), "{late}");
    let rules = SnpRules { without_revocations: false, ..lenient() };
    assert_eq!(refused(&["amd-milan"], &rules, VALID), SnpError::NoRevocations);
    let rules = SnpRules { without_alias_check: false, ..lenient() };
    assert_eq!(refused(&["amd-milan"], &rules, VALID), SnpError::Aliases);
    let with = |tcb: Tcb| SnpRules { minimum_tcb: [(Product::Milan, tcb)].into(), ..lenient() };
    let its = Tcb { fmc: 0, bl: 3, tee: 0, snp: 8, ucode: 0x73 };
    assert!(judge(&MILAN.report, &["amd-milan"], &with(its), VALID).is_ok());
    let rules = with(Tcb { ucode: 0x74, ..its });
    assert!(matches!(refused(&["amd-milan"], &rules, VALID), SnpError::OldFirmware { .. }));
    // Hardware under the root of an emulation: the fingerprint is another one.
    let emulated = TeeRoot::emulated(reprove_model::Sha256::of(b"emulated")).unwrap();
    let error = verify(&MILAN.report, &MILAN.endorsements(), &[emulated], &lenient(), at(VALID)).unwrap_err();
    assert!(matches!(error, SnpError::Root(_)));
}

/// Every byte of a real report counts.
#[test]
fn no_byte_of_a_real_report_can_be_another() {
    for byte in 0..MILAN.report.len() {
        let mut flipped = MILAN.report.clone();
        flipped[byte] ^= 1 << (byte % 8);
        assert!(judge(&flipped, &["amd-milan"], &lenient(), VALID).is_err(), "byte {byte:#x}");
    }
    for length in 0..MILAN.report.len() {
        assert!(judge(&MILAN.report[..length], &["amd-milan"], &lenient(), VALID).is_err(), "{length} bytes");
    }
}

/// Every byte of each certificate counts.
#[test]
fn no_byte_of_a_real_certificate_can_be_another() {
    let roots = [TeeRoot::named("amd-milan").unwrap()];
    for which in 0..3 {
        let of = |endorsements: &[Vec<u8>; 3]| {
            let [key, intermediate, root] = endorsements;
            let endorsements = Endorsements { key, intermediate, root, revoked: None };
            verify(&MILAN.report, &endorsements, &roots, &lenient(), at(VALID))
        };
        let good = [MILAN.key.clone(), MILAN.intermediate.clone(), MILAN.root.clone()];
        assert!(of(&good).is_ok());
        for byte in 0..good[which].len() {
            let mut changed = good.clone();
            changed[which][byte] ^= 1 << (byte % 8);
            assert!(of(&changed).is_err(), "certificate {which}, byte {byte}");
        }
        let mut longer = good.clone();
        longer[which].push(0);
        assert!(of(&longer).is_err());
    }
}

/// The roots that are pinned are AMD's, and what is below each is signed by it.
#[test]
fn the_pinned_roots_are_amd_s() {
    for line in ["milan", "genoa", "turin"] {
        let (ask, ark) = built_in(line);
        let root = TeeRoot::named(&format!("amd-{line}")).unwrap();
        let (ask, ark) = (Certificate::from_der(&ask, "ASK").unwrap(), Certificate::from_der(&ark, "ARK").unwrap());
        assert_eq!(ark.fingerprint(), root.fingerprint(), "{line}");
        ark.signed_by(&ark, "ARK").unwrap();
        ask.signed_by(&ark, "ASK").unwrap();
        assert!(matches!(ark.signed_by(&ask, "ARK"), Err(CertificateError::Issuer { .. })));
    }
}

#[test]
#[ignore = "measures"]
fn how_long_a_report_takes() {
    crate::bits::time("SEV-SNP report", || assert!(judge(&MILAN.report, &["amd-milan"], &lenient(), VALID).is_ok()));
}
