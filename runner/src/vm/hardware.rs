// SPDX-License-Identifier: Apache-2.0
//! What QEMU is told on hosts whose processors close machines: AMD SEV-SNP (QEMU 9.1, Linux 6.11 or newer) and Intel TDX (QEMU
//! 10.1, Linux 6.16 or newer).

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_model::{Digest, Isolation};

/// How a machine is closed to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// By an AMD processor.
    SevSnp {
        /// Which bit of an address says that a page is encrypted: CPUID function 0x8000001f, EBX, bits 5 to 0.
        c_bit: u8,
        /// How many bits of an address that costs: bits 11 to 6 of the same.
        reduced_bits: u8,
    },
    /// By an Intel processor.
    Tdx,
}

/// A machine that a processor closes: what it is started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedMachine {
    /// How it is closed.
    pub protection: Protection,
    /// The firmware's file: an OVMF of edk2's AmdSev package, or one with TDVF's metadata.
    pub firmware: PathBuf,
    /// The kernel's file.
    pub kernel: PathBuf,
    /// The first file system's.
    pub initrd: PathBuf,
    /// What the kernel is told.
    pub command_line: String,
    /// The job's disk, that with `/usr`, and the one for the report.
    pub disks: [PathBuf; 3],
    /// Of the job's disk: it is also in what the processor says of the host's choices (`HOST_DATA`, `MRCONFIGID`).
    pub job: Digest,
    /// In MiB.
    pub memory_mib: u64,
    /// How many it has.
    pub processors: u32,
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
}

impl ClosedMachine {
    /// The arguments of `qemu-system-x86_64`. There is no device but what is named, and none of a network.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let memory = format!("memory-backend-memfd,id=ram0,size={}M,share=true", self.memory_mib);
        let (machine, processor, guest) = match self.protection {
            Protection::SevSnp { c_bit, reduced_bits } => {
                let bound = STANDARD.encode(self.job.as_bytes());
                let guest = format!(
                    "sev-snp-guest,id=tee0,cbitpos={c_bit},reduced-phys-bits={reduced_bits},policy=0x30000,kernel-hashes=on,\
                     host-data={bound}"
                );
                ("q35,vmport=off", "EPYC-Genoa", guest)
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
        let path = |path: &PathBuf| path.display().to_string().replace(',', ",,");
        let mut arguments: Vec<String> = ["-nodefaults", "-no-user-config", "-no-reboot"].map(str::to_owned).into();
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        add("-display", "none".into());
        add("-serial", "stdio".into());
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
            add(name, file.display().to_string());
        }
        for (number, (disk, read_only)) in self.disks.iter().zip(["on", "on", "off"]).enumerate() {
            let disk = path(disk);
            add("-drive", format!("file={disk},format=raw,if=none,id=d{number},read-only={read_only}"));
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
            disks: ["/job".into(), "/usr-image".into(), "/report".into()],
            job: Digest::of(b"job"),
            memory_mib: 2048,
            processors: 2,
        };
        machine.arguments().join(" ")
    }

    const SHARED: &str = "-bios /fw -kernel /kernel -initrd /initrd \
        -drive file=/job,format=raw,if=none,id=d0,read-only=on \
        -device virtio-blk-pci,drive=d0,disable-legacy=on,iommu_platform=on \
        -drive file=/usr-image,format=raw,if=none,id=d1,read-only=on \
        -device virtio-blk-pci,drive=d1,disable-legacy=on,iommu_platform=on \
        -drive file=/report,format=raw,if=none,id=d2,read-only=off \
        -device virtio-blk-pci,drive=d2,disable-legacy=on,iommu_platform=on \
        -append console=ttyS0 reprove.job=1";
    const FIRST: &str =
        "-nodefaults -no-user-config -no-reboot -display none -serial stdio -monitor none -nic none -accel kvm";

    #[test]
    fn a_machine_of_sev_snp_is_started_with_its_hashes_measured() {
        let bound = STANDARD.encode(Digest::of(b"job").as_bytes());
        let expected = format!(
            "{FIRST} -machine q35,vmport=off,confidential-guest-support=tee0,memory-backend=ram0 -cpu EPYC-Genoa -smp 2 \
             -m 2048M -object memory-backend-memfd,id=ram0,size=2048M,share=true \
             -object sev-snp-guest,id=tee0,cbitpos=51,reduced-phys-bits=1,policy=0x30000,kernel-hashes=on,host-data={bound} \
             {SHARED}"
        );
        assert_eq!(told(Protection::SevSnp { c_bit: 51, reduced_bits: 1 }), expected);
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
        for protection in [Protection::Tdx, Protection::SevSnp { c_bit: 51, reduced_bits: 1 }] {
            let told = told(protection);
            assert!(told.contains("-nodefaults") && told.contains("-nic none") && !told.contains("net"), "{told}");
        }
    }
}
