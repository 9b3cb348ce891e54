// SPDX-License-Identifier: Apache-2.0
//! The machine's skopeo, which fetches from registries.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reprove_model::Sha256;
use tokio::process::Command;

use crate::InputsError;
use crate::process::Finished;
use crate::workplace::{Workplace, failed};

/// The machine's skopeo.
#[derive(Clone, Debug)]
pub struct Skopeo {
    /// The program, 1.9 or newer. Its configuration says which registries it may ask, with which credentials and mirrors.
    pub program: PathBuf,
    /// All the environment variables that it gets; `None` for those of this process.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// How long each call may take.
    pub time_limit: Duration,
}

impl Skopeo {
    /// `program`, with this process's environment variables and thirty minutes a call.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), env: None, time_limit: Duration::from_secs(1800) }
    }
}

const INSTALL: &str = "install it (Debian and Ubuntu: apt install skopeo)";
const ASKING: &str = "asking a registry with skopeo";
const FETCHING: &str = "fetching an image with skopeo";

/// A repository of a registry, and a place to fetch to.
pub(super) struct Repository {
    pub(super) skopeo: Skopeo,
    pub(super) host: String,
    pub(super) name: String,
    pub(super) workplace: Workplace,
}

impl Repository {
    /// The document of that tag, or of that digest (`:TAG`, `@sha256:…`), as the registry has it.
    pub(super) async fn raw(&self, which: &str) -> Result<Vec<u8>, InputsError> {
        let verify = format!("--tls-verify={}", !is_loopback(&self.host));
        let finished = self.run(ASKING, &["inspect", "--raw", &verify, &self.reference(which)]).await?;
        Ok(finished.stdout)
    }

    /// Fetches the manifest of that digest with all its blobs, each under its digest, into the directory that is given back.
    pub(super) async fn fetch(&self, manifest: &Sha256) -> Result<PathBuf, InputsError> {
        let to = self.workplace.file("image");
        let verify = format!("--src-tls-verify={}", !is_loopback(&self.host));
        let (from, into) = (self.reference(&format!("@sha256:{manifest}")), directory(&to));
        self.run(FETCHING, &["copy", "--quiet", "--preserve-digests", &verify, &from, &into]).await?;
        Ok(to)
    }

    fn reference(&self, which: &str) -> String {
        format!("docker://{}/{}{which}", self.host, self.name)
    }

    async fn run(&self, doing: &'static str, arguments: &[&str]) -> Result<Finished, InputsError> {
        let mut command = Command::new(&self.skopeo.program);
        if let Some(env) = &self.skopeo.env {
            command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
        }
        command.args(arguments).env("TMPDIR", self.workplace.path("tmp"));
        let finished = self.workplace.run(command, doing, self.skopeo.time_limit, INSTALL).await?;
        if finished.status.success() { Ok(finished) } else { Err(failed(doing, finished)) }
    }
}

fn directory(path: &Path) -> String {
    format!("dir:{}", path.display())
}

/// Whether it is this machine: only then is it asked without encryption, where it has none.
pub(super) fn is_loopback(host: &str) -> bool {
    let domain = host.split(':').next().unwrap_or(host);
    let address = domain.parse::<std::net::Ipv4Addr>();
    domain == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_encryption() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.255.0.1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "127.0.0.1.example:5000", "10.0.0.1", "registry.example", "128.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
