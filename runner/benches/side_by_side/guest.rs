// SPDX-License-Identifier: Apache-2.0
//! Virtual machines: from the request to the first line of a build and back, beside the engine's own boot of the same kernel with
//! nothing in it; and what a build takes in one, beside namespaces.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reprove_images::guest::{
    Kernel, Modules, UsrImage, Which, initrd, keep_kernel, kept_kernel, user_mode_kernel, usr_image,
};
use reprove_model::Engine;
use reprove_runner::vm::{Guest, Machine, hello};
use reprove_store::Store;

use crate::Options;
use crate::building::{RecordedBuild, Source};
use crate::contestant::Contestant;
use crate::report::Table;
use crate::rounds::{Bound, race};

/// A first program that ends the machine.
const EMPTY: &str = "void _start(void) {\n\
    __asm__ volatile(\"syscall\" : : \"a\"(169), \"D\"(0xfee1deadL), \"S\"(672274793L), \"d\"(0x4321fedcL) : \"rcx\", \"r11\", \"memory\");\n\
    for (;;) ;\n}\n";
/// Builds that say a word, and that compile one file.
const FIRST_LINE: &str = "echo here; echo > liblua.a";
const HELLO: &str = "gcc -O2 -o liblua.a hello.c";
/// What a guest of a build with [`MEMORY`] for itself has in all is near this.
const MEMORY: &str = "512M";

/// A table of starting for each engine that is here, and one of a build in each.
pub(crate) async fn measure(options: &Options, directory: &Path) -> io::Result<Vec<Table>> {
    let Some(program) = &options.guest else {
        crate::note("guest: no guest's program is named (--guest FILE), left out");
        return Ok(Vec::new());
    };
    let kept =
        Store::open(&options.kept.clone().unwrap_or_else(|| directory.join("kept"))).map_err(io::Error::other)?;
    crate::note("guest: the image of this machine's /usr; it takes a minute the first time");
    let root = reprove_images::host_usr(&kept, i64::MAX, &|| {}).map_err(io::Error::other)?;
    let usr = usr_image(&kept, &root, &|| {}).map_err(io::Error::other)?;
    let empty = empty_initrd(directory)?;
    let project = directory.join("hello");
    fs::create_dir(&project)?;
    fs::write(project.join("hello.c"), "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n")?;
    let source = Source { store: Store::open(&directory.join("guests")).map_err(io::Error::other)?, files: project };
    let helper = options.reprove.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_reprove-sandbox")));
    let program = fs::read(program)?;
    let mut tables = Vec::new();
    let mut building =
        vec![Contestant::build("namespaces", RecordedBuild::small(&helper, &source, &root, HELLO, None)?)];
    for engine in [Engine::UserModeLinux, Engine::QemuTcg] {
        let Some((kernel, runs)) = kernel_of(engine, options, &kept)? else {
            crate::note(&format!("guest: {} is not here, left out", engine.name()));
            continue;
        };
        let first = initrd(&program, &kernel.modules).map_err(io::Error::other)?;
        let guest = Guest::new(engine, runs.clone(), kernel.path.clone(), &first)?;
        if let Err(error) = hello(&helper, &guest, 1_000_000_000, &kept).await {
            crate::note(&format!("guest: {} does not run here, left out: {error}", engine.name()));
            continue;
        }
        let machine = |usr: &UsrImage| {
            let (guest, usr) = (guest.clone(), usr.clone());
            Some(Machine { guest, other: None, formatter: None, usr, confidential: None })
        };
        let contestants = vec![
            Contestant::program("its own boot, with an empty init", own_boot(engine, &runs, &kernel.path, &empty)),
            Contestant::build(
                "reprove, a build of one line",
                RecordedBuild::small(&helper, &source, &root, FIRST_LINE, machine(&usr))?,
            ),
        ];
        let bound = Bound { rounds: if options.quick { 3 } else { 9 }, time: Duration::from_secs(300) };
        let title = format!("{}, to the first line of a build and back", engine.name());
        tables.push(race(&title, "its own boot, with an empty init", contestants, bound).await?);
        building.push(Contestant::build(
            engine.name(),
            RecordedBuild::small(&helper, &source, &root, HELLO, machine(&usr))?,
        ));
    }
    let bound = Bound { rounds: if options.quick { 3 } else { 9 }, time: Duration::from_secs(300) };
    tables.push(race("one C file, in a machine of its own", "namespaces", building, bound).await?);
    Ok(tables)
}

/// The kernel of an engine's guests, and the program that runs them.
fn kernel_of(engine: Engine, options: &Options, kept: &Store) -> io::Result<Option<(Kernel, PathBuf)>> {
    if engine == Engine::UserModeLinux {
        let kernel = user_mode_kernel().map_err(io::Error::other)?;
        return Ok(kernel.map(|kernel| (kernel.clone(), kernel.path)));
    }
    let qemu = PathBuf::from("/usr/bin/qemu-system-x86_64");
    if !qemu.exists() {
        return Ok(None);
    }
    let kernel = match &options.kernel {
        Some(package) => Some(keep_kernel(kept, Which::Usual, package, None).map_err(io::Error::other)?),
        None => kept_kernel(kept, Which::Usual).map_err(io::Error::other)?,
    };
    Ok(kernel.map(|kernel| (kernel, qemu)))
}

/// A first file system with nothing but a program that ends the machine.
fn empty_initrd(directory: &Path) -> io::Result<PathBuf> {
    let (source, program) = (directory.join("empty.c"), directory.join("empty"));
    fs::write(&source, EMPTY)?;
    let arguments = ["-Os", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-o"];
    let status = Command::new("cc").args(arguments).arg(&program).arg(&source).status()?;
    if !status.success() {
        return Err(io::Error::other("the empty init could not be compiled"));
    }
    let made = directory.join("empty.cpio");
    fs::write(&made, initrd(&fs::read(&program)?, &Modules::default()).map_err(io::Error::other)?)?;
    Ok(made)
}

/// The engine, as anybody would start it who wants the kernel to run and nothing else.
fn own_boot(engine: Engine, program: &Path, kernel: &Path, initrd: &Path) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![program.into()];
    if engine == Engine::UserModeLinux {
        command.extend(
            [format!("mem={MEMORY}"), "con=null".into(), "con0=null,fd:1".into(), "ssl=null".into()]
                .map(OsString::from),
        );
        command.extend(
            [format!("initrd={}", initrd.display()), "rdinit=/init".into(), "loglevel=4".into()].map(OsString::from),
        );
        return command;
    }
    let told = "-nodefaults -no-user-config -no-reboot -display none -monitor none -nic none -serial stdio -machine q35 -accel tcg \
                -cpu max -smp 1 -m";
    command.extend(told.split_ascii_whitespace().map(OsString::from));
    command.extend([MEMORY.into(), "-kernel".into(), kernel.into(), "-initrd".into(), initrd.into()]);
    command.extend(["-append".into(), "console=ttyS0 rdinit=/init panic=-1 loglevel=4".into()]);
    command
}
