// SPDX-License-Identifier: Apache-2.0
//! EMULATED evidence of whole builds under TDX: what it has to bind, and what is refused when it does not.

use jiff::Timestamp;
use reprove_attest::evidence::tdx::{
    Edk2, EmulatedPlatform, EmulatedTdx, Measurement, TcbStatus, TdxError, emulated_report,
};
use reprove_attest::evidence::{
    Attested, BuiltIn, Dispatch, Evidence, EvidenceError, Given, GivenTables, Measured, ReferenceDomain,
    ReferenceGuest, Reports, Sha384, TeeRoot, TeeTrust, Vendor, Voucher, encoded, judge, report_data,
};
use reprove_model::{Digest, DigestSet, Isolation, Sha256};

use crate::at;

const FROM: &str = "2026-01-01T00:00:00Z";
const UNTIL: &str = "2036-01-01T00:00:00Z";
const PROVENANCE: &[u8] = b"{\"a\":\"provenance\"}";
const COMMAND_LINE: &str = "console=ttyS0 reprove.usr=1:00 reprove.job=00";

fn now() -> Timestamp {
    at("2026-06-01T00:00:00Z")
}

fn platform() -> EmulatedPlatform {
    EmulatedPlatform::new(at(FROM)..=at(UNTIL))
}

fn machine(seed: u8) -> EmulatedTdx {
    EmulatedTdx::new(&[seed; 32], platform()).unwrap()
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
        isolation: Isolation::EmulatedTdx,
        processors: 2,
    }
}

fn domain() -> ReferenceDomain {
    ReferenceDomain {
        edk2: Edk2::default(),
        mrtd: Sha384::of(b"firmware"),
        configuration: Sha384::of(b"variables"),
        rtmr1: Sha384::of(b"kernel"),
        initrd: Sha384::of(b"initrd"),
    }
}

/// What a guest asks for, and what is measured of it: one thing is changed at a time.
#[derive(Clone)]
struct Run {
    seeds: [u8; 2],
    nonce: Sha256,
    dispatch: Dispatch,
    given: Given,
    mrtd: Measurement,
    rtmr: [Measurement; 4],
    job: Measurement,
    data: [[u8; 64]; 2],
}

fn run() -> Run {
    let built = built();
    let nonce = Sha256::of(b"nonce");
    let dispatch = Dispatch { build: built.build, lock: built.lock, recipe: built.recipe };
    let [loader, rsdp, tables, smbios] = ["loader", "rsdp", "tables", "smbios"].map(|name| Sha384::of(name.as_bytes()));
    let tables = Some(GivenTables { loader, rsdp, tables, smbios });
    let given = Given { memory: Sha384::of(b"memory"), tables };
    let rtmr = [domain().rtmr0(&given), domain().rtmr1, domain().rtmr2(COMMAND_LINE), Sha384::ZERO];
    let mut job = [0; 48];
    job[..32].copy_from_slice(built.build.as_bytes());
    Run {
        seeds: [7, 7],
        nonce,
        dispatch,
        given,
        mrtd: *domain().mrtd.as_bytes(),
        rtmr: rtmr.map(|digest| *digest.as_bytes()),
        job,
        data: [dispatch.report_data(&nonce).unwrap(), report_data(PROVENANCE, &nonce)],
    }
}

impl Run {
    /// What the processor says of it.
    fn evidence(&self) -> Evidence {
        let quote = |which: usize| {
            let mut report = emulated_report(self.mrtd, self.rtmr, self.data[which]);
            report.mrconfigid = self.job;
            encoded(&machine(self.seeds[which]).quote(&report, 4).unwrap())
        };
        let machine = machine(self.seeds[0]);
        Evidence {
            payload: Sha256::of(PROVENANCE),
            nonce: self.nonce,
            dispatch: Some(self.dispatch),
            report: Reports::Tdx {
                given: self.given,
                start: quote(0),
                end: quote(1),
                collateral: encoded(&machine.collateral().unwrap()),
                root: encoded(&machine.root().unwrap()),
            },
        }
    }
}

fn trust() -> TeeTrust {
    let guest = ReferenceGuest {
        name: "the guest".into(),
        kernel: built().kernel,
        initrd: built().initrd,
        firmware: None,
        domain: Some(domain()),
    };
    let roots = [7, 8].map(|seed| TeeRoot::emulated(Sha256::of(&machine(seed).root().unwrap())).unwrap());
    TeeTrust { roots: roots.into(), guests: vec![guest], ..TeeTrust::default() }
}

fn judged(change: impl Fn(&mut Run)) -> Result<Attested, EvidenceError> {
    let mut run = run();
    change(&mut run);
    judge(&run.evidence(), &built(), &trust(), now())
}

#[test]
fn quotes_of_a_build_in_a_known_guest_are_taken() {
    let attested = judged(|_| {}).unwrap();
    assert_eq!((attested.vendor(), attested.guest()), (Some(Vendor::Emulated), Some("the guest")));
    assert!(
        attested.is_emulated()
            && matches!(attested.voucher(), Voucher::Processor(root) if root.to_string().contains("EMULATED"))
    );
    let Measured::Domain([mrtd, .., rtmr2]) = attested.measured() else { panic!("of another kind") };
    assert_eq!((*mrtd, *rtmr2), (domain().mrtd, domain().rtmr2(COMMAND_LINE)));
    assert!(attested.firmware().contains("UpToDate"), "{}", attested.firmware());
    // As it is written in a proof, and read again.
    let evidence = run().evidence();
    let json = reprove_model::canonical::to_vec(&evidence).unwrap();
    assert_eq!(reprove_model::canonical::from_slice::<Evidence>(&json).unwrap(), evidence);
    assert!(evidence.is_marked_emulated());
    // A host that gave no tables.
    let none = |run: &mut Run| {
        run.given.tables = None;
        run.rtmr[0] = *domain().rtmr0(&run.given).as_bytes();
    };
    assert!(judged(none).is_ok());
}

#[test]
fn no_quote_is_believed_by_default() {
    let evidence = run().evidence();
    let refused = |trust: &TeeTrust| judge(&evidence, &built(), trust, now()).unwrap_err();
    assert!(matches!(refused(&TeeTrust::default()), EvidenceError::Root(_)));
    let hardware = TeeRoot::known().map(|name| TeeRoot::named(name).unwrap()).collect();
    assert!(matches!(refused(&TeeTrust { roots: hardware, ..trust() }), EvidenceError::Root(_)));
    let nobody = TeeTrust { guests: Vec::new(), ..trust() };
    assert!(matches!(refused(&nobody), EvidenceError::UnknownDomain(_)));
    // One that is known for another processor alone.
    let mut other = trust();
    other.guests[0].domain = None;
    other.guests[0].firmware = Some(Sha256::of(b"firmware"));
    assert!(matches!(refused(&other), EvidenceError::UnknownDomain(_)));
    // What is asked of platforms.
    let mut asking = trust();
    asking.tdx.statuses = [TcbStatus::OutOfDate].into();
    let EvidenceError::Tdx { why, .. } = refused(&asking) else { panic!("of another kind") };
    assert!(matches!(*why, TdxError::Status { .. }), "{why}");
}

#[test]
fn quotes_are_of_one_build_and_one_question() {
    let evidence = run().evidence();
    let of = |built: &BuiltIn<'_>| judge(&evidence, built, &trust(), now()).unwrap_err();
    let good = built();
    assert_eq!(of(&BuiltIn { provenance: b"other", ..good }), EvidenceError::OtherProvenance);
    assert_eq!(of(&BuiltIn { lock: DigestSet::of(b"other"), ..good }), EvidenceError::OtherJob("lock"));
    assert_eq!(judged(|run| run.data[0][0] ^= 1), Err(EvidenceError::OtherData("the start")));
    assert_eq!(judged(|run| run.data[1][63] ^= 1), Err(EvidenceError::OtherData("the end")));
    assert_eq!(judged(|run| run.data.swap(0, 1)), Err(EvidenceError::OtherData("the start")));
    assert_eq!(judged(|run| run.nonce = Sha256::of(b"x")), Err(EvidenceError::OtherData("the start")));
    assert!(matches!(judged(|run| run.job[0] ^= 1), Err(EvidenceError::Start(_))));
    assert!(matches!(judged(|run| run.job[47] = 1), Err(EvidenceError::Start(_))));
}

/// One byte of firmware, kernel, initrd, command line, or of what the host gave.
#[test]
fn another_domain_is_refused() {
    let unknown = |run: fn(&mut Run)| assert!(matches!(judged(run), Err(EvidenceError::UnknownDomain(_))));
    unknown(|run| run.mrtd[0] ^= 1);
    unknown(|run| run.rtmr[1][0] ^= 1);
    let measured = |what: &str, run: fn(&mut Run)| {
        let Err(EvidenceError::Measurement { what: found, .. }) = judged(run) else { panic!("{what}") };
        assert_eq!(found, what);
    };
    measured("RTMR0", |run| run.rtmr[0][0] ^= 1);
    measured("RTMR0", |run| run.given.memory = Sha384::of(b"more"));
    measured("RTMR0", |run| run.given.tables = None);
    measured("RTMR2", |run| run.rtmr[2] = *domain().rtmr2("console=ttyS0").as_bytes());
    measured("RTMR2", |run| {
        let other = ReferenceDomain { initrd: Sha384::of(b"initre"), ..domain() };
        run.rtmr[2] = *other.rtmr2(COMMAND_LINE).as_bytes();
    });
    measured("RTMR3", |run| run.rtmr[3][47] = 1);
    // A guest that differs in its variables alone takes nothing from one that is named as well.
    let other = ReferenceDomain { configuration: Sha384::of(b"others"), ..domain() };
    let mut both = trust();
    both.guests.insert(0, ReferenceGuest { name: "another".into(), domain: Some(other), ..both.guests[0].clone() });
    assert_eq!(judge(&run().evidence(), &built(), &both, now()).unwrap().guest(), Some("the guest"));
    // Nor one whose firmware is of another edk2, or whose initrd is another one where the kernel measures it.
    let older = ReferenceDomain { edk2: Edk2::Stable202505, ..domain() };
    assert_eq!(older.rtmr0(&run().given), domain().rtmr0(&run().given));
    for other in [older, ReferenceDomain { initrd: Sha384::of(b"another"), ..domain() }] {
        both.guests[0].domain = Some(other);
        assert_eq!(judge(&run().evidence(), &built(), &both, now()).unwrap().guest(), Some("the guest"));
    }
    // The provenance says that it was another guest.
    let evidence = run().evidence();
    let said = |built: &BuiltIn<'_>| judge(&evidence, built, &trust(), now()).unwrap_err();
    let other = BuiltIn { kernel: Sha256::of(b"kernem"), ..built() };
    assert!(matches!(said(&other), EvidenceError::UnknownDomain(_)));
    let told = BuiltIn { command_line: "console=ttyS0", ..built() };
    assert!(matches!(said(&told), EvidenceError::Measurement { what: "RTMR2", .. }));
}

#[test]
fn both_quotes_are_below_the_root_that_is_named() {
    // Of two machines, each of which is trusted.
    assert!(matches!(judged(|run| run.seeds = [7, 8]), Err(EvidenceError::Tdx { at: "the end", .. })));
    assert!(matches!(judged(|run| run.seeds = [8, 7]), Err(EvidenceError::Tdx { at: "the end", .. })));
    assert!(judged(|run| run.seeds = [8, 8]).is_ok());
    assert!(matches!(judged(|run| run.seeds = [9, 9]), Err(EvidenceError::Root(_))));
}

#[test]
fn an_emulated_domain_can_t_say_that_it_is_hardware() {
    let evidence = run().evidence();
    let stated = |isolation| judge(&evidence, &BuiltIn { isolation, ..built() }, &trust(), now()).unwrap_err();
    let error = stated(Isolation::Tdx);
    assert!(matches!(error, EvidenceError::Class { stated: "tdx", .. }) && error.to_string().contains("EMULATED"));
    for isolation in [Isolation::SevSnp, Isolation::EmulatedSnp, Isolation::Vm, Isolation::Namespaces] {
        assert_eq!(stated(isolation), EvidenceError::Kind { stated: isolation.name(), kind: "tdx" });
    }
}

#[test]
fn quotes_count_at_the_time_of_their_collateral() {
    let evidence = run().evidence();
    let time = |time: &str| judge(&evidence, &built(), &trust(), at(time));
    assert!(time(FROM).is_ok(), "{:?}", time(FROM));
    // What is said of the platform ends a second before the next is due.
    assert!(time("2035-12-31T23:59:59Z").is_ok());
    assert!(time("2025-12-31T23:59:59Z").is_err() && time("2036-01-01T00:00:01Z").is_err());
}

#[test]
fn what_is_not_base64_of_tdx_is_refused() {
    for which in 0..4 {
        let mut evidence = run().evidence();
        let Reports::Tdx { start, end, collateral, root, .. } = &mut evidence.report else { panic!("of another kind") };
        let texts = [start, end, collateral, root];
        texts.into_iter().nth(which).unwrap().push('!');
        let error = judge(&evidence, &built(), &trust(), now()).unwrap_err();
        assert!(matches!(error, EvidenceError::Base64(_)), "{which}: {error}");
    }
}
