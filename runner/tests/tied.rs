// SPDX-License-Identifier: Apache-2.0
//! A machine does not start where the runner has ended before its holder could ask to end with it.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use reprove_runner::MACHINE_ARGUMENT;
use serde_json::json;

#[test]
fn a_machine_of_a_runner_that_is_gone_does_not_start() {
    // The runner is this process, or one that it is not.
    for (runner, starts) in [(std::process::id(), true), (1, false)] {
        let engine = json!({"program": "/bin/echo", "arguments": ["it runs"], "files": [], "names": []});
        let mut holder = Command::new(env!("CARGO_BIN_EXE_reprove-sandbox"))
            .arg(MACHINE_ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        holder.stdin.take().unwrap().write_all(json!([runner, engine]).to_string().as_bytes()).unwrap();
        let ended = holder.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        assert_eq!((ended.status.success(), said.contains("it runs")), (starts, starts), "{said}");
        assert_eq!(said.contains("the runner is gone"), !starts, "{said}");
    }
}
