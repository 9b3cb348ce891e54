// SPDX-License-Identifier: Apache-2.0
//! A real C build: the library of Lua, with one job and with two.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use reprove_images::RootFilesystem;
use reprove_model::{Clock, Conditions, Content, Exit, FileOrder, Input, Lock, Recipe, RecordMode, Role};
use reprove_runner::vm::Machine;
use reprove_runner::{BuildRequest, RunError, Runner, Sandbox, SourceFiles};
use reprove_store::{IngestLimits, Store};

use crate::Options;
use crate::contestant::Contestant;
use crate::report::Table;
use crate::rounds::{Bound, race};
use crate::startup::{BUBBLEWRAP, root};

/// Compiles every C file that is no program's main one, and puts all into a library.
const MAKEFILE: &str = "OBJECTS := $(patsubst %.c,%.o,$(filter-out lua.c luac.c,$(sort $(wildcard *.c))))\n\
                        liblua.a: $(OBJECTS)\n\t$(AR) rcsD $@ $(OBJECTS)\n";

/// What is built, and the store that it is in.
pub(crate) struct Source {
    pub(crate) store: Store,
    pub(crate) files: PathBuf,
}

/// One build by reprove's runner: the source is in the store, and so are the outputs afterwards.
pub(crate) struct RecordedBuild {
    runner: Runner,
    lock: Lock,
    root: RootFilesystem,
    source: SourceFiles,
    conditions: Conditions,
    watched: RecordMode,
}

impl RecordedBuild {
    fn new(
        helper: &Path,
        store: &Store,
        source: &Path,
        command: &str,
        jobs: u32,
        watched: RecordMode,
    ) -> io::Result<Self> {
        let recipe = format!(
            "[package]\nname = \"lua\"\n[source]\ndirectory = \".\"\n[build]\nsteps = [{command:?}]\n\
             [outputs]\npaths = [\"liblua.a\"]\n"
        );
        let recipe = Recipe::from_toml(&recipe).map_err(io::Error::other)?;
        let tree = store.add_tree(source, IngestLimits::default(), &|_| false).map_err(io::Error::other)?;
        let content = Content::Tree { digest: tree.digest() };
        let name = "source".parse().map_err(io::Error::other)?;
        let inputs = vec![Input { name, role: Role::Source, purl: None, content }];
        let root = root();
        let lock = Lock { recipe, inputs, environment: root.locked.clone(), published: None };
        let source = SourceFiles::of(&lock, store).map_err(io::Error::other)?;
        let runner = Runner { store: store.clone(), sandbox: Sandbox::with_helper(helper.to_owned()), machine: None };
        let conditions = Conditions {
            build_path: "/build/first".into(),
            hostname: "reprove".into(),
            processors: jobs,
            file_order: FileOrder::Sorted,
            clock: Clock::Host,
            surroundings: reprove_model::Surroundings::default(),
        };
        Ok(Self { runner, lock, root, source, conditions, watched })
    }

    /// A build of a few files by one step, in a virtual machine where one is given; what it makes is `liblua.a` as well.
    pub(crate) fn small(
        helper: &Path,
        source: &Source,
        root: &RootFilesystem,
        command: &str,
        machine: Option<Machine>,
    ) -> io::Result<Self> {
        let mut build = Self::new(helper, &source.store, &source.files, command, 1, RecordMode::Declared)?;
        build.lock.environment = root.locked.clone();
        build.root = root.clone();
        build.runner.machine = machine;
        Ok(build)
    }

    /// The same as a deterministic build, which has one processor.
    fn deterministic(mut self) -> Self {
        self.lock.recipe.build.deterministic = true;
        self.conditions = self.conditions.deterministic(None);
        self
    }

    /// From the lock to the record, with the outputs in the store.
    pub(crate) async fn once(&self) -> Result<Exit, RunError> {
        let Self { runner, lock, root, source, conditions, watched } = self;
        let started = Timestamp::constant(1_700_000_000, 0);
        let (epoch, watched, label, followed) = (None, *watched, "lua", false);
        let request = BuildRequest { lock, root, source, conditions, epoch, started, watched, label, followed };
        Ok(runner.build(request).await?.record.exit)
    }
}

/// Holds a build in the sandbox against one outside of it, in bubblewrap, and under `strace -f`; a table for each number of
/// jobs.
pub(crate) async fn measure(options: &Options, directory: &Path) -> io::Result<Vec<Table>> {
    let Some(from) = &options.source else {
        crate::note("build: there is no C source (--source DIR), left out");
        return Ok(Vec::new());
    };
    // All build in memory, as reprove does anyhow, so that no disk is measured.
    let memory = tempfile::Builder::new().prefix("reprove-bench-").tempdir_in("/dev/shm")?;
    let source = memory.path().join("source");
    let version = copy(from, &source)?;
    let mut tables = Vec::new();
    for jobs in [1, 2] {
        // Optimising takes the compiler's time, and nothing that a sandbox could make dearer.
        let flags = if options.quick { "-O0" } else { "-O2" };
        let contestants = contestants(options, directory, memory.path(), jobs, flags)?;
        let bound = Bound { rounds: if options.quick { 3 } else { 9 }, time: Duration::from_secs(600) };
        let s = if jobs == 1 { "" } else { "s" };
        tables.push(race(&format!("{version} with {jobs} job{s}, {flags}"), "no sandbox", contestants, bound).await?);
    }
    Ok(tables)
}

fn contestants(
    options: &Options,
    directory: &Path,
    memory: &Path,
    jobs: u32,
    flags: &str,
) -> io::Result<Vec<Contestant>> {
    let source = memory.join("source");
    let make = format!("make -s -j{jobs} CFLAGS={flags}");
    // What is built outside is built in a copy, which the next one takes the place of.
    let shell = |before: &[&OsStr], to: &Path, from: &Path| -> Vec<OsString> {
        let script = format!("rm -rf \"$2\"; cp -r \"$1\" \"$2\"; cd \"$2\"; {make}");
        let rest: [&OsStr; 6] =
            ["sh".as_ref(), "-ec".as_ref(), script.as_ref(), "sh".as_ref(), from.as_ref(), to.as_ref()];
        before.iter().chain(&rest).map(|&argument| argument.to_owned()).collect()
    };
    let trace = memory.join("trace");
    let strace: [&OsStr; 4] = ["strace".as_ref(), "-f".as_ref(), "-o".as_ref(), trace.as_ref()];
    let to_build = Path::new("/tmp/source");
    let mut bubblewrap: Vec<&OsStr> = BUBBLEWRAP.split_ascii_whitespace().map(OsStr::new).collect();
    // `cc` is a link into /etc/alternatives.
    let given: [&OsStr; 6] = [
        "--ro-bind".as_ref(),
        source.as_ref(),
        "/source".as_ref(),
        "--ro-bind-try".as_ref(),
        "/etc/alternatives".as_ref(),
        "/etc/alternatives".as_ref(),
    ];
    bubblewrap.extend(given);
    let store = Store::open(&directory.join("store")).map_err(io::Error::other)?;
    let small = PathBuf::from(env!("CARGO_BIN_EXE_reprove-sandbox"));
    let helper = options.reprove.as_ref().unwrap_or(&small);
    let recorded = |watched| RecordedBuild::new(helper, &store, &source, &make, jobs, watched);
    let mut contestants = vec![
        Contestant::program("no sandbox", shell(&[], &memory.join("outside"), &source)),
        Contestant::program("bubblewrap", shell(&bubblewrap, to_build, Path::new("/source"))),
        Contestant::build("reprove, declared", recorded(RecordMode::Declared)?),
        Contestant::build("reprove, files", recorded(RecordMode::Files)?),
        Contestant::build("reprove, full", recorded(RecordMode::Full)?),
        Contestant::program("strace -f", shell(&strace, &memory.join("traced"), &source)),
    ];
    if jobs == 1 {
        let build = recorded(RecordMode::Files)?.deterministic();
        contestants.push(Contestant::build("reprove, files, deterministic", build));
    }
    Ok(contestants)
}

/// Copies the C files of `from`, adds a Makefile, and gives the version that they are of.
#[expect(clippy::disallowed_methods, reason = "the order in which files are copied shows nowhere")]
fn copy(from: &Path, to: &Path) -> io::Result<String> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "c" || ending == "h") {
            fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    fs::write(to.join("Makefile"), MAKEFILE)?;
    let header = fs::read_to_string(to.join("lua.h"))?;
    let number = |name: &str| {
        let line = header.lines().find_map(|line| line.strip_prefix("#define LUA_VERSION_")?.strip_prefix(name));
        line.map_or("?", |rest| rest.trim().trim_matches('"')).to_owned()
    };
    Ok(format!("Lua {}.{}.{}", number("MAJOR"), number("MINOR"), number("RELEASE")))
}
