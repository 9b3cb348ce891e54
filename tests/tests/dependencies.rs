// SPDX-License-Identifier: Apache-2.0
//! What a project depends on, by its own lock files: fetched, checked, laid out in the build, and in the proof.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reprove_model::Sha256;
use reprove_tests::{Bench, Ran, Running, workspace};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(300);

/// A project whose dependencies are those of its lock file.
fn project(bench: &Bench, table: &str, lock_file: (&str, &str), steps: &[&str]) {
    let recipe = format!(
        "[package]\nname = \"p\"\n[source]\ndirectory = \".\"\n[dependencies]\n{table}\n[build]\nsteps = {steps:?}\n\
         [outputs]\npaths = [\"out\"]\n"
    );
    bench.write("p/reprove.toml", recipe);
    bench.write(&format!("p/{}", lock_file.0), lock_file.1);
}

/// Runs `reprove` with a soft limit on open files, and with cargo's home where crates were made up.
fn run(bench: &Bench, arguments: &[&str], cargo: &str) -> Ran {
    let program = bench.command(arguments);
    let mut command = bench.program_in_this_place("/bin/sh");
    command.args(["-c", "ulimit -S -n 256; exec \"$@\"", "sh"]).arg(program.get_program()).args(arguments);
    command.env("CARGO_HOME", bench.path("cargo")).env("REPROVE_CARGO", cargo);
    Running::start(command).wait(LONG)
}

/// Crates of this registry's, in cargo's home, and a lock file that names them.
fn crates(bench: &Bench, count: usize) -> String {
    let cache = bench.path("cargo/registry/cache/made-up");
    fs::create_dir_all(&cache).unwrap();
    let mut lock = "version = 4\n".to_owned();
    for number in 0..count {
        let name = format!("c{number}-1.0.0");
        let folder = bench.path(&format!("made/{name}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Cargo.toml"), format!("[package]\nname = \"c{number}\"\nversion = \"1.0.0\"\n"))
            .unwrap();
        let file = cache.join(format!("{name}.crate"));
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(bench.path("made")).arg("-czf").arg(&file).arg(&name);
        assert!(tar.status().unwrap().success());
        let sum = Sha256::of(&fs::read(&file).unwrap());
        lock += &format!(
            "[[package]]\nname = \"c{number}\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\nchecksum = \"{sum}\"\n"
        );
    }
    lock
}

fn json(bench: &Bench, name: &str) -> Value {
    serde_json::from_slice(&fs::read(bench.path("work").join(name)).unwrap()).unwrap()
}

/// More than a process may hold open by this soft limit; and no client is asked for what it has, or what the store has.
#[test]
fn crates_are_there_for_a_build_and_are_fetched_once() {
    let bench = Bench::new();
    let lock = crates(&bench, 300);
    let steps = [
        "cd $CARGO_HOME; ls vendor | wc -l > $OLDPWD/out; cat vendor/c7-1.0.0/Cargo.toml config.toml >> $OLDPWD/out",
        "test $CARGO_NET_OFFLINE = true; test ! -w /inputs/c7-1.0.0.crate -o ! -w /inputs",
    ];
    project(&bench, "cargo = \"Cargo.lock\"", ("Cargo.lock", &lock), &steps);
    let _ = run(&bench, &["build", "p", "--out", "first"], "/bin/false").with_code(0);
    let out = fs::read_to_string(bench.path("work/first/outputs/out")).unwrap();
    assert!(out.starts_with("300\n[package]\nname = \"c7\"\n"), "{out}");
    assert!(out.contains("[source.crates-io]\nreplace-with"), "{out}");
    let inputs = json(&bench, "first/lock.json")["inputs"].as_array().unwrap().clone();
    let crates: Vec<&Value> = inputs.iter().filter(|input| input["role"] == "dependency").collect();
    assert_eq!((crates.len(), inputs.len()), (300, 302));
    assert_eq!((&crates[0]["name"], &crates[0]["purl"]), (&"c0-1.0.0.crate".into(), &"pkg:cargo/c0@1.0.0".into()));
    fs::remove_dir_all(bench.path("cargo")).unwrap();
    let _ = run(&bench, &["build", "p", "--out", "second"], "/bin/false").with_code(0);
    assert_eq!(json(&bench, "second/lock.json"), json(&bench, "first/lock.json"));
}

/// Provenance, and both bills, of a build that was reproduced.
#[test]
fn dependencies_are_in_the_proof_and_in_the_bills() {
    let bench = Bench::new();
    let lock = crates(&bench, 1);
    project(&bench, "cargo = \"Cargo.lock\"", ("Cargo.lock", &lock), &["cp $CARGO_HOME/vendor/*/Cargo.toml out"]);
    let key = bench.public_key();
    let check = ["check", "p", "-o", "p.proof.json", "--artifacts", "made"];
    let _ = run(&bench, &check, "/bin/false").with_code(0);
    let bills = ["--cyclonedx", "bom.json", "--spdx", "spdx.json"];
    let audit = ["audit", "p.proof.json", "made/first/out", "--key", key.to_str().unwrap()];
    let _ = bench.run([&audit[..], &bills].concat()).with_code(0);
    let bom = json(&bench, "bom.json");
    let component = |component: &&Value| component["purl"] == "pkg:cargo/c0@1.0.0";
    let found = bom["components"].as_array().unwrap().iter().find(component).unwrap();
    assert!(found["properties"].to_string().contains("\"dependency\""), "{found}");
    let spdx = json(&bench, "spdx.json");
    let relationships = spdx["relationships"].as_array().unwrap();
    let is_dependency = |relationship: &Value| relationship["relationshipType"] == "DEPENDENCY_OF";
    assert_eq!(relationships.iter().filter(|relationship| is_dependency(relationship)).count(), 1);
}

#[test]
fn what_a_lock_file_does_not_settle_is_refused_with_what_to_do() {
    let bench = Bench::new();
    let package = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n";
    let git = format!("{package}source = \"git+https://a.invalid/a#1\"\n");
    let none = format!("{package}source = \"registry+x\"\n");
    for (table, file, text, said) in [
        ("cargo = \"Cargo.lock\"", "Cargo.lock", git.as_str(), "Cargo.lock: a 1.0.0 comes from a Git repository"),
        ("cargo = \"Cargo.lock\"", "Cargo.lock", &none, "it has no checksum of a 1.0.0"),
        ("cargo = \"other.lock\"", "Cargo.lock", &none, "other.lock: it is not in the source"),
        ("npm = \"package-lock.json\"", "package-lock.json", "{\"lockfileVersion\":1}", "--lockfile-version=3"),
        ("pip = \"requirements.txt\"", "requirements.txt", "a==1", "it has no checksum of a==1; pip-compile"),
        ("pip = \"requirements.txt\"", "requirements.txt", "-r other.txt", "reads another file"),
    ] {
        project(&bench, table, (file, text), &["true > out"]);
        let ran = run(&bench, &["build", "p", "--out", "x"], "/bin/false").with_code(2);
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    // What has other bytes is none of what is there, and the client has to do what it can.
    let lock = crates(&bench, 1);
    project(&bench, "cargo = \"Cargo.lock\"", ("Cargo.lock", &lock), &["true > out"]);
    fs::write(bench.path("cargo/registry/cache/made-up/c0-1.0.0.crate"), "other").unwrap();
    let ran = run(&bench, &["build", "p", "--out", "x"], "/bin/false").with_code(4);
    assert!(ran.stderr.contains("fetching dependencies with cargo failed"), "{}", ran.stderr);
}

/// From a real registry, by the machine's own client.
#[test]
fn a_crate_is_fetched_from_a_registry() {
    let bench = Bench::new();
    let sum = "92ecc6618181def0457392ccd0ee51198e065e016d1d527a7ac1b6dc7c1f09d2";
    // What cargo calls its registry, as it wrote it into this workspace's own.
    let own = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let source = own.lines().find(|line| line.starts_with("source = ")).unwrap();
    let lock =
        format!("version = 4\n[[package]]\nname = \"itoa\"\nversion = \"1.0.17\"\n{source}\nchecksum = \"{sum}\"\n");
    project(
        &bench,
        "cargo = \"Cargo.lock\"",
        ("Cargo.lock", &lock),
        &["cp $CARGO_HOME/vendor/itoa-1.0.17/Cargo.toml.orig out"],
    );
    let home = |variable: &str, folder: &str| {
        let own = std::env::var_os(variable).map(PathBuf::from);
        own.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(folder))
    };
    let mut command = bench.command(["lock", "p", "--json"]);
    command.env("CARGO_HOME", bench.path("cargo")).env("RUSTUP_HOME", home("RUSTUP_HOME", ".rustup"));
    let said = Running::start(command).wait(LONG).with_code(0).json();
    assert_eq!(
        (&said["dependencies"][0]["purl"], &said["dependencies"][0]["digest"]["sha256"]),
        (&"pkg:cargo/itoa@1.0.17".into(), &sum.into())
    );
    let _ = bench.run(["build", "p", "--out", "made"]).with_code(0);
    assert!(fs::read_to_string(bench.path("work/made/outputs/out")).unwrap().contains("name = \"itoa\""));
}

/// From a real registry, and installed without a network by the npm that this machine's `/usr` has.
#[test]
fn npm_installs_from_what_was_fetched_whether_or_not_the_lock_file_has_addresses() {
    for resolved in ["", "\"resolved\": \"https://registry.invalid/ms/-/ms-2.1.3.tgz\","] {
        let bench = Bench::new();
        let integrity =
            "sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA==";
        let dependencies = "\"dependencies\": { \"ms\": \"2.1.3\" }";
        let lock = |integrity: &str| {
            format!(
                "{{ \"name\": \"p\", \"lockfileVersion\": 3, \"requires\": true, \"packages\": {{ \"\": {{ \"name\": \"p\", \
                 {dependencies} }}, \"node_modules/ms\": {{ \"version\": \"2.1.3\", {resolved} \"integrity\": \"{integrity}\" }} }} }}"
            )
        };
        bench.write("p/package.json", format!("{{ \"name\": \"p\", {dependencies} }}"));
        let steps = ["npm ci", "cp node_modules/ms/index.js out"];
        let of = |integrity: &str| {
            project(&bench, "npm = \"package-lock.json\"", ("package-lock.json", &lock(integrity)), &steps)
        };
        of(integrity);
        let _ = bench.run(["build", "p", "--out", "made"]).with_code(0);
        assert!(fs::read_to_string(bench.path("work/made/outputs/out")).unwrap().contains("function parse(str)"));
        of(&integrity.replace("6Flz", "7Flz"));
        let ran = bench.run(["build", "p", "--out", "other"]).with_code(2);
        assert!(ran.stderr.contains("ms-2.1.3.tgz is not what the registry promised"), "{}", ran.stderr);
    }
}

/// Wheels and a source archive, each with one module that says where it is from, made in `dist`: gives the hash of each.
const MADE: &str = r#"
import hashlib, io, pathlib, tarfile, zipfile
dist = pathlib.Path("dist")
dist.mkdir()
def wheel(name, version, tag, says):
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(dist / f"{name}-{version}-{tag}.whl", "w") as out:
        out.writestr(f"{name}.py", f"says = {says!r}\n")
        out.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        out.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n")
        out.writestr(f"{info}/RECORD", "")
wheel("made_a", "1.0", "py3-none-any", "any")
wheel("made_a", "1.0", "cp27-cp27m-manylinux1_x86_64", "old")
wheel("made_a", "1.0", "py3-none-win_amd64", "windows")
wheel("made_a", "2.0", "py3-none-any", "other")
with tarfile.open(dist / "made_b-1.0.tar.gz", "w:gz") as out:
    text = b"raise SystemExit('this code ran')"
    member = tarfile.TarInfo("made_b-1.0/setup.py")
    member.size = len(text)
    out.addfile(member, io.BytesIO(text))
for file in sorted(dist.iterdir()):
    print(file.name, hashlib.sha256(file.read_bytes()).hexdigest())
"#;

/// What has no hash of one's own index is looked at; what no Python of the build could install is not fetched.
#[test]
fn pip_installs_from_what_was_fetched_for_the_builds_python() {
    let bench = Bench::new();
    let mut made = bench.program_in_this_place("/usr/bin/python3");
    made.args(["-c", MADE]);
    let hashes = Running::start(made).wait(LONG).with_code(0).stdout;
    let hashes: Vec<(&str, &str)> = hashes.lines().filter_map(|line| line.split_once(' ')).collect();
    let of = |start: &str| {
        let of =
            hashes.iter().filter(|(name, _)| name.starts_with(start)).map(|(_, sum)| format!("--hash=sha256:{sum}"));
        of.collect::<Vec<_>>().join(" \\\n    ")
    };
    let (a, b) = (of("made_a-1.0"), of("made_b-1.0"));
    let lock = format!(
        "made-a==1.0 \\\n    {a}\n    # via p\nmade_b==1.0 ; python_version < '3.13' {b}\n\
         made_c==1 ; sys_platform == 'win32' {a}\nmade_d==1 ; python_full_version < '3.8' {a}\n"
    );
    let steps = [
        "python3 -m venv ../venv; grep -v made_b requirements.txt > ../r; ../venv/bin/pip install -r ../r",
        "../venv/bin/python -c 'import made_a; print(made_a.says)' > out",
    ];
    let build = |lock: &str, out: &str, found: &str| {
        project(&bench, "pip = \"requirements.txt\"", ("requirements.txt", lock), &steps);
        let mut command = bench.command(["build", "p", "--out", out]);
        command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", bench.path("work").join(found));
        Running::start(command).wait(LONG)
    };
    let ran = build(&lock, "first", "dist").with_code(0);
    assert!(ran.stderr.contains("made_b-1.0.tar.gz has no wheel"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(bench.path("work/first/outputs/out")).unwrap(), "any\n");
    let inputs = json(&bench, "first/lock.json")["inputs"].as_array().unwrap().clone();
    let found: Vec<&Value> = inputs.iter().filter(|input| input["role"] == "dependency").collect();
    let names: Vec<&str> = found.iter().filter_map(|input| input["name"].as_str()).collect();
    assert_eq!(names, ["made_a-1.0-py3-none-any.whl", "made_b-1.0.tar.gz"]);
    assert_eq!(found[0]["purl"], "pkg:pypi/made-a@1.0?file_name=made_a-1.0-py3-none-any.whl");
    let _ = build(&lock, "second", "nowhere").with_code(0);
    assert_eq!(json(&bench, "second/lock.json"), json(&bench, "first/lock.json"));
    let ran = build(&lock.replace(of("made_a-1.0-py3-none-any").as_str(), &of("made_a-2.0")), "other", "dist");
    assert!(ran.with_code(2).stderr.contains("the index has no file of made-a 1.0"));
}
