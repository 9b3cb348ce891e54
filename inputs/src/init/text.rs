// SPDX-License-Identifier: Apache-2.0
//! A recipe as text, with what a person wants to know beside each part.

use super::Wish;
use super::kinds::{Outputs, Plan};

/// The recipe of a project of this kind.
pub(super) fn recipe(kind: &str, because: &str, plan: &Plan, wish: &Wish) -> String {
    let name = word(plan.name.as_deref().unwrap_or(&wish.name), "project");
    let mut text =
        format!("# {kind}, by {}. docs/recipe.md has every field.\n[package]\nname = {}\n", because, quoted(&name));
    if let Some(version) =
        plan.version.as_deref().map(|version| word(version, "")).filter(|version| !version.is_empty())
    {
        text += &format!("version = {}\n", quoted(&version));
    }
    text += "\n[source]\ndirectory = \".\"\n\n";
    match &wish.debian {
        Some(release) => {
            let packages = plan.packages.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
            text += "# What the build sees: these packages of Debian's, what they depend on, and nothing else of this machine.\n";
            text += &format!("[environment]\ndebian = {}\npackages = [{packages}]\n\n", quoted(release));
        }
        None => text = text.replacen("[package]", "environment = \"host-usr\"\n\n[package]", 1),
    }
    if !plan.dependencies.is_empty() {
        text += "# What the source depends on: fetched before the build, as its lock file says, and there without a network.\n";
        text += "[dependencies]\n";
        plan.dependencies.iter().for_each(|(ecosystem, file)| text += &format!("{ecosystem} = {}\n", quoted(file)));
        text += "\n";
    }
    text += "# Each step is run by /bin/sh -ec, without a network.\n[build]\nsteps = [\n";
    for step in &plan.steps {
        text += &format!("    {},\n", quoted(step));
    }
    text += "]\n# The time for whatever is dated: raise it with each release.\n";
    text += &format!("source-date-epoch = {{ at = {} }}\n", wish.epoch);
    if !plan.env.is_empty() {
        let env = plan.env.iter().map(|(name, value)| format!("{name} = {}", quoted(value)));
        text += &format!("env = {{ {} }}\n", env.collect::<Vec<_>>().join(", "));
    }
    if plan.loopback {
        text += "# It speaks to itself by 127.0.0.1, which leads nowhere else.\nloopback = true\n";
    }
    text += "\n# What is compared, and kept.\n[outputs]\n";
    text += &match &plan.outputs {
        Outputs::Directory(directory) => format!("directory = {}\n", quoted(directory)),
        Outputs::Paths(paths) => {
            format!("paths = [{}]\n", paths.iter().map(|path| quoted(path)).collect::<Vec<_>>().join(", "))
        }
    };
    text
}

/// As a basic string of TOML 1.0.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// As much of a file's name as a terminal and a comment can have.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// What a name can have of it; `otherwise` where that is nothing.
fn word(text: &str, otherwise: &str) -> String {
    let ok = |c: &char| c.is_ascii_alphanumeric() || "._+-".contains(*c);
    let name: String = text.rsplit('/').next().unwrap_or_default().chars().filter(ok).take(128).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { otherwise.to_owned() } else { name.to_owned() }
}
