// SPDX-License-Identifier: Apache-2.0
//! The steps that build a wheel from an unpacked source archive, without a network.

use std::collections::BTreeMap;

use reprove_model::{Build, Environment, EpochRule, Limits, Outputs, Package, PackageUrl, Recipe, Source};

use super::backend::Backend;
use super::tools::Tool;

/// Where the wheel is, below the source. The step that makes it fails where the source has something of that name, and it
/// is only made when the wheel is finished: so it is never part of what is built, as a `dist` in the source would be.
const OUTPUTS: &str = ".reprove-dist";

/// The recipe of a release's wheel.
///
/// The steps are those of PEP 517's front ends: a virtual environment beside the source, which sees the interpreter's own
/// modules and no other package of the machine; the back end's wheels in it, installed by the locked pip; the back end's
/// `build_wheel` in a process of its own. The wheel is made outside the source and put below it at the end.
pub(crate) fn recipe(name: &str, version: &str, source: PackageUrl, backend: &Backend, tools: &[Tool]) -> Recipe {
    let steps = [
        Some(install_step(tools)),
        Some(build_step(backend)),
        Some(format!("mkdir {OUTPUTS}\nmv ../wheel/*.whl {OUTPUTS}/")),
    ];
    Recipe {
        package: Package { name: name.to_owned(), version: Some(version.to_owned()) },
        source: Source::Package(source),
        environment: Environment::HostUsr,
        build: Build {
            steps: steps.into_iter().flatten().collect(),
            env: variables(),
            source_date_epoch: EpochRule::Search,
            deterministic: false,
        },
        outputs: Outputs { directory: Some(OUTPUTS.into()), paths: vec![], set_id: false },
        limits: Limits::default(),
        pinned: BTreeMap::new(),
    }
}

fn variables() -> BTreeMap<String, String> {
    [("PIP_CONFIG_FILE", "/dev/null"), ("PYTHONDONTWRITEBYTECODE", "1"), ("PYTHONNOUSERSITE", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Makes the virtual environment, and installs all tools but pip, which runs from its wheel.
fn install_step(tools: &[Tool]) -> String {
    let mut step = "python3 -m venv --without-pip ../backend".to_owned();
    let (pip, wheels): (Vec<&Tool>, Vec<&Tool>) = tools.iter().partition(|tool| tool.is_pip());
    if let Some(pip) = pip.first().filter(|_| !wheels.is_empty()) {
        step.push_str(&format!("\n../backend/bin/python /inputs/{}/pip install", pip.file.name));
        step.push_str(" --no-index --no-deps --no-cache-dir --no-compile --disable-pip-version-check --quiet");
        for tool in wheels {
            step.push_str(&format!(" /inputs/{}", tool.file.name));
        }
    }
    step
}

fn build_step(backend: &Backend) -> String {
    let script = include_str!("build_wheel.py").lines().filter(|line| !line.starts_with('#'));
    let script: Vec<&str> = script.collect();
    let mut step = "mkdir ../wheel\nexport PATH=\"${PWD%/*}/backend/bin:$PATH\"\n".to_owned();
    step.push_str(&format!("python -c {} ../wheel {}", quote(&script.join("\n")), quote(&backend.name)));
    for path in &backend.path {
        step.push_str(&format!(" {}", quote(path)));
    }
    step
}

/// Makes one word of `text` for a POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use reprove_model::DigestSet;

    use super::*;
    use crate::workplace::Fetched;

    fn tool(name: &str, file_name: &str) -> Tool {
        let file =
            Fetched { name: file_name.parse().unwrap(), path: "/nowhere".into(), digest: DigestSet::of(b""), size: 0 };
        Tool { name: name.into(), version: "1".into(), file }
    }

    #[test]
    fn a_recipe_is_valid_and_runs_pip_from_its_wheel() {
        let source = PackageUrl::pypi("a", "1", Some("a-1.tar.gz")).unwrap();
        let tools = [tool("flit_core", "flit_core-1-py3-none-any.whl"), tool("pip", "pip-1-py3-none-any.whl")];
        let recipe = recipe("a", "1", source, &Backend::legacy(), &tools);
        recipe.check().unwrap();
        let install = &recipe.build.steps[0];
        assert!(install.contains("python /inputs/pip-1-py3-none-any.whl/pip install --no-index"), "{install}");
        assert!(install.ends_with("--quiet /inputs/flit_core-1-py3-none-any.whl"), "{install}");
        assert!(recipe.build.steps[1].ends_with(" ../wheel 'setuptools.build_meta:__legacy__'"));
    }

    #[test]
    fn a_back_end_in_the_source_alone_installs_nothing() {
        assert_eq!(install_step(&[]), "python3 -m venv --without-pip ../backend");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in ["a", "a'b", "$(x) `y` \"z\" \\", "two\nlines", ""] {
            let shell = Command::new("/bin/sh").args(["-c", &format!("printf %s {}", quote(text))]).output().unwrap();
            assert_eq!(String::from_utf8(shell.stdout).unwrap(), text);
        }
    }
}
