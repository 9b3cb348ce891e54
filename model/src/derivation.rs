// SPDX-License-Identifier: Apache-2.0
//! Recipes that are derivations, as Nix has them: one program in a folder of its own, which makes paths of a store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::recipe::value;
use crate::{Conditions, Environment, Recipe, RecipeError, Surroundings, Variation};

/// The store whose paths an environment is made of; which ones, the inputs say. What is built in it is a derivation: one program,
/// in the folder [`Closure::BUILD`], that makes paths of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Closure {
    /// The folder that it is, absolute: `/nix/store`.
    pub store: String,
}

impl Closure {
    /// Where every derivation is built, as Nix's own sandbox has it.
    pub const BUILD: &str = "/build";
    /// Where the runner has what the build can write to: the folder of its own, and the store.
    pub const BUILD_PATH: &str = "/reprove";
    /// The folders of the source that are [`Closure::BUILD`] and the store.
    pub const FOLDERS: [&str; 2] = ["build", "store"];

    /// Whether it can be a store's folder: of names that mean nothing else, and none of the places that a sandbox has.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        const TAKEN: [&str; 8] = ["build", "dev", "etc", "homes", "inputs", "proc", "reprove", "sys"];
        let ok = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && name.chars().all(ok);
        let mut names = self.store.strip_prefix('/').unwrap_or_default().split('/');
        self.store.len() <= 1024
            && names.clone().all(is_name)
            && names.next().is_some_and(|name| !TAKEN.contains(&name))
    }
}

impl Recipe {
    /// The environment variables of a build under these conditions, but for `SOURCE_DATE_EPOCH`. A derivation has those that
    /// it says, and is told how many processors there are.
    #[must_use]
    pub fn variables(&self, conditions: &Conditions) -> BTreeMap<String, String> {
        let mut variables = match &self.environment {
            Environment::Closure(_) => [("NIX_BUILD_CORES".to_owned(), conditions.processors.to_string())].into(),
            Environment::HostUsr | Environment::Debian(_) | Environment::Image(_) => conditions.variables(),
        };
        variables.extend(self.own_variables());
        variables
    }

    /// Whether a build can be under these conditions: a derivation has one folder, and no variable but its own.
    #[must_use]
    pub fn allows(&self, conditions: &Conditions) -> bool {
        let Environment::Closure(_) = &self.environment else { return true };
        let usual = Conditions { surroundings: Surroundings::default(), ..conditions.clone() };
        let mut seen = Variation::ALL.into_iter().filter(|variation| !variation.variables().is_empty());
        conditions.build_path == Closure::BUILD_PATH && seen.all(|seen| conditions.with(seen, &usual) == *conditions)
    }

    /// Checks what a derivation has to have.
    pub(crate) fn check_derivation(&self, closure: &Closure) -> Result<(), RecipeError> {
        if !self.dependencies.is_empty() {
            return Err(value("dependencies", "are those of a build with steps; a derivation has its own"));
        }
        if !closure.is_possible() {
            return Err(value("environment.store", "must be a store's folder, such as `/nix/store`"));
        }
        if !self.build.steps.is_empty() || self.build.program.is_empty() {
            return Err(value(
                "build.program",
                "must be there, and no `build.steps`, where the environment is a store's",
            ));
        }
        if self.build.program.iter().any(|word| word.contains('\0')) {
            return Err(value("build.program", "must not hold a NUL"));
        }
        if self.outputs.nar.is_none() || self.outputs.paths.iter().any(|path| !path.starts_with("store/")) {
            return Err(value("outputs", "must have `nar`, and `paths` in the folder `store`"));
        }
        match self
            .build
            .env
            .iter()
            .find(|(name, text)| name.is_empty() || name.contains(['=', '\0']) || text.contains('\0'))
        {
            Some((name, _)) => {
                Err(value("build.env", &format!("has {name:?}, which is no variable of an environment")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, FileOrder};

    const TEXT: &str = r#"
        [package]
        name = "hello"
        [source]
        directory = "."
        [environment]
        store = "/nix/store"
        [build]
        program = ["/nix/store/x/bin/sh", "-c", "make"]
        env = { "a-b" = "any name" }
        [outputs]
        paths = ["store/x-hello"]
        nar = "hello.nar"
    "#;

    #[test]
    fn a_derivation_is_a_program_and_packed_paths() {
        let recipe = Recipe::from_toml(TEXT).unwrap();
        assert_eq!(recipe.environment, Environment::Closure(Closure { store: "/nix/store".into() }));
        assert_eq!(recipe.commands(), [["/nix/store/x/bin/sh", "-c", "make"]]);
        let json = crate::canonical::to_vec(&recipe).unwrap();
        assert_eq!(crate::canonical::from_slice::<Recipe>(&json).unwrap(), recipe);
        for (from, to, field) in [
            ("program = [\"/nix/store/x/bin/sh\", \"-c\", \"make\"]", "steps = [\"make\"]", "build.program"),
            ("program = ", "steps = [\"make\"]\nprogram = ", "build.program"),
            ("\"make\"]", "\"ma\\u0000ke\"]", "build.program"),
            ("nar = \"hello.nar\"", "", "outputs"),
            ("\"store/x-hello\"", "\"out\"", "outputs"),
            ("\"a-b\"", "\"a=b\"", "build.env"),
            ("\"a-b\"", "SOURCE_DATE_EPOCH", "source-date-epoch"),
            ("/nix/store\"\n", "nix/store\"\n", "environment.store"),
            ("store = \"/nix/store\"", "debian = \"bookworm\"", "environment"),
            ("store = \"/nix/store\"", "store = \"/nix/store\"\ndebian = \"bookworm\"", "or `store`"),
            ("[build]", "[dependencies]\ncargo = \"Cargo.lock\"\n[build]", "dependencies"),
        ] {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT, "{from}");
            let error = Recipe::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(field), "{to}: {error}");
        }
    }

    #[test]
    fn a_store_is_where_nothing_else_is() {
        let is_possible = |store: &str| Closure { store: store.into() }.is_possible();
        for good in ["/nix/store", "/gnu/store", "/tmp/a.b/c", &format!("/{}", "s".repeat(1023))] {
            assert!(is_possible(good), "{good}");
        }
        for bad in ["", "/", "nix", "/nix/", "/nix//store", "/build", "/proc/x", "/reprove/x", "/a/../b", "/a b", "/.x"]
        {
            assert!(!is_possible(bad), "{bad}");
        }
        assert!(!is_possible(&format!("/{}", "s".repeat(1024))));
    }

    #[test]
    fn a_derivation_has_one_folder_and_its_own_variables() {
        let recipe = Recipe::from_toml(TEXT).unwrap();
        let conditions = Conditions {
            build_path: Closure::BUILD_PATH.into(),
            hostname: "h".into(),
            processors: 3,
            file_order: FileOrder::Sorted,
            clock: Clock::Host,
            surroundings: Surroundings { umask: Some(2), ..Surroundings::default() },
        };
        let variables = recipe.variables(&conditions);
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        assert_eq!(
            (names.as_slice(), variables["NIX_BUILD_CORES"].as_str()),
            (["NIX_BUILD_CORES", "a-b"].as_slice(), "3")
        );
        assert!(recipe.allows(&conditions));
        let elsewhere = Conditions { build_path: "/build/first".into(), ..conditions.clone() };
        let surroundings = Surroundings { time_zone: Some("GMT".into()), ..Surroundings::default() };
        let with_variable = Conditions { surroundings, ..conditions };
        assert!(!recipe.allows(&elsewhere) && !recipe.allows(&with_variable));
        let text = TEXT
            .replace("store = \"/nix/store\"", "debian = \"bookworm\"")
            .replace("program = [\"/nix/store/x/bin/sh\", \"-c\", ", "steps = [");
        let text = text.replace("nar = \"hello.nar\"", "").replace("\"a-b\"", "ab");
        assert!(Recipe::from_toml(&text).unwrap().allows(&with_variable));
    }
}
