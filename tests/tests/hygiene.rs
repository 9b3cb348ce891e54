// SPDX-License-Identifier: Apache-2.0
//! What must hold for the repository as a whole: who may import whom, sizes, words that may not stand in it, and that
//! nothing in it is forgotten.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};
use reprove_tests::workspace;

/// Who may import whom. Dev-dependencies count as well. DESIGN: the direction of the arrows may not change.
const MAY_IMPORT: [(&str, &[&str]); 14] = [
    ("model", &[]),
    ("store", &["model"]),
    ("inputs", &["model", "store"]),
    ("images", &["model", "store"]),
    ("runner", &["model", "store", "images"]),
    ("runner/guest", &["model", "store", "runner", "attest"]),
    ("verifier", &["model", "store", "runner"]),
    ("attest", &["model"]),
    ("log", &["model", "attest"]),
    ("token", &["model", "attest"]),
    ("job", &["model", "store", "inputs", "images", "runner", "verifier", "attest"]),
    ("farm", &["model", "store", "inputs", "images", "runner", "verifier", "attest", "log", "token", "job"]),
    ("cli", &["model", "store", "inputs", "images", "runner", "verifier", "attest", "log", "token", "job", "farm"]),
    (
        "tests",
        &["model", "store", "inputs", "images", "runner", "verifier", "attest", "log", "token", "job", "farm", "cli"],
    ),
];

const MOST_LINES: usize = 800;
const MANY_LINES: usize = 500;

/// The files that may hold code that the compiler can't check.
const UNCHECKED: [&str; 4] =
    ["runner/guest/src/device.rs", "runner/src/sys/mod.rs", "runner/src/sys/seccomp.rs", "runner/src/sys/stat.rs"];

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(workspace().join("Cargo.toml")).no_deps().other_options(["--locked".to_owned()]);
    command.exec().unwrap()
}

/// Every text file of ours, by its path below the workspace, sorted.
fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    read_below(workspace(), "", &mut files);
    assert!(files.len() > 100 && files.contains_key("Cargo.toml"), "this is not the workspace");
    files
}

/// What is made by building, by Git, by fuzzing, or by the tests' set-up.
const NOT_OURS: [&str; 8] = [
    "target",
    ".git",
    ".venv",
    "tests/clients/node_modules",
    "tests/fuzz/target",
    "tests/fuzz/corpus",
    "tests/fuzz/artifacts",
    "tests/fuzz/coverage",
];

#[expect(clippy::disallowed_methods, reason = "a map sorts them")]
fn read_below(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if NOT_OURS.contains(&path.as_str()) || path.ends_with(".proof.json") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            read_below(&entry.path(), &format!("{path}/"), files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.insert(path, text);
        }
    }
}

fn is_lock(path: &str) -> bool {
    path.ends_with("Cargo.lock")
}

/// Whether a file is one that people write: code, scripts, manifests. Documents and data are none.
fn is_source(path: &str, text: &str) -> bool {
    let ending = Path::new(path).extension().unwrap_or_default();
    let is_data = path.starts_with("tests/corpora/");
    !is_data && (text.starts_with("#!") || ["rs", "sh", "py", "toml"].iter().any(|source| ending == *source))
}

/// Files with the ending `.rs`.
fn rust(files: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| (path.as_str(), text.as_str()))
}

/// Where the words of a text are, by line from 1. A word is of letters, digits and `_`.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_between = |c: char| !(c.is_alphanumeric() || c == '_');
    (1..).zip(text.lines()).flat_map(move |(n, line)| line.split(is_between).map(move |word| (n, word)))
}

#[track_caller]
fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn no_arrow_is_drawn_that_the_table_does_not_have() {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.into();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for package in metadata().workspace_packages() {
        let folder = package.manifest_path.parent().unwrap().strip_prefix(workspace()).unwrap().as_str().to_owned();
        let last = folder.rsplit('/').next().unwrap();
        assert_eq!(package.name.as_str(), format!("reprove-{last}"), "a package is called as its folder is");
        let Some(may) = table.get(folder.as_str()) else {
            wrong.push(format!("{folder}/ is not in the table"));
            continue;
        };
        for dependency in &package.dependencies {
            if let Some(other) = dependency.name.strip_prefix("reprove-")
                && !may.contains(&other)
            {
                wrong.push(format!("{folder} → {other} ({})", dependency.kind));
            }
        }
        seen.insert(folder);
    }
    assert_none("arrows that may not be", &wrong);
    assert_eq!(seen, table.keys().map(|&folder| folder.to_owned()).collect(), "the table has what is there");
}

#[test]
fn what_does_no_io_has_nothing_to_do_it_with() {
    let io = ["nix", "rustix", "tokio", "tempfile", "reqwest", "ureq", "hyper"];
    let all = metadata();
    let pure = ["reprove-model", "reprove-attest"];
    let packages: Vec<_> = all.packages.iter().filter(|p| pure.contains(&p.name.as_str())).collect();
    assert_eq!(packages.len(), pure.len());
    for package in packages {
        let has = |d: &&cargo_metadata::Dependency| d.kind == cargo_metadata::DependencyKind::Normal;
        let found: Vec<_> = package.dependencies.iter().filter(has).map(|d| d.name.clone()).collect();
        assert!(found.iter().all(|name| !io.contains(&name.as_str())), "{}: {found:?}", package.name);
    }
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for (path, text) in files().iter().filter(|(path, text)| is_source(path, text)) {
        let lines = text.lines().count();
        if lines > MANY_LINES {
            println!("{path} has {lines} lines");
        }
        if lines > MOST_LINES {
            long.push(format!("{path}: {lines} lines"));
        }
    }
    assert_none("files that are too long", &long);
}

#[test]
fn every_source_file_has_its_licence() {
    let tag = ["SPDX-License", "-Identifier: Apache-2.0"].concat();
    let files = files();
    let sources = files.iter().filter(|(path, text)| is_source(path, text));
    let without = sources.filter(|(_, text)| !text.lines().take(3).any(|line| line.ends_with(&tag)));
    assert_none("files without a licence", &without.map(|(path, _)| path.clone()).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later() {
    let placeholders = ["TO", "FIX", "X"].into_iter().zip(["DO", "ME", "XX"]).map(|(a, b)| format!("{a}{b}"));
    let placeholders: Vec<String> = placeholders.collect();
    let calls = ["to", "unimple"].into_iter().zip(["do!", "mented!"]).map(|(a, b)| format!("{a}{b}"));
    let calls: Vec<String> = calls.collect();
    let mut found = Vec::new();
    for (path, text) in files() {
        found.extend(
            words(&text).filter(|(_, w)| placeholders.iter().any(|p| p == w)).map(|(n, w)| format!("{path}:{n} {w}")),
        );
        if path.ends_with(".rs") {
            found.extend(calls.iter().filter(|call| text.contains(*call)).map(|call| format!("{path} {call}")));
        }
    }
    assert_none("placeholders", &found);
}

#[test]
fn no_registry_is_named() {
    let hosts = [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("crates", "io"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("rubygems", "org"),
        ("debian", "org"),
        ("ubuntu", "com"),
        ("docker", "io"),
        ("docker", "com"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("golang", "org"),
        ("maven", "org"),
        ("conda", "org"),
        ("yarnpkg", "com"),
    ];
    let hosts: Vec<String> = hosts.iter().map(|(name, top)| format!("{name}.{top}")).collect();
    let mut found = Vec::new();
    // Cargo itself writes its registry into its lock.
    for (path, text) in files().iter().filter(|(path, _)| !is_lock(path)) {
        for (n, line) in (1..).zip(text.lines()) {
            found.extend(hosts.iter().filter(|host| line.contains(*host)).map(|host| format!("{path}:{n} {host}")));
        }
    }
    assert_none("registries that are named", &found);
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let paths = ["home", "root", "Users", "work"].map(|folder| format!("/{folder}/"));
    let mut found = Vec::new();
    for (path, text) in files() {
        for (n, line) in (1..).zip(text.lines()) {
            let starts =
                |at: usize| at == 0 || line[..at].ends_with(|c: char| !(c.is_alphanumeric() || "._-}~\")".contains(c)));
            let has = |wanted: &str| line.match_indices(wanted).any(|(at, _)| starts(at));
            found.extend(paths.iter().filter(|wanted| has(wanted)).map(|wanted| format!("{path}:{n} {wanted}")));
        }
    }
    assert_none("paths of one machine", &found);
}

#[test]
fn what_the_compiler_cannot_check_is_in_few_files() {
    let word = ["un", "safe"].concat();
    let files = files();
    let has_it = |text: &str| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.into_iter().any(|line| words(line).any(|(_, w)| w == word))
    };
    let found: Vec<&str> = rust(&files).filter(|(_, text)| has_it(text)).map(|(path, _)| path).collect();
    assert_eq!(found, UNCHECKED);
}

/// Cargo and `mod` lines lead to every file, so that no test is written and never run.
#[test]
fn no_rust_file_is_forgotten() {
    let files = files();
    let below = |path: &Path| path.strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned();
    let all = metadata();
    let targets: Vec<PathBuf> =
        all.packages.iter().flat_map(|p| &p.targets).map(|t| t.src_path.clone().into()).collect();
    let mut reached: BTreeSet<String> = targets.iter().map(|path| below(path)).collect();
    let mut waiting: Vec<(String, bool)> = reached.iter().map(|path| (path.clone(), true)).collect();
    while let Some((path, is_root)) = waiting.pop() {
        let folder = module_folder(&path, is_root);
        for name in modules(&files[&path]) {
            let places = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
            waiting.extend(
                places.into_iter().filter(|p| files.contains_key(p) && reached.insert(p.clone())).map(|p| (p, false)),
            );
        }
    }
    let packages: Vec<String> =
        all.packages.iter().map(|p| below(p.manifest_path.parent().unwrap().as_std_path())).collect();
    // tests/fuzz is a workspace of its own: its nightly-only targets are listed in its own manifest.
    let in_workspace =
        |path: &str| packages.iter().any(|p| path.starts_with(&format!("{p}/"))) && !path.starts_with("tests/fuzz/");
    let forgotten = rust(&files).map(|(path, _)| path).filter(|path| in_workspace(path) && !reached.contains(*path));
    assert_none("files that nothing leads to", &forgotten.map(str::to_owned).collect::<Vec<_>>());
    assert!(reached.len() > 80, "{}", reached.len());
}

/// Where a file's modules are: beside it for a target's root and for `mod.rs`, else in the folder of its name.
fn module_folder(path: &str, is_root: bool) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap();
    if is_root || name == "mod.rs" { folder.to_owned() } else { format!("{folder}/{}", name.trim_end_matches(".rs")) }
}

/// The modules that a file declares in files of their own.
fn modules(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let rest = line.split_once("mod ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"))?.1;
        rest.strip_suffix(';')
    })
}

/// The rows of the tables in `docs/` that have a column `Test`, and the names in it.
fn promised_tests(text: &str) -> Vec<String> {
    let mut in_table = false;
    let mut names = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let last = cells.len().checked_sub(2).and_then(|at| cells.get(at)).copied();
        match last {
            Some("Test" | "Tests") if line.starts_with('|') => in_table = true,
            Some(cell) if line.starts_with('|') && in_table => {
                names.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
            }
            _ => in_table = false,
        }
    }
    names
}

#[test]
fn the_full_recipe_in_the_docs_is_one() {
    let files = files();
    let (_, rest) = files["docs/recipe.md"].split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let recipe = reprove_model::Recipe::from_toml(example).unwrap();
    assert_eq!((recipe.outputs.directory.as_deref(), recipe.limits.disk_mib), (Some("out"), 1024));
}

#[test]
fn every_promise_in_the_docs_has_its_test() {
    let files = files();
    let mut missing = Vec::new();
    let mut count = 0;
    for (doc, text) in files.iter().filter(|(path, _)| path.starts_with("docs/") && path.ends_with(".md")) {
        for name in promised_tests(text) {
            count += 1;
            if !rust(&files).any(|(path, text)| has_test(path, text, &name)) {
                missing.push(format!("{doc}: {name}"));
            }
        }
    }
    assert_none("promises without a test", &missing);
    assert!(count >= 40, "only {count} promises were found: has a table changed its form?");
}

/// What programs tell reasons by: the words that functions with the name `code` give.
#[test]
fn every_code_is_in_the_docs() {
    let files = files();
    let mut count = 0;
    for path in ["attest/src/code.rs", "attest/src/appraise/reason.rs"] {
        for line in files[path].lines().filter(|line| line.trim_start().starts_with("Self::")) {
            let Some(code) = line.split_once("=> \"").and_then(|(_, rest)| rest.strip_suffix("\",")) else { continue };
            let is_code = !code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            assert!(is_code && files["docs/policy.md"].contains(&format!("`{code}`")), "{path}: {code}");
            count += 1;
        }
    }
    assert!(count >= 60, "only {count} codes were found: have they changed their form?");
}

/// Whether a file has the test `name`: `module::function`, `function`, or the name of a whole file of tests.
fn has_test(path: &str, text: &str, name: &str) -> bool {
    let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let (modules, function) = name.rsplit_once("::").unwrap_or(("", name));
    let mut wanted = modules.split("::").filter(|module| !module.is_empty());
    let lines: Vec<&str> = text.lines().collect();
    let is_test =
        |at: usize| lines[at.saturating_sub(6)..at].iter().any(|line| line.contains("test]") || line.contains("test("));
    let definition = [format!("fn {function}("), format!("{function}: ")];
    let defines = (0..lines.len()).any(|at| {
        let line = lines[at].trim_start().trim_start_matches("async ");
        (line.starts_with(&definition[0]) && is_test(at)) || line.starts_with(&definition[1])
    });
    let in_module = wanted.all(|module| parts.contains(&module) || text.contains(&format!("mod {module} {{")));
    let is_file = modules.is_empty() && parts.last() == Some(&function) && parts.contains(&"tests");
    is_file || (defines && in_module)
}

#[test]
fn a_promised_test_is_told_from_one_that_is_not_there() {
    let text = "#[test]\nfn it_holds() {}\n\nfn made() {}\n";
    assert!(has_test("attest/tests/audit/bytes.rs", text, "bytes::it_holds"));
    assert!(has_test("attest/tests/audit/bytes.rs", text, "it_holds"));
    assert!(!has_test("attest/tests/audit/bytes.rs", text, "verdicts::it_holds"));
    assert!(!has_test("attest/tests/audit/bytes.rs", text, "it"));
    assert!(
        has_test("attest/tests/vectors.rs", text, "vectors") && !has_test("attest/src/vectors.rs", text, "vectors")
    );
    let table = "| Promise | Test |\n|---|---|\n| a | `x::y`, `z` |\n\n| b | `no` |\n";
    assert_eq!(promised_tests(table), ["x::y", "z"]);
}
