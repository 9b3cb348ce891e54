// SPDX-License-Identifier: Apache-2.0
//! The kinds of projects that are known, the most telling first.

use super::Top;
use super::{cee, scripted};

/// One kind.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The files that it is known by, for a person.
    pub(super) by: &'static str,
    /// The file at the top that says so, where one does.
    pub(super) because: fn(&Top) -> Option<String>,
    /// How it is built.
    pub(super) plan: fn(&Top) -> Plan,
}

/// How a project is built.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// What it calls itself.
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    /// Debian's packages.
    pub(super) packages: Vec<&'static str>,
    /// Its lock files, each with the ecosystem's name.
    pub(super) dependencies: Vec<(&'static str, &'static str)>,
    pub(super) steps: Vec<String>,
    pub(super) env: Vec<(&'static str, String)>,
    pub(super) outputs: Outputs,
    /// Whether its tools speak to themselves by 127.0.0.1.
    pub(super) loopback: bool,
    pub(super) notes: Vec<String>,
    /// Notes for those who take bookworm's tools, which are old.
    pub(super) of_bookworm: Vec<String>,
    /// The packages where the release is bookworm, if they are others: some of its tools are there a second time, and newer.
    pub(super) in_bookworm: Vec<&'static str>,
}

/// What is kept.
#[derive(Clone, Debug)]
pub(super) enum Outputs {
    Directory(&'static str),
    Paths(Vec<String>),
}

impl Default for Outputs {
    fn default() -> Self {
        Self::Directory("out")
    }
}

/// All of them. What makes something of its own for the others to work on comes before them: a project in Rust may have a
/// Makefile for its users' fingers.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "Rust", by: "Cargo.toml", because: |top| named(top, "Cargo.toml"), plan: scripted::rust },
    Kind { name: "Go", by: "go.mod", because: |top| named(top, "go.mod"), plan: scripted::go },
    Kind { name: "Maven", by: "pom.xml", because: |top| named(top, "pom.xml"), plan: scripted::maven },
    Kind { name: "Gradle", by: "build.gradle, build.gradle.kts", because: gradle, plan: scripted::gradle },
    Kind { name: "PHP", by: "composer.json", because: |top| named(top, "composer.json"), plan: scripted::php },
    Kind { name: "Python", by: "pyproject.toml, setup.py", because: python, plan: scripted::python },
    Kind { name: "JavaScript", by: "package.json", because: |top| named(top, "package.json"), plan: scripted::node },
    Kind { name: "Meson", by: "meson.build", because: |top| named(top, "meson.build"), plan: cee::meson },
    Kind { name: "CMake", by: "CMakeLists.txt", because: |top| named(top, "CMakeLists.txt"), plan: cee::cmake },
    Kind { name: "Autotools", by: "configure.ac, configure", because: autotools, plan: cee::autotools },
    Kind { name: "Make", by: "Makefile", because: make, plan: cee::make },
    Kind { name: "C#", by: "*.csproj, *.cs", because: csharp, plan: scripted::mono },
    Kind { name: "Kotlin", by: "*.kt", because: |top| ending(top, ".kt"), plan: scripted::kotlin },
    Kind { name: "Java", by: "*.java", because: |top| ending(top, ".java"), plan: scripted::java },
];

/// Whether the text of the file of this name is looked at.
pub(super) fn is_read(name: &str) -> bool {
    const READ: [&str; 15] = [
        "CMakeLists.txt",
        "Cargo.lock",
        "Cargo.toml",
        "GNUmakefile",
        "Makefile",
        "composer.json",
        "configure.ac",
        "go.mod",
        "go.sum",
        "makefile",
        "meson.build",
        "package.json",
        "pom.xml",
        "pyproject.toml",
        "requirements.txt",
    ];
    READ.contains(&name) || is_csproj(name)
}

fn named(top: &Top, name: &str) -> Option<String> {
    top.has(name).then(|| name.to_owned())
}

fn first(top: &Top, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| named(top, name))
}

fn gradle(top: &Top) -> Option<String> {
    first(top, &["build.gradle", "build.gradle.kts"])
}

/// The project of .NET's, not one of a directory below.
pub(super) fn is_csproj(name: &str) -> bool {
    name.ends_with(".csproj") && !name.contains('/')
}

fn csharp(top: &Top) -> Option<String> {
    top.names.iter().find(|name| is_csproj(name)).cloned().or_else(|| ending(top, ".cs"))
}

fn python(top: &Top) -> Option<String> {
    first(top, &["pyproject.toml", "setup.py"])
}

fn autotools(top: &Top) -> Option<String> {
    first(top, &["configure.ac", "configure.in", "configure"])
}

/// The name of the file that `make` takes, in its order.
pub(super) fn make(top: &Top) -> Option<String> {
    first(top, &["GNUmakefile", "makefile", "Makefile"])
}

/// The first name that ends so, by its bytes.
pub(super) fn ending(top: &Top, end: &str) -> Option<String> {
    top.names.iter().find(|name| name.ends_with(end) && name.len() > end.len() && !name.contains('/')).cloned()
}
