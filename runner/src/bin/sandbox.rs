// SPDX-License-Identifier: Apache-2.0
//! The sandbox's helper as a program of its own, for programs that can't be it themselves: test harnesses, benchmarks.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(reprove_runner::HELPER_ARGUMENT) {
        return reprove_runner::helper_main();
    }
    if std::env::args().nth(1).as_deref() == Some(reprove_runner::MACHINE_ARGUMENT) {
        return reprove_runner::vm::machine_main();
    }
    ExitCode::from(2)
}
