// SPDX-License-Identifier: Apache-2.0
//! Recipes: what to build, as `reprove.toml` says it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::de::DeTable;

use crate::{Dependencies, Environment, InputName, Node, Tree, TreePath, Variation};

/// What to build. In a file it is TOML; inside statements it is JSON of the same shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recipe {
    /// What the outputs are called.
    pub package: Package,
    /// Where the source comes from.
    pub source: Source,
    /// The root filesystem that the build sees.
    #[serde(default)]
    pub environment: Environment,
    /// What is fetched before, by lock files of the source.
    #[serde(default, skip_serializing_if = "Dependencies::is_empty")]
    pub dependencies: Dependencies,
    /// What is run.
    pub build: Build,
    /// What is kept of the result.
    pub outputs: Outputs,
    /// What the build may use.
    #[serde(default)]
    pub limits: Limits,
    /// Which conditions are the same in each build, though they are not to matter, and why; one line each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<Variation, String>,
}

/// What the outputs are called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Package {
    /// A name: letters, digits, `.`, `_`, `+` and `-`.
    pub name: String,
    /// A version, of the same characters and `~`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Where the source comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// A directory, relative to the recipe's. Files that Git ignores are left out where it is a Git work tree.
    Directory(String),
    /// A published source archive, by package URL; it is unpacked without its top directory.
    Package(crate::PackageUrl),
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Build {
    /// Shell commands; each is run by `/bin/sh -ec` in the build directory's `source` folder, one after the other.
    #[serde(default)]
    pub steps: Vec<String>,
    /// In place of them, of a derivation: its builder and the arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub program: Vec<String>,
    /// Environment variables, beyond those that the runner fixes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What `SOURCE_DATE_EPOCH` is.
    #[serde(default)]
    pub source_date_epoch: EpochRule,
    /// Whether the runner answers for the clock, entropy and the machine, the same for every build of the recipe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deterministic: bool,
    /// Whether the build's own loopback device is up, for what speaks to itself by 127.0.0.1. It leads nowhere else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loopback: bool,
}

/// What `SOURCE_DATE_EPOCH` (the reproducible-builds.org specification of that name) is for the build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochRule {
    /// Not set.
    #[default]
    Unset,
    /// Seconds since 1970-01-01T00:00:00Z.
    At(u64),
    /// Not known: tried first not set, then as the most common timestamp in the published artifact. Which one was used,
    /// and that it was derived from the artifact, is part of the verdict.
    Search,
}

/// What is kept of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Outputs {
    /// A directory below `source`, all of whose files are outputs; or
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// files and directories below `source`, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Whether set-user-id, set-group-id and sticky bits are kept, as part of a mode. Without it, an output that has one
    /// is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub set_id: bool,
    /// What the one output is called that `paths` are packed into, as Nix does: of one path, its NAR; of several, that of a
    /// folder with them in it. Of a derivation, whose paths are in the folder `store`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nar: Option<InputName>,
}

impl Outputs {
    /// The first output that is in `source` already, or that something in `source` is in the way of: a build that did
    /// nothing would give such an output back, the same each time, and so must not be run. Directories of the source that
    /// an output is to be in are in nobody's way.
    #[must_use]
    pub fn already_in(&self, source: &Tree) -> Option<&str> {
        let entries = source.entries();
        let is_there = |text: &&str| {
            // What is no path is in no tree; `Recipe::check` refuses it.
            let Ok(path) = TreePath::new(*text) else { return false };
            let mut above = std::iter::successors(path.parent(), TreePath::parent);
            entries.contains_key(&path)
                || above.any(|above| entries.get(&above).is_some_and(|node| !matches!(node, Node::Directory { .. })))
        };
        self.directory.iter().chain(&self.paths).map(String::as_str).find(is_there)
    }
}

/// What the build may use; past any of these it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Wall-clock time of all steps together, in seconds.
    pub seconds: u32,
    /// Memory, in MiB; what the build writes counts too.
    pub memory_mib: u32,
    /// What the build directory, `/tmp` and `/dev/shm` may hold together, in MiB: they are one file system.
    pub disk_mib: u32,
    /// Processes and threads at one time.
    pub processes: u32,
    /// What is kept of the log, in MiB. More is read and dropped.
    pub log_mib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { seconds: 1800, memory_mib: 8192, disk_mib: 4096, processes: 2048, log_mib: 64 }
    }
}

/// Why a text is no recipe.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// Not TOML, or not of a recipe's shape; the text says line, column and what was expected.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Of the right shape, with a value that can't be.
    #[error("{}`{field}` {why}", at(*.line))]
    Value {
        /// Which one, as a dotted path.
        field: String,
        /// What is wrong with it, and what it should be.
        why: String,
        /// In which line of the text it is, from 1, where there is a text that has it.
        line: Option<usize>,
    },
    /// Longer than [`Recipe::MAX_BYTES`].
    #[error("it has {0} bytes; a recipe has at most {max}", max = Recipe::MAX_BYTES)]
    TooLong(usize),
}

impl Recipe {
    /// The longest recipe that is read, in bytes.
    pub const MAX_BYTES: usize = 1 << 20;

    /// Reads a `reprove.toml`.
    ///
    /// # Errors
    /// See [`RecipeError`].
    pub fn from_toml(text: &str) -> Result<Self, RecipeError> {
        if text.len() > Self::MAX_BYTES {
            return Err(RecipeError::TooLong(text.len()));
        }
        let recipe: Self = toml::from_str(text)?;
        match recipe.check() {
            Ok(()) => Ok(recipe),
            Err(RecipeError::Value { field, why, .. }) => {
                let line = line_of(&field, text);
                Err(RecipeError::Value { field, why, line })
            }
            Err(error) => Err(error),
        }
    }

    /// The argument vector of each command, those that lay out dependencies first: what a runner runs, and what an audit expects
    /// that it ran.
    #[must_use]
    pub fn commands(&self) -> Vec<Vec<String>> {
        if !self.build.program.is_empty() {
            return vec![self.build.program.clone()];
        }
        let steps = self.dependencies.steps().into_iter().chain(self.build.steps.iter().cloned());
        steps.map(|step| vec!["/bin/sh".into(), "-ec".into(), step]).collect()
    }

    /// Checks what the shape alone can't say. Recipes that come as JSON are checked with it too.
    ///
    /// # Errors
    /// [`RecipeError::Value`], for the first value that can't be.
    pub fn check(&self) -> Result<(), RecipeError> {
        word("package.name", &self.package.name, "._+-", "`.`, `_`, `+` or `-`")?;
        if let Some(version) = &self.package.version {
            word("package.version", version, "._+-~", "`.`, `_`, `+`, `-` or `~`")?;
        }
        if let Source::Directory(directory) = &self.source
            && directory != "."
        {
            inside("source.directory", directory)?;
        }
        if let Environment::Debian(debian) = &self.environment
            && let Some((field, why)) = debian.wrong()
        {
            return Err(value(field, &why));
        }
        self.check_dependencies()?;
        match &self.environment {
            Environment::Closure(closure) => self.check_derivation(closure)?,
            Environment::HostUsr | Environment::Debian(_) | Environment::Image(_) => self.check_steps()?,
        }
        self.check_build()?;
        for (variation, reason) in &self.pinned {
            if reason.trim().is_empty() || reason.len() > 200 || reason.contains(char::is_control) {
                return Err(value(&format!("pinned.{variation}"), "must say why, in one line of at most 200 bytes"));
            }
        }
        match (&self.outputs.directory, self.outputs.paths.as_slice()) {
            (None, []) => return Err(value("outputs", "names nothing; give `directory` or `paths`")),
            (Some(_), [_, ..]) => return Err(value("outputs", "has both `directory` and `paths`; give one of them")),
            (Some(directory), []) => inside("outputs.directory", directory)?,
            (None, paths) => paths.iter().try_for_each(|path| inside("outputs.paths", path))?,
        }
        self.check_limits()
    }

    fn check_steps(&self) -> Result<(), RecipeError> {
        if !self.build.program.is_empty() || self.outputs.nar.is_some() {
            return Err(value("environment", "must be a store's where there is `build.program` or `outputs.nar`"));
        }
        if self.build.steps.is_empty() || self.build.steps.iter().any(|step| step.trim().is_empty()) {
            return Err(value("build.steps", "must have at least one command, and no empty one"));
        }
        if self.build.steps.iter().any(|step| step.contains('\0')) {
            return Err(value("build.steps", "must not hold a NUL"));
        }
        for (name, text) in &self.build.env {
            let ok = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let field = format!("build.env.{name}");
            if name.is_empty() || !name.chars().all(ok) || name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(value(&field, "must be a name of letters, digits and `_`"));
            }
            if text.contains('\0') {
                return Err(value(&field, "must not hold a NUL"));
            }
        }
        Ok(())
    }

    fn check_build(&self) -> Result<(), RecipeError> {
        if self.build.env.contains_key("SOURCE_DATE_EPOCH") {
            return Err(value("build.env.SOURCE_DATE_EPOCH", "is set with `build.source-date-epoch`"));
        }
        if let EpochRule::At(seconds) = self.build.source_date_epoch
            && seconds > MAX_EPOCH
        {
            return Err(value("build.source-date-epoch", "must be at most 253402300799, the end of the year 9999"));
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), RecipeError> {
        let Limits { seconds, memory_mib, disk_mib, processes, log_mib } = self.limits;
        for (field, number, least, most) in [
            ("limits.seconds", seconds, 1, 604_800),
            ("limits.memory-mib", memory_mib, 16, 16 << 20),
            ("limits.disk-mib", disk_mib, 1, 16 << 20),
            ("limits.processes", processes, 4, 4 << 20),
            ("limits.log-mib", log_mib, 1, 1024),
        ] {
            if !(least..=most).contains(&number) {
                return Err(value(field, &format!("must be from {least} to {most}")));
            }
        }
        Ok(())
    }
}

/// Whether a text is of letters, digits and these signs.
fn word(field: &str, text: &str, signs: &str, said: &str) -> Result<(), RecipeError> {
    let ok = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    if text.is_empty() || text.len() > 128 || !text.chars().all(ok) || text.starts_with(['.', '~']) {
        return Err(value(
            field,
            &format!("must be 1 to 128 letters, digits, {said}, and start with none of `.` and `~`"),
        ));
    }
    Ok(())
}

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write.
const MAX_EPOCH: u64 = 253_402_300_799;

pub(crate) fn value(field: &str, why: &str) -> RecipeError {
    RecipeError::Value { field: field.into(), why: why.into(), line: None }
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!("line {line}: ")).unwrap_or_default()
}

/// The line, from 1, of the key that `field` leads to, or of the last one on the way there.
fn line_of(field: &str, text: &str) -> Option<usize> {
    let whole = DeTable::parse(text).ok()?;
    let mut table = Some(whole.get_ref());
    let mut start = None;
    for name in field.split('.') {
        let Some((key, value)) = table.and_then(|table| table.iter().find(|(key, _)| *key.get_ref() == name)) else {
            break;
        };
        start = Some(key.span().start);
        table = value.get_ref().as_table();
    }
    text.get(..start?).map(|before| before.matches('\n').count() + 1)
}

fn inside(field: &str, path: &str) -> Result<(), RecipeError> {
    match TreePath::new(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(value(field, &format!("must lead below the source: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = r#"
        [package]
        name = "hello"
        [source]
        directory = "."
        [build]
        steps = ["make"]
        [outputs]
        paths = ["hello"]
    "#;

    #[test]
    fn a_small_recipe_needs_little() {
        let recipe = Recipe::from_toml(HELLO).unwrap();
        assert_eq!(recipe.limits, Limits::default());
        assert_eq!(recipe.build.source_date_epoch, EpochRule::Unset);
        let json = crate::canonical::to_vec(&recipe).unwrap();
        assert_eq!(crate::canonical::from_slice::<Recipe>(&json).unwrap(), recipe);
        assert!(!recipe.outputs.set_id && !json.windows(6).any(|found| found == b"set-id"));
        let recipe = Recipe::from_toml(&HELLO.replace("[\"hello\"]", "[\"hello\"]\nset-id = true")).unwrap();
        assert!(recipe.outputs.set_id);
        let json = crate::canonical::to_vec(&recipe).unwrap();
        assert_eq!(crate::canonical::from_slice::<Recipe>(&json).unwrap(), recipe);
    }

    #[test]
    fn an_error_says_where_and_what_was_expected() {
        let text = HELLO.replace("steps", "stepz");
        let error = Recipe::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains("line 7") && error.contains("stepz") && error.contains("expected"), "{error}");
    }

    #[test]
    fn a_value_that_cannot_be_is_found_in_its_line() {
        let error = |text: &str| Recipe::from_toml(text).unwrap_err().to_string();
        let text = HELLO.replace("\"hello\"\n", "\"he llo\"\n");
        assert!(error(&text).starts_with("line 3: `package.name` must be"), "{}", error(&text));
        let text = HELLO.replace("[\"make\"]", "[\"make\"]\n\n[build.env]\nOK = \"1\"\n\"A B\" = \"1\"");
        assert!(error(&text).starts_with("line 11: `build.env.A B` must be"), "{}", error(&text));
        let text = HELLO.replace("paths = [\"hello\"]", "");
        assert!(error(&text).starts_with("line 8: `outputs` names nothing"), "{}", error(&text));
    }

    #[test]
    fn what_is_pinned_has_a_reason() {
        let pinned = |line: &str| Recipe::from_toml(&format!("{HELLO}\n[pinned]\n{line}\n"));
        let recipe = pinned("clock = \"the licence ends\"").unwrap();
        assert_eq!(recipe.pinned, BTreeMap::from([(Variation::Clock, "the licence ends".to_owned())]));
        let json = crate::canonical::to_vec(&recipe).unwrap();
        assert_eq!(crate::canonical::from_slice::<Recipe>(&json).unwrap(), recipe);
        assert!(pinned(&format!("clock = \"{}\"", "r".repeat(200))).is_ok());
        for line in ["clock = \"\"", "clock = \" \"", "klock = \"a\"", "clock = \"a\\nb\"", "clock = true"] {
            assert!(pinned(line).is_err(), "{line}");
        }
        assert!(pinned(&format!("clock = \"{}\"", "r".repeat(201))).is_err());
    }

    #[test]
    fn a_name_has_at_most_128_characters() {
        let named = |n: usize| Recipe::from_toml(&HELLO.replace("\"hello\"\n", &format!("\"{}\"\n", "n".repeat(n))));
        assert!(named(128).is_ok());
        assert!(named(129).is_err());
        assert!(named(0).is_err());
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let cases = [
            ("\"hello\"\n", "\"he llo\"\n", "package.name"),
            ("[\"make\"]", "[]", "build.steps"),
            ("[\"make\"]", "[\"make\"]\nenv = { SOURCE_DATE_EPOCH = \"1\" }", "source-date-epoch"),
            ("[\"make\"]", "[\"make\"]\nenv = { \"A B\" = \"1\" }", "build.env.A B"),
            ("[\"hello\"]", "[\"../hello\"]", "outputs.paths"),
            ("paths = [\"hello\"]", "", "outputs"),
            ("paths = [\"hello\"]", "paths = [\"a\"]\ndirectory = \"b\"", "outputs"),
            ("directory = \".\"", "directory = \"/etc\"", "source.directory"),
        ];
        for (from, to, field) in cases {
            let text = HELLO.replacen(from, to, 1);
            assert_ne!(text, HELLO);
            let error = Recipe::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(field), "{to}: {error}");
        }
    }

    #[test]
    fn an_output_that_the_source_has_is_found() {
        let path = |text: &str| TreePath::new(text).unwrap();
        let file = Node::File { mode: 0o644, size: 0, digest: crate::DigestSet::of(b"") };
        let link = Node::Symlink { target: crate::LinkTarget::new("/tmp").unwrap() };
        let directory = Node::Directory { mode: 0o755 };
        let entries = [
            (path("hello"), file.clone()),
            (path("link"), link),
            (path("out"), directory.clone()),
            (path("out/sub"), directory),
            (path("out/sub/a"), file),
        ];
        let source = Tree::new(entries.into()).unwrap();
        for (text, found) in [
            ("hello", true),
            ("hello/x", true),
            ("hello/x/y", true),
            ("link", true),
            ("link/x", true),
            ("out", true),
            ("out/sub", true),
            ("out/sub/a", true),
            ("out/b", false),
            ("out/sub/b/c", false),
            ("hell", false),
            ("hello2", false),
            ("new/hello", false),
        ] {
            let paths = Outputs { directory: None, paths: vec!["other".into(), text.into()], set_id: false, nar: None };
            assert_eq!(paths.already_in(&source), found.then_some(text));
            let directory = Outputs { directory: Some(text.into()), paths: vec![], set_id: false, nar: None };
            assert_eq!(directory.already_in(&source), found.then_some(text));
        }
        let outside = Outputs { directory: None, paths: vec!["../x".into()], set_id: false, nar: None };
        assert_eq!(outside.already_in(&source), None);
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let with = |line: &str| Recipe::from_toml(&format!("{HELLO}\n[limits]\n{line}"));
        for (field, least, most) in [
            ("seconds", 1, 604_800_u64),
            ("memory-mib", 16, 16 << 20),
            ("disk-mib", 1, 16 << 20),
            ("processes", 4, 4 << 20),
            ("log-mib", 1, 1024),
        ] {
            assert!(with(&format!("{field} = {least}")).is_ok());
            assert!(with(&format!("{field} = {most}")).is_ok());
            assert!(with(&format!("{field} = {}", least - 1)).is_err());
            assert!(with(&format!("{field} = {}", most + 1)).is_err());
        }
        let epoch = |n: u64| {
            Recipe::from_toml(&HELLO.replace("[\"make\"]", &format!("[\"make\"]\nsource-date-epoch = {{ at = {n} }}")))
        };
        assert!(epoch(MAX_EPOCH).is_ok());
        assert!(epoch(MAX_EPOCH + 1).is_err());
        let long = |n: usize| Recipe::from_toml(&format!("{HELLO}#{}", "x".repeat(n - HELLO.len() - 1)));
        assert!(long(Recipe::MAX_BYTES).is_ok());
        assert!(matches!(long(Recipe::MAX_BYTES + 1), Err(RecipeError::TooLong(_))));
    }
}
