// SPDX-License-Identifier: Apache-2.0
//! Debian's Nix with a store of its own, and the derivations of `tests/real-world/nix`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Bench, sorted_names};
use crate::running::{LONG, Ran, Running};
use crate::workspace;

/// The programs of busybox that the derivations use.
const TOOLS: [&str; 17] = [
    "cat", "chmod", "date", "env", "find", "grep", "hostname", "id", "ln", "ls", "md5sum", "mkdir", "od", "rm", "seq",
    "sh", "sort",
];

/// A store, and what asks and fills it. Its files can be removed once the value goes.
#[derive(Debug)]
pub struct NixStore<'a> {
    bench: &'a Bench,
    folder: PathBuf,
}

impl<'a> NixStore<'a> {
    /// An empty one, in a test's place.
    #[must_use]
    pub fn new(bench: &'a Bench) -> Self {
        let nix = unpacked();
        assert!(Self::program("nix-store").exists(), "there is no {}; scripts/setup makes it", nix.display());
        let folder = bench.path("nix");
        for name in ["conf", "tools/bin"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let hook = nix.join("usr/libexec/nix/build-remote");
        let settings = format!("build-users-group =\nsubstituters =\nbuilders =\nbuild-hook = {}\n", hook.display());
        fs::write(folder.join("conf/nix.conf"), settings).unwrap();
        fs::copy(nix.join("bin/busybox"), folder.join("tools/bin/busybox")).unwrap();
        for tool in TOOLS {
            symlink("busybox", folder.join("tools/bin").join(tool)).unwrap();
        }
        Self { bench, folder }
    }

    /// With the variables by which Nix, and what asks it, finds this store.
    #[must_use]
    pub fn with(&self, mut command: Command) -> Command {
        let nix = unpacked();
        let libraries = ["usr/lib/nix", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|name| nix.join(name));
        for (name, place) in [
            ("NIX_STORE_DIR", "store"),
            ("NIX_STATE_DIR", "var"),
            ("NIX_LOG_DIR", "log"),
            ("NIX_CONF_DIR", "conf"),
            ("NIX_LOCALSTATE_DIR", "local"),
        ] {
            command.env(name, self.folder.join(place));
        }
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
        command.env("REPROVE_NIX", nix.join("usr/bin/nix-store"));
        command
    }

    /// Where a program of Nix's is.
    #[must_use]
    pub fn program(name: &str) -> PathBuf {
        unpacked().join("usr/bin").join(name)
    }

    /// Runs one of them.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let mut command = self.bench.program_in_this_place(Self::program(program));
        command.args(arguments);
        Running::start(self.with(command)).wait(LONG)
    }

    /// `reprove rebuild`.
    #[track_caller]
    pub fn rebuild(&self, path: &str, more: &[&str]) -> Ran {
        Running::start(self.with(self.bench.command([&["rebuild", path], more].concat()))).wait(LONG)
    }

    /// The path of one of the derivations.
    #[track_caller]
    pub fn derivation(&self, attribute: &str) -> String {
        let (file, tools) = (workspace().join("tests/real-world/nix/default.nix"), self.folder.join("tools"));
        let arguments = ["--arg", "tools", tools.to_str().unwrap(), "-A", attribute];
        let ran = self.run("nix-instantiate", &[&[file.to_str().unwrap()], &arguments[..]].concat()).with_code(0);
        ran.stdout.lines().next().unwrap().trim_end_matches(|c: char| c == '!' || c.is_whitespace()).to_owned()
    }

    /// Builds one, and gives its path and those of its outputs.
    #[track_caller]
    pub fn built(&self, attribute: &str) -> (String, Vec<String>) {
        let derivation = self.derivation(attribute);
        let ran = self.run("nix-store", &["--realise", &derivation]).with_code(0);
        (derivation, ran.stdout.lines().map(str::to_owned).collect())
    }
}

impl Drop for NixStore<'_> {
    fn drop(&mut self) {
        let _ = make_removable(&self.folder);
    }
}

/// Where scripts/setup has unpacked Nix.
fn unpacked() -> PathBuf {
    workspace().join("target/nix")
}

fn make_removable(folder: &Path) -> std::io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let inside = sorted_names(folder).into_iter().map(|name| folder.join(name));
    inside.filter(|path| path.is_dir() && !path.is_symlink()).try_for_each(|path| make_removable(&path))
}
