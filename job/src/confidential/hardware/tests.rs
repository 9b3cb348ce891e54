// SPDX-License-Identifier: Apache-2.0
//! Reports and quotes of real processors, of the packages `sev` and `dcap-qvl`, put together as a proof has them; each missing
//! piece is refused.

use std::path::PathBuf;
use std::sync::OnceLock;

use cargo_metadata::{Metadata, MetadataCommand};
use jiff::Timestamp;
use reprove_attest::evidence::snp::{SnpError, SnpRules};
use reprove_attest::evidence::tdx::{
    Edk2, EmulatedPlatform, EmulatedTdx, TdxFirmware, TdxRoot, emulated_report, rtmr1,
};
use reprove_attest::evidence::{
    Attested, BuiltIn, Dispatch, Evidence, EvidenceError, Given, GivenTables, ReferenceDomain, Reports, Sha384,
    TeeRoot, TeeTrust, Vendor, encoded, judge, report_data,
};
use reprove_model::{Digest, DigestSet, Sha256};

use super::*;

/// A file of a package that Cargo has fetched.
fn file(package: &str, path: &str) -> Vec<u8> {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    let metadata = METADATA.get_or_init(|| {
        let mut command = MetadataCommand::new();
        command.manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        command.other_options(["--locked".to_owned()]).exec().unwrap()
    });
    let found = metadata.packages.iter().find(|each| each.name.as_str() == package).unwrap();
    std::fs::read(PathBuf::from(found.manifest_path.parent().unwrap()).join(path)).unwrap()
}

/// A kernel with one section, as an EFI application has it.
fn kernel() -> Vec<u8> {
    let mut file = vec![7; 0x400];
    file[..0x200].fill(0);
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0\x64\x86\x01\0");
    put(0x54, &160_u16.to_le_bytes());
    put(0x58, &0x20b_u16.to_le_bytes());
    put(0x58 + 60, &0x200_u32.to_le_bytes());
    put(0x58 + 68, &10_u16.to_le_bytes());
    put(0x58 + 108, &[6]);
    put(0x58 + 176, &[0x200_u32.to_le_bytes(), 0x200_u32.to_le_bytes()].concat());
    file
}

fn started(firmware: Vec<u8>) -> Started {
    Started {
        firmware: firmware.into(),
        kernel: kernel().into(),
        initrd: b"initrd".as_slice().into(),
        command_line: COMMAND_LINE.into(),
        job: Digest::of(b"job"),
        memory_mib: 2048,
        processors: 2,
        run: [0; 32],
    }
}

const COMMAND_LINE: &str = "console=ttyS0 reprove.job=00";
const PROVENANCE: &[u8] = b"{}";

fn dispatch() -> Dispatch {
    Dispatch { build: Digest::of(b"job"), lock: DigestSet::of(b"lock"), recipe: DigestSet::of(b"recipe") }
}

/// What an audit says of it that believes the makers of hardware, and this guest.
fn judged(made: Made, isolation: Isolation, snp: SnpRules, at: &str) -> Result<Attested, EvidenceError> {
    let Dispatch { build, lock, recipe } = dispatch();
    let evidence = Evidence {
        payload: Sha256::of(PROVENANCE),
        nonce: Sha256::of(b"nonce"),
        dispatch: Some(dispatch()),
        report: made.report,
    };
    let built = BuiltIn {
        provenance: PROVENANCE,
        lock,
        recipe,
        build,
        kernel: Sha256::of(&kernel()),
        initrd: Sha256::of(b"initrd"),
        command_line: COMMAND_LINE,
        isolation,
        processors: 2,
    };
    let trust = TeeTrust { roots: made.roots, guests: made.guests, snp, ..TeeTrust::default() };
    judge(&evidence, &built, &trust, at.parse::<Timestamp>().unwrap())
}

const CHIP: u128 = 0x63da_758d_e664_4564_adc5_f4b9_3be8_accd;
const INTERMEDIATE: u128 = 0x4ab7_b379_bbac_4fe4_a02f_05ae_f327_c782;
const ROOT: u128 = 0xc0b4_06a4_a803_4952_9743_3fb6_014c_d0ae;
const REVOKED: u128 = 0x92f8_1bc3_5811_4d3d_97ff_d19f_88dc_67ea;

/// A host's table of certificates.
fn table(entries: &[(u128, Vec<u8>)]) -> Vec<u8> {
    let (mut head, mut data) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let from = u32::try_from(24 * (entries.len() + 1) + data.len()).unwrap();
        let length = u32::try_from(bytes.len()).unwrap();
        head.extend([&name.to_be_bytes()[..], &from.to_le_bytes(), &length.to_le_bytes()].concat());
        data.extend(bytes);
    }
    [head, vec![0; 24], data].concat()
}

/// A report of a Milan's, and the certificates above it: VCEK, ASK, ARK.
fn milan() -> (Vec<u8>, [Vec<u8>; 3]) {
    let text = String::from_utf8(file("sev", "tests/certs_data/report_milan.hex")).unwrap();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    let pem = |name: &str| {
        let text = String::from_utf8(file("sev", &format!("src/certs/snp/builtin/milan/{name}"))).unwrap();
        let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap()
    };
    let chip = file("sev", "tests/certs_data/vcek_milan.der");
    (digits.chunks(2).map(byte).collect(), [chip, pem("ask.pem"), pem("ark.pem")])
}

fn amd(named: AmdCertificates) -> HardwareProcessor {
    let protection = Protection::SevSnp { c_bit: 51, reduced_bits: 1, processor: "EPYC-Milan" };
    HardwareProcessor::Amd(Closed { protection, firmware: "/firmware".into() }, named.into())
}

fn made_of_amd(named: AmdCertificates, beside: Option<&[u8]>) -> Result<Made, ConfidentialError> {
    let report = milan().0;
    let started = started(file("sev", "tests/measurement/ovmf_AmdSev_suffix.bin"));
    amd(named).made(&started, &[report.clone(), report], beside)
}

#[test]
fn a_real_report_goes_into_a_proof_with_what_the_host_or_the_operator_gives() {
    let [chip, intermediate, root] = milan().1;
    let revoked = b"a list".to_vec();
    let given = [(CHIP, chip.clone()), (INTERMEDIATE, intermediate.clone()), (ROOT, root.clone())];
    let named = AmdCertificates { revoked: Some(revoked.clone()), ..AmdCertificates::default() };
    let by_host = made_of_amd(named, Some(&table(&given))).unwrap();
    let named = AmdCertificates {
        chip: Some(chip.clone()),
        intermediate: Some(intermediate.clone()),
        root: Some(root.clone()),
        revoked: Some(revoked.clone()),
        ..AmdCertificates::default()
    };
    let by_operator = made_of_amd(named.clone(), None).unwrap();
    assert_eq!(by_host.report, by_operator.report);
    // What the operator names counts before what the host gives.
    let others = [CHIP, INTERMEDIATE, ROOT, REVOKED].map(|name| (name, b"another".to_vec()));
    assert_eq!(made_of_amd(named, Some(&table(&others))).unwrap().report, by_host.report);
    let Reports::SevSnp { key, root: stated, revoked: list, started, .. } = &by_host.report else { panic!() };
    assert_eq!((key, stated, list.as_ref()), (&encoded(&chip), &encoded(&root), Some(&encoded(&revoked))));
    assert_eq!((started.processors, started.features, started.signature), (2, 1, 0x00a0_0f11));
    assert!(by_host.roots.len() == 3 && by_host.roots.iter().all(|root| root.vendor() == Vendor::Amd));
    // It verifies up to what it binds, which is another build; with a list that is none, it does not.
    let valid = "2024-01-01T00:00:00Z";
    let refused = judged(by_host, Isolation::SevSnp, SnpRules::default(), valid).unwrap_err();
    assert!(matches!(refused, EvidenceError::Snp { at: "the start", why: SnpError::Certificate(_) }), "{refused}");
    let mut without = by_operator;
    let Reports::SevSnp { revoked, .. } = &mut without.report else { panic!() };
    *revoked = None;
    let rules = SnpRules { without_revocations: true, without_alias_check: true, ..SnpRules::default() };
    let refused = judged(without, Isolation::SevSnp, rules, valid).unwrap_err();
    assert_eq!(refused, EvidenceError::OtherData("the start"));
}

#[test]
fn without_one_of_amd_s_certificates_there_is_no_evidence() {
    let [chip, intermediate, root] = milan().1;
    let all = [(CHIP, chip), (INTERMEDIATE, intermediate), (ROOT, root), (REVOKED, b"a list".to_vec())];
    assert!(made_of_amd(AmdCertificates::default(), Some(&table(&all))).is_ok());
    for (missing, expected) in ["vcek.der", "ask.der", "ark.der", "crl.der"].into_iter().enumerate() {
        let mut rest = all.to_vec();
        rest.remove(missing);
        match made_of_amd(AmdCertificates::default(), Some(&table(&rest))) {
            Err(ConfidentialError::NoCertificate { file, .. }) => assert_eq!(file, expected),
            other => panic!("{expected}: {:?}", other.err()),
        }
    }
    // A key that was loaded has not signed this one, and a table that is none is refused.
    let loaded = AmdCertificates { loaded: Some(vec![1]), loaded_intermediate: Some(vec![1]), ..Default::default() };
    let none = made_of_amd(loaded, None);
    assert!(matches!(none, Err(ConfidentialError::NoCertificate { file: "vcek.der", .. })));
    assert!(matches!(made_of_amd(AmdCertificates::default(), Some(&[1])), Err(ConfidentialError::Table(_))));
}

#[test]
fn a_report_that_is_none_or_a_firmware_that_does_not_serve_is_refused() {
    let whole = table(&[(CHIP, vec![1]), (INTERMEDIATE, vec![1]), (ROOT, vec![1]), (REVOKED, vec![1])]);
    let serving = started(file("sev", "tests/measurement/ovmf_AmdSev_suffix.bin"));
    let cut = [milan().0, milan().0[1..].to_vec()];
    let made = amd(AmdCertificates::default()).made(&serving, &cut, Some(&whole));
    assert!(matches!(made, Err(ConfidentialError::Report(_))));
    let said = [milan().0, milan().0];
    let made = amd(AmdCertificates::default()).made(&started(vec![0; 1 << 16]), &said, Some(&whole));
    assert!(matches!(made, Err(ConfidentialError::Firmware(_))));
}

/// A firmware's log of the events of RTMR0, the separator among them.
fn log(tables: [u8; 4], edk2: Edk2) -> Vec<u8> {
    let event = |register: u32, digest: &[u8; 48]| {
        let head = [register.to_le_bytes(), 10_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
        [&head[..], &12_u16.to_le_bytes(), digest, &0_u32.to_le_bytes()].concat()
    };
    let data = b"Spec ID Event03\0";
    let length = u32::try_from(data.len()).unwrap().to_le_bytes();
    let mut log = [&1_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), &[0; 20], &length, data].concat();
    log.extend(event(1, Sha384::of(&[0; 4]).as_bytes()));
    let measured = if edk2 == Edk2::Stable202502 { 3 } else { 4 };
    tables.iter().take(measured).for_each(|table| log.extend(event(1, &[*table; 48])));
    log.extend(event(1, Sha384::of(&[0; 2]).as_bytes()));
    log
}

fn debian_s_ovmf() -> Vec<u8> {
    std::fs::read("/usr/share/ovmf/OVMF.fd").unwrap()
}

fn made_of_intel(quote: &str, collateral: &str, log: Option<&[u8]>) -> Result<Made, ConfidentialError> {
    let sample = |name: &str| file("dcap-qvl", &format!("sample/{name}"));
    let closed = Closed { protection: Protection::Tdx, firmware: "/firmware".into() };
    let processor = HardwareProcessor::Intel(closed, sample(collateral).into());
    processor.made(&started(debian_s_ovmf()), &[sample(quote), sample(quote)], log)
}

#[test]
fn a_real_quote_goes_into_a_proof_with_the_collateral_that_is_of_it() {
    let log = log([1, 2, 3, 4], Edk2::default());
    let at = "2025-06-20T00:00:00Z";
    let of = |collateral: &str, at: &str| {
        let made = made_of_intel("tdx_quote", collateral, Some(&log)).unwrap();
        let Reports::Tdx { given, root, .. } = &made.report else { panic!() };
        assert_eq!(given.tables.unwrap().smbios, Sha384::from_bytes([4; 48]));
        assert_eq!(root, &encoded(TdxRoot::intel().der()));
        assert!(made.roots.iter().map(TeeRoot::vendor).eq([Vendor::Intel]));
        judged(made, Isolation::Tdx, SnpRules::default(), at).unwrap_err()
    };
    // It verifies up to what it binds, which is another build.
    assert_eq!(of("tdx_quote_collateral.json", at), EvidenceError::OtherData("the start"));
    for (collateral, at) in [
        ("tdx_quote_td15ex_collateral.json", at),
        ("tdx_quote_td15ex_collateral.json", "2026-10-10T00:00:00Z"),
        ("tdx_quote_outdated_collateral.json", "2026-03-01T00:00:00Z"),
        ("tdx_quote_collateral.json", "2026-01-01T00:00:00Z"),
    ] {
        let refused = of(collateral, at);
        assert!(matches!(refused, EvidenceError::Tdx { at: "the start", .. }), "{collateral} {at}: {refused}");
    }
}

#[test]
fn without_the_firmware_s_log_there_is_no_evidence() {
    let made = |log: Option<&[u8]>| made_of_intel("tdx_quote", "tdx_quote_collateral.json", log).map(|_| ());
    assert!(made(Some(&log([1, 2, 3, 4], Edk2::default()))).is_ok());
    assert!(matches!(made(None), Err(ConfidentialError::NoLog)));
    assert!(matches!(made(Some(b"no log")), Err(ConfidentialError::Log(_))));
}

/// With an EMULATED processor in the place of hardware, all of it is put together as an audit takes it: whichever edk2 it was.
#[test]
fn what_is_put_together_of_a_domain_is_what_an_audit_takes() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let platform = EmulatedPlatform::new(time("2026-01-01T00:00:00Z")..=time("2036-01-01T00:00:00Z"));
    let processor = EmulatedTdx::new(&[7; 32], platform).unwrap();
    let root = processor.root().unwrap();
    let firmware = TdxFirmware::read(&debian_s_ovmf()).unwrap();
    for edk2 in Edk2::ALL {
        let [loader, rsdp, tables, smbios] = [1, 2, 3, 4].map(|byte| Sha384::from_bytes([byte; 48]));
        let memory = Sha384::from_bytes(firmware.memory(2048).unwrap());
        let given = Given { memory, tables: Some(GivenTables { loader, rsdp, tables, smbios }) };
        let domain = ReferenceDomain {
            edk2,
            mrtd: Sha384::from_bytes(firmware.mrtd()),
            configuration: Sha384::from_bytes(firmware.configuration()),
            rtmr1: Sha384::from_bytes(rtmr1(&kernel()).unwrap()),
            initrd: Sha384::of(b"initrd"),
        };
        let measured = [domain.rtmr0(&given), domain.rtmr1, domain.rtmr2(COMMAND_LINE), Sha384::ZERO];
        let nonce = Sha256::of(b"nonce");
        let quotes = [dispatch().report_data(&nonce).unwrap(), report_data(PROVENANCE, &nonce)].map(|data| {
            let mut report = emulated_report(firmware.mrtd(), measured.map(|digest| *digest.as_bytes()), data);
            report.mrconfigid[..32].copy_from_slice(Digest::of(b"job").as_bytes());
            processor.quote(&report, 4).unwrap()
        });
        let closed = Closed { protection: Protection::Tdx, firmware: "/firmware".into() };
        let hardware = HardwareProcessor::Intel(closed, processor.collateral().unwrap().into());
        let log = log([1, 2, 3, 4], edk2);
        let mut made = hardware.made(&started(debian_s_ovmf()), &quotes, Some(&log)).unwrap();
        let Reports::Tdx { root: stated, .. } = &mut made.report else { panic!() };
        *stated = encoded(&root);
        made.roots = vec![TeeRoot::emulated(Sha256::of(&root)).unwrap()];
        judged(made, Isolation::EmulatedTdx, SnpRules::default(), "2026-06-01T00:00:00Z").unwrap();
    }
}
