// SPDX-License-Identifier: Apache-2.0
//! The attacks and the bait as programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use reprove_tests::once;

use crate::header::{self, Attack};

/// The program of an attack: what its source was compiled to, or the script itself.
pub(crate) fn of(attack: &Attack) -> PathBuf {
    compiled().join(&attack.name)
}

/// The program that lays the bait.
pub(crate) fn bait() -> PathBuf {
    compiled().join("bait")
}

/// The folder of all programs, which are made once a run.
fn compiled() -> PathBuf {
    once("attacks", |folder| {
        let bait = header::folder().join("bait.c");
        let sources = header::all().into_iter().map(|attack| attack.path).chain([bait]).collect::<Vec<_>>();
        let left = Mutex::new(sources);
        let work = || {
            while let Some(source) = { left.lock().unwrap().pop() } {
                make(&source, &folder.join(source.file_stem().unwrap()));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    })
}

fn make(source: &Path, program: &Path) {
    if source.extension().is_some_and(|ending| ending == "sh") {
        fs::copy(source, program).unwrap();
        return;
    }
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu17", "-O1", "-Wall", "-pthread", "-I"]).arg(header::folder());
    let output = gcc.arg("-o").arg(program).arg(source).output().expect("gcc can be started");
    assert!(output.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
}
