// SPDX-License-Identifier: Apache-2.0
//! Binary packages of Debian's: rebuilt from their sources, in systems made of the packages that these are built with.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::time::Duration;

use reprove_model::{PackageUrl, Sha256};
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
    let bench = Bench::sharing("debian");
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

/// A package that was built again without a change of its source (a binNMU), by what it has of its changelog; then with what a
/// builder wrote down, which is held against the package and against what apt has.
#[test]
fn what_was_built_again_gets_the_entry_of_its_changelog_and_what_its_builder_had() {
    let bench = Bench::sharing("debian");
    let version = version(&bench, "bc");
    assert!(version.contains("+b"), "bc is not the example of a binNMU any more: {version}");
    let purl = format!("pkg:deb/debian/bc@{}?arch=amd64&distro=bookworm", version.replace('+', "%2B"));
    let rebuilt = |made: &str, more: &[&str]| {
        let ran = rebuild(&bench, &purl, &[&["--explain", "fast", "--artifacts", made], more].concat());
        assert!(matches!(ran.code, Some(0 | 1)), "{:?} {}", ran.code, ran.stderr);
        let lock = fs::read(bench.path(&format!("work/{made}/lock.json"))).unwrap();
        (serde_json::from_slice::<Value>(&lock).unwrap(), ran)
    };
    let tools = |lock: &Value| -> Vec<String> {
        let inputs = lock["inputs"].as_array().unwrap().iter().filter(|input| input["role"] == "tool");
        inputs.map(|input| input["name"].as_str().unwrap().to_owned()).collect()
    };
    let (lock, ran) = rebuilt("first", &[]);
    assert!(ran.stderr.contains("the package has what its builder put on top of the changelog"), "{}", ran.stderr);
    assert_eq!(lock["published"]["derived"], serde_json::json!(["bytes"]));
    assert_eq!(tools(&lock), ["binary-only-changes"]);

    let published = fs::read(bench.path(&format!("work/first/published/bc_{version}_amd64.deb"))).unwrap();
    let mut packages = String::new();
    for input in lock["inputs"].as_array().unwrap().iter().filter(|input| input["role"] == "environment") {
        let purl: PackageUrl = input["purl"].as_str().unwrap().parse().unwrap();
        packages += &format!(" {} (= {}),\n", purl.name(), purl.version().unwrap());
    }
    let source = version.split("+b").next().unwrap();
    let info = format!(
        "Format: 1.0\nSource: bc ({source})\nVersion: {version}\nChecksums-Sha256:\n {} {} bc_{version}_amd64.deb\n\
         Installed-Build-Depends:\n{packages}",
        Sha256::of(&published),
        published.len()
    );
    bench.write("bc.buildinfo", &info);
    let (with, _) = rebuilt("second", &["--buildinfo", "bc.buildinfo"]);
    // The builder's file may be its publisher's: what it decides is said, and no build sees it.
    assert_eq!(tools(&with), ["binary-only-changes"]);
    assert_eq!(with["published"]["derived"], serde_json::json!(["bytes", "tools"]));
    assert_eq!(with["environment"]["digest"], lock["environment"]["digest"]);

    let digest = Sha256::of(&published).to_string();
    bench.write("other.buildinfo", info.replace(&digest, &"0".repeat(64)));
    let ran = rebuild(&bench, &purl, &["--buildinfo", "other.buildinfo"]).with_code(2);
    assert!(ran.stderr.contains("is of another build"), "{}", ran.stderr);
    bench.write("gone.buildinfo", info.replace(" gcc (= ", " gcc (= 0"));
    let ran = rebuild(&bench, &purl, &["--buildinfo", "gone.buildinfo"]).with_code(4);
    assert!(ran.stderr.contains("apt has 1 no longer: gcc=0"), "{}", ran.stderr);
    let ran = rebuild(&bench, "pkg:pypi/idna@3.20", &["--buildinfo", "bc.buildinfo"]).with_code(2);
    assert!(ran.stderr.contains("--buildinfo is for packages of Debian's"), "{}", ran.stderr);
}

#[test]
fn what_can_not_be_rebuilt_is_said_with_the_reason() {
    let bench = Bench::sharing("debian");
    let ran = rebuild(&bench, "pkg:deb/debian/no-such-package@1", &[]).with_code(2);
    assert!(ran.stderr.contains("has no package \"no-such-package\""), "{}", ran.stderr);
    let ran = rebuild(&bench, "pkg:deb/ubuntu/hello@2.10-3", &[]).with_code(2);
    assert!(ran.stderr.contains("names no binary package of Debian's"), "{}", ran.stderr);
    let ran = rebuild(&bench, "pkg:deb/debian/hello@2.10-3?distro=nosuchrelease", &[]).with_code(4);
    assert!(ran.stderr.contains("apt is not set up here for Debian's release"), "{}", ran.stderr);
}
