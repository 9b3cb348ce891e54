// SPDX-License-Identifier: Apache-2.0
//! The machine's cargo: it fetches a crate as it fetches any dependency, and runs nothing of it.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
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

    /// Has cargo do something for a project that depends on a crate alone; gives the lock that it writes.
    async fn run(
        &self,
        what: &str,
        (name, version): (&str, &str),
        workplace: &Workplace,
    ) -> Result<String, InputsError> {
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
        command.env("CARGO_HOME", &self.home).current_dir(&project).args([what, "--quiet"]);
        let install = "install cargo (Debian and Ubuntu: apt install cargo)";
        let finished = workplace.run(command, FETCHING, self.time_limit, install).await?;
        if !finished.status.success() {
            return Err(refused(name, version.trim_start_matches('='), finished));
        }
        read_lock(project.join("Cargo.lock"))
    }

    /// The newest version of a crate that a project would get.
    pub(crate) async fn newest(&self, name: &str, workplace: &Workplace) -> Result<String, InputsError> {
        let lock = self.run("generate-lockfile", (name, "*"), workplace).await?;
        let why = || InputsError::Answer { doing: FETCHING, why: format!("its lock has no version of {name}") };
        picked(&lock, name).ok_or_else(why)
    }

    /// Fetches a version of a crate, and checks it against the SHA-256 that the registry's index gives.
    pub(super) async fn fetch(&self, name: &str, version: &str, workplace: &Workplace) -> Result<Fetched, InputsError> {
        let lock = self.run("fetch", (name, &format!("={version}")), workplace).await?;
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
        "[package]\nname = \"{PROJECT}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n\
         [dependencies]\nwanted = {{ package = \"{name}\", version = \"{version}\", default-features = false }}\n"
    )
}

fn refused(name: &str, version: &str, finished: crate::process::Finished) -> InputsError {
    // The same is said of what the crate depends on, and that is another matter.
    if !finished.said.contains(&format!("required by package `{PROJECT} v")) {
        return failed(FETCHING, finished);
    }
    let (name, version) = (name.to_owned(), version.to_owned());
    if finished.said.contains("no matching package named") {
        InputsError::UnknownPackage(name)
    } else if finished.said.contains(&format!("version {version} is yanked")) {
        InputsError::Yanked { name, version }
    } else if finished.said.contains("failed to select a version") {
        InputsError::NoCrateVersion { name, version }
    } else {
        failed(FETCHING, finished)
    }
}

/// The name of the project that depends on what is fetched.
const PROJECT: &str = "fetch";

/// The largest `Cargo.lock` that is read, in bytes.
const MAX_LOCK: u64 = 16 << 20;

fn read_lock(path: PathBuf) -> Result<String, InputsError> {
    let io_error = |source| InputsError::Io { path: path.clone(), source };
    let mut text = String::new();
    let read = fs::File::open(&path).and_then(|file| file.take(MAX_LOCK + 1).read_to_string(&mut text));
    let size = read.map_err(io_error)?;
    if u64::try_from(size).is_ok_and(|size| size <= MAX_LOCK) {
        Ok(text)
    } else {
        Err(InputsError::TooLarge { name: "Cargo.lock".into(), most: MAX_LOCK })
    }
}

/// The version of a crate that the one dependency of the project is. What that depends on may have other versions of it.
fn picked(lock: &str, name: &str) -> Option<String> {
    let lock: toml::Table = lock.parse().ok()?;
    let packages = lock.get("package")?.as_array()?;
    let of = |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let named = |name: &str| packages.iter().find(|package| of(package, "name").as_deref() == Some(name));
    let wanted = named(PROJECT)?.get("dependencies")?.as_array()?.first()?.as_str()?;
    // A version is said where there are several.
    wanted.split(' ').nth(1).map(str::to_owned).or_else(|| of(named(name)?, "version"))
}

/// The SHA-256 that a `Cargo.lock` has of a crate.
pub(crate) fn promised(lock: &str, name: &str, version: &str) -> Option<Sha256> {
    let lock: toml::Table = lock.parse().ok()?;
    let is_it = |package: &&toml::Value| {
        let of = |key: &str| package.get(key).and_then(toml::Value::as_str);
        of("name") == Some(name) && of("version") == Some(version)
    };
    lock.get("package")?.as_array()?.iter().find(is_it)?.get("checksum")?.as_str()?.parse().ok()
}

/// Where cargo keeps a crate: in a folder for each registry. The first that has these bytes.
#[expect(clippy::disallowed_methods, reason = "which of equal files is taken shows nowhere")]
pub(crate) fn cached(home: &Path, file: &str, promised: Sha256) -> Option<PathBuf> {
    let folders = fs::read_dir(home.join("registry/cache")).ok()?;
    let files = folders.flatten().map(|folder| folder.path().join(file)).filter(|path| path.is_file());
    let mut files = files.filter(|path| fs::read(path).is_ok_and(|bytes| Sha256::of(&bytes) == promised));
    files.next()
}

/// A whole version (Semantic Versioning 2.0.0), of at most 128 bytes.
pub(crate) fn is_version(text: &str) -> bool {
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
    fn the_version_that_was_picked_is_the_project_s_own_dependency() {
        let lock = |dependency: &str| {
            format!(
                "version = 4\n[[package]]\nname = 'a'\nversion = '0.9.0'\n[[package]]\nname = 'a'\nversion = '1.2.0'\n\
                 dependencies = ['a 0.9.0']\n[[package]]\nname = 'fetch'\nversion = '0.0.0'\ndependencies = ['{dependency}']\n"
            )
        };
        assert_eq!(picked(&lock("a 1.2.0"), "a"), Some("1.2.0".to_owned()));
        assert_eq!(picked(&lock("a"), "a"), Some("0.9.0".to_owned()));
        assert_eq!((picked(&lock("b"), "b"), picked("version = 4", "a")), (None, None));
    }

    #[test]
    fn the_largest_lock_is_read_and_no_larger_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Cargo.lock");
        let file = fs::File::create(&path).unwrap();
        file.set_len(16 << 20).unwrap();
        assert_eq!(read_lock(path.clone()).unwrap().len(), 16 << 20);
        file.set_len((16 << 20) + 1).unwrap();
        assert!(matches!(read_lock(path), Err(InputsError::TooLarge { .. })));
    }

    /// The texts are those of cargo 1.95.
    #[test]
    fn what_is_not_there_is_told_from_what_it_depends_on() {
        let refused = |said: &str| {
            let status = std::process::ExitStatus::default();
            refused("a", "1.0.0", crate::process::Finished { status, stdout: Vec::new(), said: said.into() })
        };
        let by = |package: &str, said: &str| format!("error: {said}\nrequired by package `{package} (/x)`");
        let other = "failed to select a version for the requirement `a = \"=1.0.0\"`\ncandidate versions found";
        let yanked = "failed to select a version for the requirement `a = \"=1.0.0\"`\n  version 1.0.0 is yanked";
        let none = "no matching package named `a` found";
        assert!(matches!(refused(&by("fetch v0.0.0", other)), InputsError::NoCrateVersion { .. }));
        assert!(matches!(refused(&by("fetch v0.0.0", yanked)), InputsError::Yanked { .. }));
        assert!(matches!(refused(&by("fetch v0.0.0", none)), InputsError::UnknownPackage(_)));
        for said in [other, yanked, none] {
            assert!(matches!(refused(&by("b v1.0.0", said)), InputsError::Failed { .. }), "{said}");
        }
        assert!(matches!(refused("error: no network"), InputsError::Failed { .. }));
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
