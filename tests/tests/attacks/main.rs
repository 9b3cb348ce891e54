// SPDX-License-Identifier: Apache-2.0
//! The attacks: each file of `tests/attacks` is a program that tries something hostile from inside a build. It is run in
//! reprove's sandbox as root and as an ordinary user, amid things outside that it must not reach; what it says came of it
//! counts, and what is found outside afterwards. `docs/sandbox.md` has the table of what stops what.
//!
//! `cargo test -p reprove-tests --test attacks -- --ignored write_the_table` runs all of them in plain bubblewrap as well,
//! also as root and as an ordinary user, and writes what came of that into the headers, and the table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail"
)]
#![allow(clippy::print_stdout, reason = "to say what was measured")]

mod bait;
mod bubblewrap;
mod header;
mod inside;
mod program;
mod sandbox;
mod table;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use reprove_tests::is_root;

use crate::header::{Attack, Outcome, Way};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == inside::ARGUMENT) {
        inside::main(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    let mut trials: Vec<Trial> = Vec::new();
    for attack in header::all() {
        for way in Way::ALL {
            let tried = attack.clone();
            let trial = Trial::test(format!("{}::{}", attack.name, way.name()), move || check(&tried, way));
            // Root can become any user; an ordinary one stays what it is. Bubblewrap's columns only tell what others do.
            trials.push(trial.with_ignored_flag(way.is_bubblewrap() || (way.is_by_root() && !is_root())));
        }
    }
    trials.push(Trial::test("every_topic_has_its_attacks", || caught(table::every_topic_has_its_attacks)));
    trials.push(Trial::test("the_table_is_that_of_the_attacks", || caught(table::is_that_of_the_attacks)));
    trials.push(Trial::test("write_the_table", || caught(table::write)).with_ignored_flag(true));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn caught(test: fn() -> Result<(), String>) -> Result<(), Failed> {
    test().map_err(Failed::from)
}

/// Runs an attack, and holds what comes of it against its header.
fn check(attack: &Attack, way: Way) -> Result<(), Failed> {
    let measured = bait::run(attack, way)?;
    // What a limit would have stopped gets through where the machine has none, and the record says that.
    let expected = attack.expected(way);
    println!("{}::{}: {}: {}", attack.name, way.name(), measured.outcome, measured.why);
    if measured.outcome == expected || attack.expected(way) == Outcome::NotApplicable {
        Ok(())
    } else {
        Err(format!("expected {expected}, but {}: {}", measured.outcome, measured.why).into())
    }
}
