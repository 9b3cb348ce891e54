// SPDX-License-Identifier: Apache-2.0
//! The machine's apt, in a place of its own: its sources and keys are the machine's, what it knows as installed is nothing.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::architecture;
use super::lines::{Offered, offered};
use crate::InputsError;
use crate::process::Finished;
use crate::workplace::{Workplace, failed};

/// The machine's apt.
#[derive(Clone, Debug)]
pub struct Apt {
    /// The program `apt-get`, 2.6 or newer. Its configuration says which archives are asked, and whom it believes.
    pub program: PathBuf,
    /// All the environment variables that it gets; `None` for those of this process.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// How long each call may take.
    pub time_limit: Duration,
}

impl Apt {
    /// `program`, with this process's environment variables and thirty minutes a call.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), env: None, time_limit: Duration::from_secs(1800) }
    }
}

/// Debian's essential packages but for apt, which it counts as one, and what says that `/bin` and the like are links.
const BASE: [&str; 2] = ["?and(?essential,?not(?exact-name(apt)))", "usr-is-merged"];

/// What makes links of `/bin` and the like, where they are none: it runs in a whole system alone, and apt prefers it where it does
/// not know of [`BASE`].
const NEVER: &str = "usrmerge";

const UPDATING: &str = "reading the archive's indices with apt-get";
const RESOLVING: &str = "resolving packages with apt-get";
const FETCHING: &str = "fetching packages with apt-get";

/// An apt that has read the indices of one release.
pub(super) struct Session<'a> {
    apt: &'a Apt,
    release: String,
    workplace: Workplace,
    /// The file that has its sources, where those are not the machine's own.
    sources: Option<PathBuf>,
}

/// What apt is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knows {
    /// The packages for this machine.
    Packages,
    /// Their sources as well, whether the machine's apt is set up for these or not.
    Sources,
}

impl<'a> Session<'a> {
    /// Has it read them: of the release that is asked for, else of the first that the machine's apt is set up for.
    pub(super) async fn begin(
        apt: &'a Apt,
        release: Option<&str>,
        knows: Knows,
        workplace: Workplace,
    ) -> Result<Self, InputsError> {
        let mut session = Self { apt, release: String::new(), workplace, sources: None };
        for folder in ["tmp/lists/partial", "tmp/cache/archives/partial", "tmp/none"] {
            let path = session.workplace.path(folder);
            fs::create_dir_all(&path).map_err(|source| InputsError::Io { path, source })?;
        }
        session.workplace.write("status", &[])?;
        session.workplace.write("preferences", &[])?;
        let said = session.update().await?;
        let there = session.targets("$(CODENAME)").await?;
        if there.is_empty() {
            return Err(InputsError::NoDebianLists(complaint(&said)));
        }
        let first = || there.iter().find(|name| !name.contains('-')).cloned();
        let Some(release) = release.map(str::to_owned).or_else(first).filter(|release| there.contains(release)) else {
            return Err(InputsError::NoRelease { asked: release.unwrap_or("any").to_owned(), there });
        };
        // Nothing comes from another release, also where apt is set up for several.
        let pin =
            |which: String, priority: i32| format!("Package: *\nPin: release {which}\nPin-Priority: {priority}\n");
        let own = pin(format!("n=/^{release}(|-security|-updates)$/"), 500);
        let never = pin("a=*".into(), -1).replace("Package: *", &format!("Package: {NEVER}"));
        session.workplace.write("preferences", &[own, never, pin("a=*".into(), -1)])?;
        session.release = release;
        if knows == Knows::Sources {
            let mut lines = session.targets("deb $(SITE) $(RELEASE) $(COMPONENT)").await?;
            lines.extend(session.targets("deb-src $(SITE) $(RELEASE) $(COMPONENT)").await?);
            session.sources = Some(session.workplace.write("sources.list", &lines)?);
            session.update().await?;
        }
        Ok(session)
    }

    /// Has it read them, and gives what it says: without a network it says so, and ends well.
    async fn update(&self) -> Result<String, InputsError> {
        let finished = self.run(UPDATING, &["--quiet", "update"]).await?;
        if finished.status.success() { Ok(finished.said) } else { Err(failed(UPDATING, finished)) }
    }

    /// What apt says of each of its indices of packages, sorted, each once.
    async fn targets(&self, format: &str) -> Result<Vec<String>, InputsError> {
        let finished = self.run(UPDATING, &["indextargets", "--format", format, "Created-By: Packages"]).await?;
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let mut lines: Vec<String> = text.lines().map(clean).collect();
        lines.sort();
        lines.dedup();
        Ok(lines)
    }

    /// The release.
    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// The packages of these names, what they depend on, and the essential ones.
    pub(super) async fn resolve(&self, packages: &[String]) -> Result<Vec<Offered>, InputsError> {
        let named = packages.iter().map(String::as_str);
        self.offers(&["install"].into_iter().chain(BASE).chain(named).collect::<Vec<_>>()).await
    }

    /// What a command of apt's would fetch.
    pub(super) async fn offers(&self, command: &[&str]) -> Result<Vec<Offered>, InputsError> {
        let finished = self.run(RESOLVING, &[&["--quiet=2", "--yes", "--print-uris"], command].concat()).await?;
        if !finished.status.success() {
            return Err(match unknown(&finished.said) {
                Some(name) => InputsError::UnknownDebian { name, release: self.release.clone() },
                None => failed(RESOLVING, finished),
            });
        }
        offered(&String::from_utf8_lossy(&finished.stdout)).map_err(|why| InputsError::Answer { doing: RESOLVING, why })
    }

    /// Those of these packages that there are, each named with its version.
    pub(super) async fn exactly(&self, specs: &[String]) -> Result<Vec<Offered>, InputsError> {
        let arguments = ["--quiet=2", "--yes", "--print-uris", "download"].into_iter();
        let arguments: Vec<&str> = arguments.chain(specs.iter().map(String::as_str)).collect();
        let finished = self.run(RESOLVING, &arguments).await?;
        // It prints those that there are, and fails where there are others.
        let is_said = |words: &str| finished.said.contains(words);
        if finished.stdout.is_empty() && (is_said("was not found") || is_said("Unable to locate")) {
            return Ok(Vec::new());
        }
        if finished.stdout.is_empty() {
            return Err(failed(RESOLVING, finished));
        }
        offered(&String::from_utf8_lossy(&finished.stdout)).map_err(|why| InputsError::Answer { doing: RESOLVING, why })
    }

    /// Fetches the files of a source package into a folder of the workplace, whose path it gives.
    pub(super) async fn source(&self, spec: &str) -> Result<PathBuf, InputsError> {
        let folder = self.workplace.path("tmp/source");
        fs::create_dir_all(&folder).map_err(|source| InputsError::Io { path: folder.clone(), source })?;
        let arguments = ["--quiet=2", "--yes", "--download-only", "source", spec];
        let finished = self.run_in(FETCHING, &arguments, &folder).await?;
        if finished.status.success() {
            return Ok(folder);
        }
        let gone = finished.said.contains("404") || finished.said.contains("Unable to find a source package");
        Err(if gone { InputsError::NoDebianSource(spec.to_owned()) } else { failed(FETCHING, finished) })
    }

    /// Fetches packages; each is where [`Session::file`] says afterwards.
    pub(super) async fn download(&self, wanted: &[Offered]) -> Result<(), InputsError> {
        let specs: Vec<String> = wanted.iter().map(Offered::spec).collect();
        let arguments: Vec<&str> =
            ["--quiet=2", "--yes", "download"].into_iter().chain(specs.iter().map(String::as_str)).collect();
        let finished = self.run(FETCHING, &arguments).await?;
        if finished.status.success() {
            return Ok(());
        }
        let gone = finished.said.lines().find(|line| line.contains("was not found") || line.contains("No candidate"));
        Err(match gone {
            Some(line) => InputsError::GoneDebian(clean(line.trim_start_matches("E: "))),
            None => failed(FETCHING, finished),
        })
    }

    /// Where a package is that was fetched.
    pub(super) fn file(&self, offered: &Offered) -> PathBuf {
        self.workplace.file(&offered.downloaded_as())
    }

    pub(super) fn workplace(&self) -> &Workplace {
        &self.workplace
    }

    async fn run(&self, doing: &'static str, arguments: &[&str]) -> Result<Finished, InputsError> {
        self.run_in(doing, arguments, &self.workplace.path("files")).await
    }

    async fn run_in(&self, doing: &'static str, arguments: &[&str], directory: &Path) -> Result<Finished, InputsError> {
        let mut command = Command::new(&self.apt.program);
        if let Some(env) = &self.apt.env {
            command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
        }
        let place = |name: &str| self.workplace.path(name).display().to_string();
        let architecture = architecture()?;
        for option in [
            format!("Dir::State={}", place("tmp")),
            format!("Dir::State::Lists={}/", place("tmp/lists")),
            format!("Dir::State::status={}", place("status")),
            format!("Dir::State::extended_states={}", place("tmp/extended_states")),
            format!("Dir::Cache={}/", place("tmp/cache")),
            format!("Dir::Etc::Preferences={}", place("preferences")),
            format!("Dir::Etc::PreferencesParts={}/", place("tmp/none")),
            format!("APT::Architecture={architecture}"),
            format!("APT::Architectures={architecture}"),
            "APT::Install-Recommends=false".into(),
            "APT::Install-Suggests=false".into(),
            // The workplace is closed to other users.
            "APT::Sandbox::User=root".into(),
            "Acquire::ForceHash=SHA256".into(),
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            "Debug::NoLocking=true".into(),
        ] {
            command.args(["-o", &option]);
        }
        command.env("LC_ALL", "C").env("TMPDIR", self.workplace.path("tmp"));
        if let Some(sources) = &self.sources {
            command.arg("-o").arg(format!("Dir::Etc::SourceList={}", sources.display()));
            command.arg("-o").arg(format!("Dir::Etc::SourceParts={}/", place("tmp/none")));
        }
        command.current_dir(directory).args(arguments);
        self.workplace.run(command, doing, self.apt.time_limit, "install apt (a Debian machine has it)").await
    }
}

/// The package that apt says it does not have.
fn unknown(said: &str) -> Option<String> {
    let after = |line: &str, words: &str| line.split_once(words).map(|(_, rest)| clean(rest.trim_end_matches('\'')));
    said.lines().find_map(|line| {
        let quoted = || line.contains("has no installation candidate").then(|| line.split('\'').nth(1)).flatten();
        after(line, "Unable to locate package ").or_else(|| quoted().map(clean))
    })
}

/// What apt complains of first.
fn complaint(said: &str) -> String {
    let after = |line: &str| line.strip_prefix("W: ").or(line.strip_prefix("E: ")).map(clean);
    said.lines().find_map(after).unwrap_or_else(|| "it is not set up for any release".into())
}

/// A text from elsewhere as part of a message.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An essential package wants one of two, of which a system here has the other.
    #[tokio::test]
    async fn what_merges_usr_is_never_installed() {
        let dir = tempfile::tempdir().unwrap();
        let store = reprove_store::Store::open(&dir.path().join("store")).unwrap();
        let (apt, workplace) = (Apt::new("apt-get"), Workplace::new(&store).unwrap());
        let session = Session::begin(&apt, None, Knows::Packages, workplace).await.unwrap();
        let offers = session.offers(&["install", "init-system-helpers"]).await.unwrap();
        let has = |name: &str| offers.iter().any(|offered| offered.name == name);
        assert!(has("usr-is-merged") && !has(NEVER), "{offers:?}");
    }

    #[test]
    fn what_apt_does_not_have_is_named() {
        assert_eq!(unknown("E: Unable to locate package gccc").as_deref(), Some("gccc"));
        assert_eq!(unknown("x\nE: Package 'awk' has no installation candidate").as_deref(), Some("awk"));
        assert_eq!(unknown("E: Something else"), None);
        assert_eq!(complaint("x\nW: Failed to fetch y\u{1b}\nE: z"), "Failed to fetch y");
        assert_eq!(complaint("Reading package lists..."), "it is not set up for any release");
    }
}
