// SPDX-License-Identifier: Apache-2.0
//! `reprove build`: one hermetic build of a project, with its record and its outputs.

use std::path::{Path, PathBuf};

use clap::Args;
use reprove_inputs::directory::OUTPUT_DIRECTORY;
use reprove_job::{BuiltOnce, JobError};
use reprove_model::{DigestSet, Node, RecordMode, canonical};
use serde_json::json;

use super::check::read_recipe;
use crate::app::{App, absolute};
use crate::artifacts::Artifacts;
use crate::commands::BuildOptions;
use crate::error::{CommandError, YES};
use crate::observed::Inputs;
use crate::{output, render};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The directory that has a reprove.toml
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Write the build record, the lock and the outputs into this directory, which must be empty or not there yet
    #[arg(long, value_name = "DIR", default_value = OUTPUT_DIRECTORY)]
    out: PathBuf,
    /// List everything that the build read, or looked for and did not find
    #[arg(long)]
    inputs: bool,
    /// List what is locked and the build did not touch
    #[arg(long)]
    unused: bool,
    #[command(flatten)]
    options: BuildOptions,
}

pub(crate) async fn run(app: &App, arguments: Arguments) -> Result<u8, CommandError> {
    let Arguments { directory, out: shown, inputs, unused, options } = arguments;
    if (inputs || unused) && options.record() == RecordMode::Declared {
        return Err(CommandError::bad_usage("with `--record declared` nobody sees what the build reads".to_owned())
            .next("leave that out, or take `--record files` or `--record full`"));
    }
    let directory = absolute(&directory)?;
    let recipe = read_recipe(&directory.join("reprove.toml"))?;
    let name = recipe.package.name.clone();
    let out = Artifacts::prepare(&absolute(&shown)?, "outputs")?;
    out.keep_out_of_source(&recipe, &directory, &shown, "--out").await?;
    let store = app.store()?;
    let events = |event| app.tell(event);
    let context = app.context(store.clone(), &options, &events).await?;
    let built = reprove_job::build(&context, recipe, &directory).await?;
    out.fill_once(&store, &built).await?;
    let seen = if inputs || unused { Inputs::of(&store, &built)? } else { None };
    let wanted = |wanted| seen.as_ref().filter(|_| wanted);
    app.progress.clear();
    print(app, &name, &shown, &built, wanted(inputs), wanted(unused))?;
    Ok(YES)
}

fn print(
    app: &App,
    name: &str,
    shown: &Path,
    built: &BuiltOnce,
    inputs: Option<&Inputs>,
    unused: Option<&Inputs>,
) -> Result<(), CommandError> {
    let BuiltOnce { record, log, .. } = built;
    let bytes = canonical::to_vec(record).map_err(JobError::from)?;
    let digest = DigestSet::of(&bytes);
    if app.global.json {
        let mut value = json!({
            "name": name,
            "record": digest,
            "outputs": record.outputs.digest(),
            "files": record.outputs.entries().iter().filter_map(|(path, node)| match node {
                Node::File { size, digest, .. } => Some(json!({ "path": path, "size": size, "digest": digest })),
                Node::Directory { .. } | Node::Symlink { .. } => None,
            }).collect::<Vec<_>>(),
            "durationMs": record.duration_ms,
            "peakMemory": record.peak_memory,
            "conditions": record.conditions,
            "isolation": record.isolation,
            "out": shown,
            "log": log,
        });
        if let (Some(value), Some(machine)) = (value.as_object_mut(), &record.machine) {
            value.insert("machine".into(), json!(machine));
        }
        if let (Some(value), Some(inputs)) = (value.as_object_mut(), inputs) {
            value.insert("inputs".into(), inputs.read_json());
        }
        if let (Some(value), Some(unused)) = (value.as_object_mut(), unused) {
            value.insert("unused".into(), unused.unused_json());
        }
        return output::json(&value);
    }
    let kept = format!("{}: record.json, lock.json and outputs", shown.display());
    let facts = render::built(name, built, &digest);
    let mut text = format!("{facts}  {:<18} {kept}\n  {:<18} {}\n", "written to", "log", log.display());
    text.extend(inputs.map(Inputs::read_text));
    text.extend(unused.map(Inputs::unused_text));
    output::text(&text)
}
