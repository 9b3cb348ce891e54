// SPDX-License-Identifier: Apache-2.0
//! Projects whose source is sent, and what is watched for something new.

use std::fs;

use serde_json::{Value, json};

use super::served::{Farm, build_of};

#[test]
fn a_project_that_is_sent_is_built_twice_and_its_proof_is_audited() {
    // What a worker builds packages with does not change what a project is.
    let farm = Farm::new(&["--deterministic", "--pin", "umask=for packages"]);
    // Nor does a work tree of Git's that its store happens to be in, with all of that ignored.
    farm.bench.write("../.gitignore", "/store\n");
    let git = std::process::Command::new("git").arg("init").arg("-q").arg(farm.bench.path(".")).status().unwrap();
    assert!(git.success());
    let (good, dated) = (farm.bench.example("hello-c"), farm.bench.example("hello-c-dated"));
    let [good, dated] = [&good, &dated].map(|path| path.to_str().unwrap());
    let submitted = farm.run(&["submit", "--project", good, "--project", dated, "--wait"]).with_code(1);
    let said: Vec<&str> = submitted.stdout.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(said, ["project hello-c@1.0: bit-identical", "project hello-c-dated@1.0: different"]);
    let build = build_of(&submitted);
    let _ = farm.run(&["status", &build, "-o", "hello.proof.json"]).with_code(0);
    let key = farm.bench.public_key();
    let audited = farm.bench.run(["audit", "hello.proof.json", "--json", "--key", key.to_str().unwrap()]).with_code(0);
    assert_eq!(audited.json()["published"], Value::Null);
    // From another place, the same is the same.
    farm.bench.write("elsewhere/x", "");
    fs::rename(good, farm.bench.path("work/elsewhere/there")).unwrap();
    let moved = farm.bench.path("work/elsewhere/there");
    let again = farm.run(&["submit", "--project", moved.to_str().unwrap()]).with_code(0);
    assert!(again.stdout.contains("(was asked for before)"), "{}", again.stdout);
    // What it names on the machine that builds is refused before anything is sent.
    let named = fs::read_to_string(moved.join("reprove.toml")).unwrap();
    fs::write(moved.join("reprove.toml"), format!("environment = {{ image = \"oci:/etc:x\" }}\n{named}")).unwrap();
    let refused = farm.run(&["submit", "--project", moved.to_str().unwrap()]).with_code(2);
    assert!(refused.stderr.contains("a farm takes no images"), "{}", refused.stderr);
}

#[test]
fn what_is_new_in_feeds_is_asked_for_once() {
    let farm = Farm::new(&["--without-worker"]);
    let project = farm.bench.example("hello-c");
    let list = farm.bench.write("list", "pkg:pypi/idna@3.20 # why\n\n# pkg:pypi/none@1\npkg:generic/x@1\n");
    let feeds = [list.to_str().unwrap(), farm.bench.path("work").to_str().unwrap()].map(str::to_owned);
    let watch = || {
        let ran = farm.run(&["watch", &feeds[0], &feeds[1], "--once", "--json"]).with_code(4).json();
        let subjects = ran["new"].as_array().unwrap().iter().map(|new| new["subject"].clone()).collect::<Vec<_>>();
        (subjects, ran["known"].clone(), ran["wrong"][0]["entry"].clone())
    };
    let wrong = json!("pkg:generic/x@1");
    let both = vec![json!("pkg:pypi/idna@3.20"), json!("project hello-c@1.0")];
    assert_eq!(watch(), (both, json!(0), wrong.clone()));
    assert_eq!(watch(), (vec![], json!(2), wrong.clone()));
    fs::write(project.join("more.c"), "int more;\n").unwrap();
    fs::write(&list, "pkg:pypi/idna@3.19\npkg:pypi/idna@3.20\npkg:generic/x@1\n").unwrap();
    let both = vec![json!("pkg:pypi/idna@3.19"), json!("project hello-c@1.0")];
    assert_eq!(watch(), (both, json!(1), wrong));
}

#[test]
fn names_without_a_version_are_those_of_the_newest() {
    let farm = Farm::new(&["--without-worker"]);
    let names = ["pkg:pypi/idna", "pkg:npm/left-pad", "pkg:npm/%40babel/code-frame", "pkg:cargo/itoa"];
    let list =
        farm.bench.write("list", names.join("\n") + "\npkg:pypi/no-such-name-is-there-0\npkg:deb/debian/hello\n");
    let ran = farm.run(&["watch", list.to_str().unwrap(), "--once", "--json"]).with_code(4).json();
    let subjects = ran["new"].as_array().unwrap().iter().map(|new| new["subject"].as_str().unwrap());
    let split: Vec<(&str, &str)> = subjects.map(|subject| subject.rsplit_once('@').unwrap()).collect();
    assert_eq!(split.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    // left-pad has had no newer one since 2018.
    assert_eq!(split[1].1, "1.3.0");
    assert!(split.iter().all(|(_, version)| version.starts_with(|c: char| c.is_ascii_digit())), "{split:?}");
    let wrong: Vec<&Value> = ran["wrong"].as_array().unwrap().iter().map(|wrong| &wrong["entry"]).collect();
    assert_eq!(wrong, ["pkg:pypi/no-such-name-is-there-0", "pkg:deb/debian/hello"]);
}
