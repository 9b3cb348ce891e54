// SPDX-License-Identifier: Apache-2.0
//! What a trust domain's firmware and its kernel measure while they start: RTMR0 to RTMR2, of a kernel that QEMU 10.1 or later
//! hands over (`-kernel`), on a q35 machine. `docs/evidence.md` has the events.
//!
//! A firmware that measures nothing, as one that was built without `CC_MEASUREMENT_ENABLE`, leaves all of them zero.

use aws_lc_rs::digest::{Context, SHA384};
use serde::Deserialize;

use super::Measurement;
use super::firmware::{TdxFirmwareError, measurement, sha384};
use super::kernel;

/// What a firmware was built from. Each release of edk2 measures as the last of these that is not newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edk2 {
    /// edk2-stable202502.
    Stable202502,
    /// edk2-stable202505: it also measures what QEMU says of booting, and SMBIOS, and has one boot option more.
    Stable202505,
    /// edk2-stable202508, up to 202605, which was the newest when this was written: it tells the kernel where its initrd is
    /// before what QEMU tells it.
    #[default]
    Stable202508,
}

/// What QEMU makes for a machine, and the firmware measures before it uses it: the digests (SHA-384) that are in the domain's
/// event log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostTables {
    /// `etc/table-loader`.
    pub loader: Measurement,
    /// `etc/acpi/rsdp`.
    pub rsdp: Measurement,
    /// `etc/acpi/tables`.
    pub tables: Measurement,
    /// The tables of SMBIOS, without serial numbers and such (edk2, `SmbiosMeasurementDxe`). [`Edk2::Stable202502`] does not
    /// measure them.
    pub smbios: Measurement,
}

/// RTMR1: the kernel's file, whose header QEMU leaves as it is for confidential machines, and that it was started. It is the same
/// with each [`Edk2`].
///
/// # Errors
/// [`TdxFirmwareError::Kernel`], where it is no EFI application for x86-64, or has a byte that would not be measured.
pub fn rtmr1(kernel: &[u8]) -> Result<Measurement, TdxFirmwareError> {
    let mut image = Context::new(&SHA384);
    for part in kernel::measured(kernel)? {
        image.update(part);
    }
    Ok(rtmr1_of(measurement(image.finish().as_ref())))
}

impl Edk2 {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stable202502, Self::Stable202505, Self::Stable202508];

    /// The release's name, as edk2 writes it, without what all have.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable202502 => "stable202502",
            Self::Stable202505 => "stable202505",
            Self::Stable202508 => "stable202508",
        }
    }

    /// RTMR0, of a build of OvmfPkgX64 with no keys of Secure Boot in it: what memory there is (see [`super::TdxFirmware::memory`]), the
    /// firmware's variables ([`super::TdxFirmware::configuration`]), what QEMU says of booting and makes for the machine, and what could
    /// be booted. Without `tables`, of a machine that has none.
    #[must_use]
    pub fn rtmr0(self, configuration: &Measurement, memory: &Measurement, tables: Option<&HostTables>) -> Measurement {
        extended(&self.events_of_rtmr0(configuration, memory, tables))
    }

    /// What RTMR0 is extended by, in order.
    pub(super) fn events_of_rtmr0(
        self,
        configuration: &Measurement,
        memory: &Measurement,
        tables: Option<&HostTables>,
    ) -> Vec<Measurement> {
        let mut events = vec![*memory, *configuration];
        if self != Self::Stable202502 {
            events.extend([BOOT_MENU, BOOT_ORDER_OF_QEMU].map(sha384));
        }
        let secure = [(GLOBAL, "SecureBoot"), (GLOBAL, "PK"), (GLOBAL, "KEK"), (DATABASE, "db"), (DATABASE, "dbx")];
        events.extend(secure.map(|(vendor, name)| sha384(&no_variable(vendor, name))));
        events.push(sha384(SEPARATOR));
        if let Some(HostTables { loader, rsdp, tables, smbios }) = tables {
            events.extend([loader, rsdp, tables]);
            events.extend((self != Self::Stable202502).then_some(smbios));
        }
        match self {
            Self::Stable202502 => {
                events.extend([sha384(BOOT_ORDER_OF_202502), sha384(&boot_option(HIDDEN, "UiApp", UI_APP))]);
            }
            Self::Stable202505 | Self::Stable202508 => events.extend([
                sha384(&[0, 0, 1, 0]),
                sha384(&boot_option(HIDDEN, "BootManagerMenuApp", BOOT_MANAGER_MENU)),
                sha384(&boot_option(SHOWN, "EFI Firmware Setup", UI_APP)),
            ]),
        }
        events
    }

    /// RTMR2: what QEMU tells the kernel (`-append`), and the digest of its initrd (SHA-384), as the EFI stub of Linux 6.9 and
    /// later measures them.
    #[must_use]
    pub fn rtmr2(self, command_line: &str, initrd: &Measurement) -> Measurement {
        let told = match self {
            Self::Stable202502 | Self::Stable202505 => format!("{command_line} initrd=initrd\0"),
            Self::Stable202508 => format!("initrd=initrd {command_line}\0"),
        };
        // It makes a character of each byte.
        let told: Vec<u8> = told.bytes().flat_map(|byte| [byte, 0]).collect();
        extended(&[sha384(&told), *initrd])
    }
}

/// In the namespace of UEFI's own variables, and in that of the databases of signatures.
const GLOBAL: [u8; 16] = 0x61df_e48b_ca93_d211_aa0d_00e0_9803_2b8c_u128.to_be_bytes();
const DATABASE: [u8; 16] = 0xcbb2_19d7_3a3d_9645_a3bc_dad0_0e67_656f_u128.to_be_bytes();

/// The firmware's volume, and the programs in it.
const VOLUME: [u8; 16] = 0xc9bd_b87c_ebf8_344f_aaea_3ee4_af65_16a1_u128.to_be_bytes();
const UI_APP: [u8; 16] = 0x21aa_2c46_1476_0345_836e_8ab6_f466_2331_u128.to_be_bytes();
const BOOT_MANAGER_MENU: [u8; 16] = 0xdc5b_c2ee_f267_954d_b1d5_f81b_2039_d11d_u128.to_be_bytes();

/// The attributes of boot options: active, and an application; and whether they are shown.
const SHOWN: u32 = 0x101;
const HIDDEN: u32 = 0x109;

pub(super) const SEPARATOR: &[u8] = &[0; 4];
/// `BootOrder` of a firmware that has one option.
pub(super) const BOOT_ORDER_OF_202502: &[u8] = &[0; 2];
/// Nobody is asked what to boot.
const BOOT_MENU: &[u8] = &[0; 2];
/// QEMU boots a kernel that it is given by a program of its own, where there is no UEFI.
const BOOT_ORDER_OF_QEMU: &[u8] = b"/rom@genroms/linuxboot_dma.bin\0";

/// RTMR1 of a kernel with this digest.
fn rtmr1_of(kernel: Measurement) -> Measurement {
    extended(&[
        kernel,
        sha384(b"Calling EFI Application from Boot Option"),
        sha384(SEPARATOR),
        sha384(b"Exit Boot Services Invocation"),
        sha384(b"Exit Boot Services Returned with Success"),
    ])
}

/// A register that was zero, after these digests, in order.
fn extended(digests: &[Measurement]) -> Measurement {
    digests.iter().fold([0; 48], |register, digest| sha384(&[register, *digest].concat()))
}

/// What is measured of a variable that is not there (`UEFI_VARIABLE_DATA`).
fn no_variable(vendor: [u8; 16], name: &str) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let characters = u64::try_from(name.len() / 2).unwrap_or(u64::MAX);
    [vendor.as_slice(), &characters.to_le_bytes(), &[0; 8], &name].concat()
}

/// A boot option (`EFI_LOAD_OPTION`) for a program in the firmware's volume.
fn boot_option(attributes: u32, description: &str, file: [u8; 16]) -> Vec<u8> {
    /// Of the path: two nodes with a name, and its end.
    const PATH: u16 = 2 * 20 + 4;
    let description: Vec<u8> = description.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let (volume_node, file_node, end): (&[u8], &[u8], &[u8]) = (&[4, 7, 20, 0], &[4, 6, 20, 0], &[0x7f, 0xff, 4, 0]);
    let path = [volume_node, &VOLUME, file_node, &file, end];
    [&attributes.to_le_bytes()[..], &PATH.to_le_bytes(), &description, &path.concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digits: &str) -> Measurement {
        let bytes: Vec<u8> =
            (0..48).map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2).unwrap(), 16).unwrap()).collect();
        bytes.try_into().unwrap()
    }

    /// The events of domains on real processors, as dstack's sources have them: of an edk2 from before 202505 (dstack 0.6.0,
    /// `verifier/fixtures`), and of 202505 (dstack 0.5.10, `dstack-mr`).
    #[test]
    fn events_are_those_of_real_domains() {
        for (data, digest) in [
            (
                no_variable(GLOBAL, "SecureBoot"),
                "9dc3a1f80bcec915391dcda5ffbb15e7419f77eab462bbf72b42166fb70d50325e37b36f93537a863769bcf9bedae6fb",
            ),
            (
                no_variable(GLOBAL, "PK"),
                "6f2e3cbc14f9def86980f5f66fd85e99d63e69a73014ed8a5633ce56eca5b64b692108c56110e22acadcef58c3250f1b",
            ),
            (
                no_variable(GLOBAL, "KEK"),
                "d607c0efb41c0d757d69bca0615c3a9ac0b1db06c557d992e906c6b7dee40e0e031640c7bfd7bcd35844ef9edeadc6f9",
            ),
            (
                no_variable(DATABASE, "db"),
                "08a74f8963b337acb6c93682f934496373679dd26af1089cb4eaf0c30cf260a12e814856385ab8843e56a9acea19e127",
            ),
            (
                no_variable(DATABASE, "dbx"),
                "18cc6e01f0c6ea99aa23f8a280423e94ad81d96d0aeb5180504fc0f7a40cb3619dd39bd6a95ec1680a86ed6ab0f9828d",
            ),
            (
                SEPARATOR.to_vec(),
                "394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f0",
            ),
            (
                vec![0, 0],
                "1dd6f7b457ad880d840d41c961283bab688e94e4b59359ea45686581e90feccea3c624b1226113f824f315eb60ae0a7c",
            ),
            (
                boot_option(HIDDEN, "UiApp", UI_APP),
                "23ada07f5261f12f34a0bd8e46760962d6b4d576a416f1fea1c64bc656b1d28eacf7047ae6e967c58fd2a98bfa74c298",
            ),
            (
                BOOT_ORDER_OF_QEMU.to_vec(),
                "53d3dbc00691328371e74c1b1c77bdf1bf4ff79dd1b55222b694fe8341cd8b0adb3a9ab9286552c681272883b9b0fc1d",
            ),
            (
                vec![0, 0, 1, 0],
                "52b9a02de946b947364b57d8210c63113b9058996e2a3ba7cead54af11ae0873b085d1e52bc01e4febe57ca05ca1332b",
            ),
            (
                boot_option(HIDDEN, "BootManagerMenuApp", BOOT_MANAGER_MENU),
                "5068e6a9ded2a1c3a8ebb5d26004410ea8670742d8f444c5c3d161b76c66fa23a7b1d2fb3f9840570b675384b5818f2d",
            ),
            (
                boot_option(SHOWN, "EFI Firmware Setup", UI_APP),
                "dd424f2eeb35f3e8a2c2f50f6cc87ff90b7577e92ce63e13a22869d07d104fd5ea9800e6e4f12c5058fc4eaa78374f20",
            ),
        ] {
            assert_eq!(sha384(&data), hex(digest));
        }
    }

    /// The registers of a quote by a real processor, from the events of its log (dstack 0.6.0, `verifier/fixtures`).
    #[test]
    fn registers_are_those_of_a_real_domain() {
        let kernel =
            hex("ac7e632dcf5cd2a1fe5c1f41f4d9b8219570e64ed3c61038fdbf25404e6f542ffd57f276bc5076307efaf882e6d64177");
        let expected =
            hex("2023546e7f3b9d1228e274f70c44d481162540f8452544520a796a52f06879709b81a824a26792a7822327504b0d2aee");
        assert_eq!(rtmr1_of(kernel), expected);
        let told =
            hex("786280842b7364287a3a70d96f7e309252857beb45fb1f91314a2ea863db0adc04c8431ecbf29a966405604631a5aab8");
        let initrd =
            hex("4fe4f7710134a61d7def357add6ac50bdbfeee5032a4c100375e207216ffe42a3bd5822b24e679f91501fff795b81521");
        let expected =
            hex("4c1b739ed451a637b0f82642e48a5ea83925d23633c72e7385c8e9aca4175e133ed1625b7d92eb39edf509c27ff392dc");
        assert_eq!(extended(&[told, initrd]), expected);
    }
}
