// SPDX-License-Identifier: Apache-2.0
//! The steps that build a wheel, or the source archive itself, from an unpacked source archive, without a network.

use std::collections::BTreeMap;

use reprove_model::{
    Build, Dependencies, Environment, EpochRule, InputName, Limits, Outputs, Package, PackageUrl, Recipe, Source,
};

use super::backend::Backend;
use super::release::is_sdist;
use super::tools::Tool;
use crate::wheel::Settings;

/// What is built, and how, by what was published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How<'a> {
    /// The file.
    pub(crate) published: &'a InputName,
    /// What of what was published is put into what was built.
    pub(crate) put_in: Option<PutIn>,
    /// What else shows in its form.
    pub(crate) settings: Settings,
}

impl How<'_> {
    /// The hook of PEP 517 that makes it.
    fn hook(&self) -> &'static str {
        if is_sdist(self.published) { "build_sdist" } else { "build_wheel" }
    }

    /// Whether auditwheel made its name: it is for older C libraries than that of the machine.
    pub(crate) fn is_for_old_libraries(&self) -> bool {
        self.published.as_str().contains("manylinux")
    }
}

/// What of what was published is put into what was built: what its source does not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutIn {
    /// The times of a wheel's entries that the build wrote.
    Times,
    /// The times of all of a wheel's entries: its source's files had others than they have in the source archive.
    AllTimes,
    /// Those of what the build wrote in a source archive, its owners, and its gzip header.
    Packing,
}

impl PutIn {
    /// The input that has it.
    pub(crate) fn input(self) -> &'static str {
        match self {
            Self::Times | Self::AllTimes => "times.json",
            Self::Packing => "packing.json",
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Times | Self::AllTimes => include_str!("put_times.py"),
            Self::Packing => include_str!("put_packing.py"),
        }
    }
}

/// Has the back end's programs found.
const TOOLS: &str = "export PATH=\"${PWD%/*}/backend/bin:$PATH\"\n";

/// Where the wheel is, below the source. The step that makes it fails where the source has something of that name, and it
/// is only made when the wheel is finished: so it is never part of what is built, as a `dist` in the source would be.
const OUTPUTS: &str = ".reprove-dist";

/// The recipe of a release's wheel, or of its source archive.
///
/// The steps are those of PEP 517's front ends: a virtual environment beside the source, which sees the interpreter's own
/// modules and no other package of the machine; the back end's wheels in it, installed by the locked pip; the back end's
/// hook in a process of its own. What it makes is made outside the source and put below it at the end.
pub(crate) fn recipe(
    (name, version): (&str, &str),
    source: PackageUrl,
    backend: &Backend,
    tools: &[Tool],
    how: &How<'_>,
) -> Recipe {
    let steps = vec![install_step(tools), build_step(backend, how), output_step(how)];
    // Times that are put in are in place of one that is given to all.
    let source_date_epoch = if how.put_in.is_some() { EpochRule::Unset } else { EpochRule::Search };
    Recipe {
        package: Package { name: name.to_owned(), version: Some(version.to_owned()) },
        source: Source::Package(source),
        environment: Environment::HostUsr,
        build: Build {
            steps,
            env: variables(),
            program: Vec::new(),
            source_date_epoch,
            deterministic: false,
            loopback: false,
        },
        outputs: Outputs { directory: Some(OUTPUTS.into()), paths: vec![], set_id: false, nar: None },
        limits: Limits::default(),
        pinned: BTreeMap::new(),
        dependencies: Dependencies::default(),
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

fn build_step(backend: &Backend, how: &How<'_>) -> String {
    let mut step = String::new();
    if how.settings.is_of_group {
        step.push_str("umask 0002\n");
    }
    if how.settings.has_source_of_group {
        step.push_str("chmod -R g+w .\n");
    }
    if how.settings.is_universal {
        // Each setuptools reads it, while an option's way through the hook is another one in older versions.
        step.push_str("printf '[bdist_wheel]\\nuniversal = 1\\n' >\"$HOME/.pydistutils.cfg\"\n");
    }
    step.push_str(&format!("mkdir ../built\n{TOOLS}"));
    step.push_str(&format!("{} {} ../built {}", python(include_str!("build.py")), how.hook(), quote(&backend.name)));
    for path in &backend.path {
        step.push_str(&format!(" {}", quote(path)));
    }
    step
}

/// Puts in what is put in, and has what was built where outputs are.
fn output_step(how: &How<'_>) -> String {
    let mut step = String::new();
    if how.is_for_old_libraries() {
        step.push_str(&format!("{TOOLS}{} ../built {}\n", python(include_str!("repair.py")), how.published));
    }
    if let Some(put_in) = how.put_in {
        let which = if put_in == PutIn::AllTimes { "all" } else { "written" };
        step.push_str(&format!("{} {which} ../built /inputs/{}\n", python(put_in.script()), put_in.input()));
    }
    step.push_str(&format!("mkdir {OUTPUTS}\nmv ../built/* {OUTPUTS}/"));
    step
}

/// Runs a script, without its comments.
fn python(script: &str) -> String {
    let lines: Vec<&str> = script.lines().filter(|line| !line.starts_with('#')).collect();
    format!("../backend/bin/python -c {}", quote(&lines.join("\n")))
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
        let published = "a-1-py3-none-any.whl".parse().unwrap();
        let how = How { published: &published, put_in: None, settings: Settings::default() };
        let recipe = recipe(("a", "1"), source, &Backend::legacy(), &tools, &how);
        recipe.check().unwrap();
        let install = &recipe.build.steps[0];
        assert!(install.contains("python /inputs/pip-1-py3-none-any.whl/pip install --no-index"), "{install}");
        assert!(install.ends_with("--quiet /inputs/flit_core-1-py3-none-any.whl"), "{install}");
        assert!(recipe.build.steps[1].ends_with(" build_wheel ../built 'setuptools.build_meta:__legacy__'"));
        assert_eq!(recipe.build.source_date_epoch, EpochRule::Search);
    }

    #[test]
    fn what_was_published_says_how_it_is_built() {
        let source = || PackageUrl::pypi("a", "1", Some("a-1.tar.gz")).unwrap();
        let published = "a-1.tar.gz".parse().unwrap();
        let put_in = Some(PutIn::Packing);
        let settings = Settings { is_of_group: true, has_source_of_group: true, is_universal: true };
        let how = How { published: &published, put_in, settings };
        let recipe = |how| super::recipe(("a", "1"), source(), &Backend::legacy(), &[], how);
        let packed = recipe(&how);
        packed.check().unwrap();
        let [_, build, put] = packed.build.steps.as_slice() else { panic!("{:?}", packed.build.steps) };
        let set_up =
            "umask 0002\nchmod -R g+w .\nprintf '[bdist_wheel]\\nuniversal = 1\\n' >\"$HOME/.pydistutils.cfg\"\n";
        assert!(build.starts_with(&format!("{set_up}mkdir ../built\n")), "{build}");
        assert!(build.contains(" build_sdist ../built "), "{build}");
        assert!(put.contains(" written ../built /inputs/packing.json\nmkdir ") && !put.contains("auditwheel"), "{put}");
        assert_eq!(packed.build.source_date_epoch, EpochRule::Unset);
        let published = "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl".parse().unwrap();
        let how = How { published: &published, put_in: Some(PutIn::AllTimes), ..how };
        let put = &recipe(&how).build.steps[2];
        let audited = put.find(" ../built a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl\n").unwrap();
        assert!(audited < put.find(" all ../built /inputs/times.json\n").unwrap(), "{put}");
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
