// SPDX-License-Identifier: Apache-2.0
//! What builds a source: the `[build-system]` table of its `pyproject.toml` (PEP 517 and PEP 518).

use std::str::FromStr;

use reprove_model::TreePath;
use serde::Deserialize;
use thiserror::Error;
use toml::{Table, Value};

use super::requirement::Requirement;

/// Why a source's build back end can't be used.
#[derive(Debug, Error)]
pub enum BackendError {
    /// Not TOML, or not of the right shape.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Not UTF-8, or too long.
    #[error("it is not a text of at most {MAX_PYPROJECT} bytes")]
    NotText,
    /// A requirement that is not one, or not one that can be locked.
    #[error("the requirement {text:?} {why}")]
    Requirement {
        /// As it is written.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A back end that is no object's name.
    #[error("build-backend is {0:?}; it must be a dotted name of a module, and may name an object in it after `:`")]
    Name(String),
    /// A back end's path that leads out of the source.
    #[error("backend-path has {0:?}, which does not lead below the source")]
    Path(String),
    /// More of something than is read.
    #[error("it has more than {0} entries in requires or backend-path")]
    TooMany(usize),
}

/// The longest `pyproject.toml` that is read, in bytes.
pub(crate) const MAX_PYPROJECT: u64 = 1 << 20;
/// The most requirements, and the most paths, that one source may have.
const MAX_ENTRIES: usize = 200;

/// What builds a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    /// What has to be installed for it.
    pub(crate) requires: Vec<Requirement>,
    /// The back end: `module.path`, or `module.path:object.path`; ASCII letters, digits, `_`, `.` and at most one `:`.
    pub(crate) name: String,
    /// Directories of the source in which the back end itself is; none means that it is installed.
    pub(crate) path: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PyProject {
    build_system: Option<BuildSystem>,
    project: Option<Project>,
    tool: Option<Value>,
}

#[derive(Deserialize)]
struct Project {
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BuildSystem {
    requires: Vec<String>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

impl Backend {
    /// What builds a source that does not say: setuptools, as before PEP 517.
    pub(crate) fn legacy() -> Self {
        Self { requires: vec![Requirement::any("setuptools")], name: LEGACY.into(), path: vec![] }
    }
}

const LEGACY: &str = "setuptools.build_meta:__legacy__";

impl FromStr for Backend {
    type Err = BackendError;

    /// Reads a `pyproject.toml`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let PyProject { build_system, project, tool } = toml::from_str(text)?;
        let Some(mut system) = build_system else {
            return Ok(Self::legacy());
        };
        // What these ask for is asked for only once they run, but is written here.
        let tool = tool.filter(|_| system.build_backend.as_deref() == Some(HATCHLING));
        let hatch = tool.as_ref().map(HatchAsks::read).unwrap_or_default();
        // What can't be locked (`NAME @ {root:uri}/…`), a hook does not find, and says so.
        system.requires.extend(hatch.requires.into_iter().filter(|text| text.parse::<Requirement>().is_ok()));
        // A back end that lies in the source asks for what the source depends on.
        if !system.backend_path.is_empty() || hatch.with_the_project_s {
            system.requires.extend(project.map(|project| project.dependencies).unwrap_or_default());
        }
        if system.requires.len().max(system.backend_path.len()) > MAX_ENTRIES {
            return Err(BackendError::TooMany(MAX_ENTRIES));
        }
        let requires = system.requires.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let path = system.backend_path.into_iter().map(inside).collect::<Result<_, _>>()?;
        Ok(Self { requires, name: object_name(system.build_backend.unwrap_or_else(|| LEGACY.into()))?, path })
    }
}

const HATCHLING: &str = "hatchling.build";

/// What hatchling's hooks and targets ask for (hatch's documentation, "Build configuration" and "Build hooks").
#[derive(Debug, Default)]
struct HatchAsks {
    requires: Vec<String>,
    /// What the project depends on, too.
    with_the_project_s: bool,
}

impl HatchAsks {
    /// Reads the tables below `tool`; what is not of the right type, hatchling itself complains about. What the target says of a
    /// hook, or of what the project depends on, is said in place of what all targets say.
    fn read(tool: &Value) -> Self {
        let table = |of: Option<&Value>, name: &str| of.and_then(|value| value.get(name)).cloned();
        let build = table(table(Some(tool), "hatch").as_ref(), "build");
        let wheel = table(table(build.as_ref(), "targets").as_ref(), "wheel");
        let own = |name: &str| [&build, &wheel].map(|of| table(of.as_ref(), name));
        let mut hooks = Table::new();
        for of in own("hooks").into_iter().flatten() {
            hooks.extend(of.as_table().cloned().unwrap_or_default());
        }
        let is_on = |hook: &&Value| hook.get("enable-by-default").and_then(Value::as_bool) != Some(false);
        let hooks: Vec<&Value> = hooks.values().filter(is_on).collect();
        let listed = own("dependencies")
            .into_iter()
            .flatten()
            .chain(hooks.iter().filter_map(|hook| hook.get("dependencies").cloned()));
        let requires = listed.filter_map(|listed| listed.as_array().cloned()).flatten();
        let requires = requires.filter_map(|one| one.as_str().map(str::to_owned)).collect();
        let [of_all, of_wheels] = own(WITH_THE_PROJECT_S);
        let is_so = |value: Option<&Value>| value.and_then(Value::as_bool) == Some(true);
        let with_the_project_s =
            is_so(of_wheels.or(of_all).as_ref()) || hooks.iter().any(|hook| is_so(hook.get(WITH_THE_PROJECT_S)));
        Self { requires, with_the_project_s }
    }
}

const WITH_THE_PROJECT_S: &str = "require-runtime-dependencies";

fn object_name(text: String) -> Result<String, BackendError> {
    let identifier = |part: &str| {
        part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    let dotted = |path: &str| path.split('.').all(|part| !part.is_empty() && identifier(part));
    let ok = match text.split_once(':') {
        Some((module, object)) => dotted(module) && dotted(object),
        None => dotted(&text),
    };
    if ok && text.len() <= 256 { Ok(text) } else { Err(BackendError::Name(text.chars().take(200).collect())) }
}

fn inside(path: String) -> Result<String, BackendError> {
    let normal = path.strip_prefix("./").unwrap_or(&path).trim_end_matches('/');
    let plain = !normal.chars().any(char::is_control);
    if matches!(normal, "" | ".") && !path.starts_with('/') {
        return Ok(".".into());
    }
    match TreePath::new(normal) {
        Ok(_) if plain => Ok(normal.to_owned()),
        _ => Err(BackendError::Path(path.chars().take(200).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(text: &str) -> Result<Backend, BackendError> {
        text.parse()
    }

    fn requires(backend: &Backend) -> Vec<&str> {
        backend.requires.iter().map(Requirement::as_str).collect()
    }

    #[test]
    fn the_table_is_read() {
        let text =
            "[build-system]\nrequires = ['a>=1', 'b']\nbuild-backend = 'x.y:z.w'\nbackend-path = ['.', 'sub/']\n";
        let found = backend(text).unwrap();
        assert_eq!((requires(&found), found.name.as_str()), (vec!["a>=1", "b"], "x.y:z.w"));
        assert_eq!(found.path, [".", "sub"]);
    }

    #[test]
    fn what_is_not_said_is_as_the_standards_have_it() {
        assert_eq!(backend("[project]\nname = 'a'").unwrap(), Backend::legacy());
        assert_eq!(backend("").unwrap(), Backend::legacy());
        let no_backend = backend("[build-system]\nrequires = ['setuptools>=40']").unwrap();
        assert_eq!((requires(&no_backend), no_backend.name.as_str()), (vec!["setuptools>=40"], LEGACY));
        assert!(backend("[build-system]\nbuild-backend = 'a'").is_err());
    }

    #[test]
    fn what_hatchling_s_hooks_ask_for_is_asked_for() {
        let text = "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n\
            [project]\ndependencies = ['d']\n\
            [tool.hatch.build]\ndependencies = ['e']\n\
            [tool.hatch.build.hooks.custom]\ndependencies = ['babel']\n\
            [tool.hatch.build.hooks.mine]\ndependencies = ['no']\n\
            [tool.hatch.build.hooks.off]\nenable-by-default = false\ndependencies = ['no']\n\
            [tool.hatch.build.targets.wheel.hooks.mine]\ndependencies = ['f>=1', 'g']\n\
            [tool.hatch.build.targets.sdist.hooks.mine]\ndependencies = ['h']\n";
        assert_eq!(requires(&backend(text).unwrap()), ["hatchling", "e", "babel", "f>=1", "g"]);
        let with_own = text.replace("dependencies = ['babel']", "require-runtime-dependencies = true");
        assert_eq!(requires(&backend(&with_own).unwrap()), ["hatchling", "e", "f>=1", "g", "d"]);
        // Others do not read these.
        assert_eq!(requires(&backend(&text.replace("hatchling.build", "flit_core.buildapi")).unwrap()), ["hatchling"]);
        for odd in ["tool = 1", "[tool]\nhatch = [1]", "[tool.hatch.build]\nhooks = 1\ndependencies = [1]"] {
            let text = format!("{odd}\n[build-system]\nrequires = []\nbuild-backend = 'hatchling.build'\n");
            assert_eq!(requires(&backend(&text).unwrap()), Vec::<&str>::new(), "{odd}");
        }
        // What the target says stands in place of what is said of all.
        let of_all = text.replace("dependencies = ['e']", "require-runtime-dependencies = true");
        assert!(requires(&backend(&of_all).unwrap()).contains(&"d"));
        let not_of_wheels = format!("{of_all}[tool.hatch.build.targets.wheel]\nrequire-runtime-dependencies = false\n");
        assert!(!requires(&backend(&not_of_wheels).unwrap()).contains(&"d"));
        let unlocked = text.replace("'babel'", "'-r x', 'own @ {root:uri}/own'");
        assert_eq!(requires(&backend(&unlocked).unwrap()), ["hatchling", "e", "f>=1", "g"]);
    }

    #[test]
    fn what_could_be_something_else_is_refused() {
        for name in ["", "a;b", "a.b:", ":a", "a..b", "a b", "a:b:c", "1a", "a-b", "a'", "__import__('os')"] {
            let text = format!("[build-system]\nrequires = []\nbuild-backend = {name:?}");
            assert!(matches!(backend(&text), Err(BackendError::Name(_))), "{name}");
        }
        for path in ["/", "/etc", "..", "a/../../b", "a\\nb"] {
            let text = format!("[build-system]\nrequires = []\nbackend-path = [\"{path}\"]");
            assert!(matches!(backend(&text), Err(BackendError::Path(_))), "{path}");
        }
        assert!(matches!(backend("[build-system]\nrequires = ['-r x']"), Err(BackendError::Requirement { .. })));
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let many = |n: usize| backend(&format!("[build-system]\nrequires = [{}]", "'a',".repeat(n)));
        assert!(many(MAX_ENTRIES).is_ok());
        assert!(matches!(many(MAX_ENTRIES + 1), Err(BackendError::TooMany(_))));
        let paths =
            |n: usize| backend(&format!("[build-system]\nrequires = []\nbackend-path = [{}]", "'a',".repeat(n)));
        assert!(paths(MAX_ENTRIES).is_ok());
        assert!(matches!(paths(MAX_ENTRIES + 1), Err(BackendError::TooMany(_))));
        assert!(object_name("a".repeat(256)).is_ok());
        assert!(matches!(object_name("a".repeat(257)), Err(BackendError::Name(_))));
    }
}
