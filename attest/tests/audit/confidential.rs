// SPDX-License-Identifier: Apache-2.0
//! Rebuilds in confidential machines, all of them EMULATED here, and when they count.

use jiff::Timestamp;
use reprove_attest::evidence::emulated::{Contents, EmulatedAmd, SigningCertificate};
use reprove_attest::evidence::snp::{DirectBoot, Firmware, Launch, Product, SigningKey, Tcb};
use reprove_attest::evidence::{Dispatch, Evidence, Reports, Started, TeeRoot, encoded, report_data};
use reprove_attest::{
    Appraisal, AttestError, Inconsistency, Policy, Proof, TimestampRequest, TimestampedEnvelope, TrustRoots, appraise,
    provenance, rego_input,
};
use reprove_model::{BuildRecord, Digest, DigestSet, Engine, Isolation, Lock, Machine, Sha256, canonical};

use super::appraisal::{key, now, of, reasons, shortfalls, wheel};
use super::authority::Authority;
use super::keys::KEYS;
use super::support::{WHEEL, WHEEL_NAME, lock, rebuilder, record, reproducible, tree};

fn nonce() -> Sha256 {
    Sha256::of(b"nonce")
}

/// The processor, that was made at this time, and is trusted for ten years.
fn processor() -> EmulatedAmd {
    let tcb = Tcb { fmc: 0, bl: 9, tee: 0, snp: 23, ucode: 72 };
    let certificate = SigningCertificate { product: Product::Genoa, tcb, kind: SigningKey::Chip };
    EmulatedAmd::new(&KEYS.borrowed(), certificate, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap()
}

fn firmware() -> Firmware {
    Firmware::emulated(&[0; 4096]).unwrap()
}

/// Two rebuilds of the wheel in a machine of this kind.
fn records(lock: &Lock, isolation: Isolation) -> [BuildRecord; 2] {
    [0, 1].map(|number| {
        let mut record = record(lock, number, tree(&[(WHEEL_NAME, WHEEL)]));
        record.isolation = isolation;
        record.machine = isolation.has_machine().then(|| Machine {
            engine: Engine::QemuTcg,
            kernel: DigestSet::of(b"kernel"),
            initrd: DigestSet::of(b"initrd"),
            usr: format!("3:{}", "ab".repeat(32)),
            job: Digest::of(&[u8::try_from(number).unwrap()]),
        });
        record
    })
}

/// What the processor says of such a build.
fn evidence(processor: &EmulatedAmd, lock: &Lock, record: &BuildRecord, nonce: Sha256) -> Evidence {
    let payload = provenance(lock, record, Some(315_532_800)).unwrap().to_payload().unwrap();
    let machine = record.machine.clone().unwrap();
    let digest = |json: Vec<u8>| DigestSet::of(&json);
    let dispatch =
        Dispatch { build: machine.job, lock: record.lock, recipe: digest(canonical::to_vec(&lock.recipe).unwrap()) };
    let processors = record.conditions.processors;
    let signature = Launch::signature_of("EPYC").unwrap();
    let started = Started { firmware: firmware(), processors, signature, features: 1 };
    let (kernel, initrd) = (machine.kernel.sha256, machine.initrd.sha256);
    let kernel = Some(DirectBoot { kernel, initrd, command_line: &machine.command_line() });
    let launch = Launch { firmware: &started.firmware, kernel, processors, signature, features: 1 };
    let measurement = *launch.digest().unwrap().as_bytes();
    let report = |report_data| {
        let contents = Contents { report_data, measurement, ..Contents::default() };
        encoded(&processor.report(&contents, SigningKey::Chip).unwrap())
    };
    let made = processor.endorsements();
    Evidence {
        payload: Sha256::of(&payload),
        nonce,
        dispatch: Some(dispatch),
        report: Reports::SevSnp {
            start: report(dispatch.report_data(&nonce).unwrap()),
            end: report(report_data(&payload, &nonce)),
            started,
            key: encoded(&made.key),
            intermediate: encoded(&made.intermediate),
            root: encoded(&made.root),
            revoked: Some(encoded(&made.revoked)),
        },
    }
}

/// A proof of two rebuilds in a machine of this kind.
fn proof(processor: &EmulatedAmd, isolation: Isolation) -> Proof {
    let lock = lock(true);
    let records = records(&lock, isolation);
    let evidence = records.iter().filter(|record| record.isolation.has_evidence());
    let evidence = evidence.map(|record| self::evidence(processor, &lock, record, nonce())).collect();
    let compared_on = "2026-11-01T13:00:00Z".parse().unwrap();
    let records = records.each_ref();
    Proof::sign(&key(1), &lock, &records, &reproducible(true), &rebuilder(), compared_on, evidence).unwrap()
}

/// Trusts the key, and of machines what `tee` says and the guest.
fn trust(tee: &str, more: &str) -> TrustRoots {
    let pem = key(1).public_key().to_spki_pem().unwrap();
    let (firmware, kernel, initrd) = (firmware().digest().unwrap(), Sha256::of(b"kernel"), Sha256::of(b"initrd"));
    TrustRoots::from_toml(&format!(
        "[[key]]\npublic = '''\n{pem}'''\noperator = 'one'\nplatform = 'x'\n\
         [[guest]]\nname = 'the guest'\nfirmware = '{firmware}'\nkernel = '{kernel}'\ninitrd = '{initrd}'\n\
         [tee]\n{tee}\n{more}"
    ))
    .unwrap()
}

fn named(processor: &EmulatedAmd) -> TrustRoots {
    trust(&format!("emulated-roots = ['{}']", processor.fingerprint()), "")
}

fn judged(proof: &Proof, trust: &TrustRoots, policy: &Policy) -> Appraisal {
    appraise(&proof.to_bytes().unwrap(), &[wheel()], trust, policy, now()).unwrap()
}

#[test]
fn an_emulated_machine_counts_where_its_root_is_named_and_nowhere_else() {
    let processor = processor();
    let proof = proof(&processor, Isolation::EmulatedSnp);
    let asked = Policy { evidence: true, nonce: Some(nonce()), ..of(1) };
    let appraisal = judged(&proof, &named(&processor), &asked);
    assert!(appraisal.is_enough());
    let attested = appraisal.claims()[0].attested();
    assert_eq!(attested.len(), 2);
    assert!(attested.iter().all(|each| each.is_emulated() && each.guest() == Some("the guest")));
    let seen = rego_input(&appraisal, &[wheel()], now()).unwrap();
    assert!(seen.contains("\"vendor\":\"emulated\"") && seen.contains("\"emulated\":true"));
    // By default, and below all roots of hardware, it is refused, whether the policy asks for evidence or not.
    let hardware: Vec<&str> = TeeRoot::known().collect();
    let least = "{ bl = 0, tee = 0, snp = 0, ucode = 0 }";
    let least = format!("minimum-tcb = {{ milan = {least}, genoa = {least}, turin = {least} }}");
    for refusing in [trust("", ""), trust(&format!("roots = {hardware:?}\n{least}"), "")] {
        for policy in [of(1), asked.clone()] {
            let appraisal = judged(&proof, &refusing, &policy);
            assert!(!appraisal.is_enough() && reasons(&appraisal)[0].contains(&"evidence-refused"));
            assert!(appraisal.claims()[0].attested().is_empty());
            let why = appraisal.claims()[0].reasons()[0].to_string();
            assert!(why.contains(&processor.fingerprint().to_string()), "{why}");
        }
    }
}

#[test]
fn an_emulation_is_no_maker_of_hardware() {
    let processor = processor();
    let proof = proof(&processor, Isolation::EmulatedSnp);
    let policy = |vendors| Policy { evidence: true, vendors, ..of(1) };
    assert!(judged(&proof, &named(&processor), &policy(0)).is_enough());
    assert_eq!(shortfalls(&judged(&proof, &named(&processor), &policy(1))), ["too-few-vendors"]);
    // Its walls are a virtual machine's: with one there is one kind.
    let lock = lock(true);
    let compared_on = "2026-11-01T13:00:00Z".parse().unwrap();
    let records = records(&lock, Isolation::Vm).map(|mut record| {
        record.duration_ms += 1;
        record
    });
    let vm =
        Proof::sign(&key(1), &lock, &records.each_ref(), &reproducible(true), &rebuilder(), compared_on, Vec::new());
    let both = Proof::merge([proof, vm.unwrap()]);
    let kinds = |isolations| judged(&both, &named(&processor), &Policy { isolations, ..of(1) });
    assert!(kinds(1).is_enough() && kinds(1).claims().len() == 2);
    assert_eq!(shortfalls(&kinds(2)), ["too-few-isolations"]);
}

#[test]
fn a_policy_asks_for_evidence_and_for_its_nonce() {
    let processor = processor();
    for isolation in [Isolation::Namespaces, Isolation::Vm] {
        let proof = proof(&processor, isolation);
        assert!(judged(&proof, &named(&processor), &of(1)).is_enough());
        let appraisal = judged(&proof, &named(&processor), &Policy { evidence: true, ..of(1) });
        assert_eq!(reasons(&appraisal), [["not-confidential"]]);
    }
    let proof = proof(&processor, Isolation::EmulatedSnp);
    let other = Policy { evidence: true, nonce: Some(Sha256::of(b"another")), ..of(1) };
    assert_eq!(reasons(&judged(&proof, &named(&processor), &other)), [["other-nonce"]]);
}

#[test]
fn what_says_that_it_was_hardware_needs_hardware() {
    let processor = processor();
    for isolation in [Isolation::SevSnp, Isolation::Tdx, Isolation::EmulatedTdx] {
        let appraisal = judged(&proof(&processor, isolation), &named(&processor), &of(1));
        assert_eq!(reasons(&appraisal), [["evidence-refused"]], "{}", isolation.name());
    }
}

/// Evidence that is left out, replaced by other good evidence, or changed in one byte.
#[test]
fn only_the_evidence_that_was_signed_for_counts() {
    let processor = processor();
    let good = proof(&processor, Isolation::EmulatedSnp);
    let refused = |change: &dyn Fn(&mut Proof)| {
        let mut proof = good.clone();
        change(&mut proof);
        assert_ne!(proof, good);
        let appraisal = judged(&proof, &named(&processor), &of(1));
        assert_eq!(reasons(&appraisal), [["evidence-refused"]]);
    };
    refused(&|proof| proof.evidence.clear());
    refused(&|proof| drop(proof.evidence.pop()));
    let lock = lock(true);
    let records = records(&lock, Isolation::EmulatedSnp);
    let newer = evidence(&processor, &lock, &records[0], Sha256::of(b"another"));
    refused(&|proof| proof.evidence[0] = newer.clone());
    refused(&|proof| {
        let Reports::SevSnp { revoked, .. } = &mut proof.evidence[1].report else { panic!("of another kind") };
        *revoked = None;
    });
    refused(&|proof| proof.evidence[0].dispatch.as_mut().unwrap().build = Digest::of(b"another"));
    // More of it changes nothing.
    let mut more = good.clone();
    more.evidence.insert(0, newer.clone());
    assert!(judged(&more, &named(&processor), &of(1)).is_enough());
    let merged = Proof::merge([more.clone(), good.clone(), more]);
    assert_eq!(merged.evidence.len(), 3);
    assert!(judged(&merged, &named(&processor), &of(1)).is_enough());
    // What is longer than it can be is not read at all.
    let mut long = good.clone();
    let Reports::SevSnp { start, .. } = &mut long.evidence[0].report else { panic!("of another kind") };
    start.push_str(&"A".repeat(4));
    let error = appraise(&long.to_bytes().unwrap(), &[], &named(&processor), &of(1), now()).unwrap_err();
    assert_eq!(error.code(), "evidence-too-long");
    // Evidence of nothing that is there is no part of a proof.
    let mut alone = good.clone();
    alone.evidence[0].payload = Sha256::of(b"another");
    let error = appraise(&alone.to_bytes().unwrap(), &[], &named(&processor), &of(1), now()).unwrap_err();
    assert_eq!(error.code(), "evidence-of-nothing");
}

#[test]
fn no_comparison_is_signed_without_the_evidence_that_its_isolation_asks_for() {
    let lock = lock(true);
    let processor = processor();
    let compared_on = "2026-11-01T13:00:00Z".parse().unwrap();
    let sign = |isolation, evidence| {
        let records = records(&lock, isolation);
        let records = records.each_ref();
        Proof::sign(&key(1), &lock, &records, &reproducible(true), &rebuilder(), compared_on, evidence)
    };
    let one = || {
        let records = records(&lock, Isolation::EmulatedSnp);
        vec![evidence(&processor, &lock, &records[0], nonce())]
    };
    for missing in [Vec::new(), one()] {
        let error = sign(Isolation::EmulatedSnp, missing).unwrap_err();
        assert!(matches!(error, AttestError::Inconsistent(Inconsistency::Evidence { .. })), "{error}");
    }
    assert!(sign(Isolation::Vm, Vec::new()).is_ok());
}

/// The machine's certificates are over, and somebody who is believed saw the comparison, which names the evidence, before.
#[test]
fn old_evidence_stands_by_the_timestamp_of_its_comparison() {
    let (processor, authority) = (processor(), Authority::start(10));
    let mut proof = proof(&processor, Isolation::EmulatedSnp);
    let comparison = proof.envelopes.last().unwrap().clone();
    let authorities =
        format!("[[timestamp-authority]]\nname = 'openssl'\ncertificates = '''\n{}'''\n", authority.certificates());
    let trust = trust(&format!("emulated-roots = ['{}']", processor.fingerprint()), &authorities);
    let late: Timestamp = "2040-01-01T00:00:00Z".parse().unwrap();
    let at_last = |proof: &Proof| appraise(&proof.to_bytes().unwrap(), &[wheel()], &trust, &of(1), late).unwrap();
    assert_eq!(reasons(&at_last(&proof)), [["evidence-refused"]]);
    let request = TimestampRequest::new(comparison.signature(), [7; 16]).unwrap();
    let seen = TimestampedEnvelope::new(&comparison, &authority.reply(&request.to_der().unwrap()));
    proof.timestamped = vec![seen];
    assert!(at_last(&proof).is_enough(), "{:?}", at_last(&proof).claims()[0].reasons());
}
