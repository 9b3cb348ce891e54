// SPDX-License-Identifier: Apache-2.0
//! The freshly built `reprove`, and what the tests of one run make once and share.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// The workspace's directory.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above its packages")
}

/// The freshly built `reprove`.
///
/// Cargo tells only the package that owns a program where it is, so Cargo is asked to build it, once a run: `cargo test` and
/// `cargo nextest` have let go of the build directory by the time they start tests. The run keeps a file of its own, which a
/// build at the same time does not replace.
#[must_use]
pub fn program() -> PathBuf {
    once("program", |folder| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--package", "reprove-cli", "--bin", "reprove", "--message-format", "json"]);
        let output = cargo.current_dir(workspace()).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "`cargo build` failed");
        let messages = String::from_utf8(output.stdout).unwrap();
        let built = messages.lines().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            message.get("executable")?.as_str().map(PathBuf::from)
        });
        place(&built.expect("Cargo names what it has built"), &folder.join("reprove"));
    })
    .join("reprove")
}

/// A second name for a program, or where that can't be, a copy.
pub(crate) fn place(program: &Path, to: &Path) {
    if fs::hard_link(program, to).is_err() {
        fs::copy(program, to).unwrap();
    }
}

/// The folder `name`, which `make` fills; made once by the tests of one run, whatever process they are in. Only a folder
/// that was filled to the end is shared.
pub fn once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = run_folder().join(name);
    let _lock = locked(&folder.with_extension("lock"));
    if !folder.exists() {
        let making = folder.with_extension("making");
        let _ = fs::remove_dir_all(&making);
        fs::create_dir(&making).unwrap();
        make(&making);
        fs::rename(&making, &folder).unwrap();
    }
    folder
}

/// Locks the file at `path` until the value goes, or the process ends.
pub(crate) fn locked(path: &Path) -> File {
    let file = File::options().create(true).truncate(false).write(true).open(path).unwrap();
    file.lock().unwrap();
    file
}

/// A folder in the build directory, for what is kept from run to run.
pub(crate) fn kept_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // target/PROFILE/deps/TEST
        let test = std::env::current_exe().unwrap();
        let folder = test.ancestors().nth(3).unwrap().join("tmp/reprove-tests");
        fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// How long a run's folder stays, so that no run that is still going loses its own.
const KEPT: Duration = Duration::from_secs(3 * 3600);

/// The folder of this run: of all processes that nextest starts, or of this process.
fn run_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        remove_old_runs(kept_folder());
        match std::env::var("NEXTEST_RUN_ID") {
            Ok(id) => {
                let folder = kept_folder().join(format!("run-{id}"));
                fs::create_dir_all(&folder).unwrap();
                folder
            }
            Err(_) => tempfile::Builder::new().prefix("run-").tempdir_in(kept_folder()).unwrap().keep(),
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "the order in which they are removed shows nowhere")]
fn remove_old_runs(parent: &Path) {
    for entry in fs::read_dir(parent).unwrap().flatten() {
        let is_run = entry.file_name().to_string_lossy().starts_with("run-");
        let age = entry.metadata().ok().and_then(|m| m.modified().ok()?.elapsed().ok());
        if is_run && age.is_some_and(|age| age > KEPT) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
