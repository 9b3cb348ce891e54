// SPDX-License-Identifier: Apache-2.0
//! Evidence of whole builds that reprove has not started: EMULATED enclaves of AWS Nitro, and verifiers' words.

use coset::cbor::Value;
use jiff::Timestamp;
use reprove_attest::evidence::ccf::{CcfError, CcfService};
use reprove_attest::evidence::ear::EarError;
use reprove_attest::evidence::nitro::NitroError;
use reprove_attest::evidence::{
    Attested, BuiltIn, Dispatch, Evidence, EvidenceError, Measured, ReferenceEnclave, ReferenceService,
    ReferenceVerifier, Reports, Sha384, TeeRoot, TeeTrust, Vendor, Voucher, bound_digest, encoded, judge,
    judge_foreign, report_data,
};
use reprove_model::{Digest, DigestSet, Isolation, Sha256};

use crate::nitro_emulated::Case;
use crate::{at, ccf, ear};

const PROVENANCE: &[u8] = b"{\"a\":\"provenance\"}";
const OTHER: &[u8] = b"{\"a\":\"provenancf\"}";

fn nonce() -> Sha256 {
    Sha256::of(b"nonce")
}

fn evidence(report: Reports) -> Evidence {
    Evidence { payload: Sha256::of(PROVENANCE), nonce: nonce(), dispatch: None, report }
}

fn judged(evidence: &Evidence, trust: &TeeTrust, at: Timestamp) -> Result<Attested, EvidenceError> {
    judge_foreign(evidence, PROVENANCE, Isolation::Namespaces, trust, at)
}

fn dispatch() -> Dispatch {
    Dispatch { build: Digest::of(b"job"), lock: DigestSet::of(b"lock"), recipe: DigestSet::of(b"recipe") }
}

/// An enclave that said what it has to.
fn enclave() -> (Evidence, TeeTrust) {
    let data = bound_digest(PROVENANCE, &nonce());
    assert_eq!(report_data(PROVENANCE, &nonce()), [data, [0; 32]].concat()[..]);
    let case = Case::new()
        .with("nonce", Value::Bytes(nonce().as_bytes().to_vec()))
        .with("user_data", Value::Bytes(data.to_vec()));
    let (document, root) = case.make();
    let registers = (0..3).map(|number| (number, Sha384::from_bytes([number + 1; 48]))).collect();
    let trust = TeeTrust {
        roots: vec![TeeRoot::named("aws").unwrap(), TeeRoot::emulated(Sha256::of(&root)).unwrap()],
        enclaves: vec![ReferenceEnclave { name: "the enclave".into(), registers }],
        ..TeeTrust::default()
    };
    (evidence(Reports::Nitro { document: encoded(&document), root: encoded(&root) }), trust)
}

/// What is changed of the enclaves that are known.
type Change<'a> = &'a dyn Fn(&mut Vec<ReferenceEnclave>);

fn then() -> Timestamp {
    at("2026-01-15T00:00:00Z")
}

#[test]
fn an_enclave_that_is_known_vouches_for_a_whole_build() {
    let (evidence, trust) = enclave();
    let attested = judged(&evidence, &trust, then()).unwrap();
    assert!(attested.is_emulated() && evidence.is_marked_emulated());
    assert_eq!((attested.vendor(), attested.guest()), (Some(Vendor::Emulated), Some("the enclave")));
    assert_eq!((attested.voucher(), attested.nonce()), (&Voucher::Processor(trust.roots[1]), nonce()));
    assert_eq!(attested.measured(), &Measured::Enclave(trust.enclaves[0].registers.clone()));
    assert!(attested.measured().to_string().starts_with(&format!("pcr0 {}, pcr1 ", "01".repeat(48))));
    let in_vm = judge_foreign(&evidence, PROVENANCE, Isolation::Vm, &trust, then());
    assert_eq!(in_vm, Ok(attested));
}

#[test]
fn an_enclave_s_word_is_of_one_build_and_one_question() {
    let (good, trust) = enclave();
    let of = |change: &dyn Fn(&mut Evidence), provenance| {
        let mut evidence = good.clone();
        change(&mut evidence);
        judge_foreign(&evidence, provenance, Isolation::Namespaces, &trust, then()).unwrap_err()
    };
    assert_eq!(of(&|_| {}, OTHER), EvidenceError::OtherProvenance);
    assert_eq!(of(&|e| e.payload = Sha256::of(OTHER), OTHER), EvidenceError::Nitro(NitroError::UserData));
    assert_eq!(of(&|e| e.nonce = Sha256::of(b"noncf"), PROVENANCE), EvidenceError::Nitro(NitroError::Nonce));
    assert_eq!(of(&|e| e.dispatch = Some(dispatch()), PROVENANCE), EvidenceError::Dispatch("says"));
    let late = judged(&good, &trust, at("2026-03-01T00:00:00Z")).unwrap_err();
    assert!(matches!(late, EvidenceError::Nitro(NitroError::Expired { .. })), "{late}");
}

#[test]
fn an_enclave_that_is_not_known_is_refused() {
    let (evidence, trust) = enclave();
    let fingerprint = trust.roots[1].fingerprint();
    for roots in [vec![], vec![trust.roots[0]], TeeRoot::known().map(|name| TeeRoot::named(name).unwrap()).collect()] {
        let refused = judged(&evidence, &TeeTrust { roots, ..trust.clone() }, then());
        assert_eq!(refused, Err(EvidenceError::Root(fingerprint)));
    }
    let with = |change: Change<'_>| {
        let mut trust = trust.clone();
        change(&mut trust.enclaves);
        judged(&evidence, &trust, then())
    };
    let unknown: [Change<'_>; 4] = [
        &|enclaves| enclaves.clear(),
        &|enclaves| enclaves[0].registers.extend([(2, Sha384::ZERO)]),
        &|enclaves| enclaves[0].registers.extend([(8, Sha384::from_bytes([9; 48]))]),
        // Who names fewer than have to be named has named none.
        &|enclaves| enclaves[0].registers.retain(|number, _| *number != 1),
    ];
    for change in unknown {
        let why = with(change).unwrap_err();
        assert!(matches!(why, EvidenceError::UnknownEnclave(_)), "{why}");
        assert!(why.to_string().contains(&format!("PCR2 {}", "03".repeat(48))));
    }
}

#[test]
fn no_processor_s_isolation_takes_the_word_of_others_and_none_of_theirs_is_taken_without_it() {
    let (evidence, trust) = enclave();
    for isolation in [Isolation::SevSnp, Isolation::Tdx, Isolation::EmulatedSnp, Isolation::EmulatedTdx] {
        let kind = Err(EvidenceError::Kind { stated: isolation.name(), kind: "nitro" });
        assert_eq!(judge_foreign(&evidence, PROVENANCE, isolation, &trust, then()), kind);
        let built = BuiltIn {
            provenance: PROVENANCE,
            lock: DigestSet::of(b"lock"),
            recipe: DigestSet::of(b"recipe"),
            build: Digest::of(b"job"),
            kernel: Sha256::of(b"kernel"),
            initrd: Sha256::of(b"initrd"),
            command_line: "",
            isolation,
            processors: 2,
        };
        assert_eq!(judge(&evidence, &built, &trust, then()), kind);
    }
}

fn verifier(number: u8, tees: &[&str]) -> ReferenceVerifier {
    ReferenceVerifier {
        name: format!("verifier {number}"),
        key: ear::public(number),
        tees: tees.iter().map(|tee| (*tee).to_owned()).collect(),
        policies: ["default".to_owned()].into(),
        submodule: "cpu0".into(),
        is_emulated: false,
    }
}

fn trusting(verifiers: Vec<ReferenceVerifier>) -> TeeTrust {
    TeeTrust { verifiers, ..TeeTrust::default() }
}

/// What verifier 1 says of a processor of this kind.
fn token(tee: &str) -> Evidence {
    let token = ear::token_about(tee, &report_data(PROVENANCE, &nonce()));
    evidence(Reports::Ear { token: String::from_utf8(token).unwrap() })
}

#[test]
fn a_verifier_that_is_named_vouches_and_no_processor() {
    let both = || trusting(vec![verifier(2, &["tdx"]), verifier(1, &["snp", "tdx"])]);
    for (tee, vendor) in [("snp", Vendor::Amd), ("tdx", Vendor::Intel)] {
        let attested = judged(&token(tee), &both(), ear::issued()).unwrap();
        let key = ear::public(1).id().fingerprint();
        assert_eq!(attested.voucher(), &Voucher::Verifier { name: "verifier 1".into(), key, vendor });
        assert_eq!((attested.vendor(), attested.is_emulated()), (Some(vendor), false));
        assert!(attested.is_of_machine() && !attested.is_of_processor());
        assert_eq!((attested.guest(), attested.measured()), (None, &Measured::Elsewhere));
        assert!(attested.firmware().starts_with(tee), "{}", attested.firmware());
    }
    // What else a trust file names is no hardware.
    let sample = trusting(vec![verifier(1, &["sample"])]);
    let attested = judged(&token("sample"), &sample, ear::issued()).unwrap();
    assert_eq!((attested.vendor(), attested.emulated()), (Some(Vendor::Emulated), Some(true)));
    // Nor is what one looks at that a trust file says is an emulation's, whatever it says itself.
    let said = trusting(vec![ReferenceVerifier { is_emulated: true, ..verifier(1, &["snp", "tdx"]) }]);
    for tee in ["snp", "tdx"] {
        let attested = judged(&token(tee), &said, ear::issued()).unwrap();
        assert_eq!((attested.vendor(), attested.emulated()), (Some(Vendor::Emulated), Some(true)));
    }
}

#[test]
fn a_verifier_s_word_is_of_one_build_and_of_what_the_trust_file_names() {
    let known = trusting(vec![verifier(1, &["tdx"])]);
    let of = |trust: &TeeTrust, tee| judged(&token(tee), trust, ear::issued()).unwrap_err();
    assert_eq!(of(&TeeTrust::default(), "tdx"), EvidenceError::NoVerifier);
    assert_eq!(of(&trusting(vec![verifier(2, &["tdx"])]), "tdx"), EvidenceError::Ear(EarError::Signature));
    assert_eq!(of(&known, "snp"), EvidenceError::Ear(EarError::Tee));
    assert_eq!(of(&known, "sample"), EvidenceError::Ear(EarError::Tee));
    // Of several, the one whose key it is says why.
    for order in [[1, 2], [2, 1]] {
        let several = trusting(order.map(|number| verifier(number, &["tdx"])).into());
        assert_eq!(of(&several, "snp"), EvidenceError::Ear(EarError::Tee));
    }
    let changed = |change: &dyn Fn(&mut Evidence), provenance| {
        let mut evidence = token("tdx");
        change(&mut evidence);
        judge_foreign(&evidence, provenance, Isolation::Vm, &known, ear::issued()).unwrap_err()
    };
    assert_eq!(changed(&|e| e.payload = Sha256::of(OTHER), OTHER), EvidenceError::Ear(EarError::ReportData));
    assert_eq!(changed(&|e| e.nonce = Sha256::of(b"noncf"), PROVENANCE), EvidenceError::Ear(EarError::ReportData));
    assert_eq!(changed(&|e| e.dispatch = Some(dispatch()), PROVENANCE), EvidenceError::Dispatch("says"));
}

fn serving(services: &[(&str, &str)]) -> TeeTrust {
    let service = |(name, pem): &(&str, &str)| ReferenceService {
        name: (*name).into(),
        service: CcfService::from_pem(pem).unwrap(),
        emulated: false,
    };
    TeeTrust { services: services.iter().map(service).collect(), ..TeeTrust::default() }
}

#[test]
fn a_service_that_is_named_vouches_and_is_of_no_maker() {
    let evidence = evidence(Reports::Ccf { receipt: ccf::EMULATED.into() });
    let trust = serving(&[("another", ccf::OTHER), ("ours", ccf::SERVICE)]);
    let attested = judged(&evidence, &trust, ccf::now()).unwrap();
    let certificate = trust.services[1].service.fingerprint();
    let voucher = Voucher::Service { name: "ours".into(), certificate, is_emulated: true };
    assert_eq!((attested.voucher(), attested.is_emulated()), (&voucher, true));
    // What is in a ledger was built somewhere.
    assert!(!attested.is_of_machine() && !attested.is_of_processor());
    assert!(attested.firmware().starts_with("CCF (transaction 2.15, node "), "{}", attested.firmware());
    assert_eq!(attested.emulated(), Some(true));
    // One that does not say that it is an emulation's is of no maker of hardware either: nobody knows.
    let real = Voucher::Service { name: "ours".into(), certificate, is_emulated: false };
    assert_eq!((real.vendor(), real.is_emulated()), (None, false));
    assert_eq!(real.emulated(), None);
    let mut unmarked = serving(&[("ours", include_str!("ccf/ledger.pem"))]).services.remove(0);
    assert!(!unmarked.is_emulated());
    unmarked.emulated = true;
    assert!(unmarked.is_emulated());
}

#[test]
fn a_service_s_word_is_of_one_build_and_of_a_service_that_the_trust_file_names() {
    let good = evidence(Reports::Ccf { receipt: ccf::EMULATED.into() });
    let of = |trust: &TeeTrust| judged(&good, trust, ccf::now()).unwrap_err();
    assert_eq!(of(&TeeTrust::default()), EvidenceError::NoService);
    let another = of(&serving(&[("another", ccf::OTHER)]));
    assert!(matches!(another, EvidenceError::Ccf(CcfError::Certificate("the node's certificate", _))));
    let known = serving(&[("ours", ccf::SERVICE), ("another", ccf::OTHER)]);
    let changed = |change: &dyn Fn(&mut Evidence), provenance| {
        let mut evidence = good.clone();
        change(&mut evidence);
        judge_foreign(&evidence, provenance, Isolation::Vm, &known, ccf::now()).unwrap_err()
    };
    assert_eq!(changed(&|e| e.payload = Sha256::of(OTHER), OTHER), EvidenceError::Ccf(CcfError::Claims));
    assert_eq!(changed(&|e| e.nonce = Sha256::of(b"noncf"), PROVENANCE), EvidenceError::Ccf(CcfError::Claims));
    assert_eq!(changed(&|e| e.dispatch = Some(dispatch()), PROVENANCE), EvidenceError::Dispatch("says"));
}
