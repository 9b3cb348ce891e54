// SPDX-License-Identifier: Apache-2.0
//! From nothing to the end of `/bin/true` in a sandbox: one, and a hundred at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reprove_images::RootFilesystem;
use reprove_model::{DigestSet, Environment, LockedEnvironment, RecordMode};
use reprove_runner::{Sandbox, SandboxError, SandboxOutcome, SandboxRequest};

use crate::Options;
use crate::contestant::Contestant;
use crate::oci;
use crate::report::Table;
use crate::rounds::{Bound, race};

/// Runs a program in reprove's sandbox, with everything that a build has: all namespaces, limits, log, and the root
/// filesystem that `images` makes of this machine's `/usr`.
#[derive(Clone)]
pub(crate) struct SandboxRun {
    sandbox: Sandbox,
    root: Arc<RootFilesystem>,
    directory: PathBuf,
    command: Vec<String>,
    record: RecordMode,
    followed: bool,
}

impl SandboxRun {
    fn new(helper: PathBuf, directory: &Path, command: &[&str]) -> Self {
        Self {
            sandbox: Sandbox::with_helper(helper),
            root: Arc::new(root()),
            directory: directory.to_owned(),
            command: command.iter().map(|&argument| argument.to_owned()).collect(),
            record: RecordMode::Declared,
            followed: false,
        }
    }

    /// The same, watched as builds are.
    fn watched(self) -> Self {
        Self { record: RecordMode::Files, ..self }
    }

    /// The same, as one of several: each makes the next one's namespaces while its own are taken apart.
    fn in_a_row(self) -> Self {
        Self { followed: true, ..self }
    }

    /// From the request to the outcome; when this returns nothing of the run is left. `number` tells it from those that
    /// run at the same time.
    pub(crate) async fn once(&self, number: usize) -> Result<SandboxOutcome, SandboxError> {
        let log = self.directory.join(format!("log-{number}"));
        let blobs = self.directory.join("blobs");
        let mut request = SandboxRequest::new(&self.root, blobs, vec![self.command.clone()], log);
        request.record = self.record;
        request.followed = self.followed;
        request.env = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
        self.sandbox.run(request).await
    }
}

/// The parts that `reprove_images::host_usr` gives. Its digest, which takes seconds the first time, is not looked at here.
pub(crate) fn root() -> RootFilesystem {
    let digest = DigestSet::of(b"not looked at");
    let mut binds = vec![("/usr".into(), "/usr".to_owned())];
    if Path::new("/etc/alternatives").is_dir() {
        binds.push(("/etc/alternatives".into(), "/etc/alternatives".into()));
    }
    let links = ["bin", "lib", "sbin", "lib64", "lib32", "libx32"];
    let links = links.iter().filter(|name| Path::new("/").join(name).is_symlink());
    let files = ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf"];
    RootFilesystem {
        locked: LockedEnvironment { kind: Environment::HostUsr, description: "this".into(), digest },
        fingerprint: reprove_store::Fingerprint::none(),
        binds,
        hidden: vec!["/usr/local".into()],
        links: links.map(|name| (format!("/{name}"), format!("usr/{name}"))).collect(),
        files: files.map(|path| (path.to_owned(), "build:x:1000:1000:build:/tmp:/bin/sh\n".to_owned())).into(),
    }
}

/// bubblewrap with as many namespaces, and what a program needs to run.
pub(crate) const BUBBLEWRAP: &str = "bwrap --unshare-all --ro-bind /usr /usr --symlink usr/bin /bin \
                                     --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev \
                                     --tmpfs /tmp --die-with-parent --new-session";

/// Everything that runs `command` in a sandbox, and no sandbox at all.
pub(crate) fn sandboxes(options: &Options, directory: &Path, command: &[&str]) -> io::Result<Vec<Contestant>> {
    fs::create_dir_all(directory.join("blobs"))?;
    let small = PathBuf::from(env!("CARGO_BIN_EXE_reprove-sandbox"));
    let program = |name: &str, with: &str| {
        Contestant::program(name, with.split_ascii_whitespace().chain(command.iter().copied()))
    };
    let mut contestants = vec![
        program("no sandbox", ""),
        program("unshare", "unshare -Urmpfn --mount-proc"),
        program("bubblewrap", BUBBLEWRAP),
        oci::crun(directory, command)?,
        Contestant::sandbox("reprove, small helper", SandboxRun::new(small, directory, command)),
    ];
    if let Some(reprove) = &options.reprove {
        let run = SandboxRun::new(reprove.clone(), directory, command);
        contestants.push(Contestant::sandbox("reprove, watched", run.clone().watched()));
        contestants.push(Contestant::sandbox("reprove", run));
    }
    for program in &options.also {
        let name = format!("reprove, {}", program.file_name().unwrap_or_default().to_string_lossy());
        contestants.push(Contestant::sandbox(&name, SandboxRun::new(program.clone(), directory, command)));
    }
    Ok(contestants)
}

/// Holds the sandbox against bubblewrap, `crun`, `unshare`, and no sandbox at all.
pub(crate) async fn measure(options: &Options, directory: &Path) -> io::Result<Table> {
    let mut contestants = sandboxes(options, directory, &["/bin/true"])?;
    let programs = options.reprove.iter().chain(&options.also);
    for (program, name) in programs.zip(["reprove, in a row", "the other, in a row"]) {
        let run = SandboxRun::new(program.clone(), directory, &["/bin/true"]);
        contestants.push(Contestant::sandbox(name, run.in_a_row()));
    }
    let bound = Bound { rounds: if options.quick { 60 } else { 400 }, time: Duration::from_secs(40) };
    race("sandbox for /bin/true", "bubblewrap", contestants, bound).await
}

/// How many sandboxes are started at once.
const MANY: usize = 100;

/// The same, a hundred at once.
pub(crate) async fn many(options: &Options, directory: &Path) -> io::Result<Table> {
    let one = sandboxes(options, directory, &["/bin/true"])?;
    let contestants = one.into_iter().map(|contestant| contestant.at_once(MANY)).collect();
    let bound = Bound { rounds: if options.quick { 5 } else { 30 }, time: Duration::from_secs(40) };
    let mut table = race(&format!("{MANY} sandboxes for /bin/true at once"), "bubblewrap", contestants, bound).await?;
    table.each = Some(MANY);
    Ok(table)
}
