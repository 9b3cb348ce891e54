// SPDX-License-Identifier: Apache-2.0
//! An ordinary user can check a project, and the build record says what was not enforced for want of root.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::time::Duration;

use reprove_tests::{Bench, Running, is_root};
use serde_json::Value;

/// `nobody`: no user whose files matter.
const ORDINARY: u32 = 65534;

#[test]
fn an_ordinary_user_can_check_a_project() {
    let bench = Bench::with_own_program();
    let project = bench.example("hello-c");
    let mut command = if is_root() {
        fs::set_permissions(bench.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(bench.path("reprove"), fs::Permissions::from_mode(0o755)).unwrap();
        for owned in ["", "home", "store", "store/host-usr.json", "work"] {
            chown(bench.path(owned), Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
        let mut command = bench.program_in_this_place("setpriv");
        let id = ORDINARY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps=-all", "--"]);
        command.arg(bench.path("reprove"));
        command
    } else {
        bench.command([""; 0])
    };
    command.arg("check").arg(&project).args(["--artifacts", "made"]);
    let ran = Running::start(command).wait(Duration::from_secs(120)).with_code(0);
    assert!(ran.stdout.starts_with("reproducible  hello-c\n"), "{}", ran.stdout);
    for name in ["first", "second"] {
        let record = fs::read(bench.path("work/made").join(format!("{name}.record.json"))).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let enforced = &record["enforced"];
        assert_eq!(enforced["separateUser"], false, "{enforced}");
        let own = enforced["namespaces"].as_array().unwrap();
        assert_eq!(own.len(), 8, "{enforced}");
        assert_eq!(enforced["filter"], true, "{enforced}");
    }
    let made = fs::read(bench.path("work/made/first/hello")).unwrap();
    assert!(made.starts_with(b"\x7fELF"));
}

/// As root, every wall and limit that the machine has is up, and the record says so.
#[test]
fn root_gives_the_build_a_user_of_its_own() {
    if !is_root() {
        println!("skipped: only root can");
        return;
    }
    let bench = Bench::new();
    let project = bench.project("project", &["id -u > out"], "");
    let ran =
        bench.run(["check", project.to_str().unwrap(), "--pin", "user=its number is looked at", "--artifacts", "made"]);
    let _ = ran.with_code(0);
    let record: Value = serde_json::from_slice(&fs::read(bench.path("work/made/first.record.json")).unwrap()).unwrap();
    assert_eq!(record["enforced"]["separateUser"], true);
    assert_ne!(fs::read_to_string(bench.path("work/made/first/out")).unwrap(), "0\n");
}
