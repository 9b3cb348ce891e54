// SPDX-License-Identifier: Apache-2.0
//! From a derivation to a recipe: what Nix's sandbox would run, with which variables and files.
//!
//! The order in which variables are set is that of Nix (`initEnv` and `initTmpDir` of its local builds): the derivation's own
//! come after the first and before the last.

use std::collections::{BTreeMap, BTreeSet};

use reprove_model::{
    Build, Closure, Dependencies, Environment, EpochRule, InputName, Limits, Outputs, Package, Recipe, Sha256, Source,
};

use super::NixError;
use super::aterm::{Derivation, Output};
use super::names::{base32, input_name, name_of, package_name, placeholder, split};

/// What is run, and the files that are in its folder.
pub(super) struct Planned {
    pub(super) recipe: Recipe,
    /// By name, and what is in them.
    pub(super) files: BTreeMap<String, String>,
    /// What the outputs are called in the store.
    pub(super) outputs: BTreeSet<String>,
    /// What the packed outputs are called.
    pub(super) nar: InputName,
}

/// This kind of machine, as Nix calls it.
fn system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

/// The recipe of the derivation that is called `base` in `store`.
pub(super) fn plan(derivation: &Derivation, store: &str, base: &str) -> Result<Planned, NixError> {
    let name = name_of(base.strip_suffix(".drv").unwrap_or(base));
    check(derivation)?;
    let outputs = outputs(derivation, store)?;
    let nar = input_name(&format!("{name}.nar")).ok_or_else(|| NixError::Name(name.to_owned()))?;
    let mut files = BTreeMap::new();
    let mut env = variables(derivation, store, &mut files);
    let epoch = match env.remove("SOURCE_DATE_EPOCH") {
        None => EpochRule::Unset,
        Some(text) => match text.parse::<u64>().ok().filter(|seconds| seconds.to_string() == text) {
            Some(seconds) => EpochRule::At(seconds),
            None => return Err(NixError::Unsupported("sets SOURCE_DATE_EPOCH to what is no number of seconds")),
        },
    };
    let arguments = derivation.arguments.iter().map(|argument| filled(argument, derivation));
    let recipe = Recipe {
        package: Package { name: package_name(name), version: None },
        source: Source::Directory(".".into()),
        environment: Environment::Closure(Closure { store: store.to_owned() }),
        dependencies: Dependencies::default(),
        build: Build {
            steps: Vec::new(),
            program: std::iter::once(derivation.builder.clone()).chain(arguments).collect(),
            env,
            source_date_epoch: epoch,
            deterministic: false,
            loopback: false,
        },
        outputs: Outputs {
            directory: None,
            paths: outputs.iter().map(|base| format!("store/{base}")).collect(),
            // Nix takes them away.
            set_id: true,
            nar: Some(nar.clone()),
        },
        limits: Limits { seconds: 7200, memory_mib: 16 << 10, disk_mib: 12 << 10, ..Limits::default() },
        pinned: BTreeMap::new(),
    };
    recipe.check()?;
    Ok(Planned { recipe, files, outputs, nar })
}

/// Refuses what Nix does in another way than by running a program with variables.
fn check(derivation: &Derivation) -> Result<(), NixError> {
    if derivation.builder.starts_with("builtin:") {
        return Err(NixError::Builtin(derivation.builder.clone()));
    }
    if derivation.system != system() {
        return Err(NixError::System { wanted: derivation.system.clone(), here: system() });
    }
    let is_set = |name: &str| derivation.env.get(name).is_some_and(|value| !value.is_empty());
    for (name, does) in [
        ("__json", "has structured attributes (__structuredAttrs), which Nix writes files of"),
        ("exportReferencesGraph", "is told what paths refer to (exportReferencesGraph), which Nix writes files of"),
        ("__noChroot", "is to be built outside of a sandbox (__noChroot)"),
        ("__impure", "is impure by its own word"),
    ] {
        if is_set(name) {
            return Err(NixError::Unsupported(does));
        }
    }
    Ok(())
}

/// What the outputs are called in the store.
fn outputs(derivation: &Derivation, store: &str) -> Result<BTreeSet<String>, NixError> {
    let base = |output: &Output| match split(&output.path) {
        Some((there, base)) if there == store => Ok(base.to_owned()),
        _ if output.path.is_empty() => {
            Err(NixError::Unsupported("has outputs whose paths follow from what is in them (content-addressed)"))
        }
        _ => Err(NixError::OutputPath(output.path.chars().take(300).collect())),
    };
    let bases: BTreeSet<String> = derivation.outputs.values().map(base).collect::<Result<_, _>>()?;
    if bases.is_empty() || bases.len() != derivation.outputs.len() {
        return Err(NixError::Unsupported("has no outputs, or two with one path"));
    }
    Ok(bases)
}

fn variables(derivation: &Derivation, store: &str, files: &mut BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    let set = |env: &mut BTreeMap<String, String>, name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    for (name, value) in [("PATH", "/path-not-set"), ("HOME", "/homeless-shelter"), ("NIX_STORE", store)] {
        set(&mut env, name, value);
    }
    let as_file = derivation.env.get("passAsFile").map(String::as_str).unwrap_or_default();
    let as_file: BTreeSet<&str> = as_file.split_ascii_whitespace().collect();
    for (name, value) in &derivation.env {
        let value = filled(value, derivation);
        if as_file.contains(name.as_str()) {
            let file = format!(".attr-{}", base32(&Sha256::of(name.as_bytes())));
            set(&mut env, &format!("{name}Path"), &format!("{}/{file}", Closure::BUILD));
            files.insert(file, value);
        } else {
            env.insert(name.clone(), value);
        }
    }
    for name in ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"] {
        set(&mut env, name, Closure::BUILD);
    }
    if derivation.outputs.values().any(|output| !output.hash.is_empty()) {
        set(&mut env, "NIX_OUTPUT_CHECKED", "1");
    }
    set(&mut env, "NIX_LOG_FD", "2");
    set(&mut env, "TERM", "xterm-256color");
    env
}

/// With the outputs' paths in place of what stands for them.
fn filled(text: &str, derivation: &Derivation) -> String {
    let put = |text: String, (name, output): (&String, &Output)| text.replace(&placeholder(name), &output.path);
    derivation.outputs.iter().fold(text.to_owned(), put)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = "/nix/store";
    const BASE: &str = "g4dklaqh0mwmwdaairhl4g5zgjdc0my6-text-1.0.drv";

    fn path(name: &str) -> String {
        format!("{STORE}/z89jfc7wwhc01h52jmk8iglac9ixjpsk-{name}")
    }

    fn derivation() -> Derivation {
        let output = |name: &str| Output { path: path(name), ..Output::default() };
        let texts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        Derivation {
            outputs: [("out".to_owned(), output("text-1.0")), ("dev".to_owned(), output("text-1.0-dev"))].into(),
            system: system(),
            builder: path("sh"),
            arguments: vec!["-c".into(), format!("echo {}", placeholder("out"))],
            env: texts(&[
                ("a-b", "any name"),
                ("PATH", "/own"),
                ("TMPDIR", "/own"),
                ("passAsFile", "text"),
                ("text", "long"),
                ("dev", &placeholder("dev")),
            ]),
            ..Derivation::default()
        }
    }

    #[test]
    fn a_derivation_is_run_as_nix_runs_it() {
        let Planned { recipe, files, outputs, nar } = plan(&derivation(), STORE, BASE).unwrap();
        assert_eq!(recipe.build.program, [path("sh"), "-c".into(), format!("echo {}", path("text-1.0"))]);
        let env = |name: &str| recipe.build.env.get(name).map(String::as_str);
        assert_eq!(
            (env("PATH"), env("TMPDIR"), env("HOME")),
            (Some("/own"), Some("/build"), Some("/homeless-shelter"))
        );
        assert_eq!((env("NIX_STORE"), env("a-b"), env("text")), (Some(STORE), Some("any name"), None));
        assert_eq!(env("dev"), Some(path("text-1.0-dev").as_str()));
        let file = ".attr-1lf969yddshzhld7sr1vbagr07bnygg99lgl6gk5kxcnp4z9wbcq";
        assert_eq!(files, [(file.to_owned(), "long".to_owned())].into());
        assert_eq!(env("textPath"), Some(format!("/build/{file}").as_str()));
        assert_eq!((env("NIX_OUTPUT_CHECKED"), env("NIX_BUILD_CORES")), (None, None));
        assert_eq!((outputs.len(), nar.as_str(), recipe.package.name.as_str()), (2, "text-1.0.nar", "text-1.0"));
        assert!(recipe.outputs.paths.iter().all(|path| path.starts_with("store/z89")));
    }

    #[test]
    fn an_epoch_is_the_recipes() {
        let of = |text: &str| {
            let mut derivation = derivation();
            derivation.env.insert("SOURCE_DATE_EPOCH".into(), text.into());
            plan(&derivation, STORE, BASE).map(|planned| planned.recipe.build.source_date_epoch)
        };
        assert_eq!(of("315532800").unwrap(), EpochRule::At(315_532_800));
        assert!(of("").is_err() && of("01").is_err() && of("now").is_err());
    }

    #[test]
    fn what_nix_does_by_itself_is_refused() {
        let refused = |change: &dyn Fn(&mut Derivation)| {
            let mut derivation = derivation();
            change(&mut derivation);
            plan(&derivation, STORE, BASE).err()
        };
        assert!(refused(&|_| {}).is_none());
        assert!(matches!(refused(&|d| d.builder = "builtin:fetchurl".into()), Some(NixError::Builtin(_))));
        assert!(matches!(refused(&|d| d.system = "riscv64-linux".into()), Some(NixError::System { .. })));
        for name in ["__json", "exportReferencesGraph", "__noChroot", "__impure"] {
            let set = |d: &mut Derivation| drop(d.env.insert(name.into(), "1".into()));
            assert!(matches!(refused(&set), Some(NixError::Unsupported(_))), "{name}");
        }
        let output = |path: &str| {
            let path = path.to_owned();
            move |d: &mut Derivation| d.outputs.values_mut().for_each(|output| output.path.clone_from(&path))
        };
        assert!(matches!(refused(&output("")), Some(NixError::Unsupported(_))));
        assert!(matches!(refused(&output(&path("same"))), Some(NixError::Unsupported(_))));
        let elsewhere = path("a").replace("/nix/", "/other/");
        assert!(matches!(refused(&output(&elsewhere)), Some(NixError::OutputPath(_))));
        assert!(matches!(refused(&|d| d.outputs.clear()), Some(NixError::Unsupported(_))));
    }
}
