// SPDX-License-Identifier: Apache-2.0
//! The scoreboard of what others published, with a small set.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::time::Duration;

use reprove_tests::{Bench, Running, program, sorted_names, workspace};
use serde_json::Value;

/// Each package is rebuilt once and kept, the control finds a changed bit in each, and a second run rebuilds nothing.
#[test]
fn a_small_set_comes_out_and_every_changed_bit_is_found() {
    let bench = Bench::new();
    let script = workspace().join("scripts/real-world");
    let set = workspace().join("tests/real-world/sample.list");
    let (cache, program) = (bench.path("cache"), program());
    let scored = || {
        let mut command = bench.program_in_this_place("python3");
        command.arg(&script).arg(&program).arg("--set").arg(&set).arg("--cache").arg(&cache).args(["--jobs", "2"]);
        Running::start(command).wait(Duration::from_secs(1200)).with_code(0).stdout
    };
    let first = scored();
    let row = first.lines().find(|line| line.starts_with("| sample |")).unwrap();
    assert!(row.starts_with("| sample | 4 of 4 | 3 | 0 | 0 | 1 | 3 of 3 found |"), "{first}");
    let kept = || {
        let of_program = cache.join(sorted_names(&cache).pop().unwrap());
        let result = |name: String| {
            let result = fs::read(of_program.join(name).join("result.json")).unwrap();
            serde_json::from_slice::<Value>(&result).unwrap()
        };
        sorted_names(&of_program).into_iter().map(result).collect::<Vec<_>>()
    };
    let results = kept();
    assert_eq!(results.len(), 4);
    for result in &results {
        let is_there = !result["purl"].as_str().unwrap().contains("no-such-package");
        assert_eq!(result["level"] == "bit-identical", is_there, "{result}");
        assert_eq!(result["control"]["same"], if is_there { Value::Bool(true) } else { Value::Null }, "{result}");
    }
    assert_eq!(scored(), first);
    assert_eq!(kept(), results);
}
