// SPDX-License-Identifier: Apache-2.0
//! The machine's apt, in a place of its own: its sources and keys are the machine's, what it knows as installed is nothing.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use reprove_model::Debian;
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

const UPDATING: &str = "reading the archive's indices with apt-get";
const RESOLVING: &str = "resolving packages with apt-get";
const FETCHING: &str = "fetching packages with apt-get";

/// An apt that has read the indices of one release.
pub(super) struct Session<'a> {
    apt: &'a Apt,
    asked: &'a Debian,
    workplace: Workplace,
}

impl<'a> Session<'a> {
    /// Has it read them.
    pub(super) async fn begin(apt: &'a Apt, asked: &'a Debian, workplace: Workplace) -> Result<Self, InputsError> {
        let session = Self { apt, asked, workplace };
        for folder in ["tmp/lists/partial", "tmp/cache/archives/partial", "tmp/none"] {
            let path = session.workplace.path(folder);
            fs::create_dir_all(&path).map_err(|source| InputsError::Io { path, source })?;
        }
        session.workplace.write("status", &[])?;
        // Nothing comes from another release, also where apt is set up for several.
        let release = &asked.debian;
        let pin =
            |which: String, priority: i32| [format!("Package: *\nPin: release {which}\nPin-Priority: {priority}\n")];
        let own = pin(format!("n=/^{release}(|-security|-updates)$/"), 500);
        session.workplace.write("preferences", &[own, pin("a=*".into(), -1)].concat())?;
        let finished = session.run(UPDATING, &["--quiet", "update"]).await?;
        if !finished.status.success() {
            return Err(failed(UPDATING, finished));
        }
        session.has_release().await?;
        Ok(session)
    }

    async fn has_release(&self) -> Result<(), InputsError> {
        let finished = self.run(UPDATING, &["indextargets", "--format", "$(IDENTIFIER) $(CODENAME)"]).await?;
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let mut there: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix("Packages ")).map(clean).collect();
        if there.contains(&self.asked.debian) {
            return Ok(());
        }
        there.sort();
        there.dedup();
        Err(InputsError::NoRelease { asked: self.asked.debian.clone(), there })
    }

    /// The packages that are asked for, what they depend on, and the essential ones.
    pub(super) async fn resolve(&self) -> Result<Vec<Offered>, InputsError> {
        let named = self.asked.packages.iter().map(String::as_str);
        let arguments: Vec<&str> =
            ["--quiet=2", "--yes", "--print-uris", "install"].into_iter().chain(BASE).chain(named).collect();
        let finished = self.run(RESOLVING, &arguments).await?;
        if !finished.status.success() {
            return Err(match unknown(&finished.said) {
                Some(name) => InputsError::UnknownDebian { name, release: self.asked.debian.clone() },
                None => failed(RESOLVING, finished),
            });
        }
        offered(&String::from_utf8_lossy(&finished.stdout)).map_err(|why| InputsError::Answer { doing: RESOLVING, why })
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
        command.current_dir(self.workplace.path("files")).args(arguments);
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

/// A text from elsewhere as part of a message.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_does_not_have_is_named() {
        assert_eq!(unknown("E: Unable to locate package gccc").as_deref(), Some("gccc"));
        assert_eq!(unknown("x\nE: Package 'awk' has no installation candidate").as_deref(), Some("awk"));
        assert_eq!(unknown("E: Something else"), None);
    }
}
