// SPDX-License-Identifier: Apache-2.0
//! Dependencies: the lock files of a project by which an ecosystem's own client knows, with a checksum for each, what the project
//! depends on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::recipe::value;
use crate::{Recipe, RecipeError, Source, TreePath};

/// The lock files whose packages a build is to have, each by its path below the source.
///
/// Every package that one names is an input of the role [`Role::Dependency`](crate::Role::Dependency). Before the recipe's steps,
/// they are laid out below [`Dependencies::FOLDER`] so that the ecosystem's client finds them without a network, which it is told by
/// environment variables; pip takes them from where inputs are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Dependencies {
    /// A `Cargo.lock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cargo: Option<String>,
    /// A `package-lock.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub npm: Option<String>,
    /// A requirements file of pip's, with a hash of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pip: Option<String>,
}

/// Whose lock file one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    /// Rust's cargo.
    Cargo,
    /// JavaScript's npm.
    Npm,
    /// Python's pip.
    Pip,
}

impl Ecosystem {
    /// What the recipe calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Npm => "npm",
            Self::Pip => "pip",
        }
    }

    /// The input that lays its packages out; none where the client takes them as they are.
    #[must_use]
    pub fn script(self) -> Option<&'static str> {
        match self {
            Self::Cargo => Some("dependencies-cargo.sh"),
            Self::Npm => Some("dependencies-npm.js"),
            Self::Pip => None,
        }
    }

    /// The command that does so, for a lock file.
    fn step(self, lock_file: &str) -> Option<String> {
        let program = if self == Self::Npm { "node" } else { "sh" };
        Some(format!("{program} /inputs/{} {lock_file} {}", self.script()?, self.folder()))
    }

    /// Where they are laid out.
    fn folder(self) -> String {
        format!("{}/{}", Dependencies::FOLDER, self.name())
    }

    /// What tells the client to look there, and nowhere else.
    fn variables(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Cargo => vec![("CARGO_HOME", self.folder()), ("CARGO_NET_OFFLINE", "true".into())],
            Self::Npm => vec![
                ("npm_config_audit", "false".into()),
                ("npm_config_cache", self.folder()),
                ("npm_config_fund", "false".into()),
                ("npm_config_offline", "true".into()),
                // By this name the cache has what a lock file does not say the address of.
                ("npm_config_registry", "http://registry.invalid/".into()),
                ("npm_config_update_notifier", "false".into()),
            ],
            Self::Pip => vec![("PIP_FIND_LINKS", "/inputs".into()), ("PIP_NO_INDEX", "1".into())],
        }
    }
}

impl Dependencies {
    /// Where they are laid out in a build; the same in each, so that it is no condition that could matter.
    pub const FOLDER: &str = "/tmp/dependencies";

    /// Whether a build has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock_files().next().is_none()
    }

    /// Whose lock files there are, and where each is.
    pub fn lock_files(&self) -> impl Iterator<Item = (Ecosystem, &str)> {
        let Self { cargo, npm, pip } = self;
        let all = [(Ecosystem::Cargo, cargo), (Ecosystem::Npm, npm), (Ecosystem::Pip, pip)];
        all.into_iter().filter_map(|(ecosystem, path)| Some((ecosystem, path.as_deref()?)))
    }

    /// The commands that lay them out, before those of the recipe.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        self.lock_files().filter_map(|(ecosystem, path)| ecosystem.step(path)).collect()
    }

    /// The environment variables that tell the clients of them.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let all = self.lock_files().flat_map(|(ecosystem, _)| ecosystem.variables());
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What can't be, where something can't: the field's name, and why.
    pub(crate) fn wrong(&self) -> Option<(String, String)> {
        let ok = |c: char| c.is_ascii_alphanumeric() || "._+/-".contains(c);
        let (ecosystem, _) = self.lock_files().find(|(_, path)| {
            TreePath::new(*path).is_err() || path.len() > 255 || path.starts_with('-') || !path.chars().all(ok)
        })?;
        let why =
            "must be the path of a file below the source, of at most 255 letters, digits, `.`, `_`, `+`, `-` and `/`";
        Some((format!("dependencies.{}", ecosystem.name()), why.into()))
    }
}

impl Recipe {
    /// The environment variables that the recipe decides: its own, and those that tell clients where dependencies are.
    #[must_use]
    pub fn own_variables(&self) -> BTreeMap<String, String> {
        let mut all = self.dependencies.variables();
        all.extend(self.build.env.clone());
        all
    }

    pub(crate) fn check_dependencies(&self) -> Result<(), RecipeError> {
        if let Some((field, why)) = self.dependencies.wrong() {
            return Err(value(&field, &why));
        }
        if !self.dependencies.is_empty() && matches!(self.source, Source::Package(_)) {
            return Err(value("dependencies", "are those of a directory; the source is a package"));
        }
        let set = self.dependencies.variables();
        match self.build.env.keys().find(|name| set.contains_key(*name)) {
            Some(name) => {
                Err(value(&format!("build.env.{name}"), "is set by what `dependencies` asks for; leave it out"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Recipe;

    fn recipe(table: &str, env: &str) -> Result<Recipe, String> {
        let text = format!(
            "package.name='p'\nsource.directory='.'\nbuild.steps=['true']\noutputs.directory='out'\n{env}\n[dependencies]\n{table}"
        );
        Recipe::from_toml(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_lays_out_runs_before_the_steps_and_says_where() {
        let table = "cargo='Cargo.lock'\nnpm='web/package-lock.json'\npip='requirements.txt'";
        let found = recipe(table, "").unwrap();
        let commands: Vec<String> = found.commands().into_iter().map(|command| command[2].clone()).collect();
        assert_eq!(
            commands,
            [
                "sh /inputs/dependencies-cargo.sh Cargo.lock /tmp/dependencies/cargo",
                "node /inputs/dependencies-npm.js web/package-lock.json /tmp/dependencies/npm",
                "true",
            ]
        );
        let variables = found.own_variables();
        assert_eq!(variables["CARGO_HOME"], "/tmp/dependencies/cargo");
        assert_eq!((variables["PIP_FIND_LINKS"].as_str(), variables["PIP_NO_INDEX"].as_str()), ("/inputs", "1"));
        let json = crate::canonical::to_vec(&found).unwrap();
        assert_eq!(crate::canonical::from_slice::<Recipe>(&json).unwrap(), found);
        let none = recipe("", "").unwrap();
        assert!(none.dependencies.is_empty() && none.own_variables().is_empty() && none.commands().len() == 1);
        assert!(!crate::canonical::to_vec(&none).unwrap().windows(12).any(|found| found == b"dependencies"));
    }

    #[test]
    fn a_lock_file_is_below_the_source_and_means_nothing_to_a_shell() {
        for bad in ["/Cargo.lock", "../Cargo.lock", "a b", "a;b", "$x", "-x", "", &"n".repeat(256)] {
            let error = recipe(&format!("cargo=\"{bad}\""), "").unwrap_err();
            assert!(error.contains("dependencies.cargo"), "{bad}: {error}");
        }
        assert!(recipe(&format!("cargo='{}'", "n".repeat(255)), "").is_ok());
        assert!(recipe("gem='Gemfile.lock'", "").is_err());
    }

    #[test]
    fn a_variable_is_not_set_twice_and_a_package_has_no_lock_files() {
        let error = recipe("cargo='Cargo.lock'", "build.env={CARGO_HOME='/x'}").unwrap_err();
        assert!(error.contains("build.env.CARGO_HOME") && error.contains("dependencies"), "{error}");
        assert!(recipe("npm='package-lock.json'", "build.env={CARGO_HOME='/x'}").is_ok());
        let mut of_package = recipe("cargo='Cargo.lock'", "").unwrap();
        of_package.source = crate::Source::Package("pkg:cargo/a@1.0.0".parse().unwrap());
        assert!(of_package.check().unwrap_err().to_string().contains("`dependencies`"));
    }
}
