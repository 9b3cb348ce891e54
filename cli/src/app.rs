// SPDX-License-Identifier: Apache-2.0
//! What every subcommand shares: the store, the key, the clock, the progress display.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::Timestamp;
use reprove_attest::Rebuilder;
use reprove_attest::evidence::Nonce;
use reprove_inputs::{Apt, Bazel, Cargo, Nix, Npm, Pip, Skopeo};
use reprove_job::{Clients, ConfidentialMachines, Context, Event, Processor, Search};
use reprove_model::Isolation;
use reprove_runner::vm::Guest;
use reprove_store::{Store, StoreOptions, Tell};

use crate::commands::{BuildOptions, Global};
use crate::env_vars;
use crate::error::{CommandError, from_opening};
use crate::progress::Progress;
use crate::{emulated, hardware, keys, machines};

/// The Python that builds run with: the root filesystem's.
const INTERPRETER: &str = "/usr/bin/python3";

/// What every subcommand shares.
pub(crate) struct App {
    pub(crate) global: Global,
    pub(crate) progress: Progress,
    opened: OnceLock<Store>,
}

impl App {
    pub(crate) fn new(global: Global) -> Self {
        let progress = Progress::new(global.quiet);
        Self { global, progress, opened: OnceLock::new() }
    }

    /// Opens the store, and makes it at first use.
    pub(crate) fn store(&self) -> Result<Store, CommandError> {
        self.open(&self.store_folder()?)
    }

    /// Opens the store that is there, and makes none.
    pub(crate) fn existing_store(&self) -> Result<Store, CommandError> {
        let path = self.store_folder()?;
        let lacks = |folder: &str| match path.join(folder).metadata() {
            Ok(there) => !there.is_dir(),
            Err(e) => matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        if ["blobs", "trees", "tmp"].into_iter().any(lacks) {
            let text = format!("there is no store at {}", path.display());
            return Err(CommandError::bad_usage(text)
                .next(format!("name one with --store DIR or {}; what builds makes it at first use", env_vars::STORE)));
        }
        self.open(&path)
    }

    fn store_folder(&self) -> Result<PathBuf, CommandError> {
        let path = self.store_path().ok_or_else(|| {
            CommandError::bad_usage("there is no place for the store: HOME is not set")
                .next(format!("give --store DIR, or set {}", env_vars::STORE))
        })?;
        if path.metadata().is_ok_and(|there| !there.is_dir()) {
            let text = format!("the store can't be {}: that is no directory", path.display());
            let next = format!("name a directory with --store DIR or {}", env_vars::STORE);
            return Err(CommandError::bad_usage(text).next(next));
        }
        absolute(&path)
    }

    fn open(&self, path: &Path) -> Result<Store, CommandError> {
        let store = Store::open_with(path, self.store_options()?).map_err(from_opening)?;
        let _ = self.opened.set(store.clone());
        Ok(store)
    }

    fn store_options(&self) -> Result<StoreOptions, CommandError> {
        let verify = env_vars::parsed(env_vars::STORE_VERIFY).map_err(CommandError::bad_usage)?.unwrap_or_default();
        let quota = env_vars::parsed(env_vars::STORE_QUOTA).map_err(CommandError::bad_usage)?;
        // Other files each time.
        let seed = u64::from(Timestamp::now().subsec_nanosecond().unsigned_abs()) << 32 | u64::from(std::process::id());
        let progress = self.progress.clone();
        let tell = Tell::new(move |text| progress.note(text));
        Ok(StoreOptions { verify, seed, quota, tell, ..StoreOptions::default() })
    }

    /// Where the store is; `None` where nothing says so.
    pub(crate) fn store_path(&self) -> Option<PathBuf> {
        let path = self.global.store.clone().or_else(|| env_vars::path(env_vars::STORE));
        path.or_else(|| Some(env_vars::data_home()?.join("reprove")))
    }

    /// Ends the display and removes temporary files, also those of a thread that is not waited for.
    pub(crate) fn close(&self) {
        self.progress.clear();
        if let Some(store) = self.opened.get() {
            store.remove_temporary();
        }
    }

    pub(crate) fn pip(&self) -> Pip {
        Pip::new(env_vars::path(env_vars::PYTHON).unwrap_or_else(|| "python3".into()), INTERPRETER)
    }

    /// What fetches images.
    pub(crate) fn skopeo() -> Skopeo {
        Skopeo::new(env_vars::path(env_vars::SKOPEO).unwrap_or_else(|| "skopeo".into()))
    }

    /// What fetches Debian's packages.
    fn apt() -> Apt {
        Apt::new(env_vars::path(env_vars::APT).unwrap_or_else(|| "apt-get".into()))
    }

    /// What says how a target of Bazel's is made.
    pub(crate) fn bazel() -> Bazel {
        Bazel::new(env_vars::path(env_vars::BAZEL).unwrap_or_else(|| "bazel".into()))
    }

    /// What says what a store of Nix's has.
    pub(crate) fn nix() -> Nix {
        Nix::new(env_vars::path(env_vars::NIX).unwrap_or_else(|| "nix-store".into()))
    }

    /// What fetches.
    pub(crate) fn clients(&self) -> Clients {
        let npm = Npm::new(env_vars::path(env_vars::NPM).unwrap_or_else(|| "npm".into()));
        let program = env_vars::path(env_vars::CARGO).unwrap_or_else(|| "cargo".into());
        Clients { pip: self.pip(), npm, cargo: Cargo::new(program, env_vars::cargo_home()) }
    }

    /// What a job needs; where that is a virtual machine, finds one that works.
    pub(crate) async fn context<'a>(
        &self,
        store: Store,
        options: &BuildOptions,
        events: &'a (dyn Fn(Event) + Sync),
    ) -> Result<Context<'a>, CommandError> {
        let engine = options.machine()?;
        let nonce = options.nonce()?;
        // What the operator has to name is looked at before anything is started.
        let processor = match options.isolation() {
            isolation @ (Isolation::SevSnp | Isolation::Tdx) => {
                Some(Processor::Hardware(blocking(move || hardware::processor(isolation)).await??))
            }
            isolation if isolation.has_evidence() => {
                Some(Processor::Emulated(emulated::processor(self, isolation).await?))
            }
            _ => None,
        };
        let guest = match engine {
            Some(engine) => Some(machines::choose(self, &store, engine, options.has_evidence()).await?),
            None => None,
        };
        let confidential = match processor {
            Some(processor) => {
                let nonce = nonce.map_or_else(|| keys::random().map(|bytes| Nonce::from_bytes(*bytes)), Ok)?;
                Some(ConfidentialMachines::new(processor, nonce))
            }
            None => None,
        };
        let processors = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let processors = processors.min(guest.as_ref().map_or(u32::MAX, Guest::most_processors));
        let record = options.record();
        let (sandbox, deterministic) = (options.sandbox(), options.deterministic());
        let rebuilder = Rebuilder::default();
        Ok(Context {
            store,
            sandbox,
            guest,
            other: None,
            formatter: None,
            confidential,
            apt: Self::apt(),
            clients: self.clients(),
            skopeo: Self::skopeo(),
            processors,
            record,
            deterministic,
            search: Search::default(),
            rebuilder,
            now: &Timestamp::now,
            events,
        })
    }

    pub(crate) fn tell(&self, event: Event) {
        match event {
            Event::Doing(text) => self.progress.doing(&text),
            Event::Noticed(text) => self.progress.note(&text),
        }
    }
}

/// Makes a path absolute, without looking at what it leads to.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))
}

/// Runs what computes or reads for long, or may wait for ever, on a thread of its own, so that a signal is still heard.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CommandError> {
    let failed = |e| CommandError::cannot(format!("a part of the program failed: {e}"));
    tokio::task::spawn_blocking(work).await.map_err(failed)
}
