// SPDX-License-Identifier: Apache-2.0
//! Packages of npm: packed again from their own contents, through the network, and audited offline.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use reprove_tests::{Bench, Ran, Running, once};

const PURL: &str = "pkg:npm/debug@4.4.1";
const TARBALL: &str = "debug-4.4.1.tgz";
const PROOF: &str = "debug-4.4.1.proof.json";

/// `reprove rebuild` of the package, with what npm has fetched before in this run.
fn rebuild(bench: &Bench, more: &[&str]) -> Command {
    let mut command = bench.command([&["rebuild", PURL][..], more].concat());
    command.env("npm_config_cache", once("npm-cache", |folder| fs::create_dir_all(folder.join("_")).unwrap()));
    command
}

fn wait(command: Command) -> Ran {
    Running::start(command).wait(Duration::from_secs(600))
}

/// What a rebuild said, its proof, its tarball, and its key. Done once a run.
fn rebuilt() -> PathBuf {
    once("npm-debug", |folder| {
        let bench = Bench::new();
        let ran = wait(rebuild(&bench, &["--artifacts", "artifacts"])).with_code(0);
        fs::write(folder.join("stdout"), ran.stdout).unwrap();
        fs::copy(bench.public_key(), folder.join("key.pub")).unwrap();
        let work = bench.path("work");
        fs::copy(work.join(PROOF), folder.join(PROOF)).unwrap();
        fs::copy(work.join("artifacts/published").join(TARBALL), folder.join(TARBALL)).unwrap();
    })
}

#[test]
fn a_tarball_of_npm_comes_out_of_its_own_contents_and_no_more_is_said() {
    let text = fs::read_to_string(rebuilt().join("stdout")).unwrap();
    assert!(text.starts_with("reproducible  pkg:npm/debug@4.4.1\n"), "{text}");
    for line in [
        "debug-4.4.1.tgz comes out of its own contents bit for bit",
        "its contents, packed again: where they come from was not looked at; which tools made it, and how they were set",
        "npm 11.6.2 on node 22.11.0\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
}

#[test]
fn an_audit_of_its_own_contents_says_no_unless_they_are_accepted() {
    let (bench, from) = (Bench::new(), rebuilt());
    for name in [PROOF, TARBALL, "key.pub"] {
        bench.write(name, fs::read(from.join(name)).unwrap());
    }
    let audit = ["audit", PROOF, TARBALL, "--key", "key.pub"];
    let ran = bench.run(audit).with_code(1);
    for line in ["does not verify  debug-4.4.1.proof.json\n", "its own contents alone", "say --accept own-contents\n"] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    let ran = bench.run([&audit[..], &["--json"]].concat()).with_code(1);
    assert!(ran.stdout.contains("\"own-contents-only\""), "{}", ran.stdout);
    let ran = bench.run([&audit[..], &["--accept", "own-contents"]].concat()).with_code(0);
    assert!(ran.stdout.starts_with("verified  debug-4.4.1.proof.json: reproducible\n"), "{}", ran.stdout);
    for line in ["where they come from was not looked at", "npm 11.6.2 on node 22.11.0\n", "the file given is this one"]
    {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    // The same by a policy.
    let key = fs::read_to_string(from.join("key.pub")).unwrap();
    bench.write("trust.toml", format!("[[key]]\npublic = '''\n{key}'''\noperator = 'a'\nplatform = 'b'\n"));
    bench.write("policy.toml", "own-contents = true\n");
    let trusting = ["audit", PROOF, TARBALL, "--trust", "trust.toml"];
    let ran = bench.run(trusting).with_code(1);
    assert!(ran.stdout.contains("not counted, own-contents-only: "), "{}", ran.stdout);
    let _ = bench.run([&trusting[..], &["--policy", "policy.toml"]].concat()).with_code(0);
}

/// An npm that has another tarball for the package, and else is the machine's.
fn serving(bench: &Bench, tarball: &[u8]) -> Command {
    let served = bench.write("served.tgz", tarball);
    let script = format!(
        "#!/bin/sh\ncase \"$1 $2\" in\n'view debug@4.4.1') echo '{{\"name\":\"debug\",\"version\":\"4.4.1\"}}';;\n\
         'pack debug@4.4.1') cp {} \"${{3#*=}}/\";;\n*) exec npm \"$@\";;\nesac\n",
        served.display()
    );
    let npm = bench.write("npm", script);
    fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = rebuild(bench, &[]);
    command.env("REPROVE_NPM", npm);
    command
}

fn published_tar() -> Vec<u8> {
    let mut tar = Vec::new();
    GzDecoder::new(fs::File::open(rebuilt().join(TARBALL)).unwrap()).read_to_end(&mut tar).unwrap();
    tar
}

fn compressed(tar: &[u8], level: u32) -> Vec<u8> {
    let mut gzip = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::new(level));
    gzip.write_all(tar).unwrap();
    let mut bytes = gzip.finish().unwrap();
    bytes[8] = 2;
    bytes
}

#[test]
fn what_no_known_tool_packs_is_refused_with_its_form() {
    let mut tar = published_tar();
    // The time of the first file, and its header's check sum.
    assert_eq!(&tar[136..147], b"3560116604 ");
    tar[145] = b'5';
    let sum: u32 = (0..512).map(|at| if (148..156).contains(&at) { 32 } else { u32::from(tar[at]) }).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o} \0").as_bytes());
    let bench = Bench::new();
    let ran = wait(serving(&bench, &compressed(&tar, 9))).with_code(2);
    for line in ["debug-4.4.1.tgz: no known tool packs in its form", "gives no SHA-512 for debug@4.4.1"] {
        assert!(ran.stderr.contains(line), "{}", ran.stderr);
    }
}

/// A tarball of these files, whose headers have this time and these numbers of user and group.
fn packed(files: &[(&str, &str)], time: &[u8; 12], owner: &[u8; 16]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, text) in files {
        let mut header = [0; 512];
        let size = format!("{:010o} ", text.len());
        let fields: [(usize, &[u8]); 8] = [
            (0, name.as_bytes()),
            (100, b"000644 \0"),
            (108, owner),
            (124, size.as_bytes()),
            (136, time),
            (148, b"        "),
            (156, b"0"),
            (257, b"ustar\x0000"),
        ];
        for (at, bytes) in fields {
            header[at..at + bytes.len()].copy_from_slice(bytes);
        }
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend(header);
        tar.extend(text.as_bytes());
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.extend([0; 1024]);
    tar
}

/// What would run writes `ran.txt`, which would be packed. A tarball that is not packed by any tool is found different.
#[test]
fn no_code_of_a_package_runs() {
    let names = ["prepare", "prepack", "postpack", "prepublish", "prepublishOnly", "install", "pack"];
    let scripts = names.map(|name| format!("\"{name}\":\"touch ran.txt\"")).join(",");
    let package = format!("{{\"name\":\"debug\",\"version\":\"4.4.1\",\"scripts\":{{{scripts}}}}}\n");
    let pnpm = "require('fs').writeFileSync('ran.txt', ''); module.exports = {};\n";
    let npm = packed(&[("package/package.json", &package)], b"3560116604 \0", &[0; 16]);
    let mut old = compressed(&npm, 4);
    old[8] = 0;
    let files = [("package/.pnpmfile.cjs", pnpm), ("package/package.json", &package)];
    let mut pnpm = compressed(&packed(&files, b"03560116604 ", b"000000 \x00000000 \0"), 4);
    pnpm[8] = 0;
    for (form, tarball) in [("npm 11.6.2", compressed(&npm, 4)), ("npm 6.14.18", old), ("pnpm 9.15.9", pnpm)] {
        let bench = Bench::new();
        let mut command = serving(&bench, &tarball);
        command.args(["--artifacts", "artifacts"]);
        let ran = wait(command).with_code(1);
        assert!(ran.stdout.contains(form) && ran.stdout.starts_with("different  "), "{}", ran.stdout);
        for kind in ["first", "second"] {
            let file = fs::File::open(bench.path("work/artifacts").join(kind).join(TARBALL)).unwrap();
            let mut archive = tar::Archive::new(GzDecoder::new(file));
            let paths = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
            let paths: Vec<String> = paths.collect();
            assert!(paths.contains(&"package/package.json".into()), "{form}: {paths:?}");
            assert!(!paths.iter().any(|path| path.ends_with("ran.txt")), "{form}: {paths:?}");
        }
    }
}

/// The same files, compressed by something else that says that it is npm.
#[test]
fn another_stream_is_found_and_every_try_is_told() {
    let bench = Bench::new();
    let ran = wait(serving(&bench, &compressed(&published_tar(), 4))).with_code(1);
    assert!(ran.stdout.starts_with("different  pkg:npm/debug@4.4.1\n"), "{}", ran.stdout);
    for line in [
        "debug-4.4.1.tgz is not what its own contents are packed to",
        "none of npm 11.6.2 on node 22.11.0, npm 11.6.2 on node 20.5.1 and npm 11.6.2 on node 20.9.0 gives the same",
    ] {
        assert!(ran.stdout.contains(line), "{line:?} is not in:\n{}", ran.stdout);
    }
    // A difference is audited as one, whatever is accepted.
    let key = bench.public_key();
    let ran = bench.run(["audit", PROOF, "--key", key.to_str().unwrap()]).with_code(1);
    assert!(ran.stdout.contains("What it proves is a difference"), "{}", ran.stdout);
}
