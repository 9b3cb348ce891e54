// SPDX-License-Identifier: Apache-2.0
//! The newest version of a package, as its ecosystem's own client picks it when nobody asks for one. Nothing of it is run.

use std::fs;

use reprove_model::PackageUrl;
use reprove_store::Store;
use serde::Deserialize;

use crate::workplace::{Workplace, failed};
use crate::{Cargo, InputsError, Npm, Pip};

const DOING: &str = "asking for the newest version";

/// What asks, for each type of packages.
#[derive(Clone, Copy, Debug)]
pub struct Askers<'a> {
    /// For `pkg:pypi`: the newest version with a wheel for the environment's Python.
    pub pip: &'a Pip,
    /// For `pkg:npm`: the version with the tag `latest`.
    pub npm: &'a Npm,
    /// For `pkg:cargo`: the newest that is not yanked, and no pre-release where there is another.
    pub cargo: &'a Cargo,
}

/// The package URL of the newest version of a package; `purl` names none.
///
/// # Errors
/// [`InputsError::NoVersion`] for a type of packages whose newest version nobody can say; see [`InputsError`].
pub async fn newest(askers: Askers<'_>, purl: &PackageUrl, store: &Store) -> Result<PackageUrl, InputsError> {
    let text = purl.to_string();
    if purl.version().is_some() || text.contains(['?', '#']) {
        return Err(InputsError::Qualified(text));
    }
    let versioned = |version: &str| -> Result<PackageUrl, InputsError> {
        let unreadable =
            |_| InputsError::Answer { doing: DOING, why: format!("{text} has no version that can be named") };
        let purl: PackageUrl = format!("{text}@{version}").parse().map_err(unreadable)?;
        crate::check(&purl)?;
        Ok(purl)
    };
    if !["pypi", "npm", "cargo"].contains(&purl.kind()) {
        return Err(InputsError::NoVersion(text));
    }
    // A name that the client would take for something else is none.
    versioned("1.0.0")?;
    let workplace = Workplace::new(store)?;
    let version = match purl.kind() {
        "pypi" => of_pypi(askers.pip, purl.name(), &workplace).await?,
        "npm" => of_npm(askers.npm, purl, &workplace).await?,
        _ => askers.cargo.newest(purl.name(), &workplace).await?,
    };
    // What a registry says is looked at as if somebody had typed it.
    versioned(&version)
}

/// `pip install --dry-run` fetches no more than metadata.
async fn of_pypi(pip: &Pip, name: &str, workplace: &Workplace) -> Result<String, InputsError> {
    #[derive(Deserialize)]
    struct Report {
        install: Vec<Installed>,
    }
    #[derive(Deserialize)]
    struct Installed {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        version: String,
    }
    let to = workplace.path("report.json");
    let report = format!("--report={}", to.display());
    let options =
        ["install", "--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:", &report, "--", name];
    pip.pip(DOING, workplace, None, &options.map(Into::into)).await?;
    let text = fs::read(&to).map_err(|source| InputsError::Io { path: to, source })?;
    let report: Report = serde_json::from_slice(&text).map_err(|error| wrong(&error.to_string()))?;
    report.install.into_iter().next().map(|one| one.metadata.version).ok_or_else(|| wrong("it names nothing"))
}

async fn of_npm(npm: &Npm, purl: &PackageUrl, workplace: &Workplace) -> Result<String, InputsError> {
    let name = match purl.namespace() {
        Some(scope) => format!("{scope}/{}", purl.name()),
        None => purl.name().to_owned(),
    };
    let finished = npm.run(DOING, workplace, &["view", &name, "version"]).await?;
    if !finished.status.success() {
        let missing = String::from_utf8_lossy(&finished.stdout).contains("E404");
        return Err(if missing { InputsError::UnknownPackage(name) } else { failed(DOING, finished) });
    }
    serde_json::from_slice(&finished.stdout).map_err(|error| wrong(&error.to_string()))
}

fn wrong(why: &str) -> InputsError {
    InputsError::Answer { doing: DOING, why: why.chars().filter(|c| !c.is_control()).take(200).collect() }
}
