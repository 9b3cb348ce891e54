// SPDX-License-Identifier: Apache-2.0
//! What a build can't do to hold the helper up that watches it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::fs;

use reprove_model::{Exit, RecordMode};
use support::project::Watched;

/// Has one descriptor lead to a file and to a pipe that nobody writes into, in turns, while it is executed.
const FLIPS: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int file, pipe_;

static void *flip(void *unused) {
    for (;;) dup2(file, 9), dup2(pipe_, 9);
    return unused;
}

int main(void) {
    char *arguments[] = {"x", 0}, *none[] = {0};
    pthread_t thread;
    mkfifo("fifo", 0600);
    pipe_ = open("fifo", O_PATH);
    file = open("flips.c", O_RDONLY);
    dup2(file, 9);
    pthread_create(&thread, 0, flip, 0);
    for (int n = 0; n < 20000; n++) syscall(SYS_execveat, 9, "", arguments, none, AT_EMPTY_PATH);
    return 0;
}
"#;

#[tokio::test]
async fn a_pipe_in_the_place_of_a_program_holds_nobody_up() {
    let script = "mkdir out; gcc -pthread -o flips flips.c; ./flips; echo done";
    let project = Watched::new(RecordMode::Files, &[("flips.c", FLIPS)], script);
    let built = project.build().await.unwrap();
    let log = fs::read_to_string(&built.log).unwrap();
    assert_eq!((built.record.exit, log.as_str()), (Exit::Success, "done\n"));
}
