// SPDX-License-Identifier: Apache-2.0
//! The pages in a real browser, held against the rules for accessibility of axe: submit, live log, verdict, download, audit.

use std::process::Command;
use std::time::Duration;

use reprove_tests::{Running, workspace};

use super::served::{Farm, build_of};

#[test]
fn a_build_is_watched_in_a_browser_and_its_proof_audited() {
    let farm = Farm::new(&[]);
    let submitted = farm.run(&["submit", "pkg:pypi/idna@3.20"]).with_code(0);
    let build = build_of(&submitted);
    let proof = farm.bench.path("work").join("browser.proof.json");
    let mut browser = Command::new("node");
    browser.arg(workspace().join("tests/clients/farm_pages.mjs")).args([&farm.url, &build]).arg(&proof);
    browser.env("TMPDIR", farm.bench.path("home"));
    let ran = Running::start(browser).wait(Duration::from_secs(240)).with_code(0);
    for seen in ["watched: ", "axe: ", "without scripts: ", "downloaded"] {
        assert!(ran.stdout.contains(seen), "{}", ran.stdout);
    }
    let key = farm.bench.public_key();
    let audit = ["audit", proof.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let _ = farm.bench.run(audit).with_code(0);
}
