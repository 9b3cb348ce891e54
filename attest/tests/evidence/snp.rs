// SPDX-License-Identifier: Apache-2.0
//! EMULATED reports of every kind, taken and refused by the verifier of real ones.

use reprove_attest::evidence::emulated::{Contents, EmulatedAmd, MadeEndorsements, SigningCertificate, Template};
use reprove_attest::evidence::snp::{Product, SigningKey, SnpError, SnpRules, Tcb, VerifiedReport, verify};
use reprove_attest::evidence::{CertificateError, EMULATED, TeeRoot, Vendor};

use crate::at;
use crate::keys::{KEYS, Keys};

const MADE: &str = "2026-01-01T00:00:00Z";
const VALID: &str = "2026-06-01T00:00:00Z";
const TCB: Tcb = Tcb { fmc: 0, bl: 4, tee: 1, snp: 24, ucode: 213 };

fn of(product: Product, kind: SigningKey) -> SigningCertificate {
    let fmc = if product == Product::Turin { 3 } else { 0 };
    SigningCertificate { product, tcb: Tcb { fmc, ..TCB }, kind }
}

fn machine(product: Product, kind: SigningKey) -> EmulatedAmd {
    EmulatedAmd::new(&KEYS.borrowed(), of(product, kind), at(MADE)).unwrap()
}

fn changed(change: impl Fn(usize, &mut Template)) -> EmulatedAmd {
    EmulatedAmd::with(&KEYS.borrowed(), of(Product::Genoa, SigningKey::Chip), at(MADE), change).unwrap()
}

fn judged_with(machine: &EmulatedAmd, report: &[u8], made: &MadeEndorsements) -> Result<VerifiedReport, SnpError> {
    let root = TeeRoot::emulated(machine.fingerprint()).unwrap();
    verify(report, &made.borrowed(), &[root], &SnpRules::default(), at(VALID))
}

fn judged(machine: &EmulatedAmd, contents: &Contents) -> Result<VerifiedReport, SnpError> {
    let report = machine.report(contents, SigningKey::Chip).unwrap();
    judged_with(machine, &report, machine.endorsements())
}

#[test]
fn every_kind_of_report_verifies_and_says_that_it_is_emulated() {
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        for kind in [SigningKey::Chip, SigningKey::Loaded] {
            let machine = machine(product, kind);
            for version in [2, 3, 5] {
                let contents = Contents { version, report_data: [7; 64], measurement: [9; 48], ..Contents::default() };
                let report = machine.report(&contents, kind).unwrap();
                let verified = judged_with(&machine, &report, machine.endorsements()).unwrap();
                assert_eq!(verified.product(), product);
                assert_eq!(verified.tcb(), of(product, kind).tcb);
                assert_eq!(verified.report().report_data(), [7; 64]);
                assert_eq!(verified.report().measurement(), [9; 48]);
                assert!(verified.root().is_emulated());
                assert_eq!(verified.root().vendor(), Vendor::Emulated);
            }
        }
    }
}

#[test]
fn emulated_evidence_is_refused_under_the_roots_of_hardware() {
    let machine = machine(Product::Genoa, SigningKey::Chip);
    let report = machine.report(&Contents::default(), SigningKey::Chip).unwrap();
    let roots: Vec<TeeRoot> = TeeRoot::known().map(|name| TeeRoot::named(name).unwrap()).collect();
    let error =
        verify(&report, &machine.endorsements().borrowed(), &roots, &SnpRules::default(), at(VALID)).unwrap_err();
    assert_eq!(error, SnpError::Root(machine.fingerprint()));
    // Neither is another emulation's taken, whose certificates have the same names.
    let other = EmulatedAmd::new(&Keys::new().borrowed(), of(Product::Genoa, SigningKey::Chip), at(MADE)).unwrap();
    let root = TeeRoot::emulated(other.fingerprint()).unwrap();
    let judge = |made: &MadeEndorsements| verify(&report, &made.borrowed(), &[root], &SnpRules::default(), at(VALID));
    assert!(matches!(judge(machine.endorsements()), Err(SnpError::Root(_))));
    let mixed = MadeEndorsements { root: other.endorsements().root.clone(), ..machine.endorsements().clone() };
    assert!(matches!(judge(&mixed), Err(SnpError::Certificate(CertificateError::Signature(_)))));
    assert!(matches!(judge(other.endorsements()), Err(SnpError::Tcb { .. } | SnpError::Chip)));
}

#[test]
fn every_certificate_of_an_emulation_has_to_say_so() {
    assert!(judged(&changed(|_, _| {}), &Contents::default()).is_ok());
    for which in 0..3 {
        let silent = changed(|each, template| {
            let plain = |name: &str| name.replace(&format!(" {EMULATED}"), "");
            if each == which {
                template.subject = plain(&template.subject);
            }
            if which < 2 && (each == which + 1 || (which, each) == (0, 0)) {
                template.issuer = plain(&template.issuer);
            }
        });
        let error = judged(&silent, &Contents::default()).unwrap_err();
        assert!(matches!(error, SnpError::NotMarked(_)), "{which}: {error}");
    }
}

#[test]
fn a_guest_that_is_not_closed_is_refused() {
    let machine = machine(Product::Genoa, SigningKey::Chip);
    let good = Contents::default();
    assert!(judged(&machine, &good).is_ok());
    for vmpl in 1..=3 {
        assert_eq!(judged(&machine, &Contents { vmpl, ..good.clone() }), Err(SnpError::Vmpl(vmpl)));
    }
    let policy = |bit: u32| Contents { policy: good.policy | 1 << bit, ..good.clone() };
    assert_eq!(judged(&machine, &policy(19)), Err(SnpError::Debug));
    assert_eq!(judged(&machine, &policy(18)), Err(SnpError::Migratable));
    assert!(judged(&machine, &policy(20)).is_ok());
    assert_eq!(judged(&machine, &Contents { platform_info: 0, ..good.clone() }), Err(SnpError::Aliases));
    assert!(judged(&machine, &Contents { platform_info: 0x3f, ..good }).is_ok());
}

#[test]
fn the_firmware_has_to_be_new_enough() {
    let machine = machine(Product::Turin, SigningKey::Chip);
    let report = machine.report(&Contents::default(), SigningKey::Chip).unwrap();
    let root = TeeRoot::emulated(machine.fingerprint()).unwrap();
    let judge = |product: Product, tcb: Tcb| {
        let rules = SnpRules { minimum_tcb: [(product, tcb)].into(), ..SnpRules::default() };
        verify(&report, &machine.endorsements().borrowed(), &[root], &rules, at(VALID))
    };
    let its = of(Product::Turin, SigningKey::Chip).tcb;
    assert!(judge(Product::Turin, its).is_ok());
    for newer in [
        Tcb { fmc: 4, ..its },
        Tcb { bl: 5, ..its },
        Tcb { tee: 2, ..its },
        Tcb { snp: 25, ..its },
        Tcb { ucode: 214, ..its },
    ] {
        assert!(matches!(judge(Product::Turin, newer), Err(SnpError::OldFirmware { .. })), "{newer}");
        assert!(judge(Product::Genoa, newer).is_ok(), "another line's");
    }
}

#[test]
fn a_certificate_of_another_key_kind_firmware_or_chip_is_refused() {
    let (chip, loaded) = (machine(Product::Genoa, SigningKey::Chip), machine(Product::Genoa, SigningKey::Loaded));
    let kind = |machine: &EmulatedAmd, kind| {
        let report = machine.report(&Contents::default(), kind).unwrap();
        judged_with(machine, &report, machine.endorsements())
    };
    assert!(matches!(kind(&chip, SigningKey::Loaded), Err(SnpError::Key { report: "VLEK", certificate: "VCEK" })));
    assert!(matches!(kind(&loaded, SigningKey::Chip), Err(SnpError::Key { report: "VCEK", certificate: "VLEK" })));
    let old = SigningCertificate { tcb: Tcb { snp: 1, ..TCB }, ..of(Product::Genoa, SigningKey::Chip) };
    let old = EmulatedAmd::new(&KEYS.borrowed(), old, at(MADE)).unwrap();
    let report = chip.report(&Contents::default(), SigningKey::Chip).unwrap();
    assert!(matches!(judged_with(&old, &report, old.endorsements()), Err(SnpError::Tcb { .. })));
    let other_chip = changed(|each, template| {
        let id = template.extensions.iter_mut().find(|(oid, _)| oid.to_string() == "1.3.6.1.4.1.3704.1.4");
        if let (2, Some((_, id))) = (each, id) {
            id[0] ^= 1;
        }
    });
    assert_eq!(judged(&other_chip, &Contents::default()), Err(SnpError::Chip));
    // Another line's processor, by its family and model, and by its certificate.
    let turin = machine(Product::Turin, SigningKey::Chip);
    let report = turin.report(&Contents::default(), SigningKey::Chip).unwrap();
    assert!(matches!(judged_with(&chip, &report, chip.endorsements()), Err(SnpError::Product { .. })));
}

#[test]
fn each_extension_of_the_key_s_certificate_has_to_be_there() {
    for name in ["2", "3.1", "3.2", "3.3", "3.8", "4"] {
        let oid = format!("1.3.6.1.4.1.3704.1.{name}");
        let without = changed(|_, template| template.extensions.retain(|(each, _)| each.to_string() != oid));
        let error = judged(&without, &Contents::default()).unwrap_err();
        assert!(matches!(error, SnpError::Extension(_)), "{oid}: {error}");
        let broken = changed(|_, template| {
            for (each, value) in &mut template.extensions {
                if each.to_string() == oid {
                    *value = vec![0xff];
                }
            }
        });
        assert!(judged(&broken, &Contents::default()).is_err(), "{oid}");
    }
}

#[test]
fn a_chain_that_does_not_hold_is_refused() {
    let refused = |change: &dyn Fn(usize, &mut Template)| judged(&changed(change), &Contents::default()).unwrap_err();
    for which in 0..3 {
        let error = refused(&|each, template| {
            if each == which {
                template.from = at("2026-06-01T00:00:01Z");
            }
        });
        assert!(matches!(error, SnpError::Certificate(CertificateError::NotYetValid { .. })), "{which}: {error}");
        let error = refused(&|each, template| {
            if each == which {
                template.until = at("2026-05-31T23:59:59Z");
            }
        });
        assert!(matches!(error, SnpError::Certificate(CertificateError::Expired { .. })), "{which}: {error}");
    }
    for which in 0..2 {
        let error = refused(&|each, template| template.is_authority &= each != which);
        assert!(matches!(error, SnpError::Certificate(CertificateError::NoAuthority(_))), "{which}: {error}");
    }
    for which in 1..3 {
        let error = refused(&|each, template| {
            if each == which {
                template.issuer = format!("CN=somebody else {EMULATED}");
            }
        });
        assert!(matches!(error, SnpError::Certificate(CertificateError::Issuer { .. })), "{which}: {error}");
    }
}

#[test]
fn what_the_root_took_back_is_refused() {
    let machine = machine(Product::Genoa, SigningKey::Chip);
    let report = machine.report(&Contents::default(), SigningKey::Chip).unwrap();
    let judge = |revoked: Vec<u8>| {
        judged_with(&machine, &report, &MadeEndorsements { revoked, ..machine.endorsements().clone() })
    };
    let list = |numbers: &[u8], from: &str, until: &str| machine.revocations(numbers, at(from), at(until)).unwrap();
    assert!(judge(list(&[], MADE, "2027-01-01T00:00:00Z")).is_ok());
    assert!(judge(list(&[3, 4], MADE, "2027-01-01T00:00:00Z")).is_ok());
    // The signer's number is 2.
    let revoked = judge(list(&[3, 2], MADE, "2027-01-01T00:00:00Z")).unwrap_err();
    assert!(matches!(revoked, SnpError::Certificate(CertificateError::Revoked { .. })), "{revoked}");
    // A list from before or after the time is none.
    assert!(judge(list(&[], MADE, VALID)).is_ok());
    let old = judge(list(&[], MADE, "2026-05-31T23:59:59Z")).unwrap_err();
    assert!(matches!(old, SnpError::Certificate(CertificateError::Expired { .. })), "{old}");
    let future = judge(list(&[], "2026-06-01T00:00:01Z", "2027-01-01T00:00:00Z")).unwrap_err();
    assert!(matches!(future, SnpError::Certificate(CertificateError::NotYetValid { .. })), "{future}");
    let other = EmulatedAmd::new(&Keys::new().borrowed(), of(Product::Genoa, SigningKey::Chip), at(MADE)).unwrap();
    let forged = judge(other.endorsements().revoked.clone()).unwrap_err();
    assert_eq!(forged, SnpError::Certificate(CertificateError::Signature("list of what is revoked (CRL)")));
    for length in [0, 1, 100] {
        let whole = list(&[], MADE, "2027-01-01T00:00:00Z");
        assert!(judge(whole[..length].to_vec()).is_err(), "{length}");
    }
}

/// Every byte of reports of the versions that the package with the real one lacks counts too.
#[test]
fn no_byte_of_an_emulated_report_can_be_another() {
    for (version, product, kind) in [(3, Product::Turin, SigningKey::Chip), (5, Product::Genoa, SigningKey::Loaded)] {
        let machine = machine(product, kind);
        let report = machine.report(&Contents { version, ..Contents::default() }, kind).unwrap();
        assert!(judged_with(&machine, &report, machine.endorsements()).is_ok());
        for byte in 0..report.len() {
            let mut flipped = report.clone();
            flipped[byte] ^= 1 << (byte % 8);
            let judged = judged_with(&machine, &flipped, machine.endorsements());
            assert!(judged.is_err(), "version {version}, byte {byte:#x}");
        }
    }
}
