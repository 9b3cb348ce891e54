// SPDX-License-Identifier: Apache-2.0
//! Launch digests, against the crate `sev` and the values that its repository publishes.
#![expect(clippy::disallowed_methods, reason = "a test reads firmwares where they lie")]

use std::fs;
use std::path::Path;

use reprove_attest::evidence::Sha384;
use reprove_attest::evidence::snp::{DirectBoot, Firmware, FirmwareError, Launch, LaunchError};
use reprove_model::Sha256;
use sev::measurement::snp::{SnpMeasurementArgs, snp_calc_launch_digest};
use sev::measurement::vcpu_types::CpuType;
use sev::measurement::vmsa::{GuestFeatures, VMMType};

use crate::packages::folder;

const COMMAND_LINE: &str = "console=ttyS0 loglevel=7";

fn firmware(name: &str) -> (std::path::PathBuf, Firmware) {
    let path = folder("sev", "8.").join("tests/measurement").join(name);
    let firmware = Firmware::from_bytes(&fs::read(&path).unwrap()).unwrap();
    (path, firmware)
}

fn boot(kernel: &[u8], initrd: &[u8]) -> DirectBoot<'static> {
    DirectBoot { kernel: Sha256::of(kernel), initrd: Sha256::of(initrd), command_line: COMMAND_LINE }
}

#[test]
fn the_published_values_come_out() {
    let (_, amd) = firmware("ovmf_AmdSev_suffix.bin");
    let digest = |kernel, processors, features| {
        let signature = Launch::signature_of("EPYC-v4").unwrap();
        Launch { firmware: &amd, kernel, processors, signature, features }.digest().unwrap().to_string()
    };
    let of_nothing = || Some(boot(b"", b""));
    for (kernel, processors, features, expected) in [
        (
            of_nothing(),
            1,
            1,
            "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa",
        ),
        (
            of_nothing(),
            1,
            0x21,
            "803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb28c653360fe4b3aba7e534442e7e1e17895dfe778d0228977",
        ),
        (
            None,
            1,
            1,
            "19358ba9a7615534a9a1e2f0dfc29384dcd4dcb7062ff9c6013b26869a5fc6ecabe033c48dd6f6db5d6d76e7c5df632d",
        ),
        (
            Some(DirectBoot { command_line: "", ..boot(b"", b"") }),
            4,
            1,
            "5061fffb019493a903613d56d54b94912a1a2f9e4502385f5c194616753720a92441310ba6c4933de877c36e23046ad5",
        ),
    ] {
        assert_eq!(digest(kernel, processors, features), expected);
        assert_eq!(expected.parse::<Sha384>().unwrap().to_string(), expected);
    }
}

/// Ours and that of `sev`, for every type of processor and several counts, with files of some length.
#[test]
fn launch_digests_are_those_of_another_implementation() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(dir.path().join(name), bytes).unwrap();
        dir.path().join(name)
    };
    let (kernel, initrd) = ([1; 9000], [2; 5000]);
    let (kernel_file, initrd_file) = (write("kernel", &kernel), write("initrd", &initrd));
    let types = [
        ("EPYC", CpuType::Epyc),
        ("EPYC-Rome", CpuType::EpycRome),
        ("EPYC-Milan-v2", CpuType::EpycMilanV2),
        ("EPYC-Genoa-v1", CpuType::EpycGenoaV1),
        ("EPYC-Turin", CpuType::EpycTurin),
    ];
    for (name, with_kernel) in
        [("ovmf_AmdSev_suffix.bin", true), ("ovmf_AmdSev_suffix.bin", false), ("ovmf_OvmfX64_suffix.bin", false)]
    {
        let (path, ours) = firmware(name);
        for (count, (ours_is, theirs_is)) in (1..).zip(types) {
            let theirs = snp_calc_launch_digest(SnpMeasurementArgs {
                vcpus: count,
                vcpu_type: theirs_is,
                ovmf_file: path.clone(),
                guest_features: GuestFeatures(0x1),
                kernel_file: with_kernel.then(|| kernel_file.clone()),
                initrd_file: with_kernel.then(|| initrd_file.clone()),
                append: with_kernel.then_some(COMMAND_LINE),
                ovmf_hash_str: None,
                vmm_type: Some(VMMType::QEMU),
            });
            let launch = Launch {
                firmware: &ours,
                kernel: with_kernel.then(|| boot(&kernel, &initrd)),
                processors: count,
                signature: Launch::signature_of(ours_is).unwrap(),
                features: 1,
            };
            assert_eq!(launch.digest().unwrap().to_string(), theirs.unwrap().get_hex_ld(), "{name} {ours_is}");
        }
    }
}

/// And those of PyPI's `sev-snp-measure`.
#[test]
fn launch_digests_are_those_of_sev_snp_measure() {
    const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv/bin/python");
    assert!(Path::new(PYTHON).exists(), "there is no .venv with sev-snp-measure in it; `scripts/setup` makes it");
    let dir = tempfile::tempdir().unwrap();
    let (kernel, initrd) = (dir.path().join("kernel"), dir.path().join("initrd"));
    fs::write(&kernel, [1; 9000]).unwrap();
    fs::write(&initrd, [2; 5000]).unwrap();
    let (path, ours) = firmware("ovmf_AmdSev_suffix.bin");
    for (processors, processor) in [(1, "EPYC-v4"), (3, "EPYC-Milan"), (8, "EPYC-Genoa-v1")] {
        let output = std::process::Command::new(PYTHON)
            .args(["-I", "-m", "sevsnpmeasure.cli", "--mode", "snp", "--guest-features", "0x1"])
            .args(["--vcpus", &processors.to_string(), "--vcpu-type", processor, "--append", COMMAND_LINE])
            .arg("--ovmf")
            .arg(&path)
            .arg("--kernel")
            .arg(&kernel)
            .arg("--initrd")
            .arg(&initrd)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let kernel = Some(boot(&[1; 9000], &[2; 5000]));
        let signature = Launch::signature_of(processor).unwrap();
        let launch = Launch { firmware: &ours, kernel, processors, signature, features: 1 };
        let theirs = String::from_utf8(output.stdout).unwrap();
        assert_eq!(launch.digest().unwrap().to_string(), theirs.trim(), "{processor}");
    }
}

#[test]
fn every_part_of_what_is_started_changes_the_digest() {
    let (_, amd) = firmware("ovmf_AmdSev_suffix.bin");
    let emulated = Firmware::emulated(&[0; 8192]).unwrap();
    let other = Firmware::emulated(&[[0; 4096], [1; 4096]].concat()).unwrap();
    let good = boot(b"kernel", b"initrd");
    let launch = Launch { firmware: &amd, kernel: Some(good), processors: 2, signature: 1, features: 1 };
    let mut digests: Vec<Sha384> = [
        launch,
        Launch { firmware: &emulated, ..launch },
        Launch { firmware: &other, ..launch },
        Launch { kernel: None, ..launch },
        Launch { kernel: Some(boot(b"kernem", b"initrd")), ..launch },
        Launch { kernel: Some(boot(b"kernel", b"initre")), ..launch },
        Launch { kernel: Some(DirectBoot { command_line: "console=ttyS0 loglevel=8", ..good }), ..launch },
        Launch { processors: 3, ..launch },
        Launch { signature: 2, ..launch },
        Launch { features: 3, ..launch },
    ]
    .map(|launch| launch.digest().unwrap())
    .into();
    let all = digests.len();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), all);
}

#[test]
fn a_kernel_that_would_not_be_measured_is_refused() {
    let (_, plain) = firmware("ovmf_OvmfX64_suffix.bin");
    let launch = Launch { firmware: &plain, kernel: None, processors: 1, signature: 1, features: 1 };
    assert!(launch.digest().is_ok());
    let error = Launch { kernel: Some(boot(b"", b"")), ..launch }.digest().unwrap_err();
    assert_eq!(error, LaunchError::NoKernelHashes);
    assert!(error.to_string().contains("AmdSev"));
    for (processors, within) in [(0, false), (1, true), (512, true), (513, false)] {
        assert_eq!(Launch { processors, ..launch }.digest().is_ok(), within, "{processors}");
    }
}

/// Debian's own OVMF can't be measured with a kernel. Skips nothing: the package is one that `scripts/setup` installs.
#[test]
fn debian_s_firmware_is_refused_for_direct_boot() {
    let read = |name: &str| fs::read(Path::new("/usr/share/OVMF").join(name)).unwrap();
    let firmware = Firmware::from_bytes(&read("OVMF_CODE.fd")).unwrap();
    assert!(!firmware.has_kernel_hashes());
    let kernel = Some(boot(b"", b""));
    let launch = Launch { firmware: &firmware, kernel, processors: 1, signature: 1, features: 1 };
    assert_eq!(launch.digest(), Err(LaunchError::NoKernelHashes));
    assert!(Launch { kernel: None, ..launch }.digest().is_ok());
    assert_eq!(Firmware::from_bytes(&read("OVMF_CODE_4M.fd")), Err(FirmwareError::Missing("SEV metadata")));
    assert!(Firmware::from_bytes(&read("OVMF_VARS_4M.fd")).is_err());
}

#[test]
fn a_firmware_that_is_cut_or_changed_is_read_or_refused_and_never_more() {
    let (path, _) = firmware("ovmf_AmdSev_suffix.bin");
    let good = fs::read(path).unwrap();
    assert_eq!(Firmware::from_bytes(&[]), Err(FirmwareError::Size(0)));
    assert_eq!(Firmware::from_bytes(&good[1..]), Err(FirmwareError::Size(4095)));
    assert_eq!(Firmware::from_bytes(&[0; 4096]), Err(FirmwareError::NoTable));
    let most = Firmware::MAX_BYTES;
    assert_eq!(Firmware::from_bytes(&vec![0; most]), Err(FirmwareError::NoTable));
    assert_eq!(Firmware::from_bytes(&vec![0; most + 4096]), Err(FirmwareError::Size(most + 4096)));
    for byte in 0..good.len() {
        let mut changed = good.clone();
        changed[byte] ^= 0xff;
        let read = Firmware::from_bytes(&changed);
        assert!(read.is_err() || read.unwrap() != Firmware::from_bytes(&good).unwrap(), "byte {byte}");
    }
}

#[test]
fn types_of_processors_are_qemu_s() {
    for name in ["EPYC", "EPYC-v1", "EPYC-Rome", "EPYC-Milan-v2", "EPYC-Genoa", "EPYC-Turin-v12"] {
        assert!(Launch::signature_of(name).is_some(), "{name}");
    }
    for name in ["", "EPYC-", "EPYC-v", "EPYC-vx", "EPYC-Naples", "epyc", "EPYC-Genoa2"] {
        assert_eq!(Launch::signature_of(name), None, "{name}");
    }
}
