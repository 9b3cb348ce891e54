// SPDX-License-Identifier: Apache-2.0
//! What commands print as JSON, held against the schemas in `docs/schema` by an independent implementation.

use std::fs::{self, File};
use std::process::Command;

use serde_json::Value;

use crate::{Ran, workspace};

/// What is wrong with `value`, by the schema `name`; nothing where it is valid.
#[must_use]
pub fn faults(value: &Value, name: &str) -> String {
    let python = workspace().join(".venv/bin/python");
    assert!(python.exists(), "there is no {}; scripts/setup makes it", python.display());
    let input = tempfile_with(value);
    let mut command = Command::new(python);
    let place = workspace().join("docs/schema");
    command.arg("-I").arg(workspace().join("tests/validate.py")).arg(place).arg(format!("{name}.json"));
    let output = command.stdin(input).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() || !said.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn tempfile_with(value: &Value) -> File {
    let path = tempfile::NamedTempFile::new().unwrap();
    fs::write(path.path(), value.to_string()).unwrap();
    File::open(path.path()).unwrap()
}

/// Checks the exit status, and the object by its schema.
#[track_caller]
#[expect(clippy::must_use_candidate, reason = "it fails by itself")]
pub fn valid(ran: Ran, code: i32, schema: &str) -> Value {
    let value = ran.with_code(code).json();
    assert_eq!(faults(&value, schema), "", "{value:#}");
    value
}
