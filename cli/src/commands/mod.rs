// SPDX-License-Identifier: Apache-2.0
//! The subcommands, one file each.

mod audit;
mod build;
pub(crate) mod check;
mod compare;
mod doctor;
pub(crate) mod farm;
mod image;
mod init;
mod key;
mod lock;
mod log;
pub(crate) mod options;
pub(crate) mod proof;
mod rebuild;
mod rebuilder;
mod search;
mod store;
mod tee;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use reprove_model::IsolationLevel;

pub(crate) use self::audit::digest as artifact_digest;
pub(crate) use self::farm::{
    AskedOptions, DataOptions, FarmOptions, Hook, NewToken, Serve, Status, Submit, Token as FarmToken, Watch, Worker,
};
pub(crate) use self::log::{failed, word};
pub(crate) use self::options::BuildOptions;
pub(crate) use self::proof::read as read_proof;
pub(crate) use self::rebuild::VerdictArguments;
pub(crate) use self::rebuilder::RebuilderOptions;
pub(crate) use self::search::SearchOptions;
use crate::app::App;
use crate::error::CommandError;

const EXIT_CODES: &str = "Exit codes:
  0  yes
  1  no: different, or does not verify
  2  bad usage or bad input
  3  the build failed
  4  this machine can't do what was asked
  129, 130, 143  interrupted: 128 and the signal's number";

/// Build it again. Prove it is the same.
#[derive(Debug, Parser)]
#[command(name = "reprove", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every subcommand takes.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Where inputs, outputs and logs are kept [default: ~/.local/share/reprove; or REPROVE_STORE]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a first reprove.toml for a project, by what lies in its directory
    Init(init::Arguments),
    /// Rebuild a published package from its source and compare the two
    Rebuild(rebuild::Arguments),
    /// Build a project twice, under other conditions each time, and compare the two
    Check(check::Arguments),
    /// Build a project once, and record what it read, ran and wrote
    Build(build::Arguments),
    /// Settle which packages or which image a project's environment is, by digest
    Lock(lock::Arguments),
    /// Explain the differences between two files, directories or images
    Compare(compare::Arguments),
    /// Verify a proof, offline
    Audit(audit::Arguments),
    /// Look into proofs, and put several together
    Proof(proof::Arguments),
    /// Keep a transparency log: what was said can't be taken back unseen
    Log(log::Arguments),
    /// Rebuild on many machines: decide, work, ask
    Farm(farm::Arguments),
    /// Make or show the key that signs
    Key(key::Arguments),
    /// Make what virtual machines are started from, and take in and write OCI images
    Image(image::Arguments),
    /// Say what this machine can attest
    Tee(tee::Arguments),
    /// Look after what is kept: collect what is not needed any more, check the rest
    Store(store::Arguments),
    /// Say what this machine can do, and what to install for the rest
    Doctor,
}

impl Command {
    /// Whether it waits for signals itself.
    pub(crate) fn ends_itself(&self) -> bool {
        matches!(self, Self::Farm(arguments) if arguments.ends_itself())
    }
}

/// Reads the name of a level.
pub(crate) fn isolation_level(name: &str) -> Result<IsolationLevel, String> {
    let found = IsolationLevel::ALL.into_iter().find(|level| level.name() == name);
    found.ok_or_else(|| "there are basic, strong and full".to_owned())
}

/// Runs a subcommand; gives the exit code.
pub(crate) async fn run(app: &App, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::Init(arguments) => init::run(app, arguments).await,
        Command::Rebuild(arguments) => rebuild::run(app, arguments).await,
        Command::Check(arguments) => check::run(app, arguments).await,
        Command::Build(arguments) => build::run(app, arguments).await,
        Command::Lock(arguments) => lock::run(app, arguments).await,
        Command::Compare(arguments) => compare::run(app, arguments).await,
        Command::Audit(arguments) => audit::run(app, arguments).await,
        Command::Proof(arguments) => proof::run(app, arguments).await,
        Command::Log(arguments) => log::run(app, arguments).await,
        Command::Farm(arguments) => farm::run(app, arguments).await,
        Command::Key(arguments) => key::run(app, arguments).await,
        Command::Image(arguments) => image::run(app, arguments).await,
        Command::Tee(arguments) => tee::run(app, arguments).await,
        Command::Store(arguments) => store::run(app, arguments).await,
        Command::Doctor => doctor::run(app).await,
    }
}
