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

/// Lists a directory in a thread whose leader has ended, and in one with other files under the same numbers.
const THREADS: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ready;

static void list(int directory) {
    char entries[4096];
    long length = syscall(SYS_getdents64, directory, entries, sizeof entries);
    for (long at = 0; at < length; at += *(unsigned short *)(entries + at + 16))
        if (entries[at + 19] != '.') printf("%s ", entries + at + 19);
    printf("%ld\n", length > 0 ? 0 : length);
    fflush(stdout);
}

static void *alone(void *unused) {
    usleep(300000);
    list(open("letters", O_RDONLY | O_DIRECTORY));
    exit(0);
}

static void *apart(void *unused) {
    unshare(CLONE_FILES);
    close(9);
    dup2(open("letters", O_RDONLY | O_DIRECTORY), 9);
    list(9);
    return unused;
}

int main(void) {
    pthread_t thread;
    dup2(open("numbers", O_RDONLY | O_DIRECTORY), 9);
    pthread_create(&thread, 0, apart, 0);
    pthread_join(thread, 0);
    list(9);
    pthread_create(&thread, 0, alone, 0);
    pthread_exit(0);
}
"#;

#[tokio::test]
async fn threads_list_what_is_theirs() {
    let script = "mkdir out letters numbers; touch letters/a letters/b letters/c numbers/1 numbers/2 numbers/3; \
                  gcc -pthread -o threads threads.c; ./threads";
    let listed = async |order| {
        let project = Watched::new(RecordMode::Files, &[("threads.c", THREADS)], script).in_order(order);
        let built = project.build().await.unwrap();
        let log = fs::read_to_string(&built.log).unwrap();
        assert_eq!(built.record.exit, Exit::Success, "{log}");
        (log, built.record.undetermined.unwrap_or_default())
    };
    let (there, _) = listed(FileOrder::Sorted).await;
    let (back, lost) = listed(FileOrder::Reversed).await;
    for (there, back) in there.lines().zip(back.lines()) {
        let words = |text: &str| text.split(' ').filter(|word| *word != "0").map(str::to_owned).collect::<Vec<_>>();
        let turned: Vec<String> = words(back).into_iter().rev().collect();
        // Linux before 6.9 can't tell them apart, and the record says so.
        assert!(words(there) == turned || (there == back && !lost.is_empty()), "{there} {back} {lost:?}");
    }
    assert_eq!((there.lines().count(), back.lines().count()), (3, 3), "{there} {back}");
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
