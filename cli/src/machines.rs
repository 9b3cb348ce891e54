// SPDX-License-Identifier: Apache-2.0
//! Which virtual machines there can be here, and which of them is taken.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use reprove_images::guest::{InitrdError, Kernel, UsrError, Which, initrd, kept_kernel, user_mode_kernel};
use reprove_model::Engine;
use reprove_runner::vm::{Fault, Guest, JobError as ImageError, MachineError, Tried, remembered, try_out};
use reprove_store::Store;

use crate::app::{App, blocking};
use crate::env_vars;
use crate::error::{BAD_USAGE, BUILD_FAILED, CANNOT, CommandError, from_error};

/// How this program's helper is started.
const SELF: &str = "/proc/self/exe";

/// An engine that can be tried here, or what is missing for it and the line that mends that.
pub(crate) struct Candidate {
    pub(crate) engine: Engine,
    pub(crate) guest: Result<Guest, (String, String)>,
}

/// The guest to build in: of the engines that are wanted, the first that works.
pub(crate) async fn choose(
    app: &App,
    store: &Store,
    wanted: Option<Engine>,
    confidential: bool,
) -> Result<Guest, CommandError> {
    let mut lacking = Vec::new();
    for Candidate { engine, guest } in candidates(store).await? {
        let has_no_processor = confidential && engine == Engine::UserModeLinux;
        if has_no_processor || wanted.is_some_and(|wanted| wanted != engine) {
            continue;
        }
        match guest {
            Err((found, mend)) => lacking.push((format!("{}: {found}", engine.name()), mend)),
            Ok(guest) => {
                let Tried { works, said, .. } = tried(app, &guest, store).await?;
                if works {
                    return Ok(guest);
                }
                lacking.push((format!("{}: {}", engine.name(), shortly(&said)), "reprove doctor".to_owned()));
            }
        }
    }
    let mut error = CommandError::cannot("no virtual machine can be had here");
    let (lines, mends): (Vec<String>, Vec<String>) = lacking.into_iter().unzip();
    error = error.details(&lines);
    let mut told: Vec<String> = Vec::new();
    for mend in mends.into_iter().filter(|mend| !mend.is_empty()) {
        if !told.contains(&mend) {
            told.push(mend);
        }
    }
    Err(told.into_iter().fold(error, CommandError::next))
}

/// `usual` with the other kernel that is kept, where one is; it has to work as well, or it is not taken, and that is said.
pub(crate) async fn other(app: &App, store: &Store, usual: &Guest) -> Result<Option<Guest>, CommandError> {
    if usual.engine == Engine::UserModeLinux {
        return Ok(None);
    }
    let (on, engine, runs) = (store.clone(), usual.engine, usual.program.clone());
    let made = blocking(move || -> Result<Option<Guest>, CommandError> {
        let kernel = kept_kernel(&on, Which::Other).map_err(|e| from_error(CANNOT, &e))?;
        let Some(kernel) = kernel else { return Ok(None) };
        let made = program().and_then(|program| guest_of(engine, runs, kernel, &program));
        made.map(Some).map_err(|(found, mend)| {
            if mend.is_empty() { CommandError::cannot(found) } else { CommandError::cannot(found).next(mend) }
        })
    })
    .await??;
    let Some(guest) = made.filter(|guest| guest.kernel_digest != usual.kernel_digest) else { return Ok(None) };
    let Tried { works, said, .. } = tried(app, &guest, store).await?;
    if !works {
        app.progress
            .note(&format!("the other kernel is not taken, since no machine starts with it: {}", shortly(&said)));
    }
    Ok(Some(guest).filter(|_| works))
}

/// What is remembered of a guest, or what comes of starting it.
pub(crate) async fn tried(app: &App, guest: &Guest, store: &Store) -> Result<Tried, CommandError> {
    if let Some(tried) = remembered(guest, store).map_err(|e| from_error(CANNOT, &e))? {
        return Ok(tried);
    }
    start(app, guest, store).await
}

/// The same, but what did not work is tried again.
pub(crate) async fn tried_again(app: &App, guest: &Guest, store: &Store) -> Result<Tried, CommandError> {
    match remembered(guest, store).map_err(|e| from_error(CANNOT, &e))? {
        Some(tried) if tried.works => Ok(tried),
        _ => start(app, guest, store).await,
    }
}

async fn start(app: &App, guest: &Guest, store: &Store) -> Result<Tried, CommandError> {
    app.progress.doing(&format!("starting a virtual machine to see whether {} works here", guest.engine.name()));
    let clock = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    try_out(Path::new(SELF), guest, clock, store).await.map_err(|e| from_error(CANNOT, &e))
}

/// The engines, the one to be preferred first.
pub(crate) async fn candidates(store: &Store) -> Result<Vec<Candidate>, CommandError> {
    let store = store.clone();
    blocking(move || {
        let program = program();
        Engine::ALL.map(|engine| Candidate { engine, guest: candidate(engine, &program, &store) }).into()
    })
    .await
}

/// The guest's program.
fn program() -> Result<Vec<u8>, (String, String)> {
    let path = program_path();
    fs::read(&path).map_err(|e| {
        let found = format!("the guest's program can't be read: {}: {e}", path.display());
        (found, format!("scripts/guest compiles it; put it beside reprove, or set {}", env_vars::GUEST))
    })
}

/// Where the guest's program is: beside this one, where nothing else is said.
pub(crate) fn program_path() -> PathBuf {
    env_vars::path(env_vars::GUEST).unwrap_or_else(|| {
        let own = fs::read_link(SELF).unwrap_or_default();
        own.with_file_name("reprove-guest")
    })
}

fn candidate(
    engine: Engine,
    program: &Result<Vec<u8>, (String, String)>,
    store: &Store,
) -> Result<Guest, (String, String)> {
    let none = |found: &str, mend: &str| (found.to_owned(), mend.to_owned());
    let fail = |error: &dyn std::error::Error| (error.to_string(), String::new());
    let (kernel, runs): (Kernel, PathBuf) = match engine {
        Engine::UserModeLinux => {
            let kernel = user_mode_kernel().map_err(|e| fail(&e))?;
            let kernel = kernel.ok_or_else(|| none("it is not installed", "apt install user-mode-linux"))?;
            (kernel.clone(), kernel.path)
        }
        Engine::QemuKvm | Engine::QemuTcg => {
            if engine == Engine::QemuKvm && fs::File::options().read(true).write(true).open("/dev/kvm").is_err() {
                return Err(none("/dev/kvm can't be opened", ""));
            }
            let named = |folder: PathBuf| folder.join("qemu-system-x86_64");
            let qemu = env_vars::program_folders().into_iter().map(named).find(|path| path.is_file());
            let qemu = qemu.ok_or_else(|| none("there is no qemu-system-x86_64", "apt install qemu-system-x86"))?;
            let kernel = kept_kernel(store, Which::Usual).map_err(|e| fail(&e))?;
            let lacks = "there is no kernel for its guests";
            let mend =
                "apt-get download linux-image-cloud-amd64's package, and: reprove image build guest --kernel FILE.deb";
            (kernel.ok_or_else(|| none(lacks, mend))?, qemu)
        }
    };
    guest_of(engine, runs, kernel, program.as_ref().map_err(Clone::clone)?)
}

/// A guest of this kernel, with the guest's program.
fn guest_of(engine: Engine, runs: PathBuf, kernel: Kernel, program: &[u8]) -> Result<Guest, (String, String)> {
    let fail = |error: &dyn std::error::Error| (error.to_string(), String::new());
    let initrd = initrd(program, &kernel.modules).map_err(|e| match e {
        InitrdError::NotStatic => (e.to_string(), format!("scripts/guest, and set {} to it", env_vars::GUEST)),
        e => fail(&e),
    })?;
    let guest = Guest::new(engine, runs, kernel.path, &initrd).map_err(|e| fail(&e))?;
    let for_disks = kernel.modules.for_disks.into_iter().map(|(kind, _)| kind).collect();
    Ok(Guest { for_disks, ..guest })
}

/// The first line of what came of it, and the last, which is where the console ended.
pub(crate) fn shortly(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next_back() {
        Some(last) => format!("{first} {last}"),
        None => first.to_owned(),
    }
}

/// There is no image of `/usr`.
pub(crate) fn from_image(error: &UsrError) -> CommandError {
    let this = from_error(CANNOT, error);
    match error {
        UsrError::NoProgram => this.next("apt install erofs-utils"),
        UsrError::Changed => this.next("run it again when nothing is being installed"),
        _ => this,
    }
}

/// The virtual machine did not build.
pub(crate) fn from_machine(error: &MachineError) -> CommandError {
    match error {
        MachineError::Inside { fault: Fault::Project, .. } => from_error(BUILD_FAILED, error),
        MachineError::NoKernel(_) => from_error(CANNOT, error)
            .next("reprove image build guest --other-kernel FILE.deb, with that kernel's package"),
        MachineError::Job(ImageError::TooLarge) => from_error(BAD_USAGE, error),
        MachineError::NoHello { .. } => {
            from_error(CANNOT, error).next("`reprove doctor` tries again, and says which engines work here")
        }
        _ => from_error(CANNOT, error),
    }
}
