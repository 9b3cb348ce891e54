// SPDX-License-Identifier: Apache-2.0
//! The outer side of a sandbox: starts the helper, waits for its reports, and ends everything, in whatever way it ends.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reprove_images::RootFilesystem;
use reprove_model::{Enforced, Exit, IsolationLevel, Limits, LogRecord, PeakMemory, RecordMode, Surroundings, User};
use thiserror::Error;
use tokio::net::UnixStream;

use super::log;
use super::prepared::Prepared;
use super::protocol::{SourceEntry, WRITING_SOURCE};
use super::running::Ended;
use crate::determine::Told;
use crate::trace::Seen;

/// Starts sandboxes.
#[derive(Clone, Debug)]
pub struct Sandbox {
    program: PathBuf,
    demanded: IsolationLevel,
    disk: Option<PathBuf>,
    /// One that waits for the next request; clones share it.
    next: Arc<Mutex<Option<Prepared>>>,
}

/// One run in a sandbox.
#[derive(Debug)]
pub struct SandboxRequest<'a> {
    /// What the run sees as its root.
    pub root: &'a RootFilesystem,
    /// The store's directory of blobs.
    pub blob_root: PathBuf,
    /// Files outside, and where they appear inside, read-only.
    pub inputs: Vec<(PathBuf, String)>,
    /// What is in the build directory's `source` folder at the start, in the order in which it is made.
    pub(crate) source: Vec<SourceEntry>,
    /// Directories of the source that are directories of the root as well, by one name each. Where there are any, all of the
    /// root can be written to, and owners and identities are given at will, and not changed.
    pub(crate) installed: Vec<String>,
    /// The folder of the store whose paths the root has, where the run is a derivation's: it can make others there.
    pub store: Option<String>,
    /// The build directory, inside. Absolute, and not below `/usr`, `/etc`, `/dev`, `/proc`, `/inputs` or `/tmp`.
    pub build_path: String,
    /// The host name, inside.
    pub hostname: String,
    /// How many processors may be used.
    pub processors: u32,
    /// Past any of these the run is ended.
    pub limits: Limits,
    /// Whether the run's own loopback device is up.
    pub loopback: bool,
    /// What is run, one argument vector a step.
    pub commands: Vec<Vec<String>>,
    /// All environment variables.
    pub env: BTreeMap<String, String>,
    /// What the run sees of its user, its session and its machine, beside what is in `env`.
    pub surroundings: Surroundings,
    /// An empty directory outside, which all may write to, on a file system of a disk that is the run's alone: what the run
    /// writes is in there where its surroundings have such a file system. The limit of disk is what that has left.
    pub disk: Option<PathBuf>,
    /// Where the log is written, in place of what is there.
    pub log: PathBuf,
    /// How closely the run is watched.
    pub record: RecordMode,
    /// What the run is told in place of what the kernel says.
    pub(crate) told: Option<Told>,
    /// Whether another run is sure to follow: its namespaces are made while this one's are taken apart.
    pub followed: bool,
}

impl<'a> SandboxRequest<'a> {
    /// A run of `commands` in the build directory `/build`, with nothing in it.
    #[must_use]
    pub fn new(root: &'a RootFilesystem, blob_root: PathBuf, commands: Vec<Vec<String>>, log: PathBuf) -> Self {
        Self {
            root,
            blob_root,
            inputs: Vec::new(),
            source: Vec::new(),
            installed: Vec::new(),
            store: None,
            build_path: "/build".into(),
            hostname: "reprove".into(),
            processors: u32::MAX,
            limits: Limits::default(),
            loopback: false,
            commands,
            env: BTreeMap::new(),
            surroundings: Surroundings::default(),
            disk: None,
            log,
            record: RecordMode::Declared,
            told: None,
            followed: false,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct SandboxOutcome {
    /// How.
    pub exit: Exit,
    /// Wall-clock time of all steps, in milliseconds.
    pub duration_ms: u64,
    /// The most memory held at one time.
    pub peak_memory: PeakMemory,
    /// Which walls and limits held.
    pub enforced: Enforced,
    /// What was printed.
    pub log: LogRecord,
    /// The build directory's `source` folder, where the run ended by itself. Nothing runs in it any more; its memory is
    /// given back when the descriptor is closed.
    pub source: Option<OwnedFd>,
    /// What was seen of it, where it was watched.
    pub(crate) seen: Option<Seen>,
}

/// Why there was no run.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The sandbox could not be set up.
    #[error("the sandbox could not be set up: {doing}: {why}")]
    Setup {
        /// What was being done.
        doing: String,
        /// The system's number for what went wrong, or 0.
        errno: i32,
        /// What went wrong.
        why: String,
    },
    /// The source takes more room than the recipe gives the build.
    #[error("the source does not fit into the build directory: the recipe's `limits.disk-mib` gives it {disk_mib} MiB")]
    SourceTooLarge {
        /// That limit.
        disk_mib: u32,
    },
    /// The source takes more memory than the recipe gives the build.
    #[error(
        "the source does not fit into memory: the recipe's `limits.memory-mib` gives the build {memory_mib} MiB, files included"
    )]
    SourcePastMemory {
        /// That limit.
        memory_mib: u32,
    },
    /// The runner's own side failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Not all of the walls that are demanded stand here.
    #[error("the sandbox would be {}, and {} is demanded", reached.map_or("below `basic`", IsolationLevel::name), wanted.name())]
    Weak {
        /// What is demanded.
        wanted: IsolationLevel,
        /// What there is; `None`: less than the weakest.
        reached: Option<IsolationLevel>,
    },
    /// The helper ended without a word; something outside has killed it.
    #[error("the sandbox was ended from outside (by the system, for want of memory, or by a person)")]
    Lost,
}

pub(super) fn io_error(doing: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::Io { doing, source }
}

impl Default for Sandbox {
    /// Takes the running program for the helper.
    fn default() -> Self {
        Self::with_helper("/proc/self/exe".into())
    }
}

impl Sandbox {
    /// Takes the program at `program` for the helper; it calls [`crate::helper_main`] where its first argument is
    /// [`crate::HELPER_ARGUMENT`].
    #[must_use]
    pub fn with_helper(program: PathBuf) -> Self {
        Self { program, demanded: IsolationLevel::Basic, disk: None, next: Arc::default() }
    }

    /// The same, where nothing is run behind weaker walls than these.
    #[must_use]
    pub fn demanding(self, level: IsolationLevel) -> Self {
        Self { demanded: level, ..self }
    }

    /// The same, where a build can write to a disk: see [`SandboxRequest::disk`].
    #[must_use]
    pub fn on_disk(self, directory: PathBuf) -> Self {
        Self { disk: Some(directory), ..self }
    }

    /// The directory on a disk.
    pub(crate) fn disk(&self) -> Option<PathBuf> {
        self.disk.clone()
    }

    /// The weakest walls that something is run behind.
    pub(crate) fn demanded(&self) -> IsolationLevel {
        self.demanded
    }

    /// The program that is started as a helper.
    pub(crate) fn helper(&self) -> &std::path::Path {
        &self.program
    }

    /// Makes the namespaces of the next run now, where none are there already: a run then begins sooner. They are ended with
    /// the last clone of this value, and are used for one run, where meanwhile nothing was mounted or unmounted outside.
    ///
    /// What goes wrong is said by the run.
    pub fn prepare(&self) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none() {
            *next = Prepared::start(&self.program, User::USUAL_ID).ok();
        }
    }

    /// The namespaces that were made for the next run, where they can be used; else new ones.
    fn prepared(&self, inside: u32) -> Result<Prepared, SandboxError> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        match next.and_then(|next| next.if_usable(inside)) {
            Some(prepared) => Ok(prepared),
            None => Prepared::start(&self.program, inside),
        }
    }

    /// Runs a request. Dropping the future ends the run, and nothing of it stays.
    ///
    /// # Errors
    /// See [`SandboxError`]. A command that fails is no error: [`SandboxOutcome::exit`] says so.
    pub async fn run(&self, mut request: SandboxRequest<'_>) -> Result<SandboxOutcome, SandboxError> {
        let (mut running, output) = self.prepared(request.surroundings.user_id())?.run(&mut request, self.demanded)?;
        let control = running.control.try_clone().and_then(UnixStream::from_std);
        let control = control.map_err(io_error("watching the control socket"))?;
        let limit = Duration::from_secs(request.limits.seconds.into());
        let log_bytes = u64::from(request.limits.log_mib) << 20;
        let watched = (!running.cgroup.limits_memory()).then(|| u64::from(request.limits.memory_mib) << 20);
        let supervise = async {
            let ended = running.wait(&control, limit, watched, self.demanded).await;
            if request.followed && matches!(ended, Ok(Some(_))) {
                self.prepare();
            }
            running.end();
            Ok(ended)
        };
        let keep =
            async { log::keep(output, &request.log, log_bytes).await.map_err(io_error("keeping the build's log")) };
        // A log that can't be written ends the run, since nobody could say afterwards what the run had done.
        let (ended, log) = tokio::try_join!(supervise, keep)?;
        let is_watched = request.record != RecordMode::Declared || request.told.is_some();
        let seen = is_watched.then(|| running.seen(&control));
        let out_of_memory = running.past_memory || running.cgroup.ran_out_of_memory();
        let none = |exit, duration_ms| (exit, duration_ms, 0, None);
        let (exit, duration_ms, largest_process, source) = match ended {
            Ok(Some(Ended { end, duration_ms, largest_process_bytes })) => {
                (end.exit(out_of_memory), duration_ms, largest_process_bytes, running.source.take())
            }
            // What a build holds in its directory counts, so that the first process itself may be what the kernel ends.
            Err(SandboxError::Lost | SandboxError::Setup { .. }) if running.init.is_some() && out_of_memory => {
                let Some(ready) = running.ready else {
                    return Err(SandboxError::SourcePastMemory { memory_mib: request.limits.memory_mib });
                };
                let duration_ms = u64::try_from(ready.elapsed().as_millis()).unwrap_or(u64::MAX);
                none(Exit::Signal { step: running.step, signal: 9, out_of_memory }, duration_ms)
            }
            Err(SandboxError::Setup { doing, errno: libc::ENOSPC, .. }) if doing == WRITING_SOURCE => {
                return Err(SandboxError::SourceTooLarge { disk_mib: request.limits.disk_mib });
            }
            Err(error) => return Err(error),
            Ok(None) => none(Exit::TimeOut, u64::from(request.limits.seconds) * 1000),
        };
        Ok(SandboxOutcome {
            exit,
            duration_ms,
            peak_memory: match running.cgroup.peak_memory() {
                Some(bytes) => PeakMemory::ControlGroup { bytes },
                None => PeakMemory::LargestProcess { bytes: largest_process },
            },
            enforced: running.enforced(),
            log,
            source,
            seen,
        })
    }
}
