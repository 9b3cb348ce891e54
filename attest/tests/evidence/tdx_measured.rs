// SPDX-License-Identifier: Apache-2.0
//! What TDX measures, from files alone: against quotes of real processors, another implementation, and Debian's firmware.
#![expect(clippy::disallowed_methods, reason = "a test reads firmwares where they lie")]

use std::fs;

use aws_lc_rs::digest::{SHA384, digest};
use proptest::prelude::*;
use reprove_attest::evidence::tdx::{Edk2, HostTables, Measurement, TdxFirmware, TdxFirmwareError, rtmr1};

/// A section as it is written: where it is in the file, how long it is there, address, size, kind, attributes.
type Written = (u32, u32, u64, u64, u32, u32);

const CODE: u32 = 0;
const CONFIGURATION: u32 = 1;
const HOB: u32 = 2;
const SCRATCH: u32 = 3;

/// How far from the end the metadata are.
const METADATA: usize = 0xa00;

fn sha384(bytes: &[u8]) -> Measurement {
    digest(&SHA384, bytes).as_ref().try_into().unwrap()
}

fn hex(digits: &str) -> Measurement {
    let bytes: Vec<u8> = (0..48).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// The sections of an OVMF that has `configuration` bytes of variables before `code` bytes of itself, as edk2 has them.
fn sections_of(configuration: u32, code: u32) -> Vec<Written> {
    let base = (1 << 32) - u64::from(configuration + code);
    vec![
        (configuration, code, base + u64::from(configuration), code.into(), CODE, 1),
        (0, configuration, base, configuration.into(), CONFIGURATION, 0),
        (0, 0, 0x81_0000, 0x1_0000, SCRATCH, 0),
        (0, 0, 0x80_b000, 0x2000, SCRATCH, 0),
        (0, 0, 0x80_9000, 0x2000, HOB, 0),
        (0, 0, 0x80_0000, 0x6000, SCRATCH, 0),
    ]
}

/// A firmware with these variables, `code` bytes of nothing in particular, and these sections.
fn made(configuration: &[u8], code: usize, sections: &[Written]) -> Vec<u8> {
    let mut file = configuration.to_vec();
    file.extend((0..code).map(|at| u8::try_from(at % 251).unwrap()));
    let length = file.len();
    let count = u32::try_from(sections.len()).unwrap();
    let mut metadata = b"TDVF".to_vec();
    metadata.extend([16 + 32 * count, 1, count].into_iter().flat_map(u32::to_le_bytes));
    for (from, raw, start, size, kind, attributes) in sections {
        metadata.extend([from.to_le_bytes(), raw.to_le_bytes()].concat());
        metadata.extend([start.to_le_bytes(), size.to_le_bytes()].concat());
        metadata.extend([kind.to_le_bytes(), attributes.to_le_bytes()].concat());
    }
    file[length - METADATA..][..metadata.len()].copy_from_slice(&metadata);
    let mut table = u32::try_from(METADATA).unwrap().to_le_bytes().to_vec();
    table.extend(b"\x16\0\x35\x65\x7a\xe4\x4a\x98\x98\x47\x86\x5e\x46\x85\xa7\xbf\x8e\xc2");
    table.extend(b"\x28\0\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d");
    file[length - 32 - table.len()..length - 32].copy_from_slice(&table);
    file
}

fn small() -> Vec<u8> {
    made(&[7; 0x1000], 0x2000, &sections_of(0x1000, 0x2000))
}

/// What tdx-measure (the fork of Tinfoil, at 33a8526), an implementation that has measured domains on real processors, makes of
/// the same bytes.
#[test]
fn mrtd_is_that_of_tdx_measure() {
    let firmware = TdxFirmware::read(&small()).unwrap();
    assert_eq!(
        firmware.mrtd(),
        hex("9703741c313613248db343fcbcf5b950f489242be600342b0f9fa777efe2ccb4854402745a4dea494fd6d536f7122660")
    );
}

/// Debian's own firmware, which `scripts/setup` installs: MRTD as the specification has it, built here as one long text.
#[test]
fn mrtd_of_debian_s_firmware_is_what_the_specification_says() {
    let file = fs::read("/usr/share/ovmf/OVMF.fd").unwrap();
    let mut text = Vec::new();
    let mut say = |operation: &str, address: usize, with: &[u8]| {
        let mut record = vec![0; 128];
        record[..operation.len()].copy_from_slice(operation.as_bytes());
        record[16..24].copy_from_slice(&(address as u64).to_le_bytes());
        text.extend([&record, with].concat());
    };
    let base = (1_usize << 32) - file.len();
    for page in (0x2_0000..file.len()).step_by(4096) {
        say("MEM.PAGE.ADD", base + page, &[]);
        for at in (page..page + 4096).step_by(256) {
            say("MR.EXTEND", base + at, &file[at..at + 256]);
        }
    }
    let rest = [(base, 0x20), (0x81_0000, 0x10), (0x80_b000, 2), (0x80_9000, 2), (0x80_0000, 6)];
    for page in rest.into_iter().flat_map(|(start, pages)| (start..).step_by(4096).take(pages)) {
        say("MEM.PAGE.ADD", page, &[]);
    }
    let firmware = TdxFirmware::read(&file).unwrap();
    assert_eq!(firmware.mrtd(), sha384(&text));
    // Code without its variables is no firmware that a domain can begin with, nor are variables alone.
    let code = fs::read("/usr/share/OVMF/OVMF_CODE.fd").unwrap();
    assert!(matches!(TdxFirmware::read(&code), Err(TdxFirmwareError::Malformed(_))));
    let other = fs::read("/usr/share/OVMF/OVMF_CODE_4M.fd").unwrap();
    assert_eq!(TdxFirmware::read(&other), Err(TdxFirmwareError::NoMetadata));
    let variables = fs::read("/usr/share/OVMF/OVMF_VARS.fd").unwrap();
    assert_eq!(TdxFirmware::read(&variables), Err(TdxFirmwareError::NoTable));
}

/// RTMR0 of a machine with so much memory.
fn rtmr0(
    edk2: Edk2,
    firmware: &TdxFirmware,
    memory_mib: u64,
    tables: Option<&HostTables>,
) -> Result<Measurement, TdxFirmwareError> {
    Ok(edk2.rtmr0(&firmware.configuration(), &firmware.memory(memory_mib)?, tables))
}

/// RTMR0 in a quote of a real processor, of a domain with 2 GiB and an edk2 from before 202505, whose tables are in its event log
/// (dstack 0.6.0, `verifier/fixtures` of its sources). Its variables are those of every OVMF of 4 MiB, also of Debian's; its code
/// is not in RTMR0.
#[test]
fn rtmr0_is_that_of_a_real_domain() {
    let variables = fs::read("/usr/share/OVMF/OVMF_VARS_4M.fd").unwrap();
    let code = (4 << 20) - variables.len();
    let sizes = [variables.len(), code].map(|size| u32::try_from(size).unwrap());
    let firmware = TdxFirmware::read(&made(&variables, code, &sections_of(sizes[0], sizes[1]))).unwrap();
    let mut tables = HostTables {
        loader: hex("095d04cf26fe03aef6e3561fa24c1aa1cea93f4aeaf563b1f9f7616184c53454875925759434769cec2490acb563a337"),
        rsdp: hex("8d9a4d4777a1bc77ecd9d8d37a4628129a80052a510320159a20a923bd07a0e90d8d1f2e1ebf088992b25f0d0fa672ef"),
        tables: hex("3070721e169bc41884724cb0e6b3082e1baf249083d8b389181ba50b9afa951057876c380b8870e8c2facf2eff67a2b6"),
        smbios: [0; 48],
    };
    let expected =
        hex("f8438db36b96f85d8752ff7f24a89ec05c79ec9eda2ba732c897fb970ca429365b7471b1c054cb84f17b1c2b23ba6640");
    assert_eq!(rtmr0(Edk2::Stable202502, &firmware, 2048, Some(&tables)), Ok(expected));
    // And one with 64 GiB, most of which is above 4 GiB (a quote beside that one).
    tables.loader =
        hex("2065dd48d647e4377db277ba203526901a17845e93e0df4c2dfc3ce136e0910324ead1e1c86b8d90c2acdf9c85ffac53");
    tables.rsdp =
        hex("772b0169c66b52e4453fff9e3c6257635ea950ebcc8edd7ef2e2f8241cf6a155f39df01a7c7a194b6bc0abe5de11861d");
    tables.tables =
        hex("abfb2256644b5786eefdcb92303d2008c36cb9500d98997e215ef5080745d4bf2e5b3629090918e193e7f05b173d48c5");
    let expected =
        hex("2e3843265f8ecdd4e2282694747f6f2f111605c33f2a8882f5734ee6f3a6ce63d8f34aeef06093dcda76fa5f9d33d8d6");
    assert_eq!(rtmr0(Edk2::Stable202502, &firmware, 64 << 10, Some(&tables)), Ok(expected));
}

#[test]
fn whatever_is_started_otherwise_is_measured_otherwise() {
    let firmware = TdxFirmware::read(&small()).unwrap();
    let tables = HostTables { loader: [1; 48], rsdp: [2; 48], tables: [3; 48], smbios: [4; 48] };
    let rtmr0 = |edk2: Edk2, memory, tables: Option<&HostTables>| self::rtmr0(edk2, &firmware, memory, tables).unwrap();
    let newest = Edk2::default();
    let other = TdxFirmware::read(&made(&[8; 0x1000], 0x2000, &sections_of(0x1000, 0x2000))).unwrap();
    assert_eq!(other.mrtd(), firmware.mrtd());
    let mut all = vec![
        self::rtmr0(newest, &other, 2048, Some(&tables)).unwrap(),
        rtmr0(newest, 2048, Some(&tables)),
        rtmr0(newest, 2049, Some(&tables)),
        rtmr0(newest, 2815, Some(&tables)),
        rtmr0(newest, 2816, Some(&tables)),
        rtmr0(newest, 2048, None),
        rtmr0(newest, 2048, Some(&HostTables { loader: [9; 48], ..tables })),
        rtmr0(newest, 2048, Some(&HostTables { rsdp: [9; 48], ..tables })),
        rtmr0(newest, 2048, Some(&HostTables { tables: [9; 48], ..tables })),
        rtmr0(newest, 2048, Some(&HostTables { smbios: [9; 48], ..tables })),
        rtmr0(Edk2::Stable202502, 2048, Some(&tables)),
    ];
    let smbios = HostTables { smbios: [9; 48], ..tables };
    assert_eq!(rtmr0(Edk2::Stable202502, 2048, Some(&smbios)), rtmr0(Edk2::Stable202502, 2048, Some(&tables)));
    assert_eq!(rtmr0(Edk2::Stable202505, 2048, Some(&tables)), rtmr0(newest, 2048, Some(&tables)));

    let initrd = sha384(b"initrd");
    all.extend([
        newest.rtmr2("console=ttyS0", &initrd),
        newest.rtmr2("console=ttyS1", &initrd),
        newest.rtmr2("console=ttyS0", &sha384(b"initre")),
        newest.rtmr2("", &initrd),
        Edk2::Stable202505.rtmr2("console=ttyS0", &initrd),
    ]);
    assert_eq!(Edk2::Stable202502.rtmr2("x", &initrd), Edk2::Stable202505.rtmr2("x", &initrd));
    // As the sources of edk2 and Linux have it, byte by byte.
    let told = "initrd=initrd a\u{e9}".bytes().chain([0]).flat_map(|byte| [byte, 0]).collect::<Vec<u8>>();
    let first = sha384(&[[0; 48], sha384(&told)].concat());
    assert_eq!(newest.rtmr2("a\u{e9}", &initrd), sha384(&[first, initrd].concat()));
    let measured = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), measured);
    assert_eq!(Edk2::ALL.last(), Some(&newest));
}

#[test]
fn no_byte_of_a_firmware_can_be_another() {
    let good = made(&[7; 0x1000], 0x1000, &sections_of(0x1000, 0x1000));
    let measured = |firmware: TdxFirmware| (firmware.mrtd(), rtmr0(Edk2::default(), &firmware, 2048, None));
    let is = measured(TdxFirmware::read(&good).unwrap());
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0xff;
        assert!(TdxFirmware::read(&changed).map(measured).ok() != Some(is.clone()), "byte {at:#x}");
    }
    for length in (0..good.len()).step_by(509) {
        assert!(TdxFirmware::read(&good[..length]).is_err(), "{length}");
    }
    assert!(TdxFirmware::read(&[&good[..], &[0; 4096]].concat()).is_err());
}

/// Each of these would be refused by QEMU or the processor, or leave something unmeasured.
#[test]
fn a_firmware_that_no_domain_can_begin_with_is_refused() {
    let why = |sections: &[Written]| TdxFirmware::read(&made(&[7; 0x1000], 0x2000, sections)).unwrap_err().to_string();
    let good = sections_of(0x1000, 0x2000);
    let with = |number: usize, change: &dyn Fn(&mut Written)| {
        let mut sections = good.clone();
        change(&mut sections[number]);
        why(&sections)
    };
    for (number, change, expected) in [
        (0, (|section| section.5 = 0) as fn(&mut Written), "would not be measured"),
        (0, |section| section.5 = 2, "other attributes"),
        (0, |section| section.5 = 3, "other attributes"),
        (0, |section| section.4 = 4, "another kind"),
        (0, |section| section.0 = 0x2000, "not in the file"),
        (0, |section| section.0 = u32::MAX, "not in the file"),
        (0, |section| section.1 = 0x1000, "not where the file is"),
        (0, |section| section.2 = 0xffff_d000, "not where the file is"),
        (0, |section| section.2 += 1, "whole pages"),
        (0, |section| section.2 += 1 << 32, "beyond 4 GiB"),
        (0, |section| section.3 += 1 << 32, "beyond 4 GiB"),
        (1, |section| section.4 = SCRATCH, "data for pages"),
        (2, |section| section.3 = 0, "whole pages"),
        (2, |section| section.3 = 0x1001, "whole pages"),
        (2, |section| section.2 = 0xffff_f000, "below 4 GiB"),
        (2, |section| section.5 = 1, "other attributes"),
        (2, |section| section.1 = 1, "data for pages"),
        (2, |section| section.3 = 64 << 20, "64 MiB"),
        (2, |section| section.2 = 0x80_8000, "twice"),
        (3, |section| section.4 = HOB, "not one section"),
        (4, |section| section.4 = SCRATCH, "not one section"),
    ] {
        let is = with(number, &change);
        assert!(is.contains(expected), "{number}: {is}");
    }
    // Code that does not reach to where a processor begins; a second part of the code that is not measured.
    let mut short = good.clone();
    short[0] = (0x1000, 0x1000, 0xffff_e000, 0x1000, CODE, 1);
    assert!(why(&short).contains("would not be measured"));
    short.push((0x2000, 0x1000, 0xffff_f000, 0x1000, CODE, 0));
    assert!(why(&short).contains("would not be measured"));
    // In two parts that are both measured, it is another measurement only by its order.
    short[6].5 = 1;
    assert!(TdxFirmware::read(&made(&[7; 0x1000], 0x2000, &short)).is_ok());
    // Variables may be measured too.
    let mut measured = good.clone();
    measured[1].5 = 1;
    let read = |variables: u8| TdxFirmware::read(&made(&[variables; 0x1000], 0x2000, &measured)).unwrap().mrtd();
    assert_ne!(read(7), read(8));
}

#[test]
fn the_bounds_of_firmwares_and_machines_hold_on_both_sides() {
    let most = TdxFirmware::MAX_BYTES;
    for (length, expected) in [
        (0, TdxFirmwareError::Size(0)),
        (4095, TdxFirmwareError::Size(4095)),
        (4096, TdxFirmwareError::NoTable),
        (most, TdxFirmwareError::NoTable),
        (most + 4096, TdxFirmwareError::Size(most + 4096)),
    ] {
        assert_eq!(TdxFirmware::read(&vec![0; length]), Err(expected));
    }
    // 64 sections, and 64 MiB: what an OVMF has is some of both.
    let with = |count: u64, bytes: u64| {
        let mut sections = sections_of(0x1000, 0x2000);
        let left = bytes - sections.iter().map(|section| section.3).sum::<u64>();
        let more = count - u64::try_from(sections.len()).unwrap();
        let each = left / more / 4096 * 4096;
        let sizes = (0..more).map(|number| if number == 0 { left - each * (more - 1) } else { each });
        let mut start = 1 << 24;
        for size in sizes {
            sections.push((0, 0, start, size, SCRATCH, 0));
            start += size;
        }
        TdxFirmware::read(&made(&[7; 0x1000], 0x2000, &sections))
    };
    let most = with(64, 64 << 20).unwrap();
    assert!(matches!(with(65, 64 << 20), Err(TdxFirmwareError::Malformed("has not from 2 to 64 sections"))));
    assert!(matches!(with(64, (64 << 20) + 4096), Err(TdxFirmwareError::Malformed("adds more than 64 MiB"))));
    let one = made(&[7; 0x1000], 0x2000, &sections_of(0x1000, 0x2000)[..1]);
    assert!(matches!(TdxFirmware::read(&one), Err(TdxFirmwareError::Malformed("has not from 2 to 64 sections"))));
    // As much memory as it uses, and not less; as much as there can be, and not more.
    let small = TdxFirmware::read(&small()).unwrap();
    for (memory, holds) in [(0, false), (8, false), (9, true), (TdxFirmware::MAX_MEMORY_MIB, true)] {
        assert_eq!(rtmr0(Edk2::default(), &small, memory, None).is_ok(), holds, "{memory}");
    }
    for memory in [TdxFirmware::MAX_MEMORY_MIB + 1, u64::MAX] {
        assert_eq!(rtmr0(Edk2::default(), &small, memory, None), Err(TdxFirmwareError::Memory(memory)));
    }
    // A list of much memory needs more room than a page.
    assert!(rtmr0(Edk2::default(), &most, 2048, None).is_ok());
    let mut sections = sections_of(0x1000, 0x2000);
    sections[4].3 = 0x1000;
    sections.extend((0..58).map(|number| (0, 0, (1 << 24) + number * 0x2000, 0x1000, SCRATCH, 0)));
    let narrow = TdxFirmware::read(&made(&[7; 0x1000], 0x2000, &sections)).unwrap();
    assert_eq!(
        rtmr0(Edk2::default(), &narrow, 2048, None),
        Err(TdxFirmwareError::Malformed("has no room for a TD HOB"))
    );
}

#[test]
fn rtmr1_is_of_a_kernel_alone() {
    let error = rtmr1(b"#!/bin/sh\n").unwrap_err();
    assert!(error.to_string().contains("bzImage"), "{error}");
}

proptest! {
    /// Whatever follows from bytes that nobody has checked, it is no panic.
    #[test]
    fn bytes_are_read_or_refused(changes in prop::collection::vec((0_usize..0xc00, any::<u8>()), 0..8), memory: u64) {
        let mut file = small();
        let from = file.len() - 0xc00;
        for (at, byte) in changes {
            file[from + at] = byte;
        }
        if let Ok(firmware) = TdxFirmware::read(&file) {
            let _ = rtmr0(Edk2::default(), &firmware, memory, None);
        }
    }
}
