// SPDX-License-Identifier: Apache-2.0
//! Every kind's recipe is one that is read, and says what its files say.

use std::os::unix::fs::symlink;

use reprove_model::{Debian, Environment};

use super::*;

fn wish() -> Wish {
    Wish { debian: Some("bookworm".into()), epoch: 1_735_689_600, name: "folder".into() }
}

/// What lies there, by name and text; a name that ends with a slash is a directory's.
fn top(files: &[(&str, &str)]) -> Top {
    let mut top = Top::default();
    for (name, text) in files {
        top.names.insert((*name).to_owned());
        top.texts.insert((*name).to_owned(), (*text).to_owned());
    }
    top
}

fn detected(files: &[(&str, &str)]) -> (Detected, Recipe) {
    let detected = detect(&top(files), &wish()).unwrap().unwrap();
    let recipe = Recipe::from_toml(&detected.recipe).unwrap();
    (detected, recipe)
}

fn packages(recipe: &Recipe) -> Vec<&str> {
    let Environment::Debian(Debian { packages, .. }) = &recipe.environment else { panic!("no packages") };
    packages.iter().map(String::as_str).collect()
}

#[test]
fn every_kind_gives_a_recipe_with_little_or_nothing_to_go_by() {
    for kind in kinds::KINDS {
        for name in kind.by.split(", ") {
            let name = name.replace('*', "a");
            for text in ["", "{}", "\u{0}", "[package]\nname = 7\n", "project(", "\"\\u001b[2J\""] {
                let (detected, recipe) = detected(&[(name.as_str(), text)]);
                assert_eq!(detected.kind, kind.name);
                assert!(!packages(&recipe).is_empty() && !recipe.build.steps.is_empty());
                let own = Wish { debian: None, ..wish() };
                let own = detect(&top(&[(name.as_str(), text)]), &own).unwrap().unwrap();
                assert_eq!(Recipe::from_toml(&own.recipe).unwrap().environment, Environment::HostUsr);
            }
        }
    }
    assert_eq!(detect(&top(&[("README.md", "")]), &wish()).unwrap(), None);
    assert!(looked_for().contains("Cargo.toml") && looked_for().contains("*.kt"));
}

#[test]
fn the_most_telling_file_counts_and_the_others_are_named() {
    let (detected, _) = detected(&[("Makefile", "all: x\n"), ("CMakeLists.txt", "project(a C)"), ("Cargo.toml", "")]);
    assert_eq!((detected.kind, detected.because.as_str()), ("Rust", "Cargo.toml"));
    assert_eq!(detected.also, ["CMake", "Make"]);
}

#[test]
fn what_a_makefile_makes_is_told() {
    let outputs = |text: &str| detected(&[("Makefile", text)]).1.outputs.paths;
    assert_eq!(outputs("CC = gcc\nhello: hello.c\n\t$(CC) -o $@ $<\n"), ["hello"]);
    assert_eq!(outputs(".PHONY: all\nall: hello bye # both\nhello: hello.o\n"), ["bye", "hello"]);
    let (found, recipe) = detected(&[("Makefile", "all: $(PROGRAMS)\n")]);
    assert_eq!((recipe.outputs.paths.as_slice(), found.notes.len()), (["out".to_owned()].as_slice(), 1));
    let (_, recipe) = detected(&[("Makefile", "all: x\ninstall: all\n\tcp x $(DESTDIR)\n")]);
    assert_eq!(recipe.outputs.directory.as_deref(), Some("out"));
    assert_eq!(packages(&detected(&[("Makefile", "x: x.cpp\n\t$(CXX) x.cpp\n")]).1), ["g++", "make"]);
    for elsewhere in ["/etc/passwd", "../x", "a/../b", "a//b"] {
        assert_eq!(outputs(&format!("all: {elsewhere}\n")), ["out"]);
    }
    assert_eq!(outputs("all: b a b\n"), ["a", "b"]);
}

#[test]
fn names_versions_and_languages_come_from_the_project() {
    let (_, recipe) = detected(&[("meson.build", "# project('no')\nproject('sums', ['c', 'cpp'],\n version: '1')")]);
    assert_eq!((recipe.package.name.as_str(), packages(&recipe)[0]), ("sums", "g++"));
    let (_, recipe) = detected(&[("CMakeLists.txt", "project(sums VERSION 1.2 LANGUAGES C)")]);
    assert_eq!((recipe.package.version.as_deref(), packages(&recipe)[0]), (Some("1.2"), "gcc"));
    let (_, recipe) = detected(&[("configure.ac", "AC_INIT([sums], [3])\nLT_INIT\n")]);
    assert_eq!((recipe.package.name.as_str(), recipe.package.version.as_deref()), ("sums", Some("3")));
    assert!(packages(&recipe).contains(&"libtool") && recipe.build.steps[0].starts_with("autoreconf"));
    let (_, recipe) = detected(&[("composer.json", r#"{"name":"vendor/sums"}"#)]);
    assert_eq!(recipe.package.name, "sums");
    let (_, recipe) = detected(&[("Makefile", "")]);
    assert_eq!(recipe.package.name, "folder");
}

#[test]
fn what_has_a_lock_file_has_its_dependencies_fetched_by_it() {
    let manifest = "[package]\nname = \"sums\"\nversion = \"0.1.0\"\n[dependencies]\na = \"1\"\n";
    let lock = |version, source| format!("version = {version}\n[[package]]\nname = \"a\"\nsource = \"{source}\"\n");
    let of = |lock: &str| detected(&[("Cargo.toml", manifest), ("Cargo.lock", lock)]);
    let (found, recipe) = of(&lock(3, "registry+x"));
    assert_eq!(recipe.outputs.paths, ["target/release/sums"]);
    assert_eq!(recipe.dependencies.cargo.as_deref(), Some("Cargo.lock"));
    assert!(found.notes.is_empty() && recipe.build.steps[0].ends_with("--offline --locked"));
    assert_eq!(packages(&recipe), ["cargo", "rustc"]);
    assert_eq!(packages(&of(&lock(4, "registry+x")).1), ["cargo-web", "rustc-web"]);
    // One that is too long to be read here.
    assert!(of("").1.dependencies.cargo.is_some());
    let (found, recipe) = of(&lock(3, "git+x"));
    assert!(found.notes[0].contains("cargo vendor") && recipe.dependencies.is_empty());
    let lock = lock(3, "registry+x");
    let (found, recipe) = detected(&[("Cargo.toml", manifest), ("Cargo.lock", &lock), ("vendor/", "")]);
    assert!(found.notes.is_empty() && recipe.dependencies.is_empty());
    let of = |requirements: &str| detected(&[("setup.py", ""), ("requirements.txt", requirements)]);
    let (found, recipe) = of("a==1 --hash=sha256:00\n");
    assert!(found.notes.is_empty() && packages(&recipe).contains(&"python3-venv"));
    assert_eq!(recipe.dependencies.pip.as_deref(), Some("requirements.txt"));
    assert_eq!(recipe.build.steps[1], "../venv/bin/pip install --no-compile -r requirements.txt");
    assert!(recipe.build.steps[2].starts_with("../venv/bin/python -m build"));
    // One that is too long to be read here.
    assert!(of("").1.dependencies.pip.is_some());
    let script = r#"{"name":"@a/b","dependencies":{"c":"1"},"scripts":{"build":"tsc && vite build"}}"#;
    let (found, recipe) = detected(&[("package.json", script), ("package-lock.json", "")]);
    assert!(found.notes.is_empty() && recipe.build.env.is_empty());
    assert_eq!(recipe.dependencies.npm.as_deref(), Some("package-lock.json"));
    assert_eq!(recipe.build.steps, ["npm ci", "npm run build"]);
    assert_eq!(recipe.outputs.directory.as_deref(), Some("dist"));
}

#[test]
fn what_has_dependencies_and_no_lock_file_is_told_so() {
    let (found, recipe) = detected(&[("Cargo.toml", "[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\n")]);
    assert!(found.notes[0].contains("cargo generate-lockfile") && recipe.dependencies.is_empty());
    let (found, recipe) = detected(&[("package.json", r#"{"name":"@a/b","dependencies":{"c":"1"}}"#)]);
    assert!(found.notes[0].contains("npm install --package-lock-only") && recipe.dependencies.is_empty());
    let (found, recipe) = detected(&[("setup.py", ""), ("requirements.txt", "a==1\n")]);
    assert!(found.notes[0].contains("pip-compile --generate-hashes") && recipe.dependencies.is_empty());
    let (found, recipe) = detected(&[("go.mod", "module example.org/sums\n"), ("go.sum", "x\n")]);
    assert!(found.notes[0].contains("go mod vendor") && recipe.build.steps[0].contains("-o out/sums"));
}

#[test]
fn a_crate_without_a_program_is_packed() {
    let of = |manifest: &str, more: &[&str]| {
        let files = more.iter().map(|name| (*name, "")).chain([("Cargo.toml", manifest)]).collect::<Vec<_>>();
        let (found, recipe) = detected(&files);
        (recipe.outputs.directory.or(recipe.outputs.paths.first().cloned()).unwrap(), found.notes.len())
    };
    let manifest = "[package]\nname = \"sums\"\n";
    assert_eq!(of(manifest, &["src/lib.rs"]), ("target/package".into(), 1));
    assert_eq!(of(manifest, &["src/lib.rs", "src/main.rs"]), ("target/release/sums".into(), 0));
    assert_eq!(of(&format!("{manifest}[lib]\n"), &[]), ("target/package".into(), 1));
    assert_eq!(of(&format!("{manifest}[[bin]]\nname = \"add\"\n"), &["src/lib.rs"]).0, "target/release/add");
    assert_eq!(of("[package]\nname = \"../sums\"\n", &["src/main.rs"]).0, "target/package");
    assert_eq!(of("[workspace]\nmembers = []\n", &[]), ("target/release/program".into(), 1));
}

#[test]
fn who_needs_newer_tools_than_bookworms_is_told_so() {
    let of = |release: &str, files: &[(&str, &str)]| {
        let wish = Wish { debian: Some(release.into()), ..wish() };
        let found = detect(&top(files), &wish).unwrap().unwrap();
        (found.notes, found.recipe.contains("\"cargo-web\", \"rustc-web\""))
    };
    let lock = [("Cargo.toml", "[package]\nname = \"a\"\n"), ("Cargo.lock", "# by Cargo\nversion = 4\n")];
    let edition = [("Cargo.toml", "[package]\nname = \"a\"\nedition = \"2024\"\n")];
    let go = [("go.mod", "module a\n\ngo 1.22.1\n")];
    let (told, _) = of("bookworm", &go);
    assert!(told.len() == 1 && told[0].ends_with("--environment trixie"), "{told:?}");
    assert_eq!(of("trixie", &go).0.len(), 0);
    let rust = |version: &str| [("Cargo.toml", format!("[package]\nname = \"a\"\nrust-version = \"{version}\"\n"))];
    let (newer, bound) = (rust("1.64"), rust("1.63.0"));
    let newer = [(newer[0].0, newer[0].1.as_str())];
    assert_eq!(of("bookworm", &[(bound[0].0, &bound[0].1)]), (vec![], false));
    for files in [lock.as_slice(), &edition, &newer] {
        // It has a second, newer cargo.
        assert_eq!(of("bookworm", files), (vec![], true));
        assert_eq!(of("trixie", files), (vec![], false));
    }
    for old in [("Cargo.toml", "[package]\nname = \"a\"\nedition = \"2021\"\n"), ("go.mod", "module a\ngo 1.19\n")] {
        assert_eq!(of("bookworm", &[old]), (vec![], false));
    }
}

#[test]
fn what_speaks_to_itself_has_a_loopback_device() {
    for name in ["build.gradle", "build.gradle.kts"] {
        assert!(detected(&[(name, "")]).1.build.loopback);
    }
    assert!(!detected(&[("pom.xml", "")]).1.build.loopback);
}

#[test]
fn a_project_of_nets_is_compiled_by_mono() {
    let of = |text: &str| detected(&[("Sums.csproj", text), ("Other.cs", "")]);
    let (found, recipe) = of("<Project><PropertyGroup><OutputType>Exe</OutputType></PropertyGroup></Project>");
    assert_eq!((found.because.as_str(), found.notes.len(), recipe.package.name.as_str()), ("Sums.csproj", 1, "Sums"));
    assert!(recipe.build.steps[1].contains("-target:exe -out:out/program.exe"), "{:?}", recipe.build.steps);
    assert!(of("<Project/>").1.build.steps[1].contains("-target:library -out:out/program.dll"));
    assert_eq!(detected(&[("Other.cs", "")]).1.build.steps, ["mkdir out && mcs -out:out/program.exe *.cs"]);
    assert_eq!(detect(&top(&[("src/Other.cs", ""), ("src/a.csproj", "")]), &wish()).unwrap(), None);
}

#[test]
fn a_files_name_does_nothing_to_a_terminal() {
    let (found, recipe) = detected(&[("\u{1b}[2J\n.cs", "")]);
    assert_eq!((found.because.as_str(), recipe.build.steps.len()), ("[2J.cs", 1));
}

#[test]
fn a_back_end_has_its_package() {
    let of = |backend: &str| {
        let text = format!("[build-system]\nrequires = []\nbuild-backend = \"{backend}\"\n");
        let (found, recipe) = detected(&[("pyproject.toml", &text)]);
        (packages(&recipe).join(" "), found.notes.len())
    };
    assert_eq!(of("hatchling.build"), ("python3-build python3-hatchling".into(), 0));
    assert_eq!(of("setuptools.build_meta:__legacy__"), ("python3-build python3-setuptools python3-wheel".into(), 0));
    assert_eq!(of("pdm.pep517.api"), ("python3-build python3-pdm-pep517".into(), 0));
    for not_there in ["pdm.backend", "mesonpy"] {
        assert_eq!(of(not_there), ("python3-build".into(), 1));
    }
}

#[test]
fn only_files_of_the_project_are_read_and_not_too_much_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: usize| fs::write(dir.path().join(name), "#".repeat(bytes)).unwrap();
    let most = usize::try_from(MAX_TEXT).unwrap();
    write("Makefile", most);
    write("meson.build", most + 1);
    write("other", 1);
    fs::create_dir(dir.path().join("vendor")).unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    write("src/lib.rs", 1);
    write("src/go.mod", 1);
    symlink("/etc/passwd", dir.path().join("go.mod")).unwrap();
    symlink("/etc", dir.path().join("cmd")).unwrap();
    fs::write(dir.path().join("package.json"), [0xff]).unwrap();
    let top = Top::read(dir.path()).unwrap();
    assert_eq!(
        top.names.iter().map(String::as_str).collect::<Vec<_>>(),
        ["Makefile", "meson.build", "other", "package.json", "src/", "src/go.mod", "src/lib.rs", "vendor/"]
    );
    assert_eq!(top.texts.keys().collect::<Vec<_>>(), ["Makefile", "meson.build", "package.json"]);
    assert_eq!((top.text("Makefile").len(), top.text("meson.build"), top.text("package.json")), (most, "", ""));
}

#[test]
fn the_bound_on_names_holds_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..MAX_NAMES {
        fs::write(dir.path().join(number.to_string()), "").unwrap();
    }
    assert_eq!(Top::read(dir.path()).unwrap().names.len(), MAX_NAMES);
    fs::write(dir.path().join("more"), "").unwrap();
    assert!(matches!(Top::read(dir.path()), Err(InputsError::TooManyFiles { .. })));
}

#[test]
fn the_bound_on_files_that_are_read_holds_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let write = |number: usize| fs::write(dir.path().join(format!("{number:03}.csproj")), "x").unwrap();
    (0..MAX_TEXTS).for_each(write);
    assert_eq!(Top::read(dir.path()).unwrap().texts.len(), MAX_TEXTS);
    write(MAX_TEXTS);
    let top = Top::read(dir.path()).unwrap();
    assert_eq!((top.names.len(), top.texts.len()), (MAX_TEXTS + 1, MAX_TEXTS));
    assert!(!top.texts.contains_key(&format!("{MAX_TEXTS:03}.csproj")));
}

/// A link in place of `src` is not looked through.
#[test]
fn what_src_is_a_link_to_is_not_listed() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/etc", dir.path().join("src")).unwrap();
    assert_eq!(Top::read(dir.path()).unwrap(), Top::default());
}
