// SPDX-License-Identifier: Apache-2.0
//! A place of its own for a test: home, store, key and working directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::leftovers::Leftovers;
use crate::program::{kept_folder, locked, once, place, program};
use crate::running::{LONG, Ran, Running};

/// A place of its own for a test: `home`, `store`, `key.pem`, and `work`, where programs are started. Removed with the
/// value.
#[derive(Debug)]
pub struct Bench {
    dir: TempDir,
    program: PathBuf,
    store: PathBuf,
    /// Held while the store is one that others use as well.
    _turn: Option<File>,
    /// The guest's program, where machines can be started.
    pub(crate) guest: Option<PathBuf>,
}

impl Bench {
    /// A new place. Its store is empty but for the digest of this machine's `/usr`, which takes seconds and which all share.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("reprove-test-").tempdir().unwrap();
        for folder in ["home", "store", "work"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let store = dir.path().join("store");
        let bench = Self { dir, program: program(), store, _turn: None, guest: None };
        // Not there where /usr has just changed; then each takes the digest itself.
        let _ = fs::copy(usr_digest(), bench.store.join("host-usr.json"));
        bench
    }

    /// A new place with the store of all tests of this run that name it so, each in its turn: what takes minutes to make, as an
    /// environment, is made once.
    #[must_use]
    pub fn sharing(name: &str) -> Self {
        let mut bench = Self::new();
        let store = once(&format!("store-{name}"), |_| {});
        bench._turn = Some(locked(&store.with_extension("turn")));
        let _ = fs::copy(bench.store.join("host-usr.json"), store.join("host-usr.json"));
        bench.store = store;
        bench
    }

    /// A new place with a program of its own, so that each of its processes can be told from another's.
    #[must_use]
    pub fn with_own_program() -> Self {
        let mut bench = Self::new();
        let own = bench.path("reprove");
        place(&bench.program, &own);
        bench.program = own;
        bench
    }

    /// The path of something in this place.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file in the working directory.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A project in the working directory: `steps` build `out`. Each runs with `MARKER` set to this place's path.
    pub fn project(&self, name: &str, steps: &[&str], more: &str) -> PathBuf {
        let marker = self.dir.path().display();
        let recipe = format!(
            "[package]\nname = \"{name}\"\n[source]\ndirectory = \".\"\n[build]\nsteps = {steps:?}\n\
             env = {{ MARKER = \"{marker}\" }}\n[outputs]\npaths = [\"out\"]\n{more}"
        );
        self.write(&format!("{name}/reprove.toml"), recipe).parent().unwrap().to_owned()
    }

    /// A copy of one of the repository's examples, which is not in a Git work tree.
    #[must_use]
    pub fn example(&self, name: &str) -> PathBuf {
        let from = crate::workspace().join("examples").join(name);
        for file in sorted_names(&from) {
            self.write(&format!("{name}/{file}"), fs::read(from.join(&file)).unwrap());
        }
        self.path("work").join(name)
    }

    /// `reprove`, in this place.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program_in_this_place(&self.program);
        command.args(arguments);
        command
    }

    /// Any program, in this place.
    #[must_use]
    pub fn program_in_this_place(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in [
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_CACHE_HOME",
            "SOURCE_DATE_EPOCH",
            "PYTHONPATH",
            "REPROVE_KEY_PASSPHRASE",
            "REPROVE_PKCS11_MODULE",
            "REPROVE_PKCS11_PIN",
        ] {
            command.env_remove(name);
        }
        match &self.guest {
            Some(guest) => command.env("REPROVE_GUEST", guest),
            None => command.env_remove("REPROVE_GUEST"),
        };
        // The machine's pip stays as it is set up, wherever that is written down.
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let settings = [home.join(".config/pip/pip.conf"), home.join(".pip/pip.conf")];
        if let (None, Some(file)) = (std::env::var_os("PIP_CONFIG_FILE"), settings.iter().find(|path| path.is_file())) {
            command.env("PIP_CONFIG_FILE", file);
        }
        // And so does its npm.
        if std::env::var_os("npm_config_userconfig").is_none() {
            command.env("npm_config_userconfig", home.join(".npmrc"));
        }
        command.env("HOME", self.path("home")).env("REPROVE_STORE", &self.store);
        command.env("REPROVE_KEY", self.path("key.pem")).current_dir(self.path("work"));
        command
    }

    /// Runs `reprove` to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        Running::start(self.command(arguments)).wait(LONG)
    }

    /// The public half of this place's key, in a file. Makes the key where there is none.
    pub fn public_key(&self) -> PathBuf {
        if !self.path("key.pem").exists() {
            let _ = self.run(["key", "new", "--quiet", "--no-passphrase"]).with_code(0);
        }
        self.write("key.pub", self.run(["key", "show"]).with_code(0).stdout)
    }

    /// What `reprove` with the process id `id`, started here, has left behind; `before` is what was there before it.
    #[must_use]
    pub fn leftovers(&self, id: u32, before: &Leftovers) -> Vec<String> {
        before.since(self.dir.path(), &self.path("store"), id)
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

/// A directory's names, sorted.
#[expect(clippy::disallowed_methods, reason = "sorted here")]
#[must_use]
pub fn sorted_names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The file that remembers the digest of `/usr`: brought up to date once a run, and kept from run to run.
fn usr_digest() -> PathBuf {
    let store = kept_folder().join("usr");
    once("usr", |_| {
        let _lock = locked(&store.with_extension("lock"));
        let folder = tempfile::tempdir().unwrap();
        let recipe = "[package]\nname = \"usr\"\n[source]\ndirectory = \".\"\n[build]\nsteps = [\"touch out\"]\n\
                      [outputs]\npaths = [\"out\"]\n";
        fs::write(folder.path().join("reprove.toml"), recipe).unwrap();
        let mut command = Command::new(program());
        command.args(["check", "--quiet", "--key", "key.pem", "--store"]).arg(&store).current_dir(folder.path());
        let _ = Running::start(command).wait(LONG).with_code(0);
    });
    store.join("host-usr.json")
}
