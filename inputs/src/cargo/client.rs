// SPDX-License-Identifier: Apache-2.0
//! The machine's cargo: it fetches a crate as it fetches any dependency, and runs nothing of it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reprove_model::Sha256;
use tokio::process::Command;

use crate::workplace::{Fetched, Workplace, failed};
use crate::{InputsError, blocking};

/// The machine's cargo.
#[derive(Clone, Debug)]
pub struct Cargo {
    /// The program. Its configuration says which registry is asked, and how.
    pub program: PathBuf,
    /// Its directory (`CARGO_HOME`), where it keeps what it fetches.
    pub home: PathBuf,
    /// All the environment variables that it gets; `None` for those of this process.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// How long each call may take.
    pub time_limit: Duration,
}

const FETCHING: &str = "fetching with cargo";

impl Cargo {
    /// `program`, with this process's environment variables and ten minutes a call.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, home: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), home: home.into(), env: None, time_limit: Duration::from_secs(600) }
    }

    /// Fetches a version of a crate, and checks it against the SHA-256 that the registry's index gives.
    pub(super) async fn fetch(&self, name: &str, version: &str, workplace: &Workplace) -> Result<Fetched, InputsError> {
        let project = workplace.path(&format!("tmp/project-{name}"));
        let write = |file: &str, text: String| {
            let path = project.join(file);
            fs::write(&path, text).map_err(|source| InputsError::Io { path, source })
        };
        fs::create_dir_all(&project).map_err(|source| InputsError::Io { path: project.clone(), source })?;
        write("lib.rs", String::new())?;
        write("Cargo.toml", manifest(name, version))?;
        let mut command = Command::new(&self.program);
        if let Some(env) = &self.env {
            command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
        }
        command.env("CARGO_HOME", &self.home).current_dir(&project).args(["fetch", "--quiet"]);
        let install = "install cargo (Debian and Ubuntu: apt install cargo)";
        let finished = workplace.run(command, FETCHING, self.time_limit, install).await?;
        if !finished.status.success() {
            return Err(refused(name, version, finished));
        }
        let path = project.join("Cargo.lock");
        let lock = fs::read_to_string(&path).map_err(|source| InputsError::Io { path, source })?;
        let why =
            || InputsError::Answer { doing: FETCHING, why: format!("its lock has no digest of {name} {version}") };
        let promised = promised(&lock, name, version).ok_or_else(why)?;
        let (home, file) = (self.home.clone(), format!("{name}-{version}.crate"));
        let (to, place) = (workplace.file(&file), workplace.clone());
        blocking::run(&to.clone(), move || {
            let _place = place;
            let missing =
                || InputsError::Answer { doing: FETCHING, why: format!("{file} is not where cargo keeps crates") };
            let from = cached(&home, &file, promised).ok_or_else(missing)?;
            fs::copy(&from, &to).map_err(|source| InputsError::Io { path: from, source })?;
            Fetched::check(file.try_into()?, &to, Some(promised))
        })
        .await
    }
}

fn manifest(name: &str, version: &str) -> String {
    format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n\
         [dependencies]\nwanted = {{ package = \"{name}\", version = \"={version}\", default-features = false }}\n"
    )
}

fn refused(name: &str, version: &str, finished: crate::process::Finished) -> InputsError {
    let said = &finished.said;
    if said.contains("no matching package named") {
        return InputsError::UnknownPackage(name.to_owned());
    }
    if said.contains("failed to select a version") || said.contains("is yanked") {
        return InputsError::NoCrateVersion { name: name.to_owned(), version: version.to_owned() };
    }
    failed(FETCHING, finished)
}

/// The SHA-256 that a `Cargo.lock` has of a crate.
fn promised(lock: &str, name: &str, version: &str) -> Option<Sha256> {
    let lock: toml::Table = lock.parse().ok()?;
    let is_it = |package: &&toml::Value| {
        let of = |key: &str| package.get(key).and_then(toml::Value::as_str);
        of("name") == Some(name) && of("version") == Some(version)
    };
    lock.get("package")?.as_array()?.iter().find(is_it)?.get("checksum")?.as_str()?.parse().ok()
}

/// Where cargo keeps a crate: in a folder for each registry. The first that has these bytes.
#[expect(clippy::disallowed_methods, reason = "which of equal files is taken shows nowhere")]
fn cached(home: &Path, file: &str, promised: Sha256) -> Option<PathBuf> {
    let folders = fs::read_dir(home.join("registry/cache")).ok()?;
    let files = folders.flatten().map(|folder| folder.path().join(file)).filter(|path| path.is_file());
    let mut files = files.filter(|path| fs::read(path).is_ok_and(|bytes| Sha256::of(&bytes) == promised));
    files.next()
}

/// A whole version (Semantic Versioning 2.0.0), of at most 128 bytes.
pub(super) fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let ok = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    text.len() <= 128 && numbers.len() == 3 && numbers.iter().all(is_number) && text.chars().all(ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_version_is_asked_for() {
        for good in ["1.0.0", "0.1.0-rc.1", "1.2.3+4.5", &format!("1.0.0-{}", "a".repeat(122))] {
            assert!(is_version(good), "{good}");
        }
        for bad in
            ["", "1", "1.0", "^1.0.0", "1.0.x", "1.0.0\"", "1..0", "v1.0.0", &format!("1.0.0-{}", "a".repeat(123))]
        {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn what_the_index_promised_is_read_and_other_bytes_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let sha256 = Sha256::of(b"crate");
        let lock = format!("version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"{sha256}\"\n");
        assert_eq!(promised(&lock, "a", "1.0.0"), Some(sha256));
        assert_eq!(promised(&lock, "a", "1.0.1"), None);
        assert_eq!(promised("nothing", "a", "1.0.0"), None);
        assert_eq!(cached(dir.path(), "a-1.0.0.crate", sha256), None);
        for (folder, bytes) in [("one", b"other"), ("two", b"crate")] {
            let folder = dir.path().join("registry/cache").join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a-1.0.0.crate"), bytes).unwrap();
        }
        assert!(cached(dir.path(), "a-1.0.0.crate", sha256).unwrap().ends_with("two/a-1.0.0.crate"));
    }
}
