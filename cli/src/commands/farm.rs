// SPDX-License-Identifier: Apache-2.0
//! `reprove farm`: a build farm: the one that decides, workers, and what is asked of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use reprove_farm::access::Role;
use reprove_farm::api::TrustDomain;
use reprove_farm::{BuildId, Distinct, Name, Priority};
use reprove_model::Isolation;

use crate::app::App;
use crate::commands::{BuildOptions, RebuilderOptions, SearchOptions};
use crate::error::CommandError;
use crate::farm::logs::LogOptions;
use crate::farm::{asking, hooks, serving, tokens, watching, working};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Decide: take requests, hand out jobs, keep what came of them, and show it. Works as well, unless told not to
    Serve(Box<Serve>),
    /// Work: ask a farm for jobs, do them, and bring what came of them
    Worker(Box<Worker>),
    /// Ask a farm to rebuild packages, or to build projects twice
    Submit(Submit),
    /// Watch lists of packages and directories of projects, and ask a farm for what is new
    Watch(Watch),
    /// Say how a farm is, or what came of a build
    Status(Status),
    /// Take a build back
    Cancel {
        /// The build, as `submit` has named it
        build: BuildId,
        #[command(flatten)]
        farm: FarmOptions,
    },
    /// Say who may do what in the farm of this machine
    Token {
        #[command(subcommand)]
        command: Token,
    },
    /// Say who is told when builds are asked for and come to an end
    Hook {
        #[command(subcommand)]
        command: Hook,
    },
    /// Copy the database of this machine's farm, as it is at one moment, also while it serves
    Backup {
        /// A file that is not there yet
        to: PathBuf,
        #[command(flatten)]
        data: DataOptions,
    },
}

impl Arguments {
    /// Whether it waits for signals itself: what is at work is given back before the end.
    pub(crate) fn ends_itself(&self) -> bool {
        matches!(self.command, Command::Serve(_) | Command::Worker(_) | Command::Watch(_))
    }
}

/// Where a farm of this machine has its database.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataOptions {
    /// The directory with the farm's database, its log and its first token [default: REPROVE_FARM_DATA, or
    /// ~/.local/share/reprove-farm]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// Which farm, and who asks.
#[derive(Args, Clone, Debug)]
pub(crate) struct FarmOptions {
    /// Where the farm is [default: REPROVE_FARM, or http://127.0.0.1:7077]
    #[arg(long, value_name = "URL")]
    pub(crate) farm: Option<String>,
    /// A file with a token of the farm's, which nobody else can read [default: REPROVE_FARM_TOKEN has the token itself; or
    /// that of this machine's own farm]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The certificates that the farm's is signed by, as PEM [default: those that this machine trusts]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A certificate of one's own with a SPIFFE id, as PEM, in place of a token
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// The private key of that
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub(crate) client_key: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7077")]
    pub(crate) listen: SocketAddr,
    /// Where jobs wait: the address of a NATS server with JetStream, 2.10 or newer, of which each names the others of its cluster
    /// [default: the farm's own database]
    #[arg(long, value_name = "URL")]
    pub(crate) queue: Option<String>,
    /// On how many NATS servers each job is: 1, or 3 of a cluster
    #[arg(long, value_name = "N", default_value = "1", value_parser = ["1", "3"], requires = "queue")]
    pub(crate) queue_replicas: String,
    /// A file with what is shown to NATS, as `nsc` writes it
    #[arg(long, value_name = "FILE", requires = "queue")]
    pub(crate) queue_credentials: Option<PathBuf>,
    /// The certificates that those of NATS are signed by, as PEM; then servers without TLS are refused
    #[arg(long, value_name = "FILE", requires = "queue")]
    pub(crate) queue_ca: Option<PathBuf>,
    /// Whose jobs these are, where several farms share NATS
    #[arg(long, value_name = "NAME", default_value = "farm", requires = "queue")]
    pub(crate) queue_name: Name,
    /// Only decide: workers are elsewhere
    #[arg(long)]
    pub(crate) without_worker: bool,
    /// The address by which others reach the farm, to be said in what services are told [default: where it listens]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// After how many seconds without a word from its worker a job is given to another
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(3..=3600))]
    pub(crate) lease: u64,
    /// What the farm's log is called in its checkpoints; never changed afterwards
    #[arg(long, value_name = "NAME", default_value = "reprove-farm")]
    pub(crate) log_name: String,
    /// Everybody who can reach it may look at everything, without a token
    #[arg(long)]
    pub(crate) read_by_anyone: bool,
    /// The certificate to listen with, as PEM, with what it is signed by
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The private key of that
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The trust domain whose SPIFFE ids are believed
    #[arg(long, value_name = "DOMAIN", requires = "spiffe_bundle")]
    pub(crate) spiffe_domain: Option<TrustDomain>,
    /// The certificates that those of this trust domain are signed by, as PEM
    #[arg(long, value_name = "FILE", requires_all = ["spiffe_domain", "tls_certificate"])]
    pub(crate) spiffe_bundle: Option<PathBuf>,
    /// Whom to believe on evidence of confidential machines: a trust file, as of `audit`
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// What the worker is called in the farm [default: this host's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<Name>,
    #[command(flatten)]
    pub(crate) log: LogOptions,
    #[command(flatten)]
    pub(crate) rebuilder: RebuilderOptions,
    #[command(flatten)]
    pub(crate) options: BuildOptions,
    #[command(flatten)]
    pub(crate) search: SearchOptions,
}

#[derive(Args, Debug)]
pub(crate) struct Worker {
    #[command(flatten)]
    pub(crate) farm: FarmOptions,
    /// End after so many jobs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) jobs: Option<u64>,
    /// End when there is no job to be had
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// What the worker is called in the farm [default: this host's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<Name>,
    #[command(flatten)]
    pub(crate) log: LogOptions,
    #[command(flatten)]
    pub(crate) rebuilder: RebuilderOptions,
    #[command(flatten)]
    pub(crate) options: BuildOptions,
    #[command(flatten)]
    pub(crate) search: SearchOptions,
}

#[derive(Args, Debug)]
pub(crate) struct Submit {
    /// The packages, as in pkg:pypi/idna@3.20
    #[arg(value_name = "PURL", required_unless_present_any = ["file", "project"])]
    pub(crate) packages: Vec<String>,
    /// A file with one package URL a line; empty lines, and what follows a #, are left out
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A directory that has a reprove.toml, to be built twice and compared: its source is sent to the farm
    #[arg(long, value_name = "DIR")]
    pub(crate) project: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) asked: AskedOptions,
    /// Do again what is finished
    #[arg(long)]
    pub(crate) again: bool,
    /// Wait until all is finished: the exit code is 0 where all is reproducible
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) farm: FarmOptions,
}

/// How what is asked for is to be done.
#[derive(Args, Clone, Debug)]
pub(crate) struct AskedOptions {
    /// By how many rebuilders that are independent of each other, from 1 to 16
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) rebuilders: u8,
    /// In what they have to differ: worker, key, operator, isolation, vendor, with commas between them
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = distinct, default_value = "worker,key")]
    pub(crate) distinct: Vec<Distinct>,
    /// In which isolation [default: any]
    #[arg(long, value_name = "KIND", value_parser = crate::commands::options::isolation)]
    pub(crate) isolation: Option<Isolation>,
    /// By workers of which trust domain
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) domain: Name,
    /// What it goes before: high, normal or low
    #[arg(long, value_name = "PRIORITY", default_value = "normal")]
    pub(crate) priority: Priority,
}

#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// A file with one package URL a line, without a version for the newest one (pypi, npm, cargo); or a directory, each of whose
    /// directories that has a reprove.toml is a project
    #[arg(value_name = "LIST|DIR", required = true)]
    pub(crate) feeds: Vec<PathBuf>,
    /// How often it is looked, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) every: u64,
    /// Look once, and end: the exit code is 4 where something of a feed could not be asked for
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) asked: AskedOptions,
    #[command(flatten)]
    pub(crate) farm: FarmOptions,
}

#[derive(Args, Debug)]
pub(crate) struct Status {
    /// A build, as `submit` has named it
    pub(crate) build: Option<BuildId>,
    /// Where to write the build's proof, for `reprove audit`
    #[arg(long, short, value_name = "FILE", requires = "build")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) farm: FarmOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token, and print it. It is shown once: the farm keeps a digest of it
    New(NewToken),
    /// List who may do what
    List {
        #[command(flatten)]
        data: DataOptions,
    },
    /// Have a token do nothing any more, at once
    Revoke {
        /// What it is called
        name: Name,
        #[command(flatten)]
        data: DataOptions,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Hook {
    /// Tell a service from now on, and print the secret that what it is told is signed with
    New {
        /// What it is called
        name: Name,
        /// Where it is told: https://…, or http://… on this machine
        url: String,
        #[command(flatten)]
        data: DataOptions,
    },
    /// List who is told, and what they did not take
    List {
        #[command(flatten)]
        data: DataOptions,
    },
    /// Tell a service nothing any more
    Remove {
        /// What it is called
        name: Name,
        #[command(flatten)]
        data: DataOptions,
    },
}

#[derive(Args, Debug)]
pub(crate) struct NewToken {
    /// What it is called
    pub(crate) name: Name,
    /// What it may do: read, submit, work, administer, with commas between them
    #[arg(long, value_name = "ROLES", value_delimiter = ',', value_parser = role, required = true)]
    pub(crate) roles: Vec<Role>,
    /// Who answers for workers that have it
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) operator: String,
    /// Which jobs such workers get
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) domain: Name,
    /// The only key that such workers may have: a public key, as PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
    /// In place of a token: whoever has a certificate with this SPIFFE id
    #[arg(long, value_name = "ID")]
    pub(crate) spiffe: Option<String>,
    /// After how many days it does nothing any more [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: Option<u32>,
    #[command(flatten)]
    pub(crate) data: DataOptions,
}

impl NewToken {
    /// What it may do.
    pub(crate) fn roles(&self) -> BTreeSet<Role> {
        self.roles.iter().copied().collect()
    }
}

fn role(text: &str) -> Result<Role, String> {
    text.parse()
}

fn distinct(text: &str) -> Result<Distinct, String> {
    let found = Distinct::ALL.into_iter().find(|distinct| distinct.name() == text);
    found.ok_or_else(|| "there are worker, key, operator, isolation and vendor".to_owned())
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    match arguments.command {
        Command::Serve(serve) => serving::run(app, *serve).await,
        Command::Worker(worker) => working::run(app, *worker).await,
        Command::Submit(submit) => asking::submit(app, submit).await,
        Command::Watch(watch) => watching::run(app, watch).await,
        Command::Status(status) => asking::status(app, status).await,
        Command::Cancel { build, farm } => asking::cancel(app, build, &farm).await,
        Command::Token { command } => tokens::run(app, command).await,
        Command::Hook { command } => hooks::run(app, command).await,
        Command::Backup { to, data } => tokens::back_up(app, &to, &data).await,
    }
}
