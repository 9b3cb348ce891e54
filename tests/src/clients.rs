// SPDX-License-Identifier: Apache-2.0
//! Software that others wrote, which reads what reprove writes.

use std::ffi::OsStr;
use std::process::Command;

use crate::workspace;

/// What the script `name` of `tests/clients` prints, with the Python that has the clients. Fails where it does.
#[track_caller]
pub fn python_client<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let python = workspace().join(".venv/bin/python");
    assert!(python.exists(), "there is no {}; scripts/setup makes it", python.display());
    let mut command = Command::new(python);
    let output = command.arg("-I").arg(workspace().join("tests/clients").join(name)).args(arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout.into_owned()
}
