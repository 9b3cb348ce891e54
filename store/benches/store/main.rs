// SPDX-License-Identifier: Apache-2.0
//! The store beside programs that do part of its work, on the machine at hand. `scripts/bench store` runs it.

mod files;
mod race;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use reprove_store::{IngestLimits, Store, UnpackLimits};

use self::race::{Contestant, Remove, race};

const USAGE: &str = "usage: scripts/bench store [--quick] [--in DIR] [tree] [file] [unpack]

Measures the store beside other programs, in rounds, and prints the medians. Without a name, measures all three:
  tree      taking in many small files: beside b3sum, and beside cp and b3sum of the copy
  file      taking in one large file: the same
  unpack    a tar.zst into the store: beside zstd and tar

  --quick   fewer rounds and smaller files
  --in DIR  make the files below DIR instead of in the temporary directory; they are removed at the end
";

/// What is measured, and how.
#[derive(Debug, Default)]
struct Options {
    quick: bool,
    directory: Option<PathBuf>,
    chosen: Vec<String>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--in" => options.directory = Some(arguments.next().ok_or("--in needs a path")?.into()),
                "--help" | "-h" => return Ok(None),
                // Cargo's own.
                "--bench" => {}
                "tree" | "file" | "unpack" => options.chosen.push(argument),
                _ => return Err(format!("{argument}: no such option")),
            }
        }
        Ok(Some(options))
    }

    fn wants(&self, name: &str) -> bool {
        self.chosen.is_empty() || self.chosen.iter().any(|chosen| chosen == name)
    }

    fn rounds(&self) -> usize {
        if self.quick { 3 } else { 5 }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == ALONE) {
        return exit_code(alone(&arguments.skip(1).collect::<Vec<_>>()));
    }
    match Options::parse(arguments) {
        Ok(Some(options)) => exit_code(run(&options)),
        Ok(None) => exit_code(io::stdout().write_all(USAGE.as_bytes())),
        Err(why) => {
            note(&format!("{why}\n\n{USAGE}"));
            ExitCode::from(2)
        }
    }
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
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "bench: {text}");
}

/// The first argument that has this program do one thing with a store, and end: `add STORE FILE`, `tree STORE DIRECTORY`,
/// or `unpack STORE FILE`, with a file that was added.
const ALONE: &str = "__store";

fn alone(arguments: &[OsString]) -> io::Result<()> {
    let [what, store, path] = arguments else { return Err(io::ErrorKind::InvalidInput.into()) };
    let (store, path) = (Store::open(Path::new(store)).map_err(io::Error::other)?, Path::new(path));
    match what.to_str() {
        Some("add") => store.add_file(path).map(drop).map_err(io::Error::other),
        Some("tree") => store.add_tree(path, IngestLimits::default(), &|_| false).map(drop).map_err(io::Error::other),
        Some("unpack") => {
            let digest = reprove_store::digest_file(path)?;
            store.unpack(&digest, UnpackLimits::default()).map(drop).map_err(io::Error::other)
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn run(options: &Options) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("reprove-bench-");
    let directory = match &options.directory {
        Some(directory) => builder.tempdir_in(directory)?,
        None => builder.tempdir()?,
    };
    let work = directory.path();
    let mut tables = Vec::new();
    if options.wants("tree") {
        tables.push(tree(options, work)?);
    }
    if options.wants("file") {
        tables.push(file(options, work)?);
    }
    if options.wants("unpack") {
        tables.push(unpack(options, work)?);
    }
    directory.close()?;
    writeln!(io::stdout(), "{}", tables.join("\n"))
}

fn tree(options: &Options, work: &Path) -> io::Result<String> {
    let path = work.join("tree");
    let count = if options.quick { 5_000 } else { 50_000 };
    note(&format!("making {count} files"));
    files::tree(&path, count, 1 << 10, 7 << 10)?;
    let list = "find \"$1\" -type f -print0 | sort -z | xargs -0 b3sum";
    let copy = "cp -r \"$1\" \"$2/copy\" && find \"$2/copy\" -type f -print0 | sort -z | xargs -0 b3sum";
    let contestants = [
        Contestant::this("the store", ["tree"], &path)?,
        Contestant::shell("b3sum, which writes nothing", list, &path),
        Contestant::shell("cp -r, then b3sum", copy, &path),
    ];
    let table = race(&format!("{count} files of 1 to 8 KiB"), 1, &contestants, options.rounds(), work, Remove::Last);
    std::fs::remove_dir_all(path)?;
    table
}

fn file(options: &Options, work: &Path) -> io::Result<String> {
    let path = work.join("large");
    let mib = if options.quick { 256 } else { 4096 };
    note(&format!("making a file of {mib} MiB"));
    files::large(&path, mib)?;
    let copy = "cp \"$1\" \"$2/copy\" && b3sum \"$2/copy\"";
    let contestants = [
        Contestant::this("the store", ["add"], &path)?,
        Contestant::shell("b3sum, which writes nothing", "b3sum \"$1\"", &path),
        Contestant::shell("cp, then b3sum", copy, &path),
        Contestant::shell("sha256sum, which writes nothing", "sha256sum \"$1\"", &path),
    ];
    let table = race(&format!("one file of {mib} MiB"), 1, &contestants, options.rounds(), work, Remove::Each);
    std::fs::remove_file(path)?;
    table
}

fn unpack(options: &Options, work: &Path) -> io::Result<String> {
    let (path, top) = (work.join("top.tar.zst"), work.join("top"));
    let count = if options.quick { 2_000 } else { 20_000 };
    note(&format!("making an archive of {count} files"));
    files::tree(&top, count, 2 << 10, 26 << 10)?;
    files::shell("cd \"$1\" && tar c top | zstd -q -3 -o top.tar.zst", work)?;
    std::fs::remove_dir_all(top)?;
    let contestants = [
        Contestant::this("the store", ["unpack"], &path)?.after(Contestant::this("", ["add"], &path)?),
        Contestant::shell("zstd -d | tar x", "zstd -q -d -c \"$1\" | tar x -C \"$2\"", &path),
    ];
    race(&format!("a tar.zst of {count} files, 15 KiB each"), 1, &contestants, options.rounds() + 2, work, Remove::Last)
}
