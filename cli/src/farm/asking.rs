// SPDX-License-Identifier: Apache-2.0
//! `farm submit`, `farm status` and `farm cancel`.

use std::time::Duration;

use reprove_farm::api::{Cancelled, StatusView, Submission, Submissions};
use reprove_farm::views::{BuildView, WorkerView};
use reprove_farm::{BuildId, Client, Request};
use serde_json::{Value, json};

use super::{client, from_client, requests};
use crate::app::{App, absolute};
use crate::commands::{FarmOptions, Status, Submit};
use crate::error::{CommandError, NO, YES};
use crate::output::{self, Target, count};
use crate::plain;

/// Asks for rebuilds.
pub(crate) async fn submit(app: &App, arguments: Submit) -> Result<u8, CommandError> {
    let client = client(&arguments.farm)?;
    let requests = requests(app, &client, &arguments).await?;
    let mut builds = Vec::new();
    let at_once = requests::at_once(&requests);
    for part in requests.chunks(at_once) {
        if requests.len() > at_once {
            app.progress.doing(&format!("asking: {} of {}", builds.len(), requests.len()));
        }
        let submission = Submission { requests: part.to_vec(), again: arguments.again };
        let answer: Submissions = client.post("/api/v1/builds", &submission).await.map_err(from_client)?;
        builds.extend(answer.builds);
    }
    app.progress.clear();
    let words = if arguments.wait { wait(app, &client, &builds).await? } else { Vec::new() };
    let word = |index: usize| words.get(index).map(String::as_str);
    if app.global.json {
        let of = |(index, (submitted, request)): (usize, (&reprove_farm::Submitted, &Request))| json!({ "build": submitted.build, "new": submitted.new, "subject": request.subject(), "word": word(index) });
        let all: Vec<Value> = builds.iter().zip(&requests).enumerate().map(of).collect();
        output::json(&json!({ "builds": all }))?;
    } else {
        let line = |(index, (submitted, request)): (usize, (&reprove_farm::Submitted, &Request))| {
            let said = word(index).map(|word| format!(": {word}"));
            let there = || if submitted.new { String::new() } else { " (was asked for before)".to_owned() };
            format!("{} {}{}\n", submitted.build, plain::line(&request.subject()), said.unwrap_or_else(there))
        };
        output::text(&builds.iter().zip(&requests).enumerate().map(line).collect::<String>())?;
    }
    Ok(if words.iter().all(|word| is_yes(word)) { YES } else { NO })
}

async fn requests(app: &App, client: &Client, arguments: &Submit) -> Result<Vec<Request>, CommandError> {
    let mut purls = arguments.packages.clone();
    if let Some(path) = &arguments.file {
        purls.extend(requests::list(path)?);
    }
    if purls.is_empty() && arguments.project.is_empty() {
        return Err(CommandError::bad_usage("the list names no package"));
    }
    let all: Result<Vec<Request>, _> = purls.iter().map(|purl| requests::package(purl, &arguments.asked)).collect();
    let mut all = all?;
    for path in &arguments.project {
        all.push(requests::project(app, client, path, &arguments.asked).await?);
    }
    Ok(all)
}

/// Waits until all builds are finished; gives what they came to.
async fn wait(app: &App, client: &Client, builds: &[reprove_farm::Submitted]) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    for (index, submitted) in builds.iter().enumerate() {
        app.progress.doing(&format!("waiting: {index} of {} are finished", builds.len()));
        loop {
            match client.get_json::<BuildView>(&format!("/api/v1/builds/{}", submitted.build)).await {
                Ok(build) if build.row.word != "waiting" => {
                    words.push(build.row.word);
                    break;
                }
                Ok(_) => {}
                Err(error) if error.is_final() => return Err(from_client(error)),
                Err(error) => app.progress.note(&error.to_string()),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    app.progress.clear();
    Ok(words)
}

/// Says how the farm is, or what came of a build.
pub(crate) async fn status(app: &App, arguments: Status) -> Result<u8, CommandError> {
    let client = client(&arguments.farm)?;
    let Some(build) = arguments.build else { return farm(app, &client).await };
    let target = arguments.output.as_deref().map(|path| Target::new(&absolute(path)?)).transpose()?;
    let view: BuildView = client.get_json(&format!("/api/v1/builds/{build}")).await.map_err(from_client)?;
    if let Some(target) = target {
        let proof = client.get(&format!("/api/v1/builds/{build}/proof")).await.map_err(from_client)?;
        target.write(proof.to_vec()).await?;
    }
    if app.global.json {
        output::json(&json!(view))?;
    } else {
        output::text(&described(&view))?;
        if let Some(path) = &arguments.output {
            let shown = path.display();
            output::text(&format!("  {:<18} {shown}; `reprove audit {shown} --trust FILE` verifies it\n", "proof"))?;
        }
    }
    Ok(if is_yes(&view.row.word) { YES } else { NO })
}

/// Whether it was reproduced, as `rebuild` says it with its exit code: packing alone is, where nothing more was there to build.
fn is_yes(word: &str) -> bool {
    matches!(word, "bit-identical" | "repacked")
}

/// A build, for a person.
fn described(view: &BuildView) -> String {
    let mut lines = format!("{}: {}\n", plain::line(&view.row.subject), plain::line(&view.row.word));
    for job in &view.jobs {
        let isolation = job.isolation.as_deref().unwrap_or_default();
        let emulated = if isolation.starts_with("emulated") { " (EMULATED - NOT HARDWARE)" } else { "" };
        let by = job.worker.as_deref().map(|worker| format!(" by {worker}, in {isolation}{emulated}"));
        let said = job.verdict.as_deref().unwrap_or(&job.state);
        let line = plain::line(&format!("{said}{}", by.unwrap_or_default()));
        lines.push_str(&format!("  {:<18} {line}\n", format!("rebuilder {}", job.id.slot)));
        for attempt in &job.attempts {
            if let (Some(class), Some(detail)) = (&attempt.class, &attempt.detail) {
                lines.push_str(&format!("  {:<18} {}\n", "", plain::line(&format!("{class}: {detail}"))));
            }
        }
    }
    lines
}

async fn farm(app: &App, client: &Client) -> Result<u8, CommandError> {
    let status: StatusView = client.get_json("/api/v1/status").await.map_err(from_client)?;
    let workers: Vec<WorkerView> = client.get_json("/api/v1/workers").await.map_err(from_client)?;
    if app.global.json {
        output::json(&json!({ "farm": client.farm(), "status": status, "workers": workers }))?;
        return Ok(YES);
    }
    let mut text = format!(
        "{}: {} not finished\n  {:<18} {} ready, {} later, {} at work\n",
        client.farm(),
        count(usize::try_from(status.builds_waiting).unwrap_or(usize::MAX), "build"),
        "jobs",
        status.jobs_ready,
        status.jobs_later,
        status.jobs_leased,
    );
    for worker in &workers {
        let what = match &worker.banned {
            Some(why) => format!("gets no jobs: {why}"),
            None => format!("{} at work", count(worker.jobs.len(), "job")),
        };
        text.push_str(&format!("  {:<18} {}\n", plain::line(&worker.name), plain::line(&what)));
    }
    output::text(&text)?;
    Ok(YES)
}

/// Takes a build back.
pub(crate) async fn cancel(app: &App, build: BuildId, farm: &FarmOptions) -> Result<u8, CommandError> {
    let client = client(farm)?;
    let Cancelled { cancelled } =
        client.post(&format!("/api/v1/builds/{build}/cancel"), &json!({})).await.map_err(from_client)?;
    if app.global.json {
        output::json(&json!({ "build": build, "cancelled": cancelled }))?;
    } else {
        output::text(&format!("{build}: {}\n", if cancelled { "taken back" } else { "was finished already" }))?;
    }
    Ok(if cancelled { YES } else { NO })
}
