// SPDX-License-Identifier: Apache-2.0
//! Nothing is missing that `strace` sees: the sandbox's helper, and all that it starts, run under it from outside, so that
//! both see the same calls of the same processes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use reprove_model::{InsidePath, ObservedListing, RecordMode};
use reprove_runner::Sandbox;
use support::programs::{FILES, SCRIPT};
use support::project::Watched;

#[tokio::test]
async fn nothing_is_missing_that_strace_sees() {
    let (listing, trace) = traced(RecordMode::Full, "%file,%process,fchdir").await;
    let asked = asked(&trace, &|_| true);
    assert!(asked.len() > 1000, "only {} paths were traced", asked.len());
    for way in ["by-stat", "by-lstat", "by-access", "by-faccessat", "by-fstatat", "by-statx", "by-readlinkat"] {
        assert!(asked.contains(&format!("/build/source/inc/{way}")), "strace has not seen {way}");
    }
    assert_all(&asked, &listing);
}

#[tokio::test]
async fn nothing_is_missing_of_what_is_opened_or_executed() {
    let (listing, trace) = traced(RecordMode::Files, "%file,%process,fchdir").await;
    let opens = ["open", "openat", "openat2", "creat", "execve", "execveat"];
    let asked = asked(&trace, &|call| opens.contains(&call));
    for name in ["after-fchdir", "thread-3-49", "deep/data", "none.so", "no-program"] {
        assert!(asked.iter().any(|path| path.ends_with(name)), "strace has not seen {name}");
    }
    assert_all(&asked, &listing);
}

#[track_caller]
fn assert_all(asked: &BTreeSet<String>, listing: &ObservedListing) {
    assert!(listing.lost.is_empty(), "{:?}", listing.lost);
    let missing: Vec<_> =
        asked.iter().filter(|path| !listing.paths.contains_key(&InsidePath::new(path.as_str()).unwrap())).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:#?}", missing.len(), asked.len());
}

/// What was seen of a build in `mode`, and the text of strace's trace of `calls`.
async fn traced(mode: RecordMode, calls: &str) -> (ObservedListing, String) {
    let dir = tempfile::tempdir().unwrap();
    let (trace, helper) = (dir.path().join("trace"), dir.path().join("helper"));
    let program = env!("CARGO_BIN_EXE_reprove-sandbox");
    let script = format!(
        "#!/bin/sh\nexec strace -f -y -qq -s 4096 -o {} -e trace={calls} -e signal=none {program} \"$@\"\n",
        trace.display()
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let mut project = Watched::new(mode, FILES, SCRIPT);
    project.sandbox = with_path(&helper);
    let (listing, _log) = project.seen().await;
    (listing, fs::read_to_string(trace).unwrap())
}

/// The helper has no environment variables; the shell finds strace by its own default.
fn with_path(helper: &Path) -> Sandbox {
    Sandbox::with_helper(helper.to_owned())
}

/// The absolute paths of the calls that `counts` says yes to, of all processes but the helper and the first one inside.
fn asked(trace: &str, counts: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let mut outside = Vec::new();
    let mut directories: BTreeMap<&str, String> = BTreeMap::new();
    let mut asked = BTreeSet::new();
    // A child may be there before the call that makes it has come back, in the directory of whoever waits for it.
    let mut making: Vec<&str> = Vec::new();
    for line in trace.lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if outside.len() < 2 && !outside.contains(&pid) {
            outside.push(pid);
        }
        if outside.contains(&pid) {
            continue;
        }
        if !directories.contains_key(pid) {
            let parent = making.last().and_then(|parent| directories.get(parent)).cloned();
            directories.insert(pid, parent.unwrap_or_else(|| "/build/source".into()));
        }
        let makes = ["fork(", "vfork(", "clone(", "clone3("].iter().any(|call| rest.starts_with(call));
        if makes && rest.contains("<unfinished") {
            making.push(pid);
        } else if rest.starts_with("<... ") && ["fork ", "clone ", "clone3 "].iter().any(|call| rest.contains(call)) {
            making.retain(|other| *other != pid);
        }
        if makes && let Some((_, child)) = rest.rsplit_once(" = ") {
            let directory = directories[pid].clone();
            directories.insert(child.split_whitespace().next().unwrap(), directory);
        }
        let Some((call, arguments)) = rest.split_once('(').filter(|(call, _)| !call.starts_with('<')) else { continue };
        let paths = paths(call, arguments, &directories[pid]);
        if (call == "chdir" || call == "fchdir") && !rest.contains(" = -1") {
            let inside = arguments.split_once('<').and_then(|(_, path)| path.split_once('>')).map(|(path, _)| path);
            let to = if call == "fchdir" { inside.map(str::to_owned) } else { paths.first().cloned() };
            directories.insert(pid, fs_free(&to.unwrap()));
        }
        if counts(call) {
            asked.extend(paths);
        }
    }
    asked
}

/// A directory as the kernel names it, as far as that can be told without links: none of the tests' has one above `..`.
fn fs_free(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if name == ".." {
            names.pop();
        } else {
            names.push(name);
        }
    }
    format!("/{}", names.join("/"))
}

/// The paths among a call's arguments, absolute.
fn paths(call: &str, arguments: &str, directory: &str) -> Vec<String> {
    let (skip, take) = match call {
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => (0, 2),
        "symlink" | "symlinkat" => (1, 1),
        "getcwd" | "exit_group" | "wait4" | "kill" | "tgkill" => (0, 0),
        _ => (0, 1),
    };
    let (mut found, mut rest, mut at) = (Vec::new(), arguments, None);
    while found.len() < skip + take {
        let quote = rest.find('"');
        let descriptor = rest.find('<').filter(|place| quote.is_none_or(|quote| *place < quote));
        if let Some(place) = descriptor {
            let Some((path, after)) = rest[place + 1..].split_once('>') else { break };
            at = Some(path);
            rest = after;
        } else if let Some(place) = quote {
            let Some((path, after)) = rest[place + 1..].split_once('"') else { break };
            let base = at.take().unwrap_or(directory);
            let empty = path.is_empty() && call != "execveat";
            found.push(if empty { String::new() } else { whole(base, path) });
            rest = after;
        } else {
            break;
        }
    }
    found.into_iter().skip(skip).filter(|path| !path.is_empty()).collect()
}

fn whole(base: &str, path: &str) -> String {
    let all = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut plain = String::new();
    for name in all.split('/').filter(|name| !name.is_empty() && *name != ".") {
        let is_process = plain == "/proc" && name.bytes().all(|byte| byte.is_ascii_digit());
        plain.push('/');
        plain.push_str(if is_process { "PID" } else { name });
    }
    if plain.is_empty() { "/".into() } else { plain }
}
