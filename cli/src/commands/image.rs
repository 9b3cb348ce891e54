// SPDX-License-Identifier: Apache-2.0
//! `reprove image`: what virtual machines are started from, and OCI images.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use reprove_images::guest::{Kernel, Module, Which, initrd, keep_kernel, kept_kernel, user_mode_kernel};
use reprove_model::{Digest, DigestSet};
use serde::Serialize;
use serde_json::json;

use crate::app::{App, absolute, blocking};
use crate::artifacts::Artifacts;
use crate::error::{CANNOT, CommandError, YES, from_error};
use crate::{images, machines, measuring, output};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an image, twice, and write it where it comes out the same
    Build {
        #[command(subcommand)]
        what: What,
    },
    /// Put an OCI image into the store, as the environment that a recipe names it as
    Import(images::ImportArguments),
    /// Write a project's environment as an OCI image, the same bytes each time
    Export(images::ExportArguments),
    /// Say what a verifier has to expect of a guest: digests for a trust file, and launch digests
    Measure(measuring::Arguments),
}

#[derive(Debug, Subcommand)]
enum What {
    /// The kernels of guests, and their first file systems
    Guest {
        /// Write them into this directory, which must be empty or not there yet
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Take QEMU's kernel out of this Debian package (linux-image-…-cloud-amd64), and keep it in the store
        #[arg(long, value_name = "FILE.deb")]
        kernel: Option<PathBuf>,
        /// The BLAKE3 digest that this package must have
        #[arg(long, value_name = "HEX", requires = "kernel")]
        kernel_digest: Option<Digest>,
        /// Take another kernel of QEMU's out of this package, and keep it beside the first: `check` and `rebuild` vary it
        #[arg(long, value_name = "FILE.deb")]
        other_kernel: Option<PathBuf>,
        /// The BLAKE3 digest that this package must have
        #[arg(long, value_name = "HEX", requires = "other_kernel")]
        other_kernel_digest: Option<Digest>,
    },
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let (out, packages) = match arguments.command {
        Command::Measure(arguments) => return measuring::run(app, arguments).await,
        Command::Import(arguments) => return images::import(app, arguments).await,
        Command::Export(arguments) => return images::write(app, arguments).await,
        Command::Build { what: What::Guest { out, kernel, kernel_digest, other_kernel, other_kernel_digest } } => {
            (out, [(Which::Usual, kernel, kernel_digest), (Which::Other, other_kernel, other_kernel_digest)])
        }
    };
    let out = match &out {
        Some(shown) => Some((Artifacts::prepare(&absolute(shown)?, "guest images")?, shown.clone())),
        None => None,
    };
    let packages = packages.into_iter().filter_map(|(which, path, digest)| Some((which, absolute(&path?), digest)));
    let packages: Vec<_> = packages.collect();
    let store = app.store()?;
    app.progress.doing("making the guest's images twice");
    let made = blocking(move || {
        for (which, package, digest) in packages {
            keep_kernel(&store, which, &package?, digest).map_err(|e| from_error(CANNOT, &e))?;
        }
        let kernels = [
            ("user-mode-linux", user_mode_kernel().map_err(|e| from_error(CANNOT, &e))?),
            ("qemu", kept_kernel(&store, Which::Usual).map_err(|e| from_error(CANNOT, &e))?),
            ("qemu-other", kept_kernel(&store, Which::Other).map_err(|e| from_error(CANNOT, &e))?),
        ];
        let kernels = kernels.into_iter().filter_map(|(name, kernel)| Some((name, kernel?)));
        kernels.map(|(name, kernel)| Made::twice(name, &kernel)).collect::<Result<Vec<_>, _>>()
    })
    .await??;
    if made.is_empty() {
        return Err(CommandError::cannot("there is no kernel to make a guest of")
            .next("apt install user-mode-linux")
            .next("or for QEMU: give --kernel FILE.deb, Debian's package of a kernel"));
    }
    if let Some((out, _)) = out {
        let files = made.iter().flat_map(|made| {
            let file = |suffix: &str, bytes: &[u8]| (format!("{}.{suffix}", made.said.name), bytes.to_vec());
            [file("kernel", &made.kernel), file("initrd", &made.initrd)]
        });
        out.fill_with(&files.collect::<Vec<_>>()).await?;
    }
    app.progress.clear();
    let said: Vec<&Said> = made.iter().map(|made| &made.said).collect();
    if app.global.json {
        output::json(&json!({ "guests": said }))?;
    } else {
        output::text(&said.iter().map(|said| said.text()).collect::<String>())?;
    }
    Ok(YES)
}

/// A kernel and its first file system.
struct Made {
    said: Said,
    kernel: Vec<u8>,
    initrd: Vec<u8>,
}

/// What is said of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    /// Of whom they are.
    name: &'static str,
    kernel: DigestSet,
    initrd: DigestSet,
    /// Of the one program in it.
    program: DigestSet,
    /// The modules in it, in the order in which they are loaded.
    modules: Vec<String>,
    /// The same for each file system that the kernel can have on a disk, beside them.
    disks: BTreeMap<&'static str, Vec<String>>,
}

impl Made {
    /// Reads and assembles everything twice.
    fn twice(name: &'static str, kernel: &Kernel) -> Result<Self, CommandError> {
        let once = || -> Result<Self, CommandError> {
            let fail = |path: &std::path::Path| {
                let shown = path.display().to_string();
                move |e| CommandError::cannot(format!("{shown}: {e}"))
            };
            let path = machines::program_path();
            let program = fs::read(&path).map_err(fail(&path))?;
            let bytes = fs::read(&kernel.path).map_err(fail(&kernel.path))?;
            let initrd = initrd(&program, &kernel.modules).map_err(|e| from_error(CANNOT, &e))?;
            let names = |modules: &[Module]| modules.iter().map(|module| module.name.clone()).collect::<Vec<_>>();
            let disks = kernel.modules.for_disks.iter();
            let said = Said {
                name,
                kernel: DigestSet::of(&bytes),
                initrd: DigestSet::of(&initrd),
                program: DigestSet::of(&program),
                modules: names(&kernel.modules.always),
                disks: disks.map(|(kind, modules)| (kind.name(), names(modules))).collect(),
            };
            Ok(Self { said, kernel: bytes, initrd })
        };
        let (one, other) = (once()?, once()?);
        if one.initrd == other.initrd && one.kernel == other.kernel {
            return Ok(one);
        }
        let text =
            format!("the images for {name} are not the same when they are made again; is something being installed?");
        Err(CommandError::cannot(text))
    }
}

impl Said {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.name);
        for (what, digest) in [("kernel", self.kernel), ("initrd", self.initrd), ("program", self.program)] {
            text.push_str(&format!("  {what:<8} sha256 {}\n           blake3 {}\n", digest.sha256, digest.blake3));
        }
        text.push_str(&format!("  modules  {}\n", self.modules.join(" ")));
        for (kind, modules) in &self.disks {
            let modules = if modules.is_empty() { "as it is".to_owned() } else { modules.join(" ") };
            text.push_str(&format!("  {kind:<8} {modules}\n"));
        }
        text
    }
}
