// SPDX-License-Identifier: Apache-2.0
//! `reprove init` writes recipes that work, for projects that nobody prepared.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::time::Duration;

use reprove_tests::{Bench, Running, workspace};

/// With what this machine has in `/usr`: the recipe is what `init` wrote, and nobody has changed it.
#[test]
fn what_init_writes_is_built_as_it_is() {
    let bench = Bench::new();
    let project = bench.example("hello-c");
    fs::remove_file(project.join("reprove.toml")).unwrap();
    let ran = bench.run(["init", "hello-c", "--environment", "host-usr"]).with_code(0);
    for line in [
        "wrote  hello-c/reprove.toml",
        "detected           Make, by Makefile",
        "next               reprove check hello-c",
    ] {
        assert!(ran.stdout.contains(line), "{line:?} is not in:\n{}", ran.stdout);
    }
    let checked = bench.run(["check", "hello-c"]).with_code(0).stdout;
    assert!(checked.starts_with("reproducible  hello-c\n"), "{checked}");
    let again = bench.run(["init", "hello-c"]).with_code(2).stderr;
    assert!(again.contains("is there already") && again.contains("reprove init --print"), "{again}");
}

/// In a system of Debian's packages, those that `init` thinks of, and with the network that a build has: none.
#[test]
fn a_project_in_python_is_built_with_what_init_asks_for() {
    let bench = Bench::new();
    let project = bench.write("greet/pyproject.toml", "[project]\nname = \"greet\"\nversion = \"1.0\"\n");
    bench.write("greet/greet/__init__.py", "def text():\n    return \"Hello, world\"\n");
    let found = bench.run(["init", "greet", "--json"]).with_code(0).json();
    assert_eq!((&found["kind"], &found["notes"]), (&"Python".into(), &serde_json::json!([])));
    let command = bench.command(["build", "greet", "--out", "made"]);
    let _ = Running::start(command).wait(Duration::from_secs(900)).with_code(0);
    let wheel = fs::metadata(bench.path("work/made/outputs/greet-1.0-py3-none-any.whl")).unwrap();
    assert!(wheel.len() > 500 && project.with_file_name("reprove.lock").is_file());
}

/// The examples' recipes ask for what `init` would ask for: of each kind one, and of the twins the same packages.
#[test]
fn the_examples_are_of_kinds_that_init_knows() {
    let bench = Bench::new();
    for (name, kind) in [
        ("c-autotools", "Autotools"),
        ("c-meson", "Meson"),
        ("csharp", "C#"),
        ("cxx-cmake", "CMake"),
        ("go", "Go"),
        ("java", "Java"),
        ("java-gradle", "Gradle"),
        ("java-maven", "Maven"),
        ("javascript", "JavaScript"),
        ("javascript-vite", "JavaScript"),
        ("kotlin", "Kotlin"),
        ("php", "PHP"),
        ("python", "Python"),
        ("rust", "Rust"),
        ("rust-dependencies", "Rust"),
    ] {
        let example = workspace().join("examples").join(name);
        let found = bench.run(["init", example.to_str().unwrap(), "--print", "--json"]).with_code(0).json();
        assert_eq!(found["kind"], kind, "{name}");
        let recipe: toml::Table = found["recipe"].as_str().unwrap().parse().unwrap();
        let own: toml::Table = fs::read_to_string(example.join("reprove.toml")).unwrap().parse().unwrap();
        // JavaScript is packed by npm, and the example is bundled instead.
        if name != "javascript" {
            assert_eq!(recipe["environment"], own["environment"], "{name}");
        }
        assert_eq!(recipe.get("dependencies"), own.get("dependencies"), "{name}");
    }
}
