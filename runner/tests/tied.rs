// SPDX-License-Identifier: Apache-2.0
//! The processes that builds run in do not start where the runner has ended before they could ask to end with it.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use reprove_runner::{HELPER_ARGUMENT, MACHINE_ARGUMENT};
use serde_json::{Value, json};

/// The runner is this process, and one that it is not.
fn runners() -> [(u32, bool); 2] {
    [(std::process::id(), true), (1, false)]
}

#[test]
fn a_machine_of_a_runner_that_is_gone_does_not_start() {
    for (runner, starts) in runners() {
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

#[test]
fn a_sandbox_of_a_runner_that_is_gone_does_not_start() {
    for (runner, starts) in runners() {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let mut helper = Command::new(env!("CARGO_BIN_EXE_reprove-sandbox"))
            .arg(HELPER_ARGUMENT)
            .stdin(File::open("/dev/null").unwrap())
            .stdout(theirs)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut socket = UnixStream::from(ours);
        let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let outside = json!({"user": user, "group": group, "lent": Value::Null});
        let place = json!({"runner": runner, "groups": [], "outside": outside, "inside": 1000});
        socket.write_all(place.to_string().as_bytes()).unwrap();
        let mut said = vec![0; 1 << 16];
        let length = socket.read(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said[..length]).into_owned();
        assert_eq!((said.contains("Started"), said.contains("the runner is gone")), (starts, !starts), "{said}");
        // With nothing more to come, it ends.
        drop(socket);
        let _ = helper.wait().unwrap();
    }
}
