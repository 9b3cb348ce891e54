// SPDX-License-Identifier: Apache-2.0
//! `reprove store`: what is kept, for how long, and whether it is whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use reprove_images::ExaminedEnvironments;
use reprove_job::JobError;
use reprove_store::{ByteSize, Collected, Collection, Examined, Wrong};
use serde_json::{Value, json};

use crate::app::{App, blocking};
use crate::error::{CommandError, NO, YES};
use crate::output;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Remove what no kept build record needs, and what is older than some days
    Gc {
        /// Keep build records, with all that they name, for so many days
        #[arg(long, value_name = "N", default_value_t = 30)]
        keep_days: u32,
        /// Remove the oldest build records too, until all that is left has at most this size, as in 20GiB
        #[arg(long, value_name = "SIZE")]
        max_size: Option<ByteSize>,
        /// Remove nothing; say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Read all that is kept, and name what is damaged or missing
    Verify {
        /// Move what is damaged, what lacks something, and environments that are not what they were, to `damaged/` in the store
        #[arg(long)]
        repair: bool,
    },
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let store = app.existing_store()?;
    match arguments.command {
        Command::Gc { keep_days, max_size, dry_run } => {
            app.progress.doing("looking at what is kept");
            let before = Timestamp::now().as_second() - i64::from(keep_days) * 24 * 60 * 60;
            let what = Collection { before: Some(before), at_most: max_size, dry_run };
            let (collected, environments) = blocking(move || {
                let mut collected = store.collect(&what)?;
                let (environments, bytes) =
                    reprove_images::collect(&store, dry_run, &collected.blobs).map_err(JobError::from)?;
                collected.freed += bytes;
                Ok::<_, CommandError>((collected, environments))
            })
            .await??;
            app.progress.clear();
            if app.global.json {
                output::json(&collected_json(&collected, environments, dry_run))?;
            } else {
                output::text(&collected_text(&collected, environments, dry_run))?;
            }
            Ok(YES)
        }
        Command::Verify { repair } => {
            app.progress.doing("reading all that is kept");
            let (examined, environments) = blocking(move || {
                // A shared file that is damaged goes before what has it, so that nothing new gets it.
                let examined = store.examine(repair)?;
                let environments = reprove_images::examine(&store, repair).map_err(JobError::from)?;
                Ok::<_, CommandError>((examined, environments))
            })
            .await??;
            app.progress.clear();
            if app.global.json {
                output::json(&examined_json(&examined, &environments))?;
            } else {
                output::text(&examined_text(&examined, &environments))?;
            }
            Ok(if examined.wrong.is_empty() && environments.wrong.is_empty() { YES } else { NO })
        }
    }
}

fn collected_json(collected: &Collected, environments: u64, dry_run: bool) -> Value {
    let Collected { roots, trees, blobs, logs, freed, roots_left, left } = collected;
    json!({
        "dryRun": dry_run, "roots": roots, "trees": trees, "blobs": blobs.len(), "logs": logs,
        "environments": environments, "freed": freed,
        "rootsLeft": roots_left, "left": left,
    })
}

fn collected_text(collected: &Collected, environments: u64, dry_run: bool) -> String {
    let Collected { roots, trees, blobs, logs, freed, roots_left, left } = collected;
    let removed = if dry_run { "would remove" } else { "removed" };
    let (freed, left) = (ByteSize(*freed), ByteSize(*left));
    format!(
        "{removed} {freed}: {}, {}, {}, {}, {}\nleft: {left}, {}\n",
        count(roots.len() as u64, "build record"),
        count(*trees, "tree"),
        count(blobs.len() as u64, "file"),
        count(*logs, "log"),
        count(environments, "environment"),
        count(*roots_left, "build record"),
    )
}

fn examined_json(examined: &Examined, environments: &ExaminedEnvironments) -> Value {
    let Examined { blobs, bytes, shared, trees, roots, wrong, moved } = examined;
    let wrong = wrong.iter().map(|wrong| match wrong {
        Wrong::Damaged(path) => json!({ "type": "damaged", "path": path }),
        Wrong::TreeLacks { tree, blob } => json!({ "type": "tree-lacks", "tree": tree, "digest": blob }),
        Wrong::RootLacks { root, digest } => json!({ "type": "root-lacks", "root": root, "digest": digest }),
    });
    let changed = environments.wrong.iter().map(|path| json!({ "type": "environment", "path": path }));
    let wrong: Vec<Value> = wrong.chain(changed).collect();
    let moved: Vec<&PathBuf> = moved.iter().chain(&environments.moved).collect();
    json!({
        "whole": wrong.is_empty(), "blobs": blobs, "bytes": bytes, "shared": shared, "trees": trees, "roots": roots,
        "environments": environments.count, "wrong": wrong, "moved": moved,
    })
}

fn examined_text(examined: &Examined, environments: &ExaminedEnvironments) -> String {
    let Examined { blobs, bytes, shared, trees, roots, wrong, moved } = examined;
    let number = wrong.len() + environments.wrong.len();
    let of_environments = match environments.count {
        0 => String::new(),
        some => format!(", {} with {}", count(some, "environment"), count(*shared, "shared file")),
    };
    let mut text = format!(
        "read {} of {}, {}, {}{of_environments}: {}\n",
        count(*blobs, "file"),
        ByteSize(*bytes),
        count(*trees, "tree"),
        count(*roots, "build record"),
        if number == 0 { "all whole".to_owned() } else { format!("{number} wrong") },
    );
    wrong.iter().for_each(|wrong| text.push_str(&format!("  {wrong}\n")));
    for path in &environments.wrong {
        text.push_str(&format!("  {}: an environment that is not what its list says\n", path.display()));
    }
    let mut moved = moved.iter().chain(&environments.moved).peekable();
    let next = if moved.peek().is_none() { "`reprove store verify --repair`, then run" } else { "run" };
    moved.for_each(|path| text.push_str(&format!("  moved to {}\n", path.display())));
    if number > 0 {
        text.push_str(&format!("next: {next} what needs it again: it is fetched or built anew\n"));
    }
    text
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
