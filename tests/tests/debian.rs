// SPDX-License-Identifier: Apache-2.0
//! Binary packages of Debian's: rebuilt from their sources, in systems made of the packages that these are built with.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::time::Duration;

use reprove_tests::{Bench, Ran, Running};
use serde_json::Value;

fn rebuild(bench: &Bench, purl: &str, more: &[&str]) -> Ran {
    Running::start(bench.command([&["rebuild", purl], more].concat())).wait(Duration::from_secs(900))
}

/// The version that the archive has now, by what is said of one that it never had.
fn version(bench: &Bench, name: &str) -> String {
    let said = rebuild(bench, &format!("pkg:deb/debian/{name}@0.0"), &["--json"]).with_code(2).json();
    let said = said["error"].as_str().unwrap();
    assert!(said.contains(&format!("has no {name}=0.0 now; it has version ")), "{said}");
    said.rsplit(' ').next().unwrap().to_owned()
}

/// A package for every architecture, whose source's own format it is: bit for bit, and the proof has the source, its version,
/// and each package that it was built with.
#[test]
fn a_package_comes_out_of_its_source() {
    let bench = Bench::new();
    let key = bench.public_key();
    let version = version(&bench, "ucf");
    let purl = format!("pkg:deb/debian/ucf@{version}?arch=all&distro=bookworm");
    let ran = rebuild(&bench, &purl, &["-o", "ucf.proof.json", "--artifacts", "made"]).with_code(0);
    assert!(ran.stdout.starts_with("reproducible  pkg:deb/debian/ucf@"), "{}", ran.stdout);
    assert!(ran.stdout.contains("comes out of its source bit for bit"), "{}", ran.stdout);
    let lock: Value = serde_json::from_slice(&fs::read(bench.path("work/made/lock.json")).unwrap()).unwrap();
    assert_eq!(lock["published"].get("derived"), None, "nothing was taken from what was published");
    let inputs = lock["inputs"].as_array().unwrap();
    let of = |role: &str| inputs.iter().filter(|input| input["role"] == role).count();
    assert_eq!((of("source"), of("tool")), (1, 0));
    assert_eq!(of("environment"), inputs.len() - 1);
    let source = inputs.iter().find(|input| input["role"] == "source").unwrap();
    assert!(source["purl"].as_str().unwrap().ends_with("arch=source"), "{source}");
    let published = format!("made/published/ucf_{version}_all.deb");
    let audit = ["audit", "ucf.proof.json", &published, "--key", key.to_str().unwrap(), "--json"];
    assert_eq!(bench.run(audit).with_code(0).json()["verified"], true);
}

#[test]
fn what_can_not_be_rebuilt_is_said_with_the_reason() {
    let bench = Bench::new();
    let binary = version(&bench, "bc");
    assert!(binary.contains("+b"), "bc is not the example of a binNMU any more: {binary}");
    let ran = rebuild(&bench, &format!("pkg:deb/debian/bc@{binary}"), &[]).with_code(2);
    assert!(ran.stderr.contains("(a binNMU)"), "{}", ran.stderr);
    let ran = rebuild(&bench, "pkg:deb/debian/no-such-package@1", &[]).with_code(2);
    assert!(ran.stderr.contains("has no package \"no-such-package\""), "{}", ran.stderr);
    let ran = rebuild(&bench, "pkg:deb/ubuntu/hello@2.10-3", &[]).with_code(2);
    assert!(ran.stderr.contains("names no binary package of Debian's"), "{}", ran.stderr);
    let ran = rebuild(&bench, "pkg:deb/debian/hello@2.10-3?distro=nosuchrelease", &[]).with_code(4);
    assert!(ran.stderr.contains("apt is not set up here for Debian's release"), "{}", ran.stderr);
}
