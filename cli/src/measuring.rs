// SPDX-License-Identifier: Apache-2.0
//! `image measure`: what a verifier has to expect of a guest, from its files, with no such machine needed.

use std::path::{Path, PathBuf};

use clap::Args;
use reprove_attest::evidence::snp::{DirectBoot, Firmware, Launch, LaunchError};
use reprove_attest::evidence::tdx::{Edk2, TdxFirmware, rtmr1};
use reprove_attest::evidence::{ReferenceDomain, Sha384};
use reprove_images::guest::{Which, initrd, kept_kernel};
use reprove_model::{Isolation, Sha256};
use reprove_runner::vm::firmware as emulated_firmware;
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::error::{CANNOT, CommandError, YES, from_error};
use crate::open::{self, Links};
use crate::{machines, output};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// An OVMF for SEV-SNP, or for TDX [default: what EMULATED machines start with]
    #[arg(long, value_name = "FILE.fd")]
    firmware: Option<PathBuf>,
    /// The kernel that is started with it [default: the one that `image build guest` keeps]
    #[arg(long, value_name = "FILE", requires = "firmware")]
    kernel: Option<PathBuf>,
    /// Its first file system [default: the guest's own]
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// What the kernel is told; launch digests and RTMR2 depend on it, and are only given with it
    #[arg(long, value_name = "TEXT")]
    append: Option<String>,
    /// For how many processors (SEV-SNP)
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1")]
    processors: Vec<u32>,
    /// Of which type, as QEMU calls it (SEV-SNP)
    #[arg(long, value_name = "TYPE", default_value = "EPYC-Genoa")]
    processor_type: String,
    /// From which release of edk2 the firmware is, which measures as the last of these that is not newer: stable202502,
    /// stable202505 or stable202508 (TDX)
    #[arg(long, value_name = "RELEASE", value_parser = edk2, default_value = "stable202508")]
    edk2: Edk2,
}

/// The longest kernel or initrd, in bytes.
const MAX_FILE: usize = 1 << 30;

/// What is measured.
struct Measured {
    is_emulated: bool,
    kernel: Sha256,
    initrd: Sha256,
    /// Or why SEV-SNP would not measure it.
    snp: Result<Firmware, String>,
    /// Or why TDX would not.
    domain: Result<ReferenceDomain, String>,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let Some(signature) = Launch::signature_of(&arguments.processor_type) else {
        let known = Launch::processor_types().collect::<Vec<_>>().join(", ");
        let text = format!("{:?} is no type of processor that SEV-SNP guests have", arguments.processor_type);
        return Err(
            CommandError::bad_usage(text).next(format!("there are {known}, with or without a version after it"))
        );
    };
    let Arguments { firmware, kernel, initrd, append, processors, edk2, .. } = arguments;
    let store = app.store()?;
    let measured = blocking(move || {
        let firmware = firmware.as_deref().map(read).transpose()?;
        let (kernel, initrd) = match kernel {
            Some(kernel) => {
                let initrd = initrd.as_deref().map(read).transpose()?.unwrap_or_default();
                (read(&kernel)?, initrd)
            }
            None => own(&store)?,
        };
        Ok::<_, CommandError>(measured(firmware.as_deref(), &kernel, &initrd, edk2))
    })
    .await??;
    if let (Err(snp), Err(domain)) = (&measured.snp, &measured.domain) {
        let lines = [format!("SEV-SNP: {snp}"), format!("TDX: {domain}")];
        return Err(CommandError::cannot("no processor would measure such a guest").details(&lines));
    }
    for (of, why) in [("SEV-SNP", measured.snp.as_ref().err()), ("TDX", measured.domain.as_ref().err())] {
        if let Some(why) = why {
            app.progress.note(&format!("not for {of}: {why}"));
        }
    }
    let mut launches = Vec::new();
    for (processors, firmware) in append.iter().flat_map(|_| &processors).zip(measured.snp.iter().cycle()) {
        let (kernel, initrd) = (measured.kernel, measured.initrd);
        let kernel = DirectBoot { kernel, initrd, command_line: append.as_deref().unwrap_or_default() };
        let launch = Launch { firmware, kernel: Some(kernel), processors: *processors, signature, features: 1 };
        launches.push((*processors, launch.digest().map_err(|e| CommandError::cannot(e.to_string()))?));
    }
    print(app, &measured, &launches, append.as_deref())
}

/// What each kind of processor would measure of the firmware, or of those of EMULATED machines, and of what it starts.
fn measured(firmware: Option<&[u8]>, kernel: &[u8], initrd: &[u8], edk2: Edk2) -> Measured {
    let own = |isolation| emulated_firmware(isolation).map(|(_, bytes)| bytes.to_vec()).map_err(|e| e.to_string());
    let bytes = |isolation| firmware.map_or_else(|| own(isolation), |bytes| Ok(bytes.to_vec()));
    let snp = bytes(Isolation::EmulatedSnp).and_then(|bytes| {
        let read = if firmware.is_none() { Firmware::emulated(&bytes) } else { Firmware::from_bytes(&bytes) };
        let read = read.map_err(|e| e.to_string())?;
        if read.has_kernel_hashes() { Ok(read) } else { Err(LaunchError::NoKernelHashes.to_string()) }
    });
    let domain = bytes(Isolation::EmulatedTdx).and_then(|bytes| {
        let firmware = TdxFirmware::read(&bytes).map_err(|e| e.to_string())?;
        Ok(ReferenceDomain {
            edk2,
            mrtd: Sha384::from_bytes(firmware.mrtd()),
            configuration: Sha384::from_bytes(firmware.configuration()),
            rtmr1: Sha384::from_bytes(rtmr1(kernel).map_err(|e| e.to_string())?),
            initrd: Sha384::of(initrd),
        })
    });
    Measured { is_emulated: firmware.is_none(), kernel: Sha256::of(kernel), initrd: Sha256::of(initrd), snp, domain }
}

/// Reads the name of a release.
fn edk2(name: &str) -> Result<Edk2, String> {
    let found = Edk2::ALL.into_iter().find(|release| release.name() == name);
    found.ok_or_else(|| format!("there are {}", Edk2::ALL.map(Edk2::name).join(", ")))
}

/// The guest's own kernel and first file system.
fn own(store: &reprove_store::Store) -> Result<(Vec<u8>, Vec<u8>), CommandError> {
    let kernel = kept_kernel(store, Which::Usual).map_err(|e| from_error(CANNOT, &e))?;
    let kernel = kernel.ok_or_else(|| {
        CommandError::cannot("there is no kernel for guests")
            .next("reprove image build guest --kernel FILE.deb, with Debian's package of a kernel")
    })?;
    let program = read(&machines::program_path())?;
    let initrd = initrd(&program, &kernel.modules).map_err(|e| from_error(CANNOT, &e))?;
    Ok((read(&kernel.path)?, initrd))
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    let bytes = open::read("image file", &absolute(path)?, Links::Followed, MAX_FILE)?;
    let shown = path.display();
    let too_large = || CommandError::bad_usage(format!("{shown} has more than {} MiB", MAX_FILE >> 20));
    if bytes.len() > MAX_FILE { Err(too_large()) } else { Ok(bytes) }
}

fn print(app: &App, measured: &Measured, launches: &[(u32, Sha384)], append: Option<&str>) -> Result<u8, CommandError> {
    let Measured { is_emulated, kernel, initrd, snp, domain } = measured;
    let unnamed = || CommandError::cannot("the firmware can't be named");
    let firmware = snp.as_ref().ok().map(|firmware| firmware.digest().ok_or_else(unnamed)).transpose()?;
    let domain = domain.as_ref().ok().map(|domain| (domain, append.map(|told| domain.rtmr2(told))));
    app.progress.clear();
    if app.global.json {
        let launches: Vec<_> =
            launches.iter().map(|(processors, digest)| json!({ "processors": processors, "digest": digest })).collect();
        let domain = domain.map(|(domain, rtmr2)| {
            let ReferenceDomain { edk2, mrtd, configuration, rtmr1, initrd } = domain;
            json!({
                "edk2": edk2.name(), "mrtd": mrtd, "configuration": configuration, "rtmr1": rtmr1, "initrd": initrd,
                "rtmr2": rtmr2,
            })
        });
        output::json(&json!({
            "emulated": is_emulated, "firmware": firmware, "kernel": kernel, "initrd": initrd, "launches": launches,
            "tdx": domain,
        }))?;
        return Ok(YES);
    }
    let mut text = String::new();
    if *is_emulated {
        text.push_str("# EMULATED machines start with these firmwares, which are no hardware's\n");
    }
    text.push_str("[[guest]]\nname = \"reprove's guest\"\n");
    if let Some(firmware) = firmware {
        text.push_str(&format!("firmware = \"{firmware}\"\n"));
    }
    text.push_str(&format!("kernel = \"{kernel}\"\ninitrd = \"{initrd}\"\n"));
    for (processors, digest) in launches {
        text.push_str(&format!("# launch digest with {processors} processors: {digest}\n"));
    }
    if let Some((domain, rtmr2)) = domain {
        let ReferenceDomain { edk2, mrtd, configuration, rtmr1, initrd } = domain;
        text.push_str(&format!("[guest.tdx]\nedk2 = \"{}\"\nmrtd = \"{mrtd}\"\n", edk2.name()));
        text.push_str(&format!("configuration = \"{configuration}\"\nrtmr1 = \"{rtmr1}\"\ninitrd = \"{initrd}\"\n"));
        if let Some(rtmr2) = rtmr2 {
            text.push_str(&format!("# RTMR2: {rtmr2}\n"));
        }
    }
    output::text(&text)?;
    Ok(YES)
}
