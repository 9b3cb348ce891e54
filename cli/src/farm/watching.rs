// SPDX-License-Identifier: Apache-2.0
//! `farm watch`: what is new in lists of packages and in directories of projects is asked for. What was asked for before is
//! not done again, which the farm knows: nothing is kept here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reprove_farm::api::{Submission, Submissions};
use reprove_farm::{Client, ClientError, Request};
use reprove_inputs::{Askers, newest};
use reprove_model::PackageUrl;
use serde_json::{Value, json};

use super::{client, from_client, requests, working};
use crate::app::{App, absolute};
use crate::commands::Watch;
use crate::error::{CANNOT, CommandError, YES};
use crate::{output, plain};

/// Looks, and looks again, until it is told to stop.
pub(crate) async fn run(app: &App, arguments: Watch) -> Result<u8, CommandError> {
    let client = client(&arguments.farm)?;
    let mut interrupts = working::watch()?;
    for feed in &arguments.feeds {
        // What is there at no time is a mistake; what goes away later is said, and looked for again.
        let path = absolute(feed)?;
        std::fs::metadata(&path).map_err(|e| CommandError::bad_usage(format!("{}: {e}", path.display())))?;
    }
    loop {
        let looked = tokio::select! {
            biased;
            _ = interrupts.first() => return Ok(YES),
            looked = look(app, &client, &arguments) => looked?,
        };
        say(app, &arguments, &looked)?;
        if arguments.once {
            return Ok(if looked.wrong.is_empty() { YES } else { CANNOT });
        }
        tokio::select! {
            biased;
            _ = interrupts.first() => return Ok(YES),
            () = tokio::time::sleep(Duration::from_secs(arguments.every)) => {}
        }
    }
}

/// What came of a look.
#[derive(Default)]
struct Looked {
    /// The builds that are new, and of what.
    new: Vec<(String, String)>,
    /// How many were asked for before.
    known: usize,
    /// What could not be asked for, and why.
    wrong: Vec<(String, String)>,
}

async fn look(app: &App, client: &Client, arguments: &Watch) -> Result<Looked, CommandError> {
    let (mut looked, mut all) = (Looked::default(), Vec::new());
    for feed in &arguments.feeds {
        app.progress.doing(&format!("looking at {}", feed.display()));
        let entries = match entries(feed) {
            Ok(entries) => entries,
            Err(error) => {
                looked.wrong.push((feed.display().to_string(), error.into_parts().0));
                continue;
            }
        };
        for entry in entries {
            match request(app, client, &entry, arguments).await {
                Ok(request) => all.push(request),
                // One that is wrong holds no other up; a farm that says no holds up all.
                Err(error) => looked.wrong.push((entry.name(), error.into_parts().0)),
            }
        }
    }
    for part in all.chunks(requests::at_once(&all)) {
        let submission = Submission { requests: part.to_vec(), again: false };
        match client.post::<Submissions>("/api/v1/builds", &submission).await {
            Ok(answer) => {
                for (submitted, request) in answer.builds.iter().zip(part) {
                    match submitted.new {
                        true => looked.new.push((submitted.build.to_string(), request.subject())),
                        false => looked.known += 1,
                    }
                }
            }
            Err(error @ ClientError::Refused { status: 401 | 403, .. }) => return Err(from_client(error)),
            Err(error) if arguments.once => return Err(from_client(error)),
            Err(error) => looked.wrong.push(("the farm".to_owned(), error.to_string())),
        }
    }
    app.progress.clear();
    Ok(looked)
}

/// One thing of a feed.
enum Entry {
    Package(String),
    Project(PathBuf),
}

impl Entry {
    fn name(&self) -> String {
        match self {
            Self::Package(text) => text.clone(),
            Self::Project(path) => path.display().to_string(),
        }
    }
}

/// What a feed has now, in order.
fn entries(feed: &Path) -> Result<Vec<Entry>, CommandError> {
    let path = absolute(feed)?;
    if !path.is_dir() {
        return Ok(requests::list(feed)?.into_iter().map(Entry::Package).collect());
    }
    let below = folders(&path).map_err(|e| CommandError::cannot(format!("{}: {e}", path.display())))?;
    let folders = [path].into_iter().chain(below);
    Ok(folders.filter(|folder| folder.join("reprove.toml").is_file()).map(Entry::Project).collect())
}

#[expect(clippy::disallowed_methods, reason = "the names are sorted")]
fn folders(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut all = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    all.sort();
    Ok(all)
}

async fn request(app: &App, client: &Client, entry: &Entry, arguments: &Watch) -> Result<Request, CommandError> {
    let text = match entry {
        Entry::Project(path) => return requests::project(app, client, path, &arguments.asked).await,
        Entry::Package(text) => text,
    };
    match text.parse::<PackageUrl>() {
        Ok(purl) if purl.version().is_none() => {
            app.progress.doing(&format!("asking for the newest version of {text}"));
            let clients = app.clients();
            let askers = Askers { pip: &clients.pip, npm: &clients.npm, cargo: &clients.cargo };
            let purl = newest(askers, &purl, &app.store()?).await.map_err(reprove_job::JobError::from)?;
            requests::package(&purl.to_string(), &arguments.asked)
        }
        _ => requests::package(text, &arguments.asked),
    }
}

fn say(app: &App, arguments: &Watch, looked: &Looked) -> Result<(), CommandError> {
    if app.global.json {
        let new: Vec<Value> =
            looked.new.iter().map(|(build, subject)| json!({ "build": build, "subject": subject })).collect();
        let wrong: Vec<Value> = looked.wrong.iter().map(|(entry, why)| json!({ "entry": entry, "why": why })).collect();
        return output::json(&json!({ "new": new, "known": looked.known, "wrong": wrong }));
    }
    for (entry, why) in &looked.wrong {
        app.progress.note(&format!("{}: {}", plain::line(entry), plain::line(why)));
    }
    let lines: String =
        looked.new.iter().map(|(build, subject)| format!("{build} {}\n", plain::line(subject))).collect();
    output::text(&lines)?;
    if arguments.once {
        output::text(&format!("{} new, {} known before\n", looked.new.len(), looked.known))?;
    }
    Ok(())
}
