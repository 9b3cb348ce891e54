// SPDX-License-Identifier: Apache-2.0
//! Directories that are listed in another order.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use reprove_model::{Exit, FileOrder, RecordMode};
use support::project::Watched;
use support::{AS_ORDINARY_USER, again};

/// Lists a directory of the source, one that the build made, one of `/usr` and a large one, by several programs.
const LISTS: &str = "mkdir out made; for n in 1 2 3 4 5; do touch made/$n; done; ls -U files; ls -U made; \
     gcc -static -o list list.c; ./list files; /usr/bin/python3 -c 'import os; print(*os.listdir(\"files\"), sep=\"\\n\")'; \
     ls -U /usr/share | grep -x -e dict -e doc -e perl -e man";

const LIST: &str = "#include <dirent.h>\n#include <stdio.h>\nint main(int n, char **a) { DIR *d = opendir(a[1]); struct dirent *e; \
     while ((e = readdir(d))) if (e->d_name[0] != '.') puts(e->d_name); rewinddir(d); return !readdir(d); }\n";

async fn listed(order: FileOrder, mode: RecordMode) -> Vec<String> {
    let files = ["a", "b", "c", "d"].map(|name| (format!("files/{name}"), String::new()));
    let mut all: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    all.push(("list.c", LIST));
    let project = Watched::new(mode, &all, LISTS).in_order(order);
    let built = project.build().await.unwrap();
    let log = fs::read_to_string(&built.log).unwrap();
    assert_eq!(built.record.exit, Exit::Success, "{log}");
    let told = (order == FileOrder::Reversed).then(BTreeSet::new);
    assert_eq!(built.record.undetermined, told, "{log}");
    log.lines().map(str::to_owned).collect()
}

fn is_backwards(there: &[String], back: &[String]) {
    assert_eq!(there.len(), back.len());
    let parts = [0..4, 4..9, 9..13, 13..17, 17..there.len()];
    for part in parts {
        let turned: Vec<&String> = back[part.clone()].iter().rev().collect();
        assert_eq!(there[part.clone()].iter().collect::<Vec<_>>(), turned, "{there:?} {back:?}");
        assert!(part.len() > 1);
    }
}

#[tokio::test]
async fn every_directory_is_listed_backwards() {
    let there = listed(FileOrder::Sorted, RecordMode::Declared).await;
    for mode in [RecordMode::Declared, RecordMode::Full] {
        is_backwards(&there, &listed(FileOrder::Reversed, mode).await);
    }
}

#[tokio::test]
async fn a_large_directory_is_listed_whole() {
    let script = "mkdir out many; cd many; for n in $(seq 3000); do : > a-rather-long-name-for-a-file-$n; done; \
                  ls -U | sort | uniq | wc -l; rm -r ../many/*; ls -A; cd ..; rm -r many; ls -A";
    let project = Watched::new(RecordMode::Files, &[("x", "")], script).in_order(FileOrder::Reversed);
    let built = project.build().await.unwrap();
    let log = fs::read_to_string(&built.log).unwrap();
    assert_eq!((built.record.exit, log.as_str()), (Exit::Success, "3000\nout\nx\n"));
}

#[test]
fn an_ordinary_user_s_are_as_well() {
    again(AS_ORDINARY_USER, "started_as_an_ordinary_user");
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn started_as_an_ordinary_user() {
    let there = listed(FileOrder::Sorted, RecordMode::Files).await;
    is_backwards(&there, &listed(FileOrder::Reversed, RecordMode::Files).await);
    // A program that may be executed and not read is reached as well.
    let script = "mkdir out; cp /usr/bin/ls ls; chmod 111 ls; test ! -r ls; ./ls -U / > there; ls -U / | cmp - there";
    let project = Watched::new(RecordMode::Declared, &[("x", "")], script).in_order(FileOrder::Reversed);
    let built = project.build().await.unwrap();
    assert_eq!((built.record.exit, built.record.undetermined), (Exit::Success, Some(BTreeSet::new())));
}
