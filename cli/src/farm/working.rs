// SPDX-License-Identifier: Apache-2.0
//! `farm worker`, and the worker inside `farm serve`.

use std::sync::Arc;

use jiff::Timestamp;
use reprove_attest::Signer;
use reprove_farm::worker::{Link, WorkerError, WorkerEvent, WorkerLoop, usual_name};
use reprove_farm::{Accepted, Architecture, Lease, Name, Profile};
use serde_json::json;

use super::jobs::Jobs;
use super::logs;
use crate::app::App;
use crate::commands::{BuildOptions, RebuilderOptions, SearchOptions, Worker};
use crate::error::{CommandError, YES};
use crate::signals::Interrupts;
use crate::{keys, output};

/// Works until it is told to stop.
pub(crate) async fn run(app: &App, arguments: Worker) -> Result<u8, CommandError> {
    arguments.log.begin();
    let client = super::client(&arguments.farm)?;
    let mut interrupts = watch()?;
    let worker =
        Ready::new(app, (&arguments.rebuilder, arguments.name.clone()), (&arguments.options, &arguments.search))
            .await?;
    app.progress.note(&format!("{} works for {}", worker.name, client.farm()));
    let stop = async {
        interrupts.first().await;
        app.progress.note("stopping: what is at work is given back");
    };
    let done = worker.work(app, &client, (arguments.jobs, arguments.until_idle), stop).await?;
    if app.global.json {
        output::json(&json!({ "worker": worker.name, "jobs": done }))?;
    } else {
        output::text(&format!(
            "{}: {}\n",
            worker.name,
            output::count(usize::try_from(done).unwrap_or(usize::MAX), "job")
        ))?;
    }
    Ok(YES)
}

/// The signals that end it, which it waits for itself.
pub(super) fn watch() -> Result<Interrupts, CommandError> {
    Interrupts::watch().map_err(|e| CommandError::cannot(format!("signals can't be watched: {e}")))
}

/// A worker that has all that it needs.
pub(super) struct Ready<'a> {
    pub(super) name: Name,
    jobs: Jobs<'a>,
    profile: Profile,
    key: Arc<dyn Signer>,
}

impl<'a> Ready<'a> {
    pub(super) async fn new(
        app: &'a App,
        (who, name): (&RebuilderOptions, Option<Name>),
        (options, search): (&'a BuildOptions, &'a SearchOptions),
    ) -> Result<Self, CommandError> {
        let rebuilder = who.rebuilder()?;
        let host = nix::unistd::gethostname().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name.or_else(|| usual_name(&host)).ok_or_else(|| {
            CommandError::bad_usage("this host has no name that a worker can have").next("give one: --name NAME")
        })?;
        let architecture =
            Architecture::own().ok_or_else(|| CommandError::cannot("farms have no work for this kind of processor"))?;
        let place = keys::place(who.key.as_deref())?;
        let (key, made) = keys::load_or_make(&place).await?;
        if made {
            app.progress.note(&format!("made a key to sign with, {place}; it is a plain local one: not encrypted"));
        }
        let public_key = key.public_key().to_spki_pem().map_err(|e| CommandError::cannot(e.to_string()))?;
        let platform = rebuilder.platform.clone().unwrap_or_default();
        let profile =
            Profile { name: name.clone(), public_key, platform, isolation: options.isolation(), architecture };
        let jobs = Jobs { app, store: app.store()?, key: Arc::clone(&key), rebuilder, options, search };
        Ok(Self { name, jobs, profile, key })
    }

    /// Works until `stop`, for so many jobs, or until there is none.
    pub(super) async fn work(
        &self,
        app: &App,
        link: &dyn Link,
        (most_jobs, until_idle): (Option<u64>, bool),
        stop: impl Future<Output = ()>,
    ) -> Result<u64, CommandError> {
        let tell = |event| tell(app, event);
        let work = WorkerLoop {
            link,
            run: &self.jobs,
            profile: self.profile.clone(),
            key: Arc::clone(&self.key),
            now: &Timestamp::now,
            tell: &tell,
            most_jobs,
            until_idle,
        };
        work.run(stop).await.map_err(|error| {
            let text = error.to_string();
            match error {
                WorkerError::Refused(_) => CommandError::bad_usage(text)
                    .next("a worker needs a token with the role work, and a name and a key of its own"),
                WorkerError::Signer(error) => error.into(),
                _ => CommandError::cannot(text),
            }
        })
    }
}

fn tell(app: &App, event: WorkerEvent) {
    if logs::are_written() {
        return log(event);
    }
    match event {
        WorkerEvent::Registered => {}
        WorkerEvent::Began(lease, request) => app.progress.note(&format!("{}: {}", lease.job, request.subject())),
        WorkerEvent::Doing(text) => app.progress.doing(&text),
        WorkerEvent::Lost(lease) => {
            app.progress.note(&format!("{}: lost: the farm has handed it out again, or it was cancelled", lease.job));
        }
        WorkerEvent::Brought(lease, accepted) => {
            let what = match accepted {
                Accepted::Decided | Accepted::Already => "decided",
                Accepted::Later => "no verdict; it will be tried again",
                Accepted::GivenUp => "no verdict; it is given up",
            };
            app.progress.note(&format!("{}: {what}", lease.job));
        }
        WorkerEvent::NotTaken(lease, why) => app.progress.note(&format!("{}: not taken: {why}", lease.job)),
        WorkerEvent::Waiting(why) => {
            app.progress.note(&format!("the farm can't be asked now, and is asked again: {why}"))
        }
    }
}

/// The same, for programs.
fn log(event: WorkerEvent) {
    match event {
        WorkerEvent::Registered => tracing::info!(event = "registered"),
        WorkerEvent::Began(Lease { job, epoch, .. }, request) => {
            tracing::info!(event = "began", %job, epoch = epoch.0, subject = request.subject());
        }
        // There is much of it, and some is of whoever made what is built.
        WorkerEvent::Doing(_) => {}
        WorkerEvent::Lost(Lease { job, epoch, .. }) => tracing::warn!(event = "lost", %job, epoch = epoch.0),
        WorkerEvent::Brought(Lease { job, epoch, .. }, accepted) => {
            tracing::info!(event = "brought", %job, epoch = epoch.0, accepted = ?accepted);
        }
        WorkerEvent::NotTaken(Lease { job, epoch, .. }, why) => {
            tracing::warn!(event = "not-taken", %job, epoch = epoch.0, why);
        }
        WorkerEvent::Waiting(why) => tracing::warn!(event = "waiting", why),
    }
}
