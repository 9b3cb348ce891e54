// SPDX-License-Identifier: Apache-2.0
//! Machines that the host's own processor closes: what QEMU is told on hosts with AMD SEV-SNP (QEMU 9.1, Linux 6.11 or newer)
//! and Intel TDX (QEMU 10.1, Linux 6.16 or newer), and what such a host is known by.
//!
//! Nobody here had such a host: the arguments follow from QEMU's documentation, and were never run.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_model::{Digest, Isolation};
use thiserror::Error;

use crate::sys::cpuid;

/// How a machine is closed to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// By an AMD processor.
    SevSnp {
        /// Which bit of an address says that a page is encrypted: CPUID function 0x8000001f, EBX, bits 5 to 0.
        c_bit: u8,
        /// How many bits of an address that costs: bits 11 to 6 of the same.
        reduced_bits: u8,
        /// What QEMU calls the type of processors that the machine has: that of the host's line, which is measured.
        processor: &'static str,
    },
    /// By an Intel processor.
    Tdx,
}

/// What closes a machine, and what runs first in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// How it is closed.
    pub protection: Protection,
    /// The firmware's file: an OVMF of edk2's AmdSev package, or one with TDVF's metadata.
    pub firmware: PathBuf,
}

/// Why this host closes no machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtectionError {
    /// The kernel has no such device.
    #[error("there is no {0}")]
    NoDevice(&'static str),
    /// The kernel has it switched off.
    #[error("{0} does not say Y")]
    Off(&'static str),
    /// The processor has it not, or its firmware has switched it off.
    #[error("the processor does not say that it has SEV-SNP (CPUID function 0x8000001f)")]
    NoSnp,
    /// There are no machines of its line.
    #[error("the processor is of family {family} and model {model}, and there are machines for Milan, Genoa and Turin")]
    UnknownProcessor {
        /// CPUID function 1.
        family: u32,
        /// The same.
        model: u32,
    },
    /// No machine with evidence of hardware is called so.
    #[error("machines of this isolation are not closed by a processor")]
    NotClosed,
}

/// A machine that a processor closes: what it is started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClosedMachine {
    /// How it is closed.
    pub(super) protection: Protection,
    /// The firmware's file.
    pub(super) firmware: String,
    /// The kernel's file.
    pub(super) kernel: String,
    /// The first file system's.
    pub(super) initrd: String,
    /// What the kernel is told.
    pub(super) command_line: String,
    /// The job's disk, that with `/usr`, and the one for the report.
    pub(super) disks: [String; 3],
    /// Of the job's disk: it is also in what the processor says of the host's choices (`HOST_DATA`, `MRCONFIGID`).
    pub(super) job: Digest,
    /// In MiB.
    pub(super) memory_mib: u64,
    /// How many it has.
    pub(super) processors: u32,
}

impl Protection {
    /// What a host has to have for machines of this isolation: a file that is there where the processor and the kernel can.
    #[must_use]
    pub fn device(isolation: Isolation) -> Option<&'static str> {
        match isolation {
            Isolation::SevSnp => Some("/dev/sev"),
            Isolation::Tdx => Some("/sys/module/kvm_intel/parameters/tdx"),
            Isolation::Namespaces | Isolation::Vm | Isolation::EmulatedSnp | Isolation::EmulatedTdx => None,
        }
    }

    /// Where the host's kernel says whether it closes such machines.
    fn switch(isolation: Isolation) -> &'static str {
        if isolation == Isolation::Tdx {
            "/sys/module/kvm_intel/parameters/tdx"
        } else {
            "/sys/module/kvm_amd/parameters/sev_snp"
        }
    }

    /// How this host closes machines of this isolation, where it has the [`Protection::device`].
    ///
    /// # Errors
    /// See [`ProtectionError`].
    pub fn of_host(isolation: Isolation) -> Result<Self, ProtectionError> {
        Self::below(Path::new("/"), isolation, cpuid)
    }

    /// The same, of a host whose files are below `root`, and whose processor answers so.
    fn below(root: &Path, isolation: Isolation, cpuid: impl Fn(u32) -> (u32, u32)) -> Result<Self, ProtectionError> {
        let device = Self::device(isolation).ok_or(ProtectionError::NotClosed)?;
        let below = |path: &str| root.join(path.trim_start_matches('/'));
        if !below(device).exists() {
            return Err(ProtectionError::NoDevice(device));
        }
        let switch = Self::switch(isolation);
        if !std::fs::read(below(switch)).is_ok_and(|text| matches!(text.trim_ascii_end(), b"Y" | b"1")) {
            return Err(ProtectionError::Off(switch));
        }
        if isolation == Isolation::Tdx { Ok(Self::Tdx) } else { Self::of_processor(cpuid) }
    }

    /// How a processor of AMD's closes them that answers so: EAX and EBX of a function of CPUID.
    fn of_processor(cpuid: impl Fn(u32) -> (u32, u32)) -> Result<Self, ProtectionError> {
        const EXTENDED: u32 = 0x8000_0000;
        const ENCRYPTION: u32 = 0x8000_001f;
        const SNP: u32 = 1 << 4;
        let (last, _) = cpuid(EXTENDED);
        let (features, bits) = if last >= ENCRYPTION { cpuid(ENCRYPTION) } else { (0, 0) };
        if features & SNP == 0 {
            return Err(ProtectionError::NoSnp);
        }
        let low = |bits: u32| u8::try_from(bits & 0x3f).unwrap_or_default();
        Ok(Self::SevSnp { c_bit: low(bits), reduced_bits: low(bits >> 6), processor: line(cpuid(1).0)? })
    }
}

/// What QEMU calls the processors of this line, by EAX of CPUID function 1.
fn line(signature: u32) -> Result<&'static str, ProtectionError> {
    let nibble = |at: u32| signature >> at & 0xf;
    let family = nibble(8) + (signature >> 20 & 0xff);
    let model = nibble(4) | nibble(16) << 4;
    match (family, model) {
        (0x19, 0x00..=0x0f) => Ok("EPYC-Milan"),
        (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Ok("EPYC-Genoa"),
        (0x1a, 0x00..=0x11) => Ok("EPYC-Turin"),
        _ => Err(ProtectionError::UnknownProcessor { family, model }),
    }
}

/// How much memory a closed machine has to have beside what it needs, in MiB: Linux keeps a sixteenth of it, but from 64 MiB to
/// 1 GiB, to share with the host what goes over its disks.
pub(super) fn shared_mib(memory_mib: u64) -> u64 {
    memory_mib.div_ceil(16).clamp(64, 1024)
}

impl ClosedMachine {
    /// The arguments of `qemu-system-x86_64`. There is no device but what is named, and none of a network.
    pub(super) fn arguments(&self) -> Vec<String> {
        let memory = format!("memory-backend-memfd,id=ram0,size={}M,share=true", self.memory_mib);
        let (machine, processor, guest) = match self.protection {
            Protection::SevSnp { c_bit, reduced_bits, processor } => {
                let bound = STANDARD.encode(self.job.as_bytes());
                let guest = format!(
                    "sev-snp-guest,id=tee0,cbitpos={c_bit},reduced-phys-bits={reduced_bits},policy=0x30000,kernel-hashes=on,\
                     host-data={bound}"
                );
                ("q35,vmport=off", processor, guest)
            }
            Protection::Tdx => {
                let bound: Vec<u8> = self.job.as_bytes().iter().copied().chain([0; 16]).collect();
                let guest = format!(
                    r#"{{"qom-type":"tdx-guest","id":"tee0","sept-ve-disable":true,"mrconfigid":"{}","quote-generation-socket":{{"type":"unix","path":"/var/run/tdx-qgs/qgs.socket"}}}}"#,
                    STANDARD.encode(bound)
                );
                ("q35,kernel-irqchip=split", "host", guest)
            }
        };
        // A comma would begin another option.
        let path = |path: &str| path.replace(',', ",,");
        let mut arguments: Vec<String> = ["-nodefaults", "-no-user-config", "-no-reboot"].map(str::to_owned).into();
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        add("-display", "none".into());
        add("-chardev", "stdio,id=console,signal=off".into());
        add("-serial", "chardev:console".into());
        add("-monitor", "none".into());
        add("-nic", "none".into());
        add("-accel", "kvm".into());
        add("-machine", format!("{machine},confidential-guest-support=tee0,memory-backend=ram0"));
        add("-cpu", processor.into());
        add("-smp", self.processors.to_string());
        add("-m", format!("{}M", self.memory_mib));
        add("-object", memory);
        add("-object", guest);
        for (name, file) in [("-bios", &self.firmware), ("-kernel", &self.kernel), ("-initrd", &self.initrd)] {
            add(name, file.clone());
        }
        for (number, (disk, read_only)) in self.disks.iter().zip(["on", "on", "off"]).enumerate() {
            let disk = path(disk);
            add(
                "-drive",
                format!("file={disk},format=raw,if=none,id=d{number},read-only={read_only},file.locking=off"),
            );
            // What a closed machine shares with its host goes through pages that it has opened.
            add("-device", format!("virtio-blk-pci,drive=d{number},disable-legacy=on,iommu_platform=on"));
        }
        add("-append", self.command_line.clone());
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(protection: Protection) -> String {
        let machine = ClosedMachine {
            protection,
            firmware: "/fw".into(),
            kernel: "/kernel".into(),
            initrd: "/initrd".into(),
            command_line: "console=ttyS0 reprove.job=1".into(),
            disks: ["/job", "/usr-image", "/report"].map(str::to_owned),
            job: Digest::of(b"job"),
            memory_mib: 2048,
            processors: 2,
        };
        machine.arguments().join(" ")
    }

    const GENOA: Protection = Protection::SevSnp { c_bit: 51, reduced_bits: 1, processor: "EPYC-Genoa" };

    /// A processor that answers so to functions 1, 0x80000000 and 0x8000001f.
    fn processor(signature: u32, last: u32, features: u32, bits: u32) -> Result<Protection, ProtectionError> {
        Protection::of_processor(|function| match function {
            1 => (signature, 0),
            0x8000_0000 => (last, 0),
            0x8000_001f => (features, bits),
            other => panic!("{other:#x} was not to be asked"),
        })
    }

    const SHARED: &str = "-bios /fw -kernel /kernel -initrd /initrd \
        -drive file=/job,format=raw,if=none,id=d0,read-only=on,file.locking=off \
        -device virtio-blk-pci,drive=d0,disable-legacy=on,iommu_platform=on \
        -drive file=/usr-image,format=raw,if=none,id=d1,read-only=on,file.locking=off \
        -device virtio-blk-pci,drive=d1,disable-legacy=on,iommu_platform=on \
        -drive file=/report,format=raw,if=none,id=d2,read-only=off,file.locking=off \
        -device virtio-blk-pci,drive=d2,disable-legacy=on,iommu_platform=on \
        -append console=ttyS0 reprove.job=1";
    const FIRST: &str = "-nodefaults -no-user-config -no-reboot -display none -chardev stdio,id=console,signal=off \
        -serial chardev:console -monitor none -nic none -accel kvm";

    #[test]
    fn a_machine_of_sev_snp_is_started_with_its_hashes_measured() {
        let bound = STANDARD.encode(Digest::of(b"job").as_bytes());
        let expected = format!(
            "{FIRST} -machine q35,vmport=off,confidential-guest-support=tee0,memory-backend=ram0 -cpu EPYC-Genoa -smp 2 \
             -m 2048M -object memory-backend-memfd,id=ram0,size=2048M,share=true \
             -object sev-snp-guest,id=tee0,cbitpos=51,reduced-phys-bits=1,policy=0x30000,kernel-hashes=on,host-data={bound} \
             {SHARED}"
        );
        assert_eq!(told(GENOA), expected);
        let milan = told(Protection::SevSnp { c_bit: 47, reduced_bits: 5, processor: "EPYC-Milan" });
        assert!(milan.contains("-cpu EPYC-Milan") && milan.contains("cbitpos=47,reduced-phys-bits=5,"), "{milan}");
    }

    #[test]
    fn a_machine_of_tdx_is_started_as_a_trust_domain() {
        let bound = STANDARD.encode([Digest::of(b"job").as_bytes().as_slice(), &[0; 16]].concat());
        let expected = format!(
            "{FIRST} -machine q35,kernel-irqchip=split,confidential-guest-support=tee0,memory-backend=ram0 -cpu host -smp 2 \
             -m 2048M -object memory-backend-memfd,id=ram0,size=2048M,share=true \
             -object {{\"qom-type\":\"tdx-guest\",\"id\":\"tee0\",\"sept-ve-disable\":true,\"mrconfigid\":\"{bound}\",\
             \"quote-generation-socket\":{{\"type\":\"unix\",\"path\":\"/var/run/tdx-qgs/qgs.socket\"}}}} {SHARED}"
        );
        assert_eq!(told(Protection::Tdx), expected);
    }

    #[test]
    fn no_machine_has_a_network() {
        for protection in [Protection::Tdx, GENOA] {
            let told = told(protection);
            assert!(told.contains("-nodefaults") && told.contains("-nic none") && !told.contains("net"), "{told}");
        }
    }

    #[test]
    fn a_processor_of_amd_s_says_how_it_closes_machines() {
        // A Genoa's: SME, SEV, SEV-ES, SEV-SNP; bit 51, and one bit of an address (bits 11 to 6).
        let genoa = |last, features| processor(0x00a1_0f11, last, features, 0x4000 | 1 << 6 | 51);
        assert_eq!(genoa(0x8000_0028, 0x1f), Ok(GENOA));
        assert_eq!(genoa(0x8000_001f, 1 << 4), Ok(GENOA));
        assert_eq!(genoa(0x8000_001e, 0x1f), Err(ProtectionError::NoSnp));
        assert_eq!(genoa(0x8000_0028, 0x0f), Err(ProtectionError::NoSnp));
        let all = processor(0x00a1_0f11, u32::MAX, u32::MAX, u32::MAX).unwrap();
        assert_eq!(all, Protection::SevSnp { c_bit: 63, reduced_bits: 63, processor: "EPYC-Genoa" });
    }

    #[test]
    fn a_machine_has_processors_of_its_host_s_line() {
        for (signature, expected) in [
            (0x00a0_0f00, Some("EPYC-Milan")),
            (0x00a0_0f11, Some("EPYC-Milan")),
            (0x00a0_0ff0, Some("EPYC-Milan")),
            (0x00a1_0f00, Some("EPYC-Genoa")),
            (0x00a1_0ff0, Some("EPYC-Genoa")),
            (0x00a2_0f00, None),
            (0x00a9_0ff0, None),
            (0x00aa_0f00, Some("EPYC-Genoa")),
            (0x00aa_0ff0, Some("EPYC-Genoa")),
            (0x00ab_0f00, None),
            (0x00b0_0f00, Some("EPYC-Turin")),
            (0x00b1_0f10, Some("EPYC-Turin")),
            (0x00b1_0f20, None),
            (0x0080_0f12, None),
        ] {
            assert_eq!(line(signature).ok(), expected, "{signature:#x}");
        }
        let rome = ProtectionError::UnknownProcessor { family: 0x17, model: 0x31 };
        assert_eq!(processor(0x0083_0f10, u32::MAX, 0x1f, 0), Err(rome));
    }

    #[test]
    fn no_machine_is_closed_without_the_host_s_device() {
        let genoa = |function| match function {
            1 => (0x00a1_0f11, 0),
            0x8000_001f => (1 << 4, 0x4000 | 1 << 6 | 51),
            _ => (u32::MAX, 0),
        };
        for isolation in Isolation::ALL {
            let root = tempfile::tempdir().unwrap();
            let put = |path: &str, text: &str| {
                let path = root.path().join(path.trim_start_matches('/'));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            };
            let host = || Protection::below(root.path(), isolation, genoa);
            let Some(device) = Protection::device(isolation) else {
                assert_eq!(host(), Err(ProtectionError::NotClosed));
                continue;
            };
            let switch = Protection::switch(isolation);
            assert_eq!(host(), Err(ProtectionError::NoDevice(device)));
            put(device, "");
            assert_eq!(host(), Err(ProtectionError::Off(switch)));
            put(switch, "N\n");
            assert_eq!(host(), Err(ProtectionError::Off(switch)));
            put(switch, "Y\n");
            assert_eq!(host(), Ok(if isolation == Isolation::Tdx { Protection::Tdx } else { GENOA }));
        }
    }

    #[test]
    fn what_is_shared_with_the_host_is_bounded_on_both_sides() {
        let of = [0, 1024, 1025, 16 << 10, (16 << 10) + 1].map(shared_mib);
        assert_eq!(of, [64, 64, 65, 1024, 1024]);
    }
}
