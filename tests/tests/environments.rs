// SPDX-License-Identifier: Apache-2.0
//! Environments made of Debian's packages: the same system anywhere, locked by digest, and nothing else in it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reprove_tests::{Bench, Ran, Running, engine, is_root, kernel_package, once, sorted_names};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(900);

/// A project that needs `bc`, which is in no base system, and says what it sees of the system that it is built in.
fn project(bench: &Bench) {
    let recipe = "[package]\nname = \"sum\"\n[source]\ndirectory = \".\"\n\
                  [environment]\ndebian = \"bookworm\"\npackages = [\"bc\"]\n\
                  [build]\nsteps = [\"echo 6*7 | bc > out\", \"cat /etc/debian_version >> out\", \
                  \"echo / /* >> out\", \
                  \"! touch /etc/x /var/x; ! test -e /usr/bin/gcc -o -e /var/log/dpkg.log\", \
                  \"id -u man && grep ^staff:x:50: /etc/group && grep ^build /etc/passwd >> out\"]\n\
                  [outputs]\npaths = [\"out\"]\n\
                  [pinned]\nuser = \"it is looked at\"\nhome = \"so is this\"\nbuild-path = \"and this\"\n";
    bench.write("sum/reprove.toml", recipe);
}

fn wait(command: Command) -> Ran {
    Running::start(command).wait(LONG)
}

/// The project as it was built first in this run, with its store: `store`, `sum` with its lock, `out`.
fn built(bench: &Bench) {
    let from = once("environment", |folder| {
        let bench = Bench::new();
        project(&bench);
        let ran = wait(bench.command(["build", "sum", "--out", "made"])).with_code(0);
        assert!(ran.stderr.contains("wrote reprove.lock"), "{}", ran.stderr);
        for from in ["store", "work/sum", "work/made"] {
            copy(&bench.path(from), &folder.join(Path::new(from).file_name().unwrap()));
        }
    });
    fs::remove_dir_all(bench.path("store")).unwrap();
    for (name, to) in [("store", "store"), ("sum", "work/sum"), ("made", "work/made")] {
        copy(&from.join(name), &bench.path(to));
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

fn json(bench: &Bench, name: &str) -> Value {
    serde_json::from_slice(&fs::read(bench.path("work").join(name)).unwrap()).unwrap()
}

#[test]
fn a_build_sees_the_packages_and_nothing_else() {
    let bench = Bench::new();
    built(&bench);
    let out = fs::read_to_string(bench.path("work/made/outputs/out")).unwrap();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], &lines[1][..3]), ("42", "12."));
    assert_eq!(lines[2], "/ /bin /build /dev /etc /lib /lib64 /opt /proc /sbin /sys /tmp /usr /var");
    assert_eq!(lines.last(), Some(&"build:x:1000:1000:build:/tmp:/bin/sh"));
    let lock = json(&bench, "made/lock.json");
    let inputs = lock["inputs"].as_array().unwrap();
    let bc = inputs.iter().find(|input| input["name"].as_str().unwrap().starts_with("bc_")).unwrap();
    assert_eq!(bc["role"], "environment");
    assert!(bc["purl"].as_str().unwrap().starts_with("pkg:deb/debian/bc@"), "{bc}");
    assert_eq!(lock["environment"]["kind"]["debian"], "bookworm");
    assert_eq!(json(&bench, "made/record.json")["environment"], lock["environment"]);
}

/// No apt is asked once all is settled and there; and a proof has every package, by digest.
#[test]
fn what_is_locked_is_built_with_again_and_is_in_the_proof() {
    let bench = Bench::new();
    built(&bench);
    let key = bench.public_key();
    let mut command = bench.command(["check", "sum", "-o", "sum.proof.json", "--json"]);
    command.env("REPROVE_APT", "/nonexistent/apt-get");
    let verdict = wait(command).with_code(0).json();
    assert_eq!(verdict["verdict"]["outcome"], "reproducible");
    let ran = bench.run(["audit", "sum.proof.json", "--key", key.to_str().unwrap(), "--json"]).with_code(0).json();
    assert_eq!(ran["verified"], true);
    let shown = bench.run(["proof", "show", "sum.proof.json", "--json"]).with_code(0).stdout;
    assert!(shown.contains("pkg:deb/debian/bc@") && shown.contains("pkg:deb/debian/libc6@"));
}

/// What a machine builds in is made of the same packages, and its guest has found that to be so.
#[test]
fn packages_are_built_in_by_a_machine_too() {
    let bench = Bench::with_guest();
    built(&bench);
    let by = ["--isolation", "vm", "--engine", engine()];
    let _ = wait(bench.command(["build", "sum", "--out", "inside"].into_iter().chain(by))).with_code(0);
    let record = |name: &str| json(&bench, &format!("{name}/record.json"));
    let (inside, outside) = (record("inside"), record("made"));
    assert_eq!((&inside["isolation"], &outside["isolation"]), (&json!("vm"), &json!("namespaces")));
    for same in ["environment", "inputs", "outputs", "commands"] {
        assert_eq!(inside[same], outside[same], "{same}");
    }
    let check = ["check", "sum", "-o", "sum.proof.json", "--vary", "hostname"];
    let _ = wait(bench.command(check.into_iter().chain(by))).with_code(0);
    let key = bench.public_key();
    let said = bench.run(["audit", "sum.proof.json", "--key", key.to_str().unwrap(), "--json"]).with_code(0).json();
    assert_eq!((&said["verified"], &said["isolation"]), (&json!(true), &json!("vm")));
    // The image goes with the environment.
    let images = || sorted_names(&bench.path("store/guest")).iter().filter(is_image).count();
    assert_eq!(images(), 1);
    let _ = bench.run(["store", "gc"]).with_code(0);
    assert_eq!(images(), 1);
    fs::remove_dir_all(bench.path("store/environments")).unwrap();
    fs::create_dir(bench.path("store/environments")).unwrap();
    let _ = bench.run(["store", "gc"]).with_code(0);
    assert_eq!(images(), 0);
}

fn is_image(name: &&String) -> bool {
    name.starts_with("environment-") && name.ends_with(".img")
}

/// An image is on the disk as packages are.
#[test]
fn an_image_is_built_in_by_a_machine_too() {
    let bench = Bench::with_guest();
    built(&bench);
    let _ = wait(bench.command(["image", "export", "sum", "-o", "oci:one:1"])).with_code(0);
    bench.write(
        "in-it/reprove.toml",
        "environment = { image = \"oci:../one\" }\n[package]\nname = \"in-it\"\n[source]\ndirectory = \".\"\n\
         [build]\nsteps = [\"echo 6*7 | bc > out; echo / /* >> out; date -r /usr/bin/bc +%s >> out\"]\n\
         [outputs]\npaths = [\"out\"]\n",
    );
    let by = ["--isolation", "vm", "--engine", engine()];
    let _ = wait(bench.command(["build", "in-it", "--out", "inside"].into_iter().chain(by))).with_code(0);
    let _ = wait(bench.command(["build", "in-it", "--out", "outside"])).with_code(0);
    let (inside, outside) = (json(&bench, "inside/record.json"), json(&bench, "outside/record.json"));
    for same in ["environment", "inputs", "outputs"] {
        assert_eq!(inside[same], outside[same], "{same}");
    }
}

#[test]
fn packages_are_built_in_with_evidence() {
    let bench = Bench::with_guest();
    built(&bench);
    let _ = bench.run(["image", "build", "guest", "--kernel", kernel_package().to_str().unwrap()]).with_code(0);
    let nonce = "5".repeat(64);
    let by = ["--isolation", "emulated-snp", "--engine", "qemu-tcg", "--nonce", &nonce, "--vary", "hostname"];
    let _ = wait(bench.command(["check", "sum", "-o", "sum.proof.json"].into_iter().chain(by))).with_code(0);
    let measured = bench.run(["image", "measure", "--json"]).with_code(0).json();
    let kinds = bench.run(["tee", "--json"]).with_code(0).json();
    let mut kinds = kinds["emulated"].as_array().unwrap().iter();
    let root = &kinds.find(|kind| kind["isolation"] == "emulated-snp").unwrap()["root"];
    let public = fs::read_to_string(bench.public_key()).unwrap();
    let trust = format!(
        "[[key]]\npublic = '''\n{public}'''\noperator = 'one'\nplatform = 'here'\n[tee]\nemulated-roots = [{root}]\n\
         [[guest]]\nname = 'ours'\nfirmware = {}\nkernel = {}\ninitrd = {}\n",
        measured["firmware"], measured["kernel"], measured["initrd"]
    );
    bench.write("trust.toml", trust);
    bench.write("policy.toml", format!("evidence = true\nnonce = '{nonce}'\n"));
    let audit = ["audit", "sum.proof.json", "--trust", "trust.toml", "--policy", "policy.toml", "--json"];
    let said = bench.run(audit).with_code(0).json();
    assert_eq!(said["claims"][0]["evidence"].as_array().unwrap().len(), 2, "{said}");
    let shown = bench.run(["proof", "show", "sum.proof.json", "--json"]).with_code(0).stdout;
    let locked = json(&bench, "made/lock.json")["environment"]["digest"]["blake3"].as_str().unwrap().to_owned();
    assert!(shown.contains(&locked) && shown.contains("pkg:deb/debian/bc@"), "{shown}");
}

#[test]
fn packages_are_written_as_the_same_image_each_time() {
    let bench = Bench::new();
    built(&bench);
    let export = |to: &str| wait(bench.command(["image", "export", "sum", "--json", "-o", to])).with_code(0).json();
    let one = export("oci:one:1");
    // Its files are another copy of the same.
    fs::remove_dir_all(bench.path("store/environments")).unwrap();
    let two = export("oci:two:1");
    assert_eq!((&one["manifest"], &one["tree"]), (&two["manifest"], &two["tree"]));
    bench.write(
        "in-it/reprove.toml",
        "environment = { image = \"oci:../one\" }\n[package]\nname = \"in-it\"\n\
        [source]\ndirectory = \".\"\n[build]\nsteps = [\"echo 6*7 | bc > out\"]\n[outputs]\npaths = [\"out\"]\n",
    );
    let _ = wait(bench.command(["build", "in-it", "--out", "in-it-made"])).with_code(0);
    assert_eq!(fs::read_to_string(bench.path("work/in-it-made/outputs/out")).unwrap(), "42\n");
}

#[test]
fn another_system_than_the_locked_one_is_not_built_in() {
    let bench = Bench::new();
    built(&bench);
    let path = bench.path("work/sum/reprove.lock");
    let text = fs::read_to_string(&path).unwrap();
    let start = text.find("[tree]\nblake3 = \"").unwrap() + "[tree]\nblake3 = \"".len();
    let half = text[..start].to_owned() + &"0".repeat(64) + &text[start + 64..];
    let second = start + 64 + "\"\nsha256 = \"".len();
    let other = half[..second].to_owned() + &"0".repeat(64) + &half[second + 64..];
    fs::write(&path, other).unwrap();
    let ran = wait(bench.command(["build", "sum", "--out", "again"])).with_code(4);
    assert!(ran.stderr.contains("another system here than `reprove.lock` has: its BLAKE3 is"), "{}", ran.stderr);
    fs::write(&path, half).unwrap();
    let ran = wait(bench.command(["build", "sum", "--out", "again"])).with_code(2);
    assert!(ran.stderr.contains("`reprove.lock` contradicts itself"), "{}", ran.stderr);
    // A package that is not what its digest says.
    let package = text.find("[[package]]\nname = \"bc\"").unwrap();
    let start = package + text[package..].find("blake3 = \"").unwrap() + "blake3 = \"".len();
    fs::write(&path, text[..start].to_owned() + &"0".repeat(64) + &text[start + 64..]).unwrap();
    let ran = wait(bench.command(["build", "sum", "--out", "again"])).with_code(2);
    assert!(ran.stderr.contains("with other bytes than reprove.lock says"), "{}", ran.stderr);
    fs::write(&path, text.replace("version = 1\n", "version = 2\n")).unwrap();
    let ran = wait(bench.command(["build", "sum", "--out", "again"])).with_code(2);
    assert!(ran.stderr.contains("reprove.lock: `version` is 2"), "{}", ran.stderr);
}

/// The digest of the system is locked, so that a build shows that another user's store has made the same.
#[test]
fn an_ordinary_user_makes_the_same_system() {
    let bench = Bench::with_own_program();
    built(&bench);
    fs::remove_dir_all(bench.path("store/environments")).unwrap();
    let mut command = if is_root() {
        for path in ["", "reprove"] {
            fs::set_permissions(bench.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let id = 65534;
        assert!(Command::new("chown").args(["-R", &id.to_string()]).arg(bench.path("")).status().unwrap().success());
        chown(bench.path(""), Some(id), Some(id)).unwrap();
        let mut command = bench.program_in_this_place("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--"]);
        command.arg(bench.path("reprove"));
        command
    } else {
        bench.command([""; 0])
    };
    command.args(["build", "sum", "--out", "again"]).env("REPROVE_APT", "/nonexistent/apt-get");
    let ran = wait(command).with_code(0);
    assert!(ran.stderr.contains("installing"), "{}", ran.stderr);
    let outputs = |name: &str| fs::read(bench.path("work").join(name).join("outputs/out")).unwrap();
    assert_eq!(outputs("again"), outputs("made"));
}

#[test]
fn what_there_is_not_is_named() {
    let bench = Bench::new();
    project(&bench);
    let recipe = fs::read_to_string(bench.path("work/sum/reprove.toml")).unwrap();
    let refused = |from: &str, to: &str, code, said: &str| {
        bench.write("sum/reprove.toml", recipe.replace(from, to));
        let ran = wait(bench.command(["build", "sum", "--out", "made"])).with_code(code);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        assert!(!bench.path("work/sum/reprove.lock").exists());
    };
    refused("\"bc\"", "\"no-such-package\"", 2, "has no package \"no-such-package\"");
    refused("\"bookworm\"", "\"nosuchrelease\"", 4, "apt is not set up here for Debian's release \"nosuchrelease\"");
    refused("\"bc\"", "\"bc=1\"", 2, "line 7: `environment.packages` has `bc=1`");
    let mut command = bench.command(["build", "sum", "--out", "made"]);
    command.env("REPROVE_APT", "/nonexistent/apt-get");
    bench.write("sum/reprove.toml", &recipe);
    let ran = wait(command).with_code(4);
    assert!(ran.stderr.contains("/nonexistent/apt-get can't be started"), "{}", ran.stderr);
    // Without a network, apt says so and ends well.
    let apt = bench.write("apt", "#!/bin/sh\necho 'W: Failed to fetch it' >&2\n");
    fs::set_permissions(&apt, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = bench.command(["build", "sum", "--out", "made"]);
    command.env("REPROVE_APT", apt);
    let ran = wait(command).with_code(4);
    assert!(ran.stderr.contains("apt has no list of packages here: Failed to fetch it"), "{}", ran.stderr);
    bench.write("sum/reprove.toml", recipe.replace("[environment]\ndebian = \"bookworm\"\npackages = [\"bc\"]\n", ""));
    let ran = wait(bench.command(["lock", "sum"])).with_code(2);
    assert!(ran.stderr.contains("environment = { debian"), "{}", ran.stderr);
}
