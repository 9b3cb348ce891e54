// SPDX-License-Identifier: Apache-2.0
//! Reprove beside other programs that do the same work, on the machine at hand. `scripts/bench` runs it.

mod building;
mod contestant;
mod files;
mod guest;
mod hashing;
mod machine;
mod memory;
mod oci;
mod report;
mod rounds;
mod startup;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use self::machine::Machine;
use self::report::Report;

const USAGE: &str = "usage: scripts/bench [--quick] [--json] [--in DIR] [--source DIR] [NAME…]

Measures reprove beside other programs, in rounds, and prints the medians. Without a NAME, measures all:
  startup   a sandbox for /bin/true: beside bubblewrap, crun, unshare, and no sandbox
  many      a hundred of these at once
  memory    what stands beside a program in a sandbox: beside bubblewrap's, crun's and unshare's
  build     a C build with one job and with two: beside no sandbox, bubblewrap, and strace -f
  runner    these four
  guest     a virtual machine, and a build in one: beside the engine's own boot, and namespaces
  file      hashing one large file: beside b3sum and sha256sum
  tree      hashing many small files: beside b3sum and sha256sum

  --quick   fewer rounds, smaller files and no optimisation in the C build
  --json    one JSON object instead of a table
  --in DIR  make the files below DIR instead of in the temporary directory; they are removed at the end
  --source DIR  build the Lua sources in DIR instead of those that scripts/bench fetches
  --also PROGRAM  hold another build of reprove against this one at its start; may be given more than once
";

/// What can be measured.
const NAMES: [&str; 7] = ["startup", "many", "memory", "build", "guest", "file", "tree"];
/// Those of them that are about the runner.
const RUNNER: [&str; 4] = ["startup", "many", "memory", "build"];

/// What is measured, and how.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Fewer rounds and smaller files.
    pub(crate) quick: bool,
    json: bool,
    directory: Option<PathBuf>,
    /// The `reprove` program, as users run it.
    pub(crate) reprove: Option<PathBuf>,
    /// Other builds of it.
    pub(crate) also: Vec<PathBuf>,
    /// Lua's C files.
    pub(crate) source: Option<PathBuf>,
    /// The guest's program.
    pub(crate) guest: Option<PathBuf>,
    /// Debian's package of a kernel for guests of QEMU.
    pub(crate) kernel: Option<PathBuf>,
    /// A store that stays, where the image of `/usr` is kept.
    pub(crate) kept: Option<PathBuf>,
    chosen: Vec<String>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
        while let Some(argument) = arguments.next() {
            let mut path = || arguments.next().map(PathBuf::from).ok_or(format!("{argument} needs a path"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--json" => options.json = true,
                "--in" => options.directory = Some(path()?),
                "--also" => options.also.push(path()?),
                "--reprove" => options.reprove = Some(path()?),
                "--help" | "-h" => return Ok(None),
                // Cargo's own.
                "--bench" => {}
                "--source" => options.source = Some(path()?),
                "--guest" => options.guest = Some(path()?),
                "--kernel" => options.kernel = Some(path()?),
                "--kept" => options.kept = Some(path()?),
                "runner" => options.chosen.extend(RUNNER.map(str::to_owned)),
                name if NAMES.contains(&name) => options.chosen.push(argument),
                _ => return Err(format!("{argument}: no such option")),
            }
        }
        Ok(Some(options))
    }

    fn wants(&self, name: &str) -> bool {
        self.chosen.is_empty() || self.chosen.iter().any(|chosen| chosen == name)
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == hashing::ALONE) {
        return exit_code(hashing::alone(arguments.skip(1)));
    }
    let options = match Options::parse(arguments) {
        Ok(Some(options)) => options,
        Ok(None) => return exit_code(io::stdout().write_all(USAGE.as_bytes())),
        Err(why) => {
            note(&format!("{why}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    exit_code(run(&options))
}

fn exit_code(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Says something on standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "bench: {text}");
}

fn run(options: &Options) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Dropped when a signal comes, the work ends what it has started and removes its files.
        let report = tokio::select! {
            biased;
            _ = interrupt.recv() => return Err(io::Error::from(io::ErrorKind::Interrupted)),
            _ = terminate.recv() => return Err(io::Error::from(io::ErrorKind::Interrupted)),
            report = measure(options) => report?,
        };
        let text = if options.json { report.to_json()? } else { report.to_string() };
        writeln!(io::stdout(), "{}", text.trim_end())
    })
}

async fn measure(options: &Options) -> io::Result<Report> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("reprove-bench-");
    let directory = match &options.directory {
        Some(directory) => builder.tempdir_in(directory)?,
        None => builder.tempdir()?,
    };
    let mut tables = Vec::new();
    if options.wants("startup") {
        tables.push(startup::measure(options, directory.path()).await?);
    }
    if options.wants("many") {
        tables.push(startup::many(options, directory.path()).await?);
    }
    if options.wants("build") {
        tables.extend(building::measure(options, directory.path()).await?);
    }
    if options.wants("guest") {
        tables.extend(guest::measure(options, directory.path()).await?);
    }
    let memory = if options.wants("memory") { Some(memory::measure(options, directory.path()).await?) } else { None };
    if options.wants("file") {
        tables.push(hashing::file(options, directory.path()).await?);
    }
    if options.wants("tree") {
        tables.push(hashing::tree(options, directory.path()).await?);
    }
    let machine = Machine::of(directory.path())?;
    directory.close()?;
    Ok(Report { machine, tables, memory })
}
