// SPDX-License-Identifier: Apache-2.0
//! The API beside its own description: schemathesis makes requests out of that, good and bad ones, and holds every answer to it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use reprove_tests::{Running, workspace};

use super::served::Farm;

#[test]
fn every_answer_is_as_described() {
    let farm = Farm::new(&["--without-worker"]);
    let _ = farm.run(&["submit", "pkg:pypi/idna@3.20"]).with_code(0);
    let token = fs::read_to_string(farm.data().join("token")).unwrap();
    let program = workspace().join(".venv/bin/schemathesis");
    assert!(program.exists(), "there is no {}; scripts/setup makes it", program.display());
    let mut command = Command::new(program);
    command.args([
        "run",
        &format!("{}/openapi.json", farm.url),
        "--header",
        &format!("Authorization: Bearer {}", token.trim()),
    ]);
    // No schema says which envelopes are signed, and which package URLs there are: what only looks right is refused.
    command.args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "1", "--no-color"]);
    command.current_dir(farm.bench.path("work")).env("HOME", farm.bench.path("home"));
    let ran = Running::start(command).wait(Duration::from_secs(300));
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("Tested: 21"), "{}", ran.stdout);
}
