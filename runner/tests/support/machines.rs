// SPDX-License-Identifier: Apache-2.0
//! Virtual machines for tests: User-mode Linux with our program in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use reprove_images::guest::{MODULES, Modules, initrd, modules};
use reprove_model::Engine;
use reprove_runner::vm::Guest;

/// The guest's program, compiled once.
fn program() -> Vec<u8> {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    let compile = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/guest");
        let output = Command::new(script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap()
    };
    PROGRAM.get_or_init(compile).clone()
}

/// Whether User-mode Linux runs here: see `reprove_tests::engine`. Says so where it does not.
#[expect(clippy::print_stdout, reason = "to say what was skipped")]
pub(crate) fn runs_here() -> bool {
    let has_amx = fs::read_to_string("/proc/cpuinfo").unwrap().contains(" amx_tile");
    if has_amx {
        println!("skipped: User-mode Linux can't start a process on a processor with AMX");
    }
    !has_amx
}

/// User-mode Linux with our program (Debian: `user-mode-linux`).
pub(crate) fn guest() -> Guest {
    static GUEST: OnceLock<Guest> = OnceLock::new();
    GUEST.get_or_init(new_guest).clone()
}

fn new_guest() -> Guest {
    let kernel = PathBuf::from("/usr/bin/linux.uml");
    #[expect(clippy::disallowed_methods, reason = "there is one")]
    let folder = fs::read_dir("/usr/lib/uml/modules").unwrap().next().unwrap().unwrap().path();
    let initrd =
        initrd(&program(), &Modules { always: modules(&folder, &MODULES).unwrap(), ..Modules::default() }).unwrap();
    Guest::new(Engine::UserModeLinux, kernel.clone(), kernel, &initrd).unwrap()
}

/// An engine that does something to the machine's files first: `$JOB`, `$USR` and `$REPORT` are their paths.
pub(crate) fn tampering(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("engine");
    let paths = "JOB=/proc/self/fd/21 USR=/proc/self/fd/22 REPORT=/proc/self/fd/23";
    fs::write(&path, format!("#!/bin/sh\n{paths}\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Where the engine goes on, behind that.
pub(crate) const GO_ON: &str = "exec /usr/bin/linux.uml \"$@\"";
