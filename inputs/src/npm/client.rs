// SPDX-License-Identifier: Apache-2.0
//! The machine's npm: what a registry says of a version, and its tarball. It runs no script of any package.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reprove_model::{InputName, PackageUrl};
use serde::Deserialize;
use sha2::{Digest as _, Sha512};
use tokio::process::Command;

use crate::process::Finished;
use crate::workplace::{Fetched, Workplace, failed};
use crate::{InputsError, Note, blocking};

/// The machine's npm.
#[derive(Clone, Debug)]
pub struct Npm {
    /// The program, 7 or newer. Its configuration says which registry is asked, and how.
    pub program: PathBuf,
    /// All the environment variables that it gets; `None` for those of this process.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// How long each call may take.
    pub time_limit: Duration,
}

impl Npm {
    /// `program`, with this process's environment variables and ten minutes a call.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), env: None, time_limit: Duration::from_secs(600) }
    }

    pub(crate) async fn run(
        &self,
        doing: &'static str,
        place: &Workplace,
        arguments: &[&str],
    ) -> Result<Finished, InputsError> {
        let mut command = Command::new(&self.program);
        if let Some(env) = &self.env {
            command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
        }
        command.env("TMPDIR", place.path("tmp")).current_dir(place.path("tmp")).args(arguments);
        command.args(["--json", "--ignore-scripts", "--logs-max=0", "--no-update-notifier", "--no-color"]);
        let install = "install Node.js with npm (Debian and Ubuntu: apt install npm)";
        place.run(command, doing, self.time_limit, install).await
    }

    /// Fetches the tarball of one version, and checks it against the digest that the registry gives.
    pub(crate) async fn fetch(
        &self,
        version: &Version<'_>,
        name: InputName,
        workplace: &Workplace,
        notes: &(dyn Fn(Note) + Sync),
    ) -> Result<Fetched, InputsError> {
        let spec = version.spec();
        let asked = ["view", &spec, "name", "version", "dist.integrity"];
        let finished = self.run(ASKING, workplace, &asked).await?;
        let promised = match answer(finished, version)? {
            Answer::There(promised) => promised,
            Answer::NoVersion => return Err(self.unknown_version(version, workplace).await),
        };
        if promised.is_none() {
            notes(Note::Noticed(format!("the registry gives no SHA-512 for {spec}; it was not checked")));
        }
        // In a folder of its own, whatever npm calls it there.
        let folder = format!("tmp/{name}");
        let place = workplace.path(&folder);
        fs::create_dir(&place).map_err(|source| InputsError::Io { path: place.clone(), source })?;
        let destination = format!("--pack-destination={}", place.display());
        let finished = self.run(FETCHING, workplace, &["pack", &spec, &destination]).await?;
        if !finished.status.success() {
            return Err(refused(FETCHING, finished, version));
        }
        let workplace = workplace.clone();
        blocking::run(&place.clone(), move || {
            let path = workplace.file(name.as_str());
            take_only(&place, &path)?;
            let fetched = Fetched::check(name, &path, None)?;
            check(&fetched, promised)?;
            Ok::<_, InputsError>(fetched)
        })
        .await
    }

    /// Asks which versions there are.
    async fn unknown_version(&self, version: &Version<'_>, workplace: &Workplace) -> InputsError {
        let finished = self.run(ASKING, workplace, &["view", &version.package(), "versions"]).await;
        let all = finished.ok().and_then(|finished| serde_json::from_slice::<Vec<String>>(&finished.stdout).ok());
        let newest = all.unwrap_or_default().iter().rev().take(NEWEST).map(|text| clean(text)).collect();
        InputsError::UnknownVersion { name: version.package(), version: version.version.into(), newest }
    }
}

const ASKING: &str = "asking the registry with npm";
const FETCHING: &str = "fetching with npm";
/// How many versions are named to somebody who asks for one that is not there.
const NEWEST: usize = 5;

/// A package's version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version<'a> {
    pub(crate) scope: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
}

impl<'a> Version<'a> {
    /// Of a package URL that has one; `None` as with [`Version::new`].
    pub(crate) fn of(purl: &'a PackageUrl) -> Option<Self> {
        Self::new(purl.namespace(), purl.name(), purl.version()?)
    }

    /// `None` where npm could not take it, or would take it for something else.
    pub(crate) fn new(scope: Option<&'a str>, name: &'a str, version: &'a str) -> Option<Self> {
        let is_scope = scope.is_none_or(|scope| scope.strip_prefix('@').is_some_and(is_name));
        (is_scope && is_name(name) && is_version(version)).then_some(Self { scope, name, version })
    }

    /// `@SCOPE/NAME`.
    pub(crate) fn package(&self) -> String {
        self.scope.map_or_else(|| self.name.to_owned(), |scope| format!("{scope}/{}", self.name))
    }

    pub(crate) fn spec(&self) -> String {
        format!("{}@{}", self.package(), self.version)
    }

    /// What npm calls the tarball.
    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}.tgz", self.package().trim_start_matches('@').replace('/', "-"), self.version)
    }
}

/// A name without a scope: of characters that URLs keep as they are, and no option of a command.
fn is_name(name: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    (1..=214).contains(&name.len()) && name.chars().all(ok) && !name.starts_with(['-', '.'])
}

/// A whole version (semver.org 2.0), no range and no tag.
fn is_version(version: &str) -> bool {
    let (numbers, rest) = version.split_at(version.find(['-', '+']).unwrap_or(version.len()));
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let ok = |c: char| c.is_ascii_alphanumeric() || "-.+".contains(c);
    let parts: Vec<&str> = numbers.split('.').collect();
    version.len() <= 256 && parts.len() == 3 && parts.into_iter().all(is_number) && rest.chars().all(ok)
}

/// What a registry says of a version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is there, and its tarball has this SHA-512.
    There(Option<[u8; 64]>),
    /// The package is there, and the version is not.
    NoVersion,
}

#[derive(Deserialize)]
struct View {
    name: String,
    version: String,
    #[serde(rename = "dist.integrity")]
    integrity: Option<String>,
}

fn answer(finished: Finished, version: &Version<'_>) -> Result<Answer, InputsError> {
    if finished.status.success() {
        return said(&finished.stdout, version);
    }
    let is_no_version = error(&finished.stdout).is_some_and(|error| error.is_no_version());
    if is_no_version { Ok(Answer::NoVersion) } else { Err(refused(ASKING, finished, version)) }
}

/// Reads what `npm view` prints where it ends well.
pub(crate) fn said(stdout: &[u8], version: &Version<'_>) -> Result<Answer, InputsError> {
    // npm before 9 says nothing of a version that is not there.
    if stdout.trim_ascii().is_empty() {
        return Ok(Answer::NoVersion);
    }
    let unread = |why: &str| InputsError::Answer { doing: ASKING, why: clean(why) };
    let view: View = serde_json::from_slice(stdout).map_err(|error| unread(&error.to_string()))?;
    if view.name != version.package() || view.version != version.version {
        return Err(unread("it is about another package or version"));
    }
    let Some(integrity) = view.integrity else { return Ok(Answer::There(None)) };
    let sha512 = integrity.split_ascii_whitespace().find_map(|one| one.strip_prefix("sha512-"));
    let decoded = sha512.map(|text| BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok()));
    match decoded {
        None => Ok(Answer::There(None)),
        Some(Some(digest)) => Ok(Answer::There(Some(digest))),
        Some(None) => Err(unread("its SHA-512 is none")),
    }
}

/// The object that npm prints where it fails.
#[derive(Deserialize)]
struct Failure {
    error: Said,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    summary: String,
}

impl Said {
    fn is_no_version(&self) -> bool {
        (self.code == "E404" && self.summary.starts_with("No match found for version")) || self.code == "ETARGET"
    }
}

fn error(stdout: &[u8]) -> Option<Said> {
    serde_json::from_slice(stdout).ok().map(|Failure { error }| error)
}

/// Codes of what is between this machine and a registry, beside HTTP's.
const NETWORK: [&str; 12] = [
    "CERT_HAS_EXPIRED",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOTFOUND",
    "ENOTCACHED",
    "ERR_SOCKET_TIMEOUT",
    "ETIMEDOUT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
];

pub(crate) fn refused(doing: &'static str, finished: Finished, version: &Version<'_>) -> InputsError {
    let Some(Said { code, summary }) = error(&finished.stdout) else { return failed(doing, finished) };
    let is_http = code.len() == 4 && code.starts_with('E') && code.chars().skip(1).all(|c| c.is_ascii_digit());
    match code.as_str() {
        "E404" => InputsError::UnknownPackage(version.package()),
        "ENOSPC" => InputsError::FullDisk(nix::errno::Errno::ENOSPC.into()),
        "EINTEGRITY" => InputsError::Integrity(version.spec()),
        code if is_http || NETWORK.contains(&code) => InputsError::Unreachable(clean(&summary)),
        _ => failed(doing, finished),
    }
}

/// Moves the one file of a directory to `path`.
#[expect(clippy::disallowed_methods, reason = "there is to be one")]
fn take_only(directory: &Path, path: &Path) -> Result<(), InputsError> {
    let fail = |source| InputsError::Io { path: directory.to_owned(), source };
    let found: Vec<PathBuf> = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>())
        .map_err(fail)?;
    match found.as_slice() {
        [only] => fs::rename(only, path).map_err(fail),
        _ => Err(InputsError::Answer { doing: FETCHING, why: format!("it left {} files", found.len()) }),
    }
}

pub(crate) fn check(fetched: &Fetched, promised: Option<[u8; 64]>) -> Result<(), InputsError> {
    let Some(promised) = promised else { return Ok(()) };
    let fail = |source| InputsError::Io { path: fetched.path.clone(), source };
    let mut file = File::open(&fetched.path).map_err(fail)?;
    let (mut hash, mut buffer) = (Sha512::new(), vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut buffer).map_err(fail)?;
        if count == 0 {
            break;
        }
        hash.update(buffer.get(..count).unwrap_or_default());
    }
    let found: [u8; 64] = hash.finalize().into();
    if found == promised { Ok(()) } else { Err(InputsError::Integrity(fetched.name.to_string())) }
}

/// Text of the registry's, made harmless for a terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(1000).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use reprove_model::DigestSet;
    use reprove_store::Store;

    use super::*;

    const WANTED: Version<'static> = Version { scope: None, name: "a", version: "1.0.0" };

    #[test]
    fn only_a_whole_version_is_asked_for() {
        let spec = |purl: &str| Version::of(&purl.parse().unwrap()).map(|version| version.spec());
        assert_eq!(spec("pkg:npm/left-pad@1.3.0").unwrap(), "left-pad@1.3.0");
        assert_eq!(spec("pkg:npm/%40babel/core@8.0.0-rc.1").unwrap(), "@babel/core@8.0.0-rc.1");
        for bad in
            ["a@1", "a@latest", "a@1.0.0%20", "a@1.x.0", "a@1.0.0 - 2.0.0", "-g@1.0.0", "b/a@1.0.0", "%40/a@1.0.0"]
        {
            assert_eq!(
                format!("pkg:npm/{bad}").parse::<PackageUrl>().ok().as_ref().and_then(Version::of).map(|v| v.spec()),
                None,
                "{bad}"
            );
        }
        let named = |length: usize| is_name(&"a".repeat(length));
        assert!(named(1) && named(214) && !named(0) && !named(215));
        let long = |length: usize| is_version(&format!("1.0.0-{}", "a".repeat(length - 6)));
        assert!(long(256) && !long(257));
        let scoped = Version { scope: Some("@b"), ..WANTED };
        assert_eq!((WANTED.file_name(), scoped.file_name()), ("a-1.0.0.tgz".into(), "b-a-1.0.0.tgz".into()));
    }

    #[test]
    fn an_answer_is_about_what_was_asked() {
        let read = |text: &str| said(text.as_bytes(), &WANTED);
        let digest = BASE64.encode([7; 64]);
        let with = |integrity: &str| format!(r#"{{"name":"a","version":"1.0.0","dist.integrity":"{integrity}"}}"#);
        assert_eq!(read(&with(&format!("sha512-{digest}"))).unwrap(), Answer::There(Some([7; 64])));
        assert_eq!(read(&with(&format!("sha1-AAAA sha512-{digest}"))).unwrap(), Answer::There(Some([7; 64])));
        assert_eq!(read(&with("sha1-AAAA")).unwrap(), Answer::There(None));
        assert_eq!(read(r#"{"name":"a","version":"1.0.0"}"#).unwrap(), Answer::There(None));
        assert_eq!(read(" \n").unwrap(), Answer::NoVersion);
        for bad in [&with("sha512-AAAA"), &with("sha512-?"), "[]", r#"{"name":"b","version":"1.0.0"}"#] {
            assert!(matches!(read(bad), Err(InputsError::Answer { .. })), "{bad}");
        }
    }

    /// An npm that is a shell script.
    fn npm(dir: &Path, script: &str) -> Npm {
        let program = dir.join("npm");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Npm { time_limit: Duration::from_secs(60), ..Npm::new(program) }
    }

    async fn fetched(script: &str) -> Result<Fetched, InputsError> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let workplace = Workplace::new(&store).unwrap();
        npm(dir.path(), script).fetch(&WANTED, "a.tgz".parse().unwrap(), &workplace, &|_| {}).await
    }

    #[tokio::test]
    async fn what_is_fetched_is_what_was_promised() {
        let digest = BASE64.encode(Sha512::digest(b"abc"));
        let serve = |bytes: &str| {
            format!(
                "case $1 in view) echo '{{\"name\":\"a\",\"version\":\"1.0.0\",\"dist.integrity\":\"sha512-{digest}\"}}';;\n\
                 pack) printf {bytes} > \"${{3#*=}}/some.tgz\";; esac"
            )
        };
        assert_eq!(fetched(&serve("abc")).await.unwrap().digest, DigestSet::of(b"abc"));
        let other = fetched(&serve("abd")).await.unwrap_err();
        assert!(matches!(&other, InputsError::Integrity(name) if name == "a.tgz"), "{other}");
        let two = fetched(&format!("{}\ncase $1 in pack) touch \"${{3#*=}}/other\";; esac", serve("abc"))).await;
        assert!(matches!(two, Err(InputsError::Answer { .. })));
    }

    #[tokio::test]
    async fn each_failure_has_its_error() {
        let failing = async |code: &str, summary: &str| {
            let said = format!(r#"{{"error":{{"code":"{code}","summary":"{summary}","detail":""}}}}"#);
            fetched(&format!("case $3 in version) exit;; name) echo '{said}';; *) echo '[\"1.1.0\",\"2.0.0\"]'; exit 0;; esac; exit 1"))
                .await
                .unwrap_err()
        };
        for (code, summary, text) in [
            ("E404", "Not Found - GET a", "no package \"a\""),
            ("E404", "No match found for version 1.0.0", "a has no version 1.0.0; the newest are"),
            ("ECONNREFUSED", "refused\\u001b[31m", "can't be read: refused[31m"),
            ("E503", "busy", "can't be read: busy"),
            ("ENOSPC", "full", "No space left on device"),
            ("EINTEGRITY", "sha512", "its SHA-512 is another"),
            ("EWHAT", "what", "asking the registry with npm failed"),
        ] {
            let error = failing(code, summary).await.to_string();
            assert!(error.contains(text), "{error}");
        }
        let none = Npm::new("/nowhere/npm");
        let dir = tempfile::tempdir().unwrap();
        let workplace = Workplace::new(&Store::open(dir.path()).unwrap()).unwrap();
        let error = none.fetch(&WANTED, "a.tgz".parse().unwrap(), &workplace, &|_| {}).await.unwrap_err();
        assert!(error.to_string().contains("apt install npm"), "{error}");
    }
}
