// SPDX-License-Identifier: Apache-2.0
//! `image measure`: what a verifier has to expect of a guest, from its files, with no such machine needed.

use std::path::{Path, PathBuf};

use clap::Args;
use reprove_attest::evidence::snp::{DirectBoot, Firmware, Launch, LaunchDigest};
use reprove_images::guest::{initrd, kept_kernel};
use reprove_model::Sha256;
use reprove_runner::vm::firmware as emulated_firmware;
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::error::{CANNOT, CommandError, YES, from_error};
use crate::open::{self, Links};
use crate::{machines, output};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// An OVMF that was built for SEV-SNP [default: what EMULATED machines start with]
    #[arg(long, value_name = "FILE.fd")]
    firmware: Option<PathBuf>,
    /// The kernel that is started with it [default: the one that `image build guest` keeps]
    #[arg(long, value_name = "FILE", requires = "firmware")]
    kernel: Option<PathBuf>,
    /// Its first file system [default: the guest's own]
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// What the kernel is told; the launch digests depend on it, and are only given with it
    #[arg(long, value_name = "TEXT")]
    append: Option<String>,
    /// For how many processors
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1")]
    processors: Vec<u32>,
    /// Of which type, as QEMU calls it
    #[arg(long, value_name = "TYPE", default_value = "EPYC-Genoa")]
    processor_type: String,
}

/// The longest kernel or initrd, in bytes.
const MAX_FILE: usize = 1 << 30;

/// What is measured.
struct Measured {
    firmware: Firmware,
    is_emulated: bool,
    kernel: Sha256,
    initrd: Sha256,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let Some(signature) = Launch::signature_of(&arguments.processor_type) else {
        let known = Launch::processor_types().collect::<Vec<_>>().join(", ");
        let text = format!("{:?} is no type of processor that SEV-SNP guests have", arguments.processor_type);
        return Err(
            CommandError::bad_usage(text).next(format!("there are {known}, with or without a version after it"))
        );
    };
    let Arguments { firmware, kernel, initrd, append, processors, .. } = arguments;
    let store = app.store()?;
    let measured = blocking(move || {
        let firmware = firmware.as_deref().map(read).transpose()?;
        let is_emulated = firmware.is_none();
        let bytes = match firmware {
            Some(bytes) => bytes,
            None => emulated_firmware().map_err(|e| from_error(CANNOT, &e))?.1.to_vec(),
        };
        let layout = if is_emulated { Firmware::emulated(&bytes) } else { Firmware::from_bytes(&bytes) };
        let firmware = layout.map_err(|e| CommandError::bad_usage(format!("the firmware can't be measured: {e}")))?;
        let (kernel, initrd) = match kernel {
            Some(kernel) => {
                let initrd = initrd.as_deref().map(read).transpose()?.unwrap_or_default();
                (read(&kernel)?, initrd)
            }
            None => own(&store)?,
        };
        Ok::<_, CommandError>(Measured {
            firmware,
            is_emulated,
            kernel: Sha256::of(&kernel),
            initrd: Sha256::of(&initrd),
        })
    })
    .await??;
    let mut launches = Vec::new();
    for processors in append.iter().flat_map(|_| &processors) {
        let kernel = DirectBoot {
            kernel: measured.kernel,
            initrd: measured.initrd,
            command_line: append.as_deref().unwrap_or_default(),
        };
        let firmware = &measured.firmware;
        let launch = Launch { firmware, kernel: Some(kernel), processors: *processors, signature, features: 1 };
        launches.push((*processors, launch.digest().map_err(|e| CommandError::cannot(e.to_string()))?));
    }
    if append.is_none() && !measured.firmware.has_kernel_hashes() {
        let error = reprove_attest::evidence::snp::LaunchError::NoKernelHashes;
        return Err(CommandError::cannot(error.to_string()));
    }
    print(app, &measured, &launches)
}

/// The guest's own kernel and first file system.
fn own(store: &reprove_store::Store) -> Result<(Vec<u8>, Vec<u8>), CommandError> {
    let kernel = kept_kernel(store).map_err(|e| from_error(CANNOT, &e))?;
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

fn print(app: &App, measured: &Measured, launches: &[(u32, LaunchDigest)]) -> Result<u8, CommandError> {
    let Measured { firmware, is_emulated, kernel, initrd } = measured;
    let firmware = firmware.digest().ok_or_else(|| CommandError::cannot("the firmware can't be named"))?;
    app.progress.clear();
    if app.global.json {
        let launches: Vec<_> =
            launches.iter().map(|(processors, digest)| json!({ "processors": processors, "digest": digest })).collect();
        output::json(&json!({
            "emulated": is_emulated, "firmware": firmware, "kernel": kernel, "initrd": initrd, "launches": launches,
        }))?;
        return Ok(YES);
    }
    let kind =
        if *is_emulated { "EMULATED machines start with this firmware, which is no hardware's" } else { "SEV-SNP" };
    let mut text = format!("# {kind}\n[[guest]]\nname = \"reprove's guest\"\n");
    text.push_str(&format!("firmware = \"{firmware}\"\nkernel = \"{kernel}\"\ninitrd = \"{initrd}\"\n"));
    for (processors, digest) in launches {
        text.push_str(&format!("# launch digest with {processors} processors: {digest}\n"));
    }
    output::text(&text)?;
    Ok(YES)
}
