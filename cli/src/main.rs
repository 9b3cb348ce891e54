// SPDX-License-Identifier: Apache-2.0
//! The `reprove` command: owns the terminal, the environment variables, the home directory and the clock, and passes what
//! the libraries need on to them.

mod app;
mod appraised;
mod artifacts;
mod attached;
mod causes;
mod commands;
mod documents;
mod emulated;
mod env_vars;
mod environments;
mod error;
mod failure;
mod farm;
mod file_systems;
mod gathering;
mod hardware;
mod images;
mod keys;
mod machines;
mod measuring;
mod observed;
mod open;
mod output;
mod page;
mod passphrase;
mod plain;
mod progress;
mod rego;
mod render;
mod sarif;
mod shown;
mod signals;
mod timestamping;
mod token;
mod verdicted;
mod vsa;
mod witnessing;

use std::process::ExitCode;

use clap::Parser as _;

use crate::app::App;
use crate::commands::Cli;
use crate::error::CommandError;
use crate::signals::Interrupts;

fn main() -> ExitCode {
    // Before anything else, while there is one thread.
    let first = std::env::args_os().nth(1);
    if first.as_ref().is_some_and(|argument| argument == reprove_runner::HELPER_ARGUMENT) {
        return reprove_runner::helper_main();
    }
    if first.as_ref().is_some_and(|argument| argument == reprove_runner::MACHINE_ARGUMENT) {
        return reprove_runner::vm::machine_main();
    }
    if first.is_some_and(|argument| argument == rego::EVALUATOR_ARGUMENT) {
        return rego::evaluator_main();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let error = CommandError::from(error);
            error.print(asks_for_json());
            return ExitCode::from(error.code);
        }
        Err(help) => {
            // Where standard output is closed there is nobody to help.
            let _ = help.print();
            return ExitCode::from(error::YES);
        }
    };
    let app = App::new(cli.global);
    let result = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let ends_itself = cli.command.ends_itself();
            let work = commands::run(&app, cli.command);
            let result = if ends_itself { runtime.block_on(work) } else { runtime.block_on(until_interrupted(work)) };
            // What computes on another thread need not be waited for.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(CommandError::cannot(format!("the runtime can't be started: {error}"))),
    };
    app.close();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print(app.global.json);
            ExitCode::from(error.code)
        }
    }
}

/// Whether `--json` is among the arguments, where they make no sense otherwise.
fn asks_for_json() -> bool {
    std::env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

/// Runs `work` to its end, or to the first interrupt: then it is dropped, which ends what it started and removes what it
/// has not finished.
async fn until_interrupted(work: impl Future<Output = Result<u8, CommandError>>) -> Result<u8, CommandError> {
    let fail = |e| CommandError::cannot(format!("signals can't be watched: {e}"));
    let mut interrupts = Interrupts::watch().map_err(fail)?;
    tokio::select! {
        biased;
        signal = interrupts.first() => Err(CommandError::interrupted(signal)),
        result = work => result,
    }
}
