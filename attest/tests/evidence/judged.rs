// SPDX-License-Identifier: Apache-2.0
//! EMULATED evidence of whole builds: what it has to bind, and what is refused when it does not.

use jiff::Timestamp;
use reprove_attest::evidence::emulated::{Contents, EmulatedAmd, SigningCertificate};
use reprove_attest::evidence::snp::{DirectBoot, Firmware, Launch, Product, SigningKey, SnpError, Tcb};
use reprove_attest::evidence::{
    Attested, BuiltIn, Dispatch, Evidence, EvidenceError, ReferenceGuest, Reports, Started, TeeRoot, TeeTrust, Vendor,
    Voucher, encoded, judge, report_data,
};
use reprove_model::{Digest, DigestSet, Isolation, Sha256};

use crate::at;
use crate::keys::{KEYS, Keys};

const MADE: &str = "2026-01-01T00:00:00Z";
const PROVENANCE: &[u8] = b"{\"a\":\"provenance\"}";
const COMMAND_LINE: &str = "console=hvc0 reprove.usr=1:00 reprove.job=00";

fn now() -> Timestamp {
    at("2026-06-01T00:00:00Z")
}

fn machine(keys: &Keys) -> EmulatedAmd {
    let tcb = Tcb { bl: 1, tee: 1, snp: 1, ucode: 1, fmc: 0 };
    let certificate = SigningCertificate { product: Product::Genoa, tcb, kind: SigningKey::Chip };
    EmulatedAmd::new(&keys.borrowed(), certificate, at(MADE)).unwrap()
}

fn built() -> BuiltIn<'static> {
    BuiltIn {
        provenance: PROVENANCE,
        lock: DigestSet::of(b"lock"),
        recipe: DigestSet::of(b"recipe"),
        build: Digest::of(b"job"),
        kernel: Sha256::of(b"kernel"),
        initrd: Sha256::of(b"initrd"),
        command_line: COMMAND_LINE,
        isolation: Isolation::EmulatedSnp,
        processors: 2,
    }
}

/// What a guest asks for, and how it was started: one thing is changed at a time.
#[derive(Clone)]
struct Run {
    nonce: Sha256,
    dispatch: Dispatch,
    started: Started,
    kernel: DirectBoot<'static>,
    start: Contents,
    end: Contents,
}

fn run() -> Run {
    let built = built();
    let nonce = Sha256::of(b"nonce");
    let dispatch = Dispatch { build: built.build, lock: built.lock, recipe: built.recipe };
    let firmware = Firmware::emulated(&[7; 4096]).unwrap();
    let started = Started { firmware, processors: 2, signature: Launch::signature_of("EPYC").unwrap(), features: 1 };
    let kernel = DirectBoot { kernel: built.kernel, initrd: built.initrd, command_line: COMMAND_LINE };
    let start = Contents { report_data: dispatch.report_data(&nonce).unwrap(), ..Contents::default() };
    let end = Contents { report_data: report_data(PROVENANCE, &nonce), ..Contents::default() };
    Run { nonce, dispatch, started, kernel, start, end }
}

impl Run {
    /// What the processor says of it.
    fn evidence(&self, machine: &EmulatedAmd) -> Evidence {
        let Started { firmware, processors, signature, features } = &self.started;
        let launch = Launch {
            firmware,
            kernel: Some(self.kernel),
            processors: *processors,
            signature: *signature,
            features: *features,
        };
        let measurement = *launch.digest().unwrap().as_bytes();
        let report = |contents: &Contents| {
            let contents = Contents { measurement, ..contents.clone() };
            encoded(&machine.report(&contents, SigningKey::Chip).unwrap())
        };
        let made = machine.endorsements();
        Evidence {
            payload: Sha256::of(PROVENANCE),
            nonce: self.nonce,
            dispatch: Some(self.dispatch),
            report: Reports::SevSnp {
                started: self.started.clone(),
                start: report(&self.start),
                end: report(&self.end),
                key: encoded(&made.key),
                intermediate: encoded(&made.intermediate),
                root: encoded(&made.root),
                revoked: Some(encoded(&made.revoked)),
            },
        }
    }
}

fn trust(machine: &EmulatedAmd) -> TeeTrust {
    let guest = ReferenceGuest {
        name: "the guest".into(),
        kernel: built().kernel,
        initrd: built().initrd,
        firmware: run().started.firmware.digest(),
        domain: None,
    };
    let roots = vec![TeeRoot::emulated(machine.fingerprint()).unwrap()];
    TeeTrust { roots, guests: vec![guest], ..TeeTrust::default() }
}

fn judged(change: impl Fn(&mut Run)) -> Result<Attested, EvidenceError> {
    let machine = machine(&KEYS);
    let mut run = run();
    change(&mut run);
    judge(&run.evidence(&machine), &built(), &trust(&machine), now())
}

#[test]
fn evidence_of_a_build_in_a_known_guest_is_taken() {
    let attested = judged(|_| {}).unwrap();
    assert_eq!((attested.vendor(), attested.guest()), (Some(Vendor::Emulated), Some("the guest")));
    assert!(
        attested.is_emulated()
            && matches!(attested.voucher(), Voucher::Processor(root) if root.to_string().contains("EMULATED"))
    );
    assert_eq!(attested.nonce(), Sha256::of(b"nonce"));
    // As it is written in a proof, and read again.
    let evidence = run().evidence(&machine(&KEYS));
    let json = reprove_model::canonical::to_vec(&evidence).unwrap();
    assert_eq!(reprove_model::canonical::from_slice::<Evidence>(&json).unwrap(), evidence);
    assert_eq!(evidence.digest().unwrap(), DigestSet::of(&json));
}

#[test]
fn nothing_is_believed_by_default() {
    let machine = machine(&KEYS);
    let evidence = run().evidence(&machine);
    let refused = |trust: &TeeTrust| judge(&evidence, &built(), trust, now()).unwrap_err();
    assert!(matches!(refused(&TeeTrust::default()), EvidenceError::Snp { why: SnpError::Root(_), .. }));
    let hardware = TeeRoot::known().map(|name| TeeRoot::named(name).unwrap()).collect();
    let all = TeeTrust { roots: hardware, ..trust(&machine) };
    assert!(matches!(refused(&all), EvidenceError::Snp { why: SnpError::Root(_), .. }));
    let nobody = TeeTrust { guests: Vec::new(), ..trust(&machine) };
    assert!(matches!(refused(&nobody), EvidenceError::UnknownGuest { .. }));
}

/// Other outputs, another job, and another question.
#[test]
fn evidence_is_of_one_build_and_one_question() {
    let machine = machine(&KEYS);
    let evidence = run().evidence(&machine);
    let of = |built: &BuiltIn<'_>| judge(&evidence, built, &trust(&machine), now()).unwrap_err();
    let good = built();
    assert_eq!(of(&BuiltIn { provenance: b"{\"a\":\"provenancf\"}", ..good }), EvidenceError::OtherProvenance);
    assert_eq!(of(&BuiltIn { lock: DigestSet::of(b"other"), ..good }), EvidenceError::OtherJob("lock"));
    assert_eq!(of(&BuiltIn { recipe: DigestSet::of(b"other"), ..good }), EvidenceError::OtherJob("recipe"));
    assert_eq!(of(&BuiltIn { build: Digest::of(b"other"), ..good }), EvidenceError::OtherJob("job"));
    assert_eq!(of(&BuiltIn { processors: 1, ..good }), EvidenceError::Processors { measured: 2, stated: 1 });
    // Whoever changes what the evidence names still has the reports against them.
    let changed = |change: &dyn Fn(&mut Evidence), built: &BuiltIn<'_>| {
        let mut evidence = run().evidence(&machine);
        change(&mut evidence);
        judge(&evidence, built, &trust(&machine), now()).unwrap_err()
    };
    let other = b"other outputs";
    let error = changed(&|e| e.payload = Sha256::of(other), &BuiltIn { provenance: other, ..good });
    assert_eq!(error, EvidenceError::OtherData("the end"));
    assert_eq!(changed(&|e| e.nonce = Sha256::of(b"x"), &good), EvidenceError::OtherData("the start"));
    assert_eq!(changed(&|e| e.dispatch = None, &good), EvidenceError::Dispatch("does not say"));
    let lock = DigestSet::of(b"other");
    let error = changed(&|e| e.dispatch.as_mut().unwrap().lock = lock, &BuiltIn { lock, ..good });
    assert_eq!(error, EvidenceError::OtherData("the start"));
    assert_eq!(judged(|run| run.start.report_data[0] ^= 1), Err(EvidenceError::OtherData("the start")));
    assert_eq!(judged(|run| run.end.report_data[63] ^= 1), Err(EvidenceError::OtherData("the end")));
    // The two reports in each other's place.
    let swapped = judged(|run| std::mem::swap(&mut run.start, &mut run.end));
    assert_eq!(swapped, Err(EvidenceError::OtherData("the start")));
}

/// One byte of kernel, initrd, command line or firmware.
#[test]
fn another_guest_is_refused() {
    let measured = |run: fn(&mut Run)| assert!(matches!(judged(run), Err(EvidenceError::Measurement { .. })));
    measured(|run| run.kernel.kernel = Sha256::of(b"kernem"));
    measured(|run| run.kernel.initrd = Sha256::of(b"initre"));
    measured(|run| run.kernel.command_line = "console=hvc0 reprove.usr=1:00 reprove.job=01");
    measured(|run| run.kernel.command_line = "console=hvc0 reprove.usr=1:00 reprove.job=00 ");
    let other = judged(|run| run.started.firmware = Firmware::emulated(&[8; 4096]).unwrap());
    assert!(matches!(other, Err(EvidenceError::UnknownGuest { .. })));
    // It says that it was another guest than was measured.
    let machine = machine(&KEYS);
    let evidence = run().evidence(&machine);
    let said = BuiltIn { kernel: Sha256::of(b"kernem"), ..built() };
    assert!(matches!(judge(&evidence, &said, &trust(&machine), now()), Err(EvidenceError::UnknownGuest { .. })));
    let mut known = trust(&machine);
    known.guests[0].kernel = said.kernel;
    assert!(matches!(judge(&evidence, &said, &known, now()), Err(EvidenceError::Measurement { .. })));
    let told = BuiltIn { command_line: "console=hvc0", ..built() };
    assert!(matches!(judge(&evidence, &told, &trust(&machine), now()), Err(EvidenceError::Measurement { .. })));
}

/// What the processor measured as it is said to have, and no guest is started with.
#[test]
fn a_guest_that_is_started_otherwise_is_refused() {
    let start = |run: fn(&mut Run)| assert!(matches!(judged(run), Err(EvidenceError::Start(_))));
    start(|run| run.started.features = 3);
    start(|run| run.started.features = 0);
    start(|run| run.started.signature += 1);
    assert!(Firmware::emulated(&[7; 4096]).unwrap().is_emulated());
}

#[test]
fn both_reports_are_of_one_run() {
    assert_eq!(judged(|run| run.end.report_id[31] = 1), Err(EvidenceError::TwoMachines));
    // Of two machines, each of which is trusted.
    let (one, other) = (machine(&KEYS), machine(&Keys::new()));
    let (mut evidence, of_other) = (run().evidence(&one), run().evidence(&other));
    let Reports::SevSnp { end, .. } = &mut evidence.report else { panic!("of another kind") };
    let Reports::SevSnp { end: other_end, .. } = of_other.report else { panic!("of another kind") };
    *end = other_end;
    let mut both = trust(&one);
    both.roots.extend(trust(&other).roots);
    let error = judge(&evidence, &built(), &both, now()).unwrap_err();
    assert!(matches!(error, EvidenceError::Snp { at: "the end", .. }), "{error}");
}

#[test]
fn what_is_emulated_can_t_say_that_it_is_hardware() {
    let machine = machine(&KEYS);
    let evidence = run().evidence(&machine);
    let stated = |isolation| judge(&evidence, &BuiltIn { isolation, ..built() }, &trust(&machine), now()).unwrap_err();
    let error = stated(Isolation::SevSnp);
    assert!(matches!(error, EvidenceError::Class { stated: "sev-snp", .. }));
    assert!(error.to_string().contains("EMULATED"), "{error}");
    for isolation in [Isolation::Tdx, Isolation::EmulatedTdx, Isolation::Vm, Isolation::Namespaces] {
        assert_eq!(stated(isolation), EvidenceError::Kind { stated: isolation.name(), kind: "sev-snp" });
    }
}

#[test]
fn evidence_counts_at_the_time_of_its_certificates() {
    let machine = machine(&KEYS);
    let evidence = run().evidence(&machine);
    let time = |time: &str| judge(&evidence, &built(), &trust(&machine), at(time));
    assert!(time(MADE).is_ok());
    assert!(time("2025-12-31T23:59:59Z").is_err());
    assert!(time("2035-12-31T23:59:59Z").is_ok());
    assert!(time("2036-01-02T00:00:00Z").is_err());
}

#[test]
fn what_is_not_base64_is_refused() {
    let machine = machine(&KEYS);
    for which in 0..6 {
        let mut evidence = run().evidence(&machine);
        let Reports::SevSnp { start, end, key, intermediate, root, revoked, .. } = &mut evidence.report else {
            panic!("of another kind")
        };
        let mut texts = [start, end, key, intermediate, root];
        match texts.get_mut(which) {
            Some(text) => text.push('!'),
            None => *revoked = Some("!".into()),
        }
        let error = judge(&evidence, &built(), &trust(&machine), now()).unwrap_err();
        assert!(matches!(error, EvidenceError::Base64(_)), "{which}: {error}");
    }
}
